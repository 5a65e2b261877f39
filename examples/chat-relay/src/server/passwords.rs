//! A thread that hashes and compares passwords: each takes tens of milliseconds and 19 MiB, so there is one at a time.

use std::io;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};

use tautline::reactor::ConnectionId;

use super::{Mail, Word};
use crate::auth::password;
use crate::relay::PasswordWork;

/// Passwords that may wait. Beyond it `busy`.
const WAITING_MAX: usize = 64;

/// The thread's work.
pub(super) type Work = PasswordWork<ConnectionId>;

/// Hands work to the thread.
#[derive(Debug)]
pub(super) struct Passwords(SyncSender<Work>);

impl Passwords {
    pub(super) fn start(mail: Mail) -> io::Result<Self> {
        let (sender, receiver) = sync_channel::<Work>(WAITING_MAX);
        std::thread::Builder::new().name("passwords".into()).spawn(move || {
            password::warm_up();
            for work in receiver {
                if !mail.bring(Word::Password(Done::of(work))) {
                    return;
                }
            }
        })?;
        Ok(Self(sender))
    }

    /// Gives the work back where too much waits.
    pub(super) fn push(&self, work: Work) -> Result<(), Work> {
        self.0.try_send(work).map_err(|error| match error {
            TrySendError::Full(work) | TrySendError::Disconnected(work) => work,
        })
    }
}

/// What came of it.
pub(super) enum Done {
    Hashed(crate::relay::NewAccount<ConnectionId>, Option<String>),
    Compared(crate::relay::Compared<ConnectionId>, Option<bool>),
}

impl Done {
    fn of(work: Work) -> Self {
        match work {
            PasswordWork::Hash { password, then } => {
                Self::Hashed(then, password::hash(&password).ok())
            }
            PasswordWork::Compare { password, hash, then } => {
                Self::Compared(then, Some(password::verify_person(&password, hash.as_deref())))
            }
        }
    }

    /// There was no time for it.
    pub(super) fn not_at_all(work: Work) -> Self {
        match work {
            PasswordWork::Hash { then, .. } => Self::Hashed(then, None),
            PasswordWork::Compare { then, .. } => Self::Compared(then, None),
        }
    }
}
