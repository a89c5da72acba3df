//! What differs between two configurations, option by option: for a server that reads its own again.
//!
//! Invariant: two configurations that differ have at least one [`Difference`], secrets included; none of them shows a value.

use toml::{Table, Value};

use crate::registry::{OptionSpec, TABLES, TableSpec, TakesEffect};
use crate::schema::Config;
use crate::secret::Secret;

/// One option that differs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Difference {
    /// Which one: `sip.t1_ms`, `dn[2].password`; where tables came or went, the list they stand in (`dn[]`).
    pub option: String,
    /// When a change of it takes effect. That tables come or go does when a change of their first option does, which names them; but after a
    /// restart where any of their options does.
    pub takes_effect: TakesEffect,
}

impl Config {
    /// What is different in `other`, in the order of the documentation.
    pub fn differences(&self, other: &Self) -> Vec<Difference> {
        let tables = |config: &Self| Table::try_from(config).unwrap_or_default();
        let (ours, theirs) = (tables(self), tables(other));
        let mut found = Vec::new();
        for table in TABLES {
            let name = table.path.trim_end_matches("[]");
            match (find(&ours, name), find(&theirs, name)) {
                (Some(Value::Array(before)), Some(Value::Array(after))) if before.len() != after.len() => {
                    found.push(of_list(table));
                }
                (Some(Value::Array(before)), Some(Value::Array(after))) => {
                    for (n, (before, after)) in before.iter().zip(after).enumerate() {
                        for option in table.options() {
                            let secrets = || secret(self, option.path, n) != secret(other, option.path, n);
                            if value(before, option) != value(after, option) || secrets() {
                                found.push(difference(format!("{name}[{n}].{}", option.name()), option));
                            }
                        }
                    }
                }
                (Some(before), Some(after)) => {
                    let changed = table.options().filter(|option| value(before, option) != value(after, option));
                    found.extend(changed.map(|option| difference(option.path.to_owned(), option)));
                }
                // An empty list is not written.
                (None, None) => {}
                _ => found.push(of_list(table)),
            }
        }
        found
    }
}

fn difference(option: String, spec: &OptionSpec) -> Difference {
    Difference {
        option,
        takes_effect: spec.takes_effect,
    }
}

fn of_list(table: &TableSpec) -> Difference {
    let restart = table
        .options()
        .find(|option| option.takes_effect == TakesEffect::AfterRestart);
    let first = restart.or_else(|| table.options().next());
    Difference {
        option: table.path.to_owned(),
        takes_effect: first.map_or(TakesEffect::AfterRestart, |option| option.takes_effect),
    }
}

fn value<'a>(table: &'a Value, option: &OptionSpec) -> Option<&'a Value> {
    table.get(option.name())
}

/// A secret of the `n`th table of a list: as it is written, every one of its length looks alike.
fn secret<'a>(config: &'a Config, option: &str, n: usize) -> Option<&'a Secret> {
    match option {
        "cti.api_key[].key" => config.cti.api_key.get(n)?.key.as_ref(),
        "dn[].password" => config.dn.get(n)?.password.as_ref(),
        "dn_range[].password" => config.dn_range.get(n)?.password.as_ref(),
        "trunk[].password" => config.trunk.get(n)?.password.as_ref(),
        "conference_dn[].pin" => config.conference_dn.get(n)?.pin.as_ref(),
        "conference_dn[].moderator_pin" => config.conference_dn.get(n)?.moderator_pin.as_ref(),
        _ => None,
    }
}

fn find<'a>(table: &'a Table, path: &str) -> Option<&'a Value> {
    match path.split_once('.') {
        None => table.get(path),
        Some((section, rest)) => find(table.get(section)?.as_table()?, rest),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::registry::OPTIONS;

    const BASE: &str = "[[dn]]\ndn = \"sip:1@x\"\npassword = \"secret-1\"\n";

    fn config(text: &str) -> Config {
        let loaded = Config::from_toml(text, Path::new("tandem.toml"), &[], []);
        loaded
            .map(|loaded| loaded.config)
            .unwrap_or_else(|problems| panic!("{problems:?}"))
    }

    fn changed(before: &str, after: &str) -> Vec<(String, TakesEffect)> {
        let differences = config(before).differences(&config(after));
        differences
            .into_iter()
            .map(|found| (found.option, found.takes_effect))
            .collect()
    }

    #[test]
    fn each_option_that_differs_is_named_with_when_it_takes_effect() {
        let domains = "[sip]\ndomains = [\"x\"]\n";
        let base = format!("{domains}{BASE}");
        assert_eq!(changed(&base, &base), []);
        let after = format!("{domains}t1_ms = 100\n[log]\nfilter = \"debug\"\n{BASE}");
        let expected = [
            ("sip.t1_ms".to_owned(), TakesEffect::AfterRestart),
            ("log.filter".to_owned(), TakesEffect::Immediately),
        ];
        assert_eq!(changed(&base, &after), expected);
        let more = format!("{base}[[dn]]\ndn = \"sip:2@x\"\n");
        assert_eq!(changed(&base, &more), [("dn[]".to_owned(), TakesEffect::Immediately)]);
        let none = domains.to_owned();
        assert_eq!(changed(&base, &none), [("dn[]".to_owned(), TakesEffect::Immediately)]);
        let rule = format!("{base}[[dial_rule]]\npattern = \"0.\"\nallow = false\n");
        assert_eq!(changed(&base, &rule), [("dial_rule[]".to_owned(), TakesEffect::NextCall)]);
        let listener = format!("{base}[[sip.listener]]\nbind = \"127.0.0.1:5070\"\n");
        assert_eq!(
            changed(&base, &listener),
            [("sip.listener[]".to_owned(), TakesEffect::AfterRestart)]
        );
    }

    #[test]
    fn a_secret_of_the_same_length_is_another_one() {
        let domains = "[sip]\ndomains = [\"x\"]\n";
        let before = format!("{domains}{BASE}");
        let after = before.replace("secret-1", "secret-2");
        assert_eq!(
            changed(&before, &after),
            [("dn[0].password".to_owned(), TakesEffect::Immediately)]
        );
    }

    #[test]
    fn every_secret_of_the_registry_is_looked_at() {
        let key = "[[cti.api_key]]\nname = \"a\"\nkey = \"12345678\"\n";
        let tables = "[[dn]]\ndn = \"sip:1@tandem.local\"\npassword = \"p\"\n[[dn_range]]\ndn = \"sip:{n}@tandem.local\"\nfirst = 5\nlast = 6\n\
                      password = \"p\"\n[[trunk]]\ndn = \"sip:t@tandem.local\"\naddress = \"sip:192.0.2.1\"\nusername = \"u\"\npassword = \"p\"\n\
                      [[conference_dn]]\ndn = \"sip:c@tandem.local\"\npin = \"12\"\nmoderator_pin = \"34\"\n";
        let config = config(&format!("{key}{tables}"));
        for option in OPTIONS.iter().filter(|option| option.kind.is_secret()) {
            assert!(secret(&config, option.path, 0).is_some(), "{}", option.path);
        }
    }
}
