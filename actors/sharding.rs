//! Which connector owns a DN: rendezvous hashing (highest random weight).
//!
//! When a connector comes or goes, only the DNs that it gains or loses move. The hash is fixed, so every process agrees.
//!
//! [`Shards`] is the one place that says which connectors of this process may own DNs now. Invariant: every key has exactly one owner at
//! any time, and it is one of those that run as long as one does.

use std::collections::HashMap;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};

use crossbeam::sync::ShardedLock;
use tandem_model::ConnectorId;

/// The most connectors of a process (`connectors.count`).
const MOST: usize = 256;

/// Whether a connector owns DNs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum ShardState {
    /// It does.
    Running = 0,
    /// Not any more, but it has calls and transactions still (seed 002 line 2459).
    Suspending = 1,
    /// Not any more, and nothing is left in it.
    Suspended = 2,
    /// It does again, but what was begun with those who had its DNs meanwhile goes on with them.
    Returning = 3,
}

impl ShardState {
    /// Its name, as the seed has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Running | Self::Returning => "Running",
            Self::Suspending => "Suspending",
            Self::Suspended => "Suspended",
        }
    }

    /// Whether it may own DNs.
    pub fn is_available(self) -> bool {
        matches!(self, Self::Running | Self::Returning)
    }

    /// Whether it may have begun something that a message without a tag belongs to.
    fn is_asked_first(self) -> bool {
        matches!(self, Self::Running | Self::Suspending)
    }
}

/// The states of the connectors of this process. Read for every SIP message, on any thread, without a lock.
#[derive(Debug)]
pub struct Shards {
    states: [AtomicU8; MOST],
    /// How often each has changed: what was planned for one state is nothing in the next.
    turns: [AtomicU32; MOST],
    /// Whether any of them is not simply running.
    moving: AtomicBool,
    /// The conference DNs that stay with a connector while somebody is in them. Bounded by the conference DNs that there are.
    pinned: ShardedLock<HashMap<Box<str>, ConnectorId>>,
}

impl Default for Shards {
    fn default() -> Self {
        Self {
            states: [const { AtomicU8::new(ShardState::Running as u8) }; MOST],
            turns: [const { AtomicU32::new(0) }; MOST],
            moving: AtomicBool::new(false),
            pinned: ShardedLock::default(),
        }
    }
}

impl Shards {
    /// The state of a connector.
    pub fn state(&self, connector: ConnectorId) -> ShardState {
        let state = self.states.get(usize::from(connector.0));
        match state.map_or(0, |state| state.load(Ordering::Acquire)) {
            1 => ShardState::Suspending,
            2 => ShardState::Suspended,
            3 => ShardState::Returning,
            _ => ShardState::Running,
        }
    }

    /// Sets it. Which change of this connector's this is.
    pub fn set(&self, connector: ConnectorId, state: ShardState) -> u32 {
        let index = usize::from(connector.0);
        if let (Some(place), Some(turn)) = (self.states.get(index), self.turns.get(index)) {
            place.store(state as u8, Ordering::Release);
            let mut states = self.states.iter().map(|state| state.load(Ordering::Acquire));
            self.moving
                .store(states.any(|state| state != ShardState::Running as u8), Ordering::Release);
            return turn.fetch_add(1, Ordering::AcqRel) + 1;
        }
        0
    }

    /// Whether a message may come to a connector that it is not for: one of them is coming or going, or gone.
    pub fn is_moving(&self) -> bool {
        self.moving.load(Ordering::Acquire)
    }

    /// A conference DN stays with a connector.
    pub fn pin(&self, dn: &str, connector: ConnectorId) {
        let mut pinned = self.pinned.write().unwrap_or_else(PoisonError::into_inner);
        pinned.insert(dn.into(), connector);
    }

    /// It does not any more.
    pub fn unpin(&self, dn: &str) {
        self.pinned.write().unwrap_or_else(PoisonError::into_inner).remove(dn);
    }

    /// The connector that a conference DN stays with.
    pub fn pinned(&self, dn: &str) -> Option<ConnectorId> {
        self.pinned.read().unwrap_or_else(PoisonError::into_inner).get(dn).copied()
    }

    /// Which change of this connector's was the last.
    pub fn turn(&self, connector: ConnectorId) -> u32 {
        let turn = self.turns.get(usize::from(connector.0));
        turn.map_or(0, |turn| turn.load(Ordering::Acquire))
    }

    /// Whether one of `count` connectors may own DNs.
    pub fn any_available(&self, count: u16) -> bool {
        (0..count.max(1)).any(|index| self.state(ConnectorId(index)).is_available())
    }

    /// The connector, of `count`, that owns `key`: one that runs; where none does, as if all did.
    pub fn owner(&self, key: &str, count: u16) -> ConnectorId {
        self.best(key, count, ShardState::is_available)
    }

    /// The connector that a message without a tag of ours goes to: it may belong to something that was begun before its DN moved. It is
    /// handed on to [`Self::owner`] where it does not.
    pub fn asked_first(&self, key: &str, count: u16) -> ConnectorId {
        self.best(key, count, ShardState::is_asked_first)
    }

    fn best(&self, key: &str, count: u16, may: impl Fn(ShardState) -> bool) -> ConnectorId {
        let able = (0..count.max(1))
            .map(ConnectorId)
            .filter(|connector| may(self.state(*connector)));
        best_of(key, able).unwrap_or_else(|| owner(key, count))
    }
}

/// The one of these connectors that owns `key`.
pub(crate) fn best_of(key: &str, connectors: impl Iterator<Item = ConnectorId>) -> Option<ConnectorId> {
    let hash = fnv1a(key.as_bytes());
    connectors.max_by_key(|connector| weight(hash, connector.0))
}

/// The connector, of `count`, that owns `key` (a DN, or a Call-ID where there is no DN). `count` of 0 counts as 1.
pub fn owner(key: &str, count: u16) -> ConnectorId {
    best_of(key, (0..count.max(1)).map(ConnectorId)).unwrap_or(ConnectorId(0))
}

fn weight(hash: u64, index: u16) -> u64 {
    mix(hash ^ mix(u64::from(index) + 1))
}

/// FNV-1a, 64 bits.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// The finalizer of SplitMix64: every input bit reaches every output bit.
fn mix(mut x: u64) -> u64 {
    x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ x >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dns() -> impl Iterator<Item = String> {
        (0..10_000).map(|n| format!("sip:{n}@tandem.local"))
    }

    #[test]
    fn dns_spread_evenly() {
        let mut counts = [0; 5];
        for dn in dns() {
            counts[usize::from(owner(&dn, 5).0)] += 1;
        }
        assert!(counts.iter().all(|count| (1_800..2_200).contains(count)), "{counts:?}");
    }

    #[test]
    fn one_more_connector_moves_only_the_dns_it_gains() {
        let moved = dns()
            .filter(|dn| owner(dn, 4) != owner(dn, 5))
            .inspect(|dn| assert_eq!(owner(dn, 5).0, 4))
            .count();
        assert!((1_800..2_200).contains(&moved), "{moved}");
    }

    #[test]
    fn one_connector_owns_everything() {
        assert!(dns().all(|dn| owner(&dn, 1) == ConnectorId(0) && owner(&dn, 0) == ConnectorId(0)));
    }

    #[test]
    fn only_the_dns_of_a_connector_that_goes_move_and_they_come_back() {
        let shards = Shards::default();
        let before: Vec<_> = dns().map(|dn| shards.owner(&dn, 3)).collect();
        shards.set(ConnectorId(1), ShardState::Suspending);
        for (dn, before) in dns().zip(&before) {
            let now = shards.owner(&dn, 3);
            assert!(now != ConnectorId(1) && (now == *before || *before == ConnectorId(1)), "{dn}");
            assert_eq!(shards.asked_first(&dn, 3), *before, "what it has begun is its own");
        }
        shards.set(ConnectorId(1), ShardState::Suspended);
        assert!(dns().all(|dn| shards.asked_first(&dn, 3) == shards.owner(&dn, 3)));
        let meanwhile: Vec<_> = dns().map(|dn| shards.owner(&dn, 3)).collect();
        shards.set(ConnectorId(1), ShardState::Returning);
        assert!(dns().zip(&before).all(|(dn, before)| shards.owner(&dn, 3) == *before));
        assert!(dns().zip(&meanwhile).all(|(dn, other)| shards.asked_first(&dn, 3) == *other));
        assert_eq!(shards.turn(ConnectorId(1)), 3);
    }

    #[test]
    fn where_none_runs_the_dns_stay_where_they_are() {
        let shards = Shards::default();
        let before: Vec<_> = dns().map(|dn| shards.owner(&dn, 2)).collect();
        shards.set(ConnectorId(0), ShardState::Suspending);
        assert!(shards.any_available(2));
        shards.set(ConnectorId(1), ShardState::Suspended);
        assert!(!shards.any_available(2));
        assert!(dns().zip(&before).all(|(dn, before)| shards.owner(&dn, 2) == *before));
        assert!(shards.any_available(300), "more than there can be: they run");
    }
}
