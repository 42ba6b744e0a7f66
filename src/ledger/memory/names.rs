//! Names that many rows share, each kept once for as long as something refers to it.

use std::collections::HashMap;
use std::sync::Arc;

use crate::attribution::Tag;
use crate::ledger::Degradation;

const NAMES_A_PAGE: usize = 128;
/// How many texts are found without hashing them well; a power of two.
const RECENT_BITS: u32 = 11;

/// What is kept once.
#[derive(Debug, Clone)]
enum Name {
    Text(Arc<str>),
    Tags(Arc<[Tag]>),
    Degradations(Arc<[Degradation]>),
}

/// Names by their numbers. A clone is a snapshot, and cheap: later changes copy the page that they are on.
#[derive(Debug, Clone, Default)]
pub(super) struct NameTable {
    pages: Vec<Arc<[Option<Name>; NAMES_A_PAGE]>>,
}

impl NameTable {
    pub(super) fn text(&self, number: usize) -> Option<Arc<str>> {
        match self.get(number)? {
            Name::Text(text) => Some(Arc::clone(text)),
            Name::Tags(_) | Name::Degradations(_) => None,
        }
    }

    pub(super) fn tags(&self, number: usize) -> Option<Arc<[Tag]>> {
        match self.get(number)? {
            Name::Tags(tags) => Some(Arc::clone(tags)),
            Name::Text(_) | Name::Degradations(_) => None,
        }
    }

    pub(super) fn degradations(&self, number: usize) -> Option<Vec<Degradation>> {
        match self.get(number)? {
            Name::Degradations(degradations) => Some(degradations.to_vec()),
            Name::Text(_) | Name::Tags(_) => None,
        }
    }

    fn get(&self, number: usize) -> Option<&Name> {
        self.pages
            .get(number / NAMES_A_PAGE)?
            .get(number % NAMES_A_PAGE)?
            .as_ref()
    }

    /// Puts a name in the place of another, or behind the last one; returns what was there.
    fn put(&mut self, number: usize, name: Option<Name>) -> Option<Name> {
        if self.pages.len() == number / NAMES_A_PAGE {
            self.pages.push(Arc::new([const { None }; NAMES_A_PAGE]));
        }
        let page = Arc::make_mut(self.pages.get_mut(number / NAMES_A_PAGE)?);
        std::mem::replace(page.get_mut(number % NAMES_A_PAGE)?, name)
    }
}

/// Numbers names, and forgets those that nothing refers to any more: their numbers are given out again.
#[derive(Debug)]
pub(super) struct Interner {
    names: NameTable,
    /// How often each name is referred to.
    uses: Vec<usize>,
    free: Vec<usize>,
    /// The number that a text may have, by the end of the text: most are those of a moment ago.
    recent: Vec<usize>,
    texts: HashMap<Arc<str>, usize>,
    tags: HashMap<Arc<[Tag]>, usize>,
    degradations: HashMap<Arc<[Degradation]>, usize>,
}

impl Default for Interner {
    fn default() -> Self {
        Self {
            names: NameTable::default(),
            uses: Vec::new(),
            free: Vec::new(),
            recent: vec![0; 1 << RECENT_BITS],
            texts: HashMap::new(),
            tags: HashMap::new(),
            degradations: HashMap::new(),
        }
    }
}

impl Interner {
    pub(super) const fn names(&self) -> &NameTable {
        &self.names
    }

    /// Refers to a text once more.
    pub(super) fn hold_text(&mut self, text: &Arc<str>) -> usize {
        let place = place_of(text);
        let recent = self.recent.get(place).copied().unwrap_or(0);
        if matches!(self.names.get(recent), Some(Name::Text(known)) if known == text) {
            return self.hold(recent);
        }
        let number = if let Some(number) = self.texts.get(&**text).copied() {
            self.hold(number)
        } else {
            let number = self.add(Name::Text(Arc::clone(text)));
            self.texts.insert(Arc::clone(text), number);
            number
        };
        if let Some(recent) = self.recent.get_mut(place) {
            *recent = number;
        }
        number
    }

    /// Refers to tags once more.
    pub(super) fn hold_tags(&mut self, tags: &Arc<[Tag]>) -> usize {
        if let Some(number) = self.tags.get(&**tags).copied() {
            return self.hold(number);
        }
        let number = self.add(Name::Tags(Arc::clone(tags)));
        self.tags.insert(Arc::clone(tags), number);
        number
    }

    /// Refers to degradations once more.
    pub(super) fn hold_degradations(&mut self, degradations: &[Degradation]) -> usize {
        if let Some(number) = self.degradations.get(degradations).copied() {
            return self.hold(number);
        }
        let shared: Arc<[Degradation]> = degradations.into();
        let number = self.add(Name::Degradations(Arc::clone(&shared)));
        self.degradations.insert(shared, number);
        number
    }

    /// Refers once more to what has a number.
    #[inline]
    pub(super) fn hold(&mut self, number: usize) -> usize {
        if let Some(uses) = self.uses.get_mut(number) {
            *uses += 1;
        }
        number
    }

    /// Refers to it once less.
    #[inline]
    pub(super) fn release(&mut self, number: usize) {
        let Some(uses) = self.uses.get_mut(number) else {
            return;
        };
        *uses = uses.saturating_sub(1);
        if *uses == 0 {
            self.forget(number);
        }
    }

    fn forget(&mut self, number: usize) {
        self.free.push(number);
        match self.names.put(number, None) {
            Some(Name::Text(text)) => self.texts.remove(&text),
            Some(Name::Tags(tags)) => self.tags.remove(&tags),
            Some(Name::Degradations(degradations)) => self.degradations.remove(&degradations),
            None => None,
        };
    }

    /// Returns how many names there are.
    #[cfg(test)]
    pub(super) const fn len(&self) -> usize {
        self.uses.len() - self.free.len()
    }

    fn add(&mut self, name: Name) -> usize {
        let number = self.free.pop().unwrap_or(self.uses.len());
        self.names.put(number, Some(name));
        match self.uses.get_mut(number) {
            Some(uses) => *uses = 1,
            None => self.uses.push(1),
        }
        number
    }
}

/// Returns where a text is looked for first, by its end: names often begin alike.
fn place_of(text: &str) -> usize {
    let bytes = text.as_bytes();
    let end = match bytes.last_chunk() {
        Some(end) => u64::from_le_bytes(*end),
        None => bytes.iter().fold(0, |end, byte| end << 8 | u64::from(*byte)),
    };
    // Fibonacci hashing, of Knuth's The Art of Computer Programming, section 6.4.
    let spread = end.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (u64::BITS - RECENT_BITS);
    usize::try_from(spread).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_kept_once_and_forgotten_when_nothing_refers_to_it() {
        let mut interner = Interner::default();
        let (a, b): (Arc<str>, Arc<str>) = ("a".into(), "b".into());
        let first = interner.hold_text(&a);
        assert_eq!(interner.hold_text(&"a".into()), first);
        let second = interner.hold_text(&b);
        assert_ne!(first, second);
        interner.release(first);
        assert_eq!(interner.names().text(first), Some(a));
        interner.release(first);
        assert_eq!(interner.names().text(first), None);
        assert_eq!(interner.hold_degradations(&[Degradation::Retried]), first);
        assert_eq!(interner.names().text(second), Some(b));
    }

    #[test]
    fn a_snapshot_keeps_names_whose_numbers_are_given_out_again() {
        let mut interner = Interner::default();
        let numbers: Vec<usize> = (0..1_000)
            .map(|i| interner.hold_text(&i.to_string().into()))
            .collect();
        let snapshot = interner.names().clone();
        for number in &numbers {
            interner.release(*number);
        }
        for i in 0..1_000 {
            interner.hold_text(&format!("other {i}").into());
        }
        for (i, number) in numbers.iter().enumerate() {
            assert_eq!(snapshot.text(*number).as_deref(), Some(&*i.to_string()));
        }
        assert_eq!(interner.uses.len(), 1_000);
    }
}
