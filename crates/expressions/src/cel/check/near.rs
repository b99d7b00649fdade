//! Names that are nearly right.

/// The closest candidate, if it is close: at most two edits, and fewer than a third of the name, or equal but for case.
pub(super) fn nearest<'c>(
    name: &str,
    candidates: impl Iterator<Item = &'c str>,
) -> Option<&'c str> {
    candidates
        .map(|candidate| {
            let edits = if candidate.eq_ignore_ascii_case(name) {
                0
            } else {
                distance(name, candidate)
            };
            (edits, candidate)
        })
        .filter(|(edits, _)| *edits == 0 || (*edits <= 2 && edits * 3 <= name.len()))
        .min()
        .map(|(_, candidate)| candidate)
}

/// Levenshtein distance of two short names; longer ones count as far apart.
fn distance(a: &str, b: &str) -> usize {
    if a.len() > 64 || b.len() > 64 {
        return usize::MAX / 4;
    }
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut corner = i;
        let mut left = i + 1;
        for (cell, y) in row.iter_mut().skip(1).zip(&b) {
            let above = *cell;
            left = (corner + usize::from(x != *y)).min(above + 1).min(left + 1);
            corner = above;
            *cell = left;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}
