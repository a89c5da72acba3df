//! The jitter buffer: loss, order, jumps.

use proptest::prelude::*;

use super::*;

fn header(sequence: u16, timestamp: u32) -> Header {
    Header {
        payload_type: 0,
        marker: false,
        sequence,
        timestamp,
        ssrc: 7,
    }
}

/// A stream of 20 ms packets: the n-th, counted over the wrap of both numbers.
fn packet(n: u32) -> Header {
    header(65_530_u16.wrapping_add(n as u16), (u32::MAX - 500).wrapping_add(n * 160))
}

fn buffer() -> JitterBuffer {
    JitterBuffer::new(8_000, Limits::default())
}

fn push(buffer: &mut JitterBuffer, n: u32) -> Arrival {
    buffer.push(&packet(n), 160, Bytes::copy_from_slice(&n.to_be_bytes()))
}

/// What a pull gives: the number of a packet, or the name of something else.
fn pull(buffer: &mut JitterBuffer) -> Result<u32, &'static str> {
    match buffer.pull() {
        Next::Packet(packet) => Ok(u32::from_be_bytes((&packet.payload[..]).try_into().unwrap())),
        Next::Lost { ticks: 160 } => Err("lost"),
        Next::Nothing { ticks: 160 } => Err("nothing"),
        _ => Err("another length"),
    }
}

/// Fills a buffer with the first packets, until it plays.
fn playing() -> JitterBuffer {
    let mut buffer = buffer();
    assert_eq!(pull(&mut buffer), Err("nothing"));
    for n in 0..2 {
        assert_eq!(push(&mut buffer, n), Arrival::Held);
        assert_eq!(pull(&mut buffer), Err("nothing"));
    }
    buffer
}

#[test]
fn an_even_stream_comes_out_as_it_went_in_after_the_first_delay() {
    let mut buffer = playing();
    for n in 2..300 {
        push(&mut buffer, n);
        assert_eq!(pull(&mut buffer), Ok(n - 2));
    }
    assert_eq!(buffer.delay_ms(), 40);
}

#[test]
fn order_is_restored_and_duplicates_are_dropped() {
    let mut buffer = playing();
    assert_eq!(push(&mut buffer, 3), Arrival::Held);
    assert_eq!(pull(&mut buffer), Ok(0));
    assert_eq!(push(&mut buffer, 2), Arrival::Held);
    assert_eq!(push(&mut buffer, 3), Arrival::Duplicate);
    assert_eq!(push(&mut buffer, 0), Arrival::Duplicate);
    assert_eq!([1, 2, 3].map(|_| pull(&mut buffer)), [Ok(1), Ok(2), Ok(3)]);
    assert_eq!(push(&mut buffer, 1), Arrival::Late);
    assert_eq!(buffer.counters().duplicate, 2);
}

#[test]
fn the_packet_before_the_first_is_still_taken() {
    let mut buffer = buffer();
    push(&mut buffer, 1);
    assert_eq!(push(&mut buffer, 0), Arrival::Held);
    assert_eq!([0; 3].map(|_| pull(&mut buffer)), [Err("nothing"), Err("nothing"), Ok(0)]);
}

#[test]
fn what_is_missing_is_concealed_where_it_is_missing() {
    let mut buffer = playing();
    for n in 3..5 {
        push(&mut buffer, n);
    }
    assert_eq!([0; 5].map(|_| pull(&mut buffer)), [Ok(0), Ok(1), Err("lost"), Ok(3), Ok(4)]);
    assert_eq!(buffer.counters().concealed, 1);
}

#[test]
fn a_late_packet_is_played_with_more_delay_from_then_on() {
    let mut buffer = playing();
    assert_eq!([0; 4].map(|_| pull(&mut buffer)), [Ok(0), Ok(1), Err("lost"), Err("lost")]);
    for n in 2..6 {
        assert_eq!(push(&mut buffer, n), Arrival::Held, "{n}");
    }
    assert_eq!([0; 4].map(|_| pull(&mut buffer)), [Ok(2), Ok(3), Ok(4), Ok(5)]);
    assert!(buffer.delay_ms() >= 60);
}

#[test]
fn a_packet_that_was_overtaken_is_late() {
    let mut buffer = playing();
    push(&mut buffer, 3);
    assert_eq!([0; 4].map(|_| pull(&mut buffer)), [Ok(0), Ok(1), Err("lost"), Ok(3)]);
    assert_eq!(push(&mut buffer, 2), Arrival::Late);
}

#[test]
fn delay_that_is_not_needed_is_told() {
    let mut buffer = playing();
    for n in 2..2 + 2 * MEASURED_PACKETS {
        push(&mut buffer, n);
        assert_eq!(pull(&mut buffer), Ok(n - 2));
    }
    assert!(buffer.has_surplus());
    let n = 2 + 2 * MEASURED_PACKETS;
    assert_eq!(pull(&mut buffer), Ok(n - 2));
    buffer.shortened();
    for n in n..n + 2 * MEASURED_PACKETS {
        push(&mut buffer, n);
        assert_eq!(pull(&mut buffer), Ok(n - 1));
    }
    assert!(!buffer.has_surplus());
    assert_eq!(buffer.delay_ms(), 20);
}

#[test]
fn a_burst_after_a_stall_is_cut_to_the_longest_delay() {
    let mut buffer = playing();
    (0..30).for_each(|_| drop(buffer.pull()));
    for n in 2..32 {
        push(&mut buffer, n);
    }
    assert!(buffer.delay_ms() <= 120);
    let mut played = Vec::new();
    for n in 32..50 {
        push(&mut buffer, n);
        played.extend(pull(&mut buffer).ok());
    }
    assert!(played.windows(2).all(|pair| pair[1] == pair[0] + 1), "{played:?}");
    assert!(played.last().is_some_and(|last| 49 - last <= 6), "{played:?}");
}

#[test]
fn a_silent_sender_is_not_concealed_for_ever() {
    let mut buffer = playing();
    assert_eq!([0; 2].map(|_| pull(&mut buffer)), [Ok(0), Ok(1)]);
    assert_eq!(
        [0; 6].map(|_| pull(&mut buffer)),
        [
            Err("lost"),
            Err("lost"),
            Err("lost"),
            Err("lost"),
            Err("lost"),
            Err("nothing")
        ]
    );
    // The next talk spurt: the timestamp has gone on, the sequence has not (RFC 3551 s.4.1).
    let spurt = |n: u16| {
        header(
            65_532_u16.wrapping_add(n),
            (u32::MAX - 500).wrapping_add(100_000 + 160 * u32::from(n)),
        )
    };
    for n in 0..2 {
        assert_eq!(
            buffer.push(&spurt(n), 160, Bytes::copy_from_slice(&u32::from(n).to_be_bytes())),
            Arrival::Held
        );
    }
    assert_eq!(
        [0; 4].map(|_| pull(&mut buffer)),
        [Err("nothing"), Err("nothing"), Ok(0), Ok(1)]
    );
}

#[test]
fn silence_between_packets_in_sequence_is_silence() {
    let mut buffer = playing();
    let after = header(65_532, packet(2).timestamp.wrapping_add(80));
    assert_eq!([0; 2].map(|_| pull(&mut buffer)), [Ok(0), Ok(1)]);
    buffer.push(&after, 160, Bytes::from_static(&[0, 0, 0, 9]));
    assert_eq!(buffer.pull(), Next::Nothing { ticks: 80 });
    assert_eq!(pull(&mut buffer), Ok(9));
}

#[test]
fn an_event_in_between_is_no_loss() {
    let mut buffer = playing();
    assert_eq!([0; 2].map(|_| pull(&mut buffer)), [Ok(0), Ok(1)]);
    buffer.pass_over(&packet(2));
    push(&mut buffer, 3);
    assert_eq!([0; 2].map(|_| pull(&mut buffer)), [Err("nothing"), Ok(3)]);
}

#[test]
fn one_stray_packet_changes_nothing_and_two_are_a_new_stream() {
    let mut buffer = playing();
    let stray = |sequence: u16| Header {
        ssrc: 99,
        ..header(sequence, 5)
    };
    assert_eq!(buffer.push(&stray(10), 160, Bytes::from_static(&[0; 4])), Arrival::Stray);
    assert_eq!(pull(&mut buffer), Ok(0));
    assert_eq!(buffer.push(&stray(20), 160, Bytes::from_static(&[0; 4])), Arrival::Stray);
    assert_eq!(pull(&mut buffer), Ok(1));
    assert_eq!(buffer.push(&stray(21), 160, Bytes::from_static(&[0, 0, 0, 9])), Arrival::Held);
    assert_eq!((buffer.ssrc(), buffer.counters().restarts), (Some(99), 1));
    assert_eq!([0; 3].map(|_| pull(&mut buffer)), [Err("nothing"), Err("nothing"), Ok(9)]);
}

#[test]
fn a_second_sender_does_not_take_the_place_of_the_first() {
    let mut buffer = playing();
    for n in 2..50 {
        push(&mut buffer, n);
        let stray = Header {
            ssrc: 99,
            ..header(n as u16, n * 160)
        };
        assert_eq!(buffer.push(&stray, 160, Bytes::from_static(&[0; 4])), Arrival::Stray);
        assert_eq!(pull(&mut buffer), Ok(n - 2));
    }
    assert_eq!(buffer.counters().restarts, 0);
}

#[test]
fn a_leap_of_the_timestamp_starts_afresh() {
    let mut buffer = playing();
    let leap = header(packet(2).sequence, packet(2).timestamp.wrapping_add(8_000 * 60));
    assert_eq!(buffer.push(&leap, 160, Bytes::from_static(&[0, 0, 0, 9])), Arrival::Held);
    assert_eq!([0; 3].map(|_| pull(&mut buffer)), [Err("nothing"), Err("nothing"), Ok(9)]);
}

/// A sender that is so much faster than we are, over a network that delays by up to `jitter_ms` and loses none: what is heard in
/// the end.
fn run(drift: f64, jitter_ms: f64, packets: u32) -> (JitterBuffer, u32, u32) {
    let (mut buffer, mut random, mut audio, mut missed) = (buffer(), 12_345_u32, 0, 0);
    let mut arrivals: Vec<(f64, u32)> = (0..packets)
        .map(|n| {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let delay = f64::from(random >> 8) / f64::from(1 << 24) * jitter_ms;
            (f64::from(n) * 20.0 / drift + delay, n)
        })
        .collect();
    arrivals.sort_by(|one, other| one.0.total_cmp(&other.0));
    let mut arrivals = arrivals.into_iter().peekable();
    for tick in 0..packets {
        while let Some((_, n)) = arrivals.next_if(|(at, _)| *at <= f64::from(tick) * 20.0 + 3.0) {
            push(&mut buffer, n);
        }
        let taken = 1 + u32::from(buffer.has_surplus());
        for _ in 0..taken {
            match pull(&mut buffer) {
                Ok(_) => audio += 1,
                Err(_) => missed += 1,
            }
        }
        if taken == 2 {
            buffer.shortened();
        }
    }
    (buffer, audio, missed)
}

#[test]
fn the_delay_follows_the_jitter() {
    for (jitter_ms, most_ms, most_missed) in [(0.0, 60, 5), (15.0, 60, 10), (60.0, 120, 60), (100.0, 140, 150)] {
        let (buffer, audio, missed) = run(1.0, jitter_ms, 3_000);
        let counters = buffer.counters();
        assert!(
            buffer.delay_ms() <= most_ms && missed <= most_missed && audio > 2_800,
            "{jitter_ms} ms: {missed} {counters:?}"
        );
    }
}

#[test]
fn a_sender_with_another_clock_is_followed() {
    // 0.1 %: in a minute 60 ms, in ten minutes 600 ms.
    for drift in [0.999, 1.001] {
        let (buffer, audio, missed) = run(drift, 5.0, 30_000);
        assert!(buffer.delay_ms() <= 120, "{drift}: {} ms", buffer.delay_ms());
        assert!(
            audio > 29_700 && missed < 150,
            "{drift}: {audio} and {missed}, {:?}",
            buffer.counters()
        );
    }
}

proptest! {
    #[test]
    fn whatever_comes_the_bounds_hold(
        steps in proptest::collection::vec((any::<u16>(), any::<u32>(), 0_u32..3, 0_u32..3_000, 0_u8..8), 0..400),
        near in any::<bool>(),
    ) {
        let mut buffer = buffer();
        for (sequence, timestamp, ssrc, ticks, kind) in steps {
            let (sequence, timestamp) = if near { (sequence % 200, timestamp % 20_000) } else { (sequence, timestamp) };
            if kind < 6 {
                let header = Header { ssrc, ..header(sequence, timestamp) };
                buffer.push(&header, ticks, Bytes::new());
            } else {
                match buffer.pull() {
                    Next::Packet(packet) => prop_assert!(packet.ticks > 0),
                    Next::Lost { ticks } | Next::Nothing { ticks } => prop_assert!((1..=160).contains(&ticks)),
                }
            }
            prop_assert!(buffer.packets.len() <= CAPACITY);
            prop_assert!(buffer.packets.iter().zip(buffer.packets.iter().skip(1)).all(|(one, two)| one.timestamp != two.timestamp));
        }
    }

    #[test]
    fn packets_come_out_once_and_in_order(order in proptest::collection::vec((0_u32..8, any::<bool>(), 1_usize..3), 1..300)) {
        let mut buffer = buffer();
        let (mut sent, mut out) = (0_u32, Vec::new());
        for (back, pulls, copies) in order {
            for _ in 0..copies {
                push(&mut buffer, sent.saturating_sub(back));
            }
            sent += 1;
            if pulls {
                out.extend(pull(&mut buffer).ok());
            }
        }
        (0..200).for_each(|_| out.extend(pull(&mut buffer).ok()));
        prop_assert!(out.windows(2).all(|pair| pair[0] < pair[1]), "{:?}", out);
    }
}
