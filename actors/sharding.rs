//! Which connector owns a DN: rendezvous hashing (highest random weight).
//!
//! When a connector comes or goes, only the DNs that it gains or loses move. The hash is fixed, so every process agrees.

use tandem_model::ConnectorId;

/// The connector, of `count`, that owns `key` (a DN, or a Call-ID where there is no DN). `count` of 0 counts as 1.
pub fn owner(key: &str, count: u16) -> ConnectorId {
    let hash = fnv1a(key.as_bytes());
    let best = (0..count.max(1)).max_by_key(|index| mix(hash ^ mix(u64::from(*index) + 1)));
    ConnectorId(best.unwrap_or(0))
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
}
