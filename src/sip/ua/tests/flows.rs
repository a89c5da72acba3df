//! The flows of RFC 3665 s.3 between two user agents, over UDP and TCP.

use super::rig::*;
use crate::flow::Transport;

#[test]
fn a_call_is_set_up_and_released_by_the_caller() {
    for transport in [Transport::Udp, Transport::Tcp] {
        let mut rig = Rig::new(1);
        rig.transport = transport;
        let caller = rig.invite(0);
        let callee = rig.wait(1, incoming);
        rig.agents[1].progress(rig.now, callee, 180, None);
        assert_eq!(rig.wait(0, progress), 180);
        rig.agents[1].accept(rig.now, callee, sdp());
        rig.wait(0, answered);
        assert_eq!(rig.agents[0].session_remote_sdp(caller), sdp().as_ref());
        rig.agents[0].ack(rig.now, caller, None);
        rig.wait(1, acked);
        assert_eq!(rig.agents[0].session_call_id(caller), rig.agents[1].session_call_id(callee));
        assert_eq!(rig.agents[0].stats().sessions_active, 1);
        rig.agents[0].bye(rig.now, caller, Some("Q.850;cause=16"));
        rig.run(ms(100));
        let expected = [
            "0 INVITE",
            "1 100 INVITE",
            "1 180 INVITE",
            "1 200 INVITE",
            "0 ACK",
            "0 BYE",
            "1 200 BYE",
        ];
        assert_eq!(rig.sent, expected, "{transport}");
        assert!(matches!(
            rig.events[1].last(),
            Some(crate::ua::UaEvent::Ended {
                by_peer: true,
                q850: Some(16),
                reason: Some(reason),
                ..
            }) if &**reason == "Q.850;cause=16"
        ));
        assert_eq!(rig.settle(), [vec!["Ended here"], vec!["Ended by peer"]]);
    }
}

#[test]
fn the_callee_can_release_too() {
    let mut rig = Rig::new(2);
    let (_, callee) = rig.talk();
    rig.agents[1].bye(rig.now, callee, None);
    assert_eq!(rig.settle(), [vec!["Ended by peer"], vec!["Ended here"]]);
    assert_eq!(rig.sent, ["1 BYE", "0 200 BYE"]);
}

#[test]
fn a_busy_callee_refuses() {
    let mut rig = Rig::new(3);
    rig.invite(0);
    let callee = rig.wait(1, incoming);
    rig.agents[1].reject(rig.now, callee, 486, &[header("Reason", "Q.850;cause=17")]);
    rig.run(ms(100));
    assert!(matches!(
        rig.events[0].last(),
        Some(crate::ua::UaEvent::Failed {
            status: 486,
            q850: Some(17),
            reason: Some(reason),
            ..
        }) if &**reason == "Q.850;cause=17"
    ));
    assert_eq!(rig.settle(), [vec!["Failed 486"], vec!["Ended here"]]);
    assert_eq!(rig.sent, ["0 INVITE", "1 100 INVITE", "1 486 INVITE", "0 ACK"]);
}

#[test]
fn a_caller_cancels() {
    let mut rig = Rig::new(4);
    let caller = rig.invite(0);
    rig.wait(1, incoming);
    rig.run(ms(50));
    rig.agents[0].cancel(rig.now, caller, Some("SIP;cause=200"));
    assert_eq!(rig.settle(), [vec!["Failed 487"], vec!["Cancelled"]]);
    let expected = [
        "0 INVITE",
        "1 100 INVITE",
        "0 CANCEL",
        "1 200 CANCEL",
        "1 487 INVITE",
        "0 ACK",
    ];
    assert_eq!(rig.sent, expected);
}

#[test]
fn a_cancel_is_held_back_until_a_provisional_response_comes() {
    let mut rig = Rig::new(5);
    let caller = rig.invite(0);
    rig.agents[0].cancel(rig.now, caller, None);
    rig.agents[0].cancel(rig.now, caller, None);
    rig.run(ms(2));
    assert_eq!(rig.sent, ["0 INVITE"]);
    assert_eq!(rig.settle(), [vec!["Failed 487"], vec!["Cancelled"]]);
    assert_eq!(rig.count("0 CANCEL"), 1);
}

#[test]
fn nobody_answers() {
    let mut rig = Rig::new(6);
    rig.lose = Box::new(|_, _| true);
    rig.invite(0);
    assert_eq!(rig.settle(), [vec!["Failed 408".to_owned()], vec![]]);
    assert_eq!(
        rig.sent.len(),
        7,
        "sent at 0, 0.5, 1.5, 3.5, 7.5, 15.5 and 31.5 s (RFC 3261 s.17.1.1.2)"
    );
}

#[test]
fn an_invite_that_rings_too_long_is_cancelled() {
    let mut rig = Rig::new(7);
    rig.invite(0);
    rig.wait(1, incoming);
    assert_eq!(rig.settle(), [vec!["Failed 408"], vec!["Cancelled"]]);
}

#[test]
fn ringing_is_repeated_every_minute_and_keeps_the_invite_alive() {
    let mut rig = Rig::new(8);
    let caller = rig.invite(0);
    let callee = rig.wait(1, incoming);
    rig.agents[1].progress(rig.now, callee, 180, None);
    rig.run(std::time::Duration::from_secs(600));
    assert_eq!(rig.count("1 180 INVITE"), 1 + 10);
    rig.agents[0].bye(rig.now, caller, None);
    assert_eq!(rig.settle(), [vec!["Failed 487"], vec!["Cancelled"]]);
}

#[test]
fn a_late_offer_is_answered_in_the_ack() {
    let mut rig = Rig::new(9);
    let mut invite = invite_to("sip:bob@10.0.0.2");
    invite.offer = None;
    let caller = rig.agents[0].invite(rig.now, invite);
    let callee = rig.wait(1, incoming);
    rig.agents[1].accept(rig.now, callee, sdp());
    rig.wait(0, answered);
    rig.agents[0].ack(rig.now, caller, sdp());
    let answer = rig.wait(1, |event| {
        if let crate::ua::UaEvent::Acked { sdp, .. } = event {
            Some(sdp.clone())
        } else {
            None
        }
    });
    assert_eq!(answer, sdp());
}

#[test]
fn a_reinvite_changes_the_session_either_way() {
    let mut rig = Rig::new(10);
    let (caller, callee) = rig.talk();
    for (from, ours, theirs) in [(0, caller, callee), (1, callee, caller)] {
        rig.agents[from].reinvite(rig.now, ours, other_sdp(1));
        assert_eq!(rig.wait(1 - from, reinvited), theirs);
        rig.agents[1 - from].accept_reinvite(rig.now, theirs, sdp());
        assert_eq!(rig.wait(from, reinvite_answered), ours);
        rig.agents[from].ack(rig.now, ours, None);
        assert_eq!(rig.wait(1 - from, acked), theirs);
    }
    rig.agents[0].reinvite(rig.now, caller, None);
    rig.wait(1, reinvited);
    rig.agents[1].reject_reinvite(rig.now, callee, 488);
    assert_eq!(rig.wait(0, reinvite_failed), 488);
    rig.agents[0].bye(rig.now, caller, None);
    assert_eq!(rig.settle(), [vec!["Ended here"], vec!["Ended by peer"]]);
}

#[test]
fn info_is_passed_and_answered() {
    let mut rig = Rig::new(11);
    let (caller, _) = rig.talk();
    rig.agents[0].info(rig.now, caller, "application/dtmf-relay", "Signal=5".into());
    let (kind, body) = rig.wait(1, |event| match event {
        crate::ua::UaEvent::Info { content_type, body, .. } => Some((content_type.clone(), body.clone())),
        _ => None,
    });
    assert_eq!((&*kind, &*body), ("application/dtmf-relay", &b"Signal=5"[..]));
    rig.run(ms(50));
    assert_eq!(rig.sent, ["0 INFO", "1 200 INFO"]);
    rig.agents[0].bye(rig.now, caller, None);
    rig.settle();
}

#[test]
fn a_request_outside_a_session_is_answered_once() {
    use crate::ua::*;
    let mut rig = Rig::new(12);
    let request = OutgoingRequest {
        method: crate::message::Method::Options,
        uri: "sip:10.0.0.2".into(),
        flow: None,
        from: ("sip:a@b".into(), None),
        to: "sip:10.0.0.2".into(),
        headers: vec![header("X-Probe", "1")],
        body: None,
        credentials: None,
    };
    let ours = rig.agents[0].request(rig.now, request);
    let id = rig.wait(1, |event| {
        if let UaEvent::Request { id, .. } = event {
            Some(*id)
        } else {
            None
        }
    });
    rig.agents[1].respond(
        rig.now,
        id,
        200,
        &[header("X-Answer", "1")],
        Some(("text/plain", "hi".into())),
    );
    rig.agents[1].respond(rig.now, id, 500, &[], None);
    assert_eq!(rig.agents[1].stats().commands_ignored, 1);
    let body = rig.wait(0, |event| match event {
        UaEvent::Response {
            id,
            outcome: ClientOutcome::Response(response),
        } if *id == ours => Some(response.body().clone()),
        _ => None,
    });
    assert_eq!(body, "hi");
    rig.settle();
}

#[test]
fn a_request_that_the_shell_never_answers_times_out_at_the_peer_and_leaves_nothing() {
    use crate::ua::*;
    let mut rig = Rig::new(13);
    let request = OutgoingRequest {
        method: crate::message::Method::Message,
        uri: "sip:10.0.0.2".into(),
        flow: None,
        from: ("sip:a@b".into(), None),
        to: "sip:10.0.0.2".into(),
        headers: Vec::new(),
        body: Some(("text/plain".into(), "hi".into())),
        credentials: None,
    };
    rig.agents[0].request(rig.now, request);
    rig.settle();
    assert!(matches!(
        rig.events[0].as_slice(),
        [UaEvent::Response {
            outcome: ClientOutcome::Timeout,
            ..
        }]
    ));
    assert_eq!(rig.events[1].len(), 1, "retransmissions are absorbed");
}
