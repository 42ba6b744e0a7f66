//! The words that weighed most.

use super::super::RouteRequest;
use super::Model;
use super::features::Subject;
use crate::model::ModelId;

/// How many words an explanation names at most.
const MOST: usize = 10;

/// A word of a prompt, or a pair of words, and what it weighed.
///
/// It quotes the prompt: do not store it where prompts must not be.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Word {
    /// The word or pair, as it stands in the prompt the first time.
    pub text: String,
    /// What it adds to the log-odds of a good answer from the best dearer candidate, over those from the cheapest.
    pub weight: f32,
}

impl Model {
    /// Names the words that weighed most, for or against a dearer model; empty if the request has no text.
    ///
    /// The weights are exact: log-odds are a sum over words, pairs of words and the numbers of a text's shape. A word that
    /// shares its hash with one before it is counted as that one.
    pub fn explain(&self, request: &RouteRequest<'_>) -> Vec<Word> {
        let Some(subject) = Subject::of_request(request) else {
            return Vec::new();
        };
        let judged = self.judge(&subject);
        let dearer = judged.iter().take(self.candidates().len()).enumerate().skip(1);
        let best = dearer
            .max_by(|one, other| one.1.total_cmp(other.1))
            .map_or(0, |(head, _)| head);
        let mut places = Vec::new();
        subject.read(|bucket, place| places.push((bucket, place)));
        let seen = places.len();
        let mut words: Vec<Word> = places
            .into_iter()
            .map(|(bucket, place)| {
                let adds = self.heads().contribution(bucket, seen);
                let [cheap, dear] = [0, best].map(|head| adds.get(head).copied().unwrap_or(0.0));
                Word {
                    text: subject.text().get(place).unwrap_or_default().to_owned(),
                    weight: dear - cheap,
                }
            })
            .collect();
        words.sort_by(|one, other| other.weight.abs().total_cmp(&one.weight.abs()));
        words.truncate(MOST);
        words
    }
}

/// Pairs each candidate with what it was judged.
pub(super) fn judged(candidates: &[ModelId], judged: &[f32]) -> Vec<super::super::Judged> {
    let pairs = candidates.iter().zip(judged);
    pairs
        .map(|(model, probability)| super::super::Judged {
            model: model.clone(),
            probability: *probability,
        })
        .collect()
}
