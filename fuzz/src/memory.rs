//! A world in memory with one connection, whose peer the target plays.

use std::cell::{RefCell, RefMut};
use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice, IoSliceMut, Read};
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tautline::reactor::{Net, Ready, Wake};

/// Where the reactor listens, and connects to.
pub const ADDRESS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 443);

/// The world, of which reactor and target have a clone each.
#[derive(Clone)]
pub struct Memory(Rc<RefCell<World>>);

pub struct World {
    now: Instant,
    listener: Option<usize>,
    accepted: bool,
    token: Option<usize>,
    /// The reactor has asked to be told of room.
    tells_room: bool,
    to_reactor: VecDeque<u8>,
    /// What the reactor has written, and the peer not taken.
    pub from_reactor: Vec<u8>,
    /// How much the socket takes.
    room: usize,
    /// The peer has ended its direction.
    pub ended: bool,
    /// The reactor has closed the connection.
    pub dropped: bool,
}

impl Default for Memory {
    fn default() -> Self {
        Self(Rc::new(RefCell::new(World {
            now: Instant::now(),
            listener: None,
            accepted: false,
            token: None,
            tells_room: false,
            to_reactor: VecDeque::new(),
            from_reactor: Vec::new(),
            room: usize::MAX,
            ended: false,
            dropped: false,
        })))
    }
}

impl Memory {
    pub fn world(&self) -> RefMut<'_, World> {
        self.0.borrow_mut()
    }

    /// Bytes arrive.
    pub fn arrive(&self, bytes: &[u8]) {
        self.world().to_reactor.extend(bytes);
    }

    /// The socket takes so many bytes more.
    pub fn make_room(&self, bytes: usize) {
        self.world().room = bytes;
    }

    pub fn pass(&self, seconds: u64) {
        self.world().now += Duration::from_secs(seconds);
    }
}

/// The connection, closed when dropped.
pub struct Stream(Memory);

impl Drop for Stream {
    fn drop(&mut self) {
        self.0.world().dropped = true;
    }
}

impl Net for Memory {
    type Listener = ();
    type Stream = Stream;
    type MaskKeys = fn() -> [u8; 4];

    fn now(&mut self) -> Instant {
        self.world().now
    }

    fn nonce(&mut self) -> [u8; 16] {
        [0; 16]
    }

    fn mask_keys(&mut self) -> Self::MaskKeys {
        || [0; 4]
    }

    fn listen(&mut self, _: SocketAddr, token: usize) -> io::Result<()> {
        self.world().listener = Some(token);
        Ok(())
    }

    fn local_addr(&self, (): &()) -> io::Result<SocketAddr> {
        Ok(ADDRESS)
    }

    fn accept(&mut self, (): &()) -> io::Result<(Stream, SocketAddr)> {
        if std::mem::replace(&mut self.world().accepted, true) {
            return Err(ErrorKind::WouldBlock.into());
        }
        Ok((Stream(self.clone()), ADDRESS))
    }

    fn turn_away(&mut self, (): &(), _: &[u8]) -> usize {
        0
    }

    fn connect(&mut self, _: SocketAddr) -> io::Result<Stream> {
        Ok(Stream(self.clone()))
    }

    fn connected(&mut self, _: &Stream) -> io::Result<()> {
        Ok(())
    }

    fn register(&mut self, _: &mut Stream, token: usize) -> io::Result<()> {
        self.world().token = Some(token);
        Ok(())
    }

    fn register_writable(&mut self, _: &mut Stream, _: usize) -> io::Result<()> {
        self.world().tells_room = true;
        Ok(())
    }

    fn read(&mut self, _: &mut Stream, bytes: &mut [u8]) -> io::Result<usize> {
        let mut world = self.world();
        if world.to_reactor.is_empty() && !world.ended {
            return Err(ErrorKind::WouldBlock.into());
        }
        world.to_reactor.read(bytes)
    }

    fn read_vectored(
        &mut self,
        stream: &mut Stream,
        bytes: &mut [IoSliceMut<'_>],
    ) -> io::Result<usize> {
        match bytes.iter_mut().find(|it| !it.is_empty()) {
            Some(first) => self.read(stream, first),
            None => Ok(0),
        }
    }

    fn write(&mut self, _: &mut Stream, bytes: &[u8]) -> io::Result<usize> {
        let mut world = self.world();
        let taken = bytes.len().min(world.room);
        if taken == 0 && !bytes.is_empty() {
            return Err(ErrorKind::WouldBlock.into());
        }
        world.room -= taken;
        world.from_reactor.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn write_vectored(&mut self, stream: &mut Stream, bytes: &[IoSlice<'_>]) -> io::Result<usize> {
        match bytes.iter().find(|it| !it.is_empty()) {
            Some(first) => self.write(stream, first),
            None => Ok(0),
        }
    }

    fn shutdown(&mut self, _: &mut Stream) -> io::Result<()> {
        Ok(())
    }

    /// Says that all is ready that was asked for, each time: an event may be spurious.
    fn poll(&mut self, ready: &mut Vec<Ready>, _: Option<Duration>) -> io::Result<()> {
        let world = self.world();
        let (writable, read_closed) = (world.tells_room, world.ended);
        let event = |token| Ready { token, readable: true, writable, read_closed };
        ready.extend([world.listener, world.token].into_iter().flatten().map(event));
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
