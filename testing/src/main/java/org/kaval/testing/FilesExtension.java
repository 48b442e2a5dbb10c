package org.kaval.testing;

import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import org.junit.jupiter.api.extension.BeforeAllCallback;
import org.junit.jupiter.api.extension.ExtensionContext;
import org.junit.platform.commons.support.ReflectionSupport;

/// Has the files of {@link NeedsFiles} made before the tests of a class run in place; public
/// because that annotation names it. In the nested host they are there already.
public final class FilesExtension implements BeforeAllCallback {
    /// For JUnit.
    public FilesExtension() {}

    @Override
    public void beforeAll(ExtensionContext context) throws Exception {
        if (!WorkerSetup.isWorker()) {
            make(context.getRequiredTestClass());
        }
    }

    static void make(Class<?> testClass) throws Exception {
        NeedsFiles needs = testClass.getAnnotation(NeedsFiles.class);
        if (needs != null) {
            ReflectionSupport.newInstance(needs.madeBy()).make(module());
        }
    }

    /// Keeps other JVMs from making files of the module meanwhile, until it is closed.
    static FileChannel lock() throws IOException {
        Path target = Files.createDirectories(module().resolve("target"));
        FileChannel file =
                FileChannel.open(
                        target.resolve("test-files.lock"),
                        StandardOpenOption.CREATE,
                        StandardOpenOption.WRITE);
        boolean locked = false;
        try {
            file.lock();
            locked = true;
            return file;
        } finally {
            if (!locked) {
                file.close();
            }
        }
    }

    /// The folder of the module whose tests run.
    static Path module() {
        return Path.of(System.getProperty("basedir", System.getProperty("user.dir")));
    }
}
