//! Compiles the protocol without `protoc`.
use std::{env, path::Path};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=proto");
    let descriptors = protox::compile(["proto/cloudevent.proto"], ["proto"])?;
    let out = env::var("OUT_DIR")?;
    tonic_prost_build::configure()
        // `Bytes` fans out to many streams without a copy; sorted attributes make the bytes deterministic.
        .bytes(".")
        .btree_map(".")
        .out_dir(Path::new(&out))
        .compile_fds(descriptors)?;
    Ok(())
}
