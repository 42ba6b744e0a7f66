//! Ends of a process at many calls to the disk, for the tests of what is built on segments.

/// How a process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Killed,
    /// Which of what was not synced is left, a number decides.
    WithoutPower {
        torn: u64,
    },
}

/// Ends a process at as many calls to the disk as `THRIFTY_CRASH_POINTS` says, 400 by default; returns how many.
/// `dies_at` ends it at its nth call, looks at what is left, and returns how many calls it made.
pub(crate) fn at_crash_points(dies_at: impl Fn(u64, End) -> u64) -> u64 {
    let points = std::env::var("THRIFTY_CRASH_POINTS").map_or(400, |points| points.parse().unwrap());
    let calls = dies_at(u64::MAX, End::Killed);
    assert!(calls > 100, "{calls} calls are enough to die at");
    for point in 0..points {
        let end = match point % 2 {
            0 => End::Killed,
            _ => End::WithoutPower { torn: point },
        };
        dies_at(point / 2 % calls, end);
    }
    points
}
