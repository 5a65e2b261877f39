//! The mode for people: rooms, what is typed into them, and what waits to be sent.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::input::{self, Typed};
use super::rooms::Room;
use super::text::{Clock, neutral, neutral_lines};
use super::{FAILED, Mode, Out, Place, TOO_LONG, is_too_long};
use crate::protocol::NUMBER_MAX;

/// Messages that are shown when one comes into a room with more that is unread.
const UNREAD_SHOWN_MAX: u64 = 100;
/// Drafts that may wait in a pipe before more is read.
const DRAFTS_MAX: usize = 64;
/// How often marks are said.
const MARK_EVERY: Duration = Duration::from_millis(500);

/// A message that is not stored yet.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) place: Place,
    pub(super) cid: String,
    pub(super) text: String,
}

/// What an answer is to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Enter(Place),
    Send,
    Fetch { room: String, from: u64, to: u64 },
    History { room: String, to: u64 },
    Members { room: String, shown: bool, first: bool },
    Search,
    Grant,
    Leave,
}

/// The mode for people.
#[derive(Debug)]
pub(super) struct Talk {
    pub(super) me: String,
    /// Where what is typed goes.
    pub(super) place: Option<Place>,
    /// Where it went before, with the room there, until one is in the new one.
    pub(super) before: Option<(Place, Option<String>)>,
    /// The room there, once one is in it and what was unread has been asked for.
    pub(super) open: Option<String>,
    connected: bool,
    /// What was typed and has to wait until one is there.
    pub(super) waiting: VecDeque<Typed>,
    /// A new room is for whom its owner lets in.
    pub(super) invite: bool,
    pub(super) rooms: BTreeMap<String, Room>,
    /// The rooms of two, by the names that they were asked for with.
    pub(super) directs: BTreeMap<String, String>,
    pub(super) drafts: VecDeque<Draft>,
    pub(super) asked: BTreeMap<u64, Asked>,
    last_id: u64,
    /// Nothing is sent or entered before this.
    retry_at: Option<Instant>,
    /// What is entered then.
    enter_again: Option<Place>,
    marked_at: Option<Instant>,
    pub(super) interactive: bool,
    stay: bool,
    ended: bool,
    pub(super) quit: bool,
    pub(super) warned: bool,
    pub(super) failed: bool,
    pub(super) clock: Clock,
}

impl Talk {
    pub(super) fn new(place: Option<Place>, interactive: bool, stay: bool, clock: Clock) -> Self {
        Self {
            me: String::new(),
            place,
            before: None,
            open: None,
            connected: false,
            waiting: VecDeque::new(),
            invite: false,
            rooms: BTreeMap::new(),
            directs: BTreeMap::new(),
            drafts: VecDeque::new(),
            asked: BTreeMap::new(),
            last_id: 0,
            retry_at: None,
            enter_again: None,
            marked_at: None,
            interactive,
            stay,
            ended: false,
            quit: false,
            warned: false,
            failed: false,
            clock,
        }
    }

    /// Asks something; the answer is known by what is noted.
    pub(super) fn ask(&mut self, asked: Asked, command: &str, fields: &Value, out: &mut Out) {
        self.last_id += 1;
        self.asked.insert(self.last_id, asked);
        out.say.push(json!({"id": self.last_id, command: fields}).to_string());
    }

    /// The name of the room, if one is in it.
    pub(super) fn room_of(&self, place: &Place) -> Option<String> {
        let name = match place {
            Place::Room(room) => Some(room),
            Place::Person(person) => self.directs.get(&person.to_lowercase()),
        };
        name.filter(|it| self.rooms.contains_key(*it)).cloned()
    }

    /// The room that is shown.
    pub(super) fn here(&self) -> Option<String> {
        self.open.clone().filter(|it| self.rooms.contains_key(it))
    }

    /// Whether a command can be followed now.
    fn is_free(&self) -> bool {
        let open = self.open.as_ref().and_then(|it| self.rooms.get(it));
        self.connected && !self.is_entering() && !open.is_some_and(|room| room.gap)
    }

    /// Whether one is on the way into a room.
    fn is_entering(&self) -> bool {
        self.enter_again.is_some() || self.asked.values().any(|it| matches!(it, Asked::Enter(_)))
    }

    /// What a room is called.
    pub(super) fn called(&self, room: &str) -> String {
        match self.rooms.get(room).and_then(|it| it.with.as_deref()) {
            Some(person) => format!("@{}", neutral(person)),
            None => neutral(room),
        }
    }

    pub(super) fn enter(&mut self, place: &Place, out: &mut Out) {
        let asked = Asked::Enter(place.clone());
        if self.asked.values().any(|it| *it == asked) {
            return;
        }
        match place {
            Place::Room(room) if self.invite => {
                self.ask(asked, "join", &json!({"room": room, "access": "invite"}), out);
            }
            Place::Room(room) => self.ask(asked, "join", &json!({ "room": room }), out),
            Place::Person(person) => self.ask(asked, "direct", &json!({ "user": person }), out),
        }
    }

    /// The room is there: what was not read of it is shown.
    pub(super) fn entered(&mut self, name: &str, out: &mut Out) {
        (self.open, self.before) = (Some(name.to_owned()), None);
        let Some(room) = self.rooms.get_mut(name).filter(|_| self.interactive) else { return };
        let left_out = room.go_back(UNREAD_SHOWN_MAX);
        if left_out > 0 {
            out.show.push(format!("* {left_out} older messages are unread; /history shows them"));
        }
    }

    /// Nothing goes there any more.
    pub(super) fn give_up(&mut self, place: &Place, why: &str, out: &mut Out) {
        out.complain.push(format!("{place}: {why}"));
        self.failed = true;
        if self.place.as_ref() == Some(place) {
            // One stays where one was.
            let (before, open) = self.before.take().unzip();
            (self.place, self.open) = (before, open.flatten());
        }
        self.drafts.retain(|draft| {
            let stays = draft.place != *place;
            if !stays {
                out.complain.push(format!("not sent: {}", neutral_lines(&draft.text)));
            }
            stays
        });
    }

    /// The first draft is stored, or will never be.
    pub(super) fn sent(&mut self) {
        self.drafts.pop_front();
    }

    pub(super) fn not_sent(&mut self, why: &str, out: &mut Out) {
        if let Some(draft) = self.drafts.pop_front() {
            out.complain.push(format!("not sent, {why}: {}", neutral_lines(&draft.text)));
            self.failed = true;
        }
    }

    pub(super) fn retry_after(&mut self, now: Instant, retry_ms: u64) {
        self.retry_at = Some(now + Duration::from_millis(retry_ms));
    }

    pub(super) fn enter_again_after(&mut self, now: Instant, retry_ms: u64, place: Place) {
        self.retry_after(now, retry_ms);
        self.enter_again = Some(place);
    }

    /// Asks for what is missing.
    fn fetch(&mut self, now: Instant, out: &mut Out) {
        let mut wanted = Vec::new();
        for (name, room) in &mut self.rooms {
            let due = room.fetch_at.is_none_or(|at| at <= now);
            if room.gap && !room.fetching && due {
                room.fetching = true;
                wanted.push((name.clone(), room.seen + 1, room.head));
            }
        }
        for (room, from, to) in wanted {
            let fields = json!({"room": room, "from": from, "to": to});
            self.ask(Asked::Fetch { room, from, to }, "get", &fields, out);
        }
    }

    /// Marks what was heard, and what was shown.
    fn mark(&mut self, out: &mut Out) {
        for (name, room) in &mut self.rooms {
            let read = room.shown.max(room.read);
            let recv = room.seen.max(read);
            if (recv, read) > (room.recv, room.read) && recv >= room.recv && read >= room.read {
                (room.recv, room.read) = (recv, read);
                out.say
                    .push(json!({"mark": {"room": name, "recv": recv, "read": read}}).to_string());
            }
        }
    }

    /// Sends the first draft, and no second one before that is stored: so they keep their order.
    fn send(&mut self, out: &mut Out) {
        let Some(draft) = self.drafts.front() else { return };
        if self.asked.values().any(|it| *it == Asked::Send) {
            return;
        }
        let place = draft.place.clone();
        match self.room_of(&place) {
            Some(room) => {
                let fields = json!({"room": room, "cid": draft.cid, "body": {"text": draft.text}});
                if is_too_long(&json!({"id": NUMBER_MAX, "send": fields}).to_string()) {
                    return self.not_sent(TOO_LONG, out);
                }
                self.ask(Asked::Send, "send", &fields, out);
            }
            None => self.enter(&place, out),
        }
    }
}

impl Mode for Talk {
    fn at(&self) -> Value {
        self.rooms
            .iter()
            .map(|(name, room)| (name.clone(), json!([room.epoch, room.seen])))
            .collect()
    }

    fn welcomed(&mut self, ok: &Value, out: &mut Out) {
        self.connected = true;
        self.are_in(ok);
        if self.interactive {
            out.show.push(format!("* you are {}", neutral(&self.me)));
        }
        if let Some(place) = self.place.clone() {
            self.enter(&place, out);
        } else if self.interactive {
            out.show.push("* /join ROOM goes into a room, /help says what else there is".into());
        }
    }

    fn heard(&mut self, now: Instant, line: &Value, _: &str, out: &mut Out) {
        self.hear(now, line, out);
    }

    fn typed(&mut self, line: &str, out: &mut Out) {
        if line.trim().is_empty() {
            return;
        }
        if !self.interactive {
            return self.text(line.to_owned(), out);
        }
        match input::parse(line) {
            Ok(typed @ (Typed::Quit | Typed::Help)) => self.command(typed, out),
            Ok(typed) => self.waiting.push_back(typed),
            Err(why) => out.complain.push(why),
        }
    }

    fn cannot_read(&mut self, why: &str, out: &mut Out) {
        self.failed = true;
        out.complain.push(why.into());
    }

    fn ended(&mut self) {
        self.ended = true;
    }

    fn lost(&mut self, why: &str, out: &mut Out) {
        self.connected = false;
        self.asked.clear();
        for room in self.rooms.values_mut() {
            // What is missing comes by the cursor.
            (room.fetching, room.gap) = (false, false);
        }
        if self.interactive {
            out.show.push(format!("* the connection is gone ({}); coming back", neutral(why)));
        }
    }

    fn pump(&mut self, now: Instant, out: &mut Out) {
        // In the order in which it was typed; what is only to be sent need not wait.
        while self.waiting.front().is_some_and(|it| matches!(it, Typed::Text(_)) || self.is_free())
            && let Some(typed) = self.waiting.pop_front()
        {
            self.command(typed, out);
        }
        if !self.connected {
            return;
        }
        if self.retry_at.is_none_or(|at| at <= now) {
            self.retry_at = None;
            if let Some(place) = self.enter_again.take() {
                self.enter(&place, out);
            }
            self.send(out);
        }
        self.fetch(now, out);
        if self.interactive && self.marked_at.is_none_or(|at| at + MARK_EVERY <= now) {
            self.marked_at = Some(now);
            self.mark(out);
        }
    }

    fn has_room(&self) -> bool {
        // A person is not held up, and neither is what is typed without a connection.
        self.interactive || self.drafts.len() < DRAFTS_MAX
    }

    fn finished(&self, connected: bool) -> Option<u8> {
        let status = if self.failed && !self.interactive { FAILED } else { 0 };
        let nothing_waits =
            self.drafts.is_empty() && self.asked.is_empty() && self.waiting.is_empty();
        // A pipe ends only once the relay has told that there is nothing; a person need not be told.
        let done = nothing_waits && (connected || self.interactive);
        let fetched = self.rooms.values().all(|room| !room.gap);
        let given_up = !self.interactive && self.place.is_none() && self.drafts.is_empty();
        let over = self.ended && !self.stay && done && fetched;
        (self.quit || over || given_up).then_some(status)
    }

    fn is_awaited(&self) -> bool {
        !self.interactive || (self.ended && !self.stay)
    }

    fn prompt(&self) -> String {
        self.place.as_ref().map_or_else(|| "> ".into(), |place| format!("{place}> "))
    }
}
