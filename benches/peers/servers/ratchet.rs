//! ratchet as its split Autobahn server has it. It flushes each message itself, so that nothing can be gained by waiting.

use bytes::BytesMut;
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
    let mut config = WebSocketConfig::default();
    if let Some(bytes) = arguments.max_message {
        config.max_message_size = bytes;
    }
    let listener = TcpListener::bind(&arguments.listen).await?;
    support::announce(listener.local_addr()?)?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        if arguments.deflate {
            tokio::spawn(serve(stream, config, DeflateExtProvider::with_config(deflate)));
        } else {
            tokio::spawn(serve(stream, config, NoExtProvider));
        }
    }
}

async fn serve<E>(stream: TcpStream, config: WebSocketConfig, extension: E) -> Result<(), Error>
where
    E: ExtensionProvider,
    E::Extension: SplittableExtension,
{
    let stream = BufReader::new(BufWriter::new(stream));
    let subprotocols = SubprotocolRegistry::default();
    let upgrader = ratchet_rs::accept_with(stream, config, extension, subprotocols).await?;
    let (mut sender, mut receiver) = upgrader.upgrade().await?.websocket.split()?;
    let mut message = BytesMut::new();
    loop {
        let kind = match receiver.read(&mut message).await? {
            Message::Text => PayloadType::Text,
            Message::Binary => PayloadType::Binary,
            Message::Ping(_) | Message::Pong(_) => continue,
            Message::Close(_) => return Ok(()),
        };
        sender.write(&mut message, kind).await?;
        message.clear();
    }
}
