//! Typed access to the headers of a message. Each call reads the value anew: callers keep what they use often.

use super::address::{self, Contacts, NameAddr};
use super::error::{HeaderError, HeaderErrorKind};
use super::params::{Elements, Params};
use super::via::Via;
use super::{HeaderName, Message, Method, multipart};

use bytes::Bytes;

impl Message {
    /// The first value of a header, whole (a list is not split) and where it is UTF-8.
    pub fn header(&self, name: HeaderName) -> Option<&str> {
        self.header_bytes(name).and_then(|value| std::str::from_utf8(value).ok())
    }

    /// The bytes of the first value of a header.
    pub fn header_bytes(&self, name: HeaderName) -> Option<&[u8]> {
        self.lines(name).next()
    }

    /// The first value of the header of that name, known or not; compact forms and any case.
    pub fn header_named(&self, name: &str) -> Option<&str> {
        match HeaderName::classify(name.as_bytes()) {
            HeaderName::Other => self
                .fields()
                .find(|(found, _)| found.eq_ignore_ascii_case(name))
                .map(|(_, value)| value),
            known => self.header(known),
        }
    }

    /// The values of a header in order: one per element where the header is a list (see [`HeaderName::is_list`]), else one per line.
    /// Lines that are not UTF-8 are left out.
    pub fn headers(&self, name: HeaderName) -> HeaderValues<'_> {
        HeaderValues {
            message: self,
            name,
            at: 0,
            elements: Elements::new(""),
        }
    }

    /// Name and value of every header line, in order, as they stand; lines that are not UTF-8 are left out.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        let bytes = &self.0.bytes;
        self.0.head.fields.iter().filter_map(|field| {
            let text = |span: super::head::Span| std::str::from_utf8(span.of(bytes)).ok();
            Some((text(field.name_text)?, text(field.value)?))
        })
    }

    /// Every header line in order: what it is, its name as it stands, its value.
    pub(super) fn raw_fields(&self) -> impl Iterator<Item = (HeaderName, &[u8], &[u8])> {
        let bytes = &self.0.bytes;
        let fields = self.0.head.fields.iter();
        fields.map(|field| (field.name, field.name_text.of(bytes), field.value.of(bytes)))
    }

    /// The bytes of each line of a header.
    pub(super) fn lines(&self, name: HeaderName) -> impl Iterator<Item = &[u8]> {
        let bytes = &self.0.bytes;
        self.0
            .head
            .fields
            .iter()
            .filter(move |field| field.name == name)
            .map(|field| field.value.of(bytes))
    }

    /// The value of a header that must be there and be there once.
    pub(super) fn single(&self, name: HeaderName) -> Result<&str, HeaderError> {
        let mut lines = self.lines(name);
        let value = lines.next().ok_or_else(|| HeaderErrorKind::Missing.of(name))?;
        if lines.next().is_some() {
            return Err(HeaderErrorKind::Repeated.of(name));
        }
        std::str::from_utf8(value).map_err(|_| HeaderErrorKind::NotUtf8.of(name))
    }

    pub(super) fn address(&self, name: HeaderName) -> Result<NameAddr<'_>, HeaderError> {
        NameAddr::parse(self.single(name)?).map_err(|kind| kind.of(name))
    }

    /// The From header.
    pub fn from(&self) -> Result<NameAddr<'_>, HeaderError> {
        self.address(HeaderName::From)
    }

    /// The To header.
    pub fn to(&self) -> Result<NameAddr<'_>, HeaderError> {
        self.address(HeaderName::To)
    }

    /// The Call-ID.
    pub fn call_id(&self) -> Option<&str> {
        self.header(HeaderName::CallId).filter(|id| !id.is_empty())
    }

    /// Number and method of the CSeq header. The number is below 2^31 (RFC 3261 s.8.1.1.5).
    pub fn cseq(&self) -> Result<(u32, Method), HeaderError> {
        let value = self.single(HeaderName::CSeq)?;
        let (number, method) = value
            .split_once([' ', '\t'])
            .ok_or_else(|| HeaderErrorKind::Malformed.of(HeaderName::CSeq))?;
        let number = unsigned(number)
            .filter(|number| *number < 1 << 31)
            .ok_or_else(|| HeaderErrorKind::Number.of(HeaderName::CSeq))?;
        let method = method.trim();
        if method.is_empty() || !method.bytes().all(super::head::is_token) {
            return Err(HeaderErrorKind::Malformed.of(HeaderName::CSeq));
        }
        Ok((number, Method::from_token(method)))
    }

    /// The Via values, the topmost first.
    pub fn vias(&self) -> impl Iterator<Item = Result<Via<'_>, HeaderError>> {
        self.headers(HeaderName::Via)
            .map(|value| Via::parse(value).map_err(|kind| kind.of(HeaderName::Via)))
    }

    /// The topmost Via.
    pub fn top_via(&self) -> Result<Via<'_>, HeaderError> {
        self.vias()
            .next()
            .unwrap_or(Err(HeaderErrorKind::Missing.of(HeaderName::Via)))
    }

    /// The contacts. A star beside anything else is an error (RFC 3261 s.10.3).
    pub fn contacts(&self) -> Result<Contacts<'_>, HeaderError> {
        let malformed = HeaderErrorKind::Malformed.of(HeaderName::Contact);
        let mut values = self.headers(HeaderName::Contact).peekable();
        if values.peek() == Some(&"*") {
            values.next();
            return if values.next().is_none() {
                Ok(Contacts::Star)
            } else {
                Err(malformed)
            };
        }
        values
            .map(|value| NameAddr::parse(value).map_err(|kind| kind.of(HeaderName::Contact)))
            .collect::<Result<_, _>>()
            .map(Contacts::List)
    }

    /// The first contact, where there is one and it can be read.
    pub fn contact(&self) -> Option<NameAddr<'_>> {
        self.headers(HeaderName::Contact)
            .next()
            .and_then(|value| NameAddr::parse(value).ok())
    }

    /// Max-Forwards, `None` where it is absent.
    pub fn max_forwards(&self) -> Result<Option<u8>, HeaderError> {
        let Some(value) = self.header_bytes(HeaderName::MaxForwards) else {
            return Ok(None);
        };
        let number = std::str::from_utf8(value)
            .ok()
            .and_then(unsigned)
            .and_then(|number| u8::try_from(number).ok());
        number
            .map(Some)
            .ok_or_else(|| HeaderErrorKind::Number.of(HeaderName::MaxForwards))
    }

    /// The Expires header, in seconds. A malformed value is taken for one hour, one too large for the largest (RFC 3261 s.20.19, RFC 4475 s.3.1.2.4).
    pub fn expires(&self) -> Option<u32> {
        self.header(HeaderName::Expires).map(address::delta_seconds)
    }

    /// The Content-Type, parameters included.
    pub fn content_type(&self) -> Option<&str> {
        self.header(HeaderName::ContentType)
    }

    /// The session description: the body where it is one, or the first one of a multipart body (RFC 5621). Parts within parts are not searched.
    pub fn sdp(&self) -> Option<Bytes> {
        multipart::find(self.content_type()?, self.body(), "application/sdp")
    }

    /// The Q.850 cause of the Reason header (RFC 3326), 0 to 127.
    pub fn reason_q850(&self) -> Option<u8> {
        self.reason_number("Q.850")
            .and_then(|cause| u8::try_from(cause).ok())
            .filter(|cause| *cause < 128)
    }

    /// Why, as a Q.850 cause: what the Reason header says (RFC 3326), or what the SIP status in it stands for (RFC 4497 s.8.4.4, and 26 for
    /// `SIP;cause=200`, by which a fork hears that another answered).
    pub fn reason_cause(&self) -> Option<u8> {
        self.reason_q850()
            .or_else(|| q850_of_status(self.reason_number("SIP").and_then(|cause| u16::try_from(cause).ok())?))
    }

    /// The cause that the Reason header gives in that protocol.
    fn reason_number(&self, wanted: &str) -> Option<u32> {
        self.headers(HeaderName::Reason).find_map(|value| {
            let (protocol, params) = value.split_at_checked(value.find(';')?)?;
            let cause = protocol
                .trim()
                .eq_ignore_ascii_case(wanted)
                .then(|| Params::new(params).value("cause"))??;
            unsigned(cause)
        })
    }

    /// Whether the sender supports the extension, or requires it.
    pub fn supports(&self, tag: &str) -> bool {
        self.headers(HeaderName::Supported)
            .chain(self.requires())
            .any(|found| found.eq_ignore_ascii_case(tag))
    }

    /// The option tags of the Require header.
    pub fn requires(&self) -> HeaderValues<'_> {
        self.headers(HeaderName::Require)
    }
}

/// The values of a header; see [`Message::headers`].
#[derive(Clone, Debug)]
pub struct HeaderValues<'a> {
    message: &'a Message,
    name: HeaderName,
    /// The next header line to look at.
    at: usize,
    elements: Elements<'a>,
}

impl<'a> Iterator for HeaderValues<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        loop {
            if let Some(element) = self.elements.next() {
                return Some(element);
            }
            let fields = self.message.0.head.fields.get(self.at..)?;
            let skipped = fields.iter().position(|field| field.name == self.name)?;
            self.at += skipped + 1;
            let Ok(value) = std::str::from_utf8(fields.get(skipped)?.value.of(&self.message.0.bytes)) else {
                continue;
            };
            if !self.name.is_list() {
                return Some(value);
            }
            self.elements = Elements::new(value);
        }
    }
}

/// The Q.850 cause of a SIP status in a Reason header.
fn q850_of_status(status: u16) -> Option<u8> {
    Some(match status {
        200 => 26,
        404 | 485 | 604 => 1,
        408 | 504 => 102,
        410 => 22,
        480 => 18,
        484 => 28,
        486 | 600 => 17,
        487 => 16,
        488 | 606 => 88,
        503 => 41,
        603 => 21,
        400..700 => 127,
        _ => return None,
    })
}

/// `1*DIGIT` that fits.
fn unsigned(text: &str) -> Option<u32> {
    text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()))
}
