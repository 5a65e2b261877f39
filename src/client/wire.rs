//! The stream of a blocking client: as it is, or with TLS.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};

#[cfg(feature = "tls")]
use crate::tls::Session;

/// A stream, plain or with TLS.
pub(super) struct Wire {
    pub(super) stream: TcpStream,
    #[cfg(feature = "tls")]
    tls: Option<Box<Tls>>,
}

#[cfg(feature = "tls")]
struct Tls {
    session: Session,
    /// What was read, behind what had come of a record.
    received: Vec<u8>,
    /// What it decrypted to, of which so many were taken.
    plain: Vec<u8>,
    taken: usize,
    /// What is to be written.
    unsent: Vec<u8>,
    /// What was wrong behind what was decrypted and is not taken yet.
    failed: Option<io::Error>,
}

/// What is encrypted for one write.
#[cfg(feature = "tls")]
const WRITE_BYTES: usize = 64 * 1024;

impl Wire {
    pub(super) fn plain(stream: TcpStream) -> Self {
        Self {
            stream,
            #[cfg(feature = "tls")]
            tls: None,
        }
    }

    /// Begins TLS. The handshake is done with the [first read](Self::secured).
    #[cfg(feature = "tls")]
    pub(super) fn secure(stream: TcpStream, mut session: Session) -> io::Result<Self> {
        let mut unsent = Vec::new();
        session.receive(&mut [], &mut Vec::new(), &mut unsent)?;
        let (received, plain) = (Vec::new(), Vec::new());
        let tls = Tls { session, received, plain, taken: 0, unsent, failed: None };
        Ok(Self { stream, tls: Some(Box::new(tls)) })
    }

    /// Goes on with the handshake of TLS, by one read; true once it is done.
    #[cfg(feature = "tls")]
    pub(super) fn secured(&mut self) -> io::Result<bool> {
        let Self { stream, tls: Some(tls) } = self else { return Ok(true) };
        tls.flush(stream)?;
        if !tls.session.is_established() && !tls.read(stream)? {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        tls.flush(stream)?;
        Ok(tls.session.is_established())
    }

    /// Reads; 0 is the end.
    pub(super) fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        #[cfg(feature = "tls")]
        if let Some(tls) = &mut self.tls {
            return tls.read_plain(&mut self.stream, bytes);
        }
        self.stream.read(bytes)
    }

    /// Writes what fits. All that was taken is on its way, and [waits](Self::waits) where it did not fit.
    //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
    //# Otherwise,
    //# all further communication on this channel MUST run through the
    //# encrypted tunnel [RFC5246].
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        #[cfg(feature = "tls")]
        if let Some(tls) = &mut self.tls {
            return tls.write_plain(&mut self.stream, bytes);
        }
        self.stream.write(bytes)
    }

    /// Whether what was taken waits to be written, by a write of nothing.
    pub(super) fn waits(&self) -> bool {
        #[cfg(feature = "tls")]
        if let Some(tls) = &self.tls {
            return !tls.unsent.is_empty();
        }
        false
    }

    /// Ends our direction.
    pub(super) fn end(&mut self) {
        #[cfg(feature = "tls")]
        if let Some(tls) = &mut self.tls {
            tls.session.close(&mut tls.unsent);
            let _ = tls.flush(&mut self.stream);
        }
        let _ = self.stream.shutdown(Shutdown::Write);
    }
}

#[cfg(feature = "tls")]
impl Tls {
    /// Reads once; false at the end.
    fn read(&mut self, stream: &mut TcpStream) -> io::Result<bool> {
        let Self { session, received, plain, unsent, .. } = self;
        received.clear();
        received.extend_from_slice(session.partial());
        let kept = received.len();
        received.resize(kept + super::READ_BYTES, 0);
        let count = stream.read(received.get_mut(kept..).unwrap_or_default())?;
        if count == 0 {
            return Ok(false);
        }
        received.truncate(kept + count);
        let taken = session.receive(received, plain, unsent);
        if taken.is_err() {
            // The server is told why, if it still listens.
            let _ = self.flush(stream);
        }
        Ok(taken.map(|()| true)?)
    }

    fn read_plain(&mut self, stream: &mut TcpStream, bytes: &mut [u8]) -> io::Result<usize> {
        if self.taken == self.plain.len() {
            self.plain.clear();
            self.taken = 0;
            if let Some(error) = self.failed.take() {
                return Err(error);
            }
            if self.session.is_closed() {
                return Ok(0);
            }
            match self.read(stream) {
                Ok(true) => {}
                Ok(false) => return Ok(0),
                Err(error) if self.plain.is_empty() => return Err(error),
                // What came before is delivered.
                Err(error) => self.failed = Some(error),
            }
            // Where that fails, what came before is delivered, and the next read finds the end.
            let flushed = self.flush(stream);
            if self.plain.is_empty() {
                flushed?;
            }
            if self.plain.is_empty() && !self.session.is_closed() {
                // No record is whole yet: the caller looks at its deadlines before it reads on.
                return Err(io::ErrorKind::Interrupted.into());
            }
        }
        let count = self.plain.get(self.taken..).unwrap_or_default().read(bytes)?;
        self.taken += count;
        Ok(count)
    }

    fn write_plain(&mut self, stream: &mut TcpStream, bytes: &[u8]) -> io::Result<usize> {
        self.flush(stream)?;
        let piece = bytes.get(..bytes.len().min(WRITE_BYTES)).unwrap_or_default();
        if piece.is_empty() {
            return Ok(0);
        }
        let mut records = vec![0; Session::encrypted_bytes_max(piece.len())];
        let length = self.session.send(piece, &mut self.unsent, &mut records)?;
        // These bytes are taken, whatever becomes of them: what does not leave now does with the next write, be it one of
        // nothing, which then finds what went wrong.
        self.unsent.extend_from_slice(records.get(..length).unwrap_or_default());
        let _ = self.flush(stream);
        Ok(piece.len())
    }

    /// Writes what is to be written.
    fn flush(&mut self, stream: &mut TcpStream) -> io::Result<()> {
        while !self.unsent.is_empty() {
            let written = stream.write(&self.unsent)?;
            self.unsent.drain(..written);
        }
        Ok(())
    }
}
