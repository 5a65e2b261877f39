//! The log: nothing lost, nothing twice, however somebody reads.

use std::time::Duration;

use chat_relay::limits::RelayLimits;
use chat_relay::relay::{Retention, Settings};
use serde_json::{Value, json};

use crate::world::{Id, World, code, events, join, send, seqs, two_people};

/// Says something of a size, when it can be afforded.
fn say(world: &mut World, who: Id, cid: &str, bytes: usize) {
    world.wait(Duration::from_secs(10));
    let body = json!({"text": "x".repeat(bytes)});
    world.say(who, &json!({"send": {"room": "tea", "cid": cid, "body": body}}).to_string());
}

#[test]
fn a_message_sent_again_is_in_the_room_once() {
    let (mut world, alice, bob) = two_people(RelayLimits::default());
    let first = send(&mut world, alice, "tea", "k1");
    send(&mut world, bob, "tea", "k1");
    world.wait(Duration::from_secs(1));
    let again = send(&mut world, alice, "tea", "k1");
    assert_eq!(again["ok"]["dup"], true);
    assert_eq!(
        (&first["ok"]["seq"], &first["ok"]["ts"]),
        (&again["ok"]["seq"], &again["ok"]["ts"])
    );
    assert_eq!(seqs(&world.read(bob)), [1, 2]);
}

#[test]
fn nobody_is_told_before_the_store_has_it() {
    let (mut world, alice, bob) = two_people(RelayLimits::default());
    world.stores_by_itself = false;
    world.say(alice, r#"{"id":1,"send":{"room":"tea","cid":"k1","body":{}}}"#);
    world.say(alice, r#"{"id":2,"mark":{"room":"tea","read":9}}"#);
    assert_eq!(world.read(bob), [] as [Value; 0]);
    assert_eq!(world.read(alice), [json!({"id": 2, "ok": {}})]);
    assert_eq!(world.store_waits(), 1, "a mark beyond the head is none");
    world.store_answers();
    assert_eq!(world.read(alice)[0]["ok"]["seq"], 1, "the answer, then the message");
    assert_eq!(seqs(&world.read(bob)), [1]);
}

#[test]
fn a_store_with_too_much_to_do_is_said_and_nothing_is_half_done() {
    let (mut world, alice, bob) = two_people(RelayLimits::default());
    send(&mut world, alice, "tea", "k0");
    world.read(alice);
    world.store_is_busy = true;
    let busy = send(&mut world, alice, "tea", "k1");
    assert_eq!((&busy["err"]["code"], &busy["err"]["retry_ms"]), (&json!("busy"), &json!(1_000)));
    for line in [
        json!({"join": {"room": "new"}}),
        json!({"leave": {"room": "tea"}}),
        json!({"get": {"room": "tea", "from": 1, "to": 1}}),
        json!({"search": {"text": "k0"}}),
        json!({"direct": {"user": "bob"}}),
    ] {
        assert_eq!(code(&mut world, alice, &line), "busy", "{line}");
    }
    let (carol, refused) = world.hello(&json!({"name": "carol"}));
    assert_eq!(refused["err"]["code"], "busy");
    assert_eq!(code(&mut world, bob, &json!({"mark": {"room": "tea", "read": 1}})), "ok");
    world.store_is_busy = false;
    assert_eq!(events(&world.read(alice), "mark"), [] as [Value; 0]);
    world.wait(Duration::from_secs(1));
    assert_eq!(events(&world.read(alice), "mark").len(), 1, "a mark is not forgotten");
    assert_eq!(send(&mut world, alice, "tea", "k1")["ok"]["seq"], 2);
    assert!(world.say_hello(carol, &json!({"name": "carol"})).get("ok").is_some());
}

/// Carol, with nothing read of the 150 messages of `tea`, and her token.
fn a_long_talk(settings: Settings) -> (World, Id, Value, Value) {
    let mut world = World::with(settings);
    let bob = world.person("bob");
    let epoch = join(&mut world, bob, "tea")["epoch"].take();
    let (carol, token) = world.person_with_token("carol");
    join(&mut world, carol, "tea");
    world.close(carol);
    for n in 1..=150 {
        world.wait(Duration::from_secs(1));
        send(&mut world, bob, "tea", &format!("m{n}"));
    }
    (world, bob, token, epoch)
}

#[test]
fn who_comes_back_gets_exactly_what_is_missing() {
    let retention = Retention { messages_max: Some(100), age_max: None };
    let (mut world, bob, token, epoch) = a_long_talk(Settings { retention, ..Settings::default() });
    world.wait(Duration::from_secs(60));
    let hello = |at: Value| json!({"token": token, "at": {"tea": at}});

    let (carol, welcome) = world.hello(&hello(json!([epoch, 60])));
    let tea = &welcome["ok"]["rooms"]["tea"];
    assert_eq!((&tea["first"], &tea["head"]), (&json!(51), &json!(150)));
    let lines = world.read(carol);
    assert_eq!(seqs(&lines), (61..=150).collect::<Vec<_>>());
    assert_eq!(lines.last().unwrap(), &json!({"live": {"room": "tea", "head": 150}}));

    for (at, from) in [
        (json!([epoch, 150]), None),
        (json!([epoch, 149]), None),
        (json!([epoch, 50]), None),
        (json!([epoch, 49]), Some(51)),
        (json!([epoch, 0]), Some(51)),
        (json!([epoch, 151]), Some(51)),
        (json!([epoch, u64::MAX]), Some(51)),
        (json!(["other", 150]), Some(51)),
        (json!(["", 0]), Some(51)),
    ] {
        world.wait(Duration::from_secs(10));
        let (carol, _) = world.hello(&hello(at.clone()));
        let lines = world.read(carol);
        let resets = events(&lines, "reset");
        assert_eq!(resets.len(), usize::from(from.is_some()), "{at}");
        if let Some(from) = from {
            let reset = json!({"room": "tea", "epoch": epoch, "first": from, "head": 150});
            assert_eq!(resets[0], reset);
        }
        let next = from.unwrap_or_else(|| at[1].as_u64().unwrap() + 1);
        assert_eq!(seqs(&lines), (next..=150).collect::<Vec<_>>(), "{at}");
        send(&mut world, bob, "tea", "m150");
        assert_eq!(seqs(&world.read(carol)), [] as [u64; 0], "a repeated message is not new");
        world.close(carol);
    }
}

#[test]
fn a_restart_changes_nothing_for_who_comes_back() {
    let (mut world, _, token, epoch) = a_long_talk(Settings::default());
    world.restart(Settings::default());
    let at = json!({"tea": [epoch, 148], "cellar": ["x", 1]});
    let (carol, welcome) = world.hello(&json!({"token": token, "at": at}));
    assert_eq!(welcome["ok"]["refused"], json!({"cellar": "not_member"}));
    assert_eq!(seqs(&world.read(carol)), [149, 150]);
    assert_eq!(send(&mut world, carol, "tea", "k")["ok"]["seq"], 151);
}

#[test]
fn rooms_that_the_client_did_not_name_go_on_from_now() {
    let (mut world, bob, token, _) = a_long_talk(Settings::default());
    let (carol, welcome) = world.hello(&json!({"token": token}));
    assert_eq!(welcome["ok"]["rooms"]["tea"]["head"], 150);
    send(&mut world, bob, "tea", "k2");
    let lines = world.read(carol);
    assert_eq!(seqs(&lines), [151]);
    assert_eq!(lines.len(), 1);
}

#[test]
fn a_connection_is_fed_as_it_drains_and_keeps_its_place() {
    let retention = Retention { messages_max: Some(100), age_max: None };
    let mut world = World::with(Settings { retention, ..Settings::default() });
    let bob = world.person("bob");
    join(&mut world, bob, "tea");
    let (carol, token) = world.person_with_token("carol");
    join(&mut world, carol, "tea");
    world.close(carol);
    for n in 1..=50 {
        say(&mut world, bob, &format!("c{n}"), 8_000);
    }
    world.drains_by_itself = false;
    let all = json!({"token": token, "at": {"tea": ["", 0]}});
    let (carol, _) = world.hello(&all);
    let mut got = seqs(&world.read(carol));
    assert!((8..=10).contains(&got.len()), "a piece is about 64 KiB: {}", got.len());
    for n in 51..=53 {
        say(&mut world, bob, &format!("c{n}"), 8_000);
    }
    while world.relay.is_behind(carol) {
        assert_eq!(events(&world.read(carol), "live"), [] as [Value; 0]);
        world.drain(carol);
        let lines = world.read(carol);
        assert!(events(&lines, "reset").is_empty());
        got.extend(seqs(&lines));
    }
    assert_eq!(got, (1..=53).collect::<Vec<_>>());
    say(&mut world, bob, "c54", 8_000);
    assert_eq!(seqs(&world.read(carol)), [54], "live");
    world.close(carol);

    // A reader slower than the room is told what it has lost.
    let (carol, _) = world.hello(&all);
    world.read(carol);
    for n in 55..=200 {
        say(&mut world, bob, &format!("c{n}"), 10);
        if n % 3 == 0 {
            world.drain(carol);
        }
    }
    let mut lines = world.read(carol);
    while world.relay.is_behind(carol) {
        world.drain(carol);
        lines.extend(world.read(carol));
    }
    let last = seqs(&lines).last().copied();
    assert_eq!(last, Some(200));
}

#[test]
fn who_reads_too_slowly_is_fed_from_the_log() {
    let (mut world, alice, bob) = two_people(RelayLimits::default());
    say(&mut world, bob, "c1", 10);
    world.full.insert(alice);
    for n in 2..=98 {
        say(&mut world, bob, &format!("c{n}"), 4_000);
        if n % 5 == 0 {
            // It takes a little, now and then.
            world.drain(alice);
            world.full.insert(alice);
        }
    }
    let mut lines = world.read(alice);
    assert_eq!(seqs(&lines).len(), 95, "what is not read is not pushed");
    world.drain(alice);
    lines.extend(world.read(alice));
    assert_eq!(seqs(&lines), (1..=98).collect::<Vec<_>>());
    assert_eq!(lines.last().unwrap()["live"]["head"], 98);
    say(&mut world, bob, "c99", 10);
    assert_eq!(seqs(&world.read(alice)), [99]);
    assert!(world.closed.is_empty());
}

#[test]
fn who_is_out_of_the_room_that_was_too_fast_is_not_too_slow() {
    let (mut world, alice, bob) = two_people(RelayLimits::default());
    world.full.insert(bob);
    send(&mut world, alice, "tea", "k1");
    world.ask(alice, &json!({"id": 5, "grant": {"room": "tea", "user": "bob", "role": "none"}}));
    world.drain(bob);
    world.wait(Duration::from_secs(60));
    assert!(world.closed.is_empty(), "{:?}", world.closed);
}

#[test]
fn who_waits_for_many_answers_takes_them_before_there_are_more() {
    let (mut world, alice, bob) = two_people(RelayLimits::default());
    send(&mut world, bob, "tea", "k1");
    let ask = |id: usize| json!({"id": id, "get": {"room": "tea", "from": 1, "to": 1}});
    world.stores_by_itself = false;
    let max = RelayLimits::default().reading_max;
    for id in 0..=max {
        world.say(alice, &ask(id).to_string());
    }
    let refused = world.answer(alice);
    assert_eq!((&refused["id"], &refused["err"]["code"]), (&json!(max), &json!("busy")));
    assert!(refused["err"]["retry_ms"].is_u64(), "{refused}");
    world.store_answers();
    assert_eq!(world.read(alice).iter().filter(|it| it["ok"]["head"] == 1).count(), max);
    world.stores_by_itself = true;
    assert_eq!(world.ask(alice, &ask(1))["ok"]["head"], 1);
    for line in [r#"{"get":{"room":"tea","from":1,"to":1}}"#, r#"{"search":{"text":"k1"}}"#] {
        world.say(alice, line);
        assert_eq!(
            world.answer(alice)["err"]["code"],
            "fields",
            "nothing is read for nobody: {line}"
        );
    }
}

#[test]
fn who_takes_nothing_for_a_minute_is_closed() {
    let (mut world, alice, bob) = two_people(RelayLimits::default());
    world.full.insert(alice);
    send(&mut world, bob, "tea", "k1");
    world.wait(Duration::from_secs(59));
    assert!(world.closed.is_empty());
    world.wait(Duration::from_secs(1));
    assert_eq!(world.closed, [(alice, 4002)].into());
    send(&mut world, bob, "tea", "k2");
    assert_eq!(seqs(&world.read(bob)), [1, 2]);
}

#[test]
fn get_answers_a_bounded_piece_oldest_first() {
    let retention = Retention { messages_max: Some(100), age_max: None };
    let mut world = World::with(Settings { retention, ..Settings::default() });
    let [alice, bob] = ["alice", "bob"].map(|name| world.person(name));
    for who in [alice, bob] {
        join(&mut world, who, "tea");
    }
    for n in 1..=150 {
        say(&mut world, bob, &format!("c{n}"), if n > 100 { 8_000 } else { 10 });
    }
    world.wait(Duration::from_secs(60));
    world.read(alice);
    let mut get = |from: u64, to: u64| {
        world.wait(Duration::from_secs(10));
        let get = json!({"id": 1, "get": {"room": "tea", "from": from, "to": to}});
        let ok = world.ask(alice, &get)["ok"].take();
        assert_eq!(
            (&ok["first"], &ok["head"], &ok["room"]),
            (&json!(51), &json!(150), &json!("tea"))
        );
        let msgs = ok["msgs"].as_array().unwrap().iter().map(|msg| msg["seq"].as_u64().unwrap());
        msgs.collect::<Vec<_>>()
    };
    assert_eq!(get(60, 62), [60, 61, 62]);
    assert_eq!(get(150, u64::MAX), [150]);
    assert_eq!(get(1, 52), [51, 52], "what is gone is seen by `first`");
    assert_eq!(get(1, 50), [] as [u64; 0]);
    assert_eq!(get(51, 100), (51..=100).collect::<Vec<_>>());
    assert_eq!(get(101, 150), (101..=108).collect::<Vec<_>>(), "64 KiB");
}

#[test]
fn old_messages_go_and_cursors_before_them_are_reset() {
    let retention = Retention { messages_max: None, age_max: Some(Duration::from_secs(100)) };
    let (mut world, bob, token, epoch) = a_long_talk(Settings { retention, ..Settings::default() });
    world.wait(Duration::from_secs(60));
    let get = json!({"id": 1, "get": {"room": "tea", "from": 1, "to": 150}});
    let first = world.ask(bob, &get)["ok"]["first"].as_u64().unwrap();
    assert!((100..=112).contains(&first), "{first}");
    let (carol, _) = world.hello(&json!({"token": token, "at": {"tea": [epoch, 9]}}));
    let lines = world.read(carol);
    assert_eq!(lines[0]["reset"]["first"], first);
    assert_eq!(seqs(&lines), (first..=150).collect::<Vec<_>>());
    world.wait(Duration::from_secs(1_000));
    assert_eq!(world.ask(bob, &get)["ok"]["msgs"], json!([]));
    assert_eq!(send(&mut world, bob, "tea", "more")["ok"]["seq"], 151, "numbers go on");
}

#[test]
fn marks_only_grow_and_survive_a_restart() {
    let (mut world, alice, bob) = two_people(RelayLimits::default());
    for cid in ["k1", "k2", "k3"] {
        send(&mut world, alice, "tea", cid);
    }
    world.read(alice);
    let mark = |world: &mut World, recv: u64, read: u64| {
        let mark = json!({"mark": {"room": "tea", "recv": recv, "read": read}});
        assert_eq!(code(world, bob, &mark), "ok");
        let seen = events(&world.read(alice), "mark");
        seen.iter().map(|it| (it["recv"].as_u64(), it["read"].as_u64())).collect::<Vec<_>>()
    };
    assert_eq!(mark(&mut world, 2, 0), [(Some(2), Some(0))]);
    assert_eq!(mark(&mut world, 1, 0), []);
    assert_eq!(mark(&mut world, 0, 1), [(Some(2), Some(1))]);
    assert_eq!(mark(&mut world, 0, 3), [(Some(3), Some(3))], "read raises recv");
    assert_eq!(mark(&mut world, u64::MAX, u64::MAX), [], "both end at the head");
    world.restart(Settings::default());
    let carol = world.person("carol");
    let members = join(&mut world, carol, "tea")["members"].take();
    let of = |name: &str| members.as_array().unwrap().iter().find(|it| it["user"] == name).unwrap();
    assert_eq!((&of("bob")["recv"], &of("bob")["read"]), (&json!(3), &json!(3)));
    assert_eq!(of("carol")["read"], 3, "who comes later has nothing unread");
}

#[test]
fn marks_that_come_fast_are_stored_and_told_together() {
    let (mut world, alice, bob) = two_people(RelayLimits::default());
    for n in 1..=50 {
        world.wait(Duration::from_secs(1));
        send(&mut world, alice, "tea", &format!("k{n}"));
    }
    world.read(alice);
    world.stores_by_itself = false;
    for n in 1..=50 {
        world.say(bob, &json!({"mark": {"room": "tea", "read": n}}).to_string());
    }
    assert_eq!(world.store_waits(), 1);
    world.store_answers();
    let reads: Vec<_> =
        events(&world.read(alice), "mark").iter().map(|it| it["read"].clone()).collect();
    assert_eq!(reads, [1, 50]);
}

#[test]
fn search_finds_what_one_may_see() {
    let mut world = World::new(RelayLimits::default());
    let [alice, bob] = ["alice", "bob"].map(|name| world.person(name));
    join(&mut world, alice, "tea");
    join(&mut world, bob, "cellar");
    for (who, room, text) in [
        (alice, "tea", "Grüne Äpfel"),
        (bob, "cellar", "green apples, secret"),
        (alice, "tea", "green tea \"quoted\" OR nothing"),
    ] {
        let body = json!({"text": text});
        let cid = text.len().to_string();
        let line = json!({"send": {"room": room, "cid": cid, "body": body}});
        assert_eq!(code(&mut world, who, &line), "ok");
    }
    let find = |world: &mut World, who: Id, search: Value| {
        let found = world.ask(who, &json!({"id": 1, "search": search}))["ok"].take();
        let msgs = found["msgs"].as_array().unwrap().clone();
        msgs.iter().map(|it| it["seq"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(find(&mut world, alice, json!({"text": "green"})), [2]);
    assert_eq!(find(&mut world, alice, json!({"text": "gree"})), [2], "a beginning");
    assert_eq!(find(&mut world, alice, json!({"text": "apfel"})), [1], "without accents");
    assert_eq!(find(&mut world, alice, json!({"text": "secret"})), [] as [u64; 0]);
    assert_eq!(find(&mut world, bob, json!({"text": "secret", "room": "cellar"})), [1]);
    for inert in ["\"", "green OR apfel", "NEAR(green tea)", "text:green", "*", "", "( ' ; --"] {
        let found = find(&mut world, alice, json!({"text": inert}));
        assert!(found.len() <= 1, "{inert}: {found:?}");
    }
}

#[test]
fn search_goes_on_where_it_stopped() {
    let (mut world, bob, _, _) = a_long_talk(Settings::default());
    let mut before = Value::Null;
    let mut got = Vec::new();
    loop {
        world.wait(Duration::from_secs(10));
        let search = json!({"text": "m", "before": before});
        let page = world.ask(bob, &json!({"id": 1, "search": search}))["ok"].take();
        let msgs = page["msgs"].as_array().unwrap();
        assert!(msgs.len() <= 100);
        got.extend(msgs.iter().map(|it| it["seq"].as_u64().unwrap()));
        let Some(next) = page.get("next") else { break };
        before = next.clone();
    }
    assert_eq!(got, (1..=150).rev().collect::<Vec<_>>());
}

#[test]
fn what_is_too_old_goes_at_once_however_much_it_is() {
    let retention = Retention { messages_max: Some(100), age_max: None };
    let mut limits = RelayLimits::default();
    limits.burst = 10_000;
    let mut world = World::with(Settings { limits, retention, ..Settings::default() });
    let alice = world.person("alice");
    join(&mut world, alice, "tea");
    for n in 0..2_600 {
        send(&mut world, alice, "tea", &format!("c{n}"));
    }
    world.wait(Duration::from_secs(61));
    assert_eq!(world.store.inventory().unwrap().rooms[0].first, 2_501);
}
