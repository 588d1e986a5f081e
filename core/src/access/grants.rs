//! What a role grants: rights, whose rows, which fields. Made once from its definition; every question is asked here.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{Role, Verb, rights};
use crate::{
    engine::{
        FieldAccess, Registry, Resource, Scope, Shape,
        filter::{self, Filter},
    },
    error::{Code, Error, Violation, enough, unknown},
    records::role::{FieldRight, Fields, RowScope, Rows},
};

/// A role as it is asked.
#[derive(Debug)]
pub struct Grants {
    rights: Rights,
    rows: RowScope,
    rows_of: BTreeMap<String, RowScope>,
    filters: BTreeMap<String, Arc<Filter>>,
    /// The tenant's kinds as the role sees them, where it does not see every field.
    kinds: Option<Registry>,
}

#[derive(Debug)]
enum Rights {
    BuiltIn(Role),
    Listed(BTreeSet<String>),
}

/// Whose rows of a kind.
#[derive(Clone, Copy, Debug)]
pub enum Extent<'a> {
    Own,
    Team,
    TeamTree,
    All,
    Where(&'a Arc<Filter>),
}

/// A role as an admin defines it.
pub struct Definition<'a> {
    pub rights: &'a [String],
    pub rows: &'a Rows,
    pub fields: &'a Fields,
}

impl Grants {
    pub fn built_in(role: Role) -> Self {
        let rows = match role {
            Role::Admin => RowScope::All,
            Role::Manager => RowScope::TeamTree,
            Role::Rep => RowScope::Own,
        };
        Self { rights: Rights::BuiltIn(role), rows, rows_of: BTreeMap::new(), filters: BTreeMap::new(), kinds: None }
    }

    /// The grants of a definition over the tenant's kinds.
    ///
    /// # Errors
    /// Everything that is wrong with it, by its place in the role; filters are only read.
    pub fn of(definition: &Definition<'_>, kinds: &Registry) -> Result<Self, Vec<Violation>> {
        let mut broken = Vec::new();
        let listed = listed("rights", definition.rights, kinds, &mut broken);
        let (rows_of, filters) = rows(definition.rows, kinds, &mut broken);
        let narrowed = narrowed(definition.fields, kinds, &listed, &mut broken);
        if !broken.is_empty() {
            return Err(broken);
        }
        let rows = definition.rows.default.clone();
        Ok(Self { rights: Rights::Listed(listed), rows, rows_of, filters, kinds: narrowed })
    }

    pub(super) fn may(&self, verb: Verb, shape: &Shape) -> bool {
        match &self.rights {
            Rights::BuiltIn(role) => rights::verbs(*role, shape).contains(&verb),
            Rights::Listed(listed) => listed.contains(&rights::right(shape, verb)),
        }
    }

    pub(super) fn may_act(&self, right: &str) -> bool {
        match &self.rights {
            Rights::BuiltIn(role) => rights::acts(*role, right),
            Rights::Listed(listed) => listed.contains(right),
        }
    }

    /// Whose rows of the kind are seen.
    pub fn extent(&self, shape: &Shape) -> Extent<'_> {
        if let Some(filter) = self.filters.get(&*shape.name) {
            return Extent::Where(filter);
        }
        match self.rows_of.get(&*shape.name).unwrap_or(&self.rows) {
            RowScope::Own => Extent::Own,
            RowScope::Team => Extent::Team,
            RowScope::TeamTree => Extent::TeamTree,
            RowScope::All | RowScope::Where(_) => Extent::All,
        }
    }

    /// Whether the role sees every row of every kind, and every field.
    pub fn whole(&self) -> bool {
        let all = |rows: &RowScope| *rows == RowScope::All;
        all(&self.rows) && self.rows_of.values().all(all) && self.filters.is_empty() && self.kinds.is_none()
    }

    /// The tenant's kinds as the role sees them.
    pub fn kinds<'a>(&'a self, of_tenant: &'a Registry) -> &'a Registry {
        self.kinds.as_ref().unwrap_or(of_tenant)
    }
}

/// The rights of a list in which `*` stands for every kind or every verb.
pub(super) fn listed(
    member: &str,
    rights: &[String],
    kinds: &Registry,
    broken: &mut Vec<Violation>,
) -> BTreeSet<String> {
    let there = rights::all(kinds.shapes());
    let mut listed = BTreeSet::new();
    for (place, right) in rights.iter().enumerate() {
        let told = !enough(broken); // what is right counts, however much before it is wrong
        let mut refuse = |detail: &dyn Fn() -> String| {
            let violation =
                || Violation { pointer: format!("/{member}/{place}"), code: Code::InvalidValue, detail: detail() };
            broken.extend(told.then(violation));
        };
        let (kind, verb) = right.split_once(':').unwrap_or((right, ""));
        let fits = |known: &&String| {
            let (k, v) = known.split_once(':').unwrap_or((known, ""));
            (kind == "*" || kind == k) && (verb == "*" || verb == v)
        };
        if rights::RESERVED.contains(&right.as_str()) {
            refuse(&|| format!("`{right}` would let its holder become an admin; only admins have it"));
            continue;
        }
        let open = there.iter().filter(fits).filter(|known| !rights::RESERVED.contains(&known.as_str()));
        let found: Vec<_> = open.cloned().collect();
        if found.is_empty() {
            refuse(&|| unknown("right", right, there.iter().map(String::as_str)));
        }
        listed.extend(found);
    }
    listed
}

type RowsOf = (BTreeMap<String, RowScope>, BTreeMap<String, Arc<Filter>>);

fn rows(rows: &Rows, kinds: &Registry, broken: &mut Vec<Violation>) -> RowsOf {
    let (mut of, mut filters) = (BTreeMap::new(), BTreeMap::new());
    if matches!(rows.default, RowScope::Where(_)) {
        let detail = "a filter is for one kind: own, team, team_tree or all";
        broken.push(Violation::field("rows.default", Code::InvalidValue, detail));
    }
    for (kind, scope) in &rows.kinds {
        if enough(broken) {
            break;
        }
        let place = format!("rows.kinds.{kind}");
        let Some(resource) = kinds.kind(kind) else {
            let detail = unknown("kind", kind, kinds.shapes().map(|shape| &*shape.name));
            broken.push(Violation::field(&place, Code::UnknownField, detail));
            continue;
        };
        match scope {
            RowScope::Where(text) => match filter::parse(text) {
                Ok(filter) => {
                    filters.insert(kind.clone(), Arc::new(filter));
                }
                Err(error) => broken.extend(within(&place, error)),
            },
            RowScope::All => {}
            _ if resource.shape().scope != Scope::Owner => {
                let detail = format!("{} have no owner: `all`, or a filter", resource.shape().plural);
                broken.push(Violation::field(&place, Code::InvalidValue, detail));
            }
            _ => {}
        }
        of.insert(kind.clone(), scope.clone());
    }
    (of, filters)
}

/// What is wrong with a filter, at its place in the role.
pub(crate) fn within(place: &str, error: Error) -> Vec<Violation> {
    let violations = match error {
        Error::Malformed(violations) | Error::Invalid(violations) => violations,
        other => vec![Violation::field(place, Code::InvalidValue, other.to_string())],
    };
    violations.into_iter().map(|violation| Violation::field(place, violation.code, violation.detail)).collect()
}

/// Fields that tell which record it is, and which version of it.
const IDENTITY: [&str; 2] = ["id", "version"];

fn narrowed(
    fields: &Fields,
    kinds: &Registry,
    listed: &BTreeSet<String>,
    broken: &mut Vec<Violation>,
) -> Option<Registry> {
    let mut narrowed = kinds.clone();
    for (kind, limits) in &fields.0 {
        if enough(broken) {
            break;
        }
        let wrong = |field: &str, code, detail: String| {
            let pointer = format!("/fields/{kind}/{field}"); // a name with a dot is one member
            Violation { pointer, code, detail }
        };
        let Some(resource) = kinds.kind(kind) else {
            let detail = unknown("kind", kind, kinds.shapes().map(|shape| &*shape.name));
            broken.push(Violation::field(&format!("fields.{kind}"), Code::UnknownField, detail));
            continue;
        };
        let shape = resource.shape();
        for (name, right) in limits {
            if enough(broken) {
                break;
            }
            let Some(field) = shape.any_field(name) else {
                let detail = unknown("field", name, shape.all_names());
                broken.push(wrong(name, Code::UnknownField, detail));
                continue;
            };
            let creates = listed.contains(&rights::right(shape, Verb::Create));
            if IDENTITY.contains(&name.as_str()) && *right == FieldRight::None {
                broken.push(wrong(name, Code::InvalidValue, "is always read".to_owned()));
            } else if field.required && creates && *right != FieldRight::Write {
                let detail = format!("is required: a role with {}:create must write it", shape.name);
                broken.push(wrong(name, Code::InvalidValue, detail));
            }
        }
        let limit = |name: &str| limits.get(name).copied();
        narrowed = narrowed.replaced(&resource.reshaped(shape.narrowed(|field| match limit(&field.name) {
            Some(FieldRight::None) => None,
            Some(FieldRight::Read) if field.access != FieldAccess::Server => Some(FieldAccess::Read),
            _ => Some(field.access),
        })));
    }
    let listing = |parent: &Arc<dyn Resource>| {
        let child = narrowed.kind(&parent.shape().parts.as_ref()?.shape.name)?;
        Some(parent.reshaped(parent.shape().listing(child.shape())))
    };
    let parents: Vec<_> = narrowed.iter().filter_map(listing).collect();
    let narrowed = parents.iter().fold(narrowed, Registry::replaced);
    (!fields.0.is_empty()).then_some(narrowed)
}
