//! What relaying costs: N calls of two ports, G.711 both ways at 50 packets a second, made and counted by this program itself.
//!
//! `cargo run --release -p tandem-media --example plane_relay -- [calls] [seconds] [threads] [pace in us] [1 for real-time priority]`
//!
//! Prints the cores that the pump threads used, what each packet cost them, what was lost, and how late packets came back: from before the
//! send call to after the receive call of a thread that waits for it, both wake-ups included.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tandem_media::codec::Codec;
use tandem_media::endpoint::{Direction, EventFormat, Format, PortSettings};
use tandem_media::plane::{Plane, PlaneSettings, Priority, Source};

const PACKET: usize = 172;
const SLOTS: usize = 10;
const WATCHED: usize = 8;

struct Leg {
    socket: Arc<UdpSocket>,
    packet: [u8; PACKET],
    sequence: u16,
}

fn main() {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<u64>().expect("a number"));
    let mut next = |default| arguments.next().unwrap_or(default);
    let (calls, secs, threads, pace_us, realtime) = (next(1_200), next(10), next(1), next(1_000), next(0));
    let settings = PlaneSettings {
        threads: threads as usize,
        priority: if realtime == 1 { Priority::Realtime } else { Priority::Normal },
        pace: Duration::from_micros(pace_us),
        ..PlaneSettings::default()
    };
    let plane = Plane::start(settings, |_| {}).expect("a plane");
    let legs = connect(&plane, calls);
    let (received, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let start = Instant::now();
    let watchers: Vec<_> = legs
        .iter()
        .take(WATCHED)
        .map(|leg| watch(leg, start, &received, &stop))
        .collect();
    let drained: Vec<_> = legs.iter().skip(WATCHED).map(|leg| leg.socket.clone()).collect();
    let drain = drain(drained, &received, &stop);
    let (sent, cores) = send(legs, start, Duration::from_secs(secs), &plane);
    thread::sleep(Duration::from_millis(300));
    stop.store(true, Ordering::Relaxed);
    drain.join().expect("the drain");
    let mut late: Vec<u64> = watchers
        .into_iter()
        .flat_map(|watcher| watcher.join().expect("a watcher"))
        .collect();
    late.sort_unstable();
    let at = |share: f64| late.get((late.len() as f64 * share) as usize).copied().unwrap_or(0);
    let received = received.load(Ordering::Relaxed);
    println!(
        "calls {calls} threads {threads} pace_us {pace_us} realtime {realtime}: sent {sent} received {received} lost {}",
        sent as i64 - received as i64
    );
    println!(
        "cores {cores:.3}  late_us p50 {} p99 {} max {}",
        at(0.5),
        at(0.99),
        late.last().unwrap_or(&0)
    );
    let stats = plane.stats();
    println!(
        "{:.2} us of CPU for each packet relayed",
        stats.cpu_us as f64 / stats.relayed.max(1) as f64
    );
    println!("{stats:?}");
    plane.stop();
}

fn connect(plane: &Plane, calls: u64) -> Vec<Leg> {
    let mut legs = Vec::new();
    for call in 0..calls {
        let ports = [0, 1].map(|side| plane.open(call, side).expect("a port"));
        for (side, port) in ports.iter().enumerate() {
            let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
            socket.connect(port.local).expect("a destination");
            plane.set(port.id, negotiated(socket.local_addr().expect("an address")));
            plane.hear(port.id, vec![Source::Port(ports[1 - side].id)]);
            let mut packet = [0xff; PACKET];
            packet[..12].fill(0);
            packet[0] = 0x80;
            packet[8..12].copy_from_slice(&(legs.len() as u32).to_be_bytes());
            legs.push(Leg {
                socket: Arc::new(socket),
                packet,
                sequence: 0,
            });
        }
    }
    legs
}

fn negotiated(remote: SocketAddr) -> PortSettings {
    PortSettings {
        remote: Some(remote),
        remote_rtcp: None,
        rtcp_mux: false,
        codec: Codec::Pcmu,
        payload_type: 0,
        // As nearly every phone. In a stream without events keys are looked for as tones, which costs 0.6 us a packet.
        receives: vec![(0, Format::Audio(Codec::Pcmu)), (101, Format::Event { clock_hz: 8_000 })],
        telephone_event: Some(EventFormat {
            payload_type: 101,
            clock_hz: 8_000,
        }),
        direction: Direction::SendRecv,
        ptime_ms: 20,
    }
}

fn send(mut legs: Vec<Leg>, start: Instant, time: Duration, plane: &Plane) -> (u64, f64) {
    let (mut sent, mut first) = (0, None);
    let slot_time = Duration::from_millis(20) / SLOTS as u32;
    for turn in 0_u32.. {
        let due = start + slot_time * turn;
        thread::sleep(due.saturating_duration_since(Instant::now()));
        if start.elapsed() > time {
            break;
        }
        if first.is_none() && start.elapsed() > Duration::from_secs(1) {
            first = Some((Instant::now(), plane.stats().cpu_us));
        }
        for leg in legs.iter_mut().skip(turn as usize % SLOTS).step_by(SLOTS) {
            leg.sequence = leg.sequence.wrapping_add(1);
            leg.packet[2..4].copy_from_slice(&leg.sequence.to_be_bytes());
            leg.packet[4..8].copy_from_slice(&(u32::from(leg.sequence) * 160).to_be_bytes());
            leg.packet[12..20].copy_from_slice(&(start.elapsed().as_micros() as u64).to_be_bytes());
            sent += u64::from(leg.socket.send(&leg.packet).is_ok());
        }
    }
    let (since, before) = first.expect("more than a second");
    let cores = (plane.stats().cpu_us - before) as f64 / 1e6 / since.elapsed().as_secs_f64();
    (sent, cores)
}

fn watch(leg: &Leg, start: Instant, received: &Arc<AtomicU64>, stop: &Arc<AtomicBool>) -> thread::JoinHandle<Vec<u64>> {
    let (socket, received, stop) = (leg.socket.clone(), received.clone(), stop.clone());
    socket.set_read_timeout(Some(Duration::from_millis(100))).expect("a timeout");
    thread::spawn(move || {
        let (mut packet, mut late) = ([0; 256], Vec::new());
        while !stop.load(Ordering::Relaxed) {
            if socket.recv(&mut packet).is_ok() {
                let now = start.elapsed().as_micros() as u64;
                let then = packet[12..20].iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
                received.fetch_add(1, Ordering::Relaxed);
                late.push(now.saturating_sub(then));
            }
        }
        late
    })
}

fn drain(sockets: Vec<Arc<UdpSocket>>, received: &Arc<AtomicU64>, stop: &Arc<AtomicBool>) -> thread::JoinHandle<()> {
    let (received, stop) = (received.clone(), stop.clone());
    for socket in &sockets {
        socket.set_nonblocking(true).expect("a socket");
    }
    thread::spawn(move || {
        let mut packet = [0; 256];
        loop {
            let last = stop.load(Ordering::Relaxed);
            for socket in &sockets {
                while socket.recv(&mut packet).is_ok() {
                    received.fetch_add(1, Ordering::Relaxed);
                }
            }
            if last {
                return;
            }
            thread::sleep(Duration::from_millis(100));
        }
    })
}
