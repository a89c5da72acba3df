//! A real phone: baresip without a screen or a sound card. It plays a tone from a file into its calls, and writes what it hears to
//! another. It is told what to do over its TCP control (netstrings of JSON).

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tandem_media::tone::Tone;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::hearing::Hearing;
use super::program::Program;
use super::voice::who_is_in;
use super::wait::SOON;
use super::{ports, wait, wav};

const RATE_HZ: usize = 8_000;
/// Longer than any test call.
const TONE_S: usize = 60;

/// A phone of a test.
pub struct Baresip {
    /// Its user name.
    pub name: String,
    control: TcpStream,
    buffer: Vec<u8>,
    directory: TempDir,
    program: Program,
}

/// How a phone behaves.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It picks up by itself.
    Auto,
    /// It rings until [`Baresip::accept`].
    Manual,
}

impl Baresip {
    /// Starts a phone that registers as `sip:NAME@tandem.local` with the password `pass-NAME`.
    pub async fn start(name: &str, server: SocketAddr, tone_hz: f64, answer: Answer) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path();
        wav::write(&path.join("tone.wav"), Tone::new(tone_hz).take(TONE_S * RATE_HZ));
        let (sip, control, rtp) = (ports::free_port(), ports::free_port(), ports::free_range(20));
        std::fs::write(path.join("config"), config(path, sip, control, rtp)).expect("a config file");
        std::fs::write(path.join("contacts"), "").expect("a contacts file");
        let mode = if answer == Answer::Auto { "auto" } else { "manual" };
        let account = format!(
            "<sip:{name}@tandem.local>;auth_user={name};auth_pass=pass-{name};answermode={mode};regint=600;\
             outbound=\"sip:{server};transport=udp\";audio_codecs=PCMU/8000/1\n"
        );
        std::fs::write(path.join("accounts"), account).expect("an accounts file");
        // Line by line, so that its log is there when a test fails.
        let mut command = Command::new("stdbuf");
        command.args(["-oL", "baresip", "-s", "-f"]).arg(path).current_dir(path);
        let program = Program::start(&mut command, path);
        wait::bound("the control of baresip", "tcp", control).await;
        let control = TcpStream::connect(("127.0.0.1", control))
            .await
            .expect("the control of baresip");
        Self {
            name: name.into(),
            control,
            buffer: Vec::new(),
            directory,
            program,
        }
    }

    async fn command(&mut self, command: &str, params: &str) {
        let text = json!({ "command": command, "params": params, "token": command }).to_string();
        self.control
            .write_all(format!("{}:{text},", text.len()).as_bytes())
            .await
            .expect("a command to baresip");
        loop {
            let message = self.message().await;
            if message["response"] == true && message["token"] == command {
                assert_eq!(message["ok"], true, "{}: {command} {params}: {message}", self.name);
                return;
            }
        }
    }

    /// Dials.
    pub async fn dial(&mut self, uri: &str) {
        self.command("dial", uri).await;
    }

    /// Waits for a call.
    pub async fn rings(&mut self) {
        self.expect("CALL_INCOMING").await;
    }

    /// Waits for a call, and picks up.
    pub async fn takes(&mut self) {
        self.rings().await;
        self.accept().await;
    }

    /// Picks up.
    pub async fn accept(&mut self) {
        self.command("accept", "").await;
    }

    /// Hangs up, or refuses a call that rings.
    pub async fn hang_up(&mut self) {
        self.command("hangup", "").await;
    }

    /// Puts the other side on hold (re-INVITE).
    pub async fn hold(&mut self) {
        self.command("hold", "").await;
    }

    /// Takes the other side back (re-INVITE).
    pub async fn resume(&mut self) {
        self.command("resume", "").await;
    }

    /// Transfers the other side (REFER).
    pub async fn transfer(&mut self, uri: &str) {
        self.command("transfer", uri).await;
    }

    /// Transfers the other side of its first call to that of its newest, which it has dialled itself (REFER with Replaces), and which has
    /// answered or rings. This version has no command for it, but takes any Refer-To; its trace has the dialog.
    pub async fn transfer_to_newest(&mut self, uri: &str, answered: bool) {
        let replaces = self.replaces(if answered { "200" } else { "180" }, true);
        let replaces = replaces.replace(';', "%3B").replace('=', "%3D");
        self.command("line", "1").await;
        self.transfer(&format!("<{uri}?Replaces={replaces}>")).await;
    }

    /// The dialog of the newest call that rings here, as the Replaces header of somebody else names it.
    pub fn rings_in(&self) -> String {
        self.replaces("180", false)
    }

    /// The dialog of the newest INVITE that got this status, by the trace; `dialled`: it was this phone's own.
    fn replaces(&self, status: &str, dialled: bool) -> String {
        let trace = std::fs::read_to_string(&self.program.log).expect("the trace of baresip");
        let line = format!("SIP/2.0 {status} ");
        let answers = trace.split(&line).skip(1);
        let answer = answers.filter(|text| header(text, "CSeq").ends_with(" INVITE")).last();
        let answer = answer.unwrap_or_else(|| panic!("{} has no call with {status}", self.name));
        let tag = |name| {
            let tag = header(answer, name).split_once(";tag=");
            tag.unwrap_or_else(|| panic!("{name} has no tag: {answer}")).1
        };
        let (ours, theirs) = if dialled { ("From", "To") } else { ("To", "From") };
        format!("{};to-tag={};from-tag={}", header(answer, "Call-ID"), tag(theirs), tag(ours))
    }

    /// Waits until it was sent these digits (RFC 4733).
    pub async fn is_sent(&mut self, digits: &str) {
        let mut sent = String::new();
        while sent != digits {
            let message = self.message().await;
            if message["event"] == true && message["type"] == "CALL_DTMF_START" {
                sent += message["param"].as_str().unwrap_or_default();
            }
            assert!(digits.starts_with(&sent), "{} was sent {sent}", self.name);
        }
    }

    /// Waits until it says that this happened (`CALL_ESTABLISHED`, `CALL_CLOSED`).
    pub async fn expect(&mut self, event: &str) {
        loop {
            let message = self.message().await;
            if message["event"] == true && message["type"] == event {
                return;
            }
        }
    }

    async fn message(&mut self) -> Value {
        loop {
            if let Some(message) = self.netstring() {
                return message;
            }
            let mut piece = [0; 4096];
            let read = timeout(SOON, self.control.read(&mut piece)).await;
            let length = read
                .unwrap_or_else(|_| panic!("{} says nothing", self.name))
                .expect("the control of baresip");
            assert!(length > 0, "{} closed its control", self.name);
            self.buffer.extend(&piece[..length]);
        }
    }

    fn netstring(&mut self) -> Option<Value> {
        let colon = self.buffer.iter().position(|byte| *byte == b':')?;
        let length: usize = std::str::from_utf8(&self.buffer[..colon]).ok()?.parse().ok()?;
        let end = colon + 1 + length;
        let message = serde_json::from_slice(self.buffer.get(colon + 1..end)?).ok()?;
        self.buffer.get(end)?;
        self.buffer.drain(..=end);
        Some(message)
    }

    /// What it has heard in its calls so far, the newest call last.
    pub fn heard(&self) -> Vec<i16> {
        self.records().into_values().flatten().collect()
    }

    /// The record of each of its calls: the file has the time in its name.
    fn records(&self) -> BTreeMap<PathBuf, Vec<i16>> {
        let files = std::fs::read_dir(self.directory.path())
            .expect("the directory of baresip")
            .flatten();
        files
            .map(|file| file.path())
            .filter(|path| path.to_string_lossy().ends_with("-dec.wav"))
            .map(|path| (path.clone(), wav::read(&path)))
            .collect()
    }

    /// Waits until it has heard this tone for half a second.
    pub async fn hears(&self, tone_hz: f64) {
        wait::until(&format!("{} to hear {tone_hz} Hz", self.name), SOON, async || {
            let heard = self.heard();
            let longest = longest_run(&heard, tone_hz);
            if longest >= RATE_HZ / 2 {
                Ok(())
            } else {
                Err(format!("{longest} of {} samples", heard.len()))
            }
        })
        .await;
    }
}

impl Hearing for Baresip {
    fn name(&self) -> &str {
        &self.name
    }

    /// By what it records: a file for each of its calls.
    fn listen(&self) -> Box<dyn Fn(Duration) -> BTreeSet<&'static str> + '_> {
        let known: BTreeMap<PathBuf, usize> = self
            .records()
            .into_iter()
            .map(|(path, samples)| (path, samples.len()))
            .collect();
        Box::new(move |elapsed| {
            let fresh = self.records().into_iter().flat_map(|(path, samples)| {
                let from = known.get(&path).copied().unwrap_or_default();
                samples.get(from..).unwrap_or_default().to_vec()
            });
            let fresh: Vec<i16> = fresh.collect();
            let due = elapsed.as_millis() as usize * RATE_HZ / 1_000;
            if fresh.len() * 3 < due {
                BTreeSet::new()
            } else {
                who_is_in(&fresh)
            }
        })
    }
}

/// Waits for another second to begin: a record has the time of its beginning in its name, to the second, and two calls of one phone must not
/// share it.
pub async fn another_second() {
    let second = || {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map(|age| age.as_secs())
            .unwrap_or_default()
    };
    let begun = second();
    wait::until("another second", SOON, async || {
        if second() > begun { Ok(()) } else { Err(begun.to_string()) }
    })
    .await;
}

/// The first header of this name in a text.
fn header<'a>(text: &'a str, name: &str) -> &'a str {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    line.unwrap_or_default().trim()
}

/// The longest stretch, in samples, that is this tone.
pub fn longest_run(samples: &[i16], tone_hz: f64) -> usize {
    let (mut longest, mut run) = (0, 0);
    for frame in samples.chunks_exact(400) {
        run = if tandem_media::tone::share_of(frame, tone_hz) > 0.8 {
            run + frame.len()
        } else {
            0
        };
        longest = longest.max(run);
    }
    longest
}

/// Without a jitter buffer: that of baresip 1.0 takes every packet for late when a new source of RTP starts below the sequence number of the
/// one before, as half of them do (its flush forgets the packets and keeps the number).
fn config(path: &Path, sip: u16, control: u16, rtp: u16) -> String {
    let path = path.display();
    let last_rtp = rtp + 19;
    format!(
        "sip_listen 127.0.0.1:{sip}\nsip_trans_def udp\nnet_interface 127.0.0.1\ncall_local_timeout 120\ncall_max_calls 4\n\
         audio_source aufile,{path}/tone.wav\naudio_alert aufile,{path}/tone.wav\naudio_level no\nausrc_srate 8000\n\
         auplay_srate 8000\nausrc_channels 1\nauplay_channels 1\nrtp_ports {rtp}-{last_rtp}\njitter_buffer_delay 0-0\n\
         rtp_stats yes\nsnd_path {path}\nmodule_path /usr/lib/baresip/modules\nmodule g711.so\nmodule aufile.so\nmodule sndfile.so\n\
         module uuid.so\nmodule_tmp account.so\nmodule_app menu.so\nmodule_app ctrl_tcp.so\nctrl_tcp_listen 127.0.0.1:{control}\n"
    )
}
