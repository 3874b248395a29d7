//! Braintrust's automations, on a data plane that the test has fail as it wants.

use std::collections::VecDeque;
use std::future::pending;

use sealift_core::id::XactId;
use sealift_core::provision::Seen;
use sealift_core::provision::remote::{Made, RegistrationError, Remote, Standing};
use sealift_core::provision::template::Request;
use serde_json::Value;

use super::*;

/// How a request goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    Well,
    Denied,
    Throttled,
    /// It is not done, and that is not known.
    Undone,
    /// It is done, and its reply is lost.
    LosesReply,
    KilledBefore,
    KilledAfter,
}

type Decide = dyn FnMut(&str) -> Turn + Send;

#[derive(Clone, Default)]
pub(super) struct Plane(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    automations: Vec<(ProjectId, Seen)>,
    /// Where their cursors were set, each time.
    resets: BTreeMap<AutomationId, Vec<XactId>>,
    /// What was asked, in order: `create p1`.
    asked: Vec<String>,
    decide: Option<Box<Decide>>,
    /// It answers without numbers.
    silent: bool,
    /// It is of a version that knows no cursors.
    old: bool,
    created: usize,
}

/// What a caller learns.
enum Broken {
    Told(SourceError),
    Lost(Failure),
}

impl Broken {
    fn into_source(self) -> SourceError {
        match self {
            Self::Told(error) => error,
            Self::Lost(failure) => SourceError::Transient(failure),
        }
    }
}

impl Plane {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// From now on `decide` decides; it is handed `create p1`, and may do something itself.
    pub(super) fn set(&self, decide: impl FnMut(&str) -> Turn + Send + 'static) {
        self.state().decide = Some(Box::new(decide));
    }

    pub(super) fn calm(&self) {
        self.state().decide = None;
    }

    /// The first requests of the kind go as told; all else goes well.
    pub(super) fn first(&self, kind: &'static str, turns: impl Into<VecDeque<Turn>>) {
        let mut turns = turns.into();
        self.set(move |asked| match asked.starts_with(kind) {
            true => turns.pop_front().unwrap_or(Turn::Well),
            false => Turn::Well,
        });
    }

    pub(super) fn be_silent(&self, silent: bool) {
        self.state().silent = silent;
    }

    pub(super) fn be_old(&self) {
        self.state().old = true;
    }

    /// What was asked since the last time.
    pub(super) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.state().asked)
    }

    /// Somebody creates one by hand.
    pub(super) fn put(&self, project_id: &str, id: &str, name: &str, config: Value) {
        let seen = Seen {
            id: AutomationId::parse(id).unwrap(),
            name: name.to_owned(),
            config,
        };
        self.state().automations.push((project(project_id), seen));
    }

    /// Somebody registers one by hand.
    pub(super) fn reset(&self, id: &str) {
        let id = AutomationId::parse(id).unwrap();
        let mut state = self.state();
        state.resets.entry(id).or_default().push(XactId::ZERO);
    }

    pub(super) fn of(&self, id: &str) -> Vec<Seen> {
        let state = self.state();
        let of = state.automations.iter().filter(|(p, _)| *p == project(id));
        of.map(|(_, seen)| seen.clone()).collect()
    }

    /// Where the cursors were set, each time, of all automations of a project.
    pub(super) fn resets(&self, id: &str) -> Vec<XactId> {
        let ids: Vec<AutomationId> = self.of(id).into_iter().map(|seen| seen.id).collect();
        let state = self.state();
        let resets = ids.iter().filter_map(|id| state.resets.get(id));
        resets.flatten().copied().collect()
    }

    async fn turn<T>(
        &self,
        asked: String,
        deed: impl FnOnce(&mut State) -> T,
    ) -> Result<T, Broken> {
        let decide = {
            let mut state = self.state();
            state.asked.push(asked.clone());
            state.decide.take()
        };
        // It is not locked while the test decides: somebody else may be at work meanwhile.
        let turn = match decide {
            None => Turn::Well,
            Some(mut decide) => {
                let turn = decide(&asked);
                self.state().decide.get_or_insert(decide);
                turn
            }
        };
        let said = |code: &str, message: &str| Failure {
            operation: asked.clone(),
            target: "the API".to_owned(),
            code: code.to_owned(),
            message: message.to_owned(),
            request_id: format!("trace-{}", self.state().asked.len()),
        };
        match turn {
            Turn::Denied => {
                let failure = said("HTTP 403", "you may not");
                return Err(Broken::Told(SourceError::Denied(failure)));
            }
            Turn::Throttled => {
                return Err(Broken::Told(SourceError::Throttled {
                    failure: said("HTTP 429", "slow down"),
                    retry_after: Some(Duration::from_mins(2)),
                }));
            }
            Turn::Undone => return Err(Broken::Lost(said("", "connection reset"))),
            Turn::KilledBefore => pending().await,
            Turn::Well | Turn::LosesReply | Turn::KilledAfter => {}
        }
        let done = deed(&mut self.state());
        match turn {
            Turn::LosesReply => Err(Broken::Lost(said("", "connection reset"))),
            Turn::KilledAfter => pending().await,
            _ => Ok(done),
        }
    }
}

impl Remote for Plane {
    async fn automations(&self, project: &ProjectId) -> Result<Vec<Seen>, SourceError> {
        let of = |state: &mut State| {
            let of = state.automations.iter().filter(|(p, _)| p == project);
            of.map(|(_, seen)| seen.clone()).collect()
        };
        let listed: Result<Vec<Seen>, Broken> = self.turn(format!("list {project}"), of).await;
        let listed = listed.map_err(Broken::into_source)?;
        if !listed.is_empty() {
            // The empty page behind them.
            self.state().asked.push(format!("list {project}"));
        }
        Ok(listed)
    }

    async fn create(&self, request: &Request<'_>) -> Result<Made, SourceError> {
        let project = request.project_id;
        let deed = |state: &mut State| {
            let named = |(p, seen): &&(ProjectId, Seen)| p == project && seen.name == request.name;
            if let Some((_, there)) = state.automations.iter().find(named) {
                return Made {
                    automation: there.clone(),
                    existed: true,
                };
            }
            state.created += 1;
            let automation = Seen {
                id: AutomationId::parse(format!("remote-{}", state.created)).unwrap(),
                name: request.name.to_owned(),
                config: serde_json::to_value(&request.config).unwrap(),
            };
            state
                .automations
                .push((project.clone(), automation.clone()));
            Made {
                automation,
                existed: false,
            }
        };
        let made = self.turn(format!("create {project}"), deed).await;
        made.map_err(Broken::into_source)
    }

    fn has_cursors(&self) -> bool {
        !self.state().old
    }

    async fn standing(
        &self,
        id: &AutomationId,
        project: &ProjectId,
    ) -> Result<Standing, SourceError> {
        let deed = |state: &mut State| {
            assert!(!state.old, "it knows no cursors");
            if state.silent {
                return Standing::default();
            }
            let count = u64::from(state.resets.contains_key(id));
            Standing {
                objects: Some(count),
                segments: Some(count),
                ..Standing::default()
            }
        };
        let standing = self.turn(format!("ask {project}"), deed).await;
        self.state().asked.push(format!("ask {project}"));
        standing.map_err(Broken::into_source)
    }

    async fn register(
        &self,
        id: &AutomationId,
        project: &ProjectId,
        start: XactId,
    ) -> Result<(), RegistrationError> {
        let deed = |state: &mut State| state.resets.entry(id.clone()).or_default().push(start);
        let done = self.turn(format!("register {project}"), deed).await;
        done.map_err(|broken| match broken {
            Broken::Told(error) => RegistrationError::NotDone(error),
            Broken::Lost(failure) => RegistrationError::Unknown(failure),
        })
    }

    fn requests(&self) -> u64 {
        // What is taken off by `asked` was asked all the same, but no test needs it during a call.
        u64::try_from(self.state().asked.len()).unwrap()
    }
}
