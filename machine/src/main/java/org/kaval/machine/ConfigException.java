package org.kaval.machine;

/// The user asked for something that makes no sense. The message is one line that begins with the
/// path of the setting, as in `memory: 3072 bytes are not a whole number of 4 KiB pages`.
public final class ConfigException extends IllegalArgumentException {
    private static final long serialVersionUID = 1;

    private final String path;

    /// @param path of the setting: `cpus`, `disks[1].path`
    public ConfigException(String path, String problem) {
        super(path + ": " + problem);
        this.path = path;
    }

    public String path() {
        return path;
    }
}
