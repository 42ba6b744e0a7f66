//! What was rated, kept for training: a directory of segments.

use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::heads::{Lesson, Outcome};
use super::ratings::by_operation;
use super::record::Record;
use super::{LearnError, Model, Trainer};
use crate::clock::{Clock, SystemClock};
use crate::model::ModelId;
use crate::storage::{
    self, Damage, Disk, Format, LineReader, Next, SegmentWriter, State, StdDisk, io_error, recover, sync_dirs,
};

const FORMAT: Format = Format {
    key: "thrifty_training",
    version: 1,
};

/// What a router learned of rated calls, in a directory of its own: for each rating the hashed words of the prompt, two
/// dozen numbers about its shape, the model, the quality, and how probable it was that this model would be asked.
///
/// It never has text. A hash has 16 bits, and many words share one; but who has the log can test whether a word may stand
/// in a prompt. Keep it as private as the prompts' subjects are. On Unix only its owner can read it.
///
/// A rating takes about 1 kB for a prompt of 500 bytes. What was written survives the end of the process, and after
/// [`sync`](Self::sync) a loss of power. Several processes may write to one directory. Clones write to the same log.
///
/// # Examples
/// ```
/// use thrifty::router::TrainingLog;
///
/// # let dir = tempfile::tempdir()?;
/// # let dir = dir.path();
/// let log = TrainingLog::open(dir.join("training"))?;
/// assert_eq!(log.report()?.ratings, 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct TrainingLog(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    torn: Vec<(PathBuf, u64)>,
    writer: Mutex<Option<SegmentWriter>>,
}

/// What is in a training log, and what was lost of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct LogReport {
    /// How many ratings can be read.
    pub ratings: u64,
    /// How many lines are damaged or make no sense; they are passed over.
    pub damaged: u64,
    /// The ends that were cut off when the log was opened, as a crash leaves them: where each is kept, and its bytes.
    pub torn: Vec<(PathBuf, u64)>,
}

impl TrainingLog {
    /// Opens the directory, or makes it. Torn ends of segments are moved to `quarantine` in it, and
    /// [reported](Self::report).
    ///
    /// # Errors
    /// If the disk fails, a file in it is something else, or was written by a newer version of this crate.
    pub fn open(dir: impl AsRef<Path>) -> Result<Self, LearnError> {
        Self::open_on(Arc::new(StdDisk), dir.as_ref())
    }

    pub(super) fn open_on(disk: Arc<dyn Disk>, dir: &Path) -> Result<Self, LearnError> {
        let above = storage::new_levels(&*disk, dir);
        disk.create_dir_all(dir).map_err(io_error("create", dir))?;
        sync_dirs(&*disk, dir, dir.ancestors().take(above + 1))?;
        let mut torn = Vec::new();
        for segment in segments(&*disk, dir)? {
            let state = recover(
                &*disk,
                &segment,
                &dir.join("quarantine"),
                FORMAT,
                Damage::PassOver,
            )?;
            let (State::Gone { tail } | State::Whole { tail, .. }) = state else {
                continue;
            };
            torn.extend(tail.map(|tail| (tail.kept_in, tail.bytes)));
        }
        Ok(Self(Arc::new(Shared {
            disk,
            dir: dir.to_owned(),
            torn,
            writer: Mutex::new(None),
        })))
    }

    fn writer(&self) -> MutexGuard<'_, Option<SegmentWriter>> {
        self.0.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends a rating. The first of a process begins a segment.
    pub(super) fn append(&self, record: &Record) -> Result<(), LearnError> {
        let mut writer = self.writer();
        // A segment that broke in the middle of a line takes no more.
        if writer.as_ref().is_some_and(SegmentWriter::is_broken) {
            *writer = None;
        }
        if writer.is_none() {
            let disk = Arc::clone(&self.0.disk);
            *writer = Some(SegmentWriter::create(
                disk,
                &self.0.dir,
                FORMAT,
                SystemClock.now(),
            )?);
        }
        match writer.as_mut() {
            Some(writer) => Ok(writer.append(&mut record.encode())?),
            None => Ok(()),
        }
    }

    /// Makes what was written survive a loss of power. It waits for the disk: call it off the async threads.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn sync(&self) -> Result<(), LearnError> {
        let open = self
            .writer()
            .as_ref()
            .map(|writer| (writer.file(), writer.path().to_owned()));
        if let Some((file, path)) = open {
            file.sync().map_err(io_error("sync", &path))?;
        }
        Ok(sync_dirs(&*self.0.disk, &self.0.dir, [&*self.0.dir])?)
    }

    /// Counts what is there. It reads the whole log.
    ///
    /// # Errors
    /// If the disk fails, or a file is something else.
    pub fn report(&self) -> Result<LogReport, LearnError> {
        let mut report = LogReport {
            torn: self.0.torn.clone(),
            ..LogReport::default()
        };
        report.damaged = self.read(|_| report.ratings += 1)?;
        Ok(report)
    }

    /// Trains a model on all that was rated; of two ratings of one answer the later one counts.
    ///
    /// Ratings of models that are no candidates are passed over. A rating counts the more, the less probable it was that
    /// its model would be asked, up to ten times: or what the router seldom chose would hardly be learned.
    ///
    /// # Errors
    /// As [`Trainer::train`], and if the log cannot be read.
    pub fn train(&self, trainer: &Trainer) -> Result<Model, LearnError> {
        trainer.train_on(&self.lessons(trainer.candidates())?)
    }

    pub(super) fn lessons(&self, candidates: &[ModelId]) -> Result<Vec<Lesson>, LearnError> {
        let mut records = Vec::new();
        self.read(|record| records.push(record))?;
        let rows = by_operation(records, |record| outcome(record, candidates));
        Ok(rows.into_iter().map(|(lesson, _)| lesson).collect())
    }

    /// Reads all segments, and returns how many lines were passed over.
    fn read(&self, mut each: impl FnMut(Record)) -> Result<u64, LearnError> {
        let (disk, mut damaged) = (&*self.0.disk, 0);
        for segment in segments(disk, &self.0.dir)? {
            let input = disk.read(&segment, 0).map_err(io_error("open", &segment))?;
            damaged += read_segment(BufReader::new(input), &segment, &mut each)?;
        }
        Ok(damaged)
    }
}

/// Reads a segment, and returns how many lines were passed over. A torn end may be one that is being written.
pub(super) fn read_segment(
    input: impl std::io::BufRead,
    path: &Path,
    mut each: impl FnMut(Record),
) -> Result<u64, LearnError> {
    let (mut reader, mut damaged) = (LineReader::new(input), 0);
    loop {
        let first = reader.position().lines == 0;
        match reader.next().map_err(io_error("read", path))? {
            Next::Line(line) if first => FORMAT.check_header(path, line)?,
            Next::Line(line) => {
                let object = [storage::content(line), b"}"].concat();
                match Record::decode(&object) {
                    Some(record) => each(record),
                    None => damaged += 1,
                }
            }
            Next::End | Next::Torn(_) => return Ok(damaged),
            Next::Bad(_) => {
                if first {
                    FORMAT.check_header(path, reader.line())?;
                }
                damaged += 1;
                reader.skip();
            }
        }
    }
}

/// How much a rating counts at most.
const HEAVIEST: f32 = 10.0;

/// Returns what a record teaches these candidates.
pub(super) fn outcome(record: &Record, candidates: &[ModelId]) -> Option<Outcome> {
    Some(Outcome {
        head: candidates
            .iter()
            .position(|candidate| *candidate == record.model)?,
        quality: record.quality,
        weight: (1.0 / record.propensity.unwrap_or(1.0)).min(HEAVIEST),
    })
}

fn segments(disk: &dyn Disk, dir: &Path) -> Result<Vec<PathBuf>, LearnError> {
    let mut found = disk.list(dir).map_err(io_error("list", dir))?;
    found.retain(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::record;
    use super::super::tests::{FULL, MINI};
    use super::*;
    use crate::storage::{FaultyDisk, MemoryDisk};

    const DIR: &str = "/costs/training";

    fn open(disk: &MemoryDisk) -> TrainingLog {
        TrainingLog::open_on(Arc::new(disk.clone()), Path::new(DIR)).unwrap()
    }

    fn segment(disk: &MemoryDisk) -> PathBuf {
        segments(disk, Path::new(DIR)).unwrap().remove(0)
    }

    fn kept(log: &TrainingLog) -> Vec<Record> {
        let mut records = Vec::new();
        log.read(|record| records.push(record)).unwrap();
        records
    }

    #[test]
    fn what_was_rated_reads_back_in_another_process() {
        let disk = MemoryDisk::default();
        let records = [record(1, "Hi", MINI, 0.5), record(2, "Prove it", FULL, 1.0)];
        let log = open(&disk);
        for record in &records {
            log.append(record).unwrap();
        }
        log.sync().unwrap();
        drop(log);
        disk.lose_power(0);
        let log = open(&disk);
        log.append(&record(3, "Ho", MINI, 0.0)).unwrap();
        assert_eq!(kept(&log)[..2], records);
        let report = log.report().unwrap();
        assert_eq!((report.ratings, report.damaged, report.torn.len()), (3, 0, 0));
    }

    #[test]
    fn a_torn_end_is_put_aside_and_reported_and_a_damaged_line_passed_over() {
        let disk = MemoryDisk::default();
        let log = open(&disk);
        for number in 0..3 {
            log.append(&record(number, "Hi", MINI, 0.5)).unwrap();
        }
        drop(log);
        disk.kill();
        let path = segment(&disk);
        let whole = disk.get(&path);
        disk.put(&path, &whole[..whole.len() - 7]);
        let log = open(&disk);
        let report = log.report().unwrap();
        assert_eq!((report.ratings, report.damaged, report.torn.len()), (2, 0, 1));
        assert!(report.torn[0].0.starts_with("/costs/training/quarantine"));
        drop(log);
        let mut bad = whole.clone();
        let second = whole.iter().position(|byte| *byte == b'\n').unwrap() + 30;
        bad[second] ^= 1;
        disk.put(&path, &bad);
        let report = open(&disk).report().unwrap();
        assert_eq!((report.ratings, report.damaged, report.torn.len()), (2, 1, 0));
    }

    #[test]
    fn a_newer_log_and_a_foreign_file_are_refused() {
        let disk = MemoryDisk::default();
        disk.put(
            &Path::new(DIR).join("1.jsonl"),
            b"{\"thrifty_training\":2,\"crc\":\"00000000\"}\n",
        );
        let error = TrainingLog::open_on(Arc::new(disk), Path::new(DIR)).unwrap_err();
        assert!(
            matches!(
                error,
                LearnError::NewerFormat {
                    found: 2,
                    known: 1,
                    ..
                }
            ),
            "{error}"
        );
        let disk = MemoryDisk::default();
        disk.put(&Path::new(DIR).join("1.jsonl"), b"{\"prompt\":\"Hi\"}\n{}\n");
        let error = TrainingLog::open_on(Arc::new(disk), Path::new(DIR)).unwrap_err();
        assert!(matches!(error, LearnError::Foreign { .. }), "{error}");
    }

    #[test]
    fn a_full_disk_loses_the_rating_and_nothing_before_or_after_it() {
        let (dir, disk) = (tempfile::tempdir().unwrap(), FaultyDisk::new());
        let log = TrainingLog::open_on(Arc::new(disk.clone()), dir.path()).unwrap();
        log.append(&record(1, "Hi", MINI, 0.5)).unwrap();
        disk.leave_room(40);
        let error = log.append(&record(2, "Hi", MINI, 0.5)).unwrap_err();
        assert!(matches!(error, LearnError::Io { .. }), "{error}");
        disk.leave_room(1 << 20);
        log.append(&record(3, "Hi", MINI, 0.5)).unwrap();
        let numbers: Vec<i64> = kept(&log)
            .iter()
            .map(|record| record.op_id.timestamp().as_unix_millis())
            .collect();
        assert_eq!(numbers, [1, 3]);
        assert_eq!(log.report().unwrap().damaged, 0);
    }

    #[test]
    fn a_model_is_trained_from_the_log_and_later_ratings_of_an_answer_count() {
        let disk = MemoryDisk::default();
        let log = open(&disk);
        for number in 0..400_i64 {
            let hard = number % 2 == 0;
            let text = if hard {
                "Prove that it is even"
            } else {
                "Translate it"
            };
            let wrong = record(number, text, MINI, 0.5);
            let right = Record {
                quality: f32::from(u8::from(!hard)),
                ..wrong.clone()
            };
            let strong = Record {
                model: FULL.into(),
                quality: f32::from(u8::from(number % 20 != 3)),
                ..right.clone()
            };
            let other = Record {
                model: "o3".into(),
                ..right.clone()
            };
            for record in [wrong, right, strong, other] {
                log.append(&record).unwrap();
            }
        }
        let model = log.train(&Trainer::new([MINI, FULL])).unwrap();
        let gain = |text| model.score_text(text);
        assert!(gain("Prove that it is odd") > 0.5 && gain("Translate this") < 0.2);
        let lessons = log.lessons(&[MINI.into(), FULL.into()]).unwrap();
        assert!(lessons.len() == 400 && lessons.iter().all(|lesson| lesson.outcomes.len() == 2));
        let error = open(&MemoryDisk::default())
            .train(&Trainer::new([MINI, FULL]))
            .unwrap_err();
        assert!(matches!(error, LearnError::TooFewLabels { labels: 0, .. }));
    }
}
