//! The `caxton` program.

fn main() -> std::process::ExitCode {
    caxton_program::main()
}
