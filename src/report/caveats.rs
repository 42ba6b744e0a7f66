//! What the figures do not know, in sentences.

use crate::money::UsdSum;
use crate::report::Report;
use crate::report::amounts::exact;

impl Report {
    /// Says in sentences what the figures do not know.
    pub(super) fn caveats(&self) -> Vec<String> {
        let (total, known) = (self.total(), &self.total().coverage);
        let mut caveats = vec![format!(
            "Priced exactly: {} of {} calls; in part: {}; not at all: {}.",
            known.priced, total.calls, known.partial, known.unpriced,
        )];
        match total.at_most() {
            Some(most) if most != total.cost => caveats.push(format!(
                "The cost is at least {} USD and at most {most} USD.",
                total.cost
            )),
            Some(_) => {}
            None => caveats.push(format!(
                "The cost is at least {} USD; there is no upper bound for {} calls.",
                total.cost,
                known.unpriced + known.unbounded
            )),
        }
        if known.single_source > UsdSum::ZERO {
            caveats.push(format!(
                "Of the known cost, {} USD rest on prices that only one source knows.",
                known.single_source
            ));
        }
        caveats.push(format!(
            "Baseline and savings cover {} of {} calls: those with an exact cost and a baseline.",
            known.compared, total.calls
        ));
        if known.without_usage > 0 {
            caveats.push(format!(
                "Tokens leave out {} calls without counts.",
                known.without_usage
            ));
        }
        if self.evicted.calls > 0 {
            let bound = if exact(&self.evicted) { "" } else { "at least " };
            caveats.push(format!(
                "Left out: {} older calls for {bound}{} USD, of which the ledger kept only the sum.",
                self.evicted.calls, self.evicted.cost
            ));
        }
        if self.bad_lines > 0 {
            caveats.push(format!(
                "Left out: {} lines of the ledger that are damaged; what was in them is not known.",
                self.bad_lines
            ));
        }
        caveats
    }
}
