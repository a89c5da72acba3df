//! Tests of the message layer: values of each accessor, the torture messages, what is written, framing, mutation.

mod address_family;
mod build;
mod framer;
mod headers;
mod mutation;
mod parse;
mod relay;
mod torture;
mod uris;

use bytes::Bytes;

use super::*;

/// The lines with CRLF between them.
fn text(lines: &[&str]) -> Bytes {
    Bytes::from(lines.join("\r\n"))
}

/// A request that is valid, with these headers more; no body.
fn request(method: &str, more: &[&str]) -> Message {
    let line = format!("{method} sip:bob@example.com SIP/2.0");
    let cseq = format!("CSeq: 1 {method}");
    let mut lines = vec![
        line.as_str(),
        "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1",
        "From: <sip:alice@example.com>;tag=a",
    ];
    lines.extend(["To: <sip:bob@example.com>", "Call-ID: c1", &cseq]);
    lines.extend(more);
    lines.extend(["", ""]);
    Message::parse(text(&lines)).expect("a request of the test can be parsed")
}

/// How a datagram is dealt with: `accept`, `answer NNN` or `drop`. What cannot be parsed is answered as what cannot be used.
fn verdict(bytes: &[u8]) -> String {
    let message = match Message::parse(Bytes::copy_from_slice(bytes)) {
        Ok(message) => Some(message),
        Err(error) => error.into_answerable(),
    };
    match message.map(|message| message.validate()) {
        Some(Ok(())) => "accept".to_owned(),
        Some(Err(violation)) if violation.respond => format!("answer {}", violation.status),
        Some(Err(_)) | None => "drop".to_owned(),
    }
}
