//! The records that are live: what the database has, and over that what the segments say that are not in it yet.
//!
//! Segments are read first and the database after them: a segment that is folded meanwhile is in the database then, which says so by
//! its number. So this is right beside a keeper at work, in this process or another.

use std::path::{Path, PathBuf};

use tandem_actors::journal::Scope;

use super::changes::Changes;
use super::database::{Fault, Kept, Rows};
use super::directory::segments;
use super::segment::{self, Flaws, Refused, SegmentId, scope_number};

/// What was found of a scope.
#[derive(Default, Debug)]
pub struct Live {
    /// The live records by kind and id.
    pub records: Rows,
    /// The highest number of a segment that there is or was.
    pub last: u64,
    /// What is wrong with segments, and whether they are of any use.
    pub flaws: Vec<Flaw>,
    /// Records of the database whose value is damaged.
    pub damaged_rows: usize,
    /// Why the database could not be read.
    pub database: Option<Fault>,
}

/// What is wrong with a segment.
#[derive(Debug)]
pub enum Flaw {
    /// It ends in the middle of a record, as it does after a kill or a loss of power: what was not whole was not committed.
    Torn(PathBuf, usize),
    /// Part of it cannot be read.
    Damaged(PathBuf, Refused),
    /// It is of no use.
    Refused(SegmentId, Refused),
    /// The system does not let us read it.
    System(PathBuf, std::io::Error),
}

/// Reads the live records of a scope. `kept` reads the database.
pub fn read(directory: &Path, scope: Scope, kept: impl FnOnce(u32) -> Result<Kept, Fault>) -> Live {
    let mut live = Live::default();
    let listed = match segments(directory) {
        Ok(listed) => listed,
        Err(error) => {
            live.flaws.push(Flaw::System(directory.to_owned(), error));
            Vec::new()
        }
    };
    let mut loaded: Vec<(SegmentId, Vec<u8>)> = Vec::new();
    for id in listed.into_iter().filter(|id| id.scope == scope) {
        live.last = live.last.max(id.number);
        let path = directory.join(id.to_string());
        match segment::load(&path) {
            Ok(bytes) => loaded.extend(bytes.map(|bytes| (id, bytes))),
            Err(error) => live.flaws.push(Flaw::System(path, error)),
        }
    }
    let kept = kept(scope_number(scope)).unwrap_or_else(|fault| {
        live.database = Some(fault);
        Kept::default()
    });
    live.last = live.last.max(kept.folded);
    live.damaged_rows = kept.damaged;
    live.records = kept.rows;
    let unfolded = loaded.iter().filter(|(id, _)| id.number > kept.folded);
    let (changes, flaws) = changes_of(directory, unfolded.map(|(id, bytes)| (*id, bytes.as_slice())));
    live.flaws.extend(flaws);
    changes.carry_out(&mut live.records);
    live
}

/// What segments change, in their order.
pub fn changes_of<'a>(directory: &Path, segments: impl Iterator<Item = (SegmentId, &'a [u8])>) -> (Changes<'a>, Vec<Flaw>) {
    let mut changes = Changes::default();
    let mut found = Vec::new();
    for (id, bytes) in segments {
        let path = directory.join(id.to_string());
        match segment::read(id, bytes, |_, frame| changes.apply(frame)) {
            Ok(flaws) => found.extend(told(path, &flaws)),
            Err(why) => found.push(Flaw::Refused(id, why)),
        }
    }
    (changes, found)
}

fn told(path: PathBuf, flaws: &Flaws) -> Vec<Flaw> {
    let torn = flaws.torn.map(|(_, length)| Flaw::Torn(path.clone(), length));
    let damaged = flaws.damage().map(|why| Flaw::Damaged(path, why));
    torn.into_iter().chain(damaged).collect()
}
