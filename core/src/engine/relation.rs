//! To-one relations: `owner` for the field `owner_id`, `subject` for `subject_kind` and `subject_id`.

use super::{Field, FieldType, Scope, Shape, past};
use crate::{
    access::{self, Verb},
    context::Context,
};

/// A relation to one other record of a kind the actor may read.
pub(super) struct Relation<'a> {
    pub name: &'a str,
    /// Holds the other record's id.
    pub id: &'a Field,
    /// Holds the other record's kind, where it may be one of several.
    pub kind: Option<&'a Field>,
    /// The kinds it leads to: one, unless `kind` says which.
    pub targets: Vec<&'a Shape>,
}

/// Every relation of the kind that the actor may follow, in the order of its fields.
pub(super) fn relations<'a>(cx: &'a Context, shape: &'a Shape) -> impl Iterator<Item = Relation<'a>> {
    shape.fields.iter().filter_map(move |id| relation_of(cx, shape, id))
}

pub(super) fn relation<'a>(cx: &'a Context, shape: &'a Shape, name: &str) -> Option<Relation<'a>> {
    relations(cx, shape).find(|relation| relation.name == name)
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
    (!targets.is_empty()).then_some(Relation { name, id, kind, targets })
}
