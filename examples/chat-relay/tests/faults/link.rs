//! A connection that may be lost at any time.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tautline::client::ClientError;
use tautline::handshake::ClientRequest;
use tautline::{Client, Limits, OwnedMessage};

/// After this, a relay that says nothing has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// The connection is gone; whoever used it comes back.
#[derive(Debug)]
pub(crate) struct Lost;

pub(crate) struct Link {
    client: Client,
    lines: VecDeque<Value>,
}

impl Link {
    pub(crate) fn connect(address: SocketAddr) -> Result<Self, Lost> {
        let url = format!("ws://{address}/ws").parse().unwrap();
        let request = ClientRequest::new(url).subprotocol("relay.v1").unwrap();
        match Client::connect(&request, Limits::default()) {
            Ok(mut client) => {
                client.set_read_timeout(Some(PATIENCE));
                Ok(Self { client, lines: VecDeque::new() })
            }
            Err(ClientError::TimedOut) => panic!("the handshake was not answered"),
            Err(_) => Err(Lost),
        }
    }

    /// Says lines, in one frame.
    pub(crate) fn say(&mut self, lines: &[Value]) -> Result<(), Lost> {
        let text = lines.iter().map(Value::to_string).collect::<Vec<_>>().join("\n");
        match self.client.send(&*text) {
            Ok(()) => Ok(()),
            Err(ClientError::Io(_) | ClientError::Send(_)) => Err(Lost),
            Err(error) => panic!("{error}"),
        }
    }

    /// The next line.
    pub(crate) fn hear(&mut self) -> Result<Value, Lost> {
        while self.lines.is_empty() {
            match self.client.read() {
                Ok(Some(OwnedMessage::Text(text))) => {
                    let lines = text.split('\n').map(|line| serde_json::from_str(line).unwrap());
                    self.lines.extend(lines);
                }
                Ok(Some(OwnedMessage::Binary(_))) => panic!("the relay sends text"),
                Ok(None) | Err(ClientError::Io(_)) => return Err(Lost),
                Err(error) => panic!("{error}"),
            }
        }
        Ok(self.lines.pop_front().unwrap())
    }

    /// The answer to one line; what comes before it is dropped.
    pub(crate) fn ask(&mut self, line: &Value) -> Result<Value, Lost> {
        self.say(std::slice::from_ref(line))?;
        loop {
            let heard = self.hear()?;
            if heard["id"] == line["id"] {
                return Ok(heard);
            }
        }
    }
}
