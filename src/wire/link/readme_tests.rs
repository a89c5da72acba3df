//! The examples of `README.md` are what is sent.

use std::time::Duration;

use tandem_model::link::{
    Cause, ForwardReason, Forwarded, LinkNotification, LinkRequest, MakeParty, OperationId, PartyTarget, Presentation, ReleasedBy,
};
use tandem_model::{ConferenceId, DnId, PartyId};

use super::session::Session;
use super::{Hello, Identity, LINK_VERSION, Welcome};
use crate::mltp::{Carried, FrameWriter};

const README: &str = include_str!("../README.md");

/// The README has exactly this, as an example of its own.
fn is_shown(write: impl FnOnce(&mut Vec<u8>) -> FrameWriter<'_>) {
    let mut bytes = Vec::new();
    assert_eq!(write(&mut bytes).finish(), Ok(()));
    stands(&bytes);
}

fn stands(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes).replace("\r\n", "\n");
    let end = if text.ends_with('\n') { "" } else { "\n" };
    let block = format!("```text\n{text}{end}```");
    assert!(README.contains(&block), "not in the README:\n{block}");
}

fn numbered<'a>(message: &impl Carried, sequence: u64, out: &'a mut Vec<u8>) -> FrameWriter<'a> {
    let mut writer = message.write(out);
    writer.plain("sequence", sequence);
    writer
}

#[test]
fn the_examples_of_the_readme_are_what_is_sent() {
    let make = LinkRequest::MakeParty(MakeParty {
        conference: ConferenceId::new(ConferenceId::TSERVER, 1),
        party: PartyId(2),
        target: PartyTarget::Trunk {
            trunk: DnId::new("sip:carrier@tandem.local"),
            number: "0301234".into(),
        },
        caller: DnId::new("sip:1001@tandem.local"),
        caller_name: Some("Alice".into()),
        presentation: Presentation {
            unasserted: false,
            privacy: Some("id".into()),
        },
        as_endpoint: false,
        auto_answer: false,
        ring_timeout_ms: 60_000,
        conversation_id: "Tandem-1".into(),
        headers: vec![("X-Customer".into(), "4711".into())],
        forwarded: vec![Forwarded {
            by: DnId::new("sip:1002@tandem.local"),
            reason: ForwardReason::Deflection,
        }],
        elsewhere: Vec::new(),
    });
    is_shown(|out| numbered(&make, 7, out));
    let answer = LinkRequest::AnswerParty {
        conference: ConferenceId(9),
        operation: OperationId(4),
        party: PartyId(2),
    };
    is_shown(|out| numbered(&answer, 8, out));
    let alerting = LinkNotification::PartyAlerting {
        conference: ConferenceId(9),
        party: PartyId(2),
    };
    is_shown(|out| numbered(&alerting, 12, out));
    let failed = LinkNotification::OperationFailed {
        conference: ConferenceId(9),
        operation: OperationId(4),
        cause: Cause::status(ReleasedBy::Device, 489),
    };
    is_shown(|out| numbered(&failed, 13, out));
    let hello = Hello {
        version: LINK_VERSION,
        identity: Identity {
            instance: "1a1fce7bee1-27e00cdb".into(),
            connector: 0,
            name: "connector1".into(),
            pool: "default".into(),
        },
        session: Some("1a1fce7b30e-1a7d69f5/3".into()),
        received: 17,
        oldest: 4,
        your_timeout: Duration::from_secs(5),
        your_trace: false,
    };
    is_shown(|out| hello.write(out));
    let welcome = Welcome {
        version: LINK_VERSION,
        instance: "1a1fce7b30e-1a7d69f5".into(),
        session: "1a1fce7b30e-1a7d69f5/3".into(),
        resumed: true,
        received: 6,
    };
    is_shown(|out| welcome.write(out));
    is_shown(|out| {
        let mut writer = FrameWriter::new(out, "ACK");
        writer.plain("received", 65);
        writer
    });
    stands(&Session::<LinkRequest, LinkNotification>::refusal(
        "damaged message: unknown message DANCE",
    ));
}

#[test]
fn the_readme_names_every_message() {
    let requests = [
        "MAKE_PARTY",
        "RELEASE_PARTY",
        "RELEASE_CONFERENCE",
        "SET_AUDIO",
        "CONNECT_PARTY",
        "ANSWER_PARTY",
    ];
    let more = [
        "SEND_DIGITS",
        "MOVE_PARTY",
        "TRANSFER_PROGRESS",
        "AUDIT",
        "AUDIT_END",
        "ADDP_POLL",
        "ADDP_ANSWER",
    ];
    let up = ["CALL_OFFERED", "DN_CONTACTS", "HELLO", "WELCOME", "ACK", "ERROR"];
    let of_conferences = crate::mltp::notification::KNOWN.iter().copied();
    for name in requests.into_iter().chain(more).chain(up).chain(of_conferences) {
        assert!(README.contains(&format!("`{name}`")), "{name} is not in the README");
    }
}
