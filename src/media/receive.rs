//! One received audio stream: packets in, one frame of linear samples out for each 20 ms. Jitter buffer, decoder and concealment
//! put together.
//!
//! The frame has the rate of the codec that the sender uses at the time ([`Receiver::rate`]). Packets of any length are cut into
//! frames. Where the jitter buffer has delay to spare, a frame that is quiet is left out, and a loud one only where the delay is
//! long.

use bytes::Bytes;

use crate::codec::{Codec, Decoder};
use crate::jitter::{Arrival, Counters, JitterBuffer, Limits, Next};
use crate::rate::Rate;
use crate::rtp::Header;

/// Below this peak a frame may be left out unheard: -40 dBFS.
const QUIET_PEAK: u16 = 328;
/// Steps of the jitter buffer for one frame, at most.
const MAX_STEPS: usize = 160;

/// What a frame is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Heard {
    /// What the sender sent, at least in part.
    Audio,
    /// Made up for what was lost.
    Concealed,
    /// Silence: the sender is silent, or the buffer fills.
    Silence,
}

/// See the module.
#[derive(Debug)]
pub struct Receiver {
    formats: Vec<(u8, Codec)>,
    limits: Limits,
    buffer: JitterBuffer,
    clock_hz: u32,
    /// The payload type of another clock that came last: with the next packet of it the stream starts afresh.
    changing_to: Option<u8>,
    decoder: Option<Decoder>,
    rate: Rate,
    /// Decoded and not yet taken.
    samples: Vec<i16>,
    undecodable: u64,
}

impl Receiver {
    /// For a stream whose payload types mean these codecs.
    pub fn new(formats: &[(u8, Codec)], limits: Limits) -> Self {
        let first = formats.first().map_or(Codec::Pcmu, |(_, codec)| *codec);
        Self {
            formats: formats.to_vec(),
            limits,
            buffer: JitterBuffer::new(first.clock_hz(), limits),
            clock_hz: first.clock_hz(),
            changing_to: None,
            decoder: None,
            rate: first.rate(),
            samples: Vec::new(),
            undecodable: 0,
        }
    }

    /// Another agreement on the payload types; what is held stays.
    pub fn set_formats(&mut self, formats: &[(u8, Codec)]) {
        self.formats = formats.to_vec();
    }

    /// A packet came.
    pub fn push(&mut self, header: &Header, payload: Bytes) -> Arrival {
        let Some(codec) = self.codec_of(header.payload_type) else {
            // Comfort noise, say: nothing is missing.
            self.pass_over(header);
            return Arrival::Unusable;
        };
        let Some(ticks) = codec.ticks_of(&payload) else {
            return Arrival::Unusable;
        };
        if codec.clock_hz() != self.clock_hz {
            if self.changing_to.replace(header.payload_type) != Some(header.payload_type) {
                return Arrival::Stray;
            }
            self.buffer = JitterBuffer::new(codec.clock_hz(), self.limits);
            self.clock_hz = codec.clock_hz();
        }
        self.changing_to = None;
        self.buffer.push(header, ticks, payload)
    }

    /// A packet of the stream came that is no audio (an event).
    pub fn pass_over(&mut self, header: &Header) {
        self.buffer.pass_over(header);
    }

    /// The next 20 ms, in place of what was in `frame`: always [`Rate::frame_samples`] of [`Receiver::rate`].
    pub fn pull(&mut self, frame: &mut Vec<i16>) -> Heard {
        let heard = self.frame(frame);
        if !self.buffer.has_surplus() {
            return heard;
        }
        let quiet = frame.iter().all(|sample| sample.unsigned_abs() < QUIET_PEAK);
        let pressing = self.buffer.delay_ms() * 3 >= self.limits.max_ms * 2;
        if !(quiet || pressing) {
            return heard;
        }
        let left_out = std::mem::take(frame);
        let heard = self.frame(frame);
        self.buffer.shortened();
        if left_out.len() == frame.len() {
            join(&left_out, frame);
        }
        heard
    }

    /// The rate of the frames, as of the last one.
    pub fn rate(&self) -> Rate {
        self.rate
    }

    /// The codec of the packets that were played last.
    pub fn codec(&self) -> Option<Codec> {
        self.decoder.as_ref().map(Decoder::codec)
    }

    /// What the jitter buffer has seen since the stream has its clock.
    pub fn counters(&self) -> Counters {
        self.buffer.counters()
    }

    /// Packets that their codec could not read.
    pub fn undecodable(&self) -> u64 {
        self.undecodable
    }

    /// How long packets wait at present, in milliseconds.
    pub fn delay_ms(&self) -> u32 {
        self.buffer.delay_ms()
    }

    fn codec_of(&self, payload_type: u8) -> Option<Codec> {
        let known = self.formats.iter().find(|(number, _)| *number == payload_type);
        known.map(|(_, codec)| *codec)
    }

    fn frame(&mut self, frame: &mut Vec<i16>) -> Heard {
        frame.clear();
        let mut heard = Heard::Silence;
        let mut steps = 0;
        // The rate may change on the way, when a packet of another codec comes up.
        while self.samples.len() < self.rate.frame_samples() && steps < MAX_STEPS {
            match (self.step(), heard) {
                (Heard::Audio, _) => heard = Heard::Audio,
                (Heard::Concealed, Heard::Silence) => heard = Heard::Concealed,
                _ => {}
            }
            steps += 1;
        }
        if steps == 0 {
            heard = Heard::Audio;
        }
        let wanted = self.rate.frame_samples();
        self.samples.resize(self.samples.len().max(wanted), 0);
        frame.extend(self.samples.drain(..wanted));
        heard
    }

    /// What the jitter buffer has next, appended to the samples.
    fn step(&mut self) -> Heard {
        match self.buffer.pull() {
            Next::Packet(packet) => {
                let Some(codec) = self.codec_of(packet.payload_type) else {
                    self.silence(packet.ticks);
                    return Heard::Silence;
                };
                if self.codec() != Some(codec) {
                    if codec.rate() != self.rate {
                        self.samples.clear();
                    }
                    self.rate = codec.rate();
                    self.decoder = Some(Decoder::new(codec));
                }
                let decoded = self
                    .decoder
                    .as_mut()
                    .map(|decoder| decoder.decode(&packet.payload, &mut self.samples));
                if decoded == Some(Ok(())) {
                    return Heard::Audio;
                }
                self.undecodable += 1;
                self.conceal(packet.ticks);
                Heard::Concealed
            }
            Next::Lost { ticks } => {
                self.conceal(ticks);
                Heard::Concealed
            }
            Next::Nothing { ticks } => {
                self.silence(ticks);
                Heard::Silence
            }
        }
    }

    fn conceal(&mut self, ticks: u32) {
        let start = self.samples.len();
        let wanted = start + self.samples_in(ticks);
        let Some(decoder) = &mut self.decoder else {
            return self.silence(ticks);
        };
        while self.samples.len() < wanted {
            decoder.conceal(&mut self.samples);
        }
        self.samples.truncate(wanted);
    }

    fn silence(&mut self, ticks: u32) {
        let wanted = self.samples.len() + self.samples_in(ticks);
        self.samples.resize(wanted, 0);
    }

    fn samples_in(&self, ticks: u32) -> usize {
        (u64::from(ticks) * u64::from(self.rate.hz()) / u64::from(self.clock_hz)) as usize
    }
}

/// Fades over from the frame that is left out to the one after it, so that the joint does not click.
fn join(left_out: &[i16], frame: &mut [i16]) {
    let fade = (frame.len() / 4).max(1);
    for (index, (sample, before)) in frame.iter_mut().zip(left_out).take(fade).enumerate() {
        let share = (index * 256 / fade) as i32;
        *sample = ((i32::from(*before) * (256 - share) + i32::from(*sample) * share) >> 8) as i16;
    }
}

#[cfg(test)]
mod tests;
