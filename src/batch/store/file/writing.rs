//! What is being written: the journal's segment, a file of lines for each lane, and one of answers.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;

use super::data::DataFile;
use super::journal::Journal;
use super::journal_line::{EnqueuedLine, JournalLine, LaneLine};
use super::layout::Layout;
use crate::batch::store::error::io_error;
use crate::batch::store::{Content, Extent, Record, StoreError, Verdict};
use crate::clock::Timestamp;
use crate::endpoint::Endpoint;
use crate::model::ModelId;

/// How large a file of lines or answers grows: what is acknowledged frees whole files only.
const ROLL: u64 = 64 << 20;

/// What is being written.
#[derive(Debug)]
pub(super) struct Writing {
    pub(super) layout: Layout,
    account: Option<Arc<str>>,
    pub(super) journal: Journal,
    pub(super) position: u64,
    lanes: HashMap<(Endpoint, ModelId), u32>,
    /// By number: what its files are named after, and whether the journal knows it.
    open_lanes: Vec<OpenLane>,
    answers: Option<DataFile>,
    /// Full, and not safe yet.
    retired: Vec<DataFile>,
    /// A number that no file has had of which the journal still says anything.
    next_file: u32,
    /// All files by number, and how many requests need each.
    pub(super) files: HashMap<u32, File>,
    /// Files that nobody needs, once what says so is safe.
    pub(super) removable: Vec<u32>,
    /// Files and how long they were when the journal was last written anew.
    pub(super) safe: HashMap<u32, u64>,
    /// How many files were begun here, and of how many of them the names are safe.
    pub(super) begun: u64,
    pub(super) safe_names: u64,
    /// A sync failed: what it should have kept has to be written again.
    distrusted: bool,
}

#[derive(Debug)]
struct OpenLane {
    line: LaneLine,
    is_journalled: bool,
    file: Option<DataFile>,
}

/// A file of lines or answers.
#[derive(Debug)]
pub(super) struct File {
    pub(super) path: PathBuf,
    /// How many requests need it.
    pub(super) needed_by: u64,
}

/// A file that is not safe, and up to where it will be after a sync.
pub(super) struct Unsafe {
    pub(super) number: u32,
    pub(super) path: PathBuf,
    pub(super) file: Arc<dyn crate::storage::DiskFile>,
    pub(super) bytes: u64,
}

/// Where the contents of one append go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Into {
    Lane(usize),
    Answers,
}

impl Writing {
    pub(super) fn new(
        layout: Layout,
        account: Option<Arc<str>>,
        journal: Journal,
        files: HashMap<u32, File>,
    ) -> Self {
        let next_file = files.keys().max().map_or(0, |last| last.saturating_add(1));
        Self {
            layout,
            account,
            journal,
            position: 0,
            lanes: HashMap::new(),
            open_lanes: Vec::new(),
            answers: None,
            retired: Vec::new(),
            next_file,
            files,
            removable: Vec::new(),
            safe: HashMap::new(),
            begun: 0,
            safe_names: 0,
            distrusted: false,
        }
    }

    /// Takes up a lane that the journal knows.
    pub(super) fn know_lane(&mut self, line: LaneLine) {
        while self.open_lanes.len() < line.lane as usize {
            // A number that the journal skips is no lane.
            let number = u32::try_from(self.open_lanes.len()).unwrap_or(u32::MAX);
            let none = LaneLine {
                lane: number,
                account: Some("".into()),
                ..line.clone()
            };
            self.open_lanes.push(OpenLane {
                line: none,
                is_journalled: true,
                file: None,
            });
        }
        if self.open_lanes.len() > line.lane as usize {
            return;
        }
        if line.account == self.account {
            self.lanes
                .insert((line.endpoint.clone(), line.model.clone()), line.lane);
        }
        self.open_lanes.push(OpenLane {
            line,
            is_journalled: true,
            file: None,
        });
    }

    /// Puts records at the end, all or none.
    pub(super) fn append(&mut self, records: &mut [Record], now: Timestamp) -> Result<(), StoreError> {
        if records.is_empty() {
            return Ok(());
        }
        self.write_again_if_distrusted(now)?;
        let mut begun = Vec::new();
        let mut taken = Vec::new();
        let written = self
            .place_all(records, &mut begun, &mut taken)
            .and_then(|()| self.write_contents(&begun))
            .and_then(|()| self.write_journal(records, now));
        if let Err(error) = written {
            self.take_back(&begun);
            give_back(records, taken);
            return Err(error);
        }
        self.position += 1;
        self.count(records);
        Ok(())
    }

    /// Decides where every content goes. `begun` gets the length that each file had, `taken` what the records had.
    fn place_all(
        &mut self,
        records: &mut [Record],
        begun: &mut Vec<(Into, u64)>,
        taken: &mut Vec<(usize, Bytes)>,
    ) -> Result<(), StoreError> {
        for (index, record) in records.iter_mut().enumerate() {
            let into = match record {
                Record::Enqueued(request) => Into::Lane(self.lane(&request.endpoint, &request.model)),
                _ => Into::Answers,
            };
            let Some(content) = content_of(record) else {
                continue;
            };
            let Content::Bytes(bytes) = &*content else {
                continue;
            };
            let extent = self.place(into, bytes, begun)?;
            let Content::Bytes(bytes) = std::mem::replace(content, Content::Stored(extent)) else {
                continue;
            };
            taken.push((index, bytes));
        }
        Ok(())
    }

    fn place(
        &mut self,
        into: Into,
        bytes: &Bytes,
        begun: &mut Vec<(Into, u64)>,
    ) -> Result<Extent, StoreError> {
        let len = u32::try_from(bytes.len())
            .map_err(|_| StoreError::new("a line or an answer has 4 GiB or more"))?;
        let is_begun = begun.iter().any(|(file, _)| *file == into);
        let file = self.file(into);
        let full = |file: &DataFile| {
            // What one append puts into a file must not be torn apart: it is taken back as a whole.
            let over = file.len() >= ROLL || file.len() + u64::from(len) >= u64::from(u32::MAX);
            file.is_broken() || (over && !is_begun)
        };
        if file.as_ref().is_none_or(full) {
            self.roll(into)?;
        }
        let Some(file) = self.file(into) else {
            return Err(StoreError::new("a file was begun and is not there"));
        };
        if !is_begun {
            begun.push((into, file.len()));
        }
        let offset = u32::try_from(file.gather(bytes)).map_err(|_| StoreError::new("a file is full"))?;
        if into == Into::Answers {
            // For a reader's eyes: bodies end where lines do.
            file.gather(b"\n");
        }
        Ok(Extent::new(file.number, offset, len, crc32c::crc32c(bytes)))
    }

    fn file(&mut self, into: Into) -> &mut Option<DataFile> {
        match into {
            Into::Lane(lane) if lane < self.open_lanes.len() => match self.open_lanes.get_mut(lane) {
                Some(lane) => &mut lane.file,
                None => &mut self.answers,
            },
            _ => &mut self.answers,
        }
    }

    fn roll(&mut self, into: Into) -> Result<(), StoreError> {
        let number = self.next_file;
        let next = number.checked_add(1);
        self.next_file = next.ok_or_else(|| StoreError::new("there is no number left for another file"))?;
        let path = match into {
            Into::Lane(lane) => self
                .layout
                .lines_file(u32::try_from(lane).unwrap_or(u32::MAX), number),
            Into::Answers => self.layout.answers_file(number),
        };
        let new = DataFile::create(self.layout.disk(), number, path.clone())?;
        self.begun += 1;
        self.files.insert(number, File { path, needed_by: 0 });
        if let Some(old) = self.file(into).replace(new) {
            if self
                .files
                .get(&old.number)
                .is_some_and(|file| file.needed_by == 0)
            {
                self.removable.push(old.number);
            }
            if !old.is_synced() {
                self.retired.push(old);
            }
        }
        Ok(())
    }

    /// Takes note of a number that the journal names: what is said of its file must not be taken for said of a new one.
    pub(super) fn has_named(&mut self, number: u32) {
        self.next_file = self.next_file.max(number.saturating_add(1));
    }

    fn lane(&mut self, endpoint: &Endpoint, model: &ModelId) -> usize {
        let key = (endpoint.clone(), model.clone());
        if let Some(lane) = self.lanes.get(&key) {
            return *lane as usize;
        }
        let lane = self.open_lanes.len();
        let number = u32::try_from(lane).unwrap_or(u32::MAX);
        self.lanes.insert(key, number);
        let described = LaneLine {
            lane: number,
            endpoint: endpoint.clone(),
            model: model.clone(),
            account: self.account.clone(),
        };
        self.open_lanes.push(OpenLane {
            line: described,
            is_journalled: false,
            file: None,
        });
        lane
    }

    fn write_contents(&mut self, begun: &[(Into, u64)]) -> Result<(), StoreError> {
        for (into, from) in begun {
            if let Some(file) = self.file(*into) {
                file.write(*from)?;
            }
        }
        Ok(())
    }

    fn take_back(&mut self, begun: &[(Into, u64)]) {
        let disk = self.layout.shared_disk();
        for (into, len) in begun {
            if let Some(file) = self.file(*into) {
                file.take_back(&*disk, *len);
            }
        }
    }

    fn write_journal(&mut self, records: &[Record], now: Timestamp) -> Result<(), StoreError> {
        let mut json = JournalLine::default();
        let enqueued = records.iter().map(|record| match record {
            Record::Enqueued(request) => Some(request),
            _ => None,
        });
        // What was only enqueued together has a form of its own, which is half as long.
        if let Some(enqueued) = enqueued.collect::<Option<Vec<_>>>() {
            for request in enqueued {
                let lane = self.lane(&request.endpoint, &request.model);
                let number = u32::try_from(lane).unwrap_or(u32::MAX);
                json.enqueued.push(EnqueuedLine::of(request, number));
            }
        } else {
            json.records = Cow::Borrowed(records);
        }
        let new = self.open_lanes.iter().filter(|lane| !lane.is_journalled);
        json.lanes = new.map(|lane| lane.line.clone()).collect();
        self.journal.append(&self.layout, &json, now)?;
        if !json.lanes.is_empty() {
            self.open_lanes
                .iter_mut()
                .for_each(|lane| lane.is_journalled = true);
        }
        Ok(())
    }

    fn open_files(&self) -> impl Iterator<Item = &DataFile> {
        let lanes = self.open_lanes.iter().filter_map(|lane| lane.file.as_ref());
        lanes.chain(&self.answers)
    }

    pub(super) fn is_open(&self, number: u32) -> bool {
        self.open_files().any(|file| file.number == number)
    }

    /// Returns the files that have something to sync.
    pub(super) fn not_safe(&self) -> Vec<Unsafe> {
        let files = self.open_files().chain(&self.retired);
        let not_safe = files.filter(|file| !file.is_synced());
        let not_safe = not_safe.map(|file| Unsafe {
            number: file.number,
            path: file.path.clone(),
            file: file.handle(),
            bytes: file.len(),
        });
        not_safe.collect()
    }

    fn files_mut(&mut self) -> impl Iterator<Item = &mut DataFile> {
        let lanes = self.open_lanes.iter_mut().filter_map(|lane| lane.file.as_mut());
        lanes.chain(&mut self.answers).chain(&mut self.retired)
    }

    pub(super) fn is_safe(&mut self, synced: &[Unsafe]) {
        for file in self.files_mut() {
            if let Some(own) = synced.iter().find(|own| own.number == file.number) {
                file.set_synced(own.bytes);
            }
        }
        self.retired.retain(|file| !file.is_synced());
    }

    pub(super) const fn distrust(&mut self) {
        self.distrusted = true;
    }

    /// Writes anew what a sync that failed may have lost.
    pub(super) fn write_again_if_distrusted(&mut self, now: Timestamp) -> Result<(), StoreError> {
        if !self.distrusted {
            return Ok(());
        }
        let disk = self.layout.shared_disk();
        for file in self.files_mut() {
            if !file.is_synced() {
                file.write_again(&*disk)?;
            }
        }
        self.journal.write_again(&self.layout, now)?;
        self.distrusted = false;
        Ok(())
    }

    /// Writes the journal anew, from a snapshot of what it says.
    pub(super) fn replace(
        &mut self,
        snapshot: &mut dyn Iterator<Item = Record>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.write_again_if_distrusted(now)?;
        let not_safe = self.not_safe();
        for file in &not_safe {
            let synced = file.file.sync().map_err(io_error("sync", &file.path));
            synced.inspect_err(|_| self.distrusted = true)?;
        }
        self.is_safe(&not_safe);
        if self.safe_names < self.begun {
            self.layout.sync_data_dirs()?;
            self.safe_names = self.begun;
        }
        let mut begin = JournalLine::default();
        begin
            .lanes
            .extend(self.open_lanes.iter().map(|lane| lane.line.clone()));
        // What is of another account by now is settled, and needs no lane of its own.
        begin.lanes.sort_by_key(|lane| lane.account != self.account);
        for (number, file) in self.files.iter().filter(|(_, file)| file.needed_by > 0) {
            let len = self
                .layout
                .disk()
                .size(&file.path)
                .map_err(io_error("look at", &file.path))?;
            begin.files.push((*number, len));
        }
        self.journal.replace(&self.layout, begin, snapshot, now)?;
        self.open_lanes
            .iter_mut()
            .for_each(|lane| lane.is_journalled = true);
        Ok(())
    }
}

/// Returns the content that a record brings, if it brings one.
fn content_of(record: &mut Record) -> Option<&mut Content> {
    match record {
        Record::Enqueued(request) => Some(&mut request.line),
        Record::Settled {
            verdict: Verdict::Answered(answer),
            ..
        } => Some(&mut answer.body),
        _ => None,
    }
}

/// Makes records what they were before they were placed.
fn give_back(records: &mut [Record], taken: Vec<(usize, Bytes)>) {
    for (index, bytes) in taken {
        if let Some(content) = records.get_mut(index).and_then(content_of) {
            *content = Content::Bytes(bytes);
        }
    }
}
