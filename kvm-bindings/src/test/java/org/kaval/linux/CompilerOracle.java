package org.kaval.linux;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/// Asks the C compiler and the system's headers what expressions are worth: sizes, offsets,
/// constants. Knows nothing of the generated Java code.
///
/// An expression that does not compile is absent from this system's headers. One function per line
/// and per expression tells which it was; a second program leaves those out and prints the rest.
final class CompilerOracle {
    private static final String NEEDED =
            "needs a C compiler and the system's headers: 'sudo apt-get install gcc libc6-dev"
                    + " linux-libc-dev'";

    private static final List<String> HEADERS =
            List.of(
                    "errno.h",
                    "fcntl.h",
                    "signal.h",
                    "stddef.h",
                    "stdio.h",
                    "string.h",
                    "termios.h",
                    "time.h",
                    "unistd.h",
                    "sys/epoll.h",
                    "sys/eventfd.h",
                    "sys/ioctl.h",
                    "sys/mman.h",
                    "sys/socket.h",
                    "sys/stat.h",
                    "sys/syscall.h",
                    "sys/timerfd.h",
                    "sys/uio.h",
                    "sys/un.h",
                    "linux/falloc.h",
                    "linux/fs.h",
                    "linux/if.h",
                    "linux/if_tun.h",
                    "linux/io_uring.h",
                    "linux/kvm.h",
                    "linux/sockios.h",
                    "linux/vhost.h");

    private static final Pattern ERROR =
            Pattern.compile("^probe\\.c:(\\d+):\\d+: error: ", Pattern.MULTILINE);

    private CompilerOracle() {}

    /// What the compiler says.
    ///
    /// @param values by expression
    /// @param absent the expressions that this system's headers do not know
    record Answers(Map<String, Long> values, Set<String> absent) {}

    /// Compiles and runs programs in `directory` that print the value of each of `expressions`.
    static Answers ask(Path directory, Set<String> expressions)
            throws IOException, InterruptedException {
        List<String> all = List.copyOf(expressions);
        Files.writeString(directory.resolve("probe.c"), program(all));
        String errors = run(directory, "gcc", "-w", "-fsyntax-only", "probe.c").output();
        if (errors.contains("fatal error")) {
            throw new AssertionError(NEEDED + "\n" + errors);
        }
        Set<String> absent =
                ERROR.matcher(errors)
                        .results()
                        .map(error -> Integer.parseInt(error.group(1)) - 1 - HEADERS.size() - 1)
                        .map(all::get)
                        .collect(Collectors.toSet());

        List<String> present = all.stream().filter(e -> !absent.contains(e)).toList();
        Files.writeString(directory.resolve("probe.c"), program(present));
        Finished compiled = run(directory, "gcc", "-w", "-o", "probe", "probe.c");
        if (compiled.status() != 0) {
            throw new AssertionError(NEEDED + "\n" + compiled.output());
        }
        List<String> printed = run(directory, "./probe").output().lines().toList();
        var values = new LinkedHashMap<String, Long>();
        for (int i = 0; i < present.size(); i++) {
            values.put(present.get(i), Long.parseLong(printed.get(i)));
        }
        return new Answers(values, new HashSet<>(absent));
    }

    /// Line 1, a line per header, a line per expression, and the rest.
    private static String program(List<String> expressions) {
        String includes =
                HEADERS.stream().map("#include <%s>\n"::formatted).collect(Collectors.joining());
        String functions =
                IntStream.range(0, expressions.size())
                        .mapToObj(i ->
                                "static long long p%d(void) { return (long long) (%s); }\n"
                                        .formatted(i, expressions.get(i)))
                        .collect(Collectors.joining());
        String calls =
                IntStream.range(0, expressions.size())
                        .mapToObj("    printf(\"%%lld\\n\", p%d());\n"::formatted)
                        .collect(Collectors.joining());
        return "#define _GNU_SOURCE\n"
                + includes
                + functions
                + "int main(void) {\n"
                + calls
                + "    return 0;\n}\n";
    }

    private record Finished(int status, String output) {}

    private static Finished run(Path directory, String... command)
            throws IOException, InterruptedException {
        Path output = directory.resolve("output");
        try {
            var builder = new ProcessBuilder(command).directory(directory.toFile());
            builder.environment().put("LC_ALL", "C");
            int status =
                    builder.redirectErrorStream(true)
                            .redirectOutput(output.toFile())
                            .start()
                            .waitFor();
            return new Finished(status, Files.readString(output));
        } catch (IOException e) {
            throw new AssertionError(NEEDED, e);
        }
    }
}
