//! References of a page: one lookup for all its rows.

use std::collections::{BTreeSet, HashMap, HashSet};

use serde_json::Value as Json;
use uuid::Uuid;

use super::{
    deferred,
    draft::{Draft, text},
    lookup::{self, Answer},
    page::Batch,
    target::{Lookup, Missing, Target},
};
use crate::error::{Code, Result};

/// What is known of one lookup's texts.
struct Known {
    answers: HashMap<String, Answer>,
    /// Values that accepted rows of this dry run have brought: nothing of those rows is there to refer to.
    tried: HashSet<String>,
    /// Records made because nothing had these values.
    created: HashMap<String, Result<Uuid>>,
    /// What is missing may still come with another row of the file.
    hopes: bool,
}

/// Fills one reference of every draft.
pub(super) async fn fill(batch: &Batch<'_>, target: &Target, lookup: &Lookup, drafts: &mut [Draft]) -> Result<()> {
    let texts: BTreeSet<String> =
        drafts.iter().filter_map(|d| text(batch.spec, &d.cells, &lookup.column)).map(str::to_owned).collect();
    if texts.is_empty() {
        return Ok(());
    }
    let known = known(batch, lookup, &texts).await?;
    for draft in drafts {
        let found = text(batch.spec, &draft.cells, &lookup.column).and_then(|text| known.answers.get(text));
        let refused = match found {
            None => continue,
            Some(Answer::One(id)) => {
                draft.place(target, id.to_string().into());
                continue;
            }
            Some(Answer::Nothing(value)) => missing(draft, target, lookup, &known, value),
            Some(Answer::Several(n)) => {
                let detail = format!("{n} {} records have this {}", lookup.kind, lookup.by);
                Some((Code::AmbiguousReference, detail))
            }
            Some(Answer::Unreadable(detail)) => Some((Code::ReferenceNotFound, detail.clone())),
        };
        if let Some((code, detail)) = refused {
            draft.refuse(batch.spec, target, code, detail);
        }
    }
    Ok(())
}

async fn known(batch: &Batch<'_>, lookup: &Lookup, texts: &BTreeSet<String>) -> Result<Known> {
    let answers = lookup::resolve(batch.unit, lookup, texts.iter().map(String::as_str).collect()).await?;
    let nothing = |answer: &Answer| if let Answer::Nothing(value) = answer { Some(value.clone()) } else { None };
    let mut absent: Vec<String> = answers.values().filter_map(nothing).collect();
    absent.sort_unstable();
    let own = lookup.kind == batch.spec.kind;
    let mut known = Known { answers, tried: HashSet::new(), created: HashMap::new(), hopes: own && batch.hopes };
    if batch.spec.dry_run && own && !absent.is_empty() {
        known.tried.extend(deferred::seen(batch.unit, batch.job, "provides", &absent).await?);
    }
    if lookup.missing == Missing::Create && !known.hopes {
        let new: BTreeSet<&str> = absent.iter().map(String::as_str).filter(|v| !known.tried.contains(*v)).collect();
        known.created = if new.is_empty() { HashMap::new() } else { lookup::create(batch.unit, lookup, new).await? };
    }
    Ok(known)
}

/// A row whose lookup finds nothing: it waits, goes without, gets the record just made, or is refused.
fn missing(
    draft: &mut Draft,
    target: &Target,
    lookup: &Lookup,
    known: &Known,
    value: &String,
) -> Option<(Code, String)> {
    if known.tried.contains(value) {
        return None;
    }
    if known.hopes {
        draft.waits.get_or_insert_with(|| value.clone());
        return None;
    }
    let id = match (lookup.missing, known.created.get(value)) {
        (Missing::Null, _) => Json::Null,
        (_, Some(Ok(id))) => id.to_string().into(),
        (_, Some(Err(error))) => {
            return Some((Code::ReferenceNotFound, format!("the {} could not be created: {error}", lookup.kind)));
        }
        (_, None) => {
            return Some((Code::ReferenceNotFound, format!("there is no {} with this {}", lookup.kind, lookup.by)));
        }
    };
    draft.place(target, id);
    None
}
