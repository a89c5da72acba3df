//! What a phone of the tests says and hears: a tone of its own as PCMU over RTP, and a record of what comes.
//!
//! What was heard is judged by who is in it: each phone's tone is known. Other sound (music, tones of the network) counts as
//! [`SOUND`], and what has no power as silence.

use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use tandem_media::tone::{Tone, share_of};
use tandem_media::{g711, rtp};
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

/// The tones of the phones, in hertz, by user name. None is a harmonic of another, or a part of a tone of the network, and each lies
/// between two notes of the scale, so that no music has it.
pub const TONES: [(&str, f64); 5] = [
    ("1001", 538.6),
    ("1002", 761.6),
    ("1003", 905.8),
    ("1004", 1_209.0),
    ("1005", 1_438.0),
];
/// What stands for any sound that is no phone's tone.
pub const SOUND: &str = "sound";

const FRAME: Duration = Duration::from_millis(20);
const FRAME_SAMPLES: usize = 160;
/// A tone that has this part of the power is heard.
const PRESENT: f64 = 0.12;
/// Where this part of the power is nobody's tone, there is another sound.
const FOREIGN: f64 = 0.4;
/// The root mean square below which a stretch is silence.
const QUIET: f64 = 60.0;
/// How much is remembered.
const MEMORY: Duration = Duration::from_secs(20);
/// The keys, in the order of their events, and the payload type of events.
const KEYS: &str = "0123456789*#ABCD";
const EVENT: u8 = 101;
/// What is looked at in one piece, in samples.
const PIECE: usize = 800;

/// The tone of a phone.
pub fn tone_of(name: &str) -> f64 {
    let known = TONES.iter().find(|(known, _)| *known == name);
    known.map_or_else(|| panic!("{name} has no tone"), |(_, tone_hz)| *tone_hz)
}

/// Whose tones are in these samples.
pub fn who_is_in(samples: &[i16]) -> BTreeSet<&'static str> {
    let pieces: Vec<&[i16]> = samples.chunks_exact(PIECE).collect();
    let power = |piece: &[i16]| piece.iter().map(|sample| f64::from(*sample).powi(2)).sum::<f64>();
    let total: f64 = pieces.iter().map(|piece| power(piece)).sum();
    if total < QUIET * QUIET * (pieces.len() * PIECE) as f64 || pieces.is_empty() {
        return BTreeSet::new();
    }
    let share = |tone_hz| {
        pieces
            .iter()
            .map(|piece| share_of(piece, tone_hz) * power(piece))
            .sum::<f64>()
            / total
    };
    let shares = TONES.map(|(name, tone_hz)| (name, share(tone_hz)));
    let foreign = 1.0 - shares.iter().map(|(_, share)| share).sum::<f64>();
    let voices = shares.into_iter().filter(|(_, share)| *share > PRESENT).map(|(name, _)| name);
    voices.chain((foreign > FOREIGN).then_some(SOUND)).collect()
}

/// One end of an audio stream. Dropping it closes the port.
pub struct Voice {
    /// Where it listens.
    pub port: u16,
    shared: Arc<Mutex<Shared>>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    destination: Option<SocketAddr>,
    listens: bool,
    heard: VecDeque<(Instant, Vec<i16>)>,
    digits: String,
    last_digit: Option<u32>,
    /// The keys that are still to be pressed, and how many packets of the first one are sent.
    keys: VecDeque<u8>,
    sent: u16,
    /// The other line of a conference of the phone's own: what comes here is said there as well.
    other: Option<Weak<Mutex<Shared>>>,
    /// What came on the other line, to be said here.
    guest: VecDeque<i16>,
}

impl Voice {
    /// Opens a port. Nothing is sent, and nothing that comes counts, until [`Self::set`].
    pub async fn open(tone_hz: f64) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a port for RTP");
        let port = socket.local_addr().expect("an address").port();
        let shared = Arc::new(Mutex::new(Shared::default()));
        let task = tokio::spawn(run(socket, tone_hz, shared.clone()));
        Self { port, shared, task }
    }

    /// Where the tone goes, if anywhere, and whether the phone listens.
    pub fn set(&self, destination: Option<SocketAddr>, listens: bool) {
        let mut shared = lock(&self.shared);
        (shared.destination, shared.listens) = (destination, listens);
    }

    /// Two lines of one phone become a conference that the phone mixes by itself.
    pub fn mixes_with(&self, other: &Self) {
        lock(&self.shared).other = Some(Arc::downgrade(&other.shared));
        lock(&other.shared).other = Some(Arc::downgrade(&self.shared));
    }

    /// Who was heard in the last stretch of this length. Where next to nothing came: silence.
    pub fn hears(&self, stretch: Duration) -> BTreeSet<&'static str> {
        let since = Instant::now() - stretch;
        let shared = lock(&self.shared);
        let fresh = shared.heard.iter().filter(|(at, _)| *at >= since);
        let samples: Vec<i16> = fresh.flat_map(|(_, samples)| samples).copied().collect();
        let due = stretch.as_millis() as usize / FRAME.as_millis() as usize * FRAME_SAMPLES;
        if samples.len() * 3 < due {
            return BTreeSet::new();
        }
        who_is_in(&samples)
    }

    /// Whether all of these were heard at once at some time that is remembered.
    pub fn has_heard(&self, names: &[&str]) -> bool {
        let samples: Vec<i16> = lock(&self.shared)
            .heard
            .iter()
            .flat_map(|(_, samples)| samples)
            .copied()
            .collect();
        let mut stretches = samples.windows(PIECE).step_by(PIECE / 4).map(who_is_in);
        stretches.any(|heard| names.iter().all(|name| heard.contains(name)))
    }

    /// Presses these keys, one after the other.
    pub fn press(&self, digits: &str) {
        let code = |digit| KEYS.find(digit).expect("a key of a phone") as u8;
        lock(&self.shared).keys.extend(digits.chars().map(code));
    }

    /// The digits that came (RFC 4733).
    pub fn digits(&self) -> String {
        lock(&self.shared).digits.clone()
    }
}

impl Drop for Voice {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn run(socket: UdpSocket, tone_hz: f64, shared: Arc<Mutex<Shared>>) {
    let mut tone = Tone::new(tone_hz);
    let mut ticks = tokio::time::interval(FRAME);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut header = rtp::Header {
        payload_type: 0,
        marker: false,
        sequence: 1,
        timestamp: 160,
        ssrc: u32::from(socket.local_addr().expect("an address").port()),
    };
    let mut packet = [0; 2_048];
    loop {
        tokio::select! {
            _ = ticks.tick() => {
                let payload: Vec<u8> = {
                    let mut shared = lock(&shared);
                    let own = tone.by_ref().take(FRAME_SAMPLES);
                    own.map(|sample| sample.saturating_add(shared.guest.pop_front().unwrap_or(0))).map(g711::encode_mulaw).collect()
                };
                header.sequence = header.sequence.wrapping_add(1);
                header.timestamp = header.timestamp.wrapping_add(FRAME_SAMPLES as u32);
                let (destination, key) = {
                    let mut shared = lock(&shared);
                    (shared.destination, shared.key())
                };
                if let Some(destination) = destination {
                    let packet = match key {
                        Some((age, payload)) => {
                            // One event has the time of its beginning.
                            let timestamp = header.timestamp.wrapping_sub(u32::from(age) * FRAME_SAMPLES as u32);
                            let header = rtp::Header { payload_type: EVENT, marker: age == 0, timestamp, ..header };
                            rtp::packet(header, &payload)
                        }
                        None => rtp::packet(header, &payload),
                    };
                    // Whether anybody takes it shows in what is heard.
                    let _ = socket.send_to(&packet, destination).await;
                }
            }
            Ok((length, _)) = socket.recv_from(&mut packet) => {
                let (other, came) = {
                    let mut shared = lock(&shared);
                    (shared.other.clone(), shared.take(&packet[..length]))
                };
                // One lock at a time: the other line does the same.
                if let Some(other) = other.and_then(|other| other.upgrade()) {
                    let mut other = lock(&other);
                    other.guest.extend(came);
                    let late = other.guest.len().saturating_sub(4 * FRAME_SAMPLES);
                    other.guest.drain(..late);
                }
            }
        }
    }
}

impl Shared {
    /// The next packet of the key that is pressed, and how many went before it: five that it is down, three that it is up (RFC 4733
    /// s.2.5.1.4). Then comes a pause of two packets.
    fn key(&mut self) -> Option<(u16, [u8; 4])> {
        let code = *self.keys.front().filter(|_| self.destination.is_some())?;
        let age = self.sent;
        self.sent += 1;
        if age >= 8 {
            if age == 9 {
                self.keys.pop_front();
                self.sent = 0;
            }
            return None;
        }
        let (end, held) = if age < 5 { (0, age + 1) } else { (0x80, 5) };
        let [high, low] = (held * FRAME_SAMPLES as u16).to_be_bytes();
        Some((age, [code, end | 10, high, low]))
    }

    /// What of this packet is sound.
    fn take(&mut self, packet: &[u8]) -> Vec<i16> {
        let Ok((header, payload)) = rtp::parse(packet) else {
            return Vec::new();
        };
        match header.payload_type {
            0 if self.listens => {
                let now = Instant::now();
                let samples: Vec<i16> = payload.iter().map(|code| g711::decode_mulaw(*code)).collect();
                self.heard.push_back((now, samples.clone()));
                while self.heard.front().is_some_and(|(at, _)| now - *at > MEMORY) {
                    self.heard.pop_front();
                }
                return samples;
            }
            // One event has one timestamp, however many packets it has (RFC 4733 s.2.3).
            EVENT if self.last_digit != Some(header.timestamp) => {
                self.last_digit = Some(header.timestamp);
                let event = payload.first().map(|event| usize::from(*event));
                self.digits.extend(event.and_then(|event| KEYS.chars().nth(event)));
            }
            _ => {}
        }
        Vec::new()
    }
}
