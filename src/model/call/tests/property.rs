//! Whatever comes in whatever order: one terminal event for each party, one answer for each request, one end.

use std::collections::HashMap;
use std::time::SystemTime;

use proptest::prelude::*;

use super::*;
use crate::event_log::EventLog;
use crate::{CallInfoType, EventName};

fn cause() -> impl Strategy<Value = Cause> {
    let by = prop_oneof![Just(ReleasedBy::Device), Just(ReleasedBy::Server), Just(ReleasedBy::Network)];
    let status = proptest::option::of(prop_oneof![
        Just(486),
        Just(480),
        Just(408),
        Just(404),
        Just(603),
        100..800_u16
    ]);
    (by, status, proptest::option::of(any::<u8>())).prop_map(|(by, sip_status, q850)| Cause {
        by,
        sip_status,
        q850,
        reason: None,
    })
}

fn notification() -> impl Strategy<Value = LinkNotification> {
    let conference = prop_oneof![9 => Just(CONFERENCE), 1 => Just(ConferenceId(8))];
    let party = prop_oneof![6 => Just(A), 6 => Just(B), 1 => Just(PartyId(3))];
    (0..6, conference, party, cause()).prop_map(|(kind, conference, party, cause)| match kind {
        0 => LinkNotification::PartyCreated { conference, party },
        1 => LinkNotification::PartyAlerting { conference, party },
        2 | 3 => LinkNotification::PartyConnected { conference, party },
        4 => LinkNotification::PartyReleased {
            conference,
            party,
            cause,
        },
        _ => LinkNotification::ConferenceEnded { conference },
    })
}

fn request() -> impl Strategy<Value = Request> {
    let dn = prop_oneof![4 => Just(ALICE), 4 => Just(BOB), 1 => Just(TRUNK)];
    let conn_id = prop_oneof![9 => Just(CONN), 1 => Just(ConnId(1))];
    (0..7, dn, conn_id).prop_map(|(kind, dn, conn_id)| {
        let (this_dn, reasons) = (DnId::new(dn), KvList::new());
        match kind {
            0 => Request::ReleaseCall {
                this_dn,
                conn_id,
                reasons,
            },
            1 => Request::ClearCall {
                this_dn,
                conn_id,
                reasons,
            },
            2 => Request::QueryCall {
                this_dn,
                conn_id,
                call_info_type: CallInfoType::StatusQuery,
                extensions: KvList::new(),
            },
            3 => Request::QueryServer,
            4 => Request::DeleteUserData {
                this_dn,
                conn_id,
                data_key: "campaign".to_owned(),
            },
            _ => Request::AttachUserData {
                this_dn,
                conn_id,
                user_data: [("key", "value")].into_iter().collect(),
            },
        }
    })
}

fn start() -> impl Strategy<Value = CallInput> {
    let number = prop_oneof![
        Just("2001"),
        Just("2000"),
        Just("bob"),
        Just("0305551234"),
        Just("0900123"),
        Just("?")
    ];
    (0..3, number).prop_map(|(kind, number)| match kind {
        0 => CallInput::Make(Box::new(make_of(ALICE, number))),
        1 => CallInput::Offered(offered_from(CallerId::Extension(ALICE.into()), number)),
        _ => CallInput::Offered(offered_from(from_pstn(), number)),
    })
}

fn input() -> impl Strategy<Value = CallInput> {
    prop_oneof![
        12 => notification().prop_map(CallInput::Link),
        3 => request().prop_map(|request| CallInput::Request { requestor: requestor(), request }),
        1 => start(),
        1 => Just(CallInput::LinkLost),
        1 => Just(CallInput::Timeout),
    ]
}

/// What was seen so far, and the rules it is held against.
#[derive(Default)]
struct Watch {
    parties: HashMap<DnId, Vec<EventName>>,
    made: Vec<PartyId>,
    finished: u32,
}

impl Watch {
    fn see(&mut self, output: &CallOutput) {
        match output {
            CallOutput::Event { event, .. } => self.see_event(event),
            CallOutput::Answer { event, .. } => assert!(!event.name.is_terminal()),
            CallOutput::Link(LinkRequest::MakeParty(make)) => {
                assert_eq!(self.finished, 0);
                assert!(!self.made.contains(&make.party), "party {} is made twice", make.party);
                self.made.push(make.party);
            }
            CallOutput::Link(_) => assert_eq!(self.finished, 0),
            CallOutput::Closed { record, .. } => assert_eq!(record.talk.is_some(), record.outcome == Outcome::Answered),
            CallOutput::Finished => self.finished += 1,
            CallOutput::Opened { .. } | CallOutput::Absorb(_) | CallOutput::DataLeftOut { .. } => unreachable!("nobody consults"),
        }
    }

    fn see_event(&mut self, event: &Event) {
        assert_eq!(self.finished, 0, "an event after the end");
        let seen = self.parties.entry(event.this_dn.clone().unwrap()).or_default();
        let first = matches!(event.name, EventName::EventDialing | EventName::EventRinging);
        assert_eq!(first, seen.is_empty(), "{} after {seen:?}", event.name);
        assert!(
            !seen.iter().any(|name| name.is_terminal()),
            "{} after the terminal event",
            event.name
        );
        assert_eq!(event.name.is_terminal(), event.party_state == Some(PartyState::Null));
        assert!(event.conn_id == Some(CONN) && event.extensions.text("Conversation-ID").is_some());
        seen.push(event.name);
    }
}

fn answers(out: &[CallOutput]) -> usize {
    out.iter()
        .filter(|output| {
            matches!(
                output,
                CallOutput::Answer { .. } | CallOutput::Event { requestor: Some(_), .. }
            )
        })
        .count()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn one_terminal_event_for_each_party_one_answer_for_each_request_one_end(
        first in start(),
        rest in proptest::collection::vec(input(), 0..24),
    ) {
        let mut rig = Rig::new();
        let mut watch = Watch::default();
        let mut log = EventLog::new("epoch");
        let mut deliveries = Vec::new();
        for input in [first].into_iter().chain(rest).chain([CallInput::LinkLost]) {
            let asked = usize::from(matches!(input, CallInput::Make(_) | CallInput::Request { .. }));
            rig.forget().input(input);
            prop_assert_eq!(answers(&rig.out), asked);
            for output in std::mem::take(&mut rig.out) {
                watch.see(&output);
                if let CallOutput::Event { event, requestor } = output {
                    log.publish(event, requestor, SystemTime::UNIX_EPOCH, &mut deliveries);
                }
            }
            prop_assert_eq!(rig.call.is_finished(), watch.finished == 1);
            let talks = rig.call.conns.iter().any(|conn| conn.stage == conn::Stage::Talking);
            prop_assert!(rig.call.is_finished() || talks || rig.call.next_timeout().is_some());
        }
        prop_assert_eq!(watch.finished, 1);
        for (dn, seen) in &watch.parties {
            prop_assert_eq!(seen.iter().filter(|name| name.is_terminal()).count(), 1, "{} had {:?}", dn, seen);
        }
        prop_assert!(log.parties_of(CONN).is_empty());
        prop_assert_eq!(log.calls_on(&ALICE.into()) + log.calls_on(&BOB.into()), 0);
    }
}
