//! What a person's commands do.

use serde_json::json;

use super::input::{self, Typed};
use super::talk::{Asked, Draft, Talk};
use super::text::neutral_lines;
use super::{Out, Place};

impl Talk {
    pub(super) fn text(&mut self, text: String, out: &mut Out) {
        match self.place.clone() {
            None if self.interactive => {
                out.complain.push("say where: /join ROOM, or /msg PERSON".into());
            }
            None => {
                self.failed = true;
                out.complain.push(format!("not sent: {}", neutral_lines(&text)));
            }
            Some(place) => {
                let cid = format!("{:032x}", rand::random::<u128>());
                self.drafts.push_back(Draft { place, cid, text });
            }
        }
    }

    pub(super) fn command(&mut self, typed: Typed, out: &mut Out) {
        match (typed, self.here()) {
            (Typed::Text(text), _) => self.text(text, out),
            (Typed::Rooms, here) => self.show_rooms(here.as_deref(), out),
            (Typed::Join { room, invite }, _) => {
                self.invite = invite;
                self.go(Place::Room(room), out);
            }
            (Typed::Msg(person), _) => self.go(Place::Person(person), out),
            (Typed::Help, _) => out.show.extend(input::HELP.lines().map(str::to_owned)),
            (Typed::Quit, _) if self.unsent() == 0 || self.warned => self.quit = true,
            (Typed::Quit, _) => {
                self.warned = true;
                let count = self.unsent();
                out.complain.push(format!("not sent yet: {count}; /quit again drops them"));
            }
            (Typed::Search(words), _) => {
                self.ask(Asked::Search, "search", &json!({ "text": words }), out);
            }
            (_, None) => out.complain.push("you are in no room; /join ROOM, or /msg PERSON".into()),
            (Typed::Leave, Some(room)) => {
                self.ask(Asked::Leave, "leave", &json!({ "room": room }), out);
            }
            (Typed::Who, Some(room)) => {
                let fields = json!({ "room": room });
                self.ask(
                    Asked::Members { room, shown: true, first: true },
                    "members",
                    &fields,
                    out,
                );
            }
            (Typed::History(count), Some(room)) => self.history(room, count, out),
            (Typed::Grant { user, role }, Some(room)) => {
                let fields = json!({"room": room, "user": user, "role": role});
                self.ask(Asked::Grant, "grant", &fields, out);
            }
        }
    }

    fn unsent(&self) -> usize {
        self.drafts.len() + self.waiting.iter().filter(|it| matches!(it, Typed::Text(_))).count()
    }

    fn go(&mut self, place: Place, out: &mut Out) {
        if self.place.as_ref() != Some(&place) {
            let open = self.open.take();
            // Not where one was about to go to, and is not yet.
            if let Some(before) = self.place.replace(place.clone())
                && self.before.is_none()
            {
                self.before = Some((before, open));
            }
        }
        self.enter(&place, out);
    }

    fn show_rooms(&self, here: Option<&str>, out: &mut Out) {
        if self.rooms.is_empty() {
            out.show.push("* you are in no room; /join ROOM".into());
        }
        for (name, room) in &self.rooms {
            let is_here = here == Some(name.as_str());
            let unread =
                match if is_here { room.head - room.seen.min(room.head) } else { room.unread() } {
                    0 => String::new(),
                    count => format!("{count} unread"),
                };
            let role = match room.role.as_str() {
                "owner" | "reader" => format!(" ({})", room.role),
                _ => String::new(),
            };
            let mark = if is_here { '*' } else { ' ' };
            let shown = format!("{mark} {:24} {unread}{role}", self.called(name));
            out.show.push(shown.trim_end().to_owned());
        }
    }

    fn history(&mut self, room: String, count: u64, out: &mut Out) {
        let head = self.rooms.get(&room).map_or(0, |it| it.head);
        if head == 0 {
            return out.show.push("* nothing was said here yet".into());
        }
        let from = (head + 1).saturating_sub(count).max(1);
        let fields = json!({"room": room, "from": from, "to": head});
        self.ask(Asked::History { room, to: head }, "get", &fields, out);
    }
}
