//! What is billed beside plain text: tools, regions, images, long cache writes.

use proptest::prelude::*;

use super::*;

fn with_tools(web_search: u32, file_search: u32, container: u32, other: u32) -> Usage {
    let mut usage = Usage::new(1_000, 0);
    usage.tool_calls.web_search = web_search;
    usage.tool_calls.file_search = file_search;
    usage.tool_calls.container = container;
    usage.tool_calls.other = other;
    usage
}

#[test]
fn calls_of_tools_are_billed_by_the_call() {
    let standard = |model: &str, usage| cost(model, Lane::Standard, usage).to_string();
    // 1,000 x 1.25 = 1,250 millionths; 3 x 10,000; 2 x 2,500.
    assert_eq!(standard("gpt-5", with_tools(3, 2, 0, 0)), "$0.03625");
    // The batch lane halves tokens, not searches.
    assert_eq!(
        cost("gpt-5", Lane::Batch, with_tools(3, 0, 0, 0)).to_string(),
        "$0.030625"
    );
    let quote = |usage| {
        PriceBook::builtin()
            .quote(&"gpt-5".into(), Lane::Standard, &usage, NOW)
            .source
    };
    assert_eq!(quote(with_tools(3, 0, 0, 0)), Some(PriceSource::Confirmed));
    assert_eq!(quote(with_tools(3, 1, 0, 0)), Some(PriceSource::SingleSource));
}

#[test]
fn a_tool_whose_fee_is_open_makes_a_cost_partial() {
    let standard = |model: &str, usage| cost(model, Lane::Standard, usage).to_string();
    let why = "a tool's fee is not known";
    assert_eq!(
        standard("gpt-5", with_tools(1, 0, 2, 0)),
        format!("$0.01125 to $0.07125 ({why})")
    );
    // By the kind of its tool, a search is 0.01 or 0.025 here.
    assert_eq!(
        standard("gpt-4o", with_tools(2, 0, 0, 0)),
        format!("$0.0225 to $0.0525 ({why})")
    );
    assert_eq!(
        standard("gpt-5", with_tools(1, 0, 0, 1)),
        format!("at least $0.01125 ({why})")
    );
    assert_eq!(
        standard("o1", with_tools(1, 0, 0, 0)),
        format!("at least $0.015 ({why})")
    );
    assert_eq!(
        standard("gpt-4o-search-preview", with_tools(0, 0, 0, 0)),
        "$0.0275"
    );
}

#[test]
fn a_fee_of_your_own_is_used() {
    let price = Price::per_mtok("1", "2")
        .unwrap()
        .with_fee(Tool::WebSearch, "0.005")
        .unwrap();
    let book = PriceBook::builtin().with_price("mine", price.clone());
    let quote = book.quote(&"mine".into(), Lane::Standard, &with_tools(2, 0, 0, 0), NOW);
    assert_eq!(quote.cost.to_string(), "$0.011");
    assert_eq!(quote.source, Some(PriceSource::Own));
    assert!(matches!(
        price.clone().with_fee(Tool::Container, "-1"),
        Err(PriceError::Negative(_))
    ));
    assert!(matches!(
        price.with_fee(Tool::Container, "NaN"),
        Err(PriceError::NotANumber(_))
    ));
}

#[test]
fn processing_in_a_region_costs_more_for_models_that_charge_for_it() {
    let regional = PriceBook::builtin()
        .with_price("mine", Price::per_mtok("1", "2").unwrap())
        .with_regional_uplift();
    let quote = |model: &str, usage| regional.quote(&model.into(), Lane::Standard, &usage, NOW);
    // 1.1 x (400 x 2.50 + 600 x 0.25 + 10 x 15) = 1.1 x 1,300 = 1,430.
    assert_eq!(
        quote("gpt-5.4", usage(1_000, 600, 0, 10)).cost.to_string(),
        "$0.00143"
    );
    assert_eq!(
        quote("gpt-5.4", usage(1, 0, 0, 0)).source,
        Some(PriceSource::SingleSource)
    );
    assert_eq!(quote("gpt-5", usage(1_000, 0, 0, 0)).cost.to_string(), "$0.00125");
    assert_eq!(
        quote("gpt-5", usage(1, 0, 0, 0)).source,
        Some(PriceSource::Confirmed)
    );
    assert_eq!(quote("mine", usage(1_000, 0, 0, 0)).cost.to_string(), "$0.001");
    // A search costs the same everywhere.
    assert_eq!(
        quote("gpt-5.4-mini", with_tools(1, 0, 0, 0)).cost.to_string(),
        "$0.010825"
    );
    assert_ne!(regional.revision(), PriceBook::builtin().revision());
    let most = Usage::new(1_000, 10);
    let worst = regional.worst_case(&"gpt-5.4".into(), Lane::Standard, &most, NOW);
    assert_eq!(worst.unwrap().to_string(), "0.002915");
}

#[test]
fn cache_writes_are_priced_by_how_long_they_are_kept() {
    let mut tokens = usage(1_000, 0, 300, 0);
    tokens.cache_write_12h_tokens = 200;
    // 700 x 4 + 100 x 5 + 200 x 10 = 5,300.
    assert_eq!(exact("gpt-5.6-sol", Lane::Standard, tokens), "0.0053");
    let source = |model: &str, usage| PriceBook::builtin().quote(&model.into(), Lane::Standard, &usage, NOW);
    assert_eq!(
        source("gpt-5.6-sol", tokens).source,
        Some(PriceSource::SingleSource)
    );
    assert_eq!(
        source("gpt-5.6-sol", usage(1_000, 0, 300, 0)).source,
        Some(PriceSource::Confirmed)
    );
    let why = PartialReason::UnpricedMeter;
    let known = "0.002".parse().unwrap();
    assert_eq!(
        cost("gpt-4o", Lane::Standard, tokens),
        Cost::Partial {
            known,
            at_most: None,
            why
        }
    );
}

#[test]
fn images_are_input_unless_they_have_a_price() {
    let mut tokens = usage(1_000, 0, 0, 100);
    tokens.image_input_tokens = 600;
    assert_eq!(exact("gpt-4o", Lane::Standard, tokens), "0.0035");
    let rates = Rates::per_mtok("5", "10")
        .unwrap()
        .with_images("10", "40")
        .unwrap();
    let book = PriceBook::empty().with_price("painter", rates.into());
    tokens.image_output_tokens = 50;
    // 400 x 5 + 600 x 10 + 50 x 10 + 50 x 40 = 10,500.
    let painted = book.cost(&"painter".into(), Lane::Standard, &tokens, NOW);
    assert_eq!(painted.to_string(), "$0.0105");
    assert!(matches!(
        cost("gpt-4o", Lane::Standard, tokens),
        Cost::Partial {
            why: PartialReason::UnpricedMeter,
            ..
        }
    ));
}

#[test]
fn the_worst_case_takes_cache_writes_and_tools_as_far_as_there_can_be_any() {
    let book = PriceBook::builtin();
    let worst = |model: &str, most: &Usage| {
        let worst = book.worst_case(&model.into(), Lane::Standard, most, NOW);
        worst.map(|worst| worst.to_string())
    };
    let ok = |dollars: &str| Ok(dollars.to_owned());
    let mut kept = usage(1_000, 0, 200, 0);
    // 1,000 x 5.
    assert_eq!(worst("gpt-5.6-sol", &kept), ok("0.005"));
    kept.cache_write_12h_tokens = 200;
    // 800 x 5 + 200 x 10.
    assert_eq!(worst("gpt-5.6-sol", &kept), ok("0.006"));
    assert_eq!(worst("gpt-5", &kept), Err(UnpricedReason::Unbounded));
    // 1,000 x 1.25 = 1,250 millionths; 3 x 10,000; 2 x 2,500; 1 x 30,000, if the container is not there yet.
    assert_eq!(worst("gpt-5", &with_tools(3, 2, 1, 0)), ok("0.06625"));
    let unbounded = Err(UnpricedReason::Unbounded);
    assert_eq!(worst("gpt-5", &with_tools(0, 0, 0, 1)), unbounded);
    assert_eq!(worst("o1", &with_tools(1, 0, 0, 0)), unbounded);
    let mut audio = Usage::new(1_000, 0);
    audio.audio_input_tokens = 1;
    assert_eq!(worst("gpt-4o", &audio), unbounded);
    // 1,000 x 32.
    assert_eq!(worst("gpt-audio", &audio), ok("0.032"));
}

fn any_part(most: u64) -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), 0..most]
}

prop_compose! {
    fn any_bill(most: u64)(
        parts in prop::array::uniform8(any_part(most)),
        tools in prop::array::uniform4(prop_oneof![Just(0), 0_u32..50]),
    ) -> Usage {
        let [plain, read, write, long, image, audio, output, painted] = parts;
        let input = plain + read + write + long + image + audio;
        let mut usage = usage(input, read, write + long, output + painted);
        usage.cache_write_12h_tokens = long;
        usage.image_input_tokens = image;
        usage.audio_input_tokens = audio;
        usage.image_output_tokens = painted;
        [
            usage.tool_calls.web_search,
            usage.tool_calls.file_search,
            usage.tool_calls.container,
            usage.tool_calls.other,
        ] = tools;
        usage
    }
}

fn most_of(cost: Cost) -> Option<Usd> {
    match cost {
        Cost::Priced(most) => Some(most),
        Cost::Partial { at_most, .. } => at_most,
        Cost::Unpriced(_) => None,
    }
}

proptest! {
    #[test]
    fn no_answer_within_the_most_of_everything_costs_more_than_the_worst_case(
        (model, lane) in any_priced(), answer in any_bill(70_000), more in any_bill(70_000), regional in any::<bool>(),
    ) {
        let book = PriceBook::builtin();
        let book = if regional { book.with_regional_uplift() } else { book };
        let most = answer.saturating_add(more);
        let cost = |usage: &Usage| most_of(book.cost(&model.into(), lane, usage, NOW));
        match book.worst_case(&model.into(), lane, &most, NOW) {
            Ok(worst) => prop_assert!(cost(&answer).is_some_and(|cost| cost <= worst)),
            Err(reason) => {
                prop_assert_eq!(reason, UnpricedReason::Unbounded);
                prop_assert_eq!(cost(&most), None, "there is no bound only where there is none");
            }
        }
    }

    #[test]
    fn bounds_of_a_sum_are_the_sums_of_the_bounds(
        (model, lane) in any_priced(), a in any_bill(20_000), b in any_bill(20_000), regional in any::<bool>(),
    ) {
        let book = PriceBook::builtin();
        let book = if regional { book.with_regional_uplift() } else { book };
        let both = a.saturating_add(b);
        let quote = |usage: &Usage| book.quote(&model.into(), lane, usage, NOW);
        let most = |usage: &Usage| most_of(quote(usage).cost);
        let known = |usage: &Usage| quote(usage).cost.known().unwrap();
        prop_assert_eq!(known(&a).checked_add(known(&b)), Some(known(&both)));
        // A sum has a bound only if all its parts have one.
        let sum = most(&a).zip(most(&b)).map(|(a, b)| a.checked_add(b).unwrap());
        prop_assert_eq!(most(&both), sum);
        prop_assert!(most(&both).is_none_or(|most| most >= known(&both)));
        if quote(&both).source == Some(PriceSource::Confirmed) {
            prop_assert_eq!(quote(&a).source, Some(PriceSource::Confirmed));
        }
    }
}
