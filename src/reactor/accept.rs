//! Accepting: within the limits, and beyond the descriptors that there are.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::Reactor;
use super::counters::Refused;
use super::handler::Handler;
use super::net::Net;
use super::socket::{Inbound, Socket};
use super::tls::Tls;
use super::world::{Slot, State};
use crate::frame::Role;
use crate::handshake::Refusal;
#[cfg(feature = "tls")]
use crate::tls::ServerTls;

/// Connections accepted in a row, after which the others have their turn.
const ACCEPTS_MAX: usize = 256;
/// Errors in a row that say nothing of the connections behind them.
const FAILURES_MAX: usize = 16;
/// When accepting is tried again after it failed for want of descriptors or memory.
const RETRY_AFTER: Duration = Duration::from_millis(100);

pub(super) struct Listener<L> {
    pub(super) listener: L,
    /// Connections may wait.
    pub(super) waiting: bool,
    /// What is shown to those who connect.
    #[cfg(feature = "tls")]
    pub(super) tls: Option<ServerTls>,
}

impl<L> Listener<L> {
    /// The TLS of a connection that was accepted, if it is to have any.
    #[cfg(feature = "tls")]
    fn tls(&self) -> io::Result<Option<Box<Tls>>> {
        let session = self.tls.as_ref().map(ServerTls::session).transpose()?;
        Ok(session.map(Tls::new))
    }

    #[cfg(not(feature = "tls"))]
    fn tls(&self) -> io::Result<Option<Box<Tls>>> {
        Ok(None)
    }

    #[cfg(feature = "tls")]
    fn is_secure(&self) -> bool {
        self.tls.is_some()
    }

    #[cfg(not(feature = "tls"))]
    fn is_secure(&self) -> bool {
        false
    }
}

/// Whether accepting goes on.
///
/// Listeners are edge-triggered: what waits when descriptors run out is not told again. So accepting is tried again
/// after a while, and as soon as a connection ends. Where it still fails, those who wait are turned away, so that
/// nobody waits for good.
#[derive(Default)]
pub(super) struct Accepting {
    /// Some listener was left with connections that wait.
    wants_turn: bool,
    /// Accepting failed, and is tried again at this time.
    retry_at: Option<Instant>,
}

impl Accepting {
    pub(super) fn wants_turn(&self) -> bool {
        self.wants_turn
    }

    pub(super) fn retry_at(&self) -> Option<Instant> {
        self.retry_at
    }

    /// There are descriptors: whoever still waits gets the whole time again.
    fn progress(&mut self, now: Instant) {
        if self.retry_at.is_some() {
            self.retry_at = now.checked_add(RETRY_AFTER);
        }
    }

    pub(super) fn descriptor_freed(&mut self, now: Instant) {
        if self.retry_at.is_some() {
            self.retry_at = Some(now);
        }
    }
}

impl<H: Handler, N: Net> Reactor<H, N> {
    /// Takes the connections that wait at a listener, up to a share.
    pub(super) fn accept(&mut self, number: usize) {
        let Some(listener) = self.listeners.get_mut(number) else { return };
        listener.waiting = true;
        let mut failures = 0;
        for _ in 0..ACCEPTS_MAX {
            let Some(listener) = self.listeners.get_mut(number) else { return };
            match self.net.accept(&listener.listener) {
                Ok((stream, address)) => {
                    self.accepting.progress(self.world.now);
                    self.world.counters.accepted += 1;
                    // It fails where there is no randomness, and then nothing can be said.
                    if let Ok(tls) = listener.tls() {
                        self.admit(stream, address, tls);
                    }
                }
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock => {
                        listener.waiting = false;
                        if !self.listeners.iter().any(|it| it.waiting) {
                            self.accepting.retry_at = None;
                        }
                        return;
                    }
                    _ if is_exhausted(&error) => return self.starve(number),
                    // That one is gone (accept(2)); the next one may be there. A listener that has only errors is left
                    // for a while.
                    _ if failures < FAILURES_MAX => failures += 1,
                    _ => {
                        self.accepting.retry_at = self.world.now.checked_add(RETRY_AFTER);
                        return;
                    }
                },
            }
        }
        self.accepting.wants_turn = true;
    }

    /// Descriptors or memory have run out: tries again later, and where that was in vain, turns away who waits.
    fn starve(&mut self, number: usize) {
        let now = self.world.now;
        match (self.accepting.retry_at, self.listeners.get(number)) {
            (Some(at), _) if at > now => return,
            (Some(_), Some(listener)) => {
                let mut answer = Vec::new();
                // Where TLS is spoken, nobody could read it.
                if !listener.is_secure() {
                    Refusal::Overload.response().write(false, &mut answer);
                }
                let turned_away = self.net.turn_away(&listener.listener, &answer);
                self.world.counters.accepted += turned_away as u64;
                self.world.counters.refused.descriptors += turned_away as u64;
            }
            _ => {}
        }
        self.accepting.retry_at = now.checked_add(RETRY_AFTER);
    }

    /// Goes on accepting where it was interrupted.
    pub(super) fn retry_accepting(&mut self) {
        let due = self.accepting.retry_at.is_some_and(|at| at <= self.world.now);
        if !std::mem::take(&mut self.accepting.wants_turn) && !due {
            return;
        }
        let waiting: Vec<_> = (0..self.listeners.len())
            .filter(|it| self.listeners.get(*it).is_some_and(|it| it.waiting))
            .collect();
        if waiting.is_empty() {
            self.accepting.retry_at = None;
        }
        for number in waiting {
            if due {
                // For each of them this is the second attempt.
                self.accepting.retry_at = Some(self.world.now);
            }
            self.accept(number);
        }
    }

    /// Gives an accepted connection its place.
    fn admit(&mut self, stream: N::Stream, address: SocketAddr, tls: Option<Box<Tls>>) {
        let site = if self.world.slots.len() >= self.world.limits.connections_max {
            Err(Refused::Connections)
        } else {
            self.world.sites.enter(address.ip(), &self.world.limits)
        };
        let site = match site {
            Ok(site) => site,
            Err(refused) => return self.turn_down(stream, tls.is_some(), refused),
        };
        let state = State::Opening { until: self.world.handshake_deadline() };
        let mut slot = Slot::new(Role::Server, H::Session::default(), state);
        slot.site = site;
        match self.world.slots.insert(slot) {
            Ok(id) => {
                self.world.schedule(id);
                self.settle_in(id, stream, tls, Inbound::Request(address, None));
            }
            Err(slot) => self.world.leave_site(&slot),
        }
    }

    /// Refuses an accepted connection. It costs no place: the answer is lost where the socket does not take it now.
    fn turn_down(&mut self, mut stream: N::Stream, secure: bool, refused: Refused) {
        self.world.counters.refuse(refused);
        if !secure {
            let mut answer = Vec::new();
            Refusal::Overload.response().write(false, &mut answer);
            let _ = self.net.write(&mut stream, &answer);
        }
        let _ = self.net.shutdown(&mut stream);
        // A request that was not read would turn the end into a reset, which may overtake the answer.
        let _ = self.net.read(&mut stream, &mut self.receive_buffer);
    }

    /// Puts a socket in the place of its connection, and registers it: to read, where it is accepted. Most sockets never
    /// fill, and would only tell of room that nobody asked for.
    pub(super) fn settle_in(
        &mut self,
        id: super::ConnectionId,
        mut stream: N::Stream,
        tls: Option<Box<Tls>>,
        inbound: Inbound,
    ) {
        let (token, dials) = (id.to_token(), matches!(inbound, Inbound::Answer(_)));
        let registered = self.net.register(&mut stream, token).and_then(|()| match dials {
            true => self.net.register_writable(&mut stream, token),
            false => Ok(()),
        });
        if let Err(error) = registered {
            return self.world.cut(id, super::Closed::Lost(error));
        }
        let index = id.index as usize;
        if self.sockets.len() <= index {
            self.sockets.resize_with(index + 1, || None);
        }
        if let Some(place) = self.sockets.get_mut(index) {
            *place = Some(Socket::new(stream, tls, inbound));
        }
    }
}

/// Whether descriptors, buffers or memory have run out: EMFILE, ENFILE, ENOMEM, ENOBUFS of Linux and of the BSDs, and
/// Windows' names for them. The standard library has no kinds for most of these.
fn is_exhausted(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(24 | 23 | 12 | 105 | 55 | 10024 | 10055))
}
