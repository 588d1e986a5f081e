//! Passwords: argon2id (RFC 9106), hashed off the async workers and never more at once than there are cores.

use std::{num::NonZero, sync::Arc};

use argon2::{
    Argon2, Params,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Secret;
use crate::error::{Code, Error, Result, Violation};

pub const SHORTEST: usize = 10;
/// Bytes. Longer ones are refused before any hashing.
pub const LONGEST: usize = 1024;
/// What most guessed passwords are made of, once digits, signs and letter-like digits are taken away.
const COMMON: [&str; 24] = [
    "password",
    "passwort",
    "passphrase",
    "qwerty",
    "qwertyuiop",
    "azerty",
    "letmein",
    "welcome",
    "admin",
    "administrator",
    "iloveyou",
    "changeme",
    "secret",
    "sunshine",
    "princess",
    "football",
    "baseball",
    "superman",
    "dragon",
    "monkey",
    "abc",
    "asdfghjkl",
    "zxcvbnm",
    "default",
];
const SEQUENCES: [&str; 6] =
    ["01234567890", "abcdefghijklmnopqrstuvwxyz", "qwertyuiop", "asdfghjkl", "zxcvbnm", "1q2w3e4r5t6y7u8i9o0p"];

/// What one hash costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    pub memory_kib: u32,
    pub passes: u32,
    pub lanes: u32,
}

/// The second of the equal settings in the OWASP Password Storage Cheat Sheet: 19 MiB, two passes, one lane.
impl Default for Cost {
    fn default() -> Self {
        Self { memory_kib: 19 * 1024, passes: 2, lanes: 1 }
    }
}

impl Cost {
    /// The least that argon2id takes. For tests: such a hash protects nothing.
    pub const LEAST: Self = Self { memory_kib: 8, passes: 1, lanes: 1 };
}

/// Hashes and checks passwords.
pub(super) struct Passwords {
    argon: Argon2<'static>,
    turns: Arc<Semaphore>,
    /// Stands in for the hash of a user who does not exist, so that asking for one takes as long.
    nobody: Arc<str>,
}

/// The right to burn a core on one hash.
pub(super) struct Turn<'a> {
    passwords: &'a Passwords,
    permit: OwnedSemaphorePermit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Wrong,
    Right,
    /// Right, but hashed at another cost: to be hashed again.
    Outdated,
}

impl Passwords {
    pub(super) fn new(cost: Cost) -> Result<Self> {
        let params = Params::new(cost.memory_kib, cost.passes, cost.lanes, None)
            .map_err(|source| Error::internal("the password cost is one that argon2id takes", source))?;
        let argon = Argon2::from(params);
        let nobody = hash(&argon, &uuid::Uuid::new_v4().to_string())?.into();
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        Ok(Self { argon, turns: Arc::new(Semaphore::new(cores)), nobody })
    }

    /// Waits until a core may be burnt.
    pub(super) async fn turn(&self) -> Result<Turn<'_>> {
        let permit = Arc::clone(&self.turns).acquire_owned().await;
        let permit = permit.map_err(|source| Error::internal("the hashing turns are never closed", source))?;
        Ok(Turn { passwords: self, permit })
    }
}

impl Turn<'_> {
    /// The PHC string to store.
    pub(super) async fn hash(self, password: &Secret) -> Result<String> {
        let (argon, password) = (self.passwords.argon.clone(), password.clone());
        self.off(move || hash(&argon, password.expose())).await
    }

    /// Compares with the stored hash; with nobody's where there is none, at the same cost.
    pub(super) async fn verify(self, password: &Secret, stored: Option<&str>) -> Result<Verdict> {
        let known = stored.is_some();
        let stored: Arc<str> = stored.map_or_else(|| Arc::clone(&self.passwords.nobody), Arc::from);
        let (argon, password) = (self.passwords.argon.clone(), password.clone());
        let verdict = self.off(move || verify(&argon, password.expose(), &stored)).await?;
        Ok(if known { verdict } else { Verdict::Wrong })
    }

    async fn off<T: Send + 'static>(self, work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
        let permit = self.permit;
        let hashing = tokio::task::spawn_blocking(move || {
            let done = work();
            drop(permit); // held even when nobody waits for the answer any more
            done
        });
        hashing.await.map_err(|source| Error::internal("hashing a password does not panic", source))?
    }
}

fn hash(argon: &Argon2<'_>, password: &str) -> Result<String> {
    let hash = argon.hash_password(password.as_bytes());
    hash.map(|hash| hash.to_string()).map_err(|source| Error::internal("a password can be hashed", source))
}

fn verify(argon: &Argon2<'_>, password: &str, stored: &str) -> Result<Verdict> {
    let broken = |source: String| Error::internal("a stored password hash can be read", source);
    let parsed = PasswordHash::new(stored).map_err(|source| broken(source.to_string()))?;
    if parsed.hash.is_none() {
        return Err(broken("it is cut off".to_owned()));
    }
    match argon.verify_password(password.as_bytes(), &parsed) {
        Ok(()) => {}
        Err(argon2::password_hash::Error::PasswordInvalid) => return Ok(Verdict::Wrong),
        Err(source) => return Err(broken(source.to_string())),
    }
    let same = Params::try_from(&parsed).is_ok_and(|params| {
        let ours = argon.params();
        (params.m_cost(), params.t_cost(), params.p_cost()) == (ours.m_cost(), ours.t_cost(), ours.p_cost())
    });
    Ok(if same { Verdict::Right } else { Verdict::Outdated })
}

/// Could be somebody's password at all: anything longer is not hashed.
pub(super) fn of_possible_length(password: &Secret) -> bool {
    password.expose().len() <= LONGEST
}

/// The rules for a new password (NIST SP 800-63B, 5.1.1.2: a least length, no common ones, no composition rules).
/// `names` are those of the user and the tenant, which the password must not be made of.
///
/// # Errors
/// `Invalid` at `field`.
pub(super) fn acceptable(field: &str, password: &Secret, names: &[&str]) -> Result<()> {
    let text = password.expose();
    let refuse = |code, detail: &str| Err(Error::Invalid(vec![Violation::field(field, code, detail)]));
    if !of_possible_length(password) {
        return refuse(Code::TooLong, "must have at most 1024 bytes");
    }
    if text.chars().count() < SHORTEST {
        return refuse(Code::InvalidValue, "must have at least 10 characters");
    }
    if is_common(text, names) {
        return refuse(
            Code::InvalidValue,
            "is among the first that would be guessed; several unrelated words are better",
        );
    }
    Ok(())
}

fn is_common(text: &str, names: &[&str]) -> bool {
    let lower = text.to_lowercase();
    let mut distinct: Vec<char> = lower.chars().collect();
    distinct.sort_unstable();
    distinct.dedup();
    if distinct.len() < 5 {
        return true;
    }
    if SEQUENCES.iter().any(|row| repeated(row, &lower) || repeated(&row.chars().rev().collect::<String>(), &lower)) {
        return true;
    }
    let no_letter = |c: char| !c.is_alphabetic();
    let core = lower.trim_matches(no_letter);
    let unmasked: String = lower.trim_end_matches(no_letter).chars().map(unmask).collect();
    let known = |word: &str| COMMON.contains(&word) || names.iter().any(|name| name.to_lowercase() == word);
    known(core) || known(unmasked.trim_matches(no_letter)) || COMMON.iter().any(|word| consists_of(core, word))
}

/// `text` runs along `row`, starting again at its beginning as often as it needs.
fn repeated(row: &str, text: &str) -> bool {
    row.char_indices().any(|(start, _)| {
        let endless = row.chars().cycle().skip(row.get(..start).map_or(0, |head| head.chars().count()));
        text.chars().zip(endless).all(|(a, b)| a == b)
    })
}

fn consists_of(text: &str, word: &str) -> bool {
    text.strip_prefix(word).is_some_and(|rest| rest.is_empty() || consists_of(rest, word))
}

/// Digits and signs that stand for letters: `p@ssw0rd`.
fn unmask(c: char) -> char {
    match c {
        '0' => 'o',
        '1' | '!' => 'i',
        '3' => 'e',
        '4' | '@' => 'a',
        '5' | '$' => 's',
        '7' => 't',
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_is_recognised_and_others_are_not() {
        let passwords = Passwords::new(Cost::LEAST).unwrap();
        let password = Secret::new("correct horse battery staple");
        let stored = passwords.turn().await.unwrap().hash(&password).await.unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=8,t=1,p=1$"), "{stored}");
        let check = async |password: &str, stored: Option<&str>| {
            passwords.turn().await.unwrap().verify(&Secret::new(password), stored).await.unwrap()
        };
        assert_eq!(check("correct horse battery staple", Some(&stored)).await, Verdict::Right);
        assert_eq!(check("correct horse battery stapl", Some(&stored)).await, Verdict::Wrong);
        assert_eq!(check("", Some(&stored)).await, Verdict::Wrong);
        assert_eq!(check("correct horse battery staple", None).await, Verdict::Wrong);
    }

    #[tokio::test]
    async fn another_cost_is_noticed() {
        let password = Secret::new("correct horse battery staple");
        let old = Passwords::new(Cost::LEAST).unwrap();
        let stored = old.turn().await.unwrap().hash(&password).await.unwrap();
        let new = Passwords::new(Cost { passes: 2, ..Cost::LEAST }).unwrap();
        let verdict = new.turn().await.unwrap().verify(&password, Some(&stored)).await.unwrap();
        assert_eq!(verdict, Verdict::Outdated);
    }

    #[tokio::test]
    async fn a_damaged_hash_is_our_failure_not_a_wrong_password() {
        let passwords = Passwords::new(Cost::LEAST).unwrap();
        let verdict = passwords.turn().await.unwrap().verify(&Secret::new("x"), Some("$argon2id$v=19$m=8")).await;
        assert!(matches!(verdict, Err(Error::Internal { .. })), "{verdict:?}");
    }

    #[test]
    fn guessable_passwords_are_refused() {
        let names = ["ann", "acme"];
        let long = "ab".repeat(600);
        for text in [
            "short",
            "123456789",
            "1234567890",
            "9876543210",
            "password123",
            "P@ssw0rd2026!",
            "qwertyuiop",
            "aaaaaaaaaaaa",
            "abababababab",
            "Welcome2026!",
            "passwordpassword",
            "abcdefghij",
            "1q2w3e4r5t",
            "ann1234567",
            "acme!!!!!!!",
            "administrator",
            long.as_str(),
        ] {
            let verdict = acceptable("password", &Secret::new(text), &names);
            assert!(matches!(verdict, Err(Error::Invalid(_))), "{text}");
        }
        for text in
            ["correct horse battery", "Ripe-and-ready-7", "绿色的苹果在树上慢慢变红了", "ann likes 9 green pears"]
        {
            assert!(acceptable("password", &Secret::new(text), &names).is_ok(), "{text}");
        }
    }
}
