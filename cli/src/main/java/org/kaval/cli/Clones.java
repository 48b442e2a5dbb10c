package org.kaval.cli;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.kaval.machine.ConfigException;

/// Restores a snapshot several times, each in a process of its own, in the background. What none of
/// them has written of their memory they share: it is the host's page cache of one file.
final class Clones {
    private static final int MOST = 1000;

    /// Options with a value that each of them is told otherwise.
    private static final List<String> REPLACED = List.of("--clones", "--name");

    private Clones() {}

    /// @param original what follows `kaval`
    /// @return 0 once all run, or else the status of one that does not; the others run then
    static int start(int count, List<String> original) throws IOException, InterruptedException {
        String name = value(original, "--name");
        if (name.isEmpty()) {
            throw new ConfigException("clones", "goes with --name");
        }
        if (count < 1 || count > MOST) {
            throw new ConfigException("clones", "%d; 1 to %d are possible".formatted(count, MOST));
        }
        List<String> rest = without(original);
        int status = ExitStatus.OK;
        try (ExecutorService starting =
                Executors.newFixedThreadPool(Runtime.getRuntime().availableProcessors())) {
            var all = new ArrayList<Future<Integer>>();
            for (int i = 1; i <= count; i++) {
                String each = name + "-" + i;
                var arguments = new ArrayList<>(rest);
                arguments.addAll(List.of("--name", each));
                all.add(starting.submit(() -> Detached.run(each, arguments)));
            }
            for (Future<Integer> each : all) {
                int ended = status(each);
                status = status == ExitStatus.OK ? ended : status;
            }
        }
        return status;
    }

    private static int status(Future<Integer> start) throws IOException, InterruptedException {
        try {
            return start.get();
        } catch (ExecutionException e) {
            switch (e.getCause()) {
                case IOException refused -> throw refused;
                case RuntimeException wrong -> throw wrong;
                case null, default -> throw new IllegalStateException(e);
            }
        }
    }

    private static String value(List<String> arguments, String option) {
        String value = "";
        for (int i = 0; i < arguments.size(); i++) {
            if (arguments.get(i).startsWith(option + "=")) {
                value = arguments.get(i).substring(option.length() + 1);
            } else if (arguments.get(i).equals(option) && i + 1 < arguments.size()) {
                value = arguments.get(i + 1);
            }
        }
        return value;
    }

    private static List<String> without(List<String> arguments) {
        var rest = new ArrayList<String>();
        for (int i = 0; i < arguments.size(); i++) {
            String argument = arguments.get(i);
            if (REPLACED.contains(argument)) {
                i++; // its value
            } else if (!Detached.DETACH.contains(argument)
                    && REPLACED.stream().noneMatch(each -> argument.startsWith(each + "="))) {
                rest.add(argument);
            }
        }
        return rest;
    }
}
