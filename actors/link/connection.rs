//! The tasks of one connection: one reads, one writes. They end with the connection.

use actix::dev::ToEnvelope;
use actix::{Actor, Addr, Handler, Message};
use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::transport::{CONNECT_TIMEOUT, Stream};

/// How much is read at a time.
const READ_BYTES: usize = 64 * 1024;

/// The frames that may wait to be written. A link keeps no more than this without an acknowledgement, so a queue that is full is that of
/// a peer which does not read.
pub const WRITE_QUEUE: usize = 65_536 + 1_024;

/// What happened at a connection.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub enum ConnectionEvent {
    /// Bytes arrived.
    Received {
        /// On which connection.
        id: u64,
        /// What.
        bytes: Bytes,
    },
    /// It is gone.
    Closed {
        /// Which connection.
        id: u64,
    },
}

/// Starts the tasks of a connection on the current arbiter. Dropping what is returned closes it, after what waits.
pub fn start<A>(stream: Stream, id: u64, owner: Addr<A>) -> mpsc::Sender<Bytes>
where
    A: Actor + Handler<ConnectionEvent>,
    A::Context: ToEnvelope<A, ConnectionEvent>,
{
    let (writer, frames) = mpsc::channel(WRITE_QUEUE);
    let (reading, writing) = tokio::io::split(stream);
    actix_rt::spawn(async move {
        tokio::select! {
            () = read(reading, id, &owner) => {}
            () = write(writing, frames) => {}
        }
        // Unbounded post: once for each connection.
        owner.do_send(ConnectionEvent::Closed { id });
    });
    writer
}

/// Reads until the end, or until nobody takes what is read. It waits for each piece to be handled: the peer is slowed down, not queued.
async fn read<A>(mut stream: impl AsyncReadExt + Unpin, id: u64, owner: &Addr<A>)
where
    A: Actor + Handler<ConnectionEvent>,
    A::Context: ToEnvelope<A, ConnectionEvent>,
{
    let mut buffer = BytesMut::with_capacity(READ_BYTES);
    loop {
        buffer.reserve(READ_BYTES);
        match stream.read_buf(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let bytes = buffer.split().freeze();
        if owner.send(ConnectionEvent::Received { id, bytes }).await.is_err() {
            return;
        }
    }
}

/// Writes what comes until nobody writes any more, or the peer is gone.
async fn write(mut stream: impl AsyncWriteExt + Unpin, mut frames: mpsc::Receiver<Bytes>) {
    let mut batch = Vec::new();
    while frames.recv_many(&mut batch, 256).await > 0 {
        let joined = match batch.as_slice() {
            [one] => one.clone(),
            many => many.concat().into(),
        };
        batch.clear();
        if stream.write_all(&joined).await.is_err() || stream.flush().await.is_err() {
            return;
        }
    }
    // The peer gets what was written before it sees the end; one that does not take it is not waited for.
    let _ = timeout(CONNECT_TIMEOUT, stream.shutdown()).await;
}
