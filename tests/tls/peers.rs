//! Peers with a mind of their own: rustls directly, which updates keys, trickles, and speaks out of turn.
use super::*;
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use std::sync::Arc;

/// A client on rustls' buffered API.
struct Raw {
    tls: rustls::ClientConnection,
    stream: TcpStream,
    plain: Vec<u8>,
}

impl Raw {
    fn new(server: &Server, root: &std::path::Path) -> Self {
        let mut roots = rustls::RootCertStore::empty();
        for it in CertificateDer::pem_file_iter(root).unwrap() {
            roots.add(it.unwrap()).unwrap();
        }
        let config = rustls::ClientConfig::builder_with_provider(Arc::new(
            rustls::crypto::ring::default_provider(),
        ))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
        let tls = rustls::ClientConnection::new(
            Arc::new(config),
            ServerName::try_from("localhost").unwrap(),
        )
        .unwrap();
        let mut raw = Self { tls, stream: server.stream(), plain: Vec::new() };
        while raw.tls.is_handshaking() {
            raw.tls.complete_io(&mut raw.stream).unwrap();
        }
        raw.send(
            b"GET /chat HTTP/1.1\r\nHost: example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
        );
        while !raw.plain.windows(4).any(|it| it == b"\r\n\r\n") {
            assert!(raw.read() > 0);
        }
        raw.plain.clear();
        raw
    }
    fn queue(&mut self, bytes: &[u8]) {
        self.tls.set_buffer_limit(None);
        self.tls.writer().write_all(bytes).unwrap();
    }
    fn flush(&mut self) {
        let mut all = Vec::new();
        while self.tls.wants_write() {
            self.tls.write_tls(&mut all).unwrap();
        }
        self.stream.write_all(&all).unwrap();
    }
    fn send(&mut self, bytes: &[u8]) {
        self.queue(bytes);
        self.flush();
    }
    fn read(&mut self) -> usize {
        let count = self.tls.read_tls(&mut self.stream).unwrap_or(0);
        self.tls.process_new_packets().unwrap();
        let _ = self.tls.reader().read_to_end(&mut self.plain);
        count
    }
    fn read_all(&mut self) {
        while self.read() > 0 {}
    }
}

fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    match payload.len() {
        n @ 0..=125 => out.push(0x80 | n as u8),
        n => {
            out.push(0x80 | 126);
            out.extend((n as u16).to_be_bytes())
        }
    }
    out.extend([0; 4]);
    out.extend(payload);
    out
}

#[test]
fn the_same_at_shutdown() {
    let authority = Authority::new();
    let server = Server::start(&server_tls(&[&authority.server(&["localhost"])]));
    let mut stream = server.stream();
    stream.write_all(&[0x16, 3, 1, 0, 4, 1, 0, 1, 0]).unwrap();
    std::thread::sleep(Duration::from_millis(200));
    drop(server); // joins the thread, and fails where it panicked
    drop(stream);
}

#[test]
fn a_key_update_of_the_peer_and_then_a_message() {
    let authority = Authority::new();
    let server = Server::start(&server_tls(&[&authority.server(&["localhost"])]));
    let mut raw = Raw::new(&server, authority.root().as_ref());
    let payload = vec![b'x'; 1000];
    raw.send(&frame(0x82, &payload));
    while raw.plain.len() < 1004 {
        assert!(raw.read() > 0);
    }
    raw.plain.clear();
    raw.tls.refresh_traffic_keys().unwrap();
    raw.send(&frame(0x82, &payload));
    while raw.plain.len() < 1004 {
        assert!(raw.read() > 0, "ended: {:?}", server.closed(1));
    }
}

#[test]
fn a_key_update_of_the_server_and_the_blocking_client() {
    let authority = Authority::new();
    let (chain, key) = authority.server(&["localhost"]);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let thread = std::thread::spawn(move || {
        let chain = CertificateDer::pem_file_iter(chain).unwrap().map(Result::unwrap).collect();
        let key = rustls::pki_types::PrivateKeyDer::from_pem_file(key).unwrap();
        let config = rustls::ServerConfig::builder_with_provider(Arc::new(
            rustls::crypto::ring::default_provider(),
        ))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
        let mut tls = rustls::ServerConnection::new(Arc::new(config)).unwrap();
        let (mut stream, _) = listener.accept().unwrap();
        let mut head = Vec::new();
        while !head.windows(4).any(|it| it == b"\r\n\r\n") {
            let mut s = rustls::Stream::new(&mut tls, &mut stream);
            let mut bytes = [0; 4096];
            let n = s.read(&mut bytes).unwrap();
            head.extend_from_slice(&bytes[..n]);
        }
        let head = String::from_utf8(head).unwrap();
        let key = head
            .lines()
            .find_map(|it| {
                it.to_ascii_lowercase()
                    .starts_with("sec-websocket-key:")
                    .then(|| it[18..].trim().to_owned())
            })
            .unwrap();
        let accept = tautline_accept(&key);
        tls.writer().write_all(format!("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n").as_bytes()).unwrap();
        tls.refresh_traffic_keys().unwrap();
        tls.writer().write_all(b"\x81\x02hi").unwrap();
        while tls.wants_write() {
            tls.write_tls(&mut stream).unwrap();
        }
        let mut s = rustls::Stream::new(&mut tls, &mut stream);
        let mut bytes = [0; 4096];
        s.read(&mut bytes).unwrap()
    });
    let request = ClientRequest::new(format!("wss://localhost:{port}/").parse().unwrap());
    let mut client = Client::connect_tls(
        &request,
        Limits::default(),
        &ClientTls::trusting(authority.root()).unwrap(),
    )
    .unwrap();
    client.set_read_timeout(Some(Duration::from_secs(5)));
    assert_eq!(client.read().unwrap(), Some(OwnedMessage::Text("hi".into())));
    client.send("an answer").unwrap();
    assert!(thread.join().unwrap() > 0);
}

fn tautline_accept(key: &str) -> String {
    use base64::Engine;
    use sha1::{Digest, Sha1};
    let hash = Sha1::digest(format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11"));
    base64::engine::general_purpose::STANDARD.encode(hash)
}

#[test]
fn a_dialer_of_wss_meets_a_server_that_speaks_plain_http() {
    let authority = Authority::new();
    let trusting = ClientTls::trusting(authority.root()).unwrap();
    let server = Server::with(
        Limits::default(),
        &server_tls(&[&authority.server(&["localhost"])]),
        Some(trusting.clone()),
    );
    let plain = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut client = server.client("localhost", &trusting).unwrap();
    client.send(format!("dial {}", plain.local_addr().unwrap().port()).as_str()).unwrap();
    let (mut stream, _) = plain.accept().unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(8))).unwrap();
    let mut hello = [0; 4096];
    assert!(stream.read(&mut hello).unwrap() > 0);
    stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").unwrap();
    std::thread::sleep(Duration::from_millis(300));
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut said = Vec::new();
    let _ = stream.read_to_end(&mut said);
    let closed = server.closed(1);
    assert!(
        !said.starts_with(b"HTTP/1.1"),
        "a client said: {}; closed {closed:?}",
        String::from_utf8_lossy(&said)
    );
    assert!(closed[0].1.contains("TLS"), "{closed:?}");
}

#[test]
fn messages_before_a_close_notify_in_the_same_read_are_handled() {
    // With a publication of 300 KiB the second message has to wait; the close frame and close_notify come in the same
    // read.
    let authority = Authority::new();
    let mut limits = Limits::default();
    limits.outbox_bytes_max = 16 << 20;
    let server = Server::with(limits, &server_tls(&[&authority.server(&["localhost"])]), None);
    let mut raw = Raw::new(&server, authority.root().as_ref());
    for _ in 0..30 {
        raw.queue(&frame(0x82, &[7; 4000]));
    }
    raw.queue(&frame(0x88, &[3, 232]));
    raw.tls.send_close_notify();
    raw.flush();
    raw.read_all();
    let closed = server.closed(1);
    assert_eq!(closed[0].0, 1000, "{closed:?}");
}

/// A server that does TLS and the opening handshake as `serve` says.
fn raw_server(
    authority: &Authority,
    serve: impl FnOnce(rustls::ServerConnection, TcpStream, String) + Send + 'static,
) -> (u16, JoinHandle<()>) {
    let (chain, key) = authority.server(&["localhost"]);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let thread = std::thread::spawn(move || {
        let chain = CertificateDer::pem_file_iter(chain).unwrap().map(Result::unwrap).collect();
        let key = rustls::pki_types::PrivateKeyDer::from_pem_file(key).unwrap();
        let config = rustls::ServerConfig::builder_with_provider(Arc::new(
            rustls::crypto::ring::default_provider(),
        ))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
        let mut tls = rustls::ServerConnection::new(Arc::new(config)).unwrap();
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_nodelay(true).unwrap();
        let mut head = Vec::new();
        while !head.windows(4).any(|it| it == b"\r\n\r\n") {
            let mut s = rustls::Stream::new(&mut tls, &mut stream);
            let mut bytes = [0; 4096];
            let n = s.read(&mut bytes).unwrap();
            head.extend_from_slice(&bytes[..n]);
        }
        while tls.wants_write() {
            tls.write_tls(&mut stream).unwrap();
        }
        let head = String::from_utf8(head).unwrap();
        let key = head
            .lines()
            .find_map(|it| {
                it.to_ascii_lowercase()
                    .starts_with("sec-websocket-key:")
                    .then(|| it[18..].trim().to_owned())
            })
            .unwrap();
        let accept = tautline_accept(&key);
        serve(
            tls,
            stream,
            format!(
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
            ),
        );
    });
    (port, thread)
}

fn trickle(stream: &mut TcpStream, bytes: &[u8]) {
    for byte in bytes {
        if stream.write_all(&[*byte]).is_err() {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_byte_does_not_extend_the_handshake_of_the_blocking_client() {
    let authority = Authority::new();
    let (port, _thread) = raw_server(&authority, |mut tls, mut stream, answer| {
        tls.writer().write_all(answer.as_bytes()).unwrap();
        let mut out = Vec::new();
        while tls.wants_write() {
            tls.write_tls(&mut out).unwrap();
        }
        trickle(&mut stream, &out);
        std::thread::sleep(Duration::from_secs(2));
    });
    let request = ClientRequest::new(format!("wss://localhost:{port}/").parse().unwrap());
    let mut limits = Limits::default();
    limits.handshake_within = Duration::from_millis(700);
    let started = Instant::now();
    let client =
        Client::connect_tls(&request, limits, &ClientTls::trusting(authority.root()).unwrap());
    assert!(
        started.elapsed() < Duration::from_millis(1500),
        "{:?} after {:?}",
        client.is_ok(),
        started.elapsed()
    );
}

#[test]
fn a_read_timeout_holds_while_a_record_trickles() {
    let authority = Authority::new();
    let (port, _thread) = raw_server(&authority, |mut tls, mut stream, answer| {
        tls.writer().write_all(answer.as_bytes()).unwrap();
        while tls.wants_write() {
            tls.write_tls(&mut stream).unwrap();
        }
        tls.writer().write_all(&plain_frame(&[7; 100])).unwrap();
        let mut out = Vec::new();
        while tls.wants_write() {
            tls.write_tls(&mut out).unwrap();
        }
        trickle(&mut stream, &out);
        std::thread::sleep(Duration::from_secs(2));
    });
    let request = ClientRequest::new(format!("wss://localhost:{port}/").parse().unwrap());
    let mut client = Client::connect_tls(
        &request,
        Limits::default(),
        &ClientTls::trusting(authority.root()).unwrap(),
    )
    .unwrap();
    client.set_read_timeout(Some(Duration::from_millis(300)));
    let started = Instant::now();
    let read = client.read();
    assert!(matches!(read, Err(ClientError::TimedOut)), "{read:?} after {:?}", started.elapsed());
    client.set_read_timeout(Some(Duration::from_secs(10)));
    assert_eq!(client.read().unwrap(), Some(OwnedMessage::Binary(vec![7; 100])));
}

#[test]
fn what_came_before_a_record_that_is_wrong_is_delivered_first() {
    let authority = Authority::new();
    let (port, _thread) = raw_server(&authority, |mut tls, mut stream, answer| {
        tls.writer().write_all(answer.as_bytes()).unwrap();
        while tls.wants_write() {
            tls.write_tls(&mut stream).unwrap();
        }
        let mut records = Vec::new();
        for byte in [7, 8] {
            tls.writer().write_all(&plain_frame(&[byte; 100])).unwrap();
            while tls.wants_write() {
                tls.write_tls(&mut records).unwrap();
            }
        }
        if let Some(last) = records.last_mut() {
            *last ^= 1;
        }
        stream.write_all(&records).unwrap();
        let _ = stream.read(&mut [0; 100]);
    });
    let request = ClientRequest::new(format!("wss://localhost:{port}/").parse().unwrap());
    let trusted = ClientTls::trusting(authority.root()).unwrap();
    let mut client = Client::connect_tls(&request, Limits::default(), &trusted).unwrap();
    assert_eq!(client.read().unwrap(), Some(OwnedMessage::Binary(vec![7; 100])));
    let read = client.read();
    assert!(matches!(read, Err(ClientError::Tls(_))), "{read:?}");
}

#[test]
fn the_pong_to_a_ping_before_a_message_leaves_with_the_read_of_that() {
    let authority = Authority::new();
    let (sees, seen) = std::sync::mpsc::channel();
    let (port, _thread) = raw_server(&authority, move |mut tls, mut stream, answer| {
        let frames = [answer.as_bytes(), b"\x89\x01a", &plain_frame(&[7; 100])].concat();
        tls.writer().write_all(&frames).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let mut pong = [0; 7];
        let mut stream = rustls::Stream::new(&mut tls, &mut stream);
        let read = stream.flush().and_then(|()| stream.read_exact(&mut pong));
        sees.send(read.map(|()| pong[0])).unwrap();
    });
    let request = ClientRequest::new(format!("wss://localhost:{port}/").parse().unwrap());
    let trusted = ClientTls::trusting(authority.root()).unwrap();
    let mut client = Client::connect_tls(&request, Limits::default(), &trusted).unwrap();
    assert_eq!(client.read().unwrap(), Some(OwnedMessage::Binary(vec![7; 100])));
    assert_eq!(seen.recv().unwrap().unwrap(), 0x8A);
}

fn plain_frame(payload: &[u8]) -> Vec<u8> {
    let mut out = vec![0x82, payload.len() as u8];
    out.extend(payload);
    out
}

#[test]
fn a_server_needs_a_certificate() {
    let none = ServerTls::from_files::<&str>(&[]);
    let authority = Authority::new();
    let (_, key) = authority.server(&["localhost"]);
    let empty = ServerTls::from_pem(b"", &std::fs::read(key).unwrap());
    assert!(empty.unwrap_err().to_string().contains("no certificate"));
    assert!(none.is_err());
}
