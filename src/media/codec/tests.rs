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

/// A tone of 1 kHz: twelve packets of libopus 1.3 (SILK at 12 kbit/s).
const LIBOPUS: [&str; 12] = [
    "4883f81ab50d48f486c881f4cdfb92df9065279c3b765e0f70549038dd854cc8b8d258c77af09e37dcaaa02c",
    "48a8cc6987c6260250f256a69e24fa635db363e948aeb740ae8fd2ec5215675561d524f508fc8052bd5bf3bcb0",
    "48a142e8cd9af41f626798e45eee5649c8d37f689329c3078bf0d93f2981ca646d572b10b37e07e7317b8959209be25d70",
    "48a142e8cd9af41f62678f9a754fd0689da70f00bd583a97c975175d4fbe2f528c7f159fef1d2d26f749ab7677e7df228dcf437bc0",
    "48a142e8cd9af41f6267922d27c277b9e7efecb372a8bb6fa922b0eb33f5cacb6ce6eaed866255aeb4c606fb3182b292",
    "48a142e8cd9af41f62679950a9fe9870af57e0a63c86d642470b908b34b9aacd146c530977d90bb5a4cc0fade81b73516d1ab5b0",
    "48a142e8cd9af41f626798e4ccf9ce231aa4b716fed7b1e2ed5fcbb80bb6a8f993c3c2fdfbbf081012ce1ec9de244bdf",
    "48a142e8cd9af41f6267956e1e3ee0e3e5aea8361cde5d9cf0767654743b34285297d58fb44a2c447d5af0b8b1491a80",
    "48a142e8cd9af41f62678f9a7d422b2bd32e1fc0f2e6e2c6be6788cb8337ba13b7d46a44f2945ddda552676251c01b67bc26b94c",
    "48a28b48cd9af41f62678ef0744357d5145ba87fd2eaa10db2d39c064c1048675fb16a4613e539b93009e3215530866b80",
    "48a28b48cd9af41f6267922d26a46a9b8b00acbd7f63887b85b85822744b56a3a36ea3d44e9b7d8f2981670523d4",
    "48a3d3a8cd9af41f62679562f09ad1d2679c687087d7d6ae59d5dc1c3241515e03f0e9fdc2cdfa81f1c9f0a150",
];
/// The same: 60 ms of spandsp's G.722.
const SPANDSP: &str = "fa9224882190a0a020aec8c6cfddee6aedfad3cfd2dfefeceffcd490d3fef06cf0bcd590d4feb1ed71fd96d2d6bff2eff37fd694d6fdb2eff4fd5794\
    d6fdb2eff4fdd7d5d6fdf2f0b3dfd893d9ffb3f073fe96d497faf4ef75fdd795d7bcf271f3dfd993d9bf74eff67f97d5d7bdf3f273dfdad495fcb271\
    f3df5b95d5fdb371f2fe5894d6faf4eef478d893dabff5ef75b8d8d2dabef56ff4b75596d9dff171b17bd799d4fef56ef3fd9dd5d7bbf66ef1f7d997\
    dd9e71eef1f5db9bd9fef3eeeffafd9adcfdeeededf4fc9cdaf4f06ab1b0fa9afdb771ea70ae5dfdbff8ee6eadf37edfbbffefefee75badafffdf1ed\
    70f4be96ddbe76ee71b6dcd6ddddf373f0b3d69cd7f978eff4f49b98557df3b66ffe9fd8d47cf2f2f3fbdd96dafdf46db4f7d79bd99df372f1bb58d7\
    9edff272f1fa98d6defef56d71bd9ad9d8bef26ef4f7d69dd8fcee72f2fb9a9dd771f6ae73fffc97fa7eeeae74f4db9ddb71f3b16edffb94fb77f2ad\
    f17bd9bedff372edf1fc9fddbe77ee6eb5f8dd99fcf271edf4fad7bdddf56df1f3dabe97f9f8ed71f7dd99dbbff7f06df9dcd7bed8b5ec70799adb9b\
    ddf6ee74f698d69ddcf56df3fe9d5896fbf56cf2bd7ed3bfdcf4eaf875d9d897f7b6ef75f5dbd898faf0ed75f7d998dbb4f2f16fdebcd898f6f06c72";

fn bytes_of(hex: &str) -> Vec<u8> {
    (0..hex.len() / 2)
        .map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap())
        .collect()
}

#[test]
fn what_other_implementations_code_is_decoded() {
    let opus: Vec<Vec<u8>> = LIBOPUS.iter().map(|packet| bytes_of(packet)).collect();
    let g722: Vec<Vec<u8>> = bytes_of(SPANDSP).chunks(160).map(<[u8]>::to_vec).collect();
    for (codec, payloads) in [(Codec::Opus, opus), (Codec::G722, g722)] {
        let (mut decoder, mut heard) = (Decoder::new(codec), Vec::new());
        for payload in &payloads {
            decoder.decode(payload, &mut heard).unwrap();
        }
        assert_eq!(heard.len(), 320 * payloads.len());
        let tail = &heard[heard.len() / 2..];
        let power = tail.iter().map(|sample| f64::from(*sample).powi(2)).sum::<f64>() / tail.len() as f64;
        let ratio = power / (9_000.0_f64.powi(2) / 2.0);
        assert!(
            share(codec, tail, 1_000.0) > 0.95 && (0.8..1.25).contains(&ratio),
            "{codec:?}: {ratio}"
        );
    }
}
