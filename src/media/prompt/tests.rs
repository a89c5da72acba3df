//! Files of every kind, and files that are none.

use hound::{SampleFormat, WavSpec, WavWriter};
use proptest::prelude::*;

use super::*;
use crate::tone::share_of;

/// A WAV file of 440 Hz on every channel.
fn wav(hz: u32, channels: u16, bits: u16, sample_format: SampleFormat, ms: u32) -> Vec<u8> {
    let spec = WavSpec {
        channels,
        sample_rate: hz,
        bits_per_sample: bits,
        sample_format,
    };
    let mut out = Cursor::new(Vec::new());
    let mut writer = WavWriter::new(&mut out, spec).unwrap();
    for n in 0..u64::from(hz) * u64::from(ms) / 1_000 {
        let sample = 0.5 * (std::f64::consts::TAU * 440.0 * n as f64 / f64::from(hz)).sin();
        for _ in 0..channels {
            match sample_format {
                SampleFormat::Float => writer.write_sample(sample as f32).unwrap(),
                SampleFormat::Int => writer.write_sample((sample * (1_u64 << (bits - 1)) as f64) as i32).unwrap(),
            }
        }
    }
    writer.finalize().unwrap();
    out.into_inner()
}

use std::io::Cursor;

fn decode(content: Vec<u8>) -> Result<Prompt, PromptError> {
    Prompt::decode("a.wav", content, PromptLimits::default())
}

/// Asserts that a prompt is 440 Hz at half scale, at both rates.
fn assert_tone(prompt: &Prompt, ms: u64, what: &str) {
    assert!(prompt.duration_ms().abs_diff(ms) <= 5, "{what}: {} ms", prompt.duration_ms());
    let middle = |samples: &[i16]| samples[samples.len() / 4..samples.len() * 3 / 4].to_vec();
    let (narrow, wide) = (middle(prompt.samples(Rate::Narrow)), middle(prompt.samples(Rate::Wide)));
    assert_eq!(prompt.samples(Rate::Wide).len(), 2 * prompt.samples(Rate::Narrow).len());
    assert!(share_of(&narrow, 440.0) > 0.95, "{what}: {}", share_of(&narrow, 440.0));
    assert!(share_of(&wide, 220.0) > 0.95, "{what}: {}", share_of(&wide, 220.0));
    for samples in [narrow, wide] {
        let peak = samples.iter().map(|sample| sample.unsigned_abs()).max().unwrap();
        assert!((15_000..17_800).contains(&peak), "{what}: {peak}");
    }
}

#[test]
fn wav_files_of_every_kind_are_read() {
    for hz in [8_000, 11_025, 16_000, 44_100, 48_000] {
        assert_tone(
            &decode(wav(hz, 1, 16, SampleFormat::Int, 400)).unwrap(),
            400,
            &format!("{hz} Hz"),
        );
    }
    for (channels, bits, format) in [
        (1, 8, SampleFormat::Int),
        (2, 16, SampleFormat::Int),
        (1, 24, SampleFormat::Int),
        (2, 32, SampleFormat::Int),
        (6, 32, SampleFormat::Float),
    ] {
        let prompt = decode(wav(8_000, channels, bits, format, 400)).unwrap();
        assert_tone(&prompt, 400, &format!("{channels} channels of {bits} bits"));
    }
}

#[test]
fn compressed_files_are_read() {
    let read = |content: &[u8]| Prompt::decode("a", content.to_vec(), PromptLimits::default());
    assert_tone(&read(include_bytes!("fixtures/tone.ogg")).unwrap(), 500, "Vorbis");
    assert_tone(&read(include_bytes!("fixtures/tone.flac")).unwrap(), 300, "FLAC");
    // MPEG 1 Layer III, 128 kbit/s, 44.1 kHz, mono: frames whose side information is zero are silence.
    let mut frame = vec![0xff, 0xfb, 0x90, 0xc4];
    frame.resize(417, 0);
    let silence = read(&frame.repeat(40)).unwrap();
    assert!(
        silence.duration_ms().abs_diff(40 * 1_152 * 1_000 / 44_100) < 60,
        "{}",
        silence.duration_ms()
    );
    assert!(silence.samples(Rate::Wide).iter().all(|sample| *sample == 0));
}

#[test]
fn errors_name_the_file_and_what_is_wrong() {
    let limits = PromptLimits { bytes: 100, ms: 200 };
    let text = |result: Result<Prompt, PromptError>| result.unwrap_err().to_string();
    assert_eq!(
        text(Prompt::decode("long.wav", wav(8_000, 1, 16, SampleFormat::Int, 300), limits)),
        "long.wav: longer than the 200 ms allowed"
    );
    assert_eq!(text(decode(wav(8_000, 1, 16, SampleFormat::Int, 0))), "a.wav: no audio in it");
    assert_eq!(
        text(decode(wav(1_000, 1, 16, SampleFormat::Int, 100))),
        "a.wav: cannot play a sampling rate of 1000 Hz"
    );
    assert!(text(decode(b"RIFF and nothing".to_vec())).starts_with("a.wav: "));
    assert!(text(decode(b"plain text".repeat(20))).starts_with("a.wav: not WAV, MP3, FLAC or Ogg Vorbis"));
    assert!(text(decode(Vec::new())).starts_with("a.wav: not WAV"));
    let missing = Prompt::load(Path::new("no-such.wav"), limits);
    assert!(text(missing).starts_with("no-such.wav: "));
    let manifest = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"));
    assert!(matches!(
        Prompt::load(manifest, limits),
        Err(PromptError::Size { limit: 100, .. })
    ));
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"));
    assert!(matches!(Prompt::load(directory, limits), Err(PromptError::Read { .. })));
}

#[test]
fn a_file_that_is_cut_off_is_played_as_far_as_it_goes() {
    let mut content = wav(8_000, 1, 16, SampleFormat::Int, 400);
    content.truncate(content.len() / 2);
    assert_tone(&decode(content).unwrap(), 197, "half a WAV");
}

#[test]
fn a_file_is_loaded_from_its_directory_and_from_nowhere_else() {
    let directory = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/prompt"));
    let path = path_in(directory, "fixtures/tone.ogg").unwrap();
    assert!(Prompt::load(&path, PromptLimits::default()).is_ok());
    for name in ["", "..", "../x", "a/../../x", "/etc/passwd", "a\0b", "."] {
        assert!(matches!(path_in(directory, name), Err(PromptError::Name { .. })), "{name:?}");
    }
}

#[test]
fn music_on_hold_is_a_loop_without_a_seam() {
    let music = Prompt::music_on_hold();
    assert_eq!(music.duration_ms(), 16_000);
    let samples = music.samples(Rate::Wide);
    let peak = samples.iter().map(|sample| sample.unsigned_abs()).max().unwrap();
    assert!((6_000..8_000).contains(&peak), "{peak}");
    let steepest = samples.windows(2).map(|pair| (pair[0] - pair[1]).abs()).max().unwrap();
    let seam = (samples[samples.len() - 1] - samples[0]).abs();
    assert!(seam <= steepest, "{seam} at the seam, {steepest} elsewhere");
    // It sounds all the time.
    assert!(samples.chunks(1_600).all(|part| part.iter().any(|sample| sample.abs() > 300)));
    assert!(Arc::ptr_eq(&music, &Prompt::music_on_hold()));
}

#[test]
fn a_prompt_is_played_once_or_for_ever() {
    let prompt = Arc::new(Prompt::from_narrow((0..400).collect()));
    let mut frame = Vec::new();
    let mut once = Player::new(Arc::clone(&prompt), false);
    once.read(Rate::Narrow, &mut frame);
    assert_eq!(frame, (0..160).collect::<Vec<i16>>());
    assert!(once.advance() && once.advance());
    once.read(Rate::Narrow, &mut frame);
    assert_eq!((frame.len(), frame[79], frame[80]), (160, 399, 0));
    assert!(!once.advance());
    once.read(Rate::Wide, &mut frame);
    assert_eq!(frame, [0; 320]);
    let mut endless = Player::new(prompt, true);
    let mut heard = Vec::new();
    for _ in 0..10 {
        endless.read(Rate::Narrow, &mut frame);
        heard.extend_from_slice(&frame);
        assert!(endless.advance());
    }
    assert!(heard.iter().enumerate().all(|(at, sample)| at % 400 == *sample as usize));
    endless.seek(u64::MAX);
    endless.read(Rate::Wide, &mut frame);
    assert_eq!(frame.len(), 320);
    let nothing = Player::new(Arc::new(Prompt::from_narrow(Vec::new())), true);
    nothing.read(Rate::Narrow, &mut frame);
    assert_eq!(frame, [0; 160]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn damaged_files_are_played_or_refused(which in 0_usize..3, damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20), cut in any::<prop::sample::Index>()) {
        let mut content = match which {
            0 => wav(11_025, 2, 24, SampleFormat::Int, 50),
            1 => include_bytes!("fixtures/tone.ogg").to_vec(),
            _ => include_bytes!("fixtures/tone.flac").to_vec(),
        };
        for (at, byte) in damage {
            let at = at.index(content.len());
            content[at] = byte;
        }
        content.truncate(1 + cut.index(content.len()) * 2);
        let _ = decode(content);
    }
}
