//! One call leg of a phone: a pure machine. Messages, the time and the wishes of the phone go in; messages to send and notes
//! come out as [`Output`]s.
//!
//! | state | meaning | leaves by |
//! |---|---|---|
//! | Calling | INVITE sent | 2xx: Talking; final: Over; `hang_up`: Cancelling |
//! | Cancelling | CANCEL sent or waiting for a provisional | final: Over; 2xx: ACK and BYE, Leaving |
//! | Ringing | 180 sent | its delay: Answered; CANCEL or `hang_up`: Over |
//! | Answered | 200 sent, no ACK yet | ACK: Talking; 64*T1: Over |
//! | Talking | both ways confirmed; re-INVITEs are answered | BYE: Over; `hang_up`: Leaving |
//! | Leaving | BYE sent | its final response: Over |
//! | Over | still answers what is repeated, until the linger ends | - |
//!
//! Invariant: every leg ends with exactly one of [`Note::Ended`] and [`Note::Failed`], and from then on it sends nothing but
//! repeated answers. A leg never refreshes (it answers who does), holds or transfers: it is the simplest phone that a server must serve.
//! Sources: RFC 3261 s.13-15, s.17 (timers A, B, E, F, G, H on unreliable transports), RFC 3264 s.5 (late offers).

mod callee;
mod caller;
mod dialog;
mod resend;
#[cfg(test)]
pub mod tests;

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use rsip::{Method, Request, Response};

use crate::sip::message::{self, Head};
use crate::sip::{Ids, digest, sdp};

use dialog::Dialog;
pub use resend::{Due, Resend};

/// T1: the round trip that retransmissions start from (RFC 3261 s.17.1.1.1).
pub const T1: Duration = Duration::from_millis(500);
/// T2: the longest interval of retransmissions but those of INVITE.
pub const T2: Duration = Duration::from_secs(4);
/// Timers B, F and H: 64*T1.
pub const GIVE_UP: Duration = Duration::from_secs(32);
/// How long a leg that is over answers what is repeated. Less than timer J, because a load of many calls must not pile up.
const LINGER: Duration = Duration::from_secs(5);

/// The phone that a leg belongs to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Line {
    /// User part and digest user name.
    pub user: String,
    /// The digest password.
    pub password: String,
    /// The digest algorithm to prefer.
    pub digest: digest::Algorithm,
    /// The address of record, `sip:user@domain`.
    pub aor: String,
    /// The Contact header.
    pub contact: String,
    /// The Via header without its branch.
    pub via: String,
    /// The transport retransmits by itself (TCP).
    pub reliable: bool,
    /// From ringing to answering.
    pub answer_after: Duration,
}

/// What a leg wants done or known.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Output {
    /// Send this; to this address, or to the server where there is none.
    Send(Vec<u8>, Option<SocketAddr>),
    /// Something happened.
    Note(Note),
}

/// What a leg tells its phone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Note {
    /// Callee: 180 was sent.
    RingingSent,
    /// Callee: the first 200 was sent.
    AnswerSent,
    /// Confirmed: the caller has the 200, or the callee the ACK.
    Up,
    /// The other side described its media (none: it is held, or the description is not ours to read).
    Media(Option<SocketAddr>),
    /// A message was sent again because nothing came.
    Resent,
    /// A message came again.
    Repeated,
    /// Over as it should be. `by_us`: we hung up (or cancelled).
    Ended {
        /// This leg hung up.
        by_us: bool,
    },
    /// Over for another reason.
    Failed(Failure),
}

/// Why a leg failed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Failure {
    /// A request of ours was refused.
    #[error("{0}: refused with {1}")]
    Refused(&'static str, u16),
    /// Nothing answered.
    #[error("{0}: timed out")]
    TimedOut(&'static str),
    /// The caller cancelled.
    #[error("cancelled before the answer")]
    Cancelled,
    /// A message breaks a rule.
    #[error("{0}")]
    Protocol(&'static str),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Calling,
    Cancelling,
    Ringing,
    Answered,
    Talking,
    Leaving,
    Over,
}

/// One leg.
pub struct Leg {
    line: Rc<Line>,
    state: State,
    dialog: Dialog,
    media: SocketAddr,
    described: u32,
    /// Caller: our INVITE in flight, and what it takes to send it once more with credentials.
    invite: Option<caller::Invitation>,
    /// Our BYE or CANCEL in flight.
    request: Option<(Resend, u32, Method)>,
    /// Callee and re-INVITE: our final answer that waits for its ACK.
    answer: Option<callee::Answer>,
    /// Callee: the INVITE that is not answered yet, and when it will be.
    pending: Option<(Box<Request>, Instant)>,
    /// The bytes of the last ACK, for a 200 that comes again.
    acked: Option<(u32, Vec<u8>)>,
    over_at: Option<Instant>,
}

impl Leg {
    /// The tag that marks this leg in messages from the other side.
    pub fn local_tag(&self) -> &str {
        &self.dialog.local_tag
    }

    /// The next time that [`Leg::on_time`] has something to do.
    pub fn next_due(&self) -> Option<Instant> {
        let resends = [
            self.invite.as_ref().map(|invite| invite.resend.next_due()),
            self.request.as_ref().map(|(resend, ..)| resend.next_due()),
            self.answer.as_ref().map(|answer| answer.resend.next_due()),
            self.pending.as_ref().map(|(_, at)| *at),
            self.over_at,
        ];
        resends.into_iter().flatten().min()
    }

    /// Whether the leg can be forgotten.
    pub fn is_gone(&self, now: Instant) -> bool {
        self.over_at.is_some_and(|at| at <= now)
    }

    /// A request of the other side within this leg (an INVITE that starts one goes to [`Leg::ring`]).
    pub fn on_request(&mut self, request: &Request, head: &Head, now: Instant, out: &mut Vec<Output>) {
        match head.method {
            Method::Invite => self.on_invite(request, head, now, out),
            Method::Ack => self.on_ack(request, head, now, out),
            Method::Cancel => self.on_cancel(request, now, out),
            Method::Bye => self.on_bye(request, now, out),
            Method::Options | Method::Info | Method::Notify => self.reply(request, 200, out),
            Method::Update => self.on_update(request, head, out),
            _ => self.reply(request, 405, out),
        }
    }

    /// A response to a request of this leg.
    pub fn on_response(&mut self, response: &Response, head: &Head, ids: &mut Ids, now: Instant, out: &mut Vec<Output>) {
        let status = response.status_code.code();
        match head.method {
            Method::Invite => self.on_invite_response(response, head, ids, now, out),
            Method::Bye if status >= 200 && self.request_is(head) => {
                self.request = None;
                match status {
                    // 481: the other side hung up at the same moment (RFC 5407 s.3.3.2).
                    200..=299 | 481 => self.end(true, now, out),
                    _ => self.fail(Failure::Refused("BYE", status), now, out),
                }
            }
            Method::Cancel if status >= 200 && self.request_is(head) => self.request = None,
            _ => {}
        }
    }

    /// The time has come: retransmissions, time-outs, the answer after the ringing.
    pub fn on_time(&mut self, now: Instant, out: &mut Vec<Output>) {
        if let Some((_, at)) = &self.pending
            && *at <= now
        {
            self.accept(now, out);
        }
        self.resend_invite(now, out);
        if let Some((resend, _, method)) = &mut self.request {
            let name = if *method == Method::Bye { "BYE" } else { "CANCEL" };
            let due = resend.on_time(now);
            self.resent(due, Failure::TimedOut(name), now, out);
        }
        if let Some(answer) = &mut self.answer {
            let due = answer.resend.on_time(now);
            self.resent(due, Failure::TimedOut("ACK"), now, out);
        }
    }

    /// Ends the leg in the way its state asks for; nothing where it is over or about to be.
    pub fn hang_up(&mut self, ids: &mut Ids, now: Instant, out: &mut Vec<Output>) {
        match self.state {
            State::Calling => self.cancel(now, out),
            State::Ringing => self.refuse(480, true, now, out),
            State::Answered | State::Talking => self.bye(ids, now, out),
            State::Cancelling | State::Leaving | State::Over => {}
        }
    }

    fn bye(&mut self, ids: &mut Ids, now: Instant, out: &mut Vec<Output>) {
        self.state = State::Leaving;
        self.answer = None;
        self.dialog.local_seq += 1;
        let bytes = self
            .dialog
            .request(&self.line, Method::Bye, self.dialog.local_seq, &ids.branch(), None);
        let to = self.dialog.next_hop();
        out.push(Output::Send(bytes.clone(), to));
        let resend = Resend::new(bytes, to, now, T2, self.line.reliable);
        self.request = Some((resend, self.dialog.local_seq, Method::Bye));
    }

    fn on_bye(&mut self, request: &Request, now: Instant, out: &mut Vec<Output>) {
        self.reply(request, 200, out);
        match self.state {
            State::Over => out.push(Output::Note(Note::Repeated)),
            State::Leaving => {}
            State::Calling | State::Cancelling => self.fail(Failure::Protocol("BYE before the answer"), now, out),
            State::Ringing => self.refuse(487, false, now, out),
            State::Answered | State::Talking => self.end(false, now, out),
        }
    }

    fn reply(&self, request: &Request, status: u16, out: &mut Vec<Output>) {
        let bytes = message::response(request, status, &self.dialog.local_tag, None, None);
        out.push(Output::Send(bytes, None));
    }

    fn request_is(&self, head: &Head) -> bool {
        matches!(&self.request, Some((_, seq, method)) if *seq == head.seq && *method == head.method)
    }

    fn resent(&mut self, due: Due, failure: Failure, now: Instant, out: &mut Vec<Output>) {
        match due {
            Due::Nothing => {}
            Due::Again(bytes, to) => {
                out.push(Output::Send(bytes, to));
                out.push(Output::Note(Note::Resent));
            }
            Due::GiveUp => self.fail(failure, now, out),
        }
    }

    /// Describes our media: an answer to this offer, or an offer where there is none.
    fn describe(&mut self, offer: &[u8], out: &mut Vec<Output>) -> String {
        self.described += 1;
        let remote = sdp::read(offer);
        if !offer.is_empty() {
            self.told_media(offer, out);
        }
        let direction = remote.map_or(sdp::Direction::SendRecv, |remote| remote.direction.answer());
        sdp::describe(self.media, self.described, direction)
    }

    fn told_media(&self, body: &[u8], out: &mut Vec<Output>) {
        let remote = sdp::read(body).filter(sdp::Remote::wants_media);
        out.push(Output::Note(Note::Media(remote.map(|remote| remote.addr))));
    }

    fn end(&mut self, by_us: bool, now: Instant, out: &mut Vec<Output>) {
        self.over(Note::Ended { by_us }, now, out);
    }

    fn fail(&mut self, failure: Failure, now: Instant, out: &mut Vec<Output>) {
        self.over(Note::Failed(failure), now, out);
    }

    fn over(&mut self, note: Note, now: Instant, out: &mut Vec<Output>) {
        if self.state == State::Over {
            return;
        }
        self.state = State::Over;
        (self.invite, self.request, self.answer, self.pending) = (None, None, None, None);
        self.over_at = Some(now + LINGER);
        out.push(Output::Note(note));
    }
}
