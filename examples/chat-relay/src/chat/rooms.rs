//! A room as the client knows it: how far its log was heard, who is in it, and which of one's own messages have
//! arrived.

use std::cmp::Ordering;
use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use serde_json::Value;

/// Own messages whose second tick is waited for.
const MINE_MAX: usize = 100;
/// Characters of a message that a second tick repeats.
const EXCERPT_CHARS: usize = 30;

pub(super) fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

pub(super) fn number(value: &Value, key: &str) -> u64 {
    value.get(key).and_then(Value::as_u64).unwrap_or_default()
}

/// A room that one is in.
#[derive(Debug, Default)]
pub(super) struct Room {
    pub(super) epoch: String,
    pub(super) head: u64,
    /// The last message that was taken: the cursor.
    pub(super) seen: u64,
    /// The last message that was shown.
    pub(super) shown: u64,
    pub(super) kind: String,
    pub(super) role: String,
    /// The other one, in a room of two.
    pub(super) with: Option<String>,
    /// One's own marks, as far as they were said.
    pub(super) recv: u64,
    pub(super) read: u64,
    /// Something between the cursor and the head is to be asked for.
    pub(super) gap: bool,
    pub(super) fetching: bool,
    pub(super) fetch_at: Option<Instant>,
    /// What each of the others has received; all of them, if `members_known`.
    pub(super) members: BTreeMap<String, u64>,
    pub(super) members_known: bool,
    mine: VecDeque<(u64, String)>,
}

impl Room {
    /// From an answer or an event that has a room.
    pub(super) fn new(info: &Value) -> Self {
        let mut room = Self { seen: number(info, "head"), ..Self::default() };
        room.update(info);
        room
    }

    /// Takes what is told of the room anew, but not the cursor.
    pub(super) fn update(&mut self, info: &Value) {
        self.epoch = text(info, "epoch").to_owned();
        self.head = self.head.max(number(info, "head"));
        self.kind = text(info, "kind").to_owned();
        self.role = text(info, "role").to_owned();
        self.with = info.get("with").and_then(Value::as_str).map(str::to_owned);
        self.recv = self.recv.max(number(info, "recv"));
        self.read = self.read.max(number(info, "read"));
    }

    /// The log begins anew.
    pub(super) fn reset(&mut self, log: &Value) {
        self.epoch = text(log, "epoch").to_owned();
        self.head = number(log, "head");
        self.seen = number(log, "first").saturating_sub(1);
        self.shown = 0;
        (self.recv, self.read) = (self.recv.min(self.head), self.read.min(self.head));
        self.gap = false;
        self.mine.clear();
    }

    /// Whether the message is the next one; a later one shows that there is a gap.
    pub(super) fn takes(&mut self, seq: u64) -> bool {
        self.head = self.head.max(seq);
        match seq.cmp(&self.seen.saturating_add(1)) {
            Ordering::Equal => {
                self.seen = seq;
                // It may have been filled by what came by itself.
                self.gap &= self.seen < self.head;
                true
            }
            Ordering::Less => false,
            Ordering::Greater => {
                self.gap = true;
                false
            }
        }
    }

    pub(super) fn unread(&self) -> u64 {
        self.head.saturating_sub(self.read)
    }

    /// Goes back to what was not read, but not by more than a number of messages; returns how many are left out.
    pub(super) fn go_back(&mut self, messages_max: u64) -> u64 {
        let begin = self.read.max(self.shown);
        let from = begin.max(self.head.saturating_sub(messages_max));
        let left_out = from.saturating_sub(begin);
        let shown = self.shown;
        self.mine.retain(|(seq, _)| *seq <= shown || *seq > from);
        if from < self.seen {
            self.seen = from;
        }
        self.gap = self.seen < self.head;
        left_out
    }

    /// An answer with members: the first page, or one more.
    pub(super) fn members_are(&mut self, page: &Value, me: &str, first: bool) {
        if first {
            self.members.clear();
        }
        for member in page.get("members").and_then(Value::as_array).into_iter().flatten() {
            if text(member, "user") != me {
                self.members.insert(text(member, "user").to_owned(), number(member, "recv"));
            }
        }
        self.members_known = page.get("next").is_none();
    }

    /// One's own message is stored.
    pub(super) fn mine(&mut self, seq: u64, said: &str) {
        if self.mine.iter().any(|(known, _)| *known == seq) {
            return;
        }
        let mut excerpt: String = said.chars().take(EXCERPT_CHARS).collect();
        if excerpt.len() < said.len() {
            excerpt.push('…');
        }
        self.mine.push_back((seq, excerpt));
        if self.mine.len() > MINE_MAX {
            self.mine.pop_front();
        }
    }

    /// The own messages, of those that are shown, that have arrived at everybody since this was asked.
    pub(super) fn arrived(&mut self) -> Vec<String> {
        let Some(least) = self.members.values().min().filter(|_| self.members_known) else {
            return Vec::new();
        };
        let least = self.shown.min(*least);
        let mut arrived = Vec::new();
        while let Some((_, said)) = self.mine.pop_front_if(|(seq, _)| *seq <= least) {
            arrived.push(said);
        }
        arrived
    }
}
