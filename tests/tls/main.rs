//! `wss://`: the reactor and the blocking client over real sockets, with certificates of a test's own authority.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)] // a test may panic

mod authority;
mod peers;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use authority::{Authority, Files};
use tautline::client::ClientError;
use tautline::handshake::{Accept, ClientRequest, Request, Response};
use tautline::reactor::{Closed, Context, Handle, Handler};
use tautline::tls::{CertificateProblem, ClientTls, ServerTls, TlsError};
use tautline::{Client, CloseCode, Limits, Message, OwnedMessage, Reactor};

/// Sends back what comes. `dial PORT` makes a connection of its own, and sends what is said there to all.
#[derive(Default)]
struct Echo {
    certificates: Vec<Option<Vec<u8>>>,
    closed: Vec<(u16, String)>,
}

impl Handler for Echo {
    type Session = bool;

    fn on_upgrade(
        &mut self,
        request: &Request<'_>,
        _: SocketAddr,
        _: &mut bool,
    ) -> Result<Accept, Response> {
        self.certificates.push(request.client_certificate().map(<[u8]>::to_vec));
        Ok(Accept::new())
    }

    fn on_open(&mut self, cx: &mut Context<'_, bool>) {
        if *cx.session() {
            cx.send("from the dialer");
        } else {
            cx.subscribe("all");
        }
    }

    fn on_message(&mut self, cx: &mut Context<'_, bool>, message: Message<'_>) {
        match message {
            Message::Text(text) if *cx.session() => cx.publish("asked for", text),
            Message::Text(text) if text.starts_with("dial ") => {
                cx.subscribe("asked for");
                let port: u16 = text["dial ".len()..].parse().unwrap();
                let url = format!("wss://localhost:{port}/").parse().unwrap();
                let address = SocketAddr::from(([127, 0, 0, 1], port));
                cx.hub().connect(address, ClientRequest::new(url), true).unwrap();
            }
            Message::Text("publish") => cx.publish("all", "published"),
            message => {
                cx.send(message);
            }
        }
    }

    fn on_close(&mut self, _: &mut Context<'_, bool>, closed: &Closed) {
        self.closed.push((closed.code(), closed.to_string()));
    }
}

struct Server {
    address: SocketAddr,
    handle: Handle<Echo>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    fn start(tls: &ServerTls) -> Self {
        Self::with(Limits::default(), tls, None)
    }

    fn with(limits: Limits, tls: &ServerTls, client: Option<ClientTls>) -> Self {
        let mut reactor = Reactor::new(Echo::default()).unwrap().limits(limits);
        if let Some(client) = client {
            reactor = reactor.client_tls(client);
        }
        let reactor = reactor.server_tls(tls.clone()).listen("127.0.0.1:0").unwrap();
        let (address, handle) = (reactor.local_addrs().unwrap()[0], reactor.handle());
        let thread = std::thread::spawn(move || reactor.run().unwrap());
        Self { address, handle, thread: Some(thread) }
    }

    fn client(&self, name: &str, tls: &ClientTls) -> Result<Client, ClientError> {
        // The name is asked for, and the address is that of the server, whatever the name stands for.
        let url = format!("wss://{name}:{}/", self.address.port());
        let request = ClientRequest::new(url.parse().unwrap());
        let mut client = Client::connect_tls(&request, Limits::default(), tls)?;
        client.set_read_timeout(Some(Duration::from_secs(10)));
        Ok(client)
    }

    fn stream(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream
    }

    fn ask<T: Send + 'static>(&self, question: impl FnOnce(&mut Echo) -> T + Send + 'static) -> T {
        let (sender, receiver) = std::sync::mpsc::channel();
        self.handle.post(move |echo, _| sender.send(question(echo)).unwrap()).unwrap();
        receiver.recv_timeout(Duration::from_secs(10)).unwrap()
    }

    /// Waits until the handler was told of so many ends.
    fn closed(&self, count: usize) -> Vec<(u16, String)> {
        let started = Instant::now();
        loop {
            let closed = self.ask(|echo| echo.closed.clone());
            if closed.len() >= count || started.elapsed() > Duration::from_secs(10) {
                return closed;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.handle.shutdown(Duration::ZERO);
        let ended = self.thread.take().unwrap().join();
        assert!(ended.is_ok() || std::thread::panicking());
    }
}

fn server_tls(files: &[&Files]) -> ServerTls {
    let files: Vec<_> = files.iter().map(|(chain, key)| (chain, key)).collect();
    ServerTls::from_files(&files).unwrap()
}

fn problem(result: Result<Client, ClientError>) -> CertificateProblem {
    match result {
        Err(ClientError::Tls(TlsError::Certificate(problem))) => problem,
        other => panic!("{other:?}"),
    }
}

fn echoes(client: &mut Client, text: &str) {
    client.send(text).unwrap();
    assert_eq!(client.read().unwrap(), Some(OwnedMessage::Text(text.into())));
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
//# If /secure/ is true, the client MUST perform a TLS handshake over
//# the connection after opening the connection and before sending
//# the handshake data [RFC2818].
//= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
//# Otherwise,
//# all further communication on this channel MUST run through the
//# encrypted tunnel [RFC5246].
//= https://www.rfc-editor.org/rfc/rfc6455#section-10.6
//# WebSocket implementations
//# MUST support TLS
#[test]
fn messages_of_every_size_come_back_over_tls() {
    let authority = Authority::new();
    let server = Server::start(&server_tls(&[&authority.server(&["localhost"])]));
    let trusting = ClientTls::trusting(authority.root()).unwrap();
    let mut client = server.client("localhost", &trusting).unwrap();
    for size in [0, 1, 125, 126, 16_370, 16_384, 65_535, 65_536, 300_000, 1 << 20] {
        let data: Vec<u8> = (0..size).map(|n: u32| (n % 251) as u8).collect();
        client.send(data.as_slice()).unwrap();
        assert!(client.read().unwrap() == Some(OwnedMessage::Binary(data)), "{size} bytes");
    }
    for number in 0..200 {
        client.send(format!("message {number}").as_str()).unwrap();
    }
    for number in 0..200 {
        let text = OwnedMessage::Text(format!("message {number}"));
        assert_eq!(client.read().unwrap(), Some(text));
    }
    client.close(CloseCode::NORMAL, "done").unwrap();
    assert_eq!(client.closed(), Some((Some(CloseCode::NORMAL), "")));
    assert_eq!(server.closed(1), [(1000, "closed with 1000 (normal closure): done".into())]);
}

#[test]
fn a_reactor_connects_to_wss_and_publications_reach_tls_connections() {
    let authority = Authority::new();
    let tls = server_tls(&[&authority.server(&["localhost"])]);
    let trusting = ClientTls::trusting(authority.root()).unwrap();
    let server = Server::with(Limits::default(), &tls, Some(trusting.clone()));
    let mut client = server.client("localhost", &trusting).unwrap();
    client.send(format!("dial {}", server.address.port()).as_str()).unwrap();
    // The server's own connection is told what it says, and publishes that.
    assert_eq!(client.read().unwrap(), Some(OwnedMessage::Text("from the dialer".into())));
    let mut other = server.client("localhost", &trusting).unwrap();
    other.send("publish").unwrap();
    let published = Some(OwnedMessage::Text("published".into()));
    assert_eq!(other.read().unwrap(), published);
    assert_eq!(client.read().unwrap(), published);
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
//# If this fails (e.g., the server's
//# certificate could not be verified), then the client MUST _Fail
//# the WebSocket Connection_ and abort the connection.
#[test]
fn each_way_a_certificate_is_wrong_is_told_apart() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let trusting = ClientTls::trusting(authority.root()).unwrap();
    let refused = |files: &Files| {
        let server = Server::start(&server_tls(&[files]));
        problem(server.client("localhost", &trusting))
    };
    let year_2021 = Some(1_609_459_200);
    assert_eq!(refused(&authority.server_of(2020, 2021)), CertificateProblem::Expired(year_2021));
    assert!(matches!(
        refused(&authority.server_of(2098, 2100)),
        CertificateProblem::NotYetValid(_)
    ));
    assert_eq!(refused(&stranger.server(&["localhost"])), CertificateProblem::UnknownIssuer);
    assert_eq!(refused(&authority.client("localhost")), CertificateProblem::WrongPurpose);
    let said = refused(&authority.authority_as_server()).to_string();
    assert!(said.contains("basicConstraints=CA:FALSE"), "{said}");
    let wrong_name = refused(&authority.server(&["example.org", "example.com"]));
    let CertificateProblem::WrongName { wanted, presented } = &wrong_name else {
        panic!("{wrong_name:?}")
    };
    assert_eq!((wanted.as_str(), presented.len()), ("localhost", 2));
    let said = wrong_name.to_string();
    assert!(said.contains("not for localhost") && said.contains("example.org"), "{said}");
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
//# Clients MUST use the Server Name Indication extension in the TLS
//# handshake [RFC6066].
#[test]
fn a_client_is_shown_the_certificate_for_the_name_that_it_asks_for() {
    let authority = Authority::new();
    let (first, second) = (authority.server(&["localhost"]), authority.server(&["127.0.0.1"]));
    let third = authority.server(&["ip6-localhost"]);
    let server = Server::start(&server_tls(&[&second, &first, &third]));
    let trusting = ClientTls::trusting(authority.root()).unwrap();
    echoes(&mut server.client("localhost", &trusting).unwrap(), "by name");
    // An address is no name to ask for, so that the first one is shown.
    echoes(&mut server.client("127.0.0.1", &trusting).unwrap(), "by address");
    // Among several, none is shown for a name that is nobody's.
    let server = Server::start(&server_tls(&[&second, &third]));
    let refused = server.client("localhost", &trusting);
    assert!(matches!(refused, Err(ClientError::Tls(TlsError::Alert(_)))), "{refused:?}");
}

#[test]
fn a_reload_keeps_old_connections_and_shows_new_ones_the_new_certificate() {
    let (authority, successor) = (Authority::new(), Authority::new());
    let files = authority.server(&["localhost"]);
    let tls = server_tls(&[&files]);
    let server = Server::start(&tls);
    let trusting = ClientTls::trusting(authority.root()).unwrap();
    let trusting_successor = ClientTls::trusting(successor.root()).unwrap();
    let mut old = server.client("localhost", &trusting).unwrap();

    let (chain, key) = successor.server(&["localhost"]);
    std::fs::copy(chain, &files.0).unwrap();
    // With the key still the old one, nothing changes.
    let error = tls.reload().unwrap_err().to_string();
    assert!(error.contains(files.1.to_str().unwrap()) && error.contains("not that of"), "{error}");
    assert_eq!(
        problem(server.client("localhost", &trusting_successor)),
        CertificateProblem::UnknownIssuer
    );
    std::fs::copy(key, &files.1).unwrap();
    tls.reload().unwrap();
    echoes(&mut server.client("localhost", &trusting_successor).unwrap(), "new");
    echoes(&mut old, "old");
}

#[test]
fn a_client_has_to_show_a_certificate_where_one_is_required() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let tls = server_tls(&[&authority.server(&["localhost"])]);
    let server = Server::start(&tls.require_clients_of(authority.root()).unwrap());
    let trusting = ClientTls::trusting(authority.root()).unwrap();
    let with = |(chain, key): Files| trusting.clone().with_certificate(chain, key).unwrap();

    let files = authority.client("anna");
    echoes(&mut server.client("localhost", &with(files.clone())).unwrap(), "it is me");
    let seen = server.ask(|echo| echo.certificates.clone());
    let [Some(seen)] = &seen[..] else { panic!("{seen:?}") };
    assert!(seen.windows(4).any(|bytes| bytes == b"anna"), "the name is in the certificate");

    for tls in [trusting.clone(), with(stranger.client("anna"))] {
        let refused = server.client("localhost", &tls);
        assert!(matches!(refused, Err(ClientError::Tls(TlsError::Alert(_)))), "{refused:?}");
    }
    assert_eq!(server.ask(|echo| echo.certificates.len()), 1);
}

#[test]
fn a_client_whose_certificate_was_revoked_is_refused_after_a_reload_also_with_a_ticket() {
    let authority = Authority::new();
    let files = authority.server(&["localhost"]);
    let issuers =
        authority.file("issuers.pem", &std::fs::read_to_string(authority.root()).unwrap());
    let tls = server_tls(&[&files]).require_clients_of(&issuers).unwrap();
    let server = Server::start(&tls);
    let trusting = ClientTls::trusting(authority.root()).unwrap();
    // The second and the third that the authority has issued.
    let [anna, bert] = ["anna", "bert"].map(|name| {
        let (chain, key) = authority.client(name);
        trusting.clone().with_certificate(chain, key).unwrap()
    });
    let mut open = server.client("localhost", &anna).unwrap();
    echoes(&mut open, "anna has a ticket now");

    std::fs::copy(authority.root_with_revoked(1), &issuers).unwrap();
    tls.reload().unwrap();
    let refused = server.client("localhost", &anna);
    let Err(ClientError::Tls(TlsError::Alert(alert))) = &refused else { panic!("{refused:?}") };
    assert!(alert.contains("revoked"), "{alert}");
    echoes(&mut server.client("localhost", &bert).unwrap(), "bert is trusted");
    echoes(&mut open, "what is open stays open");
}

#[test]
fn plain_http_on_a_tls_port_gets_a_400_in_plain_text() {
    let authority = Authority::new();
    let server = Server::start(&server_tls(&[&authority.server(&["localhost"])]));
    let mut stream = server.stream();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(answer.contains("use wss:// or https://"), "{answer}");
}

#[test]
fn junk_gets_an_alert_and_an_end_and_a_stalled_handshake_an_end() {
    let authority = Authority::new();
    let limits = {
        let mut limits = Limits::default();
        limits.handshake_within = Duration::from_millis(300);
        limits.close_within = Duration::from_millis(300);
        limits
    };
    let tls = server_tls(&[&authority.server(&["localhost"])]);
    let server = Server::with(limits, &tls, None);
    let mut stream = server.stream();
    stream.write_all(&[0x16, 0x03, 0x01, 0xFF, 0xFF, 0, 1, 2, 3]).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    assert_eq!(answer.first(), Some(&0x15), "an alert: {answer:?}");
    let (sender, receiver) = std::sync::mpsc::channel();
    server.handle.post(move |_, hub| sender.send(hub.counters().tls_failures).unwrap()).unwrap();
    assert_eq!(receiver.recv_timeout(Duration::from_secs(10)).unwrap(), 1, "it is counted");

    // The start of a hello, and nothing more; or a byte now and then. In a record that is not whole, or in one that is.
    let (record, hello): (&[u8], &[u8]) = (&[0x16, 3, 1, 1, 0], &[0x16, 3, 1, 0, 1, 1]);
    for (start, trickle) in [(record, false), (record, true), (hello, false), (hello, true)] {
        let mut stream = server.stream();
        stream.write_all(start).unwrap();
        let started = Instant::now();
        while trickle && stream.write_all(&[1]).is_ok() {
            assert!(started.elapsed() < Duration::from_secs(10), "it goes on for ever");
            std::thread::sleep(Duration::from_millis(20));
        }
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
    }
    let trusting = ClientTls::trusting(authority.root()).unwrap();
    echoes(&mut server.client("localhost", &trusting).unwrap(), "still here");
}

#[test]
fn a_stream_that_ends_without_a_close_frame_is_1006_also_with_close_notify() {
    let authority = Authority::new();
    let server = Server::start(&server_tls(&[&authority.server(&["localhost"])]));
    let trusting = ClientTls::trusting(authority.root()).unwrap();
    let client = server.client("localhost", &trusting).unwrap();
    client.stream().shutdown(std::net::Shutdown::Write).unwrap();
    let closed = server.closed(1);
    assert_eq!(closed.iter().map(|(code, _)| *code).collect::<Vec<_>>(), [1006], "{closed:?}");
}

#[test]
fn files_that_cannot_be_used_are_named_with_the_reason() {
    let authority = Authority::new();
    let (chain, key) = authority.server(&["localhost"]);
    let (_, other_key) = authority.server(&["localhost"]);
    let missing = authority.folder().join("missing.pem");
    let junk = authority.file("junk.pem", "this is no certificate");
    let cases = [
        (&missing, &key, &missing, "No such file"),
        (&junk, &key, &junk, "no certificate"),
        (&chain, &junk, &junk, "no private key"),
        (&chain, &other_key, &other_key, "not that of the certificate"),
    ];
    for (chain, key, named, reason) in cases {
        let error = ServerTls::from_files(&[(chain, key)]).unwrap_err().to_string();
        assert!(error.starts_with(named.to_str().unwrap()), "{error}");
        assert!(error.contains(reason), "{error}");
    }
    assert!(ClientTls::trusting(&missing).unwrap_err().to_string().contains("No such file"));
}
