//! A phone: sends a tone, keeps what it hears.

use std::net::{SocketAddr, UdpSocket};
use std::time::Instant;

use crate::codec::{Codec, Decoder, Encoder};
use crate::endpoint::{Direction, EventFormat, Format, PortSettings};
use crate::plane::{Plane, Port};
use crate::rate::Rate;
use crate::rtp::{self, Header};

/// The number of telephone events.
pub const EVENT: u8 = 101;

pub struct Phone {
    pub port: Port,
    pub socket: UdpSocket,
    pub codec: Codec,
    /// What it sends, in hertz; nothing where it is 0.
    pub tone_hz: f64,
    pub header: Header,
    /// Headers and payloads that came.
    pub heard: Vec<(Header, Vec<u8>)>,
    encoder: Encoder,
    phase: f64,
}

impl Phone {
    pub fn new(plane: &Plane, codec: Codec, session: u64) -> Self {
        let port = plane.open(session, 7).unwrap();
        let socket = UdpSocket::bind((port.local.ip(), 0)).unwrap();
        let header = Header {
            payload_type: payload_type(codec),
            marker: false,
            sequence: 100,
            timestamp: 1_000,
            ssrc: u32::from(port.local.port()),
        };
        let phone = Self {
            port,
            socket,
            codec,
            tone_hz: 400.0,
            header,
            heard: Vec::new(),
            encoder: Encoder::new(codec),
            phase: 0.0,
        };
        plane.set(port.id, phone.settings());
        phone
    }

    pub fn address(&self) -> SocketAddr {
        self.socket.local_addr().unwrap()
    }

    pub fn settings(&self) -> PortSettings {
        PortSettings {
            remote: Some(self.address()),
            remote_rtcp: None,
            rtcp_mux: false,
            codec: self.codec,
            payload_type: payload_type(self.codec),
            receives: vec![
                (payload_type(self.codec), Format::Audio(self.codec)),
                (EVENT, Format::Event { clock_hz: 8_000 }),
            ],
            telephone_event: Some(EventFormat {
                payload_type: EVENT,
                clock_hz: 8_000,
            }),
            direction: Direction::SendRecv,
            ptime_ms: 20,
        }
    }

    /// The next frame of its tone.
    pub fn frame(&mut self) -> Vec<u8> {
        let step = std::f64::consts::TAU * self.tone_hz / f64::from(self.codec.rate().hz());
        let samples: Vec<i16> = (0..self.codec.frame_samples())
            .map(|_| {
                self.phase += step;
                (8_000.0 * self.phase.sin()) as i16
            })
            .collect();
        let mut payload = Vec::new();
        self.encoder.encode(&samples, &mut payload).unwrap();
        payload
    }

    pub fn speak(&mut self) {
        if self.tone_hz > 0.0 {
            let payload = self.frame();
            self.send(&payload);
        }
    }

    /// Sends this as its next packet.
    pub fn send(&mut self, payload: &[u8]) {
        self.socket
            .send_to(&rtp::packet(self.header, payload), self.port.local)
            .unwrap();
        self.header.sequence = self.header.sequence.wrapping_add(1);
        self.header.timestamp = self.header.timestamp.wrapping_add(self.codec.frame_ticks());
    }

    /// Takes what comes until then.
    pub fn listen(&mut self, until: Instant) {
        let mut packet = [0; 2_048];
        loop {
            let left = until.saturating_duration_since(Instant::now());
            self.socket.set_nonblocking(left.is_zero()).unwrap();
            if !left.is_zero() {
                self.socket.set_read_timeout(Some(left)).unwrap();
            }
            let Ok(length) = self.socket.recv(&mut packet) else { return };
            let (header, payload) = rtp::parse(&packet[..length]).unwrap();
            self.heard.push((header, payload.to_vec()));
        }
    }

    /// Decodes the last frames it heard.
    pub fn last_samples(&self, frames: usize) -> Vec<i16> {
        let (mut decoder, mut samples) = (Decoder::new(self.codec), Vec::new());
        let audio = self
            .heard
            .iter()
            .filter(|(header, _)| header.payload_type == payload_type(self.codec));
        for (_, payload) in audio {
            decoder.decode(payload, &mut samples).unwrap();
        }
        let wanted = frames * self.codec.frame_samples();
        samples.split_off(samples.len().saturating_sub(wanted))
    }

    /// How much of what it heard last is that tone.
    pub fn share_of(&self, tone_hz: f64) -> f64 {
        let samples = self.last_samples(10);
        if samples.len() < 10 * self.codec.frame_samples() {
            return 0.0;
        }
        let scale = if self.codec.rate() == Rate::Wide { 2.0 } else { 1.0 };
        crate::tone::share_of(&samples, tone_hz / scale)
    }

    /// Its stream has one SSRC, no sequence number missing or twice, and timestamps that rise.
    pub fn assert_seamless(&self) {
        for pair in self.heard.windows(2) {
            let ((one, _), (two, _)) = (&pair[0], &pair[1]);
            assert_eq!(two.ssrc, one.ssrc);
            assert_eq!(two.sequence, one.sequence.wrapping_add(1), "{one:?} {two:?}");
            let event = one.payload_type == EVENT && two.payload_type == EVENT;
            let passed = two.timestamp.wrapping_sub(one.timestamp);
            assert!(passed < 80_000 && (event || passed > 0), "{one:?} {two:?}");
        }
    }
}

pub fn payload_type(codec: Codec) -> u8 {
    codec.static_payload_type().unwrap_or(111)
}
