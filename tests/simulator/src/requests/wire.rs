//! What a client writes to and reads from: a connection in memory, plain or with TLS.

use std::io::{Read, Write};

use rustls::ClientConnection;

use crate::net::Peer;
use crate::secure;

/// A client's end.
pub(super) struct Wire {
    pub(super) peer: Peer,
    tls: Option<Box<ClientConnection>>,
}

impl Wire {
    pub(super) fn new(peer: Peer, secure: bool) -> Self {
        let tls = secure.then(|| Box::new(secure::raw_client()));
        let mut wire = Self { peer, tls };
        wire.flush();
        wire
    }

    /// Writes the records that there are, whatever room there is.
    fn flush(&mut self) {
        let Some(tls) = &mut self.tls else { return };
        let mut records = Vec::new();
        while tls.wants_write() {
            tls.write_tls(&mut records).expect("a vector takes all");
        }
        self.peer.write(&records);
    }

    /// Whether bytes of a request would be taken.
    pub(super) fn has_room(&self) -> bool {
        self.is_secured() && self.peer.has_room()
    }

    pub(super) fn is_plain(&self) -> bool {
        self.tls.is_none()
    }

    /// Whether what is written and read now are no bytes of a handshake of TLS.
    pub(super) fn is_secured(&self) -> bool {
        self.tls.as_ref().is_none_or(|tls| !tls.is_handshaking())
    }

    /// Writes as much as there is room for, and says how much that was.
    pub(super) fn write_some(&mut self, bytes: &[u8]) -> usize {
        let Some(tls) = &mut self.tls else { return self.peer.write_some(bytes) };
        if tls.is_handshaking() || !self.peer.has_room() {
            return 0;
        }
        let count = tls.writer().write(bytes).expect("a connection that takes something");
        self.flush();
        count
    }

    /// Reads, of what has come, up to so many bytes; with TLS so many of the records.
    pub(super) fn read_up_to(&mut self, bytes: usize) -> Result<Vec<u8>, String> {
        let got = self.peer.read_up_to(bytes);
        let Some(tls) = &mut self.tls else { return Ok(got) };
        let (mut got, mut plain) = (got.as_slice(), Vec::new());
        while !got.is_empty() {
            tls.read_tls(&mut got).map_err(|error| format!("gets no records: {error}"))?;
            let state =
                tls.process_new_packets().map_err(|error| format!("gets no TLS: {error}"))?;
            let start = plain.len();
            plain.resize(start + state.plaintext_bytes_to_read(), 0);
            tls.reader().read_exact(&mut plain[start..]).expect("it is there");
        }
        self.flush();
        Ok(plain)
    }
}
