//! What was once possible and should not have been.

use std::net::IpAddr;
use std::time::Duration;

use chat_relay::limits::RelayLimits;
use chat_relay::relay::{Admission, Settings, Vouched};
use serde_json::{Value, json};

use crate::world::{World, code, join};

fn send(n: usize) -> Value {
    json!({"id": 2, "send": {"room": "tea", "cid": format!("c{n}"), "body": {"text": "hi"}}})
}

#[test]
fn who_waits_as_long_as_a_refusal_says_is_not_closed() {
    let mut world = World::new(RelayLimits::default());
    let alice = world.person("alice");
    world.ask(alice, &json!({"id": 1, "join": {"room": "tea"}}));
    let mut sent = 0;
    while sent < 1000 {
        let answer = world.ask(alice, &send(sent));
        world.read(alice);
        match answer["err"]["retry_ms"].as_u64() {
            None => sent += 1,
            Some(wait_ms) => {
                assert!(!world.closed.contains_key(&alice), "closed after {sent} messages");
                world.wait(Duration::from_millis(wait_ms));
            }
        }
    }
}

#[test]
fn a_new_connection_is_no_way_around_the_rate() {
    let mut world = World::new(RelayLimits::default());
    let (mut alice, token) = world.person_with_token("alice");
    join(&mut world, alice, "tea");
    let mut sent = 0;
    for _ in 0..10 {
        for _ in 0..190 {
            let answer = world.ask(alice, &send(sent));
            world.read(alice);
            sent += usize::from(answer.get("ok").is_some());
        }
        let (newer, _) = world.hello(&json!({"token": token}));
        world.close(alice);
        alice = newer;
    }
    assert!(sent <= 250, "{sent} messages in no time at all");
}

#[test]
fn blank_lines_are_not_for_nothing() {
    let mut world = World::new(RelayLimits::default());
    let alice = world.person("alice");
    for _ in 0..1_000 {
        world.say(alice, &"\n".repeat(65_536));
    }
    assert!(world.closed.contains_key(&alice));
}

#[test]
fn people_who_have_left_do_not_fill_a_relay_that_starts_again() {
    let mut world = World::new(RelayLimits::default());
    for n in 0..5 {
        let who = world.person(&format!("p{n}"));
        join(&mut world, who, "tea");
        world.ask(who, &send(n));
        world.ask(who, &json!({"id": 3, "leave": {"room": "tea"}}));
        world.close(who);
    }
    let mut limits = RelayLimits::default();
    limits.people_max = 2;
    world.restart(Settings { limits, ..Settings::default() });
    assert_eq!(world.relay.counts().0, 0);
    world.person("alice");
}

#[test]
fn a_relay_that_is_full_does_not_keep_the_name() {
    let mut limits = RelayLimits::default();
    limits.people_max = 1;
    let mut world = World::new(limits);
    let alice = world.person("alice");
    let (bob, refused) = world.hello(&json!({"name": "bob"}));
    assert_eq!(refused["err"]["code"], "relay_full");
    world.close(alice);
    world.close(bob);
    world.wait(Duration::from_secs(65));
    let bob = world.open();
    let again = world.say_hello(bob, &json!({"name": "bob"}));
    assert_eq!(again["ok"]["user"], "bob", "{again}");
}

#[test]
fn a_token_for_a_name_in_another_case_is_not_for_the_same_person() {
    let voucher = |name: &str, _: u64| Ok(Vouched { name: name.into(), expires_ms: u64::MAX });
    let admission = Admission::Vouched(Box::new(voucher));
    let mut world = World::with(Settings { admission, ..Settings::default() });
    assert_eq!(world.hello(&json!({"token": "Zo\u{eb}"})).1["ok"]["user"], "Zo\u{eb}");
    for (other, code) in
        [("zo\u{eb}", "name_taken"), ("ZO\u{cb}", "name_taken"), ("Zoe\u{308}", "name")]
    {
        let (_, answer) = world.hello(&json!({"token": other}));
        assert_eq!(answer["err"]["code"], code, "{other}");
    }
    assert_eq!(world.hello(&json!({"token": "Zo\u{eb}"})).1["ok"]["user"], "Zo\u{eb}");
}

#[test]
fn a_search_costs_more_than_a_word() {
    let mut world = World::new(RelayLimits::default());
    let alice = world.person("alice");
    join(&mut world, alice, "tea");
    let search = json!({"search": {"text": "a"}});
    let found = (0..100).filter(|_| code(&mut world, alice, &search) == "ok").count();
    assert!(found <= 20, "{found} searches in no time at all");
}

#[test]
fn others_do_not_fill_all_of_a_persons_rooms() {
    let mut limits = RelayLimits::default();
    limits.rooms_per_person_max = 8;
    let mut world = World::new(limits);
    let alice = world.person("alice");
    for n in 0..10 {
        let other = world.person(&format!("p{n}"));
        world.ask(other, &json!({"id": 1, "direct": {"user": "alice"}}));
        world.ask(other, &json!({"id": 1, "join": {"room": format!("r{n}")}}));
        let grant = json!({"room": format!("r{n}"), "user": "alice", "role": "member"});
        world.ask(other, &json!({"id": 1, "grant": grant}));
    }
    world.read(alice);
    assert_eq!(code(&mut world, alice, &json!({"join": {"room": "own"}})), "ok");
}

#[test]
fn who_does_not_wait_for_answers_is_in_no_more_rooms() {
    for others in [false, true] {
        let mut limits = RelayLimits::default();
        limits.rooms_per_person_max = 4;
        let mut world = World::new(limits);
        let alice = world.person("alice");
        let bobs: Vec<_> = (0..5).map(|n| world.person(&format!("bob{n}"))).collect();
        for n in (0..20).filter(|_| others) {
            join(&mut world, bobs[n / 4], &format!("r{n}"));
        }
        world.stores_by_itself = false;
        for n in 0..20 {
            world.say(alice, &json!({"join": {"room": format!("r{n}")}}).to_string());
        }
        world.store_answers();
        let rooms = world.store.inventory().unwrap().rooms;
        let of_alice = |it: &&chat_relay::store::job::StoredRoom| {
            it.members.iter().any(|member| member.person.0 == 1)
        };
        assert_eq!(rooms.iter().filter(of_alice).count(), 4);
        world.stores_by_itself = true;
        world.ask(alice, &json!({"id": 1, "leave": {"room": "r0"}}));
        world.read(alice);
        assert_eq!(code(&mut world, alice, &json!({"join": {"room": "r9"}})), "ok");
    }
}

/// What `count` people, each of whom owns a room, ask for at once brings nobody over a limit.
#[test]
fn who_does_not_wait_for_answers_brings_nobody_over_a_limit() {
    let mut limits = RelayLimits::default();
    (limits.rooms_per_person_max, limits.members_max, limits.rooms_max) = (8, 4, 30);
    let settings =
        |limits: &RelayLimits| Settings { limits: limits.clone(), ..Settings::default() };
    let mut world = World::with(settings(&limits));
    let bobs: Vec<_> = (0..10).map(|n| world.person(&format!("bob{n}"))).collect();
    for (n, bob) in bobs.iter().enumerate() {
        join(&mut world, *bob, &format!("r{n}"));
    }
    // One who is here, and one whom only the store knows.
    world.person("alice");
    let carol = world.person("carol");
    join(&mut world, carol, "tea");
    world.ask(carol, &send(0));
    world.ask(carol, &json!({"id": 3, "leave": {"room": "tea"}}));
    world.close(carol);
    world.wait(Duration::from_secs(65));

    world.stores_by_itself = false;
    for (n, bob) in bobs.iter().enumerate() {
        for user in ["alice", "carol"] {
            let grant = json!({"room": format!("r{n}"), "user": user, "role": "member"});
            world.say(*bob, &json!({"grant": grant}).to_string());
            world.say(*bob, &json!({"direct": {"user": user}}).to_string());
        }
    }
    world.store_answers();
    let rooms = world.store.inventory().unwrap().rooms;
    for person in [11, 12] {
        let has = |room: &&chat_relay::store::job::StoredRoom| {
            room.members.iter().any(|it| it.person.0 == person)
        };
        assert_eq!(rooms.iter().filter(has).count(), 6, "three quarters of 8: {person}");
    }

    for n in 1..10 {
        let grant = json!({"room": "r0", "user": format!("bob{n}"), "role": "member"});
        world.say(bobs[0], &json!({"grant": grant}).to_string());
    }
    for (n, bob) in bobs.iter().enumerate() {
        world.say(*bob, &json!({"join": {"room": "r1"}}).to_string());
        for m in 0..4 {
            world.say(*bob, &json!({"join": {"room": format!("new{n}-{m}")}}).to_string());
        }
    }
    world.store_answers();
    let rooms = world.store.inventory().unwrap().rooms;
    assert_eq!(rooms.len(), 30);
    assert_eq!(rooms.iter().map(|room| room.members.len()).max(), Some(4));
}

#[test]
fn large_answers_are_paid_for_by_the_address_too() {
    let mut limits = RelayLimits::default();
    limits.address_factor = 1;
    limits.hello_cost = 1;
    let mut world = World::new(limits);
    let at = |n: u8| IpAddr::from([192, 0, 2, n]);
    let alice = world.open_from(at(1));
    world.say_hello(alice, &json!({"name": "alice"}));
    join(&mut world, alice, "tea");
    for n in 0..8 {
        let body = json!({"text": "x".repeat(8_000)});
        let send = json!({"id": 3, "send": {"room": "tea", "cid": format!("c{n}"), "body": body}});
        assert!(world.ask(alice, &send).get("ok").is_some());
    }
    world.wait(Duration::from_secs(60));
    let get = json!({"id": 4, "get": {"room": "tea", "from": 1, "to": 8}});
    for name in ["bob", "carol"] {
        let who = world.open_from(at(2));
        world.say_hello(who, &json!({"name": name}));
        join(&mut world, who, "tea");
        let answered = (0..10).filter(|_| world.ask(who, &get).get("ok").is_some()).count();
        assert_eq!(answered > 0, name == "bob", "{name}: {answered}");
    }
}

#[test]
fn to_be_shown_a_room_is_paid_for() {
    let mut world = World::new(RelayLimits::default());
    let alice = world.person("alice");
    join(&mut world, alice, "tea");
    for n in 0..60 {
        let other = world.person(&format!("somebody-with-a-long-name-{n}"));
        join(&mut world, other, "tea");
    }
    world.read(alice);
    for line in [json!({"members": {"room": "tea"}}), json!({"join": {"room": "tea"}})] {
        world.wait(Duration::from_secs(60));
        let shown = (0..100).filter(|_| code(&mut world, alice, &line) == "ok").count();
        assert!((10..60).contains(&shown), "{line}: {shown} times in no time at all");
    }
}
