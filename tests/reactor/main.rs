//! The reactor, over the deterministic net: no socket, no clock, no thread.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)] // a test may panic

mod admission;
#[cfg(feature = "deflate")]
mod allocations;
#[cfg(feature = "tls")]
#[path = "../tls/authority.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod authority;
mod bodies;
#[cfg(feature = "deflate")]
mod compressed;
mod ending;
#[path = "../support/frames.rs"]
#[allow(dead_code, unreachable_pub, reason = "other tests use the rest")]
mod frames;
#[cfg(feature = "deflate")]
#[path = "../../benches/support/memory.rs"]
mod memory;
#[path = "../simulator/src/net/mod.rs"]
#[allow(dead_code, unused_imports, unreachable_pub, reason = "the simulator uses the rest")]
mod net;
mod opening;
mod pausing;
mod pressure;
mod reading;
mod sending;
mod streams;
#[cfg(feature = "tls")]
mod tls;
#[cfg(feature = "tls")]
mod tls_faults;

use std::net::SocketAddr;
use std::time::Duration;

use net::{Odds, Peer, SimNet};
use tautline::frame::mask;
use tautline::handshake::{Accept, Agreed, HttpRequest, Refusal, Request, Response, Status};
use tautline::reactor::{
    Answer, Closed, ConnectionId, Context, Dropped, Handler, Reactor, SendStatus,
};
use tautline::{CloseCode, Limits, Message, Part, Prepared, Role};

const ADDRESS: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 80);

/// A handler that does what the messages say, and keeps a journal of what it was told.
#[derive(Default)]
struct Probe {
    journal: Vec<String>,
    statuses: Vec<SendStatus>,
    ids: Vec<ConnectionId>,
    /// Answers that are streams.
    streams: Vec<ConnectionId>,
    agreed: Vec<Agreed>,
    /// Published when a connection ends.
    last_words: Option<String>,
}

impl Handler for Probe {
    type Session = u32;

    fn on_request(
        &mut self,
        cx: &mut Context<'_, u32>,
        request: &HttpRequest<'_>,
        _: SocketAddr,
    ) -> Answer {
        self.journal.push(format!("request {} {}", request.method(), request.target()));
        match request.path() {
            "/echo" => Response::new(Status::OK).body(request.body().to_vec()).into(),
            "/stream" | "/not-modified" => {
                assert_eq!(cx.write(b"too early"), SendStatus::Dropped(Dropped::NotOpen));
                assert_eq!(cx.finish(), SendStatus::Dropped(Dropped::NotOpen));
                self.streams.push(cx.id());
                let status = if request.path() == "/stream" { 200 } else { 304 };
                let first = request.query().unwrap_or_default().to_owned();
                Answer::Stream(Response::new(Status::new(status).unwrap()).text(first))
            }
            "/page" => Response::new(Status::OK).body(b"<p>hello</p>".as_slice()).into(),
            _ => Refusal::Protocol.response().into(),
        }
    }

    fn on_upgrade(
        &mut self,
        request: &Request<'_>,
        _: SocketAddr,
        session: &mut u32,
    ) -> Result<Accept, Response> {
        if request.path() == "/no" {
            return Err(Response::new(Status::FORBIDDEN));
        }
        *session = 1;
        #[cfg(feature = "deflate")]
        if request.path() == "/uncompressed" {
            return Ok(Accept::new().deflate(None));
        }
        Ok(Accept::new())
    }

    fn on_agreed(&mut self, _: &mut Context<'_, u32>, agreed: &Agreed) {
        self.agreed.push(agreed.clone());
    }

    fn on_open(&mut self, cx: &mut Context<'_, u32>) {
        assert_eq!(self.agreed.len(), self.ids.len() + 1, "what was agreed on is told first");
        self.journal.push(if cx.role() == Role::Server { "open" } else { "made" }.into());
        self.ids.push(cx.id());
    }

    fn on_message(&mut self, cx: &mut Context<'_, u32>, message: Message<'_>) {
        *cx.session() += 1;
        let Message::Text(text) = message else {
            self.statuses.push(cx.send(message));
            return;
        };
        let (command, rest) = text.split_once(' ').unwrap_or((text, ""));
        match command {
            "subscribe" => assert!(cx.subscribe(rest)),
            "unsubscribe" => cx.unsubscribe(rest),
            "publish" => cx.publish(rest, text),
            "tell-others" => cx.publish_to_others(rest, text),
            "close" => self.statuses.push(cx.close(CloseCode::NORMAL, rest)),
            "burst" => {
                let block = vec![b'b'; rest.parse().unwrap()];
                self.statuses.push(cx.send(block.as_slice()));
            }
            "bursts" => {
                for bytes in rest.split(' ') {
                    let block = vec![b'b'; bytes.parse().unwrap()];
                    self.statuses.push(cx.send(block.as_slice()));
                }
            }
            "burst-and-close" | "burst-and-publish" | "burst-and-ping" => {
                let block = vec![b'b'; rest.parse().unwrap()];
                self.statuses.push(cx.send(block.as_slice()));
                match command {
                    "burst-and-close" => self.statuses.push(cx.close(CloseCode::NORMAL, "said")),
                    "burst-and-ping" => self.statuses.push(cx.ping(b"?")),
                    _ => cx.publish("room", "news"),
                }
            }
            "whisper" => {
                let id = self.ids[rest.parse::<usize>().unwrap()];
                match cx.connection(id) {
                    Some(mut other) => self.statuses.push(other.send("psst")),
                    None => self.journal.push("nobody".into()),
                }
            }
            "prepare" => {
                let mut prepared = Prepared::new(text);
                for id in self.ids.clone() {
                    let sent =
                        cx.connection(id).map(|mut other| other.send_prepared(&mut prepared));
                    self.statuses.extend(sent);
                }
            }
            "part" => {
                self.statuses.push(cx.send_part(Part { data: Message::Text(rest), last: false }))
            }
            "last" => {
                self.statuses.push(cx.send_part(Part { data: Message::Text(rest), last: true }))
            }
            "pause" => cx.pause_reading(),
            "parts" => cx.set_delivery(tautline::Delivery::Parts),
            "leave" => {
                cx.publish(rest, "before");
                cx.unsubscribe(rest);
                cx.publish(rest, "after");
                cx.close(CloseCode::NORMAL, "left");
                cx.publish(rest, "at last");
            }
            _ => self.statuses.push(cx.send(message)),
        }
    }

    fn on_part(&mut self, _: &mut Context<'_, u32>, part: Part<'_>) {
        self.journal.push(format!("part of {} last {}", part.data.as_bytes().len(), part.last));
    }

    fn on_pong(&mut self, _: &mut Context<'_, u32>, payload: &[u8]) {
        self.journal.push(format!("pong {payload:?}"));
    }

    fn on_drain(&mut self, _: &mut Context<'_, u32>) {
        self.journal.push("drain".into());
    }

    fn on_close(&mut self, cx: &mut Context<'_, u32>, closed: &Closed) {
        assert!(matches!(cx.send("too late"), SendStatus::Dropped(_)));
        let _ = cx.session();
        self.journal.push(format!("close {}: {closed}", closed.code()));
        if let Some(words) = &self.last_words {
            cx.publish("room", words.as_str());
        }
    }
}

struct World {
    net: SimNet,
    reactor: Reactor<Probe, SimNet>,
}

impl World {
    fn new(limits: Limits) -> Self {
        Self::with_seed(limits, 1)
    }

    fn with_seed(limits: Limits, seed: u64) -> Self {
        let net = SimNet::new(seed);
        let reactor = Reactor::with_net(Probe::default(), net.clone()).limits(limits);
        Self { reactor: reactor.listen(ADDRESS).unwrap(), net }
    }

    /// Runs turns until nothing more happens at this time.
    fn run(&mut self) {
        for _ in 0..200 {
            self.reactor.turn(Some(Duration::ZERO)).unwrap();
        }
    }

    /// Lets time pass in small steps.
    fn pass(&mut self, time: Duration) {
        for _ in 0..100 {
            self.net.advance(time / 100);
            self.run_some(3);
        }
        self.run_some(20);
    }

    fn run_some(&mut self, turns: usize) {
        for _ in 0..turns {
            self.reactor.turn(Some(Duration::ZERO)).unwrap();
        }
    }

    /// A peer whose connection is open.
    fn open(&mut self) -> Peer {
        let peer = self.net.connect(ADDRESS);
        peer.write(REQUEST);
        self.run();
        let answer = peer.read();
        assert!(answer.starts_with(b"HTTP/1.1 101 "), "{}", String::from_utf8_lossy(&answer));
        peer
    }

    fn journal(&self) -> &[String] {
        &self.reactor.handler().journal
    }
}

const REQUEST: &[u8] =
    b"GET /chat HTTP/1.1\r\nHost: example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

/// A frame as a client sends it.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    frames::frame(Role::Client, first, payload)
}

fn text(text: &str) -> Vec<u8> {
    frame(0x81, text.as_bytes())
}

/// A frame as a server sends it.
fn plain(first: u8, payload: &[u8]) -> Vec<u8> {
    frames::frame(Role::Server, first, payload)
}

fn close_frame(code: u16, reason: &str) -> Vec<u8> {
    frames::close_body(code, reason)
}
