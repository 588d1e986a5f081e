//! Guests made instruction by instruction, so that each does exactly one thing.

use std::path::Path;

use wasm_encoder::{
    BlockType, CodeSection, ComponentSection, ConstExpr, CustomSection, DataSection, EntityType, ExportKind,
    ExportSection, Function, FunctionSection, GlobalSection, GlobalType, ImportSection, Instruction, MemorySection,
    MemoryType, Module, RefType, TableSection, TableType, TypeSection,
    ValType::{self, I32, I64},
};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::{Resolve, WorldId};

/// Where the answers of `init` and `score` lie in memory, and the numbers the latter points at.
const INIT_ANSWER: i32 = 16;
pub const ANSWER: i32 = 1024;
pub const NUMBERS: i32 = 2048;
/// Function and table of the module that bodies may use.
pub const LOG: u32 = 0;
pub const SCORE: u32 = 3;
pub const TABLE: u32 = 0;

/// A scorer whose `score` runs `body` and then answers what `data` holds at [`ANSWER`].
pub struct Guest {
    pub body: Vec<Instruction<'static>>,
    pub data: Vec<(i32, Vec<u8>)>,
    pub pages: u64,
    pub manifest: String,
}

impl Default for Guest {
    /// Answers 0 for one row.
    fn default() -> Self {
        Self { body: vec![], data: vec![(ANSWER, scores(NUMBERS, 1))], pages: 4, manifest: manifest("") }
    }
}

impl Guest {
    pub fn running(body: Vec<Instruction<'static>>) -> Self {
        Self { body, ..Self::default() }
    }

    pub fn answering(data: Vec<(i32, Vec<u8>)>) -> Self {
        Self { data, ..Self::default() }
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut component = self.component();
        add_sections(&mut component, &self.manifest);
        component
    }

    /// Without manifest and contract version.
    pub fn component(&self) -> Vec<u8> {
        let mut resolve = contract();
        let world = world(&mut resolve, "include ripen:plugin/scorer@1.0.0;");
        encode(&self.module(), &resolve, world)
    }

    pub fn module(&self) -> Vec<u8> {
        let (mut types, mut functions, mut exports, mut code) =
            (TypeSection::new(), FunctionSection::new(), ExportSection::new(), CodeSection::new());
        let signatures: [(&[ValType], &[ValType]); 4] = [
            (&[I32; 3], &[]),
            (&[I32; 4], &[I32]),
            (&[I32, I32, I64, I32, I32, I32, I32, I32, I32, I32, I32, I32, I32, I32, I32, I32], &[I32]),
            (&[I32; 3], &[I32]),
        ];
        for (params, results) in signatures {
            types.ty().function(params.iter().copied(), results.iter().copied());
        }
        let mut imports = ImportSection::new();
        imports.import("ripen:host/log@1.0.0", "write", EntityType::Function(0));
        for signature in 1..=3 {
            functions.function(signature);
        }
        let names = ["cabi_realloc", "ripen:score/scorer@1.0.0#init", "ripen:score/scorer@1.0.0#score"];
        for (name, index) in names.into_iter().zip(1..) {
            exports.export(name, ExportKind::Func, index);
        }
        exports.export("memory", ExportKind::Memory, 0);
        code.function(&reallocate());
        code.function(&function([Instruction::I32Const(INIT_ANSWER)]));
        code.function(&function(self.body.iter().cloned().chain([Instruction::I32Const(ANSWER)])));
        let mut module = Module::new();
        module.section(&types).section(&imports).section(&functions).section(&Self::table()).section(&self.memory());
        module.section(&globals()).section(&exports).section(&code).section(&self.data());
        module.finish()
    }

    fn table() -> TableSection {
        let mut tables = TableSection::new();
        let table =
            TableType { element_type: RefType::FUNCREF, minimum: 1, maximum: None, table64: false, shared: false };
        tables.table(table);
        tables
    }

    fn memory(&self) -> MemorySection {
        let mut memories = MemorySection::new();
        let memory =
            MemoryType { minimum: self.pages, maximum: None, memory64: false, shared: false, page_size_log2: None };
        memories.memory(memory);
        memories
    }

    fn data(&self) -> DataSection {
        let mut section = DataSection::new();
        for (offset, bytes) in &self.data {
            section.active(0, &ConstExpr::i32_const(*offset), bytes.iter().copied());
        }
        section
    }
}

/// The manifest of a scorer named `guest` with an input `orders`, with `more` at its end.
pub fn manifest(more: &str) -> String {
    format!(
        r#"{{"plugin": {{"name": "guest", "version": "1.0.0", "api": "1", "kinds": ["scorer"], "subject": "account"}},
            "inputs": {{"orders": {{"type": "number", "from": "metric:order_count"}}}},
            "outputs": {{"range": [0, 100], "contributions": "sum"}}{more}}}"#
    )
}

/// `ok(scores)` with so many values at `values` and nothing else, as it lies in memory.
pub fn scores(values: i32, rows: i32) -> Vec<u8> {
    [0, values, rows, 0, 0, 0, 0, 0, 0, 0, 0].iter().flat_map(|word: &i32| word.to_le_bytes()).collect()
}

pub fn add_sections(component: &mut Vec<u8>, manifest: &str) {
    add_section(component, "ripen:manifest", manifest.as_bytes());
    add_section(component, "ripen:api", &[0, 1, 0, 0, 0, 0]);
}

pub fn add_section(component: &mut Vec<u8>, name: &str, data: &[u8]) {
    CustomSection { name: name.into(), data: data.into() }.append_to_component(component);
}

/// The packages of the contract.
pub fn contract() -> Resolve {
    let mut resolve = Resolve::default();
    resolve.push_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../sdk/wit/1")).expect("the contract parses");
    resolve
}

pub fn world(resolve: &mut Resolve, items: &str) -> WorldId {
    let package = resolve.push_str("test.wit", &format!("package test:guest; world guest {{ {items} }}")).expect("WIT");
    resolve.select_world(&[package], Some("guest")).expect("the world of the test")
}

pub fn encode(module: &[u8], resolve: &Resolve, world: WorldId) -> Vec<u8> {
    let mut module = module.to_vec();
    embed_component_metadata(&mut module, resolve, world, StringEncoding::UTF8).expect("metadata");
    let mut encoder = ComponentEncoder::default().validate(true).module(&module).expect("module");
    encoder.encode().expect("component")
}

/// `loop { body }`
pub fn forever(body: &[Instruction<'static>]) -> Vec<Instruction<'static>> {
    let mut all = vec![Instruction::Loop(BlockType::Empty)];
    all.extend_from_slice(body);
    all.extend([Instruction::Br(0), Instruction::End]);
    all
}

pub fn function(body: impl IntoIterator<Item = Instruction<'static>>) -> Function {
    let mut function = Function::new([]);
    for instruction in body {
        function.instruction(&instruction);
    }
    function.instruction(&Instruction::End);
    function
}

/// Never frees: returns the next multiple of eight after what was handed out before.
fn reallocate() -> Function {
    function([
        Instruction::GlobalGet(0),
        Instruction::I32Const(7),
        Instruction::I32Add,
        Instruction::I32Const(-8),
        Instruction::I32And,
        Instruction::LocalTee(0),
        Instruction::LocalGet(3),
        Instruction::I32Add,
        Instruction::GlobalSet(0),
        Instruction::LocalGet(0),
    ])
}

fn globals() -> GlobalSection {
    let mut globals = GlobalSection::new();
    globals.global(GlobalType { val_type: I32, mutable: true, shared: false }, &ConstExpr::i32_const(8192));
    globals
}
