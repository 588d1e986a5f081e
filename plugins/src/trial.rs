//! Runs a plugin's own fixtures in the sandbox, for its author and for the server that is asked to accept it.

use std::sync::Arc;

use ripen_core::ports::{Answer, Artefact, Call, Capability, FailureClass, PluginFailure, PluginHost};

use crate::{
    codes,
    fixture::{Fixture, FixtureError},
};

/// One fixture and what came of it.
#[derive(Clone, Debug)]
pub struct Trial {
    pub fixture: String,
    pub kind: Capability,
    pub rows: u32,
    /// What the run cost; where the fixture expects a refusal, nothing is known about it.
    pub outcome: Result<Cost, PluginFailure>,
}

/// What one run cost, and what the plugin said during it.
#[derive(Clone, Debug, Default)]
pub struct Cost {
    pub fuel: u64,
    pub peak_memory: u64,
    pub log: Vec<String>,
}

/// Runs all fixtures of the manifest, also after one that fails.
///
/// # Errors
/// `plugin_fixture_failed` where a fixture itself cannot be read.
pub fn run(host: &dyn PluginHost, artefact: &Artefact) -> Result<Vec<Trial>, PluginFailure> {
    let fixtures = Fixture::all(&artefact.manifest).map_err(|error| failed(&error))?;
    Ok(fixtures.iter().map(|fixture| one(host, artefact, fixture)).collect())
}

/// Fuel a row over the fixtures that gave answers, rounded up; 0 without any.
pub(crate) fn fuel_per_row(trials: &[Trial]) -> u64 {
    let answered = || trials.iter().filter_map(|trial| trial.outcome.as_ref().ok().map(|cost| (cost.fuel, trial.rows)));
    let (fuel, rows) = answered()
        .filter(|(fuel, _)| *fuel > 0)
        .fold((0, 0), |(fuel, rows), (more, also)| (fuel + more, rows + u64::from(also)));
    fuel.div_ceil(rows.max(1))
}

fn one(host: &dyn PluginHost, artefact: &Artefact, fixture: &Fixture) -> Trial {
    let (rows, outcome) = match fixture.frame(&artefact.manifest) {
        Err(error) => (0, Err(failed(&error))),
        Ok(frame) => {
            let call = Call {
                artefact: artefact.clone(),
                config: fixture.config_text().into(),
                context: Arc::new(fixture.run_context()),
                frame,
            };
            (call.frame.rows, outcome(host, fixture, call))
        }
    };
    Trial { fixture: fixture.name.clone(), kind: fixture.kind, rows, outcome }
}

fn outcome(host: &dyn PluginHost, fixture: &Fixture, call: Call) -> Result<Cost, PluginFailure> {
    match fixture.kind {
        Capability::Scorer => compare(fixture, host.score(call), Fixture::expects_scores),
        Capability::Segmenter => compare(fixture, host.segment(call), Fixture::expects_segments),
        Capability::Incentive | Capability::Fitter => {
            Err(codes::UNSUPPORTED_KIND.because(format!("this server does not run a {}", fixture.kind.as_str())))
        }
    }
}

fn compare<T>(
    fixture: &Fixture,
    answer: Result<Answer<T>, PluginFailure>,
    expects: impl FnOnce(&Fixture, &T) -> Result<(), FixtureError>,
) -> Result<Cost, PluginFailure> {
    match answer {
        Ok(Answer { output, fuel, peak_memory, log }) => {
            expects(fixture, &output).map_err(|error| failed(&error))?;
            Ok(Cost { fuel, peak_memory, log })
        }
        Err(failure) if failure.class == FailureClass::Refused => {
            fixture.expects_refusal(&failure.detail).map_err(|error| failed(&error))?;
            Ok(Cost::default())
        }
        Err(PluginFailure { class, code, detail }) => {
            Err(PluginFailure { class, code, detail: format!("fixture `{}`: {detail}", fixture.name) })
        }
    }
}

fn failed(error: &FixtureError) -> PluginFailure {
    codes::FIXTURE_FAILED.because(error.to_string())
}
