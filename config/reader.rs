//! Reading one source (the file, an environment variable, a `--set`) against the registry.
//!
//! Invariant: what comes out holds only options of the registry with valid values; everything else became a [`Problem`] with its place.
//! What relates two options to one another is not looked at here.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use figment::value::{Dict, Value};
use toml_edit::{Item, TableLike};

use crate::problem::{Fault, Place, Problem};
use crate::registry::{self, OptionSpec, TableSpec};
use crate::{seed_options, suggestion};

/// The sections in which the options of the seed would stand.
pub(crate) const SEED_SECTIONS: [&str; 3] = ["tserver", "dn[].options", "trunk[].options"];

/// What has been read so far.
#[derive(Default)]
pub(crate) struct Reading {
    /// What is wrong.
    pub problems: Vec<Problem>,
    /// Where each option, table and element of a list stands: `dn[3].password`.
    pub places: BTreeMap<String, Place>,
    /// The options that stand there but were refused.
    pub refused: BTreeSet<String>,
}

impl Reading {
    /// Reports a source that cannot be used at all.
    pub fn refuse(&mut self, at: &str, place: &Place, fault: Fault) {
        self.refused.insert(at.to_owned());
        self.problems.push(Problem {
            place: place.clone(),
            fault,
        });
    }
}

/// Reads one source into a [`Reading`].
pub(crate) struct Reader<'a> {
    /// What is read into.
    pub reading: &'a mut Reading,
    /// Turns a range of bytes of the source into a place.
    pub locate: &'a dyn Fn(Option<Range<usize>>) -> Place,
}

impl Reader<'_> {
    /// Reads a table: `schema` is its path in the registry (`dn[]`, empty for the whole file), `at` its own path (`dn[3]`).
    pub fn table(&mut self, schema: &str, at: &str, table: &dyn TableLike) -> Dict {
        let mut dict = Dict::new();
        for (name, item) in table.iter() {
            let key_span = table.get_key_value(name).and_then(|(key, _)| key.span()).or(item.span());
            let (schema, at) = (Path { table: schema, name }, join(at, name));
            if let Some(option) = registry::option(&schema.of_option()) {
                if let Some(value) = self.option(option, &at, item) {
                    dict.insert(name.to_owned(), value);
                }
            } else if let Some(single) = registry::table(&schema.of_option()) {
                if let Some(inner) = self.single(single, &at, item) {
                    dict.insert(name.to_owned(), inner.into());
                }
            } else if let Some(array) = registry::table(&schema.of_array()) {
                if let Some(elements) = self.array(array, &at, item) {
                    dict.insert(name.to_owned(), elements.into());
                }
            } else if SEED_SECTIONS.contains(&schema.of_option().as_str()) && item.is_table_like() {
                self.seed_section(&schema.of_option(), item);
            } else {
                let fault = unknown(schema.table, name, item.is_table_like() || item.is_array_of_tables());
                self.report((self.locate)(key_span), fault);
            }
        }
        dict
    }

    /// Reads a list of tables.
    pub fn array(&mut self, spec: &TableSpec, at: &str, item: &Item) -> Option<Vec<Value>> {
        // A later source replaces the list as a whole.
        let elements_of = format!("{at}[");
        self.reading.places.retain(|place, _| !place.starts_with(&elements_of));
        self.reading.places.insert(at.to_owned(), (self.locate)(item.span()));
        let tables: Vec<(Option<Range<usize>>, &dyn TableLike)> = match item {
            Item::ArrayOfTables(tables) => tables.iter().map(|table| (table.span(), table as &dyn TableLike)).collect(),
            Item::Value(toml_edit::Value::Array(values)) if values.iter().all(toml_edit::Value::is_inline_table) => values
                .iter()
                .filter_map(|value| Some((value.span(), value.as_inline_table()? as &dyn TableLike)))
                .collect(),
            other => {
                self.not_a_table(spec, at, other);
                return None;
            }
        };
        let mut elements = Vec::with_capacity(tables.len());
        for (n, (span, table)) in tables.into_iter().enumerate() {
            let at = format!("{at}[{n}]");
            self.reading.places.insert(at.clone(), (self.locate)(span));
            elements.push(self.table(spec.path, &at, table).into());
        }
        Some(elements)
    }

    /// Reads a value; `None` where it is refused.
    pub fn value(&mut self, option: &OptionSpec, at: &str, value: &toml_edit::Value) -> Option<Value> {
        let place = (self.locate)(value.span());
        self.reading.places.insert(at.to_owned(), place.clone());
        let refusals = match option.kind.check(value) {
            Ok(()) => return converted(value),
            Err(refusals) => refusals,
        };
        self.reading.refused.insert(at.to_owned());
        for refusal in refusals {
            let place = refusal.span.map_or_else(|| place.clone(), |span| (self.locate)(Some(span)));
            let (option_name, valid) = (option.name().to_owned(), refusal.valid);
            let fault = match (refusal.wrong_type, refusal.reason) {
                (true, Some(found)) => Fault::WrongType {
                    option: option_name,
                    value: refusal.value,
                    found,
                    valid,
                },
                (_, reason) => Fault::Invalid {
                    option: option_name,
                    value: refusal.value,
                    reason,
                    valid,
                },
            };
            self.report(place, fault);
        }
        None
    }

    fn option(&mut self, option: &OptionSpec, at: &str, item: &Item) -> Option<Value> {
        if let Some(value) = item.as_value() {
            return self.value(option, at, value);
        }
        let place = (self.locate)(item.span());
        self.reading.refused.insert(at.to_owned());
        let fault = Fault::WrongType {
            option: option.name().to_owned(),
            value: if item.is_table() { "[...]" } else { "[[...]]" }.to_owned(),
            found: "that is a table".to_owned(),
            valid: option.kind.to_string(),
        };
        self.report(place, fault);
        None
    }

    fn single(&mut self, spec: &TableSpec, at: &str, item: &Item) -> Option<Dict> {
        match item.as_table_like() {
            Some(table) => {
                self.reading.places.insert(at.to_owned(), (self.locate)(item.span()));
                Some(self.table(spec.path, at, table))
            }
            None => {
                self.not_a_table(spec, at, item);
                None
            }
        }
    }

    fn not_a_table(&mut self, spec: &TableSpec, at: &str, item: &Item) {
        let found = match item {
            Item::Value(value) => registry::found(value),
            Item::ArrayOfTables(_) => "a list of tables",
            Item::Table(_) | Item::None => "a single table",
        };
        let fault = Fault::NotATable {
            name: at.to_owned(),
            heading: spec.heading(),
            found,
        };
        self.reading.refused.insert(at.to_owned());
        self.report((self.locate)(item.span()), fault);
    }

    /// Every option of the seed is answered, none is ignored.
    fn seed_section(&mut self, schema: &str, item: &Item) {
        let Some(table) = item.as_table_like() else { return };
        for (name, value) in table.iter() {
            let span = table.get_key_value(name).and_then(|(key, _)| key.span()).or(value.span());
            self.report((self.locate)(span), unknown(schema, name, false));
        }
    }

    fn report(&mut self, place: Place, fault: Fault) {
        self.reading.problems.push(Problem { place, fault });
    }
}

/// The fault of a name that the registry does not have.
pub(crate) fn unknown(schema: &str, name: &str, is_table: bool) -> Fault {
    if let Some(option) = seed_options::find(name) {
        return Fault::Unsupported {
            option: name.to_owned(),
            instead: option.instead,
        };
    }
    let hint = match SEED_SECTIONS.contains(&schema) {
        true => suggestion::nearest(name, seed_options::names()).map(did_you_mean),
        false => hint(schema, name),
    };
    match schema {
        "" if is_table => Fault::UnknownTable {
            name: name.to_owned(),
            hint,
        },
        "" => Fault::UnknownKey {
            key: name.to_owned(),
            table: "the top level".to_owned(),
            hint,
        },
        _ => Fault::UnknownKey {
            key: name.to_owned(),
            table: registry::heading(schema),
            hint,
        },
    }
}

/// What could have been meant: a near name in the same table, or the very name in another one.
fn hint(schema: &str, name: &str) -> Option<String> {
    let bare = |path: &'static str| path.trim_end_matches("[]").rsplit('.').next().unwrap_or(path);
    let parent = |path: &'static str| path.trim_end_matches("[]").rsplit_once('.').map_or("", |(parent, _)| parent);
    let here = registry::OPTIONS
        .iter()
        .filter(|option| option.table() == schema)
        .map(OptionSpec::name);
    let below = registry::TABLES
        .iter()
        .filter(|table| parent(table.path) == schema)
        .map(|table| bare(table.path));
    if let Some(near) = suggestion::nearest(name, here.chain(below)) {
        return Some(did_you_mean(near));
    }
    if let Some(option) = registry::OPTIONS.iter().find(|option| option.name() == name) {
        return Some(format!("`{name}` stands in {}", registry::heading(option.table())));
    }
    let table = registry::TABLES.iter().find(|table| bare(table.path) == name)?;
    Some(format!("did you mean {}?", table.heading()))
}

fn did_you_mean(name: &str) -> String {
    format!("did you mean `{name}`?")
}

/// A name in a table, as paths of the registry.
struct Path<'a> {
    table: &'a str,
    name: &'a str,
}

impl Path<'_> {
    fn of_option(&self) -> String {
        join(self.table, self.name)
    }

    fn of_array(&self) -> String {
        format!("{}[]", self.of_option())
    }
}

fn join(table: &str, name: &str) -> String {
    if table.is_empty() {
        name.to_owned()
    } else {
        format!("{table}.{name}")
    }
}

/// A checked value as figment has it; `None` for what no option can be.
pub(crate) fn converted(value: &toml_edit::Value) -> Option<Value> {
    match value {
        toml_edit::Value::String(text) => Some(text.value().as_str().into()),
        toml_edit::Value::Integer(n) => Some((*n.value()).into()),
        toml_edit::Value::Boolean(b) => Some((*b.value()).into()),
        toml_edit::Value::Array(values) => Some(values.iter().map(converted).collect::<Option<Vec<_>>>()?.into()),
        toml_edit::Value::InlineTable(table) => {
            let entry = |(key, value): (&str, &toml_edit::Value)| Some((key.to_owned(), converted(value)?));
            Some(table.iter().map(entry).collect::<Option<Dict>>()?.into())
        }
        toml_edit::Value::Float(_) | toml_edit::Value::Datetime(_) => None,
    }
}
