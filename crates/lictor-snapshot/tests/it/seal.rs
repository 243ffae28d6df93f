//! Sealing and opening, and what is said of files that are not as they were.

use std::io::{self, ErrorKind, Read};

use lictor_snapshot::seal::{
    Broken, IdentityError, Keys, OpenError, Passphrase, PassphraseError, RecipientError, Recipients,
    SealError, SealedTo, open, seal,
};

/// A pair that nobody uses for anything else.
pub(crate) const RECIPIENT: &str = "age1t7rxyev2z3rw82stdlrrepyc39nvn86l5078zqkf5uasdy86jp6svpy7pa";
pub(crate) const IDENTITY: &str =
    "AGE-SECRET-KEY-1GQ9778VQXMMJVE8SK7J6VT8UJ4HDQAJUVSFCWCM02D8GEWQ72PVQ2Y5J33";

/// Another pair.
const OTHER_RECIPIENT: &str = "age1w5t26pvf56g4e4kjrzlvvgzd5zuwjhw7hx859hst7shnpmd79d4qgfv0pe";
const OTHER_IDENTITY: &str = "AGE-SECRET-KEY-1LZQ9ZTRWZVZ8H33YPS7UH5RG302MLWN85AXHMYFDV53U4DKKYZZQMVJP26";

/// What is authenticated at once, in the file.
const CHUNK: usize = (64 << 10) + 16;

pub(crate) fn keys(identity: &str) -> Keys {
    let mut keys = Keys::default();
    assert_eq!(keys.add_identities(identity), Ok(1));
    keys
}

pub(crate) fn words(text: &str) -> Keys {
    let mut keys = Keys::default();
    keys.add_passphrase(Passphrase::new(text).unwrap());
    keys
}

pub(crate) fn sealed(to: &Recipients, plain: &[u8]) -> Vec<u8> {
    let mut sealed = Vec::new();
    assert_eq!(seal(to, plain, &mut sealed).unwrap(), plain.len() as u64);
    sealed
}

fn to_one() -> Recipients {
    Recipients::parse([RECIPIENT]).unwrap()
}

/// Opens it to its end.
pub(crate) fn opened(keys: &Keys, sealed: &[u8]) -> Result<Vec<u8>, String> {
    let mut plain = Vec::new();
    let mut opened = open(keys, sealed).map_err(|error| error.to_string())?;
    opened.read_to_end(&mut plain).map_err(|error| error.to_string())?;
    Ok(plain)
}

fn content(length: usize) -> Vec<u8> {
    (0..=u8::MAX).cycle().take(length).collect()
}

#[test]
fn what_is_sealed_to_several_is_opened_by_each_of_them_and_by_nobody_else() {
    let both = Recipients::parse([RECIPIENT, OTHER_RECIPIENT]).unwrap();
    for length in [0, 1, 65_535, 65_536, 65_537, 200_000] {
        let plain = content(length);
        let sealed_to_both = sealed(&both, &plain);
        assert_eq!(opened(&keys(IDENTITY), &sealed_to_both).unwrap(), plain);
        assert_eq!(opened(&keys(OTHER_IDENTITY), &sealed_to_both).unwrap(), plain);
    }
    let error = open(&keys(OTHER_IDENTITY), &sealed(&to_one(), b"x")[..]).unwrap_err();
    assert!(matches!(error, OpenError::OtherIdentity { identities: 1 }), "{error}");
}

#[test]
fn what_is_sealed_with_a_passphrase_is_opened_by_any_that_is_right() {
    let to = Recipients::passphrase(Passphrase::new("right").unwrap());
    let file = sealed(&to, b"plain");
    let mut several = keys(IDENTITY);
    several.add_passphrase(Passphrase::new("wrong").unwrap());
    assert!(matches!(open(&several, &file[..]).unwrap_err(), OpenError::OtherPassphrase));
    several.add_passphrase(Passphrase::from_file("right\r\n").unwrap());
    // Also when it is read again, without the work.
    for _ in 0..3 {
        assert_eq!(opened(&several, &file).unwrap(), b"plain");
    }
    assert_eq!(opened(&several.clone(), &sealed(&to, b"other")).unwrap(), b"other");
}

#[test]
fn a_file_says_which_kind_of_key_it_wants() {
    let by_words = sealed(&Recipients::passphrase(Passphrase::new("p").unwrap()), b"x");
    let by_key = sealed(&to_one(), b"x");
    for (file, keys, wanted) in [
        (&by_words, Keys::default(), SealedTo::Passphrase),
        (&by_words, keys(IDENTITY), SealedTo::Passphrase),
        (&by_key, Keys::default(), SealedTo::Recipients),
        (&by_key, words("p"), SealedTo::Recipients),
    ] {
        let error = open(&keys, &file[..]).unwrap_err();
        assert!(matches!(error, OpenError::NoKey { to } if to == wanted), "{error}");
    }
}

#[test]
fn a_file_that_is_cut_off_anywhere_is_never_opened_to_its_end() {
    let file = sealed(&to_one(), &content(3 * 65_536));
    let head = file.len() - 3 * CHUNK - 16;
    let mut lengths: Vec<usize> = (0..head + 40).chain(file.len() - 40..file.len()).collect();
    for chunk in 0..3 {
        let end = head + 16 + chunk * CHUNK;
        lengths.extend([end - 1, end, end + 1, end + 15, end + 16, end + 17, end + CHUNK / 2]);
    }
    for length in lengths {
        let cut = opened(&keys(IDENTITY), &file[..length]);
        let error = cut.expect_err("it is not all of it");
        assert!(
            error.contains("cut off") || error.contains("damaged") || error.contains("not sealed"),
            "{error}"
        );
    }
    // Between two pieces nothing but the missing mark tells.
    let mut between = open(&keys(IDENTITY), &file[..head + 16 + CHUNK]).unwrap();
    let (mut plain, mut again) = (Vec::new(), [0]);
    let error = between.read_to_end(&mut plain).unwrap_err();
    assert_eq!((error.kind(), plain.len()), (ErrorKind::UnexpectedEof, 65_536));
    assert_eq!(error.get_ref().and_then(|error| error.downcast_ref()), Some(&Broken::Cut));
    assert_eq!(between.read(&mut again).unwrap_err().kind(), ErrorKind::UnexpectedEof);
    // And what is put behind it is told as well.
    let more = [&file[..], b"x"].concat();
    assert!(opened(&keys(IDENTITY), &more).unwrap_err().contains("damaged"));
}

#[test]
fn a_flipped_bit_anywhere_is_an_error() {
    let plain = content(65_536 + 500);
    let file = sealed(&to_one(), &plain);
    let head = file.len() - CHUNK - 516 - 16;
    let places = (0..head + 20).chain((head + 20..file.len()).step_by(997)).chain([file.len() - 1]);
    for place in places {
        let mut damaged = file.clone();
        damaged[place] ^= 1 << (place % 8);
        // A stranger's line may be changed without anybody seeing it but the sum over all lines.
        assert!(opened(&keys(IDENTITY), &damaged).is_err(), "byte {place} of {}", file.len());
    }
}

#[test]
fn a_wrong_key_and_damage_are_told_apart() {
    let file = sealed(&to_one(), &content(100_000));
    let mut damaged = file.clone();
    *damaged.last_mut().unwrap() ^= 1;
    let mut opened = open(&keys(IDENTITY), &damaged[..]).unwrap();
    let error = opened.read_to_end(&mut Vec::new()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidData);
    assert_eq!(error.to_string(), "what was sealed is damaged, or was changed: take another copy");
    // The same file with another key is not called damaged first.
    let error = open(&keys(OTHER_IDENTITY), &damaged[..]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "none of the one identity opens it: it was sealed to others, or its first lines are damaged"
    );
}

#[test]
fn what_is_not_sealed_so_is_told() {
    let error = |bytes: &[u8]| open(&keys(IDENTITY), bytes).unwrap_err();
    assert!(matches!(error(b""), OpenError::Cut));
    assert!(matches!(error(b"\x1f\x8b\x08"), OpenError::Other));
    assert!(matches!(error(b"age-encryption.org/v2\n-> X25519 a\n"), OpenError::Version));
    assert!(matches!(error(b"age-encryption.org/v1\n"), OpenError::Cut));
    assert!(matches!(error(b"age-encryption.org/v1\n--- x\n"), OpenError::Damaged));
    let hardware = b"age-encryption.org/v1\n-> piv-p256 abcd efgh\naaaa\n--- AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n0123456789abcdef";
    let told = error(hardware).to_string();
    assert!(told.contains("(piv-p256)"), "{told}");
}

#[test]
fn first_lines_without_an_end_are_not_read_for_ever() {
    struct Endless(u64);
    impl Read for Endless {
        fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
            self.0 += room.len() as u64;
            assert!(self.0 < 1 << 20, "it is read on and on");
            room.fill(b'a');
            Ok(room.len())
        }
    }
    for begin in [&b"age-encryption.org/v1\n"[..], b"-----BEGIN AGE ENCRYPTED FILE-----\n"] {
        let error = open(&keys(IDENTITY), begin.chain(Endless(0))).unwrap_err();
        assert!(matches!(error, OpenError::Damaged), "{error}");
    }
}

#[test]
fn work_that_would_fill_the_memory_is_refused() {
    let file = sealed(&Recipients::passphrase(Passphrase::new("p").unwrap()), b"x");
    let line = String::from_utf8_lossy(&file[..120]).lines().nth(1).unwrap().to_owned();
    let (begin, work) = line.rsplit_once(' ').unwrap();
    assert_eq!(work, "18");
    let rest = &file[b"age-encryption.org/v1\n".len() + line.len()..];
    let heavy = [b"age-encryption.org/v1\n", format!("{begin} 21").as_bytes(), rest].concat();
    assert!(matches!(open(&words("p"), &heavy[..]).unwrap_err(), OpenError::Work { work: 21 }));
}

#[test]
fn a_recipient_that_is_none_is_named() {
    let parse = |text: &str| Recipients::parse([text]).map(drop).unwrap_err();
    assert_eq!(Recipients::parse([""; 0]).unwrap_err(), RecipientError::None);
    assert!(matches!(parse("age1abc"), RecipientError::Text { text } if text == "age1abc"));
    assert!(matches!(parse(RECIPIENT.strip_suffix("pa").unwrap()), RecipientError::Text { .. }));
    assert!(matches!(parse(&RECIPIENT.replace("rxy", "rxz")), RecipientError::Text { .. }));
    assert!(matches!(parse("ssh-ed25519 AAAA"), RecipientError::Kind { .. }));
    assert!(matches!(parse("age1yubikey1qwerty"), RecipientError::Kind { .. }));
    let secret = parse(IDENTITY);
    assert_eq!(secret, RecipientError::Secret);
    assert!(!format!("{secret} {secret:?}").contains("SECRET-KEY-1G"));
    let fine = Recipients::parse([format!(" {RECIPIENT}\n")]).unwrap();
    assert_eq!(format!("{fine:?}"), format!("Recipients([{RECIPIENT}])"));
}

#[test]
fn a_recipient_to_whom_all_secrets_are_the_same_is_refused() {
    // The numbers 0 and 1, which a slip of the pen does not make.
    for weak in [
        "age1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq5cu47z",
        "age1qyqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqj7vrya",
    ] {
        assert!(matches!(Recipients::parse([weak]).unwrap_err(), RecipientError::Weak { .. }), "{weak}");
    }
}

#[test]
fn an_identity_file_has_lines_comments_and_several_identities() {
    let mut keys = Keys::default();
    assert!(keys.is_empty());
    let file =
        format!("# created: 2026-01-01\r\n# public key: {RECIPIENT}\r\n\r\n{IDENTITY}\r\n  {OTHER_IDENTITY}");
    assert_eq!(keys.add_identities(&file), Ok(2));
    let to_other = Recipients::parse([OTHER_RECIPIENT]).unwrap();
    assert_eq!(opened(&keys, &sealed(&to_other, b"x")).unwrap(), b"x");

    let mut keys = Keys::default();
    assert_eq!(keys.add_identities("# nothing\n"), Err(IdentityError::None));
    assert_eq!(keys.add_identities(&format!("\n{RECIPIENT}")), Err(IdentityError::Public { line: 2 }));
    let wrong = IDENTITY.replace("GQ9", "GQ8");
    let error = keys.add_identities(&format!("{IDENTITY}\n{wrong}")).unwrap_err();
    assert_eq!(error, IdentityError::Line { line: 2 });
    assert!(!error.to_string().contains("GQ8"));
    assert_eq!(keys.add_identities("age-encryption.org/v1\n"), Err(IdentityError::Sealed));
    // One that is refused leaves nothing behind.
    assert!(keys.is_empty());
}

#[test]
fn no_secret_is_printed() {
    let mut keys = keys(IDENTITY);
    keys.add_passphrase(Passphrase::new("hunter2").unwrap());
    assert_eq!(format!("{keys:?}"), "Keys(1 identities, 1 passphrases)");
    let to = Recipients::passphrase(Passphrase::new("hunter2").unwrap());
    assert_eq!(format!("{to:?}"), "Recipients(Passphrase(***))");
    assert_eq!(format!("{:?}", to_one()), format!("Recipients([{RECIPIENT}])"));
    assert_eq!(Passphrase::new("").unwrap_err(), PassphraseError);
    assert_eq!(Passphrase::from_file("\n").unwrap_err(), PassphraseError);
}

#[test]
fn what_cannot_be_read_or_written_is_told_as_that() {
    struct Broken(ErrorKind);
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(self.0.into())
        }
    }
    let error = seal(&to_one(), Broken(ErrorKind::InvalidData), io::sink()).unwrap_err();
    assert!(matches!(error, SealError::Read(_)), "{error}");
    let mut room = [0; 300];
    let error = seal(&to_one(), &content(1000)[..], &mut room[..]).unwrap_err();
    assert!(matches!(error, SealError::Write(_)), "{error}");

    // What lies below is not what is wrong with the file, whatever it calls its error.
    for kind in [ErrorKind::InvalidData, ErrorKind::UnexpectedEof, ErrorKind::PermissionDenied] {
        let file = sealed(&to_one(), &content(100_000));
        let error = open(&keys(IDENTITY), file[..100].chain(Broken(kind))).unwrap_err();
        assert!(matches!(error, OpenError::Read(_)), "{error}");
        let mut opened = open(&keys(IDENTITY), file[..70_000].chain(Broken(kind))).unwrap();
        let error = opened.read_to_end(&mut Vec::new()).unwrap_err();
        assert!(error.get_ref().is_none_or(|error| !error.is::<lictor_snapshot::seal::Broken>()), "{error}");
    }
}
