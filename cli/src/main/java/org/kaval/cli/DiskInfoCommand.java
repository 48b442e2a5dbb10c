package org.kaval.cli;

import java.io.IOException;
import java.io.PrintWriter;
import java.util.concurrent.Callable;
import org.kaval.devices.block.ImageInfo;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Spec;

/// `kaval disk info`: what an image is.
@Command(name = "info", description = "Shows what an image is; a guest may be using it.")
final class DiskInfoCommand implements Callable<Integer> {
    @Mixin CommandSpec common = CommonOptions.mixin();
    @Mixin DiskImage image = new DiskImage();
    @Spec CommandSpec spec = CommandSpec.create();

    @Override
    public Integer call() throws IOException {
        ImageInfo info = ImageInfo.of(image.path, image.format());
        PrintWriter out = spec.commandLine().getOut();
        line(out, "image", info.path());
        line(out, "format", info.format().title());
        line(out, "disk size", info.size() + " bytes");
        line(
                out,
                "space taken",
                info.blockDevice() ? "a block device" : info.allocated() + " bytes");
        info.details().ifPresent(details -> print(out, details));
        out.flush();
        return ExitStatus.OK;
    }

    private static void print(PrintWriter out, ImageInfo.Details details) {
        line(out, "version", details.version());
        line(out, "cluster size", details.clusterSize() + " bytes");
        line(out, "refcount bits", details.refcountBits());
        line(out, "compression", details.compression());
        line(out, "lazy refcounts", details.lazyRefcounts());
        line(out, "extended L2", details.extendedL2());
        line(out, "dirty", details.dirty());
        line(out, "corrupt", details.corrupt());
        if (details.backingFile() != null) {
            line(out, "image below", details.backingFile());
            String format = details.backingFormat();
            line(out, "its format", format == null ? "not said" : format);
        }
        details.snapshots().forEach(title -> line(out, "snapshot", title));
    }

    private static void line(PrintWriter out, String what, Object value) {
        out.printf("%-16s%s%n", what + ":", value);
    }
}
