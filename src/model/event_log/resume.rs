//! Clients that come, lose their connection, and come back.
//!
//! ```text
//!            open: new               disconnected                grace is over, or too many
//!  connected ─────────► live ──────────────────► lost ──────────────────────────► given up
//!                        ▲  ▲                     │ open: delta
//!                        │  └──────── behind ◄────┘
//!                        └─────────── catch_up
//! ```
//!
//! A client that resumes keeps the number it had, so that everything that knows it by that number goes on: its registrations, the requests
//! it waits for, its copies in the log. The number it had got for its new connection is no more.
//!
//! Who it was is told by its session, where it kept that; else by the sequence alone: the client of the same identity that got just that
//! event, or where the log has let go of it the one to which it was sent last. Where several could be meant, the streams they would get from
//! there on must be the same, or none of them is. So a client never gets another one's events; at worst it starts anew.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use super::client::{Client, Feed, OpenClient};
use super::{Delivery, EventLog, GivenUp, Identity};
use crate::dn::wish::Wish;
use crate::request::Resume;
use crate::{ClientId, DnId, Event, EventName, RegisterMode, Requestor};

/// A client wants to open the server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Opening {
    /// Its connection, and the reference of its request.
    pub requestor: Requestor,
    /// Who it says it is.
    pub identity: Identity,
    /// What it is to call itself when it resumes, should it start anew. Nobody can guess it.
    pub session: Arc<str>,
    /// Where it left off.
    pub resume: Option<Resume>,
}

/// How a client was let in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// It starts anew, without registrations.
    New,
    /// It goes on: every event that it missed follows ([`EventLog::catch_up`]).
    Delta,
    /// It has its registrations, and something is missing: the state of each DN has to be told.
    Snapshot,
}

/// A client that was let in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Opened {
    /// Its number from now on.
    pub client: ClientId,
    /// What it is to call itself when it resumes.
    pub session: Arc<str>,
    /// How it was let in.
    pub outcome: Outcome,
    /// What it is registered on, and how.
    pub registrations: Vec<(DnId, RegisterMode)>,
}

/// The log has let go of what a client needs next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TooFarBehind;

/// How what a client says it has stands to what it got.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fit {
    /// It got that event, and the log has everything after it.
    Whole,
    /// The log has let go of something after it.
    Gap,
    /// It never got that event.
    Stranger,
}

impl EventLog {
    /// Lets a client in and answers with EventServerConnected. After [`Outcome::Delta`] it is behind: it gets what it missed by
    /// [`Self::catch_up`], and nothing else before that.
    pub fn open(&mut self, opening: Opening, now: SystemTime, out: &mut Vec<Delivery>) -> Opened {
        let Opening {
            requestor,
            identity,
            session,
            resume,
        } = opening;
        let found = resume.as_ref().and_then(|resume| self.find(&identity, resume));
        let sequence = resume.map_or(0, |resume| resume.sequence);
        let (outcome, client) = match found {
            None => (Outcome::New, requestor.client),
            Some((client, Fit::Whole)) => (Outcome::Delta, client),
            Some((client, _)) => (Outcome::Snapshot, client),
        };
        if client != requestor.client {
            self.client_closed(requestor.client);
        }
        self.reconnect(client);
        if outcome == Outcome::Delta {
            if let Some(resumed) = self.clients.get_mut(&client) {
                resumed.feed = Feed::Behind(sequence);
            }
            out.push(Delivery {
                client,
                sequence,
                previous: sequence,
                time: self.time.max(now),
                event: Arc::new(Event::new(EventName::EventServerConnected)),
                reference_id: requestor.reference_id,
            });
        } else {
            self.start_chain(Requestor { client, ..requestor }, identity, session, now, out);
        }
        self.put_client(client);
        self.opened(client, outcome)
    }

    fn reconnect(&mut self, id: ClientId) {
        let client = self.clients.entry(id).or_default();
        if let Feed::Lost(since) = client.feed {
            self.lost.remove(&(since, id));
        }
        client.leaves = false;
        client.feed = Feed::Live;
    }

    /// The client's chain starts with its EventServerConnected.
    fn start_chain(
        &mut self,
        requestor: Requestor,
        identity: Identity,
        session: Arc<str>,
        now: SystemTime,
        out: &mut Vec<Delivery>,
    ) {
        let event = self.place(Event::new(EventName::EventServerConnected), now);
        let Some(client) = self.clients.get_mut(&requestor.client) else {
            return;
        };
        let session = client.opened.take().map_or(session, |open| open.session);
        client.opened = Some(OpenClient {
            identity,
            session,
            since: self.sequence,
        });
        client.previous = self.sequence;
        out.push(Delivery {
            client: requestor.client,
            sequence: self.sequence,
            previous: 0,
            time: self.time,
            event,
            reference_id: requestor.reference_id,
        });
    }

    fn opened(&self, id: ClientId, outcome: Outcome) -> Opened {
        let client = self.clients.get(&id);
        let registrations = client.into_iter().flat_map(|client| &client.dns);
        Opened {
            client: id,
            session: client
                .and_then(|client| client.opened.as_ref())
                .map_or_else(|| "".into(), |open| open.session.clone()),
            outcome,
            registrations: registrations
                .map(|(dn, registration)| (dn.clone(), registration.mode))
                .collect(),
        }
    }

    /// Hands a client that is behind up to `limit` of the events that it missed. `true`: it has them all and is live from now on.
    pub fn catch_up(&mut self, id: ClientId, limit: usize, out: &mut Vec<Delivery>) -> Result<bool, TooFarBehind> {
        let Some(client) = self.clients.get_mut(&id) else {
            return Ok(true);
        };
        let Feed::Behind(mut cursor) = client.feed else {
            return Ok(true);
        };
        let mut room = limit;
        let copies = self.entries.after(cursor);
        let copies = copies.filter_map(|logged| logged.copy_of(id).map(|copy| (logged, copy)));
        for (logged, copy) in copies {
            if copy.previous != cursor {
                return Err(TooFarBehind);
            }
            if room == 0 {
                client.feed = Feed::Behind(cursor);
                return Ok(false);
            }
            room -= 1;
            cursor = logged.sequence;
            out.push(Delivery {
                client: id,
                sequence: cursor,
                previous: copy.previous,
                time: logged.time,
                event: logged.event.clone(),
                reference_id: copy.reference_id,
            });
        }
        if client.previous != cursor {
            return Err(TooFarBehind);
        }
        client.feed = Feed::Live;
        Ok(true)
    }

    /// A client has said goodbye: it is not kept when its connection ends.
    pub fn client_leaves(&mut self, client: ClientId) {
        if let Some(client) = self.clients.get_mut(&client) {
            client.leaves = true;
        }
    }

    /// A client's connection has ended. It is kept where it may come back; who is given up over it, is told.
    pub fn disconnected(&mut self, id: ClientId, now: SystemTime) -> Vec<GivenUp> {
        let Some(client) = self.clients.get_mut(&id) else {
            return Vec::new();
        };
        if client.opened.is_none() || client.leaves || self.limits.grace.is_zero() {
            return vec![self.give_up(id)];
        }
        if client.is_lost() {
            return Vec::new();
        }
        client.lose(now);
        self.lost.insert((now, id));
        self.put_client(id);
        if self.lost.len() <= self.limits.clients {
            return Vec::new();
        }
        let oldest = self.lost.first().map(|(_, id)| *id);
        oldest.into_iter().map(|id| self.give_up(id)).collect()
    }

    /// Gives up the clients whose time to come back is over.
    pub fn expire(&mut self, now: SystemTime) -> Vec<GivenUp> {
        let is_due = |since: &SystemTime| now.duration_since(*since).is_ok_and(|away| away >= self.limits.grace);
        let due = self.lost.iter().take_while(|(since, _)| is_due(since));
        let due: Vec<ClientId> = due.map(|(_, id)| *id).collect();
        due.into_iter().map(|id| self.give_up(id)).collect()
    }

    /// When [`Self::expire`] has something to do next.
    pub fn next_expiry(&self) -> Option<SystemTime> {
        self.lost.first().map(|(since, _)| *since + self.limits.grace)
    }

    /// How many clients are away and may resume.
    pub fn lost(&self) -> usize {
        self.lost.len()
    }

    /// What the clients are registered on, how, and what they ask of it; for DNs that have forgotten it.
    pub fn registrations(&self) -> Vec<(ClientId, DnId, RegisterMode, Wish)> {
        let of = |(id, client): (&ClientId, &Client)| {
            let dns = client.dns.iter();
            dns.map(|(dn, registration)| (*id, dn.clone(), registration.mode, registration.wish))
                .collect::<Vec<_>>()
        };
        self.clients.iter().flat_map(of).collect()
    }

    fn give_up(&mut self, client: ClientId) -> GivenUp {
        GivenUp {
            client,
            dns: self.client_closed(client),
        }
    }

    /// The client that resumes, and whether everything it missed is here.
    fn find(&self, identity: &Identity, resume: &Resume) -> Option<(ClientId, Fit)> {
        let same_epoch = resume.epoch == *self.epoch;
        if let Some(session) = &resume.session {
            let (id, _) = self.clients.iter().find(|(_, client)| {
                let open = client.opened.as_ref();
                open.is_some_and(|open| *open.session == **session && open.identity == *identity)
            })?;
            let fit = if same_epoch {
                self.fits(&[*id], resume.sequence)
            } else {
                Vec::new()
            };
            return Some((*id, fit.first().map_or(Fit::Gap, |(_, fit)| *fit)));
        }
        if !same_epoch {
            return None;
        }
        let same = |client: &Client| client.opened.as_ref().is_some_and(|open| open.identity == *identity);
        let candidates: Vec<ClientId> = self
            .clients
            .iter()
            .filter(|(_, client)| same(client))
            .map(|(id, _)| *id)
            .collect();
        let fits = self.fits(&candidates, resume.sequence);
        let of = |wanted| fits.iter().filter(move |(_, fit)| *fit == wanted).map(|(id, _)| *id);
        let whole: Vec<ClientId> = of(Fit::Whole).collect();
        match whole.as_slice() {
            [one] => Some((*one, Fit::Whole)),
            [] => {
                let gaps: Vec<ClientId> = of(Fit::Gap).collect();
                self.only_one(&gaps, resume.sequence).map(|id| (id, Fit::Gap))
            }
            several => self.any_of(several, resume.sequence).map(|id| (id, Fit::Whole)),
        }
    }

    /// The one of those, of whose streams the log has lost a part, that can be meant: it is away, and it alone was sent just this last, or there
    /// is no other at all. One that is connected may be a connection that is dead already, so it counts in the second case.
    fn only_one(&self, several: &[ClientId], sequence: u64) -> Option<ClientId> {
        let away = || several.iter().copied().filter(|id| self.is_away(*id));
        let mut exact = away().filter(|id| self.clients.get(id).is_some_and(|client| client.sent == Some(sequence)));
        match (exact.next(), exact.next(), several) {
            (Some(one), None, _) => Some(one),
            (None, _, [_]) => away().next(),
            _ => None,
        }
    }

    fn is_away(&self, id: ClientId) -> bool {
        self.clients.get(&id).is_some_and(Client::is_lost)
    }

    /// One of those that are away, where all of them get the same events after `sequence`, answers to the connected ones apart.
    fn any_of(&self, several: &[ClientId], sequence: u64) -> Option<ClientId> {
        let away = several.iter().copied().find(|id| self.is_away(*id))?;
        let same = |id: &ClientId| {
            let connected = !self.is_away(*id);
            self.entries.after(sequence).all(|logged| {
                let one_only = logged.copy_of(away).is_some() != logged.copy_of(*id).is_some();
                !one_only || (connected && logged.is_answer && logged.copy_of(*id).is_some())
            })
        };
        several.iter().all(same).then_some(away)
    }

    /// How each of these clients stands to having got `sequence` last.
    fn fits(&self, candidates: &[ClientId], sequence: u64) -> Vec<(ClientId, Fit)> {
        let mut waiting: HashMap<ClientId, u64> = HashMap::new();
        let mut fits = Vec::new();
        for id in candidates {
            let Some(client) = self.clients.get(id) else { continue };
            let since = client.opened.as_ref().map_or(u64::MAX, |open| open.since);
            let fit = if since > sequence {
                // A later chain of the same client: whatever came before, there is a gap.
                Fit::Stranger
            } else if client.previous == sequence {
                Fit::Whole
            } else if client.previous < sequence {
                Fit::Stranger
            } else {
                waiting.insert(*id, client.previous);
                continue;
            };
            fits.push((*id, fit));
        }
        for logged in self.entries.after(sequence) {
            if waiting.is_empty() {
                break;
            }
            for copy in &logged.to {
                if waiting.remove(&copy.client).is_some() {
                    let fit = match copy.previous.cmp(&sequence) {
                        std::cmp::Ordering::Equal => Fit::Whole,
                        std::cmp::Ordering::Greater => Fit::Gap,
                        std::cmp::Ordering::Less => Fit::Stranger,
                    };
                    fits.push((copy.client, fit));
                }
            }
        }
        // Everything it got after that has gone from the log.
        fits.extend(waiting.into_keys().map(|id| (id, Fit::Gap)));
        fits.sort_unstable_by_key(|(id, _)| *id);
        fits
    }
}
