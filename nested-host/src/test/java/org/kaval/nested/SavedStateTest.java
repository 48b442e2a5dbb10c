package org.kaval.nested;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.kaval.guests.ArtifactCache;
import org.kaval.guests.SmallDisk;

/// What becomes of a nested host whose state cannot be saved.
class SavedStateTest {
    /// Room for the initramfs and for some of the guest's RAM, of which a booted one has used more
    /// than 256 MiB.
    private static final long ROOM = 96 << 20;

    @TempDir Path directory;

    /// Starts one with the cache in the folder that is its argument.
    static final class Starter {
        private Starter() {}

        public static void main(String[] arguments) throws InterruptedException {
            var cache = new ArtifactCache(Path.of(arguments[0]));
            try (NestedHost host = NestedHost.start(new NestedHost.Settings(), cache)) {
                System.out.println("started: " + host.isAlive());
            } catch (IOException e) {
                System.out.println(e.getMessage());
            }
        }
    }

    @Test
    void fullDiskGivesOneLineAndLeavesNoState() throws Exception {
        Path ready = Path.of(System.getenv("HOME"), ".cache/kaval");
        String parts = "deb-busybox-static deb-linux-image-*-cloud-amd64 nested-java";
        long size;
        try (NestedHost host = NestedHost.start(new NestedHost.Settings())) {
            assertTrue(host.isAlive()); // so those parts are in the cache
        }
        try (SmallDisk disk = SmallDisk.mount(directory, 1L << 32)) {
            disk.run("cd '%s' && cp -a %s '%s'".formatted(ready, parts, disk.path()));
            String used = disk.run("du -sb '%s'".formatted(disk.path())).getFirst();
            size = Long.parseLong(used.split("\t", 2)[0]);
            List<String> remount =
                    disk.run("mount -o remount,size=%d '%s'".formatted(size + ROOM, disk.path()));
            assertEquals(List.of(), remount);

            List<String> lines = disk.run(Starter.class, disk.path());

            String line = lines.getLast();
            assertTrue(
                    line.matches(
                            "cannot make \\Q%s\\E/nested-state/[0-9a-f]+: No space left on device"
                                    .formatted(disk.path())),
                    lines::toString);
            assertEquals(List.of(), disk.names("nested-state"));
            assertEquals(List.of(), disk.names("nested-state/.making"));
        }
    }
}
