//! What stays: people, rooms and their messages, in one SQLite file.
//!
//! ```text
//!  relay ──push──> StoreThread ──run──> Store ──one transaction, one fsync──> relay.db
//!    ^                  │
//!    └───── replies ────┘
//! ```
//!
//! [`Store::run`] does many jobs in one transaction: a disk takes about as long for one as for a hundred. What was
//! answered is durable, what was refused has changed nothing, and neither the file nor the words of a person can make
//! it panic.
//!
//! - [`job`]: what can be asked, and the answers.
//! - [`thread`]: a thread that owns a store, so that nobody waits for a disk.
//!
//! The file is in WAL mode with `synchronous = FULL`: a commit is on the disk when it returns. [`Store::backup`] and
//! other readers may look at the file meanwhile; a second relay may not ([`StoreError::InUse`]).

mod batch;
mod files;
pub mod job;
mod messages;
mod people;
mod rooms;
mod schema;
mod search;
pub mod thread;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::{fmt, io};

use rusqlite::Connection;

use job::{Answer, Inventory, Job};

/// The prepared statements of all jobs fit.
const STATEMENTS_MAX: usize = 96;

/// What a file may grow to.
#[derive(Clone, Copy, Debug, Default)]
pub struct StoreLimits {
    /// The size of `relay.db`, in bytes; `None` for what the disk has. The log of the newest commits (`relay.db-wal`)
    /// comes on top: some ten megabytes.
    pub data_bytes_max: Option<u64>,
}

/// A store: one connection to one file.
#[derive(Debug)]
pub struct Store {
    db: Connection,
    /// The pages that the file may have; `None` for as many as SQLite can count.
    pages_max: Option<u32>,
    /// Held until the connection is closed: fields are dropped in their order.
    _lock: Option<File>,
}

/// A job, and what its caller wants back with the answer.
#[derive(Clone, Debug)]
pub struct Request<C> {
    /// Comes back as it is.
    pub context: C,
    /// What is to be done.
    pub job: Job,
}

/// The answer to a [`Request`].
#[derive(Clone, Debug, PartialEq)]
pub struct Reply<C> {
    /// The request's.
    pub context: C,
    /// What came of its job.
    pub answer: Answer,
}

impl Store {
    /// Opens `dir/relay.db`, and makes the folder, the file and its tables where they are missing. What is made is its
    /// owner's alone.
    ///
    /// # Errors
    ///
    /// [`StoreError`]: each says in words what is in the way.
    pub fn open(dir: &Path, limits: &StoreLimits) -> Result<Self, StoreError> {
        files::make_folder(dir)?;
        let lock = files::lock(dir)?;
        files::make_data(dir)?;
        let mut db = Connection::open(files::data(dir))?;
        schema::migrate(&mut db)?;
        set_up(&db)?;
        let page_bytes: u64 = db.pragma_query_value(None, "page_size", |row| row.get(0))?;
        let pages_max = limits.data_bytes_max.map(|bytes| {
            let pages = bytes.checked_div(page_bytes).unwrap_or(bytes);
            u32::try_from(pages).unwrap_or(u32::MAX).max(1)
        });
        let store = Self { db, pages_max, _lock: Some(lock) };
        store.allow_pages(0)?;
        Ok(store)
    }

    /// Whether a store is at work on `dir`, in this process or another.
    pub fn is_in_use(dir: &Path) -> bool {
        files::is_locked(dir)
    }

    /// A store that is gone when it is dropped.
    ///
    /// # Errors
    ///
    /// None that a caller can cause.
    pub fn in_memory() -> Result<Self, StoreError> {
        let mut db = Connection::open_in_memory()?;
        schema::migrate(&mut db)?;
        set_up(&db)?;
        Ok(Self { db, pages_max: None, _lock: None })
    }

    /// All people and rooms, at one moment. Three queries, however many there are.
    ///
    /// # Errors
    ///
    /// [`StoreError::Sqlite`] where the file cannot be read.
    pub fn inventory(&mut self) -> Result<Inventory, StoreError> {
        let snapshot = self.db.transaction()?;
        Ok(Inventory { people: people::all(&snapshot)?, rooms: rooms::all(&snapshot)? })
    }

    /// Does jobs in their order, all in one transaction, and answers each of them, in the same order.
    ///
    /// A job that is refused changes nothing and leaves the others alone. Where the disk does not take the transaction,
    /// no job has changed anything: those that write are answered with `Refused`, and those that read with what was
    /// there before. Where there is no space, jobs that make space are tried once more, by themselves.
    pub fn run<C>(&mut self, requests: Vec<Request<C>>) -> Vec<Reply<C>> {
        let jobs: Vec<&Job> = requests.iter().map(|request| &request.job).collect();
        let answers = batch::run(self, &jobs);
        requests
            .into_iter()
            .zip(answers)
            .map(|(request, answer)| Reply { context: request.context, answer })
            .collect()
    }

    /// How many messages were stored and [`index`](Self::index) was not called for.
    pub fn unindexed(&self) -> u64 {
        search::waiting(&self.db).unwrap_or(0)
    }

    /// Makes the next messages known to search, up to 2,000 of them; false where the disk does not let it.
    pub fn index(&mut self) -> bool {
        batch::index(self).is_ok()
    }

    /// Copies `dir/relay.db` to the file `to`, which must not exist, as it is at one moment. Another process may be at
    /// work on `dir`. The copy has no free pages, and is durable and whole when this returns; it takes its owner alone
    /// to read it.
    ///
    /// In the copy every room has another epoch: who goes on with it tells clients to begin anew, instead of giving
    /// numbers again that they know.
    ///
    /// Under way it is `to` with `.part` at its end.
    ///
    /// # Errors
    ///
    /// [`StoreError::Exists`] where `to` or its `.part` is there; others where a file cannot be read or written.
    pub fn backup(dir: &Path, to: &Path) -> Result<(), StoreError> {
        files::backup(dir, to)
    }

    /// Lets the file have `reserve` pages more than its limit. It never gets smaller than it is.
    fn allow_pages(&self, reserve: u32) -> rusqlite::Result<()> {
        let Some(pages_max) = self.pages_max else {
            return Ok(());
        };
        let pages = pages_max.saturating_add(reserve);
        self.db.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))
    }
}

/// The settings that a connection has, not its file.
fn set_up(db: &Connection) -> rusqlite::Result<()> {
    db.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    // A long log before it is copied into the file: pages that many commits change are then copied once.
    db.execute_batch(
        "PRAGMA journal_mode = WAL;
         PRAGMA synchronous = FULL;
         PRAGMA foreign_keys = ON;
         PRAGMA temp_store = MEMORY;
         PRAGMA cache_size = -16384;
         PRAGMA wal_autocheckpoint = 4000;",
    )
}

/// What came of one job, where SQLite had no error.
type Outcome = rusqlite::Result<Answer>;

/// The number of the row that was just inserted.
fn last_number(db: &Connection) -> rusqlite::Result<u32> {
    let number = db.last_insert_rowid();
    u32::try_from(number).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(0, number))
}

/// A number for SQLite, whose integers have a sign. No time and no count of ours gets that large.
fn int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Why a store cannot be opened or copied.
#[derive(Debug)]
#[non_exhaustive]
pub enum StoreError {
    /// Another relay is at work on the folder.
    InUse {
        /// The file that the other one has locked.
        path: PathBuf,
    },
    /// The file is from a newer relay.
    Newer {
        /// Its version.
        found: i64,
        /// The newest version that is known here.
        known: i64,
    },
    /// The file is a database, but not a relay's.
    Foreign,
    /// Nothing is overwritten.
    Exists {
        /// The file that is there.
        path: PathBuf,
    },
    /// A file cannot be made, read or written.
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The database cannot be read or written.
    Sqlite(rusqlite::Error),
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InUse { path } => {
                write!(f, "another relay is at work on this folder: it holds {}", path.display())
            }
            Self::Newer { found, known } => write!(
                f,
                "the data are of version {found}, from a newer relay; this one knows version {known}"
            ),
            Self::Foreign => f.write_str("the file is the database of another program"),
            Self::Exists { path } => write!(f, "{} exists, and is not overwritten", path.display()),
            Self::Io { path, error } => write!(f, "{}: {error}", path.display()),
            Self::Sqlite(error) => write!(f, "the database: {error}"),
        }
    }
}

impl std::error::Error for StoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { error, .. } => Some(error),
            Self::Sqlite(error) => Some(error),
            Self::InUse { .. } | Self::Newer { .. } | Self::Foreign | Self::Exists { .. } => None,
        }
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}
