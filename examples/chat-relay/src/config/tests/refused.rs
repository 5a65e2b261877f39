//! What cannot be followed is answered with what to do, a line for each thing.

use super::*;

#[test]
fn a_command_line_that_cannot_be_followed_is_answered_with_what_to_do() {
    let table = [
        ("--port 80", r#""--port" is not understood; --help lists what is"#),
        ("8080", r#""8080" is not understood; --help lists what is"#),
        ("--lisen a:1", "did you mean --listen?"),
        ("--listen", "--listen needs a value: --listen 127.0.0.1:8080"),
        ("--listen=", "--listen needs a value: --listen 127.0.0.1:8080"),
        ("--listen --metrics", "--listen needs a value: --listen 127.0.0.1:8080"),
        (
            "--listen 8080",
            "--listen \"8080\" is no address; write host:port, as in 127.0.0.1:8080 or [::1]:8080",
        ),
        ("--listen ::1:80", "write host:port"),
        ("--listen [a]:80", "write host:port"),
        ("--listen 127.0.0.1:65536", "write host:port"),
        ("--origin", "--origin needs a value: --origin https://chat.example.com"),
        ("--origin example.com", "write scheme and host"),
        ("--origin https://a/", "without a path"),
        ("--origin ws://a", "write scheme and host"),
        ("--origin https://a:b:c", "write scheme and host"),
        (
            "--connections-per-address 0",
            "--connections-per-address \"0\" is no number from 1; write it as in \
             --connections-per-address 100",
        ),
        ("--connections-per-address many", "--connections-per-address 100"),
        ("--metrics=on", "--metrics \"on\" is neither true nor false"),
        ("--metrics on", "\"on\" is not understood"),
        ("--data a --data b", "--data is there twice: leave out one"),
        ("--data-bytes-max big", "is no size; write it as in --data-bytes-max 10G"),
        ("--keep-days 0", "is no number from 1"),
        ("--keep-messages -1", "--keep-messages \"-1\" is no number from 1"),
        ("--log loud", "--log \"loud\" is none of error, warn, info, debug"),
        ("--log-format xml", "is none of text, json"),
        ("--auth ldap", "is none of open, accounts, jwt"),
        ("--auth accounts --registration no", "is none of open, invitation, off"),
        ("--config", "--config needs a value: --config FILE"),
        ("admin", "admin --help lists them"),
        ("admin bock Ann", "did you mean block?"),
        ("admin block", "<NAME> is missing"),
        ("admin role lobby Ann king", "a role is owner, member, reader, or none"),
        ("admin block you", "this name is taken by everybody"),
        ("admin remove-room Lobby", "a room's name is in lower case"),
        ("admin invite --uses 0", "--uses \"0\" cannot be: write a number from 1"),
        ("admin people --url http://a", "write it as in ws://127.0.0.1:8080/ws"),
        ("backup", "<FILE> is missing"),
        ("--metrics backup f", "flags before backup are not understood; backup --help"),
    ];
    for (line, text) in table {
        let said = problem(line, &[]);
        assert!(said.contains(text) && said.lines().count() == 1, "{line}: {said}");
    }
}

#[test]
fn what_makes_no_sense_together_is_refused() {
    let table = [
        ("--tls-cert c.pem", "--tls-cert needs its key: --tls-key key.pem"),
        ("--tls-key k.pem", "--tls-key needs its certificate: --tls-cert chain.pem"),
        (
            "--tls-cert c.pem --tls-self-signed",
            "--tls-self-signed makes a certificate of its own: leave out that or --tls-cert",
        ),
        ("--memory --data d", "--memory keeps nothing: leave out that or --data"),
        ("--memory --keep-days 3", "--memory keeps nothing: leave out that or --keep-days"),
        ("--registration off", "--registration needs --auth accounts: add that, or leave it out"),
        (
            "--auth jwt --jwt-secret-file s --registration off",
            "--registration needs --auth accounts",
        ),
        ("--jwt-secret-file s", "--jwt-secret-file needs --auth jwt"),
        ("--auth accounts --jwt-issuer i", "--jwt-issuer needs --auth jwt"),
        (
            "--auth jwt",
            "needs the key of the tokens: --jwt-secret-file FILE or --jwt-public-key FILE",
        ),
        (
            "--auth jwt --jwt-secret-file s --jwt-public-key p",
            "--jwt-secret-file is a key by itself: leave out that or --jwt-public-key",
        ),
        (
            "--memory --auth accounts --registration invitation",
            "--memory forgets all accounts, and nobody could make one: leave it out, or take \
             --registration open",
        ),
    ];
    for (line, text) in table {
        let said = problem(line, &[]);
        assert!(said.contains(text) && said.lines().count() == 1, "{line}: {said}");
    }
    let homeless = parse([], &|_| None).unwrap_err();
    let Stop::BadUsage(problems) = homeless else { panic!("{homeless:?}") };
    assert!(problems[0].to_string().contains("--data DIR"), "{problems:?}");
}

#[test]
fn a_variable_that_cannot_be_followed_is_named() {
    let table = [
        ("CHAT_RELAY_LISTEN", "8080", "CHAT_RELAY_LISTEN \"8080\" is no address"),
        ("CHAT_RELAY_LISTEN", "a:1,", "CHAT_RELAY_LISTEN needs a value"),
        ("CHAT_RELAY_METRICS", "1", "CHAT_RELAY_METRICS \"1\" is neither true nor false"),
        ("CHAT_RELAY_KEEP_DAYS", "x", "write it as in CHAT_RELAY_KEEP_DAYS=365"),
        ("CHAT_RELAY_TLS_KEY", "k", "needs its certificate: CHAT_RELAY_TLS_CERT=chain.pem"),
        ("CHAT_RELAY_REGISTRATION", "off", "needs CHAT_RELAY_AUTH=accounts"),
        ("CHAT_RELAY_CONFIG", "/nowhere/f", "CHAT_RELAY_CONFIG /nowhere/f: "),
    ];
    for (name, value, text) in table {
        let said = problem("", &[(name, value)]);
        assert!(said.contains(text) && said.lines().count() == 1, "{name}: {said}");
    }
}

#[test]
fn everything_that_is_wrong_with_a_file_is_named_with_its_line() {
    let text = "\
listen = \"8080\"
# a comment
colour = \"red\"
keep_days = \"7\"
metrics = \"yes\"
keep_messages = 0
origin = [\"https://a\", 7]
auth = \"jwt\"
[tls]
cert = \"c.pem\"
";
    let file = TempFile::new("relay.toml", text);
    let said = problem("--log loud", &[("CHAT_RELAY_CONFIG", file.path())]);
    let at = |line: usize, text: &str| format!("{}:{line}: {text}", file.path());
    let wanted = [
        at(1, "listen \"8080\" is no address"),
        at(3, "\"colour\" is no setting; --help lists them"),
        at(4, "keep_days has the wrong type, string; write it as in keep_days = 365"),
        at(5, "metrics has the wrong type, string; write it as in metrics = true"),
        at(6, "keep_messages \"0\" is no number from 1; write it as in keep_messages = 10000"),
        at(7, "origin has the wrong type, array; write it as in origin = \"https://chat"),
        at(8, "auth \"jwt\" needs the key of the tokens: jwt_secret_file = \"FILE\" or "),
        at(9, "\"tls\" is no setting"),
        "--log \"loud\" is none of".into(),
    ];
    for text in &wanted {
        assert!(said.lines().any(|line| line.starts_with(text)), "{text}\nin\n{said}");
    }
    assert_eq!(said.lines().count(), wanted.len(), "{said}");
}

#[test]
fn a_file_that_is_no_toml_is_answered_with_the_line() {
    for (text, line) in [("log = info", 1), ("\n\nlog =", 3), ("log = \"a\"\nlog = \"b\"", 2)] {
        let file = TempFile::new("relay.toml", text);
        let said = problem("", &[("CHAT_RELAY_CONFIG", file.path())]);
        let start = format!("{}:{line}: no TOML: ", file.path());
        assert!(said.lines().all(|it| it.starts_with(&start)), "{said}");
    }
}

#[test]
fn a_check_reads_every_file_and_names_where_it_was_asked_for() {
    let short = TempFile::new("secret", "short");
    let text = format!("auth = \"jwt\"\njwt_secret_file = {:?}\n", short.path());
    let file = TempFile::new("relay.toml", &text);
    let line = format!("--check-config --tls-cert /no/c --tls-key /no/k --data {}", short.path());
    let checked = command(&line, &[("CHAT_RELAY_CONFIG", file.path())]);
    let Ok(Command::CheckConfig(config, sources)) = checked else { panic!("{checked:?}") };
    let said: Vec<_> =
        check(&config, &sources).unwrap_err().iter().map(|it| it.to_string()).collect();
    let wanted = [
        "--tls-cert /no/c: ".to_owned(),
        "--tls-key /no/k: ".into(),
        format!(
            "{}:2: jwt_secret_file {}: the secret has fewer than 32",
            file.path(),
            short.path()
        ),
        format!("--data {} is no folder", short.path()),
    ];
    assert_eq!(said.len(), wanted.len(), "{said:?}");
    for (said, start) in said.iter().zip(wanted) {
        assert!(said.starts_with(&start), "{said}");
    }
}

#[test]
fn a_check_that_finds_nothing_gives_the_settings_without_a_secret() {
    let secret = TempFile::new("secret", "thirty-two bytes of a secret, or more\n");
    let line = format!("--check-config --memory --auth jwt --jwt-secret-file {}", secret.path());
    let checked = command(&line, &[]);
    let Ok(Command::CheckConfig(config, sources)) = checked else { panic!("{checked:?}") };
    let text = check(&config, &sources).unwrap();
    assert!(text.contains("memory = true") && text.contains("auth = \"jwt\""), "{text}");
    assert!(!text.contains("thirty-two"), "{text}");
}

#[test]
fn keys_that_do_not_fit_their_certificate_are_found() {
    let made = |_| rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let [one, other] = [0, 1].map(made);
    let chain = TempFile::new("chain.pem", &one.cert.pem());
    let found = |key: &str| {
        let key = TempFile::new("key.pem", key);
        let line = format!("--check-config --tls-cert {} --tls-key {}", chain.path(), key.path());
        let checked = command(&line, &[]);
        let Ok(Command::CheckConfig(config, sources)) = checked else { panic!("{checked:?}") };
        check(&config, &sources)
            .map_err(|it| it.iter().map(ToString::to_string).collect::<Vec<_>>())
    };
    assert!(found(&one.signing_key.serialize_pem()).is_ok());
    for key in [other.signing_key.serialize_pem(), "junk".into()] {
        let said = found(&key).unwrap_err();
        assert!(said.len() == 1 && said[0].starts_with("--tls-"), "{said:?}");
    }
}
