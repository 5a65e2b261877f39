//! Ours as a receiver of large messages: they come in parts, and are counted and not kept.

use tautline::reactor::{Context, Handler};
use tautline::{Delivery, Message, Origins, Part, Reactor};

mod support;

struct Count;

impl Handler for Count {
    /// Bytes of the message that is coming.
    type Session = u64;

    fn on_open(&mut self, cx: &mut Context<'_, u64>) {
        cx.set_delivery(Delivery::Parts);
    }

    fn on_part(&mut self, cx: &mut Context<'_, u64>, part: Part<'_>) {
        let bytes = match part.data {
            Message::Text(text) => text.len(),
            Message::Binary(data) => data.len(),
        };
        *cx.session() += bytes as u64;
        if part.last {
            let total = std::mem::take(cx.session());
            cx.send(total.to_string().as_str());
        }
    }

    fn on_message(&mut self, _: &mut Context<'_, u64>, _: Message<'_>) {}
}

fn main() -> std::io::Result<()> {
    let arguments = support::Arguments::parse();
    let reactor = Reactor::new(Count)?.origins(Origins::Any).listen(&arguments.listen)?;
    support::announce(reactor.local_addrs()?[0])?;
    reactor.run()
}
