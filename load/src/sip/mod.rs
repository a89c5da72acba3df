//! What a phone needs of SIP, on rsip: messages read and written ([`message`]), session descriptions ([`sdp`]), digest
//! answers ([`digest`]).
//!
//! Invariant: nothing here does I/O or reads a clock. rsip reads every message completely, so what it cannot read is a
//! [`message::BadMessage`] with its text. It has no IPv6 literals and no `+sip.instance`; neither is sent.

pub mod digest;
pub mod message;
pub mod sdp;

/// Identifiers (Call-IDs, tags, branches) that are unique within a run and the same again with the same seed.
pub struct Ids {
    prefix: String,
    next: u64,
}

impl Ids {
    /// The identifiers of the run with this seed.
    pub fn new(seed: u64) -> Self {
        Self {
            prefix: format!("{seed:x}"),
            next: 0,
        }
    }

    /// A new Call-ID.
    pub fn call_id(&mut self) -> String {
        format!("{}@load", self.token())
    }

    /// A new tag.
    pub fn tag(&mut self) -> String {
        self.token()
    }

    /// A new branch, with the magic cookie of RFC 3261 s.8.1.1.7.
    pub fn branch(&mut self) -> String {
        format!("z9hG4bK-{}", self.token())
    }

    fn token(&mut self) -> String {
        self.next += 1;
        format!("{}-{:x}", self.prefix, self.next)
    }
}
