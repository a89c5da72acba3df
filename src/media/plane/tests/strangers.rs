//! Packets that are not the device's.

use std::net::UdpSocket;

use super::*;
use crate::rtp::{self, Header};

fn stranger(bench: &Bench, ssrc: u32) -> impl FnMut(&Phone) {
    let socket = UdpSocket::bind((bench.plane.shared.settings.bind, 0)).unwrap();
    let mut header = Header {
        payload_type: 0,
        marker: false,
        sequence: 1,
        timestamp: 1,
        ssrc,
    };
    move |victim| {
        header.sequence += 1;
        header.timestamp += 160;
        socket.send_to(&rtp::packet(header, &[0; 160]), victim.port.local).unwrap();
    }
}

#[test]
fn a_stranger_is_neither_heard_nor_sent_anything() {
    for policy in [SymmetricRtp::Off, SymmetricRtp::LearnOnce, SymmetricRtp::Follow] {
        let bench = Bench::new(PlaneSettings {
            symmetric: policy,
            ..settings(20)
        });
        let [mut a, mut b] = bench.phones([Codec::Pcmu; 2]);
        bench.all_hear_all(&[&a, &b]);
        let mut inject = stranger(&bench, 0xbad);
        // It is there first.
        for _ in 0..3 {
            inject(&a);
        }
        talk(&mut [&mut a, &mut b], |phones| {
            inject(phones[0]);
            phones[1].heard.len() > 20
        });
        assert_eq!(
            b.heard
                .iter()
                .filter(|(_, payload)| payload.iter().all(|byte| *byte == 0))
                .count(),
            0
        );
        assert!(
            a.heard.len() > 10 && bench.plane.stats().dropped_stranger > 15,
            "{policy:?} {:?}",
            bench.plane.stats()
        );
        b.assert_seamless();
    }
}

#[test]
fn a_device_behind_another_port_is_learned_where_that_is_allowed() {
    let bench = Bench::at(21);
    let [mut a, mut b] = bench.phones([Codec::Pcmu; 2]);
    bench.all_hear_all(&[&a, &b]);
    a.socket = UdpSocket::bind((a.port.local.ip(), 0)).unwrap();
    talk(&mut [&mut a, &mut b], |phones| {
        phones[0].heard.len() > 3 && phones[1].heard.len() > 3
    });
}

#[test]
fn an_ssrc_that_is_injected_with_the_right_address_is_dropped() {
    let bench = Bench::at(22);
    let [mut a, mut b] = bench.phones([Codec::Pcmu; 2]);
    bench.all_hear_all(&[&a, &b]);
    talk(&mut [&mut a, &mut b], |phones| {
        let a = &mut phones[0];
        let injected = Header { ssrc: 9, ..a.header };
        a.socket.send_to(&rtp::packet(injected, &[0; 160]), a.port.local).unwrap();
        phones[1].heard.len() > 12
    });
    assert!(b.heard.iter().all(|(_, payload)| payload.iter().any(|byte| *byte != 0)));
}

#[test]
fn what_is_no_rtp_is_dropped_and_counted() {
    let bench = Bench::at(23);
    let [mut a, mut b] = bench.phones([Codec::Pcmu; 2]);
    bench.all_hear_all(&[&a, &b]);
    let stun = [0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];
    for junk in [
        &b"short"[..],
        &stun,
        &[0x16, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
        &[0x80; 2_000],
        &[],
    ] {
        a.socket.send_to(junk, a.port.local).unwrap();
    }
    let unknown = Header {
        payload_type: 77,
        ..a.header
    };
    a.socket.send_to(&rtp::packet(unknown, b"x"), a.port.local).unwrap();
    talk(&mut [&mut a, &mut b], |phones| phones[1].heard.len() > 5);
    let stats = bench.plane.stats();
    assert_eq!((stats.dropped_malformed, stats.dropped_unknown), (5, 1), "{stats:?}");
}

#[test]
fn a_flood_on_one_port_does_not_stop_the_others() {
    let bench = Bench::at(24);
    let [mut a, mut b, c] = bench.phones([Codec::Pcmu; 3]);
    bench.all_hear_all(&[&a, &b]);
    let mut flood = stranger(&bench, 1);
    talk(&mut [&mut a, &mut b], |phones| {
        for _ in 0..300 {
            flood(&c);
        }
        phones.iter().all(|phone| phone.heard.len() > 15)
    });
    a.assert_seamless();
    let stats = bench.plane.stats();
    assert!(stats.floods > 0 && stats.dropped_stranger < 3_000, "{stats:?}");
}
