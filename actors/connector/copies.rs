//! The copy that a T-Server in another process keeps of this connector's journal: telling it what is kept, and getting it back.
//!
//! | when | what |
//! |---|---|
//! | a session of the link is new | everything that is kept is told in pieces, then what changes, with each commit ([`Mirror`]) |
//! | it is, and the journal is new and held nothing | nothing is told; `HERE` says so, and the T-Server gives back what it has |
//! | `RESTORE` | what is given back is brought back as it is at the start of a process, and everything is told |
//!
//! Between the second and the third, requests about conferences that are not here wait: they may be about to come back. So does who the other
//! connectors are: nothing is passed on before, as the secret of the edge may come back too. And what a phone says in a dialog that is not here
//! is not answered for a while: it is said again.

use std::time::{Duration, Instant};

use actix::Context;
use tandem_model::connector::{ConnectorRequest, CopiedRecord};
use tandem_model::link::LinkRequest;
use tandem_sip::message::{Message, NameAddr};

use super::connector_actor::ConnectorActor;
use crate::journal::{Mirror, Progress, Record, given_back};
use crate::now;

/// So many pieces are told after one another,
const PIECES: usize = 4;
/// and then no more for so long: a link keeps no more than 32 MiB without acknowledgement.
const PACE: Duration = Duration::from_millis(10);
/// While the link is down.
const RETRY: Duration = Duration::from_millis(200);
/// The most requests that wait; each call has one under way.
const MOST_PUT_OFF: usize = 65_536;

/// So long phones are not answered in dialogs that may be about to come back: a T-Server connects within 5 s.
const PATIENCE: Duration = Duration::from_secs(15);

/// What is on its way back.
pub(super) struct Restoring {
    since: Instant,
    records: Vec<Record>,
    put_off: Vec<LinkRequest>,
}

impl Default for Restoring {
    fn default() -> Self {
        Self {
            since: now(),
            records: Vec::new(),
            put_off: Vec::new(),
        }
    }
}

impl ConnectorActor {
    /// Whether the T-Server is asked for its copy.
    pub(super) fn wants_restore(&self) -> bool {
        self.parts.mirror.as_ref().is_some_and(Mirror::wants_restore)
    }

    /// Tells everything that is kept, unless the copy is wanted first. What was on its way back in another session comes again.
    pub(super) fn tell_kept(&mut self) {
        self.restoring = Restoring::default();
        let Some(mirror) = self.parts.mirror.clone() else { return };
        let Some(turn) = mirror.start_over() else { return };
        // A task of its own, so that a crash of this actor does not leave the T-Server with half of it.
        actix_rt::spawn(async move {
            let mut pieces = 0;
            loop {
                match mirror.tell_more(turn) {
                    Progress::Done => return,
                    Progress::Later => tokio::time::sleep(RETRY).await,
                    Progress::More if pieces % PIECES == PIECES - 1 => tokio::time::sleep(PACE).await,
                    Progress::More => {}
                }
                pieces += 1;
            }
        });
    }

    /// A request that what is about to come back may be needed for waits; any other one is given back.
    pub(super) fn put_off(&mut self, request: LinkRequest) -> Option<LinkRequest> {
        let unknown = |id| self.parts.shard.borrow().conference(id).is_none();
        let needs_it = match &request {
            LinkRequest::MakeParty(_) => false,
            LinkRequest::Connector(request) => matches!(request, ConnectorRequest::Peers { .. }),
            request => request.conference().is_some_and(unknown),
        };
        let waits = needs_it && self.wants_restore() && self.restoring.put_off.len() < MOST_PUT_OFF;
        if waits {
            self.restoring.put_off.push(request);
            return None;
        }
        Some(request)
    }

    /// Whether a message belongs to a dialog that may be about to come back.
    pub(super) fn may_come_back(&self, message: &Message) -> bool {
        if !message.is_request() || !self.wants_restore() || now() >= self.restoring.since + PATIENCE {
            return false;
        }
        let tag = |party: Option<NameAddr<'_>>| party.and_then(|party| party.tag().map(str::to_owned));
        let (Some(ours), Some(theirs)) = (tag(message.to().ok()), tag(message.from().ok())) else {
            return false;
        };
        let call_id = message.call_id().unwrap_or_default();
        let dialog = self.parts.shard.borrow().ua.session_of_dialog(call_id, &ours, &theirs);
        dialog.is_none()
    }

    /// What the T-Server had kept; with `end`, that was all.
    pub(super) fn given_back(&mut self, records: Vec<CopiedRecord>, end: bool, ctx: &mut Context<Self>) {
        let Some(mirror) = self.parts.mirror.clone().filter(Mirror::wants_restore) else {
            return;
        };
        self.restoring.records.extend(records.into_iter().filter_map(given_back));
        if !end {
            return;
        }
        let Restoring { records, put_off, .. } = std::mem::take(&mut self.restoring);
        if !records.is_empty() {
            tracing::warn!(
                records = records.len(),
                "this connector had lost what it had kept: it goes on with the T-Server's copy"
            );
            self.restore(records, ctx);
        }
        mirror.is_answered();
        self.tell_kept();
        for request in put_off {
            self.link_request(request, ctx);
        }
    }
}
