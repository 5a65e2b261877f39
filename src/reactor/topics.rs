//! Topics: who is subscribed to what, and what was published in this turn.
//!
//! A publication is encoded once, into the turn's log. Each subscriber takes what is new to it out of the log once, at
//! the end of the turn or before it sends something itself, so that each keeps its order.

use std::collections::HashMap;

use super::slab::ConnectionId;
use crate::connection::{Message, write_for_all};

/// All topics of a loop, and the log of the turn.
#[derive(Default)]
pub(super) struct Topics {
    by_name: HashMap<Box<str>, u32>,
    topics: Vec<Topic>,
    free: Vec<u32>,
    /// Topics with publications in the log.
    dirty: Vec<u32>,
    log: Vec<Publication>,
    /// The frames of the log.
    frames: Vec<u8>,
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
    start: usize,
    end: usize,
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
        message: Message<'_>,
        except: Option<ConnectionId>,
    ) {
        let Some(&topic) = self.by_name.get(name) else { return };
        let Some(entry) = self.topics.get_mut(topic as usize) else { return };
        if !std::mem::replace(&mut entry.dirty, true) {
            self.dirty.push(topic);
        }
        let start = self.frames.len();
        write_for_all(message, &mut self.frames);
        self.log.push(Publication { topic, except, start, end: self.frames.len() });
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

    /// The frames in the log that are new to a connection, one after the other, adjacent ones together. It has then
    /// taken them.
    pub(super) fn take<'a>(
        &'a self,
        id: ConnectionId,
        subscriptions: &'a mut Subscriptions,
    ) -> impl Iterator<Item = &'a [u8]> {
        let new = subscriptions.taken(self.turn);
        (subscriptions.turn, subscriptions.taken) = (self.turn, self.log.len() as u32);
        let subscriptions = &subscriptions.topics;
        let mut publications = self
            .log
            .iter()
            .skip(new)
            .filter(move |it| it.except != Some(id))
            .filter(move |it| subscriptions.iter().any(|(topic, _)| *topic == it.topic))
            .peekable();
        std::iter::from_fn(move || {
            let Publication { start, mut end, .. } = *publications.next()?;
            while let Some(next) =
                publications.next_if(|next| next.start == end && end - start < MERGED_BYTES_MAX)
            {
                end = next.end;
            }
            self.frames.get(start..end)
        })
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
