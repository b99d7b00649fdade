//! CloudEvents in protobuf, as both gRPC ports take them.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz_targets::events::protobuf(data));
