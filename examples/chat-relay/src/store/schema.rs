//! The tables, and how a file of an older version gets them.
//!
//! `PRAGMA user_version` counts the migrations that a file has had. A migration is never changed once it was released:
//! a new one is added at the end.

use rusqlite::{Connection, TransactionBehavior};

use super::StoreError;

/// Says in the file's header that it is a relay's: "tltn".
const APPLICATION_ID: i64 = 0x746c_746e;

const MIGRATIONS: &[&str] = &[VERSION_1, VERSION_2];

/// - `rooms.first_ts` is the time of the oldest message that is kept, so that `Retain` asks no message of a room that
///   has
///   nothing to drop. It says nothing where `first > head`.
/// - `messages_cid` begins with the sender: it is also how a sender's messages are found when a person is to be
///   forgotten.
/// - `search` keeps no text, only what finds it; its row numbers are the messages' `number`. It is behind the messages:
///   those
///   up to `indexed.number` are in it.
const VERSION_1: &str = "
CREATE TABLE people (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    key TEXT NOT NULL UNIQUE,
    shown TEXT NOT NULL,
    password_hash TEXT,
    blocked INTEGER NOT NULL DEFAULT 0,
    last_seen_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE tokens (
    hash BLOB PRIMARY KEY,
    person INTEGER NOT NULL REFERENCES people (id),
    device TEXT NOT NULL,
    seen_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX tokens_person ON tokens (person, device);

CREATE TABLE invitations (
    hash BLOB PRIMARY KEY,
    uses INTEGER NOT NULL,
    until_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE rooms (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    epoch TEXT NOT NULL,
    access INTEGER NOT NULL,
    made_ms INTEGER NOT NULL,
    first INTEGER NOT NULL DEFAULT 1,
    head INTEGER NOT NULL DEFAULT 0,
    first_ts INTEGER NOT NULL DEFAULT 0,
    last_ts INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE members (
    room INTEGER NOT NULL REFERENCES rooms (id),
    person INTEGER NOT NULL REFERENCES people (id),
    role INTEGER NOT NULL,
    recv INTEGER NOT NULL,
    read INTEGER NOT NULL,
    PRIMARY KEY (room, person)
) STRICT, WITHOUT ROWID;
CREATE INDEX members_person ON members (person);

CREATE TABLE messages (
    number INTEGER PRIMARY KEY,
    room INTEGER NOT NULL REFERENCES rooms (id),
    seq INTEGER NOT NULL,
    sender INTEGER NOT NULL REFERENCES people (id),
    ts INTEGER NOT NULL,
    cid TEXT NOT NULL,
    body TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX messages_seq ON messages (room, seq);
CREATE UNIQUE INDEX messages_cid ON messages (sender, room, cid);

CREATE VIRTUAL TABLE search USING fts5 (
    text, content = '', contentless_delete = 1, tokenize = 'unicode61 remove_diacritics 2'
);
CREATE TABLE indexed (
    number INTEGER NOT NULL
) STRICT;
INSERT INTO indexed VALUES (0);
";

/// The index knows the room of each message.
const VERSION_2: &str = "
DROP TABLE search;
CREATE VIRTUAL TABLE search USING fts5 (
    text, room, content = '', contentless_delete = 1, tokenize = 'unicode61 remove_diacritics 2'
);
INSERT INTO search (rowid, text, room)
    SELECT number, body ->> '$.text', 'r' || room FROM messages
    WHERE CASE WHEN json_valid(body) THEN json_type(body, '$.text') = 'text' END;
UPDATE indexed SET number = coalesce((SELECT max(number) FROM messages), 0);
";

/// Brings a file to the newest version. An empty file gets all tables.
pub(super) fn migrate(db: &mut Connection) -> Result<(), StoreError> {
    let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    let found = check(db, known)?;
    if found == known {
        return Ok(());
    }
    let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let done = usize::try_from(found).unwrap_or(0);
    for migration in MIGRATIONS.iter().skip(done) {
        transaction.execute_batch(migration)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", known)?;
    transaction.commit()?;
    Ok(())
}

/// The version of a file, if it is one that can be worked with.
fn check(db: &Connection, known: i64) -> Result<i64, StoreError> {
    let pragma = |name: &str| db.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let found = pragma("user_version")?;
    let tables: i64 = db.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    let empty = found == 0 && tables == 0;
    if !empty && (found <= 0 || pragma("application_id")? != APPLICATION_ID) {
        return Err(StoreError::Foreign);
    }
    if found > known {
        return Err(StoreError::Newer { found, known });
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_file_gets_all_tables_once() {
        let mut db = Connection::open_in_memory().unwrap();
        migrate(&mut db).unwrap();
        migrate(&mut db).unwrap();
        let newest = MIGRATIONS.len() as i64;
        assert_eq!(check(&db, newest).unwrap(), newest);
    }

    #[test]
    fn a_file_of_version_1_keeps_its_messages_and_is_searched_by_room() {
        let mut db = Connection::open_in_memory().unwrap();
        db.execute_batch(VERSION_1).unwrap();
        db.pragma_update(None, "application_id", APPLICATION_ID).unwrap();
        db.pragma_update(None, "user_version", 1).unwrap();
        db.execute_batch(
            r#"INSERT INTO people (key, shown, last_seen_ms) VALUES ('a', 'a', 0);
            INSERT INTO rooms (name, epoch, access, made_ms) VALUES ('x', 'e', 0, 0), ('y', 'f', 1, 0);
            INSERT INTO messages (room, seq, sender, ts, cid, body) VALUES
                (1, 1, 1, 0, 'k', '{"text":"tea"}'), (2, 1, 1, 0, 'k', '{"text":"tea"}'),
                (1, 2, 1, 0, 'l', '{}'), (1, 3, 1, 0, 'm', '{"text":"late tea"}');
            INSERT INTO search (rowid, text) VALUES (1, 'tea'), (2, 'tea');
            UPDATE indexed SET number = 3;"#,
        )
        .unwrap();
        migrate(&mut db).unwrap();
        let found = |query: &str| {
            let sql = "SELECT rowid FROM search WHERE search MATCH ?1 ORDER BY rowid";
            let mut statement = db.prepare(sql).unwrap();
            let rows = statement.query_map([query], |row| row.get::<_, i64>(0)).unwrap();
            rows.collect::<Result<Vec<_>, _>>().unwrap()
        };
        assert_eq!(found("text : (tea) AND room : (r1)"), [1, 4]);
        assert_eq!(found("text : (tea) AND room : (r2)"), [2]);
        assert_eq!(super::super::search::waiting(&db).unwrap(), 0);
    }

    #[test]
    fn a_file_of_a_newer_version_is_refused_and_not_touched() {
        let mut db = Connection::open_in_memory().unwrap();
        migrate(&mut db).unwrap();
        db.pragma_update(None, "user_version", 7).unwrap();
        let error = migrate(&mut db).unwrap_err();
        assert!(matches!(error, StoreError::Newer { found: 7, known: 2 }), "{error:?}");
        assert!(error.to_string().contains("newer"), "{error}");
        assert_eq!(check(&db, 7).unwrap(), 7);
    }

    #[test]
    fn the_file_of_another_program_is_refused() {
        for (tables, version) in [("CREATE TABLE t (x)", 0), ("CREATE TABLE t (x)", 1), ("", 1)] {
            let mut db = Connection::open_in_memory().unwrap();
            db.execute_batch(tables).unwrap();
            db.pragma_update(None, "user_version", version).unwrap();
            assert!(matches!(migrate(&mut db), Err(StoreError::Foreign)), "{tables} {version}");
        }
    }
}
