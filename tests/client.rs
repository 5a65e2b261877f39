//! The blocking client, over real sockets, with servers that say what no server of ours would.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)] // a test may panic

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tautline::client::ClientError;
use tautline::handshake::ClientRequest;
use tautline::{Client, CloseCode, Limits, Message, OwnedMessage, Violation};

fn text(text: &str) -> Option<OwnedMessage> {
    Some(OwnedMessage::Text(text.to_owned()))
}

/// The 101 that answers a request.
fn upgrade(request: &[u8]) -> Vec<u8> {
    let request = std::str::from_utf8(request).unwrap();
    let key = request.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: ")).unwrap();
    let accept = tautline::handshake::Key::parse(key.as_bytes()).unwrap().accept();
    let head = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ";
    [head, accept.as_slice(), b"\r\n\r\n"].concat()
}

/// Accepts one connection, and answers it with these bytes after the 101.
fn bad_server(after: &'static [u8]) -> (String, JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let thread = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = vec![0; 4096];
        let count = stream.read(&mut request).unwrap();
        stream.write_all(&[&upgrade(&request[..count]), after].concat()).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        rest
    });
    (format!("ws://{address}/"), thread)
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-7.1.7
//# To do so, the client MUST _Close the
//# WebSocket Connection_,
#[test]
fn a_client_closes_a_server_that_breaks_a_rule_with_the_code_for_it() {
    let (url, server) = bad_server(b"\x81\x82\0\0\0\0hi");
    let mut client = tautline::connect(&url).unwrap();
    let error = client.read().unwrap_err();
    assert!(matches!(error, ClientError::Violation(Violation::Masked)), "{error}");
    let mut told = server.join().unwrap();
    let key: [u8; 4] = told[2..6].try_into().unwrap();
    tautline::frame::mask(&mut told[6..], key, 0);
    assert_eq!((told[0], &told[6..8]), (0x88, &1002u16.to_be_bytes()[..]));
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-7.2.1
//# If at any point the underlying transport layer connection is
//# unexpectedly lost, the client MUST _Fail the WebSocket Connection_.
#[test]
fn a_stream_that_ends_without_a_close_frame_is_an_error_that_says_so() {
    let (url, server) = bad_server(b"\x81\x02hi");
    let mut client = tautline::connect(&url).unwrap();
    assert_eq!(client.read().unwrap(), text("hi"), "what came with the 101 is kept");
    let error = client.read().unwrap_err().to_string();
    assert_eq!(error, "the server ended the stream without a close frame");
    drop(client);
    server.join().unwrap();
}

#[test]
fn what_came_is_delivered_although_the_peer_is_gone_and_no_pong_reaches_it() {
    let (url, server) = bad_server(b"\x89\x01a\x81\x02hi\x89\x01b\x81\x02ho\x88\x02\x03\xe8");
    let mut client = tautline::connect(&url).unwrap();
    client.stream().shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(client.read().unwrap(), text("hi"));
    assert_eq!(client.read().unwrap(), text("ho"));
    assert_eq!(client.read().unwrap(), None);
    assert_eq!(client.closed(), Some((Some(CloseCode::NORMAL), "")));
    server.join().unwrap();
}

/// Reads without waiting until something is there.
fn poll(client: &mut Client) -> Option<OwnedMessage> {
    client.set_read_timeout(Some(Duration::ZERO));
    let read = (0..10_000).find_map(|_| match client.read() {
        Err(ClientError::TimedOut) => None,
        read => Some(read.unwrap()),
    });
    read.expect("something comes")
}

#[test]
fn a_client_that_only_polls_gets_what_comes_and_answers_pings_before_it() {
    let (url, server) = bad_server(b"\x89\x01a\x81\x02hi\x88\x02\x03\xe8");
    let mut client = tautline::connect(&url).unwrap();
    assert_eq!(poll(&mut client), text("hi"));
    assert_eq!(poll(&mut client), None);
    drop(client);
    assert_eq!(server.join().unwrap()[..2], [0x8A, 0x81], "the ping was answered");
}

#[test]
fn a_client_that_was_not_read_for_long_gets_what_came_meanwhile() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let (may_answer, permission) = std::sync::mpsc::channel();
    let (has_answered, answered) = std::sync::mpsc::channel();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = vec![0; 4096];
        let count = stream.read(&mut request).unwrap();
        stream.write_all(&upgrade(&request[..count])).unwrap();
        stream.read_exact(&mut [0; 6]).unwrap(); // a ping
        permission.recv().unwrap();
        stream.write_all(b"\x8A\0\x81\x02hi").unwrap();
        has_answered.send(()).unwrap();
        stream
    });
    let mut limits = Limits::default();
    limits.ping_after = Some(Duration::from_millis(20));
    limits.pong_within = Duration::from_millis(20);
    let request = ClientRequest::new(url.parse().unwrap());
    let mut client = Client::connect(&request, limits).unwrap();
    client.set_read_timeout(Some(Duration::ZERO));
    std::thread::sleep(Duration::from_millis(30));
    assert!(matches!(client.read(), Err(ClientError::TimedOut)), "a ping is sent");
    may_answer.send(()).unwrap();
    answered.recv().unwrap();
    std::thread::sleep(Duration::from_millis(30));
    assert_eq!(poll(&mut client), text("hi"));
    drop(server.join().unwrap());
}

/// A server that opens the connection, says something and no more, and keeps it.
fn mute_server(after: &'static [u8]) -> (String, std::sync::mpsc::Sender<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let (ends, end) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = vec![0; 4096];
        let count = stream.read(&mut request).unwrap();
        stream.write_all(&[&upgrade(&request[..count]), after].concat()).unwrap();
        let _: Result<(), _> = end.recv();
    });
    (url, ends)
}

#[test]
fn a_server_that_is_gone_is_told_from_one_that_has_nothing_to_say() {
    let (url, _keeps) = mute_server(b"");
    let mut limits = Limits::default();
    limits.ping_after = Some(Duration::from_millis(20));
    limits.pong_within = Duration::from_millis(20);
    let mut client = Client::connect(&ClientRequest::new(url.parse().unwrap()), limits).unwrap();
    client.set_read_timeout(Some(Duration::from_millis(1)));
    let error = (0..10_000).find_map(|_| match client.read() {
        Err(ClientError::TimedOut) => None,
        read => Some(read.unwrap_err()),
    });
    assert!(matches!(error, Some(ClientError::PeerSilent)), "{error:?}");
    assert!(matches!(client.read(), Err(ClientError::PeerSilent)), "and it stays so");
}

#[test]
fn a_close_frame_that_is_not_answered_is_told_from_a_time_out() {
    let (url, _keeps) = mute_server(b"");
    let mut limits = Limits::default();
    limits.close_within = Duration::from_millis(20);
    let mut client = Client::connect(&ClientRequest::new(url.parse().unwrap()), limits).unwrap();
    let closed = client.close(CloseCode::NORMAL, "");
    assert!(matches!(closed, Err(ClientError::PeerSilent)), "{closed:?}");
}

#[test]
fn a_client_that_waits_for_nothing_does_not_wait_for_the_end_of_the_stream_either() {
    let (url, keeps) = mute_server(b"\x88\x02\x03\xe8");
    let mut limits = Limits::default();
    limits.close_within = Duration::from_secs(3_600);
    let mut client = Client::connect(&ClientRequest::new(url.parse().unwrap()), limits).unwrap();
    assert_eq!(poll(&mut client), None);
    assert_eq!(client.closed(), Some((Some(CloseCode::NORMAL), "")));
    drop(keeps);
}

#[test]
fn who_takes_nothing_is_heard_all_the_same() {
    let (url, _keeps) = mute_server(b"\x81\x02hi\x89\0\x81\x03you");
    let mut limits = Limits::default();
    limits.ping_after = None;
    limits.pong_within = Duration::from_secs(2);
    let mut client = Client::connect(&ClientRequest::new(url.parse().unwrap()), limits).unwrap();
    let sent = client.send(Message::Binary(&vec![0; 64 << 20]));
    assert!(matches!(sent, Err(ClientError::TimedOut)), "{sent:?}");
    let reads_from = Instant::now();
    assert_eq!(client.read().unwrap(), text("hi"));
    assert_eq!(client.read().unwrap(), text("you"));
    // To wait for the peer to take something would take two seconds each time.
    assert!(reads_from.elapsed() < Duration::from_secs(2), "{:?}", reads_from.elapsed());
}

#[test]
fn a_read_timeout_holds_while_the_server_says_things_that_are_no_messages() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = vec![0; 4096];
        let count = stream.read(&mut request).unwrap();
        stream.write_all(&upgrade(&request[..count])).unwrap();
        // Until the client has gone.
        while stream.write_all(b"\x8A\0").is_ok() {}
    });
    let mut client = tautline::connect(&url).unwrap();
    for timeout in [Duration::ZERO, Duration::from_millis(20)] {
        client.set_read_timeout(Some(timeout));
        let read = client.read();
        assert!(matches!(read, Err(ClientError::TimedOut)), "{read:?}");
    }
    drop(client);
    server.join().unwrap();
}

#[test]
fn a_server_that_takes_its_pongs_may_send_any_number_of_pings() {
    let mut frames = b"\x89\0".repeat(3_000);
    frames.extend(b"\x81\x02hi\x88\x02\x03\xe8");
    let (url, server) = bad_server(frames.leak());
    let mut client = tautline::connect(&url).unwrap();
    assert_eq!(client.read().unwrap(), text("hi"));
    assert_eq!(client.read().unwrap(), None);
    drop(client);
    let pongs = server.join().unwrap().chunks(6).filter(|it| it[..2] == [0x8A, 0x80]).count();
    assert_eq!(pongs, 3_000);
}
