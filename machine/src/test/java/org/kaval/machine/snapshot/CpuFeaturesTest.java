package org.kaval.machine.snapshot;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.kaval.kvm.CpuidEntry;

class CpuFeaturesTest {
    private static CpuFeatures features(Map<String, Integer> words, int bits) {
        return new CpuFeatures(words, bits);
    }

    @Test
    void whatTheHostLacksIsNamed() {
        var guest = features(Map.of("0x7.0.ebx", 1 << 16 | 1 << 5 | 1 << 2, "0x9.0.eax", 1), 48);
        var host = features(Map.of("0x7.0.ebx", 1 << 5), 40);

        assertEquals(
                List.of(
                        "CPUID 0x7.0.ebx:2",
                        "avx512f",
                        "CPUID 0x9.0.eax:0",
                        "physical addresses of 48 bits"),
                guest.missingFrom(host));
    }

    @Test
    void hostWithMoreLacksNothing() {
        var guest = features(Map.of("0x1.0.ecx", 1), 40);
        var host = features(Map.of("0x1.0.ecx", -1, "0x7.0.ebx", -1), 52);

        assertEquals(List.of(), guest.missingFrom(host));
    }

    @Test
    void whatTheOperatingSystemSwitchesOnIsNoFeature() {
        List<CpuidEntry> table =
                List.of(
                        CpuidEntry.of(1, 0, 0, 1 << 27 | 1 << 26, 0),
                        CpuidEntry.of(7, 0, 2, 0, 1 << 4 | 1 << 3, 0));

        CpuFeatures features = CpuFeatures.of(table);

        assertEquals(1 << 26, features.words().get("0x1.0.ecx"));
        assertEquals(1 << 3, features.words().get("0x7.0.ecx"));
        assertEquals(0, features.words().get("0x7.0.eax"), "a count");
    }

    @Test
    void theyAreReadBackFromTheirTree() {
        var features = features(Map.of("0x1.0.ecx", 0x8000_0001, "0x1.0.edx", 7), 39);

        Map<String, Object> tree = features.toTree();
        tree.replace("addressBits", 39L);

        assertEquals(features, CpuFeatures.fromTree(tree));
    }
}
