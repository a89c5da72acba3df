//! RTCP.

use std::net::UdpSocket;

use super::*;
use crate::endpoint::PortSettings;
use crate::rtcp::{self, Packet, ReportBlock};

fn next(socket: &UdpSocket) -> Vec<Packet> {
    let mut packet = [0; 1_500];
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let length = socket.recv(&mut packet).expect("a report");
    rtcp::parse(&packet[..length]).unwrap()
}

fn quick(last: u8) -> Bench {
    Bench::new(PlaneSettings {
        rtcp_every: Duration::from_millis(150),
        ..settings(last)
    })
}

#[test]
fn reports_go_out_and_come_in_and_the_end_is_a_bye() {
    let bench = quick(60);
    let [mut a, mut b] = bench.phones([Codec::Pcmu; 2]);
    bench.all_hear_all(&[&a, &b]);
    let control = UdpSocket::bind((a.port.local.ip(), 0)).unwrap();
    let described = PortSettings {
        remote_rtcp: Some(control.local_addr().unwrap()),
        ..a.settings()
    };
    bench.plane.set(a.port.id, described);
    talk(&mut [&mut a, &mut b], |phones| phones[0].heard.len() > 20);
    let found = next(&control).into_iter().find_map(|packet| match packet {
        Packet::SenderReport { ssrc, info, blocks } => Some((ssrc, info, blocks)),
        _ => None,
    });
    let (ssrc, info, blocks) = found.expect("a sender report");
    assert_eq!((ssrc, blocks[0].ssrc), (a.heard[0].0.ssrc, a.header.ssrc));
    assert!(info.packets > 0 && info.octets == 160 * info.packets);
    let heard = ReportBlock {
        ssrc,
        lost: 5,
        last_sender_report: rtcp::middle(info.ntp),
        ..ReportBlock::default()
    };
    let report = rtcp::compound(a.header.ssrc, None, &[heard], "phone", false);
    let to = (a.port.local.ip(), a.port.local.port() + 1);
    UdpSocket::bind("127.0.0.77:0").unwrap().send_to(&report, to).unwrap();
    control.send_to(&report, to).unwrap();
    control.send_to(b"junk", to).unwrap();
    talk(&mut [&mut a, &mut b], |_| {
        let stats = bench.plane.stats();
        stats.rtcp_in == 1 && stats.dropped_malformed == 1 && stats.dropped_stranger == 1
    });
    bench.plane.close(a.port.id);
    let PlaneEventKind::Closed(report) = bench.expect(a.port.id, |kind| matches!(kind, PlaneEventKind::Closed(_))) else {
        unreachable!();
    };
    assert!(
        report.round_trip_ms.is_some() && report.lost_out == Some(5) && report.lost_in == 0,
        "{report:?}"
    );
    assert!(report.mos.is_some_and(|mos| mos > 4.0), "{report:?}");
    let last = std::iter::repeat_with(|| next(&control))
        .take(50)
        .any(|packets| packets.iter().any(|packet| matches!(packet, Packet::Bye { .. })));
    assert!(last);
}

#[test]
fn reports_share_the_port_of_rtp_where_that_was_agreed() {
    let bench = quick(61);
    let [mut a, b] = bench.phones([Codec::Pcmu; 2]);
    bench.plane.set(
        a.port.id,
        PortSettings {
            rtcp_mux: true,
            ..a.settings()
        },
    );
    bench.all_hear_all(&[&a, &b]);
    let report = rtcp::compound(a.header.ssrc, None, &[], "phone", false);
    a.speak();
    a.socket.send_to(&report, a.port.local).unwrap();
    let mut packet = [0; 1_500];
    a.socket.set_read_timeout(Some(PATIENCE)).unwrap();
    while !a
        .socket
        .recv(&mut packet)
        .is_ok_and(|length| rtcp::is_rtcp(&packet[..length]))
    {}
    assert_eq!(bench.plane.stats().rtcp_in, 1);
}
