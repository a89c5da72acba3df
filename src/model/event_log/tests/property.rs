//! Whatever happens to connections, to the process and to the log: each client gets every event of its DNs once and in order, or is told
//! that it did not.

use std::collections::VecDeque;

use super::restart::restart;
use super::resume::{as_session, from};
use super::*;
use crate::event_log::keep::{Journal, apply};

const DNS: [&str; 3] = [ALICE, BOB, "sip:carol@tandem.local"];

#[derive(Clone, Debug)]
enum Move {
    Publish(usize, u64, bool),
    Ask(usize),
    Register(usize, usize),
    Unregister(usize, usize),
    /// The connection breaks; the last that many frames do not get through.
    Lose(usize, usize),
    Resume(usize, bool),
    Wait(u64),
    Crash,
}

fn a_move() -> impl Strategy<Value = Move> {
    let desk = || 0..3_usize;
    let dn = || 0..DNS.len();
    prop_oneof![
        12 => (dn(), 1..4_u64, any::<bool>()).prop_map(|(dn, call, ends)| Move::Publish(dn, call, ends)),
        2 => desk().prop_map(Move::Ask),
        3 => (desk(), dn()).prop_map(|(desk, dn)| Move::Register(desk, dn)),
        1 => (desk(), dn()).prop_map(|(desk, dn)| Move::Unregister(desk, dn)),
        3 => (desk(), 0..3_usize).prop_map(|(desk, frames)| Move::Lose(desk, frames)),
        4 => (desk(), any::<bool>()).prop_map(|(desk, session)| Move::Resume(desk, session)),
        1 => (1..8_u64).prop_map(Move::Wait),
        1 => Just(Move::Crash),
    ]
}

/// A desktop: what it got, and what it is owed.
#[derive(Default)]
struct Desk {
    client: u64,
    session: String,
    online: bool,
    /// The sequence of the last frame that it has.
    last: u64,
    /// Frames on the wire.
    wire: VecDeque<Delivery>,
    /// The events of its DNs that it does not have yet.
    owed: VecDeque<u64>,
    snapshots: usize,
}

struct Town {
    log: EventLog,
    journal: Journal,
    limits: Limits,
    desks: [Desk; 3],
    connections: u64,
    now: SystemTime,
}

impl Town {
    fn new(limits: Limits) -> Self {
        let mut town = Self {
            log: EventLog::new("epoch-1").with_limits(limits),
            journal: Journal::new(),
            limits,
            desks: Default::default(),
            connections: 0,
            now: NOW,
        };
        town.hand_out(Vec::new());
        town
    }

    /// What the shell does: keep, then hand out.
    fn hand_out(&mut self, out: Vec<Delivery>) {
        apply(&mut self.journal, self.log.take_changes());
        for delivery in out {
            let desk = self
                .desks
                .iter_mut()
                .find(|desk| desk.client == delivery.client.0 && desk.online);
            desk.expect("nothing goes to a connection that is lost")
                .wire
                .push_back(delivery);
        }
    }

    fn arrive(&mut self) {
        for desk in &mut self.desks {
            while let Some(frame) = desk.wire.pop_front() {
                desk.take(&frame);
            }
        }
    }

    fn go(&mut self, step: Move) {
        let mut out = Vec::new();
        match step {
            Move::Publish(dn, call, ends) => {
                let (name, state) = if ends {
                    (EventName::EventReleased, PartyState::Null)
                } else {
                    (EventName::EventEstablished, PartyState::Connected)
                };
                self.log
                    .publish(call_event(name, DNS[dn], call, state), None, self.now, &mut out);
                let registered = |desk: &&mut Desk| self.log.is_registered(ClientId(desk.client), &DNS[dn].into());
                for desk in self.desks.iter_mut().filter(registered) {
                    desk.owed.push_back(self.log.sequence());
                }
            }
            Move::Ask(desk) if self.desks[desk].online => {
                let asker = requestor(self.desks[desk].client);
                self.log
                    .answer(asker, Event::new(EventName::EventServerInfo), self.now, &mut out);
            }
            Move::Register(desk, dn) if self.desks[desk].online => {
                let subscription = Subscription {
                    requestor: requestor(self.desks[desk].client),
                    dn: DNS[dn].into(),
                    facts: facts(),
                    wish: Wish::default(),
                };
                assert!(self.log.subscribe(subscription, self.now, &mut out));
            }
            Move::Unregister(desk, dn) if self.desks[desk].online => {
                let asker = requestor(self.desks[desk].client);
                self.log.unsubscribe(asker, DNS[dn].into(), self.now, &mut out);
            }
            Move::Lose(desk, frames) if self.desks[desk].online => {
                self.desks[desk].lose(frames);
                self.log.disconnected(ClientId(self.desks[desk].client), self.now);
            }
            Move::Resume(desk, by_session) => return self.resume(desk, by_session),
            Move::Wait(seconds) => {
                self.now += Duration::from_secs(seconds);
                for gone in self.log.expire(self.now) {
                    // One that has started anew since is not asked.
                    if let Some(desk) = self.desks.iter_mut().find(|desk| desk.client == gone.client.0) {
                        desk.client = 0;
                        desk.owed.clear();
                    }
                }
            }
            Move::Crash => {
                for desk in &mut self.desks {
                    desk.lose(1);
                }
                self.log = restart(&self.journal, self.limits, self.now);
                self.connections = self.connections.max(self.log.first_client());
            }
            _ => {}
        }
        self.hand_out(out);
    }

    fn resume(&mut self, index: usize, by_session: bool) {
        if self.desks[index].online {
            return;
        }
        self.connections += 1;
        let desk = &mut self.desks[index];
        let resume = match (desk.last, by_session) {
            (0, _) => None,
            (last, true) => as_session(last, &desk.session),
            (last, false) => from(last),
        };
        self.log.client_opened(ClientId(self.connections));
        let opening = Opening {
            requestor: requestor(self.connections),
            identity: Identity([index as u8; 32]),
            session: self.connections.to_string().into(),
            resume,
        };
        let mut out = Vec::new();
        let opened = self.log.open(opening, self.now, &mut out);
        desk.online = true;
        match opened.outcome {
            Outcome::Delta => assert_eq!(opened.client.0, desk.client),
            Outcome::Snapshot => {
                assert_eq!(opened.client.0, desk.client, "it is known");
                desk.snapshots += 1;
                desk.owed.clear();
            }
            Outcome::New => {
                assert!(opened.registrations.is_empty());
                // Whoever it was before, if the log still has it, is not taken for another one.
                desk.owed.clear();
            }
        }
        if opened.client.0 != desk.client {
            desk.session = opened.session.to_string();
        }
        desk.client = opened.client.0;
        while !self.log.catch_up(opened.client, 2, &mut out).expect("nothing goes meanwhile") {}
        self.hand_out(out);
    }
}

impl Desk {
    /// The greeting always arrives, or it would not know who it is.
    fn lose(&mut self, frames: usize) {
        let greeted = self
            .wire
            .iter()
            .rposition(|frame| frame.previous == 0)
            .map_or(0, |place| place + 1);
        let arrives = self.wire.len().saturating_sub(frames).max(greeted);
        for frame in std::mem::take(&mut self.wire).into_iter().take(arrives) {
            self.take(&frame);
        }
        self.online = false;
    }

    fn take(&mut self, frame: &Delivery) {
        let connects = frame.event.name == EventName::EventServerConnected;
        if connects && frame.previous == 0 {
            self.last = frame.sequence;
            return;
        }
        assert_eq!(frame.previous, self.last, "the chain is whole");
        if connects {
            assert_eq!(frame.sequence, self.last, "a delta goes on where it left off");
            return;
        }
        assert!(frame.sequence > self.last);
        self.last = frame.sequence;
        if frame.reference_id.is_none() {
            assert_eq!(self.owed.pop_front(), Some(frame.sequence), "each event once, in order");
        }
    }
}

fn run(moves: Vec<Move>, limits: Limits) -> Town {
    let mut town = Town::new(limits);
    for (index, step) in moves.into_iter().enumerate() {
        town.go(step);
        if index % 3 == 0 {
            town.arrive();
        }
    }
    for desk in 0..3 {
        town.resume(desk, true);
    }
    town.arrive();
    for desk in &town.desks {
        assert!(desk.owed.is_empty(), "{:?} never came", desk.owed);
    }
    let (held, _) = town.log.held();
    assert!(held <= limits.events);
    town
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn with_room_enough_nothing_is_ever_missed(moves in proptest::collection::vec(a_move(), 0..80)) {
        let town = run(moves, Limits { grace: Duration::from_secs(3_600), age: Duration::from_secs(3_600), ..Limits::default() });
        prop_assert!(town.desks.iter().all(|desk| desk.snapshots == 0));
    }

    #[test]
    fn in_a_small_log_what_is_missed_is_told(moves in proptest::collection::vec(a_move(), 0..80)) {
        run(moves, Limits { events: 5, age: Duration::from_secs(9), grace: Duration::from_secs(12), clients: 2, all: false });
    }
}
