//! Reliable provisional responses, both ways (RFC 3262).
//!
//! As a callee: invariant: one reliable provisional response is unacknowledged at a time; it is sent again at T1, doubling, until its PRACK
//! comes, and after 64*T1 the INVITE fails with 504. What comes meanwhile waits in a short queue, and so does a 200 where the one that is
//! unacknowledged carried the answer (s.3). The answer goes out once: provisional responses behind it carry no description, and neither does
//! the 200; a 200 that was to say something else is followed by a re-INVITE that does.
//!
//! As a caller: an INVITE of ours with an offer says that it supports 100rel. Of each early dialog (forks have one each) the reliable
//! responses are taken in the order of their RSeq, acknowledged once and told once: a repetition is discarded (s.4: the PRACK is a
//! transaction of its own and repeats itself; it gets a new number once where a later request overtook it), and what comes out of order is not acknowledged,
//! so that it comes again in its turn.
//!
//! Offers beside the INVITE's own:
//!
//! * An INVITE without an offer would have to get ours in the first reliable response and give the answer in the PRACK (s.5). Our shell makes
//!   its offer with the 200. So such an INVITE gets no reliable response; a caller that *requires* them hears nothing between 100 and the
//!   final response, which the RFC allows. Ours without an offer do not say that they support 100rel.
//! * An offer in a PRACK must be answered in its 200. One that says what the peer said before gets what we said before. Any other gets 488:
//!   the response it acknowledges is acknowledged all the same, and the descriptions stay as they are; UPDATE is there for changes
//!   (RFC 6337 s.3.2 warns of offers in PRACK for just this reason).
//! * A description in the 200 to a PRACK of ours, none of which has an offer, answers nothing and is ignored.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rand::Rng;

use super::api::{ReliableProvisionals, SessionId};
use super::client::ClientUser;
use super::server::ServerUser;
use super::sessions::Phase;
use super::{Owner, UserAgent};
use crate::flow::Flow;
use crate::message::{HeaderName, Message, Method};
use crate::session;
use crate::transaction::timer::Timer;

/// The option tag.
pub(super) const TAG: &str = "100rel";

/// Provisional responses that wait for the PRACK of the one before; more are dropped and counted.
const MAX_QUEUED: usize = 8;

/// What is known of an early dialog of an outgoing INVITE, beside its [`crate::dialog::Dialog`].
#[derive(Debug)]
pub(super) struct Early {
    /// The remote tag.
    pub tag: Box<str>,
    /// The RSeq of the last reliable response taken.
    pub rseq: Option<u32>,
    /// The last description of this fork.
    pub sdp: Option<Bytes>,
    /// A reliable response brought the answer: descriptions in later responses to the INVITE mean nothing (RFC 3261 s.13.2.1).
    pub answered: bool,
    /// And its PRACK was answered: offers may be made (RFC 3311 s.5.1).
    pub settled: bool,
    /// What we said to this fork alone, since the INVITE.
    pub ours: Option<Bytes>,
}

/// What the callee's side of an incoming INVITE keeps.
#[derive(Debug)]
pub(super) struct Reliable {
    /// Every provisional response goes reliably, not only those with a description.
    every: bool,
    /// None can: they would have to carry an offer of ours.
    mute: bool,
    /// The RSeq of the last one sent.
    rseq: u32,
    unacknowledged: Option<Unacknowledged>,
    queue: VecDeque<(u16, Option<Bytes>)>,
    /// The answer went out in a reliable response.
    pub answered: bool,
    /// And was acknowledged.
    pub settled: bool,
    /// The 200 that waits for the PRACK, with its description.
    pub success: Option<Option<Bytes>>,
    /// The status of the last one, to be told again every minute.
    last: u16,
}

/// A reliable provisional response on its way.
#[derive(Debug)]
struct Unacknowledged {
    rseq: u32,
    cseq: u32,
    status: u16,
    bytes: Bytes,
    interval: Duration,
    with_answer: bool,
}

/// What a provisional response is to its early dialog.
pub(super) enum Taken {
    /// News, with this description.
    New(Option<Bytes>),
    /// A repetition.
    Again,
    /// One before it is missing.
    Early,
}

impl UserAgent {
    /// The extension that a request requires and the configuration switches off: it gets 420.
    pub(super) fn switched_off<'a>(&self, request: &'a Message) -> Option<&'a str> {
        let reliable_off = self.config.reliable_provisionals == ReliableProvisionals::Off;
        let timers_off = self.config.session_expires.is_zero();
        let is_ack = matches!(request.method(), Some(Method::Ack | Method::Cancel) | None);
        request.requires().filter(|_| !is_ack).find(|tag| {
            (reliable_off && tag.eq_ignore_ascii_case(TAG)) || (timers_off && tag.eq_ignore_ascii_case(super::refresh::TAG))
        })
    }

    /// Whether a new INVITE lacks what the configuration demands of callers: it gets 421.
    pub(super) fn lacks_100rel(&self, invite: &Message) -> bool {
        self.config.reliable_provisionals == ReliableProvisionals::Required && !invite.supports(TAG)
    }

    /// How the caller of a new INVITE takes part in this.
    pub(super) fn reliability(&mut self, invite: &Message, has_offer: bool) -> Option<Box<Reliable>> {
        let required = invite.requires().any(|tag| tag.eq_ignore_ascii_case(TAG));
        let every = match self.config.reliable_provisionals {
            ReliableProvisionals::Off => return None,
            ReliableProvisionals::Supported => required,
            ReliableProvisionals::Required => true,
        };
        (required || (has_offer && invite.supports(TAG))).then(|| {
            Box::new(Reliable {
                every,
                mute: !has_offer,
                // "The value of the header field MUST be between 1 and 2**31 - 1" (s.3); there is room above it to count.
                rseq: self.rng.random_range(1..=1 << 30),
                unacknowledged: None,
                queue: VecDeque::new(),
                answered: false,
                settled: false,
                success: None,
                last: 0,
            })
        })
    }

    /// Sends a provisional response reliably, where it has to be. `false`: it goes the ordinary way, without a description where the
    /// answer is out already.
    pub(super) fn progress_reliably(&mut self, now: Instant, id: SessionId, status: u16, sdp: &mut Option<Bytes>) -> bool {
        let Some(session) = self.live(id) else { return true };
        let Some(reliable) = session.reliable.as_mut() else {
            return false;
        };
        if reliable.mute || reliable.success.is_some() {
            return true;
        }
        let promised = reliable.answered || reliable.queue.iter().any(|(_, sdp)| sdp.is_some());
        *sdp = sdp.take().filter(|_| !promised);
        if !reliable.every && sdp.is_none() {
            return false;
        }
        if reliable.unacknowledged.is_none() {
            self.send_reliably(now, id, status, sdp.take());
        } else if reliable.queue.len() < MAX_QUEUED {
            reliable.queue.push_back((status, sdp.take()));
        } else {
            self.stats.commands_ignored += 1;
        }
        true
    }

    fn send_reliably(&mut self, now: Instant, id: SessionId, status: u16, sdp: Option<Bytes>) {
        let Some(reliable) = self.live(id).and_then(|session| session.reliable.as_mut()) else {
            return;
        };
        reliable.rseq += 1;
        let rseq = reliable.rseq;
        let headers: [(Arc<str>, Arc<str>); 2] = [
            (HeaderName::Require.as_str().into(), TAG.into()),
            (HeaderName::RSeq.as_str().into(), rseq.to_string().into()),
        ];
        let Some((transaction, bytes)) = self.write_final(id, status, &headers, sdp.clone()) else {
            return;
        };
        let (t1, patience, refresh) = (self.timing.t1, self.timing.patience(), self.timing.refresh());
        let Some(session) = self.live(id) else { return };
        let cseq = session.pending.as_mut().map_or(0, |pending| {
            pending.progress = None;
            pending.request.cseq().map_or(0, |(number, _)| number)
        });
        let Some(reliable) = session.reliable.as_mut() else { return };
        reliable.answered |= sdp.is_some();
        reliable.last = status;
        reliable.unacknowledged = Some(Unacknowledged {
            rseq,
            cseq,
            status,
            bytes: bytes.clone(),
            interval: t1,
            with_answer: sdp.is_some(),
        });
        if sdp.is_some() {
            session.local_sdp = sdp;
        }
        let owner = Owner::Session(id);
        self.timers.start(owner, Timer::Reliable, now + t1);
        self.timers.start(owner, Timer::NoPrack, now + patience);
        self.timers.start(owner, Timer::Refresh, now + refresh);
        self.reply(now, transaction, status, bytes);
    }

    /// A minute went by since the last reliable response: "the UAS SHOULD send" another one (RFC 3261 s.13.3.1.1), a new one where each must be
    /// reliable. `None`: nothing was sent reliably.
    pub(super) fn status_to_repeat(&mut self, id: SessionId) -> Option<u16> {
        let reliable = self.live(id)?.reliable.as_ref()?;
        (reliable.last != 0 && !reliable.mute).then_some(reliable.last)
    }

    /// Timer for the retransmission of a reliable response.
    pub(super) fn repeat_reliable(&mut self, now: Instant, id: SessionId) {
        let timing = self.timing;
        let Some(session) = self.live(id) else { return };
        let (Some(pending), Some(reliable)) = (session.pending.as_ref(), session.reliable.as_mut()) else {
            return;
        };
        let transaction = pending.transaction;
        let Some(open) = reliable.unacknowledged.as_mut() else {
            return;
        };
        open.interval = timing.doubled(Timer::Reliable, open.interval);
        let (status, bytes, interval) = (open.status, open.bytes.clone(), open.interval);
        self.timers.start(Owner::Session(id), Timer::Reliable, now + interval);
        self.stats.retransmissions_sent += 1;
        self.reply(now, transaction, status, bytes);
    }

    /// "If a reliable provisional response is retransmitted for 64*T1 seconds without reception of a corresponding PRACK, the UAS SHOULD reject
    /// the original request with a 5xx response" (s.3).
    pub(super) fn prack_expired(&mut self, now: Instant, id: SessionId) {
        if self.live(id).is_none_or(|session| session.phase != Phase::Ringing) {
            return;
        }
        self.refuse_pending(now, id, 504, &[]);
        self.finish_from_here(now, id);
    }

    /// The callee's 200: whether it goes now, and with which description. It waits for the PRACK of the answer (s.3).
    pub(super) fn success_may_go(&mut self, id: SessionId, sdp: &mut Option<Bytes>) -> bool {
        let Some(session) = self.live(id) else { return false };
        let Some(reliable) = session.reliable.as_mut() else {
            return true;
        };
        if reliable.success.is_some() {
            self.stats.commands_ignored += 1;
            return false;
        }
        reliable.queue.clear();
        if reliable.unacknowledged.as_ref().is_some_and(|open| open.with_answer) {
            reliable.success = Some(sdp.take());
            return false;
        }
        if reliable.answered {
            let (ours, said) = (sdp.take(), session.local_sdp.as_ref());
            let is_new = ours
                .as_ref()
                .zip(said)
                .is_some_and(|(ours, said)| !session::same_media(ours, said));
            session.renewed = ours.filter(|_| is_new);
        }
        true
    }

    /// The final response goes out: nothing is sent again behind it. A PRACK that is still on its way is answered all the same (s.3).
    pub(super) fn end_reliability(&mut self, id: SessionId) {
        let owner = Owner::Session(id);
        self.timers.stop(owner, Timer::Reliable);
        self.timers.stop(owner, Timer::NoPrack);
        if let Some(session) = self.sessions.get_mut(&id) {
            session.reliable = session.reliable.take().filter(|reliable| reliable.unacknowledged.is_some());
        }
    }

    /// PRACK. It acknowledges the one response that waits for it, or gets 481 (s.3).
    pub(super) fn receive_prack(&mut self, now: Instant, flow: Flow, id: SessionId, request: &Message) {
        let named = request.header(HeaderName::RAck).and_then(read_rack);
        let Some(session) = self.live(id) else { return };
        let waiting = session.reliable.as_mut().and_then(|reliable| {
            let fits = |open: &Unacknowledged| named == Some((open.rseq, open.cseq));
            let found = reliable.unacknowledged.take_if(|open| fits(open))?;
            reliable.settled |= found.with_answer;
            Some(reliable.success.take())
        });
        let Some(success) = waiting else {
            return self.answer(now, flow, request, &Method::Prack, 481);
        };
        self.timers.stop(Owner::Session(id), Timer::Reliable);
        self.timers.stop(Owner::Session(id), Timer::NoPrack);
        self.answer_prack(now, flow, id, request);
        let Some(session) = self.live(id) else { return };
        if session.phase != Phase::Ringing {
            session.reliable = None;
            return;
        }
        if let Some(sdp) = success {
            return self.accept(now, id, sdp);
        }
        let next = session.reliable.as_mut().and_then(|reliable| reliable.queue.pop_front());
        if let Some((status, sdp)) = next {
            self.send_reliably(now, id, status, sdp);
        }
        self.send_queued_reinvite(now, id);
    }

    fn answer_prack(&mut self, now: Instant, flow: Flow, id: SessionId, request: &Message) {
        let Some(offer) = request.sdp() else {
            return self.answer(now, flow, request, &Method::Prack, 200);
        };
        let known = self.live(id).and_then(|session| {
            let is_same = session
                .remote_sdp
                .as_ref()
                .is_some_and(|last| session::same_media(last, &offer));
            session.local_sdp.clone().filter(|_| is_same)
        });
        let Some(sdp) = known else {
            return self.answer(now, flow, request, &Method::Prack, 488);
        };
        let transaction = self.start_server(now, flow, request, &Method::Prack, ServerUser::Core);
        let response = self.response(request, flow, 200).body(super::draft::SDP, sdp).finish();
        self.reply(now, transaction, 200, response);
    }

    /// Takes a provisional response above 100 to its early dialog, and sends its PRACK where one is due.
    pub(super) fn take_provisional(&mut self, now: Instant, id: SessionId, response: &Message) -> Taken {
        let sdp = response.sdp().filter(|sdp| session::check(sdp).is_ok());
        let Some(session) = self.live(id) else {
            return Taken::New(sdp);
        };
        let tag = response.to().ok().and_then(|to| to.tag()).unwrap_or_default();
        let known = session.dialog_mut(Some(tag)).is_some();
        let Some(calling) = session.calling.as_mut().filter(|_| known) else {
            return Taken::New(sdp);
        };
        let required = response.requires().any(|option| option.eq_ignore_ascii_case(TAG));
        let rseq = response
            .header(HeaderName::RSeq)
            .and_then(|value| value.trim().parse::<u32>().ok())
            .filter(|_| calling.reliable && required);
        if rseq.is_none() && sdp.is_none() {
            return Taken::New(None);
        }
        let at = calling.early.iter().position(|early| &*early.tag == tag).unwrap_or_else(|| {
            calling.early.push(Early {
                tag: tag.into(),
                rseq: None,
                sdp: None,
                answered: false,
                settled: false,
                ours: None,
            });
            calling.early.len() - 1
        });
        let Some(early) = calling.early.get_mut(at) else {
            return Taken::New(sdp);
        };
        let verdict = early.take(rseq, sdp);
        if let (Taken::New(_), Some(rseq)) = (&verdict, rseq) {
            self.send_prack(now, id, response, rseq);
        }
        verdict
    }

    fn send_prack(&mut self, now: Instant, id: SessionId, response: &Message, rseq: u32) {
        let (Ok(to), Ok((number, _))) = (response.to(), response.cseq()) else {
            return;
        };
        let Some(mut draft) = self.in_fork(id, to.tag(), Method::Prack, None) else {
            return;
        };
        let rack = format!("{rseq} {number} {}", Method::Invite);
        draft.headers.push((HeaderName::RAck.as_str().into(), rack.into()));
        self.launch(now, draft, ClientUser::Prack(id));
    }

    /// A PRACK that is refused changes nothing: the callee knows best what it waits for, and the INVITE has its own end.
    pub(super) fn on_prack_response(&mut self, now: Instant, id: SessionId, response: &Message) {
        if !response.status().is_some_and(|status| (200..300).contains(&status)) {
            return;
        }
        let tag = response.to().ok().and_then(|to| to.tag()).unwrap_or_default();
        if let Some(early) = self.live(id).and_then(|session| session.early_mut(tag)) {
            early.settled |= early.answered;
            self.send_queued_reinvite(now, id);
        }
    }
}

impl Early {
    /// Takes a response in the order of its RSeq (s.4); `rseq` is none for one that is not reliable.
    fn take(&mut self, rseq: Option<u32>, sdp: Option<Bytes>) -> Taken {
        if let Some(rseq) = rseq {
            match self.rseq {
                Some(last) if rseq <= last => return Taken::Again,
                Some(last) if rseq != last + 1 => return Taken::Early,
                _ => self.rseq = Some(rseq),
            }
        }
        let sdp = sdp.filter(|_| !self.answered);
        if let Some(sdp) = &sdp {
            self.sdp = Some(Bytes::copy_from_slice(sdp));
            self.answered = rseq.is_some();
        }
        Taken::New(sdp)
    }
}

/// RSeq and CSeq number of an RAck: `776656 1 INVITE` (s.7.2).
fn read_rack(value: &str) -> Option<(u32, u32)> {
    let mut fields = value.split_ascii_whitespace();
    let numbers = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    let is_invite = fields.next() == Some(Method::Invite.as_str()) && fields.next().is_none();
    is_invite.then_some(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rack_names_a_response_to_an_invite() {
        for (value, expected) in [
            ("776656 1 INVITE", Some((776_656, 1))),
            (" 7\t12  INVITE ", Some((7, 12))),
            ("7 12 invite", None),
            ("7 12 UPDATE", None),
            ("7 INVITE", None),
            ("7 12 INVITE x", None),
            ("-7 12 INVITE", None),
            ("4294967296 1 INVITE", None),
            ("", None),
        ] {
            assert_eq!(read_rack(value), expected, "{value}");
        }
    }
}
