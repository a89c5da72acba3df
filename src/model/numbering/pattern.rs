//! The pattern of a dial rule: which dialled numbers (or addresses at foreign hosts) it speaks of.
//!
//! Grammar: `pattern = digits ["@" host]`
//!
//! | character | matches |
//! |---|---|
//! | `0`-`9` `+` `*` `#`, lower-case letters, `-` `_` | itself |
//! | `X` / `Z` / `N` | one digit: 0-9 / 1-9 / 2-9 |
//! | `.`, only as the last one | any rest, also an empty one |
//!
//! Without `@host` a pattern speaks of numbers only: digits, `*`, `#` and a leading `+`. With `@host` it speaks of addresses at that
//! foreign host; `*.example.com` stands for every host below `example.com`. There is no pattern for every host: no open relay.

/// Why a pattern cannot be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PatternError {
    /// It has no character before `@`.
    #[error("it is empty")]
    Empty,
    /// A character that the grammar does not have.
    #[error("`{0}` has no meaning in a pattern")]
    Character(char),
    /// `.` before the end.
    #[error("`.` stands only at the end")]
    RestNotLast,
    /// A letter in a pattern without a host: numbers have none.
    #[error("`{0}` can never match: a pattern without @host speaks of numbers only")]
    LetterInNumber(char),
    /// The host is empty, or `*` alone.
    #[error("the host after `@` is empty or stands for every host")]
    Host,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Unit {
    Literal(char),
    DigitFrom(char),
}

impl Unit {
    fn matches(self, c: char) -> bool {
        match self {
            Self::Literal(literal) => literal == c,
            Self::DigitFrom(lowest) => (lowest..='9').contains(&c),
        }
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum HostPattern {
    Exact(String),
    Below(String),
}

/// A pattern that was read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Pattern {
    units: Vec<Unit>,
    any_rest: bool,
    host: Option<HostPattern>,
}

impl Pattern {
    pub(super) fn parse(text: &str) -> Result<Self, PatternError> {
        let (digits, host) = match text.split_once('@') {
            Some((digits, host)) => (digits, Some(parse_host(host)?)),
            None => (text, None),
        };
        let (body, any_rest) = match digits.strip_suffix('.') {
            Some(body) => (body, true),
            None => (digits, false),
        };
        if digits.is_empty() {
            return Err(PatternError::Empty);
        }
        let units = body
            .chars()
            .map(|c| parse_unit(c, host.is_none()))
            .collect::<Result<_, _>>()?;
        Ok(Self { units, any_rest, host })
    }

    /// The length of the shortest number that matches, in characters.
    pub(super) fn shortest(&self) -> usize {
        self.units.len()
    }

    /// Whether `user` (lower case), at `host` where that is not ours, is what this pattern speaks of.
    pub(super) fn matches(&self, user: &str, host: Option<&str>) -> bool {
        let host_fits = match (&self.host, host) {
            (None, None) => true,
            (Some(HostPattern::Exact(ours)), Some(host)) => ours == host,
            (Some(HostPattern::Below(domain)), Some(host)) => host
                .strip_suffix(domain.as_str())
                .is_some_and(|rest| rest.len() > 1 && rest.ends_with('.')),
            _ => false,
        };
        host_fits && self.matches_user(user)
    }

    fn matches_user(&self, user: &str) -> bool {
        let mut chars = user.chars();
        self.units.iter().all(|unit| chars.next().is_some_and(|c| unit.matches(c))) && (self.any_rest || chars.next().is_none())
    }
}

fn parse_unit(c: char, number: bool) -> Result<Unit, PatternError> {
    match c {
        'X' => Ok(Unit::DigitFrom('0')),
        'Z' => Ok(Unit::DigitFrom('1')),
        'N' => Ok(Unit::DigitFrom('2')),
        '0'..='9' | '+' | '*' | '#' => Ok(Unit::Literal(c)),
        'a'..='z' | '-' | '_' if number => Err(PatternError::LetterInNumber(c)),
        'a'..='z' | '-' | '_' => Ok(Unit::Literal(c)),
        '.' => Err(PatternError::RestNotLast),
        _ => Err(PatternError::Character(c)),
    }
}

fn parse_host(host: &str) -> Result<HostPattern, PatternError> {
    let host = host.to_ascii_lowercase();
    match host.strip_prefix("*.") {
        Some(domain) if !domain.is_empty() && !domain.contains('*') => Ok(HostPattern::Below(domain.to_owned())),
        None if !host.is_empty() && !host.contains(['*', '@']) => Ok(HostPattern::Exact(host)),
        _ => Err(PatternError::Host),
    }
}
