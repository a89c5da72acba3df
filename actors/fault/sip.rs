//! Faults of SIP messages, where a connector takes them in and sends them.

use std::sync::Arc;
use std::time::Duration;

use super::{Direction, Faults};
use crate::directory::Directory;

/// What is left of a batch: some are lost, some are there twice. Those that come later go to `later`.
pub fn spread<T: Clone>(
    faults: &Faults,
    direction: Direction,
    connector: u16,
    batch: Vec<T>,
    mut later: impl FnMut(Duration, T),
) -> Vec<T> {
    let mut left = Vec::with_capacity(batch.len());
    for item in batch {
        let verdict = faults.judge_sip(direction, connector);
        for _ in 0..verdict.copies {
            if verdict.delay.is_zero() {
                left.push(item.clone());
            } else {
                later(verdict.delay, item.clone());
            }
        }
    }
    left
}

/// A message that is held up; it counts as one until this is dropped.
pub struct Held(Arc<Directory>);

impl Held {
    /// One more.
    pub fn new(directory: &Arc<Directory>) -> Self {
        directory.faults.hold(true);
        Self(directory.clone())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.faults.hold(false);
    }
}
