//! The page of a service: it looks by itself whether there is more to show.

use std::hash::{DefaultHasher, Hash, Hasher};

use crate::report::Report;
use crate::report::html::{Extras, render_with};

pub(super) const SCRIPT: &str = include_str!("live.js");

/// The SHA-256 of the script, which a test holds to it.
pub(super) const SCRIPT_HASH: &str = "bm2pd0bwI3XcpyRzs3y3bfgNbjq75pEwzyy1LS4qvOE=";

/// How long the figures that move with the time alone, a run rate and a burn-down, may stand still.
const REDRAWN_MS: i64 = 900_000;

pub(in crate::report) fn render(report: &Report, fingerprint: &str) -> String {
    let extras = Extras {
        scripts: format!(" 'sha256-{SCRIPT_HASH}'"),
        policy: " connect-src 'self';",
        attributes: format!(" data-version='{fingerprint}'"),
        script: Some(SCRIPT),
    };
    render_with(report, &extras)
}

/// Returns the same text for two reports that say the same, but for what changes with every moment, as a weak entity tag.
pub(in crate::report) fn fingerprint(report: &Report) -> String {
    let mut hasher = DefaultHasher::new();
    env!("CARGO_PKG_VERSION").hash(&mut hasher);
    report
        .made_at
        .as_unix_millis()
        .div_euclid(REDRAWN_MS)
        .hash(&mut hasher);
    report.cells.hash(&mut hasher);
    report.evicted.hash(&mut hasher);
    report.bad_lines.hash(&mut hasher);
    for budget in &report.budgets {
        (
            &budget.budget,
            &budget.key,
            budget.limit,
            budget.spent,
            budget.held,
        )
            .hash(&mut hasher);
        (budget.window_start, budget.window_end, budget.refused).hash(&mut hasher);
    }
    format!("W/\"{:016x}\"", hasher.finish())
}
