//! A packet that came: whose it is, what it is, and where it goes at once.

use std::os::fd::AsFd;

use bytes::{Bytes, BytesMut};
use socket2::SockAddr;

use super::event::PlaneEventKind;
use super::floor::{Floor, Now};
use super::kernel::{self, BATCH, Batch, Received};
use super::latch::Verdict;
use super::line::{Line, Route, Slot};
use super::pump::TICK_US;
use super::stamp::{Incoming, Stamp};
use super::tick::sent;
use crate::codec::Codec;
use crate::endpoint::Format;
use crate::rate::Rate;
use crate::{g711, rtcp, rtp};

/// Bytes of memory taken at once for packets that are kept.
const ARENA: usize = 64 * 1_024;
/// Packets of one socket that are taken within 20 ms. A device sends one or two; many times as many is a burst after a hiccup, or a flood.
const FLOOD: u32 = 64;

impl Floor {
    /// Takes what one RTP socket holds, up to a batch. `true` where it may hold more.
    pub(super) fn read(&mut self, batch: &mut Batch, slot: Slot, now: Now) -> bool {
        let Some(mut line) = self.lines.get_mut(slot).and_then(Option::take) else {
            return false;
        };
        let window = now.us / TICK_US;
        if line.window != window {
            (line.window, line.taken) = (window, 0);
        }
        if line.taken >= FLOOD {
            self.counters.floods += 1;
            self.flooded.push(slot);
            if let Some(entry) = self.lines.get_mut(slot) {
                *entry = Some(line);
            }
            return false;
        }
        self.serving = Some((line.id, line.owner));
        let count = batch.receive(line.lease.rtp.as_fd()).unwrap_or(0);
        for received in batch.iter() {
            line.taken += 1;
            self.packet(&mut line, received, now);
        }
        if let Some(entry) = self.lines.get_mut(slot) {
            *entry = Some(line);
        }
        self.serving = None;
        count == BATCH
    }

    fn packet(&mut self, line: &mut Line, received: Received<'_>, now: Now) {
        let counters = &mut self.counters;
        counters.packets_in += 1;
        counters.bytes_in += received.bytes.len() as u64;
        let bytes = received.bytes;
        let shared = line.settings.as_ref().is_some_and(|settings| settings.rtcp_mux);
        if shared
            && rtcp::is_rtcp(bytes)
            && let Some(from) = received.peer
        {
            return self.control(line, from, bytes, now);
        }
        let (Some(from), false, Some(header)) = (received.peer, received.truncated, Header::read(bytes)) else {
            counters.dropped_malformed += 1;
            return;
        };
        let meaning = line.meaning(header.payload_type);
        let (Some(latch), Some(meaning)) = (&mut line.latch, meaning) else {
            counters.dropped_unknown += 1;
            return;
        };
        match latch.judge(from, header.ssrc, header.sequence, now.us) {
            Verdict::Accept => {}
            Verdict::Moved => line.to = line.to.is_some().then(|| SockAddr::from(from)),
            Verdict::Refuse => {
                counters.dropped_stranger += 1;
                return;
            }
        }
        if !line.may_speak() {
            counters.dropped_no_destination += 1;
            return;
        }
        line.heard_us = now.us;
        if !line.flowing {
            line.flowing = true;
            line.stall_told = false;
            self.tell(line.id, line.owner, PlaneEventKind::Flowing);
        }
        line.report.packets_in += 1;
        line.report.octets_in += (bytes.len() - rtp::HEADER_LEN) as u64;
        let is_audio = matches!(meaning, Format::Audio(_));
        line.control.reception.received(&header.plain(), now.us, is_audio);
        match meaning {
            Format::Audio(codec) => self.audio(line, codec, header, bytes, now),
            Format::Event { clock_hz } => self.event(line, clock_hz, header, bytes, now),
        }
    }

    fn audio(&mut self, line: &mut Line, codec: Codec, header: Header, bytes: &mut [u8], now: Now) {
        let length = match rtp::parse(bytes) {
            Ok((_, payload)) if !payload.is_empty() => payload.len(),
            _ => {
                self.counters.dropped_malformed += 1;
                return;
            }
        };
        let ms = match codec {
            Codec::Opus => 20,
            _ => length as u32 / 8,
        };
        if line.heard != Some((codec, ms)) {
            line.heard = Some((codec, ms));
            self.changed.push(line.id);
        }
        let in_band = matches!(codec, Codec::Pcmu | Codec::Pcma) && !line.sends_events();
        if in_band && let Some(key) = self.listen_for_keys(line, codec, bytes) {
            self.digit(line, key);
        }
        if let Some(receiver) = &mut line.receiver
            && let Ok((header, payload)) = rtp::parse(bytes)
        {
            let payload = keep(&mut self.arena, payload);
            receiver.push(&header, payload);
        }
        if line.relays.is_empty() && !line.decoded {
            self.counters.dropped_no_destination += 1;
        }
        for listener in 0..line.relays.len() {
            if let Some(listener) = line.relays.get(listener).copied() {
                self.relay(line.id.0, listener, Format::Audio(codec), header, bytes, now);
            }
        }
    }

    /// The key that is pressed in a packet of a device that has no events. Of G.711 alone: to decode others for that would cost too much.
    fn listen_for_keys(&mut self, line: &mut Line, codec: Codec, bytes: &[u8]) -> Option<char> {
        let (_, payload) = rtp::parse(bytes).ok()?;
        let decode = if codec == Codec::Pcma {
            g711::decode_alaw
        } else {
            g711::decode_mulaw
        };
        self.samples.clear();
        self.samples.extend(payload.iter().map(|code| decode(*code)));
        line.pressed.tone(Rate::Narrow, &self.samples)
    }

    /// A packet of a telephone event (RFC 4733 s.2.3): the first one of each event is the digit.
    fn event(&mut self, line: &mut Line, clock_hz: u32, header: Header, bytes: &mut [u8], now: Now) {
        let Ok((parsed, payload)) = rtp::parse(bytes) else {
            self.counters.dropped_malformed += 1;
            return;
        };
        let key = line.pressed.event(header.ssrc, header.timestamp, payload);
        if let Some(receiver) = &mut line.receiver {
            receiver.pass_over(&parsed);
        }
        for listener in line.relays.clone() {
            let takes = |line: &Line| {
                let event = line.settings.as_ref().and_then(|settings| settings.telephone_event);
                event.is_some_and(|event| event.clock_hz == clock_hz)
            };
            let taken = self.line(listener).is_some_and(|listener| takes(listener));
            if taken {
                self.relay(line.id.0, listener, Format::Event { clock_hz }, header, bytes, now);
            } else if let Some(key) = key {
                self.repeated.push((listener, key));
            }
        }
        if let Some(key) = key {
            self.digit(line, key);
            self.repeat(line, key);
        }
    }

    /// The device pressed a key.
    fn digit(&mut self, line: &Line, key: char) {
        self.counters.digits_in += 1;
        self.tell(line.id, line.owner, PlaneEventKind::Digit(key));
    }

    /// Who hears this device alone, but not its packets as they are, has the key made again.
    fn repeat(&mut self, line: &Line, key: char) {
        for hearer in self.hearers.get(&line.id).into_iter().flatten() {
            let Some(slot) = self.slots.get(hearer).copied() else {
                continue;
            };
            let alone = |hearer: &Line| hearer.route == Route::Made && hearer.hears.len() == 1;
            if self.peek(slot).is_some_and(alone) {
                self.repeated.push((slot, key));
            }
        }
    }

    /// Sends the packet on, as one of the listener's own stream.
    fn relay(&mut self, source: u64, listener: Slot, format: Format, header: Header, bytes: &mut [u8], now: Now) {
        let Some(line) = self.lines.get_mut(listener).and_then(Option::as_deref_mut) else {
            return;
        };
        let (Some(settings), Some(to)) = (&line.settings, &line.to) else {
            self.counters.dropped_no_destination += 1;
            return;
        };
        let payload_type = match format {
            Format::Audio(codec) if codec == settings.codec => Some(settings.payload_type),
            Format::Audio(_) => None,
            Format::Event { .. } => settings.telephone_event.map(|event| event.payload_type),
        };
        let Some(payload_type) = payload_type.filter(|_| settings.direction.sends()) else {
            self.counters.dropped_no_destination += 1;
            return;
        };
        let Some(stamp) = line.stamper.relay(header.incoming(source), now.us) else {
            return;
        };
        let bytes = if header.is_plain {
            write_header(bytes, payload_type, stamp, line.stamper.ssrc());
            bytes
        } else {
            let Ok((_, payload)) = rtp::parse(bytes) else {
                self.counters.dropped_malformed += 1;
                return;
            };
            self.scratch.clear();
            self.scratch.extend_from_slice(&[0; rtp::HEADER_LEN]);
            self.scratch.extend_from_slice(payload);
            write_header(&mut self.scratch, payload_type, stamp, line.stamper.ssrc());
            &mut self.scratch
        };
        if kernel::send(line.lease.rtp.as_fd(), to, bytes).is_err() {
            self.counters.send_errors += 1;
            return;
        }
        sent(line, bytes.len() - rtp::HEADER_LEN, now);
        self.counters.relayed += 1;
        self.counters.packets_out += 1;
        self.counters.bytes_out += bytes.len() as u64;
    }
}

/// Bytes of a packet to keep, out of memory that is used again when nothing of it is kept any more.
fn keep(arena: &mut BytesMut, payload: &[u8]) -> Bytes {
    if arena.capacity() < payload.len() {
        arena.reserve(ARENA);
    }
    arena.extend_from_slice(payload);
    arena.split().freeze()
}

/// The fixed header, as far as it counts here.
#[derive(Clone, Copy)]
struct Header {
    payload_type: u8,
    marker: bool,
    sequence: u16,
    timestamp: u32,
    ssrc: u32,
    /// No padding, extension or contributing sources.
    is_plain: bool,
}

impl Header {
    fn read(bytes: &[u8]) -> Option<Self> {
        let [first, second, s1, s0, t3, t2, t1, t0, i3, i2, i1, i0] = *bytes.first_chunk::<{ rtp::HEADER_LEN }>()?;
        (first >> 6 == 2).then(|| Self {
            payload_type: second & 0x7f,
            marker: second & 0x80 != 0,
            sequence: u16::from_be_bytes([s1, s0]),
            timestamp: u32::from_be_bytes([t3, t2, t1, t0]),
            ssrc: u32::from_be_bytes([i3, i2, i1, i0]),
            is_plain: first == 0x80,
        })
    }

    fn plain(self) -> rtp::Header {
        rtp::Header {
            payload_type: self.payload_type,
            marker: self.marker,
            sequence: self.sequence,
            timestamp: self.timestamp,
            ssrc: self.ssrc,
        }
    }

    fn incoming(self, source: u64) -> Incoming {
        Incoming {
            source,
            ssrc: self.ssrc,
            sequence: self.sequence,
            timestamp: self.timestamp,
            marker: self.marker,
        }
    }
}

/// Puts a header into the first twelve bytes.
pub(super) fn write_header(bytes: &mut [u8], payload_type: u8, stamp: Stamp, ssrc: u32) {
    if let Some(header) = bytes.first_chunk_mut::<{ rtp::HEADER_LEN }>() {
        let [s1, s0] = stamp.sequence.to_be_bytes();
        let [t3, t2, t1, t0] = stamp.timestamp.to_be_bytes();
        let [i3, i2, i1, i0] = ssrc.to_be_bytes();
        let second = u8::from(stamp.marker) << 7 | payload_type & 0x7f;
        *header = [0x80, second, s1, s0, t3, t2, t1, t0, i3, i2, i1, i0];
    }
}
