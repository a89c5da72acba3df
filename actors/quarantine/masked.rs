//! A debug form without what callers and agents said of themselves.
//!
//! Invariant: no text of the value is in it. What is quoted is masked, whatever it is, and so is a bare word that is an address; what stays is
//! the shape of the value: the names of its types and fields, ids, states, numbers of the protocol. Values of user data that are numbers
//! are masked with the text.

use std::fmt::{self, Debug, Write};

/// So much of a debug form is looked at, in bytes: a group of calls with sixteen parties takes about as much.
const LOOKED_AT: usize = 64 * 1024;
/// What stands before a number of user data.
const NUMBER: &str = "Int(";
/// What the standard library says before the text that it could not cut, between backticks.
const CUT: &str = " of `";

/// What kind of value it is: the names that its debug form begins with.
pub fn kind(value: &impl Debug) -> String {
    let form = form(value, 256);
    let names = form.split('(').map_while(|part| {
        let end = part.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        let name = part.get(..end.unwrap_or(part.len()))?;
        let is_name = name.starts_with(|c: char| c.is_ascii_uppercase());
        is_name.then_some((name, end.is_none()))
    });
    let mut kind = String::new();
    for (name, goes_on) in names {
        let between = if kind.is_empty() { "" } else { " " };
        kind.push_str(between);
        kind.push_str(name);
        if !goes_on {
            break;
        }
    }
    kind
}

/// The debug form, masked, of at most so many bytes.
pub fn shown(value: &impl Debug, longest: usize) -> String {
    text(&form(value, LOOKED_AT), longest)
}

/// A text that may hold debug forms, such as what a panic says.
pub fn text(text: &str, longest: usize) -> String {
    let mut masked = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next().filter(|_| masked.len() <= longest) {
        let taken = match first {
            '"' => quoted(rest, '"', &mut masked),
            '\'' => character(rest, &mut masked),
            '`' if masked.ends_with(&CUT[..CUT.len() - 1]) => quoted(rest, '`', &mut masked),
            c if is_bare(c) => word(rest, &mut masked),
            c => {
                masked.push(c);
                c.len_utf8()
            }
        };
        rest = rest.get(taken..).unwrap_or_default();
    }
    cut(masked, longest)
}

/// At most so many bytes of a text; where that is not all of it, it says so.
pub fn cut(mut text: String, longest: usize) -> String {
    if text.len() > longest {
        text.truncate(text.floor_char_boundary(longest.saturating_sub('…'.len_utf8())));
        text.push('…');
    }
    text
}

fn form(value: &impl Debug, longest: usize) -> String {
    let mut form = Bounded {
        text: String::new(),
        longest,
    };
    // It fails where there is no more room, which is no matter.
    let _ = write!(form, "{value:?}");
    form.text
}

struct Bounded {
    text: String,
    longest: usize,
}

impl Write for Bounded {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        let room = self.longest.saturating_sub(self.text.len());
        let end = more.floor_char_boundary(room);
        self.text.push_str(more.get(..end).unwrap_or_default());
        if end < more.len() { Err(fmt::Error) } else { Ok(()) }
    }
}

/// As everywhere in this house (seed 002 line 2490).
fn mask(length: usize, masked: &mut String) {
    // Writing into a String does not fail.
    let _ = write!(masked, "**** (length:{length:02})");
}

/// Masks what stands between two marks, or after one where it is cut; how many bytes that is.
fn quoted(text: &str, mark: char, masked: &mut String) -> usize {
    let mut inside = text.char_indices().skip(1);
    let mut length = 0;
    let mut end = text.len();
    while let Some((at, c)) = inside.next() {
        if c == mark {
            end = at + c.len_utf8();
            break;
        }
        length += c.len_utf8();
        if c == '\\' {
            escaped(&mut inside);
        }
    }
    masked.push(mark);
    mask(length, masked);
    masked.push(mark);
    end
}

/// Passes over the rest of an escape, which stands for one character.
fn escaped(inside: &mut impl Iterator<Item = (usize, char)>) {
    match inside.next() {
        Some((_, 'x')) => drop(inside.nth(1)),
        Some((_, 'u')) => drop(inside.find(|(_, c)| *c == '}')),
        _ => {}
    }
}

/// Masks a character, such as a digit that was pressed. An apostrophe in a sentence is none.
fn character(text: &str, masked: &mut String) -> usize {
    let mut inside = text.char_indices().skip(1);
    if let Some((_, '\\')) = inside.next() {
        escaped(&mut inside);
    }
    match inside.next() {
        Some((at, '\'')) => {
            masked.push_str("'*'");
            at + 1
        }
        _ => {
            masked.push('\'');
            1
        }
    }
}

fn is_bare(c: char) -> bool {
    !c.is_whitespace() && !matches!(c, '(' | ')' | '{' | '}' | '[' | ']' | ',' | '"' | '\'' | '`')
}

/// A word that nothing is round: a name or a number stays, an address does not, nor does a number of user data.
fn word(text: &str, masked: &mut String) -> usize {
    let mut depth = 0_usize;
    let end = text.char_indices().find(|(at, c)| {
        if is_bare(*c) {
            return false;
        }
        // Addresses may have parentheses, commas and apostrophes inside.
        let is_inside = is_address(text.get(..*at).unwrap_or_default());
        match c {
            '(' if is_inside => depth += 1,
            ')' if depth > 0 => depth -= 1,
            ',' | '\'' if is_inside => {
                let next = text.get(at + 1..).and_then(|rest| rest.chars().next());
                return next.is_none_or(char::is_whitespace);
            }
            _ => return true,
        }
        false
    });
    let end = end.map_or(text.len(), |(at, _)| at);
    let word = text.get(..end).unwrap_or_default();
    if is_address(word) || (masked.ends_with(NUMBER) && word.parse::<i64>().is_ok()) {
        mask(word.len(), masked);
    } else {
        masked.push_str(word);
    }
    end
}

/// A URI, or an address and a port; not `name:` and not `a::path`.
fn is_address(word: &str) -> bool {
    let named = word.strip_suffix(':').unwrap_or(word);
    word.contains('@') || named.replace("::", "").contains(':')
}

#[cfg(test)]
mod tests {
    use tandem_model::{ConnId, DnId, KvList, KvValue};

    use super::*;

    #[derive(Debug)]
    #[allow(dead_code, reason = "they are read by their debug form alone")]
    enum Input {
        Request { dn: DnId, data: KvList, conn_id: ConnId },
        Link(Told),
        Address(std::net::SocketAddr),
        Timeout,
    }

    #[derive(Debug)]
    #[allow(dead_code, reason = "they are read by their debug form alone")]
    enum Told {
        Digit(char),
        Body { body: bytes::Bytes, status: u16 },
    }

    fn request(dn: &str) -> Input {
        let mut data: KvList = [("account", "47\"11"), ("name", "Zoë\n")].into_iter().collect();
        data.set("age", KvValue::Int(-42));
        Input::Request {
            dn: DnId::new(dn),
            data,
            conn_id: ConnId(0x71),
        }
    }

    #[test]
    fn the_shape_stays_and_what_was_said_does_not() {
        assert_eq!(
            shown(&request("sip:1001@tandem.local"), 1000),
            "Request { dn: **** (length:21), data: {\"**** (length:07)\": Str(\"**** (length:05)\"), \"**** (length:04)\": \
             Str(\"**** (length:05)\"), \"**** (length:03)\": Int(**** (length:03))}, conn_id: 0000000000000071 }"
        );
        assert_eq!(shown(&Input::Link(Told::Digit('5')), 100), "Link(Digit('*'))");
        assert_eq!(shown(&Input::Link(Told::Digit('\'')), 100), "Link(Digit('*'))");
        let body = bytes::Bytes::from_static(b"v=0\r\n\xff\"a=crypto");
        assert_eq!(
            shown(&Input::Link(Told::Body { body, status: 200 }), 100),
            "Link(Body { body: b\"**** (length:15)\", status: 200 })"
        );
        let address = "[::1]:5060".parse().expect("an address");
        assert_eq!(shown(&Input::Address(address), 100), "Address([::1]**** (length:05))");
    }

    #[test]
    fn an_address_may_have_any_mark_inside() {
        for number in [
            "sip:o'hara@x",
            "sip:a,b,c@x",
            "tel:+49(171)(5)55",
            "sip:%22)(b@x",
            "sips:x@[2001:db8::1]:5061",
        ] {
            let masked = shown(&Some(request(number)), 1000);
            for part in ["hara", "b@", "c@", "171", "55", "2001"] {
                assert!(!masked.contains(part), "{part}: {masked}");
            }
        }
    }

    #[test]
    fn the_kind_is_what_the_form_begins_with() {
        assert_eq!(kind(&request("sip:1001@tandem.local")), "Request");
        assert_eq!(kind(&Input::Link(Told::Digit('5'))), "Link Digit");
        assert_eq!(kind(&Input::Timeout), "Timeout");
        assert_eq!(kind(&Some("text")), "Some");
    }

    #[test]
    fn what_is_too_long_is_cut_and_still_masked() {
        let cut = shown(&request("sip:1001@tandem.local"), 40);
        assert!(
            cut.len() <= 40 && cut.starts_with("Request { dn: ****") && cut.ends_with('…'),
            "{cut}"
        );
        let endless = "secret ".repeat(LOOKED_AT);
        assert_eq!(shown(&endless, 100), format!("\"**** (length:{})\"", LOOKED_AT - 1));
    }

    #[test]
    fn a_panic_is_told_without_the_text_that_it_quotes() {
        for (said, told) in [
            ("injected into a call", "injected into a call"),
            (
                "index out of bounds: the len is 3 but the index is 5",
                "index out of bounds: the len is 3 but the index is 5",
            ),
            (
                "called `Result::unwrap()` on an `Err` value: Wrong(\"4711\")",
                "called `Result::unwrap()` on an `Err` value: Wrong(\"**** (length:04)\")",
            ),
            (
                "start byte index 1 is not a char boundary; it is inside 'ë' (bytes 0..2) of `ëabc`",
                "start byte index 1 is not a char boundary; it is inside '*' (bytes 0..2) of `**** (length:05)`",
            ),
            ("it isn't what we can't say", "it isn't what we can't say"),
            ("nobody knows sip:1001@x here", "nobody knows **** (length:10) here"),
        ] {
            assert_eq!(text(said, 1000), told);
        }
    }
}
