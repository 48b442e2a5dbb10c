package org.kaval.ci;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.kaval.ci.Processes.Result;

/// Machines with names that one test has, and the commands about them.
///
/// @param folder where the machines are kept
record NamedMachines(Path folder) {
    private static final String VARIABLE = "KAVAL_RUNTIME_DIR";
    private static final Pattern PROCESS = Pattern.compile("\"process\"\\s*:\\s*(\\d+)");

    /// Runs a command that takes a moment.
    Result kaval(String... arguments) throws IOException, InterruptedException {
        return run(Image.environment(), List.of(arguments));
    }

    private Result run(Map<String, String> environment, List<String> arguments)
            throws IOException, InterruptedException {
        var command = new ArrayList<>(List.of(Image.kaval()));
        command.addAll(arguments);
        var variables = new HashMap<>(environment);
        variables.put(VARIABLE, folder.toString());
        return Processes.run(variables, command.toArray(String[]::new));
    }

    /// Runs a command that takes a moment and succeeds.
    ///
    /// @return what it says
    String ok(String... arguments) throws IOException, InterruptedException {
        return assertOk(kaval(arguments));
    }

    /// Runs a command that starts a machine in the background, where it is to be fast.
    void start(List<String> arguments) throws IOException, InterruptedException {
        assertOk(run(Map.of(), arguments));
    }

    /// Begins a command that runs a machine in the foreground.
    RunningCommand run(List<String> arguments) throws IOException {
        return run(Path.of("/dev/null"), arguments);
    }

    /// Begins a command that takes a while, with its standard input from `input`.
    RunningCommand run(Path input, List<String> arguments) throws IOException {
        var command = new ArrayList<>(List.of("env", VARIABLE + '=' + folder, Image.kaval()));
        command.addAll(arguments);
        return RunningCommand.start(input.toFile(), command);
    }

    private static String assertOk(Result result) {
        assertEquals(0, result.status(), result.err());
        assertEquals("", result.err());
        return result.out();
    }

    /// A file of a machine's.
    Path file(String machine, String name) {
        return folder.resolve(machine).resolve(name);
    }

    /// The process of a machine that runs.
    Optional<ProcessHandle> process(String machine) throws IOException {
        Path record = file(machine, "vm.json");
        Matcher number = PROCESS.matcher(Files.exists(record) ? Files.readString(record) : "");
        return number.find() ? ProcessHandle.of(Long.parseLong(number.group(1))) : Optional.empty();
    }
}
