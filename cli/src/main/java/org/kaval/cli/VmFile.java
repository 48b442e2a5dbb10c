package org.kaval.cli;

import java.io.IOException;
import java.nio.charset.CharacterCodingException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SequencedMap;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;
import org.kaval.machine.ConfigException;
import org.snakeyaml.engine.v2.api.LoadSettings;
import org.snakeyaml.engine.v2.composer.Composer;
import org.snakeyaml.engine.v2.exceptions.Mark;
import org.snakeyaml.engine.v2.exceptions.MarkedYamlEngineException;
import org.snakeyaml.engine.v2.exceptions.YamlEngineException;
import org.snakeyaml.engine.v2.nodes.MappingNode;
import org.snakeyaml.engine.v2.nodes.Node;
import org.snakeyaml.engine.v2.nodes.NodeTuple;
import org.snakeyaml.engine.v2.nodes.ScalarNode;
import org.snakeyaml.engine.v2.nodes.SequenceNode;
import org.snakeyaml.engine.v2.nodes.Tag;
import org.snakeyaml.engine.v2.parser.ParserImpl;
import org.snakeyaml.engine.v2.scanner.StreamReader;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.OptionSpec;

/// A machine in a YAML file: the long options of `kaval run` without their dashes, and their
/// values. It becomes these options, so what they mean, and what is refused, is the same.
///
/// | YAML                                    | option                               |
/// |-----------------------------------------|--------------------------------------|
/// | `memory: 2G`                            | `--memory=2G`                        |
/// | `hugepages: true`                       | `--hugepages`                        |
/// | `rng: false`                            | `--rng=off`                          |
/// | `disk: [{path: a.img, readonly: true}]` | `--disk=path=a.img,readonly`         |
/// | `trace: [pio, pci]`                     | `--trace=pio --trace=pci`            |
final class VmFile {
    /// Of a whole file, which is read at once.
    private static final int MOST_BYTES = 1 << 20;

    private final Path file;
    private final SequencedMap<String, OptionSpec> options;

    private VmFile(Path file, SequencedMap<String, OptionSpec> options) {
        this.file = file;
        this.options = options;
    }

    /// Options that a file can have, by their names in it.
    ///
    /// @param except long options that make no sense there
    static SequencedMap<String, OptionSpec> options(CommandSpec command, Set<String> except) {
        var options = new LinkedHashMap<String, OptionSpec>();
        for (OptionSpec option : command.options()) {
            String name = option.longestName();
            if (!option.hidden() && !option.usageHelp() && !except.contains(name)) {
                options.put(name.substring(2), option);
            }
        }
        return options;
    }

    /// Reads a file as arguments of a command line.
    ///
    /// @throws ConfigException if it is no such file; names the line
    static List<String> read(Path file, SequencedMap<String, OptionSpec> options)
            throws IOException {
        if (Files.size(file) > MOST_BYTES) {
            throw new ConfigException(file.toString(), "too large for the file of a machine");
        }
        LoadSettings settings =
                LoadSettings.builder()
                        .setLabel(file.toString())
                        .setMaxAliasesForCollections(0)
                        .build();
        try {
            String text = Files.readString(file);
            Node root =
                    new Composer(
                                    settings,
                                    new ParserImpl(settings, new StreamReader(settings, text)))
                            .getSingleNode()
                            .orElse(null);
            return root == null ? List.of() : new VmFile(file, options).arguments(root);
        } catch (CharacterCodingException e) {
            throw new ConfigException(file.toString(), "is not in UTF-8");
        } catch (MarkedYamlEngineException e) {
            throw new ConfigException(
                    e.getProblemMark().map(mark -> place(file, mark)).orElse(file.toString()),
                    e.getProblem());
        } catch (YamlEngineException e) {
            throw new ConfigException(
                    file.toString(), String.valueOf(e.getMessage()).lines().findFirst().orElse(""));
        }
    }

    private static String place(Path file, Mark mark) {
        return "%s:%d".formatted(file, mark.getLine() + 1);
    }

    private ConfigException refused(Node at, String path, String problem) {
        String place = at.getStartMark().map(mark -> place(file, mark)).orElse(file.toString());
        return new ConfigException(place, path.isEmpty() ? problem : path + ": " + problem);
    }

    private List<String> arguments(Node root) {
        var arguments = new ArrayList<String>();
        for (NodeTuple field : fields(root, "")) {
            String name = text(field.getKeyNode(), "");
            OptionSpec option = options.get(name);
            if (option == null) {
                throw refused(
                        field.getKeyNode(),
                        name,
                        "there is no such field, but "
                                + String.join(", ", new TreeSet<>(options.keySet())));
            }
            add(arguments, name, option, field.getValueNode());
        }
        return arguments;
    }

    private void add(List<String> arguments, String name, OptionSpec option, Node value) {
        if (option.arity().max() == 0) {
            if (flag(value, name)) {
                arguments.add("--" + name);
            }
        } else if (!option.isMultiValue()) {
            arguments.add("--%s=%s".formatted(name, text(value, name)));
        } else if (value instanceof SequenceNode list) {
            int index = 0;
            for (Node each : list.getValue()) {
                String path = "%s[%d]".formatted(name, index++);
                arguments.add("--%s=%s".formatted(name, parts(each, path)));
            }
        } else {
            throw refused(value, name, "a list is expected");
        }
    }

    /// `key=value,key=value` of an object, or the text.
    private String parts(Node value, String path) {
        if (!(value instanceof MappingNode)) {
            return text(value, path);
        }
        return fields(value, path).stream()
                .map(field -> part(text(field.getKeyNode(), path), field.getValueNode(), path))
                .filter(part -> !part.isEmpty())
                .collect(Collectors.joining(","));
    }

    private String part(String key, Node value, String path) {
        if (value.getTag().equals(Tag.BOOL)) {
            return flag(value, path + "." + key) ? key : "";
        }
        return key + "=" + text(value, path + "." + key).replace(",", ",,");
    }

    private List<NodeTuple> fields(Node node, String path) {
        if (node instanceof MappingNode object) {
            var names = new HashSet<String>();
            for (NodeTuple field : object.getValue()) {
                String name = text(field.getKeyNode(), path);
                if (!names.add(name)) {
                    throw refused(field.getKeyNode(), name, "is there twice");
                }
            }
            return object.getValue();
        }
        throw refused(node, path, "fields are expected: 'name: value'");
    }

    private boolean flag(Node node, String path) {
        if (node instanceof ScalarNode scalar && scalar.getTag().equals(Tag.BOOL)) {
            return scalar.getValue().equals("true");
        }
        throw refused(node, path, "true or false is expected");
    }

    private String text(Node node, String path) {
        if (!(node instanceof ScalarNode scalar) || scalar.getTag().equals(Tag.NULL)) {
            throw refused(node, path, "a value is expected");
        }
        if (scalar.getTag().equals(Tag.BOOL)) {
            return scalar.getValue().equals("true") ? "on" : "off";
        }
        return scalar.getValue();
    }

    /// Options that were given, as such a file.
    ///
    /// @param arguments `--name` or `--name=value` each
    static String print(List<String> arguments, Map<String, OptionSpec> options) {
        var fields = new LinkedHashMap<String, List<String>>();
        for (String argument : arguments) {
            int equals = argument.indexOf('=');
            String name = argument.substring(2, equals < 0 ? argument.length() : equals);
            fields.computeIfAbsent(name, _ -> new ArrayList<>())
                    .add(equals < 0 ? "true" : quoted(argument.substring(equals + 1)));
        }
        var text = new StringBuilder();
        fields.forEach((name, values) -> {
            OptionSpec option = options.get(name);
            if (option != null && option.isMultiValue()) {
                text.append(name).append(":\n");
                values.forEach(value -> text.append("  - ").append(value).append('\n'));
            } else {
                text.append("%s: %s%n".formatted(name, values.getLast()));
            }
        });
        return text.toString();
    }

    /// In double quotes (YAML 1.2 §7.3.1), where nothing has a meaning of its own.
    private static String quoted(String value) {
        var text = new StringBuilder("\"");
        value.codePoints()
                .forEach(each -> {
                    if (each == '"' || each == '\\') {
                        text.append('\\').appendCodePoint(each);
                    } else if (each < ' ' || each == 0x7f) {
                        text.append("\\x%02x".formatted(each));
                    } else {
                        text.appendCodePoint(each);
                    }
                });
        return text.append('"').toString();
    }
}
