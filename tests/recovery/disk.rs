//! A disk that is full costs what happens meanwhile, until there is room again: then everything is kept anew, also by a server that has
//! nothing else to do.

use std::process::Command;

use serde_json::Value;

use crate::rig::disk::SmallDisk;
use crate::rig::handset::Handset;
use crate::rig::server::{API_KEY, Server, Setup};
use crate::rig::{http, program, wait};

const DEGRADED: &str = "tandem_journal_degraded";

/// Calls until both sides have seen that nothing can be written.
async fn until_it_is_noticed(server: &Server, alice: &Handset, bob: &Handset) {
    wait::until("the journals to be given up", wait::SOON, async || {
        let there = alice.dials("1002").await;
        let here = bob.takes().await;
        alice.is_answered(there).await;
        alice.hangs_up(there).await;
        bob.is_over(here).await;
        match server.metrics().await.sum(DEGRADED) {
            Some(2.0) => Ok(()),
            other => Err(format!("{other:?} of 2")),
        }
    })
    .await;
}

/// How many records of a kind the journal in this directory has.
fn kept(directory: &str, kind: &str) -> u64 {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tandem"));
    command.args(["journal", "inspect", "--json", "--summary", "--dir", directory]);
    let (_, out, _) = program::run(&mut command, b"");
    let shown: Value = serde_json::from_str(&out).unwrap_or_default();
    let scopes = shown["scopes"].as_array().into_iter().flatten();
    scopes.filter_map(|scope| scope["kinds"][kind]["records"].as_u64()).sum()
}

#[tokio::test]
async fn what_happened_while_the_disk_was_full_is_kept_when_it_is_not_any_more() {
    let Some(disk) = SmallDisk::mount() else { return };
    let journal = disk.journal();
    let directory = journal.display().to_string();
    let journal = format!("[journal]\ndir = \"{directory}\"");
    let mut server = Setup::new()
        .trusted_phone("1001")
        .trusted_phone("1002")
        .tables(&journal)
        .start()
        .await;
    let alice = Handset::register("1001", server.sip).await;
    let bob = Handset::register("1002", server.sip).await;
    let filler = disk.fill();
    until_it_is_noticed(&server, &alice, &bob).await;
    // Two, for one may be kept that was over before the disk was full.
    let first = (alice.dials("1002").await, bob.takes().await);
    let second = (alice.dials("1002").await, bob.takes().await);
    for (there, _) in [first, second] {
        alice.is_answered(there).await;
    }
    assert!(kept(&directory, "call") < 2);
    std::fs::remove_file(filler).expect("room again");
    // Nobody asks for anything now.
    wait::until("everything to be kept", wait::SOON, async || {
        let degraded = server.metrics().await.sum(DEGRADED);
        match (
            degraded,
            kept(&directory, "call"),
            kept(&directory, "session"),
            kept(&directory, "dn"),
        ) {
            (Some(0.0), 2, 4, 2) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    server.killed_and_started().await;
    let calls = http::get(server.http, "/v1/calls", Some(API_KEY)).await.expect("an answer");
    let calls: Value = serde_json::from_str(&calls.body).expect("JSON");
    assert_eq!(calls["items"].as_array().map(Vec::len), Some(2), "{calls}");
    for (there, here) in [first, second] {
        alice.hangs_up(there).await;
        bob.is_over(here).await;
    }
    server.alive_and_idle().await;
    assert_eq!([alice.complaints(), bob.complaints()].concat(), [""; 0]);
}
