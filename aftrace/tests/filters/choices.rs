//! Filters at random.

use aftrace::trace::calls::Task;
use aftrace::trace::filter::Filter;
use proptest::prelude::*;

pub fn filters() -> impl Strategy<Value = Filter> {
    let globs = || {
        let one = prop::sample::select(vec![
            "fs::*",
            "mem::copy",
            "*::[osp]*",
            "<*",
            "irq::*",
            "*d*",
        ]);
        prop_oneof![
            3 => Just(vec![]),
            1 => prop::collection::vec(one.prop_map(str::to_owned), 1..3),
        ]
    };
    let depth = prop_oneof![Just(u32::MAX), 0..5_u32];
    let minimum = prop_oneof![Just(0), 0..120_u64];
    let time = prop_oneof![
        Just(0..=u64::MAX),
        (900..2500_u64, 0..2000_u64).prop_map(|(from, ticks)| from..=from + ticks)
    ];
    let cores = prop_oneof![
        Just(None),
        prop::collection::vec(0..3_u16, 0..3).prop_map(Some)
    ]
    .boxed();
    let tasks = cores.clone().prop_map(|cores| {
        let tasks = cores?.into_iter().map(Task::Core);
        Some(tasks.collect())
    });
    let globs = (globs(), globs(), globs(), globs());
    (globs, depth, minimum, time, cores, tasks).prop_map(
        |((functions, hidden, skipped, callers), depth, minimum, time, cores, tasks)| Filter {
            functions,
            hidden,
            skipped,
            callers,
            depth,
            minimum,
            time,
            cores,
            tasks,
        },
    )
}
