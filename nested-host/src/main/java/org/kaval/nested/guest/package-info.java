/// What runs inside the nested host: {@link org.kaval.nested.guest.Agent} and its messages.
///
/// Its classes are put into the initramfs as they are; they use nothing but the JDK.
@NullMarked
package org.kaval.nested.guest;

import org.jspecify.annotations.NullMarked;
