//! Peers that send requests for no upgrade, in pieces of every size, and read the answers, or do not.

use std::fmt;

use super::reader::Reader;
use super::wire::Wire;
use super::{Phase, Request};
use crate::net::{Peer, Random};
use crate::oracle::Shared;
use crate::plan::Plan;

/// How a client leaves before all is over.
#[derive(Clone, Copy, Debug)]
enum Leaves {
    /// It says nothing more, and stays.
    Stalls,
    /// It ends its direction, and reads on.
    Ends,
    /// It breaks the connection.
    Resets,
}

/// A scripted client.
pub(crate) struct Client {
    number: usize,
    wire: Wire,
    oracle: Shared,
    /// All that it would send, how many bytes of it are the head, and how many it has sent.
    out: Vec<u8>,
    head_bytes: usize,
    sent: usize,
    reader: Reader,
    /// How many bytes of the answer it has read, and how many it reads at most.
    read: usize,
    reads_max: usize,
    /// How many bytes it moves at a time.
    pace: usize,
    /// It sends its body only when it is told to go on.
    waits: bool,
    /// It leaves once it has sent so many bytes, or has read so many.
    leaves_sending: Option<(usize, Leaves)>,
    leaves_reading: Option<(usize, Leaves)>,
    /// It ends its direction once it has the whole answer.
    is_polite: bool,
    stalls: bool,
    ended: bool,
    over: bool,
}

impl Client {
    pub(crate) fn new(peer: Peer, oracle: &Shared, random: &mut Random, plan: &Plan) -> Self {
        let number = oracle.get().exchanges.len();
        let request = Request::drawn(number, random, &plan.limits);
        oracle.get().exchange(request, peer.number());
        let (out, head_bytes) = request.bytes();
        let leaves = [Leaves::Stalls, Leaves::Ends, Leaves::Resets];
        let leaves_sending = match random.draw(8) {
            0 => Some((random.draw(out.len() + 1), random.pick(&leaves))),
            // Right behind the request, or in the last bytes of it.
            1 => Some((out.len() - random.draw(3), random.pick(&leaves))),
            _ => None,
        };
        let leaves_reading = match random.draw(10) {
            0 => Some((random.draw(100), random.pick(&leaves))),
            1 => Some((random.draw(20_000), random.pick(&leaves))),
            _ => None,
        };
        Self {
            number,
            wire: Wire::new(peer, plan.tls),
            oracle: oracle.clone(),
            head_bytes,
            sent: 0,
            reader: Reader::default(),
            read: 0,
            reads_max: match random.draw(8) {
                0 => 0,
                1 => random.draw(3_000),
                _ => usize::MAX,
            },
            pace: random.pick(&[3, 50, 2_000, 100_000, 100_000]),
            out,
            waits: request.expects && random.draw(4) > 0,
            leaves_sending,
            leaves_reading,
            is_polite: random.draw(5) > 0,
            stalls: false,
            ended: false,
            over: false,
        }
    }

    /// Up to where it sends for now.
    fn sends_to(&self) -> usize {
        let goes_on = !self.waits || self.reader.continued || self.reader.status.is_some();
        let all = if goes_on { self.out.len() } else { self.head_bytes };
        let leaves_at = self.leaves_sending.map_or(usize::MAX, |it| it.0);
        all.min(leaves_at).max(self.sent)
    }

    fn writes(&self) -> bool {
        !self.ended && !self.stalls && !self.reader.is_done && self.sent < self.sends_to()
    }

    fn reads(&self) -> bool {
        !self.wire.is_secured() || !self.stalls && self.read < self.reads_max
    }

    /// Whether it has something to do, and can.
    pub(crate) fn can_act(&self) -> bool {
        if self.over {
            return false;
        }
        let reads = self.reads() && self.wire.peer.pending() > 0;
        let ends = self.wire.peer.is_reset() || self.wire.peer.is_ended() && self.reads();
        reads || ends || self.leaves_now().is_some() || self.writes() && self.wire.has_room()
    }

    /// How it leaves, where its time has come.
    fn leaves_now(&self) -> Option<Leaves> {
        if self.ended || self.stalls {
            return None;
        }
        let sent = self.leaves_sending.filter(|(at, _)| *at <= self.sent);
        let read = self.leaves_reading.filter(|(at, _)| *at < self.read);
        let polite = self.is_polite && self.reader.is_done;
        sent.or(read).map(|it| it.1).or(polite.then_some(Leaves::Ends))
    }

    /// Writes and reads, as much as it does at a time.
    pub(crate) fn act(&mut self, random: &mut Random) {
        if self.over {
            return;
        }
        if self.wire.peer.is_reset() {
            self.over = true;
            return;
        }
        // It hurries where there is much, so that it comes to an end.
        let bytes = 1 + random.draw(self.pace.max((self.sent + self.read) / 200));
        if self.writes() {
            let until = self.sends_to().min(self.sent + bytes);
            self.sent += self.wire.write_some(&self.out[self.sent..until]);
        }
        if self.reads() {
            self.read_some(bytes);
        }
        match self.leaves_now() {
            None => {}
            Some(Leaves::Stalls) => self.stalls = true,
            Some(Leaves::Ends) => {
                self.ended = true;
                self.oracle.get().exchanges[self.number].client_ended = true;
                self.wire.peer.end();
            }
            Some(Leaves::Resets) => {
                self.wire.peer.reset();
                self.over = true;
            }
        }
    }

    fn read_some(&mut self, bytes: usize) {
        let bytes = bytes.min(self.reads_max.saturating_sub(self.read).max(1));
        let known = self.reader.status;
        let got = self.wire.read_up_to(bytes);
        let taken = got.and_then(|got| {
            self.read += got.len();
            self.reader.take(&got, self.number, &mut self.oracle.get())
        });
        if let Err(why) = taken {
            return self.fail(&why);
        }
        if known.is_none() && self.reader.status == Some(408) {
            self.timed_out();
        }
        if self.wire.peer.is_ended() && !self.wire.peer.is_reset() {
            self.over = self.ended || !self.is_polite;
            let ends = self.reader.ends(self.number, &self.oracle.get());
            if let Err(why) = ends {
                self.fail(&why);
            }
            if !self.reader.is_done {
                self.over = true;
                self.wire.peer.end();
            }
        }
    }

    fn timed_out(&self) {
        let (now, within) = {
            let oracle = self.oracle.get();
            (oracle.now(), oracle.limits.handshake_within)
        };
        if self.wire.peer.taken_at().is_some_and(|at| now < at + within) {
            self.fail("gets a timeout too early");
        }
    }

    fn fail(&self, what: &str) {
        self.oracle.get().fail(format!("{self} {what}"));
    }

    /// Whether it has got all that it has to have where nothing more happens at this time.
    pub(crate) fn check_rest(&self) -> Result<(), String> {
        let peer = &self.wire.peer;
        let oracle = self.oracle.get();
        let it = &oracle.exchanges[self.number];
        let streams = it.phase == Phase::Streaming;
        if streams && peer.is_reset() {
            return Err(format!("{self} is gone, and the handler was not told"));
        }
        let is_read = it.waiting <= oracle.limits.outbox_pause_bytes;
        if streams && self.ended && !it.finished && is_read {
            return Err(format!("{self} has left, and the handler was not told"));
        }
        let is_taken = peer.taken_at().is_some() && !peer.is_dropped() && !peer.is_reset();
        // Nothing is in the way: neither what waits for the client, nor an answer that it does not read.
        let is_asking = it.phase == Phase::Asking && self.reader.status.is_none();
        let nothing_waits = is_asking && peer.pending() == 0 || streams && is_read;
        if is_taken && nothing_waits && peer.unread() > 0 {
            return Err(format!("{self} is not read"));
        }
        let is_served = is_taken && peer.unread() == 0;
        let behind = self.sent.saturating_sub(self.head_bytes + it.request.body.bytes);
        if is_served && streams && is_read && behind > oracle.limits.head_bytes_max {
            return Err(format!("{self} says too much, and is not cut"));
        }
        if !is_served || !self.reads() || !self.wire.is_secured() {
            return Ok(());
        }
        let head_is_sent = self.sent >= self.head_bytes;
        let refused = it.request.refused_with.is_some();
        let is_sent = head_is_sent && refused
            || self.sent >= self.head_bytes + it.request.body.bytes && !self.ended;
        let continued = self.reader.continued || self.reader.status.is_some();
        let waits = it.request.may_be_continued() && self.sent == self.head_bytes && !self.ended;
        let missing = match self.reader.status {
            None if is_sent => Some("an answer"),
            None if waits && !continued => Some("a word to go on"),
            Some(_) if !self.reader.is_done && !streams => Some("all of its answer"),
            Some(_) if !it.chunks.is_empty() => Some("a chunk"),
            Some(_) if streams && it.finished && !self.reader.is_done => Some("the end"),
            None | Some(_) => None,
        };
        missing.map_or(Ok(()), |it| Err(format!("{self} does not get {it}")))
    }

    /// All is over: reads what is left, even if it never has, and checks that.
    pub(crate) fn check_end(&mut self) -> Result<(), String> {
        let was_reset = self.wire.peer.is_reset();
        let got = self.wire.peer.read();
        if !self.wire.is_plain() {
            return Ok(());
        }
        let mut oracle = self.oracle.get();
        self.reader
            .take(&got, self.number, &mut oracle)
            .and_then(|()| match was_reset {
                true => Ok(()),
                false => self.reader.ends(self.number, &oracle),
            })
            .map_err(|why| format!("{self} {why}, at last"))
    }
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the client of request {}", self.number)
    }
}
