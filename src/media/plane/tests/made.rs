//! What is made: transcoded, mixed, played.

use super::phone::EVENT;
use super::*;
use crate::plane::Music;

#[test]
fn phones_of_different_codecs_understand_each_other() {
    let others = [Codec::Pcma, Codec::G722, Codec::Opus];
    for (last, codec) in (40..).zip(others) {
        let bench = Bench::at(last);
        let [mut a, mut b] = bench.phones([Codec::Pcmu, codec]);
        b.tone_hz = 700.0;
        bench.all_hear_all(&[&a, &b]);
        talk(&mut [&mut a, &mut b], |phones| {
            phones[0].share_of(700.0) > 0.9 && phones[1].share_of(400.0) > 0.9
        });
        a.assert_seamless();
        b.assert_seamless();
    }
}

#[test]
fn in_a_conference_each_hears_the_others_and_not_itself() {
    let bench = Bench::at(44);
    let [mut a, mut b, mut c] = bench.phones([Codec::Pcmu, Codec::Pcma, Codec::G722]);
    (a.tone_hz, b.tone_hz, c.tone_hz) = (400.0, 700.0, 1_100.0);
    bench.all_hear_all(&[&a, &b, &c]);
    let tones = [400.0, 700.0, 1_100.0];
    let right = |phone: &Phone| {
        tones.iter().all(|tone| {
            let share = phone.share_of(*tone);
            if *tone == phone.tone_hz { share < 0.02 } else { share > 0.3 }
        })
    };
    talk(&mut [&mut a, &mut b, &mut c], |phones| {
        phones.iter().all(|phone| right(phone))
    });
    a.assert_seamless();
}

#[test]
fn who_speaks_in_a_conference_is_told_when_it_is_another_one() {
    let bench = Bench::at(61);
    let [mut a, mut b, mut c] = bench.phones([Codec::Pcmu, Codec::Pcma, Codec::G722]);
    let (first, third) = (a.port.id, c.port.id);
    (a.tone_hz, b.tone_hz, c.tone_hz) = (400.0, 0.0, 0.0);
    bench.all_hear_all(&[&a, &b, &c]);
    let mut told = Vec::new();
    let note = |told: &mut Vec<PortId>| {
        let events = bench.events.try_iter();
        told.extend(
            events
                .filter(|event| event.kind == PlaneEventKind::Speaks)
                .map(|event| event.port),
        );
        told.len()
    };
    talk(&mut [&mut a, &mut b, &mut c], |_| note(&mut told) == 1);
    (a.tone_hz, c.tone_hz) = (0.0, 1_100.0);
    talk(&mut [&mut a, &mut b, &mut c], |_| note(&mut told) == 2);
    let heard = b.heard.len();
    talk(&mut [&mut a, &mut b, &mut c], |phones| phones[1].heard.len() > heard + 75);
    note(&mut told);
    assert_eq!(told, [first, third], "once each, not with every frame");
}

#[test]
fn between_two_nobody_is_told_to_speak() {
    let bench = Bench::at(62);
    let [mut a, mut b] = bench.phones([Codec::Pcmu, Codec::G722]);
    bench.all_hear_all(&[&a, &b]);
    talk(&mut [&mut a, &mut b], |phones| phones[1].heard.len() > 50);
    assert!(bench.events.try_iter().all(|event| event.kind != PlaneEventKind::Speaks));
}

#[test]
fn digits_are_sent_as_events_and_then_the_relay_goes_on() {
    let bench = Bench::at(45);
    let [mut a, mut b] = bench.phones([Codec::Pcmu; 2]);
    bench.all_hear_all(&[&a, &b]);
    talk(&mut [&mut a, &mut b], |phones| phones[1].heard.len() > 3);
    bench.plane.digits(b.port.id, Arc::from("1#"));
    let done = |phone: &Phone| {
        let last = phone.heard.iter().rposition(|(header, _)| header.payload_type == EVENT);
        last.is_some_and(|last| phone.heard.len() > last + 10)
    };
    talk(&mut [&mut a, &mut b], |phones| done(phones[1]));
    bench.expect(b.port.id, |kind| *kind == PlaneEventKind::DigitsSent);
    b.assert_seamless();
    let events: Vec<_> = b.heard.iter().filter(|(header, _)| header.payload_type == EVENT).collect();
    let codes: Vec<u8> = events.iter().map(|(_, payload)| payload[0]).collect();
    assert_eq!(codes, [[1; 7], [11; 7]].concat());
    let ends = events.iter().filter(|(_, payload)| payload[1] & 0x80 != 0).count();
    assert_eq!(ends, 6);
    let relayed = bench.plane.stats().relayed;
    talk(&mut [&mut a, &mut b], |_| bench.plane.stats().relayed > relayed + 5);
}

#[test]
fn a_device_without_events_is_sent_tones_and_its_own_are_found() {
    let bench = Bench::at(46);
    let [mut a, mut b] = bench.phones([Codec::Pcmu, Codec::Pcma]);
    for phone in [&a, &b] {
        let settings = crate::endpoint::PortSettings {
            telephone_event: None,
            receives: phone.settings().receives[..1].to_vec(),
            ..phone.settings()
        };
        bench.plane.set(phone.port.id, settings);
    }
    bench.all_hear_all(&[&a, &b]);
    (a.tone_hz, b.tone_hz) = (0.0, 0.0);
    bench.plane.digits(b.port.id, Arc::from("7"));
    talk(&mut [&mut a, &mut b], |phones| phones[1].heard.len() > 8);
    let heard: Vec<_> = b.heard.iter().filter(|(_, payload)| payload.len() == 160).cloned().collect();
    let samples = b.last_samples(heard.len());
    let tone = samples
        .chunks(800)
        .map(|part| crate::tone::share_of(part, 852.0) + crate::tone::share_of(part, 1_209.0));
    assert!(tone.fold(0.0, f64::max) > 0.7);
    for (_, payload) in heard {
        b.send(&payload);
    }
    assert_eq!(
        bench.expect(b.port.id, |kind| matches!(kind, PlaneEventKind::Digit(_))),
        PlaneEventKind::Digit('7')
    );
}

#[test]
fn a_tone_is_that_of_the_locale() {
    let bench = Bench::new(PlaneSettings {
        locale: crate::tone::Locale::De,
        ..settings(47)
    });
    let [mut a, mut b] = bench.phones([Codec::Pcma, Codec::G722]);
    for phone in [&a, &b] {
        bench
            .plane
            .hear(phone.port.id, vec![Source::Tone(crate::tone::ToneKind::Dial)]);
    }
    talk(&mut [&mut a, &mut b], |phones| {
        phones.iter().all(|phone| phone.share_of(425.0) > 0.9)
    });
    a.assert_seamless();
}

#[test]
fn music_and_files_are_played_and_their_end_is_told() {
    let directory = std::env::temp_dir().join(format!("tandem-plane-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let tone: Vec<i16> = crate::tone::Tone::new(1_000.0).take(4_000).collect();
    let format = hound::WavSpec {
        channels: 1,
        sample_rate: 8_000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut file = hound::WavWriter::create(directory.join("hello.wav"), format).unwrap();
    tone.iter().for_each(|sample| file.write_sample(*sample).unwrap());
    file.finalize().unwrap();
    let name = |name: &str| Some(Arc::<str>::from(name));
    let bench = Bench::new(PlaneSettings {
        music: Music {
            named: [(name("soft").unwrap(), Arc::new(crate::prompt::Prompt::from_narrow(tone)))].into(),
            default: None,
        },
        prompts: Some(directory.clone()),
        ..settings(48)
    });
    let [mut a, mut b] = bench.phones([Codec::Pcma, Codec::Opus]);
    bench.plane.hear(b.port.id, vec![Source::Music(name("soft"))]);
    let file = |file: &str| Source::File {
        name: file.into(),
        repeat: false,
    };
    bench.plane.hear(a.port.id, vec![file("hello.wav")]);
    talk(&mut [&mut a, &mut b], |phones| {
        phones.iter().all(|phone| phone.share_of(1_000.0) > 0.9)
    });
    bench.expect(a.port.id, |kind| *kind == PlaneEventKind::FileEnded);
    a.assert_seamless();
    for missing in ["none.wav", "../hello.wav"] {
        bench.plane.hear(a.port.id, vec![file(missing)]);
        bench.expect(a.port.id, |kind| *kind == PlaneEventKind::FileEnded);
    }
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn digits_reach_a_device_that_hears_nothing_else() {
    let bench = Bench::at(49);
    let [mut a] = bench.phones([Codec::Opus]);
    bench.plane.digits(a.port.id, Arc::from("5"));
    talk(&mut [&mut a], |phones| {
        phones[0].heard.iter().any(|(header, _)| header.payload_type == EVENT)
    });
    bench.expect(a.port.id, |kind| *kind == PlaneEventKind::DigitsSent);
}

/// One second of a tone.
fn tone_of(hz: f64) -> Music {
    let tone = crate::tone::Tone::new(hz).take(8_000).collect();
    Music {
        named: [("hold".into(), Arc::new(crate::prompt::Prompt::from_narrow(tone)))].into(),
        default: Some("hold".into()),
    }
}

#[test]
fn music_that_is_exchanged_is_heard_by_whoever_is_put_on_hold_next() {
    let bench = Bench::new(PlaneSettings {
        music: tone_of(1_000.0),
        ..settings(49)
    });
    let [mut a, mut b] = bench.phones([Codec::Pcma, Codec::Pcmu]);
    bench.plane.hear(a.port.id, vec![Source::Music(None)]);
    talk(&mut [&mut a, &mut b], |phones| phones[0].share_of(1_000.0) > 0.9);
    bench.plane.change_music(tone_of(600.0));
    bench.plane.hear(b.port.id, vec![Source::Music(None)]);
    talk(&mut [&mut a, &mut b], |phones| phones[1].share_of(600.0) > 0.9);
    assert!(a.share_of(1_000.0) > 0.9, "what began goes on");
    bench.plane.hear(a.port.id, Vec::new());
    bench.plane.hear(a.port.id, vec![Source::Music(None)]);
    talk(&mut [&mut a, &mut b], |phones| phones[0].share_of(600.0) > 0.9);
}
