//! Opening handshakes, of connections that were accepted and of those that are made.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;

use super::Reactor;
use super::context::Context;
use super::handler::{Closed, Handler};
use super::net::Net;
use super::slab::ConnectionId;
use super::socket::{Inbound, Socket};
use super::world::Dial;
use crate::connection::{Receiver, Sender};
use crate::frame::Role;
use crate::handshake::{
    Agreed, ClientHandshake, ClientRequest, Opening, Policy, Refusal, Request, Response,
    ServerHandshake, Status,
};

/// Has a client send the body that it has announced (RFC 9110 section 15.2.1).
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// A request of which a part has come: of its head, or of the body of what is no upgrade.
#[derive(Default)]
pub(super) struct Head {
    handshake: ServerHandshake,
    bytes: Vec<u8>,
    /// The head is whole and a body follows: how many bytes both have.
    whole_bytes: usize,
}

/// A connection that is being made.
pub(super) enum Dialing {
    /// The stream is not connected yet.
    Connecting(ClientRequest),
    /// The TLS handshake is not done yet.
    Securing(ClientRequest),
    /// The request is sent; the part of the answer that came.
    Awaiting(ClientHandshake, Vec<u8>),
}

impl Head {
    /// How many bytes it holds.
    pub(super) fn held_bytes(&self) -> usize {
        self.bytes.capacity()
    }
}

impl Dialing {
    /// How many bytes of the answer have come.
    pub(super) fn held_bytes(&self) -> usize {
        match self {
            Self::Awaiting(_, bytes) => bytes.len(),
            Self::Connecting(_) | Self::Securing(_) => 0,
        }
    }

    pub(super) fn is_connected(&self) -> bool {
        matches!(self, Self::Securing(_) | Self::Awaiting(..))
    }
}

impl<H: Handler, N: Net> Reactor<H, N> {
    /// Takes bytes of a request, and answers it once it is whole.
    pub(super) fn receive_request(&mut self, id: ConnectionId, bytes: &[u8]) {
        let Some(Some(Socket { inbound: Inbound::Request(peer, kept), tls, .. })) =
            self.sockets.get_mut(id.index as usize)
        else {
            return;
        };
        let secure = tls.is_some();
        let certificate = tls.as_ref().and_then(|tls| tls.peer_certificate()).map(<[u8]>::to_vec);
        let (peer, limits) = (*peer, Arc::clone(&self.world.limits));
        // A head that comes in one piece is read where it is.
        let Head { mut handshake, bytes: mut buffered, whole_bytes } =
            kept.take().map(|it| *it).unwrap_or_default();
        let whole = if buffered.is_empty() {
            bytes
        } else {
            buffered.extend_from_slice(bytes);
            &buffered
        };
        if whole.len() < whole_bytes {
            // The head is not read again.
            *kept = Some(Box::new(Head { handshake, bytes: buffered, whole_bytes }));
            return;
        }
        let policy = Policy { limits: &limits, origins: &self.origins, secure };
        match handshake.receive(whole, &policy) {
            Ok(None) => {
                if buffered.is_empty() {
                    buffered = bytes.to_vec();
                }
                *kept = Some(Box::new(Head { handshake, bytes: buffered, whole_bytes: 0 }));
            }
            //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
            //# Once the client's opening handshake has been sent, the client MUST
            //# wait for a response from the server before sending any further data.
            Ok(Some((length, Opening::Upgrade(_)))) if length < whole.len() => {
                self.world.counters.refused.malformed += 1;
                self.respond(id, &Refusal::EarlyBytes.response(), false);
            }
            Ok(Some((_, Opening::Upgrade(mut request)))) => {
                request.http.client_certificate = certificate.as_deref();
                self.upgrade(id, &request, peer);
            }
            Ok(Some((length, Opening::Plain(mut request)))) => {
                let whole_bytes = length.saturating_add(request.body_bytes());
                let Some(body) = whole.get(length..whole_bytes) else {
                    // A client that has sent some of it does not wait (RFC 9110 section 10.1.1).
                    if request.expects_continue() && length == whole.len() {
                        self.world.out.extend_from_slice(CONTINUE);
                    }
                    if buffered.is_empty() {
                        buffered = bytes.to_vec();
                    }
                    *kept = Some(Box::new(Head { handshake, bytes: buffered, whole_bytes }));
                    return;
                };
                let behind = whole.len() - whole_bytes;
                request.body = body;
                request.client_certificate = certificate.as_deref();
                self.answer(id, &request, peer, behind);
            }
            Err(refusal) => {
                let head_only = is_head(whole);
                self.world.counters.refused.malformed += 1;
                self.respond(id, &refusal.response(), head_only);
            }
        }
    }

    /// Answers a valid request for an upgrade.
    //= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2
    //# When a client establishes a WebSocket connection to a server, the
    //# server MUST complete the following steps to accept the connection and
    //# send the server's opening handshake.
    fn upgrade(&mut self, id: ConnectionId, request: &Request<'_>, peer: SocketAddr) {
        let Some(slot) = self.world.slots.get_mut(id) else { return };
        let accept = match self.handler.on_upgrade(request, peer, &mut slot.session) {
            Ok(accept) => accept.deflate_by_default(self.deflate),
            //= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2
            //# If the server does not wish to accept this
            //# connection, it MUST return an appropriate HTTP error code
            //# (e.g., 403 Forbidden) and abort the WebSocket handshake
            //# described in this section.
            Err(response) => {
                self.world.counters.refused.by_handler += 1;
                return self.respond(id, &response, false);
            }
        };
        match request.accept(&accept, &mut self.world.out) {
            Ok(agreed) => self.open(id, Role::Server, &agreed, Sender::server(&agreed)),
            Err(error) => {
                self.handler.on_accept_error(&error);
                self.respond(id, &Response::new(Status::INTERNAL_SERVER_ERROR), false);
            }
        }
    }

    /// Sends a response that is not the one that opens a connection, and ends the connection.
    pub(super) fn respond(&mut self, id: ConnectionId, response: &Response, head_only: bool) {
        response.write(head_only, &mut self.world.out);
        if let Some(Some(socket)) = self.sockets.get_mut(id.index as usize) {
            socket.inbound = Inbound::Nothing;
        }
        // The handler does not know of it; it is told nothing.
        //= https://www.rfc-editor.org/rfc/rfc6455#section-7.2.2
        //# To do so, the
        //# server MUST simply _Close the WebSocket Connection_ (Section 7.1.1).
        self.world.end(id, Closed::Lost(ErrorKind::ConnectionRefused.into()));
    }

    pub(super) fn handshake_timed_out(&mut self, id: ConnectionId) {
        if self.world.role(id) == Role::Server {
            self.world.counters.refused.timeouts += 1;
        }
        self.refuse(id, &Refusal::Timeout.response(), ErrorKind::TimedOut);
    }

    pub(super) fn refuse_at_shutdown(&mut self, id: ConnectionId) {
        self.refuse(id, &Refusal::Overload.response(), ErrorKind::ConnectionAborted);
    }

    /// Ends a handshake from outside of an event of its socket: one of a peer with a response, one of our own with an
    /// error.
    fn refuse(&mut self, id: ConnectionId, response: &Response, error: ErrorKind) {
        match self.socket(id) {
            Some(Socket { inbound: Inbound::Request(_, head), .. }) => {
                let head_only = head.as_ref().is_some_and(|head| is_head(&head.bytes));
                self.world.corked = Some(id);
                self.respond(id, response, head_only);
                self.flush(id);
                self.world.corked = None;
            }
            _ => self.world.cut(id, Closed::Lost(error.into())),
        }
    }

    /// The handshake is done.
    fn open(&mut self, id: ConnectionId, role: Role, agreed: &Agreed, sender: Sender) {
        let receiver = Receiver::new(role, agreed, Arc::clone(&self.world.limits));
        if let Some(Some(socket)) = self.sockets.get_mut(id.index as usize) {
            socket.inbound = Inbound::Frames(receiver);
        }
        self.world.open(id, sender);
        self.handler.on_agreed(&mut Context::new(&mut self.world, id), agreed);
        self.handler.on_open(&mut Context::new(&mut self.world, id));
    }

    /// Begins to connect.
    pub(super) fn dial(&mut self, dial: Dial) {
        let Dial { id, address, request, tls } = dial;
        match self.net.connect(address) {
            Ok(stream) => {
                let inbound = Inbound::Answer(Box::new(Dialing::Connecting(request)));
                self.settle_in(id, stream, tls, inbound);
            }
            Err(error) => self.world.cut(id, Closed::Lost(error)),
        }
    }

    /// The stream is connected, or is not to be: sends the request.
    pub(super) fn on_connected(&mut self, id: ConnectionId) {
        let Self { sockets, net, world, .. } = self;
        let Some(Some(Socket { stream, tls, inbound: Inbound::Answer(dialing), .. })) =
            sockets.get_mut(id.index as usize)
        else {
            return;
        };
        match net.connected(stream) {
            Err(error) if error.kind() == ErrorKind::NotConnected => return,
            Err(error) => return world.cut(id, Closed::Lost(error)),
            Ok(()) => {}
        }
        let Dialing::Connecting(request) = &**dialing else { return };
        let Some(tls) = tls else { return self.send_request(id) };
        **dialing = Dialing::Securing(request.clone());
        match tls.begin().and_then(|()| tls.flush(net, stream)) {
            Ok(flushed) => {
                if let Some(slot) = world.slots.get_mut(id) {
                    slot.blocked = !flushed;
                }
            }
            Err(error) => world.cut(id, Closed::Lost(error)),
        }
    }

    /// The TLS handshake is done.
    #[cfg(feature = "tls")]
    pub(super) fn on_secured(&mut self, id: ConnectionId) {
        self.send_request(id);
    }

    /// Sends our request, where we are a client.
    //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
    //# Once a connection to the server has been established (including a
    //# connection via a proxy or over a TLS-encrypted tunnel), the client
    //# MUST send an opening handshake to the server.
    fn send_request(&mut self, id: ConnectionId) {
        let Self { sockets, net, world, .. } = self;
        let Some(Some(Socket { inbound: Inbound::Answer(dialing), .. })) =
            sockets.get_mut(id.index as usize)
        else {
            return;
        };
        if let Dialing::Connecting(request) | Dialing::Securing(request) = &**dialing {
            let was_corked = world.corked.replace(id);
            **dialing = Dialing::Awaiting(request.write(net.nonce(), &mut world.out), Vec::new());
            self.flush(id);
            self.world.corked = was_corked;
        }
    }

    /// Takes bytes of the answer to our request; what is behind it are frames.
    pub(super) fn receive_answer(&mut self, id: ConnectionId, bytes: &[u8]) {
        let Some(Some(Socket { inbound: Inbound::Answer(dialing), .. })) =
            self.sockets.get_mut(id.index as usize)
        else {
            return;
        };
        let Dialing::Awaiting(handshake, buffered) = &mut **dialing else { return };
        buffered.extend_from_slice(bytes);
        match handshake.receive(buffered, &self.world.limits) {
            Ok(None) => {}
            Ok(Some((length, agreed))) => {
                let mut frames = buffered.split_off(length);
                let sender = Sender::client(&agreed, self.net.mask_keys());
                self.open(id, Role::Client, &agreed, sender);
                self.receive_frames(id, &mut frames);
            }
            //= https://www.rfc-editor.org/rfc/rfc6455#section-7.2.1
            //# To do so, the
            //# client MUST _Fail the WebSocket Connection_ as defined in
            //# Section 7.1.7.
            Err(error) => self.world.cut(id, Closed::Refused(error)),
        }
    }
}

/// Whether this is a request to which no content may be sent (RFC 9110 section 9.3.2), right or wrong.
pub(super) fn is_head(request: &[u8]) -> bool {
    request.starts_with(b"HEAD ")
}
