//! Events at both gRPC ports of a running server.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let door = fuzz_targets::door::shared();
    door.source(data);
    door.agent(data);
});
