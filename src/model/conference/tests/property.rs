//! Random interleavings of the T-Server side, the devices and time. Whatever happens: one `PartyReleased` for each party,
//! one `ConferenceEnded`, last; no command to a leg that ended or that breaks offer and answer; every leg ends.

mod crash;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use bytes::Bytes;
use proptest::prelude::*;

use super::fake_ua::FakeUa;
use super::oracle::Oracle;
use super::scene::{CONFERENCE, make_party, offered, settings, show};
use crate::conference::{
    Conference, ConferenceInput, ConferenceOutput, ConferenceSettings, GivenParty, MOVED_LEGS, OFFERED_LEG, PartyPhase,
};
use crate::leg::{AckBody, Description, Direction, LegCommand, LegEvent, MediaCommand, MediaEvent, ReferId};
use crate::link::{
    AudioPlan, AudioSource, Cause, Hearing, LinkNotification, MediaFlowState, OperationId, ReleasedBy, Tone, TransferId,
    TransferTarget,
};
use crate::{ConferenceId, LegId, PartyId};

/// How the conference hears that the media plane has nothing for a leg.
enum Refused {
    ByPort,
    As(LegEvent),
}

/// The conference, its devices, and what the T-Server side heard.
struct World {
    conference: Conference,
    now: Instant,
    ua: FakeUa,
    oracle: Oracle,
    next_operation: u32,
    next_moved: u64,
    next_party: u32,
    /// Every so many times the media plane refuses; never where it is 0.
    poor: usize,
    served: usize,
    /// Every party that was asked for or offered: how often it was released.
    released: BTreeMap<u32, usize>,
    connected: BTreeMap<u32, usize>,
    ended: usize,
    /// Every input (none for a crash) with its outputs; put into words only when a rule was broken.
    log: Vec<(Option<ConferenceInput>, Vec<ConferenceOutput>)>,
}

impl World {
    fn new(settings: ConferenceSettings) -> Self {
        Self {
            conference: Conference::new(CONFERENCE, settings),
            now: Instant::now(),
            ua: FakeUa::default(),
            oracle: Oracle::default(),
            next_operation: 0,
            next_moved: MOVED_LEGS,
            next_party: 0,
            poor: 0,
            served: 0,
            released: BTreeMap::new(),
            connected: BTreeMap::new(),
            ended: 0,
            log: Vec::new(),
        }
    }

    fn feed(&mut self, input: ConferenceInput) -> Result<(), TestCaseError> {
        let mut out = Vec::new();
        if let ConferenceInput::Leg {
            leg,
            event: LegEvent::ReinviteAnswered { .. },
        } = &input
            && self.conference.summary().exchange == Some("second-reoffered")
        {
            // What the second party says to this is not told to the first: see the module's known limits.
            self.ua.blur(*leg);
        }
        self.conference.handle(input.clone(), self.now, &mut out);
        self.log.push((Some(input), out.clone()));
        self.carry_out(out)
    }

    /// What the shell makes of what the conference wants.
    fn carry_out(&mut self, out: Vec<ConferenceOutput>) -> Result<(), TestCaseError> {
        let mut heard = Vec::new();
        for output in out {
            prop_assert!(self.ended == 0, "after the end:\n{}", self.story());
            match output {
                ConferenceOutput::Leg { leg, command } => {
                    // The final answer repeats an early one, and opens nothing.
                    if !matches!(command, LegCommand::Accept { .. }) || !self.ua.is_answered_early(leg) {
                        self.oracle.commanded(leg, &command);
                    }
                    let command = self.resolve(leg, command, &mut heard);
                    let obeyed = self.ua.command(leg, &command);
                    prop_assert!(obeyed.is_ok(), "{}\n{}", obeyed.unwrap_err(), self.story());
                }
                ConferenceOutput::Notify(notification) => self.hear(&notification)?,
                ConferenceOutput::Media(command) => {
                    let kept = self.oracle.mixed(&command);
                    self.rule(kept)?;
                }
                ConferenceOutput::GiveAway { operation, given, .. } => {
                    let kept = self.oracle.answered(operation.0);
                    self.rule(kept)?;
                    if let Some(given) = given {
                        let at_rest = self.ua.left(given.leg);
                        prop_assert!(at_rest, "leg {} leaves in an exchange:\n{}", given.leg, self.story());
                        self.oracle.left(given.leg);
                    }
                }
            }
        }
        for (leg, refused) in heard {
            match refused {
                Refused::ByPort => self.feed(ConferenceInput::Media {
                    leg,
                    event: MediaEvent::Refused,
                })?,
                Refused::As(event) => {
                    self.ua.undo(leg, &event);
                    self.feed(ConferenceInput::Leg { leg, event })?;
                }
            }
        }
        let agreed = self.ua.agreed();
        prop_assert!(agreed.is_ok(), "{}\n{}", agreed.unwrap_err(), self.story());
        let matrix = self.oracle.check_matrix(&self.ua.views());
        self.rule(matrix)
    }

    /// What the shell makes of a command where the media plane has no port for it: what goes out instead, and what the conference hears.
    fn resolve(&mut self, leg: LegId, command: LegCommand, heard: &mut Vec<(LegId, Refused)>) -> LegCommand {
        let anchored = |description: &Option<Description>| *description == Some(Description::Anchored);
        let refused = |served: &mut usize| {
            *served += 1;
            self.poor > 0 && served.is_multiple_of(self.poor)
        };
        match command {
            LegCommand::Invite { ref offer, .. } if anchored(offer) && refused(&mut self.served) => {
                let failed = LegEvent::Failed {
                    status: 503,
                    q850: None,
                    reason: None,
                    contacts: Vec::new(),
                };
                heard.push((leg, Refused::As(failed)));
                command
            }
            LegCommand::Reinvite { ref offer } if anchored(offer) && refused(&mut self.served) => {
                heard.push((leg, Refused::As(LegEvent::ReinviteFailed { status: 503 })));
                command
            }
            LegCommand::Accept { ref sdp } if anchored(sdp) && !self.ua.is_answered_early(leg) && refused(&mut self.served) => {
                heard.push((leg, Refused::ByPort));
                let (status, reason) = (488, None);
                LegCommand::Reject { status, reason }
            }
            LegCommand::AcceptReinvite { ref sdp } if anchored(sdp) && refused(&mut self.served) => {
                heard.push((leg, Refused::ByPort));
                LegCommand::RejectReinvite { status: 488 }
            }
            LegCommand::Ack {
                answer: AckBody::Answer(Description::Anchored),
            } if refused(&mut self.served) => {
                heard.push((leg, Refused::ByPort));
                self.ua.blur(leg);
                LegCommand::Ack {
                    answer: AckBody::Inactive,
                }
            }
            command => command,
        }
    }

    fn rule(&self, kept: Result<(), String>) -> Result<(), TestCaseError> {
        prop_assert!(kept.is_ok(), "{}\n{}", kept.unwrap_err(), self.story());
        Ok(())
    }

    /// What happened so far.
    fn story(&self) -> String {
        let mut story = String::new();
        for (input, out) in &self.log {
            match input {
                Some(input) => story.push_str(&format!("> {input:?}\n")),
                None => story.push_str("> crash\n"),
            }
            for output in out {
                story.push_str(&format!("    {}\n", show(output)));
            }
        }
        story
    }

    fn hear(&mut self, notification: &LinkNotification) -> Result<(), TestCaseError> {
        let kept = self.oracle.told(notification);
        self.rule(kept)?;
        match notification {
            LinkNotification::PartyReleased { party, .. } | LinkNotification::PartyMoved { party, .. } => {
                let times = self.released.entry(party.0).or_default();
                *times += 1;
                prop_assert!(*times == 1, "released again:\n{}", self.story());
            }
            LinkNotification::PartyConnected { party, .. } | LinkNotification::PartyAlerting { party, .. } => {
                prop_assert!(
                    self.released.get(&party.0) == Some(&0),
                    "a word of a released party:\n{}",
                    self.story()
                );
                if matches!(notification, LinkNotification::PartyConnected { .. }) {
                    let times = self.connected.entry(party.0).or_default();
                    *times += 1;
                    prop_assert!(*times == 1, "connected again:\n{}", self.story());
                }
            }
            LinkNotification::ConferenceEnded { .. } => self.ended += 1,
            _ => {}
        }
        Ok(())
    }

    fn new_party(&mut self) -> u32 {
        self.next_party += 1;
        self.released.insert(self.next_party, 0);
        self.next_party
    }

    fn begin(&mut self, choose: &mut dyn FnMut(usize) -> usize) -> Result<(), TestCaseError> {
        match choose(3) {
            0 => self.call_party(choose),
            kind => {
                let party = self.new_party();
                let offer = self.ua.call(OFFERED_LEG, party, kind == 1);
                self.feed(offered(party, offer))
            }
        }
    }

    fn call_party(&mut self, choose: &mut dyn FnMut(usize) -> usize) -> Result<(), TestCaseError> {
        let contacts = &["c1", "c2", "c3"][..[1, 2, 1, 3, 0, 1][choose(6)]];
        let party = self.new_party();
        self.feed(make_party(party, contacts, false, 20_000))
    }

    /// One thing happens.
    fn step(&mut self, choose: &mut dyn FnMut(usize) -> usize) -> Result<(), TestCaseError> {
        if self.ended > 0 {
            return Ok(());
        }
        let known = PartyId(1 + choose(self.next_party as usize) as u32);
        let cause = Cause::status(ReleasedBy::Server, [486, 200, 302][choose(3)]);
        match choose(100) {
            0..=35 => self.deliver_one(choose),
            36..=75 => {
                self.ua.act(choose);
                Ok(())
            }
            76..=87 => self.operate(known, choose),
            88..=92 => self.call_party(choose),
            93 => self.feed(make_party(known.0, &["again"], false, 20_000)),
            94 => self.feed(ConferenceInput::ReleaseParty { party: known, cause }),
            95 if choose(4) == 0 => self.feed(ConferenceInput::ReleaseConference { cause }),
            96 if choose(8) == 0 => self.abort(),
            _ => {
                self.deliver_all(choose)?;
                self.now += Duration::from_millis([10, 1_000, 6_000, 30_000][choose(4)]);
                self.feed(ConferenceInput::Timeout)
            }
        }
    }

    /// The T-Server side asks something of a call that is there.
    fn operate(&mut self, party: PartyId, choose: &mut dyn FnMut(usize) -> usize) -> Result<(), TestCaseError> {
        self.next_operation += 1;
        let operation = OperationId(self.next_operation);
        match choose(9) {
            0..=2 => {
                let plan = self.plan(choose);
                self.oracle.asked(operation.0, Some(plan.clone()));
                self.feed(ConferenceInput::SetAudio { operation, plan })
            }
            3 => {
                self.oracle.asked(operation.0, None);
                let digits = "12".into();
                self.feed(ConferenceInput::SendDigits {
                    operation,
                    party,
                    digits,
                })
            }
            4 => {
                self.oracle.asked(operation.0, None);
                self.feed(ConferenceInput::AnswerParty { operation, party })
            }
            5 => self.feed(ConferenceInput::ConnectParty { party }),
            6 => {
                let transfers = &self.oracle.transfers;
                let Some(nth) = (!transfers.is_empty()).then(|| choose(transfers.len())) else {
                    return Ok(());
                };
                let transfer = TransferId(transfers[nth]);
                let status = [100, 180, 200, 486][choose(4)];
                self.feed(ConferenceInput::TransferProgress { transfer, status })
            }
            7 if choose(2) == 0 => {
                self.oracle.asked(operation.0, None);
                self.feed(ConferenceInput::Give {
                    party,
                    to: ConferenceId(9),
                    operation,
                    as_party: PartyId(1),
                })
            }
            7 => self.take(operation, choose),
            _ => self.media_event(choose),
        }
    }

    fn plan(&self, choose: &mut dyn FnMut(usize) -> usize) -> AudioPlan {
        let parties = self.next_party as usize + 1;
        let mut rows = Vec::new();
        for party in 1..=parties as u32 {
            let mut source = || match choose(parties + 3) {
                0 => AudioSource::Music(None),
                1 => AudioSource::Tone(Tone::Busy),
                other => AudioSource::Party(PartyId(other as u32 - 1)),
            };
            let sources = [source(), source()];
            let count = choose(4);
            if count < 3 {
                rows.push(Hearing {
                    party: PartyId(party),
                    sources: sources.into_iter().take(count).collect(),
                });
            }
        }
        AudioPlan { rows }
    }

    fn take(&mut self, operation: OperationId, choose: &mut dyn FnMut(usize) -> usize) -> Result<(), TestCaseError> {
        self.oracle.asked(operation.0, None);
        self.next_moved += 1;
        let (leg, device_held) = (LegId(self.next_moved), choose(3) == 0);
        let given = (choose(4) > 0).then_some(GivenParty {
            leg,
            device_held,
            media_flow: MediaFlowState::Connecting,
        });
        let Some(given) = given else {
            let party = PartyId(1_000);
            return self.feed(ConferenceInput::Take {
                operation,
                party,
                given: None,
            });
        };
        let party = self.new_party();
        self.ua.brought(leg, party);
        self.oracle.brought(leg);
        if self.conference.parties().next().is_some() {
            self.oracle.took(party, device_held);
        } else {
            self.released.remove(&party);
        }
        self.feed(ConferenceInput::Take {
            operation,
            party: PartyId(party),
            given: Some(given),
        })
    }

    fn media_event(&mut self, choose: &mut dyn FnMut(usize) -> usize) -> Result<(), TestCaseError> {
        let legs = self.ua.known();
        if legs.is_empty() {
            return Ok(());
        }
        let leg = legs[choose(legs.len())];
        let event = [
            MediaEvent::Flowing,
            MediaEvent::Stalled,
            MediaEvent::Digit('5'),
            MediaEvent::Ended,
        ][choose(4)];
        self.feed(ConferenceInput::Media { leg, event })
    }

    /// Brings the call into talk where the devices agree: more of a random walk would seldom get there.
    fn talk(&mut self, choose: &mut dyn FnMut(usize) -> usize) -> Result<(), TestCaseError> {
        for _ in 0..6 {
            self.ua.answer_calls();
            self.deliver_all(choose)?;
            self.ua.do_duties();
            if self.conference.parties().count() == 1 && self.conference.parties().all(|party| party.phase != PartyPhase::Calling)
            {
                self.call_party(choose)?;
            }
        }
        Ok(())
    }

    /// Lets the devices ring with early media, so that both sides may make offers before the answer.
    fn ring(&mut self, choose: &mut dyn FnMut(usize) -> usize) -> Result<(), TestCaseError> {
        if self.conference.parties().count() == 1 && self.conference.parties().all(|party| party.phase == PartyPhase::Offered) {
            self.call_party(choose)?;
        }
        self.ua.ring(choose);
        self.deliver_all(choose)?;
        for _ in 0..choose(30) {
            self.ua.act_early(choose);
            self.deliver_one(choose)?;
        }
        Ok(())
    }

    fn abort(&mut self) -> Result<(), TestCaseError> {
        self.feed(ConferenceInput::Abort)?;
        prop_assert!(self.conference.parties().next().is_none());
        Ok(())
    }

    fn deliver_all(&mut self, choose: &mut dyn FnMut(usize) -> usize) -> Result<(), TestCaseError> {
        while let Some((leg, event)) = self.ua.deliver(choose) {
            self.leg_event(leg, event, choose)?;
        }
        Ok(())
    }

    fn deliver_one(&mut self, choose: &mut dyn FnMut(usize) -> usize) -> Result<(), TestCaseError> {
        match self.ua.deliver(choose) {
            Some((leg, event)) => self.leg_event(leg, event, choose),
            None => Ok(()),
        }
    }

    /// The shell looks up where a device wants to be transferred to, and does not always find it.
    fn leg_event(&mut self, leg: LegId, event: LegEvent, choose: &mut dyn FnMut(usize) -> usize) -> Result<(), TestCaseError> {
        match event {
            LegEvent::Referred { refer, to, .. } if choose(4) > 0 => self.feed(ConferenceInput::TransferRequested {
                leg,
                refer,
                to: TransferTarget::Address { to, referred_by: None },
            }),
            event => self.feed(ConferenceInput::Leg { leg, event }),
        }
    }

    /// Brings the call to its end: the devices do what they must, hang up, and the T-Server side says nothing any more.
    fn finish(&mut self, choose: &mut dyn FnMut(usize) -> usize) -> Result<(), TestCaseError> {
        match choose(4) {
            0 => self.feed(ConferenceInput::ReleaseConference {
                cause: Cause::normal(ReleasedBy::Server),
            })?,
            1 => self.abort()?,
            _ => {}
        }
        for _ in 0..400 {
            if self.ua.do_duties() {
                continue;
            }
            self.deliver_all(choose)?;
            if self.conference.is_ended() && !self.ua.do_duties() {
                break;
            }
            if let Some(due) = self.conference.next_timeout() {
                self.now = self.now.max(due);
                self.feed(ConferenceInput::Timeout)?;
            } else {
                self.ua.hang_up(choose);
            }
        }
        prop_assert!(self.conference.is_ended() && self.ended == 1, "no end:\n{}", self.story());
        prop_assert!(self.conference.next_timeout().is_none());
        let unreleased = self.released.values().any(|times| *times != 1);
        prop_assert!(!unreleased, "a party was not released: {:?}\n{}", self.released, self.story());
        prop_assert!(
            self.ua.alive().is_empty(),
            "legs left: {:?}\n{}",
            self.ua.alive(),
            self.story()
        );
        let kept = self.oracle.check_end();
        self.rule(kept)
    }
}

/// Turns a list of numbers into choices; when it is used up, into a fixed sequence that visits every choice (Knuth's MMIX
/// generator).
fn chooser(script: Vec<u16>) -> impl FnMut(usize) -> usize {
    let mut numbers = script.into_iter();
    let mut state = numbers.len() as u64;
    move |bound| {
        let number = numbers.next().map_or_else(
            || {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                (state >> 33) as usize
            },
            usize::from,
        );
        number % bound.max(1)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_party_and_every_leg_ends_once_whatever_happens(
        script in proptest::collection::vec(any::<u16>(), 8..160),
        steps in 1usize..80,
    ) {
        let mut choose = chooser(script);
        let mut world = World::new(any_settings(&mut choose));
        world.poor = [0, 0, 0, 2, 5][choose(5)];
        world.begin(&mut choose)?;
        match choose(4) {
            0 | 1 => world.talk(&mut choose)?,
            2 => world.ring(&mut choose)?,
            _ => {}
        }
        for _ in 0..steps {
            world.step(&mut choose)?;
        }
        world.finish(&mut choose)?;
    }
}

fn any_settings(choose: &mut dyn FnMut(usize) -> usize) -> ConferenceSettings {
    ConferenceSettings {
        anchored: choose(4) == 0,
        descend: choose(2) == 0,
        digits_by_info: choose(4) == 0,
        ..settings()
    }
}

/// Any event, whether a user agent could send it or not.
fn any_event(choose: &mut dyn FnMut(usize) -> usize) -> LegEvent {
    let status = [0, 100, 180, 183, 200, 302, 401, 408, 481, 486, 503, 603, 999][choose(13)];
    let sdp = (choose(2) == 0).then(|| Bytes::from_static(b"sdp"));
    let q850 = [None, Some(0), Some(255)][choose(3)];
    let reason = q850.map(|cause| format!("Q.850;cause={cause}").into());
    match choose(11) {
        10 => LegEvent::Talked { status },
        0 => LegEvent::Progress { status, sdp },
        1 => LegEvent::Answered { sdp },
        2 => LegEvent::Failed {
            status,
            q850,
            reason,
            contacts: Vec::new(),
        },
        3 => LegEvent::Acked { sdp },
        4 => LegEvent::Cancelled { q850, reason },
        5 => LegEvent::Reoffered {
            offer: sdp,
            direction: Direction::SendRecv,
        },
        6 => LegEvent::ReinviteAnswered { sdp },
        7 => LegEvent::ReinviteFailed { status },
        8 => LegEvent::Info {
            content_type: "x".into(),
            body: Bytes::new(),
        },
        _ => LegEvent::Ended {
            by_device: choose(2) == 0,
            q850,
            reason,
        },
    }
}

fn any_input(choose: &mut dyn FnMut(usize) -> usize) -> ConferenceInput {
    let party = choose(4) as u32;
    match choose(20) {
        0 => offered(party, (choose(2) == 0).then(|| Bytes::from_static(b"sdp"))),
        1..=3 => {
            let ring_timeout_ms = [0, 1, 60_000, u64::MAX][choose(4)];
            make_party(party, &["c1", "c2"][..choose(3)], false, ring_timeout_ms)
        }
        4 => ConferenceInput::ReleaseParty {
            party: PartyId(party),
            cause: Cause {
                by: ReleasedBy::Device,
                sip_status: [None, Some(0), Some(u16::MAX)][choose(3)],
                q850: None,
                reason: None,
            },
        },
        5 => ConferenceInput::Timeout,
        6..=9 => any_request(PartyId(party), choose),
        10 => ConferenceInput::Media {
            leg: LegId(choose(5) as u64),
            event: [
                MediaEvent::Refused,
                MediaEvent::Flowing,
                MediaEvent::Ended,
                MediaEvent::Digit('?'),
            ][choose(4)],
        },
        _ => ConferenceInput::Leg {
            leg: LegId(choose(5) as u64),
            event: any_event(choose),
        },
    }
}

/// The operation that an input wants to be answered, with the conference that hears of it where that is another one.
fn operation_of(input: &ConferenceInput) -> Option<(Option<u64>, u32)> {
    match input {
        ConferenceInput::SetAudio { operation, .. }
        | ConferenceInput::SendDigits { operation, .. }
        | ConferenceInput::AnswerParty { operation, .. }
        | ConferenceInput::Take {
            operation, given: None, ..
        } => Some((None, operation.0)),
        ConferenceInput::Give { operation, to, .. } => Some((Some(to.0), operation.0)),
        _ => None,
    }
}

fn any_request(party: PartyId, choose: &mut dyn FnMut(usize) -> usize) -> ConferenceInput {
    let operation = OperationId(choose(1_000) as u32);
    let row = |party: u32| Hearing {
        party: PartyId(party),
        sources: (0..party).map(|other| AudioSource::Party(PartyId(other))).collect(),
    };
    match choose(9) {
        8 => ConferenceInput::AnswerParty { operation, party },
        0 | 1 => ConferenceInput::SetAudio {
            operation,
            plan: AudioPlan {
                rows: (0..[0, 2, 4, 200][choose(4)]).map(row).collect(),
            },
        },
        2 => ConferenceInput::SendDigits {
            operation,
            party,
            digits: "".into(),
        },
        3 => ConferenceInput::ConnectParty { party },
        4 => ConferenceInput::Give {
            party,
            to: ConferenceId(choose(2) as u64),
            operation,
            as_party: party,
        },
        5 => ConferenceInput::Take {
            operation,
            party,
            given: (choose(3) > 0).then(|| GivenParty {
                leg: LegId([0, 3, MOVED_LEGS, MOVED_LEGS + 1][choose(4)]),
                device_held: choose(2) == 0,
                media_flow: MediaFlowState::Unknown,
            }),
        },
        6 => ConferenceInput::TransferRequested {
            leg: LegId(choose(5) as u64),
            refer: ReferId(choose(3) as u64),
            to: TransferTarget::Address {
                to: "z".into(),
                referred_by: None,
            },
        },
        _ => ConferenceInput::TransferProgress {
            transfer: TransferId(choose(4) as u32),
            status: [0, 100, 200, u16::MAX][choose(4)],
        },
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// A user agent that breaks its contract harms the call, never the conference.
    #[test]
    fn inputs_that_make_no_sense_are_survived(script in proptest::collection::vec(any::<u16>(), 1..200), steps in 1usize..50) {
        let mut choose = chooser(script);
        let mut conference = Conference::new(CONFERENCE, any_settings(&mut choose));
        let mut now = Instant::now();
        let mut out = Vec::new();
        let mut asked = BTreeSet::new();
        for _ in 0..steps {
            let input = any_input(&mut choose);
            if !conference.is_ended() {
                asked.extend(operation_of(&input));
            }
            conference.handle(input, now, &mut out);
            now += Duration::from_millis(700);
        }
        conference.handle(ConferenceInput::ReleaseConference { cause: Cause::normal(ReleasedBy::Server) }, now, &mut out);
        while let Some(due) = conference.next_timeout() {
            conference.handle(ConferenceInput::Timeout, due, &mut out);
        }
        prop_assert!(conference.is_ended());
        let mut created = BTreeMap::new();
        let mut released = BTreeMap::new();
        let mut ports = BTreeSet::new();
        let mut ended = 0;
        for output in &out {
            match output {
                ConferenceOutput::Notify(LinkNotification::PartyCreated { party, .. }) => *created.entry(party.0).or_insert(0) += 1,
                ConferenceOutput::Notify(
                    LinkNotification::PartyReleased { party, .. } | LinkNotification::PartyMoved { party, .. },
                ) => *released.entry(party.0).or_insert(0) += 1,
                ConferenceOutput::Notify(
                    LinkNotification::OperationDone { operation, .. } | LinkNotification::OperationFailed { operation, .. },
                ) => drop(asked.remove(&(None, operation.0))),
                ConferenceOutput::GiveAway { to, operation, given, .. } => {
                    asked.remove(&(Some(to.0), operation.0));
                    ports.retain(|port| given.as_ref().is_none_or(|given| given.leg != *port));
                }
                ConferenceOutput::Notify(LinkNotification::ConferenceEnded { .. }) => ended += 1,
                ConferenceOutput::Media(MediaCommand::Hear { leg, .. }) => drop(ports.insert(*leg)),
                ConferenceOutput::Media(MediaCommand::Close { leg }) => drop(ports.remove(leg)),
                _ => {}
            }
        }
        prop_assert!(asked.is_empty(), "not answered: {asked:?}");
        prop_assert!(ports.is_empty(), "not closed: {ports:?}");
        prop_assert_eq!(ended, 1);
        prop_assert!(released.values().all(|times| *times == 1));
        prop_assert!(created.keys().all(|party| released.contains_key(party)));
    }
}
