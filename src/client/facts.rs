//! The facts in force: prices, abilities, token counts.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, TryLockError};

use crate::pricing::PriceBook;
use crate::router::Facts;

/// Facts that can be replaced while calls read them. Each call reads them once.
///
/// New facts are written beside those in force, and put in front when they are whole: a reader never waits for them.
#[derive(Debug)]
pub(super) struct CurrentFacts {
    slots: [RwLock<Arc<Facts>>; 2],
    front: AtomicUsize,
    /// Held by who replaces the facts.
    replacing: Mutex<()>,
}

impl CurrentFacts {
    pub(super) fn new(facts: Facts) -> Self {
        let facts = Arc::new(facts);
        Self {
            slots: [RwLock::new(Arc::clone(&facts)), RwLock::new(facts)],
            front: AtomicUsize::new(0),
            replacing: Mutex::new(()),
        }
    }

    /// Returns the facts in force.
    pub(super) fn get(&self) -> Arc<Facts> {
        loop {
            match self.slot(self.front.load(Ordering::Acquire)).try_read() {
                Ok(facts) => return Arc::clone(&facts),
                Err(TryLockError::Poisoned(facts)) => return Arc::clone(&facts.into_inner()),
                // Two replacements came in between: the other slot is in front by now.
                Err(TryLockError::WouldBlock) => std::hint::spin_loop(),
            }
        }
    }

    /// Replaces the prices for all calls that begin from now on.
    pub(super) fn set_prices(&self, prices: PriceBook) {
        let _replacing = self.replacing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut facts = Facts::clone(&self.get());
        facts.prices = prices;
        let back = 1 - self.front.load(Ordering::Acquire);
        *self.slot(back).write().unwrap_or_else(PoisonError::into_inner) = Arc::new(facts);
        self.front.store(back, Ordering::Release);
    }

    fn slot(&self, at: usize) -> &RwLock<Arc<Facts>> {
        let [first, second] = &self.slots;
        if at == 0 { first } else { second }
    }
}

/// Adds to prices what OpenAI's regional hosts charge, if a base URL names one.
pub(super) fn at_host(base: &str, prices: PriceBook) -> PriceBook {
    let host = base.split_once("://").map_or(base, |(_, rest)| rest);
    let host = host.split(['/', ':']).next().unwrap_or_default();
    if matches!(host, "us.api.openai.com" | "eu.api.openai.com") {
        prices.with_regional_uplift()
    } else {
        prices
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pricing::Price;

    #[test]
    fn a_regional_host_is_told_from_others() {
        let plain = PriceBook::builtin();
        let regional = plain.clone().with_regional_uplift();
        for (base, expected) in [
            ("https://api.openai.com/v1", &plain),
            ("https://eu.api.openai.com/v1", &regional),
            ("https://us.api.openai.com:443/v1", &regional),
            ("https://eu.api.openai.com.example/v1", &plain),
            ("https://gateway.example/eu.api.openai.com", &plain),
            ("", &plain),
        ] {
            let revision = at_host(base, plain.clone()).revision().clone();
            assert_eq!(&revision, expected.revision(), "{base}");
        }
    }

    #[test]
    fn readers_see_whole_facts_and_never_older_ones_again() {
        let book = |number: u32| {
            PriceBook::empty().with_price("m", Price::per_mtok(&number.to_string(), "0").unwrap())
        };
        let books: Vec<_> = (0..2_000).map(book).collect();
        let current = CurrentFacts::new(Facts::default());
        current.set_prices(books[0].clone());
        std::thread::scope(|threads| {
            for _ in 0..2 {
                threads.spawn(|| {
                    let mut last = 0;
                    while last + 1 < books.len() {
                        let facts = current.get();
                        let known = books
                            .iter()
                            .skip(last)
                            .position(|book| book.revision() == facts.prices.revision());
                        last += known.unwrap();
                    }
                });
            }
            for book in &books {
                current.set_prices(book.clone());
            }
        });
        assert_eq!(current.get().prices.revision(), books[1_999].revision());
    }
}
