//! What the reactor allocates for a message, on all its way from a read to a write: nothing, but for the cases whose
//! rows say what.
//!
//! The world is one without an operating system that allocates nothing itself. What was allocated in earlier turns,
//! such as buffers that have grown, is used again.

use allocation_counter::measure;
use tautline::{Deflate, Origins};

use super::memory::MemoryNet;
use super::*;

const WARM_UP_TURNS: usize = 5;
const MEASURED_TURNS: u64 = 8;
/// Fields of a request.
const NOT_COMPRESSED: &str = "";
const COMPRESSED: &str = "Sec-WebSocket-Extensions: permessage-deflate\r\n";

const TEXT: u8 = 0x81;
const BINARY: u8 = 0x82;
const TEXT_COMPRESSED: u8 = 0xC1;
const PING: u8 = 0x89;

/// What comes on each of some connections in each turn, and what it costs.
struct Case {
    server: Server,
    connections: u64,
    /// The first byte of each frame.
    first: u8,
    payload_bytes: usize,
    in_flight: u64,
    /// Allocations in each turn for each connection.
    allocations: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Server {
    Echo,
    Broadcast,
}

impl Handler for Server {
    type Session = ();

    fn on_open(&mut self, cx: &mut Context<'_, ()>) {
        if *self == Server::Broadcast {
            assert!(cx.subscribe("all"));
        }
    }

    fn on_message(&mut self, cx: &mut Context<'_, ()>, message: Message<'_>) {
        match self {
            Server::Echo => assert!(!matches!(cx.send(message), SendStatus::Dropped(_))),
            Server::Broadcast => cx.publish("all", message),
        }
    }
}

impl Case {
    const fn echo(first: u8, payload_bytes: usize, in_flight: u64) -> Self {
        let (server, connections) = (Server::Echo, 10);
        Self { server, connections, first, payload_bytes, in_flight, allocations: 0 }
    }

    const fn broadcast(first: u8, payload_bytes: usize, in_flight: u64) -> Self {
        let (server, connections) = (Server::Broadcast, 100);
        Self { server, connections, first, payload_bytes, in_flight, allocations: 0 }
    }

    const fn allocates(self, allocations: u64) -> Self {
        Self { allocations, ..self }
    }

    /// Compares what turns allocate, on connections whose requests have this field, with what the case says.
    fn check(&self, field: &str) {
        let Self { server, first, payload_bytes, in_flight, .. } = self;
        let name = format!("{server:?}: {first:#x}, {payload_bytes} bytes, {in_flight} at once");
        let (allocated, written) = self.run(field);
        let receivers = if *server == Server::Broadcast { self.connections } else { 1 };
        let messages = MEASURED_TURNS * self.connections * self.in_flight * receivers;
        // A server's frame is a client's without the masking key.
        let as_received = messages * (self.frame().len() as u64 - 4);
        match (field, self.first) {
            (NOT_COMPRESSED, _) => assert_eq!(written, as_received, "{name}: written"),
            (_, TEXT) => assert!(messages < written && written < as_received, "{name}: {written}"),
            _ => assert!(messages < written, "{name}: {written}"),
        }
        let expected = MEASURED_TURNS * self.connections * self.allocations;
        assert_eq!(allocated, expected, "{name} {field:?}");
    }

    /// What some turns allocate, and how many bytes they write.
    fn run(&self, field: &str) -> (u64, u64) {
        let request = String::from_utf8_lossy(REQUEST).replace("\r\n\r\n", "\r\n");
        let request = format!("{request}{field}\r\n").into_bytes();
        let frames = self.frame().repeat(self.in_flight as usize);
        let net = MemoryNet::new(self.connections as usize, request, frames);
        let reactor = Reactor::with_net(self.server, net).origins(Origins::Any);
        let mut reactor = reactor.deflate(Deflate::default()).listen(ADDRESS).unwrap();
        for _ in 0..WARM_UP_TURNS {
            reactor.turn(None).unwrap();
        }
        let before = reactor.net().written();
        let allocated = measure(|| {
            for _ in 0..MEASURED_TURNS {
                reactor.turn(None).unwrap();
            }
        });
        (allocated.count_total, reactor.net().written() - before)
    }

    fn frame(&self) -> Vec<u8> {
        let text = (0_u64..).flat_map(|n| format!("{{\"id\":{}}},", n * 7919).into_bytes());
        let text: Vec<_> = text.take(self.payload_bytes).collect();
        if self.first != TEXT_COMPRESSED {
            return frame(self.first, &text);
        }
        let mut compressed = Vec::with_capacity(text.len() + 64);
        flate2::Compress::new(flate2::Compression::fast(), false)
            .compress_vec(&text, &mut compressed, flate2::FlushCompress::Sync)
            .unwrap();
        // Its last four bytes are not sent (RFC 7692 section 7.2.1).
        frame(self.first, &compressed[..compressed.len() - 4])
    }
}

/// Answers with a long message that cannot be compressed.
struct Long(Vec<u8>);

impl Handler for Long {
    type Session = ();

    fn on_message(&mut self, cx: &mut Context<'_, ()>, _: Message<'_>) {
        assert_eq!(cx.send(Message::Binary(&self.0)), SendStatus::Sent);
    }
}

#[test]
fn a_long_message_leaves_no_long_buffer_behind() {
    const BYTES: usize = 8 * 1024 * 1024;
    let noise =
        (0..BYTES as u32).map(|n| (n.wrapping_mul(n).wrapping_mul(0x9E37_79B9) >> 24) as u8);
    let request = String::from_utf8_lossy(REQUEST).replace("\r\n\r\n", "\r\n");
    let net =
        MemoryNet::new(1, format!("{request}{COMPRESSED}\r\n").into_bytes(), frame(TEXT, b"more"));
    let reactor = Reactor::with_net(Long(noise.collect()), net).origins(Origins::Any);
    let mut reactor = reactor.deflate(Deflate::default()).listen(ADDRESS).unwrap();
    let kept = measure(|| {
        for _ in 0..WARM_UP_TURNS {
            reactor.turn(None).unwrap();
        }
    });
    assert!(reactor.net().written() > BYTES as u64);
    assert!(kept.bytes_current < BYTES as i64 / 4, "{kept:?}");
}

#[test]
fn a_message_that_lies_whole_in_a_read_is_echoed_without_an_allocation() {
    for first in [TEXT, BINARY] {
        for payload_bytes in [0, 16, 1024] {
            for in_flight in [1, 32] {
                Case::echo(first, payload_bytes, in_flight).check(NOT_COMPRESSED);
            }
        }
        Case::echo(first, 64 * 1024, 1).check(NOT_COMPRESSED);
        // The buffer of a read is 256 KiB, with the header.
        Case::echo(first, 255 * 1024, 1).check(NOT_COMPRESSED);
    }
}

#[test]
fn a_message_is_published_to_100_connections_without_an_allocation() {
    for first in [TEXT, BINARY] {
        for in_flight in [1, 16] {
            Case::broadcast(first, 16, in_flight).check(NOT_COMPRESSED);
            Case::broadcast(first, 128, in_flight).check(NOT_COMPRESSED);
        }
        // Together more than the log holds, which is delivered in between.
        Case::broadcast(first, 64 * 1024, 1).check(NOT_COMPRESSED);
    }
}

#[test]
fn a_message_is_compressed_without_an_allocation_for_one_or_for_100() {
    for payload_bytes in [128, 1024, 32 * 1024] {
        Case::echo(TEXT, payload_bytes, 1).check(COMPRESSED);
    }
    Case::echo(TEXT, 1024, 32).check(COMPRESSED);
    Case::broadcast(TEXT, 128, 1).check(COMPRESSED);
    Case::broadcast(TEXT, 128, 16).check(COMPRESSED);
    Case::broadcast(TEXT, 1024, 1).check(COMPRESSED);
}

// What it is inflated with, and to, is lent.
#[test]
fn a_compressed_message_is_received_without_an_allocation_however_many_get_it() {
    for payload_bytes in [16, 128, 1024, 32 * 1024] {
        Case::echo(TEXT_COMPRESSED, payload_bytes, 1).check(COMPRESSED);
    }
    Case::echo(TEXT_COMPRESSED, 1024, 32).check(COMPRESSED);
    Case::broadcast(TEXT_COMPRESSED, 128, 1).check(COMPRESSED);
    Case::broadcast(TEXT_COMPRESSED, 128, 16).check(COMPRESSED);
    Case::broadcast(TEXT_COMPRESSED, 1024, 1).check(COMPRESSED);
}

// A read takes 256 KiB. What a message is gathered in that does not lie whole in one is lent.
#[test]
fn a_message_of_several_reads_is_echoed_without_an_allocation() {
    for first in [TEXT, BINARY] {
        Case::echo(first, 512 * 1024, 1).check(NOT_COMPRESSED);
        Case::echo(first, 1024 * 1024 - 14, 1).check(NOT_COMPRESSED);
        Case::echo(first, 1024 * 1024, 1).check(NOT_COMPRESSED);
        Case::echo(first, 64 * 1024, 32).check(NOT_COMPRESSED);
    }
}

#[test]
fn a_ping_takes_an_allocation_for_what_is_owed_and_one_for_its_payload() {
    for in_flight in [1, 32] {
        Case::echo(PING, 0, in_flight).allocates(in_flight).check(NOT_COMPRESSED);
        Case::echo(PING, 16, in_flight).allocates(2 * in_flight).check(NOT_COMPRESSED);
    }
}

// What was read behind the message that fills the log of 256 KiB waits for the log to be delivered, in a boxed buffer;
// the list of those that are read on in the next turn begins anew.
#[test]
fn publications_beyond_what_the_log_holds_take_3_allocations_each_time_that_it_is_full() {
    let case = Case::broadcast(BINARY, 2048, 10);
    let (allocated, written) = case.run(NOT_COMPRESSED);
    let times = written / case.connections / (256 * 1024);
    assert!(times > 50 && allocated <= 3 * (times + MEASURED_TURNS), "{allocated} in {times}");
}
