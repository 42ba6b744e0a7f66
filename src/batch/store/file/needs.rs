//! Which file is needed by how many requests: one that none needs is removed.

use super::writing::{File, Writing};
use crate::batch::store::error::io_error;
use crate::batch::store::{Content, Record, StoreError, Verdict};

impl Writing {
    /// Counts what needs which file.
    pub(super) fn count(&mut self, records: &[Record]) {
        for record in records {
            match record {
                Record::Enqueued(request) => self.need(&request.line),
                Record::Settled {
                    verdict: Verdict::Answered(answer),
                    ..
                } => self.need(&answer.body),
                Record::Acknowledged { line, answer, .. } => {
                    self.need_no_more(line);
                    if let Some(answer) = answer {
                        self.need_no_more(answer);
                    }
                }
                _ => {}
            }
        }
    }

    fn need(&mut self, content: &Content) {
        let file = content
            .extent()
            .and_then(|extent| self.files.get_mut(&extent.file));
        if let Some(file) = file {
            file.needed_by += 1;
        }
    }

    fn need_no_more(&mut self, content: &Content) {
        let Some(number) = content.extent().map(|extent| extent.file) else {
            return;
        };
        let Some(file) = self.files.get_mut(&number) else {
            return;
        };
        file.needed_by = file.needed_by.saturating_sub(1);
        if file.needed_by == 0 && !self.is_open(number) {
            self.removable.push(number);
        }
    }

    /// Counts anew what needs which file.
    pub(super) fn begin_to_count(&mut self) {
        self.files.values_mut().for_each(|file| file.needed_by = 0);
    }

    /// Makes what an earlier process wrote safe, and removes the files that nobody needs.
    pub(super) fn tidy(&mut self) -> Result<(), StoreError> {
        let disk = self.layout.shared_disk();
        let older = self.journal.segments().into_iter();
        let files = self
            .files
            .values()
            .filter(|file| file.needed_by > 0)
            .map(|file| file.path.clone());
        for path in older.chain(files) {
            disk.sync(&path).map_err(io_error("sync", &path))?;
        }
        for dir in [self.layout.journal(), self.layout.lines(), self.layout.answers()] {
            disk.sync_dir(&dir).map_err(io_error("sync", &dir))?;
        }
        let unneeded = |number: &u32, file: &File| file.needed_by == 0 && !self.is_open(*number);
        let unneeded: Vec<_> = self
            .files
            .iter()
            .filter(|(number, file)| unneeded(number, file))
            .map(|(number, _)| *number)
            .collect();
        for number in unneeded {
            if let Some(file) = self.files.remove(&number)
                && let Err(error) = disk.remove(&file.path)
            {
                tracing::warn!(%error, path = %file.path.display(), "a file of the spool could not be removed");
            }
        }
        Ok(())
    }
}
