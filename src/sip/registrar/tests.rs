//! RFC 3261 s.10.3 step by step, then what no sequence of REGISTERs may bring about.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::flow::{Flow, ListenerId, Transport};
use crate::message::Message;

const AOR: &str = "sip:alice@tandem.test";

fn config() -> RegistrarConfig {
    RegistrarConfig {
        min_expires: 60,
        default_expires: 3600,
        max_expires: 7200,
        max_contacts_per_aor: 3,
        max_aors: 4,
    }
}

fn udp() -> Flow {
    let peer = SocketAddr::from(([192, 0, 2, 7], 5070));
    Flow {
        transport: Transport::Udp,
        listener: ListenerId(0),
        peer,
        connection: None,
    }
}

fn tcp(id: u64) -> Flow {
    Flow {
        transport: Transport::Tcp,
        connection: Some(ConnectionId(id)),
        ..udp()
    }
}

/// A REGISTER as a phone sends it, with these Contact, Expires, Path, ... lines.
fn message(call_id: &str, cseq: u32, lines: &[&str]) -> Message {
    let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    let text = format!(
        "REGISTER sip:tandem.test SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.7:5070;branch=z9hG4bK1\r\nFrom: <{AOR}>;tag=1\r\nTo: <{AOR}>\r\n\
         Call-ID: {call_id}\r\nCSeq: {cseq} REGISTER\r\nMax-Forwards: 70\r\n{lines}Content-Length: 0\r\n\r\n"
    );
    Message::parse(Bytes::from(text)).expect("well-formed")
}

struct Bench {
    registrar: Registrar,
    now: Instant,
    cseq: u32,
}

impl Bench {
    fn new() -> Self {
        Self {
            registrar: Registrar::new(config()),
            now: Instant::now(),
            cseq: 0,
        }
    }

    fn register_from(&mut self, flow: Flow, lines: &[&str]) -> RegisterOutcome {
        self.cseq += 1;
        self.send("call", self.cseq, flow, lines)
    }

    fn register(&mut self, lines: &[&str]) -> RegisterOutcome {
        self.register_from(udp(), lines)
    }

    fn send(&mut self, call_id: &str, cseq: u32, flow: Flow, lines: &[&str]) -> RegisterOutcome {
        let outcome = match Register::from_message(&message(call_id, cseq, lines), flow) {
            Ok(register) => self.registrar.handle(self.now, AOR, register),
            Err(refusal) => refusal.into(),
        };
        assert!(self.registrar.is_consistent());
        outcome
    }

    fn wait(&mut self, secs: u64) {
        self.now += Duration::from_secs(secs);
    }

    fn uris(&self) -> Vec<String> {
        self.registrar
            .bindings(AOR, self.now)
            .iter()
            .map(|binding| binding.uri.to_string())
            .collect()
    }
}

fn contacts(outcome: &RegisterOutcome) -> Vec<&str> {
    outcome
        .headers
        .iter()
        .filter(|(name, _)| *name == "Contact")
        .map(|(_, value)| value.as_str())
        .collect()
}

#[test]
fn a_contact_is_added_refreshed_listed_and_removed() {
    let mut bench = Bench::new();
    let added = bench.register(&["Contact: <sip:alice@192.0.2.7:5070>", "Expires: 600"]);
    assert_eq!((added.status, added.changed), (200, true));
    assert_eq!(contacts(&added), ["<sip:alice@192.0.2.7:5070>;expires=600"]);
    bench.wait(100);
    let query = bench.register(&[]);
    assert_eq!(
        (contacts(&query), query.changed),
        (vec!["<sip:alice@192.0.2.7:5070>;expires=500"], false)
    );
    let refreshed = bench.register(&["Contact: <sip:alice@192.0.2.7:5070>;expires=700"]);
    assert_eq!(
        (contacts(&refreshed), refreshed.changed),
        (vec!["<sip:alice@192.0.2.7:5070>;expires=700"], false)
    );
    let moved = bench.register_from(tcp(1), &["Contact: <sip:alice@192.0.2.7:5070>"]);
    assert_eq!((moved.changed, bench.registrar.len()), (true, 1));
    let removed = bench.register(&[
        "Contact: <sip:ALICE@192.0.2.7:5070>;expires=0",
        "Contact: <sip:alice@192.0.2.7:5070>;expires=0",
    ]);
    assert_eq!((removed.status, contacts(&removed).len(), removed.changed), (200, 0, true));
    assert!(bench.registrar.is_empty() && bench.registrar.next_timeout().is_none() && bench.registrar.aors().count() == 0);
    let again = bench.register(&["Contact: <sip:alice@192.0.2.7:5070>;expires=0"]);
    assert_eq!((again.status, again.changed), (200, false), "removing what is not there");
}

#[test]
fn how_long_is_decided_by_parameter_header_default_and_limits() {
    // Lines, status, and the time that is granted or the header of the refusal.
    let cases: &[(&[&str], u16, &str)] = &[
        (&["Contact: <sip:a@192.0.2.7>"], 200, "3600"),
        (&["Contact: <sip:a@192.0.2.7>", "Expires: 100"], 200, "100"),
        (&["Contact: <sip:a@192.0.2.7>;expires=200", "Expires: 100"], 200, "200"),
        (&["Contact: <sip:a@192.0.2.7>;expires=99999999999"], 200, "7200"),
        (&["Contact: <sip:a@192.0.2.7>;expires=soon"], 200, "3600"),
        (&["Contact: <sip:a@192.0.2.7>;expires=60"], 200, "60"),
        (&["Contact: <sip:a@192.0.2.7>;expires=59"], 423, "60"),
        (&["Contact: <sip:a@192.0.2.7>", "Expires: 1"], 423, "60"),
    ];
    for (lines, status, value) in cases {
        let outcome = Bench::new().register(lines);
        assert_eq!(outcome.status, *status, "{lines:?}");
        let expected = match status {
            200 => ("Contact", format!("<sip:a@192.0.2.7>;expires={value}")),
            _ => ("Min-Expires", (*value).to_owned()),
        };
        assert_eq!(outcome.headers, [expected], "{lines:?}");
    }
    // A minimum above an hour is not held against a phone that asks for an hour.
    let mut strict = Registrar::new(RegistrarConfig {
        min_expires: 7200,
        ..config()
    });
    let ask = |secs: u32| {
        let line = format!("Contact: <sip:a@192.0.2.7>;expires={secs}");
        Register::from_message(&message("call", secs, &[&line]), udp()).expect("readable")
    };
    assert_eq!(strict.handle(Instant::now(), AOR, ask(3599)).status, 423);
    assert_eq!(strict.handle(Instant::now(), AOR, ask(3600)).status, 200);
}

#[test]
fn a_star_removes_all_and_nothing_but_a_clean_star_does() {
    let two = ["Contact: <sip:a@192.0.2.7>, <sip:b@192.0.2.7>"];
    let cases: &[(&[&str], u16, usize)] = &[
        (&["Contact: *", "Expires: 0"], 200, 0),
        (&["Contact: *"], 400, 2),
        (&["Contact: *", "Expires: 60"], 400, 2),
        (&["Contact: *, <sip:c@192.0.2.7>", "Expires: 0"], 400, 2),
        (&["Contact: <sip:c@192.0.2.7>", "Contact: *", "Expires: 0"], 400, 2),
        (&["Contact: *;q=1", "Expires: 0"], 400, 2),
    ];
    for (lines, status, left) in cases {
        let mut bench = Bench::new();
        bench.register(&two);
        let outcome = bench.register(lines);
        assert_eq!(
            (outcome.status, bench.registrar.len(), outcome.changed),
            (*status, *left, *left == 0),
            "{lines:?}"
        );
        assert_eq!(outcome.reason.is_some(), *status != 200);
    }
}

#[test]
fn a_register_that_comes_late_changes_nothing() {
    let mut bench = Bench::new();
    let contact = "Contact: <sip:a@192.0.2.7>";
    assert_eq!(bench.send("one", 5, udp(), &[contact]).status, 200);
    for late in [4, 5] {
        for lines in [
            &[contact, "Expires: 0"][..],
            &["Contact: *", "Expires: 0"],
            &["Contact: <sip:new@192.0.2.7>", contact],
        ] {
            let outcome = bench.send("one", late, udp(), lines);
            assert_eq!(
                (outcome.status, outcome.changed, bench.uris()),
                (400, false, vec!["sip:a@192.0.2.7".to_owned()]),
                "{lines:?}"
            );
        }
    }
    assert_eq!(
        bench.send("one", 4, udp(), &["Contact: <sip:b@192.0.2.7>"]).status,
        200,
        "the order is that of a binding"
    );
    assert_eq!(
        bench.send("two", 1, udp(), &[contact]).status,
        200,
        "a device that restarted counts anew"
    );
    assert_eq!(bench.send("two", 2, udp(), &["Contact: *", "Expires: 0"]).status, 200);
    assert!(bench.registrar.is_empty());
}

#[test]
fn too_many_contacts_are_refused_as_a_whole() {
    let mut bench = Bench::new();
    bench.register(&["Contact: <sip:a@192.0.2.7>, <sip:b@192.0.2.7>"]);
    let outcome = bench.register(&["Contact: <sip:c@192.0.2.7>, <sip:d@192.0.2.7>"]);
    assert_eq!((outcome.status, outcome.changed, bench.registrar.len()), (403, false, 2));
    let swapped = bench.register(&["Contact: <sip:c@192.0.2.7>, <sip:d@192.0.2.7>, <sip:a@192.0.2.7>;expires=0"]);
    assert_eq!((swapped.status, swapped.changed, bench.registrar.len()), (200, true, 3));
    let flood: Vec<String> = (0..500).map(|i| format!("Contact: <sip:x{i}@192.0.2.7>")).collect();
    assert_eq!(
        bench.register(&flood.iter().map(String::as_str).collect::<Vec<_>>()).status,
        403
    );
    let twice = bench.register(&["Contact: <sip:c@192.0.2.7>, <sip:c@192.0.2.7>;q=0.5"]);
    assert_eq!((twice.status, bench.registrar.len()), (200, 3), "the same one twice is one");
}

#[test]
fn addresses_of_record_are_limited() {
    let (mut registrar, now) = (Registrar::new(config()), Instant::now());
    let register = |lines: &[&str], cseq| Register::from_message(&message("call", cseq, lines), udp()).expect("readable");
    for i in 0..4 {
        assert_eq!(
            registrar
                .handle(now, &format!("sip:u{i}@t"), register(&["Contact: <sip:a@192.0.2.7>"], 1))
                .status,
            200
        );
    }
    assert_eq!(
        registrar
            .handle(now, "sip:u4@t", register(&["Contact: <sip:a@192.0.2.7>"], 1))
            .status,
        503
    );
    assert_eq!(
        registrar
            .handle(now, "sip:u0@t", register(&["Contact: *", "Expires: 0"], 2))
            .status,
        200
    );
    assert_eq!(
        registrar
            .handle(now, "sip:u4@t", register(&["Contact: <sip:a@192.0.2.7>"], 1))
            .status,
        200
    );
}

#[test]
fn bindings_end_by_time_whether_or_not_the_timer_ran() {
    let mut bench = Bench::new();
    bench.register(&["Contact: <sip:short@192.0.2.7>;expires=60, <sip:long@192.0.2.7>;expires=120"]);
    let start = bench.now;
    assert_eq!(bench.registrar.next_timeout(), Some(start + Duration::from_secs(60)));
    assert_eq!(bench.registrar.timeout(start + Duration::from_secs(59)), [] as [Arc<str>; 0]);
    bench.wait(60);
    assert_eq!(bench.uris(), ["sip:long@192.0.2.7"], "over, though no timer ran");
    assert_eq!(bench.registrar.timeout(bench.now), [Arc::from(AOR)]);
    assert_eq!(bench.registrar.next_timeout(), Some(start + Duration::from_secs(120)));
    bench.wait(60);
    let query = bench.register(&[]);
    assert!(
        query.changed && contacts(&query).is_empty(),
        "what the timer would have said, the next REGISTER says"
    );
    assert_eq!(bench.registrar.timeout(bench.now), [] as [Arc<str>; 0]);
}

#[test]
fn the_preferred_comes_first_then_the_newest() {
    let mut bench = Bench::new();
    bench.register(&["Contact: <sip:half@192.0.2.7>;q=0.5"]);
    bench.register(&["Contact: <sip:old@192.0.2.7>;q=0.75"]);
    bench.register(&["Contact: <sip:new@192.0.2.7>;q=0.75"]);
    assert_eq!(bench.uris(), ["sip:new@192.0.2.7", "sip:old@192.0.2.7", "sip:half@192.0.2.7"]);
    let refreshed = bench.register(&["Contact: <sip:old@192.0.2.7>;q=0.75"]);
    assert!(!refreshed.changed && contacts(&refreshed).contains(&"<sip:old@192.0.2.7>;expires=3600;q=0.750"));
    assert_eq!(bench.uris()[0], "sip:new@192.0.2.7", "a refresh is not new");
}

#[test]
fn a_device_with_an_instance_is_known_again_by_it() {
    let mut bench = Bench::new();
    let contact = |port: u16, reg_id: u32| {
        format!(
            "Contact: <sip:a@192.0.2.7:{port}>;+sip.instance=\"<urn:uuid:00000000-0000-1000-8000-AABBCCDDEEFF>\";reg-id={reg_id}"
        )
    };
    bench.register(&[&contact(5070, 1)]);
    let moved = bench.send("restarted", 1, tcp(9), &[&contact(5080, 1)]);
    assert_eq!((moved.changed, bench.uris()), (true, vec!["sip:a@192.0.2.7:5080".to_owned()]));
    assert_eq!(
        contacts(&moved),
        ["<sip:a@192.0.2.7:5080>;expires=3600;+sip.instance=\"<urn:uuid:00000000-0000-1000-8000-AABBCCDDEEFF>\";reg-id=1"]
    );
    bench.send("restarted", 2, udp(), &[&contact(5080, 2)]);
    assert_eq!(bench.registrar.len(), 2, "a second flow of the same device");
    let bindings = bench.registrar.bindings(AOR, bench.now);
    assert_eq!(
        bindings.iter().map(|b| b.reg_id).collect::<Vec<_>>(),
        [Some(2)],
        "which rings once"
    );
    assert_eq!(
        bindings[0].instance.as_deref(),
        Some("<urn:uuid:00000000-0000-1000-8000-AABBCCDDEEFF>")
    );
}

#[test]
fn a_path_is_kept_and_returned() {
    let mut bench = Bench::new();
    let outcome = bench.register(&[
        "Contact: <sip:a@10.0.0.1>",
        "Path: <sip:p2.test;lr>, <sip:p1.test;lr>",
        "Supported: path",
    ]);
    let path: Vec<_> = outcome
        .headers
        .iter()
        .filter(|(name, _)| *name == "Path")
        .map(|(_, value)| value.as_str())
        .collect();
    assert_eq!(path, ["<sip:p2.test;lr>", "<sip:p1.test;lr>"]);
    assert_eq!(
        bench.registrar.bindings(AOR, bench.now)[0].path,
        [Arc::from("<sip:p2.test;lr>"), Arc::from("<sip:p1.test;lr>")]
    );
}

#[test]
fn a_nat_shows_in_the_addresses() {
    let cases = [
        ("sip:a@192.0.2.7:5070", udp(), false),
        ("sip:a@192.0.2.7", udp(), true),
        ("sip:a@192.0.2.7", tcp(1), false),
        ("sip:a@10.0.0.1:5070", udp(), true),
        ("sip:a@10.0.0.1:5070", tcp(1), true),
        ("sip:a@[2001:db8::1]:5070", udp(), true),
        ("sip:a@phone.test", udp(), false),
    ];
    for (uri, flow, nat) in cases {
        let mut bench = Bench::new();
        bench.register_from(flow, &[&format!("Contact: <{uri}>")]);
        assert_eq!(bench.registrar.bindings(AOR, bench.now)[0].nat, nat, "{uri}");
    }
}

#[test]
fn bindings_go_with_their_connection() {
    let mut bench = Bench::new();
    bench.register_from(tcp(1), &["Contact: <sip:a@192.0.2.7>, <sip:b@192.0.2.7>"]);
    bench.register_from(tcp(2), &["Contact: <sip:b@192.0.2.7>"]);
    bench.register_from(udp(), &["Contact: <sip:c@192.0.2.7>"]);
    assert_eq!(bench.registrar.flow_closed(ConnectionId(1)), [Arc::from(AOR)]);
    assert!(bench.registrar.is_consistent());
    assert_eq!(
        bench.uris(),
        ["sip:c@192.0.2.7", "sip:b@192.0.2.7"],
        "b has moved to another connection"
    );
    assert_eq!(bench.registrar.flow_closed(ConnectionId(1)), [] as [Arc<str>; 0]);
    assert_eq!(bench.registrar.flow_closed(ConnectionId(2)).len(), 1);
    assert_eq!(bench.uris(), ["sip:c@192.0.2.7"]);
}

#[test]
fn what_cannot_be_read_is_refused_and_changes_nothing() {
    let long = format!("Contact: <sip:{}@192.0.2.7>", "a".repeat(2_000));
    let paths = "Path: ".to_owned() + &["<sip:p.test;lr>"; 11].join(", ");
    let cases: &[&[&str]] = &[
        &["Contact: <tel:+4930123456>"],
        &["Contact: <sips:a@192.0.2.7>"],
        &["Contact: <mailto:a@example.test>"],
        &["Contact: <sip:a@192.0.2.7"],
        &["Contact: <sip:@>"],
        &["Contact: nobody"],
        &["Contact: <sip:a@192.0.2.7>, garbage"],
        &[&long],
        &["Contact: <sip:a@192.0.2.7>", &paths],
    ];
    for lines in cases {
        let mut bench = Bench::new();
        let outcome = bench.register(lines);
        assert_eq!(
            (outcome.status, outcome.changed, bench.registrar.len()),
            (400, false, 0),
            "{lines:?}"
        );
        assert!(outcome.reason.is_some());
    }
}

#[derive(Clone, Debug)]
enum Step {
    Register {
        call_id: u8,
        cseq: u32,
        contacts: Vec<(u8, Option<u32>, bool)>,
        connection: u64,
    },
    RemoveAll {
        call_id: u8,
        cseq: u32,
    },
    Wait {
        secs: u64,
    },
    Timeout,
    Close {
        connection: u64,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let expires = prop_oneof![Just(None), Just(Some(0)), Just(Some(30)), (60_u32..400).prop_map(Some)];
    let contact = (0_u8..5, expires, any::<bool>());
    prop_oneof![
        4 => (0_u8..2, 1_u32..30, proptest::collection::vec(contact, 0..4), 0_u64..3)
            .prop_map(|(call_id, cseq, contacts, connection)| Step::Register { call_id, cseq, contacts, connection }),
        1 => (0_u8..2, 1_u32..30).prop_map(|(call_id, cseq)| Step::RemoveAll { call_id, cseq }),
        1 => (0_u64..200).prop_map(|secs| Step::Wait { secs }),
        1 => Just(Step::Timeout),
        1 => (1_u64..3).prop_map(|connection| Step::Close { connection }),
    ]
}

fn register_of(call_id: u8, cseq: u32, contacts: &[(u8, Option<u32>, bool)], connection: u64) -> Register {
    let read = |(name, expires, instance): &(u8, Option<u32>, bool)| RegisterContact {
        uri: format!("sip:{name}@192.0.2.7").into(),
        expires: *expires,
        q: u16::from(*name) * 100,
        instance: instance.then(|| format!("<urn:{}>", name % 2).into()),
        reg_id: instance.then_some(1),
    };
    let contacts = RegisterContacts::List(contacts.iter().map(read).collect());
    let flow = if connection == 0 { udp() } else { tcp(connection) };
    Register {
        call_id: call_id.to_string().into(),
        cseq,
        contacts,
        expires: None,
        path: Vec::new(),
        flow,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// The tables agree, the limits hold, a refusal changes nothing, what is over is never seen, and who is told of every change and
    /// looks only then has the truth.
    #[test]
    fn no_sequence_breaks_the_tables(steps in proptest::collection::vec((0_u8..3, step()), 1..80)) {
        let (mut registrar, mut now) = (Registrar::new(config()), Instant::now());
        let aor_of = |n: u8| format!("sip:u{n}@tandem.test");
        let mut seen: Vec<Vec<Arc<str>>> = vec![Vec::new(); 3];
        let look = |registrar: &Registrar, aor: &str, now| -> Vec<Arc<str>> {
            registrar.bindings(aor, now).iter().map(|binding| Arc::clone(&binding.uri)).collect()
        };
        for (n, step) in steps {
            let aor = aor_of(n);
            let before = registrar.bindings(&aor, now);
            let mut changed: Vec<String> = Vec::new();
            let outcome = match step {
                Step::Register { call_id, cseq, contacts, connection } => {
                    Some(registrar.handle(now, &aor, register_of(call_id, cseq, &contacts, connection)))
                }
                Step::RemoveAll { call_id, cseq } => {
                    let all = Register { contacts: RegisterContacts::All, expires: Some(0), ..register_of(call_id, cseq, &[], 0) };
                    Some(registrar.handle(now, &aor, all))
                }
                Step::Wait { secs } => {
                    now += Duration::from_secs(secs);
                    None
                }
                Step::Timeout => {
                    changed.extend(registrar.timeout(now).iter().map(|aor| aor.to_string()));
                    prop_assert!(registrar.next_timeout().is_none_or(|at| at > now));
                    None
                }
                Step::Close { connection } => {
                    changed.extend(registrar.flow_closed(ConnectionId(connection)).iter().map(|aor| aor.to_string()));
                    None
                }
            };
            if let Some(outcome) = outcome {
                if outcome.status != 200 {
                    prop_assert!(!outcome.changed);
                    prop_assert_eq!(&registrar.bindings(&aor, now), &before);
                } else if outcome.changed {
                    changed.push(aor.clone());
                }
            }
            prop_assert!(registrar.is_consistent());
            for n in 0..3_u8 {
                let aor = aor_of(n);
                prop_assert!(registrar.bindings(&aor, now).iter().all(|binding| binding.expires_at > now));
                let slot = &mut seen[usize::from(n)];
                if changed.contains(&aor) {
                    *slot = look(&registrar, &aor, now);
                } else {
                    // What is over but not yet taken away is still in the picture.
                    let truth = look(&registrar, &aor, now);
                    prop_assert!(truth.iter().all(|uri| slot.contains(uri)), "{:?} is not in {:?}", truth, slot);
                }
            }
        }
    }
}

#[test]
fn a_binding_that_is_elsewhere_now_is_forgotten() {
    let mut bench = Bench::new();
    bench.register(&["Contact: <sip:a@192.0.2.7:5070>"]);
    bench.register(&["Contact: <sip:b@192.0.2.7:5070>"]);
    for (uri, is_meant, had) in [
        ("sip:c@192.0.2.7:5070", true, false),
        ("sip:a@192.0.2.7:5070", false, false),
        ("sip:a@192.0.2.7:5070", true, true),
        ("sip:a@192.0.2.7:5070", true, false),
    ] {
        assert_eq!(bench.registrar.forget(bench.now, AOR, uri, |_| is_meant), had, "{uri}");
        assert!(bench.registrar.is_consistent());
    }
    let (nobody, uri) = ("sip:nobody@tandem.test", "sip:b@192.0.2.7:5070");
    assert!(!bench.registrar.forget(bench.now, nobody, uri, |_| true));
    assert_eq!(bench.uris(), ["sip:b@192.0.2.7:5070"]);
    // It may come back.
    bench.register(&["Contact: <sip:a@192.0.2.7:5070>"]);
    assert_eq!(bench.uris().len(), 2);
}

#[test]
fn anybody_can_send_to_a_device_at_its_own_address() {
    for (flow, contact, path, expected) in [
        (udp(), "<sip:a@192.0.2.7:5070>", None, true),
        (udp(), "<sip:a@192.0.2.7:5071>", None, false),
        (udp(), "<sip:a@10.0.0.9:5070>", None, false),
        (udp(), "<sip:a@phone.test:5070>", None, false),
        (udp(), "<sip:a@192.0.2.7:5070;transport=tcp>", None, false),
        (udp(), "<sip:a@192.0.2.7:5070>", Some("Path: <sip:edge.test;lr>"), false),
        (tcp(1), "<sip:a@192.0.2.7:5070;transport=tcp>", None, false),
    ] {
        let mut bench = Bench::new();
        let contact = format!("Contact: {contact}");
        let lines: Vec<_> = [contact.as_str()].into_iter().chain(path).collect();
        assert_eq!(bench.register_from(flow, &lines).status, 200);
        let [binding] = &bench.registrar.bindings(AOR, bench.now)[..] else {
            panic!()
        };
        assert_eq!(binding.is_direct(), expected, "{contact} {path:?}");
    }
}
