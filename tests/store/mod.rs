//! The journal from outside: a process that is killed while it writes, disks that are full or read-only, and the tools that look at it.

mod disk;
mod kill;
mod tools;

use std::path::Path;
use std::time::Duration;

use tandem::store::{Settings, Store, Sync, start};

/// A journal that folds all the time, in small segments.
fn restless(directory: &Path) -> Store {
    let settings = Settings {
        directory: directory.to_owned(),
        sync: Sync::Interval(Duration::from_millis(20)),
        segment_bytes: 64 << 10,
        fold_interval: Duration::from_millis(5),
        removals_within: Duration::ZERO,
    };
    start(settings).unwrap_or_else(|error| panic!("{error}"))
}
