//! Files that a person names: opened and made with the way out in the message, and none that is read is written over.

use std::env;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Seek as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::Path;

use super::output::is_standard;

/// What to do where a file cannot be read.
pub fn reading(path: &Path) -> impl Fn(io::Error) -> String {
    move |error| {
        let way_out = match error.kind() {
            ErrorKind::NotFound => ": name a file that is there",
            ErrorKind::IsADirectory => ": name a file in it",
            ErrorKind::NotADirectory => ": name a file below a folder",
            ErrorKind::PermissionDenied => ": name a file that you may read, or change its mode",
            _ => "",
        };
        format!("{}: {error}{way_out}", path.display())
    }
}

/// What to do where a file cannot be written.
pub fn writing(path: &Path) -> impl Fn(io::Error) -> String {
    move |error| {
        let way_out = match error.kind() {
            ErrorKind::NotFound => ": make the folder first (mkdir -p)",
            ErrorKind::IsADirectory => ": name a file in it",
            ErrorKind::NotADirectory => ": name a file below a folder",
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
                ": name a file where you may write"
            }
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
                ": make room, or name a file elsewhere"
            }
            ErrorKind::FileTooLarge => {
                ": raise the limit of a file's size (ulimit -f), or name a file elsewhere"
            }
            _ => "",
        };
        format!("{}: {error}{way_out}", path.display())
    }
}

/// Opens a file to read it; `-` is the standard input.
pub fn open(path: &Path) -> Result<File, String> {
    let opened = match is_standard(path) {
        true => io::stdin().as_fd().try_clone_to_owned().map(File::from),
        false => File::open(path),
    };
    let file = opened.map_err(reading(path))?;
    // The system opens a folder, and refuses only to read it.
    let is_folder = file.metadata().is_ok_and(|what| what.is_dir());
    match is_folder {
        true => Err(reading(path)(ErrorKind::IsADirectory.into())),
        false => Ok(file),
    }
}

/// As [`open`], to read it more than once: what comes through a pipe is kept in a file without a name.
pub fn open_again(path: &Path) -> Result<File, String> {
    let mut file = open(path)?;
    let kind = file.metadata().map_err(reading(path))?.file_type();
    let at_start = file.stream_position().is_ok_and(|position| position == 0);
    let is_pipe = kind.is_fifo() || kind.is_socket() || !at_start;
    if !is_pipe {
        return Ok(file);
    }
    let mut keep = || {
        let mut kept = tempfile::tempfile()?;
        io::copy(&mut file, &mut kept)?;
        kept.rewind()?;
        Ok(kept)
    };
    keep().map_err(|error: io::Error| {
        let (path, folder) = (path.display(), env::temp_dir());
        let folder = folder.display();
        format!(
            "{path}: what comes through a pipe is kept in {folder}: {error}: make room there, or set TMPDIR"
        )
    })
}

pub fn read(path: &Path) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(reading(path))
}

/// Whether a file can be made there, before there is anything to write: none of these inputs may be lost by it.
pub fn is_free(path: &Path, inputs: &[&Path]) -> Result<(), String> {
    let place = |path: &Path| fs::metadata(path).map(|what| (what.dev(), what.ino())).ok();
    let here = place(path);
    if here.is_some() && inputs.iter().any(|input| place(input) == here) {
        return Err(format!(
            "{}: is read, and would be lost: name another file to write",
            path.display()
        ));
    }
    let is_folder = path.is_dir();
    let above = path.parent().filter(|above| *above != Path::new(""));
    match above.map_or(Ok(()), |above| fs::metadata(above).map(drop)) {
        _ if is_folder => Err(writing(path)(ErrorKind::IsADirectory.into())),
        above => above.map_err(writing(path)),
    }
}

/// Makes a file to write, which is none of these inputs.
pub fn create(path: &Path, inputs: &[&Path]) -> Result<File, String> {
    is_free(path, inputs)?;
    File::create(path).map_err(writing(path))
}
