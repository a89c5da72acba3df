//! A lane: what the writer of a scope and the keeper hand one another.
//!
//! The writer has one segment open, and a spare one waits for it, so that no file is made on an arbiter's thread. All that is shared is
//! moved under a lock that is held for a few instructions.

use std::fs::File;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use tandem_actors::journal::Scope;

use super::lock;
use super::segment::SegmentId;

/// A segment that may be written.
#[derive(Clone, Debug)]
pub struct Open {
    /// Which one.
    pub id: SegmentId,
    /// Its file, positioned at its end.
    pub file: Arc<File>,
}

#[derive(Debug, Default)]
struct Slots {
    /// What the writer writes.
    current: Option<Open>,
    /// What it writes next.
    spare: Option<Open>,
    /// A segment that is being made, and is not to be taken for a closed one meanwhile.
    making: Option<SegmentId>,
    /// Closed segments that are not brought to the disk yet.
    unsynced: Vec<Arc<File>>,
    /// The highest number in use.
    last: u64,
}

/// What is shared about one scope.
#[derive(Debug)]
pub struct Lane {
    /// Which scope.
    pub scope: Scope,
    slots: Mutex<Slots>,
    /// Whether there is a spare.
    ready: AtomicBool,
    /// Whether storage failed, and the writer waits for a segment.
    down: AtomicBool,
    /// Whether the writer is to take the spare, however small its segment is.
    rotate: AtomicBool,
    /// Whether the owner is to put everything again.
    again: AtomicBool,
    /// Whether there is something to bring to the disk.
    dirty: AtomicBool,
    /// Whether there is a writer: before, only whoever opens the lane makes segments, so that their numbers are in order.
    begun: AtomicBool,
    /// Whether the writer is gone.
    gone: AtomicBool,
    /// Whether files are brought to the disk at all.
    synced: bool,
    /// What was closed since the last fold, in bytes.
    closed: AtomicU64,
}

/// Closed segments that wait to be brought to the disk. Beyond these the fold does it, which is before they are deleted.
const MAX_UNSYNCED: usize = 64;

impl Lane {
    /// A lane whose segments come after number `last`. `synced`: somebody brings its files to the disk.
    pub fn new(scope: Scope, last: u64, synced: bool) -> Self {
        let slots = Slots {
            last,
            ..Slots::default()
        };
        Self {
            scope,
            slots: Mutex::new(slots),
            ready: AtomicBool::new(false),
            down: AtomicBool::new(false),
            rotate: AtomicBool::new(false),
            again: AtomicBool::new(false),
            dirty: AtomicBool::new(false),
            begun: AtomicBool::new(false),
            gone: AtomicBool::new(false),
            synced,
            closed: AtomicU64::new(0),
        }
    }

    // The writer's side.

    /// There is a writer from now on.
    pub fn begin(&self) {
        self.begun.store(true, Relaxed);
    }

    /// The spare becomes the current segment. `closed`: what was written into the one before, in bytes.
    pub fn advance(&self, closed: u64) -> Option<Arc<File>> {
        if !self.ready.load(Relaxed) {
            return None;
        }
        let mut slots = lock(&self.slots);
        let spare = slots.spare.take()?;
        let file = spare.file.clone();
        if let Some(before) = slots.current.replace(spare)
            && self.synced
            && slots.unsynced.len() < MAX_UNSYNCED
        {
            slots.unsynced.push(before.file);
        }
        self.ready.store(false, Relaxed);
        self.rotate.store(false, Relaxed);
        self.down.store(false, Relaxed);
        self.closed.fetch_add(closed, Relaxed);
        Some(file)
    }

    /// Nothing is written any more until there is a new segment.
    pub fn fail(&self) -> Option<SegmentId> {
        let mut slots = lock(&self.slots);
        self.down.store(true, Relaxed);
        self.ready.store(false, Relaxed);
        slots.spare = None;
        slots.current.take().map(|current| current.id)
    }

    /// The writer is gone.
    pub fn close(&self) {
        let mut slots = lock(&self.slots);
        slots.spare = None;
        self.ready.store(false, Relaxed);
        slots.current = None;
        self.gone.store(true, Relaxed);
    }

    /// Whether the current segment is to be left.
    pub fn rotation_wanted(&self) -> bool {
        self.rotate.load(Relaxed)
    }

    /// Something was written.
    pub fn wrote(&self) {
        self.dirty.store(true, Relaxed);
    }

    /// Whether the owner is to put everything again, told once.
    pub fn take_again(&self) -> bool {
        self.again.load(Relaxed) && self.again.swap(false, Relaxed)
    }

    // The keeper's side.

    /// Whether a segment should be made.
    pub fn needs_spare(&self) -> bool {
        self.begun.load(Relaxed) && !self.ready.load(Relaxed) && !self.gone.load(Relaxed)
    }

    /// Whether storage failed.
    pub fn is_down(&self) -> bool {
        self.down.load(Relaxed)
    }

    /// The id of a segment that is about to be made. Numbers are the time in microseconds and never go back, so that one that the
    /// database knows is not used again even where the database cannot be read.
    pub fn reserve(&self) -> SegmentId {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
        let mut slots = lock(&self.slots);
        slots.last = u64::try_from(now).unwrap_or(0).max(slots.last.saturating_add(1));
        let id = SegmentId {
            scope: self.scope,
            number: slots.last,
        };
        slots.making = Some(id);
        id
    }

    /// The segment that was made, or was not.
    pub fn offer(&self, made: Option<Open>) {
        let mut slots = lock(&self.slots);
        slots.making = None;
        let current = slots.current.as_ref().map_or(0, |current| current.id.number);
        // What is written later has the higher number, or it would count as what was before.
        if let Some(made) = made.filter(|made| !self.gone.load(Relaxed) && made.id.number > current) {
            slots.spare = Some(made);
            self.ready.store(true, Relaxed);
        }
    }

    /// Asks for the current segment to be closed.
    pub fn ask_rotation(&self) {
        self.rotate.store(true, Relaxed);
    }

    /// Asks the owner to put everything again.
    pub fn ask_again(&self) {
        self.again.store(true, Relaxed);
    }

    /// Whether a segment is in use. Those listed before this is asked and not in use are closed for good.
    pub fn uses(&self, id: SegmentId) -> bool {
        let slots = lock(&self.slots);
        let open = slots.current.iter().chain(&slots.spare).map(|open| open.id);
        open.chain(slots.making).any(|used| used == id)
    }

    /// What was closed since the last fold, in bytes.
    pub fn closed_bytes(&self) -> u64 {
        self.closed.load(Relaxed)
    }

    /// A fold begins.
    pub fn begin_fold(&self) {
        self.closed.store(0, Relaxed);
    }

    /// The files to bring to the disk.
    pub fn take_unsynced(&self) -> Vec<Arc<File>> {
        let mut slots = lock(&self.slots);
        let mut files = std::mem::take(&mut slots.unsynced);
        if self.dirty.swap(false, Relaxed) {
            files.extend(slots.current.iter().map(|current| current.file.clone()));
        }
        files
    }
}
