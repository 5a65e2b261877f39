//! Messages like those of real traffic: objects with ids, times, names, figures and short texts.
//!
//! They are the same in every run. They are ASCII, as most JSON is: other text would cost a server that keeps strings as
//! UTF-16 (Bun) another conversion.

const NAMES: [&str; 12] = [
    "Maria Keller",
    "Ivan Petrov",
    "Aisha Khan",
    "John Miller",
    "Chen Wei",
    "Lucia Rossi",
    "Tom Becker",
    "Nora Lind",
    "Pedro Alves",
    "Emma Novak",
    "Omar Said",
    "Yuki Tanaka",
];
const KINDS: [&str; 6] =
    ["order.update", "price.change", "chat.message", "user.joined", "cart.changed", "job.finished"];
const TAGS: [&str; 8] =
    ["new", "sale", "urgent", "eu-west", "priority", "mobile", "archived", "beta"];
const WORDS: [&str; 48] = [
    "the", "order", "has", "left", "our", "store", "and", "will", "arrive", "on", "Monday",
    "please", "check", "your", "address", "before", "noon", "thank", "you", "for", "waiting", "we",
    "could", "not", "reach", "customer", "again", "meeting", "moved", "to", "room", "seven", "new",
    "price", "is", "lower", "than", "last", "week", "build", "failed", "at", "step", "three",
    "see", "log", "for", "details",
];

/// Distinct objects, each of exactly so many bytes (at least 128).
pub fn messages(bytes: usize, count: usize) -> Vec<String> {
    let mut dice = Dice(bytes as u64);
    (0..count).map(|_| message(bytes, &mut dice)).collect()
}

/// A header, as many items as there is room for, and a text that fills the rest.
fn message(bytes: usize, dice: &mut Dice) -> String {
    let mut text = format!(
        r#"{{"id":{},"type":"{}","at":"{}","name":"{}","value":{}.{:02}"#,
        10_000_000 + dice.below(90_000_000),
        dice.pick(&KINDS),
        dice.time(),
        dice.pick(&NAMES),
        dice.below(1000),
        dice.below(100),
    );
    let mut items = 0;
    loop {
        let item = item(dice);
        // Room for the item, its brackets, and some text behind it.
        if text.len() + item.len() + 64 > bytes {
            break;
        }
        text.push_str(if items == 0 { r#","items":["# } else { "," });
        text.push_str(&item);
        items += 1;
    }
    if items > 0 {
        text.push(']');
    }
    text.push_str(r#","text":""#);
    let room = bytes - text.len() - 2;
    text.push_str(&words(room, dice)[..room]);
    text.push_str(r#""}"#);
    text
}

fn item(dice: &mut Dice) -> String {
    let note_bytes = 12 + dice.below(40);
    format!(
        r#"{{"id":"{:016x}","name":"{}","price":{}.{:02},"score":0.{:06},"tags":["{}","{}"],"active":{},"updated":{},"note":"{}"}}"#,
        dice.next(),
        dice.pick(&NAMES),
        dice.below(5000),
        dice.below(100),
        dice.below(1_000_000),
        dice.pick(&TAGS),
        dice.pick(&TAGS),
        dice.below(3) > 0,
        1_790_000_000_000 + dice.next() % 5_000_000_000,
        words(note_bytes, dice).trim_end(),
    )
}

/// Words, at least so many bytes.
fn words(bytes: usize, dice: &mut Dice) -> String {
    let mut text = String::new();
    while text.len() < bytes {
        text.push_str(dice.pick(&WORDS));
        text.push(' ');
    }
    text
}

/// SplitMix64: the same figures everywhere and for ever.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }

    fn time(&mut self) -> String {
        let (month, day) = (1 + self.below(12), 1 + self.below(28));
        let (hour, minute, second) = (self.below(24), self.below(60), self.below(60));
        let millis = self.below(1000);
        format!("2026-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn messages_are_distinct_and_of_the_length_that_is_asked_for() {
        for (bytes, count) in [(128, 512), (1024, 64), (16 * 1024, 64)] {
            let made = messages(bytes, count);
            assert!(made.iter().all(|it| it.len() == bytes && it.is_ascii()));
            assert_eq!(made.iter().collect::<BTreeSet<_>>().len(), count);
            assert_eq!(made, messages(bytes, count));
        }
    }

    #[test]
    fn brackets_and_quotes_are_closed() {
        for message in messages(1024, 64) {
            let count = |of: char| message.matches(of).count();
            assert_eq!((count('{'), count('[')), (count('}'), count(']')));
            assert_eq!(count('"') % 2, 0);
        }
    }
}
