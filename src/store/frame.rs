//! Frames: how one operation stands in a segment file.
//!
//! ```text
//!   length  u32   of the body            numbers are big-endian
//!   crc     u32   CRC-32 of the length and the body
//!   body    op u8, kind u8, length of the id u8, id, value
//! ```
//!
//! Invariant: of bytes that were cut short or changed anywhere, no frame is read that was not written. Nothing here knows files.

/// The bytes before the body.
pub const HEAD: usize = 8;
/// The bytes of the body before the id.
const FIXED: usize = 3;
/// The largest body. What is larger is no record of an actor but a mistake.
pub const MAX_BODY: usize = 4 << 20;

/// What is done. The numbers are those of the file format.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Op {
    /// A record is kept.
    Put = 1,
    /// A record is forgotten.
    Remove = 2,
    /// Every record of the kind whose id is below is forgotten.
    RemoveBelow = 3,
    /// From here on the owner puts everything again.
    Mark = 4,
    /// The owner has done so: what was put before the mark is void.
    Void = 5,
}

impl Op {
    /// Every operation.
    pub const ALL: [Self; 5] = [Self::Put, Self::Remove, Self::RemoveBelow, Self::Mark, Self::Void];

    fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|op| *op as u8 == number)
    }
}

/// One operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Frame<'a> {
    /// What is done.
    pub op: Op,
    /// The number of the kind; one that this version does not know is kept all the same.
    pub kind: u8,
    /// Which record.
    pub id: &'a [u8],
    /// What is put; empty otherwise.
    pub value: &'a [u8],
}

impl Frame<'_> {
    /// Its length as bytes.
    pub fn len(&self) -> usize {
        HEAD + FIXED + self.id.len() + self.value.len()
    }

    /// Whether it fits the format: an id of 255 bytes at most, and not too much beside it.
    pub fn fits(&self) -> bool {
        self.id.len() <= usize::from(u8::MAX) && self.len() - HEAD <= MAX_BODY
    }

    /// Writes it at the end of `buffer`. One that does not fit the format is not written: `false`.
    pub fn append_to(&self, buffer: &mut Vec<u8>) -> bool {
        let body = self.len() - HEAD;
        let (Ok(id_length), Ok(length), true) = (u8::try_from(self.id.len()), u32::try_from(body), self.fits()) else {
            return false;
        };
        let length = length.to_be_bytes();
        let fixed = [self.op as u8, self.kind, id_length];
        let mut crc = crc32fast::Hasher::new();
        for part in [&length[..], &fixed, self.id, self.value] {
            crc.update(part);
        }
        buffer.reserve(HEAD + body);
        for part in [&length[..], &crc.finalize().to_be_bytes(), &fixed, self.id, self.value] {
            buffer.extend_from_slice(part);
        }
        true
    }
}

/// Reads the frame at the start of `bytes`; `None`: there is no whole and sound one.
pub fn read(bytes: &[u8]) -> Option<Frame<'_>> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (crc, rest) = rest.split_first_chunk::<4>()?;
    let body_length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    if !(FIXED..=MAX_BODY).contains(&body_length) {
        return None;
    }
    let body = rest.get(..body_length)?;
    // What is cheap to see is looked at first: a search after damage tries every byte.
    let ([op, kind, id_length], rest) = body.split_first_chunk::<FIXED>()?;
    let (op, (id, value)) = (Op::from_number(*op)?, rest.split_at_checked(usize::from(*id_length))?);
    let mut sum = crc32fast::Hasher::new();
    sum.update(length);
    sum.update(body);
    (sum.finalize() == u32::from_be_bytes(*crc)).then_some(Frame {
        op,
        kind: *kind,
        id,
        value,
    })
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    type Owned = (Op, u8, Vec<u8>, Vec<u8>);

    fn frame(owned: &Owned) -> Frame<'_> {
        let (op, kind, id, value) = owned;
        Frame {
            op: *op,
            kind: *kind,
            id,
            value,
        }
    }

    fn any_frame() -> impl Strategy<Value = Owned> {
        let op = proptest::sample::select(&Op::ALL[..]);
        (op, any::<u8>(), vec(any::<u8>(), 0..40), vec(any::<u8>(), 0..200))
    }

    fn read_all(mut bytes: &[u8]) -> Vec<Owned> {
        let mut found = Vec::new();
        while let Some(read) = read(bytes) {
            found.push((read.op, read.kind, read.id.to_vec(), read.value.to_vec()));
            bytes = &bytes[read.len()..];
        }
        found
    }

    proptest! {
        #[test]
        fn what_was_cut_anywhere_is_read_up_to_the_cut(frames in vec(any_frame(), 0..20), cut in any::<prop::sample::Index>()) {
            let mut bytes = Vec::new();
            let mut ends = vec![0];
            for owned in &frames {
                prop_assert!(frame(owned).append_to(&mut bytes));
                ends.push(bytes.len());
            }
            prop_assert_eq!(&read_all(&bytes), &frames);
            let cut = cut.index(bytes.len() + 1);
            let whole = ends.iter().filter(|end| **end <= cut).count() - 1;
            prop_assert_eq!(&read_all(&bytes[..cut])[..], &frames[..whole]);
        }

        #[test]
        fn a_changed_byte_ends_the_reading_at_its_frame(
            frames in vec(any_frame(), 1..10),
            at in any::<prop::sample::Index>(),
            change in 1..=255_u8,
        ) {
            let mut bytes = Vec::new();
            let mut ends = Vec::new();
            for owned in &frames {
                frame(owned).append_to(&mut bytes);
                ends.push(bytes.len());
            }
            let at = at.index(bytes.len());
            bytes[at] ^= change;
            let sound = ends.iter().filter(|end| **end <= at).count();
            prop_assert_eq!(&read_all(&bytes)[..], &frames[..sound]);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in vec(any::<u8>(), 0..300)) {
            let _ = read(&bytes);
        }
    }

    #[test]
    fn the_format_is_this() {
        let mut bytes = Vec::new();
        assert!(frame(&(Op::Put, 2, b"id".to_vec(), b"value".to_vec())).append_to(&mut bytes));
        assert_eq!(bytes[..4], [0, 0, 0, 10]);
        assert_eq!(bytes[8..], *b"\x01\x02\x02idvalue");
        assert_eq!(bytes[4..8], 0xe61b_8ed5_u32.to_be_bytes());
    }

    #[test]
    fn what_is_too_large_is_not_written() {
        let mut bytes = Vec::new();
        let long = vec![0; 256];
        assert!(!frame(&(Op::Put, 2, long, Vec::new())).append_to(&mut bytes));
        assert!(!frame(&(Op::Put, 2, Vec::new(), vec![0; MAX_BODY - FIXED + 1])).append_to(&mut bytes));
        assert!(bytes.is_empty());
        assert!(frame(&(Op::Put, 2, Vec::new(), vec![0; MAX_BODY - FIXED])).append_to(&mut bytes));
        assert!(read(&bytes).is_some());
    }
}
