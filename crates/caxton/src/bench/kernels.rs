//! Three computations as an agent, under its limits, against the same source in this program.

use std::time::{Duration, Instant};

use caxton_engine::bare::native;
use caxton_model::Durability;
use serde_json::json;

use super::{
    Plan, guests,
    node::{Measured, ask, deploy, unhurried},
    row::{Row, Target, Unit, failed},
};
use crate::failure::Failure;

const BENCH_RUST: &[u8] = include_bytes!("../../../../guests/prebuilt/bench-rust.wasm");

/// The kernels, and sizes that take some ten milliseconds.
const KERNELS: [(&str, u32); 3] = [("sha256", 64), ("fib", 32), ("matmul", 256)];

/// A row each.
pub(super) async fn rows(plan: &Plan) -> Result<Vec<Row>, Failure> {
    let measured = Measured::start(Durability::Memory, 1, &plan.dir).await?;
    deploy(&measured.node, unhurried("computer", BENCH_RUST)?).await?;
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
