//! What a verb writes: a file or a folder that is there whole or not at all, or the standard output.

use std::env;
use std::error::Error;
use std::fs::{self, Permissions};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process;
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::files::{self, writing};
use super::machine::INTERRUPTED;

/// What is written goes there.
pub type Sink = BufWriter<Box<dyn Write>>;

/// Whether it is the standard output (or input) that is meant.
pub fn is_standard(path: &Path) -> bool {
    path == Path::new("-")
}

/// A standard output that a verb needs for other things.
pub fn is_no_console(path: &Path) -> Result<(), String> {
    match is_standard(path) {
        true => Err("-: the console's text goes to the standard output: name a file".to_owned()),
        false => Ok(()),
    }
}

/// Writes a file that is there whole or not at all, or `-`, the standard output; what is neither a file nor a folder (a pipe, a
/// device) is written to as it is. `write` is also told a folder with room for scratch files.
pub fn whole<T>(
    path: &Path,
    inputs: &[&Path],
    write: impl FnOnce(&Path, &mut Sink) -> io::Result<T>,
) -> Result<T, Box<dyn Error>> {
    let made = |scratch: &Path, out: Box<dyn Write>| {
        let mut out = BufWriter::with_capacity(1 << 16, out);
        let made = write(scratch, &mut out);
        let made = made.and_then(|made| out.flush().map(|()| made));
        // What an error has left is not written behind it.
        drop(out.into_parts());
        made
    };
    if is_standard(path) {
        return Ok(made(&env::temp_dir(), Box::new(io::stdout().lock()))?);
    }
    if path.is_dir() {
        return Err(writing(path)(ErrorKind::IsADirectory.into()).into());
    }
    files::is_free(path, inputs)?;
    if path.exists() && !path.is_file() {
        let file = fs::OpenOptions::new().write(true).open(path);
        let written = file.and_then(|file| made(&env::temp_dir(), Box::new(file)));
        return Ok(written.map_err(writing(path))?);
    }
    // A link would otherwise be replaced by a file.
    let real = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let make = || {
        let ended = Ended::new()?;
        let file = tempfile::Builder::new()
            .prefix(".aftrace-")
            .permissions(Permissions::from_mode(0o666))
            .tempfile_in(beside(&real))?;
        ended.remove(file.path());
        let made = made(beside(&real), Box::new(file.reopen()?))?;
        file.persist(&real)?;
        Ok(made)
    };
    Ok(make().map_err(writing(path))?)
}

/// As [`whole`], a folder.
pub fn whole_folder<T>(
    path: &Path,
    write: impl FnOnce(&Path) -> io::Result<T>,
) -> Result<T, String> {
    if is_standard(path) {
        return Err(
            "-: the standard output is no folder: name one that is not there yet".to_owned(),
        );
    }
    if path.exists() {
        return Err(format!(
            "{}: is there already: remove it, or name another folder",
            path.display()
        ));
    }
    let make = || {
        let ended = Ended::new()?;
        let folder = tempfile::Builder::new()
            .prefix(".aftrace-")
            .permissions(Permissions::from_mode(0o777))
            .tempdir_in(beside(path))?;
        ended.remove(folder.path());
        let made = write(folder.path())?;
        fs::rename(folder.path(), path)?;
        // It has another name now, and stays.
        let _ = folder.keep();
        Ok(made)
    };
    make().map_err(writing(path))
}

/// Beside what it becomes.
fn beside(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

/// Ctrl-C and the like leave nothing that is half written. From when this is made on they wait until it is known what to remove.
struct Ended(Signals);

impl Ended {
    fn new() -> io::Result<Self> {
        Signals::new([SIGINT, SIGTERM, SIGHUP]).map(Self)
    }

    fn remove(mut self, path: &Path) {
        let path: PathBuf = path.to_owned();
        thread::spawn(move || {
            if self.0.forever().next().is_some() {
                // A file, a folder, or what has its name by now, and stays.
                let _ = fs::remove_file(&path);
                let _ = fs::remove_dir_all(&path);
                process::exit(INTERRUPTED.into());
            }
        });
    }
}

/// What is shown beside a file that is written: where nobody listens any more, the file is written all the same.
pub struct Aside<W>(pub W);

impl<W: Write> Write for Aside<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.0.write(bytes) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(bytes.len()),
            other => other,
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self.0.flush() {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
            other => other,
        }
    }
}
