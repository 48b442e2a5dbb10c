package org.kaval.ci.bench;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;

/// How long from the start of the process to the first thing that its guest writes: the packaged
/// image with a new guest and with a restored one, beside `qemu-system-x86_64 -M microvm` where
/// that is installed, in turns?
final class StartTime {
    private static final int ROUNDS = 31;
    private static final int ROM_SIZE = 64 << 10;
    private static final int RESET_VECTOR = ROM_SIZE - 16;
    private static final String KAVAL =
            Path.of("../cli/target/kaval/bin/kaval").toAbsolutePath().normalize().toString();

    private StartTime() {}

    static void run() throws Exception {
        List<String> kaval = kaval();
        List<String> restore = restore();
        List<String> qemu = qemu();
        var ours = new Samples();
        var restored = new Samples();
        var theirs = new Samples();
        measure(kaval); // the image comes into the page cache
        for (int i = 0; i < ROUNDS; i++) {
            ours.add(measure(kaval));
            restored.add(measure(restore));
            if (!qemu.isEmpty()) {
                theirs.add(measure(qemu));
            }
        }
        System.out.printf(
                "%nprocess start to the first byte from the guest, median of %d%n  kaval run %.0f ms   kaval restore %.0f ms",
                ROUNDS, ours.median(), restored.median());
        System.out.println(
                qemu.isEmpty()
                        ? "   (qemu-system-x86_64 is not installed)"
                        : "   qemu -M microvm %.0f ms   ratio %.2f"
                                .formatted(theirs.median(), ours.median() / theirs.median()));
    }

    private static double measure(List<String> command) throws IOException, InterruptedException {
        long begin = System.nanoTime();
        Process process =
                new ProcessBuilder(command)
                        .redirectInput(Path.of("/dev/null").toFile())
                        .redirectError(
                                ProcessBuilder.Redirect.DISCARD) // QEMU warns of CPU features
                        .start();
        int first = process.getInputStream().read();
        double millis = (System.nanoTime() - begin) / 1e6;
        process.destroyForcibly().waitFor();
        if (first != 'K') {
            throw new IOException("the guest wrote " + first + ": " + command);
        }
        return millis;
    }

    private static List<String> kaval() throws IOException {
        // mov dx, 0x3f8; mov al, 'K'; out dx, al; jmp to itself
        Path payload =
                write(
                        "letter.bin",
                        HexFormat.ofDelimiter(" ").parseHex("66 ba f8 03 b0 4b ee eb fe"));
        return List.of(KAVAL, "run", "--payload", payload.toString());
    }

    /// Of a guest that writes the letter over and over.
    private static List<String> restore() throws IOException, InterruptedException {
        // mov dx, 0x3f8; mov al, 'K'; next: out dx, al; mov ecx, 100; dec ecx; jnz; jmp next
        Path payload =
                write(
                        "letters.bin",
                        HexFormat.ofDelimiter(" ")
                                .parseHex("66 ba f8 03 b0 4b ee b9 64 00 00 00 ff c9 75 fc eb f4"));
        Path snapshot = payload.resolveSibling("letters");
        String name = "bench-" + ProcessHandle.current().pid();
        DiskReads.tool(KAVAL, "run", "--payload", payload.toString(), "--name", name, "--detach");
        try {
            DiskReads.tool(KAVAL, "snapshot", name, snapshot.toString());
        } finally {
            DiskReads.tool(KAVAL, "kill", name);
            DiskReads.tool(KAVAL, "rm", name);
        }
        return List.of(KAVAL, "restore", snapshot.toString());
    }

    /// The same code as firmware, for 16 bits: microvm takes no flat payload.
    private static List<String> qemu() throws IOException, InterruptedException {
        if (new ProcessBuilder("sh", "-c", "command -v qemu-system-x86_64").start().waitFor()
                != 0) {
            return List.of();
        }
        byte[] rom = new byte[ROM_SIZE];
        Arrays.fill(rom, (byte) 0xf4);
        byte[] code = HexFormat.ofDelimiter(" ").parseHex("ba f8 03 b0 4b ee eb fe");
        System.arraycopy(code, 0, rom, RESET_VECTOR, code.length);
        Path bios = write("letter.rom", rom);
        var command = new ArrayList<>(List.of("qemu-system-x86_64", "-M", "microvm,isa-serial=on"));
        command.addAll(List.of("-accel", "kvm", "-m", "128", "-nodefaults", "-no-user-config"));
        command.addAll(List.of("-display", "none", "-serial", "stdio", "-bios", bios.toString()));
        return command;
    }

    private static Path write(String name, byte[] bytes) throws IOException {
        Path file = Files.createDirectories(Path.of("target/bench")).resolve(name).toAbsolutePath();
        return Files.write(file, bytes);
    }
}
