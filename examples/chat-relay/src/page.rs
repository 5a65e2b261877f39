//! The files that a browser gets, with the fields that keep the page to itself.
//!
//! The files are part of the program: there is nothing to install beside it and nothing to fetch from elsewhere.

/// A file of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct File {
    /// Its media type.
    pub media_type: &'static str,
    /// Its bytes.
    pub body: &'static str,
}

/// The file at a path, without a query.
pub fn file(path: &str) -> Option<File> {
    let (media_type, body) = match path {
        "/" => ("text/html; charset=utf-8", include_str!("../page/index.html")),
        "/style.css" => ("text/css; charset=utf-8", include_str!("../page/style.css")),
        "/favicon.svg" => ("image/svg+xml", include_str!("../page/favicon.svg")),
        _ => {
            let (_, script) = SCRIPTS.iter().find(|(name, _)| *name == path)?;
            ("text/javascript; charset=utf-8", *script)
        }
    };
    Some(File { media_type, body })
}

/// The page's modules, from the one that the page names down to those that know nothing of the others.
const SCRIPTS: [(&str, &str); 15] = [
    ("/main.js", include_str!("../page/main.js")),
    ("/view.js", include_str!("../page/view.js")),
    ("/signin.js", include_str!("../page/signin.js")),
    ("/list.js", include_str!("../page/list.js")),
    ("/talk.js", include_str!("../page/talk.js")),
    ("/people.js", include_str!("../page/people.js")),
    ("/sheets.js", include_str!("../page/sheets.js")),
    ("/dom.js", include_str!("../page/dom.js")),
    ("/chat.js", include_str!("../page/chat.js")),
    ("/room.js", include_str!("../page/room.js")),
    ("/outbox.js", include_str!("../page/outbox.js")),
    ("/marks.js", include_str!("../page/marks.js")),
    ("/store.js", include_str!("../page/store.js")),
    ("/link.js", include_str!("../page/link.js")),
    ("/transport.js", include_str!("../page/transport.js")),
];

/// The fields that every answer carries, besides [`policy`].
pub const FIELDS: [(&str, &str); 3] = [
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    // The files change with the program, and are small.
    ("Cache-Control", "no-cache"),
];

/// The `Content-Security-Policy` for a page that was asked for with this `Host`.
///
/// Nothing is allowed but the page's own files and its own socket. `'self'` covers the socket in newer browsers only,
/// so it is named too, unless the host could not stand in the field.
pub fn policy(host: Option<&str>) -> String {
    let of_a_host = |b: u8| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b);
    let sockets = match host {
        Some(host) if !host.is_empty() && host.bytes().all(of_a_host) => {
            format!(" ws://{host} wss://{host}")
        }
        Some(_) | None => String::new(),
    };
    format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
         connect-src 'self'{sockets}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_cannot_add_to_the_policy() {
        assert!(
            policy(Some("127.0.0.1:8080"))
                .contains(" 'self' ws://127.0.0.1:8080 wss://127.0.0.1:8080;")
        );
        for host in [None, Some(""), Some("a; script-src *"), Some("a b"), Some("a,b"), Some("é")]
        {
            assert!(policy(host).contains("connect-src 'self'; "), "{host:?}");
        }
    }

    #[test]
    fn the_page_asks_for_nothing_but_its_own_files() {
        let page = file("/").unwrap().body;
        for reference in ["src=\"", "href=\""] {
            for (at, _) in page.match_indices(reference) {
                let target = page[at + reference.len()..].split('"').next().unwrap();
                assert!(target.starts_with('#') || file(target).is_some(), "{target}");
            }
        }
        for (name, script) in SCRIPTS {
            for (at, _) in script.match_indices(" from \"./") {
                let module = script[at + " from \".".len()..].split('"').next().unwrap();
                assert!(file(module).is_some(), "{name} imports {module}");
            }
            assert!(script.lines().count() <= 600, "{name} is too long to be read");
            let own = script.replace("http://www.w3.org/2000/svg", "");
            assert!(!own.contains("https://") && !own.contains("http://"), "{name}");
        }
        let style = file("/style.css").unwrap().body;
        assert!(!style.contains("url(") && !style.contains("@import"));
    }

    #[test]
    fn the_page_never_turns_text_into_markup() {
        let page = file("/").unwrap().body;
        let ways = [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "DOMParser",
        ];
        for (name, text) in SCRIPTS.into_iter().chain([("/", page)]) {
            for way in ways {
                assert!(!text.contains(way), "{way} in {name}");
            }
        }
        assert!(
            !page.contains("style=\"") && !page.contains("onclick"),
            "the policy would block it"
        );
    }
}
