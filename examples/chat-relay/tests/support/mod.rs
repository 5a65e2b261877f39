//! A world around the relay: connections, topics and a clock, without a socket.
#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test may fail by panicking"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use chat_relay::limits::RelayLimits;
use chat_relay::relay::{Moment, Out, Relay};
use serde_json::Value;

/// Names a connection.
pub(crate) type Id = u32;

pub(crate) struct World {
    pub(crate) relay: Relay<Id>,
    pub(crate) now: Moment,
    /// Whether a connection takes every piece of its catch-up at once.
    pub(crate) drains_by_itself: bool,
    inbox: BTreeMap<Id, Vec<Value>>,
    topics: BTreeMap<Arc<str>, BTreeSet<Id>>,
    /// Close codes of the connections that the relay ended.
    pub(crate) closed: BTreeMap<Id, u16>,
    opened: Id,
}

impl World {
    pub(crate) fn new(limits: RelayLimits) -> Self {
        let mut last = 0_u128;
        let random = move || {
            last = last.wrapping_add(0x1234_5678_9abc_def0_0fed_cba9_8765_4321);
            last
        };
        Self {
            relay: Relay::new(limits, Box::new(random)),
            now: Moment { clock: Duration::from_secs(1), unix_ms: 1_790_000_000_000 },
            drains_by_itself: true,
            inbox: BTreeMap::new(),
            topics: BTreeMap::new(),
            closed: BTreeMap::new(),
            opened: 0,
        }
    }

    pub(crate) fn wait(&mut self, time: Duration) {
        self.now.clock += time;
        self.now.unix_ms += u64::try_from(time.as_millis()).unwrap();
        let mut out = Vec::new();
        self.relay.tick(self.now, &mut out);
        self.carry_out(out);
    }

    pub(crate) fn open(&mut self) -> Id {
        self.opened += 1;
        self.relay.open(self.now, self.opened);
        self.inbox.insert(self.opened, Vec::new());
        self.opened
    }

    /// Opens a connection and says hello; returns the connection and the answer.
    pub(crate) fn hello(&mut self, fields: &Value) -> (Id, Value) {
        let who = self.open();
        let mut hello = fields.clone();
        hello["v"] = 1.into();
        let answer = self.ask(who, &serde_json::json!({ "id": 1, "hello": hello }));
        (who, answer)
    }

    /// A person with this name, and no rooms.
    pub(crate) fn person(&mut self, name: &str) -> Id {
        let (who, answer) = self.hello(&serde_json::json!({ "name": name }));
        assert_eq!(answer["ok"]["user"], name, "{answer}");
        who
    }

    /// A frame arrives from the connection.
    pub(crate) fn say(&mut self, who: Id, frame: &str) {
        let mut out = Vec::new();
        self.relay.receive(self.now, who, frame, &mut out);
        self.carry_out(out);
        while self.drains_by_itself && self.relay.is_behind(who) {
            self.drain(who);
        }
    }

    pub(crate) fn drain(&mut self, who: Id) {
        let mut out = Vec::new();
        self.relay.drained(who, &mut out);
        self.carry_out(out);
    }

    /// Says one line, and takes the first answer to it out of the inbox.
    pub(crate) fn ask(&mut self, who: Id, line: &Value) -> Value {
        self.say(who, &line.to_string());
        let inbox = self.inbox.get_mut(&who).unwrap();
        let answers = |it: &Value| it.get("ok").is_some() || it.get("err").is_some();
        let at = inbox.iter().position(answers).expect("every line with an id is answered");
        inbox.remove(at)
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
    }

    pub(crate) fn carry_out(&mut self, out: Vec<Out<Id>>) {
        for out in out {
            match out {
                Out::Send { to, text } => self.deliver(to, &text),
                Out::Publish { topic, text, except } => {
                    let subscribers = self.topics.get(&topic).cloned().unwrap_or_default();
                    for to in subscribers.into_iter().filter(|&to| Some(to) != except) {
                        self.deliver(to, &text);
                    }
                }
                Out::Subscribe { who, topic } => {
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
