//! How a destination is called: by a back-to-back leg or out of the conference, and with which identity (seed 002 lines 1945-2028).
//!
//! | metacharacter | matches |
//! |---|---|
//! | `{` `}` | begin and end of the variable part; the ones below have their meaning in there only |
//! | `D` | one digit |
//! | `S` | one character |
//! | `#` | any number of digits |
//! | `*` | any number of any characters |
//!
//! Everything else stands for itself. Case does not count, and neither do blanks (the seed prints some after `tel:`). A rule speaks of the whole
//! destination as it was asked for: a number, a `tel:` or a `sip:` URI.

use std::sync::Arc;

use crate::{DnId, KvList, KvValue, TError, TErrorCode};

/// The extension of a request that says how its destination is called: `b2b` or `dialout`. EventRinging of one that is called by a
/// back-to-back leg has it too, whoever decided that.
pub const CALLING_METHOD: &str = "calling-method";
/// The extension of a request with the identity that the destination is shown: a SIP URI.
pub const CPN_DIGITS: &str = "CPNDigits";

/// The most characters of a rule, and of a destination.
const MAX_CHARS: usize = 256;

/// How a destination is called.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub enum CallingMethod {
    /// By a back-to-back leg: the destination is reported as it was asked for until somebody answers, then as who answered.
    BackToBack,
    /// Out of the conference.
    #[default]
    DialOut,
}

impl CallingMethod {
    /// Its name in options and extensions.
    pub fn name(self) -> &'static str {
        match self {
            Self::BackToBack => "b2b",
            Self::DialOut => "dialout",
        }
    }

    /// The method of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::BackToBack, Self::DialOut]
            .into_iter()
            .find(|method| method.name().eq_ignore_ascii_case(name))
    }
}

/// Why a rule cannot be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RuleError {
    /// There is nothing but blanks.
    #[error("it is empty")]
    Empty,
    /// More than 256 characters.
    #[error("it is too long")]
    TooLong,
    /// A brace without its partner, or braces in braces.
    #[error("its braces do not pair")]
    Braces,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Unit {
    Literal(char),
    Digit,
    Character,
    Digits,
    Anything,
}

/// One rule of a dial plan.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DestinationRule {
    text: Arc<str>,
    units: Vec<Unit>,
}

impl DestinationRule {
    /// Reads a rule.
    pub fn parse(text: &str) -> Result<Self, RuleError> {
        if text.chars().count() > MAX_CHARS {
            return Err(RuleError::TooLong);
        }
        let (mut units, mut variable) = (Vec::new(), false);
        for c in folded(text) {
            let unit = match (variable, c) {
                (false, '{') | (true, '}') => {
                    variable = !variable;
                    continue;
                }
                (_, '{' | '}') => return Err(RuleError::Braces),
                (true, 'd') => Unit::Digit,
                (true, 's') => Unit::Character,
                (true, '#') => Unit::Digits,
                (true, '*') => Unit::Anything,
                (_, literal) => Unit::Literal(literal),
            };
            units.push(unit);
        }
        match (variable, units.is_empty()) {
            (true, _) => Err(RuleError::Braces),
            (false, true) => Err(RuleError::Empty),
            (false, false) => Ok(Self {
                text: text.into(),
                units,
            }),
        }
    }

    /// The rule as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it speaks of this destination. The time is bounded by the product of the two lengths.
    pub fn matches(&self, destination: &str) -> bool {
        let mut chars = folded(destination);
        // `reached[n]`: the first n units have matched what was read so far.
        let mut reached = vec![false; self.units.len() + 1];
        reached[0] = true;
        self.skip_empty(&mut reached);
        for c in chars.by_ref().take(MAX_CHARS) {
            let mut next = vec![false; reached.len()];
            for (n, unit) in self.units.iter().enumerate().filter(|(n, _)| reached[*n]) {
                match unit {
                    Unit::Literal(literal) => next[n + 1] |= *literal == c,
                    Unit::Digit => next[n + 1] |= c.is_ascii_digit(),
                    Unit::Character => next[n + 1] = true,
                    Unit::Digits => next[n] |= c.is_ascii_digit(),
                    Unit::Anything => next[n] = true,
                }
            }
            reached = next;
            self.skip_empty(&mut reached);
        }
        chars.next().is_none() && reached.last().copied().unwrap_or(false)
    }

    /// Units that match nothing too are passed over.
    fn skip_empty(&self, reached: &mut [bool]) {
        for (n, unit) in self.units.iter().enumerate() {
            if matches!(unit, Unit::Digits | Unit::Anything) && reached[n] {
                reached[n + 1] = true;
            }
        }
    }
}

/// The characters that count, in lower case.
fn folded(text: &str) -> impl Iterator<Item = char> {
    text.chars().filter(|c| !c.is_whitespace()).flat_map(char::to_lowercase)
}

/// A dial-plan DN: which destinations it speaks of, and how they are called.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct DialPlan {
    /// Its rules; one that matches is enough.
    pub rules: Vec<DestinationRule>,
    /// How a destination that matches is called.
    pub method: CallingMethod,
    /// The identity it is shown.
    pub cpn: Option<DnId>,
}

/// How destinations are called.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct CallingPolicy {
    /// The dial plan in force (`calling-method-dialplan`); without one, everything is called out of the conference.
    pub plan: Option<DialPlan>,
    /// The identity that destinations of back-to-back calls are shown (`cpn`); the plan's comes first.
    pub cpn: Option<DnId>,
}

/// How one destination is called.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Calling {
    /// The method.
    pub method: CallingMethod,
    /// The identity that it is shown instead of the caller's; for back-to-back calls only.
    pub identity: Option<DnId>,
}

impl Calling {
    /// Whether it is shown the endpoint that the call is made from, as nothing else is said (reference options.md, `cpn`).
    pub fn shows_endpoint(&self) -> bool {
        self.method == CallingMethod::BackToBack && self.identity.is_none()
    }
}

impl CallingPolicy {
    /// How `destination` is called for a request with these extensions, which win over every plan.
    pub fn calling(&self, destination: &str, extensions: &KvList) -> Result<Calling, TError> {
        let asked = asked_method(extensions)?;
        let identity = asked_identity(extensions)?;
        let plan = self.plan.as_ref();
        let plan = plan.filter(|plan| plan.rules.iter().any(|rule| rule.matches(destination)));
        let method = asked.unwrap_or_else(|| plan.map(|plan| plan.method).unwrap_or_default());
        let configured = || plan.and_then(|plan| plan.cpn.clone()).or_else(|| self.cpn.clone());
        Ok(Calling {
            method,
            identity: match method {
                CallingMethod::BackToBack => identity.or_else(configured),
                CallingMethod::DialOut => None,
            },
        })
    }
}

fn asked_method(extensions: &KvList) -> Result<Option<CallingMethod>, TError> {
    let refused = || {
        let text = "extensions.calling-method: valid are `b2b` and `dialout`";
        TError::new(TErrorCode::InvalidAttribute, text)
    };
    match extensions.value(CALLING_METHOD) {
        None => Ok(None),
        Some(KvValue::Str(name)) => CallingMethod::from_name(name).map(Some).ok_or_else(refused),
        Some(_) => Err(refused()),
    }
}

fn asked_identity(extensions: &KvList) -> Result<Option<DnId>, TError> {
    let refused = || {
        let text = "extensions.CPNDigits: a SIP URI of the form sip:user@host";
        TError::new(TErrorCode::InvalidAttribute, text)
    };
    match extensions.value(CPN_DIGITS) {
        None => Ok(None),
        Some(KvValue::Str(uri)) if is_identity(uri) => Ok(Some(DnId::new(uri))),
        Some(_) => Err(refused()),
    }
}

/// `sip:user@host`, nothing that could break out of a header.
fn is_identity(uri: &str) -> bool {
    let Some(address) = uri.strip_prefix("sip:").or_else(|| uri.strip_prefix("sips:")) else {
        return false;
    };
    let sound = |part: &str| {
        !part.is_empty() && !part.contains(['@', '<', '>', '"', ';', '?', ',', ' ']) && !part.chars().any(char::is_control)
    };
    uri.len() <= MAX_CHARS && address.split_once('@').is_some_and(|(user, host)| sound(user) && sound(host))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rule(text: &str) -> DestinationRule {
        DestinationRule::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    /// The table of the seed (seed 002 lines 1978-1996), with what each pattern is not for. Its examples for `+{DD812DDD}` have one digit
    /// more than the pattern and its description (8 digits); they stand here without it.
    #[test]
    fn the_patterns_of_the_seed_match_what_they_are_said_to() {
        let table: &[(&str, &[&str], &[&str])] = &[
            (
                "+{DDDDDDDD}",
                &["+12345678"],
                &["12345678", "+1234567", "+123456789", "+1234567a"],
            ),
            ("+{69DDDDDD}", &["+69123456"], &["+68123456", "+6912345"]),
            ("+69{DDDDDD}", &["+69123456"], &["+68123456", "+691234567"]),
            (
                "+{DD812DDD}",
                &["+07812987", "+00812123"],
                &["+08712987", "07812987", "+0781298"],
            ),
            ("{DD812#}", &["0781298765", "00812"], &["0181298765x", "812", "+0781298"]),
            (
                "sip:{SSSS}@domain.com",
                &["sip:andy@domain.com", "SIP:Andy@Domain.com"],
                &["sip:and@domain.com", "sip:andrew@domain.com", "sip:andy@domain.org"],
            ),
            (
                "sip:{SSSS}@{*}",
                &["sip:andy@domain.com", "sip:mike@domain01.uk.com"],
                &["sip:michael@domain.com", "tel:andy@domain.com"],
            ),
            (
                "sip:{*}@domain02.uk.com",
                &[
                    "sip:123@domain02.uk.com",
                    "sip:alice321@domain02.uk.com",
                    "sip:987bob@domain02.uk.com",
                    "sip:michael@domain02.uk.com",
                ],
                &["sip:michael@domain01.uk.com", "sip:michael@domain02.uk.com.example"],
            ),
            (
                "sip:{#}@domain02.uk.com",
                &["sip:1234567@domain02.uk.com", "sip:987@domain02.uk.com"],
                &["sip:987bob@domain02.uk.com"],
            ),
            ("tel: {#}", &["tel:012345", "tel:987"], &["tel:+987", "tel:98a", "987"]),
            ("tel: + {#}", &["tel: +012345", "tel:+987"], &["tel:987"]),
            (
                "sip:SSS{SSSS}@domain.com",
                &["sip:SSSabcd@domain.com", "sip:sssdcba@domain.com"],
                &["sip:abcdefg@domain.com", "sip:sssabc@domain.com"],
            ),
            (
                "sip:SSS{DDDD}@domain.com",
                &["sip:SSS1234@domain.com", "sip:sss4321@domain.com"],
                &["sip:sssabcd@domain.com", "sip:sss123@domain.com"],
            ),
        ];
        for (pattern, good, bad) in table {
            let rule = rule(pattern);
            for destination in *good {
                assert!(rule.matches(destination), "{pattern} is for {destination}");
            }
            for destination in *bad {
                assert!(!rule.matches(destination), "{pattern} is not for {destination}");
            }
        }
    }

    #[test]
    fn rules_that_cannot_be_read_say_why() {
        for (text, why) in [
            ("", RuleError::Empty),
            (" {} ", RuleError::Empty),
            ("{D", RuleError::Braces),
            ("D}", RuleError::Braces),
            ("{{D}}", RuleError::Braces),
        ] {
            assert_eq!(DestinationRule::parse(text), Err(why), "{text}");
        }
        assert_eq!(DestinationRule::parse(&"1".repeat(257)), Err(RuleError::TooLong));
        assert!(!rule("{*}").matches(&"1".repeat(257)), "nothing that long is a destination");
    }

    fn policy() -> CallingPolicy {
        CallingPolicy {
            plan: Some(DialPlan {
                rules: vec![rule("+49{#}"), rule("sip:{*}@pbx.example.com")],
                method: CallingMethod::BackToBack,
                cpn: Some("sip:plan@tandem.local".into()),
            }),
            cpn: Some("sip:everywhere@tandem.local".into()),
        }
    }

    fn extensions(pairs: Pairs) -> KvList {
        pairs.iter().copied().collect()
    }

    type Pairs = &'static [(&'static str, &'static str)];

    /// `method identity`.
    fn called(destination: &str, pairs: Pairs) -> String {
        match policy().calling(destination, &extensions(pairs)) {
            Ok(calling) => {
                let identity = calling.identity.as_ref().map_or("-", |dn| dn.user());
                format!("{} {identity}", calling.method.name())
            }
            Err(error) => format!("{}", error.code.number()),
        }
    }

    #[test]
    fn the_plan_decides_and_the_request_decides_over_it() {
        let cases: &[(&str, Pairs, &str)] = &[
            ("+49301234", &[], "b2b plan"),
            ("SIP:bob@PBX.example.com", &[], "b2b plan"),
            ("+4430", &[], "dialout -"),
            ("+4430", &[("calling-method", "b2b")], "b2b everywhere"),
            ("+4930", &[("calling-method", "dialout")], "dialout -"),
            (
                "+4930",
                &[("calling-method", "B2B"), ("CPNDigits", "sip:me@tandem.local")],
                "b2b me",
            ),
            ("+4930", &[("CPNDigits", "sip:me@tandem.local")], "b2b me"),
            ("+4430", &[("CPNDigits", "sip:me@tandem.local")], "dialout -"),
            ("+4930", &[("calling-method", "mcu")], "53"),
            ("+4930", &[("CPNDigits", "4930")], "53"),
            ("+4930", &[("CPNDigits", "sip:me@x>\r\nVia: y")], "53"),
        ];
        for (destination, pairs, expected) in cases {
            assert_eq!(called(destination, pairs), *expected, "{destination} {pairs:?}");
        }
        let none = CallingPolicy::default().calling("+4930", &KvList::new());
        assert_eq!(none, Ok(Calling::default()));
    }

    #[test]
    fn a_back_to_back_call_without_an_identity_shows_the_endpoint() {
        let nobody = CallingPolicy {
            plan: policy().plan.map(|plan| DialPlan { cpn: None, ..plan }),
            cpn: None,
        };
        let cases: &[(&CallingPolicy, &str, Pairs, bool)] = &[
            (&nobody, "+4930", &[], true),
            (&nobody, "+4430", &[("calling-method", "b2b")], true),
            (&nobody, "+4930", &[("CPNDigits", "sip:me@tandem.local")], false),
            (&nobody, "+4930", &[("calling-method", "dialout")], false),
            (&nobody, "+4430", &[], false),
            (&policy(), "+4930", &[], false),
        ];
        for (policy, destination, pairs, expected) in cases {
            let calling = policy.calling(destination, &extensions(pairs)).unwrap();
            assert_eq!(calling.shows_endpoint(), *expected, "{destination} {pairs:?}");
        }
    }

    proptest! {
        /// Against the plain reading of a rule, by recursion.
        #[test]
        fn matching_agrees_with_the_plain_reading(rule_text in "[+1]{0,2}\\{[DS#*1]{0,6}\\}[a1]{0,2}", text in "[+1a]{0,9}") {
            fn plain(units: &[Unit], text: &[char]) -> bool {
                let Some((unit, rest)) = units.split_first() else { return text.is_empty() };
                let one = |fits: fn(&char) -> bool| text.first().is_some_and(fits) && plain(rest, &text[1..]);
                let many = |fits: fn(&char) -> bool| {
                    let most = text.iter().take_while(|c| fits(c)).count();
                    (0..=most).any(|taken| plain(rest, &text[taken..]))
                };
                match unit {
                    Unit::Literal(c) => text.first() == Some(c) && plain(rest, &text[1..]),
                    Unit::Digit => one(char::is_ascii_digit),
                    Unit::Character => one(|_| true),
                    Unit::Digits => many(char::is_ascii_digit),
                    Unit::Anything => many(|_| true),
                }
            }
            if let Ok(rule) = DestinationRule::parse(&rule_text) {
                let chars: Vec<char> = text.chars().collect();
                prop_assert_eq!(rule.matches(&text), plain(&rule.units, &chars));
            }
        }

        #[test]
        fn no_text_makes_it_panic(rule_text in "\\PC{0,40}", text in "\\PC{0,40}") {
            if let Ok(rule) = DestinationRule::parse(&rule_text) {
                rule.matches(&text);
            }
        }
    }
}
