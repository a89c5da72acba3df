//! What `config check` says of sizes, file by file.

use super::loaded;
use crate::{Verdict, registry};

fn link(name: &str, pool: &str) -> String {
    format!("[[link]]\nname = \"{name}\"\nhostname = \"{name}\"\nport = 1\npool_name = \"{pool}\"\n")
}

fn range(folder: &str, first: u64, last: u64) -> String {
    let folder = if folder.is_empty() {
        String::new()
    } else {
        format!("folder = \"{folder}\"\n")
    };
    format!("[[dn_range]]\ndn = \"sip:{{n}}@tandem.local\"\nfirst = {first}\nlast = {last}\npassword = \"x\"\n{folder}")
}

fn said(text: &str) -> String {
    loaded(text).sizing(4).to_string()
}

/// Seed 002 lines 2147-2151: 3 connectors, 1 may be stopped, 100 calls; 60 conferences, and so 6 endpoints.
#[test]
fn the_example_of_the_seed_comes_out_as_in_the_seed() {
    let links: String = ["c1", "c2", "c3"].map(|name| link(name, "default")).concat();
    let sizing = "[sizing]\nmax_calls = 100\nstopped_connectors = 1\n";
    let text = format!("{sizing}[conference]\npool_size = 60\nuri_pattern = \"sip:conf{{DD}}@skype.lab\"\ncount = 6\n{links}");
    assert_eq!(
        said(&text),
        "sizing of pool `default`: 100 calls at a time, 0 DNs, 3 connectors of which 1 may be stopped\n\
         \x20 ok     3 of [[link]]; 2 needed: 200 legs each, and 1 that may be stopped\n\
         \x20 ok     `conference.pool_size` = 60; 60 needed: 1.2 * 100 / (3 - 1)\n\
         \x20 ok     `conference.count` = 6; 6 needed: 60 / 10\n\
         \x20 ok     `sip.max_sessions` = 100000; 100 needed: 2 * 100 / 2\n"
    );
    let short = text
        .replace("pool_size = 60", "pool_size = 40")
        .replace("count = 6", "count = 99");
    let report = loaded(&short).sizing(4);
    let verdicts: Vec<_> = report.pools[0]
        .requirements
        .iter()
        .map(|found| (found.configured, found.needed, found.verdict))
        .collect();
    let expected = [
        (3, 2, Verdict::Ok),
        (40, 60, Verdict::Short),
        (99, 6, Verdict::Over),
        (100_000, 100, Verdict::Ok),
    ];
    assert_eq!(verdicts, expected);
}

#[test]
fn a_file_that_expects_nothing_is_told_nothing() {
    assert_eq!(said(""), "");
    assert_eq!(said(&range("", 1, 500)), "");
    assert!(loaded("").sizing(4).is_empty());
}

#[test]
fn each_pool_has_its_own_load_and_its_own_connectors() {
    let text = "[sizing]\nmax_calls = 1500\n[sip]\nmax_sessions = 500\n[media]\nmode = \"anchored\"\nport_first = 20001\nport_last = 20401\n\
                [[dn_folder]]\nname = \"A\"\npool_name = \"Pool1\"\nmax_calls = 300\nconference_pool_size = 400\nuri_pattern = \"sip:c{DD}@a.lab\"\n\
                count = 3\ncaching_enabled = false\n[[dn_folder]]\nname = \"B\"\npool_name = \"Pool2\"\n"
        .to_owned()
        + &link("a1", "Pool1")
        + &link("b1", "Pool2")
        + &link("b2", "Pool2")
        + &link("d1", "default")
        + &range("A", 10_000, 10_099)
        + &range("B/below", 20_000, 20_799)
        + &range("", 30_000, 30_199);
    assert_eq!(
        said(&text),
        "sizing of pool `default`: 240 calls at a time, 200 DNs, 1 connector\n\
         \x20 ok     1 of [[link]]; 1 needed: 480 legs each\n\
         \x20 off    `conference.pool_size` = 0; 288 needed: 1.2 * 240 / (1 - 0)\n\
         \x20 ok     `sip.max_sessions` = 500; 480 needed: 2 * 240 / 1\n\
         \x20 SHORT  400 ports from `media.port_first` to `media.port_last`; 960 needed: two ports for each of 2 * 240 / 1 legs\n\
         \x20 hint   the sizing guideline was tested with 150 calls for each connector of 6 cores and 8 GB: by it 2 connectors\n\
         sizing of pool `Pool1`: 300 calls at a time, 100 DNs, 1 connector\n\
         \x20 SHORT  1 of [[link]]; 2 needed: 300 legs each\n\
         \x20 ok     `dn_folder[0].conference_pool_size` = 400; 180 needed: 1.2 * 300 / (2 - 0)\n\
         \x20 SHORT  `dn_folder[0].count` = 3; 40 needed: 400 / 10\n\
         \x20 ok     `sip.max_sessions` = 500; 300 needed: 2 * 300 / 2\n\
         \x20 SHORT  400 ports from `media.port_first` to `media.port_last`; 600 needed: two ports for each of 2 * 300 / 2 legs\n\
         \x20 hint   conferences made in advance serve one call each: `caching_enabled` is false\n\
         sizing of pool `Pool2`: 960 calls at a time, 800 DNs, 2 connectors\n\
         \x20 SHORT  2 of [[link]]; 4 needed: 480 legs each\n\
         \x20 SHORT  `dn_folder[1].conference_pool_size` = 0; 288 needed: 1.2 * 960 / (4 - 0)\n\
         \x20 ok     `sip.max_sessions` = 500; 480 needed: 2 * 960 / 4\n\
         \x20 SHORT  400 ports from `media.port_first` to `media.port_last`; 960 needed: two ports for each of 2 * 960 / 4 legs\n\
         \x20 hint   the sizing guideline was tested with 150 calls for each connector of 6 cores and 8 GB: by it 7 connectors\n\
         sizing of the server\n\
         \x20 hint   the sizing guideline was tested with 1200 calls and 1000 agents for one T-Server: measure with more before relying on it\n"
    );
}

#[test]
fn in_one_process_the_load_of_all_pools_is_that_of_its_connectors() {
    let text = "[limits]\nmax_calls = 60\n[connectors]\ncount = 0\n[conference]\npool_size = 18\n\
                [[dn_folder]]\nname = \"A\"\npool_name = \"Pool1\"\nmax_calls = 80\n"
        .to_owned()
        + &range("A", 1, 600);
    assert_eq!(
        said(&text),
        "sizing of pool `default`: 60 calls at a time, 600 DNs, 4 connectors\n\
         \x20 ok     `connectors.count` = 4; 1 needed: 120 legs each\n\
         \x20 ok     `conference.pool_size` = 18; 18 needed: 1.2 * 60 / (4 - 0)\n\
         \x20 SHORT  `conference.count` = 0; 1 needed: 18 / 10\n\
         \x20 ok     `sip.max_sessions` = 100000; 30 needed: 2 * 60 / 4\n\
         sizing of the server\n\
         \x20 hint   80 calls at a time are expected, and `max_calls` of [limits] lets 60 be\n\
         \x20 hint   the pools expect 80 calls together, and `max_calls` of [sizing] 60\n"
    );
}

#[test]
fn without_a_load_it_says_what_there_is_enough_for() {
    assert_eq!(
        said(
            "[conference]\npool_size = 60\nuri_pattern = \"sip:conf{D}@x\"\ncount = 6\n[sizing]\nstopped_connectors = 1\n[connectors]\ncount = 3\n"
        ),
        "sizing of pool `default`: 0 DNs, 3 connectors of which 1 may be stopped\n\
         \x20 ok     `conference.count` = 6; 6 needed: 60 / 10\n\
         \x20 hint   60 conferences made in advance at each of 2 connectors are for 100 calls at a time; `max_calls` of [sizing] says how many are \
         expected\n"
    );
    assert_eq!(
        said(&range("", 1, 501)),
        "sizing of pool `default`: 501 DNs, 1 connector\n\
         \x20 hint   501 DNs, and no conferences made in advance: for more than 500 they are needed; `max_calls` of [sizing] says how many\n"
    );
    let beyond = "[limits]\nmax_calls = 10\n[sizing]\nmax_calls = 20\nstopped_connectors = 2\n";
    assert!(said(beyond).contains("20 calls at a time are expected, and `max_calls` of [limits] lets 10 be"));
    assert!(said(beyond).contains("SHORT  `connectors.count` = 1; 3 needed: 40 legs each, and 2 that may be stopped"));
}

#[test]
fn a_pool_that_takes_more_conferences_than_a_connector_can_make_takes_more_connectors() {
    let most = registry::option("conference.pool_size").map(|option| option.kind.to_string());
    assert_eq!(most.as_deref(), Some("0 to 6000"));
    let text = said("[sizing]\nmax_calls = 50000\n[conference]\npool_size = 6000\n[connectors]\ncount = 10\n");
    assert!(
        text.contains("ok     `connectors.count` = 10; 10 needed: 10000 legs each"),
        "{text}"
    );
    assert!(
        text.contains("ok     `conference.pool_size` = 6000; 6000 needed: 1.2 * 50000 / (10 - 0)"),
        "{text}"
    );
}
