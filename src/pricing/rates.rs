//! What a kind of token costs, in whole pico-dollars.

use crate::money::{ParseUsdError, Usd};
use crate::usage::{Meters, Usage};

/// Pico-dollars a token in one dollar per million tokens.
const PICO_PER_MTOK_DOLLAR: i64 = 1_000_000;

/// A text that is not a price.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PriceError {
    /// The text is not a decimal number of dollars.
    #[error("the price is not a decimal number")]
    NotANumber(#[source] ParseUsdError),
    /// The price is below zero.
    #[error("the price is negative: {0:?}")]
    Negative(String),
    /// The price has more than six decimals per million tokens: it is not a whole pico-dollar a token.
    #[error("the price has more than 6 decimals: {0:?}")]
    TooFine(String),
}

/// What each kind of token costs, for one lane and one context band.
///
/// Cached input without a rate of its own, read or written, is billed at the input rate, and so are images in the
/// input. Audio, images in the output and cache writes kept for 12 hours have no price without a rate of their own: a
/// cost with such tokens is [`Partial`](super::Cost::Partial).
///
/// # Examples
/// ```
/// use thrifty::pricing::Rates;
///
/// let rates = Rates::per_mtok("2.50", "10.00")?.with_cache_read("1.25")?;
/// assert_eq!(rates.input().to_string(), "0.0000025");
/// # Ok::<(), thrifty::pricing::PriceError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rates {
    input: i64,
    output: i64,
    special: [Option<i64>; Kind::SPECIAL],
}

/// A kind of token that can have a rate of its own, beside plain input and output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    CacheRead,
    CacheWrite,
    CacheWrite12h,
    AudioInput,
    AudioOutput,
    ImageInput,
    ImageOutput,
}

impl Kind {
    /// How many there are.
    pub(super) const SPECIAL: usize = 7;
    const INPUT: [Self; 5] = [
        Self::CacheRead,
        Self::CacheWrite,
        Self::CacheWrite12h,
        Self::AudioInput,
        Self::ImageInput,
    ];
    const OUTPUT: [Self; 2] = [Self::AudioOutput, Self::ImageOutput];
}

pub(super) fn parse(per_mtok: &str) -> Result<i64, PriceError> {
    let pico = per_mtok.parse::<Usd>().map_err(PriceError::NotANumber)?.as_pico();
    if pico < 0 {
        return Err(PriceError::Negative(per_mtok.to_owned()));
    }
    if pico % PICO_PER_MTOK_DOLLAR != 0 {
        return Err(PriceError::TooFine(per_mtok.to_owned()));
    }
    Ok(pico / PICO_PER_MTOK_DOLLAR)
}

impl Rates {
    /// Takes the price of input and of output, in dollars per million tokens.
    ///
    /// # Errors
    /// If a text is not a decimal number, is negative, or has more than six decimals. The other methods that take a
    /// price fail likewise.
    pub fn per_mtok(input: &str, output: &str) -> Result<Self, PriceError> {
        Ok(Self::of(parse(input)?, parse(output)?, [None; Kind::SPECIAL]))
    }

    /// Takes pico-dollars a token; `special` in the order of [`Kind`].
    pub(super) const fn of(input: i64, output: i64, special: [Option<i64>; Kind::SPECIAL]) -> Self {
        Self {
            input,
            output,
            special,
        }
    }

    /// Sets the price of input read from the provider's cache. Default: the input rate.
    ///
    /// # Errors
    /// As [`per_mtok`](Self::per_mtok).
    pub fn with_cache_read(self, per_mtok: &str) -> Result<Self, PriceError> {
        Ok(self.with(Kind::CacheRead, parse(per_mtok)?))
    }

    /// Sets the price of input written to the provider's cache. Default: the input rate.
    ///
    /// # Errors
    /// As [`per_mtok`](Self::per_mtok).
    pub fn with_cache_write(self, per_mtok: &str) -> Result<Self, PriceError> {
        Ok(self.with(Kind::CacheWrite, parse(per_mtok)?))
    }

    /// Sets the price of input written to the provider's cache to be kept for 12 hours or longer. Default: none.
    ///
    /// # Errors
    /// As [`per_mtok`](Self::per_mtok).
    pub fn with_cache_write_12h(self, per_mtok: &str) -> Result<Self, PriceError> {
        Ok(self.with(Kind::CacheWrite12h, parse(per_mtok)?))
    }

    /// Sets the prices of audio. Default: none, so that audio is unpriced.
    ///
    /// # Errors
    /// As [`per_mtok`](Self::per_mtok).
    pub fn with_audio(self, input: &str, output: &str) -> Result<Self, PriceError> {
        let rates = self.with(Kind::AudioInput, parse(input)?);
        Ok(rates.with(Kind::AudioOutput, parse(output)?))
    }

    /// Sets the prices of images. Default: the input rate, and none for images in the output.
    ///
    /// # Errors
    /// As [`per_mtok`](Self::per_mtok).
    pub fn with_images(self, input: &str, output: &str) -> Result<Self, PriceError> {
        let rates = self.with(Kind::ImageInput, parse(input)?);
        Ok(rates.with(Kind::ImageOutput, parse(output)?))
    }

    pub(super) fn with(mut self, kind: Kind, pico_per_token: i64) -> Self {
        if let Some(rate) = self.special.get_mut(kind as usize) {
            *rate = Some(pico_per_token);
        }
        self
    }

    /// Returns the price of one token of input.
    pub const fn input(&self) -> Usd {
        Usd::from_pico(self.input)
    }

    /// Returns the price of one token of output.
    pub const fn output(&self) -> Usd {
        Usd::from_pico(self.output)
    }

    /// Returns the price of one token of input read from the provider's cache.
    pub fn cache_read(&self) -> Usd {
        Usd::from_pico(self.own(Kind::CacheRead).unwrap_or(self.input))
    }

    /// Returns the price of one token of input written to the provider's cache.
    pub fn cache_write(&self) -> Usd {
        Usd::from_pico(self.own(Kind::CacheWrite).unwrap_or(self.input))
    }

    /// Returns the price of one token written to the provider's cache for 12 hours or longer, if there is one.
    pub fn cache_write_12h(&self) -> Option<Usd> {
        self.own(Kind::CacheWrite12h).map(Usd::from_pico)
    }

    fn own(&self, kind: Kind) -> Option<i64> {
        self.special.get(kind as usize).copied().flatten()
    }

    /// Raises every rate by so many percent; `None` if one is then more than an amount of money can hold.
    ///
    /// A rate that is then no whole pico-dollar is rounded up. The rates of the table have none such.
    pub(super) fn raised(&self, percent: u8) -> Option<Self> {
        let raise = |rate: i64| {
            let raised = i128::from(rate) * i128::from(100 + i32::from(percent));
            i64::try_from((raised + 99) / 100).ok()
        };
        let mut raised = Self::of(raise(self.input)?, raise(self.output)?, self.special);
        for rate in raised.special.iter_mut().flatten() {
            *rate = raise(*rate)?;
        }
        Some(raised)
    }

    /// Returns what the tokens cost; `None` if that is more than an amount of money can hold.
    pub(super) fn bill(&self, meters: &Meters) -> Option<Bill> {
        let special = |kind| (self.own(kind), Kinds::of(kind));
        let or_input = |kind| (Some(self.own(kind).unwrap_or(self.input)), Kinds::of(kind));
        let image_input = match self.own(Kind::ImageInput) {
            Some(rate) => (Some(rate), Kinds::of(Kind::ImageInput)),
            None => (Some(self.input), Kinds::INPUT),
        };
        let mut bill = Bill {
            known: Usd::ZERO,
            complete: true,
            used: Kinds::NONE,
        };
        for (count, (rate, kind)) in [
            (meters.input, (Some(self.input), Kinds::INPUT)),
            (meters.output, (Some(self.output), Kinds::OUTPUT)),
            (meters.cache_read, or_input(Kind::CacheRead)),
            (meters.cache_write, or_input(Kind::CacheWrite)),
            (meters.cache_write_12h, special(Kind::CacheWrite12h)),
            (meters.audio_input, special(Kind::AudioInput)),
            (meters.audio_output, special(Kind::AudioOutput)),
            (meters.image_input, image_input),
            (meters.image_output, special(Kind::ImageOutput)),
        ] {
            match rate {
                _ if count == 0 => {}
                Some(rate) => {
                    let cost = Usd::from_pico(rate).checked_mul(count)?;
                    bill.known = bill.known.checked_add(cost)?;
                    bill.used = bill.used.and(kind);
                }
                None => bill.complete = false,
            }
        }
        Some(bill)
    }

    /// The kinds that have a rate of their own.
    pub(super) fn kinds(&self) -> Kinds {
        let special = Kind::INPUT.into_iter().chain(Kind::OUTPUT);
        special
            .filter(|kind| self.own(*kind).is_some())
            .fold(Kinds::INPUT.and(Kinds::OUTPUT), |kinds, kind| {
                kinds.and(Kinds::of(kind))
            })
    }

    /// The least that the totals can have cost, whatever their parts are.
    pub(super) fn at_least(&self, usage: &Usage) -> Option<Usd> {
        let cheapest = |base: i64, kinds: &[Kind]| {
            let rates = kinds.iter().filter_map(|kind| self.own(*kind));
            Usd::from_pico(rates.fold(base, i64::min))
        };
        let input = cheapest(self.input, &Kind::INPUT);
        let output = cheapest(self.output, &Kind::OUTPUT);
        input
            .checked_mul(usage.input_tokens)?
            .checked_add(output.checked_mul(usage.output_tokens)?)
    }

    /// Whether each kind of token that there can be has a price.
    pub(super) fn price_all_of(&self, most: &Usage) -> bool {
        [
            (most.cache_write_12h_tokens, Kind::CacheWrite12h),
            (most.audio_input_tokens, Kind::AudioInput),
            (most.audio_output_tokens, Kind::AudioOutput),
            (most.image_output_tokens, Kind::ImageOutput),
        ]
        .into_iter()
        .all(|(count, kind)| count == 0 || self.own(kind).is_some())
    }

    /// The most that so many tokens can cost, whatever their kinds are; cache writes kept for 12 hours are at most those
    /// that are told. `None` if that is more than an amount of money can hold.
    pub(crate) fn at_most(&self, most: &Usage) -> Option<Usd> {
        let dearest = |base: i64, kinds: &[Kind]| {
            let kinds = kinds.iter().filter(|kind| **kind != Kind::CacheWrite12h);
            let rates = kinds.filter_map(|kind| self.own(*kind));
            rates.fold(base, i64::max)
        };
        let times = |rate, count| Usd::from_pico(rate).checked_mul(count);
        let input = dearest(self.input, &Kind::INPUT);
        let kept = self
            .own(Kind::CacheWrite12h)
            .map_or(input, |rate| rate.max(input));
        let keeps = most.cache_write_12h_tokens.min(most.input_tokens);
        times(kept, keeps)?
            .checked_add(times(input, most.input_tokens - keeps)?)?
            .checked_add(times(dearest(self.output, &Kind::OUTPUT), most.output_tokens)?)
    }
}

/// What is known of the cost of some tokens.
pub(super) struct Bill {
    pub(super) known: Usd,
    pub(super) complete: bool,
    /// The kinds of tokens that were billed.
    pub(super) used: Kinds,
}

/// A set of kinds of tokens: one bit each, those of [`Kind`] after plain input and output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Kinds(u16);

impl Kinds {
    pub(super) const NONE: Self = Self(0);
    const INPUT: Self = Self(1);
    const OUTPUT: Self = Self(1 << 1);

    pub(super) const fn from_bits(bits: u16) -> Self {
        Self(bits)
    }

    const fn of(kind: Kind) -> Self {
        Self(1 << (2 + kind as u16))
    }

    const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) const fn holds_all(self, others: Self) -> bool {
        self.0 & others.0 == others.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_that_is_no_whole_pico_dollar_a_token_is_refused() {
        assert!(matches!(parse("0.0000001"), Err(PriceError::TooFine(_))));
        assert!(matches!(parse("-1"), Err(PriceError::Negative(_))));
        for wrong in ["NaN", "", "1e-3", "$2", "inf"] {
            assert!(matches!(parse(wrong), Err(PriceError::NotANumber(_))), "{wrong}");
        }
        assert_eq!(parse("0.000001"), Ok(1));
        assert_eq!(parse("0.138"), Ok(138_000));
    }

    #[test]
    fn a_raised_rate_is_exact_or_rounded_up() {
        let raised = |pico| {
            let rates = Rates::of(pico, 0, [Some(pico); Kind::SPECIAL])
                .raised(10)
                .unwrap();
            assert_eq!(rates.cache_read(), rates.input());
            rates.input().as_pico()
        };
        assert_eq!(raised(138_000), 151_800);
        assert_eq!(raised(1), 2);
        assert!(Rates::of(i64::MAX, 0, [None; Kind::SPECIAL]).raised(10).is_none());
    }
}
