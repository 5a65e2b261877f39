//! What a loop has done, as plain numbers: [`Counters`].

use super::handler::Closed;

/// What a loop has done since it began. The numbers only grow.
///
/// [`Hub::counters`](super::Hub::counters) gives them; what there is at a time is told by
/// [`Hub::connections`](super::Hub::connections), [`handshakes`](super::Hub::handshakes) and
/// [`held_bytes`](super::Hub::held_bytes).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Connections that were taken from a listener, those that were refused among them.
    pub accepted: u64,
    /// Opening handshakes that came to an open connection, of either role.
    pub opened: u64,
    /// Requests for no upgrade, which [`on_request`](super::Handler::on_request) answered.
    pub requests: u64,
    /// Those of them that are answered by a [stream](super::Answer::Stream).
    pub streams: u64,
    /// Messages received, whole ones and those in parts; counted when the run of bytes that they came in is handled.
    pub messages_received: u64,
    /// Messages sent, each subscriber's copy of a publication among them.
    pub messages_sent: u64,
    /// Bytes received, after TLS.
    pub bytes_received: u64,
    /// Bytes that sockets, or TLS before them, have taken. The refusals of those who are over a limit are not among
    /// them.
    pub bytes_sent: u64,
    /// How often a connection was not read for a while, because it was faster than
    /// [`messages_per_second_max`](crate::Limits::messages_per_second_max) or
    /// [`bytes_per_second_max`](crate::Limits::bytes_per_second_max).
    pub rate_pauses: u64,
    /// TLS connections that failed, most of them in their handshake: peers that do not speak TLS, or not HTTP/1.1
    /// within it, or are not trusted, or do not trust us.
    pub tls_failures: u64,
    /// Connections that never opened.
    pub refused: RefusedCounters,
    /// Connections that were open, or were to be made, or answered by a stream, by how they ended.
    pub closed: ClosedCounters,
}

/// Connections that were accepted and did not open, by reason. Those that left by themselves, that failed, or that a
/// shutdown has ended are in none of these.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RefusedCounters {
    /// Over [`connections_max`](crate::Limits::connections_max).
    pub connections: u64,
    /// Over [`connections_per_address_max`](crate::Limits::connections_per_address_max).
    pub connections_of_address: u64,
    /// Over [`handshakes_max`](crate::Limits::handshakes_max).
    pub handshakes: u64,
    /// Over [`handshakes_per_address_max`](crate::Limits::handshakes_per_address_max).
    pub handshakes_of_address: u64,
    /// For want of descriptors or of kernel memory.
    pub descriptors: u64,
    /// The handshake took longer than [`handshake_within`](crate::Limits::handshake_within).
    pub timeouts: u64,
    /// Over [`held_bytes_max`](crate::Limits::held_bytes_max).
    pub memory: u64,
    /// The request was malformed, too large, not over TLS, or of an origin that is not allowed.
    pub malformed: u64,
    /// [`on_upgrade`](super::Handler::on_upgrade) refused.
    pub by_handler: u64,
}

/// Connections that were open, or were to be made, or answered by a stream, by how they ended: the variants of
/// [`Closed`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClosedCounters {
    /// [`Closed::Agreed`]; streams that were finished among them.
    pub agreed: u64,
    /// [`Closed::Violation`].
    pub violation: u64,
    /// [`Closed::Silent`].
    pub silent: u64,
    /// [`Closed::Unanswered`].
    pub unanswered: u64,
    /// [`Closed::NotReading`].
    pub not_reading: u64,
    /// [`Closed::Overload`].
    pub overload: u64,
    /// [`Closed::Lost`] and [`Closed::Refused`].
    pub lost: u64,
}

/// Why a connection is refused before a byte of it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    Connections,
    ConnectionsOfAddress,
    Handshakes,
    HandshakesOfAddress,
}

impl Counters {
    pub(super) fn refuse(&mut self, refused: Refused) {
        let counter = match refused {
            Refused::Connections => &mut self.refused.connections,
            Refused::ConnectionsOfAddress => &mut self.refused.connections_of_address,
            Refused::Handshakes => &mut self.refused.handshakes,
            Refused::HandshakesOfAddress => &mut self.refused.handshakes_of_address,
        };
        *counter += 1;
    }

    pub(super) fn close(&mut self, closed: &Closed) {
        let counter = match closed {
            Closed::Agreed { .. } => &mut self.closed.agreed,
            Closed::Violation(_) => &mut self.closed.violation,
            Closed::Silent => &mut self.closed.silent,
            Closed::Unanswered => &mut self.closed.unanswered,
            Closed::NotReading => &mut self.closed.not_reading,
            Closed::Overload => &mut self.closed.overload,
            Closed::Lost(_) | Closed::Refused(_) => &mut self.closed.lost,
        };
        *counter += 1;
    }
}
