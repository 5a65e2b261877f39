//! The example that carries the core on blocking sockets.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)] // a test may panic

#[path = "../examples/core_server.rs"]
#[allow(dead_code, reason = "its main is for people")]
mod core_server;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tautline::handshake::ClientRequest;
use tautline::{Client, CloseCode, Deflate, Limits, OwnedMessage};

/// A server of one connection, and what it says at its end.
fn start(limits: Limits) -> (String, JoinHandle<Result<(), String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let limits = Arc::new(limits);
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        core_server::serve(&mut stream, &limits).map_err(|error| error.to_string())
    });
    (address, server)
}

#[test]
fn what_a_client_sends_comes_back_and_both_close() {
    let (address, server) = start(Limits::default());
    let url = format!("ws://{address}/").parse().unwrap();
    let request = ClientRequest::new(url).deflate(Deflate::default());
    let mut client = Client::connect(&request, Limits::default()).unwrap();
    client.set_read_timeout(Some(Duration::from_secs(10)));
    assert!(client.agreed().deflate().is_some());
    for text in ["short".to_owned(), "a long one, again and again ".repeat(20_000)] {
        client.send(&text).unwrap();
        assert_eq!(client.read().unwrap(), Some(OwnedMessage::Text(text)));
    }
    client.close(CloseCode::NORMAL, "").unwrap();
    assert_eq!(server.join().unwrap(), Ok(()));
}

#[test]
fn a_client_is_told_why_its_message_is_refused() {
    let mut limits = Limits::default();
    limits.message_bytes_max = 4;
    let (address, server) = start(limits);
    let mut client = tautline::connect(&format!("ws://{address}/")).unwrap();
    // What is not read of it must not take the answer with it.
    let _ = client.send(&"five!".repeat(1_000_000));
    assert_eq!(client.read().unwrap(), None);
    assert_eq!(client.closed(), Some((Some(CloseCode::TOO_BIG), "message over the size limit")));
    drop(client);
    let said = server.join().unwrap().unwrap_err();
    assert!(said.contains("Limits::message_bytes_max"), "{said}");
}

#[test]
fn a_peer_that_says_nothing_is_asked_and_then_given_up() {
    let mut limits = Limits::default();
    (limits.ping_after, limits.pong_within) =
        (Some(Duration::from_millis(50)), Duration::from_millis(50));
    let (address, server) = start(limits);
    let mut stream = TcpStream::connect(&address).unwrap();
    let request = format!(
        "GET / HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut got = Vec::new();
    stream.read_to_end(&mut got).unwrap();
    assert!(got.ends_with(b"\r\n\r\n\x89\0"), "{}", String::from_utf8_lossy(&got));
    assert_eq!(server.join().unwrap().unwrap_err(), "the peer does not answer");
}

#[test]
fn a_page_is_told_to_upgrade() {
    let (address, server) = start(Limits::default());
    let mut stream = TcpStream::connect(&address).unwrap();
    stream.write_all(format!("GET / HTTP/1.1\r\nHost: {address}\r\n\r\n").as_bytes()).unwrap();
    let mut got = String::new();
    stream.read_to_string(&mut got).unwrap();
    assert!(got.starts_with("HTTP/1.1 426 "), "{got}");
    drop(stream);
    assert_eq!(server.join().unwrap(), Ok(()));
}
