//! How many entries are asked for at once.
//!
//! Fewer, where the answer is too large or takes too long; more, where all that fit into an answer
//! happened at one instant, since nothing but the time tells where to go on. Where both is so,
//! the number between is sought, so that it comes to an end.

/// The limit of the next query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Limits {
    usual: u32,
    most: u32,
    limit: u32,
    /// The largest limit that one instant has filled; 0 if none.
    crowded: u32,
    /// The smallest limit whose answer could not be had.
    heavy: Option<u32>,
}

impl Limits {
    /// Begins with the usual limit, and asks never for more than the most.
    pub(crate) fn new(usual: u32, most: u32) -> Self {
        let usual = usual.clamp(1, most.max(1));
        Self {
            usual,
            most: most.max(1),
            limit: usual,
            crowded: 0,
            heavy: None,
        }
    }

    /// How many to ask for.
    pub(crate) fn limit(&self) -> u32 {
        self.limit
    }

    /// Reading has come to another time. What was learned holds there no more than elsewhere.
    pub(crate) fn advanced(&mut self) {
        self.limit = self.limit.saturating_mul(2).min(self.usual);
        (self.crowded, self.heavy) = (0, None);
    }

    /// One instant has filled the answer. False if there is no larger limit to try.
    pub(crate) fn crowded(&mut self) -> bool {
        self.crowded = self.limit;
        let next = match self.heavy {
            Some(heavy) => between(self.limit, heavy),
            None => self.limit.saturating_mul(2).min(self.most),
        };
        let larger = next > self.limit;
        if larger {
            self.limit = next;
        }
        larger
    }

    /// A shorter time is asked for, in which less is to be had. So what was too much may not be.
    pub(crate) fn narrowed(&mut self) {
        self.heavy = None;
        self.limit = self.crowded.saturating_mul(2).clamp(1, self.most);
    }

    /// The answer could not be had for its size. False if there is no smaller limit to try.
    pub(crate) fn heavy(&mut self) -> bool {
        self.heavy = Some(self.limit);
        let next = between(self.crowded, self.limit);
        let smaller = next > self.crowded;
        if smaller {
            self.limit = next;
        }
        smaller
    }

    /// Whether one instant has filled an answer.
    pub(crate) fn is_crowded(&self) -> bool {
        self.crowded > 0
    }

    /// Whether not even one entry could be had.
    pub(crate) fn is_one_too_many(&self) -> bool {
        self.heavy == Some(1)
    }
}

fn between(low: u32, high: u32) -> u32 {
    low + high.saturating_sub(low) / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The limits that are tried until one is given up.
    fn tried(mut limits: Limits, crowded_up_to: u32, heavy_from: u32) -> Vec<u32> {
        let mut tried = Vec::new();
        loop {
            let limit = limits.limit();
            tried.push(limit);
            let goes_on = if limit >= heavy_from {
                limits.heavy()
            } else if limit <= crowded_up_to {
                limits.crowded()
            } else {
                false
            };
            if !goes_on {
                return tried;
            }
        }
    }

    #[test]
    fn what_is_too_large_is_halved_down_to_one() {
        let limits = Limits::new(500, 1000);
        assert_eq!(
            tried(limits.clone(), 0, 1),
            [500, 250, 125, 62, 31, 15, 7, 3, 1]
        );
        let mut limits = limits;
        while limits.heavy() {}
        assert!(limits.is_one_too_many());
        limits.advanced();
        assert_eq!(limits.limit(), 2);
        (0..20).for_each(|_| limits.advanced());
        assert_eq!(limits.limit(), 500);
    }

    #[test]
    fn a_crowded_instant_is_asked_for_more_up_to_the_most() {
        assert_eq!(
            tried(Limits::new(100, 1000), 1000, 9999),
            [100, 200, 400, 800, 1000]
        );
        let mut limits = Limits::new(100, 1000);
        while limits.crowded() {}
        limits.advanced();
        assert_eq!(limits.limit(), 100);
    }

    #[test]
    fn between_crowded_and_too_large_it_comes_to_an_end() {
        for usual in [1, 2, 7, 100, 1000] {
            for border in 1..120 {
                let tried = tried(Limits::new(usual, 1000), border, border + 1);
                assert!(tried.len() < 32, "{usual} {border}: {tried:?}");
                assert!(tried.contains(&border) && tried.contains(&(border + 1)));
            }
        }
    }
}
