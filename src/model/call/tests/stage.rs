//! A stage for the flows of several parties: a fake connector that does what it is asked, and transcripts of what everybody is told.
//!
//! The fake knows conferences and parties, answers operations, and can be told to fail or to stay silent. It plays no audio: it keeps
//! the plan that is in force.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use super::*;
use crate::link::{AudioPlan, AudioSource, MediaFlowState, OperationId, PartyProgress, PartyStatus, TransferId, TransferTarget};
use crate::numbering::{NumberingBuilder, PassThrough};
use crate::request::{OnCall, OnCallWith, OnTwoCalls};

pub(super) const CAROL: &str = "sip:carol@tandem.local";
pub(super) const DAVE: &str = "sip:dave@tandem.local";
pub(super) const ERIN: &str = "sip:erin@tandem.local";
/// The ConnIDs of consultation calls, in order, are this and those after it.
pub(super) const CONSULT: ConnId = ConnId(0xb01);
/// The conference of the second group.
pub(super) const SECOND: ConferenceId = ConferenceId(8);
/// The ConnID of its call.
pub(super) const OTHER: ConnId = ConnId(0xc01);

pub(super) fn many(pass_through: PassThrough) -> Arc<Numbering> {
    many_with(|builder| builder.pass_through(pass_through))
}

/// The same people under other policies.
pub(super) fn many_with(policy: impl FnOnce(NumberingBuilder) -> NumberingBuilder) -> Arc<Numbering> {
    let extension = |dn: &str, number: &str| {
        let mut config = DnConfig::extension(dn);
        config.extension_number = Some(number.into());
        config
    };
    let mut outward = DialRule::new("0.", TRUNK);
    outward.strip = 1;
    outward.prepend = "+49".into();
    let builder = Numbering::builder()
        .domain("tandem.local")
        .dn(DnConfig::trunk(TRUNK))
        .rule(outward);
    let builder = policy(builder);
    let people = [
        (ALICE, "2000"),
        (BOB, "2001"),
        (CAROL, "2002"),
        (DAVE, "2003"),
        (ERIN, "2004"),
    ];
    let built = people
        .into_iter()
        .fold(builder, |builder, (dn, number)| builder.dn(extension(dn, number)));
    Arc::new(built.build().unwrap())
}

/// Where a party is.
type At = (ConferenceId, PartyId);

/// A device of the fake connector.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Fake {
    pub(super) dn: DnId,
    pub(super) connected: bool,
    pub(super) held: bool,
}

impl Fake {
    pub(super) fn new(dn: DnId, connected: bool) -> Self {
        Self {
            dn,
            connected,
            held: false,
        }
    }
}

/// The stage: a group, the fake, and what was given out.
#[derive(Clone)]
pub(super) struct Stage {
    pub(super) call: Call,
    pub(super) now: Instant,
    pub(super) lines: Vec<String>,
    pub(super) out: Vec<CallOutput>,
    pub(super) live: BTreeMap<(ConferenceId, PartyId), Fake>,
    pub(super) plans: BTreeMap<ConferenceId, AudioPlan>,
    /// Operations are answered at once, refused with this status, or (0) not at all.
    pub(super) refuse: Option<u16>,
    /// Operations that were not answered.
    pub(super) waiting: Vec<(ConferenceId, OperationId, Option<AudioPlan>)>,
    /// Moves that were not answered.
    pub(super) moves: Vec<(At, OperationId, At)>,
    /// Conferences in which a transfer was accepted that is not over; they end with it.
    pub(super) transfers: BTreeSet<ConferenceId>,
    /// How operations were answered: asked again under its id, one gets the same answer.
    pub(super) answers: BTreeMap<(ConferenceId, OperationId), LinkNotification>,
    /// Conferences that owe an account of themselves.
    pub(super) audits: Vec<ConferenceId>,
    /// How often the process came back.
    pub(super) restarts: u32,
    pub(super) spare: u64,
    /// How many calls came that took the place of a party.
    pub(super) pickups: u64,
    /// The ReferenceID of the last request.
    pub(super) reference: u32,
    /// Other groups that may be absorbed.
    pub(super) others: Vec<Stage>,
    /// What clients ask of their DNs.
    pub(super) wishes: Wishes,
}

fn ids(conn: ConnId, conference: ConferenceId) -> CallIds {
    CallIds {
        conn_id: conn,
        call_uuid: CallUuid(conn.0.into()),
        call_id: conn.0,
        conversation_id: format!("conversation-{conn}").into(),
        conference,
    }
}

impl Stage {
    pub(super) fn empty(conn: ConnId, conference: ConferenceId) -> Self {
        Self {
            call: Call::new(ids(conn, conference), many(PassThrough::All), CallSettings::default()),
            now: Instant::now(),
            lines: Vec::new(),
            out: Vec::new(),
            live: BTreeMap::new(),
            plans: BTreeMap::new(),
            refuse: None,
            waiting: Vec::new(),
            moves: Vec::new(),
            transfers: BTreeSet::new(),
            answers: BTreeMap::new(),
            audits: Vec::new(),
            restarts: 0,
            spare: CONSULT.0,
            pickups: 0,
            reference: 0,
            others: Vec::new(),
            wishes: Wishes::default(),
        }
    }

    /// Somebody calls `dialled`; nobody has answered.
    pub(super) fn calling(conn: ConnId, conference: ConferenceId, from: CallerId, dialled: &str) -> Self {
        Self::calling_by(many(PassThrough::All), (conn, conference), from, dialled)
    }

    /// The same under another policy.
    pub(super) fn calling_by(numbering: Arc<Numbering>, at: (ConnId, ConferenceId), from: CallerId, dialled: &str) -> Self {
        Self::calling_as_wished(numbering, Wishes::default(), at, from, dialled)
    }

    /// The same where clients ask for something.
    pub(super) fn calling_as_wished(
        numbering: Arc<Numbering>,
        wishes: Wishes,
        (conn, conference): (ConnId, ConferenceId),
        from: CallerId,
        dialled: &str,
    ) -> Self {
        let mut stage = Self::empty(conn, conference);
        stage.call.numbering = numbering;
        stage.wishes = wishes;
        let dn = match &from {
            CallerId::Extension(dn) => dn.clone(),
            CallerId::Trunk { number, .. } => number.clone(),
        };
        stage.live.insert((conference, A), Fake::new(dn, true));
        let mut offered = offered_from(from, dialled);
        offered.conference = conference;
        stage.input(CallInput::Offered(offered));
        stage
    }

    /// Alice has called Bob, and they talk.
    pub(super) fn talking() -> Self {
        let mut stage = Self::calling(CONN, CONFERENCE, CallerId::Extension(ALICE.into()), "bob");
        stage.answers(BOB).forget();
        stage
    }

    /// Somebody from outside talks to Bob.
    pub(super) fn talking_to_outside() -> Self {
        let mut stage = Self::calling(CONN, CONFERENCE, from_pstn(), "bob");
        stage.answers(BOB).forget();
        stage
    }

    /// And Bob consults Carol, who rings.
    pub(super) fn consulting() -> Self {
        let mut stage = Self::talking();
        stage.with(OnCallWith::InitiateTransfer, BOB, CONN, "carol").forget();
        stage
    }

    /// And Carol has answered.
    pub(super) fn consulted() -> Self {
        let mut stage = Self::consulting();
        stage.answers(CAROL).forget();
        stage
    }

    /// Alice, Bob and Carol are in a conference.
    pub(super) fn conference() -> Self {
        let mut stage = Self::consulted();
        stage.two(OnTwoCalls::CompleteConference, BOB, CONN, CONSULT).forget();
        stage
    }

    /// Bob has called Carol separately, on a second line.
    pub(super) fn second_line(self) -> Self {
        self.second_line_of(BOB, CAROL)
    }

    /// Somebody has called somebody separately.
    pub(super) fn second_line_of(mut self, from: &str, to: &str) -> Self {
        let mut second = Self::calling(OTHER, SECOND, CallerId::Extension(from.into()), DnId::new(to).user());
        second.answers(to).forget();
        self.live.extend(second.live.clone());
        self.others.push(second);
        self
    }

    pub(super) fn input(&mut self, input: CallInput) -> &mut Self {
        self.now += Duration::from_millis(10);
        let mut inputs = vec![input];
        while !inputs.is_empty() {
            let input = inputs.remove(0);
            let mut out = Vec::new();
            self.call.handle(CallInput::Wishes(self.wishes.clone()), self.now, &mut out);
            self.call.handle(input, self.now, &mut out);
            inputs.extend(self.carry_out(out));
        }
        self
    }

    /// What comes of what the group wants done.
    pub(super) fn carry_out(&mut self, out: Vec<CallOutput>) -> Vec<CallInput> {
        let mut inputs = Vec::new();
        for output in out {
            self.lines.extend(shown(&output));
            let told = self.serve(&output);
            if let CallOutput::Link(request) = &output {
                let answers = told.iter().filter_map(|told| Some((operation_of(told)?, told.clone())));
                self.answers.extend(answers.filter(|_| is_operation(request)));
            }
            inputs.extend(told.into_iter().map(CallInput::Link));
            if let CallOutput::Absorb(wanted) = &output {
                inputs.push(CallInput::Absorbed(self.surrendered(*wanted)));
            }
            self.out.push(output);
        }
        inputs
    }

    fn surrendered(&mut self, wanted: Wanted) -> Result<Box<Call>, TError> {
        let has = |stage: &Stage| match wanted {
            Wanted::Call(conn_id) => stage.call.conn_ids().any(|id| id == conn_id),
            Wanted::Conference(conference) => stage.call.conferences().any(|id| id == conference),
        };
        let other = self
            .others
            .iter_mut()
            .find(|stage| has(stage))
            .ok_or(TErrorCode::InvalidConnId)?;
        other.call.surrender()
    }

    /// What the connector says to a request.
    fn serve(&mut self, output: &CallOutput) -> Vec<LinkNotification> {
        let CallOutput::Link(request) = output else {
            return Vec::new();
        };
        if let Some(answer) = asked_as(request).and_then(|id| self.answers.get(&id)) {
            return vec![answer.clone()];
        }
        match request.clone() {
            LinkRequest::MakeParty(make) => {
                let (conference, party) = (make.conference, make.party);
                let dn = match make.target {
                    PartyTarget::Dn(dn) => dn,
                    PartyTarget::Trunk { number, .. } => DnId::new(&number),
                };
                let fresh = self.live.insert((conference, party), Fake::new(dn, false));
                assert!(fresh.is_none(), "party {party} is made twice");
                vec![
                    LinkNotification::PartyCreated { conference, party },
                    LinkNotification::PartyAlerting { conference, party },
                ]
            }
            LinkRequest::ReleaseParty {
                conference,
                party,
                cause,
                ..
            } => self.gone(conference, party, cause),
            LinkRequest::ReleaseConference { conference, cause } => {
                let here: Vec<PartyId> = self
                    .live
                    .keys()
                    .filter(|(at, _)| *at == conference)
                    .map(|(_, id)| *id)
                    .collect();
                here.into_iter()
                    .flat_map(|party| self.gone(conference, party, cause.clone()))
                    .collect()
            }
            LinkRequest::SetAudio {
                conference,
                operation,
                plan,
            } => self.operate(conference, operation, Some(plan)),
            LinkRequest::SendDigits {
                conference, operation, ..
            } => self.operate(conference, operation, None),
            LinkRequest::MoveParty {
                conference,
                operation,
                party,
                from,
                from_party,
            } => self.move_party((conference, party), operation, (from, from_party)),
            LinkRequest::ConnectParty { conference, party } => {
                self.live.get_mut(&(conference, party)).map_or(Vec::new(), |fake| {
                    fake.connected = true;
                    vec![LinkNotification::PartyConnected { conference, party }]
                })
            }
            LinkRequest::Audit { conference } if self.refuse == Some(0) => {
                self.audits.push(conference);
                Vec::new()
            }
            LinkRequest::Audit { conference } => vec![self.account(conference)],
            LinkRequest::AnswerParty {
                conference,
                operation,
                party,
            } => self.tell_to_answer((conference, party), operation),
            LinkRequest::TransferProgress { conference, status, .. } => self.transfer_goes_on(conference, status),
            LinkRequest::AuditEnd | LinkRequest::Connector(_) => Vec::new(),
        }
    }

    fn operate(&mut self, conference: ConferenceId, operation: OperationId, plan: Option<AudioPlan>) -> Vec<LinkNotification> {
        match self.refuse {
            None => {
                if let Some(plan) = plan {
                    self.waiting.retain(|waiting| waiting.0 != conference || waiting.2.is_none());
                    self.plans.insert(conference, plan);
                }
                vec![LinkNotification::OperationDone { conference, operation }]
            }
            Some(0) => {
                // Asked again under its id it is the same; another plan for the same conference takes its place.
                let stays = |waiting: &(ConferenceId, OperationId, Option<AudioPlan>)| {
                    waiting.0 != conference || waiting.1 != operation && (waiting.2.is_none() || plan.is_none())
                };
                self.waiting.retain(stays);
                self.waiting.push((conference, operation, plan));
                Vec::new()
            }
            Some(status) => vec![LinkNotification::OperationFailed {
                conference,
                operation,
                cause: Cause::status(ReleasedBy::Network, status),
            }],
        }
    }

    fn tell_to_answer(&mut self, at: At, operation: OperationId) -> Vec<LinkNotification> {
        let (conference, by) = match self.live.contains_key(&at) {
            true => (at.0, ReleasedBy::Device),
            false => (at.0, ReleasedBy::Network),
        };
        let status = self.refuse.filter(|status| *status != 0);
        match status.or((by == ReleasedBy::Network).then_some(481)) {
            None => self.operate(conference, operation, None),
            Some(status) => vec![LinkNotification::OperationFailed {
                conference,
                operation,
                cause: Cause::status(by, status),
            }],
        }
    }

    /// What waits is done now.
    pub(super) fn catch_up(&mut self) -> &mut Self {
        self.refuse = None;
        for conference in std::mem::take(&mut self.audits) {
            let account = self.account(conference);
            self.input(CallInput::Link(account));
        }
        while !self.moves.is_empty() {
            self.settle_move(false, false);
        }
        for (conference, operation, plan) in std::mem::take(&mut self.waiting) {
            if let Some(plan) = plan {
                self.plans.insert(conference, plan);
            }
            self.input(CallInput::Link(LinkNotification::OperationDone { conference, operation }));
        }
        self
    }

    fn move_party(&mut self, to: At, operation: OperationId, from: At) -> Vec<LinkNotification> {
        let (conference, failed) = (to.0, self.refuse.is_some_and(|status| status != 0));
        if self.refuse == Some(0) {
            self.moves.retain(|(_, other, _)| *other != operation);
            self.moves.push((to, operation, from));
            return Vec::new();
        }
        let movable = self.live.get(&from).is_some_and(|fake| fake.connected) && !failed;
        if !movable {
            return vec![LinkNotification::OperationFailed {
                conference,
                operation,
                cause: Cause::status(ReleasedBy::Network, 481),
            }];
        }
        let fake = self.live.remove(&from).unwrap();
        if !self.live.keys().any(|(at, _)| *at == conference) {
            // It came too late: nobody looks after the leg there, and nothing more is told.
            let moved = LinkNotification::PartyMoved {
                conference: from.0,
                party: from.1,
            };
            return [moved].into_iter().chain(self.ended(from.0)).collect();
        }
        self.live.insert(to, fake);
        let mut told = vec![
            LinkNotification::PartyMoved {
                conference: from.0,
                party: from.1,
            },
            LinkNotification::OperationDone { conference, operation },
        ];
        told.extend(self.ended(from.0));
        told
    }

    /// A move that waits is done, or fails; one that fails may have taken the leg along.
    pub(super) fn settle_move(&mut self, fails: bool, away: bool) {
        let Some((to, operation, from)) = self.moves.pop() else {
            return;
        };
        let refuse = self.refuse.take();
        let conference = to.0;
        let failed = LinkNotification::OperationFailed {
            conference,
            operation,
            cause: Cause::status(ReleasedBy::Network, 503),
        };
        let told = match (fails, away && self.live.contains_key(&from)) {
            (false, _) => self.move_party(to, operation, from),
            (true, false) => vec![failed],
            (true, true) => {
                self.live.remove(&from);
                let moved = LinkNotification::PartyMoved {
                    conference: from.0,
                    party: from.1,
                };
                [moved, failed].into_iter().chain(self.ended(from.0)).collect()
            }
        };
        self.refuse = refuse;
        let answers = told.iter().filter_map(|told| Some((operation_of(told)?, told.clone())));
        self.answers.extend(answers.collect::<Vec<_>>());
        for notification in told {
            self.input(CallInput::Link(notification));
        }
    }

    fn gone(&mut self, conference: ConferenceId, party: PartyId, cause: Cause) -> Vec<LinkNotification> {
        if self.live.remove(&(conference, party)).is_none() {
            return Vec::new();
        }
        let mut told = vec![LinkNotification::PartyReleased {
            conference,
            party,
            cause,
        }];
        told.extend(self.ended(conference));
        told
    }

    pub(super) fn ended(&self, conference: ConferenceId) -> Option<LinkNotification> {
        let empty = !self.live.keys().any(|(at, _)| *at == conference);
        (empty && !self.transfers.contains(&conference)).then_some(LinkNotification::ConferenceEnded { conference })
    }

    /// The newest device of a DN.
    pub(super) fn at(&self, dn: &str) -> (ConferenceId, PartyId) {
        let found = self.live.iter().rev().find(|(_, fake)| fake.dn == DnId::new(dn));
        *found.unwrap_or_else(|| panic!("{dn} has no device in {:?}", self.live)).0
    }

    pub(super) fn answers(&mut self, dn: &str) -> &mut Self {
        let (conference, party) = self.at(dn);
        if let Some(fake) = self.live.get_mut(&(conference, party)) {
            fake.connected = true;
        }
        self.input(CallInput::Link(LinkNotification::PartyConnected { conference, party }))
    }

    pub(super) fn leaves(&mut self, dn: &str, cause: Cause) -> &mut Self {
        let at = self.at(dn);
        self.leaves_from(at, cause)
    }

    pub(super) fn leaves_from(&mut self, (conference, party): (ConferenceId, PartyId), cause: Cause) -> &mut Self {
        for notification in self.gone(conference, party, cause) {
            self.input(CallInput::Link(notification));
        }
        self
    }

    pub(super) fn hangs_up(&mut self, dn: &str) -> &mut Self {
        self.leaves(dn, Cause::normal(ReleasedBy::Device))
    }

    pub(super) fn declines(&mut self, dn: &str, status: u16) -> &mut Self {
        self.leaves(dn, Cause::status(ReleasedBy::Device, status))
    }

    pub(super) fn holds_by_phone(&mut self, dn: &str, held: bool) -> &mut Self {
        let at = self.at(dn);
        self.holds_by_phone_at(at, held)
    }

    pub(super) fn holds_by_phone_at(&mut self, (conference, party): At, held: bool) -> &mut Self {
        if let Some(fake) = self.live.get_mut(&(conference, party)) {
            fake.held = held;
        }
        self.input(CallInput::Link(LinkNotification::PartyHeld { conference, party, held }))
    }

    /// What a conference says that it is.
    pub(super) fn account(&self, conference: ConferenceId) -> LinkNotification {
        let here = || self.live.iter().filter(|((at, _), _)| *at == conference);
        let talk = here().filter(|(_, fake)| fake.connected).count() > 1;
        let status = |((_, party), fake): (&At, &Fake)| PartyStatus {
            party: *party,
            progress: match fake.connected {
                true if talk => PartyProgress::Connected,
                true => PartyProgress::Created,
                false => PartyProgress::Alerting,
            },
            held: fake.held,
            flow: MediaFlowState::Unknown,
        };
        let parties: Vec<PartyStatus> = here().map(status).collect();
        if parties.is_empty() {
            return LinkNotification::ConferenceEnded { conference };
        }
        LinkNotification::ConferenceState { conference, parties }
    }

    /// The process dies and comes back with what was kept of the group; `false`: nothing was.
    pub(super) fn restart(&mut self) -> bool {
        let anchor = (self.now, SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000));
        let Some(snapshot) = self.call.snapshot(anchor) else {
            return false;
        };
        let bytes = rmp_serde::to_vec_named(&snapshot).unwrap();
        let read: CallSnapshot = rmp_serde::from_slice(&bytes).unwrap();
        assert_eq!(read, snapshot);
        let (numbering, settings) = (self.call.numbering.clone(), self.call.settings);
        let mut out = Vec::new();
        self.call = Call::restore(read, numbering, settings, anchor, self.now, &mut out);
        for input in self.carry_out(out) {
            self.input(input);
        }
        true
    }

    pub(super) fn refers(&mut self, dn: &str, to: TransferTarget) -> &mut Self {
        let (conference, party) = self.at(dn);
        self.refers_from((conference, party), to)
    }

    pub(super) fn refers_from(&mut self, (conference, party): (ConferenceId, PartyId), to: TransferTarget) -> &mut Self {
        self.input(CallInput::Link(LinkNotification::TransferRequested {
            conference,
            party,
            transfer: TransferId(1),
            to,
        }))
    }

    pub(super) fn ask(&mut self, request: Request) -> &mut Self {
        self.call.handle(
            CallInput::Spare(Box::new(ids(ConnId(self.spare), CONFERENCE))),
            self.now,
            &mut Vec::new(),
        );
        self.spare += 1;
        self.reference += 1;
        let requestor = Requestor {
            client: ClientId(5),
            reference_id: Some(ReferenceId(self.reference)),
        };
        self.input(CallInput::Request { requestor, request })
    }

    pub(super) fn on(&mut self, operation: OnCall, dn: &str, conn_id: ConnId) -> &mut Self {
        self.ask(Request::OnCall {
            operation,
            this_dn: dn.into(),
            conn_id,
            reasons: KvList::new(),
            extensions: KvList::new(),
        })
    }

    pub(super) fn with(&mut self, operation: OnCallWith, dn: &str, conn_id: ConnId, other_dn: &str) -> &mut Self {
        self.ask(with_request(operation, dn, conn_id, other_dn))
    }

    pub(super) fn two(&mut self, operation: OnTwoCalls, dn: &str, conn_id: ConnId, other_conn_id: ConnId) -> &mut Self {
        self.ask(Request::OnTwoCalls {
            operation,
            this_dn: dn.into(),
            conn_id,
            other_conn_id,
            reasons: KvList::new(),
            extensions: KvList::new(),
        })
    }

    pub(super) fn release(&mut self, dn: &str, conn_id: ConnId) -> &mut Self {
        self.ask(Request::ReleaseCall {
            this_dn: dn.into(),
            conn_id,
            reasons: KvList::new(),
        })
    }

    pub(super) fn forget(&mut self) -> &mut Self {
        self.lines.clear();
        self.out.clear();
        self
    }

    /// Holds the transcript against the expected one, line by line, without indentation.
    #[track_caller]
    pub(super) fn says(&mut self, expected: &str) -> &mut Self {
        let expected: Vec<&str> = expected.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        assert_eq!(self.lines, expected, "\n{}\n", self.lines.join("\n"));
        self.forget();
        self
    }

    /// Who hears whom in a conference, by the plan that is in force: `alice<bob bob<alice`.
    pub(super) fn hearing(&self, conference: ConferenceId) -> String {
        let here: Vec<(PartyId, &Fake)> = self
            .live
            .iter()
            .filter(|((at, _), _)| *at == conference)
            .map(|((_, id), fake)| (*id, fake))
            .collect();
        let plan = self.plans.get(&conference).cloned().unwrap_or_default();
        let row = |id: PartyId| plan.rows.iter().find(|row| row.party == id);
        let name = |id: PartyId| here.iter().find(|(other, _)| *other == id).map(|(_, fake)| fake.dn.user());
        let hears = |id: PartyId| -> Vec<&str> {
            match row(id) {
                Some(row) => row
                    .sources
                    .iter()
                    .filter_map(|source| match source {
                        AudioSource::Party(other) => name(*other),
                        _ => Some("music"),
                    })
                    .collect(),
                None => here
                    .iter()
                    .filter(|(other, _)| *other != id && row(*other).is_none())
                    .map(|(_, fake)| fake.dn.user())
                    .collect(),
            }
        };
        let lines: Vec<String> = here
            .iter()
            .map(|(id, fake)| format!("{}<{}", fake.dn.user(), hears(*id).join("+")))
            .collect();
        lines.join(" ")
    }
}

/// The operation that a notification answers.
fn operation_of(told: &LinkNotification) -> Option<(ConferenceId, OperationId)> {
    match told {
        LinkNotification::OperationDone { conference, operation }
        | LinkNotification::OperationFailed {
            conference, operation, ..
        } => Some((*conference, *operation)),
        _ => None,
    }
}

/// The operation that a request asks for.
fn asked_as(request: &LinkRequest) -> Option<(ConferenceId, OperationId)> {
    match request {
        LinkRequest::SetAudio {
            conference, operation, ..
        }
        | LinkRequest::SendDigits {
            conference, operation, ..
        }
        | LinkRequest::AnswerParty {
            conference, operation, ..
        }
        | LinkRequest::MoveParty {
            conference, operation, ..
        } => Some((*conference, *operation)),
        _ => None,
    }
}

fn is_operation(request: &LinkRequest) -> bool {
    asked_as(request).is_some()
}

pub(super) fn with_request(operation: OnCallWith, dn: &str, conn_id: ConnId, other_dn: &str) -> Request {
    Request::OnCallWith {
        operation,
        this_dn: dn.into(),
        conn_id,
        other_dn: other_dn.to_owned(),
        location: None,
        user_data: KvList::new(),
        reasons: KvList::new(),
        extensions: KvList::new(),
    }
}

/// One line for each output that anybody sees. Calls by the last letter and digit of their ConnID: `a1` the first, `b1` the consultation.
fn shown(output: &CallOutput) -> Option<String> {
    let conn = |id: ConnId| format!("{:x}{:x}", id.0 >> 8, id.0 & 0xff);
    match output {
        CallOutput::Event { event, requestor } => Some(event_shown(event, requestor.is_some())),
        CallOutput::Answer { event, .. } => Some(format!("only {}", event_shown(event, true))),
        CallOutput::Link(LinkRequest::MakeParty(make)) => {
            let target = match &make.target {
                PartyTarget::Dn(dn) => dn.user().to_owned(),
                PartyTarget::Trunk { number, .. } => number.to_string(),
            };
            Some(format!("link: make {} {target} as {}", make.party, make.caller.user()))
        }
        CallOutput::Link(LinkRequest::ReleaseParty { party, cause, .. }) => Some(release_line(*party, cause)),
        CallOutput::Link(LinkRequest::SetAudio { .. }) => Some("link: audio".to_owned()),
        CallOutput::Link(LinkRequest::AnswerParty { party, .. }) => Some(format!("link: answer {party}")),
        CallOutput::Link(LinkRequest::ConnectParty { party, .. }) => Some(format!("link: connect {party}")),
        CallOutput::Link(LinkRequest::MoveParty { party, from_party, .. }) => Some(format!("link: move {from_party} to {party}")),
        CallOutput::Link(LinkRequest::SendDigits { party, digits, .. }) => Some(format!("link: digits {digits} to {party}")),
        CallOutput::Link(LinkRequest::TransferProgress { status, .. }) => Some(format!("link: progress {status}")),
        CallOutput::Link(LinkRequest::ReleaseConference { .. }) => Some("link: release all".to_owned()),
        CallOutput::Link(LinkRequest::Audit { .. }) => Some("link: audit".to_owned()),
        CallOutput::Link(LinkRequest::AuditEnd | LinkRequest::Connector(_)) => Some("link: of no conference".to_owned()),
        CallOutput::Opened { conn_id } => Some(format!("opened {}", conn(*conn_id))),
        CallOutput::Closed { conn_id, record } => Some(format!("closed {} {}", conn(*conn_id), record.outcome.name())),
        CallOutput::DataLeftOut { .. } => Some("data left out".to_owned()),
        CallOutput::Absorb(_) => Some("absorb".to_owned()),
        CallOutput::Finished => Some("finished".to_owned()),
    }
}

fn event_shown(event: &Event, starred: bool) -> String {
    let conn = |id: ConnId| format!("{:x}{:x}", id.0 >> 8, id.0 & 0xff);
    let role = |role: Option<DnRole>| role.map_or("-", DnRole::name);
    let this = event.this_dn.as_ref().map_or("-", DnId::user);
    let star = if starred { "*" } else { "" };
    if let Some(error) = &event.error {
        return format!("{this} EventError{star} {}", error.code.number());
    }
    let mut line = format!("{this} {}{star}", event.name);
    line += &event.conn_id.map_or(String::new(), |id| format!(" {}", conn(id)));
    line += &format!(" {}", role(event.this_dn_role));
    if let Some(other) = &event.other_dn {
        line += &format!(" > {} {}", other.user(), role(event.other_dn_role));
    }
    if let Some(third) = &event.third_party_dn {
        line += &format!(" by {} {}", third.user(), role(event.third_party_dn_role));
    }
    line += &format!(" {}", event.call_state.map_or("-", CallState::name));
    line += &event.cause.map_or(String::new(), |cause| format!(" {}", cause.name()));
    for (name, id) in [
        ("was", event.previous_conn_id),
        ("transfers", event.transfer_conn_id),
        ("conferences", event.conference_conn_id),
    ] {
        line += &id.map_or(String::new(), |id| format!(" {name} {}", conn(id)));
    }
    line
}
