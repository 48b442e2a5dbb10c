package org.kaval.cli;

import static org.kaval.cli.CommonOptions.flag;

import java.io.IOException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import org.kaval.devices.block.BlockImage;
import org.kaval.devices.block.ImageFormat;
import org.kaval.devices.block.ImageOptions;
import org.kaval.devices.block.Images;
import org.kaval.devices.block.Qcow2Format;
import org.kaval.machine.ConfigException;
import org.kaval.machine.snapshot.Snapshot;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine.Model.PositionalParamSpec;

/// `kaval restore`: a guest goes on where it was when its snapshot was made. It is `kaval run` with
/// the options that the snapshot has, and those that are given here.
final class RestoreCommand implements Callable<Integer> {
    private static final String DISK = "--disk=";

    private final PositionalParamSpec directory =
            PositionalParamSpec.builder()
                    .paramLabel("DIR")
                    .index("0")
                    .arity("1")
                    .type(Path.class)
                    .description("The folder of the snapshot.")
                    .build();

    private final OptionSpec clones =
            OptionSpec.builder("--clones")
                    .paramLabel("N")
                    .type(Integer.class)
                    .description(
                            "Restore so many machines, in the background: with --name=web, they are called"
                                    + " web-1, web-2 and so on.")
                    .build();

    private final OptionSpec keepDisks =
            OptionSpec.builder("--keep-disks")
                    .paramLabel("DIR")
                    .type(Path.class)
                    .description(
                            "Keep what the guest writes to disks of which the snapshot has copies: in new"
                                    + " images over these, in this folder. Default: thrown away in the end.")
                    .build();

    private final OptionSpec prefault =
            flag("--prefault")
                    .description(
                            "Read all of the memory in the background, not where it is touched.")
                    .build();

    private final CommandSpec spec = makeSpec();

    CommandSpec spec() {
        return spec;
    }

    private CommandSpec makeSpec() {
        CommandSpec made =
                CommandSpec.wrapWithoutInspection(this)
                        .addMixin("common", CommonOptions.mixin())
                        .addOption(clones)
                        .addOption(keepDisks)
                        .addOption(prefault)
                        .addPositional(directory);
        made.parser().unmatchedArgumentsAllowed(true);
        made.usageMessage()
                .customSynopsis("kaval restore DIR [OPTIONS of kaval run]")
                .description(
                        "Lets a guest go on where it was when its snapshot was made.",
                        "Disks and other devices, and the files that they need, are those that kaval run"
                                + " was given then. Of its options those may be given that say how the guest"
                                + " is shown, named and ended: --name, --detach, --console, --snapshot-dir,"
                                + " --time-limit, --grace, --on-reboot, --stats, --trace; --vsock and"
                                + " --port, if it has them; and --ephemeral, with which a snapshot without disks can be restored any"
                                + " number of times, several at once. One with disks always can.");
        return made;
    }

    @Override
    public Integer call() throws IOException, InterruptedException {
        List<String> original = spec.commandLine().getParent().getParseResult().originalArgs();
        @Nullable Path keep = keepDisks.getValue();
        @Nullable Integer count = clones.getValue();
        Snapshot snapshot = Snapshot.read(directory.getValue());
        GuestSnapshots.checkUnused(snapshot);
        if (count != null) {
            if (keep != null) {
                throw new ConfigException("clones", "goes without --keep-disks");
            }
            return Clones.start(count, original);
        }
        var arguments = new ArrayList<String>(savedArguments(snapshot, keep));
        arguments.addAll(spec.commandLine().getUnmatchedArguments());
        return RunCommand.execute(
                new RunCommand(snapshot, original, prefault.getValue()), arguments);
    }

    /// What `kaval run` was given, with the snapshot's copies of disks.
    private List<String> savedArguments(Snapshot snapshot, @Nullable Path keep) throws IOException {
        String saved = snapshot.attributes().get(GuestSnapshots.ARGUMENTS);
        if (saved == null) {
            throw new ConfigException(
                    "snapshot", snapshot.directory() + " was not made by kaval run");
        }
        var arguments = new ArrayList<String>();
        int index = 0;
        for (String line : saved.lines().toList()) {
            if (!line.startsWith(DISK)) {
                arguments.add(line);
                continue;
            }
            String text = line.substring(DISK.length());
            String name = DiskSpec.parse(text, index++).name();
            Path copy = snapshot.disks().get(name);
            if (copy == null) {
                arguments.add(line);
            } else if (keep == null) {
                arguments.add(DISK + DiskSpec.withImage(text, copy, true));
            } else {
                Path kept = keep.resolve(name + ".qcow2");
                if (!spec.commandLine().getUnmatchedArguments().stream()
                        .anyMatch(Detached.DETACH::contains)) {
                    Files.createDirectories(keep);
                    makeImage(kept, copy);
                }
                arguments.add(DISK + DiskSpec.withImage(text, kept, false));
            }
        }
        return arguments;
    }

    /// An image over the snapshot's copy, which it gets beside it under a name of its own: another
    /// snapshot may take the place of this one.
    private static void makeImage(Path image, Path copy) throws IOException {
        if (Files.exists(image)) {
            throw existsAlready(image);
        }
        Path below = image.resolveSibling(image.getFileName() + ".base").toAbsolutePath();
        linkOrCopy(below, copy);
        boolean made = false;
        try {
            long size;
            try (BlockImage disk = Images.open(below, ImageFormat.QCOW2, ImageOptions.READ_ONLY)) {
                size = disk.size();
            }
            Images.create(image, Qcow2Format.of(size).over(below.toString(), ImageFormat.QCOW2));
            made = true;
        } finally {
            if (!made) {
                Files.delete(below);
            }
        }
    }

    private static FileAlreadyExistsException existsAlready(Path file) {
        return new FileAlreadyExistsException(file.toString(), null, "exists already");
    }

    private static void linkOrCopy(Path file, Path existing) throws IOException {
        try {
            Files.createLink(file, existing);
        } catch (FileAlreadyExistsException _) {
            throw existsAlready(file);
        } catch (IOException | UnsupportedOperationException _) {
            Files.copy(existing, file); // it is on another file system, or another user's
        }
    }
}
