use kube_access::Gvk;
use serde_json::json;

use super::*;

const COALESCE: Duration = Duration::from_millis(250);

fn event(generation: i64) -> Event {
    Event::new("s", "t", json!({"generation": generation}))
}

fn object(name: &str) -> Touched {
    Touched {
        target: None,
        gvk: Gvk::new("v1", "ConfigMap"),
        namespace: None,
        name: name.into(),
    }
}

fn push(queue: &mut Queue<u32>, key: &str, generation: i64, delivery: u32) -> Option<u32> {
    queue.push(key, event(generation), generation, delivery)
}

fn next(queue: &mut Queue<u32>, now: Instant) -> Option<(String, Option<u32>)> {
    queue.next(now).map(|work| (work.key, work.delivery))
}

#[test]
fn one_run_per_key_and_keys_take_turns() {
    let now = Instant::now();
    let mut queue = Queue::new(COALESCE);
    assert_eq!(push(&mut queue, "a", 1, 1), None);
    assert_eq!(push(&mut queue, "b", 1, 2), None);
    assert_eq!(next(&mut queue, now), Some(("a".into(), Some(1))));
    // The next pulse for a busy key waits, and does not hold up others.
    assert_eq!(push(&mut queue, "a", 1, 3), None);
    assert_eq!(next(&mut queue, now), Some(("b".into(), Some(2))));
    assert_eq!(next(&mut queue, now), None);
    queue.finished(
        "a",
        event(1),
        &End {
            touched: &[],
            wrote: false,
            gone: false,
            complete: true,
        },
        Instant::now(),
    );
    assert_eq!(next(&mut queue, now), Some(("a".into(), Some(3))));
    queue.finished(
        "a",
        event(1),
        &End {
            touched: &[],
            wrote: false,
            gone: false,
            complete: true,
        },
        Instant::now(),
    );
    queue.finished(
        "b",
        event(1),
        &End {
            touched: &[],
            wrote: false,
            gone: false,
            complete: true,
        },
        Instant::now(),
    );
    assert_eq!(next(&mut queue, now), None);
    assert!(queue.is_idle());
}

#[test]
fn the_newest_pulse_speaks_for_the_others() {
    let now = Instant::now();
    let mut queue = Queue::new(COALESCE);
    assert_eq!(push(&mut queue, "a", 2, 1), None);
    assert_eq!(push(&mut queue, "a", 3, 2), Some(1));
    assert_eq!(
        push(&mut queue, "a", 1, 3),
        Some(3),
        "an old pulse that comes late does not replace a newer one"
    );
    assert_eq!(next(&mut queue, now), Some(("a".into(), Some(2))));
}

#[test]
fn changes_within_the_coalescing_time_cause_one_run() {
    let start = Instant::now();
    let mut queue: Queue<u32> = Queue::new(COALESCE);
    push(&mut queue, "a", 1, 1);
    next(&mut queue, start).unwrap();
    queue.finished(
        "a",
        event(1),
        &End {
            touched: &[object("x")],
            wrote: false,
            gone: false,
            complete: true,
        },
        Instant::now(),
    );
    assert_eq!(next(&mut queue, start), None);
    for millis in [0, 100, 200] {
        queue.changed(&object("x"), start + Duration::from_millis(millis));
    }
    queue.changed(&object("unknown"), start);
    assert_eq!(queue.next_due(), Some(start + COALESCE));
    queue.wake(start);
    assert_eq!(next(&mut queue, start), None);
    let due = start + COALESCE;
    queue.wake(due);
    assert_eq!(next(&mut queue, due), Some(("a".into(), None)));
    assert_eq!(queue.next_due(), None);
    // A change during the run causes another one.
    queue.changed(&object("x"), due);
    queue.finished(
        "a",
        event(1),
        &End {
            touched: &[object("x")],
            wrote: false,
            gone: false,
            complete: true,
        },
        Instant::now(),
    );
    queue.wake(due + COALESCE);
    assert_eq!(next(&mut queue, due + COALESCE), Some(("a".into(), None)));
    // The resource is gone: its objects concern nobody.
    queue.finished(
        "a",
        event(1),
        &End {
            touched: &[],
            wrote: false,
            gone: true,
            complete: true,
        },
        Instant::now(),
    );
    queue.changed(&object("x"), due);
    assert_eq!(queue.next_due(), None);
    assert_eq!(next(&mut queue, due), None);
    assert!(queue.is_idle());
}

#[test]
fn a_change_during_the_first_run_is_not_missed() {
    let start = Instant::now();
    let mut queue: Queue<u32> = Queue::new(COALESCE);
    push(&mut queue, "a", 1, 1);
    next(&mut queue, start).unwrap();
    // The agent is faster than the report of the run that made the object.
    queue.changed(&object("x"), start);
    assert_eq!(queue.next_due(), None);
    queue.finished(
        "a",
        event(1),
        &End {
            touched: &[object("x")],
            wrote: true,
            gone: false,
            complete: true,
        },
        start,
    );
    assert_eq!(queue.next_due(), Some(start + COALESCE));
}

#[test]
fn a_run_that_failed_forgets_nothing_and_a_failed_rerun_is_repeated() {
    let start = Instant::now();
    let mut queue: Queue<u32> = Queue::new(COALESCE);
    push(&mut queue, "a", 1, 1);
    next(&mut queue, start).unwrap();
    let complete = End {
        touched: &[object("x")],
        complete: true,
        ..End::default()
    };
    queue.finished("a", event(1), &complete, start);
    queue.changed(&object("x"), start);
    let mut now = start + COALESCE;
    let mut waits = Vec::new();
    for _ in 0..4 {
        queue.wake(now);
        assert_eq!(next(&mut queue, now), Some(("a".into(), None)));
        queue.finished("a", event(1), &End::default(), now);
        queue.retry("a", Duration::from_secs(1), Duration::from_secs(5), now);
        let due = queue.next_due().unwrap();
        waits.push((due - now).as_secs());
        now = due;
    }
    assert_eq!(waits, [1, 2, 4, 5]);
    queue.wake(now);
    next(&mut queue, now).unwrap();
    queue.finished("a", event(1), &complete, now);
    queue.changed(&object("x"), now);
    assert_eq!(queue.next_due(), Some(now + COALESCE));
}

#[test]
fn all_objects_from_before_the_start_cause_one_run_of_their_resource() {
    let start = Instant::now();
    let mut queue: Queue<u32> = Queue::new(COALESCE);
    for name in ["x", "y", "x"] {
        queue.found("a", event(1), object(name), start);
    }
    let due = start + COALESCE;
    assert_eq!(queue.next_due(), Some(due));
    queue.wake(due);
    assert_eq!(next(&mut queue, due), Some(("a".into(), None)));
    let touched = [object("x"), object("y")];
    let complete = End {
        touched: &touched,
        complete: true,
        ..End::default()
    };
    queue.finished("a", event(1), &complete, due);
    assert_eq!(next(&mut queue, due), None, "nothing is left to do");
    assert!(queue.is_idle());
    queue.changed(&object("y"), due);
    assert_eq!(queue.next_due(), Some(due + COALESCE));
}

#[test]
fn a_pulse_takes_the_place_of_a_rerun() {
    let start = Instant::now();
    let mut queue: Queue<u32> = Queue::new(COALESCE);
    push(&mut queue, "a", 1, 1);
    next(&mut queue, start).unwrap();
    queue.finished(
        "a",
        event(1),
        &End {
            touched: &[object("x")],
            wrote: false,
            gone: false,
            complete: true,
        },
        Instant::now(),
    );
    queue.changed(&object("x"), start);
    push(&mut queue, "a", 1, 2);
    assert_eq!(next(&mut queue, start), Some(("a".into(), Some(2))));
    assert_eq!(queue.next_due(), None);
}

#[test]
fn an_object_that_is_written_every_time_slows_its_reruns_down() {
    let mut now = Instant::now();
    let mut queue: Queue<u32> = Queue::new(COALESCE);
    push(&mut queue, "a", 1, 1);
    next(&mut queue, now).unwrap();
    let mut waits = Vec::new();
    for _ in 0..10 {
        queue.finished(
            "a",
            event(1),
            &End {
                touched: &[object("x")],
                wrote: true,
                gone: false,
                complete: true,
            },
            Instant::now(),
        );
        queue.changed(&object("x"), now);
        let due = queue.next_due().unwrap();
        waits.push((due - now).as_millis());
        now = due;
        queue.wake(now);
        next(&mut queue, now).unwrap();
    }
    assert_eq!(waits[..4], [250, 500, 1000, 2000]);
    assert_eq!(waits[9], MAX_RERUN_DELAY.as_millis());
}
