//! A user agent that keeps its side of the contract (`tandem-sip`'s `ua::api`) at random, and holds the conference to its own.
//!
//! What a device does is queued on its leg and delivered later, in the order of the leg, while commands take effect at once: so
//! every crossing there is on a real network happens here. A command is judged by what the conference can know, which is what was
//! delivered to it.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use super::oracle::LegView;
use crate::LegId;
use crate::leg::{AckBody, Description, Direction, LegCommand, LegEvent, ReferId};

/// An INVITE or re-INVITE of ours, as the conference sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Ours {
    None,
    /// No final answer was delivered.
    Asked {
        with_offer: bool,
    },
    /// The 2xx was delivered and waits for its ACK.
    Answered {
        with_offer: bool,
        described: bool,
    },
}

/// An INVITE or re-INVITE of the device, as the conference sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Theirs {
    None,
    /// Delivered, and waits for our final answer.
    Asked {
        with_offer: bool,
    },
    /// Our 200 is out, its ACK was not delivered; `late` is one that has to bring an answer.
    Answered {
        late: bool,
    },
}

/// Offers outside INVITE (UPDATE), from before the answer; they may outlast it. They need no ACK.
#[derive(Clone, Default, Debug)]
struct Updates {
    /// The INVITE's offer was answered reliably: the device may make an offer, and understands ours where it allows UPDATE.
    settled: bool,
    allowed: bool,
    /// What the device said last, as agreed.
    said: Option<Bytes>,
    /// Ours, as the conference sees it: what it offers, until the final answer was delivered; then one call of ack is for it.
    ours: Option<Bytes>,
    moot: usize,
    /// The device has not answered it.
    at_device: bool,
    /// The device's, as the conference sees it.
    theirs: Option<Bytes>,
    /// We have not answered it.
    of_device: Option<Bytes>,
    /// It was accepted, which is told like an ACK.
    acked: usize,
}

impl Updates {
    fn is_open(&self) -> bool {
        self.ours.is_some() || self.moot > 0 || self.theirs.is_some()
    }
}

/// Whether a session was answered, is over, and how.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Life {
    Early,
    Cancelling,
    Talking,
    Over,
}

#[derive(Debug)]
struct FakeLeg {
    id: u64,
    party: u32,
    incoming: bool,
    /// What the conference knows.
    known: Life,
    ours: Ours,
    theirs: Theirs,
    early_answer: Option<Bytes>,
    updates: Updates,
    /// What the device knows, ahead of what is queued.
    actual: Life,
    /// Our INVITE or re-INVITE that the device has not answered: whether it carries an offer.
    asked_device: Option<bool>,
    /// Our re-INVITE that waits for the ACK of our last 200.
    reinvite_held: Option<bool>,
    /// The device has a 2xx of its own out that we have not acknowledged.
    awaits_ack: bool,
    /// The device's INVITE or re-INVITE that we have not answered.
    device_asks: Option<bool>,
    /// Our 200 that the device has not acknowledged: whether the ACK has to bring an answer.
    owes_ack: Option<bool>,
    queue: VecDeque<LegEvent>,
    /// The description of this device, and the one it was given, as agreed; and those of an exchange under way.
    gave: Option<Bytes>,
    got: Option<Bytes>,
    giving: Option<Bytes>,
    getting: Option<Bytes>,
    /// It has rung, as the conference knows; it was told to answer and has not said anything to that.
    rang: bool,
    told: bool,
    /// It was invited with the plane's offer; it sent early media that the conference heard of.
    to_plane: bool,
    early: bool,
    /// Its REFERs, as the conference knows them, that have no final status.
    refers: Vec<u64>,
    last_refer: u64,
    /// A message broke the rules of offer and answer: nobody knows what is agreed.
    blurred: bool,
    /// Since a crash: should it refuse what it is offered now, nobody knows what is agreed.
    unsure: bool,
    /// Its ACK of a 200 from before the crash is still to come, and brings its answer.
    late_ack: bool,
}

/// Every leg there was.
#[derive(Debug, Default)]
pub struct FakeUa {
    legs: BTreeMap<u64, FakeLeg>,
    descriptions: usize,
}

/// A number in `0..bound`, chosen by the test.
pub type Choose<'a> = &'a mut dyn FnMut(usize) -> usize;

impl FakeUa {
    /// A description of no device yet: `FakeLeg::own` makes it a leg's.
    fn description(&mut self) -> usize {
        self.descriptions += 1;
        self.descriptions
    }

    /// Whether the legs in talk, with nothing under way on any of them, have each other's description, or the plane's each.
    pub fn agreed(&self) -> Result<(), String> {
        let talking: Vec<_> = self.legs.values().filter(|leg| leg.known == Life::Talking).collect();
        let busy = |leg: &&FakeLeg| leg.blurred || leg.ours != Ours::None || leg.theirs != Theirs::None || leg.updates.is_open();
        let anchored = |leg: &&FakeLeg| leg.got == Some(plane(leg.id));
        if talking.iter().any(busy) || talking.iter().all(anchored) {
            return Ok(());
        }
        let [one, other] = &*talking else {
            return Err(format!("not all are anchored: {talking:?}"));
        };
        let port = |sdp: &Option<Bytes>| {
            sdp.as_ref()
                .and_then(|sdp| sdp.split(|b| *b == b'+').next().map(<[u8]>::to_vec))
        };
        if port(&one.got) == port(&other.gave) && port(&other.got) == port(&one.gave) {
            return Ok(());
        }
        Err(format!("no agreement: {one:?} {other:?}"))
    }

    /// What was commanded last did not go out; the conference hears so.
    pub fn undo(&mut self, leg: LegId, event: &LegEvent) {
        let Some(fake) = self.legs.get_mut(&leg.0) else { return };
        (fake.asked_device, fake.reinvite_held) = (None, None);
        fake.updates.at_device = false;
        // It never came to glare.
        fake.queue.retain(|queued| !matches!(queued, LegEvent::ReinviteFailed { .. }));
        if matches!(event, LegEvent::Failed { .. }) {
            fake.actual = Life::Over;
        }
        fake.delivered(event);
    }

    /// Whether the device has an answer already.
    pub fn is_answered_early(&self, leg: LegId) -> bool {
        self.legs.get(&leg.0).is_some_and(|fake| fake.early_answer.is_some())
    }

    /// What is agreed on this leg is not to be judged any more.
    pub fn blur(&mut self, leg: LegId) {
        if let Some(fake) = self.legs.get_mut(&leg.0) {
            fake.blurred = true;
        }
    }

    /// The call that makes a conference.
    pub fn call(&mut self, leg: LegId, party: u32, with_offer: bool) -> Option<Bytes> {
        let offer = with_offer.then(|| own(leg.0, self.description(), 0));
        let fake = FakeLeg {
            theirs: Theirs::Asked { with_offer },
            device_asks: Some(with_offer),
            giving: offer.clone(),
            party,
            ..FakeLeg::new(leg.0, true)
        };
        self.legs.insert(leg.0, fake);
        offer
    }

    /// A leg that comes from another conference, where its media was with the plane.
    pub fn brought(&mut self, leg: LegId, party: u32) {
        let fake = FakeLeg {
            party,
            known: Life::Talking,
            actual: Life::Talking,
            gave: Some(own(leg.0, 0, 0)),
            got: Some(plane(leg.0)),
            ..FakeLeg::new(leg.0, false)
        };
        self.legs.insert(leg.0, fake);
    }

    /// Whoever speaks for the legs has crashed: these sessions come back, nothing is under way on them, and nobody knows how far the
    /// devices had come with what was.
    pub fn crash(&mut self, kept: &[LegId], choose: Choose<'_>) {
        let number = self.description();
        let unsure = self.legs.values().any(|fake| fake.known == Life::Talking && !fake.at_rest());
        for fake in self.legs.values_mut() {
            fake.unsure |= unsure;
            if kept.contains(&LegId(fake.id)) {
                let sdp = own(fake.id, if choose(3) == 0 { number } else { 0 }, number);
                fake.crash(sdp, choose(2) == 0);
            } else {
                fake.stop();
                fake.queue.clear();
            }
        }
    }

    /// A leg that another conference takes over; says whether it was at rest.
    pub fn left(&mut self, leg: LegId) -> bool {
        self.legs.remove(&leg.0).is_some_and(|fake| {
            let acked = !matches!(fake.theirs, Theirs::Asked { .. } | Theirs::Answered { late: true });
            let anchored = fake.blurred || fake.got == Some(plane(leg.0));
            acked && fake.ours == Ours::None && !fake.updates.is_open() && fake.refers.is_empty() && anchored
        })
    }

    /// Every leg, as the media plane's oracle wants to see it.
    pub fn views(&self) -> Vec<LegView> {
        self.legs.values().map(FakeLeg::view).collect()
    }

    /// The legs that are alive to the conference.
    pub fn known(&self) -> Vec<LegId> {
        let alive = self.legs.iter().filter(|(_, leg)| leg.known != Life::Over);
        alive.map(|(id, _)| LegId(*id)).collect()
    }

    /// Carries a command out, or says which rule it breaks.
    pub fn command(&mut self, leg: LegId, command: &LegCommand) -> Result<(), String> {
        if let LegCommand::Invite { offer, party, .. } = command {
            let with_offer = offer.is_some();
            let fake = FakeLeg {
                ours: Ours::Asked { with_offer },
                asked_device: Some(with_offer),
                getting: meant(leg.0, offer),
                party: party.0,
                to_plane: *offer == Some(Description::Anchored),
                ..FakeLeg::new(leg.0, false)
            };
            return match self.legs.insert(leg.0, fake) {
                None => Ok(()),
                Some(_) => Err(format!("leg {leg} was used before")),
            };
        }
        let Some(fake) = self.legs.get_mut(&leg.0) else {
            return Err(format!("leg {leg} was never made"));
        };
        fake.command(command)
            .map_err(|rule| format!("leg {leg}: {command:?}: {rule}; {fake:?}"))
    }

    /// Lets a device do something, if it can.
    pub fn act(&mut self, choose: Choose<'_>) {
        if self.legs.is_empty() {
            return;
        }
        let nth = choose(self.legs.len());
        let number = self.description();
        if let Some(fake) = self.legs.values_mut().nth(nth) {
            let sdp = own(fake.id, if choose(3) == 0 { number } else { 0 }, number);
            fake.act(sdp, choose);
        }
    }

    /// Every device that is called and was offered something rings with early media, most of them reliably.
    pub fn ring(&mut self, choose: Choose<'_>) {
        let number = self.description();
        for fake in self.legs.values_mut().filter(|leg| leg.asked_device == Some(true)) {
            fake.ring(183, Some(own(fake.id, 0, number)), choose(4) > 0, choose);
        }
    }

    /// Lets a device that is not answered make an offer, or answer one.
    pub fn act_early(&mut self, choose: Choose<'_>) {
        let number = self.description();
        let mut early: Vec<&mut FakeLeg> = self.legs.values_mut().filter(|leg| leg.actual == Life::Early).collect();
        let nth = choose(early.len());
        if let Some(fake) = early.get_mut(nth) {
            let sdp = own(fake.id, if choose(3) == 0 { number } else { 0 }, number);
            fake.act_early(&sdp, choose);
        }
    }

    /// Lets every device do what it has to: answer, acknowledge. Says whether any had to.
    pub fn do_duties(&mut self) -> bool {
        let mut any = false;
        let number = self.description();
        for fake in self.legs.values_mut() {
            let sdp = own(fake.id, 0, number);
            any |= fake.do_duty(&sdp);
        }
        any
    }

    /// Every device that is called answers.
    pub fn answer_calls(&mut self) {
        let number = self.description();
        for fake in self
            .legs
            .values_mut()
            .filter(|leg| leg.actual == Life::Early && !leg.incoming)
        {
            fake.answer(own(fake.id, 0, number), false);
        }
    }

    /// A device in talk hangs up.
    pub fn hang_up(&mut self, choose: Choose<'_>) {
        let mut talking: Vec<&mut FakeLeg> = self.legs.values_mut().filter(|leg| leg.actual == Life::Talking).collect();
        if talking.is_empty() {
            return;
        }
        let nth = choose(talking.len());
        talking[nth].finish(LegEvent::Ended {
            by_device: true,
            q850: None,
            reason: None,
        });
    }

    /// The next event of a leg that has any.
    pub fn deliver(&mut self, choose: Choose<'_>) -> Option<(LegId, LegEvent)> {
        let mut waiting: Vec<(&u64, &mut FakeLeg)> = self.legs.iter_mut().filter(|(_, leg)| !leg.queue.is_empty()).collect();
        if waiting.is_empty() {
            return None;
        }
        let nth = choose(waiting.len());
        let (id, leg) = &mut waiting[nth];
        let event = leg.queue.pop_front()?;
        leg.delivered(&event);
        Some((LegId(**id), event))
    }

    /// The legs that the devices hold for alive.
    pub fn alive(&self) -> Vec<u64> {
        self.legs
            .iter()
            .filter(|(_, leg)| leg.actual != Life::Over)
            .map(|(id, _)| *id)
            .collect()
    }
}

impl FakeLeg {
    fn new(id: u64, incoming: bool) -> Self {
        Self {
            id,
            party: 0,
            incoming,
            known: Life::Early,
            ours: Ours::None,
            theirs: Theirs::None,
            early_answer: None,
            updates: Updates::default(),
            actual: Life::Early,
            asked_device: None,
            reinvite_held: None,
            awaits_ack: false,
            device_asks: None,
            owes_ack: None,
            queue: VecDeque::new(),
            gave: None,
            got: None,
            giving: None,
            getting: None,
            rang: false,
            told: false,
            to_plane: false,
            early: false,
            refers: Vec::new(),
            last_refer: 0,
            blurred: false,
            unsure: false,
            late_ack: false,
        }
    }

    fn at_rest(&self) -> bool {
        self.known == Life::Talking && self.ours == Ours::None && self.theirs == Theirs::None && !self.updates.is_open()
    }

    fn view(&self) -> LegView {
        LegView {
            leg: LegId(self.id),
            party: self.party,
            at_rest: self.at_rest() && !self.blurred,
            talking: self.known == Life::Talking,
            anchored: self.got == Some(plane(self.id)),
            early: self.known == Life::Early && self.to_plane && self.early,
        }
    }

    /// Checks a command against what the conference knows, then lets the device have it.
    fn command(&mut self, command: &LegCommand) -> Result<(), &'static str> {
        // A device that has hung up may still hear how its transfer ended.
        let is_about_transfer = matches!(command, LegCommand::ReferProgress { .. });
        ensure(self.known != Life::Over || is_about_transfer, "the leg is over")?;
        match command {
            LegCommand::Invite { .. } => Err("an INVITE makes a leg"),
            LegCommand::Progress { answer, .. } => {
                ensure(
                    self.incoming && self.known == Life::Early,
                    "not a call that waits for an answer",
                )?;
                if answer.is_some() {
                    ensure(self.theirs == Theirs::Asked { with_offer: true }, "an answer to no offer")?;
                    ensure(self.early_answer.is_none(), "a second early answer")?;
                    self.early_answer = meant(self.id, answer);
                    // Every other caller takes part in reliable responses, and some of them understand UPDATE.
                    self.updates.settled = self.giving.as_ref().is_some_and(|sdp| sdp.len() % 2 == 0);
                    let last = self.early_answer.as_ref().and_then(|sdp| sdp.last().copied());
                    self.updates.allowed = last.is_some_and(|digit| digit % 4 > 0);
                }
                Ok(())
            }
            LegCommand::Accept { sdp } => {
                ensure(
                    self.incoming && self.known == Life::Early,
                    "not a call that waits for an answer",
                )?;
                ensure(sdp.is_some(), "a 200 without a description")?;
                self.known = Life::Talking;
                // The plane repeats the answer that the device has.
                let plane = *sdp == Some(Description::Anchored);
                let repeated = self.early_answer.take().filter(|_| plane);
                self.answer_device(&repeated.or_else(|| meant(self.id, sdp)));
                Ok(())
            }
            LegCommand::Reject { status, .. } => {
                ensure(
                    self.incoming && self.known == Life::Early,
                    "not a call that waits for an answer",
                )?;
                ensure((400..700).contains(status), "no refusal")?;
                ensure(!self.owes_update(), "an UPDATE has no end")?;
                self.stop();
                Ok(())
            }
            LegCommand::Cancel { .. } => {
                ensure(!self.incoming && self.known == Life::Early, "nothing to cancel")?;
                ensure(!self.owes_update(), "an UPDATE has no end")?;
                self.known = Life::Cancelling;
                if self.actual == Life::Early {
                    self.actual = Life::Cancelling;
                }
                Ok(())
            }
            LegCommand::Ack { answer } => self.acknowledge(answer),
            LegCommand::Reinvite { offer } if self.known == Life::Early => self.update(offer),
            LegCommand::Reinvite { offer } => {
                ensure(self.known == Life::Talking, "not in talk")?;
                ensure(!self.updates.is_open(), "an UPDATE is under way on the leg")?;
                let late = self.theirs == (Theirs::Answered { late: true });
                let open = matches!(self.theirs, Theirs::Asked { .. }) || (late && !self.late_ack);
                ensure(self.ours == Ours::None && !open, "another exchange is under way on the leg")?;
                let with_offer = offer.is_some();
                self.ours = Ours::Asked { with_offer };
                self.getting = meant(self.id, offer);
                if self.actual == Life::Talking {
                    self.reinvite(with_offer);
                }
                Ok(())
            }
            LegCommand::AcceptReinvite { sdp } if self.updates.theirs.is_some() => {
                ensure(sdp.is_some(), "a 200 without a description")?;
                self.accept_update(meant(self.id, sdp));
                Ok(())
            }
            LegCommand::RejectReinvite { status } if self.updates.theirs.is_some() => {
                ensure((400..700).contains(status), "no refusal")?;
                (self.updates.theirs, self.updates.of_device) = (None, None);
                Ok(())
            }
            LegCommand::AcceptReinvite { sdp } => {
                let asked = matches!(self.theirs, Theirs::Asked { .. }) && self.known == Life::Talking;
                ensure(asked, "no re-INVITE waits")?;
                ensure(sdp.is_some(), "a 200 without a description")?;
                self.answer_device(&meant(self.id, sdp));
                Ok(())
            }
            LegCommand::RejectReinvite { status } => {
                let asked = matches!(self.theirs, Theirs::Asked { .. }) && self.known == Life::Talking;
                ensure(asked, "no re-INVITE waits")?;
                ensure((400..700).contains(status), "no refusal")?;
                (self.theirs, self.device_asks, self.giving) = (Theirs::None, None, None);
                Ok(())
            }
            LegCommand::Info { .. } => ensure(self.known == Life::Talking, "not in talk"),
            LegCommand::Talk => {
                ensure(!self.incoming && self.known == Life::Early && self.rang, "nothing rings")?;
                ensure(!std::mem::replace(&mut self.told, true), "it was told already")
            }
            LegCommand::ReferProgress { refer, status } => {
                ensure(matches!(self.known, Life::Talking | Life::Over), "not in talk")?;
                ensure(self.refers.contains(&refer.0), "no such transfer")?;
                ensure((100..700).contains(status), "no status")?;
                if *status >= 200 {
                    self.refers.retain(|open| *open != refer.0);
                }
                Ok(())
            }
            LegCommand::Bye { .. } => {
                ensure(matches!(self.known, Life::Talking | Life::Cancelling), "not in talk")?;
                ensure(self.refers.is_empty(), "a transfer has no end")?;
                ensure(!self.owes_update(), "an UPDATE has no end")?;
                let unacknowledged = matches!(self.ours, Ours::Answered { .. });
                ensure(!unacknowledged, "a 2xx is not acknowledged")?;
                ensure(!matches!(self.theirs, Theirs::Asked { .. }), "a re-INVITE is not answered")?;
                let crossed = self.known == Life::Talking || self.ours == Ours::None;
                ensure(crossed, "a cancelled leg is not answered")?;
                self.stop();
                Ok(())
            }
        }
    }

    /// Our re-INVITE waits for the ACK of our last 200, and fails at once when the device's own one is on its way up.
    fn reinvite(&mut self, with_offer: bool) {
        if self.device_asks.is_some() {
            self.queue.push_back(LegEvent::ReinviteFailed { status: 491 });
        } else if self.owes_ack.is_some() {
            self.reinvite_held = Some(with_offer);
        } else {
            self.asked_device = Some(with_offer);
        }
    }

    /// Whether an UPDATE of the device waits for us, or an ack of the conference is still to come that is for one of ours.
    fn owes_update(&self) -> bool {
        self.updates.theirs.is_some() || self.updates.moot > 0
    }

    /// Our offer before the answer.
    fn update(&mut self, offer: &Option<Description>) -> Result<(), &'static str> {
        ensure(offer.is_some(), "an UPDATE without an offer")?;
        ensure(!self.updates.is_open(), "another UPDATE is under way on the leg")?;
        self.updates.ours = meant(self.id, offer);
        if matches!(self.actual, Life::Early | Life::Talking) {
            let refused = match &self.updates {
                Updates { of_device: Some(_), .. } | Updates { settled: false, .. } => Some(491),
                Updates { allowed: false, .. } => Some(405),
                _ => None,
            };
            match refused {
                Some(status) => self.queue.push_back(LegEvent::ReinviteFailed { status }),
                None => self.updates.at_device = true,
            }
        }
        Ok(())
    }

    /// Our 200 to the device's UPDATE.
    fn accept_update(&mut self, got: Option<Bytes>) {
        let given = self.updates.theirs.take();
        self.updates.of_device = None;
        if self.actual != Life::Over {
            self.updates.acked += 1;
            self.queue.push_back(LegEvent::Acked { sdp: None });
        }
        if self.known == Life::Talking {
            (self.gave, self.got) = (given, got);
            return;
        }
        self.updates.said.clone_from(&given);
        if self.incoming {
            (self.giving, self.early_answer) = (given, got);
        } else {
            self.to_plane |= got == Some(plane(self.id));
            self.early |= self.to_plane;
            self.getting = got;
        }
    }

    /// Our UPDATE got its final answer.
    fn update_over(&mut self, answer: Option<&Option<Bytes>>) {
        let Some(offered) = self.updates.ours.take() else { return };
        let Some(answer) = answer else { return };
        self.updates.moot += 1;
        self.blurred |= answer.is_none();
        if self.known == Life::Talking {
            (self.gave, self.got) = (answer.clone(), Some(offered));
        } else if self.incoming {
            (self.giving, self.early_answer) = (answer.clone(), Some(offered));
        } else {
            self.getting = Some(offered);
        }
    }

    /// The device answers our UPDATE, or makes an offer of its own. Says whether it did.
    fn act_early(&mut self, sdp: &Bytes, choose: Choose<'_>) -> bool {
        let bare = choose(16) == 0;
        match choose(8) {
            0..=3 if self.updates.at_device => self.answer_update((!bare).then(|| sdp.clone())),
            4 if self.updates.at_device => {
                self.updates.at_device = false;
                let status = [488, 405, 500, 491][choose(4)];
                self.queue.push_back(LegEvent::ReinviteFailed { status });
            }
            5 if self.updates.settled
                && self.actual == Life::Early
                && !self.updates.at_device
                && self.updates.of_device.is_none() =>
            {
                self.updates.of_device = Some(sdp.clone());
                self.queue.push_back(LegEvent::Reoffered {
                    offer: Some(sdp.clone()),
                    direction: [Direction::SendRecv, Direction::SendOnly][choose(2)],
                });
            }
            _ => return false,
        }
        true
    }

    fn ring(&mut self, status: u16, sdp: Option<Bytes>, reliably: bool, choose: Choose<'_>) {
        if sdp.is_some() && self.asked_device == Some(true) && reliably {
            (self.updates.settled, self.updates.allowed) = (true, choose(4) > 0);
            self.updates.said.clone_from(&sdp);
        }
        self.queue.push_back(LegEvent::Progress { status, sdp });
    }

    fn answer_update(&mut self, sdp: Option<Bytes>) {
        self.updates.at_device = false;
        self.updates.said = sdp.clone().or(self.updates.said.take());
        self.queue.push_back(LegEvent::ReinviteAnswered { sdp });
    }

    /// Our 200 goes out.
    fn answer_device(&mut self, sdp: &Option<Bytes>) {
        let Theirs::Asked { with_offer } = self.theirs else { return };
        if with_offer {
            self.gave = self.giving.take();
            self.got = sdp.clone();
        } else {
            self.getting = sdp.clone();
        }
        self.theirs = Theirs::Answered { late: !with_offer };
        if self.device_asks.take().is_some() {
            self.owes_ack = Some(!with_offer);
            self.actual = Life::Talking;
        }
    }

    fn acknowledge(&mut self, answer: &AckBody) -> Result<(), &'static str> {
        if self.updates.moot > 0 {
            self.updates.moot -= 1;
            return ensure(*answer == AckBody::Nothing, "an UPDATE has no ACK");
        }
        let Ours::Answered { with_offer, described } = self.ours else {
            return Err("no 2xx waits for its ACK");
        };
        match answer {
            AckBody::Nothing => ensure(with_offer || !described, "an offer is not answered")?,
            AckBody::Answer(_) | AckBody::Inactive => ensure(!with_offer && described, "an answer to no offer")?,
        }
        match answer {
            AckBody::Answer(answer) => {
                (self.gave, self.got) = (self.giving.take(), meant(self.id, &Some(answer.clone())));
            }
            // The first phone of a third-party call: it has given its description, and gets the other's later.
            AckBody::Inactive => (self.gave, self.got) = (self.giving.take(), None),
            AckBody::Nothing => {}
        }
        self.ours = Ours::None;
        self.awaits_ack = false;
        Ok(())
    }

    fn crash(&mut self, sdp: Bytes, went_on: bool) {
        // What an UPDATE from before the answer has come to by then is not known.
        self.blurred |= std::mem::take(&mut self.updates).is_open();
        match (self.ours, self.theirs) {
            _ if self.late_ack => {}
            (_, Theirs::Answered { late: true }) if went_on => {
                // Our 200 went out again, and has its ACK sooner or later.
                self.got = self.getting.take();
                self.late_ack = true;
            }
            (Ours::Asked { with_offer: true }, _) if went_on => {
                (self.gave, self.got) = (Some(sdp), self.getting.take());
            }
            // Its 2xx had an offer: the user agent has acknowledged that without media.
            (Ours::Asked { with_offer: false }, _) if went_on => (self.gave, self.got) = (Some(sdp), None),
            (Ours::Answered { with_offer: false, .. }, _) => (self.gave, self.got) = (self.giving.take(), None),
            _ => {}
        }
        if !self.late_ack {
            (self.theirs, self.owes_ack) = (Theirs::None, None);
        }
        self.ours = Ours::None;
        (self.asked_device, self.reinvite_held, self.device_asks) = (None, None, None);
        (self.awaits_ack, self.giving, self.getting) = (false, None, None);
        let late_ack = self.late_ack;
        self.queue.retain(|event| match event {
            LegEvent::Ended { .. } | LegEvent::Cancelled { .. } => true,
            LegEvent::Acked { .. } => late_ack,
            _ => false,
        });
    }

    /// Nothing more is heard of this leg but what is on its way.
    fn stop(&mut self) {
        self.known = Life::Over;
        self.actual = Life::Over;
    }

    /// The device, or the network, ends the session.
    fn finish(&mut self, event: LegEvent) {
        self.actual = Life::Over;
        (self.device_asks, self.asked_device, self.owes_ack) = (None, None, None);
        self.updates.at_device = false;
        self.queue.push_back(event);
    }

    /// The conference hears an event.
    fn delivered(&mut self, event: &LegEvent) {
        if self.known == Life::Over {
            return;
        }
        match event {
            LegEvent::ReinviteAnswered { sdp } if self.updates.ours.is_some() => self.update_over(Some(sdp)),
            LegEvent::ReinviteFailed { .. } if self.updates.ours.is_some() => self.update_over(None),
            LegEvent::Reoffered { offer, .. } if self.updates.of_device.is_some() && self.updates.theirs.is_none() => {
                self.updates.theirs.clone_from(offer);
            }
            LegEvent::Answered { sdp } | LegEvent::ReinviteAnswered { sdp } => {
                if let Ours::Asked { with_offer } = self.ours {
                    let described = sdp.is_some();
                    self.blurred |= !described;
                    if with_offer {
                        (self.gave, self.got) = (sdp.clone(), self.getting.take());
                    } else {
                        self.giving = sdp.clone();
                    }
                    self.ours = Ours::Answered { with_offer, described };
                    self.unsure = false;
                }
                if self.known == Life::Early {
                    self.known = Life::Talking;
                }
            }
            LegEvent::ReinviteFailed { status } => {
                (self.ours, self.getting) = (Ours::None, None);
                self.blurred |= self.unsure && *status != 491;
            }
            LegEvent::Acked { sdp: None } if self.updates.acked > 0 => self.updates.acked -= 1,
            LegEvent::Acked { sdp } => {
                if std::mem::take(&mut self.late_ack) {
                    self.gave = sdp.clone();
                } else if self.theirs == (Theirs::Answered { late: true }) {
                    (self.gave, self.got) = (sdp.clone(), self.getting.take());
                }
                self.theirs = Theirs::None;
            }
            LegEvent::Reoffered { offer, .. } => {
                self.giving = offer.clone();
                self.theirs = Theirs::Asked {
                    with_offer: offer.is_some(),
                };
            }
            LegEvent::Failed { .. } | LegEvent::Cancelled { .. } | LegEvent::Ended { .. } => self.known = Life::Over,
            LegEvent::Progress { status, sdp } => {
                let rings = (180..199).contains(status);
                self.rang |= rings;
                self.early |= rings && sdp.is_some();
            }
            LegEvent::Talked { .. } => self.told = false,
            LegEvent::Referred { refer, .. } => self.refers.push(refer.0),
            LegEvent::Info { .. } => {}
        }
    }

    fn act(&mut self, sdp: Bytes, choose: Choose<'_>) {
        if !matches!(self.actual, Life::Over | Life::Cancelling) && self.act_early(&sdp, choose) {
            return;
        }
        match (self.actual, self.incoming) {
            (Life::Over, _) => {}
            (Life::Early, true) => {
                if choose(12) == 0 {
                    let (q850, reason) = (None, None);
                    self.finish(LegEvent::Cancelled { q850, reason });
                }
            }
            (Life::Early, false) => self.act_called(sdp, choose),
            (Life::Cancelling, _) => {
                let status = [487, 486, 408][choose(3)];
                self.finish(failed(status, None));
            }
            (Life::Talking, _) => self.act_talking(sdp, choose),
        }
    }

    fn act_called(&mut self, sdp: Bytes, choose: Choose<'_>) {
        match choose(8) {
            0 | 1 => {
                let status = [180, 183, 181, 199, 101][choose(5)];
                let sdp = (choose(2) == 0 && !self.updates.settled).then_some(sdp);
                self.ring(status, sdp, choose(2) == 0, choose);
            }
            2..=4 => self.answer(sdp, choose(12) == 0),
            5 => {
                let status = [404, 408, 486, 503, 603, 302, 401][choose(7)];
                self.finish(failed(status, Some(17)));
            }
            6 => self.talk(choose),
            _ => {}
        }
    }

    /// The device says something to being told to answer, once.
    fn talk(&mut self, choose: Choose<'_>) {
        let said = |event: &LegEvent| matches!(event, LegEvent::Talked { .. });
        if self.told && !self.queue.iter().any(said) {
            let status = [200, 202, 489, 408, 481][choose(5)];
            self.queue.push_back(LegEvent::Talked { status });
        }
    }

    /// The device answers our INVITE or re-INVITE with 200; `bare` is one without the description it must have.
    fn answer(&mut self, sdp: Bytes, bare: bool) {
        self.asked_device = None;
        self.awaits_ack = true;
        // What it has said reliably stands.
        let said = self.updates.said.take().filter(|_| self.actual == Life::Early);
        let sdp = said.or((!bare).then_some(sdp));
        self.queue.push_back(match self.actual {
            Life::Talking => LegEvent::ReinviteAnswered { sdp },
            _ => LegEvent::Answered { sdp },
        });
        self.actual = Life::Talking;
    }

    fn act_talking(&mut self, sdp: Bytes, choose: Choose<'_>) {
        match choose(24) {
            0..=5 if self.asked_device.is_some() => self.answer(sdp, choose(8) == 0),
            6 if self.asked_device.is_some() => {
                self.asked_device = None;
                let status = [488, 500, 401, 300][choose(4)];
                self.queue.push_back(LegEvent::ReinviteFailed { status });
            }
            7..=12 => self.acknowledge_us(sdp, choose(16) == 0),
            13..=18 => self.reoffer(
                sdp,
                choose(3) == 0,
                [Direction::SendRecv, Direction::SendOnly, Direction::Inactive][choose(3)],
            ),
            19 => self.queue.push_back(LegEvent::Info {
                content_type: "x".into(),
                body: sdp,
            }),
            21 => {
                self.last_refer += 1;
                self.queue.push_back(LegEvent::Referred {
                    refer: ReferId(self.last_refer),
                    to: "sip:z@x".into(),
                    replaces: None,
                });
            }
            22 => self.talk(choose),
            20 if choose(3) == 0 => self.finish(LegEvent::Ended {
                by_device: choose(2) == 0,
                q850: Some(16),
                reason: Some("Q.850;cause=16".into()),
            }),
            _ => {}
        }
    }

    /// The device acknowledges our 200; `bare` is an ACK without the answer it must have.
    fn acknowledge_us(&mut self, sdp: Bytes, bare: bool) {
        if let Some(with_answer) = self.owes_ack.take() {
            self.queue.push_back(LegEvent::Acked {
                sdp: (with_answer && !bare).then_some(sdp),
            });
            self.asked_device = self.asked_device.or(self.reinvite_held.take());
        }
    }

    /// The device sends a re-INVITE, ours on its way or not: that is glare.
    fn reoffer(&mut self, sdp: Bytes, bare: bool, direction: Direction) {
        let updates = self.updates.at_device || self.updates.of_device.is_some();
        if self.device_asks.is_none() && self.owes_ack.is_none() && !self.awaits_ack && !updates {
            self.device_asks = Some(!bare);
            self.queue.push_back(LegEvent::Reoffered {
                offer: (!bare).then_some(sdp),
                direction: if bare { Direction::SendRecv } else { direction },
            });
        }
    }

    fn do_duty(&mut self, sdp: &Bytes) -> bool {
        match self.actual {
            Life::Cancelling => {
                let status = 487;
                self.finish(failed(status, None));
            }
            Life::Early | Life::Talking if self.updates.at_device => self.answer_update(Some(sdp.clone())),
            Life::Talking if self.owes_ack.is_some() => self.acknowledge_us(sdp.clone(), false),
            Life::Talking if self.asked_device.is_some() => self.answer(sdp.clone(), false),
            _ => return false,
        }
        true
    }
}

/// A description of a leg's device: where it takes media, and a version (7 is one that holds, see the settings).
fn own(leg: u64, port: usize, version: usize) -> Bytes {
    Bytes::from(format!("leg{leg}:{port}+{}", version % 10))
}

/// What a description of ours comes to on a leg: the plane's own differs from leg to leg.
fn meant(leg: u64, description: &Option<Description>) -> Option<Bytes> {
    description.as_ref().map(|description| match description {
        Description::Passed(sdp) => sdp.clone(),
        Description::Anchored => plane(leg),
    })
}

fn plane(leg: u64) -> Bytes {
    Bytes::from(format!("plane{leg}"))
}

fn failed(status: u16, q850: Option<u8>) -> LegEvent {
    LegEvent::Failed {
        status,
        q850,
        reason: None,
        contacts: Vec::new(),
    }
}

fn ensure(holds: bool, rule: &'static str) -> Result<(), &'static str> {
    if holds { Ok(()) } else { Err(rule) }
}
