//! Key-value lists: user data, extensions, reasons, treatment parameters. The order of keys is kept.

use std::collections::HashMap;
use std::fmt;

use serde::de::{self, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// One value of a [`KvList`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum KvValue {
    /// A 64-bit integer (T-Library's is 32 bits; a wider one is kept).
    Int(i64),
    /// Text, passed through byte for byte.
    Str(String),
    /// A nested list.
    List(KvList),
}

impl From<&str> for KvValue {
    fn from(text: &str) -> Self {
        Self::Str(text.to_owned())
    }
}

impl From<String> for KvValue {
    fn from(text: String) -> Self {
        Self::Str(text)
    }
}

impl From<i64> for KvValue {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

/// An ordered list of key-value pairs. Keys are unique: setting one again replaces its value in place.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct KvList(Vec<(String, KvValue)>);

impl KvList {
    /// An empty list.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether there is no pair.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The number of pairs.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The value under `key`.
    pub fn value(&self, key: &str) -> Option<&KvValue> {
        self.0.iter().find(|(k, _)| k == key).map(|(_, v)| v)
    }

    /// The value under `key`, where it is text.
    pub fn text(&self, key: &str) -> Option<&str> {
        match self.value(key) {
            Some(KvValue::Str(text)) => Some(text),
            _ => None,
        }
    }

    /// Adds a pair, or replaces the value of a key that is there.
    pub fn set(&mut self, key: impl Into<String>, value: impl Into<KvValue>) {
        let (key, value) = (key.into(), value.into());
        match self.0.iter_mut().find(|(k, _)| *k == key) {
            Some(pair) => pair.1 = value,
            None => self.0.push((key, value)),
        }
    }

    /// Sets every pair of `other`, in its order.
    pub fn merge(&mut self, other: &KvList) {
        for (key, value) in &other.0 {
            self.set(key.clone(), value.clone());
        }
    }

    /// Does here what made `after` of `before`: sets each pair that was set or changed, removes each key that was removed.
    pub fn merge_changes(&mut self, before: &KvList, after: &KvList) {
        let (was, is): (HashMap<_, _>, HashMap<_, _>) = (before.iter().collect(), after.iter().collect());
        self.0.retain(|(key, _)| is.contains_key(&**key) || !was.contains_key(&**key));
        for (key, value) in after.iter().filter(|(key, value)| was.get(key) != Some(value)) {
            self.set(key, value.clone());
        }
    }

    /// Removes a key; says whether it was there.
    pub fn remove(&mut self, key: &str) -> bool {
        let before = self.0.len();
        self.0.retain(|(k, _)| k != key);
        self.0.len() != before
    }

    /// Removes each key of `other`.
    pub fn remove_all(&mut self, other: &KvList) {
        self.0.retain(|(key, _)| other.value(key).is_none());
    }

    /// Removes every pair.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// The same keys with each value masked as `**** (length:nn)`, for logs (seed 002 line 2490).
    pub fn masked(&self) -> KvList {
        let mask = |length: usize| KvValue::Str(format!("**** (length:{length})"));
        let masked = |value: &KvValue| match value {
            KvValue::Int(number) => mask(number.to_string().len()),
            KvValue::Str(text) => mask(text.len()),
            KvValue::List(list) => KvValue::List(list.masked()),
        };
        Self(self.0.iter().map(|(key, value)| (key.clone(), masked(value))).collect())
    }

    /// The pairs in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &KvValue)> {
        self.0.iter().map(|(k, v)| (k.as_str(), v))
    }
}

impl<K: Into<String>, V: Into<KvValue>> FromIterator<(K, V)> for KvList {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        let mut list = Self::new();
        for (key, value) in pairs {
            list.set(key, value);
        }
        list
    }
}

impl fmt::Debug for KvList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.0.iter().map(|(k, v)| (k, v))).finish()
    }
}

impl Serialize for KvList {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (key, value) in &self.0 {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for KvList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ListVisitor;

        impl<'de> Visitor<'de> for ListVisitor {
            type Value = KvList;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of strings, integers and nested objects")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<KvList, A::Error> {
                let mut list = KvList::new();
                while let Some(key) = map.next_key::<String>()? {
                    let value = map
                        .next_value::<KvValue>()
                        .map_err(|_| de::Error::custom(format!("{key}: not a string, an integer or an object")))?;
                    list.set(key, value);
                }
                Ok(list)
            }
        }

        deserializer.deserialize_map(ListVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_order_of_keys_and_replaces_in_place() {
        let mut list: KvList = [("b", "1"), ("a", "2")].into_iter().collect();
        list.set("b", "3");
        assert_eq!(serde_json::to_string(&list).unwrap(), r#"{"b":"3","a":"2"}"#);
    }

    #[test]
    fn changes_are_done_to_a_list_that_has_changed_too() {
        let list = |pairs: &[(&str, &str)]| pairs.iter().copied().collect::<KvList>();
        let before = list(&[
            ("kept", "1"),
            ("changed", "1"),
            ("deleted", "1"),
            ("gone", "1"),
            ("both", "1"),
        ]);
        let after = list(&[("kept", "1"), ("changed", "2"), ("gone", "1"), ("both", "2"), ("added", "2")]);
        let mut here = list(&[("deleted", "3"), ("kept", "3"), ("changed", "1"), ("both", "3"), ("own", "3")]);
        here.merge_changes(&before, &after);
        let expected = [("kept", "3"), ("changed", "2"), ("both", "2"), ("own", "3"), ("added", "2")];
        assert_eq!(here, list(&expected));
        let mut all = list(&[("own", "3")]);
        all.merge_changes(&KvList::new(), &after);
        assert_eq!(all.len(), 6, "with nothing before, all of it was set");
    }

    #[test]
    fn masked_lists_tell_lengths_and_nothing_else() {
        let inner: KvList = [("pin", "1234")].into_iter().collect();
        let mut list: KvList = [("name", "Ada")].into_iter().collect();
        list.set("n", KvValue::List(inner));
        let text = format!("{:?}", list.masked());
        assert!(text.contains("**** (length:3)") && text.contains("**** (length:4)"), "{text}");
        assert!(!text.contains("Ada") && !text.contains("1234"));
    }

    #[test]
    fn refuses_values_that_t_library_has_no_type_for() {
        let error = serde_json::from_str::<KvList>(r#"{"a":1,"b":[1]}"#).unwrap_err();
        assert!(error.to_string().starts_with("b: not a string"));
        let list: KvList = serde_json::from_str(r#"{"a":1,"n":{"x":"y"}}"#).unwrap();
        assert_eq!(list.value("a"), Some(&KvValue::Int(1)));
    }
}
