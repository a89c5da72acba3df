//! How many connectors, conferences and conference endpoints the expected load takes, and what the configuration is short of.
//!
//! The rules are the seed's: `conference-pool-size = 1.2 * maxCalls / (numConn - numStopped)` (seed 002 line 2143), one conference endpoint for
//! each 10 conferences made in advance (line 2157), conferences made in advance for more than 500 agents (line 1285), 1,200 calls on 8
//! connectors of 6 cores and 8 GB (lines 3590-3620); and what Tandem itself is limited to: the legs of a connector, its media ports, the calls
//! of the server. It is arithmetic on the configuration: it measures nothing, and a server that is short of something runs.

mod text;

use std::collections::HashMap;

use serde::Serialize;

use crate::load::Loaded;
use crate::schema::{Config, DEFAULT_POOL, DnFolder, MediaMode};

/// The most DNs that may do without conferences made in advance (seed 002 line 1285).
const FEW_DNS: u64 = 500;
/// The fewest conferences that an endpoint should have (seed 002 line 2155).
const CONFERENCES_PER_ENDPOINT: u64 = 10;
/// The most that `pool_size` can be.
const MOST_CONFERENCES: u64 = 6_000;
/// The legs of a call, where nobody consults anybody.
const LEGS: u64 = 2;
/// The calls of one connector in the seed's test: 1,200 on 8 (seed 002 lines 3609-3614).
const TESTED_CALLS: u64 = 150;
/// The most calls and DNs of one T-Server there (seed 002 lines 3620-3621).
const TESTED_TOTAL: (u64, u64) = (1_200, 1_000);

/// What the expected load takes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct SizingReport {
    /// Pool by pool, the default one first; only those of which there is something to say.
    pub pools: Vec<PoolSizing>,
    /// What concerns the whole server.
    pub hints: Vec<String>,
}

/// What the load of one pool takes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct PoolSizing {
    /// The pool.
    pub pool: String,
    /// Its devices.
    pub dns: u64,
    /// The calls at a time that are expected, where the configuration says so.
    pub max_calls: Option<u64>,
    /// Its connectors.
    pub connectors: u64,
    /// How many of them may be stopped.
    pub stopped_connectors: u64,
    /// What it takes, and what there is.
    pub requirements: Vec<Requirement>,
    /// What else there is to say.
    pub hints: Vec<String>,
}

/// One thing that a load takes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Requirement {
    /// The option that says how much there is: `conference.pool_size`, `dn_folder[1].count`; a list (`link[]`) by how many it has.
    pub option: String,
    /// How much there is.
    pub configured: u64,
    /// How much it takes.
    pub needed: u64,
    /// Whether there is enough.
    pub verdict: Verdict,
    /// Where `needed` comes from.
    pub rule: String,
}

/// Whether there is enough of something.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// There is.
    Ok,
    /// There is not.
    Short,
    /// There is more than is good for it.
    Over,
    /// It is not used.
    Off,
}

impl Loaded {
    /// What the expected load takes, on a machine with that many cores.
    pub fn sizing(&self, cores: usize) -> SizingReport {
        let config = &self.config;
        let in_limits = || {
            let is_set = self.origins.contains_key("limits.max_calls");
            is_set.then_some(config.limits.max_calls)
        };
        let total = config.sizing.max_calls.or_else(in_limits).map(wide);
        let pools = if config.link.is_empty() {
            vec![of_one_process(config, total, cores)]
        } else {
            of_links(config, total)
        };
        // The parts of a total are rounded up.
        let expected = total.unwrap_or_else(|| pools.iter().filter_map(|pool| pool.max_calls).sum());
        let dns = pools.iter().map(|pool| pool.dns).sum();
        let pools = pools.into_iter().map(|pool| pool.sized(config)).collect::<Vec<_>>();
        SizingReport {
            pools: pools.into_iter().filter(PoolSizing::says_something).collect(),
            hints: server_hints(config, expected, dns, total),
        }
    }
}

impl SizingReport {
    /// Whether there is nothing to say.
    pub fn is_empty(&self) -> bool {
        self.pools.is_empty() && self.hints.is_empty()
    }
}

impl PoolSizing {
    fn new(pool: &str, dns: u64, max_calls: Option<u64>, connectors: u64, config: &Config) -> Self {
        Self {
            pool: pool.to_owned(),
            dns,
            max_calls,
            connectors,
            stopped_connectors: wide(config.sizing.stopped_connectors),
            requirements: Vec::new(),
            hints: Vec::new(),
        }
    }

    fn says_something(&self) -> bool {
        !self.requirements.is_empty() || !self.hints.is_empty()
    }

    /// With what its load takes.
    fn sized(mut self, config: &Config) -> Self {
        let of_pool = config.of_pool(&self.pool);
        let running = match self.max_calls {
            Some(calls) => self.count_connectors(&of_pool, calls),
            None => self.connectors.saturating_sub(self.stopped_connectors),
        };
        let place = Place::of(config, &self.pool);
        self.count_conferences(&of_pool, &place, running);
        if let Some(calls) = self.max_calls {
            self.count_legs(&of_pool, calls, running);
        }
        self
    }

    /// The connectors; how many of them run when as many as may be are stopped.
    fn count_connectors(&mut self, config: &Config, calls: u64) -> u64 {
        let by_legs = (LEGS * calls).div_ceil(wide(config.sip.max_sessions).max(1));
        let by_conferences = match config.conference.pool_size {
            0 => 1,
            _ => in_advance(calls, 1).div_ceil(MOST_CONFERENCES),
        };
        let running = by_legs.max(by_conferences).max(1);
        let needed = running + self.stopped_connectors;
        let rule = match self.stopped_connectors {
            0 => format!("{} legs each", (LEGS * calls).div_ceil(running)),
            stopped => format!(
                "{} legs each, and {stopped} that may be stopped",
                (LEGS * calls).div_ceil(running)
            ),
        };
        let option = if config.link.is_empty() {
            "connectors.count"
        } else {
            "link[]"
        };
        self.require(option.to_owned(), self.connectors, needed, rule);
        let tested = calls.div_ceil(TESTED_CALLS) + self.stopped_connectors;
        if tested > self.connectors.max(needed) {
            self.hints.push(format!(
                "the sizing guideline was tested with {TESTED_CALLS} calls for each connector of 6 cores and 8 GB: by it {tested} connectors"
            ));
        }
        self.connectors.max(needed) - self.stopped_connectors
    }

    /// The conferences made in advance, and the endpoints that they are spread over.
    fn count_conferences(&mut self, config: &Config, place: &Place, running: u64) {
        let conference = &config.conference;
        let (size, endpoints) = (wide(conference.pool_size), u64::from(conference.count));
        let wanted = self.max_calls.map(|calls| in_advance(calls, running));
        if let (Some(calls), Some(needed)) = (self.max_calls, wanted) {
            let all = running + self.stopped_connectors;
            let rule = format!("1.2 * {calls} / ({all} - {})", self.stopped_connectors);
            let option = place.option("pool_size", "conference_pool_size");
            if size == 0 && self.dns <= FEW_DNS {
                self.requirements.push(Requirement {
                    option,
                    configured: 0,
                    needed,
                    verdict: Verdict::Off,
                    rule,
                });
            } else {
                self.require(option, size, needed, rule);
            }
        } else if size > 0 {
            let calls = size.saturating_mul(running) * 5 / 6;
            self.hints.push(format!(
                "{size} conferences made in advance at each of {running} connectors are for {calls} calls at a time; `max_calls` of [sizing] says \
                 how many are expected"
            ));
        } else if self.dns > FEW_DNS {
            self.hints.push(format!(
                "{} DNs, and no conferences made in advance: for more than {FEW_DNS} they are needed; `max_calls` of [sizing] says how many",
                self.dns
            ));
        }
        if size == 0 {
            return;
        }
        if !conference.caching_enabled {
            let text = "conferences made in advance serve one call each: `caching_enabled` is false";
            self.hints.push(text.to_owned());
        }
        let conferences = wanted.unwrap_or(size).max(size);
        let needed = (conferences / CONFERENCES_PER_ENDPOINT).max(1);
        let rule = format!("{conferences} / {CONFERENCES_PER_ENDPOINT}");
        self.require(place.option("count", "count"), endpoints, needed, rule);
        if let Some(over) = self.requirements.last_mut().filter(|_| endpoints > needed) {
            over.verdict = Verdict::Over;
            self.hints.push(format!(
                "fewer than {CONFERENCES_PER_ENDPOINT} conferences for each of {endpoints} endpoints: with many calls one may have to wait for its own"
            ));
        }
    }

    /// The legs of a connector, and the media ports where each leg has two.
    fn count_legs(&mut self, config: &Config, calls: u64, running: u64) {
        let legs = (LEGS * calls).div_ceil(running.max(1));
        let rule = format!("{LEGS} * {calls} / {running}");
        self.require(
            "sip.max_sessions".to_owned(),
            wide(config.sip.max_sessions),
            legs,
            rule.clone(),
        );
        if config.media.mode == MediaMode::Anchored {
            // In one process all connectors share the ports.
            let (legs, rule) = match config.link.is_empty() {
                true => (LEGS * calls, format!("two ports for each of {LEGS} * {calls} legs")),
                false => (legs, format!("two ports for each of {rule} legs")),
            };
            let first = u64::from(config.media.port_first).next_multiple_of(2);
            let ports = (u64::from(config.media.port_last) + 1).saturating_sub(first) / 2 * 2;
            self.require("media.port_last".to_owned(), ports, 2 * legs, rule);
        }
    }

    fn require(&mut self, option: String, configured: u64, needed: u64, rule: String) {
        let verdict = if configured < needed { Verdict::Short } else { Verdict::Ok };
        self.requirements.push(Requirement {
            option,
            configured,
            needed,
            verdict,
            rule,
        });
    }
}

/// Where the conferences of a pool are configured.
enum Place {
    Section,
    Folder(usize),
}

impl Place {
    fn of(config: &Config, pool: &str) -> Self {
        let folder = config.dn_folder.iter().position(|folder| folder.pool() == Some(pool));
        folder.map_or(Self::Section, Self::Folder)
    }

    fn option(&self, in_section: &str, in_folder: &str) -> String {
        match self {
            Self::Section => format!("conference.{in_section}"),
            Self::Folder(n) => format!("dn_folder[{n}].{in_folder}"),
        }
    }
}

/// `tandem serve`: its connectors serve every pool.
fn of_one_process(config: &Config, total: Option<u64>, cores: usize) -> PoolSizing {
    let expected = config.pools().filter_map(|pool| pool.max_calls).map(wide);
    let total = total.or_else(|| expected.reduce(u64::saturating_add));
    let dns = dns_by_pool(config).values().sum();
    let connectors = wide(config.connectors.resolved_count(cores));
    PoolSizing::new(DEFAULT_POOL, dns, total, connectors, config)
}

/// Connectors in processes of their own: each pool has those of its links.
fn of_links(config: &Config, total: Option<u64>) -> Vec<PoolSizing> {
    let dns = dns_by_pool(config);
    let of = |pool: &str| dns.get(pool).copied().unwrap_or_default();
    let told: u64 = config.pools().filter_map(|pool| pool.max_calls).map(wide).sum();
    let rest = total.map(|total| total.saturating_sub(told));
    let untold = config
        .pools()
        .filter(|pool| pool.max_calls.is_none())
        .filter_map(DnFolder::pool);
    let sharing: u64 = std::iter::once(DEFAULT_POOL).chain(untold).map(of).sum();
    let part = |pool: &str| match sharing {
        0 => rest.filter(|_| pool == DEFAULT_POOL),
        all => rest.map(|rest| rest.saturating_mul(of(pool)).div_ceil(all)),
    };
    let sized = |pool: &str, max_calls: Option<u64>| {
        let links = config.link.iter().filter(|link| link.pool_name == pool).count();
        let max_calls = max_calls.filter(|calls| *calls > 0);
        PoolSizing::new(pool, of(pool), max_calls, wide(links), config)
    };
    let default = sized(DEFAULT_POOL, part(DEFAULT_POOL));
    let others = config.pools().filter_map(|folder| {
        let pool = folder.pool()?;
        Some(sized(pool, folder.max_calls.map(wide).or_else(|| part(pool))))
    });
    let has_any = |pool: &PoolSizing| pool.dns > 0 || pool.connectors > 0 || pool.max_calls.is_some();
    std::iter::once(default).chain(others).filter(has_any).collect()
}

fn server_hints(config: &Config, expected: u64, dns: u64, total: Option<u64>) -> Vec<String> {
    let mut hints = Vec::new();
    let told: u64 = config.pools().filter_map(|pool| pool.max_calls).map(wide).sum();
    let expected = expected.max(told);
    let most = wide(config.limits.max_calls);
    if expected > most {
        hints.push(format!(
            "{expected} calls at a time are expected, and `max_calls` of [limits] lets {most} be"
        ));
    }
    if let Some(total) = total.filter(|total| *total < told) {
        hints.push(format!(
            "the pools expect {told} calls together, and `max_calls` of [sizing] {total}"
        ));
    }
    let (calls, agents) = TESTED_TOTAL;
    if expected > calls || (expected > 0 && dns > agents) {
        hints.push(format!(
            "the sizing guideline was tested with {calls} calls and {agents} agents for one T-Server: measure with more before relying on it"
        ));
    }
    hints
}

/// The devices of each pool.
fn dns_by_pool(config: &Config) -> HashMap<&str, u64> {
    let single = config.dn.iter().map(|dn| (&dn.folder, 1));
    let ranges = config.dn_range.iter();
    let ranges = ranges.map(|range| (&range.folder, range.last.saturating_sub(range.first).saturating_add(1)));
    let mut counts: HashMap<_, u64> = HashMap::new();
    for (folder, dns) in single.chain(ranges) {
        let pool = config
            .pool_of(folder.as_deref())
            .and_then(DnFolder::pool)
            .unwrap_or(DEFAULT_POOL);
        let counted = counts.entry(pool).or_default();
        *counted = counted.saturating_add(dns);
    }
    counts
}

/// The conferences that each connector makes in advance (seed 002 line 2143).
fn in_advance(calls: u64, running: u64) -> u64 {
    calls.saturating_mul(6).div_ceil(running.max(1).saturating_mul(5))
}

fn wide(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
