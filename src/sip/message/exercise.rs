//! Everything that can be done to bytes from outside, in one function: the body of the fuzz target and of the mutation test.

use bytes::Bytes;

use super::{Contacts, Frame, Framer, HeaderName, Message, NameAddr, ResponseBuilder, Uri};

/// Parses, validates, reads by every accessor, answers and re-frames. Panics where an invariant of this module is broken, never
/// because of what the bytes are.
pub fn exercise(bytes: &[u8]) {
    let outcome = Message::parse(Bytes::copy_from_slice(bytes));
    match &outcome {
        Ok(message) => read(message),
        Err(error) => {
            assert!(error.offset <= bytes.len(), "an error lies inside the message");
            if let Some(message) = &error.partial {
                assert!(message.validate().is_err(), "a message with a defect never passes");
                read(message);
            }
        }
    }
    frame(bytes);
}

/// Reads by every accessor.
fn read(message: &Message) {
    let violation = message.validate();
    for name in [
        HeaderName::Via,
        HeaderName::Contact,
        HeaderName::Route,
        HeaderName::Supported,
        HeaderName::Subject,
        HeaderName::Other,
    ] {
        let _ = (message.header(name), message.headers(name).count());
    }
    for (name, value) in message.fields() {
        assert!(!value.contains(['\r', '\n']), "a value is one line");
        let _ = message.header_named(name);
        assert!(
            message.header_bytes(HeaderName::classify(name.as_bytes())).is_some(),
            "a field is found by its name"
        );
    }
    for address in [message.from(), message.to()].into_iter().flatten() {
        read_address(&address);
    }
    for address in [
        message.refer_to(),
        message.referred_by().transpose().unwrap_or_else(|| message.from()),
    ] {
        address.iter().for_each(read_address);
    }
    if let Ok(Contacts::List(contacts)) = message.contacts() {
        contacts.iter().for_each(read_address);
    }
    for via in message.vias().flatten() {
        let _ = (
            via.unique_branch(),
            via.host_ip(),
            via.received_ip(),
            via.params.iter().count(),
        );
    }
    let _ = message.uri().map(Uri::parse).and_then(Result::ok).map(|uri| read_uri(&uri));
    let _ = (
        message.status(),
        message.reason_phrase(),
        message.cseq(),
        message.max_forwards(),
        message.expires(),
        message.call_id(),
    );
    let _ = (
        message.sdp(),
        message.reason_q850(),
        message.reason_cause(),
        message.supports("timer"),
        message.event(),
        message.redirect_targets().count(),
        message.replaces(),
        message.declines_refer_subscription(),
        message.unsupported().count(),
        format!("{message:?}"),
    );
    assert!(
        message.bytes().ends_with(message.body()),
        "the body is the end of the message"
    );
    if message.is_request() {
        answer(message, violation.map_or_else(|violation| violation.status, |()| 200));
    }
}

/// The answer to a request can be read, and goes back to where it has to.
fn answer(request: &Message, status: u16) {
    let source = ([192, 0, 2, 1], 5060).into();
    let bytes = ResponseBuilder::to(request, status, None)
        .received_from(source)
        .to_tag("answer")
        .header("Server", "exercise")
        .finish();
    let response = Message::parse(bytes).expect("what a builder writes can be read");
    assert_eq!(response.status(), Some(status));
    assert_eq!(
        response.headers(HeaderName::Via).count(),
        request.headers(HeaderName::Via).count(),
        "no Via is lost or made"
    );
    if request.validate().is_ok() {
        let top = response.top_via().expect("a readable Via stays readable");
        assert_eq!(top.branch, request.top_via().expect("it was valid").branch);
        assert!(response.to().expect("a readable To stays readable").params.contains("tag"));
    }
}

fn read_address(address: &NameAddr<'_>) {
    let _ = (
        address.tag(),
        address.expires(),
        address.q(),
        address.display_unescaped(),
        address.params.is_well_formed(),
    );
    let _ = address.parse_uri().map(|uri| read_uri(&uri));
}

fn read_uri(uri: &Uri<'_>) {
    assert!(uri.equivalent(uri), "a URI equals itself");
    let aor = uri.aor();
    if uri.is_sip() {
        let again = Uri::parse(&aor).expect("an address of record is a URI");
        assert_eq!(again.aor(), aor, "an address of record stays what it is");
    }
    let _ = (
        uri.user_decoded(),
        uri.host_is_name(),
        uri.transport(),
        uri.maddr(),
        uri.lr(),
        uri.ob(),
    );
}

/// The whole in one push and in pieces give the same frames.
fn frame(bytes: &[u8]) {
    let collect = |pieces: &mut dyn Iterator<Item = &[u8]>| {
        let (mut framer, mut frames) = (Framer::new(), Vec::new());
        for piece in pieces {
            framer.push(piece);
            frames.extend(framer.by_ref().map(|frame| match frame {
                Ok(Frame::Message(message)) => format!("message {:?}", message.bytes()),
                Ok(other) => format!("{other:?}"),
                Err(error) => error.to_string(),
            }));
        }
        frames
    };
    let whole = collect(&mut std::iter::once(bytes));
    let piece_len = bytes.first().map_or(1, |first| usize::from(*first % 7) + 1);
    assert_eq!(
        collect(&mut bytes.chunks(piece_len)),
        whole,
        "framing does not depend on the cuts"
    );
}
