//! Who there is and what they may do: the platform's own account, roles, users with access
//! keys, and the sessions that STS has issued.
//!
//! Roles and users are kept in `iam/registry.json` of the data directory, readable by its owner
//! alone, for it holds secrets. Sessions live in memory: after a restart their holders assume
//! their roles anew.
//!
//! The registry decides nothing by itself: what documents say is the business of
//! [`sealift_core::policy`].

mod caller;
mod registry;

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use jiff::{SignedDuration, Timestamp};
use sealift_core::id::{AccountId, RoleArn};
use sealift_core::ports::Entropy;

pub(crate) use caller::{Answer, Caller, Context};
pub use registry::{IamError, Secret, User};
use registry::{Policy, Registry, Role};

/// The account that runs Sealift, with the credentials of its root: they may do anything in the
/// account's own buckets and nothing in another's.
#[derive(Debug, Clone)]
pub struct Platform {
    /// The account.
    pub account: AccountId,
    /// Its access key id.
    pub access_key_id: String,
    /// Its secret access key.
    pub secret_access_key: Secret,
}

/// How long an expired session is remembered, so that its holder hears `ExpiredToken` and not
/// that the key is unknown.
const REMEMBERED: SignedDuration = SignedDuration::from_hours(24);

/// The registry of identities.
pub struct Iam {
    file: PathBuf,
    platform: Platform,
    entropy: Arc<dyn Entropy>,
    registry: RwLock<Registry>,
    sessions: RwLock<HashMap<String, Session>>,
}

/// What STS hands out.
#[derive(Debug, Clone)]
pub(crate) struct Issued {
    pub(crate) access_key_id: String,
    pub(crate) secret_access_key: Secret,
    pub(crate) session_token: Secret,
    pub(crate) expires: Timestamp,
    pub(crate) assumed_role_arn: String,
    pub(crate) assumed_role_id: String,
}

struct Session {
    issued: Issued,
    role: RoleArn,
    policy: Option<Arc<Policy>>,
}

/// Why a signature's key does not make a caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Nobody has this key.
    UnknownKey,
    /// The session's token is missing, or another's.
    WrongToken,
    /// The session is over.
    Expired,
}

impl Iam {
    pub(crate) fn open(
        folder: &Path,
        platform: Platform,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, IamError> {
        let file = folder.join("registry.json");
        Ok(Self {
            registry: RwLock::new(Registry::load(&file)?),
            file,
            platform,
            entropy,
            sessions: RwLock::default(),
        })
    }

    /// The account that runs Sealift.
    pub fn platform_account(&self) -> &AccountId {
        &self.platform.account
    }

    /// Creates a role with its trust policy and its permission policies, by name.
    ///
    /// [`IamError::Exists`] if there is one, [`IamError::MalformedPolicy`] if a document cannot
    /// be read.
    pub fn create_role(
        &self,
        arn: &RoleArn,
        trust: &str,
        permissions: &[(&str, &str)],
    ) -> Result<(), IamError> {
        let role = Role {
            unique_id: self.unique_id("AROA"),
            trust: Policy::parse("trust policy", trust)?,
            policies: permissions
                .iter()
                .map(|(name, text)| Ok(((*name).to_owned(), Policy::parse(name, text)?.into())))
                .collect::<Result<BTreeMap<_, _>, IamError>>()?,
        };
        self.change(|registry| {
            if registry.roles.contains_key(arn) {
                return Err(IamError::Exists(arn.to_string()));
            }
            registry.roles.insert(arn.clone(), role);
            Ok(())
        })
    }

    /// Whether there is such a role.
    pub fn has_role(&self, arn: &RoleArn) -> bool {
        self.registry().roles.contains_key(arn)
    }

    /// Replaces a role's trust policy. Sessions that are out stay valid, as on AWS.
    pub fn update_trust_policy(&self, arn: &RoleArn, trust: &str) -> Result<(), IamError> {
        let trust = Policy::parse("trust policy", trust)?;
        self.change_role(arn, |role| role.trust = trust)
    }

    /// Adds a permission policy to a role, or replaces the one of that name. It holds from the
    /// next request on, for sessions that are out, too.
    pub fn put_role_policy(&self, arn: &RoleArn, name: &str, text: &str) -> Result<(), IamError> {
        let policy = Policy::parse(name, text)?;
        self.change_role(arn, |role| {
            role.policies.insert(name.to_owned(), Arc::new(policy));
        })
    }

    /// Takes a permission policy from a role; one that is gone already is no error.
    pub fn delete_role_policy(&self, arn: &RoleArn, name: &str) -> Result<(), IamError> {
        self.change_role(arn, |role| {
            role.policies.remove(name);
        })
    }

    /// Deletes a role. Its sessions can do nothing more.
    pub fn delete_role(&self, arn: &RoleArn) -> Result<(), IamError> {
        self.change(|registry| {
            let gone = registry.roles.remove(arn);
            gone.map(drop)
                .ok_or_else(|| IamError::NoSuchRole(arn.to_string()))
        })
    }

    /// Creates a user with one pair of access keys and one permission policy.
    pub fn create_user(&self, user: User) -> Result<(), IamError> {
        user.policy()?;
        let key = user.access_key_id.clone();
        if key == self.platform.access_key_id {
            return Err(IamError::Exists(key));
        }
        self.change(|registry| {
            if registry.users.contains_key(&key) {
                return Err(IamError::Exists(key));
            }
            registry.add_user(user)
        })
    }

    /// Deletes the user of an access key; one that is gone already is no error.
    pub fn delete_user(&self, access_key_id: &str) -> Result<(), IamError> {
        self.change(|registry| {
            registry.users.remove(access_key_id);
            Ok(())
        })
    }

    /// The secret that a key signs with, valid or expired.
    pub(crate) fn secret(&self, access_key_id: &str) -> Option<Secret> {
        if access_key_id == self.platform.access_key_id {
            return Some(self.platform.secret_access_key.clone());
        }
        if let Some(session) = self.sessions().get(access_key_id) {
            return Some(session.issued.secret_access_key.clone());
        }
        let registry = self.registry();
        let user = registry.users.get(access_key_id);
        user.map(|(user, _)| user.secret_access_key.clone())
    }

    /// Who a verified signature's key and session token stand for.
    pub(crate) fn caller(
        &self,
        access_key_id: &str,
        token: Option<&str>,
        now: Timestamp,
    ) -> Result<Caller, Refusal> {
        if let Some(session) = self.sessions().get(access_key_id) {
            if token != Some(session.issued.session_token.expose()) {
                return Err(Refusal::WrongToken);
            }
            if now >= session.issued.expires {
                return Err(Refusal::Expired);
            }
            return Ok(self.session_caller(session));
        }
        if token.is_some() {
            return Err(Refusal::WrongToken);
        }
        if access_key_id == self.platform.access_key_id {
            return Ok(Caller::root(&self.platform.account));
        }
        let registry = self.registry();
        match registry.users.get(access_key_id) {
            Some((user, policy)) => Ok(Caller::user(user, Arc::clone(policy))),
            None => Err(Refusal::UnknownKey),
        }
    }

    fn session_caller(&self, session: &Session) -> Caller {
        let registry = self.registry();
        let role = registry.roles.get(&session.role);
        let policies = role.map(|role| role.policies.values().cloned().collect());
        Caller::session(
            &session.role,
            &session.issued,
            policies.unwrap_or_default(),
            session.policy.clone(),
        )
    }

    /// What a role's trust policy says of a caller. Implicitly denied if there is no such role.
    pub(crate) fn trusts(&self, role: &RoleArn, caller: &Caller, context: &Context) -> Answer {
        match self.registry().roles.get(role) {
            Some(found) => caller::trust(&found.trust, caller, context),
            None => Answer::NotAllowed,
        }
    }

    /// Opens a session of a role that has been found to trust the caller.
    pub(crate) fn issue(
        &self,
        role: &RoleArn,
        session_name: &str,
        policy: Option<&str>,
        now: Timestamp,
        lifetime: SignedDuration,
    ) -> Result<Issued, IamError> {
        let policy = policy
            .map(|text| Policy::parse("session policy", text).map(Arc::new))
            .transpose()?;
        let unique_id = match self.registry().roles.get(role) {
            Some(found) => found.unique_id.clone(),
            None => return Err(IamError::NoSuchRole(role.to_string())),
        };
        let issued = Issued {
            access_key_id: self.unique_id("ASIA"),
            secret_access_key: Secret::new(format!("{}{}", self.letters(20), self.letters(20))),
            session_token: Secret::new(format!("{}{}", self.letters(24), self.letters(24))),
            expires: now.checked_add(lifetime).unwrap_or(Timestamp::MAX),
            assumed_role_arn: format!(
                "arn:{}:sts::{}:assumed-role/{}/{session_name}",
                role.partition(),
                role.account(),
                role.name(),
            ),
            assumed_role_id: format!("{unique_id}:{session_name}"),
        };
        let mut sessions = self
            .sessions
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        sessions.retain(|_, old| now.duration_since(old.issued.expires) < REMEMBERED);
        let session = Session {
            issued: issued.clone(),
            role: role.clone(),
            policy,
        };
        sessions.insert(issued.access_key_id.clone(), session);
        Ok(issued)
    }

    /// A name in AWS's form: a prefix of four letters and 16 letters or digits.
    fn unique_id(&self, prefix: &str) -> String {
        format!("{prefix}{}", self.letters(16))
    }

    /// So many random letters and digits, 24 at the most (128 bits make 25 of base 32).
    fn letters(&self, count: usize) -> String {
        const ALPHABET: [char; 32] = [
            'A', 'B', 'C', 'D', 'E', 'F', 'G', 'H', 'I', 'J', 'K', 'L', 'M', 'N', 'O', 'P', 'Q',
            'R', 'S', 'T', 'U', 'V', 'W', 'X', 'Y', 'Z', '2', '3', '4', '5', '6', '7',
        ];
        let bits = self.entropy.bits();
        let digit = |place: usize| {
            let index = usize::try_from((bits >> (5 * place)) & 31).unwrap_or_default();
            ALPHABET.get(index).copied().unwrap_or('A')
        };
        (0..count.min(24)).map(digit).collect()
    }

    fn change_role(&self, arn: &RoleArn, change: impl FnOnce(&mut Role)) -> Result<(), IamError> {
        self.change(|registry| match registry.roles.get_mut(arn) {
            Some(role) => {
                change(role);
                Ok(())
            }
            None => Err(IamError::NoSuchRole(arn.to_string())),
        })
    }

    /// Changes a copy, saves it, and only then lets it be seen: what could not be kept does
    /// not hold.
    fn change(
        &self,
        change: impl FnOnce(&mut Registry) -> Result<(), IamError>,
    ) -> Result<(), IamError> {
        let mut registry: RwLockWriteGuard<'_, Registry> = self
            .registry
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let mut next = registry.clone();
        change(&mut next)?;
        next.save(&self.file)?;
        *registry = next;
        Ok(())
    }

    fn registry(&self) -> RwLockReadGuard<'_, Registry> {
        self.registry.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn sessions(&self) -> RwLockReadGuard<'_, HashMap<String, Session>> {
        self.sessions.read().unwrap_or_else(PoisonError::into_inner)
    }
}
