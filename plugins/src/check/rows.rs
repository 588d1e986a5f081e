//! Whether the rows the server built are what the plugin was promised.

use ripen_core::ports::{Column, Frame, FrameField, InputType, Manifest, PluginFailure};

use super::{Checked, columns, count};
use crate::codes;

/// # Errors
/// `plugin_bad_frame`: the fault is the server's, not the plugin's.
pub(crate) fn frame(frame: &Frame, manifest: &Manifest) -> Checked {
    let bad = |detail: String| codes::BAD_FRAME.because(detail);
    for (name, input) in &manifest.inputs {
        let fields: Vec<&FrameField> = frame.fields.iter().filter(|field| &field.name == name).collect();
        match fields.as_slice() {
            [field] if holds(input.kind, &field.column) => {}
            [_] => return Err(bad(format!("the column of input {name} is not of its type"))),
            _ => return Err(bad(format!("input {name} has {} columns, it must have one", fields.len()))),
        }
    }
    if let Some(field) = frame.fields.iter().find(|field| !manifest.inputs.contains_key(&field.name)) {
        return Err(bad(format!("{} is no input of the manifest", field.name)));
    }
    let well_formed = |field: &FrameField| -> Checked {
        let rows = frame.rows as usize;
        columns::column(&field.name, &field.column, rows)?;
        if let Some(present) = &field.present {
            count(&field.name, present.len(), rows)?;
            columns::flags(&field.name, present)?;
        }
        Ok(())
    };
    frame.fields.iter().try_for_each(well_formed).map_err(|PluginFailure { detail, .. }| bad(detail))
}

fn holds(kind: InputType, column: &Column) -> bool {
    match kind {
        InputType::Number => matches!(column, Column::Numbers(_)),
        InputType::Integer | InputType::Money | InputType::Instant | InputType::Date => {
            matches!(column, Column::Integers(_))
        }
        InputType::Boolean => matches!(column, Column::Booleans(_)),
        InputType::Text => matches!(column, Column::Texts(_)),
        InputType::Words => matches!(column, Column::Words(_)),
        InputType::Series => matches!(column, Column::Series(_)),
    }
}
