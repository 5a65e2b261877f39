//! The example file is true: it has every setting, and what it calls a default is one.

use super::*;

const EXAMPLE: &str = include_str!("../../../deploy/chat-relay.toml");

/// The lines that set something, with the `#` taken away.
fn settings() -> Vec<&'static str> {
    let set = |line: &'static str| {
        line.strip_prefix('#').filter(|it| it.starts_with(|c: char| c.is_ascii_lowercase()))
    };
    EXAMPLE.lines().filter_map(set).collect()
}

fn with(text: &str) -> Config {
    let file = TempFile::new("relay.toml", text);
    run_with("", &[("CHAT_RELAY_CONFIG", file.path())])
}

#[test]
fn the_example_as_it_is_changes_nothing() {
    assert_eq!(with(EXAMPLE), run(""));
}

#[test]
fn the_example_has_every_setting_once() {
    let (given, problems) = file::parse(&settings().join("\n"), Path::new("chat-relay.toml"));
    assert_eq!(problems, []);
    let mut found: Vec<_> = given.iter().map(|it| it.setting).collect();
    found.sort_unstable();
    assert_eq!(found, Setting::ALL);
}

#[test]
fn each_value_of_the_example_is_the_default_or_is_taken() {
    let line = |key: &str| {
        let starts = |line: &&str| line.split(' ').next() == Some(key);
        settings().into_iter().find(starts).expect(key)
    };
    let defaults = ["listen", "metrics", "tls_self_signed", "memory", "auth", "log", "log_format"];
    for key in defaults {
        assert_eq!(with(line(key)), run(""), "{key}");
    }
    let accounts = "auth = \"accounts\"";
    assert_eq!(with(&format!("{accounts}\n{}", line("registration"))), with(accounts));

    // Those that have no default, each with what it needs.
    let jwt = "auth = \"jwt\"";
    let groups = [
        vec!["origin", "connections_per_address"],
        vec!["tls_cert", "tls_key"],
        vec!["data", "data_bytes_max", "keep_days", "keep_messages"],
        vec![jwt, "jwt_secret_file", "jwt_issuer", "jwt_audience"],
        vec![jwt, "jwt_public_key"],
    ];
    for group in &groups {
        let lines = group.iter().map(|it| if *it == jwt { jwt } else { line(it) });
        let config = with(&lines.collect::<Vec<_>>().join("\n"));
        assert_ne!(config, run(""), "{group:?}");
    }
    let without_default = groups.concat().into_iter().filter(|it| *it != jwt).count();
    assert_eq!(without_default + defaults.len() + 1, Setting::ALL.len());
}
