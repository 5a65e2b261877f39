//! Who somebody is, devices, presence.

use std::net::IpAddr;
use std::time::Duration;

use chat_relay::limits::RelayLimits;
use chat_relay::relay::{Admission, Registration, Settings, Vouched};
use serde_json::{Value, json};

use crate::world::{World, code, events, join, send, seqs, two_people};

#[test]
fn two_people_talk() {
    let mut world = World::new(RelayLimits::default());
    let (alice, welcome) = world.hello(&json!({ "name": "Alice" }));
    assert_eq!(welcome["ok"]["user"], "Alice");
    assert_eq!(welcome["ok"]["rooms"], json!({}));
    assert_eq!(welcome["ok"]["frame_bytes_max"], 65_536);
    assert_eq!(welcome["ok"]["token"].as_str().unwrap().len(), 32);
    let joined = join(&mut world, alice, "tea");
    let epoch = joined["epoch"].clone();
    assert_eq!(
        joined,
        json!({
            "room": "tea", "kind": "open", "role": "owner", "epoch": epoch, "first": 1, "head": 0,
            "recv": 0, "read": 0,
            "members": [{"user": "Alice", "role": "owner", "online": true, "recv": 0, "read": 0}],
        })
    );

    let bob = world.person("bob");
    assert_eq!(join(&mut world, bob, "tea")["members"].as_array().unwrap().len(), 2);
    let member = json!({
        "room": "tea", "user": "bob", "role": "member", "online": true, "recv": 0, "read": 0
    });
    assert_eq!(world.read(alice), [json!({ "member": member })]);

    let ts = world.now.unix_ms;
    assert_eq!(send(&mut world, bob, "tea", "k1"), json!({"id": 3, "ok": {"seq": 1, "ts": ts}}));
    let msg = json!({"msg": {
        "room": "tea", "seq": 1, "from": "bob", "cid": "k1", "ts": ts, "body": {"text": "k1"}
    }});
    for who in [alice, bob] {
        assert_eq!(world.read(who), std::slice::from_ref(&msg));
    }

    world.say(alice, r#"{"eph":{"room":"tea","kind":"typing","ttl_s":6}}"#);
    let eph = json!({"eph": {"room": "tea", "from": "Alice", "kind": "typing", "ttl_s": 6}});
    assert_eq!((world.read(alice), world.read(bob)), (vec![], vec![eph]));
    let place = json!({"room": "tea", "kind": "location", "ttl_s": 60, "data": {"lat": 1.5}});
    assert_eq!(code(&mut world, bob, &json!({ "eph": place })), "ok");
    assert_eq!(world.read(alice)[0]["eph"]["data"], json!({"lat": 1.5}));

    assert_eq!(world.ask(bob, &json!({"id": 4, "leave": {"room": "tea"}}))["ok"], json!({}));
    let left = json!({
        "room": "tea", "user": "bob", "role": "none", "online": false, "recv": 0, "read": 0
    });
    assert_eq!(world.read(alice), [json!({ "member": left })]);
    world.read(bob);
    send(&mut world, alice, "tea", "k2");
    assert_eq!(world.read(bob), [] as [Value; 0]);
}

#[test]
fn a_name_belongs_to_who_has_its_token() {
    let mut world = World::new(RelayLimits::default());
    let (alice, token) = world.person_with_token("Alice");
    join(&mut world, alice, "tea");
    for name in ["Alice", "ALICE"] {
        assert_eq!(world.hello(&json!({"name": name})).1["err"]["code"], "name_taken");
    }
    world.close(alice);
    world.wait(Duration::from_secs(400 * 24 * 3_600));
    assert_eq!(world.hello(&json!({"name": "alice"})).1["err"]["code"], "name_taken");
    world.restart(Settings::default());
    assert_eq!(world.hello(&json!({"name": "alice"})).1["err"]["code"], "name_taken");
    let (_, welcome) = world.hello(&json!({"token": token}));
    assert_eq!(welcome["ok"]["user"], "Alice");
    assert_eq!(welcome["ok"].get("token"), None, "a token is shown once");
    assert_eq!(welcome["ok"]["rooms"]["tea"]["role"], "owner");
}

#[test]
fn composition_and_case_do_not_make_another_name() {
    let mut world = World::new(RelayLimits::default());
    let zoe = world.person("Zo\u{eb}");
    join(&mut world, zoe, "tea");
    let (_, other) = world.hello(&json!({"name": "ZOE\u{308}"}));
    assert_eq!(other["err"]["code"], "name_taken");
}

#[test]
fn a_name_that_has_left_nothing_is_free_again() {
    let mut world = World::new(RelayLimits::default());
    let (alice, token) = world.person_with_token("alice");
    world.close(alice);
    world.wait(Duration::from_secs(65));
    assert_eq!(world.hello(&json!({"token": token})).1["err"]["code"], "token");
    let alice = world.person("alice");
    join(&mut world, alice, "tea");
    send(&mut world, alice, "tea", "k");
    world.ask(alice, &json!({"id": 4, "leave": {"room": "tea"}}));
    world.close(alice);
    world.wait(Duration::from_secs(65));
    let (_, other) = world.hello(&json!({"name": "alice"}));
    assert_eq!(other["err"]["code"], "name_taken", "what one has said stays one's own");
    assert_eq!(world.relay.counts().0, 0, "nobody is kept in memory");
}

#[test]
fn a_relay_that_starts_again_frees_the_names_of_who_has_left_nothing() {
    let mut world = World::new(RelayLimits::default());
    let (_, token) = world.person_with_token("alice");
    let (_, of_bob) = world.person_with_token("bob");
    world.restart(Settings::default());
    let (_, welcome) = world.hello(&json!({"token": of_bob}));
    assert_eq!(welcome["ok"]["user"], "bob");
    world.wait(Duration::from_secs(61));
    assert_eq!(world.hello(&json!({"token": token})).1["err"]["code"], "token");
    world.person("alice");
    assert_eq!(world.hello(&json!({"token": of_bob})).1["ok"]["user"], "bob");
}

#[test]
fn when_somebody_was_seen_last_is_known_after_a_restart() {
    let mut world = World::new(RelayLimits::default());
    let alice = world.person("alice");
    let (bob, _) = world.person_with_token("bob");
    for who in [alice, bob] {
        join(&mut world, who, "tea");
    }
    world.wait(Duration::from_secs(1_000));
    let left_ms = world.now.unix_ms;
    world.close(bob);
    world.wait(Duration::from_secs(1));
    world.restart(Settings::default());
    let person = world.store.inventory().unwrap().people.into_iter().find(|it| &*it.key == "bob");
    assert_eq!(person.unwrap().last_seen_ms, left_ms);
}

#[test]
fn who_is_gone_before_the_answer_has_not_taken_the_name() {
    let mut world = World::new(RelayLimits::default());
    world.stores_by_itself = false;
    let who = world.open();
    world.say(who, r#"{"id":1,"hello":{"v":1,"name":"alice"}}"#);
    world.say(who, r#"{"id":2,"ping":{}}"#);
    assert_eq!(world.answer(who)["err"]["code"], "hello_first");
    world.close(who);
    world.store_answers();
    world.stores_by_itself = true;
    world.person("alice");
}

#[test]
fn a_person_has_several_devices_and_one_presence() {
    let (mut world, alice, bob) = two_people(RelayLimits::default());
    let (carol, token) = world.person_with_token("carol");
    join(&mut world, carol, "tea");
    let hello = |device: &str| json!({"token": token, "device": device, "at": {}});
    let (phone, _) = world.hello(&hello("phone"));
    let (laptop, _) = world.hello(&hello("laptop"));
    for who in [alice, bob, carol] {
        world.read(who);
    }
    send(&mut world, phone, "tea", "k1");
    for who in [carol, phone, laptop, alice] {
        assert_eq!(seqs(&world.read(who)), [1]);
    }
    // One device more than there was: the older connection is closed, the others stay.
    let (newer, _) = world.hello(&hello("phone"));
    assert_eq!(world.closed, [(phone, 4501)].into());
    world.close(phone);
    for who in [carol, laptop] {
        world.close(who);
    }
    world.wait(Duration::from_secs(60));
    assert_eq!(events(&world.read(bob), "presence"), [] as [Value; 0]);
    world.close(newer);
    world.wait(Duration::from_secs(4));
    assert_eq!(events(&world.read(bob), "presence"), [] as [Value; 0]);
    world.wait(Duration::from_secs(1));
    let last_seen = world.now.unix_ms - 5_000;
    let gone = json!({"room": "tea", "user": "carol", "online": false, "last_seen": last_seen});
    assert_eq!(events(&world.read(bob), "presence"), [gone]);
    world.hello(&hello("phone"));
    let back = json!({"room": "tea", "user": "carol", "online": true});
    assert_eq!(events(&world.read(bob), "presence"), [back]);
}

#[test]
fn who_comes_back_in_time_was_never_gone() {
    let (mut world, _, bob) = two_people(RelayLimits::default());
    let (carol, token) = world.person_with_token("carol");
    join(&mut world, carol, "tea");
    world.read(bob);
    for _ in 0..10 {
        world.wait(Duration::from_secs(1));
    }
    world.close(carol);
    world.wait(Duration::from_secs(4));
    world.hello(&json!({"token": token}));
    world.wait(Duration::from_secs(60));
    assert_eq!(world.read(bob), [] as [Value; 0]);
}

#[test]
fn the_ninth_connection_closes_the_oldest() {
    let mut world = World::new(RelayLimits::default());
    let (first, token) = world.person_with_token("alice");
    join(&mut world, first, "tea");
    for n in 2..=8 {
        world.hello(&json!({"token": token, "device": format!("d{n}")}));
    }
    assert!(world.closed.is_empty());
    let (ninth, _) = world.hello(&json!({"token": token}));
    assert_eq!(world.closed, [(first, 4501)].into());
    assert_eq!(send(&mut world, ninth, "tea", "k")["ok"]["seq"], 1);
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

fn accounts(registration: Registration) -> World {
    let admission = Admission::Accounts(registration);
    let admin_secret = Some("of the admin".to_owned());
    World::with(Settings { admission, admin_secret, ..Settings::default() })
}

#[test]
fn an_account_is_its_password() {
    let mut world = accounts(Registration::Open);
    let try_one = |world: &mut World, hello: Value| {
        world.wait(Duration::from_secs(30));
        let (who, answer) = world.hello(&hello);
        world.close(who);
        answer["err"]["code"].as_str().unwrap_or("ok").to_owned()
    };
    let table = [
        (json!({"name": "alice"}), "password"),
        (json!({"name": "alice", "password": "correct horse"}), "password"),
        (json!({"name": "alice", "password": "short", "register": true}), "password"),
        (json!({"name": "alice", "password": "correct horse", "register": true}), "ok"),
        (json!({"name": "ALICE", "password": "another horse", "register": true}), "name_taken"),
        (json!({"name": "alice", "password": "wrong horse"}), "password"),
        (json!({"name": "Alice", "password": "correct horse", "device": "d"}), "ok"),
        (json!({"token": "0"}), "token"),
    ];
    for (hello, code) in table {
        assert_eq!(try_one(&mut world, hello.clone()), code, "{hello}");
    }
    let (_, welcome) = world.hello(&json!({"name": "alice", "password": "correct horse"}));
    let token = welcome["ok"]["token"].clone();
    world.restart(Settings {
        admission: Admission::Accounts(Registration::Off),
        ..Settings::default()
    });
    assert_eq!(try_one(&mut world, json!({"token": token})), "ok");
    let new = json!({"name": "bob", "password": "correct horse", "register": true});
    assert_eq!(try_one(&mut world, new), "registration");
}

#[test]
fn an_invitation_is_good_for_as_many_as_it_says() {
    let mut world = accounts(Registration::Invitation);
    let (admin, answer) = world.hello(&json!({"admin": "of the admin"}));
    assert_eq!(answer["ok"], json!({}));
    let invite = json!({"id": 1, "admin": {"invite": {"uses": 1, "days": 1}}});
    let invitation = world.ask(admin, &invite)["ok"]["invitation"].clone();
    let register = |world: &mut World, name: &str, invitation: Value| {
        world.wait(Duration::from_secs(10));
        let hello = json!({
            "name": name, "password": "correct horse", "register": true, "invitation": invitation
        });
        world.hello(&hello).1["err"]["code"].as_str().unwrap_or("ok").to_owned()
    };
    assert_eq!(register(&mut world, "a", Value::Null), "registration");
    assert_eq!(register(&mut world, "a", json!("guess")), "registration");
    assert_eq!(register(&mut world, "a", invitation.clone()), "ok");
    assert_eq!(register(&mut world, "b", invitation), "registration");
    let invitation = world.ask(admin, &invite)["ok"]["invitation"].clone();
    world.wait(Duration::from_secs(25 * 3_600));
    assert_eq!(register(&mut world, "b", invitation), "registration", "too old");
}

#[test]
fn whom_a_token_vouches_for_stays_until_it_ends() {
    let voucher = |token: &str, _: u64| match token.split_once(' ') {
        Some((name, until)) => {
            Ok(Vouched { name: name.to_owned(), expires_ms: until.parse().unwrap() })
        }
        None => Err("no such token".to_owned()),
    };
    let admission = Admission::Vouched(Box::new(voucher));
    let mut world = World::with(Settings { admission, ..Settings::default() });
    assert_eq!(world.hello(&json!({"name": "alice"})).1["err"]["code"], "token");
    assert_eq!(world.hello(&json!({"token": "junk"})).1["err"]["code"], "token");
    let token = format!("alice {}", world.now.unix_ms + 10_000);
    let (alice, welcome) = world.hello(&json!({"token": token}));
    assert_eq!(welcome["ok"]["user"], "alice");
    join(&mut world, alice, "tea");
    world.wait(Duration::from_secs(9));
    assert!(world.closed.is_empty());
    world.wait(Duration::from_secs(1));
    assert_eq!(world.closed, [(alice, 4503)].into());
    let token = format!("alice {}", world.now.unix_ms + 10_000);
    let (_, welcome) = world.hello(&json!({"token": token}));
    assert_eq!(welcome["ok"]["rooms"]["tea"]["role"], "owner");
}

#[test]
fn who_signs_out_is_signed_out() {
    let mut world = World::new(RelayLimits::default());
    let (one, token) = world.person_with_token("alice");
    join(&mut world, one, "tea");
    let (two, _) = world.hello(&json!({"token": token}));
    assert_eq!(world.ask(two, &json!({"id": 1, "logout": {"token": token}}))["ok"], json!({}));
    assert_eq!(world.closed, [(two, 4502)].into());
    assert_eq!(world.hello(&json!({"token": token})).1["err"]["code"], "token");
    assert_eq!(world.ask(one, &json!({"id": 1, "logout": {}}))["ok"], json!({}));
    assert_eq!(world.closed[&one], 4502);
}

#[test]
fn the_one_who_runs_the_relay_sees_and_keeps_out() {
    let mut world =
        World::with(Settings { admin_secret: Some("of the admin".into()), ..Settings::default() });
    let (alice, token) = world.person_with_token("alice");
    join(&mut world, alice, "tea");
    send(&mut world, alice, "tea", "k");
    let (admin, _) = world.hello(&json!({"admin": "of the admin"}));
    let ask = |world: &mut World, what: Value| {
        world.ask(admin, &json!({"id": 1, "admin": what}))["ok"].take()
    };
    let people = ask(&mut world, json!({"people": {}}));
    assert_eq!(people["people"][0]["user"], "alice");
    assert_eq!(
        (&people["people"][0]["devices"], &people["people"][0]["rooms"]),
        (&json!(1), &json!(1))
    );
    let rooms = ask(&mut world, json!({"rooms": {}}));
    assert_eq!(
        rooms["rooms"],
        json!([{"room": "tea", "kind": "open", "members": 1, "first": 1, "head": 1}])
    );
    ask(&mut world, json!({"block": {"user": "ALICE", "blocked": true}}));
    assert_eq!(world.closed, [(alice, 4502)].into());
    world.close(alice);
    assert_eq!(world.hello(&json!({"token": token})).1["err"]["code"], "blocked");
    ask(&mut world, json!({"block": {"user": "alice", "blocked": false}}));
    assert_eq!(world.hello(&json!({"token": token})).1["ok"]["user"], "alice");
    let signed_out = world.ask(admin, &json!({"id": 1, "admin": {"sign_out": {"user": "alice"}}}));
    assert_eq!(signed_out["err"]["code"], "forbidden", "the name would be lost");
    ask(&mut world, json!({"remove_room": {"room": "tea"}}));
    assert_eq!(ask(&mut world, json!({"rooms": {}}))["rooms"], json!([]));
    let refused =
        world.ask(admin, &json!({"id": 1, "admin": {"block": {"user": "zed", "blocked": true}}}));
    assert_eq!(refused["err"]["code"], "user_unknown");
    assert_eq!(code(&mut world, admin, &json!({"join": {"room": "tea"}})), "hello_first");
}

#[test]
fn people_at_one_address_share_a_purse() {
    let mut limits = RelayLimits::default();
    limits.address_factor = 2;
    let mut world = World::new(limits);
    let at = |n: u16| IpAddr::from([0x2001, 0xdb8, 0, 7, 0, 0, 0, n]);
    let who: Vec<_> = (1..=4).map(|n| world.open_from(at(n))).collect();
    let elsewhere = world.open_from(IpAddr::from([192, 0, 2, 1]));
    for (n, who) in who.iter().enumerate() {
        let answer = world.say_hello(*who, &json!({"name": format!("p{n}")}));
        assert!(answer.get("ok").is_some(), "{answer}");
    }
    let ping = json!({"ping": {}});
    let mut affordable = 0;
    while who.iter().all(|who| code(&mut world, *who, &ping) == "ok") {
        affordable += 4;
    }
    assert!((200..400).contains(&affordable), "{affordable} of twice 200");
    let answer = world.say_hello(elsewhere, &json!({"name": "q"}));
    assert!(answer.get("ok").is_some(), "{answer}");
    for who in who {
        world.close(who);
    }
    let again = world.open_from(at(9));
    assert_eq!(world.say_hello(again, &json!({"name": "r"}))["err"]["code"], "rate");
    world.close(again);
    world.wait(Duration::from_secs(60));
    let again = world.open_from(at(9));
    assert!(world.say_hello(again, &json!({"name": "r"})).get("ok").is_some());
}

#[test]
fn devices_without_a_name_do_not_sign_each_other_out() {
    let mut world = accounts(Registration::Open);
    let hello = json!({"name": "alice", "password": "correct horse", "register": true});
    let mut tokens = vec![world.hello(&hello).1["ok"]["token"].take()];
    for _ in 0..2 {
        world.wait(Duration::from_secs(30));
        let (_, mut welcome) = world.hello(&json!({"name": "alice", "password": "correct horse"}));
        tokens.push(welcome["ok"]["token"].take());
    }
    for token in tokens {
        assert_eq!(world.hello(&json!({"token": token})).1["ok"]["user"], "alice");
    }
}

#[test]
fn who_is_kept_out_does_not_come_back_by_a_name_that_is_free_again() {
    let admin_secret = Some("of the admin".to_owned());
    let mut world = World::with(Settings { admin_secret, ..Settings::default() });
    let (admin, _) = world.hello(&json!({"admin": "of the admin"}));
    let (alice, token) = world.person_with_token("alice");
    world.ask(admin, &json!({"id": 2, "admin": {"block": {"user": "alice", "blocked": true}}}));
    world.close(alice);
    world.wait(Duration::from_secs(6));
    world.wait(Duration::from_secs(65));
    assert_eq!(world.hello(&json!({"token": token})).1["err"]["code"], "blocked");
    assert_eq!(world.hello(&json!({"name": "alice"})).1["err"]["code"], "name_taken");
}
