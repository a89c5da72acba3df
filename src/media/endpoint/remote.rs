//! A device's description, as far as the endpoint reads it.

use std::net::{IpAddr, SocketAddr};

use sdp_types::{Media, Session};
use serde::{Deserialize, Serialize};

use super::format::{EventFormat, Format, Meaning};
use super::{EndpointError, MAX_DESCRIPTION_BYTES, MAX_STREAMS};
use crate::codec::Codec;

/// Which way audio may flow (RFC 8866 s.6.7), seen from the one who says it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Direction {
    /// Both ways.
    SendRecv,
    /// Only out.
    SendOnly,
    /// Only in.
    RecvOnly,
    /// Not at all.
    Inactive,
}

impl Direction {
    const ALL: [Self; 4] = [Self::SendRecv, Self::SendOnly, Self::RecvOnly, Self::Inactive];

    /// The name of the attribute.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SendRecv => "sendrecv",
            Self::SendOnly => "sendonly",
            Self::RecvOnly => "recvonly",
            Self::Inactive => "inactive",
        }
    }

    /// The same, seen from the other side.
    pub const fn mirrored(self) -> Self {
        match self {
            Self::SendOnly => Self::RecvOnly,
            Self::RecvOnly => Self::SendOnly,
            both => both,
        }
    }

    /// Whether the one who says it may send.
    pub const fn sends(self) -> bool {
        matches!(self, Self::SendRecv | Self::SendOnly)
    }

    /// Whether the one who says it wants to receive.
    pub const fn receives(self) -> bool {
        matches!(self, Self::SendRecv | Self::RecvOnly)
    }
}

/// An m-line, as far as it has to come back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Section {
    pub media: String,
    pub proto: String,
    pub fmt: String,
}

impl Section {
    pub fn audio() -> Self {
        Self {
            media: "audio".into(),
            proto: "RTP/AVP".into(),
            fmt: String::new(),
        }
    }
}

/// The audio stream of a device.
#[derive(Clone, Debug)]
pub(super) struct RemoteAudio {
    /// Where it wants RTP; none at a held address.
    pub rtp: Option<SocketAddr>,
    /// Where it wants RTCP, where that is said (RFC 3605).
    pub rtcp: Option<SocketAddr>,
    pub rtcp_mux: bool,
    /// What it can do, the preferred first.
    pub formats: Vec<(u8, Format)>,
    /// As the device says it.
    pub direction: Direction,
    pub ptime_ms: u32,
}

impl RemoteAudio {
    /// Its first codec that we have.
    pub fn codec(&self, ours: &[Codec], allowed: impl Fn(&Format) -> bool) -> Option<(u8, Codec)> {
        self.formats.iter().find_map(|(number, format)| match format {
            Format::Audio(codec) if ours.contains(codec) && allowed(format) => Some((*number, *codec)),
            _ => None,
        })
    }

    /// Its events: those on the clock of the audio (RFC 4733 s.2.1), or at least on the usual one.
    pub fn event(&self, audio_clock_hz: u32, allowed: impl Fn(&Format) -> bool) -> Option<EventFormat> {
        let on = |wanted: u32| {
            self.formats.iter().find_map(|(number, format)| match format {
                Format::Event { clock_hz } if *clock_hz == wanted && allowed(format) => Some(EventFormat {
                    payload_type: *number,
                    clock_hz: *clock_hz,
                }),
                _ => None,
            })
        };
        on(audio_clock_hz).or_else(|| on(8_000))
    }

    /// Where RTCP goes.
    pub fn rtcp(&self, mux_wanted: bool) -> Option<SocketAddr> {
        let rtp = self.rtp?;
        if mux_wanted && self.rtcp_mux {
            return Some(rtp);
        }
        let next = || rtp.port().checked_add(1).map(|port| SocketAddr::new(rtp.ip(), port));
        self.rtcp.or_else(next)
    }
}

/// A description that was read.
#[derive(Debug)]
pub(super) struct Description(Session);

/// Reads one, within the limits.
pub(super) fn read(description: &[u8]) -> Result<Description, EndpointError> {
    let bytes = description.len();
    if bytes > MAX_DESCRIPTION_BYTES {
        return Err(EndpointError::TooLong { bytes });
    }
    let session = Session::parse(description).map_err(|_| EndpointError::Unreadable)?;
    let streams = session.medias.len();
    if streams > MAX_STREAMS {
        return Err(EndpointError::TooManyStreams { streams });
    }
    Ok(Description(session))
}

impl Description {
    /// How many m-lines there are.
    pub fn streams(&self) -> usize {
        self.0.medias.len()
    }

    /// The m-lines.
    pub fn sections(&self) -> Vec<Section> {
        let section = |media: &Media| Section {
            media: media.media.clone(),
            proto: media.proto.clone(),
            fmt: media.fmt.clone(),
        };
        self.0.medias.iter().map(section).collect()
    }

    /// The first audio stream that is on, over a transport that we know; else the first of that kind that is off.
    pub fn first_audio(&self) -> Option<usize> {
        let on = self.0.medias.iter().position(|media| is_ours(media) && media.port != 0);
        on.or_else(|| self.0.medias.iter().position(is_ours))
    }

    /// The audio stream at this place, where it is on; an error where its address is of no use.
    pub fn audio_at(&self, index: usize) -> Option<Result<RemoteAudio, EndpointError>> {
        let media = self.0.medias.get(index).filter(|media| is_ours(media) && media.port != 0)?;
        Some(self.audio(media))
    }

    /// What the numbers of the stream at this place mean.
    pub fn numbers_of(&self, index: usize) -> Vec<(u8, Meaning)> {
        let Some(media) = self.0.medias.get(index) else {
            return Vec::new();
        };
        numbers(media)
            .map(|number| {
                let meaning = format_of(media, number).map_or(Meaning::Other, Meaning::Known);
                (number, meaning)
            })
            .collect()
    }

    fn audio(&self, media: &Media) -> Result<RemoteAudio, EndpointError> {
        let address = self.address(media)?;
        let said = self.direction(media);
        // A held address as before RFC 3264 (s.8.4): the device wants nothing, whatever else it says.
        let held = address.is_unspecified();
        let direction = match said {
            Direction::SendRecv if held => Direction::SendOnly,
            Direction::RecvOnly if held => Direction::Inactive,
            said => said,
        };
        let formats = numbers(media)
            .filter_map(|number| Some((number, format_of(media, number)?)))
            .collect();
        Ok(RemoteAudio {
            rtp: (!held).then(|| SocketAddr::new(address, media.port)),
            rtcp: value(media, "rtcp").and_then(|value| rtcp_address(value, address)),
            rtcp_mux: media.has_attribute("rtcp-mux"),
            formats,
            direction,
            ptime_ms: self.ptime(media),
        })
    }

    fn address(&self, media: &Media) -> Result<IpAddr, EndpointError> {
        let connection = media.connections.first().or(self.0.connection.as_ref());
        let address = connection.map_or("", |connection| connection.connection_address.as_str());
        let ip = address.split('/').next().and_then(|ip| ip.parse::<IpAddr>().ok());
        let usable = |ip: &IpAddr| !ip.is_multicast() && *ip != IpAddr::V4(std::net::Ipv4Addr::BROADCAST);
        ip.filter(usable).ok_or_else(|| EndpointError::Address {
            address: address.chars().take(64).collect(),
        })
    }

    /// The direction of the stream, or that of the session (RFC 8866 s.6.7).
    fn direction(&self, media: &Media) -> Direction {
        let first = |attributes: &[sdp_types::Attribute]| {
            attributes.iter().find_map(|attribute| {
                Direction::ALL
                    .into_iter()
                    .find(|direction| direction.name() == attribute.attribute)
            })
        };
        first(&media.attributes)
            .or_else(|| first(&self.0.attributes))
            .unwrap_or(Direction::SendRecv)
    }

    /// What the device wants in one packet, made something that we can send: whole frames, at most three, and no more than it
    /// takes.
    fn ptime(&self, media: &Media) -> u32 {
        let number = |name: &str| value(media, name).and_then(|value| value.trim().parse::<f32>().ok());
        let most = number("maxptime").filter(|most| *most >= 20.0).unwrap_or(60.0).min(60.0);
        let wanted = number("ptime")
            .filter(|wanted| (1.0..=200.0).contains(wanted))
            .unwrap_or(20.0);
        (wanted.min(most) as u32 / 20).max(1) * 20
    }
}

/// Audio over a transport that we know.
fn is_ours(media: &Media) -> bool {
    media.media.eq_ignore_ascii_case("audio") && matches!(media.proto.as_str(), "RTP/AVP" | "RTP/AVPF")
}

fn value<'a>(media: &'a Media, name: &str) -> Option<&'a str> {
    media.get_first_attribute_value(name).ok().flatten()
}

/// The payload numbers of an m-line, each once.
fn numbers(media: &Media) -> impl Iterator<Item = u8> {
    let mut seen = [false; 128];
    media.fmt.split_ascii_whitespace().filter_map(move |number| {
        let number = number.parse::<u8>().ok()?;
        let seen = seen.get_mut(usize::from(number))?;
        (!std::mem::replace(seen, true)).then_some(number)
    })
}

/// What a number stands for: what `a=rtpmap` says, or what it always does.
fn format_of(media: &Media, number: u8) -> Option<Format> {
    let mapped = media
        .attributes
        .iter()
        .filter(|attribute| attribute.attribute == "rtpmap")
        .find_map(|attribute| {
            let (mapped, encoding) = attribute.value.as_deref()?.trim().split_once(char::is_whitespace)?;
            (mapped.parse() == Ok(number)).then(|| encoding.trim())
        });
    let Some(encoding) = mapped else {
        return Codec::of_static(number).map(Format::Audio);
    };
    let mut parts = encoding.split('/');
    let (name, clock) = (parts.next()?, parts.next()?.trim().parse().ok()?);
    let channels = parts.next().unwrap_or("1");
    if name.eq_ignore_ascii_case("telephone-event") {
        return [8_000, 16_000, 48_000]
            .contains(&clock)
            .then_some(Format::Event { clock_hz: clock });
    }
    let codec = match Codec::named(name, clock) {
        // Some devices say the rate that is true of G.722 instead of the clock that is right (RFC 3551 s.4.5.2).
        None if name.eq_ignore_ascii_case("G722") && number == 9 => Codec::G722,
        codec => codec?,
    };
    (channels == "1" || codec.channels().to_string() == channels).then_some(Format::Audio(codec))
}

/// `a=rtcp:port [IN IP4 address]` (RFC 3605).
fn rtcp_address(value: &str, rtp: IpAddr) -> Option<SocketAddr> {
    let mut words = value.split_ascii_whitespace();
    let port = words.next()?.parse().ok().filter(|port| *port != 0)?;
    let address = match words.nth(2) {
        Some(address) => address.parse().ok()?,
        None => rtp,
    };
    let usable = !address.is_unspecified() && !address.is_multicast() && address.is_ipv4() == rtp.is_ipv4();
    usable.then(|| SocketAddr::new(address, port))
}
