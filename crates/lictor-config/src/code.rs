//! The codes of mistakes: stable, so that they can be looked up and silenced by name.

use std::fmt;

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $number:literal, $title:literal, $advice:literal;)*) => {
        /// What kind of mistake a [`Problem`](crate::Problem) is.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Code {
            $($(#[doc = $doc])+ $name,)*
        }

        impl Code {
            /// Every code, in order.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The code as it is shown, such as `LIC0201`.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => concat!("LIC", $number),)* }
            }

            /// What is wrong, in a few words.
            pub const fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)* }
            }

            /// What it means and what to do.
            pub const fn advice(self) -> &'static str {
                match self { $(Self::$name => $advice,)* }
            }
        }
    };
}

codes! {
    /// A file or directory cannot be read.
    Unreadable = "0001", "a file or directory cannot be read",
        "Check that the path exists and that the user the agent runs as may read it.";
    /// A file is too large.
    TooLarge = "0002", "a file is too large",
        "A file has at most 4 MiB. Split it: a directory of files is read as one configuration.";
    /// A file is not UTF-8.
    NotText = "0003", "a file is not UTF-8",
        "Save the file as UTF-8. The place is the first byte that is not.";
    /// There is nothing to read.
    NoFiles = "0004", "there is no configuration",
        "A directory must hold at least one file whose name ends in `.hcl` or `.json` and does not begin \
         with a dot.";
    /// The text does not follow the notation.
    Syntax = "0101", "the text does not follow the notation",
        "Look at the place shown and just before it. A value is set by `name = value`, each on a line of \
         its own; a block is `kind \"label\" { … }`.";
    /// A quoted text or comment is not closed.
    Open = "0102", "a text or comment is not closed",
        "A quoted text ends on the line on which it begins. Write longer texts between `<<END` and a \
         line with `END`.";
    /// Brackets do not match.
    Bracket = "0103", "brackets do not match",
        "Each `{`, `[` and `(` needs its own closing bracket. The place is the bracket without a partner.";
    /// Nested too deep, or too many things.
    Limit = "0104", "nested too deep, or too many things",
        "Brackets are nested at most 64 deep, one pair holds at most 10,000 things, and a configuration \
         has at most 100,000 blocks. Blocks `replicate` have at most 1,000 prefixes together, counted once for each datacenter \
         to which one is copied.";
    /// A text contains `${` or `%{`.
    Interpolation = "0105", "texts are not templates",
        "Nothing is inserted into texts. To mean the characters themselves write `$${` for `${` and \
         `%%{` for `%{`.";
    /// An attribute is not known here.
    UnknownAttribute = "0201", "an attribute is not known here",
        "The reference lists the attributes of each block. Often it is a matter of spelling, or the \
         attribute belongs into another block.";
    /// A block is not known here.
    UnknownBlock = "0202", "a block is not known here",
        "The reference lists the blocks and where each belongs.";
    /// Something required is missing.
    Missing = "0203", "something required is missing",
        "Add what the message names.";
    /// Something is defined twice.
    Twice = "0204", "something is defined twice",
        "Names are unique over all files: watchers and checks share their names, and so do rules and \
         remedies. Rename or remove one of the two places.";
    /// A block has the wrong labels.
    Labels = "0205", "a block has the wrong labels",
        "Labels stand between the word for the block and its brace, as in `watch \"http\" \"shop\" {`.";
    /// A value has the wrong type.
    WrongType = "0206", "a value has the wrong type",
        "The message says what is expected.";
    /// Attributes exclude or need each other.
    Combination = "0207", "attributes exclude or need each other",
        "Keep only one of those the message names, or add the one that is missing.";
    /// There is no watcher or action of this kind.
    UnknownKind = "0208", "there is no watcher or action of this kind",
        "The first label says which kind it is; the reference lists them.";
    /// A service does not exist any more.
    Gone = "0209", "a service does not exist any more",
        "It was switched off, so nothing can be told there. The message says what to use in its place.";
    /// A text is not a duration.
    Duration = "0301", "a text is not a duration",
        "Write a number and a unit, or several: `500ms`, `10s`, `5m`, `2h`, `7d`, `1h 30m`.";
    /// A value is out of range.
    Range = "0302", "a value is out of range",
        "The message says what is allowed.";
    /// A text is not a name.
    Name = "0303", "a text is not a name",
        "A name has 1 to 128 letters, digits and `_-.:@/`.";
    /// A pattern is not a regular expression.
    Regex = "0304", "a pattern is not a regular expression",
        "The place within the pattern is shown. Look-around and back-references do not exist. In a \
         quoted text each backslash is written twice.";
    /// A text is not an address.
    Address = "0305", "a text is not an address",
        "Addresses are `host:port` or a URL with its scheme, as the message says; IPv6 addresses stand \
         in brackets.";
    /// A text is not one of the words allowed.
    Word = "0306", "a text is not one of the words allowed",
        "The message lists the words.";
    /// An amount cannot be read.
    Amount = "0307", "an amount cannot be read",
        "Sizes are `10GiB` or `512MB`, percentages `85%`, budgets `3 in 1h`, ranges of statuses `200-299`.";
    /// A time or a time zone cannot be read.
    Calendar = "0308", "a time or a time zone cannot be read",
        "Regular times have five fields: minute, hour, day of the month, month and weekday, such as \
         `0 2 * * sun`; one is `2026-12-01T22:00`. Time zones have names such as `Europe/Berlin`.";
    /// A template has a mistake.
    Template = "0309", "a template has a mistake",
        "Texts of messages are templates in the language of Jinja: `{{ item.title }}`, `{% if resolved %}…{% endif %}`. \
         What a message has is listed in docs/notifiers.md.";
    /// A text is not a prefix of keys.
    Prefix = "0310", "a text is not a prefix",
        "What is copied is written `SOURCE@DATACENTER` or `SOURCE@DATACENTER:DESTINATION`, such as `config/@dc1:backup/config/`; \
         `/@dc1` are all keys. A datacenter has small letters, digits, `_`, `-` and `.`.";
    /// It is not said, or not well, for whom something is encrypted.
    Encryption = "0311", "a text is no public key",
        "Snapshots are encrypted to public keys of age, `age1` and 58 letters and digits: `age-keygen -o key.txt` prints one, \
         and keeps the secret key in the file.";
    /// A reference leads nowhere.
    UnknownReference = "0401", "a reference leads nowhere",
        "What it names is not defined in any of the files.";
    /// Definitions refer to each other in a circle.
    Cycle = "0402", "definitions refer to each other in a circle",
        "The message names the circle; take one reference out of it.";
    /// An expression is not a condition.
    Condition = "0501", "an expression is not a condition",
        "Conditions are comparisons such as `check.NAME == \"critical\"` and `value.NAME.VALUE > 90`, \
         joined by `&&`, `||`, `!` and parentheses.";
    /// An event stands where a condition is asked for.
    Event = "0502", "an event stands where a condition is asked for",
        "`match.…` and `changed(…)` happen at one moment and never hold; they can only start something, \
         in `on`, alone or joined by `||`.";
    /// Two things cannot be compared so.
    Comparison = "0503", "two things cannot be compared so",
        "A check is compared with a status by `==` or `!=`; a value with a number by any comparison.";
    /// A listener is open to others without a token.
    OpenListener = "0601", "a listener is open to others without a token",
        "Whoever reaches the listener can run remedies. Listen on a loopback address, or set a token.";
    /// A secret has more than one source.
    SecretTwice = "0602", "a secret has more than one source",
        "Give it once: as the attribute itself or with `_file`, `_env` or `_credential` after its name.";
    /// The source of a secret is not there.
    SecretMissing = "0603", "the source of a secret is not there",
        "The environment variable must be set for the agent, or the credential be passed by systemd \
         (`LoadCredential=`).";
    /// A probe is shown to others, and nobody is asked who they are.
    OpenProbe = "0604", "a probe is shown to everybody",
        "Name a file of passwords or the authority of the certificates that may be shown, listen on a loopback \
         address, or say with `open = true` that everybody may see it.";
    /// Warning: a secret is written in the configuration.
    LiteralSecret = "0901", "a secret is written in the configuration",
        "Whoever may read the file knows it. Put it into a file of its own, or a systemd credential.";
    /// Warning: any certificate is accepted.
    AnyCertificate = "0902", "any certificate is accepted",
        "Whoever is on the way can read and change what is sent. Name the authority in `ca_file` instead.";
    /// Warning: a secret travels in clear text.
    ClearText = "0903", "a secret travels in clear text",
        "Use an address that begins with `https://`, or one on this machine.";
    /// Warning: nothing is watched.
    NothingWatched = "0904", "nothing is watched",
        "Without a block `watch`, `peers`, `probe`, `service`, `replicate` or `snapshot`, or `consul` in `alerts`, the agent has nothing to do.";
    /// Warning: a file that is named does not exist now.
    FileMissing = "0905", "a file that is named does not exist",
        "It is read when it is needed; until then what needs it fails.";
    /// Warning: a time limit ends something before it can succeed.
    TooShort = "0906", "a time limit is shorter than what it limits",
        "The longer one can never be used in full.";
    /// Warning: no watcher reports a value that is asked for.
    UnknownValue = "0907", "no watcher reports a value that is asked for",
        "A condition over a value that nobody reports never holds. The reference lists the values of \
         each kind of watcher.";
    /// Warning: further attempts would not be made when they are wanted most.
    NotRepeated = "0908", "further attempts are not made after an unclear answer",
        "After a time limit or an answer such as 503 nobody knows whether the action was done. One that \
         must not be done twice is then left to a person, however many attempts there are. Say \
         `repeat = \"idempotent\"` if twice does no harm, or how one sees that it was done with `verify`.";
    /// Warning: anybody on this machine may have it restarted.
    OpenReboot = "0909", "anybody on this machine may have it restarted",
        "Who reaches the listener may start remedies, also those that restart the machine; without a token \
         that is every program on it. Set `token_file` in the block `http`.";
    /// Warning: no route leads to a notifier.
    NeverTold = "0910", "no route leads to a notifier",
        "It never tells anything. Name it in `to` of a route, a digest or a heartbeat, or remove it.";
    /// Warning: no alert comes as far as a route.
    NeverReached = "0911", "no alert comes as far as a route",
        "A route that fits everything takes everything, whatever its `status` is: routes after it are asked \
         only when it says `continue = true`.";
    /// Warning: anybody on this machine may stop or move a service.
    OpenService = "0912", "anybody on this machine may stop or move a service",
        "Whoever reaches the listener without a token may ask for a switchover or a stop. Set `token_file` in the block \
         `http`.";
    /// Warning: no key is left alone by this.
    NeverLeft = "0913", "no key is left alone by this",
        "`exclude` means keys by their names at the source, in front of the `@`, and none that is copied begins so. It may be \
         misspelt, or name the destination.";
    /// Warning: all keys that the source does not have are deleted.
    DeletesAll = "0914", "all keys that the source does not have are deleted",
        "The copies of all keys have no folder of their own, and `delete` also means what was written at the destination by \
         somebody else. Keep it only if the datacenter is nothing but a copy.";
    /// Warning: snapshots leave the machine in clear text.
    PlainSnapshot = "0915", "snapshots leave the machine as they are",
        "A snapshot holds every secret of a cluster: tokens, private keys, values of keys. Whoever can read the place has them. \
         Encrypt them to a public key by `encrypt`.";
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_own_number_and_they_ascend() {
        let shown: Vec<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert!(shown.is_sorted_by(|a, b| a < b), "{shown:?}");
    }
}
