//! Harness of the writers of other programs' files and of the call graph: whatever a trace holds, and whatever of it is wanted, they are written.

use std::cell::RefCell;
use std::{fs, io};

use aftrace::trace::dump::{ctf, folded, fxt, perfetto, trace_dat, uftrace};
use aftrace::trace::file::Trace;
use aftrace::trace::filter::Filter;
use aftrace::trace::graph::{self, Style};
use aftrace::trace::paths::Paths;
use aftrace::trace::symbols::Symbols;
use tempfile::TempDir;

use super::files::opened;
use super::repair;

thread_local! {
    static FOLDER: RefCell<TempDir> = RefCell::new(tempfile::tempdir().expect("a temporary folder"));
}

/// A trace file, frames' CRCs put right, to one of the formats; which, and what of it, its length says.
pub fn dump(data: &[u8]) -> bool {
    let mut bytes = data.to_vec();
    repair::frames(&mut bytes);
    let Some(trace) = opened(&bytes) else {
        return false;
    };
    FOLDER.with_borrow(|folder| {
        let folder = folder.path();
        write(&trace, folder, data.len()).expect("a file is written");
        let mut files = fs::read_dir(folder).expect("the folder is there").flatten();
        let removed = files.try_for_each(|file| fs::remove_file(file.path()));
        removed.expect("its files are there");
    });
    true
}

fn write(trace: &Trace, folder: &std::path::Path, which: usize) -> io::Result<()> {
    let (symbols, filter) = (Symbols::of_trace(trace), wanted(trace, which / 6));
    let omitted = match which % 6 {
        0 => ctf::write(trace, &symbols, &filter, folder)?,
        1 => uftrace::write(trace, &symbols, &filter, folder)?,
        2 => perfetto::write(trace, &symbols, &filter, io::sink())?,
        3 => fxt::write(trace, &symbols, &filter, io::sink())?,
        4 => {
            let lines = folded::lines(trace, &symbols, &filter)?;
            // Without a line of any time there is nothing to draw, which is said.
            let _ = folded::flame_graph(&lines, "a <title>", io::sink());
            let paths = Paths::new(trace, &symbols, &filter)?;
            graph::write(&paths, &symbols, Style::default(), io::sink())?;
            let style = Style { backtraces: 3 };
            graph::write_focus(&paths, "[a-m]*", &symbols, style, io::sink())?;
            return Ok(());
        }
        _ => trace_dat::write(trace, &symbols, &filter, folder, io::sink())?,
    };
    let _ = omitted.to_string();
    Ok(())
}

/// All of the trace, or a part by each of the ways to choose one.
pub(crate) fn wanted(trace: &Trace, which: usize) -> Filter {
    let all = Filter::default();
    let globs = vec!["*::open".to_owned(), "[a-z]*".to_owned()];
    match which % 6 {
        0 => Filter {
            functions: globs,
            minimum: 3,
            ..all
        },
        1 => Filter {
            callers: globs,
            depth: 2,
            ..all
        },
        2 => Filter {
            time: 1020..=1150,
            ..all
        },
        3 => Filter {
            cores: trace.cores.keys().next().map(|core| vec![*core, 3]),
            hidden: globs,
            ..all
        },
        _ => all,
    }
}
