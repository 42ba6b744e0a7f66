//! The content of an input file, read from the store while it is sent.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt, TryStreamExt};

use super::line;
use super::store::{BatchStore, Extent, StoreError};

/// How much of a file is read at once.
const PIECE: u64 = 128 << 10;

/// The content of an input file: JSON lines. It can be read again for each attempt, and is never in memory as a whole.
#[derive(Clone)]
pub struct InputFile {
    source: Source,
    len: u64,
}

#[derive(Clone)]
enum Source {
    Memory(Bytes),
    Store {
        store: Arc<dyn BatchStore>,
        /// Each line and its attempt.
        lines: Arc<Vec<(Extent, u32)>>,
    },
}

impl InputFile {
    pub(super) fn new(store: Arc<dyn BatchStore>, lines: Vec<(Extent, u32)>) -> Self {
        Self {
            len: lines
                .iter()
                .map(|(extent, attempt)| line::written(extent.len, *attempt))
                .sum(),
            source: Source::Store {
                store,
                lines: lines.into(),
            },
        }
    }

    /// Returns how many bytes it has.
    pub const fn len(&self) -> u64 {
        self.len
    }

    /// Whether it has none.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns the content in pieces of some 128 KiB.
    ///
    /// # Errors
    /// The stream ends with an error if the store cannot give the bytes that it took.
    pub fn pieces(&self) -> BoxStream<'static, Result<Bytes, StoreError>> {
        match &self.source {
            Source::Memory(bytes) => stream::iter([Ok(bytes.clone())]).boxed(),
            Source::Store { store, lines } => {
                let (store, lines) = (store.clone(), lines.clone());
                stream::try_unfold(0, move |begin| {
                    let (store, lines) = (store.clone(), lines.clone());
                    async move {
                        let end = begin + piece(lines.get(begin..).unwrap_or_default());
                        let part = lines.get(begin..end).filter(|part| !part.is_empty());
                        let Some(part) = part else { return Ok(None) };
                        let extents: Vec<_> = part.iter().map(|(extent, _)| *extent).collect();
                        let stored = store.read(&extents).await?;
                        Ok(Some((as_sent(stored, part), end)))
                    }
                })
                .boxed()
            }
        }
    }

    /// Reads all of it into memory.
    ///
    /// # Errors
    /// If the store cannot give the bytes that it took.
    pub async fn read(&self) -> Result<Bytes, StoreError> {
        if let Source::Memory(bytes) = &self.source {
            return Ok(bytes.clone());
        }
        let pieces = self.pieces().try_fold(Vec::new(), |mut all, piece| async move {
            all.extend_from_slice(&piece);
            Ok(all)
        });
        pieces.await.map(Bytes::from)
    }
}

/// Returns how many lines make a piece.
fn piece(lines: &[(Extent, u32)]) -> usize {
    let mut bytes = 0;
    let fit = lines.iter().take_while(|(extent, _)| {
        let fits = bytes < PIECE;
        bytes += u64::from(extent.len);
        fits
    });
    fit.count()
}

/// Puts the attempts into lines that are as their first attempt sends them.
fn as_sent(stored: Bytes, lines: &[(Extent, u32)]) -> Bytes {
    if lines.iter().all(|(_, attempt)| *attempt == 0) {
        return stored;
    }
    let (mut sent, mut rest) = (Vec::with_capacity(stored.len() + lines.len()), &stored[..]);
    for (extent, attempt) in lines {
        let (line, after) = rest.split_at_checked(extent.len as usize).unwrap_or((rest, &[]));
        line::write(&mut sent, line, *attempt);
        rest = after;
    }
    sent.into()
}

impl From<Bytes> for InputFile {
    fn from(bytes: Bytes) -> Self {
        Self {
            len: bytes.len() as u64,
            source: Source::Memory(bytes),
        }
    }
}

impl fmt::Debug for InputFile {
    /// Shows the size only: the content is prompts.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "InputFile({} bytes)", self.len)
    }
}
