//! What is left out of an entry so that it fits on the bus.
//!
//! An entry that is too large would not be told at all, and what it tells of has happened all
//! the same. So it is cut, what is largest first and no more than must be, and says where:
//!
//! 1. A long text becomes `{"left_out_bytes": …, "begins": "…"}`.
//! 2. A large field becomes `{"left_out_bytes": …}`.
//! 3. Of very many fields the largest go, and `left_out_fields` and `left_out_bytes` stand
//!    among the others.
//!
//! Bytes are those of the JSON that is not there. Whoever tells the same again cuts it alike.

use std::cmp::Reverse;

use serde_json::{Map, Value, json};

/// The most bytes of an entry's `detail`.
///
/// A bus takes requests of less than 1 MB, but 256 KB in some regions, and so does a queue; the
/// rest is for the envelope that AWS puts around it.
///
/// Source: <https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-putevents.html>,
/// <https://docs.amazonaws.cn/en_us/eventbridge/latest/userguide/eb-putevent-size.html>
pub const MOST_BYTES: usize = 240 * 1024;

/// The longest id or name, in characters.
const LONGEST_NAME: usize = 1024;

/// Texts of more bytes are the first to be cut.
const LONG_TEXT: usize = 4 * 1024;

/// What a field must have at least for cutting it alone to be worth its mark, in bytes.
const LARGE_FIELD: usize = 1024;

/// How much of a text is kept, in characters.
const BEGINNING: usize = 256;

/// What the mark of left-out fields takes at most, in bytes.
const MARK: usize = 100;

const LEFT_OUT_BYTES: &str = "left_out_bytes";
const LEFT_OUT_FIELDS: &str = "left_out_fields";

/// An id or a name, or the beginning of a very long one.
pub(super) fn name(text: String) -> String {
    match text.char_indices().nth(LONGEST_NAME) {
        None => text,
        Some((end, _)) => {
            let kept = text.get(..end).unwrap_or_default();
            let left_out = text.len().saturating_sub(end);
            format!("{kept}… ({LEFT_OUT_BYTES}: {left_out})")
        }
    }
}

/// Takes so many bytes out of the parts together, or more; all that can be, if there are fewer.
pub(super) fn cut(parts: &mut [Value], mut excess: usize) {
    let mut texts: Vec<(usize, &mut Value)> = Vec::new();
    for part in &mut *parts {
        long_texts(part, &mut texts);
    }
    excess = replace(texts, excess);
    let mut fields: Vec<(usize, &mut Value)> = Vec::new();
    for part in &mut *parts {
        match part {
            Value::Object(inner) => fields.extend(inner.values_mut().map(sized)),
            other => fields.push(sized(other)),
        }
    }
    fields.retain(|(size, _)| *size > LARGE_FIELD);
    excess = replace(fields, excess);
    if excess > 0 {
        drop_fields(parts, excess);
    }
}

fn sized(value: &mut Value) -> (usize, &mut Value) {
    (size(value), value)
}

/// The bytes of its JSON.
pub(super) fn size(value: &Value) -> usize {
    serde_json::to_vec(value).map_or(0, |bytes| bytes.len())
}

fn long_texts<'a>(value: &'a mut Value, found: &mut Vec<(usize, &'a mut Value)>) {
    match value {
        Value::Object(fields) => fields
            .values_mut()
            .for_each(|value| long_texts(value, found)),
        Value::Array(values) => values.iter_mut().for_each(|value| long_texts(value, found)),
        Value::String(text) if text.len() > LONG_TEXT => found.push(sized(value)),
        _ => {}
    }
}

/// Puts marks in the place of values, the largest first, until it is enough. Tells what is still
/// too much.
fn replace(mut values: Vec<(usize, &mut Value)>, mut excess: usize) -> usize {
    // The sort is stable, so that values of one size are cut in their order.
    values.sort_by_key(|(size, _)| Reverse(*size));
    for (before, value) in values {
        if excess == 0 {
            break;
        }
        let mark = match &*value {
            Value::String(text) => {
                let begins: String = text.chars().take(BEGINNING).collect();
                let left_out = text.len().saturating_sub(begins.len());
                json!({LEFT_OUT_BYTES: left_out, "begins": begins})
            }
            _ => json!({LEFT_OUT_BYTES: before}),
        };
        if let Some(saved) = before.checked_sub(size(&mark)) {
            *value = mark;
            excess = excess.saturating_sub(saved);
        }
    }
    excess
}

/// Takes out whole fields, the largest first.
fn drop_fields(parts: &mut [Value], excess: usize) {
    let mut fields = Vec::new();
    for (part, value) in parts.iter().enumerate() {
        for (name, value) in value.as_object().into_iter().flatten() {
            // With the name's quotes, the colon and the comma.
            let bytes = size(value).saturating_add(quoted(name)).saturating_add(2);
            fields.push((part, name.clone(), bytes));
        }
    }
    fields.sort_by_key(|(_, _, bytes)| Reverse(*bytes));
    let mut excess = excess.saturating_add(MARK.saturating_mul(parts.len()));
    let mut dropped = vec![(0_usize, 0_usize); parts.len()];
    for (part, name, bytes) in fields {
        if excess == 0 {
            break;
        }
        let taken = parts.get_mut(part).and_then(Value::as_object_mut);
        if taken.and_then(|fields| fields.remove(&name)).is_some() {
            excess = excess.saturating_sub(bytes);
            if let Some((count, total)) = dropped.get_mut(part) {
                *count = count.saturating_add(1);
                *total = total.saturating_add(bytes);
            }
        }
    }
    for (part, (count, bytes)) in parts.iter_mut().zip(dropped) {
        if let (Some(fields), 1..) = (part.as_object_mut(), count) {
            mark(fields, count, bytes);
        }
    }
}

fn mark(fields: &mut Map<String, Value>, count: usize, bytes: usize) {
    fields.insert(LEFT_OUT_FIELDS.to_owned(), json!(count));
    fields.insert(LEFT_OUT_BYTES.to_owned(), json!(bytes));
}

/// The bytes of a name in JSON.
fn quoted(name: &str) -> usize {
    serde_json::to_vec(name).map_or(0, |bytes| bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn total(parts: &[Value]) -> usize {
        parts.iter().map(size).sum()
    }

    #[test]
    fn a_long_text_is_cut_to_its_beginning_and_its_neighbours_stay() {
        let query = "select ".repeat(10_000);
        let config = json!({"config": {"query": query, "format": "jsonl"}, "name": "n"});
        let mut parts = [config, json!({"message": "m"})];
        cut(&mut parts, 20_000);
        assert_eq!(parts[0]["config"]["query"]["left_out_bytes"], 70_000 - 256);
        let begins = parts[0]["config"]["query"]["begins"].as_str().unwrap();
        assert!(query.starts_with(begins) && begins.len() == 256);
        assert_eq!(parts[0]["config"]["format"], "jsonl");
        assert_eq!(parts[1], json!({"message": "m"}));
    }

    #[test]
    fn the_largest_is_cut_first_and_no_more_than_must_be() {
        let list = |n: usize| vec![7; n];
        let mut parts = [json!({"small": list(1000), "large": list(3000), "more": list(2000)})];
        cut(&mut parts, 5000);
        assert_eq!(parts[0]["large"], json!({"left_out_bytes": 6001}));
        assert_eq!(parts[0]["more"], json!(list(2000)));
        assert_eq!(parts[0]["small"], json!(list(1000)));
    }

    #[test]
    fn of_many_small_fields_as_many_go_as_must_and_are_counted() {
        let fields: Map<String, Value> =
            (0..10_000).map(|n| (format!("{n:05}"), json!(n))).collect();
        let mut parts = [Value::Object(fields), Value::Null];
        let before = total(&parts);
        cut(&mut parts, before - 50_000);
        assert!(total(&parts) <= 50_000, "{}", total(&parts));
        assert!(total(&parts) > 49_000, "{}", total(&parts));
        let kept = parts[0].as_object().unwrap().len() - 2;
        assert_eq!(parts[0]["left_out_fields"], 10_000 - kept);
    }

    #[test]
    fn what_is_no_object_is_cut_as_one_field() {
        let mut parts = [json!(vec![1; 5000]), json!("x".repeat(9000))];
        cut(&mut parts, 18_000);
        assert_eq!(parts[0], json!({"left_out_bytes": 10_001}));
        assert_eq!(parts[1]["left_out_bytes"], 9000 - 256);
    }

    #[test]
    fn a_long_name_is_cut_between_characters() {
        assert_eq!(name("short".to_owned()), "short");
        let cut = name("ü".repeat(2000));
        assert!(
            cut.starts_with("üü") && cut.ends_with("… (left_out_bytes: 1952)"),
            "{cut}"
        );
    }
}
