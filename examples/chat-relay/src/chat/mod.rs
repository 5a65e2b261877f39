//! The terminal client, the program `chat`: a person's lines in, the room's lines out.
//!
//! ```text
//!  stdin ──thread──> ┐                       ┌──> stdout, stderr
//!                    ├──> Mode (Talk, Json) ──┤
//!  relay ──Client──> ┘                       └──> relay
//! ```
//!
//! Both modes are told what was typed and what the relay has said, and answer with what is to be said, to be shown and
//! to be complained about. They know no socket;
//! `run` does, and comes back when a connection breaks.
//!
//! - `flags`: the command line. `dial`: connecting and `hello`. `token`: where the token is kept. `password`: how one
//!   is asked for.
//! - `talk`, `commands`, `rooms`, `heard`, `input`: for people. `json`: for programs.
//! - `text`: what others have written, so that it cannot do anything to the terminal.

mod commands;
mod dial;
mod flags;
mod heard;
mod input;
mod json;
mod password;
mod rooms;
mod run;
mod screen;
mod talk;
#[cfg(test)]
mod tests;
mod text;
mod token;

use std::io::{IsTerminal, Write};
use std::time::Instant;

use serde_json::Value;

use crate::limits::LINE_BYTES_MAX;
use dial::Dialer;
use flags::{Options, Stop};

/// The exit status of what was not done, and of a command line that cannot be followed.
const FAILED: u8 = 1;
const USAGE: u8 = 2;

const TOO_LONG: &str = "a line has at most 16 KiB";

fn is_too_long(line: &str) -> bool {
    line.len() > LINE_BYTES_MAX
}

/// Reads variables of the environment.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Runs the client to its end; returns the exit status.
pub fn main(arguments: impl Iterator<Item = String>, environment: Environment<'_>) -> u8 {
    match flags::parse(arguments) {
        Ok(options) => start(options, environment),
        Err(Stop::Print(text)) => {
            let _ = std::io::stdout().write_all(text.as_bytes());
            0
        }
        Err(Stop::BadUsage(text)) => fail(USAGE, &text),
    }
}

fn start(options: Options, environment: Environment<'_>) -> u8 {
    let on_terminal = std::io::stdin().is_terminal();
    let interactive = options.interactive || on_terminal;
    if !interactive && !options.json && options.place.is_none() {
        let text = "say where the lines go: chat ROOM, or chat @PERSON; --help says more";
        return fail(USAGE, text);
    }
    let dialer = match Dialer::new(&options, environment) {
        Ok(dialer) => dialer,
        Err(text) => return fail(USAGE, &text),
    };
    if options.json {
        let mode = json::Json::new(options.place, options.stay);
        return run::run(dialer, mode, false);
    }
    let clock = text::Clock::of_this_machine();
    let mode = talk::Talk::new(options.place, interactive, options.stay, clock);
    let prompts = on_terminal && std::io::stdout().is_terminal();
    run::run(dialer, mode, prompts)
}

fn fail(status: u8, text: &str) -> u8 {
    let _ = writeln!(std::io::stderr(), "chat: {text}");
    status
}

/// Where messages go.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    Room(String),
    Person(String),
}

impl Place {
    /// `ROOM`, or `@PERSON`.
    fn parse(text: &str) -> Result<Self, String> {
        match text.strip_prefix('@') {
            Some("") => Err("a person is named as in @bob".into()),
            Some(person) => Ok(Self::Person(person.into())),
            None if text.is_empty() => Err("a room has a name".into()),
            None => Ok(Self::Room(text.into())),
        }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Room(room) => f.write_str(&text::neutral(room)),
            Self::Person(person) => write!(f, "@{}", text::neutral(person)),
        }
    }
}

/// What a mode wants done.
#[derive(Debug, Default)]
struct Out {
    /// Lines for the relay.
    say: Vec<String>,
    /// Lines for stdout.
    show: Vec<String>,
    /// Lines for stderr.
    complain: Vec<String>,
}

/// What the client does with what it hears.
trait Mode {
    /// The cursors for `hello`.
    fn at(&self) -> Value;
    /// `hello` was answered.
    fn welcomed(&mut self, ok: &Value, out: &mut Out);
    /// The relay has said a line.
    fn heard(&mut self, now: Instant, line: &Value, text: &str, out: &mut Out);
    /// A line was typed.
    fn typed(&mut self, line: &str, out: &mut Out);
    /// Something was typed that is no line of text.
    fn cannot_read(&mut self, why: &str, out: &mut Out);
    /// No line will be typed any more.
    fn ended(&mut self);
    /// The connection is gone.
    fn lost(&mut self, why: &str, out: &mut Out);
    /// Says what is due, if there is a connection.
    fn pump(&mut self, now: Instant, out: &mut Out);
    /// Whether another line can be taken.
    fn has_room(&self) -> bool;
    /// The exit status, when all is done.
    fn finished(&self, connected: bool) -> Option<u8>;
    /// Whether somebody waits for the end, so that it is not tried for ever to come back.
    fn is_awaited(&self) -> bool;
    /// What stands before what is typed.
    fn prompt(&self) -> String;
}
