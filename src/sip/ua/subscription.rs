//! Subscriptions, as the notifier (RFC 6665): SUBSCRIBE, NOTIFY, refresh, expiry and end, in a dialog of their own or in that of a session
//! (RFC 5057). The implicit subscription of a REFER is one of them (see `refer`).
//!
//! Invariants:
//!
//! * of one subscription at most one NOTIFY is open, so that they arrive in order (but the last word on a transfer goes before our BYE,
//!   come what may); what comes meanwhile waits, [`MAX_WAITING`] documents at most (the oldest goes first; a subscriber to documents with
//!   versions sees the gap and asks for the whole);
//! * every subscription that the shell heard of ends with one `SubscriptionEnded`;
//! * a subscription in a session's dialog does not outlive the session: it gets its last NOTIFY then, and a transfer still in progress is
//!   waited for 64*T1 at most. So long, and no longer, the dialog of an ended session is kept.
//!
//! What it does not do: know what a package means (the shell writes the documents), keep the last document (a refresh asks the shell for
//! it anew), subscribe at others, throttle.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rand::Rng;

use super::api::{IncomingSubscribe, Notifier, SessionId, SubscriptionEnd, SubscriptionId, UaEvent};
use super::client::ClientUser;
use super::draft::{self, Body, Draft};
use super::refer::Refer;
use super::server::{ServerKey, ServerUser};
use super::sessions::{Phase, draft_in};
use super::{Owner, RETRY_AFTER_SECONDS, UserAgent, ident};
use crate::dialog::Dialog;
use crate::flow::Flow;
use crate::message::{HeaderName, Message, Method};
use crate::transaction::timer::Timer;

/// How many documents wait for the NOTIFY before them.
const MAX_WAITING: usize = 4;

/// How many subscriptions one session may have in its dialog, transfers among them.
const MAX_IN_SESSION: usize = 8;

/// The whole of an Event id that we keep [bytes].
const MAX_ID_BYTES: usize = 64;

/// All subscriptions and what may be subscribed to.
#[derive(Default)]
pub(super) struct Subscriptions {
    pub notifier: Notifier,
    pub open: HashMap<SubscriptionId, Box<Subscription>>,
    /// Those with a dialog of their own, by our tag.
    pub by_tag: HashMap<u64, SubscriptionId>,
    /// How many there are from each address.
    by_source: HashMap<IpAddr, usize>,
}

#[cfg(test)]
impl Subscriptions {
    /// How many entries are in its tables.
    pub fn len(&self) -> usize {
        self.open.len() + self.by_tag.len() + self.by_source.len()
    }
}

/// Where a subscription lives.
pub(super) enum Place {
    /// In a dialog that its SUBSCRIBE made, with this tag of ours.
    Own { tag: u64, dialog: Box<Dialog> },
    /// In the dialog of a session.
    Session(SessionId),
}

/// How far a subscription is.
pub(super) enum Stage {
    /// The shell has not answered yet.
    Asked(Box<Asked>),
    Active,
    /// Its last NOTIFY waits or is in flight.
    Over,
}

/// The request that asks for it.
pub(super) struct Asked {
    pub transaction: ServerKey,
    pub request: Message,
    pub flow: Flow,
}

/// A NOTIFY that waits for the one before it.
pub(super) struct Notification {
    /// Why it is the last one.
    pub terminated: Option<Arc<str>>,
    pub body: Option<Body>,
}

/// One subscription.
pub(super) struct Subscription {
    pub place: Place,
    /// The value of the Event header.
    event: Arc<str>,
    /// That of a REFER; every other one is the shell's.
    pub refer: Option<Refer>,
    pub stage: Stage,
    pub until: Instant,
    pub in_flight: bool,
    pub waiting: VecDeque<Notification>,
    source: IpAddr,
}

impl Subscription {
    pub fn new(place: Place, event: Arc<str>, asked: Asked, now: Instant) -> Self {
        Self {
            place,
            event,
            refer: None,
            source: asked.flow.peer.ip(),
            stage: Stage::Asked(Box::new(asked)),
            until: now,
            in_flight: false,
            waiting: VecDeque::new(),
        }
    }
}

impl UserAgent {
    /// Says what may be subscribed to; nothing, before the first call. Subscriptions that are there stay.
    pub fn set_notifier(&mut self, notifier: Notifier) {
        self.subscriptions.notifier = notifier;
    }

    /// A SUBSCRIBE outside any dialog (RFC 6665 s.4.2.1).
    pub(super) fn receive_subscribe(&mut self, now: Instant, flow: Flow, request: Message) {
        let (package, expires) = match self.judge_subscribe(flow, &request) {
            Ok(asked) => asked,
            Err(refusal) => return self.refuse_subscribe(now, flow, &request, refusal),
        };
        let tag = self.rng.random();
        let local = ident::tag(self.config.shard, tag);
        let local: Arc<str> = format!("{};tag={local}", request.header(HeaderName::To).unwrap_or_default()).into();
        let Some(dialog) = Dialog::of_request(&request, local, flow) else {
            return self.refuse_stateless(flow, &request, 400, Some("Bad Request (Contact: missing)"), None);
        };
        let place = Place::Own {
            tag,
            dialog: Box::new(dialog),
        };
        self.ask_subscription(now, flow, request, place, package, expires);
    }

    /// A SUBSCRIBE in the dialog of a session: a refresh, or a new subscription beside the call (RFC 5057 s.3).
    pub(super) fn receive_subscribe_within(&mut self, now: Instant, flow: Flow, session: SessionId, request: Message) {
        let usages = self
            .sessions
            .get(&session)
            .map(|session| session.usages.clone())
            .unwrap_or_default();
        if let Some(id) = usages.iter().copied().find(|id| self.is_for(*id, &request)) {
            return self.refresh_subscription(now, flow, id, &request);
        }
        if self.live(session).is_none() || usages.len() >= MAX_IN_SESSION {
            let status = if usages.len() >= MAX_IN_SESSION { 503 } else { 481 };
            return self.answer(now, flow, &request, &Method::Subscribe, status);
        }
        match self.judge_subscribe(flow, &request) {
            Ok((package, expires)) => self.ask_subscription(now, flow, request, Place::Session(session), package, expires),
            Err(refusal) => self.refuse_subscribe(now, flow, &request, refusal),
        }
    }

    /// A request with a To tag that belongs to no session.
    pub(super) fn receive_in_subscription(&mut self, now: Instant, flow: Flow, request: Message, method: &Method) {
        let Some(id) = self.subscription_of(&request) else {
            return self.answer_stateless(flow, &request, method, 481);
        };
        let number = request.cseq().map_or(0, |(number, _)| number);
        if let Some(Place::Own { dialog, .. }) = self.subscriptions.open.get_mut(&id).map(|known| &mut known.place) {
            if dialog.take_cseq(number).is_err() {
                return self.answer(now, flow, &request, method, 500);
            }
            dialog.refresh_target(&request);
            // A subscriber that connected again is notified over its new connection.
            if flow.connection.is_some() && self.closed.holds(&dialog.flow) {
                dialog.flow = flow;
            }
        }
        match method {
            Method::Subscribe if self.is_for(id, &request) => self.refresh_subscription(now, flow, id, &request),
            Method::Subscribe => self.refuse_subscribe(now, flow, &request, Refusal::BadEvent),
            Method::Options => self.answer(now, flow, &request, method, 200),
            Method::Notify => self.receive_notify(now, flow, &request),
            // An INVITE or REFER in a subscription's dialog, and a BYE, which ends a call only (RFC 5057 s.5.2).
            _ => self.answer(now, flow, &request, method, 481),
        }
    }

    /// A NOTIFY that came to us in a dialog. We subscribe to nothing; what devices send unasked about a transfer or to keep a flow alive is
    /// welcome, anything else is refused without harm to the dialog (a 481 might end it, RFC 5057 s.5.1).
    pub(super) fn receive_notify(&mut self, now: Instant, flow: Flow, request: &Message) {
        let package = request.event().map(|event| event.package);
        if package.is_some_and(|package| {
            ["refer", "keep-alive"]
                .iter()
                .any(|known| known.eq_ignore_ascii_case(package))
        }) {
            return self.answer(now, flow, request, &Method::Notify, 200);
        }
        self.refuse_subscribe(now, flow, request, Refusal::BadEvent);
    }

    /// The subscription in whose own dialog a request stands.
    fn subscription_of(&self, request: &Message) -> Option<SubscriptionId> {
        let (shard, key) = ident::parse_tag(request.to().ok()?.tag()?)?;
        let id = *self.subscriptions.by_tag.get(&key).filter(|_| shard == self.config.shard)?;
        match &self.subscriptions.open.get(&id)?.place {
            Place::Own { dialog, .. } if dialog.matches(request) => Some(id),
            _ => None,
        }
    }

    /// Whether a SUBSCRIBE is for this subscription: same package and id (RFC 6665 s.4.5.1).
    fn is_for(&self, id: SubscriptionId, request: &Message) -> bool {
        let (Some(asked), Some(known)) = (request.event(), self.subscriptions.open.get(&id)) else {
            return false;
        };
        event_value(asked.package, asked.id).is_some_and(|event| event.eq_ignore_ascii_case(&known.event))
    }

    /// Package and duration of a SUBSCRIBE for something new.
    fn judge_subscribe(&self, flow: Flow, request: &Message) -> Result<(Arc<str>, u32), Refusal> {
        let notifier = &self.subscriptions.notifier;
        let wanted = request.event().filter(|event| event_value(event.package, event.id).is_some());
        let package = wanted.and_then(|event| {
            let mut packages = notifier.packages.iter();
            packages.find(|package| package.eq_ignore_ascii_case(event.package)).cloned()
        });
        let package = package.ok_or(Refusal::BadEvent)?;
        let expires = self.granted(request)?;
        let from_there = self.subscriptions.by_source.get(&flow.peer.ip()).copied().unwrap_or(0);
        if self.subscriptions.open.len() >= notifier.max_subscriptions || from_there >= notifier.max_per_source {
            return Err(Refusal::Full);
        }
        Ok((package, expires))
    }

    /// The duration that a SUBSCRIBE gets; only one shorter than an hour may be refused for its brevity (RFC 6665 s.4.2.1.1).
    fn granted(&self, request: &Message) -> Result<u32, Refusal> {
        let notifier = &self.subscriptions.notifier;
        let expires = request
            .expires()
            .unwrap_or(notifier.default_expires)
            .min(notifier.max_expires);
        if expires > 0 && expires < notifier.min_expires.min(3600) {
            return Err(Refusal::TooBrief);
        }
        Ok(expires)
    }

    /// Refuses a SUBSCRIBE or NOTIFY.
    fn refuse_subscribe(&mut self, now: Instant, flow: Flow, request: &Message, refusal: Refusal) {
        let header = |name: HeaderName, value: String| (Arc::from(name.as_str()), Arc::from(value));
        let (status, header) = match refusal {
            Refusal::BadEvent if self.subscriptions.notifier.packages.is_empty() => (489, None),
            Refusal::BadEvent => {
                let packages = self.subscriptions.notifier.packages.join(", ");
                (489, Some(header(HeaderName::AllowEvents, packages)))
            }
            Refusal::TooBrief => {
                let least = self.subscriptions.notifier.min_expires.to_string();
                (423, Some(header(HeaderName::MinExpires, least)))
            }
            Refusal::Full => (503, Some(header(HeaderName::RetryAfter, RETRY_AFTER_SECONDS.to_string()))),
        };
        if request.to().is_ok_and(|to| to.tag().is_none()) {
            return self.refuse_with(flow, request, status, header.as_slice());
        }
        let method = request.method().unwrap_or(Method::Subscribe);
        self.answer_with(now, flow, request, &method, status, header.as_slice());
    }

    /// Serves a request in a dialog with one response. A copy of it has to find this one, for its CSeq is used up.
    pub(super) fn answer_with(
        &mut self,
        now: Instant,
        flow: Flow,
        request: &Message,
        method: &Method,
        status: u16,
        headers: &[(Arc<str>, Arc<str>)],
    ) {
        let id = self.start_server(now, flow, request, method, ServerUser::Core);
        let mut response = self.response(request, flow, status);
        for (name, value) in headers {
            response = response.header(name, value);
        }
        self.reply(now, id, status, response.finish());
    }

    fn ask_subscription(&mut self, now: Instant, flow: Flow, request: Message, place: Place, package: Arc<str>, expires: u32) {
        let id = SubscriptionId(self.next_id());
        let event_id = request.event().and_then(|event| event.id);
        let event = event_value(&package, event_id).unwrap_or_else(|| package.clone());
        let transaction = self.start_server(now, flow, &request, &Method::Subscribe, ServerUser::Subscription(id));
        let session = match place {
            Place::Session(session) => Some(session),
            Place::Own { .. } => None,
        };
        let asked = Asked {
            transaction,
            request: request.clone(),
            flow,
        };
        self.keep_subscription(id, Subscription::new(place, event, asked, now));
        let subscribe = Box::new(IncomingSubscribe {
            session,
            package,
            expires,
            request,
            flow,
        });
        self.event(UaEvent::Subscribed {
            subscription: id,
            subscribe,
        });
    }

    /// Enters a subscription into the tables.
    pub(super) fn keep_subscription(&mut self, id: SubscriptionId, subscription: Subscription) {
        match &subscription.place {
            Place::Own { tag, .. } => {
                self.subscriptions.by_tag.insert(*tag, id);
                self.dialogs += 1;
            }
            Place::Session(session) => {
                if let Some(session) = self.sessions.get_mut(session) {
                    session.usages.push(id);
                }
            }
        }
        *self.subscriptions.by_source.entry(subscription.source).or_default() += 1;
        self.subscriptions.open.insert(id, Box::new(subscription));
    }

    /// Takes a subscription out of the tables, and out of a session that was kept for it.
    pub(super) fn drop_subscription(&mut self, id: SubscriptionId) {
        let Some(gone) = self.subscriptions.open.remove(&id) else {
            return;
        };
        self.timers.stop_all(Owner::Subscription(id));
        if let Some(count) = self.subscriptions.by_source.get_mut(&gone.source) {
            *count -= 1;
            if *count == 0 {
                self.subscriptions.by_source.remove(&gone.source);
            }
        }
        match gone.place {
            Place::Own { tag, .. } => {
                self.subscriptions.by_tag.remove(&tag);
                self.dialogs -= 1;
            }
            Place::Session(session) => {
                let Some(kept) = self.sessions.get_mut(&session) else { return };
                kept.usages.retain(|usage| *usage != id);
                if kept.phase == Phase::Ending && !kept.closing {
                    self.forget(session);
                }
            }
        }
    }

    /// Grants a subscription for so many seconds (within the limits of the [`Notifier`]; 0 for one look) with 200. The shell notifies the
    /// whole state then, at once (RFC 6665 s.4.2.1.2).
    pub fn accept_subscription(&mut self, now: Instant, id: SubscriptionId, expires: u32) {
        let Some(asked) = self.take_asked(id, false) else { return };
        let expires = expires.min(self.subscriptions.notifier.max_expires);
        if let Some(subscription) = self.subscriptions.open.get_mut(&id) {
            subscription.stage = Stage::Active;
        }
        self.run_until(now, id, expires);
        self.grant(now, id, &asked, expires);
    }

    /// Refuses a subscription. Outside a session nothing is kept of it, so that a challenge (401) to a stranger costs no memory: a copy of
    /// the request is a new one.
    pub fn reject_subscription(&mut self, now: Instant, id: SubscriptionId, status: u16, headers: &[(Arc<str>, Arc<str>)]) {
        let Some(asked) = self.take_asked(id, false) else { return };
        let status = if (300..700).contains(&status) { status } else { 500 };
        self.drop_subscription(id);
        let opens = asked.request.to().is_ok_and(|to| to.tag().is_none());
        if opens && self.forget_server(asked.transaction) {
            self.refuse_with(asked.flow, &asked.request, status, headers);
        } else {
            let tag = self.stateless_tag(&asked.request);
            let mut response = self.response(&asked.request, asked.flow, status).to_tag(&tag);
            for (name, value) in headers {
                response = response.header(name, value);
            }
            self.reply(now, asked.transaction, status, response.finish());
        }
        self.end_for_shell(id, SubscriptionEnd::Here);
    }

    /// The request that waits for its answer: a REFER, or a SUBSCRIBE. A command that comes too late is counted.
    pub(super) fn take_asked(&mut self, id: SubscriptionId, refer: bool) -> Option<Asked> {
        let subscription = self.subscriptions.open.get_mut(&id);
        let subscription = subscription.filter(|known| known.refer.is_some() == refer);
        let asked = subscription.and_then(|subscription| match std::mem::replace(&mut subscription.stage, Stage::Over) {
            Stage::Asked(asked) => Some(*asked),
            other => {
                subscription.stage = other;
                None
            }
        });
        self.stats.commands_ignored += u64::from(asked.is_none());
        asked
    }

    /// Sends a document to a subscriber, behind what was sent before. `terminated` is the reason (RFC 6665 s.4.1.3: `noresource`,
    /// `deactivated`, `giveup`, ...) with which the subscription ends.
    pub fn notify(&mut self, now: Instant, id: SubscriptionId, content_type: &str, body: Bytes, terminated: Option<&str>) {
        let patience = self.timing.patience();
        let known = self.subscriptions.open.get_mut(&id);
        let Some(subscription) = known.filter(|known| matches!(known.stage, Stage::Active) && known.refer.is_none()) else {
            self.stats.commands_ignored += 1;
            return;
        };
        // One look, or the very end of a longer one.
        let is_over = now + Duration::from_secs(1) > subscription.until;
        let why = match terminated {
            Some(_) => SubscriptionEnd::Here,
            None => SubscriptionEnd::Expired,
        };
        let terminated: Option<Arc<str>> = terminated.or(is_over.then_some("timeout")).map(Arc::from);
        let is_last = terminated.is_some();
        let body = (!body.is_empty()).then(|| (content_type.to_owned().into(), body));
        if is_last {
            subscription.stage = Stage::Over;
            self.timers.start(Owner::Subscription(id), Timer::Expires, now + patience * 2);
        }
        self.queue_notification(now, id, Notification { terminated, body });
        if is_last {
            self.end_for_shell(id, why);
        }
    }

    /// Sends a NOTIFY as soon as the one before it is answered.
    pub(super) fn queue_notification(&mut self, now: Instant, id: SubscriptionId, notification: Notification) {
        let Some(subscription) = self.subscriptions.open.get_mut(&id) else {
            return;
        };
        subscription.waiting.push_back(notification);
        if subscription.waiting.len() > MAX_WAITING {
            subscription.waiting.pop_front();
            self.stats.notifications_dropped += 1;
        }
        self.send_notification(now, id);
    }

    pub(super) fn send_notification(&mut self, now: Instant, id: SubscriptionId) {
        let Some(subscription) = self.subscriptions.open.get_mut(&id).filter(|known| !known.in_flight) else {
            return;
        };
        let Some(notification) = subscription.waiting.pop_front() else {
            if matches!(subscription.stage, Stage::Over) {
                self.drop_subscription(id);
            }
            return;
        };
        let left = subscription.until.saturating_duration_since(now).as_secs();
        let state = match &notification.terminated {
            Some(reason) => format!("terminated;reason={reason}"),
            None => format!("active;expires={left}"),
        };
        let event = subscription.event.clone();
        let Some(mut draft) = self.in_subscription(id, notification.body) else {
            return self.drop_subscription(id);
        };
        draft.headers.push((HeaderName::Event.as_str().into(), event));
        draft
            .headers
            .push((HeaderName::SubscriptionState.as_str().into(), state.into()));
        if let Some(subscription) = self.subscriptions.open.get_mut(&id) {
            subscription.in_flight = true;
        }
        self.launch(now, draft, ClientUser::Notify(id));
    }

    /// A NOTIFY in the dialog of a subscription.
    fn in_subscription(&mut self, id: SubscriptionId, body: Option<Body>) -> Option<Box<Draft>> {
        let dialog = match &mut self.subscriptions.open.get_mut(&id)?.place {
            Place::Session(session) => {
                let session = *session;
                return self.in_dialog(session, Method::Notify, body);
            }
            Place::Own { dialog, .. } => dialog,
        };
        dialog.next_cseq();
        let dialog = dialog.clone();
        let mut draft = draft_in(&dialog, Method::Notify, dialog.local_cseq);
        draft.body = body;
        draft.path.flow = self.dialog_flow(&dialog, &draft.next_hop);
        draft.path.by_uri = true;
        Some(Box::new(draft))
    }

    /// The next CSeq in the dialog of a subscription, for a NOTIFY that is sent again with credentials.
    pub(super) fn subscription_dialog(&mut self, id: SubscriptionId) -> Option<&mut Dialog> {
        match &mut self.subscriptions.open.get_mut(&id)?.place {
            Place::Own { dialog, .. } => Some(dialog),
            Place::Session(session) => self.sessions.get_mut(session)?.dialogs.first_mut(),
        }
    }

    /// A NOTIFY was answered, or was not (408, 503).
    pub(super) fn on_notify_response(&mut self, now: Instant, id: SubscriptionId, status: u16) {
        let Some(subscription) = self.subscriptions.open.get_mut(&id) else {
            return;
        };
        subscription.in_flight = false;
        if !ends_subscription(status) {
            return self.send_notification(now, id);
        }
        let told = matches!(subscription.stage, Stage::Over) || subscription.refer.is_some();
        self.drop_subscription(id);
        if !told {
            self.end_for_shell(id, SubscriptionEnd::Lost);
        }
    }

    /// A SUBSCRIBE for what is there: it lasts longer now, or not any more (RFC 6665 s.4.2.1).
    fn refresh_subscription(&mut self, now: Instant, flow: Flow, id: SubscriptionId, request: &Message) {
        let expires = match self.granted(request) {
            Ok(expires) => expires,
            Err(refusal) => return self.refuse_subscribe(now, flow, request, refusal),
        };
        let Some(subscription) = self.subscriptions.open.get(&id) else {
            return;
        };
        let is_refer = subscription.refer.is_some();
        match subscription.stage {
            Stage::Active => {}
            // The first one is not answered yet, or the last NOTIFY is on its way.
            Stage::Asked(_) => return self.answer(now, flow, request, &Method::Subscribe, 500),
            Stage::Over => return self.answer(now, flow, request, &Method::Subscribe, 481),
        }
        let transaction = self.start_server(now, flow, request, &Method::Subscribe, ServerUser::Core);
        let asked = Asked {
            transaction,
            request: request.clone(),
            flow,
        };
        if expires == 0 {
            self.grant(now, id, &asked, 0);
            return self.end_subscription(now, id, "timeout", SubscriptionEnd::Unsubscribed);
        }
        self.run_until(now, id, expires);
        self.grant(now, id, &asked, expires);
        if is_refer {
            self.repeat_refer_progress(now, id);
        } else {
            self.event(UaEvent::SubscriptionRefreshed { subscription: id });
        }
    }

    /// 200 to a SUBSCRIBE.
    fn grant(&mut self, now: Instant, id: SubscriptionId, asked: &Asked, expires: u32) {
        let tag = match self.subscriptions.open.get(&id).map(|subscription| &subscription.place) {
            Some(Place::Own { tag, .. }) => ident::tag(self.config.shard, *tag),
            _ => String::new(),
        };
        let mut response = self
            .response(&asked.request, asked.flow, 200)
            .to_tag(&tag)
            .header(HeaderName::Expires, expires.to_string());
        if let Some(listener) = self.listener(asked.flow.listener) {
            response = response.header(HeaderName::Contact, draft::contact(listener));
        }
        self.reply(now, asked.transaction, 200, response.finish());
    }

    /// Lets a subscription run so many seconds from now.
    pub(super) fn run_until(&mut self, now: Instant, id: SubscriptionId, seconds: u32) {
        let until = now + Duration::from_secs(seconds.into());
        let Some(subscription) = self.subscriptions.open.get_mut(&id) else {
            return;
        };
        subscription.until = until;
        // One look is given by the shell; where it gives none, that is the end all the same.
        let deadline = if seconds == 0 { now + self.timing.patience() } else { until };
        self.timers.start(Owner::Subscription(id), Timer::Expires, deadline);
    }

    /// The time of a subscription is over, or of its last NOTIFY.
    pub(super) fn subscription_expired(&mut self, now: Instant, id: SubscriptionId) {
        match self.subscriptions.open.get(&id).map(|subscription| &subscription.stage) {
            Some(Stage::Active) => self.end_subscription(now, id, "timeout", SubscriptionEnd::Expired),
            Some(Stage::Over) => self.drop_subscription(id),
            _ => {}
        }
    }

    /// Ends an active subscription with a last NOTIFY, without a document but for a transfer, and tells the shell.
    fn end_subscription(&mut self, now: Instant, id: SubscriptionId, reason: &str, why: SubscriptionEnd) {
        let patience = self.timing.patience();
        let Some(subscription) = self.subscriptions.open.get_mut(&id) else {
            return;
        };
        subscription.stage = Stage::Over;
        let is_refer = subscription.refer.is_some();
        let body = subscription.refer.as_ref().map(Refer::body);
        self.timers.start(Owner::Subscription(id), Timer::Expires, now + patience * 2);
        let terminated = Some(reason.into());
        self.queue_notification(now, id, Notification { terminated, body });
        if !is_refer {
            self.end_for_shell(id, why);
        }
    }

    /// The shell never answered its request: the transaction gave up.
    pub(super) fn subscription_unanswered(&mut self, id: SubscriptionId) {
        let subscription = self.subscriptions.open.get(&id);
        if subscription.is_some_and(|subscription| matches!(subscription.stage, Stage::Asked(_))) {
            let is_refer = subscription.is_some_and(|subscription| subscription.refer.is_some());
            self.drop_subscription(id);
            if !is_refer {
                self.end_for_shell(id, SubscriptionEnd::Lost);
            }
        }
    }

    /// A session ends: so do the subscriptions in its dialog. What was asked gets 487 (s.15.1.2), and a transfer in progress has 64*T1.
    pub(super) fn end_usages(&mut self, now: Instant, session: SessionId) {
        let usages = self
            .sessions
            .get(&session)
            .map(|session| session.usages.clone())
            .unwrap_or_default();
        for id in usages {
            let Some(subscription) = self.subscriptions.open.get_mut(&id) else {
                continue;
            };
            let is_refer = subscription.refer.is_some();
            match (&subscription.stage, is_refer) {
                (Stage::Asked(_), _) => {
                    self.refuse_asked(now, id, 487, is_refer);
                    if !is_refer {
                        self.end_for_shell(id, SubscriptionEnd::SessionOver);
                    }
                }
                (Stage::Active, true) => {
                    let deadline = subscription.until.min(now + self.timing.patience());
                    subscription.until = deadline;
                    self.timers.start(Owner::Subscription(id), Timer::Expires, deadline);
                }
                (Stage::Active, false) => self.end_subscription(now, id, "noresource", SubscriptionEnd::SessionOver),
                (Stage::Over, _) => {}
            }
        }
    }

    /// Answers the request that asked for a subscription with a refusal, and drops it.
    pub(super) fn refuse_asked(&mut self, now: Instant, id: SubscriptionId, status: u16, refer: bool) {
        let Some(asked) = self.take_asked(id, refer) else { return };
        let method = asked.request.method().unwrap_or(Method::Subscribe);
        let response = self.plain_response(asked.flow, &asked.request, &method, status).finish();
        self.drop_subscription(id);
        self.reply(now, asked.transaction, status, response);
    }

    fn end_for_shell(&mut self, id: SubscriptionId, why: SubscriptionEnd) {
        self.event(UaEvent::SubscriptionEnded { subscription: id, why });
    }
}

/// Why a SUBSCRIBE is refused before the shell hears of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Refusal {
    /// Not a package of ours (RFC 6665 s.4.2.1.1): 489.
    BadEvent,
    /// 423.
    TooBrief,
    /// 503.
    Full,
}

/// The Event value of our NOTIFYs; none where the id cannot be kept.
fn event_value(package: &str, id: Option<&str>) -> Option<Arc<str>> {
    match id {
        None => Some(package.into()),
        Some(id) if id.len() > MAX_ID_BYTES => None,
        Some(id) => Some(format!("{package};id={id}").into()),
    }
}

/// Whether that answer to a NOTIFY means that the subscription is no more (RFC 6665 s.4.2.2, RFC 5057 s.5.1).
fn ends_subscription(status: u16) -> bool {
    matches!(status, 404 | 405 | 408 | 410 | 416 | 480..=485 | 489 | 501 | 503 | 604)
}
