//! Tests of the call machine: golden transcripts of the flows of reference ch. 9.1 and 9.3, refusals, and properties under any input.

mod answer;
mod back_to_back;
mod conference;
mod consult;
mod direct;
mod extensions;
mod flows;
mod hold;
mod identity;
mod merge;
mod merged_data;
mod phone;
mod property;
mod random;
mod recovery;
mod refusals;
mod single_step;
mod stage;
mod user_data;

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::*;
use crate::link::{CallerId, Cause, LinkNotification, LinkRequest, PartyTarget, Presentation, ReleasedBy};
use crate::numbering::{DialRule, DnConfig};
use crate::{CallState, ClientId, KvValue, MakeCallType, PartyId, ReferenceId};

pub(super) const ALICE: &str = "sip:alice@tandem.local";
pub(super) const BOB: &str = "sip:bob@tandem.local";
pub(super) const TRUNK: &str = "sip:pstn@tandem.local";
pub(super) const CONN: ConnId = ConnId(0xa01);
pub(super) const CONFERENCE: ConferenceId = ConferenceId(7);
/// The ids of the two parties, in a call that was made.
pub(super) const A: PartyId = PartyId(1);
pub(super) const B: PartyId = PartyId(2);

pub(super) fn numbering() -> Arc<Numbering> {
    let mut alice = DnConfig::extension(ALICE);
    alice.auto_answer = true;
    alice.extension_number = Some("2000".into());
    alice.display_name = Some("Alice".into());
    let mut bob = DnConfig::extension(BOB);
    bob.extension_number = Some("2001".into());
    let mut outward = DialRule::new("0.", TRUNK);
    outward.strip = 1;
    outward.prepend = "+49".into();
    let mut premium = DialRule::new("0900.", TRUNK);
    premium.allow = false;
    let built = Numbering::builder()
        .domain("tandem.local")
        .dn(alice)
        .dn(bob)
        .dn(DnConfig::trunk(TRUNK))
        .rule(premium)
        .rule(outward)
        .build();
    Arc::new(built.unwrap())
}

pub(super) fn requestor() -> Requestor {
    Requestor {
        client: ClientId(5),
        reference_id: Some(ReferenceId(70)),
    }
}

pub(super) fn make_of(this_dn: &str, other_dn: &str) -> Make {
    Make {
        requestor: requestor(),
        this_dn: this_dn.into(),
        other_dn: other_dn.to_owned(),
        location: None,
        make_call_type: MakeCallType::Regular,
        user_data: [("campaign", "spring")].into_iter().collect(),
        reasons: KvList::new(),
        extensions: KvList::new(),
    }
}

pub(super) fn offered_from(from: CallerId, dialled: &str) -> CallOffered {
    CallOffered {
        conference: CONFERENCE,
        party: A,
        from,
        dialled: dialled.into(),
        conversation_id: None,
        sip_call_id: "abc@phone".into(),
        replaces: None,
        presentation: Presentation::default(),
        preferred: None,
        diverted_by: None,
        headers: Vec::new(),
    }
}

pub(super) fn from_pstn() -> CallerId {
    CallerId::Trunk {
        trunk: TRUNK.into(),
        number: "sip:+4930123@pstn.example.com".into(),
        name: Some("Carl".into()),
    }
}

/// A call, its clock, and all that it gave out.
pub(super) struct Rig {
    pub(super) call: Call,
    pub(super) now: Instant,
    pub(super) out: Vec<CallOutput>,
}

impl Rig {
    pub(super) fn new() -> Self {
        let ids = CallIds {
            conn_id: CONN,
            call_uuid: CallUuid(0x1234),
            call_id: 17,
            conversation_id: "conversation-1".into(),
            conference: CONFERENCE,
        };
        Self {
            call: Call::new(ids, numbering(), CallSettings::default()),
            now: Instant::now(),
            out: Vec::new(),
        }
    }

    pub(super) fn made(this_dn: &str, other_dn: &str) -> Self {
        let mut rig = Self::new();
        rig.input(CallInput::Make(Box::new(make_of(this_dn, other_dn))));
        rig
    }

    pub(super) fn dialled(dialled: &str) -> Self {
        let mut rig = Self::new();
        rig.input(CallInput::Offered(offered_from(CallerId::Extension(ALICE.into()), dialled)));
        rig
    }

    pub(super) fn inbound(dialled: &str) -> Self {
        let mut rig = Self::new();
        rig.input(CallInput::Offered(offered_from(from_pstn(), dialled)));
        rig
    }

    /// A second passes, then the input comes.
    pub(super) fn input(&mut self, input: CallInput) -> &mut Self {
        self.now += Duration::from_secs(1);
        self.call.handle(input, self.now, &mut self.out);
        self
    }

    pub(super) fn created(&mut self, party: PartyId) -> &mut Self {
        self.input(CallInput::Link(LinkNotification::PartyCreated {
            conference: CONFERENCE,
            party,
        }))
    }

    pub(super) fn alerting(&mut self, party: PartyId) -> &mut Self {
        self.input(CallInput::Link(LinkNotification::PartyAlerting {
            conference: CONFERENCE,
            party,
        }))
    }

    pub(super) fn connected(&mut self, party: PartyId) -> &mut Self {
        self.input(CallInput::Link(LinkNotification::PartyConnected {
            conference: CONFERENCE,
            party,
        }))
    }

    pub(super) fn released(&mut self, party: PartyId, cause: Cause) -> &mut Self {
        self.input(CallInput::Link(LinkNotification::PartyReleased {
            conference: CONFERENCE,
            party,
            cause,
        }))
    }

    pub(super) fn hung_up(&mut self, party: PartyId) -> &mut Self {
        self.released(party, Cause::normal(ReleasedBy::Device))
    }

    pub(super) fn failed(&mut self, party: PartyId, status: u16) -> &mut Self {
        self.released(party, Cause::status(ReleasedBy::Device, status))
    }

    pub(super) fn conference_ended(&mut self) -> &mut Self {
        self.input(CallInput::Link(LinkNotification::ConferenceEnded { conference: CONFERENCE }))
    }

    pub(super) fn request(&mut self, request: Request) -> &mut Self {
        self.input(CallInput::Request {
            requestor: requestor(),
            request,
        })
    }

    pub(super) fn release(&mut self, dn: &str) -> &mut Self {
        self.request(Request::ReleaseCall {
            this_dn: dn.into(),
            conn_id: CONN,
            reasons: KvList::new(),
        })
    }

    pub(super) fn clear(&mut self, dn: &str) -> &mut Self {
        self.request(Request::ClearCall {
            this_dn: dn.into(),
            conn_id: CONN,
            reasons: KvList::new(),
        })
    }

    /// Both parties of a made call are in talk.
    pub(super) fn talking() -> Self {
        let mut rig = Self::made(ALICE, BOB);
        rig.created(A).alerting(A).connected(A).created(B).alerting(B).connected(B);
        rig
    }

    /// Forgets what was given out so far.
    pub(super) fn forget(&mut self) -> &mut Self {
        self.out.clear();
        self
    }

    pub(super) fn events(&self) -> impl Iterator<Item = (&Event, bool)> {
        self.out.iter().filter_map(|output| match output {
            CallOutput::Event { event, requestor } => Some((event, requestor.is_some())),
            CallOutput::Answer { event, .. } => Some((event, true)),
            _ => None,
        })
    }

    /// Holds the transcript against the expected one, line by line, without indentation.
    pub(super) fn says(&self, expected: &str) {
        let expected: Vec<&str> = expected.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        assert_eq!(transcript(&self.out), expected);
    }

    pub(super) fn record(&self) -> CallRecord {
        let record = |output: &CallOutput| match output {
            CallOutput::Closed { record, .. } => Some(*record),
            _ => None,
        };
        let records: Vec<_> = self.out.iter().filter_map(record).collect();
        assert_eq!(records.len(), 1, "{records:?}");
        records[0]
    }
}

/// One line for each output. Events: `DN Event* role > other role state`, then what stands in the extensions about the cause.
pub(super) fn transcript(out: &[CallOutput]) -> Vec<String> {
    let lines = out.iter().filter(|output| !matches!(output, CallOutput::Finished));
    lines.map(line).collect()
}

fn line(output: &CallOutput) -> String {
    match output {
        CallOutput::Event { event, requestor } => event_line(event, requestor.is_some()),
        CallOutput::Answer { event, .. } => format!("only {}", event_line(event, true)),
        CallOutput::Link(LinkRequest::MakeParty(make)) => {
            let target = match &make.target {
                PartyTarget::Dn(dn) => dn.user().to_owned(),
                PartyTarget::Trunk { trunk, number } => format!("{number} over {}", trunk.user()),
            };
            let auto = if make.auto_answer { " auto-answer" } else { "" };
            format!("link: make {} {target} as {}{auto}", make.party, make.caller)
        }
        CallOutput::Link(LinkRequest::ReleaseParty { party, cause, .. }) => release_line(*party, cause),
        CallOutput::Link(other) => format!("link: {other:?}"),
        CallOutput::Closed { record, .. } => format!("finished {} {}", record.direction, record.outcome.name()),
        CallOutput::Opened { conn_id } => format!("opened {:x}", conn_id.0),
        CallOutput::DataLeftOut { .. } => "data left out".to_owned(),
        CallOutput::Absorb(wanted) => format!("absorb {wanted:?}"),
        CallOutput::Finished => "finished".to_owned(),
    }
}

/// A party that is let go of: with which status, and which Reason.
fn release_line(party: PartyId, cause: &Cause) -> String {
    let mut line = format!("link: release {party}");
    if let Some(status) = cause.sip_status {
        line += &format!(" {status}");
    }
    if let Some(reason) = &cause.reason {
        line += &format!(" reason={reason}");
    }
    line
}

fn event_line(event: &Event, starred: bool) -> String {
    let dn = |dn: &Option<DnId>| dn.as_ref().map_or("-".to_owned(), |dn| dn.user().to_owned());
    let role = |role: Option<DnRole>| role.map_or("-", DnRole::name);
    let star = if starred { "*" } else { "" };
    if let Some(error) = &event.error {
        return format!("{} EventError{star} {}", dn(&event.this_dn), error.code.number());
    }
    let mut line = format!(
        "{} {}{star} {} > {} {} {}",
        dn(&event.this_dn),
        event.name,
        role(event.this_dn_role),
        dn(&event.other_dn),
        role(event.other_dn_role),
        event.call_state.map_or("-", CallState::name),
    );
    for (key, mark) in [("SIP-Status", "sip"), ("Q850-Cause", "q850")] {
        if let Some(KvValue::Int(value)) = event.extensions.value(key) {
            line += &format!(" {mark}={value}");
        }
    }
    line
}
