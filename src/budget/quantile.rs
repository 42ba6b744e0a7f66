//! Which share of their worst case calls really cost.

/// In how many steps shares are counted.
const STEPS: u32 = 1_024;

/// How many calls must be counted before anything is held but the worst case.
const LEAST: u32 = 100;

/// Counts calls by the share of their worst case that they cost.
#[derive(Debug)]
pub(super) struct Shares {
    percent: u8,
    counts: Vec<u32>,
    total: u32,
    /// What is held, in 1,024ths.
    share: u32,
    /// At how many calls to look again.
    next: u32,
}

impl Shares {
    /// Holds the worst case until enough is known to hold the share that so many percent of calls stay below.
    pub(super) fn of(percent: u8) -> Self {
        Self {
            percent,
            counts: vec![0; STEPS as usize],
            total: 0,
            share: STEPS,
            next: LEAST,
        }
    }

    pub(super) const fn share(&self) -> u32 {
        self.share
    }

    /// Counts a call.
    pub(super) fn count(&mut self, cost: i64, worst: i64) {
        if worst <= 0 || self.percent >= 100 {
            return;
        }
        let step = i128::from(cost) * i128::from(STEPS) / i128::from(worst);
        let step = usize::try_from(step)
            .unwrap_or(usize::MAX)
            .min(self.counts.len() - 1);
        if let Some(count) = self.counts.get_mut(step) {
            *count = count.saturating_add(1);
        }
        self.total = self.total.saturating_add(1);
        if self.total >= self.next {
            self.next = self.total.saturating_add(self.total / 16);
            self.look();
        }
        // What is long past counts for less and less.
        if self.total == 1 << 20 {
            self.counts.iter_mut().for_each(|count| *count /= 2);
            self.total = self.counts.iter().sum();
            self.next = self.total;
        }
    }

    /// Finds the upper end of the step that the quantile is in.
    fn look(&mut self) {
        let wanted = (u64::from(self.total) * u64::from(self.percent)).div_ceil(100);
        let mut below = 0;
        self.share = STEPS;
        for (step, count) in (1..).zip(&self.counts) {
            below += u64::from(*count);
            if below >= wanted {
                self.share = step;
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_the_worst_case_until_a_hundred_calls_are_known() {
        let mut shares = Shares::of(90);
        for cost in 0..99 {
            shares.count(cost, 1_000);
            assert_eq!(shares.share(), STEPS);
        }
        shares.count(99, 1_000);
        // 90 of 100 calls cost less than 9 percent of their worst case.
        assert_eq!(shares.share(), 92);
        for _ in 0..2_000 {
            shares.count(500, 1_000);
        }
        assert_eq!(shares.share(), 513);
    }

    #[test]
    fn costs_beyond_the_worst_case_count_as_it() {
        let mut shares = Shares::of(99);
        for _ in 0..100 {
            shares.count(i64::MAX, 1);
            shares.count(7, 0);
        }
        assert_eq!(shares.share(), STEPS);
    }

    #[test]
    fn a_hundred_percent_is_the_worst_case() {
        let mut shares = Shares::of(100);
        for _ in 0..200 {
            shares.count(1, 1_000);
        }
        assert_eq!(shares.share(), STEPS);
    }

    #[test]
    fn what_is_long_past_is_forgotten() {
        let mut shares = Shares::of(50);
        for _ in 0..1 << 20 {
            shares.count(1_000, 1_000);
        }
        for _ in 0..1 << 20 {
            shares.count(0, 1_000);
        }
        assert_eq!(shares.share(), 1);
    }
}
