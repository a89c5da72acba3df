//! Event frames: [`Event`] to text.
//!
//! A frame is the same for every client but for `previous` and `referenceId`. [`EventBody`] is made once per event; each client's
//! frame is one copy of it with those two spliced in, so a thousand clients on a DN cost a thousand copies and one encoding.
//!
//! Order of keys: `event`, `sequence`, `previous`, `referenceId`, `time`, then the attributes, the lists last. Attributes that do
//! not apply do not stand in the frame; an empty `extensions` or `reasons` neither.

use bytes::Bytes;
use tandem_model::{Event, EventName, ReferenceId, ServerRole};

use crate::json::{write_list, write_number, write_text};
use crate::time;

/// The part of an event frame that is the same for every client. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EventBody {
    text: Bytes,
    /// Where the per-client part goes.
    splice_at: usize,
}

/// What became of the resume that OpenServer asked for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ResumeOutcome {
    /// There was none, or the client is not known any more: it starts anew, without registrations.
    New,
    /// The registrations and the input mask go on, and every missed event follows, in order, each once.
    Delta,
    /// The registrations and the input mask go on; the gap is too long: EventRegistered frames with the state of each DN follow.
    Snapshot,
}

impl ResumeOutcome {
    /// As it stands in the frame.
    pub fn name(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Delta => "delta",
            Self::Snapshot => "snapshot",
        }
    }
}

/// What EventServerConnected says beyond the attributes of [`Event`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServerConnected {
    /// Names this life of the event log: sequences of different epochs have nothing to do with each other.
    pub epoch: String,
    /// Primary or backup.
    pub server_role: ServerRole,
    /// The server's version.
    pub server_version: String,
    /// What became of the resume.
    pub resume: ResumeOutcome,
    /// What the client calls itself when it resumes.
    pub session: String,
}

impl EventBody {
    /// Encodes an event. `event.reference_id` is not part of the body: it goes to one client only ([`Self::frame`]).
    pub fn new(event: &Event, sequence: u64, time_us: u64) -> Self {
        let mut writer = Writer::start(event.name, sequence, time_us);
        writer.attributes(event);
        writer.finish()
    }

    /// Encodes EventServerConnected. `sequence` is the point in the epoch that the client joins at: its own place in the order, or, after
    /// `delta`, that of the event from which the client goes on.
    pub fn server_connected(connected: &ServerConnected, sequence: u64, time_us: u64) -> Self {
        let mut writer = Writer::start(EventName::EventServerConnected, sequence, time_us);
        writer.text("epoch", &connected.epoch);
        writer.text("serverRole", connected.server_role.name());
        writer.text("serverVersion", &connected.server_version);
        writer.text("resume", connected.resume.name());
        writer.text("session", &connected.session);
        writer.finish()
    }

    /// One client's frame: `previous` is the sequence of the frame it got just before, 0 for none.
    pub fn frame(&self, previous: u64, reference_id: Option<ReferenceId>) -> Bytes {
        // `"previous":` and `"referenceId":` with commas and twenty digits each stay below this.
        let mut out = Vec::with_capacity(self.text.len() + 64);
        out.extend_from_slice(&self.text[..self.splice_at]);
        out.extend_from_slice(b"\"previous\":");
        write_number(&mut out, previous);
        out.push(b',');
        if let Some(ReferenceId(number)) = reference_id {
            out.extend_from_slice(b"\"referenceId\":");
            write_number(&mut out, u64::from(number));
            out.push(b',');
        }
        out.extend_from_slice(&self.text[self.splice_at..]);
        Bytes::from(out)
    }
}

/// The frame of an event that goes to one client only, such as an answer.
pub fn encode_event(event: &Event, sequence: u64, previous: u64, time_us: u64, reference_id: Option<ReferenceId>) -> Bytes {
    EventBody::new(event, sequence, time_us).frame(previous, reference_id)
}

/// The sequence of a frame that this module wrote.
pub fn sequence_of(frame: &[u8]) -> Option<u64> {
    // `event` stands before it, and its name has no quotes.
    let key = b"\",\"sequence\":";
    let from = frame.windows(key.len()).position(|bytes| bytes == key)? + key.len();
    let digits = frame.get(from..)?.iter().take_while(|byte| byte.is_ascii_digit());
    let sequence = digits.fold(0u64, |number, digit| {
        number.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'))
    });
    frame.get(from).is_some_and(u8::is_ascii_digit).then_some(sequence)
}

struct Writer {
    out: Vec<u8>,
    splice_at: usize,
}

impl Writer {
    fn start(name: EventName, sequence: u64, time_us: u64) -> Self {
        let mut out = Vec::with_capacity(768);
        out.extend_from_slice(b"{\"event\":\"");
        out.extend_from_slice(name.name().as_bytes());
        out.extend_from_slice(b"\",\"sequence\":");
        write_number(&mut out, sequence);
        out.push(b',');
        let splice_at = out.len();
        out.extend_from_slice(b"\"time\":\"");
        time::write(&mut out, time_us);
        out.push(b'"');
        Self { out, splice_at }
    }

    fn finish(mut self) -> EventBody {
        self.out.push(b'}');
        EventBody {
            text: Bytes::from(self.out),
            splice_at: self.splice_at,
        }
    }

    fn key(&mut self, key: &str) {
        self.out.extend_from_slice(b",\"");
        self.out.extend_from_slice(key.as_bytes());
        self.out.extend_from_slice(b"\":");
    }

    fn text(&mut self, key: &str, text: &str) {
        self.key(key);
        write_text(&mut self.out, text);
    }

    fn optional_text(&mut self, key: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.text(key, text);
        }
    }

    fn number(&mut self, key: &str, number: Option<u64>) {
        if let Some(number) = number {
            self.key(key);
            write_number(&mut self.out, number);
        }
    }

    /// An id that prints as hex digits, `digits` of them.
    fn hex(&mut self, key: &str, value: Option<u128>, digits: u32, alphabet: &[u8; 16]) {
        if let Some(value) = value {
            self.key(key);
            self.out.push(b'"');
            let nibbles = (0..digits).rev().map(|place| (value >> (4 * place)) as usize & 15);
            self.out.extend(nibbles.map(|nibble| alphabet[nibble]));
            self.out.push(b'"');
        }
    }

    fn list(&mut self, key: &str, list: &tandem_model::KvList) {
        self.key(key);
        write_list(&mut self.out, list);
    }

    fn attributes(&mut self, event: &Event) {
        const LOWER: &[u8; 16] = b"0123456789abcdef";
        const UPPER: &[u8; 16] = b"0123456789ABCDEF";
        self.optional_text("thisDn", event.this_dn.as_ref().map(|dn| dn.as_str()));
        self.optional_text("thisDnRole", event.this_dn_role.map(|role| role.name()));
        self.optional_text("thisQueue", event.this_queue.as_ref().map(|dn| dn.as_str()));
        self.optional_text("otherDn", event.other_dn.as_ref().map(|dn| dn.as_str()));
        self.optional_text("otherDnRole", event.other_dn_role.map(|role| role.name()));
        self.optional_text("thirdPartyDn", event.third_party_dn.as_ref().map(|dn| dn.as_str()));
        self.optional_text("thirdPartyDnRole", event.third_party_dn_role.map(|role| role.name()));
        self.hex("connId", event.conn_id.map(|id| u128::from(id.0)), 16, LOWER);
        self.hex("previousConnId", event.previous_conn_id.map(|id| u128::from(id.0)), 16, LOWER);
        self.hex("transferConnId", event.transfer_conn_id.map(|id| u128::from(id.0)), 16, LOWER);
        self.hex(
            "conferenceConnId",
            event.conference_conn_id.map(|id| u128::from(id.0)),
            16,
            LOWER,
        );
        self.hex("callUuid", event.call_uuid.map(|id| id.0), 32, UPPER);
        self.number("callId", event.call_id);
        self.optional_text("callType", event.call_type.map(|value| value.name()));
        self.optional_text("callState", event.call_state.map(|value| value.name()));
        self.optional_text("cause", event.cause.map(|value| value.name()));
        self.optional_text("mediaType", event.media_type.map(|value| value.name()));
        self.optional_text("dnis", event.dnis.as_deref());
        self.optional_text("ani", event.ani.as_deref());
        self.optional_text("addressType", event.address_type.map(|value| value.name()));
        self.number("addressInfoStatus", event.address_info_status.map(u64::from));
        self.optional_text("dtmfDigits", event.dtmf_digits.as_deref());
        if let Some(error) = &event.error {
            self.number("errorCode", Some(u64::from(error.code.number())));
            self.text("errorMessage", &error.message);
        }
        self.optional_text("serverRole", event.server_role.map(|role| role.name()));
        if let Some(user_data) = &event.user_data {
            self.list("userData", user_data);
        }
        if !event.extensions.is_empty() {
            self.list("extensions", &event.extensions);
        }
        if !event.reasons.is_empty() {
            self.list("reasons", &event.reasons);
        }
    }
}

#[cfg(test)]
mod tests;
