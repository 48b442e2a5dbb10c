package org.kaval.machine.snapshot;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.kaval.kvm.CpuidEntry;
import org.kaval.vcpu.CpuidModel;

/// The features that a guest was told its processor has: the words of CPUID that are made of bits,
/// and how wide a physical address is.
///
/// @param words by names as `0x7.0.ebx`
/// @param addressBits 32 to 52
public record CpuFeatures(Map<String, Integer> words, int addressBits) {
    private static final int ECX1_OSXSAVE = 1 << 27; // the guest's operating system sets it
    private static final int ECX7_OSPKE = 1 << 4; // the same

    /// What some bits are called in `/proc/cpuinfo`.
    private static final Map<String, String> NAMES =
            Map.ofEntries(
                    Map.entry("0x1.0.ecx:0", "sse3"),
                    Map.entry("0x1.0.ecx:9", "ssse3"),
                    Map.entry("0x1.0.ecx:12", "fma"),
                    Map.entry("0x1.0.ecx:19", "sse4_1"),
                    Map.entry("0x1.0.ecx:20", "sse4_2"),
                    Map.entry("0x1.0.ecx:21", "x2apic"),
                    Map.entry("0x1.0.ecx:24", "tsc_deadline_timer"),
                    Map.entry("0x1.0.ecx:25", "aes"),
                    Map.entry("0x1.0.ecx:26", "xsave"),
                    Map.entry("0x1.0.ecx:28", "avx"),
                    Map.entry("0x1.0.ecx:30", "rdrand"),
                    Map.entry("0x7.0.ebx:3", "bmi1"),
                    Map.entry("0x7.0.ebx:5", "avx2"),
                    Map.entry("0x7.0.ebx:8", "bmi2"),
                    Map.entry("0x7.0.ebx:16", "avx512f"),
                    Map.entry("0x7.0.ebx:18", "rdseed"),
                    Map.entry("0x7.0.ebx:20", "smap"),
                    Map.entry("0x7.0.ebx:29", "sha_ni"),
                    Map.entry("0x7.0.ebx:30", "avx512bw"),
                    Map.entry("0x7.0.edx:24", "amx_tile"),
                    Map.entry("0x80000001.0.edx:26", "pdpe1gb"),
                    Map.entry("0x80000001.0.edx:27", "rdtscp"));

    public CpuFeatures {
        if (addressBits < 32 || addressBits > 52) {
            throw new IllegalArgumentException("no width of an address: " + addressBits);
        }
        words = new TreeMap<>(words);
    }

    /// Those of a table of CPUID.
    public static CpuFeatures of(List<CpuidEntry> table) {
        var words = new LinkedHashMap<String, Integer>();
        for (CpuidEntry e : table) {
            switch (e.function()) {
                case 0x1 -> {
                    put(words, e, "ecx", e.ecx() & ~ECX1_OSXSAVE);
                    put(words, e, "edx", e.edx());
                }
                case 0x7 -> {
                    put(words, e, "eax", e.index() == 0 ? 0 : e.eax()); // of 0 it is a count
                    put(words, e, "ebx", e.ebx());
                    put(words, e, "ecx", e.ecx() & ~ECX7_OSPKE);
                    put(words, e, "edx", e.edx());
                }
                case 0xd -> {
                    if (e.index() < 2) { // XCR0 and IA32_XSS, and the instructions
                        put(words, e, "eax", e.eax());
                        put(
                                words,
                                e,
                                e.index() == 0 ? "edx" : "ecx",
                                e.index() == 0 ? e.edx() : e.ecx());
                    }
                }
                case 0x4000_0001 -> put(words, e, "eax", e.eax());
                case 0x8000_0001 -> {
                    put(words, e, "ecx", e.ecx());
                    put(words, e, "edx", e.edx());
                }
                case 0x8000_0007 -> put(words, e, "edx", e.edx());
                case 0x8000_0008 -> put(words, e, "ebx", e.ebx());
                default -> {}
            }
        }
        return new CpuFeatures(words, CpuidModel.physicalAddressBits(table));
    }

    private static void put(Map<String, Integer> words, CpuidEntry e, String register, int value) {
        words.put("0x%x.%d.%s".formatted(e.function(), e.index(), register), value);
    }

    /// What these have that `host` has not: names, or words and bits.
    public List<String> missingFrom(CpuFeatures host) {
        var missing = new ArrayList<String>();
        words.forEach((word, value) -> {
            int lacking = value & ~host.words.getOrDefault(word, 0);
            for (int bit = 0; bit < Integer.SIZE; bit++) {
                if ((lacking >>> bit & 1) != 0) {
                    String name = word + ":" + bit;
                    missing.add(NAMES.getOrDefault(name, "CPUID " + name));
                }
            }
        });
        if (addressBits > host.addressBits) {
            missing.add("physical addresses of %d bits".formatted(addressBits));
        }
        return List.copyOf(missing);
    }

    Map<String, Object> toTree() {
        var tree = new LinkedHashMap<String, Object>();
        words.forEach((word, value) -> tree.put(word, "0x%08x".formatted(value)));
        tree.put("addressBits", addressBits);
        return tree;
    }

    /// @throws IllegalArgumentException if it is none
    static CpuFeatures fromTree(Map<String, Object> tree) {
        var words = new LinkedHashMap<String, Integer>();
        int bits = 0;
        for (Map.Entry<String, Object> entry : tree.entrySet()) {
            switch (entry.getValue()) {
                case String word -> words.put(entry.getKey(), Long.decode(word).intValue());
                case Long number -> bits = Math.toIntExact(number);
                default -> throw new IllegalArgumentException("CPUID " + entry.getKey());
            }
        }
        return new CpuFeatures(words, bits);
    }
}
