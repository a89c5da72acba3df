//! A conference driven by a script, and its transcript. A script line that starts with `>` is an input; every other line is what
//! the conference answered. A transcript has both, so running a golden one again has to give the same text.
//!
//! | input | meaning |
//! |---|---|
//! | `offered P [SDP]` | a call comes in on leg 0 |
//! | `make P C1,C2 [auto] [ring=MS]` | MakeParty with these contacts (`-`: none) |
//! | `release P [STATUS]`, `release-all [STATUS]` | the T-Server side |
//! | `L: progress 180 [SDP]`, `L: answered [SDP]`, `L: failed 486 [Q850]` | an outgoing leg |
//! | `L: acked [SDP]`, `L: cancelled` | an incoming leg |
//! | `L: reoffered [SDP]`, `L: re-answered [SDP]`, `L: re-failed 488`, `L: info TEXT`, `L: ended [Q850]`, `L: lost` | a leg in talk |
//! | `wait MS` | time goes by, then Timeout |
//! | `abort` | the connector goes down |

use std::fmt::Write;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::conference::{Conference, ConferenceInput, ConferenceOutput, ConferenceSettings, OFFERED_LEG, OfferedCall};
use crate::leg::{AckBody, Contact, ContactVia, Description, Direction, LegCommand, LegEvent};
use crate::link::{CallerId, Cause, LinkNotification, MakeParty, PartyTarget, ReleasedBy};
use crate::{ConferenceId, LegId, PartyId};

/// The id of every conference in tests.
pub const CONFERENCE: ConferenceId = ConferenceId(7);

pub fn settings() -> ConferenceSettings {
    ConferenceSettings {
        // `a+x` sends its media where `a` does.
        same_media: |one, other| one.split(|b| *b == b'+').next() == other.split(|b| *b == b'+').next(),
        ..ConferenceSettings::default()
    }
}

pub fn offered(party: u32, offer: Option<Bytes>) -> ConferenceInput {
    ConferenceInput::Offered {
        party: PartyId(party),
        leg: OFFERED_LEG,
        offered: OfferedCall {
            from: CallerId::Extension("sip:a@x".into()),
            dialled: "b".into(),
            conversation_id: None,
            sip_call_id: "call-id".into(),
            replaces: None,
            diverted_by: None,
            headers: Vec::new(),
        },
        offer,
    }
}

pub fn make_party(party: u32, contacts: &[&str], auto_answer: bool, ring_timeout_ms: u64) -> ConferenceInput {
    let request = MakeParty {
        conference: CONFERENCE,
        party: PartyId(party),
        target: PartyTarget::Dn("sip:b@x".into()),
        caller: "sip:a@x".into(),
        caller_name: None,
        auto_answer,
        ring_timeout_ms,
        conversation_id: "conversation".into(),
        headers: Vec::new(),
    };
    let contact = |uri: &&str| Contact {
        uri: (*uri).into(),
        via: ContactVia::Binding("sip:b@x".into()),
    };
    ConferenceInput::MakeParty {
        request,
        contacts: contacts.iter().map(contact).collect(),
    }
}

/// A conference and what it said so far.
pub struct Scene {
    pub conference: Conference,
    now: Instant,
    pub transcript: String,
}

impl Scene {
    pub fn new() -> Self {
        Self {
            conference: Conference::new(CONFERENCE, settings()),
            now: Instant::now(),
            transcript: String::new(),
        }
    }

    /// Runs the inputs among the lines of `script`.
    pub fn run(script: &str) -> Self {
        let mut scene = Self::new();
        for line in script.lines() {
            if let Some(input) = line.trim().strip_prefix("> ") {
                scene.step(input);
            }
        }
        scene
    }

    /// Runs one input; gives what came of it, separated by `; `.
    pub fn step(&mut self, line: &str) -> String {
        let mut out = Vec::new();
        let input = self.read(line);
        self.conference.handle(input, self.now, &mut out);
        let _ = writeln!(self.transcript, "> {line}");
        let answers: Vec<String> = out.iter().map(show).collect();
        for answer in &answers {
            let _ = writeln!(self.transcript, "    {answer}");
        }
        answers.join("; ")
    }

    fn read(&mut self, line: &str) -> ConferenceInput {
        let mut words = line.split_whitespace();
        let verb = words.next().expect("a verb");
        let rest: Vec<&str> = words.collect();
        let number = |at: usize| rest[at].parse::<u32>().expect("a number");
        let cause = |at: usize| Cause {
            by: ReleasedBy::Server,
            sip_status: rest.get(at).map(|status| status.parse().expect("a status")),
            q850: None,
        };
        match verb {
            "offered" => offered(number(0), text(rest.get(1))),
            "make" => {
                let contacts: Vec<&str> = rest[1].split(',').filter(|contact| *contact != "-").collect();
                let ring = rest.iter().find_map(|word| word.strip_prefix("ring="));
                let ring = ring.map_or(60_000, |ms| ms.parse().expect("milliseconds"));
                make_party(number(0), &contacts, rest.contains(&"auto"), ring)
            }
            "release" => ConferenceInput::ReleaseParty {
                party: PartyId(number(0)),
                cause: cause(1),
            },
            "release-all" => ConferenceInput::ReleaseConference { cause: cause(0) },
            "wait" => {
                self.now += Duration::from_millis(number(0).into());
                ConferenceInput::Timeout
            }
            "abort" => ConferenceInput::Abort,
            leg => ConferenceInput::Leg {
                leg: LegId(leg.trim_end_matches(':').parse().expect("a leg")),
                event: event(&rest),
            },
        }
    }
}

fn text(word: Option<&&str>) -> Option<Bytes> {
    word.map(|word| Bytes::copy_from_slice(word.as_bytes()))
}

fn event(words: &[&str]) -> LegEvent {
    let status = || words[1].parse().expect("a status");
    let q850 = |at: usize| words.get(at).map(|cause| cause.parse().expect("a Q.850 cause"));
    let sdp = text(words.get(1));
    match words[0] {
        "progress" => LegEvent::Progress {
            status: status(),
            sdp: text(words.get(2)),
        },
        "answered" => LegEvent::Answered { sdp },
        "failed" => LegEvent::Failed {
            status: status(),
            q850: q850(2),
            contacts: Vec::new(),
        },
        "acked" => LegEvent::Acked { sdp },
        "cancelled" => LegEvent::Cancelled { q850: q850(1) },
        "reoffered" => LegEvent::Reoffered {
            offer: sdp,
            direction: Direction::SendRecv,
        },
        "re-answered" => LegEvent::ReinviteAnswered { sdp },
        "re-failed" => LegEvent::ReinviteFailed { status: status() },
        "info" => LegEvent::Info {
            content_type: "application/dtmf-relay".into(),
            body: sdp.expect("a body"),
        },
        "ended" => LegEvent::Ended {
            by_device: true,
            q850: q850(1),
        },
        "lost" => LegEvent::Ended {
            by_device: false,
            q850: None,
        },
        other => panic!("no such event: {other}"),
    }
}

/// An output as one line.
pub fn show(output: &ConferenceOutput) -> String {
    match output {
        ConferenceOutput::Leg { leg, command } => format!("{leg}: {}", show_command(command)),
        ConferenceOutput::Notify(notification) => format!("* {}", show_notification(notification)),
        ConferenceOutput::Media(command) => format!("media {command:?}"),
        ConferenceOutput::GiveAway { to, given, .. } => format!("give to {to}: {given:?}"),
    }
}

fn show_command(command: &LegCommand) -> String {
    let with = |name: &str, sdp: &Option<Description>| match sdp {
        Some(Description::Passed(sdp)) => format!("{name} {}", String::from_utf8_lossy(sdp)),
        Some(Description::Anchored) => format!("{name} PLANE"),
        None => name.to_owned(),
    };
    match command {
        LegCommand::Invite {
            contact,
            offer,
            auto_answer,
            ..
        } => with(
            &format!("INVITE {}{}", contact.uri, if *auto_answer { " auto" } else { "" }),
            offer,
        ),
        LegCommand::Progress { status, answer } => with(&status.to_string(), answer),
        LegCommand::Accept { sdp } => with("200", sdp),
        LegCommand::Reject { status } => status.to_string(),
        LegCommand::Ack { answer } => match answer {
            AckBody::Nothing => "ACK".to_owned(),
            AckBody::Answer(answer) => with("ACK", &Some(answer.clone())),
            AckBody::Inactive => "ACK (inactive)".to_owned(),
        },
        LegCommand::Cancel { completed_elsewhere } => if *completed_elsewhere { "CANCEL elsewhere" } else { "CANCEL" }.to_owned(),
        LegCommand::Reinvite { offer } => with("re-INVITE", offer),
        LegCommand::AcceptReinvite { sdp } => with("re-200", sdp),
        LegCommand::RejectReinvite { status } => format!("re-{status}"),
        LegCommand::Info { body, .. } => format!("INFO {}", String::from_utf8_lossy(body)),
        LegCommand::Talk => "NOTIFY talk".to_owned(),
        LegCommand::ReferProgress { refer, status } => format!("refer {} {status}", refer.0),
        LegCommand::Bye { q850 } => q850.map_or("BYE".to_owned(), |cause| format!("BYE q850={cause}")),
    }
}

fn show_notification(notification: &LinkNotification) -> String {
    match notification {
        LinkNotification::CallOffered(call) => format!("offered {}", call.party),
        LinkNotification::PartyCreated { party, .. } => format!("created {party}"),
        LinkNotification::PartyAlerting { party, .. } => format!("alerting {party}"),
        LinkNotification::PartyConnected { party, .. } => format!("connected {party}"),
        LinkNotification::PartyReleased { party, cause, .. } => {
            let mut line = format!("released {party} {:?}", cause.by);
            if let Some(status) = cause.sip_status {
                let _ = write!(line, " {status}");
            }
            if let Some(cause) = cause.q850 {
                let _ = write!(line, " q850={cause}");
            }
            line
        }
        LinkNotification::ConferenceEnded { .. } => "ended".to_owned(),
        LinkNotification::DnContacts { .. } => "contacts".to_owned(),
        other => format!("{other:?}"),
    }
}
