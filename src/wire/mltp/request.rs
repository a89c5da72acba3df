//! [`LinkRequest`] ↔ frames: what the T-Server asks of a connector.

use tandem_model::link::{Headers, LinkRequest, MakeParty, OperationId, PartyTarget, TransferId};
use tandem_model::{ConferenceId, PartyId};

use super::fields::Fields;
use super::parts::{read_cause, read_presentation, write_cause, write_json, write_json_header, write_presentation};
use super::{Carried, Frame, FrameWriter, MessageError, connector};

impl Carried for LinkRequest {
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
        Ok(match frame.name.as_str() {
            "MAKE_PARTY" => Self::MakeParty(read_make(fields)?),
            "RELEASE_PARTY" => Self::ReleaseParty {
                conference: fields.conference()?,
                party: fields.party()?,
                cause: read_cause(fields)?,
            },
            "RELEASE_CONFERENCE" => Self::ReleaseConference {
                conference: fields.conference()?,
                cause: read_cause(fields)?,
            },
            "SET_AUDIO" => Self::SetAudio {
                conference: fields.conference()?,
                operation: operation(fields)?,
                plan: fields.json()?,
            },
            "CONNECT_PARTY" => Self::ConnectParty {
                conference: fields.conference()?,
                party: fields.party()?,
            },
            "ANSWER_PARTY" => Self::AnswerParty {
                conference: fields.conference()?,
                operation: operation(fields)?,
                party: fields.party()?,
            },
            "SEND_DIGITS" => Self::SendDigits {
                conference: fields.conference()?,
                operation: operation(fields)?,
                party: fields.party()?,
                digits: fields.text("data")?,
            },
            "MOVE_PARTY" => Self::MoveParty {
                conference: fields.conference()?,
                operation: operation(fields)?,
                party: fields.party()?,
                from: fields.number("from-conference").map(ConferenceId)?,
                from_party: fields.number("from-party").map(PartyId)?,
            },
            "AUDIT" => Self::Audit {
                conference: fields.conference()?,
            },
            "AUDIT_END" => Self::AuditEnd,
            "TRANSFER_PROGRESS" => Self::TransferProgress {
                conference: fields.conference()?,
                transfer: fields.number("transfer").map(TransferId)?,
                status: fields.number("status")?,
            },
            _ => Self::Connector(connector::read_request(fields)?),
        })
    }
}

/// What a request is called on the wire.
pub fn name(request: &LinkRequest) -> &'static str {
    match request {
        LinkRequest::MakeParty(_) => "MAKE_PARTY",
        LinkRequest::ReleaseParty { .. } => "RELEASE_PARTY",
        LinkRequest::ReleaseConference { .. } => "RELEASE_CONFERENCE",
        LinkRequest::SetAudio { .. } => "SET_AUDIO",
        LinkRequest::ConnectParty { .. } => "CONNECT_PARTY",
        LinkRequest::AnswerParty { .. } => "ANSWER_PARTY",
        LinkRequest::SendDigits { .. } => "SEND_DIGITS",
        LinkRequest::MoveParty { .. } => "MOVE_PARTY",
        LinkRequest::Audit { .. } => "AUDIT",
        LinkRequest::AuditEnd => "AUDIT_END",
        LinkRequest::TransferProgress { .. } => "TRANSFER_PROGRESS",
        LinkRequest::Connector(request) => connector::request_name(request),
    }
}

fn write_fields(request: &LinkRequest, writer: &mut FrameWriter<'_>) {
    match request {
        LinkRequest::MakeParty(make) => write_make(make, writer),
        LinkRequest::ReleaseParty { party, cause, .. } => {
            writer.plain("party", party);
            write_cause(writer, cause);
        }
        LinkRequest::ReleaseConference { cause, .. } => write_cause(writer, cause),
        LinkRequest::SetAudio { operation, plan, .. } => {
            writer.plain("operation", operation.0);
            write_json(writer, plan);
        }
        LinkRequest::ConnectParty { party, .. } => writer.plain("party", party),
        LinkRequest::AnswerParty { operation, party, .. } => {
            writer.plain("operation", operation.0);
            writer.plain("party", party);
        }
        LinkRequest::SendDigits {
            operation,
            party,
            digits,
            ..
        } => {
            writer.plain("operation", operation.0);
            writer.plain("party", party);
            writer.text("data", digits);
        }
        LinkRequest::MoveParty {
            operation,
            party,
            from,
            from_party,
            ..
        } => {
            writer.plain("operation", operation.0);
            writer.plain("party", party);
            writer.plain("from-conference", from);
            writer.plain("from-party", from_party);
        }
        LinkRequest::TransferProgress { transfer, status, .. } => {
            writer.plain("transfer", transfer.0);
            writer.plain("status", status);
        }
        LinkRequest::Connector(request) => connector::write_request(request, writer),
        LinkRequest::Audit { .. } | LinkRequest::AuditEnd => {}
    }
}

fn write_make(make: &MakeParty, writer: &mut FrameWriter<'_>) {
    writer.plain("party", make.party);
    writer.text("from", make.caller.as_str());
    writer.optional("from-name", make.caller_name.as_deref());
    write_presentation(&make.presentation, writer);
    if make.as_endpoint {
        writer.plain("as-endpoint", true);
    }
    match &make.target {
        PartyTarget::Dn(dn) => writer.text("to", dn.as_str()),
        PartyTarget::Trunk { trunk, number } => {
            writer.text("trunk", trunk.as_str());
            writer.text("to", number);
        }
    }
    writer.plain("auto-answer", make.auto_answer);
    writer.plain("ring-timeout-ms", make.ring_timeout_ms);
    writer.text("conversation-id", &make.conversation_id);
    if !make.elsewhere.is_empty() {
        write_json_header(writer, "elsewhere", &make.elsewhere);
    }
    if !make.forwarded.is_empty() {
        write_json_header(writer, "forwarded", &make.forwarded);
    }
    if !make.headers.is_empty() {
        write_json(writer, &make.headers);
    }
}

fn read_make(fields: Fields<'_>) -> Result<MakeParty, MessageError> {
    let target = match fields.optional("trunk")? {
        Some(trunk) => PartyTarget::Trunk {
            trunk: trunk.into(),
            number: fields.text("to")?,
        },
        None => PartyTarget::Dn(fields.dn("to")?),
    };
    Ok(MakeParty {
        conference: fields.conference()?,
        party: fields.party()?,
        target,
        caller: fields.dn("from")?,
        caller_name: fields.optional_text("from-name")?,
        presentation: read_presentation(fields)?,
        as_endpoint: fields.optional("as-endpoint")?.is_some() && fields.flag("as-endpoint")?,
        auto_answer: fields.flag("auto-answer")?,
        ring_timeout_ms: fields.number("ring-timeout-ms")?,
        conversation_id: fields.text("conversation-id")?,
        headers: fields.optional_json::<Headers>()?,
        forwarded: fields.optional_json_header("forwarded")?,
        elsewhere: fields.optional_json_header("elsewhere")?,
    })
}

/// `operation`.
pub(super) fn operation(fields: Fields<'_>) -> Result<OperationId, MessageError> {
    fields.number("operation").map(OperationId)
}
