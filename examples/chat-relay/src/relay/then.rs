//! What goes on when something has been waited for.

use std::sync::Arc;

use crate::auth::password::Password;
use crate::names::PersonName;
use crate::protocol::{Granted, Hello};
use crate::store::job::{Access, Known, PersonId, Role, RoomId};

/// Who asked, and the number that the answer repeats.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asker<K> {
    pub(super) who: K,
    pub(super) id: Option<u64>,
}

/// What goes on when the store has answered. It is the context of what it is asked.
#[derive(Debug)]
pub struct Then<K>(pub(super) Step<K>);

#[derive(Debug)]
pub(super) enum Step<K> {
    /// The connection is the person's who was found or made, with a new token or none.
    SignIn {
        asker: Asker<K>,
        hello: Box<Hello>,
        token: Option<String>,
    },
    /// The password is compared.
    ComparePassword {
        asker: Asker<K>,
        hello: Box<Hello>,
        password: Password,
    },
    /// The room was made.
    MadeRoom(Box<NewRoom<K>>),
    /// A person was found whom the asker wants to talk to.
    FoundOther {
        asker: Asker<K>,
        me: PersonId,
    },
    /// A person was found who gets a role.
    FoundGrantee {
        asker: Asker<K>,
        /// The owner who gives it; `None` where it is the one who runs the relay.
        by: Option<PersonId>,
        room: RoomId,
        role: Granted,
    },
    /// A role was given.
    SetRole(RoleChange<K>),
    /// A message was stored.
    Sent(Box<Draft<K>>),
    /// Messages were asked for.
    Fetched {
        asker: Asker<K>,
        me: PersonId,
        room: RoomId,
    },
    Found {
        asker: Asker<K>,
        me: PersonId,
    },
    /// A connection that is behind gets the next piece.
    Feed {
        who: K,
        room: RoomId,
    },
    Marked {
        room: RoomId,
        person: PersonId,
    },
    /// A token was dropped, or all.
    SignedOut {
        asker: Asker<K>,
        person: PersonId,
        all: bool,
    },
    /// A person without a room was dropped.
    Forgot {
        person: PersonId,
    },
    /// A room that nothing is left of was dropped.
    ForgotRoom {
        room: RoomId,
    },
    Retained,
    /// Nothing goes on.
    Nothing,
    /// The one who runs the relay has asked.
    Admin {
        asker: Asker<K>,
        step: AdminStep,
    },
}

#[derive(Debug)]
pub(super) enum AdminStep {
    People,
    Block(bool),
    SignOut,
    Blocked(PersonId),
    SignedOut(PersonId),
    Invited(String),
    RemovedRoom(RoomId),
}

/// A room that is being made.
#[derive(Debug)]
pub(super) struct NewRoom<K> {
    pub(super) asker: Asker<K>,
    pub(super) me: PersonId,
    pub(super) name: Arc<str>,
    pub(super) epoch: String,
    pub(super) access: Access,
    pub(super) members: Vec<(PersonId, Role)>,
    /// The members, who may be unknown to the relay's memory, or gone from it by then.
    pub(super) known: Vec<Known>,
}

/// A role that is being given.
#[derive(Debug)]
pub(super) struct RoleChange<K> {
    /// Whose connection asked; a membership that is passed on was asked for by nobody.
    pub(super) asker: Option<Asker<K>>,
    pub(super) room: RoomId,
    pub(super) person: PersonId,
    pub(super) role: Option<Role>,
    /// The person, who may be unknown to the relay's memory, or gone from it by then.
    pub(super) known: Option<Known>,
    /// The answer shows the room.
    pub(super) joins: bool,
    /// The person was no member when it was asked for, and counts as one until the store has answered.
    pub(super) enters: bool,
}

/// A message that is being stored.
#[derive(Debug)]
pub(super) struct Draft<K> {
    pub(super) asker: Asker<K>,
    pub(super) room: RoomId,
    pub(super) from: Arc<str>,
    pub(super) cid: String,
    pub(super) body: Arc<str>,
}

/// Something to do with a password, which takes tens of milliseconds and so is done elsewhere.
#[derive(Debug)]
pub enum PasswordWork<K> {
    /// Hash it.
    Hash {
        /// The password.
        password: Password,
        /// What goes on then.
        then: NewAccount<K>,
    },
    /// Compare it, and take as long as that takes where there is nothing to compare with.
    Compare {
        /// The password.
        password: Password,
        /// The hash, where the person has one.
        hash: Option<String>,
        /// What goes on then.
        then: Compared<K>,
    },
}

/// An account that waits for the hash of its password.
#[derive(Debug)]
pub struct NewAccount<K> {
    pub(super) asker: Asker<K>,
    pub(super) hello: Box<Hello>,
    pub(super) name: PersonName,
}

/// A `hello` that waits for the comparison of its password.
#[derive(Debug)]
pub struct Compared<K> {
    pub(super) asker: Asker<K>,
    pub(super) hello: Box<Hello>,
    pub(super) person: Option<PersonId>,
}

impl<K> From<Step<K>> for Then<K> {
    fn from(step: Step<K>) -> Self {
        Self(step)
    }
}
