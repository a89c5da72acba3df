//! What is kept of an endpoint, so that another process goes on with its session (RFC 3264 s.8: m-lines in their order, numbers with their meaning).
//!
//! Capabilities and the port's address are not in it: they may be others by then.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::format::{EventFormat, Format, Meaning, Numbers};
use super::remote::{Direction, RemoteAudio, Section};
use super::{Agreed, Capabilities, Endpoint};
use crate::codec::Codec;

/// An endpoint between two descriptions.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct EndpointSnapshot {
    session_id: u64,
    version: u64,
    /// Media, transport and formats of each m-line; of our own the formats are not needed.
    sections: Vec<(String, String, String)>,
    audio: usize,
    numbers: Vec<(u8, Code)>,
    preferred: Option<Code>,
    offering: bool,
    agreed: Option<AgreedSnapshot>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct AgreedSnapshot {
    rtp: Option<SocketAddr>,
    rtcp: Option<SocketAddr>,
    rtcp_mux: bool,
    formats: Vec<(u8, Code)>,
    direction: Direction,
    ptime_ms: u32,
    send: (u8, Code),
    event: Option<(u8, Code)>,
}

/// What a number means: 0 nothing of ours, 1 PCMU, 2 PCMA, 3 G722, 4 Opus, a thousand and more the clock of telephone events.
type Code = u32;

/// Clocks of telephone events start here.
const EVENTS: Code = 1_000;

impl Endpoint {
    /// What is to be kept of it.
    pub fn snapshot(&self) -> EndpointSnapshot {
        let section = |(index, section): (usize, &Section)| {
            let fmt = if index == self.audio { "" } else { &section.fmt };
            (section.media.clone(), section.proto.clone(), fmt.to_owned())
        };
        let agreed = self.agreed.as_ref().map(|agreed| AgreedSnapshot {
            rtp: agreed.remote.rtp,
            rtcp: agreed.remote.rtcp,
            rtcp_mux: agreed.remote.rtcp_mux,
            formats: agreed
                .remote
                .formats
                .iter()
                .map(|(number, format)| (*number, code(*format)))
                .collect(),
            direction: agreed.remote.direction,
            ptime_ms: agreed.remote.ptime_ms,
            send: (agreed.send.0, code(Format::Audio(agreed.send.1))),
            event: agreed.event.map(|event| (event.payload_type, event.clock_hz)),
        });
        let meaning = |(number, meaning)| match meaning {
            Meaning::Known(format) => (number, code(format)),
            Meaning::Other => (number, 0),
        };
        EndpointSnapshot {
            session_id: self.session_id,
            version: self.version,
            sections: self.sections.iter().enumerate().map(section).collect(),
            audio: self.audio,
            numbers: self.numbers.all().map(meaning).collect(),
            preferred: self.preferred.map(|codec| code(Format::Audio(codec))),
            offering: self.offering,
            agreed,
        }
    }

    /// The endpoint goes on, with a port at this address.
    pub fn restore(snapshot: &EndpointSnapshot, local: SocketAddr, capabilities: Capabilities) -> Self {
        let section = |(media, proto, fmt): &(String, String, String)| Section {
            media: media.clone(),
            proto: proto.clone(),
            fmt: fmt.clone(),
        };
        let numbers: Vec<_> = snapshot
            .numbers
            .iter()
            .map(|(number, code)| (*number, format(*code).map_or(Meaning::Other, Meaning::Known)))
            .collect();
        let mut known = Numbers::default();
        known.learn(&numbers);
        Self {
            local,
            capabilities,
            session_id: snapshot.session_id,
            version: snapshot.version,
            sections: snapshot.sections.iter().map(section).collect(),
            audio: snapshot.audio,
            numbers: known,
            preferred: snapshot.preferred.and_then(codec),
            offering: snapshot.offering,
            agreed: snapshot.agreed.as_ref().and_then(AgreedSnapshot::restore),
        }
    }
}

impl AgreedSnapshot {
    /// `None` where a codec was agreed that is not known here.
    fn restore(&self) -> Option<Agreed> {
        let known = |(number, code): &(u8, Code)| Some((*number, format(*code)?));
        Some(Agreed {
            remote: RemoteAudio {
                rtp: self.rtp,
                rtcp: self.rtcp,
                rtcp_mux: self.rtcp_mux,
                formats: self.formats.iter().filter_map(known).collect(),
                direction: self.direction,
                ptime_ms: self.ptime_ms,
            },
            send: (self.send.0, codec(self.send.1)?),
            event: self
                .event
                .map(|(payload_type, clock_hz)| EventFormat { payload_type, clock_hz }),
        })
    }
}

fn code(format: Format) -> Code {
    match format {
        Format::Audio(Codec::Pcmu) => 1,
        Format::Audio(Codec::Pcma) => 2,
        Format::Audio(Codec::G722) => 3,
        Format::Audio(Codec::Opus) => 4,
        Format::Event { clock_hz } => clock_hz,
    }
}

fn codec(code: Code) -> Option<Codec> {
    match code {
        1 => Some(Codec::Pcmu),
        2 => Some(Codec::Pcma),
        3 => Some(Codec::G722),
        4 => Some(Codec::Opus),
        _ => None,
    }
}

fn format(code: Code) -> Option<Format> {
    if code >= EVENTS {
        return Some(Format::Event { clock_hz: code });
    }
    codec(code).map(Format::Audio)
}
