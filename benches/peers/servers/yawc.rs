//! yawc as its own benchmark has it: messages that are there already, up to 32, are answered with one flush. Large messages
//! are counted with its `Streaming`, which gives frames as they come.

use std::pin::pin;
use std::task::Poll;

use futures_util::{SinkExt, StreamExt, poll};
use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use yawc::{
    DeflateOptions, DeflatePool, Frame, HttpWebSocket, OpCode, Options, UpgradeFut, WebSocket,
};

mod support;

const BATCH: usize = 32;

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let arguments = support::Arguments::parse();
    let mut options = Options {
        compression: arguments.deflate.then(|| deflate(arguments.takeover)),
        ..Options::default()
    };
    if let Some(bytes) = arguments.max_message {
        options = options.with_limits(bytes + 1, 2 * bytes);
    }
    let upload = arguments.upload;
    let listener = TcpListener::bind(&arguments.listen).await?;
    support::announce(listener.local_addr()?)?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let options = options.clone();
        let service = service_fn(move |request| upgrade(request, options.clone(), upload));
        tokio::spawn(
            http1::Builder::new().serve_connection(TokioIo::new(stream), service).with_upgrades(),
        );
    }
}

/// Without takeover one pool serves all connections, as its documentation advises for many of them.
fn deflate(takeover: bool) -> DeflateOptions {
    DeflateOptions {
        // Where a client says that it could use less, it would be told 9 bits.
        client_max_window_bits: takeover.then_some(15),
        server_no_context_takeover: !takeover,
        client_no_context_takeover: !takeover,
        pool: (!takeover).then(|| DeflatePool::new(64)),
        ..DeflateOptions::default()
    }
}

async fn upgrade(
    mut request: Request<Incoming>,
    options: Options,
    upload: bool,
) -> yawc::Result<Response<Empty<Bytes>>> {
    let (response, upgraded) = WebSocket::upgrade_with_options(&mut request, options)?;
    if upload {
        tokio::spawn(count(upgraded));
    } else {
        tokio::spawn(echo(upgraded));
    }
    Ok(response)
}

async fn echo(upgraded: UpgradeFut) -> yawc::Result<()> {
    let mut socket = upgraded.await?;
    loop {
        let mut next = Some(socket.next_frame().await?);
        let mut batch = 0;
        while let Some(frame) = next {
            match frame.opcode() {
                OpCode::Text | OpCode::Binary => socket.feed(frame).await?,
                OpCode::Close => return socket.close().await,
                _ => {}
            }
            batch += 1;
            next = if batch < BATCH { ready(&mut socket).await.transpose()? } else { None };
        }
        socket.flush().await?;
    }
}

/// The next frame, if it is there. `now_or_never` would do but for large messages: it asks with a waker of its own, and
/// the connection then stands still.
async fn ready(socket: &mut HttpWebSocket) -> Option<yawc::Result<Frame>> {
    match poll!(pin!(socket.next_frame())) {
        Poll::Ready(frame) => Some(frame),
        Poll::Pending => None,
    }
}

async fn count(upgraded: UpgradeFut) -> yawc::Result<()> {
    let mut stream = upgraded.await?.into_streaming();
    let mut bytes = 0;
    while let Some(frame) = stream.next().await {
        match frame.opcode() {
            OpCode::Text | OpCode::Binary | OpCode::Continuation => bytes += frame.payload().len(),
            OpCode::Close => break,
            OpCode::Ping | OpCode::Pong => continue,
        }
        if frame.is_fin() {
            stream.send(Frame::text(std::mem::take(&mut bytes).to_string())).await?;
        }
    }
    Ok(())
}
