//! The journal of one arbiter: frames gathered in memory, one write(2) for each commit.
//!
//! | state | put, remove | commit |
//! |---|---|---|
//! | working | into the buffer | written; where that fails: degraded |
//! | degraded | dropped | looks whether the keeper has a new segment; where it has: working, and the owner is told to put everything again |
//!
//! Invariant: when `commit` has returned in the state *working*, the operating system has every record that was put before; what was only
//! removed may come along a little later, with the next record or with a commit [`super::Settings::removals_within`] on. Nothing is ever waited
//! for: making files, folding and bringing data to the disk are the keeper's work.
//!
//! When the owner puts everything again, what was put before is void, or records that were removed while storage failed would come back.
//! That is noted by two frames: a mark where it begins, and, [`PUT_AGAIN_WITHIN`] later, the word that it is done. Until then a segment
//! is not left, so that both are in one.

use std::fs::File;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tandem_actors::journal::{Journal, RecordKind};

use super::Shared;
use super::frame::{Frame, Op};
use super::lane::Lane;
use super::meters::WriterMeters;
use super::segment::HEADER;

/// How long the owner may take to put everything again after it was told to.
pub const PUT_AGAIN_WITHIN: Duration = Duration::from_secs(5);
/// More than this is written without waiting for the commit.
const EARLY_BYTES: usize = 1 << 20;

/// The journal of one scope.
pub struct SegmentJournal {
    shared: Arc<Shared>,
    lane: Arc<Lane>,
    /// The segment; none while degraded.
    file: Option<Arc<File>>,
    /// What is in it, in bytes.
    written: u64,
    buffer: Vec<u8>,
    /// Where the last frame begins in the buffer.
    last: usize,
    /// Something was put since the last write.
    urgent: bool,
    /// How long removals have been waiting for that.
    late_since: Option<Instant>,
    puts: u64,
    removes: u64,
    /// Whether the owner is to be told.
    back: bool,
    /// When what was put before the mark is void.
    void_at: Option<Instant>,
    meters: WriterMeters,
}

impl SegmentJournal {
    /// The writer of a lane; it works where the lane has a segment, else it begins degraded.
    pub fn new(shared: Arc<Shared>, lane: Arc<Lane>) -> Self {
        let file = lane.advance(0);
        lane.begin();
        let meters = WriterMeters::of(lane.scope);
        let writer = Self {
            shared,
            lane,
            file,
            written: HEADER as u64,
            buffer: Vec::new(),
            last: 0,
            urgent: false,
            late_since: None,
            puts: 0,
            removes: 0,
            back: false,
            void_at: None,
            meters,
        };
        if writer.file.is_none() {
            writer.lane.fail();
            writer.meters.degraded.set(1.0);
        }
        writer.shared.wake();
        writer
    }

    fn keep(&mut self, op: Op, kind: u8, id: &[u8], value: &[u8]) {
        if self.file.is_none() {
            return;
        }
        let frame = Frame { op, kind, id, value };
        if !frame.fits() {
            self.meters.errors.increment(1);
            let bytes = id.len() + value.len();
            tracing::error!(scope = %self.lane.scope, kind, bytes, "journal: a record is too large to be kept");
            return;
        }
        self.forget_previous(&frame);
        self.last = self.buffer.len();
        frame.append_to(&mut self.buffer);
        if self.buffer.len() > EARLY_BYTES {
            self.flush();
        }
    }

    /// What the last frame did to this very record has no effect any more.
    fn forget_previous(&mut self, next: &Frame<'_>) {
        let replaces = |op: Op| matches!(op, Op::Put | Op::Remove);
        let body = self.buffer.get(self.last + super::frame::HEAD..);
        if replaces(next.op)
            && let Some([op, kind, id_length, rest @ ..]) = body
            && (*op == Op::Put as u8 || *op == Op::Remove as u8)
            && *kind == next.kind
            && usize::from(*id_length) == next.id.len()
            && rest.starts_with(next.id)
        {
            self.buffer.truncate(self.last);
        }
    }

    fn flush(&mut self) {
        let Some(file) = &self.file else { return };
        match (&**file).write_all(&self.buffer) {
            Ok(()) => {
                let bytes = self.buffer.len() as u64;
                self.written += bytes;
                self.lane.wrote();
                self.count(bytes);
            }
            Err(error) => self.degrade(&error),
        }
        self.buffer.clear();
        self.last = 0;
    }

    fn count(&mut self, bytes: u64) {
        self.meters.bytes.increment(bytes);
        for (counter, count) in [(&self.meters.puts, &mut self.puts), (&self.meters.removes, &mut self.removes)] {
            if *count > 0 {
                counter.increment(std::mem::take(count));
            }
        }
    }

    /// The segment is given up. What was committed stays in it; what was written in part is cut off, or stays as a torn tail.
    fn degrade(&mut self, error: &io::Error) {
        if let Some(file) = self.file.take() {
            // Where it cannot be cut either, reading stops at the tear.
            let _ = file.set_len(self.written);
        }
        let segment = self.lane.fail();
        (self.puts, self.removes, self.void_at) = (0, 0, None);
        self.meters.errors.increment(1);
        self.meters.degraded.set(1.0);
        let path = segment.map_or_else(
            || self.shared.directory.path().to_owned(),
            |id| self.shared.directory.segment(id),
        );
        tracing::error!(
            scope = %self.lane.scope, path = %path.display(), %error,
            "journal: it cannot be written. Calls go on, but nothing of them outlives the process until there is space and the directory can \
             be written; it is tried again every second or so"
        );
        self.shared.wake();
    }

    /// Takes the segment that the keeper has made, where storage works again.
    fn return_to_work(&mut self) {
        if self.file.is_none()
            && let Some(file) = self.lane.advance(0)
        {
            self.file = Some(file);
            self.written = HEADER as u64;
            self.back = true;
            self.meters.degraded.set(0.0);
            tracing::info!(scope = %self.lane.scope, "journal: it can be written again");
        }
    }

    fn rotate_if_due(&mut self) {
        let full = self.written >= self.shared.settings.segment_bytes;
        let wanted = full || (self.lane.rotation_wanted() && self.written > HEADER as u64);
        if !wanted || self.void_at.is_some() || self.file.is_none() {
            return;
        }
        // Without a spare the segment grows on: the disk bounds it.
        if let Some(file) = self.lane.advance(self.written) {
            self.file = Some(file);
            self.written = HEADER as u64;
        }
        self.shared.wake();
    }

    /// Whether nothing waits to be written.
    #[cfg(test)]
    pub fn is_idle(&self) -> bool {
        self.buffer.capacity() == 0
    }

    /// The owner has had the time that it may take.
    #[cfg(test)]
    pub fn end_put_again(&mut self) {
        self.void_at = self.void_at.map(|_| Instant::now());
    }

    fn note(&mut self, op: Op) {
        self.last = self.buffer.len();
        Frame {
            op,
            kind: 0,
            id: &[],
            value: &[],
        }
        .append_to(&mut self.buffer);
    }
}

impl Journal for SegmentJournal {
    fn put(&mut self, kind: RecordKind, id: &[u8], value: &[u8]) {
        self.puts += u64::from(self.file.is_some());
        self.urgent = true;
        self.keep(Op::Put, kind as u8, id, value);
    }

    fn remove(&mut self, kind: RecordKind, id: &[u8]) {
        self.removes += u64::from(self.file.is_some());
        self.keep(Op::Remove, kind as u8, id, &[]);
    }

    fn remove_below(&mut self, kind: RecordKind, id: &[u8]) {
        self.removes += u64::from(self.file.is_some());
        self.keep(Op::RemoveBelow, kind as u8, id, &[]);
    }

    fn commit(&mut self) {
        let begun = Instant::now();
        // When the time is over to put everything again, that is noted though nothing else is.
        let is_void = self.void_at.is_some_and(|at| at <= begun);
        if self.buffer.is_empty() && !is_void {
            return self.return_to_work();
        }
        // What is over can be forgotten a little later: a write for it alone would cost as much as one for a record.
        let since = *self.late_since.get_or_insert(begun);
        if !self.urgent && self.void_at.is_none() && begun.duration_since(since) < self.shared.settings.removals_within {
            return;
        }
        (self.urgent, self.late_since) = (false, None);
        if is_void {
            self.void_at = None;
            self.note(Op::Void);
        }
        self.flush();
        self.meters.commit.record(begun.elapsed());
        self.rotate_if_due();
    }

    fn is_back(&mut self) -> bool {
        self.return_to_work();
        let again = self.lane.take_again();
        if self.file.is_none() || !(std::mem::take(&mut self.back) || again) {
            return false;
        }
        self.note(Op::Mark);
        self.void_at = Some(Instant::now() + PUT_AGAIN_WITHIN);
        true
    }
}

impl Drop for SegmentJournal {
    fn drop(&mut self) {
        self.urgent = true;
        self.commit();
        self.lane.close();
        self.shared.wake();
    }
}
