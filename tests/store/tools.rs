//! `tandem journal`: beside a journal at work, after damage, and about what it does not show.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use tandem::store::Store;
use tandem_actors::journal::{Journal, JournalStore, RecordKind, Scope};

use super::restless;
use crate::rig::program;

fn tandem(directory: &Path, arguments: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tandem"));
    command.arg("journal").args(arguments).arg("--dir").arg(directory);
    program::run(&mut command, b"")
}

fn inspected(directory: &Path, arguments: &[&str]) -> Value {
    let (code, out, err) = tandem(directory, &[&["inspect", "--json"], arguments].concat());
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    serde_json::from_str(&out).expect("JSON")
}

fn record(value: &Value) -> Vec<u8> {
    // A map with names, as the snapshots are.
    let mut bytes = vec![0x80 | value.as_object().map_or(0, serde_json::Map::len) as u8];
    for (name, value) in value.as_object().into_iter().flatten() {
        for text in [name.as_str(), value.as_str().unwrap_or_default()] {
            bytes.extend([0xd9, text.len() as u8]);
            bytes.extend(text.as_bytes());
        }
    }
    bytes
}

fn with_records(directory: &Path) -> (Store, Box<dyn Journal>) {
    let store = restless(directory);
    let (mut journal, _) = store.open(Scope::TServer);
    let call = record(&json!({ "dn": "sip:1001@tandem.local", "user_data": "account 4711" }));
    journal.put(RecordKind::Call, &0x0071_0253_ffff_0001_u64.to_be_bytes(), &call);
    journal.put(
        RecordKind::Bindings,
        b"sip:1001@tandem.local",
        &record(&json!({ "contact": "sip:1001@127.0.0.1" })),
    );
    journal.commit();
    (store, journal)
}

#[test]
fn inspect_shows_the_live_records_beside_a_server_at_work() {
    let directory = tempfile::tempdir().expect("a directory");
    let (_store, mut journal) = with_records(directory.path());
    let shown = inspected(directory.path(), &[]);
    assert_eq!(shown["formatVersion"], 1);
    let scope = &shown["scopes"][0];
    assert_eq!(
        (&scope["scope"], &scope["kinds"]["call"]["records"]),
        (&json!("tserver"), &json!(1))
    );
    let (call, bindings) = (&scope["records"][0], &scope["records"][1]);
    assert_eq!(
        (&call["id"], &bindings["id"]),
        (&json!("00710253ffff0001"), &json!("sip:1001@tandem.local"))
    );
    assert_eq!(call["value"]["user_data"], "**** (length:12)");
    assert_eq!(call["value"]["dn"], "sip:1001@tandem.local");
    let open = inspected(
        directory.path(),
        &["--show-sensitive", "--scope", "tserver", "--id", "00710253ffff0001"],
    );
    assert_eq!(open["scopes"][0]["records"][0]["value"]["user_data"], "account 4711");
    let (code, text, _) = tandem(directory.path(), &["inspect", "--kind", "bindings"]);
    assert!(
        code == 0 && text.contains("bindings sip:1001@tandem.local: {") && !text.contains("user_data"),
        "{text}"
    );
    // However often the records are moved into the database meanwhile, they are there.
    for round in 0..20_u32 {
        journal.put(RecordKind::Session, &u64::from(round).to_be_bytes(), b"\xc0");
        journal.commit();
        let shown = inspected(directory.path(), &["--summary"]);
        assert_eq!(shown["scopes"][0]["kinds"]["session"]["records"], round + 1);
    }
}

#[test]
fn verify_says_what_is_wrong_and_where() {
    let directory = tempfile::tempdir().expect("a directory");
    let (store, journal) = with_records(directory.path());
    let (code, out, err) = tandem(directory.path(), &["verify"]);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    assert!(out.contains("operations"), "{out}");
    drop((journal, store));
    let (code, out, _) = tandem(directory.path(), &["verify"]);
    assert!(code == 0 && out.contains("journal.db: 2 records"), "{out}");
    let segment = directory.path().join("connector-0-0000000000000007.seg");
    std::fs::write(&segment, "a letter to my mother, who lives far away from here").expect("written");
    let (code, _, err) = tandem(directory.path(), &["verify"]);
    assert!(
        code == 1 && err.contains("0007.seg: it is not a file of Tandem's journal"),
        "{err}"
    );
    std::fs::write(&segment, "a short letter").expect("written");
    let (code, _, err) = tandem(directory.path(), &["verify"]);
    assert!(
        code == 1 && err.contains("0007.seg: it is not a file of Tandem's journal"),
        "{err}"
    );
    let database = directory.path().join("journal.db");
    let mut bytes = std::fs::read(&database).expect("the database");
    let middle = bytes.len() / 2;
    bytes[middle..middle + 100].fill(0x55);
    std::fs::write(&database, bytes).expect("written");
    let (code, _, err) = tandem(directory.path(), &["verify"]);
    assert!(
        code == 1 && err.contains("journal.db: ") && err.contains("problems found"),
        "{err}"
    );
}

#[test]
fn the_journals_of_several_processes_are_found_below_their_directory() {
    let directory = tempfile::tempdir().expect("a directory");
    let kept: Vec<_> = ["tserver", "connector-1"]
        .map(|process| with_records(&directory.path().join(process)))
        .into_iter()
        .collect();
    // What has the name of no process is somebody else's.
    std::fs::create_dir(directory.path().join("archive")).expect("a directory");
    let shown = inspected(directory.path(), &["--summary"]);
    let directories: Vec<_> = (0..2).map(|scope| shown["scopes"][scope]["directory"].clone()).collect();
    assert_eq!(
        directories,
        ["connector-1", "tserver"].map(|process| json!(directory.path().join(process))),
        "{shown}"
    );
    let (code, text, _) = tandem(directory.path(), &["inspect", "--kind", "bindings"]);
    assert_eq!(
        (code, text.matches("bindings sip:1001@tandem.local: {").count()),
        (0, 2),
        "{text}"
    );
    let (code, _, err) = tandem(directory.path(), &["inspect", "--scope", "connector-7"]);
    assert!(code == 1 && err.contains("nothing is kept of connector-7"), "{err}");
    for (store, journal) in kept {
        drop((journal, store));
    }
    let database = directory.path().join("connector-1/journal.db");
    std::fs::write(&database, "not a database any more").expect("written");
    let (code, out, err) = tandem(directory.path(), &["verify"]);
    assert!(code == 1 && err.contains("connector-1/journal.db: "), "{err}");
    assert!(out.contains("tserver/journal.db: 2 records"), "{out}");
}

#[test]
fn the_configuration_says_where_the_journals_are() {
    let directory = tempfile::tempdir().expect("a directory");
    let _kept = with_records(&directory.path().join("tserver"));
    let set = format!("journal.dir={}", directory.path().display());
    let mut command = Command::new(env!("CARGO_BIN_EXE_tandem"));
    command.args(["journal", "verify", "--set", &set]);
    let (code, out, err) = program::run(&mut command, b"");
    assert!(code == 0 && out.contains("operations"), "{out}{err}");
}

#[test]
fn a_directory_that_is_not_there_is_told() {
    let directory = tempfile::tempdir().expect("a directory");
    for what in ["inspect", "verify"] {
        let (code, _, err) = tandem(&directory.path().join("nothing"), &[what]);
        assert!(code == 1 && err.contains("nothing: there is no such directory"), "{err}");
    }
    assert!(!directory.path().join("nothing").exists());
    for what in ["inspect", "verify"] {
        let (code, _, err) = tandem(directory.path(), &[what]);
        assert!(code == 1 && err.contains("there is no journal in it"), "{err}");
    }
    let (code, _, err) = tandem(directory.path(), &["inspect", "--scope", "alice"]);
    assert!(code == 2 && err.contains("connector-"), "{err}");
}
