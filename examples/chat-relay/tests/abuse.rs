//! What was once possible and should not have been.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test may fail by panicking"
)]

mod support;

use std::time::Duration;

use chat_relay::limits::RelayLimits;
use chat_relay::relay::Out;
use serde_json::{Value, json};
use support::World;

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
    let (mut alice, welcome) = world.hello(&json!({"name": "alice", "at": {"tea": ["", 0]}}));
    let token = welcome["ok"]["token"].clone();
    let mut sent = 0;
    for _ in 0..10 {
        for _ in 0..190 {
            let answer = world.ask(alice, &send(sent));
            world.read(alice);
            sent += usize::from(answer.get("ok").is_some());
        }
        let (newer, _) = world.hello(&json!({"name": "alice", "token": token}));
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
fn a_catch_up_with_many_full_rooms_comes_in_pieces_that_a_socket_can_take() {
    let mut world = World::new(RelayLimits::default());
    let at: Value = (0..32).map(|n| (format!("r{n}"), json!(["", 0]))).collect();
    for n in 0..999 {
        let name = format!("{n:0>4}{}", "字".repeat(28));
        let (who, _) = world.hello(&json!({"name": name, "at": at}));
        world.close(who);
    }
    world.drains_by_itself = false;
    let who = world.open();
    let mut out = Vec::new();
    let hello = json!({"id": 1, "hello": {"v": 1, "name": "late", "at": at}}).to_string();
    world.relay.receive(world.now, who, &hello, &mut out);
    while world.relay.is_behind(who) {
        world.relay.drained(who, &mut out);
    }
    let longest =
        out.iter().map(|out| if let Out::Send { text, .. } = out { text.len() } else { 0 }).max();
    assert!(longest.unwrap() < 512 * 1024, "a frame of {longest:?} bytes");
    let live = out.iter().filter(|out| matches!(out, Out::Subscribe { .. })).count();
    assert_eq!(live, 32);
}

#[test]
fn people_who_are_away_do_not_keep_all_rooms() {
    let mut world = World::new(RelayLimits::default());
    for person in 0..16 {
        let at: Value = (0..32).map(|n| (format!("r{person}-{n}"), json!(["", 0]))).collect();
        let (who, _) = world.hello(&json!({"name": format!("m{person}"), "at": at}));
        world.close(who);
    }
    let alice = world.person("alice");
    let answer = world.ask(alice, &json!({"id": 1, "join": {"room": "lobby"}}));
    assert!(answer.get("ok").is_some(), "{answer}");
}
