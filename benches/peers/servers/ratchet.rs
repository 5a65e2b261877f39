//! ratchet as its split Autobahn server has it, except that answers leave together: it flushes when no more is to be read.

use std::pin::pin;
use std::task::Poll;

use bytes::BytesMut;
use futures_util::poll;
use ratchet_rs::deflate::{DeflateConfig, DeflateExtProvider};
use ratchet_rs::{
    Error, ExtensionProvider, Message, NoExtProvider, PayloadType, SplittableExtension,
    SubprotocolRegistry, WebSocketConfig,
};
use tokio::io::{BufReader, BufWriter};
use tokio::net::{TcpListener, TcpStream};

mod support;

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let arguments = support::Arguments::parse();
    let deflate = DeflateConfig {
        // Where it accepts this, it does without context even where nobody asked.
        accept_no_context_takeover: !arguments.takeover,
        ..DeflateConfig::default()
    };
    let listener = TcpListener::bind(&arguments.listen).await?;
    support::announce(listener.local_addr()?)?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        if arguments.deflate {
            tokio::spawn(serve(stream, DeflateExtProvider::with_config(deflate)));
        } else {
            tokio::spawn(serve(stream, NoExtProvider));
        }
    }
}

async fn serve<E>(stream: TcpStream, extension: E) -> Result<(), Error>
where
    E: ExtensionProvider,
    E::Extension: SplittableExtension,
{
    let stream = BufReader::new(BufWriter::new(stream));
    let subprotocols = SubprotocolRegistry::default();
    let config = WebSocketConfig::default();
    let upgrader = ratchet_rs::accept_with(stream, config, extension, subprotocols).await?;
    let (mut sender, mut receiver) = upgrader.upgrade().await?.websocket.split()?;
    let mut message = BytesMut::new();
    loop {
        let received = {
            // A read must not be cancelled, but it can wait while something else is done.
            let mut receive = pin!(receiver.read(&mut message));
            match poll!(receive.as_mut()) {
                Poll::Ready(received) => received?,
                Poll::Pending => {
                    sender.flush().await?;
                    receive.await?
                }
            }
        };
        let kind = match received {
            Message::Text => PayloadType::Text,
            Message::Binary => PayloadType::Binary,
            Message::Ping(_) | Message::Pong(_) => continue,
            Message::Close(_) => return Ok(()),
        };
        sender.write(&mut message, kind).await?;
        message.clear();
    }
}
