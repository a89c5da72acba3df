//! Whose packets a port takes, and where its own go: the latch of symmetric RTP (RFC 4961), with the checks that keep strangers out.
//!
//! A port sends to the signalled address and takes packets from there alone, until something better is *learned*. Learning needs evidence: several
//! packets in a row, one SSRC, consecutive sequence numbers, from an address that the device may plausibly have (the signalled IP address with
//! another port, or any public one where the signalled address is private, which means a NAT), while the signalled address is silent. The
//! signalled address itself needs no evidence and wins as soon as it speaks. Within the stream an SSRC that changes while the old one goes on is
//! an injection; one that takes over is a device that started over.
//!
//! Pure: the time comes in as microseconds.

use std::net::{IpAddr, SocketAddr};

/// Packets in a row that another address needs.
const EVIDENCE: u32 = 10;
/// How long the known source is silent before another SSRC may take over at once, and (times [`SILENCES`]) another address at all.
const SILENCE_US: u64 = 60_000;
/// See [`SILENCE_US`]: about a second.
const SILENCES: u64 = 17;

/// How far the source of packets may differ from what was signalled.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum SymmetricRtp {
    /// Not at all: packets from elsewhere are dropped.
    Off,
    /// Another address may be learned once, in the first seconds, while the signalled one has not spoken.
    #[default]
    LearnOnce,
    /// As `LearnOnce`, and again whenever the source has been silent for a second (a NAT that forgot its binding).
    Follow,
}

/// What becomes of a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    /// It is the device's.
    Accept,
    /// It is the device's, from an address that is new: ours go there from now on.
    Moved,
    /// It is not the device's.
    Refuse,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Latch {
    policy: SymmetricRtp,
    learn_us: u64,
    signalled: SocketAddr,
    since_us: u64,
    current: SocketAddr,
    heard_us: Option<u64>,
    ssrc: Option<u32>,
    candidate: Option<Candidate>,
    newcomer: Option<(u32, u16)>,
}

#[derive(Debug)]
struct Candidate {
    from: SocketAddr,
    ssrc: u32,
    next: u16,
    count: u32,
}

impl Latch {
    pub(super) fn new(policy: SymmetricRtp, learn_us: u64, signalled: SocketAddr, now_us: u64) -> Self {
        Self {
            policy,
            learn_us,
            signalled,
            since_us: now_us,
            current: signalled,
            heard_us: None,
            ssrc: None,
            candidate: None,
            newcomer: None,
        }
    }

    /// As [`Self::new`], of a device that the process before had learned to be elsewhere.
    pub(super) fn resume(
        policy: SymmetricRtp,
        learn_us: u64,
        signalled: SocketAddr,
        learned: Option<SocketAddr>,
        now_us: u64,
    ) -> Self {
        let mut latch = Self::new(policy, learn_us, signalled, now_us);
        latch.current = learned
            .filter(|learned| policy != SymmetricRtp::Off && latch.is_plausible(learned.ip()))
            .unwrap_or(signalled);
        latch
    }

    /// A new description: where it names the address it named before, what was learned stays.
    pub(super) fn signal(&mut self, signalled: SocketAddr, now_us: u64) {
        self.since_us = now_us;
        if signalled != self.signalled {
            *self = Self::new(self.policy, self.learn_us, signalled, now_us);
        }
    }

    /// Where packets for the device go.
    pub(super) fn current(&self) -> SocketAddr {
        self.current
    }

    /// The same, where it is not what was signalled.
    pub(super) fn learned(&self) -> Option<SocketAddr> {
        (self.current != self.signalled).then_some(self.current)
    }

    /// Whether the device's RTCP may come from there: it has the source's IP address.
    pub(super) fn knows(&self, ip: IpAddr) -> bool {
        ip == self.current.ip() || ip == self.signalled.ip()
    }

    pub(super) fn judge(&mut self, from: SocketAddr, ssrc: u32, sequence: u16, now_us: u64) -> Verdict {
        if from == self.current {
            return self.judge_ssrc(ssrc, sequence, now_us);
        }
        if !self.may_move(from, now_us) {
            return Verdict::Refuse;
        }
        if from != self.signalled && !self.is_evident(from, ssrc, sequence) {
            return Verdict::Refuse;
        }
        self.current = from;
        self.candidate = None;
        self.newcomer = None;
        self.ssrc = Some(ssrc);
        self.heard_us = Some(now_us);
        Verdict::Moved
    }

    fn may_move(&self, from: SocketAddr, now_us: u64) -> bool {
        let early = now_us.saturating_sub(self.since_us) <= self.learn_us;
        let silent = self
            .heard_us
            .is_none_or(|heard| now_us.saturating_sub(heard) > SILENCE_US * SILENCES);
        let unsettled = self.heard_us.is_none() || self.current != self.signalled && from == self.signalled;
        match self.policy {
            SymmetricRtp::Off => false,
            SymmetricRtp::LearnOnce => early && unsettled && self.is_plausible(from.ip()),
            SymmetricRtp::Follow => (early && unsettled || silent) && self.is_plausible(from.ip()),
        }
    }

    fn is_plausible(&self, ip: IpAddr) -> bool {
        self.knows(ip) || is_private(self.signalled.ip()) && !is_private(ip) && !ip.is_loopback()
    }

    fn is_evident(&mut self, from: SocketAddr, ssrc: u32, sequence: u16) -> bool {
        let next = sequence.wrapping_add(1);
        match &mut self.candidate {
            Some(known) if known.from == from && known.ssrc == ssrc => {
                known.count = if sequence == known.next { known.count + 1 } else { 1 };
                known.next = next;
                known.count >= EVIDENCE
            }
            // Two strangers that take turns stop each other.
            _ => {
                let count = 1;
                self.candidate = Some(Candidate { from, ssrc, next, count });
                false
            }
        }
    }

    fn judge_ssrc(&mut self, ssrc: u32, sequence: u16, now_us: u64) -> Verdict {
        let known = *self.ssrc.get_or_insert(ssrc) == ssrc;
        if known {
            self.newcomer = None;
        } else {
            let silent = self.heard_us.is_none_or(|heard| now_us.saturating_sub(heard) > SILENCE_US);
            let again = self.newcomer == Some((ssrc, sequence));
            self.newcomer = Some((ssrc, sequence.wrapping_add(1)));
            if !silent && !again {
                return Verdict::Refuse;
            }
            self.ssrc = Some(ssrc);
            self.newcomer = None;
        }
        self.candidate = None;
        self.heard_us = Some(now_us);
        Verdict::Accept
    }
}

fn is_private(ip: IpAddr) -> bool {
    match ip {
        // 100.64.0.0/10 is what carriers put behind their own NAT (RFC 6598).
        IpAddr::V4(ip) => ip.is_private() || ip.is_link_local() || ip.is_unspecified() || ip.to_bits() >> 22 == 0x6440_0000 >> 22,
        IpAddr::V6(ip) => ip.is_unique_local() || ip.is_unicast_link_local() || ip.is_unspecified(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME_US: u64 = 20_000;

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn latch(policy: SymmetricRtp, signalled: &str) -> Latch {
        Latch::new(policy, 10_000_000, address(signalled), 0)
    }

    /// How many packets in a row were refused before one was taken.
    fn knocks(latch: &mut Latch, from: &str, at_us: u64) -> Option<u16> {
        (0..50).find(|n| latch.judge(address(from), 9, *n, at_us + u64::from(*n) * FRAME_US) != Verdict::Refuse)
    }

    #[test]
    fn the_signalled_source_is_taken_at_once_under_every_policy() {
        for policy in [SymmetricRtp::Off, SymmetricRtp::LearnOnce, SymmetricRtp::Follow] {
            let mut latch = latch(policy, "192.0.2.1:4000");
            assert_eq!(latch.judge(address("192.0.2.1:4000"), 1, 1, 0), Verdict::Accept);
        }
    }

    #[test]
    fn what_may_be_learned_is_a_matter_of_policy_and_place() {
        use SymmetricRtp::{Follow, LearnOnce, Off};
        let table = [
            (Off, "192.0.2.1:4000", "192.0.2.1:4002", None),
            (LearnOnce, "192.0.2.1:4000", "192.0.2.1:4002", Some(9)),
            (LearnOnce, "192.0.2.1:4000", "192.0.2.2:4000", None),
            (LearnOnce, "10.0.0.5:4000", "192.0.2.2:9999", Some(9)),
            (LearnOnce, "100.64.1.1:4000", "192.0.2.2:9999", Some(9)),
            (LearnOnce, "10.0.0.5:4000", "10.0.0.6:4000", None),
            (Follow, "192.0.2.1:4000", "192.0.2.2:4000", None),
            (Follow, "127.0.0.1:4000", "127.0.0.2:4000", None),
        ];
        for (policy, signalled, from, taken) in table {
            assert_eq!(
                knocks(&mut latch(policy, signalled), from, 0),
                taken,
                "{policy:?} {signalled} {from}"
            );
        }
    }

    #[test]
    fn who_was_signalled_and_spoke_cannot_be_replaced() {
        let mut latch = latch(SymmetricRtp::LearnOnce, "192.0.2.1:4000");
        latch.judge(address("192.0.2.1:4000"), 1, 1, 0);
        assert_eq!(knocks(&mut latch, "192.0.2.1:4002", 5_000_000), None);
    }

    #[test]
    fn the_signalled_source_wins_over_what_was_learned() {
        let mut latch = latch(SymmetricRtp::LearnOnce, "192.0.2.1:4000");
        assert_eq!(knocks(&mut latch, "192.0.2.1:4002", 0), Some(9));
        assert_eq!(latch.current(), address("192.0.2.1:4002"));
        assert_eq!(latch.judge(address("192.0.2.1:4000"), 1, 1, 300_000), Verdict::Moved);
        assert_eq!(knocks(&mut latch, "192.0.2.1:4002", 400_000), None);
        latch.signal(address("192.0.2.9:4000"), 500_000);
        assert_eq!(latch.current(), address("192.0.2.9:4000"));
    }

    #[test]
    fn what_was_learned_by_the_process_before_is_held_to_where_the_policy_would_have_learned_it() {
        let table = [
            (SymmetricRtp::Off, "192.0.2.1:4002", "192.0.2.1:4000"),
            (SymmetricRtp::LearnOnce, "192.0.2.1:4002", "192.0.2.1:4002"),
            (SymmetricRtp::LearnOnce, "192.0.2.2:4002", "192.0.2.1:4000"),
            (SymmetricRtp::Follow, "192.0.2.1:4002", "192.0.2.1:4002"),
        ];
        for (policy, learned, current) in table {
            let signalled = address("192.0.2.1:4000");
            let mut latch = Latch::resume(policy, 10_000_000, signalled, Some(address(learned)), 0);
            assert_eq!(latch.current(), address(current), "{policy:?} {learned}");
            assert_eq!(latch.judge(address(current), 1, 1, 0), Verdict::Accept);
            assert_ne!(
                latch.judge(signalled, 1, 2, 20_000),
                Verdict::Refuse,
                "who was signalled wins"
            );
        }
    }

    #[test]
    fn learning_ends_with_its_time_unless_the_policy_follows() {
        assert_eq!(
            knocks(
                &mut latch(SymmetricRtp::LearnOnce, "192.0.2.1:4000"),
                "192.0.2.1:4002",
                11_000_000
            ),
            None
        );
        let mut follows = latch(SymmetricRtp::Follow, "192.0.2.1:4000");
        follows.judge(address("192.0.2.1:4000"), 1, 1, 0);
        assert_eq!(knocks(&mut follows, "192.0.2.1:4002", 60_000_000), Some(9));
    }

    #[test]
    fn an_ssrc_is_injected_while_the_old_one_speaks_and_takes_over_when_it_stops() {
        let (mut latch, device) = (latch(SymmetricRtp::Off, "192.0.2.1:4000"), address("192.0.2.1:4000"));
        for n in 0..20_u16 {
            let at = u64::from(n) * FRAME_US;
            assert_eq!(latch.judge(device, 1, n, at), Verdict::Accept);
            assert_eq!(latch.judge(device, 2, n, at + 1), Verdict::Refuse);
        }
        assert_eq!(latch.judge(device, 3, 100, 400_000), Verdict::Refuse);
        assert_eq!(latch.judge(device, 3, 101, 420_000), Verdict::Accept);
        assert_eq!(latch.judge(device, 4, 7, 500_000), Verdict::Accept);
    }
}
