//! What an image costs, by the tables that OpenAI publishes.
//!
//! Source: "Images and vision", section "Calculating costs" (developers.openai.com/api/docs/guides/images-vision). Users
//! have measured other multipliers for some models, so that every count here is an estimate and every row can be
//! replaced with [`TokenCounter::with_image_rule`](super::TokenCounter::with_image_rule).

use std::sync::Arc;

use super::count::Count;
use super::encoding::is_of_family;
use super::image_size::{Size, size_in_data_url};

/// How a model counts images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ImageRule {
    /// The image is shrunk into 2048 x 2048, then to a shortest side of 768, and cut into tiles of 512 x 512. With
    /// `detail: "low"` only `base` is counted.
    Tiles {
        /// Tokens for the image.
        base: u64,
        /// Tokens for each of its 1 to 8 tiles.
        tile: u64,
    },
    /// The image is shrunk until 1536 patches of 32 x 32 cover it (10,000 with `detail: "original"`).
    Patches {
        /// Tokens for a thousand patches.
        per_mille: u64,
    },
}

/// How many patches there are at most.
const PATCHES: u64 = 1536;
const ORIGINAL_PATCHES: u64 = 10_000;

/// What a model does that is in no row: as measured for `gpt-5.2` by its users.
const UNKNOWN: ImageRule = ImageRule::Patches { per_mille: 1_200 };

const TABLE: &[(&str, ImageRule)] = &[
    ("gpt-4o", ImageRule::Tiles { base: 85, tile: 170 }),
    ("chatgpt-4o", ImageRule::Tiles { base: 85, tile: 170 }),
    (
        "gpt-4o-mini",
        ImageRule::Tiles {
            base: 2_833,
            tile: 5_667,
        },
    ),
    ("gpt-4-turbo", ImageRule::Tiles { base: 85, tile: 170 }),
    ("gpt-4.1", ImageRule::Tiles { base: 85, tile: 170 }),
    ("gpt-4.5", ImageRule::Tiles { base: 85, tile: 170 }),
    ("gpt-5", ImageRule::Tiles { base: 70, tile: 140 }),
    ("o1", ImageRule::Tiles { base: 75, tile: 150 }),
    ("o3", ImageRule::Tiles { base: 75, tile: 150 }),
    ("computer-use-preview", ImageRule::Tiles { base: 65, tile: 129 }),
    ("gpt-4.1-mini", ImageRule::Patches { per_mille: 1_620 }),
    ("gpt-4.1-nano", ImageRule::Patches { per_mille: 2_460 }),
    ("gpt-5-mini", ImageRule::Patches { per_mille: 1_620 }),
    ("gpt-5-nano", ImageRule::Patches { per_mille: 2_460 }),
    ("gpt-5.4-mini", ImageRule::Patches { per_mille: 1_620 }),
    ("gpt-5.4-nano", ImageRule::Patches { per_mille: 2_460 }),
    ("o4-mini", ImageRule::Patches { per_mille: 1_720 }),
];

/// The built-in rules and those that were put before them.
#[derive(Debug, Clone, Default)]
pub(super) struct Images {
    own: Arc<[(Arc<str>, ImageRule)]>,
}

impl Images {
    pub(super) fn with(&self, family: &Arc<str>, rule: ImageRule) -> Self {
        let others = self.own.iter().filter(|(name, _)| name != family).cloned();
        Self {
            own: others.chain([(family.clone(), rule)]).collect(),
        }
    }

    /// Returns the rule of the longest name that the model's id starts with, one's own before a built-in one.
    pub(super) fn rule(&self, model: &str) -> Option<ImageRule> {
        let base = model.strip_prefix("ft:").unwrap_or(model);
        let own = self.own.iter().map(|(name, rule)| (&**name, true, *rule));
        let built_in = TABLE.iter().map(|(name, rule)| (*name, false, *rule));
        own.chain(built_in)
            // `gpt-5.4` is another model than `gpt-5`; what follows the name of a family is a dash.
            .filter(|(name, ..)| {
                is_of_family(base, name) && !base.get(name.len()..).is_some_and(|rest| rest.starts_with('.'))
            })
            .max_by_key(|(name, own, _)| (name.len(), *own))
            .map(|(_, _, rule)| rule)
    }

    /// Returns what an image costs, and the most that any image can cost.
    pub(super) fn count(&self, model: &str, url: Option<&str>, detail: Detail) -> (Count, u64) {
        let size = url.and_then(size_in_data_url);
        let Some(rule) = self.rule(model) else {
            let own = self.own.iter().map(|(_, rule)| rule);
            let all = TABLE.iter().map(|(_, rule)| rule).chain(own).chain([&UNKNOWN]);
            let most = all.map(|rule| rule.most(detail)).max().unwrap_or(0);
            return (
                Count::estimated(UNKNOWN.tokens(size, detail).tokens, 0, most),
                most,
            );
        };
        (rule.tokens(size, detail), rule.most(detail))
    }
}

/// How closely the model is to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Detail {
    Low,
    High,
    Auto,
    Original,
}

impl From<&str> for Detail {
    fn from(word: &str) -> Self {
        match word {
            "low" => Self::Low,
            "high" => Self::High,
            "original" => Self::Original,
            _ => Self::Auto,
        }
    }
}

/// What an image of unknown size is taken to be.
const COMMON_SIZE: Size = (1024, 1024);

impl ImageRule {
    fn tokens(self, size: Option<Size>, detail: Detail) -> Count {
        let most = self.most(detail);
        match self {
            Self::Tiles { base, .. } if detail == Detail::Low => Count::estimated(base, base, base),
            Self::Tiles { base, tile } => {
                let of = |size| base.saturating_add(tile.saturating_mul(tiles(size)));
                match (size, detail) {
                    (Some(size), Detail::Auto) => Count::estimated(of(size), base, of(size)),
                    (Some(size), _) => Count::estimated(of(size), of(size), of(size)),
                    (None, _) => Count::estimated(of(COMMON_SIZE), base, most),
                }
            }
            Self::Patches { per_mille } => {
                let cap = if detail == Detail::Original {
                    ORIGINAL_PATCHES
                } else {
                    PATCHES
                };
                let of = |size| per_mille.saturating_mul(patches(size, cap)).div_ceil(1000);
                match size {
                    // Measured multipliers differ from the published ones by up to a quarter.
                    Some(size) => Count::estimated(of(size), of(size) / 4 * 3, (of(size) / 4 * 5).min(most)),
                    None => Count::estimated(of(COMMON_SIZE), 0, most),
                }
            }
        }
    }

    fn most(self, detail: Detail) -> u64 {
        match self {
            Self::Tiles { base, .. } if detail == Detail::Low => base,
            Self::Tiles { base, tile } => base.saturating_add(tile.saturating_mul(8)),
            Self::Patches { per_mille } => {
                let cap = if detail == Detail::Original {
                    ORIGINAL_PATCHES
                } else {
                    PATCHES
                };
                per_mille.saturating_mul(cap).div_ceil(1000)
            }
        }
    }
}

fn tiles(size: Size) -> u64 {
    let (width, height) = shrink(size, size.0.max(size.1), 2048);
    let (width, height) = shrink((width, height), width.min(height), 768);
    width.max(1).div_ceil(512) * height.max(1).div_ceil(512)
}

/// Shrinks an image until `side` is no longer than `target`.
fn shrink((width, height): Size, side: u64, target: u64) -> Size {
    if side <= target {
        return (width, height);
    }
    (width * target / side, height * target / side)
}

/// Counts the patches of an image that is shrunk, keeping its shape, until `cap` of them cover it and one side is a
/// whole number of them.
fn patches((width, height): Size, cap: u64) -> u64 {
    let (width, height) = (width.max(1), height.max(1));
    let whole = width.div_ceil(32) * height.div_ceil(32);
    if whole <= cap {
        return whole;
    }
    // Shrunk to `cap` patches, the sides are sqrt(cap * width / height) and sqrt(cap * height / width) patches long.
    let across = (cap * width / height).isqrt().max(1);
    let down = (cap * height / width).isqrt().max(1);
    let shrunk = if across * height <= down * width {
        across * (across * height).div_ceil(width)
    } else {
        down * (down * width).div_ceil(height)
    };
    shrunk.min(cap)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn count(model: &str, size: Size, detail: Detail) -> u64 {
        Images::default()
            .rule(model)
            .unwrap()
            .tokens(Some(size), detail)
            .tokens
    }

    #[test]
    fn the_examples_that_openai_publishes_come_out() {
        assert_eq!(count("gpt-4o", (1024, 1024), Detail::High), 765);
        assert_eq!(count("gpt-4o", (2048, 4096), Detail::High), 1105);
        assert_eq!(count("gpt-4o-2024-08-06", (4096, 8192), Detail::Low), 85);
        assert_eq!(patches((1024, 1024), PATCHES), 1024);
        assert_eq!(patches((1800, 2400), PATCHES), 1452);
        assert_eq!(count("gpt-4.1-mini", (1800, 2400), Detail::High), 2353);
    }

    #[test]
    fn the_longest_name_wins_and_a_rule_of_ones_own_comes_first() {
        let images = Images::default();
        assert_eq!(
            images.rule("gpt-4o-mini-2024-07-18"),
            Some(ImageRule::Tiles {
                base: 2_833,
                tile: 5_667
            })
        );
        assert_eq!(
            images.rule("gpt-5-chat-latest"),
            Some(ImageRule::Tiles { base: 70, tile: 140 })
        );
        assert_eq!(images.rule("gpt-5.2"), None);
        let own = ImageRule::Patches { per_mille: 1_200 };
        let images = images
            .with(&"gpt-5-mini".into(), ImageRule::Tiles { base: 1, tile: 1 })
            .with(&"gpt-5-mini".into(), own);
        assert_eq!(images.rule("gpt-5-mini-2025-08-07"), Some(own));
        assert_eq!(
            images.rule("gpt-5"),
            Some(ImageRule::Tiles { base: 70, tile: 140 })
        );
    }

    proptest! {
        #[test]
        fn no_image_costs_more_than_the_most(
            width in 1_u64..=1 << 20, height in 1_u64..=1 << 20, known in any::<bool>(),
            detail in prop::sample::select(vec![Detail::Low, Detail::High, Detail::Auto, Detail::Original]),
        ) {
            for (name, rule) in TABLE {
                let count = rule.tokens(known.then_some((width, height)), detail);
                prop_assert!(count.low <= count.tokens && count.tokens <= count.high, "{} {:?}", name, count);
                prop_assert!(count.high <= rule.most(detail), "{} {:?} {}", name, count, rule.most(detail));
            }
        }

        #[test]
        fn no_image_has_more_than_its_tiles_and_patches(width in 1_u64..=1 << 20, height in 1_u64..=1 << 20) {
            prop_assert!((1..=8).contains(&tiles((width, height))));
            prop_assert!((1..=PATCHES).contains(&patches((width, height), PATCHES)));
        }
    }
}
