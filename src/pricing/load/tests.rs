use proptest::prelude::*;

use super::*;
use crate::pricing::{Cost, PriceSource, Tool};
use crate::usage::Usage;

/// 2026-11-24 12:00 UTC.
const NOW: Timestamp = Timestamp::from_unix_millis(1_795_521_600_000);

fn litellm(json: &str) -> Result<Loaded, LoadError> {
    PriceBook::empty().with_litellm("prices.json", json, "acme")
}

fn genai(json: &str) -> Result<Loaded, LoadError> {
    PriceBook::empty().with_genai_prices("prices.json", json, "acme")
}

fn toml(text: &str) -> Result<Loaded, LoadError> {
    PriceBook::empty().with_toml("prices.toml", text)
}

fn cost(loaded: &Loaded, model: &str, lane: Lane, input: u64, cached: u64) -> String {
    let mut usage = Usage::new(input, 0);
    usage.cache_read_tokens = cached;
    loaded.book.cost(&model.into(), lane, &usage, NOW).to_string()
}

fn left_out(loaded: &Loaded) -> Vec<&str> {
    let paths = loaded.notes.iter().filter_map(|note| match note {
        LoadNote::LeftOut { path } => Some(path.as_str()),
        LoadNote::Rounded { .. } => None,
    });
    paths.collect()
}

const LITELLM: &str = r#"{
  "sample_spec": {"litellm_provider": "one of many", "input_cost_per_token": 0.0},
  "acme/anvil": {
    "litellm_provider": "acme", "mode": "chat",
    "input_cost_per_token": 2e-06, "output_cost_per_token": 8e-06, "cache_read_input_token_cost": 5.0000000000000004E-7,
    "input_cost_per_token_above_200k_tokens": 4e-06, "output_cost_per_token_above_200k_tokens": 1.6e-05,
    "input_cost_per_token_batches": 1e-06, "output_cost_per_token_batches": 4e-06,
    "input_cost_per_token_flex": 1e-06, "input_cost_per_token_ultrafast": 1e-05,
    "cache_creation_input_token_cost": 2.5e-06, "cache_creation_input_token_cost_above_1hr": 4e-06,
    "search_context_cost_per_query": {"search_context_size_low": 0.01, "search_context_size_high": 0.01},
    "regional_processing_uplift_multiplier_us": 1.1
  },
  "rope": {"litellm_provider": "acme", "mode": "embedding", "input_cost_per_token": 2e-08},
  "other/anvil": {"litellm_provider": "other", "input_cost_per_token": 1}
}"#;

#[test]
fn a_litellm_map_is_loaded_for_one_provider() {
    let loaded = litellm(LITELLM).unwrap();
    assert_eq!(loaded.models, 2);
    assert_eq!(cost(&loaded, "anvil", Lane::Standard, 1_000, 600), "$0.0011");
    // Nothing says what cached input costs in a batch: the batch's input rate.
    assert_eq!(cost(&loaded, "anvil", Lane::Batch, 1_000, 600), "$0.001");
    // A long request takes the cached rate of a short one, for there is no other.
    assert_eq!(cost(&loaded, "anvil", Lane::Standard, 201_000, 1_000), "$0.8005");
    assert_eq!(cost(&loaded, "rope", Lane::Standard, 1_000, 0), "$0.00002");
    assert!(cost(&loaded, "anvil", Lane::Flex, 1, 0).starts_with("unpriced"));
    assert_eq!(
        left_out(&loaded),
        [
            "acme/anvil.input_cost_per_token_ultrafast",
            "acme/anvil.cache_creation_input_token_cost_above_1hr",
            "acme/anvil (flex)"
        ]
    );
    let rounded = LoadNote::Rounded {
        path: "acme/anvil.cache_read_input_token_cost".into(),
    };
    assert!(loaded.notes.contains(&rounded), "{:?}", loaded.notes);
    let mut searched = Usage::new(0, 0);
    searched.tool_calls.web_search = 2;
    let quote = loaded.book.quote(&"anvil".into(), Lane::Standard, &searched, NOW);
    assert_eq!(
        (quote.cost.to_string().as_str(), quote.source),
        ("$0.02", Some(PriceSource::Own))
    );
    let regional = loaded.book.with_regional_uplift();
    let cost = regional.cost(&"anvil".into(), Lane::Standard, &Usage::new(1_000, 0), NOW);
    assert_eq!(cost.to_string(), "$0.0022");
}

#[test]
fn a_model_that_is_there_with_its_provider_and_without_has_the_price_without() {
    let entry = |name: &str, dollars: u8| {
        format!(
            r#""{name}":{{"litellm_provider":"acme","input_cost_per_token":{dollars},"output_cost_per_token":0}}"#
        )
    };
    let (plain, prefixed) = (entry("m", 1), entry("acme/m", 2));
    for list in [
        format!("{{{plain},{prefixed}}}"),
        format!("{{{prefixed},{plain}}}"),
    ] {
        let loaded = litellm(&list).unwrap();
        assert_eq!(cost(&loaded, "m", Lane::Standard, 3, 0), "$3.00");
        assert_eq!(left_out(&loaded), ["acme/m"]);
    }
}

const GENAI: &str = r#"[
  {"id": "other", "models": [{"id": "anvil", "prices": {"input_mtok": -1}}]},
  {"id": "acme", "models": [
    {"id": "anvil", "match": {"or": [{"equals": "anvil-1"}, {"starts_with": "anvil-"}, {"or": [{"equals": "anvil-2"}]}]},
     "prices": [
       {"prices": {"input_mtok": 5, "output_mtok": 10}},
       {"constraint": {"start_date": "2026-08-21"}, "prices": {
         "input_mtok": {"base": 2, "tiers": [{"start": 272000, "price": 4}]}, "output_mtok": 8, "cache_read_mtok": 0.5,
         "web_searches_kcount": 10, "cache_write_1h_mtok": 4}},
       {"constraint": {"start_time": "00:30:00Z", "end_time": "16:30:00Z"}, "prices": {"input_mtok": 1, "output_mtok": 1}}],
     "price_variants": [
       {"when": {"service_tier": "default"}, "prices": {}},
       {"when": {"service_tier": "priority"}, "prices": {"input_mtok": 4, "output_mtok": 16}},
       {"when": {"service_tier": "fast"}, "prices": {"input_mtok": 4, "output_mtok": 16}},
       {"when": {"route": "moon"}, "prices": {"input_mtok": 9}},
       {"when": {"processing": "batch"}, "prices": {"input_mtok": 1, "output_mtok": 4},
        "constraint": {"start_date": "2026-10-14"}}]},
    {"id": "anvil-2", "prices": {"input_mtok": 99, "output_mtok": 99}},
    {"id": "text-embed", "prices": {"input_mtok": 0.02}},
    {"id": "silent", "prices": {"input_mtok": 1}}
  ]}
]"#;

#[test]
fn genai_prices_are_loaded_for_one_provider() {
    let loaded = genai(GENAI).unwrap();
    assert_eq!(loaded.models, 4);
    assert_eq!(cost(&loaded, "anvil", Lane::Standard, 1_000, 600), "$0.0011");
    assert_eq!(cost(&loaded, "anvil-2", Lane::Standard, 1_000, 0), "$0.002");
    assert_eq!(cost(&loaded, "anvil", Lane::Standard, 272_001, 0), "$1.088004");
    assert_eq!(cost(&loaded, "anvil", Lane::Batch, 1_000, 600), "$0.001");
    assert_eq!(cost(&loaded, "anvil", Lane::Priority, 1_000, 0), "$0.004");
    // What has no price of its own on a lane is not priced as another lane, nor by a name that begins alike.
    assert!(cost(&loaded, "text-embed", Lane::Batch, 1, 0).starts_with("unpriced"));
    assert!(cost(&loaded, "anvil-3", Lane::Standard, 1, 0).starts_with("unpriced"));
    let early = Timestamp::from_unix_millis(1_787_270_399_999);
    let before = |lane| {
        loaded
            .book
            .cost(&"anvil".into(), lane, &Usage::new(1_000, 0), early)
    };
    assert_eq!(before(Lane::Standard).to_string(), "$0.005");
    assert_eq!(before(Lane::Batch).exact(), None);
    assert_eq!(
        left_out(&loaded),
        [
            "1.models.0.prices.1.prices.cache_write_1h_mtok",
            "1.models.0.prices.2",
            "1.models.0.price_variants.3",
            "1.models.3.prices"
        ]
    );
}

#[test]
fn the_reviewed_table_of_this_crate_can_be_loaded() {
    let table = include_str!("../openai.toml");
    let loaded = toml(table).unwrap();
    let builtin = PriceBook::builtin();
    assert_eq!(loaded.models, crate::pricing::builtin::MODELS.len());
    assert_eq!(loaded.notes, []);
    for (id, _) in crate::pricing::builtin::MODELS {
        for lane in Lane::ALL {
            for input in [1, 272_001] {
                let mut usage = Usage::new(input, 7);
                usage.cache_read_tokens = 1;
                usage.tool_calls.web_search = 1;
                let cost = |book: &PriceBook| book.cost(&(*id).into(), lane, &usage, NOW);
                assert_eq!(cost(&loaded.book), cost(&builtin), "{id} on {lane}");
            }
        }
    }
}

/// A list, and what its error must name: a line, the path, the problem.
fn refused<T: fmt::Debug>(result: Result<T, LoadError>, line: usize, path: &str, problem: &str) {
    let error = result.unwrap_err();
    assert_eq!((error.line(), error.path()), (line, path), "{error}");
    assert!(error.problem().to_string().contains(problem), "{error}");
    assert!(error.to_string().contains(&format!(", line {line}")), "{error}");
}

#[test]
fn what_is_wrong_in_json_is_named_with_file_line_and_path() {
    let of = |key: &str, value: &str| {
        format!("{{\n\"m\": {{\"litellm_provider\": \"acme\",\n\"{key}\": {value}}}}}")
    };
    let input = "input_cost_per_token";
    refused(
        litellm(&of(input, "-1e-6")),
        3,
        "m.input_cost_per_token",
        "negative",
    );
    refused(
        litellm(&of(input, "\"NaN\"")),
        3,
        "m.input_cost_per_token",
        "not a decimal",
    );
    refused(litellm(&of(input, "NaN")), 3, "", "expected");
    refused(
        litellm(&of(input, "1e30")),
        3,
        "m.input_cost_per_token",
        "too large",
    );
    refused(litellm(&of("litellm_provider", "\"acme\"")), 2, "m", "twice");
    refused(litellm("[]"), 1, "", "an object");
    refused(litellm("{}"), 1, "", "\"acme\"");
    refused(
        genai("[{\"id\":\"acme\",\n\"models\":[{\"id\":3}]}]"),
        2,
        "0.models.0.id",
        "a text",
    );
    let twice = r#"{"id":"m","prices":[{"prices":{"input_mtok":1,"output_mtok":1}},{"prices":{"input_mtok":2,"output_mtok":1}}]}"#;
    refused(
        genai(&format!("[{{\"id\":\"acme\",\"models\":[\n{twice}]}}]")),
        2,
        "0.models.0.prices.1.prices",
        "hold from the same day",
    );
    let tiers =
        r#"{"id":"m","prices":{"input_mtok":{"base":1,"tiers":[{"start":-5,"price":1}]},"output_mtok":1}}"#;
    refused(
        genai(&format!("[{{\"id\":\"acme\",\"models\":[{tiers}]}}]")),
        1,
        "0.models.0.prices.input_mtok.tiers.0.start",
        "a count",
    );
    let date = r#"{"id":"m","prices":[{"constraint":{"start_date":"2026-13-01"},"prices":{"input_mtok":1,"output_mtok":1}}]}"#;
    refused(
        genai(&format!("[{{\"id\":\"acme\",\"models\":[{date}]}}]")),
        1,
        "0.models.0.prices.0.constraint.start_date",
        "2026-13-01",
    );
    let error = litellm(&of(input, "-1e-6")).unwrap_err().to_string();
    assert_eq!(
        error,
        "cannot load prices from prices.json, line 3, m.input_cost_per_token: the price is negative: \"-1e-6\""
    );
}

#[test]
fn what_is_wrong_in_toml_is_named_with_file_line_and_path() {
    let row = |row: &str| format!("[[model]]\nids = [\"m\"]\nrows = [\n{row}\n]\n");
    let one = |price: &str| {
        row(&format!(
            "{{ lane = \"standard\", input = {price}, output = \"1\" }},"
        ))
    };
    refused(toml(&one("\"-1\"")), 4, "m.input", "negative");
    refused(toml(&one("\"NaN\"")), 4, "m.input", "not a decimal");
    refused(toml(&one("2.5")), 4, "", "string");
    refused(toml(&one("\"1\", inptu = \"1\"")), 4, "", "unknown field");
    refused(toml("[[model]"), 1, "", "");
    let twice = "{ lane = \"batch\", input = \"1\", output = \"1\" },\n{ lane = \"batch\", input = \"2\", output = \"1\" }";
    refused(toml(&row(twice)), 5, "m", "the batch lane hold from the same day");
    let long = "{ lane = \"batch\", above = 9, input = \"1\", output = \"1\" }";
    refused(toml(&row(long)), 2, "m", "no price for short requests");
    let dated = "{ lane = \"batch\", effective_from = \"tomorrow\", input = \"1\", output = \"1\" }";
    refused(toml(&row(dated)), 4, "m.effective_from", "tomorrow");
    let again = format!("{}{}", one("\"1\""), one("\"1\""));
    refused(toml(&again), 7, "m", "twice");
}

#[test]
fn a_list_goes_over_the_book_and_leaves_the_rest() {
    let list = r#"{"gpt-4o": {"litellm_provider": "acme", "input_cost_per_token": 1e-6, "output_cost_per_token": 1e-6}}"#;
    let book = PriceBook::builtin();
    let loaded = book.clone().with_litellm("prices.json", list, "acme").unwrap();
    assert_eq!(cost(&loaded, "gpt-4o", Lane::Standard, 1_000, 0), "$0.001");
    assert_eq!(cost(&loaded, "gpt-4o-mini", Lane::Standard, 1_000, 0), "$0.00015");
    assert_ne!(loaded.book.revision(), book.revision());
    assert!(matches!(
        loaded
            .book
            .cost(&"gpt-4o".into(), Lane::Batch, &Usage::new(1, 0), NOW),
        Cost::Unpriced(_)
    ));
    assert!(
        Price::loaded(Vec::new(), Fees::NONE, 0)
            .with_fee(Tool::Answer, "1")
            .is_ok()
    );
}

proptest! {
    #[test]
    fn any_text_is_loaded_or_refused(text in any::<String>(), bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let lossy = String::from_utf8_lossy(&bytes);
        for text in [text.as_str(), &lossy] {
            let _ = (litellm(text), genai(text), toml(text));
        }
    }

    #[test]
    fn a_list_that_was_damaged_is_loaded_or_refused(
        at in 0_usize..2_000, cut in 0_usize..8, put in "[-0-9eE.\"{}\\[\\],:a]{0,4}",
    ) {
        for (text, load) in [(LITELLM, litellm as fn(&str) -> _), (GENAI, genai), (include_str!("../openai.toml"), toml)] {
            let at = at.min(text.len());
            let end = (at + cut).min(text.len());
            let damaged = format!("{}{put}{}", &text[..at], &text[end..]);
            if let Err(error) = load(&damaged) {
                prop_assert!(error.line() >= 1 && error.line() <= damaged.lines().count().max(1) + 1);
            }
        }
    }
}
