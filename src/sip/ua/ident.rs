//! The identifiers that we make: tags, branches, Call-IDs, and the shard they lead back to.
//!
//! A tag is `td`, four hex digits of the shard, sixteen random hex digits; a branch the same behind the magic cookie. The random part is the
//! key under which the user agent finds the transaction or session again, so that no text is hashed on the way in.

use std::fmt::Write as _;
use std::sync::Arc;

use rand::Rng;
use rand::rngs::StdRng;

use crate::message::{MAGIC_COOKIE, Message};

const MARK: &str = "td";

/// The text of a tag.
pub(super) fn tag(shard: u16, key: u64) -> String {
    format!("{MARK}{shard:04x}{key:016x}")
}

/// The text of a branch.
pub(super) fn branch(shard: u16, key: u64) -> String {
    format!("{MAGIC_COOKIE}{MARK}{shard:04x}{key:016x}")
}

/// A new Call-ID.
pub(super) fn call_id(shard: u16, rng: &mut StdRng) -> Arc<str> {
    let mut text = String::with_capacity(38);
    // Writing to memory does not fail.
    let _ = write!(text, "{MARK}{shard:04x}{:032x}", rng.random::<u128>());
    text.into()
}

/// Whether a Call-ID is one that we make.
pub(super) fn is_call_id(shard: u16, text: &str) -> bool {
    let digits = text.strip_prefix(&format!("{MARK}{shard:04x}"));
    digits.is_some_and(|digits| digits.len() == 32 && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')))
}

/// Shard and key of a tag of ours.
pub(super) fn parse_tag(text: &str) -> Option<(u16, u64)> {
    let digits = text.strip_prefix(MARK).filter(|digits| digits.len() == 20)?;
    if !digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        return None;
    }
    let (shard, key) = digits.split_at_checked(4)?;
    Some((u16::from_str_radix(shard, 16).ok()?, u64::from_str_radix(key, 16).ok()?))
}

/// Shard and key of a branch of ours.
pub(super) fn parse_branch(text: &str) -> Option<(u16, u64)> {
    parse_tag(text.strip_prefix(MAGIC_COOKIE)?)
}

/// Which shard a message belongs to: by the branch of its top Via for a response, by its To tag for a request in a dialog (the ACK of our
/// refusal included). `None` for a request that belongs to nobody yet; a CANCEL is one: it goes where its INVITE went.
pub fn owner(message: &Message) -> Option<u16> {
    let key = if message.is_request() {
        parse_tag(message.to().ok()?.tag()?)
    } else {
        parse_branch(message.top_via().ok()?.branch?)
    };
    key.map(|(shard, _)| shard)
}

/// The shard that made a tag; `None` for one of somebody else's.
pub fn tag_owner(tag: &str) -> Option<u16> {
    parse_tag(tag).map(|(shard, _)| shard)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_and_branches_lead_back() {
        assert_eq!(parse_tag(&tag(7, 0xabc)), Some((7, 0xabc)));
        assert_eq!((tag_owner(&tag(7, 0xabc)), tag_owner("t1")), (Some(7), None));
        assert_eq!(parse_branch(&branch(u16::MAX, u64::MAX)), Some((u16::MAX, u64::MAX)));
    }

    #[test]
    fn foreign_ones_lead_nowhere() {
        for text in [
            "",
            "td",
            "td00070000000000000ab",
            "TD00070000000000000abc",
            "td+0070000000000000abc",
            "tdé0070000000000000abc",
        ] {
            assert_eq!(parse_tag(text), None, "{text}");
        }
        assert_eq!(parse_branch("z9hG4bKnashds8"), None);
        assert_eq!(parse_branch(&tag(1, 1)), None);
    }
}
