//! Every limit of the engine, with its default, its reason, and what a peer sees who crosses it.

use std::time::Duration;

/// What one peer may cost, in bytes, in counts and in time.
///
/// The defaults are for a server on the open internet. Change what you need:
///
/// ```
/// use tautline::Limits;
///
/// let mut limits = Limits::default();
/// limits.message_bytes_max = 64 * 1024;
/// ```
///
/// Limits count what costs memory. They are checked when a header announces a cost, before anything is allocated; what a
/// compressed message comes to is counted while it is inflated.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes of a request's or an answer's head. Default 16 KiB; beyond it 431, or an error of the client.
    pub head_bytes_max: usize,
    /// Bytes of the request line. Default 8,192, which RFC 9112 section 3 asks every server to take; beyond it 414.
    pub request_line_bytes_max: usize,
    /// Bytes of one field line of a head. Default 8,192; beyond it 431.
    pub field_line_bytes_max: usize,
    /// Fields of a head, at most 128. Default 100; beyond it 431.
    pub fields_max: usize,
    /// Subprotocols, and extensions, that a peer may list. Default 32 of each; beyond it 400.
    pub list_members_max: usize,
    /// Bytes of the body of a request for no upgrade. Default 64 KiB; where `Content-Length` announces more 413, before
    /// any of it is read.
    pub request_body_bytes_max: usize,

    /// Bytes of one message, over all its fragments. Default 1 MiB; beyond it close code 1009, at the header that
    /// announces it, or, where the message is compressed, as soon as its text crosses it. A compressed message may also
    /// have no more than twice as many bytes, and 64 KiB, before it is inflated; as long as it is unfinished, it holds a
    /// decompressor of some 110 KiB. Does not hold for a connection that receives in
    /// [parts](crate::Delivery::Parts).
    pub message_bytes_max: usize,
    /// Fragments of one message. Default 131,072, so that 4 MiB may come in pieces of 64 bytes; beyond it 1008. Does not
    /// hold where messages are delivered in parts.
    pub fragments_max: u32,
    /// Empty fragments of one message, in parts or not: they cost work and bring nothing. Default 64; beyond it 1008.
    pub empty_fragments_max: u32,
    /// Pings that a peer may send while the answer to an earlier one still waits for room in the output. Only the
    /// newest is answered (RFC 6455 section 5.5.3). Default 1,024; beyond it 1008.
    pub unanswered_pings_max: u32,

    /// From accept, or from the start of connecting, to the end of the opening handshake, or of a request's body. A byte
    /// does not extend it.
    /// Default 10 s; then 408 from a server, an error from a client.
    pub handshake_within: Duration,
    /// Silence after which the peer is asked whether it lives. Default 25 s, less than the minute after which many
    /// proxies forget a connection; `None` never asks.
    pub ping_after: Option<Duration>,
    /// How long a peer that was asked may stay silent, and a peer that is answered by a
    /// [stream](https://docs.rs/tautline/latest/tautline/reactor/enum.Answer.html) may take nothing of what waits. Default
    /// 20 s; then the connection is cut, without a close frame.
    pub pong_within: Duration,
    /// Time without a message from the peer; its pongs do not count. Default `None`; then close code 1001.
    pub idle_after: Option<Duration>,
    /// From our close frame to the answer, and, of a reactor, once more from there to the end of the stream; and how long
    /// a peer may take nothing of an HTTP answer that is whole. Default 5 s; then the connection is cut.
    pub close_within: Duration,

    /// Bytes that may wait for a socket that is full, or for the end of a message in parts, before the last message that
    /// is added. Default 1 MiB; a peer that is further behind is cut, others are not held up.
    pub outbox_bytes_max: usize,
    /// Bytes waiting for a socket above which nothing more is read from it, and none of its messages handled, so that a
    /// peer that does not read is not answered without end. Default 64 KiB.
    pub outbox_pause_bytes: usize,
    /// Open connections of one reactor, those in their handshake included. Default 1,000,000; beyond it 503.
    pub connections_max: usize,
    /// The same, from one address: an IPv4 address, or an IPv6 network of 64 bits. Default 1,000,000, which is no limit of
    /// its own, since behind a proxy all clients have one address. Where clients connect directly, a few hundred are
    /// plenty; beyond it 503. Over TLS, who is over this limit or the three beside it is closed without a word.
    pub connections_per_address_max: usize,
    /// Connections of one reactor that are in their opening handshake. Default 16,384; beyond it 503.
    pub handshakes_max: usize,
    /// The same, from one address, as above: RFC 6455 section 10.4 asks for it. Default 1,024; beyond it 503.
    pub handshakes_per_address_max: usize,
    /// Bytes that all connections of one reactor may hold together: pieces of messages and of requests, what inflates and
    /// deflates them, text that context takeover keeps, and what waits for sockets that are full. Default 1 GiB. Beyond it,
    /// those that hold the most are closed with 1013, or cut where more waits for them already, until the others hold no
    /// more than seven eighths. What a handler sends to many, one by one, counts at the end of the turn.
    pub held_bytes_max: usize,
    /// Messages, pings and pongs that an open connection may send in one second, at least 1, and at once after a second
    /// without. Default `None`, which is no limit; a peer that is faster is not read for a while.
    pub messages_per_second_max: Option<u32>,
    /// Bytes that an open connection may send in one second, at least 1, and at once after a second without. Default
    /// `None`, which is no limit; a peer that is faster is not read for a while.
    pub bytes_per_second_max: Option<u32>,
    /// Steps of TLS handshakes in one turn of the loop, each of which may cost a signature: half a millisecond with RSA.
    /// Default 4, at least 1; the others wait for the next turns, so that a storm of new connections does not stall those
    /// that are open.
    pub tls_handshakes_per_turn_max: usize,
    /// Tasks from other threads that may wait for the loop. Default 65,536; beyond it the poster gets an error.
    pub posts_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head_bytes_max: 16 * 1024,
            request_line_bytes_max: 8 * 1024,
            field_line_bytes_max: 8 * 1024,
            fields_max: 100,
            list_members_max: 32,
            request_body_bytes_max: 64 * 1024,
            message_bytes_max: 1024 * 1024,
            fragments_max: 131_072,
            empty_fragments_max: 64,
            unanswered_pings_max: 1_024,
            handshake_within: Duration::from_secs(10),
            ping_after: Some(Duration::from_secs(25)),
            pong_within: Duration::from_secs(20),
            idle_after: None,
            close_within: Duration::from_secs(5),
            outbox_bytes_max: 1024 * 1024,
            outbox_pause_bytes: 64 * 1024,
            connections_max: 1_000_000,
            connections_per_address_max: 1_000_000,
            handshakes_max: 16_384,
            handshakes_per_address_max: 1_024,
            held_bytes_max: 1024 * 1024 * 1024,
            messages_per_second_max: None,
            bytes_per_second_max: None,
            tls_handshakes_per_turn_max: 4,
            posts_max: 65_536,
        }
    }
}
