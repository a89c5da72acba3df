//! Tests of rooms: tables of what comes in and goes out, and random play against a connector that answers late.

mod connector;
mod door;
mod inside;
mod property;

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Pin, Room, RoomInput, RoomOutput, RoomSettings};
use crate::call::CallIds;
use crate::dn::wish::{InForce, Wishes};
use crate::link::{CallOffered, CallerId, Cause, LinkNotification, LinkRequest, Presentation, ReleasedBy};
use crate::numbering::{DirectOverride, DnConfig, HandleDirectCalls, Numbering};
use crate::request::{OnCall, OnCallWith};
use crate::{CallUuid, ClientId, ConferenceId, ConnId, DnId, Event, EventName, KvList, PartyId, ReferenceId, Request, Requestor};

const MEETING: &str = "sip:meeting@tandem.local";
const CONN_ID: ConnId = ConnId(7);

fn numbering() -> Arc<Numbering> {
    let mut builder = Numbering::builder().domain("tandem.local");
    for user in 1001..1010 {
        builder = builder.dn(DnConfig::extension(format!("sip:{user}@tandem.local").as_str()));
    }
    Arc::new(builder.build().expect("a sound numbering"))
}

fn dn(user: u32) -> DnId {
    DnId::new(&format!("sip:{user}@tandem.local"))
}

fn conference(user: u32) -> ConferenceId {
    ConferenceId::new(0, user.into())
}

fn asker() -> Requestor {
    Requestor {
        client: ClientId(1),
        reference_id: Some(ReferenceId(9)),
    }
}

fn settings() -> RoomSettings {
    RoomSettings {
        announce: false,
        ..RoomSettings::default()
    }
}

fn room(settings: RoomSettings) -> Room {
    let ids = CallIds {
        conn_id: CONN_ID,
        call_uuid: CallUuid(1),
        call_id: 1,
        conversation_id: "Tandem-1".into(),
        conference: ConferenceId(0),
    };
    Room::new(ids, DnId::new(MEETING), numbering(), Arc::new(settings))
}

/// A call of the extension `user` in the conference of that number, as party 1.
fn offered(user: u32) -> CallOffered {
    CallOffered {
        conference: conference(user),
        party: PartyId(1),
        from: CallerId::Extension(dn(user)),
        dialled: "meeting".into(),
        conversation_id: None,
        sip_call_id: "x".into(),
        replaces: None,
        presentation: Presentation::default(),
        preferred: None,
        diverted_by: None,
        headers: Vec::new(),
    }
}

fn offered_from_outside(user: u32) -> CallOffered {
    let from = CallerId::Trunk {
        trunk: DnId::new("sip:trunk@tandem.local"),
        number: DnId::new("sip:+49301234567@carrier.example"),
        name: Some("Carl".into()),
    };
    CallOffered { from, ..offered(user) }
}

/// A room, its time, and what came out of it.
struct Scene {
    room: Room,
    now: Instant,
    out: Vec<RoomOutput>,
    /// What clients ask of their DNs.
    wishes: Wishes,
}

impl Scene {
    fn new(settings: RoomSettings) -> Self {
        Self {
            room: room(settings),
            now: Instant::now(),
            out: Vec::new(),
            wishes: Wishes::default(),
        }
    }

    /// What an input brings out.
    fn give(&mut self, input: RoomInput) -> Vec<RoomOutput> {
        let mut out = Vec::new();
        self.room.handle(RoomInput::Wishes(self.wishes.clone()), self.now, &mut out);
        self.room.handle(input, self.now, &mut out);
        self.out.extend(out.iter().cloned());
        out
    }

    fn tell(&mut self, notification: LinkNotification) -> Vec<RoomOutput> {
        self.give(RoomInput::Link(notification))
    }

    fn offer(&mut self, user: u32) -> Vec<RoomOutput> {
        self.give(RoomInput::Offered(offered(user)))
    }

    fn connect(&mut self, user: u32) -> Vec<RoomOutput> {
        self.tell(LinkNotification::PartyConnected {
            conference: conference(user),
            party: PartyId(1),
        })
    }

    fn press(&mut self, user: u32, digits: &str) -> Vec<RoomOutput> {
        digits
            .chars()
            .flat_map(|digit| {
                self.tell(LinkNotification::PartyDigit {
                    conference: conference(user),
                    party: PartyId(1),
                    digit,
                })
            })
            .collect()
    }

    fn released(&mut self, place: (ConferenceId, PartyId)) -> Vec<RoomOutput> {
        self.tell(LinkNotification::PartyReleased {
            conference: place.0,
            party: place.1,
            cause: Cause::normal(ReleasedBy::Device),
        })
    }

    fn ended(&mut self, conference: ConferenceId) -> Vec<RoomOutput> {
        self.tell(LinkNotification::ConferenceEnded { conference })
    }

    fn pass(&mut self, millis: u64) -> Vec<RoomOutput> {
        self.now += Duration::from_millis(millis);
        self.give(RoomInput::Timeout)
    }

    fn ask(&mut self, request: Request) -> Vec<RoomOutput> {
        self.give(RoomInput::Request {
            requestor: asker(),
            request,
        })
    }

    /// A joiner that comes in as far as it gets without a PIN and a lobby.
    fn join(&mut self, user: u32) -> (ConferenceId, PartyId) {
        self.offer(user);
        let out = self.connect(user);
        let Some((operation, place)) = move_of(&out) else {
            return (conference(user), PartyId(1));
        };
        self.tell(LinkNotification::PartyMoved {
            conference: conference(user),
            party: PartyId(1),
        });
        self.ended(conference(user));
        self.tell(LinkNotification::OperationDone {
            conference: place.0,
            operation,
        });
        place
    }
}

fn move_of(out: &[RoomOutput]) -> Option<(crate::link::OperationId, (ConferenceId, PartyId))> {
    out.iter().find_map(|output| match output {
        RoomOutput::Link(LinkRequest::MoveParty {
            conference,
            operation,
            party,
            ..
        }) => Some((*operation, (*conference, *party))),
        _ => None,
    })
}

/// The events as `NAME thisDn` with a star where they answer a request, in order; `dn` without its host.
/// The desktop of this one asks that its direct calls are handled so.
fn asking(user: u32, handle: HandleDirectCalls) -> Wishes {
    let direct = DirectOverride {
        handle: Some(handle),
        media: None,
    };
    let mut wishes = Wishes::default();
    wishes.set(
        &dn(user),
        InForce {
            direct,
            ..InForce::default()
        },
    );
    wishes
}

fn told(out: &[RoomOutput]) -> Vec<String> {
    let line = |event: &Event, star: &str| {
        let this = event.this_dn.as_ref().map_or("-", |dn| dn.user());
        format!("{}{star} {this}", event.name.name().trim_start_matches("Event"))
    };
    out.iter()
        .filter_map(|output| match output {
            RoomOutput::Event { event, requestor } => Some(line(event, if requestor.is_some() { "*" } else { "" })),
            RoomOutput::Answer { event, .. } => Some(line(event, "!")),
            _ => None,
        })
        .collect()
}

fn links(out: &[RoomOutput]) -> Vec<&LinkRequest> {
    out.iter()
        .filter_map(|output| match output {
            RoomOutput::Link(request) => Some(request),
            _ => None,
        })
        .collect()
}

fn error_of(out: &[RoomOutput]) -> Option<crate::TErrorCode> {
    out.iter().find_map(|output| match output {
        RoomOutput::Answer { event, .. } => event.error.as_ref().map(|error| error.code),
        _ => None,
    })
}

fn on_call(operation: OnCall, this_dn: &DnId, party: Option<&DnId>) -> Request {
    let mut extensions = KvList::new();
    if let Some(party) = party {
        extensions.set("party", party.as_str());
    }
    Request::OnCall {
        operation,
        this_dn: this_dn.clone(),
        conn_id: CONN_ID,
        reasons: KvList::new(),
        extensions,
    }
}

fn with(operation: OnCallWith, this_dn: &DnId, other: &DnId) -> Request {
    Request::OnCallWith {
        operation,
        this_dn: this_dn.clone(),
        conn_id: CONN_ID,
        other_dn: other.as_str().to_owned(),
        location: None,
        user_data: KvList::new(),
        reasons: KvList::new(),
        extensions: KvList::new(),
    }
}

fn release(this_dn: &DnId) -> Request {
    Request::ReleaseCall {
        this_dn: this_dn.clone(),
        conn_id: CONN_ID,
        reasons: KvList::new(),
    }
}

fn clear(this_dn: &DnId) -> Request {
    Request::ClearCall {
        this_dn: this_dn.clone(),
        conn_id: CONN_ID,
        reasons: KvList::new(),
    }
}

fn meeting() -> DnId {
    DnId::new(MEETING)
}

fn with_pins() -> RoomSettings {
    RoomSettings {
        pin: Some(Pin::new("1234")),
        moderator_pin: Some(Pin::new("9999")),
        ..settings()
    }
}

fn terminal(name: EventName) -> bool {
    name.is_terminal()
}
