package org.kaval.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.kaval.machine.ConfigException;
import org.kaval.machine.Virtio;
import org.kaval.machine.Vm;
import picocli.CommandLine;
import picocli.CommandLine.Model.CommandSpec;

class VsockOptionsTest {
    private static void attach(String value) {
        var options = new VsockOptions();
        new CommandLine(CommandSpec.create().addOption(options.spec())).parseArgs("--vsock", value);
        options.attachTo(Vm.builder(), Virtio::pci);
    }

    @ParameterizedTest
    @CsvSource({
        "v.sock, 'vsock: ''v.sock'' is none of cid, path'",
        "'path=v,port=3', 'vsock: ''port=3'' is none of cid, path'",
        "cid=4, 'vsock.path: is missing'",
        "path=, 'vsock.path: is missing'",
        "'cid=3,cid=3,path=v', 'vsock.cid: is given twice'",
        "'cid=2,path=v', 'vsock.cid: ''2'' is not a number from 3 to 4294967294'",
        "'cid=4294967295,path=v', 'vsock.cid: ''4294967295'' is not a number from 3 to 4294967294'",
        "'cid=,path=v', 'vsock.cid: '''' is not a number from 3 to 4294967294'",
        "'cid=-3,path=v', 'vsock.cid: ''-3'' is not a number from 3 to 4294967294'"
    })
    void whatMakesNoSenseIsRefused(String value, String line) {
        ConfigException refused = assertThrows(ConfigException.class, () -> attach(value));

        assertEquals(line, refused.getMessage());
    }

    @ParameterizedTest
    @ValueSource(strings = {"path=v", "cid=3,path=v", "path=/tmp/a,,b=c,cid=4294967294"})
    void whatMakesSenseIsTaken(String value) {
        attach(value);
    }

    @Test
    void savedPathMeansTheSameElsewhere() {
        String here = Path.of("").toAbsolutePath().toString();

        assertEquals(
                "cid=4,path=" + here + "/a,,b",
                OptionValues.withAbsolutePath("cid=4,path=a,,b", VsockOptions.PATH));
        assertEquals("path=/v", OptionValues.withAbsolutePath("path=/v", VsockOptions.PATH));
    }
}
