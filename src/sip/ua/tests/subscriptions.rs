//! Subscriptions of peers to packages of ours (RFC 6665).

use std::time::Duration;

use super::peer::*;
use super::rig::*;
use crate::message::{HeaderName, Message, Method};
use crate::ua::*;

const DOCUMENT: &str = "application/conference-info+xml";

fn served() -> Peer {
    let mut peer = Peer::new();
    peer.agent.set_notifier(Notifier {
        packages: vec!["conference".into(), "dialog".into()],
        ..Notifier::default()
    });
    peer
}

fn subscribe(branch: &str, cseq: u32, expires: &str) -> Request {
    let request = Request::new(Method::Subscribe, branch)
        .cseq(cseq)
        .header("Event", "conference");
    if expires.is_empty() {
        request
    } else {
        request.header("Expires", expires)
    }
}

fn state(notify: &Message) -> String {
    assert!(notify.is(&Method::Notify), "{notify:?}");
    assert!(notify.contact().is_some());
    let header = |name| notify.header(name).unwrap().to_owned();
    let body = String::from_utf8(notify.body().to_vec()).unwrap();
    let (event, state) = (header(HeaderName::Event), header(HeaderName::SubscriptionState));
    format!("{event} | {state} | {body}")
}

impl Peer {
    fn asked(&mut self) -> Option<(SubscriptionId, IncomingSubscribe)> {
        self.sent();
        let at = self
            .events
            .iter()
            .position(|event| matches!(event, UaEvent::Subscribed { .. }))?;
        match self.events.remove(at) {
            UaEvent::Subscribed { subscription, subscribe } => Some((subscription, *subscribe)),
            other => panic!("{other:?}"),
        }
    }

    /// Subscribes, is accepted and told; gives the subscription and the To value of what follows.
    fn subscribed(&mut self, expires: u32) -> (SubscriptionId, String) {
        self.deliver(subscribe("sub", 1, &expires.to_string()).finish());
        let (id, _) = self.asked().unwrap();
        self.agent.accept_subscription(self.now, id, expires);
        let accepted = self.one().1;
        assert_eq!((accepted.status(), accepted.expires()), (Some(200), Some(expires)));
        assert!(accepted.contact().is_some());
        (id, accepted.header(HeaderName::To).unwrap().to_owned())
    }

    fn notify(&mut self, id: SubscriptionId, body: &'static str, terminated: Option<&str>) {
        self.agent.notify(self.now, id, DOCUMENT, body.into(), terminated);
    }

    fn notified_of(&mut self, status: u16) -> String {
        let (_, notify) = self.one();
        self.respond(&notify, status, "x", &[]);
        state(&notify)
    }

    fn ends(&mut self) -> Vec<SubscriptionEnd> {
        let events = std::mem::take(&mut self.events);
        let ends = events.into_iter().filter_map(|event| match event {
            UaEvent::SubscriptionEnded { why, .. } => Some(why),
            _ => None,
        });
        ends.collect()
    }

    fn settled(&mut self) {
        self.wait(Duration::from_secs(300));
        self.sent();
        self.agent.assert_empty();
    }
}

#[test]
fn a_subscriber_is_told_everything_until_it_has_enough() {
    let mut peer = served();
    peer.deliver(subscribe("sub", 1, "").finish());
    let (id, asked) = peer.asked().unwrap();
    assert_eq!((&*asked.package, asked.expires, asked.session), ("conference", 3600, None));
    assert_eq!(asked.request.from().unwrap().uri, "sip:peer@example.com");
    peer.agent.accept_subscription(peer.now, id, 600);
    let accepted = peer.one().1;
    let to = accepted.header(HeaderName::To).unwrap().to_owned();
    peer.notify(id, "<one/>", None);
    assert_eq!(peer.notified_of(200), "conference | active;expires=600 | <one/>");
    peer.wait(Duration::from_secs(100));
    peer.notify(id, "<two/>", None);
    assert_eq!(peer.notified_of(200), "conference | active;expires=500 | <two/>");

    peer.deliver(subscribe("refresh", 2, "900").to(&to).finish());
    assert_eq!(peer.one().1.expires(), Some(900));
    assert!(matches!(peer.events.pop(), Some(UaEvent::SubscriptionRefreshed { subscription }) if subscription == id));
    peer.notify(id, "<all/>", None);
    assert_eq!(peer.notified_of(200), "conference | active;expires=900 | <all/>");

    peer.deliver(subscribe("enough", 3, "0").to(&to).finish());
    let sent = peer.sent();
    assert_eq!((sent[0].1.status(), sent[0].1.expires()), (Some(200), Some(0)));
    assert_eq!(state(&sent[1].1), "conference | terminated;reason=timeout | ");
    peer.respond(&sent[1].1, 200, "x", &[]);
    assert_eq!(peer.ends(), [SubscriptionEnd::Unsubscribed]);
    peer.notify(id, "<late/>", None);
    peer.deliver(subscribe("again", 4, "600").to(&to).finish());
    assert_eq!(peer.lines(), ["481"]);
    peer.settled();
}

#[test]
fn one_look_is_one_notification() {
    let mut peer = served();
    let (id, _) = peer.subscribed(0);
    peer.notify(id, "<one/>", None);
    assert_eq!(peer.notified_of(200), "conference | terminated;reason=timeout | <one/>");
    assert_eq!(peer.ends(), [SubscriptionEnd::Expired]);
    peer.settled();
}

/// (header, value; the status and a header of the answer)
#[test]
fn what_cannot_be_subscribed_to_is_refused() {
    type Row = (
        &'static [(&'static str, &'static str)],
        u16,
        Option<(&'static str, &'static str)>,
    );
    let table: [Row; 5] = [
        (&[], 489, Some(("Allow-Events", "conference, dialog"))),
        (&[("Event", "presence")], 489, Some(("Allow-Events", "conference, dialog"))),
        (&[("Event", "conference.winfo")], 489, None),
        (
            &[("Event", "conference"), ("Expires", "30")],
            423,
            Some(("Min-Expires", "60")),
        ),
        (&[("o", "Dialog ; sla"), ("Expires", "4294967295")], 0, None),
    ];
    for (at, (headers, status, answer)) in table.into_iter().enumerate() {
        let mut peer = served();
        let mut request = Request::new(Method::Subscribe, &format!("s{at}"));
        for (name, value) in headers {
            request = request.header(name, value);
        }
        peer.deliver(request.finish());
        if status == 0 {
            let (_, asked) = peer.asked().unwrap();
            assert_eq!((&*asked.package, asked.expires), ("dialog", 3600));
            continue;
        }
        let (_, refusal) = peer.one();
        assert_eq!(refusal.status(), Some(status), "{headers:?}");
        if let Some((name, value)) = answer {
            assert_eq!(refusal.header_named(name), Some(value));
        }
        assert!(peer.events.is_empty());
        peer.agent.assert_empty();
    }
    let mut peer = served();
    let long = format!("conference;id={}", "x".repeat(100));
    peer.deliver(Request::new(Method::Subscribe, "long").header("Event", &long).finish());
    assert_eq!(peer.lines(), ["489"]);
    let mut peer = Peer::new();
    peer.deliver(subscribe("none", 1, "").finish());
    let (_, refusal) = peer.one();
    assert_eq!((refusal.status(), refusal.header(HeaderName::AllowEvents)), (Some(489), None));
}

#[test]
fn the_shell_may_challenge_without_keeping_anything() {
    let mut peer = served();
    peer.deliver(subscribe("sub", 1, "600").finish());
    let (id, _) = peer.asked().unwrap();
    let challenge = [header("WWW-Authenticate", "Digest realm=\"x\"")];
    peer.agent.reject_subscription(peer.now, id, 401, &challenge);
    let (_, refusal) = peer.one();
    assert_eq!(
        (refusal.status(), refusal.header_named("WWW-Authenticate")),
        (Some(401), Some("Digest realm=\"x\""))
    );
    assert_eq!(peer.ends(), [SubscriptionEnd::Here]);
    peer.agent.assert_empty();
    peer.agent.accept_subscription(peer.now, id, 600);
    assert!(peer.lines().is_empty());
}

#[test]
fn what_the_shell_never_answers_goes_away() {
    let mut peer = served();
    peer.deliver(subscribe("sub", 1, "600").finish());
    peer.asked().unwrap();
    peer.deliver(subscribe("sub", 1, "600").finish());
    assert!(peer.asked().is_none(), "handed up once");
    peer.wait(Duration::from_secs(33));
    peer.sent();
    assert_eq!(peer.ends(), [SubscriptionEnd::Lost]);
    peer.agent.assert_empty();
}

#[test]
fn a_subscription_that_is_not_refreshed_runs_out() {
    let mut peer = served();
    let (id, _) = peer.subscribed(60);
    peer.notify(id, "<one/>", None);
    peer.notified_of(200);
    peer.wait(Duration::from_secs(60));
    assert_eq!(peer.notified_of(200), "conference | terminated;reason=timeout | ");
    assert_eq!(peer.ends(), [SubscriptionEnd::Expired]);
    peer.settled();
}

/// (the answer to a NOTIFY, whether the subscription is over)
#[test]
fn some_answers_to_a_notification_end_the_subscription() {
    for (status, over) in [
        (200, false),
        (481, true),
        (404, true),
        (489, true),
        (500, false),
        (486, false),
        (603, false),
    ] {
        let mut peer = served();
        let (id, _) = peer.subscribed(600);
        peer.notify(id, "<one/>", None);
        peer.notified_of(status);
        peer.sent();
        assert_eq!(peer.ends() == [SubscriptionEnd::Lost], over, "{status}");
        peer.notify(id, "<two/>", Some("noresource"));
        assert_eq!(peer.sent().len(), usize::from(!over));
        peer.settled();
    }
}

#[test]
fn a_subscriber_that_does_not_answer_is_lost() {
    let mut peer = served();
    let (id, _) = peer.subscribed(600);
    peer.notify(id, "<one/>", None);
    peer.wait(Duration::from_secs(80));
    peer.sent();
    assert_eq!(peer.ends(), [SubscriptionEnd::Lost]);
    peer.settled();
}

#[test]
fn documents_wait_for_their_turn_and_the_oldest_go_first_when_there_are_too_many() {
    let mut peer = served();
    let (id, _) = peer.subscribed(600);
    for body in ["1", "2", "3", "4", "5", "6", "7"] {
        peer.notify(id, body, None);
    }
    peer.notify(id, "8", Some("noresource"));
    peer.notify(id, "9", None);
    let bodies: Vec<String> = (0..5)
        .map(|_| peer.notified_of(200).rsplit(' ').next().unwrap().to_owned())
        .collect();
    assert_eq!(bodies, ["1", "5", "6", "7", "8"]);
    assert_eq!(peer.agent.stats().notifications_dropped, 3);
    assert_eq!(peer.ends(), [SubscriptionEnd::Here]);
    assert!(peer.lines().is_empty());
    peer.settled();
}

#[test]
fn limits_hold_for_a_source_and_in_all() {
    let mut peer = served();
    peer.agent.set_notifier(Notifier {
        packages: vec!["conference".into()],
        max_subscriptions: 3,
        max_per_source: 2,
        ..Notifier::default()
    });
    let ask = |peer: &mut Peer, at: u32, from: &str| {
        peer.flow = flow_from(from);
        let mut request = subscribe(&format!("s{at}"), 1, "600");
        request.call_id = format!("call-{at}");
        peer.deliver(request.finish());
        match peer.asked() {
            Some((id, _)) => {
                peer.agent.accept_subscription(peer.now, id, 600);
                peer.one().1.status()
            }
            None => Some(0),
        }
    };
    let mut answers = Vec::new();
    for (at, from) in [
        "10.0.0.9:5060",
        "10.0.0.9:5061",
        "10.0.0.9:5062",
        "10.0.0.8:5060",
        "10.0.0.7:5060",
    ]
    .iter()
    .enumerate()
    {
        answers.push(ask(&mut peer, at as u32, from));
    }
    assert_eq!(answers, [Some(200), Some(200), Some(0), Some(200), Some(0)]);
    assert_eq!(peer.agent.stats().subscriptions_active, 3);
}

#[test]
fn a_subscription_beside_a_call_ends_with_it() {
    let mut peer = served();
    let (session, to) = peer.talk();
    peer.deliver(subscribe("sub", 2, "600").to(&to).finish());
    let (id, asked) = peer.asked().unwrap();
    assert_eq!(asked.session, Some(session));
    peer.agent.accept_subscription(peer.now, id, 600);
    peer.notify(id, "<one/>", None);
    let sent = peer.sent();
    assert_eq!((sent[0].1.status(), sent[1].1.call_id()), (Some(200), Some("call-1")));
    peer.respond(&sent[1].1, 200, "x", &[]);
    peer.deliver(subscribe("refresh", 3, "600").to(&to).finish());
    assert_eq!(peer.lines(), ["200"]);
    peer.deliver(subscribe("other", 4, "600").to(&to).header("Event", "dialog").finish());
    peer.deliver(Request::new(Method::Bye, "bye").to(&to).cseq(5).finish());
    let sent = peer.sent();
    let last = sent
        .iter()
        .find(|(_, message)| message.is(&Method::Notify))
        .unwrap()
        .1
        .clone();
    assert_eq!(state(&last), "conference | terminated;reason=noresource | ");
    peer.respond(&last, 481, "x", &[]);
    assert!(peer.ends().contains(&SubscriptionEnd::SessionOver));
    peer.settled();
}

#[test]
fn a_shell_may_refuse_a_subscription_beside_a_call_and_the_same_request_gets_the_same_answer() {
    let mut peer = served();
    let (session, to) = peer.talk();
    for _ in 0..2 {
        peer.deliver(subscribe("sub", 2, "600").to(&to).finish());
        if let Some((id, _)) = peer.asked() {
            peer.agent.reject_subscription(peer.now, id, 403, &[]);
            assert_eq!(peer.lines(), ["403"]);
        }
    }
    peer.deliver(
        Request::new(Method::Subscribe, "bad")
            .to(&to)
            .cseq(3)
            .header("Event", "nosuch")
            .finish(),
    );
    assert_eq!(peer.lines(), ["489"]);
    peer.deliver(
        Request::new(Method::Subscribe, "bad")
            .to(&to)
            .cseq(3)
            .header("Event", "nosuch")
            .finish(),
    );
    assert_eq!(peer.lines(), ["489"]);
    assert!(peer.agent.session_call_id(session).is_some());
}

#[test]
fn what_else_comes_in_a_subscriptions_dialog_does_no_harm() {
    let mut peer = served();
    let (id, to) = peer.subscribed(600);
    for (at, (method, status)) in [
        (Method::Bye, "481"),
        (Method::Invite, "481"),
        (Method::Refer, "481"),
        (Method::Options, "200"),
        (Method::Notify, "489"),
    ]
    .into_iter()
    .enumerate()
    {
        let request = Request::new(method.clone(), &format!("m{at}")).to(&to).cseq(at as u32 + 2);
        peer.deliver(request.finish());
        assert_eq!(peer.lines(), [status], "{method}");
    }
    peer.deliver(subscribe("old", 2, "600").to(&to).finish());
    assert_eq!(peer.lines(), ["500"]);
    let mut forged = subscribe("forged", 20, "0").to(&to);
    forged.from_tag = "forged".to_owned();
    peer.deliver(forged.finish());
    assert_eq!(peer.lines(), ["481"]);
    peer.notify(id, "<one/>", None);
    assert_eq!(peer.notified_of(200), "conference | active;expires=600 | <one/>");
}

#[test]
fn two_subscriptions_to_one_package_are_told_apart_by_id() {
    let mut peer = served();
    let (_, to) = peer.talk();
    let ask = |cseq: u32, id: &str| {
        let request = Request::new(Method::Subscribe, &format!("s{cseq}")).to(&to).cseq(cseq);
        request
            .header("Event", &format!("conference{id}"))
            .header("Expires", "600")
            .finish()
    };
    for (cseq, id) in [(2, ""), (3, ";id=a"), (4, ";id=b")] {
        peer.deliver(ask(cseq, id));
        let (subscription, _) = peer.asked().unwrap();
        peer.agent.accept_subscription(peer.now, subscription, 600);
        assert_eq!(peer.lines(), ["200"]);
    }
    peer.deliver(ask(5, ";id=b"));
    assert_eq!(peer.lines(), ["200"]);
    assert!(peer.asked().is_none());
    assert_eq!(peer.agent.stats().subscriptions_active, 3);
}

#[test]
fn a_successor_serves_the_same_packages() {
    use rand::SeedableRng;
    let peer = served();
    let mut peer = Peer {
        agent: peer.agent.successor(rand::rngs::StdRng::seed_from_u64(9)),
        ..Peer::new()
    };
    peer.subscribed(600);
}

/// One thing that happens to a notifier.
#[derive(Clone, Debug)]
enum Step {
    Subscribe { call: u32, expires: u32 },
    Again { of: usize, expires: u32 },
    Accept { of: usize, expires: u32 },
    Reject { of: usize },
    Notify { of: usize, last: bool },
    Answer { of: usize, status: u16 },
    Wait { seconds: u64 },
}

fn steps() -> impl proptest::strategy::Strategy<Value = Vec<Step>> {
    use proptest::prelude::*;
    let of = 0..6usize;
    let expires = prop_oneof![Just(0u32), Just(60), Just(600)];
    let status = prop_oneof![4 => Just(200u16), 1 => Just(481), 1 => Just(500), 1 => Just(407)];
    let step = prop_oneof![
        3 => (0..4u32, expires.clone()).prop_map(|(call, expires)| Step::Subscribe { call, expires }),
        2 => (of.clone(), expires.clone()).prop_map(|(of, expires)| Step::Again { of, expires }),
        4 => (of.clone(), expires).prop_map(|(of, expires)| Step::Accept { of, expires }),
        1 => of.clone().prop_map(|of| Step::Reject { of }),
        5 => (of.clone(), any::<bool>()).prop_map(|(of, last)| Step::Notify { of, last: last && of > 3 }),
        5 => (of, status).prop_map(|(of, status)| Step::Answer { of, status }),
        2 => prop_oneof![Just(1u64), Just(10), Just(61)].prop_map(|seconds| Step::Wait { seconds }),
    ];
    proptest::collection::vec(step, 1..40)
}

/// A peer whose every move is drawn, and what it saw.
struct Drawn {
    peer: Peer,
    branch: u32,
    ids: Vec<SubscriptionId>,
    ended: Vec<SubscriptionId>,
    /// To values of the 200s to SUBSCRIBE, with Call-ID and From tag of the dialog.
    dialogs: Vec<(String, String)>,
    open: Vec<Message>,
}

impl Drawn {
    fn carry_out(&mut self, step: &Step) {
        let now = self.peer.now;
        self.branch += 1;
        let branch = format!("b{}", self.branch);
        let agent = &mut self.peer.agent;
        match *step {
            Step::Subscribe { call, expires } => {
                let mut request = subscribe(&branch, self.branch, &expires.to_string());
                request.call_id = format!("call-{call}-{}", self.branch);
                self.peer.deliver(request.finish());
            }
            Step::Again { of, expires } => {
                let Some((to, call_id)) = self.dialogs.get(of).cloned() else {
                    return;
                };
                let mut request = subscribe(&branch, self.branch + 1000, &expires.to_string()).to(&to);
                request.call_id = call_id;
                self.peer.deliver(request.finish());
            }
            Step::Accept { of, expires } => self
                .ids
                .get(of)
                .iter()
                .for_each(|id| agent.accept_subscription(now, **id, expires)),
            Step::Reject { of } => self
                .ids
                .get(of)
                .iter()
                .for_each(|id| agent.reject_subscription(now, **id, 403, &[])),
            Step::Notify { of, last } => {
                let terminated = last.then_some("noresource");
                let ids = self.ids.get(of);
                ids.iter()
                    .for_each(|id| agent.notify(now, **id, DOCUMENT, "<x/>".into(), terminated));
            }
            Step::Answer { of, status } => {
                if of < self.open.len() {
                    let notify = self.open.remove(of);
                    self.peer.respond(&notify, status, "x", &[]);
                }
            }
            Step::Wait { seconds } => self.peer.wait(Duration::from_secs(seconds)),
        }
    }

    fn look(&mut self) {
        for (_, message) in self.peer.sent() {
            let call_id = message.call_id().unwrap().to_owned();
            if message.is(&Method::Notify) {
                let cseq = message.cseq().unwrap().0;
                let same = |open: &Message| open.call_id() == Some(&*call_id) && open.cseq().unwrap().0 == cseq;
                if !self.open.iter().any(same) {
                    self.open.push(message);
                }
            } else if message.status() == Some(200) && message.cseq().unwrap().1 == Method::Subscribe {
                self.dialogs
                    .push((message.header(HeaderName::To).unwrap().to_owned(), call_id));
            }
        }
        for event in std::mem::take(&mut self.peer.events) {
            match event {
                UaEvent::Subscribed { subscription, .. } => self.ids.push(subscription),
                UaEvent::SubscriptionEnded { subscription, .. } => {
                    assert!(!self.ended.contains(&subscription), "one end each");
                    self.ended.push(subscription);
                }
                UaEvent::SubscriptionRefreshed { subscription } => assert!(!self.ended.contains(&subscription)),
                other => panic!("{other:?}"),
            }
        }
    }
}

proptest::proptest! {
    #[test]
    fn every_subscription_ends_once_and_nothing_is_left(steps in steps()) {
        let mut drawn = Drawn { peer: served(), branch: 0, ids: Vec::new(), ended: Vec::new(), dialogs: Vec::new(), open: Vec::new() };
        for step in &steps {
            drawn.carry_out(step);
            drawn.look();
        }
        drawn.peer.wait(Duration::from_secs(4000));
        drawn.look();
        drawn.ended.sort_unstable();
        proptest::prop_assert_eq!(&drawn.ended, &drawn.ids);
        drawn.peer.agent.assert_empty();
    }
}
