package org.kaval.ci.bench;

/// A machine monitor that boots a {@link BootFiles} guest.
interface BootContender {
    /// What the results call it.
    String name();

    /// Boots the guest once, from its first instruction to its init.
    ///
    /// @return how long it took, in milliseconds
    double boot(Steps steps) throws Exception;

    /// What hears how far a boot has come.
    interface Steps {
        /// The first instruction comes next.
        default void begins() {}

        /// Init has spoken, and the guest is still there.
        default void isAtInit() throws Exception {}
    }
}
