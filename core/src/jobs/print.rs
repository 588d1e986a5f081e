//! Row errors as a file to open beside the one that was imported.

use super::report::RowError;
use crate::{
    engine::export::guard::guarded,
    error::{Code, Error, Result},
};

/// How row errors are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Print {
    Csv,
    Ndjson,
}

const HEADER: [&str; 8] = ["line", "severity", "column", "field", "value", "code", "detail", "record_id"];

impl Print {
    /// # Errors
    /// `Malformed` for any other word.
    pub fn parse(word: Option<&str>) -> Result<Self> {
        match word {
            None | Some("csv") => Ok(Self::Csv),
            Some("ndjson") => Ok(Self::Ndjson),
            Some(_) => Err(Error::malformed("format", Code::InvalidParameter, "must be csv or ndjson")),
        }
    }

    pub fn media_type(self) -> &'static str {
        match self {
            Self::Csv => "text/csv; charset=utf-8",
            Self::Ndjson => "application/x-ndjson",
        }
    }

    /// What comes before the first row.
    pub fn head(self) -> String {
        match self {
            Self::Csv => HEADER.join(",") + "\r\n",
            Self::Ndjson => String::new(),
        }
    }

    /// # Errors
    /// None that a caller could cause.
    pub fn rows(self, errors: &[RowError]) -> Result<Vec<u8>> {
        let broken =
            |source: Box<dyn std::error::Error + Send + Sync>| Error::internal("row errors can be printed", source);
        if self == Self::Ndjson {
            let mut text = Vec::new();
            for error in errors {
                serde_json::to_writer(&mut text, error).map_err(|source| broken(source.into()))?;
                text.push(b'\n');
            }
            return Ok(text);
        }
        let mut csv = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
        for RowError { line, severity, column, field, value, code, detail, record_id } in errors {
            let texts = [Some(severity), column.as_ref(), field.as_ref(), value.as_ref(), Some(code), Some(detail)];
            let cells = texts.map(|text| guarded(text.map_or("", String::as_str)).into_owned());
            let record = record_id.map(|id| id.to_string()).unwrap_or_default();
            csv.write_record([line.to_string()].iter().chain(&cells).chain([&record]))
                .map_err(|source| broken(source.into()))?;
        }
        csv.into_inner().map_err(|source| broken(source.to_string().into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_of_the_file_are_no_formulas_in_the_report() {
        let error = RowError::error(7, Code::InvalidValue, "is no name").at("name", Some("@col"), Some("=1+\"2\""));
        let text = String::from_utf8(Print::Csv.rows(std::slice::from_ref(&error)).unwrap()).unwrap();
        assert_eq!(text, "7,error,'@col,name,\"'=1+\"\"2\"\"\",invalid_value,is no name,\r\n");
        let text = String::from_utf8(Print::Ndjson.rows(&[error]).unwrap()).unwrap();
        let row: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!((row["value"].as_str(), row["line"].as_i64()), (Some("=1+\"2\""), Some(7)));
    }
}
