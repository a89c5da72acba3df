//! The directory of the journal: its lock, its files, and how a file that is of no use is kept aside.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{SystemTime, UNIX_EPOCH};

use super::segment::{Refused, SegmentId};
use super::{StoreError, database, lock};

/// Holds the lock, and says who.
const LOCK: &str = "journal.lock";
/// Files that were kept aside and are not deleted: the newest of them.
const KEPT_ASIDE: usize = 16;

/// The directory of a journal.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    held: Mutex<Option<File>>,
}

/// A directory in numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Extent {
    /// Segment files.
    pub segments: u64,
    /// All files together, in bytes.
    pub bytes: u64,
}

impl Drop for Directory {
    /// A process that is just being started has every file of this one open until it executes its program: closing the file is not enough.
    fn drop(&mut self) {
        if let Some(file) = lock(&self.held).take() {
            // Closing it is next.
            let _ = file.unlock();
        }
    }
}

impl Directory {
    /// Makes the directory where it is missing, and takes it for this process. Storage that cannot be written costs durability only: the
    /// directory may be taken later, with [`Directory::take`].
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let directory = Self {
            path: path.to_owned(),
            held: Mutex::default(),
        };
        match directory.take() {
            Ok(()) => Ok(directory),
            Err(StoreError::System { path, error }) if is_storage(&error) => {
                tracing::error!(path = %path.display(), %error, "journal: the directory cannot be written; calls are served, and nothing outlives the process");
                Ok(directory)
            }
            Err(error) => Err(error),
        }
    }

    /// Takes the directory for this process, if it does not have it yet.
    pub fn take(&self) -> Result<(), StoreError> {
        let mut held = lock(&self.held);
        if held.is_none() {
            *held = Some(self.lock()?);
        }
        Ok(())
    }

    fn lock(&self) -> Result<File, StoreError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |error| StoreError::System { path, error }
        };
        if !self.path.is_dir() {
            if let Some(parent) = self.path.parent() {
                std::fs::create_dir_all(parent).map_err(failed(&self.path))?;
            }
            // Records hold what callers said of themselves: they are the server's alone.
            let made = DirBuilder::new().mode(0o700).create(&self.path);
            made.map_err(failed(&self.path))?;
        }
        let path = self.path.join(LOCK);
        let opened = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path);
        let (mut file, writable) = match opened {
            Ok(file) => (file, true),
            Err(error) if error.kind() == io::ErrorKind::ReadOnlyFilesystem => {
                (File::open(&path).map_err(|_| failed(&path)(error))?, false)
            }
            Err(error) => return Err(failed(&path)(error)),
        };
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut owner = String::new();
                // Who it is, is told where it can be read.
                let _ = file.read_to_string(&mut owner);
                return Err(StoreError::InUse {
                    path: self.path.clone(),
                    pid: owner.trim().parse().ok(),
                });
            }
            Err(TryLockError::Error(error)) => return Err(failed(&path)(error)),
        }
        if writable {
            // The lock is what counts; on a full disk its owner stays unnamed.
            let _ = file
                .set_len(0)
                .and_then(|()| file.rewind())
                .and_then(|()| writeln!(file, "{}", std::process::id()));
        }
        Ok(file)
    }

    /// The path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of a segment.
    pub fn segment(&self, id: SegmentId) -> PathBuf {
        self.path.join(id.to_string())
    }

    /// The path of the database.
    pub fn database(&self) -> PathBuf {
        self.path.join(database::FILE)
    }

    /// Makes a segment with its header.
    pub fn make_segment(&self, id: SegmentId) -> io::Result<File> {
        let path = self.segment(id);
        let mut file = OpenOptions::new().append(true).create_new(true).mode(0o600).open(&path)?;
        file.write_all(&id.header()).inspect_err(|_| {
            // An empty segment is no harm where it cannot be deleted either.
            let _ = std::fs::remove_file(&path);
        })?;
        Ok(file)
    }

    /// Brings the names of the files to the disk.
    pub fn sync(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }

    /// Keeps a file aside: it gets a suffix with the reason and the time. The new name.
    pub fn keep_aside(&self, name: &str, why: &Refused) -> io::Result<PathBuf> {
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let suffix = format!("{}-{seconds}", why.suffix());
        let aside = self.path.join(format!("{name}.{suffix}"));
        std::fs::rename(self.path.join(name), &aside)?;
        if name == database::FILE {
            for beside in database::BESIDE {
                // They belong to it where they are there.
                let _ = std::fs::rename(self.path.join(beside), self.path.join(format!("{beside}.{suffix}")));
            }
        }
        self.prune_aside();
        Ok(aside)
    }

    /// Deletes the oldest of the files that were kept aside, so that they never fill the disk.
    fn prune_aside(&self) {
        let Ok(entries) = std::fs::read_dir(&self.path) else { return };
        let mut aside: Vec<(SystemTime, PathBuf)> = entries
            .flatten()
            .filter(|entry| is_aside(&entry.file_name().to_string_lossy()))
            .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
            .collect();
        aside.sort();
        for (_, path) in aside.iter().take(aside.len().saturating_sub(KEPT_ASIDE)) {
            match std::fs::remove_file(path) {
                Ok(()) => {
                    tracing::warn!(path = %path.display(), "journal: there are too many damaged files, the oldest was deleted")
                }
                Err(error) => tracing::warn!(path = %path.display(), %error, "journal: a damaged file cannot be deleted"),
            }
        }
    }
}

/// How much there is in a directory.
pub fn extent(path: &Path) -> io::Result<Extent> {
    let mut extent = Extent::default();
    for entry in std::fs::read_dir(path)?.flatten() {
        // A file that goes while it is looked at is not there.
        let Ok(metadata) = entry.metadata() else { continue };
        extent.bytes += metadata.len();
        extent.segments += u64::from(SegmentId::from_file_name(&entry.file_name().to_string_lossy()).is_some());
    }
    Ok(extent)
}

/// The segments in a directory, in order. A directory that is not there has none.
pub fn segments(path: &Path) -> io::Result<Vec<SegmentId>> {
    let entries = match std::fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for entry in entries {
        found.extend(SegmentId::from_file_name(&entry?.file_name().to_string_lossy()));
    }
    found.sort_unstable();
    Ok(found)
}

/// Whether a file was kept aside.
pub fn is_aside(name: &str) -> bool {
    let reasons = [Refused::Foreign, Refused::Newer(0), Refused::Corrupt(String::new())];
    name.rsplit_once('.')
        .and_then(|(_, suffix)| suffix.split_once('-'))
        .is_some_and(|(reason, time)| reasons.iter().any(|of| of.suffix() == reason) && time.parse::<u64>().is_ok())
}

/// Whether it is the storage that fails, which costs durability, and not a mistake that somebody should hear of at once.
fn is_storage(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    ) || error.raw_os_error() == Some(libc::EIO)
}
