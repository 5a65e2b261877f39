//! The two servers that are compared: ours, and a loop that is no WebSocket.

use std::io::{ErrorKind, Read, Write};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use tautline::reactor::{Context, Handler};
use tautline::{Deflate, Message, Origins, Reactor};

struct Echo;

impl Handler for Echo {
    type Session = ();

    fn on_message(&mut self, cx: &mut Context<'_, ()>, message: Message<'_>) {
        cx.send(message);
    }
}

/// Our echo server.
pub(crate) fn tautline(deflate: Option<Deflate>) {
    let mut limits = tautline::Limits::default();
    limits.message_bytes_max = 16 << 20;
    let mut reactor = Reactor::new(Echo).unwrap().limits(limits).origins(Origins::Any);
    if let Some(deflate) = deflate {
        reactor = reactor.deflate(deflate);
    }
    let reactor = reactor.listen("127.0.0.1:0").unwrap();
    println!("{}", reactor.local_addrs().unwrap()[0]);
    reactor.run().unwrap();
}

/// The limit of what a loop on mio can do: it answers each whole frame with its header and payload, unmasks nothing,
/// checks nothing, reads into one buffer, writes out of one buffer, once per event, and registers each socket once.
pub(crate) fn raw() {
    let mut poll = Poll::new().unwrap();
    let mut events = Events::with_capacity(1024);
    let mut listener = TcpListener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    println!("{}", listener.local_addr().unwrap());
    poll.registry().register(&mut listener, Token(usize::MAX), Interest::READABLE).unwrap();
    let mut peers: Vec<Option<Peer>> = Vec::new();
    let mut input = vec![0; 256 * 1024];
    let mut output = Vec::with_capacity(256 * 1024);
    loop {
        poll.poll(&mut events, None).unwrap();
        for event in &events {
            if event.token() == Token(usize::MAX) {
                while let Ok((mut stream, _)) = listener.accept() {
                    stream.set_nodelay(true).unwrap();
                    let both = Interest::READABLE | Interest::WRITABLE;
                    poll.registry().register(&mut stream, Token(peers.len()), both).unwrap();
                    peers.push(Some(Peer {
                        stream,
                        open: false,
                        cut: Vec::new(),
                        unsent: Vec::new(),
                    }));
                }
                continue;
            }
            let place = &mut peers[event.token().0];
            if place.as_mut().is_some_and(|peer| !peer.serve(&mut input, &mut output)) {
                *place = None;
            }
        }
    }
}

struct Peer {
    stream: TcpStream,
    open: bool,
    /// A frame that was cut in half.
    cut: Vec<u8>,
    /// What the socket did not take.
    unsent: Vec<u8>,
}

impl Peer {
    /// Handles one event; false when the peer has gone.
    fn serve(&mut self, input: &mut [u8], output: &mut Vec<u8>) -> bool {
        output.clear();
        output.append(&mut self.unsent);
        loop {
            let kept = self.cut.len();
            input[..kept].copy_from_slice(&self.cut);
            let room = input.len() - kept;
            let count = match self.stream.read(&mut input[kept..]) {
                Ok(0) => return false,
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => return false,
            };
            let used = self.answer(&input[..kept + count], output);
            self.cut.clear();
            self.cut.extend_from_slice(&input[used..kept + count]);
            if count < room {
                break;
            }
        }
        match self.stream.write(output) {
            Ok(written) => self.unsent.extend_from_slice(&output[written..]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.unsent.extend_from_slice(output)
            }
            Err(_) => return false,
        }
        true
    }

    /// Answers what is whole, and says how much that is.
    fn answer(&mut self, bytes: &[u8], output: &mut Vec<u8>) -> usize {
        if !self.open {
            if !bytes.ends_with(b"\r\n\r\n") {
                return 0;
            }
            self.open = true;
            output.extend_from_slice(b"HTTP/1.1 101 Switching Protocols\r\n\r\n");
            return bytes.len();
        }
        let mut at = 0;
        while let [first, second, rest @ ..] = &bytes[at..] {
            let (extended, length) = match (second & 0x7F, rest) {
                (126, [a, b, ..]) => (2, usize::from(u16::from_be_bytes([*a, *b]))),
                (127, [a, b, c, d, e, f, g, h, ..]) => {
                    (8, u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]) as usize)
                }
                (126 | 127, _) => break,
                (short, _) => (0, usize::from(short)),
            };
            let Some(payload) = rest.get(extended + 4..extended + 4 + length) else { break };
            output.extend_from_slice(&[*first, second & 0x7F]);
            output.extend_from_slice(&rest[..extended]);
            output.extend_from_slice(payload);
            at += 2 + extended + 4 + length;
        }
        at
    }
}
