//! IPv6 in SIP, after the sections of RFC 5118; the messages are our own.

use std::net::IpAddr;

use super::*;

/// Section, request line, Via, Contact, verdict.
const TABLE: &[(&str, &str, &str, &str, &str)] = &[
    (
        "4.1",
        "REGISTER sip:[2001:db8::5] SIP/2.0",
        "SIP/2.0/UDP [2001:db8::6:1];branch=z9hG4bK41",
        "<sip:u@[2001:db8::7]>",
        "accept",
    ),
    (
        "4.2",
        "REGISTER sip:2001:db8::5 SIP/2.0",
        "SIP/2.0/UDP [2001:db8::6:1];branch=z9hG4bK42",
        "<sip:u@[2001:db8::7]>",
        "answer 400",
    ),
    (
        "4.3",
        "REGISTER sip:[2001:db8::5:5080] SIP/2.0",
        "SIP/2.0/UDP [2001:db8::6:1];branch=z9hG4bK43",
        "<sip:u@[2001:db8::7]>",
        "accept",
    ),
    (
        "4.4",
        "REGISTER sip:[2001:db8::5]:5080 SIP/2.0",
        "SIP/2.0/UDP [2001:db8::6]:5060;branch=z9hG4bK44",
        "<sip:u@[2001:db8::7]:5070>",
        "accept",
    ),
    (
        "4.5",
        "OPTIONS sip:[2001:db8::5] SIP/2.0",
        "SIP/2.0/UDP [2001:db8::6];received=[2001:db8::8];branch=z9hG4bK45",
        "<sip:u@[2001:db8::7]>",
        "accept",
    ),
    (
        "4.5",
        "OPTIONS sip:[2001:db8::5] SIP/2.0",
        "SIP/2.0/UDP [2001:db8::6];received=2001:db8::8;branch=z9hG4bK45",
        "<sip:u@[2001:db8::7]>",
        "accept",
    ),
    (
        "4.6",
        "INVITE sip:bob@[2001:db8::5] SIP/2.0",
        "SIP/2.0/UDP [2001:db8::6];branch=z9hG4bK46",
        "\"Bob\" <sip:u@[2001:db8::7]>",
        "accept",
    ),
    (
        "4.7",
        "OPTIONS sip:bob@example.com SIP/2.0",
        "SIP/2.0/UDP [2001:db8::6]:6060;branch=z9hG4bK47, SIP/2.0/TCP 192.0.2.1;branch=z9hG4bKx",
        "<sip:u@[2001:db8::7]>",
        "accept",
    ),
    (
        "4.9",
        "INVITE sip:bob@[::ffff:192.0.2.10] SIP/2.0",
        "SIP/2.0/UDP [::ffff:192.0.2.2]:19823;branch=z9hG4bK49",
        "<sip:u@[::ffff:192.0.2.2]>",
        "accept",
    ),
    (
        "4.10",
        "OPTIONS sip:bob@[2001:db8:::192.0.2.1] SIP/2.0",
        "SIP/2.0/UDP [2001:db8::6];branch=z9hG4bK410",
        "<sip:u@[2001:db8:::192.0.2.1]>",
        "accept",
    ),
    (
        "zone",
        "OPTIONS sip:bob@[fe80::1%25eth0] SIP/2.0",
        "SIP/2.0/UDP [2001:db8::6];branch=z9hG4bKz",
        "<sip:u@[2001:db8::7]>",
        "answer 400",
    ),
    (
        "open",
        "OPTIONS sip:bob@[2001:db8::5 SIP/2.0",
        "SIP/2.0/UDP [2001:db8::6];branch=z9hG4bKo",
        "<sip:u@[2001:db8::7]>",
        "answer 400",
    ),
    (
        "via",
        "OPTIONS sip:bob@[2001:db8::5] SIP/2.0",
        "SIP/2.0/UDP 2001:db8::6;branch=z9hG4bKv",
        "<sip:u@[2001:db8::7]>",
        "answer 400",
    ),
];

fn build(line: &str, via: &str, contact: &str) -> Bytes {
    let method = line.split(' ').next().unwrap();
    let (via, contact, cseq) = (
        format!("Via: {via}"),
        format!("Contact: {contact}"),
        format!("CSeq: 1 {method}"),
    );
    text(&[
        line,
        &via,
        "From: <sip:u@[2001:db8::7]>;tag=1",
        "To: <sip:u@[2001:db8::7]>",
        "Call-ID: v6",
        &cseq,
        &contact,
        "Content-Length: 0",
        "",
        "",
    ])
}

#[test]
fn ipv6_messages_get_their_verdicts() {
    for (section, line, via, contact, wanted) in TABLE {
        let bytes = build(line, via, contact);
        assert_eq!(verdict(&bytes), *wanted, "{section} {line}");
        exercise(&bytes);
    }
}

#[test]
fn addresses_are_read() {
    let wanted: IpAddr = "2001:db8::8".parse().unwrap();
    for received in ["[2001:db8::8]", "2001:db8::8"] {
        let text = format!("SIP/2.0/UDP [2001:db8::6]:5070;received={received};branch=z9hG4bK1");
        let via = Via::parse(&text).unwrap();
        assert_eq!(
            (via.host, via.port, via.received_ip()),
            ("[2001:db8::6]", Some(5070), Some(wanted))
        );
        assert_eq!(via.host_ip(), "2001:db8::6".parse().ok());
    }
    let uri = Uri::parse("sip:bob@[2001:DB8:0::5]:5080;transport=tcp").unwrap();
    assert_eq!(
        (uri.host, uri.port, uri.host_is_name()),
        ("[2001:DB8:0::5]", Some(5080), false)
    );
    assert_eq!(uri.aor(), "sip:bob@[2001:db8::5]");
    assert_eq!(Uri::parse("sip:[2001:db8::5:5080]").unwrap().port, None);
}

#[test]
fn an_ipv6_source_is_noted_in_the_response() {
    let request = Message::parse(build(
        "OPTIONS sip:b@[2001:db8::5] SIP/2.0",
        "SIP/2.0/UDP [2001:db8::6]:5070;rport;branch=z9hG4bK1",
        "<sip:a@b>",
    ))
    .unwrap();
    let response = ResponseBuilder::to(&request, 200, None)
        .received_from("[2001:db8::8]:6000".parse().unwrap())
        .finish();
    let response = Message::parse(response).unwrap();
    assert_eq!(
        response.header(HeaderName::Via),
        Some("SIP/2.0/UDP [2001:db8::6]:5070;branch=z9hG4bK1;rport=6000;received=2001:db8::8")
    );
    // An IPv4 peer of a socket for both families.
    let response = ResponseBuilder::to(&request, 200, None)
        .received_from("[::ffff:192.0.2.9]:6000".parse().unwrap())
        .finish();
    assert!(
        Message::parse(response)
            .unwrap()
            .header(HeaderName::Via)
            .unwrap()
            .ends_with(";received=192.0.2.9")
    );
}
