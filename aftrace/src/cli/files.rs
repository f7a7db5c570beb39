//! Files that a person names: opened and made with the way out in the message, and none that is read is written over.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

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
            _ => "",
        };
        format!("{}: {error}{way_out}", path.display())
    }
}

/// Opens a file to read it.
pub fn open(path: &Path) -> Result<File, String> {
    let file = File::open(path).map_err(reading(path))?;
    // The system opens a folder, and refuses only to read it.
    let is_folder = file.metadata().is_ok_and(|what| what.is_dir());
    match is_folder {
        true => Err(reading(path)(ErrorKind::IsADirectory.into())),
        false => Ok(file),
    }
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
