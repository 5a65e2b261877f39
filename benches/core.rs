//! What the core takes without sockets: receiving and sending by the size of the payload, the loops inside them, and the
//! opening handshake.
//!
//! `cargo bench --bench core` prints time, throughput of payload bytes, and allocations. `memcpy` is the yardstick: what
//! takes as long as a copy of the payload can hardly be made faster. All buffers are used over and over, so that small ones
//! are in the processor's cache, as those of a loop are that handles what it has just read.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)] // a benchmark may panic

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use divan::counter::BytesCount;
use divan::{AllocProfiler, Bencher};
use tautline::frame::{FrameHeader, Opcode, mask};
use tautline::handshake::{
    Accept, Agreed, ClientRequest, Opening, Origins, Policy, ServerHandshake,
};
use tautline::utf8::Utf8;
use tautline::{Deflate, Event, Limits, Message, Receiver, Role, Sender};

#[global_allocator]
static ALLOCATIONS: AllocProfiler = AllocProfiler::system();

/// Bytes of a payload.
const SIZES: [usize; 6] = [16, 128, 1024, 16 * 1024, 64 * 1024, 1024 * 1024];
const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
const PAGE_BYTES: usize = 4096;

fn main() {
    let settings = divan::Divan::default()
        .min_time(Duration::from_millis(200))
        .max_time(Duration::from_millis(500));
    settings.config_with_args().main();
}

fn binary(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|n| n as u8).collect()
}

fn ascii(bytes: usize) -> String {
    ('a'..='z').cycle().take(bytes).collect()
}

/// Characters of one to four bytes.
fn multibyte(bytes: usize) -> String {
    let mut text = String::with_capacity(bytes);
    text.extend("aé漢😀".chars().cycle().take(bytes * 4 / 10));
    while text.len() > bytes {
        text.pop();
    }
    text.extend(std::iter::repeat_n('a', bytes - text.len()));
    text
}

/// Where to begin in `room`, which has a page to spare, to be half a page from where `other` lies within its page. Some
/// processors copy 20 times slower to a place that is 1 to 31 bytes further within its page than the source
/// (<https://sourceware.org/bugzilla/show_bug.cgi?id=30994>), and where two buffers lie is chance.
fn apart(room: &[u8], other: &[u8]) -> usize {
    let distance = other.as_ptr().addr().wrapping_sub(room.as_ptr().addr());
    distance.wrapping_add(PAGE_BYTES / 2) % PAGE_BYTES
}

#[divan::bench(args = SIZES)]
fn memcpy(bencher: Bencher<'_, '_>, bytes: usize) {
    let (source, mut room) = (binary(bytes), vec![0; bytes + PAGE_BYTES]);
    let start = apart(&room, &source);
    let copy = &mut room[start..start + bytes];
    bencher.counter(BytesCount::new(bytes)).bench_local(|| {
        black_box(&mut *copy).copy_from_slice(black_box(&source));
    });
}

#[divan::bench(args = SIZES)]
fn receive_binary(bencher: Bencher<'_, '_>, bytes: usize) {
    receive(bencher, Opcode::Binary, &binary(bytes));
}

#[divan::bench(args = SIZES)]
fn receive_text(bencher: Bencher<'_, '_>, bytes: usize) {
    receive(bencher, Opcode::Text, ascii(bytes).as_bytes());
}

#[divan::bench(args = SIZES)]
fn receive_text_multibyte(bencher: Bencher<'_, '_>, bytes: usize) {
    receive(bencher, Opcode::Text, multibyte(bytes).as_bytes());
}

/// Parsing, unmasking and validating a frame of a client.
fn receive(bencher: Bencher<'_, '_>, opcode: Opcode, payload: &[u8]) {
    // It is unmasked where it lies, and has to be masked again for the next time. With a key of 0 it is: unmasking knows
    // no special keys, so it is the same work.
    let header = FrameHeader {
        fin: true,
        rsv1: false,
        opcode,
        mask: Some([0; 4]),
        payload_bytes: payload.len() as u64,
    };
    let mut frame = Vec::new();
    header.write(&mut frame);
    frame.extend_from_slice(payload);
    let limits = Arc::new(Limits::default());
    let mut receiver = Receiver::new(Role::Server, &Agreed::default(), limits);
    let mut receive = || {
        let mut events = receiver.receive(black_box(&mut frame));
        match black_box(events.next()) {
            Ok(Some(Event::Message(message))) => message.as_bytes().len(),
            other => panic!("a message is expected: {other:?}"),
        }
    };
    assert_eq!(receive(), payload.len());
    bencher.counter(BytesCount::of_slice(payload)).bench_local(receive);
}

/// As a server sends it.
#[divan::bench(args = SIZES)]
fn encode(bencher: Bencher<'_, '_>, bytes: usize) {
    send(bencher, Sender::server(&Agreed::default()), bytes);
}

/// As a client sends it, but for the generator of keys.
#[divan::bench(args = SIZES)]
fn encode_masked(bencher: Bencher<'_, '_>, bytes: usize) {
    send(bencher, Sender::client(&Agreed::default(), || KEY), bytes);
}

/// Writing a frame into a buffer that is used again.
fn send(bencher: Bencher<'_, '_>, mut sender: Sender, bytes: usize) {
    let mut out = Vec::with_capacity(FrameHeader::BYTES_MAX + bytes);
    let room = binary(bytes + PAGE_BYTES);
    let payload = &room[apart(&room, &out)..][..bytes];
    bencher.counter(BytesCount::new(bytes)).bench_local(|| {
        out.clear();
        sender.send(Message::Binary(black_box(payload)), &mut out).unwrap();
        black_box(&out);
    });
}

mod masking {
    use super::*;

    #[divan::bench(args = SIZES)]
    fn ours(bencher: Bencher<'_, '_>, bytes: usize) {
        let mut payload = binary(bytes);
        bencher.counter(BytesCount::new(bytes)).bench_local(|| {
            mask(black_box(&mut payload), black_box(KEY), 0);
        });
    }

    /// The loop of RFC 6455 section 5.3, which the compiler turns into vector instructions or not, as it may.
    #[divan::bench(args = SIZES)]
    fn byte_by_byte(bencher: Bencher<'_, '_>, bytes: usize) {
        let mut payload = binary(bytes);
        bencher.counter(BytesCount::new(bytes)).bench_local(|| {
            let key = black_box(KEY);
            for (index, byte) in black_box(&mut payload).iter_mut().enumerate() {
                *byte ^= key[index & 3];
            }
        });
    }
}

mod utf8 {
    use super::*;

    #[divan::bench(args = SIZES)]
    fn ascii(bencher: Bencher<'_, '_>, bytes: usize) {
        ours(bencher, super::ascii(bytes));
    }

    #[divan::bench(args = SIZES)]
    fn ascii_std(bencher: Bencher<'_, '_>, bytes: usize) {
        std(bencher, super::ascii(bytes));
    }

    #[divan::bench(args = SIZES)]
    fn multibyte(bencher: Bencher<'_, '_>, bytes: usize) {
        ours(bencher, super::multibyte(bytes));
    }

    #[divan::bench(args = SIZES)]
    fn multibyte_std(bencher: Bencher<'_, '_>, bytes: usize) {
        std(bencher, super::multibyte(bytes));
    }

    fn ours(bencher: Bencher<'_, '_>, text: String) {
        bencher.counter(BytesCount::of_str(&text)).bench_local(|| {
            let mut utf8 = Utf8::default();
            black_box(utf8.feed(black_box(text.as_bytes()))).unwrap();
            utf8.is_complete()
        });
    }

    fn std(bencher: Bencher<'_, '_>, text: String) {
        bencher.counter(BytesCount::of_str(&text)).bench_local(|| {
            black_box(std::str::from_utf8(black_box(text.as_bytes()))).unwrap();
        });
    }
}

mod handshake {
    use super::*;

    const MINIMAL: &str = "GET / HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\n\
        Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
        Sec-WebSocket-Version: 13\r\n\r\n";
    const BROWSER: &str = "GET /chat?room=1 HTTP/1.1\r\nHost: example.com\r\nConnection: Upgrade\r\n\
        Pragma: no-cache\r\nCache-Control: no-cache\r\n\
        User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
        Chrome/140.0.0.0 Safari/537.36\r\n\
        Upgrade: websocket\r\nOrigin: http://example.com\r\nSec-WebSocket-Version: 13\r\n\
        Accept-Encoding: gzip, deflate\r\nAccept-Language: en-GB,en;q=0.9,de;q=0.8\r\n\
        Cookie: session=0123456789abcdef0123456789abcdef; theme=dark\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
        Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n";
    const ANSWER: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
        Connection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

    #[divan::bench]
    fn server_minimal(bencher: Bencher<'_, '_>) {
        server(bencher, MINIMAL, &Accept::new());
    }

    #[divan::bench]
    fn server_browser(bencher: Bencher<'_, '_>) {
        server(bencher, BROWSER, &Accept::new());
    }

    /// The same, and the compression that it offers is accepted.
    #[divan::bench]
    fn server_browser_deflate(bencher: Bencher<'_, '_>) {
        server(bencher, BROWSER, &Accept::new().deflate(Deflate::default()));
    }

    /// From the bytes of a request to those of the answer.
    fn server(bencher: Bencher<'_, '_>, request: &str, accept: &Accept) {
        let limits = Limits::default();
        let policy = Policy { limits: &limits, origins: &Origins::SameHost, secure: false };
        let mut out = Vec::with_capacity(1024);
        bencher.bench_local(|| {
            out.clear();
            let mut handshake = ServerHandshake::new();
            match handshake.receive(black_box(request.as_bytes()), &policy) {
                Ok(Some((_, Opening::Upgrade(request)))) => {
                    request.accept(accept, &mut out).unwrap()
                }
                other => panic!("an upgrade is expected: {other:?}"),
            }
        });
    }

    /// The bytes of a request, and the check of the answer to it.
    #[divan::bench]
    fn client(bencher: Bencher<'_, '_>) {
        let request = ClientRequest::new("ws://example.com/".parse().unwrap());
        let limits = Limits::default();
        let mut out = Vec::with_capacity(1024);
        bencher.bench_local(|| {
            out.clear();
            let mut handshake = request.write(black_box(*b"the sample nonce"), &mut out);
            handshake.receive(black_box(ANSWER.as_bytes()), &limits).unwrap().unwrap()
        });
    }
}
