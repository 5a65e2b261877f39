//! What the reactor knows of the world: [`Net`].
//!
//! The loop itself never names a socket or a clock. [`MioNet`](super::MioNet) is the real world; a simulated one, with
//! one seed and injected faults, runs the reactor's own tests.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::connection::MaskKeys;

/// Sockets, readiness and time, as a loop on one thread needs them.
///
/// Readiness is edge-triggered: a [`Ready`] says that something has changed, and the loop reads or writes until the
/// socket has no more. A call that comes to less than it was given room for says that too, as epoll(7) has it. All calls return at once, with [`WouldBlock`](io::ErrorKind::WouldBlock) where they would wait.
pub trait Net {
    /// A listening socket.
    type Listener;
    /// A connected, or connecting, socket. Dropping it closes it.
    type Stream;
    /// A source of masking keys.
    type MaskKeys: MaskKeys + 'static;

    /// The time. The loop asks once a turn.
    fn now(&mut self) -> Instant;

    /// The nonce of an opening handshake: 16 bytes chosen at random (RFC 6455 section 4.1).
    fn nonce(&mut self) -> [u8; 16];

    /// The masking keys of a connection that is made: unpredictable (RFC 6455 section 10.3).
    fn mask_keys(&mut self) -> Self::MaskKeys;

    /// Listens on an address, and registers the listener under `token`.
    ///
    /// # Errors
    ///
    /// As the operating system says; the message names the address.
    fn listen(&mut self, address: SocketAddr, token: usize) -> io::Result<Self::Listener>;

    /// As [`listen`](Self::listen), on an address that others listen on in the same way: each connection goes to one of
    /// them.
    ///
    /// # Errors
    ///
    /// As [`listen`](Self::listen); [`Unsupported`](io::ErrorKind::Unsupported) where an address cannot be shared, as
    /// by default.
    fn listen_shared(&mut self, address: SocketAddr, token: usize) -> io::Result<Self::Listener> {
        let _ = (address, token);
        Err(io::Error::new(io::ErrorKind::Unsupported, "this net shares no addresses"))
    }

    /// The address that a listener is bound to.
    ///
    /// # Errors
    ///
    /// As the operating system says.
    fn local_addr(&self, listener: &Self::Listener) -> io::Result<SocketAddr>;

    /// Takes a connection that waits.
    ///
    /// # Errors
    ///
    /// As the operating system says, among them that there are no descriptors left.
    fn accept(&mut self, listener: &Self::Listener) -> io::Result<(Self::Stream, SocketAddr)>;

    /// Where descriptors are used up: takes connections that wait, tells them `answer`, and closes them, with the help
    /// of a descriptor that was spared for it. Says how many.
    fn turn_away(&mut self, listener: &Self::Listener, answer: &[u8]) -> usize;

    /// Begins to connect. The stream is writable once it is connected, or has failed.
    ///
    /// # Errors
    ///
    /// As the operating system says.
    fn connect(&mut self, address: SocketAddr) -> io::Result<Self::Stream>;

    /// Whether a stream that became writable is connected.
    ///
    /// # Errors
    ///
    /// Why it is not; [`NotConnected`](io::ErrorKind::NotConnected) where it is not yet.
    fn connected(&mut self, stream: &Self::Stream) -> io::Result<()>;

    /// Registers a stream under `token`, for good: polls tell when there is something to read.
    ///
    /// # Errors
    ///
    /// As the operating system says.
    fn register(&mut self, stream: &mut Self::Stream, token: usize) -> io::Result<()>;

    /// Has polls tell of a registered stream, from now on, also when there is room to write, or when it is connected. Where
    /// that is so by now, the next one tells it.
    ///
    /// # Errors
    ///
    /// As the operating system says.
    fn register_writable(&mut self, stream: &mut Self::Stream, token: usize) -> io::Result<()>;

    /// Reads; 0 is the end.
    ///
    /// # Errors
    ///
    /// As the operating system says.
    fn read(&mut self, stream: &mut Self::Stream, bytes: &mut [u8]) -> io::Result<usize>;

    /// Reads to several buffers, in their order; 0 is the end.
    ///
    /// # Errors
    ///
    /// As the operating system says.
    fn read_vectored(
        &mut self,
        stream: &mut Self::Stream,
        bytes: &mut [IoSliceMut<'_>],
    ) -> io::Result<usize>;

    /// Writes what fits.
    ///
    /// # Errors
    ///
    /// As the operating system says.
    fn write(&mut self, stream: &mut Self::Stream, bytes: &[u8]) -> io::Result<usize>;

    /// Writes what fits of several buffers.
    ///
    /// # Errors
    ///
    /// As the operating system says.
    fn write_vectored(
        &mut self,
        stream: &mut Self::Stream,
        bytes: &[IoSlice<'_>],
    ) -> io::Result<usize>;

    /// Ends the direction to the peer.
    ///
    /// # Errors
    ///
    /// As the operating system says.
    fn shutdown(&mut self, stream: &mut Self::Stream) -> io::Result<()>;

    /// Waits until something is ready, another thread calls [`Wake::wake`], or the time is over.
    ///
    /// # Errors
    ///
    /// As the operating system says; an interruption is no error.
    fn poll(&mut self, ready: &mut Vec<Ready>, timeout: Option<Duration>) -> io::Result<()>;

    /// What ends a [`poll`](Self::poll) from another thread.
    fn waker(&self) -> Arc<dyn Wake>;
}

/// What has changed for a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ready {
    /// The token that the listener or the stream is registered under.
    pub token: usize,
    /// There may be something to read or to accept.
    pub readable: bool,
    /// There may be room to write.
    pub writable: bool,
    /// The peer has ended its direction, or the stream has failed: reading goes on to the end.
    pub read_closed: bool,
}

/// Ends a [`Net::poll`] from another thread.
pub trait Wake: Send + Sync {
    /// Lets the poll that runs, or the next one, return at once.
    fn wake(&self);
}
