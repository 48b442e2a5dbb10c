package org.kaval.ci.bench;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import org.kaval.ci.CompiledPayloads;

/// How fast a guest reads from a virtio disk whose file is in the page cache: the packaged image
/// beside `qemu-system-x86_64 -M microvm` with its threads and with io_uring, and beside the same
/// path in C (`disk.c`), in turns. The guest is `blocks.c`, the same code for all, and its loop is
/// in ring 3: it runs on the processor itself with any KVM.
final class DiskReads {
    static final int ROUNDS = 7;
    private static final int DISK_SIZE = 256 << 20;
    private static final int ROM_PAYLOAD = 0x1000;
    private static final int ROM_ROOM = 0xe000;

    /// What {@link #PHASES} count, as in the guest's source.
    private static final int[] REQUESTS = {100_000, 1_000_000, 10_000};

    private static final String[] PHASES = {
        "4 KiB anywhere, one at a time",
        "4 KiB anywhere, 32 at a time",
        "1 MiB in a row, 8 at a time"
    };

    /// One VMM.
    ///
    /// @param rates requests a second, by phase
    /// @param median of one request at a time, from doorbell to used ring, in cycles of the TSC
    /// @param slow its 99th percentile
    private record Contender(
            String name, List<String> command, List<Samples> rates, Samples median, Samples slow) {
        Contender(String name, List<String> command) {
            this(
                    name,
                    command,
                    List.of(new Samples(), new Samples(), new Samples()),
                    new Samples(),
                    new Samples());
        }
    }

    private DiskReads() {}

    static void run(int rounds) throws Exception {
        new CompiledPayloads().make(Path.of(""));
        Path payload = CompiledPayloads.file("blocks");
        Path disk = disk();
        var contenders = new ArrayList<Contender>();
        contenders.add(new Contender("kaval run", kaval(payload, disk)));
        Path rom = rom(payload);
        for (String engine : List.of("threads", "io_uring")) {
            contenders.add(new Contender("qemu, aio=" + engine, qemu(rom, disk, engine)));
        }
        var yardstick = new Contender("in C", inC(payload, disk));
        for (int i = 0; i < rounds; i++) {
            for (Contender contender : contenders) {
                measure(contender);
            }
            measure(yardstick);
        }
        report(contenders, yardstick, rounds);
        Files.delete(disk);
    }

    private static void measure(Contender contender) throws IOException, InterruptedException {
        Process process =
                new ProcessBuilder(contender.command)
                        .redirectInput(Path.of("/dev/null").toFile())
                        .redirectError(ProcessBuilder.Redirect.DISCARD)
                        .start();
        try (InputStream out = process.getInputStream()) {
            long before = 0;
            for (int phase = 0; phase <= PHASES.length; phase++) {
                int mark = out.read();
                long now = System.nanoTime();
                if (mark != 'a' + phase) {
                    throw new IOException(contender.command + " wrote " + mark);
                }
                if (phase > 0) {
                    double seconds = (now - before) / 1e9;
                    contender.rates.get(phase - 1).add(REQUESTS[phase - 1] / seconds);
                }
                before = now;
            }
            String[] numbers =
                    new String(out.readNBytes(27), StandardCharsets.US_ASCII).split("\n", -1);
            contender.median.add(Integer.parseUnsignedInt(numbers[0], 16));
            contender.slow.add(Integer.parseUnsignedInt(numbers[1], 16));
            if (!numbers[2].equals("00000000")) {
                throw new IOException(contender.command + " failed requests: " + numbers[2]);
            }
        } finally {
            if (!process.waitFor(10, TimeUnit.SECONDS)) {
                process.destroyForcibly().waitFor();
            }
        }
    }

    private static void report(List<Contender> contenders, Contender yardstick, int rounds) {
        System.out.printf("%nrequests a second, medians of %d rounds%n", rounds);
        System.out.printf("%-24s", "");
        for (String phase : PHASES) {
            System.out.printf("%30s", phase);
        }
        System.out.printf("%36s%n", "doorbell to used ring, p50 and p99");
        for (Contender contender : contenders) {
            print(contender);
        }
        print(yardstick);
        Contender kaval = contenders.getFirst();
        printRatio("to the best other", kaval, contenders.subList(1, contenders.size()));
        System.out.println();
        printRatio("to C", kaval, List.of(yardstick));
        System.out.printf(
                "%19.2f %9.2f times as long%n",
                kaval.median.median() / yardstick.median.median(),
                kaval.slow.median() / yardstick.slow.median());
    }

    private static void print(Contender contender) {
        System.out.printf("%-24s", contender.name);
        for (Samples rate : contender.rates) {
            System.out.printf("%30.0f", rate.median());
        }
        System.out.printf(
                "%19.0f %9.0f cycles%n", contender.median.median(), contender.slow.median());
    }

    private static void printRatio(String to, Contender kaval, List<Contender> others) {
        System.out.printf("%-24s", "ratio " + to);
        for (int phase = 0; phase < PHASES.length; phase++) {
            int of = phase;
            double best =
                    others.stream()
                            .mapToDouble(other -> other.rates.get(of).median())
                            .max()
                            .orElseThrow();
            System.out.printf("%30.2f", kaval.rates.get(phase).median() / best);
        }
    }

    private static Path disk() throws IOException {
        Path disk = Files.createTempFile("kaval-bench", ".raw");
        byte[] content = new byte[DISK_SIZE];
        new Random(1).nextBytes(content);
        return Files.write(disk, content);
    }

    private static List<String> kaval(Path payload, Path disk) {
        Path command = Path.of("../cli/target/kaval/bin/kaval").toAbsolutePath().normalize();
        return List.of(
                command.toString(),
                "run",
                "--payload",
                payload.toString(),
                "--memory",
                "128M",
                "--mmio",
                "--disk",
                disk + ",format=raw");
    }

    private static List<String> inC(Path payload, Path disk)
            throws IOException, InterruptedException {
        Path program = Files.createDirectories(Path.of("target/bench")).resolve("disk");
        tool("gcc", "-O2", "-Wall", "-o", program.toString(), "src/test/bench/disk.c");
        return List.of(program.toAbsolutePath().toString(), payload.toString(), disk.toString());
    }

    private static List<String> qemu(Path rom, Path disk, String engine) {
        var command = new ArrayList<>(List.of("qemu-system-x86_64", "-M", "microvm,isa-serial=on"));
        command.addAll(List.of("-accel", "kvm", "-m", "128", "-nodefaults", "-no-user-config"));
        command.addAll(List.of("-display", "none", "-serial", "stdio", "-bios", rom.toString()));
        command.addAll(List.of("-device", "isa-debug-exit,iobase=0xf4"));
        command.addAll(List.of("-global", "virtio-mmio.force-legacy=false"));
        command.addAll(
                List.of(
                        "-drive",
                        "file=%s,format=raw,if=none,id=disk,aio=%s".formatted(disk, engine)));
        command.addAll(List.of("-device", "virtio-blk-device,drive=disk"));
        return command;
    }

    /// The payload with what enters it on a machine without firmware.
    static Path rom(Path payload) throws IOException, InterruptedException {
        Path folder = Files.createDirectories(Path.of("target/bench")).toAbsolutePath();
        Path object = folder.resolve("rom.o");
        Path file = folder.resolve(payload.getFileName() + ".rom");
        tool("gcc", "-c", "-o", object.toString(), "src/test/guest/rom.S");
        tool("objcopy", "-O", "binary", object.toString(), file.toString());
        byte[] rom = Files.readAllBytes(file);
        byte[] code = Files.readAllBytes(payload);
        if (code.length > ROM_ROOM) {
            throw new IOException(payload + " is too long for a ROM");
        }
        System.arraycopy(code, 0, rom, ROM_PAYLOAD, code.length);
        return Files.write(file, rom);
    }

    static void tool(String... command) throws IOException, InterruptedException {
        if (new ProcessBuilder(command).inheritIO().start().waitFor() != 0) {
            throw new IOException("failed: " + Arrays.toString(command));
        }
    }
}
