//! Rooms, members and their marks.
//!
//! Each function is one job. It asks first and writes then, so that a refusal has changed nothing.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::job::{Access, Answer, PersonId, Refused, Role, RoomId, StoredMember, StoredRoom};
use super::{Outcome, int, messages, people};

/// How many messages of a room that is dropped go in one transaction: others wait for it.
const FORGOTTEN_AT_ONCE: u64 = 1_000;

/// A room that is to be made.
#[derive(Clone, Copy, Debug)]
pub(super) struct NewRoom<'a> {
    pub(super) name: &'a str,
    pub(super) epoch: &'a str,
    pub(super) access: Access,
    pub(super) members: &'a [(PersonId, Role)],
    pub(super) now_ms: u64,
}

pub(super) fn make(db: &Connection, new: NewRoom<'_>) -> Outcome {
    let taken: bool = db
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM rooms WHERE name = ?1)")?
        .query_row([new.name], |row| row.get(0))?;
    if taken {
        return Ok(Answer::Refused(Refused::Exists));
    }
    for &(person, _) in new.members {
        if !people::exists(db, person)? {
            return Ok(Answer::Refused(Refused::Unknown));
        }
    }
    db.prepare_cached("INSERT INTO rooms (name, epoch, access, made_ms) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![new.name, new.epoch, access_number(new.access), int(new.now_ms)])?;
    let room = RoomId(super::last_number(db)?);
    for &(person, role) in new.members {
        put_member(db, room, person, role, 0)?;
    }
    Ok(Answer::Room(room))
}

pub(super) fn set_role(
    db: &Connection,
    room: RoomId,
    person: PersonId,
    role: Option<Role>,
) -> Outcome {
    let Some(head) = head(db, room)? else {
        return Ok(Answer::Refused(Refused::NoRoom));
    };
    if !people::exists(db, person)? {
        return Ok(Answer::Refused(Refused::Unknown));
    }
    match role {
        Some(role) => put_member(db, room, person, role, head)?,
        None => {
            db.prepare_cached("DELETE FROM members WHERE room = ?1 AND person = ?2")?
                .execute([room.0, person.0])?;
        }
    }
    Ok(Answer::Done)
}

pub(super) fn forget(db: &Connection, room: RoomId) -> Outcome {
    let Some(more) = messages::drop_oldest(db, room, FORGOTTEN_AT_ONCE)? else {
        return Ok(Answer::Refused(Refused::NoRoom));
    };
    db.prepare_cached("DELETE FROM members WHERE room = ?1")?.execute([room.0])?;
    if more {
        // Nobody comes in any more, whatever happens before the rest of it is dropped.
        db.prepare_cached("UPDATE rooms SET access = ?2 WHERE id = ?1")?
            .execute(params![room.0, access_number(Access::Invite)])?;
        return Ok(Answer::More);
    }
    db.prepare_cached("DELETE FROM rooms WHERE id = ?1")?.execute([room.0])?;
    Ok(Answer::Done)
}

/// A person who is no member is answered with [`Refused::Unknown`].
pub(super) fn mark(
    db: &Connection,
    room: RoomId,
    person: PersonId,
    recv: u64,
    read: u64,
) -> Outcome {
    let Some(head) = head(db, room)? else {
        return Ok(Answer::Refused(Refused::NoRoom));
    };
    let stored = db
        .prepare_cached("SELECT recv, read FROM members WHERE room = ?1 AND person = ?2")?
        .query_row([room.0, person.0], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some(stored) = stored else {
        return Ok(Answer::Refused(Refused::Unknown));
    };
    let (recv, read) = merged(stored, (recv, read), head);
    if (recv, read) != stored {
        db.prepare_cached(
            "UPDATE members SET recv = ?3, read = ?4 WHERE room = ?1 AND person = ?2",
        )?
        .execute(params![room.0, person.0, int(recv), int(read)])?;
    }
    Ok(Answer::Marked { recv, read })
}

/// All rooms with their members, for the inventory: two queries, whose rows come in the same order.
pub(super) fn all(db: &Connection) -> rusqlite::Result<Vec<StoredRoom>> {
    let mut rooms: Vec<StoredRoom> = db
        .prepare("SELECT id, name, epoch, access, first, head FROM rooms ORDER BY id")?
        .query_map([], stored_room)?
        .collect::<Result<_, _>>()?;
    let mut filling = rooms.iter_mut().peekable();
    let mut statement =
        db.prepare("SELECT room, person, role, recv, read FROM members ORDER BY room, person")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let room = RoomId(row.get(0)?);
        while filling.next_if(|next| next.room < room).is_some() {}
        if let Some(entry) = filling.peek_mut()
            && entry.room == room
        {
            entry.members.push(stored_member(row)?);
        }
    }
    Ok(rooms)
}

fn stored_room(row: &Row<'_>) -> rusqlite::Result<StoredRoom> {
    let access = row.get(3)?;
    Ok(StoredRoom {
        room: RoomId(row.get(0)?),
        name: row.get(1)?,
        epoch: row.get(2)?,
        access: access_of(access).ok_or(rusqlite::Error::IntegralValueOutOfRange(3, access))?,
        first: row.get(4)?,
        head: row.get(5)?,
        members: Vec::new(),
    })
}

fn stored_member(row: &Row<'_>) -> rusqlite::Result<StoredMember> {
    let role = row.get(2)?;
    Ok(StoredMember {
        person: PersonId(row.get(1)?),
        role: role_of(role).ok_or(rusqlite::Error::IntegralValueOutOfRange(2, role))?,
        recv: row.get(3)?,
        read: row.get(4)?,
    })
}

fn head(db: &Connection, room: RoomId) -> rusqlite::Result<Option<u64>> {
    db.prepare_cached("SELECT head FROM rooms WHERE id = ?1")?
        .query_row([room.0], |row| row.get(0))
        .optional()
}

/// A member who is there already keeps their marks.
fn put_member(
    db: &Connection,
    room: RoomId,
    person: PersonId,
    role: Role,
    marks: u64,
) -> rusqlite::Result<()> {
    db.prepare_cached(
        "INSERT INTO members (room, person, role, recv, read) VALUES (?1, ?2, ?3, ?4, ?4)
         ON CONFLICT DO UPDATE SET role = excluded.role",
    )?
    .execute(params![room.0, person.0, role_number(role), int(marks)])?;
    Ok(())
}

/// Marks only rise, end at the head, and what is read has arrived.
fn merged(stored: (u64, u64), new: (u64, u64), head: u64) -> (u64, u64) {
    let read = stored.1.max(new.1.min(head));
    (stored.0.max(new.0.min(head)).max(read), read)
}

fn role_number(role: Role) -> i64 {
    match role {
        Role::Reader => 0,
        Role::Member => 1,
        Role::Owner => 2,
    }
}

fn role_of(number: i64) -> Option<Role> {
    [Role::Reader, Role::Member, Role::Owner].into_iter().find(|&role| role_number(role) == number)
}

fn access_number(access: Access) -> i64 {
    match access {
        Access::Open => 0,
        Access::Invite => 1,
        Access::Direct => 2,
    }
}

fn access_of(number: i64) -> Option<Access> {
    [Access::Open, Access::Invite, Access::Direct]
        .into_iter()
        .find(|&access| access_number(access) == number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_rise_to_the_head_and_never_go_back() {
        let table = [
            ((0, 0), (3, 1), (3, 1)),
            ((3, 1), (2, 0), (3, 1)),
            ((3, 1), (0, 5), (5, 5)),
            ((3, 1), (99, 4), (10, 4)),
            ((3, 1), (0, u64::MAX), (10, 10)),
            ((10, 10), (0, 0), (10, 10)),
        ];
        for (stored, new, expected) in table {
            assert_eq!(merged(stored, new, 10), expected, "{stored:?} {new:?}");
        }
    }

    #[test]
    fn what_is_stored_as_a_number_comes_back() {
        for role in [Role::Reader, Role::Member, Role::Owner] {
            assert_eq!(role_of(role_number(role)), Some(role));
        }
        for access in [Access::Open, Access::Invite, Access::Direct] {
            assert_eq!(access_of(access_number(access)), Some(access));
        }
        assert_eq!((role_of(3), access_of(-1)), (None, None));
    }
}
