//! The rooms' logs: messages come in at the head, are read, and go at the other end.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::job::{Answer, Message, PersonId, Refused, RoomId};
use super::{Outcome, int};

/// A message to append.
#[derive(Clone, Copy, Debug)]
pub(super) struct Draft<'a> {
    pub(super) room: RoomId,
    pub(super) from: PersonId,
    pub(super) cid: &'a str,
    pub(super) body: &'a str,
    pub(super) now_ms: u64,
}

/// Where a room's log is.
#[derive(Clone, Copy, Debug)]
struct Log {
    first: u64,
    head: u64,
    first_ts: u64,
    last_ts: u64,
}

/// The hot path: two questions, two small writes. What finds it follows later: [`search::index`](super::search::index).
pub(super) fn send(db: &Connection, draft: Draft<'_>) -> Outcome {
    let first = db
        .prepare_cached(
            "SELECT seq, ts FROM messages WHERE sender = ?1 AND room = ?2 AND cid = ?3",
        )?
        .query_row(params![draft.from.0, draft.room.0, draft.cid], |row| {
            Ok(Answer::Sent { seq: row.get(0)?, ts: row.get(1)?, dup: true })
        })
        .optional()?;
    if let Some(answer) = first {
        return Ok(answer);
    }
    let found = db
        .prepare_cached(
            "SELECT first, head, first_ts, last_ts, EXISTS (SELECT 1 FROM people WHERE id = ?2)
             FROM rooms WHERE id = ?1",
        )?
        .query_row([draft.room.0, draft.from.0], |row| Ok((log(row)?, row.get(4)?)))
        .optional()?;
    let log = match found {
        None => return Ok(Answer::Refused(Refused::NoRoom)),
        Some((_, false)) => return Ok(Answer::Refused(Refused::Unknown)),
        Some((log, true)) => log,
    };
    // A clock that is set back must not turn a conversation around.
    let ts = draft.now_ms.max(log.last_ts);
    let seq = log.head.saturating_add(1);
    let first_ts = if log.first > log.head { ts } else { log.first_ts };
    db.prepare_cached("UPDATE rooms SET head = ?2, first_ts = ?3, last_ts = ?4 WHERE id = ?1")?
        .execute(params![draft.room.0, int(seq), int(first_ts), int(ts)])?;
    db.prepare_cached(
        "INSERT INTO messages (room, seq, sender, ts, cid, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?
    .execute(params![draft.room.0, int(seq), draft.from.0, int(ts), draft.cid, draft.body])?;
    Ok(Answer::Sent { seq, ts, dup: false })
}

/// What `Read` asks for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) from: u64,
    pub(super) to: u64,
    pub(super) messages_max: u32,
    pub(super) bytes_max: usize,
}

pub(super) fn read(db: &Connection, room: RoomId, span: Span) -> Outcome {
    let found = db
        .prepare_cached("SELECT first, octet_length(name) FROM rooms WHERE id = ?1")?
        .query_row([room.0], |row| Ok((row.get(0)?, row.get::<_, usize>(1)?)))
        .optional()?;
    let Some((first, name_bytes)) = found else {
        return Ok(Answer::Refused(Refused::NoRoom));
    };
    let mut statement = db.prepare_cached(
        "SELECT m.number, m.room, m.seq, p.shown, m.cid, m.ts, m.body
         FROM messages m CROSS JOIN people p ON p.id = m.sender
         WHERE m.room = ?1 AND m.seq BETWEEN ?2 AND ?3 ORDER BY m.seq LIMIT ?4",
    )?;
    let limit = span.messages_max.max(1);
    let mut rows = statement.query(params![room.0, int(span.from), int(span.to), limit])?;
    let mut messages = Vec::new();
    let mut bytes = 0_usize;
    while let Some(row) = rows.next()? {
        let message = message(row)?;
        bytes = bytes.saturating_add(message.line_bytes()).saturating_add(name_bytes);
        if bytes > span.bytes_max && !messages.is_empty() {
            break;
        }
        messages.push(message);
    }
    Ok(Answer::Page { first, messages })
}

/// What `Retain` drops.
#[derive(Clone, Copy, Debug)]
pub(super) struct Retention {
    pub(super) before_ms: Option<u64>,
    pub(super) messages_max: Option<u64>,
    pub(super) at_once: u32,
}

/// One look at all rooms, and then only at those with something to drop. Times do not go back within a room, so that
/// what is too old is always the beginning of its log.
pub(super) fn retain(db: &Connection, retention: Retention) -> Outcome {
    let rooms = db
        .prepare_cached(
            "SELECT first, head, first_ts, last_ts, id FROM rooms
             WHERE first <= head AND (first_ts < ?1 OR head - first >= ?2) ORDER BY id",
        )?
        .query_map(
            params![
                int(retention.before_ms.unwrap_or(0)),
                int(retention.messages_max.unwrap_or(u64::MAX))
            ],
            |row| Ok((log(row)?, RoomId(row.get(4)?))),
        )?
        .collect::<Result<Vec<_>, _>>()?;
    let mut left = u64::from(retention.at_once);
    let mut firsts = Vec::new();
    for (log, room) in rooms {
        let wanted = first_kept(db, room, log, retention, left)?;
        let first = wanted.min(log.first.saturating_add(left));
        if first > log.first {
            drop_before(db, room, log, first)?;
            firsts.push((room, first));
            left = left.saturating_sub(first.saturating_sub(log.first));
        }
        if first < wanted {
            return Ok(Answer::Retained { firsts, more: true });
        }
    }
    Ok(Answer::Retained { firsts, more: false })
}

/// Drops the oldest messages of a room, and says whether there are more; `None` where there is no such room.
pub(super) fn drop_oldest(
    db: &Connection,
    room: RoomId,
    at_once: u64,
) -> rusqlite::Result<Option<bool>> {
    let found = db
        .prepare_cached("SELECT first, head, first_ts, last_ts FROM rooms WHERE id = ?1")?
        .query_row([room.0], log)
        .optional()?;
    let Some(log) = found else { return Ok(None) };
    let end = log.head.saturating_add(1);
    let first = log.first.saturating_add(at_once).min(end);
    drop_before(db, room, log, first)?;
    Ok(Some(first < end))
}

/// The first message of a room that stays. Not more than `left + 1` messages are looked at: a number that is `left + 1`
/// beyond the first one means "at least".
fn first_kept(
    db: &Connection,
    room: RoomId,
    log: Log,
    retention: Retention,
    left: u64,
) -> rusqlite::Result<u64> {
    let end = log.head.saturating_add(1);
    let by_count = retention.messages_max.map_or(0, |max| end.saturating_sub(max));
    let by_time = match retention.before_ms {
        Some(before_ms) if log.last_ts < before_ms => end,
        Some(before_ms) if log.first_ts < before_ms => {
            let last = log.first.saturating_add(left);
            db.prepare_cached(
                "SELECT seq FROM messages WHERE room = ?1 AND seq BETWEEN ?2 AND ?3 AND ts >= ?4
                 ORDER BY seq LIMIT 1",
            )?
            .query_row(params![room.0, int(log.first), int(last), int(before_ms)], |row| row.get(0))
            .optional()?
            .unwrap_or_else(|| last.saturating_add(1).min(end))
        }
        _ => 0,
    };
    Ok(by_count.max(by_time).max(log.first))
}

fn drop_before(db: &Connection, room: RoomId, log: Log, first: u64) -> rusqlite::Result<()> {
    for sql in [
        "DELETE FROM search WHERE rowid IN
             (SELECT number FROM messages WHERE room = ?1 AND seq >= ?2 AND seq < ?3)",
        "DELETE FROM messages WHERE room = ?1 AND seq >= ?2 AND seq < ?3",
    ] {
        db.prepare_cached(sql)?.execute(params![room.0, int(log.first), int(first)])?;
    }
    db.prepare_cached(
        "UPDATE rooms SET first = ?2, first_ts = coalesce(
             (SELECT ts FROM messages WHERE room = ?1 AND seq = ?2), 0) WHERE id = ?1",
    )?
    .execute(params![room.0, int(first)])?;
    super::search::note_dropped(db)
}

fn log(row: &Row<'_>) -> rusqlite::Result<Log> {
    Ok(Log { first: row.get(0)?, head: row.get(1)?, first_ts: row.get(2)?, last_ts: row.get(3)? })
}

/// A message from the columns `number, room, seq, shown, cid, ts, body`.
pub(super) fn message(row: &Row<'_>) -> rusqlite::Result<Message> {
    Ok(Message {
        number: row.get(0)?,
        room: RoomId(row.get(1)?),
        seq: row.get(2)?,
        from: row.get(3)?,
        cid: row.get(4)?,
        ts: row.get(5)?,
        body: row.get(6)?,
    })
}
