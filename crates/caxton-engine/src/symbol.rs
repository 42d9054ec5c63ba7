//! Source lines for backtraces, from the module's DWARF: read off the shards, within bounds.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use addr2line::gimli;
use caxton_model::Fault;
use caxton_package::Verified;
use wasmparser::{Parser, Payload};

/// DWARF that is looked at. Unit: bytes.
const DWARF_BYTES_MAX: usize = 64 << 20;
/// After this no further frame is looked up; one look is bounded by the size above.
const TIME_MAX: Duration = Duration::from_millis(500);

type Reader<'a> = gimli::EndianSlice<'a, gimli::LittleEndian>;

/// The debug sections of one module.
#[derive(Debug)]
pub struct Frames {
    bytes: Arc<[u8]>,
    sections: BTreeMap<String, std::ops::Range<usize>>,
    code_start: u64,
}

impl Frames {
    /// Finds the sections; reads none of them yet.
    #[must_use]
    pub fn of(module: &Verified) -> Self {
        let bytes = module.bytes().clone();
        let mut sections = BTreeMap::new();
        let mut code_start = 0;
        let mut total = 0_usize;
        for payload in Parser::new(0).parse_all(&bytes) {
            match payload {
                // DWARF counts from the code section's first byte.
                Ok(Payload::CodeSectionStart { range, .. }) => code_start = range.start as u64,
                Ok(Payload::CustomSection(section)) if section.name().starts_with(".debug_") => {
                    total = total.saturating_add(section.data().len());
                    let end = section.data_offset() + section.data().len();
                    sections.insert(section.name().to_owned(), section.data_offset()..end);
                }
                Ok(_) => {}
                Err(_) => break,
            }
        }
        if total > DWARF_BYTES_MAX {
            sections.clear();
        }
        Self {
            bytes,
            sections,
            code_start,
        }
    }
    /// Fills in `file:line` where the module says it.
    pub fn add_sources(&self, fault: &mut Fault) {
        if self.sections.is_empty() || fault.backtrace.is_empty() {
            return;
        }
        let began = Instant::now();
        let load = |id: gimli::SectionId| -> Result<Reader<'_>, gimli::Error> {
            let range = self.sections.get(id.name()).cloned().unwrap_or(0..0);
            let data = self.bytes.get(range).unwrap_or_default();
            Ok(gimli::EndianSlice::new(data, gimli::LittleEndian))
        };
        let Ok(dwarf) = gimli::Dwarf::load(load) else {
            return;
        };
        let Ok(context) = addr2line::Context::from_dwarf(dwarf) else {
            return;
        };
        for frame in &mut fault.backtrace {
            if began.elapsed() > TIME_MAX {
                return;
            }
            let Some(address) = frame.module_offset.checked_sub(self.code_start) else {
                continue;
            };
            if let Ok(Some(location)) = context.find_location(address) {
                frame.source = source(&location);
            }
        }
    }
}

fn source(location: &addr2line::Location<'_>) -> Option<String> {
    let file: Cow<'_, str> = location.file?.into();
    // The end of a long path says more than its start.
    let skip = file.chars().count().saturating_sub(200);
    let file: String = file.chars().skip(skip).collect();
    Some(match location.line {
        Some(line) => format!("{file}:{line}"),
        None => file,
    })
}
