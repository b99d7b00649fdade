//! REST requests at a running server.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    fuzz_targets::door::shared().rest(data);
});
