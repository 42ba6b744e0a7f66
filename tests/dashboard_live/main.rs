//! The dashboard's routes: what they answer, against the ledger's own answers, and what they ask the ledger.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on says so by panicking"
)]

mod browser;
#[path = "../dashboard/chromium.rs"]
mod chromium;
mod doubles;
mod exposition;
#[path = "../dashboard/samples.rs"]
#[allow(dead_code, reason = "shared with the tests of the page, which use all of it")]
mod samples;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Router;
use axum::http::{Method, StatusCode};
use futures_util::future::join_all;
use thrifty::budget::{Budget, Budgets, Each, TimeZone};
use thrifty::dashboard::Dashboard;
use thrifty::ledger::{CostLedger, Dimension, InMemoryLedger, Query, Totals};
use thrifty::pricing::{Cost, UnpricedReason};
use thrifty::report::Report;
use thrifty::{Attribution, Lane, ManualClock, Usage, UsdSum};

use doubles::{Answer, SECRET, Watched, get, send};
use exposition::{Labels, Metrics};

const ROUTES: [&str; 4] = ["/", "/report.json", "/report.csv", "/metrics"];

fn noon() -> ManualClock {
    ManualClock::new(samples::at(29, 43_200_000))
}

fn routes(ledger: &Arc<Watched>) -> Router {
    Dashboard::new(Arc::clone(ledger))
        .with_clock(noon())
        .into_router()
}

fn entry(feature: &str) -> thrifty::ledger::LedgerEntry {
    let usage = Usage::new(1_000, 100);
    samples::entry(
        Some(feature),
        "gpt-4o",
        "gpt-4o",
        Lane::Standard,
        usage,
        samples::at(29, 1),
    )
}

/// Returns the page without what a live one has more than one from disk.
fn still(page: &str) -> String {
    let (start, own) = (page.find(" 'sha256-").unwrap(), page.rfind("<script>").unwrap());
    let second = start + 1 + page[start + 1..].find(" 'sha256-").unwrap();
    let until = second + page[second..].find(';').unwrap();
    let page = format!("{}{}</body>\n</html>\n", &page[..second], &page[until..own]);
    let version = page.find(" data-version=").unwrap();
    let end = version + page[version..].find('>').unwrap();
    format!("{}{}", &page[..version], &page[end..]).replace(" connect-src 'self';", "")
}

#[tokio::test]
async fn each_route_is_the_report_in_its_format() {
    let ledger = Watched::new(samples::month());
    let zone = TimeZone::named("Asia/Kolkata").unwrap();
    let routes = Dashboard::new(Arc::clone(&ledger))
        .with_clock(noon())
        .in_zone(zone.clone())
        .into_router();
    let report = Report::builder().with_clock(noon()).with_time_zone(zone);
    let report = report.of(&*ledger).await.unwrap();
    let expected = [
        ("text/html; charset=utf-8", report.to_html()),
        ("application/json", report.to_json()),
        ("text/csv; charset=utf-8; header=present", report.to_csv()),
        ("text/plain; version=0.0.4; charset=utf-8", report.to_prometheus()),
    ];
    for (path, (content_type, text)) in ROUTES.into_iter().zip(expected) {
        let answer = get(&routes, path).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(answer.header("content-type"), content_type);
        assert_eq!(answer.header("cache-control"), "no-store");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        let got = if path == "/" {
            still(&answer.text)
        } else {
            answer.text
        };
        assert!(got == text, "{path} differs from the report");
    }
    let nested = Router::new().nest("/costs", routes);
    assert!(get(&nested, "/costs").await.text.contains("<h1>LLM spend</h1>"));
    assert!(
        get(&nested, "/costs/metrics")
            .await
            .text
            .starts_with("# HELP thrifty_")
    );
}

/// A figure of totals, as it is to stand in a metric.
fn figure(metric: &str, totals: &Totals) -> String {
    match metric {
        "thrifty_cost_usd" => totals.cost.to_string(),
        "thrifty_saved_usd" => totals.savings.total().to_string(),
        "thrifty_calls" => totals.calls.to_string(),
        "thrifty_calls_not_priced_exactly" => (totals.calls - totals.coverage.priced).to_string(),
        "thrifty_calls_without_whole_answer" => (totals.calls - totals.succeeded).to_string(),
        "thrifty_attempts" => totals.attempts.to_string(),
        "thrifty_input_tokens" => totals.usage.input_tokens.to_string(),
        "thrifty_cache_read_tokens" => totals.usage.cache_read_tokens.to_string(),
        "thrifty_output_tokens" => totals.usage.output_tokens.to_string(),
        "thrifty_reasoning_tokens" => totals.usage.reasoning_tokens.to_string(),
        other => panic!("no query is known for {other}"),
    }
}

fn by_call(metrics: &Metrics) -> impl Iterator<Item = (&String, &BTreeMap<Labels, String>)> {
    let labelled =
        |series: &BTreeMap<Labels, String>| series.keys().any(|labels| labels.contains_key("lane"));
    metrics.iter().filter(move |(_, series)| labelled(series))
}

async fn groups(ledger: &dyn CostLedger) -> Vec<thrifty::ledger::Group> {
    let query = [Dimension::Feature, Dimension::Model, Dimension::Lane];
    let query = query.into_iter().fold(Query::new(), Query::group_by);
    ledger.query(&query).await.unwrap().groups
}

#[tokio::test]
async fn every_metric_is_what_a_query_says() {
    let ledger = samples::month();
    let mut unknown = entry("unnamed");
    unknown.attribution = Attribution::default();
    unknown.cost = Cost::Unpriced(UnpricedReason::UnknownModel);
    samples::record(&ledger, unknown);
    let ledger = Watched::new(ledger);
    let metrics = exposition::read(&get(&routes(&ledger), "/metrics").await.text);
    let groups = groups(&*ledger).await;
    assert_eq!(by_call(&metrics).count(), 10);
    let mut compared = 0;
    for (name, series) in by_call(&metrics) {
        assert_eq!(series.len(), groups.len());
        for group in &groups {
            let key = |at: usize| group.keys[at].as_deref().unwrap_or("none").to_owned();
            let labels = [("feature", key(0)), ("model", key(1)), ("lane", key(2))];
            let labels = labels.map(|(name, value)| (name.to_owned(), value)).into();
            assert_eq!(series[&labels], figure(name, &group.totals), "{name} {labels:?}");
            compared += 1;
        }
    }
    assert_eq!(compared, 10 * groups.len());
    assert_eq!(metrics["thrifty_bad_lines"][&Labels::new()], "0");
    println!("{compared} figures of the metrics are those of a query, each equal");
}

#[tokio::test]
async fn hostile_names_are_only_names() {
    let ledger = Watched::new(samples::hostile());
    let routes = routes(&ledger);
    let metrics = exposition::read(&get(&routes, "/metrics").await.text);
    let groups = groups(&*ledger).await;
    let sum = |all: UsdSum, cost| all.saturating_add(cost);
    let cost = groups
        .iter()
        .map(|group| group.totals.cost)
        .fold(UsdSum::ZERO, sum);
    let shown = metrics["thrifty_cost_usd"].values();
    let shown = shown.map(|cost| cost.parse().unwrap()).fold(UsdSum::ZERO, sum);
    assert_eq!(shown, cost);
    let features: BTreeSet<_> = metrics["thrifty_calls"]
        .keys()
        .map(|labels| labels["feature"].as_str())
        .collect();
    // 25 of the 200 names are of 10,000 characters, and share a label.
    assert_eq!(features.len(), 176);
    assert!(features.contains("other") && features.iter().any(|name| name.contains("\"' onmouseover")));
    let page = get(&routes, "/").await.text;
    assert!(!page.contains("<script>document.title") && !page.contains("<img"));
    assert!(get(&routes, "/report.csv").await.text.contains("\"'=HYPERLINK("));
    serde_json::from_str::<serde_json::Value>(&get(&routes, "/report.json").await.text).unwrap();
}

#[tokio::test]
async fn further_features_share_a_label_and_take_none_from_earlier_ones() {
    let ledger = InMemoryLedger::new();
    for number in 0..150 {
        let mut early = entry(&format!("z{number}\\\n"));
        early.at = samples::at(1, number);
        samples::record(&ledger, early);
    }
    for number in 0..100 {
        samples::record(&ledger, entry(&format!("a{number:02}")));
    }
    samples::record(&ledger, entry("other"));
    let metrics = exposition::read(&get(&routes(&Watched::new(ledger)), "/metrics").await.text);
    let calls: BTreeMap<_, _> = metrics["thrifty_calls"]
        .iter()
        .map(|(labels, calls)| (labels["feature"].as_str(), calls.as_str()))
        .collect();
    assert_eq!(calls.len(), 201);
    assert!((0..150).all(|number| calls[format!("z{number}\\\n").as_str()] == "1"));
    assert_eq!(
        (calls["a49"], calls.get("a50"), calls["other"]),
        ("1", None, "51")
    );
}

#[tokio::test]
async fn budgets_have_metrics_unless_they_are_one_for_each_user() {
    let budgets = Budgets::builder()
        .with_clock(noon())
        .with_budget(Budget::new("all \"of\" it", "5.00".parse().unwrap()))
        .with_budget(Budget::new("users", "1.00".parse().unwrap()).for_each(Each::User))
        .build()
        .unwrap();
    let cost = Cost::Priced("0.25".parse().unwrap());
    budgets.spend(&Attribution::default().with_user("u-17"), None, &cost, None);
    let dashboard = Dashboard::new(Watched::new(samples::one_entry())).with_clock(noon());
    let routes = dashboard.with_budgets(budgets).into_router();
    let text = get(&routes, "/metrics").await.text;
    let metrics = exposition::read(&text);
    let all = Labels::from([("budget".to_owned(), "all \"of\" it".to_owned())]);
    for (name, amount) in [("limit", "5.00"), ("spent", "0.25"), ("held", "0.00")] {
        let series = &metrics[&format!("thrifty_budget_{name}_usd")];
        assert_eq!((series.len(), series[&all].as_str()), (1, amount));
    }
    assert!(!text.contains("u-17"));
    assert!(get(&routes, "/").await.text.contains("all &quot;of&quot; it"));
}

#[tokio::test]
async fn a_ledger_without_entries_is_shown_as_that() {
    let routes = routes(&Watched::new(InMemoryLedger::new()));
    for path in ROUTES {
        assert_eq!(get(&routes, path).await.status, StatusCode::OK, "{path}");
    }
    let metrics = exposition::read(&get(&routes, "/metrics").await.text);
    assert_eq!(by_call(&metrics).count(), 0);
    assert!(metrics["thrifty_cost_usd"].is_empty());
    assert!(get(&routes, "/").await.text.contains("no calls"));
}

#[tokio::test(start_paused = true)]
async fn a_ledger_that_fails_is_a_503_that_says_what_to_do() {
    let ledger = Watched::new(samples::one_entry());
    let routes = routes(&ledger);
    ledger.broken.store(true, Ordering::SeqCst);
    for path in ROUTES {
        let answer = get(&routes, path).await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(answer.header("retry-after"), "15");
        assert_eq!(answer.header("cache-control"), "no-store");
        assert!(
            answer.text.contains("The service's log says why"),
            "{}",
            answer.text
        );
        assert!(!answer.text.contains("hunter2") && !answer.text.contains("backend"));
        assert_eq!(answer.text.contains("<html"), path == "/");
    }
    assert_eq!(ledger.queries(), 1, "a failure is kept for a second too");
    assert!(SECRET.contains("hunter2"));
    ledger.broken.store(false, Ordering::SeqCst);
    tokio::time::advance(Duration::from_millis(1_001)).await;
    assert_eq!(get(&routes, "/").await.status, StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn many_requests_at_once_make_one_report() {
    let ledger = Watched::new(samples::one_entry());
    ledger.delay_ms.store(5_000, Ordering::SeqCst);
    let routes = routes(&ledger);
    let asked = (0..400).map(|number| get(&routes, ROUTES[number % 4]));
    let answers: Vec<Answer> = join_all(asked).await;
    assert!(answers.iter().all(|answer| answer.status == StatusCode::OK));
    assert_eq!(ledger.queries(), 1);
    tokio::time::advance(Duration::from_millis(1_001)).await;
    get(&routes, "/").await;
    assert_eq!(ledger.queries(), 2);
}

#[tokio::test(start_paused = true)]
async fn callers_who_leave_do_not_make_a_slow_ledger_be_asked_again() {
    let ledger = Watched::new(samples::one_entry());
    ledger.delay_ms.store(20_000, Ordering::SeqCst);
    let routes = routes(&ledger);
    for _ in 0..50 {
        let left = tokio::time::timeout(Duration::from_millis(100), get(&routes, "/")).await;
        assert!(left.is_err());
    }
    assert_eq!(get(&routes, "/").await.status, StatusCode::OK);
    assert_eq!(
        (ledger.queries(), ledger.most_at_once.load(Ordering::SeqCst)),
        (1, 1)
    );
}

#[tokio::test(start_paused = true)]
async fn a_ledger_that_takes_too_long_is_given_up_by_those_who_wait() {
    let ledger = Watched::new(samples::one_entry());
    ledger.delay_ms.store(45_000, Ordering::SeqCst);
    let routes = routes(&ledger);
    let before = tokio::time::Instant::now();
    let answer = get(&routes, "/").await;
    assert_eq!(before.elapsed(), Duration::from_secs(30));
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.text.contains("takes too long"));
    // The same report is then there for those who come later.
    assert_eq!(get(&routes, "/").await.status, StatusCode::OK);
    assert_eq!(ledger.queries(), 1);
}

#[tokio::test]
async fn any_parameter_is_refused_and_not_repeated() {
    let ledger = Watched::new(samples::one_entry());
    let routes = routes(&ledger);
    let long = format!("feature={}", "a".repeat(50_000));
    let hostile = [
        "",
        "feature=%3Cscript%3E",
        "days=-1",
        "days=1e999",
        "a[b]=c",
        "%00%ff%",
        "../../etc",
        &long,
    ];
    for query in hostile {
        for path in ROUTES {
            let answer = get(&routes, &format!("{path}?{query}")).await;
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{query}");
            assert!(answer.header("content-type").starts_with("text/plain") && answer.text.len() < 200);
        }
    }
    assert_eq!(ledger.queries(), 0);
    assert_eq!(get(&routes, "/../secret").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test(start_paused = true)]
async fn a_tag_stands_for_what_is_shown_until_there_is_more() {
    let ledger = Watched::new(samples::one_entry());
    let clock = noon();
    let routes = Dashboard::new(Arc::clone(&ledger))
        .with_clock(clock.clone())
        .into_router();
    let step = Duration::from_millis(1_001);
    for path in ROUTES {
        let whole = get(&routes, path).await;
        let tag = whole.header("etag").to_owned();
        assert!(tag.starts_with("W/\"") && tag.ends_with('"'), "{tag}");
        // Another report, a moment later, of the same entries.
        tokio::time::advance(step).await;
        clock.advance(step);
        for known in [tag.clone(), format!("\"x\", {tag}"), "*".into()] {
            let same = send(&routes, Method::GET, path, Some(&known)).await;
            assert_eq!((same.status, same.text.as_str()), (StatusCode::NOT_MODIFIED, ""));
            assert_eq!(same.header("etag"), tag);
        }
        let head = send(&routes, Method::HEAD, path, None).await;
        assert_eq!((head.status, head.text.as_str()), (StatusCode::OK, ""));
        assert_eq!(head.header("etag"), tag);
        assert_eq!(
            send(&routes, Method::POST, path, None).await.status,
            StatusCode::METHOD_NOT_ALLOWED
        );
        ledger.record(&Arc::new(entry("new"))).unwrap();
        tokio::time::advance(step).await;
        let more = send(&routes, Method::GET, path, Some(&tag)).await;
        assert_eq!(more.status, StatusCode::OK, "{path}");
        assert_ne!(more.header("etag"), tag);
    }
    let page = get(&routes, "/").await;
    let version = format!("<main data-version='{}'>", page.header("etag"));
    assert!(page.text.contains(&version), "the page knows its own tag");
}
