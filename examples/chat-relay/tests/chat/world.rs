//! A relay, and people with a terminal.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(20);

/// A folder that is gone at the end.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("chat-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A relay that runs until it is dropped.
pub(crate) struct Relay {
    pub(crate) child: Child,
    pub(crate) address: String,
    pub(crate) scheme: &'static str,
}

impl Relay {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::start_on("127.0.0.1:0", arguments)
    }

    pub(crate) fn start_on(address: &str, arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_chat-relay"))
            .args(["--listen", address, "--log", "warn"])
            .args(arguments)
            .env("HOME", std::env::temp_dir())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut ready = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut ready).unwrap();
        let scheme = if ready.contains("https://") { "wss" } else { "ws" };
        let address = ready.split("://").nth(1).expect(&ready).split('/').next().unwrap().into();
        Self { child, address, scheme }
    }

    pub(crate) fn memory() -> Self {
        Self::start(&["--memory"])
    }

    pub(crate) fn chat(&self, home: &Folder, name: &str, arguments: &[&str]) -> Command {
        let mut chat = Command::new(env!("CARGO_BIN_EXE_chat"));
        chat.args(["--url", &format!("{}://{}/ws", self.scheme, self.address), "--name", name])
            .args(arguments)
            .env_clear()
            .env("HOME", &home.0)
            .env("PATH", std::env::var_os("PATH").unwrap())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        chat
    }

    /// Lines through a pipe.
    pub(crate) fn pipe(
        &self,
        home: &Folder,
        name: &str,
        arguments: &[&str],
        input: &str,
    ) -> Output {
        let mut child = self.chat(home, name, arguments).spawn().unwrap();
        // It may have ended before it has read all.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        child.wait_with_output().unwrap()
    }

    pub(crate) fn person(&self, home: &Folder, name: &str, arguments: &[&str]) -> Person {
        Person::start(&mut self.chat(home, name, &[&["--interactive"], arguments].concat()))
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A client that somebody types into.
pub(crate) struct Person {
    pub(crate) child: Child,
    stdin: ChildStdin,
    lines: Receiver<String>,
    /// All that was shown.
    pub(crate) shown: Vec<String>,
}

impl Person {
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command.spawn().unwrap();
        let (sender, lines) = channel();
        let stdout = BufReader::new(child.stdout.take().unwrap()).lines();
        let stderr = BufReader::new(child.stderr.take().unwrap()).lines();
        let other = sender.clone();
        std::thread::spawn(move || stdout.map_while(Result::ok).try_for_each(|it| sender.send(it)));
        std::thread::spawn(move || stderr.map_while(Result::ok).try_for_each(|it| other.send(it)));
        let stdin = child.stdin.take().unwrap();
        Self { child, stdin, lines, shown: Vec::new() }
    }

    pub(crate) fn types(&mut self, line: &str) {
        writeln!(self.stdin, "{line}").unwrap();
    }

    /// Waits for a line that has this in it, and returns it.
    pub(crate) fn sees(&mut self, part: &str) -> String {
        let until = Instant::now() + PATIENCE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let Ok(line) = self.lines.recv_timeout(left) else {
                panic!("{part:?} is not shown, but\n{}", self.shown.join("\n"));
            };
            self.shown.push(line.clone());
            if line.contains(part) {
                return line;
            }
        }
    }

    /// Ends it by its input's end; returns its exit status.
    pub(crate) fn ends(self) -> i32 {
        let Self { mut child, stdin, .. } = self;
        drop(stdin);
        child.wait().unwrap().code().unwrap()
    }
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

pub(crate) fn kill(child: &mut Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}
