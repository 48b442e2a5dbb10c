package org.kaval.guests;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;

/// An archive of Debian packages in a directory, so that no network is needed.
final class DebianRepository {
    private final Path directory;
    private final StringBuilder packages = new StringBuilder();

    DebianRepository(Path directory) throws IOException {
        this.directory = Files.createDirectory(directory);
    }

    /// Adds a package with one file, `usr/share/NAME/version`.
    ///
    /// @param fields more of them, each with its newline
    Path add(String name, String version, String fields) throws Exception {
        Path tree = Files.createTempDirectory(directory, "tree");
        Path control = Files.createDirectories(tree.resolve("DEBIAN")).resolve("control");
        String text =
                "Package: %s\nVersion: %s\nArchitecture: amd64\nMaintainer: a <a@example.org>\n%sDescription: x\n"
                        .formatted(name, version, fields);
        Files.writeString(control, text);
        Path file = tree.resolve("usr/share", name, "version");
        Files.createDirectories(file.getParent());
        Files.writeString(file, version);
        String debName = name + "_" + version.replaceFirst("^[0-9]+:", "") + "_amd64.deb";
        Path deb = directory.resolve(debName);
        Tool.of("dpkg-deb", "dpkg")
                .run("to build", "--root-owner-group", "-b", tree.toString(), deb.toString());
        Trees.delete(tree);
        packages.append(text)
                .append("Filename: ./%s\nSize: %d\n".formatted(debName, Files.size(deb)))
                .append("SHA256: %s\n\n".formatted(sha256(deb)));
        return deb;
    }

    /// Makes what was added visible.
    AptSources publish() throws Exception {
        Path list = directory.resolve("Packages");
        Files.writeString(list, packages);
        Files.writeString(
                directory.resolve("Release"),
                "Date: Thu, 01 Jan 2026 00:00:00 UTC\nSHA256:\n %s %d Packages\n"
                        .formatted(sha256(list), Files.size(list)));
        return new AptSources("test", "deb [trusted=yes] copy:%s ./\n".formatted(directory));
    }

    /// Takes it all away.
    void remove() throws IOException {
        Trees.delete(directory);
    }

    private static String sha256(Path file) throws IOException, NoSuchAlgorithmException {
        byte[] bytes = Files.readAllBytes(file);
        return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(bytes));
    }
}
