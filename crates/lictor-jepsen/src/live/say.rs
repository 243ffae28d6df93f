//! What a run says to people while it is under way: lines on the standard error. What comes of it goes elsewhere.

/// Says lines to people, or keeps silent.
#[derive(Clone, Copy, Debug)]
pub struct Say {
    /// Whether nothing is said.
    pub quiet: bool,
}

impl Say {
    /// Says a line.
    #[expect(clippy::print_stderr, reason = "the one place where a run speaks")]
    pub fn line(self, text: &str) {
        if !self.quiet {
            eprintln!("{text}");
        }
    }
}
