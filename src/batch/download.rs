//! A file of results, line by line, as it is downloaded.

use bytes::{Buf, Bytes};
use futures_util::StreamExt;
use futures_util::stream::{BoxStream, Fuse};

use super::api::ApiError;

/// The lines of a file, which comes in pieces of any size. Blank ones are left out.
pub(super) struct Lines {
    content: Fuse<BoxStream<'static, Result<Bytes, ApiError>>>,
    /// What is left of the last piece.
    piece: Bytes,
    line: Vec<u8>,
}

impl Lines {
    pub(super) fn of(content: BoxStream<'static, Result<Bytes, ApiError>>) -> Self {
        Self {
            content: content.fuse(),
            piece: Bytes::new(),
            line: Vec::new(),
        }
    }

    /// Returns the next line; `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<&[u8]>, ApiError> {
        self.line.clear();
        loop {
            let Some(end) = memchr::memchr(b'\n', &self.piece) else {
                self.line.extend_from_slice(&self.piece);
                self.piece.clear();
                match self.content.next().await {
                    Some(piece) => self.piece = piece?,
                    None if self.line.trim_ascii().is_empty() => return Ok(None),
                    None => return Ok(Some(&self.line)),
                }
                continue;
            };
            self.line.extend_from_slice(&self.piece.split_to(end));
            self.piece.advance(1);
            if !self.line.trim_ascii().is_empty() {
                return Ok(Some(&self.line));
            }
            self.line.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn lines_are_the_same_however_the_file_is_cut(text in "[a\n ]{0,40}", size in 1_usize..9) {
            let pieces = text.as_bytes().chunks(size);
            let pieces: Vec<_> = pieces.map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
            let mut lines = Lines::of(futures_util::stream::iter(pieces).boxed());
            let mut read = Vec::new();
            while let Some(line) = lines.next().now_or_never().unwrap().unwrap() {
                read.push(String::from_utf8(line.to_vec()).unwrap());
            }
            let expected: Vec<_> = text.split('\n').filter(|line| !line.trim().is_empty()).collect();
            prop_assert_eq!(read, expected);
        }
    }
}
