//! Typed configuration and the option registry.
//!
//! A configuration is built from four sources, each over the one before: the built-in defaults, one TOML file, environment
//! variables (`TANDEM_SIP__T1_MS=200`), and `--set sip.t1_ms=200`. Nothing is ignored: an unknown key, a value out of range, two
//! options that contradict one another are all reported, each with its place and what could have been meant.
//!
//! * [`Config`]: the typed values, one struct per section.
//! * [`registry`]: the one table of options, from which defaults, checks and documentation come.
//! * [`Config::load`]: reads, checks, merges; every [`Problem`] at once.
//! * [`Config::of_pool`]: what is in effect for the connectors of one application pool.
//! * [`Loaded::sizing`]: what the expected load takes, and what the configuration is short of.
//!
//! It does not watch files, and it opens no socket: what it says is what a server started now would do.

mod consistency;
mod dial_pattern;
mod difference;
mod documentation;
mod header;
mod load;
mod overrides;
mod problem;
mod reader;
pub mod registry;
mod schema;
mod secret;
mod secret_file;
mod seed_options;
mod show;
mod sip_uri;
mod sizing;
mod suggestion;

pub use difference::Difference;
pub use documentation::{options_markdown, options_matching, options_text};
pub use load::{Loaded, environment};
pub use problem::{Fault, Place, Problem};
pub use schema::*;
pub use secret::Secret;
pub use sizing::{PoolSizing, Requirement, SizingReport, Verdict};

#[cfg(test)]
mod tests;
