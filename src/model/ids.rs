//! Identifiers. Each is a newtype: a DN can never be passed where a ConnID is due.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A directory number: a SIP URI without parameters, always lower case (`sip:alice@tandem.local`).
/// Comparing two `DnId`s compares the lower-cased text.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct DnId(Arc<str>);

impl DnId {
    /// Makes a DN from a URI, lower-casing it. A bare user part gets no scheme: the caller resolves it first.
    pub fn new(uri: &str) -> Self {
        if uri.bytes().any(|b| b.is_ascii_uppercase()) {
            Self(uri.to_ascii_lowercase().into())
        } else {
            Self(uri.into())
        }
    }

    /// The URI as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The user part (`alice` of `sip:alice@tandem.local`); the whole text where there is none.
    pub fn user(&self) -> &str {
        let rest = self.0.split_once(':').map_or(&*self.0, |(_, rest)| rest);
        rest.split_once('@').map_or(rest, |(user, _)| user)
    }

    /// The host part (`tandem.local`), with a port where the URI has one.
    pub fn host(&self) -> &str {
        let rest = self.0.split_once(':').map_or(&*self.0, |(_, rest)| rest);
        rest.split_once('@').map_or("", |(_, host)| host)
    }
}

impl From<String> for DnId {
    fn from(uri: String) -> Self {
        Self::new(&uri)
    }
}

impl From<&str> for DnId {
    fn from(uri: &str) -> Self {
        Self::new(uri)
    }
}

impl From<DnId> for String {
    fn from(dn: DnId) -> Self {
        dn.0.as_ref().to_owned()
    }
}

impl fmt::Display for DnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for DnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The T-Server's identifier of a call: 64 bits, printed as 16 lower-case hex digits. 0 means none.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnId(pub u64);

impl fmt::Display for ConnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for ConnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl std::str::FromStr for ConnId {
    type Err = ();

    /// Reads 1 to 16 hex digits; anything else is an error.
    fn from_str(text: &str) -> Result<Self, ()> {
        if text.is_empty() || text.len() > 16 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(());
        }
        u64::from_str_radix(text, 16).map(Self).map_err(|_| ())
    }
}

impl Serialize for ConnId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ConnId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(|()| de::Error::custom("a ConnID is 1 to 16 hex digits"))
    }
}

/// The identity of a call that never changes: 128 bits, printed as 32 upper-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallUuid(pub u128);

impl fmt::Display for CallUuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032X}", self.0)
    }
}

impl fmt::Debug for CallUuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032X}", self.0)
    }
}

impl Serialize for CallUuid {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for CallUuid {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <Cow<'de, str>>::deserialize(deserializer)?;
        let number = Some(&*text)
            .filter(|text| text.len() == 32)
            .and_then(|text| u128::from_str_radix(text, 16).ok());
        number
            .map(Self)
            .ok_or_else(|| de::Error::custom("a CallUUID is 32 hex digits"))
    }
}

/// Chosen by a client to match an answer to its request.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ReferenceId(pub u32);

macro_rules! numeric_id {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }
    };
}

numeric_id!(
    /// One CTI client connection, unique within a server epoch.
    ClientId(u64)
);
numeric_id!(
    /// One connector: the index of a shard of the DNs.
    ConnectorId(u16)
);
numeric_id!(
    /// One live call on a connector. The top 16 bits name who made the id (a connector, or [`ConferenceId::TSERVER`]).
    ConferenceId(u64)
);
numeric_id!(
    /// One party within a conference; chosen by the side that creates the party, never reused within the conference.
    PartyId(u32)
);
numeric_id!(
    /// One SIP INVITE session of a conference, numbered by the conference and never reused within it. A party that is forked to
    /// several contacts has several legs.
    LegId(u64)
);

impl ConferenceId {
    /// The maker value of ids made by the T-Server side.
    pub const TSERVER: u16 = u16::MAX;

    /// The `counter`-th id of `maker`. Only the low 48 bits of the counter are used.
    pub fn new(maker: u16, counter: u64) -> Self {
        Self(u64::from(maker) << 48 | counter & 0xffff_ffff_ffff)
    }

    /// Who made this id.
    pub fn maker(self) -> u16 {
        (self.0 >> 48) as u16
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dn_is_lower_cased_and_split() {
        let dn = DnId::new("sip:Alice@Tandem.LOCAL:5070");
        assert_eq!(dn.as_str(), "sip:alice@tandem.local:5070");
        assert_eq!((dn.user(), dn.host()), ("alice", "tandem.local:5070"));
        assert_eq!(DnId::new("gcti::park").host(), "");
    }

    #[test]
    fn conn_id_prints_and_reads_sixteen_hex_digits() {
        assert_eq!(ConnId(0xa01).to_string(), "0000000000000a01");
        assert_eq!("0000000000000a01".parse(), Ok(ConnId(0xa01)));
        assert!("".parse::<ConnId>().is_err() && "+1".parse::<ConnId>().is_err());
        assert!("00000000000000000".parse::<ConnId>().is_err());
    }

    #[test]
    fn ids_of_calls_are_kept_as_they_are_printed() {
        let ids = (ConnId(0xa01), CallUuid(u128::MAX));
        let kept = serde_json::to_string(&ids).unwrap();
        assert_eq!(kept, r#"["0000000000000a01","FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF"]"#);
        assert_eq!(serde_json::from_str::<(ConnId, CallUuid)>(&kept).unwrap(), ids);
        assert!(serde_json::from_str::<CallUuid>("\"ff\"").is_err() && serde_json::from_str::<ConnId>("\"x\"").is_err());
    }
}
