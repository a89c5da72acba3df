//! The caller's half of a leg: INVITE, its credentials, its responses, CANCEL (RFC 3261 s.13.2, s.9.1, s.22.2).

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use rsip::headers::UntypedHeader;
use rsip::message::HeadersExt;
use rsip::{Method, Response, Uri};

use crate::sip::message::{self, Head};
use crate::sip::{Ids, digest, sdp};

use super::resend::{Due, Resend};
use super::{Dialog, Failure, GIVE_UP, Leg, Line, Note, Output, State, T2};

/// Our INVITE in flight.
pub(super) struct Invitation {
    pub(super) resend: Resend,
    branch: String,
    body: String,
    provisional: bool,
    authorized: bool,
    cancel_wanted: bool,
}

/// How long a phone may ring before the caller gives up, beyond timer B.
const RINGING: Duration = Duration::from_secs(120);

impl Leg {
    /// Calls `target` with an offer of `media`.
    pub fn call(line: Rc<Line>, target: Uri, media: SocketAddr, ids: &mut Ids, now: Instant, out: &mut Vec<Output>) -> Self {
        let dialog = Dialog::calling(&line, target, ids.call_id(), ids.tag());
        let body = sdp::describe(media, 1, sdp::Direction::SendRecv);
        let branch = ids.branch();
        let bytes = dialog.initial(&line, Method::Invite, &dialog.remote, &branch, Vec::new(), Some(&body));
        out.push(Output::Send(bytes.clone(), None));
        let invite = Invitation {
            resend: Resend::new(bytes, None, now, GIVE_UP, line.reliable),
            branch,
            body,
            provisional: false,
            authorized: false,
            cancel_wanted: false,
        };
        Self {
            line,
            state: State::Calling,
            dialog,
            media,
            described: 1,
            invite: Some(invite),
            request: None,
            answer: None,
            pending: None,
            acked: None,
            over_at: None,
        }
    }

    pub(super) fn resend_invite(&mut self, now: Instant, out: &mut Vec<Output>) {
        if let Some(invite) = &mut self.invite {
            let due = invite.resend.on_time(now);
            if due == Due::GiveUp && self.state == State::Cancelling {
                self.fail(Failure::TimedOut("487 after CANCEL"), now, out);
            } else {
                self.resent(due, Failure::TimedOut("INVITE"), now, out);
            }
        }
    }

    pub(super) fn on_invite_response(
        &mut self,
        response: &Response,
        head: &Head,
        ids: &mut Ids,
        now: Instant,
        out: &mut Vec<Output>,
    ) {
        let status = response.status_code.code();
        if self.repeat_ack(status, response, head, out) {
            return;
        }
        let current = head.seq == self.dialog.local_seq;
        let Some(invite) = self.invite.as_mut().filter(|invite| current && invite.branch == head.branch) else {
            return;
        };
        match status {
            100..=199 => {
                if !invite.provisional {
                    invite.provisional = true;
                    invite.resend.quiet(RINGING);
                }
                if invite.cancel_wanted {
                    invite.cancel_wanted = false;
                    self.send_cancel(now, out);
                }
            }
            200..=299 => self.answered(response, head, ids, now, out),
            401 | 407 if !invite.authorized && self.state == State::Calling => {
                self.ack_refusal(response, head, out);
                self.authorize(status, response, ids, now, out);
            }
            _ => {
                self.ack_refusal(response, head, out);
                match (self.state, status) {
                    (State::Cancelling, 487) => self.end(true, now, out),
                    _ => self.fail(Failure::Refused("INVITE", status), now, out),
                }
            }
        }
    }

    /// A final response that comes again gets its ACK again (RFC 3261 s.13.2.2.4).
    fn repeat_ack(&mut self, status: u16, response: &Response, head: &Head, out: &mut Vec<Output>) -> bool {
        match &self.acked {
            Some((seq, ack)) if *seq == head.seq && (200..300).contains(&status) => {
                out.push(Output::Send(ack.clone(), self.dialog.next_hop()));
                out.push(Output::Note(Note::Repeated));
                true
            }
            _ if self.invite.is_none() && self.state == State::Over && status >= 300 => {
                self.ack_refusal(response, head, out);
                out.push(Output::Note(Note::Repeated));
                true
            }
            _ => false,
        }
    }

    fn answered(&mut self, response: &Response, head: &Head, ids: &mut Ids, now: Instant, out: &mut Vec<Output>) {
        self.invite = None;
        if !self.dialog.established(response, head) {
            self.fail(Failure::Protocol("200 to INVITE without Contact or tag"), now, out);
            return;
        }
        let ack = self.dialog.request(&self.line, Method::Ack, head.seq, &ids.branch(), None);
        out.push(Output::Send(ack.clone(), self.dialog.next_hop()));
        self.acked = Some((head.seq, ack));
        if self.state == State::Cancelling {
            // The 200 crossed our CANCEL (RFC 5407 s.2.6): it is up, so it ends with BYE.
            self.bye(ids, now, out);
            return;
        }
        self.state = State::Talking;
        out.push(Output::Note(Note::Up));
        if response.body.is_empty() {
            self.fail(Failure::Protocol("200 to INVITE without an answer"), now, out);
        } else {
            self.told_media(&response.body, out);
        }
    }

    /// The ACK of a refusal has the branch of its INVITE (RFC 3261 s.17.1.1.3).
    fn ack_refusal(&self, response: &Response, head: &Head, out: &mut Vec<Output>) {
        let to = response.to_header().map(|to| to.value().to_owned()).unwrap_or_default();
        let bytes = self
            .dialog
            .initial(&self.line, Method::Ack, &to, &head.branch, Vec::new(), None);
        out.push(Output::Send(bytes, None));
    }

    fn authorize(&mut self, status: u16, response: &Response, ids: &mut Ids, now: Instant, out: &mut Vec<Output>) {
        let challenge = digest::choose(&message::challenges(response), self.line.digest);
        let (Some(challenge), Some(invite)) = (challenge, &mut self.invite) else {
            return self.fail(Failure::Protocol("a challenge that cannot be answered"), now, out);
        };
        let answer = digest::Answer {
            username: &self.line.user,
            password: &self.line.password,
            method: "INVITE",
            uri: &self.dialog.target.to_string(),
            count: 1,
            cnonce: &ids.tag(),
        };
        let header = digest::credentials(status, &challenge, &answer);
        self.dialog.local_seq += 1;
        invite.branch = ids.branch();
        invite.authorized = true;
        invite.provisional = false;
        let (to, body) = (&self.dialog.remote, Some(invite.body.as_str()));
        let bytes = self
            .dialog
            .initial(&self.line, Method::Invite, to, &invite.branch, vec![header], body);
        out.push(Output::Send(bytes.clone(), None));
        invite.resend = Resend::new(bytes, None, now, GIVE_UP, self.line.reliable);
    }

    /// CANCEL waits for a provisional response (RFC 3261 s.9.1).
    pub(super) fn cancel(&mut self, now: Instant, out: &mut Vec<Output>) {
        self.state = State::Cancelling;
        match &mut self.invite {
            Some(invite) if !invite.provisional => invite.cancel_wanted = true,
            _ => self.send_cancel(now, out),
        }
    }

    fn send_cancel(&mut self, now: Instant, out: &mut Vec<Output>) {
        let Some(invite) = &self.invite else { return };
        let to = &self.dialog.remote;
        let bytes = self
            .dialog
            .initial(&self.line, Method::Cancel, to, &invite.branch, Vec::new(), None);
        out.push(Output::Send(bytes.clone(), None));
        let resend = Resend::new(bytes, None, now, T2, self.line.reliable);
        self.request = Some((resend, self.dialog.local_seq, Method::Cancel));
    }
}
