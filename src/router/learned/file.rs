//! A model as a file.
//!
//! `thrifty-model\n`, or `thrifty-answers\n` for one that judges answers, then as little-endian numbers: the format (u32), the length of what comes next (u32), the candidates
//! (a JSON list), the weights and their steps (f32), and the CRC-32C of all before it (u32).

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::heads::{ANSWER_SHAPES, Heads, Kind, MOST_HEADS};
use super::text::BUCKETS;
use super::{LearnError, Model, trainer};
use crate::model::ModelId;
use crate::storage::{Disk, io_error, replace};

const FORMAT: u32 = 1;

/// The longest list of names that is read. Names are short; this keeps a damaged length from filling the memory.
const LONGEST_NAMES: u64 = 64 << 10;

/// The longest file that can be a model.
const LONGEST: u64 = ((BUCKETS + ANSWER_SHAPES) * MOST_HEADS * 8) as u64 + LONGEST_NAMES + 64;

static SAVED_BY_THIS_PROCESS: AtomicU64 = AtomicU64::new(0);

/// Returns the CRC-32C with which the model's file ends, which is its version.
pub(super) fn checksum(model: &Model) -> u32 {
    let mut crc = crc32c::crc32c(&head(model));
    let mut chunk = Vec::with_capacity(4 << 10);
    for part in model.heads().parts() {
        for numbers in part.chunks(1 << 10) {
            chunk.clear();
            chunk.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
            crc = crc32c::crc32c_append(crc, &chunk);
        }
    }
    crc
}

const fn magic(kind: Kind) -> &'static [u8] {
    match kind {
        Kind::Prompts => b"thrifty-model\n",
        Kind::Answers => b"thrifty-answers\n",
    }
}

fn head(model: &Model) -> Vec<u8> {
    let names = serde_json::to_vec(model.candidates()).unwrap_or_default();
    let mut head = magic(model.heads().kind).to_vec();
    head.extend_from_slice(&FORMAT.to_le_bytes());
    head.extend_from_slice(&u32::try_from(names.len()).unwrap_or(u32::MAX).to_le_bytes());
    head.extend_from_slice(&names);
    head
}

fn encode(model: &Model) -> Vec<u8> {
    let mut bytes = head(model);
    for part in model.heads().parts() {
        bytes.extend(part.iter().flat_map(|number| number.to_le_bytes()));
    }
    bytes.extend_from_slice(&model.version().to_le_bytes());
    bytes
}

pub(super) fn save(model: &Model, disk: &dyn Disk, path: &Path) -> Result<(), LearnError> {
    // Two that save at the same time must not write into the same file.
    let count = SAVED_BY_THIS_PROCESS.fetch_add(1, Ordering::Relaxed);
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}-{count}.new", std::process::id()));
    Ok(replace(disk, &path.with_file_name(name), path, &encode(model))?)
}

pub(super) fn load(kind: Kind, disk: &dyn Disk, path: &Path) -> Result<Model, LearnError> {
    let input = disk.read(path, 0).map_err(io_error("open", path))?;
    let mut bytes = Vec::new();
    let read = input.take(LONGEST + 1).read_to_end(&mut bytes);
    read.map_err(io_error("read", path))?;
    decode(kind, &bytes, path)
}

pub(super) fn decode(kind: Kind, bytes: &[u8], path: &Path) -> Result<Model, LearnError> {
    let magic = magic(kind);
    let file = Bytes {
        all: bytes,
        path: path.to_owned(),
    };
    if !bytes.starts_with(magic) {
        return Err(if magic.starts_with(bytes) {
            file.truncated(magic.len() + 8)
        } else {
            file.foreign("it does not begin as such a model does")
        });
    }
    let format = file.number(magic.len())?;
    if format > FORMAT {
        return Err(LearnError::NewerFormat {
            path: file.path,
            found: format,
            known: FORMAT,
        });
    }
    let names = file.number(magic.len() + 4)?;
    if format == 0 || u64::from(names) > LONGEST_NAMES {
        return Err(file.damaged("its header makes no sense"));
    }
    let names_begin = magic.len() + 8;
    let names_end = names_begin + usize::try_from(names).unwrap_or(usize::MAX);
    let names = bytes
        .get(names_begin..names_end)
        .ok_or_else(|| file.truncated(names_end))?;
    let candidates: Vec<ModelId> =
        serde_json::from_slice(names).map_err(|_| file.damaged("its candidates cannot be read"))?;
    trainer::check(&candidates).map_err(|_| file.damaged("its candidates make no sense"))?;
    let length = names_end + candidates.len() * (BUCKETS + kind.shapes()) * 8 + 4;
    if bytes.len() < length {
        return Err(file.truncated(length));
    }
    let (body, end) = bytes.split_at_checked(length - 4).unwrap_or_default();
    if end.len() != 4 {
        return Err(file.damaged("something follows its end"));
    }
    let crc = crc32c::crc32c(body);
    if end != crc.to_le_bytes() {
        return Err(file.damaged("its checksum does not match"));
    }
    let mut numbers = body
        .get(names_end..)
        .unwrap_or_default()
        .chunks_exact(4)
        .filter_map(|number| number.try_into().ok().map(f32::from_le_bytes));
    let mut heads = Heads::new(kind, candidates.len());
    for part in heads.parts_mut() {
        for place in part {
            *place = numbers.next().unwrap_or(f32::NAN);
        }
    }
    if !heads.makes_sense() {
        return Err(file.damaged("a weight is no number that was learned"));
    }
    Ok(Model::of_version(candidates, heads, crc))
}

struct Bytes<'a> {
    all: &'a [u8],
    path: PathBuf,
}

impl Bytes<'_> {
    fn number(&self, at: usize) -> Result<u32, LearnError> {
        let number = self.all.get(at..at + 4).and_then(|number| number.try_into().ok());
        number
            .map(u32::from_le_bytes)
            .ok_or_else(|| self.truncated(at + 4))
    }

    fn truncated(&self, expected: usize) -> LearnError {
        LearnError::Truncated {
            path: self.path.clone(),
            expected: expected as u64,
            found: self.all.len() as u64,
        }
    }

    fn damaged(&self, why: &'static str) -> LearnError {
        LearnError::Damaged {
            path: self.path.clone(),
            why,
        }
    }

    fn foreign(&self, why: &'static str) -> LearnError {
        LearnError::Foreign {
            path: self.path.clone(),
            why,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{model, rows};
    use super::*;
    use crate::storage::{FaultyDisk, MemoryDisk};

    #[test]
    fn a_model_is_the_same_after_it_was_saved() {
        let (disk, path) = (MemoryDisk::default(), Path::new("/m/router.model"));
        disk.put(Path::new("/m/other"), b"");
        let mut trained = model();
        save(&trained, &disk, path).unwrap();
        let mut loaded = load(Kind::Prompts, &disk, path).unwrap();
        assert_eq!(loaded, trained);
        trained.update(&rows(20..60)).unwrap();
        loaded.update(&rows(20..60)).unwrap();
        assert_eq!((loaded.version(), &loaded), (trained.version(), &trained));
        save(&trained, &disk, path).unwrap();
        assert_eq!(load(Kind::Prompts, &disk, path).unwrap(), trained);
    }

    #[test]
    fn what_was_cut_or_changed_or_is_newer_is_told() {
        let good = encode(&model());
        let read = |bytes: &[u8]| decode(Kind::Prompts, bytes, Path::new("m")).map(|_| ());
        read(&good).unwrap();
        for cut in (0..200).chain((200..good.len()).step_by(9_973)) {
            let error = read(&good[..cut]).unwrap_err();
            assert!(matches!(error, LearnError::Truncated { .. }), "{cut}: {error}");
        }
        for at in (0..200).chain((200..good.len()).step_by(9_973)) {
            let mut bad = good.clone();
            bad[at] ^= 1;
            read(&bad).unwrap_err();
        }
        let mut newer = good.clone();
        newer[magic(Kind::Prompts).len()] = 9;
        let said = read(&newer).unwrap_err().to_string();
        assert_eq!(said, "m has format 9, this version reads up to 1");
        assert!(matches!(
            read(b"PK\x03\x04").unwrap_err(),
            LearnError::Foreign { .. }
        ));
        let longer = [&good[..], b"\0"].concat();
        assert!(matches!(read(&longer).unwrap_err(), LearnError::Damaged { .. }));
        let mut nan = good.clone();
        let (at, end) = (good.len() - 8, good.len() - 4);
        nan[at..end].copy_from_slice(&f32::NAN.to_le_bytes());
        let crc = crc32c::crc32c(&nan[..end]).to_le_bytes();
        nan[end..].copy_from_slice(&crc);
        assert_eq!(
            read(&nan).unwrap_err().to_string(),
            "m is damaged: a weight is no number that was learned"
        );
    }

    #[test]
    fn a_disk_that_fails_leaves_the_model_that_was_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("router.model");
        let (old, mut new) = (model(), model());
        new.update(&rows(20..60)).unwrap();
        let disk = FaultyDisk::new();
        save(&old, &disk, &path).unwrap();
        // The first call looks for what another attempt left.
        for calls in 1..5 {
            disk.fail_after(calls);
            let error = save(&new, &disk, &path).unwrap_err();
            assert!(matches!(error, LearnError::Io { .. }), "{error}");
            assert_eq!(load(Kind::Prompts, &FaultyDisk::new(), &path).unwrap(), old);
        }
        disk.leave_room(1_000);
        save(&new, &disk, &path).unwrap_err();
        assert_eq!(load(Kind::Prompts, &FaultyDisk::new(), &path).unwrap(), old);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "no leftovers");
    }
}
