package org.kaval.machine.boot;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Comparator;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.stream.IntStream;

/// The names of a kernel's code, by address; of data there is nothing in it. Immutable.
public final class SymbolTable {
    /// More than a kernel with everything built in has.
    static final int MAX_SYMBOLS = 1 << 20;

    /// What is farther behind a symbol is not part of it: the longest functions are shorter.
    private static final long MAX_OFFSET = 1 << 20;

    private final long[] addresses; // ascending, unsigned
    private final int[] names; // where in the text each begins; it ends with a zero
    private final byte[] text;

    private SymbolTable(long[] addresses, int[] names, byte[] text) {
        this.addresses = addresses;
        this.names = names;
        this.text = text;
    }

    /// Reads an ELF file's symbol table, or a file in the format of Linux's `System.map`.
    ///
    /// @throws BootFileException if it is neither, or broken
    /// @throws IOException if it cannot be read
    public static SymbolTable read(Path path) throws IOException {
        try (ImageFile file = ImageFile.open(path)) {
            return ElfFile.isIn(file.beginning(Integer.BYTES))
                    ? ElfSymbols.read(file)
                    : SystemMap.read(file);
        }
    }

    public int size() {
        return addresses.length;
    }

    /// The symbol that `address` belongs to, as `name+0x12`.
    public Optional<String> at(long address) {
        int index = find(address);
        if (index < 0) {
            return Optional.empty();
        }
        long offset = address - addresses[index];
        return offset >= MAX_OFFSET
                ? Optional.empty()
                : Optional.of("%s+0x%x".formatted(name(index), offset));
    }

    /// Where `name` is.
    public OptionalLong address(String name) {
        return IntStream.range(0, addresses.length)
                .filter(i -> name(i).equals(name))
                .mapToLong(i -> addresses[i])
                .findFirst();
    }

    /// The last one that is not above `address`; -1 if there is none.
    private int find(long address) {
        int low = 0;
        int high = addresses.length - 1;
        while (low <= high) {
            int middle = (low + high) >>> 1;
            if (Long.compareUnsigned(addresses[middle], address) <= 0) {
                low = middle + 1;
            } else {
                high = middle - 1;
            }
        }
        return high;
    }

    private String name(int index) {
        int begin = names[index];
        int end = begin;
        while (text[end] != 0) {
            end++;
        }
        return new String(text, begin, end - begin, UTF_8);
    }

    /// Takes symbols in any order; what is more than {@link #MAX_SYMBOLS} is left out.
    static final class Builder {
        private long[] addresses = new long[1024];
        private int[] names = new int[1024];
        private final ByteArrayOutputStream text = new ByteArrayOutputStream();
        private int count;

        void add(long address, byte[] name) {
            if (count == MAX_SYMBOLS) {
                return;
            }
            if (count == addresses.length) {
                addresses = Arrays.copyOf(addresses, 2 * count);
                names = Arrays.copyOf(names, 2 * count);
            }
            addresses[count] = address;
            names[count] = text.size();
            count++;
            text.writeBytes(name);
            text.write(0);
        }

        SymbolTable build() {
            Comparator<Integer> byAddress =
                    (a, b) -> Long.compareUnsigned(addresses[a], addresses[b]);
            int[] order =
                    IntStream.range(0, count)
                            .boxed()
                            .sorted(byAddress)
                            .mapToInt(Integer::intValue)
                            .toArray();
            return new SymbolTable(
                    Arrays.stream(order).mapToLong(i -> addresses[i]).toArray(),
                    Arrays.stream(order).map(i -> names[i]).toArray(),
                    text.toByteArray());
        }
    }
}
