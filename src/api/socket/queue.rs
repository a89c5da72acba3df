//! The way of frames to one client: a bounded queue that the runtime writes and the client's task reads.
//!
//! Invariant: [`Queue::deliver`] and [`Queue::close`] never block. What does not fit is not dropped in silence: the client is
//! disconnected with 4008 and may resume.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{mpsc, watch};

use tandem_actors::tserver::ClientSink;
use tandem_wire::close;

/// Why the socket is to be closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closing {
    /// The close code.
    pub code: u16,
    /// The reason in words.
    pub reason: Cow<'static, str>,
}

impl Closing {
    /// A reason of the socket's own.
    pub const fn of(code: u16, reason: &'static str) -> Self {
        Self {
            code,
            reason: Cow::Borrowed(reason),
        }
    }
}

/// The runtime's end.
pub struct Queue {
    frames: mpsc::Sender<Bytes>,
    closing: watch::Sender<Option<Closing>>,
}

/// The client task's end.
pub struct Frames {
    /// What is to be sent, in order.
    pub frames: mpsc::Receiver<Bytes>,
    /// Set when the socket is to be closed; the first one counts.
    pub closing: watch::Receiver<Option<Closing>>,
}

impl Queue {
    /// A queue for `capacity` frames.
    pub fn new(capacity: usize) -> (Arc<Self>, Frames) {
        let (frames, frames_out) = mpsc::channel(capacity.max(1));
        let (closing, closing_out) = watch::channel(None);
        let ends = Frames {
            frames: frames_out,
            closing: closing_out,
        };
        (Arc::new(Self { frames, closing }), ends)
    }

    fn close_once(&self, closing: Closing) {
        self.closing.send_if_modified(|current| {
            let first = current.is_none();
            if first {
                *current = Some(closing);
            }
            first
        });
    }
}

impl ClientSink for Queue {
    fn deliver(&self, frame: Bytes) -> Option<usize> {
        if self.closing.borrow().is_some() {
            return None;
        }
        match self.frames.try_send(frame) {
            Ok(()) => Some(self.frames.max_capacity() - self.frames.capacity()),
            Err(mpsc::error::TrySendError::Closed(_)) => None,
            Err(mpsc::error::TrySendError::Full(_)) => {
                self.close_once(Closing::of(close::SLOW_CONSUMER, "reads too slowly"));
                None
            }
        }
    }

    fn close(&self, code: u16, reason: &str) {
        self.close_once(Closing {
            code,
            reason: Cow::Owned(reason.to_owned()),
        });
    }

    fn room(&self) -> usize {
        self.frames.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_closes_as_slow_and_takes_no_more() {
        let (queue, mut ends) = Queue::new(2);
        assert_eq!(queue.deliver(Bytes::from_static(b"1")), Some(1));
        assert_eq!(queue.room(), 1);
        assert_eq!(queue.deliver(Bytes::from_static(b"2")), Some(2));
        assert_eq!(queue.room(), 0);
        assert_eq!(queue.deliver(Bytes::from_static(b"3")), None);
        assert_eq!(
            ends.closing.borrow().as_ref().map(|closing| closing.code),
            Some(close::SLOW_CONSUMER)
        );
        assert_eq!(ends.frames.try_recv().ok(), Some(Bytes::from_static(b"1")));
        assert_eq!(
            queue.deliver(Bytes::from_static(b"4")),
            None,
            "a frame after a gap would be out of order"
        );
    }

    #[test]
    fn the_first_reason_to_close_counts() {
        let (queue, ends) = Queue::new(1);
        queue.close(close::NORMAL, "bye");
        queue.close(close::INTERNAL, "later");
        assert_eq!(*ends.closing.borrow(), Some(Closing::of(close::NORMAL, "bye")));
    }

    #[test]
    fn a_client_that_is_gone_takes_nothing() {
        let (queue, ends) = Queue::new(1);
        drop(ends);
        assert_eq!(queue.deliver(Bytes::from_static(b"1")), None);
    }
}
