//! Looking into a journal from outside, with nothing changed and no lock taken: beside a server at work, or after a crash.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use tandem_actors::journal::Scope;

use super::database::{self, Database, Fault, Kept};
use super::directory::{is_aside, segments};
use super::live;
use super::segment::{self, SegmentId, scope_of};
use super::{Flaw, Live};

pub use super::segment::{VERSION, scope_named};
pub use super::shown::{id_matches, id_text, kind_name, value};

/// What is kept of one scope.
pub struct ScopeView {
    /// The directory of its journal.
    pub directory: PathBuf,
    /// Which.
    pub scope: Scope,
    /// The live records by kind and id.
    pub records: BTreeMap<(u8, Vec<u8>), Vec<u8>>,
    /// What is wrong, one line each.
    pub problems: Vec<String>,
}

/// The journals in a directory: one in the directory itself (`tandem serve`), or one for each process below it (`tandem tserver` and
/// `tandem connector`, run by one configuration). No journal at all is an error, for whoever looks expects one.
pub fn journals(directory: &Path) -> Result<Vec<PathBuf>, String> {
    let named = |error: io::Error| format!("{}: {error}", directory.display());
    if !directory.is_dir() {
        return Err(format!("{}: there is no such directory", directory.display()));
    }
    let mut candidates = vec![directory.to_owned()];
    for entry in std::fs::read_dir(directory).map_err(named)?.flatten() {
        if scope_named(&entry.file_name().to_string_lossy()).is_some() && entry.path().is_dir() {
            candidates.push(entry.path());
        }
    }
    let mut found = Vec::new();
    for candidate in candidates {
        if candidate.join(database::FILE).exists() || !segments(&candidate).map_err(named)?.is_empty() {
            found.push(candidate);
        }
    }
    found.sort();
    if found.is_empty() {
        return Err(format!(
            "{}: there is no journal in it, and none of a process below it (tserver, connector-0, ...)",
            directory.display()
        ));
    }
    Ok(found)
}

/// The live records of every scope there is in the directory of a journal.
pub fn inspect(directory: &Path) -> Result<Vec<ScopeView>, String> {
    let scopes = scopes(directory)?;
    Ok(scopes.into_iter().map(|scope| view(directory, scope)).collect())
}

fn scopes(directory: &Path) -> Result<Vec<Scope>, String> {
    let named = |error: io::Error| format!("{}: {error}", directory.display());
    if !directory.is_dir() {
        return Err(format!("{}: there is no such directory", directory.display()));
    }
    let mut scopes: Vec<Scope> = segments(directory).map_err(named)?.into_iter().map(|id| id.scope).collect();
    // What is wrong with the database is told by each scope.
    if let Ok(Some(database)) = Database::open_to_read(&directory.join(database::FILE)) {
        let in_database = database.scopes().unwrap_or_default();
        scopes.extend(in_database.into_iter().filter_map(scope_of));
    }
    scopes.sort_unstable();
    scopes.dedup();
    Ok(scopes)
}

fn view(directory: &Path, scope: Scope) -> ScopeView {
    let path = directory.join(database::FILE);
    let live = live::read(directory, scope, |scope| match Database::open_to_read(&path)? {
        Some(database) => database.kept(scope),
        None => Ok(Kept::default()),
    });
    ScopeView {
        directory: directory.to_owned(),
        scope,
        problems: problems(directory, &live),
        records: live.records,
    }
}

fn problems(directory: &Path, live: &Live) -> Vec<String> {
    let of_database = live.database.iter().map(|fault| of_database(directory, fault));
    let rows = (live.damaged_rows > 0).then(|| {
        let path = directory.join(database::FILE);
        format!("{}: {} records are damaged", path.display(), live.damaged_rows)
    });
    let flaws = live.flaws.iter().filter_map(|flaw| of_flaw(directory, flaw));
    of_database.chain(rows).chain(flaws).collect()
}

fn of_database(directory: &Path, fault: &Fault) -> String {
    format!("{}: {fault}", directory.join(database::FILE).display())
}

/// A torn tail is what a kill leaves, and what a server leaves for a moment that is just writing.
fn of_flaw(directory: &Path, flaw: &Flaw) -> Option<String> {
    match flaw {
        Flaw::Torn(..) => None,
        Flaw::Damaged(path, why) => Some(format!("{}: {why}; the rest of it is used", path.display())),
        Flaw::Refused(id, why) => Some(format!("{}: {why}", directory.join(id.to_string()).display())),
        Flaw::System(path, error) => Some(format!("{}: {error}", path.display())),
    }
}

/// What a check of every file found.
#[derive(Default)]
pub struct Verdict {
    /// What was looked at, one line each.
    pub checked: Vec<String>,
    /// What deserves a word and is no damage.
    pub notes: Vec<String>,
    /// What is wrong, and where.
    pub wrong: Vec<String>,
}

/// Checks every frame of every segment, and the whole database.
pub fn verify(directory: &Path) -> Result<Verdict, String> {
    let named = |error: io::Error| format!("{}: {error}", directory.display());
    let mut verdict = Verdict::default();
    if !directory.is_dir() {
        return Err(format!("{}: there is no such directory", directory.display()));
    }
    for id in segments(directory).map_err(named)? {
        verify_segment(directory, id, &mut verdict);
    }
    let path = directory.join(database::FILE);
    match verify_database(&path, &mut verdict) {
        Ok(()) => {}
        Err(fault) => verdict.wrong.push(of_database(directory, &fault)),
    }
    for entry in std::fs::read_dir(directory).map_err(named)?.flatten() {
        if is_aside(&entry.file_name().to_string_lossy()) {
            verdict.notes.push(format!(
                "{}: kept aside when it was found damaged or foreign",
                entry.path().display()
            ));
        }
    }
    Ok(verdict)
}

fn verify_segment(directory: &Path, id: SegmentId, verdict: &mut Verdict) {
    let path = directory.join(id.to_string());
    let shown = path.display();
    let bytes = match segment::load(&path) {
        Ok(Some(bytes)) => bytes,
        // A server at work has just folded it.
        Ok(None) => return,
        Err(error) => return verdict.wrong.push(format!("{shown}: {error}")),
    };
    let mut frames = 0_usize;
    match segment::read(id, &bytes, |_, _| frames += 1) {
        Err(why) => verdict.wrong.push(format!("{shown}: {why}")),
        Ok(flaws) => {
            verdict
                .checked
                .push(format!("{shown}: {frames} operations, {} bytes", bytes.len()));
            for (offset, length) in &flaws.damaged {
                verdict
                    .wrong
                    .push(format!("{shown}: {length} bytes at offset {offset} are damaged"));
            }
            if let Some((offset, length)) = flaws.torn {
                verdict.notes.push(format!(
                    "{shown}: it ends in the middle of an operation ({length} bytes at offset {offset}), as after a kill"
                ));
            }
        }
    }
}

fn verify_database(path: &Path, verdict: &mut Verdict) -> Result<(), Fault> {
    let Some(database) = Database::open_to_read(path)? else {
        verdict.notes.push(format!("{}: there is none yet", path.display()));
        return Ok(());
    };
    let wrong = database.integrity()?;
    verdict
        .wrong
        .extend(wrong.into_iter().map(|line| format!("{}: {line}", path.display())));
    let mut records = 0;
    for scope in database.scopes()? {
        let kept = database.kept(scope)?;
        records += kept.rows.len();
        let name = scope_of(scope).map_or_else(|| format!("scope {scope}"), |scope| scope.to_string());
        if kept.damaged > 0 {
            verdict.wrong.push(format!(
                "{}: {} records of {name} are not what was written",
                path.display(),
                kept.damaged
            ));
        }
    }
    verdict
        .checked
        .push(format!("{}: {records} records, format version {VERSION}", path.display()));
    Ok(())
}

/// The files of a journal: how many segments, how many bytes in all.
pub fn extent(directory: &Path) -> io::Result<(u64, u64)> {
    super::directory::extent(directory).map(|extent| (extent.segments, extent.bytes))
}

/// The directory of a journal that the configuration names.
pub fn directory_of(journal: &tandem_config::Journal) -> Result<PathBuf, String> {
    journal
        .directory()
        .map(Path::to_owned)
        .ok_or_else(|| "journal.enabled is false: there is no journal".to_owned())
}
