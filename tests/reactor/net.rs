//! A deterministic [`Net`]: one seed, one virtual clock, sockets in memory.
//!
//! Readiness is edge-triggered to the letter: an edge is reported once, when bytes arrive, when room appears in a
//! buffer that was full, or when the peer ends its direction. A drain that is forgotten hangs. What varies with the seed:
//! how much a socket takes, the order of events, interruptions, spurious events.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::io::{self, ErrorKind, IoSlice, IoSliceMut, Read};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tautline::MaskKeys;
use tautline::reactor::{Net, Ready, Wake};

/// The reactor's end of the simulated world.
#[derive(Clone)]
pub(super) struct SimNet(Rc<RefCell<Sim>>);

/// The simulated world.
pub(super) struct Sim {
    now: Instant,
    random: u64,
    next: usize,
    pipes: BTreeMap<usize, Pipe>,
    /// Listener numbers and their tokens.
    listeners: BTreeMap<SocketAddr, (usize, VecDeque<usize>, bool)>,
    /// Errors that the next accepts return.
    pub(super) accept_errors: VecDeque<io::Error>,
    /// Streams turned away while descriptors were used up.
    pub(super) turned_away: usize,
    /// Calls of `write` and `write_vectored` that moved bytes.
    pub(super) writes: usize,
    /// Calls of `poll`.
    pub(super) polls: usize,
    /// How many bytes a socket holds for a peer that does not read.
    pub(super) capacity: usize,
    /// Whether interruptions and spurious events are drawn.
    pub(super) faults: bool,
    woken: Arc<AtomicBool>,
}

/// A connection in memory. `to_reactor` is what the reactor reads.
#[derive(Default)]
struct Pipe {
    token: Option<usize>,
    to_reactor: VecDeque<u8>,
    to_peer: VecDeque<u8>,
    /// The peer has ended its direction.
    peer_ended: bool,
    /// The stream is broken.
    reset: bool,
    /// The reactor has ended its direction, or dropped the stream.
    reactor_ended: bool,
    dropped: bool,
    connected: bool,
    /// Where it comes from.
    from: Option<SocketAddr>,
    readable_edge: bool,
    writable_edge: bool,
    /// A write came to less than was offered, so that room is an edge.
    full: bool,
}

pub(super) struct SimListener(SocketAddr);

/// Closes its end when dropped, as a descriptor does.
pub(super) struct SimStream {
    number: usize,
    sim: Rc<RefCell<Sim>>,
}

impl Drop for SimStream {
    fn drop(&mut self) {
        if let Some(pipe) = self.sim.borrow_mut().pipes.get_mut(&self.number) {
            (pipe.dropped, pipe.reactor_ended, pipe.token) = (true, true, None);
        }
    }
}

/// The other end of a connection, in the hands of a test.
pub(super) struct Peer {
    number: usize,
    sim: Rc<RefCell<Sim>>,
}

impl SimNet {
    pub(super) fn new(seed: u64) -> Self {
        Self(Rc::new(RefCell::new(Sim {
            now: Instant::now(),
            random: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1,
            next: 0,
            pipes: BTreeMap::new(),
            listeners: BTreeMap::new(),
            accept_errors: VecDeque::new(),
            turned_away: 0,
            writes: 0,
            polls: 0,
            capacity: 64 * 1024,
            faults: false,
            woken: Arc::default(),
        })))
    }

    pub(super) fn sim(&self) -> std::cell::RefMut<'_, Sim> {
        self.0.borrow_mut()
    }

    pub(super) fn advance(&self, time: Duration) {
        self.sim().now += time;
    }

    /// A peer connects to a listener of the reactor.
    pub(super) fn connect(&self, address: SocketAddr) -> Peer {
        let port = 1024 + self.sim().next as u16;
        self.connect_from(address, ([192, 0, 2, 1], port).into())
    }

    /// A peer connects from this address.
    pub(super) fn connect_from(&self, address: SocketAddr, from: SocketAddr) -> Peer {
        let mut sim = self.sim();
        let number = sim.open(true);
        sim.pipes.get_mut(&number).expect("it is there").from = Some(from);
        let (_, backlog, edge) = sim.listeners.get_mut(&address).expect("somebody listens");
        backlog.push_back(number);
        *edge = true;
        Peer { number, sim: Rc::clone(&self.0) }
    }

    /// The peer of the newest connection that the reactor has made itself; it accepts it now.
    pub(super) fn accept_outgoing(&self) -> Peer {
        let mut sim = self.sim();
        let number = sim.next - 1;
        let pipe = sim.pipes.get_mut(&number).expect("a connection was made");
        (pipe.connected, pipe.writable_edge) = (true, true);
        Peer { number, sim: Rc::clone(&self.0) }
    }

    /// Connections whose reactor's end is not dropped.
    pub(super) fn open_streams(&self) -> usize {
        self.sim().pipes.values().filter(|pipe| !pipe.dropped).count()
    }
}

impl Sim {
    fn open(&mut self, connected: bool) -> usize {
        let number = self.next;
        self.next += 1;
        self.pipes.insert(number, Pipe { connected, ..Pipe::default() });
        number
    }

    /// A xorshift generator: the same seed, the same run.
    pub(super) fn draw(&mut self, below: usize) -> usize {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 11) as usize % below.max(1)
    }

    fn interrupted(&mut self) -> io::Result<()> {
        if self.faults && self.draw(8) == 0 { Err(ErrorKind::Interrupted.into()) } else { Ok(()) }
    }

    fn write(&mut self, number: usize, slices: &[&[u8]]) -> io::Result<usize> {
        self.interrupted()?;
        let capacity = if self.faults { 1 + self.draw(self.capacity) } else { self.capacity };
        let pipe = self.pipes.get_mut(&number).expect("a stream");
        if pipe.reset || pipe.reactor_ended {
            return Err(ErrorKind::BrokenPipe.into());
        }
        let offered: usize = slices.iter().map(|it| it.len()).sum();
        let taken = offered.min(capacity.saturating_sub(pipe.to_peer.len()));
        pipe.to_peer.extend(slices.iter().flat_map(|it| it.iter()).take(taken));
        pipe.full = taken < offered;
        if pipe.full && pipe.to_peer.is_empty() {
            // Nothing stands in the way but the draw: there is room again at once.
            (pipe.full, pipe.writable_edge) = (false, true);
        }
        if taken == 0 && offered > 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        self.writes += 1;
        Ok(taken)
    }
}

pub(super) struct CountingKeys(u32);

impl MaskKeys for CountingKeys {
    fn next_key(&mut self) -> [u8; 4] {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        self.0.to_be_bytes()
    }
}

struct Flag(Arc<AtomicBool>);

impl Wake for Flag {
    fn wake(&self) {
        self.0.store(true, Ordering::Release);
    }
}

impl Net for SimNet {
    type Listener = SimListener;
    type Stream = SimStream;
    type MaskKeys = CountingKeys;

    fn now(&mut self) -> Instant {
        self.sim().now
    }

    fn nonce(&mut self) -> [u8; 16] {
        [7; 16]
    }

    fn mask_keys(&mut self) -> CountingKeys {
        CountingKeys(self.sim().draw(1 << 30) as u32)
    }

    fn listen(&mut self, address: SocketAddr, token: usize) -> io::Result<SimListener> {
        match self.sim().listeners.insert(address, (token, VecDeque::new(), false)) {
            None => Ok(SimListener(address)),
            Some(_) => Err(ErrorKind::AddrInUse.into()),
        }
    }

    fn local_addr(&self, listener: &SimListener) -> io::Result<SocketAddr> {
        Ok(listener.0)
    }

    fn accept(&mut self, listener: &SimListener) -> io::Result<(SimStream, SocketAddr)> {
        let mut sim = self.sim();
        sim.interrupted()?;
        let waiting =
            sim.listeners.get(&listener.0).is_some_and(|(_, backlog, _)| !backlog.is_empty());
        if waiting && let Some(error) = sim.accept_errors.pop_front() {
            return Err(error);
        }
        let (_, backlog, _) = sim.listeners.get_mut(&listener.0).expect("a listener");
        let number = backlog.pop_front().ok_or(ErrorKind::WouldBlock)?;
        let address = sim.pipes[&number].from.expect("it was connected");
        Ok((SimStream { number, sim: Rc::clone(&self.0) }, address))
    }

    fn turn_away(&mut self, listener: &SimListener, answer: &[u8]) -> usize {
        let mut sim = self.sim();
        let (_, backlog, _) = sim.listeners.get_mut(&listener.0).expect("a listener");
        let waiting = std::mem::take(backlog);
        let turned_away = waiting.len();
        for number in waiting {
            sim.turned_away += 1;
            let pipe = sim.pipes.get_mut(&number).expect("a stream");
            pipe.to_peer.extend(answer);
            (pipe.dropped, pipe.reactor_ended) = (true, true);
        }
        turned_away
    }

    fn connect(&mut self, _address: SocketAddr) -> io::Result<SimStream> {
        let number = self.sim().open(false);
        Ok(SimStream { number, sim: Rc::clone(&self.0) })
    }

    fn connected(&mut self, stream: &SimStream) -> io::Result<()> {
        let pipe = &self.sim().pipes[&stream.number];
        match (pipe.reset, pipe.connected) {
            (true, _) => Err(ErrorKind::ConnectionRefused.into()),
            (false, true) => Ok(()),
            (false, false) => Err(ErrorKind::NotConnected.into()),
        }
    }

    fn register(&mut self, stream: &mut SimStream, token: usize) -> io::Result<()> {
        let mut sim = self.sim();
        let pipe = sim.pipes.get_mut(&stream.number).expect("a stream");
        pipe.token = Some(token);
        pipe.writable_edge = pipe.connected;
        pipe.readable_edge = !pipe.to_reactor.is_empty() || pipe.peer_ended;
        Ok(())
    }

    fn read(&mut self, stream: &mut SimStream, bytes: &mut [u8]) -> io::Result<usize> {
        let mut sim = self.sim();
        sim.interrupted()?;
        let pipe = sim.pipes.get_mut(&stream.number).expect("a stream");
        if pipe.reset {
            return Err(ErrorKind::ConnectionReset.into());
        }
        let count = bytes.len().min(pipe.to_reactor.len());
        for (slot, byte) in bytes.iter_mut().zip(pipe.to_reactor.drain(..count)) {
            *slot = byte;
        }
        if count == 0 && !pipe.peer_ended { Err(ErrorKind::WouldBlock.into()) } else { Ok(count) }
    }

    fn read_vectored(
        &mut self,
        stream: &mut SimStream,
        bytes: &mut [IoSliceMut<'_>],
    ) -> io::Result<usize> {
        let mut all = vec![0; bytes.iter().map(|it| it.len()).sum()];
        let count = self.read(stream, &mut all)?;
        let mut rest = &all[..count];
        for slice in bytes {
            rest = &rest[rest.read(slice)?..];
        }
        Ok(count)
    }

    fn write(&mut self, stream: &mut SimStream, bytes: &[u8]) -> io::Result<usize> {
        self.sim().write(stream.number, &[bytes])
    }

    fn write_vectored(
        &mut self,
        stream: &mut SimStream,
        bytes: &[IoSlice<'_>],
    ) -> io::Result<usize> {
        let slices: Vec<&[u8]> = bytes.iter().map(|it| &**it).collect();
        self.sim().write(stream.number, &slices)
    }

    fn shutdown(&mut self, stream: &mut SimStream) -> io::Result<()> {
        self.sim().pipes.get_mut(&stream.number).expect("a stream").reactor_ended = true;
        Ok(())
    }

    /// Never waits: a test that would wait for nothing moves the clock itself.
    fn poll(&mut self, ready: &mut Vec<Ready>, timeout: Option<Duration>) -> io::Result<()> {
        let mut sim = self.sim();
        sim.polls += 1;
        sim.woken.swap(false, Ordering::AcqRel);
        for (token, backlog, edge) in sim.listeners.values_mut() {
            if std::mem::take(edge) && !backlog.is_empty() {
                ready.push(Ready {
                    token: *token,
                    readable: true,
                    writable: false,
                    read_closed: false,
                });
            }
        }
        let faults = sim.faults;
        let spurious = if faults { sim.draw(4) } else { 1 };
        for pipe in sim.pipes.values_mut() {
            let Some(token) = pipe.token else { continue };
            let readable = std::mem::take(&mut pipe.readable_edge);
            let writable = std::mem::take(&mut pipe.writable_edge) || spurious == 1 && faults;
            if readable || writable || spurious == 0 {
                let read_closed = readable && (pipe.peer_ended || pipe.reset);
                ready.push(Ready {
                    token,
                    readable: readable || spurious == 0,
                    writable,
                    read_closed,
                });
            }
        }
        if faults {
            for at in (1..ready.len()).rev() {
                let other = sim.draw(at + 1);
                ready.swap(at, other);
            }
        }
        if ready.is_empty()
            && let Some(timeout) = timeout
        {
            // A loop that asks for no time at all has work to do, and a loop that sleeps is woken at its time.
            sim.now += timeout;
        }
        Ok(())
    }

    fn waker(&self) -> Arc<dyn Wake> {
        Arc::new(Flag(Arc::clone(&self.sim().woken)))
    }
}

impl Peer {
    fn with<R>(&self, f: impl FnOnce(&mut Pipe) -> R) -> R {
        f(self.sim.borrow_mut().pipes.get_mut(&self.number).expect("a connection"))
    }

    pub(super) fn write(&self, bytes: &[u8]) {
        self.with(|pipe| {
            pipe.to_reactor.extend(bytes);
            pipe.readable_edge = true;
        });
    }

    /// All that the reactor has written since the last read.
    pub(super) fn read(&self) -> Vec<u8> {
        self.read_up_to(usize::MAX)
    }

    pub(super) fn read_up_to(&self, bytes: usize) -> Vec<u8> {
        self.with(|pipe| {
            let count = bytes.min(pipe.to_peer.len());
            let read = pipe.to_peer.drain(..count).collect();
            if count > 0 && std::mem::take(&mut pipe.full) {
                pipe.writable_edge = true;
            }
            read
        })
    }

    /// How many bytes wait to be read.
    pub(super) fn pending(&self) -> usize {
        self.with(|pipe| pipe.to_peer.len())
    }

    /// Looks at what waits to be read.
    pub(super) fn with_output<R>(&self, look: impl FnOnce(&[u8]) -> R) -> R {
        self.with(|pipe| look(pipe.to_peer.make_contiguous()))
    }

    /// Ends our direction.
    pub(super) fn end(&self) {
        self.with(|pipe| (pipe.peer_ended, pipe.readable_edge) = (true, true));
    }

    /// Breaks the connection.
    pub(super) fn reset(&self) {
        self.with(|pipe| (pipe.reset, pipe.readable_edge, pipe.writable_edge) = (true, true, true));
    }

    /// Whether the reactor has ended its direction, and all was read.
    pub(super) fn is_ended(&self) -> bool {
        self.with(|pipe| pipe.reactor_ended && pipe.to_peer.is_empty())
    }

    /// Whether the reactor has let go of the socket.
    pub(super) fn is_dropped(&self) -> bool {
        self.with(|pipe| pipe.dropped)
    }
}
