package org.kaval.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import picocli.CommandLine.TypeConversionException;

class ByteSizeTest {
    @ParameterizedTest
    @CsvSource({
        "0, 0",
        "1048576, 1048576",
        "1k, 1024",
        "512M, 536870912",
        "64MiB, 67108864",
        "2G, 2147483648",
        "2GB, 2147483648",
        "1T, 1099511627776",
        "8388607T, 9223370937343148032"
    })
    void sizesAreParsed(String text, long bytes) {
        assertEquals(bytes, ByteSize.parse(text).bytes());
    }

    @Test
    void itIsShownAsItCanBeGiven() {
        assertEquals("536870912", ByteSize.parse("512M").toString());
    }

    @ParameterizedTest
    @ValueSource(
            strings = {"", "M", "-1M", "1.5G", "1 G", "12X", "8388608T", "99999999999999999999"})
    void nonsenseIsRefused(String text) {
        assertThrows(TypeConversionException.class, () -> ByteSize.parse(text));
    }
}
