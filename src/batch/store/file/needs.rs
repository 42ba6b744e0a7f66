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
        let Some(number) = content.extent().map(|extent| extent.file) else {
            return;
        };
        self.has_named(number);
        if let Some(file) = self.files.get_mut(&number) {
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

    /// Makes safe what an earlier process wrote since the last snapshot, and removes the files that nobody needs.
    pub(super) fn tidy(&mut self) -> Result<(), StoreError> {
        let disk = self.layout.shared_disk();
        let mut not_safe = self.journal.older().to_vec();
        if self.position > 0 {
            not_safe.extend(self.journal.not_safe().map(|own| own.path));
        }
        let segments = not_safe.len();
        for (number, file) in self.files.iter().filter(|(_, file)| file.needed_by > 0) {
            let bytes = disk.size(&file.path).map_err(io_error("look at", &file.path))?;
            if self.safe.get(number) != Some(&bytes) {
                not_safe.push(file.path.clone());
            }
        }
        for path in &not_safe {
            disk.sync(path).map_err(io_error("sync", path))?;
        }
        if not_safe.len() > segments {
            self.layout.sync_data_dirs()?;
            self.safe_names = self.begun;
        }
        self.layout.sync_journal_dir()?;
        self.journal.dir_changed = false;
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
