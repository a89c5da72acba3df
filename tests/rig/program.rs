//! Programs that run beside the tests: started in a directory of their own, ended by their process id, and gone with the test.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use tokio::sync::mpsc;

use super::wait;

/// A running program. Dropping it kills it.
pub struct Program {
    name: String,
    child: Child,
    /// What it wrote on standard error.
    pub log: PathBuf,
}

impl Program {
    /// Starts a program; both its outputs go to a file in `directory`.
    pub fn start(command: &mut Command, directory: &Path) -> Self {
        let log = Self::log_of(command, directory);
        let file = File::create(&log).expect("the log of a program");
        command.stdout(file.try_clone().expect("a second handle"));
        Self::spawn(command, file, log)
    }

    /// Starts a program whose standard output is read line by line.
    pub fn start_with_lines(command: &mut Command, directory: &Path) -> (Self, mpsc::UnboundedReceiver<String>) {
        let log = Self::log_of(command, directory);
        let file = File::create(&log).expect("the log of a program");
        command.stdout(Stdio::piped());
        let mut program = Self::spawn(command, file, log);
        let stdout = program.child.stdout.take().expect("a pipe");
        // Bounded by what the program prints.
        let (sender, lines) = mpsc::unbounded_channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        (program, lines)
    }

    fn log_of(command: &Command, directory: &Path) -> PathBuf {
        let name = Path::new(command.get_program()).file_name().unwrap_or_default();
        directory.join(format!("{}.log", name.to_string_lossy()))
    }

    fn spawn(command: &mut Command, stderr: File, log: PathBuf) -> Self {
        let name = command.get_program().to_string_lossy().into_owned();
        command.stdin(Stdio::null()).stderr(stderr);
        // SAFETY: prctl only sets a property of the calling process, and is safe between fork and exec.
        unsafe {
            command.pre_exec(|| {
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                Ok(())
            });
        }
        let child = command.spawn().unwrap_or_else(|error| {
            panic!("{name}: {error} (tests/run installs what the tests need: sip-tester, baresip, prometheus)")
        });
        Self { name, child, log }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: i32) {
        let pid = libc::pid_t::try_from(self.pid()).expect("a process id");
        // SAFETY: the child is not reaped yet, so the id is still its own.
        let sent = unsafe { libc::kill(pid, signal) };
        assert_eq!(sent, 0, "signal {signal} to {}", self.name);
    }

    /// Waits until it ends by itself.
    pub async fn exit(&mut self, deadline: Duration) -> ExitStatus {
        let what = format!("the end of {}", self.name);
        wait::until(&what, deadline, async || match self.child.try_wait() {
            Ok(Some(status)) => Ok(status),
            Ok(None) => Err("still running".to_owned()),
            Err(error) => Err(error.to_string()),
        })
        .await
    }

    /// The last lines of its log.
    pub fn tail(&self) -> String {
        let text = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let ended = !self.is_running();
        // Either may fail only because it is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let state = if ended { " (it had ended)" } else { "" };
            eprintln!("--- {}{state}, last lines:\n{}", self.name, self.tail());
        }
    }
}

/// Runs a program to its end: exit code, standard output, standard error. `input` is its standard input.
pub fn run(command: &mut Command, input: &[u8]) -> (i32, String, String) {
    use std::io::Write;
    let name = command.get_program().to_string_lossy().into_owned();
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{name}: {error} (tests/run installs what the tests need)"));
    let mut stdin = child.stdin.take().expect("a pipe");
    let input = input.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().expect("the output");
    // A program that does not read its input to the end closes the pipe: no failure of ours.
    let _ = writer.join();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}
