//! Writes the names of the callsites into the kernel, after the link.

use std::fmt;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use aarch64_ftrace::names::{Names, NamesError, format::HEADER_SIZE};

use crate::elf::{ElfError, Kernel};
use crate::names::{EncodeError, encode};

/// Why names could not be embedded. The kernel is as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EmbedError {
    /// The file cannot be read or replaced.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file is no kernel with callsites.
    #[error(transparent)]
    Elf(#[from] ElfError),
    /// The names do not fit the format.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The kernel reserves no space.
    #[error(
        "no section ftrace_names: put `aarch64_ftrace::reserve_names!({suggested});` into the kernel and \
         KEEP(*(ftrace_names)) into its linker script"
    )]
    NoSpace {
        /// Bytes that do, with room to grow.
        suggested: usize,
    },
    /// The reserved space does not hold the names.
    #[error(
        "{needed} bytes of names, {reserved} reserved: write `reserve_names!({suggested});` in the kernel"
    )]
    TooSmall {
        /// Bytes needed now.
        needed: usize,
        /// Bytes reserved.
        reserved: usize,
        /// Bytes that do, with room to grow.
        suggested: usize,
    },
    /// The section holds something that is neither reserved space nor a name table.
    #[error("section ftrace_names was not made by reserve_names!: {0}")]
    Foreign(NamesError),
}

/// What was embedded. Display prints it in one line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// Records of `__patchable_function_entries`.
    pub callsites: usize,
    /// Callsites without any symbol.
    pub nameless: usize,
    /// Names in all.
    pub names: usize,
    /// Names beyond the first of their callsite.
    pub aliases: usize,
    /// Characters of all names.
    pub plain_bytes: usize,
    /// Bytes of the table, header included.
    pub bytes: usize,
    /// Bytes that the kernel reserves.
    pub reserved: usize,
    /// Whether the file was changed. It is not when it held the same table already.
    pub changed: bool,
}

impl Report {
    /// Bytes of the whole table for each name.
    #[must_use]
    pub fn bytes_per_name(&self) -> f64 {
        self.bytes as f64 / self.names.max(1) as f64
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let average = self.plain_bytes as f64 / self.names.max(1) as f64;
        write!(
            f,
            "{} callsites, {} names ({} of them aliases, {} callsites without a name), {} bytes of {} reserved: \
             {:.1} bytes for a name of {average:.1}",
            self.callsites,
            self.names,
            self.aliases,
            self.nameless,
            self.bytes,
            self.reserved,
            self.bytes_per_name(),
        )?;
        if self.changed {
            Ok(())
        } else {
            f.write_str("; embedded before")
        }
    }
}

/// Writes the names into the kernel with these bytes, which change only when all is well.
///
/// # Errors
/// [`EmbedError`], all but [`Io`](EmbedError::Io).
pub fn embed_bytes(kernel_bytes: &mut [u8]) -> Result<Report, EmbedError> {
    let kernel = Kernel::parse(kernel_bytes)?;
    let records = kernel.records();
    let mut table = encode(&records, kernel.build_id())?;
    let bytes = table.len();
    // An eighth to grow, in whole KiB.
    let suggested = (bytes + bytes / 8).next_multiple_of(1024);
    let space = kernel
        .names_space()
        .ok_or(EmbedError::NoSpace { suggested })?
        .file;
    // What is reserved, embedded, or an older or damaged table is overwritten; what is not ours is left alone.
    if let Err(
        error @ (NamesError::Magic { .. }
        | NamesError::Truncated {
            expected: HEADER_SIZE,
            ..
        }),
    ) = Names::parse(&kernel_bytes[space.clone()])
    {
        return Err(EmbedError::Foreign(error));
    }
    if bytes > space.len() {
        return Err(EmbedError::TooSmall {
            needed: bytes,
            reserved: space.len(),
            suggested,
        });
    }
    table.resize(space.len(), 0);
    let names: usize = records.iter().map(|r| r.names.len()).sum();
    let nameless = records.iter().filter(|r| r.names.is_empty()).count();
    let report = Report {
        callsites: records.len(),
        nameless,
        names,
        aliases: names - (records.len() - nameless),
        plain_bytes: records.iter().flat_map(|r| &r.names).map(String::len).sum(),
        bytes,
        reserved: space.len(),
        changed: kernel_bytes[space.clone()] != table,
    };
    kernel_bytes[space].copy_from_slice(&table);
    Ok(report)
}

/// Writes the names into the kernel at `path`: into a temporary file beside it, which then takes its place, so that nobody
/// ever sees half a kernel. A kernel that holds these names already is left alone, its time too.
///
/// # Errors
/// [`EmbedError`].
pub fn embed_file(path: &Path) -> Result<Report, EmbedError> {
    let io = |source| EmbedError::Io {
        path: path.to_owned(),
        source,
    };
    // A link would otherwise be replaced by a file, and its target stay without names.
    let path = fs::canonicalize(path).map_err(io)?;
    let mut bytes = fs::read(&path).map_err(io)?;
    let report = embed_bytes(&mut bytes)?;
    if report.changed {
        replace(&path, &bytes).map_err(io)?;
    }
    Ok(report)
}

fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    let mut new = tempfile::NamedTempFile::new_in(directory)?;
    new.write_all(bytes)?;
    new.as_file()
        .set_permissions(fs::metadata(path)?.permissions())?;
    new.persist(path)?;
    Ok(())
}
