//! How good an answer was.

use crate::id::OpId;
use crate::model::ModelId;

/// How good an answer was, from 0 for useless to 1 for as good as can be.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Quality(f32);

impl Quality {
    /// Useless.
    pub const BAD: Self = Self(0.0);
    /// As good as can be.
    pub const GOOD: Self = Self(1.0);
    /// In the middle.
    pub const HALF: Self = Self(0.5);

    /// Takes a number from 0 to 1; `None` for any other, and for NaN.
    ///
    /// # Examples
    /// ```
    /// use thrifty::router::Quality;
    ///
    /// assert_eq!(Quality::new(1.0), Some(Quality::GOOD));
    /// assert_eq!(Quality::new(1.5), None);
    /// ```
    pub fn new(quality: f32) -> Option<Self> {
        (0.0..=1.0).contains(&quality).then_some(Self(quality))
    }

    /// Returns the number.
    pub const fn get(self) -> f32 {
        self.0
    }
}

impl From<bool> for Quality {
    fn from(good: bool) -> Self {
        if good { Self::GOOD } else { Self::BAD }
    }
}

/// What somebody who can tell says of an answer: a user, a test, another model.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Rating {
    /// The operation that was answered.
    pub op_id: OpId,
    /// The model whose answer it was; `None` for the one that was handed out.
    pub model: Option<ModelId>,
    /// How good it was.
    pub quality: Quality,
}

impl Rating {
    /// Rates the answer that was handed out.
    pub fn new(op_id: OpId, quality: impl Into<Quality>) -> Self {
        Self {
            op_id,
            model: None,
            quality: quality.into(),
        }
    }

    /// Says that it is the answer of this model.
    #[must_use]
    pub fn of_model(mut self, model: impl Into<ModelId>) -> Self {
        self.model = Some(model.into());
        self
    }
}
