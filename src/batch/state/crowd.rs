//! Many requests with deadlines close together: the faster lane takes only so many at once, so that some go early.

use std::time::Duration;

use tokio::time::Instant;

use super::{Request, State};

/// How many requests are on the faster lane at once.
pub(in crate::batch) const MAX_RESCUES: usize = 64;

/// How long a call on the faster lane is supposed to take, before one has been seen. More than most take: then a few leave
/// too early, which costs little, and tell how long it takes; with less all of them would leave too late.
const SUPPOSED: Duration = Duration::from_secs(60);

/// What is known of the queue before the faster lane.
#[derive(Debug, Default)]
pub(super) struct Crowd {
    /// How long a call takes, the last ones weighing most.
    call: Option<Duration>,
    is_crowded: bool,
    look_again: Option<Instant>,
}

impl State {
    /// Takes note of how long a call on the faster lane took.
    pub(in crate::batch) fn rescue_took(&mut self, took: Duration) {
        let before = self.crowd.call.unwrap_or(took);
        self.crowd.call = Some((before * 7 + took) / 8);
    }

    /// Whether the first ones have to go now, before their time, for the last ones to be in time. Half of the slack may
    /// be used up by waiting in line.
    pub(in crate::batch) fn is_crowded(&mut self, slack: Duration, now: Instant) -> bool {
        if self.in_line(self.rescues.len()) <= slack / 2 {
            self.crowd.look_again = None;
            return false;
        }
        if self.crowd.look_again.is_some_and(|at| now < at) {
            return self.crowd.is_crowded;
        }
        let mut rescues = std::mem::take(&mut self.rescues);
        let open = |request: &Request| !request.is_settled();
        rescues.retain(|(_, id)| self.find(*id).and_then(|row| self.get(row)).is_some_and(open));
        let longest = self.in_line(rescues.len());
        let near = rescues.iter().enumerate().map(|(before, (at, _))| {
            let left = at.saturating_duration_since(now).saturating_add(slack / 2);
            (before, left)
        });
        let mut near = near.take_while(|(_, left)| *left < longest);
        self.crowd.is_crowded = near.any(|(before, left)| self.in_line(before + 1) > left);
        let pause = (slack / 4).clamp(Duration::from_secs(1), Duration::from_secs(30));
        self.crowd.look_again = Some(now + pause);
        self.rescues = rescues;
        self.crowd.is_crowded
    }

    /// Returns when to look again whether it is crowded.
    pub(in crate::batch) fn next_look_at_crowd(&self) -> Option<Instant> {
        self.crowd.look_again
    }

    /// Returns how long it takes until so many have been sent.
    fn in_line(&self, count: usize) -> Duration {
        let call = self.crowd.call.unwrap_or(SUPPOSED);
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        (call / u32::try_from(MAX_RESCUES).unwrap_or(1)).saturating_mul(count)
    }
}
