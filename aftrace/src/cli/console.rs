//! Takes the trace out of a console.

use std::io::{self, BufWriter, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use aftrace::trace::uart::{self, Output};
use clap::Args;

use super::{FAILED, INCOMPLETE, Outcome, files, manual, stdout};

const EXAMPLES: &[&str] = &["aftrace console serial.log -o trace.aft"];

/// Take the trace out of a recorded console
///
/// Prints the text in between.
#[derive(Args)]
#[command(after_help = manual(EXAMPLES))]
pub struct Console {
    /// What came over the serial line, byte for byte
    console: PathBuf,
    /// Where to write the trace
    #[arg(short, long, value_name = "TRACE", default_value = "console.aft")]
    output: PathBuf,
}

impl Console {
    pub fn run(&self) -> Outcome {
        let (console, output) = (&self.console, &self.output);
        let source = files::open(console)?;
        let mut out = BufWriter::new(files::create(output, &[console])?);
        let (mut frames, mut bad) = (0_u64, 0_u64);
        let mut shown = stdout();
        uart::extract(source, |each| match each {
            Output::Text(text) => shown.write_all(&text),
            Output::Frame(frame) => {
                frames += 1;
                // What cannot be written is no end of the standard output.
                out.write_all(&frame)
                    .map_err(|error| io::Error::other(files::writing(output)(error)))
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
        out.flush().map_err(files::writing(output))?;
        shown.flush()?;
        note!(
            "aftrace: {frames} frames written to {}, {bad} damaged",
            output.display()
        );
        match (frames, bad) {
            (0, 0) => {
                note!(
                    "aftrace: the console carried no frame: does the kernel send its trace to this line?"
                );
                Ok(ExitCode::from(FAILED))
            }
            (_, 0) => Ok(ExitCode::SUCCESS),
            _ => Ok(ExitCode::from(INCOMPLETE)),
        }
    }
}
