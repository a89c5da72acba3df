//! What mixing costs: one conference of N parties, all speaking G.711, each hearing all others.
//!
//! `cargo run --release -p tandem-media --example plane_conference -- [parties] [seconds]`
//!
//! Prints the cores that the pump threads used, in all and for each party, and what was lost.

use std::net::UdpSocket;
use std::thread;
use std::time::{Duration, Instant};

use tandem_media::codec::Codec;
use tandem_media::endpoint::{Direction, Format, PortSettings};
use tandem_media::g711;
use tandem_media::plane::{Plane, PlaneSettings, Source};

const SLOTS: usize = 10;
const FRAME: usize = 160;

fn main() {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<usize>().expect("a number"));
    let mut next = |default| arguments.next().unwrap_or(default);
    let (parties, secs) = (next(100), next(8));
    let plane = Plane::start(PlaneSettings::default(), |_| {}).expect("a plane");
    let ports: Vec<_> = (0..parties)
        .map(|party| plane.open(1, party as u64).expect("a port"))
        .collect();
    let mut sockets = Vec::new();
    for port in &ports {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        socket.connect(port.local).expect("a destination");
        socket.set_nonblocking(true).expect("a socket");
        plane.set(
            port.id,
            PortSettings {
                remote: socket.local_addr().ok(),
                remote_rtcp: None,
                rtcp_mux: false,
                codec: Codec::Pcmu,
                payload_type: 0,
                receives: vec![(0, Format::Audio(Codec::Pcmu)), (101, Format::Event { clock_hz: 8_000 })],
                telephone_event: None,
                direction: Direction::SendRecv,
                ptime_ms: 20,
            },
        );
        let others = ports.iter().filter(|other| other.id != port.id);
        plane.hear(port.id, others.map(|other| Source::Port(other.id)).collect());
        sockets.push(socket);
    }
    let (start, mut received, mut before) = (Instant::now(), 0_u64, None);
    for turn in 0_usize.. {
        let due = start + Duration::from_millis(20) / SLOTS as u32 * turn as u32;
        thread::sleep(due.saturating_duration_since(Instant::now()));
        if start.elapsed() > Duration::from_secs(secs as u64) {
            break;
        }
        if before.is_none() && start.elapsed() > Duration::from_secs(1) {
            before = Some((Instant::now(), plane.stats(), received));
        }
        for (party, socket) in sockets.iter().enumerate().skip(turn % SLOTS).step_by(SLOTS) {
            let mut packet = [0; 600];
            while socket.recv(&mut packet).is_ok() {
                received += 1;
            }
            // A frame that nothing could be sent in is lost, and counted as such by its absence.
            let _ = socket.send(&frame(party, turn / SLOTS));
        }
    }
    let (since, then, received_before) = before.expect("more than a second");
    let (stats, elapsed) = (plane.stats(), since.elapsed().as_secs_f64());
    let cores = (stats.cpu_us - then.cpu_us) as f64 / 1e6 / elapsed;
    println!(
        "parties {parties}: cores {cores:.3}, {:.4} % of a core for each party",
        100.0 * cores / parties as f64
    );
    println!(
        "received {} of {:.0}, late ticks {}",
        received - received_before,
        elapsed * 50.0 * parties as f64,
        stats.late_ticks - then.late_ticks
    );
    plane.stop();
}

/// A frame of a tone that is the party's own.
fn frame(party: usize, count: usize) -> [u8; 12 + FRAME] {
    let mut packet = [0; 12 + FRAME];
    let hertz = 200.0 + 17.0 * party as f64;
    packet[0] = 0x80;
    packet[2..4].copy_from_slice(&(count as u16).to_be_bytes());
    packet[4..8].copy_from_slice(&((count * FRAME) as u32).to_be_bytes());
    packet[8..12].copy_from_slice(&(party as u32 + 1).to_be_bytes());
    for (index, code) in packet[12..].iter_mut().enumerate() {
        let time = (count * FRAME + index) as f64 / 8_000.0;
        *code = g711::encode_mulaw((3_000.0 * (std::f64::consts::TAU * hertz * time).sin()) as i16);
    }
    packet
}
