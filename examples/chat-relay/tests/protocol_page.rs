//! `docs/protocol.md` says what is so: its examples are run against a relay, its tables compared with the code.
//!
//! The page says how its examples are read. Each one gets a relay of its own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may fail by panicking"
)]

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::thread::JoinHandle;
use std::time::Duration;

use chat_relay::asyncapi;
use chat_relay::limits::{FRAME_BYTES_MAX, HELLO_BYTES_MAX, RelayLimits};
use chat_relay::relay::{Admission, Registration, Settings};
use chat_relay::server::{self, Server, Setup};
use chat_relay::store::Store;
use serde_json::Value;
use tautline::client::ClientError;
use tautline::handshake::ClientRequest;
use tautline::reactor::Handle;
use tautline::{Client, CloseCode, Limits, OwnedMessage};

const PAGE: &str = include_str!("../docs/protocol.md");
const ADMIN_SECRET: &str = "0123456789abcdef0123456789abcdef";

/// An example: how its relay is set up, and its lines with their numbers.
struct Example {
    kind: String,
    lines: Vec<(usize, &'static str)>,
}

fn examples() -> Vec<Example> {
    let (mut all, mut open) = (Vec::new(), None::<Example>);
    for (number, line) in PAGE.lines().enumerate().map(|(n, line)| (n + 1, line)) {
        match (&mut open, line.strip_prefix("```relay")) {
            (None, Some(kind)) => {
                open = Some(Example { kind: kind.trim().into(), lines: Vec::new() });
            }
            (Some(_), _) if line == "```" => all.extend(open.take()),
            (Some(example), _) => example.lines.push((number, line)),
            (None, None) => {}
        }
    }
    all
}

struct Relay {
    address: SocketAddr,
    handle: Handle<Server>,
    thread: JoinHandle<std::io::Result<()>>,
}

impl Relay {
    fn start(kind: &str) -> Self {
        let mut limits = RelayLimits::default();
        // Nobody waits five seconds for it.
        limits.away_after = Duration::from_millis(50);
        let admission = match kind {
            "" | "admin" => Admission::Open,
            "accounts" => Admission::Accounts(Registration::Open),
            other => panic!("no relay is set up as {other:?}"),
        };
        let admin_secret = Some(ADMIN_SECRET.to_owned());
        let relay = Settings { limits, admission, admin_secret, ..Settings::default() };
        let setup = Setup { relay, ..Setup::default() };
        let reactor = server::reactor(setup, Store::in_memory().unwrap()).unwrap();
        let reactor = reactor.listen("127.0.0.1:0").unwrap();
        let (address, handle) = (reactor.local_addrs().unwrap()[0], reactor.handle());
        Self { address, handle, thread: std::thread::spawn(|| reactor.run()) }
    }

    fn connect(&self) -> Client {
        let request = ClientRequest::new(format!("ws://{}/ws", self.address).parse().unwrap());
        let request = request.subprotocol("relay.v1").unwrap();
        let mut client = Client::connect(&request, Limits::default()).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(10)));
        client
    }

    fn stop(self) {
        self.handle.shutdown(Duration::from_millis(10)).unwrap();
        self.thread.join().unwrap().unwrap();
    }
}

/// A connection, and the lines that came and were not looked at.
struct Connection {
    client: Client,
    lines: VecDeque<Value>,
}

impl Connection {
    /// The next line, or the code of a close.
    fn next(&mut self, at: &str) -> Result<Value, u16> {
        loop {
            if let Some(line) = self.lines.pop_front() {
                return Ok(line);
            }
            match self.client.read() {
                Ok(Some(OwnedMessage::Text(text))) => {
                    self.lines.extend(text.split('\n').map(|it| serde_json::from_str(it).unwrap()));
                }
                Ok(None) => {
                    return Err(self.client.closed().unwrap().0.map_or(0, CloseCode::get));
                }
                Ok(Some(other)) => panic!("{other:?}"),
                Err(ClientError::TimedOut) => panic!("{at}\nnothing came"),
                Err(error) => panic!("{at}\n{error}"),
            }
        }
    }
}

/// What the clients of an example were given.
#[derive(Default)]
struct Given {
    token: String,
    epochs: BTreeMap<String, String>,
}

impl Given {
    fn note(&mut self, line: &Value) {
        if let Some(token) = line["ok"]["token"].as_str() {
            self.token = token.into();
        }
        for part in ["ok", "added", "reset"] {
            let part = &line[part];
            if let (Some(room), Some(epoch)) = (part["room"].as_str(), part["epoch"].as_str()) {
                self.epochs.insert(room.into(), epoch.into());
            }
        }
    }

    /// Puts what was given in the place of `"…"`.
    fn fill(&self, line: &str) -> String {
        let Ok(mut value) = serde_json::from_str::<Value>(line) else { return line.into() };
        let Some(hello) = value.get_mut("hello") else { return line.into() };
        for (key, is) in [("token", &*self.token), ("admin", ADMIN_SECRET)] {
            if hello.get(key).is_some_and(|it| it == "…") {
                hello[key] = is.into();
            }
        }
        let at = hello.get_mut("at").and_then(Value::as_object_mut);
        for (room, cursor) in at.into_iter().flatten() {
            if cursor[0] == "…" {
                cursor[0] = self.epochs[room].as_str().into();
            }
        }
        value.to_string()
    }
}

/// Whether a line is what the page shows.
fn fits(shown: &Value, said: &Value, key: &str) -> bool {
    match (shown, said) {
        (Value::String(shown), Value::String(_)) if shown == "…" => true,
        (Value::Number(shown), Value::Number(_)) if matches!(key, "ts" | "last_seen") => {
            shown.as_u64() == Some(0)
        }
        (Value::Array(shown), Value::Array(said)) => {
            shown.len() == said.len() && shown.iter().zip(said).all(|(a, b)| fits(a, b, key))
        }
        (Value::Object(shown), Value::Object(said)) => {
            let has = |(key, value): (&String, &Value)| {
                said.get(key).is_some_and(|it| fits(value, it, key))
            };
            shown.len() == said.len() && shown.iter().all(has)
        }
        (shown, said) => shown == said,
    }
}

fn run(example: &Example) {
    let relay = Relay::start(&example.kind);
    let mut connections = BTreeMap::<&str, Connection>::new();
    let mut given = Given::default();
    let mut tokens = BTreeMap::<&str, String>::new();
    for &(number, line) in &example.lines {
        let at = format!("protocol.md:{number}: {line}");
        if let Some(remark) = line.strip_prefix("# ") {
            for name in people_in_tea(remark) {
                connections.insert(name, comes_to_tea(&relay, name, &mut given));
                tokens.insert(name, given.token.clone());
            }
            take_what_came(&mut connections);
            continue;
        }
        let (name, rest) = line.split_once(' ').expect(&at);
        let (name, what) = match name {
            "C" => ("C", '>'),
            "S" => ("C", '<'),
            _ => (&name[..name.len() - 1], name.chars().last().unwrap()),
        };
        match what {
            '>' => {
                if let Some(token) = tokens.get(name) {
                    given.token.clone_from(token);
                }
                let connection = connections.entry(name).or_insert_with(|| Connection {
                    client: relay.connect(),
                    lines: VecDeque::new(),
                });
                connection.client.send(&*given.fill(rest)).expect(&at);
            }
            '<' => {
                let connection = connections.get_mut(name).expect(&at);
                match (connection.next(&at), rest.strip_prefix("close ")) {
                    (Ok(said), None) => {
                        let shown = serde_json::from_str(rest).expect(&at);
                        assert!(fits(&shown, &said, ""), "{at}\nthe relay says: {said}");
                        given.note(&said);
                        if said["ok"]["token"].is_string() {
                            tokens.insert(name, given.token.clone());
                        }
                    }
                    (Err(code), Some(shown)) => {
                        assert_eq!(shown, code.to_string(), "{at}");
                        connections.remove(name);
                    }
                    (next, _) => panic!("{at}\nthe relay says: {next:?}"),
                }
            }
            '|' => drop(connections.remove(name).expect(&at)),
            _ => panic!("{at}: not understood"),
        }
    }
    nothing_is_left(&example.lines, connections);
    relay.stop();
}

/// Who has come before the example begins.
fn people_in_tea(remark: &str) -> &'static [&'static str] {
    match remark {
        "Alice is in the room tea." => &["alice"],
        "Alice and Bob are in the room tea." => &["alice", "bob"],
        _ => &[],
    }
}

fn comes_to_tea(relay: &Relay, name: &str, given: &mut Given) -> Connection {
    let mut connection = Connection { client: relay.connect(), lines: VecDeque::new() };
    let hello = format!(r#"{{"id":1,"hello":{{"v":1,"name":"{name}","device":"{name}"}}}}"#);
    for line in [&*hello, r#"{"id":2,"join":{"room":"tea"}}"#] {
        connection.client.send(line).unwrap();
        given.note(&connection.next(name).unwrap());
    }
    connection
}

/// That somebody has joined is heard by who was there before.
fn take_what_came(connections: &mut BTreeMap<&str, Connection>) {
    for (name, connection) in connections {
        connection.client.send(r#"{"id":4242,"ping":{}}"#).unwrap();
        while connection.next(name).unwrap()["id"] != 4242 {}
    }
}

/// All that was said is on the page.
fn nothing_is_left(lines: &[(usize, &str)], connections: BTreeMap<&str, Connection>) {
    let end = lines.last().unwrap().0;
    for (name, mut connection) in connections {
        connection.client.send(r#"{"id":4242,"no_more":{}}"#).unwrap();
        let said = connection.next(name).unwrap();
        assert_eq!(said["id"], 4242, "protocol.md:{end}: {name} hears this too: {said}");
    }
}

#[test]
fn what_the_examples_show_is_what_is_said() {
    let all = examples();
    assert!(all.len() >= 15, "{}", all.len());
    for example in &all {
        run(example);
    }
}

/// The first column of the table below a heading.
fn table(heading: &str) -> Vec<Vec<&'static str>> {
    let section = PAGE.split(&format!("\n## {heading}\n")).nth(1).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter(|it| it.starts_with("| ")).skip(2);
    rows.map(|row| row.trim_matches('|').split('|').map(str::trim).collect()).collect()
}

#[test]
fn every_code_has_its_row() {
    let document = asyncapi::document();
    let codes = document["components"]["schemas"]["ErrorCode"]["oneOf"].as_array().unwrap();
    let codes: Vec<_> =
        codes.iter().map(|it| format!("`{}`", it["const"].as_str().unwrap())).collect();
    let rows: Vec<_> = table("Errors").iter().map(|row| row[0].to_owned()).collect();
    assert_eq!(rows, codes);
    let closes: Vec<_> = asyncapi::CLOSE_CODES.iter().map(|(code, _)| code.to_string()).collect();
    let rows: Vec<_> = table("Close codes").iter().map(|row| row[0].to_owned()).collect();
    assert_eq!(rows, closes);
}

#[test]
fn the_limits_are_those_of_the_relay() {
    let limits = RelayLimits::default();
    let seconds = usize::try_from(limits.hello_within.as_secs()).unwrap();
    let messages = usize::try_from(limits.answer_messages_max).unwrap();
    let numbers = [
        FRAME_BYTES_MAX,
        HELLO_BYTES_MAX,
        limits.frame_lines_max,
        limits.line_bytes_max,
        limits.body_bytes_max,
        limits.eph_bytes_max,
        limits.search_bytes_max,
        messages,
        limits.reading_max,
        limits.answer_members_max,
        limits.name_chars_max,
        limits.room_chars_max,
        limits.rooms_per_person_max,
        limits.members_max,
        limits.devices_max,
        seconds,
    ];
    let first =
        |row: &Vec<&str>| row[1].split([' ', ',']).next().unwrap().parse::<usize>().unwrap();
    assert_eq!(table("Limits").iter().map(first).collect::<Vec<_>>(), numbers);
    let spends = format!(
        "has {} to spend, all devices together, and {} come back",
        limits.burst, limits.refill_per_s
    );
    assert!(PAGE.contains(&spends));
}
