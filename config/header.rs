//! Which SIP headers a configuration may pass on or add.
//!
//! A back-to-back user agent makes each leg's INVITE anew: what belongs to one leg cannot be copied to the other.

/// Headers that are never passed on: those that UCMA lists (seed 004 line 21 and the class it describes), and those that this
/// stack makes for each leg itself.
const OF_ONE_LEG: &[&str] = &[
    "allow",
    "authorization",
    "call-id",
    "contact",
    "content-disposition",
    "content-encoding",
    "content-length",
    "content-type",
    "conversation-id",
    "cseq",
    "diversion",
    "expires",
    "from",
    "history-info",
    "max-forwards",
    "mime-version",
    "min-se",
    "ms-conversation-id",
    "p-asserted-identity",
    "p-preferred-identity",
    "privacy",
    "proxy-authorization",
    "proxy-require",
    "rack",
    "record-route",
    "refer-to",
    "referred-by",
    "replaces",
    "require",
    "route",
    "rseq",
    "session-expires",
    "supported",
    "target-class",
    "to",
    "via",
];

/// Checks the name of a header that is to be passed on.
pub(crate) fn check_name(name: &str) -> Result<(), &'static str> {
    let of_token = |byte: u8| byte.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&byte);
    if name.is_empty() || !name.bytes().all(of_token) {
        return Err("that is no name of a header");
    }
    if name.len() == 1 {
        return Err("that is a compact form; write the whole name");
    }
    if OF_ONE_LEG.contains(&name.to_ascii_lowercase().as_str()) {
        return Err("this header belongs to one leg and is never passed on");
    }
    Ok(())
}

/// Checks a header that is to be added, `Name: value`.
pub(crate) fn check_line(line: &str) -> Result<(), &'static str> {
    let (name, value) = line.split_once(':').ok_or("it has no colon")?;
    check_name(name.trim_end())?;
    match value.trim() {
        "" => Err("it has no value"),
        value if value.len() > 1024 => Err("its value is longer than 1024 bytes"),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_belongs_to_one_leg_is_never_passed_on() {
        for good in ["X-Tenant", "User-to-User", "Subject", "Priority"] {
            assert_eq!(check_name(good), Ok(()), "{good}");
        }
        for bad in [
            "Via",
            "TO",
            "Ms-Conversation-ID",
            "Supported",
            "Call-ID",
            "Content-Type",
            "v",
            "",
            "X Y",
            "X:",
        ] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
        assert!(OF_ONE_LEG.is_sorted());
    }

    #[test]
    fn an_added_header_has_a_name_and_a_value() {
        assert_eq!(check_line("X-Tenant: 7"), Ok(()));
        for bad in ["X-Tenant", "X-Tenant:", "Via: x", ": x"] {
            assert!(check_line(bad).is_err(), "{bad}");
        }
    }
}
