//! What systemd is told (sd_notify(3)): that the server is ready, reloads, drains or stops, and that it lives.
//!
//! Invariant: the watchdog is fed only as long as the event path answers, so a server that hangs is restarted. Without `NOTIFY_SOCKET`
//! nothing is told.

use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use tandem_actors::gateway::Gateway;

/// Where the service manager listens.
#[derive(Debug)]
pub struct Notify {
    to: Option<(UnixDatagram, SocketAddr)>,
    watchdog: Option<Duration>,
}

impl Notify {
    /// As the environment has it: `NOTIFY_SOCKET`, `WATCHDOG_USEC`, `WATCHDOG_PID`.
    pub fn from_environment() -> Self {
        let variable = |name| std::env::var(name).ok();
        let mine = variable("WATCHDOG_PID").is_none_or(|pid| pid.parse() == Ok(std::process::id()));
        Self {
            to: variable("NOTIFY_SOCKET").and_then(|path| connected(&path)),
            watchdog: variable("WATCHDOG_USEC").and_then(|usec| interval(&usec)).filter(|_| mine),
        }
    }

    /// The server is up.
    pub fn ready(&self, status: &str) {
        self.send(&format!("READY=1\nSTATUS={status}"));
    }

    /// It reads its configuration again; [`Self::ready`] says when that is done.
    pub fn reloading(&self) {
        // `Type=notify-reload` wants the time, to tell this from an answer to an earlier reload.
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={}", monotonic_usec()));
    }

    /// It goes down: what is said here is what it waits for, and how long that may take.
    pub fn stopping(&self, status: &str, at_most: Duration) {
        self.send(&format!("STOPPING=1\nSTATUS={status}\n{}", extend(at_most)));
    }

    /// What it does.
    pub fn status(&self, status: &str) {
        self.send(&format!("STATUS={status}"));
    }

    /// Feeds the watchdog for as long as it is polled and the event path answers.
    pub async fn feed_watchdog(&self, gateway: &Gateway) {
        let Some(interval) = self.watchdog else {
            return std::future::pending().await;
        };
        // Twice in the time that there is, as sd_watchdog_enabled(3) asks.
        let mut next = tokio::time::interval(interval / 2);
        loop {
            next.tick().await;
            if gateway.is_alive().await {
                self.send("WATCHDOG=1");
            } else {
                tracing::error!("the event path does not answer; the watchdog gets nothing");
            }
        }
    }

    fn send(&self, state: &str) {
        let Some((socket, to)) = &self.to else { return };
        if let Err(error) = socket.send_to_addr(state.as_bytes(), to) {
            tracing::debug!(%error, "the service manager cannot be told");
        }
    }
}

/// The socket, and where to send to: a path, or a name in the abstract namespace where it begins with `@`.
fn connected(path: &str) -> Option<(UnixDatagram, SocketAddr)> {
    let to = match path.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(path),
    };
    let socket = UnixDatagram::unbound().ok()?;
    // A manager that does not read must not hold the server up.
    socket.set_nonblocking(true).ok()?;
    Some((socket, to.ok()?))
}

fn interval(usec: &str) -> Option<Duration> {
    usec.parse().ok().filter(|usec| *usec > 0).map(Duration::from_micros)
}

fn extend(at_most: Duration) -> String {
    format!("EXTEND_TIMEOUT_USEC={}", at_most.as_micros())
}

fn monotonic_usec() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a timespec of this frame, and CLOCK_MONOTONIC is always there.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    seconds * 1_000_000 + u64::try_from(time.tv_nsec).unwrap_or_default() / 1_000
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notify_to(path: &str) -> Notify {
        Notify {
            to: connected(path),
            watchdog: None,
        }
    }

    fn heard(socket: &UnixDatagram) -> String {
        let mut buffer = [0; 512];
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let length = socket.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    }

    #[test]
    fn the_manager_hears_by_path_and_by_abstract_name() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let by_path = UnixDatagram::bind(&path).unwrap();
        notify_to(path.to_str().unwrap()).ready("0 calls");
        assert_eq!(heard(&by_path), "READY=1\nSTATUS=0 calls");
        let name = format!("tandem-notify-{}", std::process::id());
        let by_name = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        notify_to(&format!("@{name}")).stopping("3 calls", Duration::from_secs(2));
        assert_eq!(heard(&by_name), "STOPPING=1\nSTATUS=3 calls\nEXTEND_TIMEOUT_USEC=2000000");
    }

    #[test]
    fn nobody_is_told_where_nobody_listens() {
        notify_to("/nowhere/at/all").ready("");
        assert_eq!(
            (interval("0"), interval("x"), interval("1000000")),
            (None, None, Some(Duration::from_secs(1)))
        );
        let (first, second) = (monotonic_usec(), monotonic_usec());
        assert!(0 < first && first <= second);
    }
}
