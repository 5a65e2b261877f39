//! TLS between a socket and its connection.

use std::io::{self, ErrorKind};

use super::Reactor;
use super::handler::{Closed, Handler};
use super::net::Net;
use super::open::is_head;
use super::slab::ConnectionId;
use super::socket::{Inbound, Socket};
use super::write::uninterrupted;
use crate::handshake::Refusal;
use crate::tls::{Session, TlsError};

/// A connection's TLS. At rest it owns a session: keys, and no bytes.
pub(super) struct Tls {
    session: Session,
    /// Records, of which the socket did not take the last ones yet.
    unsent: Vec<u8>,
    /// How many bytes of them it took.
    sent: usize,
    /// Something has come.
    heard: bool,
    /// We have said that nothing more follows.
    ended: bool,
}

/// What all TLS connections of a loop use in turn.
#[derive(Default)]
pub(super) struct TlsBuffers {
    /// What one read came to.
    pub(super) plain: Vec<u8>,
    /// What is to be written. As long as there is room.
    records: Vec<u8>,
}

/// What is encrypted for one write.
const WRITE_BYTES: usize = 64 * 1024;

impl Tls {
    pub(super) fn new(session: Session) -> Box<Self> {
        Box::new(Self { session, unsent: Vec::new(), sent: 0, heard: false, ended: false })
    }

    /// Lets a client begin.
    pub(super) fn begin(&mut self) -> io::Result<()> {
        self.session.receive(&mut [], &mut Vec::new(), &mut self.unsent)?;
        Ok(())
    }

    pub(super) fn is_established(&self) -> bool {
        self.session.is_established()
    }

    /// Whether the peer has said that nothing more follows.
    pub(super) fn is_closed(&self) -> bool {
        self.session.is_closed()
    }

    pub(super) fn peer_certificate(&self) -> Option<&[u8]> {
        self.session.peer_certificate()
    }

    /// What has come of a record already. It belongs before what is read.
    pub(super) fn partial(&self) -> &[u8] {
        self.session.partial()
    }

    /// Whether these are the first bytes of a peer that does not speak TLS, but HTTP.
    pub(super) fn is_plain_http(&self, bytes: &[u8]) -> bool {
        !self.heard && bytes.first().is_some_and(u8::is_ascii_uppercase)
    }

    /// Takes bytes of the stream, the [partial](Self::partial) ones among them. What they decrypt to is appended to
    /// `plain`; what is to be answered waits for [`flush`](Self::flush), also after an error.
    pub(super) fn receive(
        &mut self,
        bytes: &mut [u8],
        plain: &mut Vec<u8>,
    ) -> Result<(), TlsError> {
        self.heard = true;
        self.session.receive(bytes, plain, &mut self.unsent)
    }

    /// Encrypts and writes data. All that was taken is on its way, and [waits](Self::waits) where the socket is full.
    pub(super) fn write<N: Net>(
        &mut self,
        plain: &[u8],
        net: &mut N,
        stream: &mut N::Stream,
        buffers: &mut TlsBuffers,
    ) -> io::Result<usize> {
        if self.session.is_failed() {
            // The peer was told why, and can be told nothing else. The handler will be.
            return Ok(plain.len());
        }
        let mut rest = plain;
        // To the end, or until the socket is full: only that does an event tell of.
        while self.flush(net, stream)? && !rest.is_empty() {
            let (piece, behind) = rest.split_at(rest.len().min(WRITE_BYTES));
            let records = &mut buffers.records;
            let room = Session::encrypted_bytes_max(piece.len());
            if records.len() < room {
                records.resize(room, 0);
            }
            let length = self.session.send(piece, &mut self.unsent, records)?;
            rest = behind;
            let records = records.get(..length).unwrap_or_default();
            let written = if self.unsent.is_empty() { write(records, net, stream)? } else { 0 };
            self.unsent.extend_from_slice(records.get(written..).unwrap_or_default());
        }
        if rest.len() == plain.len() && !plain.is_empty() {
            return Err(ErrorKind::WouldBlock.into());
        }
        Ok(plain.len() - rest.len())
    }

    /// Writes what waits; false where some still does.
    pub(super) fn flush<N: Net>(
        &mut self,
        net: &mut N,
        stream: &mut N::Stream,
    ) -> io::Result<bool> {
        if self.unsent.is_empty() {
            return Ok(true);
        }
        let rest = self.unsent.get(self.sent..).unwrap_or_default();
        self.sent += write(rest, net, stream)?;
        if self.sent < self.unsent.len() {
            return Ok(false);
        }
        (self.unsent, self.sent) = (Vec::new(), 0);
        Ok(true)
    }

    /// What it holds: pieces of records that have come, and records that the socket did not take.
    pub(super) fn held_bytes(&self) -> usize {
        self.unsent.len() + self.session.partial().len()
    }

    /// How many bytes of records wait for the socket.
    pub(super) fn unsent_bytes(&self) -> usize {
        self.unsent.len() - self.sent
    }

    /// Whether records wait for the socket.
    pub(super) fn waits(&self) -> bool {
        !self.unsent.is_empty()
    }

    /// Forgets what waits, and says no more, as nobody could read it without that: the stream has failed.
    pub(super) fn forget(&mut self) {
        (self.unsent, self.sent, self.ended) = (Vec::new(), 0, true);
    }

    /// Says that nothing more follows, once; false where that waits.
    pub(super) fn end<N: Net>(&mut self, net: &mut N, stream: &mut N::Stream) -> io::Result<bool> {
        if !std::mem::replace(&mut self.ended, true) {
            self.session.close(&mut self.unsent);
        }
        self.flush(net, stream)
    }
}

impl<H: Handler, N: Net> Reactor<H, N> {
    /// Reads once from a socket with TLS, and handles what comes of it. False where nothing was read.
    pub(super) fn read_tls(&mut self, id: ConnectionId, buffer: &mut [u8]) -> bool {
        let Self { sockets, net, .. } = self;
        let Some(Some(Socket { stream, tls: Some(tls), readable, read_closed, .. })) =
            sockets.get_mut(id.index as usize)
        else {
            return false;
        };
        if tls.is_closed() {
            // What came before was handled: this is the end.
            *readable = false;
            self.nothing_read(id, Ok(0));
            return false;
        }
        if !tls.is_established() && !tls.session.is_failed() {
            // Handshakes are dear: the others have their turn between them.
            if self.tls_handshakes_left == 0 {
                self.read_later(id);
                return false;
            }
            self.tls_handshakes_left -= 1;
        }
        let kept = tls.partial().len();
        let Some((before, room)) = buffer.split_at_mut_checked(kept) else { return false };
        before.copy_from_slice(tls.partial());
        let may_read = self.world.may_read_bytes(id).min(room.len());
        let room = room.get_mut(..may_read).unwrap_or_default();
        match uninterrupted(|| net.read(stream, room)) {
            Ok(count) if count > 0 => {
                self.world.have_read(id, count);
                *readable = count == room.len() || *read_closed;
                let bytes = buffer.get_mut(..kept + count).unwrap_or_default();
                self.world.heard(id);
                self.receive_records(id, bytes);
                true
            }
            read => {
                *readable = false;
                self.nothing_read(id, read);
                false
            }
        }
    }

    /// Takes bytes of the stream, of which the first may have come before.
    fn receive_records(&mut self, id: ConnectionId, bytes: &mut [u8]) {
        let Self { sockets, net, tls_buffers, .. } = self;
        let Some(Some(socket)) = sockets.get_mut(id.index as usize) else { return };
        let Some(tls) = &mut socket.tls else { return };
        if matches!(socket.inbound, Inbound::Request(..)) && tls.is_plain_http(bytes) {
            socket.tls = None;
            self.world.counters.refused.malformed += 1;
            return self.respond(id, &Refusal::PlainHttp.response(), is_head(bytes));
        }
        let mut plain = std::mem::take(&mut tls_buffers.plain);
        plain.clear();
        let (was_established, had_failed) = (tls.is_established(), tls.session.is_failed());
        let received = tls.receive(bytes, &mut plain);
        let (established, closed) = (tls.is_established(), tls.is_closed());
        let flushed = tls.flush(net, &mut socket.stream);
        if let Ok(all) = flushed
            && let Some(slot) = self.world.slots.get_mut(id)
            && std::mem::replace(&mut slot.blocked, !all)
            && all
        {
            self.world.was_taken(id);
        }
        if established && !was_established {
            self.on_secured(id);
        }
        self.world.counters.bytes_received += plain.len() as u64;
        if !plain.is_empty() {
            self.receive(id, &mut plain);
        }
        self.tls_buffers.plain = plain;
        if let Err(error) = flushed {
            return self.lost(id, error);
        }
        match received {
            Err(_) if had_failed => {}
            Err(error) => self.tls_failed(id, error),
            Ok(()) if closed => {
                // That is read behind what waits to be handled.
                if let Some(socket) = self.socket(id) {
                    socket.readable = true;
                }
            }
            Ok(()) => {}
        }
    }

    /// The peer broke a rule of TLS, or is not trusted; it was told so.
    fn tls_failed(&mut self, id: ConnectionId, error: TlsError) {
        if let Some(socket) = self.socket(id) {
            socket.inbound = Inbound::Nothing;
        }
        self.world.counters.tls_failures += 1;
        self.world.give_up(id, Closed::Lost(error.into()));
    }
}

/// How many bytes a socket takes.
fn write<N: Net>(bytes: &[u8], net: &mut N, stream: &mut N::Stream) -> io::Result<usize> {
    match uninterrupted(|| net.write(stream, bytes)) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
        written => written,
    }
}
