//! A plane that is gone, and the next one; an owner that is gone, and the next one.

use super::*;
use crate::endpoint::PortSettings;

/// What is kept of a phone's port.
fn kept(phone: &Phone) -> PortRestore {
    PortRestore {
        local: phone.port.local,
        stream: phone.port.stream,
    }
}

/// The next plane has the phone's port.
fn again(bench: &Bench, phone: &mut Phone) {
    phone.port = bench.plane.reopen(1, 7, kept(phone)).unwrap();
    bench.plane.set(phone.port.id, phone.settings());
}

/// Twice 10 ms.
fn speak_in_halves(phone: &mut Phone) {
    let frame = [0xff; 160];
    for half in frame.chunks(80) {
        phone.send(half);
        phone.header.timestamp = phone.header.timestamp.wrapping_sub(80);
    }
}

/// The headers on both sides of the gap, which begins after so many.
fn seam(phone: &Phone, before: usize) -> (crate::rtp::Header, crate::rtp::Header) {
    let headers: Vec<_> = phone.heard.iter().map(|(header, _)| *header).collect();
    (headers[before - 1], headers[before])
}

#[test]
fn two_phones_in_talk_hear_each_other_again_through_the_next_plane() {
    let directory = tempfile::tempdir().unwrap();
    let settings = || PlaneSettings {
        marks: Some(directory.path().join("streams")),
        ..settings(80)
    };
    let bench = Bench::new(settings());
    let [mut a, mut b] = bench.phones([Codec::Pcmu; 2]);
    bench.all_hear_all(&[&a, &b]);
    (a.tone_hz, b.tone_hz) = (0.0, 0.0);
    // Packets of 10 ms, so that what the time lets expect is behind what was sent; until they are written down.
    let is_marked = || settings().marks.is_some_and(|path| path.exists());
    talk(&mut [&mut a, &mut b], |phones| {
        phones.iter_mut().for_each(|phone| speak_in_halves(phone));
        phones.iter().all(|phone| phone.heard.len() > 120) && is_marked()
    });
    (a.tone_hz, b.tone_hz) = (400.0, 400.0);
    let was = [a.port.local, b.port.local];
    bench.plane.stop();
    let began = Instant::now();
    let bench = Bench::new(settings());
    let before = [&mut a, &mut b].map(|phone| {
        phone.listen(Instant::now());
        again(&bench, phone);
        phone.heard.len()
    });
    bench.all_hear_all(&[&a, &b]);
    assert_eq!([a.port.local, b.port.local], was);
    talk(&mut [&mut a, &mut b], |phones| {
        phones
            .iter()
            .zip(before)
            .all(|(phone, before)| phone.heard.len() > before + 10)
    });
    println!("a gap of {:?}, the first frames included", began.elapsed());
    for (phone, before) in [(&a, before[0]), (&b, before[1])] {
        let (last, next) = seam(phone, before);
        assert_eq!(next.ssrc, last.ssrc);
        let (packets, ticks) = (
            next.sequence.wrapping_sub(last.sequence),
            next.timestamp.wrapping_sub(last.timestamp),
        );
        println!("{packets} packets and {ticks} ticks further");
        assert!((1..3_000).contains(&packets), "{last:?} {next:?}");
        assert!(ticks < 1 << 31 && next.marker, "{last:?} {next:?}");
        assert!(phone.share_of(400.0) > 0.9);
    }
}

#[test]
fn a_stream_is_resumed_without_a_file_and_again_from_there() {
    let (mut phone, mut sequence) = {
        let bench = Bench::at(81);
        let [phone] = bench.phones([Codec::Pcma]);
        let sequence = phone.port.stream.sequence;
        bench.plane.stop();
        (phone, sequence)
    };
    for _ in 0..3 {
        phone.listen(Instant::now());
        sequence = phone.heard.last().map_or(sequence, |(header, _)| header.sequence);
        let bench = Bench::at(81);
        again(&bench, &mut phone);
        bench.plane.hear(phone.port.id, vec![Source::Music(None)]);
        let heard = phone.heard.len();
        talk(&mut [&mut phone], |phones| phones[0].heard.len() > heard + 3);
        let (header, _) = phone.heard[heard];
        assert_eq!(header.ssrc, phone.port.stream.ssrc);
        assert!(
            (40..500).contains(&header.sequence.wrapping_sub(sequence)),
            "{header:?} after {sequence}"
        );
        bench.plane.stop();
    }
}

#[test]
fn a_device_behind_a_nat_is_known_to_the_next_plane() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("streams");
    let settings = || PlaneSettings {
        marks: Some(path.clone()),
        ..settings(82)
    };
    let described = |phone: &Phone| PortSettings {
        remote: Some((phone.address().ip(), 9).into()),
        ..phone.settings()
    };
    let bench = Bench::new(settings());
    let [mut a, mut b] = bench.phones([Codec::Pcmu; 2]);
    bench.plane.set(a.port.id, described(&a));
    bench.all_hear_all(&[&a, &b]);
    let mut heard = Instant::now();
    // It is written down a second after it was learned, and once more is enough.
    talk(&mut [&mut a, &mut b], |phones| {
        if phones[0].heard.is_empty() {
            heard = Instant::now();
        }
        heard.elapsed() > Duration::from_millis(2_300)
    });
    bench.plane.stop();
    let bench = Bench::new(settings());
    a.port = bench.plane.reopen(1, 7, kept(&a)).unwrap();
    bench.plane.set(a.port.id, described(&a));
    again(&bench, &mut b);
    bench.all_hear_all(&[&a, &b]);
    a.listen(Instant::now());
    a.tone_hz = 0.0;
    let before = a.heard.len();
    talk(&mut [&mut a, &mut b], |phones| phones[0].heard.len() > before + 3);
}

#[test]
fn a_port_that_is_not_to_be_had_is_told() {
    let bench = Bench::at(83);
    let [phone] = bench.phones([Codec::Pcmu]);
    let restore = kept(&phone);
    let at = |ip: [u8; 4], port: u16| PortRestore {
        local: (ip, port).into(),
        ..restore
    };
    for elsewhere in [
        at([127, 0, 9, 84], 30_000),
        at([127, 0, 9, 83], 30_200),
        at([127, 0, 9, 83], 30_001),
    ] {
        assert!(matches!(
            bench.plane.reopen(1, 7, elsewhere),
            Err(OpenError::Elsewhere { .. })
        ));
    }
    assert!(matches!(bench.plane.reopen(2, 7, restore), Err(OpenError::Taken { .. })));
    let free = if restore.local.port() == 30_000 { 30_002 } else { 30_000 };
    let _foreign = std::net::UdpSocket::bind(("127.0.9.83", free)).unwrap();
    assert!(matches!(
        bench.plane.reopen(1, 7, at([127, 0, 9, 83], free)),
        Err(OpenError::Taken { .. })
    ));
}

#[test]
fn a_port_whose_owner_is_gone_lives_on_for_the_next_one() {
    let bench = Bench::at(85);
    let [mut a, mut b] = bench.phones([Codec::Pcmu; 2]);
    bench.all_hear_all(&[&a, &b]);
    talk(&mut [&mut a, &mut b], |phones| {
        phones.iter().all(|phone| phone.heard.len() > 5)
    });
    let is_flowing = |kind: &PlaneEventKind| *kind == PlaneEventKind::Flowing;
    bench.expect(a.port.id, is_flowing);
    bench.plane.leave(a.port.id);
    let port = bench.plane.reopen(1, 8, kept(&a)).unwrap();
    assert_eq!(port, a.port);
    bench.expect(a.port.id, is_flowing);
    bench.plane.leave(b.port.id);
    bench.expect(b.port.id, |kind| matches!(kind, PlaneEventKind::Closed(_)));
    assert_eq!(bench.plane.open_ports(), 1, "who was taken over stays");
    talk(&mut [&mut a], |_| true);
    a.assert_seamless();
}
