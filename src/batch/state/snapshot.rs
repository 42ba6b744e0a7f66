//! The records from which the same follows as from all that was appended.

use std::sync::Arc;

use super::{Flush, Phase, Place, Request, Row, State};
use crate::batch::error::BatchError;
use crate::batch::store::{Content, FlushId, Record, StoredRequest, Verdict};
use crate::clock::Timestamp;

impl State {
    /// Returns the records, one by one, so that a million of them need no memory.
    pub(in crate::batch) fn snapshot(&self) -> impl Iterator<Item = Record> + '_ {
        let buffered = self.lanes.iter().flat_map(|lane| lane.buffer.iter(&self.rows));
        let buffered = buffered.map(|(row, _)| row);
        let elsewhere = |request: &Request| request.place() != Place::Buffered;
        let others = self.rows.iter().filter(move |(_, request)| elsewhere(request));
        // The order in the buffers is that of the records.
        let rows = buffered.chain(others.map(|(row, _)| row));
        let enqueued = rows.filter_map(|row| self.enqueued_record(row));
        let requests = self.rows.iter();
        let tried = requests
            .filter(|(_, request)| request.attempts() > 0)
            .map(|(_, request)| Record::Requeued {
                id: request.id(),
                attempts: request.attempts(),
            });
        let sent = self.rescue.keys().filter_map(|row| self.rows.get(*row));
        let sent = sent.map(|request| Record::SendIntended { id: request.id() });
        let flushes = self
            .flushes
            .iter()
            .flat_map(|(id, flush)| self.flush_records(id, flush));
        let settled = self.rows.iter().filter(|(_, request)| request.is_settled());
        let settled = settled.flat_map(|(row, request)| self.settled_records(row, request));
        enqueued.chain(tried).chain(sent).chain(flushes).chain(settled)
    }

    fn enqueued_record(&self, row: Row) -> Option<Record> {
        let request = self.rows.get(row)?;
        let lane = self.lanes.get(request.lane as usize)?;
        let extra = self.extras.get(&row);
        Some(Record::Enqueued(StoredRequest {
            id: request.id(),
            endpoint: lane.endpoint.clone(),
            model: lane.model.clone(),
            line: Content::Stored(request.line),
            inputs: request.inputs,
            attribution: extra.map(|extra| extra.attribution.clone()).unwrap_or_default(),
            deadline: extra.and_then(|extra| extra.deadline),
            key: extra.and_then(|extra| extra.key.clone()),
        }))
    }

    fn flush_records(&self, id: &FlushId, flush: &Flush) -> Vec<Record> {
        let rows = self.lines_of(id).flatten();
        let lines = rows
            .filter_map(|row| self.rows.get(row))
            .map(Request::id)
            .collect();
        let mut records = vec![Record::Sealed {
            flush: id.clone(),
            lines,
        }];
        let intended = Record::UploadIntended {
            flush: id.clone(),
            without: Vec::new(),
        };
        records.extend((0..flush.uploads).map(|_| intended.clone()));
        let created = |file_id: &Arc<str>, at| Record::CreateIntended {
            flush: id.clone(),
            input_file_id: file_id.clone(),
            at,
        };
        match &flush.phase {
            // Else its last upload would be looked for.
            Phase::Sealed if flush.uploads > 0 => records.push(Record::CreateAbandoned { flush: id.clone() }),
            Phase::Sealed | Phase::Uploading => {}
            Phase::Uploaded { file_id } => records.push(Record::Uploaded {
                flush: id.clone(),
                input_file_id: file_id.clone(),
            }),
            Phase::Creating { file_id, at } => records.push(created(file_id, *at)),
            Phase::Submitted { batch_id, file_id } => records.extend([
                created(file_id, Timestamp::from_unix_millis(0)),
                Record::Submitted {
                    flush: id.clone(),
                    batch_id: batch_id.clone(),
                },
            ]),
        }
        records
    }

    fn settled_records(&self, row: Row, request: &Request) -> Vec<Record> {
        let id = request.id();
        if let Some(verdict) = self.verdicts.get(&row) {
            let verdict = verdict.clone();
            return vec![Record::Settled { id, verdict }];
        }
        // Nobody needs its outcome; its batch may have billed it.
        let verdict = Verdict::of(&Err(BatchError::Cancelled));
        let acknowledged = Record::Acknowledged {
            id,
            line: Content::Stored(request.line),
            answer: None,
        };
        vec![Record::Settled { id, verdict }, acknowledged]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::attribution::Attribution;
    use crate::batch::store::Extent;
    use crate::endpoint::Endpoint;
    use crate::id::RequestId;
    use crate::model::ModelId;

    fn id(n: u8) -> RequestId {
        RequestId::from_bytes([n; 16])
    }

    fn record(kind: u8, n: u8) -> Record {
        let flush = FlushId::new(format!("F{}", n % 3));
        match kind {
            0..4 => Record::Enqueued(StoredRequest {
                id: id(n),
                endpoint: Endpoint::ChatCompletions,
                model: ModelId::new(["a", "b"][usize::from(n % 2)]),
                line: Content::Stored(Extent::new(0, n.into(), 1, 2)),
                inputs: 0,
                attribution: Attribution::default(),
                deadline: n.is_multiple_of(5).then(|| Timestamp::from_unix_millis(n.into())),
                key: None,
            }),
            4 | 5 => Record::Sealed {
                flush,
                lines: (n..n.saturating_add(4)).map(id).collect(),
            },
            6 => Record::UploadIntended {
                flush,
                without: vec![id(n)],
            },
            7 => Record::Uploaded {
                flush,
                input_file_id: "f".into(),
            },
            8 => Record::CreateIntended {
                flush,
                input_file_id: "f".into(),
                at: Timestamp::from_unix_millis(0),
            },
            9 => Record::Submitted {
                flush,
                batch_id: "b".into(),
            },
            10 => Record::Requeued {
                id: id(n),
                attempts: 2,
            },
            11 => Record::Settled {
                id: id(n),
                verdict: Verdict::of(&Err(BatchError::Unreported { batch_id: None })),
            },
            12 => Record::Released { id: id(n) },
            13 => Record::Acknowledged {
                id: id(n),
                line: Content::Stored(Extent::new(0, n.into(), 1, 2)),
                answer: None,
            },
            14 => Record::SendIntended { id: id(n) },
            15 => Record::SendOver { id: id(n) },
            _ => Record::Closed { flush },
        }
    }

    proptest! {
        #[test]
        fn a_snapshot_folds_to_the_same_state(steps in proptest::collection::vec((0_u8..17, 0_u8..20), 0..80)) {
            let mut state = State::default();
            for (kind, n) in steps {
                // Nobody acknowledges what is not settled.
                let settled = state.find(id(n)).and_then(|row| state.get(row)).is_some_and(Request::is_settled);
                if kind != 13 || settled {
                    state.apply(&record(kind, n));
                }
            }
            state.take_back_what_is_nowhere();
            let records: Vec<_> = state.snapshot().collect();
            let mut again = State::default();
            for record in &records {
                again.apply(record);
            }
            again.take_back_what_is_nowhere();
            let mut once_more: Vec<_> = again.snapshot().collect();
            let mut records = records;
            // Rows are in another order.
            let key = |record: &Record| format!("{record:?}");
            records.sort_by_cached_key(key);
            once_more.sort_by_cached_key(key);
            prop_assert_eq!(records, once_more);
            let pending = |state: &State| state.pending().into_iter().collect::<std::collections::BTreeSet<_>>();
            prop_assert_eq!(pending(&state), pending(&again));
            let own = |state: &State| (state.progress().buffered, state.progress().uploading, state.progress().in_flight);
            prop_assert_eq!(own(&state), own(&again));
        }
    }
}
