//! The compile worker as a program of its own: what `caxton compile-worker` is.

fn main() -> std::process::ExitCode {
    caxton_engine::compile_worker_main()
}
