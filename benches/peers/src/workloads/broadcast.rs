//! Each message of one connection goes to all.

use std::io::{ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use super::{Better, Case, Sample, Workload, echo, left_out};
use crate::Result;
use crate::options::Timing;
use crate::server::Server;
use crate::wire::{Counts, Walker, binary_frame};

const PAYLOAD_BYTES: usize = 128;
const SUBSCRIBERS: [usize; 3] = [100, 1_000, 10_000];
const IN_FLIGHT: [usize; 2] = [1, 16];
const SILENCE: Duration = Duration::from_secs(5);

pub fn workload(connections: usize) -> Workload {
    let (mut cases, mut missing) = (Vec::new(), Vec::new());
    for subscribers in SUBSCRIBERS {
        if subscribers > connections {
            missing.push(left_out(&format!("{subscribers} subscribers"), connections));
            continue;
        }
        cases.extend(IN_FLIGHT.map(|in_flight| Case {
            title: format!("{subscribers} subscribers, {in_flight} in flight"),
            flags: &["--broadcast"],
            rare: false,
            probe: None,
            measure: Box::new(move |server, timing| {
                measure(server, timing, subscribers, in_flight)
            }),
        }));
    }
    Workload {
        name: "broadcast",
        about: "Messages of 128 B, each sent to all subscribers; its sender is one of them",
        unit: "thousand deliveries per second of server CPU",
        scale: 1e3,
        better: Better::More,
        by_level: false,
        notes: &[],
        left_out: missing,
        cases,
    }
}

fn measure(
    server: &Server,
    timing: &Timing,
    subscribers: usize,
    in_flight: usize,
) -> Result<Sample> {
    let mut load = Load::start(server, subscribers, in_flight)?;
    load.run(timing.warm_up)?;
    let (cpu, before) = (server.cpu_seconds()?, load.counts);
    load.run(timing.measured)?;
    let cpu = server.cpu_seconds()? - cpu;
    Ok(Sample { value: (load.counts - before).messages as f64 / cpu, notes: Vec::new() })
}

/// Sends so many messages at once, and the next when all of them have reached all.
struct Load {
    poll: Poll,
    subscribers: Vec<(TcpStream, Walker)>,
    frames: Vec<u8>,
    in_flight: usize,
    buffer: Vec<u8>,
    counts: Counts,
}

impl Load {
    fn start(server: &Server, subscribers: usize, in_flight: usize) -> Result<Self> {
        let poll = Poll::new()?;
        let mut connections = Vec::new();
        for (number, stream) in echo::open(server, subscribers)?.into_iter().enumerate() {
            stream.set_nonblocking(true)?;
            let mut stream = TcpStream::from_std(stream);
            poll.registry().register(&mut stream, Token(number), Interest::READABLE)?;
            connections.push((stream, Walker::default()));
        }
        Ok(Self {
            poll,
            subscribers: connections,
            frames: binary_frame(&[0x55; PAYLOAD_BYTES], [1, 2, 3, 4]).repeat(in_flight),
            in_flight,
            buffer: vec![0; 64 * 1024],
            counts: Counts::default(),
        })
    }

    fn run(&mut self, time: Duration) -> Result<()> {
        let mut events = Events::with_capacity(self.subscribers.len());
        let end = Instant::now() + time;
        while Instant::now() < end {
            // It has read all answers, so that there is room for this.
            self.subscribers[0].0.write_all(&self.frames)?;
            let expected = self.counts.messages + (self.subscribers.len() * self.in_flight) as u64;
            while self.counts.messages < expected {
                self.poll.poll(&mut events, Some(SILENCE))?;
                if events.is_empty() {
                    let missing = expected - self.counts.messages;
                    return Err(format!("{missing} deliveries did not come").into());
                }
                for event in &events {
                    self.receive(event.token().0)?;
                }
            }
        }
        Ok(())
    }

    fn receive(&mut self, number: usize) -> Result<()> {
        let (stream, walker) = &mut self.subscribers[number];
        loop {
            match stream.read(&mut self.buffer) {
                Ok(0) => return Err("the server ended the stream".into()),
                Ok(count) => {
                    walker.walk(&self.buffer[..count], &mut self.counts)?;
                    if count < self.buffer.len() {
                        return Ok(());
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }
}
