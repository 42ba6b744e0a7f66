mod beyond_text;

use proptest::prelude::*;

use super::*;

/// 2026-11-24 12:00 UTC.
const NOW: Timestamp = Timestamp::from_unix_millis(1_795_521_600_000);

fn usage(input: u64, cache_read: u64, cache_write: u64, output: u64) -> Usage {
    let mut usage = Usage::new(input, output);
    usage.cache_read_tokens = cache_read;
    usage.cache_write_tokens = cache_write;
    usage
}

fn cost(model: &str, lane: Lane, usage: Usage) -> Cost {
    PriceBook::builtin().cost(&model.into(), lane, &usage, NOW)
}

fn exact(model: &str, lane: Lane, usage: Usage) -> String {
    match cost(model, lane, usage).exact() {
        Some(usd) => usd.to_string(),
        None => panic!("{model} on {lane}: {}", cost(model, lane, usage)),
    }
}

fn input_rate(book: &PriceBook, model: &str, lane: Lane, input: u64, at: Timestamp) -> Option<String> {
    let rates = book.rates(&model.into(), lane, input, at).ok()?;
    Some(rates.input().to_string())
}

#[test]
fn costs_are_what_a_person_works_out_by_hand() {
    use Lane::{Batch, Flex, Priority, Standard};
    for (model, lane, usage, expected) in [
        // 1,000 x 2.50 + 100 x 10 = 3,500 millionths.
        ("gpt-4o", Standard, usage(1_000, 0, 0, 100), "0.0035"),
        // 400 x 2.50 + 600 x 1.25 + 50 x 10 = 2,250.
        ("gpt-4o", Standard, usage(1_000, 600, 0, 50), "0.00225"),
        // 1 x 0.15 + 1 x 0.60 = 0.75.
        ("gpt-4o-mini", Standard, usage(1, 0, 0, 1), "0.00000075"),
        // 1,000 x 0.075 + 500 x 0.30 = 225.
        ("gpt-4o-mini", Batch, usage(1_000, 0, 0, 500), "0.000225"),
        // 100 x 4.25 + 10 x 17 = 595.
        ("gpt-4o", Priority, usage(100, 0, 0, 10), "0.000595"),
        // 300 x 0.55 + 700 x 0.138 + 100 x 2.20 = 165 + 96.6 + 220 = 481.6.
        ("o4-mini", Flex, usage(1_000, 700, 0, 100), "0.0004816"),
        // What is cached costs the batch's full input rate: 1,000 x 1 + 10 x 4 = 1,040.
        ("gpt-4.1", Batch, usage(1_000, 900, 0, 10), "0.00104"),
        // 100 x 0.0625 + 0 + 1 x 5 = 11.25.
        ("gpt-5", Batch, usage(100, 100, 0, 1), "0.00001125"),
        // 500 x 4 + 200 x 0.40 + 300 x 5 + 100 x 20 = 2,000 + 80 + 1,500 + 2,000 = 5,580.
        ("gpt-5.6-sol", Standard, usage(1_000, 200, 300, 100), "0.00558"),
        // 300,000 x 5 + 1,000 x 22.50 = 1,522,500.
        ("gpt-5.4", Standard, usage(300_000, 0, 0, 1_000), "1.5225"),
        // 12 x 0.02 = 0.24.
        (
            "text-embedding-3-small",
            Standard,
            usage(12, 0, 0, 0),
            "0.00000024",
        ),
        // 12 x 0.01 = 0.12.
        ("text-embedding-3-small", Batch, usage(12, 0, 0, 0), "0.00000012"),
        // 1,000 x 3.75 + 100 x 15 = 5,250.
        (
            "ft:gpt-4o-2024-08-06:acme::7p4lURel",
            Standard,
            usage(1_000, 0, 0, 100),
            "0.00525",
        ),
        // 1 x 150 + 1 x 600 = 750.
        ("o1-pro", Standard, usage(1, 0, 0, 1), "0.00075"),
    ] {
        assert_eq!(
            exact(model, lane, usage),
            expected,
            "{model} on {lane}: {usage:?}"
        );
    }
}

#[test]
fn a_snapshot_with_its_own_price_is_not_priced_as_its_alias() {
    let tokens = Usage::new(1_000_000, 0);
    assert_eq!(exact("gpt-4o-2024-05-13", Lane::Standard, tokens), "5.00");
    assert_eq!(exact("gpt-4o-2024-11-20", Lane::Standard, tokens), "2.50");
}

#[test]
fn a_new_snapshot_is_priced_as_the_id_before_its_date() {
    let tokens = Usage::new(1_000, 0);
    assert_eq!(exact("gpt-5.6-sol-2026-12-01", Lane::Standard, tokens), "0.004");
    assert_eq!(exact("gpt-4o-2031-01-31", Lane::Standard, tokens), "0.0025");
}

#[test]
fn an_unknown_model_is_unpriced_however_it_begins() {
    for id in [
        "gpt-4o-turbo",
        "gpt-5.6-solaris",
        "gpt-5-unheard-of",
        "GPT-4o",
        "gpt-4o-2024-13-01",
        "ft:unknown:acme::x",
        "ft:gpt-4o-2024-05-13:acme::x",
        "",
    ] {
        let unknown = Cost::Unpriced(UnpricedReason::UnknownModel);
        assert_eq!(cost(id, Lane::Standard, Usage::new(1, 1)), unknown, "{id}");
    }
    assert_ne!(
        exact("gpt-5.6-sol", Lane::Standard, Usage::new(1, 1)),
        exact("gpt-5", Lane::Standard, Usage::new(1, 1))
    );
}

#[test]
fn a_lane_without_a_price_is_unpriced() {
    let unpriced = Cost::Unpriced(UnpricedReason::UnpricedLane);
    assert_eq!(cost("gpt-4o", Lane::Flex, Usage::new(1, 1)), unpriced);
    assert_eq!(
        cost("text-embedding-ada-002", Lane::Batch, Usage::new(1, 0)),
        unpriced
    );
}

#[test]
fn the_long_context_rates_hold_for_the_whole_request() {
    assert_eq!(
        exact("gpt-5.4", Lane::Standard, Usage::new(272_000, 1)),
        "0.680015"
    );
    assert_eq!(
        exact("gpt-5.4", Lane::Standard, Usage::new(272_001, 1)),
        "1.3600275"
    );
}

#[test]
fn a_price_holds_from_its_day_on() {
    let book = PriceBook::builtin();
    let cut = Timestamp::from_unix_millis(1_787_270_400_000);
    let before = Timestamp::from_unix_millis(1_787_270_399_999);
    let rate = |at| input_rate(&book, "gpt-5.6-sol", Lane::Standard, 0, at);
    assert_eq!(rate(before).as_deref(), Some("0.000005"));
    assert_eq!(rate(cut).as_deref(), Some("0.000004"));
}

#[test]
fn a_kind_of_token_without_a_rate_makes_a_cost_partial() {
    let mut audio = Usage::new(1_000, 100);
    audio.audio_input_tokens = 400;
    let known = "0.0025".parse().unwrap();
    let why = PartialReason::UnpricedMeter;
    assert_eq!(
        cost("gpt-4o", Lane::Standard, audio),
        Cost::Partial {
            known,
            at_most: None,
            why
        }
    );
    // 600 x 2.50 + 400 x 32 + 100 x 10.
    assert_eq!(exact("gpt-audio", Lane::Standard, audio), "0.0153");
}

#[test]
fn counts_that_contradict_each_other_are_priced_at_the_cheapest_they_can_be() {
    let contradictory = usage(1_000, 5_000, 0, 10);
    // 1,000 x 1.25 + 10 x 10.
    let known = "0.00135".parse().unwrap();
    let why = PartialReason::InconsistentUsage;
    assert_eq!(
        cost("gpt-4o", Lane::Standard, contradictory),
        Cost::Partial {
            known,
            at_most: None,
            why
        }
    );
}

#[test]
fn absurd_counts_do_not_wrap() {
    let overflow = Cost::Unpriced(UnpricedReason::Overflow);
    for tokens in [
        Usage::new(u64::MAX, 0),
        Usage::new(0, u64::MAX),
        Usage::new(1 << 43, 1 << 43),
        usage(u64::MAX, u64::MAX, 1, 0),
    ] {
        assert_eq!(cost("gpt-4o", Lane::Standard, tokens), overflow, "{tokens:?}");
    }
    let most = Usage::new(u64::MAX, u64::MAX);
    let worst = PriceBook::builtin().worst_case(&"gpt-4o".into(), Lane::Standard, &most, NOW);
    assert_eq!(worst, Err(UnpricedReason::Overflow));
}

#[test]
fn your_own_price_wins_for_exactly_its_id() {
    let price = Price::per_mtok("1", "2").unwrap().with_long_context(
        Lane::Standard,
        10,
        Rates::per_mtok("3", "4").unwrap(),
    );
    let book = PriceBook::builtin()
        .with_price("gpt-4o", price)
        .with_alias("prod", "gpt-4o")
        .with_alias("gpt-4o-mini", "gpt-4o-2024-05-13");
    let rate = |model, lane, input| input_rate(&book, model, lane, input, NOW);
    assert_eq!(rate("gpt-4o", Lane::Standard, 10).as_deref(), Some("0.000001"));
    assert_eq!(rate("gpt-4o", Lane::Standard, 11).as_deref(), Some("0.000003"));
    assert_eq!(rate("gpt-4o", Lane::Batch, 1), None);
    assert_eq!(rate("prod", Lane::Standard, 10).as_deref(), Some("0.000001"));
    assert_eq!(
        rate("gpt-4o-2024-08-06", Lane::Standard, 1).as_deref(),
        Some("0.0000025")
    );
    assert_eq!(
        rate("gpt-4o-mini", Lane::Standard, 1).as_deref(),
        Some("0.000005")
    );
}

#[test]
fn the_revision_tells_editions_apart() {
    let builtin = PriceBook::builtin();
    let with = |input| {
        builtin
            .clone()
            .with_price("x", Price::per_mtok(input, "1").unwrap())
    };
    assert_eq!(builtin.revision(), PriceBook::builtin().revision());
    assert!(builtin.revision().starts_with("openai-20"));
    assert_ne!(with("1").revision(), builtin.revision());
    assert_ne!(with("1").revision(), with("2").revision());
    assert_eq!(with("1").revision(), with("1").revision());
}

#[test]
fn the_built_in_table_is_sorted_so_that_every_model_is_found() {
    assert!(builtin::MODELS.is_sorted_by(|(a, _), (b, _)| (a.len(), a) < (b.len(), b)));
    assert!(builtin::MODELS.len() >= 116);
}

#[test]
fn the_dearer_model_is_dearer_for_input_and_output() {
    let book = PriceBook::builtin()
        .with_price("mixed", Price::per_mtok("0.01", "99").unwrap())
        .with_price("same-input", Price::per_mtok("2.5", "11").unwrap());
    let compare = |a: &str, b: &str| book.compare(&a.into(), &b.into(), NOW);
    assert_eq!(compare("gpt-4o", "gpt-4o-mini"), Some(Ordering::Greater));
    assert_eq!(compare("gpt-4o-mini", "gpt-4o"), Some(Ordering::Less));
    assert_eq!(compare("gpt-4o", "gpt-4o-2024-08-06"), Some(Ordering::Equal));
    assert_eq!(compare("gpt-4o", "same-input"), Some(Ordering::Less));
    assert_eq!(compare("gpt-4o", "mixed"), None);
    assert_eq!(compare("gpt-4o", "unknown"), None);
}

#[test]
fn the_worst_case_takes_the_dearest_band_that_can_be_reached() {
    let book = PriceBook::builtin();
    let worst = |model: &str, input, output| {
        let most = Usage::new(input, output);
        let worst = book.worst_case(&model.into(), Lane::Standard, &most, NOW);
        worst.unwrap().to_string()
    };
    // A cache write at 5 is dearer than input at 4.
    assert_eq!(worst("gpt-5.6-sol", 1_000_000 / 4, 0), "1.25");
    assert_eq!(worst("gpt-5.4", 272_001, 1), "1.3600275");
    assert_eq!(worst("gpt-audio", 1, 1), "0.000096");
    // It searches before each answer, for 0.01 or 0.025.
    assert_eq!(worst("gpt-4o-mini-search-preview", 0, 0), "0.025");
}

#[test]
fn a_cost_says_whether_two_sources_confirm_the_rates_it_used() {
    let source = |model: &str, lane, usage| {
        let quote = PriceBook::builtin().quote(&model.into(), lane, &usage, NOW);
        assert_eq!(quote.cost, cost(model, lane, usage));
        quote.source
    };
    let confirmed = Some(PriceSource::Confirmed);
    let single = Some(PriceSource::SingleSource);
    assert_eq!(source("gpt-4o", Lane::Standard, usage(9, 3, 0, 1)), confirmed);
    // What is cached inside a batch is not documented; the rest of the row is.
    assert_eq!(source("gpt-4.1", Lane::Batch, usage(9, 0, 0, 1)), confirmed);
    assert_eq!(source("gpt-4.1", Lane::Batch, usage(9, 1, 0, 1)), single);
    assert_eq!(
        source("ft:gpt-4.1:acme::x", Lane::Standard, usage(9, 0, 0, 1)),
        single
    );
    // No source has a price of cache writes here: the input rate is booked.
    assert_eq!(source("gpt-4o", Lane::Standard, usage(9, 0, 1, 0)), single);
    assert_eq!(source("gpt-4o-turbo", Lane::Standard, usage(9, 0, 0, 0)), None);
}

#[test]
fn a_price_of_your_own_is_your_own() {
    let book = PriceBook::builtin()
        .with_price("mine", Price::per_mtok("1", "2").unwrap())
        .with_alias("prod", "gpt-4o");
    let source = |model: &str| {
        book.quote(&model.into(), Lane::Standard, &usage(9, 1, 1, 1), NOW)
            .source
    };
    assert_eq!(source("mine"), Some(PriceSource::Own));
    assert_eq!(source("prod"), Some(PriceSource::SingleSource));
}

fn any_usage() -> impl Strategy<Value = Usage> {
    (0_u64..400_000, 0_u64..100_000, 0_u64..100_000, 0_u64..100_000)
        .prop_map(|(fresh, read, write, output)| usage(fresh + read + write, read, write, output))
}

fn any_priced() -> impl Strategy<Value = (&'static str, Lane)> {
    let all: Vec<_> = builtin::MODELS
        .iter()
        .flat_map(|(id, _)| Lane::ALL.map(|lane| (*id, lane)))
        .filter(|(id, lane)| PriceBook::builtin().rates(&(*id).into(), *lane, 0, NOW).is_ok())
        // A search of its own before each answer is no sum of counts.
        .filter(|(id, _)| !id.contains("-search-"))
        .collect();
    prop::sample::select(all)
}

proptest! {
    #[test]
    fn a_cost_is_the_sum_of_count_times_rate((model, lane) in any_priced(), tokens in any_usage()) {
        let book = PriceBook::builtin();
        let rates = book.rates(&model.into(), lane, tokens.input_tokens, NOW).unwrap();
        let meters = tokens.meters().unwrap();
        let expected: i128 = [
            (meters.input, rates.input()),
            (meters.cache_read, rates.cache_read()),
            (meters.cache_write, rates.cache_write()),
            (meters.output, rates.output()),
        ]
        .iter()
        .map(|(count, rate)| i128::from(*count) * i128::from(rate.as_pico()))
        .sum();
        let cost = book.cost(&model.into(), lane, &tokens, NOW).exact().unwrap();
        prop_assert_eq!(i128::from(cost.as_pico()), expected);
    }

    #[test]
    fn the_cost_of_a_sum_is_the_sum_of_the_costs_within_a_band(
        (model, lane) in any_priced(), a in any_usage(), b in any_usage(),
    ) {
        let book = PriceBook::builtin();
        let model = ModelId::from(model);
        let both = a.saturating_add(b);
        let rates = |tokens: &Usage| book.rates(&model, lane, tokens.input_tokens, NOW).unwrap();
        prop_assume!(rates(&a) == rates(&both) && rates(&b) == rates(&both));
        let cost = |tokens: &Usage| book.cost(&model, lane, tokens, NOW).exact().unwrap();
        prop_assert_eq!(cost(&a).checked_add(cost(&b)), Some(cost(&both)));
    }

    #[test]
    fn no_cost_is_above_its_worst_case(
        (model, lane) in any_priced(), tokens in any_usage(), more in 0_u64..400_000,
    ) {
        let book = PriceBook::builtin();
        let model = ModelId::from(model);
        let cost = book.cost(&model, lane, &tokens, NOW).exact().unwrap();
        let most = Usage::new(tokens.input_tokens + more, tokens.output_tokens);
        let worst = book.worst_case(&model, lane, &most, NOW);
        prop_assert!(cost <= worst.unwrap());
    }

    #[test]
    fn no_counts_panic_or_are_priced_below_zero(
        (model, lane) in any_priced(), input in any::<u64>(), read in any::<u64>(), output in any::<u64>(),
    ) {
        let cost = PriceBook::builtin().cost(&model.into(), lane, &usage(input, read, 0, output), NOW);
        prop_assert!(cost.known().is_none_or(|known| known >= Usd::ZERO));
    }
}
