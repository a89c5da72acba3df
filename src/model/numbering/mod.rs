//! Numbering: which DNs are ours, and where a dialled number or address leads.
//!
//! Invariant: whoever dials and whatever asks (a phone, a CTI request, a trunk, later a transfer), the way out leads through
//! [`Numbering::resolve`] and the first dial rule that fits, so the dial policy holds for every destination. A call that came through
//! a trunk leaves through one only by a rule that says so (`from_trunk`), and a foreign host is called only where a rule names it.
//! It is immutable: a change of the configuration makes a new one, shared as an `Arc`.
//!
//! What it does not do: it knows no contact, no service state and no SIP.

mod builder;
mod calling;
mod dialled;
mod direct;
mod pattern;
mod pool;
#[cfg(test)]
mod tests;
mod topology;

use std::collections::HashMap;
use std::sync::Arc;

use crate::room::RoomSettings;
use crate::{DnId, KvList, TError};
use dialled::Dialled;
use pattern::Pattern;

pub use builder::{NumberingBuilder, NumberingError};
pub use calling::{CALLING_METHOD, CPN_DIGITS, Calling, CallingMethod, CallingPolicy, DestinationRule, DialPlan, RuleError};
pub use direct::{DirectCalls, DirectMedia, DirectOverride, HANDLE_DIRECT_CALLS, HANDLE_DIRECT_CALLS_MEDIA, HandleDirectCalls};
pub use pattern::PatternError;
pub use pool::{DEFAULT_POOL, PoolPolicy};
pub use topology::{PassThrough, Regrouping, Standing};

/// What kind of thing a DN is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum DnKind {
    /// A user's devices, which register.
    Extension,
    /// A way to another switch. It is no party in events.
    Trunk,
    /// A conference that is dialled into ([`crate::room`]).
    Conference,
}

/// One DN of ours.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DnConfig {
    /// Its name.
    pub dn: DnId,
    /// What it is.
    pub kind: DnKind,
    /// For an Extension: its phone is asked to answer by itself when a CTI client makes a call from it.
    pub auto_answer: bool,
    /// For an Extension and a Conference: the short number that is dialled for it (`2001`).
    pub extension_number: Option<Arc<str>>,
    /// For an Extension: the name that the called side is shown.
    pub display_name: Option<Arc<str>>,
    /// For an Extension: which calls of its own client are handled, where that is not as with all.
    pub handle_direct_calls: Option<HandleDirectCalls>,
    /// For an Extension: which media of them, where that is not as with all.
    pub direct_media: Option<DirectMedia>,
    /// Whether a call may go on without any DN of ours when this one leaves it, where that is not as with all.
    pub pass_through: Option<PassThrough>,
    /// For a Conference: how it behaves.
    pub room: Option<Arc<RoomSettings>>,
    /// The application pool whose connectors serve it; `None` is the default pool.
    pub pool: Option<Arc<str>>,
}

impl DnConfig {
    /// An Extension with nothing special.
    pub fn extension(dn: impl Into<DnId>) -> Self {
        Self::new(dn.into(), DnKind::Extension)
    }

    /// A Trunk.
    pub fn trunk(dn: impl Into<DnId>) -> Self {
        Self::new(dn.into(), DnKind::Trunk)
    }

    /// A Conference.
    pub fn conference(dn: impl Into<DnId>, room: RoomSettings) -> Self {
        Self {
            room: Some(Arc::new(room)),
            ..Self::new(dn.into(), DnKind::Conference)
        }
    }

    fn new(dn: DnId, kind: DnKind) -> Self {
        Self {
            dn,
            kind,
            auto_answer: false,
            extension_number: None,
            display_name: None,
            handle_direct_calls: None,
            direct_media: None,
            pass_through: None,
            room: None,
            pool: None,
        }
    }
}

/// One line of the dial plan. The first one that fits decides.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DialRule {
    /// Which numbers or foreign addresses it speaks of. `0`-`9` `+` `*` `#` match themselves; `X` any digit, `Z` 1-9, `N` 2-9;
    /// `.` at the end any rest, also none. `pattern@host` speaks of addresses at a foreign host (`.@pbx.example.com`,
    /// `.@*.example.com`); without it, of numbers only.
    pub pattern: Arc<str>,
    /// How many characters are taken off the front of the number.
    pub strip: usize,
    /// What is then put in front of it.
    pub prepend: Arc<str>,
    /// The Trunk DN that carries the call.
    pub trunk: DnId,
    /// Whether such calls are allowed at all.
    pub allow: bool,
    /// Whether it holds for calls that came through a trunk too. Off, such calls never see this rule.
    pub from_trunk: bool,
}

impl DialRule {
    /// A rule that lets our own DNs call what `pattern` matches through `trunk`, the number unchanged.
    pub fn new(pattern: &str, trunk: impl Into<DnId>) -> Self {
        Self {
            pattern: pattern.into(),
            strip: 0,
            prepend: "".into(),
            trunk: trunk.into(),
            allow: true,
            from_trunk: false,
        }
    }
}

/// Where a dialled number leads.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Destination {
    /// To a DN of ours: an Extension, or a Conference ([`Numbering::room`] tells them apart).
    Extension(DnId),
    /// Out through a trunk.
    Trunk {
        /// The Trunk DN.
        trunk: DnId,
        /// The number as the far side wants it, not escaped for a URI.
        number: Arc<str>,
        /// How events name the far side: as it was dialled, a URI without its parameters, a number without its separators.
        other_dn: DnId,
    },
    /// Nowhere.
    Unknown,
    /// The dial plan forbids it to this caller.
    Prohibited,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct CompiledRule {
    pattern: Pattern,
    rule: DialRule,
}

/// The DNs and the dial plan.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Numbering {
    domains: Vec<Arc<str>>,
    dns: HashMap<DnId, DnConfig>,
    numbers: HashMap<Arc<str>, DnId>,
    rules: Vec<CompiledRule>,
    calling: CallingPolicy,
    pass_through: PassThrough,
    /// Pools that are not the default one.
    pools: HashMap<Arc<str>, PoolPolicy>,
    direct_calls: DirectCalls,
    has_rooms: bool,
}

impl Numbering {
    /// Starts an empty one.
    pub fn builder() -> NumberingBuilder {
        NumberingBuilder::default()
    }

    /// The configuration of a DN of ours.
    pub fn dn(&self, dn: &DnId) -> Option<&DnConfig> {
        self.dns.get(dn)
    }

    /// Every DN of ours, in no particular order.
    pub fn dns(&self) -> impl Iterator<Item = &DnConfig> {
        self.dns.values()
    }

    /// The conference that `dialled` leads to for the DN `calling`, where it leads to one.
    pub fn room(&self, dialled: &str, calling: Option<&DnId>) -> Option<(&DnId, &Arc<RoomSettings>)> {
        // Where there is no conference at all, no number need be looked up.
        if !self.has_rooms {
            return None;
        }
        let Destination::Extension(dn) = self.resolve(dialled, calling) else {
            return None;
        };
        let config = self.dn(&dn)?;
        config.room.as_ref().map(|room| (&config.dn, room))
    }

    /// How `destination` is called for a request of the DN `asking` with these extensions.
    pub fn calling(&self, asking: &DnId, destination: &str, extensions: &KvList) -> Result<Calling, TError> {
        let policy = self.policy_of(asking).map_or(&self.calling, |pool| &pool.calling);
        policy.calling(destination, extensions)
    }

    /// Whether a call may go on without any DN of ours; `leaving` is the DN that leaves it, or asks for what would make it so.
    pub fn pass_through(&self, leaving: Option<&DnId>) -> PassThrough {
        let own = leaving.and_then(|dn| self.dn(dn)).and_then(|dn| dn.pass_through);
        let pool = || leaving.and_then(|dn| self.policy_of(dn)).map(|pool| pool.pass_through);
        own.or_else(pool).unwrap_or(self.pass_through)
    }

    /// The application pool of a DN; `None` is the default pool, to which a DN belongs that is not ours.
    pub fn pool_of(&self, dn: &DnId) -> Option<&Arc<str>> {
        self.dn(dn)?.pool.as_ref()
    }

    fn policy_of(&self, dn: &DnId) -> Option<&PoolPolicy> {
        self.pools.get(self.pool_of(dn)?)
    }

    /// Which direct calls of a DN are handled.
    pub fn direct_calls(&self, dn: &DnId) -> DirectCalls {
        let own = self.dn(dn);
        DirectCalls {
            handle: own.and_then(|dn| dn.handle_direct_calls).unwrap_or(self.direct_calls.handle),
            media: own.and_then(|dn| dn.direct_media).unwrap_or(self.direct_calls.media),
        }
    }

    /// The host name that stands in the URIs we make: the first of our domains.
    pub fn default_domain(&self) -> &str {
        self.domains.first().map_or("localhost", |domain| domain)
    }

    /// Whether `host` (with or without a port) is one of our domains.
    pub fn is_our_host(&self, host: &str) -> bool {
        let name = without_port(host);
        self.domains
            .iter()
            .any(|ours| ours.eq_ignore_ascii_case(host) || ours.eq_ignore_ascii_case(name))
    }

    /// A SIP URI for what events call a DN: itself where it is one, else the number at our domain.
    pub fn sip_uri(&self, name: &DnId) -> DnId {
        let text = name.as_str();
        if text.starts_with("sip:") || text.starts_with("sips:") {
            return name.clone();
        }
        let number = text.strip_prefix("tel:").unwrap_or(text);
        DnId::new(&format!("sip:{number}@{}", self.default_domain()))
    }

    /// Where `dialled` leads for the DN `calling`. `dialled` is a number, a user part, or a sip, sips or tel URI. `None`, a Trunk DN and
    /// a DN that is not ours count as outsiders: only rules with `from_trunk` lead them out.
    pub fn resolve(&self, dialled: &str, calling: Option<&DnId>) -> Destination {
        let Some(address) = Dialled::parse(dialled) else {
            return Destination::Unknown;
        };
        let foreign_host = address.host.as_deref().filter(|host| !self.is_our_host(host));
        if foreign_host.is_none() {
            if let Some(dn) = self.extension(&address) {
                return Destination::Extension(dn);
            }
            if !address.is_number {
                return Destination::Unknown;
            }
        }
        let insider = calling
            .and_then(|dn| self.dn(dn))
            .is_some_and(|dn| dn.kind == DnKind::Extension);
        self.way_out(&address, foreign_host, insider, || as_dialled(dialled, &address))
    }

    fn extension(&self, address: &Dialled) -> Option<DnId> {
        let at = |host: &str| self.dns.get(&DnId::new(&format!("sip:{}@{host}", address.user)));
        let found = match address.host.as_deref() {
            Some(host) => at(host).or_else(|| at(without_port(host))),
            None => self.domains.iter().find_map(|domain| at(domain)),
        };
        match found {
            Some(config) => (config.kind != DnKind::Trunk).then(|| config.dn.clone()),
            None => self.numbers.get(address.user.as_str()).cloned(),
        }
    }

    fn way_out(&self, address: &Dialled, host: Option<&str>, insider: bool, other_dn: impl FnOnce() -> DnId) -> Destination {
        let mut fitting = self
            .rules
            .iter()
            .filter(|rule| rule.pattern.matches(&address.user, host))
            .peekable();
        if fitting.peek().is_none() {
            return Destination::Unknown;
        }
        let Some(CompiledRule { rule, .. }) = fitting.find(|rule| insider || rule.rule.from_trunk) else {
            return Destination::Prohibited;
        };
        let kept = address.user.get(rule.strip..).unwrap_or_default();
        if !rule.allow || rule.prepend.is_empty() && kept.is_empty() {
            return Destination::Prohibited;
        }
        Destination::Trunk {
            trunk: rule.trunk.clone(),
            number: format!("{}{kept}", rule.prepend).into(),
            other_dn: other_dn(),
        }
    }
}

/// The name in events of an address that is not ours.
fn as_dialled(dialled: &str, address: &Dialled) -> DnId {
    let scheme = match dialled.trim().split_once(':') {
        Some((scheme, _)) if scheme.eq_ignore_ascii_case("tel") => "tel:",
        Some((scheme, _)) if scheme.eq_ignore_ascii_case("sips") => "sips:",
        _ => "sip:",
    };
    match &address.host {
        Some(host) => DnId::new(&format!("{scheme}{}@{host}", address.user)),
        None if scheme == "tel:" => DnId::new(&format!("tel:{}", address.user)),
        None => DnId::new(&address.user),
    }
}

/// `host` of `host:port`, `[v6]` of `[v6]:port`.
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) && !is_bare_ipv6(name) => name,
        _ => host,
    }
}

fn is_bare_ipv6(name: &str) -> bool {
    name.contains(':') && !name.starts_with('[') || name.starts_with('[') && !name.ends_with(']')
}
