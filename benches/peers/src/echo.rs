//! The load of an echo: on each connection so many messages are in flight, and each answer is followed by the next.
//!
//! It is far cheaper than any server: frames are built before, what came back is only counted, and what a read event
//! calls for leaves in one write.

use std::io::{ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token};

use crate::Result;
use crate::options::Timing;
use crate::server::Server;
use crate::tls::{Session, Stream};
use crate::wire::{Counts, Walker};

/// Frames that are sent one after another, over and over.
pub struct Frames {
    /// All frames, twice, so that any run of them is one slice.
    bytes: Vec<u8>,
    /// Where each one starts.
    starts: Vec<usize>,
}

impl Frames {
    pub fn new(frames: &[Vec<u8>]) -> Self {
        let twice = || frames.iter().chain(frames);
        let mut starts = vec![0];
        starts.extend(twice().scan(0, |end, frame| {
            *end += frame.len();
            Some(*end)
        }));
        Self { bytes: twice().flatten().copied().collect(), starts }
    }

    pub fn count(&self) -> usize {
        self.starts.len() / 2
    }

    fn cycle_bytes(&self) -> usize {
        self.bytes.len() / 2
    }
}

pub struct Load<'a> {
    frames: &'a Frames,
    poll: Poll,
    connections: Vec<Connection>,
    buffer: Vec<u8>,
    pub counts: Counts,
}

pub struct Connection {
    stream: mio::net::TcpStream,
    /// What it is encrypted by.
    tls: Option<Box<Session>>,
    walker: Walker,
    /// What is to be written: from this byte up to the start of this frame. Never more than one cycle.
    from: usize,
    to: usize,
}

impl<'a> Load<'a> {
    /// Takes over open connections and sends the first messages. There must be more frames than are in flight.
    pub fn start(
        streams: Vec<impl Into<Stream>>,
        frames: &'a Frames,
        in_flight: usize,
    ) -> Result<Self> {
        let poll = Poll::new()?;
        let mut connections = Vec::new();
        for (number, stream) in streams.into_iter().enumerate() {
            let mut connection = Connection::new(stream, number, frames, &poll)?;
            connection.send(frames, in_flight)?;
            connections.push(connection);
        }
        Ok(Self {
            frames,
            poll,
            connections,
            buffer: vec![0; 256 * 1024],
            counts: Counts::default(),
        })
    }

    /// What was answered in the time that is measured, after warming up, and the seconds of CPU that it took the server.
    pub fn measure(&mut self, server: &Server, timing: &Timing) -> Result<(Counts, f64)> {
        self.run(timing.warm_up)?;
        let (cpu, counts) = (server.cpu_seconds()?, self.counts);
        self.run(timing.measured)?;
        let answered = self.counts - counts;
        if answered.messages == 0 {
            return Err("the server stands still".into());
        }
        Ok((answered, server.cpu_seconds()? - cpu))
    }

    pub fn run(&mut self, time: Duration) -> Result<()> {
        let mut events = Events::with_capacity(self.connections.len());
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.poll.poll(&mut events, Some(Duration::from_millis(100)))?;
            for event in &events {
                let connection = &mut self.connections[event.token().0];
                let before = self.counts.messages;
                connection.receive(&mut self.buffer, &mut self.counts)?;
                let answers = (self.counts.messages - before) as usize;
                connection.send(self.frames, answers)?;
            }
        }
        Ok(())
    }
}

impl Connection {
    /// Takes over an open connection, which is to be known by this number.
    pub fn new(
        stream: impl Into<Stream>,
        number: usize,
        frames: &Frames,
        poll: &Poll,
    ) -> Result<Self> {
        let Stream { stream, tls } = stream.into();
        stream.set_nonblocking(true)?;
        let mut stream = mio::net::TcpStream::from_std(stream);
        let both = Interest::READABLE | Interest::WRITABLE;
        poll.registry().register(&mut stream, Token(number), both)?;
        // Not all of them send the same at the same time.
        let to = number * 7 % frames.count();
        Ok(Self { stream, tls, walker: Walker::default(), from: frames.starts[to], to })
    }

    /// Counts the answers that are there.
    pub fn receive(&mut self, buffer: &mut [u8], counts: &mut Counts) -> Result<()> {
        loop {
            let kept = self.tls.as_ref().map_or(0, |tls| tls.take_partial(buffer));
            match self.stream.read(&mut buffer[kept..]) {
                Ok(0) => return Err("the server ended the stream".into()),
                Ok(count) => {
                    let bytes = &mut buffer[..kept + count];
                    match &mut self.tls {
                        Some(tls) => tls.receive(bytes, |it| self.walker.walk(it, counts))?,
                        None => self.walker.walk(bytes, counts)?,
                    }
                    // Less than there was room for: the socket is empty.
                    if kept + count < buffer.len() {
                        return Ok(());
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Sends so many more frames, behind those that the socket has not taken yet.
    pub fn send(&mut self, frames: &Frames, count: usize) -> Result<()> {
        if self.from >= frames.cycle_bytes() {
            self.from -= frames.cycle_bytes();
            self.to -= frames.count();
        }
        self.to += count;
        let end = frames.starts[self.to];
        while self.from < end || self.tls.as_ref().is_some_and(|tls| tls.waits()) {
            let bytes = &frames.bytes[self.from..end];
            let written = match &mut self.tls {
                Some(tls) => tls.write(bytes, &mut self.stream),
                None => self.stream.write(bytes),
            };
            match written {
                Ok(count) => self.from += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}
