//! Many connections on one thread.

use std::io::{ErrorKind, Read, Write};
use std::time::Duration;

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use crate::wire::{self, Wire, first_frame};

/// Connections that are read as something comes.
pub(crate) struct Load {
    poll: Poll,
    events: Events,
    peers: Vec<(TcpStream, Vec<u8>)>,
    buffer: Vec<u8>,
}

impl Load {
    pub(crate) fn new(wires: Vec<Wire>) -> Self {
        let poll = Poll::new().unwrap();
        let events = Events::with_capacity(1024);
        let mut load = Self { poll, events, peers: Vec::new(), buffer: vec![0; 64 * 1024] };
        load.add(wires);
        load
    }

    pub(crate) fn add(&mut self, wires: Vec<Wire>) {
        for wire in wires {
            wire.stream.set_nonblocking(true).unwrap();
            let mut stream = TcpStream::from_std(wire.stream);
            let token = Token(self.peers.len());
            self.poll.registry().register(&mut stream, token, Interest::READABLE).unwrap();
            self.peers.push((stream, wire.input));
        }
    }

    /// What is said is short, and the server reads.
    pub(crate) fn say(&mut self, number: usize, frames: &[u8]) {
        self.peers[number].0.write_all(frames).unwrap();
    }

    /// Waits for at most so long, and hands out the text frames that have come, with the number of their connection.
    pub(crate) fn hear(&mut self, wait: Duration, mut each: impl FnMut(usize, &[u8])) {
        self.poll.poll(&mut self.events, Some(wait)).unwrap();
        for event in &self.events {
            let number = event.token().0;
            let (stream, input) = &mut self.peers[number];
            loop {
                match stream.read(&mut self.buffer) {
                    Ok(0) => panic!("the server ended connection {number}"),
                    Ok(count) => input.extend_from_slice(&self.buffer[..count]),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) => panic!("{error}"),
                }
            }
            let mut done = 0;
            while let Some((opcode, payload, length)) = first_frame(&input[done..]) {
                match opcode {
                    1 => each(number, payload),
                    8 => panic!("connection {number} is closed: {payload:?}"),
                    _ => {
                        let pong = wire::pong(opcode, payload);
                        pong.iter().for_each(|pong| stream.write_all(pong).unwrap());
                    }
                }
                done += length;
            }
            input.drain(..done);
            if input.is_empty() {
                // 15,000 of them are on this machine too.
                input.shrink_to(1024);
            }
        }
    }
}
