//! A deterministic [`Net`]: one seed, one virtual clock, sockets in memory.
//!
//! Readiness is edge-triggered to the letter: an edge is reported once, when bytes arrive, when the peer ends its
//! direction, or, to those who have asked, when room appears in a buffer that was full. A drain that is forgotten hangs.
//! What varies with the seed is in [`Odds`].
//!
//! Several loops may live in one world, each with its own readiness: [`SimNet::another`].

mod kernel;
mod odds;
mod peer;
mod pipe;
mod random;
mod trace;

use std::cell::{RefCell, RefMut};
use std::collections::{BTreeMap, VecDeque};
use std::io::{self, ErrorKind, IoSlice, IoSliceMut, Read};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tautline::MaskKeys;
use tautline::reactor::{Net, Ready, Wake};

pub use odds::{Broken, Odds};
pub use peer::Peer;
use pipe::{ACCEPTED, DIALER, Pipe};
pub use random::Random;
pub use trace::{Line, Trace};

/// A reactor's end of the simulated world.
#[derive(Clone)]
pub struct SimNet {
    sim: Rc<RefCell<Sim>>,
    /// Which loop of the world this is.
    number: usize,
}

/// The simulated world.
pub struct Sim {
    start: Instant,
    /// The time.
    pub now: Instant,
    random: Random,
    next: usize,
    pipes: BTreeMap<usize, Pipe>,
    listeners: BTreeMap<SocketAddr, Backlog>,
    loops: Vec<Loop>,
    /// Connections that are not connected yet: their number, where to, when, and whether that will succeed.
    late: Vec<(usize, SocketAddr, Instant, bool)>,
    /// Errors that the next accepts return.
    pub accept_errors: VecDeque<io::Error>,
    /// Streams turned away while descriptors were used up.
    pub turned_away: usize,
    /// Calls of `read` and `read_vectored` that moved bytes.
    pub reads: usize,
    /// How many bytes went to the first of the buffers of `read_vectored`.
    pub read_first: usize,
    /// Calls of `write` and `write_vectored` that moved bytes.
    pub writes: usize,
    /// Those of them that had several buffers to write.
    pub writes_of_several: usize,
    /// Calls of `poll`.
    pub polls: usize,
    /// How many bytes a socket holds for a peer that does not read.
    pub capacity: usize,
    /// A socket that was full says that it has room once no more than so many bytes wait in it. On Linux these are two
    /// thirds of what it holds; here, by default, any room will do.
    pub full_until: usize,
    /// What had come before a reset is still read, as on Linux.
    pub reads_after_reset: bool,
    /// Whoever is registered is told of room, also one that has not asked.
    pub tells_room_unasked: bool,
    /// How many streams a loop may have.
    pub descriptors_max: usize,
    /// How likely faults are.
    pub odds: Odds,
    /// What is to go wrong once, and after how many chances.
    pub broken: Option<(Broken, usize)>,
    /// Connections that are made go to whoever listens, and a poll leaves the clock alone.
    pub shared: bool,
    /// What happened.
    pub trace: Trace,
}

/// A listener: its loop, its token, and who waits.
struct Backlog {
    owner: usize,
    token: usize,
    waiting: VecDeque<usize>,
    edge: bool,
}

/// What the world knows of a loop.
#[derive(Clone, Default)]
pub struct Loop {
    woken: Arc<AtomicBool>,
    /// When it last asked for the time.
    asked_at: Option<Instant>,
    /// When it polls again, if nothing happens before: `None` for never.
    pub sleeps_until: Option<Instant>,
    /// How long its last poll wanted to wait.
    pub timeout: Option<Duration>,
    /// Events that it was told, in all.
    pub events: usize,
    /// Calls that moved bytes or brought a connection, in all.
    pub calls: usize,
    /// Calls that came to nothing, in all.
    pub idle_calls: usize,
    /// Calls since its last poll.
    turn_calls: usize,
    /// Tokens that are gone.
    gone: Vec<usize>,
}

/// A listening socket.
pub struct SimListener {
    address: SocketAddr,
    sim: Rc<RefCell<Sim>>,
}

impl Drop for SimListener {
    fn drop(&mut self) {
        self.sim.borrow_mut().drop_listener(self.address);
    }
}

/// Closes its end when dropped, as a descriptor does.
pub struct SimStream {
    number: usize,
    side: usize,
    sim: Rc<RefCell<Sim>>,
}

impl Drop for SimStream {
    fn drop(&mut self) {
        self.sim.borrow_mut().drop_stream(self.number, self.side);
    }
}

impl SimNet {
    /// A world with one loop.
    pub fn new(seed: u64) -> Self {
        Self { sim: Rc::new(RefCell::new(Sim::new(seed))), number: 0 }
    }

    /// The net of another loop in the same world.
    pub fn another(&self) -> Self {
        let mut sim = self.sim.borrow_mut();
        sim.loops.push(Loop::default());
        Self { sim: Rc::clone(&self.sim), number: sim.loops.len() - 1 }
    }

    /// The world.
    pub fn sim(&self) -> RefMut<'_, Sim> {
        self.sim.borrow_mut()
    }

    /// Lets time pass.
    pub fn advance(&self, time: Duration) {
        self.sim().now += time;
    }

    /// A peer connects to a listener.
    pub fn connect(&self, address: SocketAddr) -> Peer {
        self.try_connect(address).expect("somebody listens")
    }

    /// The same, from this address.
    pub fn connect_from(&self, address: SocketAddr, from: SocketAddr) -> Peer {
        let peer = self.connect(address);
        if let Some(pipe) = self.sim().pipes.get_mut(&peer.number) {
            pipe.from = Some(from);
        }
        peer
    }

    /// The same, where perhaps nobody listens.
    pub fn try_connect(&self, address: SocketAddr) -> Option<Peer> {
        let mut sim = self.sim();
        if !sim.listeners.contains_key(&address) {
            return None;
        }
        let number = sim.open(true);
        sim.arrive(number, address);
        Some(Peer { number, side: DIALER, sim: Rc::clone(&self.sim) })
    }

    /// The peer of the newest connection that the reactor has made itself; it accepts it now.
    pub fn accept_outgoing(&self) -> Peer {
        let mut sim = self.sim();
        let number = sim.next - 1;
        let pipe = sim.pipes.get_mut(&number).expect("a connection was made");
        (pipe.connected, pipe.ends[DIALER].writable_edge) = (true, true);
        Peer { number, side: ACCEPTED, sim: Rc::clone(&self.sim) }
    }

    /// Streams that reactors have and did not drop.
    pub fn open_streams(&self) -> usize {
        let sim = self.sim();
        let ends = sim.pipes.values().flat_map(|pipe| &pipe.ends);
        ends.filter(|end| end.owner.is_some() && !end.dropped).count()
    }

    /// Whether a poll of this loop would return at once.
    pub fn has_events(&self) -> bool {
        self.sim().has_events(self.number)
    }
}

/// A source of masking keys that counts.
pub struct CountingKeys(u32);

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
        let mut sim = self.sim();
        let now = sim.now;
        sim.loops[self.number].asked_at = Some(now);
        let fast = matches!(sim.broken, Some((Broken::Early, _)));
        now + if fast { (now - sim.start) / 5 } else { Duration::ZERO }
    }

    fn nonce(&mut self) -> [u8; 16] {
        [7; 16]
    }

    fn mask_keys(&mut self) -> CountingKeys {
        CountingKeys(self.sim().draw(1 << 30) as u32)
    }

    fn listen(&mut self, address: SocketAddr, token: usize) -> io::Result<SimListener> {
        let mut sim = self.sim();
        if sim.listeners.contains_key(&address) {
            return Err(ErrorKind::AddrInUse.into());
        }
        let backlog = Backlog { owner: self.number, token, waiting: VecDeque::new(), edge: false };
        sim.listeners.insert(address, backlog);
        Ok(SimListener { address, sim: Rc::clone(&self.sim) })
    }

    fn local_addr(&self, listener: &SimListener) -> io::Result<SocketAddr> {
        Ok(listener.address)
    }

    fn accept(&mut self, listener: &SimListener) -> io::Result<(SimStream, SocketAddr)> {
        let mut sim = self.sim();
        let number = sim.accept(self.number, listener.address)?;
        let host = if sim.shared { (number % 3) as u8 } else { 1 };
        let drawn = SocketAddr::from(([192, 0, 2, host], 1024 + number as u16));
        let address = sim.pipes[&number].from.unwrap_or(drawn);
        Ok((SimStream { number, side: ACCEPTED, sim: Rc::clone(&self.sim) }, address))
    }

    fn turn_away(&mut self, listener: &SimListener, answer: &[u8]) -> usize {
        self.sim().turn_away(self.number, listener.address, answer)
    }

    fn connect(&mut self, address: SocketAddr) -> io::Result<SimStream> {
        let number = self.sim().connect(self.number, address)?;
        Ok(SimStream { number, side: DIALER, sim: Rc::clone(&self.sim) })
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
        self.sim().register(stream.number, stream.side, token)
    }

    fn register_writable(&mut self, stream: &mut SimStream, _: usize) -> io::Result<()> {
        self.sim().register_writable(stream.number, stream.side)
    }

    fn read(&mut self, stream: &mut SimStream, bytes: &mut [u8]) -> io::Result<usize> {
        self.sim().read(self.number, (stream.number, stream.side), bytes)
    }

    fn read_vectored(
        &mut self,
        stream: &mut SimStream,
        bytes: &mut [IoSliceMut<'_>],
    ) -> io::Result<usize> {
        let mut all = vec![0; bytes.iter().map(|it| it.len()).sum()];
        let count = self.read(stream, &mut all)?;
        self.sim().read_first += count.min(bytes.first().map_or(0, |it| it.len()));
        let mut rest = &all[..count];
        for slice in bytes {
            rest = &rest[rest.read(slice)?..];
        }
        Ok(count)
    }

    fn write(&mut self, stream: &mut SimStream, bytes: &[u8]) -> io::Result<usize> {
        self.sim().write(self.number, (stream.number, stream.side), &[bytes])
    }

    fn write_vectored(
        &mut self,
        stream: &mut SimStream,
        bytes: &[IoSlice<'_>],
    ) -> io::Result<usize> {
        let slices: Vec<&[u8]> = bytes.iter().map(|it| &**it).collect();
        self.sim().write(self.number, (stream.number, stream.side), &slices)
    }

    fn shutdown(&mut self, stream: &mut SimStream) -> io::Result<()> {
        self.sim().shutdown(self.number, (stream.number, stream.side))
    }

    /// Never waits. In a shared world it leaves the clock alone, and returns as from an interruption where it would
    /// wait; otherwise it moves the clock to when it would return.
    fn poll(&mut self, ready: &mut Vec<Ready>, timeout: Option<Duration>) -> io::Result<()> {
        let mut sim = self.sim();
        sim.polls += 1;
        sim.poll(self.number, ready);
        let (shared, now) = (sim.shared, sim.now);
        let late = match sim.broken {
            Some((Broken::Oversleeps, _)) => Duration::from_millis(500),
            _ => Duration::ZERO,
        };
        let it = &mut sim.loops[self.number];
        // A loop polls as soon as its turn is over, and has slept since.
        let since = it.asked_at.unwrap_or(now);
        let until = timeout.and_then(|timeout| since.checked_add(timeout + late));
        let woken = it.woken.swap(false, Ordering::AcqRel);
        let returns = woken || !ready.is_empty() || until.is_some_and(|until| until <= now);
        it.events += ready.len();
        it.turn_calls = 0;
        (it.timeout, it.sleeps_until) = (timeout, if returns { Some(now) } else { until });
        if ready.is_empty()
            && !shared
            && let Some(timeout) = timeout
        {
            // A loop that asks for no time at all has work to do, and a loop that sleeps is woken at its time.
            sim.now += timeout;
        }
        Ok(())
    }

    fn waker(&self) -> Arc<dyn Wake> {
        Arc::new(Flag(Arc::clone(&self.sim().loops[self.number].woken)))
    }
}
