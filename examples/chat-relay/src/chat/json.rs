//! The mode for programs: lines of `relay.v1` in both directions.
//!
//! What was said and not answered when a connection broke is said again: a `send` is known by its `cid`, and the other
//! commands that have an answer may be repeated.

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use serde_json::{Map, Value, json};

use super::rooms::{number, text};
use super::text::{neutral, neutral_json};
use super::{FAILED, Mode, Out, Place, TOO_LONG, is_too_long};
use crate::protocol::{self, NUMBER_MAX};

/// Lines that are read ahead.
const WAITING_MAX: usize = 16;
/// The id of the client's own last question: whether all before it was taken.
const LAST: u64 = NUMBER_MAX;

/// The mode for programs.
#[derive(Debug, Default)]
pub(super) struct Json {
    place: Option<Place>,
    stay: bool,
    rooms: BTreeMap<String, (String, u64)>,
    /// Lines that are to be said.
    unsaid: VecDeque<(Option<u64>, String)>,
    /// The line that was said, and is not answered.
    unanswered: Option<(u64, String)>,
    connected: bool,
    typed: u64,
    ended: bool,
    /// The last question was asked, and answered.
    over: bool,
    failed: bool,
}

impl Json {
    pub(super) fn new(place: Option<Place>, stay: bool) -> Self {
        let mut json = Self { stay, ..Self::default() };
        json.place = place;
        json
    }

    /// The line that enters the room of the command line.
    fn enter(&self) -> Option<String> {
        Some(match self.place.as_ref()? {
            Place::Room(room) => json!({"id": 0, "join": {"room": room}}).to_string(),
            Place::Person(person) => json!({"id": 0, "direct": {"user": person}}).to_string(),
        })
    }

    /// Notes where the room's log is.
    fn is_in(&mut self, name: &str, info: &Value, seen: u64) {
        let cursor = (text(info, "epoch").to_owned(), seen);
        self.rooms.entry(name.to_owned()).or_insert(cursor);
    }

    /// Whether the line says something that was not said yet.
    fn note(&mut self, line: &Value) -> bool {
        if let Some(message) = line.get("msg")
            && let Some((_, seen)) = self.rooms.get_mut(text(message, "room"))
        {
            let seq = number(message, "seq");
            let new = seq > *seen;
            *seen = seq.max(*seen);
            return new;
        }
        if let Some(log) = line.get("reset") {
            let cursor = (text(log, "epoch").to_owned(), number(log, "first").saturating_sub(1));
            self.rooms.insert(text(log, "room").to_owned(), cursor);
        }
        let joined = line.get("ok").filter(|ok| ok.get("epoch").is_some());
        if let Some(info) = joined.or_else(|| line.get("added")) {
            self.is_in(text(info, "room"), info, number(info, "head"));
        }
        if let Some(gone) = line.get("removed") {
            self.rooms.remove(text(gone, "room"));
        }
        true
    }
}

impl Mode for Json {
    fn at(&self) -> Value {
        self.rooms
            .iter()
            .map(|(name, (epoch, seen))| (name.clone(), json!([epoch, seen])))
            .collect()
    }

    fn welcomed(&mut self, ok: &Value, out: &mut Out) {
        self.connected = true;
        out.show.push(neutral_json(&json!({"id": 0, "ok": ok}).to_string()));
        let rooms = ok.get("rooms").and_then(Value::as_object).cloned().unwrap_or_else(Map::new);
        self.rooms.retain(|name, _| rooms.contains_key(name));
        for (name, info) in &rooms {
            self.is_in(name, info, number(info, "head"));
        }
        if let Some((id, line)) = self.unanswered.take() {
            self.unsaid.push_front((Some(id), line));
        }
        // Before all else, and again where the room is new.
        if let Some(line) =
            self.enter().filter(|_| !self.unsaid.iter().any(|(id, _)| *id == Some(0)))
        {
            self.unsaid.push_front((Some(0), line));
        }
    }

    fn heard(&mut self, _: Instant, line: &Value, said: &str, out: &mut Out) {
        if let Some(id) = line.get("id").and_then(Value::as_u64) {
            self.unanswered.take_if(|(it, _)| *it == id);
            if id == LAST {
                self.over = true;
                return;
            }
        }
        if line.get("err").is_some() {
            self.failed = true;
        }
        if self.note(line) {
            out.show.push(neutral_json(said));
        }
    }

    fn typed(&mut self, line: &str, out: &mut Out) {
        self.typed += 1;
        if line.trim().is_empty() {
            return;
        }
        if is_too_long(line.trim()) {
            self.failed = true;
            return out.complain.push(format!("line {}: {TOO_LONG}", self.typed));
        }
        match protocol::parse(line) {
            Ok(parsed) => self.unsaid.push_back((parsed.id, line.trim().to_owned())),
            Err(problem) => {
                self.failed = true;
                out.complain.push(format!("line {}: {}", self.typed, neutral(&problem.text)));
            }
        }
    }

    fn cannot_read(&mut self, why: &str, out: &mut Out) {
        self.typed += 1;
        self.failed = true;
        out.complain.push(format!("line {}: {why}", self.typed));
    }

    fn ended(&mut self) {
        self.ended = true;
        if !self.stay {
            self.unsaid.push_back((Some(LAST), json!({"id": LAST, "ping": {}}).to_string()));
        }
    }

    fn lost(&mut self, why: &str, out: &mut Out) {
        self.connected = false;
        out.complain.push(format!("the connection is gone ({}); coming back", neutral(why)));
    }

    fn pump(&mut self, _: Instant, out: &mut Out) {
        // One after the other: the relay may answer in another order than it was asked, and a script is read from top
        // to bottom.
        while self.connected && self.unanswered.is_none() {
            let Some((id, line)) = self.unsaid.pop_front() else { return };
            self.unanswered = id.map(|id| (id, line.clone()));
            out.say.push(line);
        }
    }

    fn has_room(&self) -> bool {
        self.unsaid.len() < WAITING_MAX
    }

    fn finished(&self, _: bool) -> Option<u8> {
        (self.ended && self.over).then_some(if self.failed { FAILED } else { 0 })
    }

    fn is_awaited(&self) -> bool {
        self.ended && !self.stay
    }

    fn prompt(&self) -> String {
        String::new()
    }
}
