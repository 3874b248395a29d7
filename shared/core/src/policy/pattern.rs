//! The one wildcard matcher: `*` stands for any number of characters, `?` for exactly one.
//!
//! Actions, resources, conditions and [`ExternalIdPattern`](crate::external_id::ExternalIdPattern)
//! are all matched here. In documents of version 2012-10-17 a `${…}` is a policy variable, and
//! `${*}`, `${?}` and `${$}` are those characters themselves:
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html>.

use std::slice::Iter;
use std::str::Chars;

use super::request::Context;
use super::{CannotEvaluate, Version};

/// A text to match against, with its wildcards found and its variables filled in.
pub struct Pattern {
    tokens: Vec<Token>,
    ignore_case: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Token {
    Char(char),
    One,
    Any,
}

impl Pattern {
    /// A pattern in which `*` and `?` are wildcards and everything else is itself.
    ///
    /// ```
    /// use sealift_core::policy::pattern::Pattern;
    /// assert!(Pattern::with_wildcards("bt:org:*").matches("bt:org:project:suffix"));
    /// assert!(!Pattern::with_wildcards("bt:org:?").matches("bt:org:ab"));
    /// ```
    pub fn with_wildcards(text: &str) -> Self {
        Self {
            tokens: text.chars().map(wildcard).collect(),
            ignore_case: false,
        }
    }

    /// A pattern that may hold policy variables, which are filled in from the context. What a
    /// variable stands for is never read as a wildcard.
    pub(super) fn with_variables(
        text: &str,
        wildcards: bool,
        version: Version,
        context: &Context,
    ) -> Result<Self, CannotEvaluate> {
        let token = if wildcards { wildcard } else { Token::Char };
        let mut tokens = Vec::with_capacity(text.len());
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            match rest.strip_prefix("${") {
                Some(after) if version == Version::V2012 => {
                    let unclosed = || CannotEvaluate::Variable(after.to_owned());
                    let (name, after) = after.split_once('}').ok_or_else(unclosed)?;
                    tokens.extend(variable(name, context)?.chars().map(Token::Char));
                    rest = after;
                }
                _ => {
                    tokens.push(token(c));
                    rest = rest.strip_prefix(c).unwrap_or_default();
                }
            }
        }
        Ok(Self {
            tokens,
            ignore_case: false,
        })
    }

    /// The same pattern, blind to upper and lower case.
    #[must_use]
    pub fn ignoring_case(self) -> Self {
        Self {
            ignore_case: true,
            ..self
        }
    }

    /// Whether the whole text fits. Takes at most as many steps as the product of both lengths.
    pub fn matches(&self, text: &str) -> bool {
        fits(&self.tokens, text, self.ignore_case)
    }

    /// Whether each of the six parts of an ARN fits its own part of the pattern; `None` if the
    /// pattern does not have six parts.
    pub(super) fn matches_arn(&self, text: &str) -> Option<bool> {
        let colon = |token: &Token| *token == Token::Char(':');
        let patterns: Vec<_> = self.tokens.splitn(6, colon).collect();
        let parts: Vec<_> = text.splitn(6, ':').collect();
        (patterns.len() == 6).then(|| {
            let mut pairs = patterns.iter().zip(&parts);
            parts.len() == 6 && pairs.all(|(pattern, part)| fits(pattern, part, self.ignore_case))
        })
    }
}

fn wildcard(c: char) -> Token {
    match c {
        '*' => Token::Any,
        '?' => Token::One,
        c => Token::Char(c),
    }
}

/// What `${name}` or `${name, 'default'}` stands for.
fn variable<'a>(name: &'a str, context: &'a Context) -> Result<&'a str, CannotEvaluate> {
    if let "*" | "?" | "$" = name {
        return Ok(name);
    }
    let (key, default) = match name.split_once(", ") {
        Some((key, quoted)) => (
            key,
            quoted.strip_prefix('\'').and_then(|q| q.strip_suffix('\'')),
        ),
        None => (name, None),
    };
    match (context.values(key), default) {
        (Some([value]), _) => Ok(value),
        (None, Some(default)) => Ok(default),
        // AWS drops the statement if the key is absent. The caller's context may simply know
        // less than AWS does, so that would be a guess.
        _ => Err(CannotEvaluate::Variable(name.to_owned())),
    }
}

/// Goes back to the last `*` only, and lets it take one more character each time: an earlier
/// one never has to take more than it did, so there is no exponential search.
fn fits(tokens: &[Token], text: &str, ignore_case: bool) -> bool {
    let mut tokens = tokens.iter();
    let mut rest = text.chars();
    let mut last_star: Option<(Iter<'_, Token>, Chars<'_>)> = None;
    loop {
        let (mut next_tokens, mut next_rest) = (tokens.clone(), rest.clone());
        let went_on = match (next_tokens.next(), next_rest.next()) {
            (Some(Token::Any), _) => {
                last_star = Some((next_tokens.clone(), rest.clone()));
                tokens = next_tokens;
                continue;
            }
            (Some(Token::One), Some(_)) => true,
            (Some(Token::Char(a)), Some(b)) => same(*a, b, ignore_case),
            (None, None) => return true,
            (Some(_), None) => return false,
            (None, Some(_)) => false,
        };
        if went_on {
            (tokens, rest) = (next_tokens, next_rest);
            continue;
        }
        let Some((after_star, taken)) = &mut last_star else {
            return false;
        };
        taken.next();
        (tokens, rest) = (after_star.clone(), taken.clone());
    }
}

fn same(a: char, b: char, ignore_case: bool) -> bool {
    a == b || (ignore_case && a.to_lowercase().eq(b.to_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The definition, word for word, at exponential cost.
    fn reference(pattern: &[char], text: &[char]) -> bool {
        match (pattern.split_first(), text.split_first()) {
            (None, None) => true,
            (Some(('*', rest)), None) => reference(rest, text),
            (Some(('*', rest)), Some((_, shorter))) => {
                reference(rest, text) || reference(pattern, shorter)
            }
            (Some((p, rest)), Some((c, shorter))) => {
                (*p == '?' || p == c) && reference(rest, shorter)
            }
            _ => false,
        }
    }

    fn filled(text: &str, context: &Context) -> Result<Pattern, CannotEvaluate> {
        Pattern::with_variables(text, true, Version::V2012, context)
    }

    #[test]
    fn wildcards_stand_for_characters_not_bytes() {
        assert!(Pattern::with_wildcards("a?c").matches("aüc"));
        assert!(!Pattern::with_wildcards("a??c").matches("aüc"));
        assert!(Pattern::with_wildcards("*").matches(""));
        assert!(!Pattern::with_wildcards("?").matches(""));
    }

    #[test]
    fn a_hostile_pattern_costs_no_exponential_time() {
        let pattern = "a*".repeat(500) + "b";
        assert!(!Pattern::with_wildcards(&pattern).matches(&"a".repeat(2_000)));
    }

    #[test]
    fn case_counts_unless_it_is_ignored() {
        assert!(!Pattern::with_wildcards("s3:Put*").matches("S3:PUTOBJECT"));
        assert!(
            Pattern::with_wildcards("s3:Put*")
                .ignoring_case()
                .matches("S3:PUTOBJECT")
        );
    }

    #[test]
    fn an_escaped_character_is_itself() {
        let context = Context::default();
        let pattern = filled("a${*}b${?}c${$}d*", &context).unwrap();
        assert!(pattern.matches("a*b?c$d and more"));
        assert!(!pattern.matches("axb?c$d"));
        assert!(!pattern.matches("a*bxc$d"));
    }

    #[test]
    fn a_variables_value_is_no_wildcard() {
        let context = Context::default().with("aws:username", "*");
        let pattern = filled("home/${AWS:UserName}/*", &context).unwrap();
        assert!(pattern.matches("home/*/x"));
        assert!(!pattern.matches("home/adele/x"));
    }

    #[test]
    fn a_default_stands_in_for_an_absent_key_only() {
        let absent = Context::default();
        assert!(
            filled("${aws:userid, 'anonymous'}", &absent)
                .unwrap()
                .matches("anonymous")
        );
        let present = Context::default().with("aws:userid", "me");
        assert!(
            filled("${aws:userid, 'anonymous'}", &present)
                .unwrap()
                .matches("me")
        );
    }

    #[test]
    fn what_cannot_be_filled_in_is_an_error() {
        let many = Context::default().with_values("k", ["a", "b"]);
        for text in ["${aws:username}", "${unclosed", "${k}", "${a, default}"] {
            assert!(
                matches!(filled(text, &many), Err(CannotEvaluate::Variable(_))),
                "{text}"
            );
        }
    }

    #[test]
    fn the_old_language_version_knows_no_variables() {
        let pattern =
            Pattern::with_variables("${aws:username}", true, Version::V2008, &Context::default());
        assert!(pattern.unwrap().matches("${aws:username}"));
    }

    proptest! {
        #[test]
        fn it_agrees_with_the_definition(
            pattern in "[ab*?]{0,10}", text in "[ab]{0,10}",
        ) {
            let expected = reference(
                &pattern.chars().collect::<Vec<_>>(),
                &text.chars().collect::<Vec<_>>(),
            );
            prop_assert_eq!(Pattern::with_wildcards(&pattern).matches(&text), expected);
        }

        #[test]
        fn a_pattern_made_from_a_text_matches_it(
            parts in prop::collection::vec(("[ab?*ü]{0,4}", 0..3_u8), 0..6),
        ) {
            let mut pattern = String::new();
            let mut text = String::new();
            for (part, kind) in parts {
                text.push_str(&part);
                pattern.push_str(&match kind {
                    0 => part.replace(['*', '?'], "?"),
                    1 => "*".to_owned(),
                    _ => "?".repeat(part.chars().count()),
                });
            }
            prop_assert!(Pattern::with_wildcards(&pattern).matches(&text));
        }
    }
}
