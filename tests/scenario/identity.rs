//! Who calls and who forwarded, as the next side is told: identities that trusted trunks assert, privacy (RFC 3323, RFC 3325), Diversion
//! (RFC 5806) and History-Info (RFC 7044), at the wire.

use tandem_wire::model::EventName::{EventReleased, EventRinging};
use tandem_wire::model::request::OnCallWith;

use crate::golden::stage::with;
use crate::rig::cti::Desk;
use crate::rig::phone::Phone;
use crate::rig::ports::free_port;
use crate::rig::server::{Server, Setup};
use crate::rig::sip::Message;

const ALICE: &str = "sip:1001@tandem.local";
const BOB: &str = "sip:1002@tandem.local";
const NOBODY: &str = "sip:anonymous@anonymous.invalid";
const REAL: &str = "<sip:+4930777@carrier.example>";

/// What a side is told of who calls: the From URI, P-Asserted-Identity, Privacy.
type Told = (String, String, String);

struct Scene {
    server: Server,
    alice: Phone,
    bob: Phone,
    /// Trusted trunks: calls come from the first one and go to the second one.
    carrier: Phone,
    exit: Phone,
    /// One that is not.
    stranger: Phone,
}

fn trunk(name: &str, address: &str, port: u16, more: &str) -> String {
    format!(
        "[[trunk]]\ndn = \"sip:{name}@tandem.local\"\naddress = \"sip:{address}:{port};transport=udp\"\n\
         trusted_sources = [\"{address}/32\"]\n{more}\n"
    )
}

async fn scene() -> Scene {
    let ports: [u16; 3] = std::array::from_fn(|_| free_port());
    let rules = [("81", "exit"), ("82", "stranger")].map(|(number, trunk)| {
        format!("[[dial_rule]]\npattern = \"{number}\"\ntrunk = \"sip:{trunk}@tandem.local\"\nfrom_trunk = true\n")
    });
    let server = Setup::new()
        .sip("pass_through_headers = [\"Organization\"]")
        .trusted_phone("1001")
        .trusted_phone("1002")
        .tables(&trunk("carrier", "127.0.0.8", ports[0], ""))
        .tables(&trunk("exit", "127.0.0.10", ports[1], ""))
        .tables(&trunk("stranger", "127.0.0.11", ports[2], "trusted_identity = false"))
        .tables(&rules.concat())
        .start()
        .await;
    let at = |ip: &str, port: u16| format!("{ip}:{port}");
    Scene {
        alice: Phone::register("1001", server.sip).await,
        bob: Phone::register("1002", server.sip).await,
        carrier: Phone::on_trunk("carrier", &at("127.0.0.8", ports[0]), server.sip).await,
        exit: Phone::on_trunk("exit", &at("127.0.0.10", ports[1]), server.sip).await,
        stranger: Phone::on_trunk("stranger", &at("127.0.0.11", ports[2]), server.sip).await,
        server,
    }
}

fn told(invite: &Message) -> Told {
    let from = invite.header("From");
    let uri = from.split_once('<').and_then(|(_, rest)| rest.split_once('>'));
    let first = |name: &str| invite.all(name).collect::<Vec<_>>().join(", ");
    (
        uri.map_or(from, |(uri, _)| uri).to_owned(),
        first("P-Asserted-Identity"),
        first("Privacy"),
    )
}

fn is(from: &str, asserted: &str, privacy: &str) -> Told {
    (from.into(), asserted.into(), privacy.into())
}

/// A call, refused where it arrives, and what stood there.
async fn arrives(caller: &Phone, from: &str, number: &str, more: &str, callee: &Phone) -> Message {
    let attempt = caller.dials_as(from, number, more).await;
    let invite = callee.rings().await;
    callee.refuses(&invite, "486 Busy Here").await;
    assert_eq!(caller.refused(&attempt).await, 486);
    invite
}

#[tokio::test]
async fn whom_a_trusted_trunk_asserts_is_the_caller() {
    let mut scene = scene().await;
    let mut desk = Desk::on(scene.server.http, &[ALICE, BOB]).await;
    let real = "P-Asserted-Identity: <sip:+4930777@carrier.example>\r\n";
    let private = format!("{real}Privacy: id\r\n");
    let Scene {
        alice,
        carrier,
        exit,
        stranger,
        ..
    } = &scene;
    let account = "sip:account@carrier.example";
    let open = is("sip:+4930777@carrier.example", REAL, "");
    let table = [
        // (From, headers, as a trusted trunk, a stranger and a phone are told)
        (account, real, open.clone(), open.clone(), open.clone()),
        (
            NOBODY,
            &*private,
            is(NOBODY, REAL, "id"),
            is(NOBODY, "", "id"),
            is(NOBODY, "", "id"),
        ),
        (
            account,
            "P-Asserted-Identity: <sip:+4930777@carrier.example>\r\nPrivacy: id;user\r\nOrganization: Smith and Sons\r\n",
            is(NOBODY, REAL, "user;id"),
            is(NOBODY, "", "user;id"),
            is(NOBODY, "", "user;id"),
        ),
        (
            account,
            "P-Asserted-Identity: <sip:+4930777@carrier.example>\r\nPrivacy: none\r\n",
            is("sip:+4930777@carrier.example", REAL, "none"),
            is("sip:+4930777@carrier.example", REAL, "none"),
            is("sip:+4930777@carrier.example", REAL, "none"),
        ),
        (
            NOBODY,
            "Privacy: header;session;critical\r\n",
            is(NOBODY, "", "header;session;id;critical"),
            is(NOBODY, "", "header;session;id;critical"),
            is(NOBODY, "", "header;session;id;critical"),
        ),
    ];
    for (from, more, at_trunk, at_stranger, at_phone) in table {
        for (number, callee, expected) in [
            ("81", exit, at_trunk),
            ("82", stranger, at_stranger),
            ("1001", alice, at_phone),
        ] {
            let invite = arrives(carrier, from, number, more, callee).await;
            assert_eq!(told(&invite), expected, "{more} to {number}");
            assert_eq!(invite.header("Organization"), "", "{more}");
        }
    }
    // Desktops are ours: they see who it is.
    let mut anis = Vec::new();
    while anis.len() < 5 {
        let event = desk.event().await;
        if event.is(EventRinging) {
            anis.push(event.ani.unwrap_or_default());
        }
    }
    assert_eq!(anis, ["+4930777", "+4930777", "+4930777", "+4930777", "anonymous"]);
    scene.server.alive_and_idle().await;
}

#[tokio::test]
async fn what_a_stranger_says_is_asserted_to_nobody() {
    let mut scene = scene().await;
    let Scene {
        alice, exit, stranger, ..
    } = &scene;
    let more = "P-Asserted-Identity: <sip:+4930777@carrier.example>\r\nRemote-Party-ID: <sip:+4930777@carrier.example>\r\n";
    let from = "sip:+491111@carrier.example";
    for (number, callee) in [("81", exit), ("1001", alice)] {
        assert_eq!(told(&arrives(stranger, from, number, more, callee).await), is(from, "", ""));
        let private = format!("{more}Privacy: id\r\n");
        assert_eq!(
            told(&arrives(stranger, from, number, &private, callee).await),
            is(NOBODY, "", "id")
        );
    }
    scene.server.alive_and_idle().await;
}

#[tokio::test]
async fn a_phone_is_asserted_as_itself_and_may_be_private() {
    let mut scene = scene().await;
    let Scene {
        alice,
        bob,
        exit,
        stranger,
        ..
    } = &scene;
    let own = "<sip:1001@tandem.local>";
    let forged = "P-Asserted-Identity: <sip:boss@tandem.local>\r\nP-Preferred-Identity: <sip:service@bank.example>\r\n";
    assert_eq!(told(&arrives(alice, ALICE, "81", forged, exit).await), is(ALICE, own, ""));
    let table = [
        (ALICE, "Privacy: id\r\n"),
        (NOBODY, "Privacy: id\r\nP-Preferred-Identity: <sip:1001@tandem.local>\r\n"),
    ];
    for (from, more) in table {
        for (number, callee, asserted) in [("81", exit, own), ("82", stranger, ""), ("1002", bob, "")] {
            let invite = arrives(alice, from, number, more, callee).await;
            assert_eq!(told(&invite), is(NOBODY, asserted, "id"), "{more} to {number}");
            assert!(!invite.header("Contact").contains("1001"), "{}", invite.header("Contact"));
        }
    }
    scene.server.alive_and_idle().await;
}

#[tokio::test]
async fn privacy_that_nobody_here_knows_fails_a_call_for_which_it_is_critical() {
    let mut scene = scene().await;
    for (caller, from) in [(&scene.alice, ALICE), (&scene.carrier, "sip:+4930777@carrier.example")] {
        let attempt = caller.dials_as(from, "1002", "Privacy: location;critical\r\n").await;
        assert_eq!(caller.refused(&attempt).await, 500);
    }
    arrives(&scene.alice, ALICE, "1002", "Privacy: location\r\n", &scene.bob).await;
    scene.server.alive_and_idle().await;
}

/// "session": the phones' addresses are their own business; their audio comes by way of Tandem.
#[tokio::test]
async fn the_media_of_a_private_session_goes_through_the_server() {
    let mut scene = scene().await;
    let mut desk = Desk::on(scene.server.http, &[ALICE, BOB]).await;
    let Scene { alice, bob, .. } = &scene;
    let audio = |message: &Message| {
        let line = message.body.lines().find(|line| line.starts_with("m=audio")).expect("audio");
        line.split(' ').nth(1).expect("a port").to_owned()
    };
    let mut ports = Vec::new();
    for more in ["", "Privacy: session\r\n"] {
        let attempt = alice.dials_as(ALICE, "1002", more).await;
        let invite = bob.rings().await;
        assert_eq!(told(&invite).0, ALICE);
        ports.push(audio(&invite));
        let talk = bob.picks_up(&invite).await;
        alice.answered(attempt).await;
        bob.hangs_up(&talk).await;
        alice.is_hung_up_on().await;
        desk.expect(EventReleased, ALICE).await;
    }
    assert_ne!(ports[0], ports[1], "the second one is ours");
    scene.server.alive_and_idle().await;
}

const BUSY: &str = "<sip:5@x.example>;reason=user-busy;counter=1";
const EARLIER: &str = "<sip:6@x.example>;reason=no-answer;counter=2;privacy=off";
const FIRST: &str = "<sip:6@x.example>;index=1";
const SECOND: &str = "<sip:5@x.example;cause=486>;index=1.1;mp=1";

/// What a side is told of who forwarded: each Diversion, then each History-Info.
fn forwardings(invite: &Message) -> Vec<String> {
    let both = ["Diversion", "History-Info"].into_iter();
    both.flat_map(|name| invite.all(name)).map(str::to_owned).collect()
}

/// A call that was forwarded elsewhere before it comes here; a phone sends it on, and its desktop sends it on again, to another switch.
#[tokio::test]
async fn every_forwarding_is_told_to_the_next_side_the_last_one_first() {
    let mut scene = scene().await;
    let mut desk = Desk::on(scene.server.http, &[ALICE, BOB]).await;
    let Scene {
        alice,
        bob,
        carrier,
        exit,
        ..
    } = &scene;
    let from = "sip:+4930777@carrier.example";
    let diversions = format!("Diversion: {BUSY}\r\nDiversion: {EARLIER}\r\n");
    let more = format!("{diversions}History-Info: {FIRST}, {SECOND}\r\n");

    let through = arrives(carrier, from, "81", &more, exit).await;
    let target = through.start.split(' ').nth(1).unwrap_or_default();
    let own = format!("<{target}>;index=1.1.1;np=1.1");
    assert_eq!(forwardings(&through), [BUSY, EARLIER, FIRST, SECOND, &own]);

    let attempt = carrier.dials_as(from, "1001", &more).await;
    let invite = alice.is_called().await;
    let own = "<sip:1001@tandem.local>;index=1.1.1;rc=1.1";
    assert_eq!(forwardings(&invite), [BUSY, EARLIER, FIRST, SECOND, own]);
    // Alice's phone forwards whatever comes; who is called next is the next entry.
    alice.forwards(&invite, BOB).await;
    let invite = bob.rings().await;
    let by_alice = "<sip:1001@tandem.local>;reason=unconditional;counter=1";
    let passed = "<sip:5@x.example;cause=486?Reason=SIP%3Bcause%3D302>;index=1.1;mp=1";
    let next = "<sip:1002@tandem.local;cause=302>;index=1.1.1;mp=1.1";
    assert_eq!(forwardings(&invite), [by_alice, BUSY, EARLIER, FIRST, passed, next]);
    // Bob sends it on by hand.
    let rings = desk.expect(EventRinging, BOB).await;
    desk.request(with(OnCallWith::RedirectCall, "1002", Desk::call_of(&rings), "81"))
        .await;
    bob.is_cancelled(&invite).await;
    let invite = exit.rings().await;
    let target = invite.start.split(' ').nth(1).unwrap_or_default();
    let by_bob = "<sip:1002@tandem.local>;reason=deflection;counter=1";
    let passed_again = "<sip:1002@tandem.local;cause=302?Reason=SIP%3Bcause%3D480>;index=1.1.1;mp=1.1";
    let last = format!("<{target};cause=480>;index=1.1.1.1;mp=1.1.1");
    assert_eq!(
        forwardings(&invite),
        [by_bob, by_alice, BUSY, EARLIER, FIRST, passed, passed_again, &last]
    );
    exit.refuses(&invite, "486 Busy Here").await;
    assert_eq!(carrier.refused(&attempt).await, 486);

    // Who does not speak of a history is not answered with one.
    let attempt = carrier.dials_as(from, "1001", &diversions).await;
    let invite = alice.is_called().await;
    assert_eq!(forwardings(&invite), [BUSY, EARLIER]);
    alice.forwards(&invite, BOB).await;
    let invite = bob.rings().await;
    assert_eq!(forwardings(&invite), [by_alice, BUSY, EARLIER]);
    bob.refuses(&invite, "486 Busy Here").await;
    assert_eq!(carrier.refused(&attempt).await, 486);
    // A history without a Diversion is told in both ways; why is no part of an address.
    let invite = arrives(carrier, from, "1001", &format!("History-Info: {FIRST}, {SECOND}\r\n"), alice).await;
    assert_eq!(
        forwardings(&invite),
        ["<sip:6@x.example>;reason=user-busy;counter=1", FIRST, SECOND, own]
    );
    scene.server.alive_and_idle().await;
}
