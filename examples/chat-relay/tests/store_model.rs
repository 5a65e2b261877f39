//! The store against a model of plain collections: the same jobs, in batches of any size, give the same answers, and a
//! store that was closed and opened again has the same inventory.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may fail by panicking"
)]

#[path = "support/store.rs"]
mod support;

use std::collections::BTreeMap;

use chat_relay::store::Store;
use chat_relay::store::job::{Answer, Job, PersonId, Refused, Role, RoomId};
use proptest::prelude::*;

use support::{TempDir, do_all, open, register};

const PEOPLE: u32 = 3;
const NAMES: u32 = 3;

#[derive(Default)]
struct Model {
    rooms: BTreeMap<u32, ModelRoom>,
    made: u32,
    sent: u64,
}

#[derive(Default)]
struct ModelRoom {
    name: String,
    head: u64,
    last_ts: u64,
    log: Vec<ModelMessage>,
    members: BTreeMap<u32, (Role, u64, u64)>,
}

#[derive(Clone)]
struct ModelMessage {
    order: u64,
    seq: u64,
    from: u32,
    cid: String,
    ts: u64,
    body: String,
    text: Option<String>,
}

impl ModelRoom {
    fn first(&self) -> u64 {
        self.head - self.log.len() as u64 + 1
    }
}

/// The part of a message that a model knows.
type Shown = (u64, String, String, u64, String);

/// An answer without the numbers that are the store's own.
#[derive(Debug, PartialEq)]
enum Plain {
    Page(u64, Vec<Shown>),
    Found(Vec<(u32, Shown)>, bool),
    Other(Answer),
}

fn plain(answer: Answer) -> Plain {
    let shown = |m: &chat_relay::store::job::Message| {
        (m.seq, m.from.to_string(), m.cid.clone(), m.ts, m.body.clone())
    };
    match answer {
        Answer::Page { first, messages } => {
            Plain::Page(first, messages.iter().map(shown).collect())
        }
        Answer::Found { messages, next } => {
            Plain::Found(messages.iter().map(|m| (m.room.0, shown(m))).collect(), next.is_some())
        }
        other => Plain::Other(other),
    }
}

impl ModelMessage {
    fn shown(&self) -> Shown {
        (self.seq, format!("p{}", self.from), self.cid.clone(), self.ts, self.body.clone())
    }
}

impl Model {
    fn answer(&mut self, job: &Job) -> Plain {
        match job {
            Job::MakeRoom { name, members, .. } => Plain::Other(self.make(name, members)),
            Job::Retain { before_ms, messages_max, at_once } => {
                Plain::Other(self.retain(*before_ms, *messages_max, u64::from(*at_once)))
            }
            Job::Search { rooms, words, before: None, messages_max, .. } => {
                self.search(rooms, words, *messages_max)
            }
            Job::SetRole { room, .. }
            | Job::ForgetRoom { room }
            | Job::Send { room, .. }
            | Job::Read { room, .. }
            | Job::Mark { room, .. } => {
                if matches!(job, Job::ForgetRoom { .. }) && self.rooms.remove(&room.0).is_some() {
                    return Plain::Other(Answer::Done);
                }
                match self.rooms.get_mut(&room.0) {
                    Some(room) => room.answer(job, &mut self.sent),
                    None => Plain::Other(Answer::Refused(Refused::NoRoom)),
                }
            }
            other => panic!("no job of this test: {other:?}"),
        }
    }

    fn make(&mut self, name: &str, members: &[(PersonId, Role)]) -> Answer {
        if self.rooms.values().any(|room| room.name == name) {
            return Answer::Refused(Refused::Exists);
        }
        if members.iter().any(|(person, _)| person.0 > PEOPLE) {
            return Answer::Refused(Refused::Unknown);
        }
        self.made += 1;
        let members = members.iter().map(|&(person, role)| (person.0, (role, 0, 0))).collect();
        let room = ModelRoom { name: name.into(), members, ..ModelRoom::default() };
        self.rooms.insert(self.made, room);
        Answer::Room(RoomId(self.made))
    }

    fn retain(&mut self, before: Option<u64>, max: Option<u64>, at_once: u64) -> Answer {
        let mut left = at_once;
        let mut firsts = Vec::new();
        for (&id, room) in &mut self.rooms {
            let old = |room: &ModelRoom| {
                room.log.first().is_some_and(|m| before.is_some_and(|before| m.ts < before))
                    || max.is_some_and(|max| room.log.len() as u64 > max)
            };
            let first = room.first();
            while left > 0 && old(room) {
                room.log.remove(0);
                left -= 1;
            }
            if room.first() > first {
                firsts.push((RoomId(id), room.first()));
            }
            if old(room) {
                return Answer::Retained { firsts, more: true };
            }
        }
        Answer::Retained { firsts, more: false }
    }

    fn search(&self, rooms: &[RoomId], words: &str, max: u32) -> Plain {
        let mut found: Vec<_> = rooms
            .iter()
            .filter_map(|id| Some((id.0, self.rooms.get(&id.0)?)))
            .flat_map(|(id, room)| room.log.iter().map(move |message| (id, message)))
            .filter(|(_, m)| m.text.as_deref().is_some_and(|text| matches_words(text, words)))
            .collect();
        found.sort_by_key(|(_, message)| std::cmp::Reverse(message.order));
        found.dedup_by_key(|(_, message)| message.order);
        let max = (max as usize).max(1);
        let more = found.len() > max;
        found.truncate(max);
        Plain::Found(found.into_iter().map(|(id, message)| (id, message.shown())).collect(), more)
    }
}

fn matches_words(text: &str, words: &str) -> bool {
    let words: Vec<&str> = words.split_whitespace().collect();
    let Some((last, others)) = words.split_last() else { return false };
    let mut has = text.split_whitespace();
    others.iter().all(|word| text.split_whitespace().any(|has| has == *word))
        && has.any(|has| has.starts_with(last))
}

impl ModelRoom {
    fn answer(&mut self, job: &Job, sent: &mut u64) -> Plain {
        match job {
            Job::Read { from, to, messages_max, bytes_max, .. } => {
                let mut page: Vec<Shown> = Vec::new();
                let mut bytes = 0;
                for message in self.log.iter().filter(|m| (*from..=*to).contains(&m.seq)) {
                    // The names of people and rooms have two letters.
                    bytes += 94 + message.cid.len() + message.body.len();
                    let fits = bytes <= *bytes_max && page.len() < *messages_max as usize;
                    if !fits && !page.is_empty() {
                        break;
                    }
                    page.push(message.shown());
                }
                Plain::Page(self.first(), page)
            }
            Job::Send { from, cid, body, now_ms, .. } => {
                Plain::Other(self.send(from.0, cid, body, *now_ms, sent))
            }
            Job::SetRole { person, role, .. } => Plain::Other(self.set_role(person.0, *role)),
            Job::Mark { person, recv, read, .. } => {
                let Some((_, had_recv, had_read)) = self.members.get_mut(&person.0) else {
                    return Plain::Other(Answer::Refused(Refused::Unknown));
                };
                *had_read = (*had_read).max((*read).min(self.head));
                *had_recv = (*had_recv).max((*recv).max(*read).min(self.head));
                Plain::Other(Answer::Marked { recv: *had_recv, read: *had_read })
            }
            other => panic!("no job of a room: {other:?}"),
        }
    }

    fn set_role(&mut self, person: u32, role: Option<Role>) -> Answer {
        if person > PEOPLE {
            return Answer::Refused(Refused::Unknown);
        }
        match role {
            Some(role) => {
                self.members.entry(person).or_insert((role, self.head, self.head)).0 = role;
            }
            None => drop(self.members.remove(&person)),
        }
        Answer::Done
    }

    fn send(&mut self, from: u32, cid: &str, body: &str, now_ms: u64, sent: &mut u64) -> Answer {
        if let Some(had) = self.log.iter().find(|m| m.from == from && m.cid == cid) {
            return Answer::Sent { seq: had.seq, ts: had.ts, dup: true };
        }
        if from > PEOPLE {
            return Answer::Refused(Refused::Unknown);
        }
        self.head += 1;
        self.last_ts = self.last_ts.max(now_ms);
        *sent += 1;
        let (seq, ts) = (self.head, self.last_ts);
        let said: serde_json::Value = serde_json::from_str(body).unwrap();
        let text = said["text"].as_str().map(Into::into);
        let (cid, body) = (cid.into(), body.into());
        self.log.push(ModelMessage { order: *sent, seq, from, cid, ts, body, text });
        Answer::Sent { seq, ts, dup: false }
    }
}

fn job() -> impl Strategy<Value = Job> {
    // One more than there are, of each.
    let room = || (1..=6_u32).prop_map(RoomId);
    let person = || (1..=PEOPLE + 1).prop_map(PersonId);
    let role = || prop::sample::select(vec![Role::Reader, Role::Member, Role::Owner]);
    let words = || prop::collection::vec("(tea|team|green|gr|t)", 0..3).prop_map(|w| w.join(" "));
    let send = (room(), person(), 0..40_u32, 0..30_usize, prop::option::of(words()), 0..50_u64)
        .prop_map(|(room, from, cid, bytes, text, now_ms)| {
            let body = serde_json::json!({"text": text, "more": "x".repeat(bytes)});
            let (cid, body) = (format!("c{cid}"), body.to_string().into());
            Job::Send { room, from, cid, body, now_ms }
        });
    let read = (room(), 0..30_u64, 0..30_u64, 0..6_u32, 0..800_usize).prop_map(
        |(room, from, to, messages_max, bytes_max)| Job::Read {
            room,
            from,
            to,
            messages_max,
            bytes_max,
        },
    );
    let make = (0..NAMES, prop::collection::vec((person(), role()), 0..3)).prop_map(
        |(name, mut members)| {
            members.dedup_by_key(|(person, _)| *person);
            let (name, epoch) = (format!("r{name}").into(), "e".into());
            let access = chat_relay::store::job::Access::Open;
            Job::MakeRoom { name, epoch, access, members, now_ms: 0 }
        },
    );
    let retain = (prop::option::of(0..50_u64), prop::option::of(0..9_u64), 0..6_u32).prop_map(
        |(before_ms, messages_max, at_once)| Job::Retain { before_ms, messages_max, at_once },
    );
    let search = (prop::collection::vec(room(), 0..5), words(), 0..4_u32).prop_map(
        |(rooms, words, messages_max)| {
            let (before, bytes_max) = (None, 1 << 20);
            Job::Search { rooms, words, before, messages_max, bytes_max }
        },
    );
    prop_oneof![
        20 => send,
        4 => read,
        3 => make,
        2 => retain,
        3 => search,
        3 => (room(), person(), prop::option::of(role()))
            .prop_map(|(room, person, role)| Job::SetRole { room, person, role }),
        3 => (room(), person(), 0..30_u64, 0..30_u64)
            .prop_map(|(room, person, recv, read)| Job::Mark { room, person, recv, read }),
        1 => room().prop_map(|room| Job::ForgetRoom { room }),
    ]
}

fn compare_inventory(store: &mut Store, model: &Model) -> Result<(), TestCaseError> {
    let inventory = store.inventory().unwrap();
    prop_assert_eq!(inventory.people.len(), PEOPLE as usize);
    prop_assert_eq!(inventory.rooms.len(), model.rooms.len());
    for (stored, (&id, room)) in inventory.rooms.iter().zip(&model.rooms) {
        prop_assert_eq!(
            (stored.room.0, &*stored.name, stored.first, stored.head),
            (id, room.name.as_str(), room.first(), room.head)
        );
        let members: Vec<_> =
            stored.members.iter().map(|m| (m.person.0, (m.role, m.recv, m.read))).collect();
        prop_assert_eq!(members, room.members.clone().into_iter().collect::<Vec<_>>());
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn the_store_does_what_the_model_does(
        batches in prop::collection::vec((prop::collection::vec(job(), 1..25), any::<bool>()), 1..12),
    ) {
        let dir = TempDir::new("model");
        let mut store = open(&dir).unwrap();
        let mut model = Model::default();
        let people = (1..=PEOPLE).map(|n| register(&format!("p{n}"), &format!("t{n}"), None));
        do_all(&mut store, people.collect());
        for (jobs, reopened) in batches {
            let answers = do_all(&mut store, jobs.clone());
            for (job, answer) in jobs.iter().zip(answers) {
                prop_assert_eq!(plain(answer), model.answer(job), "{:?}", job);
            }
            compare_inventory(&mut store, &model)?;
            if reopened {
                drop(store);
                store = open(&dir).unwrap();
                compare_inventory(&mut store, &model)?;
            }
        }
    }
}
