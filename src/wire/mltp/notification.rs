//! [`LinkNotification`] ↔ frames: what a connector tells the T-Server.

use tandem_model::link::{CallOffered, CallerId, Headers, LinkNotification, TransferId, TransferTarget};
use tandem_model::{ConferenceId, DnId, PartyId};

use super::error::excerpt;
use super::fields::Fields;
use super::parts::{flow_name, flow_of, read_cause, read_presentation, write_cause, write_json, write_presentation};
use super::request::operation;
use super::{Carried, Frame, FrameWriter, MessageError, connector};

impl Carried for LinkNotification {
    fn write<'a>(&self, out: &'a mut Vec<u8>) -> FrameWriter<'a> {
        let mut writer = FrameWriter::new(out, name(self));
        if let Some(conference) = self.conference() {
            writer.plain("conference", conference);
        }
        write_fields(self, &mut writer);
        writer
    }

    fn read(frame: &Frame) -> Result<Self, MessageError> {
        let fields = Fields(frame);
        if frame.name == "CALL_OFFERED" {
            return read_offered(fields).map(Self::CallOffered);
        }
        if frame.name == "DN_CONTACTS" {
            let (dn, contacts) = (fields.dn("dn")?, fields.optional_json()?);
            return Ok(Self::DnContacts { dn, contacts });
        }
        if !KNOWN.contains(&frame.name.as_str()) {
            return connector::read_notification(fields).map(Self::Connector);
        }
        let conference = fields.conference()?;
        match frame.name.as_str() {
            "CONFERENCE_ENDED" => Ok(Self::ConferenceEnded { conference }),
            "CONFERENCE_STATE" => {
                let parties = fields.json()?;
                Ok(Self::ConferenceState { conference, parties })
            }
            "OPERATION_DONE" => {
                let operation = operation(fields)?;
                Ok(Self::OperationDone { conference, operation })
            }
            "OPERATION_FAILED" => Ok(Self::OperationFailed {
                conference,
                operation: operation(fields)?,
                cause: read_cause(fields)?,
            }),
            _ => read_of_party(fields, conference, fields.party()?),
        }
    }
}

/// The messages about a conference, but for CALL_OFFERED.
pub(crate) const KNOWN: &[&str] = &[
    "PARTY_CREATED",
    "PARTY_CHANGED",
    "PARTY_RELEASED",
    "PARTY_HELD",
    "PARTY_REDIRECTED",
    "TRANSFER_REQUESTED",
    "PARTY_MOVED",
    "PARTY_DIGIT",
    "PARTY_SPEAKS",
    "MEDIA_FLOW",
    "PROMPT_ENDED",
    "OPERATION_DONE",
    "OPERATION_FAILED",
    "CONFERENCE_STATE",
    "CONFERENCE_ENDED",
];

/// What a notification is called on the wire.
pub fn name(notification: &LinkNotification) -> &'static str {
    match notification {
        LinkNotification::CallOffered(_) => "CALL_OFFERED",
        LinkNotification::PartyCreated { .. } => "PARTY_CREATED",
        LinkNotification::PartyAlerting { .. } | LinkNotification::PartyConnected { .. } => "PARTY_CHANGED",
        LinkNotification::PartyReleased { .. } => "PARTY_RELEASED",
        LinkNotification::PartyHeld { .. } => "PARTY_HELD",
        LinkNotification::PartyRedirected { .. } => "PARTY_REDIRECTED",
        LinkNotification::TransferRequested { .. } => "TRANSFER_REQUESTED",
        LinkNotification::PartyMoved { .. } => "PARTY_MOVED",
        LinkNotification::PartyDigit { .. } => "PARTY_DIGIT",
        LinkNotification::PartySpeaks { .. } => "PARTY_SPEAKS",
        LinkNotification::MediaFlow { .. } => "MEDIA_FLOW",
        LinkNotification::PromptEnded { .. } => "PROMPT_ENDED",
        LinkNotification::OperationDone { .. } => "OPERATION_DONE",
        LinkNotification::OperationFailed { .. } => "OPERATION_FAILED",
        LinkNotification::ConferenceState { .. } => "CONFERENCE_STATE",
        LinkNotification::ConferenceEnded { .. } => "CONFERENCE_ENDED",
        LinkNotification::DnContacts { .. } => "DN_CONTACTS",
        LinkNotification::Connector(notification) => connector::notification_name(notification),
    }
}

fn write_fields(notification: &LinkNotification, writer: &mut FrameWriter<'_>) {
    match notification {
        LinkNotification::CallOffered(offered) => write_offered(offered, writer),
        LinkNotification::PartyCreated { party, .. }
        | LinkNotification::PartyMoved { party, .. }
        | LinkNotification::PartySpeaks { party, .. }
        | LinkNotification::PromptEnded { party, .. } => writer.plain("party", party),
        LinkNotification::PartyAlerting { party, .. } => {
            writer.plain("party", party);
            writer.plain("party-state", "ALERTING");
        }
        LinkNotification::PartyConnected { party, .. } => {
            writer.plain("party", party);
            writer.plain("party-state", "CONNECTED");
        }
        LinkNotification::PartyReleased { party, cause, .. } => {
            writer.plain("party", party);
            write_cause(writer, cause);
        }
        LinkNotification::PartyHeld { party, held, .. } => {
            writer.plain("party", party);
            writer.plain("held", held);
        }
        LinkNotification::PartyRedirected { party, to, .. } => {
            writer.plain("party", party);
            write_json(writer, to);
        }
        LinkNotification::TransferRequested { party, transfer, to, .. } => {
            writer.plain("party", party);
            writer.plain("transfer", transfer.0);
            write_transfer_target(to, writer);
        }
        LinkNotification::PartyDigit { party, digit, .. } => {
            writer.plain("party", party);
            writer.text("data", digit.encode_utf8(&mut [0; 4]));
        }
        LinkNotification::MediaFlow { party, state, .. } => {
            writer.plain("party", party);
            writer.plain("media-flow", flow_name(*state));
        }
        LinkNotification::OperationDone { operation, .. } => writer.plain("operation", operation.0),
        LinkNotification::OperationFailed { operation, cause, .. } => {
            writer.plain("operation", operation.0);
            write_cause(writer, cause);
        }
        LinkNotification::ConferenceState { parties, .. } => write_json(writer, parties),
        LinkNotification::ConferenceEnded { .. } => {}
        LinkNotification::DnContacts { dn, contacts } => {
            writer.text("dn", dn.as_str());
            if !contacts.is_empty() {
                write_json(writer, contacts);
            }
        }
        LinkNotification::Connector(notification) => connector::write_notification(notification, writer),
    }
}

/// The messages about one party.
fn read_of_party(fields: Fields<'_>, conference: ConferenceId, party: PartyId) -> Result<LinkNotification, MessageError> {
    Ok(match fields.0.name.as_str() {
        "PARTY_CREATED" => LinkNotification::PartyCreated { conference, party },
        "PARTY_CHANGED" => fields.word("party-state", "ALERTING or CONNECTED", |word| match word {
            "ALERTING" => Some(LinkNotification::PartyAlerting { conference, party }),
            "CONNECTED" => Some(LinkNotification::PartyConnected { conference, party }),
            _ => None,
        })?,
        "PARTY_RELEASED" => LinkNotification::PartyReleased {
            conference,
            party,
            cause: read_cause(fields)?,
        },
        "PARTY_HELD" => LinkNotification::PartyHeld {
            conference,
            party,
            held: fields.flag("held")?,
        },
        "PARTY_REDIRECTED" => LinkNotification::PartyRedirected {
            conference,
            party,
            to: fields.json()?,
        },
        "TRANSFER_REQUESTED" => LinkNotification::TransferRequested {
            conference,
            party,
            transfer: fields.number("transfer").map(TransferId)?,
            to: read_transfer_target(fields)?,
        },
        "PARTY_MOVED" => LinkNotification::PartyMoved { conference, party },
        "PARTY_SPEAKS" => LinkNotification::PartySpeaks { conference, party },
        "PARTY_DIGIT" => LinkNotification::PartyDigit {
            conference,
            party,
            digit: fields.word("data", "one character", |word| {
                let mut chars = word.chars();
                chars.next().filter(|_| chars.next().is_none())
            })?,
        },
        "MEDIA_FLOW" => LinkNotification::MediaFlow {
            conference,
            party,
            state: fields.word("media-flow", "UNKNOWN, CONNECTING or CONNECTED", flow_of)?,
        },
        "PROMPT_ENDED" => LinkNotification::PromptEnded { conference, party },
        other => return Err(MessageError::Unknown(excerpt(other))),
    })
}

fn write_transfer_target(to: &TransferTarget, writer: &mut FrameWriter<'_>) {
    match to {
        TransferTarget::Address { to, referred_by } => {
            writer.text("to", to);
            writer.optional("referred-by", referred_by.as_deref());
        }
        TransferTarget::Party { conference, party } => {
            writer.plain("to-conference", conference);
            writer.plain("to-party", party);
        }
    }
}

fn read_transfer_target(fields: Fields<'_>) -> Result<TransferTarget, MessageError> {
    Ok(match fields.optional_number("to-conference")? {
        Some(conference) => TransferTarget::Party {
            conference: ConferenceId(conference),
            party: fields.number("to-party").map(PartyId)?,
        },
        None => TransferTarget::Address {
            to: fields.text("to")?,
            referred_by: fields.optional_text("referred-by")?,
        },
    })
}

fn write_offered(offered: &CallOffered, writer: &mut FrameWriter<'_>) {
    writer.plain("party", offered.party);
    match &offered.from {
        CallerId::Extension(dn) => writer.text("from", dn.as_str()),
        CallerId::Trunk { trunk, number, name } => {
            writer.text("trunk", trunk.as_str());
            writer.text("from", number.as_str());
            writer.optional("from-name", name.as_deref());
        }
    }
    write_presentation(&offered.presentation, writer);
    writer.optional("preferred", offered.preferred.as_ref().map(DnId::as_str));
    writer.text("to", &offered.dialled);
    writer.optional("conversation-id", offered.conversation_id.as_deref());
    writer.text("sip-call-id", &offered.sip_call_id);
    if let Some((conference, party)) = offered.replaces {
        writer.plain("replaces-conference", conference);
        writer.plain("replaces-party", party);
    }
    writer.optional("diverted-by", offered.diverted_by.as_deref());
    if !offered.headers.is_empty() {
        write_json(writer, &offered.headers);
    }
}

fn read_offered(fields: Fields<'_>) -> Result<CallOffered, MessageError> {
    let from = match fields.optional("trunk")? {
        Some(trunk) => CallerId::Trunk {
            trunk: trunk.into(),
            number: fields.dn("from")?,
            name: fields.optional_text("from-name")?,
        },
        None => CallerId::Extension(fields.dn("from")?),
    };
    let replaces = match fields.optional_number("replaces-conference")? {
        Some(conference) => Some((ConferenceId(conference), fields.number("replaces-party").map(PartyId)?)),
        None => None,
    };
    Ok(CallOffered {
        conference: fields.conference()?,
        party: fields.party()?,
        from,
        presentation: read_presentation(fields)?,
        preferred: fields.optional("preferred")?.map(DnId::new),
        dialled: fields.text("to")?,
        conversation_id: fields.optional_text("conversation-id")?,
        sip_call_id: fields.text("sip-call-id")?,
        replaces,
        diverted_by: fields.optional_text("diverted-by")?,
        headers: fields.optional_json::<Headers>()?,
    })
}
