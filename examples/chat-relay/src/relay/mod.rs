//! The relay: connections, the people behind them, and the rooms that they share.
//!
//! It is told what happened ([`open`](Relay::open), [`receive`](Relay::receive), [`stored`](Relay::stored),
//! [`drained`](Relay::drained), [`close`](Relay::close), [`tick`](Relay::tick)) with the time at which it did, and
//! answers with a list of [`Out`], to be carried out in order. `K` is whatever the caller names its connections by. No
//! socket, no clock, no database: the same calls give the same lines.
//!
//! Rooms, their members and marks, and the people in them are here, in memory; messages, tokens and passwords only in
//! the store. What changes them goes to the store first, and is done here when the store has answered: nobody is told
//! of anything that could be lost.
//!
//! ```text
//!   receive ──> the line's command ──> Out::Store(job, Then) ──> store
//!                                                                  │ committed
//!   Out: send, publish, … <── what Then says <── stored(Then, answer)
//! ```
//!
//! - `session`: connections, and what they may spend.
//! - `hello`: who somebody is. `people`: devices, presence.
//! - `rooms`: who is where, and may what. `places`: how many may be. `messages`: send, get, search, marks, eph.
//! - `catch_up`: a connection that is behind. `admin`: for the one who runs it. `then`: what waits for the store.
//! - `upkeep`: what is done again, and what is dropped, as time passes.

mod admin;
mod catch_up;
mod hello;
mod messages;
mod people;
mod places;
mod room;
mod rooms;
mod session;
mod then;
mod upkeep;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::limits::{FRAME_BYTES_MAX, HELLO_BYTES_MAX, RelayLimits};
use crate::protocol::{self, Command, ErrorCode, Line, Nothing, Problem, ok_line};
use crate::store::Request;
use crate::store::job::{Answer, Inventory, Job, PersonId, Refused, RoomId};
use people::Person;
use room::Room;
use session::{Addresses, Session, Stage};
use then::{Asker, Step};

pub use hello::{Admission, Registration, Vouched, Voucher};
pub use then::{Compared, NewAccount, PasswordWork, Then};

/// When something happens, by two clocks.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Time since a fixed moment, by a clock that never goes back.
    pub clock: Duration,
    /// Milliseconds since 1970, by the clock on the wall.
    pub unix_ms: u64,
}

/// What is to be done, in the order of the list.
#[derive(Debug)]
pub enum Out<K> {
    /// Send a text frame to one connection.
    Send {
        /// The connection.
        to: K,
        /// One line, or several.
        text: String,
    },
    /// Send a text frame to all connections that are subscribed to a room's topic. It is the same for all of them.
    /// Those for which too much waits already are [held back](Relay::hold_back) before.
    Publish {
        /// The room.
        room: RoomId,
        /// The topic: the room's name.
        topic: Arc<str>,
        /// One line.
        text: String,
        /// The one that does not get it.
        except: Option<K>,
        /// What a connection that does not get this any more needs next of the room's log.
        next: u64,
    },
    /// From now on the connection gets what is published on the topic, if it is [still](Relay::is_live) to get it.
    Subscribe {
        /// The connection.
        who: K,
        /// The room.
        room: RoomId,
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
    /// Ask the store, and give its answer to [`stored`](Relay::stored). Answers come in the order of the questions.
    Store(Request<Then<K>>),
    /// Do something that takes long.
    Password(PasswordWork<K>),
}

/// How the relay is set up.
#[derive(Debug, Default)]
pub struct Settings {
    /// See [`RelayLimits`].
    pub limits: RelayLimits,
    /// Who gets in.
    pub admission: Admission,
    /// The secret of the one who runs the relay; without it nobody does.
    pub admin_secret: Option<String>,
    /// What is kept of the log.
    pub retention: Retention,
}

/// What is kept of each room's log; without limits, everything.
#[derive(Clone, Copy, Debug, Default)]
pub struct Retention {
    /// Messages that are older are dropped.
    pub age_max: Option<Duration>,
    /// Of more messages, the oldest are dropped.
    pub messages_max: Option<u64>,
}

/// The relay. See the [module](self).
pub struct Relay<K> {
    limits: RelayLimits,
    admission: Admission,
    admin_secret: Option<String>,
    retention: Retention,
    retained_at: Duration,
    random: Random,
    // Boxed: a table may be half empty, and an empty place is then small.
    sessions: HashMap<K, Box<Session>>,
    addresses: Addresses,
    /// Connections that may not have said `hello` yet, the oldest first.
    greeting: VecDeque<(Duration, K)>,
    /// Connections that are behind, since when they have taken nothing.
    lagging: HashMap<K, Duration>,
    /// Connections whose next piece the store had no time for.
    unfed: BTreeSet<K>,
    people: HashMap<PersonId, Box<Person<K>>>,
    keys: HashMap<Arc<str>, PersonId>,
    /// People whose last connection has ended, and when something comes of it. and they are kept in memory.
    leaving: BTreeSet<(Duration, PersonId)>,
    /// Rooms that people are about to come into, and that the store is at. They count as rooms already.
    entering: HashMap<PersonId, usize>,
    rooms: HashMap<RoomId, Room<K>>,
    /// Rooms that the store is making. They count already, too.
    making: usize,
    names: HashMap<Arc<str>, RoomId>,
    /// Marks that the store had no room for.
    unmarked: BTreeSet<(RoomId, PersonId)>,
    /// People who were in no room when the relay started: it may have died before their names were free again.
    left_before: BTreeSet<PersonId>,
    /// People whom the store could not forget.
    unforgotten: BTreeSet<PersonId>,
    /// Rooms that it could not forget.
    unforgotten_rooms: BTreeSet<RoomId>,
    /// Rooms for whose new owner it had no room.
    heirless: BTreeSet<RoomId>,
}

/// A source of numbers that nobody can guess: tokens and epochs are made of them.
pub type Random = Box<dyn FnMut() -> u128 + Send>;

/// What can name a connection.
pub trait Key: Copy + Ord + Hash {}
impl<K: Copy + Ord + Hash> Key for K {}

impl<K: Key> Relay<K> {
    /// A relay with what the store has.
    pub fn new(settings: Settings, inventory: Inventory, random: Random) -> Self {
        let Settings { limits, admission, admin_secret, retention } = settings;
        let mut relay = Self {
            limits,
            admission,
            admin_secret,
            retention,
            retained_at: Duration::ZERO,
            random,
            sessions: HashMap::new(),
            addresses: Addresses::default(),
            greeting: VecDeque::new(),
            lagging: HashMap::new(),
            unfed: BTreeSet::new(),
            people: HashMap::new(),
            keys: HashMap::new(),
            leaving: BTreeSet::new(),
            entering: HashMap::new(),
            rooms: HashMap::new(),
            making: 0,
            names: HashMap::new(),
            unmarked: BTreeSet::new(),
            left_before: BTreeSet::new(),
            unforgotten: BTreeSet::new(),
            unforgotten_rooms: BTreeSet::new(),
            heirless: BTreeSet::new(),
        };
        for known in inventory.people {
            relay.meet(&known, Duration::ZERO);
        }
        for room in inventory.rooms {
            let id = room.room;
            let room = Room::stored(room);
            if room.is_over() {
                // It died before all of it was dropped.
                relay.unforgotten_rooms.insert(id);
                continue;
            }
            for member in room.members.keys() {
                if let Some(person) = relay.people.get_mut(member) {
                    person.rooms.insert(id);
                }
            }
            relay.names.insert(room.name.clone(), id);
            relay.rooms.insert(id, room);
        }
        let in_no_room = relay.people.iter().filter(|(_, person)| person.rooms.is_empty());
        relay.left_before = in_no_room.map(|(id, _)| *id).collect();
        relay.people.retain(|_, person| !person.rooms.is_empty());
        // It died between the last owner's going and the heir's coming.
        let ownerless = relay.rooms.iter().filter(|(_, room)| room.heir().is_some());
        relay.heirless = ownerless.map(|(id, _)| *id).collect();
        relay.keys.retain(|_, person| relay.people.contains_key(person));
        relay
    }

    /// A connection was opened from an address. `who` was never the name of another.
    pub fn open(&mut self, now: Moment, who: K, address: IpAddr) {
        let session = self.new_session(now, address);
        self.sessions.insert(who, Box::new(session));
        self.greeting.push_back((now.clock, who));
    }

    /// A text frame arrived.
    pub fn receive(&mut self, now: Moment, who: K, text: &str, out: &mut Vec<Out<K>>) {
        let bytes_max = if self.is_greeting(who) { HELLO_BYTES_MAX } else { FRAME_BYTES_MAX };
        if text.len() > bytes_max && self.is_open(who) {
            let problem = format!("a frame has at most {bytes_max} bytes; nothing of it was done");
            let problem = Problem::new(ErrorCode::TooLong, problem);
            let problem = self.afford(now, who, text.len()).err().unwrap_or(problem);
            return self.refuse_or_close(now, who, problem, out);
        }
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
            if let Err(problem) = self.try_line(now, who, line, out) {
                self.refuse_or_close(now, who, problem, out);
            }
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

    /// The store has answered, or has not been asked: that is [`Refused::Busy`].
    pub fn stored(&mut self, now: Moment, then: Then<K>, answer: Answer, out: &mut Vec<Out<K>>) {
        match then.0 {
            Step::SignIn { asker, hello, token } => {
                let done = self.signed_in(now, asker, &hello, token.as_deref(), answer, out);
                self.greeted(now, asker, done, out);
            }
            Step::ComparePassword { asker, hello, password } => {
                let done = self.compare_password(asker, hello, password, answer, out);
                self.greeted(now, asker, done, out);
            }
            Step::MadeRoom(new) => {
                let asker = new.asker;
                let done = self.made_room(now, *new, answer, out);
                self.done(asker, done, out);
            }
            Step::FoundOther { asker, me } => {
                let done = person(answer).and_then(|it| self.direct_with(asker, me, &it, now, out));
                self.done(asker, done, out);
            }
            Step::FoundGrantee { asker, by, room, role } => {
                let may = by.map_or(Ok(()), |me| self.is_owner(me, room));
                let known = may.and_then(|()| person(answer));
                let done = known.and_then(|it| self.grant_to(asker, room, it, role.into(), out));
                self.done(asker, done, out);
            }
            Step::SetRole(change) => {
                let asker = change.asker;
                let done = self.role_is_set(now, change, answer, out);
                if let Some(asker) = asker {
                    self.done(asker, done, out);
                }
            }
            Step::Sent(draft) => {
                let asker = draft.asker;
                let done = self.sent(&draft, answer, out);
                self.done(asker, done, out);
            }
            Step::Fetched { asker, me, room } => {
                self.has_read(me);
                let done = self.fetched(asker, room, answer, out);
                self.done(asker, done, out);
            }
            Step::Found { asker, me } => {
                self.has_read(me);
                let done = self.found(asker, answer, out);
                self.done(asker, done, out);
            }
            Step::Feed { who, room } => self.fed(now, who, room, answer, out),
            Step::Marked { room, person } => self.marked(room, person, &answer, out),
            Step::SignedOut { asker, person, all } => {
                let done = self.signed_out(now, asker, person, all, answer, out);
                self.done(asker, done, out);
            }
            Step::Forgot { person } => self.forgot(now, person, &answer, out),
            Step::ForgotRoom { room } => self.forgot_room(room, &answer, out),
            Step::Retained => self.retained(now, answer, out),
            Step::Nothing => {}
            Step::Admin { asker, step } => {
                let done = self.administered(now, asker, step, answer, out);
                self.done(asker, done, out);
            }
        }
    }

    /// The connection is gone.
    pub fn close(&mut self, now: Moment, who: K, out: &mut Vec<Out<K>>) {
        self.lagging.remove(&who);
        let Some(session) = self.sessions.remove(&who) else { return };
        self.addresses.leave(session.address, now.clock);
        if let Stage::Person(person) = session.stage {
            self.lose_device(now, who, person, out);
        }
    }

    /// Time has passed: call it every second or so.
    pub fn tick(&mut self, now: Moment, out: &mut Vec<Out<K>>) {
        self.close_the_silent(now, out);
        self.feed_again(now, out);
        self.close_the_slow(now, out);
        self.close_the_expired(now, out);
        self.tell_who_left(now, out);
        self.addresses.tidy(self.address_rate(), now.clock);
        self.store_again(now, out);
        self.retain(now, out);
    }

    /// How many people, and rooms, are in memory.
    pub fn counts(&self) -> (usize, usize) {
        (self.people.len(), self.rooms.len())
    }

    fn try_line(
        &mut self,
        now: Moment,
        who: K,
        line: &str,
        out: &mut Vec<Out<K>>,
    ) -> Result<(), Problem> {
        let bytes_max =
            if self.is_greeting(who) { HELLO_BYTES_MAX } else { self.limits.line_bytes_max };
        if line.len() > bytes_max {
            self.afford(now, who, line.len())?;
            let text = format!("a line has at most {bytes_max} bytes");
            return Err(Problem::new(ErrorCode::TooLong, text));
        }
        // Parsed before it is paid for, so that a refusal can carry the id.
        let line_bytes = line.len();
        let parsed = protocol::parse(line);
        let id = parsed.as_ref().map_or_else(|problem| problem.id, |line| line.id);
        self.afford(now, who, line_bytes).map_err(|problem| problem.with_id(id))?;
        let Line { command, .. } = parsed?;
        self.run(now, Asker { who, id }, command, out).map_err(|problem| problem.with_id(id))
    }

    fn run(
        &mut self,
        now: Moment,
        asker: Asker<K>,
        command: Command,
        out: &mut Vec<Out<K>>,
    ) -> Result<(), Problem> {
        let stage = self.sessions.get(&asker.who).map_or(Stage::Closing, |session| session.stage);
        let me = match (stage, command) {
            (Stage::Greeting, Command::Hello(hello)) => return self.hello(now, asker, hello, out),
            (Stage::Person(_) | Stage::Admin | Stage::Asking, Command::Hello(_)) => {
                let text = "this connection has said hello already";
                return Err(problem(ErrorCode::HelloAgain, text));
            }
            (Stage::Admin, Command::Admin(admin)) => return self.admin(now, asker, admin, out),
            (Stage::Admin, Command::Ping) => return self.answered(asker, out),
            (Stage::Person(me), command) => (me, command),
            (Stage::Greeting | Stage::Asking | Stage::Admin | Stage::Closing, _) => {
                return Err(problem(
                    ErrorCode::HelloFirst,
                    "say hello first, and wait for the answer",
                ));
            }
        };
        match me {
            (me, Command::Join(join)) => self.join(now, asker, me, &join, out),
            (me, Command::Leave(leave)) => self.leave(asker, me, &leave, out),
            (me, Command::Direct(direct)) => self.direct(now, asker, me, &direct, out),
            (me, Command::Grant(grant)) => self.grant(asker, me, &grant, out),
            (me, Command::Members(list)) => self.list_members(asker, me, &list, out),
            (me, Command::Send(send)) => self.send(now, asker, me, send, out),
            (me, Command::Get(get)) => self.get(asker, me, &get, out),
            (me, Command::Search(search)) => self.search(now, asker, me, search, out),
            (me, Command::Mark(mark)) => self.mark(asker, me, &mark, out),
            (me, Command::Eph(eph)) => self.eph(asker, me, &eph, out),
            (me, Command::Logout(logout)) => sign_out(asker, me, logout.token, out),
            (_, Command::Ping) => self.answered(asker, out),
            (_, Command::Hello(_)) => Ok(()),
            (_, Command::Admin(_)) => {
                Err(problem(ErrorCode::Forbidden, "only for the one who runs the relay"))
            }
        }
    }

    /// Answers, if an answer is wanted and somebody is there. Returns how many bytes that were.
    fn answer(&self, out: &mut Vec<Out<K>>, asker: Asker<K>, ok: &impl serde::Serialize) -> usize {
        let Some(id) = asker.id.filter(|_| self.is_open(asker.who)) else { return 0 };
        let text = ok_line(id, ok);
        let bytes = text.len();
        out.push(Out::Send { to: asker.who, text });
        bytes
    }

    /// Answers that it is done.
    fn answered(&self, asker: Asker<K>, out: &mut Vec<Out<K>>) -> Result<(), Problem> {
        self.answer(out, asker, &Nothing {});
        Ok(())
    }

    /// What waited for the store has come to an end.
    fn done(&mut self, asker: Asker<K>, done: Result<(), Problem>, out: &mut Vec<Out<K>>) {
        if let Err(problem) = done
            && self.is_open(asker.who)
        {
            refuse(out, asker.who, &problem.with_id(asker.id));
        }
    }

    /// A number that nobody can guess, in 32 digits.
    fn secret(&mut self) -> String {
        format!("{:032x}", (self.random)())
    }
}

fn ask_store<K>(then: Step<K>, job: Job) -> Out<K> {
    Out::Store(Request { context: Then(then), job })
}

fn sign_out<K>(
    asker: Asker<K>,
    me: PersonId,
    token: Option<String>,
    out: &mut Vec<Out<K>>,
) -> Result<(), Problem> {
    let all = token.is_none();
    let then = Step::SignedOut { asker, person: me, all };
    out.push(ask_store(then, Job::SignOut { person: me, token }));
    Ok(())
}

/// The person that the store has answered with.
fn person(answer: Answer) -> Result<crate::store::job::Known, Problem> {
    match answer {
        Answer::Person(known) => Ok(known),
        answer => Err(refusal(answer)),
    }
}

/// Why the store did not do it, as a client is told. An answer that does not fit its question is a fault of the
/// store's.
fn refusal(answer: Answer) -> Problem {
    let Answer::Refused(refused) = answer else {
        return problem(ErrorCode::Storage, "the store answered something else");
    };
    match refused {
        Refused::Exists => problem(ErrorCode::NameTaken, "somebody has this name; choose another"),
        Refused::Unknown => problem(ErrorCode::UserUnknown, "nobody has this name"),
        Refused::Blocked => problem(ErrorCode::Blocked, "you are kept out of this relay"),
        Refused::BadInvitation => {
            problem(ErrorCode::Registration, "the invitation is unknown, used up or too old")
        }
        Refused::NoRoom => not_member(),
        Refused::Full => problem(
            ErrorCode::Storage,
            "the disk is full: nothing more can be stored, what is stored can be read",
        ),
        Refused::Failed(_) => problem(ErrorCode::Storage, "the disk fails: this was not stored"),
        Refused::Busy => {
            problem(ErrorCode::Busy, "too much waits for the disk").retry_after(RETRY_BUSY_MS)
        }
    }
}

const RETRY_BUSY_MS: u64 = 1_000;
/// Nobody knows when a place becomes free.
const RETRY_FULL_MS: u64 = 10_000;

fn refuse<K>(out: &mut Vec<Out<K>>, to: K, problem: &Problem) {
    out.push(Out::Send { to, text: problem.line() });
}

/// Says a line to a connection, in the frame of what it is told just before if that is not full.
fn say<K: PartialEq>(out: &mut Vec<Out<K>>, to: K, line: &str) {
    const FULL: usize = 16 * 1024;
    if let Some(Out::Send { to: last, text }) = out.last_mut()
        && *last == to
        && text.len() < FULL
    {
        text.push('\n');
        text.push_str(line);
        return;
    }
    out.push(Out::Send { to, text: line.to_owned() });
}

fn problem(code: ErrorCode, text: impl Into<std::borrow::Cow<'static, str>>) -> Problem {
    Problem::new(code, text)
}

fn not_member() -> Problem {
    problem(ErrorCode::NotMember, "you are not in this room; join it first")
}

fn relay_full() -> Problem {
    problem(ErrorCode::RelayFull, "the relay is full").retry_after(RETRY_FULL_MS)
}
