//! Diversion: who forwarded a call, the last one first (RFC 5806).

use std::sync::Arc;

use super::asserted::ANONYMOUS_URI;
use super::{Headers, display_of, uri_of, write_name_addr, write_param};
use crate::message::{HeaderName, Message, NameAddr};

/// How many Diversion values are kept: "limit" in most networks is 5 diversions.
const MAX_DIVERSIONS: usize = 10;

/// The longest parameter that is kept as text [bytes].
const MAX_TOKEN_BYTES: usize = 32;

/// Why a call was forwarded (RFC 5806 s.10.1; the causes of RFC 4458 s.2 beside them).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub enum ForwardReason {
    /// Nobody said.
    #[default]
    Unknown,
    /// Always.
    Unconditional,
    /// The user was busy.
    UserBusy,
    /// Nobody answered.
    NoAnswer,
    /// Not registered, or out of reach.
    Unavailable,
    /// The user sent it on by hand, or the phone did (3xx).
    Deflection,
    /// By the time of day.
    TimeOfDay,
    /// The user does not want calls.
    DoNotDisturb,
    /// The user is somewhere else.
    FollowMe,
    /// The device is out of service.
    OutOfService,
    /// The user is away.
    Away,
}

impl ForwardReason {
    const ALL: [(Self, &'static str, u16); 11] = [
        (Self::Unknown, "unknown", 404),
        (Self::Unconditional, "unconditional", 302),
        (Self::UserBusy, "user-busy", 486),
        (Self::NoAnswer, "no-answer", 408),
        (Self::Unavailable, "unavailable", 503),
        (Self::Deflection, "deflection", 480),
        (Self::TimeOfDay, "time-of-day", 302),
        (Self::DoNotDisturb, "do-not-disturb", 302),
        (Self::FollowMe, "follow-me", 302),
        (Self::OutOfService, "out-of-service", 503),
        (Self::Away, "away", 302),
    ];

    /// The `reason` of a Diversion.
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|row| row.0 == self).map_or("unknown", |row| row.1)
    }

    /// The reason that a cause stands for; the first of those that share one.
    pub fn from_cause(cause: u16) -> Self {
        // "Deflection during alerting" (RFC 4458 s.3) has a cause of its own.
        if cause == 487 {
            return Self::Deflection;
        }
        let row = Self::ALL.iter().find(|row| row.2 == cause);
        row.map_or(Self::Unknown, |row| row.0)
    }

    /// The reason of that name; unknown where nobody knows it.
    pub fn from_token(token: &str) -> Self {
        let row = Self::ALL.iter().find(|row| row.1.eq_ignore_ascii_case(token));
        row.map_or(Self::Unknown, |row| row.0)
    }

    /// The `cause` of a History-Info entry (RFC 4458 s.2).
    pub fn cause(self) -> u16 {
        Self::ALL.iter().find(|row| row.0 == self).map_or(404, |row| row.2)
    }
}

/// One forwarding.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Diversion {
    /// Who forwarded.
    pub by: Arc<str>,
    /// Its display name.
    pub display: Option<Arc<str>>,
    /// Why.
    pub reason: ForwardReason,
    /// How many forwardings this entry stands for.
    pub counter: u32,
    /// How many there may be.
    pub limit: Option<u32>,
    /// `full`, `name`, `uri` or `off`.
    pub privacy: Option<Arc<str>>,
    /// `yes` or `no`.
    pub screen: Option<Arc<str>>,
}

impl Diversion {
    /// A forwarding of ours.
    pub fn new(by: Arc<str>, display: Option<Arc<str>>, reason: ForwardReason) -> Self {
        Self {
            by,
            display,
            reason,
            counter: 1,
            limit: None,
            privacy: None,
            screen: None,
        }
    }

    /// Whether a person at the other end must not read who forwarded ("privacy", RFC 5806 s.6.3).
    fn is_private(&self) -> bool {
        let private = |value: &str| ["full", "uri"].iter().any(|known| known.eq_ignore_ascii_case(value));
        self.privacy.as_deref().is_some_and(private)
    }

    /// The same for whom that must not be told: that there was one, and why.
    fn anonymous(&self) -> Self {
        Self {
            by: ANONYMOUS_URI.into(),
            display: None,
            ..self.clone()
        }
    }

    /// Reads one value.
    pub(super) fn parse(value: &str) -> Option<Self> {
        let address = NameAddr::parse(value).ok()?;
        let number = |name: &str| address.param(name).and_then(|text| text.parse::<u32>().ok());
        let token = |name: &str| {
            let value = address
                .param(name)
                .filter(|text| (1..=MAX_TOKEN_BYTES).contains(&text.len()))?;
            Some(Arc::from(value))
        };
        Some(Self {
            by: uri_of(&address)?,
            display: display_of(&address),
            reason: ForwardReason::from_token(address.param("reason").unwrap_or_default()),
            // "counter: ... default 1" (s.6.3); what is absurd counts as much as it can.
            counter: address.param("counter").map_or(1, |_| number("counter").unwrap_or(u32::MAX)),
            limit: number("limit"),
            privacy: token("privacy"),
            screen: token("screen"),
        })
    }

    /// The value of the header.
    fn value(&self) -> String {
        let mut value = String::with_capacity(self.by.len() + 48);
        write_name_addr(&mut value, &self.by, self.display.as_deref());
        write_param(&mut value, "reason", self.reason.as_str());
        write_param(&mut value, "counter", &self.counter.to_string());
        if let Some(limit) = self.limit {
            write_param(&mut value, "limit", &limit.to_string());
        }
        for (name, token) in [("privacy", &self.privacy), ("screen", &self.screen)] {
            if let Some(token) = token {
                write_param(&mut value, name, token);
            }
        }
        value
    }
}

/// The forwardings of a call so far, the last one first.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Diversions {
    /// At most ten; older ones are forgotten, but for their number.
    pub entries: Vec<Diversion>,
}

impl Diversions {
    /// Reads the Diversion headers of an INVITE; what cannot be read is left out.
    pub fn of(invite: &Message) -> Self {
        Self::parse(invite.headers(HeaderName::Diversion))
    }

    /// Reads values of Diversion.
    pub fn parse<'a>(values: impl IntoIterator<Item = &'a str>) -> Self {
        let mut diversions = Self {
            entries: values.into_iter().filter_map(Diversion::parse).collect(),
        };
        diversions.bound();
        diversions
    }

    /// How often the call was forwarded.
    pub fn count(&self) -> u32 {
        self.entries
            .iter()
            .fold(0, |sum, diversion| sum.saturating_add(diversion.counter))
    }

    /// Whether one more forwarding is one too many: by what is configured, or by the limit that an entry names.
    pub fn is_exhausted(&self, limit: u32) -> bool {
        let named = self.entries.iter().filter_map(|diversion| diversion.limit).min();
        self.count() >= named.map_or(limit, |named| named.min(limit))
    }

    /// Adds a forwarding ("the Diversion header field is added ... as the topmost", s.6.2). One by the same that is there already for the
    /// same reason is counted on.
    pub fn push(&mut self, diversion: Diversion) {
        match self.entries.first_mut() {
            Some(last) if last.by == diversion.by && last.reason == diversion.reason => {
                last.counter = last.counter.saturating_add(diversion.counter);
            }
            _ => self.entries.insert(0, diversion),
        }
        self.bound();
    }

    /// The headers.
    pub fn headers(&self) -> Headers {
        let line = |diversion: &Diversion| (HeaderName::Diversion.as_str().into(), diversion.value().into());
        self.entries.iter().map(line).collect()
    }

    /// The headers for a side that is not trusted: who does not want to be known is anonymous there, and everybody is where `all` says so.
    pub fn public_headers(&self, all: bool) -> Headers {
        let shown = |diversion: &Diversion| {
            if all || diversion.is_private() {
                return diversion.anonymous();
            }
            let name = diversion.privacy.as_deref();
            let hides_name = name.is_some_and(|value| value.eq_ignore_ascii_case("name"));
            Diversion {
                display: diversion.display.clone().filter(|_| !hides_name),
                ..diversion.clone()
            }
        };
        let entries = self.entries.iter().map(shown).collect();
        Self { entries }.headers()
    }

    /// Forgets the oldest one but for its number. `false`: it is the only one.
    pub(super) fn forget_oldest(&mut self) -> bool {
        let Some(gone) = self.entries.pop() else { return false };
        let Some(oldest) = self.entries.last_mut() else {
            return false;
        };
        oldest.counter = oldest.counter.saturating_add(gone.counter);
        true
    }

    /// Forgets the oldest but for their number, which the oldest one left takes over.
    fn bound(&mut self) {
        let gone = self.entries.iter().skip(MAX_DIVERSIONS);
        let count = gone.fold(0u32, |sum, diversion| sum.saturating_add(diversion.counter));
        self.entries.truncate(MAX_DIVERSIONS);
        if let Some(oldest) = self.entries.last_mut() {
            oldest.counter = oldest.counter.saturating_add(count);
        }
    }
}
