package org.kaval.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.jr.ob.JSON;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import picocli.CommandLine;

class DoctorCommandTest {
    @TempDir private Path empty = Path.of("");

    @Test
    void hostWithoutKvmGivesStatus3() {
        var run = new Run(onEmptyHost());

        assertEquals(ExitStatus.HOST, run.status);
        assertTrue(run.out.startsWith("FAIL  /dev/kvm"), run.out);
        assertTrue(run.out.contains("this host cannot run guests; failures: 1"), run.out);
    }

    @Test
    void outputThatIsNoTerminalIsPlain() {
        var run = new Run(onEmptyHost());

        assertFalse(run.out.contains("\u001b"), run.out);
    }

    @Test
    void jsonHasTheSameStatus() throws IOException {
        var run = new Run(onEmptyHost(), "--json");

        assertEquals(ExitStatus.HOST, run.status);
        assertEquals("fail", JSON.std.mapFrom(run.out).get("status"));
    }

    @Test
    void thisHostGivesAConsistentReport() throws IOException {
        var run = new Run(new DoctorCommand(), "--json");

        Map<String, Object> json = JSON.std.mapFrom(run.out);
        List<String> names = values(json, "name");
        assertEquals(names.size(), new HashSet<>(names).size(), () -> "not unique: " + names);
        assertEquals(
                values(json, "status").contains("fail") ? ExitStatus.HOST : ExitStatus.OK,
                run.status);
        assertEquals("fail".equals(json.get("status")), run.status == ExitStatus.HOST);
        assertEquals(
                List.of("status", "kind", "nested", "checks", "capabilities"),
                List.copyOf(json.keySet()));
    }

    private DoctorCommand onEmptyHost() {
        return new DoctorCommand(new DoctorChecks(empty, List.of(), new DoctorProbe.Devices()));
    }

    private static List<String> values(Map<String, Object> json, String field) {
        List<?> checks = assertInstanceOf(List.class, json.get("checks"));
        return checks.stream()
                .map(check -> String.valueOf(assertInstanceOf(Map.class, check).get(field)))
                .toList();
    }

    /// One run of the command.
    private static final class Run {
        private final String out;
        private final int status;

        Run(DoctorCommand command, String... arguments) {
            var written = new StringWriter();
            status = new CommandLine(command).setOut(new PrintWriter(written)).execute(arguments);
            out = written.toString();
        }
    }
}
