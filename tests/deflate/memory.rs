//! What a connection owns, and what its thread keeps. Memory is what this thread allocates, counted by the allocator.

use std::mem::forget;
use std::time::Instant;

use allocation_counter::{AllocationInfo, measure};
use tautline::deflate::HISTORY_BYTES_MAX;
use tautline::frame::Role;
use tautline::{Delivery, Event, Limits, Message, Part};

use super::ROLES;
use super::blocks::noise;
use super::sending::sender;
use super::support::deflate::{Deflater, agreed_as, compressed};
use super::support::drive::{Outcome, connection_after, receive};
use super::support::frames::frame;

/// What the decompressor of a thread takes, with its window and the text of a step.
pub(crate) const DECOMPRESSOR_BYTES: u64 = 128 * 1024;

/// What a compressor of a thread takes, with its output.
const COMPRESSOR_BYTES: u64 = 384 * 1024;

/// A thread keeps no more than so many compressors.
const COMPRESSORS_MAX: u64 = 32;

/// A fresh thread that has lent nothing yet.
fn on_a_fresh_thread(measured: impl FnOnce() -> AllocationInfo + Send + 'static) -> AllocationInfo {
    std::thread::spawn(measured).join().unwrap()
}

// The promise of the documentation: without context takeover a connection at rest owns nothing more.
#[test]
fn between_two_compressed_messages_a_receiver_owns_no_more_than_the_window_that_was_agreed_on() {
    for role in ROLES {
        for (takeover, bits) in [(false, 15), (false, 9), (true, 9), (true, 12), (true, 15)] {
            let (limits, agreed) = (Limits::default(), agreed_as(role, (takeover, bits)));
            let message = frame(role.peer(), 0xC2, &compressed(&noise(100_000)));
            let inflate = |run_bytes: usize| {
                let mut ws = connection_after(&agreed, role, &limits, Delivery::Whole);
                for run in message.repeat(3).chunks_mut(run_bytes) {
                    let mut incoming = ws.receive(Instant::now(), run);
                    while incoming.next().unwrap().is_some() {}
                }
                // All that is left is what it owns.
                forget(ws);
            };
            inflate(1_000_000);
            for run_bytes in [100, 1_000, 1_000_000] {
                let owned = measure(|| inflate(run_bytes)).bytes_current as u64;
                let window = if takeover { 1 << bits } else { 0 };
                // Its limits are in an allocation of their own here.
                assert!(owned <= window + 512, "{owned} bytes for {takeover}, {bits}");
                assert!(owned >= window);
            }
        }
    }
}

#[test]
fn between_two_compressed_messages_a_sender_owns_no_more_than_the_end_of_what_it_has_sent() {
    for role in ROLES {
        for (takeover, bits) in [(false, 15), (false, 9), (true, 9), (true, 12), (true, 15)] {
            let agreed = agreed_as(role, (takeover, bits));
            let mut out = Vec::with_capacity(1 << 20);
            let text = "some text, and then some more of it; ".repeat(300);
            let mut send = || {
                let mut sender = sender(role, &agreed);
                for _ in 0..3 {
                    sender.send(text.as_str(), &mut out).unwrap();
                    sender.send(Message::Binary(b"too short").compressed(), &mut out).unwrap();
                    let part = |last| Part { data: Message::Text(&text), last };
                    sender.send_part(part(false), &mut out).unwrap();
                    sender.send_part(part(true), &mut out).unwrap();
                }
                forget(sender);
            };
            send();
            let owned = measure(send).bytes_current as u64;
            let kept = if takeover { HISTORY_BYTES_MAX.min(1 << bits) as u64 } else { 0 };
            assert!(owned <= kept + 512, "{owned} bytes for {takeover}, {bits}");
            assert!(owned >= kept);
        }
    }
}

#[test]
fn an_unfinished_compressed_message_holds_a_decompressor_and_one_that_is_sent_a_compressor() {
    for role in ROLES {
        let agreed = agreed_as(role, (true, 15));
        let info = on_a_fresh_thread(move || {
            let mut ws = connection_after(&agreed, role, &Limits::default(), Delivery::Whole);
            let mut first = frame(role.peer(), 0x42, &compressed(b"Hello")[..1]);
            measure(|| assert!(ws.receive(Instant::now(), &mut first).next().unwrap().is_none()))
        });
        assert!(info.bytes_max <= DECOMPRESSOR_BYTES, "{info:?}");

        let agreed = agreed_as(role, (true, 15));
        let info = on_a_fresh_thread(move || {
            let (mut sender, mut out) = (sender(role, &agreed), Vec::with_capacity(1_000));
            let part = Part { data: Message::Text("Hello"), last: false };
            measure(|| sender.send_part(part.compressed(), &mut out).unwrap())
        });
        assert!(info.bytes_max <= COMPRESSOR_BYTES, "{info:?}");
    }
}

#[test]
fn a_thread_keeps_a_bounded_number_of_decompressors_and_compressors() {
    let agreed = agreed_as(Role::Server, (true, 15));
    let info = on_a_fresh_thread(move || {
        measure(|| {
            let mut open: Vec<_> = (0..100)
                .map(|_| {
                    let limits = Limits::default();
                    let mut ws = connection_after(&agreed, Role::Server, &limits, Delivery::Whole);
                    let half = frame(Role::Client, 0x42, &compressed(b"Hello")[..3]);
                    receive(&mut ws, &half, &mut Outcome::default());
                    ws
                })
                .collect();
            for ws in &mut open {
                let part = Part { data: Message::Text("Hello"), last: false };
                ws.send_part(part.compressed(), &mut Vec::new()).unwrap();
            }
        })
    });
    assert!(info.bytes_max > 100 * 200 * 1024, "all of them at once: {info:?}");
    let kept = 4 * DECOMPRESSOR_BYTES + COMPRESSORS_MAX * COMPRESSOR_BYTES;
    assert!(info.bytes_current as u64 <= kept, "{info:?}");
}

#[test]
fn a_large_message_leaves_nothing_large_behind() {
    for takeover in [false, true] {
        let agreed = ROLES.map(|role| agreed_as(role, (takeover, 15)));
        let info = on_a_fresh_thread(move || {
            let mut limits = Limits::default();
            limits.message_bytes_max = 64 << 20;
            measure(|| {
                let [client, server] = &agreed;
                let mut client = connection_after(client, Role::Client, &limits, Delivery::Whole);
                let mut server = connection_after(server, Role::Server, &limits, Delivery::Whole);
                for message in [vec![7; 32 << 20], noise(1 << 20).repeat(2)] {
                    let mut out = Vec::new();
                    client.send(Message::Binary(&message).compressed(), &mut out).unwrap();
                    let mut incoming = server.receive(Instant::now(), &mut out);
                    assert!(incoming.next().unwrap().is_some());
                }
                forget((client, server));
            })
        });
        // What one output may take, and what may be referred to.
        let more = if takeover { 128 * 1024 } else { 64 * 1024 };
        let kept = DECOMPRESSOR_BYTES + COMPRESSOR_BYTES + more;
        assert!(info.bytes_current as u64 <= kept, "{info:?}");
    }
}

/// A run of which the last byte stands for more text than there is room for makes the buffer of the decompressor
/// longer, which it then stays, also for the next message of another connection.
#[test]
fn the_buffer_of_a_decompressor_does_not_grow_with_the_runs_of_a_peer() {
    const KIB: usize = 1024;
    let bomb = Deflater::new(9, (false, 15)).message(&vec![0; 64 << 20]);
    let agreed = agreed_as(Role::Server, (false, 15));
    let mut ws = connection_after(&agreed, Role::Server, &Limits::default(), Delivery::Parts);
    receive(&mut ws, &frame(Role::Client, 0xC2, &compressed(b"Hello")), &mut Outcome::default());
    let mut bytes = frame(Role::Client, 0xC2, &bomb);
    // The header, and the codes; from there on a byte stands for four times 258 bytes.
    let mut rest = &mut bytes[..];
    let (mut text, mut capacity) = (0, 64 * KIB);
    let mut length = 14 + 30;
    let info = measure(|| {
        while rest.len() > length {
            let (run, behind) = std::mem::take(&mut rest).split_at_mut(length);
            rest = behind;
            let mut incoming = ws.receive(Instant::now(), run);
            while let Some((Event::Part(part), _)) = incoming.next().unwrap() {
                text += part.data.as_bytes().len();
            }
            if text > capacity {
                capacity += KIB;
            }
            if capacity - text < 32 * KIB {
                text = 32 * KIB;
            }
            length = (capacity - text).div_ceil(4 * 258);
        }
    });
    assert!(info.bytes_current < 64 * KIB as i64, "{info:?}");
}
