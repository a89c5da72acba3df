//! The ports of a conference, kept and had again.

use std::time::Instant;

use super::*;

const OTHER: LegId = LegId(2);

/// Kept, and had again from the bytes, by a conference that has these legs.
fn again(anchors: &Anchors, notes: Notes, legs: &[LegId]) -> (Anchors, Arc<Notes>, Vec<LegId>) {
    let bytes = rmp_serde::to_vec_named(&anchors.snapshot()).unwrap();
    assert_eq!(
        rmp_serde::to_vec_named(&anchors.snapshot()).unwrap(),
        bytes,
        "the same state, the same bytes"
    );
    let kept: AnchorsSnapshot = rmp_serde::from_slice(&bytes).unwrap();
    assert_eq!(kept, anchors.snapshot());
    let notes = Arc::new(notes);
    let restored = Anchors::restore(&kept, CONFERENCE, notes.clone(), Capabilities::default(), legs);
    (restored.anchors, notes, restored.lost)
}

/// Two legs that talk through the plane.
fn talk() -> (Anchors, Arc<Notes>) {
    let (mut anchors, notes) = anchors();
    for leg in [LEG, OTHER] {
        said(anchors.resolve(leg, reinvite()));
        anchors.heard(leg, &LegEvent::ReinviteAnswered { sdp: Some(sdp(DEVICE)) });
    }
    (anchors, notes)
}

#[test]
fn ports_are_had_again_and_the_session_goes_on_in_its_terms() {
    let (mut before, _) = talk();
    let (mut after, notes, lost) = again(&before, Notes::default(), &[LEG, OTHER]);
    assert_eq!(lost, []);
    assert_eq!(
        notes.taken(),
        [
            "reopen 1 of 7 at 20002",
            "set 1 Pcma 192.0.2.5:4000",
            "reopen 2 of 7 at 20004",
            "set 2 Pcma 192.0.2.5:4000"
        ]
    );
    assert_eq!(said(after.resolve(LEG, reinvite())), said(before.resolve(LEG, reinvite())));
    after.heard(LEG, &LegEvent::ReinviteAnswered { sdp: Some(sdp(DEVICE)) });
    let reoffered = LegEvent::Reoffered {
        offer: Some(sdp(DEVICE)),
        direction: Direction::SendRecv,
    };
    let accept = || LegCommand::AcceptReinvite {
        sdp: Some(Description::Anchored),
    };
    for anchors in [&mut before, &mut after] {
        anchors.heard(OTHER, &reoffered);
    }
    assert_eq!(said(after.resolve(OTHER, accept())), said(before.resolve(OTHER, accept())));
}

#[test]
fn what_is_restored_can_be_restored_again() {
    let (before, _) = talk();
    let (after, ..) = again(&before, Notes::default(), &[LEG, OTHER]);
    assert_eq!(after.snapshot(), before.snapshot());
}

#[test]
fn a_leg_that_is_not_wanted_any_more_gets_no_port() {
    let (before, _) = talk();
    let (after, notes, lost) = again(&before, Notes::default(), &[OTHER, LegId(9)]);
    assert_eq!((notes.taken().len(), lost.len()), (2, 0));
    assert_eq!((after.port(LEG), after.port(OTHER)), (None, Some(PortId(1))));
}

#[test]
fn a_port_that_is_taken_is_told_and_its_leg_has_another_one_to_offer() {
    let (before, _) = talk();
    let taken = Notes {
        taken: Some(20_002),
        opened: Mutex::new(50),
        ..Notes::default()
    };
    let (mut after, notes, lost) = again(&before, taken, &[LEG, OTHER]);
    assert_eq!(lost, [LEG]);
    assert_eq!(notes.taken().first().map(String::as_str), Some("open 51 of 7"));
    let offer = said(after.resolve(LEG, reinvite()));
    assert!(offer.contains("m=audio 20102 "), "{offer}");
}

#[test]
fn without_any_port_the_leg_is_told_and_its_offer_fails() {
    let (mut before, _) = anchors();
    before.offered(LEG, Some(&sdp(VIDEO_TOO)));
    said(before.resolve(LEG, accept()));
    let none = || Notes {
        full: true,
        taken: Some(20_002),
        ..Notes::default()
    };
    let (mut after, _, lost) = again(&before, none(), &[LEG]);
    assert_eq!(lost, [LEG]);
    assert!(matches!(after.resolve(LEG, reinvite()), Resolved::Refused { .. }));
    // One that is free later is offered in the terms of the session.
    let kept = before.snapshot();
    let restored = Anchors::restore(&kept, CONFERENCE, Arc::new(none()), Capabilities::default(), &[LEG]);
    let mut later = Anchors {
        media: Arc::new(Notes::default()),
        ..restored.anchors
    };
    let offer = said(later.resolve(LEG, reinvite()));
    assert!(offer.contains("m=video 0 ") && offer.contains("m=audio 20002 "), "{offer}");
}

#[test]
fn a_leg_without_a_port_keeps_what_was_said_once() {
    let (mut before, _) = anchors();
    before.offered(LEG, Some(&sdp(VIDEO_TOO)));
    let invite = |sdp: Bytes| LegCommand::Reinvite { offer: Some(sdp.into()) };
    said(before.resolve(OTHER, invite(sdp(VIDEO_TOO))));
    before.heard(OTHER, &LegEvent::ReinviteAnswered { sdp: Some(sdp(DEVICE)) });
    let passed = LegCommand::Accept {
        sdp: Some(Description::Passed(sdp(DEVICE))),
    };
    said(before.resolve(LEG, passed));
    let bytes = rmp_serde::to_vec_named(&before.snapshot()).unwrap();
    assert!(bytes.len() < VIDEO_TOO.len() + DEVICE.len() + 100, "{}", bytes.len());
    let (mut after, notes, lost) = again(&before, Notes::default(), &[LEG, OTHER]);
    assert!(lost.is_empty() && notes.taken().is_empty());
    assert_eq!(said(after.resolve(LEG, reinvite())), said(before.resolve(LEG, reinvite())));
}

#[test]
fn an_exchange_that_was_under_way_can_go_on() {
    let (mut before, _) = talk();
    said(before.resolve(LEG, reinvite()));
    let reoffered = LegEvent::Reoffered {
        offer: Some(sdp(VIDEO_TOO)),
        direction: Direction::SendRecv,
    };
    before.heard(OTHER, &reoffered);
    let (mut after, notes, _) = again(&before, Notes::default(), &[LEG, OTHER]);
    notes.taken();
    after.heard(LEG, &LegEvent::ReinviteAnswered { sdp: Some(sdp(DEVICE)) });
    assert_eq!(notes.taken(), ["set 1 Pcma 192.0.2.5:4000"]);
    let accept = LegCommand::AcceptReinvite {
        sdp: Some(Description::Anchored),
    };
    assert!(said(after.resolve(OTHER, accept)).contains("m=video 0 "));
}

#[test]
fn two_legs_take_less_than_a_kilobyte() {
    let (anchors, _) = talk();
    let bytes = rmp_serde::to_vec_named(&anchors.snapshot()).unwrap();
    let (rounds, began) = (1_000, Instant::now());
    for _ in 0..rounds {
        std::hint::black_box(rmp_serde::to_vec_named(&anchors.snapshot()).unwrap());
    }
    println!("{} bytes, {:?} each", bytes.len(), began.elapsed() / rounds);
    assert!(bytes.len() < 1_000, "{}", bytes.len());
}
