//! What one frame of 20 ms costs: each codec both ways, rate changes, detection, the jitter buffer, and mixes of 3, 10 and 100
//! parties.
//!
//! `cargo run --release -p tandem-media --example frame_cost`. The figures are microseconds of one core. A party costs a decode
//! and (in a group of its own) an encode besides its share of the mix.

use std::hint::black_box;
use std::time::Instant;

use tandem_media::codec::{Codec, Decoder, Encoder};
use tandem_media::dtmf::Detector;
use tandem_media::jitter::Limits;
use tandem_media::mixer::{Mixer, Row};
use tandem_media::rate::{Converter, Rate};
use tandem_media::receive::Receiver;
use tandem_media::rtp::Header;
use tandem_media::speaker::Activity;
use tandem_media::tone::{Locale, ToneKind, ToneSource};

/// Microseconds of one call: the best of ten batches, so that what else the machine does counts little.
fn microseconds(rounds: u32, mut one: impl FnMut(u32)) -> f64 {
    let batch = rounds / 10;
    let mut best = f64::MAX;
    for round in 0..10 {
        let start = Instant::now();
        (round * batch..(round + 1) * batch).for_each(&mut one);
        best = best.min(start.elapsed().as_secs_f64() * 1e6 / f64::from(batch));
    }
    best
}

/// Something that no codec finds easy: a voice-like tone with overtones and noise.
fn sound(rate: Rate, frames: usize) -> Vec<Vec<i16>> {
    let mut random = 1_u32;
    let samples: Vec<i16> = (0..rate.frame_samples() * frames)
        .map(|n| {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let turn = std::f64::consts::TAU * n as f64 / f64::from(rate.hz());
            let voice: f64 = (1..12)
                .map(|tone| (turn * 140.0 * f64::from(tone)).sin() / f64::from(tone))
                .sum();
            (voice * 5_000.0 + f64::from((random >> 16) as i16) / 64.0) as i16
        })
        .collect();
    samples.chunks(rate.frame_samples()).map(<[i16]>::to_vec).collect()
}

fn main() {
    println!("microseconds for each frame of 20 ms");
    for codec in Codec::ALL {
        codec_cost(codec);
    }
    let (narrow, wide) = (sound(Rate::Narrow, 50), sound(Rate::Wide, 50));
    let mut out = Vec::new();
    for (name, from, to, frames) in [
        ("8 to 16 kHz", Rate::Narrow, Rate::Wide, &narrow),
        ("16 to 8 kHz", Rate::Wide, Rate::Narrow, &wide),
    ] {
        let mut converter = Converter::new(from, to);
        let cost = microseconds(20_000, |n| {
            out.clear();
            converter.convert(&frames[n as usize % 50], &mut out);
            black_box(&out);
        });
        println!("{name:<24} {cost:8.2}");
    }
    let mut detector = Detector::new(Rate::Narrow);
    let cost = microseconds(20_000, |n| drop(black_box(detector.push(&narrow[n as usize % 50]))));
    println!("{:<24} {cost:8.2}", "digits in tones, 8 kHz");
    let mut activity = Activity::default();
    let cost = microseconds(20_000, |n| activity.update(&narrow[n as usize % 50]));
    println!("{:<24} {cost:8.2}", "who speaks, 8 kHz");
    let mut tone = ToneSource::new(ToneKind::RingBack, Locale::Us, Rate::Narrow);
    let mut frame = [0; 160];
    println!(
        "{:<24} {:8.2}",
        "ringback, 8 kHz",
        microseconds(20_000, |_| tone.fill(&mut frame))
    );
    for parties in [3, 10, 100] {
        for rate in [Rate::Narrow, Rate::Wide] {
            mix_cost(parties, parties, rate);
        }
        mix_cost(parties, 2, Rate::Narrow);
    }
}

fn codec_cost(codec: Codec) {
    let frames = sound(codec.rate(), 50);
    let rounds = if codec == Codec::Opus { 5_000 } else { 20_000 };
    let mut encoder = Encoder::new(codec);
    let mut payload = Vec::new();
    let encoding = microseconds(rounds, |n| {
        payload.clear();
        let _ = encoder.encode(&frames[n as usize % 50], &mut payload);
        black_box(&payload);
    });
    let payloads: Vec<Vec<u8>> = frames
        .iter()
        .map(|frame| {
            let mut payload = Vec::new();
            let _ = encoder.encode(frame, &mut payload);
            payload
        })
        .collect();
    let mut decoder = Decoder::new(codec);
    let mut out = Vec::new();
    let decoding = microseconds(rounds, |n| {
        out.clear();
        let _ = decoder.decode(&payloads[n as usize % 50], &mut out);
        black_box(&out);
    });
    let concealing = microseconds(rounds / 5, |n| {
        out.clear();
        let _ = decoder.decode(&payloads[n as usize % 50], &mut out);
        decoder.conceal(&mut out);
    });
    let mut receiver = Receiver::new(&[(0, codec)], Limits::default());
    let receiving = microseconds(rounds, |n| {
        let header = Header {
            payload_type: 0,
            marker: false,
            sequence: n as u16,
            timestamp: n * codec.frame_ticks(),
            ssrc: 1,
        };
        receiver.push(&header, payloads[n as usize % 50].clone().into());
        receiver.pull(&mut out);
    });
    println!(
        "{:<8} encode {encoding:8.2}  decode {decoding:8.2}  conceal {:8.2}  receive (buffer and decode) {receiving:8.2}",
        codec.name(),
        (concealing - decoding).max(0.0)
    );
}

/// Everybody hears everybody else; so many speak.
fn mix_cost(parties: usize, speakers: usize, rate: Rate) {
    let frames = sound(rate, 50);
    let rows: Vec<Row> = (0..parties)
        .map(|listener| Row {
            hears: (0..parties).filter(|source| *source != listener).collect(),
            class: 0,
        })
        .collect();
    let mut mixer = Mixer::new(rate);
    mixer.arrange(parties, &rows);
    let mut out = Vec::new();
    let mut groups = 0;
    let cost = microseconds(2_000, |n| {
        mixer.begin();
        for source in 0..speakers {
            mixer.feed(source, &frames[(n as usize + source) % 50]);
        }
        groups = mixer.group().len();
        for group in mixer.groups() {
            out.clear();
            mixer.render(group, &mut out);
            black_box(&out);
        }
    });
    println!(
        "mix of {parties:3} at {:5} Hz, {speakers:3} speak: {cost:8.2}, {:6.3} a party, {groups:3} encodes",
        rate.hz(),
        cost / parties as f64
    );
}
