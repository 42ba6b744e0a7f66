//! Some hundred rows with consecutive ids, in one piece of memory.

use std::ops::Range;

use super::packing::{put, take, unzigzag, zigzag};
use super::row::Row;
use crate::id::EntryId;

/// A chunk with more rows is split.
const MOST_ROWS: usize = 256;

const PROCESS_BITS: u32 = 48;

/// The 128 bits of an id, in the order in which ids sort.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct IdBits(u128);

impl IdBits {
    pub(super) const fn of(bytes: [u8; 16]) -> Self {
        Self(u128::from_be_bytes(bytes))
    }

    pub(super) const fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    /// Returns milliseconds, counter and process.
    fn parts(self) -> (i64, u32, u64) {
        let part = |shift: u32, bits: u32| u64::try_from(self.0 >> shift & ((1 << bits) - 1)).unwrap_or(0);
        let millis = part(PROCESS_BITS + u32::BITS, 48).cast_signed();
        let count = u32::try_from(part(PROCESS_BITS, u32::BITS)).unwrap_or(0);
        (millis, count, part(0, PROCESS_BITS))
    }

    /// Appends what tells this id from another, which is little for ids of one process and about one time.
    pub(super) fn put(self, near: Self, bytes: &mut Vec<u8>) {
        let ((millis, count, process), (near_millis, near_count, near_process)) =
            (self.parts(), near.parts());
        let is_other = process != near_process;
        put(bytes, zigzag(millis - near_millis) << 1 | u64::from(is_other));
        put(bytes, zigzag(i64::from(count) - i64::from(near_count)));
        if is_other {
            put(bytes, process);
        }
    }

    /// Takes what [`put`](Self::put) appended from the front.
    pub(super) fn take(near: Self, bytes: &mut &[u8]) -> Option<Self> {
        let (near_millis, near_count, near_process) = near.parts();
        let millis = take(bytes)?;
        let count = unzigzag(take(bytes)?).checked_add(near_count.into())?;
        let process = if millis & 1 == 0 {
            near_process
        } else {
            take(bytes)?
        };
        let millis = u128::try_from(unzigzag(millis >> 1).checked_add(near_millis)?).ok()?;
        let count = u128::try_from(count).ok()?;
        Some(Self(
            (millis << u32::BITS | count) << PROCESS_BITS | u128::from(process),
        ))
    }

    /// Passes over what [`put`](Self::put) appended.
    fn skip(bytes: &mut &[u8]) -> Option<()> {
        let is_other = take(bytes)? & 1 == 1;
        take(bytes)?;
        if is_other {
            take(bytes)?;
        }
        Some(())
    }
}

impl From<EntryId> for IdBits {
    fn from(id: EntryId) -> Self {
        Self::of(id.to_bytes())
    }
}

/// Rows sorted by id. The oldest ones can be taken off its front.
#[derive(Debug, Clone)]
pub(super) struct Chunk {
    /// What ids are told from.
    near: IdBits,
    /// Where each row begins.
    starts: Vec<u32>,
    /// How many rows at the front are gone.
    gone: usize,
    bytes: Vec<u8>,
}

impl Chunk {
    /// Makes an empty chunk for ids near this one.
    pub(super) const fn new(near: IdBits) -> Self {
        Self {
            near,
            starts: Vec::new(),
            gone: 0,
            bytes: Vec::new(),
        }
    }

    /// Makes an empty chunk for ids behind those of a full one, with room for as much.
    pub(super) fn after(full: &Self, near: IdBits) -> Self {
        Self {
            near,
            starts: Vec::with_capacity(full.starts.len()),
            gone: 0,
            bytes: Vec::with_capacity(full.bytes.len()),
        }
    }

    pub(super) const fn len(&self) -> usize {
        self.starts.len() - self.gone
    }

    pub(super) const fn is_full(&self) -> bool {
        self.starts.len() >= MOST_ROWS
    }

    /// Returns where the row with this id is, or else where it belongs.
    pub(super) fn find(&self, id: IdBits) -> Result<usize, usize> {
        let places = self.gone..self.starts.len();
        let rows = self.starts.get(places).unwrap_or_default();
        rows.binary_search_by(|start| self.id_at(*start).cmp(&Some(id)))
    }

    /// Puts a row behind all others.
    pub(super) fn push(&mut self, id: IdBits, row: Row<'_>) {
        self.starts.push(offset(self.bytes.len()));
        id.put(self.near, &mut self.bytes);
        row.append_to(&mut self.bytes);
    }

    /// Puts a row at a place that [`find`](Self::find) returned.
    pub(super) fn insert(&mut self, place: usize, id: IdBits, row: Row<'_>) {
        let at = self.gone + place;
        let Some(start) = self.starts.get(at).copied() else {
            return self.push(id, row);
        };
        let mut whole = Vec::new();
        id.put(self.near, &mut whole);
        row.append_to(&mut whole);
        let added = offset(whole.len());
        let begin = index(start);
        self.bytes.splice(begin..begin, whole);
        self.starts.insert(at, start);
        for start in self.starts.iter_mut().skip(at + 1) {
            *start += added;
        }
    }

    /// Makes room: forgets rows that are gone, or else takes off the later half, with the id of its first row.
    pub(super) fn divide(&mut self) -> Option<(IdBits, Self)> {
        if self.gone > MOST_ROWS / 2 {
            let begin = self
                .starts
                .get(self.gone)
                .map_or(self.bytes.len(), |start| index(*start));
            self.bytes.drain(..begin);
            self.starts.drain(..self.gone);
            self.starts.iter_mut().for_each(|start| *start -= offset(begin));
            self.gone = 0;
            return None;
        }
        let half = self.gone + self.len() / 2;
        let begin = *self.starts.get(half)?;
        let first = self.id_at(begin)?;
        let mut later = Self {
            near: self.near,
            starts: self.starts.split_off(half),
            gone: 0,
            bytes: self.bytes.split_off(index(begin)),
        };
        later.starts.iter_mut().for_each(|start| *start -= begin);
        self.shrink();
        Some((first, later))
    }

    /// Gives back memory that only further rows would need.
    pub(super) fn shrink(&mut self) {
        self.starts.shrink_to_fit();
        self.bytes.shrink_to_fit();
    }

    /// Returns what the oldest row is without its id.
    pub(super) fn first(&self) -> Option<&[u8]> {
        let mut row = self.bytes_of(self.gone)?;
        IdBits::skip(&mut row)?;
        Some(row)
    }

    /// Drops the oldest row.
    pub(super) fn drop_first(&mut self) {
        self.gone = (self.gone + 1).min(self.starts.len());
    }

    /// Returns a row.
    pub(super) fn row(&self, place: usize) -> Option<(IdBits, &[u8])> {
        let mut row = self.bytes_of(self.gone + place)?;
        let id = IdBits::take(self.near, &mut row)?;
        Some((id, row))
    }

    fn bytes_of(&self, at: usize) -> Option<&[u8]> {
        let begin = index(*self.starts.get(at)?);
        let next = self.starts.get(at + 1);
        self.bytes
            .get(begin..next.map_or(self.bytes.len(), |next| index(*next)))
    }

    /// Returns all rows, the oldest first.
    pub(super) fn rows(&self) -> impl Iterator<Item = (IdBits, &[u8])> {
        let all: Range<usize> = 0..self.len();
        all.filter_map(|place| self.row(place))
    }

    fn id_at(&self, start: u32) -> Option<IdBits> {
        IdBits::take(self.near, &mut self.bytes.get(index(start)..)?)
    }
}

/// A chunk has some hundred rows of some hundred bytes each at most.
fn offset(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

fn index(start: u32) -> usize {
    usize::try_from(start).unwrap_or(usize::MAX)
}
