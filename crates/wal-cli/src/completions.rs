//! `wal completions`: a script for the shell that completes commands and options.

use clap::CommandFactory;
use clap_complete::{Shell, generate};

use crate::{args::Args, error::Failure, output::Output};

const AFTER_HELP: &str = "\
Examples:
  wal completions bash > ~/.local/share/bash-completion/completions/wal
  wal completions zsh > \"${fpath[1]}/_wal\"
  wal completions fish > ~/.config/fish/completions/wal.fish";

/// Print a script that completes commands and options in your shell
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

pub(crate) fn run(args: &CompletionsArgs, out: &mut Output) -> Result<(), Failure> {
    let mut script = Vec::new();
    generate(args.shell, &mut Args::command(), "wal", &mut script);
    out.bytes(&script)
}
