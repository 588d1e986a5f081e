//! What the core asks of whatever carries letters.

use async_trait::async_trait;

use crate::error::Result;

/// A letter to one person.
#[derive(Clone, PartialEq, Eq)]
pub struct Mail {
    /// Their address.
    pub to: String,
    pub name: String,
    pub subject: String,
    /// Plain text.
    pub text: String,
}

/// It may hold a secret.
impl std::fmt::Debug for Mail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Mail(..)")
    }
}

/// Carries letters.
#[async_trait]
pub trait Mailer: Send + Sync {
    /// Hands the letter over.
    ///
    /// # Errors
    /// `mail_unavailable`: it was not taken; `invalid_state`: no letter can be sent to the address.
    async fn send(&self, mail: Mail) -> Result<()>;

    /// The page where people use a one-time token.
    fn page(&self, token: &str) -> String;
}
