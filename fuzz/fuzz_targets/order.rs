//! Orders of lists.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_targets::searches::order(data));
