package org.kaval.machine.snapshot;

import static java.nio.charset.StandardCharsets.US_ASCII;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.zip.CRC32C;
import org.jspecify.annotations.Nullable;
import org.kaval.linux.Mmap;
import org.kaval.memory.GuestRange;
import org.kaval.vcpu.Topology;

/// What a snapshot says of itself.
///
/// @param created when, in ISO 8601
/// @param topology of the vCPUs
/// @param cpu the features that the guest uses, or may
/// @param memory guest-physical ranges, in ascending order
/// @param kernel the file of the kernel that was booted, for a diagnosis; null if there was none
/// @param commandLine its command line; null if there was none
/// @param compressed whether it decompressed itself
/// @param attributes what the program that made the snapshot wants to find again
/// @param state where vCPUs and devices are
/// @param memoryPart where memory is
/// @param base what lies below the memory; null if that is whole
/// @param disks copies of the guest's disks, by their names
record Manifest(
        String created,
        Topology topology,
        CpuFeatures cpu,
        List<GuestRange> memory,
        @Nullable String kernel,
        @Nullable String commandLine,
        boolean compressed,
        Map<String, String> attributes,
        Part state,
        Part memoryPart,
        @Nullable Base base,
        Map<String, Part> disks) {
    /// The newest format that this version reads. It writes the oldest that says it all.
    static final int FORMAT = 3;

    /// Has no compressed memory.
    private static final int SECOND_FORMAT = 2;

    /// Has neither disks nor a base.
    private static final int FIRST_FORMAT = 1;

    static final String NAME = "manifest.json";

    /// Far more than there is in any; it is read as a whole.
    static final int MOST_BYTES = 1 << 20;

    private static final String END = ",\n  \"checksum\" : \"crc32c:%08x\"\n}\n";
    private static final int END_LENGTH = END.formatted(0).length();
    private static final int MOST_REGIONS = 64;
    private static final long MOST_MEMORY = 1L << 46;

    Manifest {
        memory = List.copyOf(memory);
        attributes = Map.copyOf(attributes);
        disks = Collections.unmodifiableMap(new LinkedHashMap<>(disks));
    }

    /// An earlier snapshot whose memory shows where this one's has nothing.
    ///
    /// @param directory of that snapshot, from this one's
    /// @param memory as its manifest has it: another snapshot in that folder has another
    /// @param index which pages this snapshot has
    record Base(String directory, Part memory, Part index) {}

    /// A file of the snapshot.
    ///
    /// @param file its name in the folder
    /// @param size in bytes
    /// @param sum CRC32C
    record Part(String file, long size, int sum) {
        Part {
            if (!file.matches("[a-z]+[0-9]*-[0-9a-f]{16}(\\.json|\\.qcow2|\\.zst)?") || size < 0) {
                throw new IllegalArgumentException("no part: '%s'".formatted(file));
            }
        }

        /// Whether it is {@link CompressedMemory}.
        boolean isCompressed() {
            return file.endsWith(CompressedMemory.SUFFIX);
        }

        private Map<String, Object> toTree() {
            var tree = new LinkedHashMap<String, Object>();
            tree.put("file", file);
            tree.put("size", size);
            tree.put("crc32c", "0x%08x".formatted(sum));
            return tree;
        }

        private static Part fromTree(Fields tree) {
            return new Part(
                    tree.text("file"),
                    tree.number("size"),
                    Long.decode(tree.text("crc32c")).intValue());
        }
    }

    static int crc32c(byte[] bytes, int from, int to) {
        var sum = new CRC32C();
        sum.update(bytes, from, to - from);
        return (int) sum.getValue();
    }

    private int format() {
        if (memoryPart.isCompressed()) {
            return FORMAT;
        }
        return base == null && disks.isEmpty() ? FIRST_FORMAT : SECOND_FORMAT;
    }

    byte[] toBytes() throws IOException {
        var tree = new LinkedHashMap<String, Object>();
        tree.put("format", format());
        tree.put("created", created);
        tree.put(
                "topology",
                orderedMap(
                        "sockets", topology.sockets(),
                        "cores", topology.cores(),
                        "threads", topology.threads()));
        tree.put("cpu", cpu.toTree());
        var regions = new ArrayList<Object>();
        for (GuestRange range : memory) {
            regions.add(orderedMap("base", range.base(), "size", range.size()));
        }
        tree.put("memory", regions);
        var boot = new LinkedHashMap<String, Object>();
        if (kernel != null) {
            boot.put("kernel", kernel);
        }
        if (commandLine != null) {
            boot.put("commandLine", commandLine);
        }
        boot.put("compressed", compressed);
        tree.put("boot", boot);
        tree.put("attributes", new LinkedHashMap<>(attributes));
        tree.put("parts", orderedMap("state", state.toTree(), "memory", memoryPart.toTree()));
        if (base != null) {
            tree.put(
                    "base",
                    orderedMap(
                            "directory", base.directory,
                            "memory", base.memory.toTree(),
                            "index", base.index.toTree()));
        }
        if (!disks.isEmpty()) {
            var copies = new LinkedHashMap<String, Object>();
            disks.forEach((name, part) -> copies.put(name, part.toTree()));
            tree.put("disks", copies);
        }
        return seal(Json.write(tree));
    }

    /// Puts the sum in the place of the last brace.
    static byte[] seal(byte[] json) {
        int bodyEnd = new String(json, US_ASCII).lastIndexOf('}');
        while (json[bodyEnd - 1] == '\n' || json[bodyEnd - 1] == ' ') {
            bodyEnd--;
        }
        byte[] end = END.formatted(crc32c(json, 0, bodyEnd)).getBytes(US_ASCII);
        byte[] all = Arrays.copyOf(json, bodyEnd + end.length);
        System.arraycopy(end, 0, all, bodyEnd, end.length);
        return all;
    }

    private static Map<String, Object> orderedMap(Object... namesAndValues) {
        var map = new LinkedHashMap<String, Object>();
        for (int i = 0; i < namesAndValues.length; i += 2) {
            map.put(String.valueOf(namesAndValues[i]), namesAndValues[i + 1]);
        }
        return map;
    }

    /// @param file for messages
    static Manifest parse(Path file, byte[] bytes) throws SnapshotException {
        int bodyEnd = bytes.length - END_LENGTH;
        if (bodyEnd < 0) {
            throw new SnapshotException(file, "cut short: %d bytes".formatted(bytes.length));
        }
        byte[] end = END.formatted(crc32c(bytes, 0, bodyEnd)).getBytes(US_ASCII);
        if (!Arrays.equals(bytes, bodyEnd, bytes.length, end, 0, end.length)) {
            throw new SnapshotException(
                    file, "altered or cut short: it does not end with its check sum");
        }
        try {
            var tree = new Fields(Json.read(bytes, 0, bytes.length));
            long format = tree.number("format");
            if (format < FIRST_FORMAT || format > FORMAT) {
                throw new SnapshotException(
                        file,
                        "format %d, and this version of Kaval reads formats %d to %d"
                                .formatted(format, FIRST_FORMAT, FORMAT));
            }
            return fromTree(tree);
        } catch (SnapshotException e) {
            throw e;
        } catch (IOException | IllegalArgumentException | ArithmeticException e) {
            throw new SnapshotException(file, String.valueOf(e.getMessage()));
        }
    }

    private static Manifest fromTree(Fields tree) {
        Fields topology = tree.object("topology");
        Fields boot = tree.object("boot");
        Fields parts = tree.object("parts");
        var attributes = new LinkedHashMap<String, String>();
        Fields saved = tree.object("attributes");
        saved.tree.keySet().forEach(name -> attributes.put(name, saved.text(name)));
        return new Manifest(
                tree.text("created"),
                new Topology(
                        topology.integer("sockets"),
                        topology.integer("cores"),
                        topology.integer("threads")),
                CpuFeatures.fromTree(tree.object("cpu").tree),
                memory(tree),
                boot.tree.containsKey("kernel") ? boot.text("kernel") : null,
                boot.tree.containsKey("commandLine") ? boot.text("commandLine") : null,
                Boolean.TRUE.equals(boot.tree.get("compressed")),
                attributes,
                Part.fromTree(parts.object("state")),
                Part.fromTree(parts.object("memory")),
                base(tree),
                disks(tree));
    }

    private static @Nullable Base base(Fields tree) {
        if (!tree.tree.containsKey("base")) {
            return null;
        }
        Fields base = tree.object("base");
        return new Base(
                base.text("directory"),
                Part.fromTree(base.object("memory")),
                Part.fromTree(base.object("index")));
    }

    private static Map<String, Part> disks(Fields tree) {
        var disks = new LinkedHashMap<String, Part>();
        if (tree.tree.containsKey("disks")) {
            Fields copies = tree.object("disks");
            copies.tree
                    .keySet()
                    .forEach(name -> disks.put(name, Part.fromTree(copies.object(name))));
        }
        return disks;
    }

    private static List<GuestRange> memory(Fields tree) {
        if (!(tree.tree.get("memory") instanceof List<?> regions)
                || regions.isEmpty()
                || regions.size() > MOST_REGIONS) {
            throw new IllegalArgumentException("no list of memory");
        }
        var ranges = new ArrayList<GuestRange>();
        long end = 0;
        for (Object region : regions) {
            Fields fields = Fields.of("memory", region);
            var range = new GuestRange(fields.number("base"), fields.number("size"));
            if (range.base() < end
                    || range.end() > MOST_MEMORY
                    || (range.base() | range.size()) % Mmap.PAGE_SIZE != 0) {
                throw new IllegalArgumentException("no memory: " + range);
            }
            end = range.end();
            ranges.add(range);
        }
        return ranges;
    }

    /// How much memory there is, in bytes.
    long memorySize() {
        return memory.stream().mapToLong(GuestRange::size).sum();
    }

    /// Fields that have to be there.
    private record Fields(Map<String, Object> tree) {
        @SuppressWarnings("unchecked") // the keys of JSON are strings
        static Fields of(String name, @Nullable Object value) {
            if (!(value instanceof Map<?, ?> map)) {
                throw new IllegalArgumentException("no object '%s'".formatted(name));
            }
            return new Fields((Map<String, Object>) map);
        }

        Fields object(String name) {
            return of(name, tree.get(name));
        }

        String text(String name) {
            if (!(tree.get(name) instanceof String text)) {
                throw new IllegalArgumentException("no text '%s'".formatted(name));
            }
            return text;
        }

        long number(String name) {
            if (!(tree.get(name) instanceof Long number)) {
                throw new IllegalArgumentException("no number '%s'".formatted(name));
            }
            return number;
        }

        int integer(String name) {
            return Math.toIntExact(number(name));
        }
    }
}
