//! Asserted identities and privacy (RFC 3323, RFC 3325).
//!
//! A message from a *trusted* side (another server of the same trust domain) tells who calls in P-Asserted-Identity, or in the older
//! Remote-Party-ID. From a side that is not, those are nothing but claims and are not read (RFC 3325 s.5: "If it does not trust the ...
//! element, it removes"); who calls is then what the shell authenticated, and P-Preferred-Identity may choose among the identities that
//! belong to that one.
//!
//! What is not here: privacy services (Via and Contact hiding, which a back-to-back user agent does by being one), RFC 8224 identities.

use std::sync::Arc;

use super::{Headers, display_of, uri_of, write_name_addr};
use crate::message::{HeaderName, Message, NameAddr, Scheme, Uri};

/// How many P-Asserted-Identity values a message may have: "one SIP, SIPS or tel URI", or two of which one is a tel URI (RFC 3325 s.9.1).
const MAX_ASSERTED: usize = 2;

/// The From URI of a caller that wants to be nobody (RFC 3323 s.4.1.1.3).
pub(super) const ANONYMOUS_URI: &str = "sip:anonymous@anonymous.invalid";
const ANONYMOUS_NAME: &str = "Anonymous";

/// Whether a side belongs to our trust domain (RFC 3324).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Trust {
    /// Its assertions hold, and it keeps what is private.
    Trusted,
    /// Neither.
    Untrusted,
}

/// A URI and the name that goes with it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Identity {
    /// A `sip`, `sips` or `tel` URI.
    pub uri: Arc<str>,
    /// The display name, without quotes.
    pub display: Option<Arc<str>>,
}

impl Identity {
    /// The identity of an address, where it can be one.
    fn of(address: &NameAddr<'_>) -> Option<Self> {
        let callable = !matches!(address.parse_uri().ok()?.scheme, Scheme::Other(_));
        Some(Self {
            uri: uri_of(address).filter(|_| callable)?,
            display: display_of(address),
        })
    }

    fn is_tel(&self) -> bool {
        Uri::parse(&self.uri).is_ok_and(|uri| uri.scheme == Scheme::Tel)
    }

    /// Whether this is the caller who wants to be nobody.
    pub fn is_anonymous(&self) -> bool {
        Uri::parse(&self.uri).is_ok_and(|uri| uri.host.eq_ignore_ascii_case("anonymous.invalid"))
    }

    /// Whether the other one is the same number or user, at whatever host.
    fn is_user_of(&self, other: &Self) -> bool {
        let user = |identity: &Self| Some(Uri::parse(&identity.uri).ok()?.user?.to_ascii_lowercase());
        user(self).is_some_and(|known| user(other) == Some(known))
    }
}

/// The privacy that the caller asks for (RFC 3323 s.4.2, RFC 3325 s.9.3, RFC 7044 s.10.1.2).
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Privacy {
    /// `none`: the identity must be shown.
    pub none: bool,
    /// `id`: the asserted identity is not to leave the trust domain.
    pub id: bool,
    /// `user`: nothing is to tell who calls.
    pub user: bool,
    /// `header`: headers that tell of the caller's network are to be hidden.
    pub header: bool,
    /// `session`: the media's addresses are to be hidden.
    pub session: bool,
    /// `history`: so is who forwarded.
    pub history: bool,
    /// `critical`: rather fail than go without.
    pub critical: bool,
    /// A value that nobody here knows was asked for.
    pub unknown: bool,
}

impl Privacy {
    /// The Privacy headers of a message.
    pub fn of(message: &Message) -> Self {
        let mut privacy = Self::default();
        for value in message.headers(HeaderName::Privacy) {
            privacy.add(value);
        }
        privacy
    }

    /// The value of a Privacy header. Of values that nobody knows only that there was one is kept.
    pub fn parse(value: &str) -> Self {
        let mut privacy = Self::default();
        privacy.add(value);
        privacy
    }

    fn add(&mut self, value: &str) {
        for value in value.split([';', ',']).map(str::trim).filter(|value| !value.is_empty()) {
            let mut known = false;
            for (name, flag) in self.flags() {
                if name.eq_ignore_ascii_case(value) {
                    (*flag, known) = (true, true);
                }
            }
            self.unknown |= !known;
        }
    }

    /// Whether more is asked for than there is, and nothing less will do (RFC 3323 s.5: "MUST send a 500").
    pub fn asks_too_much(self) -> bool {
        self.critical && self.unknown
    }

    /// Whether a header of the caller's is one that "user" or "header" takes away (RFC 3323 s.4.1, s.5.1).
    pub fn takes_away(self, name: &str) -> bool {
        let told = ["Call-Info", "Organization", "Subject", "Reply-To", "In-Reply-To", "Warning"];
        !self.none && (self.user || self.header) && told.iter().any(|told| told.eq_ignore_ascii_case(name))
    }

    /// Whether the caller's identity is to be withheld from those who are not trusted.
    pub fn hides_caller(self) -> bool {
        !self.none && (self.id || self.user)
    }

    /// Whether who forwarded is to be withheld from those who are not trusted as well (RFC 7044 s.10.1.2).
    pub fn hides_forwarding(self) -> bool {
        !self.none && (self.history || self.header || self.session)
    }

    /// The value of a Privacy header; none where nothing is asked.
    pub fn value(mut self) -> Option<String> {
        let asked: Vec<&str> = self
            .flags()
            .into_iter()
            .filter(|(_, flag)| **flag)
            .map(|(name, _)| name)
            .collect();
        (!asked.is_empty()).then(|| asked.join(";"))
    }

    fn flags(&mut self) -> [(&'static str, &mut bool); 7] {
        [
            ("none", &mut self.none),
            ("header", &mut self.header),
            ("session", &mut self.session),
            ("user", &mut self.user),
            ("id", &mut self.id),
            ("history", &mut self.history),
            ("critical", &mut self.critical),
        ]
    }
}

/// Who a message says it is from.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Claims {
    /// Asserted by a trusted side; empty from any other.
    pub asserted: Vec<Identity>,
    /// What the sender would like to be asserted (P-Preferred-Identity). A hint.
    pub preferred: Option<Identity>,
    /// The From header.
    pub from: Option<Identity>,
    /// The privacy asked for.
    pub privacy: Privacy,
}

impl Claims {
    /// Reads a request. Who calls as "anonymous" is taken to mean it: the identity that is asserted in its place is not shown either, unless
    /// `none` says so. Where From has the name of the number that is asserted, it is that one's name.
    pub fn of(request: &Message, sender: Trust) -> Self {
        let from = request.from().ok().and_then(|from| Identity::of(&from));
        let mut privacy = Privacy::of(request);
        privacy.id |= from.as_ref().is_some_and(Identity::is_anonymous);
        let mut asserted = Vec::new();
        if sender == Trust::Trusted {
            asserted = identities(request, HeaderName::PAssertedIdentity);
            if asserted.is_empty()
                && let Some((identity, hidden)) = remote_party(request)
            {
                asserted.push(identity);
                privacy.id |= hidden;
            }
        }
        if let (Some(identity), Some(from)) = (asserted.first_mut(), &from)
            && identity.display.is_none()
            && identity.is_user_of(from)
        {
            identity.display.clone_from(&from.display);
        }
        Self {
            asserted,
            preferred: identities(request, HeaderName::PPreferredIdentity).into_iter().next(),
            from,
            privacy,
        }
    }

    /// Who calls, from a trusted side: what it asserts, else what From says, unless that is anonymous.
    pub fn caller(&self) -> Option<&Identity> {
        let from = || self.from.as_ref().filter(|from| !from.is_anonymous());
        self.asserted.first().or_else(from)
    }

    /// Who calls, of one who proved to own the identities that `owns` accepts: the preferred one where it is his, else the one in From
    /// (RFC 3325 s.6).
    pub fn caller_among(&self, owns: impl Fn(&Uri<'_>) -> bool) -> Option<&Identity> {
        let is_his = |identity: &&Identity| Uri::parse(&identity.uri).is_ok_and(|uri| owns(&uri));
        let preferred = self.preferred.as_ref().filter(is_his);
        preferred.or_else(|| self.from.as_ref().filter(is_his))
    }
}

/// The identities of a P-Asserted-Identity or P-Preferred-Identity: the first that is no tel URI and the first that is one.
fn identities(message: &Message, name: HeaderName) -> Vec<Identity> {
    let mut found: Vec<Identity> = Vec::new();
    let readable = message
        .headers(name)
        .filter_map(|value| Identity::of(&NameAddr::parse(value).ok()?));
    for identity in readable {
        if found.iter().all(|known| known.is_tel() != identity.is_tel()) {
            found.push(identity);
        }
        if found.len() == MAX_ASSERTED {
            break;
        }
    }
    found
}

/// The calling party of a Remote-Party-ID (draft-ietf-sip-privacy-04), and whether it is to be hidden.
fn remote_party(message: &Message) -> Option<(Identity, bool)> {
    let mut values = message
        .fields()
        .filter(|(name, _)| name.eq_ignore_ascii_case(REMOTE_PARTY_ID))
        .filter_map(|(_, value)| NameAddr::parse(value).ok());
    let address = values.find(|address| {
        address
            .param("party")
            .is_none_or(|party| party.eq_ignore_ascii_case("calling"))
            && Identity::of(address).is_some()
    })?;
    let privacy = address.param("privacy").unwrap_or("off");
    let hidden = ["full", "uri", "name"].iter().any(|kind| kind.eq_ignore_ascii_case(privacy));
    Some((Identity::of(&address)?, hidden))
}

const REMOTE_PARTY_ID: &str = "Remote-Party-ID";

/// How the receiver wants to be told who calls.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum IdentityStyle {
    /// P-Asserted-Identity: between servers that trust each other, and to phones.
    #[default]
    Asserted,
    /// P-Preferred-Identity: to a provider that asserts on our behalf (RFC 3325 s.9.2).
    Preferred,
    /// Remote-Party-ID: to what is older than RFC 3325.
    RemoteParty,
    /// From, and nothing else.
    FromOnly,
}

/// How a caller stands on a leg.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Presented {
    /// URI and display name of From.
    pub from: (Arc<str>, Option<Arc<str>>),
    /// The identity headers.
    pub headers: Headers,
}

/// Presents a caller to a side. Where the caller is hidden, From is anonymous; the identity itself goes to a trusted side only, with the
/// Privacy that keeps it there (RFC 3325 s.7), and to no other. A caller of whom nothing is known is asserted to nobody.
pub fn present(caller: &Identity, privacy: Privacy, receiver: Trust, style: IdentityStyle) -> Presented {
    let unknown = caller.is_anonymous();
    let hidden = unknown || privacy.hides_caller();
    let from = if hidden {
        (ANONYMOUS_URI.into(), Some(ANONYMOUS_NAME.into()))
    } else {
        (caller.uri.clone(), caller.display.clone())
    };
    let mut headers = Headers::new();
    if !unknown && (!hidden || receiver == Trust::Trusted) {
        headers.extend(identity_header(caller, hidden, style));
    }
    if let Some(value) = privacy.value() {
        headers.push((HeaderName::Privacy.as_str().into(), value.into()));
    }
    Presented { from, headers }
}

fn identity_header(caller: &Identity, hidden: bool, style: IdentityStyle) -> Option<(Arc<str>, Arc<str>)> {
    let mut value = String::with_capacity(caller.uri.len() + 48);
    write_name_addr(&mut value, &caller.uri, caller.display.as_deref());
    let name = match style {
        IdentityStyle::Asserted => HeaderName::PAssertedIdentity.as_str(),
        IdentityStyle::Preferred => HeaderName::PPreferredIdentity.as_str(),
        IdentityStyle::RemoteParty => {
            value.push_str(if hidden {
                ";party=calling;screen=yes;privacy=full"
            } else {
                ";party=calling;screen=yes;privacy=off"
            });
            REMOTE_PARTY_ID
        }
        IdentityStyle::FromOnly => return None,
    };
    Some((name.into(), value.into()))
}
