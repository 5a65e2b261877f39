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
    /// We have said that nothing more follows.
    ended: bool,
    /// What has come of a record, or of a message of the handshake, that is not whole. rustls keeps places in it: it
    /// has to be shown these bytes whenever it is asked for something.
    partial: Vec<u8>,
}

enum End {
    Server(UnbufferedServerConnection),
    Client(UnbufferedClientConnection),
}

/// The payload of a record is at most this long (RFC 8446 section 5.1).
const RECORD_BYTES_MAX: usize = 16 * 1024;
/// What a record is longer than its payload, at most: header, explicit nonce, content type, tag.
const OVERHEAD_BYTES_MAX: usize = 5 + 8 + 1 + 16;
/// What may have to be said before data, at most: that keys are updated, by either end.
const AHEAD_BYTES_MAX: usize = 256;
/// What is kept of a record, or of a message of the handshake, that is not whole: two of the longest records.
const PARTIAL_BYTES_MAX: usize = 2 * RECORD_BYTES_MAX + 1024;
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
        Self {
            end,
            established: false,
            closed: false,
            failed: false,
            ended: false,
            partial: Vec::new(),
        }
    }

    /// Whether the handshake is done.
    pub(crate) fn is_established(&self) -> bool {
        self.established
    }

    /// Whether nothing can be received or sent any more.
    pub(crate) fn is_failed(&self) -> bool {
        self.failed
    }

    /// Whether the peer has said that nothing more follows.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    /// What has come and was not used. It belongs before the bytes that are [received](Self::receive) next.
    pub(crate) fn partial(&self) -> &[u8] {
        &self.partial
    }

    /// Takes bytes of the stream, which begin with the [partial](Self::partial) ones. What they decrypt to is appended
    /// to
    /// `plain`, what is to be answered to `out`, also where they are refused: the alert that says why. Called without
    /// any, it lets a client begin.
    ///
    /// # Errors
    ///
    /// When the peer breaks a rule, or cannot be trusted. Nothing is received after it.
    pub(crate) fn receive(
        &mut self,
        bytes: &mut [u8],
        plain: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> Result<(), TlsError> {
        // Nobody reads what still comes, and what is wrong with it has no answer: rustls would panic over a second
        // alert.
        if self.ended {
            self.partial = Vec::new();
            return Ok(());
        }
        let used = self.drive(bytes, plain, out)?;
        let rest = bytes.get(used..).unwrap_or_default();
        if rest.is_empty() {
            self.partial = Vec::new();
        } else if rest.len() > PARTIAL_BYTES_MAX {
            self.failed = true;
            return Err(TlsError::Protocol("a message of the handshake is too long".into()));
        } else {
            self.partial.clear();
            self.partial.extend_from_slice(rest);
        }
        Ok(())
    }

    fn drive(
        &mut self,
        bytes: &mut [u8],
        plain: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> Result<usize, TlsError> {
        let Self { end, established, closed, failed, .. } = self;
        // After that, rustls would complain of the same bytes again, and may not.
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
        plain_bytes + records * OVERHEAD_BYTES_MAX + AHEAD_BYTES_MAX
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
        if self.ended {
            return Err(TlsError::Refused);
        }
        let mut partial = std::mem::take(&mut self.partial);
        self.receive(&mut partial, &mut Vec::new(), before)?;
        match &mut self.end {
            End::Server(server) => encrypt(server, &mut self.partial, plain, out),
            End::Client(client) => encrypt(client, &mut self.partial, plain, out),
        }
    }

    /// Appends to `out` that nothing more follows (RFC 8446 section 6.1). What comes after it is not looked at.
    pub(crate) fn close(&mut self, out: &mut Vec<u8>) {
        if self.failed || std::mem::replace(&mut self.ended, true) {
            return;
        }
        let mut alert = [0; ROOM_BYTES];
        let closed = match &mut self.end {
            End::Server(server) => close_notify(server, &mut self.partial, &mut alert),
            End::Client(client) => close_notify(client, &mut self.partial, &mut alert),
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

/// The calls that both ends have under the same name, but not in one trait.
trait Machine {
    type Data;

    /// Whether something waits to be encoded.
    fn has_unsent(&self) -> bool;

    fn process<'c, 'i>(&'c mut self, bytes: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data>;
}

impl Machine for UnbufferedServerConnection {
    type Data = ServerConnectionData;

    fn has_unsent(&self) -> bool {
        self.wants_write()
    }

    fn process<'c, 'i>(&'c mut self, bytes: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(bytes)
    }
}

impl Machine for UnbufferedClientConnection {
    type Data = ClientConnectionData;

    fn has_unsent(&self) -> bool {
        self.wants_write()
    }

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

/// Appends what the peer is told of its mistake: what was to be said before, and one alert. rustls may not be asked for
/// more: it would look at the same bytes again, and complain again.
fn write_alert<M: Machine>(machine: &mut M, rest: &mut [u8], out: &mut Vec<u8>) {
    while machine.has_unsent() {
        let Ok(ConnectionState::EncodeTlsData(data)) = machine.process(rest).state else { return };
        if encode(data, out).is_err() {
            return;
        }
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

fn encrypt<M: Machine>(
    machine: &mut M,
    partial: &mut [u8],
    plain: &[u8],
    out: &mut [u8],
) -> Result<usize, TlsError> {
    match machine.process(partial).state? {
        ConnectionState::WriteTraffic(mut traffic) => {
            traffic.encrypt(plain, out).map_err(|error| match error {
                EncryptError::InsufficientSize(_) => TlsError::Refused,
                EncryptError::EncryptExhausted => TlsError::Exhausted,
            })
        }
        _ => Err(TlsError::Refused),
    }
}

fn close_notify<M: Machine>(
    machine: &mut M,
    partial: &mut [u8],
    out: &mut [u8],
) -> Result<usize, TlsError> {
    match machine.process(partial).state? {
        ConnectionState::WriteTraffic(mut traffic) => {
            traffic.queue_close_notify(out).map_err(|_| TlsError::Refused)
        }
        _ => Ok(0),
    }
}

#[cfg(test)]
mod tests {
    use allocation_counter::measure;
    use proptest::prelude::*;

    use super::super::{ClientTls, ServerTls};
    use super::*;

    /// The two ends of a connection, whose handshake is still to come.
    fn ends() -> (Session, Session) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let chain = made.cert.pem();
        let key = made.signing_key.serialize_pem();
        let server = ServerTls::from_pem(chain.as_bytes(), key.as_bytes()).unwrap();
        let root =
            std::env::temp_dir().join(format!("tautline-root-{}.pem", rand::random::<u64>()));
        std::fs::write(&root, chain).unwrap();
        let client = ClientTls::trusting(&root).unwrap();
        std::fs::remove_file(root).unwrap();
        (client.session("localhost").unwrap(), server.session().unwrap())
    }

    /// Takes bytes in runs of this length.
    fn receive(
        session: &mut Session,
        bytes: &[u8],
        run_bytes: usize,
        out: &mut Vec<u8>,
    ) -> Result<Vec<u8>, TlsError> {
        let mut plain = Vec::new();
        for run in bytes.chunks(run_bytes) {
            let mut bytes = [session.partial(), run].concat();
            session.receive(&mut bytes, &mut plain, out)?;
        }
        Ok(plain)
    }

    fn shake_hands(client: &mut Session, server: &mut Session, run_bytes: usize) {
        let (mut to_server, mut to_client) = (Vec::new(), Vec::new());
        client.receive(&mut [], &mut Vec::new(), &mut to_server).unwrap();
        while !to_server.is_empty() || !to_client.is_empty() {
            let bytes = std::mem::take(&mut to_server);
            receive(server, &bytes, run_bytes, &mut to_client).unwrap();
            let bytes = std::mem::take(&mut to_client);
            receive(client, &bytes, run_bytes, &mut to_server).unwrap();
        }
        assert!(client.is_established() && server.is_established());
    }

    fn encrypted(session: &mut Session, plain: &[u8]) -> Vec<u8> {
        let (mut before, mut records) =
            (Vec::new(), vec![0; Session::encrypted_bytes_max(plain.len())]);
        let length = session.send(plain, &mut before, &mut records).unwrap();
        before.extend_from_slice(&records[..length]);
        before
    }

    #[test]
    fn data_of_every_length_goes_both_ways_in_records_that_have_room() {
        let (mut client, mut server) = ends();
        shake_hands(&mut client, &mut server, usize::MAX);
        for length in [0, 1, 16_383, 16_384, 16_385, 32_768, 100_000] {
            let data: Vec<u8> = (0..length).map(|n: u32| n as u8).collect();
            for (from, to) in [(0, 1), (1, 0)] {
                let ends = [&mut client, &mut server];
                let records = encrypted(ends[from], &data);
                let got = receive(ends[to], &records, usize::MAX, &mut Vec::new()).unwrap();
                assert!(got == data, "{length} bytes");
            }
        }
        let mut alert = Vec::new();
        client.close(&mut alert);
        receive(&mut server, &alert, usize::MAX, &mut Vec::new()).unwrap();
        assert!(server.is_closed() && !client.is_closed());
    }

    #[test]
    fn records_may_be_cut_anywhere() {
        for run_bytes in (1..40).chain([100, 1000]) {
            let (mut client, mut server) = ends();
            shake_hands(&mut client, &mut server, run_bytes);
            let records = [encrypted(&mut client, b"first"), encrypted(&mut client, b"second")];
            let got = receive(&mut server, &records.concat(), run_bytes, &mut Vec::new());
            assert_eq!(got.unwrap(), b"firstsecond", "runs of {run_bytes} bytes");
        }
    }

    #[test]
    fn a_handshake_in_pieces_is_given_up_before_it_holds_much() {
        let (_, mut server) = ends();
        // A hello of 60,000 bytes, each in a record of its own, with the records' headers five times as long.
        let hello = [&[1, 0, 0xEA, 0x60][..], &[0; 60_000]].concat();
        let mut held = 0;
        let failed = hello.iter().any(|byte| {
            let record = [0x16, 3, 1, 0, 1, *byte];
            held = held.max(server.partial().len());
            receive(&mut server, &record, usize::MAX, &mut Vec::new()).is_err()
        });
        assert!(failed && held > 30_000 && held <= PARTIAL_BYTES_MAX, "{held} bytes");
    }

    #[test]
    fn an_end_that_has_failed_says_so_once_and_then_takes_nothing() {
        let (mut client, mut server) = ends();
        shake_hands(&mut client, &mut server, usize::MAX);
        let mut records = encrypted(&mut client, b"data");
        *records.last_mut().unwrap() ^= 1;
        let mut alert = Vec::new();
        assert!(receive(&mut server, &records, usize::MAX, &mut alert).is_err());
        assert!(!alert.is_empty());
        let told = alert.clone();
        assert!(receive(&mut server, &records, usize::MAX, &mut alert).is_err());
        assert!(server.send(b"more", &mut alert, &mut [0; 100]).is_err());
        server.close(&mut alert);
        assert_eq!(alert, told);
        assert!(matches!(
            receive(&mut client, &told, usize::MAX, &mut Vec::new()),
            Err(TlsError::Alert(_))
        ));
    }

    #[test]
    fn a_connection_at_rest_owns_its_keys_and_little_else() {
        let (mut client, mut server) = ends();
        shake_hands(&mut client, &mut server, usize::MAX);
        let (mut first, mut second) = ends();
        let established = measure(|| shake_hands(&mut first, &mut second, usize::MAX));
        let data = measure(|| {
            for _ in 0..10 {
                let records = encrypted(&mut first, &[7; 512]);
                receive(&mut second, &records, usize::MAX, &mut Vec::new()).unwrap();
            }
        });
        // Of both ends together.
        assert!(established.bytes_current < 2 * 3072, "{established:?}");
        // The queue of what was received has grown.
        assert!(data.bytes_current < 256, "{data:?}");
    }

    proptest! {
        #[test]
        fn no_bytes_make_either_end_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..400),
            at in any::<prop::sample::Index>(),
            established in any::<bool>(),
        ) {
            let (mut client, mut server) = ends();
            if established {
                shake_hands(&mut client, &mut server, usize::MAX);
            }
            // Junk instead of records, and in the middle of one.
            let mut records = Vec::new();
            if established {
                records = encrypted(&mut client, &[7; 300]);
            } else {
                client.receive(&mut [], &mut Vec::new(), &mut records).unwrap();
            }
            let at = at.index(records.len());
            records.splice(at..(at + bytes.len()).min(records.len()), bytes.iter().copied());
            for session in [&mut server, &mut client] {
                for run in [&records, &bytes, &records] {
                    let _ = receive(session, run, usize::MAX, &mut Vec::new());
                    let _ = session.send(b"data", &mut Vec::new(), &mut [0; 100]);
                }
                session.close(&mut Vec::new());
            }
        }
    }
}
