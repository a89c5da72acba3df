//! Reads the attributes of a request frame, one by name and type. Every refusal names the attribute.
//!
//! The rule for the code: **223 (bad parameter)** where a parameter of the frame is missing or the frame itself is wrong; **53 (bad
//! attribute)** where an attribute is there and its type or value is wrong. `null` is the same as absent.

use serde_json::{Map, Value};
use tandem_model::{ConnId, DnId, KvList, KvValue, TError, TErrorCode};

use crate::vocabulary::{Vocabulary, names};
use crate::{MAX_DN_BYTES, MAX_PAIRS};

/// The attributes of one object.
pub struct Fields<'a>(pub &'a Map<String, Value>);

type Field<T> = Result<T, TError>;

/// `name` may be the path of a nested list, so both ends of a long one are kept: where it starts and what is wrong there.
fn bad(name: &str, what: impl std::fmt::Display) -> TError {
    let skipped = name.chars().count().saturating_sub(2 * PATH_END);
    let message = match skipped {
        0 => format!("{name}: {what}"),
        _ => {
            let (start, rest) = split_at_char(name, PATH_END);
            format!("{start}[{skipped} characters]{}: {what}", split_at_char(rest, skipped).1)
        }
    };
    TError::new(TErrorCode::InvalidAttribute, message)
}

/// The characters shown of each end of the path of an attribute that is too long to be shown whole.
const PATH_END: usize = 100;

fn split_at_char(text: &str, count: usize) -> (&str, &str) {
    text.split_at(text.char_indices().nth(count).map_or(text.len(), |(at, _)| at))
}

impl<'a> Fields<'a> {
    /// The raw value, `None` where it is absent or null.
    pub fn value(&self, name: &str) -> Option<&'a Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    fn missing(&self, name: &str) -> TError {
        let near = self.0.keys().find(|key| key.eq_ignore_ascii_case(name) && *key != name);
        let text = match near {
            Some(key) => format!("{name}: missing (there is `{key}`; names are case-sensitive)"),
            None => format!("{name}: missing"),
        };
        TError::new(TErrorCode::BadParameter, text)
    }

    fn required<T>(&self, name: &str, value: Field<Option<T>>) -> Field<T> {
        value?.ok_or_else(|| self.missing(name))
    }

    /// Text, where there is some.
    pub fn optional_text(&self, name: &str) -> Field<Option<&'a str>> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(bad(name, format_args!("{}, not text", kind(other)))),
        }
    }

    /// Text that must be there; it may be empty.
    pub fn text(&self, name: &str) -> Field<&'a str> {
        self.required(name, self.optional_text(name))
    }

    /// Text that must be there and not be empty.
    pub fn filled_text(&self, name: &str) -> Field<&'a str> {
        match self.text(name)? {
            "" => Err(bad(name, "empty")),
            text => Ok(text),
        }
    }

    /// A whole number from 0 to `max`, where there is one.
    pub fn optional_number(&self, name: &str, max: u64) -> Field<Option<u64>> {
        let Some(value) = self.value(name) else {
            return Ok(None);
        };
        match value {
            Value::Number(number) => match number.as_u64() {
                Some(number) if number <= max => Ok(Some(number)),
                _ => Err(bad(name, format_args!("{number} is not a whole number from 0 to {max}"))),
            },
            other => Err(bad(name, format_args!("{}, not a number", kind(other)))),
        }
    }

    /// A whole number that must be there.
    pub fn number(&self, name: &str, max: u64) -> Field<u64> {
        self.required(name, self.optional_number(name, max))
    }

    /// The value of an enumeration by name or number, where there is one.
    pub fn optional_choice<T: Vocabulary>(&self, name: &str) -> Field<Option<T>> {
        let Some(value) = self.value(name) else {
            return Ok(None);
        };
        let found = match value {
            Value::String(text) => match T::from_name(text) {
                None if text.parse::<u32>().is_ok() => {
                    return Err(bad(
                        name,
                        format_args!("\"{text}\" is text; send the number {text} or a name ({})", names::<T>()),
                    ));
                }
                found => found,
            },
            Value::Number(number) => number
                .as_u64()
                .and_then(|number| u32::try_from(number).ok())
                .and_then(T::from_number),
            other => return Err(bad(name, format_args!("{}, not a name or number", kind(other)))),
        };
        match found {
            Some(found) => Ok(Some(found)),
            None => Err(bad(name, format_args!("{} is none of {}", shown(value), names::<T>()))),
        }
    }

    /// The value of an enumeration, or `default` where it is absent.
    pub fn choice<T: Vocabulary>(&self, name: &str, default: T) -> Field<T> {
        Ok(self.optional_choice(name)?.unwrap_or(default))
    }

    /// A DN that must be there.
    pub fn dn(&self, name: &str) -> Field<DnId> {
        let text = self.dialled(name)?;
        let parameters = text.split_once('@').is_some_and(|(_, host)| host.contains([';', '?', '@']));
        if parameters || text.contains(char::is_whitespace) {
            return Err(bad(name, "a DN is a URI without parameters, or a bare name"));
        }
        Ok(DnId::new(text))
    }

    /// A number or URI as dialled, that must be there. What could break out of a SIP header is refused.
    pub fn dialled(&self, name: &str) -> Field<&'a str> {
        let text = self.filled_text(name)?;
        if text.len() > MAX_DN_BYTES {
            return Err(bad(name, format_args!("longer than {MAX_DN_BYTES} bytes")));
        }
        if text.trim().is_empty() {
            return Err(bad(name, "blank"));
        }
        match text.chars().find(|c| c.is_control() || matches!(c, '<' | '>' | '"')) {
            Some(c) => Err(bad(name, format_args!("{c:?} cannot stand in a DN"))),
            None => Ok(text),
        }
    }

    /// A ConnID that must be there.
    pub fn conn_id(&self, name: &str) -> Field<ConnId> {
        let text = self.text(name)?;
        text.parse().map_err(|()| bad(name, "not 1 to 16 hex digits"))
    }

    /// A key-value list, where there is one.
    pub fn optional_list(&self, name: &str) -> Field<Option<KvList>> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::Object(map)) => list(name, map).map(Some),
            Some(other) => Err(bad(name, format_args!("{}, not an object", kind(other)))),
        }
    }

    /// A key-value list, empty where it is absent.
    pub fn list(&self, name: &str) -> Field<KvList> {
        Ok(self.optional_list(name)?.unwrap_or_default())
    }

    /// A key-value list that must be there.
    pub fn required_list(&self, name: &str) -> Field<KvList> {
        self.required(name, self.optional_list(name))
    }

    /// A list of values of an enumeration that must be there; `other` says which texts or numbers to pass over.
    pub fn choices<T: Vocabulary>(&self, name: &str, other: impl Fn(&Value) -> bool) -> Field<Vec<T>> {
        let values = match self.value(name) {
            None => return Err(self.missing(name)),
            Some(Value::Array(values)) => values,
            Some(value) => return Err(bad(name, format_args!("{}, not an array", kind(value)))),
        };
        let mut found = Vec::new();
        for value in values {
            let choice = match value {
                Value::String(text) => T::from_name(text),
                Value::Number(number) => number
                    .as_u64()
                    .and_then(|number| u32::try_from(number).ok())
                    .and_then(T::from_number),
                _ => None,
            };
            match choice {
                Some(choice) => found.push(choice),
                None if other(value) => {}
                None => return Err(bad(name, format_args!("there is no {}", shown(value)))),
            }
        }
        Ok(found)
    }
}

/// A JSON object as a key-value list. `path` names it in errors.
fn list(path: &str, map: &Map<String, Value>) -> Field<KvList> {
    if map.len() > MAX_PAIRS {
        return Err(bad(path, format_args!("more than {MAX_PAIRS} pairs")));
    }
    let mut list = KvList::new();
    for (key, value) in map {
        let value = match value {
            Value::String(text) => KvValue::Str(text.clone()),
            Value::Object(map) => KvValue::List(self::list(&format!("{path}.{}", clipped(key)), map)?),
            Value::Number(number) => match number.as_i64() {
                Some(number) => KvValue::Int(number),
                None => return Err(bad(path, format_args!("{}: {number} is not a 64-bit integer", clipped(key)))),
            },
            other => {
                let text = format_args!("{}: {}, not text, an integer or an object", clipped(key), kind(other)).to_string();
                return Err(bad(path, text));
            }
        };
        list.set(key.clone(), value);
    }
    Ok(list)
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// A value as it may stand in an error text: never longer than a line.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => format!("\"{}\"", clipped(text)),
        Value::Number(number) => number.to_string(),
        other => kind(other).to_owned(),
    }
}

/// The first 40 characters.
pub fn clipped(text: &str) -> &str {
    split_at_char(text, 40).0
}
