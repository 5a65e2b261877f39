//! The reactor and the blocking client over real sockets, on loopback.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)] // a test may panic

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

use tautline::client::ClientError;
use tautline::handshake::{ClientRequest, HttpRequest, Response, Status};
use tautline::reactor::{Answer, Closed, ConnectionId, Context, Handle, Handler};
use tautline::{Client, CloseCode, Limits, Message, Origins, OwnedMessage, Part, Reactor};

/// Sends back what comes; `publish …` goes to all, `dial PORT` makes a connection of the server's own. What is posted goes
/// to all who read the events.
#[derive(Default)]
struct Echo {
    readers: Vec<ConnectionId>,
    /// What connections that the server made itself were told.
    heard: Vec<String>,
    closed: Vec<String>,
}

impl Handler for Echo {
    type Session = bool;

    fn on_request(
        &mut self,
        cx: &mut Context<'_, bool>,
        request: &HttpRequest<'_>,
        _: SocketAddr,
    ) -> Answer {
        if request.method() == "GET" {
            self.readers.push(cx.id());
            return Answer::Stream(Response::new(Status::OK).text("hello"));
        }
        for &reader in &self.readers {
            if let Some(mut reader) = cx.connection(reader) {
                match request.body() {
                    b"" => reader.finish(),
                    event => reader.write(event),
                };
            }
        }
        Response::new(Status::NO_CONTENT).into()
    }

    fn on_open(&mut self, cx: &mut Context<'_, bool>) {
        cx.subscribe("all");
        if *cx.session() {
            cx.send("from the dialer");
        }
    }

    fn on_message(&mut self, cx: &mut Context<'_, bool>, message: Message<'_>) {
        match message {
            Message::Text(text) if *cx.session() => {
                self.heard.push(text.to_owned());
                cx.publish("asked for", text);
            }
            Message::Text(text) if text.starts_with("publish") => cx.publish("all", text),
            Message::Text(text) if text.starts_with("dial ") => {
                let address: SocketAddr = text["dial ".len()..].parse().unwrap();
                cx.subscribe("asked for");
                let request = ClientRequest::new(format!("ws://{address}/").parse().unwrap());
                cx.hub().connect(address, request, true).unwrap();
            }
            Message::Text("leave") => {
                cx.close(CloseCode::GOING_AWAY, "as you wish");
            }
            message => {
                cx.send(message);
            }
        }
    }

    fn on_close(&mut self, _: &mut Context<'_, bool>, closed: &Closed) {
        self.closed.push(closed.to_string());
    }
}

struct Server {
    address: SocketAddr,
    handle: Handle<Echo>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    fn start() -> Self {
        Self::with(Limits::default())
    }

    fn with(limits: Limits) -> Self {
        let reactor = Reactor::new(Echo::default()).unwrap().limits(limits);
        Self::run(reactor.listen("127.0.0.1:0").unwrap())
    }

    /// One of several on an address.
    #[cfg(target_os = "linux")]
    fn shared(address: SocketAddr) -> std::io::Result<Self> {
        Reactor::new(Echo::default())?.listen_shared(address).map(Self::run)
    }

    fn run(reactor: Reactor<Echo>) -> Self {
        let (address, handle) = (reactor.local_addrs().unwrap()[0], reactor.handle());
        let thread = std::thread::spawn(move || reactor.run().unwrap());
        Self { address, handle, thread: Some(thread) }
    }

    fn client(&self) -> Client {
        let mut client = tautline::connect(&format!("ws://{}/", self.address)).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(10)));
        client
    }

    #[cfg(target_os = "linux")]
    fn connections(&self) -> usize {
        let (sender, receiver) = std::sync::mpsc::channel();
        self.handle.post(move |_, hub| sender.send(hub.connections()).unwrap()).unwrap();
        receiver.recv_timeout(Duration::from_secs(10)).unwrap()
    }

    /// Asks the handler something.
    fn ask<T: Send + 'static>(&self, question: impl FnOnce(&mut Echo) -> T + Send + 'static) -> T {
        let (sender, receiver) = std::sync::mpsc::channel();
        self.handle.post(move |echo, _| sender.send(question(echo)).unwrap()).unwrap();
        receiver.recv_timeout(Duration::from_secs(10)).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.handle.shutdown(Duration::ZERO);
        let ended = self.thread.take().unwrap().join();
        assert!(ended.is_ok() || std::thread::panicking());
    }
}

fn text(text: &str) -> Option<OwnedMessage> {
    Some(OwnedMessage::Text(text.into()))
}

/// Posts an event, as a client that waits to be told to go on.
fn post(server: &Server, event: &[u8]) {
    let mut stream = TcpStream::connect(server.address).unwrap();
    let head = "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n";
    write!(stream, "{head}Content-Length: {}\r\n\r\n", event.len()).unwrap();
    if !event.is_empty() {
        let mut told = [0; 25];
        stream.read_exact(&mut told).unwrap();
        assert_eq!(&told, b"HTTP/1.1 100 Continue\r\n\r\n");
    }
    stream.write_all(event).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 204 "), "{answer}");
}

#[test]
fn what_is_posted_goes_to_those_who_read_a_stream_until_it_is_finished_or_they_leave() {
    let server = Server::start();
    let read = |stream: &mut TcpStream, expected: &[u8]| {
        let mut got = vec![0; expected.len()];
        stream.read_exact(&mut got).unwrap();
        assert!(got == expected, "{}", String::from_utf8_lossy(&got));
    };
    let head = b"HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
    let mut readers = [(); 2].map(|()| TcpStream::connect(server.address).unwrap());
    for reader in &mut readers {
        reader.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        read(reader, &[head.as_slice(), b"5\r\nhello\r\n"].concat());
    }
    let large = vec![b'x'; 60_000];
    post(&server, b"small");
    post(&server, &large);
    let [mut stays, mut leaves] = readers;
    for reader in [&mut stays, &mut leaves] {
        read(reader, b"5\r\nsmall\r\nea60\r\n");
        read(reader, &large);
        read(reader, b"\r\n");
    }
    drop(leaves);
    while server.ask(|echo| echo.closed.is_empty()) {
        std::thread::sleep(Duration::from_millis(5));
    }
    post(&server, b"");
    let mut rest = Vec::new();
    stays.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, b"0\r\n\r\n");
    let closed = server.ask(|echo| echo.closed.clone());
    assert!(closed[0].starts_with("the connection was lost"), "{closed:?}");
    assert_eq!(closed[1..], ["closed without a code"]);
}

#[test]
fn messages_of_every_size_come_back() {
    let server = Server::start();
    let mut client = server.client();
    for size in [0, 1, 125, 126, 127, 65_535, 65_536, 300_000, 1 << 20] {
        let data: Vec<u8> = (0..size).map(|n: u32| (n % 251) as u8).collect();
        client.send(data.as_slice()).unwrap();
        assert!(client.read().unwrap() == Some(OwnedMessage::Binary(data)), "{size} bytes");
        let word = "ü".repeat(size as usize / 2);
        client.send(word.as_str()).unwrap();
        assert!(client.read().unwrap() == text(&word), "{size} bytes of text");
    }
    client.close(CloseCode::NORMAL, "done").unwrap();
    assert_eq!(client.closed(), Some((Some(CloseCode::NORMAL), "")));
    assert_eq!(server.ask(|echo| echo.closed.clone()), ["closed with 1000 (normal closure): done"]);
}

#[test]
fn parts_with_pings_in_between_come_back_as_one_message() {
    let server = Server::start();
    let mut client = server.client();
    for (data, last) in [("one ", false), ("two ", false), ("three", true)] {
        client.ping(b"still here?").unwrap();
        client.send_part(Part { data: Message::Text(data), last }).unwrap();
    }
    assert_eq!(client.read().unwrap(), text("one two three"));
}

#[test]
fn a_close_of_the_server_reaches_the_client_with_its_reason() {
    let server = Server::start();
    let mut client = server.client();
    client.send("leave").unwrap();
    assert_eq!(client.read().unwrap(), None);
    assert_eq!(client.closed(), Some((Some(CloseCode::GOING_AWAY), "as you wish")));
    assert_eq!(client.read().unwrap(), None);
    assert!(matches!(client.send("too late"), Err(ClientError::Send(_))));
}

#[test]
fn many_clients_hear_what_one_publishes() {
    let server = Server::start();
    let mut clients: Vec<_> = (0..50).map(|_| server.client()).collect();
    for (n, client) in clients.iter_mut().take(20).enumerate() {
        client.send(format!("publish {n}").as_str()).unwrap();
    }
    for client in &mut clients {
        let mut heard: Vec<_> = (0..20).map(|_| client.read().unwrap().unwrap()).collect();
        heard.sort_by_key(|message| match message {
            OwnedMessage::Text(text) => text["publish ".len()..].parse::<u32>().unwrap(),
            OwnedMessage::Binary(_) => panic!("nobody sent that"),
        });
        for (n, message) in heard.into_iter().enumerate() {
            assert_eq!(Some(message), text(&format!("publish {n}")));
        }
    }
}

#[test]
fn a_loop_that_serves_also_connects_to_another_and_to_itself() {
    let (one, other) = (Server::start(), Server::start());
    for target in [other.address, one.address] {
        let mut client = one.client();
        client.send(format!("dial {target}").as_str()).unwrap();
        assert_eq!(
            client.read().unwrap(),
            text("from the dialer"),
            "the echo of the dialled server, published"
        );
    }
    assert_eq!(one.ask(|echo| echo.heard.clone()), ["from the dialer"; 2]);
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
//# If the connection could not be opened, either because a direct
//# connection failed or because any proxy used returned an error,
//# then the client MUST _Fail the WebSocket Connection_ and abort
//# the connection attempt.
#[test]
fn a_connection_that_cannot_be_made_is_told_once() {
    let closed_port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let server = Server::start();
    let mut client = server.client();
    client.send(format!("dial {closed_port}").as_str()).unwrap();
    client.send("still there?").unwrap();
    assert_eq!(client.read().unwrap(), text("still there?"));
    let told = (0..200).find_map(|_| {
        std::thread::sleep(Duration::from_millis(5));
        server.ask(|echo| echo.closed.first().cloned())
    });
    assert!(told.as_ref().is_some_and(|it| it.starts_with("the connection was lost")), "{told:?}");
}

#[test]
fn another_thread_publishes_and_ends_the_loop() {
    let server = Server::start();
    let mut client = server.client();
    let handle = server.handle.clone();
    std::thread::spawn(move || handle.post(|_, hub| hub.publish("all", "from a thread")).unwrap())
        .join()
        .unwrap();
    assert_eq!(client.read().unwrap(), text("from a thread"));
    server.handle.shutdown(Duration::from_millis(50)).unwrap();
    assert_eq!(client.read().unwrap(), None);
    assert_eq!(client.closed(), Some((Some(CloseCode::GOING_AWAY), "shutting down")));
}

#[test]
fn a_client_that_waits_for_nothing_gives_up_at_its_timeout_and_goes_on() {
    let server = Server::start();
    let mut client = server.client();
    client.set_read_timeout(Some(Duration::from_millis(30)));
    assert!(matches!(client.read(), Err(ClientError::TimedOut)));
    client.set_read_timeout(Some(Duration::from_secs(10)));
    client.send("hello").unwrap();
    assert_eq!(client.read().unwrap(), text("hello"));
    // What is there is given also by one that does not wait at all.
    client.send("there").unwrap();
    client.set_read_timeout(Some(Duration::ZERO));
    let got = (0..10_000).find_map(|_| match client.read() {
        Err(ClientError::TimedOut) => None,
        read => Some(read.unwrap()),
    });
    assert_eq!(got, Some(text("there")));
}

#[test]
fn a_peer_that_reads_nothing_is_given_up_in_send_and_in_close() {
    let (url, release) = (std::sync::mpsc::channel(), std::sync::mpsc::channel::<()>());
    let server = std::thread::spawn(move || {
        let reactor = Reactor::new(Stalled(release.1)).unwrap().listen("127.0.0.1:0").unwrap();
        let handle = reactor.handle();
        url.0.send((format!("ws://{}/", reactor.local_addrs().unwrap()[0]), handle)).unwrap();
        reactor.run().unwrap();
    });
    let (url, handle) = url.1.recv().unwrap();
    let mut limits = Limits::default();
    (limits.close_within, limits.pong_within) =
        (Duration::from_millis(100), Duration::from_millis(100));
    let mut client = Client::connect(&ClientRequest::new(url.parse().unwrap()), limits).unwrap();
    client.send("stall").unwrap();
    let sent = client.send(vec![0; 64 << 20].as_slice());
    assert!(matches!(sent, Err(ClientError::TimedOut)), "{sent:?}");
    let closed = client.close(CloseCode::NORMAL, "");
    assert!(matches!(closed, Err(ClientError::TimedOut)), "{closed:?}");
    release.0.send(()).unwrap();
    drop(client);
    handle.shutdown(Duration::ZERO).unwrap();
    server.join().unwrap();
}

/// A handler that blocks, as no handler should, until it is released.
struct Stalled(std::sync::mpsc::Receiver<()>);

impl Handler for Stalled {
    type Session = ();

    fn on_message(&mut self, _: &mut Context<'_, ()>, _: Message<'_>) {
        let _ = self.0.recv_timeout(Duration::from_secs(10));
    }
}

#[test]
fn a_server_that_does_not_answer_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let mut limits = Limits::default();
    limits.handshake_within = Duration::from_millis(50);
    limits.head_bytes_max = usize::MAX;
    let error = Client::connect(&ClientRequest::new(url.parse().unwrap()), limits).unwrap_err();
    assert!(matches!(error, ClientError::TimedOut), "{error}");
    assert!(matches!(tautline::connect("http://example.com/"), Err(ClientError::Url(_))));
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
//# The nonce
//# MUST be selected randomly for each connection.
#[test]
fn each_connection_that_is_made_has_a_nonce_of_its_own() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = Server::start();
    let mut dialer = server.client();
    let mut keys = std::collections::BTreeSet::new();
    for round in 0..4 {
        let blocking = (round % 2 == 0)
            .then(|| std::thread::spawn(move || tautline::connect(&format!("ws://{address}/"))));
        if blocking.is_none() {
            dialer.send(format!("dial {address}").as_str()).unwrap();
        }
        let mut lines = BufReader::new(listener.accept().unwrap().0).lines();
        let key = lines
            .find_map(|line| line.unwrap().strip_prefix("Sec-WebSocket-Key: ").map(str::to_owned));
        assert!(tautline::handshake::Key::parse(key.as_ref().unwrap().as_bytes()).is_some());
        keys.insert(key);
        drop(lines);
        assert!(blocking.is_none_or(|it| it.join().unwrap().is_err()));
    }
    assert_eq!(keys.len(), 4);
}

#[test]
fn a_port_in_use_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let error = Reactor::new(Echo::default()).unwrap().listen(address).err().unwrap();
    assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
    assert!(error.to_string().contains(&address.to_string()), "{error}");
}

#[cfg(target_os = "linux")]
const ANY_PORT: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

#[test]
#[cfg(target_os = "linux")]
fn loops_that_share_an_address_share_the_connections_and_one_goes_on_without_the_other() {
    let one = Server::shared(ANY_PORT).unwrap();
    let other = Server::shared(one.address).unwrap();
    assert_eq!(one.address, other.address);
    // That all of them go to one happens once in 2^63 times.
    let mut clients: Vec<_> = (0..64).map(|_| one.client()).collect();
    for (n, client) in clients.iter_mut().enumerate() {
        client.send(format!("message {n}").as_str()).unwrap();
        assert_eq!(client.read().unwrap(), text(&format!("message {n}")));
    }
    let counts = [&one, &other].map(|server| server.connections());
    assert_eq!(counts.iter().sum::<usize>(), 64);
    assert!(counts.iter().all(|count| *count > 0), "{counts:?}");

    one.handle.shutdown(Duration::ZERO).unwrap();
    other.handle.post(|_, hub| hub.publish("all", "going on")).unwrap();
    let mut left = 0;
    for client in &mut clients {
        match client.read().unwrap() {
            Some(message) => {
                assert_eq!(Some(message), text("going on"));
                left += 1;
            }
            None => assert_eq!(client.closed().unwrap().0, Some(CloseCode::GOING_AWAY)),
        }
    }
    assert_eq!(left, counts[1], "topics are not shared");
    drop(one);
    for _ in 0..16 {
        let mut client = other.client();
        client.send("anybody there?").unwrap();
        assert_eq!(client.read().unwrap(), text("anybody there?"));
    }
}

#[test]
#[cfg(target_os = "linux")]
fn an_address_that_is_not_shared_on_both_sides_is_in_use() {
    let (alone, shared) = (Server::start(), Server::shared(ANY_PORT).unwrap());
    let fresh = || Reactor::new(Echo::default()).unwrap();
    let both = [fresh().listen_shared(alone.address), fresh().listen(shared.address)];
    for (result, address) in both.into_iter().zip([alone.address, shared.address]) {
        let error = result.err().unwrap();
        assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
        assert!(error.to_string().contains(&address.to_string()), "{error}");
    }
}

/// Not a test of its own: the server of the next one, in a process with few descriptors.
#[test]
fn server_with_few_descriptors() {
    if std::env::var_os("TAUTLINE_FEW_DESCRIPTORS").is_none() {
        return;
    }
    let reactor =
        Reactor::new(Echo::default()).unwrap().origins(Origins::Any).listen("127.0.0.1:0").unwrap();
    println!("address {}", reactor.local_addrs().unwrap()[0]);
    reactor.run().unwrap();
}

struct FewDescriptors(Child, SocketAddr);

impl FewDescriptors {
    fn start() -> Self {
        let mut child = Command::new("sh")
            .args([
                "-c",
                "ulimit -n 40; exec \"$0\" --exact server_with_few_descriptors --nocapture",
            ])
            .arg(std::env::current_exe().unwrap())
            .env("TAUTLINE_FEW_DESCRIPTORS", "1")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let address =
            lines.into_iter().find_map(|line| line.split_once("address ")?.1.parse().ok());
        Self(child, address.expect("an address"))
    }

    fn cpu_seconds(&self) -> f64 {
        let text = std::fs::read_to_string(format!("/proc/{}/schedstat", self.0.id())).unwrap();
        text.split_whitespace().next().unwrap().parse::<f64>().unwrap() / 1e9
    }
}

impl Drop for FewDescriptors {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
#[cfg(target_os = "linux")]
fn when_descriptors_are_used_up_nobody_is_lost_and_the_loop_does_not_spin() {
    let server = FewDescriptors::start();
    let url = format!("ws://{}/", server.1);
    // More than the server has descriptors for: some are served, the others wait in the backlog.
    let connections: Vec<_> = (0..80).map(|_| TcpStream::connect(server.1).unwrap()).collect();
    std::thread::sleep(Duration::from_millis(1000));
    let spent = server.cpu_seconds();
    std::thread::sleep(Duration::from_millis(500));
    // Ten retries of next to nothing; a loop that spins would take all of the half second.
    assert!(server.cpu_seconds() - spent < 0.1, "{} s of CPU", server.cpu_seconds() - spent);

    // Whoever waited in vain was told so, and the rest is still connected.
    let turned_away = connections.iter().filter(|stream| {
        let mut stream: &TcpStream = stream;
        stream.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let mut answer = [0; 12];
        matches!(stream.read(&mut answer), Ok(12) if answer.starts_with(b"HTTP/1.1 503"))
    });
    let turned_away = turned_away.count();
    assert!((30..80).contains(&turned_away), "{turned_away}");

    // As soon as there is room, everybody new is served.
    drop(connections);
    let mut clients: Vec<_> = (0..20).map(|_| tautline::connect(&url).unwrap()).collect();
    for client in &mut clients {
        client.send("here").unwrap();
        assert_eq!(client.read().unwrap(), text("here"));
    }
}
