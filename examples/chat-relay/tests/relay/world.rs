//! A world around the relay: connections, topics, a store in memory and a clock, without a socket.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use chat_relay::limits::RelayLimits;
use chat_relay::relay::{Moment, Out, PasswordWork, Relay, Settings, Then};
use chat_relay::store::job::{Answer, Refused, RoomId};
use chat_relay::store::{Request, Store};
use serde_json::{Value, json};

/// Names a connection.
pub(crate) type Id = u32;

pub(crate) struct World {
    pub(crate) relay: Relay<Id>,
    pub(crate) store: Store,
    pub(crate) now: Moment,
    /// Whether a connection takes every piece of its catch-up at once.
    pub(crate) drains_by_itself: bool,
    /// Whether the store answers at once; otherwise when it is [told to](World::store_answers).
    pub(crate) stores_by_itself: bool,
    /// Whether nothing more may wait for the store.
    pub(crate) store_is_busy: bool,
    /// Connections whose socket is full.
    pub(crate) full: BTreeSet<Id>,
    waiting: VecDeque<Request<Then<Id>>>,
    inbox: BTreeMap<Id, Vec<Value>>,
    topics: BTreeMap<Arc<str>, BTreeSet<Id>>,
    /// Rooms that something was published in, to be checked.
    published: BTreeMap<RoomId, Arc<str>>,
    /// Close codes of the connections that the relay ended.
    pub(crate) closed: BTreeMap<Id, u16>,
    opened: Id,
}

fn random(mut last: u128) -> chat_relay::relay::Random {
    Box::new(move || {
        last = last.wrapping_add(0x1234_5678_9abc_def0_0fed_cba9_8765_4321);
        last
    })
}

impl World {
    pub(crate) fn new(limits: RelayLimits) -> Self {
        Self::with(Settings { limits, ..Settings::default() })
    }

    pub(crate) fn with(settings: Settings) -> Self {
        let mut store = Store::in_memory().unwrap();
        let inventory = store.inventory().unwrap();
        Self {
            relay: Relay::new(settings, inventory, random(0)),
            store,
            now: Moment { clock: Duration::from_secs(1), unix_ms: 1_790_000_000_000 },
            drains_by_itself: true,
            stores_by_itself: true,
            store_is_busy: false,
            full: BTreeSet::new(),
            waiting: VecDeque::new(),
            inbox: BTreeMap::new(),
            topics: BTreeMap::new(),
            published: BTreeMap::new(),
            closed: BTreeMap::new(),
            opened: 0,
        }
    }

    /// The relay dies, and another one starts on the same store. All connections are gone.
    pub(crate) fn restart(&mut self, settings: Settings) {
        self.waiting.clear();
        self.topics.clear();
        self.inbox.clear();
        let seed = u128::from(self.opened).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.relay = Relay::new(settings, self.store.inventory().unwrap(), random(seed));
    }

    pub(crate) fn wait(&mut self, time: Duration) {
        self.now.clock += time;
        self.now.unix_ms += u64::try_from(time.as_millis()).unwrap();
        let mut out = Vec::new();
        self.relay.tick(self.now, &mut out);
        self.carry_out(out);
    }

    pub(crate) fn open(&mut self) -> Id {
        self.open_from(IpAddr::from([127, 0, 0, 1]))
    }

    pub(crate) fn open_from(&mut self, address: IpAddr) -> Id {
        self.opened += 1;
        self.relay.open(self.now, self.opened, address);
        self.inbox.insert(self.opened, Vec::new());
        self.opened
    }

    /// Opens a connection and says hello; returns the connection and the answer.
    pub(crate) fn hello(&mut self, fields: &Value) -> (Id, Value) {
        let who = self.open();
        let answer = self.say_hello(who, fields);
        (who, answer)
    }

    /// Says hello on a connection.
    pub(crate) fn say_hello(&mut self, who: Id, fields: &Value) -> Value {
        let mut hello = fields.clone();
        hello["v"] = 1.into();
        self.ask(who, &json!({ "id": 1, "hello": hello }))
    }

    /// A new person with this name, and no rooms.
    pub(crate) fn person(&mut self, name: &str) -> Id {
        self.person_with_token(name).0
    }

    pub(crate) fn person_with_token(&mut self, name: &str) -> (Id, Value) {
        let (who, mut answer) = self.hello(&json!({ "name": name }));
        assert_eq!(answer["ok"]["user"], name, "{answer}");
        (who, answer["ok"]["token"].take())
    }

    /// A frame arrives from the connection.
    pub(crate) fn say(&mut self, who: Id, frame: &str) {
        let mut out = Vec::new();
        self.relay.receive(self.now, who, frame, &mut out);
        self.carry_out(out);
    }

    pub(crate) fn say_binary(&mut self, who: Id, bytes: usize) {
        let mut out = Vec::new();
        self.relay.receive_binary(self.now, who, bytes, &mut out);
        self.carry_out(out);
    }

    /// The connection's socket has taken all that waited.
    pub(crate) fn drain(&mut self, who: Id) {
        self.full.remove(&who);
        let mut out = Vec::new();
        self.relay.drained(self.now, who, &mut out);
        self.carry_out(out);
    }

    /// Says one line, and takes the first answer to it out of the inbox.
    pub(crate) fn ask(&mut self, who: Id, line: &Value) -> Value {
        self.say(who, &line.to_string());
        self.answer(who)
    }

    /// Takes the first answer out of the inbox.
    pub(crate) fn answer(&mut self, who: Id) -> Value {
        let inbox = self.inbox.get_mut(&who).unwrap();
        let answers = |it: &Value| it.get("ok").is_some() || it.get("err").is_some();
        let at = inbox.iter().position(answers).expect("every line with an id is answered");
        inbox.remove(at)
    }

    /// Takes the answer with this number out of the inbox, if it is there.
    pub(crate) fn answer_to(&mut self, who: Id, id: u64) -> Option<Value> {
        let inbox = self.inbox.get_mut(&who)?;
        let at = inbox.iter().position(|it| it["id"] == id)?;
        Some(inbox.remove(at))
    }

    /// Everything that the connection was sent and did not read yet.
    pub(crate) fn read(&mut self, who: Id) -> Vec<Value> {
        std::mem::take(self.inbox.get_mut(&who).unwrap())
    }

    /// The connection ends.
    pub(crate) fn close(&mut self, who: Id) {
        for subscribers in self.topics.values_mut() {
            subscribers.remove(&who);
        }
        let mut out = Vec::new();
        self.relay.close(self.now, who, &mut out);
        self.carry_out(out);
        self.inbox.insert(who, Vec::new());
        self.full.remove(&who);
    }

    /// How many things wait for the store.
    pub(crate) fn store_waits(&self) -> usize {
        self.waiting.len()
    }

    /// The store does all that waits for it, in one transaction.
    pub(crate) fn store_answers(&mut self) {
        while !self.waiting.is_empty() {
            self.store_answers_once();
        }
    }

    /// The same, but for what follows from its answers.
    pub(crate) fn store_answers_once(&mut self) {
        let requests = std::mem::take(&mut self.waiting).into();
        for reply in self.store.run(requests) {
            let mut out = Vec::new();
            self.relay.stored(self.now, reply.context, reply.answer, &mut out);
            self.carry_out_now(out);
        }
    }

    pub(crate) fn carry_out(&mut self, out: Vec<Out<Id>>) {
        self.carry_out_now(out);
        if self.stores_by_itself {
            self.store_answers();
        }
    }

    fn carry_out_now(&mut self, out: Vec<Out<Id>>) {
        let mut out = VecDeque::from(out);
        while let Some(next) = out.pop_front() {
            let mut more = Vec::new();
            self.carry_out_one(next, &mut more);
            // Before all that follows, as the server does it.
            more.into_iter().rev().for_each(|more| out.push_front(more));
        }
        for (room, topic) in std::mem::take(&mut self.published) {
            let live: Vec<_> = self.relay.live(room).collect();
            let of_topic = self.topics.get(&topic).cloned().unwrap_or_default();
            assert!(live.iter().eq(&of_topic), "the relay knows who is subscribed: {topic}");
        }
    }

    fn carry_out_one(&mut self, out: Out<Id>, more: &mut Vec<Out<Id>>) {
        match out {
            Out::Send { to, text } => {
                self.deliver(to, &text);
                if self.drains_by_itself && !self.full.contains(&to) {
                    self.relay.drained(self.now, to, more);
                }
            }
            Out::Publish { room, topic, text, except, next } => {
                self.published.insert(room, topic.clone());
                let full: Vec<_> =
                    self.relay.live(room).filter(|who| self.full.contains(who)).collect();
                for who in full {
                    let mut held = Vec::new();
                    self.relay.hold_back(self.now, room, who, next, &mut held);
                    for out in held {
                        self.carry_out_one(out, more);
                    }
                }
                let subscribers = self.topics.get(&topic).cloned().unwrap_or_default();
                for to in subscribers.into_iter().filter(|&to| Some(to) != except) {
                    self.deliver(to, &text);
                }
            }
            Out::Subscribe { who, room, topic } => {
                if !self.relay.is_live(room, who) {
                    return;
                }
                let new = self.topics.entry(topic).or_default().insert(who);
                assert!(new, "nobody is subscribed twice");
            }
            Out::Unsubscribe { who, topic } => {
                self.topics.entry(topic).or_default().remove(&who);
            }
            Out::Close { who, code, reason } => {
                assert!(reason.len() < 100 && (4000..5000).contains(&code));
                assert_eq!(self.closed.insert(who, code), None, "a connection ends once");
            }
            Out::Store(request) if self.store_is_busy => {
                let busy = Answer::Refused(Refused::Busy);
                self.relay.stored(self.now, request.context, busy, more);
            }
            Out::Store(request) => self.waiting.push_back(request),
            Out::Password(PasswordWork::Hash { password, then }) => {
                let hash = chat_relay::auth::password::hash(&password).ok();
                self.relay.password_hashed(self.now, then, hash, more);
            }
            Out::Password(PasswordWork::Compare { password, hash, then }) => {
                let right = chat_relay::auth::password::verify_person(&password, hash.as_deref());
                self.relay.password_compared(self.now, then, Some(right), more);
            }
        }
    }

    fn deliver(&mut self, to: Id, text: &str) {
        assert!(!self.closed.contains_key(&to), "nothing is sent after the close: {text}");
        let lines =
            text.split('\n').map(|line| serde_json::from_str(line).expect("every line is JSON"));
        self.inbox.get_mut(&to).expect("only open connections are sent to").extend(lines);
    }
}

pub(crate) fn join(world: &mut World, who: Id, room: &str) -> Value {
    world.ask(who, &json!({ "id": 2, "join": { "room": room } }))["ok"].take()
}

pub(crate) fn send(world: &mut World, who: Id, room: &str, cid: &str) -> Value {
    let body = json!({ "text": cid });
    world.ask(who, &json!({ "id": 3, "send": { "room": room, "cid": cid, "body": body } }))
}

/// The code of the refusal of a line, or `ok`.
pub(crate) fn code(world: &mut World, who: Id, line: &Value) -> String {
    let mut line = line.clone();
    line["id"] = 4.into();
    let answer = world.ask(who, &line);
    answer["err"]["code"].as_str().unwrap_or("ok").to_owned()
}

/// The events of one kind that the connection was sent.
pub(crate) fn events(lines: &[Value], kind: &str) -> Vec<Value> {
    lines.iter().filter_map(|line| line.get(kind)).cloned().collect()
}

pub(crate) fn seqs(lines: &[Value]) -> Vec<u64> {
    events(lines, "msg").iter().map(|msg| msg["seq"].as_u64().unwrap()).collect()
}

/// Alice and Bob in the room `tea`, with nothing unread.
pub(crate) fn two_people(limits: RelayLimits) -> (World, Id, Id) {
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
