//! The part of the ledger that is told by service.

use super::{Ledger, Requests, Verdicts};
use crate::limits::findings::SERVICES_MAX;
use core::ops::AddAssign;
use serde::{Serialize, Serializer};

/// What became of one service's requests.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Account {
    /// Its requests or turns.
    pub requests: Requests,
    /// Verdicts on their answers.
    pub verdicts: Verdicts,
}

/// The accounts of all services that there ever were, by name.
#[derive(Clone, Debug, Default)]
pub struct Services(Vec<(String, Account)>);

impl Services {
    /// The number of the account with this name, which is opened if there is none. Beyond the bound there is one for all.
    pub fn open(&mut self, name: &str) -> usize {
        if let Some(known) = self.0.iter().position(|(known, _)| known == name) {
            return known;
        }
        if self.0.len() < SERVICES_MAX {
            self.0.push((name.to_owned(), Account::default()));
        } else if let Some((last, _)) = self.0.last_mut() {
            "other".clone_into(last);
        }
        self.0.len() - 1
    }

    /// Every account with its name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Account)> {
        self.0.iter().map(|(name, account)| (name.as_str(), account))
    }

    /// By service and in total everything is counted at once.
    pub(super) fn laws(&self, total: &Ledger) -> [(&'static str, u64, u64); 6] {
        let sum = |of: fn(&Account) -> u64| self.0.iter().map(|(_, account)| of(account)).sum::<u64>();
        let (requests, verdicts) = (&total.requests, &total.verdicts);
        [
            ("requests.captured = that of all services", requests.captured, sum(|account| account.requests.captured)),
            ("requests.replayed = that of all services", requests.replayed, sum(|account| account.requests.replayed)),
            (
                "requests.not_replayed = that of all services",
                requests.not_replayed.sum(),
                sum(|account| account.requests.not_replayed.sum()),
            ),
            (
                "requests.not_answered = that of all services",
                requests.not_answered.sum(),
                sum(|account| account.requests.not_answered.sum()),
            ),
            (
                "requests.in_progress = that of all services",
                requests.in_progress,
                sum(|account| account.requests.in_progress),
            ),
            ("verdicts = those of all services", verdicts.sum(), sum(|account| account.verdicts.sum())),
        ]
    }
}

impl Ledger {
    /// Counts something of a service's requests, there and in total.
    pub fn count(&mut self, service: usize, count: impl Fn(&mut Requests, &mut Verdicts)) {
        count(&mut self.requests, &mut self.verdicts);
        if let Some((_, account)) = self.services.0.get_mut(service) {
            count(&mut account.requests, &mut account.verdicts);
        }
    }
}

impl AddAssign<&Self> for Services {
    fn add_assign(&mut self, rhs: &Self) {
        for (name, account) in rhs.iter() {
            let mine = self.open(name);
            self.0[mine].1.requests += &account.requests;
            self.0[mine].1.verdicts += &account.verdicts;
        }
    }
}

impl Serialize for Services {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_add_up_by_name() {
        let (mut one, mut other) = (Ledger::default(), Ledger::default());
        for (ledger, names) in [(&mut one, ["a", "b"]), (&mut other, ["b", "c"])] {
            for name in names {
                let account = ledger.services.open(name);
                ledger.count(account, |requests, _| {
                    requests.captured += 1;
                    requests.in_progress += 1;
                });
            }
        }
        one += &other;
        let counts: Vec<_> = one.services.iter().map(|(name, account)| (name, account.requests.captured)).collect();
        assert_eq!(counts, [("a", 1), ("b", 2), ("c", 1)]);
        assert_eq!(one.broken_law(), None);
        one.requests.captured += 1;
        one.requests.in_progress += 1;
        assert!(one.broken_law().is_some_and(|law| law.starts_with("requests.captured = that of all services")));
    }

    #[test]
    fn names_beyond_the_bound_share_one() {
        let mut services = Services::default();
        for number in 0..SERVICES_MAX + 10 {
            services.open(&number.to_string());
        }
        assert_eq!((services.0.len(), services.iter().last().map(|(name, _)| name)), (SERVICES_MAX, Some("other")));
    }
}
