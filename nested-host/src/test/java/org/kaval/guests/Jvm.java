package org.kaval.guests;

import java.io.BufferedReader;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/// Another JVM with the classes of this one.
final class Jvm implements AutoCloseable {
    private final Process process;
    private final BufferedReader output;

    private Jvm(Process process) {
        this.process = process;
        output = process.inputReader();
    }

    /// The command that runs `main` in a JVM.
    static List<String> command(Class<?> main, Object... arguments) {
        List<String> command = new ArrayList<>();
        command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
        command.addAll(List.of("-Xmx64m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"));
        command.addAll(List.of("-cp", System.getProperty("java.class.path"), main.getName()));
        for (Object argument : arguments) {
            command.add(argument.toString());
        }
        return command;
    }

    static Jvm start(Class<?> main, Object... arguments) throws IOException {
        return new Jvm(
                new ProcessBuilder(command(main, arguments)).redirectErrorStream(true).start());
    }

    /// The next line that it prints, or "end".
    String line() throws IOException {
        String line = output.readLine();
        return line == null ? "end" : line;
    }

    /// All that it still prints.
    List<String> lines() {
        return output.lines().toList();
    }

    void kill() {
        process.destroyForcibly().onExit().join();
    }

    @Override
    public void close() {
        kill();
    }
}
