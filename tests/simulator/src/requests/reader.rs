//! How a client reads an answer: byte by byte strict, and always against what was accepted of it.

use super::Phase;
use crate::oracle::Oracle;

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// What a client has read.
#[derive(Default)]
pub(super) struct Reader {
    /// What has come and is not understood yet.
    got: Vec<u8>,
    /// It was told to go on.
    pub(super) continued: bool,
    /// The status of the answer, once its head is whole.
    pub(super) status: Option<u16>,
    body: Body,
    /// The answer is whole, and nothing may follow.
    pub(super) is_done: bool,
}

#[derive(Default)]
enum Body {
    #[default]
    None,
    Length(usize),
    Chunks,
}

impl Reader {
    /// Takes what has come.
    pub(super) fn take(
        &mut self,
        bytes: &[u8],
        number: usize,
        oracle: &mut Oracle,
    ) -> Result<(), String> {
        self.got.extend(bytes);
        if self.status.is_none() {
            self.head(number, oracle)?;
        }
        if self.status.is_some() && !self.is_done {
            match self.body {
                Body::None => self.is_done = true,
                Body::Length(length) if self.got.len() >= length => {
                    let body: Vec<u8> = self.got.drain(..length).collect();
                    check_whole(&body, number, oracle)?;
                    self.is_done = true;
                }
                Body::Length(_) => {}
                Body::Chunks => while self.chunk(number, oracle)? {},
            }
        }
        let more = self.is_done && !self.got.is_empty();
        if more { Err("gets something behind the end of its answer".into()) } else { Ok(()) }
    }

    fn head(&mut self, number: usize, oracle: &mut Oracle) -> Result<(), String> {
        let request = oracle.exchanges[number].request;
        while let Some(end) = self.got.windows(4).position(|it| it == b"\r\n\r\n") {
            let head: Vec<u8> = self.got.drain(..end + 4).collect();
            if head == CONTINUE {
                if self.continued || !request.may_be_continued() {
                    return Err("is told to go on, and had not asked, or twice".into());
                }
                self.continued = true;
                oracle.count("is told to go on");
                continue;
            }
            let head = String::from_utf8(head).map_err(|_| "gets a head that is no text")?;
            let status = head.strip_prefix("HTTP/1.1 ").and_then(|it| it.get(..3)?.parse().ok());
            let status = status.ok_or("gets something that is no head")?;
            self.status = Some(status);
            self.body = self.framing(&head, number, status, oracle)?;
            oracle.note_exchange(number, "gets a head", status.into());
            return Ok(());
        }
        Ok(())
    }

    /// How the body of the answer is framed, where that is as it has to be.
    fn framing(
        &self,
        head: &str,
        number: usize,
        status: u16,
        oracle: &Oracle,
    ) -> Result<Body, String> {
        let field = |name: &str| {
            let mut found = head.lines().filter_map(|it| it.strip_prefix(name));
            found.next().filter(|_| found.next().is_none())
        };
        let it = &oracle.exchanges[number];
        let known = it.phase != Phase::Asking;
        if it.status != Some(status) && (known || !may_be_refused(status, number, oracle)) {
            return Err(format!("gets {status}, and {:?} was said", it.status));
        }
        if field("Connection: ") != Some("close") {
            return Err("is not told that the connection ends".into());
        }
        let length = field("Content-Length: ").map(|it| it.parse::<usize>());
        let chunked = field("Transfer-Encoding: ");
        match (length, chunked) {
            (None, None) if matches!(status, 204 | 304) => Ok(Body::None),
            // Who refuses does so before the method is known.
            (Some(Ok(length)), None) if !known => Ok(Body::Length(length)),
            (Some(Ok(length)), None) if it.whole.is_some_and(|it| it.bytes == length) => {
                Ok(if it.has_body { Body::Length(length) } else { Body::None })
            }
            (None, Some("chunked")) if known && it.whole.is_none() => {
                Ok(if it.has_body { Body::Chunks } else { Body::None })
            }
            other => Err(format!("gets an answer that is framed by {other:?}")),
        }
    }

    /// Takes a chunk, if one is whole.
    fn chunk(&mut self, number: usize, oracle: &mut Oracle) -> Result<bool, String> {
        let Some(line) = self.got.windows(2).position(|it| it == b"\r\n") else {
            let short = self.got.len() <= 18;
            return if short { Ok(false) } else { Err("gets no length of a chunk".into()) };
        };
        let digits = String::from_utf8_lossy(&self.got[..line]).into_owned();
        let Ok(length) = usize::from_str_radix(&digits, 16) else {
            return Err(format!("gets {digits:?} as the length of a chunk"));
        };
        let end = line + 2 + length + 2;
        if length > 0 {
            let expected = oracle.exchanges[number].chunks.front().copied();
            let expected = expected.ok_or("gets a chunk that nobody has written")?;
            if expected.bytes != length {
                return Err(format!("gets a chunk of {length} bytes, and not {expected:?}"));
            }
            if self.got.len() < end {
                return Ok(false);
            }
            let chunk: Vec<u8> = self.got.drain(..end).skip(line + 2).collect();
            if chunk.strip_suffix(b"\r\n") != Some(expected.fill().as_bytes()) {
                return Err(format!("gets a chunk that is not {expected:?}"));
            }
            oracle.exchanges[number].chunks.pop_front();
            oracle.note_exchange(number, "gets a chunk", length);
            return Ok(true);
        }
        let it = &oracle.exchanges[number];
        let said = it.finished || oracle.shutting_down;
        match self.got.get(line + 2..end) {
            _ if !said => Err("gets the end of an answer that is not finished".into()),
            _ if !it.chunks.is_empty() => Err(format!("gets the end, and not {:?}", it.chunks)),
            None => Ok(false),
            Some(b"\r\n") => {
                self.got.drain(..end);
                self.is_done = true;
                oracle.note_exchange(number, "gets the end", 0);
                Ok(false)
            }
            Some(_) => Err("gets trailers".into()),
        }
    }

    /// The stream has ended, without an error, and all that came is taken.
    pub(super) fn ends(&self, number: usize, oracle: &Oracle) -> Result<(), String> {
        let it = &oracle.exchanges[number];
        if self.is_done {
            return Ok(());
        }
        match it.phase {
            Phase::Streaming => Err("has seen the end, and the handler was not told".into()),
            Phase::Closed if it.agreed => {
                Err("has not got all of an answer that is whole, as the handler was told".into())
            }
            Phase::Answered => {
                let within = oracle.limits.close_within;
                let now = oracle.now();
                let had_time = it.ended_at.is_none_or(|at| now >= at + within);
                // Where all connections hold too much, this one may have been cut for it.
                let cut = oracle.limits.held_bytes_max < 1_000_000;
                if had_time || cut || oracle.net.sim().is_unregistered(it.pipe) {
                    return Ok(());
                }
                Err("has seen the end, and not got all of its answer".into())
            }
            Phase::Closed | Phase::Asking => Ok(()),
        }
    }
}

/// Whether the engine may have refused a request by itself, so.
fn may_be_refused(status: u16, number: usize, oracle: &Oracle) -> bool {
    // Too many connections, or the end of the loop.
    status == 503 || status == 408 || oracle.exchanges[number].request.refused_with == Some(status)
}

fn check_whole(body: &[u8], number: usize, oracle: &mut Oracle) -> Result<(), String> {
    let it = &oracle.exchanges[number];
    if it.phase == Phase::Asking {
        return Ok(());
    }
    let expected = it.whole.map(|it| it.fill());
    if expected.as_deref().map(str::as_bytes) != Some(body) {
        return Err(format!("gets a body that is not {:?}", it.whole));
    }
    oracle.note_exchange(number, "gets a whole answer", body.len());
    Ok(())
}
