//! The receiver of one stream.

use proptest::prelude::*;

use super::*;
use crate::codec::Encoder;
use crate::tone::share_of;

const FORMATS: [(u8, Codec); 4] = [(0, Codec::Pcmu), (8, Codec::Pcma), (9, Codec::G722), (111, Codec::Opus)];

fn receiver() -> Receiver {
    Receiver::new(&FORMATS, Limits::default())
}

/// Sends a tone of 500 Hz in packets of so many milliseconds; pulls as time passes. Every n-th packet is lost.
fn run(receiver: &mut Receiver, payload_type: u8, packet_ms: usize, lost: usize) -> (Vec<i16>, Vec<Heard>) {
    let codec = receiver.codec_of(payload_type).unwrap();
    let mut encoder = Encoder::new(codec);
    let (mut heard, mut kinds, mut frame) = (Vec::new(), Vec::new(), Vec::new());
    let samples = codec.rate().hz() as usize / 1_000 * packet_ms;
    for n in 0..2_400 / packet_ms {
        let tone: Vec<i16> = (n * samples..(n + 1) * samples)
            .map(|at| (9_000.0 * (std::f64::consts::TAU * 500.0 * at as f64 / f64::from(codec.rate().hz())).sin()) as i16)
            .collect();
        let mut payload = Vec::new();
        encoder.encode(&tone, &mut payload).unwrap();
        let header = Header {
            payload_type,
            marker: n == 0,
            sequence: n as u16,
            timestamp: (n * packet_ms) as u32 * codec.clock_hz() / 1_000,
            ssrc: u32::from(payload_type),
        };
        if lost == 0 || n % lost != lost - 1 {
            receiver.push(&header, payload.into());
        }
        let pulls = (n + 1) * packet_ms / 20 - n * packet_ms / 20;
        for _ in 0..pulls {
            kinds.push(receiver.pull(&mut frame));
            assert_eq!(frame.len(), receiver.rate().frame_samples());
            heard.extend_from_slice(&frame);
        }
    }
    (heard, kinds)
}

fn share(receiver: &Receiver, heard: &[i16]) -> f64 {
    share_of(&heard[heard.len() / 2..], 500.0 * 8_000.0 / f64::from(receiver.rate().hz()))
}

#[test]
fn every_codec_and_packet_length_is_heard_without_a_gap() {
    for (payload_type, codec) in FORMATS {
        for packet_ms in [10, 20, 40, 60] {
            let mut receiver = receiver();
            let (heard, kinds) = run(&mut receiver, payload_type, packet_ms, 0);
            assert_eq!((receiver.codec(), receiver.rate()), (Some(codec), codec.rate()));
            let share = share(&receiver, &heard);
            assert!(share > 0.95, "{codec:?} in packets of {packet_ms} ms: {share}");
            let gaps = kinds[20..].iter().filter(|kind| **kind != Heard::Audio).count();
            assert_eq!(gaps, 0, "{codec:?} in packets of {packet_ms} ms: {kinds:?}");
        }
    }
}

#[test]
fn losses_are_concealed() {
    for (payload_type, codec) in FORMATS {
        let mut receiver = receiver();
        let (heard, kinds) = run(&mut receiver, payload_type, 20, 10);
        assert!(kinds.iter().filter(|kind| **kind == Heard::Concealed).count() >= 10);
        let share = share(&receiver, &heard);
        assert!(share > 0.7, "{codec:?}: {share}");
    }
}

#[test]
fn a_sender_may_change_its_codec() {
    let mut receiver = receiver();
    for payload_type in [0, 9, 111, 8] {
        let (heard, _) = run(&mut receiver, payload_type, 20, 0);
        assert!(share(&receiver, &heard[heard.len() / 2..]) > 0.9, "{payload_type}");
    }
}

#[test]
fn what_has_no_codec_is_not_taken() {
    let mut receiver = receiver();
    let header = Header {
        payload_type: 18,
        marker: false,
        sequence: 1,
        timestamp: 1,
        ssrc: 1,
    };
    assert_eq!(receiver.push(&header, Bytes::from_static(&[0; 20])), Arrival::Unusable);
    let audio = Header {
        payload_type: 0,
        ..header
    };
    assert_eq!(receiver.push(&audio, Bytes::new()), Arrival::Unusable);
    let mut frame = Vec::new();
    assert_eq!(receiver.pull(&mut frame), Heard::Silence);
    assert_eq!(frame, [0; 160]);
}

#[test]
fn delay_that_is_not_needed_goes_away_while_it_is_quiet() {
    let mut receiver = receiver();
    let mut frame = Vec::new();
    let mut delays = Vec::new();
    for n in 0..800_u16 {
        let header = Header {
            payload_type: 0,
            marker: false,
            sequence: n,
            timestamp: u32::from(n) * 160,
            ssrc: 1,
        };
        receiver.push(&header, Bytes::from_static(&[0xff; 160]));
        receiver.pull(&mut frame);
        delays.push(receiver.delay_ms());
    }
    assert_eq!((delays[100], delays[799]), (40, 20));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_packets_give_frames(packets in proptest::collection::vec((0_usize..6, 0_u16..20, 0_u32..4_000, proptest::collection::vec(any::<u8>(), 0..60), any::<bool>()), 0..60)) {
        let mut receiver = receiver();
        let mut frame = Vec::new();
        for (format, sequence, timestamp, payload, pulls) in packets {
            let payload_type = FORMATS.get(format).map_or(77, |(payload_type, _)| *payload_type);
            receiver.push(&Header { payload_type, marker: false, sequence, timestamp, ssrc: 1 }, payload.into());
            if pulls {
                receiver.pull(&mut frame);
                prop_assert_eq!(frame.len(), receiver.rate().frame_samples());
            }
        }
    }
}
