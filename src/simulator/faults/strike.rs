//! Which fault strikes.

use std::collections::HashMap;

use memchr::memmem;

use super::{Action, Fault};
use crate::simulator::text::hash;

/// What a fault can strike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::simulator) enum Target {
    Request,
    Line,
    Batch,
}

/// The faults that may still strike.
#[derive(Debug, Default)]
pub(in crate::simulator) struct Faults {
    /// Each with its number.
    waiting: Vec<(u64, Fault)>,
    injected: u64,
    /// How often the same bytes came while there were faults by chance.
    seen: HashMap<u64, u64>,
}

impl Faults {
    pub(in crate::simulator) fn inject(&mut self, fault: Fault) {
        self.injected += 1;
        self.waiting.push((self.injected, fault));
    }

    /// Takes the first fault that strikes, and forgets it once it has struck its times.
    pub(in crate::simulator) fn strike(
        &mut self,
        seed: u64,
        target: Target,
        path: &str,
        body: &[u8],
    ) -> Option<Fault> {
        self.waiting.retain(|(_, fault)| fault.times > 0);
        let by_chance = self.waiting.iter().any(|(_, fault)| fault.probability.is_some());
        let draw = by_chance.then(|| {
            let name = hash(hash(seed, path.as_bytes()), body);
            let nth = self.seen.entry(name).or_default();
            *nth += 1;
            hash(name, &nth.to_le_bytes())
        });
        let (_, fault) = self.waiting.iter_mut().find(|(number, fault)| {
            let hits = || match (fault.probability, draw) {
                (Some(probability), Some(draw)) => share(hash(draw, &number.to_le_bytes())) < probability,
                _ => true,
            };
            fault.target() == target && fault.is_for(path, body) && hits()
        })?;
        fault.times -= 1;
        Some(fault.clone())
    }
}

/// A number from 0 to 1, without 1.
fn share(draw: u64) -> f64 {
    let bits = u32::try_from(draw >> 32).unwrap_or(u32::MAX);
    f64::from(bits) / (f64::from(u32::MAX) + 1.0)
}

impl Fault {
    fn target(&self) -> Target {
        match self.action {
            Action::Line(_) => Target::Line,
            Action::Batch(_) => Target::Batch,
            _ => Target::Request,
        }
    }

    fn is_for(&self, path: &str, body: &[u8]) -> bool {
        let on_path = |wanted: &String| match wanted.strip_suffix('*') {
            Some(start) => path.split_once(start).is_some_and(|(_, rest)| !rest.is_empty()),
            None => path.ends_with(wanted.as_str()),
        };
        let has = |text: &String| memmem::find(body, text.as_bytes()).is_some();
        self.path.as_ref().is_none_or(on_path) && self.text.as_ref().is_none_or(has)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn struck(faults: &mut Faults, path: &str, body: &str) -> bool {
        faults.strike(7, Target::Request, path, body.as_bytes()).is_some()
    }

    #[test]
    fn a_path_is_matched_by_its_end_or_with_more_behind() {
        for (wanted, path, expected) in [
            ("/batches", "/v1/batches", true),
            ("/batches", "/v1/batches/b-1", false),
            ("/batches/*", "/v1/batches/b-1", true),
            ("/batches/*", "/v1/batches/", false),
        ] {
            let mut faults = Faults::default();
            faults.inject(Fault::hang().on(wanted));
            assert_eq!(struck(&mut faults, path, ""), expected, "{wanted} {path}");
        }
    }

    #[test]
    fn chance_is_the_same_for_the_same_requests_in_any_order_and_about_what_was_asked() {
        let outcomes = |order: &[usize]| {
            let mut faults = Faults::default();
            faults.inject(Fault::hang().with_probability(0.25));
            let mut hit: Vec<_> = order
                .iter()
                .map(|n| (*n, struck(&mut faults, "/v1/x", &n.to_string())))
                .collect();
            hit.sort_unstable();
            hit
        };
        let forwards: Vec<usize> = (0..4_000).collect();
        let backwards: Vec<usize> = (0..4_000).rev().collect();
        let hit = outcomes(&forwards);
        assert_eq!(hit, outcomes(&backwards));
        let hits = hit.iter().filter(|(_, hit)| *hit).count();
        assert!((900..1_100).contains(&hits), "{hits}");
    }

    #[test]
    fn never_and_always_are_chances_too() {
        let mut faults = Faults::default();
        faults.inject(Fault::hang().with_probability(0.0));
        assert!((0..100).all(|_| !struck(&mut faults, "/v1/x", "a")));
        faults.inject(Fault::hang().with_probability(1.0).times(3));
        assert_eq!((0..100).filter(|_| struck(&mut faults, "/v1/x", "a")).count(), 3);
    }
}
