//! The registry and the typed configuration say the same.

use std::collections::BTreeSet;

use serde::de::{Deserialize, Deserializer, Error, Visitor};
use serde::forward_to_deserialize_any;

use crate::registry::{Fallback, OPTIONS, TABLES, option, table};
use crate::{ApiKey, Calls, Conference, ConferenceDn, Config, Connectors, Cti, DialPlan, DialRule, Dn, DnFolder, DnRange};
use crate::{Http, Journal, Limits, Link, LinkTls, Listener, Log, Media, Registrar, Server, Sip, Sizing, Trunk};

/// A deserializer that has nothing to read: it only listens to which fields a struct asks for.
struct FieldNames<'a>(&'a mut Vec<&'static str>);

impl<'de> Deserializer<'de> for FieldNames<'_> {
    type Error = serde::de::value::Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Self::Error> {
        Err(Error::custom("not a struct"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Self::Error> {
        self.0.extend(fields);
        Err(Error::custom("the names are known now"))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit unit_struct newtype_struct seq tuple
        tuple_struct map enum identifier ignored_any
    }
}

fn fields_of<'de, T: Deserialize<'de>>(path: &str) -> Vec<String> {
    let mut names = Vec::new();
    assert!(T::deserialize(FieldNames(&mut names)).is_err());
    assert!(!names.is_empty());
    names
        .into_iter()
        .map(|name| {
            if path.is_empty() {
                name.to_owned()
            } else {
                format!("{path}.{name}")
            }
        })
        .collect()
}

fn every_field() -> BTreeSet<String> {
    [
        fields_of::<Config>(""),
        fields_of::<Server>("server"),
        fields_of::<Sip>("sip"),
        fields_of::<Listener>("sip.listener[]"),
        fields_of::<Registrar>("registrar"),
        fields_of::<Connectors>("connectors"),
        fields_of::<Cti>("cti"),
        fields_of::<ApiKey>("cti.api_key[]"),
        fields_of::<Http>("http"),
        fields_of::<Log>("log"),
        fields_of::<Limits>("limits"),
        fields_of::<DnFolder>("dn_folder[]"),
        fields_of::<Dn>("dn[]"),
        fields_of::<DnRange>("dn_range[]"),
        fields_of::<Trunk>("trunk[]"),
        fields_of::<DialRule>("dial_rule[]"),
        fields_of::<Media>("media"),
        fields_of::<Journal>("journal"),
        fields_of::<Conference>("conference"),
        fields_of::<Link>("link[]"),
        fields_of::<LinkTls>("link_tls"),
        fields_of::<Calls>("calls"),
        fields_of::<ConferenceDn>("conference_dn[]"),
        fields_of::<DialPlan>("dial_plan[]"),
        fields_of::<Sizing>("sizing"),
    ]
    .concat()
    .into_iter()
    .collect()
}

#[test]
fn every_field_stands_in_the_registry_and_every_option_is_a_field() {
    let tables = TABLES.iter().map(|table| table.path.trim_end_matches("[]").to_owned());
    let registered: BTreeSet<String> = OPTIONS.iter().map(|option| option.path.to_owned()).chain(tables).collect();
    assert_eq!(registered, every_field());
    assert_eq!(registered.len(), OPTIONS.len() + TABLES.len(), "a name stands twice");
}

#[test]
fn every_option_stands_in_a_table_of_the_registry() {
    for option in OPTIONS {
        assert!(table(option.table()).is_some(), "{}", option.path);
    }
}

#[test]
fn every_default_is_valid() {
    for option in OPTIONS {
        if let Fallback::Value(toml) = option.default {
            let value: toml_edit::Value = toml.parse().unwrap_or_else(|error| panic!("{}: {error}", option.path));
            assert_eq!(option.kind.check(&value), Ok(()), "{}", option.path);
        }
    }
    let defaults = super::loaded("");
    assert_eq!(defaults.config, Config::default());
    assert!(defaults.origins.is_empty());
}

#[test]
fn every_option_has_a_meaning_and_a_valid_range_in_words() {
    for option in OPTIONS {
        assert!(option.meaning.ends_with(['.', ')']), "{}", option.path);
        assert!(!option.meaning.contains("  "), "{}", option.path);
        assert!(!option.kind.to_string().is_empty());
    }
}

#[test]
fn the_documentation_names_every_option() {
    let (text, markdown) = (crate::options_text(None), crate::options_markdown());
    for spec in OPTIONS {
        assert!(text.contains(&format!("  {:32}", spec.name())), "{}", spec.path);
        assert!(markdown.contains(&format!("| `{}` |", spec.name())), "{}", spec.path);
    }
    assert!(crate::options_text(Some("colour")).is_empty());
    assert_eq!(crate::options_matching(Some("T1-ms")).count(), 1);
    assert_eq!(
        option("sip.t1_ms").map(|spec| spec.takes_effect.to_string()),
        Some("after restart".to_owned())
    );
}
