//! Types of options: what a value must look like, and how the valid values are described.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::ops::{Range, RangeInclusive};

use ipnet::IpNet;
use serde::Serialize;
use toml_edit::Value;

use crate::dial_pattern::{DialPattern, check_dial_plan_rule};
use crate::header;
use crate::schema::{DnRange, NumberedUri};
use crate::secret::Secret;
use crate::sip_uri::{self, SipUri};

/// The most digits of a PIN.
pub(crate) const MAX_PIN: usize = 16;

/// The type of an option with its valid values.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(tag = "name", rename_all = "snake_case")]
pub enum Kind {
    /// `true` or `false`.
    Boolean,
    /// A whole number; its unit is the end of the option's name.
    Integer {
        /// The smallest.
        min: i64,
        /// The largest.
        max: i64,
    },
    /// Text without control characters.
    Text {
        /// The fewest characters.
        min: usize,
        /// The most characters.
        max: usize,
    },
    /// A password or key: never shown.
    Secret {
        /// The fewest characters.
        min: usize,
        /// The most characters.
        max: usize,
    },
    /// One of a few words.
    OneOf {
        /// The words.
        values: &'static [&'static str],
    },
    /// The digits of a PIN: never shown.
    Pin,
    /// `ip:port`.
    SocketAddress,
    /// An IP address.
    IpAddress,
    /// A network, `10.0.0.0/8`.
    CidrBlock,
    /// A host name or an IP address.
    Host,
    /// A SIP URI that names a DN: `sip:user@host`.
    DnUri,
    /// The same with `{n}` in the user part.
    DnTemplate,
    /// A SIP URI of a peer: `sip:host:port;transport=udp`.
    PeerUri,
    /// A dialled number.
    Digits {
        /// The fewest characters.
        min: usize,
    },
    /// A pattern of dialled numbers.
    DialPattern,
    /// A pattern of destinations, as the seed has it.
    DialPlanRule,
    /// The name of a SIP header that may be passed on.
    HeaderName,
    /// A SIP header that may be added: `Name: value`.
    HeaderLine,
    /// A SIP URI with `{DD}` where its number stands.
    NumberedUri,
    /// A path to a file.
    File,
    /// A SHA-256 in hex digits.
    HexDigest,
    /// A filter of log levels.
    LogFilter,
    /// A web origin.
    Origin,
    /// A list.
    List {
        /// Of what.
        of: &'static Kind,
        /// The fewest elements.
        min: usize,
        /// The most elements.
        max: usize,
    },
}

/// Why a value is refused.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// Where in the source, where only part of the value is at fault.
    pub span: Option<Range<usize>>,
    /// The value as written; masked where it is secret.
    pub value: String,
    /// What is wrong beyond not being valid, where there is more to say.
    pub reason: Option<String>,
    /// Whether it is of another type altogether.
    pub wrong_type: bool,
    /// What would have been valid there.
    pub valid: String,
}

impl Kind {
    /// Whether its value must not be shown.
    pub fn is_secret(&self) -> bool {
        matches!(self, Self::Secret { .. } | Self::Pin)
    }

    /// Whether it is written as a TOML string.
    pub fn is_string(&self) -> bool {
        !matches!(self, Self::Boolean | Self::Integer { .. } | Self::List { .. })
    }

    /// Checks a value.
    pub fn check(&self, value: &Value) -> Result<(), Vec<Refusal>> {
        if let Self::List { of, min, max } = self {
            return check_list(self, of, *min..=*max, value);
        }
        let refusal = |reason: Option<String>, wrong_type: bool| {
            let value = if self.is_secret() {
                value_of_secret(value)
            } else {
                shown(value)
            };
            vec![Refusal {
                span: None,
                value,
                reason,
                wrong_type,
                valid: self.to_string(),
            }]
        };
        match (self, value) {
            (Self::Boolean, Value::Boolean(_)) => Ok(()),
            (Self::Integer { min, max }, Value::Integer(n)) if (*min..=*max).contains(n.value()) => Ok(()),
            (Self::Integer { .. }, Value::Integer(_)) => Err(refusal(None, false)),
            (kind, Value::String(text)) if kind.is_string() => kind.check_text(text.value()).map_err(|why| refusal(why, false)),
            _ => Err(refusal(Some(format!("that is {}", found(value))), true)),
        }
    }

    /// Checks a value that is written as a TOML string; the error says what is wrong where [`Kind`]'s description does not.
    fn check_text(&self, text: &str) -> Result<(), Option<String>> {
        if let Some(bad) = text.chars().find(|c| c.is_control()) {
            return Err(Some(format!(
                "a control character (U+{:04X}) cannot stand here",
                u32::from(bad)
            )));
        }
        let said = |why: &str| Some(why.to_owned());
        match self {
            Self::Boolean | Self::Integer { .. } | Self::List { .. } => Err(None),
            Self::Text { min, max } => fits(text, *min, *max),
            Self::Secret { .. } | Self::Pin if Secret::is_masked_form(text) => {
                Err(said("this is a masked value as `config show` prints it"))
            }
            Self::Secret { min, max } => fits(text, *min, *max),
            Self::OneOf { values } => values.contains(&text).then_some(()).ok_or_else(|| suggested(text, values)),
            Self::Pin => {
                fits(text, 1, MAX_PIN)?;
                text.bytes().all(|b| b.is_ascii_digit()).then_some(()).ok_or(None)
            }
            Self::SocketAddress => text.parse::<SocketAddr>().map(drop).map_err(|_| None),
            Self::IpAddress => text.parse::<IpAddr>().map(drop).map_err(|_| None),
            Self::CidrBlock => check_network(text),
            Self::Host => sip_uri::check_host(text).map_err(said),
            Self::DnUri => SipUri::parse(text).and_then(|uri| uri.check_dn()).map_err(said),
            Self::DnTemplate => check_template(text),
            Self::PeerUri => SipUri::parse(text).and_then(|uri| uri.check_peer()).map_err(said),
            Self::Digits { min } => {
                fits(text, *min, 32)?;
                text.bytes()
                    .all(|b| b.is_ascii_digit() || b"+*#".contains(&b))
                    .then_some(())
                    .ok_or(None)
            }
            Self::DialPattern => DialPattern::parse(text).map(drop).map_err(Some),
            Self::DialPlanRule => check_dial_plan_rule(text).map_err(said),
            Self::HeaderName => header::check_name(text).map_err(said),
            Self::HeaderLine => header::check_line(text).map_err(said),
            Self::NumberedUri => check_numbered(text),
            Self::File => fits(text, 1, 4096),
            Self::HexDigest => (text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit()))
                .then_some(())
                .ok_or(None),
            Self::LogFilter => check_log_filter(text),
            Self::Origin => check_origin(text).map_err(said),
        }
    }
}

/// Describes the valid values.
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boolean => f.write_str("true or false"),
            Self::Integer { min, max } => write!(f, "{min} to {max}"),
            Self::Text { min: 0, max } => write!(f, "text of at most {max} characters"),
            Self::Text { min, max } | Self::Secret { min, max } => write!(f, "text of {min} to {max} characters"),
            Self::OneOf { values } => {
                for (i, value) in values.iter().enumerate() {
                    let comma = if i == 0 { "" } else { ", " };
                    write!(f, "{comma}\"{value}\"")?;
                }
                Ok(())
            }
            Self::Pin => write!(f, "1 to {MAX_PIN} digits"),
            Self::IpAddress => f.write_str("an IP address, such as 192.0.2.1 or 2001:db8::1"),
            Self::SocketAddress => f.write_str("ip:port, such as 127.0.0.1:5060 or [::1]:5060"),
            Self::CidrBlock => f.write_str("address/bits, such as 10.0.0.0/8 or ::1/128"),
            Self::Host => f.write_str("a host name or an IP address"),
            Self::DnUri => f.write_str("sip:user@host"),
            Self::DnTemplate => f.write_str("sip:user@host with {n} once in its user part"),
            Self::PeerUri => f.write_str("sip:host, sip:host:port, with ;transport=udp or ;transport=tcp"),
            Self::Digits { .. } => f.write_str("digits, *, #, a leading +; at most 32"),
            Self::DialPattern => f.write_str("digits, +, *, #, X, Z, N, . at the end; with @host for addresses there"),
            Self::DialPlanRule => {
                f.write_str("text with { } round its variable part, in there D, S, #, * and characters for themselves")
            }
            Self::HeaderName => f.write_str("the name of a SIP header that does not belong to one leg"),
            Self::HeaderLine => f.write_str("Name: value, a SIP header that does not belong to one leg"),
            Self::NumberedUri => f.write_str("sip:user@host with {D} to {DDDDDD} once in its user part"),
            Self::File => f.write_str("a path to a file"),
            Self::HexDigest => f.write_str("64 hex digits"),
            Self::LogFilter => {
                f.write_str("off, error, warn, info, debug, trace; by module as module=level; separated by commas")
            }
            Self::Origin => f.write_str("scheme://host, scheme://host:port or *"),
            Self::List { of, min: 0, max } => write!(f, "a list of at most {max}: {of}"),
            Self::List { of, min, max } => write!(f, "a list of {min} to {max}: {of}"),
        }
    }
}

fn check_list(kind: &Kind, of: &Kind, fitting: RangeInclusive<usize>, value: &Value) -> Result<(), Vec<Refusal>> {
    let whole = |reason, wrong_type| {
        vec![Refusal {
            span: None,
            value: shown(value),
            reason: Some(reason),
            wrong_type,
            valid: kind.to_string(),
        }]
    };
    let Some(elements) = value.as_array() else {
        return Err(whole(format!("that is {}", found(value)), true));
    };
    if !fitting.contains(&elements.len()) {
        return Err(whole(format!("it has {} elements", elements.len()), false));
    }
    let mut refusals = Vec::new();
    let mut seen: Vec<String> = Vec::new();
    for element in elements {
        let text = shown(element);
        if seen.contains(&text) {
            let reason = Some("it stands twice".to_owned());
            refusals.push(Refusal {
                span: element.span(),
                value: text,
                reason,
                wrong_type: false,
                valid: of.to_string(),
            });
            continue;
        }
        seen.push(text);
        if let Err(of_element) = of.check(element) {
            refusals.extend(of_element.into_iter().map(|refusal| Refusal {
                span: refusal.span.or(element.span()),
                ..refusal
            }));
        }
    }
    if refusals.is_empty() { Ok(()) } else { Err(refusals) }
}

fn fits(text: &str, min: usize, max: usize) -> Result<(), Option<String>> {
    match text.chars().count() {
        0 if min > 0 => Err(Some("it is empty".to_owned())),
        n if n < min || n > max => Err(Some(format!("it has {n} characters"))),
        _ => Ok(()),
    }
}

fn suggested(text: &str, values: &[&str]) -> Option<String> {
    crate::suggestion::nearest(text, values.iter().copied()).map(|value| format!("did you mean \"{value}\"?"))
}

fn check_network(text: &str) -> Result<(), Option<String>> {
    if text.parse::<IpNet>().is_ok() {
        return Ok(());
    }
    match text.parse::<IpAddr>() {
        Ok(address) => Err(Some(format!("for that one address write \"{}\"", IpNet::from(address)))),
        Err(_) => Err(None),
    }
}

fn check_template(text: &str) -> Result<(), Option<String>> {
    if text.matches(DnRange::PLACEHOLDER).count() != 1 {
        return Err(None);
    }
    check_filled(text, &text.replace(DnRange::PLACEHOLDER, "0"))
}

fn check_numbered(text: &str) -> Result<(), Option<String>> {
    let pattern = NumberedUri::parse(text).ok_or(None)?;
    check_filled(text, &pattern.name(1))
}

/// Checks what a template becomes once filled, and that its placeholder is in the user part.
fn check_filled(template: &str, one: &str) -> Result<(), Option<String>> {
    let uri = SipUri::parse(one)
        .and_then(|uri| uri.check_dn().map(|()| uri))
        .map_err(|why| Some(why.to_owned()))?;
    // The placeholder is in the user part exactly where the host is the same without it.
    if template.ends_with(uri.host_and_port) {
        Ok(())
    } else {
        Err(None)
    }
}

fn check_log_filter(text: &str) -> Result<(), Option<String>> {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    for directive in text.split(',').map(str::trim) {
        let (target, level) = match directive.split_once('=') {
            Some((target, level)) => (target, level),
            None => ("tandem", directive),
        };
        if target.is_empty() || !target.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b':') {
            return Err(Some(format!("\"{target}\" is no module")));
        }
        if !LEVELS.contains(&level.to_ascii_lowercase().as_str()) {
            return Err(Some(format!("\"{level}\" is no level")));
        }
    }
    Ok(())
}

fn check_origin(text: &str) -> Result<(), &'static str> {
    if text == "*" {
        return Ok(());
    }
    let (scheme, host) = text.split_once("://").ok_or("it has no scheme")?;
    if scheme.is_empty() || !scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b)) {
        return Err("its scheme is no scheme");
    }
    if host.contains('/') {
        return Err("an origin has no path and no slash at its end");
    }
    sip_uri::check_host_and_port(host)
}

/// What a value of the wrong type is, with its article.
pub(crate) fn found(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "a string",
        Value::Integer(_) => "an integer",
        Value::Float(_) => "a number with a fraction",
        Value::Boolean(_) => "a boolean",
        Value::Datetime(_) => "a date",
        Value::Array(_) => "a list",
        Value::InlineTable(_) => "a table",
    }
}

/// The value as it is written in TOML, on one line and of bounded length.
fn shown(value: &Value) -> String {
    const MOST: usize = 80;
    let mut bare = value.clone();
    bare.decor_mut().clear();
    let text = bare.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
    match text.char_indices().nth(MOST) {
        Some((at, _)) => format!("{}...", text.get(..at).unwrap_or_default()),
        None => text,
    }
}

fn value_of_secret(value: &Value) -> String {
    match value.as_str() {
        Some(text) => Secret::new(text).to_string(),
        None => "****".to_owned(),
    }
}
