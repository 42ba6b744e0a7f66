//! What was measured, as a picture: quality over cost.

use std::fmt::{self, Write};

use super::{Evaluation, Measured, Point};
use crate::markup::Escaped;
use crate::router::threshold::saved;

/// The plot's left, top, right and bottom edge.
const PLOT: [f64; 4] = [64.0, 56.0, 524.0, 400.0];

/// A curve is drawn with so many points at most: one for each step of the plot's width that can be seen.
const STEPS: f64 = 230.0;

/// What the legend has for each name, in height.
const ENTRY: f64 = 36.0;

const STYLE: &str = r"<style>
.page { fill: #ffffff } .ink { fill: #1b1f24 } .soft { fill: #57606a } .grid { stroke: #d8dee4 } .peer { stroke: #6e7781 } .peer-dot { fill: #6e7781 }
.c0 { stroke: #0969da } .c1 { stroke: #bc4c00 } .c2 { stroke: #1a7f37 } .c3 { stroke: #8250df } .c4 { stroke: #bf3989 }
.d0 { fill: #0969da } .d1 { fill: #bc4c00 } .d2 { fill: #1a7f37 } .d3 { fill: #8250df } .d4 { fill: #bf3989 }
@media (prefers-color-scheme: dark) {
.page { fill: #0d1117 } .ink { fill: #e6edf3 } .soft { fill: #9da7b3 } .grid { stroke: #30363d } .peer { stroke: #8b949e } .peer-dot { fill: #8b949e }
.c0 { stroke: #58a6ff } .c1 { stroke: #f0883e } .c2 { stroke: #3fb950 } .c3 { stroke: #bc8cff } .c4 { stroke: #f778ba }
.d0 { fill: #58a6ff } .d1 { fill: #f0883e } .d2 { fill: #3fb950 } .d3 { fill: #bc8cff } .d4 { fill: #f778ba }
}
</style>
";

/// How those that every evaluation has are drawn: always the same.
const PEERS: [(&str, &str); 3] = [("coin", "2 4"), ("length", "7 4"), ("oracle", "1 3 6 3")];

pub(super) fn render(evaluation: &Evaluation) -> String {
    let mut svg = String::new();
    // Writing to a string cannot fail.
    let _ = write_all(evaluation, &mut svg);
    svg.push_str("</svg>\n");
    svg
}

/// Where values lie on the plot.
struct Scale {
    priced: bool,
    low: f64,
    high: f64,
    step: f64,
}

impl Scale {
    fn of(evaluation: &Evaluation) -> Self {
        // The oracle's curve may leave the plot: it would press all others together.
        let drawn = evaluation.measured.iter().zip(&evaluation.curves);
        let whole = drawn.filter(|(measured, _)| measured.name != "oracle");
        let points: Vec<&Point> = whole.flat_map(|(_, points)| points).collect();
        let qualities = || points.iter().map(|point| point.quality);
        let (low, high) = (
            qualities().fold(f64::INFINITY, f64::min),
            qualities().fold(f64::NEG_INFINITY, f64::max),
        );
        let step = nice((high - low).max(0.001) / 6.0);
        Self {
            priced: points.iter().all(|point| point.cost.is_some()),
            low: (low / step - 0.2).floor() * step,
            high: (high / step + 0.2).ceil() * step,
            step,
        }
    }

    /// Returns how far to the right a point lies, from 0 to 1: its share of always-strong's cost, or of strong calls.
    fn across(&self, point: &Point, strong: &Point) -> f64 {
        let spent = || Some(1.0 - saved(point.cost?, strong.cost?)?);
        let spent = self.priced.then(spent).flatten();
        spent.unwrap_or(point.strong_share)
    }

    fn x(across: f64) -> f64 {
        let [left, _, right, _] = PLOT;
        left + across * (right - left)
    }

    fn y(&self, quality: f64) -> f64 {
        let [_, top, _, bottom] = PLOT;
        bottom - (quality - self.low) / (self.high - self.low) * (bottom - top)
    }
}

/// Returns the next step above that is 1, 2 or 5 times a power of ten.
fn nice(step: f64) -> f64 {
    let power = 10.0_f64.powf(step.log10().floor());
    let times = [1.0, 2.0, 5.0].into_iter().find(|times| times * power >= step);
    times.unwrap_or(10.0) * power
}

fn write_all(evaluation: &Evaluation, svg: &mut String) -> fmt::Result {
    let scale = Scale::of(evaluation);
    let by = &evaluation.by;
    let title = format!("{} to {}, {} prompts", by.cheap, by.strong, evaluation.rows());
    let entries = evaluation.measured.iter().map(|_| ENTRY).sum::<f64>();
    let height = (PLOT[1] + entries).max(PLOT[3] + 60.0);
    writeln!(
        svg,
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 760 {height}" role="img" font-family="system-ui, sans-serif" font-size="13">"#
    )?;
    svg.push_str(STYLE);
    writeln!(svg, "<title>Quality over cost: {}</title>", Escaped(&title))?;
    writeln!(svg, r#"<rect class="page" width="760" height="{height}"/>"#)?;
    writeln!(
        svg,
        r#"<text class="ink" x="64" y="32" font-size="16" font-weight="600">{}</text>"#,
        Escaped(&title)
    )?;
    let [left, top, right, bottom] = PLOT;
    let (width, tall) = (right - left, bottom - top);
    writeln!(
        svg,
        r#"<clipPath id="plot"><rect x="{left}" y="{top}" width="{width}" height="{tall}"/></clipPath>"#
    )?;
    write_axes(&scale, svg)?;
    let (mut colour, mut legend) = (0, PLOT[1] + 6.0);
    for (measured, points) in evaluation.measured.iter().zip(&evaluation.curves) {
        let Some(strong) = points.last() else { continue };
        let is_end = matches!(measured.name.as_str(), "always-cheap" | "always-strong");
        let peer = PEERS.iter().find(|(name, _)| *name == measured.name);
        let (line, dot, dashes) = match peer {
            Some((_, dashes)) => ("peer".to_owned(), "peer-dot".to_owned(), *dashes),
            None if is_end => (String::new(), "peer-dot".to_owned(), ""),
            None => {
                colour += 1;
                let colour = (colour - 1) % 5;
                (format!("c{colour}"), format!("d{colour}"), "")
            }
        };
        if measured.decided.is_some() {
            let Some(point) = points.get(1) else { continue };
            let (x, y) = (Scale::x(scale.across(point, strong)), scale.y(point.quality));
            writeln!(svg, r#"<circle class="{dot}" cx="{x:.1}" cy="{y:.1}" r="5"/>"#)?;
            write_mark(svg, legend, &dot)?;
        } else {
            write_curve(svg, &scale, points, &line, dashes)?;
            writeln!(
                svg,
                r#"<line class="{line}" x1="544" x2="572" y1="{legend}" y2="{legend}" stroke-width="2" stroke-dasharray="{dashes}"/>"#
            )?;
        }
        write_name(svg, legend, measured)?;
        legend += ENTRY;
    }
    Ok(())
}

fn write_axes(scale: &Scale, svg: &mut String) -> fmt::Result {
    let [left, top, right, bottom] = PLOT;
    let mut tick = scale.low;
    while tick <= scale.high + scale.step / 2.0 {
        let y = scale.y(tick);
        writeln!(
            svg,
            r#"<line class="grid" x1="{left}" x2="{right}" y1="{y:.1}" y2="{y:.1}"/>"#
        )?;
        let places = usize::from(scale.step < 0.01);
        let (text, percent) = (y + 4.0, tick * 100.0);
        writeln!(
            svg,
            r#"<text class="soft" x="{}" y="{text:.1}" text-anchor="end">{percent:.places$} %</text>"#,
            left - 8.0
        )?;
        tick += scale.step;
    }
    for tick in [0.0, 0.2, 0.4, 0.6, 0.8, 1.0] {
        let x = Scale::x(tick);
        writeln!(
            svg,
            r#"<line class="grid" x1="{x:.1}" x2="{x:.1}" y1="{top}" y2="{bottom}"/>"#
        )?;
        writeln!(
            svg,
            r#"<text class="soft" x="{x:.1}" y="{}" text-anchor="middle">{:.0} %</text>"#,
            bottom + 20.0,
            tick * 100.0
        )?;
    }
    let across = if scale.priced {
        "cost, of always asking the strong model"
    } else {
        "share of calls to the strong model"
    };
    writeln!(
        svg,
        r#"<text class="ink" x="{}" y="{}" text-anchor="middle">{across}</text>"#,
        f64::midpoint(left, right),
        bottom + 44.0
    )?;
    writeln!(
        svg,
        r#"<text class="ink" transform="translate(16 {}) rotate(-90)" text-anchor="middle">mean quality of the answers</text>"#,
        f64::midpoint(top, bottom)
    )
}

fn write_curve(svg: &mut String, scale: &Scale, points: &[Point], line: &str, dashes: &str) -> fmt::Result {
    let Some(strong) = points.last() else {
        return Ok(());
    };
    write!(
        svg,
        r#"<polyline class="{line}" clip-path="url(#plot)" fill="none" stroke-width="2" stroke-linejoin="round" stroke-dasharray="{dashes}" points=""#
    )?;
    let mut drawn = f64::NEG_INFINITY;
    for (at, point) in points.iter().enumerate() {
        let across = scale.across(point, strong);
        if (across - drawn).abs() * STEPS >= 1.0 || at + 1 == points.len() {
            write!(svg, "{:.1},{:.1} ", Scale::x(across), scale.y(point.quality))?;
            drawn = across;
        }
    }
    writeln!(svg, r#""/>"#)
}

fn write_mark(svg: &mut String, y: f64, dot: &str) -> fmt::Result {
    writeln!(svg, r#"<circle class="{dot}" cx="558" cy="{y}" r="5"/>"#)
}

fn write_name(svg: &mut String, y: f64, measured: &Measured) -> fmt::Result {
    let name: String = measured.name.chars().take(24).collect();
    writeln!(
        svg,
        r#"<text class="ink" x="582" y="{}">{}</text>"#,
        y + 4.0,
        Escaped(&name)
    )?;
    let number = match (&measured.decided, measured.apgr) {
        (Some(decided), _) => format!("{:.0} % strong calls", decided.strong_share.value * 100.0),
        (None, Some(apgr)) => format!("APGR {:.3}", apgr.value),
        (None, None) => return Ok(()),
    };
    writeln!(
        svg,
        r#"<text class="soft" x="582" y="{}" font-size="12">{number}</text>"#,
        y + 19.0
    )
}
