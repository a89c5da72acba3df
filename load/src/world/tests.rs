//! The world without sockets and clock: a scripted server reads what phones and desks send, and answers.

mod faults;

use rsip::message::HeadersExt;
use serde_json::{Value, json};
use tokio::sync::mpsc::Receiver;

use super::calls::Side;
use super::*;
use crate::call::tests::line;
use crate::cti::desk::{Desk, FromDesk};
use crate::sip::sdp;

const SERVER: &str = "127.0.0.1:5060";
const HOLD: Duration = Duration::from_secs(1);

/// The world, the far ends of its link and desk, and the server's sequence.
struct Bench {
    world: World,
    wire: Receiver<Vec<u8>>,
    requests: Receiver<String>,
    now: Instant,
    sequence: u64,
}

impl Bench {
    /// Two phones, 1 and 2, whose DNs one desk has registered.
    fn new(mix_cti: f64) -> Self {
        let settings = Settings {
            homes: vec![SERVER.parse().unwrap()],
            across: 0.0,
            domain: "tandem.local".into(),
            first_dn: 1,
            mix_cti,
            setup_limit: Duration::from_secs(20),
            trunk: None,
        };
        let mut world = World::new(settings, 1, false);
        let (link, wire) = Link::for_test("127.0.0.1:4000".parse().unwrap());
        world.links.push(link);
        for number in [1, 2] {
            let mut phone = Phone::new(Rc::new(line(number)), 0);
            phone.desk = Some(0);
            world.phones.push(phone);
        }
        world.desks.push(DeskSeat::new(vec![0, 1]));
        let (desk, requests) = Desk::for_test();
        world.open_desk(0, desk, "key");
        let (now, sequence) = (Instant::now(), 0);
        let mut bench = Self {
            world,
            wire,
            requests,
            now,
            sequence,
        };
        assert_eq!(bench.request()["request"], "OpenServer");
        bench.event(json!({"event": "EventServerConnected", "epoch": "e", "session": "s", "resume": "new"}));
        for dn in ["sip:1@tandem.local", "sip:2@tandem.local"] {
            let request = bench.request();
            assert_eq!(
                (&request["request"], &request["thisDn"]),
                (&json!("RegisterAddress"), &json!(dn))
            );
            assert_eq!(bench.world.desks[0].is_ready(), Ok(false));
            bench.event(json!({"event": "EventRegistered", "thisDn": dn, "referenceId": request["referenceId"]}));
        }
        assert_eq!(bench.world.desks[0].is_ready(), Ok(true));
        bench.world.open_lines(2, 1);
        bench
    }

    fn start(&mut self) {
        self.start_to_hold(Some(HOLD));
    }

    fn start_to_hold(&mut self, hold: Option<Duration>) {
        self.world.schedule = Some(Schedule::new(1, 1.0, 1, hold, self.now));
        self.world.on_time(self.now);
    }

    fn request(&mut self) -> Value {
        serde_json::from_str(&self.requests.try_recv().expect("a request")).unwrap()
    }

    fn event(&mut self, mut event: Value) {
        event["previous"] = json!(self.sequence);
        self.sequence += 3;
        event["sequence"] = json!(self.sequence);
        self.world.on_desk(0, FromDesk::Frame(event.to_string()), self.now);
    }

    fn call_event(&mut self, name: &str, this: u64, reference: &Value) {
        let dn = |number: u64| format!("sip:{number}@tandem.local");
        self.event(json!({
            "event": name, "thisDn": dn(this), "otherDn": dn(3 - this), "connId": "00000000000000ab", "referenceId": reference,
        }));
    }

    /// The next message on the wire.
    fn sent(&mut self) -> (String, Head) {
        let bytes = self.wire.try_recv().expect("a message");
        let (_, head) = message::read(&bytes).unwrap();
        (String::from_utf8(bytes).unwrap(), head)
    }

    fn sent_is(&mut self, start: &str) -> (String, Head) {
        let sent = self.sent();
        assert!(sent.0.starts_with(start), "{start} expected, but: {}", sent.0);
        sent
    }

    fn give(&mut self, text: &str) {
        self.world.on_message(0, text.as_bytes(), SERVER.parse().unwrap(), self.now);
    }

    fn invite(&mut self, from: u64, to: u64, seq: u32, tag: &str, more: &str, body: &str) {
        let uri = if tag.is_empty() {
            String::new()
        } else {
            format!(";tag={tag}")
        };
        self.give(&format!(
            "INVITE sip:{to}@127.0.0.1:4000 SIP/2.0\r\nVia: SIP/2.0/UDP {SERVER};branch=z9hG4bK{to}-{seq}\r\n\
             From: <sip:{from}@tandem.local>;tag=srv{to}\r\nTo: <sip:{to}@tandem.local>{uri}\r\nCall-ID: leg{to}\r\n\
             CSeq: {seq} INVITE\r\nContact: <sip:{SERVER}>\r\n{more}Content-Length: {}\r\n\r\n{body}",
            body.len()
        ));
    }

    /// ACK or BYE of the server to the phone that sent this response.
    fn in_dialog(&mut self, method: &str, seq: u32, response: &(String, Head), body: &str) {
        let (_, head) = response;
        let tag = head.to_tag.clone().unwrap();
        self.give(&format!(
            "{method} sip:x@127.0.0.1:4000 SIP/2.0\r\nVia: SIP/2.0/UDP {SERVER};branch=z9hG4bK{method}{tag}\r\n\
             From: <sip:x@tandem.local>;tag={}\r\nTo: <sip:y@tandem.local>;tag={tag}\r\nCall-ID: {}\r\nCSeq: {seq} {method}\r\n\
             Content-Length: {}\r\n\r\n{body}",
            head.from_tag,
            head.call_id,
            body.len()
        ));
    }

    fn answer(&mut self, request: &(String, Head), status: u16, body: Option<&str>) {
        let (message, _) = message::read(request.0.as_bytes()).unwrap();
        let SipMessage::Request(request) = message else {
            panic!("not a request")
        };
        let bytes = message::response(&request, status, "srv", Some("<sip:127.0.0.1:5060>"), body);
        self.give(&String::from_utf8(bytes).unwrap());
    }

    fn later(&mut self, time: Duration) {
        self.now += time;
        self.world.on_time(self.now);
    }

    fn quiet(&mut self) {
        assert!(self.wire.try_recv().is_err() && self.requests.try_recv().is_err());
    }
}

fn sdp() -> String {
    sdp::describe("127.0.0.1:9000".parse().unwrap(), 1, sdp::Direction::SendRecv)
}

fn held() -> String {
    sdp::describe("127.0.0.1:9000".parse().unwrap(), 1, sdp::Direction::Inactive)
}

/// The callee's phone rings, answers and is acknowledged.
fn callee_answers(bench: &mut Bench, caller: u64) -> (String, Head) {
    let callee = 3 - caller;
    bench.invite(caller, callee, 1, "", "", &sdp());
    bench.sent_is("SIP/2.0 180");
    bench.call_event("EventRinging", callee, &Value::Null);
    bench.later(Duration::from_millis(20));
    let ok = bench.sent_is("SIP/2.0 200");
    bench.in_dialog("ACK", 1, &ok, "");
    ok
}

/// Whoever hangs up, the server does the rest; the call is counted as a success.
fn released(bench: &mut Bench, legs: [Head; 2]) {
    bench.later(HOLD);
    if let Ok(request) = bench.requests.try_recv() {
        let request: Value = serde_json::from_str(&request).unwrap();
        assert_eq!(
            (&request["request"], &request["connId"]),
            (&json!("ReleaseCall"), &json!("00000000000000ab"))
        );
    } else {
        let bye = bench.sent_is("BYE");
        bench.answer(&bye, 200, None);
    }
    for head in legs {
        bench.in_dialog("BYE", 10, &(String::new(), head), "");
    }
    assert_eq!(bench.world.calls_open(), 1, "terminal events are missing");
    bench.call_event("EventReleased", 1, &Value::Null);
    bench.call_event("EventReleased", 2, &Value::Null);
    assert_eq!(
        (bench.world.calls_open(), bench.world.stats.succeeded),
        (0, 1),
        "{:?}",
        bench.world.stats.failed
    );
    assert_eq!(bench.world.stats.violations.count, 0, "{:?}", bench.world.stats.violations);
    assert_eq!(bench.world.parties.open(), Vec::<String>::new());
}

#[test]
fn a_call_made_by_a_desk_is_followed_from_make_call_to_the_last_event() {
    let mut bench = Bench::new(1.0);
    bench.start();
    let request = bench.request();
    assert_eq!(request["request"], "MakeCall");
    let caller: u64 = request["thisDn"].as_str().unwrap()[4..5].parse().unwrap();
    bench.call_event("EventDialing", caller, &request["referenceId"]);
    // RFC 3725 flow III: the caller's phone first, without an offer.
    bench.now += Duration::from_millis(3);
    bench.invite(3 - caller, caller, 1, "", "Call-Info: <sip:t>;answer-after=0\r\n", "");
    bench.sent_is("SIP/2.0 180");
    let first = bench.sent_is("SIP/2.0 200");
    bench.in_dialog("ACK", 1, &first, &held());
    let second = callee_answers(&mut bench, caller);
    bench.invite(3 - caller, caller, 2, &first.1.to_tag.clone().unwrap(), "", &sdp());
    let opened = bench.sent_is("SIP/2.0 200");
    bench.in_dialog("ACK", 2, &opened, "");
    bench.now += Duration::from_millis(2);
    bench.call_event("EventEstablished", caller, &Value::Null);
    assert!(bench.world.calls_up().is_empty());
    bench.call_event("EventEstablished", 3 - caller, &Value::Null);
    assert_eq!(bench.world.calls_up().len(), 1);
    let invite = bench.world.stats.make_call_to_invite.quantiles().unwrap();
    let event = bench.world.stats.established_event.quantiles().unwrap();
    assert_eq!((invite.count, event.count), (1, 2));
    assert!(
        (invite.max_ms - 3.0).abs() < 0.1 && (event.max_ms - 2.0).abs() < 0.1,
        "{invite:?} {event:?}"
    );
    released(&mut bench, [first.1, second.1]);
    bench.later(Duration::from_secs(6));
    assert!(bench.world.legs.is_empty() && bench.world.owners.is_empty() && bench.world.invites.is_empty());
}

/// A phone dials; returns the legs' heads as the server knows them.
fn dialled(bench: &mut Bench) -> [Head; 2] {
    dialled_to_hold(bench, Some(HOLD))
}

fn dialled_to_hold(bench: &mut Bench, hold: Option<Duration>) -> [Head; 2] {
    bench.start_to_hold(hold);
    let invite = bench.sent_is("INVITE");
    let (message, _) = message::read(invite.0.as_bytes()).unwrap();
    let caller: u64 = message.from_header().unwrap().uri().unwrap().user().unwrap().parse().unwrap();
    bench.answer(&invite, 100, None);
    bench.call_event("EventDialing", caller, &Value::Null);
    let second = callee_answers(bench, caller);
    bench.answer(&invite, 200, Some(&sdp()));
    bench.sent_is("ACK");
    bench.call_event("EventEstablished", caller, &Value::Null);
    bench.call_event("EventEstablished", 3 - caller, &Value::Null);
    assert_eq!(bench.world.calls_up().len(), 1);
    let first = Head {
        to_tag: Some(invite.1.from_tag.clone()),
        from_tag: "srv".into(),
        ..invite.1
    };
    [first, second.1]
}

#[test]
fn a_call_dialled_on_a_phone_is_followed_to_the_last_event() {
    let mut bench = Bench::new(0.0);
    let legs = dialled(&mut bench);
    assert_eq!(bench.world.stats.setup_phone.quantiles().unwrap().count, 1);
    released(&mut bench, legs);
}

#[test]
fn a_call_without_a_time_to_hold_is_up_until_it_is_released() {
    let mut bench = Bench::new(0.0);
    let legs = dialled_to_hold(&mut bench, None);
    // Long after the time that it had to be set up.
    bench.later(Duration::from_secs(600));
    let up = bench.world.calls_up();
    assert_eq!(up.len(), 1);
    bench.world.release(up[0], bench.now);
    released(&mut bench, legs);
}

#[test]
fn a_call_is_held_and_retrieved_as_its_profile_says_and_then_cleared() {
    let mut bench = Bench::new(0.0);
    bench.world.profile = Some(crate::profile::Profile::load("holds").unwrap());
    let legs = dialled(&mut bench);
    let callee = 3 - caller_of(&bench);
    for (request, event) in [("HoldCall", "EventHeld"), ("RetrieveCall", "EventRetrieved")] {
        bench.later(HOLD);
        let asked = bench.request();
        assert_eq!(
            (&asked["request"], &asked["connId"]),
            (&json!(request), &json!("00000000000000ab"))
        );
        assert_eq!(asked["thisDn"], format!("sip:{callee}@tandem.local"));
        bench.now += Duration::from_millis(4);
        bench.call_event(event, callee, &asked["referenceId"]);
    }
    bench.later(HOLD);
    assert_eq!(bench.request()["request"], "ClearCall");
    for head in legs {
        bench.in_dialog("BYE", 10, &(String::new(), head), "");
    }
    bench.call_event("EventReleased", 1, &Value::Null);
    bench.call_event("EventReleased", 2, &Value::Null);
    assert_eq!(bench.world.stats.succeeded, 1, "{:?}", bench.world.stats.failed);
    let held = bench.world.stats.verbs["HoldCall"].done.quantiles().unwrap();
    assert!((held.max_ms - 4.0).abs() < 0.1, "{held:?}");
}

#[test]
fn a_hold_that_is_refused_is_told() {
    let mut bench = Bench::new(0.0);
    bench.world.profile = Some(crate::profile::Profile::load("holds").unwrap());
    dialled(&mut bench);
    bench.later(HOLD);
    let asked = bench.request();
    bench.event(json!({"event": "EventError", "referenceId": asked["referenceId"], "errorCode": 51, "errorMessage": "no"}));
    assert_eq!(bench.world.stats.verbs["HoldCall"].failed, 1);
    bench.later(Duration::from_secs(40));
    let causes: Vec<&String> = bench.world.stats.failed.keys().collect();
    assert_eq!(causes, ["HoldCall: EventError 51 no"]);
}

/// The number of the phone that called.
fn caller_of(bench: &Bench) -> u64 {
    let call = bench.world.calls.values().next().expect("a call");
    call.sides[0].phone as u64 + 1
}

#[test]
fn a_leg_that_the_server_ends_by_itself_is_a_failure() {
    let mut bench = Bench::new(0.0);
    let [first, second] = dialled(&mut bench);
    bench.in_dialog("BYE", 10, &(String::new(), first), "");
    bench.sent_is("SIP/2.0 200");
    let bye = bench.sent_is("BYE");
    bench.in_dialog("BYE", 10, &(String::new(), second), "");
    bench.answer(&bye, 481, None);
    bench.call_event("EventReleased", 1, &Value::Null);
    bench.call_event("EventReleased", 2, &Value::Null);
    let causes: Vec<&String> = bench.world.stats.failed.keys().collect();
    assert_eq!(causes, ["the server ended the leg of the caller, which nobody hung up"]);
}

#[test]
fn causes_of_failure_are_told_and_the_phones_are_free_again() {
    let mut bench = Bench::new(1.0);
    bench.start();
    let request = bench.request();
    bench.event(json!({
        "event": "EventError", "referenceId": request["referenceId"], "errorCode": 71, "errorMessage": "Invalid called DN",
    }));
    assert_eq!(bench.world.calls_open(), 0);
    bench.start();
    bench.request();
    bench.later(Duration::from_secs(20));
    let causes: Vec<(&String, &u64)> = bench.world.stats.failed.iter().collect();
    let expected = [
        "MakeCall: EventError 71 Invalid called DN",
        "in setup: caller got no INVITE, callee got no INVITE",
    ];
    assert_eq!(causes.iter().map(|(cause, _)| cause.as_str()).collect::<Vec<_>>(), expected);
    assert_eq!(bench.world.free.len(), 2);
    bench.quiet();
}

#[test]
fn a_call_that_keeps_a_party_without_a_terminal_event_fails() {
    let mut bench = Bench::new(0.0);
    let legs = dialled(&mut bench);
    bench.later(HOLD);
    while let Ok(bytes) = bench.wire.try_recv() {
        let text = String::from_utf8(bytes).unwrap();
        let (_, head) = message::read(text.as_bytes()).unwrap();
        bench.answer(&(text, head), 200, None);
    }
    for head in legs {
        bench.in_dialog("BYE", 10, &(String::new(), head), "");
    }
    bench.call_event("EventReleased", 1, &Value::Null);
    bench.later(Duration::from_secs(40));
    let causes: Vec<&String> = bench.world.stats.failed.keys().collect();
    assert!(causes.len() == 1 && causes[0].contains("got no terminal event"), "{causes:?}");
    assert_eq!(bench.world.parties.open().len(), 1);
}

#[test]
fn messages_for_nobody_are_answered_and_counted() {
    let mut bench = Bench::new(0.0);
    bench.invite(1, 2, 1, "", "", &sdp());
    bench.sent_is("SIP/2.0 480");
    bench.invite(1, 99, 1, "", "", &sdp());
    bench.sent_is("SIP/2.0 480");
    bench.give("BYE sip:1@a SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=b\r\nFrom: <sip:a>;tag=x\r\nTo: <sip:b>;tag=y\r\nCall-ID: c\r\nCSeq: 1 BYE\r\n\r\n");
    bench.sent_is("SIP/2.0 481");
    bench.give("OPTIONS sip:1@a SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=b\r\nFrom: <sip:a>;tag=x\r\nTo: <sip:b>\r\nCall-ID: c\r\nCSeq: 1 OPTIONS\r\n\r\n");
    bench.sent_is("SIP/2.0 200");
    bench.give("\r\n\r\n");
    bench.give("rubbish");
    assert_eq!((bench.world.stats.strays.count, bench.world.stats.unreadable.count), (2, 1));
    bench.quiet();
}

#[test]
fn broken_event_streams_are_told() {
    let mut bench = Bench::new(0.0);
    bench.sequence += 1;
    bench.call_event("EventEstablished", 1, &Value::Null);
    bench.world.on_desk(0, FromDesk::Frame("[]".into()), bench.now);
    bench.world.on_desk(0, FromDesk::Closed("4008".into()), bench.now);
    assert_eq!(bench.world.stats.violations.count, 4, "{:?}", bench.world.stats.violations);
    assert!(bench.world.desks[0].is_ready().is_err());
}

impl Bench {
    /// The server is killed, and what it was about is looked back at.
    fn killed(&mut self) {
        self.world.freeze(self.now);
        self.world.on_desk(0, FromDesk::Closed("reset".into()), self.now);
        assert!(self.world.desks[0].is_closed() && self.world.stats.violations.count == 0);
        self.world.look_back(self.now);
    }

    /// It is there again, and the desk resumes where it was.
    fn back(&mut self, outcome: &str) {
        self.world.restarted(self.now);
        let (desk, requests) = Desk::for_test();
        self.requests = requests;
        self.world.resume_desk(0, desk, "key");
        let resume = &self.request()["resume"];
        assert_eq!(resume, &json!({"epoch": "e", "session": "s", "sequence": self.sequence}));
        let connected = json!({
            "event": "EventServerConnected", "epoch": "e", "session": "s", "resume": outcome,
            "sequence": self.sequence, "previous": self.sequence,
        });
        self.world.on_desk(0, FromDesk::Frame(connected.to_string()), self.now);
        self.world.prove_ready(10, self.now);
        assert_eq!(self.world.proofs_begun(), 0, "before it has caught up");
        let asked = self.request();
        assert_eq!(asked["request"], "QueryServer");
        self.event(json!({"event": "EventServerInfo", "referenceId": asked["referenceId"]}));
        assert!(self.world.desks[0].is_here());
        self.world.prove_ready(10, self.now);
    }
}

#[test]
fn a_call_that_was_up_at_a_kill_is_tried_after_it() {
    let mut bench = Bench::new(0.0);
    let legs = dialled_to_hold(&mut bench, None);
    let callee = 3 - caller_of(&bench);
    bench.killed();
    bench.later(Duration::from_millis(300));
    bench.back("delta");
    for (request, event) in [("HoldCall", "EventHeld"), ("RetrieveCall", "EventRetrieved")] {
        let asked = bench.request();
        assert_eq!(
            (&asked["request"], &asked["connId"]),
            (&json!(request), &json!("00000000000000ab"))
        );
        // It is refused at first, and asked again.
        bench.event(json!({"event": "EventError", "referenceId": asked["referenceId"], "errorCode": 51}));
        bench.quiet();
        bench.later(Duration::from_millis(100));
        let asked = bench.request();
        assert_eq!(asked["request"], request);
        bench.call_event(event, callee, &asked["referenceId"]);
    }
    released(&mut bench, legs);
    assert!(bench.world.is_recovered());
    let recovery = bench.world.end_recovery(bench.now);
    assert_eq!(
        (recovery.before.in_talk, recovery.established(), recovery.controllable()),
        (1, 1, 1)
    );
    assert_eq!((recovery.lost.count, recovery.refused.count), (0, 2));
    assert_eq!(recovery.all, Some(Duration::from_millis(100)));
}

#[test]
fn who_was_brought_into_a_call_at_a_kill_may_be_let_go_and_nobody_else() {
    for (killed, cause) in [
        (true, None),
        (false, Some("the server ended the leg of the third, which nobody hung up")),
    ] {
        let mut bench = Bench::new(0.0);
        dialled_to_hold(&mut bench, None);
        bench.world.phones.push(Phone::new(Rc::new(line(3)), 0));
        let id = *bench.world.calls.keys().next().expect("a call");
        let third = &mut bench.world.calls.get_mut(&id).expect("a call").sides[2];
        *third = Side::reserve(2, Some(0));
        (third.ours, third.answered_at) = (true, Some(bench.now));
        if killed {
            bench.killed();
        }
        bench.world.on_note(id, 2, Note::Ended { by_us: false }, bench.now);
        assert_eq!(bench.world.calls[&id].failure(), cause);
    }
}

#[test]
fn a_call_that_a_kill_costs_is_told() {
    let mut bench = Bench::new(0.0);
    let [_, callee] = dialled_to_hold(&mut bench, None);
    bench.killed();
    bench.back("snapshot");
    assert_eq!(bench.world.stats.missed_events, 1, "a snapshot is no delta");
    bench.in_dialog("BYE", 10, &(String::new(), callee), "");
    assert!(!bench.world.is_recovered());
    bench.world.give_up(bench.now);
    let recovery = bench.world.end_recovery(bench.now);
    assert_eq!(recovery.lost.count, 1, "{:?}", recovery.lost);
    assert!(recovery.lost.examples[0].contains("the server ended the leg of the callee"));
    assert_eq!(bench.world.parties.open().len(), 2);
}

#[test]
fn what_was_not_up_at_a_kill_needs_one_end_and_one_answer() {
    let mut bench = Bench::new(1.0);
    bench.start();
    let asked = bench.request();
    bench.later(Duration::from_millis(200));
    bench.killed();
    assert_eq!((bench.world.calls_open(), bench.world.stats.open()), (0, 0));
    bench.back("delta");
    assert!(!bench.world.is_recovered(), "MakeCall has no answer");
    let error = json!({"event": "EventError", "referenceId": asked["referenceId"], "errorCode": 231});
    bench.event(error.clone());
    assert!(bench.world.is_recovered());
    bench.event(error);
    assert_eq!(bench.world.stats.repeated_events, 1, "answered twice");
    let recovery = bench.world.end_recovery(bench.now);
    let before = recovery.before;
    assert_eq!((before.interrupted, before.in_flight, recovery.established()), (1, 1, 0));
    assert_eq!((recovery.unanswered().len(), recovery.unread()), (0, 0));
}
