//! What relates options to one another: names that stand twice, rules that lead nowhere, limits that cross.
//!
//! Each option by itself is valid when this runs; that is the registry's part.

mod links;
mod pools;
mod services;

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::dial_pattern::DialPattern;
use crate::problem::{Fault, Place, Problem};
use crate::registry::heading;
use crate::schema::{Config, DEFAULT_POOL, Dn, DnFolder, DnRange, Transport};
use crate::sip_uri::{self, SipUri};
use crate::suggestion;

/// The most DNs of one range.
const MAX_RANGE: u64 = 100_000;

/// The most DNs of all ranges together; each is held in memory.
const MAX_RANGED_DNS: u64 = 500_000;

/// What was found.
#[derive(Default)]
pub(crate) struct Found {
    /// With these the server cannot run.
    pub errors: Vec<Problem>,
    /// With these it can.
    pub warnings: Vec<Problem>,
}

/// Checks a configuration.
pub(crate) fn check(config: &Config, places: &BTreeMap<String, Place>) -> Found {
    let mut check = Check {
        config,
        places,
        found: Found::default(),
    };
    check.timers();
    check.listeners();
    check.registrar();
    check.api_keys();
    check.dns();
    check.numbers();
    check.ranges();
    check.trunks();
    check.dial_rules();
    check.session_timer();
    check.media();
    check.conferences();
    check.dial_plans();
    check.links();
    check.pools();
    check.found
}

struct Check<'a> {
    config: &'a Config,
    places: &'a BTreeMap<String, Place>,
    found: Found,
}

impl Check<'_> {
    fn timers(&mut self) {
        let sip = &self.config.sip;
        if sip.t1_ms > sip.t2_ms {
            self.error(
                "sip.t1_ms",
                format!("`t1_ms` = {} is more than `t2_ms` = {}", sip.t1_ms, sip.t2_ms),
            );
        }
        if sip.tcp_max_connections_per_source > sip.tcp_max_connections {
            let (one, all) = (sip.tcp_max_connections_per_source, sip.tcp_max_connections);
            let text = format!("`tcp_max_connections_per_source` = {one} is more than `tcp_max_connections` = {all}");
            self.error("sip.tcp_max_connections_per_source", text);
        }
    }

    fn listeners(&mut self) {
        let listeners = &self.config.sip.listener;
        if listeners.is_empty() {
            self.error("sip.listener", "without a listener there is no SIP".to_owned());
        }
        for (n, listener) in listeners.iter().enumerate() {
            let at = format!("sip.listener[{n}]");
            let transport = match listener.transport {
                Transport::Udp => "udp",
                Transport::Tcp => "tcp",
            };
            let same = |other: &&crate::schema::Listener| other.transport == listener.transport && other.bind == listener.bind;
            if listener.bind.port() != 0 && listeners.iter().take(n).any(|other| same(&other)) {
                self.error(&format!("{at}.bind"), format!("{transport} {} is bound twice", listener.bind));
            }
            match listener.advertised {
                Some(address) if address.ip().is_unspecified() || address.port() == 0 => {
                    self.error(
                        &format!("{at}.advertised"),
                        format!("nobody can send to `advertised` = \"{address}\""),
                    );
                }
                Some(address) if address.is_ipv4() != listener.bind.is_ipv4() => {
                    let text = "`advertised` and `bind` are addresses of different families".to_owned();
                    self.error(&format!("{at}.advertised"), text);
                }
                None if listener.bind.ip().is_unspecified() => {
                    let text = format!(
                        "`bind` = \"{}\" is no address that stands in Via and Contact; set `advertised`",
                        listener.bind
                    );
                    self.error(&format!("{at}.bind"), text);
                }
                _ => {}
            }
        }
        if !self.config.sip.require_auth && listeners.iter().any(|listener| !listener.bind.ip().is_loopback()) {
            let text = "`require_auth` = false on an address that others reach: anybody can call as anybody".to_owned();
            self.warning("sip.require_auth", text);
        }
    }

    fn registrar(&mut self) {
        let registrar = &self.config.registrar;
        let (min, default, max) = (registrar.min_expires_s, registrar.default_expires_s, registrar.max_expires_s);
        if default < min {
            self.error(
                "registrar.default_expires_s",
                format!("`default_expires_s` = {default} is less than `min_expires_s` = {min}"),
            );
        }
        if max < default {
            self.error(
                "registrar.max_expires_s",
                format!("`max_expires_s` = {max} is less than `default_expires_s` = {default}"),
            );
        }
    }

    fn api_keys(&mut self) {
        let keys = &self.config.cti.api_key;
        let mut names: HashMap<&str, String> = HashMap::new();
        let mut secrets: HashMap<&str, &str> = HashMap::new();
        for (n, key) in keys.iter().enumerate() {
            let at = format!("cti.api_key[{n}]");
            match [key.key.is_some(), key.key_sha256.is_some(), key.key_file.is_some()]
                .into_iter()
                .filter(|set| *set)
                .count()
            {
                1 => {}
                0 => self.error(
                    &at,
                    format!("API key \"{}\" has none of `key`, `key_sha256`, `key_file`", key.name),
                ),
                _ => self.error(
                    &at,
                    format!(
                        "API key \"{}\" has more than one of `key`, `key_sha256`, `key_file`",
                        key.name
                    ),
                ),
            }
            if let Some(first) = names.insert(&key.name, at.clone()) {
                let text = format!("API key \"{}\" stands twice{}", key.name, self.first_at(&first));
                self.error(&format!("{at}.name"), text);
            }
            let secret = key.key.as_ref().map(|key| key.reveal()).or(key.key_sha256.as_deref());
            if let Some(first) = secret.and_then(|secret| secrets.insert(secret, &key.name)) {
                self.error(&at, format!("API keys \"{first}\" and \"{}\" are the same key", key.name));
            }
        }
        if keys.is_empty() {
            self.warning(
                "cti",
                "there is no [[cti.api_key]]: nobody can use the CTI protocol".to_owned(),
            );
        }
    }

    /// DNs of every kind: each stands once, so in one pool, each Extension at a host of ours.
    fn dns(&mut self) {
        let config = self.config;
        let pool_of = |folder: &Option<String>| {
            config
                .pool_of(folder.as_deref())
                .and_then(DnFolder::pool)
                .unwrap_or(DEFAULT_POOL)
        };
        let mut seen: HashMap<String, (String, &str)> = HashMap::new();
        let single = config.dn.iter().enumerate();
        let single = single.map(|(n, dn)| (format!("dn[{n}].dn"), &dn.dn, pool_of(&dn.folder), true));
        let trunks = config.trunk.iter().enumerate();
        let trunks = trunks.map(|(n, trunk)| (format!("trunk[{n}].dn"), &trunk.dn, pool_of(&trunk.folder), false));
        let rooms = config.conference_dn.iter().enumerate();
        let rooms = rooms.map(|(n, room)| (format!("conference_dn[{n}].dn"), &room.dn, pool_of(&room.folder), false));
        let plans = config.dial_plan.iter().enumerate();
        let plans = plans.map(|(n, plan)| (format!("dial_plan[{n}].dn"), &plan.dn, DEFAULT_POOL, false));
        for (at, dn, pool, is_extension) in single.chain(trunks).chain(rooms).chain(plans) {
            if is_extension {
                self.host_is_ours(&at, dn);
            }
            if let Some(first) = seen.get(dn) {
                let text = format!("DN `{dn}` {}", self.twice(pool, first));
                self.error(&at, text);
            } else {
                seen.insert(dn.clone(), (at, pool));
            }
        }
        for (n, range) in config.dn_range.iter().enumerate() {
            let at = format!("dn_range[{n}].dn");
            let pool = pool_of(&range.folder);
            self.host_is_ours(&at, &range.dn.replace(DnRange::PLACEHOLDER, "0"));
            for dn in self.expanded(range) {
                if let Some(first) = seen.get(&dn.dn) {
                    let text = format!("DN `{}` of this range {}", dn.dn, self.twice(pool, first));
                    self.error(&at, text);
                    break;
                }
                seen.insert(dn.dn, (at.clone(), pool));
            }
        }
        for (n, dn) in config.dn.iter().enumerate() {
            let at = format!("dn[{n}]");
            if dn.password.is_some() && dn.password_file.is_some() {
                self.error(&at, format!("DN `{}` has both `password` and `password_file`", dn.dn));
            }
            if config.sip.require_auth && dn.password.is_none() && dn.password_file.is_none() && dn.trusted_sources.is_empty() {
                self.warning(
                    &at,
                    format!(
                        "DN `{}` can never register: it has no password and no `trusted_sources`",
                        dn.dn
                    ),
                );
            }
        }
    }

    /// How a DN stands twice that stood at another place, and in which pool there.
    fn twice(&self, pool: &str, (first, other): &(String, &str)) -> String {
        let first = self.first_at(first);
        if pool == *other {
            format!("stands twice{first}")
        } else {
            format!("stands in two pools, `{other}`{first} and `{pool}`")
        }
    }

    fn host_is_ours(&mut self, at: &str, dn: &str) {
        let Ok(uri) = SipUri::parse(dn) else { return };
        let host = sip_uri::without_port(uri.host_and_port);
        let domains = &self.config.sip.domains;
        if domains.iter().any(|domain| domain == host || domain == uri.host_and_port) {
            return;
        }
        let hint = match suggestion::nearest(host, domains.iter().map(String::as_str)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "add it there".to_owned(),
        };
        self.error(at, format!("`{host}` is not among `domains` of [sip]; {hint}"));
    }

    /// Numbers: each leads to one DN, other DNs' user parts included.
    fn numbers(&mut self) {
        let config = self.config;
        let numbered = || {
            let dns = config.dn.iter().enumerate();
            let dns = dns.map(|(n, dn)| (format!("dn[{n}]"), dn.dn.as_str(), dn.number.as_deref()));
            let conferences = config.conference_dn.iter().enumerate();
            dns.chain(conferences.map(|(n, dn)| (format!("conference_dn[{n}]"), dn.dn.as_str(), dn.number.as_deref())))
        };
        let numbers: HashSet<&str> = numbered().filter_map(|(_, _, number)| number).collect();
        if numbers.is_empty() {
            return;
        }
        let single = numbered().map(|(at, dn, _)| (format!("{at}.dn"), dn.to_owned()));
        let ranges = config.dn_range.iter().enumerate();
        let ranged = ranges.flat_map(|(n, range)| self.expanded(range).map(move |dn| (format!("dn_range[{n}].dn"), dn.dn)));
        let mut leads_to: HashMap<String, (String, String)> = HashMap::new();
        for (at, dn) in single.chain(ranged) {
            let user = SipUri::parse(&dn).ok().and_then(|uri| uri.user);
            if let Some(user) = user.filter(|user| numbers.contains(user)) {
                leads_to.entry(user.to_owned()).or_insert((dn.clone(), at));
            }
        }
        for (at, dn, number) in numbered() {
            let Some(number) = number else { continue };
            let at = format!("{at}.number");
            match leads_to.get(number) {
                Some((other, first)) if *other != dn => {
                    let text = format!("number {number} leads to `{other}` already{}", self.first_at(first));
                    self.error(&at, text);
                }
                Some(_) => {}
                None => {
                    leads_to.insert(number.to_owned(), (dn.to_owned(), at));
                }
            }
        }
    }

    fn ranges(&mut self) {
        let all = self.ranged_dns();
        if all > MAX_RANGED_DNS {
            self.error(
                "dn_range",
                format!("the ranges have {all} DNs together; they can have {MAX_RANGED_DNS} at most"),
            );
        }
        for (n, range) in self.config.dn_range.iter().enumerate() {
            let at = format!("dn_range[{n}].last");
            if range.last < range.first {
                self.error(&at, format!("`last` = {} is less than `first` = {}", range.last, range.first));
            } else if !range_is_sound(range) {
                let count = range.last - range.first + 1;
                self.error(&at, format!("the range has {count} DNs; it can have {MAX_RANGE} at most"));
            }
            if self.config.sip.require_auth && range.password.is_none() && range.trusted_sources.is_empty() {
                let text = format!(
                    "the DNs `{}` can never register: they have no password and no `trusted_sources`",
                    range.dn
                );
                self.warning(&format!("dn_range[{n}]"), text);
            }
        }
    }

    /// The DNs of a range, unless there are too many to look at.
    fn expanded<'a>(&self, range: &'a DnRange) -> impl Iterator<Item = Dn> + use<'a> {
        let sound = range_is_sound(range) && self.ranged_dns() <= MAX_RANGED_DNS;
        sound.then(|| range.dns()).into_iter().flatten()
    }

    fn ranged_dns(&self) -> u64 {
        let lengths = self
            .config
            .dn_range
            .iter()
            .filter(|range| range_is_sound(range))
            .map(|range| range.last - range.first + 1);
        lengths.fold(0, u64::saturating_add)
    }

    fn trunks(&mut self) {
        let mut networks = HashMap::new();
        for (n, trunk) in self.config.trunk.iter().enumerate() {
            let at = format!("trunk[{n}]");
            let has_password = trunk.password.is_some() || trunk.password_file.is_some();
            if trunk.password.is_some() && trunk.password_file.is_some() {
                self.error(&at, format!("trunk `{}` has both `password` and `password_file`", trunk.dn));
            }
            if has_password != trunk.username.is_some() {
                let (there, missing) = if has_password {
                    ("a password", "`username`")
                } else {
                    ("a `username`", "password")
                };
                self.error(&at, format!("trunk `{}` has {there} but no {missing}", trunk.dn));
            }
            for network in &trunk.trusted_sources {
                if let Some(other) = networks.insert(network.trunc(), &trunk.dn)
                    && *other != trunk.dn
                {
                    let text = format!("{network} belongs to trunk `{other}` already: a call from there would have two trunks");
                    self.error(&format!("{at}.trusted_sources"), text);
                }
            }
        }
    }

    fn dial_rules(&mut self) {
        let config = self.config;
        for (n, rule) in config.dial_rule.iter().enumerate() {
            let at = format!("dial_rule[{n}]");
            let trunks = || config.trunk.iter().map(|trunk| trunk.dn.as_str());
            match &rule.trunk {
                None if rule.allow => self.error(&at, format!("the rule for \"{}\" has no `trunk`", rule.pattern)),
                Some(trunk) if !trunks().any(|dn| dn == trunk) => {
                    let hint =
                        suggestion::nearest(trunk, trunks()).map_or(String::new(), |near| format!("; did you mean `{near}`?"));
                    self.error(
                        &format!("{at}.trunk"),
                        format!("`{trunk}` is none of the DNs in {}{hint}", heading("trunk[]")),
                    );
                }
                _ => {}
            }
            let shortest = DialPattern::parse(&rule.pattern).map_or(usize::MAX, |pattern| pattern.shortest);
            if rule.strip > shortest {
                let text = format!(
                    "`strip` = {} takes off more than the shortest number of \"{}\" has ({shortest})",
                    rule.strip, rule.pattern
                );
                self.error(&format!("{at}.strip"), text);
            }
            // A rule is dead where an earlier one takes all its calls: those of DNs, and those of trunks if it has any.
            let takes_all =
                |earlier: &&crate::schema::DialRule| earlier.pattern == rule.pattern && (earlier.from_trunk || !rule.from_trunk);
            if config.dial_rule.iter().take(n).any(|earlier| takes_all(&earlier)) {
                self.warning(
                    &at,
                    format!("the rule is never used: an earlier one for \"{}\" decides", rule.pattern),
                );
            }
        }
    }

    fn error(&mut self, at: &str, text: String) {
        let problem = self.problem(at, text);
        self.found.errors.push(problem);
    }

    fn warning(&mut self, at: &str, text: String) {
        let problem = self.problem(at, text);
        self.found.warnings.push(problem);
    }

    fn problem(&self, at: &str, text: String) -> Problem {
        Problem {
            place: self.place(at),
            fault: Fault::Inconsistent(text),
        }
    }

    /// The place of an option, or of what it stands in.
    fn place(&self, at: &str) -> Place {
        let mut at = at;
        loop {
            if let Some(place) = self.places.get(at) {
                return place.clone();
            }
            match at.rfind(['.', '[']) {
                Some(end) => at = at.get(..end).unwrap_or_default(),
                None => return Place::Default,
            }
        }
    }

    fn first_at(&self, at: &str) -> String {
        match self.place(at) {
            Place::Default => String::new(),
            Place::Line { line, .. } => format!(" (first in line {line})"),
            place => format!(" (first in {place})"),
        }
    }
}

fn range_is_sound(range: &DnRange) -> bool {
    range.first <= range.last && range.last - range.first < MAX_RANGE
}
