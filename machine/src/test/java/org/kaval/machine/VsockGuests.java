package org.kaval.machine;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.kaval.guests.CloudGuest;
import org.kaval.testing.FileMaker;

/// Debian's cloud kernel as it is, and an initramfs with a program that serves at ports of the
/// guest's (`src/test/guest/vsock.c`).
final class VsockGuests implements FileMaker {
    static final String FOLDER = "target/guests/vsock";

    private static final CloudGuest GUEST = new CloudGuest(FOLDER);

    private static final String INIT =
            """
            /vsock
            dmesg | grep -E 'BUG|Oops|nobody cared|blocked for more' | sed 's/^/complaint: /'
            poweroff -f
            """;

    static Path kernel() {
        return GUEST.kernel();
    }

    static Path initrd() {
        return GUEST.initrd();
    }

    @Override
    public void make(Path module) throws IOException, InterruptedException {
        Path source = module.resolve("src/test/guest/vsock.c");
        Path program = Files.createDirectories(module.resolve(FOLDER)).resolve("program");
        compile(source, program);
        GUEST.make(
                module, Map.of("vsock", program), INIT, "virtio_pci", "vmw_vsock_virtio_transport");
    }

    /// Such that it needs nothing of the guest's but its kernel.
    private static void compile(Path source, Path program)
            throws IOException, InterruptedException {
        Process compiler =
                new ProcessBuilder(
                                List.of(
                                        "gcc",
                                        "-Wall",
                                        "-Werror",
                                        "-O2",
                                        "-static",
                                        "-o",
                                        program.toString(),
                                        source.toString()))
                        .redirectErrorStream(true)
                        .start();
        String output =
                new String(compiler.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        if (compiler.waitFor() != 0) {
            throw new IOException("gcc failed on " + source + ":\n" + output);
        }
    }
}
