//! What a line is to hold.

use super::ThresholdError;
use crate::money::Usd;

/// What a [`Threshold`](crate::router::Threshold) is to hold.
///
/// # Default
/// - a confidence of 0.9 for a floor and for money; a share of calls needs none
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Target {
    pub(super) aim: Aim,
    pub(super) confidence: f64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Aim {
    Floor(f64),
    Share(f64),
    Money(Usd),
}

impl Target {
    /// Keeps at least this share of the strong model's mean quality, such as 0.98, with as few strong calls as can be.
    pub const fn quality_floor(share: f64) -> Self {
        Self::of(Aim::Floor(share))
    }

    /// Sends this share of calls to the strong model, from 0 to 1.
    pub const fn strong_share(share: f64) -> Self {
        Self::of(Aim::Share(share))
    }

    /// Spends no more than this on a call, on average, with as many strong calls as that allows.
    pub const fn cost_per_call(most: Usd) -> Self {
        Self::of(Aim::Money(most))
    }

    const fn of(aim: Aim) -> Self {
        Self { aim, confidence: 0.9 }
    }

    /// Sets how sure it is to be that the target holds on calls to come like those it was drawn by, from 0.5 to below 1.
    ///
    /// With 0.5 it holds on average, and is missed about every other time by a little.
    #[must_use]
    pub const fn with_confidence(mut self, confidence: f64) -> Self {
        self.confidence = confidence;
        self
    }
}

impl Target {
    pub(super) fn check(&self) -> Result<(), ThresholdError> {
        let in_range = match self.aim {
            Aim::Floor(share) | Aim::Share(share) => (0.0..=1.0).contains(&share),
            Aim::Money(most) => most >= Usd::ZERO,
        };
        if in_range && (0.5..1.0).contains(&self.confidence) {
            Ok(())
        } else {
            Err(ThresholdError::BadTarget)
        }
    }
}
