//! The connections of one listener: by number, by peer, and how many from where.
//!
//! Invariant: never more than [`super::TcpConfig::max_connections`] in all, nor than [`super::TcpConfig::max_per_source`] from one source
//! (an IPv6 source is its /64). A connection that is being closed takes no more messages, and its peer may have a new one.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use tandem_sip::flow::ConnectionId;

use super::{CloseReason, SendError, TcpConfig};

/// What a connection's writer is given.
#[derive(Debug)]
pub(super) enum Outgoing {
    /// Bytes to write.
    Bytes(Bytes),
    /// Write what came before, then end.
    Finish(CloseReason),
}

/// The way to a connection's writer, bounded in messages and in bytes.
#[derive(Clone, Debug)]
pub(super) struct Outbox {
    sender: mpsc::Sender<Outgoing>,
    queued_bytes: Arc<AtomicUsize>,
    max_bytes: usize,
}

impl Outbox {
    pub(super) fn new(config: &TcpConfig) -> (Self, Inbox) {
        let (sender, receiver) = mpsc::channel(config.max_queued_messages.max(1));
        let queued_bytes = Arc::new(AtomicUsize::new(0));
        let outbox = Self {
            sender,
            queued_bytes: Arc::clone(&queued_bytes),
            max_bytes: config.max_queued_bytes,
        };
        (outbox, Inbox { receiver, queued_bytes })
    }

    /// False where there is no room, which a peer that reads never brings about.
    pub(super) fn push(&self, bytes: Bytes) -> bool {
        let len = bytes.len();
        let before = self.queued_bytes.fetch_add(len, Ordering::Relaxed);
        let room = before == 0 || before + len <= self.max_bytes;
        let pushed = room && self.sender.try_send(Outgoing::Bytes(bytes)).is_ok();
        if !pushed {
            self.queued_bytes.fetch_sub(len, Ordering::Relaxed);
        }
        pushed
    }

    pub(super) fn finish(&self, reason: CloseReason) -> bool {
        self.sender.try_send(Outgoing::Finish(reason)).is_ok()
    }
}

/// The writer's end of an [`Outbox`].
#[derive(Debug)]
pub(super) struct Inbox {
    receiver: mpsc::Receiver<Outgoing>,
    queued_bytes: Arc<AtomicUsize>,
}

impl Inbox {
    /// Waits for something to write; the batch is never empty.
    pub(super) async fn take(&mut self, batch: &mut Vec<Outgoing>) {
        if self.receiver.recv_many(batch, 32).await == 0 {
            batch.push(Outgoing::Finish(CloseReason::Local));
        }
    }

    /// So many bytes were written.
    pub(super) fn written(&self, len: usize) {
        self.queued_bytes.fetch_sub(len, Ordering::Relaxed);
    }
}

#[derive(Debug)]
struct Entry {
    peer: SocketAddr,
    outbox: Outbox,
    /// Ends the connection at once; gone when used.
    kill: Option<oneshot::Sender<CloseReason>>,
}

#[derive(Debug, Default)]
pub(super) struct Table {
    by_id: HashMap<ConnectionId, Entry>,
    by_peer: HashMap<SocketAddr, ConnectionId>,
    per_source: HashMap<IpAddr, usize>,
}

impl Table {
    /// Enters a connection, or says which limit it would exceed.
    pub(super) fn admit(
        &mut self,
        id: ConnectionId,
        peer: SocketAddr,
        outbox: Outbox,
        kill: oneshot::Sender<CloseReason>,
        config: &TcpConfig,
    ) -> Result<(), CloseReason> {
        if self.by_id.len() >= config.max_connections {
            return Err(CloseReason::TooMany);
        }
        let source = source_of(peer);
        if self
            .per_source
            .get(&source)
            .is_some_and(|count| *count >= config.max_per_source)
        {
            return Err(CloseReason::TooManyFromSource);
        }
        *self.per_source.entry(source).or_default() += 1;
        self.by_id.insert(
            id,
            Entry {
                peer,
                outbox,
                kill: Some(kill),
            },
        );
        self.by_peer.insert(peer, id);
        Ok(())
    }

    /// Takes a connection out; false where it was out already.
    pub(super) fn remove(&mut self, id: ConnectionId) -> bool {
        let Some(entry) = self.by_id.remove(&id) else { return false };
        self.forget_peer(entry.peer, id);
        let source = source_of(entry.peer);
        if let Some(count) = self.per_source.get_mut(&source) {
            *count -= 1;
            if *count == 0 {
                self.per_source.remove(&source);
            }
        }
        true
    }

    /// The connection to a peer that can be used.
    pub(super) fn open_to(&self, peer: SocketAddr) -> Option<ConnectionId> {
        self.by_peer.get(&peer).copied()
    }

    /// Queues bytes; a connection whose queue is full is ended.
    pub(super) fn push(&mut self, id: ConnectionId, bytes: Bytes) -> Result<(), SendError> {
        let entry = self
            .by_id
            .get_mut(&id)
            .filter(|entry| entry.kill.is_some())
            .ok_or(SendError::Closed)?;
        if entry.outbox.push(bytes) {
            return Ok(());
        }
        self.kill(id, CloseReason::SlowPeer);
        Err(SendError::SlowPeer)
    }

    /// Ends a connection once what is queued is written.
    pub(super) fn finish(&mut self, id: ConnectionId) {
        let Some(entry) = self.by_id.get(&id) else { return };
        let peer = entry.peer;
        if entry.outbox.finish(CloseReason::Local) {
            self.forget_peer(peer, id);
        } else {
            self.kill(id, CloseReason::Local);
        }
    }

    /// Ends a connection at once.
    pub(super) fn kill(&mut self, id: ConnectionId, reason: CloseReason) {
        let Some(entry) = self.by_id.get_mut(&id) else { return };
        if let Some(kill) = entry.kill.take() {
            // The task may have ended by itself; it removes the entry either way.
            let _ = kill.send(reason);
        }
        let peer = entry.peer;
        self.forget_peer(peer, id);
    }

    /// Ends all.
    pub(super) fn kill_all(&mut self, reason: CloseReason) {
        let ids: Vec<_> = self.by_id.keys().copied().collect();
        for id in ids {
            self.kill(id, reason);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    fn forget_peer(&mut self, peer: SocketAddr, id: ConnectionId) {
        if self.by_peer.get(&peer) == Some(&id) {
            self.by_peer.remove(&peer);
        }
    }
}

fn source_of(peer: SocketAddr) -> IpAddr {
    match peer.ip().to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> TcpConfig {
        TcpConfig {
            max_connections: 3,
            max_per_source: 2,
            max_queued_messages: 4,
            max_queued_bytes: 100,
            ..TcpConfig::default()
        }
    }

    struct Held {
        _inbox: Inbox,
        killed: oneshot::Receiver<CloseReason>,
    }

    fn admit(table: &mut Table, id: u64, peer: &str) -> Result<Held, CloseReason> {
        let (outbox, inbox) = Outbox::new(&config());
        let (kill, killed) = oneshot::channel();
        let peer = peer.parse().expect("an address");
        table
            .admit(ConnectionId(id), peer, outbox, kill, &config())
            .map(|()| Held { _inbox: inbox, killed })
    }

    fn bytes(len: usize) -> Bytes {
        Bytes::from(vec![b'x'; len])
    }

    #[test]
    fn limits_hold_in_all_and_per_source_and_are_freed_again() {
        let mut table = Table::default();
        let _a = admit(&mut table, 1, "192.0.2.1:1000").expect("room");
        let _b = admit(&mut table, 2, "192.0.2.1:1001").expect("room");
        assert!(matches!(
            admit(&mut table, 3, "192.0.2.1:1002"),
            Err(CloseReason::TooManyFromSource)
        ));
        let _c = admit(&mut table, 3, "[2001:db8::1]:1").expect("room");
        assert!(matches!(admit(&mut table, 4, "192.0.2.9:1"), Err(CloseReason::TooMany)));
        assert!(table.remove(ConnectionId(1)) && !table.remove(ConnectionId(1)));
        let _d = admit(&mut table, 5, "192.0.2.1:1002").expect("room again");
        for id in [2, 3, 5] {
            table.remove(ConnectionId(id));
        }
        assert!(
            table.len() == 0 && table.per_source.is_empty() && table.by_peer.is_empty(),
            "nothing is left behind"
        );
    }

    #[test]
    fn an_ipv6_source_is_its_network() {
        let mut table = Table::default();
        let _a = admit(&mut table, 1, "[2001:db8::1]:1").expect("room");
        let _b = admit(&mut table, 2, "[2001:db8::2]:1").expect("room");
        assert!(matches!(
            admit(&mut table, 3, "[2001:db8::3]:1"),
            Err(CloseReason::TooManyFromSource)
        ));
        assert!(admit(&mut table, 3, "[2001:db8:0:1::3]:1").is_ok());
    }

    #[test]
    fn a_full_queue_ends_the_connection_and_frees_its_peer() {
        for (messages, len) in [(4, 1), (1, 100)] {
            let mut table = Table::default();
            let mut held = admit(&mut table, 1, "192.0.2.1:1000").expect("room");
            let peer = "192.0.2.1:1000".parse().expect("an address");
            for _ in 0..messages {
                assert_eq!(table.push(ConnectionId(1), bytes(len)).ok(), Some(()));
            }
            assert_eq!(table.open_to(peer), Some(ConnectionId(1)));
            assert!(matches!(table.push(ConnectionId(1), bytes(1)), Err(SendError::SlowPeer)));
            assert_eq!(held.killed.try_recv(), Ok(CloseReason::SlowPeer));
            assert!(matches!(table.push(ConnectionId(1), bytes(1)), Err(SendError::Closed)));
            assert_eq!(table.open_to(peer), None);
            let _next = admit(&mut table, 2, "192.0.2.1:1000").expect("room");
            table.remove(ConnectionId(1));
            assert_eq!(
                table.open_to(peer),
                Some(ConnectionId(2)),
                "the old one does not take the new one along"
            );
        }
    }

    #[test]
    fn one_message_larger_than_the_queue_still_passes() {
        let mut table = Table::default();
        let _held = admit(&mut table, 1, "192.0.2.1:1000").expect("room");
        assert!(table.push(ConnectionId(1), bytes(1000)).is_ok());
        assert!(table.push(ConnectionId(1), bytes(1)).is_err());
    }

    #[test]
    fn what_is_unknown_is_closed() {
        let mut table = Table::default();
        assert!(matches!(table.push(ConnectionId(7), bytes(1)), Err(SendError::Closed)));
        table.kill(ConnectionId(7), CloseReason::Local);
        table.finish(ConnectionId(7));
    }
}
