//! Lines: what is answered to those that can be understood, and to those that cannot.

use std::time::Duration;

use chat_relay::limits::RelayLimits;
use serde_json::{Value, json};

use crate::world::{World, join, send, two_people};

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
    let long_search = format!(r#"{{"id":1,"search":{{"text":"{}"}}}}"#, "a".repeat(201));
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
        (r#"{"id":1,"mark":{"room":"cellar","recv":1,"read":1}}"#, "not_member", true),
        (r#"{"id":1,"mark":{"room":"tea","recv":-1}}"#, "fields", true),
        (r#"{"id":1,"members":{"room":"cellar"}}"#, "not_member", true),
        (r#"{"id":1,"search":{"text":"secret","room":"cellar"}}"#, "not_member", true),
        (r#"{"id":1,"search":{"text":7}}"#, "fields", true),
        (&long_search, "too_long", true),
        (r#"{"id":1,"grant":{"room":"cellar","user":"alice","role":"owner"}}"#, "not_member", true),
        (r#"{"id":1,"grant":{"room":"tea","user":"bob","role":"king"}}"#, "fields", true),
        (
            r#"{"id":1,"grant":{"room":"tea","user":"nobody","role":"member"}}"#,
            "user_unknown",
            true,
        ),
        (r#"{"id":1,"direct":{"user":"alice"}}"#, "forbidden", true),
        (r#"{"id":1,"direct":{"user":"nobody"}}"#, "user_unknown", true),
        (r#"{"id":1,"direct":{"user":"a\u0000"}}"#, "name", true),
        (r#"{"id":1,"join":{"room":"@1-2"}}"#, "room_name", true),
        (r#"{"id":1,"join":{"room":"a","access":"direct"}}"#, "fields", true),
        (r#"{"id":1,"admin":{"people":{}}}"#, "forbidden", true),
        (r#"{"id":1,"admin":{"rooms":{"after":""}}}"#, "forbidden", true),
        (r#"{"id":1,"logout":{"token":7}}"#, "fields", true),
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
        (r#"{"id":1,"hello":{"v":1,"name":"alice"}}"#, "name_taken"),
        (r#"{"id":1,"hello":{"v":1,"name":"alice","token":"x"}}"#, "fields"),
        (r#"{"id":1,"hello":{"v":1,"token":""}}"#, "token"),
        (r#"{"id":1,"hello":{"v":1,"token":"00000000000000000000000000000000"}}"#, "token"),
        (r#"{"id":1,"hello":{"v":1,"admin":"guess"}}"#, "token"),
        (r#"{"id":1,"hello":{"v":1,"name":"ann","password":"long enough"}}"#, "password"),
        (r#"{"id":1,"hello":{"v":1,"name":"ann","device":""}}"#, "fields"),
        (r#"{"id":1,"hello":{"v":1,"name":"ann","device":"a b"}}"#, "fields"),
    ];
    let mut limits = RelayLimits::default();
    limits.hello_cost = 0;
    let (mut world, alice, _) = two_people(limits);
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
fn a_line_of_a_megabyte_is_refused_and_the_connection_stays() {
    let (mut world, alice, bob) = two_people(RelayLimits::default());
    let long = format!(
        r#"{{"id":1,"send":{{"room":"tea","cid":"c","body":{{"text":"{}"}}}}}}"#,
        "a".repeat(1 << 20)
    );
    world.say(alice, &long);
    assert_eq!(world.read(alice)[0]["err"]["code"], "too_long");
    // It has to be paid for, as everything else.
    assert_eq!(world.ask(alice, &json!({"id": 2, "ping": {}}))["err"]["code"], "rate");
    world.wait(Duration::from_secs(60));
    assert_eq!(world.ask(alice, &json!({"id": 3, "ping": {}}))["ok"], json!({}));
    assert_eq!((world.read(bob), world.closed.len()), (vec![], 0));
}

#[test]
fn a_binary_frame_is_refused_and_the_connection_stays() {
    let (mut world, alice, _) = two_people(RelayLimits::default());
    world.say_binary(alice, 10);
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
    world.wait(Duration::from_secs(5));
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
fn a_hello_may_name_every_room_however_it_writes_their_names() {
    let mut world = World::new(RelayLimits::default());
    let (_, token) = world.person_with_token("alice");
    for letter in ["\u{20000}", "\\ud840\\udc00"] {
        let cursor = |n: usize| {
            format!(r#""{n:03}{}":["0123456789ab",9007199254740991]"#, letter.repeat(45))
        };
        let at: Vec<_> = (0..256).map(cursor).collect();
        let hello =
            format!(r#"{{"id":1,"hello":{{"v":1,"token":{token},"at":{{{}}}}}}}"#, at.join(","));
        let who = world.open();
        world.say(who, &hello);
        let answer = world.answer(who);
        assert_eq!(answer["ok"]["refused"].as_object().unwrap().len(), 256);
        world.say(who, &format!(r#"{{"ping":{{"x":"{}"}}}}"#, "x".repeat(16 * 1024)));
        assert_eq!(world.answer(who)["err"]["code"], "too_long", "only a hello may be that long");
    }
}
