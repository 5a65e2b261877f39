//! What others have written, for a terminal: nothing in it can move the cursor, change a colour, or turn text around.

use std::fmt::Write as _;

/// What a line begins with that goes on with a message.
const GOES_ON: &str = "\n      | ";

/// Text on one line.
pub(super) fn neutral(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    text.chars().for_each(|c| push(&mut shown, c));
    shown
}

/// A message of several lines: those after the first are marked, so that none looks like another message.
pub(super) fn neutral_lines(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.replace("\r\n", "\n").chars() {
        match c {
            '\n' => shown.push_str(GOES_ON),
            '\t' => shown.push_str("    "),
            c => push(&mut shown, c),
        }
    }
    shown
}

fn push(shown: &mut String, c: char) {
    match u32::from(c) {
        // Their pictures.
        0x7F => shown.push('\u{2421}'),
        code @ 0..0x20 => shown.push(char::from_u32(0x2400 + code).unwrap_or('\u{FFFD}')),
        // Writing to a string does not fail.
        code if is_harmful(c) => _ = write!(shown, "<U+{code:04X}>"),
        _ => shown.push(c),
    }
}

/// Control characters, what turns the direction of text, and what ends a line.
fn is_harmful(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{061C}' | '\u{200B}' | '\u{200E}' | '\u{200F}' | '\u{2028}'..='\u{202E}'
            | '\u{2060}'..='\u{206F}' | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}')
}

/// JSON that means the same, and has such characters as escapes.
pub(super) fn neutral_json(line: &str) -> String {
    let mut shown = String::with_capacity(line.len());
    for c in line.chars() {
        if is_harmful(c) {
            _ = write!(shown, "\\u{:04x}", u32::from(c));
        } else {
            shown.push(c);
        }
    }
    shown
}

/// The clock on the wall.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Clock {
    /// Minutes that it is ahead of UTC.
    ahead_min: i64,
}

impl Clock {
    /// In this machine's zone, as far as it can be known; otherwise UTC.
    pub(super) fn of_this_machine() -> Self {
        // The standard library knows no zones, and this program has no library for them.
        let asked = if cfg!(unix) {
            std::process::Command::new("date").arg("+%z").output().ok()
        } else {
            None
        };
        let text = asked.map(|it| String::from_utf8_lossy(&it.stdout).into_owned());
        Self { ahead_min: text.and_then(|it| offset_min(it.trim())).unwrap_or(0) }
    }

    /// Milliseconds since 1970 as `12:03`.
    pub(super) fn show(self, ts: u64) -> String {
        let minutes = i64::try_from(ts / 60_000).unwrap_or(0).saturating_add(self.ahead_min);
        format!("{:02}:{:02}", minutes.div_euclid(60).rem_euclid(24), minutes.rem_euclid(60))
    }
}

/// `+0130` is 90.
fn offset_min(text: &str) -> Option<i64> {
    let (sign, digits) = match (text.strip_prefix('+'), text.strip_prefix('-')) {
        (Some(digits), _) => (1, digits),
        (None, Some(digits)) => (-1, digits),
        (None, None) => return None,
    };
    let number = digits.parse::<i64>().ok().filter(|_| digits.len() == 4)?;
    Some(sign * (number / 100 * 60 + number % 100))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_text_can_control_the_terminal() {
        let table = [
            ("plain, Zoë 李 🌱 👩‍👩‍👧", "plain, Zoë 李 🌱 👩‍👩‍👧"),
            ("\u{1b}[2J\u{1b}]0;title\u{7}", "␛[2J␛]0;title␇"),
            ("\u{9b}31m", "<U+009B>31m"),
            ("a\rb\u{8}c\u{7f}", "a␍b␈c␡"),
            ("\u{202e}evil\u{2066}", "<U+202E>evil<U+2066>"),
            ("a\u{2028}12:00 bob: no", "a<U+2028>12:00 bob: no"),
        ];
        for (text, shown) in table {
            assert_eq!(neutral(text), shown);
            assert_eq!(neutral_lines(text), shown);
        }
        assert_eq!(neutral("a\nb"), "a␊b");
        assert_eq!(neutral_lines("a\r\nb\tc"), "a\n      | b    c");
    }

    #[test]
    fn json_keeps_its_meaning() {
        let line = "{\"text\":\"\u{202e}\u{9b}1m ok \\u001b\"}";
        let shown = neutral_json(line);
        assert_eq!(shown, r#"{"text":"\u202e\u009b1m ok \u001b"}"#);
        let parse = |it: &str| serde_json::from_str::<serde_json::Value>(it).unwrap();
        assert_eq!(parse(&shown), parse(line));
    }

    #[test]
    fn times_are_those_of_the_wall() {
        let at = |ahead_min| Clock { ahead_min }.show(1_790_000_000_000);
        assert_eq!([at(0), at(600), at(-900)], ["14:13", "00:13", "23:13"]);
        let offsets = ["+0000", "+0130", "-0330", "UTC", "+1"].map(offset_min);
        assert_eq!(offsets, [Some(0), Some(90), Some(-210), None, None]);
    }
}
