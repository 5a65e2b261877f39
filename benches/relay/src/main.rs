//! What the chat relay does on this machine, as a table in Markdown. `benches/relay/run` builds and runs it.
//!
//! Servers are processes of their own: this program, started with `--serve`. They have the relay's own limits but for
//! what a person may say in what time, so that few senders are enough for much load.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)] // a benchmark may panic

mod behind;
mod fan_out;
mod idle;
mod load;
mod plan;
mod process;
mod report;
mod sends;
mod wire;

use std::path::PathBuf;

use report::Row;

type Measure = fn(&std::path::Path) -> Vec<Row>;
const MODES: [(&str, Measure); 4] = [
    ("sends", sends::measure),
    ("fan-out", fan_out::measure),
    ("idle", idle::measure),
    ("behind", behind::measure),
];

fn main() {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|it| it == "--serve") {
        return process::serve(&arguments[1..]);
    }
    let mut folder = PathBuf::from("target/relay-bench");
    if arguments.first().is_some_and(|it| it == "--folder") {
        folder = PathBuf::from(arguments.remove(1));
        arguments.remove(0);
    }
    for asked in &arguments {
        let known = MODES.iter().any(|(name, _)| name == asked);
        assert!(known, "there is no mode {asked}: sends, fan-out, idle, behind, kill");
    }
    let _removed = Removed(folder.clone());
    println!("| mode | figure | spread | target |\n| --- | ---: | ---: | --- |");
    for (name, measure) in MODES {
        if arguments.is_empty() || arguments.iter().any(|it| it == name) {
            let folder = folder.join(name);
            let _ = std::fs::remove_dir_all(&folder);
            std::fs::create_dir_all(&folder).unwrap();
            measure(&folder).iter().for_each(Row::print);
        }
    }
}

/// A folder that is gone at the end.
struct Removed(PathBuf);

impl Drop for Removed {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
