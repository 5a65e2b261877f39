//! What all of a test's people know together of the rooms' logs.

use std::collections::HashMap;
use std::sync::Mutex;

use serde_json::Value;

#[derive(Default)]
pub(crate) struct Ledger(Mutex<Book>);

#[derive(Default)]
struct Book {
    messages: HashMap<(String, u64), Entry>,
    /// The number of each message by room, sender and `cid`.
    numbers: HashMap<(String, String, String), u64>,
    epochs: HashMap<String, String>,
}

#[derive(Debug, PartialEq)]
struct Entry {
    from: String,
    cid: String,
    ts: u64,
    body: Value,
}

impl Ledger {
    /// Somebody was shown a message: it is what it always was, and nowhere else. Returns its room and number.
    pub(crate) fn see(&self, msg: &Value) -> (String, u64) {
        let text = |name: &str| msg[name].as_str().unwrap().to_owned();
        let (room, from, cid) = (text("room"), text("from"), text("cid"));
        let (seq, ts) = (msg["seq"].as_u64().unwrap(), msg["ts"].as_u64().unwrap());
        let book = &mut *self.0.lock().unwrap();
        let entry = Entry { from: from.clone(), cid: cid.clone(), ts, body: msg["body"].clone() };
        match book.messages.get(&(room.clone(), seq)) {
            Some(known) => assert_eq!(*known, entry, "message {seq} of {room} has changed"),
            None => {
                book.messages.insert((room.clone(), seq), entry);
            }
        }
        let first = *book.numbers.entry((room.clone(), from, cid)).or_insert(seq);
        assert_eq!(first, seq, "a message is in the log twice: {msg}");
        (room, seq)
    }

    /// Somebody was told the number of a message of theirs.
    pub(crate) fn acknowledge(&self, room: &str, from: &str, cid: &str, seq: u64) {
        let key = (room.to_owned(), from.to_owned(), cid.to_owned());
        let first = *self.0.lock().unwrap().numbers.entry(key).or_insert(seq);
        assert_eq!(first, seq, "{cid} of {from} in {room} has two numbers");
    }

    /// Somebody was told which log a room has.
    pub(crate) fn epoch(&self, room: &str, epoch: &Value) {
        let epoch = epoch.as_str().unwrap().to_owned();
        let book = &mut *self.0.lock().unwrap();
        let first = book.epochs.entry(room.to_owned()).or_insert_with(|| epoch.clone());
        assert_eq!(*first, epoch, "{room} has another log");
    }

    /// How many messages a room has, by what was acknowledged and what was seen: both are the same at the end.
    pub(crate) fn lengths(&self, room: &str) -> (usize, usize) {
        let book = &*self.0.lock().unwrap();
        let acknowledged = book.numbers.keys().filter(|(of, _, _)| of == room).count();
        (acknowledged, book.messages.keys().filter(|(of, _)| of == room).count())
    }
}
