//! K-sortable unique ids: seconds and 128 random bits as 27 characters, the form of operation ids.

use jiff::Timestamp;

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// 2014-05-13T16:53:20Z.
const EPOCH: i64 = 1_400_000_000;
const LENGTH: usize = 27;

/// A new id.
pub(super) fn new() -> String {
    let seconds = u32::try_from(Timestamp::now().as_second() - EPOCH).unwrap_or(0);
    encode(seconds, uuid::Uuid::new_v4().as_u128())
}

/// Base 62, most significant digit first: 160 bits as (32 high, 128 low), divided by hand.
fn encode(seconds: u32, random: u128) -> String {
    let mut high = u128::from(seconds);
    let mut low = random;
    let mut digits = [b'0'; LENGTH];
    for digit in digits.iter_mut().rev() {
        // (high · 2¹²⁸ + low) divided by 62, in halves of 64 bits so that nothing overflows.
        let mut remainder = high % 62;
        high /= 62;
        let upper = (remainder << 64) | (low >> 64);
        remainder = upper % 62;
        let lower = (remainder << 64) | (low & u128::from(u64::MAX));
        low = ((upper / 62) << 64) | (lower / 62);
        let index = usize::try_from(lower % 62).unwrap_or(0);
        *digit = ALPHABET.get(index).copied().unwrap_or(b'0');
    }
    String::from_utf8_lossy(&digits).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_and_smallest_are_the_known_ones() {
        assert_eq!(encode(0, 0), "000000000000000000000000000");
        assert_eq!(encode(u32::MAX, u128::MAX), "aWgEPTl1tmebfsQzFP4bxwgy80V");
        assert_eq!(new().len(), LENGTH);
    }
}
