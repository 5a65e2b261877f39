//! The core alone, on blocking sockets of the standard library, with a thread for each connection: whoever brings sockets
//! and a clock of another kind does the same in other words.
//!
//! ```sh
//! cargo run --no-default-features --features deflate --example core_server -- 127.0.0.1:9002
//! ```
//!
//! It sends back what comes. One loop is all that there is to it: bytes and the time go in, what is to be written comes
//! out, and [`Connection::deadline`] says how long to wait for more.

use std::error::Error;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use tautline::handshake::{Accept, Agreed, Opening, Origins, Policy, Refusal, ServerHandshake};
use tautline::{Connection, Deflate, Event, Expired, Limits, Violation};

/// Bytes that are read at once.
const READ_BYTES: usize = 16 * 1024;

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9002".into());
    let listener = TcpListener::bind(&address).map_err(|error| format!("{address}: {error}"))?;
    println!("listening on ws://{}/", listener.local_addr()?);
    let limits = Arc::new(Limits::default());
    for stream in listener.incoming() {
        let mut stream = match stream {
            Ok(stream) => stream,
            Err(error) => {
                // No descriptor is left, or the peer has gone already: the others go on.
                eprintln!("{error}");
                thread::sleep(Duration::from_millis(100));
                continue;
            }
        };
        let limits = Arc::clone(&limits);
        thread::spawn(move || {
            if let Err(error) = serve(&mut stream, &limits) {
                eprintln!("{error}");
            }
        });
    }
    Ok(())
}

/// A connection from its first byte to its last.
pub(crate) fn serve(stream: &mut TcpStream, limits: &Arc<Limits>) -> Result<(), Box<dyn Error>> {
    stream.set_nodelay(true)?;
    // Who takes nothing is given up like who says nothing.
    stream.set_write_timeout(Some(limits.pong_within.max(Duration::from_millis(1))))?;
    let Some((agreed, mut bytes)) = open(stream, limits)? else {
        let _ = end(stream, limits.close_within);
        return Ok(());
    };
    let mut ws = Connection::server(&agreed, limits, Instant::now());
    let mut out = Vec::new();
    loop {
        let outcome = answer(&mut ws, &mut bytes, &mut out);
        // Whatever has happened: what is to be said is said before anything else.
        stream.write_all(&out)?;
        out.clear();
        if outcome.is_err() || ws.is_over() {
            let _ = end(stream, limits.close_within);
            return Ok(outcome?);
        }
        bytes = wait(stream, &mut ws)?;
    }
}

/// The opening handshake: what was agreed on, and the bytes behind it. `None` where the client wanted something else, or
/// was refused.
fn open(stream: &mut TcpStream, limits: &Limits) -> io::Result<Option<(Agreed, Vec<u8>)>> {
    let policy = Policy { limits, origins: &Origins::SameHost, secure: false };
    let until = Instant::now() + limits.handshake_within;
    let (mut handshake, mut received, mut out) = (ServerHandshake::new(), Vec::new(), Vec::new());
    let agreed = loop {
        let left = until.saturating_duration_since(Instant::now());
        stream.set_read_timeout(Some(left.max(Duration::from_millis(1))))?;
        let before = received.len();
        received.resize(before + READ_BYTES, 0);
        let count = stream.read(received.get_mut(before..).unwrap_or_default())?;
        received.truncate(before + count);
        if count == 0 || left.is_zero() {
            return Ok(None);
        }
        match handshake.receive(&received, &policy) {
            Ok(None) => {}
            Ok(Some((head_bytes, Opening::Upgrade(request)))) => {
                let accept = Accept::new().deflate(Deflate::default());
                let agreed = request.accept(&accept, &mut out).map_err(io::Error::other)?;
                received.drain(..head_bytes);
                break Some(agreed);
            }
            Ok(Some((_, Opening::Plain(request)))) => {
                Refusal::Protocol.response().write(request.method() == "HEAD", &mut out);
                break None;
            }
            Err(refusal) => {
                refusal.response().write(received.starts_with(b"HEAD "), &mut out);
                break None;
            }
        }
    };
    stream.write_all(&out)?;
    Ok(agreed.map(|agreed| (agreed, received)))
}

/// Takes what came, and appends what is to be said to it.
fn answer(ws: &mut Connection, bytes: &mut [u8], out: &mut Vec<u8>) -> Result<(), Violation> {
    let mut incoming = ws.receive(Instant::now(), bytes);
    let outcome = loop {
        match incoming.next() {
            Ok(Some((event, sender))) => {
                if let Event::Message(message) = event {
                    // None can be sent any more where we are closing.
                    let _ = sender.send(message, out);
                }
                sender.flush(out);
            }
            Ok(None) => break Ok(()),
            Err(violation) => break Err(violation),
        }
    };
    ws.flush(out);
    outcome
}

/// Waits for bytes, and does meanwhile what the deadlines ask for.
fn wait(stream: &mut TcpStream, ws: &mut Connection) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut bytes = vec![0; READ_BYTES];
    loop {
        let left = ws.deadline().map(|it| it.saturating_duration_since(Instant::now()));
        stream.set_read_timeout(left.map(|it| it.max(Duration::from_millis(1))))?;
        match stream.read(&mut bytes) {
            Ok(0) => return Err("the stream ended without a close frame".into()),
            Ok(count) => {
                bytes.truncate(count);
                return Ok(bytes);
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(error) => return Err(error.into()),
        }
        let mut out = Vec::new();
        match ws.on_deadline(Instant::now(), &mut out) {
            Expired::Nothing | Expired::Asked | Expired::Idle => stream.write_all(&out)?,
            Expired::PeerSilent => return Err("the peer does not answer".into()),
            Expired::CloseUnanswered => return Err("the peer did not agree to close".into()),
        }
    }
}

/// Ends our direction, and throws away what still comes until the peer has ended its own. Were the socket closed with
/// bytes unread, the stream would be reset, and our last words with it.
fn end(stream: &mut TcpStream, within: Duration) -> io::Result<()> {
    stream.shutdown(Shutdown::Write)?;
    let until = Instant::now() + within;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        stream.set_read_timeout(Some(left))?;
        if !matches!(stream.read(&mut [0; READ_BYTES]), Ok(1..)) {
            return Ok(());
        }
    }
}
