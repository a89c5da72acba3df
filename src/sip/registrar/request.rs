//! A REGISTER as the registrar takes it, and how it is read from a message.

use std::sync::Arc;

use crate::flow::Flow;
use crate::message::{Contacts, HeaderName, Message, NameAddr, Scheme, Uri};

use super::RegisterOutcome;

/// More Path values than this are no path that a REGISTER took.
const MAX_PATHS: usize = 10;

/// Longer URIs, Call-IDs, paths and instances than this are refused: what one binding holds is bounded.
const MAX_VALUE_BYTES: usize = 1_024;

/// A REGISTER.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Register {
    /// The Call-ID, the same for all that one device sends until it restarts.
    pub call_id: Arc<str>,
    /// The CSeq number.
    pub cseq: u32,
    /// What to do.
    pub contacts: RegisterContacts,
    /// The Expires header, in seconds.
    pub expires: Option<u32>,
    /// The Path values, topmost first (RFC 3327).
    pub path: Vec<Arc<str>>,
    /// Where it came from.
    pub flow: Flow,
}

/// The Contact headers of a REGISTER.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RegisterContacts {
    /// `*`: remove every binding (RFC 3261 s.10.2.2).
    All,
    /// Add, refresh or remove these; none is a query.
    List(Vec<RegisterContact>),
}

/// One contact of a REGISTER.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RegisterContact {
    /// The URI.
    pub uri: Arc<str>,
    /// The `expires` parameter, in seconds; 0 removes.
    pub expires: Option<u32>,
    /// The `q` parameter, in thousandths.
    pub q: u16,
    /// The `+sip.instance` parameter, without quotes (RFC 5626 s.4.1).
    pub instance: Option<Arc<str>>,
    /// The `reg-id` parameter (RFC 5626 s.4.2).
    pub reg_id: Option<u32>,
}

/// A REGISTER that cannot be read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{reason}")]
pub struct Refusal {
    /// 400.
    pub status: u16,
    /// What was wrong; fit for a reason phrase.
    pub reason: &'static str,
}

impl Refusal {
    const fn bad(reason: &'static str) -> Self {
        Self { status: 400, reason }
    }
}

impl From<Refusal> for RegisterOutcome {
    fn from(refusal: Refusal) -> Self {
        Self::refused(refusal.status, refusal.reason)
    }
}

impl Register {
    /// Reads a REGISTER. Who it is from, and for which address of record, is for the caller to find out.
    pub fn from_message(message: &Message, flow: Flow) -> Result<Self, Refusal> {
        let (cseq, _) = message.cseq().map_err(|_| Refusal::bad("Bad CSeq"))?;
        let path: Vec<_> = message
            .headers(HeaderName::Path)
            .take(MAX_PATHS + 1)
            .map(text)
            .collect::<Result<_, _>>()?;
        if path.len() > MAX_PATHS {
            return Err(Refusal::bad("Too Many Path Values"));
        }
        let contacts = match message.contacts().map_err(|_| Refusal::bad("Bad Contact"))? {
            Contacts::Star => RegisterContacts::All,
            Contacts::List(list) => RegisterContacts::List(list.iter().map(RegisterContact::read).collect::<Result<_, _>>()?),
        };
        Ok(Self {
            call_id: text(message.call_id().ok_or(Refusal::bad("Bad Call-ID"))?)?,
            cseq,
            contacts,
            expires: message.expires(),
            path,
            flow,
        })
    }
}

impl RegisterContact {
    /// Reads one Contact value. Only `sip:` leads anywhere from here.
    fn read(value: &NameAddr<'_>) -> Result<Self, Refusal> {
        let uri = Uri::parse(value.uri).map_err(|_| Refusal::bad("Bad Contact URI"))?;
        if uri.scheme != Scheme::Sip {
            return Err(Refusal::bad("Unsupported Contact URI Scheme"));
        }
        let unquoted = |value: &str| value.trim_matches('"').to_owned();
        let instance = value
            .param("+sip.instance")
            .map(unquoted)
            .filter(|instance| !instance.is_empty());
        let reg_id = value.param("reg-id").and_then(|id| id.parse().ok()).filter(|id| *id > 0);
        Ok(Self {
            uri: text(uri.text)?,
            expires: value.expires(),
            q: value.q(),
            instance: instance.map(|instance| text(&instance)).transpose()?,
            reg_id,
        })
    }
}

fn text(value: &str) -> Result<Arc<str>, Refusal> {
    if value.len() > MAX_VALUE_BYTES {
        Err(Refusal::bad("Value Too Long"))
    } else {
        Ok(value.into())
    }
}
