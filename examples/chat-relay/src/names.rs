//! Names of people and of rooms: which ones are allowed, and when two are the same.
//!
//! A name is shown to others, so it must not pretend: no control characters, nothing invisible, nothing that turns
//! the direction of the text around it. Names are kept in Unicode's normalization form C, so that one composed
//! differently is the same. Lookalikes from different scripts are not told apart here.

use std::fmt;
use std::sync::Arc;

use unicode_normalization::UnicodeNormalization;

/// A person's name as it is shown, and as it is compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PersonName {
    /// As its owner wrote it.
    pub shown: Arc<str>,
    /// Without case: two people whose names differ only in case would be taken for each other.
    pub key: Arc<str>,
}

impl PersonName {
    /// The name, if it is allowed.
    ///
    /// # Errors
    ///
    /// Says which rule the name breaks.
    pub fn new(name: &str, chars_max: usize) -> Result<Self, NameProblem> {
        // Nothing is composed of more than four times as many.
        if name.chars().nth(chars_max.saturating_mul(4)).is_some() {
            return Err(NameProblem::TooLong);
        }
        let shown: String = name.nfc().collect();
        check(&shown, chars_max)?;
        // By way of upper case, where `ß` and `ss` are one, and the two small sigmas.
        let key: String = shown.to_uppercase().to_lowercase().nfc().collect();
        if key == "you" {
            return Err(NameProblem::Reserved);
        }
        Ok(Self { shown: shown.into(), key: key.into() })
    }
}

/// The name of a room, if it is allowed: as a person's, and in lower case, so that nobody waits in `Lobby` for people
/// who are in `lobby`.
///
/// # Errors
///
/// Says which rule the name breaks.
pub fn room_name(name: &str, chars_max: usize) -> Result<Arc<str>, NameProblem> {
    check(name, chars_max)?;
    if name.starts_with('@') {
        return Err(NameProblem::OfTwo);
    }
    if name.to_lowercase() != name {
        return Err(NameProblem::NotLowerCase);
    }
    if name.nfc().ne(name.chars()) {
        return Err(NameProblem::NotComposed);
    }
    Ok(name.into())
}

/// The rule that a name breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameProblem {
    /// Nothing in it that could be read out.
    NoLetterOrDigit,
    /// More characters than the limit.
    TooLong,
    /// A space at an end, or two in a row.
    Spaces,
    /// A control character, an invisible one, or one that turns the direction of text.
    NotShowable,
    /// A room's name with a capital letter.
    NotLowerCase,
    /// A room's name that is not in normalization form C.
    NotComposed,
    /// What pages call the person before them.
    Reserved,
    /// A room's name that begins as those of rooms of two do.
    OfTwo,
}

impl fmt::Display for NameProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoLetterOrDigit => "a name needs a letter or a digit",
            Self::TooLong => "the name is too long",
            Self::Spaces => "a name has no space at its ends, and never two in a row",
            Self::NotShowable => "a name has no control characters and nothing invisible",
            Self::NotLowerCase => "a room's name is in lower case",
            Self::NotComposed => "a room's name is composed: normalization form C",
            Self::OfTwo => "a name that begins with @ is that of a room of two",
            Self::Reserved => "this name is taken by everybody; choose another",
        })
    }
}

fn check(name: &str, chars_max: usize) -> Result<(), NameProblem> {
    if name.chars().nth(chars_max).is_some() {
        return Err(NameProblem::TooLong);
    }
    if name.chars().any(not_showable) {
        return Err(NameProblem::NotShowable);
    }
    if name.starts_with(' ') || name.ends_with(' ') || name.contains("  ") {
        return Err(NameProblem::Spaces);
    }
    if !name.chars().any(char::is_alphanumeric) {
        return Err(NameProblem::NoLetterOrDigit);
    }
    Ok(())
}

/// Control characters, spaces other than U+0020, noncharacters, private use, and what the Unicode standard calls
/// default ignorable: joiners, marks and overrides of direction, fillers, variation selectors, tags.
fn not_showable(c: char) -> bool {
    c.is_control()
        || (c.is_whitespace() && c != ' ')
        || matches!(u32::from(c) & 0xFFFF, 0xFFFE | 0xFFFF)
        || matches!(c,
            '\u{00AD}' | '\u{034F}' | '\u{061C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}'
            | '\u{180B}'..='\u{180F}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}'
            | '\u{2060}'..='\u{206F}' | '\u{2800}' | '\u{3164}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}'
            | '\u{FFA0}' | '\u{FFF0}'..='\u{FFFB}' | '\u{1BCA0}'..='\u{1BCA3}'
            | '\u{1D173}'..='\u{1D17A}' | '\u{E0000}'..='\u{E0FFF}'
            // Format characters of single scripts, the object replacement character, noncharacters, private use.
            | '\u{0600}'..='\u{0605}' | '\u{06DD}' | '\u{070F}' | '\u{0890}'..='\u{0891}' | '\u{08E2}' | '\u{FFFC}'
            | '\u{16FE4}' | '\u{110BD}' | '\u{110CD}' | '\u{13430}'..='\u{1345F}' | '\u{FDD0}'..='\u{FDEF}'
            | '\u{E000}'..='\u{F8FF}' | '\u{F0000}'..='\u{10FFFF}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_people_have_are_allowed() {
        for name in [
            "a",
            "Ada Lovelace",
            "Łukasz",
            "李小龙",
            "محمد",
            "O'Neill",
            "x_42",
            "7",
            "Zoë 🌱",
            "-a-",
        ] {
            assert!(PersonName::new(name, 32).is_ok(), "{name:?}");
        }
        assert!(PersonName::new(&"é".repeat(32), 32).is_ok());
    }

    #[test]
    fn names_that_would_deceive_are_refused() {
        let table = [
            ("", NameProblem::NoLetterOrDigit),
            ("🌱", NameProblem::NoLetterOrDigit),
            ("...", NameProblem::NoLetterOrDigit),
            (" a", NameProblem::Spaces),
            ("a ", NameProblem::Spaces),
            ("a  b", NameProblem::Spaces),
            ("a\nb", NameProblem::NotShowable),
            ("a\0", NameProblem::NotShowable),
            ("a\u{7f}", NameProblem::NotShowable),
            ("a\u{85}b", NameProblem::NotShowable),
            ("a\u{a0}b", NameProblem::NotShowable),
            ("a\u{2028}b", NameProblem::NotShowable),
            ("\u{202e}ecila", NameProblem::NotShowable),
            ("a\u{2066}b\u{2069}", NameProblem::NotShowable),
            ("a\u{200f}", NameProblem::NotShowable),
            ("a\u{200b}", NameProblem::NotShowable),
            ("a\u{200d}", NameProblem::NotShowable),
            ("a\u{feff}", NameProblem::NotShowable),
            ("a\u{3164}", NameProblem::NotShowable),
            ("a\u{e0041}", NameProblem::NotShowable),
            ("a\u{ffff}", NameProblem::NotShowable),
            ("a\u{1fffe}", NameProblem::NotShowable),
            ("a\u{e000}", NameProblem::NotShowable),
            ("a\u{6dd}", NameProblem::NotShowable),
        ];
        for (name, problem) in table {
            assert_eq!(PersonName::new(name, 32), Err(problem), "{name:?}");
            assert_eq!(room_name(name, 32), Err(problem), "{name:?}");
        }
        assert_eq!(PersonName::new(&"é".repeat(33), 32), Err(NameProblem::TooLong));
        assert_eq!(PersonName::new("You", 32), Err(NameProblem::Reserved));
    }

    #[test]
    fn people_are_told_apart_without_case_and_rooms_have_none() {
        let [one, two] = ["Alice", "aLICE"].map(|it| PersonName::new(it, 32).unwrap());
        assert_eq!(one.key, two.key);
        assert_eq!(&*one.shown, "Alice");
        for (one, two) in
            [("ΝΙΚΟΣ", "νικοσ"), ("νικος", "νικοσ"), ("STRAUSS", "Strauß"), ("ſam", "Sam")]
        {
            let [one, two] = [one, two].map(|it| PersonName::new(it, 32).unwrap().key);
            assert_eq!(one, two);
        }
        assert_eq!(room_name("Lobby", 32), Err(NameProblem::NotLowerCase));
        assert_eq!(room_name("lobby 2", 32).as_deref(), Ok("lobby 2"));
    }
}
