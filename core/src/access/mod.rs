//! Who may do what. Deny by default: a verb that no rule of the role names is refused.

mod role;
mod secrets;

use std::sync::Arc;

use uuid::Uuid;

pub use self::{role::Role, secrets::Secrets};
use crate::{
    engine::{Scope, Shape},
    error::{Error, Result},
};

/// What can be done to a kind. Rights are written `kind:verb`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verb {
    Read,
    Create,
    Update,
    Delete,
}

impl Verb {
    pub const ALL: &'static [Self] = &[Self::Read, Self::Create, Self::Update, Self::Delete];
    pub const READ: &'static [Self] = &[Self::Read];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }
}

/// Whose rows an actor reaches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Everyone's, and those that belong to nobody.
    All,
    /// Those of these users: oneself, or one's team tree.
    Users(Arc<[Uuid]>),
}

/// Who asks: a user in a role, or the product itself (migrations, the demo's first steps).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// `None` for the product itself.
    pub user: Option<Uuid>,
    pub role: Role,
    pub reach: Reach,
}

impl Actor {
    /// The product itself, where no user stands behind a write.
    pub fn system() -> Self {
        Self { user: None, role: Role::Admin, reach: Reach::All }
    }

    pub fn reaches(&self, owner: Option<Uuid>) -> bool {
        match &self.reach {
            Reach::All => true,
            Reach::Users(users) => owner.is_some_and(|owner| users.contains(&owner)),
        }
    }
}

/// The one answer to "may they?" for record kinds.
///
/// # Errors
/// `Forbidden` with the missing right.
pub fn may(actor: &Actor, verb: Verb, shape: &Shape) -> Result<()> {
    if actor.role.grants(verb, shape) { Ok(()) } else { Err(forbidden(shape.name, verb.as_str())) }
}

/// The same for actions that are no verb of a record kind: `import:create`, `plugin_run:create`.
///
/// # Errors
/// `Forbidden` with the missing right.
pub fn may_act(actor: &Actor, right: &'static str) -> Result<()> {
    if actor.role.grants_action(right) { Ok(()) } else { Err(Error::Forbidden { right: right.to_owned() }) }
}

fn forbidden(kind: &str, verb: &str) -> Error {
    Error::Forbidden { right: format!("{kind}:{verb}") }
}

impl Role {
    fn grants(self, verb: Verb, shape: &Shape) -> bool {
        match (self, shape.scope) {
            (Self::Admin, _) => true,
            (Self::Manager, Scope::Owner) => true,
            (Self::Rep, Scope::Owner) => verb != Verb::Delete,
            (Self::Manager, _) => verb == Verb::Read,
            (Self::Rep, Scope::Tenant) => verb == Verb::Read && !shape.restricted,
            (Self::Rep, Scope::Subject) => verb == Verb::Read,
        }
    }

    fn grants_action(self, right: &str) -> bool {
        match self {
            Self::Admin => true,
            Self::Manager => ["plugin_run:simulate", "job:read"].contains(&right),
            Self::Rep => false,
        }
    }
}
