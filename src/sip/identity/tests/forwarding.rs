//! Diversion and History-Info.

use super::*;
use crate::identity::*;

const ALICE: &str = "<sip:alice@tandem.test>;tag=a";

#[test]
fn a_forwarding_is_added_on_top_and_the_ones_before_are_kept() {
    let request = invite(
        ALICE,
        &[
            (
                "Diversion",
                "\"Bob\" <sip:bob@tandem.test>;reason=user-busy;counter=2;privacy=off, <tel:+4930>;reason=strange",
            ),
            ("Diversion", "not an address"),
        ],
    );
    let mut diversions = Diversions::of(&request);
    assert_eq!((diversions.entries.len(), diversions.count()), (2, 3));
    assert_eq!(diverted_by(&request).as_deref(), Some("sip:bob@tandem.test"));
    diversions.push(Diversion::new("sip:carol@tandem.test".into(), None, ForwardReason::NoAnswer));
    assert_eq!(
        lines(&diversions.headers()),
        [
            "Diversion: <sip:carol@tandem.test>;reason=no-answer;counter=1",
            "Diversion: \"Bob\" <sip:bob@tandem.test>;reason=user-busy;counter=2;privacy=off",
            "Diversion: <tel:+4930>;reason=unknown;counter=1",
        ]
    );
    assert_eq!(Diversions::of(&invite_with(&diversions.headers())), diversions);
}

#[test]
fn the_same_forwarding_again_is_counted_and_the_oldest_are_forgotten_but_for_their_number() {
    let mut diversions = Diversions::default();
    for at in 0..30 {
        let by = format!("sip:d{}@tandem.test", at / 2).into();
        diversions.push(Diversion::new(by, None, ForwardReason::Unconditional));
    }
    assert_eq!((diversions.entries.len(), diversions.count()), (10, 30));
    assert_eq!(diversions.entries[0].counter, 2);
    assert!(diversions.is_exhausted(30) && !diversions.is_exhausted(31));
    let named = invite(ALICE, &[("Diversion", "<sip:a@b.c>;limit=1")]);
    assert!(Diversions::of(&named).is_exhausted(5));
    let absurd = invite(ALICE, &[("Diversion", "<sip:a@b.c>;counter=99999999999")]);
    assert!(Diversions::of(&absurd).is_exhausted(5));
}

#[test]
fn a_history_grows_by_the_target_and_tells_why() {
    let mut history = History::default();
    history.push(
        "sip:bob@tandem.test?Subject=x",
        "sip:carol@tandem.test",
        ForwardReason::UserBusy,
    );
    history.push("sip:carol@tandem.test", "tel:+4930", ForwardReason::NoAnswer);
    let headers = history.headers();
    assert_eq!(
        lines(&headers),
        [
            "History-Info: <sip:bob@tandem.test?Reason=SIP%3Bcause%3D486>;index=1",
            "History-Info: <sip:carol@tandem.test;cause=486?Reason=SIP%3Bcause%3D408>;index=1.1;mp=1",
            "History-Info: <tel:+4930>;index=1.1.1;mp=1.1",
        ]
    );
    let again = History::of(&invite_with(&headers));
    assert_eq!(again, history);
    assert_eq!(diverted_by(&invite_with(&headers)).as_deref(), Some("sip:carol@tandem.test"));
}

#[test]
fn a_history_without_mapped_targets_tells_by_its_reasons() {
    let request = invite(
        ALICE,
        &[(
            "History-Info",
            "<sip:bob@tandem.test?Reason=SIP%3Bcause%3D302&Privacy=history>;index=1, <sip:carol@tandem.test>;index=1.1, <sip:x@y.z>;index=a",
        )],
    );
    let history = History::of(&request);
    assert_eq!(history.entries.len(), 2);
    assert_eq!(diverted_by(&request).as_deref(), Some("sip:bob@tandem.test"));
    assert_eq!(
        lines(&history.public_headers()),
        ["History-Info: <sip:carol@tandem.test>;index=1.1"]
    );
}

#[test]
fn a_history_keeps_its_first_entry_and_its_newest_ones() {
    let values: Vec<String> = (1..=40).map(|at| format!("<sip:u{at}@tandem.test>;index={at}")).collect();
    let headers: Vec<(&str, &str)> = values.iter().map(|value| ("History-Info", value.as_str())).collect();
    let history = History::of(&invite(ALICE, &headers));
    assert_eq!(history.entries.len(), 16);
    assert_eq!((&*history.entries[0].index, &*history.entries[15].index), ("1", "40"));
}

/// What an INVITE with these header lines makes of the next leg, forwarded by these, towards `sip:dave@tandem.test`.
fn next_leg(headers: &[(&str, &str)], by: &[(&str, ForwardReason)], trust: Trust, privacy: &str) -> Vec<String> {
    let forwarded: Vec<Forwarded> = by
        .iter()
        .map(|(by, reason)| Forwarded {
            by: (*by).into(),
            reason: *reason,
        })
        .collect();
    let towards = Towards {
        to: "sip:dave@tandem.test",
        kind: "rc",
        trust,
        privacy: Privacy::parse(privacy),
    };
    let mut told = forwardings(&invite(ALICE, headers));
    told.push(("X-Trace".into(), "7".into()));
    let mut written = lines(&continued(told, &forwarded, towards));
    assert_eq!(written.pop().as_deref(), Some("X-Trace: 7"));
    written
}

const BUSY: (&str, &str) = ("Diversion", "<sip:5@x.example>;reason=user-busy;counter=1;privacy=off");
const EARLIER: (&str, &str) = (
    "Diversion",
    "\"Six\" <sip:6@x.example>;reason=no-answer;counter=2;privacy=full",
);
const HISTORY: (&str, &str) = (
    "History-Info",
    "<sip:6@x.example>;index=1, <sip:5@x.example;cause=486>;index=1.1;mp=1, <sip:bob@tandem.test;cause=302>;index=1.1.1;mp=1.1",
);

#[test]
fn what_came_goes_on_and_each_forwarding_is_put_before_it() {
    let bob = ("sip:bob@tandem.test", ForwardReason::Unconditional);
    let carol = ("sip:carol@tandem.test", ForwardReason::Deflection);
    assert_eq!(next_leg(&[], &[], Trust::Trusted, ""), [""; 0]);
    assert_eq!(
        next_leg(&[BUSY, EARLIER], &[], Trust::Trusted, ""),
        [
            "Diversion: <sip:5@x.example>;reason=user-busy;counter=1;privacy=off",
            "Diversion: \"Six\" <sip:6@x.example>;reason=no-answer;counter=2;privacy=full",
        ]
    );
    assert_eq!(
        next_leg(&[BUSY], &[bob, carol], Trust::Trusted, ""),
        [
            "Diversion: <sip:carol@tandem.test>;reason=deflection;counter=1",
            "Diversion: <sip:bob@tandem.test>;reason=unconditional;counter=1",
            "Diversion: <sip:5@x.example>;reason=user-busy;counter=1;privacy=off",
        ]
    );
    assert_eq!(
        next_leg(&[BUSY, HISTORY], &[bob, carol], Trust::Trusted, ""),
        [
            "Diversion: <sip:carol@tandem.test>;reason=deflection;counter=1",
            "Diversion: <sip:bob@tandem.test>;reason=unconditional;counter=1",
            "Diversion: <sip:5@x.example>;reason=user-busy;counter=1;privacy=off",
            "History-Info: <sip:6@x.example>;index=1",
            "History-Info: <sip:5@x.example;cause=486>;index=1.1;mp=1",
            "History-Info: <sip:bob@tandem.test;cause=302?Reason=SIP%3Bcause%3D302>;index=1.1.1;mp=1.1",
            "History-Info: <sip:carol@tandem.test;cause=302?Reason=SIP%3Bcause%3D480>;index=1.1.1.1;mp=1.1.1",
            "History-Info: <sip:dave@tandem.test;cause=480>;index=1.1.1.1.1;mp=1.1.1.1",
        ]
    );
}

#[test]
fn a_history_alone_is_told_in_both_ways_and_its_causes_are_reasons() {
    assert_eq!(
        next_leg(&[HISTORY], &[], Trust::Trusted, ""),
        [
            "Diversion: <sip:5@x.example>;reason=unconditional;counter=1",
            "Diversion: <sip:6@x.example>;reason=user-busy;counter=1",
            "History-Info: <sip:6@x.example>;index=1",
            "History-Info: <sip:5@x.example;cause=486>;index=1.1;mp=1",
            "History-Info: <sip:bob@tandem.test;cause=302>;index=1.1.1;mp=1.1",
            "History-Info: <sip:dave@tandem.test>;index=1.1.1.1;rc=1.1.1",
        ]
    );
    let here = ("History-Info", "<sip:dave@tandem.test;cause=302>;index=1");
    assert_eq!(
        next_leg(&[here], &[], Trust::Trusted, ""),
        ["History-Info: <sip:dave@tandem.test;cause=302>;index=1"]
    );
}

#[test]
fn who_forwarded_may_be_private_too() {
    assert_eq!(
        next_leg(&[BUSY, EARLIER], &[], Trust::Untrusted, "id"),
        [
            "Diversion: <sip:5@x.example>;reason=user-busy;counter=1;privacy=off",
            "Diversion: <sip:anonymous@anonymous.invalid>;reason=no-answer;counter=2;privacy=full",
        ]
    );
    let private = (
        "History-Info",
        "<sip:6@x.example?Privacy=history>;index=1, <sip:5@x.example>;index=1.1;mp=1",
    );
    assert_eq!(
        next_leg(&[private], &[], Trust::Untrusted, ""),
        [
            "Diversion: <sip:anonymous@anonymous.invalid>;reason=unknown;counter=1;privacy=full",
            "History-Info: <sip:5@x.example>;index=1.1;mp=1",
            "History-Info: <sip:dave@tandem.test>;index=1.1.1;rc=1.1",
        ]
    );
    assert_eq!(
        next_leg(&[BUSY, HISTORY], &[], Trust::Untrusted, "history"),
        ["Diversion: <sip:anonymous@anonymous.invalid>;reason=user-busy;counter=1;privacy=off"]
    );
}

#[test]
fn much_of_it_is_bounded() {
    let long = "x".repeat(900);
    let diversions: Vec<String> = (0..9)
        .map(|at| format!("<sip:{at}{long}@a.b>;reason=away;counter=1"))
        .collect();
    let history: Vec<String> = (1..9).map(|at| format!("<sip:{at}{long}@a.b>;index={at}")).collect();
    let all = diversions.iter().map(|value| ("Diversion", value.as_str()));
    let all: Vec<_> = all
        .chain(history.iter().map(|value| ("History-Info", value.as_str())))
        .collect();
    let kept = forwardings(&invite(ALICE, &all));
    assert_eq!(kept.len(), 8, "four of each");
    assert!(
        kept[0].1.contains("sip:0") && kept[3].1.contains(";counter=6"),
        "the oldest are counted"
    );
    assert!(
        kept[4].1.contains("sip:1") && kept[7].1.contains("sip:8"),
        "the first and the newest"
    );
}

#[test]
fn reasons_are_read_and_written() {
    let request = invite(
        ALICE,
        &[(
            "Reason",
            "SIP;cause=200;text=\"Call completed elsewhere\", Q.850 ; cause=16 , bad protocol;cause=1",
        )],
    );
    let reasons = Reason::all_of(&request);
    let written: Vec<String> = reasons.iter().map(Reason::to_string).collect();
    assert_eq!(written, ["SIP;cause=200;text=\"Call completed elsewhere\"", "Q.850;cause=16"]);
    assert_eq!(reasons[1], Reason::q850(16));
    let spoiled = Reason::sip(486).with_text("a \"b\"\r\nVia: c\\");
    assert_eq!(spoiled.to_string(), "SIP;cause=486;text=\"a \\\"b\\\"Via: c\\\\\"");
}

#[test]
fn a_reason_is_passed_on_cleaned_and_bounded() {
    let long = "x".repeat(1_000);
    for (value, passed) in [
        (
            "Q.850;cause=17;text=\"User busy\"",
            Some("Q.850;cause=17;text=\"User busy\"".to_owned()),
        ),
        (
            "sip ; cause=200 ;text=\"Call completed elsewhere\",q.850;cause=26;location=LN",
            Some("SIP;cause=200;text=\"Call completed elsewhere\", Q.850;cause=26".to_owned()),
        ),
        ("Q.850;cause=16, Q.850;cause=31", Some("Q.850;cause=16".to_owned())),
        ("Q.850;text=x, Q.850;cause=31", Some("Q.850;cause=31".to_owned())),
        ("Preemption;cause=1;text=\"UA Preemption\"", None),
        ("Q.850;cause=128", None),
        ("SIP;cause=99, SIP;cause=700", None),
        ("Q.850", None),
        ("", None),
        (
            &format!("SIP;cause=486;text=\"{long}\""),
            Some(format!("SIP;cause=486;text=\"{}\"", &long[..128])),
        ),
    ] {
        assert_eq!(
            Reason::passed_on(&invite(ALICE, &[("Reason", value)])),
            passed.clone().map(Into::into),
            "{value}"
        );
        assert_eq!(Reason::cleaned(value), passed.map(Into::into), "{value}");
    }
    let lines = Reason::cleaned("SIP;cause=200;text=\"a\r\nVia: b\"");
    assert!(lines.is_none_or(|value| !value.contains(['\r', '\n'])));
}

#[test]
fn who_referred_is_read_where_it_can_be() {
    let by = |value: &str| referred_by(&invite(ALICE, &[("Referred-By", value)]));
    for (value, taken) in [
        ("<sip:bob@tandem.test>;cid=\"x\"", Some("<sip:bob@tandem.test>")),
        ("sip:bob@tandem.test", Some("<sip:bob@tandem.test>")),
        (
            "Bob B. <sips:bob@tandem.test;x=y>",
            Some("\"Bob B.\" <sips:bob@tandem.test;x=y>"),
        ),
        ("\"B\\\"ob\" <tel:+4930555>", Some("\"B\\\"ob\" <tel:+4930555>")),
        ("<sip:bob@tandem.test?Subject=x>", Some("<sip:bob@tandem.test>")),
        ("<mailto:bob@tandem.test>", None),
        ("<sip:>", None),
        ("nonsense", None),
        ("", None),
    ] {
        assert_eq!(by(value).as_deref(), taken, "{value}");
    }
    assert_eq!(by(&format!("<sip:{}@tandem.test>", "b".repeat(1_024))), None);
    let cut = by(&format!("\"{}\" <sip:bob@tandem.test>", "B".repeat(1_000)));
    assert_eq!(cut.map(|value| value.len()), Some(256 + "\"\" <sip:bob@tandem.test>".len()));
}

proptest::proptest! {
    #[test]
    fn whatever_comes_is_read_bounded_and_written_so_that_it_reads_the_same(
        values in proptest::collection::vec("(\"\\PC{0,10}\" )?<(sip:[a-z%0-9]{1,6}@[a-z.]{1,8}|tel:[0-9]{1,5}|\\PC{0,12})(\\?[A-Za-z=%0-9&;]{0,30})?>(;[a-z]{1,8}=[ -~]{0,8}){0,3}(;index=[0-9.]{1,8})?", 0..20),
        more in "\\PC{0,60}",
    ) {
        let all = |name: &'static str| -> Vec<(&'static str, String)> {
            values.iter().chain([&more]).map(|value| (name, value.clone())).collect()
        };
        let request = |name| {
            let headers = all(name);
            let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
            invite(ALICE, &headers)
        };
        let mut diversions = Diversions::of(&request("Diversion"));
        let again = Diversions::of(&invite_with(&diversions.headers()));
        proptest::prop_assert_eq!(&again, &diversions);
        let before = diversions.count();
        diversions.push(Diversion::new("sip:x@tandem.test".into(), None, ForwardReason::Away));
        proptest::prop_assert!(diversions.entries.len() <= 10 && diversions.count() == before.saturating_add(1));

        let mut history = History::of(&request("History-Info"));
        proptest::prop_assert_eq!(&History::of(&invite_with(&history.headers())), &history);
        for at in 0..20 {
            history.push("sip:a@tandem.test", &format!("sip:b{at}@tandem.test"), ForwardReason::UserBusy);
        }
        proptest::prop_assert!(history.entries.len() <= 16);
        proptest::prop_assert_eq!(&History::of(&invite_with(&history.headers())), &history);

        let reasons = Reason::all_of(&request("Reason"));
        let written: Headers = reasons.iter().map(|reason| ("Reason".into(), reason.to_string().into())).collect();
        proptest::prop_assert_eq!(Reason::all_of(&invite_with(&written)), reasons);
    }
}
