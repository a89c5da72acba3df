//! Segment files: their names, their header, and what can be read of them.
//!
//! ```text
//!   <scope>-<number>.seg     header of 32 bytes, then frames; a scope's segments are in the order of their numbers
//!
//!   magic    8 bytes  "TANDEMJ\n"
//!   version  u16      1
//!   scope    u32      0: T-Server, n + 1: connector n
//!   number   u64      as in the name
//!   zeros    6 bytes
//!   crc      u32      CRC-32 of the 28 bytes before
//! ```
//!
//! A segment is written by one thread and never changed but at its end. Reading it tells three kinds of damage apart: a tail that was
//! torn (the process was killed or the power failed while it was written: everything before it counts), damage in the middle (what can
//! be read on both sides of it counts), and a file that is none of ours.

use std::fmt;
use std::io;
use std::path::Path;

use tandem_actors::journal::Scope;

use super::frame::{self, Frame};

/// The version of the format.
pub const VERSION: u16 = 1;
/// The length of the header.
pub const HEADER: usize = 32;
const MAGIC: [u8; 8] = *b"TANDEMJ\n";
const ENDING: &str = ".seg";

/// Which segment.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct SegmentId {
    /// Whose.
    pub scope: Scope,
    /// Its number.
    pub number: u64,
}

impl fmt::Display for SegmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:016}{ENDING}", self.scope, self.number)
    }
}

/// The number of a scope in the files.
pub fn scope_number(scope: Scope) -> u32 {
    match scope {
        Scope::TServer => 0,
        Scope::Connector(index) => u32::from(index) + 1,
    }
}

/// The scope of that number.
pub fn scope_of(number: u32) -> Option<Scope> {
    match number {
        0 => Some(Scope::TServer),
        n => u16::try_from(n - 1).ok().map(Scope::Connector),
    }
}

/// The scope of that name (`tserver`, `connector-3`).
pub fn scope_named(name: &str) -> Option<Scope> {
    match name.strip_prefix("connector-") {
        Some(index) => index.parse().ok().map(Scope::Connector),
        None => (name == "tserver").then_some(Scope::TServer),
    }
}

impl SegmentId {
    /// From the name of a file; `None` where it is not the name of a segment.
    pub fn from_file_name(name: &str) -> Option<Self> {
        let (scope, number) = name.strip_suffix(ENDING)?.rsplit_once('-')?;
        let id = Self {
            scope: scope_named(scope)?,
            number: number.parse().ok()?,
        };
        (id.to_string() == name).then_some(id)
    }

    /// The header of its file.
    pub fn header(&self) -> [u8; HEADER] {
        let mut header = [0; HEADER];
        let (before, crc) = header.split_at_mut(HEADER - 4);
        let fields = MAGIC
            .into_iter()
            .chain(VERSION.to_be_bytes())
            .chain(scope_number(self.scope).to_be_bytes())
            .chain(self.number.to_be_bytes());
        for (place, byte) in before.iter_mut().zip(fields) {
            *place = byte;
        }
        crc.copy_from_slice(&crc32fast::hash(before).to_be_bytes());
        header
    }
}

/// Why a file is not used.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Refused {
    /// It was written by something else.
    Foreign,
    /// It was written by a later version of the format.
    Newer(u32),
    /// It is damaged, this way.
    Corrupt(String),
}

impl Refused {
    /// What is put behind the name of a file that is kept aside.
    pub fn suffix(&self) -> &'static str {
        match self {
            Self::Foreign => "foreign",
            Self::Newer(_) => "newer",
            Self::Corrupt(_) => "corrupt",
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Foreign => f.write_str("it is not a file of Tandem's journal"),
            Self::Newer(version) => write!(f, "it has format version {version}, and this version knows up to {VERSION}"),
            Self::Corrupt(how) => write!(f, "it is damaged: {how}"),
        }
    }
}

/// What is wrong inside a segment that is used all the same.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Flaws {
    /// Where the torn tail begins, and how long it is.
    pub torn: Option<(usize, usize)>,
    /// Damage before the end: where it begins, and how long it is.
    pub damaged: Vec<(usize, usize)>,
}

impl Flaws {
    /// The damage in words; `None` where there is none but a torn tail.
    pub fn damage(&self) -> Option<Refused> {
        let (offset, length) = self.damaged.first()?;
        let more = match self.damaged.len() {
            1 => String::new(),
            n => format!(", and in {} more places", n - 1),
        };
        Some(Refused::Corrupt(format!("{length} bytes at offset {offset}{more}")))
    }
}

/// The bytes of a segment file; a file that is gone has been folded meanwhile: `None`.
pub fn load(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Reads a segment: every sound frame in order, with its offset.
pub fn read<'a>(id: SegmentId, bytes: &'a [u8], mut take: impl FnMut(usize, Frame<'a>)) -> Result<Flaws, Refused> {
    let mut flaws = Flaws::default();
    let Some((header, _)) = bytes.split_first_chunk::<HEADER>() else {
        // Killed while the file was made: it is empty, or has the beginning of its header, or after a loss of power zeros.
        let begun = id.header().starts_with(bytes) || bytes.iter().all(|byte| *byte == 0);
        if !begun {
            return Err(Refused::Foreign);
        }
        flaws.torn = (!bytes.is_empty()).then_some((0, bytes.len()));
        return Ok(flaws);
    };
    check_header(id, header, bytes, &mut flaws)?;
    let mut at = HEADER;
    while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
        if let Some(found) = frame::read(rest) {
            take(at, found);
            at += found.len();
            continue;
        }
        match next_sound(rest) {
            Some(skipped) => {
                flaws.damaged.push((at, skipped));
                at += skipped;
            }
            None => {
                flaws.torn = Some((at, rest.len()));
                break;
            }
        }
    }
    Ok(flaws)
}

/// How far the next sound frame is. The bytes are a segment's at most, and the sum is built only where the lengths fit.
fn next_sound(bytes: &[u8]) -> Option<usize> {
    (1..bytes.len()).find(|at| bytes.get(*at..).and_then(frame::read).is_some())
}

fn check_header(id: SegmentId, header: &[u8; HEADER], bytes: &[u8], flaws: &mut Flaws) -> Result<(), Refused> {
    if *header == id.header() {
        return Ok(());
    }
    let magic = header.starts_with(&MAGIC);
    let version = header.get(8..10).map_or(0, |v| u16::from_be_bytes([v[0], v[1]]));
    let sound = header
        .split_last_chunk::<4>()
        .is_some_and(|(before, crc)| crc32fast::hash(before).to_be_bytes() == *crc);
    if magic && version > VERSION {
        return Err(Refused::Newer(version.into()));
    }
    if sound && magic {
        return Err(Refused::Corrupt("its name is that of another segment".to_owned()));
    }
    // Sound frames show that it is ours, header or not; zeros are what a loss of power leaves of a file that was just made.
    let rest = bytes.get(HEADER..).unwrap_or_default();
    let empty = header.iter().all(|byte| *byte == 0);
    if magic || frame::read(rest).is_some() {
        flaws.damaged.push((0, HEADER));
        Ok(())
    } else if empty {
        Ok(())
    } else {
        Err(Refused::Foreign)
    }
}
