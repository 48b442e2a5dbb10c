package org.kaval.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.jr.ob.JSON;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SequencedMap;
import java.util.Set;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.kaval.cli.control.Fields;
import org.kaval.machine.ConfigException;
import picocli.CommandLine;
import picocli.CommandLine.Model.OptionSpec;

class VmFileTest {
    @TempDir private Path directory = Path.of("");

    private final SequencedMap<String, OptionSpec> options = RunCommand.fileOptions();

    private Path file(String text) throws IOException {
        return Files.writeString(directory.resolve("vm.yaml"), text);
    }

    private List<String> read(String text) throws IOException {
        return VmFile.read(file(text), options);
    }

    @Test
    void fieldsAreOptions() throws Exception {
        assertEquals(
                List.of(
                        "--memory=2G",
                        "--cpus=4",
                        "--hugepages",
                        "--rng=off",
                        "--cmdline=console=ttyS0 root=/dev/vda1",
                        "--disk=path=a,,b.img,readonly,queues=2",
                        "--disk=plain.qcow2",
                        "--trace=pio",
                        "--trace=pci"),
                read(
                        """
                        # a machine
                        memory: 2G
                        cpus: 4
                        hugepages: true
                        mmio: false
                        rng: false
                        cmdline: console=ttyS0 root=/dev/vda1
                        disk:
                          - {path: "a,b.img", readonly: true, overlay: false, queues: 2}
                          - plain.qcow2
                        trace: [pio, pci]
                        """));
        assertEquals(List.of(), read(""));
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '#',
            value = {
                "memry: 2G | :1: memry: there is no such field, but ",
                "#memory: 2G\nmemory: 3G# | :2: memory: is there twice",
                "hugepages: yes | :1: hugepages: true or false is expected",
                "disk: a.img | :1: disk: a list is expected",
                "#memory: 1G\ndisk:\n  - path: [a]# | :3: disk[0].path: a value is expected",
                "memory: [1G] | :1: memory: a value is expected",
                "memory: | :1: memory: a value is expected",
                "- memory | :1: fields are expected",
                "#memory: 'x# | :1: ",
                "#a: &x [*x]# | : ",
                "detach: true | :1: detach: there is no such field",
            })
    void whatIsNoMachineIsRefusedWithItsLine(String text, String problem) {
        var refusal = assertThrows(ConfigException.class, () -> read(text));

        String message = String.valueOf(refusal.getMessage());
        assertTrue(message.startsWith(directory.resolve("vm.yaml") + problem.strip()), message);
        assertEquals(1, message.lines().count(), message);
    }

    @Test
    void whatIsPrintedIsReadAgain() throws Exception {
        List<String> arguments =
                List.of(
                        "--memory=2G",
                        "--cmdline=quiet \"x\" \\ #\u0001: é",
                        "--hugepages",
                        "--disk=/a.img,readonly",
                        "--disk=/b,,c");
        String printed = VmFile.print(arguments, options);
        assertEquals(arguments, read(printed), printed);
    }

    @Test
    void optionsThatComeTwiceAreSavedOnce() {
        var command =
                new CommandLine(new RunCommand().spec()).setCaseInsensitiveEnumValuesAllowed(true);
        assertEquals(
                List.of("--disk=/a.img", "--disk=/b.img", "--memory=1G"),
                SavedArguments.of(
                        command.parseArgs(
                                "--disk",
                                "/a.img",
                                "--disk",
                                "/b.img",
                                "--memory",
                                "1G",
                                "--stats"),
                        Set.of("--stats")));
    }

    /// For editors: `vm.schema.json` has each option, its description, and what kind of value it
    /// takes.
    @Test
    void schemaHasTheOptions() throws Exception {
        Fields schema;
        try (InputStream in = VmFile.class.getResourceAsStream("vm.schema.json")) {
            schema = new Fields(JSON.std.mapFrom(in));
        }
        assertFalse(schema.flag("additionalProperties"));
        var described = new TreeMap<String, Object>(schema.object("properties").values());
        var expected = new TreeMap<String, Object>();
        options.forEach((name, option) -> expected.put(name, property(name, option)));
        assertEquals(
                JSON.std.with(JSON.Feature.PRETTY_PRINT_OUTPUT).asString(expected),
                JSON.std.with(JSON.Feature.PRETTY_PRINT_OUTPUT).asString(described));
    }

    private static Map<String, Object> property(String name, OptionSpec option) {
        var property = new LinkedHashMap<String, Object>();
        property.put("description", String.join(" ", option.description()));
        if (option.arity().max() == 0) {
            property.put("type", "boolean");
        } else if (!option.isMultiValue()) {
            property.put("type", List.of("string", "number", "boolean"));
        } else {
            property.put("type", "array");
            var item = new LinkedHashMap<String, Object>();
            item.put("type", List.of("string", "object", "number"));
            if (name.equals("disk")) {
                var keys = new LinkedHashMap<String, Object>();
                DiskSpec.KEYS.forEach(
                        key -> keys.put(key, Map.of("type", List.of("string", "number"))));
                DiskSpec.FLAGS.forEach(key -> keys.put(key, Map.of("type", "boolean")));
                item.put("properties", keys);
                item.put("additionalProperties", false);
            }
            property.put("items", item);
        }
        return property;
    }
}
