//! What the engine has counted, in Prometheus' text format (version 0.0.4).

use std::fmt::Write;

use tautline::reactor::{Counters, Hub};

/// The media type of the format.
pub const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What there was at a time.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    counters: Counters,
    connections: usize,
    handshakes: usize,
    held_bytes: usize,
}

impl Snapshot {
    /// What there is now.
    pub fn take<S>(hub: &Hub<'_, S>) -> Self {
        Self {
            counters: hub.counters().clone(),
            connections: hub.connections(),
            handshakes: hub.handshakes(),
            held_bytes: hub.held_bytes(),
        }
    }

    /// The text.
    pub fn text(&self, relay: &RelayNumbers) -> String {
        let mut page = Page(String::new());
        relay.write(&mut page);
        page.gauge(
            "tautline_connections",
            "Connections, those in their handshake included.",
            self.connections,
        );
        page.gauge(
            "tautline_handshakes",
            "Connections in their opening handshake.",
            self.handshakes,
        );
        page.gauge("tautline_held_bytes", "Bytes that connections hold together.", self.held_bytes);
        let Counters { refused, closed, .. } = &self.counters;
        let it = &self.counters;
        for (name, help, value) in [
            ("tautline_accepted", "Connections taken from the listener.", it.accepted),
            ("tautline_opened", "Opening handshakes that came to an open connection.", it.opened),
            ("tautline_requests", "Requests for something else than a WebSocket.", it.requests),
            ("tautline_messages_received", "Messages received.", it.messages_received),
            ("tautline_messages_sent", "Messages sent, to each receiver.", it.messages_sent),
            ("tautline_bytes_received", "Bytes received, after TLS.", it.bytes_received),
            ("tautline_bytes_sent", "Bytes that sockets have taken, before TLS.", it.bytes_sent),
            (
                "tautline_rate_pauses",
                "Times that a connection was too fast, and not read for a while.",
                it.rate_pauses,
            ),
            ("tautline_tls_failures", "TLS connections that failed.", it.tls_failures),
        ] {
            page.counter(name, help, &[("", value)]);
        }
        page.counter(
            "tautline_refused",
            "Connections that were accepted and did not open, by reason.",
            &[
                ("connections", refused.connections),
                ("connections_of_address", refused.connections_of_address),
                ("handshakes", refused.handshakes),
                ("handshakes_of_address", refused.handshakes_of_address),
                ("descriptors", refused.descriptors),
                ("timeout", refused.timeouts),
                ("memory", refused.memory),
                ("malformed", refused.malformed),
                ("by_handler", refused.by_handler),
            ],
        );
        page.counter(
            "tautline_closed",
            "Connections that ended after they were open, by how they ended.",
            &[
                ("agreed", closed.agreed),
                ("violation", closed.violation),
                ("silent", closed.silent),
                ("unanswered", closed.unanswered),
                ("not_reading", closed.not_reading),
                ("overload", closed.overload),
                ("lost", closed.lost),
            ],
        );
        page.0
    }
}

/// What the relay has and has counted.
#[derive(Clone, Copy, Debug, Default)]
pub struct RelayNumbers {
    /// People who are in a room or connected.
    pub people: usize,
    /// Rooms.
    pub rooms: usize,
    /// Things that wait for the store.
    pub store_waiting: usize,
    /// Messages that were stored.
    pub messages_stored: u64,
    /// Things that the disk has refused.
    pub storage_failures: u64,
}

impl RelayNumbers {
    fn write(&self, page: &mut Page) {
        page.gauge("relay_people", "People who are in a room or connected.", self.people);
        page.gauge("relay_rooms", "Rooms.", self.rooms);
        page.gauge("relay_store_waiting", "Things that wait for the store.", self.store_waiting);
        let stored = [("", self.messages_stored)];
        page.counter("relay_messages_stored", "Messages that were stored.", &stored);
        let failures = [("", self.storage_failures)];
        page.counter("relay_storage_failures", "Things that the disk has refused.", &failures);
    }
}

struct Page(String);

impl Page {
    fn gauge(&mut self, name: &str, help: &str, value: usize) {
        // Writing to a string does not fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}");
    }

    /// One line for each reason; an empty reason is none.
    fn counter(&mut self, name: &str, help: &str, values: &[(&str, u64)]) {
        let _ = writeln!(self.0, "# HELP {name}_total {help}\n# TYPE {name}_total counter");
        for (reason, value) in values {
            let label =
                if reason.is_empty() { String::new() } else { format!("{{reason=\"{reason}\"}}") };
            let _ = writeln!(self.0, "{name}_total{label} {value}");
        }
    }
}
