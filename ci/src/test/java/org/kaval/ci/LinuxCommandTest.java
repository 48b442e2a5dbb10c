package org.kaval.ci;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.kaval.testing.FileMaker;
import org.kaval.testing.NeedsFiles;
import org.kaval.testing.NeedsHardwareVirtualization;

/// `kaval run --kernel` with Debian's unmodified cloud kernel, to a shell.
@NeedsHardwareVirtualization
@NeedsFiles(
        value = {"../cli/target/kaval", LinuxCommandTest.FOLDER},
        madeBy = LinuxCommandTest.Guest.class)
class LinuxCommandTest {
    static final String FOLDER = "target/guests/shell";

    private static final File NOTHING = new File("/dev/null");

    private static final CommandGuest GUEST = new CommandGuest(FOLDER);

    /// A kernel, and an initramfs with a shell that waits for the power button beside it.
    static final class Guest implements FileMaker {
        private static final String INIT =
                """
                export PS1='guest> '
                button=$(sed -n '/Power Button/,/^$/s/.*\\(event[0-9]*\\).*/\\1/p' /proc/bus/input/devices)
                (dd if=/dev/input/$button of=/dev/null bs=24 count=1 2>/dev/null &&
                    echo "power button" && poweroff -f) &
                echo 1 >/proc/sys/kernel/printk
                echo "init: ready"
                cd
                exec setsid cttyhack sh
                """;

        @Override
        public void make(Path module) throws IOException, InterruptedException {
            GUEST.make(module, Map.of(), INIT, "evdev", "button", "virtio_pci", "virtio_blk");
        }
    }

    @TempDir Path directory;

    private static RunningCommand start(File input, String... options) throws IOException {
        return GUEST.start(input, "", List.of(options));
    }

    @Test
    void shellRestartsAndPowersOff() throws Exception {
        try (var pty = new Pty();
                RunningCommand kaval = start(pty.terminal())) {
            kaval.awaitOutput("guest> ");
            pty.type("echo $((6 * 7))\r");
            kaval.awaitOutput("\r\n42\r\n");
            pty.type("reboot -f\r");
            kaval.awaitOutput("init: ready", 2);
            kaval.awaitOutput("guest> ", 3);
            pty.type("poweroff -f\r");
            assertEquals(0, kaval.awaitExit());
        }
    }

    @Test
    void pasteArrivesWhole() throws Exception {
        String text = "The quick brown fox jumps over the lazy dog. ".repeat(700); // 31 KiB
        byte[] sum = MessageDigest.getInstance("MD5").digest(text.getBytes(StandardCharsets.UTF_8));
        try (var pty = new Pty();
                RunningCommand kaval = start(pty.terminal())) {
            kaval.awaitOutput("guest> ");
            pty.type(
                    "stty raw -echo; echo go; head -c %d | md5sum; stty sane\r"
                            .formatted(text.length()));
            kaval.awaitOutput("go\n");
            pty.type(text);
            kaval.awaitOutput(HexFormat.of().formatHex(sum));
        }
    }

    @Test
    void terminationPressesThePowerButton() throws Exception {
        try (RunningCommand kaval = start(NOTHING)) {
            kaval.awaitOutput("guest> ");
            kaval.signal("TERM");
            assertEquals(0, kaval.awaitExit(), kaval.output() + kaval.error());
            assertTrue(kaval.output().contains("power button"), kaval.output());
        }
    }

    @Test
    void guestThatDoesNotShutDownIsStoppedAfterTheGrace() throws Exception {
        try (var pty = new Pty();
                RunningCommand kaval = start(pty.terminal(), "--grace", "2")) {
            kaval.awaitOutput("guest> ");
            pty.type("killall dd; echo killed $?\r"); // nobody listens to the button any more
            kaval.awaitOutput("killed 0");
            kaval.signal("TERM");
            assertEquals(143, kaval.awaitExit(), kaval.output() + kaval.error());
        }
    }

    @Test
    void haltEndsItAndIsTold() throws Exception {
        try (var pty = new Pty();
                RunningCommand kaval = start(pty.terminal(), "--cpus", "2", "--fast-boot")) {
            kaval.awaitOutput("guest> ");
            pty.type("halt -f\r");
            assertEquals(1, kaval.awaitExit());
            assertTrue(
                    kaval.error()
                            .contains("kaval: the guest halted for good, without powering off\n"),
                    kaval.error());
        }
    }

    @Test
    void disksKeepWhatIsWrittenAndOverlaysUntilTheEnd() throws Exception {
        Path kept = Files.write(directory.resolve("kept.img"), new byte[1 << 20]);
        Path below = Files.write(directory.resolve("below.img"), new byte[1 << 20]);
        try (var pty = new Pty();
                RunningCommand kaval =
                        start(
                                pty.terminal(),
                                "--disk",
                                kept + ",serial=KEPT",
                                "--disk",
                                "path=%s,id=scratch,overlay".formatted(below))) {
            kaval.awaitOutput("guest> ");
            pty.type("cat /sys/block/vda/serial /sys/block/vdb/serial; echo; echo told\r");
            kaval.awaitOutput("KEPTscratch");
            pty.type("for d in a b; do echo writ\"\"ten-$d | dd of=/dev/vd$d; done; sync\r");
            pty.type("reboot -f\r");
            kaval.awaitOutput("init: ready", 2);
            pty.type("head -n1 /dev/vda; head -n1 /dev/vdb\r");
            kaval.awaitOutput("written-a");
            kaval.awaitOutput("written-b"); // the machine is another, the overlay the same
            pty.type("poweroff -f\r");
            assertEquals(0, kaval.awaitExit(), kaval.output() + kaval.error());
        }
        assertTrue(Files.readString(kept, StandardCharsets.ISO_8859_1).startsWith("written-a\n"));
        assertArrayEquals(new byte[1 << 20], Files.readAllBytes(below));
    }
}
