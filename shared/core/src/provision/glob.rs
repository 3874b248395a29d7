//! Patterns of names: `*` stands for any text, `?` for one character, the rest for itself.

/// Whether the whole of a text fits a pattern. Case counts.
///
/// ```
/// use sealift_core::provision::glob::matches;
/// assert!(matches("scratch-*", "scratch-anna"));
/// assert!(!matches("scratch-*", "my scratch-anna"));
/// assert!(matches("v?", "v2"));
/// ```
pub fn matches(pattern: &str, text: &str) -> bool {
    // Where the last `*` stands, and what it has swallowed so far: the only place to go back
    // to, so the time is bounded by the product of the lengths.
    let (mut pattern, mut text) = (pattern.chars(), text.chars());
    let mut back: Option<(std::str::Chars<'_>, std::str::Chars<'_>)> = None;
    loop {
        match (pattern.next(), text.clone().next()) {
            (Some('*'), _) => back = Some((pattern.clone(), text.clone())),
            (None, None) => return true,
            (Some(wanted), Some(is)) if wanted == '?' || wanted == is => {
                text.next();
            }
            _ => {
                let Some((after, swallowed)) = &mut back else {
                    return false;
                };
                if swallowed.next().is_none() {
                    return false;
                }
                pattern = after.clone();
                text = swallowed.clone();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::matches;
    use proptest::prelude::*;

    /// The same by definition, in exponential time.
    fn by_definition(pattern: &[char], text: &[char]) -> bool {
        match (pattern.split_first(), text.split_first()) {
            (None, None) => true,
            (Some((&'*', rest)), _) => {
                (0..=text.len()).any(|skip| by_definition(rest, &text[skip..]))
            }
            (Some((wanted, rest)), Some((is, others))) => {
                (*wanted == '?' || wanted == is) && by_definition(rest, others)
            }
            _ => false,
        }
    }

    #[test]
    fn a_pattern_is_of_the_whole_name() {
        for (pattern, text, expected) in [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("a*b*c", "axxbyybzc", true),
            ("a*b*c", "axxbyybz", false),
            ("**", "a", true),
            ("?", "🚢", true),
            ("*-test", "a-test-b", false),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    proptest! {
        #[test]
        fn it_fits_as_the_definition_says(pattern in "[ab*?]{0,7}", text in "[ab]{0,9}") {
            let (p, t): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
            prop_assert_eq!(matches(&pattern, &text), by_definition(&p, &t));
        }
    }
}
