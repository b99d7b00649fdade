//! CloudEvents as JSON: rows of a database, and structured mode.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_targets::events::stored(data));
