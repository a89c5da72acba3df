//! JSON at its edges: a frame's text to its attributes under limits, and text and key-value lists into a frame being written.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::{Map, Value};
use tandem_model::{KvList, KvValue};

use crate::{MAX_DEPTH, MAX_FRAME_BYTES, MAX_VALUES};

/// Reads a frame: one JSON object, no key twice at its top level. The error says what was wrong.
pub fn parse_frame(text: &str) -> Result<Map<String, Value>, String> {
    if text.len() > MAX_FRAME_BYTES {
        return Err(format!("longer than {MAX_FRAME_BYTES} bytes"));
    }
    check_shape(text)?;
    serde_json::from_str::<Attributes>(text)
        .map(|attributes| attributes.0)
        .map_err(|error| error.to_string())
}

/// Bounds nesting and size before anything is built. Counts in one pass over the bytes; text that is no JSON may pass here.
fn check_shape(text: &str) -> Result<(), String> {
    let (mut depth, mut values) = (0usize, 1usize);
    let (mut in_text, mut escaped) = (false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            _ if in_text => {}
            b'{' | b'[' => {
                depth += 1;
                values += 1;
                if depth > MAX_DEPTH {
                    return Err(format!("nested deeper than {MAX_DEPTH} levels"));
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            b',' => values += 1,
            _ => {}
        }
        if values > MAX_VALUES {
            return Err(format!("more than {MAX_VALUES} values"));
        }
    }
    Ok(())
}

/// The attributes of a frame in order. `serde_json`'s own map would keep the last of two equal keys without a word.
struct Attributes(Map<String, Value>);

impl<'de> Deserialize<'de> for Attributes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FrameVisitor;

        impl<'de> Visitor<'de> for FrameVisitor {
            type Value = Attributes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Attributes, A::Error> {
                let mut map = Map::new();
                while let Some((key, value)) = access.next_entry::<String, Value>()? {
                    if map.contains_key(&key) {
                        return Err(A::Error::custom(format_args!("`{key}` stands twice")));
                    }
                    map.insert(key, value);
                }
                Ok(Attributes(map))
            }
        }

        deserializer.deserialize_map(FrameVisitor)
    }
}

/// Appends a JSON string. Bytes beyond ASCII pass through; only what RFC 8259 s.7 demands is escaped.
pub fn write_text(out: &mut Vec<u8>, text: &str) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    let bytes = text.as_bytes();
    let mut plain_from = 0;
    for (at, &byte) in bytes.iter().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.extend_from_slice(&bytes[plain_from..at]);
        plain_from = at + 1;
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            _ => {
                out.extend_from_slice(b"\\u00");
                out.push(HEX[usize::from(byte >> 4)]);
                out.push(HEX[usize::from(byte & 15)]);
            }
        }
    }
    out.extend_from_slice(&bytes[plain_from..]);
    out.push(b'"');
}

/// Appends a decimal number.
pub fn write_number(out: &mut Vec<u8>, number: u64) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    let mut rest = number;
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// Appends a key-value list as a JSON object. Recurses as deep as the list, which [`parse_frame`] has bounded.
pub fn write_list(out: &mut Vec<u8>, list: &KvList) {
    out.push(b'{');
    for (index, (key, value)) in list.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_text(out, key);
        out.push(b':');
        match value {
            KvValue::Str(text) => write_text(out, text),
            KvValue::Int(number) => {
                if *number < 0 {
                    out.push(b'-');
                }
                write_number(out, number.unsigned_abs());
            }
            KvValue::List(list) => write_list(out, list),
        }
    }
    out.push(b'}');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn frames_that_are_no_single_object_are_refused_with_the_reason() {
        for (text, reason) in [
            ("", "EOF while parsing"),
            ("[]", "expected a JSON object"),
            ("7", "expected a JSON object"),
            ("{\"a\":1", "EOF while parsing"),
            ("{} {}", "trailing characters"),
            ("{\"a\":1,\"a\":2}", "`a` stands twice"),
            ("{\"a\":\"\\ud800\"}", "end of hex escape"),
        ] {
            let error = parse_frame(text).unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }

    #[test]
    fn nesting_is_bounded_at_the_stated_level() {
        let nested = |levels: usize| format!("{}1{}", "{\"a\":".repeat(levels), "}".repeat(levels));
        assert!(parse_frame(&nested(MAX_DEPTH)).is_ok());
        assert_eq!(
            parse_frame(&nested(MAX_DEPTH + 1)).unwrap_err(),
            "nested deeper than 16 levels"
        );
        assert!(parse_frame(&nested(100_000)).is_err());
        assert!(parse_frame(r#"{"a":"[[[[[[[[[[[[[[[[[[[[[[\"{{{{{{{{{{{{{{{{{{{{{{"}"#).is_ok());
    }

    #[test]
    fn the_number_of_values_and_bytes_is_bounded() {
        let zeros = |count: usize| format!("{{\"a\":[{}0]}}", "0,".repeat(count - 1));
        assert!(parse_frame(&zeros(1000)).is_ok());
        assert_eq!(parse_frame(&zeros(MAX_VALUES)).unwrap_err(), "more than 16384 values");
        let long = format!("{{\"a\":\"{}\"}}", "x".repeat(MAX_FRAME_BYTES));
        assert_eq!(parse_frame(&long).unwrap_err(), "longer than 1048576 bytes");
    }

    proptest! {
        #[test]
        fn text_is_read_back_as_it_was(text in any::<String>()) {
            let mut out = Vec::new();
            write_text(&mut out, &text);
            prop_assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text);
        }

        #[test]
        fn numbers_are_written_in_decimal(number in any::<u64>()) {
            let mut out = Vec::new();
            write_number(&mut out, number);
            prop_assert_eq!(String::from_utf8(out).unwrap(), number.to_string());
        }
    }
}
