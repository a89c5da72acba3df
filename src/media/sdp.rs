//! Session descriptions of audio calls (RFC 8866), as far as an endpoint of ours needs them. `sdp-types` reads and writes.

use std::net::{IpAddr, SocketAddr};

use sdp_types::{Attribute, Connection, Media, Origin, Session, Time};

/// The static payload type of mu-law (RFC 3551 s.6).
pub const PCMU: u8 = 0;
/// The static payload type of A-law.
pub const PCMA: u8 = 8;
/// The payload type we give telephone events (RFC 4733), which have no static one.
pub const TELEPHONE_EVENT: u8 = 101;

/// An offer (or answer) of G.711 audio and telephone events at `address`, as the `version`-th description of `session`.
pub fn audio(address: SocketAddr, session: u64, version: u64) -> Vec<u8> {
    let attribute = |name: &str, value: Option<&str>| Attribute {
        attribute: name.into(),
        value: value.map(Into::into),
    };
    let attributes = vec![
        attribute("rtpmap", Some("0 PCMU/8000")),
        attribute("rtpmap", Some("8 PCMA/8000")),
        attribute("rtpmap", Some("101 telephone-event/8000")),
        attribute("fmtp", Some("101 0-15")),
        attribute("ptime", Some("20")),
        attribute("sendrecv", None),
    ];
    let formats = format!("{PCMU} {PCMA} {TELEPHONE_EVENT}");
    let audio = stream("audio", address.port(), "RTP/AVP", formats, attributes);
    description(address.ip(), session, version, vec![audio])
}

/// A description of ours, with these streams, as bytes.
pub(crate) fn description(address: IpAddr, session: u64, version: u64, medias: Vec<Media>) -> Vec<u8> {
    let family = match address {
        IpAddr::V4(_) => "IP4",
        IpAddr::V6(_) => "IP6",
    };
    let address = address.to_string();
    let description = Session {
        origin: Origin {
            username: Some("-".into()),
            sess_id: session.to_string(),
            sess_version: version,
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
    let _ = description.write(&mut out);
    out
}

/// One stream of a description.
pub(crate) fn stream(kind: &str, port: u16, proto: &str, formats: String, attributes: Vec<Attribute>) -> Media {
    Media {
        media: kind.into(),
        port,
        num_ports: None,
        proto: proto.into(),
        fmt: formats,
        media_title: None,
        connections: Vec::new(),
        bandwidths: Vec::new(),
        key: None,
        attributes,
    }
}

/// Where the first audio stream of a description wants its packets; `None` where it wants none (no audio, port 0, inactive, a
/// held address) or the description cannot be read.
pub fn audio_destination(description: &[u8]) -> Option<SocketAddr> {
    let session = Session::parse(description).ok()?;
    let media = session
        .medias
        .iter()
        .find(|media| media.media == "audio" && media.port != 0)?;
    let off = |name: &str| media.has_attribute(name) || session.has_attribute(name);
    if off("inactive") || off("sendonly") {
        return None;
    }
    let connection = media.connections.first().or(session.connection.as_ref())?;
    let ip: IpAddr = connection.connection_address.split('/').next()?.parse().ok()?;
    if ip.is_unspecified() {
        None
    } else {
        Some(SocketAddr::new(ip, media.port))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_we_offer_says_where_to_send() {
        for address in ["127.0.0.1:4000", "[::1]:4000"] {
            let address: SocketAddr = address.parse().unwrap();
            assert_eq!(audio_destination(&audio(address, 1, 1)), Some(address));
        }
    }

    #[test]
    fn held_and_broken_descriptions_want_nothing() {
        let offer = String::from_utf8(audio("127.0.0.1:4000".parse().unwrap(), 1, 1)).unwrap();
        assert_eq!(audio_destination(offer.replace("sendrecv", "inactive").as_bytes()), None);
        assert_eq!(audio_destination(offer.replace("m=audio 4000", "m=audio 0").as_bytes()), None);
        assert_eq!(
            audio_destination(offer.replace("c=IN IP4 127.0.0.1", "c=IN IP4 0.0.0.0").as_bytes()),
            None
        );
        assert_eq!(audio_destination(b"v=0\r\nm=audio"), None);
    }
}
