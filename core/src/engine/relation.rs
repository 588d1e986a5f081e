//! Relations: to one, `owner` for the field `owner_id`, `subject` for `subject_kind` and `subject_id`; and back, to the
//! records that refer to one.

use super::{
    Field, FieldType, Scope, Shape,
    custom::{CUSTOM, CustomField},
    past,
};
use crate::{
    access::{self, Verb},
    context::Context,
};

/// A relation to one other record of a kind the actor may read.
pub(super) struct Relation<'a> {
    pub name: &'a str,
    /// Holds the other record's id.
    pub id: &'a Field,
    /// Which of the custom values that `id` holds, where the tenant has added the relation.
    pub key: Option<&'a CustomField>,
    /// Holds the other record's kind, where it may be one of several.
    pub kind: Option<&'a Field>,
    /// The kinds it leads to: one, unless `kind` says which.
    pub targets: Vec<&'a Shape>,
}

/// Every relation of the kind that the actor may follow, in the order of its fields.
pub(super) fn relations<'a>(cx: &'a Context, shape: &'a Shape) -> impl Iterator<Item = Relation<'a>> {
    let own = shape.custom.active().filter_map(move |field| own_relation(cx, shape, field));
    shape.fields.iter().filter_map(move |id| relation_of(cx, shape, id)).chain(own)
}

pub(super) fn relation<'a>(cx: &'a Context, shape: &'a Shape, name: &str) -> Option<Relation<'a>> {
    relations(cx, shape).find(|relation| relation.name == name)
}

/// The way and the last step of a dotted path: one that the tenant has added has two words, `account.custom.supplier`.
pub(super) fn last_step(path: &str) -> (&str, &str) {
    let Some((before, name)) = path.rsplit_once('.') else { return ("", path) };
    let own = before.strip_suffix(CUSTOM).filter(|way| way.is_empty() || way.ends_with('.'));
    match own.and_then(|way| Some((way.trim_end_matches('.'), path.get(way.len()..)?))) {
        Some(own) => own,
        None => (before, name),
    }
}

/// How many relations a dotted path follows.
pub(super) fn steps(way: &str) -> usize {
    way.split('.').filter(|word| *word != CUSTOM).count()
}

/// The records of another kind that refer to one of this kind.
pub(super) struct Referring<'a> {
    /// `opportunities`, or `opportunities_by_owner` where several of their fields lead here.
    pub name: String,
    pub shape: &'a Shape,
    /// Their relation that leads here.
    pub relation: Relation<'a>,
}

/// Every kind the actor may read whose relations lead to this one, in the order of the registry.
pub(super) fn referring<'a>(cx: &'a Context, shape: &Shape) -> Vec<Referring<'a>> {
    let there = |other: &&Shape| past::keeps(cx, other).is_ok() && access::may(&cx.actor, Verb::Read, other).is_ok();
    let others = cx.shapes().filter(there);
    let of = |other: &'a Shape| {
        let leads = |relation: &Relation<'_>| relation.targets.iter().any(|target| target.name == shape.name);
        let here: Vec<_> = relations(cx, other).filter(leads).collect();
        let (alone, plural) = (here.len() == 1, other.plural.replace('-', "_"));
        here.into_iter().map(move |relation| {
            let by = relation.key.map_or(relation.name, |field| &*field.key);
            let name = if alone { plural.clone() } else { format!("{plural}_by_{by}") };
            Referring { name, shape: other, relation }
        })
    };
    others.flat_map(of).collect()
}

/// A reference that the tenant has added: its relation is called as the field is, `custom.supplier`.
fn own_relation<'a>(cx: &'a Context, shape: &'a Shape, field: &'a CustomField) -> Option<Relation<'a>> {
    let FieldType::Reference(kind) = &field.field.kind else { return None };
    let target = cx.kind(kind)?.shape();
    past::keeps(cx, target).and_then(|()| access::may(&cx.actor, Verb::Read, target)).ok()?;
    let id = shape.field(CUSTOM)?;
    Some(Relation { name: &field.field.name, id, key: Some(field), kind: None, targets: vec![target] })
}

fn relation_of<'a>(cx: &'a Context, shape: &'a Shape, id: &'a Field) -> Option<Relation<'a>> {
    let name = id.name.strip_suffix("_id")?;
    let there = |target: &&Shape| past::keeps(cx, target).is_ok() && access::may(&cx.actor, Verb::Read, target).is_ok();
    let shapes = cx.shapes();
    let (kind, targets) = match &id.kind {
        FieldType::Reference(kind) => (None, shapes.filter(|s| s.name == *kind).filter(there).collect::<Vec<_>>()),
        FieldType::Id => {
            let kind = shape.field(&format!("{name}_kind"))?;
            (Some(kind), shapes.filter(|s| s.scope == Scope::Owner).filter(there).collect())
        }
        _ => return None,
    };
    (!targets.is_empty()).then_some(Relation { name, id, key: None, kind, targets })
}
