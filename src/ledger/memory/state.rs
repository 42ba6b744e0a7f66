//! What a ledger in memory keeps behind its lock.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::cells::{Answer, Cells};
use super::chunk::{Chunk, IdBits};
use super::names::{Interner, NameTable};
use super::row::{RowPacker, cell_of, release, unpack};
use crate::ledger::{LedgerEntry, LedgerError, Query, Recorded};

/// Rows in chunks, with the names that they share and the sums that they are counted in.
#[derive(Debug)]
pub(super) struct State {
    capacity: usize,
    len: usize,
    /// The newest id.
    last: Option<IdBits>,
    /// By an id that is not after a chunk's first one, and after all of the chunk before. Snapshots share chunks.
    chunks: BTreeMap<IdBits, Arc<Chunk>>,
    interner: Interner,
    cells: Cells,
    packer: RowPacker,
}

/// All rows at one moment.
#[derive(Debug, Default)]
pub(super) struct Rows {
    chunks: Vec<Arc<Chunk>>,
    names: NameTable,
}

impl State {
    pub(super) fn new(capacity: usize, most_idle_cells: usize) -> Self {
        Self {
            capacity,
            len: 0,
            last: None,
            chunks: BTreeMap::new(),
            interner: Interner::default(),
            cells: Cells::new(most_idle_cells),
            packer: RowPacker::default(),
        }
    }

    pub(super) fn record(&mut self, entry: &LedgerEntry) -> Result<Recorded, LedgerError> {
        let id = IdBits::from(entry.id);
        if self.last < Some(id) {
            self.append(id, entry);
        } else if !self.insert(id, entry)? {
            return Ok(Recorded::Duplicate);
        }
        self.len += 1;
        if self.len > self.capacity {
            self.evict();
        }
        Ok(Recorded::Stored)
    }

    /// Keeps an entry that is newer than all others, as nearly every entry is.
    fn append(&mut self, id: IdBits, entry: &LedgerEntry) {
        let newest = match self.chunks.last_entry() {
            Some(newest) if !newest.get().is_full() => newest.into_mut(),
            full => {
                let begun = full.map(|full| {
                    let full = Arc::make_mut(full.into_mut());
                    full.shrink();
                    Chunk::after(full, id)
                });
                let begun = || Arc::new(begun.unwrap_or_else(|| Chunk::new(id)));
                self.chunks.entry(id).or_insert_with(begun)
            }
        };
        let row = self.packer.pack(entry, &mut self.interner, &mut self.cells);
        Arc::make_mut(newest).push(id, row);
        self.last = Some(id);
    }

    /// Keeps an entry at its place among others. `false` if it is there already.
    fn insert(&mut self, id: IdBits, entry: &LedgerEntry) -> Result<bool, LedgerError> {
        let mut key = self.key_for(id);
        let chunk = self.chunks.entry(key).or_insert_with(|| Arc::new(Chunk::new(id)));
        let mut place = match chunk.find(id) {
            Ok(place) => {
                let known = chunk.row(place);
                let known = known.and_then(|(id, row)| unpack(id, row, self.interner.names()));
                return if known.as_ref() == Some(entry) {
                    Ok(false)
                } else {
                    Err(LedgerError::Conflict { id: entry.id })
                };
            }
            Err(place) => place,
        };
        if chunk.is_full() {
            if let Some((first, later)) = Arc::make_mut(chunk).divide() {
                self.chunks.insert(first, Arc::new(later));
                key = if id < first { key } else { first };
            }
            let chunk = self.chunks.get(&key);
            place = chunk.map_or(0, |chunk| chunk.find(id).unwrap_or_else(|place| place));
        }
        if let Some(chunk) = self.chunks.get_mut(&key) {
            let row = self.packer.pack(entry, &mut self.interner, &mut self.cells);
            Arc::make_mut(chunk).insert(place, id, row);
        }
        Ok(true)
    }

    /// Returns the key of the chunk that an id belongs to.
    fn key_for(&mut self, id: IdBits) -> IdBits {
        if let Some((key, _)) = self.chunks.range(..=id).next_back() {
            return *key;
        }
        if let Some((_, first)) = self.chunks.pop_first() {
            self.chunks.insert(id, first);
        }
        id
    }

    fn evict(&mut self) {
        let Some(mut first) = self.chunks.first_entry() else {
            return;
        };
        let chunk = Arc::make_mut(first.get_mut());
        if let Some(row) = chunk.first() {
            let released = release(row, &mut self.interner, &mut self.cells);
            debug_assert!(released.is_some(), "a row that was packed can be read");
        }
        chunk.drop_first();
        self.len -= 1;
        if chunk.len() == 0 {
            first.remove();
        }
    }

    /// Returns what a query needs: sums, and rows if they do not suffice.
    pub(super) fn answer(&self, query: &Query) -> (Answer, Rows) {
        let answer = self.cells.answer(query);
        let rows = if answer.wanted.is_empty() {
            Rows::default()
        } else {
            self.rows()
        };
        (answer, rows)
    }

    #[cfg(test)]
    pub(super) fn names_and_cells(&self) -> (usize, usize) {
        (self.interner.len(), self.cells.len())
    }

    pub(super) fn rows(&self) -> Rows {
        Rows {
            chunks: self.chunks.values().cloned().collect(),
            names: self.interner.names().clone(),
        }
    }
}

impl Rows {
    /// Returns the entries that were counted in the wanted cells, some hundred at a time, the oldest first.
    pub(super) fn chunks<'a>(
        &'a self,
        wanted: &'a [bool],
    ) -> impl Iterator<Item = impl Iterator<Item = LedgerEntry> + 'a> + 'a {
        let is_wanted = |row: &[u8]| cell_of(row).and_then(|cell| wanted.get(cell)) == Some(&true);
        self.chunks.iter().map(move |chunk| {
            let rows = chunk.rows().filter(move |(_, row)| is_wanted(row));
            rows.filter_map(|(id, row)| read(id, row, &self.names))
        })
    }

    /// Returns all entries, the oldest first. They are read as they are asked for.
    pub(super) fn into_entries(self) -> impl Iterator<Item = LedgerEntry> + Send + 'static {
        let Self { chunks, names } = self;
        chunks.into_iter().flat_map(move |chunk| {
            let rows = chunk.rows();
            rows.filter_map(|(id, row)| read(id, row, &names))
                .collect::<Vec<_>>()
        })
    }
}

fn read(id: IdBits, row: &[u8], names: &NameTable) -> Option<LedgerEntry> {
    let entry = unpack(id, row, names);
    debug_assert!(entry.is_some(), "a row that was packed can be read");
    entry
}
