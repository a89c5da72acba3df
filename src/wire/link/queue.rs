//! What was sent and is not acknowledged, bounded.

use std::collections::VecDeque;

use bytes::Bytes;

/// How much may wait for its acknowledgement. What is beyond ends the session: both ends synchronise.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct QueueLimits {
    /// Messages.
    pub messages: usize,
    /// Bytes.
    pub bytes: usize,
}

impl Default for QueueLimits {
    /// A busy connector's notifications of some seconds.
    fn default() -> Self {
        Self {
            messages: 65_536,
            bytes: 32 * 1024 * 1024,
        }
    }
}

/// The messages of one session that may have to be sent again. Numbers begin at 1.
#[derive(Debug)]
pub struct Queue {
    limits: QueueLimits,
    messages: VecDeque<Bytes>,
    bytes: usize,
    /// The last number that was given out.
    last: u64,
}

impl Queue {
    /// An empty queue.
    pub fn new(limits: QueueLimits) -> Self {
        Self {
            limits,
            messages: VecDeque::new(),
            bytes: 0,
            last: 0,
        }
    }

    /// The number of the next message.
    pub fn next(&self) -> u64 {
        self.last + 1
    }

    /// The last number that was given out; 0 where there is none.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// The lowest number that can be sent again, or the next one where nothing waits.
    pub fn oldest(&self) -> u64 {
        self.last + 1 - self.messages.len() as u64
    }

    /// Keeps the message with the number [`Queue::next`]. `false`: there is no room.
    pub fn push(&mut self, message: Bytes) -> bool {
        if self.messages.len() >= self.limits.messages || self.bytes + message.len() > self.limits.bytes {
            return false;
        }
        self.last += 1;
        self.bytes += message.len();
        self.messages.push_back(message);
        true
    }

    /// Whether the peer can have received just so much: not less than it acknowledged, not more than was sent.
    pub fn may_be_received(&self, number: u64) -> bool {
        number < self.next() && number + 1 >= self.oldest()
    }

    /// Forgets what the peer has, up to that number.
    pub fn acknowledged(&mut self, number: u64) {
        while self.oldest() <= number {
            let Some(message) = self.messages.pop_front() else { break };
            self.bytes -= message.len();
        }
    }

    /// What is not acknowledged, in order.
    pub fn waiting(&self) -> impl Iterator<Item = &Bytes> {
        self.messages.iter()
    }

    /// Starts over with number 1.
    pub fn reset(&mut self) {
        *self = Self::new(self.limits);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_acknowledged_is_forgotten_and_numbers_go_on() {
        let mut queue = Queue::new(QueueLimits::default());
        assert_eq!((queue.oldest(), queue.last()), (1, 0));
        assert!(queue.may_be_received(0) && !queue.may_be_received(1));
        for text in ["a", "b", "c"] {
            assert!(queue.push(text.into()));
        }
        queue.acknowledged(2);
        assert_eq!((queue.oldest(), queue.last()), (3, 3));
        assert!(!queue.may_be_received(1) && queue.may_be_received(2) && queue.may_be_received(3) && !queue.may_be_received(4));
        queue.acknowledged(9);
        assert_eq!((queue.oldest(), queue.waiting().count()), (4, 0));
    }

    #[test]
    fn it_is_bounded_in_messages_and_in_bytes() {
        let limits = QueueLimits { messages: 2, bytes: 5 };
        let mut queue = Queue::new(limits);
        assert!(queue.push("abc".into()) && !queue.push("abc".into()) && queue.push("a".into()));
        assert!(!queue.push("a".into()));
        queue.acknowledged(1);
        assert!(queue.push("abcd".into()));
    }
}
