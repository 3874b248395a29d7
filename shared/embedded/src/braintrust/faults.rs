//! Faults on demand: what a data plane does to a client on a bad day, at the request that a
//! test names.
//!
//! A [`Rule`] says which requests it concerns ([`Rule::on`], [`Rule::body_contains`]), how often
//! it strikes ([`Rule::times`], [`Rule::after`]) and what happens then ([`Effect`]). Rules are
//! tried in the order in which they were added; the first that strikes decides. They strike
//! once the API key is found right: a request without one is refused as ever.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::request_log::Endpoint;

/// What happens to a request that a rule strikes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// 429; nothing is performed.
    TooManyRequests {
        /// The header `Retry-After`, in seconds.
        retry_after: Option<u64>,
    },
    /// This status with Braintrust's `{"Message": …}`; nothing is performed.
    Status(u16),
    /// 400 with this text, as `text/plain`; nothing is performed.
    PlainBadRequest(String),
    /// No answer ever comes; nothing is performed.
    Stall,
    /// The answer stops after so many bytes of its body, and the connection stays open.
    StallBody {
        /// Bytes of the body that still arrive.
        after: usize,
    },
    /// The connection is closed without an answer, and nothing is performed.
    HangUp,
    /// The request is performed, then the connection is closed without an answer.
    LoseReply,
    /// The connection is closed after so many bytes of the answer's body.
    TearBody {
        /// Bytes of the body that still arrive.
        after: usize,
    },
    /// A query's answer is sent elsewhere (303), however small it is.
    Overflow,
    /// A query's answer has the cursor again that the query came with. Queries without a cursor
    /// are not struck.
    RepeatCursor,
    /// The last line of a `jsonl` answer is cut in its middle, and the answer ends there in good
    /// order.
    BreakLine,
}

impl Effect {
    /// Those that bend a query's answer strike nothing else.
    fn can_strike(&self, endpoint: Endpoint, body: &str) -> bool {
        let query = endpoint == Endpoint::Btql;
        match self {
            Self::Overflow | Self::BreakLine => query,
            Self::RepeatCursor => query && (body.contains("OFFSET") || body.contains("cursor:")),
            _ => true,
        }
    }
}

/// Which requests a fault strikes, and how often.
#[derive(Debug, Clone)]
pub struct Rule {
    effect: Effect,
    endpoint: Option<Endpoint>,
    part: Option<String>,
    spare: u64,
    times: Option<u64>,
}

impl Rule {
    /// A rule that strikes every request, until it is narrowed.
    pub fn new(effect: Effect) -> Self {
        Self {
            effect,
            endpoint: None,
            part: None,
            spare: 0,
            times: None,
        }
    }

    /// Only this endpoint.
    #[must_use]
    pub fn on(mut self, endpoint: Endpoint) -> Self {
        self.endpoint = Some(endpoint);
        self
    }

    /// Only requests whose body contains this.
    #[must_use]
    pub fn body_contains(mut self, part: &str) -> Self {
        self.part = Some(part.to_owned());
        self
    }

    /// Spares the first so many requests that match.
    #[must_use]
    pub fn after(mut self, spared: u64) -> Self {
        self.spare = spared;
        self
    }

    /// Strikes so many times at the most.
    #[must_use]
    pub fn times(mut self, times: u64) -> Self {
        self.times = Some(times);
        self
    }

    fn concerns(&self, endpoint: Endpoint, body: &str) -> bool {
        self.endpoint.is_none_or(|wanted| wanted == endpoint)
            && self.part.as_ref().is_none_or(|part| body.contains(part))
            && self.effect.can_strike(endpoint, body)
    }
}

/// A rule's name, to ask about it or take it away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RuleId(u64);

/// The rules in force.
#[derive(Debug, Default)]
pub struct Faults {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    rules: Vec<Active>,
    next: u64,
}

#[derive(Debug)]
struct Active {
    id: RuleId,
    rule: Rule,
    strikes: u64,
}

impl Faults {
    /// Puts a rule in force, after those that are.
    pub fn add(&self, rule: Rule) -> RuleId {
        let mut state = self.state();
        let id = RuleId(state.next);
        state.next += 1;
        state.rules.push(Active {
            id,
            rule,
            strikes: 0,
        });
        id
    }

    /// Takes a rule away. One that is gone already is no error.
    pub fn remove(&self, id: RuleId) {
        self.state().rules.retain(|active| active.id != id);
    }

    /// Takes all rules away.
    pub fn clear(&self) {
        self.state().rules.clear();
    }

    /// How often a rule has struck; zero for one that is gone.
    pub fn strikes(&self, id: RuleId) -> u64 {
        let state = self.state();
        let found = state.rules.iter().find(|active| active.id == id);
        found.map_or(0, |active| active.strikes)
    }

    pub(crate) fn decide(&self, endpoint: Endpoint, body: &str) -> Option<Effect> {
        let mut state = self.state();
        for active in &mut state.rules {
            let rule = &mut active.rule;
            let spent = rule.times.is_some_and(|times| active.strikes >= times);
            if spent || !rule.concerns(endpoint, body) {
                continue;
            }
            if rule.spare > 0 {
                rule.spare -= 1;
                continue;
            }
            active.strikes += 1;
            return Some(rule.effect.clone());
        }
        None
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
