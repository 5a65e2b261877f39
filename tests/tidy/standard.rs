//! The standards that are cited, section by section, and the citations of them in the code and in its tests.
use std::fs;
use std::ops::Range;

use crate::{root, sources};

/// The standards, each with the names that head and foot its pages.
pub(crate) const STANDARDS: [(&str, [&str; 2]); 2] =
    [("rfc6455", ["RFC 6455 ", "Fette & Melnikov "]), ("rfc7692", ["RFC 7692 ", "Yoshino  "])];

/// The words by which a standard requires something (RFC 2119). In quotes they are only spoken of.
const KEYWORDS: [&str; 3] = ["MUST", "REQUIRED", "SHALL"];

/// A section of a standard, as one line of words.
pub(crate) struct Section {
    pub(crate) number: String,
    pub(crate) text: String,
    /// Where its sentences lie in the text.
    sentences: Vec<Range<usize>>,
    /// The last sentence ended.
    ended: bool,
}

/// The text of a standard, as it was published.
fn published(name: &str) -> String {
    fs::read_to_string(root().join(format!("tests/tidy/{name}.txt"))).unwrap()
}

/// The sections of a standard.
pub(crate) fn sections((name, margins): (&str, [&str; 2])) -> Vec<Section> {
    parse(&published(name), margins)
}

/// The sections of a text, without the breaks, heads and feet of its pages.
pub(crate) fn parse(text: &str, margins: [&str; 2]) -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::new();
    let mut blank = Blank::None;
    for line in text.lines().map(|line| line.trim_start_matches('\u{c}')) {
        if margins.iter().any(|it| line.starts_with(it)) {
            blank = Blank::Page;
        } else if line.trim().is_empty() {
            blank = if blank == Blank::Page { Blank::Page } else { Blank::Line };
        } else if let Some(number) = heading(line) {
            sections.push(Section::new(number));
            blank = Blank::Line;
        } else {
            if let Some(section) = sections.last_mut() {
                section.push(line, blank == Blank::Line);
            }
            blank = Blank::None;
        }
    }
    sections
}

/// What stood since the last line of text. A paragraph goes on over the end of a page.
#[derive(Clone, Copy, PartialEq)]
enum Blank {
    None,
    Line,
    Page,
}

/// The number of the section that a line opens. Lines of the text and of the contents are indented.
fn heading(line: &str) -> Option<&str> {
    let number = line.split(' ').next()?.strip_suffix('.')?;
    number.split('.').all(|it| it.parse::<u8>().is_ok()).then_some(number)
}

impl Section {
    fn new(number: &str) -> Self {
        Self { number: number.into(), text: String::new(), sentences: Vec::new(), ended: true }
    }

    fn push(&mut self, line: &str, begins_paragraph: bool) {
        self.ended |= begins_paragraph;
        let is_item = |word| is_marker(word) && line.trim() != word;
        for (index, word) in line.split_whitespace().enumerate() {
            let is_marker = index == 0 && is_item(word);
            if !self.text.is_empty() {
                self.text.push(' ');
            }
            let start = self.text.len();
            self.text.push_str(word);
            match self.sentences.last_mut() {
                Some(sentence) if !self.ended && !is_marker => sentence.end = self.text.len(),
                _ => self.sentences.push(start..self.text.len()),
            }
            self.ended = is_marker || ends_sentence(word);
        }
    }

    /// The sentences that require something, each with the places of the words by which it does.
    pub(crate) fn requirements(&self) -> impl Iterator<Item = (&str, Vec<usize>)> {
        self.sentences.iter().filter_map(|sentence| {
            let text = &self.text[sentence.clone()];
            let keywords: Vec<_> = words_of(text)
                .filter(|(_, word)| {
                    KEYWORDS.contains(&word.trim_end_matches([',', ';', ':', '.', ')']))
                })
                .map(|(at, _)| sentence.start + at)
                .collect();
            (!keywords.is_empty()).then_some((text, keywords))
        })
    }
}

/// The words of a line, each with its place.
fn words_of(line: &str) -> impl Iterator<Item = (usize, &str)> {
    line.split(' ').map(move |word| (word.as_ptr() as usize - line.as_ptr() as usize, word))
}

/// What stands before an item of a list: a number or a bullet.
/// A line that is nothing but a number ends a sentence with it.
fn is_marker(word: &str) -> bool {
    word == "o" || word == "*" || word.strip_suffix('.').is_some_and(|it| it.parse::<u8>().is_ok())
}

fn ends_sentence(word: &str) -> bool {
    word != "(cf." && word.trim_end_matches([')', '"']).ends_with(['.', '?', '!'])
}

/// A quotation of a standard in the sources.
pub(crate) struct Citation {
    /// File and line.
    pub(crate) at: String,
    /// Which of the [`STANDARDS`], and the number of the section.
    pub(crate) standard: usize,
    pub(crate) section: String,
    pub(crate) text: String,
    /// Whether it stands with the tests, and not with what they test.
    pub(crate) in_tests: bool,
}

/// All citations: a line that names the section, and the lines of the sentence.
pub(crate) fn citations() -> Vec<Citation> {
    let mut citations = Vec::new();
    for source in sources(&["src", "tests"]) {
        let mut in_tests = source.path.starts_with("tests");
        let mut lines = source.text.lines().enumerate().peekable();
        while let Some((number, line)) = lines.next() {
            in_tests |= line.starts_with("#[cfg(test)]");
            let at = format!("{}:{}", source.path.display(), number + 1);
            let Some(target) = line.trim_start().strip_prefix("//= ") else {
                let alone = line.trim_start().starts_with("//# ");
                assert!(!alone, "{at}: a sentence without its section");
                continue;
            };
            let cited = |(name, _): &(&str, _)| {
                target.strip_prefix(&format!("https://www.rfc-editor.org/rfc/{name}#section-"))
            };
            let cited =
                STANDARDS.iter().enumerate().find_map(|(index, it)| Some((index, cited(it)?)));
            let (standard, section) = cited.unwrap_or_else(|| panic!("{at}: what is {target}?"));
            let mut text = String::new();
            while let Some((_, next)) = lines.next_if(|(_, it)| it.trim_start().starts_with("//#"))
            {
                text.push_str(next.trim_start().trim_start_matches("//#"));
                text.push(' ');
            }
            let text = words(&text);
            assert!(!text.is_empty(), "{at}: no sentence");
            citations.push(Citation { at, standard, section: section.into(), text, in_tests });
        }
    }
    citations
}

/// The words of a text, with one space between two.
pub(crate) fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn each_citation_is_a_sentence_of_the_section_that_it_names() {
    let standards = STANDARDS.map(sections);
    let citations = citations();
    for Citation { at, standard, section, text, .. } in &citations {
        let found = standards[*standard].iter().find(|it| it.number == *section);
        let found = found.unwrap_or_else(|| panic!("{at}: there is no section {section}"));
        assert!(found.text.contains(text), "{at}: section {section} does not say: {text}");
    }
    let count = |standard| citations.iter().filter(|it| it.standard == standard).count();
    assert!(count(0) > 30 && count(1) > 10, "{} and {} citations", count(0), count(1));
}

#[test]
fn a_sentence_goes_on_over_a_page_and_ends_with_its_paragraph_or_its_item_of_a_list() {
    let text = "\
1.  First

   It MUST go on (e.g., over 2 lines,
   or over a page:

Foot [Page 1]
\u{c}
Head 1

   here). Nothing is asked
   for.  The \"MUST\" is spoken of.  Steps that are REQUIRED:

   1.  One MUST be
       13.
   2.  Two.
   o  Three SHALL NOT
   o  four

1.1.  Second

   a = b ; it MUST, and MUST NOT
";
    let sections = parse(text, ["Head ", "Foot "]);
    let found: Vec<_> = sections
        .iter()
        .flat_map(|it| it.requirements().map(|found| (&it.number[..], found.0, found.1.len())))
        .collect();
    let expected = [
        ("1", "It MUST go on (e.g., over 2 lines, or over a page: here).", 1),
        ("1", "Steps that are REQUIRED:", 1),
        ("1", "One MUST be 13.", 1),
        ("1", "Three SHALL NOT", 1),
        ("1.1", "a = b ; it MUST, and MUST NOT", 2),
    ];
    assert_eq!(found, expected);
}

#[test]
fn no_word_that_requires_something_is_overlooked() {
    for standard in STANDARDS {
        let text = published(standard.0);
        let said = KEYWORDS.iter().flat_map(|it| text.match_indices(it));
        let said = said.filter(|(at, _)| !text[..*at].ends_with('"')).count();
        let sections = sections(standard);
        let found = sections.iter().flat_map(Section::requirements);
        assert_eq!(found.map(|(_, keywords)| keywords.len()).sum::<usize>(), said);
    }
}
