//! The server seen from outside: its processes in /proc, its gauges, and the child processes where we start it ourselves.
//!
//! Figures are of the whole process tree under one process id. Nothing here is needed to make calls: without a process id
//! the report has no CPU and memory figures, without an address no gauges.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::sync::oneshot;

/// What a process tree used so far.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Usage {
    /// User and system time, in milliseconds.
    pub cpu_ms: f64,
    /// Resident memory, in KiB (shared pages count in each process).
    pub rss_kib: u64,
}

/// Reads the usage of the tree under `root`; none where it is gone.
pub fn usage(root: u32) -> Option<Usage> {
    let tick_ms = 1000.0 / ticks_per_second();
    let (mut usage, mut found) = (Usage::default(), false);
    for pid in tree(root) {
        let Some(stat) = stat(pid) else { continue };
        found = true;
        usage.cpu_ms += stat.ticks as f64 * tick_ms;
        usage.rss_kib += stat.rss_pages * page_kib();
    }
    found.then_some(usage)
}

struct Stat {
    parent: u32,
    ticks: u64,
    rss_pages: u64,
}

/// Fields of /proc/PID/stat after the command: 0 state, 1 ppid, 11 utime, 12 stime, 21 rss (proc(5)).
fn parse_stat(text: &str) -> Option<Stat> {
    let (_, rest) = text.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
    Some(Stat {
        parent: number(1)?.try_into().ok()?,
        ticks: number(11)? + number(12)?,
        rss_pages: number(21)?,
    })
}

fn stat(pid: u32) -> Option<Stat> {
    parse_stat(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

fn tree(root: u32) -> Vec<u32> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    for pid in entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()) {
        if let Some(stat) = stat(pid) {
            children.entry(stat.parent).or_default().push(pid);
        }
    }
    let mut tree = vec![root];
    let mut next = 0;
    while let Some(pid) = tree.get(next) {
        tree.extend(children.remove(pid).unwrap_or_default());
        next += 1;
    }
    tree
}

fn ticks_per_second() -> f64 {
    // SAFETY: sysconf has no preconditions.
    let ticks = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    if ticks > 0 { ticks as f64 } else { 100.0 }
}

fn page_kib() -> u64 {
    // SAFETY: sysconf has no preconditions.
    let bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    u64::try_from(bytes).unwrap_or(4096) / 1024
}

/// The CPU time of this process, in milliseconds.
pub fn own_cpu_ms() -> f64 {
    // SAFETY: rusage is plain numbers, for which zeroes are valid, and the pointer is to a live local.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &mut usage);
        usage
    };
    let ms = |time: libc::timeval| time.tv_sec as f64 * 1000.0 + time.tv_usec as f64 / 1000.0;
    ms(usage.ru_utime) + ms(usage.ru_stime)
}

/// Lifts the limit of open files to the most that is allowed: RTP takes a socket for each leg.
pub fn lift_file_limit() {
    // SAFETY: rlimit is plain numbers; both calls get pointers to a live local.
    unsafe {
        let mut limit: libc::rlimit = std::mem::zeroed();
        if libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) == 0 {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &limit);
        }
    }
}

/// A directory for the journal of a server that we start, gone with it: no run recovers the calls of another.
pub struct JournalDirectory(PathBuf);

impl JournalDirectory {
    /// A new one.
    pub fn new() -> io::Result<Self> {
        let name = format!("tandem-load-{}-{:08x}", std::process::id(), rand::random::<u32>());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path)?;
        Ok(Self(path))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// What is in it, in KiB.
    pub fn kib(&self) -> u64 {
        bytes_in(&self.0) / 1024
    }
}

/// The size of all files in a directory, and in those within.
fn bytes_in(directory: &Path) -> u64 {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let sizes = entries.filter_map(|entry| {
        let metadata = entry.metadata().ok()?;
        Some(if metadata.is_dir() {
            bytes_in(&entry.path())
        } else {
            metadata.len()
        })
    });
    sizes.sum()
}

impl Drop for JournalDirectory {
    fn drop(&mut self) {
        // What is left of it lies among temporary files.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A process of the server that we started. Dropping it kills it; [`Started::stop`] asks first.
pub struct Started {
    child: Child,
}

impl Started {
    /// Runs `BIN serve --config FILE` with a journal in this directory; its output goes to our standard error.
    pub fn run(bin: &Path, config: &Path, journal: &JournalDirectory, sets: &[String]) -> io::Result<Self> {
        let mut command = Command::new(bin);
        command.arg("serve").arg("--config").arg(config);
        command.args(["--set", &format!("journal.dir={}", journal.0.display())]);
        command.args(sets.iter().flat_map(|set| ["--set", set]));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::inherit());
        Ok(Self { child: command.spawn()? })
    }

    /// Runs a command whose first line on standard output says that it is ready; the rest of it is read and dropped.
    pub fn run_until_ready(mut command: Command) -> io::Result<(Self, oneshot::Receiver<String>)> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut child = command.spawn()?;
        let (told, ready) = oneshot::channel();
        let output = child.stdout.take();
        std::thread::spawn(move || {
            let mut lines = output
                .into_iter()
                .flat_map(|output| BufReader::new(output).lines())
                .map_while(Result::ok);
            if let Some(line) = lines.next() {
                // Nobody waits any more where the process was killed at once.
                let _ = told.send(line);
            }
            lines.for_each(drop);
        });
        Ok((Self { child }, ready))
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Ends it with SIGKILL.
    pub fn kill(&mut self) -> io::Result<()> {
        self.child.kill()?;
        self.child.wait().map(drop)
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: libc::c_int) -> io::Result<()> {
        // SAFETY: the child has not been waited for, so its process id is still its own.
        match unsafe { libc::kill(self.child.id() as libc::pid_t, signal) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends SIGTERM and waits for the end; says how it ended where that was not well.
    pub async fn stop(mut self, patience: Duration) -> Result<(), String> {
        // One that has ended says so when it is waited for.
        let _ = self.signal(libc::SIGTERM);
        let deadline = tokio::time::Instant::now() + patience;
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) if status.success() => return Ok(()),
                Ok(Some(status)) => return Err(format!("the server ended with {status}")),
                Ok(None) if tokio::time::Instant::now() < deadline => tokio::time::sleep(Duration::from_millis(20)).await,
                Ok(None) => return Err("the server did not end after SIGTERM".into()),
                Err(error) => return Err(error.to_string()),
            }
        }
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// The gauges of live things that are not zero: every `*_active` but registrations and connections.
pub fn gauges_not_zero(metrics: &str) -> Vec<String> {
    let live = metrics.lines().filter(|line| {
        let Some((series, value)) = line.trim().rsplit_once(' ') else {
            return false;
        };
        let name = series.split('{').next().unwrap_or_default();
        let excepted = name.contains("registrations") || name.contains("connections");
        name.ends_with("_active") && !excepted && value.parse::<f64>().is_ok_and(|value| value != 0.0)
    });
    live.map(|line| line.trim().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_gauges_of_live_things_that_are_not_zero_are_told() {
        let metrics = "# HELP tandem_calls_active x\ntandem_calls_active 0\ntandem_dialogs_active{side=\"a b\"} 3\n\
            tandem_registrations_active 5\ntandem_connections_active 1\ntandem_calls_total 7\ntandem_clients_active NaNo\n";
        assert_eq!(gauges_not_zero(metrics), ["tandem_dialogs_active{side=\"a b\"} 3"]);
    }

    #[test]
    fn a_process_is_read_whatever_its_name() {
        let text = "12 (a) b (c)) S 7 1 1 0 -1 0 0 0 0 0 30 12 0 0 20 0 1 0 5 1000 250 0";
        let stat = parse_stat(text).unwrap();
        assert_eq!((stat.parent, stat.ticks, stat.rss_pages), (7, 42, 250));
        let own = usage(std::process::id()).unwrap();
        assert!(own.rss_kib > 0 && own_cpu_ms() >= 0.0);
        assert_eq!(usage(u32::MAX - 1), None);
    }
}
