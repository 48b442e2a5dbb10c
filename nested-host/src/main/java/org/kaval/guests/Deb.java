package org.kaval.guests;

import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/// One version of a Debian package, as apt names its file: `busybox_1%3a1.35.0-4+b1_amd64.deb`.
///
/// @param name of the package
/// @param version as in the file's name: the colon after an epoch is `%3a`
/// @param architecture or `all`
record Deb(String name, String version, String architecture) {
    // Debian policy 5.6.1 and 5.6.12; names of architectures have letters, digits and dashes.
    private static final Pattern NAME = Pattern.compile("[a-z0-9][a-z0-9+.-]{1,100}");
    private static final Pattern FILE =
            Pattern.compile(
                    "("
                            + NAME
                            + ")_((?:[0-9]+%3a)?[A-Za-z0-9.+~-]{1,100})_([a-z0-9-]{1,30})\\.deb");
    private static final Pattern URI_LINE = Pattern.compile("'[^']+' (\\S+) [0-9]+ \\S*:[0-9a-f]+");

    private static final Pattern INSTALL_LINE =
            Pattern.compile("Inst (\\S+) \\((\\S+) .*\\[([a-z0-9-]+)]\\).*");

    /// What a line says that `apt-get --print-uris` printed; empty if it speaks of no package.
    static Optional<Deb> ofUriLine(String line) {
        Matcher uri = URI_LINE.matcher(line.strip());
        return uri.matches() ? ofFileName(uri.group(1)) : Optional.empty();
    }

    /// What a line says that `apt-get --simulate install` printed; empty if it installs nothing.
    static Optional<Deb> ofInstallLine(String line) {
        Matcher install = INSTALL_LINE.matcher(line.strip());
        return install.matches()
                ? ofFileName(
                        "%s_%s_%s.deb"
                                .formatted(
                                        install.group(1),
                                        install.group(2).replace(":", "%3a"),
                                        install.group(3)))
                : Optional.empty();
    }

    static Optional<Deb> ofFileName(String fileName) {
        Matcher file = FILE.matcher(fileName);
        return file.matches()
                ? Optional.of(new Deb(file.group(1), file.group(2), file.group(3)))
                : Optional.empty();
    }

    /// @throws IllegalArgumentException if no package can have this name
    static String checkName(String name) {
        if (!NAME.matcher(name).matches()) {
            throw new IllegalArgumentException("no name of a Debian package: '" + name + "'");
        }
        return name;
    }

    String fileName() {
        return "%s_%s_%s.deb".formatted(name, version, architecture);
    }

    /// As `apt-get` takes it for exactly this version.
    String selector() {
        return name + "=" + version.replace("%3a", ":");
    }
}
