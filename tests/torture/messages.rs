//! The messages of RFC 4475, each as one datagram and as one write on a TCP connection of its own.
//!
//! `verdicts.tsv` beside the messages says what the SIP layer makes of each. This table adds what the whole server answers to those
//! that the SIP layer accepts.

use std::path::{Path, PathBuf};

use crate::rig::server::{Server, Setup};
use crate::rig::sip::{Connection, Dialog, Message, Socket};

/// What the server does with a message that is well-formed. 0: it does not answer.
const ACCEPTED: [(&str, &[u16]); 0] = [];

struct Case {
    file: String,
    verdict: String,
    bytes: Vec<u8>,
}

fn cases() -> Vec<Case> {
    let folder: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/sip/message/torture");
    let table = std::fs::read_to_string(folder.join("verdicts.tsv")).expect("the verdicts");
    let lines = table.lines().filter(|line| !line.starts_with('#'));
    let cases = lines.map(|line| {
        let mut columns = line.split('\t');
        let file = columns.next().unwrap_or_default().to_owned();
        let verdict = columns.next().unwrap_or_default().to_owned();
        let bytes = std::fs::read(folder.join(&file)).expect("a message");
        Case { file, verdict, bytes }
    });
    cases.collect()
}

impl Case {
    /// The final answers that are right; none: it is right not to answer.
    fn expected(&self) -> Vec<u16> {
        if let Some(code) = self.verdict.strip_prefix("answer ") {
            return vec![code.parse().expect("a status code")];
        }
        let accepted = ACCEPTED
            .iter()
            .find(|(file, _)| *file == self.file)
            .map(|(_, codes)| codes.to_vec());
        match accepted {
            Some(codes) => codes.into_iter().filter(|code| *code != 0).collect(),
            None => Vec::new(),
        }
    }
}

#[tokio::test]
#[ignore = "a survey"]
async fn survey() {
    let server = Setup::new().start().await;
    for case in cases() {
        let codes = over_udp(&server, &case).await;
        let tcp = over_tcp(&server, &case).await;
        eprintln!(
            "{}\t{}\tudp {codes:?}\ttcp {tcp:?}\texp {:?}",
            case.file,
            case.verdict,
            case.expected()
        );
    }
}

/// What came back, in order, until a final answer has come and two OPTIONS behind it were answered; without an answer, until the
/// second of them was.
struct Survey {
    codes: Vec<String>,
    options: usize,
}

async fn over_udp(server: &Server, case: &Case) -> Vec<String> {
    // The messages have no `rport`: the answer goes to the port in their Via, which is 5060 in most, at the address they came from.
    static NEXT: std::sync::atomic::AtomicU8 = std::sync::atomic::AtomicU8::new(1);
    let last = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let pid = std::process::id();
    let text = String::from_utf8_lossy(&case.bytes);
    let port = via_port(&text);
    let socket = Socket::bind_to(&format!("127.{}.{}.{last}:{port}", 1 + pid / 250 % 250, 1 + pid % 250)).await;
    socket.send(server.sip, &case.bytes).await;
    let uri = format!("sip:{}", server.sip);
    let mut codes = Vec::new();
    while let Ok(message) = tokio::time::timeout(std::time::Duration::from_millis(400), socket.receive()).await {
        codes.extend(final_status(&message).map(|_| message.start));
    }
    codes
}

async fn over_tcp(server: &Server, case: &Case) -> Vec<String> {
    let mut connection = Connection::open(server.sip).await;
    connection.send(&case.bytes).await;
    let mut codes = Vec::new();
    while let Ok(message) = tokio::time::timeout(std::time::Duration::from_millis(400), connection.receive()).await {
        let Some(message) = message else {
            codes.push("closed".into());
            break;
        };
        codes.extend(final_status(&message).map(|_| message.start));
    }
    codes
}

fn final_status(message: &Message) -> Option<u16> {
    message.status().filter(|status| *status >= 200)
}

fn via_port(text: &str) -> u16 {
    let via = text
        .lines()
        .find(|line| line.to_ascii_lowercase().starts_with("via") || line.starts_with("v:"))
        .unwrap_or_default();
    let sent_by = via.split(';').next().unwrap_or_default();
    sent_by
        .rsplit(':')
        .next()
        .and_then(|port| port.trim().parse().ok())
        .unwrap_or(5060)
}
