//! RTCP of a port: reports that come, reports that go, and what is known of a port at its end.

use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::time::{SystemTime, UNIX_EPOCH};

use rand::Rng;
use socket2::SockAddr;

use super::event::PortReport;
use super::floor::{Floor, Now};
use super::kernel::{self, Batch};
use super::latch::Latch;
use super::line::{Line, Slot};
use crate::rtcp::{self, Packet, Reception, ReportBlock, Transmission};

/// What a listener's own jitter buffer may add to the delay, for the estimate of quality, in milliseconds.
const BUFFERED_MS: f32 = 60.0;

/// What a port knows by RTCP and needs for it.
pub(super) struct Control {
    pub(super) reception: Reception,
    pub(super) clock_hz: u32,
    pub(super) transmission: Transmission,
    /// Where the device's RTCP came from last.
    learned: Option<SocketAddr>,
    due_us: Option<u64>,
    lost_out: Option<u64>,
    round_trip_ms: Option<u32>,
}

impl Control {
    pub(super) fn new() -> Self {
        let clock_hz = 8_000;
        Self {
            reception: Reception::new(clock_hz),
            clock_hz,
            transmission: Transmission::default(),
            learned: None,
            due_us: None,
            lost_out: None,
            round_trip_ms: None,
        }
    }

    /// The clock of the codec from now on.
    pub(super) fn run_at(&mut self, clock_hz: u32) {
        if self.clock_hz != clock_hz {
            self.clock_hz = clock_hz;
            self.reception = Reception::new(clock_hz);
        }
    }

    fn heard_of_us(&mut self, block: &ReportBlock, arrived_ntp: u64) {
        self.lost_out = Some(u64::try_from(block.lost).unwrap_or(0));
        self.round_trip_ms = rtcp::round_trip_ms(block, arrived_ntp).or(self.round_trip_ms);
    }
}

impl Floor {
    /// Reads what came to a port's RTCP socket.
    pub(super) fn read_control(&mut self, batch: &mut Batch, slot: Slot, now: Now) {
        let Some(mut line) = self.lines.get_mut(slot).and_then(Option::take) else {
            return;
        };
        self.serving = Some((line.id, line.owner));
        // What does not fit into one batch is dropped by the kernel, sooner or later: a device sends one packet in seconds.
        if batch.receive(line.lease.rtcp.as_fd()).is_ok() {
            for received in batch.iter() {
                if let Some(from) = received.peer.filter(|_| !received.truncated) {
                    self.control(&mut line, from, received.bytes, now);
                }
            }
        }
        if let Some(entry) = self.lines.get_mut(slot) {
            *entry = Some(line);
        }
        self.serving = None;
    }

    /// A packet of RTCP. It has to come from the device's address; its port may be any.
    pub(super) fn control(&mut self, line: &mut Line, from: SocketAddr, bytes: &[u8], now: Now) {
        if !line.latch.as_ref().is_some_and(|latch| latch.knows(from.ip())) {
            self.counters.dropped_stranger += 1;
            return;
        }
        let Ok(packets) = rtcp::parse(bytes) else {
            self.counters.dropped_malformed += 1;
            return;
        };
        self.counters.rtcp_in += 1;
        line.control.learned = Some(from);
        let (own, arrived) = (line.stamper.ssrc(), ntp_now());
        for packet in packets {
            let blocks = match packet {
                Packet::SenderReport { ssrc, info, blocks } => {
                    line.control.reception.sender_report(ssrc, &info, now.us);
                    blocks
                }
                Packet::ReceiverReport { blocks, .. } => blocks,
                _ => continue,
            };
            for block in blocks.iter().filter(|block| block.ssrc == own) {
                line.control.heard_of_us(block, arrived);
            }
        }
    }

    /// Sends a port's report where it is time.
    pub(super) fn report(&mut self, slot: Slot, now: Now) {
        let every_us = self.settings.rtcp_every.as_micros() as u64;
        // RFC 3550 s.6.3.1: between half and one and a half of the interval, half of it at first.
        let next = now.us + self.random.random_range(every_us / 2..=every_us + every_us / 2);
        let Some(line) = self.line(slot).filter(|line| line.latch.is_some()) else {
            return;
        };
        match line.control.due_us {
            None => line.control.due_us = Some(now.us + (next - now.us) / 2),
            Some(due) if due <= now.us => {
                line.control.due_us = Some(next);
                self.send_report(slot, false, now);
            }
            Some(_) => {}
        }
    }

    /// Sends a report now; with a BYE, the last one.
    pub(super) fn send_report(&mut self, slot: Slot, bye: bool, now: Now) {
        let name = self.settings.cname.clone();
        let Some(line) = self.line(slot) else { return };
        let Some(to) = line.control_address() else { return };
        let timestamp = line.stamper.timestamp_at(now.us);
        let sender = line.control.transmission.info(ntp_now(), timestamp);
        let block = line.control.reception.block(now.us);
        let packet = rtcp::compound(line.stamper.ssrc(), sender, block.as_slice(), &name, bye);
        let shared = line.settings.as_ref().is_some_and(|settings| settings.rtcp_mux);
        let socket = if shared { &line.lease.rtp } else { &line.lease.rtcp };
        match kernel::send(socket.as_fd(), &to, &packet) {
            Ok(()) => self.counters.rtcp_out += 1,
            Err(_) => self.counters.send_errors += 1,
        }
    }
}

impl Line {
    /// Where the device wants RTCP: the address that its own came from, else the one that it told.
    fn control_address(&self) -> Option<SockAddr> {
        let settings = self.settings.as_ref()?;
        if settings.rtcp_mux {
            return self.to.clone();
        }
        let told = settings.remote_rtcp?;
        let known = |learned: &SocketAddr| self.latch.as_ref().is_some_and(|latch: &Latch| latch.knows(learned.ip()));
        Some(SockAddr::from(self.control.learned.filter(known).unwrap_or(told)))
    }

    /// What is left of it.
    pub(super) fn report(&self) -> PortReport {
        let control = &self.control;
        let codec = self.heard.map(|(codec, _)| codec);
        let way_ms = control.round_trip_ms.unwrap_or(0) as f32 / 2.0 + BUFFERED_MS;
        let mos = codec.map(|codec| f64::from(rtcp::estimate(codec, way_ms, control.reception.loss()).mos));
        PortReport {
            lost_in: control.reception.lost(),
            jitter_ms: f64::from(control.reception.jitter_ms()),
            lost_out: control.lost_out,
            round_trip_ms: control.round_trip_ms.map(f64::from),
            mos,
            ..self.report
        }
    }
}

fn ntp_now() -> u64 {
    rtcp::ntp(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}
