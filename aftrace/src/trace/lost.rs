//! What the numbers of a file's frames say is missing.

use aarch64_ftrace::trace::FrameKind;

use super::stream::Frame;

/// What should be in a file and is not, though nothing in its place is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// Frames before the one at this offset: their numbers.
    Frames {
        /// Of the frame behind them.
        offset: u64,
        /// How many.
        frames: u32,
    },
    /// The END of the stream that stops at this offset.
    End {
        /// Of what follows, or of the file's end.
        offset: u64,
    },
}

/// The frames' numbers tell what is missing.
#[derive(Default)]
pub(super) struct Numbers {
    /// Of the stream that the last frame belongs to.
    next: Option<u32>,
    ended: bool,
    /// Names what is missing, too.
    pub(super) after_damage: bool,
}

impl Numbers {
    pub(super) fn take(&mut self, frame: &Frame<'_>) -> [Option<Lost>; 2] {
        let (offset, number) = (frame.offset, frame.number);
        let next = self.next.replace(number.wrapping_add(1));
        let silent = std::mem::take(&mut self.after_damage);
        // Numbers begin anew in each stream; 2^32 frames of one are no more likely than a reader of them.
        let is_new = next.is_none_or(|next| number < next);
        let end = is_new && next.is_some() && !self.ended && !silent;
        let frames = if is_new {
            number
        } else {
            number - next.unwrap_or(0)
        };
        self.ended = frame.kind == FrameKind::End as u8 || self.ended && !is_new;
        [
            end.then_some(Lost::End { offset }),
            (frames > 0 && !silent).then_some(Lost::Frames { offset, frames }),
        ]
    }

    /// Of the file, after so many bytes.
    pub(super) const fn end(&self, offset: u64) -> Option<Lost> {
        match self.ended || self.after_damage {
            true => None,
            false => Some(Lost::End { offset }),
        }
    }
}
