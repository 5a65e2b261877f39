//! Writing to sockets: what a turn has to say, once; and what a socket did not take, later.

use std::io::{self, ErrorKind, IoSlice};

use super::handler::Handler;
use super::net::Net;
use super::slab::ConnectionId;
use super::socket::Socket;
use super::tls::{Tls, TlsBuffers};
use super::world::{Slot, State, World};
use super::{Reactor, SEND_BYTES_KEPT};

/// Segments of an outbox that one write takes.
const SLICES_MAX: usize = 16;

/// The socket of the connection whose event is being handled.
pub(super) struct Line<'a, N: Net> {
    pub(super) net: &'a mut N,
    pub(super) stream: &'a mut N::Stream,
    pub(super) tls: Option<&'a mut Tls>,
    pub(super) tls_buffers: &'a mut TlsBuffers,
}

impl<N: Net> Line<'_, N> {
    /// Itself, where long payloads can be written from where they lie: they are not to be encrypted.
    #[inline]
    pub(super) fn at_once(&mut self) -> Option<&mut dyn Write> {
        if self.tls.is_none() { Some(self) } else { None }
    }
}

/// A [`Line`], whatever its [`Net`].
pub(super) trait Write {
    /// Writes what fits.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize>;
    /// Writes what fits of several buffers.
    fn write_vectored(&mut self, bytes: &[IoSlice<'_>]) -> io::Result<usize>;
    /// Writes what was taken before and waits; false where some still does.
    fn flush(&mut self) -> io::Result<bool>;
    /// Whether what was taken waits.
    fn waits(&self) -> bool;
}

impl<N: Net> Write for Line<'_, N> {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Self { net, stream, tls, tls_buffers } = self;
        match tls {
            None => uninterrupted(|| net.write(stream, bytes)),
            //= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2
            //# otherwise, all further communication
            //# for the connection (including the server's handshake) MUST run
            //# through the encrypted tunnel [RFC5246].
            Some(tls) => tls.write(bytes, *net, stream, tls_buffers),
        }
    }

    fn write_vectored(&mut self, bytes: &[IoSlice<'_>]) -> io::Result<usize> {
        let Self { net, stream, tls, tls_buffers } = self;
        let Some(tls) = tls else {
            return uninterrupted(|| net.write_vectored(stream, bytes));
        };
        let mut written = 0;
        for bytes in bytes {
            match tls.write(bytes, *net, stream, tls_buffers) {
                Ok(count) if count == bytes.len() => written += count,
                Ok(count) => return Ok(written + count),
                Err(error) if error.kind() == ErrorKind::WouldBlock && written > 0 => break,
                Err(error) => return Err(error),
            }
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<bool> {
        let Self { net, stream, tls, .. } = self;
        match tls {
            None => Ok(true),
            Some(tls) => tls.flush(*net, stream),
        }
    }

    #[inline]
    fn waits(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.waits())
    }
}

/// A signal that comes in between says nothing about the socket, and no event follows from it.
pub(super) fn uninterrupted(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match call() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// Writes the loop's send buffer. What the socket does not take goes to the outbox.
//= https://www.rfc-editor.org/rfc/rfc6455#section-6.1
//# The frame(s) that have been formed MUST be transmitted over the
//# underlying network connection.
pub(super) fn write_out<S>(
    world: &mut World<S>,
    id: ConnectionId,
    socket: &mut (impl Write + ?Sized),
) -> io::Result<()> {
    let Some(slot) = world.slots.get_mut(id) else {
        world.out.clear();
        return Ok(());
    };
    let written = write_buffer(&mut world.out, slot, socket)?;
    world.counters.bytes_sent += written as u64;
    Ok(())
}

/// Writes the loop's send buffer: how much the socket took.
#[inline]
fn write_buffer<S>(
    out: &mut Vec<u8>,
    slot: &mut Slot<S>,
    socket: &mut (impl Write + ?Sized),
) -> io::Result<usize> {
    if out.is_empty() {
        return Ok(0);
    }
    let written = write_behind(out, &[], slot, socket);
    empty(out);
    written
}

/// Empties the loop's send buffer, which does not stay as long as a long message has made it.
#[inline]
pub(super) fn empty(out: &mut Vec<u8>) {
    out.clear();
    out.shrink_to(SEND_BYTES_KEPT);
}

/// Writes the send buffer and a payload that belongs behind it. What the socket does not take goes to the outbox. Says
/// how much it took.
#[inline]
pub(super) fn write_behind<S>(
    out: &[u8],
    payload: &[u8],
    slot: &mut Slot<S>,
    socket: &mut (impl Write + ?Sized),
) -> io::Result<usize> {
    let written = try_write(out, payload, slot, socket)?;
    if slot.blocked || written < out.len() + payload.len() {
        keep_rest(out, payload, written, slot);
    }
    Ok(written)
}

/// Has the outbox keep what the socket did not take of the two.
#[cold]
fn keep_rest<S>(out: &[u8], payload: &[u8], written: usize, slot: &mut Slot<S>) {
    let outbox = slot.outbox.get_or_insert_default();
    outbox.push(out.get(written..).unwrap_or_default());
    outbox.push(payload.get(written.saturating_sub(out.len())..).unwrap_or_default());
}

/// Writes what the socket takes of the send buffer and a payload that belongs behind it, where nothing waits before
/// them. Says how much that was.
#[inline(always)] // without the payload, where there is none
pub(super) fn try_write<S>(
    out: &[u8],
    payload: &[u8],
    slot: &mut Slot<S>,
    socket: &mut (impl Write + ?Sized),
) -> io::Result<usize> {
    if slot.blocked || slot.waiting_bytes() > 0 {
        return Ok(0);
    }
    let taken = match payload {
        [] => socket.write(out),
        _ => socket.write_vectored(&[IoSlice::new(out), IoSlice::new(payload)]),
    };
    let written = match taken {
        Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
        taken => taken?,
    };
    slot.blocked = written < out.len() + payload.len() || socket.waits();
    Ok(written)
}

/// Writes as much of the outbox as the socket takes: how much that was.
fn write_outbox<S>(slot: &mut Slot<S>, socket: &mut (impl Write + ?Sized)) -> io::Result<usize> {
    let mut written = 0;
    if !slot.blocked && socket.waits() {
        slot.blocked = !socket.flush()?;
    }
    let Some(outbox) = &mut slot.outbox else { return Ok(0) };
    while outbox.bytes() > 0 && !slot.blocked {
        let mut slices = [IoSlice::new(&[]); SLICES_MAX];
        let filled = outbox.slices(&mut slices);
        let slices = slices.get(..filled).unwrap_or_default();
        let offered: usize = slices.iter().map(|slice| slice.len()).sum();
        match socket.write_vectored(slices) {
            Ok(count) => {
                slot.blocked = count < offered || socket.waits();
                outbox.consume(count);
                written += count;
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => slot.blocked = true,
            Err(error) => return Err(error),
        }
    }
    if outbox.bytes() == 0 {
        slot.outbox = None;
    }
    Ok(written)
}

impl<H: Handler, N: Net> Reactor<H, N> {
    /// A socket that was full has room again.
    pub(super) fn on_writable(&mut self, id: ConnectionId) {
        let Some(slot) = self.world.slots.get_mut(id) else { return };
        if std::mem::replace(&mut slot.blocked, false) {
            self.world.was_taken(id);
            self.flush(id);
        }
    }

    /// Writes to a socket that was full, and has not said that it has room. It says so late: Linux waits until a third
    /// of its buffer is free. So a peer that takes little is not one that takes nothing.
    pub(super) fn write_again(&mut self, id: ConnectionId) {
        let Some(slot) = self.world.slots.get_mut(id).filter(|slot| slot.blocked) else { return };
        slot.blocked = false;
        let waited = self.waiting_bytes(id);
        // Records have more bytes than what is in them: new ones would hide what was taken of the old.
        let written = self.write_records(id).and_then(|()| {
            let taken = self.waiting_bytes(id) < waited;
            self.write_waiting(id)?;
            Ok(taken || self.waiting_bytes(id) < waited)
        });
        match written {
            Ok(true) => self.world.was_taken(id),
            Ok(false) => {}
            Err(error) => self.write_failed(id, error),
        }
        self.world.mark_dirty(id);
    }

    /// Writes what is encrypted and waits.
    fn write_records(&mut self, id: ConnectionId) -> io::Result<()> {
        let Self { sockets, net, .. } = self;
        if let Some(Some(Socket { stream, tls: Some(tls), .. })) =
            sockets.get_mut(id.index as usize)
        {
            tls.flush(net, stream)?;
        }
        Ok(())
    }

    /// What waits for a socket, encrypted or not yet.
    fn waiting_bytes(&self, id: ConnectionId) -> usize {
        let waits = self.world.slots.get(id).map_or(0, |slot| slot.waiting_bytes());
        let socket = self.sockets.get(id.index as usize).and_then(Option::as_ref);
        waits + socket.and_then(|it| it.tls.as_ref()).map_or(0, |tls| tls.unsent_bytes())
    }

    /// Writes what a connection has to say, once, and ends it where all is said.
    pub(super) fn flush(&mut self, id: ConnectionId) {
        if self.world.topics.log_bytes() > 0 {
            let was_corked = self.world.corked.replace(id);
            self.world.take_publications(id);
            self.world.corked = was_corked;
        }
        if let Err(error) = self.write_waiting(id) {
            self.write_failed(id, error);
        }
        self.after_write(id);
        if self.world.slots.get(id).is_some_and(|slot| slot.blocked) {
            self.await_room(id);
        }
        if self.world.memory.total() > self.world.limits.held_bytes_max {
            self.relieve();
        }
    }

    /// Writes what there is, once, and weighs what is left.
    #[inline(always)]
    fn write_waiting(&mut self, id: ConnectionId) -> io::Result<()> {
        let Self { world, sockets, net, tls_buffers, .. } = self;
        let Some(Some(socket)) = sockets.get_mut(id.index as usize) else {
            world.out.clear();
            return Ok(());
        };
        let Socket { stream, tls, .. } = socket;
        let mut line = Line { net, stream, tls: tls.as_deref_mut(), tls_buffers };
        let Some(slot) = world.slots.get_mut(id) else {
            world.out.clear();
            return Ok(());
        };
        let written = write_buffer(&mut world.out, slot, &mut line)
            .and_then(|before| Ok(before + write_outbox(slot, &mut line)?));
        world.memory.set(id, slot.held_bytes() + socket.held_bytes());
        world.counters.bytes_sent += written? as u64;
        Ok(())
    }

    /// A socket is full. Has it say when it has room, from the first time on.
    #[cold]
    fn await_room(&mut self, id: ConnectionId) {
        let Some(Some(socket)) = self.sockets.get_mut(id.index as usize) else { return };
        if std::mem::replace(&mut socket.tells_room, true) {
            return;
        }
        if let Err(error) = self.net.register_writable(&mut socket.stream, id.to_token()) {
            if let Some(slot) = self.world.slots.get_mut(id) {
                slot.blocked = false;
            }
            self.write_failed(id, error);
        }
    }

    /// What waits can never be written, and to try it again would fail without end.
    #[cold]
    fn write_failed(&mut self, id: ConnectionId, error: io::Error) {
        if let Some(socket) = self.socket(id) {
            socket.at_end = true;
            socket.tls.iter_mut().for_each(|tls| tls.forget());
        }
        if let Some(slot) = self.world.slots.get_mut(id) {
            slot.outbox = None;
        }
        self.lost(id, error);
    }

    /// Goes on with what waited for the socket to be written: reading, or ending.
    fn after_write(&mut self, id: ConnectionId) {
        let Some(slot) = self.world.slots.get_mut(id) else { return };
        // With TLS, what waits may be encrypted already.
        let waits = slot.waiting_bytes() > 0 || slot.blocked;
        match slot.state {
            State::Ending { until, .. } => {
                let over = until <= self.world.now;
                if !slot.known && (over || !waits) {
                    self.finish(id, over);
                }
            }
            State::Open { ref sender, .. } if !waits => {
                // The pong to a ping that came while the socket was full.
                let owes = sender.wants_flush();
                if std::mem::replace(&mut slot.queued, false) {
                    self.world.drained.push(id);
                }
                if self.world.corked != Some(id) && self.may_read(id) {
                    self.read_later(id);
                }
                if owes {
                    // What is written at once in this turn was written: it goes to the outbox.
                    let was_corked = self.world.corked.take();
                    self.world.flush_owed(id);
                    self.world.corked = was_corked;
                }
            }
            State::Open { .. } => {
                slot.queued = true;
                if slot.paused {
                    // It may be silent, but has to take what waits.
                    self.world.schedule(id);
                }
            }
            State::Streaming(_) => {
                self.world.stream_was_written(id, waits);
                if self.world.corked != Some(id) && self.may_read(id) {
                    self.read_later(id);
                }
            }
            State::Opening { .. } => {}
        }
    }
}
