//! Invariants of settings and of the configuration file.

use std::fs;

use larder::config::{
    Config, ConfigSources,
    internals::{apply, shown},
    load, settings,
};

/// Minimum length in bytes of a secret that is searched for in an error: a shorter one may occur in any.
const SECRET_BYTES: usize = 8;

/// Checks that an accepted value is shown as one that means the same, and that a rejected one gives an error without
/// the secret. The first byte chooses the setting.
pub fn setting(bytes: &[u8]) {
    let Some((choice, text)) = bytes.split_first() else { return };
    let Ok(text) = std::str::from_utf8(text) else { return };
    let all: Vec<_> = settings().collect();
    let setting = all[usize::from(*choice) % all.len()];
    let mut config = Config::default();
    match apply(setting, &mut config, text) {
        Ok(()) => {
            if let Some(text) = shown(setting, &config).filter(|_| !setting.is_secret) {
                let mut again = Config::default();
                let read = apply(setting, &mut again, &text);
                assert!(read.is_ok(), "{setting:?} is shown as {text:?}: {read:?}");
                assert_eq!(shown(setting, &again).as_ref(), Some(&text), "{setting:?}");
            }
        }
        Err(message) => assert!(!message.is_empty()),
    }
    if setting.is_secret && text.trim().len() >= SECRET_BYTES {
        let given = ConfigSources { flags: vec![(setting.name, text.to_owned())], ..ConfigSources::default() };
        let said = load(&given).map_or_else(|problems| problems.to_string(), |loaded| loaded.to_string());
        // Text that occurs without the value does not come from it.
        let usual =
            load(&ConfigSources::default()).map_or_else(|problems| problems.to_string(), |loaded| loaded.to_string());
        assert!(!said.contains(text.trim()) || usual.contains(text.trim()), "{setting:?}");
    }
}

/// Checks that a file is read or rejected, with an error that shows none of its secrets.
pub fn file(bytes: &[u8]) {
    const SECRET: &str = "s3cr3t-s3cr3t";
    // Names that are not secrets may have the same text.
    if bytes.windows(SECRET.len()).any(|part| part == SECRET.as_bytes()) {
        return;
    }
    let name = format!("larder-config-{}-{:?}.toml", std::process::id(), std::thread::current().id());
    let path = std::env::temp_dir().join(name);
    let secrets =
        settings().filter(|setting| setting.is_secret).map(|setting| format!("{} = \"{SECRET}\"\n", setting.name));
    fs::write(&path, [secrets.collect::<String>().as_bytes(), bytes].concat()).expect("there is room");
    let loaded = load(&ConfigSources { file: Some(path.clone()), ..ConfigSources::default() });
    fs::remove_file(&path).expect("it is there");
    let said = loaded.map_or_else(|problems| problems.to_string(), |loaded| loaded.to_string());
    assert!(!said.is_empty() && !said.contains(SECRET), "{said}");
}
