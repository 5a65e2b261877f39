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
    pub fn text(&self) -> String {
        let mut page = Page(String::new());
        page.gauge(
            "connections",
            "Connections, those in their handshake included.",
            self.connections,
        );
        page.gauge("handshakes", "Connections in their opening handshake.", self.handshakes);
        page.gauge("held_bytes", "Bytes that connections hold together.", self.held_bytes);
        let Counters { refused, closed, .. } = &self.counters;
        let it = &self.counters;
        for (name, help, value) in [
            ("accepted", "Connections taken from the listener.", it.accepted),
            ("opened", "Opening handshakes that came to an open connection.", it.opened),
            ("requests", "Requests for something else than a WebSocket.", it.requests),
            ("messages_received", "Messages received.", it.messages_received),
            ("messages_sent", "Messages sent, to each receiver.", it.messages_sent),
            ("bytes_received", "Bytes received, after TLS.", it.bytes_received),
            ("bytes_sent", "Bytes that sockets have taken, before TLS.", it.bytes_sent),
            (
                "rate_pauses",
                "Times that a connection was too fast, and not read for a while.",
                it.rate_pauses,
            ),
            ("tls_failures", "TLS connections that failed.", it.tls_failures),
        ] {
            page.counter(name, help, &[("", value)]);
        }
        page.counter(
            "refused",
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
            "closed",
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

struct Page(String);

impl Page {
    fn gauge(&mut self, name: &str, help: &str, value: usize) {
        // Writing to a string does not fail.
        let _ = writeln!(
            self.0,
            "# HELP tautline_{name} {help}\n# TYPE tautline_{name} gauge\ntautline_{name} {value}"
        );
    }

    /// One line for each reason; an empty reason is none.
    fn counter(&mut self, name: &str, help: &str, values: &[(&str, u64)]) {
        let _ = writeln!(
            self.0,
            "# HELP tautline_{name}_total {help}\n# TYPE tautline_{name}_total counter"
        );
        for (reason, value) in values {
            let label =
                if reason.is_empty() { String::new() } else { format!("{{reason=\"{reason}\"}}") };
            let _ = writeln!(self.0, "tautline_{name}_total{label} {value}");
        }
    }
}
