//! The requests that a collector knows, in 60 bytes each, and how they are found by their id.

use crate::batch::store::Extent;
use crate::id::RequestId;

/// The place of a request in the collector's memory. It is given to another one once the request is forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(in crate::batch) struct Row(u32);

impl Row {
    /// Stands where there is no row.
    pub(super) const NONE: Self = Self(u32::MAX);

    pub(super) fn some(self) -> Option<Self> {
        (self != Self::NONE).then_some(self)
    }
}

/// Where a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::batch) enum Place {
    Buffered,
    /// In the flush of this number.
    InFlush(u32),
    /// In no batch: on the faster lane only, or over.
    Nowhere,
}

/// One request. What only few requests have is kept elsewhere.
#[derive(Debug, Clone)]
pub(in crate::batch) struct Request {
    id: [u8; 16],
    pub(in crate::batch) line: Extent,
    pub(super) lane: u32,
    /// When it was taken, in [`TICK`](super::TICK)s.
    pub(super) since: u32,
    place: u32,
    pub(super) before: Row,
    pub(super) after: Row,
    attempts: u16,
    pub(super) inputs: u16,
    pub(super) flags: Flags,
}

/// What is so of a request.
#[expect(clippy::struct_excessive_bools, reason = "a byte each, in any combination")]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Flags {
    pub(super) settled: bool,
    /// Its flush has not said anything of it yet.
    pub(super) open: bool,
    /// Its outcome is acknowledged; it is known only until its batch has released it.
    pub(super) acknowledged: bool,
    /// Whoever enqueued it has gone and does not want its outcome.
    pub(super) unwanted: bool,
}

const BUFFERED: u32 = u32::MAX;
const NOWHERE: u32 = u32::MAX - 1;
/// There is no request in this row.
const FREE: u32 = u32::MAX - 2;

impl Request {
    pub(super) fn new(id: RequestId, stored: Extent, lane: u32, since: u32, inputs: u16) -> Self {
        Self {
            id: id.to_bytes(),
            line: stored,
            lane,
            since,
            place: NOWHERE,
            before: Row::NONE,
            after: Row::NONE,
            attempts: 0,
            inputs,
            flags: Flags::default(),
        }
    }

    pub(in crate::batch) const fn id(&self) -> RequestId {
        RequestId::from_bytes(self.id)
    }

    pub(in crate::batch) const fn place(&self) -> Place {
        match self.place {
            BUFFERED => Place::Buffered,
            NOWHERE => Place::Nowhere,
            flush => Place::InFlush(flush),
        }
    }

    pub(super) const fn set_place(&mut self, place: Place) {
        self.place = match place {
            Place::Buffered => BUFFERED,
            Place::Nowhere => NOWHERE,
            Place::InFlush(flush) => flush,
        };
    }

    /// Returns in how many batches it was so far.
    pub(in crate::batch) fn attempts(&self) -> u32 {
        self.attempts.into()
    }

    pub(super) fn set_attempts(&mut self, attempts: u32) {
        self.attempts = u16::try_from(attempts).unwrap_or(u16::MAX);
    }

    pub(in crate::batch) const fn is_settled(&self) -> bool {
        self.flags.settled
    }
}

/// How many rows are made at once: never so many that making room for one more copies the rest.
const CHUNK: usize = 4_096;

/// All requests.
#[derive(Debug, Default)]
pub(super) struct Rows {
    chunks: Vec<Vec<Request>>,
    free: Vec<Row>,
    ids: Ids,
}

impl Rows {
    #[cfg(test)]
    fn len(&self) -> usize {
        self.ids.len
    }

    pub(super) fn find(&self, id: RequestId) -> Option<Row> {
        self.ids.find(id, |row| self.get(row).map(Request::id))
    }

    pub(super) fn get(&self, row: Row) -> Option<&Request> {
        let row = row.0 as usize;
        self.chunks.get(row / CHUNK)?.get(row % CHUNK)
    }

    pub(super) fn get_mut(&mut self, row: Row) -> Option<&mut Request> {
        let row = row.0 as usize;
        self.chunks.get_mut(row / CHUNK)?.get_mut(row % CHUNK)
    }

    /// Puts in a request whose id is not known yet.
    pub(super) fn insert(&mut self, request: Request) -> Row {
        let id = request.id();
        let row = match self.free.pop() {
            Some(row) => {
                if let Some(free) = self.get_mut(row) {
                    *free = request;
                }
                row
            }
            None => self.push(request),
        };
        if self.ids.is_full() {
            self.make_room();
        } else {
            self.ids.put(id, row);
        }
        row
    }

    /// Makes the table twice as large. The rows are gone through in their order, which is that of the memory.
    fn make_room(&mut self) {
        let mut ids = Ids::with_cells((self.ids.cells.len() * 2).max(16));
        for (row, request) in self.iter() {
            ids.put(request.id(), row);
        }
        self.ids = ids;
    }

    fn push(&mut self, request: Request) -> Row {
        let full = self.chunks.last().is_none_or(|chunk| chunk.len() == CHUNK);
        if full {
            self.chunks.push(Vec::with_capacity(CHUNK));
        }
        let before = (self.chunks.len() - 1) * CHUNK;
        let chunk = self.chunks.last_mut();
        let at = chunk.map_or(0, |chunk| {
            chunk.push(request);
            chunk.len() - 1
        });
        // More than four thousand million requests would fill the memory first.
        Row(u32::try_from(before + at).unwrap_or(u32::MAX))
    }

    pub(super) fn remove(&mut self, row: Row) {
        let Some(id) = self.get(row).map(Request::id) else {
            return;
        };
        let chunks = &self.chunks;
        let id_of = |row: Row| {
            Some(
                chunks
                    .get(row.0 as usize / CHUNK)?
                    .get(row.0 as usize % CHUNK)?
                    .id(),
            )
        };
        if !self.ids.remove(id, id_of) {
            return;
        }
        if let Some(request) = self.get_mut(row) {
            request.place = FREE;
        }
        self.free.push(row);
        if self.ids.len == 0 {
            *self = Self::default();
        }
    }

    /// Returns all rows that are in use.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Row, &Request)> {
        let requests = self.chunks.iter().flatten();
        let numbered = (0_u32..).map(Row).zip(requests);
        numbered.filter(|(_, request)| request.place != FREE)
    }
}

/// Rows by id: open addressing with linear probing, 5 bytes a cell. The ids are in the rows; a byte of each one's hash is
/// here, so that a row is looked at only if it is likely the one.
#[derive(Debug, Default)]
struct Ids {
    cells: Vec<Row>,
    tags: Vec<u8>,
    len: usize,
}

impl Ids {
    fn with_cells(cells: usize) -> Self {
        Self {
            cells: vec![Row::NONE; cells],
            tags: vec![0; cells],
            len: 0,
        }
    }

    /// Whether one more would take more than half: ids that belong side by side are moved on side by side, so that runs
    /// would get long.
    fn is_full(&self) -> bool {
        (self.len + 1) * 2 > self.cells.len()
    }

    fn mask(&self) -> usize {
        self.cells.len().wrapping_sub(1)
    }

    /// Returns the cell where an id belongs, and its tag. Ids that were made one after the other lie side by side, sixteen
    /// in a line of the processor's cache: that is how they are enqueued, loaded and settled.
    fn home(&self, id: RequestId) -> (usize, u8) {
        let bits = u128::from_be_bytes(id.to_bytes());
        let [.., count] = (bits >> 48).to_be_bytes();
        let within = count & 15;
        let group = bits & !(15 << 48);
        #[expect(
            clippy::cast_possible_truncation,
            reason = "both halves are mixed, and high bits taken"
        )]
        let mixed = ((group as u64) ^ ((group >> 48) as u64)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let [tag, ..] = mixed.to_be_bytes();
        let line = usize::try_from((mixed >> 24) & 0xffff_fff0).unwrap_or(0);
        ((line | usize::from(within)) & self.mask(), tag ^ within)
    }

    fn cell(&self, at: usize) -> Row {
        self.cells.get(at).copied().unwrap_or(Row::NONE)
    }

    fn set(&mut self, at: usize, row: Row, tag: u8) {
        if let Some((cell, own)) = self.cells.get_mut(at).zip(self.tags.get_mut(at)) {
            (*cell, *own) = (row, tag);
        }
    }

    fn place_of(&self, id: RequestId, id_of: impl Fn(Row) -> Option<RequestId>) -> Option<(usize, Row)> {
        if self.cells.is_empty() {
            return None;
        }
        let (mut at, tag) = self.home(id);
        loop {
            let row = self.cell(at).some()?;
            if self.tags.get(at) == Some(&tag) && id_of(row) == Some(id) {
                return Some((at, row));
            }
            at = (at + 1) & self.mask();
        }
    }

    fn find(&self, id: RequestId, id_of: impl Fn(Row) -> Option<RequestId>) -> Option<Row> {
        self.place_of(id, id_of).map(|(_, row)| row)
    }

    fn put(&mut self, id: RequestId, row: Row) {
        let (mut at, tag) = self.home(id);
        while self.cell(at).some().is_some() {
            at = (at + 1) & self.mask();
        }
        self.set(at, row, tag);
        self.len += 1;
    }

    fn remove(&mut self, id: RequestId, id_of: impl Fn(Row) -> Option<RequestId>) -> bool {
        let Some((mut gap, _)) = self.place_of(id, &id_of) else {
            return false;
        };
        self.set(gap, Row::NONE, 0);
        self.len -= 1;
        // Moves back what was only put further because the cell was taken.
        let mut at = gap;
        loop {
            at = (at + 1) & self.mask();
            let Some(row) = self.cell(at).some() else {
                return true;
            };
            let Some((home, tag)) = id_of(row).map(|id| self.home(id)) else {
                continue;
            };
            let (moved, missing) = (
                at.wrapping_sub(home) & self.mask(),
                at.wrapping_sub(gap) & self.mask(),
            );
            if moved >= missing {
                self.set(gap, row, tag);
                self.set(at, Row::NONE, 0);
                gap = at;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    fn request(id: u8) -> Request {
        let id = RequestId::from_bytes([id; 16]);
        Request::new(id, Extent::new(0, 0, 0, 0), 0, 0, 0)
    }

    #[test]
    fn a_request_takes_sixty_bytes() {
        assert_eq!(size_of::<Request>(), 60);
    }

    proptest! {
        #[test]
        fn rows_are_found_by_their_ids_and_by_no_other(steps in proptest::collection::vec((any::<bool>(), 0_u8..40), 0..400)) {
            let (mut rows, mut model) = (Rows::default(), HashMap::new());
            for (insert, id) in steps {
                let known = model.get(&id).copied();
                prop_assert_eq!(rows.find(RequestId::from_bytes([id; 16])), known);
                match known {
                    None if insert => {
                        model.insert(id, rows.insert(request(id)));
                    }
                    Some(row) if !insert => {
                        rows.remove(row);
                        model.remove(&id);
                    }
                    _ => {}
                }
                prop_assert_eq!(rows.len(), model.len());
                prop_assert_eq!(rows.iter().count(), model.len());
            }
            for (id, row) in model {
                prop_assert_eq!(rows.get(row).unwrap().id(), RequestId::from_bytes([id; 16]));
            }
        }
    }
}
