package org.kaval.testing;

import java.nio.file.Path;

/// Makes the files that the tests of a class need: kernels, file systems. It has a constructor
/// without parameters, and is asked once per class.
public interface FileMaker {
    /// Makes them, if they are not there yet.
    ///
    /// @param module the module's folder
    void make(Path module) throws Exception;

    /// Makes nothing: the build has.
    final class None implements FileMaker {
        /// For {@link NeedsFiles}.
        public None() {}

        @Override
        public void make(Path module) {}
    }
}
