//! Compressed messages: what each peer can read, and what is encoded once.

use std::sync::Arc;
use std::time::Instant;

use tautline::handshake::ClientRequest;
use tautline::{Connection, Deflate, Event};

use super::*;

/// A topic, and a text, that is worth compressing.
fn long(word: &str) -> String {
    format!("{word} ").repeat(40)
}

fn with_context() -> Deflate {
    let mut deflate = Deflate::default();
    deflate.sending.context_takeover = true;
    deflate.receiving.context_takeover = true;
    deflate
}

/// A client of ours at the other end of a simulated connection.
struct Client {
    peer: Peer,
    connection: Connection,
}

impl World {
    fn compressing() -> Self {
        let net = SimNet::new(1);
        let reactor = Reactor::with_net(Probe::default(), net.clone()).deflate(with_context());
        Self { reactor: reactor.listen(ADDRESS).unwrap(), net }
    }

    fn open_client(&mut self, path: &str, deflate: Option<Deflate>) -> Client {
        let mut request = ClientRequest::new(format!("ws://example{path}").parse().unwrap());
        if let Some(deflate) = deflate {
            request = request.deflate(deflate);
        }
        let mut out = Vec::new();
        let mut handshake = request.write([1; 16], &mut out);
        let peer = self.net.connect(ADDRESS);
        peer.write(&out);
        self.run();
        let (_, agreed) = handshake.receive(&peer.read(), &Limits::default()).unwrap().unwrap();
        let limits = Arc::new(Limits::default());
        let connection = Connection::client(&agreed, &limits, Instant::now(), || [1, 2, 3, 4]);
        Client { peer, connection }
    }
}

impl Client {
    fn say(&mut self, text: &str) {
        let mut out = Vec::new();
        self.connection.send(text, &mut out).unwrap();
        self.peer.write(&out);
    }

    /// The bytes that have come, and the texts in them.
    fn read(&mut self) -> (Vec<u8>, Vec<String>) {
        let bytes = self.peer.read();
        let mut run = bytes.clone();
        let mut texts = Vec::new();
        let mut incoming = self.connection.receive(Instant::now(), &mut run);
        while let Some((event, _)) = incoming.next().unwrap() {
            match event {
                Event::Message(Message::Text(text)) => texts.push(text.to_owned()),
                other => panic!("{other:?}"),
            }
        }
        (bytes, texts)
    }
}

#[test]
fn a_publication_is_the_same_bytes_for_all_who_agreed_on_the_same_and_plain_for_the_others() {
    let mut world = World::compressing();
    let topic = long("room");
    let offers = [Some(Deflate::default()), Some(Deflate::default()), Some(with_context()), None];
    let mut clients = offers.map(|it| world.open_client("/", it));
    for client in &mut clients {
        client.say(&format!("subscribe {topic}"));
    }
    world.run();
    let text = format!("publish {topic}");
    clients[0].say(&text);
    world.run();
    let [a, b, with_context, plain_one] = clients.map(|mut it| it.read());
    for (_, texts) in [&a, &b, &with_context, &plain_one] {
        assert_eq!(texts, std::slice::from_ref(&text));
    }
    assert!(a.0.len() < text.len() / 3 && a.0[0] == 0xC1, "{:?}", a.0);
    assert_eq!(a.0, b.0);
    assert_eq!(a.0, with_context.0, "it refers to nothing");
    assert_eq!(plain_one.0, plain(0x81, text.as_bytes()));
}

#[test]
fn with_context_takeover_publications_parts_and_messages_of_ones_own_are_one_right_stream() {
    let mut world = World::compressing();
    let topic = long("room");
    let mut speaker = world.open_client("/", None);
    let mut listener = world.open_client("/", Some(with_context()));
    listener.say(&format!("subscribe {topic}"));
    world.run();
    let own = long("echo of my own");
    let part = long("piece");
    let mut expected = Vec::new();
    for _ in 0..3 {
        listener.say(&own);
        world.run();
        speaker.say(&format!("publish {topic}"));
        world.run();
        listener.say(&own);
        listener.say(&format!("part {part}"));
        world.run();
        speaker.say(&format!("publish {topic}"));
        world.run();
        listener.say(&format!("last {part}"));
        listener.say(&own);
        world.run();
        let publication = format!("publish {topic}");
        expected.extend([own.clone(), publication.clone(), own.clone()]);
        expected.extend([part.repeat(2), publication, own.clone()]);
    }
    let (bytes, texts) = listener.read();
    assert_eq!(texts, expected);
    assert!(bytes.len() < expected.concat().len() / 4, "{} bytes", bytes.len());
}

#[test]
fn a_prepared_message_reaches_every_connection_in_its_encoding() {
    let mut world = World::compressing();
    let offers = [None, Some(Deflate::default()), Some(with_context()), Some(Deflate::default())];
    let mut clients = offers.map(|it| world.open_client("/", it));
    let text = format!("prepare {}", long("everybody"));
    clients[0].say(&text);
    world.run();
    let read = clients.map(|mut it| it.read());
    for (_, texts) in &read {
        assert_eq!(texts, std::slice::from_ref(&text));
    }
    assert_eq!(read[0].0, plain(0x81, text.as_bytes()));
    assert_eq!(read[1].0[0], 0xC1);
    assert_eq!(read[1].0, read[3].0);
}

#[test]
fn a_handler_may_refuse_compression_for_one_connection() {
    let mut world = World::compressing();
    let mut client = world.open_client("/uncompressed", Some(Deflate::default()));
    let text = long("echo");
    client.say(&text);
    world.run();
    assert_eq!(client.read(), (plain(0x81, text.as_bytes()), vec![text]));
    assert_eq!(world.reactor.handler().agreed[0].deflate(), None);
}

#[test]
fn a_connection_that_is_made_offers_compression_and_uses_it() {
    let mut world = World::compressing();
    let request = ClientRequest::new("ws://example/".parse().unwrap()).deflate(with_context());
    world.reactor.hub().connect(ADDRESS, request, 0).unwrap();
    world.run();
    let peer = world.net.accept_outgoing();
    world.run();
    let asked = String::from_utf8(peer.read()).unwrap();
    assert!(asked.contains("Sec-WebSocket-Extensions: permessage-deflate; "), "{asked}");
    peer.write(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Extensions: permessage-deflate\r\nSec-WebSocket-Accept: ",
    );
    peer.write(&tautline::handshake::Key::from_nonce([7; 16]).accept());
    peer.write(b"\r\n\r\n");
    // "Hello", as RFC 7692 section 7.2.3.1 has it; the second one refers to the first.
    peer.write(&plain(0xC1, &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00]));
    peer.write(&plain(0xC1, &[0xf2, 0x00, 0x11, 0x00, 0x00]));
    world.run();
    let agreed = &world.reactor.handler().agreed[0];
    assert_eq!(agreed.deflate().unwrap().to_string(), "permessage-deflate");
    let answers = frames::unmasked(&peer.read(), Role::Client);
    assert_eq!(answers, [(0x81, b"Hello".to_vec()), (0x81, b"Hello".to_vec())]);
}

#[test]
fn an_unfinished_compressed_message_counts_with_what_inflates_it_and_what_it_refers_to() {
    let mut world = World::compressing();
    let before = "a text that both ends keep ".repeat(200);
    let held = [false, true].map(|has_history| {
        let mut client = world.open_client("/chat", Some(with_context()));
        let mut kept = 0;
        if has_history {
            client.say(&before);
            world.run();
            // What came, and what was sent back.
            kept = world.reactor.hub().held_bytes();
            assert!(kept > before.len(), "{kept} bytes");
        }
        let text = long("unfinished");
        let part = Part { data: Message::Text(&text), last: false };
        let mut out = Vec::new();
        client.connection.send_part(part.compressed(), &mut out).unwrap();
        client.peer.write(&out);
        world.run();
        let held = world.reactor.hub().held_bytes() - kept;
        client.peer.reset();
        world.run();
        held
    });
    assert!((112 * 1024..128 * 1024).contains(&held[0]), "{held:?}");
    assert!(held[0] <= held[1], "what it refers to does not count any more: {held:?}");
}

#[test]
fn a_long_answer_that_is_compressed_leaves_with_what_follows() {
    let mut world = World::compressing();
    let client = world.open_client("/", Some(with_context()));
    let before = world.net.sim().writes;
    client.peer.write(&text("bursts 30000 40"));
    world.run();
    assert_eq!(world.net.sim().writes - before, 1);
}
