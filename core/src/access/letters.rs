//! What invitations and resets say. One place for each language.

use super::Purpose;
use crate::ports::Mail;

/// What a letter is about.
pub(super) struct About<'a> {
    pub purpose: Purpose,
    pub tenant: &'a str,
    pub name: &'a str,
    pub to: &'a str,
    /// Where the token is used.
    pub page: &'a str,
}

/// The letter in English.
pub(super) fn letter(about: &About<'_>) -> Mail {
    let About { purpose, tenant, name, to, page } = about;
    let (subject, what, until) = match purpose {
        Purpose::Invite => (
            format!("You are invited to {tenant}"),
            format!("you have been given access to {tenant}. Choose a password here:"),
            "The link works once, within seven days. If you did not expect this letter, leave it.",
        ),
        Purpose::Reset => (
            format!("Choose a new password for {tenant}"),
            format!("a new password for {tenant} can be chosen here:"),
            "The link works once, within the hour. Your present password works until then. If you did not ask for it, \
             tell your administrator.",
        ),
    };
    let text = format!("Hello {name},\n\n{what}\n\n{page}\n\n{until}\n");
    Mail { to: (*to).to_owned(), name: (*name).to_owned(), subject, text }
}
