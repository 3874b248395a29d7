//! Reads as much of Markdown as this project's pages use.

use std::collections::{BTreeMap, BTreeSet};

/// The text below a heading of the second level, up to the next one.
pub(crate) fn section<'a>(page: &'a str, title: &str) -> &'a str {
    let heading = format!("\n## {title}\n");
    let (_, rest) = page
        .split_once(&heading)
        .unwrap_or_else(|| panic!("there is no heading {title:?}"));
    rest.split("\n## ").next().unwrap()
}

/// What stands in backticks in the first column of tables, where nothing else does.
pub(crate) fn first_column(text: &str) -> Vec<String> {
    let cell = |line: &str| {
        let cell = line.strip_prefix("| `")?.split_once("` |")?.0;
        Some(cell.to_owned())
    };
    text.lines().filter_map(cell).collect()
}

/// What stands in backticks.
pub(crate) fn code_spans(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// The fenced blocks that are marked as examples, by their names.
pub(crate) fn examples(page: &str) -> BTreeMap<&str, String> {
    let mut found = BTreeMap::new();
    for marked in page.split("<!-- example: ").skip(1) {
        let (name, rest) = marked.split_once(" -->\n```").unwrap();
        let (_language, rest) = rest.split_once('\n').unwrap();
        let (content, _) = rest.split_once("\n```\n").unwrap();
        let before = found.insert(name, content.to_owned());
        assert_eq!(before, None, "two examples are named {name}");
    }
    found
}

/// The lines that are no code.
fn prose(page: &str) -> impl Iterator<Item = &str> {
    let mut fenced = false;
    page.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        !fenced && !fence
    })
}

/// The targets of links.
pub(crate) fn links(page: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for line in prose(page) {
        let targets = line.split("](").skip(1);
        found.extend(targets.filter_map(|rest| Some(rest.split_once(')')?.0)));
    }
    found
}

/// The anchors of headings, as GitHub makes them: lower case, spaces as hyphens, and of the
/// rest letters, digits, `-` and `_` only.
pub(crate) fn anchors(page: &str) -> BTreeSet<String> {
    let anchor = |line: &str| {
        let title = line.trim_start_matches('#').strip_prefix(' ')?;
        let kept = title.chars().filter_map(|c| match c {
            ' ' => Some('-'),
            '-' | '_' => Some(c),
            c => c.is_alphanumeric().then_some(c),
        });
        Some(kept.collect::<String>().to_lowercase())
    };
    let headings = prose(page).filter(|line| line.starts_with('#'));
    headings.filter_map(anchor).collect()
}
