//! The relay: connections, the people behind them, and the rooms that they share.
//!
//! It is told what happened ([`open`](Relay::open), [`receive`](Relay::receive), [`drained`](Relay::drained),
//! [`close`](Relay::close), [`tick`](Relay::tick)) with the time at which it did, and answers with a list of [`Out`],
//! to be carried out in order. `K` is whatever the caller names its connections by.
//!
//! A person is in one of three states:
//!
//! ```text
//!            hello, free name                connection closed
//!   unknown ─────────────────────> online <──────────────────────> away
//!      ^                            ^  │        hello, token         │
//!      │                            └──┘ hello, token: the older     │
//!      │                                 connection is closed        │
//!      └─────────────────────────────────────────────────────────────┘
//!           away for an hour, or in no room, or the place is needed
//! ```

mod people;
mod rooms;

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use crate::bucket::{Bucket, Rate};
use crate::limits::RelayLimits;
use crate::protocol::{self, Command, ErrorCode, Event, Line, Nothing, Problem, ok_line};
use crate::room::Room;
use people::Person;

/// When something happens, by two clocks.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Time since a fixed moment, by a clock that never goes back.
    pub clock: Duration,
    /// Milliseconds since 1970, by the clock on the wall.
    pub unix_ms: u64,
}

/// What is to be done, in the order of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Out<K> {
    /// Send a text frame to one connection.
    Send {
        /// The connection.
        to: K,
        /// One line, or several.
        text: String,
    },
    /// Send a text frame to all connections that are subscribed to a topic. It is the same for all of them.
    Publish {
        /// The topic: a room's name.
        topic: Arc<str>,
        /// One line.
        text: String,
        /// The one that does not get it.
        except: Option<K>,
    },
    /// From now on the connection gets what is published on the topic.
    Subscribe {
        /// The connection.
        who: K,
        /// The topic.
        topic: Arc<str>,
    },
    /// From now on it does not.
    Unsubscribe {
        /// The connection.
        who: K,
        /// The topic.
        topic: Arc<str>,
    },
    /// Close the connection.
    Close {
        /// The connection.
        who: K,
        /// The close code, 4000 to 4999.
        code: u16,
        /// The reason, less than 100 bytes.
        reason: &'static str,
    },
}

/// The relay. See the [module](self).
pub struct Relay<K> {
    limits: RelayLimits,
    random: Random,
    sessions: HashMap<K, Session>,
    /// Connections that may not have said `hello` yet, the oldest first.
    greeting: VecDeque<(Duration, K)>,
    people: HashMap<Arc<str>, Person<K>>,
    /// Who is away, since when (by the clock that never goes back).
    away: BTreeSet<(Duration, Arc<str>)>,
    rooms: HashMap<Arc<str>, Room>,
}

/// A source of numbers that nobody can guess: tokens and epochs are made of them.
pub type Random = Box<dyn FnMut() -> u128 + Send>;

/// What the relay knows of a connection.
#[derive(Debug)]
struct Session {
    /// The key of the name of the person whose connection it is.
    person: Option<Arc<str>>,
    /// The relay has asked for its end: nothing more is taken from it.
    closing: bool,
    bucket: Bucket,
    refusals: Bucket,
    /// Until when the last refusal asked it to wait. A line after that is obedience, whatever comes of it.
    asked_to_wait: Duration,
    /// The rooms whose log it is still being sent.
    behind: VecDeque<Behind>,
}

/// A room that a connection is catching up with.
#[derive(Debug)]
struct Behind {
    room: Arc<str>,
    next: u64,
}

impl<K: Copy + Eq + Hash> Relay<K> {
    /// A relay without people or rooms.
    pub fn new(limits: RelayLimits, random: Random) -> Self {
        Self {
            limits,
            random,
            sessions: HashMap::new(),
            greeting: VecDeque::new(),
            people: HashMap::new(),
            away: BTreeSet::new(),
            rooms: HashMap::new(),
        }
    }

    /// A connection was opened. `who` was never the name of another.
    pub fn open(&mut self, now: Moment, who: K) {
        let bucket = Bucket::full(self.rate(), now.clock);
        let refusals = Bucket::full(self.refusal_rate(), now.clock);
        let session = Session {
            person: None,
            closing: false,
            bucket,
            refusals,
            asked_to_wait: Duration::ZERO,
            behind: VecDeque::new(),
        };
        self.sessions.insert(who, session);
        self.greeting.push_back((now.clock, who));
    }

    /// A text frame arrived.
    pub fn receive(&mut self, now: Moment, who: K, text: &str, out: &mut Vec<Out<K>>) {
        let lines = text.split('\n').map(str::trim_ascii).filter(|line| !line.is_empty());
        // Blank lines are not answered, but not for nothing either.
        let said: usize = lines.clone().map(str::len).sum();
        let blank = text.len().saturating_sub(said);
        if blank >= 1024
            && self.is_open(who)
            && let Err(problem) = self.afford(now, who, blank)
        {
            return self.refuse_or_close(now, who, problem, out);
        }
        for (n, line) in lines.enumerate() {
            if !self.is_open(who) {
                return;
            }
            if n == self.limits.frame_lines_max {
                let text = "too many lines in one frame; this one and the rest were dropped";
                return refuse(out, who, &Problem::new(ErrorCode::TooLong, text));
            }
            let answered = out.len();
            self.receive_line(now, who, line, out);
            self.charge_for_answer(who, out.get(answered..).unwrap_or_default());
        }
    }

    /// A binary frame arrived.
    pub fn receive_binary(&mut self, now: Moment, who: K, bytes: usize, out: &mut Vec<Out<K>>) {
        if self.is_open(who) {
            let problem = Problem::new(ErrorCode::Binary, "only text frames are understood here");
            let problem = self.afford(now, who, bytes).err().unwrap_or(problem);
            self.refuse_or_close(now, who, problem, out);
        }
    }

    /// Whether there is more of the log for a connection than [`receive`](Self::receive) has sent it.
    pub fn is_behind(&self, who: K) -> bool {
        self.sessions.get(&who).is_some_and(|it| !it.closing && !it.behind.is_empty())
    }

    /// The connection has room for the next piece of what it [is behind](Self::is_behind) with.
    pub fn drained(&mut self, who: K, out: &mut Vec<Out<K>>) {
        if self.is_open(who) {
            self.feed(who, out);
        }
    }

    /// The connection is gone.
    pub fn close(&mut self, now: Moment, who: K, out: &mut Vec<Out<K>>) {
        if let Some(person) = self.sessions.remove(&who).and_then(|session| session.person) {
            self.lose_connection(now, &person, out);
        }
    }

    /// Time has passed: call it every few seconds.
    pub fn tick(&mut self, now: Moment, out: &mut Vec<Out<K>>) {
        while let Some(&(since, who)) = self.greeting.front()
            && since + self.limits.hello_within <= now.clock
        {
            self.greeting.pop_front();
            if self.sessions.get(&who).is_some_and(|it| it.person.is_none() && !it.closing) {
                self.end_session(who, protocol::HELLO_LATE, "say hello first", out);
            }
        }
        while let Some((since, person)) = self.away.first()
            && *since + self.limits.away_kept <= now.clock
        {
            self.forget_person(now, &person.clone(), out);
        }
    }

    fn receive_line(&mut self, now: Moment, who: K, line: &str, out: &mut Vec<Out<K>>) {
        if let Err(problem) = self.try_line(now, who, line, out) {
            self.refuse_or_close(now, who, problem, out);
        }
    }

    fn try_line(
        &mut self,
        now: Moment,
        who: K,
        line: &str,
        out: &mut Vec<Out<K>>,
    ) -> Result<(), Problem> {
        if line.len() > self.limits.line_bytes_max {
            self.afford(now, who, line.len())?;
            let text = format!("a line has at most {} bytes", self.limits.line_bytes_max);
            return Err(Problem::new(ErrorCode::TooLong, text));
        }
        // Parsed before it is paid for, so that a refusal can carry the id.
        let line_bytes = line.len();
        let parsed = protocol::parse(line);
        let id = parsed.as_ref().map_or_else(|problem| problem.id, |line| line.id);
        self.afford(now, who, line_bytes).map_err(|problem| problem.with_id(id))?;
        let Line { command, .. } = parsed?;
        self.run(now, who, id, command, out).map_err(|problem| problem.with_id(id))
    }

    fn run(
        &mut self,
        now: Moment,
        who: K,
        id: Option<u64>,
        command: Command,
        out: &mut Vec<Out<K>>,
    ) -> Result<(), Problem> {
        let person = self.sessions.get(&who).and_then(|session| session.person.clone());
        match (command, person) {
            (Command::Hello(hello), None) => self.hello(now, who, id, hello, out),
            (Command::Hello(_), Some(_)) => {
                let text = "this connection has said hello already";
                Err(Problem::new(ErrorCode::HelloAgain, text))
            }
            (_, None) => Err(Problem::new(ErrorCode::HelloFirst, "say hello first")),
            (Command::Join(join), Some(me)) => self.join(now, who, id, &me, &join.room, out),
            (Command::Leave(leave), Some(me)) => self.leave(now, who, id, &me, &leave.room, out),
            (Command::Send(send), Some(me)) => self.send(now, who, id, &me, &send, out),
            (Command::Get(get), Some(me)) => self.get(who, id, &me, &get, out),
            (Command::Eph(eph), Some(me)) => self.eph(who, id, &me, &eph, out),
            (Command::Ping, Some(_)) => {
                answer(out, who, id, &Nothing {});
                Ok(())
            }
        }
    }

    /// Sends the next piece of the log to a connection that is behind, and subscribes it to each room that it has
    /// caught up with.
    fn feed(&mut self, who: K, out: &mut Vec<Out<K>>) {
        let Some(session) = self.sessions.get_mut(&who) else { return };
        let mut piece = String::new();
        let mut live = Vec::new();
        while let Some(behind) = session.behind.front_mut() {
            let Some(room) = self.rooms.get(&behind.room) else {
                session.behind.pop_front();
                continue;
            };
            if behind.next < room.first() {
                // It was slower than the room: the log has moved on.
                behind.next = room.first();
                add_line(&mut piece, &Event::Reset { room: room.name(), log: room.log() });
            }
            while piece.len() < self.limits.answer_bytes_max
                && let Some(message) = room.message(behind.next)
            {
                add_line(&mut piece, &Event::Msg(message));
                behind.next += 1;
            }
            // Members are listed in full, so that one piece is at most one list longer than the limit.
            if behind.next <= room.head() || piece.len() >= self.limits.answer_bytes_max {
                break;
            }
            let members = people::members(&self.people, room);
            add_line(&mut piece, &Event::Live { room: room.name(), head: room.head(), members });
            live.push(room.name().clone());
            session.behind.pop_front();
        }
        if !piece.is_empty() {
            out.push(Out::Send { to: who, text: piece });
        }
        out.extend(live.into_iter().map(|topic| Out::Subscribe { who, topic }));
    }

    /// The session's part of ending a connection; [`close`](Self::close) follows when it is gone.
    fn end_session(&mut self, who: K, code: u16, reason: &'static str, out: &mut Vec<Out<K>>) {
        if let Some(session) = self.sessions.get_mut(&who) {
            session.closing = true;
            session.behind.clear();
            out.push(Out::Close { who, code, reason });
        }
    }

    fn is_open(&self, who: K) -> bool {
        self.sessions.get(&who).is_some_and(|session| !session.closing)
    }

    fn afford(&mut self, now: Moment, who: K, bytes: usize) -> Result<(), Problem> {
        let rate = self.rate();
        let Some(session) = self.sessions.get_mut(&who) else { return Ok(()) };
        session.bucket.take(1 + kibibytes(bytes), rate, now.clock).map_err(|wait| Problem {
            retry_ms: Some(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)),
            ..Problem::new(ErrorCode::Rate, "too much in too short a time")
        })
    }

    /// An answer that is larger than its question is paid for too.
    fn charge_for_answer(&mut self, who: K, answer: &[Out<K>]) {
        let bytes = answer.iter().map(|out| match out {
            Out::Send { text, .. } => text.len(),
            Out::Publish { .. } | Out::Subscribe { .. } | Out::Unsubscribe { .. } => 0,
            Out::Close { .. } => 0,
        });
        let bytes = bytes.sum();
        if let Some(session) = self.sessions.get_mut(&who) {
            session.bucket.charge(kibibytes(bytes));
        }
    }

    /// Answers with the problem; a client that goes on although it was told to wait is closed.
    fn refuse_or_close(&mut self, now: Moment, who: K, problem: Problem, out: &mut Vec<Out<K>>) {
        let rate = self.refusal_rate();
        refuse(out, who, &problem);
        let Some(session) = self.sessions.get_mut(&who).filter(|_| problem.code == ErrorCode::Rate)
        else {
            return;
        };
        let obedient = now.clock >= session.asked_to_wait;
        session.asked_to_wait = now.clock + Duration::from_millis(problem.retry_ms.unwrap_or(0));
        if !obedient && session.refusals.take(1, rate, now.clock).is_err() {
            self.end_session(who, protocol::FLOOD, "too much, and it went on", out);
        }
    }

    fn rate(&self) -> Rate {
        Rate { burst: self.limits.burst, refill_per_s: self.limits.refill_per_s }
    }

    fn refusal_rate(&self) -> Rate {
        Rate { burst: self.limits.refusals_max, refill_per_s: 1 }
    }
}

fn kibibytes(bytes: usize) -> u32 {
    u32::try_from(bytes / 1024).unwrap_or(u32::MAX)
}

fn answer<K>(out: &mut Vec<Out<K>>, to: K, id: Option<u64>, ok: &impl serde::Serialize) {
    if let Some(id) = id {
        out.push(Out::Send { to, text: ok_line(id, ok) });
    }
}

fn refuse<K>(out: &mut Vec<Out<K>>, to: K, problem: &Problem) {
    out.push(Out::Send { to, text: problem.line() });
}

fn add_line(piece: &mut String, event: &Event<'_>) {
    if !piece.is_empty() {
        piece.push('\n');
    }
    piece.push_str(&event.line());
}

/// A problem whose text is fixed.
fn problem(code: ErrorCode, text: impl Into<Cow<'static, str>>) -> Problem {
    Problem::new(code, text)
}
