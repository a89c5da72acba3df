//! A leg's words as it climbs, answers, moves and ends, with a media plane that only takes notes.

use std::net::SocketAddr;
use std::sync::Mutex;

use tandem_media::endpoint::PortSettings;
use tandem_media::plane::{OpenError, PortRestore};
use tandem_model::leg::Direction;

use super::*;

mod restore;

const LEG: LegId = LegId(1);
const CONFERENCE: ConferenceId = ConferenceId(7);
const DEVICE: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.5\r\ns=-\r\nc=IN IP4 192.0.2.5\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8 0\r\n";
const VIDEO_TOO: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.5\r\ns=-\r\nc=IN IP4 192.0.2.5\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8 0\r\nm=video 4002 RTP/AVP 96\r\na=rtpmap:96 VP8/90000\r\n";
const MOVED: &str = "v=0\r\no=- 1 2 IN IP4 192.0.2.5\r\ns=-\r\nc=IN IP4 192.0.2.5\r\nt=0 0\r\nm=audio 4010 RTP/AVP 8 0\r\n";
const STRANGE: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.5\r\ns=-\r\nc=IN IP4 192.0.2.5\r\nt=0 0\r\nm=audio 4000 RTP/AVP 18\r\n";

/// What was asked of the plane, in order.
#[derive(Default)]
struct Notes {
    full: bool,
    /// A port that somebody else has.
    taken: Option<u16>,
    opened: Mutex<u64>,
    said: Mutex<Vec<String>>,
}

impl Notes {
    fn say(&self, text: String) {
        self.said.lock().unwrap().push(text);
    }

    fn taken(&self) -> Vec<String> {
        std::mem::take(&mut self.said.lock().unwrap())
    }
}

impl Media for Notes {
    fn open(&self, conference: ConferenceId) -> Result<Port, OpenError> {
        if self.full {
            return Err(OpenError::NoPort);
        }
        let mut opened = self.opened.lock().unwrap();
        *opened += 1;
        self.say(format!("open {} of {}", *opened, conference.0));
        Ok(port(*opened, 20_000 + 2 * *opened as u16))
    }

    fn reopen(&self, conference: ConferenceId, restore: PortRestore) -> Result<Port, OpenError> {
        let local = restore.local;
        if self.taken == Some(local.port()) {
            return Err(OpenError::Taken { local });
        }
        let mut opened = self.opened.lock().unwrap();
        *opened += 1;
        self.say(format!("reopen {} of {} at {}", *opened, conference.0, local.port()));
        Ok(port(*opened, local.port()))
    }

    fn set(&self, port: PortId, settings: PortSettings) {
        self.say(format!("set {} {:?} {}", port.0, settings.codec, settings.remote.unwrap()));
    }

    fn hear(&self, port: PortId, sources: Vec<Source>) {
        self.say(format!("hear {} {sources:?}", port.0));
    }

    fn digits(&self, port: PortId, digits: Arc<str>) {
        self.say(format!("digits {} {digits}", port.0));
    }

    fn rehome(&self, port: PortId, conference: ConferenceId) {
        self.say(format!("rehome {} to {}", port.0, conference.0));
    }

    fn leave(&self, port: PortId) {
        self.say(format!("leave {}", port.0));
    }

    fn close(&self, port: PortId) {
        self.say(format!("close {}", port.0));
    }
}

fn port(id: u64, local: u16) -> Port {
    Port {
        id: PortId(id),
        local: SocketAddr::from(([127, 0, 0, 1], local)),
        stream: StreamMark {
            ssrc: 0xdead_beef,
            sequence: 40_000,
            timestamp: 3_000_000_000,
            clock_hz: 8_000,
            at_us: 1_790_000_000_000_000,
        },
    }
}

fn anchors() -> (Anchors, Arc<Notes>) {
    of(Notes::default())
}

fn of(notes: Notes) -> (Anchors, Arc<Notes>) {
    let notes = Arc::new(notes);
    (Anchors::new(CONFERENCE, notes.clone(), Capabilities::default()), notes)
}

fn sdp(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

/// The description in a command that goes out.
fn said(resolved: Resolved) -> String {
    let description = match resolved {
        Resolved::Send(LegCommand::Reinvite { offer }) => offer,
        Resolved::Send(LegCommand::Accept { sdp } | LegCommand::AcceptReinvite { sdp }) => sdp,
        Resolved::Send(LegCommand::Progress { answer, .. }) => answer,
        Resolved::Send(LegCommand::Ack {
            answer: AckBody::Answer(sdp),
        }) => Some(sdp),
        Resolved::Send(other) => panic!("{other:?}"),
        Resolved::Refused { heard, .. } => panic!("refused: {heard:?}"),
    };
    match description {
        Some(Description::Passed(sdp)) => String::from_utf8(sdp.to_vec()).unwrap(),
        other => panic!("{other:?}"),
    }
}

fn reinvite() -> LegCommand {
    LegCommand::Reinvite {
        offer: Some(Description::Anchored),
    }
}

fn accept() -> LegCommand {
    LegCommand::Accept {
        sdp: Some(Description::Anchored),
    }
}

fn invite(offer: Description) -> LegCommand {
    LegCommand::Invite {
        party: tandem_model::PartyId(1),
        presentation: tandem_model::link::Presentation::default(),
        contact: tandem_model::leg::Contact {
            uri: "sip:b@192.0.2.5".into(),
            via: tandem_model::leg::ContactVia::Binding("sip:b@x".into()),
        },
        offer: Some(offer),
        caller: "sip:a@x".into(),
        caller_name: None,
        auto_answer: false,
        conversation_id: "conversation".into(),
        headers: Vec::new(),
        forwarded: Vec::new(),
    }
}

fn reoffered(offer: &Bytes) -> LegEvent {
    LegEvent::Reoffered {
        offer: Some(offer.clone()),
        direction: Direction::SendRecv,
    }
}

#[test]
fn a_leg_that_climbs_offers_a_port_in_the_terms_of_its_session() {
    let (mut anchors, notes) = anchors();
    anchors.offered(LEG, Some(&sdp(VIDEO_TOO)));
    let passed = LegCommand::Accept {
        sdp: Some(Description::Passed(sdp(VIDEO_TOO))),
    };
    assert_eq!(
        said(anchors.resolve(LEG, passed)),
        VIDEO_TOO,
        "what is passed on is not touched"
    );
    assert!(notes.taken().is_empty(), "a direct leg has no port");
    let offer = said(anchors.resolve(LEG, reinvite()));
    assert!(offer.contains("m=audio 20002 "), "{offer}");
    assert!(
        offer.contains("m=video 0 "),
        "a stream of the session stays in its place: {offer}"
    );
    let answer = LegEvent::ReinviteAnswered { sdp: Some(sdp(DEVICE)) };
    assert_eq!(anchors.heard(LEG, &answer), None);
    assert_eq!(notes.taken(), ["open 1 of 7", "set 1 Pcma 192.0.2.5:4000"]);
}

#[test]
fn an_offer_that_goes_out_before_the_ack_has_come_gets_its_answer() {
    let (mut anchors, notes) = anchors();
    anchors.offered(LEG, Some(&sdp(DEVICE)));
    let passed = LegCommand::Accept {
        sdp: Some(Description::Passed(sdp(DEVICE))),
    };
    said(anchors.resolve(LEG, passed));
    said(anchors.resolve(LEG, reinvite()));
    assert_eq!(anchors.heard(LEG, &LegEvent::Acked { sdp: None }), None);
    anchors.heard(LEG, &LegEvent::ReinviteAnswered { sdp: Some(sdp(DEVICE)) });
    assert_eq!(notes.taken(), ["open 1 of 7", "set 1 Pcma 192.0.2.5:4000"]);
}

#[test]
fn an_offer_is_answered_and_the_final_answer_repeats_the_early_one() {
    let (mut anchors, notes) = anchors();
    anchors.offered(LEG, Some(&sdp(DEVICE)));
    let early = said(anchors.resolve(
        LEG,
        LegCommand::Progress {
            status: 183,
            answer: Some(Description::Anchored),
        },
    ));
    assert_eq!(said(anchors.resolve(LEG, accept())), early);
    assert_eq!(notes.taken(), ["open 1 of 7", "set 1 Pcma 192.0.2.5:4000"]);
}

#[test]
fn the_final_answer_repeats_what_an_update_got() {
    let moved = sdp(MOVED);
    let (mut anchors, notes) = anchors();
    anchors.offered(LEG, Some(&sdp(DEVICE)));
    let progress = LegCommand::Progress {
        status: 183,
        answer: Some(Description::Anchored),
    };
    said(anchors.resolve(LEG, progress));
    anchors.heard(LEG, &reoffered(&moved));
    let refusal = LegCommand::RejectReinvite { status: 491 };
    assert!(matches!(anchors.resolve(LEG, refusal), Resolved::Send(_)));
    anchors.heard(LEG, &reoffered(&moved));
    let accepted = LegCommand::AcceptReinvite {
        sdp: Some(Description::Anchored),
    };
    let answer = said(anchors.resolve(LEG, accepted));
    assert!(anchors.heard(LEG, &LegEvent::Acked { sdp: None }).is_none());
    assert_eq!(said(anchors.resolve(LEG, accept())), answer, "no offer of ours");
    assert_eq!(
        notes.taken(),
        ["open 1 of 7", "set 1 Pcma 192.0.2.5:4000", "set 1 Pcma 192.0.2.5:4010"]
    );
}

#[test]
fn a_device_that_rings_makes_an_offer_of_the_port_and_repeats_it_in_its_answer() {
    for description in [Description::Anchored, Description::Passed(sdp(DEVICE))] {
        let (mut anchors, notes) = anchors();
        let invited = anchors.resolve(LEG, invite(description));
        assert!(matches!(invited, Resolved::Send(_)));
        let (status, answer) = (183, Some(sdp(DEVICE)));
        let progress = LegEvent::Progress { status, sdp: answer };
        assert!(anchors.heard(LEG, &progress).is_none());
        anchors.heard(LEG, &reoffered(&sdp(MOVED)));
        let accepted = LegCommand::AcceptReinvite {
            sdp: Some(Description::Anchored),
        };
        said(anchors.resolve(LEG, accepted));
        assert!(anchors.heard(LEG, &LegEvent::Acked { sdp: None }).is_none());
        for answer in [MOVED, DEVICE] {
            // What it offered then, or what a fork that was not asked answers to the INVITE.
            notes.taken();
            let sdp = Some(sdp(answer));
            assert!(anchors.heard(LEG, &LegEvent::Progress { status, sdp }).is_none());
            let port = if answer == MOVED { 4_010 } else { 4_000 };
            assert_eq!(notes.taken(), [format!("set 1 Pcma 192.0.2.5:{port}")]);
        }
        assert!(anchors.heard(LEG, &LegEvent::Answered { sdp: Some(sdp(MOVED)) }).is_none());
    }
}

#[test]
fn a_caller_that_an_update_reached_has_its_answer_in_that() {
    let (mut anchors, notes) = anchors();
    anchors.offered(LEG, Some(&sdp(DEVICE)));
    let progress = LegCommand::Progress {
        status: 183,
        answer: Some(Description::Passed(sdp(DEVICE))),
    };
    said(anchors.resolve(LEG, progress));
    let update = LegCommand::Reinvite {
        offer: Some(Description::Passed(sdp(MOVED))),
    };
    said(anchors.resolve(LEG, update));
    anchors.heard(LEG, &LegEvent::ReinviteAnswered { sdp: Some(sdp(DEVICE)) });
    assert_eq!(said(anchors.resolve(LEG, accept())), MOVED);
    assert!(notes.taken().is_empty(), "no port");
}

#[test]
fn a_caller_without_an_offer_gets_ours_and_answers_in_its_ack() {
    let (mut anchors, notes) = anchors();
    anchors.offered(LEG, None);
    assert!(said(anchors.resolve(LEG, accept())).contains("m=audio 20002 "));
    assert_eq!(notes.taken(), ["open 1 of 7"]);
    anchors.heard(LEG, &LegEvent::Acked { sdp: Some(sdp(DEVICE)) });
    assert_eq!(notes.taken(), ["set 1 Pcma 192.0.2.5:4000"]);
}

#[test]
fn an_offer_in_a_200_is_answered_in_the_ack() {
    let (mut anchors, notes) = anchors();
    assert!(matches!(
        anchors.resolve(LEG, LegCommand::Reinvite { offer: None }),
        Resolved::Send(_)
    ));
    anchors.heard(LEG, &LegEvent::ReinviteAnswered { sdp: Some(sdp(DEVICE)) });
    let ack = LegCommand::Ack {
        answer: AckBody::Answer(Description::Anchored),
    };
    assert!(said(anchors.resolve(LEG, ack)).contains("RTP/AVP 8"));
    assert_eq!(notes.taken(), ["open 1 of 7", "set 1 Pcma 192.0.2.5:4000"]);
}

#[test]
fn without_a_port_or_a_codec_the_device_is_refused_and_the_machine_told() {
    let (mut full, _) = of(Notes {
        full: true,
        ..Notes::default()
    });
    let Resolved::Refused { send, heard } = full.resolve(LEG, reinvite()) else {
        panic!("there is no port")
    };
    assert!(send.is_empty());
    assert!(matches!(
        heard[..],
        [Heard::Leg(LegEvent::ReinviteFailed { status: NO_PORT })]
    ));

    let (mut anchors, _) = anchors();
    anchors.offered(LEG, Some(&sdp(STRANGE)));
    let Resolved::Refused { send, heard } = anchors.resolve(LEG, accept()) else {
        panic!("there is no codec")
    };
    let (status, reason) = (NOT_ACCEPTABLE, None);
    assert_eq!(send, [LegCommand::Reject { status, reason }]);
    assert!(matches!(heard[..], [Heard::Media(MediaEvent::Refused)]));
    let reoffered = LegEvent::Reoffered {
        offer: Some(sdp(STRANGE)),
        direction: Direction::SendRecv,
    };
    anchors.heard(LEG, &reoffered);
    let accept = LegCommand::AcceptReinvite {
        sdp: Some(Description::Anchored),
    };
    let Resolved::Refused { send, .. } = anchors.resolve(LEG, accept) else {
        panic!("there is no codec")
    };
    assert_eq!(send, [LegCommand::RejectReinvite { status: NOT_ACCEPTABLE }]);
}

#[test]
fn an_answer_that_does_not_fit_is_told() {
    let (mut anchors, _) = anchors();
    said(anchors.resolve(LEG, reinvite()));
    let answer = LegEvent::ReinviteAnswered { sdp: Some(sdp(STRANGE)) };
    assert_eq!(anchors.heard(LEG, &answer), Some(MediaEvent::Refused));
}

#[test]
fn legs_hear_ports_and_a_leg_without_one_is_not_heard() {
    let (mut anchors, notes) = anchors();
    for leg in [LegId(1), LegId(2)] {
        said(anchors.resolve(leg, reinvite()));
    }
    notes.taken();
    anchors.command(MediaCommand::Hear {
        leg: LegId(1),
        sources: [
            MediaSource::Leg(LegId(2)),
            MediaSource::Leg(LegId(3)),
            MediaSource::Tone(Tone::RingBack),
        ]
        .into_iter()
        .collect(),
    });
    anchors.command(MediaCommand::Digits {
        leg: LegId(3),
        digits: "1".into(),
    });
    assert_eq!(notes.taken(), ["hear 1 [Port(PortId(2)), Tone(RingBack)]"]);
    assert_eq!(anchors.leg_of(PortId(2)), Some(LegId(2)));
}

#[test]
fn a_leg_moves_with_its_port_and_what_is_left_closes() {
    let (mut from, notes) = anchors();
    for leg in [LegId(1), LegId(2)] {
        said(from.resolve(leg, reinvite()));
    }
    let media = from.give(LegId(1)).expect("it is there");
    assert_eq!(media.port(), Some(PortId(1)));
    let mut to = Anchors::new(ConferenceId(8), notes.clone(), Capabilities::default());
    to.take(LegId(9), media);
    notes.taken();
    drop(from);
    assert_eq!(notes.taken(), ["leave 2"], "the leg that moved is the other conference's");
    // Its answer, due since before it moved, is understood there.
    to.heard(LegId(9), &LegEvent::ReinviteAnswered { sdp: Some(sdp(DEVICE)) });
    assert_eq!(notes.taken(), ["set 1 Pcma 192.0.2.5:4000"]);
}

#[test]
fn a_port_closes_once_with_its_leg() {
    for end in [
        LegEvent::Ended {
            by_device: true,
            q850: None,
            reason: None,
        },
        LegEvent::Cancelled {
            q850: None,
            reason: None,
        },
        LegEvent::Failed {
            status: 486,
            q850: None,
            reason: None,
            contacts: Vec::new(),
        },
    ] {
        let (mut anchors, notes) = anchors();
        said(anchors.resolve(LEG, reinvite()));
        notes.taken();
        anchors.heard(LEG, &end);
        anchors.command(MediaCommand::Close { leg: LEG });
        drop(anchors);
        assert_eq!(notes.taken(), ["close 1"], "{end:?}");
    }
    let (mut anchors, notes) = anchors();
    said(anchors.resolve(LEG, reinvite()));
    notes.taken();
    assert!(matches!(
        anchors.resolve(LEG, LegCommand::Bye { reason: None }),
        Resolved::Send(LegCommand::Bye { .. })
    ));
    assert_eq!(notes.taken(), ["close 1"]);
}
