//! Why a call ended goes along from leg to leg: the Reason header (RFC 3326) of a refusal, a CANCEL and a BYE.

use crate::rig::phone::{Phone, Talk};
use crate::rig::server::{Server, Setup};
use crate::rig::sip::Message;

const ELSEWHERE: &str = "SIP;cause=200;text=\"Call completed elsewhere\"";

/// Two phones.
async fn scene(setup: Setup) -> (Server, Phone, Phone) {
    let server = setup.trusted_phone("1001").trusted_phone("1002").start().await;
    let alice = Phone::register("1001", server.sip).await;
    let bob = Phone::register("1002", server.sip).await;
    (server, alice, bob)
}

/// Alice and Bob talk.
async fn talk(alice: &Phone, bob: &Phone) -> (Talk, Talk) {
    let attempt = alice.dial("1002").await;
    let invite = bob.rings().await;
    let bobs = bob.picks_up(&invite).await;
    (alice.answered(attempt).await, bobs)
}

fn reason(message: &Message) -> &str {
    message.header("Reason")
}

#[tokio::test]
async fn a_caller_is_told_the_reason_of_a_refusal() {
    let (mut server, alice, bob) = scene(Setup::new()).await;
    for (answer, said, status, told) in [
        (
            "486 Busy Here",
            "Q.850;cause=17;text=\"User busy\"",
            486,
            "Q.850;cause=17;text=\"User busy\"",
        ),
        // A 503 is of that one server, and no matter of the caller's (RFC 3261 s.16.7 step 6); why is.
        ("503 Service Unavailable", "Q.850 ;cause=34", 500, "Q.850;cause=34"),
        (
            "480 Temporarily Unavailable",
            "q.850;cause=19;text=\"no answer\", SIP;cause=480;text=\"x\\\"y\", X.ours;cause=1",
            480,
            "Q.850;cause=19;text=\"no answer\", SIP;cause=480;text=\"x\\\"y\"",
        ),
        ("486 Busy Here", "Q.850;cause=999", 486, ""),
        ("603 Decline", "nonsense,,;;", 603, ""),
    ] {
        let attempt = alice.dial("1002").await;
        let invite = bob.rings().await;
        bob.refuses_with(&invite, answer, &format!("Reason: {said}\r\n")).await;
        let refusal = alice.refusal(&attempt).await;
        assert_eq!((refusal.status(), reason(&refusal)), (Some(status), told), "{answer} {said}");
    }
    server.alive_and_idle().await;
}

#[tokio::test]
async fn a_phone_is_told_why_its_caller_gave_up() {
    let (mut server, alice, bob) = scene(Setup::new()).await;
    for said in [ELSEWHERE, ""] {
        let attempt = alice.dial("1002").await;
        let invite = bob.rings().await;
        let more = if said.is_empty() {
            String::new()
        } else {
            format!("Reason: {said}\r\n")
        };
        let ((), cancel) = tokio::join!(alice.cancels_with(&attempt, &more), bob.is_cancelled(&invite));
        assert_eq!(reason(&cancel), said);
    }
    server.alive_and_idle().await;
}

#[tokio::test]
async fn a_phone_that_was_too_slow_is_told_so() {
    let (mut server, alice, bob) = scene(Setup::new()).await;
    let other = Phone::register("1002", server.sip).await;
    let attempt = alice.dial("1002").await;
    let (invite, others) = tokio::join!(bob.rings(), other.rings());
    bob.picks_up(&invite).await;
    let cancel = other.is_cancelled(&others).await;
    assert_eq!(reason(&cancel), ELSEWHERE);
    let talk = alice.answered(attempt).await;
    tokio::join!(alice.hangs_up(&talk), bob.is_hung_up_on());
    server.alive_and_idle().await;
}

#[tokio::test]
async fn nobody_answered_is_told_to_both() {
    let (mut server, alice, bob) = scene(Setup::new().sip("ring_timeout_ms = 1000")).await;
    let attempt = alice.dial("1002").await;
    let invite = bob.rings().await;
    let (refusal, cancel) = tokio::join!(alice.refusal(&attempt), bob.is_cancelled(&invite));
    assert_eq!((refusal.status(), reason(&refusal)), (Some(480), "Q.850;cause=19"));
    assert_eq!(reason(&cancel), "Q.850;cause=19");
    server.alive_and_idle().await;
}

#[tokio::test]
async fn a_bye_says_why_to_the_other_side_whoever_hangs_up() {
    let (mut server, alice, bob) = scene(Setup::new()).await;
    let why = "Q.850;cause=41;text=\"Temporary failure\"";
    let more = format!("Reason: {why}\r\n");
    for by_caller in [true, false] {
        let (alices, bobs) = talk(&alice, &bob).await;
        let ((), bye) = if by_caller {
            tokio::join!(alice.hangs_up_with(&alices, &more), bob.is_hung_up_on())
        } else {
            tokio::join!(bob.hangs_up_with(&bobs, &more), alice.is_hung_up_on())
        };
        assert_eq!(reason(&bye), why);
    }
    server.alive_and_idle().await;
}
