//! A check of dial patterns. What a pattern matches is decided by the call model; here only its form is held against the grammar.

/// Checks a pattern: digits, `+`, `*`, `#` for themselves, `X`, `Z`, `N`, `[set]`, `.` at the end; or `sip:*@host`.
pub(crate) fn check(pattern: &str) -> Result<(), String> {
    if let Some(uri) = pattern.strip_prefix("sip:") {
        let host = uri.strip_prefix("*@").ok_or("a pattern of URIs is sip:*@host")?;
        return crate::sip_uri::check_host_and_port(host).map_err(str::to_owned);
    }
    if pattern.is_empty() {
        return Err("it is empty".to_owned());
    }
    let mut rest = pattern.chars();
    while let Some(c) = rest.next() {
        match c {
            '0'..='9' | '+' | '*' | '#' | 'X' | 'Z' | 'N' => {}
            '.' if rest.as_str().is_empty() => {}
            '.' => return Err("`.` stands at the end only".to_owned()),
            '[' => {
                let (set, after) = rest.as_str().split_once(']').ok_or("`[` has no `]`")?;
                check_set(set)?;
                rest = after.chars();
            }
            other => return Err(format!("`{other}` cannot stand in a pattern")),
        }
    }
    Ok(())
}

/// Checks the inside of a set: digits and ranges of digits, such as `2-57`.
fn check_set(set: &str) -> Result<(), String> {
    if set.is_empty() {
        return Err("`[]` matches nothing".to_owned());
    }
    let mut rest = set.chars().peekable();
    while let Some(first) = rest.next() {
        if !first.is_ascii_digit() {
            return Err(format!("`{first}` cannot stand in `[{set}]`"));
        }
        if rest.next_if_eq(&'-').is_some() {
            match rest.next() {
                Some(last) if last.is_ascii_digit() && first <= last => {}
                _ => return Err(format!("`[{set}]` has a range without a good end")),
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn patterns_are_held_against_the_grammar() {
        for good in [
            "2001",
            "+49.",
            "0ZX.",
            "NXXXXXX",
            "[2-57]X",
            ".",
            "*98",
            "sip:*@example.com",
            "sip:*@10.0.0.1:5070",
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for (bad, why) in [
            ("", "it is empty"),
            ("2.1", "`.` stands at the end only"),
            ("2a", "`a` cannot stand in a pattern"),
            ("[2-5", "`[` has no `]`"),
            ("[]", "`[]` matches nothing"),
            ("[5-2]", "`[5-2]` has a range without a good end"),
            ("[2-]", "`[2-]` has a range without a good end"),
            ("[+]", "`+` cannot stand in `[+]`"),
            ("sip:bob@example.com", "a pattern of URIs is sip:*@host"),
            ("sip:*@", "it has no host"),
        ] {
            assert_eq!(check(bad), Err(why.to_owned()), "{bad}");
        }
    }
}
