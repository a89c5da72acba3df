//! A plane with real sockets on loopback, and phones that send tones.

mod control;
mod made;
mod phone;
mod relay;
mod restart;
mod strangers;

use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use super::*;
use phone::Phone;

/// The longest that anything may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// A plane, and what it tells.
struct Bench {
    plane: Plane,
    events: Receiver<PlaneEvent>,
}

impl Bench {
    fn new(settings: PlaneSettings) -> Self {
        let (tell, events) = channel();
        let plane = Plane::start(settings, move |event| {
            let _ = tell.send(event);
        });
        Self {
            plane: plane.unwrap(),
            events,
        }
    }

    /// With ports of a loopback address of its own, so that tests do not meet.
    fn at(last: u8) -> Self {
        Self::new(settings(last))
    }

    /// Waits for that event.
    fn expect(&self, port: PortId, kind: impl Fn(&PlaneEventKind) -> bool) -> PlaneEventKind {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let event = self
                .events
                .recv_timeout(deadline.saturating_duration_since(Instant::now()))
                .expect("an event");
            if event.port == port && kind(&event.kind) {
                return event.kind;
            }
        }
    }

    /// Phones that are in one session and hear nothing yet.
    fn phones<const N: usize>(&self, codecs: [Codec; N]) -> [Phone; N] {
        codecs.map(|codec| Phone::new(&self.plane, codec, 1))
    }

    /// A matrix: each phone hears the others.
    fn all_hear_all(&self, phones: &[&Phone]) {
        for phone in phones {
            let others = phones.iter().filter(|other| other.port.id != phone.port.id);
            self.plane
                .hear(phone.port.id, others.map(|other| Source::Port(other.port.id)).collect());
        }
    }
}

use crate::codec::Codec;

fn settings(last: u8) -> PlaneSettings {
    PlaneSettings {
        threads: 2,
        bind: [127, 0, 9, last].into(),
        ports: 30_000..=30_199,
        ..PlaneSettings::default()
    }
}

/// Lets phones talk, 20 ms at a time, until that holds.
fn talk(phones: &mut [&mut Phone], mut until: impl FnMut(&mut [&mut Phone]) -> bool) {
    let start = Instant::now();
    for frame in 0_u32.. {
        assert!(start.elapsed() < PATIENCE, "it never came");
        for phone in phones.iter_mut() {
            phone.speak();
        }
        let due = start + Duration::from_millis(20) * (frame + 1);
        for phone in phones.iter_mut() {
            phone.listen(due);
        }
        if until(phones) {
            return;
        }
    }
}
