//! Disks that are full or read-only, on a small file system of the test's own. Where it may not make one, it says so and is content.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use tandem_actors::journal::{Journal, JournalStore, RecordKind, Scope};
use tempfile::TempDir;

use super::restless;
use crate::rig::wait;

struct SmallDisk {
    directory: TempDir,
}

impl SmallDisk {
    fn mount() -> Option<Self> {
        let disk = Self {
            directory: tempfile::tempdir().expect("a directory"),
        };
        let mounted = disk.run(Command::new("mount").args(["-t", "tmpfs", "-o", "size=2m", "tandem-test"]));
        if !mounted {
            eprintln!("no file system may be mounted here: not tested");
        }
        mounted.then_some(disk)
    }

    fn remount(&self, how: &str) -> bool {
        self.run(Command::new("mount").args(["-o", &format!("remount,{how}")]))
    }

    fn run(&self, command: &mut Command) -> bool {
        let output = command.arg(self.directory.path()).output();
        output.is_ok_and(|output| output.status.success())
    }

    fn journal(&self) -> PathBuf {
        self.directory.path().join("journal")
    }

    /// Takes all the room there is; deleting the file gives it back.
    fn fill(&self) -> PathBuf {
        let path = self.directory.path().join("filler");
        let mut file = File::create(&path).expect("a file");
        let block = [0; 4096];
        while file.write_all(&block).is_ok() {}
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a journal may still be open. Where it was not mounted there is nothing to do.
        self.run(Command::new("umount").arg("-l"));
    }
}

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
