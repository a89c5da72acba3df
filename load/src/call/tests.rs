//! The legs against each other, and against scripted messages of a server. Time is a number that the tests move.

use rsip::{SipMessage, Uri};

use super::*;

/// The line of the phone with this number.
pub fn line(number: u64) -> Line {
    Line {
        user: number.to_string(),
        password: format!("load-{number}"),
        digest: digest::Algorithm::Sha256,
        aor: format!("sip:{number}@tandem.local"),
        contact: format!("<sip:{number}@127.0.0.1:4000>"),
        via: "SIP/2.0/UDP 127.0.0.1:4000".into(),
        reliable: false,
        answer_after: Duration::from_millis(20),
    }
}

fn media(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// One leg, the messages it sent, the notes it made.
struct Phone {
    leg: Leg,
    sent: Vec<(SipMessage, Head)>,
    notes: Vec<Note>,
}

struct Bench {
    ids: Ids,
    now: Instant,
}

impl Bench {
    fn new() -> Self {
        Self {
            ids: Ids::new(7),
            now: Instant::now(),
        }
    }

    fn call(&mut self) -> Phone {
        let mut out = Vec::new();
        let to = Uri::try_from("sip:2@tandem.local").unwrap();
        let leg = Leg::call(Rc::new(line(1)), to, media(5000), &mut self.ids, self.now, &mut out);
        Phone::new(leg, out)
    }

    fn ring(&mut self, invite: &str) -> Phone {
        let mut out = Vec::new();
        let (message, head) = message::read(invite.as_bytes()).unwrap();
        let SipMessage::Request(request) = message else {
            panic!("not a request")
        };
        let leg = Leg::ring(
            Rc::new(line(2)),
            &request,
            &head,
            media(6000),
            &mut self.ids,
            self.now,
            &mut out,
        )
        .unwrap();
        Phone::new(leg, out)
    }

    fn give(&mut self, phone: &mut Phone, text: &str) {
        let mut out = Vec::new();
        match message::read(text.as_bytes()).unwrap() {
            (SipMessage::Request(request), head) => phone.leg.on_request(&request, &head, self.now, &mut out),
            (SipMessage::Response(response), head) => {
                phone.leg.on_response(&response, &head, &mut self.ids, self.now, &mut out);
            }
        }
        phone.take(out);
    }

    fn hang_up(&mut self, phone: &mut Phone) {
        let mut out = Vec::new();
        phone.leg.hang_up(&mut self.ids, self.now, &mut out);
        phone.take(out);
    }

    /// Goes to the next time that the leg asks for.
    fn next(&mut self, phone: &mut Phone) {
        self.now = phone.leg.next_due().unwrap();
        let mut out = Vec::new();
        phone.leg.on_time(self.now, &mut out);
        phone.take(out);
    }
}

impl Phone {
    fn new(leg: Leg, out: Vec<Output>) -> Self {
        let (sent, notes) = (Vec::new(), Vec::new());
        let mut phone = Self { leg, sent, notes };
        phone.take(out);
        phone
    }

    fn take(&mut self, out: Vec<Output>) {
        for output in out {
            match output {
                Output::Send(bytes, _) => self.sent.push(message::read(&bytes).unwrap()),
                Output::Note(note) => self.notes.push(note),
            }
        }
    }

    /// What was sent since the last time: methods of requests, statuses of responses.
    fn said(&mut self) -> Vec<String> {
        let name = |(message, _): &(SipMessage, Head)| match message {
            SipMessage::Request(request) => request.method.to_string(),
            SipMessage::Response(response) => response.status_code.code().to_string(),
        };
        let said = self.sent.iter().map(name).collect();
        self.sent.clear();
        said
    }

    fn last(&self) -> (String, Head) {
        let (message, head) = self.sent.last().expect("something was sent");
        (message.to_string(), head.clone())
    }

    fn noted(&mut self) -> Vec<Note> {
        std::mem::take(&mut self.notes)
    }
}

/// A response of the server to the last request of the phone.
fn answer(phone: &Phone, status: &str, more: &str, body: &str) -> String {
    let (_, head) = phone.last();
    format!(
        "SIP/2.0 {status}\r\nVia: SIP/2.0/UDP 127.0.0.1:4000;branch={}\r\nFrom: <sip:1@tandem.local>;tag={}\r\n\
         To: <sip:2@tandem.local>;tag=srv\r\nCall-ID: {}\r\nCSeq: {} {}\r\n{more}Content-Length: {}\r\n\r\n{body}",
        head.branch,
        head.from_tag,
        head.call_id,
        head.seq,
        head.method,
        body.len()
    )
}

/// A request of the server in the dialog of a callee leg.
fn request(method: &str, seq: u32, tag: &str, more: &str, body: &str) -> String {
    let to_tag = if tag.is_empty() {
        String::new()
    } else {
        format!(";tag={tag}")
    };
    format!(
        "{method} sip:2@127.0.0.1:4000 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bK{method}{seq}\r\n\
         From: <sip:1@tandem.local>;tag=srv\r\nTo: <sip:2@tandem.local>{to_tag}\r\nCall-ID: c\r\nCSeq: {seq} {method}\r\n\
         Contact: <sip:127.0.0.1:5060>\r\n{more}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

const CONTACT: &str = "Contact: <sip:127.0.0.1:5060>\r\n";
const AUTO: &str = "Call-Info: <sip:tandem.local>;answer-after=0\r\n";

fn sdp(direction: sdp::Direction) -> String {
    sdp::describe(media(7000), 1, direction)
}

fn up(bench: &mut Bench) -> Phone {
    let mut phone = bench.call();
    let answer = answer(&phone, "200 OK", CONTACT, &sdp(sdp::Direction::SendRecv));
    bench.give(&mut phone, &answer);
    assert_eq!(phone.noted(), [Note::Up, Note::Media(Some(media(7000)))]);
    phone
}

#[test]
fn a_call_is_made_acknowledged_and_hung_up() {
    let mut bench = Bench::new();
    let mut phone = bench.call();
    for status in ["100 Trying", "180 Ringing"] {
        let text = answer(&phone, status, "", "");
        bench.give(&mut phone, &text);
    }
    let ok = answer(&phone, "200 OK", CONTACT, &sdp(sdp::Direction::SendRecv));
    bench.give(&mut phone, &ok);
    assert_eq!(phone.said(), ["INVITE", "ACK"]);
    assert_eq!(phone.noted(), [Note::Up, Note::Media(Some(media(7000)))]);
    bench.give(&mut phone, &ok);
    assert_eq!((phone.said(), phone.noted()), (vec!["ACK".to_owned()], vec![Note::Repeated]));
    bench.hang_up(&mut phone);
    let ok = answer(&phone, "200 OK", "", "");
    bench.give(&mut phone, &ok);
    assert_eq!(
        (phone.said(), phone.noted()),
        (vec!["BYE".to_owned()], vec![Note::Ended { by_us: true }])
    );
    assert!(!phone.leg.is_gone(bench.now) && phone.leg.is_gone(bench.now + LINGER));
}

#[test]
fn a_challenge_is_answered_once() {
    let mut bench = Bench::new();
    let mut phone = bench.call();
    let challenge = "Proxy-Authenticate: Digest realm=\"t\", nonce=\"n\", algorithm=MD5, qop=\"auth\"\r\n";
    let text = answer(&phone, "407 Proxy Authentication Required", challenge, "");
    bench.give(&mut phone, &text);
    let (invite, head) = phone.last();
    assert!(invite.contains("Proxy-Authorization: Digest username=\"1\"") && head.seq == 2);
    assert_eq!(phone.said(), ["INVITE", "ACK", "INVITE"]);
    phone.sent.push(message::read(invite.as_bytes()).unwrap());
    let text = answer(&phone, "407 Proxy Authentication Required", challenge, "");
    bench.give(&mut phone, &text);
    assert_eq!(phone.noted(), [Note::Failed(Failure::Refused("INVITE", 407))]);
}

#[test]
fn refusals_are_acknowledged_and_told() {
    for (status, code) in [("486 Busy Here", 486), ("503 Service Unavailable", 503), ("603 Decline", 603)] {
        let mut bench = Bench::new();
        let mut phone = bench.call();
        let text = answer(&phone, status, "", "");
        bench.give(&mut phone, &text);
        bench.give(&mut phone, &text);
        assert_eq!(phone.said(), ["INVITE", "ACK", "ACK"], "{status}");
        assert_eq!(
            phone.noted(),
            [Note::Failed(Failure::Refused("INVITE", code)), Note::Repeated]
        );
    }
}

#[test]
fn faulty_answers_are_failures() {
    for (more, body) in [("", sdp(sdp::Direction::SendRecv)), (CONTACT, String::new())] {
        let mut bench = Bench::new();
        let mut phone = bench.call();
        let text = answer(&phone, "200 OK", more, &body);
        bench.give(&mut phone, &text);
        assert!(matches!(phone.noted().last(), Some(Note::Failed(Failure::Protocol(_)))));
    }
}

#[test]
fn an_invite_in_vain_is_repeated_and_given_up() {
    let mut bench = Bench::new();
    let mut phone = bench.call();
    while !matches!(phone.notes.last(), Some(Note::Failed(_))) {
        bench.next(&mut phone);
    }
    assert_eq!(phone.said().len(), 7, "timer A");
    assert_eq!(phone.noted().last(), Some(&Note::Failed(Failure::TimedOut("INVITE"))));
}

#[test]
fn a_cancel_waits_for_a_provisional_response() {
    let mut bench = Bench::new();
    let mut phone = bench.call();
    let ringing = answer(&phone, "180 Ringing", "", "");
    let terminated = answer(&phone, "487 Request Terminated", "", "");
    bench.hang_up(&mut phone);
    assert_eq!(phone.said(), ["INVITE"]);
    bench.give(&mut phone, &ringing);
    let ok = answer(&phone, "200 OK", "", "");
    assert_eq!(phone.said(), ["CANCEL"]);
    bench.give(&mut phone, &ok);
    bench.give(&mut phone, &terminated);
    assert_eq!(
        (phone.said(), phone.noted()),
        (vec!["ACK".to_owned()], vec![Note::Ended { by_us: true }])
    );
}

#[test]
fn a_200_that_crosses_the_cancel_is_acknowledged_and_ended() {
    let mut bench = Bench::new();
    let mut phone = bench.call();
    let ringing = answer(&phone, "180 Ringing", "", "");
    let ok = answer(&phone, "200 OK", CONTACT, &sdp(sdp::Direction::SendRecv));
    bench.give(&mut phone, &ringing);
    bench.hang_up(&mut phone);
    bench.give(&mut phone, &ok);
    assert_eq!(phone.said(), ["INVITE", "CANCEL", "ACK", "BYE"]);
}

#[test]
fn a_phone_rings_and_answers_after_its_time() {
    let mut bench = Bench::new();
    let offer = sdp(sdp::Direction::SendRecv);
    let mut phone = bench.ring(&request("INVITE", 1, "", "", &offer));
    assert_eq!(
        (phone.said(), phone.noted()),
        (vec!["180".to_owned()], vec![Note::RingingSent])
    );
    bench.give(&mut phone, &request("INVITE", 1, "", "", &offer));
    assert_eq!((phone.said(), phone.noted()), (vec!["180".to_owned()], vec![Note::Repeated]));
    bench.next(&mut phone);
    assert_eq!(phone.noted(), [Note::Media(Some(media(7000))), Note::AnswerSent]);
    bench.next(&mut phone);
    assert_eq!(
        (phone.said(), phone.noted()),
        (vec!["200".to_owned(), "200".to_owned()], vec![Note::Resent])
    );
    let tag = phone.leg.local_tag().to_owned();
    bench.give(&mut phone, &request("ACK", 1, &tag, "", ""));
    bench.give(&mut phone, &request("BYE", 2, &tag, "", ""));
    bench.give(&mut phone, &request("BYE", 2, &tag, "", ""));
    assert_eq!(phone.said(), ["200", "200"]);
    assert_eq!(phone.noted(), [Note::Up, Note::Ended { by_us: false }, Note::Repeated]);
}

/// RFC 3725 flow III, as the caller's phone sees it.
#[test]
fn a_late_offer_is_answered_at_once_held_by_the_ack_and_opened_by_a_reinvite() {
    let mut bench = Bench::new();
    let mut phone = bench.ring(&request("INVITE", 1, "", AUTO, ""));
    let (ok, _) = phone.last();
    assert!(
        ok.contains("a=sendrecv") && ok.contains("m=audio 6000"),
        "an offer of its own: {ok}"
    );
    assert_eq!(phone.said(), ["180", "200"]);
    let tag = phone.leg.local_tag().to_owned();
    bench.give(&mut phone, &request("ACK", 1, &tag, "", &sdp(sdp::Direction::Inactive)));
    assert_eq!(
        phone.noted(),
        [Note::RingingSent, Note::AnswerSent, Note::Media(None), Note::Up]
    );
    bench.give(&mut phone, &request("INVITE", 2, &tag, "", &sdp(sdp::Direction::SendRecv)));
    assert!(phone.last().0.contains("a=sendrecv"));
    bench.give(&mut phone, &request("INVITE", 2, &tag, "", &sdp(sdp::Direction::SendRecv)));
    bench.give(&mut phone, &request("ACK", 2, &tag, "", ""));
    assert_eq!(phone.said(), ["200", "200"]);
    assert_eq!(phone.noted(), [Note::Media(Some(media(7000))), Note::Repeated]);
    bench.give(&mut phone, &request("INVITE", 3, &tag, "", &sdp(sdp::Direction::Inactive)));
    assert!(phone.last().0.contains("a=inactive"));
    assert_eq!(phone.noted(), [Note::Media(None)]);
    assert!(phone.leg.next_due().is_some(), "the 200 waits for its ACK");
}

#[test]
fn a_late_offer_needs_its_answer_in_the_ack() {
    let mut bench = Bench::new();
    let mut phone = bench.ring(&request("INVITE", 1, "", AUTO, ""));
    let tag = phone.leg.local_tag().to_owned();
    bench.give(&mut phone, &request("ACK", 1, &tag, "", ""));
    assert!(matches!(phone.noted().last(), Some(Note::Failed(Failure::Protocol(_)))));
}

#[test]
fn an_answer_without_ack_is_given_up() {
    let mut bench = Bench::new();
    let mut phone = bench.ring(&request("INVITE", 1, "", AUTO, ""));
    while !matches!(phone.notes.last(), Some(Note::Failed(_))) {
        bench.next(&mut phone);
    }
    assert_eq!(phone.noted().last(), Some(&Note::Failed(Failure::TimedOut("ACK"))));
}

#[test]
fn a_cancelled_phone_stops_ringing() {
    let mut bench = Bench::new();
    let mut phone = bench.ring(&request("INVITE", 1, "", "", &sdp(sdp::Direction::SendRecv)));
    bench.give(&mut phone, &request("CANCEL", 1, "", "", ""));
    assert_eq!(phone.said(), ["180", "200", "487"]);
    assert_eq!(phone.noted(), [Note::RingingSent, Note::Failed(Failure::Cancelled)]);
    bench.give(&mut phone, &request("INVITE", 1, "", "", ""));
    bench.give(&mut phone, &request("CANCEL", 1, "", "", ""));
    assert_eq!(
        phone.said(),
        ["487", "481"],
        "the repeated INVITE is refused again, the CANCEL has nothing left"
    );
}

#[test]
fn what_does_not_fit_is_refused_and_the_leg_lives() {
    let mut bench = Bench::new();
    let mut phone = bench.ring(&request("INVITE", 5, "", AUTO, ""));
    let tag = phone.leg.local_tag().to_owned();
    bench.give(&mut phone, &request("INVITE", 6, &tag, "", ""));
    bench.give(&mut phone, &request("INVITE", 4, &tag, "", ""));
    bench.give(&mut phone, &request("ACK", 9, &tag, "", ""));
    bench.give(&mut phone, &request("REFER", 7, &tag, "", ""));
    bench.give(&mut phone, &request("INFO", 8, &tag, "", ""));
    assert_eq!(phone.said(), ["180", "200", "491", "500", "405", "200"]);
    bench.give(&mut phone, &request("ACK", 5, &tag, "", &sdp(sdp::Direction::Inactive)));
    assert_eq!(phone.noted().last(), Some(&Note::Up));
}

#[test]
fn a_bye_that_crosses_ours_ends_the_leg_once() {
    let mut bench = Bench::new();
    let mut phone = up(&mut bench);
    phone.said();
    bench.hang_up(&mut phone);
    let (bye, _) = phone.last();
    let tag = phone.leg.local_tag().to_owned();
    bench.give(&mut phone, &request("BYE", 1, &tag, "", ""));
    phone.sent.push(message::read(bye.as_bytes()).unwrap());
    let gone = answer(&phone, "481 Call/Transaction Does Not Exist", "", "");
    bench.give(&mut phone, &gone);
    assert_eq!(phone.noted(), [Note::Ended { by_us: true }]);
    bench.hang_up(&mut phone);
    assert_eq!(phone.noted(), []);
}

#[test]
fn a_bye_that_is_refused_or_unanswered_is_a_failure() {
    let mut bench = Bench::new();
    let mut phone = up(&mut bench);
    bench.hang_up(&mut phone);
    let refused = answer(&phone, "500 Server Error", "", "");
    bench.give(&mut phone, &refused);
    assert_eq!(phone.noted(), [Note::Failed(Failure::Refused("BYE", 500))]);
    let mut phone = up(&mut bench);
    bench.hang_up(&mut phone);
    while !matches!(phone.notes.last(), Some(Note::Failed(_))) {
        bench.next(&mut phone);
    }
    assert_eq!(phone.noted().last(), Some(&Note::Failed(Failure::TimedOut("BYE"))));
}

/// Whatever comes in whatever order: a leg ends once, and is then gone in bounded time.
#[test]
fn every_leg_ends_exactly_once() {
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};
    for seed in 0..150 {
        let mut random = StdRng::seed_from_u64(seed);
        let mut bench = Bench::new();
        let mut phone = match random.random_bool(0.5) {
            true => bench.call(),
            false => bench.ring(&request("INVITE", 1, "", if random.random_bool(0.5) { AUTO } else { "" }, "")),
        };
        let mut first_request = phone.sent.first().cloned().into_iter().collect::<Vec<_>>();
        for _ in 0..30 {
            let tag = phone.leg.local_tag().to_owned();
            let seq = random.random_range(1..4);
            let body = if random.random_bool(0.5) {
                sdp(sdp::Direction::SendRecv)
            } else {
                String::new()
            };
            match random.random_range(0..12) {
                0 => bench.hang_up(&mut phone),
                1 => bench.give(&mut phone, &request("BYE", seq, &tag, "", "")),
                2 => bench.give(&mut phone, &request("CANCEL", 1, "", "", "")),
                3 | 4 => bench.give(&mut phone, &request("ACK", seq, &tag, "", &body)),
                5 => bench.give(&mut phone, &request("INVITE", seq, &tag, "", &body)),
                6 if phone.leg.next_due().is_some() => bench.next(&mut phone),
                _ => {
                    // A response to something that was sent, perhaps long ago.
                    first_request.append(&mut phone.sent);
                    let at = random.random_range(0..first_request.len().max(1));
                    if let Some(sent @ (SipMessage::Request(_), _)) = first_request.get(at).cloned() {
                        phone.sent.push(sent);
                        let statuses = [
                            "100 Trying",
                            "180 Ringing",
                            "200 OK",
                            "200 OK",
                            "401 No",
                            "486 Busy",
                            "487 Gone",
                            "500 Oops",
                        ];
                        let text = answer(&phone, statuses[random.random_range(0..statuses.len())], CONTACT, &body);
                        phone.sent.clear();
                        bench.give(&mut phone, &text);
                    }
                }
            }
        }
        bench.hang_up(&mut phone);
        for _ in 0..200 {
            if !phone.leg.is_gone(bench.now) {
                bench.next(&mut phone);
            }
        }
        assert!(phone.leg.is_gone(bench.now), "seed {seed}: never gone");
        let ends = phone
            .notes
            .iter()
            .filter(|note| matches!(note, Note::Ended { .. } | Note::Failed(_)))
            .count();
        assert_eq!(ends, 1, "seed {seed}: {:?}", phone.notes);
    }
}
