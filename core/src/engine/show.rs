//! What is shown of a value that holds fields of other records: those that whoever asks may read there too.

use serde_json::Value as Json;

use super::{Field, Shape, parts::Parts};
use crate::{
    access::{self, Verb},
    context::Context,
    error::{Code, Error, Result},
};

/// The column of records about others that holds the kind of those.
pub(super) const SUBJECT_KIND: &str = "subject_kind";

impl Shape {
    /// Whether of the field's values not all may be shown.
    pub(super) fn shows_in_part(&self, field: &Field) -> bool {
        self.quotes(field) || self.listed(field).is_some_and(|parts| !parts.shape.is_whole())
    }

    /// Whether whoever asks may put the field's values back whole: of one that they see in part the rest would be lost.
    ///
    /// # Errors
    /// `Invalid`, naming the field.
    pub(crate) fn puts_back(&self, field: &Field) -> Result<()> {
        if !self.shows_in_part(field) {
            return Ok(());
        }
        let detail = "has fields that you may not read: whoever may has to undo this";
        Err(Error::Invalid(vec![field.violation(Code::ReadOnly, detail)]))
    }

    /// What is shown of a value of the field; `about` is the kind of the record's subject, where it has one.
    pub(super) fn show(&self, cx: &Context, field: &Field, value: Json, about: Option<&str>) -> Json {
        match value {
            Json::Object(values) if self.quotes(field) => {
                let subject = about.and_then(|kind| cx.kind(kind)).map(|resource| resource.shape());
                let subject = subject.filter(|subject| access::may(&cx.actor, Verb::Read, subject).is_ok());
                let shown = |(name, value): (String, Json)| {
                    let field = subject?.any_field(&name)?;
                    Some((name, subject?.show(cx, field, value, None)))
                };
                values.into_iter().filter_map(shown).collect()
            }
            Json::Array(mut items) => {
                if let Some(parts) = self.listed(field) {
                    for item in items.iter_mut().filter_map(Json::as_object_mut) {
                        item.retain(|name, _| !parts.shape.hides(name));
                    }
                }
                Json::Array(items)
            }
            other => other,
        }
    }

    fn quotes(&self, field: &Field) -> bool {
        self.quotes.contains(&field.name.as_str())
    }

    fn listed(&self, field: &Field) -> Option<&Parts> {
        self.parts.as_ref().filter(|parts| parts.field == field.name)
    }
}
