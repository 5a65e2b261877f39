//! All connections as a handler can reach them: their sending halves, sessions, topics and deadlines.
//!
//! Nothing here knows a socket. What is to be written is put into the loop's send buffer, for the connection whose event
//! is being handled, or into the connection's outbox, and is written once when the event, or the turn, ends; but for long
//! messages, which are written from where they lie to a socket that comes with them.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::SEND_BYTES;
use super::counters::Counters;
use super::handler::Closed;
use super::memory::Memory;
use super::outbox::Outbox;
use super::rates::Rates;
use super::sending::SendStatus;
use super::sites::{SiteId, Sites};
use super::slab::{ConnectionId, Slab};
use super::stream::Stream;
use super::timers::Timers;
use super::tls::Tls;
use super::topics::{Subscriptions, Topics};
use crate::close::CloseCode;
use crate::connection::{Deadlines, Delivery, Event, Sender};
use crate::error::Violation;
use crate::frame::Role;
use crate::handshake::ClientRequest;
use crate::limits::Limits;
#[cfg(feature = "tls")]
use crate::tls::ClientTls;

pub(super) struct World<S> {
    /// The time of this turn.
    pub(super) now: Instant,
    pub(super) limits: Arc<Limits>,
    pub(super) slots: Slab<Slot<S>>,
    pub(super) topics: Topics,
    pub(super) timers: Timers,
    /// The loop's send buffer: what goes to the connection that is corked, behind nothing.
    pub(super) out: Vec<u8>,
    pub(super) corked: Option<ConnectionId>,
    /// Connections with output that was not tried yet.
    pub(super) dirty: Vec<ConnectionId>,
    /// Connections whose end the handler has not been told yet.
    pub(super) ended: VecDeque<(ConnectionId, Closed)>,
    /// Connections that have written all that was queued, which the handler was not told yet.
    pub(super) drained: Vec<ConnectionId>,
    /// Connections that are read again, after the handler had paused them.
    pub(super) resumed: Vec<ConnectionId>,
    /// Connections that are to be made.
    pub(super) dials: VecDeque<Dial>,
    pub(super) sites: Sites,
    pub(super) memory: Memory,
    pub(super) rates: Rates,
    pub(super) counters: Counters,
    /// Whom connections to `wss://` URLs trust.
    #[cfg(feature = "tls")]
    pub(super) client_tls: Option<ClientTls>,
    /// How long a shutdown may take that was just asked for.
    pub(super) shutdown: Option<Duration>,
    /// One was asked for.
    pub(super) shuts_down: bool,
}

/// A connection, but for its socket and what is received.
pub(super) struct Slot<S> {
    pub(super) session: S,
    pub(super) state: State,
    role: Role,
    /// Where it comes from; `None` where it is made.
    pub(super) site: Option<SiteId>,
    pub(super) outbox: Option<Box<Outbox>>,
    /// Publications that came inside a message in parts, for after its last.
    pub(super) held: Option<Box<Outbox>>,
    pub(super) subscriptions: Option<Box<Subscriptions>>,
    /// How messages are delivered, from the next one on.
    delivery: Delivery,
    /// The socket is full; it is written when it says that it has room.
    pub(super) blocked: bool,
    /// The handler wants no further message for now.
    pub(super) paused: bool,
    /// It is in `dirty`.
    dirty: bool,
    /// The handler was told that something is queued, and not yet that it is written.
    pub(super) queued: bool,
    /// The handler knows of the connection, and will be told of its end.
    pub(super) known: bool,
}

pub(super) enum State {
    /// In the opening handshake.
    Opening { until: Instant },
    /// Open.
    Open { sender: Sender, deadlines: Deadlines },
    /// A plain request is being answered by a stream.
    Streaming(Stream),
    /// All is said. What waits is written, and then the peer's end of the stream is waited for. An answer to a plain
    /// request has more time for as long as the peer takes some of it.
    Ending { until: Instant, is_answer: bool },
}

/// What becomes of the next event of a connection.
pub(super) enum BeforeEvent {
    /// A message is delivered so.
    Deliver(Delivery),
    /// It is not taken yet: the peer is too fast, or has to read first, or what was published has to be delivered.
    Wait,
    /// It is not taken: the peer sends more pings than it reads answers.
    Flooded,
    /// A message is thrown away: the connection is not open any more, as a handler has cut it.
    Discard,
}

/// A connection that is to be made.
pub(super) struct Dial {
    pub(super) id: ConnectionId,
    pub(super) address: SocketAddr,
    pub(super) request: ClientRequest,
    /// The TLS of a `wss://` URL.
    pub(super) tls: Option<Box<Tls>>,
}

impl<S> Slot<S> {
    pub(super) fn new(role: Role, session: S, state: State) -> Self {
        Self {
            session,
            state,
            role,
            site: None,
            outbox: None,
            held: None,
            subscriptions: None,
            delivery: Delivery::Whole,
            blocked: false,
            paused: false,
            dirty: false,
            queued: false,
            known: false,
        }
    }

    pub(super) fn waiting_bytes(&self) -> usize {
        self.outbox.as_ref().map_or(0, |outbox| outbox.bytes())
    }

    /// Whether too much waits for a peer that does not read, or for the end of a message in parts. What was not tried
    /// yet does not count.
    pub(super) fn is_behind(&self, bytes_max: usize) -> bool {
        let held = self.held.as_ref().map_or(0, |held| held.bytes());
        let waiting = if self.blocked { self.waiting_bytes() } else { 0 };
        held + waiting > bytes_max
    }

    /// What it holds, but for what is received.
    #[inline]
    pub(super) fn held_bytes(&self) -> usize {
        let sender = match &self.state {
            State::Open { sender, .. } => sender.held_bytes(),
            State::Opening { .. } | State::Streaming(_) | State::Ending { .. } => 0,
        };
        let outbox = self.outbox.as_ref().map_or(0, |outbox| outbox.held_bytes());
        let held = self.held.as_ref().map_or(0, |held| held.bytes());
        outbox + held + sender
    }

    fn deadline(&self, limits: &Limits) -> Option<Instant> {
        match &self.state {
            State::Opening { until } | State::Ending { until, .. } => Some(*until),
            State::Open { .. } if self.is_excused() => None,
            State::Open { deadlines, .. } => deadlines.next(limits),
            State::Streaming(stream) => stream.stalled_at,
        }
    }

    /// Whether its peer's silence says nothing: it is not heard, and nothing waits for it to take.
    pub(super) fn is_excused(&self) -> bool {
        self.paused && !self.blocked
    }

    /// Whether the handler can say something on it: it is open, or being answered by a stream.
    pub(super) fn is_open(&self) -> bool {
        matches!(self.state, State::Open { .. } | State::Streaming(_))
    }
}

impl<S> World<S> {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            now,
            limits: Arc::default(),
            slots: Slab::new(),
            topics: Topics::default(),
            timers: Timers::new(now),
            out: Vec::new(),
            corked: None,
            dirty: Vec::new(),
            ended: VecDeque::new(),
            drained: Vec::new(),
            resumed: Vec::new(),
            dials: VecDeque::new(),
            sites: Sites::default(),
            memory: Memory::default(),
            rates: Rates::default(),
            counters: Counters::default(),
            #[cfg(feature = "tls")]
            client_tls: None,
            shutdown: None,
            shuts_down: false,
        }
    }

    /// When a handshake that begins now has to be done.
    pub(super) fn handshake_deadline(&self) -> Instant {
        self.after(self.limits.handshake_within)
    }

    /// A time that is so far ahead; one that is too far to be reached is a century.
    pub(super) fn after(&self, within: Duration) -> Instant {
        const CENTURY: Duration = Duration::from_secs(100 * 365 * 86_400);
        let at = self.now.checked_add(within.min(CENTURY));
        at.unwrap_or(self.now)
    }

    pub(super) fn close(&mut self, id: ConnectionId, code: CloseCode, reason: &str) -> SendStatus {
        let status = self.write(id, |sender, out| sender.close(code, reason, out));
        self.closing(id);
        status
    }

    /// The peer has taken something of what waited for it: it lives, and has the time to take more.
    pub(super) fn was_taken(&mut self, id: ConnectionId) {
        let stalled_at = self.after(self.limits.pong_within);
        let ends_at = self.after(self.limits.close_within);
        match self.slots.get_mut(id).map(|slot| &mut slot.state) {
            Some(State::Open { .. }) => self.heard(id),
            // A shutdown has an end, however slowly an answer is read.
            Some(State::Streaming(stream)) if stream.shut_down => {}
            Some(State::Streaming(stream)) => stream.stalled_at = Some(stalled_at),
            Some(State::Ending { until, is_answer: true }) if !self.shuts_down => *until = ends_at,
            Some(State::Opening { .. } | State::Ending { .. }) | None => {}
        }
    }

    /// Bytes came from the peer, or were taken by it.
    pub(super) fn heard(&mut self, id: ConnectionId) {
        let now = self.now;
        if let Some(State::Open { deadlines, .. }) =
            self.slots.get_mut(id).map(|slot| &mut slot.state)
            && deadlines.heard(now)
        {
            self.schedule(id);
        }
    }

    /// Messages, or parts of one, came from the peer.
    pub(super) fn heard_messages(&mut self, id: ConnectionId) {
        let now = self.now;
        if let Some(State::Open { deadlines, .. }) =
            self.slots.get_mut(id).map(|slot| &mut slot.state)
        {
            deadlines.message(now);
        }
    }

    /// Notes what an event asks for, which is no message.
    pub(super) fn note(&mut self, id: ConnectionId, event: &Event<'_>) {
        let now = self.now;
        if let Some(State::Open { sender, deadlines }) =
            self.slots.get_mut(id).map(|it| &mut it.state)
        {
            crate::connection::note(event, sender, deadlines, now);
        }
    }

    /// What is to be known of a connection before its next event. Asked before each: handlers change it.
    #[inline]
    pub(super) fn before_event(&self, id: ConnectionId) -> BeforeEvent {
        let Some(slot) = self.slots.get(id) else { return BeforeEvent::Discard };
        if self.has_to_wait(slot) || self.is_too_fast(id) {
            return BeforeEvent::Wait;
        }
        match &slot.state {
            State::Open { sender, .. } if sender.is_flooded(&self.limits) => BeforeEvent::Flooded,
            State::Open { .. } => BeforeEvent::Deliver(slot.delivery),
            State::Opening { .. } | State::Streaming(_) | State::Ending { .. } => {
                BeforeEvent::Discard
            }
        }
    }

    pub(super) fn role(&self, id: ConnectionId) -> Role {
        self.slots.get(id).map_or(Role::Server, |slot| slot.role)
    }

    pub(super) fn set_delivery(&mut self, id: ConnectionId, delivery: Delivery) {
        if let Some(slot) = self.slots.get_mut(id) {
            slot.delivery = delivery;
        }
    }

    pub(super) fn fail(&mut self, id: ConnectionId, violation: Violation) {
        self.take_publications(id);
        if let Some(State::Open { sender, .. }) = self.slots.get_mut(id).map(|slot| &mut slot.state)
        {
            sender.fail(violation);
        }
        self.end(id, Closed::Violation(violation));
    }

    /// A close frame went to the peer: its answer has a deadline, and is read in any case.
    fn closing(&mut self, id: ConnectionId) {
        let now = self.now;
        if let Some(State::Open { sender, deadlines }) =
            self.slots.get_mut(id).map(|it| &mut it.state)
            && sender.is_closed()
        {
            deadlines.closing(now);
            self.resume_reading(id);
            self.schedule(id);
        }
    }

    /// All is said: writes what is owed, and lets the handler be told, once.
    pub(super) fn end(&mut self, id: ConnectionId, closed: Closed) {
        self.append(id, |sender, out| {
            sender.flush(out);
            Ok(())
        });
        self.ending(id, self.after(self.limits.close_within), closed);
    }

    /// Ends a connection to whose peer nothing more can be said. It gets the time to read what was.
    #[cfg(feature = "tls")]
    pub(super) fn give_up(&mut self, id: ConnectionId, closed: Closed) {
        if let Some(slot) = self.slots.get_mut(id) {
            slot.outbox = None;
            self.ending(id, self.after(self.limits.close_within), closed);
        }
    }

    /// Ends a connection at once: what waits for the peer is thrown away.
    pub(super) fn cut(&mut self, id: ConnectionId, closed: Closed) {
        if let Some(slot) = self.slots.get_mut(id)
            && !matches!(slot.state, State::Ending { .. })
        {
            slot.outbox = None;
            self.ending(id, self.now, closed);
        }
    }

    /// Ends a connection because all of them hold too much, and this one holds a good part of it.
    pub(super) fn shed(&mut self, id: ConnectionId) {
        let now = self.now;
        match self.slots.get_mut(id) {
            Some(Slot { state: State::Open { .. }, outbox: None, .. }) => {
                self.close(id, CloseCode::TRY_AGAIN_LATER, "overloaded");
                self.end(id, Closed::Overload);
            }
            // It is about to be let go of.
            Some(Slot { state: State::Ending { until, .. }, outbox: None, .. })
                if *until <= now => {}
            Some(Slot { state: State::Ending { until, is_answer }, outbox, .. }) => {
                (*until, *is_answer, *outbox) = (now, false, None);
                self.mark_dirty(id);
            }
            Some(slot) => {
                self.counters.refused.memory += u64::from(!slot.known);
                self.cut(id, Closed::Overload);
            }
            None => {}
        }
        self.memory.set(id, 0);
    }

    fn ending(&mut self, id: ConnectionId, until: Instant, closed: Closed) {
        let Some(slot) = self.slots.get_mut(id) else { return };
        if matches!(slot.state, State::Ending { .. }) {
            return;
        }
        let is_answer = !slot.known && until > self.now;
        let state = State::Ending { until, is_answer };
        let before = std::mem::replace(&mut slot.state, state);
        slot.paused = false;
        self.rates.end(id.index);
        slot.held = None;
        let site = slot.site;
        if slot.known {
            self.counters.close(&closed);
            self.ended.push_back((id, closed));
        }
        self.end_handshake(site, &before);
        self.schedule(id);
        self.mark_dirty(id);
    }

    /// Sees to it that the loop looks at a connection no later than at its deadline. Later deadlines are found when an
    /// earlier one is looked at, so that no message sets a timer.
    pub(super) fn schedule(&mut self, id: ConnectionId) {
        let Some(deadline) = self.deadline(id) else { return };
        if self.timers.deadline(id.index).is_none_or(|scheduled| deadline < scheduled) {
            self.timers.set(id.index, deadline);
        }
    }

    /// The opening handshake is done.
    pub(super) fn open(&mut self, id: ConnectionId, sender: Sender) {
        let deadlines = Deadlines::new(self.now);
        let Some(slot) = self.slots.get_mut(id) else { return };
        let before = std::mem::replace(&mut slot.state, State::Open { sender, deadlines });
        slot.known = true;
        let site = slot.site;
        self.end_handshake(site, &before);
        self.rates.begin(id.index, &self.limits);
        self.counters.opened += 1;
        self.schedule(id);
    }

    /// Whether a connection is in its opening handshake.
    pub(super) fn is_opening(&self, id: ConnectionId) -> bool {
        self.slots.get(id).is_some_and(|slot| matches!(slot.state, State::Opening { .. }))
    }

    /// A connection has left its opening handshake, if it was in it.
    pub(super) fn end_handshake(&mut self, site: Option<SiteId>, before: &State) {
        if let (Some(site), State::Opening { .. }) = (site, before) {
            self.sites.end_handshake(site);
        }
    }

    /// A connection is gone.
    pub(super) fn leave_site(&mut self, slot: &Slot<S>) {
        if let Some(site) = slot.site {
            self.end_handshake(Some(site), &slot.state);
            self.sites.leave(site);
        }
    }

    pub(super) fn deadline(&self, id: ConnectionId) -> Option<Instant> {
        let deadline = self.slots.get(id)?.deadline(&self.limits);
        [deadline, self.rates.paused_until(id.index)].into_iter().flatten().min()
    }

    /// Whether something is left to do in the next turn, whatever comes.
    pub(super) fn goes_on(&self) -> bool {
        !self.drained.is_empty() || !self.dials.is_empty()
    }

    /// Whether nothing is left to do in this turn.
    pub(super) fn is_settled(&self) -> bool {
        self.dirty.is_empty() && self.topics.log_bytes() == 0
    }

    /// Whether the next message of a connection has to wait: for its rate, for the handler, for the peer to read what
    /// was sent to it, or for what was published to be delivered.
    #[inline]
    pub(super) fn must_wait(&self, id: ConnectionId) -> bool {
        self.rates.paused_until(id.index).is_some()
            || self.slots.get(id).is_some_and(|it| self.has_to_wait(it))
    }

    /// Takes no further message from a connection that is open and not closing, until it is resumed.
    pub(super) fn pause_reading(&mut self, id: ConnectionId) {
        let now = self.now;
        if let Some(slot) = self.slots.get_mut(id)
            && let State::Open { sender, deadlines } = &mut slot.state
            && !sender.is_closed()
            && !std::mem::replace(&mut slot.paused, true)
        {
            // Its answer to a ping may be what is not read now.
            deadlines.heard(now);
            self.schedule(id);
        }
    }

    /// Takes its messages again. Its deadlines begin anew.
    pub(super) fn resume_reading(&mut self, id: ConnectionId) {
        let now = self.now;
        if let Some(slot) = self.slots.get_mut(id)
            && std::mem::replace(&mut slot.paused, false)
            && let State::Open { deadlines, .. } = &mut slot.state
        {
            deadlines.heard(now);
            deadlines.message(now);
            self.resumed.push(id);
            self.schedule(id);
        }
    }

    #[inline]
    fn is_too_fast(&self, id: ConnectionId) -> bool {
        self.rates.must_wait(id.index, self.now, &self.limits).is_some()
    }

    /// Reads no further from a connection that is too fast, for a while.
    #[inline]
    pub(super) fn pause_if_too_fast(&mut self, id: ConnectionId) -> bool {
        let Some(until) = self.rates.must_wait(id.index, self.now, &self.limits) else {
            return false;
        };
        self.rates.pause(id.index, until);
        self.counters.rate_pauses += 1;
        self.schedule(id);
        true
    }

    /// A message was taken from a connection, or a ping or a pong.
    #[inline]
    pub(super) fn have_taken(&mut self, id: ConnectionId) {
        self.rates.take_message(id.index, self.now, &self.limits);
    }

    /// How many bytes may be read from a connection now.
    #[inline]
    pub(super) fn may_read_bytes(&self, id: ConnectionId) -> usize {
        self.rates.bytes_left(id.index, self.now, &self.limits)
    }

    /// So many bytes were read from a connection.
    #[inline]
    pub(super) fn have_read(&mut self, id: ConnectionId, bytes: usize) {
        self.rates.take_bytes(id.index, self.now, bytes, &self.limits);
    }

    #[inline]
    fn has_to_wait(&self, slot: &Slot<S>) -> bool {
        slot.paused
            || slot.waiting_bytes() > self.limits.outbox_pause_bytes
            || self.topics.log_bytes() > SEND_BYTES
    }

    /// Subscribes a connection that is open. False where it is not, or was subscribed already.
    pub(super) fn subscribe(&mut self, id: ConnectionId, topic: &str) -> bool {
        self.take_publications(id);
        let Some(slot) = self.slots.get_mut(id) else { return false };
        if !matches!(slot.state, State::Open { .. }) {
            return false;
        }
        let subscriptions = slot.subscriptions.get_or_insert_default();
        self.topics.subscribe(id, topic, subscriptions)
    }

    pub(super) fn unsubscribe(&mut self, id: ConnectionId, topic: &str) {
        self.take_publications(id);
        let Some(slot) = self.slots.get_mut(id) else { return };
        let Some(subscriptions) = &mut slot.subscriptions else { return };
        let moved = self.topics.unsubscribe(topic, subscriptions);
        if subscriptions.is_empty() {
            slot.subscriptions = None;
        }
        self.moved(moved);
    }

    pub(super) fn unsubscribe_all(&mut self, id: ConnectionId) {
        let Some(mut subscriptions) =
            self.slots.get_mut(id).and_then(|slot| slot.subscriptions.take())
        else {
            return;
        };
        while let Some(moved) = self.topics.leave_any(&mut subscriptions) {
            self.moved(moved);
        }
    }

    fn moved(&mut self, moved: Option<super::topics::Moved>) {
        if let Some(moved) = moved
            && let Some(subscriptions) =
                self.slots.get_mut(moved.id).and_then(|it| it.subscriptions.as_mut())
        {
            subscriptions.moved(moved);
        }
    }

    pub(super) fn mark_dirty(&mut self, id: ConnectionId) {
        if let Some(slot) = self.slots.get_mut(id)
            && !std::mem::replace(&mut slot.dirty, true)
        {
            self.dirty.push(id);
        }
    }

    pub(super) fn next_dirty(&mut self) -> Option<ConnectionId> {
        let id = self.dirty.pop()?;
        if let Some(slot) = self.slots.get_mut(id) {
            slot.dirty = false;
        }
        Some(id)
    }
}
