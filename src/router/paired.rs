//! A mean difference between two answers, and how sure it is.

/// Differences row by row, of which single ones may change.
///
/// Their spread is much smaller than that of the two qualities or costs that they are made of.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Paired {
    count: f64,
    sum: f64,
    squares: f64,
}

impl Paired {
    pub(super) fn of(differences: impl Iterator<Item = f64>) -> Self {
        differences.fold(Self::default(), |all, difference| Self {
            count: all.count + 1.0,
            sum: all.sum + difference,
            squares: all.squares + difference * difference,
        })
    }

    pub(super) fn replace(&mut self, old: f64, new: f64) {
        self.sum += new - old;
        self.squares += new * new - old * old;
    }

    pub(super) fn mean(&self) -> f64 {
        self.sum / self.count
    }

    /// Returns what the mean is below, or with a negative `z` above, if it is off by so many standard errors.
    pub(super) fn bound(&self, z: f64) -> f64 {
        let mean = self.mean();
        let variance = (self.squares - self.sum * mean).max(0.0) / (self.count - 1.0);
        mean + z * (variance / self.count).sqrt()
    }
}
