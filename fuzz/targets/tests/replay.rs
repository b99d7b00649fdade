//! The corpus, large hostile inputs and some thousand mutations at every target, in every test run.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
#![allow(unsafe_code, reason = "an allocator that counts")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::{Duration, Instant};

use fuzz_targets::door::Door;
use fuzz_targets::mutate::Mutator;
use fuzz_targets::{TARGETS, seeds};
use maestro_server::{Config, Database, config::Secret};

/// Mutations per target without state.
const MUTATIONS: usize = 20_000;
/// Mutations per door, where each is a request.
const REQUESTS: usize = 400;
/// One input takes at most this long, even a mebibyte on a slow machine; a quadratic algorithm takes far longer.
const LONGEST: Duration = Duration::from_secs(20);
/// Memory that any input may take, and what each of its bytes may take beyond, bytes.
const MEMORY: (usize, usize) = (8 * 1024 * 1024, 256);

struct Counting;

thread_local! {
    static NOW: Cell<usize> = const { Cell::new(0) };
    static PEAK: Cell<usize> = const { Cell::new(0) };
}

fn count(more: usize, less: usize) {
    // Other threads may free what this one took.
    let _ = NOW.try_with(|now| {
        now.set(now.get().saturating_add(more).saturating_sub(less));
        let _ = PEAK.try_with(|peak| peak.set(peak.get().max(now.get())));
    });
}

// Safety: everything is the system's; only numbers are kept beside.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 0);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(0, layout.size());
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size, layout.size());
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Runs one input within bounds; tells which input it was when it fails.
fn bounded(name: &str, run: impl FnOnce(&[u8]), data: &[u8]) {
    struct Told<'a>(&'a str, &'a [u8]);
    impl Drop for Told<'_> {
        fn drop(&mut self) {
            if std::thread::panicking() {
                let path = std::env::temp_dir().join(format!("fuzz-{}", self.0));
                let _ = std::fs::write(&path, self.1);
                eprintln!(
                    "{}: {} bytes, kept in {}",
                    self.0,
                    self.1.len(),
                    path.display()
                );
            }
        }
    }
    let told = Told(name, data);
    let before = NOW.get();
    PEAK.set(before);
    let started = Instant::now();
    run(data);
    let (took, peak) = (started.elapsed(), PEAK.get() - before);
    assert!(took < LONGEST, "{name}: {took:?} for {} bytes", data.len());
    assert!(
        peak <= MEMORY.0 + MEMORY.1 * data.len(),
        "{name}: {peak} bytes of memory for {} bytes",
        data.len()
    );
    drop(told);
}

fn inputs(name: &str, words: &[&str], count: usize) -> impl Iterator<Item = Vec<u8>> {
    let corpus = seeds::corpus(name);
    assert!(!corpus.is_empty(), "{name} has a corpus");
    let mut mutator = Mutator::new(0x6d61_6573_7472_6f00);
    let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    let mut last = Vec::new();
    corpus
        .clone()
        .into_iter()
        .chain((0..count).map(move |number| {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let seed = mutator.pick(&corpus).unwrap().clone();
            // Sometimes the last one again, so that changes add up.
            let seed = if number % 4 == 0 { &last } else { &seed };
            let other = mutator.pick(&corpus).unwrap().clone();
            last = mutator.mutate(seed, &other, &words);
            last.clone()
        }))
}

#[test]
fn no_bytes_break_a_promise() {
    let hostile = seeds::hostile();
    for target in TARGETS {
        let started = Instant::now();
        for data in &hostile {
            bounded(target.name, target.run, data);
        }
        let large = started.elapsed();
        for data in inputs(target.name, target.words, MUTATIONS) {
            bounded(target.name, target.run, &data);
        }
        println!(
            "{}: large {large:?}, all {:?}",
            target.name,
            started.elapsed()
        );
    }
}

fn knock(door: &Door) {
    let words = seeds::SEARCHES;
    for data in inputs("rest", words, REQUESTS) {
        let knock = |data: &[u8]| {
            door.rest(data);
        };
        bounded("rest", knock, &data);
    }
    for text in seeds::hostile() {
        let text = String::from_utf8_lossy(&text);
        if text.len() < 100_000 {
            for query in ["search", "orderBy", "fields", "page", "size"] {
                let line = format!("GET /api/maestro/v1/resource-bundles?{query}={text}");
                door.rest(line.as_bytes());
            }
            door.rest(format!("GET /api/maestro/v1/consumers/{text}").as_bytes());
        }
        door.rest(format!("POST /api/maestro/v1/consumers\n{text}").as_bytes());
    }
    for data in inputs("event_protobuf", seeds::ATTRIBUTES, REQUESTS).chain(seeds::hostile()) {
        bounded("source", |data| door.source(data), &data);
        bounded("agent", |data| door.agent(data), &data);
    }
    door.still_serves();
}

#[test]
fn no_request_breaks_a_server_on_sqlite() {
    knock(&Door::open(Config::default()));
}

#[test]
fn no_request_breaks_a_server_on_postgresql() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let database = runtime.block_on(async {
        let server = testkit::postgres::Server::shared().await.unwrap();
        server.database().await.unwrap()
    });
    knock(&Door::open(Config {
        database: Database::Postgres(Secret::from(database.url())),
        ..Config::default()
    }));
    runtime.block_on(async move { drop(database) });
}

/// `WRITE_CORPUS=1 cargo test -p fuzz-targets --test replay corpus` writes the binary seeds anew.
#[test]
fn the_corpus_of_messages_is_complete() {
    use prost::Message as _;
    for (name, message) in seeds::messages() {
        let path = seeds::folder("event_protobuf").join(name);
        if std::env::var_os("WRITE_CORPUS").is_some() {
            let bytes = message.encode_to_vec();
            std::fs::write(&path, &bytes).unwrap();
            std::fs::write(path.with_extension("cut"), &bytes[..bytes.len() / 2]).unwrap();
        }
        assert!(path.exists(), "{}", path.display());
    }
}
