//! What was measured, as text.

use std::fmt::{self, Display, Formatter};

use super::{Evaluation, Interval, Measured, Misstep, Missteps};

impl Display for Evaluation {
    /// Writes two tables: what each can do wherever its line is drawn, and what routers decided.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let by = &self.by;
        let name = self.name_width();
        write!(f, "{} -> {}: {} prompts", by.cheap, by.strong, self.rows())?;
        if self.left_out() > 0 {
            write!(f, ", {} left out for want of a label", self.left_out())?;
        }
        writeln!(f, "; in brackets 95 % intervals")?;
        if !self.has_gap() {
            writeln!(
                f,
                "{} is not better than {} on these prompts: there is nothing to route for.",
                by.strong, by.cheap
            )?;
        }
        writeln!(
            f,
            "\n{:name$}  {:20}  {:18}  {:18}  {:19}  ECE",
            "",
            "APGR",
            "CPT(50) %",
            "CPT(80) %",
            format!("saved % at {}", by.floor),
        )?;
        for measured in &self.measured {
            let Measured {
                apgr,
                cpt50,
                cpt80,
                saved_at_floor,
                calibration_error,
                ..
            } = measured;
            let line = format!(
                "{:name$}  {:20}  {:18}  {:18}  {:19}  {}",
                measured.name,
                number(*apgr),
                percent(*cpt50),
                percent(*cpt80),
                percent(*saved_at_floor),
                number(*calibration_error),
            );
            writeln!(f, "{line}")?;
        }
        self.write_decided(f, name)
    }
}

impl Display for Missteps {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self {
            missed,
            needless,
            in_vain,
            hasty,
        } = self;
        write!(
            f,
            "missed {missed}, needless {needless}, in vain {in_vain}, hasty {hasty}"
        )
    }
}

impl Display for Misstep {
    /// Writes how many there were, their share, and what the strong answers to them cost.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({:.1} %", self.count, self.share * 100.0)?;
        if let Some(cost) = self.strong_cost {
            write!(f, ", ${cost}")?;
        }
        f.write_str(")")
    }
}

impl Evaluation {
    fn write_decided(&self, f: &mut Formatter<'_>, name: usize) -> fmt::Result {
        let heads = ["strong calls %", "quality kept %", "cost saved %"];
        let [strong, quality, saved] = heads;
        writeln!(
            f,
            "\n{:name$}  {strong:20}  {quality:20}  {saved:20}  failed",
            "decided"
        )?;
        for measured in &self.measured {
            let Some(decided) = &measured.decided else {
                continue;
            };
            writeln!(
                f,
                "{:name$}  {:20}  {:20}  {:20}  {}",
                measured.name,
                percent(Some(decided.strong_share)),
                percent(decided.quality),
                percent(decided.saved),
                decided.failed
            )?;
            if let Some(missteps) = &decided.missteps {
                writeln!(f, "{:name$}  {missteps}", "")?;
            }
        }
        Ok(())
    }

    fn name_width(&self) -> usize {
        let names = self.measured.iter().map(|measured| measured.name.chars().count());
        names.max().unwrap_or(0).clamp(14, 30)
    }

    pub(super) fn has_gap(&self) -> bool {
        self.measured.iter().any(|measured| measured.apgr.is_some())
    }
}

fn number(interval: Option<Interval>) -> String {
    interval.map_or_else(|| "–".to_owned(), |interval| interval.to_string())
}

fn percent(interval: Option<Interval>) -> String {
    let percent = interval.map(|Interval { value, low, high }| Interval {
        value: value * 100.0,
        low: low.map(|low| low * 100.0),
        high: high.map(|high| high * 100.0),
    });
    percent.map_or_else(|| "–".to_owned(), |percent| format!("{percent:.1}"))
}
