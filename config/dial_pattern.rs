//! A check of dial patterns against their grammar: `digits ["@" host]`.
//!
//! What a pattern matches is decided by the call model's numbering; here it is only read, so that a wrong one is reported with its line.

/// What the other checks need to know of a pattern.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct DialPattern {
    /// The length of the shortest number that it matches, in characters.
    pub shortest: usize,
}

impl DialPattern {
    /// Reads a pattern: digits, `+`, `*`, `#` for themselves, `X`, `Z`, `N`, `.` at the end; with `@host` lower-case letters, `-`, `_` too.
    pub fn parse(pattern: &str) -> Result<Self, String> {
        let (digits, host) = match pattern.split_once('@') {
            Some((digits, host)) => (digits, Some(host)),
            None => (pattern, None),
        };
        if digits.is_empty() {
            return Err("it is empty".to_owned());
        }
        let body = digits.strip_suffix('.').unwrap_or(digits);
        for c in body.chars() {
            match c {
                '0'..='9' | '+' | '*' | '#' | 'X' | 'Z' | 'N' => {}
                'a'..='z' | '-' | '_' if host.is_some() => {}
                'a'..='z' | '-' | '_' => return Err(format!("`{c}` never matches: a pattern without @host is for numbers")),
                '.' => return Err("`.` stands at the end only".to_owned()),
                other => return Err(format!("`{other}` has no meaning in a pattern")),
            }
        }
        if let Some(host) = host {
            if host == "*" {
                return Err("there is no pattern for every host".to_owned());
            }
            crate::sip_uri::check_host_and_port(host.strip_prefix("*.").unwrap_or(host))?;
        }
        Ok(Self {
            shortest: body.chars().count(),
        })
    }
}

/// Checks a rule of a dial-plan DN: braces are paired and not nested (seed 002 line 1971).
pub(crate) fn check_dial_plan_rule(rule: &str) -> Result<(), &'static str> {
    if rule.trim().is_empty() {
        return Err("it is empty");
    }
    if rule.chars().count() > MAX_RULE {
        return Err("it has more than 256 characters");
    }
    let mut open = false;
    for c in rule.chars() {
        match c {
            '{' if open => return Err("a brace stands in braces"),
            '}' if !open => return Err("a brace is closed that was not opened"),
            '{' => open = true,
            '}' => open = false,
            _ => {}
        }
    }
    if open { Err("a brace is not closed") } else { Ok(()) }
}

/// The most characters of a rule of a dial-plan DN.
const MAX_RULE: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_of_a_dial_plan_dn_has_its_braces_closed() {
        for good in [
            "+{DDDDDDDD}",
            "+{69DDDDDD}",
            "+69{DDDDDD}",
            "{DD812#}",
            "sip:{SSSS}@{*}",
            "tel: + {#}",
            "2001",
        ] {
            assert_eq!(check_dial_plan_rule(good), Ok(()), "{good}");
        }
        for bad in ["", " ", "{D", "D}", "{{D}}"] {
            assert!(check_dial_plan_rule(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn patterns_are_held_against_the_grammar() {
        for (good, shortest) in [
            ("2001", 4),
            ("+49.", 3),
            ("0ZX.", 3),
            ("NXX", 3),
            (".", 0),
            ("*98", 3),
            (".@*.example.com", 0),
            ("bob@[::1]:5070", 3),
        ] {
            assert_eq!(DialPattern::parse(good), Ok(DialPattern { shortest }), "{good}");
        }
        for (bad, why) in [
            ("", "it is empty"),
            ("@example.com", "it is empty"),
            ("2.1", "`.` stands at the end only"),
            ("2a", "`a` never matches: a pattern without @host is for numbers"),
            ("[2-5]X", "`[` has no meaning in a pattern"),
            ("x", "`x` never matches: a pattern without @host is for numbers"),
            (".@", "it has no host"),
            (".@*", "there is no pattern for every host"),
            (".@a b", "its host name is malformed"),
        ] {
            assert_eq!(DialPattern::parse(bad), Err(why.to_owned()), "{bad}");
        }
    }
}
