package org.kaval.testing;

import java.nio.file.Path;
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

    /// The folder of the module whose tests run.
    static Path module() {
        return Path.of(System.getProperty("basedir", System.getProperty("user.dir")));
    }
}
