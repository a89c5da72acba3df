//! The habits of the tree, held by reading it: which crate may import which, how long a file may be, what stands nowhere.
//!
//! The files are those that git would show: tracked, or new and not ignored. Without git, everything but `target`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What our crates may import of ours. Imports run downward only.
const LAYERS: [(&str, &[&str]); 8] = [
    ("src/model", &[]),
    ("src/sip", &[]),
    ("src/media", &[]),
    ("src/wire", &["tandem-model"]),
    ("config", &[]),
    (
        "actors",
        &["tandem-model", "tandem-sip", "tandem-media", "tandem-wire", "tandem-config"],
    ),
    ("load", &["tandem-wire"]),
    (
        "",
        &[
            "tandem-actors",
            "tandem-model",
            "tandem-sip",
            "tandem-media",
            "tandem-wire",
            "tandem-config",
        ],
    ),
];
/// Crates without actors, sockets, timers or a clock. The media crate is one of them but for its pump threads and what measures them.
const PURE: [&str; 4] = ["src/model", "src/sip", "src/media", "src/wire"];
const PUMPS: [&str; 2] = ["src/media/plane/", "src/media/examples/"];
/// What the pump threads need: sockets, and the channels that control comes by.
const OF_PUMPS: [&str; 2] = ["socket2", "crossbeam"];
/// What may stand at the top of the repository.
const TOP: [&str; 13] = [
    ".ci",
    ".gitignore",
    "CHANGELOG.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "actors",
    "config",
    "load",
    "src",
    "tests",
];
/// Beside them, because tools look for them there.
const TOP_TOOLS: [&str; 2] = [".rustfmt.toml", "rustfmt.toml"];
const MAX_LINES: usize = 800;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file of the repository, relative to its root.
fn files() -> Vec<String> {
    let listed = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output();
    let mut files: Vec<String> = match listed {
        Ok(output) if output.status.success() && !output.stdout.is_empty() => {
            String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
        }
        _ => walk(PathBuf::new()),
    };
    files.retain(|file| root().join(file).is_file());
    files
}

fn walk(folder: PathBuf) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(root().join(&folder)).expect("a folder").flatten() {
        let path = folder.join(entry.file_name());
        let name = entry.file_name();
        if name == "target" || name == ".git" {
            continue;
        }
        if entry.path().is_dir() {
            found.extend(walk(path));
        } else {
            found.push(path.to_string_lossy().into_owned());
        }
    }
    found
}

fn read(file: &str) -> String {
    let bytes = std::fs::read(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
    String::from_utf8_lossy(&bytes).into_owned()
}

fn rust_files() -> Vec<String> {
    files().into_iter().filter(|file| file.ends_with(".rs")).collect()
}

fn is_test(file: &str) -> bool {
    file.starts_with("tests/")
        || file.ends_with("tests.rs")
        || file.split('/').any(|part| part == "tests" || part == "fuzz_targets")
}

/// The product part of a file: what stands before its test module.
fn without_tests(text: &str) -> &str {
    text.split("#[cfg(test)]").next().unwrap_or(text)
}

/// The lines that are code, with their numbers.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .map(|(at, line)| (at + 1, line))
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
}

fn nothing(found: Vec<String>, what: &str) {
    assert!(found.is_empty(), "{what}:\n  {}", found.join("\n  "));
}

fn crate_of(file: &str) -> &'static str {
    LAYERS
        .iter()
        .map(|(folder, _)| *folder)
        .find(|folder| file.starts_with(&format!("{folder}/")))
        .unwrap_or("")
}

fn dependencies(folder: &str) -> toml::Table {
    let manifest = read(
        if folder.is_empty() {
            "Cargo.toml".to_owned()
        } else {
            format!("{folder}/Cargo.toml")
        }
        .as_str(),
    );
    let manifest: toml::Table = manifest.parse().expect("a manifest");
    manifest
        .get("dependencies")
        .and_then(|table| table.as_table())
        .cloned()
        .unwrap_or_default()
}

#[test]
fn imports_run_downward_only() {
    let mut found = Vec::new();
    for (folder, allowed) in LAYERS {
        for name in dependencies(folder).keys().filter(|name| name.starts_with("tandem")) {
            if !allowed.contains(&name.as_str()) {
                found.push(format!("{folder} imports {name}"));
            }
        }
    }
    nothing(found, "imports that the layers do not allow");
}

#[test]
fn every_crate_has_its_layer() {
    let manifests = files()
        .into_iter()
        .filter(|file| file.ends_with("Cargo.toml") && !file.contains("/fuzz/"));
    let folders: BTreeSet<String> = manifests
        .map(|file| file.trim_end_matches("Cargo.toml").trim_end_matches('/').to_owned())
        .collect();
    let known: BTreeSet<String> = LAYERS.iter().map(|(folder, _)| (*folder).to_owned()).collect();
    assert_eq!(folders, known);
}

#[test]
fn pure_crates_have_no_actors_and_no_sockets() {
    let forbidden = [
        "actix",
        "tokio",
        "socket2",
        "mio",
        "crossbeam",
        "rusqlite",
        "hickory-resolver",
    ];
    let mut found = Vec::new();
    for folder in PURE {
        let of_crate = dependencies(folder);
        let names = of_crate
            .keys()
            .filter(|name| forbidden.iter().any(|bad| name.starts_with(bad)))
            .filter(|name| folder != "src/media" || !OF_PUMPS.contains(&name.as_str()));
        found.extend(names.map(|name| format!("{folder} imports {name}")));
    }
    nothing(found, "pure crates that are not");
}

#[test]
fn only_the_actor_crate_knows_actors() {
    let mut found = Vec::new();
    for (folder, _) in LAYERS.iter().filter(|(folder, _)| !["actors", ""].contains(folder)) {
        let of_crate = dependencies(folder);
        found.extend(
            of_crate
                .keys()
                .filter(|name| name.starts_with("actix"))
                .map(|name| format!("{folder} imports {name}")),
        );
    }
    // The process starts the system and serves HTTP; it has no actor of its own.
    for file in rust_files()
        .into_iter()
        .filter(|file| crate_of(file).is_empty() && file.starts_with("src/"))
    {
        let text = read(&file);
        let lines = code(&text).filter(|(_, line)| line.contains("impl Actor for") || line.contains("impl actix::Actor for"));
        found.extend(lines.map(|(at, line)| format!("{file}:{at}: {}", line.trim())));
    }
    nothing(found, "actors outside the actor crate");
}

#[test]
fn pure_crates_take_the_time_as_an_argument() {
    let mut found = Vec::new();
    for file in rust_files()
        .into_iter()
        .filter(|file| PURE.contains(&crate_of(file)) && !is_test(file))
        .filter(|file| !PUMPS.iter().any(|pump| file.starts_with(pump)))
    {
        let text = read(&file);
        let clocks = ["Instant::now()", "SystemTime::now()", "UNIX_EPOCH.elapsed()"];
        let lines = code(without_tests(&text)).filter(|(_, line)| clocks.iter().any(|clock| line.contains(clock)));
        found.extend(lines.map(|(at, line)| format!("{file}:{at}: {}", line.trim())));
    }
    nothing(found, "pure crates that look at a clock");
}

#[test]
fn files_stay_short() {
    let long = rust_files().into_iter().filter(|file| !is_test(file)).filter_map(|file| {
        let lines = read(&file).lines().count();
        (lines > MAX_LINES).then(|| format!("{file}: {lines} lines"))
    });
    nothing(long.collect(), "files over 800 lines");
}

#[test]
fn every_module_says_what_it_is() {
    let silent = rust_files().into_iter().filter(|file| !read(file).starts_with("//!"));
    nothing(silent.collect(), "files that do not begin with //!");
}

#[test]
fn nothing_is_left_for_later() {
    // Put together here, so that this file does not hold them itself.
    let words = [
        concat!("to", "do!("),
        concat!("unimple", "mented!("),
        concat!("db", "g!("),
        concat!("FIX", "ME"),
        concat!("TO", "DO"),
        concat!("XX", "X:"),
    ];
    let mut found = Vec::new();
    for file in rust_files() {
        let text = read(&file);
        let lines = text
            .lines()
            .enumerate()
            .filter(|(_, line)| words.iter().any(|word| line.contains(word)));
        found.extend(lines.map(|(at, line)| format!("{file}:{}: {}", at + 1, line.trim())));
    }
    nothing(found, "unfinished work");
}

/// A test that sleeps hopes. Where one must (to pace what it sends), the line above says why.
#[test]
fn tests_wait_for_conditions_not_for_luck() {
    let words = [concat!("thread::", "sleep("), concat!("time::", "sleep(")];
    let mut found = Vec::new();
    for file in rust_files() {
        let text = read(&file);
        let tests = if is_test(&file) {
            text.as_str()
        } else {
            &text[without_tests(&text).len()..]
        };
        let mut reason = false;
        for line in tests.lines().map(str::trim) {
            if words.iter().any(|word| line.contains(word)) && !reason {
                found.push(format!("{file}: {line}"));
            }
            reason = line.starts_with("//");
        }
    }
    nothing(found, "tests that sleep");
}

#[test]
fn no_label_names_a_person_or_a_call() {
    let labels = ["dn", "call_id", "conn_id", "number", "user", "agent_id"];
    let mut found = Vec::new();
    for file in rust_files().into_iter().filter(|file| !is_test(file)) {
        let text = read(&file);
        for (at, line) in code(without_tests(&text)) {
            let is_metric = ["counter!(", "gauge!(", "histogram!("].iter().any(|name| line.contains(name));
            if is_metric && labels.iter().any(|label| line.contains(&format!("\"{label}\" =>"))) {
                found.push(format!("{file}:{at}: {}", line.trim()));
            }
        }
    }
    nothing(found, "labels without a bound");
}

#[test]
fn no_file_names_a_folder_of_one_machine() {
    let paths = [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/")];
    let mut found = Vec::new();
    for file in files() {
        let text = read(&file);
        let lines = text
            .lines()
            .enumerate()
            .filter(|(_, line)| paths.iter().any(|path| line.contains(path)));
        found.extend(lines.map(|(at, line)| format!("{file}:{}: {}", at + 1, line.trim())));
    }
    nothing(found, "paths of one machine");
}

#[test]
fn the_top_shows_only_the_layout() {
    let top: BTreeSet<String> = files()
        .iter()
        .map(|file| file.split('/').next().unwrap_or_default().to_owned())
        .collect();
    let strange = top
        .into_iter()
        .filter(|name| !TOP.contains(&name.as_str()) && !TOP_TOOLS.contains(&name.as_str()));
    nothing(strange.collect(), "more at the top than the layout has");
}

#[test]
fn no_module_is_a_drawer() {
    let drawers = ["util", "utils", "helper", "helpers", "common", "manager", "misc"];
    let found = rust_files()
        .into_iter()
        .filter(|file| file.split('/').any(|part| drawers.contains(&part.trim_end_matches(".rs"))));
    nothing(found.collect(), "modules without a subject");
}
