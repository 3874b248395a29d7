//! The summary shape: one row for each trace.
//!
//! Documented (<https://www.braintrust.dev/docs/reference/sql>): the root span's fields, `scores`
//! averaged over all spans, and the `metrics` and `span_type_info` that are computed here. Not
//! documented, so our choice: that a summary has the root's other columns as well; that its
//! `_xact_id` is the greatest of its spans' (a summary changes whenever a span does); that sums
//! of nothing are 0 while times of nothing are absent; what marks a cached span
//! (`metrics.cached`). `input`, `output`, `expected`, `error` and `metadata` are previews in
//! Braintrust; how long they may be is unknown, so here they are whole.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Number, Value, json};

use super::row::Row;

/// What is read of a span.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Span {
    is_root: Option<bool>,
    error: Option<Value>,
    metrics: Option<Map<String, Value>>,
    scores: Option<BTreeMap<String, Option<f64>>>,
    #[serde(rename = "span_attributes")]
    attributes: Option<Attributes>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Attributes {
    r#type: Option<String>,
}

impl Span {
    fn is(&self, kind: &str) -> bool {
        let attributes = self.attributes.as_ref();
        attributes.and_then(|a| a.r#type.as_deref()) == Some(kind)
    }

    fn metric(&self, name: &str) -> Option<&Number> {
        self.metrics.as_ref()?.get(name)?.as_number()
    }

    fn time(&self, name: &str) -> Option<f64> {
        self.metric(name)?.as_f64()
    }

    fn duration(&self) -> Option<f64> {
        Some(self.time("end")? - self.time("start")?)
    }

    fn failed(&self) -> bool {
        self.error.is_some()
    }
}

/// A trace: its spans, and the one that stands for it.
pub(crate) struct Trace<'a> {
    pub(crate) root: &'a Row,
    spans: Vec<Span>,
    latest_xact: u64,
}

impl<'a> Trace<'a> {
    /// A trace of spans; `None` if there are none. Without a root span among them the earliest
    /// span stands for the trace (our choice).
    pub(crate) fn of(rows: &[&'a Row]) -> Option<Self> {
        let spans: Vec<Span> = rows
            .iter()
            .map(|row| serde_json::from_slice(&row.bytes).unwrap_or_default())
            .collect();
        let pairs = || rows.iter().zip(&spans);
        let root = pairs().find(|(_, span)| span.is_root == Some(true));
        let earliest = || {
            let start = |span: &Span| span.time("start").unwrap_or(f64::INFINITY);
            pairs().min_by(|(_, a), (_, b)| start(a).total_cmp(&start(b)))
        };
        let (root, _) = root.or_else(earliest)?;
        Some(Self {
            root,
            latest_xact: rows.iter().map(|row| row.position.xact).max()?,
            spans,
        })
    }

    /// The trace's row.
    pub(crate) fn summary(&self) -> Bytes {
        let mut columns: BTreeMap<String, Box<RawValue>> =
            serde_json::from_slice(&self.root.bytes).unwrap_or_default();
        for (name, value) in [
            ("_xact_id", json!(self.latest_xact.to_string())),
            ("metrics", Value::Object(self.metrics())),
            ("scores", self.scores()),
            ("span_type_info", self.span_type_info()),
        ] {
            if let Ok(value) = to_raw_value(&value) {
                columns.insert(name.to_owned(), value);
            }
        }
        serde_json::to_vec(&columns).unwrap_or_default().into()
    }

    fn scores(&self) -> Value {
        let mut sums: BTreeMap<&str, (f64, f64)> = BTreeMap::new();
        for (name, score) in self
            .spans
            .iter()
            .filter_map(|s| s.scores.as_ref())
            .flatten()
        {
            if let Some(score) = score {
                let (sum, count) = sums.entry(name).or_default();
                *sum += score;
                *count += 1.0;
            }
        }
        let means = sums
            .into_iter()
            .map(|(name, (sum, n))| (name.to_owned(), json!(sum / n)));
        Value::Object(means.collect())
    }

    fn metrics(&self) -> Map<String, Value> {
        let llm = || self.spans.iter().filter(|span| span.is("llm"));
        let tool = || self.spans.iter().filter(|span| span.is("tool"));
        let failed = |span: &&Span| span.failed();
        let (llm_errors, tool_errors) =
            (llm().filter(failed).count(), tool().filter(failed).count());
        let (prompt, completion) = (self.sum("prompt_tokens"), self.sum("completion_tokens"));
        let mut metrics = Map::new();
        let mut put = |name: &str, value: Value| metrics.insert(name.to_owned(), value);
        put("prompt_tokens", prompt.value());
        put("completion_tokens", completion.value());
        for name in ["prompt_cached_tokens", "prompt_cache_creation_tokens"] {
            put(name, self.sum(name).value());
        }
        put("total_tokens", prompt.plus(completion).value());
        put("llm_calls", json!(llm().count()));
        put("tool_calls", json!(tool().count()));
        put("llm_errors", json!(llm_errors));
        put("tool_errors", json!(tool_errors));
        put("errors", json!(llm_errors + tool_errors));
        put(
            "llm_duration",
            json!(llm().filter_map(Span::duration).sum::<f64>()),
        );
        // Real summaries compute it from prices; here it is there if spans say it.
        if self
            .spans
            .iter()
            .any(|s| s.metric("estimated_cost").is_some())
        {
            put("estimated_cost", self.sum("estimated_cost").value());
        }
        let times = |name| {
            self.spans
                .iter()
                .filter_map(move |span: &Span| span.time(name))
        };
        let start = times("start").min_by(f64::total_cmp);
        let end = times("end").max_by(f64::total_cmp);
        if let Some(start) = start {
            put("start", json!(start));
        }
        if let Some(end) = end {
            put("end", json!(end));
        }
        if let (Some(start), Some(end)) = (start, end) {
            // Newer documentation: the trace's elapsed time. Older: its longest span's.
            put("duration", json!(end - start));
        }
        let first_tokens: Vec<f64> = llm()
            .filter_map(|span| span.time("time_to_first_token"))
            .collect();
        if let Some(mean) = mean(&first_tokens) {
            put("time_to_first_token", json!(mean));
        }
        metrics
    }

    fn span_type_info(&self) -> Value {
        let cached = |span: &Span| span.time("cached").is_some_and(|cached| cached > 0.0);
        let mut llm = self.spans.iter().filter(|span| span.is("llm")).peekable();
        let attributes = serde_json::from_slice::<Value>(&self.root.bytes).ok();
        let attributes =
            attributes.and_then(|mut root| root.get_mut("span_attributes").map(Value::take));
        let mut info = match attributes {
            Some(Value::Object(attributes)) => attributes,
            _ => Map::new(),
        };
        info.insert(
            "cached".into(),
            json!(llm.peek().is_some() && llm.all(cached)),
        );
        info.insert(
            "has_error".into(),
            json!(self.spans.iter().any(Span::failed)),
        );
        Value::Object(info)
    }

    fn sum(&self, name: &str) -> Sum {
        let numbers = self.spans.iter().filter_map(|span| span.metric(name));
        numbers.fold(Sum::Whole(0), Sum::and)
    }
}

fn mean(values: &[f64]) -> Option<f64> {
    let count = u32::try_from(values.len())
        .ok()
        .filter(|count| *count > 0)?;
    Some(values.iter().sum::<f64>() / f64::from(count))
}

/// A sum that stays a whole number while its parts are.
#[derive(Debug, Clone, Copy)]
enum Sum {
    Whole(i64),
    Fraction(f64),
}

impl Sum {
    fn and(self, number: &Number) -> Self {
        self.plus(match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => Self::Whole(whole),
            (None, fraction) => Self::Fraction(fraction.unwrap_or(0.0)),
        })
    }

    fn plus(self, other: Self) -> Self {
        if let (Self::Whole(left), Self::Whole(right)) = (self, other)
            && let Some(sum) = left.checked_add(right)
        {
            return Self::Whole(sum);
        }
        Self::Fraction(self.number() + other.number())
    }

    fn number(self) -> f64 {
        match self {
            // Beyond 2^53 it rounds, as such a sum in JSON would for most readers.
            #[expect(clippy::cast_precision_loss, reason = "see above")]
            Self::Whole(whole) => whole as f64,
            Self::Fraction(fraction) => fraction,
        }
    }

    fn value(self) -> Value {
        match self {
            Self::Whole(whole) => json!(whole),
            Self::Fraction(fraction) => json!(fraction),
        }
    }
}
