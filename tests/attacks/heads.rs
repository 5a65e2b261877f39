//! Requests that are too long, too many, twice there, or come with what should come later.

use super::peer::{Peer, REQUEST};
use super::server::Server;
use super::support::frames::frame;
use tautline::frame::Role;

/// What a head takes that comes in pieces: its buffer doubles, and moves when it does.
const HEAD_KIB: u64 = 64;
const EXTENSIONS: &str = "Sec-WebSocket-Extensions: ";

fn request(fields: &str) -> String {
    format!("{REQUEST}{fields}\r\n")
}

/// Each of these heads is refused with its status, and the stream ends.
#[track_caller]
fn assert_refused<S: AsRef<str>>(heads: impl IntoIterator<Item = (S, u16)>) {
    let server = Server::start("");
    let mut attack = server.attacked();
    for (head, status) in heads {
        let head = head.as_ref();
        let mut peer = Peer::connect(server.address);
        peer.send(head.as_bytes());
        attack.sent += head.len();
        assert_eq!(peer.refusal(), status, "{}", head.get(..200).unwrap_or(head));
        attack.others_are_served();
    }
    attack.ends_within(HEAD_KIB, "a head");
}

// ws CVE-2024-37890, Cowboy CVE-2026-65624
#[test]
fn floods_of_header_fields_and_fields_that_stand_twice() {
    let long = format!("A: {}\r\n", "a".repeat(8_000));
    assert_refused([
        (request(&"A: b\r\n".repeat(97)), 431),
        (request(&"A: b\r\n".repeat(2_000)), 431),
        (request(&"Upgrade: websocket\r\n".repeat(200)), 431),
        (request(&long.repeat(3)), 431),
        (request("A: b\r\nHost: b\r\n"), 400),
        (request("Sec-WebSocket-Version: 13\r\n"), 400),
        (request("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"), 400),
        (format!("GET /{} HTTP/1.1\r\n", "a".repeat(9_000)), 414),
    ]);
}

// tungstenite CVE-2023-43669
#[test]
fn twenty_megabytes_of_header_fields_and_fields_in_packets_of_one_byte() {
    let server = Server::start("handshake_within=60000");
    let mut attack = server.attacked();
    let field = format!("X-Field: {}\r\n", "x".repeat(1_000));
    let mut peer = Peer::connect(server.address);
    peer.send(REQUEST.as_bytes());
    for _ in 0..20_000 {
        attack.sent += field.len();
        if !peer.send(field.as_bytes()) {
            break;
        }
    }
    assert_eq!(peer.refusal(), 431);
    attack.others_are_served();

    let mut peer = Peer::connect(server.address);
    for byte in format!("{REQUEST}{}", field.repeat(20)).as_bytes() {
        attack.sent += 1;
        if !peer.send(&[*byte]) {
            break;
        }
    }
    assert_eq!(peer.refusal(), 431);
    attack.ends_within(HEAD_KIB, "a head");
}

// tungstenite CVE-2023-43669
#[test]
fn a_head_in_small_packets() {
    let server =
        Server::start("handshake_within=60000 head_bytes_max=4000000 field_line_bytes_max=4000000");
    let mut attack = server.attacked();
    server.assert_linear(512 * 1024, |bytes| {
        let field = format!("X-Field: {}\r\n", "x".repeat(bytes / 64));
        let head = request(&field.repeat(63));
        let mut peer = Peer::connect(server.address);
        peer.send_in_packets(head.as_bytes(), &mut attack);
        assert!(peer.head().starts_with("HTTP/1.1 101 "));
    });
    attack.ends_within(6 * 1024, "a head of 2 MiB, in a buffer that doubles");
}

// websocket-extensions CVE-2020-7662; ws 2017, CVE-2021-32640
#[test]
fn an_unclosed_quoted_string_and_a_subprotocol_of_100_000_spaces() {
    let lines: [fn(usize) -> String; 6] = [
        |bytes| format!("{EXTENSIONS}a; b=\"{}\r\n", "c".repeat(bytes)),
        |bytes| format!("{EXTENSIONS}a; b=\"{}\r\n", "\\".repeat(bytes)),
        |bytes| format!("{EXTENSIONS}{}\r\n", "a;".repeat(bytes / 2)),
        |bytes| format!("{EXTENSIONS}a{}b\r\n", " ".repeat(bytes)),
        |bytes| format!("Sec-WebSocket-Protocol: a{}b\r\n", " ".repeat(bytes)),
        |bytes| format!("Sec-WebSocket-Protocol: {}\r\n", ",".repeat(bytes)),
    ];
    // By default such a line is too long, or it is no list.
    assert_refused(
        lines
            .iter()
            .flat_map(|line| [(request(&line(100_000)), 431), (request(&line(8_000)), 400)])
            .filter(|(head, status)| *status == 431 || !head.contains(",,,")),
    );

    let settings = "head_bytes_max=4000000 field_line_bytes_max=4000000 list_members_max=4000000";
    let server = Server::start(settings);
    let mut attack = server.attacked();
    for line in lines {
        server.assert_linear(500_000, |bytes| {
            let head = request(&line(bytes));
            let mut peer = Peer::connect(server.address);
            peer.send(head.as_bytes());
            attack.sent += head.len();
            peer.stream.set_read_timeout(Some(super::server::PATIENCE)).unwrap();
            assert!(peer.head().starts_with("HTTP/1.1 "));
        });
    }
    attack.ends_within(16 * 1024, "a head of 2 MB, in a buffer that doubles");
}

// Pingora CVE-2026-2833, nghttpx CVE-2026-58055
#[test]
fn frames_pipelined_before_the_101_and_an_upgrade_with_a_body() {
    let server = Server::start("");
    let mut attack = server.attacked();
    let before = server.count("messages");
    let smuggled = frame(Role::Client, 0x81, b"smuggled");
    let heads = [
        ("", &smuggled[..]),
        ("", b"GET /admin HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("Content-Length: 5\r\n", b"hello"),
        ("Transfer-Encoding: chunked\r\n", b"5\r\nhello\r\n0\r\n\r\n"),
    ];
    for (field, body) in heads {
        let mut peer = Peer::connect(server.address);
        let bytes = [request(field).as_bytes(), body].concat();
        peer.send(&bytes);
        attack.sent += bytes.len();
        assert_eq!(peer.refusal(), 400, "{}", body.escape_ascii());
    }
    assert_eq!(server.count("messages"), before, "nothing is delivered");
    attack.ends_within(HEAD_KIB, "a head");
}

// CSWSH CVE-2025-30360 and many
#[test]
fn origins_of_another_site_of_an_address_null_and_two() {
    let origin = |origin: &str| request(&format!("Origin: {origin}\r\n"));
    assert_refused([
        (origin("http://other.example"), 403),
        (origin("https://a"), 403),
        (origin("http://a.evil.example"), 403),
        (origin("http://93.184.216.34"), 403),
        (origin("null"), 403),
        (origin("http://a http://b"), 403),
        (request("Origin: http://a\r\nOrigin: http://a\r\n"), 403),
    ]);
}

// undici CVE-2026-1527
#[test]
fn line_ends_in_a_field_and_in_a_subprotocol_that_the_application_adds() {
    let server = Server::start("");
    let mut attack = server.attacked();
    for path in ["/split", "/unasked"] {
        let head = request("").replace("GET / ", &format!("GET {path} "));
        let mut peer = Peer::connect(server.address);
        peer.send(head.as_bytes());
        attack.sent += head.len();
        let answer = String::from_utf8(peer.rest()).unwrap();
        assert!(answer.starts_with("HTTP/1.1 500 "), "{answer}");
        assert!(!answer.contains("Injected"), "{answer}");
    }
    assert_eq!(server.count("unacceptable"), 2, "the application is told");
    attack.ends_within(HEAD_KIB, "a head");
}

// undici CVE-2026-2229, zlib#171
#[test]
fn window_bits_of_0_7_8_16_255_and_010_in_an_offer() {
    let server = Server::start("deflate");
    let mut attack = server.attacked();
    for bits in ["0", "7", "8", "16", "255", "010", "08", "256", "\"16\"", "99999999999999999999"] {
        for name in ["server_max_window_bits", "client_max_window_bits"] {
            if (name, bits) == ("client_max_window_bits", "8") {
                continue; // a client may be limited to it: it then sends nothing compressed
            }
            let offer = format!("{EXTENSIONS}permessage-deflate; {name}={bits}");
            for (fields, agreed) in [
                (format!("{offer}\r\n"), false),
                (format!("{offer}, permessage-deflate\r\n"), true),
            ] {
                let mut peer = Peer::connect(server.address);
                peer.send(request(&fields).as_bytes());
                attack.sent += request(&fields).len();
                let head = peer.head();
                assert!(head.starts_with("HTTP/1.1 101 "), "{fields}: {head}");
                assert_eq!(head.contains("permessage-deflate"), agreed, "{fields}: {head}");
                assert!(!head.contains("window_bits"), "{fields}: {head}");
            }
        }
    }
    attack.ends_within(HEAD_KIB, "a head");
}
