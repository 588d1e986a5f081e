//! What was erased, and whether what stands elsewhere tells of it.

use std::{
    borrow::Cow,
    collections::{BTreeSet, HashSet},
};

use aho_corasick::AhoCorasick;
use serde_json::Value as Json;
use uuid::Uuid;

use super::{ERASED, NOWHERE};
use crate::error::{Error, Result};

/// Characters of a text that are sought: its beginning says as much, and what is kept of a refused cell is cut too.
const SOUGHT: usize = 100;

/// How much a row tells of the person.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Likeness {
    #[default]
    None,
    /// It has one short text, which others may have too, or it cannot be read.
    Doubtful,
    Certain,
}

/// Texts while they are erased.
#[derive(Debug, Default)]
pub(super) struct Collected {
    distinct: BTreeSet<String>,
    short: BTreeSet<String>,
    vague: BTreeSet<String>,
}

/// The texts that were erased.
#[derive(Debug)]
pub struct Texts {
    /// Those that say something wherever they stand.
    pub(super) distinct: Vec<String>,
    /// The others: `Ann` stands in `planned`. They are sought as words.
    short: Vec<String>,
    /// How many are not sought at all: short ones deep in a list or an object are rather one of a few words than a name.
    vague: usize,
    finder: AhoCorasick,
    words: HashSet<String>,
}

impl Collected {
    /// The texts anywhere in a field's value.
    pub fn take(&mut self, value: &Json) {
        let name = value.is_string();
        for text in strings(value, false) {
            let text: String = text.trim().chars().take(SOUGHT).collect();
            if text.is_empty() || is_emptied(&text) {
                continue;
            }
            let of = match (distinct(&text), name) {
                (true, _) => &mut self.distinct,
                (false, true) => &mut self.short,
                (false, false) => &mut self.vague,
            };
            of.insert(text);
        }
    }

    /// # Errors
    /// More texts than there may be records.
    pub fn texts(self) -> Result<Texts> {
        let [distinct, short] = [self.distinct, self.short].map(|texts| texts.into_iter().collect::<Vec<_>>());
        let finder = AhoCorasick::new(distinct.iter().map(|text| text.to_lowercase()));
        let finder = finder.map_err(|source| Error::internal("the texts of 10,000 records can be sought", source))?;
        let words = short.iter().map(|text| text.to_lowercase()).collect();
        Ok(Texts { distinct, short, vague: self.vague.len(), finder, words })
    }
}

impl Texts {
    /// Those that are sought outside of the person's own records.
    pub(super) fn sought(&self) -> Vec<String> {
        [self.distinct.as_slice(), &self.short].concat()
    }

    /// How many are too short to say anything wherever they stand.
    pub(super) fn too_short(&self) -> usize {
        self.short.len() + self.vague
    }

    /// What the cells of a row tell together, whatever the case of their letters: the person is in it with a text that says
    /// something wherever it stands, or with two short ones, each a word or a cell.
    pub fn row(&self, cells: impl IntoIterator<Item = impl AsRef<str>>) -> Likeness {
        let mut met = BTreeSet::new();
        for cell in cells {
            let cell = cell.as_ref().to_lowercase();
            if self.finder.is_match(&cell) {
                return Likeness::Certain;
            }
            met.extend(self.words.get(cell.trim()));
            met.extend(cell.split(|c: char| !c.is_alphanumeric()).filter_map(|word| self.words.get(word)));
        }
        match met.len() {
            0 => Likeness::None,
            1 => Likeness::Doubtful,
            _ => Likeness::Certain,
        }
    }

    /// Whether a cell tells of the person by itself: it is one of the texts, or has as much as a row must have.
    pub fn cell(&self, cell: &str) -> bool {
        self.words.contains(cell.trim().to_lowercase().as_str()) || self.row([cell]) == Likeness::Certain
    }
}

/// The texts in a value, with `all` its numbers and the names of its members too: an import may make texts of them.
pub fn strings(value: &Json, all: bool) -> Vec<Cow<'_, str>> {
    match value {
        Json::String(text) => vec![text.into()],
        Json::Number(number) if all => vec![number.to_string().into()],
        Json::Array(values) => values.iter().flat_map(|value| strings(value, all)).collect(),
        Json::Object(members) => {
            let names = members.keys().filter(|_| all).map(Cow::from);
            names.chain(members.values().flat_map(|value| strings(value, all))).collect()
        }
        _ => Vec::new(),
    }
}

/// Whether the text is one of those that stand for what was erased.
fn is_emptied(text: &str) -> bool {
    let word = text.strip_suffix(NOWHERE).unwrap_or(text);
    let id = word.strip_prefix(ERASED).and_then(|rest| rest.strip_prefix('-'));
    word == ERASED || id.is_some_and(|id| id.parse::<Uuid>().is_ok())
}

/// Whether finding the text somewhere says anything: two Chinese characters are a name.
fn distinct(text: &str) -> bool {
    let length = text.chars().count();
    length >= 5 || (length >= 2 && !text.is_ascii())
}
