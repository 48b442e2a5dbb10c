package org.kaval.guests;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.ArrayList;
import java.util.List;
import java.util.UUID;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/// Makes ext4 file systems in files, without root: `mke2fs` and `debugfs` of e2fsprogs do the work.
///
/// The same tree gives the same bytes (with the same version of e2fsprogs): names are sorted, all
/// times are 2001-09-09, all owners root, whoever they are on the host, and the features are not
/// those of the host's configuration. Modes stay. What is not used is a hole in the file.
public final class Ext4Image {
    private static final int BLOCK = 4096;
    private static final int INODE = 256;
    private static final long BYTES_PER_INODE = 16384;
    private static final int ROOT_INODE = 2, FIRST_INODE = 11;
    private static final String TIME = "1000000000"; // seconds; 0 would mean now

    /// Those that any kernel of the last ten years has.
    private static final String FEATURES =
            "none,has_journal,ext_attr,resize_inode,dir_index,filetype,extent,64bit,flex_bg"
                    + ",sparse_super,large_file,huge_file,dir_nlink,extra_isize,metadata_csum";

    private static final Pattern LABEL = Pattern.compile("[A-Za-z0-9._-]{0,16}");
    private static final Pattern TOO_SMALL =
            Pattern.compile("Could not allocate|Not enough space to build|too small|too big for");

    private Ext4Image() {}

    /// Makes a file system, in place of what was there, or leaves that as it was.
    ///
    /// @param image file to make
    /// @param tree directory whose content becomes that of the root; nothing if null
    /// @param bytes size of the file, a multiple of 4096
    /// @param label of the file system, up to 16 of `A-Z a-z 0-9 . _ -`; its UUID follows from it
    /// @throws IOException one line: `tree` doesn't fit or can't be read, `image` can't be written,
    ///   or e2fsprogs is missing
    /// @throws IllegalArgumentException if `bytes` or `label` are no such things
    public static void create(Path image, @Nullable Path tree, long bytes, String label)
            throws IOException, InterruptedException {
        if (bytes <= 0 || bytes % BLOCK != 0) {
            throw new IllegalArgumentException(
                    "size of an ext4 image: expected a multiple of 4096 bytes, not " + bytes);
        }
        if (!LABEL.matcher(label).matches()) {
            throw new IllegalArgumentException(
                    "label of an ext4 image: '%s' is not up to 16 of A-Z a-z 0-9 . _ -"
                            .formatted(label));
        }
        Usage usage = tree == null ? new Usage() : Usage.of(tree);
        try (var file = new NewFile(image)) {
            format(image, file.path(), tree, usage, bytes, label);
            if (tree != null) {
                settle(file.path(), usage);
            }
            file.keep();
        } catch (ToolException e) {
            if (TOO_SMALL.matcher(Problem.line(e)).find()) {
                throw new IOException(
                        "%s: %d bytes are too few for an ext4 file system with %s: %d will do"
                                .formatted(
                                        image,
                                        bytes,
                                        tree == null ? "nothing in it" : tree,
                                        usage.estimate()),
                        e);
            }
            throw e;
        }
    }

    /// A size in bytes, for {@link #create}, that `tree` fits into with some room to spare: a
    /// multiple of 1 MiB.
    public static long estimate(Path tree) throws IOException {
        return Usage.of(tree).estimate();
    }

    private static void format(
            Path image, Path file, @Nullable Path tree, Usage usage, long bytes, String label)
            throws IOException, InterruptedException {
        UUID uuid = UUID.nameUUIDFromBytes(("ext4 " + label).getBytes(StandardCharsets.UTF_8));
        List<String> arguments = new ArrayList<>(List.of("-q", "-F", "-t", "ext4", "-m", "0"));
        arguments.addAll(List.of("-b", "" + BLOCK, "-I", "" + INODE, "-O", FEATURES));
        arguments.addAll(List.of("-N", "" + (usage.inodes() + bytes / BYTES_PER_INODE)));
        arguments.addAll(List.of("-U", uuid.toString(), "-L", label));
        arguments.addAll(
                List.of("-E", "root_owner=0:0,lazy_itable_init=1,nodiscard,hash_seed=" + uuid));
        if (tree != null) {
            arguments.addAll(List.of("-d", tree.toAbsolutePath().toString()));
        }
        arguments.addAll(List.of(file.toString(), bytes / 1024 + "k"));
        Tool.of("mke2fs", "e2fsprogs")
                .with("MKE2FS_CONFIG", "/dev/null")
                .with("E2FSPROGS_FAKE_TIME", TIME)
                .run("to make an ext4 file system in " + image, arguments);
    }

    /// mke2fs gives files the owners and times that they have on the host, among them that of the
    /// last change of the inode, which nobody can set there. It numbers inodes in sequence.
    private static void settle(Path file, Usage usage) throws IOException, InterruptedException {
        Path script = Files.createTempFile("debugfs", null);
        try {
            List<String> lines = new ArrayList<>();
            settle(lines, ROOT_INODE);
            for (long inode = FIRST_INODE; inode < usage.inodes(); inode++) {
                settle(lines, inode);
            }
            Files.write(script, lines);
            Tool.of("debugfs", "e2fsprogs")
                    .with("E2FSPROGS_FAKE_TIME", TIME)
                    .run(
                            "to set owners in an ext4 file system",
                            "-w",
                            "-f",
                            script.toString(),
                            file.toString());
        } finally {
            Files.delete(script);
        }
    }

    private static void settle(List<String> lines, long inode) {
        for (String field : List.of("uid", "gid")) {
            lines.add("set_inode_field <%d> %s 0".formatted(inode, field));
        }
        for (String field : List.of("atime", "ctime", "mtime", "crtime")) {
            lines.add("set_inode_field <%d> %s @%s".formatted(inode, field, TIME));
        }
    }

    /// What a tree takes.
    ///
    /// @param entries files, directories and links
    /// @param blocks of their content
    private record Usage(long entries, long blocks) {
        Usage() {
            this(0, 0);
        }

        static Usage of(Path tree) throws IOException {
            long[] count = new long[2];
            Files.walkFileTree(
                    tree,
                    new SimpleFileVisitor<>() {
                        @Override
                        public FileVisitResult preVisitDirectory(Path d, BasicFileAttributes a) {
                            return visitFile(d, a);
                        }

                        @Override
                        public FileVisitResult visitFile(Path file, BasicFileAttributes a) {
                            count[0]++;
                            // Of a directory here, its size says how many names it has to hold.
                            count[1] += Math.ceilDiv(a.size(), (long) BLOCK) + 1;
                            return FileVisitResult.CONTINUE;
                        }
                    });
            return new Usage(count[0], count[1]);
        }

        /// Inodes up to 10 are the file system's, 11 is lost+found.
        long inodes() {
            return FIRST_INODE + 1 + entries;
        }

        long estimate() {
            long content = blocks * BLOCK + inodes() * INODE + (1 << 20);
            // mke2fs takes 1024 blocks below 128 MiB, 4096 below 1 GiB, 16384 below 4 GiB.
            long journal =
                    content < 100L << 20 ? 4L << 20 : content < 900L << 20 ? 16L << 20 : 64L << 20;
            long total = (content + journal) / 100 * 106; // inodes to spare, extents, bitmaps
            return Math.ceilDiv(total, 1L << 20) << 20;
        }
    }
}
