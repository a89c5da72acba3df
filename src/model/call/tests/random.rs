//! Whatever parties ask, phones do and the connector answers, in whatever order: one end for each party, one answer for each request,
//! both pictures of the calls agree, nothing is left.

use std::collections::{HashMap, HashSet};
use std::time::SystemTime;

use proptest::prelude::*;

use super::stage::*;
use super::*;
use crate::EventName;
use crate::dn::wish::InForce;
use crate::event_log::EventLog;
use crate::link::{OperationId, TransferTarget};
use crate::numbering::{
    CallingMethod, CallingPolicy, DestinationRule, DialPlan, DirectCalls, DirectOverride, HandleDirectCalls, PassThrough,
};
use crate::request::{OnCall, OnCallWith, OnTwoCalls};

const PEOPLE: [&str; 5] = [ALICE, BOB, CAROL, DAVE, ERIN];
const NUMBERS: [&str; 7] = ["alice", "2001", "carol", "dave", "erin", "030555", "nobody"];

/// What was seen so far, and the rules it is held against.
struct Watch {
    log: EventLog,
    /// The live parties: by call and DN.
    live: HashSet<(ConnId, DnId)>,
    ended: u32,
    /// Final answers, by ReferenceID.
    answers: HashMap<u32, u32>,
    opened: HashSet<ConnId>,
    closed: HashSet<ConnId>,
    finished: bool,
}

impl Watch {
    fn new() -> Self {
        Self {
            log: EventLog::new("epoch"),
            live: HashSet::new(),
            ended: 0,
            answers: HashMap::new(),
            opened: HashSet::new(),
            closed: HashSet::new(),
            finished: false,
        }
    }

    fn see_all(&mut self, out: &mut Vec<CallOutput>) {
        for output in out.drain(..) {
            assert!(!self.finished, "{output:?} after the end");
            self.see(output);
        }
    }

    fn see(&mut self, output: CallOutput) {
        match output {
            CallOutput::Event { event, requestor } => {
                self.see_event(&event);
                if event.name != EventName::EventRinging {
                    self.answered(requestor);
                }
                self.log.publish(event, None, SystemTime::UNIX_EPOCH, &mut Vec::new());
            }
            CallOutput::Answer { requestor, event } => {
                assert!(!event.name.is_terminal());
                self.answered(Some(requestor));
            }
            CallOutput::Opened { conn_id } => assert!(self.opened.insert(conn_id)),
            CallOutput::Closed { conn_id, record } => {
                assert!(self.closed.insert(conn_id), "{conn_id} is closed twice");
                assert!(self.live.iter().all(|(conn, _)| *conn != conn_id), "{conn_id} has parties");
                assert_eq!(record.talk.is_some(), record.outcome == Outcome::Answered);
            }
            CallOutput::Finished => self.finished = true,
            CallOutput::Link(_) | CallOutput::Absorb(_) | CallOutput::DataLeftOut { .. } => {}
        }
    }

    fn answered(&mut self, requestor: Option<Requestor>) {
        if let Some(reference) = requestor.and_then(|requestor| requestor.reference_id) {
            *self.answers.entry(reference.0).or_default() += 1;
        }
    }

    fn see_event(&mut self, event: &Event) {
        let (conn, dn) = (event.conn_id.unwrap(), event.this_dn.clone().unwrap());
        assert!(!self.closed.contains(&conn), "{} about a closed call", event.name);
        let key = (conn, dn);
        match event.name {
            EventName::EventDialing | EventName::EventRinging => assert!(self.live.insert(key), "{} twice", event.name),
            EventName::EventPartyChanged if event.previous_conn_id != Some(conn) => {
                let was = (event.previous_conn_id.unwrap(), key.1.clone());
                assert!(self.live.remove(&was), "{was:?} was not there");
                assert!(self.live.insert(key));
            }
            name if name.is_terminal() => {
                assert!(self.live.remove(&key), "{name} of {key:?}, which is not live");
                assert_eq!(event.party_state, Some(PartyState::Null));
                self.ended += 1;
            }
            name => assert!(self.live.contains(&key), "{name} of {key:?}, which is not live"),
        }
        assert_ne!(event.other_dn, event.this_dn, "{} about itself", event.name);
    }

    /// The machine's picture and the snapshot's, for one group.
    fn agree(&self, call: &Call) {
        for conn in &call.conns {
            let known = conn.parties.iter().filter(|party| party.state != PartyState::Null);
            let ours: HashSet<DnId> = known
                .filter(|party| call.is_reported(party))
                .filter_map(|party| call.device(party.device))
                .map(|device| device.dn.clone())
                .collect();
            let theirs: HashSet<DnId> = self.log.parties_of(conn.id).iter().cloned().collect();
            assert_eq!(ours, theirs, "parties of {}", conn.id);
            let settled = call.pending.is_none() && call.devices.iter().all(|device| device.moving.is_none());
            let homes: HashSet<_> = conn
                .devices()
                .iter()
                .filter_map(|key| call.device(*key))
                .map(|device| device.conference)
                .collect();
            assert!(!settled || homes.len() == 1, "the parties of {} are in {homes:?}", conn.id);
            // Two legs of one DN are being brought together: until that is settled it may talk on a leg that holds.
            let merging = call
                .pending
                .as_ref()
                .is_some_and(|pending| matches!(pending.op, operation::Op::Merge(_)));
            for party in conn.parties.iter().filter(|_| !merging) {
                let talks = party.state == PartyState::Connected && call.device_holds(party.device);
                assert!(!talks, "{party:?} talks while its device holds");
            }
        }
    }
}

impl Stage {
    /// Live parties that the group knows, in order.
    fn known(&self) -> Vec<((ConferenceId, PartyId), Fake)> {
        let conferences: Vec<_> = self.call.conferences().collect();
        let known = self.live.iter().filter(|((at, _), _)| conferences.contains(at));
        known.map(|(at, fake)| (*at, fake.clone())).collect()
    }

    /// One step, made of four bytes.
    pub(super) fn step(&mut self, (kind, a, b, c): (u8, u8, u8, u8)) {
        let pick = |n: usize, byte: u8| usize::from(byte) % n.max(1);
        let dn = PEOPLE[pick(5, a)];
        let mut conns: Vec<ConnId> = self.call.conn_ids().collect();
        // Two that are or will be gone, and one that never was.
        conns.extend([CONN, OTHER, ConnId(1)]);
        let (one, two) = (conns[pick(conns.len() - 1, b)], conns[pick(conns.len(), c)]);
        let number = NUMBERS[pick(7, c)];
        let known = self.known();
        let somebody = known.get(pick(known.len(), a)).cloned();
        match (kind % 22, somebody) {
            (0, _) => {
                let music = (c % 3 > 0).then(|| ("music", KvValue::Int((c % 3 - 1).into())));
                self.ask(Request::OnCall {
                    operation: OnCall::HoldCall,
                    this_dn: dn.into(),
                    conn_id: one,
                    reasons: KvList::new(),
                    extensions: music.into_iter().collect(),
                });
            }
            (1, _) => drop(self.on(OnCall::RetrieveCall, dn, one)),
            (2, _) => drop(self.on(if c % 2 == 0 { OnCall::SetMuteOn } else { OnCall::SetMuteOff }, dn, one)),
            (3, _) => drop(self.on(OnCall::AnswerCall, dn, one)),
            (4, _) => drop(self.with(OnCallWith::InitiateTransfer, dn, one, number)),
            (5, _) => drop(self.with(OnCallWith::InitiateConference, dn, one, number)),
            (6, _) => drop(self.with(OnCallWith::SingleStepTransfer, dn, one, number)),
            (7, _) => drop(self.with(OnCallWith::SingleStepConference, dn, one, number)),
            (8, _) => {
                let verb = [OnCallWith::DeleteFromConference, OnCallWith::RedirectCall][usize::from(kind / 20) % 2];
                self.with(verb, dn, one, number);
            }
            (9 | 10, _) => {
                let verbs = [
                    OnTwoCalls::CompleteTransfer,
                    OnTwoCalls::CompleteConference,
                    OnTwoCalls::AlternateCall,
                    OnTwoCalls::ReconnectCall,
                    OnTwoCalls::MergeCalls(crate::MergeType::ForConference),
                ];
                self.two(verbs[usize::from(kind / 20) % 5], dn, one, two);
            }
            (11, _) if kind / 20 % 3 == 0 => drop(self.release(dn, one)),
            (11, _) => {
                let (this_dn, reasons) = (dn.into(), KvList::new());
                self.ask(if c % 2 == 0 {
                    Request::ClearCall {
                        this_dn,
                        conn_id: one,
                        reasons,
                    }
                } else {
                    Request::SendDtmf {
                        this_dn,
                        conn_id: one,
                        dtmf_digits: "12".to_owned(),
                        reasons,
                        extensions: KvList::new(),
                    }
                });
            }
            (12 | 13, Some(((conference, party), _))) => {
                self.live.get_mut(&(conference, party)).unwrap().connected = true;
                self.input(CallInput::Link(LinkNotification::PartyConnected { conference, party }));
            }
            (14, Some((at, fake))) => {
                let status = [486, 603, 480, 302][pick(4, b)];
                let cause = match fake.connected {
                    true => Cause::normal(ReleasedBy::Device),
                    false => Cause::status(ReleasedBy::Device, status),
                };
                self.leaves_from(at, cause);
            }
            (15, Some((at, _))) => drop(self.holds_by_phone_at(at, b % 2 == 0)),
            (16, Some((at, _))) => {
                let to = match known.get(pick(known.len() + 3, b)) {
                    Some(((conference, party), _)) => TransferTarget::Party {
                        conference: *conference,
                        party: *party,
                    },
                    None if c % 3 == 0 => TransferTarget::Party {
                        conference: SECOND,
                        party: A,
                    },
                    None => TransferTarget::Address {
                        to: number.into(),
                        referred_by: None,
                    },
                };
                self.refers_from(at, to);
            }
            (17, Some(((conference, party), fake))) if !fake.connected && kind / 20 % 2 == 0 => {
                let to = vec![number.into(), NUMBERS[pick(7, b)].into()];
                self.input(CallInput::Link(LinkNotification::PartyRedirected { conference, party, to }));
                self.leaves_from((conference, party), Cause::status(ReleasedBy::Device, 302));
            }
            (17, Some((at, _))) => {
                // Somebody takes the place of a party.
                self.pickups += 1;
                let conference = ConferenceId(100_000 + self.pickups);
                let mut offered = offered_from(CallerId::Extension(PEOPLE[pick(5, b)].into()), "whatever");
                offered.conference = conference;
                offered.replaces = Some(at);
                let dn = PEOPLE[pick(5, b)].into();
                self.live.insert((conference, A), Fake::new(dn, false));
                self.input(CallInput::Link(LinkNotification::CallOffered(offered)));
            }
            (18, _) => self.answer_operations(a, b),
            (19, _) if kind / 20 % 4 == 0 => {
                if let Some(due) = self.call.next_timeout() {
                    self.now = self.now.max(due);
                    self.input(CallInput::Timeout);
                }
            }
            (20, _) => self.lose(a, b, c),
            (21, _) if kind / 22 % 2 == 0 && self.restart() => self.restarts += 1,
            _ => {}
        }
    }

    /// The connector restarts, or the link breaks: what has changed meanwhile shows when a conference says what it is.
    fn lose(&mut self, a: u8, b: u8, c: u8) {
        let conferences: Vec<ConferenceId> = self.call.conferences().collect();
        let Some(conference) = conferences.get(usize::from(a) % conferences.len().max(1)).copied() else {
            return;
        };
        let here: Vec<_> = self.live.keys().filter(|(at, _)| *at == conference).copied().collect();
        if let Some(at) = here.get(usize::from(b) % here.len().max(1)) {
            match c % 4 {
                0 => drop(self.live.remove(at)),
                1 => self.live.get_mut(at).unwrap().connected = true,
                2 => self.live.get_mut(at).unwrap().held = b.is_multiple_of(2),
                _ => {}
            }
        }
        let notification = self.account(conference);
        self.input(match c / 4 % 2 {
            0 => CallInput::LinkRestored,
            _ => CallInput::Link(notification),
        });
    }

    /// The connector changes its mind about operations, and answers one that waits.
    fn answer_operations(&mut self, a: u8, b: u8) {
        self.refuse = [None, None, Some(0), Some(0), Some(488)][usize::from(a) % 5];
        if self.waiting.is_empty() {
            return self.settle_move(b.is_multiple_of(3), b.is_multiple_of(2));
        }
        let (conference, operation, plan) = self.waiting.remove(usize::from(b) % self.waiting.len());
        if b.is_multiple_of(3) {
            let cause = Cause::status(ReleasedBy::Network, 488);
            self.input(CallInput::Link(LinkNotification::OperationFailed {
                conference,
                operation,
                cause,
            }));
            return;
        }
        if let Some(plan) = plan {
            self.plans.insert(conference, plan);
        }
        self.input(CallInput::Link(LinkNotification::OperationDone { conference, operation }));
        // A second time it is stale.
        self.input(CallInput::Link(LinkNotification::OperationDone { conference, operation }));
        self.input(CallInput::Link(LinkNotification::OperationDone {
            conference,
            operation: OperationId(u32::MAX),
        }));
    }

    /// Everybody hangs up, and whoever is silent is given up.
    fn wind_up(&mut self) {
        self.catch_up();
        for _ in 0..40 {
            let Some((at, _)) = self.known().into_iter().next() else {
                break;
            };
            self.leaves_from(at, Cause::normal(ReleasedBy::Device));
        }
        for _ in 0..40 {
            let Some(due) = self.call.next_timeout() else { break };
            self.now = self.now.max(due);
            self.input(CallInput::Timeout);
        }
    }

    /// Nothing waits: everybody who talks hears what it is to hear.
    fn is_audible(&self) -> bool {
        let asked = self
            .call
            .rooms
            .iter()
            .any(|room| room.asked.is_some() || room.refused.is_some() || room.audit.is_some());
        asked || self.call.pending.is_some() || self.call.audio_is_set()
    }
}

/// As ever; everybody who is asked for is called back to back; nobody's direct calls are handled; both.
fn numbering_of(policy: u8) -> Arc<Numbering> {
    let never = DirectCalls {
        handle: HandleDirectCalls::Never,
        ..DirectCalls::default()
    };
    let plan = DialPlan {
        rules: vec![DestinationRule::parse("{*}").unwrap()],
        method: CallingMethod::BackToBack,
        cpn: None,
    };
    let calling = CallingPolicy {
        plan: Some(plan),
        cpn: None,
    };
    match policy {
        0 => many(PassThrough::All),
        1 => many_with(|builder| builder.pass_through(PassThrough::All).calling(calling)),
        2 => many_with(|builder| builder.pass_through(PassThrough::All).direct_calls(never)),
        _ => many_with(|builder| builder.pass_through(PassThrough::All).calling(calling).direct_calls(never)),
    }
}

/// Some clients ask that direct calls are handled, or are not.
fn wishes_of(policy: u8) -> Wishes {
    let mut wishes = Wishes::default();
    let handled = |handle| {
        let direct = DirectOverride {
            handle: Some(handle),
            media: None,
        };
        InForce {
            direct,
            flow: handle == HandleDirectCalls::Always,
        }
    };
    if policy >= 4 {
        wishes.set(&ALICE.into(), handled(HandleDirectCalls::Never));
        wishes.set(&BOB.into(), handled(HandleDirectCalls::Always));
        wishes.set(&DAVE.into(), handled(HandleDirectCalls::OnLogin));
    }
    wishes
}

/// Bob's call to Carol on a second line: as his phone dialled it, or as a client asked for it; she rings, or has answered.
fn second_line(numbering: Arc<Numbering>, wishes: Wishes, dialled: bool, answered: bool) -> Stage {
    let mut other = if dialled {
        let from = CallerId::Extension(BOB.into());
        Stage::calling_as_wished(numbering, wishes, (OTHER, SECOND), from, "carol")
    } else {
        let mut other = Stage::empty(OTHER, SECOND);
        other.call.numbering = numbering;
        other.wishes = wishes;
        other.input(CallInput::Make(Box::new(make_of(BOB, CAROL))));
        other.answers(BOB);
        other
    };
    if answered {
        other.answers(CAROL);
    }
    other
}

fn run(second: Option<(bool, bool)>, crowds: [bool; 2], inbound: bool, policy: u8, steps: Vec<(u8, u8, u8, u8)>, lost: bool) {
    let from = if inbound {
        from_pstn()
    } else {
        CallerId::Extension(ALICE.into())
    };
    let mut watch = Watch::new();
    let (numbering, wishes) = (numbering_of(policy % 4), wishes_of(policy));
    let first = (CONN, CONFERENCE);
    let mut stage = Stage::calling_as_wished(numbering.clone(), wishes.clone(), first, from, "bob");
    if let Some((dialled, answered)) = second {
        let mut other = second_line(numbering, wishes, dialled, answered);
        if crowds[1] && answered {
            other.with(OnCallWith::SingleStepConference, BOB, OTHER, "dave");
            if other.live.values().any(|fake| fake.dn == DnId::new(DAVE)) {
                other.answers(DAVE);
            }
        }
        stage.live.extend(other.live.clone());
        watch.see_all(&mut other.out);
        watch.answers.clear();
        stage.others.push(other);
    }
    watch.see_all(&mut stage.out);
    for step in steps {
        let restarts = stage.restarts;
        stage.step(step);
        watch.see_all(&mut stage.out);
        if stage.restarts > restarts {
            // Whoever answers for the process that is gone.
            for reference in 1..=stage.reference {
                watch.answers.entry(reference).or_insert(1);
            }
        }
        watch.agree(&stage.call);
        assert!(stage.is_audible(), "somebody hears the wrong ones");
        if stage.call.is_finished() {
            break;
        }
    }
    if lost {
        stage.input(CallInput::LinkLost);
    }
    stage.wind_up();
    watch.see_all(&mut stage.out);
    assert!(stage.call.is_finished(), "{:?}", stage.call);
    let absorbed = stage.others.iter().all(|other| other.call.is_finished());
    if absorbed {
        assert!(watch.live.is_empty(), "{:?} have no end", watch.live);
        assert_eq!(PEOPLE.iter().map(|dn| watch.log.calls_on(&(*dn).into())).sum::<usize>(), 0);
    }
    for reference in 1..=stage.reference {
        assert_eq!(watch.answers.get(&reference), Some(&1), "answers to request {reference}");
    }
    assert!(watch.opened.is_subset(&watch.closed) && watch.closed.contains(&CONN));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1000) })]

    #[test]
    fn one_end_for_each_party_and_one_answer_for_each_request(
        second: Option<(bool, bool)>,
        merges: Option<bool>,
        by_phone: bool,
        crowds: [bool; 2],
        inbound: bool,
        policy in 0u8..8,
        answered in proptest::bool::weighted(0.8),
        consults in proptest::bool::weighted(0.5),
        steps in proptest::collection::vec(any::<(u8, u8, u8, u8)>(), 0..50),
        lost in proptest::bool::weighted(0.1),
    ) {
        // Bob answers, and consults Carol, so that most runs have something to transfer.
        let mut all = Vec::new();
        if answered {
            all.push((12, 1, 0, 0));
        }
        if consults {
            all.extend([(4, 1, 0, 2), (12, 2, 0, 0)]);
        }
        if crowds[0] {
            // Erin comes into Alice's and Bob's call.
            all.extend([(7, 1, 0, 4), (12, if consults { 3 } else { 2 }, 0, 0)]);
        }
        if let Some(slowly) = merges.filter(|_| second.is_some()) {
            // Bob holds Alice and brings her to whom he has called besides, by a request or by his phone; it may take its time.
            let brings = if by_phone { (16, 1, 4, 0) } else { (9, 1, 0, 2) };
            all.extend([(0, 1, 0, 0), (18, if slowly { 2 } else { 0 }, 1, 0), brings]);
        }
        all.extend(steps);
        run(second, crowds, inbound, policy, all, lost);
    }
}

/// Found at random: whom the held party is brought to forwards the call to that very party.
#[test]
fn nobody_is_called_who_is_on_the_way() {
    let steps = vec![(12, 1, 0, 0), (0, 1, 0, 0), (18, 2, 1, 0), (9, 1, 0, 2), (83, 43, 91, 6)];
    run(Some((true, false)), [false; 2], false, 0, steps, false);
}

/// Found at random: a device in calls of two conferences went from one to the other and back for ever.
#[test]
fn nobody_goes_to_and_fro() {
    let steps = vec![
        (12, 1, 0, 0),
        (0, 1, 0, 0),
        (18, 2, 1, 0),
        (9, 1, 0, 2),
        (77, 26, 135, 183),
        (199, 33, 112, 211),
        (94, 20, 16, 143),
        (224, 245, 59, 199),
        (194, 195, 94, 247),
        (75, 97, 106, 191),
        (122, 196, 23, 221),
        (216, 177, 148, 214),
        (185, 242, 167, 122),
        (223, 128, 111, 186),
        (165, 30, 129, 225),
        (38, 167, 158, 226),
    ];
    run(Some((true, false)), [false; 2], false, 6, steps, false);
}

/// Found at random: the conference is gone to which somebody was on the way.
#[test]
fn nobody_is_forgotten_over_a_restart() {
    let steps = vec![
        (12, 1, 0, 0),
        (0, 1, 0, 0),
        (18, 2, 1, 0),
        (9, 1, 0, 2),
        (64, 66, 62, 228),
        (0, 0, 0, 0),
        (190, 1, 0, 0),
        (36, 161, 0, 0),
        (65, 0, 0, 0),
    ];
    run(Some((false, false)), [false; 2], false, 0, steps, false);
}

/// Found at random: who is on the way back transfers the call, and the new party was called to where nobody is any more.
#[test]
fn nobody_is_called_to_where_who_asks_is_no_more() {
    let steps = vec![
        (12, 1, 0, 0),
        (0, 1, 0, 0),
        (18, 2, 1, 0),
        (9, 1, 0, 2),
        (190, 2, 0, 0),
        (22, 0, 0, 0),
        (66, 0, 0, 0),
        (106, 17, 73, 0),
        (40, 0, 0, 0),
        (82, 11, 39, 37),
        (85, 0, 0, 0),
    ];
    run(Some((false, true)), [false, true], false, 4, steps, false);
}
