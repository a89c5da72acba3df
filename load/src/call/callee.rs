//! The callee's half of a leg: ringing, answering, refusing, and the re-INVITEs of either kind of leg (RFC 3261 s.13.3, s.14.2;
//! late offers as third-party call control sends them, RFC 3725 flow III).

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Instant;

use rsip::Request;

use crate::sip::Ids;
use crate::sip::message::{self, Head};

use super::resend::Resend;
use super::{Dialog, Failure, Leg, Line, Note, Output, State, T2};

/// Our final answer to an INVITE, until its ACK.
pub(super) struct Answer {
    pub(super) resend: Resend,
    seq: u32,
    /// The INVITE had no offer, so the ACK must carry the answer.
    answer_due: bool,
    initial: bool,
}

impl Leg {
    /// An INVITE starts a leg: the phone rings, and answers when its time has come (at once where it is asked to). None where
    /// the INVITE has no Contact.
    pub fn ring(
        line: Rc<Line>,
        invite: &Request,
        head: &Head,
        media: SocketAddr,
        ids: &mut Ids,
        now: Instant,
        out: &mut Vec<Output>,
    ) -> Option<Self> {
        let dialog = Dialog::called(invite, head, ids.tag())?;
        let at_once = message::asks_auto_answer(invite);
        let answer_at = if at_once { now } else { now + line.answer_after };
        let mut leg = Self {
            line,
            state: State::Ringing,
            dialog,
            media,
            described: 0,
            invite: None,
            request: None,
            answer: None,
            pending: Some((Box::new(invite.clone()), answer_at)),
            acked: None,
            over_at: None,
        };
        leg.send_ringing(invite, out);
        out.push(Output::Note(Note::RingingSent));
        if answer_at <= now {
            leg.accept(now, out);
        }
        Some(leg)
    }

    fn send_ringing(&self, invite: &Request, out: &mut Vec<Output>) {
        let bytes = message::response(invite, 180, &self.dialog.local_tag, Some(&self.line.contact), None);
        out.push(Output::Send(bytes, None));
    }

    pub(super) fn accept(&mut self, now: Instant, out: &mut Vec<Output>) {
        let Some((invite, _)) = self.pending.take() else { return };
        self.state = State::Answered;
        self.send_answer(&invite, self.dialog.remote_seq, true, now, out);
        out.push(Output::Note(Note::AnswerSent));
    }

    fn send_answer(&mut self, invite: &Request, seq: u32, initial: bool, now: Instant, out: &mut Vec<Output>) {
        let body = self.describe(&invite.body, out);
        let contact = Some(self.line.contact.as_str());
        let bytes = message::response(invite, 200, &self.dialog.local_tag, contact, Some(&body));
        self.keep_answer(bytes, seq, invite.body.is_empty(), initial, now, out);
    }

    fn keep_answer(&mut self, bytes: Vec<u8>, seq: u32, answer_due: bool, initial: bool, now: Instant, out: &mut Vec<Output>) {
        out.push(Output::Send(bytes.clone(), None));
        // A 200 is sent again by the user agent on every transport, because only the ACK of the far end stops it (s.13.3.1.4).
        self.answer = Some(Answer {
            resend: Resend::new(bytes, None, now, T2, false),
            seq,
            answer_due,
            initial,
        });
    }

    /// Refuses the INVITE that still rings.
    pub(super) fn refuse(&mut self, status: u16, by_us: bool, now: Instant, out: &mut Vec<Output>) {
        let Some((invite, _)) = self.pending.take() else { return };
        let bytes = message::response(&invite, status, &self.dialog.local_tag, None, None);
        out.push(Output::Send(bytes.clone(), None));
        match by_us {
            true => self.end(true, now, out),
            false => self.fail(Failure::Cancelled, now, out),
        }
        // The refusal is repeated when the INVITE is; its own retransmission (timer G) is left to the INVITE's (timer A).
        self.acked = Some((self.dialog.remote_seq, bytes));
    }

    pub(super) fn on_invite(&mut self, request: &Request, head: &Head, now: Instant, out: &mut Vec<Output>) {
        if head.seq < self.dialog.remote_seq {
            return self.reply(request, 500, out);
        }
        if head.seq == self.dialog.remote_seq {
            return self.on_repeated_invite(request, out);
        }
        match self.state {
            State::Talking => {
                self.dialog.refreshed(request, head);
                self.send_answer(request, head.seq, false, now, out);
            }
            // The ACK of the first INVITE is still on its way, or a re-INVITE overlaps (RFC 3261 s.14.2).
            State::Answered => self.reply(request, 491, out),
            _ => self.reply(request, 481, out),
        }
    }

    /// A refresh (RFC 3311 s.5.2, RFC 4028 s.9); with an offer it is answered as in a re-INVITE.
    pub(super) fn on_update(&mut self, request: &Request, head: &Head, out: &mut Vec<Output>) {
        if !matches!(self.state, State::Talking | State::Answered) {
            return self.reply(request, 481, out);
        }
        self.dialog.refreshed(request, head);
        let body = (!request.body.is_empty()).then(|| self.describe(&request.body, out));
        let contact = Some(self.line.contact.as_str());
        let bytes = message::response(request, 200, &self.dialog.local_tag, contact, body.as_deref());
        out.push(Output::Send(bytes, None));
    }

    fn on_repeated_invite(&mut self, request: &Request, out: &mut Vec<Output>) {
        out.push(Output::Note(Note::Repeated));
        match (self.state, &self.answer) {
            (State::Ringing, _) => self.send_ringing(request, out),
            (_, Some(answer)) => out.push(Output::Send(answer.resend.bytes(), None)),
            (State::Over, None) => {
                if let Some((_, bytes)) = &self.acked {
                    out.push(Output::Send(bytes.clone(), None));
                }
            }
            _ => {}
        }
    }

    pub(super) fn on_ack(&mut self, request: &Request, head: &Head, now: Instant, out: &mut Vec<Output>) {
        let Some(answer) = self.answer.take_if(|answer| answer.seq == head.seq) else {
            if self.state == State::Talking {
                out.push(Output::Note(Note::Repeated));
            }
            return;
        };
        if answer.answer_due && request.body.is_empty() {
            return self.fail(Failure::Protocol("ACK without the answer to our offer"), now, out);
        }
        if !request.body.is_empty() {
            self.told_media(&request.body, out);
        }
        if answer.initial && self.state == State::Answered {
            self.state = State::Talking;
            out.push(Output::Note(Note::Up));
        }
    }

    pub(super) fn on_cancel(&mut self, request: &Request, now: Instant, out: &mut Vec<Output>) {
        let status = if self.state == State::Over { 481 } else { 200 };
        self.reply(request, status, out);
        if self.state == State::Ringing {
            self.refuse(487, false, now, out);
        }
    }
}
