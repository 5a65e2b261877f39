//! The store: each job and its refusals, and what search makes of words.

#[path = "support/store.rs"]
mod support;

use chat_relay::store::Store;
use chat_relay::store::job::{Access, Answer, Job, PersonId, Refused, Role, RoomId};

use support::{do_all, do_one, known, make_room, read, register, room_with, say, search, seqs};

const REFUSED: fn(Refused) -> Answer = Answer::Refused;

#[test]
fn a_token_is_good_until_it_is_dropped() {
    let mut store = Store::in_memory().unwrap();
    let resume = |token: &str| Job::Resume { token: token.into(), now_ms: 9 };
    let sign_in = |person, token: &str, device: &str| Job::SignIn {
        person: PersonId(person),
        token: token.into(),
        device: device.into(),
        now_ms: 9,
    };
    let sign_out =
        |token: Option<&str>| Job::SignOut { person: PersonId(1), token: token.map(Into::into) };
    let block = |blocked| Job::Block { person: PersonId(1), blocked };
    let ann = || known(1, "ann", 5);
    let blocked = || Answer::Person(chat_relay::store::job::Known { blocked: true, ..ann() });
    let is_ann = || Answer::Person(ann());
    let unknown = || REFUSED(Refused::Unknown);
    let table = [
        (register("ann", "t1", None), is_ann()),
        (register("ann", "t2", None), REFUSED(Refused::Exists)),
        (register("bob", "t1", None), REFUSED(Refused::Exists)),
        (register("bob", "b1", None), Answer::Person(known(2, "bob", 5))),
        (resume("t1"), is_ann()),
        (resume("t2"), unknown()),
        (sign_in(1, "t2", "phone"), is_ann()),
        (resume("t1"), is_ann()),
        (sign_in(1, "t3", "first"), is_ann()),
        (resume("t1"), unknown()),
        (resume("t3"), is_ann()),
        (sign_in(9, "t9", "first"), unknown()),
        (sign_in(1, "b1", "first"), REFUSED(Refused::Exists)),
        (sign_out(Some("b1")), Answer::Done),
        (resume("b1"), Answer::Person(known(2, "bob", 5))),
        (sign_out(Some("t2")), Answer::Done),
        (resume("t2"), unknown()),
        (resume("t3"), is_ann()),
        (sign_out(None), Answer::Done),
        (resume("t3"), unknown()),
        (sign_in(1, "t4", "first"), is_ann()),
        (block(true), Answer::Done),
        (resume("t4"), REFUSED(Refused::Blocked)),
        (sign_in(1, "t4", "first"), REFUSED(Refused::Blocked)),
        (Job::Find { key: "ann".into() }, blocked()),
        (
            Job::Vouched { key: "ann".into(), shown: "ann".into(), now_ms: 9 },
            REFUSED(Refused::Blocked),
        ),
        (block(false), Answer::Done),
        (resume("t4"), is_ann()),
        (sign_in(1, "t4", "first"), is_ann()),
        (Job::Block { person: PersonId(9), blocked: true }, unknown()),
    ];
    for (index, (job, answer)) in table.into_iter().enumerate() {
        assert_eq!(do_one(&mut store, job.clone()), answer, "{index}: {job:?}");
    }
}

#[test]
fn people_are_found_listed_vouched_for_and_forgotten() {
    let mut store = Store::in_memory().unwrap();
    let vouched =
        |key: &str| Job::Vouched { key: key.into(), shown: key.to_uppercase().into(), now_ms: 5 };
    let find = |key: &str| Job::Find { key: key.into() };
    let forget = |person| Job::ForgetPerson { person: PersonId(person) };
    let people = |after: &str| Job::People { after: after.into(), people_max: 2 };
    let shown = |person, key: &str, at| {
        let mut known = known(person, key, at);
        known.shown = key.to_uppercase().into();
        known
    };
    let seen = |person, at_ms| Job::Seen { person: PersonId(person), at_ms };
    let without_password = |key: &str, token: &str| {
        let mut job = register(key, token, None);
        if let Job::Register { password_hash, .. } = &mut job {
            *password_hash = None;
        }
        job
    };
    let hash = |person, hash: Option<&str>| Answer::PasswordHash {
        person: PersonId(person),
        hash: hash.map(Into::into),
    };
    let table = [
        (vouched("cy"), Answer::Person(shown(1, "cy", 5))),
        (vouched("cy"), Answer::Person(shown(1, "cy", 5))),
        (vouched("ann"), Answer::Person(shown(2, "ann", 5))),
        (vouched("bob"), Answer::Person(shown(3, "bob", 5))),
        (people(""), Answer::People(vec![shown(2, "ann", 5), shown(3, "bob", 5)])),
        (people("bob"), Answer::People(vec![shown(1, "cy", 5)])),
        (people("cy"), Answer::People(vec![])),
        (seen(2, 20), Answer::Done),
        (seen(2, 10), Answer::Done),
        (seen(9, 10), REFUSED(Refused::Unknown)),
        (find("ann"), Answer::Person(shown(2, "ann", 20))),
        (find("Ann"), REFUSED(Refused::Unknown)),
        (Job::PasswordHash { key: "ann".into() }, hash(2, None)),
        (Job::PasswordHash { key: "eve".into() }, REFUSED(Refused::Unknown)),
        (register("dan", "t", None), Answer::Person(known(4, "dan", 5))),
        (Job::PasswordHash { key: "dan".into() }, hash(4, Some("hash of dan"))),
        (forget(9), REFUSED(Refused::Unknown)),
        (make_room("r", &[1]), Answer::Room(RoomId(1))),
        (say(1, 2, "c", ""), Answer::Sent { seq: 1, ts: 7, dup: false }),
        (forget(1), REFUSED(Refused::Exists)),
        (forget(2), REFUSED(Refused::Exists)),
        (forget(4), REFUSED(Refused::Exists)),
        (without_password("fay", "u"), Answer::Person(known(5, "fay", 5))),
        (Job::Block { person: PersonId(5), blocked: true }, Answer::Done),
        (forget(5), REFUSED(Refused::Exists)),
        (Job::Block { person: PersonId(5), blocked: false }, Answer::Done),
        (forget(5), Answer::Done),
        (find("fay"), REFUSED(Refused::Unknown)),
        (Job::Resume { token: "u".into(), now_ms: 9 }, REFUSED(Refused::Unknown)),
        (vouched("fay"), Answer::Person(shown(6, "fay", 5))),
    ];
    for (index, (job, answer)) in table.into_iter().enumerate() {
        assert_eq!(do_one(&mut store, job.clone()), answer, "{index}: {job:?}");
    }
}

#[test]
fn an_invitation_is_good_for_so_many_people_and_so_long() {
    let mut store = Store::in_memory().unwrap();
    let invite = |code: &str, uses, until_ms| Job::Invite { code: code.into(), uses, until_ms };
    let bad = || REFUSED(Refused::BadInvitation);
    // `register` comes at 5.
    let table = [
        (invite("two", 2, 5), Answer::Done),
        (invite("two", 9, 9), REFUSED(Refused::Exists)),
        (invite("old", 2, 4), Answer::Done),
        (invite("none", 0, 9), Answer::Done),
        (register("a", "1", Some("two")), Answer::Person(known(1, "a", 5))),
        (register("a", "2", Some("two")), REFUSED(Refused::Exists)),
        (register("b", "2", Some("two")), Answer::Person(known(2, "b", 5))),
        (register("c", "3", Some("two")), bad()),
        (register("c", "3", Some("old")), bad()),
        (register("c", "3", Some("none")), bad()),
        (register("c", "3", Some("what")), bad()),
        (Job::Find { key: "c".into() }, REFUSED(Refused::Unknown)),
    ];
    for (index, (job, answer)) in table.into_iter().enumerate() {
        assert_eq!(do_one(&mut store, job.clone()), answer, "{index}: {job:?}");
    }
}

#[test]
fn rooms_members_and_marks() {
    let mut store = Store::in_memory().unwrap();
    let set =
        |room, person, role| Job::SetRole { room: RoomId(room), person: PersonId(person), role };
    let mark =
        |person, recv, read| Job::Mark { room: RoomId(1), person: PersonId(person), recv, read };
    let marked = |recv, read| Answer::Marked { recv, read };
    let sent = |seq| Answer::Sent { seq, ts: 7, dup: false };
    let unknown = || REFUSED(Refused::Unknown);
    let no_room = || REFUSED(Refused::NoRoom);
    let table = [
        (register("a", "1", None), Answer::Person(known(1, "a", 5))),
        (register("b", "2", None), Answer::Person(known(2, "b", 5))),
        (make_room("r", &[1, 9]), unknown()),
        (make_room("r", &[1]), Answer::Room(RoomId(1))),
        (make_room("r", &[2]), REFUSED(Refused::Exists)),
        (say(1, 1, "x", ""), sent(1)),
        (say(1, 1, "y", ""), sent(2)),
        (say(1, 9, "x", ""), unknown()),
        (say(9, 1, "x", ""), no_room()),
        (set(1, 2, Some(Role::Reader)), Answer::Done),
        (set(1, 9, Some(Role::Reader)), unknown()),
        (set(9, 1, None), no_room()),
        (mark(2, 0, 0), marked(2, 2)),
        (mark(1, 1, 0), marked(1, 0)),
        (set(1, 1, Some(Role::Reader)), Answer::Done),
        (mark(1, 0, 0), marked(1, 0)),
        (mark(1, 0, 99), marked(2, 2)),
        (set(1, 1, None), Answer::Done),
        (mark(1, 9, 9), unknown()),
        (set(1, 1, None), Answer::Done),
        (Job::Mark { room: RoomId(9), person: PersonId(1), recv: 0, read: 0 }, no_room()),
        (Job::ForgetRoom { room: RoomId(9) }, no_room()),
        (Job::ForgetRoom { room: RoomId(1) }, Answer::Done),
        (say(1, 1, "x", ""), no_room()),
        (read(1, 1, 9), no_room()),
        (make_room("r", &[]), Answer::Room(RoomId(2))),
        (say(2, 1, "x", ""), sent(1)),
    ];
    for (index, (job, answer)) in table.into_iter().enumerate() {
        assert_eq!(do_one(&mut store, job.clone()), answer, "{index}: {job:?}");
    }
    let inventory = store.inventory().unwrap();
    assert_eq!((inventory.people.len(), inventory.rooms.len()), (2, 1));
    let room = inventory.rooms.first().unwrap();
    assert_eq!((room.first, room.head, room.access), (1, 1, Access::Open));
}

#[test]
fn a_repeated_message_gets_the_first_answer_and_times_do_not_go_back() {
    let mut store = room_with(0);
    let say_at = |cid: &str, now_ms| Job::Send {
        room: RoomId(1),
        from: PersonId(1),
        cid: cid.into(),
        body: "{}".into(),
        now_ms,
    };
    let answers = do_all(
        &mut store,
        vec![say_at("a", 10), say_at("b", 4), say_at("a", 20), say_at("c", u64::MAX)],
    );
    let latest = u64::MAX >> 1;
    for (answer, (seq, ts, dup)) in answers.into_iter().zip([
        (1, 10, false),
        (2, 10, false),
        (1, 10, true),
        (3, u64::MAX, false),
    ]) {
        assert!(
            answer == Answer::Sent { seq, ts: ts.min(latest), dup } || ts > latest,
            "{answer:?}"
        );
    }
    let retain = Job::Retain { before_ms: None, messages_max: Some(0), at_once: 9 };
    assert_eq!(
        do_one(&mut store, retain),
        Answer::Retained { firsts: vec![(RoomId(1), 4)], more: false }
    );
    assert_eq!(do_one(&mut store, say_at("a", 5)), Answer::Sent { seq: 4, ts: latest, dup: false });
}

#[test]
fn reading_ends_at_each_limit_but_gives_at_least_one() {
    // Lines of 111 bytes, whatever their bodies are.
    let mut store = room_with(9);
    let table = [
        (1, 9, 100, 1000, vec![1, 2, 3, 4, 5, 6, 7, 8, 9]),
        (0, u64::MAX, 100, 1000, vec![1, 2, 3, 4, 5, 6, 7, 8, 9]),
        (3, 5, 100, 1000, vec![3, 4, 5]),
        (3, 9, 2, 1000, vec![3, 4]),
        (3, 9, 0, 1000, vec![3]),
        (3, 9, 100, 332, vec![3, 4]),
        (3, 9, 100, 333, vec![3, 4, 5]),
        (3, 9, 100, 0, vec![3]),
        (10, 20, 100, 1000, vec![]),
        (5, 4, 100, 1000, vec![]),
    ];
    for (from, to, messages_max, bytes_max, expected) in table {
        let job = Job::Read { room: RoomId(1), from, to, messages_max, bytes_max };
        assert_eq!(seqs(&do_one(&mut store, job.clone())), expected, "{job:?}");
    }
}

#[test]
fn retention_drops_the_oldest_so_many_at_once() {
    // At 1 to 9.
    let mut store = room_with(9);
    let room = RoomId(1);
    let table = [
        (None, None, 9, None, false),
        (None, Some(9), 9, None, false),
        (Some(1), None, 9, None, false),
        (Some(3), None, 0, None, true),
        (Some(3), None, 2, Some(3), false),
        (None, Some(5), 1, Some(4), true),
        (None, Some(5), 9, Some(5), false),
        (Some(99), Some(5), 2, Some(7), true),
        (Some(99), None, 2, Some(9), true),
        (Some(99), None, 2, Some(10), false),
        (Some(99), Some(0), 2, None, false),
    ];
    for (index, (before_ms, messages_max, at_once, first, more)) in table.into_iter().enumerate() {
        let firsts = first.map(|first| (room, first)).into_iter().collect();
        let job = Job::Retain { before_ms, messages_max, at_once };
        assert_eq!(do_one(&mut store, job), Answer::Retained { firsts, more }, "{index}");
    }
    assert_eq!(seqs(&search(&mut store, &[1], "word")), Vec::<u64>::new());
}

#[test]
fn search_finds_words_and_the_beginning_of_the_last_newest_first() {
    let mut store = room_with(0);
    do_all(&mut store, vec![make_room("other", &[])]);
    for (room, cid, text) in [
        (1, "1", "Green tea, please"),
        (1, "2", "Crème brûlée for the green team"),
        (2, "3", "green tea elsewhere"),
        (1, "4", "don't NEAR me: a \"quoted\" teapot 🎉"),
    ] {
        do_one(&mut store, say(room, 1, cid, text));
    }
    let table: &[(&str, &[u64])] = &[
        ("tea", &[3, 2, 1]),
        ("green tea", &[2, 1]),
        ("tea green", &[1]),
        ("gre tea", &[]),
        ("GREEN", &[2, 1]),
        ("creme BRULEE", &[2]),
        ("brûl", &[2]),
        ("don't", &[3]),
        ("\"quoted\"", &[3]),
        ("quoted\" OR \"green", &[]),
        ("green OR quoted", &[]),
        ("NEAR(green tea)", &[]),
        ("NEAR", &[3]),
        ("NOT green", &[]),
        ("text:green", &[]),
        ("-green", &[2, 1]),
        ("^green", &[2, 1]),
        ("te*", &[3, 2, 1]),
        ("*", &[]),
        ("", &[]),
        (" \0 ", &[]),
        ("\"", &[]),
        ("'; DROP TABLE messages; --", &[]),
        ("🎉", &[]),
        ("teapot 🎉", &[3]),
        ("🎉 teapot", &[3]),
        ("{ } ( ) + , . :", &[]),
        ("½ ² ᪥ ꙰", &[]),
    ];
    for &(words, expected) in table {
        assert_eq!(seqs(&search(&mut store, &[1], words)), expected, "{words:?}");
    }
    assert_eq!(seqs(&search(&mut store, &[1, 2, 77], "tea")).len(), 4);
    assert_eq!(seqs(&search(&mut store, &[], "tea")).len(), 0);
    do_one(&mut store, Job::ForgetRoom { room: RoomId(1) });
    assert_eq!(seqs(&search(&mut store, &[1, 2], "tea")), [1]);
}

#[test]
fn search_goes_on_from_the_last_number() {
    let mut store = room_with(5);
    // Two of them have 220 bytes.
    for (messages_max, bytes_max) in [(2, 1000), (100, 220), (100, 329)] {
        let mut before = None;
        let mut found = Vec::new();
        loop {
            let (rooms, words) = (vec![RoomId(1)], "word".into());
            let job = Job::Search { rooms, words, before, messages_max, bytes_max };
            let answer = do_one(&mut store, job);
            found.push(seqs(&answer));
            let Answer::Found { next, .. } = answer else { panic!("{answer:?}") };
            before = next;
            if next.is_none() {
                break;
            }
        }
        assert_eq!(found, [vec![5, 4], vec![3, 2], vec![1]]);
    }
}

#[test]
fn a_search_tells_nothing_of_other_rooms() {
    let mut store = room_with(1);
    do_one(&mut store, make_room("other", &[1]));
    let jobs = (0..7_000).map(|n| say(2, 1, &format!("o{n}"), "word r1 r3")).collect();
    do_all(&mut store, jobs);
    do_one(&mut store, make_room("empty", &[1]));
    for (rooms, found) in [(vec![1], &[1][..]), (vec![3], &[]), ((3..259).collect(), &[])] {
        let rooms = rooms.into_iter().map(RoomId).collect();
        let (words, messages_max, bytes_max) = ("word".into(), 2, 1000);
        let job = Job::Search { rooms, words, before: None, messages_max, bytes_max };
        let answer = do_one(&mut store, job);
        assert_eq!(seqs(&answer), found);
        assert!(matches!(answer, Answer::Found { next: None, .. }), "{answer:?}");
    }
    for words in ["r1", "r2", "word r1"] {
        assert_eq!(seqs(&search(&mut store, &[1], words)), Vec::<u64>::new(), "{words} is no text");
    }
}

#[test]
fn a_large_room_is_dropped_in_pieces_and_nobody_is_in_what_is_left() {
    let mut store = room_with(2_500);
    do_one(&mut store, make_room("other", &[1]));
    do_one(&mut store, say(2, 1, "k", "word"));
    let forget = || Job::ForgetRoom { room: RoomId(1) };
    assert_eq!(do_one(&mut store, forget()), Answer::More);
    let left = store.inventory().unwrap().rooms.remove(0);
    assert_eq!((left.first, left.head, left.members), (1_001, 2_500, vec![]));
    assert_eq!(do_one(&mut store, forget()), Answer::More);
    assert_eq!(do_one(&mut store, forget()), Answer::Done);
    assert_eq!(do_one(&mut store, forget()), REFUSED(Refused::NoRoom));
    assert_eq!(seqs(&search(&mut store, &[1, 2], "word")), [1]);
}
