/// What tests in real virtual machines need, here and in other projects.
module org.kaval.ci {
    requires transitive org.kaval.machine;
    requires transitive org.junit.jupiter.api;
    requires static transitive org.jspecify;

    exports org.kaval.ci;
}
