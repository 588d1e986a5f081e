//! Pipelines that are closed, and what is in them.

use serde_json::{Value as Json, json};

use crate::{
    imports::{errors, imported},
    support::{Caller, on_both},
};

/// A pipeline with two stages.
async fn pipeline(admin: &Caller, name: &str) -> (String, [Json; 2]) {
    let pipeline = admin.post("/v1/pipelines", json!({"name": name})).await.expect(201).id().to_owned();
    let stage = async |name: &str| {
        let stage = json!({"name": name, "pipeline_id": pipeline});
        admin.post("/v1/stages", stage).await.expect(201).json["id"].clone()
    };
    let stages = [stage("First").await, stage("Second").await];
    (pipeline, stages)
}

#[test]
fn nothing_enters_a_closed_pipeline_but_history_and_what_is_in_it_goes_on() {
    on_both(|server| async move {
        let admin = server.as_admin().await;
        let ((old, [first, second]), (_, [open, _])) = (pipeline(&admin, "Old").await, pipeline(&admin, "New").await);
        let deal = |stage: &Json| json!({"name": "Acme", "stage_id": stage});
        let inside = admin.post("/v1/opportunities", deal(&first)).await.expect(201);
        let outside = admin.post("/v1/opportunities", deal(&open)).await.expect(201);
        admin.patch(&format!("/v1/pipelines/{old}"), json!({"active": false})).await.expect(200);

        let refused = [("/stage_id", "invalid_state")];
        assert_eq!(admin.post("/v1/opportunities", deal(&first)).await.expect(422).errors(), refused);
        let there = json!({"pipeline_id": old, "stage_id": first});
        let moved = admin.patch(&format!("/v1/opportunities/{}", outside.id()), there).await;
        assert_eq!(moved.expect(422).errors(), refused);

        let here = format!("/v1/opportunities/{}", inside.id());
        admin.patch(&here, json!({"stage_id": second, "name": "Acme & Co"})).await.expect(200);
        admin.delete(&here).await.expect(204);
        admin.post(&format!("{here}/restore"), json!({})).await.expect(200);

        let columns = json!({"name": {"column": "name"}, "stage_id": {"column": "stage"}});
        let file = format!("name,stage\nGlobex,{}\n", first.as_str().unwrap());
        let spec = json!({"kind": "opportunity", "mapping": columns});
        let (result, place) = imported(&admin, &spec, file.into_bytes()).await;
        assert_eq!(result["created"], 1, "{:?}", errors(&admin, &place).await);
    });
}
