//! What the relay has said to a person's client: answers, and events.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::rooms::{Room, number, text};
use super::talk::{Asked, Talk};
use super::text::{neutral, neutral_lines};
use super::{Out, Place};

/// When a room's missing messages are asked for again.
const FETCH_AGAIN: Duration = Duration::from_secs(1);
/// When a full disk is tried again.
const STORAGE_AGAIN_MS: u64 = 5_000;

impl Talk {
    /// The rooms that one is in, as the answer to `hello` has them.
    pub(super) fn are_in(&mut self, ok: &Value) {
        self.me = text(ok, "user").to_owned();
        let now = ok.get("rooms").and_then(Value::as_object);
        self.rooms.retain(|name, _| now.is_some_and(|it| it.contains_key(name)));
        for (name, info) in now.into_iter().flatten() {
            self.is_in(name, info);
        }
    }

    /// One is in a room. A cursor that there is already stays: if it does not fit, a reset says so.
    fn is_in(&mut self, name: &str, info: &Value) {
        if let Some(person) = info.get("with").and_then(Value::as_str) {
            self.directs.insert(person.to_lowercase(), name.to_owned());
        }
        match self.rooms.get_mut(name) {
            // What came of another log has no place in this one.
            Some(room) if room.epoch != text(info, "epoch") => {}
            Some(room) => room.update(info),
            None => _ = self.rooms.insert(name.to_owned(), Room::new(info)),
        }
    }

    pub(super) fn hear(&mut self, now: Instant, line: &Value, out: &mut Out) {
        if let Some(id) = line.get("id").and_then(Value::as_u64) {
            let Some(asked) = self.asked.remove(&id) else { return };
            return match (line.get("ok"), line.get("err")) {
                (Some(ok), _) => self.answered(now, asked, ok, out),
                (None, Some(err)) => self.refused(now, asked, err, out),
                (None, None) => {}
            };
        }
        let event = line.as_object().and_then(|it| it.iter().next());
        let Some((kind, fields)) = event else { return };
        match kind.as_str() {
            "msg" => self.message(fields, out),
            "reset" => {
                let name = text(fields, "room");
                if let Some(room) = self.rooms.get_mut(name) {
                    room.reset(fields);
                    let called = self.called(name);
                    self.notice(
                        format!("* what was known of {called} does not hold any more"),
                        out,
                    );
                }
            }
            "live" if self.here().as_deref() == Some(text(fields, "room")) => {
                self.list(text(fields, "room"), false, out);
            }
            "added" => {
                let name = text(fields, "room");
                self.is_in(name, fields);
                let called = self.called(name);
                self.notice(format!("* you are in {called} now"), out);
            }
            "removed" => self.removed(text(fields, "room"), out),
            "member" => self.member(fields, out),
            "presence" => {
                let here =
                    if fields.get("online") == Some(&Value::Bool(true)) { "here" } else { "away" };
                let user = neutral(text(fields, "user"));
                self.notice_in(text(fields, "room"), format!("* {user} is {here}"), out);
            }
            "mark" => self.marked(fields, out),
            "err" => out.complain.push(neutral(text(fields, "text"))),
            // Typing is not shown, and what is new is ignored.
            _ => {}
        }
    }

    fn answered(&mut self, now: Instant, asked: Asked, ok: &Value, out: &mut Out) {
        match asked {
            Asked::Enter(place) => {
                let name = text(ok, "room").to_owned();
                if let Place::Person(person) = &place {
                    self.directs.insert(person.to_lowercase(), name.clone());
                }
                self.is_in(&name, ok);
                if let Some(room) = self.rooms.get_mut(&name) {
                    room.members_are(ok, &self.me, true);
                }
                if self.place.as_ref() == Some(&place) {
                    self.entered(&name, out);
                }
            }
            Asked::Send => self.sent(),
            Asked::Fetch { room, from, to } => self.fetched(now, (&room, from, to), ok, out),
            Asked::History { room, to } => {
                let mut last = 0;
                for message in messages(ok) {
                    last = number(message, "seq");
                    let shown = self.shown(message);
                    out.show.push(shown);
                }
                if (1..to).contains(&last) {
                    let fields = json!({"room": room, "from": last + 1, "to": to});
                    self.ask(Asked::History { room, to }, "get", &fields, out);
                }
            }
            Asked::Members { room, shown, first } => self.listed(room, shown, first, ok, out),
            Asked::Search => {
                let found = messages(ok);
                if found.is_empty() {
                    out.show.push("* nothing was found".into());
                }
                for message in found.iter().rev() {
                    let room = self.called(text(message, "room"));
                    out.show.push(format!("[{room}] {}", self.shown(message)));
                }
            }
            Asked::Grant => self.notice("* done".into(), out),
            Asked::Leave => {}
        }
    }

    fn refused(&mut self, now: Instant, asked: Asked, err: &Value, out: &mut Out) {
        let retry_ms = err.get("retry_ms").and_then(Value::as_u64);
        let retry_ms = match text(err, "code") {
            "storage" if self.interactive => Some(STORAGE_AGAIN_MS),
            _ => retry_ms,
        };
        let why = neutral(text(err, "text"));
        match (asked, retry_ms) {
            (Asked::Enter(place), Some(ms)) => self.enter_again_after(now, ms, place),
            (Asked::Enter(place), None) => self.give_up(&place, &why, out),
            (Asked::Send, Some(ms)) => {
                if text(err, "code") == "storage" {
                    out.complain.push(format!("{why}; it is tried again"));
                }
                self.retry_after(now, ms);
            }
            (Asked::Send, None) => self.not_sent(&why, out),
            (Asked::Fetch { room: name, .. }, _) => {
                if let Some(room) = self.rooms.get_mut(&name) {
                    room.fetching = false;
                    if text(err, "code") == "range" {
                        // The relay was put back to an older copy of the log, which ends before.
                        (room.head, room.gap) = (room.seen, false);
                    }
                    room.fetch_at = Some(now + retry_ms.map_or(FETCH_AGAIN, Duration::from_millis));
                }
            }
            (Asked::Members { shown: false, .. }, _) => {}
            (
                Asked::History { .. }
                | Asked::Members { .. }
                | Asked::Search
                | Asked::Grant
                | Asked::Leave,
                _,
            ) => out.complain.push(why),
        }
    }

    /// Rule 3 of the protocol: the next one is taken, an old one dropped, a gap asked for.
    fn message(&mut self, message: &Value, out: &mut Out) {
        let (name, seq) = (text(message, "room"), number(message, "seq"));
        let Some(room) = self.rooms.get_mut(name) else { return };
        // It is the first that was not read, also by another device.
        let is_first = room.seen <= room.read && seq > room.read;
        if !room.takes(seq) {
            return;
        }
        let said = message.get("body").map(|it| text(it, "text")).unwrap_or_default();
        let is_mine = text(message, "from") == self.me;
        if is_mine {
            room.mine(seq, said);
        }
        if !self.interactive {
            return;
        }
        if self.here().as_deref() == Some(name) {
            if let Some(room) = self.rooms.get_mut(name) {
                room.shown = seq;
            }
            let tick = if is_mine { " ✓" } else { "" };
            let shown = self.shown(message);
            out.show.push(format!("{shown}{tick}"));
            self.tick(name, out);
        } else if is_first {
            let called = self.called(name);
            out.show.push(format!("* something new in {called}"));
        }
    }

    fn shown(&self, message: &Value) -> String {
        let time = self.clock.show(number(message, "ts"));
        let from = neutral(text(message, "from"));
        let body = message.get("body").unwrap_or(&Value::Null);
        match body.get("text").and_then(Value::as_str) {
            Some(said) => format!("{time} {from}: {}", neutral_lines(said)),
            None => format!("{time} {from}: {}", super::text::neutral_json(&body.to_string())),
        }
    }

    /// What the log had between two numbers, or the first part of it. By now, more may have come by itself.
    fn fetched(
        &mut self,
        now: Instant,
        (name, from, to): (&str, u64, u64),
        ok: &Value,
        out: &mut Out,
    ) {
        let Some(room) = self.rooms.get_mut(name) else { return };
        let (before, head) = (room.seen, number(ok, "head"));
        (room.fetching, room.fetch_at) = (false, None);
        room.head = room.head.max(head);
        // What is not kept any more cannot be had.
        room.seen = room.seen.max(number(ok, "first").saturating_sub(1));
        let messages = messages(ok);
        for message in messages {
            self.pass_over(name, from, number(message, "seq").saturating_sub(1));
            self.message(message, out);
        }
        if messages.is_empty() {
            self.pass_over(name, from, to.min(head));
        }
        if let Some(room) = self.rooms.get_mut(name) {
            room.gap = room.seen < room.head;
            if room.gap && room.seen == before {
                // What is missing may be about to come by itself.
                room.fetch_at = Some(now + FETCH_AGAIN);
            }
        }
    }

    /// Does not wait for what the relay does not have between two numbers.
    fn pass_over(&mut self, name: &str, from: u64, to: u64) {
        if let Some(room) = self.rooms.get_mut(name)
            && from <= room.seen.saturating_add(1)
        {
            room.seen = room.seen.max(to);
        }
    }

    fn removed(&mut self, name: &str, out: &mut Out) {
        let called = self.called(name);
        if self.here().as_deref() == Some(name) {
            match self.place.clone().filter(|_| !self.interactive) {
                Some(place) => self.give_up(&place, "you are not in it any more", out),
                None => (self.place, self.open, self.before) = (None, None, None),
            }
        }
        if self.rooms.remove(name).is_some() {
            self.notice(format!("* you are not in {called} any more"), out);
        }
    }

    fn member(&mut self, fields: &Value, out: &mut Out) {
        let (name, user, role) = (text(fields, "room"), text(fields, "user"), text(fields, "role"));
        let Some(room) = self.rooms.get_mut(name) else { return };
        let is_me = user == self.me;
        if is_me {
            room.role = role.to_owned();
        }
        let known = is_me || room.members.contains_key(user);
        match (is_me, role) {
            (true, _) => {}
            (false, "none") => _ = room.members.remove(user),
            (false, _) => _ = room.members.insert(user.to_owned(), number(fields, "recv")),
        }
        let user = neutral(user);
        let said = match (role, known) {
            ("none", _) => format!("* {user} has left"),
            (_, false) => format!("* {user} has joined"),
            (role, true) => format!("* {user} is {} now", neutral(role)),
        };
        self.notice_in(name, said, out);
    }

    fn marked(&mut self, fields: &Value, out: &mut Out) {
        let (name, user) = (text(fields, "room"), text(fields, "user"));
        let Some(room) = self.rooms.get_mut(name) else { return };
        let (recv, read) = (number(fields, "recv"), number(fields, "read"));
        if user == self.me {
            // Another device has read.
            (room.recv, room.read) = (room.recv.max(recv), room.read.max(read));
        } else if let Some(known) = room.members.get_mut(user) {
            *known = recv.max(*known);
        }
        self.tick(name, out);
    }

    /// Shows the second tick of what has arrived at everybody.
    fn tick(&mut self, name: &str, out: &mut Out) {
        if self.interactive
            && self.here().as_deref() == Some(name)
            && let Some(room) = self.rooms.get_mut(name)
        {
            let arrived = room.arrived();
            out.show.extend(arrived.iter().map(|said| format!("   ✓✓ {}", neutral(said))));
        }
    }

    fn list(&mut self, room: &str, shown: bool, out: &mut Out) {
        let asked = Asked::Members { room: room.to_owned(), shown, first: true };
        self.ask(asked, "members", &json!({ "room": room }), out);
    }

    fn listed(&mut self, name: String, shown: bool, first: bool, ok: &Value, out: &mut Out) {
        if let Some(room) = self.rooms.get_mut(&name) {
            room.members_are(ok, &self.me, first);
        }
        let members = ok.get("members").and_then(Value::as_array);
        for member in members.into_iter().flatten().filter(|_| shown) {
            let online = member.get("online") == Some(&Value::Bool(true));
            let seen = match member.get("last_seen").and_then(Value::as_u64) {
                Some(ts) => format!("away since {}", self.clock.show(ts)),
                None => if online { "here" } else { "away" }.to_owned(),
            };
            let (user, role) = (neutral(text(member, "user")), neutral(text(member, "role")));
            out.show.push(format!("  {user:24} {role:7} {seen}"));
        }
        if let Some(next) = ok.get("next") {
            let fields = json!({"room": name, "after": next});
            self.ask(Asked::Members { room: name, shown, first: false }, "members", &fields, out);
        } else {
            self.tick(&name, out);
        }
    }

    /// Something for a person, wherever they are.
    fn notice(&self, said: String, out: &mut Out) {
        if self.interactive {
            out.show.push(said);
        }
    }

    /// Something for a person who looks at the room.
    fn notice_in(&self, room: &str, said: String, out: &mut Out) {
        if self.here().as_deref() == Some(room) {
            self.notice(said, out);
        }
    }
}

fn messages(ok: &Value) -> &[Value] {
    ok.get("msgs").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}
