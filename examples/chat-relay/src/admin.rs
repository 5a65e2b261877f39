//! What the one who runs a relay asks it for: a client of `relay.v1` whose `hello` has the relay's own secret.
//!
//! The secret and the address lie in the folder of the relay's data, where only its owner reads.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use tautline::handshake::{ClientRequest, Url};
use tautline::{Client, Limits, OwnedMessage};

use crate::config::{AdminAction, Role};
use crate::protocol::SUBPROTOCOL;
use crate::store::Store;

/// The file with the secret.
const SECRET: &str = "admin.secret";
/// The file with the address of the relay that runs on this folder.
const ADDRESS: &str = "admin.url";
const PATIENCE: Duration = Duration::from_secs(20);

/// Makes the secret of a relay that starts on this folder, and drops the address of the one before: somebody else may
/// listen there by now.
///
/// # Errors
///
/// When the files cannot be written.
pub fn new_secret(dir: &Path, random: u128) -> io::Result<String> {
    match std::fs::remove_file(dir.join(ADDRESS)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let secret = format!("{random:032x}");
    write_private(&dir.join(SECRET), &secret)?;
    Ok(secret)
}

/// Notes where the relay of this folder is reached.
///
/// # Errors
///
/// When the file cannot be written.
pub fn note_address(dir: &Path, url: &str) -> io::Result<()> {
    write_private(&dir.join(ADDRESS), url)
}

fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    // The mode above is for a file that is made by this; one that was there keeps its own.
    #[cfg(unix)]
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    io::Write::write_all(&mut file, text.as_bytes())
}

/// Asks the relay of a folder, and gives what is to be printed.
///
/// # Errors
///
/// A text that says what went wrong and what to do.
pub fn ask(dir: &Path, url: Option<&Url>, action: &AdminAction) -> Result<String, String> {
    let secret =
        read(dir.join(SECRET), "no relay has ever run on this folder; name it with --data")?;
    if !Store::is_in_use(dir) {
        return Err(format!(
            "no relay runs on {}: start it, or name its folder with --data",
            dir.display()
        ));
    }
    let url = match url {
        Some(url) => url.to_string(),
        None => read(dir.join(ADDRESS), "start the relay, or say where it is with --url")?,
    };
    let mut relay = Connection::open(&url, &secret)?;
    match action {
        AdminAction::People => relay.people(),
        AdminAction::Rooms => relay.rooms(),
        AdminAction::Block { name } => {
            relay.ask(&json!({"block": {"user": &*name.shown, "blocked": true}})).map(done)
        }
        AdminAction::Unblock { name } => {
            relay.ask(&json!({"block": {"user": &*name.shown, "blocked": false}})).map(done)
        }
        AdminAction::SignOut { name } => {
            relay.ask(&json!({"sign_out": {"user": &*name.shown}})).map(done)
        }
        AdminAction::Invite { uses, days } => {
            let answer = relay.ask(&json!({"invite": {"uses": uses.get(), "days": days.get()}}))?;
            Ok(format!("{}\n", of(&answer, "invitation").as_str().unwrap_or_default()))
        }
        AdminAction::RemoveRoom { room } => {
            relay.ask(&json!({"remove_room": {"room": &**room}})).map(done)
        }
        AdminAction::Role { room, name, role } => {
            let role = match role {
                Role::Owner => "owner",
                Role::Member => "member",
                Role::Reader => "reader",
                Role::None => "none",
            };
            let user = &*name.shown;
            relay.ask(&json!({"role": {"room": &**room, "user": user, "role": role}})).map(done)
        }
    }
}

fn done(_: Value) -> String {
    "done\n".into()
}

fn read(path: PathBuf, hint: &str) -> Result<String, String> {
    let named = |error: io::Error| format!("{}: {error}; {hint}", path.display());
    std::fs::read_to_string(&path).map(|text| text.trim().to_owned()).map_err(named)
}

/// A connection that has said hello.
struct Connection(Client);

impl Connection {
    fn open(url: &str, secret: &str) -> Result<Self, String> {
        let named = |error: &dyn std::fmt::Display| {
            format!("{url}: {error}; is the relay running? --url says where it is")
        };
        let parsed = url.parse().map_err(|error| named(&error))?;
        let request = ClientRequest::new(parsed)
            .subprotocol(SUBPROTOCOL.to_owned())
            .map_err(|error| named(&error))?;
        let mut client =
            Client::connect(&request, Limits::default()).map_err(|error| named(&error))?;
        client.set_read_timeout(Some(PATIENCE));
        let mut connection = Self(client);
        connection.say(&json!({"id": 1, "hello": {"v": 1, "admin": secret}}))?;
        Ok(connection)
    }

    fn ask(&mut self, what: &Value) -> Result<Value, String> {
        self.say(&json!({"id": 1, "admin": what}))
    }

    /// Says a line, and waits for its answer. A long list is asked for faster than the relay answers anybody.
    fn say(&mut self, line: &Value) -> Result<Value, String> {
        loop {
            let mut answer = self.say_once(line)?;
            if let Some(ok) = answer.get_mut("ok") {
                return Ok(ok.take());
            }
            let problem = of(&answer, "err");
            match of(problem, "retry_ms").as_u64() {
                Some(wait_ms) if of(problem, "code") == "rate" => {
                    std::thread::sleep(Duration::from_millis(wait_ms).min(PATIENCE));
                }
                _ => return Err(text(of(problem, "text")).to_owned()),
            }
        }
    }

    fn say_once(&mut self, line: &Value) -> Result<Value, String> {
        self.0.send(&*line.to_string()).map_err(|error| error.to_string())?;
        loop {
            let text = match self.0.read() {
                Ok(Some(OwnedMessage::Text(text))) => text,
                Ok(Some(OwnedMessage::Binary(_))) => continue,
                Ok(None) => return Err("the relay has closed the connection".into()),
                Err(error) => return Err(error.to_string()),
            };
            for line in text.split('\n') {
                let line: Value = serde_json::from_str(line).map_err(|error| error.to_string())?;
                if line.get("ok").is_some() || line.get("err").is_some() {
                    return Ok(line);
                }
            }
        }
    }

    fn people(&mut self) -> Result<String, String> {
        let header = format!("{:32} {:>7} {:>5}  last seen (UTC)", "name", "devices", "rooms");
        self.list("people", "key", header, |it| {
            let blocked = if of(it, "blocked") == true { "  blocked" } else { "" };
            let seen = utc(of(it, "last_seen").as_u64().unwrap_or(0));
            let (user, devices) = (text(of(it, "user")), of(it, "devices").to_string());
            format!("{user:32} {devices:>7} {:>5}  {seen}{blocked}", of(it, "rooms").to_string())
        })
    }

    fn rooms(&mut self) -> Result<String, String> {
        let header = format!("{:48} {:6} {:>7} {:>10}", "name", "kind", "members", "messages");
        self.list("rooms", "room", header, |it| {
            let number = |key: &str| of(it, key).as_u64().unwrap_or(0);
            let messages = (number("head") + 1).saturating_sub(number("first"));
            let (room, kind) = (text(of(it, "room")), text(of(it, "kind")));
            format!("{room:48} {kind:6} {:>7} {messages:>10}", number("members"))
        })
    }

    /// All pages of a list.
    fn list(
        &mut self,
        what: &str,
        after: &str,
        mut shown: String,
        line: impl Fn(&Value) -> String,
    ) -> Result<String, String> {
        let mut last = String::new();
        shown.push('\n');
        loop {
            let page = self.ask(&json!({what: {"after": last}}))?;
            let Some(items) = of(&page, what).as_array().filter(|items| !items.is_empty()) else {
                return Ok(shown);
            };
            for item in items {
                // Writing to a string does not fail.
                let _ = writeln!(shown, "{}", line(item));
                last = text(of(item, after)).to_owned();
            }
        }
    }
}

fn of<'a>(object: &'a Value, key: &str) -> &'a Value {
    object.get(key).unwrap_or(&Value::Null)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// A time in milliseconds since 1970, to the minute.
fn utc(ms: u64) -> String {
    let (days, minutes) = (ms / 86_400_000, ms / 60_000 % 1_440);
    // Days since 1 March of the year 0 make leap days the last of their year.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let (day, month) = (day_of_year - (153 * shifted + 2) / 5 + 1, (shifted + 2) % 12 + 1);
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02}", minutes / 60, minutes % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn a_secret_is_its_owners_even_in_a_file_that_was_there() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = std::env::temp_dir().join(format!("chat-relay-admin-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let path = dir.join(SECRET);
        std::fs::write(&path, "").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(new_secret(&dir, 7).unwrap().len(), 32);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_ne!(new_secret(&dir, 8).unwrap(), format!("{:032x}", 7), "another at each start");
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn times_are_written_as_people_write_them() {
        for (ms, shown) in [
            (0, "1970-01-01 00:00"),
            (951_782_400_000, "2000-02-29 00:00"),
            (1_790_000_000_000, "2026-09-21 14:13"),
            (4_107_542_399_999, "2100-02-28 23:59"),
            (4_107_542_400_000, "2100-03-01 00:00"),
        ] {
            assert_eq!(utc(ms), shown);
        }
    }
}
