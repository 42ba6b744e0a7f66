//! Files at the server, deleted once nobody needs them there.

use super::flush::{Backoff, Job};
use super::store::Durability;

impl Job {
    /// Deletes files at the server, if what they say outlives this process.
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
            let mut backoff = Backoff::new(shared);
            loop {
                match shared.api.delete_file(file_id).await {
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
}
