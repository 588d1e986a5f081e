//! What the engine makes of the typed entities.

use std::fmt::Write as _;

use ripen_core::{
    access::Verb,
    engine::{FieldAccess, FieldType, Shape},
    records,
};
use serde_json::Value as Json;

const FIRST: [&str; 11] = [
    "user",
    "team",
    "membership",
    "account",
    "contact",
    "product",
    "pipeline",
    "stage",
    "opportunity",
    "order",
    "interaction",
];

fn line(shape: &Shape) -> String {
    let mut text = format!("{} /{} {:?}\n", shape.name, shape.plural, shape.scope);
    for field in &shape.fields {
        let kind = match &field.kind {
            FieldType::Choice(words) => words.join("|"),
            FieldType::Reference(kind) => format!("-> {kind}"),
            other => format!("{other:?}"),
        };
        let need = match (field.required, field.nullable) {
            (true, _) => " required",
            (false, true) => "",
            (false, false) => " not null",
        };
        let access = match field.access {
            FieldAccess::Write => String::new(),
            other => format!(" ({other:?})"),
        };
        let _ = writeln!(text, "  {}: {kind}{need}{access}", field.name);
    }
    text
}

#[test]
fn fields_of_the_first_kinds() {
    let registry = records::all();
    let text: Vec<_> = FIRST.iter().map(|kind| line(registry.kind(kind).unwrap().shape())).collect();
    insta::assert_snapshot!(text.join("\n"));
}

#[test]
fn every_kind_is_whole() {
    let registry = records::all();
    for shape in registry.shapes() {
        for (field, kind) in shape.references() {
            assert!(registry.kind(kind).is_some(), "{}.{} refers to {kind}", shape.name, field.name);
        }
        for field in &shape.fields {
            let place = format!("{}.{}", shape.name, field.name);
            let parts = shape.parts.as_ref().is_some_and(|parts| parts.field == field.name);
            let checked = field.document.is_some() || parts;
            assert!(field.kind != FieldType::Json || checked, "{place} cannot be checked");
            assert!(field.columns.len() == if field.kind == FieldType::Money { 2 } else { 1 }, "{place}");
        }
        if shape.verbs.contains(&Verb::Create) {
            let Json::Object(example) = &shape.example else { panic!("{}: the example is an object", shape.name) };
            for (name, value) in example {
                let field = shape.field(name).unwrap_or_else(|| panic!("{}.{name}", shape.name));
                field.decode(value).unwrap_or_else(|broken| panic!("{}: {broken:?}", shape.name));
            }
        }
    }
}
