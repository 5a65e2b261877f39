//! What the tests of the store share.
#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may fail by panicking"
)]

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use chat_relay::store::job::{Access, Answer, Job, Known, PersonId, Role, RoomId};
use chat_relay::store::{Request, Store, StoreError, StoreLimits};

/// A folder that is not there yet, and gone with its guard.
pub(crate) struct TempDir(PathBuf);

impl TempDir {
    pub(crate) fn new(name: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("chat-relay-store-{name}-{}-{next}", std::process::id());
        Self(std::env::temp_dir().join(name))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub(crate) fn open(dir: &TempDir) -> Result<Store, StoreError> {
    Store::open(dir.path(), &StoreLimits::default())
}

pub(crate) fn do_all(store: &mut Store, jobs: Vec<Job>) -> Vec<Answer> {
    let count = jobs.len();
    let requests = jobs.into_iter().enumerate().map(|(context, job)| Request { context, job });
    let replies = store.run(requests.collect());
    assert!(replies.iter().map(|reply| reply.context).eq(0..count));
    replies.into_iter().map(|reply| reply.answer).collect()
}

pub(crate) fn do_one(store: &mut Store, job: Job) -> Answer {
    do_all(store, vec![job]).remove(0)
}

pub(crate) fn known(person: u32, key: &str, last_seen_ms: u64) -> Known {
    Known {
        person: PersonId(person),
        key: key.into(),
        shown: key.into(),
        last_seen_ms,
        blocked: false,
    }
}

/// At 5, with the device "first".
pub(crate) fn register(key: &str, token: &str, invitation: Option<&str>) -> Job {
    Job::Register {
        key: key.into(),
        shown: key.into(),
        token: token.into(),
        device: "first".into(),
        password_hash: Some(format!("hash of {key}")),
        invitation: invitation.map(Into::into),
        now_ms: 5,
    }
}

pub(crate) fn make_room(name: &str, owners: &[u32]) -> Job {
    Job::MakeRoom {
        name: name.into(),
        epoch: "e".into(),
        access: Access::Open,
        members: owners.iter().map(|&person| (PersonId(person), Role::Owner)).collect(),
        now_ms: 5,
    }
}

/// At 7.
pub(crate) fn say(room: u32, from: u32, cid: &str, text: &str) -> Job {
    Job::Send {
        room: RoomId(room),
        from: PersonId(from),
        cid: cid.into(),
        body: serde_json::json!({"text": text}).to_string().into(),
        now_ms: 7,
    }
}

/// Person 1 in room 1, with messages from 1 on, at as many milliseconds, with the text "word".
pub(crate) fn room_with(messages: u64) -> Store {
    let mut store = Store::in_memory().unwrap();
    let mut jobs = vec![register("ann", "t", None), make_room("r", &[1])];
    for n in 1..=messages {
        let mut job = say(1, 1, &format!("c{n}"), "word");
        if let Job::Send { now_ms, .. } = &mut job {
            *now_ms = n;
        }
        jobs.push(job);
    }
    do_all(&mut store, jobs);
    store
}

pub(crate) fn read(room: u32, from: u64, to: u64) -> Job {
    Job::Read { room: RoomId(room), from, to, messages_max: 1000, bytes_max: 1 << 20 }
}

pub(crate) fn search(store: &mut Store, rooms: &[u32], words: &str) -> Answer {
    let rooms = rooms.iter().map(|&room| RoomId(room)).collect();
    let (words, messages_max, bytes_max) = (words.into(), 100, 1 << 20);
    do_one(store, Job::Search { rooms, words, before: None, messages_max, bytes_max })
}

pub(crate) fn seqs(answer: &Answer) -> Vec<u64> {
    match answer {
        Answer::Page { messages, .. } | Answer::Found { messages, .. } => {
            messages.iter().map(|message| message.seq).collect()
        }
        other => panic!("{other:?}"),
    }
}
