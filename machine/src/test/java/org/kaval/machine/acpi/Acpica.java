package org.kaval.machine.acpi;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;

/// The programs of ACPICA, which read ACPI tables independently of this code: Linux has the same
/// interpreter. Debian's package is `acpica-tools`; without it these tests fail.
final class Acpica {
    private static final int LIMIT_SECONDS = 60;

    private final Path directory;

    Acpica(Path directory) {
        this.directory = directory;
    }

    /// The source that `iasl` makes of a table.
    String disassemble(String name, byte[] table) throws Exception {
        Path file = directory.resolve(name + ".dat");
        Files.write(file, table);
        String output =
                run("iasl", "-d", "-p", directory.resolve(name).toString(), file.toString());
        assertQuiet(output);
        return Files.readString(directory.resolve(name + ".dsl"));
    }

    /// The table that `iasl` makes of the source of {@link #disassemble}.
    byte[] compile(String name) throws Exception {
        // -oa: no optimization, so that the same source is the same code
        String output =
                run(
                        "iasl",
                        "-oa",
                        "-p",
                        directory.resolve(name + "-again").toString(),
                        directory.resolve(name + ".dsl").toString());
        assertQuiet(output);
        assertTrue(
                output.contains("0 Errors, 0 Warnings, 0 Remarks")
                        || output.contains("Table Input"),
                output);
        return Files.readAllBytes(directory.resolve(name + "-again.aml"));
    }

    /// What `acpiexec` says when it loads a DSDT and does `command`.
    String execute(byte[] dsdt, String command) throws Exception {
        Path file = directory.resolve("execute.aml");
        Files.write(file, dsdt);
        String output = run("acpiexec", "-b", command, file.toString());
        assertQuiet(output);
        return output;
    }

    private static void assertQuiet(String output) {
        List<String> complaints =
                output.lines()
                        .filter(line ->
                                line.contains("Error")
                                        || line.contains("Warning")
                                        || line.contains("AE_"))
                        .filter(line -> !line.contains("0 Errors, 0 Warnings"))
                        // acpiexec tries to set the resources, which are fixed
                        .filter(line ->
                                !line.equals("AcpiSetCurrentResources failed: AE_NOT_FOUND"))
                        .toList();
        assertEquals(List.of(), complaints, output);
    }

    private String run(String... command) throws Exception {
        var all = new ArrayList<>(List.of(command));
        Path output = directory.resolve("output");
        Process process;
        try {
            process =
                    new ProcessBuilder(all)
                            .directory(directory.toFile())
                            .redirectErrorStream(true)
                            .redirectInput(Path.of("/dev/null").toFile())
                            .redirectOutput(output.toFile())
                            .start();
        } catch (IOException e) {
            throw new AssertionError("install acpica-tools", e);
        }
        boolean ended = process.waitFor(LIMIT_SECONDS, TimeUnit.SECONDS);
        process.destroyForcibly();
        String text = Files.readString(output, StandardCharsets.ISO_8859_1);
        assertTrue(ended && process.exitValue() == 0, text);
        return text;
    }
}
