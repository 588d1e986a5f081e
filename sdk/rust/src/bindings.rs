//! Generated from `sdk/wit/1`: the frame and log types once, and each kind's exports in a module of its own, so that
//! one artefact can export several kinds over the same types.
#![expect(clippy::same_length_and_capacity, reason = "generated code")]

pub mod shared {
    wit_bindgen::generate!({
        inline: "
            package ripen:sdk;
            world shared {
                import ripen:frame/types@1.0.0;
                import ripen:host/log@1.0.0;
            }
        ",
        path: "../wit/1",
        world: "ripen:sdk/shared",
        additional_derives: [PartialEq],
        generate_all,
    });
}

pub mod scorer {
    wit_bindgen::generate!({
        path: "../wit/1",
        world: "ripen:plugin/scorer",
        pub_export_macro: true,
        export_macro_name: "export_scorer",
        default_bindings_module: "ripen_plugin::bindings::scorer",
        additional_derives: [PartialEq],
        with: {
            "ripen:frame/types@1.0.0": crate::bindings::shared::ripen::frame::types,
            "ripen:host/log@1.0.0": crate::bindings::shared::ripen::host::log,
        },
        generate_all,
    });
}

pub mod segmenter {
    wit_bindgen::generate!({
        path: "../wit/1",
        world: "ripen:plugin/segmenter",
        pub_export_macro: true,
        export_macro_name: "export_segmenter",
        default_bindings_module: "ripen_plugin::bindings::segmenter",
        additional_derives: [PartialEq],
        with: {
            "ripen:frame/types@1.0.0": crate::bindings::shared::ripen::frame::types,
            "ripen:host/log@1.0.0": crate::bindings::shared::ripen::host::log,
        },
        generate_all,
    });
}
