//! Streams while the store is slow.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::mpsc::{Receiver, channel};

use super::super::{Setup, reactor};
use super::*;
use crate::relay::Then;
use crate::store::job::{Access, Answer, Job, PersonId, Role, RoomId};
use crate::store::thread::StoreThread;
use crate::store::{Reply, Request, Store};

type Replies = Vec<Reply<Then<ConnectionId>>>;

/// A store with alice, and a message in the room tea.
fn store() -> Store {
    let mut store = Store::in_memory().unwrap();
    let alice = PersonId(1);
    let room = RoomId(1);
    let jobs = [
        Job::Register {
            key: "alice".into(),
            shown: "alice".into(),
            token: "t".into(),
            device: "d".into(),
            password_hash: None,
            invitation: None,
            now_ms: 0,
        },
        Job::MakeRoom {
            name: "tea".into(),
            epoch: "e".into(),
            access: Access::Open,
            members: vec![(alice, Role::Member)],
            now_ms: 0,
        },
        Job::Send {
            room,
            from: alice,
            cid: "c".into(),
            body: r#"{"text":"hi"}"#.into(),
            now_ms: 0,
        },
    ];
    let requests = jobs.into_iter().map(|job| Request { context: (), job }).collect();
    for Reply { answer, .. } in store.run(requests) {
        assert!(!matches!(answer, Answer::Refused(_)), "{answer:?}");
    }
    store
}

/// A relay whose store is as slow as the test wants it to be.
struct Slow {
    reactor: engine::Reactor<Server>,
    answered: Receiver<Replies>,
}

impl Slow {
    fn start() -> Self {
        let mut reactor = reactor(Setup::default(), store()).unwrap();
        let (answers, answered) = channel();
        let on_replies = move |replies| _ = answers.send(replies);
        let held = StoreThread::start(store(), 16, on_replies).unwrap();
        let handle = reactor.handle();
        reactor = reactor.listen("127.0.0.1:0").unwrap();
        let mut slow = Self { reactor, answered };
        while slow.reactor.handler().links.is_none() {
            slow.turn();
        }
        let hold = |server: &mut Server, _: &mut Hub<'_>| {
            server.links.as_mut().unwrap().store = held;
        };
        handle.post(hold).unwrap();
        slow.turn();
        slow
    }

    fn turn(&mut self) {
        self.reactor.turn(Some(Duration::from_millis(10))).unwrap();
    }

    /// A tick, at which what has waited for long enough is ended.
    fn beat(&mut self) {
        let beat = |server: &mut Server, hub: &mut Hub<'_>| {
            let now = server.now();
            server.beat(hub, now);
        };
        self.reactor.handle().post(beat).unwrap();
        self.turn();
    }

    /// What the store has answered and the relay is not told; `None` when all streams have ended.
    fn answer(&mut self) -> Option<Replies> {
        while !self.reactor.handler().streams.is_empty() {
            self.turn();
            if let Ok(replies) = self.answered.try_recv() {
                return Some(replies);
            }
        }
        None
    }

    fn tell(&mut self, replies: Replies) {
        let tell = move |server: &mut Server, hub: &mut Hub<'_>| {
            server.replies.extend(replies);
            let now = server.now();
            server.go_on(hub, now);
        };
        self.reactor.handle().post(tell).unwrap();
        self.turn();
    }
}

#[test]
fn a_poll_whose_time_is_over_still_hears_who_it_is_and_what_there_is() {
    let mut relay = Slow::start();
    let mut client = TcpStream::connect(relay.reactor.local_addrs().unwrap()[0]).unwrap();
    client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let poll = b"GET /poll?wait_s=0 HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer t\r\n\
        Last-Event-ID: {\"tea\":[\"e\",0]}\r\nConnection: close\r\n\r\n";
    client.write_all(poll).unwrap();
    while relay.reactor.handler().streams.is_empty() {
        relay.turn();
    }
    while let Some(replies) = relay.answer() {
        relay.beat();
        let ended = relay.reactor.handler().streams.is_empty();
        assert!(!ended, "it does not know yet who it is, or what there is");
        relay.tell(replies);
    }
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    let lines: Vec<_> = answer.lines().filter(|line| line.starts_with('{')).collect();
    assert!(lines[0].starts_with(r#"{"id":0,"ok":{"user":"alice""#), "{answer}");
    assert!(lines[1].contains(r#""body":{"text":"hi"}"#), "{answer}");
}
