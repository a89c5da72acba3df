//! The messages about a connector as a whole ↔ frames.

use base64::Engine;
use base64::prelude::BASE64_STANDARD as BASE64;
use tandem_model::connector::{ConnectorNotification, ConnectorRequest, ConnectorState, ConnectorStatus, CopiedRecord};

use super::error::excerpt;
use super::fields::Fields;
use super::parts::write_json;
use super::{FrameWriter, MessageError};

/// What a request is called on the wire.
pub(super) fn request_name(request: &ConnectorRequest) -> &'static str {
    match request {
        ConnectorRequest::Peers { .. } => "PEERS",
        ConnectorRequest::ForgetContact { .. } => "FORGET_CONTACT",
        ConnectorRequest::DeviceMoved { .. } => "DEVICE_MOVED",
        ConnectorRequest::Roster { .. } => "ROSTER",
        ConnectorRequest::Restore { .. } => "RESTORE",
        ConnectorRequest::Suspend { .. } => "SUSPEND",
        ConnectorRequest::Return => "RETURN",
    }
}

pub(super) fn write_request(request: &ConnectorRequest, writer: &mut FrameWriter<'_>) {
    match request {
        ConnectorRequest::Peers { peers, rooms } => write_json(writer, &(peers, rooms)),
        ConnectorRequest::ForgetContact { dn, uri, expires_at } => {
            writer.text("dn", dn.as_str());
            writer.text("contact", uri);
            writer.plain("expires-at", expires_at);
        }
        ConnectorRequest::DeviceMoved { dn, contact } => {
            writer.text("dn", dn.as_str());
            write_json(writer, contact);
        }
        ConnectorRequest::Roster { dn, entries } => {
            writer.text("dn", dn.as_str());
            write_json(writer, entries);
        }
        ConnectorRequest::Restore { records, end } => {
            writer.plain("end", end);
            write_records(writer, records);
        }
        ConnectorRequest::Suspend { deadline_ms } => {
            if let Some(deadline) = deadline_ms {
                writer.plain("deadline-ms", deadline);
            }
        }
        ConnectorRequest::Return => {}
    }
}

pub(super) fn read_request(fields: Fields<'_>) -> Result<ConnectorRequest, MessageError> {
    Ok(match fields.0.name.as_str() {
        "PEERS" => {
            let (peers, rooms) = fields.json()?;
            ConnectorRequest::Peers { peers, rooms }
        }
        "FORGET_CONTACT" => ConnectorRequest::ForgetContact {
            dn: fields.dn("dn")?,
            uri: fields.text("contact")?,
            expires_at: fields.number("expires-at")?,
        },
        "DEVICE_MOVED" => ConnectorRequest::DeviceMoved {
            dn: fields.dn("dn")?,
            contact: fields.json()?,
        },
        "ROSTER" => ConnectorRequest::Roster {
            dn: fields.dn("dn")?,
            entries: fields.json()?,
        },
        "RESTORE" => ConnectorRequest::Restore {
            records: read_records(fields)?,
            end: fields.flag("end")?,
        },
        "SUSPEND" => ConnectorRequest::Suspend {
            deadline_ms: fields.optional_number("deadline-ms")?,
        },
        "RETURN" => ConnectorRequest::Return,
        other => return Err(MessageError::Unknown(excerpt(other))),
    })
}

/// What a notification is called on the wire.
pub(super) fn notification_name(notification: &ConnectorNotification) -> &'static str {
    match notification {
        ConnectorNotification::Here { .. } => "HERE",
        ConnectorNotification::Status(_) => "STATUS",
        ConnectorNotification::Records { .. } => "RECORDS",
    }
}

pub(super) fn write_notification(notification: &ConnectorNotification, writer: &mut FrameWriter<'_>) {
    match notification {
        ConnectorNotification::Here { listens, is_empty } => {
            writer.plain("empty", is_empty);
            write_json(writer, listens);
        }
        ConnectorNotification::Status(status) => {
            writer.plain("state", state_name(status.state));
            writer.plain("conferences", status.conferences);
            writer.plain("transactions", status.transactions);
            writer.plain("sessions", status.sessions);
        }
        ConnectorNotification::Records { records, end } => {
            writer.plain("end", end);
            write_records(writer, records);
        }
    }
}

pub(super) fn read_notification(fields: Fields<'_>) -> Result<ConnectorNotification, MessageError> {
    Ok(match fields.0.name.as_str() {
        "HERE" => ConnectorNotification::Here {
            listens: fields.json()?,
            is_empty: fields.flag("empty")?,
        },
        "STATUS" => ConnectorNotification::Status(ConnectorStatus {
            state: fields.word("state", "RUNNING, SUSPENDING or SUSPENDED", state_of)?,
            conferences: fields.number("conferences")?,
            transactions: fields.number("transactions")?,
            sessions: fields.number("sessions")?,
        }),
        "RECORDS" => ConnectorNotification::Records {
            records: read_records(fields)?,
            end: fields.flag("end")?,
        },
        other => return Err(MessageError::Unknown(excerpt(other))),
    })
}

fn state_name(state: ConnectorState) -> &'static str {
    match state {
        ConnectorState::Running => "RUNNING",
        ConnectorState::Suspending => "SUSPENDING",
        ConnectorState::Suspended => "SUSPENDED",
    }
}

fn state_of(name: &str) -> Option<ConnectorState> {
    match name {
        "RUNNING" => Some(ConnectorState::Running),
        "SUSPENDING" => Some(ConnectorState::Suspending),
        "SUSPENDED" => Some(ConnectorState::Suspended),
        _ => None,
    }
}

/// One record as it stands in a body: its bytes are no text.
type Written = (u8, String, Option<String>);

fn write_records(writer: &mut FrameWriter<'_>, records: &[CopiedRecord]) {
    let written = |record: &CopiedRecord| -> Written {
        let value = record.value.as_ref().map(|value| BASE64.encode(value));
        (record.kind, BASE64.encode(&record.id), value)
    };
    write_json(writer, &records.iter().map(written).collect::<Vec<_>>());
}

fn read_records(fields: Fields<'_>) -> Result<Vec<CopiedRecord>, MessageError> {
    let bytes = |text: String| {
        BASE64.decode(text).map_err(|error| MessageError::Body {
            message: fields.0.name.clone(),
            problem: excerpt(&error.to_string()),
        })
    };
    let written: Vec<Written> = fields.json()?;
    let record = |(kind, id, value): Written| {
        Ok(CopiedRecord {
            kind,
            id: bytes(id)?,
            value: value.map(bytes).transpose()?,
        })
    };
    written.into_iter().map(record).collect()
}
