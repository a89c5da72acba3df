//! A journal on disks that are full or read-only.

use std::path::Path;

use tandem_actors::journal::{Journal, JournalStore, RecordKind, Scope};

use super::restless;
use crate::rig::disk::SmallDisk;
use crate::rig::wait;

fn values(directory: &Path) -> Vec<Vec<u8>> {
    let (_, records) = restless(directory).open(Scope::TServer);
    records
        .into_iter()
        .filter(|record| record.kind == RecordKind::Call)
        .map(|record| record.id)
        .collect()
}

/// Commits small records until the journal says that storage works again.
async fn until_back(journal: &mut Box<dyn Journal>) {
    wait::until("the journal to be back", wait::SOON, async || {
        journal.put(RecordKind::Server, b"meanwhile", &[0; 2000]);
        journal.commit();
        if journal.is_back() {
            Ok(())
        } else {
            Err("degraded".to_owned())
        }
    })
    .await;
}

#[tokio::test]
async fn a_full_disk_costs_what_is_put_meanwhile_and_nothing_before_and_after() {
    let Some(disk) = SmallDisk::mount() else { return };
    let store = restless(&disk.journal());
    let (mut journal, _) = store.open(Scope::TServer);
    journal.put(RecordKind::Call, b"before", b"");
    journal.commit();
    let filler = disk.fill();
    for _ in 0..3000 {
        // More than any room that is left: it cannot all be kept, and nothing is waited for.
        journal.put(RecordKind::Call, b"large", &[0; 2000]);
        journal.commit();
    }
    assert!(!journal.is_back(), "the disk is still full");
    std::fs::remove_file(filler).expect("room again");
    until_back(&mut journal).await;
    journal.put(RecordKind::Call, b"after", b"");
    journal.commit();
    drop((journal, store));
    let found = values(&disk.journal());
    for id in [&b"before"[..], b"after"] {
        assert!(found.iter().any(|of| of == id), "{found:?}");
    }
}

#[tokio::test]
async fn a_read_only_disk_is_read_and_written_again_when_it_can_be() {
    let Some(disk) = SmallDisk::mount() else { return };
    let store = restless(&disk.journal());
    let (mut journal, _) = store.open(Scope::TServer);
    journal.put(RecordKind::Call, b"before", b"");
    journal.commit();
    drop((journal, store));
    assert!(disk.remount("ro"));
    let store = restless(&disk.journal());
    let (mut journal, records) = store.open(Scope::TServer);
    assert!(records.iter().any(|record| record.id == b"before"), "{records:?}");
    journal.put(RecordKind::Call, b"lost", b"");
    journal.commit();
    assert!(!journal.is_back());
    assert!(disk.remount("rw"));
    until_back(&mut journal).await;
    journal.put(RecordKind::Call, b"after", b"");
    journal.commit();
    drop((journal, store));
    let found = values(&disk.journal());
    assert!(
        found.contains(&b"after".to_vec()) && found.contains(&b"before".to_vec()),
        "{found:?}"
    );
}
