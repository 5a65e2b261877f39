//! Sending: into the loop's send buffer for the connection whose event is being handled, into an outbox for others; and
//! long messages from where they lie.

use std::{fmt, io};

use super::handler::Closed;
use super::slab::ConnectionId;
use super::world::{Slot, State, World};
use super::write::{Write, empty, try_write, write_behind};
use crate::connection::{Outgoing, Part, Payload, Prepared, Sender};
use crate::error::SendError;

/// What became of a message that was to be sent, or of a chunk of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendStatus {
    /// It is written when the handler returns. Should the socket turn out to be full, the rest waits, and
    /// [`on_drain`](super::Handler::on_drain) tells when it is written.
    Sent,
    /// It waits, in order, behind what waits already: the socket is full, or more than
    /// [`outbox_pause_bytes`](crate::Limits::outbox_pause_bytes) are to be written. A good time to stop, until
    /// [`on_drain`](super::Handler::on_drain) tells that all is written.
    Queued,
    /// It is not sent: the connection is closing, or the peer does not read, or the call was wrong.
    Dropped(Dropped),
}

/// Why a message was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Dropped {
    /// The connection is not open, not yet or not any more; or it is no WebSocket, or, for a chunk, no stream.
    NotOpen,
    /// More than [`outbox_bytes_max`](crate::Limits::outbox_bytes_max) waits for this peer; the connection is cut.
    NotReading,
    /// The call was wrong.
    Misuse(SendError),
}

impl fmt::Display for Dropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotOpen => write!(f, "the connection is not open"),
            Self::NotReading => write!(f, "the peer does not read what it is sent"),
            Self::Misuse(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Dropped {}

impl<S> Slot<S> {
    /// What became of a message, where so much waits.
    #[inline]
    pub(super) fn status(
        &mut self,
        written: Result<(), SendError>,
        much_waits: bool,
    ) -> SendStatus {
        match written {
            Ok(()) if self.blocked || much_waits => {
                self.queued = true;
                SendStatus::Queued
            }
            Ok(()) => SendStatus::Sent,
            Err(SendError::Closed) => SendStatus::Dropped(Dropped::NotOpen),
            Err(error) => SendStatus::Dropped(Dropped::Misuse(error)),
        }
    }
}

/// Appends something to the output of a connection.
type Append<'a> = dyn FnMut(&mut Sender, &mut Vec<u8>) -> Result<(), SendError> + 'a;

impl<S> World<S> {
    #[inline]
    pub(super) fn send(&mut self, id: ConnectionId, payload: &Payload<'_>) -> SendStatus {
        let status = self.write(
            id,
            #[inline(always)] // into the way of nearly all messages
            |sender, out| sender.send_payload(payload, out),
        );
        self.count_sent(status)
    }

    /// Sends a long message: what the socket takes of it is written at once, from where it lies, and the rest waits.
    pub(super) fn send_at_once(
        &mut self,
        id: ConnectionId,
        payload: &Payload<'_>,
        socket: &mut dyn Write,
    ) -> SendStatus {
        self.send_from_where_it_lies(id, payload, |out, payload, slot| {
            let written = write_behind(out, payload, slot, socket)?;
            empty(out);
            Ok(written)
        })
    }

    /// Sends what is likely to be the last of an answer. The rest that the socket does not take stays in the send
    /// buffer, where it would be had nothing been written: others may follow, and are not to count as what a peer that
    /// does not read has left waiting.
    pub(super) fn send_last(
        &mut self,
        id: ConnectionId,
        payload: &Payload<'_>,
        socket: &mut dyn Write,
    ) -> SendStatus {
        self.send_from_where_it_lies(id, payload, |out, payload, slot| {
            if payload.is_empty() {
                return Ok(0); // it was masked or compressed on its way to the buffer
            }
            let written = try_write(out, payload, slot, socket)?;
            if written == out.len() + payload.len() {
                empty(out);
                return Ok(written);
            }
            let of_payload = written.saturating_sub(out.len());
            out.drain(..written - of_payload);
            out.extend_from_slice(payload.get(of_payload..).unwrap_or_default());
            Ok(written)
        })
    }

    /// Lets `write` write the send buffer and the payload that belongs behind it, and say how much the socket took.
    /// Where something else has to go first, the message is sent as any other.
    fn send_from_where_it_lies(
        &mut self,
        id: ConnectionId,
        payload: &Payload<'_>,
        write: impl FnOnce(&mut Vec<u8>, &[u8], &mut Slot<S>) -> io::Result<usize>,
    ) -> SendStatus {
        let Some(slot) = self.slots.get_mut(id).filter(|_| self.corked == Some(id)) else {
            return self.send(id, payload);
        };
        let Slot { state: State::Open { sender, .. }, outbox: None, held: None, .. } = slot else {
            return self.send(id, payload);
        };
        if slot.subscriptions.as_ref().is_some_and(|it| self.topics.has_new(it)) {
            return self.send(id, payload);
        }
        let payload = match sender.send_but_payload(payload, &mut self.out) {
            Ok(payload) => payload,
            Err(misuse) => return slot.status(Err(misuse), false),
        };
        match write(&mut self.out, payload, slot) {
            Ok(written) => {
                self.counters.bytes_sent += written as u64;
                let status = slot.status(Ok(()), self.out.len() > self.limits.outbox_pause_bytes);
                self.count_sent(status)
            }
            Err(error) => {
                empty(&mut self.out);
                self.cut(id, Closed::Lost(error));
                SendStatus::Dropped(Dropped::NotOpen)
            }
        }
    }

    pub(super) fn send_prepared(
        &mut self,
        id: ConnectionId,
        prepared: &mut Prepared,
    ) -> SendStatus {
        let status = self.write(id, |sender, out| sender.send_prepared(prepared, out));
        self.count_sent(status)
    }

    pub(super) fn send_part(&mut self, id: ConnectionId, part: Outgoing<Part<'_>>) -> SendStatus {
        let status = self.write(id, |sender, out| sender.send_part(part, out));
        if part.content.last {
            self.release(id);
            return self.count_sent(status);
        }
        status
    }

    /// Counts a message, unless it was dropped.
    #[inline]
    fn count_sent(&mut self, status: SendStatus) -> SendStatus {
        self.counters.messages_sent += u64::from(!matches!(status, SendStatus::Dropped(_)));
        status
    }

    pub(super) fn ping(&mut self, id: ConnectionId, payload: &[u8]) -> SendStatus {
        self.write(id, |sender, out| sender.ping(payload, out))
    }

    /// Writes the pong that is owed, unless the socket is full.
    #[inline]
    pub(super) fn flush_owed(&mut self, id: ConnectionId) {
        if let Some(slot) = self.slots.get(id)
            && let State::Open { sender, .. } = &slot.state
            && sender.wants_flush()
            && !slot.blocked
        {
            self.write(id, |sender, out| {
                sender.flush(out);
                Ok(())
            });
        }
    }

    /// Puts what was published for a connection into its output, behind what it was sent before.
    #[inline]
    pub(super) fn take_publications(&mut self, id: ConnectionId) {
        if let Some(slot) = self.slots.get(id)
            && let Some(subscriptions) = &slot.subscriptions
            && self.topics.has_new(subscriptions)
        {
            self.take_new_publications(id);
        }
    }

    fn take_new_publications(&mut self, id: ConnectionId) {
        let bytes_max = self.limits.outbox_bytes_max;
        let corked = self.corked == Some(id);
        let Some(slot) = self.slots.get_mut(id) else { return };
        let Slot { state, subscriptions, outbox, held, blocked, queued, .. } = slot;
        let (State::Open { sender, .. }, Some(subscriptions)) = (state, subscriptions) else {
            return;
        };
        let mut over = false;
        for (frames, count) in self.topics.take(id, subscriptions, sender.encoding()) {
            if sender.is_closed() {
                return;
            }
            let waiting = outbox.as_ref().filter(|_| *blocked).map_or(0, |outbox| outbox.bytes());
            over = waiting + held.as_ref().map_or(0, |held| held.bytes()) > bytes_max;
            if over {
                break;
            }
            *queued |= *blocked;
            self.counters.messages_sent += count;
            if sender.is_in_parts() {
                held.get_or_insert_default().append(|out| sender.send_encoded(frames, out));
            } else if outbox.is_none() && corked {
                sender.send_encoded(frames, &mut self.out);
            } else {
                outbox.get_or_insert_default().append(|out| sender.send_encoded(frames, out));
            }
        }
        if over {
            self.cut(id, Closed::NotReading);
        } else if slot.outbox.is_some() {
            self.mark_dirty(id);
        }
    }

    /// Appends the publications that were held back behind the last part of a message.
    fn release(&mut self, id: ConnectionId) {
        let Some(slot) = self.slots.get_mut(id) else { return };
        if let State::Open { sender, .. } = &slot.state
            && !sender.is_in_parts()
            && let Some(held) = slot.held.take()
        {
            match &mut slot.outbox {
                None if self.corked == Some(id) => {
                    held.for_each(|bytes| self.out.extend_from_slice(bytes))
                }
                None => slot.outbox = Some(held),
                Some(outbox) => held.for_each(|bytes| outbox.push(bytes)),
            }
            self.mark_dirty(id);
        }
    }

    /// Lets `write` append to the output of a connection that is open, behind what was published for it, unless the
    /// peer does not read.
    #[inline]
    pub(super) fn write(
        &mut self,
        id: ConnectionId,
        mut write: impl FnMut(&mut Sender, &mut Vec<u8>) -> Result<(), SendError>,
    ) -> SendStatus {
        // Nearly all are answers to what is being handled, and nothing waits.
        if self.corked == Some(id)
            && let Some(slot) = self.slots.get_mut(id)
            && let Slot { state: State::Open { sender, .. }, outbox: None, held: None, .. } = slot
            && !slot.subscriptions.as_ref().is_some_and(|it| self.topics.has_new(it))
        {
            let written = write(sender, &mut self.out);
            return slot.status(written, self.out.len() > self.limits.outbox_pause_bytes);
        }
        self.write_in_order(id, &mut write)
    }

    /// The same for what has to go behind something else, or to another connection than the one that is handled.
    #[cold] // so that answers are what is compiled for
    fn write_in_order(&mut self, id: ConnectionId, write: &mut Append<'_>) -> SendStatus {
        let way_is_free = self.slots.get(id).is_some_and(|slot| {
            let new = slot.subscriptions.as_ref().is_some_and(|it| self.topics.has_new(it));
            slot.outbox.is_none() && slot.held.is_none() && !new
        });
        if !way_is_free && let Err(dropped) = self.make_way(id) {
            return SendStatus::Dropped(dropped);
        }
        self.append(id, write)
    }

    /// Puts what was published for a connection before what it is about to be sent, unless it is too far behind
    /// already.
    #[cold]
    fn make_way(&mut self, id: ConnectionId) -> Result<(), Dropped> {
        self.take_publications(id);
        let bytes_max = self.limits.outbox_bytes_max;
        match self.slots.get(id) {
            Some(slot @ Slot { state: State::Open { .. }, .. }) if slot.is_behind(bytes_max) => {
                // Without a close frame, which would have to wait too.
                self.cut(id, Closed::NotReading);
                Err(Dropped::NotReading)
            }
            Some(Slot { state: State::Open { .. }, .. }) => Ok(()),
            Some(_) | None => Err(Dropped::NotOpen),
        }
    }

    /// Lets `write` append to the output of a connection that is open.
    #[inline]
    pub(super) fn append(
        &mut self,
        id: ConnectionId,
        write: impl FnOnce(&mut Sender, &mut Vec<u8>) -> Result<(), SendError>,
    ) -> SendStatus {
        let Some(slot) = self.slots.get_mut(id) else {
            return SendStatus::Dropped(Dropped::NotOpen);
        };
        let Slot { state: State::Open { sender, .. }, outbox, .. } = slot else {
            return SendStatus::Dropped(Dropped::NotOpen);
        };
        let out = match outbox {
            None if self.corked == Some(id) => &mut self.out,
            _ => outbox.get_or_insert_default().tail(),
        };
        let before = out.len();
        let written = write(sender, out);
        let after = out.len();
        let waiting = match outbox {
            None => after,
            Some(outbox) => outbox.appended(after - before),
        };
        let status = slot.status(written, waiting > self.limits.outbox_pause_bytes);
        if slot.outbox.is_some() {
            self.mark_dirty(id);
        }
        status
    }
}
