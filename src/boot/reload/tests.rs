//! What is taken over from a new configuration, and what of it each process runs by.

use std::collections::BTreeSet;
use std::path::Path;

use tandem_actors::live::Settings;
use tandem_config::registry::OPTIONS;
use tandem_model::numbering::{CallingMethod, Destination, HandleDirectCalls, PassThrough};
use tandem_model::{DnId, KvList};

use super::*;

/// A configuration in which every option that the registry says needs no restart is another one than by default.
const OTHER: &str = "[server]\ndrain_timeout_s = 7\n\
    [sip]\nring_timeout_ms = 5000\nmax_requests_per_second_per_source = 3\nunlimited_sources = []\n\
    [log]\nfilter = \"debug\"\n[limits]\nmax_calls = 9\n[sizing]\nmax_calls = 9\nstopped_connectors = 1\n\
    [[cti.api_key]]\nname = \"a\"\nkey = \"12345678\"\nscopes = [\"read\"]\n\
    [media]\nmusic_directory = \".\"\nmusic = \"Cargo.toml\"\n\
    [conference]\nmax_parties = 9\npool_size = 9\ncaching_enabled = false\nreuse_avcall = 9\nuri_pattern = \"sip:c{D}@x\"\ncount = 9\n\
    lobby_bypass_enabled = false\n\
    [calls]\ncalling_method_dialplan = \"sip:plan@tandem.local\"\ncpn = \"sip:main@tandem.local\"\nallow_pass_through_calls = \"none\"\n\
    handle_direct_calls = \"false\"\nhandle_direct_calls_media = [\"im\"]\n\
    [[dn_folder]]\nname = \"A\"\npool_name = \"Pool1\"\n[[dn]]\ndn = \"sip:1@tandem.local\"\npassword = \"p\"\n\
    [[dn_range]]\ndn = \"sip:{n}@tandem.local\"\nfirst = 5\nlast = 6\n\
    [[trunk]]\ndn = \"sip:t@tandem.local\"\naddress = \"sip:192.0.2.1\"\n[[dial_rule]]\npattern = \"0.\"\ntrunk = \"sip:t@tandem.local\"\n\
    [[conference_dn]]\ndn = \"sip:9@tandem.local\"\n[[dial_plan]]\ndn = \"sip:plan@tandem.local\"\nrules = [\"+{#}\"]\n";

fn config(text: &str) -> Config {
    let loaded = Config::from_toml(text, Path::new("tandem.toml"), &[], []);
    loaded
        .map(|loaded| loaded.config)
        .unwrap_or_else(|problems| panic!("{problems:?}"))
}

#[test]
fn what_the_registry_says_of_a_restart_is_true() {
    let new = config(OTHER);
    let mut running = Config::default();
    let differences = running.differences(&new);
    let named: BTreeSet<_> = differences.iter().map(|difference| difference.option.as_str()).collect();
    let at_once = OPTIONS
        .iter()
        .filter(|option| option.takes_effect != TakesEffect::AfterRestart);
    for option in at_once {
        let list = option.path.split_once("[].").map(|(table, _)| format!("{table}[]"));
        let name = list.as_deref().unwrap_or(option.path);
        assert!(named.contains(name), "{} is not in this test", option.path);
    }
    assert!(
        differences
            .iter()
            .all(|found| found.takes_effect != TakesEffect::AfterRestart),
        "{differences:?}"
    );
    take_over(&mut running, &new);
    assert_eq!(
        running.differences(&new),
        [],
        "what takes effect without a restart is taken over"
    );
}

#[test]
fn what_needs_a_restart_is_told_again_and_again() {
    let mut running = Config::default();
    let mut new = Config::default();
    new.sip.t1_ms += 1;
    for _ in 0..2 {
        let changes: Vec<_> = running
            .differences(&new)
            .into_iter()
            .map(|found| change(&Place::of(Side::Whole), &new, found))
            .collect();
        assert_eq!(
            changes,
            [OptionChange {
                option: "sip.t1_ms".to_owned(),
                outcome: "needs restart",
                takes_effect: "after restart".to_owned(),
            }]
        );
        take_over(&mut running, &new);
    }
}

/// What becomes of each change at that place.
fn outcomes(place: &Place, before: &Config, after: &Config) -> Vec<(String, &'static str)> {
    let found = before.differences(after).into_iter();
    let changes = found.map(|found| change(place, after, found));
    changes.map(|change| (change.option, change.outcome)).collect()
}

fn connector_of(pool: &str) -> Place {
    Place {
        side: Side::Connector,
        pool: Some(pool.to_owned()),
    }
}

#[test]
fn what_only_the_other_process_runs_by_is_told_so() {
    let mut new = Config::default();
    new.sip.ring_timeout_ms += 1;
    new.media.descend = true;
    new.log.filter = "debug".to_owned();
    let expected = |ring, log, descend| {
        [("sip.ring_timeout_ms", ring), ("log.filter", log), ("media.descend", descend)]
            .map(|(option, outcome)| (option.to_owned(), outcome))
    };
    let outcomes = |place| outcomes(&place, &Config::default(), &new);
    let whole = outcomes(Place::of(Side::Whole));
    assert_eq!(whole, expected("applied", "applied", "needs restart"));
    let tserver = outcomes(Place::of(Side::TServer));
    assert_eq!(tserver, expected("applied", "applied", "not here"));
    let connector = outcomes(connector_of("default"));
    assert_eq!(connector, expected("not here", "applied", "needs restart"));
}

#[test]
fn the_music_and_the_conferences_of_a_pool_are_its_connectors_own() {
    let text = |size: u32| {
        format!(
            "[[dn_folder]]\nname = \"A\"\npool_name = \"Pool1\"\nconference_pool_size = {size}\n\
             [[dn_folder]]\nname = \"B\"\npool_name = \"Pool2\"\ncpn = \"sip:{size}@x\"\n"
        )
    };
    let (before, after) = (config(&text(1)), config(&text(2)));
    let expected = |size, cpn| {
        [
            ("dn_folder[0].conference_pool_size".to_owned(), size),
            ("dn_folder[1].cpn".to_owned(), cpn),
        ]
    };
    for (place, size, cpn) in [
        (Place::of(Side::Whole), "not here", "applied"),
        (Place::of(Side::TServer), "not here", "applied"),
        (connector_of("default"), "not here", "not here"),
        (connector_of("Pool1"), "applied", "not here"),
        (connector_of("Pool2"), "not here", "not here"),
    ] {
        assert_eq!(outcomes(&place, &before, &after), expected(size, cpn), "{place:?}");
    }
    let size = |pool| plan::settings(&connector_of(pool).config(&after), Vec::new()).map(|settings| settings.pool.pool_size);
    assert_eq!((size("Pool1"), size("default")), (Ok(2), Ok(0)));
}

#[test]
fn every_option_that_is_said_to_be_of_the_other_process_is_one() {
    for start in NOT_OF_TSERVER.iter().chain(NOT_OF_CONNECTOR).chain(OF_POOL) {
        assert!(OPTIONS.iter().any(|option| option.path.starts_with(start)), "{start}");
    }
}

const DNS: &str = "[[dn]]\ndn = \"sip:1@tandem.local\"\npassword = \"p\"\n[[dn]]\ndn = \"sip:2@tandem.local\"\n\
    [[trunk]]\ndn = \"sip:t@tandem.local\"\naddress = \"sip:192.0.2.1\"\n";

/// What runs after the change from one to the other.
fn changed(before: &str, after: &str) -> Settings {
    let mut running = config(&format!("{before}{DNS}"));
    take_over(&mut running, &config(after));
    plan::settings(&running, Vec::new()).unwrap_or_else(|problems| panic!("{problems:?}"))
}

/// The same, where `more` stands before the DNs afterwards.
fn with(more: &str) -> Settings {
    changed("", &format!("{more}{DNS}"))
}

fn dn(user: &str) -> DnId {
    DnId::new(&format!("sip:{user}@tandem.local"))
}

#[test]
fn conferences_are_made_as_the_new_configuration_says() {
    let pool =
        with("[conference]\npool_size = 3\ncaching_enabled = false\nreuse_avcall = 4\nuri_pattern = \"sip:c{D}@x\"\ncount = 2\n")
            .pool;
    assert_eq!((pool.pool_size, pool.caching_enabled, pool.reuse_limit), (3, false, 4));
    assert_eq!(pool.services, ["sip:c1@x".into(), "sip:c2@x".into()]);
    let settings =
        with("[conference]\nmax_parties = 5\nlobby_bypass_enabled = false\n[[conference_dn]]\ndn = \"sip:9@tandem.local\"\n");
    assert_eq!(settings.conference.max_parties, 5);
    let room = settings.numbering.dn(&dn("9")).and_then(|dn| dn.room.clone());
    assert!(room.is_some_and(|room| room.lobby && room.max_parties == 5));
}

#[test]
fn calls_go_by_the_new_policies() {
    let numbering = with(
        "[calls]\nallow_pass_through_calls = \"none\"\nhandle_direct_calls = \"false\"\nhandle_direct_calls_media = [\"im\"]\n",
    )
    .numbering;
    assert_eq!(numbering.pass_through(None), PassThrough::None);
    let direct = numbering.direct_calls(&dn("1"));
    assert_eq!((direct.handle, direct.media.av), (HandleDirectCalls::Never, false));
    let plan = "[calls]\ncalling_method_dialplan = \"sip:plan@tandem.local\"\ncpn = \"sip:1@tandem.local\"\n\
                [[dial_plan]]\ndn = \"sip:plan@tandem.local\"\nrules = [\"+{#}\"]\ncalling_method = \"b2b\"\n";
    let calling = |settings: &Settings| settings.numbering.calling(&dn("1"), "+49", &KvList::new()).expect("a way");
    let by_plan = calling(&with(plan));
    assert_eq!((by_plan.method, by_plan.identity), (CallingMethod::BackToBack, Some(dn("1"))));
    assert_ne!(
        calling(&changed(plan, DNS)).method,
        CallingMethod::BackToBack,
        "and back again"
    );
}

#[test]
fn numbers_lead_where_the_new_dial_rules_say() {
    let rule = |pattern: &str| format!("[[dial_rule]]\npattern = \"{pattern}\"\ntrunk = \"sip:t@tandem.local\"\n");
    let leads = |settings: &Settings, number: &str| {
        let way = settings.numbering.resolve(number, Some(&dn("1")));
        matches!(way, Destination::Trunk { .. })
    };
    let settings = changed(&rule("0."), &format!("{}{DNS}", rule("9.")));
    assert_eq!((leads(&settings, "0301"), leads(&settings, "9301")), (false, true));
}

#[test]
fn dns_and_trunks_come_and_go_with_their_passwords() {
    let trunk = "[[trunk]]\ndn = \"sip:t@tandem.local\"\naddress = \"sip:192.0.2.9\"\n";
    let dns = "[[dn]]\ndn = \"sip:1@tandem.local\"\npassword = \"q\"\n[[dn]]\ndn = \"sip:3@tandem.local\"\nnumber = \"333\"\n";
    let range = "[[dn_range]]\ndn = \"sip:{n}@tandem.local\"\nfirst = 70\nlast = 71\n";
    let settings = changed("", &format!("{dns}{range}{trunk}"));
    let password = |user| {
        settings
            .devices
            .device(&dn(user))
            .map(|device| device.password.as_deref().map(str::to_owned))
    };
    assert_eq!(password("1"), Some(Some("q".to_owned())));
    assert_eq!((password("2"), password("3"), password("71")), (None, Some(None), Some(None)));
    assert!(settings.numbering.dn(&dn("2")).is_none());
    assert_eq!(settings.numbering.resolve("333", None), Destination::Extension(dn("3")));
    let address = settings.devices.trunk(&dn("t")).map(|trunk| trunk.host_port.clone());
    assert_eq!(address.as_deref(), Some("192.0.2.9"));
}

#[test]
fn a_file_is_read_when_it_is_whole() {
    let age = |millis| Duration::from_millis(millis);
    assert_eq!(settles_in(10, SETTLED), None);
    assert_eq!(settles_in(10, age(30)), Some(age(70)));
    assert_eq!(settles_in(0, SETTLED), Some(MOMENT), "an empty one is about to be written");
    assert_eq!(settles_in(10, SETTLED - age(1)), Some(MOMENT));
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("tandem.toml");
    assert_eq!(await_settled(&file), Ok(()), "that there is none is told by whoever reads it");
    std::fs::write(&file, "[server]\n").expect("it is written");
    let written = Instant::now();
    assert_eq!(await_settled(&file), Ok(()));
    // The clock of files may be a tick behind.
    assert!(written.elapsed() >= SETTLED - MOMENT * 2, "{:?}", written.elapsed());
}
