//! Which headers pass, and which never do.

use super::*;
use crate::identity::*;

const ALICE: &str = "<sip:alice@tandem.test>;tag=a";

/// The set that back-to-back calls of UCMA never pass.
const UCMA_NEVER: &str = "Call-ID Contact Content-Type CSeq From History-Info Max-Forwards Ms-Conversation-ID P-Asserted-Identity \
    P-Preferred-Identity Record-Route Refer-To Referred-By Replaces RSeq Target-Class To Via";

#[test]
fn names_that_can_never_be_passed_are_all_named() {
    for name in UCMA_NEVER.split_ascii_whitespace() {
        let refused = PassThrough::new([name.to_lowercase()]).unwrap_err();
        assert_eq!(refused.names.len(), 1, "{name}");
        assert!(
            matches!(custom_header(name, "x"), Err(CustomHeaderError::Never { .. })),
            "{name}"
        );
    }
    let error = PassThrough::new(["X-Ours", "v", "Content-Length", "no name", "", "x-ours"]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "headers that can never be passed: v, Content-Length, no name, "
    );
    let many = PassThrough::new((0..MAX_PASSED_NAMES + 2).map(|at| format!("X-{at}"))).unwrap_err();
    assert_eq!(many.names.len(), 2);
}

#[test]
fn what_is_on_the_list_is_passed_in_order_and_whole() {
    let list = PassThrough::new(["x-customer", "s", "Supported", "Allow", "X-Customer"]).unwrap();
    assert_eq!(list.names().len(), 4);
    let long = "y".repeat(MAX_HEADER_VALUE_BYTES + 1);
    let request = invite(
        ALICE,
        &[
            ("X-CUSTOMER", "4711, 4712"),
            ("Subject", "hello"),
            ("X-Other", "no"),
            ("k", "path, nosuch, 100rel"),
            ("Allow", "INVITE, DANCE,BYE"),
            ("X-Customer", "second"),
            ("X-Customer", &long),
        ],
    );
    assert_eq!(
        lines(&list.select(&request)),
        [
            "x-customer: 4711, 4712",
            "Subject: hello",
            "Supported: path",
            "Allow: INVITE, BYE",
            "x-customer: second"
        ]
    );
    assert!(PassThrough::default().select(&request).is_empty());
}

#[test]
fn much_of_one_header_is_bounded() {
    let list = PassThrough::new(["X-A"]).unwrap();
    let value = "v".repeat(1000);
    let headers: Vec<(&str, &str)> = (0..60).map(|_| ("X-A", value.as_str())).collect();
    assert_eq!(list.select(&invite(ALICE, &headers)).len(), 16);
}

#[test]
fn a_header_of_an_application_is_checked_and_the_error_says_what_is_wrong() {
    assert_eq!(custom_header(" X-Ticket ", " 12 ").unwrap(), ("X-Ticket".into(), "12".into()));
    assert_eq!(custom_header("s", "urgent").unwrap().0.as_ref(), "Subject");
    let said = |name: &str, value: &str| custom_header(name, value).unwrap_err().to_string();
    assert_eq!(said("X A", ""), "\"X A\" is not a header name");
    assert_eq!(said("", ""), "\"\" is not a header name");
    assert_eq!(said("f", "x"), "header From is set by the server and cannot be given");
    assert_eq!(
        said("X-A", "1\r\nVia: SIP/2.0/UDP evil"),
        "the value of header X-A has a control character at byte 1"
    );
    assert_eq!(
        said("X-A", &"é".repeat(1025)),
        "the value of header X-A has 2050 bytes; at most 2048 are taken"
    );
    assert!(said(&"X".repeat(5000), "").len() < 120);
    let many: Vec<(&str, &str)> = (0..40).map(|_| ("X-A", "1")).collect();
    assert_eq!(
        custom_headers(many).unwrap_err().to_string(),
        "40 headers; at most 32 are taken"
    );
    assert_eq!(custom_headers([("X-A", "1"), ("X-B", "2")]).unwrap().len(), 2);
}

proptest::proptest! {
    #[test]
    fn what_is_taken_is_one_header_on_the_wire(name in "\\PC{0,20}|[A-Za-z-]{1,20}", value in "(\\PC|[\r\n\t\u{0}]){0,60}") {
        if let Ok((name, value)) = custom_header(&name, &value) {
            let bare = invite(ALICE, &[]).fields().count();
            let message = invite(ALICE, &[(&name, &value)]);
            proptest::prop_assert_eq!(message.fields().count(), bare + 1);
            let list = PassThrough::new([&*name]).unwrap();
            if !["Allow", "Supported"].contains(&&*name) {
                proptest::prop_assert_eq!(list.select(&message), vec![(name, value)]);
            }
        }
    }
}
