//! Asserted and preferred identities, and privacy.

use super::*;
use crate::identity::*;

const ALICE: &str = "\"Alice\" <sip:alice@tandem.test>;tag=a";
const NOBODY: &str = "\"Anonymous\" <sip:anonymous@anonymous.invalid>;tag=a";

fn shown(identity: Option<&Identity>) -> String {
    identity.map_or_else(
        || "nobody".to_owned(),
        |identity| format!("{} {}", identity.display.as_deref().unwrap_or("-"), identity.uri),
    )
}

/// (From, headers, who calls by a trusted side, by one that is not, whether hidden)
#[test]
fn who_calls_depends_on_who_says_so() {
    type Row = (
        &'static str,
        &'static [(&'static str, &'static str)],
        &'static str,
        &'static str,
        bool,
    );
    let table: &[Row] = &[
        (
            ALICE,
            &[],
            "Alice sip:alice@tandem.test",
            "Alice sip:alice@tandem.test",
            false,
        ),
        (
            ALICE,
            &[("P-Asserted-Identity", "\"Boss\" <sip:boss@tandem.test>, <tel:+4930>")],
            "Boss sip:boss@tandem.test",
            "Alice sip:alice@tandem.test",
            false,
        ),
        (
            NOBODY,
            &[("P-Asserted-Identity", "<tel:+4930>"), ("Privacy", "id")],
            "- tel:+4930",
            "nobody",
            true,
        ),
        (NOBODY, &[("Privacy", "user; critical")], "nobody", "nobody", true),
        (
            NOBODY,
            &[("P-Asserted-Identity", "<tel:+4930>")],
            "- tel:+4930",
            "nobody",
            true,
        ),
        (
            NOBODY,
            &[("P-Asserted-Identity", "<tel:+4930>"), ("Privacy", "none")],
            "- tel:+4930",
            "nobody",
            false,
        ),
        (
            ALICE,
            &[("P-Asserted-Identity", "<sip:Alice@pbx.test>")],
            "Alice sip:Alice@pbx.test",
            "Alice sip:alice@tandem.test",
            false,
        ),
        (
            ALICE,
            &[("Privacy", "none")],
            "Alice sip:alice@tandem.test",
            "Alice sip:alice@tandem.test",
            false,
        ),
        (
            NOBODY,
            &[(
                "Remote-Party-ID",
                "\"Old\" <sip:old@trunk.test>;party=calling;screen=yes;privacy=full",
            )],
            "Old sip:old@trunk.test",
            "nobody",
            true,
        ),
        (
            ALICE,
            &[("Remote-Party-ID", "<sip:callee@trunk.test>;party=called")],
            "Alice sip:alice@tandem.test",
            "Alice sip:alice@tandem.test",
            false,
        ),
        (
            ALICE,
            &[("P-Asserted-Identity", "<sip:a@b, <http://x>, \"broken")],
            "Alice sip:alice@tandem.test",
            "Alice sip:alice@tandem.test",
            false,
        ),
    ];
    for (from, headers, trusted, untrusted, hidden) in table {
        let request = invite(from, headers);
        let believed = Claims::of(&request, Trust::Trusted);
        assert_eq!(
            (shown(believed.caller()), believed.privacy.hides_caller()),
            ((*trusted).to_owned(), *hidden),
            "{headers:?}"
        );
        let doubted = Claims::of(&request, Trust::Untrusted);
        assert!(doubted.asserted.is_empty());
        assert_eq!(shown(doubted.caller()), *untrusted, "{headers:?}");
    }
}

#[test]
fn a_device_may_choose_among_its_own_identities_only() {
    let owns = |uri: &crate::message::Uri<'_>| uri.host == "tandem.test";
    let wants = |value| Claims::of(&invite(ALICE, &[("P-Preferred-Identity", value)]), Trust::Untrusted);
    let sales = wants("\"Sales\" <sip:sales@tandem.test>");
    assert_eq!(shown(sales.caller_among(owns)), "Sales sip:sales@tandem.test");
    let bank = wants("\"Your bank\" <sip:service@bank.test>");
    assert_eq!(shown(bank.caller_among(owns)), "Alice sip:alice@tandem.test");
    assert_eq!(shown(bank.caller_among(|_| false)), "nobody");
}

#[test]
fn who_is_nobody_is_asserted_to_nobody() {
    let nobody = Identity {
        uri: "sip:anonymous@anonymous.invalid".into(),
        display: None,
    };
    for receiver in [Trust::Trusted, Trust::Untrusted] {
        let presented = present(&nobody, Privacy::default(), receiver, IdentityStyle::Asserted);
        assert_eq!(presented.from.1.as_deref(), Some("Anonymous"));
        assert_eq!(presented.headers, []);
    }
}

#[test]
fn more_privacy_than_there_is_is_too_much_only_where_nothing_less_will_do() {
    for (asked, too_much) in [
        ("id", false),
        ("id;critical", false),
        ("header;session;user;critical", false),
        ("location", false),
        ("location;critical", true),
        ("critical, location", true),
        ("critical;;", false),
    ] {
        assert_eq!(Privacy::parse(asked).asks_too_much(), too_much, "{asked}");
    }
}

#[test]
fn headers_that_tell_of_the_caller_are_taken_away_at_its_wish() {
    for (asked, name, gone) in [
        ("user", "Organization", true),
        ("header", "reply-to", true),
        ("header;none", "Reply-To", false),
        ("id", "Organization", false),
        ("user", "X-Trace", false),
    ] {
        assert_eq!(Privacy::parse(asked).takes_away(name), gone, "{asked} {name}");
    }
}

#[test]
fn a_hidden_caller_is_shown_to_the_trusted_alone() {
    let alice = Identity {
        uri: "sip:alice@tandem.test".into(),
        display: Some("Al \"ice\"".into()),
    };
    let hidden = Privacy {
        id: true,
        ..Privacy::default()
    };
    let open = Privacy::default();
    let asserted = r#"P-Asserted-Identity: "Al \"ice\"" <sip:alice@tandem.test>"#;
    let table: [(Privacy, Trust, IdentityStyle, bool, &[&str]); 7] = [
        (open, Trust::Trusted, IdentityStyle::Asserted, false, &[asserted]),
        (open, Trust::Untrusted, IdentityStyle::Asserted, false, &[asserted]),
        (
            hidden,
            Trust::Trusted,
            IdentityStyle::Asserted,
            true,
            &[asserted, "Privacy: id"],
        ),
        (hidden, Trust::Untrusted, IdentityStyle::Asserted, true, &["Privacy: id"]),
        (
            hidden,
            Trust::Trusted,
            IdentityStyle::RemoteParty,
            true,
            &[
                r#"Remote-Party-ID: "Al \"ice\"" <sip:alice@tandem.test>;party=calling;screen=yes;privacy=full"#,
                "Privacy: id",
            ],
        ),
        (
            open,
            Trust::Untrusted,
            IdentityStyle::Preferred,
            false,
            &[r#"P-Preferred-Identity: "Al \"ice\"" <sip:alice@tandem.test>"#],
        ),
        (open, Trust::Trusted, IdentityStyle::FromOnly, false, &[]),
    ];
    for (privacy, receiver, style, anonymous, headers) in table {
        let presented = present(&alice, privacy, receiver, style);
        assert_eq!(lines(&presented.headers), headers, "{privacy:?} {receiver:?} {style:?}");
        assert_eq!(&*presented.from.0 == "sip:anonymous@anonymous.invalid", anonymous);
        let again = Claims::of(&invite_with(&presented.headers), Trust::Trusted);
        if let Some(read) = again.asserted.first() {
            assert_eq!(*read, alice);
        }
        assert_eq!(again.privacy.hides_caller(), anonymous);
    }
}

proptest::proptest! {
    #[test]
    fn what_a_stranger_says_is_never_asserted_and_what_is_written_reads_the_same(
        value in "\\PC{0,80}",
        name in "\\PC{0,20}",
        user in "[a-z0-9._~-]{1,12}",
        flags in proptest::array::uniform4(proptest::prelude::any::<bool>()),
    ) {
        let request = invite(ALICE, &[("P-Asserted-Identity", &value), ("Remote-Party-ID", &value), ("Privacy", &value)]);
        let doubted = Claims::of(&request, Trust::Untrusted);
        proptest::prop_assert!(doubted.asserted.is_empty());
        let believed = Claims::of(&request, Trust::Trusted);
        if let Some(identity) = believed.caller() {
            let presented = present(identity, believed.privacy, Trust::Trusted, IdentityStyle::Asserted);
            let again = Claims::of(&invite_with(&presented.headers), Trust::Trusted);
            proptest::prop_assert_eq!(again.caller().map(|caller| &caller.uri), Some(&identity.uri));
        }
        let [none, id, user_flag, history] = flags;
        let privacy = Privacy { none, id, user: user_flag, history, ..Privacy::default() };
        let identity = Identity { uri: format!("sip:{user}@tandem.test").into(), display: (!name.trim().is_empty()).then(|| name.trim().into()) };
        let presented = present(&identity, privacy, Trust::Trusted, IdentityStyle::Asserted);
        let again = Claims::of(&invite_with(&presented.headers), Trust::Trusted);
        proptest::prop_assert_eq!(again.privacy, privacy);
        proptest::prop_assert_eq!(again.asserted, vec![identity]);
    }
}
