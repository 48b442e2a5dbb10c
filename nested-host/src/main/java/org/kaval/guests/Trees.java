package org.kaval.guests;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.attribute.BasicFileAttributes;
import java.nio.file.attribute.PosixFilePermission;
import java.util.ArrayList;
import java.util.Collections;
import java.util.EnumSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/// Directories with all that is in them. Symbolic links are never followed.
final class Trees {
    private static final Set<PosixFilePermission> OWNERS =
            EnumSet.of(
                    PosixFilePermission.OWNER_READ,
                    PosixFilePermission.OWNER_WRITE,
                    PosixFilePermission.OWNER_EXECUTE);

    private Trees() {}

    /// What is in a directory, sorted.
    static List<Path> children(Path directory) throws IOException {
        try (Stream<Path> children = Files.list(directory)) {
            return children.sorted().toList();
        } catch (UncheckedIOException e) {
            throw e.getCause();
        }
    }

    /// Removes `path`, whatever it is, if it is there.
    static void delete(Path path) throws IOException {
        if (!Files.exists(path, LinkOption.NOFOLLOW_LINKS)) {
            return;
        }
        Files.walkFileTree(
                path,
                new SimpleFileVisitor<>() {
                    @Override
                    public FileVisitResult preVisitDirectory(Path directory, BasicFileAttributes a)
                            throws IOException {
                        // Packages have directories that their owner may not write.
                        Set<PosixFilePermission> now = Files.getPosixFilePermissions(directory);
                        if (!now.containsAll(OWNERS)) {
                            Files.setPosixFilePermissions(directory, OWNERS);
                        }
                        return FileVisitResult.CONTINUE;
                    }

                    @Override
                    public FileVisitResult visitFile(Path file, BasicFileAttributes a)
                            throws IOException {
                        Files.deleteIfExists(file);
                        return FileVisitResult.CONTINUE;
                    }

                    @Override
                    public FileVisitResult postVisitDirectory(
                            Path directory, @Nullable IOException failure) throws IOException {
                        if (failure != null) {
                            throw failure;
                        }
                        Files.deleteIfExists(directory);
                        return FileVisitResult.CONTINUE;
                    }
                });
    }

    /// One line for all that is below `root`: type and mode, size, time of last change, name. Two
    /// trees with the same text have, but for a forger's work, the same files.
    static String describe(Path root) throws IOException {
        int prefix = escaped(root).length();
        List<String> lines = new ArrayList<>();
        Files.walkFileTree(
                root,
                new SimpleFileVisitor<>() {
                    @Override
                    public FileVisitResult preVisitDirectory(Path directory, BasicFileAttributes a)
                            throws IOException {
                        lines.add(describe(directory, prefix));
                        return FileVisitResult.CONTINUE;
                    }

                    @Override
                    public FileVisitResult visitFile(Path file, BasicFileAttributes a)
                            throws IOException {
                        lines.add(describe(file, prefix));
                        return FileVisitResult.CONTINUE;
                    }
                });
        Collections.sort(lines);
        return String.join("", lines);
    }

    private static String describe(Path path, int prefix) throws IOException {
        Map<String, Object> attributes =
                Files.readAttributes(
                        path,
                        "unix:mode,size,lastModifiedTime,isDirectory",
                        LinkOption.NOFOLLOW_LINKS);
        boolean directory = Boolean.TRUE.equals(attributes.get("isDirectory"));
        return "%s\t%s\t%s\t%s\n"
                .formatted(
                        escaped(path).substring(prefix),
                        attributes.get("mode"),
                        directory ? "-" : attributes.get("size"),
                        directory ? "-" : attributes.get("lastModifiedTime"));
    }

    /// The bytes of a name, whatever this process takes for their encoding.
    private static String escaped(Path path) {
        String escaped = path.toUri().getRawPath();
        return escaped.endsWith("/") ? escaped.substring(0, escaped.length() - 1) : escaped;
    }
}
