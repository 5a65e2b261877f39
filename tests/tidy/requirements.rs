//! Each MUST of the standards is implemented and tested, or listed with a reason.
//!
//! A sentence that requires something counts as implemented where a citation next to the code has each of the words by
//! which it does, and as tested where one next to a test has. A citation may be a part of a sentence, but no other
//! place of its section may read the same. What no code does stands in `<standard>_listed.txt`, with the reason.
//!
//! The report: `cargo test --test tidy each_must -- --nocapture`

use std::collections::BTreeMap;
use std::fmt;
use std::fs;

use crate::root;
use crate::standard::{Citation, STANDARDS, Section, citations, parse, sections, words};

/// A sentence that requires something.
struct Requirement {
    section: String,
    sentence: String,
    /// Where the words are by which it does, in the text of the section.
    keywords: Vec<usize>,
    code: Quotes,
    tests: Quotes,
    listed: Quotes,
    reason: String,
}

/// Where a sentence is quoted, and which of its keywords are in what is quoted.
#[derive(Default)]
struct Quotes {
    at: Vec<String>,
    keywords: Vec<usize>,
}

impl Quotes {
    fn cover(&self, keywords: &[usize]) -> bool {
        keywords.iter().all(|it| self.keywords.contains(it))
    }
}

/// What the standard requires, and in what sections, in its order.
fn requirements(sections: &[Section]) -> Vec<Requirement> {
    let all = sections.iter().flat_map(|section| {
        section.requirements().map(|(sentence, keywords)| Requirement {
            section: section.number.clone(),
            sentence: sentence.into(),
            keywords,
            code: Quotes::default(),
            tests: Quotes::default(),
            listed: Quotes::default(),
            reason: String::new(),
        })
    });
    all.collect()
}

/// Notes a quotation with each sentence of which it has a keyword; how many there are.
fn note(
    quote: &Quote,
    sections: &[Section],
    requirements: &mut [Requirement],
    place: Place,
) -> Result<usize, String> {
    let Quote { at, section, text } = quote;
    let found = sections.iter().find(|it| it.number == *section);
    let places = found.map_or(Vec::new(), |it| it.text.match_indices(text).collect());
    let [(start, _), more @ ..] = places.as_slice() else {
        return Err(format!("{at}: section {section} does not say: {text}"));
    };
    let mut sentences = 0;
    for requirement in requirements.iter_mut().filter(|it| it.section == *section) {
        let quoted = *start..start + text.len();
        let keywords: Vec<_> =
            requirement.keywords.iter().copied().filter(|it| quoted.contains(it)).collect();
        if keywords.is_empty() {
            continue;
        }
        if !more.is_empty() {
            return Err(format!("{at}: section {section} says more than once: {text}"));
        }
        let quotes = match place {
            Place::Code => &mut requirement.code,
            Place::Tests => &mut requirement.tests,
            Place::List => &mut requirement.listed,
        };
        quotes.keywords.extend(keywords);
        quotes.at.push(at.clone());
        sentences += 1;
    }
    Ok(sentences)
}

/// Who quotes a sentence.
#[derive(Clone, Copy)]
enum Place {
    Code,
    Tests,
    List,
}

/// A part of a standard that somebody quotes.
struct Quote {
    at: String,
    section: String,
    text: String,
}

/// The sentences that no code implements, each with its reason: a line with the section and the sentence or a part of
/// it, and an indented one below.
fn listed(standard: &str) -> Vec<(Quote, String)> {
    let name = format!("tests/tidy/{standard}_listed.txt");
    parse_list(&name, &fs::read_to_string(root().join(&name)).unwrap())
}

fn parse_list(name: &str, text: &str) -> Vec<(Quote, String)> {
    let mut listed: Vec<(Quote, String)> = Vec::new();
    let lines = text.lines().enumerate();
    for (number, line) in lines.filter(|(_, it)| !it.starts_with('#') && !it.is_empty()) {
        if let (true, Some((_, reason))) = (line.starts_with(' '), listed.last_mut()) {
            reason.push_str(line.trim());
        } else {
            let (section, text) = line.split_once(' ').unwrap_or((line, ""));
            let at = format!("{name}:{}", number + 1);
            listed.push((Quote { at, section: section.into(), text: words(text) }, String::new()));
        }
    }
    listed
}

/// What becomes of each requirement of a standard. An error is a quotation that is none.
fn judge<'c>(
    sections: &[Section],
    citations: impl IntoIterator<Item = &'c Citation>,
    listed: Vec<(Quote, String)>,
) -> Result<Vec<Requirement>, String> {
    let mut requirements = requirements(sections);
    for Citation { at, section, text, in_tests, .. } in citations {
        let quote = Quote { at: at.clone(), section: section.clone(), text: text.clone() };
        let place = if *in_tests { Place::Tests } else { Place::Code };
        note(&quote, sections, &mut requirements, place)?;
    }
    for (quote, reason) in listed {
        if reason.is_empty() {
            return Err(format!("{}: no reason", quote.at));
        }
        if note(&quote, sections, &mut requirements, Place::List)? != 1 {
            return Err(format!("{}: not one sentence that requires something", quote.at));
        }
        let noted = requirements.iter_mut().find(|it| it.listed.at.contains(&quote.at));
        noted.unwrap().reason = reason;
    }
    Ok(requirements)
}

impl Requirement {
    /// What is wrong: a sentence that nobody has dealt with, or that two have.
    fn problem(&self) -> Option<String> {
        let [code, tests, listed] =
            [&self.code, &self.tests, &self.listed].map(|it| it.cover(&self.keywords));
        if self.listed.at.is_empty() {
            let missing: Vec<_> = [(code, "src"), (tests, "tests")]
                .iter()
                .filter_map(|(cited, place)| (!cited).then_some(*place))
                .collect();
            return (!missing.is_empty())
                .then(|| format!("not cited in {}", missing.join(", nor in ")));
        }
        let is_cited = !self.code.at.is_empty() || !self.tests.at.is_empty();
        match (is_cited, listed, self.listed.at.len()) {
            (true, _, _) => Some("listed as not implemented, and cited".into()),
            (false, false, _) => Some("listed in part".into()),
            (false, true, 1) => None,
            (false, true, _) => Some("listed twice".into()),
        }
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} {}", self.section, self.sentence)?;
        if !self.reason.is_empty() {
            return writeln!(f, "    listed: {}", self.reason);
        }
        writeln!(f, "    code: {}", self.code.at.join(", "))?;
        writeln!(f, "    tests: {}", self.tests.at.join(", "))
    }
}

/// How many sentences of each section are implemented and tested, and how many are listed.
fn table(name: &str, requirements: &[Requirement]) -> String {
    let mut sections: Vec<&str> = requirements.iter().map(|it| it.section.as_str()).collect();
    sections.dedup();
    let mut counts: BTreeMap<&str, [usize; 2]> = BTreeMap::new();
    for it in requirements {
        counts.entry(&it.section).or_default()[usize::from(!it.reason.is_empty())] += 1;
    }
    let line = |title: &str, [done, listed]: [usize; 2]| {
        format!("{title:<12} {:>9} {done:>24} {listed:>6}\n", done + listed)
    };
    let mut table =
        format!("{name:<12} {:>9} {:>24} {:>6}\n", "sentences", "implemented and tested", "listed");
    for section in sections {
        table.push_str(&line(section, counts[section]));
    }
    let sum = |which: usize| counts.values().map(|it| it[which]).sum();
    table.push_str(&line("all", [sum(0), sum(1)]));
    table
}

#[test]
fn each_must_of_the_standards_is_implemented_and_tested_or_listed_with_a_reason() {
    let citations = citations();
    let mut problems = String::new();
    for (index, standard) in STANDARDS.into_iter().enumerate() {
        let citations = citations.iter().filter(|it| it.standard == index);
        let requirements = judge(&sections(standard), citations, listed(standard.0));
        let requirements = requirements.unwrap_or_else(|error| panic!("{error}"));
        for it in &requirements {
            println!("{it}");
            if let Some(problem) = it.problem() {
                problems.push_str(&format!("{problem}:\n{it}\n"));
            }
        }
        println!("{}", table(standard.0, &requirements));
    }
    assert!(problems.is_empty(), "\n{problems}");
}

/// What is wrong with each sentence of a small standard that is quoted so: in the code, in the tests, in the list.
fn problems(code: &[&str], tests: &[&str], list: &str) -> Result<Vec<String>, String> {
    let text = "1.  One\n\n   It MUST stand, and MUST NOT fall.  It SHALL be.\n";
    let citation = |in_tests| {
        move |text: &&str| Citation {
            at: "a file".into(),
            standard: 0,
            section: "1".into(),
            text: text.to_string(),
            in_tests,
        }
    };
    let code = code.iter().map(citation(false));
    let citations: Vec<_> = code.chain(tests.iter().map(citation(true))).collect();
    let judged = judge(&parse(text, ["Head", "Foot"]), &citations, parse_list("list", list))?;
    Ok(judged.iter().map(|it| it.problem().unwrap_or_default()).collect())
}

fn two(first: &str, second: &str) -> Result<Vec<String>, String> {
    Ok(vec![first.into(), second.into()])
}

#[test]
fn a_sentence_is_done_where_the_code_and_the_tests_cite_each_of_its_demands() {
    let (both, first) = ("MUST stand, and MUST NOT fall.", "It MUST stand,");
    let rest = "and MUST NOT fall. It SHALL be.";
    assert_eq!(problems(&[both, rest], &[rest, both], ""), two("", ""));
    assert_eq!(problems(&[first, rest], &[first, rest], ""), two("", ""));
    let [code, tests] = ["not cited in src", "not cited in tests"];
    let nowhere = "not cited in src, nor in tests";
    assert_eq!(problems(&[], &[], ""), two(nowhere, nowhere));
    assert_eq!(problems(&[first], &[both, rest], ""), two(code, code));
    assert_eq!(problems(&[both, rest], &[first], ""), two(tests, tests));
    assert!(problems(&["MUST"], &[], "").unwrap_err().ends_with("more than once: MUST"));
    assert!(problems(&["It MAY be."], &[], "").unwrap_err().ends_with("does not say: It MAY be."));
}

#[test]
fn a_sentence_is_listed_once_with_a_reason_and_not_cited_as_well() {
    let first = "1 It MUST stand, and MUST NOT fall.\n  Why.\n";
    let second = "1 It SHALL be.\n  So.\n";
    let all = format!("# A list.\n\n{first}{second}");
    assert_eq!(problems(&[], &[], &all), two("", ""));
    let cited = "listed as not implemented, and cited";
    assert_eq!(problems(&["It SHALL be."], &[], &all), two("", cited));
    assert_eq!(problems(&[], &["MUST NOT fall"], &all), two(cited, ""));
    assert_eq!(problems(&[], &[], &format!("{all}{second}")), two("", "listed twice"));
    let in_part = format!("1 It MUST stand\n  Why.\n{second}");
    assert_eq!(problems(&[], &[], &in_part), two("listed in part", ""));
    for (list, error) in [
        ("1 It SHALL be.\n", "list:1: no reason"),
        ("1 It does.\n  Why.\n", "list:1: section 1 does not say: It does."),
        ("2 It SHALL be.\n  Why.\n", "list:1: section 2 does not say: It SHALL be."),
        ("1 and\n  Why.\n", "list:1: not one sentence that requires something"),
        ("1 fall. It SHALL be.\n  Why.\n1\n", "list:3: no reason"),
        ("1 MUST NOT fall. It SHALL\n  Why.\n", "list:1: not one sentence that requires something"),
    ] {
        assert_eq!(problems(&[], &[], list), Err(error.into()), "{list}");
    }
}
