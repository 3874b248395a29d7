//! Figures as people read them.

/// Bytes in the unit that gives one to three digits before the point.
pub(crate) fn bytes(size: u64) -> String {
    let mut unit = 1;
    for name in ["B", "kB", "MB", "GB"] {
        if size < unit * 1000 {
            return if unit == 1 {
                format!("{size} B")
            } else {
                format!("{} {name}", tenths(size, unit))
            };
        }
        unit *= 1000;
    }
    format!("{} TB", tenths(size, unit))
}

/// How many times larger one is than the other: `9.8:1`.
pub(crate) fn ratio(raw: u64, compressed: u64) -> String {
    format!("{}:1", tenths(raw, compressed.max(1)))
}

/// A count with its noun: `1 event`, `2 events`, `3 batches`, `4 queries`.
pub(crate) fn count(number: u64, noun: &str) -> String {
    match (number, noun.strip_suffix('y')) {
        (1, _) => format!("{number} {noun}"),
        (_, Some(stem)) => format!("{number} {stem}ies"),
        _ if noun.ends_with("ch") => format!("{number} {noun}es"),
        _ => format!("{number} {noun}s"),
    }
}

fn tenths(number: u64, unit: u64) -> String {
    let tenths = (number * 10 + unit / 2) / unit;
    format!("{}.{}", tenths / 10, tenths % 10)
}

/// What people have typed, without what would move a terminal's cursor.
pub(crate) fn printable(text: &str) -> String {
    let start: String = text.chars().take(600).collect();
    start
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_a_unit_and_a_digit_after_the_point() {
        assert_eq!(
            [bytes(0), bytes(999), bytes(1000), bytes(1_790_152)],
            ["0 B", "999 B", "1.0 kB", "1.8 MB"]
        );
        assert_eq!([ratio(98, 10), ratio(0, 0)], ["9.8:1", "0.0:1"]);
        assert_eq!(
            [
                count(1, "batch"),
                count(2, "batch"),
                count(0, "event"),
                count(3, "query")
            ],
            ["1 batch", "2 batches", "0 events", "3 queries"]
        );
    }
}
