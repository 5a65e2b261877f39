//! The configuration file: TOML, with one key for each setting, and no tables.

use std::path::Path;
use std::sync::Arc;

use toml::de::{DeTable, DeValue};

use super::Problem;
use super::setting::{Given, Kind, Setting, Source};

/// What the file says, and all that is wrong with it.
pub(super) fn read(path: &Path, name: &str) -> (Vec<Given>, Vec<Problem>) {
    match std::fs::read_to_string(path) {
        Ok(text) => parse(&text, path),
        Err(error) => {
            let text = format!("{name} {}: {error}; name a file that can be read", path.display());
            (Vec::new(), vec![Problem(text)])
        }
    }
}

/// The same, of a text. The path is for what is said about it, and where relative paths in it begin.
pub(super) fn parse(text: &str, path: &Path) -> (Vec<Given>, Vec<Problem>) {
    let path: Arc<Path> = path.into();
    let line_at = |at: usize| 1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count();
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut problems = Vec::new();
    for error in errors {
        let line = line_at(error.span().map_or(0, |span| span.start));
        let message = error.message().replace('\n', " ");
        problems.push(Problem(format!("{}:{line}: no TOML: {message}", path.display())));
    }
    if !problems.is_empty() {
        // The rest could have been read wrongly.
        return (Vec::new(), problems);
    }
    let mut given = Vec::new();
    for (key, value) in table.get_ref() {
        let line = line_at(key.span().start);
        let Some(setting) = Setting::from_key(key.get_ref()) else {
            let (path, key) = (path.display(), key.get_ref());
            problems.push(Problem(format!(
                "{path}:{line}: {key:?} is no setting; --help lists them, written with _ here"
            )));
            continue;
        };
        let source = Source::File { path: path.clone(), line };
        let mut it = Given { setting, source, texts: Vec::new() };
        match texts(setting.kind(), value.get_ref()) {
            Some(texts) => {
                it.texts = texts;
                given.push(it);
            }
            None => {
                let (kind, example) = (value.get_ref().type_str(), it.example());
                problems.push(
                    it.problem(format!("has the wrong type, {kind}; write it as in {example}")),
                );
            }
        }
    }
    (given, problems)
}

/// The value as it would be written in a flag, if it has the type that the setting has.
fn texts(kind: Kind, value: &DeValue<'_>) -> Option<Vec<String>> {
    let text = match (kind, value) {
        (Kind::List, DeValue::Array(list)) => {
            return list.iter().map(|it| it.get_ref().as_str().map(str::to_owned)).collect();
        }
        (Kind::List | Kind::Text | Kind::Path | Kind::Size, DeValue::String(text)) => {
            text.clone().into_owned()
        }
        (Kind::Number | Kind::Size, DeValue::Integer(number)) => {
            i128::from_str_radix(number.as_str(), number.radix()).ok()?.to_string()
        }
        (Kind::Switch, DeValue::Boolean(on)) => on.to_string(),
        _ => return None,
    };
    Some(vec![text])
}
