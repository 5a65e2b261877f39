//! Peers that are no engine: they speak the protocol from bytes, and most of them badly.

use std::fmt;

use tautline::Role;
use tautline::frame::{FrameHeader, Rsv1};

use crate::app::CODES;
use crate::frames;
use crate::net::{Broken, Peer, Random};
use crate::oracle::{CLIENT, Phase, SERVER, Shared};
use crate::plan::Plan;

/// What a peer is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// It does all as it should.
    Good,
    /// It sends, and never reads.
    NeverReads,
    /// It sends and reads a few bytes at a time.
    Trickles,
    /// It breaks the connection in the middle of a frame.
    Resets,
    /// It ends its direction without a close frame, and reads on.
    HalfCloses,
    /// It breaks a rule.
    Violates,
    /// It sends pings, and never reads.
    Floods,
    /// It sends half a request.
    Stalls,
    /// It answers nothing after the handshake.
    Silent,
    /// It sends no request at all, but noise.
    Noise,
}

const KINDS: [Kind; 10] = [
    Kind::Good,
    Kind::NeverReads,
    Kind::Trickles,
    Kind::Resets,
    Kind::HalfCloses,
    Kind::Violates,
    Kind::Floods,
    Kind::Stalls,
    Kind::Silent,
    Kind::Noise,
];

/// Frames that no server takes from a client, and the close code for each.
const VIOLATIONS: [(&[u8], u16); 6] = [
    (&[0x83, 0x80, 0, 0, 0, 0], 1002),
    (&[0xC1, 0x80, 0, 0, 0, 0], 1002),
    (&[0x81, 0x01, b'a'], 1002),
    (&[0x09, 0x80, 0, 0, 0, 0], 1002),
    (&[0x80, 0x80, 0, 0, 0, 0], 1002),
    (&[0x81, 0x81, 0, 0, 0, 0, 0xFF], 1007),
];

/// A scripted peer.
pub(crate) struct Raw {
    kind: Kind,
    link: usize,
    peer: Peer,
    oracle: Shared,
    out: Vec<u8>,
    got: Vec<u8>,
    /// The message in fragments that is unfinished: its kind, and what came of it.
    message: Option<(u8, Vec<u8>)>,
    opened: bool,
    /// It was told something else than 101, or all is over.
    over: bool,
    /// The close code that its violation has to be answered with.
    code: Option<u16>,
    /// How often it has asked whether the other end lives, and how often it was told.
    pings: u64,
    pongs: u64,
    /// Messages that it will still send.
    left: usize,
    ended: bool,
}

impl Raw {
    pub(crate) fn new(peer: Peer, oracle: &Shared, random: &mut Random) -> Self {
        let kind = random.pick(&KINDS);
        let link = oracle.get().link(None);
        oracle.get().links[link].misbehaves = !matches!(kind, Kind::Good | Kind::Trickles);
        let mut out = format!(
            "GET /{link} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        .into_bytes();
        match kind {
            Kind::Stalls => out.truncate(random.draw(out.len())),
            Kind::Noise => out = (0..300).map(|_| random.number() as u8).collect(),
            _ => {}
        }
        Self {
            kind,
            link,
            peer,
            oracle: oracle.clone(),
            out,
            got: Vec::new(),
            message: None,
            opened: false,
            over: false,
            code: None,
            pings: 0,
            pongs: 0,
            left: 1 + random.draw(6),
            ended: false,
        }
    }

    fn reads(&self) -> bool {
        !matches!(self.kind, Kind::NeverReads | Kind::Floods) && !self.peer.is_reset()
    }

    /// Whether it can be told of the answer to a ping.
    fn hears(&self) -> bool {
        let silent = matches!(self.kind, Kind::Silent | Kind::Stalls | Kind::Noise);
        self.reads() && !silent && !self.over && !self.ended && self.code.is_none()
    }

    /// Whether it has something to do, and can, without anything new.
    pub(crate) fn can_act(&self) -> bool {
        let reads = self.reads() && self.peer.pending() > 0;
        // Who has ended its direction writes no more, which a server that is paused does not see.
        let over = self.ended && self.oracle.get().end((self.link, SERVER)).pause.lasts;
        reads || !self.out.is_empty() && self.peer.has_room() && !over
    }

    /// Says something new, as it is drawn.
    pub(crate) fn speak(&mut self, random: &mut Random, plan: &Plan) {
        if !self.opened || self.over || self.ended {
            return;
        }
        match self.kind {
            Kind::Silent | Kind::Stalls | Kind::Noise => return,
            Kind::Floods => {
                for _ in 0..50 {
                    self.out.extend(frames::frame(Role::Client, 0x89, b"ping"));
                }
                return;
            }
            _ => {}
        }
        if self.left > 0 {
            self.left -= 1;
            return self.send(random.draw(plan.message_bytes_max), random.draw(2) == 0);
        }
        match self.kind {
            // What is read after a reset must not end a frame that was begun.
            Kind::Resets if self.out.is_empty() || !plan.reads_after_reset => {
                let frame = frames::frame(Role::Client, 0x82, &[0; 50]);
                self.peer.write(&frame[..1 + random.draw(frame.len() - 1)]);
                self.peer.reset();
                self.over = true;
            }
            Kind::HalfCloses if self.out.is_empty() => {
                self.peer.end();
                self.ended = true;
            }
            Kind::Violates if self.code.is_none() => {
                let (bytes, code) = random.pick(&VIOLATIONS);
                self.out.extend(bytes);
                self.code = Some(code);
            }
            _ => {}
        }
    }

    fn send(&mut self, bytes: usize, text: bool) {
        let mut oracle = self.oracle.get();
        let Some(stamp) = oracle.stamp((self.link, CLIENT), bytes, text) else { return };
        oracle.end((self.link, CLIENT)).ledger.sent(stamp);
        let first = if text { 0x81 } else { 0x82 };
        self.out.extend(frames::frame(Role::Client, first, stamp.fill().as_bytes()));
    }

    /// Writes and reads, as much as it does at a time.
    pub(crate) fn act(&mut self, random: &mut Random) {
        let bytes = match self.kind {
            Kind::Trickles => 1 + random.draw(40),
            _ => 1 + random.draw(100_000),
        };
        if !self.ended {
            let count = self.peer.write_some(&self.out[..bytes.min(self.out.len())]);
            self.out.drain(..count);
        }
        if self.reads() {
            let got = self.peer.read_up_to(bytes);
            self.got.extend(got);
            self.parse();
        }
        if self.over && !self.ended && self.out.is_empty() {
            self.ended = true;
            self.peer.end();
        }
    }

    fn parse(&mut self) {
        if !self.opened {
            let Some(end) = self.got.windows(4).position(|it| it == b"\r\n\r\n") else { return };
            self.opened = self.got.starts_with(b"HTTP/1.1 101 ");
            if self.got.starts_with(b"HTTP/1.1 408 ") {
                self.timed_out();
            }
            self.over |= !self.opened;
            self.got.drain(..end + 4);
        }
        while self.opened && !self.got.is_empty() {
            let header = match FrameHeader::parse(&self.got, Role::Server, Rsv1::Reserved) {
                Ok(Some(header)) => header,
                Ok(None) => return,
                Err(error) => return self.fail(&format!("gets no frame: {error}")),
            };
            let (header, start) = header;
            let end = start + header.payload_bytes as usize;
            if self.got.len() < end {
                return;
            }
            let first = self.got[0];
            let payload: Vec<u8> = self.got.drain(..end).skip(start).collect();
            self.frame(first, payload);
        }
    }

    fn frame(&mut self, first: u8, payload: Vec<u8>) {
        match first & 0x0F {
            // The loop answers pings until its own close frame is answered.
            10 if self.over => return,
            _ if self.over => return self.fail("gets a frame behind a close frame"),
            _ => {}
        }
        match first & 0x0F {
            8 => self.closed(&payload),
            9 => self.pinged(&payload),
            10 => self.told(&payload),
            opcode => {
                let (kind, mut message) = self.message.take().unwrap_or((opcode, Vec::new()));
                message.extend(payload);
                if first & 0x80 == 0 {
                    self.message = Some((kind, message));
                } else {
                    self.oracle.get().received((self.link, CLIENT), &message, kind == 1);
                }
            }
        }
    }

    fn closed(&mut self, payload: &[u8]) {
        self.over = true;
        let got = payload.first_chunk().map(|it| u16::from_be_bytes(*it));
        let known = [self.code, Some(1001), Some(1008), Some(1009), Some(1013)].contains(&got)
            || got.is_some_and(|it| it >= CODES);
        if !known {
            self.fail(&format!("gets a close frame with {got:?}"));
        }
        let missing = self.oracle.get().end((self.link, SERVER)).ledger.missing();
        if let Some(missing) = missing {
            self.fail(&format!("is closed, and has not got {missing:?}"));
        }
        if self.kind != Kind::Silent && self.code.is_none() {
            self.out.extend(frames::frame(Role::Client, 0x88, payload));
        }
    }

    fn pinged(&mut self, payload: &[u8]) {
        if self.kind != Kind::Silent {
            return self.out.extend(frames::frame(Role::Client, 0x8A, payload));
        }
        let (now, ping_after) = {
            let oracle = self.oracle.get();
            (oracle.now(), oracle.limits.ping_after)
        };
        let since = now.saturating_duration_since(self.peer.read_at());
        // Those of the application are longer.
        if payload.is_empty() && ping_after.is_some_and(|it| since < it) {
            self.fail("is asked whether it lives too early");
        }
    }

    /// Asks whether the other end lives, unless it has asked already.
    pub(crate) fn ping(&mut self) {
        if self.opened && self.hears() && self.pings == self.pongs {
            self.pings += 1;
            self.out.extend(frames::frame(Role::Client, 0x89, &self.pings.to_be_bytes()));
        }
    }

    fn told(&mut self, payload: &[u8]) {
        {
            let mut oracle = self.oracle.get();
            *oracle.tally.entry("has its ping answered").or_default() += 1;
            if oracle.net.sim().breaks(Broken::PongMissed) {
                return;
            }
        }
        self.pongs += 1;
        if self.pings != self.pongs || payload != self.pings.to_be_bytes() {
            self.fail("gets the answer to a ping that it has not sent");
        }
    }

    fn timed_out(&mut self) {
        let (now, within) = {
            let oracle = self.oracle.get();
            (oracle.now(), oracle.limits.handshake_within)
        };
        if self.peer.taken_at().is_some_and(|at| now < at + within) {
            self.fail("gets a timeout too early");
        }
    }

    fn fail(&self, what: &str) {
        self.oracle.get().fail(format!("{self} {what}"));
    }

    /// Whether it has got all that was sent to it, and the answer to its ping.
    pub(crate) fn has_all(&self) -> bool {
        let mut oracle = self.oracle.get();
        let shutting_down = oracle.shutting_down;
        let server = oracle.end((self.link, SERVER));
        let open = server.phase == Phase::Open && server.closing_at.is_none();
        let told = shutting_down || server.pause.lasts || !open || self.pings == self.pongs;
        (told || !self.hears())
            && (!open || !self.reads() || self.ended || server.ledger.next().is_none())
    }
}

impl fmt::Display for Raw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the peer of link {} ({:?})", self.link, self.kind)
    }
}
