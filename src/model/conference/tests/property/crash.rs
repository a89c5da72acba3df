//! The same, with crashes in between: whenever it comes, whoever comes back, and as often as it likes, the conference goes on by the same
//! rules.

use super::*;
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
        if choose(4) > 0 {
            world.talk(&mut choose)?;
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
