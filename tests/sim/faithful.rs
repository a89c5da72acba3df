//! Two phones that talk to each other from the start to the end, whatever happens round them: no cut, no kill and no crash may cost them
//! their call, and it can be held, retrieved and released when all is over.

use std::time::Duration;

use tandem_model::{ConnId, EventName};
use tandem_sip::ua::SessionId;
use tandem_wire::ClientRequest;

use super::crash::{conn_id, dial};
use super::phone::{Act, Manners, Stage};
use super::world::World;

/// The two.
pub struct Faithful {
    /// Their places in the world.
    pub phones: [usize; 2],
    /// Their DNs.
    pub dns: [String; 2],
    sessions: [SessionId; 2],
    call: ConnId,
}

impl Faithful {
    /// The last two phones of one connector register and call each other, and take no other call.
    pub async fn begin(world: &mut World) -> Self {
        let last = world.phones.len() - 2;
        let phones = [last - world.sides.len().max(1), last];
        let limit = Duration::from_secs(60);
        for phone in phones {
            world.phones[phone].manners = Manners::Answer { after_ms: 100 };
            // A link that is not up yet is no reason to wait for the phone.
            world.act(phone, Act::Register { seconds: 3600 });
        }
        let registered = |world: &World| phones.iter().all(|phone| world.phones[*phone].registered == Some(200));
        world.until("the faithful are registered", limit, registered).await;
        world.run(Duration::from_secs(1)).await;
        dial(world, phones[0], phones[1]);
        let talks = |world: &World, phone: usize| world.phones[phone].calls.values().any(|call| call.stage == Stage::Talking);
        world
            .until("the faithful talk", limit, |world| {
                phones.iter().all(|phone| talks(world, *phone))
            })
            .await;
        // Until the last ACK is there, in bad weather too.
        world.run(Duration::from_secs(40)).await;
        let sessions = phones.map(|phone| *world.phones[phone].calls.keys().next().expect("it talks"));
        for phone in phones {
            world.phones[phone].manners = Manners::Refuse { status: 486 };
        }
        Self {
            phones,
            dns: phones.map(|phone| world.phones[phone].dn()),
            sessions,
            call: conn_id(world, phones[0]).expect("the observer has heard of the call"),
        }
    }

    /// They still talk, and the observer can control their call.
    pub async fn check(&self, world: &mut World) {
        for (phone, session) in self.phones.into_iter().zip(self.sessions) {
            let phone = &world.phones[phone];
            let over = phone.over.iter().find(|(over, _)| *over == session);
            assert_eq!(over, None, "{} has lost its call", phone.number);
            let stage = phone.calls.get(&session).map(|call| call.stage);
            assert_eq!(stage, Some(Stage::Talking), "{} is in its call", phone.number);
        }
        let dn = self.dns[0].as_str();
        let hold = ClientRequest::of_call(tandem_model::request::OnCall::HoldCall, dn, self.call);
        self.ask(world, hold, EventName::EventHeld).await;
        let retrieve = ClientRequest::of_call(tandem_model::request::OnCall::RetrieveCall, dn, self.call);
        self.ask(world, retrieve, EventName::EventRetrieved).await;
        let release = ClientRequest::release_call(dn, self.call);
        self.ask(world, release, EventName::EventReleased).await;
        world.run(Duration::from_secs(5)).await;
        for (phone, session) in self.phones.into_iter().zip(self.sessions) {
            let left = world.phones[phone].calls.get(&session);
            assert!(
                left.is_none(),
                "{} hangs in a call that was released",
                world.phones[phone].number
            );
        }
    }

    async fn ask(&self, world: &mut World, request: ClientRequest, expected: EventName) {
        let reference = world.desktops[0].ask(request).await;
        // What the network loses is sent again for 64*T1 (RFC 3261 s.17.1.1.2), on one leg after the other.
        for _ in 0..16 {
            world.run(Duration::from_secs(5)).await;
            if world.desktops[0].answer(reference).is_some() {
                break;
            }
        }
        let answer = world.desktops[0].answer(reference);
        assert!(
            answer.is_some_and(|answer| answer.is(expected)),
            "the faithful call: {answer:?} where {expected:?} was due"
        );
    }
}
