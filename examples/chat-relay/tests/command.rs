//! The program: what it prints, and how it ends.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test may fail by panicking"
)]

use std::net::TcpListener;
use std::process::{Command, Output};

fn run(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chat-relay"));
    command.env("HOME", std::env::temp_dir()).args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn help_is_printed_where_it_can_be_piped() {
    let output = run(&["--help"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(text(&output.stdout).contains("--listen ADDR"));
    assert!(text(&output.stdout).lines().all(|line| line.chars().count() <= 80));
    assert!(output.stderr.is_empty());
}

#[test]
fn the_version_is_printed_and_a_reader_that_has_gone_is_no_error() {
    let output = run(&["--version"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(text(&output.stdout).starts_with("chat-relay ") && output.stderr.is_empty());
    let mut gone = Command::new(env!("CARGO_BIN_EXE_chat-relay"));
    let mut gone = gone.arg("--help").stdout(std::process::Stdio::piped()).spawn().unwrap();
    drop(gone.stdout.take());
    assert_eq!(gone.wait().unwrap().code(), Some(0));
}

#[test]
fn a_check_prints_the_settings_or_a_line_for_each_thing_that_is_wrong() {
    let output = run(&["--check-config", "--memory"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(text(&output.stdout).contains("listen = [\"127.0.0.1:8080\"]\n"));
    for check in [&["--check-config"][..], &[]] {
        let wrong =
            ["--memory", "--listen", "80", "--connections-per-address", "0", "--log", "loud"];
        let output = run(&[check, &wrong].concat());
        assert_eq!(output.status.code(), Some(2));
        let error = text(&output.stderr);
        assert_eq!(
            error.lines().filter(|it| it.starts_with("chat-relay: --")).count(),
            3,
            "{error}"
        );
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn a_command_line_that_cannot_be_followed_ends_with_2_and_says_what_to_do() {
    for arguments in [&["--port", "80"][..], &["--listen"], &["--listen", "80"], &["--origin", "x"]]
    {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let error = text(&output.stderr);
        assert!(error.starts_with("chat-relay: ") && error.lines().count() == 1, "{error}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn a_port_in_use_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = run(&["--memory", "--listen", &address]);
    assert_eq!(output.status.code(), Some(2));
    let error = text(&output.stderr);
    assert!(
        error.contains(&format!("{address} is in use")) && error.contains("--listen"),
        "{error}"
    );
}

#[test]
fn an_address_that_is_nobodys_is_named() {
    let output = run(&["--memory", "--listen", "192.0.2.1:8080"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("192.0.2.1:8080"), "{}", text(&output.stderr));
}

#[cfg(unix)]
#[test]
fn it_says_where_it_is_and_stops_when_it_is_asked_to() {
    use std::io::{BufRead, BufReader};
    use std::process::Stdio;

    for signal in ["-INT", "-TERM"] {
        let mut relay = Command::new(env!("CARGO_BIN_EXE_chat-relay"))
            .args(["--memory", "--listen", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(relay.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.contains("http://127.0.0.1:") && !line.contains(":0/"), "{line}");
        let killed = Command::new("kill").args([signal, &relay.id().to_string()]).status().unwrap();
        assert!(killed.success());
        assert_eq!(relay.wait().unwrap().code(), Some(0), "{signal}");
    }
}

/// A relay that runs until it is dropped, and the port that it listens on.
#[cfg(unix)]
struct Running {
    child: std::process::Child,
    stderr: std::sync::mpsc::Receiver<String>,
    port: u16,
}

#[cfg(unix)]
impl Running {
    fn start(arguments: &[&str]) -> Self {
        use std::io::{BufRead, BufReader};
        use std::process::Stdio;
        let mut command = Command::new(env!("CARGO_BIN_EXE_chat-relay"));
        command.args(["--listen", "127.0.0.1:0"]).args(arguments);
        if !arguments.contains(&"--data") {
            command.arg("--memory");
        }
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (sender, stderr) = std::sync::mpsc::channel();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|it| sender.send(it)));
        let mut ready = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut ready).unwrap();
        let port = ready.split("://127.0.0.1:").nth(1).expect(&ready);
        let port = port.split('/').next().unwrap().parse().unwrap();
        Self { child, stderr, port }
    }

    fn said(&self) -> String {
        self.stderr.recv_timeout(std::time::Duration::from_secs(10)).unwrap()
    }

    fn connect(&self, root: &std::path::Path) -> Result<tautline::Client, String> {
        self.connect_from(&format!("https://localhost:{}", self.port), root)
    }

    /// Connects as a page of this origin does.
    fn connect_from(
        &self,
        origin: &str,
        root: &std::path::Path,
    ) -> Result<tautline::Client, String> {
        let url = format!("wss://localhost:{}/ws", self.port).parse().unwrap();
        let request = tautline::handshake::ClientRequest::new(url).subprotocol("relay.v1").unwrap();
        let request = request.origin(origin).unwrap();
        let tls = tautline::tls::ClientTls::trusting(root).unwrap();
        tautline::Client::connect_tls(&request, tautline::Limits::default(), &tls)
            .map_err(|error| error.to_string())
    }
}

#[cfg(unix)]
impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(unix)]
#[test]
fn tls_is_spoken_to_its_own_page_and_a_renewed_certificate_is_read_again_on_sighup() {
    let folder = std::env::temp_dir().join(format!("chat-relay-tls-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (chain, key) = (folder.join("chain.pem"), folder.join("key.pem"));
    let make = |name: &str| {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(folder.join(name), made.cert.pem()).unwrap();
        std::fs::write(&chain, made.cert.pem()).unwrap();
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        folder.join(name)
    };
    let old = make("old.pem");
    let arguments = ["--tls-cert", chain.to_str().unwrap(), "--tls-key", key.to_str().unwrap()];
    let relay = Running::start(&arguments);
    let mut open = relay.connect(&old).unwrap();
    for origin in [format!("http://localhost:{}", relay.port), "https://evil.example".into()] {
        let refused = relay.connect_from(&origin, &old).unwrap_err();
        assert!(refused.contains("403"), "{origin}: {refused}");
    }

    let new = make("new.pem");
    let hang_up = || {
        let status = Command::new("kill").args(["-HUP", &relay.child.id().to_string()]).status();
        assert!(status.unwrap().success());
        relay.said()
    };
    assert!(hang_up().ends_with("the certificate was read again"));
    relay.connect(&new).unwrap();
    let refused = relay.connect(&old).unwrap_err();
    assert!(refused.starts_with("the certificate "), "{refused}");
    open.ping(b"still here").unwrap();

    std::fs::write(&key, "no key").unwrap();
    let said = hang_up();
    assert!(said.contains("stays as it was") && said.contains("key.pem"), "{said}");
    relay.connect(&new).unwrap();
    std::fs::remove_dir_all(folder).unwrap();
}

#[cfg(unix)]
#[test]
fn a_self_signed_certificate_is_made_and_its_fingerprint_printed() {
    let relay = Running::start(&["--tls-self-signed"]);
    let said = relay.said();
    let fingerprint = said.split("SHA-256 ").nth(1).expect(&said);
    assert_eq!(fingerprint.len(), 32 * 3 - 1, "{said}");
}

#[test]
fn a_certificate_that_cannot_be_used_is_named_with_the_reason() {
    let output = run(&["--tls-cert", "/nowhere/chain.pem", "--tls-key", "/nowhere/key.pem"]);
    assert_eq!(output.status.code(), Some(2));
    let error = text(&output.stderr);
    assert!(error.starts_with("chat-relay: /nowhere/chain.pem: ") && error.lines().count() == 1);
}

#[cfg(unix)]
#[test]
fn the_one_who_runs_it_asks_a_running_relay_and_copies_its_data() {
    let folder = std::env::temp_dir().join(format!("chat-relay-admin-{}", std::process::id()));
    let data = folder.to_str().unwrap();
    let nobody = run(&["admin", "people", "--data", data]);
    assert_eq!(nobody.status.code(), Some(1));
    assert!(text(&nobody.stderr).contains("--data"), "{}", text(&nobody.stderr));

    let relay = Running::start(&["--data", data]);
    let twice = run(&["--listen", "127.0.0.1:0", "--data", data]);
    assert_eq!(twice.status.code(), Some(2));
    assert!(text(&twice.stderr).contains("another relay"), "{}", text(&twice.stderr));

    let url = format!("ws://127.0.0.1:{}/ws", relay.port).parse().unwrap();
    let request = tautline::handshake::ClientRequest::new(url).subprotocol("relay.v1").unwrap();
    let mut alice = tautline::Client::connect(&request, tautline::Limits::default()).unwrap();
    let mut say = |line: &str| {
        alice.send(line).unwrap();
        alice.read().unwrap().unwrap()
    };
    say(r#"{"id":1,"hello":{"v":1,"name":"Alice"}}"#);
    say(r#"{"id":2,"join":{"room":"tea"}}"#);
    let admin = |arguments: &[&str]| {
        let output = run(&[&["admin"], arguments, &["--data", data]].concat());
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        text(&output.stdout).to_owned()
    };
    let people = admin(&["people"]);
    assert!(people.lines().count() == 2 && people.contains("Alice "), "{people}");
    assert!(admin(&["rooms"]).contains("tea "));
    assert_eq!(admin(&["role", "tea", "alice", "owner"]), "done\n");
    assert_eq!(admin(&["invite", "--uses", "3"]).trim().len(), 32);
    assert_eq!(admin(&["remove-room", "tea"]), "done\n");
    assert_eq!(admin(&["block", "alice"]), "done\n");
    let unknown = run(&["admin", "block", "zed", "--data", data]);
    assert!(text(&unknown.stderr).contains("nobody has this name"));

    let copy = folder.join("copy.db");
    let backup = || run(&["backup", copy.to_str().unwrap(), "--data", data]);
    assert_eq!(backup().status.code(), Some(0));
    assert!(text(&backup().stderr).contains("not overwritten"), "{}", text(&backup().stderr));
    drop(relay);
    // Somebody else listens where it did, and hears nothing of its secret.
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    other.set_nonblocking(true).unwrap();
    let url = format!("ws://{}/ws", other.local_addr().unwrap());
    std::fs::write(folder.join("admin.url"), &url).unwrap();
    for more in [&[][..], &["--url", &url]] {
        let stopped = run(&[&["admin", "people", "--data", data], more].concat());
        assert_eq!(stopped.status.code(), Some(1));
        assert!(text(&stopped.stderr).contains("no relay runs"), "{}", text(&stopped.stderr));
    }
    assert_eq!(other.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    std::fs::remove_dir_all(folder).unwrap();
}

#[cfg(unix)]
#[test]
fn a_relay_with_tls_is_asked_without_it_on_its_own_machine() {
    let folder = std::env::temp_dir().join(format!("chat-relay-admin-tls-{}", std::process::id()));
    let data = folder.to_str().unwrap();
    let relay = Running::start(&["--data", data, "--tls-self-signed"]);
    let output = run(&["admin", "people", "--data", data]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let url = std::fs::read_to_string(folder.join("admin.url")).unwrap();
    assert!(url.starts_with("ws://127.0.0.1:") && !url.contains(&relay.port.to_string()), "{url}");
    drop(relay);
    std::fs::remove_dir_all(folder).unwrap();
}
