package org.kaval.devices.virtio;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.HashMap;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class VsockPortsTest {
    private static final int CAPACITY = 64;

    /// Against the map of the JDK.
    ///
    /// @param ports how many there are to choose from: with few of them, most are found
    @ParameterizedTest
    @ValueSource(ints = {2, 9, 40, 1_000_000})
    void findsWhatIsThereAndNothingElse(int ports) {
        var random = new Random(ports);
        var table = new VsockPorts(CAPACITY);
        Map<Long, Integer> expected = new HashMap<>();
        for (int i = 0; i < 20_000; i++) {
            int guest = random.nextInt(ports) - ports / 2;
            int host = random.nextInt(ports) - ports / 2;
            long key = (long) guest << 32 | (host & 0xffff_ffffL);
            assertEquals(expected.getOrDefault(key, -1), table.find(guest, host));
            if (expected.containsKey(key) || expected.size() == CAPACITY) {
                table.remove(guest, host);
                expected.remove(key);
            } else {
                table.put(guest, host, i);
                expected.put(key, i);
            }
            if (i % 5000 == 4999) {
                table.clear();
                expected.clear();
            }
        }
    }
}
