//! What a person types.

/// A line that was understood.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Typed {
    Text(String),
    Rooms,
    Join { room: String, invite: bool },
    Msg(String),
    Leave,
    Who,
    History(u64),
    Search(String),
    Grant { user: String, role: String },
    Help,
    Quit,
}

pub(super) const HELP: &str = "\
/rooms               your rooms, with what is unread
/join ROOM           go into a room; it is made if it is not there
/invite-only ROOM    make a room that you let people into with /grant
/msg PERSON          talk to one person
/leave               leave this room for good
/who                 who is in this room
/history [N]         the last N messages of this room; 20 without N
/search WORDS        find messages in all your rooms; the last word may be a beginning
/grant PERSON ROLE   owner, member, reader or none
/quit                stop
//TEXT               say something that begins with /";

const HISTORY: u64 = 20;
const HISTORY_MAX: u64 = 1_000;
const ROLES: [&str; 4] = ["owner", "member", "reader", "none"];

/// Reads a line that is not empty.
///
/// # Errors
///
/// What is wrong with it.
pub(super) fn parse(line: &str) -> Result<Typed, String> {
    let Some(command) = line.strip_prefix('/') else { return Ok(Typed::Text(line.into())) };
    if command.starts_with('/') {
        return Ok(Typed::Text(command.into()));
    }
    let (name, rest) = command.split_once(' ').unwrap_or((command, ""));
    let rest = rest.trim();
    let needed = |what: &str| match rest {
        "" => Err(format!("/{name} needs {what}")),
        rest => Ok(rest.to_owned()),
    };
    match name {
        "rooms" => Ok(Typed::Rooms),
        "join" => Ok(Typed::Join { room: needed("a room's name")?, invite: false }),
        "invite-only" => Ok(Typed::Join { room: needed("a room's name")?, invite: true }),
        "msg" => Ok(Typed::Msg(needed("a person's name")?.trim_start_matches('@').into())),
        "leave" => Ok(Typed::Leave),
        "who" => Ok(Typed::Who),
        "history" if rest.is_empty() => Ok(Typed::History(HISTORY)),
        "history" => match rest.parse() {
            Ok(count @ 1..=HISTORY_MAX) => Ok(Typed::History(count)),
            _ => Err(format!("/history takes a number from 1 to {HISTORY_MAX}")),
        },
        "search" => Ok(Typed::Search(needed("words to look for")?)),
        "grant" => match rest.rsplit_once(' ') {
            Some((user, role)) if ROLES.contains(&role) => {
                let user = user.trim().trim_start_matches('@').into();
                Ok(Typed::Grant { user, role: role.into() })
            }
            _ => Err(format!("write /grant PERSON ROLE, with one of {}", ROLES.join(", "))),
        },
        "help" => Ok(Typed::Help),
        "quit" => Ok(Typed::Quit),
        _ => Err(format!("/{} is not understood; /help lists what is", super::text::neutral(name))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_texts_or_commands() {
        let join = |room: &str, invite| Typed::Join { room: room.into(), invite };
        let grant = |user: &str, role: &str| Typed::Grant { user: user.into(), role: role.into() };
        let table = [
            ("hi /there", Typed::Text("hi /there".into())),
            ("//etc", Typed::Text("/etc".into())),
            ("/join two words", join("two words", false)),
            ("/invite-only cellar", join("cellar", true)),
            ("/msg @bob", Typed::Msg("bob".into())),
            ("/history", Typed::History(20)),
            ("/history 3", Typed::History(3)),
            ("/search a b", Typed::Search("a b".into())),
            ("/grant Ada Lovelace reader", grant("Ada Lovelace", "reader")),
            ("/quit", Typed::Quit),
        ];
        for (line, typed) in table {
            assert_eq!(parse(line), Ok(typed));
        }
        for wrong in
            ["/join", "/dance", "/history 0", "/history x", "/grant bob", "/grant bob king"]
        {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
        for name in HELP.lines().filter_map(|it| it.strip_prefix('/')) {
            let name = name.split(' ').next().unwrap();
            let known = !parse(&format!("/{name}")).is_err_and(|it| it.contains("not understood"));
            assert!(known, "{name}");
        }
    }
}
