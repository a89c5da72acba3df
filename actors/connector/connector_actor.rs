//! One connector: the SIP side of one shard of the DNs.
//!
//! Place: permanent child of the tree, alone with its children on an arbiter thread. What it must not lose is in its [`Shard`], so a
//! message that crashes it costs that message. Escalation (its shard became the suspect) ends every conference of the shard cleanly
//! and starts with an empty user agent; other connectors go on.
//!
//! | message | from | effect |
//! |---|---|---|
//! | `Received` | transports | into the user agent; what comes out goes to conferences, the registrar, the network |
//! | `Link` | T-Server side | makes a conference where there is none, and passes it on |
//! | `Synchronise` | the link | its session is a new one: every conference waits to be audited, and every DN is told again |
//! | `Legs` | conferences | commands to the user agent |
//! | `GiveAway` | conferences | a leg's session belongs to another conference, here or on another connector, from then on |
//! | `RosterChanged` | rooms | tells the subscribers who is there now |
//! | `Locate` | connectors | finds the party whose dialog here a REFER there names, and tells the conference that asks |
//! | `SendAfter` | conferences | what a leg said before it was given away, for the conference that has it now |
//! | `EndAway` | other connectors | ends what a crashed conference of theirs left behind here |
//! | `Respond` | registrar | answers a REGISTER |
//! | `DeviceArrived` | registrars | its sessions are reached over its new flow |
//! | `Resolved`, `FlowFailed` | resolver, transports | into the user agent |
//! | `ConferenceOver` | conferences | takes the resource back |
//! | `ConferenceDown` | supervision | ends what a crashed conference left behind |
//! | `LegsKept` | conferences | ends what a conference that came back from a crash does not know |
//! | `EndAll` | shutdown | ends every conference |
//! | `SettingsChanged` | gateway | what is kept ready is as it is wanted now, and who is no device any more is registered no more |
//! | `Drain` | gateway, connectors, registrars | the connector goes, comes back, or another one does; see `drain` |

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use actix::{Actor, Addr, AsyncContext, Context, Handler, Supervised};
use bytes::Bytes;
use tandem_media::endpoint::Capabilities;
use tandem_model::conference::{ConferenceInput, OFFERED_LEG, OfferedCall};
use tandem_model::leg::{LegCommand, LegEvent, ReferId};
use tandem_model::link::{Cause, LinkNotification, LinkRequest, ReleasedBy};
use tandem_model::{Anchor, ConferenceId, LegId, PartyId};
use tandem_sip::flow::{ConnectionId, Flow};
use tandem_sip::identity::{self, PassThrough};
use tandem_sip::message::{Message, Method, Uri};
use tandem_sip::ua::{IncomingInvite, ResolveId, ServerRequestId, SessionId, UaEvent, UaOutput, UaStats, UserAgent};

use super::admission::{Admission, Authenticator};
use super::conference::ConferenceMessage;
use super::copies::Restoring;
use super::edge::{self, Passed};
use super::legs::{self, CONVERSATION_ID, RETRY_AFTER_SECONDS};
use super::message::{ConnectorMessage, ConnectorSummary, QueryConnector, Received};
use super::meters::PoolMeters;
use super::recovery::Joining;
use super::registrar::{RegisterRequest, RegistrarActor, RegistrarMessage};
use super::shard::Shard;
use super::status::Telling;
use super::{subscriptions, target};
use crate::alarm::{Alarm, Alarmed};
use crate::devices::Devices;
use crate::directory::Directory;
use crate::journal::{LOOK_AFTER, Mirror, Record, SharedJournal};
use crate::kind::ActorKind;
use crate::media::Media;
use crate::metrics::Metrics;
use crate::network::{Network, Resolve};
use crate::now;
use crate::supervision::{ChildSpec, Escalation, Slot, escalate_if_due};

#[cfg(feature = "fault-injection")]
mod faulty;

/// Why a session that a crash took along is ended (RFC 3326).
pub(super) const INTERNAL_ERROR: &str = "SIP;cause=500;text=\"Internal error\"";

/// The party of a call that came in.
const OFFERED_PARTY: PartyId = PartyId(1);

/// What the actor is made from, and made from again.
#[derive(Clone)]
pub struct ConnectorParts {
    /// The state that survives.
    pub shard: Slot<Shard>,
    /// Who may call.
    pub authenticator: Slot<Authenticator>,
    /// Makes an empty user agent that takes the place of this one, for an escalation.
    pub fresh_ua: Arc<dyn Fn(&UserAgent) -> UserAgent + Send + Sync>,
    /// Who is where.
    pub directory: Arc<Directory>,
    /// Where messages go.
    pub network: Arc<dyn Network>,
    /// Names to addresses.
    pub resolve: Resolve,
    /// The headers that are copied from an incoming leg to the outgoing one.
    pub pass_through: Arc<PassThrough>,
    /// The media plane.
    pub media: Arc<dyn Media>,
    /// What its ports can do.
    pub capabilities: Capabilities,
    /// The shard's registrar.
    pub registrar: Addr<RegistrarActor>,
    /// What outlives the process.
    pub journal: SharedJournal,
    /// What the T-Server keeps a copy of, where that is in another process.
    pub mirror: Option<Mirror>,
    /// How times are told there.
    pub anchor: Anchor,
    /// The conferences of the process before, until they are brought back.
    pub recovered: Slot<Vec<Record>>,
}

impl ConnectorParts {
    /// The devices and trunks that there are now.
    pub(super) fn devices(&self) -> Arc<Devices> {
        self.directory.live.devices()
    }
}

/// The actor.
pub struct ConnectorActor {
    pub(super) parts: ConnectorParts,
    alarm: Alarm,
    pub(super) outgoing: Vec<(Flow, Bytes)>,
    /// Of these, what came from others and is to be answered should it not go out.
    pub(super) passed: Vec<Passed>,
    /// What the T-Server side is to hear. It hears of nothing that could still be lost: what is kept of it goes to the journal first.
    upward: Vec<LinkNotification>,
    reported: UaStats,
    pool_meters: PoolMeters,
    pub(super) telling: Telling,
    pub(super) restoring: Restoring,
    pub(super) joining: Joining,
    /// Whose event is being handled; still there after a crash, when nobody has heard of the event.
    handling: Option<SessionId>,
    /// The next event is to crash the actor.
    #[cfg(feature = "fault-injection")]
    fragile: bool,
}

impl ConnectorActor {
    /// Starts it on the current arbiter, with room for that many messages.
    pub fn supervise(parts: ConnectorParts, mailbox: usize) -> Addr<Self> {
        let pool_meters = PoolMeters::of(parts.shard.borrow().id);
        let actor = Self {
            parts,
            alarm: Alarm::default(),
            outgoing: Vec::new(),
            passed: Vec::new(),
            upward: Vec::new(),
            reported: UaStats::default(),
            pool_meters,
            telling: Telling::default(),
            restoring: Restoring::default(),
            joining: Joining::default(),
            handling: None,
            #[cfg(feature = "fault-injection")]
            fragile: false,
        };
        crate::supervision::supervise(ChildSpec::permanent(ActorKind::Connector, mailbox), actor)
    }

    /// Carries out what the user agent has to say, until it has nothing more; then sends and arms the timer.
    pub(super) fn turn(&mut self, ctx: &mut Context<Self>) {
        self.give_up_handled();
        loop {
            let Some(output) = self.parts.shard.borrow_mut().ua.poll() else {
                break;
            };
            match output {
                UaOutput::Send { flow, bytes } => {
                    Metrics::of_process().sent(&bytes);
                    self.outgoing.push((flow, bytes));
                }
                UaOutput::Resolve { id, uri } => self.resolve(id, uri, ctx),
                UaOutput::Event(event) => {
                    self.handling = legs::session_of(&event);
                    self.event(event, ctx);
                    self.handling = None;
                }
            }
        }
        self.parts.keep();
        #[cfg(feature = "fault-injection")]
        self.send_through_faults(ctx);
        if !self.outgoing.is_empty() {
            let dead = self.parts.network.send(&mut self.outgoing);
            if !dead.is_empty() {
                self.flows_are_dead(&dead);
                ctx.notify(Continue);
            }
            self.passed.clear();
        }
        self.tell_upward();
        self.report();
        self.settle();
        self.tell_status();
        self.arm(ctx);
    }

    fn receive(&mut self, received: Received) {
        let served = self.at_edge(received).and_then(|received| self.hand_on(received));
        let Some(Received { flow, message }) = served else {
            return;
        };
        edge::count(&message);
        self.parts.shard.borrow_mut().ua.receive(now(), flow, message);
    }

    fn tell_upward(&mut self) {
        if self.upward.is_empty() {
            return;
        }
        let connector = self.parts.shard.borrow().id;
        if let Some(upwards) = self.parts.directory.upwards(connector) {
            upwards.post(std::mem::take(&mut self.upward));
        }
    }

    /// A session whose event crashed this actor is ended: what the event said is lost, and a leg that missed it might wait for ever.
    fn give_up_handled(&mut self) {
        let Some(session) = self.handling.take() else { return };
        let mut shard = self.parts.shard.borrow_mut();
        shard.ua.bye(now(), session, Some(INTERNAL_ERROR));
        let Some((conference, leg)) = shard.session(session).map(|entry| (entry.conference, entry.leg)) else {
            return;
        };
        let owner = shard.owner(conference, leg).cloned();
        shard.remove_session(session);
        if let Some(actor) = owner {
            // Unbounded post: one for each crash.
            let event = LegEvent::Ended {
                by_device: false,
                q850: None,
                reason: None,
            };
            actor.do_send(ConferenceMessage::Input(ConferenceInput::Leg { leg, event }));
        }
    }

    fn event(&mut self, event: UaEvent, ctx: &mut Context<Self>) {
        #[cfg(feature = "fault-injection")]
        assert!(!std::mem::take(&mut self.fragile), "injected into a connector by an event");
        match event {
            UaEvent::Incoming { session, invite } => self.incoming(session, &invite, ctx),
            UaEvent::Request { id, request, flow } => self.request(id, request, flow),
            UaEvent::Referred {
                session,
                refer,
                refer_to,
                replaces,
                referred_by,
            } => self.referred(session, ReferId(refer.0), refer_to, referred_by, replaces),
            event @ (UaEvent::Subscribed { .. } | UaEvent::SubscriptionRefreshed { .. } | UaEvent::SubscriptionEnded { .. }) => {
                self.subscription(event)
            }
            UaEvent::OutOfReach { session } => self.out_of_reach(session),
            event => self.leg_event(event),
        }
    }

    /// Whether the device of a session may come back its registration says. Nobody else does.
    fn out_of_reach(&mut self, session: SessionId) {
        let mut shard = self.parts.shard.borrow_mut();
        let Some(device) = shard.ua.device_of(session).cloned() else {
            return;
        };
        match target::whereabouts(&self.parts.directory.locations, &device, now()) {
            None => shard.ua.give_up(now(), session),
            Some(None) => {}
            Some(Some(flow)) => shard.ua.move_session(now(), session, flow),
        }
    }

    fn leg_event(&mut self, event: UaEvent) {
        let Some((session, event, over)) = legs::leg_event(event) else {
            return;
        };
        let mut shard = self.parts.shard.borrow_mut();
        let Some((conference, leg)) = shard.session(session).map(|entry| (entry.conference, entry.leg)) else {
            return;
        };
        let owner = shard.owner(conference, leg).cloned();
        if over {
            shard.remove_session(session);
        }
        if let Some(actor) = owner {
            // Unbounded post: a leg has one transaction per direction at a time, and legs are bounded by `max_sessions`.
            actor.do_send(ConferenceMessage::Input(ConferenceInput::Leg { leg, event }));
        }
    }

    fn incoming(&mut self, session: SessionId, invite: &IncomingInvite, ctx: &mut Context<Self>) {
        let admitted =
            self.parts
                .authenticator
                .borrow_mut()
                .caller(now(), &invite.request, self.source(&invite.request, invite.flow));
        let caller = match admitted {
            Admission::Admit(caller) => caller,
            Admission::Refuse { status, headers } => {
                return self.parts.shard.borrow_mut().ua.turn_away(now(), session, status, &headers);
            }
        };
        let Some(dialled) = target::dialled(&self.parts.devices(), &invite.request) else {
            return self.parts.shard.borrow_mut().ua.reject(now(), session, 416, &[]);
        };
        let replaces = match self.replaced(&invite.request) {
            Ok(replaces) => replaces,
            Err(status) => return self.parts.shard.borrow_mut().ua.reject(now(), session, status, &[]),
        };
        if !self.takes_call(&invite.request, replaces.is_some()) {
            let later = [("Retry-After".into(), RETRY_AFTER_SECONDS.into())];
            return self.parts.shard.borrow_mut().ua.turn_away(now(), session, 503, &later);
        }
        let id = self.parts.shard.borrow_mut().new_conference_id();
        // Whose address is not to be seen sends its media to us, and we send it on (RFC 3323 s.4.2, "session").
        let anchored = self.parts.devices().is_anchored(caller.id.dn()) || caller.presentation.hides_media();
        let actor = self.start_conference(id, anchored, ctx);
        let mut shard = self.parts.shard.borrow_mut();
        shard.limit_forwards(id, invite.request.max_forwards().ok().flatten());
        let description = shard.new_description();
        shard.add_session(session, id, OFFERED_LEG, OFFERED_PARTY, description);
        let mut headers = identity::forwardings(&invite.request);
        headers.extend(self.parts.pass_through.select(&invite.request));
        headers.retain(|(name, _)| !caller.privacy.takes_away(name));
        let locations = &self.parts.directory.locations;
        let passed_on = self.parts.directory.neighbours.have_passed_on(&invite.request, invite.flow);
        if let Some(device) = target::caller(locations, &caller.id, &invite.request, invite.flow, passed_on) {
            device.tell(&mut shard.ua, session);
        }
        let offered = OfferedCall {
            from: caller.id,
            presentation: caller.presentation,
            preferred: caller.preferred,
            dialled,
            conversation_id: invite.request.header_named(CONVERSATION_ID).map(Arc::from),
            sip_call_id: Arc::from(invite.request.call_id().unwrap_or_default()),
            replaces,
            diverted_by: identity::diverted_by(&invite.request),
            headers,
        };
        let input = ConferenceInput::Offered {
            party: OFFERED_PARTY,
            leg: OFFERED_LEG,
            offered,
            offer: invite.offer.clone(),
        };
        // Unbounded post: the first message of a new actor.
        actor.do_send(ConferenceMessage::Input(input));
    }

    fn request(&mut self, id: ServerRequestId, request: Message, flow: Flow) {
        match request.method() {
            Some(Method::Register) => self.register(id, request, flow),
            Some(Method::Options) => self.respond(id, 200, &[("Accept".into(), "application/sdp".into())]),
            Some(Method::Message | Method::Publish | Method::Subscribe) => self.respond(id, 501, &[]),
            _ => self.respond(id, 405, &[]),
        }
    }

    fn register(&mut self, id: ServerRequestId, request: Message, flow: Flow) {
        let dn = request
            .to()
            .ok()
            .and_then(|to| Uri::parse(to.uri).ok().map(|uri| self.parts.devices().dn_of(&uri)));
        let Some(dn) = dn else { return self.respond(id, 400, &[]) };
        let admission = self
            .parts
            .authenticator
            .borrow_mut()
            .device(now(), &request, self.source(&request, flow), dn);
        match admission {
            Admission::Refuse { status, headers } => {
                self.parts.shard.borrow_mut().ua.turn_away_request(id, status, &headers);
            }
            Admission::Admit(dn) => {
                if self
                    .parts
                    .registrar
                    .try_send(RegisterRequest { id, dn, request, flow })
                    .is_err()
                {
                    ActorKind::Registrar.metrics().shed.increment(1);
                    self.respond(id, 503, &[("Retry-After".into(), "5".into())]);
                }
            }
        }
    }

    fn respond(&mut self, id: ServerRequestId, status: u16, headers: &[(Arc<str>, Arc<str>)]) {
        self.parts.shard.borrow_mut().ua.respond(now(), id, status, headers, None);
    }

    pub(super) fn link_request(&mut self, request: LinkRequest, ctx: &mut Context<Self>) {
        let Some(request) = self.put_off(request) else { return };
        let request = match request {
            LinkRequest::Connector(request) => return self.as_a_whole(request, ctx),
            LinkRequest::AuditEnd => return self.release_unaudited(ctx),
            request => request,
        };
        let Some(id) = request.conference() else { return };
        self.parts.shard.borrow_mut().unaudited.remove(&id);
        let known = self.parts.shard.borrow().conference(id).cloned();
        let actor = match (known, &request) {
            (Some(actor), _) => actor,
            // Only a conference that the T-Server side made can be new; one that a connector made has ended.
            (None, LinkRequest::MakeParty(make)) if id.maker() == ConferenceId::TSERVER => {
                let anchored = self.parts.devices().is_anchored(make.target.dn()) || make.presentation.hides_media();
                self.start_conference(id, anchored, ctx)
            }
            // What it would end has ended; say so again, for the one who asked may not know.
            (None, _) => return self.notify(LinkNotification::ConferenceEnded { conference: id }),
        };
        if let Some(input) = self.conference_input(request, ctx) {
            // Unbounded post: the T-Server side has one request for a conference under way at a time.
            actor.do_send(ConferenceMessage::Input(input));
        }
    }

    /// The T-Server side has named all that it knows: what is left is nobody's.
    fn release_unaudited(&mut self, ctx: &mut Context<Self>) {
        let mut left: Vec<_> = self.parts.shard.borrow_mut().unaudited.drain().collect();
        left.sort_unstable();
        for conference in left {
            let cause = Cause::status(ReleasedBy::Server, 503);
            self.link_request(LinkRequest::ReleaseConference { conference, cause }, ctx);
        }
    }

    /// The input that a request is for its conference; `None` where another one is asked first.
    fn conference_input(&self, request: LinkRequest, ctx: &mut Context<Self>) -> Option<ConferenceInput> {
        Some(match request {
            LinkRequest::MakeParty(mut request) => {
                if request.as_endpoint
                    && let Some(uri) = self.parts.shard.borrow().endpoint(request.conference)
                {
                    request.show_endpoint(uri);
                }
                let locations = &self.parts.directory.locations;
                let contacts = target::contacts(&self.parts.devices(), locations, &request.target, &request.elsewhere);
                ConferenceInput::MakeParty { request, contacts }
            }
            LinkRequest::ReleaseParty { party, cause, .. } => ConferenceInput::ReleaseParty { party, cause },
            LinkRequest::ReleaseConference { cause, .. } => ConferenceInput::ReleaseConference { cause },
            LinkRequest::SetAudio { operation, plan, .. } => ConferenceInput::SetAudio { operation, plan },
            LinkRequest::Audit { .. } => ConferenceInput::Audit,
            LinkRequest::AuditEnd | LinkRequest::Connector(_) => return None,
            LinkRequest::AnswerParty { operation, party, .. } => ConferenceInput::AnswerParty { operation, party },
            LinkRequest::ConnectParty { party, .. } => ConferenceInput::ConnectParty { party },
            LinkRequest::SendDigits {
                operation,
                party,
                digits,
                ..
            } => ConferenceInput::SendDigits {
                operation,
                party,
                digits,
            },
            LinkRequest::MoveParty {
                conference,
                operation,
                party,
                from,
                from_party,
            } => {
                self.move_party((conference, party), operation, (from, from_party), ctx);
                return None;
            }
            LinkRequest::TransferProgress { transfer, status, .. } => ConferenceInput::TransferProgress { transfer, status },
        })
    }

    pub(super) fn end_all(&self) {
        let shard = self.parts.shard.borrow();
        for conference in shard.conference_ids() {
            if let Some(actor) = shard.conference(conference) {
                // Unbounded post: one for each conference.
                actor.do_send(ConferenceMessage::Input(ConferenceInput::Abort));
            }
        }
    }

    pub(super) fn notify(&mut self, notification: LinkNotification) {
        self.upward.push(notification);
    }

    fn legs(&mut self, conference: ConferenceId, commands: Vec<(LegId, LegCommand)>) {
        for (leg, command) in commands {
            let mut shard = self.parts.shard.borrow_mut();
            let locations = &self.parts.directory.locations;
            let failed = legs::carry_out(&mut shard, &self.parts.devices(), locations, now(), conference, leg, command);
            if let (Some(event), Some(actor)) = (failed, shard.owner(conference, leg)) {
                // Unbounded post: one for each command of that actor.
                actor.do_send(ConferenceMessage::Input(ConferenceInput::Leg { leg, event }));
            }
        }
    }

    fn resolve(&self, id: ResolveId, uri: Arc<str>, ctx: &mut Context<Self>) {
        let addr = ctx.address();
        let answer = (self.parts.resolve)(uri);
        // A task of its own, so that a crash of this actor does not lose the answer. Bounded by `max_sessions`.
        actix_rt::spawn(async move {
            let hops = answer.await;
            addr.do_send(ConnectorMessage::Resolved { id, hops });
        });
    }

    fn flow_failed(&mut self, flow: &Flow, connection: Option<ConnectionId>) {
        // A connector that was killed is back soon, and what is sent to it is sent again until then: a call does not end for that.
        if connection.is_none() && !flow.transport.is_reliable() && self.parts.directory.neighbours.is_at(flow.peer) {
            return;
        }
        self.parts.shard.borrow_mut().ua.flow_failed(now(), flow);
        if let Some(connection) = connection {
            // Unbounded post: connections are capped, and each closes once.
            self.parts.registrar.do_send(RegistrarMessage::ConnectionClosed(connection));
        }
    }

    /// Ends every session in whatever state it is, once: nobody is left to repeat what gets lost.
    fn say_farewell(&mut self) {
        let mut shard = self.parts.shard.borrow_mut();
        for session in shard.session_ids() {
            shard.ua.bye(now(), session, Some(INTERNAL_ERROR));
        }
        while let Some(output) = shard.ua.poll() {
            if let UaOutput::Send { flow, bytes } = output {
                self.outgoing.push((flow, bytes));
            }
        }
        self.parts.network.send(&mut self.outgoing);
    }

    pub(super) fn report(&mut self) {
        let stats = self.parts.shard.borrow().ua.stats();
        Metrics::of_process().ua_changed(&self.reported, &stats);
        self.reported = stats;
        self.pool_meters.show(self.parts.shard.borrow().resources.figures());
    }

    fn arm(&mut self, ctx: &mut Context<Self>) {
        let due = self.parts.shard.borrow().ua.next_timeout();
        let due = due.into_iter().chain(self.telling.due()).min();
        self.alarm.set_latest(due, ctx);
    }
}

impl Actor for ConnectorActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        // Where the journal is back everything is kept again.
        ctx.run_interval(LOOK_AFTER, |connector, _| connector.parts.keep());
        self.refill(ctx);
    }
}

impl Alarmed for ConnectorActor {
    fn alarm(&mut self) -> &mut Alarm {
        &mut self.alarm
    }

    fn ring(&mut self, ctx: &mut Context<Self>) {
        self.parts.shard.borrow_mut().ua.timeout(now());
        self.turn(ctx);
    }
}

impl Supervised for ConnectorActor {
    fn restarting(&mut self, ctx: &mut Context<Self>) {
        escalate_if_due(self);
        self.alarm = Alarm::default();
        // What was to be sent when the crash came, and what the user agent had yet to say, still stands there.
        ctx.notify(Continue);
    }
}

impl Escalation for ConnectorActor {
    fn escalate(&mut self) {
        // A user agent that crashes on its farewell says none: then the devices find out by themselves.
        if catch_unwind(AssertUnwindSafe(|| self.say_farewell())).is_err() {
            tracing::error!("the SIP layer cannot end its calls any more");
        }
        self.end_all();
        let mut shard = self.parts.shard.borrow_mut();
        for (leg, owner) in shard.forget_sessions() {
            // Unbounded post: one for each leg. Nothing more will be heard of them.
            let event = LegEvent::Ended {
                by_device: false,
                q850: None,
                reason: None,
            };
            owner.do_send(ConferenceMessage::Input(ConferenceInput::Leg { leg, event }));
        }
        shard.ua = (self.parts.fresh_ua)(&shard.ua);
        shard.ua.set_notifier(subscriptions::notifier());
        tracing::error!(connector = %shard.id, "connector starts with a fresh SIP layer; its calls are ended");
    }
}

/// Look again at what the user agent has to say.
#[derive(actix::Message)]
#[rtype(result = "()")]
struct Continue;

impl Handler<Continue> for ConnectorActor {
    type Result = ();

    fn handle(&mut self, _: Continue, ctx: &mut Context<Self>) {
        self.turn(ctx);
    }
}

impl Handler<ConnectorMessage> for ConnectorActor {
    type Result = ();

    fn handle(&mut self, message: ConnectorMessage, ctx: &mut Context<Self>) {
        let Some(message) = self.not_too_early(message) else {
            return;
        };
        match message {
            ConnectorMessage::Received { batch, backlog, waiting } => {
                drop((backlog, waiting));
                #[cfg(feature = "fault-injection")]
                let batch = self.receive_through_faults(batch, ctx);
                for received in batch {
                    self.receive(received);
                }
            }
            ConnectorMessage::Link { request, .. } => self.link_request(request, ctx),
            ConnectorMessage::Synchronise => self.synchronise(),
            ConnectorMessage::Legs {
                conference,
                commands,
                notifications,
                ..
            } => {
                self.legs(conference, commands);
                self.upward.extend(notifications);
            }
            ConnectorMessage::GiveAway { conference, leg, moving } => self.give_away(conference, leg, *moving),
            ConnectorMessage::EndAway { conference } => self.end_away(conference),
            ConnectorMessage::SendAfter { conference, leg, event } => self.send_after(conference, leg, event),
            ConnectorMessage::RosterChanged(dn) => self.roster_changed(&dn),
            ConnectorMessage::Locate {
                dialog,
                asking,
                conference,
                leg,
                refer,
                to,
            } => self.locate(&dialog, &asking, (conference, leg), refer, to),
            ConnectorMessage::Respond { id, status, headers } => self.respond(id, status, &headers),
            ConnectorMessage::DeviceArrived(arrival) => self.parts.shard.borrow_mut().ua.device_arrived(now(), &arrival),
            ConnectorMessage::Resolved { id, hops } => self.parts.shard.borrow_mut().ua.resolved(now(), id, hops),
            ConnectorMessage::FlowFailed { flow, connection } => self.flow_failed(&flow, connection),
            ConnectorMessage::ConferenceOver { conference } => self.conference_over(conference, ctx),
            ConnectorMessage::ConferenceDown { conference } => self.conference_down(conference, ctx),
            ConnectorMessage::LegsKept { conference, legs } => self.legs_kept(conference, &legs),
            ConnectorMessage::EndAll => self.end_all(),
            ConnectorMessage::SettingsChanged => self.settings_changed(ctx),
            ConnectorMessage::Drain(message) => self.drain_message(message, ctx),
            #[cfg(feature = "fault-injection")]
            ConnectorMessage::Crash => panic!("injected into a connector"),
            #[cfg(feature = "fault-injection")]
            ConnectorMessage::Pause { whole_thread } => self.pause(whole_thread, ctx),
            #[cfg(feature = "fault-injection")]
            ConnectorMessage::CrashAtEvent => self.fragile = true,
            #[cfg(feature = "fault-injection")]
            ConnectorMessage::CrashRegistrar => self.parts.registrar.do_send(RegistrarMessage::Crash),
            #[cfg(feature = "fault-injection")]
            ConnectorMessage::CrashConference(id) => {
                if let Some(actor) = self.parts.shard.borrow().conference(id) {
                    actor.do_send(ConferenceMessage::Crash);
                }
            }
        }
        self.turn(ctx);
    }
}

impl Handler<QueryConnector> for ConnectorActor {
    type Result = ConnectorSummary;

    fn handle(&mut self, _: QueryConnector, _: &mut Context<Self>) -> ConnectorSummary {
        let shard = self.parts.shard.borrow();
        ConnectorSummary {
            id: shard.id.0,
            conferences: shard.conference_count(),
            stats: shard.ua.stats(),
            state: self.parts.directory.shards.state(shard.id),
            endpoints: shard.resources.services(),
        }
    }
}
