//! `[journal]`: what outlives the process.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// `[journal]`
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Journal {
    /// Whether there is one.
    pub enabled: bool,
    /// Its directory; always there and absolute once loaded. See [`Journal::directory`].
    pub dir: Option<PathBuf>,
    /// What a loss of power may cost.
    pub sync: JournalSync,
    /// How often what was written is brought to the disk, in milliseconds.
    pub sync_interval_ms: u64,
    /// A segment file is closed at this size, in bytes.
    pub segment_bytes: u64,
    /// How often closed segments are folded into the database, in milliseconds.
    pub fold_interval_ms: u64,
}

/// What a loss of power may cost. A killed process loses nothing either way.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JournalSync {
    /// Whatever the operating system has not written yet.
    None,
    /// What was written since the last interval began.
    Interval,
}

/// Where the journal is where nothing says so: in the directory of the service.
const IN_STATE_DIRECTORY: &str = "journal";
/// As above, without a service manager: beside the configuration file.
const BESIDE_THE_FILE: &str = "tandem-data/journal";

impl Journal {
    /// Its directory, where there is to be one.
    pub fn directory(&self) -> Option<&Path> {
        self.dir.as_deref().filter(|_| self.enabled)
    }

    /// Makes the directory absolute: it starts at `base`. One that is not set is in the first of `state_directories`, the value of
    /// `$STATE_DIRECTORY` (systemd.exec(5)), else beside the configuration.
    pub(crate) fn resolve_paths(&mut self, base: &Path, state_directories: Option<&str>) {
        let state = state_directories
            .and_then(|list| list.split(':').next())
            .filter(|directory| !directory.is_empty());
        let joined = match (&self.dir, state) {
            (Some(dir), _) => base.join(dir),
            (None, Some(state)) => Path::new(state).join(IN_STATE_DIRECTORY),
            (None, None) => base.join(BESIDE_THE_FILE),
        };
        // Where there is no current directory the path stays as it is, and cannot be made.
        self.dir = Some(std::path::absolute(&joined).unwrap_or(joined));
    }
}
