//! Direct calls that are not handled (`handle-direct-calls`, seed 002 lines 2330-2408): they work, and are not told.

use super::extensions::made;
use super::stage::*;
use super::*;
use crate::dn::wish::InForce;
use crate::numbering::{DirectCalls, DirectMedia, DirectOverride, HandleDirectCalls, PassThrough};
use crate::request::OnCall;

fn handled(handle: HandleDirectCalls, media: DirectMedia) -> Arc<Numbering> {
    many_with(|builder| builder.direct_calls(DirectCalls { handle, media }))
}

fn by_policy(numbering: Arc<Numbering>, from: CallerId) -> Stage {
    let mut stage = Stage::calling_by(numbering, (CONN, CONFERENCE), from, "bob");
    stage.answers(BOB);
    stage
}

/// Only this DN's direct calls are not handled.
fn but(dn: &str) -> Arc<Numbering> {
    let mut config = DnConfig::extension(dn);
    config.handle_direct_calls = Some(HandleDirectCalls::Never);
    let others = [ALICE, BOB, CAROL].into_iter().filter(|other| *other != dn);
    let builder = Numbering::builder().domain("tandem.local").dn(config);
    let builder = others.fold(builder, |builder, other| builder.dn(DnConfig::extension(other)));
    Arc::new(builder.build().unwrap())
}

#[test]
fn a_direct_call_that_is_not_handled_works_in_silence() {
    let im = DirectMedia { av: false, im: true };
    for (handle, media) in [
        (HandleDirectCalls::Never, DirectMedia::default()),
        (HandleDirectCalls::OnLogin, DirectMedia::default()),
        (HandleDirectCalls::Always, im),
    ] {
        let mut stage = by_policy(handled(handle, media), CallerId::Extension(ALICE.into()));
        stage.says("link: make 2 bob as alice");
        stage.on(OnCall::HoldCall, BOB, CONN).says("only bob EventError* 470");
        stage.hangs_up(ALICE).says(
            "link: release 2
             closed a1 answered
             finished",
        );
    }
    let mut stage = by_policy(handled(HandleDirectCalls::Never, DirectMedia::default()), from_pstn());
    stage.says("link: make 2 bob as +4930123");
}

#[test]
fn each_dn_has_its_own_setting() {
    by_policy(but(ALICE), CallerId::Extension(ALICE.into())).says(
        "link: make 2 bob as alice
         bob EventRinging a1 Destination > alice Origination Ok
         bob EventEstablished a1 Destination > alice Origination Ok",
    );
    by_policy(but(BOB), CallerId::Extension(ALICE.into())).says(
        "alice EventDialing a1 Origination > bob Destination Ok
         link: make 2 bob as alice
         alice EventNetworkReached a1 Origination > bob Destination Ok
         alice EventEstablished a1 Origination > bob Destination Ok",
    );
}

/// A desktop asks for another setting of its DN.
fn asking(dn: &str, handle: HandleDirectCalls) -> Wishes {
    let direct = DirectOverride {
        handle: Some(handle),
        media: None,
    };
    let mut wishes = Wishes::default();
    wishes.set(
        &dn.into(),
        InForce {
            direct,
            ..InForce::default()
        },
    );
    wishes
}

/// Seed 002 lines 2361-2386.
#[test]
fn what_its_desktop_asks_for_counts_before_the_setting_of_a_dn() {
    let by_wish = |numbering, wishes| {
        let from = CallerId::Extension(ALICE.into());
        let mut stage = Stage::calling_as_wished(numbering, wishes, (CONN, CONFERENCE), from, "bob");
        stage.answers(BOB);
        stage
    };
    by_wish(many(PassThrough::All), asking(ALICE, HandleDirectCalls::Never)).says(
        "link: make 2 bob as alice
         bob EventRinging a1 Destination > alice Origination Ok
         bob EventEstablished a1 Destination > alice Origination Ok",
    );
    let never = handled(HandleDirectCalls::Never, DirectMedia::default());
    let mut stage = by_wish(never, asking(BOB, HandleDirectCalls::Always));
    stage.says(
        "link: make 2 bob as alice
         bob EventRinging a1 Destination > alice Origination Ok
         bob EventEstablished a1 Destination > alice Origination Ok",
    );
    stage.wishes = Wishes::default();
    stage.on(OnCall::HoldCall, BOB, CONN).says(
        "link: audio
         bob EventHeld* a1 Destination > alice Origination Ok",
    );
}

#[test]
fn who_a_direct_call_is_forwarded_to_has_its_own_setting_too() {
    let mut stage = Stage::calling_by(but(CAROL), (CONN, CONFERENCE), CallerId::Extension(ALICE.into()), "bob");
    stage.forget();
    let (conference, party) = stage.at(BOB);
    let to = vec!["carol".into()];
    stage.input(CallInput::Link(LinkNotification::PartyRedirected { conference, party, to }));
    stage.answers(CAROL);
    let told = stage.lines.iter().filter(|line| line.starts_with("carol"));
    assert_eq!(told.count(), 0, "{:?}", stage.lines);
}

#[test]
fn a_call_that_is_asked_for_is_handled_whatever_the_setting() {
    let mut stage = made("bob", KvList::new());
    stage.call.numbering = handled(HandleDirectCalls::Never, DirectMedia::default());
    stage.answers(ALICE).answers(BOB).says(
        "alice EventDialing* a1 Origination > bob Destination Ok
         link: make 1 alice as bob
         link: make 2 bob as alice
         bob EventRinging a1 Destination > alice Origination Ok
         bob EventEstablished a1 Destination > alice Origination Ok
         alice EventEstablished a1 Origination > bob Destination Ok",
    );
}
