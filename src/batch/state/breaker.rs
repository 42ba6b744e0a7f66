//! Holds a lane back when most lines of a batch have failed alike: then the next ones would too.

use std::time::Duration;

use tokio::time::Instant;

/// Fewer lines say nothing.
const ENOUGH_LINES: u64 = 10;
/// The longest time that a lane is held back.
const LONGEST: Duration = Duration::from_secs(2 * 3_600);
/// How many lines the batch has that tries whether it is better now.
pub(super) const PROBE_LINES: usize = 100;

/// Whether files of a lane may be made.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Breaker {
    #[default]
    Closed,
    /// None before this moment; then a small one.
    Open { until: Instant, wait: Duration },
    /// None while the small one is under way.
    Probing { wait: Duration },
}

/// Whether this many failures of one kind, among so many lines, are most of a batch.
pub(in crate::batch) const fn is_most(alike: u64, lines: u64) -> bool {
    lines >= ENOUGH_LINES && alike > lines / 2
}

impl Breaker {
    /// Notes that most of a batch has failed alike; returns for how long the lane is held back.
    pub(super) fn trip(&mut self, first: Duration, now: Instant) -> Duration {
        let wait = match *self {
            Self::Closed => first,
            // Another batch of the same time says nothing new.
            Self::Open { wait, .. } => wait,
            Self::Probing { wait } => wait.saturating_mul(2).min(LONGEST.max(first)),
        };
        let until = now + crate::clock::bounded(wait);
        *self = Self::Open { until, wait };
        wait
    }

    /// Notes that a file is made.
    pub(super) fn sealed(&mut self) {
        if let Self::Open { wait, .. } = *self {
            *self = Self::Probing { wait };
        }
    }

    /// Notes that a batch has ended, and not failed in this way.
    pub(super) fn ended(&mut self) {
        if let Self::Probing { .. } = self {
            *self = Self::Closed;
        }
    }

    pub(super) fn is_held(&self, now: Instant) -> bool {
        match self {
            Self::Closed => false,
            Self::Open { until, .. } => *until > now,
            Self::Probing { .. } => true,
        }
    }

    /// Returns when a file may be made again, if that is known.
    pub(super) fn until(&self) -> Option<Instant> {
        match self {
            Self::Open { until, .. } => Some(*until),
            _ => None,
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        *self == Self::Closed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_lines_or_half_of_them_are_not_most() {
        assert!(!is_most(9, 9) && !is_most(5, 10) && is_most(6, 10));
    }

    #[test]
    fn each_probe_that_fails_doubles_the_wait_and_one_that_does_not_ends_it() {
        let (mut breaker, now) = (Breaker::default(), Instant::now());
        let first = Duration::from_secs(600);
        assert_eq!(breaker.trip(first, now), first);
        assert_eq!(breaker.trip(first, now), first);
        assert!(breaker.is_held(now) && !breaker.is_held(now + first));
        for expected in [1_200, 2_400, 4_800, 7_200, 7_200] {
            breaker.sealed();
            assert!(breaker.is_held(now + LONGEST));
            assert_eq!(breaker.trip(first, now), Duration::from_secs(expected));
        }
        breaker.ended();
        assert!(!breaker.is_closed());
        breaker.sealed();
        breaker.ended();
        assert!(breaker.is_closed() && !breaker.is_held(now));
    }
}
