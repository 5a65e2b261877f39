//! What a request is: drawn, and written as bytes.

use tautline::Limits;

use crate::message::Stamp;
use crate::net::Random;

/// Fields that leave open where the body ends, or are not to be had here, and the status for each.
const BAD_FIELDS: [(&str, u16); 5] = [
    ("Transfer-Encoding: chunked\r\n", 411),
    ("Transfer-Encoding: chunked\r\nContent-Length: 3\r\n", 400),
    ("Transfer-Encoding: gzip, chunked\r\n", 501),
    ("Content-Length: 3\r\nContent-Length: 3\r\n", 400),
    ("Content-Length: 3a\r\n", 400),
];
/// How much of a body that is over the limit is sent all the same.
const OVER_BYTES_MAX: usize = 3_000;

/// A request for no upgrade.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request {
    pub(crate) number: usize,
    pub(crate) method: &'static str,
    /// What `Content-Length` says; there is none for 0, at times.
    announced: Option<usize>,
    /// The body, as far as there is one.
    pub(crate) body: Stamp,
    /// The client wants to be told to go on.
    pub(crate) expects: bool,
    bad_fields: &'static str,
    /// The status that it has to be refused with, by the engine.
    pub(crate) refused_with: Option<u16>,
    /// Bytes that follow it and are none of it.
    pub(crate) behind: usize,
}

impl Request {
    pub(crate) fn drawn(number: usize, random: &mut Random, limits: &Limits) -> Self {
        let bytes_max = limits.request_body_bytes_max;
        let announced = match random.draw(12) {
            0..=2 => None,
            3 => Some(0),
            4 => Some(1),
            5 => Some(bytes_max),
            6 => Some(bytes_max.saturating_sub(1)),
            7 => Some(bytes_max + 1),
            8 => Some(random.pick(&[bytes_max + 2 + random.clone().draw(9_000), usize::MAX])),
            _ => Some(random.draw(bytes_max + 1)),
        };
        let over = announced.is_some_and(|it| it > bytes_max);
        let (bad_fields, bad_status) = match random.draw(12) {
            0 => random.pick(&BAD_FIELDS),
            _ => ("", 0),
        };
        let is_bad = !bad_fields.is_empty();
        let bytes = match announced {
            Some(bytes) if !is_bad => bytes.min(bytes_max + random.draw(OVER_BYTES_MAX)),
            _ => 0,
        };
        let method = match announced {
            None => random.pick(&["GET", "GET", "HEAD"]),
            Some(_) => random.pick(&["POST", "PUT", "POST", "HEAD"]),
        };
        let refused_with = match (is_bad, over) {
            (true, _) => Some(bad_status),
            (false, true) => Some(413),
            (false, false) => None,
        };
        Self {
            number,
            method,
            announced: announced.filter(|_| !is_bad),
            body: Stamp { from: 3_000_000, number: number as u64, bytes, text: false },
            expects: random.draw(3) == 0,
            bad_fields,
            refused_with,
            behind: match random.draw(10) {
                0 | 1 => 1 + random.draw(60),
                2 => random.draw(2 * limits.head_bytes_max),
                3 if random.draw(2) == 0 => limits.head_bytes_max + 1 + random.draw(500),
                _ => 0,
            },
        }
    }

    pub(crate) fn head(&self) -> String {
        let Self { number, method, bad_fields, .. } = self;
        let length = self.announced.map(|it| format!("Content-Length: {it}\r\n"));
        let length = length.unwrap_or_default();
        let expect = if self.expects { "Expect: 100-continue\r\n" } else { "" };
        format!(
            "{method} /{number} HTTP/1.1\r\nHost: localhost\r\n{bad_fields}{length}{expect}\r\n"
        )
    }

    /// All that is sent, and how many bytes of it are the head.
    pub(crate) fn bytes(&self) -> (Vec<u8>, usize) {
        let mut bytes = self.head().into_bytes();
        let head_bytes = bytes.len();
        bytes.extend(self.body.fill().bytes());
        bytes.resize(bytes.len() + self.behind, b'~');
        (bytes, head_bytes)
    }

    /// Whether the client may be told to go on, once.
    pub(crate) fn may_be_continued(&self) -> bool {
        self.expects && self.body.bytes > 0 && self.refused_with.is_none()
    }
}
