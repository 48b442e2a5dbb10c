package org.kaval.guests;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.stream.Collectors;

/// Where Debian packages come from.
///
/// @param name for the directory that has their lists
/// @param list in the form of sources.list(5); empty for what the system is configured with
record AptSources(String name, String list) {
    private static final Path KEYRING = Path.of("/usr/share/keyrings/debian-archive-keyring.gpg");

    /// On Debian its own; elsewhere those of Debian 12, if its keys are there.
    static AptSources ofSystem() throws IOException {
        Map<String, String> release = osRelease(Path.of("/etc/os-release"));
        if ("debian".equals(release.get("ID"))) {
            // No number is that of testing.
            return new AptSources("debian-" + release.getOrDefault("VERSION_ID", "testing"), "");
        }
        if (!Files.exists(KEYRING)) {
            throw new IOException(
                    "packages come from Debian, whose keys are not in %s: apt install debian-archive-keyring"
                            .formatted(KEYRING));
        }
        return ofDebian("bookworm");
    }

    /// Those of a release of Debian, from its own servers.
    static AptSources ofDebian(String codename) {
        String line = "deb [signed-by=" + KEYRING + "] http://deb.debian.org/";
        return new AptSources(
                "debian-" + codename,
                """
                %1$sdebian %2$s main
                %1$sdebian %2$s-updates main
                %1$sdebian-security %2$s-security main
                """
                        .formatted(line, codename));
    }

    /// Lines for apt.conf(5), when the list is `directory`/sources.list.
    String configuration(Path directory) {
        return list.isEmpty()
                ? ""
                : """
                Dir::Etc::sourcelist "%s/sources.list";
                Dir::Etc::sourceparts "/dev/null";
                Dir::Etc::preferences "/dev/null";
                Dir::Etc::preferencesparts "/dev/null";
                """
                        .formatted(directory);
    }

    /// The variables of os-release(5), quotes taken off.
    static Map<String, String> osRelease(Path file) throws IOException {
        return Files.readAllLines(file, StandardCharsets.ISO_8859_1).stream()
                .map(line -> line.split("=", 2))
                .filter(pair -> pair.length == 2)
                .collect(
                        Collectors.toMap(
                                pair -> pair[0].strip(),
                                pair -> pair[1].strip().replaceAll("^[\"']|[\"']$", ""),
                                (_, last) -> last));
    }
}
