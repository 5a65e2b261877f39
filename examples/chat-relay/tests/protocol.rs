//! The lines of `relay.v1`, without a socket: what people see who do it right, and who do not.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test may fail by panicking"
)]

mod support;

use std::time::Duration;

use chat_relay::limits::RelayLimits;
use serde_json::{Value, json};
use support::{Id, World};

fn join(world: &mut World, who: Id, room: &str) -> Value {
    world.ask(who, &json!({ "id": 2, "join": { "room": room } }))["ok"].take()
}

fn send(world: &mut World, who: Id, room: &str, cid: &str) -> Value {
    let body = json!({ "text": cid });
    world.ask(who, &json!({ "id": 3, "send": { "room": room, "cid": cid, "body": body } }))
}

/// The events of one kind that the connection was sent.
fn events(lines: &[Value], kind: &str) -> Vec<Value> {
    lines.iter().filter_map(|line| line.get(kind)).cloned().collect()
}

fn seqs(lines: &[Value]) -> Vec<u64> {
    events(lines, "msg").iter().map(|msg| msg["seq"].as_u64().unwrap()).collect()
}

/// Alice and Bob in the room `tea`, with nothing unread.
fn two_people(limits: RelayLimits) -> (World, Id, Id) {
    let mut world = World::new(limits);
    let [alice, bob] = ["alice", "bob"].map(|name| world.person(name));
    for who in [alice, bob] {
        join(&mut world, who, "tea");
    }
    for who in [alice, bob] {
        world.read(who);
    }
    (world, alice, bob)
}

#[test]
fn two_people_talk() {
    let mut world = World::new(RelayLimits::default());
    let (alice, welcome) = world.hello(&json!({ "name": "Alice" }));
    assert_eq!(welcome["ok"]["user"], "Alice");
    assert_eq!(welcome["ok"]["rooms"], json!({}));
    assert_eq!(welcome["ok"]["frame_bytes_max"], 65_536);
    assert_eq!(welcome["ok"]["token"].as_str().unwrap().len(), 32);
    let joined = join(&mut world, alice, "tea");
    assert_eq!((&joined["first"], &joined["head"]), (&json!(1), &json!(0)));
    assert_eq!(joined["members"], json!([{ "user": "Alice", "online": true }]));

    let bob = world.person("bob");
    assert_eq!(join(&mut world, bob, "tea")["members"].as_array().unwrap().len(), 2);
    assert_eq!(
        world.read(alice),
        [json!({"presence": {"room": "tea", "user": "bob", "online": true}})]
    );

    let ts = world.now.unix_ms;
    assert_eq!(send(&mut world, bob, "tea", "k1"), json!({"id": 3, "ok": {"seq": 1, "ts": ts}}));
    let msg = json!({"msg": {
        "room": "tea", "seq": 1, "from": "bob", "cid": "k1", "ts": ts, "body": {"text": "k1"}
    }});
    for who in [alice, bob] {
        assert_eq!(world.read(who), std::slice::from_ref(&msg));
    }

    world.say(alice, r#"{"eph":{"room":"tea","kind":"typing","ttl_s":6}}"#);
    let eph = json!({"eph": {"room": "tea", "kind": "typing", "ttl_s": 6, "from": "Alice"}});
    assert_eq!((world.read(alice), world.read(bob)), (vec![], vec![eph]));

    assert_eq!(world.ask(bob, &json!({"id": 4, "leave": {"room": "tea"}}))["ok"], json!({}));
    let left = json!({"presence": {"room": "tea", "user": "bob", "online": false, "left": true}});
    assert_eq!(world.read(alice), [left]);
    send(&mut world, alice, "tea", "k2");
    assert_eq!(world.read(bob), [] as [Value; 0]);
}

#[test]
fn what_cannot_be_understood_is_answered_and_the_connection_stays() {
    let deep = format!(
        r#"{{"id":1,"send":{{"room":"tea","cid":"c","body":{{"a":{}1{}}}}}}}"#,
        "[".repeat(5_000),
        "]".repeat(5_000)
    );
    let long_line = format!(r#"{{"id":1,"join":{{"room":"{}"}}}}"#, "a".repeat(20_000));
    let long_body = format!(
        r#"{{"id":1,"send":{{"room":"tea","cid":"c","body":{{"text":"{}"}}}}}}"#,
        "a".repeat(9_000)
    );
    let long_cid =
        format!(r#"{{"id":1,"send":{{"room":"tea","cid":"{}","body":{{}}}}}}"#, "c".repeat(65));
    let long_room = format!(r#"{{"id":1,"join":{{"room":"{}"}}}}"#, "a".repeat(49));
    let table: &[(&str, &str, bool)] = &[
        // line, code, whether the answer has the id
        ("hello", "json", false),
        ("{", "json", false),
        ("[]", "json", false),
        ("null", "json", false),
        ("42", "json", false),
        (r#""text""#, "json", false),
        ("{\"id\":1,\"ping\":{}}x", "json", false),
        (r#"{"id":1,"join":{"room":"\ud800"}}"#, "json", false),
        (r#"{"id":1,"get":{"room":"tea","from":1e999,"to":2}}"#, "json", false),
        ("\u{feff}{\"id\":1,\"ping\":{}}", "json", false),
        (&deep, "json", false),
        (&long_line, "too_long", false),
        (&long_body, "too_long", true),
        ("{}", "command", false),
        (r#"{"id":1}"#, "command", true),
        (r#"{"id":1,"shutdown":{}}"#, "command", true),
        (r#"{"id":1,"Join":{"room":"tea"}}"#, "command", true),
        (r#"{"id":1,"mark":{"room":"tea","recv":1,"read":1}}"#, "command", true),
        (r#"{"id":1,"join":{"room":"a"},"leave":{"room":"a"}}"#, "command", true),
        (r#"{"id":1,"ok":{}}"#, "command", true),
        (r#"{"id":-1,"ping":{}}"#, "fields", false),
        (r#"{"id":1.5,"ping":{}}"#, "fields", false),
        (r#"{"id":"1","ping":{}}"#, "fields", false),
        (r#"{"id":null,"ping":{}}"#, "fields", false),
        (r#"{"id":[1],"ping":{}}"#, "fields", false),
        (r#"{"id":9007199254740992,"ping":{}}"#, "fields", false),
        (r#"{"id":1,"ping":null}"#, "fields", true),
        (r#"{"id":1,"ping":[]}"#, "fields", true),
        (r#"{"id":1,"ping":{"now":1}}"#, "fields", true),
        (r#"{"id":1,"join":"tea"}"#, "fields", true),
        (r#"{"id":1,"join":["tea"]}"#, "fields", true),
        (r#"{"id":1,"join":{}}"#, "fields", true),
        (r#"{"id":1,"join":{"room":7}}"#, "fields", true),
        (r#"{"id":1,"join":{"room":null}}"#, "fields", true),
        (r#"{"id":1,"join":{"room":"a","role":"owner"}}"#, "fields", true),
        (r#"{"id":1,"send":{"room":"tea","body":{}}}"#, "fields", true),
        (r#"{"id":1,"send":{"room":"tea","cid":"","body":{}}}"#, "fields", true),
        (r#"{"id":1,"send":{"room":"tea","cid":"a b","body":{}}}"#, "fields", true),
        (r#"{"id":1,"send":{"room":"tea","cid":"é","body":{}}}"#, "fields", true),
        (&long_cid, "fields", true),
        (r#"{"id":1,"send":{"room":"tea","cid":"c","body":"hi"}}"#, "fields", true),
        (r#"{"id":1,"send":{"room":"tea","cid":"c"}}"#, "fields", true),
        (r#"{"id":1,"get":{"room":"tea","from":-1,"to":2}}"#, "fields", true),
        (r#"{"id":1,"get":{"room":"tea","from":1.5,"to":2}}"#, "fields", true),
        (r#"{"id":1,"get":{"room":"tea","from":1,"to":18446744073709551616}}"#, "fields", true),
        (r#"{"id":1,"eph":{"room":"tea","kind":"shouting","ttl_s":6}}"#, "fields", true),
        (r#"{"id":1,"eph":{"room":"tea","kind":{"typing":1},"ttl_s":6}}"#, "fields", true),
        (r#"{"id":1,"eph":{"room":"tea","kind":"typing","ttl_s":61}}"#, "range", true),
        (
            r#"{"id":1,"eph":{"room":"tea","kind":"typing","ttl_s":18446744073709551615}}"#,
            "range",
            true,
        ),
        (r#"{"id":1,"get":{"room":"tea","from":0,"to":1}}"#, "range", true),
        (r#"{"id":1,"get":{"room":"tea","from":2,"to":2}}"#, "range", true),
        (r#"{"id":1,"get":{"room":"tea","from":2,"to":1}}"#, "range", true),
        (
            r#"{"id":1,"get":{"room":"tea","from":18446744073709551615,"to":18446744073709551615}}"#,
            "range",
            true,
        ),
        (r#"{"id":1,"join":{"room":""}}"#, "room_name", true),
        (r#"{"id":1,"join":{"room":"Tea"}}"#, "room_name", true),
        (r#"{"id":1,"join":{"room":" tea"}}"#, "room_name", true),
        (r#"{"id":1,"join":{"room":"a\u0000b"}}"#, "room_name", true),
        (r#"{"id":1,"join":{"room":"a\nb"}}"#, "room_name", true),
        (r#"{"id":1,"join":{"room":"\u202eaet"}}"#, "room_name", true),
        (&long_room, "room_name", true),
        (r#"{"id":1,"leave":{"room":"cellar"}}"#, "not_member", true),
        (r#"{"id":1,"leave":{"room":"nowhere"}}"#, "not_member", true),
        (r#"{"id":1,"send":{"room":"cellar","cid":"c","body":{}}}"#, "not_member", true),
        (r#"{"id":1,"get":{"room":"cellar","from":1,"to":1}}"#, "not_member", true),
        (r#"{"id":1,"get":{"room":"nowhere","from":1,"to":1}}"#, "not_member", true),
        (r#"{"id":1,"eph":{"room":"cellar","kind":"typing","ttl_s":6}}"#, "not_member", true),
        (r#"{"id":1,"hello":{"v":1,"name":"alice"}}"#, "hello_again", true),
    ];
    let (mut world, alice, bob) = two_people(RelayLimits::default());
    send(&mut world, alice, "tea", "only");
    join(&mut world, bob, "cellar");
    send(&mut world, bob, "cellar", "secret");
    world.read(bob);
    for &(line, code, has_id) in table {
        world.read(alice);
        world.wait(Duration::from_secs(10));
        world.say(alice, line);
        let lines = world.read(alice);
        let shown = &line[..line.len().min(100)];
        assert_eq!(lines.len(), 1, "one answer to {shown}: {lines:?}");
        assert_eq!(lines[0]["err"]["code"], code, "{shown}: {lines:?}");
        assert_eq!(lines[0].get("id").is_some(), has_id, "{shown}");
        assert!(!lines[0]["err"]["text"].as_str().unwrap().is_empty());
        assert!(!lines[0].to_string().contains("secret"), "nothing of others is shown: {lines:?}");
        assert_eq!(world.ask(alice, &json!({"id": 9, "ping": {}})), json!({"id": 9, "ok": {}}));
    }
    assert_eq!(world.read(bob), [] as [Value; 0], "nobody else noticed");
    assert!(world.closed.is_empty());
}

#[test]
fn a_hello_that_cannot_be_accepted_leaves_another_try() {
    let table = [
        (r#"{"id":1,"ping":{}}"#, "hello_first"),
        (r#"{"id":1,"join":{"room":"tea"}}"#, "hello_first"),
        (r#"{"id":1,"get":{"room":"tea","from":1,"to":1}}"#, "hello_first"),
        (r#"{"id":1,"hello":{"v":2,"name":"ann"}}"#, "version"),
        (r#"{"id":1,"hello":{"v":18446744073709551615,"name":"ann"}}"#, "version"),
        (r#"{"id":1,"hello":{"name":"ann"}}"#, "fields"),
        (r#"{"id":1,"hello":{"v":"1","name":"ann"}}"#, "fields"),
        (r#"{"id":1,"hello":{"v":1}}"#, "fields"),
        (r#"{"id":1,"hello":{"v":1,"name":"ann","admin":true}}"#, "fields"),
        (r#"{"id":1,"hello":[1,"ann"]}"#, "fields"),
        (r#"{"id":1,"hello":{"v":1,"name":"ann","at":["tea"]}}"#, "fields"),
        (r#"{"id":1,"hello":{"v":1,"name":"ann","at":{"tea":7}}}"#, "fields"),
        (r#"{"id":1,"hello":{"v":1,"name":"ann","at":{"tea":["e",-1]}}}"#, "fields"),
        (r#"{"id":1,"hello":{"v":1,"name":"ann","at":{"tea":["e",1,2]}}}"#, "fields"),
        (r#"{"id":1,"hello":{"v":1,"name":"ann\u202e"}}"#, "name"),
        (r#"{"id":1,"hello":{"v":1,"name":""}}"#, "name"),
        (r#"{"id":1,"hello":{"v":1,"name":"a\u0007"}}"#, "name"),
        (r#"{"id":1,"hello":{"v":1,"name":"ALICE"}}"#, "name_taken"),
        (r#"{"id":1,"hello":{"v":1,"name":"alice","token":""}}"#, "name_taken"),
        (
            r#"{"id":1,"hello":{"v":1,"name":"alice","token":"00000000000000000000000000000000"}}"#,
            "name_taken",
        ),
    ];
    let (mut world, alice, _) = two_people(RelayLimits::default());
    let who = world.open();
    for (line, code) in table {
        world.say(who, line);
        let answer = world.read(who).remove(0);
        assert_eq!((&answer["id"], &answer["err"]["code"]), (&json!(1), &json!(code)), "{line}");
    }
    let hello = json!({"id": 2, "hello": {"v": 1, "name": "ann", "device": "d7"}});
    assert_eq!(world.ask(who, &hello)["ok"]["user"], "ann");
    assert_eq!(world.read(alice), [] as [Value; 0]);
    assert!(world.closed.is_empty());
}

#[test]
fn a_binary_frame_is_refused_and_the_connection_stays() {
    let (mut world, alice, _) = two_people(RelayLimits::default());
    let mut out = Vec::new();
    world.relay.receive_binary(world.now, alice, 10, &mut out);
    world.carry_out(out);
    assert_eq!(world.read(alice)[0]["err"]["code"], "binary");
    assert!(world.closed.is_empty());
}

#[test]
fn several_lines_of_a_frame_are_answered_in_order_up_to_a_limit() {
    let (mut world, alice, _) = two_people(RelayLimits::default());
    world.say(alice, "\n{\"id\":1,\"ping\":{}}\r\n\nnonsense\n{\"id\":2,\"ping\":{}}\n");
    let lines = world.read(alice);
    assert_eq!(lines.len(), 3);
    assert_eq!((&lines[0]["id"], &lines[2]["id"]), (&json!(1), &json!(2)));
    assert_eq!(lines[1]["err"]["code"], "json");

    world.say(alice, &"{\"id\":1,\"ping\":{}}\n".repeat(70));
    let lines = world.read(alice);
    assert_eq!(lines.len(), 65);
    assert_eq!(lines[64]["err"]["code"], "too_long");
    world.say(alice, &"\n".repeat(65_000));
    assert_eq!(world.read(alice), [] as [Value; 0]);
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
fn who_comes_back_gets_exactly_what_is_missing() {
    let (mut world, alice, bob) = two_people(RelayLimits::default());
    let epoch = join(&mut world, alice, "tea")["epoch"].clone();
    let token = {
        world.close(alice);
        assert_eq!(world.read(bob)[0]["presence"]["last_seen"], world.now.unix_ms);
        // The name is kept for its owner, who has the token; this test takes it from a fresh person.
        let (carol, welcome) = world.hello(&json!({"name": "carol", "at": {"tea": [epoch, 0]}}));
        world.close(carol);
        welcome["ok"]["token"].clone()
    };
    for n in 1..=150 {
        world.wait(Duration::from_secs(1));
        send(&mut world, bob, "tea", &format!("m{n}"));
    }
    let hello = |at: Value| json!({"name": "carol", "token": token, "at": {"tea": at}});

    let (carol, welcome) = world.hello(&hello(json!([epoch, 60])));
    assert_eq!(welcome["ok"]["rooms"]["tea"], json!({"epoch": epoch, "first": 51, "head": 150}));
    let lines = world.read(carol);
    assert_eq!(seqs(&lines), (61..=150).collect::<Vec<_>>());
    let live = lines.last().unwrap()["live"].clone();
    assert_eq!((&live["head"], live["members"].as_array().unwrap().len()), (&json!(150), 3));

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
        let (carol, _) = world.hello(&hello(at.clone()));
        let lines = world.read(carol);
        let resets = events(&lines, "reset");
        assert_eq!(resets.len(), usize::from(from.is_some()), "{at}");
        if let Some(from) = from {
            assert_eq!(
                resets[0],
                json!({"room": "tea", "epoch": epoch, "first": from, "head": 150})
            );
        }
        let next = from.unwrap_or_else(|| at[1].as_u64().unwrap() + 1);
        assert_eq!(seqs(&lines), (next..=150).collect::<Vec<_>>(), "{at}");
        send(&mut world, bob, "tea", "m150");
        assert_eq!(
            seqs(&world.read(carol)),
            [] as [u64; 0],
            "a repeated message is not shown again"
        );
    }
}

#[test]
fn a_restarted_relay_is_noticed_and_the_rooms_are_joined_again() {
    let mut world = World::new(RelayLimits::default());
    let at = json!({"tea": ["0123456789ab", 41], "Bad": ["x", 1]});
    let (alice, welcome) = world.hello(&json!({"name": "alice", "token": "of before", "at": at}));
    assert_eq!(welcome["ok"]["rooms"]["tea"]["head"], 0);
    assert_eq!(welcome["ok"]["refused"], json!({"Bad": "room_name"}));
    let lines = world.read(alice);
    assert_eq!(lines[0]["reset"]["first"], 1);
    assert_eq!(lines[1]["live"]["room"], "tea");
    assert_eq!(send(&mut world, alice, "tea", "k")["ok"]["seq"], 1);
    assert_eq!(seqs(&world.read(alice)), [1]);
}

#[test]
fn who_reconnects_with_the_token_takes_over_and_nobody_else_can() {
    let mut world = World::new(RelayLimits::default());
    let (older, welcome) = world.hello(&json!({"name": "alice", "at": {"tea": ["", 0]}}));
    let token = welcome["ok"]["token"].clone();
    let bob = world.person("bob");
    join(&mut world, bob, "tea");

    let (thief, refused) = world.hello(&json!({"name": "alice", "token": "guess"}));
    assert_eq!(refused["err"]["code"], "name_taken");
    assert!(world.closed.is_empty());

    let (newer, welcome) = world.hello(&json!({"name": "Alice", "token": token}));
    assert_eq!(welcome["ok"]["user"], "alice");
    assert_eq!(world.closed[&older], 4501);
    assert_eq!(world.read(bob), [] as [Value; 0], "nobody went and nobody came");
    world.say(older, r#"{"id":5,"send":{"room":"tea","cid":"x","body":{}}}"#);
    world.close(older);
    send(&mut world, bob, "tea", "k");
    assert_eq!(seqs(&world.read(newer)), [1]);
    assert_eq!(world.ask(thief, &json!({"id": 6, "ping": {}}))["err"]["code"], "hello_first");

    world.close(newer);
    assert_eq!(world.hello(&json!({"name": "alice"})).1["err"]["code"], "name_taken");
    world.wait(Duration::from_secs(3_599));
    assert_eq!(world.hello(&json!({"name": "alice"})).1["err"]["code"], "name_taken");
    world.read(bob);
    world.wait(Duration::from_secs(1));
    let presence = events(&world.read(bob), "presence");
    assert_eq!(presence, [json!({"room": "tea", "user": "alice", "online": false, "left": true})]);
    let (_, welcome) = world.hello(&json!({"name": "alice", "token": token}));
    assert_ne!(welcome["ok"]["token"], token, "a new person, with a new secret");
    assert_eq!(welcome["ok"]["rooms"], json!({}));
}

#[test]
fn rooms_that_the_client_did_not_name_go_on_from_now() {
    let (mut world, _, bob) = two_people(RelayLimits::default());
    let (carol, welcome) = world.hello(&json!({"name": "carol", "at": {"tea": ["", 0]}}));
    send(&mut world, bob, "tea", "k1");
    world.close(carol);
    let token = &welcome["ok"]["token"];
    let (carol, welcome) = world.hello(&json!({"name": "carol", "token": token}));
    assert_eq!(welcome["ok"]["rooms"]["tea"]["head"], 1);
    send(&mut world, bob, "tea", "k2");
    let lines = world.read(carol);
    assert_eq!(lines[0]["live"]["head"], 1);
    assert_eq!(seqs(&lines), [2]);
}

#[test]
fn a_connection_is_fed_as_it_drains_and_keeps_its_place() {
    let (mut world, _, bob) = two_people(RelayLimits::default());
    let text = "x".repeat(8_000);
    let fill = |world: &mut World, from: u32, to: u32| {
        for n in from..=to {
            world.wait(Duration::from_secs(10));
            let send = json!({"room": "tea", "cid": format!("c{n}"), "body": {"text": text}});
            world.say(bob, &json!({"id": n, "send": send}).to_string());
        }
    };
    fill(&mut world, 1, 50);
    world.drains_by_itself = false;
    let (carol, _) = world.hello(&json!({"name": "carol", "at": {"tea": ["", 0]}}));
    let mut got = seqs(&world.read(carol));
    assert!((8..=10).contains(&got.len()), "a piece is about 64 KiB: {}", got.len());
    fill(&mut world, 51, 60);
    while world.relay.is_behind(carol) {
        assert_eq!(events(&world.read(carol), "live"), [] as [Value; 0]);
        world.drain(carol);
        let lines = world.read(carol);
        assert!(events(&lines, "reset").is_empty());
        got.extend(seqs(&lines));
    }
    assert_eq!(got, (1..=60).collect::<Vec<_>>());
    fill(&mut world, 61, 61);
    assert_eq!(seqs(&world.read(carol)), [61], "live");

    // A reader slower than the room is told what it has lost.
    let (carol, _) = world.hello(&json!({"name": "dora", "at": {"tea": ["", 0]}}));
    world.read(carol);
    fill(&mut world, 62, 200);
    world.drain(carol);
    let lines = world.read(carol);
    assert_eq!(lines[0]["reset"]["first"], 101);
    assert_eq!(seqs(&lines)[0], 101);
}

#[test]
fn get_answers_a_bounded_piece_oldest_first() {
    let (mut world, alice, bob) = two_people(RelayLimits::default());
    for n in 1..=150 {
        world.wait(Duration::from_secs(10));
        let body = json!({"text": "x".repeat(if n > 100 { 8_000 } else { 10 })});
        world.say(
            bob,
            &json!({"send": {"room": "tea", "cid": format!("c{n}"), "body": body}}).to_string(),
        );
    }
    world.read(alice);
    let mut get = |from: u64, to: u64| {
        world.wait(Duration::from_secs(10));
        let mut ok = world
            .ask(alice, &json!({"id": 1, "get": {"room": "tea", "from": from, "to": to}}))["ok"]
            .take();
        assert_eq!(
            (&ok["first"], &ok["head"], &ok["room"]),
            (&json!(51), &json!(150), &json!("tea"))
        );
        let msgs =
            ok["msgs"].as_array_mut().unwrap().iter().map(|msg| msg["seq"].as_u64().unwrap());
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
fn too_much_is_refused_with_a_time_and_who_goes_on_is_closed() {
    let (mut world, alice, bob) = two_people(RelayLimits::default());
    let ping = json!({"id": 7, "ping": {}});
    let refused = loop {
        let answer = world.ask(alice, &ping);
        if answer.get("err").is_some() {
            break answer;
        }
    };
    assert_eq!((&refused["id"], &refused["err"]["code"]), (&json!(7), &json!("rate")));
    let retry = refused["err"]["retry_ms"].as_u64().unwrap();
    assert!((1..=100).contains(&retry));
    world.wait(Duration::from_millis(retry));
    assert_eq!(world.ask(alice, &ping)["ok"], json!({}));

    for _ in 0..250 {
        world.say(alice, "nonsense");
    }
    assert_eq!(world.closed.get(&alice), Some(&4500));
    world.say(alice, r#"{"id":8,"ping":{}}"#);
    assert!(world.read(alice).iter().all(|line| line["err"]["code"] != "hello_first"));
    world.close(alice);
    assert_eq!(world.read(bob).last().unwrap()["presence"]["online"], false);
}

#[test]
fn large_questions_and_large_answers_cost_more() {
    let (mut world, alice, bob) = two_people(RelayLimits::default());
    for n in 0..8 {
        world.wait(Duration::from_secs(10));
        let body = json!({"text": "x".repeat(8_000)});
        world.say(
            bob,
            &json!({"send": {"room": "tea", "cid": format!("c{n}"), "body": body}}).to_string(),
        );
    }
    world.read(alice);
    let get = json!({"id": 1, "get": {"room": "tea", "from": 1, "to": 8}});
    let answered = (0..100).take_while(|_| world.ask(alice, &get).get("ok").is_some()).count();
    assert!((3..=4).contains(&answered), "{answered}");
}

#[test]
fn a_connection_that_says_no_hello_is_closed() {
    let mut world = World::new(RelayLimits::default());
    let (silent, alice) = (world.open(), world.person("alice"));
    let gone = world.open();
    world.close(gone);
    world.wait(Duration::from_secs(19));
    assert!(world.closed.is_empty());
    world.wait(Duration::from_secs(1));
    assert_eq!(world.closed.iter().collect::<Vec<_>>(), [(&silent, &4001)]);
    assert_eq!(world.ask(alice, &json!({"id": 1, "ping": {}}))["ok"], json!({}));
}

#[test]
fn everything_is_bounded() {
    let mut limits = RelayLimits::default();
    limits.people_max = 4;
    limits.rooms_max = 3;
    limits.rooms_per_person_max = 2;
    limits.members_max = 2;
    let mut world = World::new(limits);
    let code = |world: &mut World, who: Id, room: &str| {
        let answer = world.ask(who, &json!({"id": 2, "join": {"room": room}}));
        answer["err"]["code"].as_str().unwrap_or("ok").to_owned()
    };
    let [a, b, c] = ["a", "b", "c"].map(|name| world.person(name));
    assert_eq!(code(&mut world, a, "r1"), "ok");
    assert_eq!(code(&mut world, a, "r2"), "ok");
    assert_eq!(code(&mut world, a, "r3"), "rooms_full");
    assert_eq!(code(&mut world, b, "r1"), "ok");
    assert_eq!(code(&mut world, c, "r1"), "room_full");

    // Who is away makes place in a room; the room's others are told.
    world.close(b);
    world.read(a);
    assert_eq!(code(&mut world, c, "r1"), "ok");
    assert_eq!(events(&world.read(a), "presence")[0]["left"], true);

    // A room without members and history is forgotten at once; one with history when its place is needed.
    assert_eq!(code(&mut world, c, "r3"), "ok");
    send(&mut world, c, "r3", "k");
    world.ask(c, &json!({"id": 4, "leave": {"room": "r3"}}));
    assert_eq!(code(&mut world, c, "r4"), "ok");
    world.ask(c, &json!({"id": 4, "leave": {"room": "r4"}}));
    assert_eq!(join(&mut world, c, "r3")["head"], 0, "r3 was forgotten for r4, and is new");
    let d = world.person("d");
    assert_eq!(code(&mut world, d, "r9"), "relay_full");
    world.read(d);

    // b is away and is forgotten for e; then all four are here.
    let (_, e) = world.hello(&json!({"name": "e"}));
    assert_eq!(e["ok"]["user"], "e");
    let (_, f) = world.hello(&json!({"name": "f"}));
    assert_eq!(f["err"]["code"], "relay_full");
    assert_eq!(f["err"]["retry_ms"], 10_000);
}
