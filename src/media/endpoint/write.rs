//! Descriptions of ours, written.

use std::net::SocketAddr;

use bytes::Bytes;
use sdp_types::{Attribute, Media};

use super::format::Format;
use super::remote::{Direction, Section};
use crate::sdp;

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
    sdp::description(outline.local.ip(), outline.session_id, outline.version, medias).into()
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
    sdp::stream("audio", outline.local.port(), proto, numbers.join(" "), attributes)
}

/// A stream that is not wanted: as it came, at port 0 (RFC 3264 s.6).
fn refused(section: &Section) -> Media {
    sdp::stream(&section.media, 0, &section.proto, section.fmt.clone(), Vec::new())
}
