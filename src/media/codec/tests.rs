//! Codecs: every rate and length, and what no peer should send.

use proptest::prelude::*;

use super::*;
use crate::tone::share_of;

/// A second of a tone in frames of 20 ms.
fn frames(codec: Codec, hz: f64) -> Vec<Vec<i16>> {
    let rate = f64::from(codec.rate().hz());
    let samples: Vec<i16> = (0..codec.rate().hz())
        .map(|n| (9_000.0 * (std::f64::consts::TAU * hz * f64::from(n) / rate).sin()) as i16)
        .collect();
    samples.chunks(codec.frame_samples()).map(<[i16]>::to_vec).collect()
}

/// [`share_of`] counts at 8 kHz: at 16 kHz a tone is found at half its frequency.
fn share(codec: Codec, samples: &[i16], hz: f64) -> f64 {
    share_of(samples, hz * 8_000.0 / f64::from(codec.rate().hz()))
}

#[test]
fn a_tone_comes_through_every_codec() {
    for codec in Codec::ALL {
        let (mut encoder, mut decoder) = (Encoder::new(codec), Decoder::new(codec));
        let mut heard = Vec::new();
        for frame in frames(codec, 1_000.0) {
            let mut payload = Vec::new();
            encoder.encode(&frame, &mut payload).unwrap();
            assert_eq!(codec.ticks_of(&payload), Some(codec.frame_ticks()), "{codec:?}");
            let before = heard.len();
            decoder.decode(&payload, &mut heard).unwrap();
            assert_eq!(heard.len() - before, codec.frame_samples(), "{codec:?}");
        }
        let share = share(codec, &heard[heard.len() / 2..], 1_000.0);
        assert!(share > 0.95, "{codec:?} keeps {share} of the tone");
    }
}

#[test]
fn opus_of_any_mode_rate_and_channels_is_heard() {
    for (application, hz, channels, bits_per_second) in [
        (Application::Voip, 8_000, 1, 12_000),
        (Application::Voip, 16_000, 1, 20_000),
        (Application::Voip, 48_000, 1, 32_000),
        (Application::Audio, 48_000, 1, 64_000),
        (Application::Audio, 48_000, 2, 96_000),
        (Application::RestrictedLowDelay, 48_000, 2, 64_000),
    ] {
        let name = format!("{application:?} at {hz} Hz, {channels} channels, {bits_per_second} bit/s");
        let mut encoder = OpusEncoder::new(hz, channels, application).unwrap();
        encoder.bitrate_bps = bits_per_second;
        let mut decoder = Decoder::new(Codec::Opus);
        let (mut heard, frame) = (Vec::new(), hz as usize / 50);
        for n in 0..50 {
            let samples: Vec<i16> = (0..frame * channels)
                .map(|at| (n * frame + at / channels) as f64 / f64::from(hz))
                .map(|time| (9_000.0 * (std::f64::consts::TAU * 1_000.0 * time).sin()) as i16)
                .collect();
            let mut packet = [0; 1_275];
            let written = encoder.encode_i16(&samples, frame, &mut packet).unwrap();
            decoder.decode(&packet[..written], &mut heard).unwrap();
        }
        assert_eq!(heard.len(), 16_000, "{name}");
        let tail = &heard[8_000..];
        assert!(
            share(Codec::Opus, tail, 1_000.0) > 0.9,
            "{name}: {}",
            share(Codec::Opus, tail, 1_000.0)
        );
        let power = tail.iter().map(|sample| f64::from(*sample).powi(2)).sum::<f64>() / tail.len() as f64;
        assert!((0.5..2.0).contains(&(power / (9_000.0_f64.powi(2) / 2.0))), "{name}: {power}");
    }
}

#[test]
fn packets_of_every_usual_length_decode_to_their_length() {
    for codec in Codec::ALL {
        for ms in [10, 20, 30, 40, 60] {
            if codec == Codec::Opus && ms == 30 {
                continue;
            }
            let samples = codec.frame_samples() * ms / 20;
            let (mut payload, mut out) = (Vec::new(), Vec::new());
            Encoder::new(codec).encode(&vec![100; samples], &mut payload).unwrap();
            Decoder::new(codec).decode(&payload, &mut out).unwrap();
            assert_eq!(out.len(), samples, "{codec:?} {ms} ms");
        }
    }
}

#[test]
fn a_lost_frame_lasts_a_frame_and_does_not_break_the_stream() {
    for codec in Codec::ALL {
        let (mut encoder, mut decoder) = (Encoder::new(codec), Decoder::new(codec));
        let mut heard = Vec::new();
        for (index, frame) in frames(codec, 500.0).into_iter().enumerate() {
            let mut payload = Vec::new();
            encoder.encode(&frame, &mut payload).unwrap();
            if index % 10 == 9 {
                decoder.conceal(&mut heard);
            } else {
                decoder.decode(&payload, &mut heard).unwrap();
            }
            assert_eq!(heard.len(), (index + 1) * codec.frame_samples());
        }
        let share = share(codec, &heard[heard.len() / 2..], 500.0);
        assert!(share > 0.8, "{codec:?} keeps {share} of the tone");
    }
}

#[test]
fn lengths_that_no_packet_has_are_refused() {
    let mut out = Vec::new();
    for codec in Codec::ALL {
        let mut decoder = Decoder::new(codec);
        for payload in [vec![], vec![0xff; 4_000]] {
            let bytes = payload.len();
            assert!(matches!(decoder.decode(&payload, &mut out), Err(CodecError::Length { bytes: b, .. }) if b == bytes));
        }
    }
    assert!(out.is_empty());
    assert!(Encoder::new(Codec::G722).encode(&[0; 3], &mut Vec::new()).is_err());
    assert!(Encoder::new(Codec::Opus).encode(&[0; 321], &mut Vec::new()).is_err());
}

#[test]
fn names_and_numbers_find_their_codec() {
    assert_eq!(Codec::named("pcma", 8_000), Some(Codec::Pcma));
    assert_eq!(Codec::named("OPUS", 48_000), Some(Codec::Opus));
    assert_eq!(Codec::named("G722", 16_000), None);
    assert_eq!((0..=127).filter_map(Codec::of_static).count(), 3);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_payload_breaks_a_decoder(payloads in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..120), 1..6)) {
        for codec in Codec::ALL {
            let mut decoder = Decoder::new(codec);
            for payload in &payloads {
                let mut out = Vec::new();
                if decoder.decode(payload, &mut out).is_err() {
                    prop_assert!(out.is_empty());
                    decoder.conceal(&mut out);
                    prop_assert_eq!(out.len(), codec.frame_samples());
                }
            }
        }
    }
}
