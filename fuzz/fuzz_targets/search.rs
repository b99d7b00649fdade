//! All search grammars, rendered for both databases.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_targets::searches::search(data));
