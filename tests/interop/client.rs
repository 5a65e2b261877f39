//! Our client against a server of somebody else: sends the messages, expects them back, and prints the extension as it
//! was agreed on.
//!
//! `interop_client URL MESSAGES PARAMETER...`, such as `client_max_window_bits=9`. `messages.py` describes the file.

use std::collections::VecDeque;
use std::error::Error;
use std::process::ExitCode;

use tautline::client::{Client, ClientError};
use tautline::deflate::WindowBits;
use tautline::handshake::ClientRequest;
use tautline::{CloseCode, Compress, Deflate, Limits, Message, Outgoing, OwnedMessage, Part};

/// Bytes that may be on their way at once. A client that blocks must not send more than the sockets on the way hold:
/// the server would wait until its echoes are read, and we until it reads.
const UNANSWERED_BYTES_MAX: usize = 64 * 1024;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(agreed) => {
            println!("{agreed}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("interop_client: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<String, Box<dyn Error>> {
    let [url, path, parameters @ ..] = arguments else {
        return Err("the URL, the file of the messages, or both are missing".into());
    };
    let file = std::fs::read(path)?;
    let request = ClientRequest::new(url.parse()?).deflate(offer(parameters)?);
    let mut client = Client::connect(&request, Limits::default())?;
    let agreed = client.agreed().deflate().ok_or("compression was not agreed on")?;

    let mut unanswered = VecDeque::new();
    let mut bytes = 0;
    let mut rest = file.as_slice();
    while !rest.is_empty() {
        let planned = Planned::parse(&mut rest)?;
        bytes += planned.message.as_message().as_bytes().len();
        while bytes > UNANSWERED_BYTES_MAX && !unanswered.is_empty() {
            bytes -= expect_echo(&mut client, &mut unanswered)?;
        }
        planned.send(&mut client)?;
        unanswered.push_back(planned.message);
    }
    while !unanswered.is_empty() {
        expect_echo(&mut client, &mut unanswered)?;
    }

    client.close(CloseCode::NORMAL, "")?;
    match client.closed() {
        Some((Some(CloseCode::NORMAL), "")) => Ok(agreed.to_string()),
        other => Err(format!("closed with {other:?}").into()),
    }
}

fn offer(parameters: &[String]) -> Result<Deflate, Box<dyn Error>> {
    let mut deflate = Deflate::default();
    deflate.sending.context_takeover = true;
    deflate.receiving.context_takeover = true;
    for parameter in parameters {
        let bits = |bits: &str| {
            WindowBits::new(bits.parse().unwrap_or(0)).ok_or(format!("{bits} are no window bits"))
        };
        match parameter.split_once('=') {
            None if parameter == "client_no_context_takeover" => {
                deflate.sending.context_takeover = false;
            }
            None if parameter == "server_no_context_takeover" => {
                deflate.receiving.context_takeover = false;
            }
            Some(("client_max_window_bits", value)) => {
                deflate.sending.max_window_bits = bits(value)?;
            }
            Some(("server_max_window_bits", value)) => {
                deflate.receiving.max_window_bits = bits(value)?;
            }
            _ => return Err(format!("{parameter} is not understood").into()),
        }
    }
    Ok(deflate)
}

/// Waits for the echo that is due, and says how long it was.
fn expect_echo(
    client: &mut Client,
    unanswered: &mut VecDeque<OwnedMessage>,
) -> Result<usize, Box<dyn Error>> {
    let echo = client.read()?.ok_or_else(|| format!("closed with {:?}", client.closed()))?;
    let length = echo.as_message().as_bytes().len();
    if unanswered.pop_front().is_some_and(|sent| sent == echo) {
        Ok(length)
    } else {
        Err(format!("another message of {length} bytes came back").into())
    }
}

/// A message of the file, and how it is to be sent.
struct Planned {
    message: OwnedMessage,
    compress: Compress,
    /// The lengths of its fragments.
    parts: Vec<usize>,
}

impl Planned {
    /// Takes the first message of the file.
    fn parse(file: &mut &[u8]) -> Result<Self, Box<dyn Error>> {
        let end = file.iter().position(|it| *it == b'\n').ok_or("the file ends in a line")?;
        let (line, data) = file.split_at(end);
        let mut words = str::from_utf8(line)?.split(' ');
        let kind = words.next();
        let compress = match words.next() {
            Some("default") => Compress::IfWorthwhile,
            Some("always") => Compress::Always,
            Some("never") => Compress::Never,
            other => return Err(format!("{other:?} instead of when to compress").into()),
        };
        let parts = words.map(str::parse).collect::<Result<Vec<usize>, _>>()?;
        // The line's end comes first.
        let length = 1 + parts.iter().sum::<usize>();
        let (data, rest) = data.split_at_checked(length).ok_or("the file ends in a message")?;
        let data = data.iter().skip(1).copied().collect();
        *file = rest;
        let message = match kind {
            Some("text") => OwnedMessage::Text(String::from_utf8(data)?),
            Some("binary") => OwnedMessage::Binary(data),
            other => return Err(format!("{other:?} is no kind of message").into()),
        };
        Ok(Self { message, compress, parts })
    }

    fn send(&self, client: &mut Client) -> Result<(), ClientError> {
        let compress = self.compress;
        let mut rest = self.message.as_message();
        let Some((_, before)) = self.parts.split_last().filter(|(_, before)| !before.is_empty())
        else {
            return client.send(Outgoing { content: rest, compress });
        };
        for length in before {
            let (data, after) = split(rest, *length);
            client.send_part(Outgoing { content: Part { data, last: false }, compress })?;
            rest = after;
        }
        client.send_part(Outgoing { content: Part { data: rest, last: true }, compress })
    }
}

/// Cuts after so many bytes, or after those of the character there, as parts of a text are.
fn split(message: Message<'_>, bytes: usize) -> (Message<'_>, Message<'_>) {
    match message {
        Message::Text(text) => {
            let (start, end) = text.split_at(text.ceil_char_boundary(bytes));
            (Message::Text(start), Message::Text(end))
        }
        Message::Binary(data) => {
            let (start, end) = data.split_at(bytes.min(data.len()));
            (Message::Binary(start), Message::Binary(end))
        }
    }
}
