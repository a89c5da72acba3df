//! What the builders write: read back by us, and by rsip, which is not us.

use proptest::prelude::*;
use rsip::prelude::HasHeaders;

use super::*;

fn invite() -> Message {
    let lines = [
        "INVITE sip:bob@example.com SIP/2.0",
        "Via: SIP/2.0/UDP pc.example.com:5066;branch=z9hG4bK1;rport;received=6.6.6.6, SIP/2.0/TCP p2;branch=z9hG4bK2",
        "v: SIP/2.0/UDP p3;branch=z9hG4bK3",
        "Record-Route: <sip:p2;lr>, <sip:p3;lr>",
        "Timestamp: 54",
        "From: \"A, \\\"B\\\"\" <sip:alice@example.com>;tag=a",
        "To: <sip:bob@example.com>",
        "Call-ID: c1",
        "CSeq: 7 INVITE",
        "",
        "",
    ];
    Message::parse(text(&lines)).unwrap()
}

fn response(status: u16, amend: impl Fn(ResponseBuilder) -> ResponseBuilder) -> Message {
    Message::parse(amend(ResponseBuilder::to(&invite(), status, None)).finish()).unwrap()
}

#[test]
fn a_request_on_the_wire() {
    let bytes = RequestBuilder::new(&Method::Invite, "sip:bob@example.com")
        .header(HeaderName::Via, "SIP/2.0/UDP h;branch=z9hG4bK1")
        .header("X-Tandem", "1")
        .body("application/sdp", "v=0\r\n")
        .finish();
    let wanted = "INVITE sip:bob@example.com SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nX-Tandem: 1\r\nContent-Type: application/sdp\r\nContent-Length: 5\r\n\r\nv=0\r\n";
    assert_eq!(bytes, wanted);
    assert_eq!(
        RequestBuilder::new("BYE", "sip:b@c").finish(),
        "BYE sip:b@c SIP/2.0\r\nContent-Length: 0\r\n\r\n"
    );
}

#[test]
fn nothing_can_be_injected() {
    let bytes = RequestBuilder::new("IN\r\nVITE", "sip:bob@h SIP/2.0\r\nX: y")
        .header("Subject", "a\r\nX-Evil: 1\r\n\r\nbody")
        .header("X\r\nX-Evil", "1")
        .header("X:", "1")
        .header("", "1")
        .header(HeaderName::Other, "1")
        .header("Content-Length", "999")
        .header("l", "999")
        .finish();
    assert_eq!(
        bytes,
        "OPTIONS sip:bob@h%20SIP/2.0%0D%0AX:%20y SIP/2.0\r\nSubject: a  X-Evil: 1    body\r\nContent-Length: 0\r\n\r\n"
    );
    let answer = response(200, |builder| builder.to_tag("a\r\nX: y;z").header("Server", "x\ny"));
    assert_eq!(
        (answer.to().unwrap().tag(), answer.header(HeaderName::Server)),
        (Some("aXyz"), Some("x y"))
    );
    assert!(
        ResponseBuilder::to(&invite(), 200, Some("O\r\nK"))
            .finish()
            .starts_with(b"SIP/2.0 200 O  K\r\nVia")
    );
}

#[test]
fn a_response_copies_what_it_must() {
    let source = "192.0.2.99:1024".parse().unwrap();
    let answer = response(180, |builder| {
        builder
            .received_from(source)
            .to_tag("b")
            .header(HeaderName::Contact, "<sip:b@h>")
    });
    let wanted = [
        "SIP/2.0 180 Ringing",
        "Via: SIP/2.0/UDP pc.example.com:5066;branch=z9hG4bK1;rport=1024;received=192.0.2.99, SIP/2.0/TCP p2;branch=z9hG4bK2",
        "Via: SIP/2.0/UDP p3;branch=z9hG4bK3",
        "Record-Route: <sip:p2;lr>, <sip:p3;lr>",
        "From: \"A, \\\"B\\\"\" <sip:alice@example.com>;tag=a",
        "To: <sip:bob@example.com>;tag=b",
        "Call-ID: c1",
        "CSeq: 7 INVITE",
        "Contact: <sip:b@h>",
        "Content-Length: 0",
        "",
        "",
    ];
    assert_eq!(answer.bytes(), &text(&wanted));
}

#[test]
fn what_depends_on_the_status() {
    let trying = response(100, |builder| builder.to_tag("b"));
    assert_eq!(
        (
            trying.to().unwrap().tag(),
            trying.header(HeaderName::Timestamp),
            trying.header(HeaderName::RecordRoute)
        ),
        (None, Some("54"), None)
    );
    assert!(response(200, |builder| builder).header(HeaderName::RecordRoute).is_some());
    let refused = response(486, |builder| builder.body("text/plain", "no").to_tag("b"));
    assert_eq!(
        (
            refused.header(HeaderName::RecordRoute),
            refused.header(HeaderName::Timestamp),
            refused.to().unwrap().tag()
        ),
        (None, None, Some("b"))
    );
    assert_eq!(
        (refused.body().as_ref(), refused.content_type(), refused.reason_phrase()),
        (b"no".as_slice(), Some("text/plain"), Some("Busy Here"))
    );
    assert_eq!(response(7, |builder| builder).status(), Some(500));
    for status in 100..700 {
        assert!(!default_reason(status).is_empty());
    }
}

#[test]
fn a_tag_that_is_there_stays() {
    let request = request("BYE", &[]);
    let tagged = Message::parse(Bytes::from(
        String::from_utf8_lossy(request.bytes()).replace("To: <sip:bob@example.com>", "To: <sip:bob@example.com>;tag=old"),
    ))
    .unwrap();
    let answer = Message::parse(ResponseBuilder::to(&tagged, 200, None).to_tag("new").finish()).unwrap();
    assert_eq!(answer.to().unwrap().tag(), Some("old"));
}

#[test]
fn received_is_written_where_it_tells_something() {
    let top = |sent: &str, source: &str| {
        let request = Message::parse(text(&["OPTIONS sip:a@b SIP/2.0", &format!("Via: {sent}"), "", ""])).unwrap();
        let answer = ResponseBuilder::to(&request, 200, None)
            .received_from(source.parse().unwrap())
            .finish();
        Message::parse(answer).unwrap().header(HeaderName::Via).unwrap().to_owned()
    };
    assert_eq!(
        top("SIP/2.0/UDP 192.0.2.1:9;branch=x", "192.0.2.1:1"),
        "SIP/2.0/UDP 192.0.2.1:9;branch=x"
    );
    assert_eq!(
        top("SIP/2.0/UDP 192.0.2.1;branch=x;rport", "192.0.2.1:1"),
        "SIP/2.0/UDP 192.0.2.1;branch=x;rport=1;received=192.0.2.1"
    );
    assert_eq!(
        top("SIP/2.0/UDP h;branch=x", "192.0.2.1:1"),
        "SIP/2.0/UDP h;branch=x;received=192.0.2.1"
    );
    assert_eq!(
        top("SIP/2.0/UDP h;RECEIVED=1.1.1.1;x=\"a;b\";branch=x", "192.0.2.1:1"),
        "SIP/2.0/UDP h;x=\"a;b\";branch=x;received=192.0.2.1"
    );
    // What cannot be read is left alone.
    assert_eq!(top("SIP/2.0/UDP h;;,", "192.0.2.1:1"), "SIP/2.0/UDP h;;,");
}

/// Text without control characters at its ends, as rsip trims nothing.
fn value() -> impl Strategy<Value = String> {
    "[!-~]([ -~]{0,40}[!-~])?"
}

proptest! {
    #[test]
    fn rsip_reads_the_requests_we_write(
        method in proptest::sample::select(rsip::Method::all()),
        (user, host, port) in ("[a-z0-9.]{1,12}", "[a-z]{1,8}(\\.[a-z]{2,5}){0,2}", proptest::option::of(1_u16..)),
        (display, tag, branch) in ("[A-Za-z ,<>;]{0,12}", "[a-z0-9]{1,16}", "[A-Za-z0-9.-]{1,24}"),
        cseq in 0_u32..1 << 31,
        extra in proptest::collection::vec(("X-[A-Za-z]{1,12}", value()), 0..6),
        body in "[ -~\\r\\n]{0,120}",
    ) {
        let ours = Method::from(method);
        let uri = format!("sip:{user}@{host}{}", port.map(|port| format!(":{port}")).unwrap_or_default());
        let from = format!("\"{display}\" <sip:{user}@{host}>;tag={tag}");
        let mut builder = RequestBuilder::new(&ours, &uri)
            .header(HeaderName::Via, format!("SIP/2.0/UDP {host}:5060;branch=z9hG4bK{branch};rport"))
            .header(HeaderName::MaxForwards, "70")
            .header(HeaderName::From, &from)
            .header(HeaderName::To, format!("<{uri}>"))
            .header(HeaderName::CallId, format!("{tag}@{host}"))
            .header(HeaderName::CSeq, format!("{cseq} {ours}"));
        for (name, value) in &extra {
            builder = builder.header(name, value);
        }
        let bytes = builder.body("application/sdp", &body).finish();

        let message = Message::parse(bytes.clone()).expect("we read what we write");
        prop_assert_eq!(message.validate(), Ok(()));
        prop_assert_eq!(message.body(), body.as_bytes());
        prop_assert_eq!(message.from().unwrap().display, Some(display.as_str()));

        let theirs = rsip::Request::try_from(bytes.as_ref()).expect("rsip reads what we write");
        prop_assert_eq!(theirs.method, method);
        prop_assert_eq!(theirs.uri.to_string(), uri);
        prop_assert_eq!(&theirs.body[..], body.as_bytes());
        let fields: Vec<String> = message.fields().map(|(name, value)| format!("{name}: {value}")).collect();
        prop_assert_eq!(theirs.headers().iter().map(ToString::to_string).collect::<Vec<_>>(), fields);
    }

    #[test]
    fn rsip_reads_the_responses_we_write(
        status in 100_u16..700,
        reason in proptest::option::of("[A-Za-z ]{1,20}"),
        tag in "[a-z0-9]{1,16}",
        body in "[ -~\\r\\n]{0,80}",
        source in (any::<[u8; 4]>(), 1_u16..).prop_map(std::net::SocketAddr::from),
    ) {
        let bytes = ResponseBuilder::to(&invite(), status, reason.as_deref()).received_from(source).to_tag(&tag).body("application/sdp", &body).finish();
        let message = Message::parse(bytes.clone()).expect("we read what we write");
        prop_assert_eq!(message.validate().is_ok(), false, "three Via values: not ours");
        let theirs = rsip::Response::try_from(bytes.as_ref()).expect("rsip reads what we write");
        prop_assert_eq!(theirs.status_code.code(), status);
        prop_assert_eq!(&theirs.body[..], body.as_bytes());
        let fields: Vec<String> = message.fields().map(|(name, value)| format!("{name}: {value}")).collect();
        prop_assert_eq!(theirs.headers().iter().map(ToString::to_string).collect::<Vec<_>>(), fields);
    }

    #[test]
    fn whatever_goes_in_one_message_comes_out(
        method in any::<String>(), uri in any::<String>(), name in any::<String>(), value in any::<String>(), body in any::<Vec<u8>>(),
    ) {
        let bytes = RequestBuilder::new(&method, &uri).header("Subject", &value).header(&name, &value).body(&value, &body).finish();
        let mut framer = Framer::new();
        framer.push(&bytes);
        let Some(Ok(Frame::Message(message))) = framer.next() else { panic!("not one message: {}", bytes.escape_ascii()) };
        prop_assert_eq!(message.bytes(), &bytes);
        prop_assert_eq!(message.body(), &body);
        prop_assert!(message.fields().count() <= 4);
        prop_assert!(framer.next().is_none() && !framer.is_mid_message());
    }
}
