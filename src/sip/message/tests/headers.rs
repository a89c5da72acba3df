//! Typed headers and validation, value by value.

use super::*;

#[test]
fn addresses() {
    let read = |text: &'static str| NameAddr::parse(text).map(|address| (address.display, address.uri, address.params.as_str()));
    for (text, wanted) in [
        ("sip:a@b", (None, "sip:a@b", "")),
        ("sip:a@b;tag=1", (None, "sip:a@b", ";tag=1")),
        ("<sip:a@b;lr>;tag=1", (None, "sip:a@b;lr", ";tag=1")),
        ("Bob <sip:a@b>", (Some("Bob"), "sip:a@b", "")),
        (
            "Bob B. Builder<sip:a@b> ; tag=1",
            (Some("Bob B. Builder"), "sip:a@b", "; tag=1"),
        ),
        (
            r#""<sip:x@y>, \"Bob" <sip:a@b>"#,
            (Some(r#"<sip:x@y>, \"Bob"#), "sip:a@b", ""),
        ),
        (r#"""<sip:a@b>"#, (Some(""), "sip:a@b", "")),
        ("< sip:a@b >", (None, "sip:a@b", "")),
        (
            "<tel:+1-201-555-0123;phone-context=x>;tag=2",
            (None, "tel:+1-201-555-0123;phone-context=x", ";tag=2"),
        ),
        ("<sip:a@b?Route=%3Csip:c%3E>", (None, "sip:a@b?Route=%3Csip:c%3E", "")),
    ] {
        assert_eq!(read(text), Ok(wanted), "{text}");
    }
    for (text, wanted) in [
        ("", HeaderErrorKind::Uri),
        ("bob", HeaderErrorKind::Uri),
        ("<>", HeaderErrorKind::Uri),
        ("<sip:>", HeaderErrorKind::Uri),
        ("<sip:a b@c>", HeaderErrorKind::Uri),
        ("sip:a@b?x=y", HeaderErrorKind::Uri),
        ("sip:a@b, sip:c@d", HeaderErrorKind::Uri),
        (r#""Bob <sip:a@b>"#, HeaderErrorKind::Unbalanced),
        ("Bob <sip:a@b", HeaderErrorKind::Unbalanced),
        (r#"Bob "x" <sip:a@b>"#, HeaderErrorKind::Malformed),
        (r#""Bob" x <sip:a@b>"#, HeaderErrorKind::Malformed),
        (r#""Bob" sip:a@b"#, HeaderErrorKind::Malformed),
        ("<sip:a@b> tag=1", HeaderErrorKind::Malformed),
    ] {
        assert_eq!(read(text), Err(wanted), "{text}");
    }
}

#[test]
fn parameters() {
    let message = request(
        "OPTIONS",
        &[r#"Contact: <sip:a@b>;Expires=30 ; q = 0.25;flag;+sip.instance="<urn:uuid:1;2>";;e="""#],
    );
    let contact = message.contact().unwrap();
    assert_eq!((contact.expires(), contact.q()), (Some(30), 250));
    assert_eq!(
        (contact.param("FLAG"), contact.param("+sip.instance"), contact.param("e")),
        (Some(""), Some("<urn:uuid:1;2>"), Some(""))
    );
    assert_eq!(contact.param("none"), None);
    for (text, expires, q) in [
        ("expires=x;q=x", Some(3600), 1000),
        ("expires=4294967296;q=1.001", Some(u32::MAX), 1000),
        ("expires=-1;q=1.0", Some(3600), 1000),
        ("expires=;q=0", Some(3600), 0),
        ("q=.5", None, 1000),
        ("q=0.1234", None, 1000),
        ("x", None, 1000),
    ] {
        let value = format!("<sip:a@b>;{text}");
        let address = NameAddr::parse(&value).unwrap();
        assert_eq!((address.expires(), address.q()), (expires, q), "{text}");
    }
    for (text, whole) in [
        ("a=1;b", true),
        ("", true),
        ("a=1;;b", true),
        ("a=\"x", false),
        ("a=\"x\"y", false),
        ("=1", false),
        ("a b=1", false),
        ("a=x\"y", false),
        ("a=x<y", false),
        ("a=x y", false),
        ("a=[::1]:5;b=\"<,>\"", true),
        ("a;", true),
    ] {
        let value = format!("<sip:a@b>{}{text}", if text.is_empty() { "" } else { ";" });
        assert_eq!(NameAddr::parse(&value).unwrap().params.is_well_formed(), whole, "{text}");
    }
}

#[test]
fn lists_are_split_and_others_are_not() {
    let message = request(
        "INVITE",
        &[
            "Route: <sip:a,b;lr>, \"x,y\" <sip:c>",
            "Route:,, <sip:d> ,",
            "Subject: one, two",
            "k: 100rel , timer",
            "Require: path",
        ],
    );
    assert!(
        message
            .headers(HeaderName::Route)
            .eq(["<sip:a,b;lr>", "\"x,y\" <sip:c>", "<sip:d>"])
    );
    assert!(message.headers(HeaderName::Subject).eq(["one, two"]));
    assert!(message.supports("TIMER") && message.supports("path") && !message.supports("time"));
    assert!(message.requires().eq(["path"]));
    assert_eq!(message.header(HeaderName::Route), Some("<sip:a,b;lr>, \"x,y\" <sip:c>"));
    assert_eq!(
        (
            message.header_named("K"),
            message.header_named("ROUTE").is_some(),
            message.header_named("X-None")
        ),
        (Some("100rel , timer"), true, None)
    );
}

#[test]
fn bytes_that_are_not_utf8_are_kept_and_not_shown() {
    let bytes = [
        b"OPTIONS sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nSubject: \xff\r\nFrom: \xff <sip:a@b>\r\n\r\n"
            .as_slice(),
    ]
    .concat();
    let message = Message::parse(Bytes::from(bytes)).unwrap();
    assert_eq!(
        (message.header(HeaderName::Subject), message.header_bytes(HeaderName::Subject)),
        (None, Some(b"\xff".as_slice()))
    );
    assert_eq!(message.from().unwrap_err().kind, HeaderErrorKind::NotUtf8);
    assert_eq!(message.fields().count(), 1);
    assert_eq!(message.validate().unwrap_err().status, 400);
}

#[test]
fn vias() {
    let via = Via::parse(
        "SIP / 2.0 / UDP  host.example.com : 5070 ; branch=z9hG4bKx;rport=99;received=192.0.2.7;maddr=239.0.0.1;ttl=1",
    )
    .unwrap();
    assert_eq!(
        (via.transport, via.host, via.port, via.branch),
        ("UDP", "host.example.com", Some(5070), Some("z9hG4bKx"))
    );
    assert_eq!(
        (via.rport, via.received, via.maddr, via.unique_branch()),
        (Some(Some(99)), Some("192.0.2.7"), Some("239.0.0.1"), Some("z9hG4bKx"))
    );
    assert_eq!(via.host_ip(), None);
    let via = Via::parse("SIP/2.0/TLS 192.0.2.1;rport;branch=old").unwrap();
    assert_eq!(
        (via.rport, via.received, via.unique_branch(), via.port),
        (Some(None), None, None, None)
    );
    assert_eq!(Via::parse("SIP/2.0/UDP h").unwrap().rport, None);
    for text in [
        "",
        "SIP/2.0",
        "SIP/2.0/UDP",
        "SIP/2.0/UDP ",
        "SIP/2.0/ h",
        ";x=SIP/2.0/UDP h",
        "SIP//UDP h",
        "SIP/2.0/UDP h:x",
        "SIP/2.0/UDP h:70000",
        "SIP/2.0/UDP h;;a",
        "SIP/2.0/UDP h h2",
        "SIP/2.0/UDP :5060",
    ] {
        assert!(Via::parse(text).is_err(), "{text}");
    }
}

#[test]
fn contacts() {
    let read = |lines: &[&str]| {
        request("REGISTER", lines).contacts().map(|contacts| match contacts {
            Contacts::Star => None,
            Contacts::List(list) => Some(list.iter().map(|contact| contact.uri.to_owned()).collect::<Vec<_>>()),
        })
    };
    assert_eq!(read(&[]), Ok(Some(vec![])));
    assert_eq!(read(&["Contact: *"]), Ok(None));
    assert_eq!(
        read(&["m: <sip:a@b>, sip:c@d;expires=1", "Contact: <sip:e@f>"]),
        Ok(Some(vec!["sip:a@b".into(), "sip:c@d".into(), "sip:e@f".into()]))
    );
    assert!(read(&["Contact: *, <sip:a@b>"]).is_err());
    assert!(read(&["Contact: <sip:a@b>, *"]).is_err());
}

#[test]
fn numbers() {
    let cseq = |value: &str| {
        let line = format!("CSeq: {value}");
        Message::parse(text(&["OPTIONS sip:a@b SIP/2.0", &line, "", ""]))
            .unwrap()
            .cseq()
            .map_err(|error| error.kind)
    };
    assert_eq!(cseq("0 OPTIONS"), Ok((0, Method::Options)));
    assert_eq!(cseq("2147483647\t ACK"), Ok((2_147_483_647, Method::Ack)));
    for value in ["2147483648 ACK", "-1 ACK", "+1 ACK", "x ACK", " ACK"] {
        assert!(cseq(value).is_err(), "{value}");
    }
    assert_eq!(cseq("1"), Err(HeaderErrorKind::Malformed));
    assert_eq!(cseq("1 A CK"), Err(HeaderErrorKind::Malformed));
    let max = |value: &str| {
        request("OPTIONS", &[&format!("Max-Forwards: {value}")])
            .max_forwards()
            .map_err(|error| error.kind)
    };
    assert_eq!(
        (max("0"), max("0068"), max("255")),
        (Ok(Some(0)), Ok(Some(68)), Ok(Some(255)))
    );
    assert_eq!(
        (max("256"), max("-1"), max("")),
        (
            Err(HeaderErrorKind::Number),
            Err(HeaderErrorKind::Number),
            Err(HeaderErrorKind::Number)
        )
    );
    let expires = |value: &str| request("OPTIONS", &[&format!("Expires: {value}")]).expires();
    assert_eq!(
        (expires("0"), expires("99999999999"), expires("soon")),
        (Some(0), Some(u32::MAX), Some(3600))
    );
    assert_eq!(request("OPTIONS", &[]).expires(), None);
}

#[test]
fn q850_causes() {
    for (value, wanted) in [
        ("Q.850;cause=16;text=\"Normal, clearing; really\"", Some(16)),
        ("SIP;cause=200;text=\"a, b\", q.850 ; cause = 17", Some(17)),
        ("SIP;cause=200", None),
        ("Q.850", None),
        ("Q.850;cause=128", None),
        ("Q.850;cause=x", None),
        ("Q.850;text=x, Q.850;cause=31", Some(31)),
    ] {
        assert_eq!(
            request("BYE", &[&format!("Reason: {value}")]).reason_q850(),
            wanted,
            "{value}"
        );
    }
}

#[test]
fn session_descriptions_alone_and_in_multipart_bodies() {
    let with = |content_type: &str, body: &str| {
        let bytes = RequestBuilder::new(Method::Invite, "sip:a@b")
            .body(content_type, body)
            .finish();
        Message::parse(bytes).unwrap().sdp()
    };
    assert_eq!(with("application/sdp", "v=0\r\n").unwrap(), "v=0\r\n");
    assert_eq!(with("Application/SDP; charset=utf-8", "v=0").unwrap(), "v=0");
    assert_eq!(with("application/sdpx", "v=0"), None);
    assert_eq!(with("text/plain", "v=0"), None);
    let parts = "preamble\r\n--x\r\nContent-Type: text/plain\r\n\r\nhello\r\n--x\r\ncontent-type : application/SDP;a=b\r\nX: y\r\n\r\nv=0\r\ns=-\r\n\r\n--x--\r\n";
    assert_eq!(with("multipart/mixed;boundary=x", parts).unwrap(), "v=0\r\ns=-\r\n");
    assert_eq!(
        with("multipart/mixed; boundary=\"x\"", &parts.replace('\r', "")).unwrap(),
        "v=0\ns=-\n"
    );
    for (content_type, body) in [
        ("multipart/mixed", parts),
        ("multipart/mixed;boundary=\"\"", parts),
        ("multipart/mixed;boundary=y", parts),
        ("multipart/mixed;boundary=x", "--x"),
        (
            "multipart/mixed;boundary=x",
            "--x\r\nContent-Type: application/sdp\r\n\r\nv=0",
        ),
        (
            "multipart/mixed;boundary=x",
            "--x--\r\n--x\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n--x--",
        ),
    ] {
        assert_eq!(with(content_type, body), None, "{body}");
    }
}

/// Status and whether to answer.
fn refusal(message: &Message) -> Option<(u16, bool)> {
    message
        .validate()
        .err()
        .map(|violation| (violation.status, violation.respond))
}

#[test]
fn what_a_request_must_have() {
    let lines = [
        "INVITE sip:bob@example.com SIP/2.0",
        "Via: SIP/2.0/UDP h;branch=z9hG4bK1",
        "From: <sip:a@b>;tag=a",
        "To: <sip:b@c>",
        "Call-ID: c1",
        "CSeq: 1 INVITE",
    ];
    let check = |lines: &[&str]| refusal(&Message::parse(text(&[lines, &["", ""]].concat())).unwrap());
    assert_eq!(check(&lines), None);
    for missing in 1..lines.len() {
        let mut fewer = lines.to_vec();
        fewer.remove(missing);
        assert_eq!(check(&fewer), Some((400, missing != 1)), "without {}", lines[missing]);
    }
    for twice in 2..lines.len() {
        let mut more = lines.to_vec();
        more.push(lines[twice]);
        assert_eq!(check(&more), Some((400, true)), "twice {}", lines[twice]);
    }
    let change = |at: usize, line: &'static str| {
        let mut changed = lines;
        changed[at] = line;
        check(&changed)
    };
    assert_eq!(change(0, "INVITE sip:bob@example.com SIP/2.1"), Some((505, true)));
    assert_eq!(change(0, "INVITE sip:@example.com SIP/2.0"), Some((400, true)));
    assert_eq!(change(0, "INVITE mailto:a@b SIP/2.0"), Some((416, true)));
    assert_eq!(change(0, "INVITE tel:+15550123 SIP/2.0"), None);
    assert_eq!(change(0, "INVITE sip:a@b?x=y SIP/2.0"), Some((400, true)));
    assert_eq!(change(4, "Call-ID: two words"), Some((400, true)));
    assert_eq!(change(4, "Call-ID:"), Some((400, true)));
    assert_eq!(change(2, "From: <sip:a@b>;tag=a;;x"), None);
    assert_eq!(change(2, "From: <sip:a@b>;tag=\"a"), Some((400, true)));
    assert_eq!(change(3, "To: <sip:b@c>;x<;tag=a>"), Some((400, true)));
    assert_eq!(change(5, "CSeq: 1 BYE"), Some((400, true)));
    assert_eq!(change(5, "CSeq: 1 invite"), Some((400, true)));
}

#[test]
fn what_a_request_may_ask() {
    assert_eq!(refusal(&request("INVITE", &["Require: nosuch"])), Some((420, true)));
    assert_eq!(refusal(&request("INVITE", &["Require: 100rel, timer"])), None);
    assert_eq!(refusal(&request("CANCEL", &["Require: nosuch"])), None);
    assert_eq!(refusal(&request("ACK", &["Require: nosuch"])), None);
    assert_eq!(refusal(&request("ACK", &["Max-Forwards: 999"])), Some((400, false)));
    assert_eq!(refusal(&request("REGISTER", &["Require: Path"])), None);
    assert_eq!(refusal(&request("INVITE", &["Content-Encoding: gzip"])), Some((415, true)));
    assert_eq!(refusal(&request("INVITE", &["e: identity"])), None);
    assert_eq!(refusal(&request("INVITE", &["Max-Forwards: 0"])), Some((483, true)));
    assert_eq!(refusal(&request("OPTIONS", &["Max-Forwards: 0"])), None);
    assert_eq!(
        refusal(&request("INVITE", &["Max-Forwards: 1", "Max-Forwards: 2"])),
        Some((400, true))
    );
}

#[test]
fn what_a_response_must_have() {
    let lines = [
        "SIP/2.0 200 OK",
        "Via: SIP/2.0/UDP h;branch=z9hG4bK1",
        "From: <sip:a@b>;tag=a",
        "To: <sip:b@c>;tag=b",
        "Call-ID: c1",
        "CSeq: 1 INVITE",
    ];
    let check = |lines: &[&str]| refusal(&Message::parse(text(&[lines, &["", ""]].concat())).unwrap());
    assert_eq!(check(&lines), None);
    for missing in 1..lines.len() {
        let mut fewer = lines.to_vec();
        fewer.remove(missing);
        assert_eq!(
            check(&fewer).map(|(_, respond)| respond),
            Some(false),
            "without {}",
            lines[missing]
        );
    }
    let two = [&lines[..], &["Via: SIP/2.0/UDP h2;branch=z9hG4bK2"]].concat();
    assert_eq!(check(&two).map(|(_, respond)| respond), Some(false));
}
