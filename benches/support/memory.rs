//! A world without an operating system: connections whose peers send the same frames in each turn, and take all that
//! they are sent. What the reactor does there is all its own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)] // a benchmark may panic

use std::io::{self, ErrorKind, IoSlice, IoSliceMut};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tautline::reactor::{Net, Ready, Wake};

/// A number of connections, and what comes on each of them in each turn.
pub(crate) struct MemoryNet {
    started: Instant,
    listener: usize,
    connections: usize,
    accepted: usize,
    /// What comes next on each connection: its request, then the frames.
    tokens: Vec<usize>,
    ready: Vec<bool>,
    request: Vec<u8>,
    frames: Vec<u8>,
    written: u64,
}

impl MemoryNet {
    pub(crate) fn new(connections: usize, request: Vec<u8>, frames: Vec<u8>) -> Self {
        Self {
            started: Instant::now(),
            listener: 0,
            connections,
            accepted: 0,
            tokens: Vec::new(),
            ready: Vec::new(),
            request,
            frames,
            written: 0,
        }
    }

    /// How many bytes the reactor has written.
    pub(crate) fn written(&self) -> u64 {
        self.written
    }
}

pub(crate) struct Stream {
    number: usize,
    open: bool,
    /// How much was read of what came in this turn.
    read: usize,
}

impl Net for MemoryNet {
    type Listener = SocketAddr;
    type Stream = Stream;
    type MaskKeys = fn() -> [u8; 4];

    fn now(&mut self) -> Instant {
        self.started
    }

    fn nonce(&mut self) -> [u8; 16] {
        [0; 16]
    }

    fn mask_keys(&mut self) -> Self::MaskKeys {
        || [0; 4]
    }

    fn listen(&mut self, address: SocketAddr, token: usize) -> io::Result<SocketAddr> {
        self.listener = token;
        Ok(address)
    }

    fn local_addr(&self, listener: &SocketAddr) -> io::Result<SocketAddr> {
        Ok(*listener)
    }

    fn accept(&mut self, listener: &SocketAddr) -> io::Result<(Stream, SocketAddr)> {
        if self.accepted == self.connections {
            return Err(ErrorKind::WouldBlock.into());
        }
        self.accepted += 1;
        Ok((Stream { number: self.accepted - 1, open: false, read: 0 }, *listener))
    }

    fn turn_away(&mut self, _: &SocketAddr, _: &[u8]) -> usize {
        panic!("nobody is turned away");
    }

    fn connect(&mut self, _: SocketAddr) -> io::Result<Stream> {
        Err(ErrorKind::Unsupported.into())
    }

    fn connected(&mut self, _: &Stream) -> io::Result<()> {
        Ok(())
    }

    fn register(&mut self, _: &mut Stream, token: usize) -> io::Result<()> {
        self.tokens.push(token);
        self.ready.push(true);
        Ok(())
    }

    fn register_writable(&mut self, _: &mut Stream, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn read(&mut self, stream: &mut Stream, bytes: &mut [u8]) -> io::Result<usize> {
        if !self.ready[stream.number] {
            return Err(ErrorKind::WouldBlock.into());
        }
        let source = if stream.open { &self.frames } else { &self.request };
        let rest = &source[stream.read..];
        let count = rest.len().min(bytes.len());
        bytes[..count].copy_from_slice(&rest[..count]);
        stream.read += count;
        if count == rest.len() {
            self.ready[stream.number] = false;
            (stream.open, stream.read) = (true, 0);
        }
        Ok(count)
    }

    fn read_vectored(
        &mut self,
        stream: &mut Stream,
        bytes: &mut [IoSliceMut<'_>],
    ) -> io::Result<usize> {
        let mut read = 0;
        for slice in bytes {
            match self.read(stream, slice) {
                Ok(count) if count == slice.len() => read += count,
                Ok(count) => return Ok(read + count),
                Err(_) if read > 0 => return Ok(read),
                Err(error) => return Err(error),
            }
        }
        Ok(read)
    }

    fn write(&mut self, _: &mut Stream, bytes: &[u8]) -> io::Result<usize> {
        self.written += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn write_vectored(&mut self, stream: &mut Stream, bytes: &[IoSlice<'_>]) -> io::Result<usize> {
        bytes.iter().map(|it| self.write(stream, it)).sum()
    }

    fn shutdown(&mut self, _: &mut Stream) -> io::Result<()> {
        Ok(())
    }

    fn poll(&mut self, ready: &mut Vec<Ready>, _: Option<Duration>) -> io::Result<()> {
        let event = |token| Ready { token, readable: true, writable: false, read_closed: false };
        if self.accepted < self.connections {
            ready.push(event(self.listener));
        }
        self.ready.fill(true);
        ready.extend(self.tokens.iter().copied().map(event));
        Ok(())
    }

    fn waker(&self) -> Arc<dyn Wake> {
        struct Nobody;
        impl Wake for Nobody {
            fn wake(&self) {}
        }
        Arc::new(Nobody)
    }
}
