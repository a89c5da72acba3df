//! Digits: events, tones and INFO bodies.

use proptest::prelude::*;

use super::*;
use crate::rate::Rate;

const ALL: &str = "0123456789*#ABCD";

fn payload(event: u8, end: bool, duration: u16) -> [u8; 4] {
    Event {
        event,
        end,
        volume: 10,
        duration,
    }
    .bytes()
}

#[test]
fn a_payload_is_read_as_it_was_written() {
    let event = Event {
        event: 11,
        end: true,
        volume: 63,
        duration: 0xabcd,
    };
    assert_eq!(Event::parse(&event.bytes()), Some(event));
    assert_eq!(event.bytes(), [11, 0xbf, 0xab, 0xcd]);
    assert_eq!(Event::parse(&[1, 2, 3]), None);
}

#[test]
fn a_key_is_one_press_however_often_it_is_said() {
    let mut receiver = EventReceiver::default();
    let down = receiver.push(1_000, &payload(5, false, 160));
    assert_eq!(down[..], [KeyEvent::Down('5')]);
    assert!(receiver.push(1_000, &payload(5, false, 320)).is_empty());
    assert!(receiver.push(1_000, &payload(5, false, 320)).is_empty());
    let up = receiver.push(1_000, &payload(5, true, 800));
    assert_eq!(up[..], [KeyEvent::Up { digit: '5', ticks: 800 }]);
    for _ in 0..2 {
        assert!(receiver.push(1_000, &payload(5, true, 800)).is_empty());
    }
    assert!(receiver.push(1_000, &payload(5, false, 480)).is_empty(), "late");
    assert!(receiver.push(200, &payload(4, false, 160)).is_empty(), "from before");
}

#[test]
fn lost_packets_lose_no_key() {
    let mut receiver = EventReceiver::default();
    let only_the_end = receiver.push(1_000, &payload(1, true, 800));
    assert_eq!(
        only_the_end[..],
        [KeyEvent::Down('1'), KeyEvent::Up { digit: '1', ticks: 800 }]
    );
    receiver.push(3_000, &payload(2, false, 640));
    let next = receiver.push(5_000, &payload(2, false, 160));
    assert_eq!(
        next[..],
        [KeyEvent::Up { digit: '2', ticks: 640 }, KeyEvent::Down('2')],
        "its end was lost"
    );
    let ended: Vec<KeyEvent> = (0..30).filter_map(|_| receiver.tick()).collect();
    assert_eq!(ended, [KeyEvent::Up { digit: '2', ticks: 160 }]);
    assert_eq!(receiver.restart(), None);
    assert_eq!(receiver.push(7, &payload(3, false, 160))[..], [KeyEvent::Down('3')]);
}

#[test]
fn a_long_key_in_segments_is_one_key() {
    let mut receiver = EventReceiver::default();
    receiver.push(0, &payload(1, false, 0xffff));
    assert!(receiver.push(0xffff, &payload(1, false, 160)).is_empty());
    let up = receiver.push(0xffff, &payload(1, true, 320));
    assert_eq!(
        up[..],
        [KeyEvent::Up {
            digit: '1',
            ticks: 0xffff + 320
        }]
    );
}

#[test]
fn other_events_are_no_keys() {
    let mut receiver = EventReceiver::default();
    assert!(receiver.push(0, &payload(16, true, 160)).is_empty());
    assert!(receiver.push(0, &[]).is_empty());
}

/// Everything that is sent until nothing is left.
fn sent(sender: &mut EventSender) -> Vec<(u32, EventPacket)> {
    let mut out = Vec::new();
    for tick in 0..10_000 {
        if sender.is_idle() {
            return out;
        }
        out.extend(sender.tick(tick * 160).map(|packet| (tick, packet)));
    }
    panic!("it never ends");
}

#[test]
fn a_digit_is_sent_as_the_rfc_wants_it() {
    let mut sender = EventSender::new(8_000);
    sender.push("5").unwrap();
    let packets = sent(&mut sender);
    let events: Vec<Event> = packets
        .iter()
        .map(|(_, packet)| Event::parse(&packet.payload).unwrap())
        .collect();
    let durations: Vec<u16> = events.iter().map(|event| event.duration).collect();
    assert_eq!(durations, [160, 320, 480, 640, 800, 800, 800]);
    let ends: Vec<bool> = events.iter().map(|event| event.end).collect();
    assert_eq!(ends, [false, false, false, false, true, true, true]);
    let markers: Vec<bool> = packets.iter().map(|(_, packet)| packet.marker).collect();
    assert_eq!(markers, [true, false, false, false, false, false, false]);
    assert!(packets.iter().all(|(_, packet)| packet.timestamp == 0));
    assert!(events.iter().all(|event| event.event == 5));
}

#[test]
fn what_one_sends_the_other_receives() {
    let mut sender = EventSender::new(48_000);
    sender.push("12,2#").unwrap();
    sender.push_long('d', 400).unwrap();
    let mut receiver = EventReceiver::default();
    let mut heard = Vec::new();
    for (_, packet) in sent(&mut sender) {
        heard.extend(receiver.push(packet.timestamp, &packet.payload));
    }
    let downs: String = heard
        .iter()
        .filter_map(|event| match event {
            KeyEvent::Down(digit) => Some(*digit),
            KeyEvent::Up { .. } => None,
        })
        .collect();
    assert_eq!(downs, "122#D");
    assert_eq!(
        heard.last(),
        Some(&KeyEvent::Up {
            digit: 'D',
            ticks: 20 * 960
        })
    );
}

#[test]
fn what_is_no_digit_is_refused_as_a_whole() {
    let mut sender = EventSender::new(8_000);
    assert_eq!(sender.push("12x"), Err(DigitError::Unknown('x')));
    assert!(sender.is_idle());
    assert_eq!(sender.push(&"1".repeat(MAX_WAITING + 1)), Err(DigitError::Full));
    assert!(sender.is_idle());
    assert_eq!(TonePlayer::new(Rate::Narrow).push("!"), Err(DigitError::Unknown('!')));
}

/// The digits of the audio, by their ups.
fn detected(detector: &mut Detector, samples: &[i16]) -> String {
    let events: Vec<KeyEvent> = samples.chunks(160).flat_map(|frame| detector.push(frame)).collect();
    events
        .into_iter()
        .filter_map(|event| match event {
            KeyEvent::Down(digit) => Some(digit),
            KeyEvent::Up { .. } => None,
        })
        .collect()
}

#[test]
fn what_is_played_is_detected_at_both_rates() {
    for rate in [Rate::Narrow, Rate::Wide] {
        let mut player = TonePlayer::new(rate);
        player.push(ALL).unwrap();
        player.push("55,5").unwrap();
        let (mut frame, mut samples) = (vec![0; rate.frame_samples()], Vec::new());
        while player.fill(&mut frame) {
            samples.extend_from_slice(&frame);
        }
        assert!(player.is_idle());
        assert_eq!(detected(&mut Detector::new(rate), &samples), format!("{ALL}555"));
    }
}

/// Two tones for so long, then silence of 60 ms.
fn pair(low: (f64, f64), high: (f64, f64), ms: usize) -> Vec<i16> {
    let tone = |(hz, peak): (f64, f64), n: usize| (std::f64::consts::TAU * hz * n as f64 / 8_000.0).sin() * peak;
    let mut samples: Vec<i16> = (0..ms * 8).map(|n| (tone(low, n) + tone(high, n)) as i16).collect();
    samples.resize(samples.len() + 480, 0);
    samples
}

#[test]
fn the_limits_of_q_24_hold() {
    let level = |dbfs: f64| 32_767.0 * 10_f64.powf(dbfs / 20.0);
    for (name, low, high, ms, is_digit) in [
        ("loud", (770.0, level(-7.0)), (1_336.0, level(-7.0)), 50, true),
        ("quiet", (770.0, level(-33.0)), (1_336.0, level(-33.0)), 50, true),
        ("too quiet", (770.0, level(-45.0)), (1_336.0, level(-45.0)), 80, false),
        ("short", (770.0, level(-10.0)), (1_336.0, level(-10.0)), 40, true),
        ("too short", (770.0, level(-10.0)), (1_336.0, level(-10.0)), 20, false),
        (
            "off by 1.5 %",
            (770.0 * 1.015, level(-10.0)),
            (1_336.0 * 0.985, level(-10.0)),
            60,
            true,
        ),
        (
            "off by 4 %",
            (770.0 * 1.04, level(-10.0)),
            (1_336.0 * 1.04, level(-10.0)),
            60,
            false,
        ),
        (
            "high is stronger by 4 dB",
            (770.0, level(-14.0)),
            (1_336.0, level(-10.0)),
            60,
            true,
        ),
        (
            "low is stronger by 8 dB",
            (770.0, level(-10.0)),
            (1_336.0, level(-18.0)),
            60,
            true,
        ),
        (
            "high is stronger by 9 dB",
            (770.0, level(-19.0)),
            (1_336.0, level(-10.0)),
            60,
            false,
        ),
        ("one tone only", (770.0, level(-10.0)), (1_336.0, 0.0), 60, false),
    ] {
        let expected = if is_digit { "5" } else { "" };
        assert_eq!(
            detected(&mut Detector::new(Rate::Narrow), &pair(low, high, ms)),
            expected,
            "{name}"
        );
    }
}

#[test]
fn a_digit_under_noise_is_detected() {
    let mut samples = pair((697.0, 6_000.0), (1_477.0, 6_000.0), 100);
    let mut random = 1_u32;
    for sample in &mut samples {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        *sample += ((random >> 16) as i16) / 24;
    }
    assert_eq!(detected(&mut Detector::new(Rate::Narrow), &samples), "3");
}

/// Something like speech: pulses at a wandering pitch through three wandering resonances 80 Hz wide, in syllables.
fn babble(seconds: usize, seed: u32) -> Vec<i16> {
    let mut random = seed;
    let mut next = move || {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f64::from(random >> 8) / f64::from(1 << 24)
    };
    let (mut pitch, mut phase, mut voiced, mut filters) = (
        120.0,
        0.0,
        true,
        [(500.0, 0.0, 0.0), (1_500.0, 0.0, 0.0), (2_500.0, 0.0, 0.0)],
    );
    (0..seconds * 8_000)
        .map(|n| {
            if n % 640 == 0 {
                pitch = 90.0 + 160.0 * next();
                filters[0].0 = 300.0 + 600.0 * next();
                filters[1].0 = 900.0 + 1_400.0 * next();
                filters[2].0 = 2_300.0 + 600.0 * next();
                voiced = next() > 0.3;
            }
            phase += pitch / 8_000.0;
            let pulse = if phase >= 1.0 { 1.0 } else { 0.0 };
            phase %= 1.0;
            let source = if voiced { pulse } else { (next() - 0.5) * 0.3 };
            let mut sum = 0.0;
            for (hz, one, two) in &mut filters {
                let (radius, angle) = (0.969, std::f64::consts::TAU * *hz / 8_000.0);
                let out = source + 2.0 * radius * angle.cos() * *one - radius * radius * *two;
                (*one, *two) = (out, *one);
                sum += out;
            }
            (sum * 5_000.0).clamp(-32_000.0, 32_000.0) as i16
        })
        .collect()
}

#[test]
fn speech_is_no_digit() {
    for seed in 1..9 {
        assert_eq!(
            detected(&mut Detector::new(Rate::Narrow), &babble(30, seed)),
            "",
            "seed {seed}"
        );
    }
}

proptest! {
    #[test]
    fn every_down_has_its_up_whatever_comes(packets in proptest::collection::vec((any::<u32>(), proptest::collection::vec(any::<u8>(), 0..6), any::<bool>()), 0..100)) {
        let mut receiver = EventReceiver::default();
        let mut events = Vec::new();
        for (timestamp, mut payload, tick) in packets {
            if let Some(event) = payload.first_mut() { *event %= 20; }
            events.extend(receiver.push(timestamp % 4_000, &payload));
            if tick { events.extend(receiver.tick()); }
        }
        events.extend(receiver.restart());
        let mut down = None;
        for event in events {
            match event {
                KeyEvent::Down(digit) => prop_assert_eq!(down.replace(digit), None),
                KeyEvent::Up { digit, .. } => prop_assert_eq!(down.take(), Some(digit)),
            }
        }
        prop_assert_eq!(down, None);
    }

    #[test]
    fn digits_survive_any_loss_that_leaves_one_packet(digits in "[0-9*#A-D]{1,8}", kept in proptest::collection::vec(0_usize..7, 8)) {
        let mut sender = EventSender::new(8_000);
        sender.push(&digits).unwrap();
        let packets = sent(&mut sender);
        let mut receiver = EventReceiver::default();
        let mut heard = String::new();
        for (packets, kept) in packets.chunk_by(|one, two| one.1.timestamp == two.1.timestamp).zip(kept) {
            let packet = packets[kept % packets.len()].1;
            for event in receiver.push(packet.timestamp, &packet.payload) {
                if let KeyEvent::Down(digit) = event { heard.push(digit); }
            }
        }
        prop_assert_eq!(heard, digits);
    }
}
