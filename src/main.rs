use std::process::ExitCode;

fn main() -> ExitCode {
    ripen::cli::main()
}
