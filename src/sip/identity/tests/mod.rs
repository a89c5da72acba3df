//! Tables of headers in and headers out, and properties of whatever comes.

mod asserted;
mod forwarding;
mod pass_through;

use crate::identity::Headers;
use crate::message::{Message, RequestBuilder};

/// An INVITE with these headers.
fn invite(from: &str, headers: &[(&str, &str)]) -> Message {
    let mut request = RequestBuilder::new("INVITE", "sip:bob@tandem.test")
        .header("Via", "SIP/2.0/UDP 10.0.0.9;branch=z9hG4bKx")
        .header("From", from)
        .header("To", "<sip:bob@tandem.test>")
        .header("Call-ID", "c")
        .header("CSeq", "1 INVITE");
    for (name, value) in headers {
        request = request.header(name, value);
    }
    Message::parse(request.finish()).unwrap()
}

/// The same, with headers as they are written here.
fn invite_with(headers: &Headers) -> Message {
    let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (&**name, &**value)).collect();
    invite("<sip:alice@tandem.test>;tag=a", &headers)
}

/// `Name: value` of each.
fn lines(headers: &Headers) -> Vec<String> {
    headers.iter().map(|(name, value)| format!("{name}: {value}")).collect()
}
