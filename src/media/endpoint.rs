//! The SDP side of one media port: offer and answer (RFC 3264) for one audio stream, the media plane's own part of a session with
//! one device.
//!
//! The session's m-lines keep their number and order for life (RFC 3264 s.8): the first usable audio stream is ours, every other
//! one is refused with port 0. A payload number never changes its meaning within a session (s.8.3.2). Offers always want audio
//! both ways; what flows is decided by who hears whom, not by directions. Transport is RTP/AVP, or RTP/AVPF where the device
//! asked for it. The `o=` line counts this endpoint's own descriptions; whoever passes them on within an older session replaces
//! it.
//!
//! What it does not do: SRTP, ICE, bundles, host names in `c=`.

mod format;
mod remote;
mod snapshot;
mod write;

use std::net::SocketAddr;

use bytes::Bytes;

use crate::FRAME_MS;
use crate::codec::Codec;

pub use format::{EventFormat, Format};
pub use remote::Direction;
pub use snapshot::EndpointSnapshot;

use format::Numbers;
use remote::{RemoteAudio, Section};

/// What a port can do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Capabilities {
    /// The codecs, the preferred first.
    pub codecs: Vec<Codec>,
    /// Whether digits may come and go as RFC 4733 events.
    pub telephone_event: bool,
    /// Milliseconds of audio in one packet, as we ask for them.
    pub ptime_ms: u32,
    /// Whether RTCP may share the port of RTP (RFC 5761). Otherwise it is at the next port.
    pub rtcp_mux: bool,
}

impl Default for Capabilities {
    /// Every codec, G.711 first; events; 20 ms; RTCP on its own port.
    fn default() -> Self {
        Self {
            codecs: Codec::ALL.to_vec(),
            telephone_event: true,
            ptime_ms: FRAME_MS as u32,
            rtcp_mux: false,
        }
    }
}

/// How a port is to send and receive, as negotiated.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PortSettings {
    /// Where the device wants its packets. `None` while it wants none (a held address).
    pub remote: Option<SocketAddr>,
    /// Where it wants RTCP.
    pub remote_rtcp: Option<SocketAddr>,
    /// Whether RTCP shares the port of RTP, both ways.
    pub rtcp_mux: bool,
    /// What to send.
    pub codec: Codec,
    /// Under this number.
    pub payload_type: u8,
    /// What may come, by number: everything this session ever agreed or offered.
    pub receives: Vec<(u8, Format)>,
    /// How to send telephone events, where the device takes them.
    pub telephone_event: Option<EventFormat>,
    /// Which way audio may flow, as seen from here: where it does not [`Direction::sends`], the device is not to be sent
    /// anything.
    pub direction: Direction,
    /// Milliseconds of audio that the device wants in one packet: a multiple of 20, at most 60.
    pub ptime_ms: u32,
}

/// Why a description cannot be served.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum EndpointError {
    /// It is not SDP.
    #[error("the session description cannot be read")]
    Unreadable,
    /// It is longer than [`MAX_DESCRIPTION_BYTES`].
    #[error("the session description has {bytes} bytes")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// It has more than [`MAX_STREAMS`].
    #[error("the session description has {streams} streams")]
    TooManyStreams {
        /// How many.
        streams: usize,
    },
    /// No stream is audio over a transport that we know, or each has port 0.
    #[error("no audio stream that we can serve")]
    NoAudio,
    /// The audio has no codec that we have.
    #[error("no codec in common")]
    NoSharedCodec,
    /// The address is no IP address, or of the other family than ours.
    #[error("cannot send to the address {address:?}")]
    Address {
        /// What stands in `c=`.
        address: String,
    },
    /// An answer without an offer.
    #[error("an answer that nothing was offered for")]
    NoOffer,
}

/// The longest description that is read.
pub const MAX_DESCRIPTION_BYTES: usize = 32 * 1_024;
/// The most streams that a description may have.
pub const MAX_STREAMS: usize = 16;

/// See the module.
#[derive(Clone, Debug)]
pub struct Endpoint {
    local: SocketAddr,
    capabilities: Capabilities,
    session_id: u64,
    version: u64,
    /// The m-lines of the session, in their order.
    sections: Vec<Section>,
    /// Which of them is ours.
    audio: usize,
    numbers: Numbers,
    /// The codec that the device is known to like best.
    preferred: Option<Codec>,
    /// Whether the last description of this session is an offer of ours.
    offering: bool,
    agreed: Option<Agreed>,
}

/// What offer and answer have come to.
#[derive(Clone, Debug)]
struct Agreed {
    remote: RemoteAudio,
    send: (u8, Codec),
    event: Option<EventFormat>,
}

impl Endpoint {
    /// A port at this address, before anything was said. RTCP, where it does not share the port, is at the next one.
    pub fn new(local: SocketAddr, capabilities: Capabilities, session_id: u64) -> Self {
        Self {
            local,
            capabilities,
            session_id,
            version: 0,
            sections: Vec::new(),
            audio: 0,
            numbers: Numbers::default(),
            preferred: None,
            offering: false,
            agreed: None,
        }
    }

    /// An offer: the first one, or one that goes on with the session. An offer before it that was not answered is void.
    pub fn offer(&mut self) -> Bytes {
        self.own_section();
        let mut codecs = self.capabilities.codecs.clone();
        if let Some(preferred) = self.preferred {
            codecs.sort_by_key(|codec| *codec != preferred);
        }
        let mut formats: Vec<Format> = codecs.into_iter().map(Format::Audio).collect();
        if self.capabilities.telephone_event {
            let clocks = [8_000, 48_000];
            let used = |clock: &u32| formats.iter().any(|format| format.clock_hz() == *clock);
            let events: Vec<Format> = clocks
                .into_iter()
                .filter(used)
                .map(|clock_hz| Format::Event { clock_hz })
                .collect();
            formats.extend(events);
        }
        let numbered: Vec<(u8, Format)> = formats
            .into_iter()
            .filter_map(|format| Some((self.numbers.assign(format)?, format)))
            .collect();
        self.offering = true;
        self.describe(&numbered, Direction::SendRecv, self.capabilities.rtcp_mux)
    }

    /// The answer to a device's offer: the first codec of the offer that we have, its directions mirrored. On an error everything
    /// stays as it was.
    pub fn answer(&mut self, offer: &[u8]) -> Result<Bytes, EndpointError> {
        let session = remote::read(offer)?;
        let (audio, remote) = self.usable_audio(&session)?;
        let agreed = self.agree(remote, |_| true)?;
        self.sections = session.sections();
        self.audio = audio;
        self.numbers.learn(&session.numbers_of(audio));
        let mut formats = vec![(agreed.send.0, Format::Audio(agreed.send.1))];
        self.numbers.set(agreed.send.0, Format::Audio(agreed.send.1));
        if let Some(event) = agreed.event {
            let format = Format::Event {
                clock_hz: event.clock_hz,
            };
            self.numbers.set(event.payload_type, format);
            formats.push((event.payload_type, format));
        }
        self.preferred = Some(agreed.send.1);
        self.offering = false;
        let mux = self.capabilities.rtcp_mux && agreed.remote.rtcp_mux;
        let direction = agreed.remote.direction.mirrored();
        self.agreed = Some(agreed);
        Ok(self.describe(&formats, direction, mux))
    }

    /// The device's answer to the last offer. It may come more than once (with a provisional response and again with the final
    /// one, from several forks): the last one holds. On an error everything stays as it was.
    pub fn take_answer(&mut self, answer: &[u8]) -> Result<(), EndpointError> {
        if !self.offering {
            return Err(EndpointError::NoOffer);
        }
        let session = remote::read(answer)?;
        // A device that mixes up the order of its streams is understood where it can be.
        let remote = session
            .audio_at(self.audio)
            .or_else(|| session.audio_at(session.first_audio()?))
            .ok_or(EndpointError::NoAudio)?;
        let numbers = self.numbers.clone();
        let mut agreed = self.agree(remote?, |format| numbers.number_of(*format).is_some())?;
        agreed.remote.rtcp_mux &= self.capabilities.rtcp_mux;
        self.preferred = Some(agreed.send.1);
        self.agreed = Some(agreed);
        Ok(())
    }

    /// An answer is still to come, though the device has made an offer since that was answered: from a callee that says in the end what it
    /// said in an UPDATE, or from one of its forks that was offered what we said first.
    pub fn await_answer(&mut self) {
        self.offering = true;
    }

    /// What a device has described in a session that went past us so far, and what it was sent (`ours`): the next offer keeps the
    /// m-lines and numbers of both and prefers the device's codec. A description that cannot be read teaches nothing.
    pub fn learn(&mut self, device: &[u8], ours: Option<&[u8]>) {
        let ours = ours.and_then(|ours| remote::read(ours).ok());
        let device = remote::read(device).ok();
        let lists = [ours.as_ref(), device.as_ref()];
        let Some(longest) = lists.into_iter().flatten().max_by_key(|session| session.streams()) else {
            return;
        };
        self.sections = longest.sections();
        self.audio = lists
            .into_iter()
            .flatten()
            .rev()
            .find_map(|session| session.first_audio())
            .unwrap_or(self.sections.len());
        for session in lists.into_iter().flatten() {
            self.numbers.learn(&session.numbers_of(self.audio));
        }
        let liked = device.and_then(|device| {
            let audio = device.audio_at(self.audio)?.ok()?;
            audio.codec(&self.capabilities.codecs, |_| true)
        });
        self.preferred = liked.map(|(_, codec)| codec).or(self.preferred);
    }

    /// How to send and receive; `None` before offer and answer are exchanged.
    pub fn settings(&self) -> Option<PortSettings> {
        let agreed = self.agreed.as_ref()?;
        let remote = &agreed.remote;
        Some(PortSettings {
            remote: remote.rtp,
            remote_rtcp: remote.rtcp(self.capabilities.rtcp_mux),
            rtcp_mux: remote.rtcp_mux && self.capabilities.rtcp_mux,
            codec: agreed.send.1,
            payload_type: agreed.send.0,
            receives: self.numbers.known().collect(),
            telephone_event: agreed.event,
            direction: remote.direction.mirrored(),
            ptime_ms: remote.ptime_ms,
        })
    }

    /// Ticks of the timestamps that are sent, per second; `None` as with [`Self::settings`].
    pub fn clock_hz(&self) -> Option<u32> {
        Some(self.agreed.as_ref()?.send.1.clock_hz())
    }

    /// The port's own address.
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// Sees to it that one section is ours: the one it was, or a new one at the end.
    fn own_section(&mut self) {
        if self.audio >= self.sections.len() {
            self.audio = self.sections.len();
            self.sections.push(Section::audio());
        }
    }

    /// The first audio stream of an offer that we can serve, the one of this session before others.
    fn usable_audio(&self, session: &remote::Description) -> Result<(usize, RemoteAudio), EndpointError> {
        let before = (!self.sections.is_empty()).then_some(self.audio);
        let mut error = EndpointError::NoAudio;
        for index in before.into_iter().chain(0..session.streams()) {
            match session.audio_at(index) {
                Some(Ok(remote)) if remote.codec(&self.capabilities.codecs, |_| true).is_some() => return Ok((index, remote)),
                Some(Ok(_)) => error = EndpointError::NoSharedCodec,
                Some(Err(wrong)) => error = wrong,
                None => {}
            }
        }
        Err(error)
    }

    /// What the two sides have in common.
    fn agree(&self, remote: RemoteAudio, allowed: impl Fn(&Format) -> bool) -> Result<Agreed, EndpointError> {
        if let Some(address) = remote.rtp.filter(|address| address.is_ipv4() != self.local.is_ipv4()) {
            return Err(EndpointError::Address {
                address: address.ip().to_string(),
            });
        }
        let send = remote
            .codec(&self.capabilities.codecs, &allowed)
            .ok_or(EndpointError::NoSharedCodec)?;
        let event = if self.capabilities.telephone_event {
            remote.event(send.1.clock_hz(), allowed)
        } else {
            None
        };
        Ok(Agreed { remote, send, event })
    }

    /// The next description of ours.
    fn describe(&mut self, formats: &[(u8, Format)], direction: Direction, rtcp_mux: bool) -> Bytes {
        self.version += 1;
        write::description(&write::Outline {
            local: self.local,
            session_id: self.session_id,
            version: self.version,
            sections: &self.sections,
            audio: self.audio,
            formats,
            direction,
            ptime_ms: self.capabilities.ptime_ms,
            rtcp_mux,
        })
    }
}

#[cfg(test)]
mod tests;
