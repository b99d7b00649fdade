//! How many rows a courier reads at once, as plain data.

/// Bytes of rows read at once, roughly: what a slow agent holds in memory.
const BATCH_BYTES: usize = 256 * 1024;
/// Rows read at once, at most.
pub(super) const BATCH_ROWS: usize = 64;

/// How many rows make a batch: as many as fit, by the size of those before, and no more than the database answers in time.
#[derive(Debug)]
pub(super) struct Pace {
    row_bytes: usize,
    /// Rows that the database is asked for at once, at most.
    cap: usize,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            row_bytes: 16 * 1024,
            cap: BATCH_ROWS,
        }
    }
}

impl Pace {
    pub(super) fn rows(&self) -> usize {
        (BATCH_BYTES / self.row_bytes.max(1)).clamp(1, self.cap)
    }

    /// So many rows took so many bytes.
    pub(super) fn learn(&mut self, rows: usize, bytes: usize) {
        if let Some(average) = bytes.checked_div(rows) {
            self.row_bytes = usize::midpoint(self.row_bytes, average);
        }
    }

    /// The answer for so many rows came too late: half as many next time.
    pub(super) fn slower(&mut self, asked: usize) {
        self.cap = (asked / 2).clamp(1, self.cap);
    }

    /// The answer for so many rows came in time: one more next time, if these were all that it may be asked for. Step by
    /// step, so that a database that stays slow is seldom asked for too much.
    pub(super) fn faster(&mut self, asked: usize) {
        if asked >= self.cap {
            self.cap = (self.cap + 1).min(BATCH_ROWS);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Reads rows of a size for so many rounds from a database that needs a time for each; tells whether they came in time.
    fn read(
        pace: &mut Pace,
        rounds: usize,
        row_bytes: usize,
        row_millis: usize,
    ) -> Vec<(usize, bool)> {
        let round = |_| {
            let rows = pace.rows();
            pace.learn(rows, rows * row_bytes);
            let in_time = rows * row_millis <= 1500;
            if in_time {
                pace.faster(rows);
            } else {
                pace.slower(rows);
            }
            (rows, in_time)
        };
        (0..rounds).map(round).collect()
    }

    #[test]
    fn a_slow_database_is_soon_asked_for_what_it_can_answer() {
        let mut pace = Pace::default();
        read(&mut pace, 100, 2048, 1);
        assert_eq!(pace.rows(), BATCH_ROWS);
        let answers = read(&mut pace, 3 + 40, 2048, 100);
        let (late, rest) = answers.split_at(3);
        assert_eq!(late, [(64, false), (32, false), (16, false)]);
        assert_eq!(rest[0], (8, true));
        let thrown_away: usize = rest.iter().filter(|(_, in_time)| !in_time).count();
        assert!(thrown_away <= 5, "{rest:?}");
        read(&mut pace, 100, 2048, 1);
        assert_eq!(pace.rows(), BATCH_ROWS, "it is fast again");
    }

    #[test]
    fn answers_for_few_rows_say_nothing_about_many() {
        let mut pace = Pace::default();
        read(&mut pace, 100, 2048, 1);
        pace.slower(8);
        for _ in 0..100 {
            pace.faster(1);
        }
        assert_eq!(pace.rows(), 4);
    }

    #[test]
    fn large_rows_are_read_one_by_one() {
        let mut pace = Pace::default();
        read(&mut pace, 100, 4 * 1024 * 1024, 1);
        assert_eq!(pace.rows(), 1);
    }

    proptest! {
        #[test]
        fn half_as_many_rows_are_asked_for_after_each_late_answer(
            rounds in 0..200_usize, before in 0..20_000_usize, row_bytes in 0..20_000_usize, row_millis in 0..2000_usize,
        ) {
            let mut pace = Pace::default();
            read(&mut pace, rounds, before, row_millis);
            let asked = pace.rows();
            prop_assert!((1..=BATCH_ROWS).contains(&asked));
            pace.learn(asked, asked * row_bytes);
            pace.slower(asked);
            prop_assert!((1..=(asked / 2).max(1)).contains(&pace.rows()));
        }
    }
}
