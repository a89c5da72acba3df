//! Options set from outside the file: environment variables `TANDEM_SECTION__KEY` and arguments `--set section.key=value`.
//!
//! The registry's type says how the text is read: text as it stands, numbers and booleans as TOML, a list as TOML or separated by
//! commas, a list of tables (`TANDEM_TRUNK`, `--set trunk=[...]`) as TOML.

use figment::value::{Dict, Value};
use toml_edit::Item;

use crate::problem::{Fault, Place};
use crate::reader::{self, Reader, Reading, SEED_SECTIONS};
use crate::registry::{self, Kind, OptionSpec};

/// What the name of an environment variable of Tandem's begins with.
pub(crate) const PREFIX: &str = "TANDEM_";

/// The option path that an environment variable sets; `None` where it is not one of ours. `TANDEM_CONFIG` and its like, without a
/// section, belong to the command line.
pub(crate) fn variable_path(name: &str) -> Option<String> {
    let path = name.strip_prefix(PREFIX)?.to_lowercase().replace("__", ".");
    let is_list = registry::table(&format!("{path}[]")).is_some();
    (path.contains('.') || is_list).then_some(path)
}

/// Reads one override into `dict`.
pub(crate) fn read(path: &str, text: &str, place: &Place, reading: &mut Reading, dict: &mut Dict) {
    let locate = |_| place.clone();
    if let Some(option) = registry::option(path).filter(|option| !option.path.contains('[')) {
        let value = value_of(option, text);
        if let Some(value) = (Reader {
            reading,
            locate: &locate,
        })
        .value(option, path, &value)
        {
            insert(dict, path, value);
        }
    } else if let Some(array) = registry::table(&format!("{path}[]")) {
        let item = match text.trim().parse::<toml_edit::Value>() {
            Ok(value) => Item::Value(value),
            Err(error) => {
                let fault = Fault::Syntax {
                    reason: error.message().lines().collect::<Vec<_>>().join(", "),
                };
                return reading.refuse(path, place, fault);
            }
        };
        if let Some(elements) = (Reader {
            reading,
            locate: &locate,
        })
        .array(array, path, &item)
        {
            insert(dict, path, elements.into());
        }
    } else {
        reading.refuse(path, place, fault_of(path));
    }
}

fn fault_of(path: &str) -> Fault {
    let list = registry::TABLES.iter().filter(|table| table.is_array()).find(|table| {
        let name = table.path.trim_end_matches("[]");
        path.strip_prefix(name).is_some_and(|rest| rest.starts_with(['.', '[']))
    });
    if let Some(list) = list {
        return Fault::ElementOfList {
            name: list.path.trim_end_matches("[]").to_owned(),
        };
    }
    if let Some(table) = registry::table(path) {
        return Fault::NotATable {
            name: path.to_owned(),
            heading: table.heading(),
            found: "a value",
        };
    }
    match path.rsplit_once('.') {
        Some((table, name)) if registry::table(table).is_some() || SEED_SECTIONS.contains(&table) => {
            reader::unknown(table, name, false)
        }
        Some((table, _)) => reader::unknown("", table, true),
        None => reader::unknown("", path, false),
    }
}

fn value_of(option: &OptionSpec, text: &str) -> toml_edit::Value {
    let trimmed = text.trim();
    let as_toml = || trimmed.parse::<toml_edit::Value>().ok();
    match option.kind {
        Kind::List { of, .. } if !trimmed.starts_with('[') => {
            let parts = trimmed.split(',').map(str::trim).filter(|part| !part.is_empty());
            let values = parts.map(|part| {
                if of.is_string() {
                    part.into()
                } else {
                    part.parse().unwrap_or_else(|_| part.into())
                }
            });
            toml_edit::Value::Array(values.collect::<Vec<toml_edit::Value>>().into_iter().collect())
        }
        kind if kind.is_string() => {
            let quoted = trimmed.len() >= 2 && trimmed.starts_with('"') && trimmed.ends_with('"');
            as_toml()
                .filter(|value| quoted && value.is_str())
                .unwrap_or_else(|| text.into())
        }
        _ => as_toml().unwrap_or_else(|| text.into()),
    }
}

/// Puts a value at a path of nested tables.
pub(crate) fn insert(dict: &mut Dict, path: &str, value: Value) {
    match path.split_once('.') {
        None => {
            dict.insert(path.to_owned(), value);
        }
        Some((section, rest)) => {
            if let Value::Dict(_, inner) = dict.entry(section.to_owned()).or_insert_with(|| Dict::new().into()) {
                insert(inner, rest, value);
            }
        }
    }
}
