//! What phones send to keep a NAT binding or a connection open, and what is not SIP at all.
//!
//! A double CRLF asks for a single one (RFC 5626 s.3.5.1, there for streams; some phones do it over UDP as well). Everything else that
//! holds no message, a single CRLF or a few NUL bytes, stays unanswered, so two servers can never play ping-pong.

/// The answer to [`KeepAlive::Ping`].
pub(super) const PONG: &[u8] = b"\r\n";

/// A datagram that holds no message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum KeepAlive {
    /// To be answered with [`PONG`].
    Ping,
    /// To be dropped.
    Silent,
}

/// `None`: it may be a message. A message starts with a letter or, after a tolerant reading, with line breaks; binary content
/// (STUN, RTP, DTLS gone astray) starts with neither.
pub(super) fn of_datagram(bytes: &[u8]) -> Option<KeepAlive> {
    match bytes {
        b"\r\n\r\n" => Some(KeepAlive::Ping),
        // The blank datagram some phones send, and their four NULs.
        _ if bytes.iter().all(|b| matches!(b, b'\r' | b'\n' | b' ' | b'\t' | 0)) => Some(KeepAlive::Silent),
        [first, ..] if *first < b' ' && !matches!(first, b'\r' | b'\n' | b'\t') || *first >= 0x80 => Some(KeepAlive::Silent),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_double_line_break_is_answered_and_only_text_is_delivered() {
        let cases: &[(&[u8], Option<KeepAlive>)] = &[
            (b"\r\n\r\n", Some(KeepAlive::Ping)),
            (b"\r\n", Some(KeepAlive::Silent)),
            (b"\r\n\r\n\r\n", Some(KeepAlive::Silent)),
            (b"", Some(KeepAlive::Silent)),
            (b"\0\0\0\0", Some(KeepAlive::Silent)),
            (b"\x00\x01\x00\x00\x21\x12\xa4\x42", Some(KeepAlive::Silent)),
            (b"\x80\x00\x12\x34", Some(KeepAlive::Silent)),
            (b"\r\nOPTIONS sip:a SIP/2.0\r\n", None),
            (b"OPTIONS sip:a SIP/2.0\r\n", None),
            (b"garbage", None),
        ];
        for (bytes, expected) in cases {
            assert_eq!(of_datagram(bytes), *expected, "{bytes:?}");
        }
    }
}
