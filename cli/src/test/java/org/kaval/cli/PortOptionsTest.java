package org.kaval.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.nio.file.Path;
import java.util.Arrays;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.kaval.machine.ConfigException;
import org.kaval.machine.Virtio;
import org.kaval.machine.Vm;
import picocli.CommandLine;
import picocli.CommandLine.Model.CommandSpec;

class PortOptionsTest {
    private static void attach(String... values) {
        var options = new PortOptions();
        var command = new CommandLine(CommandSpec.create().addOption(options.spec()));
        command.parseArgs(
                Arrays.stream(values)
                        .map(value -> PortOptions.NAME + "=" + value)
                        .toArray(String[]::new));
        options.attachTo(Vm.builder(), Virtio::pci);
    }

    @ParameterizedTest
    @CsvSource({
        "'', 'port[0]: '''' is none of name, socket'",
        "'name=a,path=b', 'port[0]: ''path=b'' is none of name, socket'",
        "'name=a', 'port[0].socket: is missing'",
        "'name=a,socket=', 'port[0].socket: is missing'",
        "'socket=s', 'port[0].name: '''' is not 1 to 64 letters, digits and ._:@+-'",
        "'name=a/b,socket=s', 'port[0].name: ''a/b'' is not 1 to 64 letters, digits and ._:@+-'",
        "'name=a,name=b,socket=s', 'port[0].name: is given twice'",
    })
    void whatMakesNoSenseIsRefused(String value, String line) {
        ConfigException refused = assertThrows(ConfigException.class, () -> attach(value));

        assertEquals(line, refused.getMessage());
    }

    @Test
    void thereAreFifteenAtMost() {
        String[] many =
                IntStream.range(0, 16)
                        .mapToObj("name=p%d,socket=s"::formatted)
                        .toArray(String[]::new);

        ConfigException refused = assertThrows(ConfigException.class, () -> attach(many));

        assertEquals("port: 16 ports; there are 15 at most", refused.getMessage());
    }

    /// The last of these has the name of the first.
    @Test
    void whatMakesSenseIsTaken() {
        String[] fifteen =
                IntStream.range(0, 16)
                        .mapToObj(i -> "name=org.kaval.%d,socket=a,,b%d".formatted(i % 15, i))
                        .toArray(String[]::new);
        attach(fifteen);
        attach();
    }

    @Test
    void savedPathMeansTheSameElsewhere() {
        String here = Path.of("").toAbsolutePath().toString();

        assertEquals(
                "name=a,socket=" + here + "/a,,b",
                OptionValues.withAbsolutePath("name=a,socket=a,,b", PortOptions.SOCKET));
        assertEquals(
                "socket=/v,name=a",
                OptionValues.withAbsolutePath("socket=/v,name=a", PortOptions.SOCKET));
    }
}
