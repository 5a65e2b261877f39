//! The load of an echo: it keeps messages in flight. Frames are built once, answers are counted by their length.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)] // a benchmark may panic

use std::io::{ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use super::common::{self, Server};

const WARM_UP: Duration = Duration::from_millis(300);
const MEASURED: Duration = Duration::from_millis(1500);

/// What is sent, and how many bytes come back for it.
pub(crate) struct Exchange {
    pub(crate) frame: Vec<u8>,
    pub(crate) answer_bytes: usize,
    pub(crate) in_flight: usize,
    pub(crate) extensions: Option<&'static str>,
}

/// Messages per second.
pub(crate) struct Rates {
    /// Of CPU time that the server took, user and system, over all its threads.
    pub(crate) per_cpu_second: f64,
    #[allow(dead_code, reason = "it says nothing where server and load have a core each")]
    pub(crate) per_second: f64,
}

/// How many messages a server answers on so many connections.
pub(crate) fn measure(server: &Server, connections: usize, exchange: &Exchange) -> Rates {
    let mut load = Load::new(server, connections, exchange);
    load.run(WARM_UP);
    let (started, cpu, answered) = (Instant::now(), cpu_seconds(server), load.answered);
    load.run(MEASURED);
    let messages = (load.answered - answered) as f64;
    Rates {
        per_cpu_second: messages / (cpu_seconds(server) - cpu),
        per_second: messages / started.elapsed().as_secs_f64(),
    }
}

/// CPU time of the server so far. `schedstat` counts nanoseconds, `stat` only hundredths of a second.
fn cpu_seconds(server: &Server) -> f64 {
    let threads = std::fs::read_dir(server.proc("task")).unwrap();
    let nanoseconds = threads.map(|thread| {
        let schedstat = std::fs::read_to_string(thread.unwrap().path().join("schedstat")).unwrap();
        schedstat.split_whitespace().next().unwrap().parse::<f64>().unwrap()
    });
    nanoseconds.sum::<f64>() / 1e9
}

struct Load<'a> {
    exchange: &'a Exchange,
    poll: Poll,
    peers: Vec<(TcpStream, usize)>,
    frames: Vec<u8>,
    answered: usize,
    buffer: Vec<u8>,
}

impl<'a> Load<'a> {
    fn new(server: &Server, connections: usize, exchange: &'a Exchange) -> Self {
        let mut load = Self {
            exchange,
            poll: Poll::new().unwrap(),
            peers: Vec::new(),
            frames: exchange.frame.repeat(exchange.in_flight),
            answered: 0,
            buffer: vec![0; 64 * 1024],
        };
        for number in 0..connections {
            let stream = common::open(server.address, exchange.extensions);
            stream.set_nonblocking(true).unwrap();
            let mut stream = TcpStream::from_std(stream);
            load.poll.registry().register(&mut stream, Token(number), Interest::READABLE).unwrap();
            stream.write_all(&load.frames).unwrap();
            load.peers.push((stream, 0));
        }
        load
    }

    fn run(&mut self, time: Duration) {
        let mut events = Events::with_capacity(self.peers.len());
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.poll.poll(&mut events, Some(Duration::from_millis(100))).unwrap();
            for event in &events {
                self.answer(event.token().0);
            }
        }
    }

    /// Counts whole answers, and sends as many messages.
    fn answer(&mut self, number: usize) {
        let (stream, rest) = &mut self.peers[number];
        loop {
            let count = match stream.read(&mut self.buffer) {
                Ok(0) => panic!("the server ended the stream"),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) => panic!("{error}"),
            };
            *rest += count;
            let answers = *rest / self.exchange.answer_bytes;
            *rest %= self.exchange.answer_bytes;
            self.answered += answers;
            stream.write_all(&self.frames[..answers * self.exchange.frame.len()]).unwrap();
        }
    }
}
