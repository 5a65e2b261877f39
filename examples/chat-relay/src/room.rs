//! A room: its log, and who is in it.
//!
//! The log numbers messages from 1 without a gap and keeps the newest. A message is encoded once, when it is appended;
//! every line that carries it later carries these bytes. This module knows no connections and no clock.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value};

use crate::protocol::{Message, RoomHead, Sent};

/// A room.
#[derive(Debug)]
pub struct Room {
    name: Arc<str>,
    epoch: String,
    log: VecDeque<Entry>,
    head: u64,
    kept_max: usize,
    /// Where a sender's message with a `cid` stands, for as long as it is kept (rule 2 of the protocol).
    sent: HashMap<Cid, u64>,
    /// The keys of the members' names.
    pub members: BTreeSet<Arc<str>>,
    /// When something was last said or somebody last left, in milliseconds since 1970.
    pub active_ms: u64,
}

type Cid = (Arc<str>, Arc<str>);

#[derive(Debug)]
struct Entry {
    cid: Cid,
    ts: u64,
    encoded: Box<RawValue>,
}

/// A message to append.
#[derive(Clone, Copy, Debug)]
pub struct Draft<'a> {
    /// The sender's name as it is shown.
    pub from: &'a str,
    /// The key of the sender's name.
    pub from_key: &'a Arc<str>,
    /// The sender's own name for it.
    pub cid: &'a str,
    /// What it says, encoded.
    pub body: &'a RawValue,
}

impl Room {
    /// An empty room. `epoch` tells its log from that of an earlier room with the same name.
    pub fn new(name: Arc<str>, epoch: String, kept_max: usize, now_ms: u64) -> Self {
        Self {
            name,
            epoch,
            log: VecDeque::new(),
            head: 0,
            kept_max: kept_max.max(1),
            sent: HashMap::new(),
            members: BTreeSet::new(),
            active_ms: now_ms,
        }
    }

    /// Its name.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The last sequence number; 0 before the first message.
    pub fn head(&self) -> u64 {
        self.head
    }

    /// The first sequence number that is kept, `head + 1` where none is.
    pub fn first(&self) -> u64 {
        self.head - self.log.len() as u64 + 1
    }

    /// Where the log is, as the protocol says it.
    pub fn log(&self) -> RoomHead<'_> {
        RoomHead { epoch: &self.epoch, first: self.first(), head: self.head }
    }

    /// Appends a message, unless the log has it already. `Some` is the message as it is shown, if it is new.
    ///
    /// # Errors
    ///
    /// None that a draft can cause: the encoder's, passed on so that nothing needs to be assumed about it.
    pub fn append(
        &mut self,
        draft: Draft<'_>,
        now_ms: u64,
    ) -> Result<(Sent, Option<&RawValue>), serde_json::Error> {
        let cid: Cid = (draft.from_key.clone(), draft.cid.into());
        if let Some((seq, first)) =
            self.sent.get(&cid).and_then(|&seq| Some((seq, self.entry(seq)?)))
        {
            return Ok((Sent { seq, ts: first.ts, dup: true }, None));
        }
        // A clock that is set back must not turn a conversation around.
        let ts = self.log.back().map_or(now_ms, |last| last.ts.max(now_ms));
        let seq = self.head + 1;
        let encoded = to_raw_value(&Message {
            room: &self.name,
            seq,
            from: draft.from,
            cid: draft.cid,
            ts,
            body: draft.body,
        })?;

        self.head = seq;
        self.active_ms = now_ms;
        self.sent.insert(cid.clone(), seq);
        self.log.push_back(Entry { cid, ts, encoded });
        if self.log.len() > self.kept_max
            && let Some(oldest) = self.log.pop_front()
        {
            self.sent.remove(&oldest.cid);
        }
        Ok((Sent { seq, ts, dup: false }, self.message(seq)))
    }

    /// The message with this number, if it is kept.
    pub fn message(&self, seq: u64) -> Option<&RawValue> {
        self.entry(seq).map(|entry| &*entry.encoded)
    }

    fn entry(&self, seq: u64) -> Option<&Entry> {
        let index = seq.checked_sub(self.first())?;
        self.log.get(usize::try_from(index).ok()?)
    }

    /// The next number for a client that has everything up to `last` of the log `epoch`, or `None` where that would
    /// leave a hole: another log, older than what is kept, or beyond the head.
    pub fn next_after(&self, epoch: &str, last: u64) -> Option<u64> {
        let next = last.checked_add(1)?;
        (epoch == self.epoch && (self.first()..=self.head + 1).contains(&next)).then_some(next)
    }

    /// Nobody is in it, and nothing of it is left to read.
    pub fn is_forgotten(&self) -> bool {
        self.members.is_empty() && self.head == 0
    }
}

/// Encodes the body of a message.
///
/// # Errors
///
/// None that a body can cause: see [`Room::append`].
pub fn encode_body(body: &Map<String, Value>) -> Result<Box<RawValue>, serde_json::Error> {
    to_raw_value(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn say(room: &mut Room, from: &str, cid: &str) -> Sent {
        let body = RawValue::from_string(r#"{"text":"hi"}"#.into()).unwrap();
        let draft = Draft { from, from_key: &from.to_lowercase().into(), cid, body: &body };
        room.append(draft, 5).unwrap().0
    }

    fn room_with(messages: u64) -> Room {
        let mut room = Room::new("r".into(), "k1".into(), 100, 0);
        for n in 1..=messages {
            assert_eq!(say(&mut room, "Bob", &format!("c{n}")).seq, n);
        }
        room
    }

    #[test]
    fn the_log_keeps_the_newest_hundred() {
        let room = room_with(250);
        assert_eq!((room.first(), room.head(), room.sent.len()), (151, 250, 100));
        assert!(
            room.message(150).is_none() && room.message(251).is_none() && room.message(0).is_none()
        );
        assert_eq!(
            room.message(151).map(RawValue::get),
            Some(r#"{"room":"r","seq":151,"from":"Bob","cid":"c151","ts":5,"body":{"text":"hi"}}"#)
        );
    }

    #[test]
    fn a_repeated_cid_gets_the_first_answer_for_as_long_as_the_message_is_kept() {
        let mut room = room_with(150);
        assert!(matches!(say(&mut room, "Bob", "c51"), Sent { seq: 51, ts: 5, dup: true }));
        assert!(matches!(say(&mut room, "Ann", "c51"), Sent { seq: 151, dup: false, .. }));
        assert!(matches!(say(&mut room, "Bob", "c51"), Sent { seq: 152, dup: false, .. }));
    }

    #[test]
    fn a_cursor_resumes_only_where_nothing_would_be_missing() {
        let room = room_with(150);
        let table = [
            ("k1", 150, Some(151)),
            ("k1", 50, Some(51)),
            ("k1", 49, None),
            ("k1", 0, None),
            ("k1", 151, None),
            ("k1", u64::MAX, None),
            ("k2", 150, None),
            ("", 0, None),
        ];
        for (epoch, last, next) in table {
            assert_eq!(room.next_after(epoch, last), next, "{epoch} {last}");
        }
        assert_eq!(room_with(0).next_after("k1", 0), Some(1));
        assert_eq!(room_with(3).next_after("k1", 0), Some(1));
    }

    #[test]
    fn a_clock_that_goes_back_does_not_turn_the_log_around() {
        let mut room = room_with(1);
        let body = RawValue::from_string("{}".into()).unwrap();
        let draft = Draft { from: "a", from_key: &"a".into(), cid: "x", body: &body };
        assert_eq!(room.append(draft, 2).unwrap().0.ts, 5);
    }
}
