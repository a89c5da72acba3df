//! 2xx to an INVITE whose transaction is gone: the process that sent it was killed, or 64*T1 went by (RFC 3261 s.13.2.2.4).
//!
//! Invariant: a 2xx in the dialog of a session in talk gets its ACK and ends nothing. One that belongs to nobody gets ACK and BYE, each
//! once and without a transaction (the peer sends its 2xx again until it has the ACK, and gets both again), so that no phone stays in a
//! call that is not there.
//!
//! Since nothing is known of such a dialog, only what can be ours is answered: one Via, one of our listeners in it, a branch, a From tag and
//! a Call-ID as we make them; it goes back to where the 2xx came from and nowhere else, and [`MAX_PER_SECOND`] are answered.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use rand::Rng;

use super::api::UaOutput;
use super::sessions::{Phase, draft_in};
use super::{UserAgent, ident};
use crate::dialog::Dialog;
use crate::flow::Flow;
use crate::message::{HeaderName, Message, Method};
use crate::ua::SessionId;
use crate::ua::snapshot::AcceptedInvite;

/// So many strays are ended within a second; the others come again.
const MAX_PER_SECOND: u32 = 200;

/// How many strays were ended in the current second.
#[derive(Debug, Default)]
pub(super) struct Strays {
    since: Option<Instant>,
    count: u32,
}

impl Strays {
    fn admit(&mut self, now: Instant) -> bool {
        let is_current = |since: Instant| now.saturating_duration_since(since) < Duration::from_secs(1);
        if !self.since.is_some_and(is_current) {
            (self.since, self.count) = (Some(now), 0);
        }
        self.count += 1;
        self.count <= MAX_PER_SECOND
    }
}

impl UserAgent {
    /// A response without a transaction.
    pub(super) fn receive_stray(&mut self, now: Instant, flow: Flow, response: &Message) {
        let success = response.status().is_some_and(|status| (200..300).contains(&status));
        let invite = response.cseq().is_ok_and(|(_, method)| method == Method::Invite);
        let tag = response.from().ok().and_then(|from| ident::parse_tag(from.tag()?));
        let Some((_, tag)) = tag.filter(|(shard, _)| success && invite && *shard == self.config.shard) else {
            return self.drop_message();
        };
        match self.by_tag.get(&tag) {
            Some(id) => self.acknowledge_again(now, *id, response),
            None => self.end_stray(now, flow, response),
        }
    }

    /// A 2xx in the dialog of a session.
    fn acknowledge_again(&mut self, now: Instant, id: SessionId, response: &Message) {
        let (Ok((number, _)), Ok(to)) = (response.cseq(), response.to()) else {
            return self.drop_message();
        };
        let Some(session) = self
            .live(id)
            .filter(|session| session.phase == Phase::Talking && session.ack_due.is_none())
        else {
            return self.drop_message();
        };
        let in_dialog = |dialog: &&Dialog| {
            response.call_id() == Some(&*dialog.call_id) && *dialog.remote_tag == *to.tag().unwrap_or_default()
        };
        let Some(dialog) = session.dialogs.first().filter(in_dialog).cloned() else {
            return self.drop_message();
        };
        let known = session.accepted.filter(|accepted| accepted.cseq == number);
        // An INVITE that was in flight when the process ended, or that counted as failed: what it offered is not what we go on with.
        let astray = known.is_none() && number <= dialog.local_cseq;
        if known.is_none() && !astray {
            return self.drop_message();
        }
        let body = session.local_sdp.clone().filter(|_| known.is_some_and(|known| known.answers));
        if astray {
            session.accepted = Some(AcceptedInvite {
                cseq: number,
                answers: false,
            });
        }
        self.stats.retransmissions_received += 1;
        if let Some((flow, bytes)) = self.ack_with(&dialog, number, body, Vec::new()) {
            self.stats.retransmissions_sent += 1;
            self.outputs.push_back(UaOutput::Send { flow, bytes });
        }
        if astray {
            self.probe_astray(now, id);
        }
    }

    /// A 2xx that belongs to nobody.
    fn end_stray(&mut self, now: Instant, flow: Flow, response: &Message) {
        let dialog = Dialog::of_stray(response, flow).filter(|dialog| ident::is_call_id(self.config.shard, &dialog.call_id));
        let Some(dialog) = dialog.filter(|_| self.is_our_via(flow, response) && self.strays.admit(now)) else {
            return self.drop_message();
        };
        let Some(listener) = self.listener(flow.listener).cloned() else {
            return self.drop_message();
        };
        self.stats.strays_ended += 1;
        let number = dialog.local_cseq;
        for (method, cseq) in [(Method::Ack, number), (Method::Bye, number.saturating_add(1))] {
            let branch = ident::branch(self.config.shard, self.rng.random());
            let bytes = draft_in(&dialog, method, cseq).write(&branch, &listener, &self.config.product);
            self.outputs.push_back(UaOutput::Send { flow, bytes });
        }
    }

    fn is_our_via(&self, flow: Flow, response: &Message) -> bool {
        let ours = |via: crate::message::Via<'_>| {
            let listener = self.listener(flow.listener)?;
            let host: IpAddr = via.host.trim_matches(['[', ']']).parse().ok()?;
            Some(listener.advertised.ip() == host && listener.advertised.port() == via.port.unwrap_or(5060))
        };
        let single = response.headers(HeaderName::Via).nth(1).is_none();
        single && response.top_via().ok().and_then(ours) == Some(true)
    }
}
