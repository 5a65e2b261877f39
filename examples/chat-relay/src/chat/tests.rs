//! The modes without a socket.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::talk::Talk;
use super::text::Clock;
use super::{Mode, Out, Place};

/// A client in the room tea, and the lines that it has said since.
struct Client {
    talk: Talk,
    now: Instant,
    out: Out,
}

impl Client {
    fn in_tea(head: u64, read: u64) -> Self {
        let place = Some(Place::Room("tea".into()));
        let talk = Talk::new(place, true, false, Clock::default());
        let mut client = Self { talk, now: Instant::now(), out: Out::default() };
        client.welcome(head, read);
        client
    }

    fn welcome(&mut self, head: u64, read: u64) {
        self.talk
            .welcomed(&json!({"user": "me", "rooms": {"tea": info(head, read)}}), &mut self.out);
        self.enters("tea", head, read);
    }

    /// Its `join` is answered.
    fn enters(&mut self, room: &str, head: u64, read: u64) {
        let mut ok = info(head, read);
        ok["room"] = room.into();
        ok["members"] = json!([{"user": "me", "recv": read}, {"user": "bob", "recv": 0}]);
        let id = self.said("join")["id"].clone();
        self.hears(&json!({"id": id, "ok": ok}));
        self.out.show.clear();
    }

    /// Looks at another room, of which nothing was read.
    fn goes_to(&mut self, room: &str, head: u64) {
        self.types(&format!("/join {room}"));
        self.enters(room, head, 0);
    }

    fn hears(&mut self, line: &Value) {
        self.talk.heard(self.now, line, "", &mut self.out);
        self.waits(0);
    }

    fn message(&mut self, seq: u64) {
        self.hears(&json!({ "msg": message(seq) }));
    }

    fn waits(&mut self, ms: u64) {
        self.now += Duration::from_millis(ms);
        self.talk.pump(self.now, &mut self.out);
    }

    fn types(&mut self, line: &str) {
        self.talk.typed(line, &mut self.out);
        self.waits(0);
    }

    /// Takes the first line with this command out of what was said.
    fn said(&mut self, command: &str) -> Value {
        let lines = self.out.say.iter().map(|it| serde_json::from_str::<Value>(it).unwrap());
        let at = lines.clone().position(|it| it.get(command).is_some());
        let line =
            lines.clone().nth(at.unwrap_or_else(|| panic!("{command} in {:?}", self.out.say)));
        self.out.say.remove(at.unwrap());
        line.unwrap()
    }

    /// Whether something like this was said.
    fn says(&self, command: &str) -> bool {
        self.out.say.iter().any(|it| it.contains(&format!("\"{command}\":")))
    }

    /// The texts of the messages that were shown since this was asked.
    fn shown(&mut self) -> Vec<String> {
        let shown = std::mem::take(&mut self.out.show);
        shown.iter().filter_map(|it| it.split("bob: ").nth(1)).map(str::to_owned).collect()
    }
}

fn info(head: u64, read: u64) -> Value {
    json!({"kind": "open", "role": "member", "epoch": "k", "first": 1, "head": head, "recv": read, "read": read})
}

fn message(seq: u64) -> Value {
    json!({"room": "tea", "seq": seq, "from": "bob", "cid": "c", "ts": 0, "body": {"text": seq.to_string()}})
}

#[test]
fn a_gap_is_asked_for_and_nothing_is_shown_twice() {
    let mut client = Client::in_tea(3, 3);
    client.message(4);
    client.message(4);
    client.message(7);
    client.message(8);
    assert_eq!(client.shown(), ["4"]);
    let get = client.said("get");
    assert_eq!((&get["get"]["from"], &get["get"]["to"]), (&json!(5), &json!(7)));
    assert!(!client.says("get"), "one at a time");
    let messages: Vec<_> = (5..=7).map(message).collect();
    client.hears(
        &json!({"id": get["id"], "ok": {"room": "tea", "first": 1, "head": 8, "msgs": messages}}),
    );
    assert_eq!(client.shown(), ["5", "6", "7"]);
    let get = client.said("get");
    assert_eq!(get["get"]["from"], 8);
    client.hears(&json!({"id": get["id"], "err": {"code": "rate", "text": "", "retry_ms": 100}}));
    client.waits(50);
    assert!(!client.says("get"));
    client.waits(60);
    let get = client.said("get");
    client.hears(&json!({"id": get["id"], "ok": {"room": "tea", "first": 1, "head": 8, "msgs": [message(8)]}}));
    assert_eq!(client.shown(), ["8"]);
    assert_eq!(client.talk.at(), json!({"tea": ["k", 8]}));
    client.waits(1_000);
    assert_eq!(client.said("mark")["mark"], json!({"room": "tea", "recv": 8, "read": 8}));
}

#[test]
fn what_came_by_itself_before_the_answer_costs_no_later_message() {
    let mut client = Client::in_tea(3, 3);
    client.message(5);
    let get = client.said("get");
    // The log that follows a connection made again overtakes the answer, which knows of one message more.
    client.message(4);
    client.message(5);
    client.hears(&json!({"id": get["id"], "ok": {"room": "tea", "first": 1, "head": 6, "msgs": [message(4), message(5)]}}));
    client.message(6);
    assert_eq!(client.shown(), ["4", "5", "6"]);
}

#[test]
fn what_the_relay_has_lost_is_passed_over_and_nothing_behind_it() {
    let mut client = Client::in_tea(3, 3);
    client.message(7);
    let get = client.said("get");
    client.hears(&json!({"id": get["id"], "ok": {"room": "tea", "first": 1, "head": 8, "msgs": [message(5)]}}));
    assert_eq!(client.shown(), ["5"]);
    let get = client.said("get");
    assert_eq!((&get["get"]["from"], &get["get"]["to"]), (&json!(6), &json!(8)));
    client
        .hears(&json!({"id": get["id"], "ok": {"room": "tea", "first": 1, "head": 9, "msgs": []}}));
    client.message(9);
    assert_eq!(client.shown(), ["9"]);
}

#[test]
fn what_an_older_relay_does_not_have_yet_is_not_passed_over() {
    let mut client = Client::in_tea(3, 3);
    client.message(8);
    let get = client.said("get");
    // It was put back to an older copy, and 4 cannot be read there.
    client
        .hears(&json!({"id": get["id"], "ok": {"room": "tea", "first": 1, "head": 4, "msgs": []}}));
    let get = client.said("get");
    assert_eq!((&get["get"]["from"], &get["get"]["to"]), (&json!(5), &json!(8)));
    client.hears(&json!({"id": get["id"], "err": {"code": "range", "text": ""}}));
    client.waits(2_000);
    assert!(!client.says("get"), "there is no more");
    client.message(5);
    assert_eq!(client.shown(), ["5"]);
}

#[test]
fn a_gap_that_was_filled_by_what_came_is_not_asked_for_again() {
    let mut client = Client::in_tea(3, 3);
    client.message(5);
    let get = client.said("get");
    client.hears(&json!({"id": get["id"], "err": {"code": "rate", "text": "", "retry_ms": 100}}));
    client.message(4);
    client.message(5);
    client.waits(2_000);
    assert!(!client.says("get"));
    client.types("/who");
    assert!(client.says("members"), "commands wait for nothing");
}

#[test]
fn an_answer_that_brings_nothing_is_not_asked_for_again_at_once() {
    let mut client = Client::in_tea(3, 3);
    client.message(5);
    let get = client.said("get");
    client.hears(
        &json!({"id": get["id"], "ok": {"room": "tea", "first": 1, "head": 5, "msgs": [message(3)]}}),
    );
    client.waits(500);
    assert!(!client.says("get"));
    client.waits(600);
    assert_eq!(client.said("get")["get"]["from"], 4);
}

#[test]
fn what_was_not_read_is_shown_once_and_not_marked_before() {
    let mut client = Client::in_tea(5, 3);
    client.waits(1_000);
    assert!(!client.out.say.iter().any(|it| it.contains("\"read\":5")));
    let get = client.said("get");
    assert_eq!((&get["get"]["from"], &get["get"]["to"]), (&json!(4), &json!(5)));
    client.hears(&json!({"id": get["id"], "ok": {"room": "tea", "first": 1, "head": 5, "msgs": [message(4), message(5)]}}));
    assert_eq!(client.shown(), ["4", "5"]);
    // Back again before it was marked.
    client.talk.lost("", &mut client.out);
    client.welcome(5, 3);
    client.waits(1_000);
    assert!(client.shown().is_empty() && !client.says("get"));
}

#[test]
fn what_is_new_elsewhere_is_told_once_also_where_the_welcome_knows_of_it() {
    let mut client = Client::in_tea(0, 0);
    client.types("/join milk");
    client.enters("milk", 4, 4);
    client.types("/join tea");
    client.enters("tea", 0, 0);
    client.talk.lost("", &mut client.out);
    let rooms = json!({"tea": info(0, 0), "milk": info(5, 4)});
    client.talk.welcomed(&json!({"user": "me", "rooms": rooms}), &mut client.out);
    client.enters("tea", 0, 0);
    for seq in 5..8 {
        let mut message = message(seq);
        message["room"] = "milk".into();
        client.hears(&json!({ "msg": message }));
    }
    let new = client.out.show.iter().filter(|it| it.contains("something new in milk"));
    assert_eq!(new.count(), 1, "{:?}", client.out.show);
    // Another device has read all but the last.
    client.out.show.clear();
    client.talk.lost("", &mut client.out);
    let rooms = json!({"tea": info(0, 0), "milk": info(10, 9)});
    client.talk.welcomed(&json!({"user": "me", "rooms": rooms}), &mut client.out);
    client.enters("tea", 0, 0);
    for seq in 8..11 {
        let mut message = message(seq);
        message["room"] = "milk".into();
        client.hears(&json!({ "msg": message }));
    }
    let new = client.out.show.iter().filter(|it| it.contains("something new in milk"));
    assert_eq!(new.count(), 1, "{:?}", client.out.show);
}

#[test]
fn a_draft_is_sent_with_the_same_cid_until_it_is_stored() {
    let mut client = Client::in_tea(0, 0);
    client.types("one");
    client.types("two");
    let first = client.said("send");
    assert!(!client.says("send"), "the second one waits");
    client.talk.lost("", &mut client.out);
    client.types("three");
    assert!(!client.says("send"));
    client.welcome(0, 0);
    client.waits(0);
    let again = client.said("send");
    assert_eq!(again["send"], first["send"]);
    client
        .hears(&json!({"id": again["id"], "err": {"code": "busy", "text": "", "retry_ms": 1000}}));
    client.waits(500);
    assert!(!client.says("send"));
    client.waits(600);
    let again = client.said("send");
    assert_eq!(again["send"]["cid"], first["send"]["cid"]);
    client.hears(&json!({"id": again["id"], "ok": {"seq": 1, "ts": 0, "dup": true}}));
    let second = client.said("send");
    assert_eq!(second["send"]["body"]["text"], "two");
    client.hears(&json!({"id": second["id"], "err": {"code": "too_long", "text": "no"}}));
    assert!(client.out.complain.iter().any(|it| it.contains("not sent, no: two")));
    assert_eq!(client.said("send")["send"]["body"]["text"], "three");
}

#[test]
fn the_second_tick_is_that_of_the_last_member() {
    let mut client = Client::in_tea(0, 0);
    client.hears(&json!({"member": {"room": "tea", "user": "carol", "role": "member", "recv": 0}}));
    let mine =
        json!({"room": "tea", "seq": 1, "from": "me", "cid": "c", "ts": 0, "body": {"text": "hi"}});
    client.hears(&json!({ "msg": mine }));
    assert_eq!(client.out.show.last().unwrap(), "00:00 me: hi ✓");
    client.hears(&json!({"mark": {"room": "tea", "user": "bob", "recv": 1, "read": 1}}));
    client.hears(&json!({"mark": {"room": "tea", "user": "me", "recv": 1, "read": 1}}));
    assert!(!client.out.show.iter().any(|it| it.contains("✓✓")));
    client.hears(&json!({"mark": {"room": "tea", "user": "carol", "recv": 1, "read": 0}}));
    assert_eq!(client.out.show.last().unwrap(), "   ✓✓ hi");
}

#[test]
fn the_second_tick_is_shown_once_although_its_message_was_heard_twice() {
    let mut client = Client::in_tea(0, 0);
    client.goes_to("milk", 0);
    let mine =
        json!({"room": "tea", "seq": 2, "from": "me", "cid": "c", "ts": 0, "body": {"text": "hi"}});
    client.message(1);
    client.hears(&json!({ "msg": mine }));
    client.hears(&json!({"mark": {"room": "tea", "user": "bob", "recv": 2, "read": 2}}));
    client.goes_to("tea", 2);
    let get = client.said("get");
    client.hears(
        &json!({"id": get["id"], "ok": {"room": "tea", "first": 1, "head": 2, "msgs": [message(1), mine]}}),
    );
    client.hears(&json!({"mark": {"room": "tea", "user": "bob", "recv": 2, "read": 2}}));
    let shown = client.out.show.iter().filter(|it| it.contains("hi"));
    assert_eq!(shown.collect::<Vec<_>>(), ["00:00 me: hi ✓", "   ✓✓ hi"]);
}

#[test]
fn a_reset_begins_anew_and_a_lost_room_is_left() {
    let mut client = Client::in_tea(9, 9);
    client.hears(&json!({"reset": {"room": "tea", "epoch": "k2", "first": 3, "head": 4}}));
    client.message(3);
    client.message(4);
    assert_eq!(client.shown(), ["3", "4"]);
    assert_eq!(client.talk.at(), json!({"tea": ["k2", 4]}));
    client.hears(&json!({"removed": {"room": "tea"}}));
    client.types("anyone?");
    assert!(client.out.complain.iter().any(|it| it.contains("/join")));
    assert_eq!(client.talk.at(), json!({}));
}

#[test]
fn what_is_left_out_gets_no_second_tick() {
    let mut client = Client::in_tea(0, 0);
    client.goes_to("milk", 0);
    let mine = json!({"room": "tea", "seq": 1, "from": "me", "cid": "c", "ts": 0, "body": {"text": "from the phone"}});
    client.hears(&json!({ "msg": mine }));
    (2..=200).for_each(|seq| client.message(seq));
    client.goes_to("tea", 200);
    let get = client.said("get");
    assert_eq!(get["get"]["from"], 101, "the others are left out");
    client.hears(&json!({"id": get["id"], "ok": {"room": "tea", "first": 1, "head": 200, "msgs": [message(101)]}}));
    client.hears(&json!({"mark": {"room": "tea", "user": "bob", "recv": 200, "read": 200}}));
    assert!(!client.out.show.iter().any(|it| it.contains("✓✓")), "{:?}", client.out.show);
}

/// One that reads a pipe, in the room tea, and is done with what it had to say there.
fn pipe_in_tea() -> Client {
    let talk = Talk::new(Some(Place::Room("tea".into())), false, false, Clock::default());
    let mut client = Client { talk, now: Instant::now(), out: Out::default() };
    client.welcome(0, 0);
    client
}

#[test]
fn a_line_that_the_relay_would_not_take_is_not_sent_and_those_behind_it_are() {
    let mut client = pipe_in_tea();
    client.types(&"a".repeat(20_000));
    client.types("short");
    assert!(client.out.complain.concat().starts_with("not sent, a line has at most 16 KiB: aaa"));
    let send = client.said("send");
    assert_eq!(send["send"]["body"]["text"], "short");
    client.hears(&json!({"id": send["id"], "ok": {"room": "tea", "seq": 1, "ts": 0}}));
    client.talk.ended();
    assert_eq!(client.talk.finished(true), Some(1));
}

#[test]
fn a_pipe_into_a_room_that_one_is_put_out_of_fails_and_says_what_was_not_sent() {
    let mut client = pipe_in_tea();
    client.types("first");
    client.hears(&json!({"removed": {"room": "tea"}}));
    client.types("second");
    let complaints = ["tea: you are not in it any more", "not sent: first", "not sent: second"];
    assert_eq!(client.out.complain, complaints);
    assert_eq!(client.talk.finished(true), Some(1));
}

#[test]
fn who_has_ended_the_input_and_waits_for_nothing_does_not_wait_for_a_connection() {
    let mut client = Client::in_tea(0, 0);
    client.talk.lost("gone", &mut client.out);
    client.talk.ended();
    assert_eq!(client.talk.finished(false), Some(0));

    let mut client = Client::in_tea(0, 0);
    client.talk.lost("gone", &mut client.out);
    client.types("words");
    client.talk.ended();
    assert_eq!(client.talk.finished(false), None);
    assert!(client.talk.is_awaited());
}

#[test]
fn who_cannot_go_elsewhere_stays_where_one_was() {
    let mut client = Client::in_tea(0, 0);
    client.types("/msg nobody");
    let id = client.said("direct")["id"].clone();
    client.hears(&json!({"id": id, "err": {"code": "no_user", "text": "nobody has this name"}}));
    assert_eq!(client.out.complain, ["@nobody: nobody has this name"]);
    client.types("words");
    assert_eq!(client.said("send")["send"]["room"], "tea");
}
