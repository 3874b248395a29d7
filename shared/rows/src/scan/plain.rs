//! The bytes of a string that stand for themselves, many at a time.

/// What is left of a string from the first byte on that does not stand for itself: a quote, a
/// backslash, a control character.
#[inline]
pub(super) fn plain_end(mut rest: &[u8]) -> &[u8] {
    // Names and ids end soon; texts do not, and whole blocks of them are told apart at once.
    for _ in 0..2 {
        let Some((word, after)) = rest.split_first_chunk::<8>() else {
            return byte_by_byte(rest);
        };
        if let Some(index) = first_special(*word) {
            return rest.get(index..).unwrap_or_default();
        }
        rest = after;
    }
    while let Some((block, after)) = rest.split_first_chunk::<32>() {
        #[expect(
            clippy::needless_bitwise_bool,
            reason = "without a branch it becomes a few vector instructions"
        )]
        let special = |byte: &u8| (*byte < 0x20) | (*byte == b'"') | (*byte == b'\\');
        if block.iter().fold(false, |any, byte| any | special(byte)) {
            break;
        }
        rest = after;
    }
    while let Some((word, after)) = rest.split_first_chunk::<8>() {
        if let Some(index) = first_special(*word) {
            return rest.get(index..).unwrap_or_default();
        }
        rest = after;
    }
    byte_by_byte(rest)
}

fn byte_by_byte(rest: &[u8]) -> &[u8] {
    let special = |byte: &u8| matches!(byte, 0..0x20 | b'"' | b'\\');
    let index = rest.iter().position(special).unwrap_or(rest.len());
    rest.get(index..).unwrap_or_default()
}

/// The index of the first byte that is a quote, a backslash or a control character.
///
/// A subtraction borrows from a byte's high bit if the byte is small enough; the bytes above
/// may be marked wrongly then, the first one never.
/// Source: <https://graphics.stanford.edu/~seander/bithacks.html#ZeroInWord>
fn first_special(word: [u8; 8]) -> Option<usize> {
    const ONES: u64 = u64::MAX / 0xff;
    let word = u64::from_le_bytes(word);
    let quote = word ^ (ONES * 0x22);
    let backslash = word ^ (ONES * 0x5c);
    let marked = (word.wrapping_sub(ONES * 0x20) & !word)
        | (quote.wrapping_sub(ONES) & !quote)
        | (backslash.wrapping_sub(ONES) & !backslash);
    let marked = marked & (ONES << 7);
    (marked != 0).then(|| marked.trailing_zeros() as usize / 8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_ends_at_the_first_quote_wherever_it_stands() {
        for length in 0..100 {
            for special in ['"', '\\', '\u{1f}'] {
                let text = format!(
                    "{}{special}{}",
                    "é".repeat(length / 2) + &"x".repeat(length % 2),
                    "\"y".repeat(20)
                );
                let end = text.len() - 41;
                assert_eq!(plain_end(text.as_bytes()), &text.as_bytes()[end..]);
            }
        }
    }
}
