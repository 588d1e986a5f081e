use std::io::Write;

use ripen_api::Document;

use super::Outcome;
use crate::{catalogue, registry};

pub(super) fn run() -> Outcome {
    let document = Document::new(&registry(), &catalogue());
    std::io::stdout().write_all(document.text())?;
    Ok(())
}
