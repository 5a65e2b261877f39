//! How a password gets in: from a file, from the environment, or typed where nobody sees it.

use std::io::{self, BufRead, IsTerminal, Write};
use std::path::Path;

use super::Environment;

/// The password that was given beforehand, if one was.
pub(super) fn given(
    file: Option<&Path>,
    environment: Environment<'_>,
) -> Result<Option<String>, String> {
    let Some(path) = file else {
        return Ok(environment("CHAT_PASSWORD").filter(|it| !it.is_empty()));
    };
    let text = std::fs::read_to_string(path);
    let text = text.map_err(|error| format!("--password-file {}: {error}", path.display()))?;
    match text.lines().next().filter(|it| !it.is_empty()) {
        Some(line) => Ok(Some(line.to_owned())),
        None => Err(format!(
            "--password-file {}: there is no password in its first line",
            path.display()
        )),
    }
}

/// Asks for it on the terminal, with nothing shown of what is typed; for a new one twice.
pub(super) fn ask(name: &str, is_new: bool) -> Result<String, String> {
    const HOW: &str = "give it with --password-file, or in the variable CHAT_PASSWORD";
    if !io::stdin().is_terminal() {
        return Err(format!("the relay wants a password: {HOW}"));
    }
    // The terminal is told by the system's own command for it: without that, nothing is asked.
    let stty = |what: &str| {
        let done = std::process::Command::new("stty").arg(what).status();
        done.is_ok_and(|it| it.success())
    };
    if !stty("-echo") {
        return Err(format!("a password cannot be typed here without being seen: {HOW}"));
    }
    let name = super::text::neutral(name);
    let typed = typed(&format!("Password of {name}: ")).and_then(|password| {
        if is_new && self::typed("The same again: ")? != password {
            return Err("these were two different passwords; try again".into());
        }
        Ok(password)
    });
    stty("echo");
    typed
}

fn typed(prompt: &str) -> Result<String, String> {
    let _ = write!(io::stderr(), "{prompt}");
    let mut line = String::new();
    let read = io::stdin().lock().read_line(&mut line);
    let _ = writeln!(io::stderr());
    match read {
        Ok(1..) => Ok(line.trim_end_matches(['\r', '\n']).to_owned()),
        Ok(0) => Err("no password was typed".into()),
        Err(error) => Err(format!("the password cannot be read: {error}")),
    }
}
