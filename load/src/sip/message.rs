//! Messages read and written by rsip.
//!
//! [`read`] also reads the headers every phone looks at ([`Head`]) in their typed form, because that is the check: a message
//! of the server that an independent implementation cannot read is a fault of the server.

use rsip::headers::{ToTypedHeader, UntypedHeader};
use rsip::message::{HasHeaders, HeadersExt};
use rsip::{Header, Method, Request, Response, SipMessage, Uri};

/// What identifies a message within dialogs and transactions.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Head {
    /// Call-ID.
    pub call_id: String,
    /// The number of CSeq.
    pub seq: u32,
    /// The method of CSeq.
    pub method: Method,
    /// The branch of the topmost Via.
    pub branch: String,
    /// The tag of From.
    pub from_tag: String,
    /// The tag of To, where there is one.
    pub to_tag: Option<String>,
}

/// A message that rsip does not read, with the start of its text.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{reason}: {text:?}")]
pub struct BadMessage {
    /// What rsip said.
    pub reason: String,
    /// The first 600 characters.
    pub text: String,
}

/// Reads one message.
pub fn read(bytes: &[u8]) -> Result<(SipMessage, Head), BadMessage> {
    let bad = |reason: rsip::Error| BadMessage {
        reason: reason.to_string(),
        text: String::from_utf8_lossy(bytes).chars().take(600).collect(),
    };
    let message = SipMessage::try_from(bytes).map_err(bad)?;
    let head = head(&message).map_err(bad)?;
    Ok((message, head))
}

fn head(message: &SipMessage) -> Result<Head, rsip::Error> {
    let via = message.via_header()?.typed()?;
    let cseq = message.cseq_header()?.typed()?;
    let from = message.from_header()?.typed()?;
    let to = message.to_header()?.typed()?;
    let missing = |what: &str| rsip::Error::InvalidParam(format!("missing {what}"));
    Ok(Head {
        call_id: message.call_id_header()?.value().to_owned(),
        seq: cseq.seq,
        method: cseq.method,
        branch: via.branch().ok_or_else(|| missing("branch"))?.value().to_owned(),
        from_tag: from.tag().ok_or_else(|| missing("From tag"))?.value().to_owned(),
        to_tag: to.tag().map(|tag| tag.value().to_owned()),
    })
}

/// The URI in the first Contact.
pub fn contact_uri(message: &impl HeadersExt) -> Option<Uri> {
    message.contact_header().ok()?.typed().ok().map(|contact| contact.uri)
}

/// The user part of From, as it was sent.
pub fn from_user(request: &Request) -> Option<String> {
    let from = request.from_header().ok()?.typed().ok()?;
    from.uri.user().map(str::to_owned)
}

/// The values of Record-Route in the order of the message (RFC 3261 s.12.1).
pub fn record_routes(message: &impl HasHeaders) -> Vec<String> {
    let values = message.headers().iter().filter_map(|header| match header {
        Header::RecordRoute(route) => Some(route.value()),
        _ => None,
    });
    values
        .flat_map(|value| value.split(','))
        .map(|route| route.trim().to_owned())
        .collect()
}

/// Every value of a header that rsip knows only by its name, or the challenges of a 401 or 407.
pub fn challenges(response: &Response) -> Vec<String> {
    let value = |header: &Header| match header {
        Header::WwwAuthenticate(value) => Some(value.value().to_owned()),
        Header::ProxyAuthenticate(value) => Some(value.value().to_owned()),
        _ => None,
    };
    response.headers().iter().filter_map(value).collect()
}

/// Whether the request asks the phone to answer by itself (Call-Info `answer-after=0`, Alert-Info `auto-answer`, or the
/// Answer-Mode of RFC 5373).
pub fn asks_auto_answer(request: &Request) -> bool {
    request.headers().iter().any(|header| match header {
        Header::CallInfo(value) => value.value().contains("answer-after=0"),
        Header::AlertInfo(value) => value.value().to_ascii_lowercase().contains("auto-answer"),
        Header::Other(name, value) => name.eq_ignore_ascii_case("Answer-Mode") && value.to_ascii_lowercase().starts_with("auto"),
        _ => false,
    })
}

/// What the parts of a request have in common.
pub struct Outline<'a> {
    /// The Via without the branch: `SIP/2.0/UDP 127.0.0.1:4000`.
    pub via: &'a str,
    /// The branch.
    pub branch: &'a str,
    /// The whole From.
    pub from: &'a str,
    /// The whole To.
    pub to: &'a str,
    /// Call-ID.
    pub call_id: &'a str,
    /// The number of CSeq.
    pub seq: u32,
    /// The whole Contact, where the request has one.
    pub contact: Option<&'a str>,
    /// The route set.
    pub routes: &'a [String],
}

/// Writes a request.
pub fn request(method: Method, uri: &Uri, outline: &Outline<'_>, more: Vec<Header>, body: Option<&str>) -> Vec<u8> {
    let mut headers = vec![
        Header::Via(format!("{};branch={};rport", outline.via, outline.branch).into()),
        Header::MaxForwards("70".into()),
    ];
    headers.extend(outline.routes.iter().map(|route| Header::Route(route.as_str().into())));
    headers.push(Header::From(outline.from.into()));
    headers.push(Header::To(outline.to.into()));
    headers.push(Header::CallId(outline.call_id.into()));
    headers.push(Header::CSeq(format!("{} {method}", outline.seq).into()));
    headers.extend(outline.contact.map(|contact| Header::Contact(contact.into())));
    headers.extend(more);
    let body = finish(&mut headers, body);
    let request = Request {
        method,
        uri: uri.clone(),
        version: Default::default(),
        headers: headers.into(),
        body,
    };
    request.to_string().into_bytes()
}

/// Writes the response to a request: its Via, Record-Route, From, To, Call-ID and CSeq as they came (RFC 3261 s.8.2.6.2).
/// `to_tag` is added where To has no tag yet.
pub fn response(request: &Request, status: u16, to_tag: &str, contact: Option<&str>, body: Option<&str>) -> Vec<u8> {
    let mut headers: Vec<Header> = Vec::with_capacity(10);
    for header in request.headers().iter() {
        match header {
            Header::Via(_) | Header::From(_) | Header::CallId(_) | Header::CSeq(_) => headers.push(header.clone()),
            Header::RecordRoute(_) if status < 300 => headers.push(header.clone()),
            Header::To(to) if to.value().contains(";tag=") => headers.push(header.clone()),
            Header::To(to) => headers.push(Header::To(format!("{};tag={to_tag}", to.value()).into())),
            _ => {}
        }
    }
    headers.extend(contact.map(|contact| Header::Contact(contact.into())));
    let body = finish(&mut headers, body);
    let response = Response {
        status_code: status.into(),
        version: Default::default(),
        headers: headers.into(),
        body,
    };
    response.to_string().into_bytes()
}

fn finish(headers: &mut Vec<Header>, body: Option<&str>) -> Vec<u8> {
    headers.push(Header::UserAgent("tandem-load".into()));
    if body.is_some() {
        headers.push(Header::ContentType("application/sdp".into()));
    }
    let body = body.unwrap_or_default();
    headers.push(Header::ContentLength(body.len().to_string().into()));
    body.as_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    const INVITE: &str = "INVITE sip:10001@127.0.0.1:4000 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bKa;rport\r\n\
        Record-Route: <sip:127.0.0.1;lr>\r\nFrom: <sip:10000@t.local>;tag=f\r\nTo: <sip:10001@t.local>\r\nCall-ID: c1\r\n\
        CSeq: 7 INVITE\r\nContact: <sip:127.0.0.1:5060>\r\nCall-Info: <sip:x>;answer-after=0\r\nContent-Length: 0\r\n\r\n";

    fn invite() -> Request {
        match read(INVITE.as_bytes()).map(|(message, _)| message) {
            Ok(SipMessage::Request(request)) => request,
            other => panic!("not a request: {other:?}"),
        }
    }

    #[test]
    fn a_request_is_read_with_what_identifies_it() {
        let (_, head) = read(INVITE.as_bytes()).unwrap();
        assert_eq!((head.call_id.as_str(), head.seq, head.method), ("c1", 7, Method::Invite));
        assert_eq!(
            (head.branch.as_str(), head.from_tag.as_str(), head.to_tag),
            ("z9hG4bKa", "f", None)
        );
        assert_eq!(from_user(&invite()).as_deref(), Some("10000"));
        assert!(asks_auto_answer(&invite()));
        assert_eq!(contact_uri(&invite()).unwrap().to_string(), "sip:127.0.0.1:5060");
    }

    #[test]
    fn a_response_carries_the_headers_of_its_request_and_a_tag() {
        let bytes = response(&invite(), 200, "mine", Some("<sip:10001@127.0.0.1:4000>"), Some("v=0\r\n"));
        let (message, head) = read(&bytes).unwrap();
        assert_eq!(head.to_tag.as_deref(), Some("mine"));
        assert_eq!(record_routes(&message), ["<sip:127.0.0.1;lr>"]);
        assert_eq!(message.body(), b"v=0\r\n");
    }

    #[test]
    fn what_rsip_cannot_read_is_told_with_its_text() {
        for text in [
            "",
            "nonsense\r\n\r\n",
            &INVITE.replace("CSeq: 7 INVITE\r\n", ""),
            &INVITE.replace(";tag=f", ""),
        ] {
            let bad = read(text.as_bytes()).unwrap_err();
            assert!(text.starts_with(&bad.text[..bad.text.len().min(20)]), "{bad}");
        }
    }
}
