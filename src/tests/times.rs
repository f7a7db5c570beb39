//! What is worked out of a profile's sums.
#![forbid(unsafe_code)]

use crate::counters::Times;

/// The sums of calls that took so long.
fn of(calls: &[u64]) -> Times {
    calls.iter().fold(Times::default(), |sums, &took| {
        sums.plus(Times {
            hits: 1,
            total: took,
            own: took,
            longest: took,
            squares: u128::from(took) * u128::from(took),
        })
    })
}

#[test]
fn sums_of_two_add_up_and_the_longest_is_the_longer() {
    let sums = of(&[2, 9, 7]);
    assert_eq!((sums.hits, sums.total, sums.own), (3, 18, 18));
    assert_eq!((sums.longest, sums.squares), (9, 4 + 81 + 49));
}

/// Mean and variance by their definition, of few and short calls.
fn by_definition(calls: &[u64]) -> (u64, u128) {
    let count = calls.len() as u64;
    let total: u64 = calls.iter().sum();
    // Each distance to the mean, times the count: whole numbers.
    let distances = calls
        .iter()
        .map(|&took| u128::from((took * count).abs_diff(total)).pow(2));
    let variance = distances.sum::<u128>() / u128::from(count).pow(3);
    (total / count, variance)
}

#[test]
fn mean_and_variance_are_those_of_the_definition_rounded_down() {
    // All ways to draw up to four calls of 0 to 6 ticks.
    for count in 1..=4 {
        for number in 0..7_u64.pow(count) {
            let calls = [0, 1, 2, 3].map(|at| number / 7_u64.pow(at) % 7);
            let calls = &calls[..count as usize];
            let times = of(calls);
            assert_eq!(
                (times.mean(), times.variance()),
                by_definition(calls),
                "{calls:?}"
            );
        }
    }
    let none = Times::default();
    assert_eq!((none.mean(), none.variance()), (0, 0));
}

/// 2^40 calls, half of them of 2^22 ticks more or less: the sums fill 104 bits, times the calls 144.
#[test]
fn many_long_calls_have_a_variance() {
    const HITS: u64 = 1 << 40;
    let (short, long) = ((1_u64 << 23) - (1 << 22), (1_u64 << 23) + (1 << 22));
    let squares = [short, long].map(|took| u128::from(took).pow(2) * u128::from(HITS / 2));
    let times = Times {
        hits: HITS,
        total: HITS << 23,
        own: 0,
        longest: long,
        squares: squares.iter().sum(),
    };
    assert_eq!((times.mean(), times.variance()), (1 << 23, 1 << 44));
    // Of one call that took all the time that there is.
    let most = of(&[u64::MAX]);
    assert_eq!((most.mean(), most.variance()), (u64::MAX, 0));
    let two = of(&[u64::MAX / 2, 0]);
    assert_eq!(two.variance(), (u128::from(u64::MAX / 2)).pow(2) / 4);
}
