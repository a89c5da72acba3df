//! Records as people read them: MessagePack as JSON, ids as numbers or text, and what callers said of themselves masked.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use tandem_actors::journal::RecordKind;

/// Fields whose values are the business of callers and agents, or that open something, in lower case without `_` and `-`.
const SENSITIVE: [&str; 15] = [
    "userdata",
    "reasons",
    "extensions",
    "digits",
    "dtmfdigits",
    "collected",
    "collecteddigits",
    "pin",
    "password",
    "secret",
    "ha1",
    "nonce",
    "credentials",
    "authorization",
    "masterkey",
];
/// What stands before the key of SRTP in a session description (RFC 4568 s.9.2).
const INLINE_KEY: &str = "inline:";

/// The name of a kind, or its number.
pub fn kind_name(kind: u8) -> String {
    RecordKind::from_number(kind).map_or_else(|| format!("kind-{kind}"), |kind| kind.name().to_owned())
}

/// An id: ConnIDs as CTI clients know them, other numbers as numbers, text as text, the rest in hex digits.
pub fn id_text(kind: u8, id: &[u8]) -> String {
    let named_by_text = matches!(RecordKind::from_number(kind), Some(RecordKind::Bindings | RecordKind::Server));
    let number = <[u8; 8]>::try_from(id)
        .ok()
        .filter(|_| !named_by_text)
        .map(u64::from_be_bytes);
    let text = std::str::from_utf8(id)
        .ok()
        .filter(|text| !text.chars().any(char::is_control));
    match (number, RecordKind::from_number(kind), text) {
        (Some(number), Some(RecordKind::Call | RecordKind::Room), _) => format!("{number:016x}"),
        (Some(number), ..) => number.to_string(),
        (None, _, Some(text)) => text.to_owned(),
        (None, _, None) => hex(id),
    }
}

/// Whether an id is the one that is asked for: as it is shown, or as the number that it is.
pub fn id_matches(kind: u8, id: &[u8], wanted: &str) -> bool {
    let number = <[u8; 8]>::try_from(id).ok().map(u64::from_be_bytes);
    id_text(kind, id) == wanted || (number.is_some() && number == wanted.parse().ok())
}

/// A value as JSON; one that is not MessagePack by its length alone.
pub fn value(bytes: &[u8], show_sensitive: bool) -> Value {
    let mut reader = rmp_serde::Deserializer::from_read_ref(bytes);
    reader.set_max_depth(64);
    let value = match Shown::deserialize(&mut reader) {
        Ok(Shown(value)) => value,
        Err(_) => Value::String(format!("{} bytes that are not MessagePack", bytes.len())),
    };
    if show_sensitive { value } else { masked(value, false) }
}

/// The same with sensitive values masked as `**** (length:nn)` (seed 002 line 2490). `all`: within a sensitive field.
fn masked(value: Value, all: bool) -> Value {
    match value {
        Value::Object(fields) => {
            let fields = fields.into_iter().map(|(name, value)| {
                let sensitive = all || is_sensitive(&name);
                (name, masked(value, sensitive))
            });
            Value::Object(fields.collect())
        }
        Value::Array(values) => Value::Array(values.into_iter().map(|value| masked(value, all)).collect()),
        Value::Null => Value::Null,
        Value::String(text) if all => mask(text.len()),
        other if all => mask(other.to_string().len()),
        Value::String(text) => text_masked(text),
        other => other,
    }
}

fn mask(length: usize) -> Value {
    Value::String(format!("**** (length:{length:02})"))
}

fn is_sensitive(name: &str) -> bool {
    let plain: String = name
        .chars()
        .filter(|c| !matches!(c, '_' | '-'))
        .map(|c| c.to_ascii_lowercase())
        .collect();
    SENSITIVE.contains(&plain.as_str())
}

/// Text that is JSON itself (a frame for CTI clients) is masked as such; keys of SRTP are masked wherever they stand.
fn text_masked(text: String) -> Value {
    if text.starts_with('{')
        && let Ok(inner) = serde_json::from_str::<Value>(&text)
    {
        return Value::String(masked(inner, false).to_string());
    }
    let Some((before, after)) = text.split_once(INLINE_KEY) else {
        return Value::String(text);
    };
    let mut shown = before.to_owned();
    for part in after.split(INLINE_KEY) {
        let end = part.find(|c: char| c == '|' || c.is_whitespace()).unwrap_or(part.len());
        let (key, rest) = part.split_at(end);
        shown.push_str(&format!("{INLINE_KEY}**** (length:{:02}){rest}", key.len()));
    }
    Value::String(shown)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// JSON from whatever MessagePack can hold.
struct Shown(Value);

impl<'de> Deserialize<'de> for Shown {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ShownVisitor).map(Self)
    }
}

struct ShownVisitor;

impl<'de> Visitor<'de> for ShownVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_bytes<E>(self, value: &[u8]) -> Result<Value, E> {
        let text = std::str::from_utf8(value).ok().map(str::to_owned);
        Ok(Value::String(text.unwrap_or_else(|| hex(value))))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        while let Some(Shown(value)) = values.next_element()? {
            array.push(value);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some((Shown(name), Shown(value))) = entries.next_entry()? {
            let name = match name {
                Value::String(name) => name,
                other => other.to_string(),
            };
            object.insert(name, value);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use serde::Serialize;
    use serde_json::json;

    use super::*;

    #[test]
    fn ids_are_shown_as_what_they_are() {
        let number = 0x0071_0253_ffff_0001_u64.to_be_bytes();
        assert_eq!(id_text(RecordKind::Call as u8, &number), "00710253ffff0001");
        assert_eq!(id_text(RecordKind::Event as u8, &7_u64.to_be_bytes()), "7");
        assert_eq!(id_text(RecordKind::Bindings as u8, b"sip:1001"), "sip:1001");
        assert_eq!(id_text(RecordKind::Client as u8, &[0, 1, 2]), "000102");
        assert!(id_matches(RecordKind::Call as u8, &number, "00710253ffff0001"));
        assert!(id_matches(
            RecordKind::Call as u8,
            &number,
            &u64::from_be_bytes(number).to_string()
        ));
        assert!(!id_matches(RecordKind::Call as u8, &number, "1"));
        assert_eq!((kind_name(2).as_str(), kind_name(200).as_str()), ("call", "kind-200"));
    }

    #[derive(Serialize)]
    struct Party {
        dn: &'static str,
        user_data: Vec<(&'static str, u32)>,
        reasons: std::collections::BTreeMap<&'static str, &'static str>,
        sdp: &'static str,
        frame: &'static str,
        none: Option<u8>,
        tag: Option<(u8, f32)>,
    }

    #[test]
    fn what_callers_said_is_masked_and_the_rest_is_not() {
        let party = Party {
            dn: "sip:1001@tandem.local",
            user_data: vec![("account", 4711)],
            reasons: [("why", "secret")].into(),
            sdp: "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj|2^20\r\na=x",
            frame: "{\"event\":\"EventAttachedDataChanged\",\"userData\":{\"account\":\"4711\"}}",
            none: None,
            tag: Some((1, 0.5)),
        };
        let bytes = rmp_serde::to_vec_named(&party).expect("MessagePack");
        let shown = value(&bytes, false);
        assert_eq!(shown["dn"], "sip:1001@tandem.local");
        assert_eq!(shown["user_data"], json!([["**** (length:07)", "**** (length:04)"]]));
        assert_eq!(shown["reasons"], json!({ "why": "**** (length:06)" }));
        assert_eq!(
            shown["sdp"],
            "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:**** (length:40)|2^20\r\na=x"
        );
        let frame = "{\"event\":\"EventAttachedDataChanged\",\"userData\":{\"account\":\"**** (length:04)\"}}";
        assert_eq!(shown["frame"], frame);
        assert_eq!((&shown["none"], &shown["tag"]), (&Value::Null, &json!([1, 0.5])));
        let open = value(&bytes, true);
        assert_eq!(open["user_data"], json!([["account", 4711]]));
    }

    #[test]
    fn bytes_that_are_nothing_are_told_by_their_length() {
        assert_eq!(value(&[0xc1, 0, 0], true), "3 bytes that are not MessagePack");
        assert_eq!(value(&[0x91; 5000], true), "5000 bytes that are not MessagePack");
    }
}
