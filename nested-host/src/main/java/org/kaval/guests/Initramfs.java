package org.kaval.guests;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.regex.Pattern;

/// Builds an initramfs: the archive that a Linux kernel unpacks into its first root file system,
/// and whose `/init` it starts (Documentation/driver-api/early-userspace/buffer-format.rst). Not
/// compressed.
///
/// ```java
/// var kernel = DebianKernel.cloud(packages);
/// Initramfs.busybox(packages.unpack("busybox-static").resolve("bin/busybox"))
///         .modules(kernel.modules("virtio_pci", "virtio_blk"))
///         .init("""
///                 mount -t devtmpfs dev /dev
///                 . /lib/modules/insert
///                 mount -t ext4 -o ro /dev/vda /mnt && cat /mnt/hello
///                 poweroff -f
///                 """)
///         .writeTo(Path.of("initramfs.cpio"));
/// ```
///
/// Everything belongs to root and is of 1970, and entries are sorted: the same content gives the
/// same bytes. Paths in the guest may begin with a slash or not. Directories that a path needs are
/// made (mode 0755); anything else that is there already is not replaced: that is an
/// IllegalArgumentException, as is a path with `.`, `..`, or through something that is no
/// directory.
///
/// Confined to one thread.
public final class Initramfs {
    private static final String MODULES = "lib/modules/";
    private static final int PATH_LIMIT = 4095; // PATH_MAX, with the null byte behind
    private static final int DIRECTORY = 0755;
    private static final Pattern MODULE = Pattern.compile("([A-Za-z0-9_-]{1,60})\\.ko");
    private static final Pattern APPLET = Pattern.compile("[A-Za-z0-9_./\\[-]{1,100}");

    // Sorted by path, so that a directory comes before what is in it.
    private final Map<String, InitramfsEntry> entries = new TreeMap<>();
    private final Map<String, Path> modules = new LinkedHashMap<>();

    /// One with nothing in it.
    public Initramfs() {}

    /// One with a statically linked busybox as `/bin/busybox`, links to it for all that it can do,
    /// `/dev/console` and `/dev/null`, and empty `/proc`, `/sys`, `/tmp`, `/run`, `/root`, `/mnt`,
    /// `/etc`. It lacks `/init` yet.
    ///
    /// @param busybox for this machine: it is asked what it can do
    public static Initramfs busybox(Path busybox) throws IOException, InterruptedException {
        var initramfs = new Initramfs().file("bin/busybox", 0755, busybox);
        for (String directory : List.of("dev", "etc", "mnt", "proc", "run", "sys")) {
            initramfs.directory(directory, DIRECTORY);
        }
        initramfs.directory("root", 0700).directory("tmp", 01777);
        initramfs.characterDevice("dev/console", 0600, 5, 1);
        initramfs.characterDevice("dev/null", 0666, 1, 3);
        String program = busybox.toAbsolutePath().toString();
        String applets =
                Tool.of(program, "busybox-static").run("to list what it can do", "--list-full");
        applets.lines()
                .filter(APPLET.asMatchPredicate())
                .filter(applet -> !applet.equals("bin/busybox"))
                .forEach(applet -> initramfs.symlink(applet, "/bin/busybox"));
        return initramfs;
    }

    /// Adds an empty directory, or sets the mode of one that was made for another path.
    ///
    /// @param mode permissions, 0 to 07777
    public Initramfs directory(String path, int mode) {
        String name = name(path);
        boolean implied =
                entries.get(name) instanceof InitramfsEntry.Directory known && !known.asked();
        return put(name, new InitramfsEntry.Directory(checkMode(mode), true), implied);
    }

    /// Adds a file.
    public Initramfs file(String path, int mode, byte[] content) {
        return put(name(path), new InitramfsEntry.Bytes(checkMode(mode), content.clone()), false);
    }

    /// Adds a file of the host, which is read when the archive is written.
    ///
    /// @throws IOException if there is no such regular file
    public Initramfs file(String path, int mode, Path content) throws IOException {
        if (!Files.isRegularFile(content)) {
            throw new IOException(content + ": expected a regular file");
        }
        return put(name(path), new InitramfsEntry.HostFile(checkMode(mode), content), false);
    }

    /// Adds a symbolic link.
    ///
    /// @param target as the guest will read it; not checked
    public Initramfs symlink(String path, String target) {
        int length = target.getBytes(StandardCharsets.UTF_8).length;
        if (length == 0 || length > PATH_LIMIT || target.indexOf('\0') >= 0) {
            throw new IllegalArgumentException("no target of a symbolic link: '" + target + "'");
        }
        return put(name(path), new InitramfsEntry.Symlink(target), false);
    }

    /// Adds a character device.
    public Initramfs characterDevice(String path, int mode, int major, int minor) {
        return put(
                name(path), new InitramfsEntry.Node(checkMode(mode), false, major, minor), false);
    }

    /// Adds a block device.
    public Initramfs blockDevice(String path, int mode, int major, int minor) {
        return put(name(path), new InitramfsEntry.Node(checkMode(mode), true, major, minor), false);
    }

    /// Adds all that is in a directory of the host, with its modes; links stay links. Directories
    /// that are there already stay as they are, and get more in them.
    ///
    /// @param guestPath `/` for the root
    /// @throws IOException if it can't be read, or has something other than files, directories and
    ///   links
    public Initramfs tree(String guestPath, Path hostDirectory) throws IOException {
        String prefix = guestPath.matches("/*") ? "" : name(guestPath) + "/";
        if (!prefix.isEmpty() && !entries.containsKey(name(guestPath))) {
            directory(guestPath, DIRECTORY);
        }
        Files.walkFileTree(
                hostDirectory,
                new SimpleFileVisitor<>() {
                    @Override
                    public FileVisitResult preVisitDirectory(Path path, BasicFileAttributes a)
                            throws IOException {
                        if (!path.equals(hostDirectory)) {
                            addDirectory(guestName(path), mode(path));
                        }
                        return FileVisitResult.CONTINUE;
                    }

                    @Override
                    public FileVisitResult visitFile(Path path, BasicFileAttributes a)
                            throws IOException {
                        if (a.isSymbolicLink()) {
                            symlink(guestName(path), readable(Files.readSymbolicLink(path)));
                        } else if (a.isRegularFile()) {
                            file(guestName(path), mode(path), path);
                        } else {
                            throw new IOException(path + ": expected a file, directory or link");
                        }
                        return FileVisitResult.CONTINUE;
                    }

                    private String guestName(Path path) throws IOException {
                        return prefix + readable(hostDirectory.relativize(path));
                    }
                });
        return this;
    }

    /// Adds `/init`, the first process. Without a first line `#!…`, it is a script of `/bin/sh`.
    public Initramfs init(String script) {
        String whole = script.startsWith("#!") ? script : "#!/bin/sh\n" + script;
        return file("init", 0755, whole.getBytes(StandardCharsets.UTF_8));
    }

    /// Adds kernel modules in `/lib/modules`, after those that were added before, and the script
    /// `/lib/modules/insert`, which inserts all in this order: `. /lib/modules/insert` in `/init`.
    /// It says which one could not be inserted, and goes on. A module gets the parameters that are
    /// in the shell's variable `args_` and its name (with `_` for `-`): `args_kvm_amd=npt=0`.
    ///
    /// @param files as {@link DebianKernel#modules} gives them; those already added are left out
    /// @throws IOException if one is no regular file
    public Initramfs modules(List<Path> files) throws IOException {
        for (Path file : files) {
            String name = String.valueOf(file.getFileName());
            if (!MODULE.matcher(name).matches()) {
                throw new IllegalArgumentException(file + ": expected a file of a kernel module");
            }
            if (!file.equals(modules.get(name))) {
                file(MODULES + name, 0644, file);
                modules.put(name, file);
            }
        }
        var script = new StringBuilder("# Inserts these modules, in this order.\n");
        for (String file : modules.keySet()) {
            String module = file.substring(0, file.length() - ".ko".length()).replace('-', '_');
            script.append(
                    "insmod /%s%s ${args_%s-} || echo \"cannot insert %s\"\n"
                            .formatted(MODULES, file, module, module));
        }
        byte[] bytes = script.toString().getBytes(StandardCharsets.UTF_8);
        return put(MODULES + "insert", new InitramfsEntry.Bytes(0644, bytes), true);
    }

    /// Writes the archive (cpio, "newc"), in place of what was there, or leaves that as it was.
    ///
    /// @throws IOException one line: a file can't be read, has changed meanwhile or has 4 GiB or
    ///   more; or `target` can't be written
    public void writeTo(Path target) throws IOException {
        try (var file = new NewFile(target)) {
            InitramfsEntry.write(entries, file.path());
            file.keep();
        } catch (IOException e) {
            throw new IOException("cannot write %s: %s".formatted(target, Problem.line(e)), e);
        }
    }

    private Initramfs put(String name, InitramfsEntry entry, boolean replace) {
        for (int slash = name.indexOf('/'); slash >= 0; slash = name.indexOf('/', slash + 1)) {
            String parent = name.substring(0, slash);
            InitramfsEntry known =
                    entries.computeIfAbsent(
                            parent, _ -> new InitramfsEntry.Directory(DIRECTORY, false));
            if (!(known instanceof InitramfsEntry.Directory)) {
                throw new IllegalArgumentException(
                        "/%s: /%s is no directory".formatted(name, parent));
            }
        }
        if (entries.containsKey(name) && !replace) {
            throw new IllegalArgumentException("/" + name + " is there twice");
        }
        entries.put(name, entry);
        return this;
    }

    private void addDirectory(String name, int mode) {
        if (!(entries.get(name) instanceof InitramfsEntry.Directory known && known.asked())) {
            directory(name, mode);
        }
    }

    private static int mode(Path path) throws IOException {
        Object mode = Files.getAttribute(path, "unix:mode", LinkOption.NOFOLLOW_LINKS);
        return (Integer) mode & 07777;
    }

    /// Names have any bytes on the host; this process can only read those of its locale.
    private static String readable(Path path) throws IOException {
        String text = path.toString();
        if (text.indexOf('\ufffd') >= 0) {
            throw new IOException(path + ": a name that can't be read; set LC_ALL=C.UTF-8");
        }
        return text;
    }

    private static int checkMode(int mode) {
        if ((mode & ~07777) != 0) {
            throw new IllegalArgumentException("mode 0%o: expected 0 to 07777".formatted(mode));
        }
        return mode;
    }

    /// The path without slashes at its ends, checked.
    private static String name(String path) {
        String name = path.replaceAll("^/+|/+$", "");
        for (String part : name.split("/", -1)) {
            if (part.isEmpty() || part.equals(".") || part.equals("..")) {
                throw new IllegalArgumentException("no path for an initramfs: '" + path + "'");
            }
        }
        int length = name.getBytes(StandardCharsets.UTF_8).length;
        if (length > PATH_LIMIT || name.indexOf('\0') >= 0 || name.equals("TRAILER!!!")) {
            throw new IllegalArgumentException("no path for an initramfs: '" + path + "'");
        }
        return name;
    }
}
