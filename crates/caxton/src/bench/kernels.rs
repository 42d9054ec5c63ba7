//! Three computations as an agent, under its limits, against the same source in this program.

use std::time::{Duration, Instant};

use caxton_model::{Durability, LimitName};
use serde_json::json;

use super::{
    Plan, guests,
    node::{Measured, agent, ask, deploy},
    row::{Row, Target, Unit, failed},
};
use crate::failure::Failure;

#[allow(
    clippy::indexing_slicing,
    unreachable_pub,
    missing_docs,
    reason = "the guest's own source, which is compiled for two worlds"
)]
#[path = "../../../../guests/rust/bench/src/kernels.rs"]
mod native;

const BENCH_RUST: &[u8] = include_bytes!("../../../../guests/prebuilt/bench-rust.wasm");

/// The kernels, and sizes that take some ten milliseconds.
const KERNELS: [(&str, u32); 3] = [("sha256", 64), ("fib", 32), ("matmul", 256)];

/// An agent's limit for these: on, and not reached. Unit: microseconds.
const LIMIT_MICROS: u64 = 30_000_000;

/// A row each.
pub(super) async fn rows(plan: &Plan) -> Result<Vec<Row>, Failure> {
    let measured = Measured::start(Durability::Memory, 1, &plan.dir).await?;
    let mut one = agent("computer", BENCH_RUST, Durability::Memory)?;
    for limit in [LimitName::Cpu, LimitName::Wall] {
        one.limits.0.insert(limit, LIMIT_MICROS);
    }
    deploy(&measured.node, one).await?;
    let mut rows = Vec::new();
    for (kernel, size) in KERNELS {
        let content = json!({"action": "compute", "kernel": kernel, "size": size});
        let (mut ours, mut beside) = (Vec::new(), Vec::new());
        for _ in 0..plan.pick(2, 40) {
            let answer = ask(&measured.node, guests::CLIENT, "computer", &content).await?;
            ours.push(answer.took);
            let (result, took) = natively(kernel, size)?;
            beside.push(took);
            if !answer.content.contains(&format!("\"{result:016x}\"")) {
                let content = answer.content;
                return Err(failed(format!(
                    "{kernel}: the guest got {content}, not {result:016x}"
                )));
            }
        }
        let row = Row::times(
            format!("computing as an agent: {kernel}"),
            Unit::Millis,
            ours,
            "the same source, native",
            beside,
        );
        rows.push(row.must(Target::RatioUnder(1.2)));
    }
    measured.stop().await?;
    Ok(rows)
}

fn natively(kernel: &str, size: u32) -> Result<(u64, Duration), Failure> {
    let begun = Instant::now();
    let result = native::run(std::hint::black_box(kernel), std::hint::black_box(size));
    let took = begun.elapsed();
    let result = result.ok_or_else(|| failed(format!("there is no kernel {kernel}")))?;
    Ok((result, took))
}
