package org.kaval.cli;

import java.io.IOException;
import java.util.concurrent.Callable;
import org.kaval.devices.block.ImageOperations;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Spec;

/// `kaval disk commit`: an image into the one below.
@Command(
        name = "commit",
        description = "Writes what a qcow2 image has to the image below it, and empties it.")
final class DiskCommitCommand implements Callable<Integer> {
    @Mixin CommandSpec common = CommonOptions.mixin();
    @Mixin DiskImage image = new DiskImage();
    @Spec CommandSpec spec = CommandSpec.create();

    @Override
    public Integer call() throws IOException {
        image.requireQcow2("kaval disk commit");
        ImageOperations.commit(image.path, ProgressBar.onTerminal(spec.commandLine().getErr()));
        return ExitStatus.OK;
    }
}
