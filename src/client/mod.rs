//! A blocking client on the core: for tests, tools, and programs with one connection.
//!
//! ```no_run
//! let mut client = tautline::connect("ws://127.0.0.1:9001/")?;
//! client.send("hello")?;
//! while let Some(message) = client.read()? {
//!     println!("{message:?}");
//! }
//! # Ok::<(), tautline::client::ClientError>(())
//! ```

mod error;
mod wire;

use std::fmt;
use std::io::{self, ErrorKind};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::close::CloseCode;
use crate::connection::{Connection, Event, Expired, Message, Outgoing, OwnedMessage, Part};
use crate::error::{SendError, Violation};
use crate::handshake::{Agreed, ClientRequest};
use crate::limits::Limits;
use crate::random::RandomKeys;
#[cfg(feature = "tls")]
use crate::tls::ClientTls;
use wire::Wire;

pub use error::ClientError;

/// Bytes that are read at once.
const READ_BYTES: usize = 64 * 1024;
/// How many reads go on with what is there when the time for a message is over.
const LATE_READS_MAX: usize = 64;
/// For how long what the peer says is waited for before what it did not take is tried again.
const WRITTEN_AGAIN_AFTER: Duration = Duration::from_millis(10);

/// Connects to a `ws://` or `wss://` URL and waits until the connection is open.
///
/// # Errors
///
/// When the URL is none, nobody answers within [`handshake_within`](Limits::handshake_within), or the answer is not
/// that of a WebSocket server. To find the address of a host name may take longer: the operating system gives no limit.
pub fn connect(url: &str) -> Result<Client, ClientError> {
    Client::connect(&ClientRequest::new(url.parse()?), Limits::default())
}

/// A connection on a blocking socket.
///
/// Where it is dropped without [`close`](Self::close), the stream ends without a close frame, and the server sees 1006.
pub struct Client {
    wire: Wire,
    connection: Connection,
    agreed: Agreed,
    received: Vec<u8>,
    /// The bytes of `received` that were not consumed yet.
    unread: std::ops::Range<usize>,
    out: Vec<u8>,
    read_timeout: Option<Duration>,
    pong_within: Duration,
    closed: Option<(Option<CloseCode>, String)>,
    /// Why nothing can be written any more. What was received is still delivered.
    broken: Option<io::Error>,
}

impl Client {
    /// Connects with a request and limits of your own. A server with TLS has to be one that this machine trusts.
    ///
    /// # Errors
    ///
    /// As [`connect`].
    pub fn connect(request: &ClientRequest, limits: Limits) -> Result<Self, ClientError> {
        #[cfg(feature = "tls")]
        if request.url().is_secure() {
            return Self::connect_tls(request, limits, &ClientTls::platform()?);
        }
        if request.url().is_secure() {
            return Err(ClientError::NoTls);
        }
        let left = left(limits.handshake_within);
        let wire = Wire::plain(open_stream(request, &left)?);
        Self::open(wire, request, limits, left)
    }

    /// Connects to a `wss://` URL, and trusts whom you say. With a `ws://` URL it is [`connect`](Self::connect).
    ///
    /// # Errors
    ///
    /// As [`connect`], and [`ClientError::Tls`] where the server is not trusted or does not trust us.
    #[cfg(feature = "tls")]
    pub fn connect_tls(
        request: &ClientRequest,
        limits: Limits,
        tls: &ClientTls,
    ) -> Result<Self, ClientError> {
        if !request.url().is_secure() {
            return Self::connect(request, limits);
        }
        let left = left(limits.handshake_within);
        let stream = open_stream(request, &left)?;
        //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
        //# If /secure/ is true, the client MUST perform a TLS handshake over
        //# the connection after opening the connection and before sending
        //# the handshake data [RFC2818].
        let mut wire = Wire::secure(stream, tls.session(request.url().host())?)?;
        loop {
            wire.stream.set_write_timeout(Some(left()?))?;
            wire.stream.set_read_timeout(Some(left()?))?;
            match wire.secured() {
                Ok(true) => return Self::open(wire, request, limits, left),
                Ok(false) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if is_timeout(&error) => return Err(ClientError::TimedOut),
                //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
                //# If this fails (e.g., the server's
                //# certificate could not be verified), then the client MUST _Fail
                //# the WebSocket Connection_ and abort the connection.
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The opening handshake.
    //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
    //# it MUST open a connection, send an opening
    //# handshake, and read the server's handshake in response.
    //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
    //# Once a connection to the server has been established (including a
    //# connection via a proxy or over a TLS-encrypted tunnel), the client
    //# MUST send an opening handshake to the server.
    fn open(
        mut wire: Wire,
        request: &ClientRequest,
        limits: Limits,
        left: impl Fn() -> Result<Duration, ClientError>,
    ) -> Result<Self, ClientError> {
        let mut out = Vec::new();
        //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
        //# The nonce
        //# MUST be selected randomly for each connection.
        let mut handshake = request.write(rand::random(), &mut out);
        wire.stream.set_write_timeout(Some(left()?))?;
        let mut written = 0;
        while written < out.len() || wire.waits() {
            match wire.write(out.get(written..).unwrap_or_default()) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if is_timeout(&error) => return Err(ClientError::TimedOut),
                count => written += count?,
            }
        }
        out.clear();

        let mut received = vec![0; READ_BYTES];
        let mut end = 0;
        loop {
            if end == received.len() {
                received.resize(end.saturating_mul(2), 0);
            }
            wire.stream.set_read_timeout(Some(left()?))?;
            end += match wire.read(received.get_mut(end..).unwrap_or_default()) {
                Ok(0) => return Err(io::Error::from(ErrorKind::UnexpectedEof).into()),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if is_timeout(&error) => return Err(ClientError::TimedOut),
                read => read?,
            };
            let buffered = received.get(..end).unwrap_or_default();
            //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
            //# Once the client's opening handshake has been sent, the client MUST
            //# wait for a response from the server before sending any further data.
            if let Some((consumed, agreed)) = handshake.receive(buffered, &limits)? {
                wire.stream.set_read_timeout(None)?;
                let pong_within = limits.pong_within;
                let limits = Arc::new(limits);
                let connection = Connection::client(&agreed, &limits, Instant::now(), RandomKeys);
                let unread = consumed..end;
                return Ok(Self {
                    wire,
                    connection,
                    agreed,
                    received,
                    unread,
                    out,
                    read_timeout: None,
                    pong_within,
                    closed: None,
                    broken: None,
                });
            }
        }
    }

    /// What the opening handshake agreed on.
    pub fn agreed(&self) -> &Agreed {
        &self.agreed
    }

    /// The socket.
    pub fn stream(&self) -> &TcpStream {
        &self.wire.stream
    }

    /// How long [`read`](Self::read) waits for a message; `None`, the default, waits as long as the peer lives. What is
    /// there already is given at any timeout, also at zero, but of a message of several MiB a part may be left for the
    /// next call. After a close frame it is also the longest wait for the server to end the stream; one that breaks a
    /// rule has [`close_within`](Limits::close_within) for that.
    pub fn set_read_timeout(&mut self, timeout: Option<Duration>) {
        self.read_timeout = timeout;
    }

    /// Waits for the next message. `None` means that the connection was closed, as [`closed`](Self::closed) says.
    ///
    /// Pings are answered, and a silent peer is asked whether it lives, while this waits.
    ///
    /// # Errors
    ///
    /// When the peer breaks a rule, [is silent](ClientError::PeerSilent) for too long, or the stream ends without a close
    /// frame; or with [`ClientError::TimedOut`], after which it may be called again.
    pub fn read(&mut self) -> Result<Option<OwnedMessage>, ClientError> {
        let give_up = self.read_timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let mut late_reads = 0;
        loop {
            match self.next_event() {
                Ok(Some(Occurred::Message(message))) => {
                    // What cannot be written now is written by the next call.
                    let _ = self.answer(Some(Instant::now()));
                    return Ok(Some(message));
                }
                Ok(Some(Occurred::Closed)) => {
                    self.answer(give_up)?;
                    self.wait_for_end(give_up);
                    return Ok(None);
                }
                Ok(Some(Occurred::Other)) => {
                    // One pong for each ping, unless the server does not take them.
                    if self.out.is_empty() && !self.wire.waits() {
                        let _ = self.answer(Some(Instant::now()));
                    }
                }
                Ok(None) if self.closed.is_some() => {
                    self.answer(give_up)?;
                    return Ok(None);
                }
                Ok(None) => {
                    if give_up.is_some_and(|it| it <= Instant::now()) {
                        late_reads += 1;
                        if late_reads > LATE_READS_MAX {
                            return Err(ClientError::TimedOut);
                        }
                    }
                    self.fill(give_up)?;
                }
                //= https://www.rfc-editor.org/rfc/rfc6455#section-7.1.7
                //# To do so, the client MUST _Close the
                //# WebSocket Connection_,
                Err(violation) => {
                    self.answer(give_up)?;
                    self.wire.end();
                    self.wait_for_end(None);
                    return Err(violation.into());
                }
            }
        }
    }

    /// Sends a message.
    ///
    /// # Errors
    ///
    /// After [`close`](Self::close), when the stream fails, or with [`ClientError::TimedOut`] when the peer takes
    /// nothing for [`pong_within`](Limits::pong_within); what it did not take is then written by the next call.
    pub fn send<'m>(
        &mut self,
        message: impl Into<Outgoing<Message<'m>>>,
    ) -> Result<(), ClientError> {
        self.connection.send(message, &mut self.out)?;
        self.write_out()
    }

    /// Sends a part of a message, as a fragment.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send), and for a part of another kind than those before.
    pub fn send_part<'m>(
        &mut self,
        part: impl Into<Outgoing<Part<'m>>>,
    ) -> Result<(), ClientError> {
        self.connection.send_part(part, &mut self.out)?;
        self.write_out()
    }

    /// Sends a ping with at most 125 bytes, which keeps the path open. [`read`](Self::read) passes over its answer.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send), and for a longer payload.
    pub fn ping(&mut self, payload: &[u8]) -> Result<(), ClientError> {
        self.connection.ping(payload, &mut self.out)?;
        self.write_out()
    }

    /// Closes the connection, and waits for the peer's answer, at most for [`close_within`](Limits::close_within).
    /// Messages that still come are thrown away.
    ///
    /// # Errors
    ///
    /// For a reason over 123 bytes, or when the stream fails, the peer takes nothing ([`ClientError::TimedOut`]) or
    /// [the answer does not come](ClientError::PeerSilent). Closing twice is no error.
    pub fn close(&mut self, code: CloseCode, reason: &str) -> Result<(), ClientError> {
        match self.connection.close(Instant::now(), code, reason, &mut self.out) {
            Ok(()) | Err(SendError::Closed) => {}
            Err(error) => return Err(error.into()),
        }
        self.write_out()?;
        self.read_timeout = None;
        while self.read()?.is_some() {}
        Ok(())
    }

    /// The peer's close frame, once it came: its code, if it had one, and its reason.
    pub fn closed(&self) -> Option<(Option<CloseCode>, &str)> {
        self.closed.as_ref().map(|(code, reason)| (*code, reason.as_str()))
    }

    /// What is in the bytes that were read.
    fn next_event(&mut self) -> Result<Option<Occurred>, Violation> {
        let unread = self.received.get_mut(self.unread.clone()).unwrap_or_default();
        let mut incoming = self.connection.receive(Instant::now(), unread);
        let occurred = match incoming.next() {
            Ok(Some((Event::Message(message), _))) => {
                Ok(Some(Occurred::Message(message.to_owned())))
            }
            Ok(Some((Event::Close(close), _))) => {
                self.closed = Some((close.code, close.reason.to_owned()));
                Ok(Some(Occurred::Closed))
            }
            Ok(Some((Event::Ping(_) | Event::Pong(_) | Event::Part(_), _))) => {
                Ok(Some(Occurred::Other))
            }
            Ok(None) => Ok(None),
            Err(violation) => Err(violation),
        };
        self.unread.start = self.unread.end - incoming.remaining();
        occurred
    }

    /// Waits for bytes, and meets the deadlines meanwhile.
    fn fill(&mut self, give_up: Option<Instant>) -> Result<(), ClientError> {
        loop {
            let now = Instant::now();
            let silent = match self.connection.on_deadline(now, &mut self.out) {
                Expired::CloseUnanswered => return Err(ClientError::PeerSilent),
                // Since the last call, or so it seems: it may have said something that was not read yet.
                Expired::PeerSilent => true,
                Expired::Nothing | Expired::Asked | Expired::Idle => {
                    // Who takes nothing may still say something, and has to: its silence is what ends the wait.
                    let _ = self.answer(Some(now));
                    false
                }
            };
            let waits = !self.out.is_empty() || self.wire.waits();
            let again = waits.then(|| now.checked_add(WRITTEN_AGAIN_AFTER)).flatten();
            let until = [give_up, again, self.connection.deadline()].into_iter().flatten().min();
            let wait =
                until.map(|it| it.saturating_duration_since(now).max(Duration::from_millis(1)));
            self.wire.stream.set_read_timeout(wait)?;
            match self.wire.read(&mut self.received) {
                //= https://www.rfc-editor.org/rfc/rfc6455#section-7.2.1
                //# If at any point the underlying transport layer connection is
                //# unexpectedly lost, the client MUST _Fail the WebSocket Connection_.
                Ok(0) => {
                    let ended = || ErrorKind::UnexpectedEof.into();
                    return Err(self.broken.take().unwrap_or_else(ended).into());
                }
                Ok(count) => {
                    self.unread = 0..count;
                    return Ok(());
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if is_timeout(&error) && silent => return Err(ClientError::PeerSilent),
                Err(error) if is_timeout(&error) => {}
                Err(error) => return Err(error.into()),
            }
            if give_up.is_some_and(|it| it <= Instant::now()) {
                return Err(ClientError::TimedOut);
            }
        }
    }

    /// Writes the answers that are owed, as far as that is possible: the peer may have gone after it sent what is still
    /// to be delivered.
    fn answer(&mut self, give_up: Option<Instant>) -> Result<(), ClientError> {
        match self.write_until(give_up) {
            Err(ClientError::Io(error)) => {
                self.out.clear();
                self.broken.get_or_insert(error);
                Ok(())
            }
            #[cfg(feature = "tls")]
            Err(ClientError::Tls(_)) => {
                self.out.clear();
                Ok(())
            }
            written => written,
        }
    }

    fn write_out(&mut self) -> Result<(), ClientError> {
        self.write_until(None)
    }

    /// Writes what there is to write, as much as fits at any time. A peer that takes nothing is waited for as long as one
    /// that says nothing, or until `give_up`; after a close frame, until its deadline.
    fn write_until(&mut self, give_up: Option<Instant>) -> Result<(), ClientError> {
        let mut written = 0;
        let mut tried = false;
        let result = loop {
            if written == self.out.len() && !self.wire.waits() {
                // Not before: to a peer that takes nothing, one pong is owed and not all.
                self.out.clear();
                written = 0;
                self.connection.flush(&mut self.out);
                if self.out.is_empty() {
                    break Ok(());
                }
            }
            let rest = self.out.get(written..).unwrap_or_default();
            let now = Instant::now();
            let stalled = now.checked_add(self.pong_within);
            let closing =
                self.connection.is_closing().then(|| self.connection.deadline()).flatten();
            let until = [give_up, stalled, closing].into_iter().flatten().min();
            if std::mem::replace(&mut tried, true) && until.is_some_and(|it| it <= now) {
                break Err(ClientError::TimedOut);
            }
            let wait =
                until.map(|it| it.saturating_duration_since(now).max(Duration::from_millis(1)));
            if let Err(error) = self.wire.stream.set_write_timeout(wait) {
                break Err(error.into());
            }
            match self.wire.write(rest) {
                Ok(count) => written += count,
                Err(error) if is_timeout(&error) => break Err(ClientError::TimedOut),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => break Err(error.into()),
            }
        };
        self.out.drain(..written);
        result
    }

    /// After the last frame the server ends the stream (RFC 6455 section 7.1.1); it gets the time for it, so that our
    /// last frame is not lost to a reset.
    fn wait_for_end(&mut self, give_up: Option<Instant>) {
        let until = [give_up, self.connection.deadline()].into_iter().flatten().min();
        let Some(until) = until else { return };
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || self.wire.stream.set_read_timeout(Some(left)).is_err() {
                break;
            }
            match self.wire.read(&mut self.received) {
                Ok(count) if count > 0 => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                _ => break,
            }
        }
        self.unread = 0..0;
        self.wire.end();
        let _ = self.wire.stream.shutdown(Shutdown::Both);
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("stream", &self.wire.stream)
            .field("closed", &self.closed)
            .finish_non_exhaustive()
    }
}

enum Occurred {
    Message(OwnedMessage),
    Closed,
    Other,
}

/// How much of the time is left, from now on.
fn left(within: Duration) -> impl Fn() -> Result<Duration, ClientError> {
    let started = Instant::now();
    move || match within.checked_sub(started.elapsed()) {
        Some(left) if !left.is_zero() => Ok(left),
        _ => Err(ClientError::TimedOut),
    }
}

/// Connects to the first address of the host that answers. Each has its share of the time, so that one that is silent
/// leaves the next ones theirs.
fn open_stream(
    request: &ClientRequest,
    left: impl Fn() -> Result<Duration, ClientError>,
) -> Result<TcpStream, ClientError> {
    let url = request.url();
    let mut failed = None;
    let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", url.host()));
    let addresses = (url.host(), url.port()).to_socket_addrs().map_err(named)?;
    let addresses: Vec<_> = addresses.collect();
    for (address, others) in addresses.iter().zip((1..=addresses.len() as u32).rev()) {
        match TcpStream::connect_timeout(address, left()? / others) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(error) => {
                failed = Some(io::Error::new(error.kind(), format!("{address}: {error}")))
            }
        }
    }
    //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
    //# If the connection could not be opened, either because a direct
    //# connection failed or because any proxy used returned an error,
    //# then the client MUST _Fail the WebSocket Connection_ and abort
    //# the connection attempt.
    Err(failed
        .unwrap_or_else(|| io::Error::new(ErrorKind::NotFound, "the host has no address"))
        .into())
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}
