//! Two ends over a network that drops connections, cuts them in the middle of a message, stalls them and restarts either end.
//!
//! Every step of a script is one move of the world. After each the invariant is checked: what arrived since the last synchronisation is
//! the beginning of what was sent since then, in order; and when the network is left alone, all of it.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;
use proptest::prelude::*;
use tandem_model::ConferenceId;
use tandem_model::link::{LinkNotification, LinkRequest};

use super::session::{ACK_DELAY, GREETING_TIMEOUT, RETRY_MOST};
use super::*;
use crate::mltp::{Carried, HideHeaders};

const ADDP: Addp = Addp {
    timeout: Duration::from_secs(2),
    remote_timeout: Duration::from_secs(3),
    trace: AddpTrace::Both,
};

type Requests = Session<LinkRequest, LinkNotification>;
type Notifications = Session<LinkNotification, LinkRequest>;

fn config(role: Role, instance: u32, limits: QueueLimits) -> SessionConfig {
    SessionConfig {
        role,
        identity: Identity {
            instance: format!("{role:?}-{instance}").into(),
            connector: 2,
            name: "connector3".into(),
            pool: "Pool1".into(),
        },
        addp: if role == Role::Client { ADDP } else { Addp::default() },
        limits,
        log: None,
    }
}

/// What one end sent and got since its last synchronisation.
#[derive(Default)]
struct Book {
    /// Numbers, in order, that this end's session took since it last synchronised.
    sent: Vec<u64>,
    /// Numbers that came out of this end.
    got: Vec<u64>,
    synchronised: u32,
    ups: u32,
    downs: u32,
    faults: Vec<Fault>,
    logs: usize,
}

/// One end and its side of the connection.
struct End<Out, In> {
    session: Session<Out, In>,
    book: Book,
    to_peer: VecDeque<Bytes>,
    wants_connection: bool,
    closed: bool,
    number_of: fn(&In) -> u64,
}

impl<Out: Carried, In: Carried> End<Out, In> {
    fn new(session: Session<Out, In>, number_of: fn(&In) -> u64) -> Self {
        Self {
            session,
            book: Book::default(),
            to_peer: VecDeque::new(),
            wants_connection: false,
            closed: false,
            number_of,
        }
    }

    fn drain(&mut self) {
        while let Some(output) = self.session.poll() {
            match output {
                Output::Connect => self.wants_connection = true,
                Output::Send(bytes) => self.to_peer.push_back(bytes),
                Output::Close => self.closed = true,
                Output::Up { resumed, .. } => {
                    self.book.ups += 1;
                    if !resumed {
                        self.book.synchronised += 1;
                        self.book.sent.clear();
                        self.book.got.clear();
                    }
                }
                Output::Deliver(message) => {
                    assert!(self.book.synchronised > 0, "a message before the first synchronisation");
                    self.book.got.push((self.number_of)(&message));
                }
                Output::Down(_) => self.book.downs += 1,
                Output::Fault(fault) => self.book.faults.push(fault),
                Output::Log(_) => self.book.logs += 1,
            }
        }
    }

    fn send(&mut self, message: &Out, number: u64, now: Instant) {
        if self.session.send(message, now).is_ok() {
            self.book.sent.push(number);
        }
        self.drain();
    }
}

fn request_number(request: &LinkRequest) -> u64 {
    request.conference().map_or(0, |conference| conference.0)
}

fn notification_number(notification: &LinkNotification) -> u64 {
    notification.conference().map_or(0, |conference| conference.0)
}

/// A move of the world.
#[derive(Clone, Debug)]
enum Move {
    /// The T-Server sends so many messages.
    Request(u8),
    /// The connector sends so many.
    Notify(u8),
    /// So many bytes get through, to the connector and back.
    Carry(u16, u16),
    /// Time passes, in milliseconds.
    Wait(u16),
    /// The connection breaks; what is on its way is lost. Each end may notice late.
    Break { client_knows: bool, server_knows: bool },
    /// The T-Server is killed and starts.
    RestartClient,
    /// The connector is killed and starts.
    RestartServer,
}

fn any_move() -> impl Strategy<Value = Move> {
    prop_oneof![
        4 => (1..5_u8).prop_map(Move::Request),
        4 => (1..5_u8).prop_map(Move::Notify),
        8 => (0..2_000_u16, 0..2_000_u16).prop_map(|(down, up)| Move::Carry(down, up)),
        5 => (0..4_000_u16).prop_map(Move::Wait),
        3 => any::<(bool, bool)>().prop_map(|(client_knows, server_knows)| Move::Break { client_knows, server_knows }),
        1 => Just(Move::RestartClient),
        1 => Just(Move::RestartServer),
    ]
}

struct World {
    now: Instant,
    limits: QueueLimits,
    client: End<LinkRequest, LinkNotification>,
    server: End<LinkNotification, LinkRequest>,
    connected: bool,
    /// Bytes on their way down and up.
    down: VecDeque<u8>,
    up: VecDeque<u8>,
    next: u64,
    restarts: u32,
}

impl World {
    fn new(limits: QueueLimits) -> Self {
        let now = Instant::now();
        Self {
            now,
            limits,
            client: End::new(Requests::new(config(Role::Client, 0, limits), now), notification_number),
            server: End::new(Notifications::new(config(Role::Server, 0, limits), now), request_number),
            connected: false,
            down: VecDeque::new(),
            up: VecDeque::new(),
            next: 1,
            restarts: 0,
        }
    }

    fn step(&mut self, step: &Move) {
        match *step {
            Move::Request(count) => (0..count).for_each(|_| self.request()),
            Move::Notify(count) => (0..count).for_each(|_| self.notify()),
            Move::Carry(down, up) => self.carry(usize::from(down), usize::from(up)),
            Move::Wait(ms) => self.wait(Duration::from_millis(ms.into())),
            Move::Break {
                client_knows,
                server_knows,
            } => self.cut(client_knows, server_knows),
            Move::RestartClient => {
                self.restarts += 1;
                self.cut(false, true);
                let session = Requests::new(config(Role::Client, self.restarts, self.limits), self.now);
                self.client = End::new(session, notification_number);
            }
            Move::RestartServer => {
                self.restarts += 1;
                self.cut(true, false);
                let session = Notifications::new(config(Role::Server, self.restarts, self.limits), self.now);
                self.server = End::new(session, request_number);
            }
        }
        self.settle();
        self.check();
    }

    fn request(&mut self) {
        let (number, now) = (self.number(), self.now);
        let conference = ConferenceId(number);
        self.client.send(&LinkRequest::Audit { conference }, number, now);
    }

    fn notify(&mut self) {
        let (number, now) = (self.number(), self.now);
        let conference = ConferenceId(number);
        self.server
            .send(&LinkNotification::ConferenceEnded { conference }, number, now);
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn cut(&mut self, client_knows: bool, server_knows: bool) {
        self.connected = false;
        self.down.clear();
        self.up.clear();
        self.client.to_peer.clear();
        self.server.to_peer.clear();
        if client_knows {
            self.client.session.disconnected(self.now);
        }
        if server_knows {
            self.server.session.disconnected(self.now);
        }
    }

    fn wait(&mut self, time: Duration) {
        let until = self.now + time;
        loop {
            let dues = [self.client.session.next_timeout(), self.server.session.next_timeout()];
            let Some(due) = dues.into_iter().flatten().min().filter(|due| *due <= until) else {
                break;
            };
            self.now = self.now.max(due);
            self.client.session.timeout(self.now);
            self.server.session.timeout(self.now);
            self.settle();
        }
        self.now = until;
    }

    /// What the ends want done with the connection is done.
    fn settle(&mut self) {
        self.client.drain();
        self.server.drain();
        if std::mem::take(&mut self.client.closed) || std::mem::take(&mut self.server.closed) {
            // An ERROR that went before the end arrives.
            self.flush();
            self.carry(usize::MAX, usize::MAX);
            self.cut(true, true);
            self.client.drain();
            self.server.drain();
        }
        if std::mem::take(&mut self.client.wants_connection) {
            self.connected = true;
            self.down.clear();
            self.up.clear();
            self.client.to_peer.clear();
            self.server.to_peer.clear();
            self.server.session.connected(self.now);
            self.client.session.connected(self.now);
            self.client.drain();
            self.server.drain();
        }
        self.flush();
    }

    fn flush(&mut self) {
        for bytes in self.client.to_peer.drain(..) {
            self.down.extend(bytes);
        }
        for bytes in self.server.to_peer.drain(..) {
            self.up.extend(bytes);
        }
    }

    fn carry(&mut self, down: usize, up: usize) {
        if !self.connected {
            return;
        }
        let bytes: Vec<u8> = self.down.drain(..down.min(self.down.len())).collect();
        self.server.session.bytes(&bytes, self.now);
        let bytes: Vec<u8> = self.up.drain(..up.min(self.up.len())).collect();
        self.client.session.bytes(&bytes, self.now);
    }

    /// Nothing was lost, repeated or put in another order.
    fn check(&self) {
        let pairs = [
            (&self.client.book.sent, &self.server.book.got),
            (&self.server.book.sent, &self.client.book.got),
        ];
        // While one end has begun a session that the other end does not know of yet, their books are of two sessions.
        let sessions = [self.client.session.peer(), self.server.session.peer()].map(|peer| peer.map(|peer| &peer.session));
        if sessions[0].is_none() || sessions[0] != sessions[1] {
            return;
        }
        for (sent, got) in pairs {
            assert!(sent.starts_with(got), "sent {sent:?}, got {got:?}");
        }
    }

    /// The network works from now on: everything arrives.
    fn recover(&mut self) {
        for _ in 0..60 {
            self.wait(Duration::from_millis(500));
            self.carry(usize::MAX, usize::MAX);
            self.settle();
        }
        self.check();
        assert!(
            self.client.session.is_up() && self.server.session.is_up(),
            "not up with a good network"
        );
        assert_eq!(self.client.book.sent, self.server.book.got);
        assert_eq!(self.server.book.sent, self.client.book.got);
    }
}

/// A world whose link is up.
fn up() -> World {
    let mut world = World::new(QueueLimits::default());
    world.recover();
    world
}

#[test]
fn the_first_greeting_synchronises_and_then_messages_flow() {
    let mut world = up();
    assert_eq!((world.client.book.synchronised, world.server.book.synchronised), (1, 1));
    world.step(&Move::Request(3));
    world.step(&Move::Notify(2));
    world.recover();
    assert_eq!((world.server.book.got.len(), world.client.book.got.len()), (3, 2));
    assert!(world.client.book.logs > 0, "the keep-alive is traced");
}

#[test]
fn a_break_is_resumed_without_a_synchronisation() {
    let mut world = up();
    world.step(&Move::Request(200));
    world.step(&Move::Notify(200));
    world.carry(1_000, 500);
    world.step(&Move::Break {
        client_knows: true,
        server_knows: false,
    });
    world.step(&Move::Request(1));
    world.recover();
    assert_eq!((world.client.book.synchronised, world.client.book.ups), (1, 2));
    assert_eq!((world.server.book.got.len(), world.client.book.got.len()), (201, 200));
}

#[test]
fn a_silent_peer_is_found_out_by_both_ends() {
    let mut world = up();
    world.cut(false, false);
    world.wait(ADDP.timeout * 2 + Duration::from_millis(500));
    assert!(!world.client.session.is_up() || world.client.book.ups == 2);
    assert_eq!(world.client.book.downs, 1);
}

#[test]
fn a_restart_of_either_end_synchronises_both() {
    for restart in [Move::RestartClient, Move::RestartServer] {
        let mut world = up();
        world.step(&Move::Request(5));
        world.step(&Move::Notify(5));
        world.step(&restart);
        world.recover();
        let total = world.client.book.synchronised + world.server.book.synchronised;
        assert_eq!(total, 3, "{restart:?}: the new end once, the other one twice");
    }
}

#[test]
fn a_queue_that_overflows_ends_in_a_synchronisation() {
    let limits = QueueLimits {
        messages: 10,
        bytes: 10_000,
    };
    let mut world = World::new(limits);
    world.recover();
    world.cut(true, true);
    for _ in 0..11 {
        world.notify();
    }
    world.recover();
    assert_eq!((world.client.book.synchronised, world.server.book.synchronised), (2, 2));
    // Above the limit while connected: the peer acknowledges nothing.
    for _ in 0..11 {
        world.request();
    }
    assert_eq!(world.client.book.downs, 2);
    world.recover();
    assert_eq!(world.client.book.synchronised, 3);
}

#[test]
fn a_damaged_message_is_told_and_ends_in_a_synchronisation() {
    let mut world = up();
    world.step(&Move::Request(2));
    // The second message is not what it was.
    let at = world.down.len() - 60;
    world.down[at] = 1;
    world.carry(usize::MAX, 0);
    world.settle();
    assert!(
        matches!(world.server.book.faults.as_slice(), [Fault::Stream(_)]),
        "{:?}",
        world.server.book.faults
    );
    assert!(
        matches!(world.client.book.faults.as_slice(), [Fault::Told(text)] if text.starts_with("damaged stream:")),
        "{:?}",
        world.client.book.faults
    );
    world.recover();
    assert_eq!((world.client.book.synchronised, world.server.book.synchronised), (2, 2));
}

#[test]
fn faults_of_a_peer_that_is_up_are_named() {
    let cases = [
        ("DANCE * MLTP/1.0\n\n", "damaged message: unknown message DANCE"),
        (
            "AUDIT_END * MLTP/1.0\n\n",
            "damaged message: AUDIT_END: header sequence is missing",
        ),
        ("AUDIT_END * MLTP/1.0\nsequence: 3\n\n", "message 3 came where 1 was due"),
        ("AUDIT_END * MLTP/1.0\nsequence: 0\n\n", "message 0 came where 1 was due"),
        ("ACK * MLTP/1.0\nreceived: 1\n\n", "1 was acknowledged, which it cannot be"),
        ("WELCOME * MLTP/1.0\n\n", "WELCOME has no place here"),
        ("ERROR * MLTP/1.0\nreason: no\n\n", "the peer says: no"),
    ];
    for (text, expected) in cases {
        let mut world = up();
        world.server.session.bytes(text.as_bytes(), world.now);
        world.server.drain();
        let faults: Vec<String> = world.server.book.faults.iter().map(ToString::to_string).collect();
        assert_eq!(faults, [expected]);
        assert!(world.server.closed && !world.server.session.is_up());
        let told = String::from_utf8(world.server.to_peer.concat_all()).unwrap();
        assert_eq!(
            told.contains(&format!("ERROR * MLTP/1.0\r\nreason: {expected}\r\n")),
            !text.starts_with("ERROR")
        );
    }
}

trait ConcatAll {
    fn concat_all(&self) -> Vec<u8>;
}

impl ConcatAll for VecDeque<Bytes> {
    fn concat_all(&self) -> Vec<u8> {
        self.iter().flat_map(|bytes| bytes.iter().copied()).collect()
    }
}

#[test]
fn a_stranger_does_not_harm_the_session() {
    let mut world = up();
    let session = world.server.session.peer().cloned();
    world.cut(true, true);
    for text in ["HELLO * MLTP/1.0\n\n", "nonsense\n", "AUDIT_END * MLTP/1.0\nsequence: 1\n\n"] {
        world.server.session.connected(world.now);
        world.server.session.bytes(text.as_bytes(), world.now);
        assert!(!world.server.session.is_up());
    }
    world.server.session.connected(world.now);
    world.server.session.bytes(&[b'x'; 20_000], world.now);
    world.server.session.connected(world.now);
    world.server.session.timeout(world.now + GREETING_TIMEOUT);
    world.server.drain();
    assert_eq!(world.server.book.faults.len(), 5);
    world.server.to_peer.clear();
    world.server.closed = false;
    world.recover();
    assert_eq!(world.server.session.peer(), session.as_ref());
}

#[test]
fn another_t_server_has_to_wait_until_the_first_one_is_dead() {
    let mut world = up();
    let hello = |instance: &str, name: &str| Hello {
        version: LINK_VERSION,
        identity: Identity {
            instance: instance.into(),
            name: name.into(),
            ..config(Role::Client, 0, QueueLimits::default()).identity
        },
        session: None,
        received: 0,
        oldest: 1,
        your_timeout: Duration::ZERO,
        your_trace: false,
    };
    let now = world.now;
    assert_eq!(world.server.session.admits(&hello("Client-0", "connector3"), now), Ok(()));
    let wrong = "this is connector 2 \"connector3\", not 2 \"connector1\"";
    assert_eq!(
        world.server.session.admits(&hello("Client-0", "connector1"), now),
        Err(wrong.into())
    );
    let refusal = "this connector serves T-Server Client-0";
    assert_eq!(
        world.server.session.admits(&hello("other", "connector3"), now),
        Err(refusal.into())
    );
    world.recover();
    assert_eq!(world.server.book.downs, 0, "the first one is alive");
    assert_eq!(
        world.server.session.admits(&hello("other", "connector3"), world.now),
        Err(refusal.into())
    );
    world.server.session.timeout(world.now + session::PROBE_TIMEOUT);
    assert_eq!(world.server.session.admits(&hello("other", "connector3"), world.now), Ok(()));
    assert!(String::from_utf8_lossy(&Requests::refusal(refusal)).starts_with("ERROR * MLTP/1.0\r\nreason: this"));
}

#[test]
fn a_client_tries_again_ever_more_slowly() {
    let now = Instant::now();
    let mut client = Requests::new(config(Role::Client, 0, QueueLimits::default()), now);
    let mut at = now;
    let mut waits = Vec::new();
    for _ in 0..9 {
        client.timeout(at);
        assert_eq!(client.poll(), Some(Output::Connect));
        client.disconnected(at);
        let next = client.next_timeout().unwrap();
        waits.push((next - at).as_millis());
        at = next;
    }
    assert_eq!(waits, [100, 200, 400, 800, 1_000, 1_000, 1_000, 1_000, 1_000]);
    assert_eq!(waits.last(), Some(&RETRY_MOST.as_millis()));
}

#[test]
fn what_arrives_is_acknowledged_after_a_while_and_at_once_when_it_is_much() {
    let mut world = up();
    world.step(&Move::Request(1));
    world.carry(usize::MAX, 0);
    world.settle();
    assert!(world.up.is_empty());
    world.wait(ACK_DELAY);
    let ack = "ACK * MLTP/1.0\r\nreceived: 1\r\n\r\n";
    assert_eq!(world.up.iter().copied().collect::<Vec<u8>>(), ack.as_bytes());
    world.step(&Move::Request(64));
    world.carry(usize::MAX, 0);
    world.settle();
    let text: Vec<u8> = world.up.iter().copied().collect();
    assert!(String::from_utf8_lossy(&text).contains("received: 65"));
}

#[test]
fn messages_are_logged_where_that_is_asked_for_and_digits_hidden() {
    let now = Instant::now();
    let mut with_log = config(Role::Server, 0, QueueLimits::default());
    with_log.log = Some(HideHeaders::default());
    let mut world = World::new(QueueLimits::default());
    world.server.session = Notifications::new(with_log, now);
    world.recover();
    let digit = LinkNotification::PartyDigit {
        conference: ConferenceId(1),
        party: tandem_model::PartyId(1),
        digit: '5',
    };
    assert_eq!(world.server.session.send(&digit, world.now), Ok(()));
    let log = std::iter::from_fn(|| world.server.session.poll()).find_map(|output| match output {
        Output::Log(text) if text.starts_with("send") => Some(text),
        _ => None,
    });
    let expected = "send MLTP message\nPARTY_DIGIT * MLTP/1.0\nconference: 1\nparty: 1\ndata: **** (length:1)\nsequence: 1";
    assert_eq!(log.as_deref(), Some(expected));
}

#[test]
fn the_seeds_of_the_fuzz_target_hold_the_invariants() {
    let seeds = crate::mltp::tests::seeds("link_session");
    assert!(seeds.len() > 4);
    for seed in seeds {
        exercise::exercise(&seed, Instant::now());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn nothing_is_lost_or_repeated(script in proptest::collection::vec(any_move(), 1..80)) {
        let mut world = World::new(QueueLimits::default());
        for step in &script {
            world.step(step);
        }
        world.recover();
    }

    #[test]
    fn nothing_is_lost_or_repeated_where_queues_overflow(script in proptest::collection::vec(any_move(), 1..80)) {
        let mut world = World::new(QueueLimits { messages: 12, bytes: 2_000 });
        for step in &script {
            world.step(step);
        }
        world.recover();
    }

    #[test]
    fn any_bytes_leave_a_session_that_works(data in proptest::collection::vec(any::<u8>(), 0..400)) {
        exercise::exercise(&data, Instant::now());
    }
}
