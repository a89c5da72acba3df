//! The keeper: the thread that makes segments for the writers and folds closed ones into the database.
//!
//! | duty | when |
//! |---|---|
//! | make a spare segment for each lane | when there is none; after a failure, after a pause |
//! | ask for segments to be closed | with each fold, so that none gets old |
//! | fold the closed segments, delete them | each `fold_interval`, or as soon as [`BATCH_BYTES`] are closed |
//! | give space back, count files | after each fold |
//!
//! What bounds the directory: closed segments wait on the disk, not in memory, so a slow database only lets them pile up there until the
//! next fold; where folding fails for good they pile up until the disk is full, which is told by `tandem_journal_errors_total`,
//! `tandem_journal_segments` and a log line, and then costs durability, not calls. One fold reads [`BATCH_BYTES`] at a time.
//!
//! The keeper never waits for a writer, and a writer never for the keeper.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use tandem_actors::journal::Scope;

use super::database::Fault;
use super::directory::{extent, segments};
use super::lane::{Lane, Open};
use super::live::{Flaw, changes_of};
use super::meters::KeeperMeters;
use super::segment::{self, HEADER, Refused, SegmentId, scope_number};
use super::{Shared, Sync, lock};

/// Closed segments of so much are folded at once, and one fold takes no more than this and one segment into memory.
const BATCH_BYTES: u64 = 64 << 20;
/// What the process before left is folded this soon, so that one that is killed again and again does not leave ever more files; not at
/// once, so that the actors have their records first. The unit tests say themselves when.
const FIRST_FOLD: Duration = Duration::from_secs(if cfg!(test) { 3600 } else { 2 });
/// After a failure, the next attempt comes after this; longer where storage fails again at once.
const RETRY: Duration = Duration::from_secs(1);
const MAX_RETRY: Duration = Duration::from_secs(16);
/// A failure sooner than this after the return makes the next pause longer.
const STEADY: Duration = Duration::from_secs(10);
/// What is written and cut off again before storage is said to work.
const PROBE_BYTES: usize = 256 << 10;

/// The state of the thread.
pub struct Keeper {
    shared: Arc<Shared>,
    meters: KeeperMeters,
    next_fold: Instant,
    retries: BTreeMap<Scope, Retry>,
    /// Whether the last attempt failed, by what was attempted: each is told once.
    failing: Failing,
}

#[derive(Default)]
struct Failing {
    segment: bool,
    fold: bool,
}

struct Retry {
    next: Instant,
    pause: Duration,
    /// When storage was last said to work again.
    returned: Option<Instant>,
}

impl Retry {
    fn new(now: Instant) -> Self {
        Self {
            next: now,
            pause: RETRY,
            returned: None,
        }
    }
}

impl Keeper {
    /// The keeper of a store.
    pub fn new(shared: Arc<Shared>) -> Self {
        let next_fold = Instant::now() + shared.settings.fold_interval.min(FIRST_FOLD);
        Self {
            shared,
            meters: KeeperMeters::register(),
            next_fold,
            retries: BTreeMap::new(),
            failing: Failing::default(),
        }
    }

    /// Works until the store ends, then folds what is closed.
    pub fn run(mut self) {
        self.count_files();
        loop {
            let stop = self.shared.stop.load(Relaxed);
            // A mistake in one round must not end the journal: the next one begins from the disk.
            if catch_unwind(AssertUnwindSafe(|| self.round(stop))).is_err() {
                self.meters.fold_errors.increment(1);
                tracing::error!("journal: a round of the keeper failed; it goes on");
                self.next_fold = Instant::now() + self.shared.settings.fold_interval.max(RETRY);
            }
            if stop {
                return;
            }
            std::thread::park_timeout(self.pause());
        }
    }

    fn pause(&self) -> Duration {
        let now = Instant::now();
        let waiting = self.shared.lanes().into_iter().filter(|lane| lane.needs_spare());
        let retry = waiting
            .filter_map(|lane| self.retries.get(&lane.scope))
            .map(|retry| retry.next);
        let next = retry.chain([self.next_fold]).min().unwrap_or(now);
        // A retry that is due has just been made.
        next.saturating_duration_since(now).max(Duration::from_millis(1))
    }

    fn round(&mut self, stop: bool) {
        let lanes = self.shared.lanes();
        if !stop {
            for lane in &lanes {
                self.make_spare(lane);
            }
        }
        let closed: u64 = lanes.iter().map(|lane| lane.closed_bytes()).sum();
        let asked = self.shared.fold_asked.swap(false, Relaxed);
        if stop || asked || closed >= BATCH_BYTES || Instant::now() >= self.next_fold {
            self.next_fold = Instant::now() + self.shared.settings.fold_interval;
            lanes.iter().for_each(|lane| lane.begin_fold());
            self.fold();
            lanes.iter().for_each(|lane| lane.ask_rotation());
            self.shared.folds.fetch_add(1, Relaxed);
        }
    }

    /// Gives a lane a segment to go on with.
    fn make_spare(&mut self, lane: &Lane) {
        let now = Instant::now();
        if !lane.needs_spare() || self.retries.get(&lane.scope).is_some_and(|retry| now < retry.next) {
            return;
        }
        let id = lane.reserve();
        let down = lane.is_down();
        match self.make(id, down) {
            Ok(file) => {
                lane.offer(Some(Open {
                    id,
                    file: Arc::new(file),
                }));
                self.failing.segment = false;
                if down {
                    self.returned(lane.scope, now);
                }
            }
            Err(error) => {
                lane.offer(None);
                self.meters.segment_errors.increment(1);
                let retry = self.retries.entry(lane.scope).or_insert_with(|| Retry::new(now));
                retry.next = now + retry.pause;
                if !std::mem::replace(&mut self.failing.segment, true) && !down {
                    let path = self.shared.directory.segment(id);
                    tracing::error!(path = %path.display(), %error, "journal: a segment cannot be made; it is tried again");
                }
            }
        }
    }

    /// Storage works again; where it fails at once, as a disk does that is nearly full, the next attempt waits longer.
    fn returned(&mut self, scope: Scope, now: Instant) {
        let retry = self.retries.entry(scope).or_insert_with(|| Retry::new(now));
        let flaps = retry.returned.is_some_and(|at| now < at + retry.pause + STEADY);
        retry.pause = if flaps { (retry.pause * 2).min(MAX_RETRY) } else { RETRY };
        retry.next = now + retry.pause;
        retry.returned = Some(now);
    }

    /// Makes a segment; `probe`: only where there is room for more than its header.
    fn make(&self, id: SegmentId, probe: bool) -> io::Result<File> {
        let directory = &self.shared.directory;
        directory.take().map_err(io::Error::other)?;
        let mut file = directory.make_segment(id)?;
        if probe {
            let probed = file
                .write_all(&vec![0; PROBE_BYTES])
                .and_then(|()| file.set_len(HEADER as u64));
            probed.inspect_err(|_| {
                // What cannot be deleted is an empty segment: no harm.
                let _ = std::fs::remove_file(directory.segment(id));
            })?;
        }
        if self.shared.settings.sync != Sync::None {
            directory.sync()?;
        }
        Ok(file)
    }

    /// Folds whatever is closed.
    fn fold(&mut self) {
        let begun = Instant::now();
        match self.fold_closed() {
            Ok(folded) => {
                if std::mem::take(&mut self.failing.fold) {
                    tracing::info!("journal: segments can be folded again");
                }
                if folded {
                    self.meters.fold.record(begun.elapsed());
                }
            }
            Err(fault) => self.fold_failed(fault),
        }
        self.count_files();
    }

    fn count_files(&self) {
        if let Ok(extent) = extent(self.shared.directory.path()) {
            self.meters.segments.set(extent.segments as f64);
            self.meters.size.set(extent.bytes as f64);
        }
    }

    fn fold_failed(&mut self, fault: Fault) {
        self.meters.fold_errors.increment(1);
        match fault {
            Fault::Refused(why) => self.shared.replace_database(&why),
            Fault::System(error) => {
                // Opened again the next time: nobody knows what state it is in.
                *lock(&self.shared.database) = None;
                if !std::mem::replace(&mut self.failing.fold, true) {
                    let path = self.shared.directory.path();
                    tracing::error!(
                        path = %path.display(), error,
                        "journal: segments cannot be folded into the database. They stay in the directory, which grows until they can; it is \
                         tried again every fold_interval_ms"
                    );
                }
            }
        }
    }

    /// Whether there was anything.
    fn fold_closed(&mut self) -> Result<bool, Fault> {
        // Listed first, then looked who uses what: a segment that is listed and not in use is closed for good.
        let listed = segments(self.shared.directory.path())?;
        let lanes = self.shared.lanes();
        let closed: Vec<SegmentId> = listed
            .into_iter()
            .filter(|id| !lanes.iter().any(|lane| lane.uses(*id)))
            .collect();
        for of_scope in closed.chunk_by(|one, other| one.scope == other.scope) {
            let mut rest = of_scope;
            while !rest.is_empty() {
                let taken = self.fold_batch(rest)?;
                rest = rest.get(taken..).unwrap_or_default();
            }
        }
        if !closed.is_empty() {
            self.shared.with_database(|database| database.tidy())?;
        }
        Ok(!closed.is_empty())
    }

    /// Folds the first segments of a scope in one transaction; how many.
    fn fold_batch(&mut self, ids: &[SegmentId]) -> Result<usize, Fault> {
        let Some(scope) = ids.first().map(|id| scope_number(id.scope)) else {
            return Ok(0);
        };
        let already = self.shared.with_database(|database| database.folded(scope))?;
        let directory = self.shared.directory.path().to_owned();
        let (mut loaded, mut bytes, mut taken) = (Vec::new(), 0, 0);
        for id in ids {
            taken += 1;
            if let Some(of_segment) = segment::load(&directory.join(id.to_string()))?.filter(|_| id.number > already) {
                bytes += of_segment.len() as u64;
                loaded.push((*id, of_segment));
            }
            if bytes >= BATCH_BYTES {
                break;
            }
        }
        let (changes, flaws) = changes_of(&directory, loaded.iter().map(|(id, bytes)| (*id, bytes.as_slice())));
        let through = loaded.last().map_or(already, |(id, _)| id.number);
        if !changes.is_empty() {
            self.shared
                .with_database(|database| database.fold(scope, &changes, through))?;
        }
        self.finish(ids.get(..taken).unwrap_or_default(), &directory, flaws);
        Ok(taken)
    }

    /// What was folded is deleted; what was damaged is kept aside.
    fn finish(&self, ids: &[SegmentId], directory: &Path, flaws: Vec<Flaw>) {
        for flaw in flaws {
            self.shared.tell(&flaw);
            let (name, why) = match flaw {
                Flaw::Damaged(path, why) => (path.file_name().unwrap_or_default().to_string_lossy().into_owned(), why),
                Flaw::Refused(id, why) => (id.to_string(), why),
                Flaw::Torn(..) | Flaw::System(..) => continue,
            };
            self.shared.keep_aside(&name, &why);
        }
        for id in ids {
            match std::fs::remove_file(directory.join(id.to_string())) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    self.meters.fold_errors.increment(1);
                    tracing::warn!(segment = %id, %error, "journal: a segment that was folded cannot be deleted");
                }
                _ => {}
            }
        }
    }
}

impl Shared {
    /// Keeps a file aside, and says so.
    pub fn keep_aside(&self, name: &str, why: &Refused) {
        match self.directory.keep_aside(name, why) {
            Ok(aside) => tracing::warn!(path = %aside.display(), "journal: the file is kept aside"),
            // It is gone: somebody else has done so.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => tracing::error!(file = name, %error, "journal: the file cannot be kept aside"),
        }
    }

    /// Says what is wrong with a segment. A torn tail is what a kill leaves, and no fault.
    pub fn tell(&self, flaw: &Flaw) {
        match flaw {
            Flaw::Torn(path, bytes) => {
                tracing::info!(path = %path.display(), bytes, "journal: the segment ends in the middle of a record; what is before it counts");
                return;
            }
            Flaw::Damaged(path, why) => {
                tracing::error!(path = %path.display(), %why, "journal: part of a segment cannot be read; the rest is used");
            }
            Flaw::Refused(id, why) => {
                let path = self.directory.segment(*id);
                tracing::error!(path = %path.display(), %why, "journal: the segment is not used");
            }
            Flaw::System(path, error) => {
                tracing::error!(path = %path.display(), %error, "journal: it cannot be read");
            }
        }
        self.read_errors.increment(1);
    }

    /// Keeps the database aside; a new one is begun when it is needed. What was in it is with the actors, who put it again.
    pub fn replace_database(&self, why: &Refused) {
        let path = self.directory.database();
        tracing::error!(path = %path.display(), %why, "journal: the database is not used");
        self.read_errors.increment(1);
        *lock(&self.database) = None;
        self.keep_aside(super::database::FILE, why);
        self.lanes().iter().for_each(|lane| lane.ask_again());
    }
}

/// Brings what was written to the disk, every `interval`, until the store ends. Its own thread: a slow disk must not hold up the keeper.
pub fn sync_regularly(shared: &Shared, interval: Duration) {
    let meters = KeeperMeters::register();
    let mut failing = false;
    loop {
        let stop = shared.stop.load(Relaxed);
        let files = shared.lanes().into_iter().flat_map(|lane| lane.take_unsynced());
        let failed = files.filter_map(|file| file.sync_data().err()).last();
        if let Some(error) = &failed {
            meters.sync_errors.increment(1);
            if !failing {
                tracing::error!(%error, "journal: what was written cannot be brought to the disk; a loss of power may cost it");
            }
        }
        failing = failed.is_some();
        if stop {
            return;
        }
        std::thread::park_timeout(interval);
    }
}
