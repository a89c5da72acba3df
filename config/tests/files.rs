//! The files that come with Tandem, and the defaults.

use std::path::Path;

use crate::Config;

#[test]
fn the_files_that_come_with_tandem_have_no_problem() {
    for (name, dns) in [
        ("default.toml", 8),
        ("bench.toml", 0),
        ("bench-media.toml", 0),
        ("bench-conf.toml", 0),
        ("load.toml", 4000),
    ] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
        let loaded = match Config::load(Some(&path), &[], []) {
            Ok(loaded) => loaded,
            Err(problems) => panic!("{}", problems.iter().map(|p| format!("{p}\n")).collect::<String>()),
        };
        assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
        assert_eq!(loaded.config.dns().count(), dns, "{name}");
    }
}

#[test]
fn the_defaults_are_loopback_only() {
    let config = Config::default();
    assert!(config.sip.listener.iter().all(|listener| listener.bind.ip().is_loopback()));
    assert_eq!(config.sip.listener.len(), 2);
    assert!(config.cti.bind.ip().is_loopback());
    assert_eq!(config.sip.realm(), "tandem.local");
}

#[test]
fn a_file_of_thousands_of_dns_loads_quickly() {
    let dn = |n: usize| format!("[[dn]]\ndn = \"sip:{n}@tandem.local\"\npassword = \"pw-{n}\"\nnumber = \"9{n}\"\n");
    let text: String = (10_000..15_000).map(dn).collect();
    let start = std::time::Instant::now();
    assert_eq!(super::loaded(&text).config.dn.len(), 5_000);
    assert!(start.elapsed() < std::time::Duration::from_secs(20), "{:?}", start.elapsed());
}
