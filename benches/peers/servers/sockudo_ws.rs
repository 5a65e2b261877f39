//! sockudo-ws as its README has it: answers are fed, and leave when all that was read has been handled. From a
//! `Compression` to a negotiated stream it goes the way of its own Axum integration. To all clients it sends with its
//! `PubSub`, with a channel for each; what is in the channel is fed and flushed together, which its example does not do.

use std::sync::Arc;

use bytes::BytesMut;
use futures_util::{Sink, SinkExt, Stream, StreamExt};
use sockudo_ws::deflate::negotiate_server_deflate;
use sockudo_ws::handshake::{build_response, generate_accept_key, parse_request};
use sockudo_ws::{
    CompressedWebSocketStream, Compression, Config, Error, Message, PubSub, Result, Role,
    WebSocketStream,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

mod support;
mod tls;

const TOPIC: &str = "all";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let arguments = support::Arguments::parse();
    let compression = match (arguments.deflate, arguments.takeover) {
        (false, _) => Compression::Disabled,
        (true, false) => Compression::Shared,
        (true, true) => Compression::Dedicated,
    };
    let mut config = Config::builder().compression(compression);
    if let Some(bytes) = arguments.max_message {
        config = config.max_payload_length(bytes);
    }
    let config = config.build();
    let topics = arguments.broadcast.then(|| Arc::new(PubSub::new()));
    let tls = tls::acceptor(&arguments)?;
    let listener = TcpListener::bind(&arguments.listen).await?;
    support::announce(listener.local_addr()?)?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let (config, topics) = (config.clone(), topics.clone());
        match tls.clone() {
            Some(tls) => drop(tokio::spawn(async move {
                serve(tls.accept(stream).await?, compression, config, topics).await
            })),
            None => drop(tokio::spawn(serve(stream, compression, config, topics))),
        }
    }
}

async fn serve<S>(
    mut stream: S,
    compression: Compression,
    config: Config,
    topics: Option<Arc<PubSub>>,
) -> Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
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
        let rest = (head_bytes < read.len()).then(|| read.split_off(head_bytes).freeze());
        // In a task of its own, so that an idle connection does not keep what its handshake needed.
        match negotiated {
            Some(negotiated) => {
                let deflate = negotiated.config;
                tokio::spawn(echo(CompressedWebSocketStream::server_with_leftover(
                    stream, config, deflate, rest,
                )));
            }
            None => {
                let role = Role::Server;
                let stream = WebSocketStream::from_raw_with_leftover(stream, role, config, rest);
                match topics {
                    Some(topics) => drop(tokio::spawn(broadcast(stream, topics))),
                    None => drop(tokio::spawn(echo(stream))),
                }
            }
        }
        return Ok(());
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

async fn broadcast<S>(mut stream: WebSocketStream<S>, topics: Arc<PubSub>) -> Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let subscriber = topics.create_subscriber(sender);
    topics.subscribe(subscriber, TOPIC);
    let ended = loop {
        tokio::select! {
            message = stream.next() => match message {
                Some(Ok(message @ (Message::Text(_) | Message::Binary(_)))) => {
                    topics.publish(TOPIC, message);
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(Message::Close(_))) | None => break Ok(()),
                Some(Err(error)) => break Err(error),
            },
            Some(message) = receiver.recv() => {
                if let Err(error) = send(&mut stream, message, &mut receiver).await {
                    break Err(error);
                }
            }
        }
    };
    topics.remove_subscriber(subscriber);
    ended
}

/// Sends a message and all that wait behind it.
async fn send<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut WebSocketStream<S>,
    first: Message,
    receiver: &mut mpsc::UnboundedReceiver<Message>,
) -> Result<()> {
    stream.feed(first).await?;
    while let Ok(message) = receiver.try_recv() {
        stream.feed(message).await?;
    }
    stream.flush().await
}
