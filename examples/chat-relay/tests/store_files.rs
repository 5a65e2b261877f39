//! The store's file: its lock, its version, its copy, and what happens when it is full.

#[path = "support/store.rs"]
mod support;

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use chat_relay::store::job::{Answer, Job, Refused, RoomId};
use chat_relay::store::{Store, StoreError, StoreLimits};

use support::{TempDir, do_all, do_one, make_room, open, read, register, say, search, seqs};

const REFUSED: fn(Refused) -> Answer = Answer::Refused;

#[test]
fn a_job_that_sqlite_refuses_leaves_the_others_alone() {
    let dir = TempDir::new("alone");
    let mut store = open(&dir).unwrap();
    do_all(&mut store, vec![register("ann", "t", None), make_room("r", &[1])]);
    drop(store);
    // Behind the store's back, for an error that none of its own checks foresees.
    let db = rusqlite::Connection::open(dir.path().join("relay.db")).unwrap();
    db.execute_batch(
        "CREATE TRIGGER no BEFORE INSERT ON messages WHEN new.cid = 'bad'
         BEGIN SELECT raise(ABORT, 'no such message'); END",
    )
    .unwrap();
    drop(db);
    let mut store = open(&dir).unwrap();
    let jobs = vec![say(1, 1, "a", "x"), say(1, 1, "bad", "x"), say(1, 1, "b", "x")];
    let answers = do_all(&mut store, jobs);
    let sent = |seq| Answer::Sent { seq, ts: 7, dup: false };
    assert_eq!((&answers[0], &answers[2]), (&sent(1), &sent(2)));
    assert!(
        matches!(&answers[1], Answer::Refused(Refused::Failed(text)) if text.contains("no such")),
        "{answers:?}"
    );
    assert_eq!(seqs(&search(&mut store, &[1], "x")), [2, 1]);
}

#[test]
fn two_stores_do_not_work_on_one_folder() {
    let dir = TempDir::new("lock");
    let first = open(&dir).unwrap();
    let error = open(&dir).unwrap_err();
    assert!(matches!(error, StoreError::InUse { .. }), "{error:?}");
    assert!(error.to_string().contains("another relay"), "{error}");
    drop(first);
    open(&dir).unwrap();
}

#[test]
fn an_empty_file_is_filled_and_a_newer_one_is_refused() {
    let dir = TempDir::new("versions");
    fs::create_dir(dir.path()).unwrap();
    let file = dir.path().join("relay.db");
    fs::write(&file, "").unwrap();
    drop(open(&dir).unwrap());
    let db = rusqlite::Connection::open(&file).unwrap();
    db.pragma_update(None, "user_version", 1000).unwrap();
    drop(db);
    let error = open(&dir).unwrap_err();
    assert!(matches!(error, StoreError::Newer { found: 1000, .. }), "{error:?}");
    fs::write(&file, "no database at all, but a text that is long enough to be one".repeat(99))
        .unwrap();
    assert!(matches!(open(&dir), Err(StoreError::Sqlite(_))));
}

#[cfg(unix)]
#[test]
fn the_folder_is_its_owners() {
    use std::os::unix::fs::PermissionsExt;
    let dir = TempDir::new("mode");
    drop(open(&dir).unwrap());
    assert_eq!(fs::metadata(dir.path()).unwrap().permissions().mode() & 0o777, 0o700);
}

#[cfg(unix)]
#[test]
fn the_files_are_their_owners_in_a_folder_that_was_there_too() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = TempDir::new("modes");
    fs::create_dir(dir.path()).unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let mut store = open(&dir).unwrap();
    do_all(&mut store, vec![register("ann", "t", None)]);
    let mut names = Vec::new();
    for entry in fs::read_dir(dir.path()).unwrap().map(Result::unwrap) {
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{entry:?}");
        names.push(entry.file_name().into_string().unwrap());
    }
    names.sort();
    assert_eq!(names, ["relay.db", "relay.db-shm", "relay.db-wal", "relay.lock"]);
}

#[test]
fn whether_a_relay_runs_is_seen_by_its_lock() {
    let dir = TempDir::new("in-use");
    assert!(!Store::is_in_use(dir.path()));
    let store = open(&dir).unwrap();
    assert!(Store::is_in_use(dir.path()));
    drop(store);
    assert!(!Store::is_in_use(dir.path()));
    open(&dir).unwrap();
}

#[test]
fn a_backup_of_a_store_at_work_is_a_store() {
    let dir = TempDir::new("backup");
    let mut store = open(&dir).unwrap();
    do_all(&mut store, vec![register("ann", "t", None), make_room("r", &[1])]);
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = stop.clone();
    let writer = std::thread::spawn(move || {
        let mut sent = 0_u64;
        while !stopped.load(Ordering::Relaxed) {
            sent += 1;
            let answer = do_one(&mut store, say(1, 1, &format!("c{sent}"), "word"));
            assert_eq!(answer, Answer::Sent { seq: sent, ts: 7, dup: false });
        }
        (store, sent)
    });
    let copies = TempDir::new("copies");
    for name in ["a", "b", "c"] {
        let folder = copies.path().join(name);
        fs::create_dir_all(&folder).unwrap();
        let copy = folder.join("relay.db");
        Store::backup(dir.path(), &copy).unwrap();
        assert!(matches!(Store::backup(dir.path(), &copy), Err(StoreError::Exists { .. })));
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
    }
    stop.store(true, Ordering::Relaxed);
    let (store, sent) = writer.join().unwrap();
    drop(store);
    let closed = copies.path().join("closed.db");
    Store::backup(dir.path(), &closed).unwrap();
    fs::create_dir(copies.path().join("d")).unwrap();
    fs::rename(closed, copies.path().join("d/relay.db")).unwrap();
    let mut heads = Vec::new();
    let mut epochs = std::collections::HashSet::from(["e".to_owned()]);
    for name in ["a", "b", "c", "d"] {
        let mut copy = Store::open(&copies.path().join(name), &StoreLimits::default()).unwrap();
        let room = copy.inventory().unwrap().rooms[0].clone();
        let head = room.head;
        assert!(epochs.insert(room.epoch), "a copy is another log");
        assert!(seqs(&do_one(&mut copy, read(1, 1, head))).into_iter().eq(1..=head));
        assert_eq!(
            do_one(&mut copy, say(1, 1, "new", "")),
            Answer::Sent { seq: head + 1, ts: 7, dup: false }
        );
        heads.push(head);
    }
    assert!(heads.is_sorted() && heads.last() == Some(&sent), "{heads:?} {sent}");
    assert!(Store::backup(copies.path(), &dir.path().join("none.db")).is_err());
    assert!(!dir.path().join("none.db").exists());
}

#[test]
fn a_full_file_is_read_on_and_written_again_after_space_is_made() {
    let dir = TempDir::new("full");
    let limits = StoreLimits { data_bytes_max: Some(400 * 1024) };
    let mut store = Store::open(dir.path(), &limits).unwrap();
    do_all(&mut store, vec![register("ann", "t", None), make_room("r", &[1])]);
    let vouched = |name: &str| Job::Vouched { key: name.into(), shown: name.into(), now_ms: 5 };
    let mut cids = 0_u64;
    let mut head = 0;
    for round in 0..3 {
        let mut full = false;
        while !full {
            let mut jobs: Vec<Job> =
                (0..50).map(|n| say(1, 1, &format!("c{}", cids + n), "a few words")).collect();
            jobs.push(read(1, head, head));
            jobs.push(Job::Resume { token: "t".into(), now_ms: 1 << 40 });
            jobs.push(vouched("ann"));
            jobs.push(vouched(&format!("new{cids}")));
            cids += 50;
            let answers = do_all(&mut store, jobs);
            full = answers[0] == REFUSED(Refused::Full);
            for (answer, seq) in answers[..50].iter().zip(head + 1..) {
                let sent = Answer::Sent { seq, ts: 7, dup: false };
                assert_eq!(answer, if full { &answers[0] } else { &sent });
            }
            head += if full { 0 } else { 50 };
            assert!(matches!(answers[50], Answer::Page { .. }), "{:?}", answers[50]);
            for answer in &answers[51..53] {
                assert!(matches!(answer, Answer::Person(_)), "{answer:?}");
            }
            assert_eq!(answers[53] == answers[0], full, "{:?}", answers[53]);
        }
        let stored = store.inventory().unwrap().rooms[0].clone();
        assert!(stored.head == head && head > 100, "{stored:?} {head}");
        drop(store);
        store = Store::open(dir.path(), &limits).unwrap();
        let mut messages = Vec::new();
        while let next = stored.first + messages.len() as u64
            && next <= head
        {
            messages.extend(seqs(&do_one(&mut store, read(1, next, head))));
        }
        assert!(messages.into_iter().eq(stored.first..=head), "round {round}");
        let retain = Job::Retain { before_ms: None, messages_max: Some(20), at_once: 1 << 20 };
        let answers = do_all(&mut store, vec![retain, say(1, 1, "again", "")]);
        let firsts = vec![(RoomId(1), head - 19)];
        assert_eq!(answers[0], Answer::Retained { firsts, more: false }, "round {round}");
        // Where space was made without a second try, there was some for this one, too.
        head += u64::from(matches!(answers[1], Answer::Sent { .. }));
    }
}
