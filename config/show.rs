//! `tandem config show`: the effective configuration as TOML, each value with where it comes from.
//!
//! Invariant: what is shown can be loaded again and means the same, except that secrets are masked and so refused.

use std::fmt::Write;

use toml::{Table, Value};

use crate::load::Loaded;
use crate::problem::Place;
use crate::registry::{OptionSpec, TABLES, TableSpec};

/// The column in which the origins start.
const ORIGIN_COLUMN: usize = 56;

impl Loaded {
    /// The effective configuration as TOML. A comment after each value says where it comes from; secrets are masked.
    pub fn to_toml(&self) -> String {
        let values = Table::try_from(&self.config).unwrap_or_default();
        let mut text = String::from("# The effective configuration. After each value: where it comes from.\n");
        for table in TABLES {
            let name = table.path.trim_end_matches("[]");
            match find(&values, name) {
                Some(Value::Table(section)) => self.table(&mut text, table, name, section),
                Some(Value::Array(elements)) => {
                    for (n, element) in elements.iter().enumerate() {
                        if let Value::Table(element) = element {
                            self.table(&mut text, table, &format!("{name}[{n}]"), element);
                        }
                    }
                }
                _ => {}
            }
        }
        text
    }

    fn table(&self, text: &mut String, table: &TableSpec, at: &str, values: &Table) {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "\n{}", table.heading());
        for option in table.options() {
            if is_from_file(option, values) {
                continue;
            }
            let line = match values.get(option.name()) {
                Some(value) => format!("{} = {value}", option.name()),
                None => format!("# {} is not set", option.name()),
            };
            let origin = self.origin(&format!("{at}.{}", option.name()));
            let _ = match values.contains_key(option.name()) {
                true => writeln!(text, "{line:ORIGIN_COLUMN$} # {origin}"),
                false => writeln!(text, "{line}"),
            };
        }
    }

    /// Where an option comes from; one inside a list that comes as a default has no place of its own.
    fn origin(&self, at: &str) -> String {
        match self.origins.get(at) {
            None | Some(Place::Default) => "default".to_owned(),
            Some(place) => place.to_string(),
        }
    }
}

/// Whether a secret was read from a file of its own, which is what stands in the configuration.
fn is_from_file(option: &OptionSpec, values: &Table) -> bool {
    option.kind.is_secret() && values.contains_key(&format!("{}_file", option.name()))
}

fn find<'a>(table: &'a Table, path: &str) -> Option<&'a Value> {
    match path.split_once('.') {
        None => table.get(path),
        Some((section, rest)) => find(table.get(section)?.as_table()?, rest),
    }
}
