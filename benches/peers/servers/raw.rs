//! The limit of what one thread on mio can do: the bytes of an echo, without being a WebSocket.
//!
//! It reads into one shared buffer, copies header and payload of whole frames, masked as they are, into one shared output
//! buffer, and writes once per readable event. Each socket is registered once, edge-triggered. Nothing is checked, and
//! the handshake is answered with a constant, which is right for the one nonce that the load sends.

use std::io::{self, ErrorKind, Read, Write};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

mod support;

const BUFFER_BYTES: usize = 256 * 1024;
const LISTENER: Token = Token(usize::MAX);
const ANSWER: &[u8] =
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

fn main() -> io::Result<()> {
    let arguments = support::Arguments::parse();
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(1024);
    let address = arguments.listen.parse().map_err(io::Error::other)?;
    let mut listener = TcpListener::bind(address)?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    support::announce(listener.local_addr()?)?;
    let mut peers: Vec<Option<Peer>> = Vec::new();
    let mut free = Vec::new();
    // A frame that is not whole yet has to fit beside what is read behind it.
    let mut input = vec![0; BUFFER_BYTES + arguments.max_message.unwrap_or(0)];
    let mut output = Vec::with_capacity(input.len());
    loop {
        poll.poll(&mut events, None)?;
        for event in &events {
            if event.token() == LISTENER {
                while let Ok((mut stream, _)) = listener.accept() {
                    let place = free.pop().unwrap_or(peers.len());
                    let both = Interest::READABLE | Interest::WRITABLE;
                    stream.set_nodelay(true)?;
                    poll.registry().register(&mut stream, Token(place), both)?;
                    if place == peers.len() {
                        peers.push(None);
                    }
                    peers[place] = Some(Peer::new(stream));
                }
                continue;
            }
            let place = event.token().0;
            if peers[place].as_mut().is_some_and(|peer| !peer.serve(&mut input, &mut output)) {
                peers[place] = None;
                free.push(place);
            }
        }
    }
}

struct Peer {
    stream: TcpStream,
    open: bool,
    /// The start of a frame whose end is missing.
    cut: Vec<u8>,
    /// What the socket did not take.
    unsent: Vec<u8>,
}

impl Peer {
    fn new(stream: TcpStream) -> Self {
        Self { stream, open: false, cut: Vec::new(), unsent: Vec::new() }
    }

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
            // Less than there was room for: the socket is empty.
            if count < room {
                break;
            }
        }
        if output.is_empty() {
            return true;
        }
        match self.stream.write(output) {
            Ok(written) => self.unsent.extend_from_slice(&output[written..]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.unsent.extend_from_slice(output);
            }
            Err(_) => return false,
        }
        true
    }

    /// Answers what is whole, and says how many bytes that is.
    fn answer(&mut self, bytes: &[u8], output: &mut Vec<u8>) -> usize {
        if !self.open {
            if !bytes.ends_with(b"\r\n\r\n") {
                return 0;
            }
            self.open = true;
            output.extend_from_slice(ANSWER);
            return bytes.len();
        }
        let mut at = 0;
        while let [_, second, rest @ ..] = &bytes[at..] {
            let (extended, length) = match (second & 0x7F, rest) {
                (126, [a, b, ..]) => (2, usize::from(u16::from_be_bytes([*a, *b]))),
                (127, [a, b, c, d, e, f, g, h, ..]) => {
                    (8, u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]) as usize)
                }
                (126 | 127, _) => break,
                (short, _) => (0, usize::from(short)),
            };
            let Some(payload) = rest.get(extended + 4..extended + 4 + length) else { break };
            let header = output.len();
            output.extend_from_slice(&bytes[at..at + 2 + extended]);
            output[header + 1] = second & 0x7F;
            output.extend_from_slice(payload);
            at += 2 + extended + 4 + length;
        }
        at
    }
}
