//! What speaks for a lever, and the code to change.

use crate::report::amounts::{grouped, per_mille, percent};
use crate::report::next_saving::{Lever, Sum};

impl Sum {
    /// Returns evidence, and a line of code or what to do.
    pub(super) fn words(&self, lever: Lever) -> (String, String) {
        let totals = &self.totals;
        let (usage, calls) = (&totals.usage, grouped(&totals.calls.to_string()));
        let counted = totals.calls.saturating_sub(totals.coverage.without_usage);
        let each = |tokens: u64| tokens.checked_div(counted).unwrap_or(0);
        match lever {
            Lever::Wait => (
                format!("{calls} calls were sent at once; which of them could wait is not known"),
                ".within(Duration::from_secs(12 * 3_600))".into(),
            ),
            Lever::ProviderCache => {
                let share = per_mille(usage.cache_read_tokens, usage.input_tokens).unwrap_or(0);
                let average = each(usage.input_tokens);
                let same = match self.missed {
                    0 => "how much of it is the same is not known".to_owned(),
                    missed => format!(
                        "at least {} calls began like one of the last ten minutes and read nothing from it",
                        grouped(&missed.to_string())
                    ),
                };
                (
                    format!(
                        "{} input tokens a call, {} of them from the cache; {same}",
                        grouped(&average.to_string()),
                        percent(share)
                    ),
                    "put what never changes first; .prompt_cache_key(\"…\")".into(),
                )
            }
            Lever::Route => {
                let model = self.model.as_ref().map_or("…", |(_, model)| model.as_str());
                (
                    format!("a candidate: {calls} calls at the price of {model}, if its answers would do"),
                    format!(".with_router(HeuristicRouter::new(\"{model}\", /* what it asks for now */))"),
                )
            }
            Lever::SamePrefix => (
                format!(
                    "at least {calls} calls began like one of the last ten minutes, for 4,096 bytes, and read nothing from the cache"
                ),
                ".prompt_cache_key(\"…\"), the same for calls that begin alike".into(),
            ),
            Lever::Duplicates => (
                format!(
                    "at least {calls} calls asked exactly the same as another that was answered, samples on purpose included"
                ),
                "keep the answer by its request, or call with .key(\"…\")".into(),
            ),
            Lever::LongContext => (
                format!(
                    "at least {calls} calls whose input is on the average at most a tenth above the length from which each token \
                     costs more"
                ),
                "cut what is sent, such as older messages".into(),
            ),
            Lever::Priority => (
                format!("{calls} calls paid for the priority lane"),
                "leave out .service_tier(ServiceTier::Priority)".into(),
            ),
            Lever::Retries => (
                format!(
                    "{calls} calls took {} attempts; those that were lost may have been billed",
                    grouped(&totals.attempts.to_string())
                ),
                "raise the time limit of the transport, or ask for less output".into(),
            ),
            Lever::OutputLimit => (
                format!(
                    "at least {calls} calls allowed {} output tokens and used {}, on the average: unused limits cost \
                     nothing, but a budget would hold up to {} USD more for these calls, and rate limits count them",
                    grouped(&each(self.allowed).to_string()),
                    grouped(&each(usage.output_tokens).to_string()),
                    grouped(&format!("{:.2}", self.held))
                ),
                ".max_completion_tokens(…), nearer to what is used".into(),
            ),
        }
    }
}
