//! Where lines are shown, with a prompt that stays below them on a terminal.

use std::io::{self, Write};

/// The output.
pub(super) struct Screen {
    prompts: bool,
    prompted: Option<String>,
}

impl Screen {
    pub(super) fn new(prompts: bool) -> Self {
        Self { prompts, prompted: None }
    }

    /// Shows lines, and complaints; then the prompt.
    pub(super) fn show(
        &mut self,
        lines: &[String],
        complaints: &[String],
        prompt: &str,
    ) -> io::Result<()> {
        let mut out = io::stdout().lock();
        let same = self.prompted.as_deref() == Some(prompt);
        if self.prompts
            && self.prompted.is_some()
            && !(lines.is_empty() && complaints.is_empty() && same)
        {
            out.write_all(b"\r\x1b[K")?;
            self.prompted = None;
        }
        for line in lines {
            writeln!(out, "{line}")?;
        }
        out.flush()?;
        for complaint in complaints {
            let _ = writeln!(io::stderr(), "chat: {complaint}");
        }
        if self.prompts && self.prompted.is_none() {
            write!(out, "{prompt}")?;
            out.flush()?;
            self.prompted = Some(prompt.to_owned());
        }
        Ok(())
    }

    /// A line was typed: the prompt is above now.
    pub(super) fn entered(&mut self) {
        self.prompted = None;
    }

    /// Leaves the terminal with its cursor at the beginning of a line.
    pub(super) fn end(&mut self) {
        if self.prompted.take().is_some() {
            let _ = io::stdout().write_all(b"\r\x1b[K");
        }
    }
}
