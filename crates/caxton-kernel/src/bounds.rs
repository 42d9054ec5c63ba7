//! How long lists and texts in descriptors, searches and filters may be.
//!
//! Held at the door alone: what is stored already is read back as it is.

use caxton_model::Capabilities;

/// Entries of one list.
pub(crate) const LIST_MAX: usize = 64;

/// Bytes of one entry: as long as two names.
pub(crate) const TEXT_BYTES_MAX: usize = 256;

/// Bytes of all texts of one descriptor, or of one search, schemas and properties included.
///
/// As much as four full lists.
pub(crate) const DESCRIPTION_BYTES_MAX: usize = 64 << 10;

/// A list or a text that is too long.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TooLong {
    /// Too many entries.
    #[error("`{what}` has {count} entries; at most {LIST_MAX} are allowed")]
    List {
        /// The list's name.
        what: &'static str,
        /// How many it has.
        count: usize,
    },
    /// Too many bytes in one text.
    #[error("a text in `{what}` has {bytes} bytes; at most {TEXT_BYTES_MAX} are allowed")]
    Text {
        /// The field's name.
        what: &'static str,
        /// How many it has.
        bytes: usize,
    },
    /// Too many bytes in all.
    #[error("the description has {bytes} bytes; at most {DESCRIPTION_BYTES_MAX} are allowed")]
    Description {
        /// How many it has.
        bytes: usize,
    },
}

/// Adds up what a description holds, and refuses what is too long.
#[derive(Debug, Default)]
pub(crate) struct Measure {
    bytes: usize,
}

impl Measure {
    /// One text.
    pub(crate) fn text(&mut self, what: &'static str, text: &str) -> Result<(), TooLong> {
        let bytes = text.len();
        self.bytes = self.bytes.saturating_add(bytes);
        if bytes > TEXT_BYTES_MAX {
            return Err(TooLong::Text { what, bytes });
        }
        Ok(())
    }
    /// A list's length.
    pub(crate) fn count(what: &'static str, count: usize) -> Result<(), TooLong> {
        if count > LIST_MAX {
            return Err(TooLong::List { what, count });
        }
        Ok(())
    }
    /// A list of texts.
    pub(crate) fn list(&mut self, what: &'static str, list: &[String]) -> Result<(), TooLong> {
        Self::count(what, list.len())?;
        list.iter().try_for_each(|text| self.text(what, text))
    }
    /// What has no bound of its own.
    pub(crate) fn bytes(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_add(bytes);
    }
    /// The sum.
    pub(crate) fn end(self) -> Result<(), TooLong> {
        if self.bytes > DESCRIPTION_BYTES_MAX {
            return Err(TooLong::Description { bytes: self.bytes });
        }
        Ok(())
    }
}

/// Checks a descriptor that is about to be registered.
///
/// Errors: [`TooLong`].
pub fn check_descriptor(descriptor: &Capabilities) -> Result<(), TooLong> {
    let mut measure = Measure::default();
    measure.text("version", &descriptor.version)?;
    Measure::count("performatives", descriptor.performatives.len())?;
    measure.list("protocols", &descriptor.protocols)?;
    measure.list("ontologies", &descriptor.ontologies)?;
    measure.list("languages", &descriptor.languages)?;
    Measure::count("services", descriptor.services.len())?;
    for service in &descriptor.services {
        measure.text("services.name", &service.name)?;
        measure.text("services.type", &service.kind)?;
        measure.list("services.protocols", &service.protocols)?;
        measure.list("services.ontologies", &service.ontologies)?;
        measure.list("services.languages", &service.languages)?;
        measure.bytes(service.description.len());
        for json in [
            &service.input_schema,
            &service.output_schema,
            &service.properties,
        ] {
            measure.bytes(json.as_str().len());
        }
    }
    measure.end()
}
