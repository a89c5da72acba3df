//! RTP packets (RFC 3550 s.5.1): read and written, nothing kept.

use bytes::{BufMut, Bytes, BytesMut};

/// The length of a header without contributing sources.
pub const HEADER_LEN: usize = 12;

/// The fixed header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// The payload type.
    pub payload_type: u8,
    /// The marker bit: the first packet of a talk spurt.
    pub marker: bool,
    /// Counts packets.
    pub sequence: u16,
    /// Counts samples.
    pub timestamp: u32,
    /// Who sends.
    pub ssrc: u32,
}

/// Why bytes are not an RTP packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RtpError {
    /// Shorter than its header, extension or padding says.
    #[error("the packet is cut short")]
    Short,
    /// Another version than 2.
    #[error("not RTP version 2")]
    Version,
}

/// A packet with this header and payload.
pub fn packet(header: Header, payload: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(HEADER_LEN + payload.len());
    out.put_u8(0x80);
    out.put_u8(u8::from(header.marker) << 7 | header.payload_type & 0x7f);
    out.put_u16(header.sequence);
    out.put_u32(header.timestamp);
    out.put_u32(header.ssrc);
    out.put_slice(payload);
    out.freeze()
}

/// The header and payload of a packet.
pub fn parse(packet: &[u8]) -> Result<(Header, &[u8]), RtpError> {
    let fixed = packet.first_chunk::<HEADER_LEN>().ok_or(RtpError::Short)?;
    let [first, second, s1, s0, t3, t2, t1, t0, i3, i2, i1, i0] = *fixed;
    if first >> 6 != 2 {
        return Err(RtpError::Version);
    }
    let mut rest = packet
        .get(HEADER_LEN + 4 * usize::from(first & 0x0f)..)
        .ok_or(RtpError::Short)?;
    if first & 0x10 != 0 {
        let words = rest.get(2..4).ok_or(RtpError::Short)?;
        let length = 4 + 4 * words.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
        rest = rest.get(length..).ok_or(RtpError::Short)?;
    }
    if first & 0x20 != 0 {
        let padding = usize::from(*rest.last().ok_or(RtpError::Short)?);
        let length = rest
            .len()
            .checked_sub(padding)
            .filter(|_| padding > 0)
            .ok_or(RtpError::Short)?;
        rest = rest.get(..length).ok_or(RtpError::Short)?;
    }
    let header = Header {
        payload_type: second & 0x7f,
        marker: second & 0x80 != 0,
        sequence: u16::from_be_bytes([s1, s0]),
        timestamp: u32::from_be_bytes([t3, t2, t1, t0]),
        ssrc: u32::from_be_bytes([i3, i2, i1, i0]),
    };
    Ok((header, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HEADER: Header = Header {
        payload_type: 101,
        marker: true,
        sequence: 65_535,
        timestamp: 0xdead_beef,
        ssrc: 7,
    };

    #[test]
    fn what_was_written_is_read() {
        assert_eq!(parse(&packet(HEADER, b"abc")), Ok((HEADER, &b"abc"[..])));
    }

    #[test]
    fn sources_extension_and_padding_are_skipped() {
        let mut bytes = packet(HEADER, b"").to_vec();
        bytes[0] = 0x80 | 0x20 | 0x10 | 1;
        bytes.extend([0; 4]);
        bytes.extend([0, 0, 0, 1, 9, 9, 9, 9]);
        bytes.extend(b"abc\0\0\x03");
        assert_eq!(parse(&bytes), Ok((HEADER, &b"abc"[..])));
        bytes.pop();
        bytes.push(7);
        assert_eq!(parse(&bytes), Err(RtpError::Short));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_packet_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            if let Ok((_, payload)) = parse(&bytes) {
                prop_assert!(payload.len() <= bytes.len() - HEADER_LEN);
            }
        }
    }
}
