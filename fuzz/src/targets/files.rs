//! A folder in memory, for journals that no disk has to see.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex},
};

use caxton_store::{File, Files};

/// The folder; clones are the same one.
#[derive(Clone, Default)]
pub struct MemoryFiles(Arc<Mutex<BTreeMap<String, Vec<u8>>>>);

impl MemoryFiles {
    pub fn of(files: BTreeMap<String, Vec<u8>>) -> Self {
        Self(Arc::new(Mutex::new(files)))
    }
    pub fn all(&self) -> BTreeMap<String, Vec<u8>> {
        self.0.lock().unwrap().clone()
    }
}

impl Files for MemoryFiles {
    fn names(&self) -> io::Result<Vec<String>> {
        Ok(self.0.lock().unwrap().keys().cloned().collect())
    }
    fn open(&self, name: &str) -> io::Result<Box<dyn File>> {
        if !self.0.lock().unwrap().contains_key(name) {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(Box::new(MemoryFile(self.clone(), name.to_owned())))
    }
    fn create(&self, name: &str) -> io::Result<Box<dyn File>> {
        self.0.lock().unwrap().insert(name.to_owned(), Vec::new());
        self.open(name)
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        self.0.lock().unwrap().remove(name);
        Ok(())
    }
    fn sync_names(&self) -> io::Result<()> {
        Ok(())
    }
}

struct MemoryFile(MemoryFiles, String);

impl MemoryFile {
    fn with<T>(&self, with: impl FnOnce(&mut Vec<u8>) -> T) -> io::Result<T> {
        let mut files = self.0.0.lock().unwrap();
        files
            .get_mut(&self.1)
            .map(with)
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl File for MemoryFile {
    fn size(&self) -> io::Result<u64> {
        self.with(|bytes| bytes.len() as u64)
    }
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        self.with(|bytes| {
            let start = usize::try_from(offset).unwrap_or(usize::MAX);
            let rest = bytes.get(start..).unwrap_or_default();
            let length = rest.len().min(into.len());
            into[..length].copy_from_slice(&rest[..length]);
            length
        })
    }
    fn write_at(&self, from: &[u8], offset: u64) -> io::Result<usize> {
        self.with(|bytes| {
            let start = usize::try_from(offset).expect("nobody writes that far");
            let end = start + from.len();
            bytes.resize(bytes.len().max(end), 0);
            bytes[start..end].copy_from_slice(from);
            from.len()
        })
    }
    fn reserve(&self, size: u64) -> io::Result<()> {
        let size = usize::try_from(size).expect("nobody reserves that much");
        self.with(|bytes| bytes.resize(bytes.len().max(size), 0))
    }
    fn cut(&self, size: u64) -> io::Result<()> {
        let size = usize::try_from(size).expect("nobody cuts there");
        self.with(|bytes| bytes.resize(size, 0))
    }
    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}
