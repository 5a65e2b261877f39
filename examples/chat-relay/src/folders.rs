//! Where programs keep their data on this platform.

use std::path::PathBuf;

/// The folder for the data of one program; `None` where the environment names no home.
pub(crate) fn data(environment: &dyn Fn(&str) -> Option<String>, program: &str) -> Option<PathBuf> {
    let folder = |name: &str| {
        let path = environment(name).filter(|it| !it.is_empty()).map(PathBuf::from);
        path.filter(|it| it.is_absolute())
    };
    let base = if cfg!(windows) {
        folder("LOCALAPPDATA")
    } else if cfg!(target_os = "macos") {
        folder("HOME").map(|home| home.join("Library/Application Support"))
    } else {
        folder("XDG_DATA_HOME").or_else(|| folder("HOME").map(|home| home.join(".local/share")))
    };
    base.map(|base| base.join(program))
}
