//! The messages of RFC 4475, each as one datagram, and each as one write on a TCP connection of its own.
//!
//! `verdicts.tsv` beside the messages says what the SIP layer makes of each. The table here adds what the server as a whole, which
//! asks callers it does not know for credentials, answers to those that the SIP layer accepts.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU8, Ordering};

use crate::rig::server::{Server, Setup};
use crate::rig::sip::{Connection, Dialog, Message, Socket};

/// What the server answers to the messages that are well-formed; `None`: nothing, for it is a response or an ACK.
const ACCEPTED: [(&str, Option<u16>); 27] = [
    // A tag in To: the call that it belongs to does not exist.
    ("wsinv.dat", Some(481)),
    ("intmeth.dat", Some(501)),
    ("esc01.dat", Some(401)),
    ("escnull.dat", Some(401)),
    ("esc02.dat", Some(501)),
    ("lwsdisp.dat", Some(200)),
    ("longreq.dat", Some(401)),
    ("dblreq.dat", Some(401)),
    ("semiuri.dat", Some(200)),
    ("transports.dat", Some(200)),
    // MESSAGE: known, and not served yet.
    ("mpart01.dat", Some(501)),
    ("unreason.dat", None),
    ("noreason.dat", None),
    ("baddate.dat", Some(401)),
    ("badaspec.dat", Some(200)),
    ("baddn.dat", Some(200)),
    ("badbranch.dat", Some(200)),
    ("unksm2.dat", Some(401)),
    ("invut.dat", Some(401)),
    ("regaut01.dat", Some(401)),
    ("zeromf.dat", Some(200)),
    ("cparam01.dat", Some(401)),
    ("cparam02.dat", Some(401)),
    ("regescrt.dat", Some(401)),
    ("sdp01.dat", Some(401)),
    // No Contact in an INVITE (RFC 3261 s.8.1.1.8).
    ("inv2543.dat", Some(400)),
    ("bcast.dat", None),
];

/// What is different over a stream; `None`: it is closed without a word.
const OVER_A_STREAM: [(&str, Option<u16>); 4] = [
    // The server waits for the rest of the body, which does not come as such.
    ("clerr.dat", None),
    // The message ends in the middle of its header, which is garbled by what follows.
    ("baddn.dat", Some(400)),
    // Behind the message stand bytes that are none; the connection is closed, and the answer may come before that.
    ("dblreq.dat", None),
    // Nobody can tell where what follows a message with such a first line begins.
    ("bigcode.dat", None),
];

struct Case {
    file: String,
    verdict: String,
    bytes: Vec<u8>,
}

fn cases() -> Vec<Case> {
    let folder: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/sip/message/torture");
    let table = std::fs::read_to_string(folder.join("verdicts.tsv")).expect("the verdicts");
    let lines = table.lines().filter(|line| !line.starts_with('#')).enumerate();
    let cases = lines.map(|(number, line)| {
        let mut columns = line.split('\t');
        let file = columns.next().unwrap_or_default().to_owned();
        let verdict = columns.next().unwrap_or_default().to_owned();
        let bytes = std::fs::read(folder.join(&file)).expect("a message");
        Case {
            bytes: with_own_branch(&bytes, number),
            file,
            verdict,
        }
    });
    let cases: Vec<Case> = cases.collect();
    assert_eq!(cases.len(), 49);
    cases
}

/// Many of the messages have the same branch, and would be taken for repetitions of each other.
fn with_own_branch(bytes: &[u8], number: usize) -> Vec<u8> {
    let shared = b"z9hG4bKkdjuw";
    let mut bytes = bytes.to_vec();
    if let Some(at) = bytes.windows(shared.len()).position(|window| window == shared) {
        bytes[at + 7..at + shared.len()].copy_from_slice(format!("k{number:04}").as_bytes());
    }
    bytes
}

impl Case {
    /// The final answer that is right; none: it is right not to answer.
    fn expected(&self) -> Option<u16> {
        if let Some(code) = self.verdict.strip_prefix("answer ") {
            return Some(code.parse().expect("a status code"));
        }
        let accepted = ACCEPTED.iter().find(|(file, _)| *file == self.file);
        accepted.map_or_else(
            || (self.verdict != "drop").then(|| panic!("{}: no line in the table", self.file)),
            |(_, code)| *code,
        )
    }

    /// As above, over a stream.
    fn expected_over_a_stream(&self) -> Option<u16> {
        let different = OVER_A_STREAM.iter().find(|(file, _)| *file == self.file);
        different.map_or_else(|| self.expected(), |(_, code)| *code)
    }

    fn port_in_via(&self) -> u16 {
        let text = String::from_utf8_lossy(&self.bytes);
        let via = text
            .lines()
            .find(|line| line.to_ascii_lowercase().starts_with("via") || line.starts_with("v:"));
        let sent_by = via.unwrap_or_default().split(';').next().unwrap_or_default();
        sent_by
            .rsplit(':')
            .next()
            .and_then(|port| port.trim().parse().ok())
            .unwrap_or(5060)
    }
}

/// The messages have no `rport`: the answer goes to the port in their Via, 5060 in most, at the address they came from. So each is
/// sent from an address of its own.
fn own_address() -> Ipv4Addr {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let process = std::process::id();
    Ipv4Addr::new(
        127,
        (1 + process / 250 % 250) as u8,
        (1 + process % 250) as u8,
        NEXT.fetch_add(1, Ordering::Relaxed),
    )
}

fn options_after(server: &Server, local: std::net::SocketAddr, transport: &'static str) -> (Dialog, String) {
    let uri = format!("sip:{}", server.sip);
    let mut dialog = Dialog::new("sip:after@127.0.0.1", &uri, local);
    dialog.transport = transport;
    let text = dialog.request("OPTIONS", &uri, 1, "", "");
    (dialog, text)
}

/// The status of the first final answer to the message itself. Where none is to come, an OPTIONS sent after it is answered first.
async fn over_udp(server: &Server, case: &Case) -> Option<u16> {
    let socket = Socket::bind_to(&format!("{}:{}", own_address(), case.port_in_via())).await;
    socket.send(server.sip, &case.bytes).await;
    let (after, options) = options_after(server, socket.address, "UDP");
    if case.expected().is_none() {
        socket.send(server.sip, options).await;
    }
    loop {
        let message = socket.receive().await;
        if message.header("Call-ID") == after.call_id {
            return None;
        }
        if let Some(status) = final_status(&message) {
            return Some(status);
        }
    }
}

async fn over_tcp(server: &Server, case: &Case) -> Option<u16> {
    let mut connection = Connection::open(server.sip).await;
    connection.send(&case.bytes).await;
    let (after, options) = options_after(server, connection.address, "TCP");
    connection.send(options).await;
    while let Some(message) = connection.receive().await {
        if message.header("Call-ID") == after.call_id {
            case.expected_over_a_stream()?;
            continue;
        }
        if let Some(status) = final_status(&message) {
            return Some(status);
        }
    }
    None
}

fn final_status(message: &Message) -> Option<u16> {
    message.status().filter(|status| *status >= 200)
}

#[tokio::test]
async fn every_torture_message_in_a_datagram_gets_its_answer() {
    let mut server = Setup::new().start().await;
    let mut wrong = Vec::new();
    for case in cases() {
        let got = over_udp(&server, &case).await;
        if got != case.expected() {
            wrong.push(format!(
                "{} ({}): {got:?} instead of {:?}",
                case.file,
                case.verdict,
                case.expected()
            ));
        }
        assert!(server.program.is_running(), "{} ended the server", case.file);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    server.alive_and_idle().await;
}

#[tokio::test]
async fn every_torture_message_on_a_stream_gets_its_answer() {
    let mut server = Setup::new().sip("tcp_idle_timeout_s = 5").start().await;
    let mut wrong = Vec::new();
    for case in cases() {
        let (got, expected) = (over_tcp(&server, &case).await, case.expected_over_a_stream());
        let before_the_end = case.file == "dblreq.dat" && got == case.expected();
        if got != expected && !before_the_end {
            wrong.push(format!("{} ({}): {got:?} instead of {expected:?}", case.file, case.verdict));
        }
        assert!(server.program.is_running(), "{} ended the server", case.file);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    server.alive_and_idle().await;
}

#[tokio::test]
async fn datagrams_cut_off_at_every_byte_and_overlong_ones_harm_nobody() {
    let mut server = Setup::new().start().await;
    let stranger = Socket::bind("127.0.0.1").await;
    let dialog = Dialog::new("sip:cut@127.0.0.1", "sip:2999@127.0.0.1", stranger.address);
    let whole = dialog.request("INVITE", "sip:2999@127.0.0.1", 1, "", crate::rig::sip::SDP);
    for end in 0..whole.len() {
        stranger.send(server.sip, &whole[..end]).await;
    }
    let overlong = format!(
        "{}{}",
        whole.replace("Max-Forwards: 70", &format!("X: {}", "y".repeat(60_000))),
        "z".repeat(4_000)
    );
    for _ in 0..10 {
        stranger.send(server.sip, &overlong).await;
    }
    server.alive_and_idle().await;
}
