//! A disk that is full: nothing more is stored, and all that is stored can be read.

use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::link::Link;
use crate::process::{Folder, Relay};

const WRITERS: usize = 8;
/// What fits below it is less than the writers may say at once.
const SMALL: &str = "600K";

#[test]
fn a_full_disk_refuses_what_is_new_and_shows_what_is_old() {
    let folder = Folder::new("full");
    let relay = Relay::start(folder.path(), &["--data-bytes-max", SMALL]);
    let mut writers: Vec<_> = (0..WRITERS).map(|n| Writer::new(relay.address, n)).collect();
    let stored = fill(&mut writers);
    assert_eq!(relay.ready(), 503);

    let mut reader = come_back(relay.address, &writers[0].token, stored);
    let ok = ask(&mut reader, json!({"get": {"room": "r", "from": 1, "to": 3}}));
    assert_eq!(ok["ok"]["msgs"].as_array().unwrap().len(), 3);
    let ok = ask(&mut reader, json!({"search": {"text": page(2)}}));
    assert_eq!(ok["ok"]["msgs"][0]["seq"], 2);
    let refused = ask(&mut reader, json!({"send": large("late")}));
    assert_eq!(refused["err"]["code"], "storage", "{refused}");
    assert_eq!(relay.ready(), 503);
    // A mark needs no space, and says nothing about it.
    let mark = json!({"room": "r", "recv": 3, "read": 3});
    reader.say(&[json!({"mark": mark})]).unwrap();
    while reader.hear().unwrap()["mark"]["read"] != 3 {}
    assert_eq!(relay.ready(), 503);
    let dup = ask(&mut reader, json!({"send": large("w0-1")}));
    assert!(dup["ok"]["dup"] == true || dup["err"]["code"] == "storage", "{dup}");

    drop(relay);
    let relay = Relay::start(folder.path(), &["--data-bytes-max", "10M"]);
    let mut back = come_back(relay.address, &writers[0].token, stored);
    let sent = ask(&mut back, json!({"send": large("late")}));
    assert_eq!(sent["ok"]["seq"], stored + 1, "what was refused is not there: {sent}");
    assert_eq!(relay.ready(), 200);
}

struct Writer {
    link: Link,
    token: Value,
}

impl Writer {
    fn new(address: SocketAddr, n: usize) -> Self {
        let mut link = Link::connect(address).unwrap();
        let hello = json!({"hello": {"v": 1, "name": format!("w{n}"), "device": "d"}});
        let token = ask(&mut link, hello)["ok"]["token"].take();
        assert!(ask(&mut link, json!({"join": {"room": "r"}}))["ok"].is_object());
        Self { link, token }
    }
}

/// Sends until nothing more is taken. Returns how many messages were.
fn fill(writers: &mut [Writer]) -> u64 {
    let mut stored = 0;
    for round in 1.. {
        for (n, writer) in writers.iter_mut().enumerate() {
            let mut send = large(&format!("w{n}-{round}"));
            send["body"]["text"] = page(stored + 1).into();
            let answer = ask(&mut writer.link, json!({"send": send}));
            match answer["err"]["code"].as_str() {
                None => {
                    stored += 1;
                    assert_eq!(answer["ok"]["seq"], stored, "{answer}");
                }
                Some("storage") => {
                    assert!(stored > 10, "the limit is too small for this test");
                    return stored;
                }
                Some(_) => panic!("the limit is too large for this test: {answer}"),
            }
        }
    }
    stored
}

/// A word of one message alone, and the beginning of no other.
fn page(seq: u64) -> String {
    format!("page{seq:04}")
}

/// A message of 7 KiB.
fn large(cid: &str) -> Value {
    json!({"room": "r", "cid": cid, "body": {"text": "", "more": "x".repeat(7 * 1024)}})
}

fn ask(link: &mut Link, mut line: Value) -> Value {
    line["id"] = 7.into();
    link.ask(&line).unwrap()
}

/// Comes back with nothing, and gets all that was acknowledged.
fn come_back(address: SocketAddr, token: &Value, stored: u64) -> Link {
    let mut link = Link::connect(address).unwrap();
    let hello = json!({"v": 1, "token": token, "device": "new", "at": {"r": ["", 0]}});
    let welcome = ask(&mut link, json!({"hello": hello}));
    assert_eq!(welcome["ok"]["rooms"]["r"]["head"], stored, "{welcome}");
    let mut next = 1;
    loop {
        let line = link.hear().unwrap();
        if let Some(msg) = line.get("msg") {
            let (seq, text) = (&msg["seq"], &msg["body"]["text"]);
            assert_eq!((seq, text), (&json!(next), &json!(page(next))));
            next += 1;
        } else if line.get("live").is_some() {
            assert_eq!(next, stored + 1);
            return link;
        }
    }
}
