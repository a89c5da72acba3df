//! The configuration read again while the server runs: on SIGHUP and `POST /v1/admin/reload`.
//!
//! Invariant: one that is not valid changes nothing; of one that is, exactly those options are in force at once of which
//! `tandem config options` says so, and all others are reported until the server is started again.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tandem_actors::gateway::Gateway;
use tandem_actors::ingress::Ingress;
use tandem_actors::live::Settings;
use tandem_config::registry::TakesEffect;
use tandem_config::{Config, Difference, environment};
use tandem_media::plane::Music;

use super::media::{self, MediaPlane};
use super::{Side, plan};
use crate::api::admin::{OptionChange, ReloadReport};
use crate::api::auth::Keys;
use crate::telemetry;

/// How long nothing must have been written to the file before it is read: half a file has half of the DNs, and is valid.
const SETTLED: Duration = Duration::from_millis(100);
/// How soon it is looked at again at the least.
const MOMENT: Duration = Duration::from_millis(10);
/// How long that is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where the configuration comes from, besides the environment.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The file.
    pub file: Option<PathBuf>,
    /// What was set over it.
    pub sets: Vec<String>,
}

/// Which process this is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Place {
    /// What it does.
    pub side: Side,
    /// Of a connector in a process of its own, its application pool.
    pub pool: Option<String>,
}

/// What runs by a configuration, and can take another one.
pub struct Runs {
    /// The actors.
    pub gateway: Gateway,
    /// Where SIP comes in.
    pub ingress: Ingress,
    /// Who may use HTTP.
    pub keys: Keys,
    /// The media plane, where there is one.
    pub media: Option<MediaPlane>,
}

/// A running process and its configuration.
pub struct Reload {
    sources: Sources,
    place: Place,
    runs: Runs,
    /// What is in force.
    running: Mutex<Config>,
}

/// What is ready to be put in force. To make it may fail; to put it in force does not.
struct Prepared {
    running: Config,
    settings: Settings,
    music: Option<Music>,
}

impl Reload {
    /// Of a process that was started with this configuration.
    pub fn new(place: Place, sources: Sources, config: Config, runs: Runs) -> Self {
        Self {
            sources,
            place,
            runs,
            running: Mutex::new(config),
        }
    }

    /// What the process does.
    pub fn side(&self) -> Side {
        self.place.side
    }

    /// How long a drain waits for live calls.
    pub fn drain_timeout(&self) -> Duration {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        Duration::from_secs(running.server.drain_timeout_s)
    }

    /// Reads the configuration again. It reads files and waits for actors: not for an arbiter. On failure every problem is listed.
    pub fn reload(&self) -> Result<ReloadReport, Vec<String>> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let result = self.read().and_then(|(new, warnings)| {
            let differences = running.differences(&new);
            let prepared = self.prepare(&running, &new)?;
            self.apply(&mut running, prepared)?;
            let changes = differences
                .into_iter()
                .map(|found| change(&self.place, &new, found))
                .collect();
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
        if let Some(file) = &self.sources.file {
            await_settled(file)?;
        }
        let loaded = Config::load(self.sources.file.as_deref(), &self.sources.sets, environment()).map_err(lines)?;
        // What only the start finds out.
        plan::plan(&loaded.config, Vec::new(), 1)?;
        Ok((loaded.config, lines(loaded.warnings)))
    }

    fn prepare(&self, running: &Config, new: &Config) -> Result<Prepared, Vec<String>> {
        let mut next = running.clone();
        take_over(&mut next, new);
        let here = self.place.config(&next);
        let before = self.runs.gateway.settings();
        let mut settings = plan::settings(&here, before.devices.addresses().to_vec())?;
        if settings.numbering == before.numbering {
            settings.numbering = before.numbering.clone();
        }
        let music = self.runs.media.as_ref().map(|_| media::music(&here.media)).transpose();
        Ok(Prepared {
            running: next,
            settings,
            music: music.map_err(|error| vec![format!("media: {error}")])?,
        })
    }

    /// Puts in force what can be, and nothing else.
    fn apply(&self, running: &mut Config, prepared: Prepared) -> Result<(), Vec<String>> {
        let Prepared {
            running: next,
            settings,
            music,
        } = prepared;
        if running.log.filter != next.log.filter {
            telemetry::set_log_filter(&next.log.filter).map_err(|error| vec![error])?;
        }
        let had = std::mem::replace(running, next);
        if had.cti.api_key != running.cti.api_key {
            self.runs.keys.replace(&running.cti.api_key);
        }
        let limit = |config: &Config| plan::source_limit(config);
        if limit(&had) != limit(running) {
            self.runs.ingress.limit_to(limit(running));
        }
        if let (Some(media), Some(music)) = (&self.runs.media, music) {
            media.change_music(music);
        }
        self.runs.gateway.change(settings);
        Ok(())
    }
}

/// Waits until whoever writes to the file is done. One that is empty is about to be written, or is meant by nobody; one that cannot be read is
/// told of by whoever reads it.
fn await_settled(file: &Path) -> Result<(), Vec<String>> {
    let begun = Instant::now();
    while let Ok(metadata) = std::fs::metadata(file) {
        // One of the future, by a clock that was set back, counts as old.
        let age = metadata.modified().ok().and_then(|at| at.elapsed().ok()).unwrap_or(SETTLED);
        let Some(wait) = settles_in(metadata.len(), age) else { break };
        if begun.elapsed() >= PATIENCE {
            let state = if metadata.len() == 0 { "is empty" } else { "is being written" };
            return Err(vec![format!("{}: the file {state}", file.display())]);
        }
        std::thread::sleep(wait);
    }
    Ok(())
}

/// When to look again at a file of this length, written so long ago; `None`: it is whole.
fn settles_in(len: u64, age: Duration) -> Option<Duration> {
    let left = SETTLED.saturating_sub(age);
    (len == 0 || !left.is_zero()).then(|| left.max(MOMENT))
}

/// What is in force takes over the options that need no restart.
fn take_over(running: &mut Config, new: &Config) {
    running.server.drain_timeout_s = new.server.drain_timeout_s;
    running.sip.ring_timeout_ms = new.sip.ring_timeout_ms;
    running.sip.max_requests_per_second_per_source = new.sip.max_requests_per_second_per_source;
    running.sip.unlimited_sources.clone_from(&new.sip.unlimited_sources);
    running.cti.api_key.clone_from(&new.cti.api_key);
    running.log.filter.clone_from(&new.log.filter);
    running.limits.max_calls = new.limits.max_calls;
    running.media.music_directory.clone_from(&new.media.music_directory);
    running.media.music.clone_from(&new.media.music);
    running.conference.clone_from(&new.conference);
    running.calls.clone_from(&new.calls);
    running.dn_folder.clone_from(&new.dn_folder);
    running.dn.clone_from(&new.dn);
    running.dn_range.clone_from(&new.dn_range);
    running.trunk.clone_from(&new.trunk);
    running.dial_rule.clone_from(&new.dial_rule);
    running.conference_dn.clone_from(&new.conference_dn);
    running.dial_plan.clone_from(&new.dial_plan);
    // Nothing runs by it.
    running.sizing.clone_from(&new.sizing);
}

/// Options that a T-Server has no use for: SIP and media are its connectors'.
const NOT_OF_TSERVER: &[&str] = &[
    "sip.max_requests_per_second_per_source",
    "sip.unlimited_sources",
    "registrar.",
    "connectors.",
    "media.",
    "conference.pool_size",
    "conference.caching_enabled",
    "conference.reuse_avcall",
    "conference.uri_pattern",
    "conference.count",
    "dn[].password",
    "dn[].trusted_sources",
    "dn[].media",
    "dn[].digest_algorithms",
    "dn_range[].password",
    "dn_range[].trusted_sources",
    "dn_range[].media",
    "dn_range[].digest_algorithms",
    "trunk[].address",
    "trunk[].trusted_",
    "trunk[].username",
    "trunk[].password",
    "trunk[].realm",
    "trunk[].media",
    "trunk[].headers",
];
/// Options that a connector has no use for: calls and their clients are its T-Server's.
const NOT_OF_CONNECTOR: &[&str] = &[
    "sip.ring_timeout_ms",
    "limits.max_calls",
    "connectors.count",
    "calls.",
    "dial_rule[",
    "dial_plan[",
    "sizing.",
    "cti.retention",
    "cti.resume",
    "conference.lobby_bypass_enabled",
    "dn_folder[].max_calls",
    "dn_folder[].allow_pass_through_calls",
    "dn_folder[].calling_method_dialplan",
    "dn_folder[].cpn",
    "dn_folder[].lobby_bypass_enabled",
    "dn[].number",
    "dn[].display_name",
    "dn[].auto_answer",
    "dn[].handle_direct_calls",
    "dn[].allow_pass_through_calls",
    "dn[].folder",
    "dn_range[].auto_answer",
    "dn_range[].handle_direct_calls",
    "dn_range[].allow_pass_through_calls",
    "dn_range[].folder",
    "trunk[].folder",
    "conference_dn[].display_name",
    "conference_dn[].pin",
    "conference_dn[].moderator_pin",
    "conference_dn[].max_parties",
    "conference_dn[].announce",
    "conference_dn[].lobby",
    "conference_dn[].music",
    "conference_dn[].folder",
];
/// Options of a pool that only its connectors have a use for.
const OF_POOL: &[&str] = &[
    "dn_folder[].music",
    "dn_folder[].conference_pool_size",
    "dn_folder[].caching_enabled",
    "dn_folder[].reuse_avcall",
    "dn_folder[].uri_pattern",
    "dn_folder[].count",
];

impl Place {
    /// The T-Server, or the one process of a server that is not split.
    pub fn of(side: Side) -> Self {
        Self { side, pool: None }
    }

    /// What a configuration is here.
    fn config(&self, config: &Config) -> Config {
        match &self.pool {
            Some(pool) => config.of_pool(pool),
            None => config.clone(),
        }
    }

    /// Whether it runs by an option (`dn[2].password`) of that configuration.
    fn concerns(&self, config: &Config, option: &str) -> bool {
        let (name, index) = without_index(option);
        if OF_POOL.contains(&name.as_str()) {
            let folder = index.and_then(|index| config.dn_folder.get(index));
            return folder.is_some_and(|folder| folder.pool().is_some() && folder.pool() == self.pool.as_deref());
        }
        let of_others: &[&str] = match self.side {
            Side::Whole => &[],
            Side::TServer => NOT_OF_TSERVER,
            Side::Connector => NOT_OF_CONNECTOR,
        };
        !of_others.iter().any(|start| name.starts_with(start))
    }
}

/// `dn[].password` and 2 of `dn[2].password`.
fn without_index(option: &str) -> (String, Option<usize>) {
    let parts = option
        .split_once('[')
        .and_then(|(table, rest)| Some((table, rest.split_once(']')?)));
    match parts {
        Some((table, (index, rest))) => (format!("{table}[]{rest}"), index.parse().ok()),
        None => (option.to_owned(), None),
    }
}

fn change(place: &Place, new: &Config, difference: Difference) -> OptionChange {
    OptionChange {
        outcome: if !place.concerns(new, &difference.option) {
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
mod tests;
