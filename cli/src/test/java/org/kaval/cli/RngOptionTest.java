package org.kaval.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.kaval.machine.ConfigException;
import org.kaval.machine.Virtio;
import org.kaval.machine.Vm;
import picocli.CommandLine;
import picocli.CommandLine.Model.CommandSpec;

class RngOptionTest {
    @ParameterizedTest
    @CsvSource({
        "0, 'rng: is 0: ''off'' is without'",
        "a lot, 'rng: ''a lot'' is none of on, off and a size as 64K'"
    })
    void whatIsNoRateIsRefused(String value, String line) {
        var option = new RngOption();
        new CommandLine(CommandSpec.create().addOption(option.spec())).parseArgs("--rng", value);

        ConfigException refused =
                assertThrows(
                        ConfigException.class,
                        () -> option.attachTo(Vm.builder(), true, Virtio::pci));

        assertEquals(line, refused.getMessage());
    }
}
