//! Dialog state from messages, order of requests, routing.

use bytes::Bytes;

use super::*;
use crate::flow::{ListenerId, Transport};

fn message(text: &str) -> Message {
    Message::parse(Bytes::from(text.replace('\n', "\r\n"))).unwrap()
}

fn flow() -> Flow {
    Flow {
        transport: Transport::Udp,
        listener: ListenerId(0),
        peer: ([10, 0, 0, 2], 5060).into(),
        connection: None,
    }
}

fn invite(more: &str) -> Message {
    message(&format!(
        "INVITE sip:bob@example.com SIP/2.0\nVia: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKa\nFrom: Alice <sip:alice@example.com>;tag=a1\n\
         To: <sip:bob@example.com>\nCall-ID: c1\nCSeq: 7 INVITE\nContact: <sip:alice@10.0.0.1>\n{more}Content-Length: 0\n\n"
    ))
}

fn ok(more: &str) -> Message {
    message(&format!(
        "SIP/2.0 200 OK\nVia: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKa\nFrom: Alice <sip:alice@example.com>;tag=a1\n\
         To: <sip:bob@example.com>;tag=b1\nCall-ID: c1\nCSeq: 7 INVITE\n{more}Content-Length: 0\n\n"
    ))
}

#[test]
fn a_response_makes_the_callers_dialog_with_the_routes_reversed() {
    let routes = "Record-Route: <sip:p2;lr>, <sip:p1;lr>\nContact: <sip:bob@10.0.0.2:5070>\n";
    let dialog = Dialog::of_response(&invite(""), &ok(routes), flow()).unwrap();
    assert_eq!((&*dialog.remote_tag, dialog.local_cseq, dialog.remote_cseq), ("b1", 7, None));
    assert_eq!(&*dialog.local, "Alice <sip:alice@example.com>;tag=a1");
    let target = dialog.request_target();
    assert_eq!((&*target.uri, &*target.next_hop), ("sip:bob@10.0.0.2:5070", "sip:p1;lr"));
    assert_eq!(target.routes.as_slice(), [Arc::from("<sip:p1;lr>"), Arc::from("<sip:p2;lr>")]);
}

#[test]
fn a_request_makes_the_callees_dialog_with_the_routes_in_order() {
    let request = invite("Record-Route: <sip:p1;lr>\nRecord-Route: <sip:p2;lr>\n");
    let dialog = Dialog::of_request(&request, "<sip:bob@example.com>;tag=b1".into(), flow()).unwrap();
    assert_eq!(
        (&*dialog.remote_tag, dialog.local_cseq, dialog.remote_cseq),
        ("a1", 0, Some(7))
    );
    assert_eq!(
        dialog.route_set.as_slice(),
        [Arc::from("<sip:p1;lr>"), Arc::from("<sip:p2;lr>")]
    );
    assert_eq!(&*dialog.remote_target, "sip:alice@10.0.0.1");
    assert!(dialog.adjacent && !dialog.secure);
}

#[test]
fn a_strict_router_takes_the_request_uri() {
    let routes = "Record-Route: <sip:p2;lr>, <sip:p1?x=y>\nContact: <sip:bob@10.0.0.2>\n";
    let target = Dialog::of_response(&invite(""), &ok(routes), flow())
        .unwrap()
        .request_target();
    assert_eq!((&*target.uri, &*target.next_hop), ("sip:p1", "sip:p1"));
    assert_eq!(
        target.routes.as_slice(),
        [Arc::from("<sip:p2;lr>"), Arc::from("<sip:bob@10.0.0.2>")]
    );
}

#[test]
fn numbers_of_the_peer_grow_and_may_have_gaps() {
    let mut dialog = Dialog::of_request(&invite(""), "x".into(), flow()).unwrap();
    assert_eq!(dialog.take_cseq(6), Err(OutOfOrder));
    assert_eq!(dialog.take_cseq(7), Err(OutOfOrder));
    assert_eq!(dialog.take_cseq(12), Ok(()));
    assert_eq!(dialog.take_cseq(8), Err(OutOfOrder));
    assert_eq!((dialog.next_cseq(), dialog.next_cseq()), (1, 2));
}

#[test]
fn only_the_same_call_and_tag_match() {
    let dialog = Dialog::of_request(&invite(""), "x".into(), flow()).unwrap();
    assert!(dialog.matches(&invite("")));
    let forged = |from: &str, to: &str| {
        message(
            &String::from_utf8(invite("").bytes().to_vec())
                .unwrap()
                .replace("\r\n", "\n")
                .replace(from, to),
        )
    };
    assert!(!dialog.matches(&forged("tag=a1", "tag=a2")));
    assert!(!dialog.matches(&forged(";tag=a1", "")));
    assert!(!dialog.matches(&forged("Call-ID: c1", "Call-ID: c2")));
}

#[test]
fn a_target_refresh_moves_the_peer() {
    let mut dialog = Dialog::of_response(&invite(""), &ok("Contact: <sip:bob@10.0.0.2>\n"), flow()).unwrap();
    dialog.refresh_target(&ok(""));
    assert_eq!(&*dialog.remote_target, "sip:bob@10.0.0.2");
    dialog.refresh_target(&ok("Contact: <sip:bob@10.0.0.3>\n"));
    assert_eq!(&*dialog.remote_target, "sip:bob@10.0.0.3");
}

#[test]
fn what_cannot_be_answered_makes_no_dialog() {
    let no_contact = message(
        "INVITE sip:bob@example.com SIP/2.0\nVia: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKa\nFrom: <sip:a@b>;tag=a1\nTo: <sip:bob@example.com>\n\
         Call-ID: c1\nCSeq: 7 INVITE\nContent-Length: 0\n\n",
    );
    assert!(Dialog::of_request(&no_contact, "x".into(), flow()).is_none());
    let guessed = Dialog::of_response(&invite(""), &ok(""), flow()).unwrap();
    assert_eq!(&*guessed.remote_target, "sip:bob@example.com");
}
