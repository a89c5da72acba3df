//! Cutting streams.

use proptest::prelude::*;

use super::*;

fn message(body: &str) -> Bytes {
    RequestBuilder::new("INFO", "sip:a@b")
        .header("Via", "SIP/2.0/TCP h;branch=z9hG4bK1")
        .body("text/plain", body)
        .finish()
}

/// What came of these pushes, in short.
fn frames<'a>(pushes: impl IntoIterator<Item = &'a [u8]>) -> Vec<String> {
    let (mut framer, mut frames) = (Framer::new(), Vec::new());
    for push in pushes {
        framer.push(push);
        frames.extend(framer.by_ref().map(|frame| match frame {
            Ok(Frame::Message(message)) => String::from_utf8_lossy(message.bytes()).into_owned(),
            Ok(Frame::KeepAlivePing) => "ping".to_owned(),
            Ok(Frame::Pong) => "pong".to_owned(),
            Err(error) => format!("error {:?} {} {}", error.kind, error.status(), error.request.is_some()),
        }));
    }
    frames
}

fn one(stream: &[u8]) -> Vec<String> {
    frames([stream])
}

#[test]
fn messages_back_to_back() {
    let (first, second) = (message("one"), message(""));
    let stream = [&first[..], &second, &first].concat();
    let wanted: Vec<_> = [&first, &second, &first]
        .iter()
        .map(|bytes| String::from_utf8_lossy(bytes).into_owned())
        .collect();
    assert_eq!(one(&stream), wanted);
    assert_eq!(frames(stream.chunks(1)), wanted);
}

#[test]
fn keep_alives() {
    assert_eq!(one(b"\r\n"), ["pong"]);
    assert_eq!(one(b"\r\n\r\n"), ["pong", "ping"]);
    assert_eq!(frames([b"\r".as_slice(), b"\n", b"\r", b"\n"]), ["pong", "ping"]);
    assert_eq!(one(b"\r\n\r\n\r\n\r\n"), ["pong", "ping", "pong", "ping"]);
    let stream = [b"\r\n".as_slice(), &message("x"), b"\r\n"].concat();
    let found = one(&stream);
    assert_eq!((found.len(), found[0].as_str(), found[2].as_str()), (3, "pong", "pong"));
}

#[test]
fn half_a_message_waits() {
    let bytes = message("body");
    let mut framer = Framer::new();
    framer.push(&bytes[..bytes.len() - 1]);
    assert!(framer.next().is_none() && framer.is_mid_message());
    framer.push(&bytes[bytes.len() - 1..]);
    assert!(matches!(framer.next(), Some(Ok(Frame::Message(_)))));
    assert!(framer.next().is_none() && !framer.is_mid_message());
}

#[test]
fn what_cannot_be_cut_ends_the_stream() {
    let with = |line: &str| format!("INFO sip:a@b SIP/2.0\r\nVia: SIP/2.0/TCP h\r\n{line}\r\n\r\n");
    assert_eq!(one(with("Subject: x").as_bytes()), ["error NoContentLength 400 true"]);
    assert_eq!(
        one(with("Content-Length: -1").as_bytes()),
        ["error Head(ContentLength) 400 true"]
    );
    assert_eq!(
        one(with("Content-Length: 1\r\nl: 2").as_bytes()),
        ["error Head(ContentLengthTwice) 400 true"]
    );
    assert_eq!(
        one(with(&format!("Content-Length: {}", MAX_BODY_BYTES + 1)).as_bytes()),
        ["error BodyTooLarge 413 true"]
    );
    assert_eq!(
        one(with("Content-Length: 99999999999999999999").as_bytes()),
        ["error Head(ContentLength) 400 true"]
    );
    assert_eq!(one(with("no colon").as_bytes()), ["error Head(HeaderLine) 400 true"]);
    assert_eq!(one(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"), ["error Head(StartLine) 400 false"]);
    assert_eq!(
        one(b"SIP/2.0 200 OK\r\nVia: SIP/2.0/TCP h\r\n\r\n"),
        ["error NoContentLength 400 false"]
    );
    // Nothing comes after an error.
    let stream = [with("Subject: x").as_bytes(), &message("x")].concat();
    assert_eq!(one(&stream).len(), 1);
    assert_eq!(frames(stream.chunks(3)).len(), 1);
}

#[test]
fn limits_are_exact() {
    let head = |len: usize| {
        let start = "INFO sip:a@b SIP/2.0\r\nContent-Length: 0\r\nSubject: ";
        format!("{start}{}\r\n\r\n", "x".repeat(len - start.len() - 4))
    };
    assert_eq!(one(head(MAX_HEAD_BYTES).as_bytes()).len(), 1);
    assert!(one(head(MAX_HEAD_BYTES).as_bytes())[0].starts_with("INFO"));
    for chunk in [1 << 20, 1000] {
        assert_eq!(
            frames(head(MAX_HEAD_BYTES + 1).as_bytes().chunks(chunk)),
            ["error Head(HeadTooLarge) 400 false"]
        );
    }
    let body = "b".repeat(MAX_BODY_BYTES);
    assert!(one(&message(&body))[0].starts_with("INFO"));
    // A header section that never ends does not fill the memory.
    let mut framer = Framer::new();
    let errors = (0..100).filter(|_| {
        framer.push(&[b'x'; 1000]);
        framer.next().is_some()
    });
    assert_eq!(errors.count(), 1);
}

#[test]
fn torture_messages_over_a_stream() {
    // Where Content-Length is right, a stream gives the message that a datagram gives.
    for (file, _, _) in torture::rows() {
        let bytes = torture::load(file);
        let Ok(message) = Message::parse(Bytes::from(bytes.clone())) else {
            continue;
        };
        if message.header(HeaderName::ContentLength).is_some() && bytes.windows(4).any(|window| window == b"\r\n\r\n") {
            let mut framer = Framer::new();
            framer.push(&bytes);
            let Some(Ok(Frame::Message(framed))) = framer.next() else {
                panic!("{file}")
            };
            assert_eq!(framed.bytes(), message.bytes(), "{file}");
        }
    }
}

proptest! {
    #[test]
    fn the_cuts_do_not_matter(
        pieces in proptest::collection::vec(prop_oneof![
            4 => "[ -~\\r\\n]{0,60}".prop_map(|body| message(&body).to_vec()),
            2 => Just(b"\r\n".to_vec()),
            1 => Just(b"\r\n\r\n".to_vec()),
            1 => "[ -~\\r\\n]{0,30}".prop_map(String::into_bytes),
        ], 0..8),
        cuts in proptest::collection::vec(any::<proptest::sample::Index>(), 0..12),
    ) {
        let stream = pieces.concat();
        let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).chain([0, stream.len()]).collect();
        at.sort_unstable();
        let pushes = at.windows(2).map(|cut| &stream[cut[0]..cut[1]]);
        let whole = one(&stream);
        prop_assert_eq!(frames(pushes), whole.clone());
        prop_assert_eq!(frames(stream.chunks(1)), whole);
    }
}
