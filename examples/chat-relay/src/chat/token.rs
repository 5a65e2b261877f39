//! Where the token is kept: a file for each relay and name, that only its owner reads.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The file for a name on a relay.
pub(super) fn file(folder: &Path, relay: &str, name: &str) -> PathBuf {
    folder.join(plain(relay)).join(plain(&name.to_lowercase()))
}

/// The only name that there is a token for on a relay.
pub(super) fn only_file(folder: &Path, relay: &str) -> Option<PathBuf> {
    let mut files = std::fs::read_dir(folder.join(plain(relay))).ok()?;
    let first = files.next()?.ok()?.path();
    files.next().is_none().then_some(first)
}

/// The token in a file, and the name that it is for, if that is noted; `None` where there is no file.
pub(super) fn read(path: &Path) -> io::Result<Option<(String, Option<String>)>> {
    match std::fs::read_to_string(path) {
        Ok(text) => {
            let mut lines = text.lines().map(str::trim).filter(|it| !it.is_empty());
            let token = lines.next().map(str::to_owned);
            Ok(token.map(|token| (token, lines.next().map(str::to_owned))))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Writes a token to its file, whole or not at all.
pub(super) fn write(path: &Path, token: &str, name: &str) -> io::Result<()> {
    if let Some(folder) = path.parent().filter(|it| !it.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder)?;
    }
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let _ = std::fs::remove_file(&new);
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&new)?;
    file.write_all(format!("{token}\n{name}\n").as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&new, path)
}

/// A text as the name of a file, the same one for the same text only.
fn plain(text: &str) -> String {
    let mut plain = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_' {
            plain.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(plain, "%{byte:02X}");
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_its_owners_only_and_found_again() {
        let folder = std::env::temp_dir().join(format!("chat-token-{}", std::process::id()));
        let path = file(&folder, "ws://relay/ws", "Ada ../x");
        assert!(
            path.starts_with(&folder) && path.ends_with("ws%3A%2F%2Frelay%2Fws/ada%20%2E%2E%2Fx")
        );
        assert_eq!(read(&path).unwrap(), None);
        assert_eq!(only_file(&folder, "ws://relay/ws"), None);
        for token in ["one", "two"] {
            write(&path, token, "Ada").unwrap();
            assert_eq!(read(&path).unwrap(), Some((token.into(), Some("Ada".into()))));
        }
        assert_eq!(only_file(&folder, "ws://relay/ws"), Some(path.clone()));
        #[cfg(unix)]
        {
            let mode = std::os::unix::fs::PermissionsExt::mode(
                &std::fs::metadata(&path).unwrap().permissions(),
            );
            assert_eq!(mode & 0o777, 0o600);
        }
        write(&file(&folder, "ws://relay/ws", "bob"), "three", "bob").unwrap();
        assert_eq!(only_file(&folder, "ws://relay/ws"), None);
        std::fs::remove_dir_all(folder).unwrap();
    }
}
