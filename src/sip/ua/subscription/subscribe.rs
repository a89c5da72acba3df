//! SUBSCRIBE, and whatever else comes in the dialog of a subscription (RFC 6665 s.4.2.1).
//!
//! Invariant: what is refused before the shell hears of it leaves nothing behind.

use std::sync::Arc;
use std::time::Instant;

use rand::Rng;

use super::{Asked, Place, Stage, Subscription};
use crate::dialog::Dialog;
use crate::flow::Flow;
use crate::message::{HeaderName, Message, Method};
use crate::ua::api::{IncomingSubscribe, Notifier, SessionId, SubscriptionEnd, SubscriptionId, UaEvent};
use crate::ua::server::ServerUser;
use crate::ua::{RETRY_AFTER_SECONDS, UserAgent, draft, ident};

/// How many subscriptions one session may have in its dialog, transfers among them.
const MAX_IN_SESSION: usize = 8;

/// The whole of an Event id that we keep [bytes].
const MAX_ID_BYTES: usize = 64;

impl UserAgent {
    /// Says what may be subscribed to; nothing, before the first call. Subscriptions that are there stay.
    pub fn set_notifier(&mut self, notifier: Notifier) {
        self.subscriptions.notifier = notifier;
    }

    /// A SUBSCRIBE outside any dialog (RFC 6665 s.4.2.1).
    pub(in crate::ua) fn receive_subscribe(&mut self, now: Instant, flow: Flow, request: Message) {
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
    pub(in crate::ua) fn receive_subscribe_within(&mut self, now: Instant, flow: Flow, session: SessionId, request: Message) {
        let usages = self.usages_of(session);
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
    pub(in crate::ua) fn receive_in_subscription(&mut self, now: Instant, flow: Flow, request: Message, method: &Method) {
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
            let reopens = dialog.flow.transport.is_reliable() && dialog.flow.connection.is_none();
            if flow.connection.is_some() && (reopens || self.closed.holds(&dialog.flow)) {
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
    pub(in crate::ua) fn receive_notify(&mut self, now: Instant, flow: Flow, request: &Message) {
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
    pub(in crate::ua) fn answer_with(
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
    pub(in crate::ua) fn take_asked(&mut self, id: SubscriptionId, refer: bool) -> Option<Asked> {
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

    /// Answers the request that asked for a subscription with a refusal, and drops it.
    pub(in crate::ua) fn refuse_asked(&mut self, now: Instant, id: SubscriptionId, status: u16, refer: bool) {
        let Some(asked) = self.take_asked(id, refer) else { return };
        let method = asked.request.method().unwrap_or(Method::Subscribe);
        let response = self.plain_response(asked.flow, &asked.request, &method, status).finish();
        self.drop_subscription(id);
        self.reply(now, asked.transaction, status, response);
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
