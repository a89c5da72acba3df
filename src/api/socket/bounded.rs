//! Looks at the headers of WebSocket frames as they arrive and ends the stream at one that announces too much.
//!
//! actix refuses a long frame only when all of it has arrived, and keeps it in memory until then. This stands in front: from the
//! frame header on (RFC 6455 s.5.2), before any of the payload is kept. After that it takes what still comes and drops it, so that
//! the client, which is still sending, lives to read why it was closed.

use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::error::PayloadError;
use actix_web::web;
use bytes::Bytes;
use futures_util::Stream;

/// The longest frame header that a client sends: 2 bytes, 8 of length, 4 of mask.
const MAX_HEADER: usize = 14;

/// The payload, as long as its frames are no longer than `max_bytes`. A longer one is `PayloadError::Overflow`, once.
pub fn bound(payload: web::Payload, max_bytes: usize) -> Pin<Box<dyn Stream<Item = Result<Bytes, PayloadError>>>> {
    Box::pin(Bounded {
        payload,
        scan: Scan::new(max_bytes),
        discard: false,
    })
}

struct Bounded {
    payload: web::Payload,
    scan: Scan,
    discard: bool,
}

impl Stream for Bounded {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            match Pin::new(&mut self.payload).poll_next(cx) {
                Poll::Ready(Some(Ok(_))) if self.discard => {}
                Poll::Ready(Some(Ok(bytes))) => {
                    if self.scan.within_limit(&bytes) {
                        return Poll::Ready(Some(Ok(bytes)));
                    }
                    self.discard = true;
                    return Poll::Ready(Some(Err(PayloadError::Overflow)));
                }
                other => return other,
            }
        }
    }
}

/// Follows the frames of a stream that comes in any pieces.
struct Scan {
    max_bytes: u64,
    header: [u8; MAX_HEADER],
    /// How much of `header` is filled.
    filled: usize,
    /// What is still to come of the frame's payload.
    payload_left: u64,
}

impl Scan {
    fn new(max_bytes: usize) -> Self {
        Self {
            max_bytes: max_bytes as u64,
            header: [0; MAX_HEADER],
            filled: 0,
            payload_left: 0,
        }
    }

    /// Takes the next piece; `false` where a frame in it announces more than may be.
    fn within_limit(&mut self, mut bytes: &[u8]) -> bool {
        while let Some((&first, rest)) = bytes.split_first() {
            if self.payload_left > 0 {
                let skipped = usize::try_from(self.payload_left).unwrap_or(usize::MAX).min(bytes.len());
                self.payload_left -= skipped as u64;
                bytes = bytes.split_at(skipped).1;
                continue;
            }
            self.header[self.filled] = first;
            self.filled += 1;
            bytes = rest;
            if let Some(length) = self.announced() {
                if length > self.max_bytes {
                    return false;
                }
                self.payload_left = length;
                self.filled = 0;
            }
        }
        true
    }

    /// The length of the payload, once the header is complete. A header is complete before `MAX_HEADER` bytes are exceeded.
    fn announced(&self) -> Option<u64> {
        let header = &self.header[..self.filled];
        let [_, second, rest @ ..] = header else { return None };
        let mask_bytes = if second & 0x80 != 0 { 4 } else { 0 };
        let (length_bytes, length) = match second & 0x7f {
            126 => (2, u64::from(u16::from_be_bytes(rest.first_chunk().copied()?))),
            127 => (8, u64::from_be_bytes(rest.first_chunk().copied()?)),
            short => (0, u64::from(short)),
        };
        (rest.len() == length_bytes + mask_bytes).then_some(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A masked frame with that many bytes of payload.
    fn frame(length: usize) -> Vec<u8> {
        let mut bytes = vec![0x81];
        match length {
            0..=125 => bytes.push(0x80 | length as u8),
            126..=0xffff => {
                bytes.push(0xfe);
                bytes.extend((length as u16).to_be_bytes());
            }
            _ => {
                bytes.push(0xff);
                bytes.extend((length as u64).to_be_bytes());
            }
        }
        bytes.extend([1, 2, 3, 4]);
        bytes.extend(std::iter::repeat_n(0xff, length));
        bytes
    }

    #[test]
    fn frames_within_the_limit_pass_in_any_pieces() {
        let bytes: Vec<u8> = [0, 1, 125, 126, 300, 70_000, 0, 0].into_iter().flat_map(frame).collect();
        for piece in [1, 2, 3, 7, 64, 4096, bytes.len()] {
            let mut scan = Scan::new(70_000);
            assert!(
                bytes.chunks(piece).all(|bytes| scan.within_limit(bytes)),
                "in pieces of {piece}"
            );
            assert_eq!((scan.filled, scan.payload_left), (0, 0));
        }
    }

    #[test]
    fn a_long_frame_is_refused_at_its_header() {
        for length in [101usize, 126, 70_000] {
            let header = frame(length).len() - length;
            let mut scan = Scan::new(100);
            assert!(scan.within_limit(&frame(100)));
            let passed = frame(length).iter().take_while(|byte| scan.within_limit(&[**byte])).count();
            assert_eq!(passed, header - 1, "length {length}");
        }
    }

    #[test]
    fn the_longest_length_there_is_does_not_overflow() {
        let mut scan = Scan::new(1 << 20);
        assert!(!scan.within_limit(&[0x82, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]));
        let mut unmasked = Scan::new(u32::MAX as usize);
        assert!(unmasked.within_limit(&[0x81, 0x02, b'h', b'i', 0x81, 0x00]));
        assert_eq!((unmasked.filled, unmasked.payload_left), (0, 0));
    }
}
