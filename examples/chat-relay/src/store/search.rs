//! Search: words in, messages out.
//!
//! An index of words is large to change, and the same for one message as for a thousand. So messages are indexed many
//! at a time, after they were stored: when enough wait, when there is nothing else to do, or when somebody searches.
//!
//! The room of a message is a word of the index, too. What is found, and how much of it is looked at, is decided by the
//! rooms that are asked about alone: others tell nothing, not even by a `next`.

use rusqlite::{Connection, params};

use super::job::{Answer, RoomId};
use super::{Outcome, int, messages};

/// What `Search` asks for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Question<'a> {
    pub(super) rooms: &'a [RoomId],
    pub(super) words: &'a str,
    pub(super) before: Option<u64>,
    pub(super) messages_max: u32,
    pub(super) bytes_max: usize,
    /// Whether what is not indexed yet may be, so that it is found.
    pub(super) indexes: bool,
}

/// How many messages are not indexed.
pub(super) fn waiting(db: &Connection) -> rusqlite::Result<u64> {
    db.prepare_cached(
        "SELECT coalesce((SELECT max(number) FROM messages), 0) - number FROM indexed",
    )?
    .query_row([], |row| row.get::<_, i64>(0))
    .map(|count| u64::try_from(count).unwrap_or(0))
}

/// Indexes the text of the next messages.
pub(super) fn index(db: &Connection, at_once: u64) -> rusqlite::Result<()> {
    for sql in [
        "INSERT INTO search (rowid, text, room)
         SELECT number, body ->> '$.text', 'r' || room FROM messages
         WHERE number > (SELECT number FROM indexed)
               AND number <= (SELECT number + ?1 FROM indexed)
               AND CASE WHEN json_valid(body) THEN json_type(body, '$.text') = 'text' END",
        "UPDATE indexed SET number = min(
             number + ?1, coalesce((SELECT max(number) FROM messages), 0))",
    ] {
        db.prepare_cached(sql)?.execute([int(at_once)])?;
    }
    Ok(())
}

/// Messages were dropped: where those were the newest, their numbers are given again.
pub(super) fn note_dropped(db: &Connection) -> rusqlite::Result<()> {
    db.prepare_cached(
        "UPDATE indexed SET number = min(
             number, coalesce((SELECT max(number) FROM messages), 0))",
    )?
    .execute([])
    .map(drop)
}

pub(super) fn search(db: &Connection, question: Question<'_>) -> Outcome {
    let Some(query) = match_query(question.words, question.rooms) else {
        return Ok(Answer::Found { messages: Vec::new(), next: None });
    };
    if question.indexes && waiting(db)? > 0 {
        index(db, waiting(db)?)?;
    }
    let max = usize::try_from(question.messages_max).unwrap_or(usize::MAX).max(1);
    let mut statement = db.prepare_cached(
        "SELECT m.number, m.room, m.seq, p.shown, m.cid, m.ts, m.body
         FROM search s CROSS JOIN messages m ON m.number = s.rowid
              CROSS JOIN people p ON p.id = m.sender
         WHERE search MATCH ?1 AND s.rowid < ?2
         ORDER BY s.rowid DESC",
    )?;
    let before = int(question.before.unwrap_or(u64::MAX));
    let mut rows = statement.query(params![query, before])?;
    let mut found = Vec::new();
    let (mut bytes, mut last) = (0_usize, None);
    while let Some(row) = rows.next()? {
        let message = messages::message(row)?;
        bytes = bytes.saturating_add(message.line_bytes());
        if found.len() >= max || (bytes > question.bytes_max && !found.is_empty()) {
            return Ok(Answer::Found { messages: found, next: last });
        }
        last = Some(message.number);
        found.push(message);
    }
    Ok(Answer::Found { messages: found, next: None })
}

/// What FTS5 is asked for: the words, and one of the rooms. `None` where no word has a letter or a digit, or there is no
/// room.
fn match_query(words: &str, rooms: &[RoomId]) -> Option<String> {
    let (words, rooms) = (quoted(words), rooms.iter().map(|room| format!("r{}", room.0)));
    let rooms = rooms.collect::<Vec<_>>().join(" OR ");
    (!words.is_empty() && !rooms.is_empty())
        .then(|| format!("text : ({words}) AND room : ({rooms})"))
}

/// The words as FTS5 has to get them: each in quotes, so that nothing in them is syntax; the last one is also a
/// beginning. Empty where no word has a letter or a digit.
fn quoted(words: &str) -> String {
    let mut query = String::new();
    // FTS5 reads a query to its first NUL.
    for word in words.split(|c: char| c.is_whitespace() || c == '\0') {
        if word.contains(char::is_alphanumeric) {
            query.push_str(if query.is_empty() { "\"" } else { " \"" });
            query.push_str(&word.replace('"', "\"\""));
            query.push('"');
        }
    }
    if !query.is_empty() {
        query.push('*');
    }
    query
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_and_the_last_one_is_a_beginning() {
        let table = [
            ("", ""),
            (" \t ", ""),
            ("\"' * -- 🎉", ""),
            ("tea", "\"tea\"*"),
            ("green tea", "\"green\" \"tea\"*"),
            ("a NEAR b", "\"a\" \"NEAR\" \"b\"*"),
            ("te\"a* text:x", "\"te\"\"a*\" \"text:x\"*"),
            ("tea\0cup", "\"tea\" \"cup\"*"),
            ("tea 🎉", "\"tea\"*"),
        ];
        for (words, query) in table {
            assert_eq!(quoted(words), query, "{words:?}");
            assert_eq!(match_query(words, &[RoomId(7)]).is_some(), !query.is_empty(), "{words:?}");
        }
        let rooms = [RoomId(7), RoomId(8)];
        let query = match_query("green tea", &rooms);
        assert_eq!(query.as_deref(), Some("text : (\"green\" \"tea\"*) AND room : (r7 OR r8)"));
        assert_eq!(match_query("tea", &[]), None);
    }
}
