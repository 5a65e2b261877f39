//! What one end of a connection has sent, and what of it has arrived.

use std::collections::VecDeque;

use crate::message::Stamp;

/// One direction of a connection, as its sender knows it: what is on its way, in order.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    on_the_way: VecDeque<Entry>,
    /// The message in parts that is unfinished, and how much of it is sent.
    pub(crate) parts: Option<(Stamp, usize)>,
    /// What was published meanwhile: it is behind the last part.
    held: Vec<Entry>,
    /// The application has closed: nothing follows.
    pub(crate) closed: bool,
    /// How many messages the end has made.
    pub(crate) made: u64,
}

/// A message on its way.
#[derive(Clone, Copy, Debug)]
struct Entry {
    stamp: Stamp,
    /// It was accepted by the connection. Otherwise it was published, perhaps after the connection had ended.
    certain: bool,
}

impl Ledger {
    /// A message that was accepted.
    pub(crate) fn sent(&mut self, stamp: Stamp) {
        self.on_the_way.push_back(Entry { stamp, certain: true });
    }

    /// A message that was published to all who are subscribed.
    pub(crate) fn published(&mut self, stamp: Stamp, certain: bool) {
        if self.closed {
            return;
        }
        let entry = Entry { stamp, certain };
        if self.parts.is_some() {
            self.held.push(entry);
        } else {
            self.on_the_way.push_back(entry);
        }
    }

    /// So many bytes of the message in parts were accepted, and perhaps these were the last. Says how many bytes that
    /// were held come behind them now.
    pub(crate) fn sent_part(&mut self, bytes: usize, last: bool) -> usize {
        let Some((stamp, sent)) = &mut self.parts else { return 0 };
        *sent += bytes;
        if !last {
            return 0;
        }
        let stamp = *stamp;
        self.parts = None;
        self.sent(stamp);
        let held = self.held.iter().map(|it| it.stamp.bytes + 64).sum();
        self.on_the_way.extend(self.held.drain(..));
        held
    }

    /// A message has arrived: which one it should be.
    pub(crate) fn arrived(&mut self) -> Option<Stamp> {
        self.on_the_way.pop_front().map(|it| it.stamp)
    }

    /// What has to arrive still, where nothing has ended.
    pub(crate) fn next(&self) -> Option<Stamp> {
        self.on_the_way.front().map(|it| it.stamp)
    }

    /// The same, where a close frame has come behind it: what was published may have come too late.
    pub(crate) fn missing(&self) -> Option<Stamp> {
        let missing = self.on_the_way.iter().find(|it| it.certain || self.closed);
        missing.map(|it| it.stamp)
    }

    /// Whether something on its way is longer than this.
    pub(crate) fn has_longer_than(&self, bytes: usize) -> bool {
        self.next().is_some_and(|it| it.bytes > bytes)
            || self.parts.is_some_and(|(stamp, _)| stamp.bytes > bytes)
    }
}
