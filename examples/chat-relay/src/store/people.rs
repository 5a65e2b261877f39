//! People, their tokens, and invitations.
//!
//! Each function is one job. It asks first and writes then, so that a refusal has changed nothing.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Row, params};
use sha2::{Digest, Sha256};

use super::job::{Answer, Known, PersonId, Refused};
use super::{Outcome, int};

/// How much later a token has to be seen for it to be noted: people who come back every few seconds cost no write.
const SEEN_STEP_MS: u64 = 60_000;

/// Of a secret, only this is kept. The secrets are long and random, so that a plain hash is enough.
type Hash = [u8; 32];

fn hash(secret: &str) -> Hash {
    Sha256::digest(secret.as_bytes()).into()
}

/// A person who is to be made.
#[derive(Clone, Copy, Debug)]
pub(super) struct NewPerson<'a> {
    pub(super) key: &'a str,
    pub(super) shown: &'a str,
    pub(super) password_hash: Option<&'a str>,
    pub(super) now_ms: u64,
}

/// A token that is to be kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct NewToken<'a> {
    pub(super) token: &'a str,
    pub(super) device: &'a str,
    pub(super) now_ms: u64,
}

/// `noted`: whether the time may be written down.
pub(super) fn resume(db: &Connection, token: &str, now_ms: u64, noted: bool) -> Outcome {
    let hash = hash(token);
    let found = db
        .prepare_cached(
            "SELECT p.id, p.key, p.shown, p.last_seen_ms, p.blocked, t.seen_ms
             FROM tokens t JOIN people p ON p.id = t.person WHERE t.hash = ?1",
        )?
        .query_row([&hash], |row| Ok((known(row)?, row.get::<_, u64>(5)?)))
        .optional()?;
    let Some((person, seen_ms)) = found else {
        return Ok(Answer::Refused(Refused::Unknown));
    };
    if person.blocked {
        return Ok(Answer::Refused(Refused::Blocked));
    }
    if noted && now_ms >= seen_ms.saturating_add(SEEN_STEP_MS) {
        db.prepare_cached("UPDATE tokens SET seen_ms = ?2 WHERE hash = ?1")?
            .execute(params![hash, int(now_ms)])?;
    }
    Ok(Answer::Person(person))
}

pub(super) fn register(
    db: &Connection,
    new: NewPerson<'_>,
    token: NewToken<'_>,
    invitation: Option<&str>,
) -> Outcome {
    let invitation = invitation.map(hash);
    if let Some(code) = &invitation
        && !is_good(db, code, new.now_ms)?
    {
        return Ok(Answer::Refused(Refused::BadInvitation));
    }
    if by_key(db, new.key)?.is_some() || token_owner(db, &hash(token.token))?.is_some() {
        return Ok(Answer::Refused(Refused::Exists));
    }
    if let Some(code) = &invitation {
        use_up(db, code)?;
    }
    let person = insert(db, new)?;
    insert_token(db, person.person, token)?;
    Ok(Answer::Person(person))
}

pub(super) fn password_hash(db: &Connection, key: &str) -> Outcome {
    let found = db
        .prepare_cached("SELECT id, password_hash FROM people WHERE key = ?1")?
        .query_row([key], |row| {
            Ok(Answer::PasswordHash { person: PersonId(row.get(0)?), hash: row.get(1)? })
        })
        .optional()?;
    Ok(found.unwrap_or(Answer::Refused(Refused::Unknown)))
}

pub(super) fn sign_in(db: &Connection, person: PersonId, token: NewToken<'_>) -> Outcome {
    let Some(found) = by_id(db, person)? else {
        return Ok(Answer::Refused(Refused::Unknown));
    };
    if found.blocked {
        return Ok(Answer::Refused(Refused::Blocked));
    }
    let hash = hash(token.token);
    if token_owner(db, &hash)?.is_some_and(|owner| owner != person) {
        return Ok(Answer::Refused(Refused::Exists));
    }
    db.prepare_cached("DELETE FROM tokens WHERE (person = ?1 AND device = ?2) OR hash = ?3")?
        .execute(params![person.0, token.device, hash])?;
    insert_token(db, person, token)?;
    Ok(Answer::Person(found))
}

/// `refused`: why nobody can be made, if so.
pub(super) fn vouched(db: &Connection, new: NewPerson<'_>, refused: Option<&Refused>) -> Outcome {
    Ok(match by_key(db, new.key)? {
        Some(found) if found.blocked => Answer::Refused(Refused::Blocked),
        Some(found) => Answer::Person(found),
        None => match refused {
            Some(refused) => Answer::Refused(refused.clone()),
            None => Answer::Person(insert(db, new)?),
        },
    })
}

pub(super) fn find(db: &Connection, key: &str) -> Outcome {
    Ok(by_key(db, key)?.map_or(Answer::Refused(Refused::Unknown), Answer::Person))
}

/// A token that is not there, or not this person's, is no error: afterwards it is not there.
pub(super) fn sign_out(db: &Connection, person: PersonId, token: Option<&str>) -> Outcome {
    match token {
        Some(token) => db
            .prepare_cached("DELETE FROM tokens WHERE hash = ?2 AND person = ?1")?
            .execute(params![person.0, hash(token)])?,
        None => drop_tokens(db, person)?,
    };
    Ok(Answer::Done)
}

pub(super) fn block(db: &Connection, person: PersonId, blocked: bool) -> Outcome {
    let changed = db
        .prepare_cached("UPDATE people SET blocked = ?2 WHERE id = ?1")?
        .execute(params![person.0, blocked])?;
    if changed == 0 {
        return Ok(Answer::Refused(Refused::Unknown));
    }
    Ok(Answer::Done)
}

/// A person who stays is answered with [`Refused::Exists`], so that nobody takes them for gone.
pub(super) fn forget(db: &Connection, person: PersonId) -> Outcome {
    if by_id(db, person)?.is_none() {
        return Ok(Answer::Refused(Refused::Unknown));
    }
    let needed: bool = db
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM people WHERE id = ?1 AND (blocked OR password_hash IS NOT NULL))
                 OR EXISTS (SELECT 1 FROM members WHERE person = ?1)
                 OR EXISTS (SELECT 1 FROM messages WHERE sender = ?1)",
        )?
        .query_row([person.0], |row| row.get(0))?;
    if needed {
        return Ok(Answer::Refused(Refused::Exists));
    }
    drop_tokens(db, person)?;
    db.prepare_cached("DELETE FROM people WHERE id = ?1")?.execute([person.0])?;
    Ok(Answer::Done)
}

pub(super) fn seen(db: &Connection, person: PersonId, at_ms: u64) -> Outcome {
    let changed = db
        .prepare_cached("UPDATE people SET last_seen_ms = max(last_seen_ms, ?2) WHERE id = ?1")?
        .execute(params![person.0, int(at_ms)])?;
    Ok(if changed == 0 { Answer::Refused(Refused::Unknown) } else { Answer::Done })
}

pub(super) fn invite(db: &Connection, code: &str, uses: u32, until_ms: u64) -> Outcome {
    let added = db
        .prepare_cached(
            "INSERT INTO invitations (hash, uses, until_ms) VALUES (?1, ?2, ?3)
             ON CONFLICT DO NOTHING",
        )?
        .execute(params![hash(code), uses, int(until_ms)])?;
    Ok(if added == 0 { Answer::Refused(Refused::Exists) } else { Answer::Done })
}

pub(super) fn people(db: &Connection, after: &str, people_max: u32) -> Outcome {
    let people = db
        .prepare_cached(
            "SELECT id, key, shown, last_seen_ms, blocked FROM people
             WHERE key > ?1 ORDER BY key LIMIT ?2",
        )?
        .query_map(params![after, people_max], known)?
        .collect::<Result<_, _>>()?;
    Ok(Answer::People(people))
}

/// All people, for the inventory.
pub(super) fn all(db: &Connection) -> rusqlite::Result<Vec<Known>> {
    db.prepare("SELECT id, key, shown, last_seen_ms, blocked FROM people ORDER BY id")?
        .query_map([], known)?
        .collect()
}

/// Whether there is such a person.
pub(super) fn exists(db: &Connection, person: PersonId) -> rusqlite::Result<bool> {
    db.prepare_cached("SELECT EXISTS (SELECT 1 FROM people WHERE id = ?1)")?
        .query_row([person.0], |row| row.get(0))
}

fn known(row: &Row<'_>) -> rusqlite::Result<Known> {
    Ok(Known {
        person: PersonId(row.get(0)?),
        key: row.get(1)?,
        shown: row.get(2)?,
        last_seen_ms: row.get(3)?,
        blocked: row.get(4)?,
    })
}

fn by_key(db: &Connection, key: &str) -> rusqlite::Result<Option<Known>> {
    db.prepare_cached("SELECT id, key, shown, last_seen_ms, blocked FROM people WHERE key = ?1")?
        .query_row([key], known)
        .optional()
}

fn by_id(db: &Connection, person: PersonId) -> rusqlite::Result<Option<Known>> {
    db.prepare_cached("SELECT id, key, shown, last_seen_ms, blocked FROM people WHERE id = ?1")?
        .query_row([person.0], known)
        .optional()
}

fn insert(db: &Connection, new: NewPerson<'_>) -> rusqlite::Result<Known> {
    db.prepare_cached(
        "INSERT INTO people (key, shown, password_hash, last_seen_ms) VALUES (?1, ?2, ?3, ?4)",
    )?
    .execute(params![new.key, new.shown, new.password_hash, int(new.now_ms)])?;
    Ok(Known {
        person: PersonId(super::last_number(db)?),
        key: Arc::from(new.key),
        shown: Arc::from(new.shown),
        last_seen_ms: new.now_ms,
        blocked: false,
    })
}

fn insert_token(db: &Connection, person: PersonId, token: NewToken<'_>) -> rusqlite::Result<()> {
    db.prepare_cached(
        "INSERT INTO tokens (hash, person, device, seen_ms) VALUES (?1, ?2, ?3, ?4)",
    )?
    .execute(params![hash(token.token), person.0, token.device, int(token.now_ms)])?;
    Ok(())
}

fn token_owner(db: &Connection, hash: &Hash) -> rusqlite::Result<Option<PersonId>> {
    db.prepare_cached("SELECT person FROM tokens WHERE hash = ?1")?
        .query_row([hash], |row| row.get(0).map(PersonId))
        .optional()
}

fn drop_tokens(db: &Connection, person: PersonId) -> rusqlite::Result<usize> {
    db.prepare_cached("DELETE FROM tokens WHERE person = ?1")?.execute([person.0])
}

fn is_good(db: &Connection, code: &Hash, now_ms: u64) -> rusqlite::Result<bool> {
    db.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM invitations WHERE hash = ?1 AND uses > 0 AND until_ms >= ?2)",
    )?
    .query_row(params![code, int(now_ms)], |row| row.get(0))
}

fn use_up(db: &Connection, code: &Hash) -> rusqlite::Result<()> {
    db.prepare_cached("UPDATE invitations SET uses = uses - 1 WHERE hash = ?1")?.execute([code])?;
    db.prepare_cached("DELETE FROM invitations WHERE hash = ?1 AND uses = 0")?.execute([code])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_kept_as_its_sha_256() {
        assert_eq!(hash("abc").first_chunk(), Some(&[0xba, 0x78, 0x16, 0xbf]));
    }
}
