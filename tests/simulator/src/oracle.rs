//! The oracle: it is told all that handlers are told and all that they do, and knows what has to come of it.

use std::cell::{RefCell, RefMut};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Instant;

use tautline::reactor::{Dropped, SendStatus};
use tautline::{Limits, SendError};

use crate::ledger::Ledger;
use crate::message::Stamp;
use crate::net::SimNet;
use crate::pauses::Pause;
use crate::plan::Plan;
use crate::requests::Exchange;

/// An end of a link.
pub(crate) type EndId = (usize, usize);
/// The end that has connected.
pub(crate) const CLIENT: usize = 0;
/// The end that has accepted.
pub(crate) const SERVER: usize = 1;

/// All that is known of a run.
pub(crate) struct Oracle {
    pub(crate) net: SimNet,
    pub(crate) limits: Limits,
    pub(crate) links: Vec<Link>,
    /// Requests that ask for no upgrade.
    pub(crate) exchanges: Vec<Exchange>,
    /// Chunks of answers, and their bytes, that may still be made, and bytes of the longest.
    pub(crate) chunks_left: usize,
    pub(crate) chunk_bytes_left: usize,
    pub(crate) chunk_bytes_max: usize,
    /// All goes over TLS.
    pub(crate) secure: bool,
    /// How often what has happened to requests.
    pub(crate) tally: BTreeMap<&'static str, usize>,
    /// Who is subscribed, by loop and topic.
    pub(crate) topics: BTreeMap<(usize, u64), Vec<EndId>>,
    published: u64,
    /// Messages and bytes that may still be made.
    messages_left: usize,
    bytes_left: usize,
    /// All loops were told to end.
    pub(crate) shutting_down: bool,
    failures: Vec<String>,
}

/// A connection, from one end to the other.
#[derive(Default)]
pub(crate) struct Link {
    pub(crate) ends: [End; 2],
    /// The net's number of it, once the server has read the request.
    pub(crate) pipe: Option<usize>,
    /// Its client is no engine.
    pub(crate) raw: bool,
    /// Its client breaks rules.
    pub(crate) misbehaves: bool,
}

/// What is known of an end.
#[derive(Default)]
pub(crate) struct End {
    /// Its loop; `None` where it is no engine.
    pub(crate) at: Option<usize>,
    pub(crate) phase: Phase,
    pub(crate) ledger: Ledger,
    /// When the connection was begun.
    pub(crate) begun_at: Option<Instant>,
    /// When the application closed, or the engine surely did.
    pub(crate) closing_at: Option<Instant>,
    /// What the application closed with.
    pub(crate) code: Option<u16>,
    pub(crate) closed_at: Option<Instant>,
    /// When the handler was last told of a message, and of anything.
    pub(crate) message_at: Option<Instant>,
    pub(crate) told_at: Option<Instant>,
    /// When it was last heard, and by when it surely asked whether the peer lives.
    pub(crate) heard_at: Option<Instant>,
    pub(crate) asked_at: Option<Instant>,
    /// Whether it is paused.
    pub(crate) pause: Pause,
    /// It has ended, and its handler has to be told in this turn.
    pub(crate) must_close: bool,
    /// Bytes that waited after the last turn, and that were made since.
    pub(crate) waiting: usize,
    pub(crate) made_bytes: usize,
}

/// How far an end has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Phase {
    #[default]
    New,
    Open,
    Closed,
}

/// The oracle, as all loops of a world share it.
#[derive(Clone)]
pub(crate) struct Shared(Rc<RefCell<Oracle>>);

impl Shared {
    pub(crate) fn new(net: SimNet, plan: &Plan) -> Self {
        Self(Rc::new(RefCell::new(Oracle {
            net,
            limits: plan.limits.clone(),
            links: Vec::new(),
            exchanges: Vec::new(),
            chunks_left: plan.chunks,
            chunk_bytes_left: plan.bytes,
            chunk_bytes_max: plan.chunk_bytes_max,
            secure: plan.tls,
            tally: BTreeMap::new(),
            topics: BTreeMap::new(),
            published: 0,
            messages_left: plan.messages,
            bytes_left: plan.bytes,
            shutting_down: false,
            failures: Vec::new(),
        })))
    }

    pub(crate) fn get(&self) -> RefMut<'_, Oracle> {
        self.0.borrow_mut()
    }
}

impl Oracle {
    pub(crate) fn now(&self) -> Instant {
        self.net.sim().now
    }

    pub(crate) fn end(&mut self, (link, side): EndId) -> &mut End {
        &mut self.links[link].ends[side]
    }

    pub(crate) fn fail(&mut self, what: String) {
        self.failures.push(what);
    }

    /// The first promise that did not hold, if one did not.
    pub(crate) fn held(&self) -> Result<(), String> {
        self.failures.first().map_or(Ok(()), |why| Err(why.clone()))
    }

    pub(crate) fn note(&mut self, (link, side): EndId, what: &'static str, number: u64) {
        let at = self.end((link, side)).at;
        self.net.sim().note(at, what, [link as u64, side as u64, number]);
    }

    /// A new link, whose client is at this loop or, without one, no engine.
    pub(crate) fn link(&mut self, at: Option<usize>) -> usize {
        let mut link = Link { raw: at.is_none(), ..Link::default() };
        link.ends[CLIENT].at = at;
        link.ends[CLIENT].begun_at = Some(self.now());
        self.links.push(link);
        self.links.len() - 1
    }

    /// What a new message of an end is to be, where some may still be made.
    pub(crate) fn stamp(&mut self, id: EndId, bytes: usize, text: bool) -> Option<Stamp> {
        if self.messages_left == 0 || self.bytes_left < bytes {
            return None;
        }
        self.messages_left -= 1;
        self.bytes_left -= bytes;
        let ledger = &mut self.end(id).ledger;
        ledger.made += 1;
        let number = ledger.made;
        Some(Stamp { from: (id.0 * 2 + id.1) as u64, number, bytes, text })
    }

    /// What became of something that was sent; true where it was accepted.
    pub(crate) fn status(&mut self, id: EndId, status: SendStatus, bytes: usize) -> bool {
        self.note(id, "sends", bytes as u64);
        let end = self.end(id);
        let in_parts = end.ledger.parts.is_some();
        let over = end.phase == Phase::Closed || end.ledger.closed;
        match status {
            SendStatus::Sent | SendStatus::Queued => {
                end.made_bytes += bytes + 64;
                if over {
                    self.fail(format!("{id:?} accepts a message after its close"));
                }
                return !over;
            }
            SendStatus::Dropped(Dropped::NotOpen) => {}
            SendStatus::Dropped(Dropped::NotReading) => end.must_close = true,
            SendStatus::Dropped(Dropped::Misuse(SendError::PartsUnfinished)) if in_parts => {}
            SendStatus::Dropped(other) => self.fail(format!("{id:?} drops a message: {other:?}")),
        }
        false
    }

    /// What became of an application's close.
    pub(crate) fn closes(&mut self, id: EndId, status: SendStatus, code: u16) {
        if self.status(id, status, 0) {
            let now = self.now();
            let end = self.end(id);
            end.ledger.closed = true;
            (end.closing_at, end.code) = (Some(now), Some(code));
            self.resumed(id);
        }
    }

    /// A handler is told of something else than an opening or an end.
    pub(crate) fn told(&mut self, id: EndId, what: &'static str) {
        self.note(id, what, 0);
        let now = self.now();
        let phase = self.end(id).phase;
        self.end(id).told_at = Some(now);
        let paused = self.end(id).pause.lasts && !self.shutting_down;
        if paused && what != "room" {
            self.fail(format!("{id:?} is told of {what}, and is paused"));
        }
        if phase != Phase::Open {
            self.fail(format!("{id:?} is told of {what}, and is {phase:?}"));
        }
    }

    pub(crate) fn opened(&mut self, id: EndId, at: usize) {
        let now = self.now();
        let end = self.end(id);
        end.at = Some(at);
        let phase = std::mem::replace(&mut end.phase, Phase::Open);
        (end.told_at, end.message_at) = (Some(now), Some(now));
        (end.heard_at, end.asked_at) = (Some(now), None);
        self.note(id, "opens", 0);
        if phase != Phase::New {
            self.fail(format!("{id:?} opens, and is {phase:?}"));
        }
        if id.1 == CLIENT && self.links[id.0].ends[SERVER].phase == Phase::New {
            self.fail(format!("{id:?} opens, and its server does not know of it"));
        }
    }

    /// A message has come to an end, as a whole or in parts.
    pub(crate) fn received(&mut self, id: EndId, bytes: &[u8], text: bool) {
        self.note(id, "receives", bytes.len() as u64);
        let now = self.now();
        self.end(id).message_at = Some(now);
        let Some(stamp) = self.end((id.0, 1 - id.1)).ledger.arrived() else {
            return self.fail(format!("{id:?} gets {} bytes that nobody sent", bytes.len()));
        };
        let alike = stamp.bytes == bytes.len() && stamp.text == text;
        if !alike || stamp.fill().as_bytes() != bytes {
            let bytes = bytes.len();
            self.fail(format!("{id:?} should get {stamp:?}, and gets {bytes} others"));
        }
    }

    /// A subscription was asked for.
    pub(crate) fn subscribed(&mut self, id: EndId, topic: u64, told: bool) {
        self.note(id, "subscribes", topic);
        let end = self.end(id);
        let open = end.phase == Phase::Open;
        let Some(at) = end.at else { return };
        let subscribers = self.topics.entry((at, topic)).or_default();
        let known = subscribers.contains(&id);
        if told && open {
            subscribers.push(id);
        }
        if told && (known || !open) {
            self.fail(format!("{id:?} is subscribed twice, or after its end"));
        } else if !told && !known && open {
            // It has ended already, and its handler does not know yet.
            self.end(id).must_close = true;
        }
    }

    pub(crate) fn unsubscribed(&mut self, id: EndId, topic: u64) {
        self.note(id, "unsubscribes", topic);
        let at = self.end(id).at.unwrap_or_default();
        self.topics.entry((at, topic)).or_default().retain(|it| *it != id);
    }

    /// What a new message for a topic is to be, where some may still be made.
    pub(crate) fn stamp_for_topic(
        &mut self,
        at: usize,
        topic: u64,
        (bytes, text): (usize, bool),
    ) -> Option<Stamp> {
        let subscribers = self.topics.get(&(at, topic)).map_or(0, Vec::len);
        if self.messages_left < subscribers || self.bytes_left < bytes * subscribers {
            return None;
        }
        self.messages_left -= subscribers;
        self.bytes_left -= bytes * subscribers;
        self.published += 1;
        Some(Stamp { from: 1_000_000 + topic, number: self.published, bytes, text })
    }

    /// It was published by a connection, to all or to all others. `certain` says that this connection is surely open.
    pub(crate) fn published(
        &mut self,
        by: EndId,
        topic: u64,
        stamp: Stamp,
        (to_itself, certain): (bool, bool),
    ) {
        self.note(by, "publishes", topic);
        let at = self.end(by).at.unwrap_or_default();
        let certain = certain && self.limits.idle_after.is_none() && !self.shutting_down;
        for id in self.topics.get(&(at, topic)).cloned().unwrap_or_default() {
            let end = self.end(id);
            if end.phase == Phase::Open && (id != by || to_itself) {
                end.made_bytes += stamp.bytes + 64;
                end.ledger.published(stamp, certain && id == by);
            }
        }
    }
}
