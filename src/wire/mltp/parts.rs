//! What several messages have in them.

use serde::Serialize;
use tandem_model::link::{Cause, MediaFlowState, Presentation, ReleasedBy};

use super::fields::Fields;
use super::{FrameWriter, MessageError};

/// `released-by`, `sip-status`, `q850`, `reason`.
pub(super) fn write_cause(writer: &mut FrameWriter<'_>, cause: &Cause) {
    let by = match cause.by {
        ReleasedBy::Device => "DEVICE",
        ReleasedBy::Server => "SERVER",
        ReleasedBy::Network => "NETWORK",
    };
    writer.plain("released-by", by);
    if let Some(status) = cause.sip_status {
        writer.plain("sip-status", status);
    }
    if let Some(q850) = cause.q850 {
        writer.plain("q850", q850);
    }
    if let Some(reason) = &cause.reason {
        writer.text("reason", reason);
    }
}

/// Reads what [`write_cause`] wrote.
pub(super) fn read_cause(fields: Fields<'_>) -> Result<Cause, MessageError> {
    let by = fields.word("released-by", "DEVICE, SERVER or NETWORK", |word| match word {
        "DEVICE" => Some(ReleasedBy::Device),
        "SERVER" => Some(ReleasedBy::Server),
        "NETWORK" => Some(ReleasedBy::Network),
        _ => None,
    })?;
    Ok(Cause {
        by,
        sip_status: fields.optional_number("sip-status")?,
        q850: fields.optional_number("q850")?,
        reason: fields.optional_text("reason")?,
    })
}

/// The name of a media flow state.
pub(super) fn flow_name(state: MediaFlowState) -> &'static str {
    match state {
        MediaFlowState::Unknown => "UNKNOWN",
        MediaFlowState::Connecting => "CONNECTING",
        MediaFlowState::Connected => "CONNECTED",
    }
}

/// The media flow state of that name.
pub(super) fn flow_of(name: &str) -> Option<MediaFlowState> {
    match name {
        "UNKNOWN" => Some(MediaFlowState::Unknown),
        "CONNECTING" => Some(MediaFlowState::Connecting),
        "CONNECTED" => Some(MediaFlowState::Connected),
        _ => None,
    }
}

/// Sets a JSON body.
pub(super) fn write_json(writer: &mut FrameWriter<'_>, value: &impl Serialize) {
    // The types of the link have no maps with keys that are no text: this does not fail.
    if let Ok(body) = serde_json::to_vec(value) {
        writer.plain("content-type", "application/json");
        writer.body(&body);
    }
}

/// A header whose value is JSON.
pub(super) fn write_json_header(writer: &mut FrameWriter<'_>, name: &str, value: &impl Serialize) {
    // As above.
    if let Ok(text) = serde_json::to_string(value) {
        writer.text(name, &text);
    }
}

/// `privacy` and `unasserted`: neither is the rule.
pub(super) fn write_presentation(presentation: &Presentation, writer: &mut FrameWriter<'_>) {
    writer.optional("privacy", presentation.privacy.as_deref());
    if presentation.unasserted {
        writer.plain("unasserted", true);
    }
}

pub(super) fn read_presentation(fields: Fields<'_>) -> Result<Presentation, MessageError> {
    Ok(Presentation {
        unasserted: fields.optional("unasserted")?.is_some() && fields.flag("unasserted")?,
        privacy: fields.optional_text("privacy")?,
    })
}
