//! RTCP written, read and garbled.

use proptest::prelude::*;

use super::*;
use crate::codec::Codec;
use crate::rtp::Header;

fn block() -> ReportBlock {
    ReportBlock {
        ssrc: 0x1234_5678,
        fraction_lost: 25,
        lost: -3,
        highest_sequence: 0x0001_fffe,
        jitter: 17,
        last_sender_report: 0xaabb_ccdd,
        delay_since_report: 65_536,
    }
}

const INFO: SenderInfo = SenderInfo {
    ntp: 0x0123_4567_89ab_cdef,
    rtp_timestamp: 160_000,
    packets: 1_000,
    octets: 160_000,
};

#[test]
fn what_was_written_is_read() {
    for name in ["", "a", "ab", "abc", "tandem@127.0.0.1"] {
        let packet = compound(7, Some(INFO), &[block()], name, true);
        assert_eq!(packet.len() % 4, 0);
        assert!(is_rtcp(&packet));
        let expected = [
            Packet::SenderReport {
                ssrc: 7,
                info: INFO,
                blocks: vec![block()],
            },
            Packet::CanonicalName {
                ssrc: 7,
                name: name.into(),
            },
            Packet::Bye { ssrcs: vec![7] },
        ];
        assert_eq!(parse(&packet).unwrap(), expected, "{name:?}");
    }
    let receiver = parse(&compound(7, None, &[], "x", false)).unwrap();
    assert_eq!(receiver[0], Packet::ReceiverReport { ssrc: 7, blocks: vec![] });
    let many = parse(&compound(7, None, &[block(); 40], &"n".repeat(300), false)).unwrap();
    assert!(
        matches!(&many[..], [Packet::ReceiverReport { blocks, .. }, Packet::CanonicalName { name, .. }] if blocks.len() == 31 && name.len() == 255)
    );
}

#[test]
fn other_packets_are_passed_over() {
    let mut bytes = compound(7, None, &[], "x", false).to_vec();
    bytes.extend([0x81, 206, 0, 2, 0, 0, 0, 7, 0, 0, 0, 8]);
    assert_eq!(parse(&bytes).unwrap().last(), Some(&Packet::Other { packet_type: 206 }));
    bytes.extend([0xa0, 204, 0, 1, 0, 0, 0, 4]);
    assert_eq!(parse(&bytes).unwrap().last(), Some(&Packet::Other { packet_type: 204 }));
    bytes.extend([0x80, 204, 0, 0]);
    assert_eq!(parse(&bytes), Err(RtcpError::NotCompound), "padded in the middle");
}

#[test]
fn what_is_no_compound_is_refused() {
    for (bytes, error) in [
        (&[][..], RtcpError::Length),
        (&[0x80, 201, 0][..], RtcpError::Length),
        (&[0x80, 201, 0, 2, 0, 0, 0, 1], RtcpError::Length),
        (&[0x81, 201, 0, 1, 0, 0, 0, 1], RtcpError::Length),
        (&[0x40, 201, 0, 1, 0, 0, 0, 1], RtcpError::Version),
        (&[0x81, 203, 0, 1, 0, 0, 0, 1], RtcpError::NotCompound),
    ] {
        assert_eq!(parse(bytes), Err(error), "{bytes:?}");
    }
    assert!(!is_rtcp(&[0x80, 0, 0, 0]) && !is_rtcp(&[0x80, 0x88]) && !is_rtcp(&[0x80]) && is_rtcp(&[0x80, 200]));
}

fn header(sequence: u16, timestamp: u32) -> Header {
    Header {
        payload_type: 0,
        marker: false,
        sequence,
        timestamp,
        ssrc: 9,
    }
}

/// The n-th packet of an even stream, at its time and so much later.
fn packet(reception: &mut Reception, n: u32, late_us: u64) {
    let header = header(65_500_u16.wrapping_add(n as u16), (u32::MAX - 3_000).wrapping_add(160 * n));
    reception.received(&header, u64::from(n) * 20_000 + late_us, true);
}

#[test]
fn losses_are_counted_over_the_wrap() {
    let mut reception = Reception::new(8_000);
    (0..100).filter(|n| n % 10 != 5).for_each(|n| packet(&mut reception, n, 0));
    let block = reception.block(0).unwrap();
    assert_eq!((block.ssrc, block.lost, block.fraction_lost, block.jitter), (9, 10, 25, 0));
    assert_eq!(block.highest_sequence, 65_500 + 99);
    (100..200).for_each(|n| packet(&mut reception, n, 0));
    let block = reception.block(0).unwrap();
    assert_eq!((block.lost, block.fraction_lost), (10, 0));
    assert_eq!((reception.packets(), reception.lost()), (190, 10));
    assert!((reception.loss() - 0.05).abs() < 1e-6);
}

#[test]
fn a_late_packet_makes_good_what_was_lost() {
    let mut reception = Reception::new(8_000);
    [0, 1, 3, 4, 2].into_iter().for_each(|n| packet(&mut reception, n, 0));
    assert_eq!(reception.block(0).unwrap().lost, 0);
    packet(&mut reception, 4, 0);
    assert_eq!(reception.block(0).unwrap().lost, -1, "a duplicate");
    assert_eq!(reception.lost(), 0);
}

#[test]
fn jitter_is_that_of_the_rfc() {
    let mut reception = Reception::new(8_000);
    // Alternately in time and 8 ms late: the difference is 64 ticks each time, and so is the mean in the end.
    (0..500).for_each(|n| packet(&mut reception, n, u64::from(n % 2) * 8_000));
    let jitter = reception.block(0).unwrap().jitter;
    assert!((62..=64).contains(&jitter), "{jitter}");
    assert!((reception.jitter_ms() - 8.0).abs() < 0.3);
    // Events stand still in time and say nothing about it.
    for n in 0..50 {
        reception.received(&header(65_500_u16.wrapping_add(500 + n), 5), 10_000_000, false);
    }
    assert!((reception.jitter_ms() - 8.0).abs() < 0.3);
}

#[test]
fn a_stray_number_is_not_counted_and_a_new_start_is() {
    let mut reception = Reception::new(8_000);
    (0..100).for_each(|n| packet(&mut reception, n, 0));
    reception.received(&header(30_000, 0), 2_000_000, true);
    assert_eq!((reception.packets(), reception.lost()), (100, 0));
    for n in 0..50_u16 {
        reception.received(
            &header(40_000 + n, u32::from(n) * 160),
            2_000_000 + u64::from(n) * 20_000,
            true,
        );
    }
    assert_eq!((reception.packets(), reception.lost()), (149, 0));
    let other = Header {
        ssrc: 10,
        ..header(5, 5)
    };
    reception.received(&other, 5_000_000, true);
    assert_eq!(reception.block(0).unwrap().ssrc, 10);
    assert_eq!(reception.packets(), 150);
}

#[test]
fn round_trips_are_measured() {
    let sent = ntp(Duration::from_millis(1_700_000_000_000));
    let mut there = Reception::new(8_000);
    packet(&mut there, 0, 0);
    let mut transmission = Transmission::default();
    assert_eq!(transmission.info(sent, 0), None, "nothing was sent");
    transmission.sent(160);
    there.sender_report(9, &transmission.info(sent, 0).unwrap(), 1_000_000);
    there.sender_report(8, &SenderInfo::default(), 1_500_000);
    let block = there.block(3_000_000).unwrap();
    assert_eq!((block.last_sender_report, block.delay_since_report), (middle(sent), 131_072));
    let back = ntp(Duration::from_millis(1_700_000_002_080));
    let ms = round_trip_ms(&block, back).unwrap();
    assert!((79..=80).contains(&ms), "{ms}");
    assert_eq!(round_trip_ms(&block, sent), None, "before it was sent");
    assert_eq!(round_trip_ms(&ReportBlock::default(), back), None);
}

#[test]
fn quality_falls_with_delay_and_loss() {
    let mos = |codec, delay_ms, loss| (estimate(codec, delay_ms, loss).mos * 100.0).round() / 100.0;
    // The best that G.107 gives to narrow-band speech, and the values of its tables beside.
    assert_eq!(mos(Codec::Pcmu, 0.0, 0.0), 4.41);
    assert!((4.3..4.4).contains(&mos(Codec::Pcma, 150.0, 0.0)));
    assert!((3.5..4.1).contains(&mos(Codec::Pcma, 50.0, 0.05)));
    assert!(mos(Codec::Pcma, 400.0, 0.0) < 3.8);
    assert!(mos(Codec::Opus, 0.0, 0.1) < mos(Codec::Pcmu, 0.0, 0.1));
    for (delay_ms, loss) in [(f32::NAN, f32::INFINITY), (-1.0, -1.0), (1e9, 2.0)] {
        let quality = estimate(Codec::G722, delay_ms, loss);
        assert!((1.0..=4.5).contains(&quality.mos) && (0.0..=100.0).contains(&quality.rating));
    }
}

proptest! {
    #[test]
    fn any_bytes_are_packets_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..200), report in any::<bool>()) {
        let mut bytes = bytes;
        if report {
            let mut whole = compound(1, None, &[block()], "name", false).to_vec();
            for (at, byte) in bytes.iter().enumerate().take(6) {
                let at = (at * 7 + usize::from(*byte)) % whole.len();
                whole[at] = *byte;
            }
            bytes = whole;
        }
        if let Ok(packets) = parse(&bytes) {
            prop_assert!(!packets.is_empty() && packets.len() <= bytes.len());
        }
    }

    #[test]
    fn statistics_never_break(packets in proptest::collection::vec((any::<u16>(), any::<u32>(), 0_u32..2, any::<u64>(), any::<bool>()), 0..200)) {
        let mut reception = Reception::new(48_000);
        for (sequence, timestamp, ssrc, arrived_us, report) in packets {
            reception.received(&Header { ssrc, ..header(sequence, timestamp) }, arrived_us, true);
            if report { reception.block(arrived_us); }
            prop_assert!((0.0..=1.0).contains(&reception.loss()) && reception.jitter_ms() >= 0.0);
        }
    }
}
