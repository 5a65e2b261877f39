//! What a socket did not take yet.

use std::collections::VecDeque;
use std::io::IoSlice;

/// A small write is appended to the last segment up to this length.
const SEGMENT_BYTES: usize = 64 * 1024;

/// Bytes that wait for a socket: segments with a cursor, so that taking from the front moves nothing.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    segments: VecDeque<Vec<u8>>,
    /// Bytes of the first segment that were written.
    written: usize,
    bytes: usize,
}

impl Outbox {
    /// How many bytes wait.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many bytes are held: of the first segment, also what was written.
    pub(super) fn held_bytes(&self) -> usize {
        self.bytes + self.written
    }

    /// Appends a copy.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.bytes += bytes.len();
        match self.segments.back_mut() {
            Some(last) if last.len() + bytes.len() <= SEGMENT_BYTES => {
                last.extend_from_slice(bytes)
            }
            _ => self.segments.push_back(bytes.to_vec()),
        }
    }

    /// Lets `write` append to the last segment.
    pub(super) fn append<R>(&mut self, write: impl FnOnce(&mut Vec<u8>) -> R) -> R {
        let tail = self.tail();
        let before = tail.len();
        let result = write(tail);
        let appended = tail.len() - before;
        self.appended(appended);
        result
    }

    /// The last segment. What is appended to it has to be [counted](Self::appended).
    pub(super) fn tail(&mut self) -> &mut Vec<u8> {
        let tail = match self.segments.pop_back() {
            Some(last) if last.len() < SEGMENT_BYTES => last,
            Some(full) => {
                self.segments.push_back(full);
                Vec::new()
            }
            None => Vec::new(),
        };
        self.segments.push_back_mut(tail)
    }

    /// So many bytes were appended to the [last segment](Self::tail): how many wait now.
    pub(super) fn appended(&mut self, bytes: usize) -> usize {
        self.bytes += bytes;
        self.bytes
    }

    /// All that waits, a segment at a time.
    pub(super) fn for_each(&self, mut take: impl FnMut(&[u8])) {
        let mut skip = self.written;
        for segment in &self.segments {
            take(segment.get(skip..).unwrap_or_default());
            skip = 0;
        }
    }

    /// The first segments, as one vectored write takes them.
    pub(super) fn slices<'a, const N: usize>(&'a self, slices: &mut [IoSlice<'a>; N]) -> usize {
        let mut filled = 0;
        let mut skip = self.written;
        for (slice, segment) in slices.iter_mut().zip(&self.segments) {
            *slice = IoSlice::new(segment.get(skip..).unwrap_or_default());
            skip = 0;
            filled += 1;
        }
        filled
    }

    /// Forgets bytes that were written.
    pub(super) fn consume(&mut self, mut count: usize) {
        self.bytes = self.bytes.saturating_sub(count);
        while let Some(first) = self.segments.front() {
            let left = first.len() - self.written;
            if count < left {
                self.written += count;
                return;
            }
            count -= left;
            self.written = 0;
            self.segments.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_goes_in_comes_out_in_order_whatever_the_socket_takes(
            pushes in proptest::collection::vec((0usize..200_000, any::<bool>()), 1..8),
            takes in proptest::collection::vec(1usize..150_000, 1..8),
        ) {
            let mut outbox = Outbox::default();
            let (mut expected, mut got) = (Vec::new(), Vec::new());
            for (n, (length, appended)) in pushes.into_iter().enumerate() {
                let bytes = vec![n as u8; length];
                expected.extend_from_slice(&bytes);
                if appended {
                    outbox.append(|out| out.extend_from_slice(&bytes));
                } else {
                    outbox.push(&bytes);
                }
            }
            for take in takes.iter().cycle() {
                prop_assert_eq!(outbox.bytes(), expected.len() - got.len());
                let held: usize = outbox.segments.iter().map(Vec::len).sum();
                prop_assert_eq!(outbox.held_bytes(), held);
                if outbox.bytes() == 0 {
                    break;
                }
                let mut slices = [IoSlice::new(&[]); 3];
                let filled = outbox.slices(&mut slices);
                let there: Vec<u8> = slices[..filled].iter().flat_map(|it| it.iter().copied()).collect();
                let take = (*take).min(there.len());
                got.extend_from_slice(&there[..take]);
                outbox.consume(take);
            }
            prop_assert_eq!(got, expected);
        }
    }
}
