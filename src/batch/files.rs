//! Files at the server: looked for when the answer to an upload was lost, deleted once nobody needs them there.

use std::sync::Arc;

use tokio::time::sleep;

use super::api::ApiError;
use super::flush::{Backoff, Job};
use super::search::is_older;
use super::store::{Durability, Record, StoreError};
use crate::clock::Timestamp;
use crate::id::RequestId;
use crate::wire::FileView;

/// How many looks there are at the list of files, which may be late.
const LOOKS: u32 = 2;
/// How many letters of a flush's name are its time and what tells it from others; the rest says of which part it is.
const NAME: usize = 26;

impl Job {
    /// Returns the name of the file of an upload, counted from 0.
    pub(super) fn filename(&self, upload: u32) -> Arc<str> {
        format!("{}{upload}.jsonl", self.prefix()).into()
    }

    fn prefix(&self) -> String {
        format!("thrifty-{}-", self.id)
    }

    /// Returns the file of the last upload, which was not answered, if the server has it with all bytes that are wanted.
    ///
    /// Lines only ever leave a flush: one of the same length has the same lines. If there is none, what earlier uploads
    /// have left is deleted, and another upload may follow.
    pub(super) async fn find_lost_file(&self) -> Option<Arc<str>> {
        let last = self.shared.lock().uploads(&self.id).checked_sub(1)?;
        let name = self.filename(last);
        let mut strays = Vec::new();
        for look in 0..LOOKS {
            if look > 0 {
                sleep(self.shared.policy.settle).await;
            }
            let mut files = match self.uploaded_files().await {
                Ok(files) => files,
                Err(error) => {
                    tracing::warn!(flush = %self.id, %error, "files cannot be listed; the file is uploaded anew");
                    return None;
                }
            };
            let (wanted, ..) = self.build();
            if wanted.is_empty() {
                return None;
            }
            let is_whole = |file: &FileView| {
                file.filename.as_deref() == Some(&*name) && file.bytes == Some(wanted.len())
            };
            let found = files.iter().position(is_whole).map(|at| files.swap_remove(at));
            strays = files;
            if let Some(file) = found {
                self.delete_strays(&strays).await;
                return Some(file.id.into());
            }
        }
        self.delete_strays(&strays).await;
        None
    }

    /// Lists the files of this flush that the server has.
    async fn uploaded_files(&self) -> Result<Vec<FileView>, ApiError> {
        let sealed = self.id.as_str().get(..NAME).and_then(|name| name.parse().ok());
        let sealed = sealed.map_or(Timestamp::from_unix_millis(0), RequestId::timestamp);
        let prefix = self.prefix();
        let is_ours = |file: &FileView| {
            let name = file.filename.as_deref();
            !file.id.is_empty() && name.is_some_and(|name| name.starts_with(&prefix))
        };
        let (mut found, mut after) = (Vec::new(), None::<String>);
        loop {
            let mut backoff = Backoff::new(&self.shared);
            let page = loop {
                match self.shared.api.list_files(after.as_deref()).await {
                    Ok(page) => break page,
                    // It would not be there later either.
                    Err(error) if error.status == Some(501) => return Err(error),
                    Err(error) if error.is_retryable() && backoff.again("list files", &error).await => {}
                    Err(error) => return Err(error),
                }
            };
            let next = page.data.last().map(|file| file.id.clone());
            let times = page.data.iter().map(|file| file.created_at);
            let end = !page.has_more || next.is_none() || next == after || is_older(times, sealed);
            found.extend(page.data.into_iter().filter(is_ours));
            if end {
                return Ok(found);
            }
            after = next;
        }
    }

    /// Takes note of a file that was made, or found to be the right one, just now.
    pub(super) async fn uploaded(&self, input_file_id: Arc<str>) -> Result<(), StoreError> {
        if let Some(flush) = self.shared.lock().flushes.get_mut(&self.id) {
            flush.uploaded_by = flush.runner;
        }
        let flush = self.id.clone();
        self.shared
            .commit(Record::Uploaded { flush, input_file_id })
            .await
    }

    /// Whether its file was uploaded by an earlier driver, perhaps long ago.
    pub(super) fn is_of_earlier_driver(&self) -> bool {
        let state = self.shared.lock();
        let flush = state.flushes.get(&self.id);
        flush.is_some_and(|flush| flush.uploaded_by != flush.runner)
    }

    /// Has another file made of the lines that still need a batch, and deletes this one. No batch of it may be there, or
    /// come.
    pub(super) async fn build_anew(&self, file_id: &str) -> Result<(), StoreError> {
        let flush = self.id.clone();
        self.shared.commit(Record::CreateAbandoned { flush }).await?;
        self.delete_files([file_id]).await;
        Ok(())
    }

    /// Deletes files at the server, if what they say outlives this process, and what lost uploads have left there.
    ///
    /// It comes before the flush is closed: after a crash the batch is looked at again, and what is left is deleted then.
    pub(super) async fn delete_files<'a>(&self, files: impl IntoIterator<Item = &'a str> + Send) {
        let shared = &self.shared;
        if !shared.policy.delete_files || shared.store.durability() == Durability::Process {
            return;
        }
        if let Err(error) = shared.sync().await {
            tracing::warn!(flush = %self.id, %error, "the batch store failed; files at the server are kept");
            return;
        }
        for file_id in files {
            self.delete_file(file_id).await;
        }
        if self.may_have_strays()
            && let Ok(strays) = self.uploaded_files().await
        {
            self.delete_strays(&strays).await;
        }
    }

    /// Whether the server may have a file of this flush besides the one that its batch was made of.
    fn may_have_strays(&self) -> bool {
        let state = self.shared.lock();
        let flush = state.flushes.get(&self.id);
        // Without one there may be the file of the last upload: the process may have ended before it was deleted.
        flush.is_some_and(|flush| flush.uploads > u32::from(flush.phase.file_id().is_some()))
    }

    async fn delete_strays(&self, strays: &[FileView]) {
        if self.shared.policy.delete_files {
            for file in strays {
                self.delete_file(&file.id).await;
            }
        }
    }

    async fn delete_file(&self, file_id: &str) {
        let mut backoff = Backoff::new(&self.shared);
        loop {
            match self.shared.api.delete_file(file_id).await {
                Ok(()) => break,
                Err(error) if error.status == Some(404) => break,
                Err(error) if error.is_retryable() && backoff.again("delete file", &error).await => {}
                Err(error) => {
                    tracing::warn!(file_id, %error, "a file at the server could not be deleted");
                    break;
                }
            }
        }
    }
}
