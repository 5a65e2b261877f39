//! The store answers later: what happens to people and rooms in between.

use std::time::Duration;

use chat_relay::limits::RelayLimits;
use chat_relay::relay::{Admission, Registration, Retention, Settings};
use serde_json::{Value, json};

use crate::world::{Id, World, code, events, join, send, seqs, two_people};

const LEAVE: &str = r#"{"id":5,"leave":{"room":"tea"}}"#;
const JOIN: &str = r#"{"id":6,"join":{"room":"tea"}}"#;

fn members(world: &mut World) -> usize {
    world.store.inventory().unwrap().rooms.iter().map(|room| room.members.len()).sum()
}

#[test]
fn two_who_leave_together_are_both_gone() {
    let (mut world, alice, bob) = two_people(RelayLimits::default());
    send(&mut world, alice, "tea", "k");
    world.stores_by_itself = false;
    world.say(alice, LEAVE);
    world.say(bob, LEAVE);
    world.store_answers();
    world.stores_by_itself = true;
    assert_eq!(events(&world.read(bob), "added"), [] as [Value; 0], "an heir who has left");
    assert_eq!(code(&mut world, bob, &json!({"members": {"room": "tea"}})), "not_member");
    assert_eq!(members(&mut world), 0);
}

#[test]
fn who_leaves_and_joins_in_one_breath_is_there() {
    let (mut world, _, bob) = two_people(RelayLimits::default());
    world.stores_by_itself = false;
    world.say(bob, &format!("{LEAVE}\n{JOIN}"));
    world.store_answers();
    world.stores_by_itself = true;
    assert_eq!(code(&mut world, bob, &json!({"members": {"room": "tea"}})), "ok");
    assert_eq!(members(&mut world), 2);
}

#[test]
fn who_is_gone_while_a_join_is_stored_is_a_member_when_back() {
    for room in ["tea", "new"] {
        let (mut world, _, _) = two_people(RelayLimits::default());
        let (carol, token) = world.person_with_token("carol");
        world.stores_by_itself = false;
        world.say(carol, &json!({"join": {"room": room}}).to_string());
        world.close(carol);
        world.wait(Duration::from_secs(6));
        world.store_answers();
        world.stores_by_itself = true;
        let (carol, welcome) = world.hello(&json!({"token": token}));
        assert!(welcome["ok"]["rooms"].get(room).is_some(), "{room}: {welcome}");
        assert_eq!(send(&mut world, carol, room, "k")["ok"]["seq"], 1);
    }
}

#[test]
fn who_joins_twice_is_not_live_and_behind_at_once() {
    let (mut world, alice, _) = two_people(RelayLimits::default());
    let carol = world.person("carol");
    world.stores_by_itself = false;
    world.full.insert(carol);
    world.say(carol, JOIN);
    let say = |n: u8| json!({"send": {"room": "tea", "cid": format!("c{n}"), "body": {}}});
    world.say(alice, &say(1).to_string());
    world.say(carol, JOIN);
    world.say(alice, &say(2).to_string());
    world.store_answers();
    world.drain(carol);
    world.store_answers();
    world.say(alice, &say(3).to_string());
    world.store_answers();
    assert_eq!(seqs(&world.read(carol)), [1, 2, 3], "in order, and once");
}

#[test]
fn a_log_that_has_gone_while_it_is_read_is_a_reset() {
    let mut limits = RelayLimits::default();
    limits.answer_bytes_max = 1;
    limits.lag_max = Duration::from_secs(1_000);
    let retention = Retention { age_max: Some(Duration::from_secs(10)), messages_max: None };
    let mut world = World::with(Settings { limits, retention, ..Settings::default() });
    let (alice, token) = world.person_with_token("alice");
    join(&mut world, alice, "tea");
    for n in 0..3 {
        send(&mut world, alice, "tea", &format!("c{n}"));
    }
    world.drains_by_itself = false;
    let (alice, _) = world.hello(&json!({"token": token, "at": {"tea": ["", 0]}}));
    assert_eq!(seqs(&world.read(alice)), [1]);
    world.stores_by_itself = false;
    world.wait(Duration::from_secs(61));
    world.drain(alice);
    world.store_answers();
    assert!(world.closed.is_empty(), "{:?}", world.closed);
    let lines = world.read(alice);
    assert_eq!(events(&lines, "reset")[0]["first"], 4);
    assert_eq!(events(&lines, "live")[0]["head"], 3);
}

#[test]
fn who_is_no_owner_any_more_grants_nothing() {
    let (mut world, alice, bob) = two_people(RelayLimits::default());
    let dave = world.person("dave");
    join(&mut world, dave, "other");
    send(&mut world, dave, "other", "k");
    world.ask(dave, &json!({"id": 1, "leave": {"room": "other"}}));
    world.close(dave);
    world.wait(Duration::from_secs(65));
    let grant = |user: &str, role: &str| json!({"id": 9, "grant": {"room": "tea", "user": user, "role": role}});
    world.ask(alice, &grant("bob", "owner"));
    world.stores_by_itself = false;
    world.say(bob, &grant("alice", "none").to_string());
    world.say(alice, &grant("dave", "owner").to_string());
    world.store_answers();
    assert_eq!(world.answer(alice)["err"]["code"], "forbidden");
    assert_eq!(members(&mut world), 1);
}

/// What follows from leaving finds no place in the store; it is tried again a second later.
fn leave_while_the_store_is_busy(world: &mut World, who: Id) {
    world.stores_by_itself = false;
    world.say(who, LEAVE);
    world.store_is_busy = true;
    world.store_answers();
    world.store_is_busy = false;
    world.stores_by_itself = true;
}

#[test]
fn a_room_that_could_not_be_forgotten_is_forgotten_later() {
    let mut world = World::new(RelayLimits::default());
    let alice = world.person("alice");
    join(&mut world, alice, "tea");
    leave_while_the_store_is_busy(&mut world, alice);
    world.wait(Duration::from_secs(1));
    world.read(alice);
    assert_eq!(code(&mut world, alice, &json!({"join": {"room": "tea"}})), "ok");
}

#[test]
fn a_name_that_could_not_be_forgotten_is_forgotten_later() {
    let mut world = World::new(RelayLimits::default());
    let alice = world.person("alice");
    world.close(alice);
    world.store_is_busy = true;
    world.wait(Duration::from_secs(65));
    world.store_is_busy = false;
    world.wait(Duration::from_secs(1));
    world.person("alice");
}

#[test]
fn a_room_whose_heir_could_not_be_stored_gets_one_later() {
    let (mut world, alice, bob) = two_people(RelayLimits::default());
    leave_while_the_store_is_busy(&mut world, alice);
    world.wait(Duration::from_secs(1));
    world.read(bob);
    assert_eq!(join(&mut world, bob, "tea")["role"], "owner");
}

fn with_admin(admission: Admission) -> (World, u32) {
    with_admin_and(admission, RelayLimits::default())
}

fn with_admin_and(admission: Admission, limits: RelayLimits) -> (World, u32) {
    let admin_secret = Some("of the admin".to_owned());
    let settings = Settings { limits, admission, admin_secret, ..Settings::default() };
    let mut world = World::with(settings);
    let (admin, _) = world.hello(&json!({"admin": "of the admin"}));
    (world, admin)
}

#[test]
fn a_connection_without_events_ends_with_its_person() {
    let (mut world, admin) = with_admin(Admission::Accounts(Registration::Open));
    let account = |world: &mut World, name: &str| {
        let hello = json!({"name": name, "password": "correct horse", "register": true});
        let (one, mut welcome) = world.hello(&hello);
        (one, welcome["ok"]["token"].take())
    };
    let table = [
        ("alice", json!({"block": {"user": "alice", "blocked": true}})),
        ("bob", json!({"sign_out": {"user": "bob"}})),
    ];
    for (user, how) in table {
        let (_, token) = account(&mut world, user);
        let (quiet, _) = world.hello(&json!({"token": token, "live": false}));
        world.ask(admin, &json!({"id": 1, "admin": how}));
        assert_eq!(world.closed.get(&quiet), Some(&4502), "{how}");
    }
    let (one, token) = account(&mut world, "carol");
    let (quiet, _) = world.hello(&json!({"token": token, "live": false}));
    world.ask(one, &json!({"id": 1, "logout": {}}));
    assert_eq!(world.closed.get(&quiet), Some(&4502));
}

#[test]
fn a_person_stays_for_as_long_as_a_connection_without_events() {
    let (mut world, _) = with_admin(Admission::Accounts(Registration::Open));
    let hello = json!({"name": "alice", "password": "correct horse", "register": true});
    let (device, mut welcome) = world.hello(&hello);
    let token = welcome["ok"]["token"].take();
    let (quiet, _) = world.hello(&json!({"token": token, "live": false}));
    world.close(device);
    world.wait(Duration::from_secs(65));
    assert_eq!(join(&mut world, quiet, "cellar")["role"], "owner");
    world.ask(quiet, &json!({"id": 1, "leave": {"room": "cellar"}}));
    assert_eq!(join(&mut world, quiet, "cellar")["role"], "owner");
    world.ask(quiet, &json!({"id": 1, "leave": {"room": "cellar"}}));
    world.close(quiet);
    world.wait(Duration::from_secs(65));
    assert_eq!(world.relay.counts(), (0, 0));
}

#[test]
fn a_name_that_was_taken_without_events_is_kept_for_a_moment() {
    let mut world = World::new(RelayLimits::default());
    let (quiet, welcome) = world.hello(&json!({"name": "alice", "live": false}));
    world.close(quiet);
    world.wait(Duration::from_secs(1));
    let (_, again) = world.hello(&json!({"token": welcome["ok"]["token"]}));
    assert_eq!(again["ok"]["user"], "alice", "{again}");
}

#[test]
fn owners_who_take_it_from_each_other_at_once_leave_an_owner() {
    let grant = |user: &str, role: &str| json!({"id": 9, "grant": {"room": "tea", "user": user, "role": role}});
    for one_frame in [false, true] {
        let (mut world, alice, bob) = two_people(RelayLimits::default());
        world.ask(alice, &grant("bob", "owner"));
        world.stores_by_itself = false;
        let (first, second) = (grant("bob", "member"), grant("alice", "member"));
        if one_frame {
            world.say(alice, &format!("{first}\n{second}"));
        } else {
            world.say(alice, &first.to_string());
            world.say(bob, &second.to_string());
        }
        world.store_answers();
        let owner = |it: &&chat_relay::store::job::StoredMember| {
            it.role == chat_relay::store::job::Role::Owner
        };
        let rooms = world.store.inventory().unwrap().rooms;
        assert_eq!(rooms[0].members.iter().filter(owner).count(), 1, "{rooms:?}");
        world.stores_by_itself = true;
        world.read(alice);
        assert_eq!(join(&mut world, alice, "tea")["role"], "owner");
    }
}

#[test]
fn a_relay_that_died_before_the_heir_was_stored_finds_one() {
    let (mut world, alice, bob) = two_people(RelayLimits::default());
    leave_while_the_store_is_busy(&mut world, alice);
    world.close(bob);
    world.restart(Settings::default());
    world.wait(Duration::from_secs(1));
    let rooms = world.store.inventory().unwrap().rooms;
    assert_eq!(rooms[0].members[0].role, chat_relay::store::job::Role::Owner);
}

#[test]
fn a_room_whose_name_is_not_free_yet_is_worth_another_try() {
    let mut world = World::new(RelayLimits::default());
    let alice = world.person("alice");
    join(&mut world, alice, "tea");
    leave_while_the_store_is_busy(&mut world, alice);
    world.read(alice);
    let answer = world.ask(alice, &json!({"id": 1, "join": {"room": "tea"}}));
    assert_eq!(answer["err"]["code"], "busy");
    assert!(answer["err"]["retry_ms"].is_u64(), "{answer}");

    world.restart(Settings::default());
    world.wait(Duration::from_secs(1));
    assert_eq!(world.store.inventory().unwrap().rooms, []);
}

#[test]
fn a_large_room_is_dropped_to_its_last_message() {
    let mut limits = RelayLimits::default();
    limits.burst = 10_000;
    let (mut world, admin) = with_admin_and(Admission::Open, limits);
    let alice = world.person("alice");
    let remove = json!({"id": 1, "admin": {"remove_room": {"room": "tea"}}});
    for by_admin in [false, true] {
        join(&mut world, alice, "other");
        world.ask(alice, &json!({"id": 2, "join": {"room": "tea", "access": "invite"}}));
        for n in 0..1_100 {
            send(&mut world, alice, "tea", &format!("c{n}"));
        }
        world.read(alice);
        if by_admin {
            assert_eq!(world.ask(admin, &remove)["ok"], json!({}));
        } else {
            world.ask(alice, &serde_json::from_str(LEAVE).unwrap());
        }
        let rooms = world.store.inventory().unwrap().rooms;
        assert_eq!(rooms.len(), 1, "{rooms:?}");
    }
}

#[test]
fn a_removed_room_whose_rest_was_not_dropped_yet_does_not_come_back() {
    let mut limits = RelayLimits::default();
    limits.burst = 10_000;
    let (mut world, admin) = with_admin_and(Admission::Open, limits);
    let alice = world.person("alice");
    for room in ["tea", "other"] {
        join(&mut world, alice, room);
    }
    for n in 0..1_100 {
        send(&mut world, alice, "tea", &format!("c{n}"));
    }
    world.stores_by_itself = false;
    world.say(admin, r#"{"id":1,"admin":{"remove_room":{"room":"tea"}}}"#);
    world.store_answers_once();
    assert_eq!(world.answer(admin)["ok"], json!({}));
    assert_eq!(world.store_waits(), 1, "the rest of it is to be dropped");
    world.restart(Settings::default());
    world.stores_by_itself = true;
    let bob = world.person("bob");
    let answer = world.ask(bob, &json!({"id": 2, "join": {"room": "tea"}}));
    assert_eq!(answer["err"]["code"], "busy", "{answer}");
    world.wait(Duration::from_secs(1));
    assert_eq!(world.store.inventory().unwrap().rooms.len(), 1);
    assert_eq!(join(&mut world, bob, "tea")["head"], 0);
}

#[test]
fn who_is_about_to_be_out_writes_nothing_that_would_go_with_the_room() {
    for by_grant in [false, true] {
        let (mut world, alice, bob) = two_people(RelayLimits::default());
        world.stores_by_itself = false;
        if by_grant {
            world.say(alice, r#"{"id":5,"grant":{"room":"tea","user":"bob","role":"none"}}"#);
        } else {
            world.say(bob, LEAVE);
        }
        let send = r#"{"id":7,"send":{"room":"tea","cid":"k","body":{}}}"#;
        world.say(bob, send);
        world.store_answers();
        let answer = world.answer_to(bob, 7).expect("an answer");
        assert_eq!(answer["err"]["code"], "not_member", "by grant: {by_grant}");
        assert_eq!(world.store.inventory().unwrap().rooms[0].head, 0);
    }
}
