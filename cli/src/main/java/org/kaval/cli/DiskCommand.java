package org.kaval.cli;

import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/// `kaval disk`: what is done to disk images while no guest uses them.
@Command(
        name = "disk",
        description = "Makes, checks and changes disk images.",
        subcommands = {
            DiskCreateCommand.class,
            DiskInfoCommand.class,
            DiskCheckCommand.class,
            DiskConvertCommand.class,
            DiskResizeCommand.class,
            GrowDiskCommand.class,
            DiskCommitCommand.class,
            DiskRebaseCommand.class
        },
        footer = {
            "",
            "The format of an image is that of --format, else that of its name: qcow2 if it ends in",
            ".qcow2, else raw. It is not told by what is in the file, because a guest may have",
            "written that, and with it the name of a file of this host as the image below."
        })
final class DiskCommand implements Runnable {
    @Mixin CommandSpec common = CommonOptions.mixin();
    @Spec CommandSpec spec = CommandSpec.create();

    @Override
    public void run() {
        throw new ParameterException(spec.commandLine(), "a command is missing");
    }
}
