//! tokio-websockets as its example `echo_server` has it, except that messages that are there already are answered together.
//! Reading flushes what was fed, so they are read first, up to 32, and fed then.

use futures_util::{FutureExt, SinkExt, StreamExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::unconstrained;
use tokio_websockets::{Config, Error, Limits, ServerBuilder};

mod support;

const BATCH: usize = 32;

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let arguments = support::Arguments::parse();
    let limits = match arguments.max_message {
        Some(bytes) => Limits::default().max_payload_len(Some(bytes)),
        None => Limits::default(),
    };
    let listener = TcpListener::bind(&arguments.listen).await?;
    support::announce(listener.local_addr()?)?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(unconstrained(echo(stream, limits)));
    }
}

async fn echo(stream: TcpStream, limits: Limits) -> Result<(), Error> {
    let config = Config::default().frame_size(usize::MAX);
    let (_, mut socket) = ServerBuilder::new().config(config).limits(limits).accept(stream).await?;
    let mut batch = Vec::new();
    while let Some(first) = socket.next().await {
        batch.push(first?);
        while batch.len() < BATCH
            && let Some(Some(next)) = socket.next().now_or_never()
        {
            batch.push(next?);
        }
        for message in batch.drain(..) {
            if message.is_text() || message.is_binary() {
                socket.feed(message).await?;
            }
        }
        socket.flush().await?;
    }
    Ok(())
}
