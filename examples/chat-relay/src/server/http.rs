//! What is answered to requests that are no WebSocket: the page, metrics, health.

use tautline::handshake::{FieldError, HttpRequest, Response, Status};

use super::Server;
use crate::metrics::{self, RelayNumbers};
use crate::page;

const TEXT: &str = "text/plain; charset=utf-8";

impl Server {
    pub(super) fn answer(&self, request: &HttpRequest<'_>) -> Response {
        let answer = match (request.method(), request.path(), &self.metrics) {
            ("GET" | "HEAD", "/metrics", Some(metrics)) => Response::new(Status::OK)
                .body(metrics.text(&self.relay_numbers()).into_bytes())
                .field("Content-Type", metrics::MEDIA_TYPE),
            ("GET" | "HEAD", "/healthz", _) => text(Status::OK, "alive\n"),
            ("GET" | "HEAD", "/readyz", _) => match self.not_ready() {
                None => text(Status::OK, "ready\n"),
                Some(reason) => text(Status::SERVICE_UNAVAILABLE, reason),
            },
            (method, path, _) => file(method, path, &request.host().to_string()),
        };
        answer.unwrap_or_else(|_| Response::new(Status::INTERNAL_SERVER_ERROR))
    }

    fn relay_numbers(&self) -> RelayNumbers {
        let (people, rooms) = self.relay.counts();
        RelayNumbers {
            people,
            rooms,
            store_waiting: self.links.as_ref().map_or(0, |links| links.store.waiting()),
            messages_stored: self.storage.stored,
            storage_failures: self.storage.refused,
        }
    }

    /// Why new clients had better go elsewhere.
    fn not_ready(&self) -> Option<&'static str> {
        if !self.storage.works() {
            return Some("the disk is full or fails: nothing is stored\n");
        }
        let waiting = self.links.as_ref().map_or(0, |links| links.store.waiting());
        (waiting > crate::limits::STORE_WAITING_MAX / 2).then_some("the store does not keep up\n")
    }
}

fn text(status: Status, text: &'static str) -> Result<Response, FieldError> {
    Response::new(status)
        .body(text.as_bytes())
        .field("Content-Type", TEXT)?
        .field("Cache-Control", "no-store")
}

/// The answer to a method that is not understood here.
pub(super) fn not_allowed(allowed: &'static str) -> Response {
    Response::new(Status::METHOD_NOT_ALLOWED)
        .field("Allow", allowed)
        .unwrap_or_else(|_| Response::new(Status::METHOD_NOT_ALLOWED))
}

/// The answer to a body that is no text.
pub(super) fn not_utf8() -> Response {
    Response::new(Status::BAD_REQUEST).body(&b"lines are text in UTF-8"[..])
}

/// The answer to a request for a file of the page.
fn file(method: &str, path: &str, host: &str) -> Result<Response, FieldError> {
    let text = |status, text: &'static str| {
        Response::new(status).body(text.as_bytes()).field("Content-Type", TEXT)
    };
    let mut response = match (method, page::file(path)) {
        ("GET" | "HEAD", Some(file)) => Response::new(Status::OK)
            .body(file.body.as_bytes())
            .field("Content-Type", file.media_type)?,
        ("GET" | "HEAD", None) => text(Status::NOT_FOUND, "there is nothing here; the page is /")?,
        _ => text(Status::METHOD_NOT_ALLOWED, "only GET is understood here")?
            .field("Allow", "GET, HEAD")?,
    };
    for (name, value) in page::FIELDS {
        response = response.field(name, value)?;
    }
    response.field("Content-Security-Policy", page::policy(Some(host)))
}
