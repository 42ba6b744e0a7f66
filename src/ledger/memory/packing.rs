//! Numbers in as few bytes as they need.

use crate::money::Usd;

/// Amounts are mostly whole hundreds of pico-dollars, as prices have few decimals.
const STEP: i64 = 100;

/// Says that another byte of a number follows.
const MORE: u8 = 0x80;

/// Appends seven bits a byte, the lowest first; the high bit says that more follow.
#[inline]
pub(super) fn put(bytes: &mut Vec<u8>, number: u64) {
    match u8::try_from(number) {
        Ok(byte) if byte < MORE => bytes.push(byte),
        _ => put_long(bytes, number),
    }
}

fn put_long(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= MORE.into() {
        let [low, ..] = number.to_le_bytes();
        bytes.push(low | MORE);
        number >>= 7;
    }
    let [low, ..] = number.to_le_bytes();
    bytes.push(low);
}

/// Takes what [`put`] appended from the front.
#[inline]
pub(super) fn take(bytes: &mut &[u8]) -> Option<u64> {
    let (byte, rest) = bytes.split_first()?;
    if *byte >= MORE {
        return take_long(bytes);
    }
    *bytes = rest;
    Some((*byte).into())
}

fn take_long(bytes: &mut &[u8]) -> Option<u64> {
    let (mut number, mut shift) = (0, 0_u32);
    loop {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & !MORE).checked_shl(shift)?;
        if *byte < MORE {
            return Some(number);
        }
        shift += 7;
    }
}

/// Makes numbers near zero small, whatever their sign.
pub(super) const fn zigzag(number: i64) -> u64 {
    (number << 1 ^ number >> 63).cast_unsigned()
}

/// Returns the number that was made small.
pub(super) const fn unzigzag(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -(number & 1).cast_signed()
}

/// One of a few values.
pub(super) trait Coded: Copy + PartialEq + 'static {
    /// All values; the place of a value is its code.
    const ALL: &'static [Self];
    /// How many bits a code takes.
    const WIDTH: u32 = usize::BITS - (Self::ALL.len() - 1).leading_zeros();

    fn code(self) -> u8;
}

/// Gathers what makes up a row: flags, the numbers of cells and names, and a body.
#[derive(Debug, Default)]
pub(super) struct Packer {
    flags: u64,
    used: u32,
    pub(super) body: Vec<u8>,
}

impl Packer {
    /// Starts anew; the first flags are left free.
    pub(super) fn begin(&mut self, free: u32) {
        (self.flags, self.used) = (0, free);
        self.body.clear();
    }

    /// Returns the flags, with the free ones filled in.
    pub(super) const fn flags(&self, first: u64) -> u64 {
        self.flags | first
    }

    #[inline]
    pub(super) fn bits(&mut self, value: u8, width: u32) {
        debug_assert!(self.used + width <= u64::BITS, "there are at most 64 flags");
        self.flags |= u64::from(value) << self.used;
        self.used += width;
    }

    #[inline]
    pub(super) fn flag(&mut self, flag: bool) {
        self.bits(flag.into(), 1);
    }

    pub(super) fn code<T: Coded>(&mut self, value: T) {
        self.bits(value.code(), T::WIDTH);
    }

    #[inline]
    pub(super) fn number(&mut self, number: impl Into<u64>) {
        put(&mut self.body, number.into());
    }

    pub(super) fn signed(&mut self, number: i64) {
        self.number(zigzag(number));
    }

    pub(super) fn money(&mut self, amount: Usd) {
        let pico = amount.as_pico();
        if pico % STEP == 0 {
            self.number(zigzag(pico / STEP) << 1);
        } else {
            self.number(1_u64);
            self.signed(pico);
        }
    }

    pub(super) fn option<T>(&mut self, value: Option<T>, put: impl FnOnce(&mut Self, T)) {
        self.flag(value.is_some());
        if let Some(value) = value {
            put(self, value);
        }
    }
}

/// Takes apart what a [`Packer`] gathered, in the same order.
#[derive(Debug)]
pub(super) struct Unpacker<'a> {
    flags: u64,
    pub(super) body: &'a [u8],
}

impl<'a> Unpacker<'a> {
    /// Takes the flags without those that were left free, and the body.
    pub(super) const fn new(flags: u64, free: u32, body: &'a [u8]) -> Self {
        Self {
            flags: flags >> free,
            body,
        }
    }

    pub(super) fn bits(&mut self, width: u32) -> u8 {
        let [low, ..] = (self.flags & ((1 << width) - 1)).to_le_bytes();
        self.flags >>= width;
        low
    }

    pub(super) fn flag(&mut self) -> bool {
        self.bits(1) == 1
    }

    pub(super) fn code<T: Coded>(&mut self) -> Option<T> {
        T::ALL.get(usize::from(self.bits(T::WIDTH))).copied()
    }

    pub(super) fn number<T: TryFrom<u64>>(&mut self) -> Option<T> {
        T::try_from(take(&mut self.body)?).ok()
    }

    pub(super) fn signed(&mut self) -> Option<i64> {
        self.number().map(unzigzag)
    }

    pub(super) fn money(&mut self) -> Option<Usd> {
        let number: u64 = self.number()?;
        let pico = match number & 1 {
            0 => unzigzag(number >> 1).checked_mul(STEP)?,
            _ => self.signed()?,
        };
        Some(Usd::from_pico(pico))
    }

    /// Takes a value that may be absent; the outer `None` is for bytes that are no row.
    #[expect(
        clippy::option_option,
        reason = "absent is a value; the other `None` is for `?`"
    )]
    pub(super) fn option<T>(&mut self, take: impl FnOnce(&mut Self) -> Option<T>) -> Option<Option<T>> {
        if self.flag() {
            take(self).map(Some)
        } else {
            Some(None)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn small_numbers_take_one_byte_and_the_largest_ten() {
        for (number, length) in [(0, 1), (127, 1), (128, 2), (u64::MAX, 10)] {
            let mut bytes = Vec::new();
            put(&mut bytes, number);
            assert_eq!(bytes.len(), length);
            assert_eq!(take(&mut &bytes[..]), Some(number));
            assert_eq!(take(&mut &bytes[..length - 1]), None);
        }
    }

    proptest! {
        #[test]
        fn amounts_and_signed_numbers_read_back(number in any::<i64>(), hundreds in any::<bool>()) {
            let pico = if hundreds { number / 100 * 100 } else { number };
            let mut packer = Packer::default();
            packer.begin(0);
            packer.signed(number);
            packer.money(Usd::from_pico(pico));
            let mut unpacker = Unpacker::new(0, 0, &packer.body);
            prop_assert_eq!(unpacker.signed(), Some(number));
            prop_assert_eq!(unpacker.money(), Some(Usd::from_pico(pico)));
            prop_assert!(unpacker.body.is_empty());
        }
    }
}
