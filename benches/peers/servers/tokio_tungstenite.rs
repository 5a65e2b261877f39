//! tokio-tungstenite as its examples have it. `echo-server` forwards the stream into the sink, which feeds while there is
//! something to read and flushes when there is not; `server` has a channel for each client, and sends a message to all.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;

use futures_channel::mpsc::{UnboundedSender, unbounded};
use futures_util::{StreamExt, TryStreamExt, future};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::task::LocalSet;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, accept_async_with_config};

mod support;
mod tls;

/// The example has a mutex here, since it runs on several threads.
type Clients = Rc<RefCell<HashMap<SocketAddr, UnboundedSender<Message>>>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    LocalSet::new().run_until(serve()).await
}

async fn serve() -> std::io::Result<()> {
    let arguments = support::Arguments::parse();
    let mut config = WebSocketConfig::default();
    if let Some(bytes) = arguments.max_message {
        config = config.max_message_size(Some(bytes)).max_frame_size(Some(bytes));
    }
    let tls = tls::acceptor(&arguments)?;
    let clients = arguments.broadcast.then(Clients::default);
    let listener = TcpListener::bind(&arguments.listen).await?;
    support::announce(listener.local_addr()?)?;
    loop {
        let (stream, address) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let clients = clients.clone();
        match tls.clone() {
            Some(tls) => drop(tokio::task::spawn_local(async move {
                open(tls.accept(stream).await?, address, config, clients).await
            })),
            None => drop(tokio::task::spawn_local(open(stream, address, config, clients))),
        }
    }
}

async fn open<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    address: SocketAddr,
    config: WebSocketConfig,
    clients: Option<Clients>,
) -> Result<(), Error> {
    let socket = accept_async_with_config(stream, Some(config)).await?;
    match clients {
        Some(clients) => broadcast(socket, address, &clients).await,
        None => echo(socket).await,
    }
}

async fn echo<S: AsyncRead + AsyncWrite + Unpin>(socket: WebSocketStream<S>) -> Result<(), Error> {
    let (sink, stream) = socket.split();
    stream.try_filter(|it| future::ready(it.is_text() || it.is_binary())).forward(sink).await
}

async fn broadcast<S: AsyncRead + AsyncWrite + Unpin>(
    socket: WebSocketStream<S>,
    address: SocketAddr,
    clients: &Clients,
) -> Result<(), Error> {
    let (sender, receiver) = unbounded();
    clients.borrow_mut().insert(address, sender);
    let (sink, stream) = socket.split();
    let received = stream.try_for_each(|message| {
        if message.is_text() || message.is_binary() {
            for client in clients.borrow().values() {
                // One that has gone takes itself off the list.
                let _ = client.unbounded_send(message.clone());
            }
        }
        future::ok(())
    });
    let sent = receiver.map(Ok).forward(sink);
    future::select(pin!(received), pin!(sent)).await;
    clients.borrow_mut().remove(&address);
    Ok(())
}
