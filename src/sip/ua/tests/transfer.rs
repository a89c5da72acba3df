//! Transfers that a peer asks for, dialogs that are to be replaced, phones that are asked to answer.

use std::time::Duration;

use super::peer::*;
use super::rig::*;
use crate::message::{HeaderName, Message, Method};
use crate::ua::*;

const CAROL: &str = "<sip:carol@tandem.test>";

fn refer(to: &str, cseq: u32, refer_to: &str) -> Request {
    Request::new(Method::Refer, &format!("refer{cseq}"))
        .to(to)
        .cseq(cseq)
        .header("Refer-To", refer_to)
}

/// What a NOTIFY says: Event, Subscription-State, body.
fn said(notify: &Message) -> String {
    assert!(notify.is(&Method::Notify));
    assert!(notify.contact().is_some() && notify.content_type().unwrap().starts_with("message/sipfrag"));
    let header = |name| notify.header(name).unwrap().to_owned();
    let body = String::from_utf8(notify.body().to_vec()).unwrap();
    let (event, state) = (header(HeaderName::Event), header(HeaderName::SubscriptionState));
    format!("{event} | {state} | {}", body.trim_end())
}

impl Peer {
    /// The transfers that were asked for since the last look.
    fn refers(&mut self) -> Vec<(ReferKey, String, Option<ReplacesDialog>, Option<String>)> {
        self.sent();
        let events = std::mem::take(&mut self.events);
        let found = events.into_iter().filter_map(|event| match event {
            UaEvent::Referred {
                refer,
                refer_to,
                replaces,
                referred_by,
                ..
            } => Some((refer, refer_to.to_string(), replaces, referred_by.map(|by| by.to_string()))),
            _ => None,
        });
        found.collect()
    }

    /// Sends a REFER that is handed up.
    fn ask(&mut self, request: Request) -> ReferKey {
        self.deliver(request.finish());
        assert!(self.lines().is_empty(), "nothing is answered yet");
        self.refers().remove(0).0
    }

    /// The NOTIFY that comes now, answered with that status.
    fn notified(&mut self, status: u16) -> String {
        let (_, notify) = self.one();
        self.respond(&notify, status, "x", &[]);
        said(&notify)
    }

    /// Lets every timer run out: nothing may be left.
    fn settle(&mut self) {
        self.wait(Duration::from_secs(700));
        self.sent();
        self.agent.assert_empty();
    }
}

#[test]
fn a_transfer_is_accepted_and_told_of_until_it_is_over() {
    let mut peer = Peer::new();
    let (session, to) = peer.talk();
    let request = refer(&to, 2, CAROL).header("Referred-By", "<sip:peer@example.com>;cid=\"1\"");
    peer.deliver(request.finish());
    let (key, refer_to, replaces, referred_by) = peer.refers().remove(0);
    assert_eq!((refer_to.as_str(), replaces), ("sip:carol@tandem.test", None));
    assert_eq!(referred_by.as_deref(), Some("<sip:peer@example.com>"));

    peer.agent.refer_progress(peer.now, key, 100);
    let sent = peer.sent();
    assert_eq!(sent[0].1.status(), Some(202));
    assert!(sent[0].1.contact().is_some() && sent[0].1.header_named("Refer-Sub").is_none());
    assert_eq!(said(&sent[1].1), "refer;id=2 | active;expires=300 | SIP/2.0 100 Trying");
    peer.respond(&sent[1].1, 200, "x", &[]);

    peer.wait(Duration::from_secs(10));
    peer.agent.refer_progress(peer.now, key, 180);
    assert_eq!(peer.notified(200), "refer;id=2 | active;expires=290 | SIP/2.0 180 Ringing");
    peer.agent.refer_progress(peer.now, key, 200);
    assert_eq!(
        peer.notified(200),
        "refer;id=2 | terminated;reason=noresource | SIP/2.0 200 OK"
    );
    peer.agent.refer_progress(peer.now, key, 200);
    assert!(peer.lines().is_empty(), "the last one was the last");

    peer.agent.bye(peer.now, session, None);
    let bye = peer.one().1;
    assert_eq!(bye.cseq().unwrap().0, 4, "one CSeq space");
    peer.respond(&bye, 200, "x", &[]);
    peer.settle();
}

#[test]
fn a_transfer_may_succeed_or_fail_with_its_first_word() {
    for (status, lines, last) in [
        (
            200,
            vec!["202", "NOTIFY"],
            Some("terminated;reason=noresource | SIP/2.0 200 OK"),
        ),
        (603, vec!["603"], None),
        (486, vec!["486"], None),
        // The call lives, whatever becomes of its transfer: nothing says within its dialog that this is no more (RFC 5057 s.5.1).
        (
            404,
            vec!["202", "NOTIFY"],
            Some("terminated;reason=noresource | SIP/2.0 404 Not Found"),
        ),
        (
            481,
            vec!["202", "NOTIFY"],
            Some("terminated;reason=noresource | SIP/2.0 481 Call/Transaction Does Not Exist"),
        ),
        (
            408,
            vec!["202", "NOTIFY"],
            Some("terminated;reason=noresource | SIP/2.0 408 Request Timeout"),
        ),
    ] {
        let mut peer = Peer::new();
        let (_, to) = peer.talk();
        let key = peer.ask(refer(&to, 2, CAROL));
        peer.agent.refer_progress(peer.now, key, status);
        let sent = peer.sent();
        assert_eq!(sent.len(), lines.len(), "{status}");
        if let Some(last) = last {
            assert!(said(&sent[1].1).ends_with(last));
        }
        peer.agent.refer_progress(peer.now, key, 200);
        assert!(peer.lines().is_empty());
        peer.deliver(refer(&to, 2, CAROL).finish());
        assert_eq!(peer.lines()[0], lines[0], "the same REFER again gets the same answer");
        assert!(peer.refers().is_empty());
    }
}

/// (Refer-To lines, the status)
#[test]
fn a_refer_to_that_cannot_be_followed_is_refused() {
    let long = format!("<sip:{}@tandem.test>", "x".repeat(3000));
    let table: &[(&[&str], &str)] = &[
        (&[], "400"),
        (&[CAROL, CAROL], "400"),
        (&["<sip:a@b>, <sip:c@d>"], "400"),
        (&["sip:a@b?Replaces=x"], "400"),
        (&["<carol>"], "400"),
        (&["<sip:carol@tandem test>"], "400"),
        (&["<sip:carol@tandem.test;method=BYE>"], "400"),
        (&["<sip:carol@tandem.test?Replaces=only-a-call-id>"], "400"),
        (
            &["<sip:carol@tandem.test?Replaces=a%3Bto-tag%3Db%3Bfrom-tag%3Dc&Replaces=a>"],
            "400",
        ),
        (&[&long], "414"),
    ];
    let mut peer = Peer::new();
    let (_, to) = peer.talk();
    for (at, (lines, status)) in table.iter().enumerate() {
        let cseq = at as u32 + 2;
        let mut request = Request::new(Method::Refer, &format!("r{at}")).to(&to).cseq(cseq);
        for line in *lines {
            request = request.header("Refer-To", line);
        }
        peer.deliver(request.finish());
        assert_eq!(peer.lines(), [*status], "{lines:?}");
    }
    assert!(peer.refers().is_empty());
}

/// 416 within the dialog would say that this is no more (RFC 5057 s.5.1), as 404 would.
#[test]
fn a_refer_to_of_a_foreign_scheme_does_not_cost_the_phone_its_call() {
    let mut peer = Peer::new();
    let (session, to) = peer.talk();
    let cases = [
        "<http://tandem.test>",
        "<mailto:carol@tandem.test>",
        "<x:y?Replaces=a%3Bto-tag%3Db%3Bfrom-tag%3Dc>",
    ];
    for (cseq, refer_to) in (2..).zip(cases) {
        let request = refer(&to, cseq, refer_to).finish();
        peer.deliver(request.clone());
        let sent = peer.sent();
        assert_eq!((sent.len(), sent[0].1.status()), (2, Some(202)), "{refer_to}");
        let expected = format!("refer;id={cseq} | terminated;reason=noresource | SIP/2.0 416 Unsupported URI Scheme");
        assert_eq!(said(&sent[1].1), expected);
        peer.respond(&sent[1].1, 200, "x", &[]);
        peer.deliver(request);
        assert_eq!(peer.lines(), ["202"], "the same REFER again gets the same answer");
    }
    // Who wants no notification is refused with a status that says nothing of the dialog.
    let quiet = refer(&to, 9, "<http://tandem.test>").header("Refer-Sub", "false");
    peer.deliver(quiet.finish());
    assert_eq!(peer.lines(), ["603"]);
    assert!(peer.refers().is_empty());
    assert_eq!(peer.agent.stats().subscriptions_active, 0);
    peer.agent.bye(peer.now, session, None);
    let bye = peer.one().1;
    peer.respond(&bye, 200, "x", &[]);
    peer.settle();
}

#[test]
fn the_dialog_of_an_attended_transfer_is_read_from_the_refer_to() {
    let mut peer = Peer::new();
    let (_, to) = peer.talk();
    let text =
        "<sip:carol@10.0.0.1;method=INVITE;user=phone?Require=replaces&REPLACES=a%40b%3Bfrom-tag%3DF%3Bto-tag%3DT%3Bearly-only>";
    peer.deliver(refer(&to, 2, text).finish());
    let (_, refer_to, replaces, _) = peer.refers().remove(0);
    assert_eq!(refer_to, "sip:carol@10.0.0.1;user=phone");
    let expected = ReplacesDialog {
        call_id: "a@b".into(),
        to_tag: "T".into(),
        from_tag: "F".into(),
        early_only: true,
    };
    assert_eq!(replaces, Some(expected));
}

#[test]
fn one_notification_is_open_at_a_time_and_the_newest_status_goes_next() {
    let mut peer = Peer::new();
    let (_, to) = peer.talk();
    let key = peer.ask(refer(&to, 2, CAROL));
    for status in [100, 180, 183, 486] {
        peer.agent.refer_progress(peer.now, key, status);
    }
    let sent = peer.sent();
    assert_eq!(sent.len(), 2);
    peer.respond(&sent[1].1, 200, "x", &[]);
    assert_eq!(
        peer.notified(200),
        "refer;id=2 | terminated;reason=noresource | SIP/2.0 486 Busy Here"
    );
}

#[test]
fn the_end_of_a_transfer_is_told_before_we_hang_up() {
    let mut peer = Peer::new();
    let (session, to) = peer.talk();
    let key = peer.ask(refer(&to, 2, CAROL));
    peer.agent.refer_progress(peer.now, key, 100);
    peer.agent.refer_progress(peer.now, key, 200);
    peer.agent.bye(peer.now, session, None);
    let sent: Vec<Message> = peer.sent().into_iter().map(|(_, message)| message).collect();
    let methods: Vec<String> = sent
        .iter()
        .filter_map(Message::method)
        .map(|method| method.to_string())
        .collect();
    assert_eq!(methods, ["NOTIFY", "NOTIFY", "BYE"]);
    assert!(said(&sent[2]).ends_with("terminated;reason=noresource | SIP/2.0 200 OK"));
    for request in &sent[1..] {
        peer.respond(request, 200, "x", &[]);
    }
    assert!(peer.lines().is_empty());
    assert_eq!(peer.agent.stats().dialogs_active, 0);
    peer.settle();
}

#[test]
fn several_transfers_are_told_apart_and_too_many_are_refused() {
    let mut peer = Peer::new();
    let (_, to) = peer.talk();
    let keys: Vec<ReferKey> = (2..6).map(|cseq| peer.ask(refer(&to, cseq, CAROL))).collect();
    peer.deliver(refer(&to, 6, CAROL).finish());
    let (_, refusal) = peer.one();
    assert_eq!(
        (refusal.status(), refusal.header(HeaderName::RetryAfter)),
        (Some(503), Some("5"))
    );
    for key in &keys {
        peer.agent.refer_progress(peer.now, *key, 200);
    }
    let notified: Vec<String> = peer
        .sent()
        .iter()
        .filter(|(_, m)| m.is_request())
        .map(|(_, m)| said(m))
        .collect();
    assert_eq!(notified.len(), 4);
    assert!(notified[0].starts_with("refer;id=2 ") && notified[3].starts_with("refer;id=5 "));
}

#[test]
fn who_wants_no_notifications_gets_none() {
    let mut peer = Peer::new();
    let (session, to) = peer.talk();
    let key = peer.ask(
        refer(&to, 2, CAROL)
            .header("Refer-Sub", "false")
            .header("Require", "norefersub"),
    );
    peer.agent.refer_progress(peer.now, key, 100);
    let (_, accepted) = peer.one();
    assert_eq!(
        (accepted.status(), accepted.header_named("Refer-Sub")),
        (Some(202), Some("false"))
    );
    peer.agent.refer_progress(peer.now, key, 200);
    assert!(peer.lines().is_empty());
    assert!(peer.agent.session_call_id(session).is_some());
    for (status, refusal) in [(404, "603"), (481, "603"), (486, "486")] {
        let key = peer.ask(refer(&to, status.into(), CAROL).header("Refer-Sub", "false"));
        peer.agent.refer_progress(peer.now, key, status);
        assert_eq!(peer.lines(), [refusal]);
    }
}

#[test]
fn a_refused_notification_ends_the_subscription_and_not_the_call() {
    let mut peer = Peer::new();
    let (session, to) = peer.talk();
    let key = peer.ask(refer(&to, 2, CAROL));
    peer.agent.refer_progress(peer.now, key, 100);
    let sent = peer.sent();
    peer.respond(&sent[1].1, 481, "x", &[]);
    peer.agent.refer_progress(peer.now, key, 200);
    assert!(peer.lines().is_empty());
    assert_eq!(peer.agent.stats().subscriptions_active, 0);
    peer.agent.bye(peer.now, session, None);
    assert_eq!(peer.lines(), ["BYE"]);
}

#[test]
fn a_notification_that_nobody_answers_ends_the_subscription_and_not_the_call() {
    let mut peer = Peer::new();
    let (session, to) = peer.talk();
    let key = peer.ask(refer(&to, 2, CAROL));
    peer.agent.refer_progress(peer.now, key, 100);
    peer.sent();
    peer.wait(Duration::from_secs(80));
    peer.sent();
    assert_eq!(peer.agent.stats().subscriptions_active, 0);
    assert!(
        peer.events.is_empty() && peer.agent.session_call_id(session).is_some(),
        "{:?}",
        peer.events
    );
}

#[test]
fn the_peer_that_hung_up_still_hears_how_the_transfer_went() {
    let mut peer = Peer::new();
    let (_, to) = peer.talk();
    let key = peer.ask(refer(&to, 2, CAROL));
    peer.agent.refer_progress(peer.now, key, 100);
    let sent = peer.sent();
    peer.respond(&sent[1].1, 200, "x", &[]);
    peer.deliver(Request::new(Method::Bye, "bye").to(&to).cseq(3).finish());
    assert_eq!(peer.lines(), ["200"]);
    assert_eq!(peer.events.iter().filter_map(any_terminal).count(), 1);
    peer.agent.refer_progress(peer.now, key, 200);
    assert_eq!(
        peer.notified(200),
        "refer;id=2 | terminated;reason=noresource | SIP/2.0 200 OK"
    );
    assert_eq!(peer.agent.stats().dialogs_active, 0);
    peer.settle();
}

#[test]
fn a_transfer_without_an_end_is_given_up_soon_after_the_session_and_late_without_it() {
    let mut peer = Peer::new();
    let (session, to) = peer.talk();
    let key = peer.ask(refer(&to, 2, CAROL));
    peer.agent.refer_progress(peer.now, key, 180);
    let sent = peer.sent();
    peer.respond(&sent[1].1, 200, "x", &[]);
    peer.wait(Duration::from_secs(100));
    assert!(peer.lines().is_empty());
    peer.agent.bye(peer.now, session, None);
    let bye = peer.one().1;
    peer.respond(&bye, 200, "x", &[]);
    assert_eq!(peer.agent.stats().dialogs_active, 1, "the dialog is kept for the transfer");
    peer.wait(Duration::from_secs(32));
    assert_eq!(
        peer.notified(200),
        "refer;id=2 | terminated;reason=timeout | SIP/2.0 180 Ringing"
    );
    peer.settle();

    let mut peer = Peer::new();
    let (_, to) = peer.talk();
    let key = peer.ask(refer(&to, 2, CAROL));
    peer.agent.refer_progress(peer.now, key, 180);
    let sent = peer.sent();
    peer.respond(&sent[1].1, 200, "x", &[]);
    peer.wait(Duration::from_secs(300));
    assert!(peer.notified(200).contains("terminated;reason=timeout"));
}

#[test]
fn a_transfer_that_nobody_answered_goes_with_the_session_or_with_its_time() {
    let mut peer = Peer::new();
    let (_, to) = peer.talk();
    peer.ask(refer(&to, 2, CAROL));
    peer.deliver(Request::new(Method::Bye, "bye").to(&to).cseq(3).finish());
    assert_eq!(peer.lines(), ["200", "487"]);
    peer.settle();

    let mut peer = Peer::new();
    let (_, to) = peer.talk();
    let key = peer.ask(refer(&to, 2, CAROL));
    peer.wait(Duration::from_secs(33));
    assert_eq!(peer.agent.stats().subscriptions_active, 0);
    peer.agent.refer_progress(peer.now, key, 100);
    assert!(peer.lines().is_empty());
}

#[test]
fn the_subscription_of_a_transfer_can_be_refreshed_and_ended() {
    let mut peer = Peer::new();
    let (session, to) = peer.talk();
    let key = peer.ask(refer(&to, 2, CAROL));
    peer.agent.refer_progress(peer.now, key, 180);
    let sent = peer.sent();
    peer.respond(&sent[1].1, 200, "x", &[]);
    let subscribe = |cseq, expires: &str| {
        let request = Request::new(Method::Subscribe, &format!("s{cseq}")).to(&to).cseq(cseq);
        request.header("Event", "refer;id=2").header("Expires", expires)
    };
    peer.deliver(subscribe(3, "600").finish());
    let sent = peer.sent();
    assert_eq!((sent[0].1.status(), sent[0].1.expires()), (Some(200), Some(600)));
    assert_eq!(said(&sent[1].1), "refer;id=2 | active;expires=600 | SIP/2.0 180 Ringing");
    peer.respond(&sent[1].1, 200, "x", &[]);
    peer.deliver(subscribe(4, "0").finish());
    let sent = peer.sent();
    assert_eq!((sent[0].1.status(), sent[0].1.expires()), (Some(200), Some(0)));
    assert_eq!(
        said(&sent[1].1),
        "refer;id=2 | terminated;reason=timeout | SIP/2.0 180 Ringing"
    );
    peer.respond(&sent[1].1, 200, "x", &[]);
    peer.deliver(subscribe(5, "600").finish());
    assert_eq!(peer.lines(), ["489"]);
    peer.agent.refer_progress(peer.now, key, 200);
    assert!(peer.lines().is_empty());
    assert!(peer.agent.session_call_id(session).is_some());
}

#[test]
fn outside_a_call_and_before_its_answer_nobody_is_transferred() {
    let mut peer = Peer::new();
    peer.deliver(Request::new(Method::Refer, "out").header("Refer-To", CAROL).finish());
    assert_eq!(peer.lines(), ["403"]);
    peer.deliver(Request::new(Method::Invite, "in").finish());
    peer.sent();
    let session = peer.events.iter().find_map(incoming).unwrap();
    peer.agent.progress(peer.now, session, 180, None);
    let to = peer.one().1.header(HeaderName::To).unwrap().to_owned();
    peer.deliver(refer(&to, 2, CAROL).finish());
    assert_eq!(peer.lines(), ["403"]);
}

/// With no loss and with much of it: a transfer is told of in order, and its end gets through.
#[test]
fn between_two_user_agents_a_transfer_runs_over_a_bad_network() {
    for (seed, loss) in [(1, 0), (2, 300), (3, 300), (4, 300)] {
        let mut rig = Rig::new(seed);
        let (caller, callee) = rig.talk();
        rig.loss = loss;
        rig.agents[0].send_refer(rig.now, caller, CAROL, &[]);
        let referred = |event: &UaEvent| match event {
            UaEvent::Referred { refer, session, .. } => Some((*refer, *session)),
            _ => None,
        };
        let (key, session) = rig.wait(1, referred);
        assert_eq!(session, callee);
        for status in [100, 180, 200] {
            rig.agents[1].refer_progress(rig.now, key, status);
            rig.run(ms(3000));
        }
        rig.run(Duration::from_secs(40));
        assert_eq!(rig.count("1 202 REFER").min(1), 1);
        assert!(rig.count("1 NOTIFY") >= 3 && rig.count("0 200 NOTIFY") >= 3);
        assert_eq!(rig.agents[1].stats().subscriptions_active, 0);
        rig.loss = 0;
        rig.agents[0].bye(rig.now, caller, None);
        rig.settle();
    }
}

#[test]
fn a_dialog_is_found_by_its_whole_identity_in_either_order_of_tags() {
    let mut peer = Peer::new();
    let (session, to) = peer.talk();
    let ours = to.split("tag=").nth(1).unwrap().to_owned();
    let find = |peer: &Peer, call_id: &str, to_tag: &str, from_tag: &str| peer.agent.session_of_dialog(call_id, to_tag, from_tag);
    let found = Some((session, DialogState::Confirmed));
    assert_eq!(find(&peer, "call-1", &ours, "p1"), found);
    assert_eq!(find(&peer, "call-1", "p1", &ours), found);
    for (call_id, to_tag, from_tag) in [
        ("call-2", &*ours, "p1"),
        ("call-1", &*ours, "p2"),
        ("call-1", "p1", "p1"),
        ("", "", ""),
    ] {
        assert_eq!(find(&peer, call_id, to_tag, from_tag), None);
    }
    let dialog = ReplacesDialog {
        call_id: "call-1".into(),
        to_tag: "p1".into(),
        from_tag: ours.as_str().into(),
        early_only: false,
    };
    assert_eq!(dialog.owner(), Some(0));
    peer.agent.bye(peer.now, session, None);
    assert_eq!(find(&peer, "call-1", &ours, "p1"), Some((session, DialogState::Over)));
}

#[test]
fn a_ringing_device_is_found_by_the_dialog_it_was_told_of() {
    let mut peer = Peer::new();
    let session = peer.agent.invite(peer.now, invite_to(&format!("sip:bob@{PEER}")));
    let invite = peer.one().1;
    peer.respond(&invite, 180, "ringing", &[]);
    let (call_id, ours) = (invite.call_id().unwrap(), invite.from().unwrap().tag().unwrap());
    let found = peer.agent.session_of_dialog(call_id, ours, "ringing");
    assert_eq!(found, Some((session, DialogState::Early { outgoing: true })));
    peer.deliver(Request::new(Method::Invite, "in").finish());
    let incoming = peer.sent().len();
    assert_eq!(incoming, 1);
}

/// RFC 3891 s.3.
#[test]
fn what_may_be_replaced_follows_the_rules() {
    use DialogState::*;
    for (found, early_only, verdict) in [
        (None, false, Err(481)),
        (Some(Over), false, Err(603)),
        (Some(Confirmed), false, Ok(())),
        (Some(Confirmed), true, Err(486)),
        (Some(Early { outgoing: true }), true, Ok(())),
        (Some(Early { outgoing: true }), false, Ok(())),
        (Some(Early { outgoing: false }), true, Err(481)),
    ] {
        assert_eq!(may_replace(found, early_only), verdict, "{found:?} {early_only}");
    }
}

#[test]
fn the_replaces_of_an_invite_is_read_once_or_refused() {
    let read = |headers: &[(&str, &str)]| {
        let mut request = Request::new(Method::Invite, "x").header("Require", "replaces");
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let message = Message::parse(request.finish()).unwrap();
        assert_eq!(message.validate(), Ok(()));
        replaces_of(&message)
    };
    assert_eq!(read(&[]), Ok(None));
    let dialog = read(&[("Replaces", "c@h ; to-tag=t ;from-tag=f")]).unwrap().unwrap();
    assert_eq!(
        (&*dialog.call_id, &*dialog.to_tag, &*dialog.from_tag, dialog.early_only),
        ("c@h", "t", "f", false)
    );
    for bad in [
        &[("Replaces", "c;to-tag=t;from-tag=f"), ("Replaces", "c;to-tag=t;from-tag=f")] as &[(&str, &str)],
        &[("Replaces", "c;to-tag=t;from-tag=f"), ("Join", "c;to-tag=t;from-tag=f")],
        &[("Replaces", "c;to-tag=t;to-tag=u;from-tag=f")],
        &[("Replaces", "c;to-tag=t")],
        &[("Replaces", ";to-tag=t;from-tag=f")],
        &[("Replaces", "a b;to-tag=t;from-tag=f")],
        &[("Replaces", "a;to-tag=t;from-tag=f, b;to-tag=t;from-tag=f")],
    ] {
        assert!(read(bad).is_err(), "{bad:?}");
    }
}

proptest::proptest! {
    #[test]
    fn a_dialog_is_read_as_it_was_written(call_id in "[a-zA-Z0-9@.<>?\"/\\[\\]{}()_-]{1,30}", to in "[a-z0-9.-]{1,20}", from in "[a-z0-9.-]{1,20}", early in proptest::prelude::any::<bool>(), junk in "\\PC{0,60}") {
        let text = format!("{call_id};from-tag={from};to-tag={to}{}", if early { ";early-only" } else { "" });
        let read = crate::message::Replaces::parse(&text).map(ReplacesDialog::from);
        proptest::prop_assert_eq!(read, Ok(ReplacesDialog { call_id: call_id.into(), to_tag: to.into(), from_tag: from.into(), early_only: early }));
        if let Ok(read) = crate::message::Replaces::parse(&junk) {
            proptest::prop_assert!(!read.call_id.is_empty() && !read.to_tag.is_empty() && !read.from_tag.is_empty());
        }
    }

    #[test]
    fn whatever_a_refer_asks_nothing_panics_and_nothing_is_left(target in "(<sip:[a-z]{1,4}@[a-z]{1,4}(;[a-z=]{0,8})?\\?[A-Za-z%0-9=&;]{0,40}>)|\\PC{0,60}", more in "\\PC{0,20}") {
        let mut peer = Peer::new();
        let (session, to) = peer.talk();
        peer.deliver(refer(&to, 2, &target).header("Refer-Sub", &more).header("Event", &more).finish());
        for (key, refer_to, ..) in peer.refers() {
            proptest::prop_assert!(crate::message::Uri::parse(&refer_to).is_ok_and(|uri| uri.headers.is_none()));
            peer.agent.refer_progress(peer.now, key, 200);
        }
        peer.agent.bye(peer.now, session, None);
        peer.settle();
    }
}

#[test]
fn notifications_that_come_unasked_do_no_harm() {
    let mut peer = Peer::new();
    let (session, to) = peer.talk();
    for (at, (event, status)) in [
        ("refer;id=1", "200"),
        ("keep-alive", "200"),
        ("talk", "489"),
        ("presence", "489"),
        ("", "489"),
    ]
    .into_iter()
    .enumerate()
    {
        let request = Request::new(Method::Notify, &format!("n{at}")).to(&to).cseq(at as u32 + 2);
        peer.deliver(request.header("Event", event).header("Subscription-State", "active").finish());
        assert_eq!(peer.lines(), [status], "{event}");
    }
    peer.deliver(Request::new(Method::Notify, "out").header("Event", "keep-alive").finish());
    assert_eq!(peer.lines(), ["405"]);
    assert!(peer.agent.session_call_id(session).is_some() && peer.events.is_empty());
}
