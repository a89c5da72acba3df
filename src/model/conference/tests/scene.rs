//! A conference driven by a script, and its transcript. A script line that starts with `>` is an input; every other line is what
//! the conference answered. A transcript has both, so running a golden one again has to give the same text.
//!
//! | input | meaning |
//! |---|---|
//! | `offered P [SDP]` | a call comes in on leg 0 |
//! | `make P C1,C2 [auto] [ring=MS]` | MakeParty with these contacts (`-`: none) |
//! | `release P [STATUS [reason=R]]`, `release-all [STATUS]` | the T-Server side |
//! | `L: progress 180 [SDP]`, `L: answered [SDP]`, `L: failed 486 [Q850] [reason=R]`, `L: talked 200` | an outgoing leg |
//! | `L: acked [SDP]`, `L: cancelled [Q850] [reason=R]` | an incoming leg |
//! | `L: reoffered [SDP]`, `L: re-answered [SDP]`, `L: re-failed 488`, `L: info TEXT`, `L: ended [Q850] [reason=R]`, `L: lost` | a leg in talk |
//! | `wait MS` | time goes by, then Timeout |
//! | `abort` | the connector goes down |
//! | `audit` | the T-Server side wants to know how things are |
//! | `crash [L,L]` | begins anew from the snapshot, with the sessions of these legs (all of them, where none are named) |
//! | `set anchored`, `set descend`, `set small` | begins anew with this setting |
//! | `audio OP P=S,S P=-` | SetAudio; a source is a party's number, `music`, `busy`, `file` |
//! | `digits OP P 12`, `answer OP P`, `connect P` | the other requests |
//! | `transfer L R`, `progress T STATUS` | a REFER that was looked up, and what the T-Server side says of it |
//! | `give P OP`, `take OP P LEG [held]` (`-`: nothing given) | MoveParty |
//! | `L: held SDP`, `L: referred R`, `L: failed 302 >URI` | more of a leg |
//! | `L: flowing`, `L: speaks`, `L: pressed 5`, `L: file-over`, `L: refused` | the media plane |
//!
//! What is told of media flow is in transcripts only: [`Scene::step`] leaves it out.

use std::fmt::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::conference::MOVED_LEGS;
use crate::conference::{
    Conference, ConferenceInput, ConferenceOutput, ConferenceSettings, ConferenceSnapshot, GivenParty, OFFERED_LEG, OfferedCall,
};
use crate::leg::{
    AckBody, Contact, ContactVia, Description, Direction, LegCommand, LegEvent, MediaCommand, MediaEvent, MediaSource, ReferId,
};
use crate::link::{
    AudioPlan, AudioSource, COMPLETED_ELSEWHERE, CallerId, Cause, Hearing, LinkNotification, MakeParty, MediaFlowState,
    OperationId, PartyStatus, PartyTarget, Presentation, ReleasedBy, Tone, TransferId, TransferTarget,
};
use crate::{ConferenceId, LegId, PartyId};

/// The id of every conference in tests.
pub const CONFERENCE: ConferenceId = ConferenceId(7);

pub fn settings() -> ConferenceSettings {
    ConferenceSettings {
        // `a+x` sends its media where `a` does.
        same_media: |one, other| one.split(|b| *b == b'+').next() == other.split(|b| *b == b'+').next(),
        direction: |sdp| {
            if sdp.ends_with(b"-hold") || sdp.ends_with(b"+7") {
                Direction::SendOnly
            } else {
                Direction::SendRecv
            }
        },
        // `a/recvonly` is `a` as it answers one that holds.
        both_ways: |sdp| sdp.slice(..sdp.len() - if sdp.ends_with(b"/recvonly") { 9 } else { 0 }),
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
            presentation: Presentation::default(),
            preferred: None,
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
        presentation: Presentation::default(),
        as_endpoint: false,
        forwarded: Vec::new(),
        auto_answer,
        ring_timeout_ms,
        conversation_id: "conversation".into(),
        headers: Vec::new(),
        elsewhere: Vec::new(),
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
    pub settings: ConferenceSettings,
    now: Instant,
    pub transcript: String,
}

impl Scene {
    pub fn new() -> Self {
        Self {
            conference: Conference::new(CONFERENCE, settings()),
            settings: settings(),
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
        let _ = writeln!(self.transcript, "> {line}");
        if let Some(setting) = line.strip_prefix("set ") {
            self.settings = ConferenceSettings {
                anchored: setting == "anchored",
                descend: setting == "descend",
                digits_by_info: setting == "info",
                max_parties: if setting == "small" { 2 } else { 128 },
                ..settings()
            };
            self.conference = Conference::new(CONFERENCE, self.settings);
            return String::new();
        }
        let mut out = Vec::new();
        if let Some(legs) = line.strip_prefix("crash") {
            self.crash(legs.trim(), &mut out);
        } else {
            let input = self.read(line);
            self.conference.handle(input, self.now, &mut out);
        }
        let answers: Vec<String> = out.iter().map(show).collect();
        for answer in &answers {
            let _ = writeln!(self.transcript, "    {answer}");
        }
        let told: Vec<String> = answers.into_iter().filter(|answer| !answer.starts_with("* flow")).collect();
        told.join("; ")
    }

    fn crash(&mut self, legs: &str, out: &mut Vec<ConferenceOutput>) {
        let snapshot = kept(&self.conference).expect("somebody in talk");
        let legs: Vec<LegId> = match legs {
            "" => snapshot.legs().map(|(_, leg)| leg).collect(),
            legs => legs.split(',').filter(|leg| *leg != "-").map(leg_named).collect(),
        };
        self.conference = Conference::restore(snapshot, self.settings, &legs, self.now, out);
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
            reason: rest.iter().find_map(|word| word.strip_prefix("reason=")).map(Into::into),
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
            "audio" => ConferenceInput::SetAudio {
                operation: OperationId(number(0)),
                plan: plan(&rest[1..]),
            },
            "digits" => ConferenceInput::SendDigits {
                operation: OperationId(number(0)),
                party: PartyId(number(1)),
                digits: rest[2].into(),
            },
            "answer" => ConferenceInput::AnswerParty {
                operation: OperationId(number(0)),
                party: PartyId(number(1)),
            },
            "connect" => ConferenceInput::ConnectParty {
                party: PartyId(number(0)),
            },
            "transfer" => ConferenceInput::TransferRequested {
                leg: LegId(number(0).into()),
                refer: ReferId(number(1).into()),
                to: TransferTarget::Address {
                    to: "sip:z@x".into(),
                    referred_by: None,
                },
            },
            "progress" => ConferenceInput::TransferProgress {
                transfer: TransferId(number(0)),
                status: rest[1].parse().expect("a status"),
            },
            "give" => ConferenceInput::Give {
                party: PartyId(number(0)),
                to: ConferenceId(9),
                operation: OperationId(number(1)),
                as_party: PartyId(77),
            },
            "take" => ConferenceInput::Take {
                operation: OperationId(number(0)),
                party: PartyId(number(1)),
                given: (rest[2] != "-").then(|| GivenParty {
                    leg: LegId(MOVED_LEGS + u64::from(number(2))),
                    device_held: rest.contains(&"held"),
                    media_flow: MediaFlowState::Connected,
                }),
            },
            "release-all" => ConferenceInput::ReleaseConference { cause: cause(0) },
            "wait" => {
                self.now += Duration::from_millis(number(0).into());
                ConferenceInput::Timeout
            }
            "abort" => ConferenceInput::Abort,
            "audit" => ConferenceInput::Audit,
            leg => {
                let leg = leg_named(leg.trim_end_matches(':'));
                match media_event(&rest) {
                    Some(event) => ConferenceInput::Media { leg, event },
                    None => ConferenceInput::Leg {
                        leg,
                        event: event(&rest),
                    },
                }
            }
        }
    }
}

/// What the journal gives back of a conference.
pub fn kept(conference: &Conference) -> Option<ConferenceSnapshot> {
    let snapshot = conference.snapshot()?;
    let record = rmp_serde::to_vec_named(&snapshot).expect("a record");
    assert_eq!(rmp_serde::to_vec_named(&conference.snapshot()).expect("a record"), record);
    let read: ConferenceSnapshot = rmp_serde::from_slice(&record).expect("a snapshot");
    assert_eq!(read, snapshot);
    Some(read)
}

fn leg_named(word: &str) -> LegId {
    let number: u64 = word.trim_start_matches('m').parse().expect("a leg");
    LegId(if word.starts_with('m') { MOVED_LEGS + number } else { number })
}

fn text(word: Option<&&str>) -> Option<Bytes> {
    word.map(|word| Bytes::copy_from_slice(word.as_bytes()))
}

fn media_event(words: &[&str]) -> Option<MediaEvent> {
    match words[0] {
        "flowing" => Some(MediaEvent::Flowing),
        "speaks" => Some(MediaEvent::Speaks),
        "pressed" => Some(MediaEvent::Digit(words[1].chars().next().expect("a key"))),
        "file-over" => Some(MediaEvent::Ended),
        "refused" => Some(MediaEvent::Refused),
        _ => None,
    }
}

/// `0=1,music 1=-`.
fn plan(rows: &[&str]) -> AudioPlan {
    let source = |word: &str| match word {
        "music" => AudioSource::Music(None),
        "busy" => AudioSource::Tone(Tone::Busy),
        "file" => AudioSource::File {
            name: "file".into(),
            repeat: false,
        },
        party => AudioSource::Party(PartyId(party.parse().expect("a party"))),
    };
    let row = |row: &&str| {
        let (party, sources) = row.split_once('=').expect("a row");
        Hearing {
            party: PartyId(party.parse().expect("a party")),
            sources: sources.split(',').filter(|word| *word != "-").map(source).collect(),
        }
    };
    AudioPlan {
        rows: rows.iter().map(row).collect(),
    }
}

fn event(words: &[&str]) -> LegEvent {
    let status = || words[1].parse().expect("a status");
    // What stands behind the last word that the event needs.
    let q850 = |at: usize| {
        let word = words.get(at).filter(|word| !word.starts_with(['>', 'r']));
        word.map(|cause| cause.parse().expect("a Q.850 cause"))
    };
    let reason = || words.iter().find_map(|word| word.strip_prefix("reason=")).map(Into::into);
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
            reason: reason(),
            contacts: words
                .iter()
                .filter_map(|word| word.strip_prefix('>'))
                .map(Into::into)
                .collect(),
        },
        "acked" => LegEvent::Acked { sdp },
        "cancelled" => LegEvent::Cancelled {
            q850: q850(1),
            reason: reason(),
        },
        "reoffered" => LegEvent::Reoffered {
            offer: sdp,
            direction: Direction::SendRecv,
        },
        "held" => LegEvent::Reoffered {
            offer: sdp,
            direction: Direction::SendOnly,
        },
        "referred" => LegEvent::Referred {
            refer: ReferId(words[1].parse().expect("a number")),
            to: "sip:z@x".into(),
            replaces: None,
        },
        "re-answered" => LegEvent::ReinviteAnswered { sdp },
        "re-failed" => LegEvent::ReinviteFailed { status: status() },
        "talked" => LegEvent::Talked { status: status() },
        "info" => LegEvent::Info {
            content_type: "application/dtmf-relay".into(),
            body: sdp.expect("a body"),
        },
        "ended" => LegEvent::Ended {
            by_device: true,
            q850: q850(1),
            reason: reason(),
        },
        "lost" => LegEvent::Ended {
            by_device: false,
            q850: None,
            reason: None,
        },
        other => panic!("no such event: {other}"),
    }
}

/// An output as one line.
pub fn show(output: &ConferenceOutput) -> String {
    match output {
        ConferenceOutput::Leg { leg, command } => format!("{}: {}", name(*leg), show_command(command)),
        ConferenceOutput::Notify(notification) => format!("* {}", show_notification(notification)),
        ConferenceOutput::Media(command) => show_media(command),
        ConferenceOutput::GiveAway {
            to, operation, given, ..
        } => {
            let given = given.as_ref().map_or("nothing".to_owned(), |given| {
                format!("leg {}{}", name(given.leg), if given.device_held { " held" } else { "" })
            });
            format!("to {to} for {}: {given}", operation.0)
        }
    }
}

/// A leg's number; one that was taken over is `m` and the rest.
fn name(leg: LegId) -> String {
    match leg.0.checked_sub(MOVED_LEGS) {
        Some(moved) => format!("m{moved}"),
        None => leg.to_string(),
    }
}

fn show_media(command: &MediaCommand) -> String {
    let source = |source: &MediaSource| match source {
        MediaSource::Leg(leg) => name(*leg),
        MediaSource::Music(_) => "music".to_owned(),
        MediaSource::Tone(tone) => format!("{tone:?}").to_lowercase(),
        MediaSource::File { name, .. } => name.to_string(),
    };
    match command {
        MediaCommand::Hear { leg, sources } if sources.is_empty() => format!("{} hears -", name(*leg)),
        MediaCommand::Hear { leg, sources } => {
            let sources: Vec<String> = sources.iter().map(source).collect();
            format!("{} hears {}", name(*leg), sources.join(","))
        }
        MediaCommand::Digits { leg, digits } => format!("{} digits {digits}", name(*leg)),
        MediaCommand::Close { leg } => format!("{} closed", name(*leg)),
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
        LegCommand::Reject { status, reason } => because(&status.to_string(), reason),
        LegCommand::Ack { answer } => match answer {
            AckBody::Nothing => "ACK".to_owned(),
            AckBody::Answer(answer) => with("ACK", &Some(answer.clone())),
            AckBody::Inactive => "ACK (inactive)".to_owned(),
        },
        LegCommand::Cancel { reason } => because("CANCEL", reason),
        LegCommand::Reinvite { offer } => with("re-INVITE", offer),
        LegCommand::AcceptReinvite { sdp } => with("re-200", sdp),
        LegCommand::RejectReinvite { status } => format!("re-{status}"),
        LegCommand::Info { body, .. } => format!("INFO {}", String::from_utf8_lossy(body)),
        LegCommand::Talk => "NOTIFY talk".to_owned(),
        LegCommand::ReferProgress { refer, status } => format!("refer {} {status}", refer.0),
        LegCommand::Bye { reason } => because("BYE", reason),
    }
}

/// What is told with a Reason; a Q.850 cause alone by its number.
fn because(told: &str, reason: &Option<Arc<str>>) -> String {
    match reason.as_deref() {
        None => told.to_owned(),
        Some(COMPLETED_ELSEWHERE) => format!("{told} elsewhere"),
        Some(reason) => match reason.strip_prefix("Q.850;cause=") {
            Some(cause) if cause.parse::<u8>().is_ok() => format!("{told} q850={cause}"),
            _ => format!("{told} reason={reason}"),
        },
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
        LinkNotification::ConferenceState { parties, .. } => {
            let party = |status: &PartyStatus| {
                format!(
                    "{}={:?}{}",
                    status.party,
                    status.progress,
                    if status.held { "(held)" } else { "" }
                )
            };
            format!("state {}", parties.iter().map(party).collect::<Vec<_>>().join(" "))
        }
        LinkNotification::DnContacts { .. } | LinkNotification::Connector(_) => "of no conference".to_owned(),
        LinkNotification::PartyHeld { party, held, .. } => format!("{} {party}", if *held { "held" } else { "resumed" }),
        LinkNotification::PartyRedirected { party, to, .. } => format!("redirected {party} {}", to.join(",")),
        LinkNotification::TransferRequested { party, transfer, .. } => format!("transfer {} by {party}", transfer.0),
        LinkNotification::PartyMoved { party, .. } => format!("moved {party}"),
        LinkNotification::PartyDigit { party, digit, .. } => format!("digit {party} {digit}"),
        LinkNotification::PartySpeaks { party, .. } => format!("speaks {party}"),
        LinkNotification::MediaFlow { party, state, .. } => format!("flow {party} {state:?}"),
        LinkNotification::PromptEnded { party, .. } => format!("prompt-ended {party}"),
        LinkNotification::OperationDone { operation, .. } => format!("done {}", operation.0),
        LinkNotification::OperationFailed { operation, cause, .. } => {
            let by = match cause.by {
                ReleasedBy::Device => " Device",
                ReleasedBy::Server | ReleasedBy::Network => "",
            };
            format!("failed {} {}{by}", operation.0, cause.sip_status.unwrap_or_default())
        }
    }
}
