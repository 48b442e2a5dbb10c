package org.kaval.testing;

import java.lang.annotation.ElementType;
import java.lang.annotation.Inherited;
import java.lang.annotation.Retention;
import java.lang.annotation.RetentionPolicy;
import java.lang.annotation.Target;
import org.junit.jupiter.api.extension.ExtendWith;

/// Files and folders beside the class path that the tests of this class read: they are copied into
/// the nested host, where they have the same absolute path.
@Target(ElementType.TYPE)
@Retention(RetentionPolicy.RUNTIME)
@Inherited
@ExtendWith(FilesExtension.class)
public @interface NeedsFiles {
    /// Paths relative to the module's folder.
    String[] value();

    /// What makes them before, here or on the machine that the nested host runs on.
    Class<? extends FileMaker> madeBy() default FileMaker.None.class;
}
