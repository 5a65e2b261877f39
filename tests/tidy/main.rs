//! Rules about the source itself: who may import whom, how long a file is, and that citations are true.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)] // a test may panic

mod manual;
mod requirements;
mod standard;

use std::fs;
use std::path::{Path, PathBuf};

const FILE_LINES_MAX: usize = 600;
const FUNCTION_LINES_MAX: usize = 70;

/// The modules of the core, and which others of the crate each may name.
const LAYERS: [(&str, &[&str]); 10] = [
    // Beside the core, for the event loop and the client above it.
    ("tls", &["handshake"]), // named in its documentation
    ("close", &[]),
    ("limits", &["Delivery"]), // named in its documentation
    ("error", &["close", "Limits"]),
    ("utf8", &[]),
    ("frame", &["error", "Violation"]),
    // `Message` is named in its documentation.
    ("deflate", &["error", "Message"]),
    ("handshake", &["deflate", "limits", "Limits"]),
    (
        "connection",
        &["close", "deflate", "error", "frame", "handshake", "limits", "utf8", "Limits"],
    ),
    ("random", &["connection"]),
];

/// What the core must not know: sockets, threads, streams, clocks, dice.
const FORBIDDEN_IN_CORE: [&str; 13] = [
    "std::net",
    "std::thread",
    "std::io",
    "std::fs",
    "std::process",
    "std::env",
    "Instant::now",
    "SystemTime",
    "rand::",
    "mio::",
    "rustls",
    "println!",
    "unsafe {",
];

struct Source {
    path: PathBuf,
    text: String,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All Rust files below some folders of the project.
fn sources(folders: &[&str]) -> Vec<Source> {
    fn walk(folder: &Path, found: &mut Vec<Source>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                let generated = ["target", "node_modules"].iter().any(|it| path.ends_with(it));
                if !generated {
                    walk(&path, found);
                }
            } else if path.extension().is_some_and(|it| it == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.push(Source { path: path.strip_prefix(root()).unwrap().into(), text });
            }
        }
    }
    let mut found = Vec::new();
    for folder in folders {
        walk(&root().join(folder), &mut found);
    }
    assert!(!found.is_empty());
    found
}

impl Source {
    /// The module of the crate that the file belongs to.
    fn module(&self) -> String {
        let first = self.path.components().nth(1).unwrap();
        Path::new(first.as_os_str()).file_stem().unwrap().to_str().unwrap().into()
    }

    /// The lines that are the product: no tests, no comments.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.text.lines().enumerate().map(|(number, line)| (number + 1, line));
        lines
            .take_while(|(_, line)| !line.starts_with("#[cfg(test)]"))
            .filter(|(_, line)| !line.trim_start().starts_with("//"))
    }
}

#[test]
fn each_module_of_the_core_names_only_the_modules_below_it() {
    let core = sources(&["src"]);
    for source in &core {
        let module = source.module();
        let Some((_, allowed)) = LAYERS.iter().find(|(name, _)| *name == module) else {
            assert!(
                ["lib", "manual", "reactor", "client"].contains(&module.as_str()),
                "{module} has no layer"
            );
            continue;
        };
        for (number, line) in source.code() {
            for named in line.split("crate::").skip(1) {
                let named: String =
                    named.chars().take_while(|it| it.is_alphanumeric() || *it == '_').collect();
                assert!(
                    named == module || allowed.contains(&named.as_str()),
                    "{}:{number}: {module} may not name {named}",
                    source.path.display()
                );
            }
        }
    }
    for (name, _) in LAYERS {
        assert!(core.iter().any(|source| source.module() == name), "{name} does not exist");
    }
}

#[test]
fn the_core_knows_no_socket_no_clock_and_no_dice() {
    for source in sources(&["src"]) {
        if ["lib", "reactor", "client", "random", "tls"].contains(&source.module().as_str()) {
            continue;
        }
        for (number, line) in source.code() {
            for forbidden in FORBIDDEN_IN_CORE {
                assert!(
                    !line.contains(forbidden),
                    "{}:{number}: {forbidden}",
                    source.path.display()
                );
            }
        }
    }
}

#[test]
fn files_and_functions_are_short_enough_to_be_read() {
    for source in sources(&["src", "examples/chat-relay/src"]) {
        let product = source.text.lines().take_while(|line| !line.starts_with("#[cfg(test)]"));
        let lines = product.count();
        assert!(lines <= FILE_LINES_MAX, "{}: {lines} lines", source.path.display());
        let mut begun: Option<(usize, &str, usize)> = None;
        for (number, line) in source.code() {
            let indent = line.len() - line.trim_start().len();
            let is_function = line.trim_start().split("fn ").next().is_some_and(|before| {
                line.contains("fn ")
                    && before
                        .split_whitespace()
                        .all(|it| it.starts_with("pub") || it == "const" || it.starts_with("in"))
            });
            if is_function && line.trim_end().ends_with(['{', '(']) {
                begun = Some((number, line.trim(), indent));
            } else if let Some((start, name, at)) = begun
                && line.trim_end() == "}"
                && indent == at
            {
                let length = number - start + 1;
                assert!(
                    length <= FUNCTION_LINES_MAX,
                    "{}:{start}: {name} has {length} lines",
                    source.path.display()
                );
                begun = None;
            }
        }
    }
}
