//! A listening socket on an address that others of the same program listen on too: `SO_REUSEPORT`.

use std::io;
use std::net::SocketAddr;

use mio::net::TcpListener;

pub(super) use platform::bind;

/// Where the kernel spreads connections over the sockets. Others know the option too, but give all connections to one.
#[cfg(any(
    target_os = "android",
    target_os = "dragonfly",
    target_os = "freebsd",
    target_os = "linux"
))]
mod platform {
    use socket2::{Domain, Protocol, Socket, Type};

    use super::{SocketAddr, TcpListener, io};

    /// As many connections wait as `TcpListener::bind` of mio lets wait.
    const BACKLOG: i32 = 128;

    /// As `TcpListener::bind` of mio, and with the option that shares the address.
    pub(in super::super) fn bind(address: SocketAddr) -> io::Result<TcpListener> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        socket.set_reuse_address(true)?;
        #[cfg(not(target_os = "freebsd"))]
        socket.set_reuse_port(true)?;
        #[cfg(target_os = "freebsd")]
        socket.set_reuse_port_lb(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        Ok(TcpListener::from_std(socket.into()))
    }
}

#[cfg(not(any(
    target_os = "android",
    target_os = "dragonfly",
    target_os = "freebsd",
    target_os = "linux"
)))]
mod platform {
    use super::{SocketAddr, TcpListener, io};

    pub(in super::super) fn bind(_: SocketAddr) -> io::Result<TcpListener> {
        let why = "this system does not spread connections over sockets that share an address";
        Err(io::Error::new(io::ErrorKind::Unsupported, why))
    }
}
