//! Requests as somebody, and their answers.

use reqwest::{Method, header::HeaderMap};
use serde_json::{Map, Value as Json};

/// Someone who asks, or nobody in particular.
#[derive(Clone)]
pub struct Caller {
    pub client: reqwest::Client,
    pub base: String,
    pub token: Option<String>,
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    /// Null where the body is not JSON.
    pub json: Json,
    pub bytes: Vec<u8>,
}

impl Answer {
    /// The answer, if it has this status.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.bytes));
        self
    }

    /// The header's text; empty where there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    /// The problem's code, checked to be a whole problem document of this status.
    #[track_caller]
    pub fn problem(&self) -> &str {
        let text = String::from_utf8_lossy(&self.bytes);
        assert_eq!(self.header("content-type"), "application/problem+json", "{} {text}", self.status);
        assert_eq!(self.json["status"], self.status, "{text}");
        let code = self.json["code"].as_str().expect("a problem has a code");
        assert_eq!(self.json["type"], format!("/problems/{code}"));
        assert_eq!(self.json["request_id"], self.header("x-request-id"));
        assert!(self.json["title"].is_string() && self.json["detail"].is_string(), "{text}");
        code
    }

    /// `(pointer, code)` of each error of the problem.
    pub fn errors(&self) -> Vec<(&str, &str)> {
        let errors = self.json["errors"].as_array().expect("a problem has errors");
        errors.iter().map(|e| (e["pointer"].as_str().unwrap(), e["code"].as_str().unwrap())).collect()
    }

    /// The record's id.
    #[track_caller]
    pub fn id(&self) -> &str {
        self.json["id"].as_str().expect("a record has an id")
    }

    /// The rows of a list.
    #[track_caller]
    pub fn data(&self) -> &Vec<Json> {
        self.json["data"].as_array().expect("a list has data")
    }

    pub fn object(&self) -> &Map<String, Json> {
        self.json.as_object().expect("the answer is an object")
    }
}

impl Caller {
    /// A request to be completed and sent with [`Caller::send`].
    pub fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let url = format!("{}{path}", self.base);
        let request = self.client.request(Method::from_bytes(method.as_bytes()).unwrap(), url);
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    pub async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let bytes = response.bytes().await.unwrap().to_vec();
        Answer { status, headers, json: serde_json::from_slice(&bytes).unwrap_or_default(), bytes }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(self.request("GET", path)).await
    }

    pub async fn post(&self, path: &str, body: Json) -> Answer {
        self.send(self.request("POST", path).json(&body)).await
    }

    pub async fn patch(&self, path: &str, body: Json) -> Answer {
        self.send(self.request("PATCH", path).json(&body)).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.send(self.request("DELETE", path)).await
    }

    /// A list with these query parameters, encoded.
    pub async fn list(&self, path: &str, parameters: &[(&str, &str)]) -> Answer {
        let url = reqwest::Url::parse_with_params(&format!("{}{path}", self.base), parameters).unwrap();
        self.get(&format!("{}?{}", url.path(), url.query().unwrap_or_default())).await
    }
}
