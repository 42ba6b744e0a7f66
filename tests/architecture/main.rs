//! The crate's shape, held by a test: who may import whom, and what may stand in which file.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on says so by panicking"
)]

mod source;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use source::Source;

/// The modules of the crate, lowest floor first. Values; facts and tools; contracts with their implementations;
/// what ties those to the wire or reads them; the client and the dashboard.
const FLOORS: [&[&str]; 5] = [
    &[
        "model",
        "lane",
        "label",
        "endpoint",
        "attribution",
        "id",
        "usage",
        "money",
        "clock",
        "error",
        "wire",
    ],
    &["pricing", "capability", "tokens", "storage", "markup"],
    &["router", "batch", "ledger", "budget"],
    &["openai", "report", "conformance", "telemetry"],
    &["client", "dashboard"],
];

/// Stands beside the floors: it plays the server, and must not share the crate's ideas of what things cost.
const SIMULATOR: &str = "simulator";

/// What the simulator names above floor 0.
const OF_THE_SIMULATOR: [&str; 1] = ["tokens"];

/// Crates that floor 0 may use: it is data, and its own format.
const VALUES: [&str; 3] = ["serde", "serde_json", "thiserror"];

/// `wire` hands a stream's chunks on without a copy, and looks for one byte in bodies of megabytes.
const WIRE: [&str; 2] = ["bytes", "memchr"];

/// Crates that know of a client or of HTTP. Below floor 3 they would tie the contracts to one upstream release.
const HTTP: [&str; 8] = [
    "async_openai",
    "axum",
    "reqwest",
    "http",
    "http_body_util",
    "hyper",
    "hyper_util",
    "tower",
];

/// Where money is computed.
const MONEY: [&str; 4] = ["money", "pricing", "ledger", "budget"];

/// How many lines a file has at most.
const LINES: usize = 500;

/// Longer files, and why.
const LONGER: [(&str, &str); 1] = [("pricing/builtin.rs", "generated from the table of prices")];

/// Names that say nothing about what is inside.
const NAMELESS: [&str; 8] = [
    "utils", "util", "types", "traits", "common", "helpers", "helper", "prelude",
];

#[test]
fn no_module_names_one_it_must_not_know() {
    let (sources, crates) = (source::all(), dependencies());
    let root = root_names(&sources);
    assert!(sources.len() > 50 && crates.contains("async_openai") && root["Usage"] == "usage");
    hold(&sources, |source| imports(source, &root, &crates));
}

#[test]
fn time_is_read_from_the_clock_alone() {
    hold(&source::all(), wall_clock);
}

#[test]
fn money_never_floats() {
    hold(&source::all(), floats);
}

#[test]
fn files_stay_short_and_have_names_that_say_something() {
    let sources = source::all();
    hold(&sources, lengths_and_names);
    for (path, reason) in LONGER {
        let long = sources
            .iter()
            .any(|source| source.path == path && source.lines > LINES);
        assert!(long, "src/{path} is no longer an exception ({reason})");
    }
}

#[test]
fn adopting_the_crate_changes_at_most_five_lines() {
    let read = |name: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name);
        fs::read_to_string(path).unwrap()
    };
    let changed = changed_lines(&read("before.rs"), &read("after.rs"));
    assert!(
        (1..=5).contains(&changed),
        "examples/before.rs and examples/after.rs differ in {changed} lines"
    );
    assert_eq!(changed_lines("a\nb\nc\n", "a\nB\nc\nd\n"), 3);
}

#[test]
fn a_breach_is_named_with_its_file_line_and_rule() {
    let crates = dependencies();
    let root = BTreeMap::from([("LlmClient".to_owned(), "client".to_owned())]);
    let broken = "\
//! crate::client is named in a comment only.
use std::{fmt, sync::Arc};
use super::{Route, super::ledger::CostLedger as Ledger};
fn f(a: crate::LlmClient) -> Vec::<::reqwest::Client> { \"crate::client\"; SystemTime::now() as f64 + 1.5 + x.0.1 }
use crate::{model::{ModelId}, storage as t, batch};
#[cfg(test)]
mod tests { use crate::client; fn f() -> f64 { 1.0 } }
use crate::client::Plan;
#[cfg(test)]
mod laws;
";
    let mut tests = Vec::new();
    let mut source = Source::read("router/tiers.rs", broken, &mut tests);
    assert_eq!(tests, ["router/tiers/laws.rs"]);
    assert_eq!(
        imports(&source, &root, &crates),
        [
            "src/router/tiers.rs:3: `router` names `ledger`: modules of one floor never name each other",
            "src/router/tiers.rs:4: `router` names `client`: a module names only floors below its own",
            "src/router/tiers.rs:4: `router` names the crate `reqwest`: HTTP and its client stay on floors 3 and 4",
            "src/router/tiers.rs:5: `router` names `batch`: modules of one floor never name each other",
            "src/router/tiers.rs:8: `router` names `client`: a module names only floors below its own",
        ]
    );
    assert_eq!(
        wall_clock(&source),
        ["src/router/tiers.rs:4: `SystemTime::now` outside clock.rs: time comes through `Clock`"]
    );
    assert!(floats(&source).is_empty());
    source.path = "pricing/helpers.rs".to_owned();
    assert_eq!(
        floats(&source),
        [
            "src/pricing/helpers.rs:4: `f64` where money is computed: money never floats",
            "src/pricing/helpers.rs:4: `1.5` where money is computed: money never floats",
        ]
    );
    source.lines = LINES + 1;
    assert_eq!(
        lengths_and_names(&source),
        [
            "src/pricing/helpers.rs:501: more than 500 lines: split the file",
            "src/pricing/helpers.rs:1: a module named `helpers`: name what is inside",
        ]
    );
}

#[test]
fn each_floor_has_its_own_limits() {
    let crates = dependencies();
    let check = |path: &str, text: &str| {
        let source = Source::read(path, text, &mut Vec::new());
        imports(&source, &BTreeMap::new(), &crates).len()
    };
    assert_eq!(
        check("wire/mod.rs", "use bytes::Bytes; use serde_json::Value;"),
        0
    );
    assert_eq!(check("money.rs", "use bytes::Bytes;"), 1);
    assert_eq!(check("money.rs", "use tokio;"), 1);
    assert_eq!(check("money.rs", "use super::usage::Usage;"), 0);
    assert_eq!(check("money.rs", "use super::tokens::Count;"), 1);
    assert_eq!(check("tokens/cut.rs", "use regex::Regex; use super::Count;"), 0);
    assert_eq!(
        check("openai/retry.rs", "use http::Uri; use crate::batch::BatchApi;"),
        0
    );
    assert_eq!(check("openai/retry.rs", "use crate::report::Report;"), 1);
    assert_eq!(check("client/mod.rs", "use crate::{openai, report, router};"), 0);
    assert_eq!(check("client/mod.rs", "use crate::simulator::Simulator;"), 1);
    assert_eq!(
        check("dashboard/mod.rs", "use axum::Router; use crate::report;"),
        0
    );
    assert_eq!(check("dashboard/mod.rs", "use crate::client::LlmClient;"), 1);
    assert_eq!(check("ledger/mod.rs", "use axum::Router;"), 1);
    assert_eq!(
        check(
            "simulator/mod.rs",
            "use crate::{wire, tokens, clock}; use hyper::body;"
        ),
        0
    );
    assert_eq!(check("simulator/mod.rs", "use crate::pricing::PriceBook;"), 1);
    assert_eq!(check("elsewhere.rs", ""), 1);
}

/// Fails with every breach of a rule.
fn hold(sources: &[Source], rule: impl Fn(&Source) -> Vec<String>) {
    let breaches: Vec<_> = sources.iter().flat_map(rule).collect();
    assert!(breaches.is_empty(), "\n{}\n", breaches.join("\n"));
}

/// Holds one file against the floors. `root` tells which module a name at the crate's root comes from.
fn imports(source: &Source, root: &BTreeMap<String, String>, crates: &BTreeSet<String>) -> Vec<String> {
    let modules = source.modules();
    let Some(own) = modules.first().copied() else {
        return Vec::new();
    };
    let at = |line: usize| format!("src/{}:{line}:", source.path);
    if own != SIMULATOR && floor(own).is_none() {
        return vec![format!(
            "{} `{own}` stands on no floor: give it one in this test",
            at(1)
        )];
    }
    let mut breaches = Vec::new();
    for named in source.named() {
        let first = &named.segments[0];
        if crates.contains(first) {
            if let Err(rule) = may_use(own, first) {
                breaches.push(format!(
                    "{} `{own}` names the crate `{first}`: {rule}",
                    at(named.line)
                ));
            }
            continue;
        }
        let Some(name) = below_the_root(&modules, &named.segments) else {
            continue;
        };
        let module = root.get(name).map_or(name, String::as_str);
        if module == SIMULATOR || floor(module).is_some() {
            if let Err(rule) = may_name(own, module) {
                breaches.push(format!("{} `{own}` names `{module}`: {rule}", at(named.line)));
            }
        } else {
            breaches.push(format!(
                "{} `{own}` names `{name}`, which stands on no floor",
                at(named.line)
            ));
        }
    }
    breaches
}

fn floor(module: &str) -> Option<usize> {
    FLOORS.iter().position(|floor| floor.contains(&module))
}

/// Returns the first name that a path takes below the crate's root; `None` if it stays within its family.
fn below_the_root<'a>(modules: &[&str], segments: &'a [String]) -> Option<&'a str> {
    let supers = segments.iter().filter(|segment| *segment == "super").count();
    let skipped = match segments.first()?.as_str() {
        "crate" => 1,
        "super" if supers >= modules.len() => supers,
        _ => return None,
    };
    segments.get(skipped).map(String::as_str)
}

fn may_name(own: &str, other: &str) -> Result<(), &'static str> {
    if own == other {
        return Ok(());
    }
    if own == SIMULATOR {
        let fits = floor(other) == Some(0) || OF_THE_SIMULATOR.contains(&other);
        return fits
            .then_some(())
            .ok_or("the simulator knows values and tokens, and none of our prices");
    }
    if other == SIMULATOR {
        return Err("nothing knows the simulator");
    }
    match (floor(own), floor(other)) {
        (Some(0), Some(0)) => Ok(()),
        (own, other) if own == other => Err("modules of one floor never name each other"),
        (own, other) if own < other => Err("a module names only floors below its own"),
        _ => Ok(()),
    }
}

fn may_use(own: &str, dependency: &str) -> Result<(), &'static str> {
    match floor(own) {
        Some(0) if VALUES.contains(&dependency) => Ok(()),
        Some(0) if own == "wire" && WIRE.contains(&dependency) => Ok(()),
        Some(0) => Err("floor 0 is plain data"),
        Some(1 | 2) if HTTP.contains(&dependency) => Err("HTTP and its client stay on floors 3 and 4"),
        _ => Ok(()),
    }
}

fn wall_clock(source: &Source) -> Vec<String> {
    let named = source.named().into_iter().filter(|named| {
        let path = named.segments.join("::");
        (path.ends_with("SystemTime::now") && source.path != "clock.rs") || path == "std::time::Instant"
    });
    named
        .map(|named| {
            let what = named.segments.join("::");
            let place = format!("src/{}:{}", source.path, named.line);
            format!("{place}: `{what}` outside clock.rs: time comes through `Clock`")
        })
        .collect()
}

fn floats(source: &Source) -> Vec<String> {
    if !source.modules().first().is_some_and(|own| MONEY.contains(own)) {
        return Vec::new();
    }
    let mut before = "";
    let mut found = Vec::new();
    for token in &source.tokens {
        let text = token.text.as_str();
        let names_one = ["f32", "f64"].iter().any(|float| text.ends_with(float)) && !text.contains('"');
        // `pair.0.1` has the same token.
        let is_one =
            text.starts_with(|first: char| first.is_ascii_digit()) && text.contains('.') && before != ".";
        if names_one || is_one {
            let place = format!("src/{}:{}", source.path, token.line);
            found.push(format!(
                "{place}: `{text}` where money is computed: money never floats"
            ));
        }
        before = text;
    }
    found
}

fn lengths_and_names(source: &Source) -> Vec<String> {
    let mut found = Vec::new();
    let excepted = LONGER.iter().any(|(path, _)| *path == source.path);
    if source.lines > LINES && !excepted {
        found.push(format!(
            "src/{}:{}: more than {LINES} lines: split the file",
            source.path, source.lines
        ));
    }
    let modules = source.modules();
    for name in modules.iter().filter(|name| NAMELESS.contains(name)) {
        found.push(format!(
            "src/{}:1: a module named `{name}`: name what is inside",
            source.path
        ));
    }
    found
}

/// Tells which module each name that `lib.rs` exports comes from.
fn root_names(sources: &[Source]) -> BTreeMap<String, String> {
    let lib = sources.iter().find(|source| source.path == "lib.rs").unwrap();
    let named = lib.named().into_iter();
    named
        .filter_map(|named| match named.segments.as_slice() {
            [module, .., name] => Some((name.clone(), module.clone())),
            _ => None,
        })
        .collect()
}

/// The crates this one depends on, as the code names them.
fn dependencies() -> BTreeSet<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    let manifest: toml::Table = fs::read_to_string(path).unwrap().parse().unwrap();
    let names = manifest["dependencies"].as_table().unwrap().keys();
    names.map(|name| name.replace('-', "_")).collect()
}

/// Counts the lines that a diff removes and adds: all but those of a longest common subsequence.
fn changed_lines(before: &str, after: &str) -> usize {
    let (before, after): (Vec<_>, Vec<_>) = (before.lines().collect(), after.lines().collect());
    let mut common = vec![0; after.len() + 1];
    for line in &before {
        let mut diagonal = 0;
        for (at, other) in after.iter().enumerate() {
            let above = common[at + 1];
            common[at + 1] = if line == other {
                diagonal + 1
            } else {
                above.max(common[at])
            };
            diagonal = above;
        }
    }
    before.len() + after.len() - 2 * common[after.len()]
}
