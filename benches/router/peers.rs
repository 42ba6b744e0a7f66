//! Routers that learn nothing, as scores: whatever a line drawn through them could do.

use std::io::Write;

use futures_util::FutureExt;
use thrifty::router::{Curve, HeuristicRouter, RouteRequest, Router, Score, TokenCountRouter};

use crate::data::Set;

/// How many points of the heuristic router a prompt has.
#[derive(Debug)]
struct Points;

impl Score for Points {
    fn score(&self, request: &RouteRequest<'_>) -> Option<f32> {
        let strong_from = |points: &u32| {
            let router =
                HeuristicRouter::new("cheap", request.requested_model().clone()).with_threshold(*points);
            let route = router.route(request).now_or_never().unwrap().unwrap();
            route.model() == Some(request.requested_model())
        };
        Some((1..=9).filter(strong_from).count() as f32)
    }
}

/// What the token-count router goes by.
#[derive(Debug)]
struct Tokens;

impl Score for Tokens {
    fn score(&self, request: &RouteRequest<'_>) -> Option<f32> {
        Some(request.input_tokens().tokens as f32)
    }
}

/// Prints what routers without training do on all rows, with intervals.
pub(crate) fn print_table(set: &Set) {
    let heuristic = HeuristicRouter::new(set.cheap, set.strong);
    let by_tokens = TokenCountRouter::new(set.cheap, set.strong);
    let evaluation = set.evaluator().read(&set.labelled).unwrap();
    let evaluation = evaluation
        .with_score("heuristic", &Points)
        .unwrap()
        .with_score("token count", &Tokens)
        .unwrap();
    let evaluation = evaluation
        .with_router("heuristic, 3", &heuristic)
        .now_or_never()
        .unwrap()
        .unwrap();
    let evaluation = evaluation
        .with_router("tokens, 2,000", &by_tokens)
        .now_or_never()
        .unwrap()
        .unwrap();
    println!("{}\n{evaluation}", set.name);
    let _ = std::io::stdout().flush();
}

/// Returns the APGR of the peers on these rows, for a goal's line.
pub(crate) fn apgr(set: &Set, of: &[usize]) -> String {
    let evaluation = set.evaluator().with_draws(0).read(&set.rows(of)).unwrap();
    let by = |score: &dyn Score| {
        Curve::of(&evaluation.held_out(score).unwrap())
            .unwrap()
            .apgr()
            .unwrap()
    };
    let length = Curve::of(&set.scored(of, |prompt| prompt.len() as f32)).unwrap();
    let oracle: Vec<_> = set
        .scored(of, |_| 0.0)
        .into_iter()
        .map(|mut row| {
            row.score = row.strong.quality.get() - row.cheap.quality.get();
            row
        })
        .collect();
    format!(
        "coin 0.500, heuristic {:.3}, length {:.3}, oracle {:.3}",
        by(&Points),
        length.apgr().unwrap(),
        Curve::of(&oracle).unwrap().apgr().unwrap()
    )
}
