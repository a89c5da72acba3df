//! Messages that meet in one mailbox, in the order that is hardest to serve.

use std::time::Duration;

use tandem_actors::tserver::CallMessage;
use tandem_model::call::CallInput;
use tandem_model::link::LinkNotification;
use tandem_model::{CallInfoType, DnId, EventName, KvList, ReferenceId, Request, Requestor};

use super::crash::{conn_id, offered, stage};
use super::rules;
use super::world::in_virtual_time;

#[test]
fn a_request_that_waits_at_a_call_while_it_ends_is_answered() {
    in_virtual_time(async {
        let mut world = stage(1).await;
        let call_id = conn_id(&world, 2).expect("the first call is up");
        let call = world.tree.directory.call(call_id).expect("the call lives");
        let conference = offered(1);
        let reference = 1_000_000;
        let client = world.desktops[0].handle.as_ref().expect("the desktop is there").id();
        let requestor = Requestor {
            client,
            reference_id: Some(ReferenceId(reference)),
        };
        let this_dn = DnId::new(&world.phones[2].dn());
        let request = Request::QueryCall {
            this_dn,
            conn_id: call_id,
            call_info_type: CallInfoType::StatusQuery,
            extensions: KvList::new(),
        };
        call.do_send(CallMessage::Input(CallInput::Link(LinkNotification::ConferenceEnded {
            conference,
        })));
        call.do_send(CallMessage::Input(CallInput::Request { requestor, request }));
        world.desktops[0].asked.insert(reference, "QueryCall".into());
        world.run(Duration::from_millis(10)).await;
        assert!(world.tree.directory.call(call_id).is_none(), "the call is over");
        let answer = world.desktops[0].answer(reference).expect("every request is answered");
        assert!(answer.is(EventName::EventError), "{answer:?}");
        world.wind_up().await;
        rules::check(&world, false).await;
    });
}
