//! fastwebsockets as its example `echo_server` has it: each answer is written before the next message is read. It has
//! nothing like `feed`, and reading must not be cancelled, so that nobody can see whether more is there. With TLS it is its
//! example `tls_server`, which writes a frame in one piece.

use fastwebsockets::{FragmentCollector, Frame, OpCode, Payload, WebSocketError, upgrade};
use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::task::unconstrained;

mod support;
mod tls;

#[derive(Clone, Copy)]
struct Options {
    max_message: Option<usize>,
    upload: bool,
    /// Write header and payload from where they lie.
    vectored: bool,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let arguments = support::Arguments::parse();
    let tls = tls::acceptor(&arguments)?;
    let options = Options {
        max_message: arguments.max_message,
        upload: arguments.upload,
        vectored: tls.is_none(),
    };
    let listener = TcpListener::bind(&arguments.listen).await?;
    support::announce(listener.local_addr()?)?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        match tls.clone() {
            Some(tls) => drop(tokio::spawn(async move {
                serve(tls.accept(stream).await?, options).await.map_err(std::io::Error::other)
            })),
            None => drop(tokio::spawn(serve(stream, options))),
        }
    }
}

async fn serve<S>(stream: S, options: Options) -> hyper::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request| accept(request, options));
    http1::Builder::new().serve_connection(TokioIo::new(stream), service).with_upgrades().await
}

async fn accept(
    mut request: Request<Incoming>,
    options: Options,
) -> Result<Response<Empty<Bytes>>, WebSocketError> {
    let (response, upgraded) = upgrade::upgrade(&mut request)?;
    if options.upload {
        tokio::spawn(unconstrained(count(upgraded, options)));
    } else {
        tokio::spawn(unconstrained(echo(upgraded, options)));
    }
    Ok(response)
}

async fn echo(upgraded: upgrade::UpgradeFut, options: Options) -> Result<(), WebSocketError> {
    let mut socket = upgraded.await?;
    if let Some(bytes) = options.max_message {
        socket.set_max_message_size(bytes + 1);
    }
    socket.set_writev(options.vectored);
    let mut socket = FragmentCollector::new(socket);
    loop {
        let frame = socket.read_frame().await?;
        match frame.opcode {
            OpCode::Close => return Ok(()),
            OpCode::Text | OpCode::Binary => socket.write_frame(frame).await?,
            OpCode::Continuation | OpCode::Ping | OpCode::Pong => {}
        }
    }
}

/// Without the collector, fragments come one by one.
async fn count(upgraded: upgrade::UpgradeFut, options: Options) -> Result<(), WebSocketError> {
    let mut socket = upgraded.await?;
    if let Some(bytes) = options.max_message {
        socket.set_max_message_size(bytes + 1);
    }
    let mut bytes = 0;
    loop {
        let frame = socket.read_frame().await?;
        match frame.opcode {
            OpCode::Close => return Ok(()),
            OpCode::Text | OpCode::Binary | OpCode::Continuation => bytes += frame.payload.len(),
            OpCode::Ping | OpCode::Pong => continue,
        }
        if frame.fin {
            let text = std::mem::take(&mut bytes).to_string().into_bytes();
            socket.write_frame(Frame::text(Payload::Owned(text))).await?;
        }
    }
}
