//! Destinations that are called by a back-to-back leg: the three tables of ch. 9.2.

use tandem_wire::ClientRequest;
use tandem_wire::model::EventName::{EventEstablished, EventPartyAdded, EventPartyDeleted};
use tandem_wire::model::request::OnCallWith;
use tandem_wire::model::{ConnId, KvList};

use super::{clears, scene_of};
use crate::golden::stage::{Stage, dn, with};
use crate::rig::cti::Desk;
use crate::rig::handset::Handset;
use crate::rig::hearing::hear;
use crate::rig::server::Setup;

/// Telephone numbers as URIs are called by a back-to-back leg.
const PLAN: &str = "[calls]\ncalling_method_dialplan = \"sip:plan@tandem.local\"\n\
                    [[dial_plan]]\ndn = \"sip:plan@tandem.local\"\nrules = [\"tel:{#}\"]\ncalling_method = \"b2b\"";

/// Alice is asked to call, and her phone answers by itself.
async fn calls(stage: &mut Stage, other_dn: &str) -> ConnId {
    let b2b = KvList::from_iter([("calling-method", "b2b")]);
    let extensions = if other_dn.starts_with("tel:") { KvList::new() } else { b2b };
    let request = ClientRequest::make_call(&dn("1001"), other_dn).extensions(extensions);
    Desk::call_of(&stage.asks(request).await)
}

#[tokio::test]
async fn destinations_that_are_called_by_a_back_to_back_leg() {
    let setup = Setup::new().tables(PLAN);
    let (mut stage, [alice, mut bob, mut carol]) = scene_of(setup, ["1001", "1002", "1003"], &["1002", "1003"], &["1004"]).await;
    let dave = Handset::register("1004", stage.server.sip).await;

    // Table 1: Bob by his telephone number.
    let call = calls(&mut stage, "tel:1002").await;
    bob.rings().await;
    hear(&[(&alice, "sound"), (&bob, ""), (&carol, "")]).await;
    bob.accept().await;
    stage.event(EventEstablished, "1001").await;
    hear(&[(&alice, "1002"), (&bob, "1001"), (&carol, "")]).await;
    clears(&mut stage, "1001", call).await;
    hear(&[(&alice, ""), (&bob, ""), (&carol, "")]).await;

    // Table 2: Dave has forwarded his calls to Carol.
    let call = calls(&mut stage, "1004").await;
    let ringing = dave.rings().await;
    dave.refuses(ringing, "302 Moved Temporarily", "Contact: <sip:1003@tandem.local>\r\n")
        .await;
    carol.rings().await;
    hear(&[(&alice, "sound"), (&carol, ""), (&dave, "")]).await;
    carol.accept().await;
    stage.event(EventEstablished, "1001").await;
    hear(&[(&alice, "1003"), (&carol, "1001"), (&dave, "")]).await;
    clears(&mut stage, "1001", call).await;

    // Table 3: the group 1002 takes the call, its member 1003 comes to it, the group leaves.
    let call = calls(&mut stage, "1002").await;
    bob.takes().await;
    stage.event(EventEstablished, "1002").await;
    hear(&[(&alice, "1002"), (&bob, "1001"), (&carol, "")]).await;
    stage
        .sends(with(OnCallWith::SingleStepConference, "1002", call, "1003"))
        .await;
    carol.rings().await;
    hear(&[(&alice, "1002"), (&bob, "1001"), (&carol, "")]).await;
    carol.accept().await;
    stage.event(EventPartyAdded, "1001").await;
    hear(&[(&alice, "1002 1003"), (&bob, "1001 1003"), (&carol, "1001 1002")]).await;
    bob.hang_up().await;
    stage.event(EventPartyDeleted, "1001").await;
    hear(&[(&alice, "1003"), (&bob, ""), (&carol, "1001")]).await;
    clears(&mut stage, "1001", call).await;
    stage.server.alive_and_idle().await;
}
