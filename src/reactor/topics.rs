//! Topics: who is subscribed to what, and what was published in this turn.
//!
//! A publication is put into the turn's log, and encoded once for all subscribers that agreed on the same compression.
//! Each subscriber takes what is new to it out of the log once, at the end of the turn or before it sends something
//! itself, so that each keeps its order.

use std::collections::HashMap;
use std::ops::Range;

use super::slab::ConnectionId;
use crate::connection::{Compress, Encoding, Kind, Payload, encode};

/// All topics of a loop, and the log of the turn.
#[derive(Default)]
pub(super) struct Topics {
    by_name: HashMap<Box<str>, u32>,
    topics: Vec<Topic>,
    free: Vec<u32>,
    /// Topics with publications in the log.
    dirty: Vec<u32>,
    log: Vec<Publication>,
    /// The topic of all that is in the log, if it is one, and all of it is for all of its subscribers.
    only: Option<u32>,
    /// The plain frames of the log.
    frames: Vec<u8>,
    /// What was compressed of the log, for each way of compressing that a subscriber has agreed on.
    compressed: Vec<Compressed>,
    /// Which turn's log it is; what a subscriber has taken counts for one turn.
    turn: u64,
}

struct Topic {
    name: Box<str>,
    subscribers: Vec<ConnectionId>,
    dirty: bool,
}

/// A message in the log, and whom it is not for.
pub(super) struct Publication {
    topic: u32,
    except: Option<ConnectionId>,
    kind: Kind,
    compress: Compress,
    /// Where its plain frame is.
    frame: Range<usize>,
    payload_bytes: usize,
}

/// The log as it is sent to the subscribers that agreed on one way of compressing.
struct Compressed {
    encoding: Encoding,
    /// Where the frame of each publication is, for those that somebody has taken.
    frames: Vec<Option<Range<usize>>>,
    bytes: Vec<u8>,
}

/// A connection's part: what it is subscribed to, and how much of the log it has taken.
#[derive(Default)]
pub(super) struct Subscriptions {
    topics: Vec<(u32, u32)>,
    turn: u64,
    taken: u32,
}

/// Adjacent publications are taken together up to this length, between two looks at the limit.
const MERGED_BYTES_MAX: usize = 64 * 1024;
/// The longest buffer that is kept from one turn to the next.
const KEPT_BYTES_MAX: usize = 1024 * 1024;

impl Topics {
    pub(super) fn publish(
        &mut self,
        name: &str,
        payload: Payload<'_>,
        except: Option<ConnectionId>,
    ) {
        let Some(&topic) = self.by_name.get(name) else { return };
        let Some(entry) = self.topics.get_mut(topic as usize) else { return };
        if !std::mem::replace(&mut entry.dirty, true) {
            self.dirty.push(topic);
        }
        let start = self.frames.len();
        encode(payload, None, &mut self.frames);
        let frame = start..self.frames.len();
        let Payload { kind, bytes, compress } = payload;
        let payload_bytes = bytes.len();
        let only = self.log.is_empty() || self.only == Some(topic);
        self.only = (only && except.is_none()).then_some(topic);
        self.log.push(Publication { topic, except, kind, compress, frame, payload_bytes });
    }

    /// Subscribes a connection that has taken all of the log. False where it was subscribed already.
    pub(super) fn subscribe(
        &mut self,
        id: ConnectionId,
        name: &str,
        subscriptions: &mut Subscriptions,
    ) -> bool {
        let topic = match self.by_name.get(name) {
            Some(&topic) => topic,
            None => self.make(name),
        };
        if subscriptions.topics.iter().any(|(it, _)| *it == topic) {
            return false;
        }
        let Some(entry) = self.topics.get_mut(topic as usize) else { return false };
        (subscriptions.turn, subscriptions.taken) = (self.turn, self.log.len() as u32);
        subscriptions.topics.push((topic, entry.subscribers.len() as u32));
        entry.subscribers.push(id);
        true
    }

    /// Ends a subscription; the connection whose place in the topic has moved, if one did, is told by `moved`.
    pub(super) fn unsubscribe(
        &mut self,
        name: &str,
        subscriptions: &mut Subscriptions,
    ) -> Option<Moved> {
        let &topic = self.by_name.get(name)?;
        let at = subscriptions.topics.iter().position(|(it, _)| *it == topic)?;
        let (topic, place) = subscriptions.topics.swap_remove(at);
        self.leave(topic, place)
    }

    /// Ends one subscription of a connection that goes; `None` when it has no more.
    pub(super) fn leave_any(&mut self, subscriptions: &mut Subscriptions) -> Option<Option<Moved>> {
        let (topic, place) = subscriptions.topics.pop()?;
        Some(self.leave(topic, place))
    }

    /// Whether the log has something that a connection has not taken.
    #[inline]
    pub(super) fn has_new(&self, subscriptions: &Subscriptions) -> bool {
        subscriptions.taken(self.turn) < self.log.len()
    }

    /// Bytes of the log.
    pub(super) fn log_bytes(&self) -> usize {
        self.frames.len()
    }

    /// The frames in the log that are new to a connection, in its encoding, one after the other, adjacent ones
    /// together, with how many they are. It has then taken them.
    pub(super) fn take<'a>(
        &'a mut self,
        id: ConnectionId,
        subscriptions: &'a mut Subscriptions,
        encoding: Encoding,
    ) -> impl Iterator<Item = (&'a [u8], u64)> {
        let new = subscriptions.taken(self.turn);
        (subscriptions.turn, subscriptions.taken) = (self.turn, self.log.len() as u32);
        let topics = &subscriptions.topics;
        let run = encoding.is_none().then(|| self.only_run(new, topics)).flatten();
        // One by one, where it is not one run.
        let first = if run.is_some() { self.log.len() } else { new };
        let is_for = move |it: &Publication| {
            it.except != Some(id) && topics.iter().any(|(topic, _)| *topic == it.topic)
        };
        let compressed = encoding.is_some().then(|| self.compress(new, is_for, encoding));
        let this = &*self;
        let compressed = compressed.and_then(|at| this.compressed.get(at));
        let mut frames = this
            .log
            .iter()
            .enumerate()
            .skip(first)
            .filter(move |(_, it)| is_for(it))
            .filter_map(move |(at, it)| match compressed {
                None => Some(it.frame.clone()),
                Some(compressed) => compressed.frames.get(at).cloned().flatten(),
            })
            .peekable();
        let bytes = compressed.map_or(&this.frames, |it| &it.bytes);
        let run = run.and_then(|run| Some((this.frames.get(run)?, (this.log.len() - new) as u64)));
        run.into_iter().chain(std::iter::from_fn(move || {
            let Range { start, mut end } = frames.next()?;
            let mut count = 1;
            while let Some(next) =
                frames.next_if(|next| next.start == end && end - start < MERGED_BYTES_MAX)
            {
                end = next.end;
                count += 1;
            }
            Some((bytes.get(start..end)?, count))
        }))
    }

    /// Where all that is new to a connection is, if it is one run of plain frames that may be taken together: as it is
    /// where only one topic was published to.
    #[inline]
    fn only_run(&self, new: usize, topics: &[(u32, u32)]) -> Option<Range<usize>> {
        let only = self.only?;
        let run = self.log.get(new)?.frame.start..self.frames.len();
        let subscribed = topics.iter().any(|(topic, _)| *topic == only);
        (subscribed && run.len() <= MERGED_BYTES_MAX).then_some(run)
    }

    /// Compresses what a subscriber is about to take and nobody with the same encoding has taken before.
    fn compress(
        &mut self,
        new: usize,
        is_for: impl Fn(&Publication) -> bool,
        encoding: Encoding,
    ) -> usize {
        let at = self.compressed.iter().position(|it| it.encoding == encoding);
        let at = at.unwrap_or_else(|| {
            let (frames, bytes) = (Vec::new(), Vec::new());
            self.compressed.push(Compressed { encoding, frames, bytes });
            self.compressed.len() - 1
        });
        let Some(compressed) = self.compressed.get_mut(at) else { return at };
        compressed.frames.resize(self.log.len(), None);
        let frames = compressed.frames.iter_mut().zip(&self.log).skip(new);
        for (frame, publication) in frames.filter(|(frame, it)| frame.is_none() && is_for(it)) {
            let Publication { kind, compress, frame: plain, payload_bytes, .. } = publication;
            let payload = self.frames.get(plain.end - payload_bytes..plain.end);
            let start = compressed.bytes.len();
            let bytes = payload.unwrap_or_default();
            let payload = Payload { kind: *kind, bytes, compress: *compress };
            encode(payload, encoding, &mut compressed.bytes);
            *frame = Some(start..compressed.bytes.len());
        }
        at
    }

    /// A topic with publications in the log, until there are no more.
    pub(super) fn next_dirty(&mut self) -> Option<u32> {
        self.dirty.pop()
    }

    pub(super) fn subscriber(&self, topic: u32, place: usize) -> Option<ConnectionId> {
        self.topics.get(topic as usize)?.subscribers.get(place).copied()
    }

    /// Ends the turn of a topic, whose subscribers have all taken the log.
    pub(super) fn clean(&mut self, topic: u32) {
        if let Some(entry) = self.topics.get_mut(topic as usize) {
            entry.dirty = false;
            if entry.subscribers.is_empty() {
                self.by_name.remove(&entry.name);
                self.free.push(topic);
            }
        }
    }

    /// Forgets the log. All dirty topics are clean.
    pub(super) fn end_turn(&mut self) {
        if self.log.is_empty() {
            return;
        }
        self.log.clear();
        self.frames.clear();
        self.frames.shrink_to(KEPT_BYTES_MAX);
        // An encoding that nobody had use for in this turn may be one of connections that are gone.
        self.compressed.retain(|it| !it.frames.is_empty());
        for compressed in &mut self.compressed {
            compressed.frames.clear();
            compressed.bytes.clear();
            compressed.bytes.shrink_to(KEPT_BYTES_MAX);
        }
        self.turn = self.turn.wrapping_add(1);
    }

    fn make(&mut self, name: &str) -> u32 {
        let topic = Topic { name: name.into(), subscribers: Vec::new(), dirty: false };
        let number = match self.free.pop() {
            Some(free) => {
                if let Some(entry) = self.topics.get_mut(free as usize) {
                    *entry = topic;
                }
                free
            }
            None => {
                self.topics.push(topic);
                (self.topics.len() - 1) as u32
            }
        };
        self.by_name.insert(name.into(), number);
        number
    }

    fn leave(&mut self, topic: u32, place: u32) -> Option<Moved> {
        let entry = self.topics.get_mut(topic as usize)?;
        let last = entry.subscribers.pop()?;
        let moved = match entry.subscribers.get_mut(place as usize) {
            Some(gap) => {
                *gap = last;
                Some(Moved { id: last, topic, place })
            }
            None => None,
        };
        if entry.subscribers.is_empty() && !entry.dirty {
            self.by_name.remove(&entry.name);
            self.free.push(topic);
        }
        moved
    }
}

/// A subscriber has a new place in a topic.
#[derive(Clone, Copy)]
pub(super) struct Moved {
    pub(super) id: ConnectionId,
    topic: u32,
    place: u32,
}

impl Subscriptions {
    pub(super) fn moved(&mut self, moved: Moved) {
        if let Some((_, place)) = self.topics.iter_mut().find(|(topic, _)| *topic == moved.topic) {
            *place = moved.place;
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.topics.is_empty()
    }

    fn taken(&self, turn: u64) -> usize {
        if self.turn == turn { self.taken as usize } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::Message;

    const ME: ConnectionId = ConnectionId { index: 0, generation: 0 };
    const OTHER: ConnectionId = ConnectionId { index: 1, generation: 0 };
    const KINDS: [(&str, Option<ConnectionId>); 4] =
        [("a", None), ("b", None), ("a", Some(ME)), ("a", Some(OTHER))];
    const LENGTH_MAX: u32 = 4;

    /// The frames of what is for me.
    fn expected(topics: &[&str], log: &[(&str, Option<ConnectionId>)]) -> Vec<u8> {
        let mut frames = Vec::new();
        for (number, (topic, except)) in log.iter().enumerate() {
            if topics.contains(topic) && *except != Some(ME) {
                encode(message(&[number as u8]), None, &mut frames);
            }
        }
        frames
    }

    fn message(bytes: &[u8]) -> Payload<'_> {
        Payload::from(Message::Binary(bytes).compressed())
    }

    fn taken(topics: &mut Topics, subscriptions: &mut Subscriptions) -> (Vec<u8>, u64) {
        let mut all = (Vec::new(), 0);
        for (frames, count) in topics.take(ME, subscriptions, None) {
            all.0.extend_from_slice(frames);
            all.1 += count;
        }
        all
    }

    /// Every log of at most four messages, which every kind of subscriber takes in every two steps, in two turns.
    #[test]
    fn a_subscriber_takes_what_is_for_it_in_order_whatever_else_is_in_the_log() {
        for length in 0..=LENGTH_MAX {
            for number in 0..4usize.pow(length) {
                let log: Vec<_> =
                    (0..length).map(|at| KINDS[number / 4usize.pow(at) % KINDS.len()]).collect();
                for subscribed in [&["a"][..], &["b"], &["a", "b"]] {
                    for first in 0..=log.len() {
                        check(&log, subscribed, first);
                    }
                }
            }
        }
    }

    fn check(log: &[(&str, Option<ConnectionId>)], subscribed: &[&str], first: usize) {
        let (mut topics, mut mine) = (Topics::default(), Subscriptions::default());
        // Others are subscribed to both, or nothing would be published.
        for topic in ["a", "b"] {
            topics.subscribe(OTHER, topic, &mut Subscriptions::default());
        }
        for topic in subscribed {
            topics.subscribe(ME, topic, &mut mine);
        }
        for _ in 0..2 {
            let mut got = Vec::new();
            for (at, (topic, except)) in log.iter().enumerate() {
                if at == first {
                    got.push(taken(&mut topics, &mut mine));
                }
                topics.publish(topic, message(&[at as u8]), *except);
            }
            got.push(taken(&mut topics, &mut mine));
            got.push(taken(&mut topics, &mut mine));
            topics.end_turn();
            let bytes: Vec<u8> = got.iter().flat_map(|(bytes, _)| bytes.clone()).collect();
            let count: u64 = got.iter().map(|(_, count)| count).sum();
            let expected = expected(subscribed, log);
            assert_eq!(bytes, expected, "{log:?} to {subscribed:?}, taken at {first}");
            assert_eq!(count as usize, expected.len() / 3, "{log:?} to {subscribed:?}");
        }
    }

    /// Between two pieces the limit on what waits is looked at.
    #[test]
    fn a_run_is_taken_in_the_same_pieces_as_one_by_one() {
        let whole = MERGED_BYTES_MAX - 4;
        for (lengths, pieces) in [
            (&[30_000; 2][..], &[2][..]),
            (&[30_000; 3], &[3]),
            (&[30_000; 4], &[3, 1]),
            (&[whole], &[1]),
            (&[whole, 0], &[1, 1]),
            (&[whole - 1, 0, 0], &[2, 1]),
            (&[whole + 1], &[1]),
        ] {
            let counts = |one_run: bool| -> Vec<u64> {
                let (mut topics, mut mine) = (Topics::default(), Subscriptions::default());
                topics.subscribe(ME, "a", &mut mine);
                for length in lengths {
                    topics.publish("a", message(&vec![b'x'; *length]), None);
                }
                topics.only = topics.only.filter(|_| one_run);
                topics.take(ME, &mut mine, None).map(|(_, count)| count).collect()
            };
            assert_eq!(counts(false), pieces, "{lengths:?}, one by one");
            assert_eq!(counts(true), pieces, "{lengths:?}");
        }
    }
}
