//! `[sizing]`: the load that a configuration is meant for. The server does not read it.

use serde::{Deserialize, Serialize};

/// `[sizing]`
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sizing {
    /// The most calls at a time that are expected; `max_calls` of `[limits]` where absent and that is set.
    pub max_calls: Option<usize>,
    /// How many connectors of each pool may be stopped at any time.
    pub stopped_connectors: usize,
}
