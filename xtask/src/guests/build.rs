//! One recipe per language. What they leave out of the binary (paths, build ids) makes it
//! the same wherever it is built.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};

use super::lock::Guest;
use crate::toolchains::{Tool, Toolchains, cargo_home, run};

/// Stack of Rust and C guests. Unit: bytes. The linker's 1 MiB would not fit under a 1 MiB limit.
const STACK_BYTES: u32 = 65_536;

/// Builds guests; looks for each tool once.
pub(super) struct Builder<'a> {
    root: &'a Path,
    toolchains: &'a Toolchains,
    tools: BTreeMap<&'static str, Tool>,
    stage: Option<PathBuf>,
}

impl<'a> Builder<'a> {
    pub(super) fn new(root: &'a Path, toolchains: &'a Toolchains) -> Self {
        Self {
            root,
            toolchains,
            tools: BTreeMap::new(),
            stage: None,
        }
    }

    /// Builds one guest into a file; answers the fingerprint of the tools that did it.
    pub(super) fn build(&mut self, guest: &Guest, into: &Path) -> anyhow::Result<String> {
        match guest.language.as_str() {
            "rust" => self.rust(guest, into),
            "c" => self.c(guest, into),
            "assemblyscript" => self.assemblyscript(guest, into),
            "go" => self.go(guest, into),
            other => bail!("no recipe for the language `{other}`"),
        }
    }

    fn tool(
        &mut self,
        name: &'static str,
        find: impl FnOnce(&Toolchains) -> anyhow::Result<Tool>,
    ) -> anyhow::Result<Tool> {
        if let Some(tool) = self.tools.get(name) {
            return Ok(tool.clone());
        }
        let tool = find(self.toolchains)?;
        self.tools.insert(name, tool.clone());
        Ok(tool)
    }

    /// The copy that Rust guests are built from, made once.
    fn stage(&mut self) -> anyhow::Result<PathBuf> {
        if let Some(stage) = &self.stage {
            return Ok(stage.clone());
        }
        let stage = super::stage::stage(self.root)?;
        self.stage = Some(stage.clone());
        Ok(stage)
    }

    fn rust(&mut self, guest: &Guest, into: &Path) -> anyhow::Result<String> {
        let tool = self.tool("rust", Toolchains::rust)?;
        let stage = self.stage()?;
        let target = self.root.join("target/guests/rust");
        let package = folder_name(Path::new(&guest.source))?;
        let flags = [
            format!("-Clink-arg=-zstack-size={STACK_BYTES}"),
            "-Ctarget-feature=+simd128".to_owned(),
            format!("--remap-path-prefix={}=/caxton", stage.display()),
            format!("--remap-path-prefix={}=/cargo", cargo_home()?.display()),
        ];
        let mut cargo = tool.command();
        cargo
            .args(["build", "--release", "--quiet", "--locked"])
            .args(["--target", "wasm32-unknown-unknown", "--package", &package])
            .current_dir(&stage)
            .env("CARGO_TARGET_DIR", &target)
            .env_remove("RUSTFLAGS")
            .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"));
        run(&mut cargo)?;
        let name = format!("{}.wasm", package.replace('-', "_"));
        let shrinker = self.shrink(
            &target.join("wasm32-unknown-unknown/release").join(name),
            into,
        )?;
        Ok(format!("{}, {shrinker}", tool.fingerprint))
    }

    fn c(&mut self, guest: &Guest, into: &Path) -> anyhow::Result<String> {
        let tool = self.tool("c", Toolchains::c)?;
        let mut clang = tool.command();
        clang
            .args(c_flags(guest)?)
            .arg("-Isdk/c")
            .arg("-o")
            .arg(into);
        clang
            .arg(Path::new("guests").join(&guest.source))
            .current_dir(self.root);
        run(&mut clang)?;
        Ok(tool.fingerprint)
    }

    fn assemblyscript(&mut self, guest: &Guest, into: &Path) -> anyhow::Result<String> {
        let tool = self.tool("assemblyscript", Toolchains::assemblyscript)?;
        let mut asc = tool.command();
        asc.arg(Path::new("guests").join(&guest.source))
            .args(ASC_FLAGS)
            .arg("-o")
            .arg(into);
        run(asc.current_dir(self.root))?;
        Ok(tool.fingerprint)
    }

    fn go(&mut self, guest: &Guest, into: &Path) -> anyhow::Result<String> {
        let tool = self.tool("go", Toolchains::go)?;
        let raw: PathBuf = into.with_extension("raw");
        let mut go = tool.command();
        go.args(GO_FLAGS).arg("-o").arg(&raw).arg(".");
        run(go.current_dir(self.root.join("guests").join(&guest.source)))?;
        let shrinker = self.shrink(&raw, into)?;
        fs::remove_file(&raw)?;
        Ok(format!("{}, {shrinker}", tool.fingerprint))
    }

    /// Makes a module smaller, for compilers that leave much behind.
    fn shrink(&mut self, raw: &Path, into: &Path) -> anyhow::Result<String> {
        let tool = self.tool("wasm-opt", Toolchains::wasm_opt)?;
        run(tool
            .command()
            .args(WASM_OPT_FLAGS)
            .arg(raw)
            .arg("-o")
            .arg(into))?;
        Ok(tool.fingerprint)
    }
}

const ASC_FLAGS: [&str; 3] = ["-Oz", "--converge", "--exportRuntime"];
const GO_FLAGS: [&str; 5] = [
    "build",
    "-buildmode=c-shared",
    "-trimpath",
    "-buildvcs=false",
    "-ldflags=-s -w -buildid=",
];
const WASM_OPT_FLAGS: [&str; 9] = [
    "-Oz",
    "--enable-simd",
    "--strip-debug",
    "--enable-bulk-memory",
    "--enable-sign-ext",
    "--enable-nontrapping-float-to-int",
    "--enable-mutable-globals",
    "--enable-multivalue",
    "--enable-reference-types",
];

fn c_flags(guest: &Guest) -> anyhow::Result<Vec<String>> {
    let flags: &[&str] = match guest.model.as_deref() {
        Some("freestanding") => &[
            "--target=wasm32",
            "-ffreestanding",
            "-nostdlib",
            "-Wl,--no-entry",
        ],
        Some("reactor") => &["--target=wasm32-wasi", "-mexec-model=reactor"],
        Some("command") => &["--target=wasm32-wasi"],
        other => bail!("a C guest's `model` is freestanding, reactor or command, not {other:?}"),
    };
    let mut all: Vec<String> = flags.iter().map(|flag| (*flag).to_owned()).collect();
    all.extend(["-Os", "-Wall", "-Wextra", "-Werror", "-Wl,--strip-all"].map(str::to_owned));
    all.push(format!("-Wl,-z,stack-size={STACK_BYTES}"));
    Ok(all)
}

/// The tools of a language, by their names among all tools and among the pins.
pub(super) fn tools(language: &str) -> &'static [&'static str] {
    match language {
        "rust" => &["rust", "node", "wasm-opt"],
        "c" => &["c"],
        "assemblyscript" => &["node", "assemblyscript"],
        _ => &["go", "node", "wasm-opt"],
    }
}

/// The build as one command, for whoever wants to do it by hand.
pub(super) fn recipe(guest: &Guest) -> String {
    match guest.language.as_str() {
        "rust" => format!(
            "cargo build --release --target wasm32-unknown-unknown (guests/{}; -zstack-size={STACK_BYTES}, +simd128); wasm-opt {}",
            guest.source,
            WASM_OPT_FLAGS.join(" ")
        ),
        "c" => format!(
            "clang {} -Isdk/c guests/{}",
            c_flags(guest).unwrap_or_default().join(" "),
            guest.source
        ),
        "assemblyscript" => format!("asc guests/{} {}", guest.source, ASC_FLAGS.join(" ")),
        _ => format!(
            "go {} . (guests/{}); wasm-opt {}",
            GO_FLAGS.join(" "),
            guest.source,
            WASM_OPT_FLAGS.join(" ")
        ),
    }
}

fn folder_name(path: &Path) -> anyhow::Result<String> {
    let name = path.file_name().context("a guest's source is a folder")?;
    Ok(name.to_string_lossy().into_owned())
}
