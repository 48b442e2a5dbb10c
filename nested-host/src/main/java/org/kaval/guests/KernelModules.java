package org.kaval.guests;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.tukaani.xz.XZInputStream;

/// The modules of one kernel, by their names with `_` for `-`.
///
/// @param release directory with all
/// @param files by name, perhaps compressed
/// @param builtIn names
/// @param version for the cache's keys
/// @param cache for modules that are compressed
record KernelModules(
        Path release,
        Map<String, Path> files,
        Set<String> builtIn,
        String version,
        ArtifactCache cache) {
    private static final Pattern FILE =
            Pattern.compile("([A-Za-z0-9_-]{1,60})\\.ko(\\.[a-z0-9]+)?");

    // Debian's largest has 6 MiB (and amdgpu 30, before its debug information was stripped).
    private static final long UNPACKED_LIMIT = 256L << 20;
    private static final int DEPTH_LIMIT = 100; // Debian's deepest chain has ten
    private static final int XZ_MEMORY_KIBIBYTES = 64 << 10;

    KernelModules {
        files = Collections.unmodifiableMap(files);
        builtIn = Collections.unmodifiableSet(builtIn);
    }

    static KernelModules in(Path release, String version, ArtifactCache cache) throws IOException {
        Map<String, Path> files = new HashMap<>();
        try (Stream<Path> all = Files.walk(release)) {
            all.sorted()
                    .filter(Files::isRegularFile)
                    .forEach(path -> name(path.toString()).ifPresent(n -> files.put(n, path)));
        } catch (UncheckedIOException e) {
            throw e.getCause();
        }
        Set<String> builtIn = new HashSet<>();
        Path list = release.resolve("modules.builtin");
        for (String line : Files.readAllLines(list, StandardCharsets.ISO_8859_1)) {
            name(line).ifPresent(builtIn::add);
        }
        return new KernelModules(release, files, builtIn, version, cache);
    }

    /// Adds the file of module `name` to `order`, and before it those that it needs.
    void addTo(Map<String, Path> order, String name) throws IOException, InterruptedException {
        add(order, canonical(name), new LinkedHashSet<>());
    }

    /// @param path modules that need it, the outermost first
    private void add(Map<String, Path> order, String name, Set<String> path)
            throws IOException, InterruptedException {
        if (order.containsKey(name) || builtIn.contains(name)) {
            return;
        }
        if (path.size() > DEPTH_LIMIT || !path.add(name)) {
            throw new IOException(
                    "%s: modules need each other: %s, %s"
                            .formatted(release, String.join(", ", path), name));
        }
        Path found = files.get(name);
        if (found == null) {
            throw new IOException(
                    "%s: no module %s, built in or as a file%s"
                            .formatted(
                                    release,
                                    name,
                                    path.size() > 1 ? ", needed by " + needing(path) : ""));
        }
        Path file = uncompressed(name, found);
        ModuleInfo info = ModuleInfo.read(file);
        for (String soft : info.softDepends()) {
            String dependency = canonical(soft);
            // They may well be in a circle, which depends= may not.
            if (files.containsKey(dependency) && !path.contains(dependency)) {
                add(order, dependency, path);
            }
        }
        for (String dependency : info.depends()) {
            add(order, canonical(dependency), path);
        }
        path.remove(name);
        order.put(name, file);
    }

    private static String needing(Set<String> path) {
        List<String> names = List.copyOf(path);
        return names.get(names.size() - 2);
    }

    private Path uncompressed(String name, Path file) throws IOException, InterruptedException {
        String fileName = file.getFileName().toString();
        if (fileName.endsWith(".ko")) {
            return file;
        }
        if (!fileName.endsWith(".ko.xz")) {
            throw new IOException(file + ": expected a module that is not compressed, or by xz");
        }
        String plain = fileName.substring(0, fileName.length() - ".xz".length());
        return cache.directory("module-" + name, version, d -> unpack(file, d.resolve(plain)))
                .resolve(plain);
    }

    private static void unpack(Path file, Path target) throws IOException {
        try (InputStream compressed = Files.newInputStream(file);
                InputStream in = new XZInputStream(compressed, XZ_MEMORY_KIBIBYTES);
                OutputStream out = Files.newOutputStream(target)) {
            byte[] buffer = new byte[1 << 16];
            long total = 0;
            for (int count = in.read(buffer); count >= 0; count = in.read(buffer)) {
                total += count;
                if (total > UNPACKED_LIMIT) {
                    throw new IOException("is more than %d bytes".formatted(UNPACKED_LIMIT));
                }
                out.write(buffer, 0, count);
            }
        } catch (IOException e) {
            throw new IOException(
                    "%s: cannot be uncompressed: %s".formatted(file, Problem.line(e)), e);
        }
    }

    /// The name of the module that has the file `path`, if one has.
    private static Optional<String> name(String path) {
        Matcher matcher = FILE.matcher(path.substring(path.lastIndexOf('/') + 1));
        return matcher.matches() ? Optional.of(canonical(matcher.group(1))) : Optional.empty();
    }

    private static String canonical(String name) {
        return name.replace('-', '_');
    }
}
