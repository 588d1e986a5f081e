use std::{
    iter::Copied,
    slice::{Iter, Windows},
};

use crate::columns::{Column, Field, Series, Texts, Words};

/// A type that a column can be read as: `f64`, `i64`, `bool`, `String`, [`Money`], `Vec<String>` (words), `Vec<f64>`
/// (series), and `Option` of each for inputs that a row may lack.
pub trait Value: Sized {
    /// Goes through a column row by row.
    type Column<'a>: Iterator<Item = Self>;
    /// Whether rows without a value are allowed.
    const OPTIONAL: bool = false;

    /// The values of `field`, one a row.
    ///
    /// # Errors
    /// The column is of another type.
    fn read(field: &Field) -> Result<Self::Column<'_>, String>;

    /// `values` as a column, with 1 for each row that has a value where some have none. For test frames.
    fn write(values: Vec<Self>) -> (Column, Option<Vec<u8>>);
}

/// An amount in minor units (cents) of the input's currency.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Money(
    /// Minor units.
    pub i64,
);

fn wrong_type<T>(field: &Field, wanted: &str) -> Result<T, String> {
    let found = match field.column {
        Column::Numbers(_) => "number",
        Column::Integers(_) => "integer, money, instant or date",
        Column::Booleans(_) => "boolean",
        Column::Texts(_) => "text",
        Column::Words(_) => "words",
        Column::Series(_) => "series",
    };
    Err(format!("input `{}` is {found}, read as {wanted}", field.name))
}

impl Value for f64 {
    type Column<'a> = Copied<Iter<'a, f64>>;

    fn read(field: &Field) -> Result<Self::Column<'_>, String> {
        match &field.column {
            Column::Numbers(values) => Ok(values.iter().copied()),
            _ => wrong_type(field, "f64"),
        }
    }

    fn write(values: Vec<Self>) -> (Column, Option<Vec<u8>>) {
        (Column::Numbers(values), None)
    }
}

impl Value for i64 {
    type Column<'a> = Copied<Iter<'a, i64>>;

    fn read(field: &Field) -> Result<Self::Column<'_>, String> {
        match &field.column {
            Column::Integers(values) => Ok(values.iter().copied()),
            _ => wrong_type(field, "i64"),
        }
    }

    fn write(values: Vec<Self>) -> (Column, Option<Vec<u8>>) {
        (Column::Integers(values), None)
    }
}

impl Value for Money {
    type Column<'a> = std::iter::Map<Copied<Iter<'a, i64>>, fn(i64) -> Money>;

    fn read(field: &Field) -> Result<Self::Column<'_>, String> {
        match &field.column {
            Column::Integers(values) => Ok(values.iter().copied().map(Money)),
            _ => wrong_type(field, "Money"),
        }
    }

    fn write(values: Vec<Self>) -> (Column, Option<Vec<u8>>) {
        (Column::Integers(values.into_iter().map(|amount| amount.0).collect()), None)
    }
}

impl Value for bool {
    type Column<'a> = std::iter::Map<Iter<'a, u8>, fn(&u8) -> bool>;

    fn read(field: &Field) -> Result<Self::Column<'_>, String> {
        match &field.column {
            Column::Booleans(values) => Ok(values.iter().map(|value| *value != 0)),
            _ => wrong_type(field, "bool"),
        }
    }

    fn write(values: Vec<Self>) -> (Column, Option<Vec<u8>>) {
        (Column::Booleans(values.into_iter().map(u8::from).collect()), None)
    }
}

/// The texts of a column, in row order.
pub struct TextColumn<'a> {
    dict: &'a [String],
    codes: Iter<'a, u32>,
}

impl Iterator for TextColumn<'_> {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        self.dict.get(*self.codes.next()? as usize).cloned()
    }
}

impl Value for String {
    type Column<'a> = TextColumn<'a>;

    fn read(field: &Field) -> Result<Self::Column<'_>, String> {
        match &field.column {
            Column::Texts(texts) => Ok(TextColumn { dict: &texts.dict, codes: texts.codes.iter() }),
            _ => wrong_type(field, "String"),
        }
    }

    fn write(values: Vec<Self>) -> (Column, Option<Vec<u8>>) {
        let codes = (0..).take(values.len()).collect();
        (Column::Texts(Texts { dict: values, codes }), None)
    }
}

/// The lists of a column, in row order: row i is `items[offsets[i]..offsets[i + 1]]`.
pub struct ListColumn<'a, T> {
    offsets: Windows<'a, u32>,
    items: &'a [T],
}

impl<'a, T> Iterator for ListColumn<'a, T> {
    type Item = &'a [T];

    fn next(&mut self) -> Option<&'a [T]> {
        let [from, to] = self.offsets.next()? else { return None };
        self.items.get(*from as usize..*to as usize)
    }
}

/// Offsets of lists of these lengths, from 0.
fn offsets<T>(lists: &[Vec<T>]) -> Vec<u32> {
    let mut end = 0;
    let ends = lists.iter().map(|list| {
        end += u32::try_from(list.len()).unwrap_or(u32::MAX);
        end
    });
    std::iter::once(0).chain(ends).collect()
}

impl Value for Vec<f64> {
    type Column<'a> = std::iter::Map<ListColumn<'a, f64>, fn(&[f64]) -> Vec<f64>>;

    fn read(field: &Field) -> Result<Self::Column<'_>, String> {
        match &field.column {
            Column::Series(Series { offsets, values }) => {
                Ok(ListColumn { offsets: offsets.windows(2), items: values }.map(<[f64]>::to_vec))
            }
            _ => wrong_type(field, "Vec<f64>"),
        }
    }

    fn write(values: Vec<Self>) -> (Column, Option<Vec<u8>>) {
        (Column::Series(Series { offsets: offsets(&values), values: values.concat() }), None)
    }
}

/// The words of a column, in row order.
pub struct WordsColumn<'a> {
    dict: &'a [String],
    codes: ListColumn<'a, u32>,
}

impl Iterator for WordsColumn<'_> {
    type Item = Vec<String>;

    fn next(&mut self) -> Option<Vec<String>> {
        self.codes.next()?.iter().map(|code| self.dict.get(*code as usize).cloned()).collect()
    }
}

impl Value for Vec<String> {
    type Column<'a> = WordsColumn<'a>;

    fn read(field: &Field) -> Result<Self::Column<'_>, String> {
        match &field.column {
            Column::Words(Words { dict, offsets, codes }) => {
                Ok(WordsColumn { dict, codes: ListColumn { offsets: offsets.windows(2), items: codes } })
            }
            _ => wrong_type(field, "Vec<String>"),
        }
    }

    fn write(values: Vec<Self>) -> (Column, Option<Vec<u8>>) {
        let offsets = offsets(&values);
        let dict = values.concat();
        let codes = (0..).take(dict.len()).collect();
        (Column::Words(Words { dict, offsets, codes }), None)
    }
}

/// The values of a column that rows may lack, in row order.
pub struct OptionColumn<'a, C> {
    values: C,
    present: Option<Iter<'a, u8>>,
}

impl<C: Iterator> Iterator for OptionColumn<'_, C> {
    type Item = Option<C::Item>;

    fn next(&mut self) -> Option<Option<C::Item>> {
        let value = self.values.next()?;
        match &mut self.present {
            None => Some(Some(value)),
            Some(present) => Some((*present.next()? != 0).then_some(value)),
        }
    }
}

impl<T: Value + Default> Value for Option<T> {
    type Column<'a> = OptionColumn<'a, T::Column<'a>>;
    const OPTIONAL: bool = true;

    fn read(field: &Field) -> Result<Self::Column<'_>, String> {
        let present = field.present.as_ref().map(|present| present.iter());
        Ok(OptionColumn { values: T::read(field)?, present })
    }

    fn write(values: Vec<Self>) -> (Column, Option<Vec<u8>>) {
        let present = values.iter().map(|value| u8::from(value.is_some())).collect();
        let (column, _) = T::write(values.into_iter().map(Option::unwrap_or_default).collect());
        (column, Some(present))
    }
}
