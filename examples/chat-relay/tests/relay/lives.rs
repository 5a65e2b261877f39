//! Random lives: people come, go, lose connections in the middle, read late and send again. Whatever happens, a room's
//! log has no gap, nothing is in it twice, and who comes back gets exactly what is missing.
use std::collections::BTreeMap;
use std::time::Duration;

use chat_relay::limits::RelayLimits;
use chat_relay::relay::{Retention, Settings};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::world::{Id, World, join};

const ROOMS: [&str; 2] = ["tea", "cellar"];
const PEOPLE: usize = 3;
/// The id of a question for what is missing.
const GET: u64 = 1 << 40;
const KEPT: u64 = 40;

#[derive(Clone, Copy, Debug)]
enum Step {
    /// A connection is opened, and says hello with everything that the client knows.
    Connect(usize),
    /// The relay notices that the client's connection is gone.
    Cut(usize),
    /// The client loses its connection, and the relay does not notice.
    LoseUnnoticed(usize),
    /// The client reads what it was sent.
    Read(usize),
    /// The socket has room for another piece.
    Drain(usize),
    /// The client writes a message, and sends it if it has a connection.
    Write(usize, usize),
    /// The client sends everything again that was not answered yet.
    Retry(usize),
    /// The client leaves the room and joins it again.
    Rejoin(usize, usize),
    /// A minute passes.
    Wait,
    /// The relay is killed, with what waited for the store, and another one starts on what it has.
    Restart,
    /// The client's socket is full.
    Fill(usize),
    /// The store does what waits for it.
    Store,
}

fn step() -> impl Strategy<Value = Step> {
    let who = 0..PEOPLE;
    let room = 0..ROOMS.len();
    prop_oneof![
        4 => who.clone().prop_map(Step::Connect),
        2 => who.clone().prop_map(Step::Cut),
        2 => who.clone().prop_map(Step::LoseUnnoticed),
        6 => who.clone().prop_map(Step::Read),
        4 => who.clone().prop_map(Step::Drain),
        8 => (who.clone(), room.clone()).prop_map(|(who, room)| Step::Write(who, room)),
        2 => who.clone().prop_map(Step::Retry),
        1 => (who.clone(), room).prop_map(|(who, room)| Step::Rejoin(who, room)),
        1 => Just(Step::Wait),
        1 => Just(Step::Restart),
        2 => who.clone().prop_map(Step::Fill),
        8 => Just(Step::Store),
    ]
}

/// What a client has of a room, by rule 3 of the protocol.
#[derive(Debug)]
struct Copy {
    epoch: String,
    first: u64,
    /// Sender and cid of each message from `first`.
    messages: Vec<(String, String)>,
}

impl Copy {
    fn last(&self) -> u64 {
        self.first + self.messages.len() as u64 - 1
    }
}

#[derive(Default)]
struct Client {
    token: Option<Value>,
    connection: Option<Id>,
    rooms: BTreeMap<String, Copy>,
    unanswered: Vec<(u64, String, String)>,
    written: u64,
    /// Whether the client left and joined a room on this connection.
    rejoined: bool,
}

fn settings() -> Settings {
    let mut limits = RelayLimits::default();
    // A piece of a catch-up is then one or two messages.
    limits.answer_bytes_max = 40;
    let retention = Retention { messages_max: Some(KEPT), age_max: None };
    Settings { limits, retention, ..Settings::default() }
}

/// The truth: each room's log, as the answers to `send` say it.
type Logs = BTreeMap<String, Vec<(String, String)>>;

struct Life {
    world: World,
    witness: Id,
    witness_token: Value,
    clients: Vec<Client>,
    logs: Logs,
}

impl Life {
    fn new() -> Self {
        // A witness keeps the rooms from being forgotten, and sees every message.
        let mut world = World::with(settings());
        let (witness, witness_token) = world.person_with_token("witness");
        let mut clients: Vec<_> = (0..PEOPLE).map(|_| Client::default()).collect();
        for (n, client) in clients.iter_mut().enumerate() {
            let (connection, token) = world.person_with_token(&format!("person{n}"));
            client.token = Some(token);
            client.connection = Some(connection);
        }
        for who in [witness].into_iter().chain(clients.iter().filter_map(|it| it.connection)) {
            for room in ROOMS {
                let joined = join(&mut world, who, room);
                assert_eq!(joined["head"], 0);
            }
        }
        for client in &mut clients {
            for room in ROOMS {
                let joined = join(&mut world, client.connection.unwrap(), room);
                let epoch = text(&joined["epoch"]);
                client.rooms.insert(room.into(), Copy { epoch, first: 1, messages: Vec::new() });
            }
            world.read(client.connection.unwrap());
        }
        world.read(witness);
        world.drains_by_itself = false;
        world.stores_by_itself = false;
        Self { world, witness, witness_token, clients, logs: Logs::new() }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Connect(who) => self.connect(who),
            Step::Cut(who) => {
                if let Some(connection) = self.clients[who].connection.take() {
                    self.world.close(connection);
                }
            }
            Step::LoseUnnoticed(who) => self.clients[who].connection = None,
            Step::Read(who) => self.read(who),
            Step::Drain(who) => {
                if let Some(connection) = self.clients[who].connection {
                    self.world.drain(connection);
                }
            }
            Step::Write(who, room) => {
                let client = &mut self.clients[who];
                client.written += 1;
                let cid = format!("c{}", client.written);
                client.unanswered.push((client.written, ROOMS[room].into(), cid));
                self.send(who, self.clients[who].unanswered.len() - 1);
            }
            Step::Retry(who) => {
                (0..self.clients[who].unanswered.len()).for_each(|n| self.send(who, n))
            }
            Step::Rejoin(who, room) => {
                if let Some(connection) = self.clients[who].connection {
                    self.clients[who].rejoined = true;
                    let room = ROOMS[room];
                    self.world.store_answers();
                    self.world.say(connection, &json!({"leave": {"room": room}}).to_string());
                    self.world.store_answers();
                    self.world.say(connection, &json!({"join": {"room": room}}).to_string());
                    self.world.store_answers();
                }
            }
            Step::Wait => self.world.wait(Duration::from_secs(50)),
            Step::Restart => self.restart(),
            Step::Fill(who) => {
                if let Some(connection) = self.clients[who].connection {
                    self.world.full.insert(connection);
                }
            }
            Step::Store => self.world.store_answers(),
        }
        self.watch();
    }

    fn connect(&mut self, who: usize) {
        self.world.wait(Duration::from_secs(10));
        let client = &mut self.clients[who];
        let at: BTreeMap<_, _> =
            client.rooms.iter().map(|(room, it)| (room, json!([it.epoch, it.last()]))).collect();
        let hello = json!({"v": 1, "token": client.token, "device": "d", "at": at});
        let connection = self.world.open();
        self.world.say(connection, &json!({"id": 0, "hello": hello}).to_string());
        client.connection = Some(connection);
        client.rejoined = false;
    }

    /// What the relay had answered is in the store; what it had not is lost with it.
    fn restart(&mut self) {
        self.watch();
        self.world.restart(settings());
        for client in &mut self.clients {
            client.connection = None;
        }
        self.world.stores_by_itself = true;
        let at: BTreeMap<_, _> = ROOMS.iter().map(|room| (room, json!(["", 0]))).collect();
        let (witness, _) = self.world.hello(&json!({"token": self.witness_token, "at": at}));
        while self.world.relay.is_behind(witness) {
            self.world.drain(witness);
        }
        self.world.stores_by_itself = false;
        self.witness = witness;
        // The store may have taken what the relay could not tell any more.
        for line in self.world.read(witness) {
            let Some(msg) = line.get("msg") else { continue };
            let (room, seq) = (text(&msg["room"]), msg["seq"].as_u64().unwrap());
            let log = self.logs.entry(room).or_default();
            let message = (text(&msg["from"]), text(&msg["cid"]));
            match log.get(usize::try_from(seq - 1).unwrap()) {
                Some(known) => assert_eq!(known, &message, "what was told stays"),
                None => {
                    assert_eq!(seq, log.len() as u64 + 1);
                    log.push(message);
                }
            }
        }
    }

    fn send(&mut self, who: usize, n: usize) {
        let client = &self.clients[who];
        let Some(connection) = client.connection else { return };
        let (id, room, cid) = &client.unanswered[n];
        let line = json!({"id": id, "send": {"room": room, "cid": cid, "body": {"text": cid}}});
        self.world.say(connection, &line.to_string());
    }

    fn read(&mut self, who: usize) {
        let Some(connection) = self.clients[who].connection else { return };
        for line in self.world.read(connection) {
            let client = &mut self.clients[who];
            if let Some(id) = line["id"].as_u64() {
                let answered = client.unanswered.iter().position(|it| it.0 == id);
                let code = &line["err"]["code"];
                let may_be = ["rate", "hello_first", "not_member"];
                assert!(code.is_null() || may_be.iter().any(|it| code == it), "{line}");
                if let Some(rooms) = line["ok"].get("rooms") {
                    assert_eq!(rooms.as_object().unwrap().len(), ROOMS.len(), "{line}");
                }
                if line.get("ok").is_some()
                    && let Some(n) = answered
                {
                    client.unanswered.remove(n);
                }
            } else if let Some(reset) = line.get("reset") {
                let copy = client.rooms.get_mut(&text(&reset["room"])).unwrap();
                let epoch = text(&reset["epoch"]);
                *copy =
                    Copy { epoch, first: reset["first"].as_u64().unwrap(), messages: Vec::new() };
            } else if let Some(msg) = line.get("msg") {
                self.apply(who, connection, msg);
            } else if let Some(live) = line.get("live") {
                let client = &self.clients[who];
                let last = client.rooms[&text(&live["room"])].last();
                assert!(client.rejoined || live["head"] == last, "live, and nothing is missing");
            }
        }
    }

    /// Rule 3: the next one is taken, an older one dropped, and a gap asked for. Only joining a room again leaves one.
    fn apply(&mut self, who: usize, connection: Id, msg: &Value) {
        let (room, seq) = (text(&msg["room"]), msg["seq"].as_u64().unwrap());
        loop {
            let client = &mut self.clients[who];
            let copy = client.rooms.get_mut(&room).expect("a reset or a join came first");
            let next = copy.last() + 1;
            if seq <= next {
                if seq == next {
                    copy.messages.push((text(&msg["from"]), text(&msg["cid"])));
                }
                return;
            }
            assert!(client.rejoined, "a hole before {msg}");
            self.world.wait(Duration::from_secs(10));
            let get = json!({"room": room, "from": next, "to": seq - 1});
            self.world.say(connection, &json!({"id": GET, "get": get}).to_string());
            self.world.store_answers();
            // Other answers may come before it, and none where the relay has ended the connection.
            let Some(mut answer) = self.world.answer_to(connection, GET) else {
                assert!(self.world.closed.contains_key(&connection));
                return;
            };
            let first = answer["ok"]["first"].as_u64().unwrap();
            if first > next {
                *copy = Copy { epoch: copy.epoch.clone(), first, messages: Vec::new() };
            }
            for msg in answer["ok"]["msgs"].as_array_mut().unwrap() {
                self.apply(who, connection, msg);
            }
        }
    }

    /// The witness sees each message as it comes, and so builds the truth.
    fn watch(&mut self) {
        for line in self.world.read(self.witness) {
            let Some(msg) = line.get("msg") else { continue };
            let log = self.logs.entry(text(&msg["room"])).or_default();
            assert_eq!(msg["seq"], log.len() as u64 + 1, "no gap and nothing twice");
            let message = (text(&msg["from"]), text(&msg["cid"]));
            let kept = usize::try_from(KEPT).unwrap();
            let kept = &log[log.len().saturating_sub(kept)..];
            assert!(!kept.contains(&message), "{message:?} is kept and came again");
            log.push(message);
        }
    }

    fn end(&mut self) {
        self.take(Step::Store);
        for who in 0..PEOPLE {
            self.take(Step::Connect(who));
            self.take(Step::Store);
            for room in ROOMS {
                // One who was killed between leaving and joining is in no room.
                self.world.say(
                    self.clients[who].connection.unwrap(),
                    &json!({"join": {"room": room}}).to_string(),
                );
            }
            self.take(Step::Store);
            self.clients[who].rejoined = true;
            self.world.wait(Duration::from_secs(10));
            self.take(Step::Retry(who));
            self.take(Step::Store);
        }
        for who in 0..PEOPLE {
            while self.world.relay.is_behind(self.clients[who].connection.unwrap()) {
                self.take(Step::Drain(who));
                self.take(Step::Store);
            }
        }
        for who in 0..PEOPLE {
            self.take(Step::Read(who));
            assert!(self.clients[who].unanswered.is_empty(), "everything was answered in the end");
            for room in ROOMS {
                let log = self.logs.get(room).cloned().unwrap_or_default();
                let copy = &self.clients[who].rooms[room];
                let from = usize::try_from(copy.first - 1).unwrap();
                assert_eq!(copy.messages, log[from..], "person{who} in {room}");
            }
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_missing_and_nothing_is_doubled(steps in prop::collection::vec(step(), 1..120)) {
        let mut life = Life::new();
        for step in steps {
            life.take(step);
        }
        life.end();
    }

    #[test]
    fn no_line_is_too_strange(frames in prop::collection::vec(strange_frame(), 1..40)) {
        let mut world = World::new(RelayLimits::default());
        let bob = world.person("bob");
        world.ask(bob, &json!({"id": 1, "join": {"room": "tea"}}));
        let mut who = world.open();
        for frame in frames {
            world.say(who, &frame);
            world.wait(Duration::from_secs(5));
            if world.closed.contains_key(&who) {
                world.close(who);
                who = world.open();
            }
        }
        prop_assert_eq!(&world.ask(bob, &json!({"id": 2, "ping": {}}))["ok"], &json!({}));
    }
}

/// Commands with fields of every kind, and text that is next to JSON.
fn strange_frame() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        Just("hello".to_owned()),
        Just("join".into()),
        Just("leave".into()),
        Just("send".into()),
        Just("get".into()),
        Just("eph".into()),
        Just("ping".into()),
        Just("room".into()),
        Just("cid".into()),
        Just("body".into()),
        Just("from".into()),
        Just("to".into()),
        Just("kind".into()),
        Just("ttl_s".into()),
        Just("v".into()),
        Just("name".into()),
        Just("at".into()),
        Just("id".into()),
        Just("tea".into()),
        Just("typing".into()),
        ".{0,5}",
    ];
    let leaf = prop_oneof![
        word.clone().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (0_u64..4).prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        Just(Value::Null),
        Just(json!({"room": "tea"})),
        Just(json!({"v": 1, "name": "zoe"})),
        Just(json!({"room": "tea", "from": 1, "to": 5})),
        Just(json!({"room": "tea", "cid": "c", "body": {}})),
    ];
    let value = leaf.prop_recursive(3, 12, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((word.clone(), inner), 0..4)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    });
    let line = prop_oneof![
        6 => value.prop_map(|value| value.to_string()),
        1 => ".{0,40}",
        1 => "[{}\\[\\]\",:a-z0-9]{0,30}",
    ];
    prop::collection::vec(line, 1..6).prop_map(|lines| lines.join("\n"))
}
