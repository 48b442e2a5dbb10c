package org.kaval.devices.net;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.io.IOException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/// What the kernel says of network devices, and what of that is the guest's.
class TapTrafficTest {
    private static final String DEVICES =
            """
            Inter-|   Receive                                                |  Transmit
             face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
                lo:       1       2    0    0    0     0          0         0       3       4    0    0    0     0       0          0
              tap1:      10      11   12   13   14    15         16        17 9223372036854775808 19   20   21   22    23      24         25
             tap10:7 8 0 9 0 0 0 0 5 6 0 4 0 0 0 0
            """;

    @Test
    void whatTheDeviceReceivesIsWhatTheGuestHasSent() throws IOException {
        NetTraffic traffic = TapTraffic.parse(DEVICES.lines(), "tap10");

        assertEquals(new NetTraffic.Count(8, 7, 9), traffic.sent());
        assertEquals(new NetTraffic.Count(6, 5, 4), traffic.received());
    }

    @Test
    void largeNumbersWrapAndDifferencesAreRight() throws IOException {
        NetTraffic before = TapTraffic.parse(DEVICES.lines(), "tap1");
        assertEquals(new NetTraffic.Count(19, Long.MIN_VALUE, 21), before.received());
        String later = DEVICES.replace("9223372036854775808 19", "9223372036854775810 20");

        NetTraffic since = TapTraffic.parse(later.lines(), "tap1").minus(before);

        assertEquals(new NetTraffic.Count(1, 2, 0), since.received());
        assertEquals(new NetTraffic.Count(0, 0, 0), since.sent());
    }

    @ParameterizedTest
    @ValueSource(strings = {"tap1: 1 2 3", "tap1: a b c d e f g h i j k l", "tap1:", "tap2: 1", ""})
    void otherTextsAreRefused(String text) {
        assertThrows(IOException.class, () -> TapTraffic.parse(text.lines(), "tap1"));
    }
}
