//! Models and training logs: whatever is in such a file, reading it ends, and what is accepted judges by numbers.
#![no_main]

use libfuzzer_sys::fuzz_target;
use thrifty::router::{read_model, read_training};

/// What each candidate has in a model: a weight and a step for each place and each structural number.
const OF_A_CANDIDATE: usize = ((1 << 16) + 24) * 8;

fuzz_target!(|bytes: &[u8]| {
    assert_eq!(read_model(bytes), None, "no input is as long as a model");
    judge(bytes);
    segment(bytes);
});

/// Makes a whole model of the bytes: the first begin the weights, the others name the candidates.
fn judge(bytes: &[u8]) {
    let (weights, names) = bytes.split_at(bytes.len().min(64));
    let count = serde_json::from_slice::<Vec<String>>(names).map_or(0, |names| names.len());
    if !(2..=16).contains(&count) {
        return;
    }
    let mut model = b"thrifty-model\n\x01\0\0\0".to_vec();
    model.extend_from_slice(&u32::try_from(names.len()).unwrap().to_le_bytes());
    model.extend_from_slice(names);
    let begin = model.len();
    let half = count * OF_A_CANDIDATE / 2;
    model.resize(begin + half, 0);
    model.extend(1.0_f32.to_le_bytes().iter().cycle().take(half));
    for (place, weight) in model[begin..begin + half]
        .chunks_exact_mut(64)
        .zip(weights.iter().cycle())
    {
        place[..4].copy_from_slice(&f32::from_bits(u32::from(*weight) << 23).to_le_bytes());
    }
    let crc = crc32c::crc32c(&model);
    model.extend_from_slice(&crc.to_le_bytes());
    if let Some(judged) = read_model(&model) {
        assert_eq!(judged.len(), count);
        assert!(
            judged.iter().all(|probability| (0.0..=1.0).contains(probability)),
            "{judged:?}"
        );
    }
    model.pop();
    assert_eq!(read_model(&model), None);
}

/// Seals the bytes as the lines of a segment; then changes one.
fn segment(bytes: &[u8]) {
    let mut lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
    let header = b"{\"thrifty_training\":1";
    lines.insert(0, header);
    let (mut segment, mut chain) = (Vec::new(), 0);
    for body in &lines {
        chain = crc32c::crc32c_append(chain, body);
        segment.extend_from_slice(body);
        segment.extend_from_slice(format!(",\"crc\":\"{chain:08x}\"}}\n").as_bytes());
    }
    let told = read_training(&segment).expect("each line has its checksum");
    assert_eq!(told.0 + told.1, lines.len() as u64 - 1);
    let at = bytes.len().wrapping_mul(31) % segment.len();
    segment[at] ^= 1;
    if let Some((ratings, _)) = read_training(&segment) {
        assert!(ratings <= told.0);
    }
    segment[at] ^= 1;
    segment.truncate(at);
    let _ = read_training(&segment);
    let _ = read_training(bytes);
}
