//! Tests of the crate as a whole: the registry against the structs, files against their messages, the sources against one another.

mod files;
mod messages;
mod pools;
mod properties;
mod registry;
mod sizing;
mod sources;

use std::path::Path;

use crate::{Config, Loaded, Problem};

fn load(text: &str) -> Result<Loaded, Vec<Problem>> {
    Config::from_toml(text, Path::new("x.toml"), &[], [])
}

fn loaded(text: &str) -> Loaded {
    load(text).unwrap_or_else(|problems| panic!("{}", lines(&problems).join("\n")))
}

fn lines(problems: &[Problem]) -> Vec<String> {
    problems.iter().map(Problem::to_string).collect()
}
