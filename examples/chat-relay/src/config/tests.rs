//! What was asked for, from each place and from several at once.

use std::collections::HashMap;
use std::path::Path;

use super::*;

mod deploy;
mod refused;

/// An environment with a home, and what a test adds.
fn environment(added: &[(&str, &str)]) -> impl Fn(&str) -> Option<String> + use<> {
    let home = if cfg!(windows) { r"C:\home" } else { "/home/ann" };
    let home = ["HOME", "LOCALAPPDATA"].map(|name| (name.to_owned(), home.to_owned()));
    let added = added.iter().map(|(name, value)| (name.to_string(), value.to_string()));
    let all: HashMap<_, _> = home.into_iter().chain(added).collect();
    move |name: &str| all.get(name).cloned()
}

fn words(line: &str) -> impl Iterator<Item = String> {
    line.split(' ').filter(|it| !it.is_empty()).map(str::to_owned)
}

fn command(line: &str, added: &[(&str, &str)]) -> Result<Command, String> {
    parse(words(line), &environment(added)).map_err(|stop| match stop {
        Stop::Print(text) => text,
        Stop::BadUsage(problems) => {
            let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
            lines.join("\n")
        }
    })
}

fn run_with(line: &str, added: &[(&str, &str)]) -> Config {
    match command(line, added) {
        Ok(Command::Run(config)) => config,
        other => panic!("{line}: {other:?}"),
    }
}

fn run(line: &str) -> Config {
    run_with(line, &[])
}

fn problem(line: &str, added: &[(&str, &str)]) -> String {
    command(line, added).expect_err(line)
}

/// A file in a folder of its own, which is gone with this.
struct TempFile(PathBuf);

impl TempFile {
    fn new(name: &str, text: &str) -> Self {
        let folder = std::env::temp_dir().join(format!(
            "chat-relay-config-{}-{:x}",
            std::process::id(),
            rand::random::<u64>()
        ));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(name), text).unwrap();
        Self(folder.join(name))
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(self.0.parent().unwrap());
    }
}

#[test]
fn without_flags_all_is_the_default_and_data_are_in_the_platforms_folder() {
    let config = run("");
    let Storage::Folder { path, bytes_max: None } = &config.storage else { panic!("{config:?}") };
    assert!(path.is_absolute() && path.ends_with("chat-relay"), "{path:?}");
    assert_eq!(Config { storage: Storage::Memory, ..config }, Config::default());
    assert_eq!(run("--memory"), Config::default());
    #[cfg(all(unix, not(target_os = "macos")))]
    for (variables, folder) in [
        (&[][..], "/home/ann/.local/share/chat-relay"),
        (&[("XDG_DATA_HOME", "/data")], "/data/chat-relay"),
        (&[("XDG_DATA_HOME", "data")], "/home/ann/.local/share/chat-relay"),
    ] {
        let storage = Storage::Folder { path: folder.into(), bytes_max: None };
        assert_eq!(run_with("", variables).storage, storage);
    }
}

#[test]
fn each_flag_is_read_into_its_type() {
    let config =
        run("--listen [::1]:0 --listen=localhost:80 --origin http://a --origin=https://b:8443");
    let shown: Vec<_> = config.listen.iter().map(ToString::to_string).collect();
    assert_eq!(shown, ["[::1]:0", "localhost:80"]);
    let origins: Vec<_> = config.origins.iter().map(AsRef::as_ref).collect();
    assert_eq!(origins, ["http://a", "https://b:8443"]);

    let config = run("--metrics --connections-per-address=7 --log debug --log-format json");
    assert!(config.metrics && !run("--metrics=false").metrics);
    assert_eq!(config.connections_per_address, NonZeroUsize::new(7));
    assert_eq!(config.log, Log { level: LogLevel::Debug, format: LogFormat::Json });

    let config = run("--data d --data-bytes-max 10G --keep-days 30 --keep-messages 5000");
    let bytes_max = NonZeroU64::new(10 << 30);
    assert_eq!(config.storage, Storage::Folder { path: "d".into(), bytes_max });
    let retention = Retention { days: NonZeroU32::new(30), messages: NonZeroU64::new(5000) };
    assert_eq!(config.retention, retention);

    let files = Certificate::Files { chain: "c.pem".into(), key: "k.pem".into() };
    assert_eq!(run("--tls-key=k.pem --tls-cert c.pem").certificate, Some(files));
    assert_eq!(run("--tls-self-signed").certificate, Some(Certificate::SelfSigned));
}

#[test]
fn who_may_come_in_is_one_of_three_with_what_belongs_to_it() {
    let jwt = |key, issuer: Option<&str>, audience: Option<&str>| {
        Auth::Jwt(Jwt { key, issuer: issuer.map(Into::into), audience: audience.map(Into::into) })
    };
    let table = [
        ("--auth open", Auth::Open),
        ("--auth accounts", Auth::Accounts(Registration::Open)),
        ("--auth accounts --registration invitation", Auth::Accounts(Registration::Invitation)),
        ("--auth accounts --registration off", Auth::Accounts(Registration::Off)),
        ("--auth jwt --jwt-secret-file s", jwt(JwtKey::Secret("s".into()), None, None)),
        (
            "--auth jwt --jwt-public-key p --jwt-issuer i --jwt-audience a",
            jwt(JwtKey::PublicKey("p".into()), Some("i"), Some("a")),
        ),
    ];
    for (line, auth) in table {
        assert_eq!(run(line).auth, auth, "{line}");
    }
}

#[test]
fn a_flag_beats_a_variable_that_the_file_and_that_the_default() {
    let file = TempFile::new("relay.toml", "log = \"error\"\nkeep_days = 1\nlisten = \"a:1\"\n");
    let named = ("CHAT_RELAY_CONFIG", file.path());
    let level = |line: &str, added: &[(&str, &str)]| run_with(line, added).log.level;
    let variable = ("CHAT_RELAY_LOG", "warn");
    assert_eq!(level("", &[]), LogLevel::Info);
    assert_eq!(level("", &[named]), LogLevel::Error);
    assert_eq!(level("", &[named, variable]), LogLevel::Warn);
    assert_eq!(level("--log debug", &[named, variable]), LogLevel::Debug);
    let by_flag = format!("--config {}", file.path());
    assert_eq!(level(&by_flag, &[("CHAT_RELAY_CONFIG", "/nowhere")]), LogLevel::Error);
    assert_eq!(run(&by_flag).retention.days, NonZeroU32::new(1));

    // A list is replaced, not added to.
    let listen = run_with("", &[named, ("CHAT_RELAY_LISTEN", "b:2, [::1]:3")]).listen;
    let shown: Vec<_> = listen.iter().map(ToString::to_string).collect();
    assert_eq!(shown, ["b:2", "[::1]:3"]);
    // An empty variable is as good as none.
    assert_eq!(level("", &[named, ("CHAT_RELAY_LOG", "")]), LogLevel::Error);
}

#[test]
fn every_setting_is_a_flag_in_the_help_a_variable_and_a_key() {
    for setting in Setting::ALL {
        let flag = setting.flag();
        assert!(
            HELP.contains(&format!("{flag} ")) || HELP.contains(&format!("{flag}\n")),
            "{flag}"
        );
        let is_known =
            |answer: &str| !answer.contains("not understood") && !answer.contains("no setting");
        let answer = command(&format!("{flag}=\u{1}"), &[]).err().unwrap_or_default();
        assert!(is_known(&answer), "{answer}");
        let asked = std::cell::Cell::new(false);
        let _ = parse([], &|name| {
            asked.set(asked.get() || name == setting.variable());
            None
        });
        assert!(asked.get(), "{}", setting.variable());
        let (given, problems) = file::parse(&format!("{} = 7.5", setting.key()), Path::new("f"));
        assert!(given.is_empty() && is_known(&problems[0].to_string()), "{problems:?}");
    }
}

#[test]
fn what_the_stronger_place_makes_pointless_in_the_weaker_is_left_out() {
    let table = [
        ("data = \"d\"\nkeep_days = 7\ndata_bytes_max = \"1G\"", "--memory"),
        ("tls_cert = \"c\"\ntls_key = \"k\"", "--tls-self-signed --memory"),
        ("auth = \"accounts\"\nregistration = \"off\"", "--auth open --memory"),
        ("auth = \"jwt\"\njwt_secret_file = \"s\"\njwt_issuer = \"i\"", "--auth open --memory"),
    ];
    for (text, line) in table {
        let file = TempFile::new("relay.toml", text);
        assert_eq!(run_with(line, &[("CHAT_RELAY_CONFIG", file.path())]), run(line), "{text}");
    }
    let file = TempFile::new("relay.toml", "memory = true\n");
    let named = [("CHAT_RELAY_CONFIG", file.path())];
    let kept = Storage::Folder { path: "d".into(), bytes_max: None };
    assert_eq!(run_with("--data d", &named).storage, kept);
}

#[test]
fn relative_paths_in_the_file_begin_at_its_folder() {
    let file =
        TempFile::new("relay.toml", "data = \"kept\"\ntls_cert = \"/c.pem\"\ntls_key = \"k\"\n");
    let config = run_with("", &[("CHAT_RELAY_CONFIG", file.path())]);
    let folder = file.0.parent().unwrap();
    assert_eq!(config.storage, Storage::Folder { path: folder.join("kept"), bytes_max: None });
    let (chain, key) = (PathBuf::from("/c.pem"), folder.join("k"));
    assert_eq!(config.certificate, Some(Certificate::Files { chain, key }));
}

#[test]
fn sizes_are_read_and_written_in_units_of_1024() {
    let table = [
        ("1", Some(1)),
        ("1024", Some(1 << 10)),
        ("10k", Some(10 << 10)),
        ("512M", Some(512 << 20)),
        ("10G", Some(10 << 30)),
        ("10GiB", Some(10 << 30)),
        ("10GB", Some(10 << 30)),
        ("7B", Some(7)),
        ("2T", Some(2 << 40)),
        ("", None),
        ("0", None),
        ("0G", None),
        ("G", None),
        ("1.5G", None),
        ("-1", None),
        ("10 G", None),
        ("10X", None),
        ("10GBB", None),
        ("99999999999T", None),
    ];
    for (text, bytes) in table {
        let read = types::size(text);
        assert_eq!(read.map(NonZeroU64::get), bytes, "{text}");
        if let Some(read) = read {
            assert_eq!(types::size(&types::written_size(read)), Some(read));
        }
    }
    assert_eq!(types::written_size(NonZeroU64::new(10 << 30).unwrap()), "10G");
}

#[test]
fn the_owner_can_ask_for_each_action_with_its_names_read() {
    use crate::names::PersonName;
    let number = |it| NonZeroU32::new(it).unwrap();
    let name = PersonName::new("Ann", 32).unwrap();
    let table = [
        ("people", AdminAction::People),
        ("rooms", AdminAction::Rooms),
        ("block Ann", AdminAction::Block { name: name.clone() }),
        ("unblock Ann", AdminAction::Unblock { name: name.clone() }),
        ("sign-out Ann", AdminAction::SignOut { name: name.clone() }),
        ("invite", AdminAction::Invite { uses: number(1), days: number(7) }),
        ("invite --uses 5 --days 2", AdminAction::Invite { uses: number(5), days: number(2) }),
        ("remove-room lobby", AdminAction::RemoveRoom { room: "lobby".into() }),
        (
            "role lobby Ann reader",
            AdminAction::Role { room: "lobby".into(), name: name.clone(), role: Role::Reader },
        ),
        ("role lobby Ann none", AdminAction::Role { room: "lobby".into(), name, role: Role::None }),
    ];
    for (line, action) in table {
        let wanted = |url: Option<&str>| {
            let url = url.map(|it| it.parse().unwrap());
            Ok(Command::Admin { data: "d".into(), url, action: action.clone() })
        };
        assert_eq!(command(&format!("admin --data d {line}"), &[]), wanted(None));
        assert_eq!(command(&format!("admin {line}"), &[("CHAT_RELAY_DATA", "d")]), wanted(None));
        let url = "ws://127.0.0.1:9/ws";
        assert_eq!(command(&format!("admin {line} --data d --url {url}"), &[]), wanted(Some(url)));
    }
    let backup = Command::Backup { file: "f".into(), data: "d".into() };
    assert_eq!(command("backup f --data d", &[]), Ok(backup));
}

#[test]
fn what_is_printed_as_toml_reads_as_the_same_again() {
    let table = [
        "",
        "--memory --metrics --connections-per-address 3 --origin https://a --listen a:1",
        "--data /d --data-bytes-max 1025 --keep-days 3 --keep-messages 4 --log warn",
        "--tls-cert /c\"\\.pem --tls-key /k --auth accounts --registration off --log-format json",
        "--tls-self-signed --auth jwt --jwt-secret-file /s --jwt-issuer i --jwt-audience a",
        "--auth jwt --jwt-public-key /p",
    ];
    for line in table {
        let config = run(line);
        let file = TempFile::new("relay.toml", &to_toml(&config));
        let again = run_with("", &[("CHAT_RELAY_CONFIG", file.path())]);
        assert_eq!(again, config, "{line}\n{}", to_toml(&config));
    }
}
