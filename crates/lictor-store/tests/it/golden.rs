//! What earlier versions wrote is read for ever, and written the same by this one.

