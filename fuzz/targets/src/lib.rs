//! What strangers can send, as functions on bytes. Each calls what a door calls, and panics when a promise is broken:
//! no panic below, the same event after a round trip, no text of a search in SQL, no failure of the server's own, no text of a
//! database in an answer.
//!
//! ```text
//!  fuzz/corpus/<target>/* ─┬─► libFuzzer (fuzz/, nightly) ─┐
//!  seeds::hostile() ───────┴─► tests/replay.rs + mutate ───┴─► Target::run
//! ```
//!
//! In reading order: [`TARGETS`], [`events`], [`bundles`], [`searches`], [`door`]; then [`mutate`] and [`seeds`], which make inputs.
//! This is a test aid: it is linked into no program.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a broken promise is told by a panic"
)]

pub mod bundles;
pub mod door;
pub mod events;
pub mod mutate;
pub mod searches;
pub mod seeds;

/// Something that takes bytes of a stranger.
#[derive(Clone, Copy)]
pub struct Target {
    /// Name of the target and of its corpus folder.
    pub name: &'static str,
    /// Does with the bytes what a door does; panics when a promise is broken.
    pub run: fn(&[u8]),
    /// Words that get mutations past the first check.
    pub words: &'static [&'static str],
}

/// Targets that are functions without any state.
pub const TARGETS: [Target; 6] = [
    Target {
        name: "event_protobuf",
        run: events::protobuf,
        words: seeds::ATTRIBUTES,
    },
    Target {
        name: "event_stored",
        run: events::stored,
        words: seeds::ATTRIBUTES,
    },
    Target {
        name: "bundle",
        run: bundles::bundle,
        words: seeds::MANIFESTS,
    },
    Target {
        name: "manifestwork",
        run: bundles::work,
        words: seeds::MANIFESTS,
    },
    Target {
        name: "search",
        run: searches::search,
        words: seeds::SEARCHES,
    },
    Target {
        name: "order",
        run: searches::order,
        words: seeds::SEARCHES,
    },
];
