//! Savings, tokens, and what is not known.

use std::fmt::{self, Write};

use crate::markup::Escaped;
use crate::money::UsdSum;
use crate::report::Report;
use crate::report::amounts::{grouped, per_mille, percent, places};
use crate::report::html::{begin, begin_wide, name};
use crate::report::svg::{self, scale};
use crate::report::waterfall;

/// How many rows of what could be saved are shown, the most money first.
const CHANCES: usize = 15;

pub(super) fn waterfall(report: &Report, page: &mut String) -> fmt::Result {
    let total = &report.total.totals;
    let note = format!(
        "From what {} calls would have cost (the model that was asked for, the standard lane, nothing cached) to all \
         that is known to have been spent. It sums to the last digit.",
        grouped(&total.coverage.compared.to_string())
    );
    begin(page, "savings", "What was saved", &note)?;
    begin_wide(page, "What was saved, step by step")?;
    writeln!(
        page,
        "<table class=\"few\">\n<thead>\n<tr><th scope=\"col\">step</th><td></td><th scope=\"col\">USD</th>\
         <th scope=\"col\">of baseline</th></tr>\n</thead>\n<tbody>"
    )?;
    let steps = waterfall::of(total, &report.lanes);
    let largest = steps
        .iter()
        .map(|step| step.to.max(step.from))
        .max()
        .unwrap_or_default();
    let places = places(largest);
    for step in &steps {
        let (from, to) = (
            scale(step.from.as_pico(), largest.as_pico()),
            scale(step.to.as_pico(), largest.as_pico()),
        );
        let change = step.change();
        let class = match (step.is_level, change < UsdSum::ZERO) {
            (true, _) => "level",
            (false, true) => "good",
            (false, false) => "bad",
        };
        let bar = if change == UsdSum::ZERO && !step.is_level {
            svg::bar(&[])
        } else {
            svg::floating(class, from, to)
        };
        let share = change.per_mille_of(total.savings.baseline).map(percent);
        writeln!(
            page,
            "<tr><th scope=\"row\">{}</th><td class=\"graph\">{bar}</td><td title=\"{change}\">{}</td><td>{}</td></tr>",
            step.name,
            grouped(&format!("{change:.places$}")),
            share.as_deref().unwrap_or("–")
        )?;
    }
    writeln!(page, "</tbody>\n</table>\n</div>\n</section>")
}

pub(super) fn next_savings(report: &Report, page: &mut String) -> fmt::Result {
    let note = "Estimates, ranked by what each could save at most. None of them is a promise: what is saved \
                depends on what is not in a ledger, such as whether a cheaper answer would do. They overlap, and do \
                not add up.";
    begin(page, "next", "Where the next saving is", note)?;
    let savings = &report.next_savings;
    if savings.is_empty() {
        return writeln!(page, "<p>Nothing above a tenth of a cent.</p>\n</section>");
    }
    begin_wide(page, "Where the next saving is")?;
    write!(page, "<table class=\"sorts\">\n<thead>\n<tr>")?;
    for (column, class) in [
        ("feature", ""),
        ("lever", " class=\"text\""),
        ("of spend", ""),
        ("saves at least", ""),
        ("at most", ""),
    ] {
        write!(page, "<th scope=\"col\"{class}>{column}</th>")?;
    }
    writeln!(
        page,
        "<td></td><th scope=\"col\" class=\"text\">evidence</th><th scope=\"col\" class=\"text\">what to \
         change</th></tr>\n</thead>\n<tbody>"
    )?;
    let largest = savings.first().map(|saving| saving.at_most).unwrap_or_default();
    for saving in savings.iter().take(CHANCES) {
        let (name, title) = name(saving.feature.as_deref());
        write!(
            page,
            "<tr><th scope=\"row\"{title}>{name}</th><td class=\"text short\">{}</td>",
            saving.lever.title()
        )?;
        for amount in [saving.addressable, saving.at_least, saving.at_most] {
            let places = places(largest);
            write!(
                page,
                "<td title=\"{amount}\">{}</td>",
                grouped(&format!("{amount:.places$}"))
            )?;
        }
        writeln!(
            page,
            "<td class=\"graph\">{}</td><td class=\"text\">{}</td><td class=\"text\"><code>{}</code></td></tr>",
            svg::bar(&[("good", scale(saving.at_most.as_pico(), largest.as_pico()))]),
            Escaped(&saving.evidence),
            Escaped(&saving.change)
        )?;
    }
    writeln!(page, "</tbody>\n</table>\n</div>")?;
    if let Some(left) = savings.len().checked_sub(CHANCES).filter(|left| *left > 0) {
        writeln!(page, "<p class=\"note\">{left} smaller ones are left out.</p>")?;
    }
    writeln!(page, "</section>")
}

pub(super) fn tokens(report: &Report, page: &mut String) -> fmt::Result {
    let usage = &report.total.totals.usage;
    begin(page, "tokens", "Tokens by kind", "")?;
    begin_wide(page, "Tokens by kind")?;
    writeln!(
        page,
        "<table class=\"few\">\n<thead>\n<tr><th scope=\"col\">kind</th><td></td><th scope=\"col\">tokens</th>\
         <th scope=\"col\">share</th></tr>\n</thead>\n<tbody>"
    )?;
    let all = usage.input_tokens.saturating_add(usage.output_tokens);
    for (kind, tokens, whole) in [
        ("input", usage.input_tokens, all),
        (
            "of it read from the provider's cache",
            usage.cache_read_tokens,
            usage.input_tokens,
        ),
        (
            "of it written to the cache",
            usage.cache_write_tokens,
            usage.input_tokens,
        ),
        ("of it audio", usage.audio_input_tokens, usage.input_tokens),
        ("of it images", usage.image_input_tokens, usage.input_tokens),
        ("output", usage.output_tokens, all),
        ("of it reasoning", usage.reasoning_tokens, usage.output_tokens),
        ("of it audio", usage.audio_output_tokens, usage.output_tokens),
        ("of it images", usage.image_output_tokens, usage.output_tokens),
    ] {
        let is_part = kind.starts_with("of it");
        if is_part && tokens == 0 {
            continue;
        }
        let class = if is_part { "f7" } else { "f0" };
        let share = per_mille(tokens, whole);
        writeln!(
            page,
            "<tr><th scope=\"row\">{}{kind}</th><td class=\"graph\">{}</td><td>{}</td><td>{}</td></tr>",
            if is_part { "– " } else { "" },
            svg::bar(&[(class, scale(tokens.into(), all.into()))]),
            grouped(&tokens.to_string()),
            share.map_or_else(|| "–".into(), percent)
        )?;
    }
    writeln!(page, "</tbody>\n</table>\n</div>\n</section>")
}

pub(super) fn coverage(report: &Report, page: &mut String) -> fmt::Result {
    begin(page, "coverage", "What these figures know", "")?;
    writeln!(page, "<ul>")?;
    for caveat in report.caveats() {
        writeln!(page, "<li>{}</li>", Escaped(&caveat))?;
    }
    writeln!(page, "</ul>\n</section>")
}
