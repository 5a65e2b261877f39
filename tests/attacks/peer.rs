//! The other end, byte by byte: a socket that keeps to no rule.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use socket2::{Domain, Socket, Type};
use tautline::frame::Role;

use super::server::{Attack, PATIENCE};
use super::support::frames::{frame, unmasked_compressed};

/// A request that is accepted.
pub(crate) const REQUEST: &str = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n";

/// The close frame of a client, with 1000.
pub(crate) fn goodbye() -> Vec<u8> {
    frame(Role::Client, 0x88, &1000u16.to_be_bytes())
}

/// Frames of the server: the first byte of each, and its payload.
pub(crate) type Frames = Vec<(u8, Vec<u8>)>;

pub(crate) struct Peer {
    pub(crate) stream: TcpStream,
}

impl Peer {
    /// Connects, and says nothing.
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::with(TcpStream::connect(address).unwrap())
    }

    /// The same from this address.
    pub(crate) fn connect_from(from: [u8; 4], address: SocketAddr) -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from((from, 0)).into()).unwrap();
        socket.connect(&address.into()).unwrap();
        Self::with(socket.into())
    }

    /// One whose system takes little before it has read, and which is open.
    pub(crate) fn open_narrow(address: SocketAddr, receive_bytes: usize) -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(receive_bytes).unwrap();
        socket.connect(&address.into()).unwrap();
        let mut peer = Self::with(socket.into());
        peer.opens("");
        peer
    }

    fn with(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self { stream }
    }

    /// Connects, handshake and all.
    pub(crate) fn open(address: SocketAddr) -> Self {
        Self::open_with(address, "")
    }

    /// The same with these fields, each with its line end.
    pub(crate) fn open_with(address: SocketAddr, fields: &str) -> Self {
        let mut peer = Self::connect(address);
        peer.opens(fields);
        peer
    }

    pub(crate) fn open_compressed(address: SocketAddr) -> Self {
        Self::open_with(address, "Sec-WebSocket-Extensions: permessage-deflate\r\n")
    }

    pub(crate) fn opens(&mut self, fields: &str) {
        self.send(format!("{REQUEST}{fields}\r\n").as_bytes());
        let head = self.head();
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        assert_eq!(head.contains("permessage-deflate"), fields.contains("permessage-deflate"));
    }

    /// The head of an answer, and not a byte more.
    pub(crate) fn head(&mut self) -> String {
        let (mut head, mut byte) = (Vec::new(), [0]);
        while !head.ends_with(b"\r\n\r\n") {
            self.stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        String::from_utf8(head).unwrap()
    }

    /// Sends, and says whether the server still takes anything.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> bool {
        match self.stream.write_all(bytes) {
            Ok(()) => true,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                panic!("the server does not read")
            }
            Err(_) => false,
        }
    }

    /// Sends packets of 256 bytes, each of which the server has read before the next one comes: a server that is slow
    /// would get many of them at once otherwise, and have less to do.
    pub(crate) fn send_in_packets(&mut self, bytes: &[u8], attack: &mut Attack<'_>) {
        for packet in bytes.chunks(256) {
            self.send(packet);
            attack.sent += packet.len();
            attack.others_are_served();
        }
    }

    /// Sends, and does something else whenever the server takes nothing for the moment; whether the server took all of
    /// it.
    pub(crate) fn send_beside(&mut self, mut bytes: &[u8], mut other: impl FnMut()) -> bool {
        self.stream.set_nonblocking(true).unwrap();
        while !bytes.is_empty() {
            match self.stream.write(bytes) {
                Ok(count) => bytes = &bytes[count..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    other();
                    std::thread::sleep(Duration::from_millis(5));
                }
                Err(_) => break,
            }
        }
        self.stream.set_nonblocking(false).unwrap();
        bytes.is_empty()
    }

    /// All that comes until the server ends the stream.
    #[track_caller]
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        match self.stream.read_to_end(&mut bytes) {
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                panic!("the server does not end the stream")
            }
            _ => bytes,
        }
    }

    /// The status of the answer, which ends the stream.
    #[track_caller]
    pub(crate) fn refusal(&mut self) -> u16 {
        let rest = self.rest();
        let status = rest.get(9..12).and_then(|it| str::from_utf8(it).ok()?.parse().ok());
        status.unwrap_or_else(|| panic!("no status: {}", rest.escape_ascii()))
    }

    /// The frames that come until the server ends the stream.
    pub(crate) fn frames(&mut self) -> Frames {
        unmasked_compressed(&self.rest(), Role::Server)
    }

    /// Lets something be sent, reads at the same time, and then ends with a close frame.
    pub(crate) fn converse(mut self, send: impl FnOnce(&mut Self)) -> Frames {
        let mut reader = Self::with(self.stream.try_clone().unwrap());
        std::thread::scope(|scope| {
            let frames = scope.spawn(move || reader.frames());
            send(&mut self);
            self.send(&goodbye());
            frames.join().unwrap()
        })
    }

    /// Sends, reads at the same time, and ends with a close frame.
    pub(crate) fn say(self, bytes: &[u8]) -> Frames {
        self.converse(|peer| {
            peer.send(bytes);
        })
    }

    /// Ends this direction.
    pub(crate) fn shut(&self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }
}

/// The code with which the server has closed the connection, in its last frame.
pub(crate) fn close_code(frames: &Frames) -> u16 {
    match frames.last() {
        Some((0x88, body)) => u16::from_be_bytes([body[0], body[1]]),
        other => panic!("no close frame: {other:?}"),
    }
}
