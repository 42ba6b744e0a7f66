//! Ids that providers make, in fewer bytes than they have characters.

use super::packing::{put, take};

/// Longer texts are no ids, and are kept as names are.
pub(super) const MOST_BYTES: usize = 96;

/// How ids of answers, requests and batch lines begin; a text without one of these begins with nothing.
const PREFIXES: [&str; 8] = [
    "",
    "chatcmpl-",
    "resp_",
    "req_",
    "batch_req_",
    "cmpl-",
    "msg_",
    "gen-",
];

const HEX: &[u8] = b"0123456789abcdef";
const BASE_64: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Sets of characters with their bits each, the smallest first.
const ALPHABETS: [(&[u8], u32); 2] = [(HEX, 4), (BASE_64, 6)];
const DIGITS: [[u8; 256]; 2] = [digits_of(HEX), digits_of(BASE_64)];
/// In a table of digits, what stands for characters that are none.
const NO_DIGIT: u8 = 0x80;

#[expect(clippy::indexing_slicing, reason = "checked when it is compiled")]
const fn digits_of(alphabet: &[u8]) -> [u8; 256] {
    let mut digits = [NO_DIGIT; 256];
    let mut digit = 0;
    while digit < alphabet.len() {
        // At most 64 characters.
        digits[alphabet[digit] as usize] = digit.to_le_bytes()[0];
        digit += 1;
    }
    digits
}

/// Appends a text: one byte says how, then come its length and its characters.
pub(super) fn pack(text: &str, bytes: &mut Vec<u8>) {
    let prefixes = PREFIXES.iter().enumerate().skip(1);
    let mut found = prefixes.filter_map(|(place, prefix)| Some((place, text.strip_prefix(prefix)?)));
    let (prefix, rest) = found.next().unwrap_or((0, text));
    let is_of = |digits: &[u8; 256]| {
        let all = rest.bytes().fold(0, |all, byte| all | digit(digits, byte));
        all & NO_DIGIT == 0
    };
    let place = DIGITS.iter().position(is_of);
    let how = place.unwrap_or(ALPHABETS.len()) * PREFIXES.len() + prefix;
    put(bytes, how as u64);
    put(bytes, rest.len() as u64);
    match place {
        Some(0) => pack_digits::<4>(rest.as_bytes(), bytes),
        Some(_) => pack_digits::<6>(rest.as_bytes(), bytes),
        None => bytes.extend_from_slice(rest.as_bytes()),
    }
}

fn digit(digits: &[u8; 256], byte: u8) -> u8 {
    digits.get(usize::from(byte)).copied().unwrap_or(NO_DIGIT)
}

/// Appends the digits of characters, of so many bits each: by four, which are two bytes or three.
fn pack_digits<const WIDTH: u32>(text: &[u8], bytes: &mut Vec<u8>) {
    let [hex, base_64] = &DIGITS;
    let digits = if WIDTH == 4 { hex } else { base_64 };
    let (groups, rest) = text.as_chunks::<4>();
    for group in groups {
        let join = |held: u32, byte: &u8| held << WIDTH | u32::from(digit(digits, *byte));
        let [_, high, middle, low] = group.iter().fold(0, join).to_be_bytes();
        if WIDTH == 4 {
            bytes.extend_from_slice(&[middle, low]);
        } else {
            bytes.extend_from_slice(&[high, middle, low]);
        }
    }
    let (mut held, mut count) = (0_u32, 0);
    for byte in rest {
        held = held << WIDTH | u32::from(digit(digits, *byte));
        count += WIDTH;
    }
    // At most three digits, moved to the front.
    let held = held.checked_shl(u32::BITS - count).unwrap_or(0).to_be_bytes();
    for (_, byte) in (0..count.div_ceil(8)).zip(held) {
        bytes.push(byte);
    }
}

/// Takes a text that [`pack`] appended from the front.
pub(super) fn unpack(bytes: &mut &[u8]) -> Option<String> {
    let how = usize::try_from(take(bytes)?).ok()?;
    let length = usize::try_from(take(bytes)?).ok()?;
    let mut text = PREFIXES.get(how % PREFIXES.len())?.to_string();
    let Some((alphabet, width)) = ALPHABETS.get(how / PREFIXES.len()) else {
        let (raw, rest) = bytes.split_at_checked(length)?;
        *bytes = rest;
        text.push_str(std::str::from_utf8(raw).ok()?);
        return Some(text);
    };
    let (mut held, mut count) = (0_u32, 0);
    for _ in 0..length {
        if count < *width {
            let (byte, rest) = bytes.split_first()?;
            *bytes = rest;
            held = held << 8 | u32::from(*byte);
            count += 8;
        }
        count -= width;
        let digit = held >> count & ((1 << width) - 1);
        text.push(char::from(*alphabet.get(usize::try_from(digit).ok()?)?));
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn round_trip(text: &str) -> usize {
        let mut bytes = Vec::new();
        pack(text, &mut bytes);
        let length = bytes.len();
        bytes.push(7);
        let mut rest = &bytes[..];
        assert_eq!(unpack(&mut rest).as_deref(), Some(text));
        assert_eq!(rest, [7]);
        length
    }

    #[test]
    fn ids_take_six_bits_a_character_or_four() {
        assert_eq!(round_trip("chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT"), 2 + 22);
        let response = "resp_67ccd2bed1ec8190b14f964abc0542670bb6a6b452d3795b";
        assert_eq!(round_trip(response), 2 + 24);
        assert_eq!(round_trip("3f0e1a5c-2b7d-4c7e-9a54-1d2f3e4b5a69"), 2 + 27);
        assert_eq!(round_trip("not.an/id"), 2 + 9);
        assert_eq!(round_trip(""), 2);
    }

    proptest! {
        #[test]
        fn every_text_reads_back(text in any::<String>(), prefix in 0_usize..8, id in "[a-zA-Z0-9_-]{0,40}") {
            round_trip(&text);
            round_trip(&format!("{}{text}", PREFIXES[prefix]));
            round_trip(&format!("{}{id}", PREFIXES[prefix]));
        }
    }
}
