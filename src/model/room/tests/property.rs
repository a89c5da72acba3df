//! Random play: phones, clients and a slow connector, in any order; then everybody hangs up.

use std::collections::HashMap;

use proptest::prelude::*;

use super::super::RoomSnapshot;
use super::connector::Connector;
use super::*;

#[derive(Clone, Debug)]
enum Step {
    Offer(u32),
    OfferFromOutside(u32),
    HangUp(usize),
    Press(usize, char),
    EndPrompt(usize),
    Work,
    Tell,
    Fail,
    Pass(u64),
    Release(u32),
    Delete(u32),
    Admit(u32),
    Mute(u32, bool),
    Clear,
    Restart,
    LinkRestored,
    Account(usize),
    Handle(u32, bool),
}

fn step() -> impl Strategy<Value = Step> {
    let user = 1001_u32..1005;
    prop_oneof![
        4 => user.clone().prop_map(Step::Offer),
        1 => user.clone().prop_map(Step::OfferFromOutside),
        2 => (0_usize..6).prop_map(Step::HangUp),
        6 => ((0_usize..6), prop::sample::select(vec!['1', '9', '#'])).prop_map(|(at, digit)| Step::Press(at, digit)),
        1 => (0_usize..6).prop_map(Step::EndPrompt),
        12 => Just(Step::Work),
        12 => Just(Step::Tell),
        1 => Just(Step::Fail),
        2 => prop::sample::select(vec![10, 400, 1_000, 15_000]).prop_map(Step::Pass),
        1 => user.clone().prop_map(Step::Release),
        1 => user.clone().prop_map(Step::Delete),
        2 => user.clone().prop_map(Step::Admit),
        1 => (user, any::<bool>()).prop_map(|(user, on)| Step::Mute(user, on)),
        1 => Just(Step::Clear),
        1 => Just(Step::Restart),
        1 => Just(Step::LinkRestored),
        1 => (1001_u32..1005, any::<bool>()).prop_map(|(user, on)| Step::Handle(user, on)),
        2 => (0_usize..6).prop_map(Step::Account),
    ]
}

/// A room with its connector, and what clients have heard.
struct Play {
    scene: Scene,
    connector: Connector,
    calls: u64,
    asked: u32,
    answered: HashMap<u32, u32>,
    /// The DNs that were reported and not yet released.
    open: HashMap<DnId, u32>,
    closed: u32,
    finished: u32,
    passed_ms: u64,
}

impl Play {
    fn new(settings: RoomSettings) -> Self {
        Self {
            scene: Scene::new(settings),
            connector: Connector::default(),
            calls: 0,
            asked: 0,
            answered: HashMap::new(),
            open: HashMap::new(),
            closed: 0,
            finished: 0,
            passed_ms: 0,
        }
    }

    fn give(&mut self, input: RoomInput) {
        assert_eq!(self.finished, 0, "nothing comes after the end: {input:?}");
        let out = self.scene.give(input);
        self.connector.take(&out);
        for output in &out {
            match output {
                RoomOutput::Event { event, requestor } => {
                    self.heard(event);
                    self.count(*requestor);
                }
                RoomOutput::Answer { requestor, .. } => self.count(Some(*requestor)),
                RoomOutput::Closed => self.closed += 1,
                RoomOutput::Finished => self.finished += 1,
                _ => {}
            }
        }
    }

    fn count(&mut self, requestor: Option<Requestor>) {
        if let Some(ReferenceId(number)) = requestor.and_then(|requestor| requestor.reference_id) {
            *self.answered.entry(number).or_default() += 1;
        }
    }

    fn heard(&mut self, event: &Event) {
        let Some(dn) = event.this_dn.clone() else { return };
        let begins = event.name == EventName::EventDialing || dn == meeting() && event.name == EventName::EventEstablished;
        let open = self.open.entry(dn.clone()).or_default();
        if begins {
            *open += 1;
        }
        assert!(*open == 1, "{} of {dn}, which is no party", event.name);
        if terminal(event.name) {
            *open -= 1;
        }
    }

    fn ask(&mut self, request: Request) {
        self.asked += 1;
        let requestor = Requestor {
            client: ClientId(1),
            reference_id: Some(ReferenceId(self.asked)),
        };
        self.give(RoomInput::Request { requestor, request });
    }

    fn offer(&mut self, call: CallOffered) {
        if self.scene.room.is_closed() {
            return;
        }
        self.calls += 1;
        let call = CallOffered {
            conference: ConferenceId::new(0, self.calls),
            ..call
        };
        self.connector.offer(&call);
        self.give(RoomInput::Offered(call));
    }

    fn step(&mut self, step: &Step) {
        if self.finished > 0 {
            return;
        }
        let place = |play: &Self, at: usize| play.connector.parties().get(at).copied();
        match *step {
            Step::Offer(user) => self.offer(offered(user)),
            Step::OfferFromOutside(user) => self.offer(offered_from_outside(user)),
            Step::HangUp(at) => {
                if let Some(place) = place(self, at) {
                    self.connector.hang_up(place);
                }
            }
            Step::Press(at, digit) => {
                if let Some(place) = place(self, at) {
                    self.connector.press(place, digit);
                }
            }
            Step::EndPrompt(at) => {
                if let Some(place) = place(self, at) {
                    self.connector.end_prompt(place);
                }
            }
            Step::Work => {
                self.connector.work();
            }
            Step::Tell => {
                if let Some(told) = self.connector.next_told() {
                    self.give(RoomInput::Link(told));
                }
            }
            Step::Fail => self.connector.fails = true,
            Step::Pass(millis) => {
                self.passed_ms += millis;
                self.scene.now += Duration::from_millis(millis);
                self.give(RoomInput::Timeout);
            }
            Step::Release(user) => self.ask(release(&dn(user))),
            Step::Delete(user) => self.ask(with(OnCallWith::DeleteFromConference, &meeting(), &dn(user))),
            Step::Admit(user) => self.ask(with(OnCallWith::SingleStepConference, &meeting(), &dn(user))),
            Step::Mute(user, on) => {
                let operation = if on { OnCall::SetMuteOn } else { OnCall::SetMuteOff };
                self.ask(on_call(operation, &meeting(), Some(&dn(user))));
            }
            Step::Clear => self.ask(clear(&meeting())),
            Step::LinkRestored => self.give(RoomInput::LinkRestored),
            Step::Account(at) => self.connector.tell_account(at),
            Step::Restart => self.restart(),
            Step::Handle(user, true) => self.scene.wishes = asking(user, HandleDirectCalls::Always),
            Step::Handle(user, false) => self.scene.wishes = asking(user, HandleDirectCalls::Never),
        }
    }

    /// The process dies and comes back; what the connector was to be told has reached it.
    fn restart(&mut self) {
        let Some(snapshot) = self.scene.room.snapshot() else { return };
        let bytes = rmp_serde::to_vec_named(&snapshot).unwrap();
        let read: RoomSnapshot = rmp_serde::from_slice(&bytes).unwrap();
        assert_eq!(read, snapshot);
        let (numbering, settings) = (self.scene.room.numbering.clone(), self.scene.room.settings.clone());
        let mut out = Vec::new();
        self.scene.room = Room::restore(read, numbering, settings, self.scene.now, &mut out);
        self.connector.take(&out);
        // Whoever answers for the process that is gone.
        for number in 1..=self.asked {
            self.answered.entry(number).or_insert(1);
        }
    }

    /// Lets the connector do and tell everything.
    fn settle(&mut self) {
        self.connector.fails = false;
        for _ in 0..10_000 {
            if self.connector.is_quiet() {
                return;
            }
            self.connector.work();
            // A room that has given a silent connector up hears no more of it.
            if let Some(told) = self.connector.next_told()
                && self.finished == 0
            {
                self.give(RoomInput::Link(told));
            }
        }
        panic!("room and connector never come to rest");
    }

    /// Every party that is left is known, and inside it is heard by every other one, unless it is muted.
    fn check_audio(&self) {
        for (conference, party) in self.connector.parties() {
            let known = self
                .scene
                .room
                .joiners
                .iter()
                .any(|joiner| !joiner.is_told() && joiner.is_at(conference, party));
            assert!(known, "a party that clients know nothing of is left");
        }
        let inside: Vec<_> = self.scene.room.inside().collect();
        for listener in &inside {
            for speaker in inside.iter().filter(|speaker| speaker.place != listener.place) {
                let hears = self.connector.hears(listener.place, speaker.place);
                assert_eq!(hears, !speaker.muted, "{} hears {}", listener.dn, speaker.dn);
            }
        }
    }
}

fn check(settings: RoomSettings, steps: &[Step]) {
    let mut play = Play::new(settings);
    for step in steps {
        play.step(step);
    }
    play.settle();
    for _ in 0..2 {
        if play.finished == 0 {
            play.scene.now += Duration::from_millis(1_100);
            play.give(RoomInput::Timeout);
            play.settle();
        }
    }
    play.check_audio();
    for place in play.connector.parties() {
        play.connector.hang_up(place);
    }
    play.settle();
    assert!(play.connector.parties().is_empty(), "a party was left behind");
    assert!(
        play.open.values().all(|open| *open == 0),
        "no terminal event: {:?}",
        play.open
    );
    let at_all = play.calls > 0;
    if at_all && play.finished == 0 && play.passed_ms >= play.scene.room.settings.link_timeout_ms {
        // It had given up on an answer of this slow connector: then it forgets in its own time.
        play.scene.now += Duration::from_secs(80);
        play.give(RoomInput::Timeout);
    }
    assert_eq!((play.closed, play.finished), (u32::from(at_all), u32::from(at_all)));
    for number in 1..=play.asked {
        assert_eq!(play.answered.get(&number), Some(&1), "request {number}");
    }
    if at_all {
        assert_eq!(play.scene.room.next_timeout(), None);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn however_they_come_and_go_nobody_is_left_behind(
        steps in prop::collection::vec(step(), 0..120),
        pin in any::<bool>(),
        lobby in any::<bool>(),
        announce in any::<bool>(),
        max_parties in 2_usize..6,
    ) {
        let pins = pin.then(|| (Pin::new("1"), Pin::new("9")));
        let (pin, moderator_pin) = pins.unzip();
        check(RoomSettings { pin, moderator_pin, lobby, announce, max_parties, ..RoomSettings::default() }, &steps);
    }
}

#[test]
fn whom_a_late_connector_has_is_released_when_a_room_is_forgotten() {
    let steps = [
        Step::Offer(1001),
        Step::Offer(1003),
        Step::Work,
        Step::Work,
        Step::Tell,
        Step::Tell,
        Step::Release(1003),
        Step::Restart,
        Step::Delete(1001),
        Step::Pass(15_000),
        Step::Pass(15_000),
        Step::Pass(15_000),
    ];
    check(RoomSettings::default(), &steps);
}
