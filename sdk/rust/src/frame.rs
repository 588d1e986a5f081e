use crate::{
    Frame, Value,
    columns::{Column, Field},
};

impl Frame {
    /// The input `name`, one value a row.
    ///
    /// # Errors
    /// No such input, another type, another number of rows, or rows without a value where `T` is no `Option`.
    pub fn column<T: Value>(&self, name: &str) -> Result<T::Column<'_>, String> {
        let field = self.fields.iter().find(|field| field.name == name);
        let field = field.ok_or_else(|| format!("no input `{name}`; the manifest must declare it"))?;
        let rows = self.rows as usize;
        let length = field.column.rows();
        if length != rows || field.present.as_ref().is_some_and(|present| present.len() != rows) {
            return Err(format!("input `{name}` has {length} values for {rows} rows"));
        }
        if !T::OPTIONAL && field.present.as_ref().is_some_and(|present| present.contains(&0)) {
            return Err(format!("input `{name}` has rows without a value: read it as an Option, or give it a default"));
        }
        T::read(field)
    }

    /// A frame of one column, for tests; [`Frame::with`] adds more.
    pub fn of<T: Value>(name: &str, values: impl IntoIterator<Item = T>) -> Self {
        let mut frame = Self { rows: 0, fields: Vec::new() };
        frame.push(name, values);
        frame.rows = frame.fields.iter().map(|field| field.column.rows()).sum::<usize>().try_into().unwrap_or(u32::MAX);
        frame
    }

    /// Adds a column of as many values, for tests.
    #[must_use]
    pub fn with<T: Value>(mut self, name: &str, values: impl IntoIterator<Item = T>) -> Self {
        self.push(name, values);
        self
    }

    fn push<T: Value>(&mut self, name: &str, values: impl IntoIterator<Item = T>) {
        let (column, present) = T::write(values.into_iter().collect());
        self.fields.push(Field { name: name.into(), unit: None, column, present });
    }
}

impl Column {
    /// How many rows the column has.
    pub fn rows(&self) -> usize {
        match self {
            Self::Numbers(values) => values.len(),
            Self::Integers(values) => values.len(),
            Self::Booleans(values) => values.len(),
            Self::Texts(texts) => texts.codes.len(),
            Self::Words(words) => words.offsets.len().saturating_sub(1),
            Self::Series(series) => series.offsets.len().saturating_sub(1),
        }
    }
}
