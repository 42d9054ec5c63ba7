//! Peers that `caxton bench --peers PROGRAM` measures itself beside, in the same run and in turns.
//!
//! One order a line on standard input, one line of answer each; it ends with its input.
//! - `extism-fresh COUNT`: nanoseconds of so many calls, each in a plugin made for it.
//! - `extism-reused COUNT`: the same in one plugin that is there.
//! - `axum`: the address of an echo server, which runs from then on.

use std::{
    error::Error,
    io::{BufRead as _, Write as _},
    time::Instant,
};

use extism::{CompiledPlugin, Manifest, Plugin, PluginBuilder, Wasm};

/// Gives its input back without a copy of its own: the least that a plugin can do.
const ECHO: &str = r#"(module
  (import "extism:host/env" "input_offset" (func $offset (result i64)))
  (import "extism:host/env" "input_length" (func $length (result i64)))
  (import "extism:host/env" "output_set" (func $answer (param i64 i64)))
  (memory (export "memory") 2)
  (func (export "process") (result i32)
    (call $answer (call $offset) (call $length))
    (i32.const 0)))"#;

/// What each call takes and must give back.
const INPUT: &[u8] = &[b'7'; 64];

struct Peers {
    compiled: CompiledPlugin,
    reused: Plugin,
    io: tokio::runtime::Runtime,
}

impl Peers {
    fn new() -> Result<Self, Box<dyn Error>> {
        let manifest = Manifest::new([Wasm::data(ECHO.as_bytes())]);
        let compiled = CompiledPlugin::new(PluginBuilder::new(manifest).with_wasi(false))?;
        let reused = Plugin::new_from_compiled(&compiled)?;
        let io = tokio::runtime::Runtime::new()?;
        Ok(Self {
            compiled,
            reused,
            io,
        })
    }
    fn answer(&mut self, order: &str) -> Result<String, Box<dyn Error>> {
        let mut words = order.split_whitespace();
        let (what, count) = (words.next(), words.next());
        let count: usize = count.map_or(Ok(0), str::parse)?;
        match what {
            Some("extism-fresh") => times(count, || {
                call(&mut Plugin::new_from_compiled(&self.compiled)?)
            }),
            Some("extism-reused") => times(count, || call(&mut self.reused)),
            Some("axum") => self.axum(),
            _ => Err(format!("unknown order `{order}`").into()),
        }
    }
    fn axum(&self) -> Result<String, Box<dyn Error>> {
        let listener = self
            .io
            .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))?;
        let address = listener.local_addr()?;
        let echo = axum::Router::new().route(
            "/echo",
            axum::routing::post(|body: axum::body::Bytes| async move { body }),
        );
        // Ends with the process; whoever asks it notices a failure at once.
        self.io
            .spawn(async move { drop(axum::serve(listener, echo).await) });
        Ok(address.to_string())
    }
}

fn call(plugin: &mut Plugin) -> Result<(), Box<dyn Error>> {
    let output: &[u8] = plugin.call("process", INPUT)?;
    if output == INPUT {
        Ok(())
    } else {
        Err("the plugin gave something else back".into())
    }
}

fn times(
    count: usize,
    mut work: impl FnMut() -> Result<(), Box<dyn Error>>,
) -> Result<String, Box<dyn Error>> {
    let mut line = String::new();
    for _ in 0..count {
        let begun = Instant::now();
        work()?;
        line.push_str(&format!("{} ", begun.elapsed().as_nanos()));
    }
    Ok(line)
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut peers = Peers::new()?;
    for order in std::io::stdin().lock().lines() {
        let answer = peers.answer(&order?)?;
        let mut out = std::io::stdout().lock();
        writeln!(out, "{answer}")?;
        out.flush()?;
    }
    Ok(())
}
