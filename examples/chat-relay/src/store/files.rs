//! The files of a store: its folder, its lock, its copy.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use super::StoreError;

const LOCK: &str = "relay.lock";

/// Where the data are.
pub(super) fn data(dir: &Path) -> PathBuf {
    dir.join("relay.db")
}

/// Makes the folder, if it is missing, for its owner alone.
pub(super) fn make_folder(dir: &Path) -> Result<(), StoreError> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir).map_err(at(dir))
}

/// Makes an empty file for the data, if it is missing, that only its owner reads. SQLite gives its other files the same
/// mode.
pub(super) fn make_data(dir: &Path) -> Result<(), StoreError> {
    let path = data(dir);
    if path.exists() {
        return Ok(());
    }
    make_new(&path)
}

/// The folder is this store's for as long as the file is open. The system lets go of it also after a crash.
pub(super) fn lock(dir: &Path) -> Result<File, StoreError> {
    let path = dir.join(LOCK);
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(&path).map_err(at(&path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse { path }),
        Err(TryLockError::Error(error)) => Err(StoreError::Io { path, error }),
    }
}

/// Whether somebody has locked the folder. The lock is not taken where it is free, but for a moment.
pub(super) fn is_locked(dir: &Path) -> bool {
    let file = OpenOptions::new().write(true).open(dir.join(LOCK));
    file.is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)))
}

pub(super) fn backup(dir: &Path, to: &Path) -> Result<(), StoreError> {
    let db = Connection::open_with_flags(
        data(dir),
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    let mut part_name = OsString::from(to);
    part_name.push(".part");
    let part = PathBuf::from(part_name);
    // SQLite writes to an empty file. Ours keeps others from the name, and from reading it.
    make_new(&part)?;
    let done = copy(&db, &part).and_then(|()| put(&part, to));
    if done.is_err() {
        // What matters is the error that is passed on.
        let _ = fs::remove_file(&part);
    }
    done
}

fn copy(db: &Connection, part: &Path) -> Result<(), StoreError> {
    let Some(name) = part.to_str() else {
        let error = io::Error::new(io::ErrorKind::InvalidInput, "the name is not UTF-8");
        return Err(StoreError::Io { path: part.to_path_buf(), error });
    };
    db.execute("VACUUM INTO ?1", [name])?;
    // Who goes on with the copy writes another log than the one that clients have seen the end of: its numbers mean
    // something else.
    let copy = Connection::open(part)?;
    copy.execute("UPDATE rooms SET epoch = lower(hex(randomblob(6)))", [])?;
    copy.close().map_err(|(_, error)| error)?;
    sync(part)
}

/// Gives the copy its name, which is taken first, so that nothing is overwritten.
fn put(part: &Path, to: &Path) -> Result<(), StoreError> {
    make_new(to)?;
    if let Err(error) = fs::rename(part, to) {
        let _ = fs::remove_file(to);
        return Err(StoreError::Io { path: to.to_path_buf(), error });
    }
    // A folder cannot be opened like a file everywhere.
    #[cfg(unix)]
    sync(to.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new(".")))?;
    Ok(())
}

fn make_new(path: &Path) -> Result<(), StoreError> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            Err(StoreError::Exists { path: path.to_path_buf() })
        }
        Err(error) => Err(StoreError::Io { path: path.to_path_buf(), error }),
    }
}

fn sync(path: &Path) -> Result<(), StoreError> {
    #[cfg(unix)]
    let file = File::open(path);
    #[cfg(not(unix))]
    let file = OpenOptions::new().write(true).open(path);
    file.and_then(|file| file.sync_all()).map_err(at(path))
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    move |error| StoreError::Io { path: path.to_path_buf(), error }
}
