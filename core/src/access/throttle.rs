//! How often a password may be guessed.
//!
//! Three counters of failures, each with its own patience, then waits that double with every further failure:
//!
//! | counter | free failures | longest wait | stops |
//! |---|---|---|---|
//! | account from one address | 5 | 15 min | someone guessing one password |
//! | address | 50 | 15 min | someone trying one password on many accounts |
//! | account from anywhere | 50 | 1 min | many machines guessing one password |
//!
//! Nobody can lock an account for good: attempts refused while a wait runs are not counted, the last counter's waits are
//! short, and it is not asked where the account has logged in from that address before. A success clears the account's
//! counters, an hour without failure clears any.
//!
//! In memory and bounded: each process counts for itself, and a restart forgets.

use std::net::{IpAddr, Ipv6Addr};

use chrono::{DateTime, TimeDelta, Utc};
use moka::{policy::EvictionPolicy, sync::Cache};

use super::secrets::digest;
use crate::error::{Code, Error, Result};

const REMEMBERED: u64 = 100_000;
const FORGOTTEN_AFTER: TimeDelta = TimeDelta::hours(1);

pub(super) struct Throttle {
    failures: Cache<Key, Failures>,
    /// Account and address that once belonged together.
    familiar: Cache<Key, ()>,
}

/// Whose password is tried, and from where.
#[derive(Clone, Copy)]
pub(super) struct Attempt {
    account: [u8; 32],
    address: Option<IpAddr>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Key {
    Pair([u8; 32], Option<IpAddr>),
    Address(IpAddr),
    Account([u8; 32]),
}

#[derive(Clone, Copy)]
struct Failures {
    count: u32,
    last: DateTime<Utc>,
    /// Refused before this time.
    until: DateTime<Utc>,
}

impl Key {
    /// Failures without a wait, and the longest wait in seconds.
    fn patience(self) -> (u32, i64) {
        match self {
            Self::Pair(..) => (5, 900),
            Self::Address(_) => (50, 900),
            Self::Account(_) => (50, 60),
        }
    }
}

impl Attempt {
    pub(super) fn new(tenant: &str, email: &str, address: Option<IpAddr>) -> Self {
        Self { account: digest(format!("{tenant}\0{}", email.to_lowercase())), address: address.map(network) }
    }

    fn pair(self) -> Key {
        Key::Pair(self.account, self.address)
    }
}

/// One customer of an IPv6 network holds a whole /64.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64))),
        v4 @ IpAddr::V4(_) => v4,
    }
}

impl Throttle {
    pub(super) fn new() -> Self {
        Self {
            failures: Cache::builder().max_capacity(REMEMBERED).eviction_policy(EvictionPolicy::lru()).build(),
            familiar: Cache::builder().max_capacity(REMEMBERED).eviction_policy(EvictionPolicy::lru()).build(),
        }
    }

    /// # Errors
    /// `too_many_attempts` with the seconds to wait.
    pub(super) fn check(&self, attempt: Attempt, now: DateTime<Utc>) -> Result<()> {
        let mut until = now;
        for key in self.asked(attempt) {
            if let Some(failures) = self.failures.get(&key) {
                until = until.max(failures.until);
            }
        }
        let wait = (until - now).num_milliseconds();
        if wait <= 0 {
            return Ok(());
        }
        let seconds = u64::try_from(wait).unwrap_or_default().div_ceil(1000);
        Err(Error::Limit {
            code: Code::TooManyAttempts,
            detail: format!("too many failed attempts; try again in {seconds} s"),
            retry_after: Some(seconds),
        })
    }

    pub(super) fn failed(&self, attempt: Attempt, now: DateTime<Utc>) {
        for key in self.asked(attempt) {
            let (free, longest) = key.patience();
            self.failures.entry(key).and_upsert_with(|entry| {
                let before = entry.map(moka::Entry::into_value).filter(|f| now - f.last < FORGOTTEN_AFTER);
                let count = before.map_or(0, |f| f.count).saturating_add(1);
                let wait = count.checked_sub(free).map_or(0, |doublings| 1 << doublings.min(20)).min(longest);
                Failures { count, last: now, until: now + TimeDelta::seconds(wait) }
            });
        }
    }

    pub(super) fn succeeded(&self, attempt: Attempt) {
        self.failures.invalidate(&attempt.pair());
        self.failures.invalidate(&Key::Account(attempt.account));
        self.familiar.insert(attempt.pair(), ());
    }

    fn asked(&self, attempt: Attempt) -> impl Iterator<Item = Key> {
        let stranger = !self.familiar.contains_key(&attempt.pair());
        let account = Some(Key::Account(attempt.account)).filter(|_| stranger);
        [Some(attempt.pair()), attempt.address.map(Key::Address), account].into_iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_000_000 + seconds, 0).unwrap()
    }

    fn from(address: [u8; 4]) -> Attempt {
        Attempt::new("acme", "ann@acme.example", Some(IpAddr::from(address)))
    }

    fn wait(throttle: &Throttle, attempt: Attempt, now: DateTime<Utc>) -> u64 {
        match throttle.check(attempt, now) {
            Ok(()) => 0,
            Err(Error::Limit { code: Code::TooManyAttempts, retry_after: Some(seconds), .. }) => seconds,
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn waits_double_after_five_failures_up_to_a_quarter_of_an_hour() {
        let throttle = Throttle::new();
        let (attempt, mut now) = (from([10, 0, 0, 1]), at(0));
        let mut waits = Vec::new();
        for _ in 0..18 {
            throttle.failed(attempt, now);
            let seconds = wait(&throttle, attempt, now);
            waits.push(seconds);
            now += TimeDelta::seconds(i64::try_from(seconds).unwrap());
            assert_eq!(wait(&throttle, attempt, now), 0);
        }
        assert_eq!(waits, [0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900, 900]);
        let other = Attempt::new("acme", "bob@acme.example", Some(IpAddr::from([10, 0, 0, 1])));
        assert_eq!(wait(&throttle, other, now), 0, "another account is free");
    }

    #[test]
    fn success_and_time_clear() {
        let throttle = Throttle::new();
        let attempt = from([10, 0, 0, 1]);
        for _ in 0..6 {
            throttle.failed(attempt, at(0));
        }
        assert_eq!(wait(&throttle, attempt, at(0)), 2);
        throttle.succeeded(attempt);
        assert_eq!(wait(&throttle, attempt, at(0)), 0);
        for _ in 0..6 {
            throttle.failed(attempt, at(0));
        }
        throttle.failed(attempt, at(4000));
        assert_eq!(wait(&throttle, attempt, at(4000)), 0, "an hour later counting starts again");
    }

    #[test]
    fn many_machines_slow_strangers_down_but_not_the_owner() {
        let throttle = Throttle::new();
        let owner = from([192, 0, 2, 1]);
        throttle.succeeded(owner);
        for i in 0..100 {
            throttle.failed(from([10, 0, 0, i]), at(0));
        }
        assert_eq!(wait(&throttle, from([10, 0, 1, 1]), at(0)), 60);
        assert_eq!(wait(&throttle, owner, at(0)), 0);
        assert_eq!(wait(&throttle, from([198, 51, 100, 1]), at(61)), 0, "and for strangers it ends");
    }

    #[test]
    fn one_machine_cannot_try_all_accounts() {
        let throttle = Throttle::new();
        let address = Some("2001:db8::1".parse().unwrap());
        let neighbour = Some("2001:db8::2".parse().unwrap());
        for i in 0..50 {
            throttle.failed(Attempt::new("acme", &format!("user{i}@acme.example"), address), at(0));
        }
        assert_eq!(wait(&throttle, Attempt::new("acme", "new@acme.example", neighbour), at(0)), 1);
    }
}
