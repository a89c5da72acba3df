//! How many wrong passwords one source and one user may send.
//!
//! Three leaky buckets are filled by a failure: that of the source and user together, of the source, and of the user. The first stops
//! the plain guesser after a few tries, the second the one who walks through the users, the third the one with many sources. So that
//! a stranger cannot lock a user out by guessing, a source from which the user got in lately is not held to the third.
//!
//! Invariant: memory is bounded by `capacity`, whatever comes. The buckets are kept in two generations; when the young one is full
//! the old one is forgotten, so what is forgotten first is what was not touched for longest. No clock, no randomness.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

/// Limits of [`Throttle`]. A bucket of size `n` holds `n` failures and loses one every `drain`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ThrottleConfig {
    /// Failures of one user from one source.
    pub per_source_and_user: u32,
    /// Failures from one source (an IPv6 source is its /64).
    pub per_source: u32,
    /// Failures of one user.
    pub per_user: u32,
    /// The time in which one failure is forgiven.
    pub drain: Duration,
    /// How long a source from which a user got in is trusted for that user.
    pub trust: Duration,
    /// Buckets kept.
    pub capacity: usize,
}

impl Default for ThrottleConfig {
    fn default() -> Self {
        Self {
            per_source_and_user: 5,
            per_source: 50,
            per_user: 50,
            drain: Duration::from_secs(10),
            trust: Duration::from_secs(24 * 3600),
            capacity: 100_000,
        }
    }
}

/// Whether credentials are looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Go on and verify.
    Allowed,
    /// Refuse without verifying: 503 with Retry-After, or 403.
    Blocked {
        /// Until the next try is looked at; at least a millisecond.
        retry_after: Duration,
    },
}

/// The machine.
#[derive(Debug)]
pub struct Throttle {
    config: ThrottleConfig,
    young: HashMap<Key, Bucket>,
    old: HashMap<Key, Bucket>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Key {
    Both(IpAddr, UserHash),
    Source(IpAddr),
    User(UserHash),
}

/// User names are as long as the sender likes; the key is not.
type UserHash = [u8; 16];

#[derive(Clone, Copy, Debug)]
struct Bucket {
    /// When the bucket will be empty: the failures in it are this far in the future, in units of `drain`.
    empty_at: Instant,
    /// Until when the source is trusted.
    trusted_until: Option<Instant>,
}

impl Throttle {
    /// An empty one.
    pub fn new(config: ThrottleConfig) -> Self {
        Self {
            config,
            young: HashMap::new(),
            old: HashMap::new(),
        }
    }

    /// To be asked before credentials are verified.
    pub fn check(&self, now: Instant, source: IpAddr, user: &str) -> Verdict {
        let (source, user) = (network_of(source), hash_user(user));
        let both = self.find(Key::Both(source, user));
        let trusted = both.is_some_and(|b| b.trusted_until.is_some_and(|until| now < until));
        let wait = |key: Key| {
            self.find(key)
                .map_or(Duration::ZERO, |bucket| self.overfull(now, bucket, self.limit(key)))
        };
        let mut longest = wait(Key::Both(source, user)).max(wait(Key::Source(source)));
        if !trusted {
            longest = longest.max(wait(Key::User(user)));
        }
        if longest.is_zero() {
            Verdict::Allowed
        } else {
            Verdict::Blocked {
                retry_after: longest.max(Duration::from_millis(1)),
            }
        }
    }

    /// A guess was wrong ([`super::server::Denied::is_guess`]).
    pub fn failed(&mut self, now: Instant, source: IpAddr, user: &str) {
        let (source, user) = (network_of(source), hash_user(user));
        for key in [Key::Both(source, user), Key::Source(source), Key::User(user)] {
            // Never fuller than the limit, so that a blocked one waits one drain and not for ever.
            let full = now + self.config.drain * self.limit(key).max(1);
            let drain = self.config.drain;
            let bucket = self.touch(now, key);
            bucket.empty_at = (bucket.empty_at.max(now) + drain).min(full);
        }
    }

    /// Credentials were right.
    pub fn succeeded(&mut self, now: Instant, source: IpAddr, user: &str) {
        let trusted_until = now + self.config.trust;
        let bucket = self.touch(now, Key::Both(network_of(source), hash_user(user)));
        *bucket = Bucket {
            empty_at: now,
            trusted_until: Some(trusted_until),
        };
    }

    /// Buckets held, for a gauge.
    pub fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }

    /// Whether no bucket is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn limit(&self, key: Key) -> u32 {
        match key {
            Key::Both(..) => self.config.per_source_and_user,
            Key::Source(_) => self.config.per_source,
            Key::User(_) => self.config.per_user,
        }
    }

    /// How long until the bucket has room for one more failure.
    fn overfull(&self, now: Instant, bucket: &Bucket, limit: u32) -> Duration {
        let room_at = bucket.empty_at.checked_sub(self.config.drain * limit.saturating_sub(1));
        room_at.map_or(Duration::ZERO, |at| at.saturating_duration_since(now))
    }

    fn find(&self, key: Key) -> Option<&Bucket> {
        self.young.get(&key).or_else(|| self.old.get(&key))
    }

    fn touch(&mut self, now: Instant, key: Key) -> &mut Bucket {
        if !self.young.contains_key(&key) && self.young.len() >= (self.config.capacity / 2).max(1) {
            self.old = std::mem::take(&mut self.young);
        }
        let known = self.old.remove(&key);
        self.young.entry(key).or_insert_with(|| {
            known.unwrap_or(Bucket {
                empty_at: now,
                trusted_until: None,
            })
        })
    }
}

fn network_of(source: IpAddr) -> IpAddr {
    match source.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
        v4 => v4,
    }
}

fn hash_user(user: &str) -> UserHash {
    let mut hash = [0; 16];
    hash.iter_mut()
        .zip(Sha256::digest(user.as_bytes()))
        .for_each(|(to, from)| *to = from);
    hash
}
