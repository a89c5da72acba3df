//! What may change while the server runs: the settings that a new reading of the configuration puts in force without a restart.
//!
//! Written by whoever reads the configuration, read by actors on any thread. What is not set here is as the tree was grown with.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError};

use crossbeam::sync::ShardedLock;

/// The SHA-256 of an API key.
pub type KeyDigest = [u8; 32];

/// The settings.
#[derive(Default, Debug)]
pub struct Live {
    /// In milliseconds; 0: not set.
    ring_timeout_ms: AtomicU64,
    /// 0: not set.
    max_calls: AtomicUsize,
    api_keys: ShardedLock<Option<Arc<[KeyDigest]>>>,
}

impl Live {
    /// How long a device may ring, from the next call on, in milliseconds.
    pub fn set_ring_timeout_ms(&self, ring_timeout_ms: u64) {
        self.ring_timeout_ms.store(ring_timeout_ms, Ordering::Relaxed);
    }

    /// How long a device may ring, where `planned` stood in the plan, in milliseconds.
    pub fn ring_timeout_ms(&self, planned: u64) -> u64 {
        match self.ring_timeout_ms.load(Ordering::Relaxed) {
            0 => planned,
            set => set,
        }
    }

    /// The most live calls. Those that are there already stay.
    pub fn set_max_calls(&self, max_calls: usize) {
        self.max_calls.store(max_calls, Ordering::Relaxed);
    }

    /// The most live calls, where `planned` stood in the plan.
    pub fn max_calls(&self, planned: usize) -> usize {
        match self.max_calls.load(Ordering::Relaxed) {
            0 => planned,
            set => set,
        }
    }

    /// The keys that open the CTI protocol from now on. Clients that are in stay in.
    pub fn set_api_keys(&self, digests: Vec<KeyDigest>) {
        *self.api_keys.write().unwrap_or_else(PoisonError::into_inner) = Some(digests.into());
    }

    /// The keys that open the CTI protocol; `None`: those of the plan.
    pub fn api_keys(&self) -> Option<Arc<[KeyDigest]>> {
        self.api_keys.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_set_is_as_planned() {
        let live = Live::default();
        assert_eq!((live.ring_timeout_ms(7), live.max_calls(8), live.api_keys()), (7, 8, None));
        live.set_ring_timeout_ms(1);
        live.set_max_calls(2);
        live.set_api_keys(Vec::new());
        assert_eq!((live.ring_timeout_ms(7), live.max_calls(8)), (1, 2));
        assert!(live.api_keys().is_some_and(|keys| keys.is_empty()), "no key opens it");
    }
}
