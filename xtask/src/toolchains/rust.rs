//! Rust: the active toolchain where it has the wasm targets, else Debian's with std built here.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Context as _;

use super::{DebianPins, RustPins, Tool, debian, first_line, once, run, version::at_least};

/// How a compiler is got where Debian's packages do not give one.
const REMEDY: &str = "run `rustup target add wasm32-unknown-unknown`, or add Debian's security suite \
    to the package sources in /etc/apt; then run this again";

/// Finds or installs it. The tool is cargo, with the compiler in its environment.
pub(super) fn find(prefix: &Path, pins: &RustPins) -> anyhow::Result<Tool> {
    let active = first_line(Command::new("rustc").arg("-V")).context("rustc does not run")?;
    if pins.targets.iter().all(|target| active_has(target)) {
        println!("rust: {active}, the active toolchain");
        return Ok(Tool {
            program: "cargo".into(),
            args: Vec::new(),
            env: Vec::new(),
            fingerprint: active,
        });
    }
    let dir = prefix.join("rust");
    let wanted = format!("{} for {}", pins.debian.wanted(), pins.targets.join(" "));
    once(&dir, &wanted, "rust", || {
        println!(
            "  the active toolchain has no std for {}",
            pins.targets.join(", ")
        );
        debian::unpack(prefix, &pins.debian, REMEDY, &dir)?;
        link_linkers(&dir)?;
        // Building std takes minutes: the compiler is looked at first.
        version_of(&dir, &pins.debian, REMEDY)?;
        pins.targets
            .iter()
            .try_for_each(|target| build_std(&dir, target))
    })?;
    let version = version_of(&dir, &pins.debian, REMEDY)?;
    let mut env = environment(&dir)?;
    let linker = active_tools()?.join("rust-lld");
    let linker = first_line(Command::new(linker).args(["-flavor", "wasm", "--version"]))
        .and_then(|line| line.split(" (").next().map(str::to_owned))
        .context("rust-lld of the active toolchain does not run")?;
    println!("rust: {version}, {linker}");
    env.push(("RUSTC_WRAPPER".to_owned(), String::new()));
    Ok(Tool {
        program: "cargo".into(),
        args: Vec::new(),
        env,
        fingerprint: format!("{version}, {linker}"),
    })
}

/// Finds or installs the lowest compiler that the SDK is for. The tool is cargo, as in [`find`].
pub(super) fn find_lowest(prefix: &Path, pins: &DebianPins) -> anyhow::Result<Tool> {
    let remedy =
        "the check of the SDK's `rust-version` needs the package sources of Debian 12 in /etc/apt";
    let dir = prefix.join("lowest-rust");
    once(&dir, &pins.wanted(), "lowest rust", || {
        debian::unpack(prefix, pins, remedy, &dir)
    })?;
    let version = version_of(&dir, pins, remedy)?;
    println!("lowest rust: {version}");
    let mut env = environment(&dir)?;
    env.push(("RUSTC_WRAPPER".to_owned(), String::new()));
    Ok(Tool {
        program: "cargo".into(),
        args: Vec::new(),
        env,
        fingerprint: version,
    })
}

/// What the unpacked compiler says of itself, without the note of who built it.
///
/// Errors: it does not run, or it is too old.
fn version_of(dir: &Path, pins: &DebianPins, remedy: &str) -> anyhow::Result<String> {
    let mut rustc = Command::new(dir.join("usr/bin/rustc"));
    let said = first_line(rustc.arg("-V").envs(environment(dir)?))
        .context("the unpacked rustc does not run")?;
    at_least("rustc", &said, &pins.minimum, remedy)?;
    Ok(said.split(" (built").next().unwrap_or(&said).to_owned())
}

fn active_has(target: &str) -> bool {
    first_line(Command::new("rustc").args(["--print", "target-libdir", "--target", target]))
        .is_some_and(|dir| {
            fs::read_dir(dir).is_ok_and(|entries| {
                entries
                    .flatten()
                    .any(|e| e.file_name().to_string_lossy().starts_with("libstd-"))
            })
        })
}

fn environment(dir: &Path) -> anyhow::Result<Vec<(String, String)>> {
    Ok(vec![
        ("LD_LIBRARY_PATH".to_owned(), debian::library_path(dir)?),
        (
            "RUSTC".to_owned(),
            dir.join("usr/bin/rustc").display().to_string(),
        ),
        (
            "RUSTDOC".to_owned(),
            dir.join("usr/bin/rustdoc").display().to_string(),
        ),
    ])
}

/// The folder with the active toolchain's `rust-lld` and `wasm-component-ld`.
fn active_tools() -> anyhow::Result<PathBuf> {
    let sysroot = first_line(Command::new("rustc").args(["--print", "sysroot"]))
        .context("rustc does not run")?;
    Ok(Path::new(&sysroot)
        .join("lib/rustlib")
        .join(host()?)
        .join("bin"))
}

fn host() -> anyhow::Result<String> {
    let version = run(Command::new("rustc").arg("-vV"))?;
    version
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .map(str::to_owned)
        .context("rustc does not say its host")
}

/// Where cargo keeps the sources of crates.
pub(crate) fn cargo_home() -> anyhow::Result<PathBuf> {
    std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(std::env::home_dir()?.join(".cargo")))
        .context("neither CARGO_HOME nor a home folder is known")
}

/// Debian's compiler comes without a linker for wasm; the active toolchain has one.
fn link_linkers(dir: &Path) -> anyhow::Result<()> {
    let bin = dir.join("usr/lib/rustlib").join(host()?).join("bin");
    fs::create_dir_all(&bin)?;
    for name in ["rust-lld", "wasm-component-ld"] {
        let from = active_tools()?.join(name);
        if from.exists() && !bin.join(name).exists() {
            std::os::unix::fs::symlink(from, bin.join(name))?;
        }
    }
    Ok(())
}

/// Builds std from Debian's source and puts it where the compiler looks for it.
fn build_std(dir: &Path, target: &str) -> anyhow::Result<()> {
    let libs = dir.join("usr/lib/rustlib").join(target).join("lib");
    let contained = libs.join("self-contained");
    fs::create_dir_all(&contained)?;
    if target.contains("wasi") {
        for file in ["crt1-command.o", "crt1-reactor.o", "libc.a"] {
            let from = dir.join("usr/lib/wasm32-wasi").join(file);
            fs::copy(&from, contained.join(file)).with_context(|| from.display().to_string())?;
        }
    }
    let work = dir.join("build-std");
    fs::create_dir_all(work.join("src"))?;
    fs::write(work.join("src/lib.rs"), "")?;
    fs::write(
        work.join("Cargo.toml"),
        "[package]\nname = \"build-std\"\nversion = \"0.0.0\"\nedition = \"2021\"\n\n[workspace]\n\n\
         [profile.release]\npanic = \"abort\"\n",
    )?;
    println!("  building std for {target}");
    let source = dir.join("usr/lib/rustlib/src/rust");
    let source = source.canonicalize().unwrap_or(source);
    let mut cargo = Command::new("cargo");
    cargo
        .args(["build", "--release", "--quiet", "--target", target])
        .arg("-Zbuild-std=std,panic_abort")
        .current_dir(&work)
        .envs(environment(dir)?)
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_TARGET_DIR", work.join("target"))
        .env_remove("RUSTFLAGS")
        .env(
            "CARGO_ENCODED_RUSTFLAGS",
            [
                "-Cembed-bitcode=yes".to_owned(),
                // The folder stands in panic texts: the same guest must come out anywhere.
                format!("--remap-path-prefix={}=/rustc", source.display()),
                format!(
                    "--remap-path-prefix={}=/rustc",
                    dir.join("usr/lib/rustlib/src/rust").display()
                ),
                format!("--remap-path-prefix={}=/cargo", cargo_home()?.display()),
            ]
            .join("\u{1f}"),
        );
    run(&mut cargo)?;
    for entry in fs::read_dir(work.join("target").join(target).join("release/deps"))? {
        let path = entry?.path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if name.ends_with(".rlib") && !name.starts_with("libbuild_std") {
            fs::copy(&path, libs.join(&name))?;
        }
    }
    fs::remove_dir_all(&work)?;
    Ok(())
}
