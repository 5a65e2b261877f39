//! People and rooms that are in a store before anything is measured.

use std::sync::Arc;

use chat_relay::store::job::{Access, Answer, Job, PersonId, Role, RoomId};
use chat_relay::store::{Request, Store};

const NOW_MS: u64 = 1_790_000_000_000;
pub(crate) const EPOCH: &str = "0123456789ab";
/// Jobs of one transaction.
const BATCH: usize = 4096;

/// The secret of a person: their number, counted from 1, in the form that the relay's own have.
pub(crate) fn token(person: usize) -> String {
    format!("{person:032x}")
}

/// Which people are in which rooms.
pub(crate) struct Plan {
    people: usize,
    rooms: Vec<(String, Access, Vec<usize>)>,
}

impl Plan {
    /// Each person alone in a room `r1`, `r2` and so on.
    pub(crate) fn alone(people: usize) -> Self {
        let room = |n| (format!("r{n}"), Access::Open, vec![n]);
        Self { people, rooms: (1..=people).map(room).collect() }
    }

    /// All people in `r1`.
    pub(crate) fn together(people: usize) -> Self {
        let room = ("r1".to_owned(), Access::Open, (1..=people).collect());
        Self { people, rooms: vec![room] }
    }

    /// Everybody in a group of 50; of each 50, 25 also in a room of 2,500 at most, the others each in a room of two.
    pub(crate) fn mixed(people: usize) -> Self {
        let all: Vec<usize> = (1..=people).collect();
        let mut rooms = Vec::new();
        for (n, group) in all.chunks(50).enumerate() {
            rooms.push((format!("group-{n}"), Access::Open, group.to_vec()));
        }
        let (crowd, pairs): (Vec<usize>, Vec<usize>) = all.iter().partition(|n| *n % 50 < 25);
        for (n, crowd) in crowd.chunks(2_500).enumerate() {
            rooms.push((format!("crowd-{n}"), Access::Open, crowd.to_vec()));
        }
        for pair in pairs.chunks(2).filter(|pair| pair.len() == 2) {
            rooms.push((format!("@{}-{}", pair[0], pair[1]), Access::Direct, pair.to_vec()));
        }
        Self { people, rooms }
    }

    /// As the command line names it.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (name, people) = text.split_once(':')?;
        let people = people.parse().ok()?;
        match name {
            "alone" => Some(Self::alone(people)),
            "together" => Some(Self::together(people)),
            "mixed" => Some(Self::mixed(people)),
            _ => None,
        }
    }

    /// Puts them into an empty store. Then people and rooms have the numbers from 1.
    pub(crate) fn put_into(&self, store: &mut Store) {
        let register = |n: usize| {
            let name: Arc<str> = format!("person-{n:05}").into();
            Job::Register {
                key: name.clone(),
                shown: name,
                token: token(n),
                device: "d".to_owned(),
                password_hash: None,
                invitation: None,
                now_ms: NOW_MS,
            }
        };
        run_all(store, (1..=self.people).map(register));
        let make = |(name, access, members): &(String, Access, Vec<usize>)| {
            let person = |n: &usize| PersonId(u32::try_from(*n).unwrap());
            Job::MakeRoom {
                name: name.as_str().into(),
                epoch: EPOCH.to_owned(),
                access: *access,
                members: members.iter().map(|n| (person(n), Role::Member)).collect(),
                now_ms: NOW_MS,
            }
        };
        run_all(store, self.rooms.iter().map(make));
    }
}

/// A message of a person to a room, which has a `cid` of its own.
pub(crate) fn message(room: usize, from: usize, number: usize) -> Job {
    let text = format!("message {number}, some words as people write them");
    Job::Send {
        room: RoomId(u32::try_from(room).unwrap()),
        from: PersonId(u32::try_from(from).unwrap()),
        cid: format!("c{number:012}"),
        body: format!(r#"{{"text":"{text}"}}"#).into(),
        now_ms: NOW_MS,
    }
}

/// Does jobs, many in one transaction; none may be refused.
pub(crate) fn run_all(store: &mut Store, jobs: impl Iterator<Item = Job>) {
    let mut jobs = jobs.map(|job| Request { context: (), job }).peekable();
    while jobs.peek().is_some() {
        for reply in store.run(jobs.by_ref().take(BATCH).collect()) {
            assert!(!matches!(reply.answer, Answer::Refused(_)), "{:?}", reply.answer);
        }
    }
}
