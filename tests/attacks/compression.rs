//! Compressed messages: bombs, streams that are cut short, and contexts that get out of step.

use tautline::Violation;
use tautline::frame::Role;

use super::peer::{Peer, close_code, goodbye};
use super::server::Server;
use super::support::deflate::{Deflater, Reader, compressed};
use super::support::frames::{close_body, frame};
use super::support::wire::noise;

const TEXT: &str = "{\"one\":1,\"two\":2,\"one and one\":2,\"one and two\":3,\"two and two\":4}";
/// A decompressor and its window.
const INFLATER_KIB: u64 = 128;

fn client_frame(first: u8, payload: &[u8]) -> Vec<u8> {
    frame(Role::Client, first, payload)
}

/// What a message of the server says, which compresses what gets shorter by it.
fn inflated((first, payload): &(u8, Vec<u8>)) -> Vec<u8> {
    match first & 0x40 {
        0 => payload.clone(),
        _ => Reader::new((false, 15)).message(payload).unwrap(),
    }
}

/// A payload in compressed fragments of this length.
fn fragments(payload: &[u8], length: usize) -> Vec<u8> {
    let count = payload.len().div_ceil(length);
    let mut bytes = Vec::new();
    for (number, fragment) in payload.chunks(length).enumerate() {
        let fin = if number + 1 == count { 0x80 } else { 0 };
        bytes.extend(client_frame(fin | if number == 0 { 0x42 } else { 0 }, fragment));
    }
    bytes
}

// CVE-2018-1000518, CVE-2026-39804, CVE-2026-1526
#[test]
fn sixty_four_kib_that_inflate_to_64_mib_whole_and_spread_over_fragments() {
    let server = Server::start("deflate");
    let mut attack = server.attacked();
    let bomb = Deflater::new(9, (false, 15)).message(&vec![0; 64 << 20]);
    assert!(bomb.len() < 66_000, "{} bytes", bomb.len());
    for bytes in [client_frame(0xC2, &bomb), fragments(&bomb, 1_000), fragments(&bomb, 1)] {
        let mut peer = Peer::open_compressed(server.address);
        peer.send(&bytes);
        attack.sent += bytes.len();
        assert_eq!(peer.frames(), [(0x88, close_body(1009, Violation::MessageTooBig.reason()))]);
        attack.others_are_served();
    }
    attack.ends_within(3 * 1024 + INFLATER_KIB, "a message up to its limit, and a decompressor");
}

// The same from many at once: what one may cost is not multiplied by those who are done with it.
#[test]
fn a_bomb_from_each_of_fifty_connections() {
    let server = Server::start("deflate");
    let mut attack = server.attacked();
    let bomb = client_frame(0xC2, &Deflater::new(9, (false, 15)).message(&vec![0; 64 << 20]));
    let mut peers: Vec<_> = (0..50).map(|_| Peer::open_compressed(server.address)).collect();
    for peer in &mut peers {
        peer.send(&bomb);
        attack.sent += bomb.len();
    }
    for peer in &mut peers {
        assert_eq!(close_code(&peer.frames()), 1009);
    }
    attack.ends_within(3 * 1024 + INFLATER_KIB, "one message up to its limit, and a decompressor");
}

// ws CVE-2026-48779, where messages are compressed
#[test]
fn a_compressed_message_in_fragments_of_one_byte() {
    let server = Server::start("deflate");
    let mut attack = server.attacked();
    server.assert_linear(25_000, |count| {
        let data = noise(0, count);
        let bytes = fragments(&compressed(&data), 1);
        attack.sent += bytes.len();
        let frames = Peer::open_compressed(server.address).say(&bytes);
        assert!(inflated(&frames[0]) == data);
    });
    attack
        .ends_within(2048, "a message that is gathered, its echo, and a codec for each direction");
}

// CivetWeb CVE-2026-29035
#[test]
fn compressed_frames_of_every_length_around_the_end_of_a_buffer() {
    let server = Server::start("deflate message_bytes_max=4194304");
    let mut attack = server.attacked();
    for around in [125, 4096, 0x1_0000, 256 * 1024] {
        for length in (around - 16..=around + 16).step_by(3) {
            // It does not compress, so that it is about as long as this on the wire.
            let data = noise(0, length);
            let bytes = client_frame(0xC2, &compressed(&data));
            attack.sent += bytes.len();
            let frames = Peer::open_compressed(server.address).say(&bytes);
            assert!(inflated(&frames[0]) == data, "{length} bytes");
        }
    }
    attack.ends_within(
        2048,
        "a message of 256 KiB as it comes, as it is, and as it is sent, and codecs",
    );
}

// sockudo-ws #14, ws#983
#[test]
fn plain_and_incompressible_messages_between_compressed_ones_with_context_takeover() {
    let server = Server::start("deflate takeover");
    let mut attack = server.attacked();
    let noise = noise(0, 300);
    let (mut deflater, mut bytes) = (Deflater::new(6, (true, 15)), Vec::new());
    for _ in 0..100 {
        bytes.extend(client_frame(0xC1, &deflater.message(TEXT.as_bytes())));
        bytes.extend(client_frame(0x81, TEXT.as_bytes()));
        bytes.extend(client_frame(0xC2, &deflater.message(&noise)));
    }
    attack.sent += bytes.len();
    let frames = Peer::open_compressed(server.address).say(&bytes);
    assert_eq!((frames.len(), close_code(&frames)), (301, 1000));
    for (number, frame) in frames[..300].iter().enumerate() {
        let expected = if number % 3 == 2 { &noise } else { TEXT.as_bytes() };
        assert!(inflated(frame) == expected, "message {number}");
    }
    attack.ends_within(INFLATER_KIB + 512, "a codec for each direction");
}

// uWebSockets (seen by probe)
#[test]
fn compressed_frames_of_each_length_form_cut_at_every_byte() {
    let server = Server::start("deflate");
    let mut attack = server.attacked();
    for text in [TEXT.as_bytes(), &noise(0, 300), &noise(0, 70_000)] {
        let next = client_frame(0xC1, &compressed(b"next"));
        let bytes = [client_frame(0xC2, &compressed(text)), next, goodbye()].concat();
        for cut in (0..30).chain(bytes.len() - 40..bytes.len()).step_by(2) {
            let mut peer = Peer::open_compressed(server.address);
            peer.send(&bytes[..cut]);
            attack.others_are_served();
            peer.send(&bytes[cut..]);
            attack.sent += bytes.len();
            let frames = peer.frames();
            assert_eq!((frames.len(), close_code(&frames)), (3, 1000), "cut at {cut}");
            let texts = frames[..2].iter().map(inflated);
            assert!(texts.eq([text.to_vec(), b"next".to_vec()]), "cut at {cut}");
        }
    }
    attack.ends_within(INFLATER_KIB + 1024, "half a frame, and a codec for each direction");
}

// python websockets (seen by probe)
#[test]
fn a_final_block_and_then_a_further_compressed_message() {
    for settings in ["deflate", "deflate takeover"] {
        let server = Server::start(settings);
        let mut attack = server.attacked();
        let mut deflater = Deflater::new(6, (settings.contains("takeover"), 15));
        let payloads = [
            deflater.final_message(b"the first one, with a final block"),
            deflater.message(b"the second one, without"),
            deflater.final_message(b"the third one, with a final block"),
            deflater.message(b"the fourth one, without"),
        ];
        let bytes = payloads.map(|it| client_frame(0xC1, &it)).concat();
        attack.sent += bytes.len();
        let frames = Peer::open_compressed(server.address).say(&bytes);
        assert_eq!((frames.len(), close_code(&frames)), (5, 1000), "{settings}");
        attack.ends_within(INFLATER_KIB + 512, "a codec for each direction");
    }
}

// all (seen by probe)
#[test]
fn a_deflate_stream_that_ends_inside_a_block() {
    let server = Server::start("deflate");
    let mut attack = server.attacked();
    let before = server.count("messages");
    for level in [0, 1, 9] {
        let payload = Deflater::new(level, (false, 15)).message(TEXT.as_bytes());
        for cut in (1..payload.len()).filter(|cut| payload[..*cut] != [0x00]) {
            let mut peer = Peer::open_compressed(server.address);
            let bytes = client_frame(0xC1, &payload[..cut]);
            peer.send(&bytes);
            attack.sent += bytes.len();
            let body = close_body(1007, Violation::NotInflatable.reason());
            assert_eq!(peer.frames(), [(0x88, body)], "{cut} bytes of {}", payload.len());
        }
    }
    assert_eq!(server.count("messages"), before, "nothing is delivered");
    attack.ends_within(INFLATER_KIB, "a decompressor");
}
