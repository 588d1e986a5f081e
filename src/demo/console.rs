//! Progress of jobs: a bar on a terminal, plain lines elsewhere.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use ripen_core::{
    context::Context,
    error::{Error, Result},
    jobs,
    records::job::State,
};
use serde_json::Value as Json;
use uuid::Uuid;

const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Follows a job to its end and answers with its result.
///
/// # Errors
/// The job's own problem.
pub async fn follow(cx: &Context, title: &str, job: Uuid) -> Result<Json> {
    let bar = ProgressBar::new(0);
    if let Ok(style) = ProgressStyle::with_template("{msg:24} {bar:30} {pos}/{len} rows, {eta} left") {
        bar.set_style(style);
    }
    bar.set_message(title.to_owned());
    loop {
        let now = jobs::find(cx, job).await?;
        let number = |name: &str| now.progress.get(name).and_then(Json::as_u64);
        bar.set_length(number("total").unwrap_or_default());
        bar.set_position(number("done").unwrap_or_default());
        if now.state.is_final() {
            bar.finish_and_clear();
            return match now.state {
                State::Succeeded => Ok(now.result.unwrap_or_default()),
                _ => Err(failed(title, now.problem.as_ref())),
            };
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn failed(title: &str, problem: Option<&Json>) -> Error {
    let detail = problem.and_then(|p| p.get("detail")).and_then(Json::as_str).unwrap_or("it was cancelled");
    Error::internal("a job of the demo succeeds", format!("{title}: {detail}"))
}

/// `3227151` as `3,227,151`.
pub fn thousands(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3 + 1);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if number < 0 { format!("-{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::thousands;

    #[test]
    fn thousands_are_parted() {
        let shown: Vec<_> = [0, 7, 999, 1_000, 3_227_151, -12_345].map(thousands).into();
        assert_eq!(shown, ["0", "7", "999", "1,000", "3,227,151", "-12,345"]);
    }
}
