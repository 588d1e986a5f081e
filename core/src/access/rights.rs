//! The one table of rights. Deny by default: what is not written here is refused, to everyone.
//!
//! A right is written `kind:verb`. For record kinds it follows from the kind's class; everything else that can be done
//! is listed by name.

use super::{Actor, Role, Verb};
use crate::{
    context::Context,
    engine::{Scope, Shape},
    error::{Error, Result},
};

/// What a kind is to access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    /// People own its records, or what they are about: accounts, opportunities, shares. Row access narrows them further.
    Owned,
    /// What the company has set up for all: users, teams, products, stages.
    Setup,
    /// Setup that is not everybody's to see.
    Restricted,
    /// What the product concluded about records, or keeps of them: scores, labels, lines. Seen by those who see the record.
    Decision,
}

/// Rights whose holder could become an admin, or make one: no role but the built-in one has them.
pub(super) const RESERVED: [&str; 5] =
    ["role:create", "role:update", "role:delete", "user:invite", "user:set_password"];

/// Built-in role and kind -> verbs.
pub(super) fn verbs(role: Role, shape: &Shape) -> &'static [Verb] {
    match (role, class(shape)) {
        (Role::Admin, _) | (Role::Manager, Class::Owned) => Verb::ALL,
        (Role::Rep, Class::Owned) => &[Verb::Read, Verb::Create, Verb::Update],
        (Role::Manager, _) | (Role::Rep, Class::Setup | Class::Decision) => Verb::READ,
        (Role::Rep, Class::Restricted) => &[],
    }
}

const ADMIN: &[Role] = &[Role::Admin];
const EVERYONE: &[Role] = &[Role::Admin, Role::Manager, Role::Rep];
const MANAGERS: &[Role] = &[Role::Admin, Role::Manager];

/// What can be done beside the verbs of record kinds, and who may.
const ACTIONS: &[(&str, &[Role])] = &[
    ("access:explain", ADMIN),
    ("api_key:create", EVERYONE),
    ("api_key:delete", EVERYONE),
    ("api_key:manage", ADMIN),
    ("api_key:read", EVERYONE),
    ("change:read", EVERYONE),
    ("import:create", ADMIN),
    ("import:history", ADMIN),
    ("installation:create", ADMIN),
    ("installation:update", ADMIN),
    ("job:cancel", MANAGERS),
    ("job:read", MANAGERS),
    ("me:read", EVERYONE),
    ("me:update", EVERYONE),
    ("person:erase", ADMIN),
    ("plugin:create", ADMIN),
    ("plugin_run:create", ADMIN),
    ("plugin_run:simulate", MANAGERS),
    ("tenant:read", EVERYONE),
    ("tenant:update", ADMIN),
    ("user:invite", ADMIN),
    ("user:set_password", ADMIN),
];

fn class(shape: &Shape) -> Class {
    match shape.scope {
        Scope::Subject if shape.verbs == Verb::READ => Class::Decision,
        Scope::Part => Class::Decision,
        Scope::Owner | Scope::Subject => Class::Owned,
        Scope::Tenant | Scope::Asker if shape.restricted => Class::Restricted,
        Scope::Tenant | Scope::Asker => Class::Setup,
    }
}

/// Whether the built-in role may do what is no verb of a record kind.
pub(super) fn acts(role: Role, right: &str) -> bool {
    ACTIONS.iter().any(|(name, roles)| *name == right && roles.contains(&role))
}

/// The one answer to "may they?" for record kinds.
///
/// # Errors
/// `Forbidden` with the missing right.
pub fn may(actor: &Actor, verb: Verb, shape: &Shape) -> Result<()> {
    if actor.may(verb, shape) { Ok(()) } else { Err(forbidden(right(shape, verb))) }
}

/// The same for what is no verb of a record kind: `import:create`, `plugin_run:simulate`.
///
/// # Errors
/// `Forbidden` with the missing right.
pub fn may_act(actor: &Actor, right: &'static str) -> Result<()> {
    if actor.may_act(right) { Ok(()) } else { Err(forbidden(right.to_owned())) }
}

/// The same for several rights by their names, whichever they are of.
///
/// # Errors
/// `Forbidden` with the first right that is missing.
pub fn may_all(cx: &Context, rights: &[String]) -> Result<()> {
    let held = rights_of(&cx.actor, cx.shapes());
    let missing = rights.iter().find(|right| held.binary_search(right).is_err());
    missing.map_or(Ok(()), |right| Err(forbidden(right.clone())))
}

/// Every right of the actor, sorted.
pub fn rights_of<'s>(actor: &Actor, shapes: impl Iterator<Item = &'s Shape>) -> Vec<String> {
    let mut rights: Vec<_> = shapes
        .flat_map(|shape| {
            let offered = shape.verbs.iter().filter(|verb| actor.may(**verb, shape));
            offered.map(|verb| right(shape, *verb))
        })
        .chain(ACTIONS.iter().map(|(name, _)| (*name).to_owned()).filter(|name| actor.may_act(name)))
        .collect();
    rights.sort_unstable();
    rights.dedup();
    rights
}

/// Every right there is over these kinds, sorted.
pub(super) fn all<'s>(shapes: impl Iterator<Item = &'s Shape>) -> Vec<String> {
    rights_of(&Actor::system(), shapes)
}

/// How a right over a kind is written: `account:read`.
pub(crate) fn right(shape: &Shape, verb: Verb) -> String {
    format!("{}:{}", shape.name, verb.as_str())
}

fn forbidden(right: String) -> Error {
    Error::Forbidden { right }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records;

    fn actor(role: Role) -> Actor {
        Actor::of(None, role)
    }

    #[test]
    fn the_listed_rights_are_the_granted_ones() {
        let registry = records::all();
        for role in Role::ALL {
            let listed = rights_of(&actor(role), registry.shapes());
            for shape in registry.shapes() {
                for verb in shape.verbs {
                    let granted = may(&actor(role), *verb, shape).is_ok();
                    assert_eq!(granted, listed.contains(&right(shape, *verb)), "{role:?} {}", right(shape, *verb));
                }
            }
            for (name, _) in ACTIONS {
                assert_eq!(
                    may_act(&actor(role), name).is_ok(),
                    listed.contains(&(*name).to_owned()),
                    "{role:?} {name}"
                );
            }
        }
    }

    #[test]
    fn roles_differ_as_documented() {
        let registry = records::all();
        let (account, user) = (registry.kind("account").unwrap().shape(), registry.kind("user").unwrap().shape());
        assert!(may(&actor(Role::Rep), Verb::Create, account).is_ok());
        assert!(matches!(
            may(&actor(Role::Rep), Verb::Delete, account),
            Err(Error::Forbidden { right }) if right == "account:delete"
        ));
        assert!(may(&actor(Role::Manager), Verb::Delete, account).is_ok());
        assert!(may(&actor(Role::Manager), Verb::Update, user).is_err());
        assert!(may(&actor(Role::Rep), Verb::Read, user).is_ok());
    }

    #[test]
    fn what_is_not_listed_is_refused_even_to_admins() {
        assert!(may_act(&actor(Role::Admin), "import:undo").is_err());
    }
}
