//! Our echo server at the level that zlib and most peers have by default, where ours is 1.

use tautline::deflate::Level;
use tautline::reactor::{Context, Handler};
use tautline::{Deflate, Message, Origins, Reactor};

mod support;

struct Echo;

impl Handler for Echo {
    type Session = ();

    fn on_message(&mut self, cx: &mut Context<'_, ()>, message: Message<'_>) {
        cx.send(message);
    }
}

fn main() -> std::io::Result<()> {
    let arguments = support::Arguments::parse();
    let mut reactor = Reactor::new(Echo)?.origins(Origins::Any);
    if arguments.deflate {
        let mut deflate = Deflate::default();
        deflate.level = Level::new(6).expect("1 to 9");
        deflate.sending.context_takeover = arguments.takeover;
        deflate.receiving.context_takeover = arguments.takeover;
        reactor = reactor.deflate(deflate);
    }
    let reactor = reactor.listen(&arguments.listen)?;
    support::announce(reactor.local_addrs()?[0])?;
    reactor.run()
}
