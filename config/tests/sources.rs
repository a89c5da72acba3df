//! The sources one over another: defaults, file, environment, `--set`; secrets from files; what `show` prints.

use std::fs;
use std::path::Path;

use super::{lines, loaded};
use crate::{Config, Loaded, Place, Problem, Transport};

fn with(text: &str, sets: &[&str], env: &[(&str, &str)]) -> Result<Loaded, Vec<Problem>> {
    let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
    let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Config::from_toml(text, Path::new("x.toml"), &sets, env)
}

fn said(result: Result<Loaded, Vec<Problem>>) -> Vec<String> {
    result.map_or_else(|problems| lines(&problems), |_| Vec::new())
}

#[test]
fn the_later_source_wins_and_the_origin_says_so() -> Result<(), Vec<Problem>> {
    let file = "[sip]\nt1_ms = 100\nt2_ms = 1000\nt4_ms = 1000\n";
    let env = [
        ("TANDEM_SIP__T2_MS", "2000"),
        ("TANDEM_SIP__T4_MS", "2000"),
        ("TANDEM_CONFIG", "x.toml"),
        ("HOME", "/"),
    ];
    let loaded = with(file, &["sip.t4_ms=3000"], &env)?;
    let sip = &loaded.config.sip;
    assert_eq!((sip.t1_ms, sip.t2_ms, sip.t4_ms, sip.nonce_lifetime_s), (100, 2000, 3000, 60));
    let origin = |path: &str| loaded.origins.get(path).cloned();
    assert_eq!(
        origin("sip.t1_ms"),
        Some(Place::Line {
            file: "x.toml".into(),
            line: 2,
            column: 9
        })
    );
    assert_eq!(origin("sip.t2_ms"), Some(Place::Environment("TANDEM_SIP__T2_MS".to_owned())));
    assert_eq!(origin("sip.t4_ms"), Some(Place::Set("sip.t4_ms".to_owned())));
    assert_eq!(origin("sip.nonce_lifetime_s"), None);
    Ok(())
}

#[test]
fn overrides_are_read_as_the_type_of_their_option() -> Result<(), Vec<Problem>> {
    let sets = [
        "server.name=42",
        "sip.product=\"quoted name\"",
        "sip.domains=A.example, b.example",
        "sip.digest_algorithms=[\"MD5\"]",
    ];
    let env = [
        ("TANDEM_SIP__REQUIRE_AUTH", "false"),
        ("TANDEM_LOG__FILTER", "warn,tandem_sip=debug"),
    ];
    let config = with("", &sets, &env)?.config;
    assert_eq!(config.server.name, "42");
    assert_eq!(config.sip.product, "quoted name");
    assert_eq!(config.sip.domains, ["a.example", "b.example"]);
    assert_eq!(config.sip.digest_algorithms.len(), 1);
    assert!(!config.sip.require_auth);
    assert_eq!(config.log.filter, "warn,tandem_sip=debug");
    Ok(())
}

#[test]
fn a_list_of_tables_is_replaced_as_a_whole() -> Result<(), Vec<Problem>> {
    let file =
        "[[sip.listener]]\nbind = \"127.0.0.1:1\"\nadvertised = \"10.0.0.1:1\"\n[[sip.listener]]\nbind = \"127.0.0.1:2\"\n";
    let loaded = with(
        file,
        &["sip.listener=[{ bind = \"127.0.0.1:3\", transport = \"tcp\" }]"],
        &[("TANDEM_TRUNK", "[]")],
    )?;
    let [listener] = loaded.config.sip.listener.as_slice() else {
        panic!("one listener")
    };
    assert_eq!(
        (listener.transport, listener.bind.port(), listener.advertised),
        (Transport::Tcp, 3, None)
    );
    assert!(!loaded.origins.contains_key("sip.listener[0].advertised"));
    Ok(())
}

#[test]
fn wrong_overrides_are_problems_with_their_name() {
    let sets = [
        "sip.t1_ms=fast",
        "sip.t1=5",
        "spi.t1_ms=5",
        "sip",
        "=5",
        "dn[0].password=hunter22",
        "trunk.dn=x",
        "trunk=5",
        "trunk=[{]",
        "cti=1",
        "x=1",
    ];
    let env = [
        ("TANDEM_SIP__T1_MS", "0"),
        ("TANDEM_SIPP__T1_MS", "5"),
        ("TANDEM_TSERVER__WRAP-UP-TIME", "5"),
    ];
    let expected = [
        "environment TANDEM_SIPP__T1_MS: unknown section [sipp]; did you mean `sip`?",
        "environment TANDEM_SIP__T1_MS: `t1_ms` = 0 is not valid; valid: 10 to 10000",
        "environment TANDEM_TSERVER__WRAP-UP-TIME: `wrap-up-time` is a known T-Server option, not supported by this version",
        "--set sip.t1_ms: `t1_ms` = \"fast\": that is a string; valid: 10 to 10000",
        "--set sip.t1: unknown key `t1` in [sip]; did you mean `t1_ms`?",
        "--set spi.t1_ms: unknown section [spi]; did you mean `sip`?",
        "--set sip: not of the form section.key=value",
        "--set =5: not of the form section.key=value",
        "--set dn[0].password: `dn` is a list of tables: from here it can be set as a whole only (`dn = [{ ... }]`)",
        "--set trunk.dn: `trunk` is a list of tables: from here it can be set as a whole only (`trunk = [{ ... }]`)",
        "--set trunk: `trunk` is a section, written [[trunk]]; here it is an integer",
        "--set trunk: not valid TOML: invalid inline table element, expected key",
        "--set cti: `cti` is a section, written [cti]; here it is a value",
        "--set x: unknown key `x` in the top level",
    ];
    assert_eq!(said(with("", &sets, &env)), expected);
}

#[test]
fn secrets_are_read_from_files_beside_the_configuration() -> std::io::Result<()> {
    let dir = tempfile::tempdir()?;
    let (file, name) = (
        dir.path().join("x.toml"),
        "[[cti.api_key]]\nname = \"a\"\nkey_file = \"a.key\"\n",
    );
    fs::write(&file, name)?;
    let load = || Config::load(Some(&file), &[], []);
    let fault = |result: Result<Loaded, Vec<Problem>>| {
        said(result)
            .first()
            .and_then(|line| line.split_once(": ").map(|(_, fault)| fault.to_owned()))
    };
    assert_eq!(
        fault(load()).as_deref(),
        Some("`key_file` = \"a.key\": No such file or directory (os error 2)")
    );
    fs::write(dir.path().join("a.key"), "\n")?;
    assert_eq!(
        fault(load()).as_deref(),
        Some("`key_file` = \"a.key\": its first line is empty")
    );
    fs::write(dir.path().join("a.key"), "tiny\n")?;
    assert_eq!(
        fault(load()).as_deref(),
        Some("`key_file` = \"a.key\": its first line has 4 characters; at least 8 are needed")
    );
    fs::write(dir.path().join("a.key"), "correct horse\nbattery\n")?;
    let loaded = load().map_err(|problems| std::io::Error::other(lines(&problems).join("\n")))?;
    assert_eq!(
        loaded
            .config
            .cti
            .api_key
            .first()
            .and_then(|key| key.key.as_ref())
            .map(|key| key.reveal()),
        Some("correct horse")
    );
    let shown = loaded.to_toml();
    assert!(
        shown.contains("key_file = \"a.key\"") && !shown.contains("correct") && !shown.contains("\nkey = "),
        "{shown}"
    );
    Ok(())
}

#[test]
fn files_that_cannot_be_read_are_a_problem_with_their_name() -> std::io::Result<()> {
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("x.toml");
    let load = || said(Config::load(Some(&file), &[], []));
    assert_eq!(
        load(),
        [format!(
            "{}: cannot be read: No such file or directory (os error 2)",
            file.display()
        )]
    );
    assert_eq!(
        said(Config::load(Some(dir.path()), &[], [])),
        [format!(
            "{}: cannot be read: Is a directory (os error 21)",
            dir.path().display()
        )]
    );
    fs::write(&file, b"[sip]\nproduct = \"\xff\"\n")?;
    assert_eq!(load(), [format!("{}: cannot be read: line 2 is not UTF-8", file.display())]);
    Ok(())
}

#[test]
fn what_show_prints_loads_again_as_the_same() {
    let text = "[server]\nname = \"a \\\"quoted\\\" name\"\n[[sip.listener]]\nbind = \"[::1]:0\"\n\
                [[cti.api_key]]\nname = \"k\"\nkey_sha256 = \"ABcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789\"\n\
                [[dn]]\ndn = \"sip:Alice@Tandem.local\"\ntrusted_sources = [\"10.0.0.0/8\", \"::1/128\"]\n\
                [[dn_range]]\ndn = \"sip:{n}@tandem.local\"\nfirst = 10\nlast = 12\ntrusted_sources = [\"10.0.0.0/8\"]\n\
                [[trunk]]\ndn = \"sip:t@tandem.local\"\naddress = \"sip:carrier.example\"\n\
                [[dial_rule]]\npattern = \"+49.\"\nstrip = 3\nprepend = \"0\"\ntrunk = \"sip:T@tandem.local\"\n";
    for text in ["", text] {
        let first = loaded(text);
        let shown = first.to_toml();
        assert_eq!(loaded(&shown).config, first.config, "{shown}");
    }
}

#[test]
fn show_masks_secrets_and_names_origins() -> Result<(), Vec<Problem>> {
    let text = "[[dn]]\ndn = \"sip:a@tandem.local\"\npassword = \"hunter2\"\n";
    let loaded = with(text, &["sip.t1_ms=200"], &[("TANDEM_SIP__T2_MS", "2000")])?;
    let shown = loaded.to_toml();
    let line = |start: &str| {
        shown
            .lines()
            .find(|line| line.starts_with(start))
            .unwrap_or_default()
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(line("password ="), "password = \"**** (length:07)\" # x.toml:3:12");
    assert_eq!(line("t1_ms"), "t1_ms = 200 # --set sip.t1_ms");
    assert_eq!(line("t2_ms"), "t2_ms = 2000 # environment TANDEM_SIP__T2_MS");
    assert_eq!(line("t4_ms"), "t4_ms = 5000 # default");
    assert_eq!(line("# realm"), "# realm is not set");
    assert!(!shown.contains("hunter2") && !format!("{:?}", loaded).contains("hunter2"));
    Ok(())
}

#[test]
fn a_range_is_every_dn_from_first_to_last() {
    let text = "[[dn_range]]\ndn = \"sip:{n}@tandem.local\"\nfirst = 98\nlast = 100\npassword = \"pw-{n}\"\nauto_answer = true\n";
    let dns: Vec<_> = loaded(text).config.dns().collect();
    let names: Vec<_> = dns.iter().map(|dn| dn.dn.as_str()).collect();
    assert_eq!(names, ["sip:98@tandem.local", "sip:99@tandem.local", "sip:100@tandem.local"]);
    assert!(dns.iter().all(|dn| dn.auto_answer && dn.number.is_none()));
    assert_eq!(
        dns.last()
            .and_then(|dn| dn.password.as_ref())
            .map(|password| password.reveal()),
        Some("pw-100")
    );
}

#[test]
fn paths_of_the_media_plane_start_at_the_configuration_file() -> Result<(), Vec<Problem>> {
    let text = "[media]\nmusic_directory = \"music\"\nmusic = \"default.wav\"\nprompt_directory = \"/prompts\"\n";
    let loaded = Config::from_toml(text, Path::new("/etc/tandem/x.toml"), &[], [])?;
    let media = &loaded.config.media;
    assert_eq!(media.music_directory.as_deref(), Some(Path::new("/etc/tandem/music")));
    assert_eq!(media.music.as_deref(), Some(Path::new("/etc/tandem/music/default.wav")));
    assert_eq!(media.prompt_directory.as_deref(), Some(Path::new("/prompts")));
    let warnings: Vec<String> = loaded.warnings.iter().map(ToString::to_string).collect();
    let music = "x.toml:3:9: `music` = \"/etc/tandem/music/default.wav\": there is no such file; `serve` refuses to start";
    assert!(warnings.iter().any(|warning| warning.ends_with(music)), "{warnings:?}");
    Ok(())
}

#[test]
fn conferences_and_trunks_say_what_is_in_effect_for_them() -> Result<(), Vec<Problem>> {
    let text = "[conference]\nuri_pattern = \"sip:conf{DD}@skype.lab\"\ncount = 99\nlobby_bypass_enabled = false\n\
                [[conference_dn]]\ndn = \"sip:M@tandem.local\"\nmax_parties = 5\n\
                [[conference_dn]]\ndn = \"sip:n@tandem.local\"\nlobby = false\n\
                [[trunk]]\ndn = \"sip:t@tandem.local\"\naddress = \"sip:127.0.0.1\"\nheaders = [\"X-Tenant: 7:8\"]\n";
    let config = with(text, &[], &[])?.config;
    let endpoints: Vec<_> = config.conference.endpoints().collect();
    assert_eq!(
        (endpoints.len(), endpoints.first().map(String::as_str)),
        (99, Some("sip:conf01@skype.lab"))
    );
    let resolved: Vec<_> = config
        .conference_dn
        .iter()
        .map(|dn| {
            (
                dn.dn.as_str(),
                dn.resolved_max_parties(&config.conference),
                dn.resolved_lobby(&config.conference),
            )
        })
        .collect();
    assert_eq!(
        resolved,
        [("sip:m@tandem.local", 5, true), ("sip:n@tandem.local", 100, false)]
    );
    let headers: Vec<_> = config.trunk.iter().flat_map(|trunk| trunk.custom_headers()).collect();
    assert_eq!(headers, [("X-Tenant", "7:8")]);
    Ok(())
}

#[test]
fn the_journal_is_where_the_file_says_or_the_service_manager_or_beside_the_file() {
    let dir = |text: &str, env: &[(&str, &str)]| {
        let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let loaded = Config::from_toml(text, Path::new("/etc/tandem/tandem.toml"), &[], env).expect("no problem");
        loaded
            .config
            .journal
            .directory()
            .map(|path| path.to_string_lossy().into_owned())
    };
    let service = [("STATE_DIRECTORY", "/var/lib/tandem:/var/lib/other")];
    assert_eq!(dir("", &[]).as_deref(), Some("/etc/tandem/tandem-data/journal"));
    assert_eq!(
        dir("", &[("STATE_DIRECTORY", "")]).as_deref(),
        Some("/etc/tandem/tandem-data/journal")
    );
    assert_eq!(dir("", &service).as_deref(), Some("/var/lib/tandem/journal"));
    assert_eq!(
        dir("[journal]\ndir = \"kept\"", &service).as_deref(),
        Some("/etc/tandem/kept")
    );
    assert_eq!(dir("[journal]\ndir = \"/srv/kept\"", &[]).as_deref(), Some("/srv/kept"));
    assert_eq!(dir("[journal]\nenabled = false", &service), None);
}
