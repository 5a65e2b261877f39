//! How other threads talk to a loop: [`Handle`].

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use super::context::Hub;
use super::handler::Handler;
use super::net::Wake;

/// What another thread wants done on the loop.
pub(super) type Post<H> = Box<dyn FnOnce(&mut H, &mut Hub<'_, <H as Handler>::Session>) + Send>;

/// Reaches a loop from any thread; this is how a store answers.
pub struct Handle<H: Handler> {
    sender: mpsc::Sender<Post<H>>,
    count: Arc<Count>,
    waker: Arc<dyn Wake>,
}

/// What both ends know of the channel.
#[derive(Debug, Default)]
struct Count {
    waiting: AtomicUsize,
    waiting_max: AtomicUsize,
    ended: AtomicBool,
}

/// Why something could not be posted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PostError {
    /// [`posts_max`](crate::Limits::posts_max) tasks wait already; the loop does not keep up.
    Full,
    /// The loop has ended.
    Ended,
}

impl<H: Handler> Handle<H> {
    /// Runs a closure on the loop's thread, in the order of posting, with the handler and all connections in its hands.
    ///
    /// # Errors
    ///
    /// When too many wait already, or the loop has ended. The closure is then dropped.
    pub fn post(
        &self,
        task: impl FnOnce(&mut H, &mut Hub<'_, H::Session>) + Send + 'static,
    ) -> Result<(), PostError> {
        self.push(Box::new(task), self.count.waiting_max.load(Ordering::Acquire))
    }

    fn push(&self, task: Post<H>, waiting_max: usize) -> Result<(), PostError> {
        if self.count.ended.load(Ordering::Acquire) {
            return Err(PostError::Ended);
        }
        if self.count.waiting.fetch_add(1, Ordering::AcqRel) >= waiting_max {
            self.count.waiting.fetch_sub(1, Ordering::AcqRel);
            return Err(PostError::Full);
        }
        self.sender.send(task).map_err(|_| PostError::Ended)?;
        self.waker.wake();
        Ok(())
    }

    /// Asks for a shutdown, behind what was posted before; see [`Hub::shutdown`].
    ///
    /// # Errors
    ///
    /// When the loop has ended. However much waits, this is never too much.
    pub fn shutdown(&self, within: Duration) -> Result<(), PostError> {
        self.push(Box::new(move |_, hub| hub.shutdown(within)), usize::MAX)
    }
}

impl<H: Handler> Clone for Handle<H> {
    fn clone(&self) -> Self {
        Self {
            sender: self.sender.clone(),
            count: Arc::clone(&self.count),
            waker: Arc::clone(&self.waker),
        }
    }
}

impl<H: Handler> fmt::Debug for Handle<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("count", &self.count).finish_non_exhaustive()
    }
}

impl fmt::Display for PostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => write!(f, "the loop does not keep up: too many tasks wait for it"),
            Self::Ended => write!(f, "the loop has ended"),
        }
    }
}

impl std::error::Error for PostError {}

/// The loop's end of the channel.
pub(super) struct Posts<H: Handler> {
    sender: mpsc::Sender<Post<H>>,
    receiver: mpsc::Receiver<Post<H>>,
    count: Arc<Count>,
    waker: Arc<dyn Wake>,
}

impl<H: Handler> Drop for Posts<H> {
    fn drop(&mut self) {
        self.count.ended.store(true, Ordering::Release);
    }
}

impl<H: Handler> Posts<H> {
    pub(super) fn new(waker: Arc<dyn Wake>) -> Self {
        let (sender, receiver) = mpsc::channel();
        Self { sender, receiver, count: Arc::default(), waker }
    }

    /// Sets how many may wait, also for handles that are there already.
    pub(super) fn limit(&self, waiting_max: usize) {
        self.count.waiting_max.store(waiting_max, Ordering::Release);
    }

    pub(super) fn handle(&self) -> Handle<H> {
        Handle {
            sender: self.sender.clone(),
            count: Arc::clone(&self.count),
            waker: Arc::clone(&self.waker),
        }
    }

    /// What waits now; what is posted meanwhile is for the next turn.
    pub(super) fn take(&self) -> Vec<Post<H>> {
        let waiting = self.count.waiting.load(Ordering::Acquire);
        let posts: Vec<_> = self.receiver.try_iter().take(waiting).collect();
        self.count.waiting.fetch_sub(posts.len(), Ordering::AcqRel);
        posts
    }
}
