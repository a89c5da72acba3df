//! Building a [`Numbering`]: everything that cannot work is refused here, by name, all of it at once.

use std::collections::HashMap;
use std::sync::Arc;

use super::pattern::{Pattern, PatternError};
use super::{CallingPolicy, CompiledRule, DialRule, DirectCalls, DnConfig, DnKind, Numbering, PassThrough, PoolPolicy};
use crate::DnId;

/// What is wrong with a numbering plan. Rules are counted from 1.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum NumberingError {
    #[error("there is no domain: DNs need a host name")]
    NoDomain,
    #[error("domain `{domain}` is no host name")]
    Domain { domain: Arc<str> },
    #[error("DN `{dn}` is no SIP URI of the form sip:user@host")]
    NotSipUri { dn: DnId },
    #[error("DN `{dn}` stands twice (letter case does not count)")]
    DuplicateDn { dn: DnId },
    #[error("DN `{dn}` has a host that is none of our domains")]
    ForeignHost { dn: DnId },
    #[error("extension number `{number}` of `{dn}` is no number")]
    ExtensionNumber { dn: DnId, number: Arc<str> },
    #[error("extension number `{number}` of `{dn}` is taken by `{other}`")]
    DuplicateNumber { dn: DnId, number: Arc<str>, other: DnId },
    #[error("Trunk `{dn}` has an extension number")]
    TrunkWithNumber { dn: DnId },
    #[error("dial rule {rule}, pattern `{pattern}`: {reason}")]
    Pattern {
        rule: usize,
        pattern: Arc<str>,
        reason: PatternError,
    },
    #[error("dial rule {rule}, pattern `{pattern}`: `{trunk}` is no Trunk DN")]
    NoSuchTrunk { rule: usize, pattern: Arc<str>, trunk: DnId },
    #[error("dial rule {rule}, pattern `{pattern}`: strip = {strip} takes off more than the shortest number has")]
    Strip { rule: usize, pattern: Arc<str>, strip: usize },
    #[error("dial rule {rule}, pattern `{pattern}`: prepend = `{prepend}` has a character that no number has")]
    Prepend {
        rule: usize,
        pattern: Arc<str>,
        prepend: Arc<str>,
    },
}

/// Collects domains, DNs and rules.
#[derive(Clone, Debug, Default)]
pub struct NumberingBuilder {
    domains: Vec<Arc<str>>,
    dns: Vec<DnConfig>,
    rules: Vec<DialRule>,
    calling: CallingPolicy,
    pass_through: PassThrough,
    pools: HashMap<Arc<str>, PoolPolicy>,
    direct_calls: DirectCalls,
}

impl NumberingBuilder {
    /// Adds a host name of ours; the first one stands in the URIs we make.
    pub fn domain(mut self, domain: &str) -> Self {
        self.domains.push(domain.to_ascii_lowercase().into());
        self
    }

    /// Adds a DN.
    pub fn dn(mut self, dn: DnConfig) -> Self {
        self.dns.push(dn);
        self
    }

    /// Adds a dial rule after those that are there.
    pub fn rule(mut self, rule: DialRule) -> Self {
        self.rules.push(rule);
        self
    }

    /// Says how destinations are called.
    pub fn calling(mut self, policy: CallingPolicy) -> Self {
        self.calling = policy;
        self
    }

    /// Says whether a call may go on without any DN of ours.
    pub fn pass_through(mut self, policy: PassThrough) -> Self {
        self.pass_through = policy;
        self
    }

    /// Says what holds for the DNs of a pool. Without this, for those of a pool the same holds as for those of the default one.
    pub fn pool(mut self, name: &str, policy: PoolPolicy) -> Self {
        self.pools.insert(name.into(), policy);
        self
    }

    /// Says which direct calls are handled.
    pub fn direct_calls(mut self, policy: DirectCalls) -> Self {
        self.direct_calls = policy;
        self
    }

    /// The numbering, or everything that is wrong with it.
    pub fn build(self) -> Result<Numbering, Vec<NumberingError>> {
        let mut errors = Vec::new();
        let mut numbering = Numbering {
            domains: self.domains,
            calling: self.calling,
            pass_through: self.pass_through,
            pools: self.pools,
            direct_calls: self.direct_calls,
            ..Numbering::default()
        };
        check_domains(&numbering, &mut errors);
        for config in self.dns {
            add_dn(&mut numbering, config, &mut errors);
        }
        check_numbers(&numbering, &mut errors);
        for (index, rule) in self.rules.into_iter().enumerate() {
            match compile(&numbering, index + 1, rule) {
                Ok(rule) => numbering.rules.push(rule),
                Err(error) => errors.push(error),
            }
        }
        if errors.is_empty() { Ok(numbering) } else { Err(errors) }
    }
}

fn check_domains(numbering: &Numbering, errors: &mut Vec<NumberingError>) {
    if numbering.domains.is_empty() {
        errors.push(NumberingError::NoDomain);
    }
    for domain in &numbering.domains {
        if domain.is_empty() || domain.contains(['@', '/', ' ', '*', ';', '?']) {
            errors.push(NumberingError::Domain { domain: domain.clone() });
        }
    }
}

fn add_dn(numbering: &mut Numbering, config: DnConfig, errors: &mut Vec<NumberingError>) {
    let dn = config.dn.clone();
    let is_uri = dn.as_str().starts_with("sip:")
        && !dn.user().is_empty()
        && !dn.host().is_empty()
        && !dn.as_str().contains([';', '?', ' ']);
    if !is_uri {
        errors.push(NumberingError::NotSipUri { dn: dn.clone() });
    } else if config.kind != DnKind::Trunk && !numbering.domains.is_empty() && !numbering.is_our_host(dn.host()) {
        errors.push(NumberingError::ForeignHost { dn: dn.clone() });
    }
    if let Some(number) = &config.extension_number {
        if config.kind == DnKind::Trunk {
            errors.push(NumberingError::TrunkWithNumber { dn: dn.clone() });
        } else if !is_plain_number(number) {
            let number = number.clone();
            errors.push(NumberingError::ExtensionNumber { dn: dn.clone(), number });
        } else if let Some(other) = numbering.numbers.insert(number.clone(), dn.clone()) {
            let number = number.clone();
            errors.push(NumberingError::DuplicateNumber {
                dn: dn.clone(),
                number,
                other,
            });
        }
    }
    numbering.has_rooms |= config.room.is_some();
    if numbering.dns.insert(dn.clone(), config).is_some() {
        errors.push(NumberingError::DuplicateDn { dn });
    }
}

/// A number that is also the user part of another DN would lead to two places.
fn check_numbers(numbering: &Numbering, errors: &mut Vec<NumberingError>) {
    for (number, dn) in &numbering.numbers {
        let clash = numbering
            .domains
            .iter()
            .filter_map(|domain| numbering.dns.get(&DnId::new(&format!("sip:{number}@{domain}"))))
            .find(|other| other.dn != *dn);
        if let Some(other) = clash {
            errors.push(NumberingError::DuplicateNumber {
                dn: dn.clone(),
                number: number.clone(),
                other: other.dn.clone(),
            });
        }
    }
}

fn compile(numbering: &Numbering, index: usize, rule: DialRule) -> Result<CompiledRule, NumberingError> {
    let (text, number) = (rule.pattern.clone(), index);
    let pattern = Pattern::parse(&text).map_err(|reason| NumberingError::Pattern {
        rule: number,
        pattern: text.clone(),
        reason,
    })?;
    // A rule that refuses calls needs nothing to carry them.
    if rule.allow && numbering.dn(&rule.trunk).is_none_or(|dn| dn.kind != DnKind::Trunk) {
        return Err(NumberingError::NoSuchTrunk {
            rule: number,
            pattern: text,
            trunk: rule.trunk,
        });
    }
    if rule.strip > pattern.shortest() {
        return Err(NumberingError::Strip {
            rule: number,
            pattern: text,
            strip: rule.strip,
        });
    }
    if !rule
        .prepend
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"+*#-_".contains(&b))
    {
        return Err(NumberingError::Prepend {
            rule: number,
            pattern: text,
            prepend: rule.prepend,
        });
    }
    Ok(CompiledRule { pattern, rule })
}

fn is_plain_number(number: &str) -> bool {
    let digits = number.strip_prefix('+').unwrap_or(number);
    !digits.is_empty() && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'*' | b'#'))
}
