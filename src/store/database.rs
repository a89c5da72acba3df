//! The database: the records that outlived their segments, in one SQLite file in WAL mode.
//!
//! | table | what |
//! |---|---|
//! | `record` | scope, kind, id, value, and the CRC-32 of the value |
//! | `scope` | of each scope, the number of the last segment that is in here |
//!
//! The number of the last segment is written in the transaction that carries the segment's records, so that a segment is folded once,
//! whenever the process was killed. A file of something else, of a later version, or with damage is not touched: [`Fault::Refused`].

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior, params};

use super::changes::Changes;
use super::segment::{Refused, VERSION};

/// The file.
pub const FILE: &str = "journal.db";
/// What SQLite keeps beside it.
pub const BESIDE: [&str; 2] = ["journal.db-wal", "journal.db-shm"];

/// "TanJ": what tells our databases from others (`PRAGMA application_id`).
const APPLICATION: i32 = 0x5461_6e4a;
const SQLITE_MAGIC: &[u8; 16] = b"SQLite format 3\0";
/// A record of a call is 1 to 2 KB. Rows without a rowid are split from a quarter of the page on, which doubles what is written: pages
/// of 16 KB take up to 4 KB a row.
const PAGE_BYTES: u32 = 16_384;
/// Free pages that are kept for what comes next; the rest goes back to the file system.
const SPARE_PAGES: i64 = 512;
/// What one fold gives back at most, in pages.
const VACUUM_PAGES: i64 = 2_048;

const SCHEMA: &str = "
    CREATE TABLE record (
        scope INTEGER NOT NULL, kind INTEGER NOT NULL, id BLOB NOT NULL, value BLOB NOT NULL, crc INTEGER NOT NULL,
        PRIMARY KEY (scope, kind, id)
    ) WITHOUT ROWID;
    CREATE TABLE scope (scope INTEGER PRIMARY KEY, folded INTEGER NOT NULL);";
const PUT: &str = "INSERT INTO record (scope, kind, id, value, crc) VALUES (?1, ?2, ?3, ?4, ?5)
    ON CONFLICT (scope, kind, id) DO UPDATE SET value = excluded.value, crc = excluded.crc";

/// Why the database is of no use.
#[derive(Debug)]
pub enum Fault {
    /// It is to be kept aside.
    Refused(Refused),
    /// The system does not let us, for now.
    System(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(why) => why.fmt(f),
            Self::System(error) => f.write_str(error),
        }
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Refused(Refused::Corrupt(error.to_string())),
            _ => Self::System(error.to_string()),
        }
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::System(error.to_string())
    }
}

/// The records of a scope by kind and id.
pub type Rows = BTreeMap<(u8, Vec<u8>), Vec<u8>>;

/// What the database has of a scope.
#[derive(Default, Debug)]
pub struct Kept {
    /// The last segment that is in it.
    pub folded: u64,
    /// The records.
    pub rows: Rows,
    /// Records whose value is not what was written.
    pub damaged: usize,
}

/// An open database.
#[derive(Debug)]
pub struct Database {
    connection: Connection,
}

impl Database {
    /// Opens the database, and makes it where there is none. `durable`: a transaction is on the disk when it has been committed.
    pub fn open(path: &Path, durable: bool) -> Result<Self, Fault> {
        check_header(path)?;
        let connection = Connection::open(path)?;
        let kind = foreign_kind(&connection)?;
        let mut database = Self { connection };
        if matches!(kind, Kind::Empty) {
            // The start does not wait for the disk: what a loss of power could spoil now is empty.
            database.connection.pragma_update(None, "synchronous", "OFF")?;
            database.create()?;
        }
        let connection = &database.connection;
        connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get::<_, String>(0))?;
        connection.pragma_update(None, "synchronous", if durable { "FULL" } else { "NORMAL" })?;
        connection.pragma_update(None, "wal_autocheckpoint", 0)?;
        Ok(database)
    }

    /// Opens the database to look into it, beside a server that may be at work. There is none: `None`.
    pub fn open_to_read(path: &Path) -> Result<Option<Self>, Fault> {
        if !path.try_exists()? {
            return Ok(None);
        }
        check_header(path)?;
        let look = |connection: Connection| {
            foreign_kind(&connection).map(|kind| matches!(kind, Kind::Ours).then_some(Self { connection }))
        };
        match Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
            .map_err(Fault::from)
            .and_then(look)
        {
            // A file system that is read-only has no place for what the readers share. Then nobody writes either.
            Err(Fault::System(_)) => {
                let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
                look(Connection::open_with_flags(immutable_uri(path), flags)?)
            }
            opened => opened,
        }
    }

    fn create(&mut self) -> Result<(), Fault> {
        let connection = &mut self.connection;
        connection.pragma_update(None, "page_size", PAGE_BYTES)?;
        connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute_batch(SCHEMA)?;
        transaction.pragma_update(None, "application_id", APPLICATION)?;
        transaction.pragma_update(None, "user_version", VERSION)?;
        transaction.commit()?;
        Ok(())
    }

    /// What is kept of a scope.
    pub fn kept(&self, scope: u32) -> Result<Kept, Fault> {
        // One transaction: the rows are those of that number.
        let transaction = self.connection.unchecked_transaction()?;
        let mut kept = Kept {
            folded: folded(&transaction, scope)?,
            ..Kept::default()
        };
        let mut statement = transaction.prepare_cached("SELECT kind, id, value, crc FROM record WHERE scope = ?1")?;
        let mut rows = statement.query([scope])?;
        while let Some(row) = rows.next()? {
            let (kind, id, value, crc): (u8, Vec<u8>, Vec<u8>, u32) = (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
            if crc32fast::hash(&value) == crc {
                kept.rows.insert((kind, id), value);
            } else {
                kept.damaged += 1;
            }
        }
        Ok(kept)
    }

    /// The scopes there are records of, and those that were folded once.
    pub fn scopes(&self) -> Result<Vec<u32>, Fault> {
        let mut statement = self
            .connection
            .prepare("SELECT scope FROM scope UNION SELECT DISTINCT scope FROM record")?;
        let scopes = statement.query_map([], |row| row.get(0))?;
        Ok(scopes.collect::<Result<_, _>>()?)
    }

    /// The last segment of a scope that is in here.
    pub fn folded(&self, scope: u32) -> Result<u64, Fault> {
        folded(&self.connection, scope)
    }

    /// Takes the changes in, of the segments up to `through`.
    pub fn fold(&mut self, scope: u32, changes: &Changes<'_>, through: u64) -> Result<(), Fault> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        if changes.is_void() {
            transaction.execute("DELETE FROM record WHERE scope = ?1", [scope])?;
        }
        for (kind, floor) in changes.floors() {
            let below = "DELETE FROM record WHERE scope = ?1 AND kind = ?2 AND id < ?3";
            transaction.execute(below, params![scope, kind, floor])?;
        }
        {
            let mut put = transaction.prepare_cached(PUT)?;
            let mut remove = transaction.prepare_cached("DELETE FROM record WHERE scope = ?1 AND kind = ?2 AND id = ?3")?;
            for ((kind, id), value) in changes.entries() {
                match value {
                    Some(value) => put.execute(params![scope, kind, id, value, crc32fast::hash(value)])?,
                    None => remove.execute(params![scope, kind, id])?,
                };
            }
        }
        let through = i64::try_from(through).unwrap_or(i64::MAX);
        transaction.execute(
            "INSERT INTO scope (scope, folded) VALUES (?1, ?2) ON CONFLICT (scope) DO UPDATE SET folded = excluded.folded",
            params![scope, through],
        )?;
        transaction.commit()?;
        Ok(())
    }

    /// Gives free pages back, and brings the write-ahead log into the database. A reader that is just looking may put the latter off.
    pub fn tidy(&mut self) -> Result<(), Fault> {
        let free: i64 = self.connection.query_row("PRAGMA freelist_count", [], |row| row.get(0))?;
        if free > SPARE_PAGES {
            let pages = (free - SPARE_PAGES).min(VACUUM_PAGES);
            self.connection
                .execute_batch(&format!("PRAGMA incremental_vacuum({pages})"))?;
        }
        self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        Ok(())
    }

    /// What SQLite finds wrong; nothing: it is whole.
    pub fn integrity(&self) -> Result<Vec<String>, Fault> {
        let mut statement = self.connection.prepare("PRAGMA integrity_check")?;
        let lines = statement.query_map([], |row| row.get::<_, String>(0))?;
        let lines: Vec<String> = lines.collect::<Result<_, _>>()?;
        Ok(lines.into_iter().filter(|line| line != "ok").collect())
    }
}

fn folded(connection: &Connection, scope: u32) -> Result<u64, Fault> {
    let mut statement = connection.prepare_cached("SELECT folded FROM scope WHERE scope = ?1")?;
    let mut rows = statement.query([scope])?;
    let number: i64 = match rows.next()? {
        Some(row) => row.get(0)?,
        None => 0,
    };
    Ok(u64::try_from(number).unwrap_or(0))
}

enum Kind {
    /// Nothing is in it yet.
    Empty,
    Ours,
}

/// Tells ours from others before SQLite touches the file.
fn check_header(path: &Path) -> Result<(), Fault> {
    let mut start = Vec::new();
    match File::open(path) {
        Ok(file) => file.take(SQLITE_MAGIC.len() as u64).read_to_end(&mut start)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    if start.is_empty() || start == SQLITE_MAGIC {
        Ok(())
    } else {
        Err(Fault::Refused(Refused::Foreign))
    }
}

fn foreign_kind(connection: &Connection) -> Result<Kind, Fault> {
    let number = |pragma: &str| connection.query_row(&format!("PRAGMA {pragma}"), [], |row| row.get::<_, i64>(0));
    let (application, version) = (number("application_id")?, number("user_version")?);
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if application == 0 && tables == 0 {
        return Ok(Kind::Empty);
    }
    if application != i64::from(APPLICATION) {
        return Err(Fault::Refused(Refused::Foreign));
    }
    match u32::try_from(version).unwrap_or(u32::MAX) {
        newer if newer > u32::from(VERSION) => Err(Fault::Refused(Refused::Newer(newer))),
        _ => Ok(Kind::Ours),
    }
}

/// The file as one that nobody changes (SQLite, "URI filenames").
fn immutable_uri(path: &Path) -> String {
    let encoded: String = path
        .to_string_lossy()
        .bytes()
        .map(|byte| match byte {
            b'/' | b'.' | b'-' | b'_' | b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect();
    format!("file:{encoded}?immutable=1")
}

#[cfg(test)]
mod tests {
    use super::super::frame::{Frame, Op};
    use super::*;

    fn changes<'a>(frames: &[(Op, u8, &'a [u8], &'a [u8])]) -> Changes<'a> {
        let mut changes = Changes::default();
        for (op, kind, id, value) in frames {
            changes.apply(Frame {
                op: *op,
                kind: *kind,
                id,
                value,
            });
        }
        changes
    }

    fn values(database: &Database, scope: u32) -> Vec<Vec<u8>> {
        database.kept(scope).expect("rows").rows.into_values().collect()
    }

    #[test]
    fn what_was_folded_is_there_when_it_is_opened_again() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join(FILE);
        let mut database = Database::open(&path, true).expect("a new database");
        let first = [
            (Op::Put, 2, &b"a"[..], &b"1"[..]),
            (Op::Put, 2, b"b", b"2"),
            (Op::Put, 4, b"\x01", b"e"),
        ];
        database.fold(0, &changes(&first), 7).expect("folded");
        database.fold(3, &changes(&first[..1]), 9).expect("folded");
        let second = [
            (Op::Remove, 2, &b"a"[..], &b""[..]),
            (Op::Put, 2, b"b", b"3"),
            (Op::RemoveBelow, 4, b"\x02", b""),
        ];
        database.fold(0, &changes(&second), 8).expect("folded");
        database.tidy().expect("tidy");
        drop(database);
        let database = Database::open(&path, false).expect("the database");
        assert_eq!(values(&database, 0), [b"3".to_vec()]);
        assert_eq!(values(&database, 3), [b"1".to_vec()]);
        assert_eq!(
            (database.folded(0).ok(), database.folded(3).ok(), database.folded(4).ok()),
            (Some(8), Some(9), Some(0))
        );
        assert_eq!(database.scopes().ok(), Some(vec![0, 3]));
        assert_eq!(database.integrity().ok(), Some(Vec::new()));
    }

    #[test]
    fn void_is_void_of_one_scope() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut database = Database::open(&directory.path().join(FILE), false).expect("a new database");
        let put = changes(&[(Op::Put, 2, b"a", b"1")]);
        database.fold(0, &put, 1).expect("folded");
        database.fold(1, &put, 1).expect("folded");
        let again = changes(&[(Op::Mark, 0, b"", b""), (Op::Put, 2, b"b", b"2"), (Op::Void, 0, b"", b"")]);
        database.fold(0, &again, 2).expect("folded");
        assert_eq!(
            (values(&database, 0), values(&database, 1)),
            (vec![b"2".to_vec()], vec![b"1".to_vec()])
        );
    }

    #[test]
    fn what_is_none_of_ours_is_refused_and_not_touched() {
        let directory = tempfile::tempdir().expect("a directory");
        let refused = |name: &str| match Database::open(&directory.path().join(name), false) {
            Err(Fault::Refused(why)) => why,
            other => panic!("{other:?}"),
        };
        let text = directory.path().join("text");
        std::fs::write(&text, "a letter to my mother").expect("written");
        assert_eq!(refused("text"), Refused::Foreign);
        assert_eq!(std::fs::read(&text).expect("read"), b"a letter to my mother");
        let other = Connection::open(directory.path().join("other")).expect("a database");
        other.execute_batch("CREATE TABLE letters (text)").expect("a table");
        assert_eq!(refused("other"), Refused::Foreign);
        drop(Database::open(&directory.path().join("newer"), false).expect("a new database"));
        let newer = Connection::open(directory.path().join("newer")).expect("a database");
        newer.pragma_update(None, "user_version", VERSION + 1).expect("a version");
        assert_eq!(refused("newer"), Refused::Newer(u32::from(VERSION) + 1));
    }

    #[test]
    fn a_value_that_changed_by_itself_is_left_out() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut database = Database::open(&directory.path().join(FILE), false).expect("a new database");
        let put = changes(&[(Op::Put, 2, b"a", b"1"), (Op::Put, 2, b"b", b"2")]);
        database.fold(0, &put, 1).expect("folded");
        database
            .connection
            .execute("UPDATE record SET value = x'00' WHERE id = x'61'", [])
            .expect("changed");
        let kept = database.kept(0).expect("rows");
        assert_eq!((kept.rows.len(), kept.damaged), (1, 1));
    }
}
