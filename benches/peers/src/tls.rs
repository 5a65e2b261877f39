//! The client's side of TLS 1.3, and the certificate that servers show.
//!
//! It is as cheap as it can be: records are decrypted where they were read to, and a write is encrypted at once.

use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::client::{Resumption, UnbufferedClientConnection};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::ServerName;
use rustls::unbuffered::{ConnectionState, EncodeError, EncodeTlsData, UnbufferedStatus};
use rustls::{ClientConfig, RootCertStore};

use crate::Result;

/// What a case asks for to have TLS. Servers get [`Certificate::arguments`] instead.
pub const FLAG: &str = "--tls";
const NAME: &str = "localhost";
/// What a record is longer than its payload, at most, and how long its payload is.
const OVERHEAD_BYTES_MAX: usize = 30;
const RECORD_BYTES_MAX: usize = 16 * 1024;
/// What is read at once while a connection is opened.
const READ_BYTES: usize = 32 * 1024;
const ROOM_BYTES: usize = 4096;

/// A certificate in files, which are removed with it.
pub struct Certificate {
    folder: PathBuf,
    config: Arc<ClientConfig>,
}

impl Certificate {
    pub fn make() -> Result<Self> {
        let made = rcgen::generate_simple_self_signed([NAME.to_owned()])?;
        let folder = std::env::temp_dir().join(format!("tautline-peers-{}", std::process::id()));
        fs::DirBuilder::new().mode(0o700).create(&folder)?;
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone())?;
        // One suite, so that all servers do the same work.
        let suites = vec![ring::cipher_suite::TLS13_AES_128_GCM_SHA256];
        let provider = CryptoProvider { cipher_suites: suites, ..ring::default_provider() };
        let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.resumption = Resumption::disabled();
        let certificate = Self { folder, config: Arc::new(config) };
        fs::write(certificate.folder.join("cert.pem"), made.cert.pem())?;
        fs::write(certificate.folder.join("key.pem"), made.signing_key.serialize_pem())?;
        Ok(certificate)
    }

    /// What a server is started with.
    pub fn arguments(&self) -> [PathBuf; 4] {
        let (cert, key) = (self.folder.join("cert.pem"), self.folder.join("key.pem"));
        ["--tls-cert".into(), cert, "--tls-key".into(), key]
    }
}

impl Drop for Certificate {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A connection that blocks, with TLS or without.
pub struct Stream {
    pub stream: TcpStream,
    pub tls: Option<Box<Session>>,
}

impl From<TcpStream> for Stream {
    fn from(stream: TcpStream) -> Self {
        Self { stream, tls: None }
    }
}

impl Stream {
    /// Shakes hands.
    pub fn secure(mut stream: TcpStream, certificate: &Certificate) -> Result<Self> {
        let mut tls = Box::new(Session::new(Arc::clone(&certificate.config))?);
        tls.receive(&mut [], |_| Ok(()))?;
        while !tls.established {
            tls.flush(&mut stream)?;
            tls.read(&mut stream)?;
        }
        tls.flush(&mut stream)?;
        Ok(Self { stream, tls: Some(tls) })
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(tls) = &mut self.tls else { return self.stream.read(buffer) };
        while tls.plain.is_empty() {
            tls.read(&mut self.stream).map_err(|error| io::Error::other(error.to_string()))?;
        }
        let count = buffer.len().min(tls.plain.len());
        buffer[..count].copy_from_slice(&tls.plain[..count]);
        tls.plain.drain(..count);
        if tls.plain.is_empty() {
            tls.plain = Vec::new();
        }
        Ok(count)
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.tls {
            Some(tls) => tls.write(bytes, &mut self.stream),
            None => self.stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.tls {
            Some(tls) => tls.flush(&mut self.stream),
            None => Ok(()),
        }
    }
}

/// What encrypts and decrypts.
pub struct Session {
    machine: UnbufferedClientConnection,
    established: bool,
    /// The start of a record whose end is missing.
    partial: Vec<u8>,
    /// Records that the socket did not take.
    unsent: Vec<u8>,
    /// What has come and was not read, before the connection is part of a load.
    plain: Vec<u8>,
}

impl Session {
    fn new(config: Arc<ClientConfig>) -> Result<Self> {
        let machine = UnbufferedClientConnection::new(config, ServerName::try_from(NAME)?)?;
        let (partial, unsent, plain) = (Vec::new(), Vec::new(), Vec::new());
        Ok(Self { machine, established: false, partial, unsent, plain })
    }

    /// Copies what has come of a record to the start of a buffer, and says how much that is. The stream goes on behind it.
    pub fn take_partial(&self, buffer: &mut [u8]) -> usize {
        buffer[..self.partial.len()].copy_from_slice(&self.partial);
        self.partial.len()
    }

    /// Takes bytes of the stream, the partial ones before them, and gives what they decrypt to.
    pub fn receive(
        &mut self,
        bytes: &mut [u8],
        mut take: impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        let mut used = 0;
        loop {
            let status = self.machine.process_tls_records(&mut bytes[used..]);
            let UnbufferedStatus { discard, state, .. } = status;
            used += discard;
            match state? {
                ConnectionState::ReadTraffic(mut traffic) => {
                    while let Some(record) = traffic.next_record() {
                        let record = record?;
                        used += record.discard;
                        take(record.payload)?;
                    }
                }
                ConnectionState::EncodeTlsData(data) => encode(data, &mut self.unsent)?,
                ConnectionState::TransmitTlsData(data) => data.done(),
                ConnectionState::WriteTraffic(_) => {
                    self.established = true;
                    break;
                }
                ConnectionState::BlockedHandshake => break,
                ConnectionState::PeerClosed | ConnectionState::Closed => {
                    return Err("the server ended TLS".into());
                }
                other => return Err(format!("TLS came to {other:?}").into()),
            }
        }
        self.partial.clear();
        self.partial.extend_from_slice(&bytes[used..]);
        Ok(())
    }

    /// Waits for what is next in the stream, and keeps what it decrypts to.
    fn read(&mut self, stream: &mut TcpStream) -> Result<()> {
        let mut buffer = [0; READ_BYTES];
        let kept = self.take_partial(&mut buffer);
        let count = stream.read(&mut buffer[kept..])?;
        if count == 0 {
            return Err("the server ended the stream".into());
        }
        let mut plain = std::mem::take(&mut self.plain);
        self.receive(&mut buffer[..kept + count], |bytes| {
            plain.extend_from_slice(bytes);
            Ok(())
        })?;
        self.plain = plain;
        Ok(())
    }

    /// Whether records wait for the socket.
    pub fn waits(&self) -> bool {
        !self.unsent.is_empty()
    }

    /// Encrypts all of this, unless something waits already, and writes what the socket takes.
    pub fn write(&mut self, bytes: &[u8], stream: &mut impl Write) -> io::Result<usize> {
        self.flush(stream)?;
        if bytes.is_empty() {
            return Ok(0);
        }
        let records = bytes.len().div_ceil(RECORD_BYTES_MAX);
        self.unsent.resize(bytes.len() + records * OVERHEAD_BYTES_MAX, 0);
        let state = self.machine.process_tls_records(&mut self.partial).state;
        let length = match state.map_err(io::Error::other)? {
            ConnectionState::WriteTraffic(mut traffic) => {
                traffic.encrypt(bytes, &mut self.unsent).map_err(io::Error::other)?
            }
            other => return Err(io::Error::other(format!("TLS came to {other:?}"))),
        };
        self.unsent.truncate(length);
        match self.flush(stream) {
            Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error),
            _ => Ok(bytes.len()),
        }
    }

    /// Writes what waits. Fails with `WouldBlock` where some still does.
    fn flush(&mut self, stream: &mut impl Write) -> io::Result<()> {
        let mut written = 0;
        let flushed = loop {
            if written == self.unsent.len() {
                break Ok(());
            }
            match stream.write(&self.unsent[written..]) {
                Ok(count) => written += count,
                Err(error) => break Err(error),
            }
        };
        self.unsent.drain(..written);
        flushed
    }
}

fn encode(
    mut data: EncodeTlsData<'_, rustls::client::ClientConnectionData>,
    out: &mut Vec<u8>,
) -> Result<()> {
    let start = out.len();
    let mut room = ROOM_BYTES;
    loop {
        out.resize(start + room, 0);
        match data.encode(&mut out[start..]) {
            Ok(written) => {
                out.truncate(start + written);
                return Ok(());
            }
            Err(EncodeError::InsufficientSize(error)) => room = error.required_size,
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{SocketAddr, TcpListener};

    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    use rustls::{ServerConfig, ServerConnection, StreamOwned};

    use super::*;

    /// A server that sends so many bytes back.
    fn serve(certificate: &Certificate, bytes: usize) -> SocketAddr {
        let [_, cert, _, key] = certificate.arguments();
        let chain = CertificateDer::pem_file_iter(cert).unwrap().map(|it| it.unwrap()).collect();
        let key = PrivateKeyDer::from_pem_file(key).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let session = ServerConnection::new(Arc::new(config)).unwrap();
            let mut stream = StreamOwned::new(session, listener.accept().unwrap().0);
            let mut data = vec![0; bytes];
            stream.read_exact(&mut data).unwrap();
            stream.write_all(&data).unwrap();
            stream.flush().unwrap();
        });
        address
    }

    #[test]
    fn data_comes_back_as_it_was_sent() {
        let certificate = Certificate::make().unwrap();
        let data: Vec<u8> = (0..100_000).map(|n| n as u8).collect();
        let stream = TcpStream::connect(serve(&certificate, data.len())).unwrap();
        let mut stream = Stream::secure(stream, &certificate).unwrap();
        stream.write_all(&data).unwrap();
        let mut back = vec![0; data.len()];
        stream.read_exact(&mut back).unwrap();
        assert!(back == data);
        let folder = certificate.folder.clone();
        drop(certificate);
        assert!(!folder.exists());
    }
}
