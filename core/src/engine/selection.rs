//! What of a record is read and printed: `fields=id,name,owner.name` and `expand=owner,account.owner`.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::{
    Field, Shape,
    custom::CUSTOM,
    relation::{Relation, relation, relations, steps},
};
use crate::{
    context::Context,
    error::{Code, Error, Result, VIOLATIONS, Violation, unknown},
};

/// Relations that may be followed in a row: `account.owner`.
pub const MAX_DEPTH: usize = 2;
/// Fields or relations that one request names.
pub const MAX_NAMES: usize = 1000;

/// What is printed of one kind, in the order of its shape: asked differently, the same bytes.
pub(super) struct Selection<'a> {
    pub cx: &'a Context,
    pub shape: &'a Shape,
    pub fields: Vec<&'a Field>,
    /// Which of the tenant's own fields, where only some were asked for.
    pub custom: Option<HashSet<String>>,
    pub expanded: Vec<Expanded<'a>>,
}

/// A relation that is printed beside its id.
pub(super) struct Expanded<'a> {
    pub relation: Relation<'a>,
    /// One for each kind the relation leads to, in its order.
    pub targets: Vec<Selection<'a>>,
}

impl<'a> Selection<'a> {
    /// # Errors
    /// `Malformed` with the names that are not there and the nearest that are; more than [`MAX_NAMES`] of them.
    pub fn parse(cx: &'a Context, shape: &'a Shape, fields: Option<&str>, expand: Option<&str>) -> Result<Self> {
        for (parameter, list) in [("fields", fields), ("expand", expand)] {
            if list.is_some_and(|list| list.split(',').count() > MAX_NAMES) {
                let detail = format!("has more than {MAX_NAMES} names");
                return Err(Error::malformed(parameter, Code::QueryTooExpensive, detail));
            }
        }
        let mut wish = Wish::default();
        for path in fields.into_iter().flat_map(|list| list.split(',')) {
            wish.name(path.trim());
        }
        for path in expand.into_iter().flat_map(|list| list.split(',')) {
            wish.expand(path.trim());
        }
        let mut broken = Broken::new();
        let selection = resolve(cx, shape, &wish, "", &mut broken);
        if broken.is_empty() {
            Ok(selection)
        } else {
            Err(Error::Malformed(broken.into_values().take(VIOLATIONS).collect()))
        }
    }
}

/// What is wrong, by dotted path.
type Broken = BTreeMap<String, Violation>;

/// The names asked for, as a tree.
#[derive(Default)]
struct Wish<'q> {
    /// Only the fields named; otherwise all.
    narrow: bool,
    fields: BTreeSet<&'q str>,
    relations: BTreeMap<&'q str, Wish<'q>>,
}

/// Words of a path that are told apart: one more than any that leads somewhere has, each relation of two words and the field
/// too. How deep the tree of names may be is not for callers to say.
const WORDS: usize = 2 * MAX_DEPTH + 3;

impl<'q> Wish<'q> {
    fn name(&mut self, path: &'q str) {
        let mut wish = self;
        let mut words = path.splitn(WORDS, '.').peekable();
        while let Some(word) = words.next() {
            wish.narrow = true;
            if words.peek().is_none() {
                wish.fields.insert(word);
                return;
            }
            wish = wish.relations.entry(word).or_default();
        }
    }

    fn expand(&mut self, path: &'q str) {
        path.splitn(WORDS, '.').fold(self, |wish, relation| wish.relations.entry(relation).or_default());
    }
}

fn resolve<'a>(cx: &'a Context, shape: &'a Shape, wish: &Wish<'_>, path: &str, broken: &mut Broken) -> Selection<'a> {
    for name in wish.fields.iter().filter(|name| shape.field(name).is_none()) {
        broken.insert(format!("{path}{name}"), missing("fields", "field", path, name, shape.field_names()));
    }
    let custom = own_fields(shape, wish, path, broken);
    let chosen =
        |f: &&Field| !wish.narrow || wish.fields.contains(f.name.as_str()) || f.name == CUSTOM && custom.is_some();
    let fields = shape.fields.iter().filter(chosen).collect();
    let mut expanded = Vec::new();
    for (name, wish) in wish.relations.iter().flat_map(|(name, wish)| own_relations(shape, name, wish)) {
        let parameter = if wish.narrow { "fields" } else { "expand" };
        let inner = format!("{path}{name}.");
        let Some(relation) = relation(cx, shape, &name) else {
            let names = relations(cx, shape).map(|relation| relation.name).collect::<Vec<_>>();
            broken.insert(inner, missing(parameter, "relation", path, &name, names));
            continue;
        };
        if steps(inner.trim_end_matches('.')) > MAX_DEPTH {
            let detail = format!("`{path}{name}` follows more than {MAX_DEPTH} relations");
            broken.insert(inner, Violation::parameter(parameter, Code::QueryTooExpensive, detail));
            continue;
        }
        let targets = resolve_targets(cx, &relation, wish, &inner, broken);
        expanded.push(Expanded { relation, targets });
    }
    expanded.sort_by_key(|e| e.relation.id.columns.first().copied());
    Selection { cx, shape, fields, custom, expanded }
}

/// The tenant's own fields that `fields=custom.budget` names; none where all of them are printed.
fn own_fields(shape: &Shape, wish: &Wish<'_>, path: &str, broken: &mut Broken) -> Option<HashSet<String>> {
    let names = &wish.relations.get(CUSTOM)?.fields;
    for name in names.iter().filter(|name| shape.custom.get(name).is_none()) {
        let known = shape.custom.active().map(|field| &*field.key);
        let place = format!("{path}{CUSTOM}.");
        broken.insert(format!("{place}{name}"), missing("fields", "custom field", &place, name, known));
    }
    (!names.is_empty() && !wish.fields.contains(CUSTOM)).then(|| names.iter().map(|name| (*name).to_owned()).collect())
}

/// `custom` is no relation itself: those within it are, under their whole names.
fn own_relations<'w, 'q>(shape: &Shape, name: &'q str, wish: &'w Wish<'q>) -> Vec<(String, &'w Wish<'q>)> {
    if name != CUSTOM || shape.column(CUSTOM).is_none() {
        return vec![(name.to_owned(), wish)];
    }
    wish.relations.iter().map(|(inner, wish)| (format!("{CUSTOM}.{inner}"), wish)).collect()
}

/// Of a relation to several kinds each is asked for what it has; only a name that none has is unknown.
fn resolve_targets<'a>(
    cx: &'a Context,
    relation: &Relation<'a>,
    wish: &Wish<'_>,
    path: &str,
    broken: &mut Broken,
) -> Vec<Selection<'a>> {
    let mut everywhere: Option<Broken> = None;
    let mut targets = Vec::with_capacity(relation.targets.len());
    for shape in &relation.targets {
        let mut here = Broken::new();
        targets.push(resolve(cx, shape, wish, path, &mut here));
        match &mut everywhere {
            Some(all) => all.retain(|name, _| here.contains_key(name)),
            None => everywhere = Some(here),
        }
    }
    broken.extend(everywhere.into_iter().flatten());
    targets
}

fn missing<'n>(
    parameter: &str,
    what: &str,
    path: &str,
    name: &str,
    names: impl IntoIterator<Item = &'n str>,
) -> Violation {
    let place = if path.is_empty() { String::new() } else { format!(" in `{}`", path.trim_end_matches('.')) };
    let detail = if name.is_empty() {
        format!("a name is missing{place}; names are separated by single commas: `id,name,owner.name`")
    } else {
        format!("{}{place}", unknown(what, name, names))
    };
    Violation::parameter(parameter, Code::UnknownField, detail)
}
