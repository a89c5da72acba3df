//! Reading what was dialled: a number, a user part, or a sip, sips or tel URI. It only reads; nothing is looked up here.

/// The longest text that is looked at, in bytes; a longer one is no address of anybody.
const MAX_DIALLED: usize = 255;

/// What was dialled, taken apart.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Dialled {
    /// The number without visual separators, or the user part in lower case.
    pub(super) user: String,
    /// Whether `user` is a number: digits, `*`, `#`, a leading `+`.
    pub(super) is_number: bool,
    /// The host in lower case with its port, where one was given.
    pub(super) host: Option<String>,
}

impl Dialled {
    /// `None` where it can be nobody's address.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if text.is_empty() || text.len() > MAX_DIALLED || text.chars().any(char::is_control) {
            return None;
        }
        if let Some(number) = strip_scheme(text, "tel:") {
            return number_only(number.split(';').next().unwrap_or_default());
        }
        match strip_scheme(text, "sip:").or_else(|| strip_scheme(text, "sips:")) {
            Some(address) => at_host(address),
            None if text.contains('@') => at_host(text),
            None => bare(text),
        }
    }
}

fn strip_scheme<'a>(text: &'a str, scheme: &str) -> Option<&'a str> {
    match text.get(..scheme.len()) {
        Some(head) if head.eq_ignore_ascii_case(scheme) => text.get(scheme.len()..),
        _ => None,
    }
}

fn number_only(text: &str) -> Option<Dialled> {
    number(text).map(|user| Dialled {
        user,
        is_number: true,
        host: None,
    })
}

fn bare(text: &str) -> Option<Dialled> {
    number_only(text).or_else(|| {
        is_user_part(text).then(|| Dialled {
            user: text.to_ascii_lowercase(),
            is_number: false,
            host: None,
        })
    })
}

/// `user[:password][;parameters]@host[:port][;parameters][?headers]`
fn at_host(address: &str) -> Option<Dialled> {
    let (user, host) = address.rsplit_once('@')?;
    let user = user.split([';', ':']).next()?;
    let host = host.split([';', '?', '>']).next()?;
    if host.is_empty() {
        return None;
    }
    bare(user).map(|dialled| Dialled {
        host: Some(host.to_ascii_lowercase()),
        ..dialled
    })
}

/// The number without the visual separators of RFC 3966 s.5.1.1 and blanks; `None` where it is no number.
fn number(text: &str) -> Option<String> {
    let number: String = text.chars().filter(|c| !matches!(c, '-' | '.' | '(' | ')' | ' ')).collect();
    let digits = number.strip_prefix('+').unwrap_or(&number);
    (!digits.is_empty() && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'*' | b'#'))).then_some(number)
}

/// Letters, digits and the marks that may stand unescaped in a SIP user part (RFC 3261 s.25.1); no escapes.
fn is_user_part(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.!~*'()&=+$,?/#".contains(&b))
}
