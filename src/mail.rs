//! Letters by SMTP.

use std::time::Duration;

use async_trait::async_trait;
use lettre::{
    AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor,
    message::{Mailbox, header::ContentType},
};
use ripen_core::{
    error::{Code, Error, Result},
    ports::{Mail, Mailer},
};

use crate::config;

/// For a letter to be taken.
const PATIENCE: Duration = Duration::from_secs(15);

/// What stands for the token in the link.
pub const TOKEN: &str = "{token}";

/// Hands letters to a mail server.
pub struct Smtp {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    link: String,
}

/// The settings of `mail` cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    #[error("mail.url is no smtp://, smtps:// or smtp://..?tls=required address")]
    Url,
    #[error("mail.from is required and must be an address such as \"Ripen <crm@example.com>\"")]
    From,
    #[error("mail.link is required and must have {TOKEN} where the token belongs")]
    Link,
}

impl Smtp {
    /// `None` where no mail server is named.
    ///
    /// # Errors
    /// What is wrong with the settings.
    pub fn new(settings: &config::Mail) -> std::result::Result<Option<Self>, MailError> {
        let Some(url) = &settings.url else { return Ok(None) };
        // the cause may quote the URL, and with it a password
        let transport = AsyncSmtpTransport::<Tokio1Executor>::from_url(url).map_err(|_| MailError::Url)?;
        let from = settings.from.as_deref().and_then(|from| from.parse().ok()).ok_or(MailError::From)?;
        let link = settings.link.clone().filter(|link| link.contains(TOKEN)).ok_or(MailError::Link)?;
        Ok(Some(Self { transport: transport.timeout(Some(PATIENCE)).build(), from, link }))
    }
}

#[async_trait]
impl Mailer for Smtp {
    async fn send(&self, mail: Mail) -> Result<()> {
        let broken =
            |source: Box<dyn std::error::Error + Send + Sync>| Error::internal("a letter can be written", source);
        let address = mail.to.parse().map_err(|source: lettre::address::AddressError| {
            let detail = format!("the address `{}` takes no letters: {source}; change it first", mail.to);
            Error::conflict(Code::InvalidState, detail)
        })?;
        let letter = Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(Some(mail.name).filter(|name| !name.is_empty()), address))
            .subject(mail.subject)
            .header(ContentType::TEXT_PLAIN)
            .body(mail.text)
            .map_err(|source| broken(source.into()))?;
        self.transport.send(letter).await.map(drop).map_err(|source| {
            tracing::error!(error = &source as &dyn std::error::Error, "the mail server has not taken a letter");
            let detail = "the mail server has not taken the letter; nothing was sent".to_owned();
            Error::Limit { code: Code::MailUnavailable, detail, retry_after: Some(60) }
        })
    }

    fn page(&self, token: &str) -> String {
        self.link.replace(TOKEN, token)
    }
}
