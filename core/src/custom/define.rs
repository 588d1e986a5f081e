//! From the record that defines a custom field or object to what the engine works with.

use regex::RegexBuilder;
use serde_json::{Map, Value as Json, json};

use crate::{
    engine::{
        Field, FieldType,
        custom::{Bounds, CustomField, MAX_INDEXED},
        date, instant, money_schema, print_instant,
    },
    error::{Code, Violation, enough, unknown},
    records::{
        custom_field::{Model, State, Type},
        custom_object,
    },
};

/// Choices of one field.
pub const MAX_OPTIONS: usize = 200;
/// Bytes that the compiled form of a pattern may take; matching is linear in the text whatever the pattern.
const MAX_PATTERN: usize = 64 * 1024;
/// Words that mean something else where the name of a custom field stands.
const RESERVED_FIELDS: [&str; 12] = [
    "id",
    "tenant_id",
    "external_id",
    "version",
    "created_at",
    "updated_at",
    "created_by",
    "deleted_at",
    "owner_id",
    "custom",
    "object_id",
    "kind",
];

/// What is wrong, collected.
struct Wrong(Vec<Violation>);

impl Wrong {
    fn add(&mut self, field: &str, code: Code, detail: impl Into<String>) {
        self.0.push(Violation::field(field, code, detail));
    }
}

/// The field that the record defines.
///
/// # Errors
/// Everything that is wrong with the definition itself; what depends on other rows is checked where they are read.
pub fn field(of: &Model) -> Result<CustomField, Vec<Violation>> {
    let mut wrong = Wrong(Vec::new());
    named(&mut wrong, &of.name);
    labelled(&mut wrong, of.label.as_ref());
    let kind = kind(&mut wrong, of);
    let indexed = of.filterable || of.unique || of.r#type == Type::Reference;
    if of.unique && [Type::Boolean, Type::Choices, Type::Money].contains(&of.r#type) {
        wrong.add("unique", Code::InvalidValue, "values of this type tell no records apart");
    }
    let mut schema = schema(of, &kind);
    let bounds = bounds(&mut wrong, of, &mut schema, indexed);
    let field = CustomField {
        id: of.id,
        key: of.name.as_str().into(),
        field: CustomField::field(&of.name, kind, of.required, schema),
        unique: of.unique,
        indexed,
        retired: of.state == State::Retired,
        hidden: false,
        default: None,
        bounds,
    };
    let default = default(&mut wrong, of, &field);
    if wrong.0.is_empty() { Ok(CustomField { default, ..field }) } else { Err(wrong.0) }
}

/// Everything that is wrong with the definition of an object, the names of other kinds apart.
pub fn object(of: &custom_object::Model) -> Vec<Violation> {
    let mut wrong = Wrong(Vec::new());
    if let Some(detail) = misnamed(&of.name, '_') {
        wrong.add("name", Code::InvalidValue, detail);
    }
    if let Some(detail) = misnamed(&of.plural, '-') {
        wrong.add("plural", Code::InvalidValue, detail);
    }
    labelled(&mut wrong, of.label.as_ref());
    wrong.0
}

/// What is wrong with a name of ASCII words joined by `joint`.
fn misnamed(name: &str, joint: char) -> Option<String> {
    let words = name
        .split(joint)
        .all(|word| !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit()));
    if words && name.starts_with(|c: char| c.is_ascii_lowercase()) && (2..=63).contains(&name.len()) {
        return None;
    }
    let plain: String = name
        .to_lowercase()
        .chars()
        .map(|c| if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { joint })
        .collect();
    let near = plain.split(joint).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(&joint.to_string());
    let near = near.trim_start_matches(|c: char| !c.is_ascii_lowercase());
    let hint = if near.len() < 2 {
        "give it an ASCII name, and call it what you like in `label`".to_owned()
    } else {
        format!("`{near}` would do; `label` may say anything")
    };
    Some(format!("must have 2 to 63 of a-z, 0-9 and single `{joint}`, and start with a letter: {hint}"))
}

fn named(wrong: &mut Wrong, name: &str) {
    if let Some(detail) = misnamed(name, '_') {
        wrong.add("name", Code::InvalidValue, detail);
    } else if RESERVED_FIELDS.contains(&name) {
        wrong.add("name", Code::ReservedName, format!("`{name}` is a field of every kind; `own_{name}` would do"));
    }
}

/// Labels by BCP 47 language, each a short text.
fn labelled(wrong: &mut Wrong, label: Option<&Json>) {
    let Some(label) = label else { return };
    let Json::Object(label) = label else {
        return wrong.add("label", Code::WrongType, r#"must be labels by language: {"en": "Budget"}"#);
    };
    for (language, text) in label {
        if enough(&wrong.0) {
            break;
        }
        let known =
            (2..=35).contains(&language.len()) && language.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        if !known {
            wrong.add("label", Code::InvalidValue, format!("`{language}` is not a language such as `en` or `zh-Hant`"));
        }
        if !text.as_str().is_some_and(|text| !text.trim().is_empty() && text.chars().count() <= 200) {
            wrong.add("label", Code::InvalidValue, format!("the label of `{language}` must have 1 to 200 characters"));
        }
    }
}

fn kind(wrong: &mut Wrong, of: &Model) -> FieldType {
    match (of.r#type, of.refers_to.as_deref()) {
        (Type::Reference, None) => wrong.add("refers_to", Code::Required, "a reference says which kind it leads to"),
        (Type::Reference, Some(_)) | (_, None) => {}
        (_, Some(_)) => wrong.add("refers_to", Code::InvalidValue, "only a reference leads to a kind"),
    }
    match of.r#type {
        Type::Text => FieldType::Text,
        Type::Integer => FieldType::Integer,
        Type::Number => FieldType::Number,
        Type::Boolean => FieldType::Boolean,
        Type::Date => FieldType::Date,
        Type::Instant => FieldType::Instant,
        Type::Choice => FieldType::Choice(options(wrong, of)),
        Type::Choices => FieldType::Choices(options(wrong, of)),
        Type::Money => FieldType::Money,
        Type::Country => FieldType::Country,
        Type::Email => FieldType::Email,
        Type::Phone => FieldType::Phone,
        Type::Url => FieldType::Url,
        Type::Reference => FieldType::Reference(of.refers_to.as_deref().unwrap_or_default().into()),
    }
}

fn options(wrong: &mut Wrong, of: &Model) -> Vec<String> {
    let words = of.options.as_ref().and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default();
    let words: Vec<_> = words.iter().filter_map(Json::as_str).map(str::to_owned).collect();
    if words.is_empty() || words.len() > MAX_OPTIONS {
        wrong.add("options", Code::Required, format!("a choice has 1 to {MAX_OPTIONS} options"));
    }
    words
}

/// JSON Schema of the values, without their limits.
fn schema(of: &Model, kind: &FieldType) -> Json {
    let (name, format) = match kind {
        FieldType::Integer => ("integer", None),
        FieldType::Number => ("number", None),
        FieldType::Boolean => ("boolean", None),
        FieldType::Date => ("string", Some("date")),
        FieldType::Instant => ("string", Some("date-time")),
        FieldType::Email => ("string", Some("email")),
        FieldType::Phone => ("string", Some("phone")),
        FieldType::Url => ("string", Some("uri")),
        FieldType::Country => ("string", Some("country")),
        FieldType::Choices(_) => ("array", None),
        FieldType::Reference(_) => ("string", Some("uuid")),
        _ => ("string", None),
    };
    let mut schema = match kind {
        FieldType::Money => money_schema(),
        _ => Map::from_iter([("type".to_owned(), json!(name))]),
    };
    if let Some(format) = format {
        schema.insert("format".to_owned(), format.into());
    }
    match kind {
        FieldType::Choice(words) => drop(schema.insert("enum".to_owned(), words.as_slice().into())),
        FieldType::Choices(words) => {
            schema.insert("items".to_owned(), json!({"type": "string", "enum": words}));
            schema.insert("uniqueItems".to_owned(), true.into());
        }
        _ => {}
    }
    if let Some(text) = described(of.description.as_deref(), of.label.as_ref()) {
        schema.insert("description".to_owned(), text.into());
    }
    if let Some(labels) = &of.label {
        schema.insert("x-labels".to_owned(), labels.clone());
    }
    Json::Object(schema)
}

/// What descriptions of the API say of a definition: its own words, else its label, in English where there is one.
pub fn described<'a>(description: Option<&'a str>, label: Option<&'a Json>) -> Option<&'a str> {
    let label = || label.and_then(|label| label.get("en").or_else(|| label.as_object()?.values().next()))?.as_str();
    description.or_else(label)
}

fn bounds(wrong: &mut Wrong, of: &Model, schema: &mut Json, indexed: bool) -> Bounds {
    let mut bounds = Bounds::default();
    let text = matches!(of.r#type, Type::Text | Type::Email | Type::Phone | Type::Url);
    if ![Type::Choice, Type::Choices].contains(&of.r#type) && of.options.is_some() {
        wrong.add("options", Code::InvalidValue, "only a choice has options");
    }
    if of.options.as_ref().is_some_and(|given| !distinct_words(given)) {
        wrong.add("options", Code::InvalidValue, "must be different words of 1 to 100 characters each");
    }
    if text && indexed {
        limit(schema, "maxLength", json!(MAX_INDEXED));
    }
    let Some(validation) = &of.validation else { return bounds };
    let Json::Object(validation) = validation else {
        wrong.add("validation", Code::WrongType, r#"must be an object such as {"min": 1, "max": 9}"#);
        return bounds;
    };
    let known: &[&str] = match of.r#type {
        Type::Integer | Type::Number | Type::Date | Type::Instant => &["min", "max"],
        _ if text => &["min_length", "max_length", "pattern"],
        _ => &[],
    };
    for (name, value) in validation {
        if enough(&wrong.0) {
            break;
        }
        let place = format!("validation.{name}");
        if !known.contains(&name.as_str()) {
            wrong.add(&place, Code::UnknownField, unknown("rule for this type", name, known.iter().copied()));
        } else if let Err((code, detail)) = bound(of, name, value, schema, &mut bounds, indexed) {
            wrong.add(&place, code, detail);
        }
    }
    let crossed = bounds.earliest.as_ref().zip(bounds.latest.as_ref()).is_some_and(|(first, last)| first > last);
    let number = |name: &str| schema.get(name).and_then(Json::as_f64);
    let crossed = crossed || number("minimum").zip(number("maximum")).is_some_and(|(least, most)| least > most);
    let longest = number("maxLength");
    #[expect(clippy::cast_precision_loss, reason = "lengths are small")]
    let crossed = crossed || bounds.shortest.zip(longest).is_some_and(|(least, most)| least as f64 > most);
    if crossed {
        wrong.add("validation", Code::InvalidValue, "no value lies between its bounds");
    }
    bounds
}

fn distinct_words(given: &Json) -> bool {
    let Json::Array(words) = given else { return false };
    let fits = |word: &Json| {
        word.as_str().is_some_and(|word| word.trim() == word && (1..=100).contains(&word.chars().count()))
    };
    words.iter().enumerate().all(|(i, word)| fits(word) && words.iter().skip(i + 1).all(|other| other != word))
}

/// One rule into the schema where the field reads it there, else into the bounds.
fn bound(
    of: &Model,
    name: &str,
    value: &Json,
    schema: &mut Json,
    bounds: &mut Bounds,
    indexed: bool,
) -> Result<(), (Code, String)> {
    let most = if indexed { MAX_INDEXED } else { 10_000 };
    let wrong = |detail: &str| (Code::WrongType, detail.to_owned());
    let length = || {
        let length = value.as_u64().filter(|length| (1..=most).contains(length));
        length.ok_or_else(|| (Code::OutOfRange, format!("must be a whole number from 1 to {most}")))
    };
    let time = || match (of.r#type, value.as_str()) {
        (_, None) => Err(wrong("must be in a string, as the field's values are")),
        (Type::Date, Some(text)) => {
            date(text).map(|day| day.to_string()).map_err(|detail| (Code::InvalidValue, detail))
        }
        (_, Some(text)) => instant(text).map(print_instant).map_err(|detail| (Code::InvalidValue, detail)),
    };
    match (name, of.r#type) {
        ("min_length", _) => bounds.shortest = Some(length()?),
        ("max_length", _) => limit(schema, "maxLength", length()?.into()),
        ("pattern", _) => {
            let text = value.as_str().ok_or_else(|| wrong("must be a regular expression in a string"))?;
            let pattern = RegexBuilder::new(text).size_limit(MAX_PATTERN).build();
            bounds.pattern = Some(pattern.map_err(|error| (Code::InvalidValue, said(&error)))?);
            limit(schema, "pattern", text.into());
        }
        (_, Type::Date | Type::Instant) if name == "min" => bounds.earliest = Some(time()?),
        (_, Type::Date | Type::Instant) => bounds.latest = Some(time()?),
        _ => {
            value.as_f64().filter(|n| n.is_finite()).ok_or_else(|| wrong("must be a number"))?;
            limit(schema, if name == "min" { "minimum" } else { "maximum" }, value.clone());
        }
    }
    Ok(())
}

/// The last line of what the parser of patterns says is the reason; those before draw where.
fn said(error: &regex::Error) -> String {
    match error {
        regex::Error::CompiledTooBig(_) => format!("the pattern takes more than {MAX_PATTERN} bytes; make it simpler"),
        other => {
            let text = other.to_string();
            let reason = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
            format!("is not a regular expression: {reason} (no look-around, no back-references)")
        }
    }
}

fn limit(schema: &mut Json, name: &str, value: Json) {
    if let Json::Object(schema) = schema {
        schema.insert(name.to_owned(), value);
    }
}

/// The default as it is stored: a value like any other.
fn default(wrong: &mut Wrong, of: &Model, field: &CustomField) -> Option<Json> {
    let given = of.default.as_ref().filter(|value| !value.is_null())?;
    if of.unique {
        wrong.add("default", Code::InvalidValue, "a value that must be unique has no default");
        return None;
    }
    if of.r#type == Type::Reference {
        wrong.add("default", Code::InvalidValue, "a reference has no default");
        return None;
    }
    let named = CustomField { field: Field { name: "default".to_owned(), ..field.field.clone() }, ..field.clone() };
    named.read(given).map_err(|violation| wrong.0.push(violation)).ok().filter(|value| !value.is_null())
}
