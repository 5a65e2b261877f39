//! Frames, and connections that have said hello.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::plan::token;

/// A masked text frame. The masking key is 0: it is the server that is measured.
pub(crate) fn text(payload: &str) -> Vec<u8> {
    masked(0x81, payload.as_bytes())
}

fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        short @ 0..=125 => bytes.push(0x80 | short as u8),
        length => {
            bytes.push(0x80 | 126);
            bytes.extend(u16::try_from(length).unwrap().to_be_bytes());
        }
    }
    bytes.extend([0; 4]);
    bytes.extend_from_slice(payload);
    bytes
}

/// The opcode, the payload and the length of the frame that `bytes` begin with, once it is whole.
pub(crate) fn first_frame(bytes: &[u8]) -> Option<(u8, &[u8], usize)> {
    let (header, rest) = bytes.split_at_checked(2)?;
    let (length, extended) = match header[1] {
        126 => (u16::from_be_bytes(*rest.first_chunk()?).into(), 2),
        127 => (usize::try_from(u64::from_be_bytes(*rest.first_chunk()?)).unwrap(), 8),
        short => (usize::from(short), 0),
    };
    let payload = rest.get(extended..extended + length)?;
    Some((header[0] & 15, payload, 2 + extended + length))
}

/// What a frame is that a peer has to answer, and the answer.
pub(crate) fn pong(opcode: u8, payload: &[u8]) -> Option<Vec<u8>> {
    (opcode == 9).then(|| masked(0x8A, payload))
}

/// A connection with what has come on it and was not looked at.
pub(crate) struct Wire {
    pub(crate) stream: TcpStream,
    pub(crate) input: Vec<u8>,
}

impl Wire {
    pub(crate) fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let mut wire = Self { stream, input: Vec::new() };
        let request = format!(
            "GET /ws HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Protocol: relay.v1\r\n\r\n"
        );
        wire.stream.write_all(request.as_bytes()).unwrap();
        let end = loop {
            if let Some(at) = wire.input.windows(4).position(|it| it == b"\r\n\r\n") {
                break at + 4;
            }
            wire.fill();
        };
        assert!(wire.input.starts_with(b"HTTP/1.1 101 "));
        wire.input.drain(..end);
        wire
    }

    fn fill(&mut self) {
        let mut buffer = [0; 64 * 1024];
        let count = self.stream.read(&mut buffer).unwrap();
        assert_ne!(count, 0, "the server ended the stream");
        self.input.extend_from_slice(&buffer[..count]);
    }

    /// The payload of the next text frame.
    pub(crate) fn hear(&mut self) -> String {
        loop {
            while let Some((opcode, payload, length)) = first_frame(&self.input) {
                let heard = (opcode == 1).then(|| String::from_utf8(payload.to_vec()).unwrap());
                if let Some(pong) = pong(opcode, payload) {
                    self.stream.write_all(&pong).unwrap();
                }
                self.input.drain(..length);
                if let Some(heard) = heard {
                    return heard;
                }
            }
            self.fill();
        }
    }

    /// Says hello as the person with this number; `at` as it is in the command.
    pub(crate) fn say_hello(&mut self, person: usize, at: &str) {
        let token = token(person);
        let line =
            format!(r#"{{"id":1,"hello":{{"v":1,"token":"{token}","device":"d","at":{at}}}}}"#);
        self.stream.write_all(&text(&line)).unwrap();
    }

    pub(crate) fn is_welcome(&mut self) {
        let answer = self.hear();
        assert!(answer.starts_with(r#"{"id":1,"ok":"#), "{answer}");
    }
}

/// Connections of the people with these numbers, that have said hello, many at the same time.
pub(crate) fn people(address: SocketAddr, numbers: impl IntoIterator<Item = usize>) -> Vec<Wire> {
    let mut wires: Vec<Wire> = numbers
        .into_iter()
        .map(|number| {
            let mut wire = Wire::open(address);
            wire.say_hello(number, "{}");
            wire
        })
        .collect();
    wires.iter_mut().for_each(Wire::is_welcome);
    wires
}
