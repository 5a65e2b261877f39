//! The server: rooms whose messages are numbered.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use tautline::reactor::{Context, Handler};
use tautline::tls::ServerTls;
use tautline::{Deflate, Limits, Message, Origins, Reactor};

/// - `join ROOM`: answered with `joined ROOM HEAD`; what is said from now on is sent, from number HEAD + 1 on.
/// - `say NUMBER TEXT`: sent to all in the room as `said ROOM NUMBER TEXT`, with the room's number, and answered with
///   `ack NUMBER`.
/// - `counters`: answered with what the loop has counted.
#[derive(Default)]
struct Rooms(HashMap<String, u64>);

impl Handler for Rooms {
    /// The room that it is in.
    type Session = String;

    fn on_message(&mut self, cx: &mut Context<'_, String>, message: Message<'_>) {
        let Message::Text(text) = message else { panic!("nobody sends binary messages") };
        let (command, rest) = text.split_once(' ').unwrap_or((text, ""));
        match command {
            "join" => {
                let head = *self.0.entry(rest.into()).or_default();
                cx.subscribe(rest);
                cx.session().push_str(rest);
                cx.send(format!("joined {rest} {head}").as_str());
            }
            "say" => {
                let (number, said) = rest.split_once(' ').expect("say NUMBER TEXT");
                let room = cx.session().clone();
                let head = self.0.get_mut(&room).expect("it has joined");
                *head += 1;
                cx.publish(&room, format!("said {room} {head} {said}").as_str());
                cx.send(format!("ack {number}").as_str());
            }
            "counters" => {
                let hub = cx.hub();
                let counted = format!("{:#?}", hub.counters());
                let now =
                    format!("connections: {}, held_bytes: {}", hub.connections(), hub.held_bytes());
                cx.send(format!("{counted}\n{now}").as_str());
            }
            _ => panic!("{text}"),
        }
    }
}

pub(super) fn serve(folder: &Path) {
    let mut limits = Limits::default();
    // So that each deadline is met many times.
    limits.handshake_within = Duration::from_secs(5);
    limits.ping_after = Some(Duration::from_secs(10));
    limits.pong_within = Duration::from_secs(10);
    limits.outbox_bytes_max = 256 * 1024;
    let tls = ServerTls::from_files(&[(folder.join("chain.pem"), folder.join("key.pem"))]).unwrap();
    let reactor = Reactor::new(Rooms::default())
        .unwrap()
        .limits(limits)
        .origins(Origins::Any)
        .deflate(Deflate::default())
        .listen("127.0.0.1:0")
        .unwrap()
        .server_tls(tls)
        .listen("127.0.0.1:0")
        .unwrap();
    for address in reactor.local_addrs().unwrap() {
        println!("{address}");
    }
    reactor.run().unwrap();
}
