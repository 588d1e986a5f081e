//! How often one may ask: so many requests a minute for each tenant and for each token, told in every answer.
//!
//! The generic cell rate algorithm (ITU-T I.371): one number a key, the time at which its quota is whole again. No lock, no
//! database; each process counts for itself.

use std::{
    hash::{BuildHasher as _, RandomState},
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use chrono::{DateTime, Utc};
use moka::sync::Cache;
use ripen_core::error::{Code, Error, Result};
use uuid::Uuid;

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const STATE: HeaderName = HeaderName::from_static("ratelimit");

/// Seconds of a quota.
const WINDOW: i64 = 60;
const SECOND: i64 = 1_000_000_000;
/// Tenants and tokens that are remembered; one that is forgotten begins anew.
const REMEMBERED: u64 = 200_000;

/// Requests a minute, as an installation chooses them; 0: as many as they like.
#[derive(Clone, Copy, Debug)]
pub struct Quotas {
    pub tenant: u32,
    pub token: u32,
}

/// What is left to whom.
pub struct Rates {
    pub quotas: Quotas,
    whole_at: Cache<Key, Arc<AtomicI64>>,
    /// Tokens are kept as numbers that mean nothing elsewhere.
    hash: RandomState,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Key {
    Tenant(Uuid),
    Token(u64),
}

/// What the answer says about one quota (draft-ietf-httpapi-ratelimit-headers).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    name: &'static str,
    most: i64,
    left: i64,
    /// Seconds until it is whole again.
    whole_in: i64,
    refused: bool,
}

impl Rates {
    pub fn new(quotas: Quotas) -> Self {
        let forgotten = Duration::from_secs(2 * WINDOW.unsigned_abs());
        let whole_at = Cache::builder().max_capacity(REMEMBERED).time_to_idle(forgotten).build();
        Self { quotas, whole_at, hash: RandomState::new() }
    }

    /// Counts one request: for the token, and for the tenant where the token may ask. What is refused to one token is not
    /// taken from the others of its tenant.
    pub fn count(&self, tenant: Uuid, token: &str, now: DateTime<Utc>) -> Vec<Quota> {
        let now = now.timestamp_nanos_opt().unwrap_or_default();
        let limited = |most: u32| Some(i64::from(most)).filter(|most| *most > 0);
        let key = Key::Token(self.hash.hash_one(token));
        let of_token = limited(self.quotas.token).map(|most| self.take("token", most, key, now, 1));
        let cost = i64::from(!of_token.is_some_and(|quota| quota.refused));
        let of_tenant =
            limited(self.quotas.tenant).map(|most| self.take("tenant", most, Key::Tenant(tenant), now, cost));
        of_tenant.into_iter().chain(of_token).collect()
    }

    /// Takes `cost` requests of the quota, if it has them.
    fn take(&self, name: &'static str, most: i64, key: Key, now: i64, cost: i64) -> Quota {
        let whole_at = self.whole_at.get_with(key, || Arc::new(AtomicI64::new(0)));
        let (window, each) = (WINDOW * SECOND, WINDOW * SECOND / most);
        let mut refused = false;
        let mut next = |stored: i64| {
            let from = stored.clamp(now, now + window); // a clock that was set back owes nobody more than a window
            refused = from + cost * each > now + window;
            if refused { from } else { from + cost * each }
        };
        let mut stored = whole_at.load(Ordering::Relaxed);
        let after = loop {
            let wanted = next(stored);
            match whole_at.compare_exchange_weak(stored, wanted, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => break wanted,
                Err(other) => stored = other,
            }
        };
        let missing = after - now;
        let whole_in = (missing + SECOND - 1) / SECOND;
        Quota { name, most, left: (window - missing) / each, whole_in, refused }
    }
}

/// # Errors
/// `too_many_requests` where a quota is used up.
pub fn granted(quotas: &[Quota]) -> Result<()> {
    let Some(quota) = quotas.iter().find(|quota| quota.refused) else { return Ok(()) };
    let detail = format!("the {} has {} requests in {WINDOW} seconds", quota.name, quota.most);
    // the next request is free once one has been paid back
    let wait = (WINDOW + quota.most - 1) / quota.most;
    Err(Error::Limit { code: Code::TooManyRequests, detail, retry_after: Some(wait.unsigned_abs()) })
}

/// Says in the answer's head what is left.
pub fn tell(quotas: &[Quota], headers: &mut HeaderMap) {
    let policy = quotas.iter().map(|q| format!("\"{}\";q={};w={WINDOW}", q.name, q.most));
    let state = quotas.iter().map(|q| format!("\"{}\";r={};t={}", q.name, q.left, q.whole_in));
    for (name, text) in [(POLICY, policy.collect::<Vec<_>>()), (STATE, state.collect())] {
        if let Ok(value) = HeaderValue::from_str(&text.join(", ")) {
            headers.insert(name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    fn left(quotas: &[Quota]) -> Vec<(i64, bool)> {
        quotas.iter().map(|quota| (quota.left, quota.refused)).collect()
    }

    #[test]
    fn a_quota_is_used_up_comes_back_evenly_and_survives_a_clock_that_is_set_back() {
        let rates = Rates::new(Quotas { tenant: 0, token: 3 });
        let start: DateTime<Utc> = "2026-01-31T09:30:00Z".parse().unwrap();
        let count = |s: i64| left(&rates.count(Uuid::nil(), "t", start + TimeDelta::seconds(s)));
        assert_eq!([count(0), count(0), count(0)], [[(2, false)], [(1, false)], [(0, false)]]);
        assert_eq!([count(0), count(19), count(20), count(20)], [[(0, true)], [(0, true)], [(0, false)], [(0, true)]]);
        assert_eq!(count(500), [(2, false)]);
        assert_eq!(count(-3600), [(0, true)], "as much as a window is owed, and no more");
        assert_eq!(count(-3600 + 60), [(2, false)]);
        assert_eq!(left(&rates.count(Uuid::nil(), "other", start)), [(2, false)]);
    }
}
