//! Faults on demand: what AWS does to a client on a bad day, at the request that a test names.
//!
//! A [`Rule`] says which requests it concerns ([`Rule::on`], [`Rule::bucket`], …), how often it
//! strikes ([`Rule::times`], [`Rule::after`], [`Rule::with_probability`]) and what happens
//! then ([`Effect`]). Rules are tried in the order in which they were added; the first that strikes
//! decides, except that [`Effect::Latency`] only delays and lets the later rules have their say.
//!
//! Faults strike after the signature is verified and before permissions are: a request that
//! nobody signed is refused, not slowed down.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What happens to a request that a rule strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// 503 `SlowDown` from S3, 400 `Throttling` from STS; nothing is performed.
    SlowDown,
    /// 500 `InternalError` from S3, 500 `InternalFailure` from STS; nothing is performed.
    InternalError,
    /// 409 `ConditionalRequestConflict`, as S3 answers when another conditional write on the
    /// key is under way; nothing is performed.
    Conflict,
    /// 412 `PreconditionFailed`; nothing is performed.
    PreconditionFailed,
    /// 403 `AccessDenied`; nothing is performed.
    AccessDenied,
    /// The request is performed, then the connection is closed without an answer.
    LoseReply,
    /// The connection is closed without an answer and nothing is performed.
    TearBefore,
    /// The request is performed and the answer begun; the connection is closed after so many
    /// bytes of its body.
    TearBody {
        /// Bytes of the body that still arrive.
        after: u64,
    },
    /// The request waits first, by the handed-in clock.
    Latency(Duration),
}

/// Which requests a fault strikes, and how.
#[derive(Debug, Clone)]
pub struct Rule {
    effect: Effect,
    operation: Option<String>,
    bucket: Option<String>,
    key_prefix: Option<String>,
    key_part: Option<String>,
    spare: u64,
    times: Option<u64>,
    probability: Option<f64>,
}

impl Rule {
    /// A rule that strikes every request, until it is narrowed.
    pub fn new(effect: Effect) -> Self {
        Self {
            effect,
            operation: None,
            bucket: None,
            key_prefix: None,
            key_part: None,
            spare: 0,
            times: None,
            probability: None,
        }
    }

    /// Only this operation, by AWS's name: `PutObject`, `AssumeRole`.
    #[must_use]
    pub fn on(mut self, operation: &str) -> Self {
        self.operation = Some(operation.to_owned());
        self
    }

    /// Only this bucket.
    #[must_use]
    pub fn bucket(mut self, bucket: &str) -> Self {
        self.bucket = Some(bucket.to_owned());
        self
    }

    /// Only keys that begin so. For `AssumeRole` the key is the role's ARN.
    #[must_use]
    pub fn key_prefix(mut self, prefix: &str) -> Self {
        self.key_prefix = Some(prefix.to_owned());
        self
    }

    /// Only keys that contain this. For `AssumeRole` the key is the role's ARN.
    #[must_use]
    pub fn key_contains(mut self, part: &str) -> Self {
        self.key_part = Some(part.to_owned());
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

    /// Strikes a matching request with this probability, 0.0 to 1.0, drawn from the seeded
    /// generator ([`Faults::seed`]).
    #[must_use]
    pub fn with_probability(mut self, probability: f64) -> Self {
        self.probability = Some(probability);
        self
    }

    fn concerns(&self, target: &Target<'_>) -> bool {
        let equal = |wanted: &Option<String>, is: &str| wanted.as_ref().is_none_or(|w| w == is);
        equal(&self.operation, target.operation)
            && equal(&self.bucket, target.bucket)
            && self
                .key_prefix
                .as_ref()
                .is_none_or(|p| target.key.starts_with(p.as_str()))
            && self
                .key_part
                .as_ref()
                .is_none_or(|p| target.key.contains(p.as_str()))
    }
}

/// A rule's name, to ask about it or take it away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RuleId(u64);

/// What a request is aimed at, as the rules see it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target<'a> {
    pub(crate) operation: &'a str,
    pub(crate) bucket: &'a str,
    pub(crate) key: &'a str,
}

/// What the rules say of one request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) delay: Duration,
    pub(crate) effect: Option<Effect>,
}

/// The rules in force.
#[derive(Debug, Default)]
pub struct Faults {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    rules: Vec<Active>,
    next: u64,
    random: u64,
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

    /// Starts the generator behind [`Rule::with_probability`] anew: the same seed and the
    /// same requests give the same faults. It starts at zero.
    pub fn seed(&self, seed: u64) {
        self.state().random = seed;
    }

    pub(crate) fn decide(&self, target: &Target<'_>) -> Verdict {
        let mut state = self.state();
        let State { rules, random, .. } = &mut *state;
        let mut verdict = Verdict::default();
        for active in rules {
            let rule = &mut active.rule;
            if !rule.concerns(target) || rule.times.is_some_and(|times| active.strikes >= times) {
                continue;
            }
            if rule.spare > 0 {
                rule.spare -= 1;
                continue;
            }
            if rule.probability.is_some_and(|p| draw(random) >= p) {
                continue;
            }
            active.strikes += 1;
            match rule.effect {
                Effect::Latency(delay) => verdict.delay += delay,
                effect => {
                    verdict.effect = Some(effect);
                    break;
                }
            }
        }
        verdict
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The next number in 0.0..1.0, by SplitMix64.
///
/// Source: <https://prng.di.unimi.it/splitmix64.c>
fn draw(state: &mut u64) -> f64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^= z >> 31;
    // 32 bits are exact in a double, and more than a test can tell apart.
    f64::from(u32::try_from(z >> 32).unwrap_or(u32::MAX)) / 4_294_967_296.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target<'a>(operation: &'a str, bucket: &'a str, key: &'a str) -> Target<'a> {
        Target {
            operation,
            bucket,
            key,
        }
    }

    #[test]
    fn a_rule_strikes_only_what_it_names_and_as_often_as_it_says() {
        let faults = Faults::default();
        let rule = Rule::new(Effect::SlowDown)
            .on("PutObject")
            .bucket("b")
            .key_prefix("log/")
            .key_contains("7")
            .after(1)
            .times(2);
        let id = faults.add(rule);
        for (operation, bucket, key) in [
            ("GetObject", "b", "log/7"),
            ("PutObject", "c", "log/7"),
            ("PutObject", "b", "lag/7"),
            ("PutObject", "b", "log/8"),
        ] {
            assert_eq!(
                faults.decide(&target(operation, bucket, key)),
                Verdict::default()
            );
        }
        let hits: Vec<bool> = (0..5)
            .map(|_| {
                faults
                    .decide(&target("PutObject", "b", "log/7"))
                    .effect
                    .is_some()
            })
            .collect();
        assert_eq!(hits, [false, true, true, false, false]);
        assert_eq!(faults.strikes(id), 2);
    }

    #[test]
    fn latency_adds_up_and_lets_a_later_rule_decide() {
        let faults = Faults::default();
        faults.add(Rule::new(Effect::Latency(Duration::from_secs(1))));
        faults.add(Rule::new(Effect::Latency(Duration::from_secs(2))));
        faults.add(Rule::new(Effect::Conflict));
        faults.add(Rule::new(Effect::SlowDown));
        let verdict = faults.decide(&target("PutObject", "b", "k"));
        assert_eq!(verdict.delay, Duration::from_secs(3));
        assert_eq!(verdict.effect, Some(Effect::Conflict));
    }

    #[test]
    fn one_seed_gives_one_series_of_faults() {
        let series = |seed| {
            let faults = Faults::default();
            faults.seed(seed);
            faults.add(Rule::new(Effect::SlowDown).with_probability(0.3));
            (0..1000)
                .map(|_| {
                    faults
                        .decide(&target("PutObject", "b", "k"))
                        .effect
                        .is_some()
                })
                .collect::<Vec<_>>()
        };
        assert_eq!(series(7), series(7));
        assert_ne!(series(7), series(8));
        let hits = series(7).into_iter().filter(|hit| *hit).count();
        assert!((250..350).contains(&hits), "{hits}");
    }
}
