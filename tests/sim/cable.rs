//! The network between the T-Server and one connector: streams of bytes in virtual time, which can be cut.
//!
//! Invariant: what one end writes comes out of the other end in order, or the stream ends. While the cable is cut nothing gets through, not
//! even that an end is gone; what was on its way arrives when it is mended, as TCP would have it.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::FutureExt;
use tandem_actors::link::transport::{Open, Stream};
use tandem_actors::link::{Dialler, Listener};
use tandem_actors::now;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::mpsc;
use tokio::time::{Sleep, sleep, sleep_until};

/// What an end may have written that the other one has not read.
const WINDOW_BYTES: usize = 64 * 1024;
/// Connections that the listening end has not taken.
const BACKLOG: usize = 16;

/// The cable.
pub struct Cable {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    latency: Duration,
    cut: bool,
    listening: Option<mpsc::Sender<Stream>>,
    /// Whoever waits for it to be mended.
    waiting: Vec<Waker>,
}

/// One direction of a stream.
#[derive(Default)]
struct Way {
    /// When each piece arrives.
    pieces: VecDeque<(Instant, Bytes)>,
    held: usize,
    /// When the end of it arrives.
    closed: Option<Instant>,
    /// Nobody reads any more.
    unread: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// One end of a stream.
struct End {
    cable: Arc<Cable>,
    incoming: Arc<Mutex<Way>>,
    outgoing: Arc<Mutex<Way>>,
    arrival: Option<Pin<Box<Sleep>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Cable {
    /// A whole one that takes 1 ms.
    pub fn new() -> Arc<Self> {
        let inner = Inner {
            latency: Duration::from_millis(1),
            ..Inner::default()
        };
        Arc::new(Self {
            inner: Mutex::new(inner),
        })
    }

    /// Cuts it, or mends it.
    pub fn set_cut(&self, cut: bool) {
        let mut inner = lock(&self.inner);
        inner.cut = cut;
        let waiting = if cut { Vec::new() } else { std::mem::take(&mut inner.waiting) };
        drop(inner);
        waiting.into_iter().for_each(Waker::wake);
    }

    /// What is written from now on takes so long.
    pub fn set_latency(&self, latency: Duration) {
        lock(&self.inner).latency = latency;
    }

    /// The T-Server's end.
    pub fn dialler(self: &Arc<Self>) -> Dialler {
        let cable = self.clone();
        let open: Open = Arc::new(move || cable.clone().open().boxed());
        Dialler::simulated("cable", open)
    }

    /// The connector's end, when it starts.
    pub fn listener(&self) -> Listener {
        let (listening, connections) = mpsc::channel(BACKLOG);
        lock(&self.inner).listening = Some(listening);
        Listener::simulated(connections)
    }

    /// There is no connector any more.
    pub fn nobody_listens(&self) {
        lock(&self.inner).listening = None;
    }

    async fn open(self: Arc<Self>) -> io::Result<Stream> {
        let latency = lock(&self.inner).latency;
        sleep(latency * 2).await;
        std::future::poll_fn(|cx| self.poll_whole(cx)).await;
        let listening = lock(&self.inner).listening.clone();
        let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
        let ways = [(); 2].map(|()| Arc::<Mutex<Way>>::default());
        let [near, far] = [(0, 1), (1, 0)].map(|(incoming, outgoing)| End {
            cable: self.clone(),
            incoming: ways[incoming].clone(),
            outgoing: ways[outgoing].clone(),
            arrival: None,
        });
        let listening = listening.ok_or_else(refused)?;
        listening.try_send(Box::new(far)).map_err(|_| refused())?;
        Ok(Box::new(near))
    }

    fn poll_whole(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut inner = lock(&self.inner);
        if !inner.cut {
            return Poll::Ready(());
        }
        inner.waiting.push(cx.waker().clone());
        Poll::Pending
    }

    fn arrival(&self) -> Instant {
        now() + lock(&self.inner).latency
    }
}

impl AsyncRead for End {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.cable.poll_whole(cx).is_pending() {
            return Poll::Pending;
        }
        loop {
            let mut way = lock(&this.incoming);
            way.reader = Some(cx.waker().clone());
            let due = match (way.pieces.front(), way.closed) {
                (Some((due, _)), _) => *due,
                (None, Some(due)) => due,
                (None, None) => return Poll::Pending,
            };
            if due <= now() {
                way.read(buffer);
                return Poll::Ready(Ok(()));
            }
            drop(way);
            let arrival = this.arrival.insert(Box::pin(sleep_until(due.into())));
            if arrival.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }
}

impl Way {
    /// What has arrived, as much as there is room for; nothing at the end.
    fn read(&mut self, buffer: &mut ReadBuf<'_>) {
        while let Some((due, piece)) = self.pieces.front_mut() {
            if *due > now() || buffer.remaining() == 0 {
                break;
            }
            let count = piece.len().min(buffer.remaining());
            buffer.put_slice(&piece.split_to(count));
            self.held -= count;
            if piece.is_empty() {
                self.pieces.pop_front();
            }
        }
        if let Some(writer) = self.writer.take() {
            writer.wake();
        }
    }

    fn end(&mut self, at: Instant) {
        self.closed.get_or_insert(at);
        for waker in [self.reader.take(), self.writer.take()].into_iter().flatten() {
            waker.wake();
        }
    }
}

impl AsyncWrite for End {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let (arrival, is_cut) = (self.cable.arrival(), self.cable.poll_whole(cx).is_pending());
        let mut way = lock(&self.outgoing);
        // Nobody knows, while it is cut.
        if (way.unread && !is_cut) || way.closed.is_some() {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let count = bytes.len().min(WINDOW_BYTES - way.held);
        if count == 0 {
            way.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let piece = Bytes::copy_from_slice(bytes.get(..count).unwrap_or_default());
        // A stream does not overtake itself when the cable gets faster.
        let due = way.pieces.back().map_or(arrival, |(last, _)| arrival.max(*last));
        way.pieces.push_back((due, piece));
        way.held += count;
        if let Some(reader) = way.reader.take() {
            reader.wake();
        }
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let arrival = self.cable.arrival();
        lock(&self.outgoing).end(arrival);
        Poll::Ready(Ok(()))
    }
}

impl Drop for End {
    fn drop(&mut self) {
        let arrival = self.cable.arrival();
        lock(&self.outgoing).end(arrival);
        let mut incoming = lock(&self.incoming);
        incoming.unread = true;
        if let Some(writer) = incoming.writer.take() {
            writer.wake();
        }
    }
}
