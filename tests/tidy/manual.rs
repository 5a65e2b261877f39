//! Tests that the manual names exist, so that its pages say what is so.

use super::{root, sources};

/// The files that a test of this path may be in: that of its module, and that of its test binary.
fn files(path: &[&str]) -> Vec<String> {
    let [binary, modules @ .., _] = path else { return Vec::new() };
    let module = modules.join("/");
    let ends: &[&str] = if modules.is_empty() { &[".rs", "/main.rs"] } else { &[".rs", "/mod.rs"] };
    let start = format!("tests/{binary}/{module}");
    ends.iter().map(|end| format!("{}{end}", start.trim_end_matches('/'))).collect()
}

/// The paths of tests in some text: what stands between back ticks, and begins with the name of a test binary.
fn named(text: &str) -> impl Iterator<Item = Vec<&str>> {
    let quoted = text.split('`').skip(1).step_by(2);
    quoted.map(|it| it.split("::").collect::<Vec<_>>()).filter(|path| {
        let folder = root().join("tests").join(path[0]);
        path.len() > 1 && (folder.is_dir() || folder.with_extension("rs").is_file())
    })
}

#[test]
fn each_test_that_the_manual_names_exists() {
    let mut count = 0;
    for page in sources(&["src/manual"]) {
        assert_eq!(page.text.matches('`').count() % 2, 0, "a back tick is open");
        for path in named(&page.text) {
            let name = path.last().unwrap();
            let exists = files(&path).iter().any(|file| {
                let text = std::fs::read_to_string(root().join(file)).unwrap_or_default();
                text.contains(&format!("#[test]\nfn {name}() {{"))
            });
            assert!(exists, "{}: there is no test {}", page.path.display(), path.join("::"));
            count += 1;
        }
    }
    assert!(count >= 50, "{count} tests are named");
}

#[test]
fn each_attack_is_in_the_manual() {
    let manual: String = sources(&["src/manual"]).into_iter().map(|page| page.text).collect();
    for source in sources(&["tests/attacks"]) {
        for test in source.text.split("#[test]\nfn ").skip(1) {
            let module = source.path.file_stem().unwrap().to_str().unwrap();
            let name = format!("`attacks::{module}::{}`", test.split('(').next().unwrap());
            assert!(manual.contains(&name), "{name} is on no page");
        }
    }
}
