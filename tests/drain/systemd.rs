//! What a service manager hears: a real socket in the place of systemd's.

use std::time::Duration;

use tokio::net::UnixDatagram;
use tokio::time::timeout;

use super::talk;
use crate::rig::phone::Phone;
use crate::rig::server::Setup;
use crate::rig::wait::SOON;

/// The service manager.
pub struct Manager(pub UnixDatagram);

impl Manager {
    /// Waits for a message that has this line, or one that begins so; gives all of it.
    pub async fn hears(&self, line: &str) -> String {
        let mut buffer = [0; 4096];
        loop {
            let length = timeout(SOON, self.0.recv(&mut buffer)).await;
            let length = length
                .unwrap_or_else(|_| panic!("nothing came of {line}"))
                .expect("a datagram");
            let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
            if text.lines().any(|heard| heard.starts_with(line)) {
                return text;
            }
        }
    }
}

#[tokio::test]
async fn the_service_manager_hears_of_the_start_the_reload_the_drain_and_that_it_lives() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("notify");
    let manager = Manager(UnixDatagram::bind(&path).expect("a socket"));
    let mut server = Setup::new()
        .environment("NOTIFY_SOCKET", path.to_str().expect("a path"))
        .environment("WATCHDOG_USEC", "200000")
        .environment("TANDEM_SERVER__DRAIN_TIMEOUT_S", "600")
        .trusted_phone("1001")
        .trusted_phone("1002")
        .start()
        .await;
    assert!(manager.hears("READY=1").await.contains("STATUS=Running"));
    for _ in 0..3 {
        manager.hears("WATCHDOG=1").await;
    }
    server.program.signal(libc::SIGHUP);
    let reloading = manager.hears("RELOADING=1").await;
    let at = reloading.lines().find_map(|line| line.strip_prefix("MONOTONIC_USEC="));
    assert!(at.is_some_and(|at| at.parse().is_ok_and(|at: u64| at > 0)), "{reloading}");
    manager.hears("READY=1").await;

    let (alice, bob) = (
        Phone::register("1001", server.sip).await,
        Phone::register("1002", server.sip).await,
    );
    let (at_alice, _) = talk(&alice, &bob, "1002").await;
    server.program.signal(libc::SIGTERM);
    let stopping = manager.hears("STOPPING=1").await;
    assert!(stopping.contains("STATUS=Suspending: 1 calls"), "{stopping}");
    let extended = stopping.lines().find_map(|line| line.strip_prefix("EXTEND_TIMEOUT_USEC="));
    assert!(
        extended.is_some_and(|usec| usec.parse().is_ok_and(|usec: u64| usec > 590_000_000)),
        "{stopping}"
    );
    manager.hears("WATCHDOG=1").await;
    tokio::join!(alice.hangs_up(&at_alice), bob.is_hung_up_on());
    manager.hears("STATUS=Stopping").await;
    let status = server.program.exit(Duration::from_secs(15)).await;
    assert_eq!(status.code(), Some(0), "{}", server.program.tail());
}
