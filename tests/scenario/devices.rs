//! Devices: how they register, how several on one DN ring, how a phone is asked to answer by itself.

use sha2::{Digest, Sha256};
use tandem_wire::ClientRequest;
use tandem_wire::model::EventName::{EventDNBackInService, EventDNOutOfService, EventEstablished};

use crate::rig::cti::Desk;
use crate::rig::phone::Phone;
use crate::rig::server::{Server, Setup};
use crate::rig::sip::{Dialog, Message, SDP, Socket, unique};

const ALICE: &str = "sip:1001@tandem.local";
const BOB: &str = "sip:1002@tandem.local";

/// A device that registers step by step.
struct Device {
    socket: Socket,
    dialog: Dialog,
    cseq: u32,
}

impl Device {
    async fn new() -> Self {
        let socket = Socket::bind("127.0.0.1").await;
        let dialog = Dialog::new(ALICE, ALICE, socket.address);
        Self { socket, dialog, cseq: 0 }
    }

    async fn register(&mut self, server: &Server, more: &str) -> Message {
        self.cseq += 1;
        let branch = format!("{:x}", unique());
        let text = self
            .dialog
            .request_with("REGISTER", "sip:tandem.local", self.cseq, "", &branch, more, "");
        self.socket.send(server.sip, text).await;
        self.socket.final_response(&format!("{} REGISTER", self.cseq)).await
    }
}

fn part<'a>(challenge: &'a str, name: &str) -> &'a str {
    let after = challenge.split_once(&format!("{name}=\"")).map_or("", |(_, rest)| rest);
    after.split('"').next().unwrap_or_default()
}

/// The answer to a SHA-256 challenge (RFC 7616 s.3.4.1).
fn credentials(challenge: &str, password: &str, count: u32) -> String {
    let hex = |text: String| {
        Sha256::digest(text.as_bytes())
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
    };
    let (realm, nonce, opaque) = (part(challenge, "realm"), part(challenge, "nonce"), part(challenge, "opaque"));
    let count = format!("{count:08x}");
    let secret = hex(format!("1001:{realm}:{password}"));
    let request = hex("REGISTER:sip:tandem.local".to_owned());
    let response = hex(format!("{secret}:{nonce}:{count}:0a4f113b:auth:{request}"));
    format!(
        "Authorization: Digest username=\"1001\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"sip:tandem.local\", response=\"{response}\", \
         algorithm=SHA-256, cnonce=\"0a4f113b\", qop=auth, nc={count}, opaque=\"{opaque}\"\r\nExpires: 300\r\n"
    )
}

#[tokio::test]
async fn a_device_registers_with_sha_256_and_a_used_answer_is_worth_nothing() {
    let mut server = Setup::new().phone("1001").start().await;
    let mut device = Device::new().await;
    let refused = device.register(&server, "Expires: 300\r\n").await;
    assert_eq!(refused.status(), Some(401));
    let challenges: Vec<&str> = refused.all("WWW-Authenticate").collect();
    assert_eq!(challenges.len(), 2, "{challenges:?}");
    // The better one first (RFC 8760 s.2.2).
    assert!(
        challenges[0].contains("algorithm=SHA-256") && challenges[1].contains("algorithm=MD5"),
        "{challenges:?}"
    );
    let challenge = challenges[0];

    let accepted = device.register(&server, &credentials(challenge, "pass-1001", 1)).await;
    assert_eq!(accepted.status(), Some(200), "{}", accepted.start);
    assert!(
        accepted.contact().contains(&device.socket.address.to_string()),
        "{}",
        accepted.contact()
    );
    server.registered(1).await;

    // The same answer again is a replay; the next count is none.
    let replayed = device.register(&server, &credentials(challenge, "pass-1001", 1)).await;
    assert_eq!(replayed.status(), Some(401));
    assert!(
        replayed.header("WWW-Authenticate").contains("stale=true"),
        "{}",
        replayed.header("WWW-Authenticate")
    );
    let next = device.register(&server, &credentials(challenge, "pass-1001", 2)).await;
    assert_eq!(next.status(), Some(200), "{}", next.start);

    let gone = device
        .register(
            &server,
            &credentials(challenge, "pass-1001", 3).replace("Expires: 300", "Expires: 0"),
        )
        .await;
    assert_eq!(gone.status(), Some(200), "{}", gone.start);
    server.registered(0).await;

    let wrong = device.register(&server, &credentials(challenge, "guess", 4)).await;
    assert_eq!(wrong.status(), Some(401));
    server.alive_and_idle().await;
}

#[tokio::test]
async fn an_unknown_user_is_answered_like_a_known_one() {
    let mut server = Setup::new().phone("1001").start().await;
    let known = Device::new().await.register(&server, "").await;
    let mut device = Device::new().await;
    device.dialog.from = "sip:nobody@tandem.local".into();
    device.dialog.to = "sip:nobody@tandem.local".into();
    let unknown = device.register(&server, "").await;
    assert_eq!(unknown.start, known.start);
    assert_eq!(unknown.all("WWW-Authenticate").count(), known.all("WWW-Authenticate").count());
    server.alive_and_idle().await;
}

#[tokio::test]
async fn a_registration_that_is_too_short_is_refused_with_the_shortest() {
    let server = Setup::new().trusted_phone("1001").start().await;
    let refused = Device::new().await.register(&server, "Expires: 5\r\n").await;
    assert_eq!((refused.status(), refused.header("Min-Expires")), (Some(423), "60"));
}

#[tokio::test]
async fn all_devices_of_a_dn_ring_and_the_first_to_answer_has_the_call() {
    let mut server = Setup::new().trusted_phone("1001").trusted_phone("1002").start().await;
    let alice = Phone::register("1001", server.sip).await;
    let desk_phone = Phone::register("1002", server.sip).await;
    let mobile = Phone::register("1002", server.sip).await;
    server.registered(3).await;
    let mut desk = Desk::on(server.http, &[BOB]).await;

    let attempt = alice.dial("1002").await;
    let (at_desk, at_mobile) = tokio::join!(desk_phone.rings(), mobile.rings());
    let (_, talk) = tokio::join!(mobile.picks_up(&at_mobile), alice.answered(attempt));
    desk_phone.is_cancelled(&at_desk).await;
    desk.expect(EventEstablished, BOB).await;
    alice.hangs_up(&talk).await;
    mobile.is_hung_up_on().await;
    server.idle().await;
    desk.settled().await;
    let of_call: Vec<String> = desk.frames.iter().filter(|frame| frame.contains("connId")).cloned().collect();
    let names: Vec<&str> = of_call.iter().filter_map(|frame| frame.split('"').nth(3)).collect();
    assert_eq!(names, ["EventRinging", "EventEstablished", "EventReleased"]);
    server.alive().await;
}

#[tokio::test]
async fn a_phone_is_asked_to_answer_by_itself_where_its_dn_says_so() {
    let mut server = Setup::new()
        .tables("[[dn]]\ndn = \"sip:1001@tandem.local\"\ntrusted_sources = [\"127.0.0.0/8\"]\nauto_answer = true")
        .trusted_phone("1002")
        .start()
        .await;
    let alice = Phone::register("1001", server.sip).await;
    let bob = Phone::register("1002", server.sip).await;
    let mut desk = Desk::on(server.http, &[ALICE]).await;
    desk.request(ClientRequest::make_call(ALICE, BOB)).await;
    let invite = alice.rings().await;
    assert!(
        invite.header("Call-Info").contains("answer-after=0"),
        "{}",
        invite.header("Call-Info")
    );
    assert!(!invite.header("Alert-Info").is_empty());
    let talk = alice.picks_up(&invite).await;
    // The called phone is not asked to.
    let invite = bob.rings().await;
    assert!(
        !invite.header("Call-Info").contains("answer-after"),
        "{}",
        invite.header("Call-Info")
    );
    bob.picks_up(&invite).await;
    desk.expect(EventEstablished, ALICE).await;
    alice.hangs_up(&talk).await;
    bob.is_hung_up_on().await;
    server.alive_and_idle().await;
}

#[tokio::test]
async fn a_desk_sees_a_dn_go_out_of_service_and_come_back() {
    let mut server = Setup::new().trusted_phone("1001").start().await;
    let mut desk = Desk::on(server.http, &[ALICE]).await;
    let mut device = Device::new().await;
    assert_eq!(device.register(&server, "Expires: 300\r\n").await.status(), Some(200));
    desk.expect(EventDNBackInService, ALICE).await;
    assert_eq!(device.register(&server, "Expires: 0\r\n").await.status(), Some(200));
    desk.expect(EventDNOutOfService, ALICE).await;
    server.alive_and_idle().await;
}

#[tokio::test]
async fn a_call_that_is_led_in_a_circle_ends_by_its_max_forwards() {
    let mut server = Setup::new().trusted_phone("1001").trusted_phone("1002").start().await;
    let bob = Phone::register("1002", server.sip).await;
    let circling = Socket::bind("127.0.0.1").await;
    let uri = format!("sip:1002@{}", server.sip);
    for (forwards, passes) in [("2", true), ("1", false)] {
        let dialog = Dialog::new("sip:1001@tandem.local", &uri, circling.address);
        let invite = dialog.request("INVITE", &uri, 1, "", SDP);
        let invite = invite.replace("Max-Forwards: 70", &format!("Max-Forwards: {forwards}"));
        circling.send(server.sip, invite).await;
        if passes {
            let invite = bob.rings().await;
            assert_eq!(invite.header("Max-Forwards"), "1");
            bob.refuses(&invite, "486 Busy Here").await;
        }
        let refused = circling.final_response("1 INVITE").await;
        assert_eq!(refused.status(), Some(if passes { 486 } else { 483 }));
    }
    server.alive_and_idle().await;
}
