//! User data and reasons: what is told to whom.

use super::*;

fn attach(pairs: &[(&str, &str)]) -> Request {
    Request::AttachUserData {
        this_dn: BOB.into(),
        conn_id: CONN,
        user_data: pairs.iter().copied().collect(),
    }
}

fn data_of(rig: &Rig) -> Vec<String> {
    rig.events()
        .map(|(event, _)| serde_json::to_string(&**event.user_data.as_ref().unwrap()).unwrap())
        .collect()
}

#[test]
fn every_party_is_told_the_whole_new_list_and_who_changed_it() {
    let mut rig = Rig::talking();
    rig.forget().request(attach(&[("vip", "yes"), ("campaign", "summer")]));
    rig.says(
        "alice EventAttachedDataChanged Origination > bob Destination Ok
         bob EventAttachedDataChanged* Destination > alice Origination Ok",
    );
    assert_eq!(data_of(&rig), [r#"{"campaign":"summer","vip":"yes"}"#; 2]);
    for (event, _) in rig.events() {
        assert_eq!(event.third_party_dn, Some(BOB.into()));
        assert_eq!(event.third_party_dn_role, Some(DnRole::Destination));
        assert_eq!(event.party_state, Some(PartyState::Connected));
    }
}

#[test]
fn update_and_the_two_deletes() {
    let (this_dn, conn_id) = (DnId::new(ALICE), CONN);
    let mut rig = Rig::talking();
    rig.forget().request(Request::UpdateUserData {
        this_dn: this_dn.clone(),
        conn_id,
        user_data: [("vip", "no")].into_iter().collect(),
    });
    assert_eq!(data_of(&rig)[0], r#"{"campaign":"spring","vip":"no"}"#);
    for data_key in ["campaign", "not there"] {
        let (this_dn, data_key) = (this_dn.clone(), data_key.to_owned());
        rig.forget().request(Request::DeleteUserData {
            this_dn,
            conn_id,
            data_key,
        });
        assert_eq!(data_of(&rig), [r#"{"vip":"no"}"#; 2]);
    }
    rig.forget().request(Request::DeleteAllUserData { this_dn, conn_id });
    assert_eq!(data_of(&rig), ["{}"; 2]);
}

#[test]
fn a_destination_that_does_not_ring_yet_is_not_told() {
    let mut rig = Rig::made(ALICE, BOB);
    rig.forget().request(Request::DeleteAllUserData {
        this_dn: ALICE.into(),
        conn_id: CONN,
    });
    rig.says("alice EventAttachedDataChanged* Origination > bob Destination Ok");
    rig.connected(A).forget().created(B);
    assert_eq!(data_of(&rig), ["{}"], "it rings with what is there then");
}

#[test]
fn a_list_above_the_limit_is_refused_and_the_old_one_stays() {
    let mut rig = Rig::talking();
    let large = "x".repeat(65_536);
    rig.forget().request(attach(&[("large", &large)]));
    rig.says("only bob EventError* 223");
    rig.forget().request(attach(&[]));
    assert_eq!(data_of(&rig), [r#"{"campaign":"spring"}"#; 2]);
}

#[test]
fn reasons_are_echoed_in_the_answer_only() {
    let mut rig = Rig::talking();
    rig.forget().request(Request::ReleaseCall {
        this_dn: ALICE.into(),
        conn_id: CONN,
        reasons: [("why", "done")].into_iter().collect(),
    });
    let reasons: Vec<_> = rig.events().map(|(event, _)| event.reasons.text("why")).collect();
    assert_eq!(reasons, [Some("done"), None]);
}
