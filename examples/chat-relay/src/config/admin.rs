//! What the owner of a relay may ask it for.

use std::num::NonZeroU32;
use std::sync::Arc;

use clap::Subcommand;

use crate::limits::RelayLimits;
use crate::names::{PersonName, room_name};

/// What the owner asks for.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum AdminAction {
    /// List the people
    People,
    /// List the rooms
    Rooms,
    /// Keep somebody out, and close their connections
    Block {
        /// Who
        #[arg(value_parser = person)]
        name: PersonName,
    },
    /// Let somebody in again
    Unblock {
        /// Who
        #[arg(value_parser = person)]
        name: PersonName,
    },
    /// End all sessions of somebody, who can sign in again
    SignOut {
        /// Who
        #[arg(value_parser = person)]
        name: PersonName,
    },
    /// Make an invitation, with which an account can be made
    Invite {
        /// How many accounts can be made with it
        #[arg(long, value_name = "N", default_value = "1", value_parser = number)]
        uses: NonZeroU32,
        /// For how many days it is good
        #[arg(long, value_name = "N", default_value = "7", value_parser = number)]
        days: NonZeroU32,
    },
    /// Remove a room with all its messages
    RemoveRoom {
        /// Which
        #[arg(value_name = "NAME", value_parser = room)]
        room: Arc<str>,
    },
    /// Say what somebody may do in a room
    Role {
        /// Where
        #[arg(value_parser = room)]
        room: Arc<str>,
        /// Who
        #[arg(value_parser = person)]
        name: PersonName,
        /// owner, member, reader, or none
        #[arg(value_parser = role)]
        role: Role,
    },
}

/// What somebody may do in a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Write, and say who may.
    Owner,
    /// Write.
    Member,
    /// Read.
    Reader,
    /// Nothing: not a member any more.
    None,
}

fn person(text: &str) -> Result<PersonName, String> {
    PersonName::new(text, RelayLimits::default().name_chars_max).map_err(|it| it.to_string())
}

fn room(text: &str) -> Result<Arc<str>, String> {
    room_name(text, RelayLimits::default().room_chars_max).map_err(|it| it.to_string())
}

fn number(text: &str) -> Result<NonZeroU32, String> {
    text.parse().map_err(|_| "write a number from 1".into())
}

fn role(text: &str) -> Result<Role, String> {
    match text {
        "owner" => Ok(Role::Owner),
        "member" => Ok(Role::Member),
        "reader" => Ok(Role::Reader),
        "none" => Ok(Role::None),
        _ => Err("a role is owner, member, reader, or none".into()),
    }
}
