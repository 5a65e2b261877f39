//! What a server does to a client of ours: answers that agree on what was not offered, and frames that watch its masks.

use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::thread::JoinHandle;

use tautline::client::{Client, ClientError};
use tautline::frame::Role;
use tautline::handshake::{AnswerError, ClientRequest, Key};
use tautline::{CloseCode, Deflate, Limits};

use super::server::Server;
use super::support::frames::{Parsed, parse_all};

/// Accepts a connection, and answers its request with these fields besides those that belong there; all that the client
/// sends then.
fn answering(fields: String) -> (SocketAddr, JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let thread = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let (mut head, mut byte) = (Vec::new(), [0]);
        while !head.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap();
        let key = head.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).unwrap();
        let accept = Key::parse(key.as_bytes()).unwrap().accept();
        let accept = str::from_utf8(accept.as_slice()).unwrap();
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
            Sec-WebSocket-Accept: {accept}\r\n{fields}\r\n"
        );
        stream.write_all(answer.as_bytes()).unwrap();
        let mut sent = Vec::new();
        let _ = stream.read_to_end(&mut sent);
        sent
    });
    (address, thread)
}

fn assert_masks_differ(frames: &[Parsed]) {
    let keys: HashSet<_> = frames.iter().map(|frame| frame.1.unwrap()).collect();
    // That two of a thousand are equal by chance happens once in 8,600 times, three pairs once in 10^12.
    assert!(keys.len() + 2 >= frames.len(), "{} keys of {}", keys.len(), frames.len());
    // Each bit is set in about half of them. 8 standard deviations from it are as good as never.
    for bit in 0..32 {
        let set = keys.iter().filter(|key| u32::from_be_bytes(**key) >> bit & 1 == 1).count();
        assert!((373..=627).contains(&set), "bit {bit} is set in {set} keys of {}", keys.len());
    }
}

// curl CVE-2025-10148
#[test]
fn frames_of_a_client_have_a_mask_each() {
    let (address, sent) = answering(String::new());
    let mut client = tautline::connect(&format!("ws://{address}/")).unwrap();
    for _ in 0..1_000 {
        client.send("the same each time").unwrap();
    }
    drop(client);
    let frames = parse_all(&sent.join().unwrap(), Role::Client);
    assert_eq!(frames.len(), 1_000);
    assert_masks_differ(&frames);
}

// curl CVE-2025-10148
#[test]
fn frames_that_a_reactor_sends_as_a_client_have_a_mask_each() {
    let server = Server::start("close_within=100");
    let mut attack = server.attacked();
    let (address, sent) = answering(String::new());
    let answer = server.ask(&format!("dial ws://{address}/ {address} 1000"));
    assert_eq!(answer, "connecting");
    attack.others_are_served();
    // It closes after them, and nobody answers.
    let mut frames = parse_all(&sent.join().unwrap(), Role::Client);
    assert_eq!(frames.pop().unwrap().2, CloseCode::NORMAL.get().to_be_bytes());
    assert_eq!(frames.len(), 1_000);
    assert!(frames.iter().all(|frame| frame.2 == b"the same each time"));
    assert_masks_differ(&frames);
    attack.ends_within(64, "a connection, and what it sends");
}

// undici CVE-2026-2229, zlib#171
#[test]
fn window_bits_of_0_7_16_255_and_010_in_an_answer() {
    for bits in ["0", "7", "16", "255", "010", "08", "256", "99999999999999999999"] {
        for name in ["server_max_window_bits", "client_max_window_bits"] {
            let extension = format!("Sec-WebSocket-Extensions: permessage-deflate; {name}={bits}");
            let (address, sent) = answering(format!("{extension}\r\n"));
            let request = ClientRequest::new(format!("ws://{address}/").parse().unwrap());
            let request = request.deflate(Deflate::default());
            let refused = Client::connect(&request, Limits::default());
            let Err(ClientError::Answer(error)) = refused else {
                panic!("{extension} is accepted")
            };
            assert_eq!(error, AnswerError::ExtensionParameters, "{extension}");
            assert!(sent.join().unwrap().is_empty(), "nothing is sent to such a server");
        }
    }
}
