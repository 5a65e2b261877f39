//! The relay over real sockets: what the reactor adds to the lines.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may fail by panicking"
)]

mod fallback;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread::JoinHandle;
use std::time::Duration;

use chat_relay::limits::RelayLimits;
use chat_relay::relay::Settings;
use chat_relay::server::{self, Server, Setup};
use chat_relay::store::Store;
use serde_json::{Value, json};
use tautline::client::ClientError;
use tautline::handshake::ClientRequest;
use tautline::reactor::Handle;
use tautline::{Client, CloseCode, Limits, Message, OwnedMessage};

/// A relay on a thread of its own.
struct Relay {
    address: SocketAddr,
    handle: Handle<Server>,
    thread: JoinHandle<std::io::Result<()>>,
}

impl Relay {
    fn start(limits: RelayLimits) -> Self {
        let relay = Settings { limits, ..Settings::default() };
        Self::start_with(Setup { relay, ..Setup::default() })
    }

    fn start_with(setup: Setup) -> Self {
        Self::start_on(std::thread::Builder::new(), setup)
    }

    fn start_on(thread: std::thread::Builder, setup: Setup) -> Self {
        let store = Store::in_memory().unwrap();
        let reactor = server::reactor(setup, store).unwrap().listen("127.0.0.1:0").unwrap();
        let (address, handle) = (reactor.local_addrs().unwrap()[0], reactor.handle());
        Self { address, handle, thread: thread.spawn(|| reactor.run()).unwrap() }
    }

    fn connect(&self, path: &str, subprotocol: Option<&str>) -> Result<Client, ClientError> {
        let mut request = ClientRequest::new(format!("ws://{}{path}", self.address).parse()?);
        if let Some(subprotocol) = subprotocol {
            request = request.subprotocol(subprotocol.to_owned()).unwrap();
        }
        let mut client = Client::connect(&request, Limits::default())?;
        client.set_read_timeout(Some(Duration::from_secs(20)));
        Ok(client)
    }

    /// A client that has said hello, with the answer read.
    fn person(&self, hello: Value) -> Person {
        let mut client = self.connect("/ws", Some("relay.v1")).unwrap();
        let mut hello = json!({"id": 1, "hello": hello});
        hello["hello"]["v"] = 1.into();
        client.send(&*hello.to_string()).unwrap();
        let mut person = Person { client, lines: Vec::new(), token: Value::Null };
        person.token = person.next_of("ok")["token"].take();
        person
    }

    /// A new person, in a room.
    fn person_in(&self, name: &str, room: &str) -> Person {
        let mut person = self.person(json!({"name": name}));
        person.say(&json!({"id": 2, "join": {"room": room}}));
        assert_eq!(person.next_of("ok")["room"], room);
        person
    }

    /// The answer to a request, as text.
    fn http(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// Ends it. Clients that are still there but do not read would hold it up until their deadline.
    fn stop(self) {
        self.handle.shutdown(Duration::from_millis(50)).unwrap();
        self.thread.join().unwrap().unwrap();
    }
}

struct Person {
    client: Client,
    /// Lines that came and were not looked at, the newest first.
    lines: Vec<Value>,
    token: Value,
}

impl Person {
    fn say(&mut self, line: &Value) {
        self.client.send(&*line.to_string()).unwrap();
    }

    fn next(&mut self) -> Value {
        while self.lines.is_empty() {
            let Some(OwnedMessage::Text(text)) = self.client.read().unwrap() else {
                panic!("the relay sends text and does not close");
            };
            let lines = text.split('\n').map(|line| serde_json::from_str(line).unwrap());
            self.lines = lines.collect();
            self.lines.reverse();
        }
        self.lines.pop().unwrap()
    }

    /// The next line of a kind; others are dropped.
    fn next_of(&mut self, kind: &str) -> Value {
        loop {
            if let Some(said) = self.next().get_mut(kind) {
                return said.take();
            }
        }
    }
}

#[test]
fn the_socket_is_one_path_and_one_subprotocol() {
    let relay = Relay::start(RelayLimits::default());
    let refused = |path, subprotocol| relay.connect(path, subprotocol).unwrap_err().to_string();
    assert!(refused("/ws", None).contains("400"), "{}", refused("/ws", None));
    assert!(refused("/ws", Some("relay.v2")).contains("400"));
    assert!(refused("/", Some("relay.v1")).contains("404"));
    let agreed = relay.connect("/ws?from=here", Some("relay.v1")).unwrap();
    assert_eq!(agreed.agreed().subprotocol.as_deref(), Some("relay.v1"));
    drop(agreed);
    relay.stop();
}

#[test]
fn the_page_comes_with_its_policy() {
    let relay = Relay::start(RelayLimits::default());
    let host = relay.address;
    let page = relay.http(&format!("GET /?utm=1 HTTP/1.1\r\nHost: {host}\r\n\r\n"));
    assert!(page.starts_with("HTTP/1.1 200 OK\r\n") && page.ends_with("</html>\n"));
    assert!(page.contains(&format!("connect-src 'self' ws://{host} wss://{host};")), "{page}");
    let head = relay.http(&format!("HEAD /main.js HTTP/1.1\r\nHost: {host}\r\n\r\n"));
    assert!(head.starts_with("HTTP/1.1 200 ") && head.ends_with("\r\n\r\n"));
    for (request, status) in [("GET /ws", "426"), ("GET /../x", "404"), ("DELETE /", "405")] {
        let answer = relay.http(&format!("{request} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request}: {answer}");
    }
    relay.stop();
}

#[test]
fn what_one_says_all_hear() {
    let relay = Relay::start(RelayLimits::default());
    let mut alice = relay.person_in("alice", "tea");
    let mut bob = relay.person_in("bob", "tea");
    assert_eq!(alice.next_of("member")["user"], "bob");
    bob.say(&json!({"id": 2, "send": {"room": "tea", "cid": "k", "body": {"text": "hi"}}}));
    assert_eq!(bob.next_of("ok")["seq"], 1);
    for who in [&mut alice, &mut bob] {
        assert_eq!(who.next_of("msg")["body"]["text"], "hi");
    }
    alice.say(&json!({"eph": {"room": "tea", "kind": "typing", "ttl_s": 6}}));
    alice.say(&json!({"id": 3, "ping": {}}));
    assert_eq!(alice.next(), json!({"id": 3, "ok": {}}), "no echo of one's own typing");
    assert_eq!(bob.next_of("eph")["from"], "alice");
    alice.say(&json!({"id": 4, "mark": {"room": "tea", "read": 1}}));
    assert_eq!(bob.next_of("mark")["read"], 1);
    alice.next_of("ok");

    alice.client.send(Message::Binary(&[1, 2, 3])).unwrap();
    assert_eq!(alice.next_of("err")["code"], "binary");
    drop(alice.client);
    assert_eq!(bob.next_of("presence")["online"], false);
    drop(bob);
    relay.stop();
}

#[test]
fn a_frame_over_the_limit_is_refused_and_one_that_is_beyond_all_ends_the_connection() {
    let relay = Relay::start(RelayLimits::default());
    let mut bob = relay.person(json!({"name": "bob"}));
    for bytes in [60 * 1024, 64 * 1024 + 1, 1024 * 1024] {
        let mut alice = relay.person(json!({"name": format!("alice{bytes}")}));
        alice.say(&json!({"id": 2, "send": {"room": "x".repeat(bytes)}}));
        assert_eq!(alice.next_of("err")["code"], "too_long", "{bytes}");
        alice.client.ping(b"still here").unwrap();
    }
    let mut alice = relay.person(json!({"name": "alice"}));
    let _ = alice.client.send(&*"x".repeat(2 * 1024 * 1024 + 1));
    let error = loop {
        match alice.client.read() {
            Ok(Some(_)) => {}
            Ok(None) => break alice.client.closed().unwrap().0,
            Err(error) => panic!("{error}"),
        }
    };
    assert_eq!(error, Some(CloseCode::TOO_BIG));
    bob.say(&json!({"id": 2, "ping": {}}));
    assert_eq!(bob.next(), json!({"id": 2, "ok": {}}));
    drop(bob);
    relay.stop();
}

#[test]
fn who_comes_back_closes_the_connection_that_was_thought_alive() {
    let relay = Relay::start(RelayLimits::default());
    let mut bob = relay.person_in("bob", "tea");
    let mut first = relay.person_in("alice", "tea");
    bob.next_of("member");
    let hello = json!({"token": first.token.take(), "device": "d", "at": {"tea": ["", 0]}});
    let mut older = relay.person(hello.clone());
    drop(first);
    let mut newer = relay.person(hello);
    while older.client.read().unwrap().is_some() {}
    let (code, reason) = older.client.closed().unwrap();
    assert_eq!((code.map(CloseCode::get), reason), (Some(4501), "replaced by a newer connection"));
    drop(older);
    bob.say(&json!({"id": 2, "send": {"room": "tea", "cid": "k", "body": {}}}));
    assert_eq!(newer.next_of("msg")["seq"], 1);
    let presence = |line: &Value| line.get("presence").is_some();
    bob.next_of("msg");
    assert!(!bob.lines.iter().any(presence), "nobody went and nobody came");
    drop((bob, newer));
    relay.stop();
}

/// 8 MB of history go to a client that does not read for a while: far more than may wait for a socket.
#[test]
fn a_slow_reader_is_fed_as_it_reads_and_holds_nobody_up() {
    let mut limits = RelayLimits::default();
    limits.burst = 1_000_000;
    let relay = Relay::start(limits);
    let mut writer = relay.person_in("writer", "tea");
    let mut slow = relay.person_in("slow", "tea");
    let text = "x".repeat(8_000);
    let say = |writer: &mut Person, from: u64, to: u64| {
        // Ten at a time: the writer's own socket does not fill.
        for ten in (from..=to).collect::<Vec<_>>().chunks(10) {
            for n in ten {
                let (cid, body) = (format!("c{n}"), json!({"text": text}));
                writer.say(&json!({"id": n, "send": {"room": "tea", "cid": cid, "body": body}}));
            }
            while writer.next()["id"] != *ten.last().unwrap() {}
        }
    };
    // It is there, and does not read; then it comes back, and reads as slowly.
    say(&mut writer, 1, 500);
    let mut late = relay.person(json!({"token": slow.token.take(), "at": {"tea": ["", 0]}}));
    std::thread::sleep(Duration::from_millis(300));
    say(&mut writer, 501, 1_000);

    for who in [&mut slow, &mut late] {
        let mut next = 1;
        while next <= 1_000 {
            let line = who.next();
            if let Some(msg) = line.get("msg") {
                assert_eq!(msg["seq"], next);
                next += 1;
            }
        }
    }
    say(&mut writer, 1_001, 1_001);
    for who in [&mut slow, &mut late] {
        assert_eq!(who.next_of("msg")["seq"], 1_001);
    }
    drop((slow, late, writer));
    relay.stop();
}

#[test]
fn a_relay_that_stops_asks_everybody_to_come_back() {
    let relay = Relay::start(RelayLimits::default());
    let people = ["alice", "bob", "carol"].map(|name| relay.person(json!({"name": name})));
    let stopped = std::thread::spawn(|| relay.stop());
    for mut person in people {
        assert!(person.client.read().unwrap().is_none());
        assert_eq!(person.client.closed().unwrap().0, Some(CloseCode::GOING_AWAY));
    }
    stopped.join().unwrap();
}

#[test]
fn only_pages_of_the_relay_itself_may_connect_and_only_by_a_name_of_this_machine() {
    let relay = Relay::start(RelayLimits::default());
    let port = relay.address.port();
    let table = [
        (format!("127.0.0.1:{port}"), format!("http://127.0.0.1:{port}"), "101"),
        (format!("localhost:{port}"), format!("http://LOCALHOST:{port}"), "101"),
        (format!("127.0.0.1:{port}"), "http://evil.example".to_owned(), "403"),
        (format!("127.0.0.1:{port}"), "null".to_owned(), "403"),
        (format!("127.0.0.1:{port}"), format!("https://127.0.0.1:{port}"), "403"),
        // A name server of the attacker's says that this is 127.0.0.1.
        (format!("evil.example:{port}"), format!("http://evil.example:{port}"), "403"),
    ];
    for (host, origin, status) in table {
        let mut stream = TcpStream::connect(relay.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let request = format!(
            "GET /ws HTTP/1.1\r\nHost: {host}\r\nOrigin: {origin}\r\nUpgrade: websocket\r\n\
             Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: relay.v1\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer[9..], status.as_bytes(), "{host} {origin}");
    }
    relay.stop();
}

#[test]
fn counters_are_served_where_that_was_asked_for() {
    const REQUEST: &str = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let relay = Relay::start(RelayLimits::default());
    assert!(relay.http(REQUEST).starts_with("HTTP/1.1 404 "));
    relay.stop();

    let connections_per_address = Some(2);
    let setup = Setup { metrics: true, connections_per_address, ..Setup::default() };
    let relay = Relay::start_with(setup);
    let mut alice = relay.person(json!({"name": "alice"}));
    {
        let _second = relay.connect("/ws", Some("relay.v1")).unwrap();
        let refused = relay.connect("/ws", Some("relay.v1")).unwrap_err().to_string();
        assert!(refused.contains("503"), "{refused}");
    }
    alice.say(&json!({"id": 2, "ping": {}}));
    // What is served was taken at a tick of the clock.
    let served = (0..100).find_map(|_| {
        std::thread::sleep(Duration::from_millis(100));
        let served = relay.http(REQUEST);
        served.contains("tautline_messages_received_total 2\n").then_some(served)
    });
    let served = served.unwrap();
    assert!(served.starts_with("HTTP/1.1 200 ") && served.contains("version=0.0.4"));
    for line in [
        "relay_people 1",
        "# TYPE relay_messages_stored_total counter",
        "# TYPE tautline_connections gauge",
        "tautline_opened_total 2",
        "# TYPE tautline_refused_total counter",
        "tautline_refused_total{reason=\"connections_of_address\"} 1",
        "tautline_refused_total{reason=\"memory\"} 0",
        "tautline_closed_total{reason=\"lost\"} 1",
    ] {
        assert!(served.lines().any(|it| it == line), "{line} in {served}");
    }
    for line in served.lines().skip_while(|it| !it.is_empty()).skip(1) {
        let (name, value) = line.rsplit_once(' ').unwrap();
        assert!(line.starts_with("# ") || value.parse::<u64>().is_ok(), "{name} {value}");
    }
    relay.stop();
}
