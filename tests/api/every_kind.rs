//! Every kind of record through every generic operation; no kind is named here.

use std::{collections::HashMap, future::Future, pin::Pin, sync::Arc};

use chrono::TimeDelta;
use ripen_core::{
    access::Verb,
    context::Clock as _,
    engine::{Field, FieldAccess, FieldType, Shape},
};
use serde_json::{Map, Value as Json, json};

use crate::custom_objects;
use crate::support::{Answer, Caller, Person, TestServer, on_both, on_both_with_the_sample};

pub(crate) type Later<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// Makes valid records of any kind, with what they refer to.
pub(crate) struct Maker {
    pub admin: Caller,
    shapes: Vec<Shape>,
    made: HashMap<String, String>,
    count: i64,
}

impl Maker {
    pub async fn new(server: &TestServer) -> Self {
        let shapes = server.context(Person::Admin).await.shapes().cloned().collect();
        Self { admin: server.as_admin().await, shapes, made: HashMap::new(), count: 0 }
    }

    /// The example with references to records that exist, and values of its own where they must be unique.
    pub async fn body(&mut self, shape: &Shape) -> Map<String, Json> {
        self.count += 1;
        let mut body = shape.example.as_object().unwrap().clone();
        for (field, kind) in shape.references() {
            if field.required || body.contains_key(&field.name) {
                let fresh = shape.unique.iter().any(|set| set.contains(&field.name.as_str()));
                body.insert(field.name.clone(), self.reference(kind, fresh).await.into());
            }
        }
        if body.contains_key("subject_id") {
            body.insert("subject_id".to_owned(), self.reference("account", false).await.into());
        }
        for field in shape.unique.iter().filter_map(|set| shape.field(set.last()?)) {
            if let Some(value) = body.get_mut(&field.name) {
                match (&field.kind, &*value) {
                    (FieldType::Text, Json::String(text)) if field.schema["pattern"] == "^[a-z][a-z0-9-]*$" => {
                        *value = format!("{text}-{}", self.count).into();
                    }
                    (FieldType::Email, Json::String(text)) => *value = format!("{}.{text}", self.count).into(),
                    (FieldType::Text, Json::String(text)) if field.schema.get("pattern").is_some() => {
                        *value = format!("{text}_{}", self.count).into();
                    }
                    (FieldType::Text, Json::String(text)) => *value = format!("{text} {}", self.count).into(),
                    (FieldType::Integer, Json::Number(n)) => *value = (n.as_i64().unwrap() + self.count).into(),
                    _ => {}
                }
            }
        }
        body
    }

    fn reference<'a>(&'a mut self, kind: &'a str, fresh: bool) -> Later<'a, String> {
        Box::pin(async move {
            if let Some(id) = self.made.get(kind).filter(|_| !fresh) {
                return id.clone();
            }
            let shape = self.shapes.iter().find(|shape| *shape.name == *kind).unwrap().clone();
            let id = self.make(&shape).await.id().to_owned();
            self.made.entry(kind.to_owned()).or_insert(id).clone()
        })
    }

    pub async fn make(&mut self, shape: &Shape) -> Answer {
        let body = self.body(shape).await;
        self.admin.post(&path(shape), body.into()).await.expect(201)
    }
}

pub(crate) fn path(shape: &Shape) -> String {
    format!("/v1/{}", shape.plural)
}

pub(crate) fn takes(shape: &Shape, verb: Verb) -> bool {
    shape.verbs.contains(&verb)
}

/// Runs the check for each kind that can be created, for one that the product does not have and for one that an admin has
/// made, on one server a database.
pub(crate) fn every_kind(check: impl for<'a> Fn(&'a Arc<TestServer>, &'a mut Maker, Shape) -> Later<'a, ()>) {
    on_both_with_the_sample(|server| {
        let check = &check;
        async move {
            custom_objects::warranties(&server.as_admin().await).await;
            custom_objects::warranties(&server.as_person(Person::Stranger).await).await;
            let mut maker = Maker::new(&server).await;
            let shapes: Vec<_> = maker.shapes.iter().filter(|s| takes(s, Verb::Create)).cloned().collect();
            assert!(!shapes.is_empty());
            for shape in shapes {
                eprintln!("{}", shape.name);
                check(&server, &mut maker, shape).await;
            }
        }
    });
}

/// The version in an answer's tag; where the tenant has fields of its own, what it shows follows.
pub(crate) fn tagged(answer: &Answer) -> i64 {
    let tag = answer.header("etag").strip_prefix("\"v").and_then(|tag| tag.strip_suffix('"')).expect("a strong tag");
    tag.split('.').next().unwrap().parse().unwrap()
}

#[test]
fn what_was_created_reads_back() {
    every_kind(|_, maker, shape| {
        Box::pin(async move {
            let body = maker.body(&shape).await;
            let made = maker.admin.post(&path(&shape), body.clone().into()).await.expect(201);
            for (name, value) in &body {
                assert_eq!(&made.json[name], value, "{}.{name}", shape.name);
            }
            assert_eq!((&made.json["version"], tagged(&made)), (&json!(1), 1));
            let here = format!("{}/{}", path(&shape), made.id());
            assert_eq!(made.header("location"), here);
            let fields: Vec<_> = made.object().keys().collect();
            assert_eq!(fields.len(), shape.fields.len(), "{fields:?}");
            let read = maker.admin.get(&here).await.expect(200);
            assert_eq!(read.bytes, made.bytes);
            let tags = format!("\"v9\", W/{}", made.header("etag"));
            let seen =
                maker.admin.send(maker.admin.request("GET", &here).header("If-None-Match", tags)).await.expect(304);
            assert!(seen.bytes.is_empty() && seen.header("etag") == made.header("etag"));
        })
    });
}

#[test]
fn a_patch_changes_what_it_names_and_only_from_the_version_it_knows() {
    every_kind(|_, maker, shape| {
        Box::pin(async move {
            if !takes(&shape, Verb::Update) {
                return;
            }
            let made = maker.make(&shape).await;
            let here = format!("{}/{}", path(&shape), made.id());
            let with = |tag: &str, body: Json| maker.admin.request("PATCH", &here).header("If-Match", tag).json(&body);
            let key = format!("key-{}", shape.name);
            let changed = maker.admin.send(with("\"v1\"", json!({"external_id": key}))).await.expect(200);
            assert_eq!((&changed.json["version"], tagged(&changed)), (&json!(2), 2));
            for (name, value) in
                made.object().iter().filter(|(name, _)| !["external_id", "version"].contains(&name.as_str()))
            {
                assert_eq!(&changed.json[name], value, "{}.{name}", shape.name);
            }
            let late = maker.admin.send(with("\"v1\"", json!({"external_id": null}))).await.expect(412);
            assert_eq!(late.problem(), "stale");
            let any = maker.admin.send(with("*", json!({"external_id": null}))).await.expect(200);
            assert_eq!((&any.json["version"], &any.json["external_id"]), (&json!(3), &Json::Null));
            let same = maker.admin.patch(&here, json!({})).await.expect(200);
            assert_eq!(same.bytes, any.bytes, "an empty patch is no change");
        })
    });
}

#[test]
fn every_field_filters_and_finds_the_record() {
    every_kind(|_, maker, shape| {
        Box::pin(async move {
            let made = maker.make(&shape).await;
            for field in shape.fields.iter().filter(|field| field.kind != FieldType::Json) {
                let filter = format!("id = \"{}\" AND {}", made.id(), equals(field, &made.json[&field.name]));
                let found = maker.admin.list(&path(&shape), &[("filter", &filter)]).await.expect(200);
                assert_eq!(found.data().len(), 1, "{}: {filter}", shape.name);
                assert_eq!(found.data()[0], made.json, "{}: {filter}", shape.name);
                let filter = format!("id = \"{}\" AND NOT ({})", made.id(), equals(field, &made.json[&field.name]));
                let none = maker.admin.list(&path(&shape), &[("filter", &filter)]).await.expect(200);
                assert!(none.data().is_empty(), "{}: {filter}", shape.name);
            }
        })
    });
}

fn equals(field: &Field, value: &Json) -> String {
    match value {
        Json::Null => format!("{} IS NULL", field.name),
        Json::Object(money) => format!("{} = {}", field.name, money["amount"].as_str().unwrap()),
        value => format!("{} = {value}", field.name),
    }
}

#[test]
fn pages_show_each_record_once_in_both_directions() {
    every_kind(|_, maker, shape| {
        Box::pin(async move {
            let mut made = Vec::new();
            for _ in 0..3 {
                made.push(maker.make(&shape).await.id().to_owned());
            }
            let filter =
                format!("id IN [{}]", made.iter().map(|id| format!("\"{id}\"")).collect::<Vec<_>>().join(", "));
            let page = |cursor: Option<String>| {
                let (admin, path, filter) = (maker.admin.clone(), path(&shape), filter.clone());
                async move {
                    let mut parameters = vec![("filter", filter.as_str()), ("sort", "created_at"), ("limit", "2")];
                    parameters.extend(cursor.as_deref().map(|cursor| ("cursor", cursor)));
                    admin.list(&path, &parameters).await.expect(200)
                }
            };
            let ids = |answer: &Answer| -> Vec<String> {
                answer.data().iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect()
            };
            let first = page(None).await;
            assert_eq!((first.json["page"]["has_more"].clone(), first.data().len()), (json!(true), 2));
            assert!(first.header("link").contains("rel=\"next\""), "{}", first.header("link"));
            let next = first.json["page"]["next"].as_str().unwrap().to_owned();
            let second = page(Some(next)).await;
            assert_eq!([ids(&first), ids(&second)].concat(), made);
            assert_eq!(second.json["page"]["has_more"], false);
            let back = page(second.json["page"]["prev"].as_str().map(str::to_owned)).await;
            assert_eq!(ids(&back), ids(&first));
        })
    });
}

#[test]
fn a_wrong_type_is_refused_at_its_field() {
    every_kind(|_, maker, shape| {
        Box::pin(async move {
            let body = maker.body(&shape).await;
            for field in shape.fields.iter().filter(|f| f.access == FieldAccess::Write && f.kind != FieldType::Json) {
                let mut body = body.clone();
                body.insert(field.name.clone(), json!([true]));
                let refused = maker.admin.post(&path(&shape), body.into()).await.expect(422);
                assert_eq!(refused.problem(), "validation_failed");
                assert_eq!(refused.errors(), [(format!("/{}", field.name).as_str(), "wrong_type")], "{}", shape.name);
            }
        })
    });
}

#[test]
fn what_the_server_sets_and_what_is_unknown_is_refused_all_at_once() {
    every_kind(|_, maker, shape| {
        Box::pin(async move {
            let mut body = maker.body(&shape).await;
            body.insert("version".to_owned(), 7.into());
            body.insert("external_idd".to_owned(), "x".into());
            let refused = maker.admin.post(&path(&shape), body.into()).await.expect(422);
            let mut errors = refused.errors();
            errors.sort_unstable();
            assert_eq!(errors, [("/external_idd", "unknown_field"), ("/version", "read_only")]);
            let text = refused.json["errors"].to_string();
            assert!(text.contains("did you mean `external_id`?"), "{text}");
            let empty = maker.admin.post(&path(&shape), json!({})).await;
            let required = shape.fields.iter().filter(|field| field.required).count();
            assert_eq!(required == 0, empty.status == 201, "{}", String::from_utf8_lossy(&empty.bytes));
            if required > 0 {
                assert_eq!(empty.errors().iter().filter(|(_, code)| *code == "required").count(), required);
            }
        })
    });
}

#[test]
fn each_field_that_callers_do_not_set_is_refused_in_a_create_and_in_a_patch() {
    every_kind(|_, maker, shape| {
        Box::pin(async move {
            let (many, body) = (path(&shape), maker.body(&shape).await);
            let made = maker.make(&shape).await;
            let here = format!("{many}/{}", made.id());
            let closed: Vec<_> = shape.fields.iter().filter(|field| field.access != FieldAccess::Write).collect();
            for name in ["id", "version", "created_at", "created_by", "updated_at"] {
                assert!(closed.iter().any(|field| field.name == name), "{}.{name}", shape.name);
            }
            for field in closed {
                let pointer = format!("/{}", field.name);
                let wanted = ("validation_failed", vec![(pointer.as_str(), "read_only")]);
                // its own value, as a client sends that writes back what it has read
                let value = &made.json[&field.name];
                if field.access != FieldAccess::Create {
                    let mut body = body.clone();
                    body.insert(field.name.clone(), value.clone());
                    let refused = maker.admin.post(&many, body.into()).await.expect(422);
                    assert_eq!((refused.problem(), refused.errors()), wanted, "{} create", shape.name);
                }
                if takes(&shape, Verb::Update) {
                    let patch = Map::from_iter([(field.name.clone(), value.clone())]);
                    let refused = maker.admin.patch(&here, patch.into()).await.expect(422);
                    assert_eq!((refused.problem(), refused.errors()), wanted, "{} patch", shape.name);
                }
            }
            assert_eq!(maker.admin.get(&here).await.expect(200).bytes, made.bytes, "nothing has changed");
        })
    });
}

#[test]
fn nobody_and_strangers_find_nothing() {
    every_kind(|server, maker, shape| {
        Box::pin(async move {
            let made = maker.make(&shape).await;
            let (many, here) = (path(&shape), format!("{}/{}", path(&shape), made.id()));
            let (nobody, stranger) = (server.anonymous(), server.as_person(Person::Stranger).await);
            for (verb, method, path) in [
                (Verb::Read, "GET", &many),
                (Verb::Create, "POST", &many),
                (Verb::Read, "GET", &here),
                (Verb::Update, "PATCH", &here),
                (Verb::Delete, "DELETE", &here),
            ] {
                if takes(&shape, verb) {
                    let refused = nobody.send(nobody.request(method, path).json(&json!({}))).await.expect(401);
                    assert_eq!(refused.problem(), "unauthenticated");
                    assert!(refused.header("www-authenticate").starts_with("Bearer"));
                }
                if takes(&shape, verb) && path == &here {
                    let refused = stranger.send(stranger.request(method, path).json(&json!({}))).await.expect(404);
                    assert_eq!(refused.problem(), "not_found");
                }
            }
            let filter = format!("id = \"{}\"", made.id());
            assert!(stranger.list(&many, &[("filter", &filter)]).await.expect(200).data().is_empty());
            assert_eq!(maker.admin.get(&here).await.expect(200).bytes, made.bytes, "nothing has changed");
        })
    });
}

#[test]
fn what_was_deleted_is_gone() {
    every_kind(|_, maker, shape| {
        Box::pin(async move {
            if !takes(&shape, Verb::Delete) {
                return;
            }
            let made = maker.make(&shape).await;
            let here = format!("{}/{}", path(&shape), made.id());
            let stale = maker.admin.request("DELETE", &here).header("If-Match", "\"v9\"");
            maker.admin.send(stale).await.expect(412);
            assert!(maker.admin.delete(&here).await.expect(204).bytes.is_empty());
            for gone in [maker.admin.get(&here).await, maker.admin.delete(&here).await] {
                assert_eq!(gone.expect(404).problem(), "not_found");
            }
            let filter = format!("id = \"{}\"", made.id());
            assert!(maker.admin.list(&path(&shape), &[("filter", &filter)]).await.expect(200).data().is_empty());
        })
    });
}

#[test]
fn the_past_of_a_record_reads_as_it_was_told() {
    every_kind(|server, maker, shape| {
        Box::pin(async move {
            let (many, clock) = (path(&shape), &server.clock);
            let mut told = vec![(clock.now(), None)];
            clock.advance(TimeDelta::milliseconds(1));
            let made = maker.make(&shape).await;
            let here = format!("{many}/{}", made.id());
            told.push((clock.now(), Some(made.json.clone())));
            clock.advance(TimeDelta::milliseconds(1));
            if takes(&shape, Verb::Update) {
                let key = json!({"external_id": format!("then-{}", shape.name)});
                told.push((clock.now(), Some(maker.admin.patch(&here, key).await.expect(200).json)));
                clock.advance(TimeDelta::milliseconds(1));
            }
            if takes(&shape, Verb::Delete) {
                maker.admin.delete(&here).await.expect(204);
                told.push((clock.now(), None));
                clock.advance(TimeDelta::milliseconds(1));
            }
            let filter = format!("id = \"{}\"", made.id());
            for (at, state) in told {
                let at = at.to_rfc3339();
                let got = maker.admin.list(&here, &[("known_at", at.as_str())]).await;
                assert_eq!(got.status, if state.is_some() { 200 } else { 404 }, "{} at {at}", shape.name);
                let listed = maker.admin.list(&many, &[("filter", filter.as_str()), ("known_at", at.as_str())]).await;
                assert_eq!(listed.expect(200).data(), &state.iter().cloned().collect::<Vec<_>>(), "{}", shape.name);
                assert!(state.is_none_or(|state| got.json == state), "{} at {at}", shape.name);
            }
        })
    });
}

#[test]
fn kinds_outside_the_change_log_have_only_a_present() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let shapes: Vec<_> = server.world().registry.shapes().filter(|shape| !shape.logged).cloned().collect();
        assert!(!shapes.is_empty());
        for shape in shapes {
            let here = format!("{}/01939e2b-6c00-7000-8000-000000000001", path(&shape));
            for place in [path(&shape), here] {
                let refused = admin.list(&place, &[("known_at", "2026-01-30T00:00:00Z")]).await.expect(400);
                assert_eq!(refused.errors(), [("known_at", "invalid_parameter")]);
                assert!(refused.json["errors"][0]["detail"].as_str().unwrap().contains("change log"));
            }
        }
    });
}

#[test]
fn kinds_that_nobody_writes_refuse_the_method_and_list() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        for shape in server.context(Person::Admin).await.shapes().filter(|shape| shape.verbs == Verb::READ) {
            admin.get(&path(shape)).await.expect(200);
            let here = format!("{}/01939e2b-6c00-7000-8000-000000000001", path(shape));
            assert_eq!(admin.get(&here).await.expect(404).problem(), "not_found");
            // no kind is deleted by an action, though some are changed by one
            let refused = admin.delete(&here).await.expect(405);
            assert_eq!(refused.problem(), "method_not_allowed");
            assert!(refused.header("allow").contains("GET"), "{}", refused.header("allow"));
        }
    });
}
