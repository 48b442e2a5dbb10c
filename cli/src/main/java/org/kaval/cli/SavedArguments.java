package org.kaval.cli;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine.ParseResult;

/// The options of a command line that say what a machine is, such that they mean the same in
/// another directory.
final class SavedArguments {
    private static final String DISK = "--disk";

    private SavedArguments() {}

    /// @param except options that are about something else
    static List<String> of(ParseResult parsed, Set<String> except) {
        var arguments = new ArrayList<String>();
        for (OptionSpec option : parsed.matchedOptionsSet()) { // each once, with all its values
            String name = option.longestName();
            if (except.contains(name)) {
                continue;
            }
            if (option.arity().max() == 0) {
                arguments.add(name);
            } else {
                for (String value : option.originalStringValues()) {
                    arguments.add(name + "=" + absolute(option, value));
                }
            }
        }
        return List.copyOf(arguments);
    }

    private static String absolute(OptionSpec option, String value) {
        return switch (option.longestName()) {
            case DISK -> DiskSpec.withAbsolutePath(value);
            case VsockOptions.NAME -> OptionValues.withAbsolutePath(value, VsockOptions.PATH);
            case PortOptions.NAME -> OptionValues.withAbsolutePath(value, PortOptions.SOCKET);
            case NetOptions.NAME -> NetSpec.withAbsolutePaths(value);
            default ->
                    option.type() == Path.class
                            ? Path.of(value).toAbsolutePath().toString()
                            : value;
        };
    }
}
