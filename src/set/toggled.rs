//! The one change of a set: an ops added or taken out, in calling order.
#![forbid(unsafe_code)]

use super::Members;
use crate::ops::Ops;
use core::ptr;
use core::sync::atomic::Ordering;

/// The members of one set with one ops added or taken out, in calling order.
#[derive(Clone)]
pub(super) struct Toggled {
    members: core::iter::Peekable<Members>,
    ops: &'static Ops,
    add: bool,
}

impl Toggled {
    pub(super) fn new(members: Members, ops: &'static Ops) -> Self {
        let add = !members.clone().any(|member| ptr::eq(member, ops));
        Self {
            members: members.peekable(),
            ops,
            add,
        }
    }
}

impl Iterator for Toggled {
    type Item = &'static Ops;

    fn next(&mut self) -> Option<&'static Ops> {
        if self.add
            && self
                .members
                .peek()
                .is_none_or(|next| calling_order(self.ops) < calling_order(next))
        {
            self.add = false;
            return Some(self.ops);
        }
        let next = self.members.next()?;
        // When the ops was to be added it is not among the members.
        if ptr::eq(next, self.ops) {
            self.members.next()
        } else {
            Some(next)
        }
    }
}

/// By rank, then by registration.
fn calling_order(ops: &Ops) -> (u32, u32) {
    (ops.head.kind.rank(), ops.order.load(Ordering::Relaxed))
}
