//! The loop: what was typed, what was heard, and coming back.

use std::io::{BufRead, ErrorKind};
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError, sync_channel};
use std::time::{Duration, Instant};

use serde_json::Value;
use tautline::client::ClientError;
use tautline::{Client, CloseCode, OwnedMessage};

use super::dial::{Dialer, Link};
use super::screen::Screen;
use super::{FAILED, Mode, Out, fail};

/// How long one side is waited for before the other is looked at.
const TURN: Duration = Duration::from_millis(30);
/// Lines that are read ahead.
const AHEAD: usize = 16;
/// The delays before coming back: the first, and the longest.
const BACK_FIRST: Duration = Duration::from_millis(500);
const BACK_LAST: Duration = Duration::from_secs(30);
/// For how long a relay that has gone is tried to be reached when somebody waits for the end.
const AWAITED_MAX: Duration = Duration::from_secs(60);

/// What the input has next.
enum Input {
    Line(String),
    /// A line that is not UTF-8.
    NoText,
    End,
    Failed(std::io::Error),
}

struct Run<M> {
    mode: M,
    dialer: Dialer,
    screen: Screen,
    client: Option<Client>,
    input: Receiver<Input>,
    input_ended: bool,
    /// When and how often it was tried to come back.
    back_at: Instant,
    tries: u32,
    lost_at: Instant,
}

/// Runs until the mode has finished; returns the exit status.
pub(super) fn run(mut dialer: Dialer, mut mode: impl Mode, prompts: bool) -> u8 {
    let link = match dialer.open(&mode.at()) {
        Ok(link) => link,
        Err(failed) => return fail(FAILED, &failed.text),
    };
    let (mut screen, mut out) = (Screen::new(prompts), Out::default());
    let client = welcome(&mut mode, link, &mut out);
    if let Err(status) = print(&mut screen, &mode, &out) {
        return status;
    }
    let now = Instant::now();
    let mut run = Run {
        mode,
        dialer,
        screen,
        client: None,
        input: listen(),
        input_ended: false,
        back_at: now,
        tries: 0,
        lost_at: now,
    };
    run.take(client, &out.say);
    loop {
        if let Err(status) = run.turn() {
            run.screen.end();
            if let Some(mut client) = run.client {
                let _ = client.close(CloseCode::NORMAL, "");
            }
            return status;
        }
    }
}

/// Reads the input on a thread of its own: nothing else can wait for it and for a socket.
fn listen() -> Receiver<Input> {
    let (sender, receiver) = sync_channel(AHEAD);
    std::thread::spawn(move || {
        let mut input = std::io::stdin().lock();
        loop {
            let mut line = Vec::new();
            let next = match input.read_until(b'\n', &mut line) {
                Ok(0) => Input::End,
                Ok(_) => match str::from_utf8(&line) {
                    Ok(text) => Input::Line(text.trim_end_matches(['\n', '\r']).to_owned()),
                    Err(_) => Input::NoText,
                },
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => Input::Failed(error),
            };
            let last = matches!(next, Input::End | Input::Failed(_));
            if sender.send(next).is_err() || last {
                return;
            }
        }
    });
    receiver
}

/// Tells the mode of a new connection.
fn welcome(mode: &mut impl Mode, link: Link, out: &mut Out) -> Client {
    let Link { mut client, welcome, rest } = link;
    client.set_read_timeout(Some(TURN));
    mode.welcomed(&welcome, out);
    let now = Instant::now();
    rest.iter().for_each(|line| hear(mode, now, line, out));
    client
}

fn hear(mode: &mut impl Mode, now: Instant, text: &str, out: &mut Out) {
    // What is no JSON is no line of this protocol.
    if let Ok(line) = serde_json::from_str::<Value>(text) {
        mode.heard(now, &line, text, out);
    }
}

/// Shows what there is; a reader that has gone is the end, and no error.
fn print(screen: &mut Screen, mode: &impl Mode, out: &Out) -> Result<(), u8> {
    match screen.show(&out.show, &out.complain, &mode.prompt()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(0),
        Err(error) => Err(fail(FAILED, &format!("cannot write: {error}"))),
    }
}

impl<M: Mode> Run<M> {
    /// One look at both sides; the exit status at the end.
    fn turn(&mut self) -> Result<(), u8> {
        let mut out = Out::default();
        self.take_input(&mut out)?;
        let now = Instant::now();
        self.mode.pump(now, &mut out);
        self.deliver(out)?;
        if let Some(status) = self.mode.finished(self.client.is_some()) {
            return Err(status);
        }
        match self.client.take() {
            Some(client) => self.listen_to(client),
            None => self.come_back(now),
        }
    }

    fn take_input(&mut self, out: &mut Out) -> Result<(), u8> {
        while !self.input_ended && self.mode.has_room() {
            match self.input.try_recv() {
                Ok(input) => self.typed(input, out)?,
                Err(TryRecvError::Empty) => return Ok(()),
                Err(TryRecvError::Disconnected) => self.typed(Input::End, out)?,
            }
        }
        Ok(())
    }

    fn typed(&mut self, input: Input, out: &mut Out) -> Result<(), u8> {
        match input {
            Input::Line(line) => {
                self.screen.entered();
                self.mode.typed(&line, out);
            }
            Input::NoText => {
                self.screen.entered();
                self.mode.cannot_read("not sent: a line that is not UTF-8", out);
            }
            Input::End => {
                self.input_ended = true;
                self.mode.ended();
            }
            Input::Failed(error) => {
                return Err(fail(FAILED, &format!("the input cannot be read: {error}")));
            }
        }
        Ok(())
    }

    /// Says and shows.
    fn deliver(&mut self, out: Out) -> Result<(), u8> {
        print(&mut self.screen, &self.mode, &out)?;
        if let Some(client) = self.client.take() {
            self.take(client, &out.say);
        }
        Ok(())
    }

    /// Says lines on a connection. One that breaks meanwhile is found to be so by the next read.
    fn take(&mut self, mut client: Client, say: &[String]) {
        for line in say {
            if client.send(line.as_str()).is_err() {
                break;
            }
        }
        self.client = Some(client);
    }

    fn listen_to(&mut self, mut client: Client) -> Result<(), u8> {
        let mut out = Out::default();
        let now = Instant::now();
        let lost = match client.read() {
            Ok(Some(OwnedMessage::Text(text))) => {
                text.split('\n').for_each(|line| hear(&mut self.mode, now, line, &mut out));
                None
            }
            Ok(Some(OwnedMessage::Binary(_))) => None,
            Err(ClientError::TimedOut) => None,
            Ok(None) => {
                let (code, reason) = client.closed().unwrap_or_default();
                let code = code.map_or(0, CloseCode::get);
                let reason = super::text::neutral(reason);
                if code >= 4500 {
                    return Err(fail(
                        FAILED,
                        &format!("the relay has ended this connection: {reason}"),
                    ));
                }
                Some(if reason.is_empty() { "closed by the relay".to_owned() } else { reason })
            }
            Err(error) => Some(error.to_string()),
        };
        match lost {
            None => self.client = Some(client),
            Some(why) => {
                self.mode.lost(&why, &mut out);
                (self.tries, self.lost_at) = (0, now);
                self.plan();
            }
        }
        self.deliver(out)
    }

    /// The next try comes after a delay that grows, a random part of it, so that not all come at once.
    fn plan(&mut self) {
        let delay = BACK_FIRST.saturating_mul(1 << self.tries.min(6)).min(BACK_LAST);
        self.tries = self.tries.saturating_add(1);
        self.back_at = Instant::now() + delay.mul_f64(0.5 + rand::random::<f64>() / 2.0);
    }

    fn come_back(&mut self, now: Instant) -> Result<(), u8> {
        if now < self.back_at {
            let wait = TURN.min(self.back_at - now);
            if self.input_ended || !self.mode.has_room() {
                std::thread::sleep(wait);
                return Ok(());
            }
            let mut out = Out::default();
            match self.input.recv_timeout(wait) {
                Ok(input) => self.typed(input, &mut out)?,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => self.typed(Input::End, &mut out)?,
            }
            return self.deliver(out);
        }
        match self.dialer.open(&self.mode.at()) {
            Ok(link) => {
                let mut out = Out::default();
                let client = welcome(&mut self.mode, link, &mut out);
                self.client = Some(client);
                self.deliver(out)
            }
            Err(failed) if !failed.temporary => Err(fail(FAILED, &failed.text)),
            Err(failed) if self.mode.is_awaited() && now > self.lost_at + AWAITED_MAX => {
                Err(fail(FAILED, &format!("not sent: {}", failed.text)))
            }
            Err(_) => {
                self.plan();
                Ok(())
            }
        }
    }
}
