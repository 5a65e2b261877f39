//! What runs in the server's process: a reactor, and an application that echoes, publishes, and answers questions that
//! come by its standard input.

use std::io::BufRead;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tautline::frame::Role;
use tautline::handshake::{Accept, AcceptError, ClientRequest, Request, Response, Status};
use tautline::reactor::{Closed, Context, Handle, Handler, Hub};
use tautline::tls::{ClientTls, ServerTls};
use tautline::{CloseCode, Deflate, Limits, Message, Reactor};

/// Starts a line that is an answer: the test harness prints lines of its own.
pub(crate) const ANSWER: &str = "answer: ";

/// Serves until its standard input ends.
pub(crate) fn run(settings: &str) {
    let mut reactor = configured(settings).listen("127.0.0.1:0").unwrap();
    let (handle, address) = (reactor.handle(), reactor.local_addrs().unwrap()[0]);
    let turns = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&turns);
    std::thread::spawn(move || answer_questions(&handle, &counted));
    println!("\n{ANSWER}{address}");
    while !reactor.is_finished() {
        reactor.turn(None).unwrap();
        turns.fetch_add(1, Ordering::Relaxed);
    }
}

/// A reactor with settings such as `handshake_within=300 deflate`: limits by their names, times in milliseconds.
fn configured(settings: &str) -> Reactor<Attacked> {
    let mut limits = Limits::default();
    let (mut deflate, mut server_tls, mut client_tls) = (None, None, None);
    for setting in settings.split_whitespace() {
        let (name, value) = setting.split_once('=').unwrap_or((setting, ""));
        match name {
            "deflate" => deflate = Some(Deflate::default()),
            "takeover" => deflate.as_mut().unwrap().receiving.context_takeover = true,
            "certificate" => {
                server_tls =
                    Some(ServerTls::from_files(&[value.split_once(',').unwrap()]).unwrap());
            }
            "trusting" => client_tls = Some(ClientTls::trusting(value).unwrap()),
            _ => set(&mut limits, name, value.parse().unwrap()),
        }
    }
    let mut reactor = Reactor::new(Attacked::default()).unwrap().limits(limits);
    if let Some(deflate) = deflate {
        reactor = reactor.deflate(deflate);
    }
    if let Some(tls) = server_tls {
        reactor = reactor.server_tls(tls);
    }
    if let Some(tls) = client_tls {
        reactor = reactor.client_tls(tls);
    }
    reactor
}

fn set(limits: &mut Limits, name: &str, value: u64) {
    let (count, time) = (value as usize, Duration::from_millis(value));
    match name {
        "head_bytes_max" => limits.head_bytes_max = count,
        "field_line_bytes_max" => limits.field_line_bytes_max = count,
        "list_members_max" => limits.list_members_max = count,
        "message_bytes_max" => limits.message_bytes_max = count,
        "fragments_max" => limits.fragments_max = count as u32,
        "unanswered_pings_max" => limits.unanswered_pings_max = count as u32,
        "handshake_within" => limits.handshake_within = time,
        "ping_after" => limits.ping_after = Some(time),
        "pong_within" => limits.pong_within = time,
        "idle_after" => limits.idle_after = Some(time),
        "close_within" => limits.close_within = time,
        "outbox_bytes_max" => limits.outbox_bytes_max = count,
        "connections_max" => limits.connections_max = count,
        "connections_per_address_max" => limits.connections_per_address_max = count,
        "held_bytes_max" => limits.held_bytes_max = count,
        "messages_per_second_max" => limits.messages_per_second_max = Some(count as u32),
        "bytes_per_second_max" => limits.bytes_per_second_max = Some(count as u32),
        "handshakes_max" => limits.handshakes_max = count,
        "handshakes_per_address_max" => limits.handshakes_per_address_max = count,
        _ => panic!("{name} is no setting"),
    }
}

/// Answers each line of standard input with a line. At its end the process ends too, so that it never outlives whoever
/// has started it.
fn answer_questions(handle: &Handle<Attacked>, turns: &AtomicU64) {
    for question in std::io::stdin().lock().lines() {
        let Ok(question) = question else { break };
        if question == "turns" {
            println!("\n{ANSWER}{}", turns.load(Ordering::Relaxed));
            continue;
        }
        let asked = handle.post(move |application, hub| {
            println!("\n{ANSWER}{}", application.answer(&question, hub));
        });
        asked.unwrap();
    }
    std::process::exit(0);
}

/// The application.
#[derive(Default)]
struct Attacked {
    messages: u64,
    unacceptable: u64,
    closed: Vec<String>,
}

impl Attacked {
    /// The session of a connection that leaves.
    const LEAVING: usize = usize::MAX;

    fn answer(&mut self, question: &str, hub: &mut Hub<'_, usize>) -> String {
        let words: Vec<_> = question.split_whitespace().collect();
        match words[..] {
            ["connections"] => hub.connections().to_string(),
            ["messages"] => self.messages.to_string(),
            ["unacceptable"] => self.unacceptable.to_string(),
            ["tls_failures"] => hub.counters().tls_failures.to_string(),
            ["refused_of_address"] => hub.counters().refused.connections_of_address.to_string(),
            ["rate_pauses"] => hub.counters().rate_pauses.to_string(),
            ["held_bytes"] => hub.held_bytes().to_string(),
            ["closed"] => self.closed.join(" | "),
            ["dial", url, address, messages] => {
                let request = ClientRequest::new(url.parse().unwrap());
                let messages = messages.parse().unwrap();
                match hub.connect(address.parse().unwrap(), request, messages) {
                    Ok(_) => "connecting".into(),
                    Err(error) => error.to_string(),
                }
            }
            _ => panic!("{question:?} is no question"),
        }
    }

    /// All that a handler may do while it is told of a message, in an order in which little of it makes sense.
    fn leave(cx: &mut Context<'_, usize>) {
        *cx.session() = Self::LEAVING;
        cx.publish("all", "before it left");
        cx.unsubscribe("all");
        cx.publish("all", "after it left");
        cx.close(CloseCode::NORMAL, "left");
        cx.publish("all", "after it closed");
        cx.subscribe("all");
        cx.publish("all", "after it came back");
    }
}

impl Handler for Attacked {
    /// How many messages are sent as soon as the connection is open, if it is one of our own, and then it is closed.
    type Session = usize;

    fn on_upgrade(
        &mut self,
        request: &Request<'_>,
        _: SocketAddr,
        _: &mut usize,
    ) -> Result<Accept, Response> {
        match request.path() {
            "/split" => {
                let field = Accept::new().field("X-Name", "a\r\nX-Injected: b");
                self.unacceptable += u64::from(field.is_err());
                field.map_err(|_| Response::new(Status::INTERNAL_SERVER_ERROR))
            }
            "/unasked" => Ok(Accept::new().subprotocol("chat\r\nX-Injected: b")),
            _ => Ok(Accept::new()),
        }
    }

    fn on_accept_error(&mut self, _: &AcceptError) {
        self.unacceptable += 1;
    }

    fn on_open(&mut self, cx: &mut Context<'_, usize>) {
        for _ in 0..*cx.session() {
            cx.send("the same each time");
        }
        if cx.role() == Role::Client {
            cx.close(CloseCode::NORMAL, "");
        }
    }

    fn on_message(&mut self, cx: &mut Context<'_, usize>, message: Message<'_>) {
        self.messages += 1;
        match message {
            _ if cx.role() == Role::Client => {}
            Message::Text("subscribe") => {
                cx.subscribe("all");
                cx.send("subscribed");
            }
            Message::Text("leave") => Self::leave(cx),
            Message::Text("close") => {
                cx.close(CloseCode::GOING_AWAY, "as asked");
            }
            Message::Text(text) if text.starts_with("send ") => {
                let bytes = text["send ".len()..].parse().unwrap();
                cx.send(Message::Binary(&vec![7; bytes]));
            }
            Message::Text(text) if text.starts_with("publish ") => cx.publish("all", text),
            message => {
                cx.send(message);
            }
        }
    }

    fn on_close(&mut self, cx: &mut Context<'_, usize>, closed: &Closed) {
        if *cx.session() == Self::LEAVING {
            cx.publish("all", "in its end");
        }
        self.closed.push(closed.to_string());
    }
}
