//! TLS where the feature `tls` is off: no connection has it.

use std::io;

use super::Reactor;
use super::handler::Handler;
use super::net::Net;
use super::slab::ConnectionId;

/// There is none.
pub(super) enum Tls {}

#[derive(Default)]
pub(super) struct TlsBuffers {}

impl Tls {
    pub(super) fn begin(&mut self) -> io::Result<()> {
        match *self {}
    }

    pub(super) fn peer_certificate(&self) -> Option<&[u8]> {
        match *self {}
    }

    pub(super) fn write<N: Net>(
        &mut self,
        _: &[u8],
        _: &mut N,
        _: &mut N::Stream,
        _: &mut TlsBuffers,
    ) -> io::Result<usize> {
        match *self {}
    }

    pub(super) fn flush<N: Net>(&mut self, _: &mut N, _: &mut N::Stream) -> io::Result<bool> {
        match *self {}
    }

    pub(super) fn unsent_bytes(&self) -> usize {
        match *self {}
    }

    pub(super) fn waits(&self) -> bool {
        match *self {}
    }

    pub(super) fn held_bytes(&self) -> usize {
        match *self {}
    }

    pub(super) fn forget(&mut self) {
        match *self {}
    }

    pub(super) fn end<N: Net>(&mut self, _: &mut N, _: &mut N::Stream) -> io::Result<bool> {
        match *self {}
    }
}

impl<H: Handler, N: Net> Reactor<H, N> {
    pub(super) fn read_tls(&mut self, _: ConnectionId, _: &mut [u8]) -> bool {
        false
    }
}
