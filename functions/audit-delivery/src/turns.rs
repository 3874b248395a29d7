//! Turns: whose work goes on next, when there is more than can be done at once.
//!
//! Tenants take turns, and each of a tenant's destinations within its tenant's; a turn is one
//! step of one cursor, which is bounded. Whoever has more to do goes to the back.

use std::collections::{BTreeMap, VecDeque};

use sealift_core::id::OrgId;
use sealift_core::ports::Entropy;

/// How many turns are under way at once.
const AT_ONCE: usize = 8;

/// How many of them may be one tenant's: who hangs leaves room for the others.
const OF_ONE: usize = 4;

/// Work that waits for its turn.
#[derive(Debug)]
pub(crate) struct Turns<T> {
    waiting: VecDeque<(OrgId, VecDeque<T>)>,
    under_way: BTreeMap<OrgId, usize>,
}

impl<T> Default for Turns<T> {
    fn default() -> Self {
        Self {
            waiting: VecDeque::new(),
            under_way: BTreeMap::new(),
        }
    }
}

impl<T> Turns<T> {
    /// Adds work of a tenant's, behind all that waits.
    pub(crate) fn push(&mut self, organization: &OrgId, work: T) {
        let mut all = self.waiting.iter_mut();
        match all.find(|(of, _)| of == organization) {
            Some((_, own)) => own.push_back(work),
            None => self
                .waiting
                .push_back((organization.clone(), VecDeque::from([work]))),
        }
    }

    /// Begins with any tenant: a run that does not come to all of them had better not begin
    /// with the same ones as the run before.
    pub(crate) fn begin_anywhere(&mut self, entropy: &impl Entropy) {
        if self.waiting.len() > AT_ONCE {
            let tenants = self.waiting.len() as u128;
            let first = usize::try_from(entropy.bits() % tenants).unwrap_or(0);
            self.waiting.rotate_left(first);
        }
    }

    /// What goes on now, with its tenant. `None` if nothing may: that which is under way has to
    /// end first.
    pub(crate) fn next(&mut self) -> Option<(OrgId, T)> {
        if self.under_way.values().sum::<usize>() >= AT_ONCE {
            return None;
        }
        let under_way = &self.under_way;
        let free = |of: &OrgId| under_way.get(of).is_none_or(|count| *count < OF_ONE);
        let place = self.waiting.iter().position(|(of, _)| free(of))?;
        let (organization, mut own) = self.waiting.remove(place)?;
        let work = own.pop_front();
        if !own.is_empty() {
            self.waiting.push_back((organization.clone(), own));
        }
        *self.under_way.entry(organization.clone()).or_default() += 1;
        Some((organization, work?))
    }

    /// A turn of the tenant's has ended; with what is left of the work, if there is more.
    pub(crate) fn ended(&mut self, organization: &OrgId, rest: Option<T>) {
        if let Some(count) = self.under_way.get_mut(organization) {
            *count = count.saturating_sub(1);
        }
        if let Some(work) = rest {
            self.push(organization, work);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sealift_testkit::SeededEntropy;

    fn org(name: &str) -> OrgId {
        OrgId::parse(name).unwrap()
    }

    fn turns(work: &[(&str, u32)]) -> Turns<u32> {
        let mut turns = Turns::default();
        for (name, number) in work {
            turns.push(&org(name), *number);
        }
        turns
    }

    /// The next so many, each of which ends before the one after it begins.
    fn in_order(turns: &mut Turns<u32>, count: usize, again: bool) -> Vec<u32> {
        let one = |_| {
            let (organization, work) = turns.next().unwrap();
            turns.ended(&organization, again.then_some(work));
            work
        };
        (0..count).map(one).collect()
    }

    #[test]
    fn a_tenant_with_many_destinations_has_as_many_turns_as_one_with_one() {
        let mut turns = turns(&[("a", 1), ("a", 2), ("a", 3), ("b", 4)]);
        assert_eq!(in_order(&mut turns, 6, true), [1, 4, 2, 4, 3, 4]);
    }

    #[test]
    fn all_work_is_done_once_where_none_goes_on() {
        let mut turns = turns(&[("a", 1), ("b", 2), ("a", 3), ("c", 4)]);
        assert_eq!(in_order(&mut turns, 4, false), [1, 2, 4, 3]);
        assert_eq!(turns.next(), None);
    }

    #[test]
    fn who_hangs_with_all_it_has_leaves_half_of_the_room_to_the_others() {
        let many = (0..20).map(|number| ("hangs", number));
        let work: Vec<_> = many.chain([("well", 100)]).collect();
        let mut turns = turns(&work);
        let begun: Vec<u32> = std::iter::from_fn(|| turns.next())
            .map(|(_, n)| n)
            .collect();
        assert_eq!(begun, [0, 100, 1, 2, 3]);
        turns.ended(&org("well"), Some(100));
        assert_eq!(turns.next(), Some((org("well"), 100)));
        assert_eq!(turns.next(), None);
    }

    #[test]
    fn no_more_than_eight_are_under_way_at_once() {
        let names: Vec<String> = (0..20).map(|number| format!("t{number}")).collect();
        let work: Vec<(&str, u32)> = names.iter().map(|name| (name.as_str(), 0)).collect();
        let mut turns = turns(&work);
        assert_eq!(std::iter::from_fn(|| turns.next()).count(), 8);
        turns.ended(&org("t3"), None);
        assert_eq!(std::iter::from_fn(|| turns.next()).count(), 1);
    }

    #[test]
    fn not_every_run_begins_with_the_same_tenants() {
        let names: Vec<String> = (0..20).map(|number| format!("t{number}")).collect();
        let work: Vec<(&str, u32)> = names
            .iter()
            .zip(0..)
            .map(|(name, number)| (name.as_str(), number))
            .collect();
        let first = |seed| {
            let mut turns = turns(&work);
            turns.begin_anywhere(&SeededEntropy::new(seed));
            turns.next().unwrap().1
        };
        let begun: std::collections::BTreeSet<u32> = (0..50).map(first).collect();
        assert!(begun.len() > 10, "{begun:?}");
    }
}
