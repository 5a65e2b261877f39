//! Who is in which room, and may what.

use std::time::Duration;

use chat_relay::limits::RelayLimits;
use chat_relay::relay::{Retention, Settings};
use chat_relay::store::job::Role;
use serde_json::{Value, json};

use crate::world::{World, code, events, join, send, seqs, two_people};

fn grant(room: &str, user: &str, role: &str) -> Value {
    json!({"grant": {"room": room, "user": user, "role": role}})
}

#[test]
fn a_room_of_two_is_the_same_from_both_sides() {
    let mut world = World::new(RelayLimits::default());
    let (alice, token) = world.person_with_token("Alice");
    let bob = world.person("bob");
    let direct = |user: &str| json!({"id": 5, "direct": {"user": user}});
    let room = world.ask(alice, &direct("BOB"))["ok"].take();
    assert_eq!((&room["kind"], &room["with"]), (&json!("direct"), &json!("bob")));
    assert_eq!(room["members"].as_array().unwrap().len(), 2);
    let added = events(&world.read(bob), "added").remove(0);
    assert_eq!((&added["room"], &added["with"]), (&room["room"], &json!("Alice")));
    assert_eq!(world.ask(bob, &direct("alice"))["ok"]["room"], room["room"]);
    let name = room["room"].as_str().unwrap();
    send(&mut world, bob, name, "k");
    assert_eq!(seqs(&world.read(alice)), [1]);

    let carol = world.person("carol");
    for line in [
        json!({"send": {"room": name, "cid": "c", "body": {}}}),
        json!({"get": {"room": name, "from": 1, "to": 1}}),
        json!({"members": {"room": name}}),
    ] {
        assert_eq!(code(&mut world, carol, &line), "not_member", "{line}");
    }
    assert_eq!(code(&mut world, carol, &json!({"join": {"room": name}})), "room_name");
    assert_eq!(code(&mut world, bob, &json!({"leave": {"room": name}})), "forbidden");
    assert_eq!(code(&mut world, bob, &grant(name, "carol", "member")), "forbidden");

    world.restart(Settings::default());
    let (_, welcome) = world.hello(&json!({"token": token}));
    assert_eq!(welcome["ok"]["rooms"][name]["with"], "bob");
}

#[test]
fn somebody_who_is_not_here_can_be_written_to() {
    let mut world = World::new(RelayLimits::default());
    let (bob, token) = world.person_with_token("bob");
    join(&mut world, bob, "tea");
    send(&mut world, bob, "tea", "k");
    world.ask(bob, &json!({"id": 4, "leave": {"room": "tea"}}));
    world.close(bob);
    world.restart(Settings::default());
    let alice = world.person("alice");
    let room = world.ask(alice, &json!({"id": 5, "direct": {"user": "bob"}}))["ok"].take();
    send(&mut world, alice, room["room"].as_str().unwrap(), "hello-bob");
    let (_, welcome) = world.hello(&json!({"token": token}));
    let rooms = welcome["ok"]["rooms"].as_object().unwrap();
    assert_eq!(rooms.values().map(|room| &room["head"]).collect::<Vec<_>>(), [1]);
}

#[test]
fn roles_say_what_one_may_do() {
    let (mut world, alice, bob) = two_people(RelayLimits::default());
    let carol = world.person("carol");
    let ask = json!({"id": 2, "join": {"room": "club", "access": "invite"}});
    assert_eq!(world.ask(alice, &ask)["ok"]["kind"], "invite");
    assert_eq!(code(&mut world, bob, &json!({"join": {"room": "club"}})), "forbidden");
    assert_eq!(code(&mut world, alice, &grant("club", "bob", "reader")), "ok");
    let added = events(&world.read(bob), "added").remove(0);
    assert_eq!((&added["room"], &added["role"]), (&json!("club"), &json!("reader")));

    send(&mut world, alice, "club", "k1");
    assert_eq!(seqs(&world.read(bob)), [1]);
    let send_line = json!({"send": {"room": "club", "cid": "c", "body": {}}});
    let eph = json!({"eph": {"room": "club", "kind": "typing", "ttl_s": 1}});
    for line in [&send_line, &eph, &grant("club", "carol", "member")] {
        assert_eq!(code(&mut world, bob, line), "forbidden", "{line}");
    }
    assert_eq!(code(&mut world, bob, &json!({"get": {"room": "club", "from": 1, "to": 1}})), "ok");
    assert_eq!(code(&mut world, bob, &json!({"mark": {"room": "club", "read": 1}})), "ok");

    assert_eq!(code(&mut world, alice, &grant("club", "bob", "owner")), "ok");
    assert_eq!(code(&mut world, bob, &send_line), "ok");
    assert_eq!(code(&mut world, bob, &grant("club", "carol", "member")), "ok");
    assert_eq!(code(&mut world, bob, &grant("club", "alice", "none")), "ok");
    assert_eq!(events(&world.read(alice), "removed"), [json!({"room": "club"})]);
    send(&mut world, carol, "club", "k3");
    assert_eq!(events(&world.read(alice), "msg"), [] as [Value; 0]);
    assert_eq!(code(&mut world, alice, &json!({"leave": {"room": "club"}})), "not_member");
    assert_eq!(code(&mut world, bob, &grant("club", "alice", "none")), "user_unknown");
}

#[test]
fn a_room_always_has_an_owner() {
    let mut world = World::new(RelayLimits::default());
    let people = ["a", "b", "c"].map(|name| world.person(name));
    for who in people {
        join(&mut world, who, "tea");
    }
    let [a, b, c] = people;
    assert_eq!(code(&mut world, a, &grant("tea", "b", "reader")), "ok");
    world.read(b);
    assert_eq!(code(&mut world, a, &json!({"leave": {"room": "tea"}})), "ok");
    let roles: Vec<_> = events(&world.read(b), "member")
        .iter()
        .map(|it| (it["user"].clone(), it["role"].clone()))
        .collect();
    assert_eq!(roles, [(json!("a"), json!("none")), (json!("c"), json!("owner"))]);
    assert_eq!(code(&mut world, c, &grant("tea", "b", "member")), "ok");
}

#[test]
fn a_room_that_nobody_is_in_and_nothing_is_in_is_forgotten() {
    let mut world = World::new(RelayLimits::default());
    let alice = world.person("alice");
    let first = join(&mut world, alice, "tea")["epoch"].take();
    world.ask(alice, &json!({"id": 4, "leave": {"room": "tea"}}));
    assert_eq!(world.relay.counts().1, 0);
    assert_ne!(join(&mut world, alice, "tea")["epoch"], first);
    send(&mut world, alice, "tea", "k");
    world.ask(alice, &json!({"id": 4, "leave": {"room": "tea"}}));
    let again = join(&mut world, alice, "tea");
    assert_eq!(again["head"], 1, "what was said stays");
    assert_eq!(again["role"], "owner", "who comes first into it has it");
}

#[test]
fn of_two_who_come_into_a_room_that_everybody_has_left_one_owns_it() {
    let mut world = World::new(RelayLimits::default());
    let [alice, bob] = ["alice", "bob"].map(|name| world.person(name));
    join(&mut world, bob, "tea");
    send(&mut world, bob, "tea", "k");
    world.ask(bob, &json!({"id": 4, "leave": {"room": "tea"}}));
    world.stores_by_itself = false;
    for who in [bob, alice] {
        world.say(who, &json!({"id": 5, "join": {"room": "tea"}}).to_string());
    }
    world.store_answers();
    assert_eq!(world.answer_to(bob, 5).unwrap()["ok"]["role"], "owner");
    assert_eq!(world.answer_to(alice, 5).unwrap()["ok"]["role"], "member");
    let rooms = world.store.inventory().unwrap().rooms;
    let owners = rooms[0].members.iter().filter(|it| it.role == Role::Owner);
    assert_eq!(owners.count(), 1, "{rooms:?}");
}

#[test]
fn a_room_whose_people_and_messages_are_gone_is_forgotten() {
    let retention = Retention { age_max: Some(Duration::from_secs(10)), messages_max: None };
    let mut world = World::with(Settings { retention, ..Settings::default() });
    let alice = world.person("alice");
    for room in ["tea", "cake"] {
        join(&mut world, alice, room);
        send(&mut world, alice, room, "k");
    }
    world.ask(alice, &json!({"id": 4, "leave": {"room": "tea"}}));
    assert_eq!(world.relay.counts().1, 2);
    world.wait(Duration::from_secs(61));
    assert_eq!(world.relay.counts().1, 1);
    let rooms = world.store.inventory().unwrap().rooms;
    assert_eq!((rooms.len(), &*rooms[0].name), (1, "cake"));
}

#[test]
fn another_device_joins_too() {
    let mut world = World::new(RelayLimits::default());
    let (one, token) = world.person_with_token("alice");
    let (two, _) = world.hello(&json!({"token": token}));
    join(&mut world, one, "tea");
    assert_eq!(events(&world.read(two), "added")[0]["room"], "tea");
    send(&mut world, one, "tea", "k");
    assert_eq!(seqs(&world.read(two)), [1]);
    world.ask(two, &json!({"id": 4, "leave": {"room": "tea"}}));
    assert_eq!(events(&world.read(one), "removed"), [json!({"room": "tea"})]);
}

#[test]
fn two_who_make_the_same_room_at_once_are_in_one() {
    let mut world = World::new(RelayLimits::default());
    let [a, b] = ["a", "b"].map(|name| world.person(name));
    world.stores_by_itself = false;
    for who in [a, b] {
        world.say(who, r#"{"id":1,"join":{"room":"tea"}}"#);
        world.say(who, r#"{"id":2,"direct":{"user":"a"}}"#);
        world.say(who, r#"{"id":3,"direct":{"user":"b"}}"#);
    }
    world.store_answers();
    for who in [a, b] {
        let answers = world.read(who);
        let rooms: Vec<_> = answers
            .iter()
            .filter(|it| it["ok"].is_object())
            .map(|it| it["ok"]["room"].clone())
            .collect();
        assert_eq!(rooms.len(), 2, "{answers:?}");
    }
    assert_eq!(world.relay.counts(), (2, 2));
}

#[test]
fn members_are_listed_in_pages() {
    let mut limits = RelayLimits::default();
    limits.answer_members_max = 3;
    let mut world = World::new(limits);
    let people: Vec<_> = (0..8).map(|n| world.person(&format!("p{n}"))).collect();
    for who in &people {
        join(&mut world, *who, "tea");
    }
    let mut page = join(&mut world, people[0], "tea");
    let mut seen = Vec::new();
    loop {
        let members = page["members"].as_array().unwrap();
        assert!(members.len() <= 3);
        seen.extend(members.iter().map(|it| it["user"].as_str().unwrap().to_owned()));
        let Some(next) = page.get("next") else { break };
        let ask = json!({"id": 1, "members": {"room": "tea", "after": next}});
        page = world.ask(people[0], &ask)["ok"].take();
    }
    assert_eq!(seen, (0..8).map(|n| format!("p{n}")).collect::<Vec<_>>());
    let beyond = json!({"members": {"room": "tea", "after": u64::MAX}});
    assert_eq!(code(&mut world, people[0], &beyond), "ok");
}

#[test]
fn everything_is_bounded() {
    let mut limits = RelayLimits::default();
    limits.people_max = 4;
    limits.rooms_max = 3;
    limits.rooms_per_person_max = 2;
    limits.members_max = 2;
    let mut world = World::new(limits);
    let join = |room: &str| json!({"join": {"room": room}});
    let [a, b, c] = ["a", "b", "c"].map(|name| world.person(name));
    assert_eq!(code(&mut world, a, &join("r1")), "ok");
    assert_eq!(code(&mut world, a, &join("r2")), "ok");
    assert_eq!(code(&mut world, a, &join("r3")), "rooms_full");
    assert_eq!(code(&mut world, a, &json!({"direct": {"user": "b"}})), "rooms_full");
    assert_eq!(code(&mut world, b, &join("r1")), "ok");
    assert_eq!(code(&mut world, c, &join("r1")), "room_full");
    assert_eq!(code(&mut world, a, &grant("r1", "c", "member")), "room_full");
    assert_eq!(code(&mut world, c, &join("r3")), "ok");
    assert_eq!(code(&mut world, c, &join("r4")), "relay_full");
    assert_eq!(code(&mut world, c, &json!({"direct": {"user": "a"}})), "rooms_full", "of a");
    world.person("d");
    let (_, e) = world.hello(&json!({"name": "e"}));
    assert_eq!((&e["err"]["code"], &e["err"]["retry_ms"]), (&json!("relay_full"), &json!(10_000)));
}

#[test]
fn a_room_that_nobody_could_come_into_any_more_is_removed() {
    let mut world = World::new(RelayLimits::default());
    let alice = world.person("alice");
    world.ask(alice, &json!({"id": 2, "join": {"room": "club", "access": "invite"}}));
    send(&mut world, alice, "club", "k");
    world.ask(alice, &json!({"id": 4, "leave": {"room": "club"}}));
    assert_eq!(world.relay.counts().1, 0);
    assert_eq!(join(&mut world, alice, "club")["head"], 0);
}

#[test]
fn the_last_owner_stays_one() {
    let (mut world, alice, bob) = two_people(RelayLimits::default());
    assert_eq!(code(&mut world, alice, &grant("tea", "alice", "reader")), "forbidden");
    assert_eq!(code(&mut world, alice, &grant("tea", "bob", "owner")), "ok");
    assert_eq!(code(&mut world, alice, &grant("tea", "alice", "reader")), "ok");
    assert_eq!(code(&mut world, bob, &grant("tea", "bob", "member")), "forbidden");
}
