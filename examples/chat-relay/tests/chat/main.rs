//! The program `chat`, with a relay of its own for each test.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may fail by panicking"
)]

mod world;

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use world::{Folder, Person, Relay, kill, text};

#[test]
fn two_people_talk_and_see_what_has_arrived() {
    let (relay, home) = (Relay::memory(), Folder::new("two"));
    let mut alice = relay.person(&home, "alice", &["tea"]);
    alice.sees("you are alice");
    alice.types("/who");
    alice.sees("owner");
    let mut bob = relay.person(&home, "bob", &["tea"]);
    alice.sees("* bob has joined");
    alice.types("hello bob");
    let line = alice.sees("alice: hello bob ✓");
    assert_eq!(line.find(':'), Some(2), "{line}");
    bob.sees("alice: hello bob");
    alice.sees("✓✓ hello bob");
    bob.types("//not a command");
    alice.sees("bob: /not a command");

    bob.types("/msg alice");
    bob.types("only you");
    bob.sees("bob: only you ✓");
    alice.sees("something new in @bob");
    alice.types("/rooms");
    assert!(alice.sees("@bob").ends_with("1 unread"));
    alice.types("/msg bob");
    alice.sees("bob: only you");
    alice.types("/rooms");
    assert_eq!(alice.sees("@bob").trim(), "* @bob");

    alice.types("/search command");
    alice.sees("[tea] ");
    alice.types("/join tea");
    alice.types("/history 1");
    alice.sees("bob: /not a command");
    alice.types("/grant bob reader");
    alice.sees("* bob is reader now");
    bob.types("/join tea");
    bob.types("may I?");
    bob.sees("not sent, ");
    bob.types("/dance");
    bob.sees("/dance is not understood");
    bob.types("/leave");
    bob.sees("you are not in tea any more");
    alice.sees("* bob has left");
    assert_eq!((alice.ends(), bob.ends()), (0, 0));
}

#[test]
fn a_pipe_sends_and_says_by_its_status_whether_it_is_stored() {
    let (relay, home) = (Relay::memory(), Folder::new("pipe"));
    let many: String = (0..30).map(|n| format!("line {n}\n")).collect();
    let output = relay.pipe(&home, "alice", &["tea"], &many);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(output.stdout.is_empty() && output.stderr.is_empty());
    let output = relay.pipe(&home, "alice", &["--interactive", "tea"], "/history 100\n");
    let shown = text(&output.stdout);
    let said: Vec<_> = shown.lines().filter_map(|it| it.split("alice: ").nth(1)).collect();
    // As what was not read yet, and as history.
    let unread: String = many.lines().map(|it| format!("{it} ✓\n")).collect();
    assert_eq!(said, unread.lines().chain(many.lines()).collect::<Vec<_>>());

    let refused = relay.pipe(&home, "alice", &["Tea"], "hi\n");
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("lower case"), "{}", text(&refused.stderr));
    let taken = relay.pipe(&Folder::new("pipe-2"), "ALICE", &["tea"], "hi\n");
    assert_eq!(taken.status.code(), Some(1));
    assert!(text(&taken.stderr).contains("--name"), "{}", text(&taken.stderr));
    let nowhere = relay.pipe(&home, "alice", &[], "hi\n");
    assert_eq!(nowhere.status.code(), Some(2));
    drop(relay);
    let gone = Relay {
        address: "127.0.0.1:1".into(),
        scheme: "ws",
        child: Command::new("true").spawn().unwrap(),
    };
    let output = gone.pipe(&home, "alice", &["tea"], "hi\n");
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("is the relay running?"), "{}", text(&output.stderr));
}

#[test]
fn json_goes_in_and_comes_out_line_by_line() {
    let (relay, home) = (Relay::memory(), Folder::new("json"));
    let mut listener = Person::start(&mut relay.chat(&home, "bob", &["--json", "--stay", "tea"]));
    listener.sees(r#""members""#);
    let lines = [
        json!({"id": 1, "send": {"room": "tea", "cid": "a", "body": {"text": "one"}}}),
        json!({"id": 2, "send": {"room": "tea", "cid": "a", "body": {"text": "one"}}}),
        json!({"eph": {"room": "tea", "kind": "typing", "ttl_s": 6}}),
        json!({"id": 3, "get": {"room": "tea", "from": 1, "to": 9}}),
    ];
    let input: String = lines.iter().map(|it| format!("{it}\n")).collect();
    let output = relay.pipe(&home, "alice", &["--json", "tea"], &input);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let shown = text(&output.stdout);
    let said: Vec<Value> = shown.lines().map(|it| serde_json::from_str(it).unwrap()).collect();
    let answer = |id: u64| said.iter().find(|it| it["id"] == id).unwrap();
    assert_eq!(said[0]["ok"]["user"], "alice");
    assert_eq!((&answer(1)["ok"]["seq"], &answer(2)["ok"]["dup"]), (&json!(1), &json!(true)));
    assert_eq!(answer(3)["ok"]["msgs"][0]["body"]["text"], "one");
    assert!(!shown.contains("token"), "it is printed nowhere");
    listener.sees(r#""text":"one""#);
    listener.sees(r#""typing""#);
    kill(&mut listener.child);

    let output = relay.pipe(&home, "alice", &["--json"], "not json\n{\"id\":7,\"ping\":{}}\n");
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).starts_with("chat: line 1: not JSON"), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains(r#"{"id":7,"ok":{}}"#));
    let refused = r#"{"id":1,"leave":{"room":"tea2"}}"#;
    assert_eq!(relay.pipe(&home, "alice", &["--json"], refused).status.code(), Some(1));
}

#[test]
fn what_is_typed_while_the_relay_is_away_arrives_once_and_in_order() {
    let (data, home) = (Folder::new("data"), Folder::new("away"));
    let arguments = ["--data", data.0.to_str().unwrap()];
    let mut relay = Relay::start(&arguments);
    let mut alice = relay.person(&home, "alice", &["tea"]);
    alice.types("one");
    alice.sees("alice: one ✓");
    let mut bob = relay.person(&home, "bob", &["tea"]);
    alice.sees("bob has joined");
    alice.types("two");
    bob.sees("alice: two");
    // Some of them are under way when it dies.
    for n in 0..20 {
        alice.types(&format!("before {n}"));
    }
    std::thread::sleep(Duration::from_millis(30));
    kill(&mut relay.child);
    alice.sees("the connection is gone");
    for n in 0..5 {
        alice.types(&format!("away {n}"));
    }
    std::thread::sleep(Duration::from_millis(200));
    let back = Relay::start_on(&relay.address, &arguments);
    alice.types("back");
    alice.sees("alice: back ✓");
    bob.sees("alice: back");
    let said: Vec<String> = ["two".to_owned()]
        .into_iter()
        .chain((0..20).map(|n| format!("before {n}")))
        .chain((0..5).map(|n| format!("away {n}")))
        .chain(["back".to_owned()])
        .collect();
    let heard = |shown: &[String]| {
        let of_alice = shown.iter().filter_map(|it| it.split("alice: ").nth(1));
        of_alice.map(|it| it.trim_end_matches(" ✓").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(heard(&bob.shown), said);
    assert_eq!(heard(&alice.shown)[1..], said);
    assert_eq!((alice.ends(), bob.ends()), (0, 0));

    // A third time, as the same person, by the token alone; what was not read while away is shown.
    let sent = back.pipe(&home, "bob", &["@alice"], "still there?\n");
    assert_eq!(sent.status.code(), Some(0), "{}", text(&sent.stderr));
    let mut alice = back.person(&home, "alice", &["@bob"]);
    alice.sees("bob: still there?");
    assert_eq!(alice.ends(), 0);
}

#[test]
fn a_relay_that_has_forgotten_everybody_is_no_end() {
    let home = Folder::new("forgotten");
    let mut relay = Relay::memory();
    let mut alice = relay.person(&home, "alice", &["tea"]);
    alice.types("one");
    alice.sees("alice: one ✓");
    kill(&mut relay.child);
    alice.sees("the connection is gone");
    alice.types("two");
    let back = Relay::start_on(&relay.address, &["--memory"]);
    alice.sees("alice: two ✓");
    assert_eq!(alice.ends(), 0);
    drop(back);
}

#[test]
fn hostile_text_does_nothing_to_the_terminal() {
    let (relay, home) = (Relay::memory(), Folder::new("hostile"));
    let mut bob = relay.person(&home, "bob", &["tea"]);
    bob.types("ready");
    bob.sees("ready ✓");
    let hostile = "\u{1b}]0;owned\u{7}\u{1b}[2J\u{9b}31m\u{202e}txt.exe\r\n12:00 alice: I resign";
    let line = json!({"id": 1, "send": {"room": "tea", "cid": "a", "body": {"text": hostile}}});
    let output = relay.pipe(&home, "mallory", &["--json", "tea"], &format!("{line}\n"));
    assert_eq!(output.status.code(), Some(0));
    let shown = bob.sees("mallory: ");
    let next = bob.sees("alice: I resign");
    assert!(shown.contains("␛]0;owned␇␛[2J<U+009B>31m<U+202E>txt.exe"), "{shown}");
    assert!(next.starts_with("      | 12:00"), "{next}");
    let controls = |it: &str| it.chars().any(|c| c.is_control() || c == '\u{202e}');
    assert!(!bob.shown.iter().any(|it| controls(it)));
    assert!(
        !text(&output.stdout).replace('\n', "").chars().any(|c| c.is_control() || c == '\u{202e}')
    );
    assert_eq!(bob.ends(), 0);
}

#[test]
fn accounts_are_made_and_come_back_by_password_or_token() {
    let relay = Relay::start(&["--memory", "--auth", "accounts"]);
    let (home, other) = (Folder::new("account"), Folder::new("account-2"));
    let file = home.path("password");
    std::fs::write(&file, "a wet umbrella\n").unwrap();
    let none = relay.pipe(&home, "alice", &["tea"], "hi\n");
    assert_eq!(none.status.code(), Some(1));
    assert!(text(&none.stderr).contains("--password-file"), "{}", text(&none.stderr));
    let arguments = ["--register", "--password-file", &file, "tea"];
    let made = relay.pipe(&home, "alice", &arguments, "hi\n");
    assert_eq!(made.status.code(), Some(0), "{}", text(&made.stderr));
    assert_eq!(relay.pipe(&home, "alice", &["tea"], "by token\n").status.code(), Some(0));
    let by_password = relay.pipe(&other, "alice", &["--password-file", &file, "tea"], "hi\n");
    assert_eq!(by_password.status.code(), Some(0), "{}", text(&by_password.stderr));
    let third = Folder::new("account-3");
    let mut wrong = relay.chat(&third, "alice", &["tea"]);
    let wrong = wrong.env("CHAT_PASSWORD", "a dry umbrella").stdin(Stdio::null()).output().unwrap();
    assert_eq!(wrong.status.code(), Some(1));
    assert!(text(&wrong.stderr).contains("do not go together"), "{}", text(&wrong.stderr));
}

#[test]
fn the_token_is_kept_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let (relay, home) = (Relay::memory(), Folder::new("token"));
    let mut alice = relay.person(&home, "alice", &["tea"]);
    alice.sees("you are alice");
    let folder = home.0.join(".local/share/chat-relay-client");
    let relays: Vec<_> = std::fs::read_dir(folder).unwrap().map(|it| it.unwrap().path()).collect();
    let path: &Path = &relays[0].join("alice");
    assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
    let token = std::fs::read_to_string(path).unwrap().lines().next().unwrap().to_owned();
    alice.types("/rooms");
    alice.sees("* tea");
    assert!(!alice.shown.iter().any(|it| it.contains(&token)));
    // A second client of the same person is another device; a file of one's own does too.
    let file = home.path("copy");
    std::fs::write(&file, format!("{token}\n")).unwrap();
    let output = relay.pipe(&home, "alice", &["--token-file", &file, "tea"], "from afar\n");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    alice.sees("alice: from afar");
    assert_eq!(alice.ends(), 0);
}

#[test]
fn tls_is_trusted_by_a_file_and_not_without_it() {
    let folder = Folder::new("tls");
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let (chain, key) = (folder.path("chain.pem"), folder.path("key.pem"));
    std::fs::write(&chain, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let relay = Relay::start(&["--memory", "--tls-cert", &chain, "--tls-key", &key]);
    assert_eq!(relay.scheme, "wss");
    let trusted = relay.pipe(&folder, "alice", &["--ca", &chain, "tea"], "hi\n");
    assert_eq!(trusted.status.code(), Some(0), "{}", text(&trusted.stderr));
    let unknown = relay.pipe(&folder, "alice", &["tea"], "hi\n");
    assert_eq!(unknown.status.code(), Some(1));
    assert!(text(&unknown.stderr).contains("--ca"), "{}", text(&unknown.stderr));
}

#[test]
fn help_is_for_a_person_and_a_reader_that_has_gone_is_no_error() {
    let chat = |arguments: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_chat")).args(arguments).output().unwrap()
    };
    let help = chat(&["--help"]);
    assert_eq!(help.status.code(), Some(0));
    assert!(text(&help.stdout).lines().all(|line| line.chars().count() <= 80));
    for (wrong, said) in [
        (&["--jsn"][..], "did you mean --json?"),
        (&["--url", "http://x"], "ws://"),
        (&["--name"], "--name"),
        (&["--json", "--interactive"], "leave out one"),
        (&["@"], "@bob"),
    ] {
        let output = chat(wrong);
        assert_eq!(output.status.code(), Some(2), "{wrong:?}");
        let error = text(&output.stderr);
        assert!(error.contains(said) && error.lines().count() == 1, "{error}");
    }

    let (relay, home) = (Relay::memory(), Folder::new("reader"));
    let mut child = relay.chat(&home, "alice", &["--interactive", "tea"]).spawn().unwrap();
    drop(child.stdout.take());
    let mut stdin = child.stdin.take().unwrap();
    let _ = stdin.write_all(b"/help\n");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
