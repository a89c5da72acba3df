//! Calls of the load generator over kills of the server: each is held, retrieved and released afterwards, and no event is missed or comes
//! twice.

use clap::Parser;
use tandem_load::cli::Cli;

use crate::rig::ports;

/// A run of `tandem-load crash` against a server on ports of its own.
fn crash(arguments: &[&str]) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = directory.path().join("tandem.toml");
    let (sip, cti) = (ports::free_port(), ports::free_port());
    let text = format!(
        "[sip]\ndomains = [\"tandem.local\"]\nt1_ms = 50\nt2_ms = 200\nt4_ms = 100\n\
         [[sip.listener]]\ntransport = \"udp\"\nbind = \"127.0.0.1:{sip}\"\n\
         [[sip.listener]]\ntransport = \"tcp\"\nbind = \"127.0.0.1:{sip}\"\n\
         [cti]\nbind = \"127.0.0.1:{cti}\"\n\
         [[cti.api_key]]\nname = \"load\"\nkey = \"load-key\"\nscopes = [\"cti\", \"read\", \"admin\"]\n\
         [log]\nfilter = \"warn\"\n\
         [[dn_range]]\ndn = \"sip:{{n}}@tandem.local\"\nfirst = 10000\nlast = 10199\npassword = \"load-{{n}}\"\nauto_answer = true\n"
    );
    std::fs::write(&file, text).expect("the configuration is written");
    let places = [
        ("--server-bin", env!("CARGO_BIN_EXE_tandem").to_owned()),
        ("--server-config", file.display().to_string()),
        ("--sip", format!("127.0.0.1:{sip}")),
        ("--cti", format!("ws://127.0.0.1:{cti}/v1/cti")),
        ("--metrics", format!("http://127.0.0.1:{cti}/metrics")),
    ];
    let places = places.iter().flat_map(|(name, value)| [*name, value.as_str()]);
    let line = ["tandem-load", "crash", "--quiet"]
        .into_iter()
        .chain(arguments.iter().copied())
        .chain(places);
    let cli = Cli::try_parse_from(line).expect("arguments");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let report = tokio::task::LocalSet::new().block_on(&runtime, tandem_load::run(&cli));
    let report = report.unwrap_or_else(|reason| panic!("{reason}"));
    assert!(report.passed, "{report}");
    println!("{report}");
}

#[test]
fn calls_that_are_up_outlive_two_kills() {
    crash(&["--calls", "20", "--rounds", "2", "--rate", "100", "--secs", "0.5"]);
}

#[test]
fn calls_of_phones_that_connect_anew_outlive_two_kills() {
    crash(&[
        "--transport",
        "tcp",
        "--calls",
        "20",
        "--rounds",
        "2",
        "--rate",
        "100",
        "--secs",
        "0.5",
    ]);
}

#[test]
fn calls_that_are_held_transferred_and_joined_outlive_two_kills() {
    crash(&[
        "--calls",
        "20",
        "--rounds",
        "2",
        "--rate",
        "20",
        "--secs",
        "0.5",
        "--mix",
        "--profile",
        "everything",
    ]);
}
