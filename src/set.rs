//! Interned sets: the immutable list of the ops that share one callsite.
//!
//! All callsites with the same ops share one set, so that a callsite's literal is all its state. A set is found by
//! toggling one ops in another set, which is the only change the engine ever makes.
//!
//! ```text
//! Set: entry | kind | hash | next | len ... | {func, ops} {func, ops} ... {0, 0} [ {func, ops} ... {0, 0} ]
//!                                              ^ those that guard themselves       ^ guarded ones, when there are both
//!                                                and the built-in ones
//! ```

use crate::ops::{Head, Kind, NOP_OPS, Ops};
use crate::registry::Registry;
use crate::set_memory::SetMemory;
use core::alloc::Layout;
use core::ptr::{self, NonNull};

mod toggled;

use toggled::Toggled;

/// A set in memory. Everything but `next` and `users` is written once, before any literal points to it.
#[repr(C, align(16))]
pub(crate) struct Set {
    head: Head,
    hash: u64,
    next: *mut Set,
    len: u32,
    /// How many members guard themselves or are built in; they stand first.
    unguarded: u32,
    /// How many literals point here.
    users: u32,
    /// The clock of [`Sets`] when the last literal left, or when the set was made.
    unused_since: u32,
}

/// What the asm walks.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Member {
    func: usize,
    ops: *const Ops,
}

impl Member {
    const END: Self = Self {
        func: 0,
        ops: ptr::null(),
    };
}

/// Byte offsets for the asm.
#[cfg_attr(not(target_arch = "aarch64"), allow(dead_code))]
pub(crate) mod offset {
    use super::{Head, Member, Set};
    use core::mem::offset_of;

    /// The members stand right behind the header.
    pub(crate) const MEMBERS: usize = size_of::<Set>();
    pub(crate) const MEMBER_SIZE: usize = size_of::<Member>();
    // The trampoline loads the entry of an ops and of a set by one and the same instruction.
    const _: () =
        assert!(offset_of!(Set, head) + offset_of!(Head, entry) == crate::ops::offset::ENTRY);
    const _: () = assert!(offset_of!(Member, ops) == offset_of!(Member, func) + size_of::<usize>());
}

/// Why there is no set for a callsite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ToggleError {
    /// The literal is not one that the engine wrote.
    Unknown,
    /// A direct ops shares a callsite with nobody.
    Direct,
    /// No memory for a set of this many bytes.
    Memory(usize),
}

const BUCKETS: usize = 32;

/// All sets, found by the hash of their members.
pub(crate) struct Sets {
    buckets: [*mut Set; BUCKETS],
    /// The toggle answered last: from, ops, to. In a batch nearly all callsites ask for the same one.
    last: (u64, u64, u64),
    unused: usize,
    /// How often sets were retired.
    clock: u32,
    pub(crate) memory: SetMemory,
}

/// The sets that no literal pointed to at one moment.
#[derive(Clone, Copy, Debug)]
#[must_use = "they are kept until they are freed"]
pub(crate) struct Retired(u32);

// SAFETY: the pointers are to sets that this value owns; nothing about them belongs to one core.
unsafe impl Send for Sets {}

impl Sets {
    pub(crate) const fn new() -> Self {
        Self {
            buckets: [ptr::null_mut(); BUCKETS],
            last: (0, 0, 0),
            unused: 0,
            clock: 0,
            memory: SetMemory::new(),
        }
    }

    /// The ops that a literal calls; `None` where it is not one that the engine wrote.
    pub(crate) fn members(&self, registry: &Registry, target: u64) -> Option<Members> {
        if target == NOP_OPS.target() {
            return Some(Members::None);
        }
        match registry.find(target) {
            Some(ops) => Some(Members::One(ops)),
            None => self.at(target).map(|set| Members::Set(set, 0)),
        }
    }

    /// What a literal must hold so that `ops` is called where it was not, or no longer where it was. Makes the set if
    /// there is none.
    #[inline]
    pub(crate) fn toggle(
        &mut self,
        registry: &Registry,
        from: u64,
        ops: &'static Ops,
    ) -> Result<u64, ToggleError> {
        if from == NOP_OPS.target() {
            Ok(ops.target())
        } else if ops.is_called_by(from) {
            Ok(NOP_OPS.target())
        } else if (self.last.0, self.last.1) == (from, ops.target()) {
            Ok(self.last.2)
        } else {
            self.toggle_in_set(registry, from, ops)
        }
    }

    fn toggle_in_set(
        &mut self,
        registry: &Registry,
        from: u64,
        ops: &'static Ops,
    ) -> Result<u64, ToggleError> {
        let members = self.members(registry, from).ok_or(ToggleError::Unknown)?;
        let direct = |ops: &Ops| ops.head.kind == Kind::Direct;
        if direct(ops) || members.clone().any(direct) {
            return Err(ToggleError::Direct);
        }
        let mut wanted = Toggled::new(members, ops);
        let to = match wanted.clone().count() {
            0 => NOP_OPS.target(),
            1 => wanted.next().map_or(NOP_OPS.target(), Ops::target),
            len => self.intern(wanted, len).map(|set| set.as_ptr() as u64)?,
        };
        self.last = (from, ops.target(), to);
        Ok(to)
    }

    /// Forgets the last answer: an ops that is registered anew has another place in the calling order.
    pub(crate) fn forget_last(&mut self) {
        self.last = (0, 0, 0);
    }

    /// Says that one more literal points to `target` (a set or not), and one less to `from`.
    pub(crate) fn moved(&mut self, from: u64, to: u64) {
        self.count_users(from, |users| users.wrapping_sub(1));
        self.count_users(to, |users| users.wrapping_add(1));
    }

    fn count_users(&mut self, target: u64, change: impl Fn(u32) -> u32) {
        let Some(set) = self.at(target) else {
            return;
        };
        // SAFETY: the set is owned by this value, and `&mut self` makes this the only access.
        let set = unsafe { &mut *set.as_ptr() };
        let before = set.users;
        set.users = change(before);
        match (before, set.users) {
            (0, 1) => self.unused -= 1,
            (1, 0) => {
                self.unused += 1;
                set.unused_since = self.clock;
            }
            _ => {}
        }
    }

    /// The sets that no literal points to now, for [`Sets::free`]; `None` where there are none.
    ///
    /// Between the two the caller waits until nobody can still be walking one, without the engine's lock: a core that waits
    /// for the lock never leaves the tracer that this one would be waiting for.
    pub(crate) fn retire(&mut self) -> Option<Retired> {
        if self.unused == 0 {
            return None;
        }
        let now = self.clock;
        self.clock = now.wrapping_add(1);
        Some(Retired(now))
    }

    /// Gives back the sets that were retired and have not been used since.
    pub(crate) fn free(&mut self, retired: Retired) {
        self.forget_last();
        for bucket in 0..BUCKETS {
            let mut at = &raw mut self.buckets[bucket];
            loop {
                // SAFETY: `at` points to a bucket or to the `next` of a set that is still owned.
                let set = unsafe { *at };
                let Some(live) = NonNull::new(set) else { break };
                let (kept, next, layout) = header(live, |set| set.ending(retired));
                if kept {
                    // SAFETY: as above; only the address of the field is taken.
                    at = unsafe { &raw mut (*set).next };
                    continue;
                }
                // SAFETY: as for the read of `at`; this takes the set out of its bucket.
                unsafe { *at = next };
                if let Some(layout) = layout {
                    // SAFETY: the set came from this memory with this layout; nothing points to it any more.
                    unsafe { self.memory.free(live.cast(), layout) };
                }
                self.unused -= 1;
            }
        }
    }

    /// How many sets there are.
    pub(crate) fn count(&self) -> usize {
        self.iter().count()
    }

    fn intern(&mut self, wanted: Toggled, len: usize) -> Result<NonNull<Set>, ToggleError> {
        let hash = wanted.clone().fold(0, |hash, ops| hash ^ mix(ops.target()));
        let same = self.iter().find(|&set| {
            let (set_hash, set_len) = header(set, |set| (set.hash, set.len as usize));
            set_hash == hash
                && set_len == len
                && Members::Set(set, 0)
                    .map(ptr::from_ref)
                    .eq(wanted.clone().map(ptr::from_ref))
        });
        if let Some(set) = same {
            return Ok(set);
        }
        let unguarded = wanted
            .clone()
            .filter(|ops| !ops.head.kind.is_guarded())
            .count();
        let layout = layout(len, unguarded).ok_or(ToggleError::Memory(usize::MAX))?;
        let set = self
            .memory
            .allocate(layout)
            .ok_or(ToggleError::Memory(layout.size()))?
            .cast::<Set>();
        let bucket = bucket(hash);
        let entry = match unguarded {
            0 => crate::arch::entry::SET_GUARDED,
            all if all == len => crate::arch::entry::SET,
            _ => crate::arch::entry::SET_MIXED,
        };
        let header = Set {
            head: Head {
                entry,
                kind: Kind::Set,
                straight: false,
            },
            hash,
            next: self.buckets[bucket],
            len: len as u32,
            unguarded: unguarded as u32,
            users: 0,
            unused_since: self.clock,
        };
        // SAFETY: the memory has the size and alignment of a set with its members.
        unsafe { set.write(header) };
        let pairs = wanted.map(|ops| Member {
            func: ops.func_address(),
            ops,
        });
        // A list ends after the last that guards itself (if others follow) and after the last.
        let between = (unguarded > 0 && unguarded < len).then_some(Member::END);
        let first = pairs.clone().take(unguarded);
        let rest = pairs.skip(unguarded);
        for (i, member) in first
            .chain(between)
            .chain(rest)
            .chain([Member::END])
            .enumerate()
        {
            // SAFETY: in bounds: `layout` counted the members and their ends.
            unsafe { member_at(set.as_ptr(), i).write(member) };
        }
        self.buckets[bucket] = set.as_ptr();
        self.unused += 1;
        Ok(set)
    }

    fn at(&self, target: u64) -> Option<NonNull<Set>> {
        self.iter().find(|set| set.as_ptr() as u64 == target)
    }

    fn iter(&self) -> impl Iterator<Item = NonNull<Set>> {
        self.buckets.iter().flat_map(|&first| {
            core::iter::successors(NonNull::new(first), |&set| {
                NonNull::new(header(set, |set| set.next))
            })
        })
    }
}

/// Reads the header of a set.
///
/// The sets of a [`Sets`] live until its `free(&mut self)`, and no pointer to one is kept across it.
fn header<T>(set: NonNull<Set>, read: impl FnOnce(&Set) -> T) -> T {
    // SAFETY: the set lives, see above; it is written under `&mut Sets` only, which nobody has during this read.
    read(unsafe { set.as_ref() })
}

impl Set {
    fn ending(&self, retired: Retired) -> (bool, *mut Set, Option<Layout>) {
        // The clock wraps: only the distance tells.
        let later = (self.unused_since.wrapping_sub(retired.0) as i32) > 0;
        (
            self.users > 0 || later,
            self.next,
            layout(self.len as usize, self.unguarded as usize),
        )
    }
}

/// The memory of a set; `None` for more members than memory can hold.
fn layout(len: usize, unguarded: usize) -> Option<Layout> {
    let ends = if unguarded > 0 && unguarded < len {
        2
    } else {
        1
    };
    let members = Layout::array::<Member>(len + ends).ok()?;
    let (set, _) = Layout::new::<Set>().extend(members).ok()?;
    Some(set)
}

/// Where the member `i` (counted with the ends of lists) of a set stands.
fn member_at(set: *mut Set, i: usize) -> *mut Member {
    set.wrapping_byte_add(offset::MEMBERS)
        .cast::<Member>()
        .wrapping_add(i)
}

fn mix(target: u64) -> u64 {
    // Multiplicative hashing: the golden ratio spreads the few bits in which addresses differ.
    let product = target.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    product ^ (product >> 32)
}

fn bucket(hash: u64) -> usize {
    hash as usize % BUCKETS
}

/// The ops of one callsite, in the order in which they are called.
#[derive(Clone)]
pub(crate) enum Members {
    None,
    One(&'static Ops),
    Set(NonNull<Set>, usize),
}

impl Iterator for Members {
    type Item = &'static Ops;

    fn next(&mut self) -> Option<&'static Ops> {
        match self {
            Self::None => None,
            Self::One(ops) => {
                let ops = *ops;
                *self = Self::None;
                Some(ops)
            }
            Self::Set(set, at) => {
                let (unguarded, len) =
                    header(*set, |set| (set.unguarded as usize, set.len as usize));
                if *at == len {
                    return None;
                }
                let between = usize::from(unguarded > 0 && *at >= unguarded);
                let member = member_at(set.as_ptr(), *at + between);
                *at += 1;
                // SAFETY: `at` is below `len`, so the member was written by `intern`.
                let ops = unsafe { (*member).ops };
                // SAFETY: what `intern` stored came from a `&'static Ops`.
                unsafe { ops.as_ref() }
            }
        }
    }
}
