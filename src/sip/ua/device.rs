//! The devices that sessions are with, and what becomes of a session whose device has lost its connection (RFC 5626 s.4.4, 4.5, 5.3), or is
//! reached another way from now on: by datagrams, at another address, through another connector.
//!
//! A device behind a NAT, or one that listens nowhere, is reached over the connection that it opened and over no other. When that is gone,
//! because this process was killed or the network broke it, the device notices (its keep-alive is due every 120 s at most, s.4.4.1), connects
//! anew and registers over the new connection. Then its sessions are there:
//!
//! * where its registration takes the place of the one before ([`Sureness::Certain`]), always; where it is only likely its own, if the
//!   connection of the session is gone;
//! * a request of the device in the dialog says the same, whatever connection it comes over (`within`).
//!
//! What was sent on its way to the device, and has no answer, is sent again over the new connection; a restored session is asked at once
//! whether it is there (`restore`).
//!
//! Until then a restored session is not given up: its peer is tried as any other is, and from then on every 64*T1, each time with
//! [`UaEvent::OutOfReach`](super::UaEvent::OutOfReach). The shell gives it up when the device's registration is over, for then the device does not
//! mean to come back; where a session interval was agreed on, that ends it before (`refresh`). A BYE that cannot be delivered is kept for
//! [`FAREWELL`] times 64*T1, so that a device that comes back does not stay in a call that is over.
//!
//! A device that goes over from a connection to datagrams or back is followed when it registers so, to its new Contact. One that registers with
//! another connector is followed there: the session's route set becomes the way through that one ([`UserAgent::device_left`]), until it is
//! back or moves on. Only what is in talk follows; a call that rings is where it rings.
//!
//! Invariant: a session is never moved to a device of another address of record. What is not here: devices behind proxies, which are
//! reached by the route set of their dialog.

use std::sync::Arc;
use std::time::{Duration, Instant};

use smallvec::SmallVec;

use super::api::SessionId;
use super::client::ClientKey;
use super::draft::Path;
use super::route::hop_of;
use super::sessions::{Phase, Session, Stage};
use super::{Owner, UserAgent};
use crate::dialog::{RequestTarget, route_uri};
use crate::flow::Flow;
use crate::registrar::{Arrival, Device, Sureness};
use crate::transaction::timer::Timer;

/// How long a BYE waits for its device, in units of 64*T1: 192 s, in which the device finds out twice over that its connection is gone.
const FAREWELL: u32 = 6;

/// The sessions of each address of record.
pub(super) type SessionsOf = std::collections::HashMap<Arc<str>, SmallVec<[SessionId; 2]>>;

impl UserAgent {
    /// A session is with that device, which is reached where it has registered.
    pub fn set_device(&mut self, id: SessionId, device: Device) {
        let Some(session) = self.live(id).filter(|session| session.device.is_none()) else {
            return;
        };
        let aor = device.aor.clone();
        session.device = Some(Arc::new(device));
        self.sessions_of.entry(aor).or_default().push(id);
    }

    /// The same of one that has registered with another connector: the session's dialog leads through that one.
    pub fn set_device_elsewhere(&mut self, id: SessionId, device: Device) {
        self.set_device(id, device);
        if let Some(session) = self.live(id) {
            session.elsewhere = true;
        }
    }

    /// The device that a session is with.
    pub fn device_of(&self, id: SessionId) -> Option<&Arc<Device>> {
        self.sessions.get(&id)?.device.as_ref()
    }

    /// A device has registered over another flow: its sessions are reached there from now on.
    pub fn device_arrived(&mut self, now: Instant, arrival: &Arrival) {
        let ids = self.sessions_of.get(&arrival.aor).cloned().unwrap_or_default();
        for id in ids {
            let Some(session) = self.sessions.get(&id) else { continue };
            let Some((device, dialog)) = session.device.as_ref().zip(session.dialogs.first()) else {
                continue;
            };
            let Some((binding, sureness)) = arrival.binding_of(device) else {
                continue;
            };
            let was_stream = dialog.flow.transport.is_reliable();
            let elsewhere = session.elsewhere;
            let has_left = match was_stream {
                // What its own flow is, the other connector knows.
                _ if elsewhere => false,
                true => dialog.flow.connection.is_none() || self.closed.holds(&dialog.flow),
                false => arrival.is_all_of(device),
            };
            if !(dialog.adjacent || elsewhere) || (sureness < Sureness::Certain && !has_left) {
                continue;
            }
            // Over a connection it is reached whatever its Contact says; datagrams go to its Contact, and so does what it is asked when it
            // has gone over to them, or away from them.
            let is_stream = was_stream && !elsewhere && arrival.flow.transport.is_reliable();
            let target = (!is_stream && !binding.uri_is(&device.uri)).then(|| binding.uri.clone());
            let as_registered = Device::of(&arrival.aor, binding);
            let is_known = **device == as_registered;
            if let Some(session) = self.sessions.get_mut(&id).filter(|_| !is_known || elsewhere) {
                session.device = Some(Arc::new(as_registered));
                session.elsewhere = false;
                for dialog in session.dialogs.iter_mut().filter(|dialog| dialog.adjacent || elsewhere) {
                    if elsewhere {
                        dialog.route_set.clear();
                        dialog.adjacent = true;
                    }
                    if let Some(target) = &target {
                        dialog.remote_target = target.clone();
                    }
                }
            }
            self.move_session(now, id, arrival.flow);
        }
    }

    /// A device has registered with another connector: what is said to it goes there, over this route. What is not answered yet stays where
    /// it rings. The device itself sees nothing of it, for the other connector takes its own Route off.
    pub fn device_left(&mut self, now: Instant, device: &Device, route: &[Arc<str>]) {
        let hop = route.first().and_then(|first| hop_of(route_uri(first)));
        let Some(flow) = hop.and_then(|hop| self.flow_to(hop)) else {
            return;
        };
        let ids = self.sessions_of.get(&device.aor).cloned().unwrap_or_default();
        for id in ids {
            let Some(session) = self.sessions.get_mut(&id) else { continue };
            let is_it = session.device.as_ref().and_then(|known| known.is(device)) == Some(Sureness::Certain);
            let leads_there = session.elsewhere || session.dialogs.iter().all(|dialog| dialog.adjacent);
            if !is_it || !leads_there || session.phase == Phase::Calling {
                continue;
            }
            session.device = Some(Arc::new(device.clone()));
            session.elsewhere = true;
            for dialog in &mut session.dialogs {
                dialog.route_set = route.iter().cloned().collect();
                dialog.remote_target = device.uri.clone();
                (dialog.adjacent, dialog.flow) = (false, flow);
            }
            self.go_on(now, id, flow);
        }
    }

    /// The peer of a session is reached over another flow from now on: its device has registered there.
    pub fn move_session(&mut self, now: Instant, id: SessionId, flow: Flow) {
        let Some(session) = self.sessions.get_mut(&id) else {
            self.stats.commands_ignored += 1;
            return;
        };
        for dialog in session.dialogs.iter_mut().filter(|dialog| dialog.adjacent) {
            dialog.flow = flow;
        }
        if let Some((to, _)) = session.unacked.as_mut().and_then(|unacked| unacked.copy.as_mut()) {
            *to = flow;
        }
        self.go_on(now, id, flow);
    }

    /// What waited for the peer, or is on its way to where it is no more, goes to where it is now.
    fn go_on(&mut self, now: Instant, id: SessionId, flow: Flow) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let unanswered = session.unanswered();
        match session.phase {
            Phase::Ending if session.lingers => {
                session.lingers = false;
                self.timers.stop(Owner::Session(id), Timer::Overdue);
                self.send_bye(now, id, None);
            }
            Phase::Talking => {
                if let Some(key) = unanswered {
                    self.send_anew(now, id, key, flow);
                }
                self.ask_again(now, id);
            }
            Phase::Calling | Phase::Ringing | Phase::Ending => {}
        }
    }

    /// A request that was on its way over a connection that is gone, or to an address where maybe nobody listens, goes over this flow.
    fn send_anew(&mut self, now: Instant, id: SessionId, key: ClientKey, flow: Flow) {
        let Some(transaction) = self.clients.get_mut(&key) else {
            return;
        };
        let has_way = |to: &Flow| to.connection.is_some() && !self.closed.holds(to);
        if transaction.is_heard() || has_way(&transaction.flow) {
            return;
        }
        let Some((user, mut draft)) = transaction.take_draft() else {
            return;
        };
        self.drop_client(key);
        draft.cseq = self.raise_cseq(user, &draft);
        if let Some(dialog) = self.sessions.get(&id).and_then(|session| session.dialogs.first()) {
            let RequestTarget { uri, routes, next_hop } = dialog.request_target();
            (draft.uri, draft.routes, draft.next_hop) = (uri, routes, next_hop);
        }
        draft.path = Path {
            flow: Some(flow),
            ..Path::default()
        };
        self.launch(now, draft, user);
    }

    /// The BYE of a session cannot be delivered. Whether it waits for the device; where that has come meanwhile, it goes there, once.
    pub(super) fn lingers(&mut self, now: Instant, id: SessionId) -> bool {
        let wait = self.farewell();
        let Some(session) = self.sessions.get(&id).filter(|session| session.connects()) else {
            return false;
        };
        let is_there = !self.has_lost_device(session);
        if is_there && session.lingers {
            return false;
        }
        if let Some(session) = self.sessions.get_mut(&id) {
            session.lingers = true;
        }
        self.timers.start(Owner::Session(id), Timer::Overdue, now + wait);
        if is_there {
            self.send_bye(now, id, None);
        }
        true
    }

    /// How long a BYE waits.
    pub(super) fn farewell(&self) -> Duration {
        self.timing.patience() * FAREWELL
    }

    /// The device of a session that is over did not come back for its BYE.
    pub(super) fn farewell_over(&mut self, id: SessionId) {
        if let Some(session) = self.sessions.get_mut(&id).filter(|session| session.lingers) {
            session.lingers = false;
            self.forget(id);
        }
    }

    /// A session is forgotten.
    pub(super) fn leave_device(&mut self, session: &Session, id: SessionId) {
        let Some(device) = &session.device else { return };
        if let Some(ids) = self.sessions_of.get_mut(&device.aor) {
            ids.retain(|other| *other != id);
            if ids.is_empty() {
                self.sessions_of.remove(&device.aor);
            }
        }
    }
}

impl Session {
    /// Whether it is with a device that is reached over the connection that it opens, and over nothing else.
    pub(super) fn connects(&self) -> bool {
        let dialog = self.dialogs.first().filter(|_| self.device.is_some());
        dialog.is_some_and(|dialog| dialog.adjacent && dialog.flow.transport.is_reliable())
    }

    /// The request of ours within it that a move concerns.
    fn unanswered(&self) -> Option<ClientKey> {
        match self.reinvite.as_ref()?.stage {
            Stage::Sent(key) => key,
            Stage::Queued | Stage::Backoff => None,
        }
    }
}
