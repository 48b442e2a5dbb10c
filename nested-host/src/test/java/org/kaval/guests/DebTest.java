package org.kaval.guests;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class DebTest {
    @Test
    void lineOfAptIsUnderstood() {
        String line =
                "'http://deb.debian.org/debian/pool/b/busybox-static_1.35.0-4%2bb1_amd64.deb'"
                        + " busybox-static_1%3a1.35.0-4+b1_amd64.deb 928188 SHA256:3d3fdbe9";
        Deb deb = Deb.ofUriLine(line).orElseThrow();
        assertEquals(new Deb("busybox-static", "1%3a1.35.0-4+b1", "amd64"), deb);
        assertEquals("busybox-static_1%3a1.35.0-4+b1_amd64.deb", deb.fileName());
        assertEquals("busybox-static=1:1.35.0-4+b1", deb.selector());
    }

    @Test
    void lineOfASimulationIsUnderstood() {
        assertEquals(
                Optional.of(new Deb("libaudit-common", "1%3a3.0.9-1", "all")),
                Deb.ofInstallLine("Inst libaudit-common (1:3.0.9-1 Debian:12.15/old [all])"));
        assertEquals(
                Optional.of(new Deb("x1", "2", "amd64")),
                Deb.ofInstallLine("Inst x1 (2 a, b:c/d [amd64]) [y:amd64 ]"));
        assertEquals(Optional.empty(), Deb.ofInstallLine("Conf x1 (2 a, b:c/d [amd64])"));
        assertEquals(Optional.empty(), Deb.ofInstallLine("Inst ../x (2 a [amd64])"));
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "Reading package lists...",
                "'http://x/y' ../../etc/x_1_amd64.deb 1 SHA256:00",
                "'http://x/y' x_1_amd64.deb.exe 1 SHA256:00",
                "'http://x/y' x_1/2_amd64.deb 1 SHA256:00",
                "'http://x/y' -o_1_amd64.deb 1 SHA256:00",
                ""
            })
    void otherLinesAreNot(String line) {
        assertEquals(Optional.empty(), Deb.ofUriLine(line));
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "-y", "A", "a b", "a/b", "../x", "x=1", "x:amd64"})
    void nonsenseIsNoName(String name) {
        assertThrows(IllegalArgumentException.class, () -> Deb.checkName(name));
    }
}
