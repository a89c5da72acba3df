//! Bounded, deterministic mutation of the torture messages: the fuzz target's body where no fuzzer is installed.

use proptest::prelude::*;

use super::*;

/// A small generator of pseudo-random numbers (xorshift64*), so that a failure repeats.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let high = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        high as usize % sides.max(1)
    }
}

/// Bits of text that parsers trip over.
const SPICE: [&[u8]; 24] = [
    b"\r\n",
    b"\r\n\r\n",
    b"\n",
    b"\r",
    b"\r\n ",
    b"\"",
    b"\\",
    b"<",
    b">",
    b";",
    b",",
    b":",
    b"=",
    b"@",
    b"%",
    b"?",
    b"[",
    b"]",
    b"\0",
    b" ",
    b"\xff\xfe",
    "\u{20ac}".as_bytes(),
    b"99999999999999999999",
    b";tag=",
];

fn mutate(dice: &mut Dice, bytes: &mut Vec<u8>, other: &[u8]) {
    let at = dice.roll(bytes.len() + 1);
    let end = (at + dice.roll(24)).min(bytes.len());
    match dice.roll(7) {
        0 => {
            bytes.drain(at..end);
        }
        1 => {
            let copy = bytes[at..end].to_vec();
            bytes.splice(at..at, copy);
        }
        2 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << dice.roll(8);
            }
        }
        3 if dice.roll(4) == 0 => bytes.truncate(at),
        4 => {
            let from = dice.roll(other.len() + 1);
            let to = (from + dice.roll(64)).min(other.len());
            bytes.splice(at..end, other[from..to].iter().copied());
        }
        _ => {
            bytes.splice(at..at, SPICE[dice.roll(SPICE.len())].iter().copied());
        }
    }
}

#[test]
fn mutated_torture_messages_break_nothing() {
    let messages: Vec<_> = torture::rows().map(|(file, _, _)| torture::load(file)).collect();
    let mut dice = Dice(0x7A4D_EA11);
    for round in 0..4_000 {
        let mut bytes = messages[round % messages.len()].clone();
        for _ in 0..=dice.roll(6) {
            let other = &messages[dice.roll(messages.len())];
            mutate(&mut dice, &mut bytes, other);
        }
        if std::panic::catch_unwind(|| exercise(&bytes)).is_err() {
            panic!("round {round}: {}", bytes.escape_ascii());
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_break_nothing(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        exercise(&bytes);
    }

    #[test]
    fn any_header_value_breaks_nothing(name in "Via|From|To|Contact|CSeq|Call-ID|Route|Require|Reason|Content-Type|Content-Length", value in "[ -~\\r\\n\t€]{0,60}") {
        exercise(&text(&["INVITE sip:a@b SIP/2.0", "Via: SIP/2.0/UDP h;branch=z9hG4bK1", &format!("{name}: {value}"), "To: <sip:b@c>", "", "body"]));
    }

    #[test]
    fn any_uri_breaks_nothing(uri in "(sip|sips|tel|x):[ -~€]{0,40}") {
        exercise(&text(&[&format!("OPTIONS {uri} SIP/2.0"), &format!("To: <{uri}>"), &format!("Contact: {uri};q=0.5"), "", ""]));
    }
}
