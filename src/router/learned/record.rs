//! A line of a training log: hashed words, numbers and an outcome; never text.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use serde::{Deserialize, Serialize};

use super::features::{SHAPES, Shape};
use crate::id::OpId;
use crate::model::ModelId;

/// How good a model's answer was, and what is known of how the model came to be asked.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Record {
    pub(super) op_id: OpId,
    pub(super) buckets: Vec<u16>,
    pub(super) shape: Shape,
    pub(super) model: ModelId,
    pub(super) quality: f32,
    /// How probable it was that this model would be asked; `None` if something else than the router chose it.
    pub(super) propensity: Option<f32>,
    /// The model that the fallback router chose, if it was asked.
    pub(super) fallback: Option<ModelId>,
}

#[derive(Serialize, Deserialize)]
struct Line<'a> {
    op_id: OpId,
    /// The buckets, as little-endian 16-bit numbers.
    #[serde(borrow)]
    words: std::borrow::Cow<'a, str>,
    shape: Shape,
    model: ModelId,
    quality: f32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    propensity: Option<f32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fallback: Option<ModelId>,
}

impl Record {
    /// Writes a JSON object, not sealed yet.
    pub(super) fn encode(&self) -> Vec<u8> {
        let words: Vec<u8> = self
            .buckets
            .iter()
            .flat_map(|bucket| bucket.to_le_bytes())
            .collect();
        let line = Line {
            op_id: self.op_id,
            words: BASE64.encode(words).into(),
            shape: self.shape,
            model: self.model.clone(),
            quality: self.quality,
            propensity: self.propensity,
            fallback: self.fallback.clone(),
        };
        serde_json::to_vec(&line).unwrap_or_default()
    }

    /// Reads a JSON object; `None` if it says what cannot be.
    pub(super) fn decode(line: &[u8]) -> Option<Self> {
        let line: Line<'_> = serde_json::from_slice(line).ok()?;
        let words = BASE64.decode(&*line.words).ok()?;
        let (words, []) = words.as_chunks::<2>() else {
            return None;
        };
        let record = Self {
            op_id: line.op_id,
            buckets: words.iter().map(|bucket| u16::from_le_bytes(*bucket)).collect(),
            shape: line.shape,
            model: line.model,
            quality: line.quality,
            propensity: line.propensity,
            fallback: line.fallback,
        };
        record.makes_sense().then_some(record)
    }

    fn makes_sense(&self) -> bool {
        let is_share = |number: f32| (0.0..=1.0).contains(&number);
        is_share(self.quality)
            && self
                .propensity
                .is_none_or(|propensity| is_share(propensity) && propensity > 0.0)
            && self
                .shape
                .iter()
                .all(|number| number.is_finite() && number.abs() <= 100.0)
    }
}

const _: () = assert!(SHAPES <= 32, "serde reads no longer arrays");

#[cfg(test)]
pub(super) mod tests {
    use super::super::features::Subject;
    use super::*;
    use crate::clock::Timestamp;

    pub(in super::super) fn record(number: i64, text: &str, model: &str, quality: f32) -> Record {
        let (buckets, shape) = Subject::of_text(text).parts();
        Record {
            op_id: OpId::new(Timestamp::from_unix_millis(number)),
            buckets,
            shape,
            model: model.into(),
            quality,
            propensity: Some(0.95),
            fallback: Some(model.into()),
        }
    }

    #[test]
    fn a_record_reads_back_and_has_no_text() {
        let record = record(7, "The secret token is xyzzy", "gpt-4o", 0.3);
        let line = record.encode();
        assert_eq!(Record::decode(&line), Some(record));
        let line = String::from_utf8(line).unwrap().to_lowercase();
        assert!(
            ["secret", "token", "xyzzy"]
                .iter()
                .all(|word| !line.contains(word))
        );
    }

    #[test]
    fn what_cannot_be_is_no_record() {
        let good = record(7, "Hi", "gpt-4o", 0.5);
        let bad = [
            Record {
                quality: 1.5,
                ..good.clone()
            },
            Record {
                quality: f32::NAN,
                ..good.clone()
            },
            Record {
                propensity: Some(0.0),
                ..good.clone()
            },
            Record {
                shape: [1e9; SHAPES],
                ..good.clone()
            },
        ];
        for bad in bad {
            assert_eq!(Record::decode(&bad.encode()), None);
        }
        assert_eq!(Record::decode(b"{}"), None);
        assert_eq!(Record::decode(&[]), None);
    }
}
