//! The index: start lines, header lines, bodies, and what is wrong with them.

use super::*;

const HEADERS: [&str; 5] = [
    "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1",
    "From: <sip:a@b>;tag=1",
    "To: <sip:b@c>",
    "Call-ID: c1",
    "CSeq: 1 OPTIONS",
];

/// The start line, the headers every message needs, these lines, and what follows the empty line.
fn with(start: &str, more: &[&str], body: &str) -> Bytes {
    let mut lines = vec![start];
    lines.extend(HEADERS);
    lines.extend(more);
    lines.extend(["", body]);
    text(&lines)
}

fn error(bytes: Bytes) -> ParseErrorKind {
    Message::parse(bytes).expect_err("it is malformed").kind
}

#[test]
fn start_lines() {
    let request = Message::parse(with("OPTIONS sip:b@c SIP/2.0", &[], "")).unwrap();
    assert!(request.is_request() && request.is(&Method::Options));
    assert_eq!(
        (request.uri(), request.status(), request.reason_phrase()),
        (Some("sip:b@c"), None, None)
    );
    for (line, status, reason) in [
        ("SIP/2.0 200 OK", 200, "OK"),
        ("sip/2.0 486 Busy  Here", 486, "Busy  Here"),
        ("SIP/2.0 180", 180, ""),
        ("SIP/2.0 699 ", 699, ""),
    ] {
        let response = Message::parse(with(line, &[], "")).unwrap();
        assert_eq!(
            (response.status(), response.reason_phrase(), response.method(), response.uri()),
            (Some(status), Some(reason), None, None)
        );
        assert_eq!(response.validate(), Ok(()), "{line}");
    }
}

#[test]
fn malformed_start_lines() {
    for line in [
        "OPTIONS",
        "OPTIONS sip:b@c",
        "OPTIONS sip:b@c HTTP/1.1",
        "GET / HTTP/1.1",
        "OPT(IONS sip:b@c SIP/2.0",
        " OPTIONS sip:b@c SIP/2.0",
        "SIP/2.0",
    ] {
        assert_eq!(error(with(line, &[], "")), ParseErrorKind::StartLine, "{line}");
    }
    for line in [
        "SIP/2.0 OK",
        "SIP/2.0 099 x",
        "SIP/2.0 700 x",
        "SIP/2.0 20 x",
        "SIP/2.0 2000 x",
        "SIP/2.0  200 x",
        "SIP/2.0 2x0 x",
    ] {
        assert_eq!(error(with(line, &[], "")), ParseErrorKind::StatusCode, "{line}");
    }
}

#[test]
fn keep_alives_are_no_messages() {
    for bytes in ["", "\r\n", "\r\n\r\n", "\0\0\0\0", "\n"] {
        assert_eq!(error(Bytes::from(bytes)), ParseErrorKind::Empty);
    }
}

#[test]
fn line_ends_before_a_message_are_skipped() {
    let bytes = [b"\r\n\r\n".as_slice(), &with("OPTIONS sip:b@c SIP/2.0", &[], "")].concat();
    assert!(Message::parse(Bytes::from(bytes)).unwrap().bytes().starts_with(b"OPTIONS"));
}

#[test]
fn the_body_is_as_long_as_content_length_says() {
    let parse = |more: &[&str], body| Message::parse(with("OPTIONS sip:b@c SIP/2.0", more, body));
    assert_eq!(parse(&["Content-Length: 4"], "bodyrest").unwrap().body(), "body");
    assert!(
        parse(&["Content-Length: 4"], "bodyrest")
            .unwrap()
            .bytes()
            .ends_with(b"\r\n\r\nbody")
    );
    assert_eq!(parse(&["l:4"], "body").unwrap().body(), "body");
    assert_eq!(parse(&[], "the rest").unwrap().body(), "the rest");
    assert_eq!(parse(&["Content-Length: 4", "l: 4"], "body").unwrap().body(), "body");
    for value in ["-1", "+4", "4x", "0x4", "4 4", "99999999999", "99999999999999999999999999"] {
        let found = parse(&[&format!("Content-Length: {value}")], "body").unwrap_err();
        assert_eq!(found.kind, ParseErrorKind::ContentLength, "{value}");
        assert!(found.answerable().is_some());
    }
    assert_eq!(
        parse(&["Content-Length: 4", "l: 5"], "body").unwrap_err().kind,
        ParseErrorKind::ContentLengthTwice
    );
    let short = parse(&["Content-Length: 5"], "body").unwrap_err();
    assert_eq!(short.kind, ParseErrorKind::BodyShort);
    assert_eq!(short.answerable().unwrap().call_id(), Some("c1"));
    let refused = short.into_answerable().unwrap().validate().unwrap_err();
    assert_eq!(
        (refused.status, refused.reason.as_ref(), refused.respond),
        (400, "Bad Request (body shorter than Content-Length)", true)
    );
}

#[test]
fn a_malformed_header_line_is_named_and_the_others_are_read() {
    for line in [
        "no colon",
        ": no name",
        "bad name: x",
        "B\u{e4}d: x",
        "a(b: c",
        "Subject: x\rX-Evil: y",
    ] {
        let bytes = with("OPTIONS sip:b@c SIP/2.0", &[line, "Subject: after"], "");
        let found = Message::parse(bytes.clone()).unwrap_err();
        assert_eq!(found.kind, ParseErrorKind::HeaderLine, "{line}");
        assert!(bytes[found.offset..].starts_with(line.as_bytes()));
        assert_eq!(found.answerable().unwrap().header(HeaderName::Subject), Some("after"));
    }
    // Neither a response nor an ACK is ever answered.
    for line in ["SIP/2.0 200 OK", "ACK sip:b@c SIP/2.0"] {
        assert!(
            Message::parse(with(line, &["no colon"], ""))
                .unwrap_err()
                .answerable()
                .is_none()
        );
    }
}

#[test]
fn bare_line_feeds_end_lines_too() {
    let bytes = String::from_utf8(with("OPTIONS sip:b@c SIP/2.0", &["Subject: x", " y"], "body").to_vec())
        .unwrap()
        .replace('\r', "");
    let message = Message::parse(Bytes::from(bytes)).unwrap();
    assert_eq!(
        (message.header(HeaderName::Subject), message.body().as_ref()),
        (Some("x  y"), b"body".as_slice())
    );
}

#[test]
fn folds_are_spaces_and_the_body_is_left_alone() {
    let message = Message::parse(with(
        "OPTIONS sip:b@c SIP/2.0",
        &["Subject:", " a", "\tb", "X: 1"],
        "one\r\n two",
    ))
    .unwrap();
    assert_eq!(message.header(HeaderName::Subject), Some("a  \tb"));
    assert_eq!(message.header_named("x"), Some("1"));
    assert_eq!(message.body(), "one\r\n two");
}

#[test]
fn a_header_section_beyond_the_limit_is_refused() {
    let long = "x".repeat(MAX_HEAD_BYTES);
    assert_eq!(
        error(with("OPTIONS sip:b@c SIP/2.0", &[&format!("Subject: {long}")], "")),
        ParseErrorKind::HeadTooLarge
    );
}

#[test]
fn a_clone_shares_and_debug_keeps_private_things_private() {
    let message = Message::parse(with("OPTIONS sip:b@c SIP/2.0", &["Subject: secret"], "secret")).unwrap();
    let clone = message.clone();
    assert_eq!(clone.bytes().as_ptr(), message.bytes().as_ptr());
    let shown = format!("{message:?}");
    assert!(shown.contains("OPTIONS") && shown.contains("c1") && !shown.contains("secret"));
}

#[test]
fn methods_are_case_sensitive_and_convert() {
    assert_eq!(Method::from_token("INVITE"), Method::Invite);
    assert_eq!(Method::from_token("invite").as_str(), "invite");
    assert_ne!(Method::from_token("invite"), Method::Invite);
    for method in rsip::Method::all() {
        let ours = Method::from(method);
        assert_eq!(Method::from_token(ours.as_str()), ours);
        assert_eq!(rsip::Method::try_from(&ours), Ok(method));
        assert_eq!(ours.to_string(), method.to_string());
    }
    assert!(rsip::Method::try_from(&Method::from_token("BREW")).is_err());
}
