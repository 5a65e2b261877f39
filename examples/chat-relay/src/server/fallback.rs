//! The relay for networks that break WebSockets: server-sent events, long polling, and POST.
//!
//! Each is a connection of the relay like any other, whose `hello` is made of the request: the token of
//! `Authorization`, the cursors of
//! `Last-Event-ID`. Nothing is kept between two requests, so they may come to any relay that has the same store.
//!
//! - `GET /sse`: every line is an event, for as long as the client listens.
//! - `GET /poll`: the lines that are there, or the first that come within `wait_s` seconds.
//! - `POST /post`: lines of the client, and the answers to them. It is no device, and gets no events.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Map, Value, json};
use tautline::handshake::{FieldError, HttpRequest, Refusal, Response, Status};
use tautline::reactor::{self as engine, ConnectionId, SendStatus};

use super::{Context, Hub, Server, http};
use crate::limits::RelayLimits;
use crate::protocol::{self, ErrorCode, Problem};
use crate::relay::{Moment, Out};

/// A comment is written as often as this: proxies end what is silent, and a client that is gone is found by writing to
/// it.
const BEAT: Duration = Duration::from_secs(15);
/// For how long a poll waits at most, and a post for its answers.
const WAIT_MAX: Duration = Duration::from_secs(25);

/// The connections that are no WebSockets.
#[derive(Default)]
pub(super) struct Streams {
    of: HashMap<ConnectionId, Stream>,
    beat_at: Duration,
    line_bytes_max: usize,
    frame_lines_max: usize,
}

struct Stream {
    form: Form,
    /// What is said before the head of the answer is written.
    early: Option<Vec<u8>>,
    /// The answer to the `hello` was said.
    greeted: bool,
    /// Nothing more is to be said.
    done: bool,
    /// When it ends at the latest.
    until: Option<Duration>,
}

enum Form {
    Events,
    Poll {
        /// Until when it waits for what is new.
        until: Duration,
    },
    Post {
        /// What is said when the `hello` was answered, until it is.
        rest: Option<String>,
        /// The client wants the answer to its `hello`, too.
        own_hello: bool,
        /// Answers that are awaited.
        awaited: usize,
    },
}

impl Streams {
    pub(super) fn new(limits: &RelayLimits) -> Self {
        let RelayLimits { line_bytes_max, frame_lines_max, .. } = *limits;
        Self { line_bytes_max, frame_lines_max, ..Self::default() }
    }

    /// Whether what others do is told on it: not before the answer to its `hello`.
    pub(super) fn is_greeted(&self, who: ConnectionId) -> bool {
        self.of.get(&who).is_some_and(|it| it.greeted)
    }

    pub(super) fn has(&self, who: ConnectionId) -> bool {
        self.of.contains_key(&who)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.of.is_empty()
    }

    pub(super) fn remove(&mut self, who: ConnectionId) {
        self.of.remove(&who);
    }
}

impl Server {
    /// The answer to a request that stands for a connection; `None` where it does not.
    pub(super) fn fallback(
        &mut self,
        cx: &mut Context<'_>,
        request: &HttpRequest<'_>,
        peer: SocketAddr,
    ) -> Option<engine::Answer> {
        let now = self.now();
        let (method, path) = (request.method(), request.path());
        let (form, first) = match (method, path) {
            ("GET", "/sse") => (Form::Events, hello(request, true)),
            ("GET", "/poll") => {
                let until = now.clock.saturating_add(wait(request));
                (Form::Poll { until }, hello(request, true))
            }
            ("POST", "/post") => match std::str::from_utf8(request.body()) {
                Ok(body) => post(request, body),
                Err(_) => return Some(http::not_utf8().into()),
            },
            (_, "/sse" | "/poll") => return Some(http::not_allowed("GET").into()),
            (_, "/post") => return Some(http::not_allowed("POST").into()),
            _ => return None,
        };
        if !self.may_connect(request.origin(), &request.host(), peer) {
            return Some(Refusal::OriginNotAllowed.response().into());
        }
        let until = match &form {
            Form::Events => None,
            Form::Poll { .. } | Form::Post { .. } => Some(now.clock.saturating_add(WAIT_MAX)),
        };
        let Ok(head) = head(&form) else {
            return Some(Response::new(Status::INTERNAL_SERVER_ERROR).into());
        };
        if matches!(form, Form::Post { .. })
            && protocol::parse(&first).is_ok_and(|it| it.id.is_none())
        {
            // Nothing would tell when it is done, nor a new person the token.
            let text = "the first line needs an id; nothing was done";
            let line = Problem::new(ErrorCode::Fields, text).line();
            return Some(head.body(format!("{line}\n").into_bytes()).into());
        }
        let who = cx.id();
        let stream = Stream { form, early: Some(Vec::new()), greeted: false, done: false, until };
        self.streams.of.insert(who, stream);
        self.relay.open(now, who, peer.ip());
        let mut out = Vec::new();
        self.relay.receive(now, who, &first, &mut out);
        self.carry_out(&mut cx.hub(), now, out);
        let Some(stream) = self.streams.of.get_mut(&who) else { return Some(head.into()) };
        let body = stream.early.take().unwrap_or_default();
        if stream.done {
            let mut out = Vec::new();
            self.end_stream(&mut cx.hub(), now, who, &mut out);
            self.carry_out(&mut cx.hub(), now, out);
            return Some(head.body(body).into());
        }
        Some(engine::Answer::Stream(head.body(body)))
    }

    /// Says lines on a stream.
    pub(super) fn say_on_stream(
        &mut self,
        hub: &mut Hub<'_>,
        now: Moment,
        who: ConnectionId,
        text: &str,
        more: &mut Vec<Out<ConnectionId>>,
    ) -> SendStatus {
        let mut bytes = Vec::new();
        let (line_bytes_max, lines_max) =
            (self.streams.line_bytes_max, self.streams.frame_lines_max);
        for line in text.split('\n') {
            // One that has said all still has what was said to it in the same breath.
            let Some(stream) = self.streams.of.get_mut(&who) else { break };
            if stream.hears(line) {
                stream.write(line, &mut bytes);
            }
            if let Some(rest) = stream.next_to_say(line_bytes_max, lines_max) {
                self.relay.receive(now, who, &rest, more);
            }
        }
        let Some(stream) = self.streams.of.get_mut(&who) else { return SendStatus::Sent };
        if stream.done {
            self.ripe.push(who);
        }
        match &mut stream.early {
            Some(early) => {
                early.extend_from_slice(&bytes);
                SendStatus::Sent
            }
            None if bytes.is_empty() => SendStatus::Sent,
            None => hub.connection(who).map_or(SendStatus::Sent, |mut cx| cx.write(&bytes)),
        }
    }

    /// Says on a stream why the relay ends it, and ends it.
    pub(super) fn close_stream(
        &mut self,
        hub: &mut Hub<'_>,
        who: ConnectionId,
        code: u16,
        reason: &str,
    ) {
        let Some(stream) = self.streams.of.get_mut(&who) else { return };
        let close = json!({"code": code, "reason": reason});
        let text = match stream.form {
            Form::Events => format!("event: close\ndata: {close}\n\n"),
            Form::Poll { .. } | Form::Post { .. } => format!("{}\n", json!({ "close": close })),
        };
        stream.done = true;
        self.ripe.push(who);
        match &mut stream.early {
            Some(early) => early.extend_from_slice(text.as_bytes()),
            None => {
                if let Some(mut cx) = hub.connection(who) {
                    cx.write(text.as_bytes());
                }
            }
        }
    }

    /// Ends a stream that has said all; one whose head is not written yet is ended by who writes it.
    pub(super) fn end_if_ripe(
        &mut self,
        hub: &mut Hub<'_>,
        now: Moment,
        who: ConnectionId,
        out: &mut Vec<Out<ConnectionId>>,
    ) {
        if self.streams.of.get(&who).is_some_and(|it| it.done && it.early.is_none()) {
            self.end_stream(hub, now, who, out);
        }
    }

    /// What follows from it is for the caller to carry out: thousands may end at once, and must not do so inside of
    /// each other.
    fn end_stream(
        &mut self,
        hub: &mut Hub<'_>,
        now: Moment,
        who: ConnectionId,
        out: &mut Vec<Out<ConnectionId>>,
    ) {
        self.streams.of.remove(&who);
        if let Some(mut cx) = hub.connection(who) {
            cx.finish();
        }
        self.relay.close(now, who, out);
    }

    /// Ends what has waited for long enough, and writes a comment to what is silent.
    pub(super) fn beat(&mut self, hub: &mut Hub<'_>, now: Moment) {
        let late = |(who, it): &(&ConnectionId, &Stream)| {
            it.until.is_some_and(|until| until <= now.clock)
                || it.waited_until().is_some_and(|until| until <= now.clock)
                    && !self.relay.lags(**who)
        };
        let all: Vec<_> = self.streams.of.iter().filter(late).map(|(who, _)| *who).collect();
        let mut out = Vec::new();
        for who in all {
            self.end_stream(hub, now, who, &mut out);
        }
        self.carry_out(hub, now, out);
        if now.clock >= self.streams.beat_at.saturating_add(BEAT) {
            self.streams.beat_at = now.clock;
            for (who, stream) in &self.streams.of {
                if let (Form::Events, Some(mut cx)) = (&stream.form, hub.connection(*who)) {
                    cx.write(b":\n\n");
                }
            }
        }
    }
}

impl Stream {
    /// Until when a poll waits that was told who it is, and all that there was.
    fn waited_until(&self) -> Option<Duration> {
        match self.form {
            Form::Poll { until } if self.greeted => Some(until),
            Form::Events | Form::Poll { .. } | Form::Post { .. } => None,
        }
    }

    /// Notes a line; false where the client is not to get it.
    fn hears(&mut self, line: &str) -> bool {
        let is_answer = line.starts_with("{\"id\":");
        if !std::mem::replace(&mut self.greeted, true) {
            // A `hello` that was refused is the end: there can be no other one.
            let refused =
                serde_json::from_str::<Value>(line).is_ok_and(|it| it.get("err").is_some());
            self.done = refused;
            return match &self.form {
                Form::Post { own_hello, .. } => refused || *own_hello,
                Form::Events | Form::Poll { .. } => true,
            };
        }
        match &mut self.form {
            Form::Events => {}
            Form::Poll { .. } => self.done = self.done || !line.starts_with("{\"live\":"),
            Form::Post { awaited, .. } => {
                *awaited = awaited.saturating_sub(usize::from(is_answer));
                self.done = *awaited == 0;
                return is_answer || line.starts_with("{\"err\":");
            }
        }
        true
    }

    fn write(&self, line: &str, bytes: &mut Vec<u8>) {
        let (before, behind): (&[u8], &[u8]) = match self.form {
            Form::Events => (b"data: ", b"\n\n"),
            Form::Poll { .. } | Form::Post { .. } => (b"", b"\n"),
        };
        bytes.extend_from_slice(before);
        bytes.extend_from_slice(line.as_bytes());
        bytes.extend_from_slice(behind);
    }

    /// What is to be said after the `hello`, once.
    fn next_to_say(&mut self, line_bytes_max: usize, lines_max: usize) -> Option<String> {
        let Form::Post { rest, awaited, .. } = &mut self.form else { return None };
        if self.done {
            return None;
        }
        let rest = rest.take()?;
        // A line that is too long is refused without its id, and what is beyond the last line not at all.
        let said = rest.split('\n').map(str::trim_ascii).filter(|line| !line.is_empty());
        let read = said.take(lines_max).filter(|line| line.len() <= line_bytes_max);
        *awaited = read.filter(|line| wants_answer(line)).count();
        // What wants no answer is heard all the same.
        self.done = *awaited == 0;
        Some(rest)
    }
}

/// Whether a line will be answered with its `id`.
fn wants_answer(line: &str) -> bool {
    match protocol::parse(line) {
        Ok(line) => line.id.is_some(),
        Err(problem) => problem.id.is_some(),
    }
}

/// The `hello` that a request stands for. What is wrong with it, the relay says.
fn hello(request: &HttpRequest<'_>, live: bool) -> String {
    let token = request.field_text("Authorization").and_then(|it| it.strip_prefix("Bearer "));
    let mut hello = Map::new();
    hello.insert("v".into(), 1.into());
    hello.insert("token".into(), token.unwrap_or_default().into());
    hello.insert("live".into(), live.into());
    if let Some(at) = request.field_text("Last-Event-ID") {
        hello.insert("at".into(), serde_json::from_str(at).unwrap_or(Value::Null));
    }
    if let Some(device) = parameter(request, "device") {
        hello.insert("device".into(), device.into());
    }
    json!({"id": 0, "hello": hello}).to_string()
}

fn post(request: &HttpRequest<'_>, body: &str) -> (Form, String) {
    if request.field("Authorization").is_some() {
        let form = Form::Post { rest: Some(body.to_owned()), own_hello: false, awaited: 0 };
        return (form, hello(request, false));
    }
    let body = body.trim_ascii_start();
    let (first, rest) = body.split_once('\n').unwrap_or((body, ""));
    let first = if first.is_empty() { "{}" } else { first };
    let form = Form::Post { rest: Some(rest.to_owned()), own_hello: true, awaited: 0 };
    (form, first.to_owned())
}

fn wait(request: &HttpRequest<'_>) -> Duration {
    let asked = parameter(request, "wait_s").and_then(|it| it.parse().ok());
    asked.map_or(WAIT_MAX, Duration::from_secs).min(WAIT_MAX)
}

/// A parameter of the query, where it needs no decoding.
fn parameter<'a>(request: &HttpRequest<'a>, name: &str) -> Option<&'a str> {
    let mut pairs = request.query()?.split('&').filter_map(|pair| pair.split_once('='));
    pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
}

fn head(form: &Form) -> Result<Response, FieldError> {
    let media_type = match form {
        Form::Events => "text/event-stream",
        Form::Poll { .. } | Form::Post { .. } => "application/x-ndjson",
    };
    Response::new(Status::OK)
        .field("Content-Type", media_type)?
        .field("Cache-Control", "no-store")?
        .field("X-Content-Type-Options", "nosniff")?
        // nginx would collect what should arrive now.
        .field("X-Accel-Buffering", "no")
}

#[cfg(test)]
mod tests;
