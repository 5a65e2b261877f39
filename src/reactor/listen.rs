//! Listening: on an address of one's own, or on one that several loops share.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};

use super::accept::Listener;
use super::handler::Handler;
use super::net::Net;
use super::{Reactor, TOKEN_LISTENER};
#[cfg(feature = "tls")]
use crate::tls::ServerTls;

impl<H: Handler, N: Net> Reactor<H, N> {
    /// Has the addresses that are listened on after this speak TLS: `wss://`, and `https://` for what asks for no
    /// upgrade. Whoever speaks plain HTTP there is told so, with 400.
    ///
    /// ```no_run
    /// # use tautline::{Message, Reactor, reactor::{Context, Handler}, tls::ServerTls};
    /// # struct Echo;
    /// # impl Handler for Echo {
    /// #     type Session = ();
    /// #     fn on_message(&mut self, cx: &mut Context<'_, ()>, message: Message<'_>) { cx.send(message); }
    /// # }
    /// let tls = ServerTls::from_files(&[("chain.pem", "key.pem")])?;
    /// Reactor::new(Echo)?.server_tls(tls).listen("0.0.0.0:443")?.run()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// [`run`](Self::run) and [`turn`](Self::turn) fail where addresses are listened on before it, and none after it.
    #[cfg(feature = "tls")]
    pub fn server_tls(mut self, tls: ServerTls) -> Self {
        self.server_tls = Some(tls);
        self.server_tls_is_late = !self.listeners.is_empty();
        self
    }

    /// Listens on an address, or on each that a name stands for: a host and a port, as in `"127.0.0.1:9001"`.
    ///
    /// # Errors
    ///
    /// As the operating system says, for example that the address is in use, which it names; or that no address was
    /// found for a name.
    pub fn listen(self, addresses: impl ToSocketAddrs) -> io::Result<Self> {
        self.listen_by(addresses, N::listen)
    }

    /// Listens on an address, or on each that a name stands for, together with other loops: the kernel gives each new
    /// connection to one of them (`SO_REUSEPORT`), chosen by a hash of its addresses and ports. So a server runs on
    /// several cores, with one loop on each:
    ///
    /// ```
    /// use std::time::Duration;
    /// use std::{io, thread};
    /// use tautline::{Message, Reactor, reactor::{Context, Handler}};
    ///
    /// struct Echo;
    ///
    /// impl Handler for Echo {
    ///     type Session = ();
    ///
    ///     fn on_message(&mut self, cx: &mut Context<'_, ()>, message: Message<'_>) {
    ///         cx.send(message);
    ///     }
    /// }
    ///
    /// # #[cfg(not(target_os = "linux"))]
    /// # fn main() {}
    /// # #[cfg(target_os = "linux")]
    /// fn main() -> io::Result<()> {
    ///     let first = Reactor::new(Echo)?.listen_shared("127.0.0.1:0")?;
    ///     // The first has found a port, which the others are told.
    ///     let addresses = first.local_addrs()?;
    ///     let mut reactors = vec![first];
    ///     for _ in 1..thread::available_parallelism()?.get() {
    ///         reactors.push(Reactor::new(Echo)?.listen_shared(addresses.as_slice())?);
    ///     }
    ///     let handles: Vec<_> = reactors.iter().map(Reactor::handle).collect();
    ///     let threads: Vec<_> =
    ///         reactors.into_iter().map(|it| thread::spawn(move || it.run())).collect();
    ///
    ///     // Until it is time to end.
    ///     for handle in &handles {
    ///         handle.shutdown(Duration::from_secs(1)).map_err(io::Error::other)?;
    ///     }
    ///     for thread in threads {
    ///         thread.join().expect("no handler panics")?;
    ///     }
    ///     Ok(())
    /// }
    /// ```
    ///
    /// Nothing is shared but the address. Each loop has a handler of its own, limits of its own (those on connections
    /// count for one loop), connections and topics of its own: what is published on one reaches its own subscribers
    /// only. To reach those of the others, [post](super::Handle::post) it to their [handles](Self::handle).
    ///
    /// - Whoever listens first has to share the address, and the others have to belong to the same user. A program that
    ///   is started twice by mistake shares it, where [`listen`](Self::listen) would have failed.
    /// - Connections are spread by chance and stay where they are: of few connections, one loop may have most.
    /// - When one of the loops shuts down, connections that the kernel has given to it and that it has not accepted yet
    ///   are
    ///   reset, although others still listen; on Linux the setting `net.ipv4.tcp_migrate_req` moves them to the others.
    ///
    /// # Errors
    ///
    /// As [`listen`](Self::listen). [`Unsupported`](io::ErrorKind::Unsupported) where the kernel does not spread
    /// connections: it does on Linux, Android, FreeBSD and DragonFly BSD.
    pub fn listen_shared(self, addresses: impl ToSocketAddrs) -> io::Result<Self> {
        self.listen_by(addresses, N::listen_shared)
    }

    fn listen_by(
        mut self,
        addresses: impl ToSocketAddrs,
        listen: fn(&mut N, SocketAddr, usize) -> io::Result<N::Listener>,
    ) -> io::Result<Self> {
        for address in addresses.to_socket_addrs()? {
            let token = TOKEN_LISTENER | self.listeners.len();
            let listener = listen(&mut self.net, address, token)?;
            self.listeners.push(Listener {
                listener,
                waiting: false,
                #[cfg(feature = "tls")]
                tls: self.server_tls.clone(),
            });
        }
        #[cfg(feature = "tls")]
        {
            self.server_tls_is_late = false;
        }
        Ok(self)
    }

    /// The addresses that are listened on, with the ports that were found where 0 was asked for.
    ///
    /// # Errors
    ///
    /// As the operating system says.
    pub fn local_addrs(&self) -> io::Result<Vec<SocketAddr>> {
        self.listeners.iter().map(|it| self.net.local_addr(&it.listener)).collect()
    }
}
