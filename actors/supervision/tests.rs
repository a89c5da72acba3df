//! Each policy is tested with real panics in real contexts.

use std::cell::Cell;
use std::time::Duration;

use actix::{Handler, Message};

use super::*;
use crate::kind::ActorKind;

#[derive(Message)]
#[rtype(result = "u32")]
enum Command {
    Add(u32),
    Panic,
}

/// Counts in a slot (survives) and in itself (does not).
struct Counter {
    slot: Slot<u32>,
    own: u32,
    escalations: Rc<Cell<u32>>,
    /// How many more times rebuilding it fails.
    stubborn: Rc<Cell<u32>>,
}

impl Actor for Counter {
    type Context = Context<Self>;
}

impl Supervised for Counter {
    fn restarting(&mut self, _: &mut Self::Context) {
        escalate_if_due(self);
        if self.stubborn.get() > 0 {
            self.stubborn.set(self.stubborn.get() - 1);
            panic!("injected while it is rebuilt");
        }
        self.own = 0;
    }
}

impl Escalation for Counter {
    fn escalate(&mut self) {
        *self.slot.borrow_mut() = 0;
        self.escalations.set(self.escalations.get() + 1);
    }
}

impl Handler<Command> for Counter {
    type Result = u32;

    fn handle(&mut self, command: Command, _: &mut Self::Context) -> u32 {
        match command {
            Command::Add(n) => {
                self.own += n;
                let mut slot = self.slot.borrow_mut();
                *slot += n;
                *slot * 1000 + self.own
            }
            Command::Panic => {
                let _borrowed = self.slot.borrow_mut();
                panic!("injected");
            }
        }
    }
}

fn counter() -> (Counter, Rc<Cell<u32>>) {
    let escalations = Rc::new(Cell::new(0));
    (
        Counter {
            slot: Slot::default(),
            own: 0,
            escalations: escalations.clone(),
            stubborn: Rc::default(),
        },
        escalations,
    )
}

#[actix_rt::test]
async fn a_permanent_child_keeps_its_address_its_slot_and_the_messages_that_wait() {
    let (actor, escalations) = counter();
    let addr = supervise(ChildSpec::permanent(ActorKind::Dn, 16), actor);
    assert_eq!(addr.send(Command::Add(2)).await, Ok(2002));
    let crashed = addr.send(Command::Panic);
    let waiting = addr.send(Command::Add(3));
    assert!(crashed.await.is_err(), "the asker of the crashed message learns of it");
    assert_eq!(waiting.await, Ok(5003), "the waiting message is handled by the rebuilt actor");
    assert_eq!(escalations.get(), 0);
}

#[actix_rt::test]
async fn a_permanent_child_that_keeps_crashing_starts_with_fresh_state() {
    tokio::time::pause();
    let (actor, escalations) = counter();
    let addr = supervise(ChildSpec::permanent(ActorKind::Dn, 16), actor);
    assert_eq!(addr.send(Command::Add(2)).await, Ok(2002));
    for _ in 0..6 {
        assert!(addr.send(Command::Panic).await.is_err());
    }
    assert_eq!(addr.send(Command::Add(1)).await, Ok(1001));
    assert_eq!(escalations.get(), 1);
}

#[actix_rt::test]
async fn a_temporary_child_is_buried_and_its_parent_told() {
    let (actor, _) = counter();
    let (told, down) = tokio::sync::oneshot::channel();
    let addr = launch(ChildSpec::temporary(ActorKind::Call, 16), actor, move |reason| {
        let _ = told.send(reason);
    });
    let crashed = addr.send(Command::Panic);
    let waiting = addr.send(Command::Add(3));
    assert!(crashed.await.is_err() && waiting.await.is_err());
    let reason = tokio::time::timeout(Duration::from_secs(5), down).await.unwrap().unwrap();
    assert_eq!(reason, DownReason::Panicked("injected".into()));
}

#[actix_rt::test]
async fn a_crash_leaves_the_neighbours_alone() {
    let (first, _) = counter();
    let (second, _) = counter();
    let first = launch(ChildSpec::temporary(ActorKind::Call, 16), first, |_| ());
    let second = launch(ChildSpec::temporary(ActorKind::Call, 16), second, |_| ());
    assert!(first.send(Command::Panic).await.is_err());
    assert_eq!(second.send(Command::Add(1)).await, Ok(1001));
}

#[actix_rt::test]
async fn an_actor_that_crashes_while_it_is_rebuilt_is_tried_again() {
    tokio::time::pause();
    let (actor, _) = counter();
    actor.stubborn.set(2);
    let addr = supervise(ChildSpec::permanent(ActorKind::Dn, 16), actor);
    assert!(addr.send(Command::Panic).await.is_err());
    assert_eq!(addr.send(Command::Add(1)).await, Ok(1001));
}

/// Comes back with what it kept when it was last even; while it has kept nothing it gives up.
struct Keeper {
    now: u32,
    kept: Option<u32>,
}

impl Actor for Keeper {
    type Context = Context<Self>;
}

impl Supervised for Keeper {
    fn restarting(&mut self, _: &mut Self::Context) {
        match self.kept {
            Some(kept) => self.now = kept,
            None => give_up(),
        }
    }
}

impl Handler<Command> for Keeper {
    type Result = u32;

    fn handle(&mut self, command: Command, _: &mut Self::Context) -> u32 {
        match command {
            Command::Add(n) => {
                self.now += n;
                self.kept = self.now.is_multiple_of(2).then_some(self.now).or(self.kept);
                self.now
            }
            Command::Panic => panic!("injected"),
        }
    }
}

#[actix_rt::test]
async fn a_transient_child_comes_back_from_what_it_kept() {
    let keeper = Keeper { now: 0, kept: None };
    let addr = launch_transient(ChildSpec::transient(ActorKind::Call, 16), keeper, |_| ());
    assert_eq!(addr.send(Command::Add(2)).await, Ok(2));
    assert_eq!(addr.send(Command::Add(1)).await, Ok(3));
    let crashed = addr.send(Command::Panic);
    let waiting = addr.send(Command::Add(4));
    assert!(crashed.await.is_err());
    assert_eq!(waiting.await, Ok(6), "the waiting message finds what was kept");
}

#[actix_rt::test]
async fn a_transient_child_without_anything_kept_is_buried() {
    let (told, down) = tokio::sync::oneshot::channel();
    let keeper = Keeper { now: 0, kept: None };
    let addr = launch_transient(ChildSpec::transient(ActorKind::Call, 16), keeper, move |reason| {
        let _ = told.send(reason);
    });
    let crashed = addr.send(Command::Panic);
    let waiting = addr.send(Command::Add(4));
    assert!(crashed.await.is_err() && waiting.await.is_err());
    assert_eq!(down.await, Ok(DownReason::Panicked("injected".into())));
}
