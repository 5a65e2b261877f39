//! One TLS connection, as a machine: bytes of the stream in, bytes of the stream and of the application out.
//!
//! This is all that knows rustls' unbuffered API. Records are decrypted where they lie, and what is sent is encrypted
//! into a buffer that the caller owns: a connection at rest owns its keys and nothing else.

use std::fmt;
use std::sync::Arc;

use rustls::client::{ClientConnectionData, UnbufferedClientConnection};
use rustls::pki_types::ServerName;
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncodeTlsData, EncryptError, UnbufferedStatus,
};
use rustls::{ClientConfig, ServerConfig};

use super::error::TlsError;

/// A TLS connection of either end.
pub(crate) struct Session {
    end: End,
    /// The handshake is done: data may be sent.
    established: bool,
    /// The peer has said that nothing more follows (RFC 8446 section 6.1).
    closed: bool,
    /// The peer has broken a rule, or is not trusted.
    failed: bool,
}

enum End {
    Server(UnbufferedServerConnection),
    Client(UnbufferedClientConnection),
}

/// The payload of a record is at most this long (RFC 8446 section 5.1).
const RECORD_BYTES_MAX: usize = 16 * 1024;
/// What a record is longer than its payload, at most: header, explicit nonce, content type, tag.
const OVERHEAD_BYTES_MAX: usize = 5 + 8 + 1 + 16;
/// Room that is made for what the handshake says, until more is asked for.
const ROOM_BYTES: usize = 2048;

impl Session {
    /// # Errors
    ///
    /// When there is no randomness.
    pub(crate) fn server(config: Arc<ServerConfig>) -> Result<Self, TlsError> {
        Ok(Self::new(End::Server(UnbufferedServerConnection::new(config)?)))
    }

    /// # Errors
    ///
    /// When there is no randomness.
    pub(crate) fn client(
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
    ) -> Result<Self, TlsError> {
        Ok(Self::new(End::Client(UnbufferedClientConnection::new(config, name)?)))
    }

    fn new(end: End) -> Self {
        Self { end, established: false, closed: false, failed: false }
    }

    /// Whether the handshake is done.
    pub(crate) fn is_established(&self) -> bool {
        self.established
    }

    /// Whether the peer has said that nothing more follows.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Takes bytes of the stream. What they decrypt to is appended to `plain`, what is to be answered to `out`, also
    /// where they are refused: the alert that says why. Called with no bytes, it lets a client begin.
    ///
    /// Says how many of the bytes were used. The others begin a record that is not whole: they are to be given again, with
    /// those that follow.
    ///
    /// # Errors
    ///
    /// When the peer breaks a rule, or cannot be trusted. Nothing is received after it.
    pub(crate) fn receive(
        &mut self,
        bytes: &mut [u8],
        plain: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> Result<usize, TlsError> {
        let Self { end, established, closed, failed } = self;
        // A session that has failed may not be driven: rustls keeps places in bytes that are gone.
        if *failed {
            return Err(TlsError::Refused);
        }
        let progress = match end {
            End::Server(server) => drive(server, bytes, plain, out),
            End::Client(client) => drive(client, bytes, plain, out),
        };
        *failed = progress.is_err();
        let progress = progress?;
        *established |= progress.established;
        *closed |= progress.closed;
        Ok(progress.used)
    }

    /// How long the records of so many bytes are, at most.
    pub(crate) fn encrypted_bytes_max(plain_bytes: usize) -> usize {
        let records = plain_bytes.div_ceil(RECORD_BYTES_MAX).max(1);
        plain_bytes + records * OVERHEAD_BYTES_MAX
    }

    /// Encrypts data to the start of `out`, which has room [for its records](Self::encrypted_bytes_max), and says how
    /// many bytes they are. What was to be said before it is appended to `before`.
    ///
    /// # Errors
    ///
    /// When the connection has failed, or is not established.
    pub(crate) fn send(
        &mut self,
        plain: &[u8],
        before: &mut Vec<u8>,
        out: &mut [u8],
    ) -> Result<usize, TlsError> {
        self.receive(&mut [], &mut Vec::new(), before)?;
        match &mut self.end {
            End::Server(server) => encrypt(server, plain, out),
            End::Client(client) => encrypt(client, plain, out),
        }
    }

    /// Appends to `out` that nothing more follows (RFC 8446 section 6.1).
    pub(crate) fn close(&mut self, out: &mut Vec<u8>) {
        if self.failed {
            return;
        }
        let mut alert = [0; ROOM_BYTES];
        let closed = match &mut self.end {
            End::Server(server) => close_notify(server, &mut alert),
            End::Client(client) => close_notify(client, &mut alert),
        };
        out.extend_from_slice(alert.get(..closed.unwrap_or(0)).unwrap_or_default());
    }

    /// The certificate that a client has shown and that was verified.
    pub(crate) fn peer_certificate(&self) -> Option<&[u8]> {
        let certificates = match &self.end {
            End::Server(server) => server.peer_certificates(),
            End::Client(client) => client.peer_certificates(),
        };
        certificates.and_then(|it| it.first()).map(|it| it.as_ref())
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("established", &self.established)
            .field("closed", &self.closed)
            .finish_non_exhaustive()
    }
}

/// The one call that both ends have under the same name, but not in one trait.
trait Machine {
    type Data;

    fn process<'c, 'i>(&'c mut self, bytes: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data>;
}

impl Machine for UnbufferedServerConnection {
    type Data = ServerConnectionData;

    fn process<'c, 'i>(&'c mut self, bytes: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(bytes)
    }
}

impl Machine for UnbufferedClientConnection {
    type Data = ClientConnectionData;

    fn process<'c, 'i>(&'c mut self, bytes: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(bytes)
    }
}

/// What a run of bytes came to.
#[derive(Default)]
struct Progress {
    used: usize,
    established: bool,
    closed: bool,
}

fn drive<M: Machine>(
    machine: &mut M,
    bytes: &mut [u8],
    plain: &mut Vec<u8>,
    out: &mut Vec<u8>,
) -> Result<Progress, TlsError> {
    let mut progress = Progress::default();
    loop {
        let rest = bytes.get_mut(progress.used..).unwrap_or_default();
        let UnbufferedStatus { discard, state } = machine.process(rest);
        progress.used += discard;
        let state = match state {
            Ok(state) => state,
            Err(error) => {
                let rest = bytes.get_mut(progress.used..).unwrap_or_default();
                write_alert(machine, rest, out);
                return Err(error.into());
            }
        };
        match state {
            ConnectionState::ReadTraffic(mut traffic) => {
                while let Some(record) = traffic.next_record() {
                    let record = record?;
                    progress.used += record.discard;
                    plain.extend_from_slice(record.payload);
                }
            }
            ConnectionState::EncodeTlsData(data) => encode(data, out)?,
            ConnectionState::TransmitTlsData(data) => data.done(),
            ConnectionState::PeerClosed => progress.closed = true,
            ConnectionState::Closed => {
                progress.closed = true;
                return Ok(progress);
            }
            ConnectionState::WriteTraffic(_) => {
                progress.established = true;
                return Ok(progress);
            }
            ConnectionState::BlockedHandshake => return Ok(progress),
            // Early data is never offered or accepted; any other state is one of a newer rustls.
            _ => return Err(TlsError::Refused),
        }
    }
}

/// Appends what the peer is told of its mistake. That is one alert, and rustls may not be asked for more: it would look
/// at the same bytes again, and complain again.
fn write_alert<M: Machine>(machine: &mut M, rest: &mut [u8], out: &mut Vec<u8>) {
    if let Ok(ConnectionState::EncodeTlsData(data)) = machine.process(rest).state {
        let _ = encode(data, out);
    }
}

fn encode<D>(mut data: EncodeTlsData<'_, D>, out: &mut Vec<u8>) -> Result<(), TlsError> {
    append(out, |room| match data.encode(room) {
        Ok(written) => Ok(written),
        Err(EncodeError::InsufficientSize(error)) => Err(Some(error.required_size)),
        Err(EncodeError::AlreadyEncoded) => Err(None),
    })
}

/// Lets `write` append to `out`. Where the room is too small, it says what it needs.
fn append(
    out: &mut Vec<u8>,
    mut write: impl FnMut(&mut [u8]) -> Result<usize, Option<usize>>,
) -> Result<(), TlsError> {
    let start = out.len();
    let mut room = ROOM_BYTES;
    loop {
        out.resize(start + room, 0);
        match write(out.get_mut(start..).unwrap_or_default()) {
            Ok(written) => {
                out.truncate(start + written);
                return Ok(());
            }
            Err(Some(needed)) if needed > room => room = needed,
            Err(_) => {
                out.truncate(start);
                return Err(TlsError::Refused);
            }
        }
    }
}

fn encrypt<M: Machine>(machine: &mut M, plain: &[u8], out: &mut [u8]) -> Result<usize, TlsError> {
    match machine.process(&mut []).state? {
        ConnectionState::WriteTraffic(mut traffic) => {
            traffic.encrypt(plain, out).map_err(|error| match error {
                EncryptError::InsufficientSize(_) => TlsError::Refused,
                EncryptError::EncryptExhausted => TlsError::Exhausted,
            })
        }
        _ => Err(TlsError::Refused),
    }
}

fn close_notify<M: Machine>(machine: &mut M, out: &mut [u8]) -> Result<usize, TlsError> {
    match machine.process(&mut []).state? {
        ConnectionState::WriteTraffic(mut traffic) => {
            traffic.queue_close_notify(out).map_err(|_| TlsError::Refused)
        }
        _ => Ok(0),
    }
}
