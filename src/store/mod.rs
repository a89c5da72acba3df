//! The journal on disk: the adapter of [`tandem_actors::journal`].
//!
//! ```text
//!   arbiter ─ SegmentJournal ─ one write(2) a commit ─► tserver-N.seg      [`writer`], [`frame`], [`segment`]
//!   arbiter ─ SegmentJournal ─────────────────────────► connector-0-N.seg
//!                  ▲  spare segments                        │ closed segments
//!                  └──────────── keeper ◄───────────────────┘              [`keeper`], [`lane`]
//!                                  │ what is still there after coalescing  [`changes`]
//!                                  ▼
//!                              journal.db, SQLite in WAL mode              [`database`]
//! ```
//!
//! Invariant: what was committed is read by the next process, whenever this one was killed, as long as the disk keeps what the operating
//! system was given. What a loss of power may cost is [`Sync`]'s. A disk that fails costs durability, never a call: nothing here returns
//! an error to an arbiter, and nothing there waits for a file to be made, for the database, or for the disk to have it.
//!
//! One process has a directory at a time. Files that cannot be used are kept aside under another name, and the server starts without
//! them. What records mean is none of its concern: kinds and ids are bytes here.

mod changes;
mod database;
mod directory;
mod frame;
mod keeper;
mod lane;
mod live;
pub mod look;
mod meters;
mod segment;
mod shown;
mod writer;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, JoinHandle, Thread};
use std::time::Duration;

use metrics::Counter;
use tandem_actors::journal::{Journal, JournalStore, NoJournal, Record, RecordKind, Scope};
use tandem_config::JournalSync;

use database::{Database, Fault};
use directory::Directory;
use keeper::Keeper;
use lane::{Lane, Open};
use live::{Flaw, Live};
use meters::KeeperMeters;
use writer::SegmentJournal;

pub use meters::BUCKETS;

/// What a loss of power may cost.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sync {
    /// Whatever the operating system has not written yet.
    None,
    /// What is younger than this.
    Interval(Duration),
}

/// How a journal is kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// The directory; made where it is missing.
    pub directory: PathBuf,
    /// What a loss of power may cost.
    pub sync: Sync,
    /// A segment is closed at this size.
    pub segment_bytes: u64,
    /// How often closed segments are folded into the database.
    pub fold_interval: Duration,
    /// So long may removals wait for a record to be written with.
    pub removals_within: Duration,
}

/// As long as that: what comes back for it after a kill is found to be over at once.
pub const REMOVALS_WITHIN: Duration = Duration::from_millis(100);

impl Settings {
    /// Those of the configuration; `None`: there is to be no journal.
    pub fn of(journal: &tandem_config::Journal) -> Option<Self> {
        Some(Self {
            directory: journal.directory()?.to_owned(),
            sync: match journal.sync {
                JournalSync::None => Sync::None,
                JournalSync::Interval => Sync::Interval(Duration::from_millis(journal.sync_interval_ms)),
            },
            segment_bytes: journal.segment_bytes,
            fold_interval: Duration::from_millis(journal.fold_interval_ms),
            removals_within: REMOVALS_WITHIN,
        })
    }
}

/// Why there is no journal.
#[derive(Debug)]
pub enum StoreError {
    /// Another process has the directory.
    InUse {
        /// The directory.
        path: PathBuf,
        /// The process, where it says so.
        pid: Option<u32>,
    },
    /// The system refuses.
    System {
        /// What it refuses.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let advice = "set journal.dir to a directory of this server's own, or journal.enabled to false";
        match self {
            Self::InUse { path, pid } => {
                write!(f, "journal.dir: {} is in use by another server", path.display())?;
                if let Some(pid) = pid {
                    write!(f, ", process {pid}")?;
                }
                write!(f, "; {advice}")
            }
            Self::System { path, error } => write!(f, "journal.dir: {}: {error}; {advice}", path.display()),
        }
    }
}

impl std::error::Error for StoreError {}

/// What the writers and the threads share.
struct Shared {
    settings: Settings,
    directory: Directory,
    lanes: Mutex<BTreeMap<Scope, Arc<Lane>>>,
    /// Opened when it is needed, and again after it failed.
    database: Mutex<Option<Database>>,
    keeper: OnceLock<Thread>,
    stop: AtomicBool,
    fold_asked: AtomicBool,
    folds: AtomicU64,
    read_errors: Counter,
}

impl Shared {
    fn lanes(&self) -> Vec<Arc<Lane>> {
        lock(&self.lanes).values().cloned().collect()
    }

    fn wake(&self) {
        if let Some(keeper) = self.keeper.get() {
            keeper.unpark();
        }
    }

    fn with_database<T>(&self, work: impl FnOnce(&mut Database) -> Result<T, Fault>) -> Result<T, Fault> {
        let mut database = lock(&self.database);
        let open = match &mut *database {
            Some(open) => open,
            None => {
                self.directory.take().map_err(|error| Fault::System(error.to_string()))?;
                let durable = self.settings.sync != Sync::None;
                database.insert(Database::open(&self.directory.database(), durable)?)
            }
        };
        work(open)
    }
}

/// A journal on disk. Dropping it folds what is closed and ends its threads; journals that are still open are folded at the next start.
pub struct Store {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

/// Opens the journal of a configuration; where it is to have none, nothing outlives the process.
pub fn from_config(journal: &tandem_config::Journal) -> Result<Arc<dyn JournalStore>, StoreError> {
    match Settings::of(journal) {
        None => {
            tracing::info!("journal: none; nothing outlives the process");
            Ok(Arc::new(NoJournal))
        }
        Some(settings) => {
            tracing::info!(directory = %settings.directory.display(), "journal");
            Ok(Arc::new(start(settings)?))
        }
    }
}

/// Opens a journal.
pub fn start(settings: Settings) -> Result<Store, StoreError> {
    meters::describe();
    let shared = Arc::new(Shared {
        directory: Directory::open(&settings.directory)?,
        settings,
        lanes: Mutex::default(),
        database: Mutex::default(),
        keeper: OnceLock::new(),
        stop: AtomicBool::new(false),
        fold_asked: AtomicBool::new(false),
        folds: AtomicU64::new(0),
        read_errors: KeeperMeters::register().read_errors,
    });
    match shared.with_database(|_| Ok(())) {
        Ok(()) => {}
        Err(Fault::Refused(why)) => shared.replace_database(&why),
        Err(Fault::System(error)) => {
            let path = shared.directory.database();
            tracing::error!(path = %path.display(), error, "journal: the database cannot be opened for writing; it is tried again");
        }
    }
    let mut store = Store {
        shared,
        threads: Vec::new(),
    };
    store.spawn("journal", |shared| Keeper::new(shared).run())?;
    if let Sync::Interval(interval) = store.shared.settings.sync {
        store.spawn("journal-sync", move |shared| keeper::sync_regularly(&shared, interval))?;
    }
    Ok(store)
}

impl Store {
    fn spawn(&mut self, name: &str, work: impl FnOnce(Arc<Shared>) + Send + 'static) -> Result<(), StoreError> {
        let shared = self.shared.clone();
        let thread = thread::Builder::new().name(name.to_owned()).spawn(move || work(shared));
        let thread = thread.map_err(|error| StoreError::System {
            path: self.shared.directory.path().to_owned(),
            error,
        })?;
        // The first thread is the keeper; the others need no waking.
        let _ = self.shared.keeper.set(thread.thread().clone());
        self.threads.push(thread);
        Ok(())
    }

    /// Folds what is closed, and returns when that is done.
    #[cfg(test)]
    fn fold_now(&self) {
        let before = self.shared.folds.load(Relaxed);
        self.shared.fold_asked.store(true, Relaxed);
        self.shared.wake();
        while self.shared.folds.load(Relaxed) == before {
            thread::yield_now();
        }
    }

    /// The lane of a scope, if it has none yet in this process.
    fn lane(&self, scope: Scope, last: u64) -> Option<Arc<Lane>> {
        let mut lanes = lock(&self.shared.lanes);
        if lanes.contains_key(&scope) {
            return None;
        }
        let lane = Arc::new(Lane::new(scope, last, self.shared.settings.sync != Sync::None));
        lanes.insert(scope, lane.clone());
        Some(lane)
    }

    /// The live records of a scope, from the database and the segments that are not in it yet.
    fn live(&self, scope: Scope) -> Live {
        let directory = self.shared.directory.path();
        let read = |scope| match self.shared.with_database(|database| database.kept(scope)) {
            // Where it cannot be written it may still be read.
            Err(Fault::System(error)) => match Database::open_to_read(&self.shared.directory.database())? {
                Some(database) => database.kept(scope),
                None => Err(Fault::System(error)),
            },
            kept => kept,
        };
        let live = live::read(directory, scope, read);
        for flaw in &live.flaws {
            self.shared.tell(flaw);
            if let Flaw::Refused(id, why) = flaw {
                self.shared.keep_aside(&id.to_string(), why);
            }
        }
        match &live.database {
            Some(Fault::Refused(why)) => self.shared.replace_database(why),
            Some(Fault::System(error)) => {
                self.shared.read_errors.increment(1);
                let path = self.shared.directory.database();
                tracing::error!(%scope, path = %path.display(), error, "journal: the database cannot be read; what is in it is missing");
            }
            None => {}
        }
        if live.damaged_rows > 0 {
            self.shared.read_errors.increment(1);
            tracing::error!(%scope, records = live.damaged_rows, "journal: records in the database are damaged and not used");
        }
        live
    }
}

impl JournalStore for Store {
    fn open(&self, scope: Scope) -> (Box<dyn Journal>, Vec<Record>) {
        let live = self.live(scope);
        let Some(lane) = self.lane(scope, live.last) else {
            tracing::error!(%scope, "journal: it is open in this process already; nothing of this one is kept");
            return (Box::new(NoJournal), Vec::new());
        };
        let id = lane.reserve();
        let made = self.shared.directory.make_segment(id).inspect_err(|error| {
            tracing::error!(%scope, %error, "journal: the first segment cannot be made; calls are served, and nothing outlives the process");
        });
        lane.offer(made.ok().map(|file| Open {
            id,
            file: Arc::new(file),
        }));
        let mut unknown = 0_usize;
        let records: Vec<Record> = live
            .records
            .into_iter()
            .filter_map(|((kind, id), value)| {
                let known = RecordKind::from_number(kind);
                unknown += usize::from(known.is_none());
                known.map(|kind| Record { kind, id, value })
            })
            .collect();
        if unknown > 0 {
            tracing::warn!(%scope, records = unknown, "journal: records of kinds that this version does not know are kept and not used");
        }
        tracing::info!(%scope, records = records.len(), "journal: opened");
        (Box::new(SegmentJournal::new(self.shared.clone(), lane)), records)
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.shared.stop.store(true, Relaxed);
        for thread in self.threads.drain(..) {
            thread.thread().unpark();
            if thread.join().is_err() {
                tracing::error!("journal: a thread ended with a panic");
            }
        }
    }
}

/// The lock of what is moved in whole: whoever panicked under it has left it sound.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
