//! Header names, classified once when a message is indexed.
//!
//! Invariant: names compare without case, and a compact form is the same name (RFC 3261 s.7.3.1, 7.3.3).

use std::fmt;

/// Writes the enum, its table and its lookups from one list: variant, name on the wire, compact form (0: none), whether it is a list.
macro_rules! header_names {
    ($($(#[$doc:meta])* $variant:ident, $text:literal, $compact:literal, $list:literal;)*) => {
        /// A header name that Tandem has a use for, or `Other`.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
        #[repr(u8)]
        pub enum HeaderName {
            $($(#[$doc])* $variant,)*
            /// Any other name.
            Other,
        }

        const TABLE: &[(HeaderName, &str, u8, bool)] = &[$((HeaderName::$variant, $text, $compact, $list),)*];
    };
}

header_names! {
    /// RFC 3261 s.20.42.
    Via, "Via", b'v', true;
    /// RFC 3261 s.20.20.
    From, "From", b'f', false;
    /// RFC 3261 s.20.39.
    To, "To", b't', false;
    /// RFC 3261 s.20.8.
    CallId, "Call-ID", b'i', false;
    /// RFC 3261 s.20.16.
    CSeq, "CSeq", 0, false;
    /// RFC 3261 s.20.22.
    MaxForwards, "Max-Forwards", 0, false;
    /// RFC 3261 s.20.10.
    Contact, "Contact", b'm', true;
    /// RFC 3261 s.20.15.
    ContentType, "Content-Type", b'c', false;
    /// RFC 3261 s.20.14.
    ContentLength, "Content-Length", b'l', false;
    /// RFC 3261 s.20.34.
    Route, "Route", 0, true;
    /// RFC 3261 s.20.30.
    RecordRoute, "Record-Route", 0, true;
    /// RFC 3261 s.20.37.
    Supported, "Supported", b'k', true;
    /// RFC 3261 s.20.32.
    Require, "Require", 0, true;
    /// RFC 3261 s.20.29.
    ProxyRequire, "Proxy-Require", 0, true;
    /// RFC 3261 s.20.40.
    Unsupported, "Unsupported", 0, true;
    /// RFC 3261 s.20.5.
    Allow, "Allow", 0, true;
    /// RFC 6665 s.8.2.2.
    AllowEvents, "Allow-Events", b'u', true;
    /// RFC 3261 s.20.1.
    Accept, "Accept", 0, true;
    /// RFC 3261 s.20.2.
    AcceptEncoding, "Accept-Encoding", 0, true;
    /// RFC 3261 s.20.3.
    AcceptLanguage, "Accept-Language", 0, true;
    /// RFC 3841 s.9.2.
    AcceptContact, "Accept-Contact", b'a', true;
    /// RFC 3841 s.9.2.
    RejectContact, "Reject-Contact", b'j', true;
    /// RFC 3841 s.9.1.
    RequestDisposition, "Request-Disposition", b'd', true;
    /// RFC 3261 s.20.7. Its commas separate parameters.
    Authorization, "Authorization", 0, false;
    /// RFC 3261 s.20.28.
    ProxyAuthorization, "Proxy-Authorization", 0, false;
    /// RFC 3261 s.20.44.
    WwwAuthenticate, "WWW-Authenticate", 0, false;
    /// RFC 3261 s.20.27.
    ProxyAuthenticate, "Proxy-Authenticate", 0, false;
    /// RFC 3261 s.20.6.
    AuthenticationInfo, "Authentication-Info", 0, false;
    /// RFC 3261 s.20.19.
    Expires, "Expires", 0, false;
    /// RFC 3261 s.20.23.
    MinExpires, "Min-Expires", 0, false;
    /// RFC 6665 s.8.2.1.
    Event, "Event", b'o', false;
    /// RFC 6665 s.8.2.3.
    SubscriptionState, "Subscription-State", 0, false;
    /// RFC 3515.
    ReferTo, "Refer-To", b'r', false;
    /// RFC 3892.
    ReferredBy, "Referred-By", b'b', false;
    /// RFC 3891.
    Replaces, "Replaces", 0, false;
    /// RFC 3911.
    Join, "Join", 0, false;
    /// RFC 3326.
    Reason, "Reason", 0, true;
    /// RFC 3261 s.20.33.
    RetryAfter, "Retry-After", 0, false;
    /// RFC 3261 s.20.36.
    Subject, "Subject", b's', false;
    /// RFC 3261 s.20.41.
    UserAgent, "User-Agent", 0, false;
    /// RFC 3261 s.20.35.
    Server, "Server", 0, false;
    /// RFC 3261 s.20.17.
    Date, "Date", 0, false;
    /// RFC 3261 s.20.38.
    Timestamp, "Timestamp", 0, false;
    /// RFC 3261 s.20.43.
    Warning, "Warning", 0, true;
    /// RFC 3327.
    Path, "Path", 0, true;
    /// RFC 3608.
    ServiceRoute, "Service-Route", 0, true;
    /// RFC 4028.
    SessionExpires, "Session-Expires", b'x', false;
    /// RFC 4028.
    MinSe, "Min-SE", 0, false;
    /// RFC 3262.
    RAck, "RAck", 0, false;
    /// RFC 3262.
    RSeq, "RSeq", 0, false;
    /// RFC 3325.
    PAssertedIdentity, "P-Asserted-Identity", 0, true;
    /// RFC 3325.
    PPreferredIdentity, "P-Preferred-Identity", 0, true;
    /// RFC 3323.
    Privacy, "Privacy", 0, false;
    /// RFC 5806.
    Diversion, "Diversion", 0, true;
    /// RFC 7044.
    HistoryInfo, "History-Info", 0, true;
    /// RFC 3261 s.20.4.
    AlertInfo, "Alert-Info", 0, true;
    /// RFC 3261 s.20.9.
    CallInfo, "Call-Info", 0, true;
    /// RFC 3261 s.20.11.
    ContentDisposition, "Content-Disposition", 0, false;
    /// RFC 3261 s.20.12.
    ContentEncoding, "Content-Encoding", b'e', true;
    /// RFC 3261 s.20.13.
    ContentLanguage, "Content-Language", 0, true;
    /// RFC 3261 s.20.24.
    MimeVersion, "MIME-Version", 0, false;
    /// RFC 3261 s.20.25.
    Organization, "Organization", 0, false;
    /// RFC 3261 s.20.26.
    Priority, "Priority", 0, false;
    /// RFC 3261 s.20.21.
    InReplyTo, "In-Reply-To", 0, true;
    /// RFC 3261 s.20.31.
    ReplyTo, "Reply-To", 0, false;
    /// RFC 3261 s.20.18.
    ErrorInfo, "Error-Info", 0, true;
    /// RFC 8224.
    Identity, "Identity", b'y', false;
    /// RFC 3903.
    SipEtag, "SIP-ETag", 0, false;
    /// RFC 3903.
    SipIfMatch, "SIP-If-Match", 0, false;
    /// RFC 4538.
    TargetDialog, "Target-Dialog", 0, false;
    /// RFC 5373.
    AnswerMode, "Answer-Mode", 0, false;
}

/// Longest name in [`TABLE`], plus one.
const LENGTHS: usize = 24;

/// The number of shapes of names.
const SHAPES: usize = LENGTHS * 32;

/// The shape of a name: its length and its first letter without case. Few names share one.
const fn shape(name: &[u8]) -> usize {
    match name {
        [first, ..] if name.len() < LENGTHS => name.len() * 32 + (*first & 0x1f) as usize,
        _ => 0,
    }
}

/// Positions in [`TABLE`] sorted by shape, and where each shape starts in that list.
const BY_SHAPE: ([u8; TABLE.len()], [u8; SHAPES + 1]) = {
    let mut order = [0u8; TABLE.len()];
    let mut starts = [0u8; SHAPES + 1];
    let (mut filled, mut now) = (0, 0);
    while now < SHAPES {
        starts[now] = filled as u8;
        let mut at = 0;
        while at < TABLE.len() {
            if shape(TABLE[at].1.as_bytes()) == now {
                order[filled] = at as u8;
                filled += 1;
            }
            at += 1;
        }
        now += 1;
    }
    starts[SHAPES] = filled as u8;
    assert!(filled == TABLE.len());
    (order, starts)
};

/// Compact forms by letter.
const COMPACT: [HeaderName; 26] = {
    let mut letters = [HeaderName::Other; 26];
    let mut at = 0;
    while at < TABLE.len() {
        if TABLE[at].2 != 0 {
            letters[(TABLE[at].2 - b'a') as usize] = TABLE[at].0;
        }
        at += 1;
    }
    letters
};

impl HeaderName {
    /// The name of these bytes, compact forms included.
    pub fn classify(name: &[u8]) -> Self {
        match name {
            [letter @ (b'a'..=b'z' | b'A'..=b'Z')] => COMPACT[usize::from(letter.to_ascii_lowercase() - b'a')],
            _ => {
                let (order, starts) = &BY_SHAPE;
                let shape = shape(name);
                let candidates = &order[usize::from(starts[shape])..usize::from(starts[shape + 1])];
                let mut rows = candidates.iter().map(|at| &TABLE[usize::from(*at)]);
                // Most senders write the names as we do, and equal bytes compare faster.
                let is_it = |text: &[u8]| text == name || text.eq_ignore_ascii_case(name);
                rows.find(|row| is_it(row.1.as_bytes())).map_or(Self::Other, |row| row.0)
            }
        }
    }

    /// The name as we write it; empty for `Other`.
    pub fn as_str(self) -> &'static str {
        TABLE.get(self as usize).map_or("", |row| row.1)
    }

    /// Whether one header line can hold several values separated by commas, and several lines are one list (RFC 3261 s.7.3.1).
    pub fn is_list(self) -> bool {
        TABLE.get(self as usize).is_some_and(|row| row.3)
    }
}

impl AsRef<str> for HeaderName {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for HeaderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if *self == Self::Other { "other header" } else { self.as_str() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_and_compact_form_is_found_in_any_case() {
        for (name, text, compact, _) in TABLE {
            assert_eq!(HeaderName::classify(text.as_bytes()), *name);
            assert_eq!(HeaderName::classify(text.to_uppercase().as_bytes()), *name);
            assert_eq!(HeaderName::classify(text.to_lowercase().as_bytes()), *name);
            assert_eq!(name.as_str(), *text);
            if *compact != 0 {
                assert_eq!(HeaderName::classify(&[*compact]), *name);
                assert_eq!(HeaderName::classify(&[compact.to_ascii_uppercase()]), *name);
            }
        }
    }

    #[test]
    fn what_is_not_in_the_table_is_other() {
        for name in ["", "z", "1", "X-Tandem", "Vias", "C%6Fntact", &"x".repeat(300)] {
            assert_eq!(HeaderName::classify(name.as_bytes()), HeaderName::Other, "{name}");
        }
        assert_eq!(HeaderName::Other.as_str(), "");
    }
}
