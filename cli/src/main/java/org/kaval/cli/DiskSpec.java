package org.kaval.cli;

import java.io.IOException;
import java.math.BigDecimal;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.kaval.devices.block.ImageFormat;
import org.kaval.devices.block.ImageOptions;
import org.kaval.devices.virtio.VirtioBlock;
import org.kaval.machine.ConfigException;

/// The value of `--disk`: a file, and words and `key=value` after it.
///
/// @param format null for what the file's name says
/// @param name for messages: the id, or `disk` and its index
/// @param overlay whether what is written is thrown away in the end
record DiskSpec(
        Path path,
        @Nullable ImageFormat format,
        String name,
        ImageOptions image,
        boolean overlay,
        VirtioBlock.Options device) {
    static final List<String> FLAGS = List.of("readonly", "overlay");
    static final List<String> KEYS =
            List.of(
                    "path",
                    "format",
                    "id",
                    "serial",
                    "cache",
                    "discard",
                    "queues",
                    "engine",
                    "iops",
                    "bandwidth",
                    "burst");

    private static final List<String> KEYS_AND_FLAGS =
            Stream.concat(KEYS.stream(), FLAGS.stream()).toList();
    private static final Pattern ID = Pattern.compile("[A-Za-z0-9_-]*");

    /// @param index of the disk, from 0
    static DiskSpec parse(String text, int index) {
        return new Parser("disk[%d]".formatted(index), OptionValues.split(text)).disk(index);
    }

    ImageFormat formatOrByName() throws IOException {
        return format == null ? ImageFormat.byName(path) : format;
    }

    /// The same text with a path that does not depend on the working directory.
    static String withAbsolutePath(String text) {
        List<String> parts = OptionValues.split(text);
        for (int i = 0; i < parts.size(); i++) {
            String part = parts.get(i);
            String key = part.startsWith("path=") ? "path=" : "";
            boolean isPath = !key.isEmpty() || (i == 0 && !isKeyword(part));
            if (isPath) {
                parts.set(i, key + Path.of(part.substring(key.length())).toAbsolutePath());
            }
        }
        return OptionValues.join(parts);
    }

    /// The same text with another image in the place of the one that it names.
    ///
    /// @param qcow2 a qcow2 image
    /// @param overlay whether what is written is thrown away in the end
    static String withImage(String text, Path qcow2, boolean overlay) {
        var parts = new ArrayList<String>();
        parts.add("path=" + qcow2.toAbsolutePath());
        parts.add("format=qcow2");
        if (overlay) {
            parts.add("overlay");
        }
        for (String part : OptionValues.split(text)) {
            if (isKeyword(part)
                    && !part.startsWith("path=")
                    && !part.startsWith("format=")
                    && !part.startsWith("engine=") // may be for raw images only
                    && !part.equals("overlay")) {
                parts.add(part);
            }
        }
        return OptionValues.join(parts);
    }

    private static boolean isKeyword(String part) {
        int equals = part.indexOf('=');
        return equals < 0 ? FLAGS.contains(part) : KEYS.contains(part.substring(0, equals));
    }

    /// Takes the values out by their keys; `where` begins what is said of them.
    private static final class Parser {
        private final String where;
        private final OptionValues values;

        Parser(String where, List<String> parts) {
            this.where = where;
            this.values = new OptionValues(where);
            for (String part : parts) {
                if (FLAGS.contains(part)) {
                    values.put(part, "");
                } else if (isKeyword(part)) {
                    values.add(part, KEYS);
                } else if (values.isEmpty()) {
                    values.put("path", part);
                } else {
                    throw values.unknown(part, KEYS_AND_FLAGS);
                }
            }
        }

        DiskSpec disk(int index) {
            boolean readOnly = values.has("readonly");
            boolean overlay = values.has("overlay");
            if (readOnly && overlay) {
                throw values.refused("overlay", "takes what is written, and readonly refuses that");
            }
            String id = values.get("id", "");
            if (!ID.matcher(id).matches()) {
                throw values.refused(
                        "id", "'%s' is not of letters, digits, '-' and '_'".formatted(id));
            }
            return new DiskSpec(
                    values.path("path"),
                    values.has("format") ? choice("format", ImageFormat.RAW) : null,
                    id.isEmpty() ? "disk" + index : id,
                    ImageOptions.WRITABLE
                            .withReadOnly(readOnly)
                            .withCache(choice("cache", ImageOptions.Cache.WRITEBACK))
                            .withDiscard(choice("discard", ImageOptions.Discard.UNMAP)),
                    overlay,
                    device(id));
        }

        private VirtioBlock.Options device(String id) {
            BigDecimal burst = values.burst("iops", "bandwidth");
            try {
                return VirtioBlock.Options.DEFAULT
                        .withSerial(values.get("serial", id))
                        .withQueues(values.has("queues") ? (int) values.number("queues") : 1)
                        .withEngine(choice("engine", VirtioBlock.Engine.THREADS))
                        .withOperations(values.rate("iops", burst, values::number))
                        .withBytes(values.rate("bandwidth", burst, values::size));
            } catch (ConfigException e) {
                throw e; // is one of the next kind, and says where already
            } catch (IllegalArgumentException e) {
                throw new ConfigException(where, String.valueOf(e.getMessage()));
            }
        }

        /// The constant that the value names in small letters.
        private <E extends Enum<E>> E choice(String key, E otherwise) {
            if (!values.has(key)) {
                return otherwise;
            }
            String text = values.get(key, "");
            E[] all = otherwise.getDeclaringClass().getEnumConstants();
            return Stream.of(all)
                    .filter(each -> lowerCase(each).equals(text))
                    .findFirst()
                    .orElseThrow(() ->
                            values.refused(
                                    key,
                                    "'%s' is none of %s"
                                            .formatted(
                                                    text,
                                                    Stream.of(all)
                                                            .map(Parser::lowerCase)
                                                            .collect(Collectors.joining(", ")))));
        }

        private static String lowerCase(Enum<?> constant) {
            return constant.name().toLowerCase(Locale.ROOT);
        }
    }
}
