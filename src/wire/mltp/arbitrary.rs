//! Any message of the link, for property tests.

use std::sync::Arc;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use tandem_model::connector::{
    ConnectorNotification, ConnectorRequest, ConnectorState, ConnectorStatus, CopiedRecord, DnContact, Peer, SipAddress,
};
use tandem_model::link::{
    AudioPlan, AudioSource, CallOffered, CallerId, Cause, ForwardReason, Forwarded, Headers, Hearing, LinkNotification,
    LinkRequest, MakeParty, MediaFlowState, OperationId, PartyProgress, PartyStatus, PartyTarget, Presentation, ReleasedBy, Tone,
    TransferId, TransferTarget,
};
use tandem_model::room::{RosterEntry, RosterRole, RosterState};
use tandem_model::{ConferenceId, ConnectorId, DnId, PartyId};

/// Text with everything in it that a line cannot have.
fn text() -> BoxedStrategy<Arc<str>> {
    prop_oneof![
        "[a-z0-9@:.;= ]{0,20}",
        "[\\\\\r\n\t \u{0}\u{7f}\u{85}äx]{0,8}",
        any::<String>()
    ]
    .prop_map(Into::into)
    .boxed()
}

fn dn() -> BoxedStrategy<DnId> {
    text().prop_map(|text| DnId::new(&text)).boxed()
}

fn conference() -> impl Strategy<Value = ConferenceId> {
    any::<u64>().prop_map(ConferenceId)
}

fn party() -> impl Strategy<Value = PartyId> {
    any::<u32>().prop_map(PartyId)
}

fn operation() -> impl Strategy<Value = OperationId> {
    any::<u32>().prop_map(OperationId)
}

fn transfer() -> impl Strategy<Value = TransferId> {
    any::<u32>().prop_map(TransferId)
}

fn headers() -> impl Strategy<Value = Headers> {
    vec((text(), text()), 0..4)
}

fn flow() -> impl Strategy<Value = MediaFlowState> {
    select(vec![
        MediaFlowState::Unknown,
        MediaFlowState::Connecting,
        MediaFlowState::Connected,
    ])
}

fn cause() -> impl Strategy<Value = Cause> {
    let by = select(vec![ReleasedBy::Device, ReleasedBy::Server, ReleasedBy::Network]);
    (by, option::of(any::<u16>()), option::of(any::<u8>()), option::of(text())).prop_map(|(by, sip_status, q850, reason)| Cause {
        by,
        sip_status,
        q850,
        reason,
    })
}

fn source() -> impl Strategy<Value = AudioSource> {
    prop_oneof![
        party().prop_map(AudioSource::Party),
        option::of(text()).prop_map(AudioSource::Music),
        select(Tone::ALL).prop_map(AudioSource::Tone),
        (text(), any::<bool>()).prop_map(|(name, repeat)| AudioSource::File { name, repeat }),
    ]
}

fn plan() -> impl Strategy<Value = AudioPlan> {
    let row = (party(), vec(source(), 0..4)).prop_map(|(party, sources)| Hearing {
        party,
        sources: sources.into(),
    });
    vec(row, 0..5).prop_map(|rows| AudioPlan { rows })
}

fn make() -> impl Strategy<Value = MakeParty> {
    let target = prop_oneof![
        dn().prop_map(PartyTarget::Dn),
        (dn(), text()).prop_map(|(trunk, number)| PartyTarget::Trunk { trunk, number }),
    ];
    let ids = (conference(), party(), any::<bool>(), any::<u64>());
    let words = (dn(), option::of(text()), text(), headers());
    let shown = (presentation(), vec(forwarded(), 0..3), any::<bool>());
    (ids, target, words, vec(contact(), 0..3), shown).prop_map(|(ids, target, words, elsewhere, shown)| MakeParty {
        elsewhere,
        presentation: shown.0,
        forwarded: shown.1,
        as_endpoint: shown.2,
        conference: ids.0,
        party: ids.1,
        target,
        caller: words.0,
        caller_name: words.1,
        auto_answer: ids.2,
        ring_timeout_ms: ids.3,
        conversation_id: words.2,
        headers: words.3,
    })
}

fn forwarded() -> impl Strategy<Value = Forwarded> {
    let reason = select(vec![ForwardReason::Unconditional, ForwardReason::Deflection]);
    (dn(), reason).prop_map(|(by, reason)| Forwarded { by, reason })
}

fn presentation() -> impl Strategy<Value = Presentation> {
    (any::<bool>(), option::of(text())).prop_map(|(unasserted, privacy)| Presentation { unasserted, privacy })
}

fn contact() -> impl Strategy<Value = DnContact> {
    let instance = (option::of(text()), option::of(any::<u32>()));
    let said = (text(), vec(text(), 0..3), any::<bool>(), any::<u16>(), any::<u64>(), instance);
    said.prop_map(|(uri, route, direct, q, expires_at, (instance, reg_id))| DnContact {
        uri,
        route,
        direct,
        q,
        expires_at,
        instance,
        reg_id,
    })
}

fn address() -> impl Strategy<Value = SipAddress> {
    (text(), text()).prop_map(|(transport, address)| SipAddress { transport, address })
}

fn record() -> impl Strategy<Value = CopiedRecord> {
    let bytes = || vec(any::<u8>(), 0..20);
    (any::<u8>(), bytes(), option::of(bytes())).prop_map(|(kind, id, value)| CopiedRecord { kind, id, value })
}

fn roster_entry() -> impl Strategy<Value = RosterEntry> {
    let part = select(vec![RosterRole::Moderator, RosterRole::Participant]);
    let state = select(vec![RosterState::Waiting, RosterState::Inside, RosterState::OnHold]);
    (dn(), option::of(text()), any::<bool>(), part, state, any::<bool>()).prop_map(|(dn, name, external, role, state, muted)| {
        RosterEntry {
            dn,
            name,
            external,
            role,
            state,
            muted,
        }
    })
}

fn connector_request() -> impl Strategy<Value = ConnectorRequest> {
    let connector = || any::<u16>().prop_map(ConnectorId);
    let peer = (connector(), vec(address(), 0..3), any::<bool>()).prop_map(|(connector, listens, available)| Peer {
        connector,
        listens,
        available,
    });
    prop_oneof![
        (vec(peer, 0..3), vec((dn(), connector()), 0..3)).prop_map(|(peers, rooms)| ConnectorRequest::Peers { peers, rooms }),
        (dn(), text(), any::<u64>()).prop_map(|(dn, uri, expires_at)| ConnectorRequest::ForgetContact { dn, uri, expires_at }),
        (dn(), contact()).prop_map(|(dn, contact)| ConnectorRequest::DeviceMoved { dn, contact }),
        (dn(), vec(roster_entry(), 0..3)).prop_map(|(dn, entries)| ConnectorRequest::Roster { dn, entries }),
        (vec(record(), 0..3), any::<bool>()).prop_map(|(records, end)| ConnectorRequest::Restore { records, end }),
        option::of(any::<u64>()).prop_map(|deadline_ms| ConnectorRequest::Suspend { deadline_ms }),
        Just(ConnectorRequest::Return),
    ]
}

fn connector_notification() -> impl Strategy<Value = ConnectorNotification> {
    let state = select(vec![
        ConnectorState::Running,
        ConnectorState::Suspending,
        ConnectorState::Suspended,
    ]);
    let status = (state, any::<u64>(), any::<u64>(), any::<u64>()).prop_map(|(state, conferences, transactions, sessions)| {
        ConnectorStatus {
            state,
            conferences,
            transactions,
            sessions,
        }
    });
    prop_oneof![
        (vec(address(), 0..3), any::<bool>()).prop_map(|(listens, is_empty)| ConnectorNotification::Here { listens, is_empty }),
        status.prop_map(ConnectorNotification::Status),
        (vec(record(), 0..3), any::<bool>()).prop_map(|(records, end)| ConnectorNotification::Records { records, end }),
    ]
}

fn offered() -> impl Strategy<Value = CallOffered> {
    let from = prop_oneof![
        dn().prop_map(CallerId::Extension),
        (dn(), dn(), option::of(text())).prop_map(|(trunk, number, name)| CallerId::Trunk { trunk, number, name }),
    ];
    let ids = (conference(), party(), option::of((conference(), party())));
    let words = (text(), option::of(text()), text(), option::of(text()), headers());
    let shown = (presentation(), option::of(dn()));
    (ids, from, words, shown).prop_map(|(ids, from, words, shown)| CallOffered {
        presentation: shown.0,
        preferred: shown.1,
        conference: ids.0,
        party: ids.1,
        from,
        dialled: words.0,
        conversation_id: words.1,
        sip_call_id: words.2,
        replaces: ids.2,
        diverted_by: words.3,
        headers: words.4,
    })
}

/// Any request.
pub(crate) fn request() -> BoxedStrategy<LinkRequest> {
    prop_oneof![
        make().prop_map(LinkRequest::MakeParty),
        (conference(), party(), cause()).prop_map(|(conference, party, cause)| LinkRequest::ReleaseParty {
            conference,
            party,
            cause
        }),
        (conference(), cause()).prop_map(|(conference, cause)| LinkRequest::ReleaseConference { conference, cause }),
        (conference(), operation(), plan()).prop_map(|(conference, operation, plan)| LinkRequest::SetAudio {
            conference,
            operation,
            plan
        }),
        (conference(), party()).prop_map(|(conference, party)| LinkRequest::ConnectParty { conference, party }),
        (conference(), operation(), party()).prop_map(|(conference, operation, party)| LinkRequest::AnswerParty {
            conference,
            operation,
            party
        }),
        (conference(), operation(), party(), text()).prop_map(|(conference, operation, party, digits)| {
            LinkRequest::SendDigits {
                conference,
                operation,
                party,
                digits,
            }
        }),
        (conference(), operation(), party(), conference(), party()).prop_map(
            |(conference, operation, party, from, from_party)| LinkRequest::MoveParty {
                conference,
                operation,
                party,
                from,
                from_party
            }
        ),
        conference().prop_map(|conference| LinkRequest::Audit { conference }),
        Just(LinkRequest::AuditEnd),
        (conference(), transfer(), any::<u16>()).prop_map(|(conference, transfer, status)| LinkRequest::TransferProgress {
            conference,
            transfer,
            status
        }),
        connector_request().prop_map(LinkRequest::Connector),
    ]
    .boxed()
}

/// Any notification.
pub(crate) fn notification() -> BoxedStrategy<LinkNotification> {
    let to = prop_oneof![
        (text(), option::of(text())).prop_map(|(to, referred_by)| TransferTarget::Address { to, referred_by }),
        (conference(), party()).prop_map(|(conference, party)| TransferTarget::Party { conference, party }),
    ];
    let status = (
        party(),
        select(vec![
            PartyProgress::Created,
            PartyProgress::Alerting,
            PartyProgress::Connected,
        ]),
        any::<bool>(),
        flow(),
    );
    let status = status.prop_map(|(party, progress, held, flow)| PartyStatus {
        party,
        progress,
        held,
        flow,
    });
    prop_oneof![
        offered().prop_map(LinkNotification::CallOffered),
        (conference(), party()).prop_map(|(conference, party)| LinkNotification::PartyCreated { conference, party }),
        (conference(), party()).prop_map(|(conference, party)| LinkNotification::PartyAlerting { conference, party }),
        (conference(), party()).prop_map(|(conference, party)| LinkNotification::PartyConnected { conference, party }),
        (conference(), party(), cause()).prop_map(|(conference, party, cause)| LinkNotification::PartyReleased {
            conference,
            party,
            cause
        }),
        (conference(), party(), any::<bool>()).prop_map(|(conference, party, held)| LinkNotification::PartyHeld {
            conference,
            party,
            held
        }),
        (conference(), party(), vec(text(), 0..3)).prop_map(|(conference, party, to)| LinkNotification::PartyRedirected {
            conference,
            party,
            to
        }),
        (conference(), party(), transfer(), to).prop_map(|(conference, party, transfer, to)| {
            LinkNotification::TransferRequested {
                conference,
                party,
                transfer,
                to,
            }
        }),
        (conference(), party()).prop_map(|(conference, party)| LinkNotification::PartyMoved { conference, party }),
        (conference(), party()).prop_map(|(conference, party)| LinkNotification::PartySpeaks { conference, party }),
        (conference(), party(), any::<char>()).prop_map(|(conference, party, digit)| LinkNotification::PartyDigit {
            conference,
            party,
            digit
        }),
        (conference(), party(), flow()).prop_map(|(conference, party, state)| LinkNotification::MediaFlow {
            conference,
            party,
            state
        }),
        (conference(), party()).prop_map(|(conference, party)| LinkNotification::PromptEnded { conference, party }),
        (conference(), operation()).prop_map(|(conference, operation)| LinkNotification::OperationDone { conference, operation }),
        (conference(), operation(), cause()).prop_map(|(conference, operation, cause)| LinkNotification::OperationFailed {
            conference,
            operation,
            cause
        }),
        (conference(), vec(status, 0..4))
            .prop_map(|(conference, parties)| LinkNotification::ConferenceState { conference, parties }),
        conference().prop_map(|conference| LinkNotification::ConferenceEnded { conference }),
        (dn(), vec(contact(), 0..3)).prop_map(|(dn, contacts)| LinkNotification::DnContacts { dn, contacts }),
        connector_notification().prop_map(LinkNotification::Connector),
    ]
    .boxed()
}
