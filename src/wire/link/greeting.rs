//! The greeting: HELLO from the T-Server, WELCOME from the connector.

use std::sync::Arc;
use std::time::Duration;

use super::LINK_VERSION;
use crate::mltp::fields::Fields;
use crate::mltp::{Frame, FrameWriter, MessageError};

/// Who one end is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Identity {
    /// Another one with each start of the process.
    pub instance: Arc<str>,
    /// Which connector the link leads to: the number in its `link-n-name`, from 0.
    pub connector: u16,
    /// The connector's name, as its `link-n-name` has it.
    pub name: Arc<str>,
    /// The pool that the connector serves.
    pub pool: Arc<str>,
}

/// HELLO: the first message of the T-Server on a connection.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hello {
    /// The version of the link protocol.
    pub version: u32,
    /// The T-Server, and which connector it looks for.
    pub identity: Identity,
    /// The session that it would go on with.
    pub session: Option<Arc<str>>,
    /// The last number that it received in that session.
    pub received: u64,
    /// The lowest number that it can send again.
    pub oldest: u64,
    /// After how long of silence the connector is to poll; zero: never.
    pub your_timeout: Duration,
    /// Whether the connector is to log its polling.
    pub your_trace: bool,
}

/// WELCOME: the connector's answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Welcome {
    /// The version of the link protocol.
    pub version: u32,
    /// The connector's instance.
    pub instance: Arc<str>,
    /// The session: that of the HELLO, or a new one.
    pub session: Arc<str>,
    /// Whether the session of the HELLO goes on. If not, both ends start with number 1 and synchronise.
    pub resumed: bool,
    /// The last number that the connector received in this session.
    pub received: u64,
}

impl Hello {
    /// The name of the message.
    pub const NAME: &'static str = "HELLO";

    /// Writes it.
    pub fn write<'a>(&self, out: &'a mut Vec<u8>) -> FrameWriter<'a> {
        let mut writer = FrameWriter::new(out, Self::NAME);
        writer.plain("link-version", self.version);
        writer.text("instance", &self.identity.instance);
        writer.plain("connector", self.identity.connector);
        writer.text("name", &self.identity.name);
        writer.text("pool-name", &self.identity.pool);
        writer.optional("session", self.session.as_deref());
        writer.plain("received", self.received);
        writer.plain("oldest", self.oldest);
        writer.plain("addp-timeout-ms", self.your_timeout.as_millis());
        writer.plain("addp-trace", self.your_trace);
        writer
    }

    /// Reads it.
    pub fn read(frame: &Frame) -> Result<Self, MessageError> {
        let fields = Fields(frame);
        Ok(Self {
            version: fields.number("link-version")?,
            identity: Identity {
                instance: fields.text("instance")?,
                connector: fields.number("connector")?,
                name: fields.text("name")?,
                pool: fields.text("pool-name")?,
            },
            session: fields.optional_text("session")?,
            received: fields.number("received")?,
            oldest: fields.number("oldest")?,
            your_timeout: Duration::from_millis(u64::from(fields.number::<u32>("addp-timeout-ms")?)),
            your_trace: fields.flag("addp-trace")?,
        })
    }

    /// What keeps this end from taking the HELLO, if anything does.
    pub fn mismatch(&self, own: &Identity) -> Option<String> {
        if self.version != LINK_VERSION {
            return Some(format!("link version {} is spoken here, not {}", LINK_VERSION, self.version));
        }
        let wanted = &self.identity;
        if (wanted.connector, &wanted.name) != (own.connector, &own.name) {
            return Some(format!(
                "this is connector {} \"{}\", not {} \"{}\"",
                own.connector, own.name, wanted.connector, wanted.name
            ));
        }
        (wanted.pool != own.pool).then(|| format!("this connector serves pool \"{}\", not \"{}\"", own.pool, wanted.pool))
    }
}

impl Welcome {
    /// The name of the message.
    pub const NAME: &'static str = "WELCOME";

    /// Writes it.
    pub fn write<'a>(&self, out: &'a mut Vec<u8>) -> FrameWriter<'a> {
        let mut writer = FrameWriter::new(out, Self::NAME);
        writer.plain("link-version", self.version);
        writer.text("instance", &self.instance);
        writer.text("session", &self.session);
        writer.plain("resumed", self.resumed);
        writer.plain("received", self.received);
        writer
    }

    /// Reads it.
    pub fn read(frame: &Frame) -> Result<Self, MessageError> {
        let fields = Fields(frame);
        Ok(Self {
            version: fields.number("link-version")?,
            instance: fields.text("instance")?,
            session: fields.text("session")?,
            resumed: fields.flag("resumed")?,
            received: fields.number("received")?,
        })
    }
}
