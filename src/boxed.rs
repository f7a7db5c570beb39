//! Ops from the heap: registered by box, given back when nobody can be running them any more.

use crate::engine::Applied;
use crate::error::Error;
use crate::filter::Filter;
use crate::ops::Ops;
use crate::tracer::Ftrace;
use alloc::boxed::Box;
use core::fmt;
use core::ops::Deref;
use core::ptr::NonNull;

/// A registered ops from the heap. Dropping it leaves the ops registered, for ever.
pub struct Registered(NonNull<Ops>);

// SAFETY: all that is in an ops is Sync; the box belongs to whoever has this value.
unsafe impl Send for Registered {}
// SAFETY: as above; only `&Ops` comes out.
unsafe impl Sync for Registered {}

impl Registered {
    /// The ops, which lives at least until [`Ftrace::unregister_boxed`] takes this value.
    fn get(&self) -> &'static Ops {
        // SAFETY: the box was not freed: only `unregister_boxed` does that, and it consumes this value. The `'static` does
        // not leave this module.
        unsafe { self.0.as_ref() }
    }
}

impl Deref for Registered {
    type Target = Ops;

    fn deref(&self) -> &Ops {
        self.get()
    }
}

/// What could not be registered, or taken away.
pub struct BoxedError<T> {
    /// Why.
    pub error: Error,
    /// What was given, back. `None` where a callsite could not be changed back and still calls the ops: it is leaked.
    pub ops: Option<T>,
}

impl<T> fmt::Debug for BoxedError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BoxedError")
            .field("error", &self.error)
            .finish_non_exhaustive()
    }
}

impl<T> fmt::Display for BoxedError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.error)
    }
}

impl Ftrace {
    /// As [`Ftrace::register`], for an ops from the heap. It is called exactly as a static one is.
    ///
    /// # Errors
    /// As [`Ftrace::register`], with the box.
    pub fn register_boxed(
        &'static self,
        ops: Box<Ops>,
        filter: &Filter<'_>,
    ) -> Result<(Registered, Applied), BoxedError<Box<Ops>>> {
        let ops = Registered(NonNull::from(Box::leak(ops)));
        let (result, grace) =
            self.with_work_and_grace(|engine, work| engine.register(work, ops.get(), filter));
        match result {
            Ok(applied) => Ok((ops, applied)),
            Err(error) if ops.callsites() > 0 => Err(BoxedError { error, ops: None }),
            Err(error) => {
                // SAFETY: the pointer is of the box that was leaked above. It is not registered, and was in no literal at
                // any time that another core could have seen: a plan that was undone at its first callsites is the
                // exception, so wait as for an ops that was taken away.
                let ops = grace
                    .unwrap_or_else(|| self.synchronize())
                    .then(|| unsafe { Box::from_raw(ops.0.as_ptr()) });
                Err(BoxedError { error, ops })
            }
        }
    }

    /// As [`Ftrace::unregister`]; gives the box back where [`crate::Platform::synchronize`] says that nobody can still
    /// be running its tracer. Where the platform cannot tell (`None`), the box is leaked.
    ///
    /// # Errors
    /// As [`Ftrace::unregister`], with the registration, which still stands.
    pub fn unregister_boxed(
        &'static self,
        ops: Registered,
    ) -> Result<(Option<Box<Ops>>, Applied), BoxedError<Registered>> {
        let (result, grace) = if ops.is_registered() {
            self.with_work_and_grace(|engine, work| engine.unregister(work, ops.get()))
        } else {
            // Only a shutdown can have taken it away.
            (Ok(Applied::NOTHING), None)
        };
        match result {
            Err(error) => Err(BoxedError {
                error,
                ops: Some(ops),
            }),
            // SAFETY: the pointer is of the box that `register_boxed` leaked; no literal holds it any more, and by the
            // platform's word nobody who read it earlier is still using it. One word for the sets and the ops in them: where
            // the sets were kept, a set that names the ops would be found again for another ops at the same address.
            Ok(applied) => Ok((
                grace
                    .unwrap_or_else(|| self.synchronize())
                    .then(|| unsafe { Box::from_raw(ops.0.as_ptr()) }),
                applied,
            )),
        }
    }
}
