//! The `caxton` program with a fault planted: for the tests that must find it, never shipped.

fn main() -> std::process::ExitCode {
    caxton_program::main_planted()
}
