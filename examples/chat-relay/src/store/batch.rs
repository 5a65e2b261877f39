//! Many jobs in one transaction, and what is done where it fails.
//!
//! Nothing is kept of a transaction that failed, so it can be done again another way:
//!
//! ```text
//!             an error of one job            no space
//!   Together ────────────────────> Apart ─────────────────> Freeing
//!       │                            │                          │
//!       └──── the disk, or no space ─┴──────> Reading <── error ┘
//! ```

use rusqlite::{Connection, ErrorCode};

use super::job::{Answer, Job, Refused};
use super::messages::{self, Draft, Retention, Span};
use super::people::{self, NewPerson, NewToken};
use super::rooms::{self, NewRoom};
use super::search::{self, Question};
use super::{Outcome, Store};

/// How many messages are indexed in one transaction.
const INDEXED_AT_ONCE: u64 = 2_000;

/// How many pages jobs that make space may take over the limit: an index grows before it shrinks.
const RESERVE_PAGES: u32 = 1024;

/// How the jobs of a batch are done.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Way {
    /// All of them, one behind the other. A job that SQLite has an error for ends it.
    Together,
    /// All of them, each with a savepoint, so that it can fail alone.
    Apart,
    /// Those that read and those that make space. The others are refused.
    Freeing(Refused),
    /// Those that read. The others are refused.
    Reading(Refused),
}

/// What a job does to the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Reads,
    /// Reads, and writes something that can as well be left for later.
    Notes,
    /// Writes, and needs next to no space that it does not give back.
    Frees,
    Writes,
}

/// One answer for each job.
pub(super) fn run(store: &Store, jobs: &[&Job]) -> Vec<Answer> {
    let mut way = Way::Together;
    loop {
        let error = match attempt(store, jobs, &way) {
            Ok(answers) => return answers,
            Err(error) => error,
        };
        way = match next(&way, &error, jobs) {
            Some(next) => next,
            None => return jobs.iter().map(|_| Answer::Refused(refusal(&error))).collect(),
        };
    }
}

/// Indexes the next messages for search, if there is anything to index. Where there is no space, it may take some over
/// the limit: it is small beside the messages.
pub(super) fn index(store: &Store) -> rusqlite::Result<()> {
    store.allow_pages(RESERVE_PAGES)?;
    let result = index_in_transaction(&store.db);
    if result.is_err() && !store.db.is_autocommit() {
        let _ = store.db.execute_batch("ROLLBACK");
    }
    let _ = store.allow_pages(0);
    result
}

fn index_in_transaction(db: &Connection) -> rusqlite::Result<()> {
    db.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
    search::index(db, INDEXED_AT_ONCE)?;
    db.prepare_cached("COMMIT")?.execute([]).map(drop)
}

/// The way to try after `error`. It comes to an end: no way is tried twice.
fn next(way: &Way, error: &rusqlite::Error, jobs: &[&Job]) -> Option<Way> {
    let refused = refusal(error);
    match way {
        Way::Together if !is_of_the_file(error) => Some(Way::Apart),
        Way::Together | Way::Apart => {
            let frees = jobs.iter().any(|job| kind(job) == Kind::Frees);
            let full = refused == Refused::Full;
            Some(if frees && full { Way::Freeing(refused) } else { Way::Reading(refused) })
        }
        Way::Freeing(_) => Some(Way::Reading(refused)),
        Way::Reading(_) => None,
    }
}

/// One transaction. After an error there is none any more.
fn attempt(store: &Store, jobs: &[&Job], way: &Way) -> rusqlite::Result<Vec<Answer>> {
    let freeing = matches!(way, Way::Freeing(_));
    if freeing {
        store.allow_pages(RESERVE_PAGES)?;
    }
    let result = transaction(&store.db, jobs, way);
    if result.is_err() && !store.db.is_autocommit() {
        // If this fails too, so does the next BEGIN, and its error is the answer.
        let _ = store.db.execute_batch("ROLLBACK");
    }
    if freeing {
        // It was done above with a larger number.
        let _ = store.allow_pages(0);
    }
    result
}

fn transaction(db: &Connection, jobs: &[&Job], way: &Way) -> rusqlite::Result<Vec<Answer>> {
    let writes = !matches!(way, Way::Reading(_)) && jobs.iter().any(|job| kind(job) != Kind::Reads);
    db.prepare_cached(if writes { "BEGIN IMMEDIATE" } else { "BEGIN" })?.execute([])?;
    let mut answers = Vec::with_capacity(jobs.len());
    for job in jobs {
        answers.push(match way {
            Way::Together => answer(db, job, None)?,
            Way::Apart => apart(db, job)?,
            Way::Freeing(refused) => match kind(job) {
                Kind::Reads | Kind::Notes | Kind::Frees => answer(db, job, Some(refused))?,
                Kind::Writes => Answer::Refused(refused.clone()),
            },
            Way::Reading(refused) => match kind(job) {
                Kind::Reads | Kind::Notes => answer(db, job, Some(refused))
                    .unwrap_or_else(|error| Answer::Refused(refusal(&error))),
                Kind::Frees | Kind::Writes => Answer::Refused(refused.clone()),
            },
        });
    }
    db.prepare_cached("COMMIT")?.execute([])?;
    Ok(answers)
}

/// A job that fails alone leaves nothing behind, and an answer.
fn apart(db: &Connection, job: &Job) -> Outcome {
    db.prepare_cached("SAVEPOINT job")?.execute([])?;
    let outcome = answer(db, job, None);
    if let Err(error) = &outcome {
        if is_of_the_file(error) || db.is_autocommit() {
            return outcome;
        }
        db.prepare_cached("ROLLBACK TO job")?.execute([])?;
    }
    db.prepare_cached("RELEASE job")?.execute([])?;
    Ok(outcome.unwrap_or_else(|error| Answer::Refused(refusal(&error))))
}

/// Whether an error says something about the file or the disk, not about the one job that met it.
fn is_of_the_file(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(
            ErrorCode::CannotOpen
                | ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseCorrupt
                | ErrorCode::DatabaseLocked
                | ErrorCode::DiskFull
                | ErrorCode::NotADatabase
                | ErrorCode::OutOfMemory
                | ErrorCode::ReadOnly
                | ErrorCode::SystemIoFailure
        )
    )
}

fn refusal(error: &rusqlite::Error) -> Refused {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => Refused::Full,
        _ => Refused::Failed(error.to_string()),
    }
}

fn kind(job: &Job) -> Kind {
    match job {
        Job::PasswordHash { .. } | Job::Find { .. } | Job::People { .. } | Job::Read { .. } => {
            Kind::Reads
        }
        Job::Resume { .. } | Job::Search { .. } | Job::Vouched { .. } => Kind::Notes,
        Job::SignOut { .. }
        | Job::Block { .. }
        | Job::ForgetPerson { .. }
        | Job::SetRole { role: None, .. }
        | Job::ForgetRoom { .. }
        | Job::Retain { .. } => Kind::Frees,
        Job::Register { .. }
        | Job::SignIn { .. }
        | Job::Seen { .. }
        | Job::Invite { .. }
        | Job::MakeRoom { .. }
        | Job::SetRole { role: Some(_), .. }
        | Job::Send { .. }
        | Job::Mark { .. } => Kind::Writes,
    }
}

/// Does one job. Where there is a reason why nothing can be stored, those of [`Kind::Notes`] write nothing.
fn answer(db: &Connection, job: &Job, refused: Option<&Refused>) -> Outcome {
    let notes = refused.is_none();
    match job {
        Job::Resume { token, now_ms } => people::resume(db, token, *now_ms, notes),
        Job::Register { key, shown, token, device, password_hash, invitation, now_ms } => {
            let (password_hash, now_ms) = (password_hash.as_deref(), *now_ms);
            let new = NewPerson { key, shown, password_hash, now_ms };
            people::register(db, new, NewToken { token, device, now_ms }, invitation.as_deref())
        }
        Job::PasswordHash { key } => people::password_hash(db, key),
        Job::SignIn { person, token, device, now_ms } => {
            people::sign_in(db, *person, NewToken { token, device, now_ms: *now_ms })
        }
        Job::Vouched { key, shown, now_ms } => {
            let new = NewPerson { key, shown, password_hash: None, now_ms: *now_ms };
            people::vouched(db, new, refused)
        }
        Job::Find { key } => people::find(db, key),
        Job::SignOut { person, token } => people::sign_out(db, *person, token.as_deref()),
        Job::Block { person, blocked } => people::block(db, *person, *blocked),
        Job::ForgetPerson { person } => people::forget(db, *person),
        Job::Seen { person, at_ms } => people::seen(db, *person, *at_ms),
        Job::Invite { code, uses, until_ms } => people::invite(db, code, *uses, *until_ms),
        Job::People { after, people_max } => people::people(db, after, *people_max),
        Job::MakeRoom { name, epoch, access, members, now_ms } => {
            let (access, now_ms) = (*access, *now_ms);
            rooms::make(db, NewRoom { name, epoch, access, members, now_ms })
        }
        Job::SetRole { room, person, role } => rooms::set_role(db, *room, *person, *role),
        Job::ForgetRoom { room } => rooms::forget(db, *room),
        Job::Mark { room, person, recv, read } => rooms::mark(db, *room, *person, *recv, *read),
        Job::Send { room, from, cid, body, now_ms } => {
            let (room, from, now_ms) = (*room, *from, *now_ms);
            messages::send(db, Draft { room, from, cid, body, now_ms })
        }
        &Job::Read { room, from, to, messages_max, bytes_max } => {
            messages::read(db, room, Span { from, to, messages_max, bytes_max })
        }
        Job::Search { rooms, words, before, messages_max, bytes_max } => {
            let (before, messages_max, bytes_max) = (*before, *messages_max, *bytes_max);
            let indexes = notes;
            search::search(db, Question { rooms, words, before, messages_max, bytes_max, indexes })
        }
        &Job::Retain { before_ms, messages_max, at_once } => {
            messages::retain(db, Retention { before_ms, messages_max, at_once })
        }
    }
}
