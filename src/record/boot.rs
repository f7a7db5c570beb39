//! [`Recorder::boot`]: what a boot configuration asks for.
#![forbid(unsafe_code)]

use super::{RecordError, Recorder};
use crate::bootconfig::{BootConfig, Purpose};
use crate::engine::Applied;
use crate::filter::{Filter, MAX_PATTERNS};
use crate::ops::Ops;

/// What [`Recorder::boot`] registered; `None` where nothing was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Booted {
    /// [`Recorder::ops`].
    pub function: Option<Applied>,
    /// [`Recorder::graph_ops`].
    pub graph: Option<Applied>,
}

impl Recorder {
    /// Registers the recorder's ops with the filters of a boot configuration. An empty one changes nothing.
    ///
    /// # Errors
    /// [`RecordError::NotInstalled`], and what [`crate::Ftrace::register`] says: a pattern that matches no function, names that are not
    /// embedded, no return stack for the graph. Nothing is registered then.
    ///
    /// # Context
    /// As [`crate::Ftrace::register`]; right after [`Recorder::install`], so that what follows is in the trace.
    pub fn boot(&'static self, config: &BootConfig<'_>) -> Result<Booted, RecordError> {
        let (ops, graph) = (self.ops()?, self.graph_ops()?);
        let function = self.boot_for(config, Purpose::Function, ops)?;
        match self.boot_for(config, Purpose::Graph, graph) {
            Ok(graph) => Ok(Booted { function, graph }),
            Err(error) => {
                if function.is_some() {
                    self.ftrace.unregister(ops)?;
                }
                Err(error)
            }
        }
    }

    fn boot_for(
        &'static self,
        config: &BootConfig<'_>,
        purpose: Purpose,
        ops: &'static Ops,
    ) -> Result<Option<Applied>, RecordError> {
        let mut patterns = [""; MAX_PATTERNS];
        let mut notrace = [""; MAX_PATTERNS];
        let patterns = taken(&mut patterns, config.patterns(purpose));
        let notrace = taken(&mut notrace, config.patterns(Purpose::Notrace));
        if patterns.is_empty() {
            return Ok(None);
        }
        let filter = Filter::new(patterns).notrace(notrace);
        Ok(Some(self.ftrace.register(ops, &filter)?))
    }
}

/// [`BootConfig::parse`] has seen to it that they fit.
fn taken<'s, 'a>(
    room: &'s mut [&'a str; MAX_PATTERNS],
    patterns: impl Iterator<Item = &'a str>,
) -> &'s [&'a str] {
    let mut count = 0;
    for (place, pattern) in room.iter_mut().zip(patterns) {
        *place = pattern;
        count += 1;
    }
    &room[..count]
}
