//! Which WebAssembly features beyond `hardened` a module uses, found while it is validated.

use std::collections::BTreeSet;

use wasmparser::{
    AbstractHeapType, BlockType, CompositeInnerType, ConstExpr, Element, ElementItems, ElementKind,
    FuncValidator, FuncValidatorAllocations, FunctionBody, HeapType, Imports, MemoryType, Operator,
    Parser, Payload, RefType, StorageType, SubType, TableInit, TableType, TypeRef, ValType,
    ValidPayload, ValidatorResources, WasmFeatures, types::Types,
};

use crate::recognise_features::validator;

/// A feature beyond `hardened`, by the name that people know it by.
pub(crate) type Feature = &'static str;

/// Features that the profile `wide` adds. No profile has the others.
pub(crate) const WIDE: &[Feature] = &[
    MULTI_MEMORY,
    MEMORY64,
    TABLE64,
    EXCEPTIONS,
    EXTERNAL_REFERENCES,
    FUNCTION_REFERENCES,
    GC,
];

const MULTI_MEMORY: Feature = "several memories";
const MEMORY64: Feature = "64-bit memories";
const TABLE64: Feature = "64-bit tables";
const EXCEPTIONS: Feature = "exceptions";
const EXTERNAL_REFERENCES: Feature = "external references";
const FUNCTION_REFERENCES: Feature = "typed function references";
const GC: Feature = "garbage collection";
const SHARED_MEMORY: Feature = "shared memory";
const SHARED_EVERYTHING: Feature = "shared-everything threads";
const STACK_SWITCHING: Feature = "stack switching";
const CUSTOM_PAGE_SIZES: Feature = "custom page sizes";
const CUSTOM_DESCRIPTORS: Feature = "custom descriptors";
const COMPACT_IMPORTS: Feature = "compact import sections";

/// The feature of a proposal's instructions; `None`: part of `hardened`.
fn of_proposal(name: &str) -> Option<Feature> {
    Some(match name {
        "exceptions" => EXCEPTIONS,
        "function_references" => FUNCTION_REFERENCES,
        "gc" => GC,
        "threads" => "atomic instructions",
        "shared_everything_threads" => SHARED_EVERYTHING,
        "stack_switching" => STACK_SWITCHING,
        "custom_descriptors" => CUSTOM_DESCRIPTORS,
        "legacy_exceptions" => "the legacy exceptions",
        "relaxed_simd" => "relaxed SIMD",
        "memory_control" => "memory control",
        "wide_arithmetic" => "wide arithmetic",
        _ => return None,
    })
}

macro_rules! define_proposal_of {
    ($(@$proposal:ident $op:ident $({ $($arg:ident: $type:ty),* })? => $visit:ident ($($ann:tt)*))*) => {
        /// The proposal that brought an instruction.
        fn proposal_of(operator: &Operator<'_>) -> &'static str {
            match operator {
                $(Operator::$op { .. } => stringify!($proposal),)*
                _ => "unknown",
            }
        }
    };
}
wasmparser::for_each_operator!(define_proposal_of);

/// Validates a core module with every feature on, and finds those that it uses, in one pass.
pub(crate) fn validate_with_all(
    bytes: &[u8],
) -> wasmparser::Result<(Option<Types>, BTreeSet<Feature>)> {
    let mut validator = validator(WasmFeatures::all());
    let (mut used, mut types, mut functions) = (Used::default(), None, Vec::new());
    for payload in Parser::new(0).parse_all(bytes) {
        let payload = payload?;
        match validator.payload(&payload)? {
            ValidPayload::Func(function, body) => functions.push((function, body)),
            ValidPayload::End(read) => types = Some(read),
            _ => used.payload(payload)?,
        }
    }
    let mut allocations = FuncValidatorAllocations::default();
    for (function, body) in functions {
        let mut function = function.into_validator(allocations);
        used.function(&body, &mut function)?;
        allocations = function.into_allocations();
    }
    if used.memories > 1 {
        used.features.insert(MULTI_MEMORY);
    }
    Ok((types, used.features))
}

#[derive(Default)]
struct Used {
    features: BTreeSet<Feature>,
    memories: usize,
    imported_globals: u32,
}

impl Used {
    fn add(&mut self, feature: Feature, uses: bool) {
        if uses {
            self.features.insert(feature);
        }
    }
    fn payload(&mut self, payload: Payload<'_>) -> wasmparser::Result<()> {
        match payload {
            Payload::TypeSection(section) => {
                for group in section {
                    let group = group?;
                    self.add(GC, group.is_explicit_rec_group());
                    group.types().for_each(|ty| self.sub_type(ty));
                }
            }
            Payload::ImportSection(section) => {
                for imports in section {
                    let imports = imports?;
                    let compact = !matches!(imports, Imports::Single(..));
                    self.add(COMPACT_IMPORTS, compact);
                    for import in imports {
                        self.import(import?.1.ty);
                    }
                }
            }
            Payload::TableSection(section) => {
                for table in section {
                    let table = table?;
                    self.table(table.ty);
                    if let TableInit::Expr(expression) = table.init {
                        self.add(FUNCTION_REFERENCES, true);
                        self.constant(&expression)?;
                    }
                }
            }
            Payload::MemorySection(section) => {
                for memory in section {
                    self.memory(memory?);
                }
            }
            Payload::TagSection(_) => self.add(EXCEPTIONS, true),
            Payload::GlobalSection(section) => {
                for global in section {
                    let global = global?;
                    self.add(SHARED_EVERYTHING, global.ty.shared);
                    self.value(global.ty.content_type);
                    self.constant(&global.init_expr)?;
                }
            }
            Payload::ElementSection(section) => {
                for element in section {
                    self.element(element?)?;
                }
            }
            Payload::DataSection(section) => {
                for data in section {
                    if let wasmparser::DataKind::Active { offset_expr, .. } = &data?.kind {
                        self.constant(offset_expr)?;
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }
    /// A function's body, which the validator sees as it is read.
    fn function(
        &mut self,
        body: &FunctionBody<'_>,
        validator: &mut FuncValidator<ValidatorResources>,
    ) -> wasmparser::Result<()> {
        let mut locals = body.get_locals_reader()?;
        for _ in 0..locals.get_count() {
            let offset = locals.original_position();
            let (count, ty) = locals.read()?;
            validator.define_locals(offset, count, ty)?;
            self.value(ty);
        }
        let mut operators = body.get_operators_reader()?;
        while !operators.eof() {
            let (operator, offset) = operators.read_with_offset()?;
            validator.op(offset, &operator)?;
            self.operator(&operator);
        }
        operators.finish()
    }
    fn element(&mut self, element: Element<'_>) -> wasmparser::Result<()> {
        if let ElementKind::Active { offset_expr, .. } = &element.kind {
            self.constant(offset_expr)?;
        }
        if let ElementItems::Expressions(ty, expressions) = element.items {
            self.reference(ty);
            for expression in expressions {
                self.constant(&expression?)?;
            }
        }
        Ok(())
    }
    fn sub_type(&mut self, ty: &SubType) {
        let composite = &ty.composite_type;
        self.add(GC, !ty.is_final || ty.supertype_idx.is_some());
        self.add(SHARED_EVERYTHING, composite.shared);
        let described = composite.descriptor_idx.is_some() || composite.describes_idx.is_some();
        self.add(CUSTOM_DESCRIPTORS, described);
        match &composite.inner {
            CompositeInnerType::Func(ty) => {
                let all = ty.params().iter().chain(ty.results());
                all.for_each(|ty| self.value(*ty));
            }
            CompositeInnerType::Array(array) => self.storage(array.0.element_type),
            CompositeInnerType::Struct(fields) => {
                self.add(GC, true);
                fields
                    .fields
                    .iter()
                    .for_each(|field| self.storage(field.element_type));
            }
            CompositeInnerType::Cont(_) => self.add(STACK_SWITCHING, true),
        }
    }
    fn storage(&mut self, ty: StorageType) {
        self.add(GC, true);
        if let StorageType::Val(ty) = ty {
            self.value(ty);
        }
    }
    fn import(&mut self, ty: TypeRef) {
        match ty {
            TypeRef::Table(table) => self.table(table),
            TypeRef::Memory(memory) => self.memory(memory),
            TypeRef::Tag(_) => self.add(EXCEPTIONS, true),
            TypeRef::FuncExact(_) => self.add(CUSTOM_DESCRIPTORS, true),
            TypeRef::Global(global) => {
                self.imported_globals += 1;
                self.add(SHARED_EVERYTHING, global.shared);
                self.value(global.content_type);
            }
            TypeRef::Func(_) => {}
        }
    }
    fn table(&mut self, ty: TableType) {
        self.add(TABLE64, ty.table64);
        self.add(SHARED_EVERYTHING, ty.shared);
        self.reference(ty.element_type);
    }
    fn memory(&mut self, ty: MemoryType) {
        self.memories += 1;
        self.add(MEMORY64, ty.memory64);
        self.add(SHARED_MEMORY, ty.shared);
        self.add(CUSTOM_PAGE_SIZES, ty.page_size_log2.is_some());
    }
    fn value(&mut self, ty: ValType) {
        if let ValType::Ref(ty) = ty {
            self.reference(ty);
        }
    }
    fn reference(&mut self, ty: RefType) {
        self.add(FUNCTION_REFERENCES, !ty.is_nullable());
        self.heap(ty.heap_type());
    }
    fn heap(&mut self, ty: HeapType) {
        match ty {
            HeapType::Abstract { shared, ty } => {
                self.add(SHARED_EVERYTHING, shared);
                match ty {
                    AbstractHeapType::Func => {}
                    AbstractHeapType::Extern => self.add(EXTERNAL_REFERENCES, true),
                    AbstractHeapType::Exn | AbstractHeapType::NoExn => self.add(EXCEPTIONS, true),
                    AbstractHeapType::Cont | AbstractHeapType::NoCont => {
                        self.add(STACK_SWITCHING, true);
                    }
                    _ => self.add(GC, true),
                }
            }
            HeapType::Concrete(_) => self.add(FUNCTION_REFERENCES, true),
            HeapType::Exact(_) => self.add(CUSTOM_DESCRIPTORS, true),
        }
    }
    /// An expression that gives a first value. Reading a global of the module's own is new in it.
    fn constant(&mut self, expression: &ConstExpr<'_>) -> wasmparser::Result<()> {
        for operator in expression.get_operators_reader() {
            let operator = operator?;
            if let Operator::GlobalGet { global_index } = operator {
                self.add(GC, global_index >= self.imported_globals);
            }
            self.operator(&operator);
        }
        Ok(())
    }
    fn operator(&mut self, operator: &Operator<'_>) {
        if let Some(feature) = of_proposal(proposal_of(operator)) {
            self.features.insert(feature);
        }
        match operator {
            Operator::Block { blockty }
            | Operator::Loop { blockty }
            | Operator::If { blockty }
            | Operator::Try { blockty }
            | Operator::TryTable {
                try_table: wasmparser::TryTable { ty: blockty, .. },
            } => {
                if let BlockType::Type(ty) = blockty {
                    self.value(*ty);
                }
            }
            Operator::TypedSelect { ty } => self.value(*ty),
            Operator::RefNull { hty } => self.heap(*hty),
            _ => {}
        }
    }
}
