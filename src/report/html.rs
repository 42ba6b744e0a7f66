//! The report as one page of HTML.

use std::fmt::{self, Write};

use crate::ledger::Totals;
use crate::money::UsdSum;
use crate::report::{Report, Table, exact, known, shown};

const NAME: usize = 200;

const HEAD: &str = r#"<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>LLM spend</title>
<style>
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #57606a; --line: #d0d7de; --page: #ffffff; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6edf3; --soft: #9da7b3; --line: #3d444d; --page: #0d1117; }
}
body { margin: 0 auto; max-width: 80rem; padding: 1rem; font: 1rem/1.5 system-ui, sans-serif;
  color: var(--ink); background: var(--page); }
dl { display: flex; flex-wrap: wrap; gap: 1rem 2.5rem; margin: 1rem 0; }
dt { color: var(--soft); }
dd { margin: 0; font-size: 1.5rem; overflow-wrap: anywhere; }
ul { padding-left: 1.25rem; color: var(--soft); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; font-weight: 600; padding: 1.5rem 0 .5rem; font-size: 1rem; }
th, td { padding: .3rem .6rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
th:first-child { text-align: left; white-space: normal; overflow-wrap: anywhere;
  min-width: 12rem; }
tbody th { font-weight: 400; }
tfoot th, tfoot td { font-weight: 600; }
</style>
</head>
<body>
<main>
<h1>LLM spend</h1>
"#;

pub(super) fn render(report: &Report) -> String {
    let mut page = String::from(HEAD);
    // Writing to a string cannot fail.
    let _ = write_report(report, &mut page);
    page.push_str("</main>\n</body>\n</html>\n");
    page
}

fn write_report(report: &Report, page: &mut String) -> fmt::Result {
    let total = &report.total;
    writeln!(page, "<dl>")?;
    for (name, value) in [
        ("Calls", total.calls.to_string()),
        ("Cost, USD", cost(total, total.cost.to_string())),
        ("Baseline, USD", saved(total, total.savings.baseline.to_string())),
        ("Saved, USD", saved(total, total.savings.total().to_string())),
    ] {
        writeln!(page, "<div><dt>{name}</dt><dd>{value}</dd></div>")?;
    }
    writeln!(page, "</dl>\n<ul>")?;
    for caveat in report.caveats() {
        writeln!(page, "<li>{}</li>", Escaped(&caveat))?;
    }
    writeln!(page, "</ul>")?;
    for table in &report.tables {
        write_table(page, table, total)?;
    }
    Ok(())
}

fn write_table(page: &mut String, table: &Table, total: &Totals) -> fmt::Result {
    let name = table.name;
    // Focusable, so that a wide table can be scrolled by keyboard.
    writeln!(
        page,
        "<div class=\"wide\" role=\"region\" aria-label=\"By {name}\" tabindex=\"0\">"
    )?;
    writeln!(page, "<table>\n<caption>By {name}</caption>\n<thead>\n<tr>")?;
    for column in [
        name,
        "calls",
        "tokens in",
        "tokens out",
        "cost",
        "baseline",
        "saved by routing",
        "saved by lane",
        "saved by cache",
    ] {
        writeln!(page, "<th scope=\"col\">{column}</th>")?;
    }
    writeln!(page, "</tr>\n</thead>\n<tbody>")?;
    for row in &table.rows {
        write_row(page, &shown(row.key.as_deref(), NAME), &row.totals)?;
    }
    writeln!(page, "</tbody>\n<tfoot>")?;
    write_row(page, "total", total)?;
    writeln!(page, "</tfoot>\n</table>\n</div>")
}

fn write_row(page: &mut String, name: &str, totals: &Totals) -> fmt::Result {
    let savings = &totals.savings;
    write!(page, "<tr><th scope=\"row\"><bdi>{}</bdi></th>", Escaped(name))?;
    for count in [
        totals.calls,
        totals.usage.input_tokens,
        totals.usage.output_tokens,
    ] {
        write!(page, "<td>{count}</td>")?;
    }
    let cell = |show: fn(&Totals, String) -> String, amount: UsdSum| {
        // What is read at once, and what it is exactly where the pointer rests.
        let (at_once, exactly) = (format!("{amount:.6}"), amount.to_string());
        format!(
            "<td title=\"{}\">{}</td>",
            show(totals, exactly),
            show(totals, at_once)
        )
    };
    write!(page, "{}", cell(cost, totals.cost))?;
    for amount in [savings.baseline, savings.routing, savings.lane, savings.cache] {
        write!(page, "{}", cell(saved, amount))?;
    }
    writeln!(page, "</tr>")
}

fn cost(totals: &Totals, amount: String) -> String {
    match (known(totals), exact(totals)) {
        (false, _) => "?".into(),
        (true, false) => format!("≥ {amount}"),
        (true, true) => amount,
    }
}

fn saved(totals: &Totals, amount: String) -> String {
    if totals.coverage.compared == 0 {
        "–".into()
    } else {
        amount
    }
}

/// Text that cannot become markup, in an element or in a quoted attribute.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}
