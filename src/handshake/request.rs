//! Requests that were checked already.

use std::ops::Deref;

use super::accept::{Accept, AcceptError};
use super::authority::Authority;
use super::extension::{self, Extension};
use super::fields::{Fields, token};
use super::key::Key;
use super::origin::Origin;
use super::{Agreed, server};

/// A plain HTTP request, for a page or a health check; also what an opening [`Request`] is.
///
/// It borrows the head from the buffer of the caller. Its body follows the head, [`body_bytes`](Self::body_bytes) of
/// it: the event loop reads it before it hands over the request, so that [`body`](Self::body) has it; whoever drives a
/// [`ServerHandshake`](super::ServerHandshake) reads it from where the head ends.
#[derive(Clone, Copy, Debug)]
pub struct HttpRequest<'h> {
    pub(crate) method: &'h str,
    pub(crate) target: &'h str,
    pub(crate) path: &'h str,
    pub(crate) query: Option<&'h str>,
    pub(crate) host: Authority<'h>,
    pub(crate) origin: Option<Origin<'h>>,
    pub(crate) fields: Fields<'h>,
    pub(crate) client_certificate: Option<&'h [u8]>,
    pub(crate) body_bytes: usize,
    pub(crate) expects_continue: bool,
    pub(crate) body: &'h [u8],
}

impl<'h> HttpRequest<'h> {
    /// The method, a token as the client wrote it.
    pub fn method(&self) -> &'h str {
        self.method
    }

    /// The whole target as the client wrote it: ASCII, without a fragment.
    pub fn target(&self) -> &'h str {
        self.target
    }

    /// The path, which begins with `/`. Nothing is decoded.
    pub fn path(&self) -> &'h str {
        self.path
    }

    /// What follows the first `?` of the target, if there is one. Nothing is decoded.
    pub fn query(&self) -> Option<&'h str> {
        self.query
    }

    /// The host that is meant: that of the target, if it has one, else that of the `Host` field.
    pub fn host(&self) -> Authority<'h> {
        self.host
    }

    /// The origin of the page that sent the request, as browsers tell it with each upgrade, and with a plain request that
    /// changes something or goes to another origin.
    pub fn origin(&self) -> Option<Origin<'h>> {
        self.origin
    }

    /// The value of the first field with this name, in any case. It may be other than UTF-8.
    pub fn field(&self, name: &str) -> Option<&'h [u8]> {
        self.fields.first(name)
    }

    /// The same as text; `None` also where the value is not UTF-8.
    pub fn field_text(&self, name: &str) -> Option<&'h str> {
        std::str::from_utf8(self.field(name)?).ok()
    }

    /// The certificate that the client has shown and that was verified, in DER (X.509): who the client is, where the
    /// server [requires
    /// one](https://docs.rs/tautline/latest/tautline/tls/struct.ServerTls.html#method.require_clients_of).
    pub fn client_certificate(&self) -> Option<&'h [u8]> {
        self.client_certificate
    }

    /// All fields.
    pub fn fields(&self) -> Fields<'h> {
        self.fields
    }

    /// The body, whole, as a [`Handler`](https://docs.rs/tautline/latest/tautline/reactor/trait.Handler.html) gets it;
    /// empty where the request has none.
    pub fn body(&self) -> &'h [u8] {
        self.body
    }

    /// How many bytes of body follow the head: what `Content-Length` says, and 0 without one (RFC 9112 section 6.3). No
    /// more than [`request_body_bytes_max`](crate::Limits::request_body_bytes_max).
    pub fn body_bytes(&self) -> usize {
        self.body_bytes
    }

    /// Whether the client waits for `100 Continue` before it sends the body (RFC 9110 section 10.1.1).
    pub fn expects_continue(&self) -> bool {
        self.expects_continue
    }
}

/// A valid opening request: a server may accept it.
///
/// All that RFC 6455 section 4.2.1 asks for was checked, and the origin is one that the policy allows. It has all that
/// an [`HttpRequest`] has.
#[derive(Clone, Copy, Debug)]
pub struct Request<'h> {
    pub(crate) http: HttpRequest<'h>,
    pub(crate) key: Key,
}

impl<'h> Request<'h> {
    /// The client's key.
    pub fn key(&self) -> Key {
        self.key
    }

    /// The subprotocols that the client would speak, the one that it likes best first. Each stands once.
    pub fn protocols(&self) -> impl Iterator<Item = &'h str> + use<'h> {
        self.http.fields.members(server::PROTOCOL).filter_map(token)
    }

    /// The extensions that the client offers, the one that it likes best first. One may be offered several times.
    pub fn extensions(&self) -> impl Iterator<Item = Extension<'h>> + use<'h> {
        self.http.fields.all(server::EXTENSIONS).flat_map(extension::parse).filter_map(Result::ok)
    }

    /// Accepts: appends the 101 to `out`. After it, both sides send frames.
    ///
    /// # Errors
    ///
    /// When the subprotocol is not one that the client asked for. Nothing was written then.
    pub fn accept(&self, accept: &Accept, out: &mut Vec<u8>) -> Result<Agreed, AcceptError> {
        accept.write(self, out)
    }
}

impl<'h> Deref for Request<'h> {
    type Target = HttpRequest<'h>;

    fn deref(&self) -> &HttpRequest<'h> {
        &self.http
    }
}
