//! Fixed ways to part rows into those that are learned from and those that are measured.

use std::fmt;

/// Returns the numbers of rows in an order that only the seed decides.
pub(crate) fn shuffled(rows: usize, seed: u64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..rows).collect();
    fastrand::Rng::with_seed(seed).shuffle(&mut order);
    order
}

/// Returns for each of so many folds the rows outside and inside of it.
pub(crate) fn folds(rows: usize, folds: usize) -> Vec<(Vec<usize>, Vec<usize>)> {
    let order = shuffled(rows, 0);
    let part = |fold: usize| {
        let numbered = order.iter().enumerate();
        let (inside, outside): (Vec<_>, Vec<_>) = numbered.partition(|(at, _)| at % folds == fold);
        let rows = |part: Vec<(usize, &usize)>| part.into_iter().map(|(_, row)| *row).collect();
        (rows(outside), rows(inside))
    };
    (0..folds).map(part).collect()
}

/// Runs a job for each number on two threads, and returns what they gave, in order.
pub(crate) fn in_parallel<T: Send>(count: usize, job: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let mut done: Vec<(usize, T)> = std::thread::scope(|scope| {
        let job = &job;
        let part = |first: usize| {
            scope.spawn(move || {
                (first..count)
                    .step_by(2)
                    .map(|at| (at, job(at)))
                    .collect::<Vec<_>>()
            })
        };
        let threads = [part(0), part(1)];
        threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect()
    });
    done.sort_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, result)| result).collect()
}

/// A mean over splits, and how far single splits lie from it (one standard deviation).
///
/// The mean is surer than one split, but not by the root of their number: the rows of splits overlap.
pub(crate) struct Spread {
    pub(crate) mean: f64,
    deviation: f64,
}

impl Spread {
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let values: Vec<f64> = values.into_iter().collect();
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        Self {
            mean,
            deviation: (squares / (count - 1.0)).sqrt(),
        }
    }
}

impl fmt::Display for Spread {
    /// Writes three places; with `#`, percent with one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if f.alternate() {
            return write!(f, "{:.1} +- {:.1} %", self.mean * 100.0, self.deviation * 100.0);
        }
        write!(f, "{:.3} +- {:.3}", self.mean, self.deviation)
    }
}
