//! The checks of `[[dn_folder]]`: folders, the pools that they and the links name, and what has no effect where it stands.
//!
//! Errors are what cannot be meant (seed 002 line 2767: one pool, two folders). Warnings are what the T-Server runs with, though calls of some
//! DNs, or some connectors, stay without service (seed 002 line 2814).

use std::collections::HashMap;

use super::Check;
use crate::registry::heading;
use crate::schema::{Config, DEFAULT_POOL, DnFolder, LinkProtocol, NumberedUri, SEPARATOR, is_default};
use crate::suggestion;

/// What a folder of the first level may set for the pool that it is.
const POOL_OPTIONS: &[&str] = &[
    "max_calls",
    "allow_pass_through_calls",
    "calling_method_dialplan",
    "cpn",
    "music",
    "conference_pool_size",
    "caching_enabled",
    "reuse_avcall",
    "uri_pattern",
    "count",
    "lobby_bypass_enabled",
];

/// Those of them that are for connectors, which one process has for the default pool only.
const OF_CONNECTORS: &[&str] = &[
    "music",
    "conference_pool_size",
    "caching_enabled",
    "reuse_avcall",
    "uri_pattern",
    "count",
];

impl Check<'_> {
    pub(super) fn pools(&mut self) {
        let config = self.config;
        let (mut names, mut pools) = (HashMap::new(), HashMap::new());
        for (n, folder) in config.dn_folder.iter().enumerate() {
            let at = format!("dn_folder[{n}]");
            self.folder_name(&at, folder, &mut names);
            match folder.pool() {
                Some(pool) => self.pool(&at, pool, folder, &mut pools),
                None => self.no_pool(&at, folder),
            }
        }
        self.references();
        if !config.link.is_empty() {
            self.served_pools();
            self.serving_links();
        }
    }

    fn folder_name<'a>(&mut self, at: &str, folder: &'a DnFolder, names: &mut HashMap<&'a str, String>) {
        if folder.name.split(SEPARATOR).any(|part| part.trim().is_empty()) {
            let text = format!("`name` = \"{}\" has a part without a name", folder.name);
            self.error(&format!("{at}.name"), text);
        }
        if let Some(first) = names.insert(&folder.name, format!("{at}.name")) {
            let text = format!("folder `{}` stands twice{}", folder.name, self.first_at(&first));
            self.error(&format!("{at}.name"), text);
        }
    }

    /// A folder that is a pool.
    fn pool<'a>(&mut self, at: &str, pool: &'a str, folder: &'a DnFolder, pools: &mut HashMap<&'a str, (&'a str, String)>) {
        let place = format!("{at}.pool_name");
        if let Some((other, first)) = pools.get(pool) {
            let text = format!(
                "pool `{pool}` has two folders, `{other}`{} and `{}`; only the default pool may have several",
                self.first_at(first),
                folder.name
            );
            self.error(&place, text);
        } else {
            pools.insert(pool, (&folder.name, place));
        }
        self.dial_plan_exists(
            &format!("{at}.calling_method_dialplan"),
            folder.calling_method_dialplan.as_deref(),
        );
        self.endpoints(at, folder);
        if self.config.link.is_empty() {
            for option in OF_CONNECTORS {
                let text = format!(
                    "`{option}` has no effect in pool `{pool}` under `tandem serve`, whose connectors are all of the default pool; it has one where a \
                     [[link]] with `pool_name` = \"{pool}\" makes a connector a process of its own (`tandem connector`)"
                );
                self.warning_if_set(at, option, text);
            }
        } else if let Some(music) = folder.music.as_ref().filter(|music| !music.is_file()) {
            let text = format!(
                "`music` = \"{}\": there is no such file; the connectors of pool `{pool}` refuse to start",
                music.display()
            );
            self.warning(&format!("{at}.music"), text);
        }
    }

    /// A folder of the default pool, or one below the first level: neither has options (seed 002 lines 2733, 2769).
    fn no_pool(&mut self, at: &str, folder: &DnFolder) {
        let name = &folder.name;
        if !folder.is_of_first_level() {
            for option in std::iter::once(&"pool_name").chain(POOL_OPTIONS) {
                let text = format!(
                    "`{option}` has no effect in folder `{name}`: only those of the first level name and configure a pool"
                );
                self.warning_if_set(at, option, text);
            }
            return;
        }
        for option in POOL_OPTIONS {
            let instead = match *option {
                "max_calls" => "[sizing]",
                "music" => "[media]",
                "allow_pass_through_calls" | "calling_method_dialplan" | "cpn" => "[calls]",
                _ => "[conference]",
            };
            let text = format!("`{option}` has no effect in folder `{name}`: the default pool is configured in {instead}");
            self.warning_if_set(at, option, text);
        }
    }

    fn warning_if_set(&mut self, at: &str, option: &str, text: String) {
        let at = format!("{at}.{option}");
        if self.places.contains_key(&at) {
            self.warning(&at, text);
        }
    }

    /// The pattern and the number of conference endpoints, either of which may come from the default pool.
    fn endpoints(&mut self, at: &str, folder: &DnFolder) {
        if folder.uri_pattern.is_none() && folder.count.is_none() {
            return;
        }
        let conference = folder.conference(&self.config.conference);
        let option = if folder.count.is_some() { "count" } else { "uri_pattern" };
        let text = match conference.uri_pattern.as_deref().and_then(NumberedUri::parse) {
            Some(_) if conference.count == 0 => {
                "there is a `uri_pattern` but no `count`, neither here nor in [conference]".to_owned()
            }
            None if conference.count > 0 => {
                "there is a `count` but no `uri_pattern`, neither here nor in [conference]".to_owned()
            }
            Some(pattern) if conference.count > pattern.most() => {
                format!(
                    "`count` = {} has more digits than the `uri_pattern` of the pool",
                    conference.count
                )
            }
            _ => return,
        };
        self.error(&format!("{at}.{option}"), text);
    }

    /// Every folder that something says it is in is there.
    fn references(&mut self) {
        let config = self.config;
        let dns = config.dn.iter().map(|dn| &dn.folder);
        let ranges = config.dn_range.iter().map(|range| &range.folder);
        let trunks = config.trunk.iter().map(|trunk| &trunk.folder);
        let conferences = config.conference_dn.iter().map(|conference| &conference.folder);
        let tables = [
            ("dn", dns.collect::<Vec<_>>()),
            ("dn_range", ranges.collect()),
            ("trunk", trunks.collect()),
            ("conference_dn", conferences.collect()),
        ];
        for (table, folders) in tables {
            for (n, folder) in folders.into_iter().enumerate() {
                if let Some(folder) = folder.as_deref().filter(|folder| !is_there(config, folder)) {
                    let names = config.dn_folder.iter().map(|folder| folder.name.as_str());
                    let hint =
                        suggestion::nearest(folder, names).map_or(String::new(), |near| format!("; did you mean `{near}`?"));
                    let text = format!("`{folder}` is none of the folders in {}{hint}", heading("dn_folder[]"));
                    self.error(&format!("{table}[{n}].folder"), text);
                }
            }
        }
    }

    /// Each pool with DNs has a connector.
    fn served_pools(&mut self) {
        let config = self.config;
        let is_served = |pool: &str| config.link.iter().any(|link| link.pool_name == pool);
        let by_pool = dns_by_pool(config);
        let of = |pool: &str| by_pool.get(pool).copied().unwrap_or_default();
        for (n, folder) in config.dn_folder.iter().enumerate() {
            if let Some(pool) = folder.pool().filter(|pool| !is_served(pool)) {
                let name = &folder.name;
                let text = match of(pool) {
                    0 => format!("no [[link]] has `pool_name` = \"{pool}\": nobody serves folder `{name}`"),
                    dns => {
                        let lost = out_of_service(dns, &format!("of folder `{name}`"));
                        format!("no [[link]] has `pool_name` = \"{pool}\": {lost}")
                    }
                };
                self.warning(&format!("dn_folder[{n}].pool_name"), text);
            }
        }
        if of(DEFAULT_POOL) > 0 && !is_served(DEFAULT_POOL) {
            let lost = out_of_service(of(DEFAULT_POOL), "outside the folders of other pools");
            self.warning("link", format!("no [[link]] is of the default pool: {lost}"));
        }
    }

    /// Each connector has DNs to serve, and what its link says of certificates has an effect.
    fn serving_links(&mut self) {
        let config = self.config;
        for (n, link) in config.link.iter().enumerate() {
            let at = format!("link[{n}]");
            let (name, pool) = (&link.name, link.pool_name.as_str());
            if !is_default(pool) && !config.pools().any(|folder| folder.pool() == Some(pool)) {
                let pools = config.pools().filter_map(DnFolder::pool);
                let hint = suggestion::nearest(pool, pools).map_or(String::new(), |near| format!("; did you mean `{near}`?"));
                let text = format!(
                    "no folder has `pool_name` = \"{pool}\": connector `{name}` is connected, and no call is given to it{hint}"
                );
                self.warning(&format!("{at}.pool_name"), text);
            }
            self.certificate_of(&at, link);
        }
    }

    fn certificate_of(&mut self, at: &str, link: &crate::schema::Link) {
        let (pool, is_set) = (&link.pool_name, self.places.contains_key(&format!("{at}.use_certificate")));
        let has_certificate = self.config.link_tls.identity().is_some();
        let text = match link.protocol {
            _ if is_set && is_default(pool) => {
                "`use_certificate` has no effect in the default pool: the certificate of [link_tls] is shown to its connectors"
                    .to_owned()
            }
            LinkProtocol::Tcp if is_set => "`use_certificate` has no effect where `protocol` is \"tcp\"".to_owned(),
            LinkProtocol::Tls if is_set && !has_certificate => {
                "`use_certificate` has no effect: [link_tls] has no `certificate_file`".to_owned()
            }
            LinkProtocol::Tls if !is_set && !is_default(pool) && has_certificate => {
                format!(
                    "`use_certificate` is missing: pool `{pool}` is not the default one; the certificate of [link_tls] is shown to it"
                )
            }
            _ => return,
        };
        self.warning(&format!("{at}.use_certificate"), text);
    }
}

/// Whether a folder is one of the configuration's, or below one.
fn is_there(config: &Config, folder: &str) -> bool {
    config.dn_folder.iter().any(|known| {
        let rest = folder.strip_prefix(known.name.as_str());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(SEPARATOR))
    })
}

/// How many DNs each pool has: devices and conferences. A trunk carries calls of every pool.
fn dns_by_pool(config: &Config) -> HashMap<&str, u64> {
    let mut counts = HashMap::new();
    let mut count = |folder: &Option<String>, dns: u64| {
        let pool = config
            .pool_of(folder.as_deref())
            .and_then(DnFolder::pool)
            .unwrap_or(DEFAULT_POOL);
        let counted: &mut u64 = counts.entry(pool).or_default();
        *counted = counted.saturating_add(dns);
    };
    config.dn.iter().for_each(|dn| count(&dn.folder, 1));
    config.conference_dn.iter().for_each(|dn| count(&dn.folder, 1));
    let ranges = config.dn_range.iter().filter(|range| super::range_is_sound(range));
    ranges.for_each(|range| count(&range.folder, range.last - range.first + 1));
    counts
}

fn out_of_service(dns: u64, whose: &str) -> String {
    match dns {
        1 => format!("the DN {whose} is out of service"),
        dns => format!("the {dns} DNs {whose} are out of service"),
    }
}
