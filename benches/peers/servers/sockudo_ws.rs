//! sockudo-ws as its README has it: answers are fed, and leave when all that was read has been handled. From a
//! `Compression` to a negotiated stream it goes the way of its own Axum integration.

use bytes::BytesMut;
use futures_util::{Sink, SinkExt, Stream, StreamExt};
use sockudo_ws::deflate::negotiate_server_deflate;
use sockudo_ws::handshake::{build_response, generate_accept_key, parse_request};
use sockudo_ws::{
    CompressedWebSocketStream, Compression, Config, Error, Message, Result, Role, WebSocketStream,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

mod support;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let arguments = support::Arguments::parse();
    let compression = match (arguments.deflate, arguments.takeover) {
        (false, _) => Compression::Disabled,
        (true, false) => Compression::Shared,
        (true, true) => Compression::Dedicated,
    };
    let listener = TcpListener::bind(&arguments.listen).await?;
    support::announce(listener.local_addr()?)?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(serve(stream, compression));
    }
}

async fn serve(mut stream: TcpStream, compression: Compression) -> Result<()> {
    let config = Config::builder().compression(compression).build();
    let mut read = BytesMut::with_capacity(4096);
    loop {
        if stream.read_buf(&mut read).await? == 0 {
            return Err(Error::ConnectionClosed);
        }
        let Some((request, head_bytes)) = parse_request(&read)? else { continue };
        let negotiated = compression
            .to_deflate_config()
            .zip(request.extensions)
            .and_then(|(policy, offers)| negotiate_server_deflate(offers, &policy));
        let extensions = negotiated.as_ref().map(|it| it.to_response_header());
        let accept = generate_accept_key(request.key);
        stream.write_all(&build_response(&accept, None, extensions.as_deref())).await?;
        let rest = Some(read.split_off(head_bytes).freeze());
        return match negotiated {
            Some(negotiated) => {
                let deflate = negotiated.config;
                echo(CompressedWebSocketStream::server_with_leftover(stream, config, deflate, rest))
                    .await
            }
            None => {
                let role = Role::Server;
                echo(WebSocketStream::from_raw_with_leftover(stream, role, config, rest)).await
            }
        };
    }
}

async fn echo<S>(mut stream: S) -> Result<()>
where
    S: Stream<Item = Result<Message>> + Sink<Message, Error = Error> + Unpin,
{
    while let Some(message) = stream.next().await {
        match message? {
            message @ (Message::Text(_) | Message::Binary(_)) => stream.feed(message).await?,
            Message::Close(_) => break,
            Message::Ping(_) | Message::Pong(_) => {}
        }
    }
    Ok(())
}
