//! The configuration read again while the server runs: on SIGHUP and `POST /v1/admin/reload`.
//!
//! Invariant: one that is not valid changes nothing; of one that is, exactly those options are in force at once of which
//! `tandem config options` says so, and all others are reported until the server is started again.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tandem_actors::gateway::Gateway;
use tandem_actors::ingress::Ingress;
use tandem_config::registry::TakesEffect;
use tandem_config::{Config, Difference, environment};

use super::{Side, plan};
use crate::api::admin::{OptionChange, ReloadReport};
use crate::api::auth::Keys;
use crate::telemetry;

/// Where the configuration comes from, besides the environment.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The file.
    pub file: Option<PathBuf>,
    /// What was set over it.
    pub sets: Vec<String>,
}

/// What runs by a configuration, and can take another one.
pub struct Reload {
    sources: Sources,
    gateway: Gateway,
    ingress: Ingress,
    keys: Keys,
    side: Side,
    /// What is in force.
    running: Mutex<Config>,
}

impl Reload {
    /// Of a process of that side that was started with this configuration.
    pub fn new(side: Side, sources: Sources, config: Config, gateway: Gateway, ingress: Ingress, keys: Keys) -> Self {
        Self {
            sources,
            gateway,
            ingress,
            keys,
            side,
            running: Mutex::new(config),
        }
    }

    /// What the process does.
    pub fn side(&self) -> Side {
        self.side
    }

    /// How long a drain waits for live calls.
    pub fn drain_timeout(&self) -> Duration {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        Duration::from_secs(running.server.drain_timeout_s)
    }

    /// Reads the configuration again. It reads files: not for an arbiter. On failure every problem is listed.
    pub fn reload(&self) -> Result<ReloadReport, Vec<String>> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let result = self.read().and_then(|(new, warnings)| {
            let differences = running.differences(&new);
            self.apply(&mut running, &new)?;
            let changes = differences.into_iter().map(|found| change(self.side, found)).collect();
            Ok(ReloadReport { changes, warnings })
        });
        drop(running);
        match &result {
            Ok(report) => tell(report),
            Err(problems) => {
                for problem in problems {
                    tracing::error!("reload: {problem}");
                }
                tracing::error!("reload: the configuration is not valid; nothing was changed");
            }
        }
        result
    }

    fn read(&self) -> Result<(Config, Vec<String>), Vec<String>> {
        let lines = |problems: Vec<tandem_config::Problem>| problems.iter().map(ToString::to_string).collect::<Vec<_>>();
        let loaded = Config::load(self.sources.file.as_deref(), &self.sources.sets, environment()).map_err(lines)?;
        // What only the start finds out.
        plan::plan(&loaded.config, Vec::new(), 1)?;
        Ok((loaded.config, lines(loaded.warnings)))
    }

    /// Puts in force what can be, and nothing else.
    fn apply(&self, running: &mut Config, new: &Config) -> Result<(), Vec<String>> {
        if running.log.filter != new.log.filter {
            telemetry::set_log_filter(&new.log.filter).map_err(|error| vec![error])?;
        }
        let had = take_over(running, new);
        if had.cti.api_key != running.cti.api_key {
            self.keys.replace(&running.cti.api_key);
            self.gateway.live().set_api_keys(plan::cti_keys(running));
        }
        let limit = |config: &Config| plan::source_limit(config);
        if limit(&had) != limit(running) {
            self.ingress.limit_to(limit(running));
        }
        self.gateway.live().set_max_calls(running.limits.max_calls);
        self.gateway.live().set_ring_timeout_ms(running.sip.ring_timeout_ms);
        Ok(())
    }
}

/// What is in force takes over the options that need no restart; what was in force.
fn take_over(running: &mut Config, new: &Config) -> Config {
    let had = running.clone();
    running.server.drain_timeout_s = new.server.drain_timeout_s;
    running.sip.ring_timeout_ms = new.sip.ring_timeout_ms;
    running.sip.max_requests_per_second_per_source = new.sip.max_requests_per_second_per_source;
    running.sip.unlimited_sources.clone_from(&new.sip.unlimited_sources);
    running.cti.api_key.clone_from(&new.cti.api_key);
    running.log.filter.clone_from(&new.log.filter);
    running.limits.max_calls = new.limits.max_calls;
    // Nothing runs by it.
    running.sizing.clone_from(&new.sizing);
    had
}

/// Options that a T-Server has no use for: SIP and media are its connectors'.
const NOT_OF_TSERVER: [&str; 5] = [
    "sip.max_requests_per_second_per_source",
    "sip.unlimited_sources",
    "registrar.",
    "connectors.",
    "media.",
];
/// Options that a connector has no use for: calls and their clients are its T-Server's.
const NOT_OF_CONNECTOR: [&str; 9] = [
    "sip.ring_timeout_ms",
    "limits.max_calls",
    "connectors.count",
    "calls.",
    "dial_rule[",
    "dial_plan[",
    "sizing.",
    "cti.retention",
    "cti.resume",
];

/// Whether a process of that side runs by an option.
fn concerns(side: Side, option: &str) -> bool {
    let of_others: &[&str] = match side {
        Side::Whole => &[],
        Side::TServer => &NOT_OF_TSERVER,
        Side::Connector => &NOT_OF_CONNECTOR,
    };
    !of_others.iter().any(|start| option.starts_with(start))
}

fn change(side: Side, difference: Difference) -> OptionChange {
    OptionChange {
        outcome: if !concerns(side, &difference.option) {
            "not here"
        } else if difference.takes_effect == TakesEffect::AfterRestart {
            "needs restart"
        } else {
            "applied"
        },
        takes_effect: difference.takes_effect.to_string(),
        option: difference.option,
    }
}

fn tell(report: &ReloadReport) {
    for warning in &report.warnings {
        tracing::warn!("reload: {warning}");
    }
    for change in &report.changes {
        tracing::info!(option = change.option, outcome = change.outcome, "reload");
    }
    tracing::info!(changes = report.changes.len(), "configuration read again");
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use tandem_config::registry::OPTIONS;

    use super::*;

    /// A configuration in which every option that the registry says needs no restart is another one than by default.
    const OTHER: &str = "[server]\ndrain_timeout_s = 7\n\
        [sip]\nring_timeout_ms = 5000\nmax_requests_per_second_per_source = 3\nunlimited_sources = []\n\
        [log]\nfilter = \"debug\"\n[limits]\nmax_calls = 9\n[sizing]\nmax_calls = 9\nstopped_connectors = 1\n\
        [[cti.api_key]]\nname = \"a\"\nkey = \"12345678\"\nscopes = [\"read\"]\n";

    #[test]
    fn what_the_registry_says_of_a_restart_is_true() {
        let path = std::path::Path::new("tandem.toml");
        let loaded = Config::from_toml(OTHER, path, &[], []);
        let new = loaded
            .map(|loaded| loaded.config)
            .unwrap_or_else(|problems| panic!("{problems:?}"));
        let mut running = Config::default();
        let differences = running.differences(&new);
        let named: BTreeSet<_> = differences.iter().map(|difference| difference.option.as_str()).collect();
        let at_once = OPTIONS
            .iter()
            .filter(|option| option.takes_effect != TakesEffect::AfterRestart);
        for option in at_once {
            let list = option.path.split_once("[].").map(|(table, _)| format!("{table}[]"));
            let name = list.as_deref().unwrap_or(option.path);
            assert!(named.contains(name), "{} is not in this test", option.path);
        }
        assert!(
            differences
                .iter()
                .all(|found| found.takes_effect != TakesEffect::AfterRestart),
            "{differences:?}"
        );
        take_over(&mut running, &new);
        assert_eq!(
            running.differences(&new),
            [],
            "what takes effect without a restart is taken over"
        );
    }

    #[test]
    fn what_needs_a_restart_is_told_again_and_again() {
        let mut running = Config::default();
        let mut new = Config::default();
        new.sip.t1_ms += 1;
        for _ in 0..2 {
            let changes: Vec<_> = running
                .differences(&new)
                .into_iter()
                .map(|found| change(Side::Whole, found))
                .collect();
            assert_eq!(
                changes,
                [OptionChange {
                    option: "sip.t1_ms".to_owned(),
                    outcome: "needs restart",
                    takes_effect: "after restart".to_owned(),
                }]
            );
            take_over(&mut running, &new);
        }
    }

    #[test]
    fn what_only_the_other_process_runs_by_is_told_so() {
        let mut new = Config::default();
        new.sip.ring_timeout_ms += 1;
        new.media.descend = true;
        new.log.filter = "debug".to_owned();
        let outcomes = |side| {
            let found = Config::default().differences(&new).into_iter();
            found
                .map(|found| change(side, found))
                .map(|change| (change.option, change.outcome))
                .collect::<Vec<_>>()
        };
        let expected = |ring, log, descend| {
            [("sip.ring_timeout_ms", ring), ("log.filter", log), ("media.descend", descend)]
                .map(|(option, outcome)| (option.to_owned(), outcome))
        };
        assert_eq!(outcomes(Side::Whole), expected("applied", "applied", "needs restart"));
        assert_eq!(outcomes(Side::TServer), expected("applied", "applied", "not here"));
        assert_eq!(outcomes(Side::Connector), expected("not here", "applied", "needs restart"));
    }

    #[test]
    fn every_option_that_is_said_to_be_of_the_other_process_is_one() {
        for start in NOT_OF_TSERVER.iter().chain(&NOT_OF_CONNECTOR) {
            assert!(OPTIONS.iter().any(|option| option.path.starts_with(start)), "{start}");
        }
    }
}
