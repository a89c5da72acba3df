//! What must hold while nothing happens: the clients' picture of the calls, the media ports and the phones agree.
//!
//! The picture is made from the observer's events alone. Of each session of a phone it is known where its audio goes: to another phone or
//! to a port. Who is due to hear another does so on one of them; that nothing is heard can be said of phones with one session alone.
//! Phones that hold by themselves, that are being called, or that hung up when nobody could hear it, and the carrier's parties are left out.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use tandem_media::plane::{PortId, Source};
use tandem_model::{EventName, KvValue, PartyState};
use tandem_sip::ua::SessionId;

use super::desktop::Desktop;
use super::media::OpenPort;
use super::phone::{Phone, Stage};
use super::world::World;

/// How one party stands, by the events.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Standing {
    /// `None` after a change that does not say.
    state: Option<PartyState>,
    muted: bool,
}

/// By call and DN.
type Picture = BTreeMap<(String, String), Standing>;

/// Checks a world at rest; the desktop at `late` has registered on every DN just now. How many times one was due to hear the
/// other, or not to.
pub fn check(world: &World, late: usize) -> usize {
    check_snapshot(&world.desktops[0], &world.desktops[late]);
    check_hearing(world, &picture(&world.desktops[0], u64::MAX))
}

/// What the observer knew before that event.
fn picture(observer: &Desktop, before: u64) -> Picture {
    let mut picture = Picture::new();
    for frame in observer.frames.iter().take_while(|frame| frame.sequence < before) {
        let (Some(call), Some(dn), Some(name)) = (&frame.conn_id, &frame.this_dn, frame.name()) else {
            continue;
        };
        let here = (call.clone(), dn.clone());
        let state = match name {
            EventName::EventDialing | EventName::EventDestinationBusy => None,
            EventName::EventRinging => Some(PartyState::Alerting),
            EventName::EventEstablished | EventName::EventRetrieved => Some(PartyState::Connected),
            EventName::EventHeld => Some(PartyState::Held),
            EventName::EventPartyChanged => {
                let before = frame.previous_conn_id.clone().map(|call| (call, dn.clone()));
                let moved = before.and_then(|before| picture.remove(&before));
                picture.extend(moved.map(|moved| (here, moved)));
                continue;
            }
            EventName::EventMuteOn | EventName::EventMuteOff => {
                if let Some(party) = picture.get_mut(&here) {
                    party.muted = name == EventName::EventMuteOn;
                }
                continue;
            }
            name if name.is_terminal() => {
                picture.remove(&here);
                continue;
            }
            _ => continue,
        };
        let party = picture.entry(here).or_insert(Standing { state, muted: false });
        party.state = state;
    }
    picture
}

/// Who registers now is told the calls of each DN, with their states.
fn check_snapshot(observer: &Desktop, late: &Desktop) {
    let registered = late.frames.iter().filter(|frame| frame.is(EventName::EventRegistered));
    for frame in registered {
        let picture = picture(observer, frame.sequence);
        let mut told = 0;
        let calls = (1..).map_while(|number| {
            let call = frame.extensions.text(&format!("conn-{number}"))?;
            let state = match frame.extensions.value(&format!("ps-{number}")) {
                Some(KvValue::Int(state)) => Some(*state),
                _ => None,
            };
            Some((call.to_owned(), state))
        });
        let dn = frame.this_dn.clone().unwrap_or_default();
        for (call, state) in calls {
            told += 1;
            let known = picture.get(&(call.clone(), dn.clone()));
            assert!(known.is_some(), "the snapshot of {dn} has {call}, of which nobody was told");
            let expected = known.and_then(|known| known.state).map(|state| i64::from(state.number()));
            assert!(
                expected.is_none() || expected == state,
                "{dn} in {call} is {state:?} in the snapshot, {expected:?} by the events"
            );
        }
        let due = picture.keys().filter(|(_, of)| *of == dn).count();
        assert_eq!(
            told, due,
            "calls of {dn} that the snapshot has, and that it has by the events: {picture:?}"
        );
    }
}

/// Where the audio of a phone's session goes.
#[derive(Debug)]
struct Place<'a> {
    ip: IpAddr,
    /// Where it sends, as the server told it.
    sends_to: SocketAddr,
    /// Whether the server told it that it may speak and will be sent something.
    open: (bool, bool),
    port: Option<(PortId, &'a OpenPort)>,
}

fn place<'a>(phone: &Phone, session: SessionId, ports: &'a BTreeMap<PortId, OpenPort>) -> Option<Place<'a>> {
    let told = phone.ua.session_remote_sdp(session)?;
    let text = std::str::from_utf8(told).ok()?;
    let value = |prefix: &str| text.lines().find_map(|line| line.strip_prefix(prefix));
    let sends_to = SocketAddr::new(
        value("c=IN IP4 ")?.trim().parse().ok()?,
        value("m=audio ")?.split(' ').next()?.parse().ok()?,
    );
    let has = |direction: &str| text.lines().any(|line| line.trim() == format!("a={direction}"));
    let open = (!has("sendonly") && !has("inactive"), !has("recvonly") && !has("inactive"));
    let port = ports.iter().find(|(_, port)| port.local == Some(sends_to));
    Some(Place {
        ip: phone.address.ip(),
        sends_to,
        open,
        port: port.map(|(id, port)| (*id, port)),
    })
}

impl Place<'_> {
    /// Whether this one is heard there.
    fn is_heard_by(&self, other: &Self) -> bool {
        match (&self.port, &other.port) {
            (Some((from, _)), Some((_, to))) => {
                let sends = to.settings.as_ref().is_some_and(|settings| {
                    settings.direction.sends() && settings.remote.is_some_and(|remote| remote.ip() == other.ip)
                });
                self.open.0 && other.open.1 && sends && to.hears.contains(&Source::Port(*from))
            }
            (None, None) => self.sends_to.ip() == other.ip && self.open.0 && other.open.1,
            _ => false,
        }
    }
}

/// Two that are in talk hear each other; who is on hold or muted is not heard, and who holds does not hear.
fn check_hearing(world: &World, picture: &Picture) -> usize {
    let mut checked = 0;
    let ports = world.ports.open();
    let places: BTreeMap<String, Vec<Place<'_>>> = world
        .phones
        .iter()
        .filter(|phone| !phone.unheard && phone.calls.values().all(|call| call.stage == Stage::Talking && !call.holds))
        .map(|phone| {
            let sessions = phone.calls.keys();
            (
                phone.dn(),
                sessions.filter_map(|session| place(phone, *session, &ports)).collect(),
            )
        })
        .collect();
    let parties = || {
        picture
            .iter()
            .filter_map(|((call, dn), standing)| Some((call, dn, *standing, places.get(dn)?)))
    };
    let talk_elsewhere = |call: &str, one: &str, other: &str| {
        let calls_of = |dn: &str| -> Vec<&String> {
            picture
                .keys()
                .filter(|(of, who)| who == dn && of != call)
                .map(|(of, _)| of)
                .collect()
        };
        let others = calls_of(other);
        calls_of(one).iter().any(|call| others.contains(call))
    };
    for (call, one, speaks, from) in parties() {
        for (of, other, hears, to) in parties().filter(|(of, other, ..)| *of == call && *other != one) {
            let (Some(speaker), Some(listener)) = (speaks.state, hears.state) else {
                continue;
            };
            let talk = [speaker, listener].map(|state| state == PartyState::Connected);
            let held = [speaker, listener].contains(&PartyState::Held);
            let heard = from.iter().any(|from| to.iter().any(|to| from.is_heard_by(to)));
            let alone = from.len() == 1 && to.len() == 1;
            let lines = format!("{of}: {one} ({speaker:?}) at {from:?} and {other} ({listener:?}) at {to:?}");
            if talk == [true, true] && !speaks.muted {
                assert!(heard, "{lines}: the first is not heard by the second");
                checked += 1;
            }
            // Where a phone has refused to send its media here, its own hold is passed on to the other phone, as it is.
            let is_passed_on = held && from.iter().chain(to).all(|place| place.port.is_none());
            if alone && (held || speaks.muted) && !is_passed_on && !talk_elsewhere(call, one, other) {
                assert!(!heard, "{lines}: the first is heard by the second");
                checked += 1;
            }
        }
    }
    checked
}
