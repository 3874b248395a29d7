//! Creating, showing and listing destinations.

use futures_util::{FutureExt, StreamExt, stream};

use super::entries::Teller;
use super::record::{Change, KeysStep, Life, Record};
use super::request::{self, Asked, WayIn};
use super::{
    Caller, Control, ControlError, DestinationView, NewDestination, Page, PageRequest, TRIES,
    not_found, places,
};
use crate::audit::catalogue::DESTINATION_CREATED;
use crate::check::Checks;
use crate::destination::{Destination, Location, Status};
use crate::document::{Saved, Stored};
use crate::external_id::ExternalId;
use crate::id::{DestinationId, OrgId};
use crate::ports::{Clock, Entropy, EventBus, ObjectStore};
use crate::vault::{AccessKeys, Vault};

/// How many destinations a page has unless another number is asked for, and at the most.
const PAGE: usize = 25;
const LONGEST_PAGE: usize = 100;

/// Records that are read at once.
const AT_ONCE: usize = 16;

/// What is told of an overlap. It does not tell with what: that may be another organization's.
pub(super) const OVERLAPS: &str = "the prefix overlaps with one of the bucket that is in use: neither may be a \
    folder within the other; choose another prefix, or remove the destination that uses it";

impl<S, V, K, B, C, E> Control<S, V, K, B, C, E>
where
    S: ObjectStore,
    V: Vault,
    K: Checks,
    B: EventBus,
    C: Clock,
    E: Entropy,
{
    /// Creates a destination, paused: nothing is delivered and nothing kept for it before its
    /// first start.
    ///
    /// Its id is unique in the whole stack. Its ExternalId is drawn here and stays for its life.
    /// Doing it again with the same id is answered with the destination that is there, if it has a
    /// role and is as it was asked for.
    pub async fn create(
        &self,
        caller: &Caller,
        organization: &OrgId,
        new: NewDestination,
    ) -> Result<DestinationView, ControlError> {
        caller.may_change(organization)?;
        let id = match &new.id {
            Some(text) => request::field("id", DestinationId::parse(text.clone()))?,
            None => self.draw_id()?,
        };
        let Asked {
            location,
            way_in,
            include,
            storage,
        } = new.parse()?;
        let external_id = ExternalId::generate(&self.entropy);
        let (credentials, keys) = way_in.credentials(&external_id);
        let mut asked = Destination {
            id: id.clone(),
            organization: organization.clone(),
            status: Status::Paused,
            held: None,
            created_ms: None,
            start_ms: None,
            location,
            credentials,
            include,
            storage,
            replays: Vec::new(),
        };
        request::check_whole(&asked)?;
        self.admit_endpoint(&asked.location).await?;
        for _ in 0..TRIES {
            let all = self.all().await?;
            let there = Record::place(&id).load(&self.state).await?;
            if let Some(there) = &there
                && let Some(life) = &there.body.life
            {
                if life.organization != *organization {
                    return Err(taken(&id));
                }
                if life.change.is_some() {
                    self.settle(&id, there.clone()).await?;
                    continue;
                }
                if let Some(standing) = all.iter().find(|standing| standing.id == id) {
                    return self.same(&asked, standing, life, keys.as_ref());
                }
            } else if all.iter().any(|standing| standing.id == id) {
                return Err(taken(&id));
            }
            refuse_overlap(&all, &id, &asked.location)?;
            let now_ms = self.now_ms();
            let last = there.as_ref().and_then(|there| there.body.created_ms);
            let created_ms = last.map_or(now_ms, |last| now_ms.max(last + 1));
            asked.created_ms = Some(created_ms);
            let began = self.begin(caller, &asked, &external_id, there, keys.is_some());
            let Some(change) = began.await? else {
                continue;
            };
            Box::pin(self.finish(&id, &change, keys.as_ref())).await?;
            let record = Record::place(&id).load(&self.state).await?;
            let life = record.and_then(|record| record.body.life);
            let life = life.ok_or_else(|| not_found(organization, &id))?;
            return Ok(self.view(&asked, &life));
        }
        Err(ControlError::Busy)
    }

    /// Writes down that the destination is being created; `None` if somebody was quicker.
    async fn begin(
        &self,
        caller: &Caller,
        asked: &Destination,
        external_id: &ExternalId,
        there: Option<Stored<Record>>,
        gives_keys: bool,
    ) -> Result<Option<Change>, ControlError> {
        let name = self.entropy.nonce();
        let now = self.now();
        let mut teller = Teller::new(asked, &caller.actor, &name, now);
        teller.created(&DESTINATION_CREATED)?;
        let entries = teller.end();
        let change = Change {
            name,
            began_ms: now.as_millisecond(),
            before: None,
            after: Some(asked.clone()),
            keys: match gives_keys {
                true => KeysStep::Give,
                false => KeysStep::Untouched,
            },
            replay: None,
            ended: Vec::new(),
            check: None,
            entries,
        };
        let created_ms = asked.created_ms.unwrap_or_default();
        let body = Record {
            life: Some(Life {
                organization: asked.organization.clone(),
                created_ms,
                updated_ms: created_ms,
                external_id: external_id.clone(),
                keys: 0,
                change: Some(change.clone()),
                check: None,
                conclusive: None,
                replays: Vec::new(),
            }),
            created_ms: Some(created_ms),
            ..there
                .as_ref()
                .map(|there| there.body.clone())
                .unwrap_or_default()
        };
        let place = Record::place(&asked.id);
        let saved = match &there {
            None => place.create(&self.state, body, &self.entropy).await?,
            Some(there) => {
                place
                    .replace(&self.state, there, body, &self.entropy)
                    .await?
            }
        };
        Ok(matches!(saved, Saved::Done(_)).then_some(change))
    }

    /// What a second try of a creation is answered whose first one came through.
    fn same(
        &self,
        asked: &Destination,
        standing: &Destination,
        life: &Life,
        keys: Option<&AccessKeys>,
    ) -> Result<DestinationView, ControlError> {
        let role = WayIn::role_of(asked).map(|role| role.credentials(&life.external_id).0);
        let same = keys.is_none()
            && standing.start_ms.is_none()
            && standing.location == asked.location
            && Some(&standing.credentials) == role.as_ref()
            && standing.include == asked.include
            && standing.storage == asked.storage;
        match same {
            true => Ok(self.view(standing, life)),
            false => Err(taken(&asked.id)),
        }
    }

    fn draw_id(&self) -> Result<DestinationId, ControlError> {
        let drawn: String = self.entropy.nonce().chars().take(20).collect();
        DestinationId::parse(drawn).map_err(|_| ControlError::Own("an id could not be drawn"))
    }

    /// The destination.
    pub async fn get(
        &self,
        caller: &Caller,
        organization: &OrgId,
        id: &DestinationId,
    ) -> Result<DestinationView, ControlError> {
        caller.may_see(organization)?;
        let (_, life, there) = self.look(organization, id).await?;
        let destination = there.ok_or_else(|| not_found(organization, id))?;
        Ok(self.view(&destination, &life))
    }

    /// A page of the organization's destinations, in the order of their ids.
    pub async fn list(
        &self,
        caller: &Caller,
        organization: &OrgId,
        page: &PageRequest,
    ) -> Result<Page, ControlError> {
        caller.may_see(organization)?;
        let limit = match page.limit {
            None => PAGE,
            Some(limit) => usize::try_from(limit)
                .ok()
                .filter(|limit| (1..=LONGEST_PAGE).contains(limit))
                .ok_or_else(|| ControlError::invalid("limit", "must be from 1 to 100"))?,
        };
        let after = match &page.starting_after {
            None => None,
            Some(text) => Some(request::field(
                "starting_after",
                DestinationId::parse(text.clone()),
            )?),
        };
        let set = self.set(organization).await?;
        let mut ids = set
            .iter()
            .flat_map(|set| set.body.0.values())
            .filter(|destination| destination.organization == *organization)
            .map(|destination| destination.id.clone())
            .filter(|id| after.as_ref().is_none_or(|after| id > after));
        let shown: Vec<DestinationId> = ids.by_ref().take(limit).collect();
        let has_more = ids.next().is_some();
        let mut looks = Vec::new();
        for id in shown {
            let look = async move {
                match self.get(caller, organization, &id).await {
                    Ok(view) => Ok(Some(view)),
                    // It was removed since.
                    Err(ControlError::NotFound { .. }) => Ok(None),
                    Err(error) => Err(error),
                }
            };
            looks.push(look.boxed());
        }
        let looks: Vec<_> = stream::iter(looks).buffered(AT_ONCE).collect().await;
        let mut objects = Vec::new();
        for look in looks {
            objects.extend(look?);
        }
        Ok(Page { objects, has_more })
    }
}

/// Refuses a location that overlaps with one that a destination has which holds no place, since it
/// was set up by hand. Those that hold one are found again when the place is claimed.
pub(super) fn refuse_overlap(
    all: &[Destination],
    id: &DestinationId,
    location: &Location,
) -> Result<(), ControlError> {
    let bucket = places::bucket_of(location);
    let overlaps = all.iter().filter(|other| other.id != *id).any(|other| {
        places::overlap(&other.location.prefix, &location.prefix)
            && places::bucket_of(&other.location) == bucket
    });
    match overlaps {
        true => Err(ControlError::conflict(OVERLAPS)),
        false => Ok(()),
    }
}

fn taken(id: &DestinationId) -> ControlError {
    ControlError::Taken {
        what: format!("id {id}"),
    }
}
