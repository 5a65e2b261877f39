//! The real world: [`Net`] on mio.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token, Waker};

use super::net::{Net, Ready, Wake};
use super::reuse_port;
use crate::random::RandomKeys;

/// The token of the waker. Tokens of connections leave the top bit free, those of listeners count from there.
const WAKER: Token = Token(usize::MAX);
/// Events that one poll returns.
const EVENTS_MAX: usize = 1024;
/// Connections that are turned away in one go when descriptors are used up.
const TURNED_AWAY_MAX: usize = 64;
/// Sockets and readiness from mio, time from the operating system, randomness from a cryptographic generator.
#[derive(Debug)]
pub struct MioNet {
    poll: Poll,
    events: Events,
    waker: Arc<Waker>,
}

/// A listening socket, with a spare descriptor that is given up for turning connections away.
#[derive(Debug)]
pub struct MioListener {
    listener: TcpListener,
    spare: RefCell<Option<File>>,
}

impl MioNet {
    /// A poll of its own.
    ///
    /// # Errors
    ///
    /// As the operating system says.
    pub fn new() -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
        Ok(Self { poll, events: Events::with_capacity(EVENTS_MAX), waker })
    }

    fn listening(
        &self,
        address: SocketAddr,
        token: usize,
        bind: fn(SocketAddr) -> io::Result<TcpListener>,
    ) -> io::Result<MioListener> {
        let listen = || {
            let mut listener = bind(address)?;
            self.poll.registry().register(&mut listener, Token(token), Interest::READABLE)?;
            Ok(MioListener { listener, spare: RefCell::new(spare_descriptor()) })
        };
        listen().map_err(|error: io::Error| {
            io::Error::new(error.kind(), format!("cannot listen on {address}: {error}"))
        })
    }
}

impl Net for MioNet {
    type Listener = MioListener;
    type Stream = TcpStream;
    type MaskKeys = RandomKeys;

    fn now(&mut self) -> Instant {
        Instant::now()
    }

    //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
    //# The nonce
    //# MUST be selected randomly for each connection.
    fn nonce(&mut self) -> [u8; 16] {
        rand::random()
    }

    fn mask_keys(&mut self) -> RandomKeys {
        RandomKeys
    }

    fn listen(&mut self, address: SocketAddr, token: usize) -> io::Result<MioListener> {
        self.listening(address, token, TcpListener::bind)
    }

    fn listen_shared(&mut self, address: SocketAddr, token: usize) -> io::Result<MioListener> {
        self.listening(address, token, reuse_port::bind)
    }

    fn local_addr(&self, listener: &MioListener) -> io::Result<SocketAddr> {
        listener.listener.local_addr()
    }

    fn accept(&mut self, listener: &MioListener) -> io::Result<(TcpStream, SocketAddr)> {
        let (stream, address) = listener.listener.accept()?;
        // Without it, small frames would wait for the acknowledgement of earlier ones. It fails where the peer is gone
        // already, which is noticed soon enough.
        let _ = stream.set_nodelay(true);
        Ok((stream, address))
    }

    fn turn_away(&mut self, listener: &MioListener, answer: &[u8]) -> usize {
        let mut spare = listener.spare.borrow_mut();
        for turned_away in 0..TURNED_AWAY_MAX {
            *spare = None;
            let accepted = listener.listener.accept();
            if let Ok((stream, _)) = &accepted {
                let (mut reader, mut writer) = (stream, stream);
                let _ = writer.write(answer);
                let _ = stream.shutdown(Shutdown::Write);
                // A request that was not read would turn the end into a reset, which may overtake the answer.
                let _ = reader.read(&mut [0; 4096]);
            }
            let more = accepted.is_ok();
            drop(accepted);
            *spare = spare_descriptor();
            if !more {
                return turned_away;
            }
        }
        TURNED_AWAY_MAX
    }

    fn connect(&mut self, address: SocketAddr) -> io::Result<TcpStream> {
        TcpStream::connect(address)
    }

    fn connected(&mut self, stream: &TcpStream) -> io::Result<()> {
        if let Some(error) = stream.take_error()? {
            return Err(error);
        }
        stream.peer_addr()?;
        stream.set_nodelay(true)
    }

    fn register(&mut self, stream: &mut TcpStream, token: usize) -> io::Result<()> {
        self.poll.registry().register(stream, Token(token), Interest::READABLE)
    }

    fn register_writable(&mut self, stream: &mut TcpStream, token: usize) -> io::Result<()> {
        let both = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().reregister(stream, Token(token), both)
    }

    #[inline]
    fn read(&mut self, stream: &mut TcpStream, bytes: &mut [u8]) -> io::Result<usize> {
        stream.read(bytes)
    }

    fn read_vectored(
        &mut self,
        stream: &mut TcpStream,
        bytes: &mut [IoSliceMut<'_>],
    ) -> io::Result<usize> {
        stream.read_vectored(bytes)
    }

    #[inline]
    fn write(&mut self, stream: &mut TcpStream, bytes: &[u8]) -> io::Result<usize> {
        stream.write(bytes)
    }

    fn write_vectored(
        &mut self,
        stream: &mut TcpStream,
        bytes: &[IoSlice<'_>],
    ) -> io::Result<usize> {
        stream.write_vectored(bytes)
    }

    fn shutdown(&mut self, stream: &mut TcpStream) -> io::Result<()> {
        stream.shutdown(Shutdown::Write)
    }

    fn poll(&mut self, ready: &mut Vec<Ready>, timeout: Option<Duration>) -> io::Result<()> {
        match self.poll.poll(&mut self.events, timeout) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            polled => polled?,
        }
        ready.extend(self.events.iter().filter(|event| event.token() != WAKER).map(|event| {
            Ready {
                token: event.token().0,
                readable: event.is_readable(),
                writable: event.is_writable(),
                read_closed: event.is_read_closed() || event.is_error(),
            }
        }));
        Ok(())
    }

    fn waker(&self) -> Arc<dyn Wake> {
        Arc::new(MioWaker(Arc::clone(&self.waker)))
    }
}

/// A descriptor that is worth nothing but its place in the table.
fn spare_descriptor() -> Option<File> {
    File::open(if cfg!(windows) { "NUL" } else { "/dev/null" }).ok()
}

struct MioWaker(Arc<Waker>);

impl Wake for MioWaker {
    fn wake(&self) {
        // It fails only when the loop is gone, and then nobody is to be woken.
        let _ = self.0.wake();
    }
}
