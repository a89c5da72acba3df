//! Descriptions of ours, written.

use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use sdp_types::{Attribute, Connection, Media, Origin, Session, Time};

use super::format::Format;
use super::remote::{Direction, Section};

/// What goes into a description.
pub(super) struct Outline<'a> {
    pub local: SocketAddr,
    pub session_id: u64,
    pub version: u64,
    pub sections: &'a [Section],
    /// Which section is ours.
    pub audio: usize,
    pub formats: &'a [(u8, Format)],
    pub direction: Direction,
    pub ptime_ms: u32,
    pub rtcp_mux: bool,
}

/// The description.
pub(super) fn description(outline: &Outline<'_>) -> Bytes {
    let family = match outline.local.ip() {
        IpAddr::V4(_) => "IP4",
        IpAddr::V6(_) => "IP6",
    };
    let address = outline.local.ip().to_string();
    let medias = outline
        .sections
        .iter()
        .enumerate()
        .map(|(index, section)| {
            if index == outline.audio {
                audio(section, outline)
            } else {
                refused(section)
            }
        })
        .collect();
    let session = Session {
        origin: Origin {
            username: Some("-".into()),
            sess_id: outline.session_id.to_string(),
            sess_version: outline.version,
            nettype: "IN".into(),
            addrtype: family.into(),
            unicast_address: address.clone(),
        },
        session_name: "-".into(),
        session_description: None,
        uri: None,
        emails: Vec::new(),
        phones: Vec::new(),
        connection: Some(Connection {
            nettype: "IN".into(),
            addrtype: family.into(),
            connection_address: address,
        }),
        bandwidths: Vec::new(),
        times: vec![Time {
            start_time: 0,
            stop_time: 0,
            repeats: Vec::new(),
        }],
        time_zones: Vec::new(),
        key: None,
        attributes: Vec::new(),
        medias,
    };
    let mut out = Vec::with_capacity(512);
    // Writing to memory does not fail.
    let _ = session.write(&mut out);
    out.into()
}

fn audio(section: &Section, outline: &Outline<'_>) -> Media {
    let attribute = |name: &str, value: Option<String>| Attribute {
        attribute: name.into(),
        value,
    };
    let mut attributes = Vec::new();
    for (number, format) in outline.formats {
        attributes.push(attribute("rtpmap", Some(format!("{number} {}", format.rtpmap()))));
        if let Some(parameters) = format.fmtp() {
            attributes.push(attribute("fmtp", Some(format!("{number} {parameters}"))));
        }
    }
    attributes.push(attribute("ptime", Some(outline.ptime_ms.to_string())));
    if outline.rtcp_mux {
        attributes.push(attribute("rtcp-mux", None));
    }
    attributes.push(attribute(outline.direction.name(), None));
    let numbers: Vec<String> = outline.formats.iter().map(|(number, _)| number.to_string()).collect();
    let proto = match section.proto.as_str() {
        "RTP/AVPF" => "RTP/AVPF",
        _ => "RTP/AVP",
    };
    media("audio", outline.local.port(), proto, numbers.join(" "), attributes)
}

/// A stream that is not wanted: as it came, at port 0 (RFC 3264 s.6).
fn refused(section: &Section) -> Media {
    media(&section.media, 0, &section.proto, section.fmt.clone(), Vec::new())
}

fn media(kind: &str, port: u16, proto: &str, fmt: String, attributes: Vec<Attribute>) -> Media {
    Media {
        media: kind.into(),
        port,
        num_ports: None,
        proto: proto.into(),
        fmt,
        media_title: None,
        connections: Vec::new(),
        bandwidths: Vec::new(),
        key: None,
        attributes,
    }
}
