//! Those who behave: they connect, join a room, say something every few seconds, count what they get, and leave after a
//! while, for another to come. A tenth speaks TLS, half of them compress.

use std::path::Path;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tautline::handshake::ClientRequest;
use tautline::reactor::{Closed, ConnectionId, Context, Handle, Handler, Hub};
use tautline::tls::ClientTls;
use tautline::{CloseCode, Deflate, Limits, Message, Reactor};

use super::{Server, TICK};

/// How often each of them says something.
const SAY_EVERY: Duration = Duration::from_secs(5);
const MEMBERS_OF_A_ROOM: usize = 20;
const STAY_MS: std::ops::Range<u64> = 5_000..120_000;
/// Connections that are being made at a time.
const DIALED_MAX: usize = 256;
const TEXT: &str = "The quick brown fox jumps over the lazy dog, and nobody says why it does so. ";

/// What they tell in the end.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) opened: u64,
    pub(super) said: u64,
    pub(super) acknowledged: u64,
    pub(super) heard: u64,
    /// Messages of a room that were missing, doubled, or out of order.
    pub(super) out_of_order: u64,
    /// Connections that ended without being asked to, or were not made.
    pub(super) failed: Vec<String>,
}

pub(super) struct Members {
    plain: std::net::SocketAddr,
    secure: std::net::SocketAddr,
    members: Vec<Member>,
    /// Whose turn is next.
    next: usize,
    dialed: usize,
    random: u64,
    told: Told,
    /// Nobody is to come any more; whom to tell once the last one has left.
    ending: Option<mpsc::Sender<Told>>,
}

#[derive(Default)]
struct Member {
    id: Option<ConnectionId>,
    leaves_at: Option<Instant>,
    joined: bool,
    leaving: bool,
    said: u64,
    acknowledged: u64,
    /// The number of the room's last message.
    head: u64,
}

pub(super) fn start(
    server: &Server,
    folder: &Path,
    count: usize,
) -> (JoinHandle<()>, Handle<Members>) {
    let members = Members {
        plain: server.plain,
        secure: server.secure,
        members: std::iter::repeat_with(Member::default).take(count).collect(),
        next: 0,
        dialed: 0,
        random: 0x9E37_79B9_7F4A_7C15,
        told: Told::default(),
        ending: None,
    };
    let tls = ClientTls::trusting(folder.join("chain.pem")).unwrap();
    let mut limits = Limits::default();
    // Hundreds are made at once, on one core, with signatures.
    limits.handshake_within = Duration::from_secs(60);
    let reactor = Reactor::new(members).unwrap().limits(limits).client_tls(tls);
    let handle = reactor.handle();
    (std::thread::spawn(|| reactor.run().unwrap()), handle)
}

/// Lets all of them leave, and ends the loop.
pub(super) fn end(handle: &Handle<Members>) -> Told {
    let (sender, told) = mpsc::channel();
    handle.post(|members, _| members.ending = Some(sender)).unwrap();
    let told = loop {
        match told.recv_timeout(TICK) {
            Ok(told) => break told,
            Err(_) => handle.post(|members, hub| members.tick(hub)).unwrap(),
        }
    };
    handle.shutdown(Duration::ZERO).unwrap();
    told
}

impl Members {
    /// Looks after as many of them as have their turn.
    pub(super) fn tick(&mut self, hub: &mut Hub<'_, usize>) {
        let share = (self.members.len() as u128 * TICK.as_nanos()).div_ceil(SAY_EVERY.as_nanos());
        for _ in 0..if self.ending.is_some() { self.members.len() } else { share as usize } {
            self.next = (self.next + 1) % self.members.len();
            self.look_after(self.next, hub);
        }
        if self.members.iter().all(|it| it.id.is_none())
            && let Some(ending) = self.ending.take()
        {
            ending.send(std::mem::take(&mut self.told)).unwrap();
        }
    }

    fn look_after(&mut self, number: usize, hub: &mut Hub<'_, usize>) {
        let ending = self.ending.is_some();
        let text_bytes = self.draw(0..8) * self.draw(0..60);
        let member = &mut self.members[number];
        let Some(id) = member.id else {
            if !ending && self.dialed < DIALED_MAX {
                self.come(number, hub);
            }
            return;
        };
        if !member.joined || member.leaving || member.acknowledged < member.said {
            return;
        }
        let mut cx = hub.connection(id).expect("nobody else ends it");
        if ending || member.leaves_at < Some(Instant::now()) {
            member.leaving = true;
            cx.close(CloseCode::NORMAL, "");
            return;
        }
        member.said += 1;
        self.told.said += 1;
        let text: String = TEXT.chars().cycle().take(text_bytes as usize).collect();
        cx.send(format!("say {} {text}", member.said).as_str());
    }

    fn come(&mut self, number: usize, hub: &mut Hub<'_, usize>) {
        let (address, scheme) =
            if number.is_multiple_of(10) { (self.secure, "wss") } else { (self.plain, "ws") };
        let url = format!("{scheme}://localhost:{}/", address.port());
        let mut request = ClientRequest::new(url.parse().unwrap());
        if number.is_multiple_of(2) {
            request = request.deflate(Deflate::default());
        }
        let id = hub.connect(address, request, number).unwrap();
        self.dialed += 1;
        let stay = Duration::from_millis(self.draw(STAY_MS));
        self.members[number] =
            Member { id: Some(id), leaves_at: Some(Instant::now() + stay), ..Member::default() };
    }

    fn draw(&mut self, range: std::ops::Range<u64>) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        range.start + self.random % (range.end - range.start)
    }
}

impl Handler for Members {
    /// The member's number.
    type Session = usize;

    fn on_open(&mut self, cx: &mut Context<'_, usize>) {
        self.dialed -= 1;
        self.told.opened += 1;
        let room = *cx.session() / MEMBERS_OF_A_ROOM;
        cx.send(format!("join room-{room}").as_str());
    }

    fn on_message(&mut self, cx: &mut Context<'_, usize>, message: Message<'_>) {
        let Message::Text(text) = message else { panic!("the server sends text") };
        let member = &mut self.members[*cx.session()];
        let words: Vec<&str> = text.splitn(4, ' ').collect();
        match words[..] {
            ["joined", _, head] => (member.joined, member.head) = (true, head.parse().unwrap()),
            ["said", _, number, _] => {
                let number = number.parse().unwrap();
                self.told.heard += 1;
                self.told.out_of_order += u64::from(number != member.head + 1);
                member.head = number;
            }
            ["ack", number] => {
                member.acknowledged += 1;
                self.told.acknowledged += 1;
                assert_eq!(number.parse(), Ok(member.acknowledged));
            }
            _ => panic!("{text}"),
        }
    }

    fn on_close(&mut self, cx: &mut Context<'_, usize>, closed: &Closed) {
        let member = std::mem::take(&mut self.members[*cx.session()]);
        if !member.joined {
            self.dialed = self.dialed.saturating_sub(1);
        }
        if !member.leaving || !matches!(closed, Closed::Agreed { .. }) {
            self.told.failed.push(closed.to_string());
        }
    }
}
