//! A simulated phone: a real SIP user agent and real RTP on loopback sockets, and a small will of its own.
//!
//! It registers with digest, rings for a moment, answers, and sends a tone while it talks. It listens for the other phone's tone, so
//! that a round can tell whether the two really heard each other. One call at a time; a second one gets 486.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tandem_media::{FRAME_MS, FRAME_SAMPLES, g711, rtp, sdp, tone};
use tandem_sip::flow::{Flow, ListenerId, Transport};
use tandem_sip::message::{Message, Method, Uri};
use tandem_sip::ua::{
    ClientOutcome, Credentials, Invite, Listener, OutgoingRequest, SessionId, UaConfig, UaEvent, UaOutput, UserAgent,
};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;

/// How long a phone rings before it answers.
const RING_TIME: Duration = Duration::from_millis(700);
/// The longest SIP datagram.
const MAX_DATAGRAM: usize = 65_535;
/// How much of what it hears a phone remembers: half a second.
const MEMORY_SAMPLES: usize = 4_000;
/// What it asks the registrar for, in seconds.
const REGISTER_FOR: &str = "600";

/// Who a phone is.
#[derive(Clone, Debug)]
pub struct PhoneIdentity {
    /// Its number, which is its user name.
    pub number: String,
    /// The domain.
    pub domain: String,
    /// The password.
    pub password: String,
    /// The tone it sends, in hertz.
    pub tone_hz: f64,
}

/// What a phone is told to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PhoneCommand {
    /// Register.
    Register,
    /// Call this number.
    Dial(String),
    /// Hang up, or decline.
    HangUp,
    /// Tell what is heard.
    Listen,
    /// Do not answer the next calls.
    Busy(bool),
}

/// What a phone tells.
#[derive(Clone, PartialEq, Debug)]
pub enum PhoneEvent {
    /// It is registered.
    Registered,
    /// The registrar refused it.
    Refused(u16),
    /// It rings.
    Ringing,
    /// The other end rings.
    Ringback,
    /// It talks.
    Talking,
    /// Its call is over, or could not be made (the SIP status).
    Over(Option<u16>),
    /// The last half second of what it hears.
    Heard {
        /// Samples.
        samples: Vec<i16>,
    },
}

/// The handles of a running phone.
pub struct Phone {
    /// Who it is.
    pub identity: PhoneIdentity,
    /// Tell it something.
    pub commands: mpsc::Sender<PhoneCommand>,
    /// Hear from it.
    pub events: mpsc::Receiver<PhoneEvent>,
}

impl Phone {
    /// Starts a phone that uses the server at `server`.
    pub async fn start(identity: PhoneIdentity, server: SocketAddr) -> io::Result<Self> {
        let sip = UdpSocket::bind((server.ip(), 0)).await?;
        let audio = UdpSocket::bind((server.ip(), 0)).await?;
        let (commands, inbox) = mpsc::channel(16);
        let (outbox, events) = mpsc::channel(64);
        let runner = Runner::new(identity.clone(), server, sip, audio, outbox)?;
        actix_rt::spawn(runner.run(inbox));
        Ok(Self {
            identity,
            commands,
            events,
        })
    }
}

/// A call of the phone.
struct Call {
    session: SessionId,
    incoming: bool,
    answered: bool,
    destination: Option<SocketAddr>,
    memory: Vec<i16>,
}

struct Runner {
    identity: PhoneIdentity,
    server: SocketAddr,
    sip: UdpSocket,
    audio: UdpSocket,
    contact: SocketAddr,
    ua: UserAgent,
    outbox: mpsc::Sender<PhoneEvent>,
    call: Option<Call>,
    answer_at: Option<Instant>,
    busy: bool,
    tone: tone::Tone,
    sequence: u16,
    timestamp: u32,
    descriptions: u64,
}

impl Runner {
    fn new(
        identity: PhoneIdentity,
        server: SocketAddr,
        sip: UdpSocket,
        audio: UdpSocket,
        outbox: mpsc::Sender<PhoneEvent>,
    ) -> io::Result<Self> {
        let contact = sip.local_addr()?;
        let config = UaConfig {
            shard: 0,
            product: "tandem-demo-phone".into(),
            listeners: vec![Listener {
                id: ListenerId(0),
                transport: Transport::Udp,
                advertised: contact,
            }],
            t1: Duration::from_millis(500),
            t2: Duration::from_secs(4),
            t4: Duration::from_secs(5),
            invite_timeout: Duration::from_secs(180),
            max_sessions: 4,
            max_transactions: 64,
            ..UaConfig::default()
        };
        Ok(Self {
            tone: tone::Tone::new(identity.tone_hz),
            identity,
            server,
            sip,
            audio,
            contact,
            ua: UserAgent::new(config, StdRng::from_os_rng()),
            outbox,
            call: None,
            answer_at: None,
            busy: false,
            sequence: 0,
            timestamp: 0,
            descriptions: 0,
        })
    }

    async fn run(mut self, mut inbox: mpsc::Receiver<PhoneCommand>) {
        let mut datagram = vec![0; MAX_DATAGRAM];
        let mut packet = vec![0; 2_048];
        let mut frame = tokio::time::interval(Duration::from_millis(FRAME_MS));
        frame.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                command = inbox.recv() => match command {
                    Some(command) => self.command(command).await,
                    None => return,
                },
                Ok((length, peer)) = self.sip.recv_from(&mut datagram) => {
                    if let Ok(message) = Message::parse(Bytes::copy_from_slice(datagram.get(..length).unwrap_or_default())) {
                        self.ua.receive(Instant::now(), self.flow(peer), message);
                    }
                }
                Ok((length, _)) = self.audio.recv_from(&mut packet) => self.hear(packet.get(..length).unwrap_or_default()),
                _ = frame.tick() => self.speak().await,
            }
            self.turn().await;
        }
    }

    fn flow(&self, peer: SocketAddr) -> Flow {
        Flow {
            transport: Transport::Udp,
            listener: ListenerId(0),
            peer,
            connection: None,
        }
    }

    async fn command(&mut self, command: PhoneCommand) {
        match command {
            PhoneCommand::Register => self.register(),
            PhoneCommand::Dial(number) => self.dial(&number),
            PhoneCommand::HangUp => {
                if let Some(call) = &self.call {
                    self.ua.bye(Instant::now(), call.session, None);
                }
            }
            PhoneCommand::Busy(busy) => self.busy = busy,
            PhoneCommand::Listen => {
                let samples = self.call.as_ref().map(|call| call.memory.clone()).unwrap_or_default();
                self.tell(PhoneEvent::Heard { samples }).await;
            }
        }
    }

    fn address(&self, number: &str) -> Arc<str> {
        format!("sip:{number}@{}", self.identity.domain).into()
    }

    fn credentials(&self) -> Credentials {
        Credentials {
            username: self.identity.number.as_str().into(),
            password: self.identity.password.as_str().into(),
            realm: None,
        }
    }

    fn register(&mut self) {
        let me = self.address(&self.identity.number);
        let contact = format!("<sip:{}@{}>", self.identity.number, self.contact);
        let request = OutgoingRequest {
            method: Method::Register,
            uri: format!("sip:{}", self.identity.domain).into(),
            flow: Some(self.flow(self.server)),
            from: (me.clone(), None),
            to: me,
            headers: vec![("Contact".into(), contact.into()), ("Expires".into(), REGISTER_FOR.into())],
            body: None,
            credentials: Some(self.credentials()),
        };
        self.ua.request(Instant::now(), request);
    }

    fn dial(&mut self, number: &str) {
        let (me, other) = (self.address(&self.identity.number), self.address(number));
        let invite = Invite {
            uri: other.clone(),
            flow: Some(self.flow(self.server)),
            proxy: None,
            route: Vec::new(),
            from: (me, None),
            to: other,
            offer: self.description(),
            headers: Vec::new(),
            credentials: Some(self.credentials()),
        };
        let session = self.ua.invite(Instant::now(), invite);
        self.call = Some(Call {
            session,
            incoming: false,
            answered: false,
            destination: None,
            memory: Vec::new(),
        });
    }

    /// Our next session description.
    fn description(&mut self) -> Option<Bytes> {
        self.descriptions += 1;
        let address = self.audio.local_addr().ok()?;
        Some(sdp::audio(address, u64::from(address.port()), self.descriptions).into())
    }

    /// Does what the user agent wants done.
    async fn turn(&mut self) {
        let now = Instant::now();
        if self.ua.next_timeout().is_some_and(|due| due <= now) {
            self.ua.timeout(now);
        }
        if self.answer_at.is_some_and(|due| due <= now) {
            self.answer_at = None;
            self.answer();
        }
        while let Some(output) = self.ua.poll() {
            match output {
                UaOutput::Send { flow, bytes } => {
                    // What is lost is sent again.
                    let _ = self.sip.send_to(&bytes, flow.peer).await;
                }
                UaOutput::Resolve { id, uri } => {
                    // Everything of the demo is at the server's address.
                    tracing::debug!(%uri, "resolved to the server");
                    let hop = tandem_sip::flow::Hop {
                        transport: Transport::Udp,
                        addr: self.server,
                    };
                    self.ua.resolved(now, id, vec![hop]);
                }
                UaOutput::Event(event) => self.event(event).await,
            }
        }
    }

    async fn event(&mut self, event: UaEvent) {
        match event {
            UaEvent::Incoming { session, invite } => self.incoming(session, invite.offer.as_ref()).await,
            UaEvent::Progress { .. } => self.tell(PhoneEvent::Ringback).await,
            UaEvent::Answered { session, sdp } => {
                self.ua.ack(Instant::now(), session, None);
                self.talk(sdp.as_ref()).await;
            }
            UaEvent::Acked { sdp: Some(sdp), .. } => self.talk(Some(&sdp)).await,
            UaEvent::Reinvited { session, offer } => {
                let answer = self.description();
                self.ua.accept_reinvite(Instant::now(), session, answer);
                self.talk(offer.as_ref()).await;
            }
            UaEvent::Failed { session, status, .. } => self.over(session, Some(status)).await,
            UaEvent::Cancelled { session, .. } | UaEvent::Ended { session, .. } => self.over(session, None).await,
            UaEvent::Request { id, request, .. } => {
                let status = if request.method() == Some(Method::Options) { 200 } else { 405 };
                self.ua.respond(Instant::now(), id, status, &[], None);
            }
            UaEvent::Response { outcome, .. } => match outcome {
                ClientOutcome::Response(response) if response.status() == Some(200) => self.tell(PhoneEvent::Registered).await,
                ClientOutcome::Response(response) => self.tell(PhoneEvent::Refused(response.status().unwrap_or_default())).await,
                ClientOutcome::Timeout => self.tell(PhoneEvent::Refused(408)).await,
            },
            _ => {}
        }
    }

    async fn incoming(&mut self, session: SessionId, offer: Option<&Bytes>) {
        if self.busy || self.call.is_some() {
            return self.ua.reject(Instant::now(), session, 486, &[]);
        }
        let destination = offer.and_then(|offer| sdp::audio_destination(offer));
        self.call = Some(Call {
            session,
            incoming: true,
            answered: false,
            destination,
            memory: Vec::new(),
        });
        self.ua.progress(Instant::now(), session, 180, None);
        self.answer_at = Some(Instant::now() + RING_TIME);
        self.tell(PhoneEvent::Ringing).await;
    }

    fn answer(&mut self) {
        let description = self.description();
        if let Some(call) = self.call.as_mut().filter(|call| call.incoming && !call.answered) {
            call.answered = true;
            self.ua.accept(Instant::now(), call.session, description);
        }
    }

    /// The other side's description: from now on its address is where the tone goes.
    async fn talk(&mut self, description: Option<&Bytes>) {
        let Some(call) = &mut self.call else { return };
        if let Some(description) = description {
            call.destination = sdp::audio_destination(description);
        }
        if call.destination.is_some() {
            self.tell(PhoneEvent::Talking).await;
        }
    }

    async fn over(&mut self, session: SessionId, status: Option<u16>) {
        if self.call.as_ref().is_some_and(|call| call.session == session) {
            self.call = None;
            self.answer_at = None;
            self.tell(PhoneEvent::Over(status)).await;
        }
    }

    async fn speak(&mut self) {
        let Some(destination) = self
            .call
            .as_ref()
            .filter(|call| call.answered || !call.incoming)
            .and_then(|call| call.destination)
        else {
            return;
        };
        let payload: Vec<u8> = self.tone.by_ref().take(FRAME_SAMPLES).map(g711::encode_mulaw).collect();
        let ssrc = u32::from(self.contact.port());
        let header = rtp::Header {
            payload_type: sdp::PCMU,
            marker: false,
            sequence: self.sequence,
            timestamp: self.timestamp,
            ssrc,
        };
        self.sequence = self.sequence.wrapping_add(1);
        self.timestamp = self.timestamp.wrapping_add(FRAME_SAMPLES as u32);
        // A lost packet is what networks do.
        let _ = self.audio.send_to(&rtp::packet(header, &payload), destination).await;
    }

    fn hear(&mut self, packet: &[u8]) {
        let (Some(call), Ok((header, payload))) = (&mut self.call, rtp::parse(packet)) else {
            return;
        };
        if header.payload_type != sdp::PCMU {
            return;
        }
        call.memory.extend(payload.iter().map(|code| g711::decode_mulaw(*code)));
        let surplus = call.memory.len().saturating_sub(MEMORY_SAMPLES);
        call.memory.drain(..surplus);
    }

    async fn tell(&self, event: PhoneEvent) {
        // The round may be over and not listen any more.
        let _ = self.outbox.send(event).await;
    }
}

/// The number in a URI, for people.
pub fn number_of(uri: &str) -> &str {
    Uri::parse(uri).ok().and_then(|uri| uri.user).unwrap_or(uri)
}
