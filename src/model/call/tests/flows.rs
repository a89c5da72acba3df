//! Golden transcripts: what each party and the connector are told, flow by flow.

use super::*;

#[test]
fn make_call_calls_the_callers_own_device_first_and_reports_both_established() {
    let mut rig = Rig::made(ALICE, BOB);
    rig.says(
        "alice EventDialing* Origination > bob Destination Ok
         link: make 1 alice as sip:bob@tandem.local auto-answer",
    );
    rig.forget().created(A).alerting(A).says("");
    rig.connected(A).says("link: make 2 bob as sip:alice@tandem.local");
    rig.forget()
        .created(B)
        .alerting(B)
        .says("bob EventRinging Destination > alice Origination Ok");
    rig.forget().connected(B).says(
        "bob EventEstablished Destination > alice Origination Ok
         alice EventEstablished Origination > bob Destination Ok",
    );
    for (event, _) in rig.events() {
        assert_eq!(event.call_type, Some(CallType::Internal));
        assert_eq!((event.ani.as_deref(), event.dnis.as_deref()), (Some("2000"), Some(BOB)));
        assert_eq!(event.extensions.text("Conversation-ID"), Some("conversation-1"));
        assert_eq!(event.user_data.as_ref().unwrap().text("campaign"), Some("spring"));
        assert_eq!((event.conn_id, event.call_id), (Some(CONN), Some(17)));
        assert_eq!(event.party_state, Some(PartyState::Connected));
    }
}

#[test]
fn a_call_dialled_on_a_phone_is_reported_just_the_same_without_a_reference_id() {
    let mut rig = Rig::dialled("2001");
    rig.says(
        "alice EventDialing Origination > bob Destination Ok
         link: make 2 bob as sip:alice@tandem.local",
    );
    rig.forget().created(B).connected(B).connected(A).says(
        "bob EventRinging Destination > alice Origination Ok
         bob EventEstablished Destination > alice Origination Ok
         alice EventEstablished Origination > bob Destination Ok",
    );
}

#[test]
fn an_inbound_call_is_reported_to_the_called_dn_only() {
    let mut rig = Rig::inbound("2001");
    rig.says("link: make 2 bob as sip:+4930123@pstn.example.com");
    let CallOutput::Link(LinkRequest::MakeParty(make)) = &rig.out[0] else {
        panic!()
    };
    assert_eq!(make.caller_name.as_deref(), Some("Carl"));
    rig.forget().created(B).connected(B).hung_up(A).says(
        "bob EventRinging Destination > +4930123 Origination Ok
         bob EventEstablished Destination > +4930123 Origination Ok
         bob EventReleased Destination > +4930123 Origination Ok
         link: release 2",
    );
    for (event, _) in rig.events() {
        assert_eq!(event.call_type, Some(CallType::Inbound));
        assert_eq!(
            (event.ani.as_deref(), event.dnis.as_deref()),
            (Some("+4930123"), Some("2001"))
        );
        assert_eq!(event.other_dn, Some("sip:+4930123@pstn.example.com".into()));
    }
}

#[test]
fn an_outbound_call_reaches_the_network_and_its_far_side_has_no_events() {
    let mut rig = Rig::made(ALICE, "030 555-1234");
    rig.says(
        "alice EventDialing* Origination > 0305551234 Destination Ok
         link: make 1 alice as sip:0305551234@tandem.local auto-answer",
    );
    rig.forget().connected(A).created(B).alerting(B).connected(B).says(
        "link: make 2 +49305551234 over pstn as sip:2000@tandem.local
         alice EventNetworkReached Origination > 0305551234 Destination Ok
         alice EventEstablished Origination > 0305551234 Destination Ok",
    );
    assert!(rig.events().all(|(event, _)| event.call_type == Some(CallType::Outbound)));
    rig.forget().hung_up(B).says(
        "alice EventReleased Origination > 0305551234 Destination Ok
         link: release 1",
    );
}

#[test]
fn the_releasing_party_has_the_star_and_comes_first() {
    let mut rig = Rig::talking();
    rig.forget().release(BOB).says(
        "bob EventReleased* Destination > alice Origination Ok
         alice EventReleased Origination > bob Destination Ok
         link: release 1
         link: release 2",
    );
    rig.forget()
        .released(A, Cause::normal(ReleasedBy::Server))
        .hung_up(B)
        .says("");
    rig.conference_ended().conference_ended().says("finished Internal answered");
}

#[test]
fn a_hang_up_in_talk_releases_both_and_measures_the_call() {
    let mut rig = Rig::talking();
    rig.forget().hung_up(A).conference_ended().says(
        "alice EventReleased Origination > bob Destination Ok
         bob EventReleased Destination > alice Origination Ok
         link: release 2
         finished Internal answered",
    );
    let record = rig.record();
    assert_eq!(
        (record.setup, record.talk),
        (Some(Duration::from_secs(6)), Some(Duration::from_secs(1)))
    );
}

#[test]
fn a_device_that_is_lost_in_talk_is_dropped() {
    let mut rig = Rig::talking();
    rig.forget().released(B, Cause::status(ReleasedBy::Network, 408)).says(
        "bob EventReleased Destination > alice Origination Dropped sip=408
         alice EventReleased Origination > bob Destination Ok sip=408
         link: release 1",
    );
}

#[test]
fn clear_call_releases_every_party() {
    let mut rig = Rig::talking();
    rig.forget().clear(ALICE).conference_ended().says(
        "alice EventReleased* Origination > bob Destination Ok
         bob EventReleased Destination > alice Origination Cleared
         link: release 1
         link: release 2
         finished Internal answered",
    );
    let mut rig = Rig::dialled(BOB);
    rig.created(B).forget().clear(BOB).conference_ended().says(
        "bob EventReleased* Destination > alice Origination Ok
         alice EventReleased Origination > bob Destination Cleared
         link: release 1 603
         link: release 2 603
         finished Internal rejected",
    );
}

#[test]
fn a_caller_who_gives_up_while_the_destination_rings_abandons_it() {
    let mut rig = Rig::made(ALICE, BOB);
    rig.connected(A)
        .created(B)
        .alerting(B)
        .forget()
        .hung_up(A)
        .conference_ended()
        .says(
            "alice EventReleased Origination > bob Destination Ok
         bob EventAbandoned Destination > alice Origination Ok
         link: release 2
         finished Internal cancelled",
        );
    let mut rig = Rig::dialled(BOB);
    rig.created(B)
        .forget()
        .released(A, Cause::status(ReleasedBy::Device, 487))
        .says(
            "alice EventReleased Origination > bob Destination Ok sip=487
         bob EventAbandoned Destination > alice Origination Ok sip=487
         link: release 2",
        );
    let mut rig = Rig::dialled(BOB);
    rig.created(B).forget().release(ALICE).says(
        "alice EventReleased* Origination > bob Destination Ok
         bob EventAbandoned Destination > alice Origination Ok
         link: release 1 487
         link: release 2 487",
    );
}

#[test]
fn a_busy_destination_is_told_to_the_caller_before_the_release() {
    let mut rig = Rig::made(ALICE, BOB);
    rig.connected(A).created(B).forget().failed(B, 486).conference_ended().says(
        "alice EventDestinationBusy Origination > bob Destination Busy sip=486
         bob EventReleased Destination > alice Origination Busy sip=486
         alice EventReleased Origination > bob Destination Busy sip=486
         link: release 1 486
         finished Internal busy",
    );
}

#[test]
fn a_rejected_call_is_refused_with_the_same_status() {
    let mut rig = Rig::dialled(BOB);
    rig.created(B).forget().failed(B, 603).conference_ended().says(
        "alice EventDestinationBusy Origination > bob Destination Busy sip=603
         bob EventReleased Destination > alice Origination Busy sip=603
         alice EventReleased Origination > bob Destination Busy sip=603
         link: release 1 603
         finished Internal rejected",
    );
}

#[test]
fn the_called_client_rejects_with_release_call() {
    let mut rig = Rig::dialled(BOB);
    rig.created(B).forget().release(BOB).conference_ended().says(
        "alice EventDestinationBusy Origination > bob Destination Busy
         bob EventReleased* Destination > alice Origination Ok
         alice EventReleased Origination > bob Destination Busy
         link: release 1 603
         link: release 2 603
         finished Internal rejected",
    );
}

#[test]
fn a_destination_that_rings_and_is_not_answered_is_no_answer() {
    let mut rig = Rig::made(ALICE, BOB);
    let cause = Cause {
        by: ReleasedBy::Network,
        sip_status: Some(480),
        q850: Some(19),
        reason: None,
    };
    rig.connected(A)
        .created(B)
        .alerting(B)
        .forget()
        .released(B, cause)
        .conference_ended()
        .says(
            "bob EventReleased Destination > alice Origination NoAnswer sip=480 q850=19
         alice EventReleased Origination > bob Destination NoAnswer sip=480 q850=19
         link: release 1 480
         finished Internal no_answer",
        );
}

#[test]
fn the_caller_is_told_the_reason_of_its_callee() {
    let refused = |cause: Cause| Cause {
        q850: Some(34),
        reason: Some("Q.850;cause=34;text=\"No circuit\"".into()),
        ..cause
    };
    let mut rig = Rig::made(ALICE, BOB);
    rig.connected(A)
        .created(B)
        .alerting(B)
        .forget()
        .released(B, refused(Cause::status(ReleasedBy::Network, 500)))
        .conference_ended()
        .says(
            "bob EventReleased Destination > alice Origination SitReorder sip=500 q850=34
         alice EventReleased Origination > bob Destination SitReorder sip=500 q850=34
         link: release 1 500 reason=Q.850;cause=34;text=\"No circuit\"
         finished Internal failed",
        );
    // And the callee that of its caller.
    let mut rig = Rig::made(ALICE, BOB);
    rig.connected(A)
        .created(B)
        .alerting(B)
        .forget()
        .released(A, refused(Cause::normal(ReleasedBy::Device)))
        .conference_ended()
        .says(
            "alice EventReleased Origination > bob Destination Ok q850=34
         bob EventAbandoned Destination > alice Origination Ok q850=34
         link: release 2 reason=Q.850;cause=34;text=\"No circuit\"
         finished Internal cancelled",
        );
}

#[test]
fn a_destination_without_a_device_never_rings() {
    let mut rig = Rig::dialled(BOB);
    rig.forget().failed(B, 480).conference_ended().says(
        "alice EventReleased Origination > bob Destination SitUnknown sip=480
         link: release 1 480
         finished Internal unreachable",
    );
}

#[test]
fn the_callers_own_device_that_does_not_answer_ends_the_call_before_it_began() {
    let mut rig = Rig::made(ALICE, BOB);
    rig.created(A)
        .alerting(A)
        .forget()
        .released(A, Cause::status(ReleasedBy::Network, 408));
    rig.conference_ended().says(
        "alice EventReleased Origination > bob Destination NoAnswer sip=408
         finished Internal no_answer",
    );
    let mut rig = Rig::made(ALICE, BOB);
    rig.created(A).forget().release(ALICE).conference_ended().says(
        "alice EventReleased* Origination > bob Destination Ok
         link: release 1 487
         finished Internal cancelled",
    );
}

#[test]
fn a_number_that_leads_nowhere_is_reported_to_the_caller_and_refused_on_the_phone() {
    for (dialled, status, state, outcome) in [
        ("nobody", 404, "SitInvalidnum", "unreachable"),
        ("0900123", 403, "SitIntercept", "rejected"),
        ("2000", 486, "Busy", "busy"),
    ] {
        let mut rig = Rig::dialled(dialled);
        let other = if dialled == "2000" { "2000" } else { dialled };
        rig.conference_ended().says(&format!(
            "alice EventDialing Origination > {other} Destination Ok
             alice EventDestinationBusy Origination > {other} Destination {state} sip={status}
             alice EventReleased Origination > {other} Destination {state} sip={status}
             link: release 1 {status}
             finished Unknown {outcome}"
        ));
    }
}

#[test]
fn what_an_invite_says_at_length_is_not_repeated_in_every_event() {
    let long = "é".repeat(40_000);
    let mut rig = Rig::new();
    let caller = CallerId::Trunk {
        trunk: TRUNK.into(),
        number: DnId::new(&format!("sip:{long}@x.org")),
        name: Some(long.as_str().into()),
    };
    let mut offered = offered_from(caller, "2001");
    offered.conversation_id = Some(long.as_str().into());
    rig.input(CallInput::Offered(offered)).created(B);
    let (event, _) = rig.events().next().unwrap();
    assert_eq!(event.other_dn, Some("sip:anonymous@anonymous.invalid".into()));
    assert_eq!(event.extensions.text("Conversation-ID"), Some("conversation-1"));
    assert_eq!(rig.call.conns[0].caller_name, None);
    let rig = Rig::dialled(&long);
    let (event, _) = rig.events().next().unwrap();
    assert_eq!(event.other_dn.as_ref().map(|dn| dn.as_str().len()), Some(254));
    assert_eq!(event.dnis.as_ref().map(|dnis| dnis.len()), Some(254));
}

#[test]
fn an_inbound_call_to_nowhere_or_out_again_is_refused_without_events() {
    Rig::inbound("4711").says("link: release 1 404");
    Rig::inbound("0305551234").says("link: release 1 403");
}

#[test]
fn a_connect_that_crosses_the_release_changes_nothing() {
    let mut rig = Rig::made(ALICE, BOB);
    rig.connected(A).created(B).release(ALICE).forget();
    rig.connected(B)
        .alerting(B)
        .released(B, Cause::normal(ReleasedBy::Device))
        .says("");
    rig.conference_ended().says("finished Internal cancelled");
    assert!(rig.call.is_finished());
}

#[test]
fn a_lost_connector_ends_the_call_at_once_for_everybody() {
    let mut rig = Rig::talking();
    rig.forget().input(CallInput::LinkLost).input(CallInput::LinkLost).says(
        "alice EventReleased Origination > bob Destination SystemError
         bob EventReleased Destination > alice Origination SystemError
         finished Internal answered",
    );
    let mut rig = Rig::talking();
    rig.release(ALICE)
        .forget()
        .input(CallInput::LinkLost)
        .says("finished Internal answered");
}

#[test]
fn a_conference_that_ends_by_itself_ends_the_call() {
    let mut rig = Rig::dialled(BOB);
    rig.created(B).forget().conference_ended().says(
        "alice EventReleased Origination > bob Destination SystemError
         bob EventReleased Destination > alice Origination SystemError
         finished Internal failed",
    );
}

#[test]
fn a_connector_that_stays_silent_is_given_up() {
    let mut rig = Rig::dialled(BOB);
    rig.created(B).forget().input(CallInput::Timeout).says("");
    rig.now = rig.call.next_timeout().unwrap();
    rig.input(CallInput::Timeout).says(
        "alice EventReleased Origination > bob Destination SystemError
         bob EventReleased Destination > alice Origination SystemError
         link: release 1
         link: release 2",
    );
    rig.now = rig.call.next_timeout().unwrap();
    rig.forget()
        .input(CallInput::Timeout)
        .input(CallInput::Timeout)
        .says("finished Internal failed");
    assert_eq!((Rig::talking().call.next_timeout(), rig.call.next_timeout()), (None, None));
}

#[test]
fn repeated_and_foreign_notifications_are_no_news() {
    let mut rig = Rig::talking();
    rig.forget()
        .created(B)
        .alerting(B)
        .connected(B)
        .connected(A)
        .alerting(PartyId(9))
        .hung_up(PartyId(9));
    rig.input(CallInput::Link(LinkNotification::PartyReleased {
        conference: ConferenceId(8),
        party: B,
        cause: Cause::normal(ReleasedBy::Device),
    }));
    rig.input(CallInput::Offered(offered_from(from_pstn(), "2001")));
    rig.says("");
}

#[test]
fn two_calls_between_the_same_dns_are_told_apart_by_their_conn_id() {
    let (mut first, mut second) = (Rig::talking(), Rig::new());
    second.call.ids.conn_id = ConnId(0xa02);
    second.call.ids.conference = ConferenceId(8);
    second.input(CallInput::Make(Box::new(make_of(ALICE, BOB))));
    second.forget().hung_up(A).says("");
    first.forget().hung_up(A);
    assert!(first.events().all(|(event, _)| event.conn_id == Some(CONN)));
    second.release(ALICE).says("only alice EventError* 56");
}

#[test]
fn the_conversation_id_of_the_invite_stays_with_the_call() {
    let mut rig = Rig::new();
    let mut offered = offered_from(CallerId::Extension(ALICE.into()), "2001");
    offered.conversation_id = Some("from-the-phone".into());
    rig.input(CallInput::Offered(offered));
    assert!(
        rig.events()
            .all(|(event, _)| event.extensions.text("Conversation-ID") == Some("from-the-phone"))
    );
}

#[test]
fn the_summary_shows_both_parties() {
    let mut rig = Rig::inbound("2001");
    rig.created(B);
    let summary = rig.call.summary(CONN, rig.now + Duration::from_secs(9)).unwrap();
    let parties: Vec<_> = summary
        .parties
        .iter()
        .map(|party| (party.dn.user(), party.state, party.external))
        .collect();
    assert_eq!(
        parties,
        [("+4930123", PartyState::Dialing, true), ("bob", PartyState::Alerting, false)]
    );
    assert_eq!((summary.call_type, summary.age), (CallType::Inbound, Duration::from_secs(10)));
}
