//! Answers that were lost with the power, or by a bad disk, after it was written that they had come.

use super::{Place, Rescue, Row, State};
use crate::batch::store::Verdict;

impl State {
    /// Takes settlements back whose answers are lost, if there may be another; returns the others.
    ///
    /// A batch can be read again, also one that is yet to answer what the faster lane has answered. An answer of the faster
    /// lane whose send has no end was never handed out: that send is lost.
    pub(in crate::batch) fn reopen(&mut self, rows: &[Row]) -> Vec<Row> {
        let mut lost = Vec::new();
        for row in rows {
            let Some(Verdict::Answered(answer)) = self.verdicts.get(row) else {
                continue;
            };
            let batch = answer.batch_id.as_deref();
            let flush = batch.and_then(|batch| self.flush_of_batch(batch));
            let Some(request) = self.rows.get(*row) else {
                continue;
            };
            let is_open = request.flags.open && matches!(request.place(), Place::InFlush(_));
            let was_sent = self.is_being_sent(*row);
            if let Some(flush) = flush {
                self.unsettle(*row);
                self.return_to(&flush, *row);
            } else if is_open || was_sent {
                self.unsettle(*row);
            } else {
                lost.push(*row);
            }
        }
        lost
    }

    /// Makes a request open again whose outcome nobody has seen.
    pub(super) fn unsettle(&mut self, row: Row) {
        let taken_back = |request: &&mut super::Request| request.is_settled() && !request.flags.acknowledged;
        let Some(request) = self.rows.get_mut(row).filter(taken_back) else {
            return;
        };
        request.flags.settled = false;
        self.verdicts.remove(&row);
        self.open += 1;
    }

    /// Forgets the sends of an earlier process of which the answer is there.
    pub(in crate::batch) fn end_answered_sends(&mut self) {
        for (row, _) in self.rescues_under_way() {
            if self.rows.get(row).is_some_and(super::Request::is_settled) {
                self.set_rescue(row, Rescue::NotYet);
                self.forget_if_over(row);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attribution::Attribution;
    use crate::batch::store::{Content, Extent, Record, StoredAnswer, StoredRequest};
    use crate::endpoint::Endpoint;
    use crate::id::RequestId;
    use crate::lane::Lane;
    use crate::model::ModelId;

    const ID: RequestId = RequestId::from_bytes([1; 16]);

    fn settled(file: u32) -> Record {
        Record::Settled {
            id: ID,
            verdict: Verdict::Answered(StoredAnswer {
                status: 200,
                body: Content::Stored(Extent::new(file, 0, 1, 2)),
                request_id: None,
                batch_id: None,
                lane: Lane::Standard,
                lost_attempts: 0,
            }),
        }
    }

    fn sent(then: &[Record]) -> (State, Row) {
        let mut state = State::default();
        state.apply(&Record::Enqueued(StoredRequest {
            id: ID,
            endpoint: Endpoint::ChatCompletions,
            model: ModelId::new("a"),
            line: Content::Stored(Extent::new(0, 0, 1, 2)),
            inputs: 0,
            attribution: Attribution::default(),
            deadline: None,
            key: None,
        }));
        state.apply(&Record::SendIntended { id: ID });
        for record in then {
            state.apply(record);
        }
        let row = state.find(ID).unwrap();
        (state, row)
    }

    fn file(state: &State, row: Row) -> Option<u32> {
        Some(state.verdict(row)?.body()?.extent()?.file)
    }

    #[test]
    fn only_an_answer_that_was_never_handed_out_is_asked_for_again() {
        let (mut state, row) = sent(&[settled(1)]);
        assert_eq!(state.reopen(&[row]), []);
        assert_eq!(state.pending(), [ID]);
        assert_eq!(state.rescues_under_way().len(), 1, "its send is told as lost");
        let (mut state, row) = sent(&[settled(1), Record::SendOver { id: ID }]);
        assert_eq!(state.reopen(&[row]), [row], "a bad disk took it later");
        assert_eq!(file(&state, row), Some(1));
    }

    #[test]
    fn what_came_after_a_lost_answer_counts() {
        let (over, back) = (
            Record::SendOver { id: ID },
            Record::Requeued { id: ID, attempts: 0 },
        );
        let (state, _) = sent(&[settled(1), back.clone(), over.clone()]);
        assert_eq!((state.pending(), state.progress().buffered), (vec![ID], 1));
        let again = [
            settled(1),
            back,
            over.clone(),
            Record::SendIntended { id: ID },
            settled(2),
            over,
        ];
        let (state, row) = sent(&again);
        assert_eq!((state.pending(), file(&state, row)), (vec![], Some(2)));
        assert!(state.is_idle());
    }

    #[test]
    fn a_send_whose_answer_is_there_is_over_after_a_restart() {
        let (mut state, row) = sent(&[settled(1)]);
        state.end_answered_sends();
        assert!(state.rescues_under_way().is_empty());
        assert_eq!(file(&state, row), Some(1));
    }
}
