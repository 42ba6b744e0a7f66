//! The requests of one lane that wait for a file: a list that runs through their rows, the oldest first.

use super::rows::{Place, Request, Row, Rows};
use crate::batch::line;

/// The requests of one lane that wait for a file.
#[derive(Debug)]
pub(super) struct Buffer {
    first: Row,
    last: Row,
    pub(super) len: usize,
    pub(super) bytes: usize,
    pub(super) inputs: usize,
}

impl Default for Buffer {
    fn default() -> Self {
        Self {
            first: Row::NONE,
            last: Row::NONE,
            len: 0,
            bytes: 0,
            inputs: 0,
        }
    }
}

impl Buffer {
    pub(super) fn push_back(&mut self, rows: &mut Rows, row: Row) {
        let before = self.last;
        self.link(rows, before, row, Row::NONE);
    }

    /// Puts in one that was in a batch already: it has waited longer than the others.
    pub(super) fn push_front(&mut self, rows: &mut Rows, row: Row) {
        let after = self.first;
        self.link(rows, Row::NONE, row, after);
    }

    fn link(&mut self, rows: &mut Rows, before: Row, row: Row, after: Row) {
        let Some(request) = rows.get_mut(row) else { return };
        request.set_place(Place::Buffered);
        (request.before, request.after) = (before, after);
        self.len += 1;
        self.bytes += line::bound(request.line.len);
        self.inputs += usize::from(request.inputs);
        match rows.get_mut(before) {
            Some(neighbour) => neighbour.after = row,
            None => self.first = row,
        }
        match rows.get_mut(after) {
            Some(neighbour) => neighbour.before = row,
            None => self.last = row,
        }
    }

    /// Takes one out that is in.
    pub(super) fn remove(&mut self, rows: &mut Rows, row: Row, to: Place) {
        let Some(request) = rows.get_mut(row) else { return };
        request.set_place(to);
        let before = std::mem::replace(&mut request.before, Row::NONE);
        let after = std::mem::replace(&mut request.after, Row::NONE);
        self.len -= 1;
        self.bytes -= line::bound(request.line.len);
        self.inputs -= usize::from(request.inputs);
        match rows.get_mut(before) {
            Some(neighbour) => neighbour.after = after,
            None => self.first = after,
        }
        match rows.get_mut(after) {
            Some(neighbour) => neighbour.before = before,
            None => self.last = before,
        }
    }

    /// Takes out those that have waited for the longest time, as long as they are these ones in this order; `each` is given
    /// what is taken. Returns how many they are.
    pub(super) fn take_oldest(
        &mut self,
        rows: &mut Rows,
        these: &[Row],
        to: Place,
        mut each: impl FnMut(Row, &mut Request),
    ) -> usize {
        let mut taken = 0;
        for row in these {
            let Some(request) = rows.get_mut(*row).filter(|_| self.first == *row) else {
                break;
            };
            request.set_place(to);
            request.before = Row::NONE;
            self.first = std::mem::replace(&mut request.after, Row::NONE);
            self.len -= 1;
            self.bytes -= line::bound(request.line.len);
            self.inputs -= usize::from(request.inputs);
            each(*row, request);
            taken += 1;
        }
        match rows.get_mut(self.first) {
            Some(first) => first.before = Row::NONE,
            None => self.last = Row::NONE,
        }
        taken
    }

    /// Returns the one that waits for the longest time.
    pub(super) fn oldest(&self) -> Option<Row> {
        self.first.some()
    }

    /// Returns all, the oldest first.
    pub(super) fn iter<'a>(&self, rows: &'a Rows) -> impl Iterator<Item = (Row, &'a Request)> + 'a {
        let at = |row: Row| Some((row.some()?, rows.get(row)?));
        std::iter::successors(at(self.first), move |(_, request)| at(request.after))
    }
}
