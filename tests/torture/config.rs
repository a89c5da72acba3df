//! Wrong configurations: `tandem config check` says what is wrong, where, and what to write instead, and exits with 1.

use std::process::Command;

use crate::rig::program::run;

/// Exit code and standard error of `tandem config check`, the file called FILE.
fn check(toml: &str) -> (i32, String) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = directory.path().join("wrong.toml");
    std::fs::write(&file, toml).expect("the configuration is written");
    let (code, _, stderr) = run(
        Command::new(env!("CARGO_BIN_EXE_tandem"))
            .args(["config", "check"])
            .arg(&file),
        b"",
    );
    (code, stderr.replace(&file.display().to_string(), "FILE"))
}

#[test]
fn every_problem_of_a_wrong_file_is_told_at_once() {
    let wrong = [
        ("an unknown key", "[sip]\nt1_msec = 500\n"),
        ("an unknown section", "[sipp]\nt1_ms = 500\n"),
        ("a wrong type", "[sip]\nt1_ms = \"fast\"\n"),
        ("out of range", "[sip]\nt1_ms = 1\nring_timeout_ms = 999999999\n"),
        ("no TOML", "[sip\nt1_ms = 500\n"),
        ("a bad address", "[[sip.listener]]\nbind = \"localhost\"\n"),
        (
            "a rule without its trunk",
            "[[dial_rule]]\npattern = \"9X.\"\ntrunk = \"sip:nowhere@tandem.local\"\n",
        ),
        (
            "two DNs with one name",
            "[[dn]]\ndn = \"sip:a@tandem.local\"\npassword = \"x\"\n[[dn]]\ndn = \"sip:A@tandem.local\"\npassword = \"y\"\n",
        ),
        (
            "two keys in one",
            "[[cti.api_key]]\nname = \"k\"\nkey = \"12345678\"\nkey_sha256 = \"00\"\n",
        ),
        ("several at once", "[sip]\nt1_ms = 1\nfoo = 2\n[log]\nfilter = \"shout\"\n"),
    ];
    let mut text = String::new();
    for (name, toml) in wrong {
        let (code, stderr) = check(toml);
        assert_eq!(code, 1, "{name}: {stderr}");
        text.push_str(&format!("# {name}\n{toml}---\n{stderr}\n"));
    }
    insta::with_settings!({prepend_module_to_snapshot => false, omit_expression => true}, {
        insta::assert_snapshot!("wrong_configurations", text);
    });
}

#[test]
fn the_files_that_come_with_the_product_have_no_problem() {
    for file in ["default.toml", "bench.toml", "load.toml"] {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("config").join(file);
        let (code, _, stderr) = run(
            Command::new(env!("CARGO_BIN_EXE_tandem")).args(["config", "check"]).arg(path),
            b"",
        );
        assert_eq!((code, stderr.as_str()), (0, ""), "{file}");
    }
}

#[test]
fn a_server_with_a_wrong_file_does_not_start() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = directory.path().join("wrong.toml");
    std::fs::write(&file, "[sip]\nt1_msec = 500\n").expect("the configuration is written");
    let (code, stdout, stderr) = run(
        Command::new(env!("CARGO_BIN_EXE_tandem"))
            .args(["serve", "--config"])
            .arg(&file),
        b"",
    );
    assert_eq!((code, stdout.as_str()), (1, ""));
    assert!(stderr.contains("t1_msec") && stderr.contains("t1_ms"), "{stderr}");
}

#[test]
fn a_port_that_is_taken_is_named() {
    let taken = std::net::UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let address = taken.local_addr().expect("an address");
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = directory.path().join("taken.toml");
    let toml = format!("[[sip.listener]]\ntransport = \"udp\"\nbind = \"{address}\"\n[cti]\nbind = \"127.0.0.1:0\"\n");
    std::fs::write(&file, toml).expect("the configuration is written");
    let (code, stdout, stderr) = run(
        Command::new(env!("CARGO_BIN_EXE_tandem"))
            .args(["serve", "--config"])
            .arg(&file),
        b"",
    );
    assert_eq!((code, stdout.as_str()), (1, ""));
    assert!(stderr.contains(&address.to_string()), "{stderr}");
}

/// A pool that nobody serves is a warning, and what the load takes is told beside it; with `--json` all of it is one document.
#[test]
fn pools_that_nobody_serves_and_the_sizes_that_a_load_takes_are_told() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = directory.path().join("pools.toml");
    let toml = "[[cti.api_key]]\nname = \"a\"\nkey = \"12345678\"\n\
                [sizing]\nmax_calls = 100\nstopped_connectors = 1\n[conference]\npool_size = 40\n\
                [[dn_folder]]\nname = \"Env36\"\npool_name = \"Pool1\"\n\
                [[link]]\nname = \"c1\"\nhostname = \"127.0.0.1\"\nport = 9001\n";
    std::fs::write(&file, toml).expect("the configuration is written");
    let check = |json: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tandem"));
        let (code, stdout, stderr) = run(command.args(["config", "check"]).arg(&file).args(json), b"");
        let named = |text: String| text.replace(&file.display().to_string(), "FILE");
        (code, named(stdout), named(stderr))
    };
    let (code, stdout, stderr) = check(&[]);
    assert_eq!(
        (code, stderr.as_str()),
        (
            0,
            "warning: FILE:11:13: no [[link]] has `pool_name` = \"Pool1\": nobody serves folder `Env36`\n"
        )
    );
    assert_eq!(
        stdout,
        "FILE: no problem found\n\
         sizing of pool `default`: 100 calls at a time, 0 DNs, 1 connector of which 1 may be stopped\n\
         \x20 SHORT  1 of [[link]]; 2 needed: 200 legs each, and 1 that may be stopped\n\
         \x20 SHORT  `conference.pool_size` = 40; 120 needed: 1.2 * 100 / (2 - 1)\n\
         \x20 SHORT  `conference.count` = 0; 12 needed: 120 / 10\n\
         \x20 ok     `sip.max_sessions` = 100000; 200 needed: 2 * 100 / 1\n"
    );
    let (code, stdout, stderr) = check(&["--json"]);
    assert_eq!((code, stderr.as_str()), (0, ""));
    let document: serde_json::Value = serde_json::from_str(&stdout).expect("JSON");
    assert_eq!(document["warnings"].as_array().map(Vec::len), Some(1));
    assert_eq!(document["problems"].as_array().map(Vec::len), Some(0));
    let short = &document["sizing"]["pools"][0]["requirements"][1];
    assert_eq!(short["option"], "conference.pool_size");
    assert_eq!((&short["needed"], &short["verdict"]), (&120.into(), &"short".into()));
}
