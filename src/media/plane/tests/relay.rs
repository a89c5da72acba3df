//! One device heard alone: its packets go on as they come.

use super::phone::EVENT;
use super::*;

#[test]
fn two_phones_of_one_codec_get_each_others_packets_untouched() {
    let bench = Bench::at(1);
    let [mut a, mut b] = bench.phones([Codec::Pcmu; 2]);
    bench.all_hear_all(&[&a, &b]);
    talk(&mut [&mut a, &mut b], |phones| {
        phones.iter().all(|phone| phone.heard.len() > 15)
    });
    for (phone, other) in [(&a, &b), (&b, &a)] {
        phone.assert_seamless();
        assert!(phone.heard.iter().all(|(header, _)| header.ssrc != other.header.ssrc));
        assert!(phone.share_of(400.0) > 0.9);
    }
    let stats = bench.plane.stats();
    assert!(stats.relayed >= 30 && stats.frames == 0, "{stats:?}");
    bench.expect(a.port.id, |kind| *kind == PlaneEventKind::Flowing);
}

#[test]
fn a_stream_goes_on_without_a_seam_when_its_source_changes() {
    let bench = Bench::at(2);
    let [mut a, mut b, mut c] = bench.phones([Codec::Pcmu; 3]);
    (b.tone_hz, c.tone_hz) = (500.0, 900.0);
    bench.plane.hear(a.port.id, vec![Source::Port(b.port.id)]);
    talk(&mut [&mut a, &mut b, &mut c], |phones| phones[0].share_of(500.0) > 0.9);
    bench.plane.hear(a.port.id, vec![Source::Port(c.port.id)]);
    talk(&mut [&mut a, &mut b, &mut c], |phones| phones[0].share_of(900.0) > 0.9);
    bench
        .plane
        .hear(a.port.id, vec![Source::Port(b.port.id), Source::Port(c.port.id)]);
    talk(&mut [&mut a, &mut b, &mut c], |phones| {
        phones[0].share_of(900.0) > 0.4 && phones[0].share_of(500.0) > 0.4
    });
    bench.plane.hear(a.port.id, vec![Source::Port(b.port.id)]);
    talk(&mut [&mut a, &mut b, &mut c], |phones| phones[0].share_of(500.0) > 0.9);
    a.assert_seamless();
    let markers = a.heard.iter().filter(|(header, _)| header.marker).count();
    assert!(markers >= 4, "{markers}");
}

#[test]
fn events_are_relayed_and_told() {
    let bench = Bench::at(3);
    let [mut a, mut b] = bench.phones([Codec::Pcma; 2]);
    bench.all_hear_all(&[&a, &b]);
    talk(&mut [&mut a, &mut b], |phones| phones[1].heard.len() > 3);
    let stamp = a.header.timestamp;
    a.header.payload_type = EVENT;
    for duration in 1..4_u8 {
        a.header.timestamp = stamp;
        a.send(&[11, 10, duration, 0]);
    }
    let told = bench.expect(a.port.id, |kind| matches!(kind, PlaneEventKind::Digit(_)));
    assert_eq!(told, PlaneEventKind::Digit('#'));
    a.header.payload_type = phone::payload_type(a.codec);
    let events = |phone: &Phone| phone.heard.iter().filter(|(header, _)| header.payload_type == EVENT).count();
    talk(&mut [&mut a, &mut b], |phones| {
        events(phones[1]) == 3 && phones[1].heard.len() > 12
    });
    b.assert_seamless();
    assert_eq!(bench.plane.stats().digits_in, 1);
}

#[test]
fn a_device_on_hold_is_sent_nothing_and_not_heard() {
    let bench = Bench::at(4);
    let [mut a, mut b] = bench.phones([Codec::Pcmu; 2]);
    bench.all_hear_all(&[&a, &b]);
    talk(&mut [&mut a, &mut b], |phones| {
        phones.iter().all(|phone| phone.heard.len() > 3)
    });
    let held = crate::endpoint::PortSettings {
        direction: crate::endpoint::Direction::Inactive,
        ..a.settings()
    };
    bench.plane.set(a.port.id, held);
    let refused = |bench: &Bench| bench.plane.stats().dropped_no_destination;
    talk(&mut [&mut a, &mut b], |_| refused(&bench) > 10);
    a.heard.clear();
    b.heard.clear();
    let before = refused(&bench);
    talk(&mut [&mut a, &mut b], |_| refused(&bench) > before + 10);
    assert_eq!((a.heard.len(), b.heard.len()), (0, 0));
    bench.plane.set(a.port.id, a.settings());
    talk(&mut [&mut a, &mut b], |phones| {
        phones.iter().all(|phone| phone.heard.len() > 3)
    });
}

#[test]
fn a_port_moves_to_another_session_and_its_stream_goes_on() {
    let bench = Bench::at(5);
    let [mut a, b] = bench.phones([Codec::Pcmu; 2]);
    bench.all_hear_all(&[&a, &b]);
    // Some of these sessions are on the other thread.
    for session in 2..6 {
        let mut c = Phone::new(&bench.plane, Codec::Pcmu, session);
        c.tone_hz = 400.0 + 100.0 * session as f64;
        let tone_hz = c.tone_hz;
        bench.plane.rehome(a.port.id, session, 7);
        bench.all_hear_all(&[&a, &c]);
        talk(&mut [&mut a, &mut c], |phones| {
            phones[0].share_of(tone_hz) > 0.9 && phones[1].share_of(400.0) > 0.9
        });
    }
    a.assert_seamless();
}

#[test]
fn silence_is_told_and_so_is_its_end() {
    let bench = Bench::new(PlaneSettings {
        stall_after: Duration::from_millis(200),
        keep_open_every: Duration::from_millis(100),
        ..settings(6)
    });
    let [mut a, mut b] = bench.phones([Codec::Pcmu; 2]);
    bench.all_hear_all(&[&a, &b]);
    bench.expect(a.port.id, |kind| *kind == PlaneEventKind::Stalled);
    b.tone_hz = 0.0;
    talk(&mut [&mut a, &mut b], |phones| {
        !phones[1].heard.is_empty() && phones[0].heard.len() > 2
    });
    bench.expect(a.port.id, |kind| *kind == PlaneEventKind::Flowing);
    // What keeps the way open is silence.
    assert!(a.last_samples(2).iter().all(|sample| sample.abs() < 16));
}

#[test]
fn a_closed_port_reports_and_gives_its_place_back() {
    let bench = Bench::at(7);
    let [mut a, mut b] = bench.phones([Codec::Pcmu; 2]);
    bench.all_hear_all(&[&a, &b]);
    talk(&mut [&mut a, &mut b], |phones| phones[0].heard.len() > 8);
    bench.plane.close(a.port.id);
    let PlaneEventKind::Closed(report) = bench.expect(a.port.id, |kind| matches!(kind, PlaneEventKind::Closed(_))) else {
        unreachable!();
    };
    assert!(
        report.packets_in > 5 && report.packets_out > 5 && report.octets_in == 160 * report.packets_in,
        "{report:?}"
    );
    assert_eq!(bench.plane.open_ports(), 1);
    bench.plane.hear(a.port.id, vec![Source::Port(b.port.id)]);
    bench.plane.close(b.port.id);
    bench.expect(b.port.id, |kind| matches!(kind, PlaneEventKind::Closed(_)));
    assert_eq!(bench.plane.open_ports(), 0);
}

#[test]
fn a_crash_costs_the_port_that_caused_it_and_no_other() {
    let bench = Bench::at(8);
    let [mut a, mut b, c] = bench.phones([Codec::Pcmu; 3]);
    bench.all_hear_all(&[&a, &b]);
    bench.plane.hear(c.port.id, vec![Source::Port(a.port.id)]);
    talk(&mut [&mut a, &mut b], |phones| phones[0].heard.len() > 3);
    bench.plane.crash(c.port.id);
    assert_eq!(bench.expect(c.port.id, |_| true), PlaneEventKind::Lost);
    let heard = a.heard.len();
    talk(&mut [&mut a, &mut b], |phones| phones[0].heard.len() > heard + 5);
    assert_eq!((bench.plane.stats().crashes, bench.plane.open_ports()), (1, 2));
}

#[test]
fn a_range_that_is_used_up_and_a_plane_that_is_stopped_say_so() {
    let bench = Bench::new(PlaneSettings {
        ports: 30_200..=30_203,
        ..settings(9)
    });
    let ports = [1, 2].map(|session| bench.plane.open(session, 0).unwrap());
    assert!(ports.iter().all(|port| port.local.port() % 2 == 0));
    assert!(matches!(bench.plane.open(3, 0), Err(OpenError::NoPort)));
    bench.plane.stop();
    assert!(matches!(bench.plane.open(4, 0), Err(OpenError::Stopped)));
}

#[test]
fn a_header_extension_is_left_out_and_does_not_make_the_packet_longer() {
    let bench = Bench::at(10);
    let [mut a, mut b] = bench.phones([Codec::Pcmu; 2]);
    bench.all_hear_all(&[&a, &b]);
    a.tone_hz = 0.0;
    talk(&mut [&mut a, &mut b], |phones| {
        let a = &mut phones[0];
        let payload = a.frame();
        let mut packet = crate::rtp::packet(a.header, &payload).to_vec();
        packet[0] |= 0x10;
        packet.splice(12..12, [0xbe, 0xde, 0, 1, 0x10, 0x7f, 0, 0]);
        a.socket.send_to(&packet, a.port.local).unwrap();
        a.header.sequence += 1;
        a.header.timestamp += 160;
        phones[1].heard.len() > 10
    });
    assert!(b.heard.iter().all(|(_, payload)| payload.len() == 160));
    assert_eq!(bench.plane.stats().frames, 0);
}
