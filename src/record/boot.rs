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
    /// [`Recorder::graph_ops`], or [`Recorder::graph_ops_with`] where options of the graph are among those asked for.
    pub graph: Option<Applied>,
    /// [`Recorder::graph_roots`].
    pub roots: Option<Applied>,
    /// [`Recorder::graph_notrace`].
    pub notrace: Option<Applied>,
}

impl Recorder {
    /// Registers the recorder's ops with the filters of a boot configuration. An empty one changes nothing.
    ///
    /// # Errors
    /// [`RecordError::NotInstalled`]; [`RecordError::ArgumentsOfLongCalls`]; and what [`crate::Ftrace::register`] says: a pattern
    /// that matches no function, names that are not embedded, no return stack for the graph. Nothing is registered then.
    ///
    /// # Context
    /// As [`crate::Ftrace::register`]; right after [`Recorder::install`], so that what follows is in the trace.
    pub fn boot(&'static self, config: &BootConfig<'_>) -> Result<Booted, RecordError> {
        let graph = match config.graph_options(self.header()?.frequency) {
            Some(options) => self.graph_ops_with(options)?,
            None => self.graph_ops()?,
        };
        // What says where the graph records comes before the graph.
        let steps = [
            (Purpose::Function, self.ops()?),
            (Purpose::Roots, self.graph_roots()),
            (Purpose::Silent, self.graph_notrace()),
            (Purpose::Graph, graph),
        ];
        let mut applied = [None; 4];
        for (index, (purpose, ops)) in steps.into_iter().enumerate() {
            match self.boot_for(config, purpose, ops) {
                Ok(done) => applied[index] = done,
                Err(error) => {
                    let done = steps.iter().zip(&applied[..index]).rev();
                    for ((_, ops), _) in done.filter(|(_, done)| done.is_some()) {
                        self.ftrace.unregister(ops)?;
                    }
                    return Err(error);
                }
            }
        }
        let [function, roots, notrace, graph] = applied;
        Ok(Booted {
            function,
            graph,
            roots,
            notrace,
        })
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
        // It is taken away from what is recorded; where the graph records is no event of anybody's.
        let notrace = match purpose {
            Purpose::Function | Purpose::Graph => {
                taken(&mut notrace, config.patterns(Purpose::Notrace))
            }
            _ => &[],
        };
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
