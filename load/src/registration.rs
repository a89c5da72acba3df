//! One phone's registration: a pure machine (RFC 3261 s.10.2, digest of RFC 8760).
//!
//! REGISTER, the challenge, REGISTER with credentials, 200; again before it expires; with `Expires: 0` at the end.
//! Invariant: at most one REGISTER is in flight, and every one ends in Registered, Gone or Failed.

use std::rc::Rc;
use std::time::{Duration, Instant};

use rsip::headers::UntypedHeader;
use rsip::message::{HasHeaders, HeadersExt};
use rsip::{Header, Method, Response, Uri};

use crate::call::{Due, Note, Resend};
use crate::call::{Line, Output, T2};
use crate::sip::message::{self, Head, Outline};
use crate::sip::{Ids, digest};

/// Where the registration stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Standing {
    /// Not asked for yet.
    Idle,
    /// A REGISTER is in flight.
    Asking,
    /// Registered.
    Registered,
    /// Unregistered at our wish.
    Gone,
    /// Refused or unanswered.
    Failed(String),
}

/// One registration.
pub struct Registration {
    line: Rc<Line>,
    registrar: Uri,
    call_id: String,
    tag: String,
    seq: u32,
    standing: Standing,
    leaving: bool,
    challenged: bool,
    flight: Option<Resend>,
    refresh_at: Option<Instant>,
}

/// What we ask for, in seconds.
const EXPIRES_S: u32 = 3600;

impl Registration {
    /// The registration of a line at its domain.
    pub fn new(line: Rc<Line>, registrar: Uri, ids: &mut Ids) -> Self {
        Self {
            line,
            registrar,
            call_id: ids.call_id(),
            tag: ids.tag(),
            seq: 0,
            standing: Standing::Idle,
            leaving: false,
            challenged: false,
            flight: None,
            refresh_at: None,
        }
    }

    /// The tag that marks responses to it.
    pub fn local_tag(&self) -> &str {
        &self.tag
    }

    /// Where it stands.
    pub fn standing(&self) -> &Standing {
        &self.standing
    }

    /// The next time that [`Registration::on_time`] has something to do.
    pub fn next_due(&self) -> Option<Instant> {
        let flight = self.flight.as_ref().map(Resend::next_due);
        [flight, self.refresh_at].into_iter().flatten().min()
    }

    /// Registers.
    pub fn register(&mut self, ids: &mut Ids, now: Instant, out: &mut Vec<Output>) {
        (self.leaving, self.challenged) = (false, false);
        self.ask(None, ids, now, out);
    }

    /// The connection that it was made over is gone; so is what was on its way.
    pub fn lose(&mut self) {
        (self.standing, self.flight, self.refresh_at) = (Standing::Idle, None, None);
    }

    /// Unregisters.
    pub fn unregister(&mut self, ids: &mut Ids, now: Instant, out: &mut Vec<Output>) {
        (self.leaving, self.challenged) = (true, false);
        self.ask(None, ids, now, out);
    }

    /// A response came.
    pub fn on_response(&mut self, response: &Response, head: &Head, ids: &mut Ids, now: Instant, out: &mut Vec<Output>) {
        let status = response.status_code.code();
        if head.seq != self.seq || self.flight.is_none() || status < 200 {
            return;
        }
        self.flight = None;
        match status {
            200..=299 if self.leaving => self.standing = Standing::Gone,
            200..=299 => {
                self.standing = Standing::Registered;
                let granted = granted_s(response).unwrap_or(EXPIRES_S);
                self.refresh_at = Some(now + Duration::from_secs(u64::from(granted)) * 4 / 5);
            }
            401 | 407 => self.authorize(status, response, ids, now, out),
            _ => self.standing = Standing::Failed(format!("REGISTER: refused with {status}")),
        }
    }

    /// The time has come: a retransmission, a time-out or a refresh.
    pub fn on_time(&mut self, ids: &mut Ids, now: Instant, out: &mut Vec<Output>) {
        match self.flight.as_mut().map(|flight| flight.on_time(now)) {
            Some(Due::Again(bytes, to)) => out.extend([Output::Send(bytes, to), Output::Note(Note::Resent)]),
            Some(Due::GiveUp) => {
                self.flight = None;
                self.standing = Standing::Failed("REGISTER: timed out".into());
            }
            Some(Due::Nothing) => {}
            None if self.refresh_at.is_some_and(|at| at <= now) => self.register(ids, now, out),
            None => {}
        }
    }

    fn authorize(&mut self, status: u16, response: &Response, ids: &mut Ids, now: Instant, out: &mut Vec<Output>) {
        let Some(challenge) = digest::choose(&message::challenges(response), self.line.digest) else {
            self.standing = Standing::Failed("REGISTER: a challenge that cannot be answered".into());
            return;
        };
        if self.challenged && !challenge.stale {
            self.standing = Standing::Failed(format!("REGISTER: refused with {status} in spite of credentials"));
            return;
        }
        self.challenged = true;
        let answer = digest::Answer {
            username: &self.line.user,
            password: &self.line.password,
            method: "REGISTER",
            uri: &self.registrar.to_string(),
            count: 1,
            cnonce: &ids.tag(),
        };
        let header = digest::credentials(status, &challenge, &answer);
        self.ask(Some(header), ids, now, out);
    }

    fn ask(&mut self, credentials: Option<Header>, ids: &mut Ids, now: Instant, out: &mut Vec<Output>) {
        self.seq += 1;
        self.standing = Standing::Asking;
        self.refresh_at = None;
        let expires = if self.leaving { 0 } else { EXPIRES_S };
        let mut more = vec![Header::Expires(expires.to_string().into())];
        more.extend(credentials);
        let to = format!("<{}>", self.line.aor);
        let outline = Outline {
            via: &self.line.via,
            branch: &ids.branch(),
            from: &format!("{to};tag={}", self.tag),
            to: &to,
            call_id: &self.call_id,
            seq: self.seq,
            contact: Some(&self.line.contact),
            routes: &[],
        };
        let bytes = message::request(Method::Register, &self.registrar, &outline, more, None);
        out.push(Output::Send(bytes.clone(), None));
        self.flight = Some(Resend::new(bytes, None, now, T2, self.line.reliable));
    }
}

/// The seconds granted: the parameter of the (first) Contact, else Expires (RFC 3261 s.10.2.4).
fn granted_s(response: &Response) -> Option<u32> {
    let contact = response.contact_header().ok().map(|contact| contact.value());
    let parameter = contact.and_then(|value| {
        let (_, rest) = value.split_once(";expires=")?;
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        rest[..end].parse().ok()
    });
    let header = response.headers().iter().find_map(|header| match header {
        Header::Expires(value) => value.value().trim().parse().ok(),
        _ => None,
    });
    parameter.or(header)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::tests::line;
    use rsip::SipMessage;

    struct Bench {
        registration: Registration,
        ids: Ids,
        now: Instant,
        out: Vec<Output>,
    }

    impl Bench {
        fn new() -> Self {
            let mut ids = Ids::new(1);
            let registration = Registration::new(Rc::new(line(1)), Uri::try_from("sip:tandem.local").unwrap(), &mut ids);
            Self {
                registration,
                ids,
                now: Instant::now(),
                out: Vec::new(),
            }
        }

        fn drive(&mut self, input: impl FnOnce(&mut Registration, &mut Ids, Instant, &mut Vec<Output>)) {
            input(&mut self.registration, &mut self.ids, self.now, &mut self.out);
        }

        /// The REGISTER that was just sent.
        fn sent(&mut self) -> rsip::Request {
            let sent = self.out.drain(..).find_map(|output| match output {
                Output::Send(bytes, None) => message::read(&bytes).ok(),
                _ => None,
            });
            match sent {
                Some((SipMessage::Request(request), _)) => request,
                other => panic!("nothing was sent: {other:?}"),
            }
        }

        fn answer(&mut self, request: &rsip::Request, status: u16, more: &str) -> &Standing {
            let text = String::from_utf8(message::response(request, status, "srv", None, None)).unwrap();
            let text = text.replacen("\r\n", &format!("\r\n{more}"), 1);
            match message::read(text.as_bytes()).unwrap() {
                (SipMessage::Response(response), head) => {
                    self.drive(|registration, ids, now, out| registration.on_response(&response, &head, ids, now, out));
                }
                other => panic!("{other:?}"),
            }
            self.registration.standing()
        }
    }

    const CHALLENGE: &str = "WWW-Authenticate: Digest realm=\"t\", nonce=\"n\", algorithm=SHA-256, qop=\"auth\"\r\n";

    #[test]
    fn a_challenge_is_answered_once_and_the_binding_is_refreshed_in_time() {
        let mut bench = Bench::new();
        bench.drive(Registration::register);
        let first = bench.sent();
        assert_eq!(bench.answer(&first, 401, CHALLENGE), &Standing::Asking);
        let second = bench.sent();
        assert!(second.authorization_header().unwrap().value().contains("algorithm=SHA-256"));
        assert_eq!(bench.answer(&second, 200, "Expires: 100\r\n"), &Standing::Registered);
        assert_eq!(bench.registration.next_due(), Some(bench.now + Duration::from_secs(80)));
        bench.now += Duration::from_secs(80);
        bench.drive(Registration::on_time);
        let refresh = bench.sent();
        assert_eq!(refresh.call_id_header().unwrap(), first.call_id_header().unwrap());
        assert_eq!(bench.answer(&refresh, 401, CHALLENGE), &Standing::Asking);
        let refresh = bench.sent();
        assert!(matches!(bench.answer(&refresh, 401, CHALLENGE), Standing::Failed(_)));
    }

    #[test]
    fn a_lost_connection_is_registered_over_anew_and_what_was_on_its_way_is_not_waited_for() {
        let mut bench = Bench::new();
        bench.drive(Registration::register);
        let first = bench.sent();
        bench.registration.lose();
        assert_eq!(
            (bench.registration.standing(), bench.registration.next_due()),
            (&Standing::Idle, None)
        );
        bench.answer(&first, 200, "");
        assert_eq!(bench.registration.standing(), &Standing::Idle, "it came too late");
        bench.drive(Registration::register);
        let again = bench.sent();
        assert_eq!(again.call_id_header().unwrap(), first.call_id_header().unwrap());
        assert_eq!(bench.answer(&again, 200, ""), &Standing::Registered);
    }

    #[test]
    fn refusals_and_silence_fail_and_leaving_ends() {
        let mut bench = Bench::new();
        bench.drive(Registration::register);
        let request = bench.sent();
        assert_eq!(
            bench.answer(&request, 403, ""),
            &Standing::Failed("REGISTER: refused with 403".into())
        );
        bench.drive(Registration::unregister);
        let request = bench.sent();
        assert_eq!(request.expires_header().unwrap().value(), "0");
        assert_eq!(bench.answer(&request, 200, ""), &Standing::Gone);
        bench.drive(Registration::register);
        for _ in 0..20 {
            bench.now = bench.registration.next_due().unwrap_or(bench.now);
            bench.drive(Registration::on_time);
        }
        assert_eq!(bench.registration.standing(), &Standing::Failed("REGISTER: timed out".into()));
    }
}
