//! Takes the trace out of a console.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use aftrace::trace::uart::{self, Output};
use clap::Args;

use super::output::{Aside, is_no_console, whole};
use super::{INCOMPLETE, Outcome, files, manual, stdout};

const EXAMPLES: &[&str] = &["aftrace console serial.log -o trace.aft"];

/// Take the trace out of a recorded console
///
/// Prints the text in between.
#[derive(Args)]
#[command(after_help = manual(EXAMPLES))]
pub struct Console {
    /// What came over the serial line, byte for byte; - is the standard input
    console: PathBuf,
    /// Where to write the trace
    #[arg(short, long, value_name = "TRACE", default_value = "console.aft")]
    output: PathBuf,
}

impl Console {
    pub fn run(&self) -> Outcome {
        let (console, output) = (&self.console, &self.output);
        let source = files::open(console)?;
        is_no_console(output)?;
        let (mut frames, mut bad) = (0_u64, 0_u64);
        let mut shown = Aside(stdout());
        whole(output, &[console], |_, out| {
            uart::extract(source, |each| match each {
                Output::Text(text) => shown.write_all(&text).map_err(of_stdout),
                Output::Frame(frame) => {
                    frames += 1;
                    out.write_all(&frame)
                }
                Output::Bad { offset, bytes } => {
                    bad += 1;
                    note!(
                        "aftrace: {}: at offset {offset} {bytes} bytes are no frame",
                        console.display()
                    );
                    Ok(())
                }
            })?;
            if (frames, bad) == (0, 0) {
                let none = "the console carried no frame, so no trace is written: does the kernel send its trace to this line?";
                return Err(io::Error::other(none));
            }
            shown.flush().map_err(of_stdout)
        })?;
        note!(
            "aftrace: {frames} frames written to {}, {bad} damaged",
            output.display()
        );
        Ok(ExitCode::from(if bad == 0 { 0 } else { INCOMPLETE }))
    }
}

/// The text could not be shown: that is not the trace's file.
fn of_stdout(error: io::Error) -> io::Error {
    io::Error::other(format!("the standard output: {error}"))
}
