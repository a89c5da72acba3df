//! What a back-to-back user agent needs of session descriptions (RFC 8866, RFC 3264): limits, a comparison, an origin of its own, and the
//! answer that lets nothing flow.
//!
//! Descriptions are passed from one leg to another, so they are never taken apart here: lines are read, and where a line must change, that
//! line alone is rewritten. Invariant: an answer made here has as many streams as its offer, and passes [`check`].
//!
//! What is not here: which offer is open on which leg (the user agent's and the conference's), codec choice, media addresses of our own
//! (the media crate's).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bytes::Bytes;

/// The largest description taken, in bytes.
pub const MAX_SDP_BYTES: usize = 16 * 1024;
/// The largest number of streams (`m=` lines) taken.
pub const MAX_STREAMS: usize = 32;
/// The largest number of formats of one stream.
pub const MAX_FORMATS: usize = 64;
/// The longest packet asked for (`ptime`, `maxptime`), in milliseconds.
pub const MAX_PTIME_MS: f64 = 10_000.0;
/// Formats kept in an answer of ours.
const MAX_ANSWER_FORMATS: usize = 4;

/// Why a description is not taken. All are answered with 488 ([`SdpError::STATUS`]).
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SdpError {
    /// Longer than [`MAX_SDP_BYTES`].
    #[error("session description of {bytes} bytes, the limit is {MAX_SDP_BYTES}")]
    TooLarge {
        /// Its length.
        bytes: usize,
    },
    /// More streams than [`MAX_STREAMS`].
    #[error("session description of {streams} streams, the limit is {MAX_STREAMS}")]
    TooManyStreams {
        /// How many.
        streams: usize,
    },
    /// Not text, not `v=0` first, or a line that is not `letter=value`.
    #[error("session description malformed at line {line}")]
    Malformed {
        /// Counted from 1.
        line: usize,
    },
    /// No `o=` line of six fields.
    #[error("session description without a valid origin line")]
    Origin,
    /// A `ptime` or `maxptime` that is no packet's length.
    #[error("packet time not valid at line {line}")]
    PacketTime {
        /// Counted from 1.
        line: usize,
    },
    /// An `m=` line whose port or formats are not valid, or that has more formats than [`MAX_FORMATS`].
    #[error("stream {stream} malformed")]
    Stream {
        /// Counted from 0.
        stream: usize,
    },
}

impl SdpError {
    /// 488 Not Acceptable Here.
    pub const STATUS: u16 = 488;
}

/// Which way media flows, seen from the author of the description.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Direction {
    /// Both ways.
    SendRecv,
    /// The author sends only: its hold.
    SendOnly,
    /// The author receives only.
    RecvOnly,
    /// Neither way.
    Inactive,
}

impl Direction {
    fn from_attribute(value: &str) -> Option<Self> {
        Some(match value {
            "sendrecv" => Self::SendRecv,
            "sendonly" => Self::SendOnly,
            "recvonly" => Self::RecvOnly,
            "inactive" => Self::Inactive,
            _ => return None,
        })
    }

    /// RFC 2543 hold (RFC 3264 s.8.4): an author at 0.0.0.0 receives nothing.
    fn deaf(self) -> Self {
        match self {
            Self::SendRecv | Self::SendOnly => Self::SendOnly,
            Self::RecvOnly | Self::Inactive => Self::Inactive,
        }
    }
}

/// One `m=` line: `m=audio 49170/2 RTP/AVP 0 8`.
struct Stream<'a> {
    media: &'a str,
    port: u16,
    protocol: &'a str,
    formats: &'a str,
}

impl<'a> Stream<'a> {
    fn parse(value: &'a str) -> Option<Self> {
        let mut fields = value.splitn(4, ' ');
        let (media, port, protocol, formats) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
        let port = port.split('/').next()?.parse().ok()?;
        let valid = !media.is_empty() && !protocol.is_empty() && !formats.trim().is_empty();
        valid.then_some(Self {
            media,
            port,
            protocol,
            formats: formats.trim(),
        })
    }
}

/// The lines of a description as (type, value), whatever ends them.
fn lines(sdp: &[u8]) -> impl Iterator<Item = (u8, &str)> {
    sdp.split(|byte| *byte == b'\n').filter_map(|line| {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        match line {
            [kind, b'=', value @ ..] => Some((*kind, std::str::from_utf8(value).ok()?)),
            _ => None,
        }
    })
}

/// The lines of the first audio stream that is in use, after the session's: (session lines, stream, stream lines).
fn audio(sdp: &[u8]) -> Option<(Stream<'_>, impl Iterator<Item = (u8, &str)>)> {
    let mut rest = lines(sdp);
    let stream = rest.by_ref().filter(|(kind, _)| *kind == b'm').find_map(|(_, value)| {
        let stream = Stream::parse(value)?;
        (stream.media == "audio" && stream.port != 0).then_some(stream)
    })?;
    Some((stream, rest.take_while(|(kind, _)| *kind != b'm')))
}

/// The lines above the first stream.
fn session_lines(sdp: &[u8]) -> impl Iterator<Item = (u8, &str)> {
    lines(sdp).take_while(|(kind, _)| *kind != b'm')
}

fn address(connection: &str) -> Option<IpAddr> {
    let mut fields = connection.split_ascii_whitespace().skip(1);
    let family = fields.next()?;
    let host = fields.next()?.split('/').next()?;
    match family {
        "IP4" => host.parse().ok().map(IpAddr::V4),
        "IP6" => host.parse().ok().map(IpAddr::V6),
        _ => None,
    }
}

/// Checks a description that came from outside against the limits; who fails gets 488.
pub fn check(sdp: &[u8]) -> Result<(), SdpError> {
    if sdp.len() > MAX_SDP_BYTES {
        return Err(SdpError::TooLarge { bytes: sdp.len() });
    }
    if !sdp.starts_with(b"v=0") {
        return Err(SdpError::Malformed { line: 1 });
    }
    for (number, line) in sdp.split(|byte| *byte == b'\n').enumerate() {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let valid = matches!(line, [] | [b'a'..=b'z', b'=', ..]) && std::str::from_utf8(line).is_ok();
        if !valid || line.contains(&0) || line.contains(&b'\r') {
            return Err(SdpError::Malformed { line: number + 1 });
        }
        if !is_packet_time_sane(line) {
            return Err(SdpError::PacketTime { line: number + 1 });
        }
    }
    let origin = session_lines(sdp).find(|(kind, _)| *kind == b'o').map(|(_, value)| value);
    if origin.is_none_or(|value| value.split_ascii_whitespace().count() != 6) {
        return Err(SdpError::Origin);
    }
    let mut streams = 0;
    for (_, value) in lines(sdp).filter(|(kind, _)| *kind == b'm') {
        let valid = Stream::parse(value).is_some_and(|stream| {
            let formats = stream.formats.split_ascii_whitespace();
            formats.take(MAX_FORMATS + 1).count() <= MAX_FORMATS
        });
        if !valid {
            return Err(SdpError::Stream { stream: streams });
        }
        streams += 1;
    }
    if streams > MAX_STREAMS {
        Err(SdpError::TooManyStreams { streams })
    } else {
        Ok(())
    }
}

/// A device may divide by the packet time it is asked for, or make a buffer of that length. It is an integer or a decimal
/// above zero (RFC 8866 s.6.4).
fn is_packet_time_sane(line: &[u8]) -> bool {
    let value = line.strip_prefix(b"a=ptime:").or_else(|| line.strip_prefix(b"a=maxptime:"));
    value.is_none_or(|value| {
        let milliseconds = std::str::from_utf8(value)
            .ok()
            .and_then(|text| text.trim().parse::<f64>().ok());
        milliseconds.is_some_and(|milliseconds| milliseconds > 0.0 && milliseconds <= MAX_PTIME_MS)
    })
}

/// The direction of the first audio stream in use, RFC 2543 hold included; inactive where there is none.
pub fn direction(sdp: &[u8]) -> Direction {
    let attribute = |kind: u8, value: &str| (kind == b'a').then(|| Direction::from_attribute(value)).flatten();
    let Some((_, stream_lines)) = audio(sdp) else {
        return Direction::Inactive;
    };
    let (mut direction, mut connection) = (Direction::SendRecv, None);
    for (kind, value) in session_lines(sdp).chain(stream_lines) {
        direction = attribute(kind, value).unwrap_or(direction);
        connection = if kind == b'c' { address(value) } else { connection };
    }
    if connection.is_some_and(|ip| ip.is_unspecified()) {
        direction.deaf()
    } else {
        direction
    }
}

/// The description with its audio streams both ways: what a device would say that an offer of the other side has held back so far, and
/// that does not hold.
pub fn both_ways(sdp: &[u8]) -> Vec<u8> {
    let mut of_audio = true;
    let mut opened = Vec::with_capacity(sdp.len());
    for line in sdp.split_inclusive(|byte| *byte == b'\n') {
        let text = line.trim_ascii_end();
        if text.starts_with(b"m=") {
            of_audio = text.starts_with(b"m=audio ");
        }
        match text {
            b"a=recvonly" | b"a=sendonly" | b"a=inactive" if of_audio => {
                opened.extend_from_slice(b"a=sendrecv");
                opened.extend_from_slice(line.get(text.len()..).unwrap_or_default());
            }
            _ => opened.extend_from_slice(line),
        }
    }
    opened
}

/// How many streams a description has, rejected ones included.
pub fn streams(sdp: &[u8]) -> usize {
    lines(sdp).filter(|(kind, _)| *kind == b'm').count()
}

/// Whether two descriptions say the same about media: they differ in their origin at most.
pub fn same_media(a: &[u8], b: &[u8]) -> bool {
    let media = |sdp| {
        lines(sdp)
            .filter(|(kind, _)| *kind != b'o')
            .map(|(kind, value)| (kind, value.trim_end()))
    };
    media(a).eq(media(b))
}

/// Whether a description says nothing that the author's last one did not say: they differ in their origin and in what belongs to formats,
/// and the formats of each stream are among those of before.
pub fn says_nothing_new(now: &[u8], before: &[u8]) -> bool {
    let kept = |sdp| lines(sdp).filter(|(kind, value)| *kind != b'o' && !(*kind == b'a' && is_about_formats(value)));
    let (mut now, mut before) = (kept(now), kept(before));
    loop {
        let is_known = match (now.next(), before.next()) {
            (None, None) => return true,
            (Some((b'm', now)), Some((b'm', before))) => is_narrowed(now, before),
            (Some((kind, now)), Some((other, before))) => kind == other && now.trim_end() == before.trim_end(),
            _ => false,
        };
        if !is_known {
            return false;
        }
    }
}

fn is_about_formats(attribute: &str) -> bool {
    let name = attribute.split(':').next().unwrap_or_default();
    matches!(name, "rtpmap" | "fmtp" | "ptime" | "maxptime" | "rtcp-fb")
}

/// Whether a stream is the one before, with all or some of its formats.
fn is_narrowed(now: &str, before: &str) -> bool {
    let (Some(now), Some(before)) = (Stream::parse(now), Stream::parse(before)) else {
        return false;
    };
    let same = (now.media, now.port, now.protocol) == (before.media, before.port, before.protocol);
    let mut formats = now.formats.split_ascii_whitespace();
    same && formats.all(|format| before.formats.split_ascii_whitespace().any(|known| known == format))
}

/// The description with an origin of ours: `o=- id version IN IP4 127.0.0.1`. The address in an origin is an identity and not a place to
/// send to, so it is the same on every leg and tells nothing (RFC 8866 s.5.2 allows for that).
pub fn with_session_version(sdp: &[u8], id: u64, version: u64) -> Bytes {
    let mut text = Vec::with_capacity(sdp.len() + 24);
    let mut replaced = false;
    for line in sdp.split_inclusive(|byte| *byte == b'\n') {
        if !replaced && line.starts_with(b"o=") {
            replaced = true;
            text.extend_from_slice(origin(id, version).as_bytes());
        } else {
            text.extend_from_slice(line);
        }
    }
    text.into()
}

fn origin(id: u64, version: u64) -> String {
    format!("o=- {id} {version} IN IP4 127.0.0.1\r\n")
}

/// An answer that takes every stream and lets nothing flow (RFC 3725 flow III's held answer): same streams in the same order, the first
/// formats of each with their `rtpmap` and `fmtp`, `a=inactive`, no address. Its origin is `o=- id 1`. `None` where the offer is not valid.
pub fn inactive_answer_from(offer: &[u8], id: u64) -> Option<Bytes> {
    check(offer).ok()?;
    let unspecified = match lines(offer)
        .find(|(kind, _)| *kind == b'c')
        .and_then(|(_, value)| address(value))
    {
        Some(IpAddr::V6(_)) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        _ => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
    };
    let family = if unspecified.is_ipv6() { "IP6" } else { "IP4" };
    let mut answer = format!("v=0\r\n{}s=-\r\nc=IN {family} {unspecified}\r\nt=0 0\r\n", origin(id, 1));
    let mut kept: Vec<&str> = Vec::new();
    for (kind, value) in lines(offer) {
        match kind {
            b'm' => kept = answer_stream(&mut answer, value)?,
            b'a' if kept.iter().any(|format| describes(value, format)) => answer.push_str(&format!("a={value}\r\n")),
            _ => {}
        }
    }
    Some(answer.into())
}

/// [`inactive_answer_from`] with the offer's own session id as the id, so that the same offer has the same answer.
pub fn inactive_answer(offer: &[u8]) -> Option<Bytes> {
    let (_, origin) = lines(offer).find(|(kind, _)| *kind == b'o')?;
    let id = origin
        .split_ascii_whitespace()
        .nth(1)
        .and_then(|id| id.parse().ok())
        .unwrap_or(1);
    inactive_answer_from(offer, id)
}

/// Answers one stream; a stream that the offer itself disabled stays at port 0 (RFC 3264 s.6).
fn answer_stream<'a>(answer: &mut String, value: &'a str) -> Option<Vec<&'a str>> {
    let stream = Stream::parse(value)?;
    let formats: Vec<&str> = stream.formats.split_ascii_whitespace().take(MAX_ANSWER_FORMATS).collect();
    let port = if stream.port == 0 { 0 } else { 9 };
    let list = formats.join(" ");
    answer.push_str(&format!(
        "m={} {port} {} {list}\r\na=inactive\r\n",
        stream.media, stream.protocol
    ));
    Some(formats)
}

/// Whether an attribute is the `rtpmap` or `fmtp` of a format.
fn describes(attribute: &str, format: &str) -> bool {
    let described = attribute.strip_prefix("rtpmap:").or_else(|| attribute.strip_prefix("fmtp:"));
    described.is_some_and(|rest| rest.split_ascii_whitespace().next() == Some(format))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PHONE: &str = "v=0\r\no=alice 53 7 IN IP4 10.0.0.1\r\ns=-\r\nc=IN IP4 10.0.0.1\r\nt=0 0\r\n\
        m=audio 4000 RTP/AVP 0 8 96 101 13\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\n\
        a=rtpmap:13 CN/8000\r\na=sendrecv\r\nm=video 0 RTP/AVP 97\r\na=rtpmap:97 VP8/90000\r\n";

    fn phone_with(from: &str, to: &str) -> Vec<u8> {
        assert!(PHONE.contains(from));
        PHONE.replace(from, to).into_bytes()
    }

    #[test]
    fn audio_is_opened_both_ways_and_nothing_else_is_changed() {
        for limited in ["a=recvonly", "a=sendonly", "a=inactive"] {
            let text = phone_with("a=sendrecv", limited);
            assert_eq!(both_ways(&text), PHONE.as_bytes(), "{limited}");
        }
        let video = format!("{PHONE}a=recvonly\r\n");
        assert_eq!(both_ways(video.as_bytes()), video.as_bytes());
        assert_eq!(both_ways(b"a=recvonly"), b"a=sendrecv");
        assert_eq!(both_ways(b""), b"");
    }

    #[test]
    fn packet_times_and_format_lists_that_may_harm_a_device_are_refused() {
        let checked = |sdp: Vec<u8>| check(&sdp).map_err(|error| std::mem::discriminant(&error));
        let time = std::mem::discriminant(&SdpError::PacketTime { line: 0 });
        for bad in [
            "ptime:0",
            "ptime:-20",
            "ptime:4294967296000",
            "ptime:",
            "ptime:x",
            "ptime:NaN",
            "maxptime:0",
        ] {
            assert_eq!(checked(format!("{PHONE}a={bad}\r\n").into()), Err(time), "{bad}");
        }
        for good in ["ptime:20", "ptime: 30 ", "ptime:2.5", "maxptime:150", "ptimes:0"] {
            assert_eq!(checked(format!("{PHONE}a={good}\r\n").into()), Ok(()), "{good}");
        }
        let formats = |count: usize| phone_with("0 8 96 101 13", &vec!["0"; count].join(" "));
        assert_eq!(check(&formats(MAX_FORMATS)), Ok(()));
        assert_eq!(check(&formats(MAX_FORMATS + 1)), Err(SdpError::Stream { stream: 0 }));
    }

    #[test]
    fn direction_is_that_of_the_first_audio_stream_or_of_the_session() {
        assert_eq!(direction(PHONE.as_bytes()), Direction::SendRecv);
        assert_eq!(direction(&phone_with("a=sendrecv", "a=sendonly")), Direction::SendOnly);
        assert_eq!(direction(&phone_with("a=sendrecv", "a=recvonly")), Direction::RecvOnly);
        assert_eq!(direction(&phone_with("a=sendrecv\r\n", "")), Direction::SendRecv);
        assert_eq!(
            direction(&phone_with("t=0 0\r\n", "t=0 0\r\na=inactive\r\n")),
            Direction::SendRecv,
            "the stream's overrides"
        );
        let session_level = String::from_utf8(phone_with("a=sendrecv\r\n", ""))
            .unwrap()
            .replace("t=0 0\r\n", "t=0 0\r\na=inactive\r\n");
        assert_eq!(direction(session_level.as_bytes()), Direction::Inactive);
        assert_eq!(direction(&phone_with("m=audio 4000", "m=audio 0")), Direction::Inactive);
        assert_eq!(direction(b""), Direction::Inactive);
    }

    #[test]
    fn address_zero_is_a_hold() {
        assert_eq!(
            direction(&phone_with("c=IN IP4 10.0.0.1", "c=IN IP4 0.0.0.0")),
            Direction::SendOnly
        );
        assert_eq!(
            direction(&phone_with("c=IN IP4 10.0.0.1", "c=IN IP6 ::")),
            Direction::SendOnly
        );
        assert_eq!(
            direction(&phone_with("a=rtpmap:0 PCMU/8000\r\n", "c=IN IP4 0.0.0.0\r\na=recvonly\r\n")),
            Direction::SendOnly
        );
    }

    #[test]
    fn bombs_and_garbage_are_refused() {
        assert_eq!(check(PHONE.as_bytes()), Ok(()));
        assert!(matches!(
            check(&vec![b'v'; MAX_SDP_BYTES + 1]),
            Err(SdpError::TooLarge { .. })
        ));
        let bomb = format!("{PHONE}{}", "m=audio 1 RTP/AVP 0\r\n".repeat(1000));
        assert!(matches!(
            check(bomb.as_bytes()),
            Err(SdpError::TooLarge { .. } | SdpError::TooManyStreams { .. })
        ));
        let many = format!("{PHONE}{}", "m=audio 1 RTP/AVP 0\r\n".repeat(40));
        assert_eq!(check(many.as_bytes()), Err(SdpError::TooManyStreams { streams: 42 }));
        assert_eq!(check(b""), Err(SdpError::Malformed { line: 1 }));
        assert_eq!(check(b"v=0\r\nhello\r\n"), Err(SdpError::Malformed { line: 2 }));
        assert_eq!(check(b"v=0\r\ns=\xff\r\n"), Err(SdpError::Malformed { line: 2 }));
        assert_eq!(check(b"v=0\r\ns=-\r\n"), Err(SdpError::Origin));
        assert_eq!(
            check(&phone_with("m=audio 4000", "m=audio 70000")),
            Err(SdpError::Stream { stream: 0 })
        );
    }

    #[test]
    fn the_inactive_answer_keeps_streams_in_order_and_lets_nothing_flow() {
        let answer = inactive_answer(PHONE.as_bytes()).unwrap();
        let text = std::str::from_utf8(&answer).unwrap();
        assert_eq!(
            text,
            "v=0\r\no=- 53 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\nm=audio 9 RTP/AVP 0 8 96 101\r\na=inactive\r\n\
             a=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\nm=video 0 RTP/AVP 97\r\na=inactive\r\n\
             a=rtpmap:97 VP8/90000\r\n"
        );
        assert_eq!((check(&answer), direction(&answer)), (Ok(()), Direction::Inactive));
        assert_eq!(inactive_answer(b"garbage"), None);
        let v6 = inactive_answer(&phone_with("c=IN IP4 10.0.0.1", "c=IN IP6 2001:db8::1")).unwrap();
        assert!(std::str::from_utf8(&v6).unwrap().contains("c=IN IP6 ::\r\n"));
    }

    #[test]
    fn fewer_formats_are_nothing_new_and_another_place_or_direction_is() {
        let fewer = phone_with("RTP/AVP 0 8 96 101 13\r\na=rtpmap:0 PCMU/8000\r\n", "RTP/AVP 0 101\r\n");
        for (now, is_known) in [
            (PHONE.as_bytes().to_vec(), true),
            (phone_with("alice 53 7", "alice 53 8"), true),
            (fewer.clone(), true),
            (phone_with("m=audio 4000", "m=audio 4002"), false),
            (phone_with("c=IN IP4 10.0.0.1", "c=IN IP4 10.0.0.2"), false),
            (phone_with("a=sendrecv", "a=sendonly"), false),
            (phone_with("0 8 96", "0 8 9 96"), false),
            (phone_with("m=video 0 RTP/AVP 97\r\n", ""), false),
            (b"garbage".to_vec(), false),
        ] {
            assert_eq!(
                says_nothing_new(&now, PHONE.as_bytes()),
                is_known,
                "{}",
                String::from_utf8_lossy(&now)
            );
        }
        assert!(!says_nothing_new(PHONE.as_bytes(), &fewer));
    }

    #[test]
    fn a_passed_description_gets_the_origin_of_its_leg() {
        let passed = with_session_version(PHONE.as_bytes(), 9, 3);
        let text = std::str::from_utf8(&passed).unwrap();
        assert!(text.contains("\r\no=- 9 3 IN IP4 127.0.0.1\r\ns=-\r\n") && !text.contains("alice"));
        assert!(same_media(&passed, PHONE.as_bytes()));
        assert!(!same_media(&passed, &phone_with("a=sendrecv", "a=sendonly")));
    }

    proptest::proptest! {
        #[test]
        fn whatever_comes_nothing_panics_and_what_is_taken_can_be_answered(
            cut in proptest::collection::vec((0..PHONE.len(), proptest::prelude::any::<u8>()), 0..4),
            tail in proptest::collection::vec("[a-z]=[ -~]{0,30}\r\n", 0..6),
        ) {
            let mut sdp = PHONE.as_bytes().to_vec();
            for (at, byte) in cut {
                sdp[at] = byte;
            }
            sdp.extend(tail.concat().bytes());
            let _ = (direction(&sdp), same_media(&sdp, PHONE.as_bytes()));
            let _ = (says_nothing_new(&sdp, PHONE.as_bytes()), says_nothing_new(PHONE.as_bytes(), &sdp));
            proptest::prop_assert!(says_nothing_new(PHONE.as_bytes(), PHONE.as_bytes()));
            let passed = with_session_version(&sdp, 1, 2);
            proptest::prop_assert_eq!(streams(&passed), streams(&sdp));
            if check(&sdp).is_ok() {
                let answer = inactive_answer(&sdp).expect("a valid offer has an answer");
                proptest::prop_assert_eq!(check(&answer), Ok(()));
                proptest::prop_assert_eq!(streams(&answer), streams(&sdp));
                proptest::prop_assert_eq!(direction(&answer), Direction::Inactive);
            }
        }
    }
}
