//! One connection from its first byte to its last: a reader and a writer in one task.
//!
//! ```text
//!           ┌─ end of stream, silence ───────────────► closed
//!  open ────┼─ bytes that are no SIP ─► 400/413, shut ─► closed
//!           ├─ peer does not read ───────────────────► closed, what was queued is lost
//!           └─ finish ─► queue written, shut ─────────► closed
//! ```
//!
//! Invariants: messages reach the sink in the order of the stream; an idle connection holds no buffer; nothing here waits without a
//! deadline but for the sink, which does not wait.

use std::io;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout, timeout_at};

use tandem_sip::flow::Flow;
use tandem_sip::message::{Frame, FrameError, Framer, ResponseBuilder};

use super::table::{Inbox, Outbox, Outgoing};
use super::{CloseReason, StreamEvent, StreamSink, TcpConfig};
use crate::transport::keepalive::PONG;

/// Read at once.
const READ_LEN: usize = 16 << 10;

/// How long a peer has to take what is still queued when its connection is closed.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);

/// What a peer may go on sending, unread, so that it gets our last answer and not a reset.
const MAX_LINGER_BYTES: usize = 256 << 10;

pub(super) struct Connection<'a> {
    pub(super) flow: Flow,
    /// The peer opened it, so it has to say something soon.
    pub(super) incoming: bool,
    pub(super) config: &'a TcpConfig,
    pub(super) sink: &'a StreamSink,
    pub(super) outbox: Outbox,
    /// Bytes of unfinished messages, of all connections together.
    pub(super) unfinished: &'a AtomicUsize,
}

/// The reader's last word: why, and what is to be answered.
struct End {
    reason: CloseReason,
    answer: Option<Bytes>,
}

impl From<CloseReason> for End {
    fn from(reason: CloseReason) -> Self {
        Self { reason, answer: None }
    }
}

impl Connection<'_> {
    /// Serves the stream to its end.
    pub(super) async fn run(self, mut stream: TcpStream, inbox: Inbox, killed: oneshot::Receiver<CloseReason>) -> CloseReason {
        let (mut reading, writing) = stream.split();
        let mut writer = pin!(write(writing, inbox, self.config.write_timeout));
        let end = tokio::select! {
            end = self.read(&mut reading) => end,
            reason = &mut writer => return reason,
            reason = killed => return reason.unwrap_or(CloseReason::Local),
        };
        let answered = end.answer.is_some();
        if let Some(answer) = end.answer {
            self.outbox.push(answer);
        }
        if self.outbox.finish(end.reason) {
            let _ = timeout(FLUSH_TIMEOUT, writer).await;
        }
        if answered {
            let _ = timeout(FLUSH_TIMEOUT, linger(&reading)).await;
        }
        end.reason
    }

    async fn read(&self, stream: &mut ReadHalf<'_>) -> End {
        let mut framer = Framer::new();
        let mut watch = Watch::new(self.incoming, Instant::now());
        let mut held = Held {
            all: self.unfinished,
            bytes: 0,
        };
        loop {
            let (deadline, reason) = watch.deadline(self.config);
            match timeout_at(deadline, stream.readable()).await {
                Err(_) => return reason.into(),
                Ok(Err(_)) => return CloseReason::Reset.into(),
                Ok(Ok(())) => {}
            }
            // On the stack between two awaits: an idle connection holds no buffer.
            let mut buffer = [0_u8; READ_LEN];
            let read = match stream.try_read(&mut buffer) {
                Ok(0) => return CloseReason::Peer.into(),
                Ok(len) => len,
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => continue,
                Err(_) => return CloseReason::Reset.into(),
            };
            framer.push(buffer.get(..read).unwrap_or_default());
            let mut messages = 0;
            for frame in framer.by_ref() {
                match frame {
                    Ok(Frame::Message(message)) => {
                        messages += 1;
                        (self.sink)(StreamEvent::Message {
                            flow: self.flow,
                            message,
                        });
                    }
                    Ok(Frame::KeepAlivePing) => {
                        if !self.outbox.push(Bytes::from_static(PONG)) {
                            return CloseReason::SlowPeer.into();
                        }
                    }
                    Ok(Frame::Pong) => {}
                    Err(error) => {
                        return End {
                            reason: CloseReason::Malformed,
                            answer: self.answer(&error),
                        };
                    }
                }
            }
            let unfinished = framer.is_mid_message();
            watch.read(messages, unfinished, Instant::now());
            let before = if messages == 0 { held.bytes } else { 0 };
            if held.set(if unfinished { before + read } else { 0 }) > self.config.max_unfinished_bytes {
                return CloseReason::HalfMessage.into();
            }
        }
    }

    /// 400 or 413, where the request can be answered. Stateless, as no transaction will ever see it.
    fn answer(&self, error: &FrameError) -> Option<Bytes> {
        tracing::debug!(%error, connection = ?self.flow.connection, "closing a stream that is not SIP");
        let request = error.request.as_ref()?;
        let tag = format!("stream{}", self.flow.connection.map_or(0, |id| id.0));
        let reason = error.to_string();
        let response = ResponseBuilder::to(request, error.status(), Some(&reason))
            .received_from(self.flow.peer)
            .to_tag(&tag);
        Some(response.header("Connection", "close").finish())
    }
}

/// What one connection adds to the bytes of unfinished messages; at most 1 MB by the framer's limits, which many connections multiply.
struct Held<'a> {
    all: &'a AtomicUsize,
    bytes: usize,
}

impl Held<'_> {
    /// Replaces what this connection adds; gives back what all add.
    fn set(&mut self, bytes: usize) -> usize {
        let before = std::mem::replace(&mut self.bytes, bytes);
        let others = self.all.fetch_sub(before, Ordering::Relaxed).saturating_sub(before);
        self.all.fetch_add(bytes, Ordering::Relaxed);
        others + bytes
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.set(0);
    }
}

/// How long the peer may stay silent now.
#[derive(Debug)]
struct Watch {
    /// Nothing whole has come from the one who connected to us.
    awaits_first: bool,
    opened_at: Instant,
    last_read: Instant,
    /// Since when a message is half there.
    half_since: Option<Instant>,
}

impl Watch {
    fn new(incoming: bool, now: Instant) -> Self {
        Self {
            awaits_first: incoming,
            opened_at: now,
            last_read: now,
            half_since: None,
        }
    }

    fn read(&mut self, messages: usize, half: bool, now: Instant) {
        self.last_read = now;
        if messages > 0 {
            self.awaits_first = false;
            self.half_since = None;
        }
        self.half_since = half.then(|| self.half_since.unwrap_or(now));
    }

    /// The nearest deadline and what it means. A message that drips in does not move its own.
    fn deadline(&self, config: &TcpConfig) -> (Instant, CloseReason) {
        let first = self
            .awaits_first
            .then(|| (self.opened_at + config.first_message_timeout, CloseReason::NoMessage));
        let half = self
            .half_since
            .map(|since| (since + config.message_timeout, CloseReason::HalfMessage));
        let idle = (self.last_read + config.idle_timeout, CloseReason::Idle);
        [first, half]
            .into_iter()
            .flatten()
            .fold(idle, |nearest, next| if next.0 < nearest.0 { next } else { nearest })
    }
}

/// Writes what is queued until told to finish or until the peer takes no more.
async fn write(mut stream: WriteHalf<'_>, mut inbox: Inbox, write_timeout: Duration) -> CloseReason {
    let mut batch = Vec::new();
    loop {
        inbox.take(&mut batch).await;
        let mut finish = None;
        let mut pending = BytesMut::new();
        let mut single = None;
        for item in batch.drain(..) {
            match item {
                Outgoing::Finish(reason) => {
                    finish = Some(reason);
                    break;
                }
                // One message alone, the common case, is written from where it is.
                Outgoing::Bytes(bytes) if pending.is_empty() && single.is_none() => single = Some(bytes),
                Outgoing::Bytes(bytes) => {
                    if let Some(first) = single.take() {
                        pending.extend_from_slice(&first);
                    }
                    pending.extend_from_slice(&bytes);
                }
            }
        }
        let bytes = single.unwrap_or_else(|| pending.freeze());
        match timeout(write_timeout, stream.write_all(&bytes)).await {
            Err(_) => return CloseReason::SlowPeer,
            Ok(Err(_)) => return CloseReason::Reset,
            Ok(Ok(())) => inbox.written(bytes.len()),
        }
        if let Some(reason) = finish {
            let _ = stream.shutdown().await;
            return reason;
        }
    }
}

/// Reads on without looking, until the peer has closed as well.
async fn linger(stream: &ReadHalf<'_>) {
    let mut read = 0;
    while read < MAX_LINGER_BYTES && stream.readable().await.is_ok() {
        let mut buffer = [0_u8; READ_LEN];
        match stream.try_read(&mut buffer) {
            Ok(0) => return,
            Ok(len) => read += len,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_silence_has_its_own_deadline() {
        let config = TcpConfig {
            first_message_timeout: Duration::from_secs(30),
            message_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(3600),
            ..TcpConfig::default()
        };
        let start = Instant::now();
        let at = |secs| start + Duration::from_secs(secs);
        let mut watch = Watch::new(true, start);
        assert_eq!(watch.deadline(&config), (at(30), CloseReason::NoMessage));
        watch.read(0, false, at(5));
        assert_eq!(
            watch.deadline(&config),
            (at(30), CloseReason::NoMessage),
            "keep-alives are no message"
        );
        watch.read(0, true, at(6));
        watch.read(0, true, at(15));
        assert_eq!(
            watch.deadline(&config),
            (at(16), CloseReason::HalfMessage),
            "dripping moves nothing"
        );
        watch.read(1, true, at(16));
        assert_eq!(
            watch.deadline(&config),
            (at(26), CloseReason::HalfMessage),
            "the next one is half there"
        );
        watch.read(2, false, at(20));
        assert_eq!(watch.deadline(&config), (at(3620), CloseReason::Idle));
        assert_eq!(
            Watch::new(false, start).deadline(&config),
            (at(3600), CloseReason::Idle),
            "we opened it and speak first"
        );
    }
}
