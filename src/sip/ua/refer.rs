//! Transfers that a peer asks for with REFER in its session (RFC 3515; RFC 3891 and 3892 for attended ones; RFC 4488).
//!
//! A REFER is handed up as `Referred` and answered by the first [`UserAgent::refer_progress`]: 202, or a refusal. From 202 on its implicit
//! subscription (see `subscription`) tells the peer how the transfer goes, each time as `message/sipfrag` with nothing but a status line,
//! so that nobody learns from it who was called (s.4). A final status is the last. A refusal is never one that would cost the peer its call:
//! such a status is told after 202.
//!
//! Invariants: in one session at most [`MAX_OPEN`] transfers are open, each with its own `id` in the Event header; a provisional status
//! that was not sent before the next one came is left out; what the peer says to a NOTIFY never ends the session.
//!
//! What it does not do: transfer. It sends no REFER either: devices that do not support it are no different to us. REFER outside a session
//! is refused.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use super::UserAgent;
use super::api::{ReferKey, ReplacesDialog, SessionId, SubscriptionId, UaEvent};
use super::draft::{self, Body};
use super::server::ServerUser;
use super::sessions::Phase;
use super::subscription::{Asked, Notification, Place, Stage, Subscription};
use crate::flow::Flow;
use crate::message::{HeaderName, Message, Method, Replaces, Scheme, Uri, default_reason, uri};

/// How many transfers may be open in one session.
const MAX_OPEN: usize = 4;

/// How long the peer is told about a transfer, unless it asks for longer [s]: longer than an INVITE may ring.
const LIFETIME_SECONDS: u32 = 300;

/// The longest Refer-To URI [bytes].
const MAX_URI_BYTES: usize = 2_048;

/// How a transfer goes.
pub(super) struct Refer {
    /// The last status; 100 before the first.
    last: u16,
    /// The peer wants no NOTIFY (RFC 4488).
    quiet: bool,
}

impl Refer {
    /// The status line (s.2.4.5: "a body of type message/sipfrag").
    pub fn body(&self) -> Body {
        let line = format!("SIP/2.0 {} {}\r\n", self.last, default_reason(self.last));
        ("message/sipfrag;version=2.0".into(), Bytes::from(line))
    }
}

/// What a Refer-To says.
struct Target {
    uri: Arc<str>,
    replaces: Option<ReplacesDialog>,
}

impl UserAgent {
    /// A REFER in a session that the shell knows.
    pub(super) fn receive_refer(&mut self, now: Instant, flow: Flow, session: SessionId, request: Message) {
        let talking = self.live(session).is_some_and(|session| session.phase == Phase::Talking);
        let target = match read_target(&request) {
            // "An agent responding to a REFER method MUST return a 400 (Bad Request) if the request contained zero or more than one
            // Refer-To header field values" (s.2.4.2).
            Err(status) if !ends_dialog(status) => return self.answer(now, flow, &request, &Method::Refer, status),
            // Before the answer there is nothing to transfer.
            _ if !talking => return self.answer(now, flow, &request, &Method::Refer, 403),
            target => target,
        };
        let usages = self.sessions.get(&session).map(|session| session.usages.len());
        if usages.unwrap_or(0) >= MAX_OPEN {
            let after = (
                HeaderName::RetryAfter.as_str().into(),
                super::RETRY_AFTER_SECONDS.to_string().into(),
            );
            return self.answer_with(now, flow, &request, &Method::Refer, 503, &[after]);
        }
        let Ok((number, _)) = request.cseq() else { return };
        let id = SubscriptionId(self.next_id());
        let referred_by = crate::identity::referred_by(&request);
        let transaction = self.start_server(now, flow, &request, &Method::Refer, ServerUser::Subscription(id));
        let quiet = request.declines_refer_subscription();
        let asked = Asked {
            transaction,
            request,
            flow,
        };
        // "the CSeq number of the REFER" tells the subscriptions of several apart (s.2.4.6).
        let event = format!("refer;id={number}").into();
        let mut subscription = Subscription::new(Place::Session(session), event, asked, now);
        subscription.refer = Some(Refer { last: 100, quiet });
        self.keep_subscription(id, subscription);
        let refer = ReferKey(id.0);
        match target {
            Ok(Target { uri, replaces }) => self.event(UaEvent::Referred {
                session,
                refer,
                refer_to: uri,
                replaces,
                referred_by,
            }),
            Err(status) => self.refer_progress(now, refer, status),
        }
    }

    /// Tells the peer how the transfer goes that it asked for. The first word below 300 answers the REFER with 202, one from 300 on refuses
    /// it with that status, or is notified where that would say that the dialog is no more; after that every status is notified, and a final
    /// one is the last. Where the peer wanted no notifications the first word is the last as well, and what follows is ignored.
    pub fn refer_progress(&mut self, now: Instant, refer: ReferKey, status: u16) {
        let id = SubscriptionId(refer.0);
        let status = if (100..700).contains(&status) { status } else { 500 };
        let known = self.subscriptions.open.get(&id);
        let Some((subscription, refer)) = known.and_then(|known| Some((known, known.refer.as_ref()?))) else {
            self.stats.commands_ignored += 1;
            return;
        };
        match (&subscription.stage, refer.quiet) {
            (Stage::Over, _) => self.stats.commands_ignored += 1,
            (Stage::Active, _) => self.notify_refer(now, id, status),
            (Stage::Asked(_), true) if ends_dialog(status) => self.refuse_asked(now, id, 603, true),
            (Stage::Asked(_), _) if status >= 300 && !ends_dialog(status) => self.refuse_asked(now, id, status, true),
            (Stage::Asked(_), true) => self.accept_refer(now, id, true),
            (Stage::Asked(_), false) => {
                self.accept_refer(now, id, false);
                self.notify_refer(now, id, status);
            }
        }
    }

    /// 202 to a REFER (s.2.4.2).
    fn accept_refer(&mut self, now: Instant, id: SubscriptionId, quiet: bool) {
        let Some(asked) = self.take_asked(id, true) else { return };
        let mut response = self.response(&asked.request, asked.flow, 202);
        if let Some(listener) = self.listener(asked.flow.listener) {
            response = response.header(HeaderName::Contact, draft::contact(listener));
        }
        if quiet {
            response = response.header("Refer-Sub", "false");
            self.drop_subscription(id);
        } else if let Some(subscription) = self.subscriptions.open.get_mut(&id) {
            subscription.stage = Stage::Active;
            self.run_until(now, id, LIFETIME_SECONDS);
        }
        self.reply(now, asked.transaction, 202, response.finish());
    }

    fn notify_refer(&mut self, now: Instant, id: SubscriptionId, status: u16) {
        let patience = self.timing.patience();
        let Some(subscription) = self.subscriptions.open.get_mut(&id) else {
            return;
        };
        let Some(refer) = subscription.refer.as_mut() else { return };
        refer.last = status;
        let body = Some(refer.body());
        subscription.waiting.clear();
        let terminated = (status >= 200).then(|| Arc::from("noresource"));
        if terminated.is_some() {
            subscription.stage = Stage::Over;
            let owner = super::Owner::Subscription(id);
            self.timers
                .start(owner, crate::transaction::timer::Timer::Expires, now + patience * 2);
        }
        self.queue_notification(now, id, Notification { terminated, body });
    }

    /// A BYE of ours is next: how a transfer ended goes before it, though the NOTIFY before is not answered. A device that is hung up on
    /// first might take its transfer for failed.
    pub(super) fn hurry_refers(&mut self, now: Instant, session: SessionId) {
        let usages = self.usages_of(session);
        for id in usages {
            let open = &mut self.subscriptions.open;
            let waits = |known: &&mut Box<Subscription>| {
                known.refer.is_some() && matches!(known.stage, Stage::Over) && !known.waiting.is_empty()
            };
            if let Some(subscription) = open.get_mut(&id).filter(waits) {
                subscription.in_flight = false;
                self.send_notification(now, id);
            }
        }
    }

    /// The peer refreshed the subscription of its REFER, and is told the state of things again.
    pub(super) fn repeat_refer_progress(&mut self, now: Instant, id: SubscriptionId) {
        let refer = self
            .subscriptions
            .open
            .get(&id)
            .and_then(|subscription| subscription.refer.as_ref());
        if let Some(status) = refer.map(|refer| refer.last) {
            self.notify_refer(now, id, status);
        }
    }
}

/// Whether that answer within the dialog of a call would say that the dialog is no more (RFC 3261 s.12.2.1.2, RFC 5057 s.5.1), and cost the
/// phone its call.
fn ends_dialog(status: u16) -> bool {
    matches!(status, 404 | 408 | 410 | 416 | 481..=485 | 502 | 604)
}

/// Reads the Refer-To of a REFER; the status to refuse it with where that cannot be done.
fn read_target(request: &Message) -> Result<Target, u16> {
    let text = request.refer_to().map_err(|_| 400u16)?.uri;
    if text.len() > MAX_URI_BYTES {
        return Err(414);
    }
    let parsed = Uri::parse(text).map_err(|_| 400u16)?;
    if matches!(parsed.scheme, Scheme::Other(_)) {
        return Err(416);
    }
    if !is_call(&parsed) {
        return Err(400);
    }
    let headers = parsed.headers.map_or(0, |headers| headers.len() + 1);
    let bare = text.get(..text.len() - headers).ok_or(400u16)?;
    Ok(Target {
        uri: without_method(bare, &parsed).into(),
        replaces: read_replaces(parsed.headers.unwrap_or_default())?,
    })
}

/// The URI as it may stand in a request line: the method has done its work (RFC 3261 s.19.1.1).
fn without_method(bare: &str, parsed: &Uri<'_>) -> String {
    let params = parsed.params.as_str();
    let (head, params) = bare
        .split_at_checked(bare.len().saturating_sub(params.len()))
        .unwrap_or((bare, ""));
    let mut uri = head.to_owned();
    for param in params.split(';').filter(|param| !param.is_empty()) {
        let name = param.split('=').next().unwrap_or_default();
        if !name.eq_ignore_ascii_case("method") {
            uri.push(';');
            uri.push_str(param);
        }
    }
    uri
}

/// Whether a URI asks for a call: no other method (RFC 3515 s.2.1 lets a REFER ask for any).
fn is_call(uri: &Uri<'_>) -> bool {
    uri.param("method").is_none_or(|method| method == Method::Invite.as_str())
}

/// The Replaces among the headers of a URI (RFC 3261 s.19.1.1). The others are left out: nobody writes our INVITEs but we.
fn read_replaces(headers: &str) -> Result<Option<ReplacesDialog>, u16> {
    let mut values = headers
        .split('&')
        .filter_map(|header| header.split_once('='))
        .filter(|(name, _)| uri::decode(name).eq_ignore_ascii_case(HeaderName::Replaces.as_str()))
        .map(|(_, value)| uri::decode(value));
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(400);
    }
    let replaces = Replaces::parse(&value).map_err(|_| 400u16)?;
    Ok(Some(replaces.into()))
}
