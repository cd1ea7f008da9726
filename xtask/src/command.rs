//! Running other programs: shown before they run, named when they fail.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, ensure};

use crate::toolchain;

/// The cargo that runs this.
pub(crate) fn cargo(root: &Path) -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root);
    cargo
}

/// Installs a tool from its sources, in the version that guard is tested with.
pub(crate) fn cargo_install(root: &Path, tool: &str, version: &str) -> Command {
    let mut cargo = cargo(root);
    // Without a target directory of the user's the build leaves nothing behind.
    cargo.env_remove("CARGO_TARGET_DIR").args(["install", tool, "--version", version, "--locked", "--force"]);
    cargo
}

/// Where cargo put this program, and so puts everything else, whatever environment or configuration say.
pub(crate) fn target_dir() -> anyhow::Result<PathBuf> {
    let program = env::current_exe()?;
    let target_dir = program.ancestors().nth(2).context("xtask does not lie in a target directory")?;
    Ok(target_dir.to_owned())
}

/// Runs a command whose output the user sees.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<()> {
    let line = line(command);
    println!("$ {line}");
    let status = command.status().with_context(|| format!("`{line}` does not run"))?;
    ensure!(status.success(), "`{line}` failed: {status}");
    Ok(())
}

/// Runs a command for its standard output.
pub(crate) fn read(command: &mut Command) -> anyhow::Result<String> {
    let line = line(command);
    let output = command.output().with_context(|| format!("`{line}` does not run"))?;
    ensure!(output.status.success(), "`{line}` failed: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

/// Whether a program is installed; administrators' directories count although a user's `PATH` may leave them out.
pub(crate) fn is_installed(program: &str) -> bool {
    let sbin = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(|directory| PathBuf::from(directory).join(program));
    toolchain::in_path(program).next().is_some() || sbin.iter().any(|path| path.is_file())
}

fn line(command: &Command) -> String {
    let mut words = Vec::new();
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            words.push(format!("{}=\"{}\"", name.display(), value.display()));
        }
    }
    let program = Path::new(command.get_program());
    words.push(program.file_name().unwrap_or(command.get_program()).display().to_string());
    words.extend(command.get_args().map(|argument| argument.display().to_string()));
    words.join(" ")
}
