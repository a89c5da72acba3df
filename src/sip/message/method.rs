//! Request methods.
//!
//! Invariant: methods are case-sensitive tokens (RFC 3261 s.7.1), so `invite` is an unknown method, not INVITE.

use std::fmt;
use std::sync::Arc;

/// A request method.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Method {
    /// RFC 3261 s.13.
    Invite,
    /// RFC 3261 s.13.2.2.4, 17.1.1.3.
    Ack,
    /// RFC 3261 s.15.
    Bye,
    /// RFC 3261 s.9.
    Cancel,
    /// RFC 3261 s.11.
    Options,
    /// RFC 3261 s.10.
    Register,
    /// RFC 6086.
    Info,
    /// RFC 3311.
    Update,
    /// RFC 3262.
    Prack,
    /// RFC 3515.
    Refer,
    /// RFC 6665.
    Notify,
    /// RFC 6665.
    Subscribe,
    /// RFC 3428.
    Message,
    /// RFC 3903.
    Publish,
    /// Any other token.
    Other(Arc<str>),
}

/// The methods with a variant of their own, by name.
const KNOWN: [(&str, Method); 14] = [
    ("INVITE", Method::Invite),
    ("ACK", Method::Ack),
    ("BYE", Method::Bye),
    ("CANCEL", Method::Cancel),
    ("OPTIONS", Method::Options),
    ("REGISTER", Method::Register),
    ("INFO", Method::Info),
    ("UPDATE", Method::Update),
    ("PRACK", Method::Prack),
    ("REFER", Method::Refer),
    ("NOTIFY", Method::Notify),
    ("SUBSCRIBE", Method::Subscribe),
    ("MESSAGE", Method::Message),
    ("PUBLISH", Method::Publish),
];

impl Method {
    /// The method of that name; any text that is not a known method becomes `Other`.
    pub fn from_token(token: &str) -> Self {
        KNOWN
            .iter()
            .find(|(name, _)| *name == token)
            .map_or_else(|| Self::Other(Arc::from(token)), |(_, method)| method.clone())
    }

    /// The token as it stands on the wire.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Invite => "INVITE",
            Self::Ack => "ACK",
            Self::Bye => "BYE",
            Self::Cancel => "CANCEL",
            Self::Options => "OPTIONS",
            Self::Register => "REGISTER",
            Self::Info => "INFO",
            Self::Update => "UPDATE",
            Self::Prack => "PRACK",
            Self::Refer => "REFER",
            Self::Notify => "NOTIFY",
            Self::Subscribe => "SUBSCRIBE",
            Self::Message => "MESSAGE",
            Self::Publish => "PUBLISH",
            Self::Other(name) => name,
        }
    }

    /// Whether a 2xx to it makes a dialog (RFC 3261 s.12.1, RFC 6665 s.4.4.1, RFC 3515).
    pub fn makes_dialog(&self) -> bool {
        matches!(self, Self::Invite | Self::Subscribe | Self::Refer)
    }
}

impl AsRef<str> for Method {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<rsip::Method> for Method {
    fn from(method: rsip::Method) -> Self {
        match method {
            rsip::Method::Ack => Self::Ack,
            rsip::Method::Bye => Self::Bye,
            rsip::Method::Cancel => Self::Cancel,
            rsip::Method::Info => Self::Info,
            rsip::Method::Invite => Self::Invite,
            rsip::Method::Message => Self::Message,
            rsip::Method::Notify => Self::Notify,
            rsip::Method::Options => Self::Options,
            rsip::Method::PRack => Self::Prack,
            rsip::Method::Publish => Self::Publish,
            rsip::Method::Refer => Self::Refer,
            rsip::Method::Register => Self::Register,
            rsip::Method::Subscribe => Self::Subscribe,
            rsip::Method::Update => Self::Update,
        }
    }
}

/// A method that rsip has no name for.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("method {0} is not one of rsip's")]
pub struct ForeignMethod(pub Method);

impl TryFrom<&Method> for rsip::Method {
    type Error = ForeignMethod;

    fn try_from(method: &Method) -> Result<Self, ForeignMethod> {
        Ok(match method {
            Method::Ack => Self::Ack,
            Method::Bye => Self::Bye,
            Method::Cancel => Self::Cancel,
            Method::Info => Self::Info,
            Method::Invite => Self::Invite,
            Method::Message => Self::Message,
            Method::Notify => Self::Notify,
            Method::Options => Self::Options,
            Method::Prack => Self::PRack,
            Method::Publish => Self::Publish,
            Method::Refer => Self::Refer,
            Method::Register => Self::Register,
            Method::Subscribe => Self::Subscribe,
            Method::Update => Self::Update,
            Method::Other(_) => return Err(ForeignMethod(method.clone())),
        })
    }
}
