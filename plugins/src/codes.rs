//! Every way in which a plugin can fail, each with its stable problem code.

use ripen_core::ports::{FailureClass, PluginFailure};

/// One kind of failure: its stable code, what it means in a few words, and what it says about the plugin.
#[derive(Clone, Copy, Debug)]
pub struct Code {
    pub code: &'static str,
    pub title: &'static str,
    pub class: FailureClass,
}

impl Code {
    /// `detail` names the place, the limit or figure, and the fix where there is one.
    pub fn because(self, detail: impl Into<String>) -> PluginFailure {
        PluginFailure { class: self.class, code: self.code, detail: detail.into() }
    }
}

macro_rules! codes {
    ($($class:ident { $($name:ident $code:literal $title:literal)* })*) => {
        $($(pub const $name: Code = Code { code: $code, title: $title, class: FailureClass::$class };)*)*

        /// All codes, for catalogues of problems.
        pub const CODES: &[Code] = &[$($($name,)*)*];
    };
}

codes! {
    Artefact {
        TOO_LARGE "plugin_too_large" "The component is larger than the server accepts"
        MALFORMED "plugin_malformed" "The bytes are not valid WebAssembly"
        NOT_A_COMPONENT "plugin_not_a_component" "The bytes are a core module, not a component"
        MANIFEST_MISSING "plugin_manifest_missing" "A component carries exactly one manifest and one contract version"
        MANIFEST_REPEATED "plugin_manifest_repeated" "The component carries its manifest or contract version twice"
        MANIFEST_INVALID "plugin_manifest_invalid" "The manifest is not valid"
        API_VERSION "plugin_api_version" "The component was made for another version of the contract"
        UNKNOWN_IMPORT "plugin_unknown_import" "The component imports what this server does not offer"
        MISSING_EXPORT "plugin_missing_export" "The component does not export a kind its manifest declares"
        UNSUPPORTED_KIND "plugin_unsupported_kind" "This server does not run plugins of that kind"
        WRONG_TYPES "plugin_wrong_types" "An import or export does not have the types of the contract"
        DOES_NOT_COMPILE "plugin_does_not_compile" "The component does not compile"
        COMPILE_LIMIT "plugin_compile_limit" "Compiling the component took more than its limit of time or memory"
        FIXTURE_FAILED "plugin_fixture_failed" "A fixture of the plugin does not give what it expects"
    }
    Refused {
        REFUSED "plugin_refused" "The plugin refused its configuration or its rows"
    }
    Trap {
        PANICKED "plugin_panicked" "The plugin panicked"
        DIVIDED_BY_ZERO "plugin_divided_by_zero" "The plugin divided by zero"
        OUT_OF_BOUNDS "plugin_out_of_bounds" "The plugin reached outside its memory or tables"
        TRAPPED "plugin_trapped" "The plugin did what WebAssembly does not allow"
    }
    Limit {
        FUEL_EXHAUSTED "plugin_fuel_exhausted" "The plugin used up its fuel"
        TIME_EXCEEDED "plugin_time_exceeded" "The plugin took too long"
        MEMORY_EXCEEDED "plugin_memory_exceeded" "The plugin asked for more memory than it may have"
        TABLE_EXCEEDED "plugin_table_exceeded" "The plugin asked for larger or more tables than it may have"
        STACK_EXHAUSTED "plugin_stack_exhausted" "The plugin used up its stack"
        RETURNED_TOO_MUCH "plugin_returned_too_much" "The plugin handed more bytes to the host than it may"
        HOST_CALLS_EXCEEDED "plugin_host_calls_exceeded" "The plugin called the host too often"
        TOO_MANY_ROWS "plugin_too_many_rows" "A call has more rows than the server allows"
    }
    Output {
        MALFORMED_ANSWER "plugin_malformed_answer" "The answer cannot be read"
        WRONG_ROW_COUNT "plugin_wrong_row_count" "A column of the answer does not have one entry a row"
        NOT_FINITE "plugin_not_finite" "The answer holds NaN or an infinity"
        OUT_OF_RANGE "plugin_out_of_range" "A figure is outside the range it may have"
        DO_NOT_ADD_UP "plugin_contributions_do_not_add_up" "The contributions do not add up to the value"
        REPEATED_CODE "plugin_repeated_code" "Two figures, contributions or labels of the answer have one code"
        UNKNOWN_LABEL "plugin_unknown_label" "A label is not in the manifest"
        LABEL_COUNT "plugin_label_count" "A row has not the labels its manifest allows"
        UNKNOWN_REASON "plugin_unknown_reason" "A reason code is not in the manifest"
        BAD_INDEX "plugin_bad_index" "An index of the answer points outside of what it indexes"
        BAD_DECLINED "plugin_bad_declined" "A declined row is declined twice or has figures"
    }
    Host {
        BAD_FRAME "plugin_bad_frame" "The server built rows that do not fit the manifest"
        HOST_FAILED "plugin_host_failed" "The server could not run the plugin"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_distinct_and_have_titles() {
        let distinct: std::collections::BTreeSet<_> = CODES.iter().map(|code| code.code).collect();
        assert_eq!(distinct.len(), CODES.len());
        assert!(CODES.iter().all(|code| code.code.starts_with("plugin_") && !code.title.is_empty()));
    }
}
