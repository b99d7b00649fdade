//! A small seeded mutator for runs without libFuzzer: the same seed gives the same inputs everywhere.

/// Makes inputs out of inputs.
#[derive(Debug, Clone)]
pub struct Mutator {
    state: u64,
}

/// Longest input that is made out of others, bytes.
pub const MAX_LENGTH: usize = 64 * 1024;

impl Mutator {
    /// A mutator that always does the same.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// SplitMix64.
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`; 0 if there is none.
    pub fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound.max(1) as u64).unwrap_or(0)
    }

    /// One of several.
    pub fn pick<'a, T>(&mut self, list: &'a [T]) -> Option<&'a T> {
        let index = self.below(list.len());
        list.get(index)
    }

    /// One to six changes of an input.
    pub fn mutate(&mut self, input: &[u8], other: &[u8], words: &[&str]) -> Vec<u8> {
        let mut data = input.get(..MAX_LENGTH).unwrap_or(input).to_vec();
        for _ in 0..=self.below(6) {
            self.change(&mut data, other, words);
        }
        data.truncate(MAX_LENGTH);
        data
    }

    fn change(&mut self, data: &mut Vec<u8>, other: &[u8], words: &[&str]) {
        let (start, end) = {
            let (one, two) = (self.below(data.len() + 1), self.below(data.len() + 1));
            (one.min(two), one.max(two).min(one.min(two) + 512))
        };
        match self.below(10) {
            0 if start < data.len() => data[start] ^= 1 << self.below(8),
            1 if start < data.len() => {
                data[start] = *self
                    .pick(b"\0\x01\x7f\x80\xff\"\\'{}[](),.:-0 \n%")
                    .unwrap();
            }
            2 => drop(data.drain(start..end)),
            3 => {
                let piece = data[start..end].to_vec();
                let times = 1 << self.below(10);
                let piece = piece.repeat(times.min(1 + 4096 / piece.len().max(1)));
                data.splice(start..start, piece);
            }
            4 => {
                let from = self.below(other.len());
                let to = (from + self.below(256)).min(other.len());
                data.splice(start..end, other[from..to].iter().copied());
            }
            5 => data.truncate(start),
            6 => {
                let digits = *self
                    .pick(&[
                        "-1",
                        "0",
                        "2147483648",
                        "9223372036854775808",
                        "1e400",
                        "1e200000",
                        "1e-200000",
                        "-0.0",
                        "NaN",
                    ])
                    .unwrap();
                data.splice(start..end.min(start + 4), digits.bytes());
            }
            7 => {
                let bracket = *self.pick(b"[{(").unwrap();
                let count = 1 << self.below(13);
                data.splice(start..start, std::iter::repeat_n(bracket, count));
            }
            _ => {
                if let Some(word) = self.pick(words) {
                    let end = if self.below(2) == 0 { start } else { end };
                    data.splice(start..end, word.bytes());
                }
            }
        }
    }
}
