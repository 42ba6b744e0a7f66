//! How long batches take, by those that were seen to end and by what is supposed before.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// What is supposed before a batch has ended: ten of them, of which half end within the hour and two take the whole day.
///
/// An assumption, and a cautious one: OpenAI promises a day and says that it is often quicker, without a number. Ten
/// batches of our own weigh as much.
const PRIOR: [(usize, Duration); 3] = [(5, hours(1)), (3, hours(6)), (2, hours(24))];

/// How many batches are remembered, and for how long; older ones say little of today.
const REMEMBERED: usize = 200;
const FOR: Duration = hours(24);

const fn hours(count: u64) -> Duration {
    Duration::from_secs(count * 3_600)
}

/// How long the batches of one endpoint and model take.
#[derive(Debug, Default)]
pub(super) struct Turnaround {
    /// When each one ended, and how long it took.
    seen: VecDeque<(Instant, Duration)>,
}

impl Turnaround {
    /// Takes note of a batch that has ended.
    pub(super) fn saw(&mut self, took: Duration) {
        if self.seen.len() == REMEMBERED {
            self.seen.pop_front();
        }
        self.seen.push_back((Instant::now(), took));
    }

    /// Returns the time by which half of the batches have ended, once there were enough to outweigh what is supposed.
    pub(super) fn learned(&self) -> Option<Duration> {
        let supposed: usize = PRIOR.iter().map(|(weight, _)| weight).sum();
        (self.recent().count() >= supposed).then(|| self.expected())
    }

    fn recent(&self) -> impl Iterator<Item = Duration> + '_ {
        let recent = self.seen.iter().filter(|(at, _)| at.elapsed() < FOR);
        recent.map(|(_, took)| *took)
    }

    /// Returns the time by which half of the batches have ended.
    pub(super) fn expected(&self) -> Duration {
        let prior = PRIOR
            .iter()
            .flat_map(|(weight, took)| std::iter::repeat_n(*took, *weight));
        let mut all: Vec<_> = self.recent().chain(prior).collect();
        let middle = (all.len() - 1) / 2;
        *all.select_nth_unstable(middle).1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_is_supposed_and_what_is_seen_outweighs_it() {
        let mut turnaround = Turnaround::default();
        assert_eq!(turnaround.expected(), hours(1));
        for _ in 0..5 {
            turnaround.saw(hours(5));
        }
        assert_eq!((turnaround.expected(), turnaround.learned()), (hours(5), None));
        for _ in 0..16 {
            turnaround.saw(hours(2));
        }
        assert_eq!(turnaround.learned(), Some(hours(2)));
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_long_ago_is_forgotten() {
        let mut turnaround = Turnaround::default();
        for _ in 0..500 {
            turnaround.saw(hours(20));
        }
        assert_eq!(turnaround.expected(), hours(20));
        for _ in 0..REMEMBERED {
            turnaround.saw(hours(3));
        }
        assert_eq!(turnaround.seen.len(), REMEMBERED);
        assert_eq!(turnaround.expected(), hours(3));
        tokio::time::sleep(FOR).await;
        assert_eq!(turnaround.expected(), hours(1));
    }
}
