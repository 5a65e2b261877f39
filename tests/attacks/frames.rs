//! Frames that lie about their length, come in pieces, or come in floods.

use tautline::frame::Role;
use tautline::{CloseCode, Violation};

use super::peer::{Frames, Peer, close_code, goodbye};
use super::server::{Attack, SEND_BUFFER_KIB, Server};
use super::support::frames::{begun, close_body, frame, header};

/// What a message of up to 1 MiB may take while it is gathered: its buffer doubles, and moves when it does.
const GATHERED: (u64, &str) = (3 * 1024, "a message that is gathered");
const NOTHING: (u64, &str) = (0, "nothing");
/// The frames in one write of a flood.
const WRITE_FRAMES: usize = 10_000;

fn client_frame(first: u8, payload: &[u8]) -> Vec<u8> {
    frame(Role::Client, first, payload)
}

/// A run of bytes is refused with this violation, and nothing else is said.
#[track_caller]
fn assert_refused(attack: &mut Attack<'_>, server: &Server, bytes: &[u8], violation: Violation) {
    let mut peer = Peer::open(server.address);
    peer.send(bytes);
    attack.sent += bytes.len();
    let body = close_body(violation.close_code().get(), violation.reason());
    assert_eq!(peer.frames(), [(0x88, body)], "{:02x?}", bytes.get(..14));
}

/// Sends a frame, and then others until the server has ended the stream; the frames that it said.
fn flood(
    attack: &mut Attack<'_>,
    server: &Server,
    first: &[u8],
    then: &[u8],
    times: usize,
) -> Frames {
    let (run, mut left) = (then.repeat(WRITE_FRAMES), times);
    let mut sent = first.len();
    let frames = Peer::open(server.address).converse(|peer| {
        peer.send(first);
        while left > 0 {
            let count = left.min(WRITE_FRAMES);
            if !peer.send(&run[..count * then.len()]) {
                break;
            }
            sent += count * then.len();
            left -= count;
        }
    });
    attack.sent += sent;
    frames
}

// gorilla CVE-2020-27813, Tomcat CVE-2020-13935, undici CVE-2026-1528
#[test]
fn lengths_with_the_top_bit_set_or_that_wrap_with_their_header() {
    let server = Server::start("");
    let mut attack = server.attacked();
    for length in [1 << 63, u64::MAX - 14, u64::MAX - 3, u64::MAX] {
        for first in [0x81, 0x82, 0x01] {
            let bytes = [&[first, 0xFF][..], &length.to_be_bytes()].concat();
            assert_refused(&mut attack, &server, &bytes, Violation::LengthOutOfRange);
        }
        attack.others_are_served();
    }
    attack.ends_within(NOTHING.0, NOTHING.1);
}

// gorilla CVE-2020-27813, Tomcat CVE-2020-13935, undici CVE-2026-1528
#[test]
fn fragments_whose_lengths_wrap_when_they_are_added() {
    let server = Server::start("");
    let mut attack = server.attacked();
    for length in [i64::MAX as u64, i64::MAX as u64 - 99, 1024 * 1024 - 99] {
        let bytes = [client_frame(0x02, &[1; 100]), header(Role::Client, 0x00, length)].concat();
        assert_refused(&mut attack, &server, &bytes, Violation::MessageTooBig);
    }
    attack.ends_within(NOTHING.0, NOTHING.1);
}

// Jetty CVE-2026-19204
#[test]
fn an_unknown_opcode_with_a_huge_length() {
    let server = Server::start("");
    let mut attack = server.attacked();
    for opcode in (3..=7).chain(11..=15) {
        let bytes = header(Role::Client, 0x80 | opcode, i64::MAX as u64);
        assert_refused(&mut attack, &server, &bytes, Violation::ReservedOpcode(opcode));
    }
    attack.ends_within(NOTHING.0, NOTHING.1);
}

// ws CVE-2016-10542, uWebSockets CVE-2016-10544
#[test]
fn a_payload_over_the_limit_is_refused_at_its_header() {
    let server = Server::start("");
    let mut attack = server.attacked();
    for length in [1024 * 1024 + 1, 16 << 20, 1 << 40] {
        let bytes = header(Role::Client, 0x82, length);
        assert_refused(&mut attack, &server, &bytes, Violation::MessageTooBig);
    }
    attack.ends_within(NOTHING.0, NOTHING.1);
}

// The other side of it: what the limit allows is not paid for before it comes.
#[test]
fn a_hundred_messages_of_a_mebibyte_that_are_announced_and_never_sent() {
    let server = Server::start("");
    let mut attack = server.attacked();
    let bytes = begun(Role::Client, 0x82, 1024 * 1024, b"the start");
    let peers: Vec<_> = (0..100)
        .map(|_| {
            let mut peer = Peer::open(server.address);
            peer.send(&bytes);
            peer
        })
        .collect();
    attack.sent += peers.len() * bytes.len();
    attack.others_are_served();
    server.wait_for_connections(101);
    attack.ends_within(100 * 8, "two pages for each of 100");
    drop(peers);
}

// ws CVE-2026-48779, #2329, #2331; libsoup CVE-2025-32049; Bandit CVE-2026-65623
#[test]
fn a_million_fragments_of_one_byte() {
    let server = Server::start("");
    let mut attack = server.attacked();
    let (first, then) = (client_frame(0x01, b"a"), client_frame(0x00, b"a"));
    let frames = flood(&mut attack, &server, &first, &then, 1_000_000);
    assert_eq!(close_code(&frames), 1008);
    assert_eq!(frames.len(), 1);

    // As many as are allowed: work is in proportion to them.
    let last = client_frame(0x80, b"z");
    server.assert_linear(30_000, |count| {
        let message = [&first, &then.repeat(count)[..], &last].concat();
        let frames = Peer::open(server.address).say(&message);
        assert_eq!((frames[0].1.len(), frames.len()), (count + 2, 2));
    });
    attack.ends_within(GATHERED.0, GATHERED.1);
}

// ws CVE-2026-48779, #2329, #2331; libsoup CVE-2025-32049; Bandit CVE-2026-65623
#[test]
fn two_hundred_thousand_empty_fragments() {
    let server = Server::start("");
    let mut attack = server.attacked();
    let (first, then) = (client_frame(0x01, b""), client_frame(0x00, b""));
    let frames = flood(&mut attack, &server, &first, &then, 200_000);
    let body = close_body(1008, Violation::TooManyEmptyFragments.reason());
    assert_eq!(frames, [(0x88, body)]);
    attack.ends_within(NOTHING.0, NOTHING.1);
}

// ws CVE-2026-48779, #2329, #2331; libsoup CVE-2025-32049; Bandit CVE-2026-65623
#[test]
fn a_message_that_never_ends() {
    let server = Server::start("");
    let mut attack = server.attacked();
    let (first, then) = (client_frame(0x02, b"x"), client_frame(0x00, &[7; 1024]));
    let frames = flood(&mut attack, &server, &first, &then, 20_000);
    assert_eq!(frames, [(0x88, close_body(1009, Violation::MessageTooBig.reason()))]);
    attack.ends_within(GATHERED.0, GATHERED.1);
}

// h2 0.4.16 to 0.4.18
#[test]
fn floods_of_tiny_frames_that_are_answered() {
    let server = Server::start("");
    let mut attack = server.attacked();
    let tiny =
        [client_frame(0x82, b""), client_frame(0x81, b"a"), client_frame(0x8A, b"")].concat();
    server.assert_linear(50_000, |count| {
        let frames = flood(&mut attack, &server, b"", &tiny, count);
        assert_eq!((frames.len(), close_code(&frames)), (2 * count + 1, 1000));
    });
    let kib = SEND_BUFFER_KIB + 64;
    attack.ends_within(kib, "answers, up to where reading stops");
}

// CivetWeb CVE-2026-29035
#[test]
fn frames_with_rsv1_of_every_length_around_the_end_of_a_buffer() {
    let server = Server::start("");
    let mut attack = server.attacked();
    for around in [125, 4096, 0x1_0000, 256 * 1024] {
        for length in (around - 16..=around + 16).step_by(3) {
            let bytes = client_frame(0xC2, &vec![7; length]);
            assert_refused(&mut attack, &server, &bytes, Violation::ReservedBits);
        }
        attack.others_are_served();
    }
    attack.ends_within(NOTHING.0, NOTHING.1);
}

// ws CVE-2026-45736
#[test]
fn close_reasons_of_every_length() {
    let server = Server::start("");
    let mut attack = server.attacked();
    for length in 0..=123 {
        let close = client_frame(0x88, &close_body(1000, &"r".repeat(length)));
        let mut peer = Peer::open(server.address);
        peer.send(&[&close[..], &[0xEE; 64]].concat());
        attack.sent += close.len() + 64;
        assert_eq!(peer.frames(), [(0x88, close_body(1000, ""))], "{length} bytes");
    }
    attack.ends_within(NOTHING.0, NOTHING.1);
}

// wslay (seen by probe)
#[test]
fn a_close_with_bad_utf8_whole_and_byte_by_byte() {
    let server = Server::start("");
    let mut attack = server.attacked();
    for reason in [&b"\xce\xba\xed\xa0\x80"[..], b"\xff", b"ok\xe2\x82"] {
        let bytes = client_frame(0x88, &[&close_body(1000, ""), reason].concat());
        assert_refused(&mut attack, &server, &bytes, Violation::InvalidUtf8);
        let mut peer = Peer::open(server.address);
        for byte in &bytes {
            peer.send(&[*byte]);
            // The server has read it once this is answered.
            attack.others_are_served();
        }
        assert_eq!(peer.frames(), [(0x88, close_body(1007, "not UTF-8"))]);
    }
    attack.ends_within(NOTHING.0, NOTHING.1);
}

// uWebSockets (seen by probe)
#[test]
fn an_unmasked_frame_and_then_a_masked_one() {
    let server = Server::start("");
    let mut attack = server.attacked();
    let before = server.count("messages");
    let bytes = [frame(Role::Server, 0x81, b"unmasked"), client_frame(0x81, b"masked")].concat();
    assert_refused(&mut attack, &server, &bytes, Violation::Unmasked);
    assert_eq!(server.count("messages"), before, "nothing is delivered");
    attack.ends_within(NOTHING.0, NOTHING.1);
}

// fastwebsockets (seen by probe)
#[test]
fn text_not_final_then_text_not_final_then_a_continuation() {
    let server = Server::start("");
    let mut attack = server.attacked();
    let bytes = [(0x01, b"a"), (0x01, b"b"), (0x80, b"c")].map(|it| client_frame(it.0, it.1));
    assert_refused(&mut attack, &server, &bytes.concat(), Violation::MessageInterrupted);
    attack.ends_within(NOTHING.0, NOTHING.1);
}

// Autobahn 9.3.1 at one peer: 30 s
#[test]
fn a_mebibyte_of_text_in_fragments_of_64_bytes() {
    let server = Server::start("message_bytes_max=8388608");
    let mut attack = server.attacked();
    let text: String = "κόσμε😀".chars().cycle().take(2 << 20).collect();
    server.assert_linear(1024 * 1024, |length| {
        let fragments = text.as_bytes()[..length - length % 14].chunks(64).enumerate();
        let mut bytes = Vec::new();
        for (number, fragment) in fragments {
            bytes.extend(client_frame(u8::from(number == 0), fragment));
        }
        bytes.extend(client_frame(0x80, b""));
        attack.sent += bytes.len();
        let frames = Peer::open(server.address).say(&bytes);
        assert!(frames[0].1 == text.as_bytes()[..length - length % 14]);
        assert_eq!(close_code(&frames), 1000);
    });
    attack.ends_within(4 * 5 * 1024, "a message of 4 MiB that is gathered, and its echo");
}

// The same inside of one frame.
#[test]
fn a_text_frame_in_small_packets() {
    let server = Server::start("message_bytes_max=8388608");
    let mut attack = server.attacked();
    let text = "κόσμε😀".repeat(150_000);
    server.assert_linear(512 * 1024, |length| {
        let text = &text.as_bytes()[..length - length % 14];
        let frames = Peer::open(server.address).converse(|peer| {
            peer.send_in_packets(&client_frame(0x81, text), &mut attack);
        });
        assert!(frames[0].1 == text);
    });
    attack.ends_within(2 * 5 * 1024, "a message of 2 MiB that is gathered, and its echo");
}

// A frame that is cut anywhere is put together, and what follows it is not lost.
#[test]
fn frames_of_each_length_form_cut_at_every_byte_of_their_header() {
    let server = Server::start("");
    let mut attack = server.attacked();
    for length in [100, 300, 0x1_0000] {
        let payload: Vec<u8> = (0..length).map(|number| number as u8).collect();
        let bytes = [client_frame(0x82, &payload), client_frame(0x81, b"next")].concat();
        for cut in (0..20).chain(bytes.len() - 12..bytes.len()) {
            let mut peer = Peer::open(server.address);
            peer.send(&bytes[..cut]);
            attack.others_are_served();
            peer.send(&[&bytes[cut..], &goodbye()].concat());
            attack.sent += bytes.len();
            let frames = peer.frames();
            assert!(frames[0] == (0x82, payload.clone()), "cut at {cut}");
            assert_eq!(frames[1], (0x81, b"next".into()), "cut at {cut}");
            assert_eq!(frames[2].1, CloseCode::NORMAL.get().to_be_bytes());
        }
    }
    attack.ends_within(64, "half a frame");
}
