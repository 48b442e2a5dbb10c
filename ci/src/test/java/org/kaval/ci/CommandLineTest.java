package org.kaval.ci;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.kaval.ci.Processes.Result;
import org.kaval.kvm.KvmKind;
import org.kaval.testing.NeedsFiles;
import org.kaval.testing.NeedsKvm;

/// The packaged command, as a person uses it: results on standard output, one line for an error,
/// exit status as the help says.
@NeedsFiles("../cli/target/kaval")
class CommandLineTest {
    @TempDir Path directory;

    @Test
    void versionIsThatOfTheBuild() throws Exception {
        Result result = kaval("--version");
        assertEquals(0, result.status());
        assertTrue(
                result.out().matches("kaval \\d+\\.\\d+\\.\\d+ \\(Java 25.*\\)\n"), result.out());
    }

    @Test
    void helpNamesEveryCommand() throws Exception {
        Result result = kaval("--help");
        assertEquals(0, result.status());
        assertTrue(result.out().contains("run"));
        assertTrue(result.out().contains("demo"));
        assertTrue(result.out().contains("doctor"));
    }

    @Test
    void completionIsAScriptThatBashTakes() throws Exception {
        Path script = directory.resolve("completion");
        Files.writeString(script, kaval("generate-completion").out());
        Result result = Processes.run("bash", "-c", "source " + script + " && complete -p kaval");
        assertEquals(0, result.status(), result.err());
        assertTrue(result.out().contains("kaval"));
    }

    @Test
    @NeedsKvm
    void demoBootsAGuest() throws Exception {
        Result result = kaval("demo");
        assertEquals(0, result.status(), result.err());
        assertTrue(result.out().contains("Hello from a guest in 64-bit mode."), result.out());
        assertTrue(result.out().contains("RAM               128 MiB"), result.out());
        assertTrue(result.out().contains("counting          1 2 3 4 5 6 7 8 9 10"), result.out());
        assertTrue(result.out().contains("The guest powered off."), result.out());
        assertEquals("", result.err());
    }

    @Test
    void doctorsStatusAgreesWithItsReport() throws Exception {
        Result result = kaval("doctor", "--json");
        boolean fails = result.out().contains("\"status\" : \"fail\"");
        assertEquals(fails ? 3 : 0, result.status(), result.out());
        assertTrue(result.out().startsWith("{"));
    }

    @ParameterizedTest
    @NeedsKvm
    @ValueSource(ints = {0, 1, 42, 255})
    void guestEndsWithACodeOfItsOwn(int code) throws Exception {
        Result result = run(payload(Payloads.exit(code)));
        assertEquals(code, result.status());
        assertEquals("", result.out());
        assertEquals("", result.err());
    }

    @Test
    @NeedsKvm
    void crashShowsWhatIsKnown() throws Exception {
        Path tripleFault = payload(Payloads.bytes("0f 0b")); // ud2 without an IDT
        Result result = run(tripleFault);
        assertEquals(1, result.status());
        assertEquals(
                "kaval: the guest crashed: vcpu 0: triple fault", result.errorLines().getFirst());
        // KVM on AMD-V has reset the registers by then
        boolean lost = KvmKind.detect() == KvmKind.AMD_V;
        String state = lost ? "registers after a reset" : "RIP=0000000000100000";
        assertTrue(result.err().contains(state), result.err());
        assertTrue(lost || result.err().contains("code at RIP: 0f 0b 00"), result.err());
    }

    @Test
    @NeedsKvm
    void timeLimitEndsAGuestThatSpins() throws Exception {
        Result result = run(payload(Payloads.count()), "--time-limit", "0.2");
        assertEquals(4, result.status());
        assertEquals(
                List.of("kaval: the guest was stopped at its time limit"), result.errorLines());
    }

    @Test
    @NeedsKvm
    void interruptEndsIt() throws Exception {
        Process process =
                new ProcessBuilder(
                                Image.kaval(),
                                "run",
                                "--payload",
                                payload(letterThenSpin()).toString())
                        .start();
        try {
            assertEquals('K', process.getInputStream().read());
            Processes.run("kill", "-INT", Long.toString(process.pid()));
            assertTrue(process.waitFor(30, TimeUnit.SECONDS));
            assertEquals(130, process.exitValue());
        } finally {
            process.destroyForcibly();
        }
    }

    @Test
    @NeedsKvm
    void guestReadsStandardInput() throws Exception {
        Path input = Files.writeString(directory.resolve("input"), "typed\n");
        Process process =
                new ProcessBuilder(
                                Image.kaval(),
                                "run",
                                "--payload",
                                payload(Payloads.echo()).toString())
                        .redirectInput(input.toFile())
                        .start();
        assertEquals(
                ">typed",
                new String(process.getInputStream().readAllBytes(), StandardCharsets.US_ASCII));
        assertTrue(process.waitFor(30, TimeUnit.SECONDS));
        assertEquals(7, process.exitValue());
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            textBlock =
                    """
                    --memory 0            | memory: 0 bytes; from 1 MiB to 32 TiB is possible
                    --memory 3K           | memory: 3072 bytes; from 1 MiB to 32 TiB is possible
                    --memory 1048577      | memory: 1048577 bytes are not a whole number of 4 KiB pages
                    --cpus 0              | cpus: 1 sockets of 0 cores of 1 threads; 1 to 255 vCPUs are possible
                    --cpus 10000          | cpus: 1 sockets of 10000 cores of 1 threads; 1 to 255 vCPUs are possible
                    --cpus many           | cpus: 'many' is not a number
                    --cpus cores=2,dies=2 | cpus: 'dies=2' is none of sockets=N, cores=N, threads=N
                    --time-limit -1       | time-limit: -1.0 is not a number of seconds
                    """)
    void nonsenseIsRefusedInOneLine(String options, String message) throws Exception {
        Path payload = payload(Payloads.exit(0));
        var arguments = new ArrayList<>(List.of(options.split(" ")));
        Result result = run(payload, arguments.toArray(String[]::new));
        assertEquals(List.of("kaval: " + message), result.errorLines());
        assertEquals(2, result.status());
    }

    @ParameterizedTest
    @ValueSource(
            strings = {"--memory=lots", "--mode=real", "--no-such-option", "--time-limit=soon"})
    void wrongOptionIsRefusedInOneLine(String option) throws Exception {
        Result result = run(payload(Payloads.exit(0)), option);
        assertEquals(2, result.status());
        assertEquals(1, result.errorLines().size(), result.err());
        assertTrue(result.err().endsWith("; see 'kaval run --help'\n"), result.err());
    }

    @Test
    void moreMemoryThanTheHostHasIsRefused() throws Exception {
        Result result = run(payload(Payloads.exit(0)), "--memory", "16T");
        assertEquals(3, result.status());
        assertEquals(1, result.errorLines().size(), result.err());
        assertTrue(
                result.err()
                        .startsWith("kaval: memory: 16777216 MiB are asked for, and the host has "),
                result.err());
    }

    @Test
    void missingDeviceIsNamedWithItsRemedy() throws Exception {
        Result result = run(payload(Payloads.exit(0)), "--kvm", "/nonexistent/kvm");
        assertEquals(3, result.status());
        assertEquals(1, result.errorLines().size(), result.err());
        assertTrue(result.err().contains("/nonexistent/kvm: ENOENT"), result.err());
        assertTrue(result.err().contains("modprobe"), result.err());
    }

    @Test
    void fileThatIsNotKvmIsRefused() throws Exception {
        Result result = run(payload(Payloads.exit(0)), "--kvm", "/dev/null");
        assertEquals(3, result.status());
        assertEquals(
                List.of("kaval: /dev/null is not KVM: KVM_GET_API_VERSION: ENOTTY"),
                result.errorLines());
    }

    @Test
    @NeedsKvm
    void payloadLargerThanMemoryIsRefused() throws Exception {
        Path large = directory.resolve("large");
        createSparse(large, 3L << 20);
        Result result = run(large, "--memory", "2M");
        assertEquals(2, result.status());
        assertEquals(
                List.of(
                        "kaval: %s: 3145728 bytes at 0x100000 do not fit into 2 MiB of memory"
                                .formatted(large)),
                result.errorLines());
    }

    @Test
    @NeedsKvm
    void missingPayloadIsNamed() throws Exception {
        Path missing = directory.resolve("missing");
        Result result = run(missing);
        assertEquals(2, result.status());
        assertEquals(List.of("kaval: " + missing + ": no such file"), result.errorLines());
    }

    @Test
    void stackTraceShowsOnlyWithDebug() throws Exception {
        Path payload = payload(Payloads.exit(0));
        assertFalse(run(payload, "--cpus", "0").err().contains("\tat "));
        assertTrue(run(payload, "--cpus", "0", "--debug").err().contains("\tat "));
    }

    @Test
    @NeedsKvm
    void outputThatNobodyReadsEndsQuietly() throws Exception {
        Result result = Processes.run("sh", "-c", Image.kaval() + " demo | head -c 5");
        assertEquals("Hello", result.out());
        assertFalse(result.err().contains("Exception"), result.err());
    }

    private static void createSparse(Path file, long size) throws IOException {
        try (var access = new RandomAccessFile(file.toFile(), "rw")) {
            access.setLength(size);
        }
    }

    private static byte[] letterThenSpin() {
        return Payloads.bytes(
                "66 ba f8 03", // mov dx, 0x3f8
                "b0 4b", // mov al, 'K'
                "ee", // out dx, al
                "eb fe"); // jmp to itself
    }

    private Path payload(byte[] code) throws IOException {
        return Files.write(directory.resolve("payload"), code);
    }

    private static Result run(Path payload, String... options) throws Exception {
        var command =
                new ArrayList<>(List.of(Image.kaval(), "run", "--payload", payload.toString()));
        command.addAll(List.of(options));
        return Processes.run(Image.environment(), command.toArray(String[]::new));
    }

    private static Result kaval(String... arguments) throws Exception {
        var command = new ArrayList<>(List.of(Image.kaval()));
        command.addAll(List.of(arguments));
        return Processes.run(Image.environment(), command.toArray(String[]::new));
    }
}
