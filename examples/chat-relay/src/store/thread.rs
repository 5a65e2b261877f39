//! A thread that owns a [`Store`], so that nobody else waits for a disk.
//!
//! It takes all that waits as one [`Store::run`]. The slower the disk, the more waits and the larger the transactions:
//! the work finds its own size.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;
use std::{io, iter};

use super::{Reply, Request, Store};

/// How many requests are one transaction at most.
const BATCH_MAX: usize = 4096;

/// After how long without a request there is time for the index of words.
const IDLE: Duration = Duration::from_millis(200);
/// How many messages may be without it while there is none.
const UNINDEXED_MAX: u64 = 2_000;

/// The handle of a store's thread. Dropped, it waits like [`StoreThread::finish`].
#[derive(Debug)]
pub struct StoreThread<C> {
    /// `None` once the thread is to end.
    requests: Option<SyncSender<Request<C>>>,
    waiting: Arc<AtomicUsize>,
    thread: Option<JoinHandle<()>>,
}

impl<C: Send + 'static> StoreThread<C> {
    /// Starts a thread that holds up to `waiting_max` requests (at least one), and that calls `on_replies` with the
    /// replies of each transaction: one for each request, in the order in which they were pushed.
    ///
    /// # Errors
    ///
    /// Where the system has no thread to give.
    pub fn start(
        store: Store,
        waiting_max: usize,
        on_replies: impl FnMut(Vec<Reply<C>>) + Send + 'static,
    ) -> io::Result<Self> {
        let (requests, receiver) = sync_channel(waiting_max.max(1));
        let waiting = Arc::new(AtomicUsize::new(0));
        let counter = waiting.clone();
        let thread = Builder::new()
            .name("store".into())
            .spawn(move || work(store, &receiver, &counter, on_replies))?;
        Ok(Self { requests: Some(requests), waiting, thread: Some(thread) })
    }

    /// Hands a request over, without waiting.
    ///
    /// # Errors
    ///
    /// The request, where as many wait as may, or the thread is gone.
    #[expect(clippy::result_large_err, reason = "the request itself comes back, and is moved once")]
    pub fn push(&self, request: Request<C>) -> Result<(), Request<C>> {
        let Some(requests) = &self.requests else {
            return Err(request);
        };
        self.waiting.fetch_add(1, Ordering::Relaxed);
        requests.try_send(request).map_err(|error| {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            match error {
                TrySendError::Full(request) | TrySendError::Disconnected(request) => request,
            }
        })
    }

    /// How many requests were pushed and not yet taken up.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Waits until all that was pushed is done and answered, and the thread has closed the store.
    pub fn finish(self) {
        drop(self);
    }
}

impl<C> Drop for StoreThread<C> {
    fn drop(&mut self) {
        self.requests = None;
        if let Some(thread) = self.thread.take() {
            // An error is a panic of `on_replies`, which has said so itself.
            let _ = thread.join();
        }
    }
}

fn work<C>(
    mut store: Store,
    requests: &Receiver<Request<C>>,
    waiting: &AtomicUsize,
    mut on_replies: impl FnMut(Vec<Reply<C>>),
) {
    let mut indexes = true;
    loop {
        let first = match requests.recv_timeout(IDLE) {
            Ok(first) => first,
            Err(RecvTimeoutError::Disconnected) => return,
            Err(RecvTimeoutError::Timeout) => {
                // A disk that did not let it is asked again when something was stored.
                indexes = indexes && (store.unindexed() == 0 || store.index());
                continue;
            }
        };
        let others = requests.try_iter().take(BATCH_MAX - 1);
        let batch: Vec<Request<C>> = iter::once(first).chain(others).collect();
        waiting.fetch_sub(batch.len(), Ordering::Relaxed);
        on_replies(store.run(batch));
        indexes = true;
        if store.unindexed() >= UNINDEXED_MAX {
            store.index();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;
    use crate::store::job::{Answer, Job, Refused};

    fn find(context: u32) -> Request<u32> {
        Request { context, job: Job::Find { key: "ann".into() } }
    }

    #[test]
    fn all_that_was_pushed_is_answered_in_order_before_the_end() {
        let (replies, answered) = channel();
        let store = Store::in_memory().unwrap();
        let thread = StoreThread::start(store, 10_000, move |batch| {
            assert!(batch.len() <= BATCH_MAX);
            for reply in batch {
                replies.send(reply).unwrap();
            }
        })
        .unwrap();
        for context in 0..10_000 {
            thread.push(find(context)).unwrap();
        }
        thread.finish();
        let answered: Vec<_> = answered.iter().collect();
        assert!(answered.iter().map(|reply| reply.context).eq(0..10_000));
        assert!(answered.iter().all(|reply| reply.answer == Answer::Refused(Refused::Unknown)));
    }

    #[test]
    fn a_request_too_many_comes_back_and_nobody_waits() {
        let (go, wait) = channel::<()>();
        let (started, has_started) = channel();
        let thread = StoreThread::start(Store::in_memory().unwrap(), 2, move |_| {
            let _ = started.send(());
            let _ = wait.recv();
        })
        .unwrap();
        thread.push(find(0)).unwrap();
        has_started.recv().unwrap();
        thread.push(find(1)).unwrap();
        thread.push(find(2)).unwrap();
        assert_eq!(thread.push(find(3)).unwrap_err().context, 3);
        assert_eq!(thread.waiting(), 2);
        drop(go);
        thread.finish();
    }

    #[test]
    fn a_thread_that_is_gone_takes_nothing() {
        let thread =
            StoreThread::start(Store::in_memory().unwrap(), 8, |_| panic!("a test")).unwrap();
        while thread.push(find(0)).is_ok() {
            std::thread::yield_now();
        }
        thread.finish();
    }
}
