package org.kaval.machine.boot;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class KernelBootTest {
    @TempDir private Path directory;
    private BootMachine machine;

    @BeforeEach
    void make() throws IOException {
        machine = BootMachine.of(64 << 20);
    }

    @AfterEach
    void free() {
        machine.close();
    }

    private String refusal(KernelBoot kernel) {
        return String.valueOf(
                assertThrows(IOException.class, () -> machine.load(kernel)).getMessage());
    }

    @Test
    void settingsMakeNewOnes() throws IOException {
        KernelBoot plain = KernelBoot.of(new BzImageBuilder().write(directory));
        KernelBoot changed = plain.commandLine("changed");

        machine.load(changed);
        assertEquals("changed", machine.text(0x2_0000));
        machine.load(plain);
        assertEquals("", machine.text(0x2_0000));
    }

    @Test
    void wordsOfDevicesComeBeforeTheUsers() throws IOException {
        KernelBoot kernel = KernelBoot.of(new BzImageBuilder().write(directory));
        var context =
                new BootContext(machine.memory, 0, List.of(), List.of("device=1", "device=2"));

        kernel.load(context);
        assertEquals("device=1 device=2", machine.text(0x2_0000));
        kernel.commandLine("quiet").load(context);
        assertEquals("device=1 device=2 quiet", machine.text(0x2_0000));
    }

    @Test
    void oneKernelBootsManyMachines() throws IOException {
        KernelBoot kernel = KernelBoot.of(new BzImageBuilder().write(directory));
        machine.load(kernel);
        try (BootMachine other = BootMachine.of(32 << 20)) {
            assertEquals(0x100_0200L, EntryStates.summary(other.load(kernel)).address());
        }
    }

    @Test
    void commandLineWithAZeroIsRefusedAtOnce() {
        KernelBoot kernel = KernelBoot.of(directory);

        assertThrows(IllegalArgumentException.class, () -> kernel.commandLine("a\0b"));
    }

    @Test
    void missingKernelIsRefused() {
        Path none = directory.resolve("none");

        assertEquals(none + ": no such file", refusal(KernelBoot.of(none)));
    }

    @Test
    void directoryIsRefused() {
        assertEquals(directory + ": not a regular file", refusal(KernelBoot.of(directory)));
    }

    @Test
    void endlessDeviceIsRefused() {
        assertEquals("/dev/zero: not a regular file", refusal(KernelBoot.of(Path.of("/dev/zero"))));
    }

    @Test
    void missingInitrdIsRefused() throws IOException {
        Path none = directory.resolve("none");
        KernelBoot kernel = KernelBoot.of(new BzImageBuilder().write(directory)).initrd(none);

        assertEquals(none + ": no such file", refusal(kernel));
    }

    @Test
    void filesAreClosed() throws IOException {
        Path initrd = Files.write(directory.resolve("initrd"), new byte[100]);
        KernelBoot good = KernelBoot.of(new BzImageBuilder().write(directory)).initrd(initrd);
        machine.load(good);
        machine.refusal(KernelBoot.of(initrd), initrd, 0);

        assertEquals(List.of(), openFiles());
    }

    private List<Path> openFiles() throws IOException {
        try (Stream<Path> entries = Files.list(Path.of("/proc/self/fd"))) {
            return entries.map(KernelBootTest::target)
                    .filter(target -> target.startsWith(directory))
                    .toList();
        }
    }

    private static Path target(Path descriptor) {
        try {
            return Files.readSymbolicLink(descriptor);
        } catch (IOException e) {
            return Path.of("closed since it was listed");
        }
    }
}
