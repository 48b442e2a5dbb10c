package org.kaval.nested;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.kaval.guests.ArtifactCache;

/// A nested host that has been booted once, and whose state is kept: RAM as a file, which each
/// restored nested host maps privately, and QEMU's state of the devices, about half a megabyte.
///
/// The agent waits for a session in it, and what was prestarted waits with it. Restoring takes a
/// tenth of a second where booting takes ten.
final class SavedState {
    private static final String KIND = "nested-state";

    // Some seconds, and a tenth of one; many times as long beside much else.
    private static final Duration BOOT = Duration.ofMinutes(10);
    private static final Duration RESTORE = Duration.ofMinutes(1);
    private static final Duration SAVE = Duration.ofMinutes(2);
    private static final int POLL_MILLIS = 5;

    /// A file system with less room is full: RAM is written by the page.
    private static final long FULL = 1 << 20;

    private static final System.Logger LOG = System.getLogger("org.kaval.nested");

    private final NestedHost.Settings settings;
    private final ArtifactCache cache;
    private final NestedImage image;
    private final String key;

    SavedState(NestedHost.Settings settings, ArtifactCache cache)
            throws IOException, InterruptedException {
        this.settings = settings;
        this.cache = cache;
        String qemu = Qemu.version();
        this.image = NestedImage.of(settings, cache);
        MessageDigest digest = NestedImage.sha256();
        String all =
                image.arguments(settings, Path.of("ram"), false) + image.key() + qemu + processor();
        digest.update(all.getBytes(StandardCharsets.UTF_8));
        this.key = NestedImage.hex(digest);
    }

    /// Restores it; saves it first if need be. A state that cannot be restored is saved anew, once.
    NestedHost restore() throws IOException, InterruptedException {
        Path saved = cache.directory(KIND, key, this::save);
        try {
            return restore(saved);
        } catch (IOException e) {
            LOG.log(System.Logger.Level.WARNING, "saved again: {0}", e.getMessage());
            cache.discard(KIND, key);
            return restore(cache.directory(KIND, key, this::save));
        }
    }

    private NestedHost restore(Path folder) throws IOException {
        var arguments =
                new ArrayList<String>(image.arguments(settings, folder.resolve("ram"), false));
        arguments.addAll(List.of("-incoming", "defer"));
        Qemu qemu = Qemu.start(arguments, settings.console());
        boolean restored = false;
        try {
            ignoreShared(qemu.monitor());
            String uri = "exec:cat " + quote(folder.resolve("state"));
            qemu.monitor().execute("migrate-incoming", Map.of("uri", uri));
            NestedHost host = NestedHost.connect(qemu, settings, RESTORE);
            host.setClock();
            host.startWatch();
            restored = true;
            return host;
        } finally {
            if (!restored) {
                qemu.close();
            }
        }
    }

    private void save(Path folder) throws IOException {
        try {
            boot(folder);
        } catch (IOException e) {
            // QEMU, whose guest's RAM is a file there, is only told SIGBUS: what is seen of that is
            // its end, or that a pipe to it broke
            if (Files.getFileStore(folder).getUsableSpace() < FULL) {
                throw new IOException("No space left on device", e);
            }
            throw e;
        }
    }

    private void boot(Path folder) throws IOException {
        Path ram = folder.resolve("ram");
        try (Qemu qemu = Qemu.start(image.arguments(settings, ram, true), settings.console())) {
            NestedHost host = NestedHost.connect(qemu, settings, BOOT);
            host.disconnect();
            await(() -> qemu.consoleText().contains("agent: session ended"), qemu);
            Qmp monitor = qemu.monitor();
            ignoreShared(monitor);
            monitor.execute("migrate-set-parameters", Map.of("max-bandwidth", 1L << 40));
            String uri = "exec:cat >" + quote(folder.resolve("state"));
            monitor.execute("migrate", Map.of("uri", uri));
            await(() -> hasMigrated(monitor), qemu);
            monitor.execute("quit", Map.of());
            qemu.awaitEnd();
        }
    }

    /// RAM in a shared file is not part of the stream.
    private static void ignoreShared(Qmp monitor) throws IOException {
        monitor.execute(
                "migrate-set-capabilities",
                Map.of(
                        "capabilities",
                        List.of(Map.of("capability", "x-ignore-shared", "state", true))));
    }

    private static boolean hasMigrated(Qmp monitor) throws IOException {
        Object status = monitor.execute("query-migrate", Map.of()).get("status");
        if ("failed".equals(status)) {
            throw new NestedHostException("QEMU could not save the nested host's state");
        }
        return "completed".equals(status);
    }

    private interface Condition {
        boolean holds() throws IOException;
    }

    private static void await(Condition condition, Qemu qemu) throws IOException {
        long end = System.nanoTime() + SAVE.toNanos();
        while (!condition.holds()) {
            if (System.nanoTime() > end || !qemu.isAlive()) {
                throw new NestedHostException("saving the nested host: " + qemu.epitaph());
            }
            try {
                Thread.sleep(POLL_MILLIS);
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
                throw new NestedHostException("interrupted while saving the nested host", e);
            }
        }
    }

    /// A shell's word.
    private static String quote(Path path) {
        return "'" + path.toString().replace("'", "'\\''") + "'";
    }

    /// The guest's time-stamp counter is the host's: a state is not for another processor.
    private static String processor() throws IOException {
        try (Stream<String> lines = Files.lines(Path.of("/proc/cpuinfo"))) {
            return lines.filter(line -> line.startsWith("model name")).findFirst().orElse("");
        }
    }
}
