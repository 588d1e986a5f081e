use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value as Json};

use crate::Context;

/// A figure over the whole population, declared in the manifest's `[statistics]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct Statistic {
    /// The quantiles asked for, in that order; empty where the population is.
    #[serde(default)]
    pub values: Vec<f64>,
    /// Rows of the population.
    #[serde(default)]
    pub count: u64,
}

impl Context {
    /// The statistic `name`.
    ///
    /// # Errors
    /// The manifest does not declare it.
    pub fn statistic(&self, name: &str) -> Result<Statistic, String> {
        let mut all = self.statistics_by_name()?;
        let found = all.remove(name).ok_or_else(|| format!("no statistic `{name}`; the manifest must declare it"))?;
        serde_json::from_value(found).map_err(|error| format!("statistic `{name}`: {error}"))
    }

    /// The fitted model, where the installation pins one.
    ///
    /// # Errors
    /// The model has another shape than `T`.
    pub fn model<T: DeserializeOwned>(&self) -> Result<Option<T>, String> {
        let model = self.model.as_deref().map(serde_json::from_str).transpose();
        model.map_err(|error| format!("model: {error}"))
    }

    /// Adds a statistic, for tests.
    #[must_use]
    pub fn with_statistic(mut self, name: &str, values: &[f64], count: u64) -> Self {
        let mut all = self.statistics_by_name().unwrap_or_default();
        all.insert(name.into(), serde_json::json!({ "values": values, "count": count }));
        self.statistics = Json::Object(all).to_string();
        self
    }

    fn statistics_by_name(&self) -> Result<Map<String, Json>, String> {
        serde_json::from_str(&self.statistics).map_err(|error| format!("statistics: {error}"))
    }
}

/// 1970-01-01 in UTC, US dollars, no statistics, no model: a context for tests.
impl Default for Context {
    fn default() -> Self {
        Self {
            as_of_ms: 0,
            timezone: "UTC".into(),
            currency: "USD".into(),
            currency_digits: 2,
            seed: 0,
            statistics: "{}".into(),
            model: None,
            extra: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_and_model_are_read_by_name() {
        let cx = Context::default().with_statistic("cuts", &[1.0, 2.0], 9).with_statistic("other", &[], 0);
        assert_eq!(cx.statistic("cuts"), Ok(Statistic { values: vec![1.0, 2.0], count: 9 }));
        assert_eq!(cx.statistic("others").unwrap_err(), "no statistic `others`; the manifest must declare it");
        assert_eq!(cx.model::<Vec<f64>>(), Ok(None));
        let cx = Context { model: Some("[0.5]".into()), ..cx };
        assert_eq!(cx.model(), Ok(Some(vec![0.5])));
        assert_eq!(
            cx.model::<String>().unwrap_err(),
            "model: invalid type: sequence, expected a string at line 1 column 0"
        );
    }
}
