use std::cell::Cell;

use super::*;

const CAPACITY: usize = 100_000;

/// An item that doesn't compress well: about `bytes` of hexadecimal noise.
fn item(bytes: usize) -> Item {
    thread_local! { static SEED: Cell<u64> = const { Cell::new(1) } }
    let mut text = String::new();
    while text.len() < bytes {
        let next = SEED.get().wrapping_mul(6_364_136_223_846_793_005);
        SEED.set(next.wrapping_add(1_442_695_040_888_963_407));
        text.push_str(&format!("{:016x}", SEED.get()));
    }
    let brief = text.len() / 2;
    Item { text, brief }
}

fn id(name: &str, number: usize) -> ResourceId {
    format!("{name}{number}").into()
}

fn keep(state: &mut State, id: &ResourceId, revision: &str, bytes: usize) {
    state.keep(id, &revision.into(), Packed::of(&item(bytes)), CAPACITY);
    let counted: usize = state.entries.values().map(|entry| entry.item.size()).sum();
    assert_eq!(state.once.bytes + state.again.bytes, counted);
    assert!(counted <= CAPACITY, "{counted}");
    let turns = state.once.turns.len() + state.again.turns.len();
    assert_eq!(turns, state.entries.len());
}

fn finds(state: &mut State, id: &ResourceId, revision: &str) -> bool {
    state.find(id, &revision.into(), CAPACITY).is_some()
}

#[test]
fn only_the_very_state_of_a_row_is_found() {
    let mut state = State::default();
    let a = id("a", 1);
    keep(&mut state, &a, "1", 1000);
    assert!(finds(&mut state, &a, "1") && !finds(&mut state, &a, "2"));
    assert!(!finds(&mut state, &id("a", 2), "1"));
    keep(&mut state, &a, "2", 1000);
    assert!(finds(&mut state, &a, "2") && !finds(&mut state, &a, "1"));
    assert_eq!(state.entries.len(), 1);
}

#[test]
fn the_bound_is_held_whatever_comes() {
    let mut state = State::default();
    for number in 0..2000 {
        let row = id("r", number * 7919 % 400);
        keep(&mut state, &row, &number.to_string(), number * 31 % 9000);
        finds(&mut state, &id("r", number * 17 % 400), &number.to_string());
    }
    assert!(state.entries.len() > 5);
}

#[test]
fn a_walk_over_a_large_table_leaves_what_is_listed_all_the_time() {
    let mut state = State::default();
    let often: Vec<ResourceId> = (0..10).map(|number| id("often", number)).collect();
    for row in &often {
        keep(&mut state, row, "1", 4000);
        assert!(finds(&mut state, row, "1"));
    }
    for number in 0..1000 {
        keep(&mut state, &id("walk", number), "1", 4000);
    }
    assert!(often.iter().all(|row| finds(&mut state, row, "1")));
    // A new state takes the place of the old one.
    keep(&mut state, &often[0], "2", 4000);
    for number in 1000..2000 {
        keep(&mut state, &id("walk", number), "1", 4000);
    }
    assert!(finds(&mut state, &often[0], "2"));
}

#[test]
fn what_was_listed_once_gives_way_to_what_is_listed_now() {
    let mut state = State::default();
    for round in 0..2 {
        for number in 0..200 {
            keep(
                &mut state,
                &id(&format!("round{round}-"), number),
                "1",
                4000,
            );
            finds(&mut state, &id(&format!("round{round}-"), number), "1");
        }
    }
    assert!(finds(&mut state, &id("round1-", 199), "1"));
    assert!(!finds(&mut state, &id("round0-", 0), "1"));
}

#[test]
fn items_come_back_as_they_were() {
    let one = item(5000);
    for full in [true, false] {
        let (mut direct, mut unpacked) = (b"before".to_vec(), b"before".to_vec());
        one.push(full, &mut direct);
        Packed::of(&one).unpack(full, &mut unpacked).unwrap();
        assert_eq!(direct, unpacked);
    }
}
