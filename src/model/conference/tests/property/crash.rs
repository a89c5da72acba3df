//! The same, with crashes in between: whenever it comes, whoever comes back, and as often as it likes, the conference goes on by the same
//! rules.

use super::*;
use crate::conference::ConferenceSnapshot;
use crate::conference::snapshot::{MediaPlace, PairExchange, PairSnapshot};
use crate::conference::tests::scene::kept;
use crate::link::{PartyProgress, PartyStatus};

impl World {
    /// The conference and its shell are gone, and come back with the sessions of some legs. Whether the conference does.
    fn crash(&mut self, settings: ConferenceSettings, choose: &mut dyn FnMut(usize) -> usize) -> Result<bool, TestCaseError> {
        let Some(snapshot) = kept(&self.conference) else {
            return Ok(false);
        };
        let in_talk: Vec<(PartyId, LegId)> = snapshot.legs().collect();
        let ports: BTreeSet<LegId> = snapshot.ports().collect();
        let open = self
            .oracle
            .ports()
            .filter(|leg| in_talk.iter().any(|(_, of_party)| of_party == leg));
        prop_assert_eq!(open.collect::<BTreeSet<_>>(), ports.clone(), "{}", self.story());
        let all = choose(2) == 0;
        let strange = (choose(5) == 0).then(|| LegId(self.next_moved + 1));
        let mut legs: Vec<LegId> = in_talk.iter().map(|(_, leg)| *leg).filter(|_| all || choose(3) > 0).collect();
        self.ua.crash(&legs, choose);
        let expected: Vec<PartyId> = in_talk
            .iter()
            .filter(|(_, leg)| legs.contains(leg))
            .map(|(party, _)| *party)
            .collect();
        let kept_ports: Vec<LegId> = ports.into_iter().filter(|leg| legs.contains(leg)).collect();
        if let Some(leg) = strange {
            self.next_moved += 1;
            legs.push(leg);
            self.ua.brought(leg, 0);
        }

        let mut out = Vec::new();
        self.conference = Conference::restore(snapshot, settings, &legs, self.now, &mut out);
        self.log.push((None, out.clone()));
        let parties = told_first(&out);
        prop_assert_eq!(
            parties.iter().map(|status| status.party).collect::<Vec<_>>(),
            expected,
            "{}",
            self.story()
        );
        prop_assert!(parties.iter().all(|status| status.progress == PartyProgress::Connected));
        let known = self.oracle.crashed(&parties, kept_ports.into_iter().chain(strange));
        self.rule(known)?;
        for (party, times) in &mut self.released {
            if parties.iter().all(|status| status.party.0 != *party) {
                *times = 1;
            }
        }
        self.carry_out(out)?;
        self.ask_again(choose)?;
        Ok(true)
    }

    /// The T-Server side asks for what was not answered, and for something that was.
    fn ask_again(&mut self, choose: &mut dyn FnMut(usize) -> usize) -> Result<(), TestCaseError> {
        let asked: Vec<(u32, ConferenceInput)> = self
            .log
            .iter()
            .filter_map(|(input, _)| Some((operation_of(input.as_ref()?)?.1, input.clone()?)))
            .collect();
        let nth = choose(asked.len().max(1) * 2);
        let mut again = BTreeSet::new();
        for (at, (operation, input)) in asked.into_iter().enumerate() {
            if self.ended > 0 {
                // There is nobody to ask.
                self.oracle.answers.retain(|_, times| *times > 0);
                break;
            }
            let is_asked_of_another = matches!(input, ConferenceInput::Give { .. });
            let repeated = at == nth && matches!(input, ConferenceInput::SetAudio { .. });
            let is_open = self.oracle.answers.get(&operation) == Some(&0) && !is_asked_of_another;
            if (repeated || is_open) && again.insert(operation) {
                let plan = match &input {
                    ConferenceInput::SetAudio { plan, .. } => Some(plan.clone()),
                    _ => None,
                };
                self.oracle.asked(operation, plan);
                self.feed(input)?;
            }
        }
        Ok(())
    }
}

/// A record that no conference has written.
fn spoil(snapshot: &mut ConferenceSnapshot, choose: &mut dyn FnMut(usize) -> usize) {
    let leg = LegId([0, 1, MOVED_LEGS, u64::MAX][choose(4)]);
    let nth = choose(snapshot.parties.len().max(1));
    match choose(8) {
        0 => snapshot.parties.clear(),
        1 => snapshot.parties.extend_from_within(..),
        2 => {
            if let Some(party) = snapshot.parties.get_mut(nth) {
                party.leg = leg;
                party.media = [MediaPlace::Direct, MediaPlace::Anchored, MediaPlace::Unsure][choose(3)];
            }
        }
        3..=5 => {
            let (is_told, is_needed) = (choose(2) == 0, choose(2) == 0);
            snapshot.pair = Some(PairSnapshot {
                sides: [LegId(choose(3) as u64), leg],
                known: [(choose(2) == 0).then(Bytes::new), (choose(2) == 0).then(Bytes::new)],
                exchange: [
                    PairExchange::Rest,
                    PairExchange::First { is_told, is_needed },
                    PairExchange::Second { is_needed },
                ][choose(3)],
            });
        }
        6 => snapshot.next_leg = [0, u64::MAX][choose(2)],
        _ => snapshot.transfers = vec![(leg, 7), (leg, 7)],
    }
}

/// What was told of the parties, before anything else.
fn told_first(out: &[ConferenceOutput]) -> Vec<PartyStatus> {
    match out.first() {
        Some(ConferenceOutput::Notify(LinkNotification::ConferenceState { parties, .. })) => parties.clone(),
        other => panic!("told first: {other:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_conference_comes_back_from_any_state_and_goes_on(
        script in proptest::collection::vec(any::<u16>(), 8..160),
        steps in 1usize..80,
    ) {
        let mut choose = chooser(script);
        let settings = any_settings(&mut choose);
        let mut world = World::new(settings);
        world.poor = [0, 0, 0, 2, 5][choose(5)];
        world.begin(&mut choose)?;
        match choose(5) {
            0..=2 => world.talk(&mut choose)?,
            3 => world.ring(&mut choose)?,
            _ => {}
        }
        for _ in 0..steps {
            world.step(&mut choose)?;
            if choose(12) == 0 && world.ended == 0 && !world.crash(settings, &mut choose)? {
                return Ok(());
            }
        }
        world.finish(&mut choose)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever a record says, and whatever is heard after it.
    #[test]
    fn records_that_make_no_sense_are_survived(script in proptest::collection::vec(any::<u16>(), 1..200), steps in 1usize..50) {
        let mut choose = chooser(script);
        let settings = any_settings(&mut choose);
        let mut conference = Conference::new(CONFERENCE, settings);
        let now = Instant::now();
        let mut out = Vec::new();
        conference.handle(ConferenceInput::Take {
            operation: OperationId(0),
            party: PartyId(9),
            given: Some(GivenParty { leg: LegId(MOVED_LEGS), device_held: false, media_flow: MediaFlowState::Unknown }),
        }, now, &mut out);
        for _ in 0..steps {
            conference.handle(any_input(&mut choose), now, &mut out);
            if let Some(mut snapshot) = kept(&conference).filter(|_| choose(6) == 0) {
                let legs: Vec<LegId> = snapshot.legs().map(|(_, leg)| leg).filter(|_| choose(4) > 0).collect();
                spoil(&mut snapshot, &mut choose);
                out.clear();
                conference = Conference::restore(snapshot, settings, &legs, now, &mut out);
                prop_assert!(told_first(&out).len() <= legs.len());
            }
        }
        conference.handle(ConferenceInput::Abort, now, &mut out);
        while let Some(due) = conference.next_timeout() {
            conference.handle(ConferenceInput::Timeout, due, &mut out);
        }
        prop_assert!(conference.is_ended());
        prop_assert_eq!(kept(&conference), None);
        let ended = out.iter().filter(|output| matches!(output, ConferenceOutput::Notify(LinkNotification::ConferenceEnded { .. })));
        prop_assert_eq!(ended.count(), 1);
        let mut ports = BTreeSet::new();
        for output in &out {
            match output {
                ConferenceOutput::Media(MediaCommand::Hear { leg, .. }) => drop(ports.insert(*leg)),
                ConferenceOutput::Media(MediaCommand::Close { leg }) => drop(ports.remove(leg)),
                ConferenceOutput::GiveAway { given: Some(given), .. } => drop(ports.remove(&given.leg)),
                _ => {}
            }
        }
        prop_assert!(ports.is_empty(), "not closed: {ports:?}");
    }
}
