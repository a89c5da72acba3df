//! What crosses on the wire (RFC 3261 s.9, 13.3.1.4, 14.1, 15; RFC 5407; RFC 6026), and what is lost there.

use super::peer::*;
use super::rig::*;
use super::survival::from_callee;
use crate::message::{Message, Method};

fn lose_first(count: usize, from: usize, fits: impl Fn(&Message) -> bool + 'static) -> Lose {
    let mut left = count;
    Box::new(move |sender, message| {
        let lost = left > 0 && sender == from && fits(message);
        left -= usize::from(lost);
        lost
    })
}

fn is_answer(message: &Message) -> bool {
    message.status() == Some(200) && message.cseq().is_ok_and(|(_, method)| method == Method::Invite)
}

#[test]
fn a_200_that_crosses_a_cancel_is_acknowledged_and_ended() {
    let mut rig = Rig::new(1);
    let caller = rig.invite(0);
    let callee = rig.wait(1, incoming);
    rig.run(ms(50));
    rig.agents[0].cancel(rig.now, caller, None);
    rig.agents[1].accept(rig.now, callee, sdp());
    assert_eq!(rig.settle(), [vec!["Failed 487"], vec!["Ended by peer"]]);
    assert_eq!(
        (
            rig.count("0 ACK"),
            rig.count("0 BYE"),
            rig.count("1 200 CANCEL"),
            rig.count("1 487 INVITE")
        ),
        (1, 1, 1, 0)
    );
}

#[test]
fn what_overtakes_the_200_comes_again_after_it() {
    for method in [Method::Bye, Method::Info, Method::Refer] {
        let mut peer = Peer::new();
        let session = peer.agent.invite(peer.now, invite_to("sip:bob@10.0.0.9"));
        let (_, invite) = peer.one();
        let ahead = || from_callee(&invite, method.clone(), "ahead", 1).finish();
        peer.deliver(ahead());
        assert_eq!(
            peer.lines(),
            [""; 0],
            "{method}: its callee would take 481 for the end of the call"
        );
        peer.respond(&invite, 200, "b", &[]);
        peer.sent();
        peer.agent.ack(peer.now, session, None);
        assert_eq!(peer.lines(), ["ACK"]);
        peer.deliver(ahead());
        let lines = peer.lines();
        assert!(!lines.is_empty() && !lines.contains(&"481".to_owned()), "{method}: {lines:?}");
    }
}

#[test]
fn a_lost_200_is_sent_again_until_its_ack() {
    let mut rig = Rig::new(2);
    rig.lose = lose_first(3, 1, is_answer);
    let (caller, callee) = {
        let caller = rig.invite(0);
        let callee = rig.wait(1, incoming);
        rig.agents[1].accept(rig.now, callee, sdp());
        rig.wait(0, answered);
        (caller, callee)
    };
    assert_eq!(rig.count("1 200 INVITE"), 4);
    rig.agents[0].ack(rig.now, caller, None);
    assert_eq!(rig.wait(1, acked), callee);
    rig.run(std::time::Duration::from_secs(60));
    assert_eq!(rig.count("1 200 INVITE"), 4, "the ACK stops it");
    rig.agents[0].bye(rig.now, caller, None);
    rig.settle();
}

#[test]
fn a_lost_ack_is_sent_again_for_every_200() {
    let mut rig = Rig::new(3);
    rig.lose = lose_first(2, 0, |message| message.is(&Method::Ack));
    let (caller, _) = rig.talk();
    let stats = rig.agents[0].stats();
    assert_eq!((stats.retransmissions_received, stats.retransmissions_sent), (2, 2));
    rig.agents[0].bye(rig.now, caller, None);
    assert_eq!(rig.settle(), [vec!["Ended here"], vec!["Ended by peer"]]);
}

#[test]
fn without_any_ack_the_callee_ends_the_session_with_bye() {
    let mut rig = Rig::new(4);
    rig.lose = Box::new(|from, message| from == 0 && message.is(&Method::Ack));
    let caller = rig.invite(0);
    let callee = rig.wait(1, incoming);
    rig.agents[1].accept(rig.now, callee, sdp());
    rig.wait(0, answered);
    rig.agents[0].ack(rig.now, caller, None);
    assert_eq!(rig.settle(), [vec!["Ended by peer"], vec!["Ended here"]]);
    assert_eq!(
        (rig.count("1 BYE"), rig.count("1 200 INVITE")),
        (1, 11),
        "0.5 s, doubling to 4 s, until 32 s"
    );
}

#[test]
fn a_bye_of_the_callee_waits_for_the_ack() {
    let mut rig = Rig::new(5);
    let caller = rig.invite(0);
    let callee = rig.wait(1, incoming);
    rig.agents[1].accept(rig.now, callee, sdp());
    rig.agents[1].bye(rig.now, callee, None);
    rig.wait(0, answered);
    assert_eq!(rig.count("1 BYE"), 0);
    rig.agents[0].ack(rig.now, caller, None);
    assert_eq!(rig.settle(), [vec!["Ended by peer"], vec!["Ended here"]]);
    assert!(
        !rig.events[1].iter().any(|event| acked(event).is_some()),
        "the shell hung up: it hears of the end only"
    );
}

#[test]
fn a_bye_before_the_shells_ack_sends_the_ack_first() {
    let mut rig = Rig::new(6);
    let caller = rig.invite(0);
    let callee = rig.wait(1, incoming);
    rig.agents[1].accept(rig.now, callee, sdp());
    rig.wait(0, answered);
    rig.agents[0].bye(rig.now, caller, None);
    assert_eq!(rig.settle()[0], ["Ended here"]);
    let of_caller: Vec<_> = rig.sent.iter().filter(|line| line.starts_with('0')).collect();
    assert_eq!(of_caller, ["0 INVITE", "0 ACK", "0 BYE"]);
}

#[test]
fn both_hang_up_at_once() {
    let mut rig = Rig::new(7);
    let (caller, callee) = rig.talk();
    rig.agents[0].bye(rig.now, caller, None);
    rig.agents[1].bye(rig.now, callee, None);
    assert_eq!(rig.settle(), [vec!["Ended here"], vec!["Ended here"]]);
    assert_eq!((rig.count("0 200 BYE"), rig.count("1 200 BYE")), (1, 1));
}

#[test]
fn a_bye_that_crosses_a_reinvite_ends_it() {
    let mut rig = Rig::new(8);
    let (caller, callee) = rig.talk();
    rig.agents[0].reinvite(rig.now, caller, other_sdp(1));
    rig.agents[1].bye(rig.now, callee, None);
    assert_eq!(rig.settle(), [vec!["Ended by peer"], vec!["Ended here"]]);
    assert_eq!(rig.count("1 481 INVITE"), 1);
}

#[test]
fn a_bye_while_a_reinvite_waits_for_its_answer_refuses_it() {
    for hangs_up in [0, 1] {
        let mut rig = Rig::new(9);
        let sessions = rig.talk();
        rig.agents[0].reinvite(rig.now, sessions.0, other_sdp(1));
        rig.wait(1, reinvited);
        let session = if hangs_up == 0 { sessions.0 } else { sessions.1 };
        rig.agents[hangs_up].bye(rig.now, session, None);
        rig.run(ms(20));
        assert_eq!(rig.count("1 487 INVITE"), 1);
        rig.agents[1].accept_reinvite(rig.now, sessions.1, sdp());
        rig.settle();
    }
}

#[test]
fn reinvites_that_cross_are_tried_again_one_after_the_other() {
    let mut rig = Rig::new(10);
    let (caller, callee) = rig.talk();
    rig.agents[0].reinvite(rig.now, caller, other_sdp(1));
    rig.agents[1].reinvite(rig.now, callee, other_sdp(1));
    rig.run(ms(50));
    assert_eq!((rig.count("0 491 INVITE"), rig.count("1 491 INVITE")), (1, 1));
    // The callee, which did not make the Call-ID, comes first (s.14.1); accepting its offer makes the caller's stale.
    rig.wait(0, reinvited);
    rig.agents[0].accept_reinvite(rig.now, caller, sdp());
    assert_eq!(rig.wait(0, reinvite_failed), 491);
    rig.wait(1, reinvite_answered);
    rig.agents[1].ack(rig.now, callee, None);
    rig.wait(0, acked);
    rig.agents[0].reinvite(rig.now, caller, other_sdp(1));
    rig.wait(1, reinvited);
    rig.agents[1].bye(rig.now, callee, None);
    rig.settle();
}

#[test]
fn a_reinvite_waits_for_the_ack_of_the_first_invite() {
    let mut rig = Rig::new(11);
    let caller = rig.invite(0);
    let callee = rig.wait(1, incoming);
    rig.agents[1].accept(rig.now, callee, sdp());
    rig.agents[1].reinvite(rig.now, callee, other_sdp(1));
    rig.wait(0, answered);
    assert_eq!(rig.count("1 INVITE"), 0);
    rig.agents[0].ack(rig.now, caller, None);
    rig.wait(0, reinvited);
    rig.agents[0].bye(rig.now, caller, None);
    rig.settle();
}

#[test]
fn a_reinvite_while_the_peers_is_being_answered_fails_at_once() {
    let mut rig = Rig::new(12);
    let (caller, callee) = rig.talk();
    rig.agents[0].reinvite(rig.now, caller, other_sdp(1));
    rig.wait(1, reinvited);
    rig.agents[1].reinvite(rig.now, callee, other_sdp(1));
    assert_eq!(rig.wait(1, reinvite_failed), 491);
    rig.agents[1].bye(rig.now, callee, None);
    rig.settle();
}

#[test]
fn a_reinvite_that_nobody_answers_ends_the_session() {
    let mut rig = Rig::new(13);
    let (caller, _) = rig.talk();
    rig.lose = Box::new(|from, _| from == 0);
    rig.agents[0].reinvite(rig.now, caller, other_sdp(1));
    assert_eq!(rig.wait(0, any_terminal), "Ended here");
}

#[test]
fn a_session_that_the_peer_forgot_ends_with_481() {
    let mut rig = Rig::new(14);
    let (caller, callee) = rig.talk();
    rig.lose = Box::new(|from, message| from == 1 && message.is(&Method::Bye));
    rig.agents[1].bye(rig.now, callee, None);
    rig.run(std::time::Duration::from_secs(40));
    rig.agents[0].info(rig.now, caller, "text/plain", "x".into());
    assert_eq!(rig.wait(0, any_terminal), "Ended here");
    assert_eq!(rig.count("0 BYE"), 0);
}

#[test]
fn a_successor_knows_no_session_and_never_reuses_an_id() {
    let mut rig = Rig::new(16);
    let (caller, _) = rig.talk();
    let mut successor = rig.agents[0].successor(rand::SeedableRng::seed_from_u64(17));
    assert_eq!(
        (successor.stats(), successor.next_timeout()),
        (crate::ua::UaStats::default(), None)
    );
    successor.bye(rig.now, caller, None);
    assert!(successor.poll().is_none());
    assert!(successor.invite(rig.now, invite_to("sip:bob@10.0.0.9")) > caller);
}

#[test]
fn commands_after_the_end_are_ignored_and_counted() {
    let mut rig = Rig::new(15);
    let (caller, _) = rig.talk();
    rig.agents[0].bye(rig.now, caller, None);
    rig.run(ms(50));
    let before = (rig.sent.len(), rig.events[0].len());
    let agent = &mut rig.agents[0];
    agent.bye(rig.now, caller, None);
    agent.cancel(rig.now, caller, None);
    agent.ack(rig.now, caller, None);
    agent.reinvite(rig.now, caller, None);
    agent.info(rig.now, caller, "a/b", "x".into());
    agent.accept(rig.now, caller, None);
    agent.reject(rig.now, caller, 486, &[]);
    agent.progress(rig.now, caller, 180, None);
    agent.accept_reinvite(rig.now, caller, None);
    agent.reject_reinvite(rig.now, caller, 488);
    assert!(agent.stats().commands_ignored >= 10);
    rig.settle();
    assert_eq!((rig.sent.len(), rig.events[0].len()), before);
}

#[test]
fn a_cancel_that_gets_no_final_response_ends_after_64_t1() {
    let mut rig = Rig::new(16);
    let caller = rig.invite(0);
    rig.wait(1, incoming);
    rig.run(ms(50));
    rig.lose = Box::new(|_, _| true);
    let started = rig.now;
    rig.agents[0].cancel(rig.now, caller, None);
    assert_eq!(rig.wait(0, any_terminal), "Failed 487");
    assert_eq!(rig.now - started, std::time::Duration::from_secs(32));
}
